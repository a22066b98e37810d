//! The signed manifest: a sound manifest, its creator's signature, its id.
//!
//! On the wire `[body, signature]`. The id covers the body alone, so a second
//! signature of the same creator does not make a second federation.

use std::sync::Arc;

use longhaul_aggregation::{AdmissionPolicy, Fold, Sortition};
use longhaul_dtn::bundle::{BundleDraft, BundleError, BundleHead, BundleLimits};
use longhaul_dtn::codec::{CodecError, CodecErrorKind, Reader, Writer};
use longhaul_dtn::identity::{Domain, PeerId, SecretKey, Signature};

use longhaul_dtn::eid::Eid;
use longhaul_dtn::time::{Span, Timestamp};

use super::{InvalidManifest, Manifest};
use crate::ceremony::{CONTRIBUTION_HEADER_BYTES_MAX, Lengths};
use crate::federation::FederationId;
use crate::plan::SAMPLES_MAX;
use crate::privacy::{KEY_HEADER_BYTES_MAX, KeyGrant, KeyHeader};
use crate::proving::Verifier;

/// Most bytes of an encoded signed manifest: 16,384 members at 34 bytes and 256
/// tensors at about 100 leave nearly half of it free.
pub const MANIFEST_BYTES_MAX: usize = 1024 * 1024;

/// A manifest whose values are sound and whose signature is good.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedManifest {
    manifest: Manifest,
    id: FederationId,
    bytes: Vec<u8>,
    sortition: Option<Arc<Sortition>>,
    pub(crate) verifier: Option<Verifier>,
    pub(crate) lengths: Option<Lengths>,
}

/// Why something is not a signed manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are not in the canonical form.
    #[error("the manifest is malformed {0}")]
    Malformed(#[from] CodecError),
    /// The values make no sound federation.
    #[error("the manifest is not sound: {0}")]
    Invalid(#[from] InvalidManifest),
    /// The signature is not the creator's over this body; holds the creator.
    #[error("the manifest is not signed by its creator {0}; ask them for the file again")]
    Signature(PeerId),
    /// The key that should sign is not the creator's.
    #[error("the manifest names {creator} as its creator, the key belongs to {key}")]
    NotTheCreator {
        /// The creator in the manifest.
        creator: PeerId,
        /// The id of the key.
        key: PeerId,
    },
}

impl Manifest {
    fn sortition(&self) -> Option<Arc<Sortition>> {
        let committee = self.committee?;
        let members = self.members.as_slice().into();
        Some(Arc::new(Sortition::new(committee.size, committee.nonce, members)))
    }

    /// What checks proofs, where there are any: all keys are read and checked.
    fn proof_verifier(&self) -> Result<Option<Verifier>, InvalidManifest> {
        let Some(policy) = &self.proofs else { return Ok(None) };
        Ok(Some(policy.verifier(self.update_shape())?))
    }

    /// Checks and signs the manifest with the key of its creator.
    pub fn sign(self, key: &SecretKey) -> Result<SignedManifest, ManifestError> {
        self.validate()?;
        let verifier = self.proof_verifier()?;
        let lengths = self.check_ceremony().map_err(InvalidManifest::from)?;
        if key.peer_id() != self.creator {
            return Err(ManifestError::NotTheCreator { creator: self.creator, key: key.peer_id() });
        }
        let body = self.body();
        let signature = key.sign(Domain::Manifest, &body);
        let mut writer = Writer::new();
        writer.array(2).raw(&body).bytes(signature.as_bytes());
        let bytes = writer.into_bytes();
        assert!(bytes.len() <= MANIFEST_BYTES_MAX, "sound values fit");
        Ok(SignedManifest {
            id: FederationId::of_body(&body),
            sortition: self.sortition(),
            verifier,
            lengths,
            manifest: self,
            bytes,
        })
    }
}

/// Why a bundle does not travel on the federation's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// The author chose another lifetime than the manifest's.
    #[error("the bundle lives {found}, the federation's bundles live {expected}")]
    Lifetime {
        /// The bundle's lifetime.
        found: Span,
        /// The manifest's.
        expected: Span,
    },
    /// The author says that it was made before the federation began.
    #[error("the bundle was made before the federation began")]
    TooEarly,
    /// The federation is private, and the bundle is not encrypted.
    #[error("the bundle is in clear, and the federation is private")]
    InClear,
    /// The bundle is encrypted, and the federation has no keys.
    #[error("the bundle is encrypted, and the federation is not private")]
    Encrypted,
}

impl TermsError {
    /// The stable code that a refusal records.
    pub const CODE: u16 = 200;
}

/// Body and signature by their places: an array of two, 64 signature bytes last.
fn split(bytes: &[u8]) -> Option<(&[u8], Signature)> {
    let rest = bytes.strip_prefix(&[0x82]).filter(|_| bytes.len() <= MANIFEST_BYTES_MAX)?;
    let (rest, signature) = rest.split_last_chunk::<64>()?;
    Some((rest.strip_suffix(&[0x58, 0x40])?, Signature::from_bytes(*signature)))
}

