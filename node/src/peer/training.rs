//! Training: when to ask for it, and how its result becomes an update.
//!
//! Epochs are cut by the manifest's clock. A peer trains at most once per
//! epoch, from the model plus its own updates that no term counts yet plus what
//! it has not published yet, and publishes the quantised change if it has a slot in
//! that epoch. Floats end here: everything behind the compressor is exact integers.

use std::sync::Arc;

use longhaul_aggregation::{BaseClaim, Epoch, Parameters, Slot, Update, UpdateHeader, admit};
use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::{BundleDraft, BundleHead};
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::time::Timestamp;
use longhaul_registry::Record;

use super::unpublished::Gathered;
use super::{Event, InStore, Output, Peer, TrainRequest, TrainedModel};

/// Hops that a bundle may take; ferry chains can be long, and 255 is the most.
const HOP_LIMIT: u8 = 255;
/// Vouch bit: the shared model's loss may exceed the reference by this factor.
const VOUCH_LOSS_FACTOR: f32 = 1.25;
/// Vouch bit: and by this much more, so that small losses do not flicker.
const VOUCH_LOSS_MARGIN: f32 = 0.05;
const SEED_CONTEXT: &str = "longhaul 2026-11 training batch order";

/// Training that was asked for and has not been answered.
#[derive(Debug)]
pub(super) struct InFlight {
    epoch: Epoch,
    base: Arc<Vec<f32>>,
    claim: BaseClaim,
}

impl Peer {
    /// When the next epoch without an attempt begins.
    pub(super) fn training_due(&self) -> Option<Timestamp> {
        if self.training.is_some() || self.manifest().is_over(self.now) {
            return None;
        }
        let next = self.attempted.map_or(0, |epoch| epoch.get() + 1);
        let now = self.manifest().epoch_at(self.now).map_or(0, Epoch::get);
        let epoch = Epoch::new(next.max(now));
        (epoch.get() < self.manifest().epochs).then(|| self.manifest().epoch_start(epoch))
    }

    pub(super) fn train_if_due(&mut self) {
        let Some(epoch) = self.manifest().epoch_at(self.now) else { return };
        if self.training.is_some() || self.attempted.is_some_and(|last| last >= epoch) {
            return;
        }
        self.attempted = Some(epoch);
        let window = u32::from(self.manifest().bounds.summary_window);
        let claim = BaseClaim {
            model: self.fold.model_id(),
            summary: self.fold.base_summary(epoch, window),
        };
        let shared = self.fold.model_f32();
        let all = self.manifest().epochs;
        let mut base = self.fold.training_base(self.me, all);
        self.unpublished.add_to(&mut base);
        let base = Arc::new(base.to_f32());
        let request = TrainRequest {
            epoch,
            base: base.clone(),
            shared,
            plan: self.manifest().training,
            seed: self.batch_seed(epoch),
        };
        self.training = Some(InFlight { epoch, base, claim });
        self.outputs.push_back(Output::Train(request));
    }

    fn batch_seed(&self, epoch: Epoch) -> [u8; 32] {
        let bytes = [&self.nonce[..], &epoch.get().to_be_bytes()].concat();
        *ContentHash::derive(SEED_CONTEXT, &bytes).as_bytes()
    }

    pub(super) fn skip(&mut self, epoch: Epoch, why: String) {
        if self.training.take_if(|training| training.epoch == epoch).is_some() {
            self.event(Event::Skipped { epoch, why });
        }
    }

    /// Gathers what a finished training changed, and turns it into the signed
    /// update of the epoch's slot if the peer has that.
    pub(super) fn publish(&mut self, trained: TrainedModel) {
        let Some(training) = self.training.take_if(|it| it.epoch == trained.epoch) else { return };
        if let Err(why) = self.gather(&training, &trained) {
            return self.event(Event::Skipped { epoch: trained.epoch, why });
        }
        let vouch = self.vouches(trained.shared_loss);
        if !self.is_drawn(training.epoch) {
            return;
        }
        let Some(gathered) = self.unpublished.take() else { return };
        let norm_max = self.manifest().bounds.norm_max;
        let update = self.compressor.compress(&gathered.change, norm_max);
        let header = self.header(&training, &gathered, vouch, &update);
        let head = match self.seal(&header, &update) {
            Ok(head) => head,
            Err(why) => return self.event(Event::Skipped { epoch: trained.epoch, why }),
        };
        let payload = update.payload().clone();
        let admitted = admit(&self.policy, Some(self.me), head.header(), payload.clone())
            .expect("an own update is within the manifest's bounds");
        let record = Record::Update { head: head.encode() };
        let hash = head.payload_hash();
        self.insert(admitted);
        let held = Held { head: Arc::new(head), payload: payload.clone() };
        let then = InStore::Own { epoch: header.epoch, held };
        self.persist(Some((hash, payload)), vec![record], then);
    }

    /// True when the peer may fill its slot in `epoch`.
    fn is_drawn(&self, epoch: Epoch) -> bool {
        let slot = Slot { member: self.me, epoch };
        self.policy.sortition.as_ref().is_none_or(|sortition| sortition.draws(slot))
    }

    fn gather(&mut self, training: &InFlight, trained: &TrainedModel) -> Result<(), String> {
        let after = Parameters::from_f32(&trained.parameters).map_err(|error| error.to_string())?;
        let before = Parameters::from_f32(&training.base).map_err(|error| error.to_string())?;
        if after.len() != before.len() {
            return Err(format!("{} parameters came back for {}", after.len(), before.len()));
        }
        let mut delta = after;
        delta.subtract(&before);
        let epochs_max = self.manifest().accumulate_epochs_max();
        self.unpublished.add(delta, trained.samples, epochs_max);
        Ok(())
    }

    fn header(
        &self,
        training: &InFlight,
        gathered: &Gathered,
        vouch: bool,
        update: &Update,
    ) -> UpdateHeader {
        UpdateHeader {
            federation: self.manifest.id().hash(),
            epoch: training.epoch,
            previous: self.last_slot,
            base: training.claim.clone(),
            vouch,
            payload: ContentHash::of(update.payload()),
            samples: gathered.samples,
            steps: self.manifest().training.steps.saturating_mul(gathered.epochs),
        }
    }

    /// The vouch bit: the shared model is about as good here as it was when a
    /// term last came from a whole cohort (2F + 1 authors).
    fn vouches(&mut self, loss: f32) -> bool {
        let reference = *self.vouch_reference.get_or_insert(loss);
        let good = loss <= VOUCH_LOSS_FACTOR * reference + VOUCH_LOSS_MARGIN;
        let whole = 2 * self.manifest().attackers() + 1;
        let newest = self.newest_term();
        if newest.is_some_and(|epoch| self.fold.term_status(epoch).authors >= whole) {
            self.vouch_reference = Some(loss);
        }
        good
    }

    fn seal(&self, header: &UpdateHeader, update: &Update) -> Result<BundleHead, String> {
        let federation = self.manifest.id().hash();
        let draft = BundleDraft {
            destination: Eid::dtn(&federation.to_string(), "updates")
                .map_err(|error| error.to_string())?,
            created: self.now,
            sequence: u64::from(header.epoch.get()),
            lifetime: self.manifest().bounds.bundle_lifetime,
            hop_limit: HOP_LIMIT,
            header: header.encode(),
            payload: update.payload(),
        };
        BundleHead::seal(draft, &self.key).map_err(|error| error.to_string())
    }
}
