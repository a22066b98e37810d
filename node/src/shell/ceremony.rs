//! Ceremony: what the contributions that a peer holds come to.
//!
//! Everything here is a function of the set that is held, so peers with the same contributions find the same chains and, in the end,
//! the same keys. Contributions of members who made as many as are taken do not count. In phase 1 and in phase 2 of each shape the chain with the most
//! contributors counts, then the one with the smaller head. Phase 2 has to begin with *one* phase 1, though chains grow: it is the one, of enough
//! contributors, that the most members name in phase 2; then the one with the most contributors, then the smaller head. So phase 1 is closed by
//! whoever goes on first, and forks of that are settled like all others.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;
use longhaul_proofs::ceremony::{
    Chain, CompiledCurve, Compiles, Draft, Fate, FinishedPowers, Held, LogSize, Policy, Powers,
    Stage, Step,
};
use longhaul_proofs::curve::Curve;
use longhaul_proofs::s1::Shape;
use longhaul_proofs::seed::Seed;
use longhaul_registry::CeremonyPlan;
use longhaul_registry::ceremony::{CONTRIBUTIONS_MAX, Part};
use serde::Serialize;

use super::entropy;
use crate::peer::Peer;

/// The contributions of a ceremony, out of the peer that holds them.
pub(super) struct Heap {
    /// What is made.
    pub plan: CeremonyPlan,
    members: BTreeSet<PeerId>,
    items: Vec<Item>,
}

struct Item {
    part: Part,
    ceremony: ContentHash,
    contributor: PeerId,
    bytes: Arc<[u8]>,
    /// Its maker has made too many.
    surplus: bool,
}

/// What the contributions to a part come to.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PartReport {
    /// Phase 1, or phase 2 of so many entries.
    pub part: String,
    /// The ceremony that contributions name.
    pub ceremony: String,
    /// The last contribution of the chain that counts.
    pub head: String,
    /// Who contributed to it, first to last.
    pub contributors: Vec<String>,
    /// How many have to.
    pub needed: u32,
    /// Contributions that hold, on chains that do not count.
    pub forked: Vec<Other>,
    /// Contributions that do not count, with the reason.
    pub refused: Vec<Other>,
}

/// A contribution beside the chain that counts.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Other {
    /// Who made it.
    pub contributor: String,
    /// The hash of its bytes as a payload.
    pub payload: String,
    /// Why it does not count.
    pub why: String,
    /// True if it is broken, not merely out of place.
    pub broken: bool,
}

/// Phase 1 as it stands.
pub(super) struct PhaseOne<E: Curve> {
    /// What there is.
    pub report: PartReport,
    /// The chain that counts.
    pub best: Chain<Powers<E>>,
    /// What phase 2 begins with, once there are enough contributors.
    pub ground: Option<Ground<E>>,
}

/// The powers that phase 2 begins with.
pub(super) struct Ground<E: Curve> {
    /// The powers.
    pub powers: FinishedPowers<E>,
    /// Who made them.
    pub steps: Vec<Step>,
    /// How many members name them in phase 2.
    pub named_by: usize,
}

/// Phase 2 of a shape as it stands.
pub(super) struct PhaseTwo<E: Curve> {
    /// What there is.
    pub report: PartReport,
    /// The chain that counts.
    pub best: Chain<Draft<E>>,
}

/// A seed from the operating system, for one use.
pub(super) fn seed() -> anyhow::Result<Seed> {
    Ok(Seed::from_bytes(entropy::nonce()?))
}

/// Seconds that something takes on two cores of a server, from what was measured for this many points or entries.
pub(super) fn some_seconds(measured: f64, of: usize, here: usize, times: usize) -> u64 {
    let span = measured * here as f64 / of as f64 * times as f64;
    Duration::from_secs_f64(span).as_secs().max(1)
}

/// Orders chains: the one that counts comes first.
fn rank<S: Stage>(chain: &Chain<S>) -> (std::cmp::Reverse<usize>, ContentHash) {
    (std::cmp::Reverse(chain.steps().len()), chain.head())
}

