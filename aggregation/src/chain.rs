//! Chain: one member's slots and which of them are void.
//!
//! Each header names its author's previous slot, so an author cannot fill an
//! earlier slot later or give two peers different pasts without leaving two
//! signed headers that contradict each other. The verdict is a pure function of
//! the set of headers:
//!
//! - A slot with two different headers is *spent*: void, and its headers say
//!   nothing about other slots. A third header changes nothing, so a peer need
//!   not keep it, and two peers that saw different twins agree.
//! - A slot with one header contradicts every other slot of the author in the
//!   open interval between the epoch its header names as previous (from the
//!   start, if none) and its own. Both are void.
//! - A slot with one header contradicts the slot in the epoch it names as
//!   previous, if that holds one header and it is another one. Both are void.
//!
//! A void slot contributes nothing, and still counts as an author.

use std::collections::{BTreeMap, BTreeSet};

use crate::header::{HeaderHash, Previous};
use crate::slot::{Epoch, MemberIndex};
use crate::update::Update;

/// Why a slot is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VoidReason {
    /// Its author signed two different headers for it.
    Twin,
    /// Its author signed headers that contradict each other about its slots.
    Chain,
}

/// Two headers of one author that cannot both be honest.
///
/// The hashes name signed headers, so whoever holds those can prove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Equivocation {
    /// Who signed both.
    pub member: MemberIndex,
    /// What is wrong with the pair.
    pub reason: VoidReason,
    /// The earlier slot's epoch and header; for twins, the smaller hash.
    pub first: (Epoch, HeaderHash),
    /// The later slot's epoch and header.
    pub second: (Epoch, HeaderHash),
}

/// The slots of one member, with their verdicts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain {
    slots: BTreeMap<Epoch, Slot>,
    broken: BTreeSet<Epoch>,
}

#[derive(Debug, Clone)]
enum Slot {
    One(Entry),
    /// Two different headers, the smaller hash first.
    Spent(HeaderHash, HeaderHash),
}

/// What a slot keeps of an update.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The name of the header.
    pub header: HeaderHash,
    /// What the header names as the slot before.
    pub previous: Option<Previous>,
    /// The change.
    pub update: Update,
}

/// What putting an entry into a chain did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// The slot holds this very header, or is spent.
    Nothing,
    /// The verdict or content of these slots changed.
    Changed(BTreeSet<Epoch>),
}

/// Two epochs, the earlier first.
type Pair = (Epoch, Epoch);

impl Chain {
    /// Puts an entry into the slot of `epoch`.
    pub fn put(&mut self, epoch: Epoch, entry: Entry) -> Put {
        let slot = match self.slots.get(&epoch) {
            None => Slot::One(entry),
            Some(Slot::One(held)) if held.header != entry.header => {
                let (low, high) = (held.header.min(entry.header), held.header.max(entry.header));
                Slot::Spent(low, high)
            }
            Some(_) => return Put::Nothing,
        };
        self.slots.insert(epoch, slot);
        let pairs = self.contradictions();
        let broken = pairs.into_iter().flat_map(|(early, late)| [early, late]).collect();
        let mut changed: BTreeSet<_> = self.broken.symmetric_difference(&broken).copied().collect();
        changed.insert(epoch);
        self.broken = broken;
        Put::Changed(changed)
    }

    /// True when the slot holds exactly this header, or is spent with it.
    pub fn holds(&self, epoch: Epoch, header: HeaderHash) -> bool {
        match self.slots.get(&epoch) {
            Some(Slot::One(entry)) => entry.header == header,
            Some(Slot::Spent(low, high)) => *low == header || *high == header,
            None => false,
        }
    }

    /// Why the slot of `epoch` is void, if it is.
    pub fn void(&self, epoch: Epoch) -> Option<VoidReason> {
        match self.slots.get(&epoch)? {
            Slot::Spent(..) => Some(VoidReason::Twin),
            Slot::One(_) => self.broken.contains(&epoch).then_some(VoidReason::Chain),
        }
    }

    /// The update in the slot of `epoch`, unless it is empty or void.
    pub fn update(&self, epoch: Epoch) -> Option<&Update> {
        match self.slots.get(&epoch)? {
            Slot::One(entry) if !self.broken.contains(&epoch) => Some(&entry.update),
            _ => None,
        }
    }

    /// Epochs of the filled slots, ascending.
    pub fn epochs(&self) -> impl DoubleEndedIterator<Item = Epoch> + '_ {
        self.slots.keys().copied()
    }

    /// The latest slot and its header (the smaller hash, if it is spent).
    pub fn last(&self) -> Option<(Epoch, HeaderHash)> {
        let (&epoch, slot) = self.slots.last_key_value()?;
        Some((epoch, slot.header()))
    }

    /// The header of the slot of `epoch`; none if it is empty or spent.
    pub fn only_header(&self, epoch: Epoch) -> Option<HeaderHash> {
        match self.slots.get(&epoch)? {
            Slot::One(entry) => Some(entry.header),
            Slot::Spent(..) => None,
        }
    }

    /// Pairs of headers that show why slots are void: every void slot is in one.
    pub fn evidence(&self, member: MemberIndex) -> impl Iterator<Item = Equivocation> + '_ {
        let twins = self.slots.iter().filter_map(move |(&epoch, slot)| match *slot {
            Slot::One(_) => None,
            Slot::Spent(low, high) => Some(Equivocation {
                member,
                reason: VoidReason::Twin,
                first: (epoch, low),
                second: (epoch, high),
            }),
        });
        let chains = self.contradictions().into_iter().map(move |(early, late)| Equivocation {
            member,
            reason: VoidReason::Chain,
            first: (early, self.slots[&early].header()),
            second: (late, self.slots[&late].header()),
        });
        twins.chain(chains)
    }

    /// Contradictions such that every slot with any is in one of them; at most
    /// two for each slot, however many there are.
    fn contradictions(&self) -> BTreeSet<Pair> {
        let mut pairs = BTreeSet::new();
        // Of the later slots with one header, the one whose interval begins first,
        // as the first epoch covered and its own. A slot lies in any interval
        // if it lies in this one. And if another slot's interval holds a slot,
        // that other slot lies in this one too, or is it.
        let mut farthest: Option<Pair> = None;
        for (&epoch, slot) in self.slots.iter().rev() {
            let covering = farthest.filter(|&(from, _)| from <= epoch);
            pairs.extend(covering.map(|(_, late)| (epoch, late)));
            if let Slot::One(entry) = slot {
                pairs.extend(self.misnamed(entry).map(|early| (early, epoch)));
                let interval = (entry.covers_from(), epoch);
                farthest = Some(farthest.map_or(interval, |farthest| farthest.min(interval)));
            }
        }
        pairs
    }

    /// The epoch named as previous, if its slot holds one other header.
    fn misnamed(&self, entry: &Entry) -> Option<Epoch> {
        let previous = entry.previous?;
        match self.slots.get(&previous.epoch)? {
            Slot::One(held) if held.header != previous.header => Some(previous.epoch),
            _ => None,
        }
    }
}

impl Slot {
    const fn header(&self) -> HeaderHash {
        match self {
            Self::One(entry) => entry.header,
            Self::Spent(low, _) => *low,
        }
    }
}

impl Entry {
    /// The first epoch in which the header says that its author has no slot.
    fn covers_from(&self) -> Epoch {
        self.previous.map_or(Epoch::FIRST, |previous| previous.epoch.next())
    }
}
