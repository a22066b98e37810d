//! The manifest's canonical body: a map with the keys 0 to 15, 16 where epochs are sealed,
//! 17 where updates are not int8, 18 where members have trust roots, 19 in private federations, 20 where updates are proved, and 21 in ceremonies.
//!
//! What has a default is there only where it differs from that, so that a body has one form
//! and bodies from before the key keep theirs.
//!
//! Key 0 is the version of the format. Reading checks form only; whether the
//! values make sense together is [`super::check`]'s concern.

use std::sync::Arc;

use longhaul_aggregation::{Encoding, Recipe, Schema, SealPolicy};
use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;
use longhaul_dtn::time::{Span, Timestamp};

use super::{MEMBERS_MAX, Manifest, NAME_BYTES_MAX};
use crate::bounds::Bounds;
use crate::ceremony::CeremonyPlan;
use crate::committee::Committee;
use crate::federation::FederationId;
use crate::plan::{TrainingPlan, read_u32};
use crate::privacy::Privacy;
use crate::proving::ProofPolicy;
use crate::task::Task;

const VERSION: u64 = 1;
/// Pairs of every manifest.
const PAIRS: usize = 16;
/// Pairs that a manifest may have beside these.
const MORE_PAIRS_MAX: usize = 7;
const SEAL: u64 = 16;
const ENCODING: u64 = 17;
const TRUST_ROOTS: u64 = 18;
const PRIVACY: u64 = 19;
const PROOFS: u64 = 20;
const CEREMONY: u64 = 21;
const AGGREGATES: u64 = 22;

impl Manifest {
    /// The canonical body: what is signed and hashed.
    pub(super) fn body(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let more = [
            self.seal.is_some(),
            self.encoding != Encoding::Int8,
            !self.trust_roots.is_empty(),
            self.privacy.is_some(),
            self.proofs.is_some(),
            self.ceremony.is_some(),
            self.aggregates.is_some(),
        ];
        let more = more.into_iter().filter(|&is_there| is_there).count();
        writer.map(PAIRS + more).unsigned(0).unsigned(VERSION);
        writer.unsigned(1).text(&self.name);
        writer.unsigned(2).bytes(self.creator.as_bytes());
        writer.unsigned(3);
        match &self.parent {
            Some(parent) => writer.bytes(parent.as_hash().as_bytes()),
            None => writer.null(),
        };
        writer.unsigned(4).bytes(&self.seed);
        self.task.encode(writer.unsigned(5));
        self.schema.encode(writer.unsigned(6));
        writer.unsigned(7).unsigned(self.start.dtn_ms());
        writer.unsigned(8).unsigned(self.epoch_length.ms());
        writer.unsigned(9).unsigned(u64::from(self.epochs));
        self.training.encode(writer.unsigned(10));
        self.recipe.encode(writer.unsigned(11));
        writer.unsigned(12).unsigned(u64::from(self.attacker_share_permille));
        writer.unsigned(13).array(self.members.len());
        for member in &self.members {
            writer.bytes(member.as_bytes());
        }
        self.bounds.encode(writer.unsigned(14));
        writer.unsigned(15);
        match &self.committee {
            Some(committee) => committee.encode(&mut writer),
            None => {
                writer.null();
            }
        }
        self.write_more(&mut writer);
        writer.into_bytes()
    }

    /// What not every manifest has.
    fn write_more(&self, writer: &mut Writer) {
        if let Some(seal) = &self.seal {
            writer.unsigned(SEAL).map(2);
            writer.unsigned(1).unsigned(u64::from(seal.window_epochs));
            writer.unsigned(2).unsigned(u64::from(seal.every_epochs));
        }
        if self.encoding != Encoding::Int8 {
            self.encoding.encode(writer.unsigned(ENCODING));
        }
        if !self.trust_roots.is_empty() {
            writer.unsigned(TRUST_ROOTS).array(self.trust_roots.len());
            for &root in &self.trust_roots {
                writer.unsigned(root.into());
            }
        }
        if let Some(privacy) = &self.privacy {
            privacy.encode(writer.unsigned(PRIVACY));
        }
        if let Some(proofs) = &self.proofs {
            proofs.encode(writer.unsigned(PROOFS));
        }
        if let Some(ceremony) = &self.ceremony {
            ceremony.encode(writer.unsigned(CEREMONY));
        }
        if let Some(epochs) = self.aggregates {
            writer.unsigned(AGGREGATES).unsigned(epochs.into());
        }
    }