/// What is wrong with the form of `bytes`, which are not one whole manifest.
fn find_fault(bytes: &[u8]) -> CodecError {
    let mut reader = Reader::new(bytes);
    if bytes.len() > MANIFEST_BYTES_MAX {
        return reader.error(CodecErrorKind::AboveLimit(MANIFEST_BYTES_MAX as u64));
    }
    let read = |reader: &mut Reader<'_>| {
        reader.tuple(2)?;
        Manifest::read_body(reader)?;
        reader.fixed::<64>()
    };
    match read(&mut reader) {
        Err(error) => error,
        Ok(_) => reader.error(CodecErrorKind::Trailing),
    }
}

impl SignedManifest {
    /// Reads a signed manifest strictly; checks signature and soundness.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let Some((body, signature)) = split(bytes) else {
            return Err(find_fault(bytes).into());
        };
        // The signature first: nothing unsigned is interpreted but its key.
        let (_, creator) = Manifest::read_creator(&mut Reader::new(body))?;
        let checked = creator.verify(Domain::Manifest, body, &signature);
        checked.map_err(|_| ManifestError::Signature(creator))?;
        let mut reader = Reader::new(body);
        let manifest = Manifest::read_body(&mut reader)?;
        reader.finish()?;
        manifest.validate()?;
        let verifier = manifest.proof_verifier()?;
        let lengths = manifest.check_ceremony().map_err(InvalidManifest::from)?;
        let (id, sortition) = (FederationId::of_body(body), manifest.sortition());
        Ok(Self { id, manifest, bytes: bytes.to_vec(), sortition, verifier, lengths })
    }

    /// The id of the federation.
    pub const fn id(&self) -> FederationId {
        self.id
    }

    /// What the creator signed.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The canonical bytes, signature included.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The rules by which every member admits or refuses an update.
    pub fn admission_policy(&self) -> AdmissionPolicy {
        let manifest = &self.manifest;
        AdmissionPolicy {
            federation: self.id.hash(),
            members: manifest.members.len(),
            epochs: manifest.epochs,
            norm_max: manifest.bounds.norm_max,
            summary_window: u32::from(manifest.bounds.summary_window),
            schema: manifest.schema.clone(),
            encoding: manifest.encoding,
            steps_max: manifest.training.steps.saturating_mul(manifest.accumulate_epochs_max()),
            samples_max: SAMPLES_MAX,
            sortition: self.sortition.clone(),
        }
    }

    /// The limits that the transport puts on a bundle.
    pub fn bundle_limits(&self) -> BundleLimits {
        let bounds = &self.manifest.bounds;
        let key = self.manifest.privacy.as_ref();
        let key = key.map_or(0, |_| KeyGrant::bytes_max(self.manifest.members.len()));
        let snapshot = self.manifest.seal.map_or(0, |_| self.manifest.snapshot_bytes_max());
        BundleLimits {
            header_bytes_max: self
                .admission_policy()
                .header_limits()
                .bytes_max()
                .max(KEY_HEADER_BYTES_MAX)
                .max(CONTRIBUTION_HEADER_BYTES_MAX)
                .max(self.aggregate_header_bytes_max()),
            proof_bytes_max: self.manifest.proof_bytes_max(),
            payload_bytes_max: u64::from(bounds.payload_bytes_max)
                .max(snapshot)
                .max(key)
                .max(self.aggregate_bytes_max() as u64)
                .max(self.contribution_bytes_max()),
            lifetime_max: bounds.bundle_lifetime,
        }
    }

    /// A bundle of the federation on its terms, made at `created`.
    ///
    /// # Errors
    /// None that a federation's id gives cause for.
    pub fn draft<'a>(
        &self,
        (created, sequence): (Timestamp, u64),
        header: Vec<u8>,
        payload: &'a [u8],
    ) -> Result<BundleDraft<'a>, BundleError> {
        Ok(BundleDraft {
            destination: Eid::dtn(&self.id.to_string(), "updates")?,
            created,
            sequence,
            lifetime: self.manifest.bounds.bundle_lifetime,
            // Ferry chains can be long.
            hop_limit: u8::MAX,
            header,
            payload,
        })
    }

    /// Checks what an author may choose of a bundle's transport: it lives for the
    /// manifest's bundle lifetime, from a moment not before the start.
    ///
    /// A pure function of manifest and bundle. Without it an author could let
    /// its bundle expire at some members and not at others, who would then hold
    /// different sets for ever.
    pub fn check_terms(&self, head: &BundleHead) -> Result<(), TermsError> {
        let (found, expected) = (head.lifetime(), self.manifest.bounds.bundle_lifetime);
        if found != expected {
            return Err(TermsError::Lifetime { found, expected });
        }
        if head.created() < self.manifest.start {
            return Err(TermsError::TooEarly);
        }
        // A key has to be readable by who has none yet.
        let is_key = head.confidential().is_none() && KeyHeader::is_one(head.header());
        match (self.manifest.is_private(), head.confidential().is_some()) {
            (true, false) if !is_key => Err(TermsError::InClear),
            (false, true) => Err(TermsError::Encrypted),
            _ => Ok(()),
        }
    }

    /// The fold of no updates: the initial model.
    pub fn fold(&self) -> Fold {
        let manifest = &self.manifest;
        let (recipe, setting) = (manifest.recipe, manifest.setting());
        let fold = Fold::new(manifest.schema.clone(), &manifest.seed, recipe, setting);
        fold.with_trust_roots(manifest.trust_roots.as_slice().into())
    }
}
