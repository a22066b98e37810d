//! Fraud: shows to anybody that an author's proof is about another update than the one that it published.
//!
//! Whoever reads a payload finds that out by [`crate::proving::check_commitments`], but cannot make others believe it who
//! do not see the payload. A fraud proof is what it hands on: the head that the author signed, the payload in clear and, of
//! an encrypted bundle, the salt by which the payload is known to be the one that was signed for. It needs no key of
//! the federation. An honest author cannot be framed: its commitments follow from payload, header and salt.
//!
//! It names who signed. In a private federation that is a pseudonym, which anybody could have made up, and whose
//! owner is known to whoever has the federation key ([`FraudProof::author`]). The payload is shown to whoever
//! gets the file.
//!
//! Bytes: the array `["fraud", 1, federation, head, salt or null, payload in clear]`.

use std::fmt;

use longhaul_aggregation::{Epoch, UpdateError, UpdateHeader};
use longhaul_dtn::bundle::{BundleError, BundleHead, salted_root};
use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::identity::PeerId;
use longhaul_dtn::keyring::Keyring;
use longhaul_proofs::update::{ProveUpdates, UpdateProofError};

use crate::federation::{FederationId, read_front, write_front};
use crate::manifest::{SignedManifest, TermsError};
use crate::proving::{ProofRefusal, check_commitments_with};
use crate::record::HEAD_BYTES_MAX;

const TAG: &str = "fraud";
/// Bytes around head and payload at most: tag, version, federation, salt and heads.
const AROUND_BYTES_MAX: u64 = 128;

/// What shows that an author's proof is about another update than its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FraudProof {
    /// The federation.
    pub federation: FederationId,
    /// The encoded bundle head.
    pub head: Vec<u8>,
    /// The salt of an encrypted bundle.
    pub salt: Option<[u8; 32]>,
    /// The payload in clear.
    pub payload: Vec<u8>,
}

/// A fraud that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fraud {
    /// Who signed the bundle: a member or, in a private federation, a pseudonym.
    pub signer: PeerId,
    /// The epoch that the bundle is for.
    pub epoch: Epoch,
    /// What is wrong.
    pub finding: Finding,
}

/// How a payload differs from what was proved about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// The proof commits to other entries; holds the first chunk where it does.
    #[error("what chunk {0} of the proof commits to is not the payload")]
    Commitment(usize),
    /// There is a proof about an update, and the payload is none.
    #[error("the payload is no update: {0}")]
    NoUpdate(UpdateError),
}

/// Why no fraud is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoFraud {
    /// The bytes are not in the canonical form.
    #[error("the fraud proof is malformed {0}")]
    Malformed(#[from] CodecError),
    /// It is about another federation than the manifest's; holds that.
    #[error("the fraud proof is about federation {0}, not that of the manifest")]
    Foreign(FederationId),
    /// The head is not what somebody signed.
    #[error("the bundle does not hold: {0}")]
    Head(BundleError),
    /// The bundle does not travel on the federation's terms, so nobody takes it for an update.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// Who signed it is no member; holds who did.
    #[error("{0} signed the bundle, and is not a member")]
    NotAMember(PeerId),
    /// The manifest asks for no proof about such a bundle.
    #[error("the manifest asks for no proof about this bundle")]
    NotAsked,
    /// The payload is not the one that was signed; of an encrypted bundle, payload and salt are not.
    #[error("this payload, with this salt, is not what was signed")]
    Payload,
    /// The proof does not hold anyway, so that nobody accepts the bundle.
    #[error("nobody accepts the bundle: {0}")]
    Proof(ProofRefusal),
    /// The proof is about the payload.
    #[error("the proof is about this payload, as it should be")]
    Honest,
}

impl FraudProof {
    /// What a reader hands on about a bundle of the federation: `head` is an opened one, `clear` its payload in clear.
    pub fn of(manifest: &SignedManifest, head: &BundleHead, clear: &[u8]) -> Self {
        let (federation, salt) = (manifest.id(), head.salt());
        Self { federation, head: head.encode(), salt, payload: clear.to_vec() }
    }

    /// Most bytes of a fraud proof in a federation.
    pub fn bytes_max(manifest: &SignedManifest) -> u64 {
        let payload = manifest.bundle_limits().payload_bytes_max;
        payload.saturating_add(HEAD_BYTES_MAX as u64 + AROUND_BYTES_MAX)
    }

