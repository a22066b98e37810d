//! Verify: walks the log in an audit file and checks each thing it claims.
//!
//! One walk serves both checks: it hands every admitted update and every
//! version to an observer, which for a verification does nothing and for a
//! replay folds (see [`super::replay`]). Payloads are admitted one at a time,
//! so a verification needs the memory of one update beside the file.

mod aggregate;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longhaul_aggregation::{
    AdmissionPolicy, Admitted, Attempt, Epoch, HeaderHash, Phase, Refusal, UpdateHeader,
    VOTE_PAYLOAD, admit,
};
use longhaul_dtn::bundle::{BundleError, BundleHead, BundleId, BundleLimits};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;
use longhaul_dtn::keyring::Keyring;
use longhaul_proofs::update::ProveUpdates;

pub(super) use aggregate::insert as insert_aggregate;

use super::file::AuditFile;
use super::proofs::Proofs;
use super::report::{AuditReport, Contributor, RefusedCount, SealReport, Tip, refusal_name};
use super::start::{NewestSeal, newest_seal};
use super::{Check, Detection, Expected};
use crate::aggregate::AdmittedAggregate;
use crate::entry::SignedEntry;
use crate::federation::FederationId;
use crate::log::Chain;
use crate::record::Record;
use crate::seal::Cosigned;

/// Sees what the walk has checked, in the order of the log, for as long as
/// nothing is wrong or missing: after that no version can be expected to hold.
pub(super) trait Observer {
    /// An update that passed admission again.
    fn update(&mut self, admitted: Admitted);
    /// An aggregate that holds, as far as there were keys to tell.
    fn aggregate(&mut self, admitted: AdmittedAggregate);
    /// A version; what it gives back is a problem.
    fn version(&mut self, claim: &Record) -> Result<(), String>;
    /// A seal whose cosignatures and snapshot hold; true if the updates say the same.
    fn seal(&mut self, sealed: &Cosigned) -> bool;
}

/// Checks a file without folding.
pub(super) fn verify(
    file: &AuditFile<'_>,
    expected: &Expected,
    prover: Option<&dyn ProveUpdates>,
) -> AuditReport {
    struct Nothing;
    impl Observer for Nothing {
        fn update(&mut self, _: Admitted) {}
        fn aggregate(&mut self, _: AdmittedAggregate) {}
        fn version(&mut self, _: &Record) -> Result<(), String> {
            Ok(())
        }
        fn seal(&mut self, _: &Cosigned) -> bool {
            false
        }
    }
    walk(file, (expected, prover), Check::Verify, &mut Nothing)
}

/// Walks the whole file and gives the report of what was found.
pub(super) fn walk(
    file: &AuditFile<'_>,
    (expected, prover): (&Expected, Option<&dyn ProveUpdates>),
    check: Check,
    observer: &mut dyn Observer,
) -> AuditReport {
    let mut walk = Walk::new(file, check, (&expected.keys, prover));
    walk.check_federation(expected.federation);
    walk.index_payloads();
    walk.newest_seal = newest_seal(file.entries(), |hash| walk.payloads.contains_key(hash));
    walk.check_chain();
    for (place, entry) in (0..).zip(file.entries()) {
        walk.check_entry(place, entry, observer);
    }
    walk.proofs.answer(&mut walk.report);
    walk.check_end();
    walk.finish()
}

struct Walk<'a> {
    file: &'a AuditFile<'a>,
    keys: &'a Keyring,
    policy: AdmissionPolicy,
    limits: BundleLimits,
    report: AuditReport,
    proofs: Proofs<'a>,
    /// Payloads in the file: place and content by name.
    payloads: BTreeMap<ContentHash, (usize, &'a [u8])>,
    /// Payloads named so far.
    named: BTreeSet<ContentHash>,
    /// Place in the file of the payload named for the first time last.
    place: Option<usize>,
    bundles: BTreeSet<BundleId>,
    contributors: BTreeMap<PeerId, u64>,
    refused: BTreeMap<u16, u64>,
    /// The newest seal whose snapshot is in the file: what it closed may be missing.
    newest_seal: Option<NewestSeal>,
    /// True while sealed updates are missing whose seal is still to come: until then
    /// nothing can be derived.
    gap: bool,
    /// The exporter's own votes.
    votes: BTreeMap<(Attempt, Phase), HeaderHash>,
}

