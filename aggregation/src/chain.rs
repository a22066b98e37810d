//! Chains: the filled slots of each member and which of them are void.
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
//! A void slot contributes nothing, and still counts as an author. Where earlier epochs are
//! sealed, each member's last sealed slot stands for all of them: it is never void anew, and
//! later slots that contradict it are.
//!
//! A simulated world holds thousands of these sets, so a slot costs its key and
//! one pointer to an update that all sets share. A header without its payload says all that is judged
//! here ([`crate::held`]).

use longhaul_dtn::hash::ContentHash;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeInclusive};

use crate::header::HeaderHash;
use crate::held::Held;
use crate::slot::{Epoch, MemberIndex, Slot};

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

/// The filled slots of all members, with their verdicts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chains {
    /// Slots with one header.
    held: BTreeMap<Slot, Held>,
    /// Those of them whose payload is not held.
    bare: BTreeSet<Slot>,
    /// Slots with two different headers, the smaller hash first.
    spent: BTreeMap<Slot, (HeaderHash, HeaderHash)>,
    /// Slots with one header that another slot's header contradicts.
    broken: BTreeSet<Slot>,
    /// Each member's last sealed slot, before all others.
    anchors: BTreeMap<MemberIndex, Anchor>,
}

/// A member's last sealed slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Anchor {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its header; none if two headers spent it.
    pub header: Option<HeaderHash>,
}

/// What putting an update into its slot did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// The slot holds this very header, or is spent.
    Nothing,
    /// The slot was empty and counts now; nothing else changed.
    Filled,
    /// The slot held this header, and has its payload now.
    Completed,
    /// The verdict or content of these slots of the author changed.
    Changed(BTreeSet<Epoch>),
}

/// Two epochs, the earlier first.
type Pair = (Epoch, Epoch);

/// A filled slot of one member; no update if it is spent.
type Filled<'a> = (Epoch, Option<&'a Held>);

impl Chains {
    /// Puts an update, or its header, into its slot.
    pub fn put(&mut self, new: Held) -> Put {
        let slot = new.slot();
        let Slot { member, epoch } = slot;
        if self.spent.contains_key(&slot) {
            return Put::Nothing;
        }
        let hash = new.header_hash();
        let before = self.only_header(slot);
        match before {
            Some(held) if held == hash => return self.complete(slot, new),
            Some(held) => {
                self.held.remove(&slot);
                self.bare.remove(&slot);
                self.spent.insert(slot, (held.min(hash), held.max(hash)));
            }
            None => {
                let fits = self.fits(&new);
                if new.update().is_none() {
                    self.bare.insert(slot);
                }
                self.held.insert(slot, new);
                if fits {
                    return Put::Filled;
                }
            }
        }
        let mut changed = self.judge(member);
        if changed.is_empty() && before.is_none() {
            return Put::Filled;
        }
        changed.insert(epoch);
        Put::Changed(changed)
    }

    /// Adds the payload to a slot that holds the header, if it was not there and is now.
    fn complete(&mut self, slot: Slot, new: Held) -> Put {
        if new.update().is_none() || !self.bare.remove(&slot) {
            return Put::Nothing;
        }
        self.held.insert(slot, new);
        Put::Completed
    }

    /// True when an update for an empty slot changes no verdict and has none, as its two
    /// neighbours show:
    ///
    /// - its header covers no filled slot and misnames none: it names the filled slot before
    ///   it, or an empty one behind that;
    /// - the header behind it likewise;
    /// - no other header covers or misnames the slot: it would cover the slot behind too,
    ///   and that is not broken.
    fn fits(&self, new: &Held) -> bool {
        let slot = new.slot();
        let Slot { member, epoch } = slot;
        let first = *all_of(member).start();
        let anchor = self.anchors.get(&member).map(|anchor| (anchor.epoch, anchor.header));
        let before = self.held.range(first..slot).next_back();
        let before = before.map(|(slot, held)| (slot.epoch, Some(held.header_hash()))).or(anchor);
        let after =
            self.held.range((Bound::Excluded(slot), Bound::Included(*all_of(member).end())));
        let after = after.into_iter().next();
        let here = Some((epoch, Some(new.header_hash())));
        self.spent.range(all_of(member)).next().is_none()
            && names_or_follows(new, before)
            && new.header().previous.is_none_or(|previous| previous.epoch < epoch)
            && after.is_none_or(|(after, held)| {
                names_or_follows(held, here) && !self.broken.contains(after)
            })
    }

