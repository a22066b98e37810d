//! Adversaries: what a hostile member signs in place of an honest update.
//!
//! A hostile host runs the shipping peer for its contacts and its model. When
//! that peer asks for training, the adversary trains as well, makes of the result
//! what its attack says, signs it with the member's key and hands it to its own
//! peer over a contact inside the host, as a stranger with the bundle would. So
//! nothing in the peer has to help, and an attack can only do what a hostile
//! member could.

mod forge;
mod payload;

use std::collections::VecDeque;
use std::sync::Arc;

use longhaul_aggregation::{
    BaseClaim, BaseSummary, Compressor, Epoch, MemberIndex, Parameters, Previous, Update,
    UpdateHeader,
};
use longhaul_dtn::agent::{self, Agent, AgentConfig, Held, LinkId};
use longhaul_dtn::bundle::{BundleDraft, BundleHead, Prepared};
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_dtn::time::Timestamp;
use longhaul_node::peer::TrainedModel;
use longhaul_proofs::update::{ProveUpdates, opening_seed, subject};
use longhaul_registry::SignedManifest;

use crate::federation::Federation;
use crate::scenario::{Attack, Form};
use forge::Sight;

/// Links with these numbers and above lead to the hand inside a hostile host.
pub const HAND_LINK_FIRST: u64 = 1 << 63;

/// A hostile member.
#[derive(Debug)]
pub struct Adversary {
    /// What it does.
    pub attack: Attack,
    /// First and last epoch (exclusive) in which it does so.
    pub epochs: (f64, f64),
    /// How often it did.
    pub acted: u64,
    /// The change that it signed last.
    pub agreed: Option<Arc<Vec<f32>>>,
    /// Its place in the scenario's list.
    pub index: usize,
    /// How many names it has.
    names: usize,
    manifest: Arc<SignedManifest>,
    prover: Option<Arc<dyn ProveUpdates>>,
    key: SecretKey,
    compressor: Compressor,
    last_slot: Option<Previous>,
    /// Own changes of earlier epochs, oldest first; for replays.
    past: VecDeque<Arc<Vec<f32>>>,
    /// The payload that it signs again and again.
    first: Option<Arc<[u8]>>,
    /// What its peer knew when it asked for training.
    claim: Option<Claim>,
    hand: Hand,
}

/// Where an adversary stands.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// In the scenario's list.
    pub index: usize,
    /// How many names it has.
    pub names: usize,
    /// First and last epoch (exclusive) in which it attacks.
    pub epochs: (f64, f64),
}

/// The change of an honest peer, as an adversary sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Whose.
    pub peer: u16,
    /// What it would add to the model.
    pub change: Arc<Vec<f32>>,
}

/// What an update starts from.
#[derive(Debug, Clone)]
struct Claim {
    epoch: Epoch,
    base: Arc<Vec<f32>>,
    claim: BaseClaim,
}

/// The other end of the contact inside the host.
#[derive(Debug)]
struct Hand {
    id: PeerId,
    config: AgentConfig,
    agent: Agent,
    link: LinkId,
}

/// What an attack made of one training.
#[derive(Debug, Clone)]
pub struct Crafted {
    /// The bundle to hand out now.
    pub now: Held,
    /// A twin of the same slot, to hand out so many epochs later.
    pub later: Option<(Held, f64)>,
    /// True if honest peers refuse it, and so would its own.
    pub is_refused: bool,
}

/// What an attack may know besides its own training.
#[derive(Debug, Clone, Copy)]
pub struct Knowledge<'a> {
    /// Changes that honest peers made in this epoch, as far as they are trained.
    pub honest: &'a [Seen],
    /// Those of the epoch before.
    pub earlier: &'a [Seen],
    /// The change that all of this adversary's names agreed on for this epoch.
    pub agreed: Option<&'a Arc<Vec<f32>>>,
}