impl<'a> Walk<'a> {
    fn new(
        file: &'a AuditFile<'a>,
        check: Check,
        (keys, prover): (&'a Keyring, Option<&'a dyn ProveUpdates>),
    ) -> Self {
        let mut report = AuditReport::new(check);
        if !file.has_payloads() {
            report.leave_out_payloads();
        }
        report.federation = Some(file.manifest().id().to_string());
        report.name = Some(file.manifest().manifest().name.clone());
        report.exporter = file.entries().first().map(|entry| entry.entry().author.to_string());
        report.entries = file.entries().len() as u64;
        report.payloads = file.payload_count() as u64;
        Self {
            proofs: Proofs::new(file.manifest(), prover, &mut report),
            file,
            keys,
            policy: file.manifest().admission_policy(),
            limits: file.manifest().bundle_limits(),
            report,
            payloads: BTreeMap::new(),
            named: BTreeSet::new(),
            place: None,
            bundles: BTreeSet::new(),
            contributors: BTreeMap::new(),
            refused: BTreeMap::new(),
            newest_seal: None,
            gap: false,
            votes: BTreeMap::new(),
        }
    }

    fn check_federation(&mut self, pin: Option<FederationId>) {
        let found = self.file.manifest().id();
        if let Some(pin) = pin.filter(|&pin| pin != found) {
            let message = format!("the file is about federation {found}, expected {pin}");
            self.report.problem(Detection::Federation, None, message);
        }
    }

    fn index_payloads(&mut self) {
        for (place, payload) in self.file.payloads().iter().enumerate() {
            self.report.payload_bytes += payload.bytes.len() as u64;
            if self.payloads.insert(payload.hash, (place, payload.bytes)).is_some() {
                let message = format!("payload {} is in the file twice", payload.hash);
                self.report.problem(Detection::Format, None, message);
            }
        }
    }

    /// Author, sequence and links; the walk over the records goes on after a
    /// break, so that the report shows all that is wrong.
    fn check_chain(&mut self) {
        let entries = self.file.entries();
        let Some(first) = entries.first() else {
            let message = "the file holds no log entry".to_owned();
            return self.report.problem(Detection::Chain, None, message);
        };
        let author = first.entry().author;
        if !self.file.manifest().manifest().is_welcome(&author) {
            let message = format!("the exporter {author} is not a member of the federation");
            self.report.problem(Detection::Federation, Some(0), message);
        }
        let mut chain = Chain::new(author);
        for (place, entry) in (0..).zip(entries) {
            if let Err(error) = chain.push(entry) {
                self.report.problem(Detection::Chain, Some(place), error.to_string());
                break;
            }
        }
        let expected = self.file.manifest().id();
        if let Some(found) = chain.federation().filter(|&found| found != expected) {
            let message =
                format!("the log belongs to federation {found}, the manifest is {expected}");
            self.report.problem(Detection::Federation, Some(0), message);
        }
    }

    fn check_entry(&mut self, place: u64, entry: &SignedEntry, observer: &mut dyn Observer) {
        let checked = match entry.record() {
            Record::Genesis { .. } => Ok(()),
            Record::Update { head } => self.check_update((place, entry), head, true, observer),
            Record::Accept { head, .. } => self.check_update((place, entry), head, false, observer),
            Record::Refuse { code, .. } => {
                *self.refused.entry(*code).or_default() += 1;
                Ok(())
            }
            version @ Record::Version { .. } => self.check_version(version, observer),
            Record::Vote { head, from } => self.check_vote(entry, head, from.is_none()),
            seal @ Record::Seal { .. } => self.check_seal(place, seal, observer),
            Record::Keys { head, .. } => self.check_keys(head),
            Record::Contribution { head, .. } => self.check_contribution(head),
            Record::Aggregate { head, from } => {
                self.check_aggregate((place, entry), (head, from.is_none()), observer)
            }
            Record::Carry { head, .. } => self.check_carried(place, head),
            Record::Drop { .. } => Ok(()),
        };
        if let Err((detection, message)) = checked {
            self.report.problem(detection, Some(place), message);
        }
    }

    fn check_update(
        &mut self,
        (place, entry): (u64, &SignedEntry),
        head: &[u8],
        own: bool,
        observer: &mut dyn Observer,
    ) -> Result<(), (Detection, String)> {
        let head = self.decode(head)?;
        self.proofs.ask(place, &head, &mut self.report);
        let Some(head) = self.open(head)? else { return Ok(()) };
        let author = head.author();
        if own && author != entry.entry().author {
            let message = format!("an update of {author} is recorded as the exporter's own");
            return Err((Detection::Admission, message));
        }
        let is_new = self.count(&head, own);
        if self.is_closed(place, &head) {
            self.named.insert(head.payload_hash());
            self.report.sealed_missing += 1;
            self.gap = true;
            return Ok(());
        }
        let Some(payload) = self.payload(&head.payload_hash())? else {
            return self.check_header(&head);
        };
        if payload.len() as u64 != head.payload_len() {
            let (found, promised) = (payload.len(), head.payload_len());
            let message = format!("a payload of {found} bytes, the bundle promises {promised}");
            return Err((Detection::Admission, message));
        }
        let payload = self.keys.open_payload(&head, &payload);
        let payload = payload.map_err(|error| (Detection::Admission, error.to_string()))?;
        let member = self.file.manifest().manifest().member_index(&author);
        let admitted = admit(&self.policy, member, head.header(), payload);
        let mut admitted = admitted.map_err(|refusal| inadmissible(&author, &refusal))?;
        let named = self.file.manifest().slot_name(&head, admitted.header_hash);
        admitted.header_hash = named.map_err(|refusal| (Detection::Proof, refusal.to_string()))?;
        let numbered = self.file.manifest().check_number(&head, admitted.header.epoch);
        numbered.map_err(|refusal| (Detection::Proof, refusal.to_string()))?;
        if is_new {
            let compared = self.proofs.compare(&head, &admitted.update, &mut self.report);
            compared.map_err(|refusal| (Detection::Proof, refusal.to_string()))?;
        }
        if self.report.is_verified() {
            observer.update(admitted);
        }
        Ok(())
    }