    /// The canonical form.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        write_front(writer.array(6), TAG, &self.federation).bytes(&self.head);
        match &self.salt {
            Some(salt) => writer.bytes(salt),
            None => writer.null(),
        };
        writer.bytes(&self.payload);
        writer.into_bytes()
    }

    /// Reads what a stranger may have written; whether it shows anything is for [`check`](Self::check) to say.
    ///
    /// # Errors
    /// [`NoFraud::Malformed`] or [`NoFraud::Foreign`].
    pub fn decode(bytes: &[u8], manifest: &SignedManifest) -> Result<Self, NoFraud> {
        let mut reader = Reader::new(bytes);
        reader.tuple(6)?;
        let federation = read_front(&mut reader, (TAG, "the word fraud"))?;
        if federation != manifest.id() {
            return Err(NoFraud::Foreign(federation));
        }
        let head = reader.bytes(HEAD_BYTES_MAX)?.to_vec();
        let salt = if reader.null()? { None } else { Some(reader.fixed()?) };
        let most = manifest.bundle_limits().payload_bytes_max;
        let payload = reader.bytes(usize::try_from(most).unwrap_or(usize::MAX))?.to_vec();
        reader.finish()?;
        Ok(Self { federation, head, salt, payload })
    }

    /// Whether it shows a fraud. `prover` is that of the manifest ([`SignedManifest::proof_prover`]): with any other
    /// the verdict means nothing. No key of the federation is needed.
    ///
    /// # Errors
    /// Why it shows none.
    pub fn check(
        &self,
        manifest: &SignedManifest,
        prover: &dyn ProveUpdates,
    ) -> Result<Fraud, NoFraud> {
        let head = self.read_head(manifest)?;
        self.check_payload(&head)?;
        for verdict in manifest.check_proofs(&[&head]) {
            verdict.map_err(NoFraud::Proof)?;
        }
        let numbered = u32::try_from(head.sequence()).map(Epoch::new);
        let epoch = numbered.map_err(|_| NoFraud::NotAsked)?;
        let finding = match self.read_update(manifest, &head, epoch) {
            Err(error) => Finding::NoUpdate(error),
            Ok(update) => {
                let salted = (&head, self.salt.as_ref());
                match check_commitments_with(manifest, prover, salted, &update) {
                    Ok(()) => return Err(NoFraud::Honest),
                    Err(ProofRefusal::Commitment(UpdateProofError::Commitment(chunk))) => {
                        Finding::Commitment(chunk)
                    }
                    Err(refusal) => return Err(NoFraud::Proof(refusal)),
                }
            }
        };
        Ok(Fraud { signer: head.signer(), epoch, finding })
    }

    /// Whose bundle it is, if `keys` open it: the owner of the pseudonym that signed it, or the signer of a bundle in clear.
    pub fn author(&self, manifest: &SignedManifest, keys: &Keyring) -> Option<PeerId> {
        let head = self.read_head(manifest).ok()?;
        keys.open(head).ok().map(|head| head.author())
    }

    /// A head that a member takes for that of an update: authentic, on the federation's terms, with a proof to judge.
    fn read_head(&self, manifest: &SignedManifest) -> Result<BundleHead, NoFraud> {
        if self.federation != manifest.id() {
            return Err(NoFraud::Foreign(self.federation));
        }
        let head = BundleHead::decode(&self.head, &manifest.bundle_limits());
        let head = head.map_err(NoFraud::Head)?;
        manifest.check_terms(&head)?;
        let signer = head.signer();
        if head.confidential().is_none() && manifest.manifest().member_index(&signer).is_none() {
            return Err(NoFraud::NotAMember(signer));
        }
        match manifest.needs_proof(&head) {
            true => Ok(head),
            false => Err(NoFraud::NotAsked),
        }
    }

    fn check_payload(&self, head: &BundleHead) -> Result<(), NoFraud> {
        let is_signed = match (head.confidential(), &self.salt) {
            (None, None) => head.check_payload(&self.payload).is_ok(),
            (Some(claim), Some(salt)) => salted_root(salt, &self.payload) == claim.root,
            _ => false,
        };
        is_signed.then_some(()).ok_or(NoFraud::Payload)
    }

    /// The payload as an update of the epoch that the header names or, where that cannot be read, the bundle's number.
    fn read_update(
        &self,
        manifest: &SignedManifest,
        head: &BundleHead,
        numbered: Epoch,
    ) -> Result<longhaul_aggregation::Update, UpdateError> {
        let policy = manifest.admission_policy();
        let header = UpdateHeader::decode(head.header(), &policy.header_limits());
        let epoch = header.map_or(numbered, |header| header.epoch);
        let payload = self.payload.as_slice().into();
        policy.encoding.read(payload, &policy.schema, &policy.mask_key(epoch))
    }
}

impl fmt::Display for Fraud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signer, epoch, finding } = self;
        write!(f, "{signer} signed a false proof in epoch {epoch}: {finding}")
    }
}