impl Heap {
    /// What `peer` holds.
    ///
    /// # Errors
    /// If its federation is no ceremony.
    pub fn of(peer: &Peer) -> anyhow::Result<Self> {
        let manifest = peer.manifest();
        let plan = manifest.ceremony.clone().context(
            "the federation in this directory is no ceremony; `longhaul ceremony start` makes the manifest of one",
        )?;
        let lost = peer.missing_count();
        ensure!(
            lost == 0,
            "{lost} contributions of the log are lost or damaged on the disk: look with `longhaul store check`, \
             then let others give them again with `longhaul up`"
        );
        let item = |it: crate::peer::Contribution<'_>| Item {
            part: it.header.part,
            ceremony: it.header.ceremony,
            contributor: it.contributor,
            bytes: it.bytes.clone(),
            surplus: peer.contributions_of(it.contributor, it.header.part) >= CONTRIBUTIONS_MAX,
        };
        let items = peer.contributions().map(item).collect();
        Ok(Self { plan, members: manifest.members.iter().copied().collect(), items })
    }

    /// How many have to contribute to each part.
    pub fn policy(&self) -> Policy {
        let least = NonZeroUsize::new(self.plan.contributors_min as usize);
        Policy { contributors_min: least.unwrap_or(NonZeroUsize::MIN) }
    }

    /// The size of phase 1.
    pub fn size(&self) -> anyhow::Result<LogSize> {
        LogSize::new(self.plan.log_size).context("the size of phase 1 is out of range")
    }

    /// Number of contributions to a part, those included that do not count.
    pub fn count(&self, part: Part) -> usize {
        self.items.iter().filter(|it| it.part == part).count()
    }

    /// Verifies all contributions to phase 1.
    pub fn phase_one<E: CompiledCurve>(&self) -> anyhow::Result<PhaseOne<E>> {
        let start = E::phase_one(self.size()?, self.members.clone());
        let (named, policy) = (self.named::<E>(), self.policy());
        let mut best = start.clone();
        let mut ground: Option<Ground<E>> = None;
        let fates = self.explored::<E, _>(Part::Powers, &start, &mut |chain: &Chain<
            Powers<E>,
        >| {
            if rank(chain) < rank(&best) {
                best = chain.clone();
            }
            let Ok(powers) = E::finish(chain, policy) else { return };
            let found = Ground { named_by: named(&powers), powers, steps: chain.steps().to_vec() };
            if ground.as_ref().is_none_or(|it| found.rank() < it.rank()) {
                ground = Some(found);
            }
        })?;
        // Once phase 2 names one, that is the chain that counts, however long others have grown.
        let steps = match &ground {
            Some(ground) if ground.named_by > 0 => ground.steps.clone(),
            _ => best.steps().to_vec(),
        };
        let report = self.report((Part::Powers, best.ceremony()), &steps, fates);
        Ok(PhaseOne { report, best, ground })
    }

    /// Verifies all contributions to phase 2 of a shape from these powers, and shows `visit` every chain.
    pub fn phase_two<E: CompiledCurve>(
        &self,
        shape: Shape,
        powers: &FinishedPowers<E>,
        mut visit: impl FnMut(&Chain<Draft<E>>),
    ) -> anyhow::Result<PhaseTwo<E>> {
        let start = E::phase_two(shape, powers, self.members.clone())?;
        let mut best = start.clone();
        let part = Part::Circuit(shape);
        let fates = self.explored::<E, _>(part, &start, &mut |chain: &Chain<Draft<E>>| {
            visit(chain);
            if rank(chain) < rank(&best) {
                best = chain.clone();
            }
        })?;
        let report = self.report((part, best.ceremony()), best.steps(), fates);
        Ok(PhaseTwo { report, best })
    }

    /// Says of powers how many members name them in phase 2.
    fn named<E: CompiledCurve>(&self) -> impl Fn(&FinishedPowers<E>) -> usize + use<E> {
        let mut names: BTreeMap<ContentHash, BTreeSet<PeerId>> = BTreeMap::new();
        for it in self.items.iter().filter(|it| it.part != Part::Powers && !it.surplus) {
            names.entry(it.ceremony).or_default().insert(it.contributor);
        }
        let shapes = self.plan.shapes.clone();
        move |powers| {
            if names.is_empty() {
                return 0;
            }
            let ids = E::names(&shapes, powers).into_iter();
            let members: BTreeSet<_> = ids.filter_map(|id| names.get(&id)).flatten().collect();
            members.len()
        }
    }

    /// What became of each contribution to a part.
    fn explored<E: Compiles<S>, S: Stage>(
        &self,
        part: Part,
        start: &Chain<S>,
        visit: &mut dyn FnMut(&Chain<S>),
    ) -> anyhow::Result<Vec<(&Item, Result<Fate, String>)>> {
        let of_part = || self.items.iter().filter(|it| it.part == part);
        let counts = |it: &&Item| !it.surplus && it.ceremony == start.ceremony();
        let held: Vec<_> = of_part()
            .filter(counts)
            .map(|it| Held { signed_by: it.contributor, bytes: &it.bytes })
            .collect();
        let mut fates = E::explore(start.clone(), &held, &seed()?, visit).into_iter();
        let fate = |it| match counts(&it) {
            true => (it, fates.next().ok_or_else(|| "it was not looked at".to_owned())),
            false if it.surplus => (
                it,
                Err(format!(
                    "its maker made {CONTRIBUTIONS_MAX} to this part, so none of them counts"
                )),
            ),
            false => {
                (it, Err("it begins with another phase 1 than the one that counts".to_owned()))
            }
        };
        Ok(of_part().map(fate).collect())
    }

    fn report(
        &self,
        (part, ceremony): (Part, ContentHash),
        steps: &[Step],
        fates: Vec<(&Item, Result<Fate, String>)>,
    ) -> PartReport {
        let (mut forked, mut refused) = (Vec::new(), Vec::new());
        let in_chain = |hash: &ContentHash| steps.iter().any(|step| step.hash == *hash);
        for (item, fate) in fates {
            let other = |why: String, broken| Other {
                contributor: item.contributor.to_string(),
                payload: ContentHash::of(&item.bytes).to_string(),
                why,
                broken,
            };
            match fate {
                Ok(Fate::Holds(hash)) if in_chain(&hash) => {}
                Ok(Fate::Holds(_)) => {
                    forked.push(other("another chain counts".to_owned(), false));
                }
                Ok(Fate::Broken(refusal)) => refused.push(other(refusal.to_string(), true)),
                Ok(Fate::Unlinked(before)) => refused.push(other(
                    format!("it follows {before}, which is not held or does not hold"),
                    false,
                )),
                Err(why) => refused.push(other(why, false)),
            }
        }
        let head = steps.last().map_or(ceremony, |step| step.hash);
        PartReport {
            part: part.to_string(),
            ceremony: ceremony.to_string(),
            head: head.to_string(),
            contributors: steps.iter().map(|step| step.contributor.to_string()).collect(),
            needed: self.plan.contributors_min,
            forked,
            refused,
        }
    }
}