impl Adversary {
    /// A peer, turned hostile.
    pub fn new(
        attack: Attack,
        Place { index, names, epochs }: Place,
        federation: &Federation,
        peer: usize,
    ) -> Self {
        let (manifest, key) = (federation.manifest.clone(), federation.keys[peer].clone());
        let secret = ContentHash::of(&[&b"hand of "[..], key.peer_id().as_bytes()].concat());
        let id = SecretKey::from_seed(secret.as_bytes()).peer_id();
        let limits = manifest.bundle_limits();
        let config = AgentConfig::new(id, manifest.id().hash(), limits, *secret.as_bytes());
        let agent = Agent::new(config.clone());
        let hand = Hand { id, config, agent, link: LinkId(HAND_LINK_FIRST) };
        let agreed = manifest.manifest();
        Self {
            attack,
            epochs,
            acted: 0,
            agreed: None,
            index,
            names,
            compressor: Compressor::with(&agreed.schema, agreed.encoding),
            manifest,
            prover: federation.prover.clone(),
            key,
            last_slot: None,
            past: VecDeque::new(),
            first: None,
            claim: None,
            hand,
        }
    }

    /// True when it attacks in `epoch`.
    pub fn is_active(&self, epoch: Epoch) -> bool {
        let epoch = f64::from(epoch.get());
        self.epochs.0 <= epoch && epoch < self.epochs.1
    }

    /// Notes what the host's peer knew when it asked for training.
    pub fn asked(&mut self, epoch: Epoch, base: Arc<Vec<f32>>, claim: BaseClaim) {
        self.claim = Some(Claim { epoch, base, claim });
    }

    /// Makes the hostile update of an epoch; none if it has nothing to say.
    pub fn craft(
        &mut self,
        now: Timestamp,
        trained: &TrainedModel,
        known: Knowledge<'_>,
    ) -> Option<Crafted> {
        let claim = self.claim.take().filter(|claim| claim.epoch == trained.epoch)?;
        let own = Arc::new(difference(&trained.parameters, &claim.base));
        self.remember(&own);
        let change = self.change(&own, claim.epoch, known)?;
        self.agreed = Some(change.clone());
        let change = self.named(change, claim.epoch, known);
        let previous = self.last_slot;
        let held = self.seal(now, &claim, previous, &change, trained.samples)?;
        let is_refused = matches!(self.attack, Attack::Payload { form } if !form.is_admitted());
        if !is_refused {
            let header = longhaul_aggregation::HeaderHash::of(held.head.header());
            self.last_slot = Some(Previous { epoch: claim.epoch, header });
        }
        let later = match self.attack {
            Attack::Equivocate { release_epochs } => {
                let twin = scaled(&own, -1.0);
                let twin = self.seal(now, &claim, previous, &twin, trained.samples)?;
                Some((twin, release_epochs.get()))
            }
            _ => None,
        };
        self.acted += 1;
        Some(Crafted { now: held, later, is_refused })
    }

    fn remember(&mut self, own: &Arc<Vec<f32>>) {
        let Attack::StaleReplay { epochs } = self.attack else { return };
        self.past.push_back(own.clone());
        if self.past.len() > usize::try_from(epochs.get()).unwrap_or(usize::MAX).saturating_add(1) {
            self.past.pop_front();
        }
    }