    /// Reads the beginning of a body: the name, and whose signature to expect.
    pub(super) fn read_creator(reader: &mut Reader<'_>) -> Result<(String, PeerId), CodecError> {
        let (name, creator, _) = Self::read_front(reader)?;
        Ok((name, creator))
    }

    /// The same, and how many pairs the body has beside those of every manifest.
    fn read_front(reader: &mut Reader<'_>) -> Result<(String, PeerId, usize), CodecError> {
        let more = read_pairs(reader)?;
        reader.key(0)?;
        let newer = reader.invalid("manifest version 1; a newer Longhaul wrote this");
        if reader.unsigned(u64::MAX)? != VERSION {
            return Err(newer);
        }
        reader.key(1)?;
        let name = reader.text(NAME_BYTES_MAX)?.to_owned();
        reader.key(2)?;
        Ok((name, read_peer(reader)?, more))
    }

    /// Reads a canonical body; the rest of `reader` is left.
    pub(super) fn read_body(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (name, creator, more) = Self::read_front(reader)?;
        reader.key(3)?;
        let parent = match reader.null()? {
            true => None,
            false => Some(FederationId::from_hash(ContentHash::from_bytes(reader.fixed()?))),
        };
        reader.key(4)?;
        let seed = reader.fixed()?;
        reader.key(5)?;
        let task = Task::decode(reader)?;
        reader.key(6)?;
        let schema = Arc::new(Schema::decode(reader)?);
        reader.key(7)?;
        let start = Timestamp::from_dtn_ms(reader.unsigned(u64::MAX)?);
        reader.key(8)?;
        let epoch_length = Span::from_ms(reader.unsigned(u64::MAX)?);
        reader.key(9)?;
        let epochs = read_u32(reader)?;
        reader.key(10)?;
        let training = TrainingPlan::decode(reader)?;
        reader.key(11)?;
        let recipe = Recipe::decode(reader)?;
        reader.key(12)?;
        let attacker_share_permille = read_share(reader)?;
        reader.key(13)?;
        let members = read_members(reader)?;
        reader.key(14)?;
        let bounds = Bounds::decode(reader)?;
        reader.key(15)?;
        let committee = match reader.null()? {
            true => None,
            false => Some(Committee::decode(reader)?),
        };
        let (seal, encoding, trust_roots, privacy, proofs, ceremony, aggregates) =
            read_more(reader, more)?;
        Ok(Self {
            name,
            creator,
            parent,
            seed,
            task,
            schema,
            start,
            epoch_length,
            epochs,
            training,
            recipe,
            attacker_share_permille,
            members,
            trust_roots,
            bounds,
            committee,
            seal,
            encoding,
            privacy,
            proofs,
            ceremony,
            aggregates,
        })
    }
}

/// Opens the map; gives the number of its pairs beyond [`PAIRS`].
fn read_pairs(reader: &mut Reader<'_>) -> Result<usize, CodecError> {
    let with = |more: usize| {
        let mut reader = reader.clone();
        reader.map(PAIRS + more).map(|()| (more, reader))
    };
    let found = (0..MORE_PAIRS_MAX).find_map(|more| with(more).ok());
    let (more, rest) = found.map_or_else(|| with(MORE_PAIRS_MAX), Ok)?;
    *reader = rest;
    Ok(more)
}

