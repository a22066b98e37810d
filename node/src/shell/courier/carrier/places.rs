//! Places: how many sessions may be accepted, in all and from one network address.
//!
//! Whoever connects costs memory before anything is known of it, so the bound for all is not enough:
//! one host would take every place and keep it with a keepalive. An IPv6 network of 64 bits is one
//! subscriber and counts as one address.
//!
//! Many hosts could still take every place. Where the operator named who may connect, a quarter is kept
//! for those: by their addresses at once, by their keys on trial, until the session says who it is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::shell::net::subscriber;

/// The part of the places that is kept for nodes that the operator named.
const KEPT: usize = 4;

/// The places for sessions.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    per_address: usize,
    /// Most places for strangers.
    strangers_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    by_address: BTreeMap<IpAddr, usize>,
    all: usize,
    strangers: usize,
}

/// One place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One of those that everybody may have.
    Stranger,
    /// One of those that are kept, until it is known for whom.
    OnTrial,
    /// That of a node that the operator named.
    Named,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoPlace {
    #[error("there are sessions enough")]
    Full,
    #[error("there are sessions enough from this address")]
    Crowded,
    #[error("the other places are for nodes that --allow names")]
    Kept,
}

impl Places {
    /// So many places; `keeps_some` for nodes that are named.
    pub fn new(most: usize, per_address: usize, keeps_some: bool) -> Arc<Self> {
        let kept = if keeps_some { most / KEPT } else { 0 };
        Arc::new(Self { most, per_address, strangers_max: most - kept, taken: Mutex::default() })
    }

    /// A place for a connection from `from`, which may be one that the operator named.
    pub fn take(self: &Arc<Self>, from: IpAddr, is_named: bool) -> Result<Place, NoPlace> {
        let address = subscriber(from);
        let mut taken = self.lock();
        if taken.all >= self.most {
            return Err(NoPlace::Full);
        }
        let own = taken.by_address.get(&address).copied().unwrap_or(0);
        if own >= self.per_address {
            return Err(NoPlace::Crowded);
        }
        let kind = match is_named {
            true => Kind::Named,
            false if taken.strangers < self.strangers_max => Kind::Stranger,
            false => Kind::OnTrial,
        };
        taken.by_address.insert(address, own + 1);
        taken.all += 1;
        taken.strangers += usize::from(kind == Kind::Stranger);
        Ok(Place { places: self.clone(), address, kind })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// True while it has to turn out that the place may be kept.
    pub fn is_on_trial(&self) -> bool {
        self.kind == Kind::OnTrial
    }

    /// It is known whether the operator named who is there.
    pub fn settle(&mut self, is_named: bool) -> Result<(), NoPlace> {
        let mut taken = self.places.lock();
        match (self.kind, is_named) {
            (Kind::Stranger, true) => {
                taken.strangers -= 1;
                self.kind = Kind::Named;
            }
            (Kind::OnTrial, true) => self.kind = Kind::Named,
            (Kind::OnTrial, false) if taken.strangers >= self.places.strangers_max => {
                return Err(NoPlace::Kept);
            }
            (Kind::OnTrial, false) => {
                taken.strangers += 1;
                self.kind = Kind::Stranger;
            }
            (Kind::Stranger | Kind::Named, _) => {}
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        taken.strangers -= usize::from(self.kind == Kind::Stranger);
        if let Some(own) = taken.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn an_address_takes_its_share_and_leaves_the_rest_to_others() {
        let places = Places::new(5, 2, false);
        let mine: Vec<Place> =
            (0..2).map(|_| places.take(address(1), false).expect("free")).collect();
        assert_eq!(places.take(address(1), false).expect_err("its share"), NoPlace::Crowded);
        let others: Vec<Place> =
            (2..5).map(|it| places.take(address(it), false).expect("free")).collect();
        assert_eq!(places.take(address(9), false).expect_err("all"), NoPlace::Full);
        drop(mine);
        places.take(address(1), false).expect("free again");
        drop(others);
        let taken = places.lock();
        assert_eq!((taken.all, taken.strangers, taken.by_address.len()), (0, 0, 0));
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let places = Places::new(5, 1, false);
        let take = |text: &str| places.take(text.parse().expect("an address"), false);
        let _one = take("2001:db8::1").expect("free");
        assert!(take("2001:db8::ffff:2").is_err());
        let _two = take("2001:db8:0:1::1").expect("another network");
        let _four = take("192.0.2.1").expect("free");
        assert!(take("::ffff:192.0.2.1").is_err(), "the same on a socket of both kinds");
    }

    #[test]
    fn keeps_a_quarter_for_nodes_that_are_named() {
        let places = Places::new(8, 8, true);
        let mut crowd: Vec<Place> =
            (0..6).map(|it| places.take(address(it), false).expect("free")).collect();
        let mut stranger = places.take(address(7), false).expect("on trial");
        assert!(stranger.is_on_trial() && !crowd[0].is_on_trial());
        assert_eq!(stranger.settle(false), Err(NoPlace::Kept));
        drop(stranger);
        let by_address = places.take(address(8), true).expect("free");
        let mut by_key = places.take(address(9), false).expect("on trial");
        assert_eq!(by_key.settle(true), Ok(()));
        assert_eq!(places.take(address(9), true).expect_err("all"), NoPlace::Full);
        drop(by_address);
        // One of the crowd turns out to be named: there is room for one more stranger.
        assert_eq!(crowd[0].settle(true), Ok(()));
        assert!(!places.take(address(10), false).expect("free").is_on_trial());
        drop((crowd, by_key));
        let taken = places.lock();
        assert_eq!((taken.all, taken.strangers, taken.by_address.len()), (0, 0, 0));
    }
}
