//! Training: when to ask for it, and how its result becomes an update.
//!
//! Epochs are cut by the manifest's clock. A peer trains at most once per
//! epoch, from the model plus its own updates that no term counts yet (by the weight that the
//! manifest gives them) plus what it has not published yet, and publishes the quantised change if it has a slot in
//! that epoch. Floats end here: everything behind the compressor is exact integers.

use std::sync::Arc;

use longhaul_aggregation::{
    BaseClaim, Epoch, MemberIndex, Parameters, Slot, Update, UpdateHeader, admit,
};
use longhaul_dtn::agent::Held;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::time::Timestamp;
use longhaul_registry::Record;
use longhaul_registry::plan::PERMILLE;

use super::guard::{self, Fork, Guard, Verdict};
use super::proving::Unproved;
use super::unpublished::Gathered;
use super::{Event, InStore, Output, Peer, TrainRequest, TrainedModel};

const SEED_CONTEXT: &str = "longhaul 2026-11 training batch order";

/// Training that was asked for and has not been answered.
#[derive(Debug)]
pub(super) struct InFlight {
    epoch: Epoch,
    base: Arc<Vec<f32>>,
    claim: BaseClaim,
    origin: Origin,
    /// The newest whole epoch of the shared model; see [`super::guard`].
    whole: Option<Epoch>,
    /// What the shared model's loss said, if this is asked for the second time.
    verdict: Option<Verdict>,
}

/// Whether the header gets the vouch bit.
fn vouches(guard: &Guard, verdict: Verdict, trial_loss: Option<f32>) -> bool {
    verdict == Verdict::Vouched && trial_loss.is_none_or(|loss| guard.approves(loss))
}

/// What training starts from, beside what is not published yet.
#[derive(Debug)]
enum Origin {
    /// The shared model and the own updates that are pending; kept only where it may
    /// be needed as a fork.
    Shared(Option<Parameters>),
    /// The peer's own fork.
    Fork,
}

/// A sum by a weight in thousandths, each entry rounded down.
fn weighed(mut sum: Parameters, permille: u16) -> Parameters {
    if permille != PERMILLE {
        // Sums of updates are below 2^63 with 32 bits of epochs, and those of a run far below.
        let scale =
            |units: i64| (i128::from(units) * i128::from(permille)).div_euclid(1_000) as i64;
        sum = Parameters::from_units(sum.as_slice().iter().map(|&units| scale(units)).collect());
    }
    sum
}

impl Peer {
    /// When the next epoch without an attempt begins.
    pub(super) fn training_due(&self) -> Option<Timestamp> {
        let idle = self.me.is_none() || self.manifest().is_ceremony();
        if idle || self.is_busy() || self.manifest().is_over(self.now) {
            return None;
        }
        let next = self.attempted.map_or(0, |epoch| epoch.get() + 1);
        let now = self.manifest().epoch_at(self.now).map_or(0, Epoch::get);
        let epoch = Epoch::new(next.max(now));
        (epoch.get() < self.manifest().epochs).then(|| self.manifest().epoch_start(epoch))
    }

    /// True while an own update is under way: the next header has to name it.
    const fn is_busy(&self) -> bool {
        self.training.is_some() || self.is_proving()
    }

    pub(super) fn train_if_due(&mut self) {
        let Some(epoch) = self.manifest().epoch_at(self.now) else { return };
        if self.is_busy() || self.attempted.is_some_and(|last| last >= epoch) {
            return;
        }
        self.attempted = Some(epoch);
        // A courier has nothing to train from, and in a ceremony nobody trains.
        if let Some(me) = self.me.filter(|_| !self.manifest().is_ceremony()) {
            self.train(me, epoch, None);
        }
    }