    fn change(
        &self,
        own: &Arc<Vec<f32>>,
        epoch: Epoch,
        known: Knowledge<'_>,
    ) -> Option<Arc<Vec<f32>>> {
        if let (true, Some(agreed)) = (self.attack.is_agreed(), known.agreed) {
            return Some(agreed.clone());
        }
        Some(match self.attack {
            Attack::Scale { factor }
            | Attack::FalseBase { factor }
            | Attack::BridgingBase { factor }
            | Attack::Sybil { factor }
            | Attack::SybilJittered { factor, .. }
            | Attack::Backdoor { factor, .. } => scaled(own, factor),
            Attack::Alie { z } => {
                moved_mean(known.honest, own, |mean, deviation| mean - z as f32 * deviation)
            }
            Attack::Ipm { epsilon } => {
                moved_mean(known.honest, own, |mean, _| -(epsilon as f32) * mean)
            }
            Attack::StaleReplay { .. } => self.past.front()?.clone(),
            Attack::Equivocate { .. }
            | Attack::FalseVouch
            | Attack::LabelFlip
            | Attack::Payload { .. } => own.clone(),
            Attack::FreeRider => Arc::new(vec![0.0; own.len()]),
            Attack::OptimalIpm
            | Attack::OptimalAlie
            | Attack::MinMax
            | Attack::MinSum
            | Attack::Dissensus { .. }
            | Attack::Rop { .. }
            | Attack::Mimic { .. }
            | Attack::SlowPoisoning { .. } => {
                let sight = Sight { own, known, names: self.names, epoch };
                Arc::new(sight.forge(&self.attack, &self.manifest)?)
            }
        })
    }

    /// What this name signs of a change that all its names agreed on.
    fn named(&self, change: Arc<Vec<f32>>, epoch: Epoch, known: Knowledge<'_>) -> Arc<Vec<f32>> {
        let Attack::SybilJittered { share, .. } = self.attack else { return change };
        let sight = Sight { own: &change, known, names: self.names, epoch };
        Arc::new(sight.jittered(share, self.key.peer_id().as_bytes()))
    }

    fn seal(
        &mut self,
        now: Timestamp,
        claim: &Claim,
        previous: Option<Previous>,
        change: &[f32],
        samples: u32,
    ) -> Option<Held> {
        let manifest = self.manifest.manifest();
        let delta = Parameters::from_f32(change).ok()?;
        let key = self.manifest.admission_policy().mask_key(claim.epoch);
        let update = self.compressor.compress_in(&key, &delta, manifest.bounds.norm_max);
        let payload = match self.attack {
            Attack::Payload { form: Form::Duplicate } => {
                self.first.get_or_insert_with(|| update.payload().clone()).clone()
            }
            Attack::Payload { form } => payload::of(form, &update, manifest, &key),
            _ => update.payload().clone(),
        };
        let header = UpdateHeader {
            federation: self.manifest.id().hash(),
            epoch: claim.epoch,
            previous,
            base: BaseClaim { model: claim.claim.model, summary: self.summary(claim) },
            vouch: true,
            payload: ContentHash::of(&payload),
            samples,
            steps: manifest.training.steps,
        };
        let draft = BundleDraft {
            destination: Eid::dtn(&self.manifest.id().to_string(), "updates").ok()?,
            created: now.max(manifest.start),
            sequence: u64::from(claim.epoch.get()),
            lifetime: manifest.bounds.bundle_lifetime,
            hop_limit: u8::MAX,
            header: header.encode(),
            payload: &payload,
        };
        let head = self.sign(draft, update)?;
        Some(Held { head: Arc::new(head), payload })
    }

    /// Signs a bundle, with a proof about its payload where the federation asks for one: about `update` where the payload
    /// is none, and without where there is none to be made.
    fn sign(&self, draft: BundleDraft<'_>, update: Update) -> Option<BundleHead> {
        let (payload, number) = (draft.payload, draft.sequence);
        let prepared = Prepared::clear(draft, &self.key).ok()?;
        let proof = self.prover.as_ref().and_then(|prover| {
            let manifest = self.manifest.manifest();
            let is_own = payload == &**update.payload();
            let signed = Update::decode(payload.into(), &manifest.schema).ok();
            let update = signed.filter(|_| !is_own).unwrap_or(update);
            let hashes = [prepared.header_hash(), prepared.payload_hash()];
            let subject = subject(self.manifest.id().hash(), prepared.signer(), number, hashes)?;
            let seed = opening_seed(payload, &hashes[0], None);
            prover.prove(&subject, &update, &seed).ok()
        });
        prepared.sign(proof.as_deref()).ok()
    }