    /// What admission says without the payload of an opened head.
    fn check_header(&self, head: &BundleHead) -> Result<(), (Detection, String)> {
        let author = head.author();
        let member = self.file.manifest().manifest().member_index(&author);
        // No payload is the last thing that is found: whatever else comes first is wrong with the header.
        match admit(&self.policy, member, head.header(), Arc::default()) {
            Err(refusal) if refusal != Refusal::PayloadMismatch => {
                Err(inadmissible(&author, &refusal))
            }
            _ => Ok(()),
        }
    }

    /// Reads a head on the federation's terms.
    fn decode(&self, head: &[u8]) -> Result<BundleHead, (Detection, String)> {
        let head = BundleHead::decode(head, &self.limits)
            .map_err(|error| (detection_of(&error), error.to_string()))?;
        let terms = self.file.manifest().check_terms(&head);
        terms.map_err(|error| (Detection::Admission, error.to_string()))?;
        Ok(head)
    }

    /// Reads a head, and opens it; none if it is encrypted under a key that the auditor has not.
    fn read(&mut self, head: &[u8]) -> Result<Option<BundleHead>, (Detection, String)> {
        let head = self.decode(head)?;
        self.open(head)
    }

    fn open(&mut self, head: BundleHead) -> Result<Option<BundleHead>, (Detection, String)> {
        let hash = head.payload_hash();
        match self.keys.open(head) {
            Ok(head) => Ok(Some(head)),
            Err(BundleError::ForeignKey(key)) => {
                // What is inside is not known, so neither is whether its payload is needed.
                self.named.insert(hash);
                self.report.closed(key.to_string());
                Ok(None)
            }
            Err(error) => Err((Detection::Admission, error.to_string())),
        }
    }

    /// A further key: it must be the creator's; the grant shows who got it.
    fn check_keys(&mut self, head: &[u8]) -> Result<(), (Detection, String)> {
        let Some(head) = self.read(head)? else { return Ok(()) };
        let manifest = self.file.manifest();
        let checked = match self.payload(&head.payload_hash())? {
            Some(payload) => manifest.admit_key(&head, &payload).map(|_| true),
            None => manifest.screen_key(&head).map(|_| !self.file.has_payloads()),
        };
        let checked = checked.map_err(|refusal| (Detection::Admission, refusal.to_string()))?;
        self.report.keys += u64::from(checked);
        Ok(())
    }

    /// True if the payload is missing and a seal that is there closed its epoch.
    fn is_closed(&self, place: u64, head: &BundleHead) -> bool {
        let limits = self.policy.header_limits();
        let epoch = || UpdateHeader::decode(head.header(), &limits).ok().map(|it| it.epoch);
        let closes = |seal: NewestSeal| epoch().is_some_and(|epoch| seal.closes(place, epoch));
        !self.payloads.contains_key(&head.payload_hash()) && self.newest_seal.is_some_and(closes)
    }

    fn check_vote(
        &mut self,
        entry: &SignedEntry,
        head: &[u8],
        own: bool,
    ) -> Result<(), (Detection, String)> {
        let Some(head) = self.read(head)? else { return Ok(()) };
        let admission = |message: String| (Detection::Admission, message);
        let author = head.author();
        if own && author != entry.entry().author {
            let message = format!("a vote of {author} is recorded as the exporter's own");
            return Err(admission(message));
        }
        let admitted = self.file.manifest().admit_vote(&head, VOTE_PAYLOAD);
        let admitted = admitted.map_err(|refusal| inadmissible(&author, &refusal))?;
        self.report.votes += 1;
        let phase = (admitted.vote.attempt, admitted.vote.phase);
        if own && self.votes.insert(phase, admitted.header).is_some_and(|it| it != admitted.header)
        {
            let message = format!("the exporter signed two different votes in attempt {}", phase.0);
            return Err(admission(message));
        }
        Ok(())
    }