    /// Asks for the training of `epoch`, from the shared model or from the fork.
    fn train(&mut self, me: MemberIndex, epoch: Epoch, verdict: Option<Verdict>) {
        let window = u32::from(self.manifest().bounds.summary_window);
        let shared = self.fold.model_f32();
        let (origin, mut base, claim) = match self.guard.fork() {
            Some(fork) => {
                let claim = fork.claim(&self.fold, me, epoch, window);
                (Origin::Fork, fork.base(&self.fold, me), claim)
            }
            None => {
                let model = self.fold.model_id();
                let summary = self.fold.base_summary(epoch, window);
                let (all, guard) = (self.manifest.manifest().epochs, &self.guard);
                let own = |epoch| !guard.is_forked(epoch);
                let pending = self.fold.pending(me, all, own);
                let mut base = self.fold.model().clone();
                let weight = self.manifest.manifest().training.pending_permille;
                pending.into_iter().for_each(|it| base.add(&weighed(it, weight)));
                let kept = guard::is_guarded(&self.fold).then(|| base.clone());
                (Origin::Shared(kept), base, BaseClaim { model, summary })
            }
        };
        let trial = match guard::is_guarded(&self.fold) {
            true => self.fold.trial_model(epoch, window).map(|it| Arc::new(it.to_f32())),
            false => None,
        };
        self.unpublished.add_to(&mut base);
        // Where nothing is pending the base is the shared model, of which floats are there.
        let base = match base == *self.fold.model() {
            true => shared.clone(),
            false => Arc::new(base.to_f32()),
        };
        let request = TrainRequest {
            epoch,
            base: base.clone(),
            shared,
            trial,
            plan: self.manifest().training.in_epoch(epoch.get(), self.manifest().epochs),
            seed: self.batch_seed(epoch),
        };
        let whole = guard::newest_whole(&self.fold, 2 * self.manifest().attackers() + 1);
        self.training = Some(InFlight { epoch, base, claim, origin, whole, verdict });
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
        let training = self.training.take_if(|it| it.epoch == trained.epoch);
        let (Some(mut training), Some(me)) = (training, self.me) else { return };
        if training.epoch < self.fold.open_from() {
            return self.report_too_late(training.epoch);
        }
        let verdict = training
            .verdict
            .unwrap_or_else(|| self.guard.judge(trained.shared_loss, training.whole));
        if self.goes_astray(&mut training, verdict) {
            return self.train(me, training.epoch, Some(verdict));
        }
        if let Err(why) = self.gather(&training, &trained) {
            return self.event(Event::Skipped { epoch: trained.epoch, why });
        }
        if !self.is_drawn(training.epoch) {
            return;
        }
        let Some(gathered) = self.unpublished.take() else { return };
        let norm_max = self.manifest().bounds.norm_max;
        let key = self.policy.mask_key(training.epoch);
        let update = self.compressor.compress_in(&key, &gathered.change, norm_max);
        let vouch = vouches(&self.guard, verdict, trained.trial_loss);
        let header = self.header(&training, &gathered, vouch, &update);
        let (epoch, previous, header) = (header.epoch, header.previous, header.encode());
        let sequence = u64::from(epoch.get());
        match self.prepare_bundle(sequence, header.clone(), update.payload()) {
            Ok((prepared, travels)) => {
                self.prove(Unproved { epoch, previous, prepared, travels, update, header });
            }
            Err(error) => self.event(Event::Skipped { epoch, why: error.to_string() }),
        }
    }

    /// Signs an own update, with its proof where there has to be one, and records it.
    pub(super) fn sign_own(&mut self, own: Unproved, proof: Option<&[u8]>) {
        let Unproved { epoch, prepared, travels, update, header, .. } = own;
        let head = match prepared.sign(proof) {
            Ok(head) => head,
            Err(error) => return self.event(Event::Skipped { epoch, why: error.to_string() }),
        };
        let mut admitted = admit(&self.policy, self.me, &header, update.payload().clone())
            .expect("an own update is within the manifest's bounds");
        admitted.header_hash = match self.manifest.slot_name(&head, admitted.header_hash) {
            Ok(name) => name,
            Err(error) => return self.event(Event::Skipped { epoch, why: error.to_string() }),
        };
        let record = Record::Update { head: head.encode() };
        let hash = head.payload_hash();
        self.insert(Arc::new(admitted), head.id(), hash);
        let held = Held { head: Arc::new(head), payload: travels.clone() };
        let then = InStore::Own { epoch, held };
        self.persist(Some((hash, travels)), vec![record], then);
    }

    /// True when the training that came back started from a model that is ruined, and
    /// there is a fork to train from instead.
    fn goes_astray(&mut self, training: &mut InFlight, verdict: Verdict) -> bool {
        let epoch = training.epoch;
        match &mut training.origin {
            Origin::Shared(Some(_)) if verdict == Verdict::Ruined => {
                return self.guard.went_astray();
            }
            Origin::Shared(base) => {
                let claim = training.claim.clone();
                let good = base.take().map(|base| Fork { epoch, base, claim });
                good.into_iter().for_each(|good| self.guard.found_good(good));
            }
            Origin::Fork => {
                self.guard.forked(epoch);
                if verdict != Verdict::Ruined {
                    self.guard.came_back();
                }
            }
        }
        false
    }

    /// True when the peer may fill its slot in `epoch`.
    fn is_drawn(&self, epoch: Epoch) -> bool {
        let Some(member) = self.me else { return false };
        let slot = Slot { member, epoch };
        self.policy.sortition.as_ref().is_none_or(|sortition| sortition.draws(slot))
    }

    fn gather(&mut self, training: &InFlight, trained: &TrainedModel) -> Result<(), String> {
        let (before, after) = (&training.base, &trained.parameters);
        if after.len() != before.len() {
            return Err(format!("{} parameters came back for {}", after.len(), before.len()));
        }
        let change = Parameters::change(before, after).map_err(|error| error.to_string())?;
        let epochs_max = self.manifest().accumulate_epochs_max();
        self.unpublished.add(change, trained.samples, epochs_max);
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_updates_are_weighed_exactly() {
        let sum = Parameters::from_units(vec![0, 1, -1, 1_001, -1_001, 1 << 50]);
        assert_eq!(weighed(sum.clone(), 1_000), sum);
        let half = [0, 0, -1, 500, -501, 1 << 49];
        assert_eq!(weighed(sum.clone(), 500).as_slice(), half);
        assert_eq!(weighed(sum, 0).as_slice(), [0; 6]);
    }
}