/// What not every manifest has.
type More = (
    Option<SealPolicy>,
    Encoding,
    Vec<u16>,
    Option<Privacy>,
    Option<ProofPolicy>,
    Option<CeremonyPlan>,
    Option<u32>,
);

/// Reads so many of the pairs that not every manifest has.
fn read_more(reader: &mut Reader<'_>, mut left: usize) -> Result<More, CodecError> {
    let mut is_next = |reader: &Reader<'_>, key, last: bool| {
        // What is left has to be the last key, whose error says so.
        let is_next = left > 0 && (last || reader.clone().key(key).is_ok());
        left -= usize::from(is_next);
        is_next
    };
    let mut more = (None, Encoding::Int8, Vec::new(), None, None, None, None);
    if is_next(reader, SEAL, false) {
        more.0 = Some(read_seal(reader)?);
    }
    if is_next(reader, ENCODING, false) {
        more.1 = read_encoding(reader)?;
    }
    if is_next(reader, TRUST_ROOTS, false) {
        more.2 = read_trust_roots(reader)?;
    }
    if is_next(reader, PRIVACY, false) {
        reader.key(PRIVACY)?;
        more.3 = Some(Privacy::decode(reader)?);
    }
    if is_next(reader, PROOFS, false) {
        reader.key(PROOFS)?;
        more.4 = Some(ProofPolicy::decode(reader)?);
    }
    if is_next(reader, CEREMONY, false) {
        reader.key(CEREMONY)?;
        more.5 = Some(CeremonyPlan::decode(reader)?);
    }
    if is_next(reader, AGGREGATES, true) {
        reader.key(AGGREGATES)?;
        more.6 = Some(read_u32(reader)?);
    }
    match left {
        0 => Ok(more),
        // More pairs than there are keys.
        _ => Err(reader.invalid("the end of the manifest")),
    }
}

/// At least one root: none is said by leaving the pair out.
fn read_trust_roots(reader: &mut Reader<'_>) -> Result<Vec<u16>, CodecError> {
    reader.key(TRUST_ROOTS)?;
    let none = reader.invalid("the trust roots of all members, which no pair says");
    let above = reader.invalid("a 16-bit number");
    let count = reader.array(MEMBERS_MAX)?;
    let root = |reader: &mut Reader<'_>| {
        let root = reader.unsigned(u16::MAX.into())?;
        u16::try_from(root).map_err(|_| above.clone())
    };
    let roots = (0..count).map(|_| root(reader)).collect::<Result<Vec<u16>, _>>()?;
    if roots.is_empty() { Err(none) } else { Ok(roots) }
}

/// An encoding that is not the default: that is said by leaving the pair out.
fn read_encoding(reader: &mut Reader<'_>) -> Result<Encoding, CodecError> {
    reader.key(ENCODING)?;
    let default = reader.invalid("an encoding other than int8, which has no pair");
    match Encoding::decode(reader)? {
        Encoding::Int8 => Err(default),
        encoding => Ok(encoding),
    }
}

fn read_seal(reader: &mut Reader<'_>) -> Result<SealPolicy, CodecError> {
    reader.key(SEAL)?;
    reader.map(2)?;
    reader.key(1)?;
    let window_epochs = read_u32(reader)?;
    reader.key(2)?;
    Ok(SealPolicy { window_epochs, every_epochs: read_u32(reader)? })
}

fn read_share(reader: &mut Reader<'_>) -> Result<u16, CodecError> {
    let above = reader.invalid("thousandths");
    u16::try_from(reader.unsigned(1_000)?).map_err(|_| above)
}

fn read_members(reader: &mut Reader<'_>) -> Result<Vec<PeerId>, CodecError> {
    let count = reader.array(MEMBERS_MAX)?;
    (0..count).map(|_| read_peer(reader)).collect()
}

pub(crate) fn read_peer(reader: &mut Reader<'_>) -> Result<PeerId, CodecError> {
    let unusable = reader.invalid("a usable peer id");
    PeerId::from_bytes(reader.fixed()?).map_err(|_| unusable)
}
