//! Proving: proofs about own updates, and verdicts on those of others.
//!
//! Where the manifest asks for proofs, an own update is signed once its proof is there, and a bundle of somebody else is judged
//! once its proof was found to hold. Both are effects that a later input answers ([`Output::Prove`], [`Output::Verify`]), since
//! a proof takes a second and a verdict milliseconds. While one batch is being verified, what comes meanwhile gathers to
//! the next: the busier the peer, the larger the batches and the less each proof costs.
//!
//! A courier, which has no payload in clear, verifies like anybody else. Whoever reads an update also compares it with what
//! its proof commits to; a mismatch is the author's contradiction with itself.

use std::sync::Arc;

use longhaul_aggregation::{Admitted, Epoch, MemberIndex, Previous, RefusalKind, Update, admit};
use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::{BundleHead, Prepared};
use longhaul_dtn::identity::PeerId;
use longhaul_proofs::s1::Subject;
use longhaul_proofs::seed::Seed;
use longhaul_proofs::update::{ProveUpdates, opening_seed, subject};
use longhaul_registry::proving::check_commitments;
use longhaul_registry::{FraudProof, ProofRefusal, SignedManifest};

use super::{Event, Input, Memo, Output, Peer};

/// Most proofs of one batch, so that the first verdict does not wait for long.
const BATCH_MAX: usize = 128;
/// The code of a refusal: this peer has no proving keys and cannot compare a payload with its proof.
pub(super) const NO_KEYS_CODE: u16 = 208;

/// Codes of refusals for what a payload is: malformed, of another shape, out of range, above the bound, not what was
/// committed to.
const PAYLOAD_CODES: [u16; 6] = [
    RefusalKind::PayloadMalformed.code(),
    RefusalKind::Shape.code(),
    RefusalKind::ExponentRange.code(),
    RefusalKind::ValueRange.code(),
    RefusalKind::NormBound.code(),
    ProofRefusal::COMMITMENT_CODE,
];

/// What waits for a proof, or for a verdict on one.
#[derive(Debug, Default)]
pub(super) struct Proving {
    prover: Option<Arc<dyn ProveUpdates>>,
    own: Option<Unproved>,
    waiting: Vec<(Held, PeerId)>,
    /// The batch that is being verified, in the order of the request.
    asked: Vec<(Held, PeerId)>,
}

/// An own update that is not signed yet.
#[derive(Debug)]
pub(super) struct Unproved {
    /// The slot.
    pub epoch: Epoch,
    /// The author's slot before, as the header names it.
    pub previous: Option<Previous>,
    /// The bundle.
    pub prepared: Prepared,
    /// Its payload as it travels.
    pub travels: Arc<[u8]>,
    /// Its payload.
    pub update: Update,
    /// What it says of itself, in clear.
    pub header: Vec<u8>,
}

/// Proves that an own update is within bounds; answer with [`ProveRequest::carry_out`].
#[derive(Debug)]
pub struct ProveRequest {
    epoch: Epoch,
    subject: Subject,
    update: Update,
    seed: Seed,
    prover: Arc<dyn ProveUpdates>,
}

/// Verifies proofs about updates of others; answer with [`VerifyRequest::carry_out`].
#[derive(Debug)]
pub struct VerifyRequest {
    manifest: Arc<SignedManifest>,
    heads: Vec<Arc<BundleHead>>,
}

/// The answer to a [`ProveRequest`].
#[derive(Debug, Clone)]
pub struct Proven {
    epoch: Epoch,
    proof: Result<Vec<u8>, String>,
}

impl Proven {
    /// Whether there is a proof, and not only a reason why there is none.
    pub const fn is_made(&self) -> bool {
        self.proof.is_ok()
    }
}

impl Proving {
    /// What makes proofs and compares payloads with them.
    pub fn prover(&self) -> Option<Arc<dyn ProveUpdates>> {
        self.prover.clone()
    }
}