    fn check_seal(
        &mut self,
        place: u64,
        record: &Record,
        observer: &mut dyn Observer,
    ) -> Result<(), (Detection, String)> {
        let Record::Seal { attempt, value, snapshot, from } = record else { return Ok(()) };
        let missing = !self.payloads.contains_key(snapshot);
        if missing && self.newest_seal.is_some_and(|seal| seal.closes(place, Epoch::FIRST)) {
            self.named.insert(*snapshot);
            self.gap = true;
            return Ok(());
        }
        let Some(payload) = self.payload(snapshot)? else { return Ok(()) };
        let proved = self.file.manifest().prove(*attempt, *value, payload);
        let proved = proved.map_err(|refusal| {
            let message = format!("the seal of attempt {attempt} does not hold: {refusal}");
            (Detection::Admission, message)
        })?;
        let derived = self.report.is_verified() && observer.seal(&proved) && !self.gap;
        self.gap = false;
        self.report.seals.push(SealReport {
            attempt: attempt.get(),
            open_from: value.end.get(),
            model: value.model.to_string(),
            cosigners: proved.votes.len() as u64,
            adopted: from.is_some(),
            derived,
        });
        Ok(())
    }

    /// Counts an update; true if it is a new one.
    fn count(&mut self, head: &BundleHead, own: bool) -> bool {
        if !self.bundles.insert(head.id()) {
            self.report.updates_repeated += 1;
            return false;
        }
        *self.contributors.entry(head.author()).or_default() += 1;
        match own {
            true => self.report.updates_own += 1,
            false => self.report.updates_accepted += 1,
        }
        true
    }

    fn payload(&mut self, hash: &ContentHash) -> Result<Option<Arc<[u8]>>, (Detection, String)> {
        let first = self.named.insert(*hash);
        let Some(&(place, bytes)) = self.payloads.get(hash) else {
            if first && self.file.has_payloads() {
                self.report.miss(hash.to_string());
            }
            return Ok(None);
        };
        if first && self.place.replace(place).is_some_and(|before| before > place) {
            let message = format!("payload {hash} is not in the order in which the log names it");
            return Err((Detection::Format, message));
        }
        Ok(Some(bytes.into()))
    }

    fn check_version(
        &mut self,
        record: &Record,
        observer: &mut dyn Observer,
    ) -> Result<(), (Detection, String)> {
        let Record::Version { epoch, set_root, model, updates } = record else { return Ok(()) };
        self.report.versions += 1;
        self.report.tip = Some(Tip {
            epoch: epoch.get(),
            updates: *updates,
            set_root: set_root.to_string(),
            model: model.to_string(),
        });
        if epoch.get() >= self.policy.epochs {
            let message = format!("a version of epoch {epoch}, beyond the last");
            return Err((Detection::Admission, message));
        }
        if self.gap {
            self.report.versions_skipped += 1;
            return Ok(());
        }
        match self.report.is_verified() && self.report.closed_keys.is_empty() {
            true => observer.version(record).map_err(|message| (Detection::Replay, message)),
            false => Ok(()),
        }
    }

    fn check_end(&mut self) {
        let has_versions = !self.file.manifest().manifest().is_ceremony();
        if has_versions && self.file.entries().last().is_some_and(|entry| !entry.is_version()) {
            let message = "the last entry is not a version".to_owned();
            self.report.problem(Detection::Chain, None, message);
        }
        for (place, payload) in self.file.payloads().iter().enumerate() {
            if !self.named.contains(&payload.hash) {
                let message = format!(
                    "payload {place} of the file has the hash {}, which no entry names",
                    payload.hash
                );
                self.report.problem(Detection::ContentHash, None, message);
            }
        }
    }

    fn finish(mut self) -> AuditReport {
        let manifest = self.file.manifest().manifest();
        for (peer, updates) in self.contributors {
            if let Some(member) = manifest.member_index(&peer) {
                let (member, peer) = (member.get(), peer.to_string());
                self.report.contributors.push(Contributor { member, peer, updates });
            }
        }
        let counts = self.refused.into_iter();
        self.report.refused = counts
            .map(|(code, count)| RefusedCount {
                code,
                reason: refusal_name(code).to_owned(),
                count,
            })
            .collect();
        self.report
    }
}

fn inadmissible(author: &PeerId, refusal: &Refusal) -> (Detection, String) {
    let message = format!("the update of {author} is not admissible: {refusal}");
    (Detection::Admission, message)
}

fn detection_of(error: &BundleError) -> Detection {
    match error {
        BundleError::Signature => Detection::Signature,
        BundleError::Hash(_) => Detection::ContentHash,
        _ => Detection::Format,
    }
}