    /// Says anew which of a member's slots are broken; gives those that changed.
    fn judge(&mut self, member: MemberIndex) -> BTreeSet<Epoch> {
        let pairs = self.contradictions(member);
        let anchor = self.anchors.get(&member).map(|anchor| anchor.epoch);
        let mut broken: BTreeSet<_> =
            pairs.into_iter().flat_map(|(early, late)| [early, late]).collect();
        // What is sealed is not judged again.
        broken.retain(|epoch| Some(*epoch) != anchor);
        let before: BTreeSet<_> =
            self.broken.range(all_of(member)).map(|slot| slot.epoch).collect();
        let changed: BTreeSet<_> = before.symmetric_difference(&broken).copied().collect();
        for &epoch in &changed {
            let slot = Slot { member, epoch };
            if !self.broken.remove(&slot) {
                self.broken.insert(slot);
            }
        }
        changed
    }

    /// True when the slot holds exactly this header, or is spent with it.
    pub fn holds(&self, slot: Slot, header: HeaderHash) -> bool {
        match (self.held.get(&slot), self.spent.get(&slot)) {
            (Some(held), _) => held.header_hash() == header,
            (_, Some(&(low, high))) => low == header || high == header,
            _ => false,
        }
    }

    /// Why the slot is void, if it is.
    pub fn void(&self, slot: Slot) -> Option<VoidReason> {
        if self.spent.contains_key(&slot) {
            return Some(VoidReason::Twin);
        }
        self.broken.contains(&slot).then_some(VoidReason::Chain)
    }

    /// What is in the slot, void or not, unless it is empty or spent.
    pub fn held(&self, slot: Slot) -> Option<&Held> {
        self.held.get(&slot)
    }

    /// True when the slot's header is held without its payload.
    pub fn lacks_payload(&self, slot: Slot) -> bool {
        self.bare.contains(&slot)
    }

    /// The slots whose header is held without its payload, void or not, ascending.
    pub const fn bare(&self) -> &BTreeSet<Slot> {
        &self.bare
    }

    /// What is in the slot, unless it is empty or void.
    pub fn sound(&self, slot: Slot) -> Option<&Held> {
        self.held.get(&slot).filter(|_| !self.broken.contains(&slot))
    }