impl ProveRequest {
    /// The slot that the update fills.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Makes the proof: some 0.5 s of one core for each chunk of 65,000 entries, on the current rayon pool.
    pub fn carry_out(&self) -> Input {
        let proof = self.prover.prove(&self.subject, &self.update, &self.seed);
        Input::Proven(Proven { epoch: self.epoch, proof: proof.map_err(|it| it.to_string()) })
    }
}

impl VerifyRequest {
    /// How many proofs there are.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there is none, which is never asked.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Gives the verdicts: some 0.2 ms of one core for each chunk of a large batch, on the current rayon pool.
    pub fn carry_out(&self) -> Input {
        let heads: Vec<&BundleHead> = self.heads.iter().map(|head| &**head).collect();
        Input::Verified(self.manifest.check_proofs(&heads))
    }
}

impl Peer {
    /// Gives the peer what makes proofs and compares payloads with them: a member of a federation that asks for
    /// proofs trains and judges nothing without. See [`longhaul_registry::SignedManifest::proof_prover`].
    pub fn set_prover(&mut self, prover: Option<Arc<dyn ProveUpdates>>) {
        self.proving.prover = prover;
    }

    /// True while an own update waits for its proof.
    pub(super) const fn is_proving(&self) -> bool {
        self.proving.own.is_some()
    }

    /// Number of bundles whose proofs have no verdict yet.
    pub fn unverified(&self) -> usize {
        self.proving.waiting.len() + self.proving.asked.len()
    }

    /// Asks for the proof about an own update, or signs it at once where none is asked for.
    pub(super) fn prove(&mut self, own: Unproved) {
        let Some(_) = self.manifest.proof_verifier() else {
            return self.sign_own(own, None);
        };
        let Some(prover) = self.proving.prover.clone() else {
            let why = "there are no proving keys".to_owned();
            return self.event(Event::Skipped { epoch: own.epoch, why });
        };
        let prepared = &own.prepared;
        let header = prepared.header_hash();
        let hashes = [header, prepared.payload_hash()];
        let federation = self.manifest.id().hash();
        let subject = subject(federation, prepared.signer(), u64::from(own.epoch.get()), hashes)
            .expect("an epoch is one");
        let seed = opening_seed(own.update.payload(), &header, prepared.salt().as_ref());
        let (epoch, update) = (own.epoch, own.update.clone());
        let request = ProveRequest { epoch, subject, update, seed, prover };
        self.proving.own = Some(own);
        self.outputs.push_back(Output::Prove(request));
    }

    /// Signs the own update whose proof is there.
    pub(super) fn proven(&mut self, proven: Proven) {
        let Some(own) = self.proving.own.take_if(|own| own.epoch == proven.epoch) else { return };
        let epoch = own.epoch;
        if epoch < self.fold.open_from() {
            return self.report_too_late(epoch);
        }
        // An own slot came back meanwhile that the log had lost: the header would contradict it.
        if own.previous != self.last_slot {
            let why = "another own update turned up while its proof was made".to_owned();
            return self.event(Event::Skipped { epoch, why });
        }
        match proven.proof {
            Ok(proof) => self.sign_own(own, Some(&proof)),
            Err(why) => self.event(Event::Skipped { epoch, why: format!("no proof: {why}") }),
        }
    }

    /// Judges a bundle on the federation's terms by its proof, as soon as there is a verdict.
    pub(super) fn judge_proof(&mut self, held: Held, from: PeerId) {
        // Nobody's time is spent on the proof of a stranger, whom admission refuses.
        let is_strangers = held.head.confidential().is_none()
            && self.manifest().member_index(&held.head.author()).is_none();
        if is_strangers {
            return self.judge_proved(held, from);
        }
        match self.manifest.proof_of(&held.head) {
            Err(refusal) => self.reject_proof(&held, from, &refusal),
            Ok(None) => self.judge_proved(held, from),
            Ok(Some(_)) => {
                let id = held.head.id();
                match self.memo.as_ref().is_some_and(|memo| memo.proofs.has(&id)) {
                    true => self.judge_proved(held, from),
                    false => self.proving.waiting.push((held, from)),
                }
            }
        }
    }