impl<E: CompiledCurve> Ground<E> {
    /// The chain as what phase 2 begins with, if enough contributed.
    pub fn of(chain: &Chain<Powers<E>>, policy: Policy) -> Option<Self> {
        let steps = chain.steps().to_vec();
        let powers = E::finish(chain, policy).ok()?;
        Some(Self { powers, steps, named_by: 0 })
    }

    fn rank(&self) -> (std::cmp::Reverse<(usize, usize)>, Option<ContentHash>) {
        let counts = std::cmp::Reverse((self.named_by, self.steps.len()));
        (counts, self.steps.last().map(|step| step.hash))
    }
}

impl PartReport {
    /// True if enough contributed.
    pub fn is_enough(&self) -> bool {
        self.contributors.len() >= self.needed as usize
    }

    /// True if this member contributed to the chain that counts.
    pub fn has(&self, member: PeerId) -> bool {
        self.contributors.contains(&member.to_string())
    }

    /// The report in lines.
    pub fn lines(&self) -> Vec<String> {
        let Self { part, contributors, needed, .. } = self;
        let count = contributors.len();
        let mut lines =
            vec![format!("{part}: {count} of at least {needed} contributors, head {}", self.head)];
        lines.extend(contributors.iter().map(|it| format!("  {it}")));
        for Other { contributor, payload, why, .. } in self.forked.iter().chain(&self.refused) {
            lines.push(format!("  does not count: {payload} of {contributor}: {why}"));
        }
        lines
    }

    /// An error that says how many are lacking.
    pub fn lacking(&self) -> anyhow::Error {
        let (part, found, needed) = (&self.part, self.contributors.len(), self.needed);
        anyhow!("{part} has {found} contributors, {needed} are needed; let others contribute first")
    }
}