    /// Epochs of a member's filled slots, ascending.
    pub fn epochs(&self, member: MemberIndex) -> impl DoubleEndedIterator<Item = Epoch> + '_ {
        self.filled(member).into_iter().map(|(epoch, _)| epoch)
    }

    /// A member's latest slot and its header (the smaller hash, if it is spent).
    pub fn last(&self, member: MemberIndex) -> Option<(Epoch, HeaderHash)> {
        let held = self.held.range(all_of(member)).next_back();
        let held = held.map(|(slot, held)| (slot.epoch, held.header_hash()));
        let spent = self.spent.range(all_of(member)).next_back();
        let spent = spent.map(|(slot, &(low, _))| (slot.epoch, low));
        let anchor = self.anchors.get(&member);
        held.max(spent).or_else(|| anchor.and_then(|it| Some((it.epoch, it.header?))))
    }

    /// The headers of all slots before `end`, both of those that are spent.
    pub fn headers_before(&self, end: Epoch) -> Vec<(Slot, HeaderHash)> {
        let held = self.held.iter().map(|(&slot, held)| (slot, held.header_hash()));
        let spent = self.spent.iter().flat_map(|(&slot, &(low, high))| [(slot, low), (slot, high)]);
        held.chain(spent).filter(|(slot, _)| slot.epoch < end).collect()
    }

    /// Takes out the slots from epoch `from` on, and says whose verdict changed before.
    pub fn forget_from(&mut self, from: Epoch) -> BTreeSet<Epoch> {
        self.keep(|epoch| epoch < from)
    }

    /// Takes out the slots before `end`, and judges the others by the last sealed ones;
    /// says whose verdict changed.
    pub fn seal(&mut self, end: Epoch, anchors: BTreeMap<MemberIndex, Anchor>) -> BTreeSet<Epoch> {
        self.anchors = anchors;
        self.keep(|epoch| epoch >= end)
    }

    fn keep(&mut self, keeps: impl Fn(Epoch) -> bool) -> BTreeSet<Epoch> {
        self.held.retain(|slot, _| keeps(slot.epoch));
        self.bare.retain(|slot| keeps(slot.epoch));
        self.spent.retain(|slot, _| keeps(slot.epoch));
        self.broken.retain(|slot| keeps(slot.epoch));
        let members = self.held.keys().chain(self.spent.keys()).map(|slot| slot.member);
        let members: BTreeSet<_> = members.collect();
        members.into_iter().flat_map(|member| self.judge(member)).collect()
    }

    /// The header of the slot; none if it is empty or spent.
    pub fn only_header(&self, slot: Slot) -> Option<HeaderHash> {
        self.held(slot).map(Held::header_hash)
    }

    /// Takes all slots of a member out.
    pub fn remove(&mut self, member: MemberIndex) {
        self.held.retain(|slot, _| slot.member != member);
        self.bare.retain(|slot| slot.member != member);
        self.spent.retain(|slot, _| slot.member != member);
        self.broken.retain(|slot| slot.member != member);
    }

    /// Pairs of headers that show why slots are void: every void slot is in one.
    pub fn evidence(&self) -> Vec<Equivocation> {
        let twins = self.spent.iter().map(|(slot, &(low, high))| Equivocation {
            member: slot.member,
            reason: VoidReason::Twin,
            first: (slot.epoch, low),
            second: (slot.epoch, high),
        });
        let liars: BTreeSet<_> = self.broken.iter().map(|slot| slot.member).collect();
        let chains = liars.into_iter().flat_map(|member| {
            let pairs = self.contradictions(member).into_iter();
            pairs.map(move |(early, late)| Equivocation {
                member,
                reason: VoidReason::Chain,
                first: (early, self.any_header(Slot { member, epoch: early })),
                second: (late, self.any_header(Slot { member, epoch: late })),
            })
        });
        let mut evidence: Vec<_> = twins.chain(chains).collect();
        evidence.sort_by_key(|pair| (pair.member, pair.reason, pair.first, pair.second));
        evidence
    }

    /// The header of a filled or sealed slot; the smaller hash, if it is spent, and
    /// zeros if it is sealed as spent.
    fn any_header(&self, slot: Slot) -> HeaderHash {
        let spent = || self.spent.get(&slot).map(|&(low, _)| low);
        let sealed = || self.anchors.get(&slot.member).and_then(|anchor| anchor.header);
        let header = self.only_header(slot).or_else(spent).or_else(sealed);
        header.unwrap_or_else(|| HeaderHash::from_hash(ContentHash::from_bytes([0; 32])))
    }

    /// A member's filled slots, ascending.
    fn filled(&self, member: MemberIndex) -> Vec<Filled<'_>> {
        let held = self.held.range(all_of(member)).map(|(slot, held)| (slot.epoch, Some(held)));
        let spent = self.spent.range(all_of(member)).map(|(slot, _)| (slot.epoch, None));
        let mut filled: Vec<_> = held.chain(spent).collect();
        filled.sort_by_key(|&(epoch, _)| epoch);
        filled
    }

    /// Contradictions such that every slot with any is in one of them; at most
    /// two for each slot, however many there are.
    fn contradictions(&self, member: MemberIndex) -> BTreeSet<Pair> {
        let mut pairs = BTreeSet::new();
        // Of the later slots with one header, the one whose interval begins first,
        // as the first epoch covered and its own. A slot lies in any interval
        // if it lies in this one. And if another slot's interval holds a slot,
        // that other slot lies in this one too, or is it.
        let mut farthest: Option<Pair> = None;
        let anchor = self.anchors.get(&member).map(|anchor| (anchor.epoch, None));
        for (epoch, held) in self.filled(member).into_iter().rev().chain(anchor) {
            let covering = farthest.filter(|&(from, _)| from <= epoch);
            pairs.extend(covering.map(|(_, late)| (epoch, late)));
            if let Some(held) = held {
                pairs.extend(self.misnamed(held).map(|early| (early, epoch)));
                let interval = (covers_from(held), epoch);
                farthest = Some(farthest.map_or(interval, |farthest| farthest.min(interval)));
            }
        }
        pairs
    }

    /// The epoch named as previous, if its slot holds one other header.
    fn misnamed(&self, later: &Held) -> Option<Epoch> {
        let previous = later.header().previous?;
        let slot = Slot { member: later.author(), epoch: previous.epoch };
        let anchor = self.anchors.get(&slot.member).filter(|it| it.epoch == slot.epoch);
        let held = self.only_header(slot).or(anchor.and_then(|it| it.header))?;
        (held != previous.header).then_some(previous.epoch)
    }
}

/// All slots of a member.
const fn all_of(member: MemberIndex) -> RangeInclusive<Slot> {
    Slot { member, epoch: Epoch::FIRST }..=Slot { member, epoch: Epoch::LAST }
}

/// True when the header names this slot and header as previous, or a slot behind it.
fn names_or_follows(later: &Held, slot: Option<(Epoch, Option<HeaderHash>)>) -> bool {
    let Some((epoch, header)) = slot else { return true };
    later.header().previous.is_some_and(|previous| {
        previous.epoch > epoch || (previous.epoch == epoch && Some(previous.header) == header)
    })
}

/// The first epoch in which the header says that its author has no slot.
fn covers_from(held: &Held) -> Epoch {
    held.header().previous.map_or(Epoch::FIRST, |previous| previous.epoch.next())
}