    /// Asks for verdicts on what waits, unless a batch is under way.
    pub(super) fn ask_verdicts(&mut self) {
        if self.proving.waiting.is_empty() || !self.proving.asked.is_empty() {
            return;
        }
        let count = self.proving.waiting.len().min(BATCH_MAX);
        self.proving.asked = self.proving.waiting.drain(..count).collect();
        let heads = self.proving.asked.iter().map(|(held, _)| held.head.clone()).collect();
        let manifest = self.manifest.clone();
        self.outputs.push_back(Output::Verify(VerifyRequest { manifest, heads }));
    }

    /// Goes on with the batch whose verdicts are there.
    pub(super) fn verified(&mut self, verdicts: Vec<Result<(), ProofRefusal>>) {
        let batch = std::mem::take(&mut self.proving.asked);
        debug_assert_eq!(batch.len(), verdicts.len(), "a verdict for each");
        for ((held, from), verdict) in batch.into_iter().zip(verdicts) {
            match verdict {
                Ok(()) => {
                    if let Some(memo) = &self.memo {
                        memo.proofs.put(held.head.id());
                    }
                    self.judge_proved(held, from);
                }
                Err(refusal) => self.reject_proof(&held, from, &refusal),
            }
        }
        self.drain_agent();
    }

    fn reject_proof(&mut self, held: &Held, from: PeerId, refusal: &ProofRefusal) {
        let author = self.manifest().member_index(&held.head.author());
        self.reject(held.head.id(), (from, author), refusal.code(), refusal.to_string());
    }

    /// Reports a member whose proof holds although this payload is none that it can be about: the bundle was refused with
    /// `code`, after its proof was found to hold.
    pub(super) fn report_fraud(
        &mut self,
        held: &Held,
        author: Option<MemberIndex>,
        (clear, code): (&[u8], u16),
    ) {
        let is_about_payload = PAYLOAD_CODES.contains(&code);
        let (Some(author), true) = (author, is_about_payload) else { return };
        let Some(prover) =
            self.proving.prover.as_ref().filter(|_| self.manifest.needs_proof(&held.head))
        else {
            return;
        };
        let fraud = FraudProof::of(&self.manifest, &held.head, clear);
        if fraud.check(&self.manifest, &**prover).is_ok() {
            let (bundle, proof) = (held.head.id(), fraud.encode());
            self.event(Event::Fraud { bundle, author, proof });
        }
    }

    /// Admits an update that this peer reads: `held` is opened, `clear` its payload. A refusal is a code and words.
    pub(super) fn admit_read(
        &self,
        held: &Held,
        author: Option<MemberIndex>,
        clear: Arc<[u8]>,
    ) -> Result<Arc<Admitted>, (u16, String)> {
        let head = &held.head;
        let admit = || {
            let mut admitted = admit(&self.policy, author, head.header(), clear)
                .map_err(|refusal| (refusal.code(), refusal.to_string()))?;
            let named = self.manifest.slot_name(head, admitted.header_hash);
            admitted.header_hash =
                named.map_err(|refusal| (refusal.code(), refusal.to_string()))?;
            self.manifest
                .check_number(head, admitted.header.epoch)
                .map_err(|refusal| (refusal.code(), refusal.to_string()))?;
            if self.manifest.needs_proof(head) {
                let no_keys = || (NO_KEYS_CODE, "this peer has no proving keys".to_owned());
                let prover = self.proving.prover.as_ref().ok_or_else(no_keys)?;
                check_commitments(&self.manifest, &**prover, head, &admitted.update)
                    .map_err(|refusal| (refusal.code(), refusal.to_string()))?;
            }
            Ok(admitted)
        };
        let admitted = Memo::admitted(self.memo.as_ref(), &head.id(), admit)?;
        self.screened(head.id(), admitted).map_err(|refusal| (refusal.code(), refusal.to_string()))
    }
}
