//! Places: how many sessions may be accepted, in all and from one network address.
//!
//! Whoever connects costs memory before anything is known of it, so the bound for all is not enough:
//! one host would take every place and keep it with a keepalive. An IPv6 network of 64 bits is one
//! subscriber and counts as one address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::shell::net::subscriber;

/// The places for sessions.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    per_address: usize,
    taken: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoPlace {
    #[error("there are sessions enough")]
    Full,
    #[error("there are sessions enough from this address")]
    Crowded,
}

impl Places {
    pub fn new(most: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { most, per_address, taken: Mutex::default() })
    }

    /// A place for a connection from `from`.
    pub fn take(self: &Arc<Self>, from: IpAddr) -> Result<Place, NoPlace> {
        let address = subscriber(from);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= self.most {
            return Err(NoPlace::Full);
        }
        let own = taken.get(&address).copied().unwrap_or(0);
        if own >= self.per_address {
            return Err(NoPlace::Crowded);
        }
        taken.insert(address, own + 1);
        Ok(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.address);
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
        let places = Places::new(5, 2);
        let mine: Vec<Place> = (0..2).map(|_| places.take(address(1)).expect("free")).collect();
        assert_eq!(places.take(address(1)).expect_err("its share"), NoPlace::Crowded);
        let others: Vec<Place> = (2..5).map(|it| places.take(address(it)).expect("free")).collect();
        assert_eq!(places.take(address(9)).expect_err("all"), NoPlace::Full);
        drop(mine);
        places.take(address(1)).expect("free again");
        drop(others);
        assert!(places.taken.lock().expect("no panic").is_empty(), "nobody is remembered");
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let places = Places::new(5, 1);
        let take = |text: &str| places.take(text.parse().expect("an address"));
        let _one = take("2001:db8::1").expect("free");
        assert!(take("2001:db8::ffff:2").is_err());
        let _two = take("2001:db8:0:1::1").expect("another network");
        let _four = take("192.0.2.1").expect("free");
        assert!(take("::ffff:192.0.2.1").is_err(), "the same on a socket of both kinds");
    }
}