    fn summary(&self, claim: &Claim) -> BaseSummary {
        let rows = claim.claim.summary.rows().len();
        let members = u16::try_from(self.manifest.manifest().members.len()).unwrap_or(u16::MAX);
        let row: Vec<MemberIndex> = match self.attack {
            Attack::FalseBase { .. } => Vec::new(),
            Attack::BridgingBase { .. } | Attack::FalseVouch => {
                (0..members).map(MemberIndex::new).collect()
            }
            _ => return claim.claim.summary.clone(),
        };
        BaseSummary::new(vec![row; rows]).expect("the rows ascend")
    }

    /// Opens a contact with `peer`, inside the host, on which `held` is offered; gives the
    /// link and who stands at its other end.
    pub fn offer(&mut self, now: Timestamp, held: Held, peer: PeerId) -> (LinkId, PeerId) {
        let hand = &mut self.hand;
        hand.link = LinkId(hand.link.0 + 1);
        hand.agent = Agent::new(hand.config.clone());
        hand.agent.handle(now, agent::Input::Publish(held));
        let link = hand.link;
        hand.agent.handle(now, agent::Input::LinkUp { link, peer });
        (link, hand.id)
    }

    /// A frame of the host's peer to the hand.
    pub fn take(&mut self, now: Timestamp, bytes: Vec<u8>) {
        let link = self.hand.link;
        self.hand.agent.handle(now, agent::Input::Frame { link, bytes });
    }

    /// A frame of the hand to the host's peer.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        while let Some(output) = self.hand.agent.poll() {
            if let agent::Output::Transmit { frame, .. } = output {
                return Some(frame);
            }
        }
        None
    }
}

/// Entry by entry, `after - before`.
pub fn difference(after: &[f32], before: &[f32]) -> Vec<f32> {
    after.iter().zip(before).map(|(after, before)| after - before).collect()
}

fn scaled(change: &[f32], factor: f64) -> Arc<Vec<f32>> {
    Arc::new(change.iter().map(|value| value * factor as f32).collect())
}

/// Entry by entry, `make(mean, standard deviation)` of the honest changes, or of
/// the own one where none is known yet.
fn moved_mean(
    honest: &[Seen],
    own: &Arc<Vec<f32>>,
    make: impl Fn(f32, f32) -> f32,
) -> Arc<Vec<f32>> {
    let known: Vec<&Arc<Vec<f32>>> = match honest {
        [] => vec![own],
        honest => honest.iter().map(|it| &it.change).collect(),
    };
    let count = known.len() as f32;
    let entry = |index: usize| {
        let values = || known.iter().map(|change| change[index]);
        let mean = values().sum::<f32>() / count;
        let variance = values().map(|value| (value - mean) * (value - mean)).sum::<f32>() / count;
        make(mean, variance.sqrt())
    };
    Arc::new((0..own.len()).map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(values: &[f32]) -> Arc<Vec<f32>> {
        Arc::new(values.to_vec())
    }

    #[test]
    fn moves_the_mean_by_deviations() {
        let seen = |values: &[f32]| Seen { peer: 0, change: change(values) };
        let honest = [seen(&[1.0, 0.0]), seen(&[3.0, 0.0])];
        let own = change(&[9.0, 9.0]);
        let moved = moved_mean(&honest, &own, |mean, deviation| mean - 2.0 * deviation);
        assert_eq!(*moved, [0.0, 0.0]);
        let turned = moved_mean(&honest, &own, |mean, _| -0.5 * mean);
        assert_eq!(*turned, [-1.0, 0.0]);
        assert_eq!(*moved_mean(&[], &own, |mean, _| mean), [9.0, 9.0]);
    }

    #[test]
    fn differences_and_scales_entry_by_entry() {
        let own = difference(&[3.0, 1.0], &[1.0, 2.0]);
        assert_eq!(own, [2.0, -1.0]);
        assert_eq!(*scaled(&own, -4.0), [-8.0, 4.0]);
    }
}
