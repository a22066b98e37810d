//! Ceremony: a federation whose members make proving keys together, so that nobody has to be trusted for them.
//!
//! The manifest's plan says for which shapes of chunks, on which curve and how large phase 1 is. In such a federation nobody
//! trains: members exchange *contributions* ([`longhaul_proofs::ceremony`]), each in a bundle in clear that its maker signs. One is
//! taken by who signed it, what it says of its place, its length, and how many its maker has made; that is a function of manifest and bundle but for the
//! number. **Whether its points hold is not checked here**, since that takes seconds: whoever builds on a
//! contribution verifies the whole chain before.
//!
//! A part is phase 1 (0) or phase 2 of the circuit for so many entries. Of each member at most [`CONTRIBUTIONS_MAX`] contributions to a part
//! are taken, and who made that many counts no longer in that part: peers may have met different ones of the many more that it made, and
//! chains that they hold alike must not depend on that. So an honest member makes at most [`TRIES_MAX`].
//!
//! Bytes of a plan: a map `{1: curve, 2: log2 size of phase 1, 3: [entries, ...], 4: least number of contributors}`. Header of a
//! contribution's bundle: `["ceremony", federation, part, ceremony, payload hash]`.

use longhaul_dtn::bundle::{BundleError, BundleHead};
use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_dtn::time::Timestamp;
use longhaul_proofs::ceremony::{
    self, CONTRIBUTIONS_MAX as CHAIN_MAX, LOG_SIZE_MAX, LogSize, circuit_contribution_bytes_max,
};
use longhaul_proofs::curve::{Bls12_381, Bn254, Curve, Scalar};
use longhaul_proofs::s1::{Shape, circuit};

use crate::bounds::PAYLOAD_BYTES_MAX;
use crate::manifest::{Manifest, SignedManifest, TermsError};
use crate::proving::{ProofCurve, read_curve, read_shape};

/// Fewest contributors to a part that a ceremony asks for: one alone knows all secrets.
pub const CONTRIBUTORS_MIN: u32 = 2;
/// Contributions of one member to one part that are taken; who made as many counts no longer.
pub const CONTRIBUTIONS_MAX: usize = 8;
/// Contributions that an honest member makes to one part: one, and some more where others were preferred.
pub const TRIES_MAX: usize = CONTRIBUTIONS_MAX - 1;
/// Most bytes of a contribution's header.
pub(crate) const CONTRIBUTION_HEADER_BYTES_MAX: usize = 128;
/// Sequence numbers of contributions begin here: beyond those of updates and votes, before those of keys.
const SEQUENCE_FIRST: u64 = 1 << 61;
const TAG: &str = "ceremony";

/// What a ceremony makes keys for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CeremonyPlan {
    /// The curve.
    pub curve: ProofCurve,
    /// The logarithm of the largest domain that phase 1 serves.
    pub log_size: u32,
    /// The shapes of chunks, ascending.
    pub shapes: Vec<Shape>,
    /// How many members have to contribute to each phase.
    pub contributors_min: u32,
}

/// One of the chains of a ceremony.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Phase 1, for all shapes.
    Powers,
    /// Phase 2 of a shape.
    Circuit(Shape),
}

/// What a contribution's bundle says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContributionHeader {
    /// The federation.
    pub federation: ContentHash,
    /// The part that it is to.
    pub part: Part,
    /// The ceremony that it names inside; of phase 2 it depends on the powers.
    pub ceremony: ContentHash,
    /// The hash of the contribution as a payload.
    pub payload: ContentHash,
}

/// Why a plan is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CeremonyPlanError {
    /// The size of phase 1 is out of range; holds its logarithm.
    #[error("a phase 1 of 2^{0} points; choose 1 to {LOG_SIZE_MAX}")]
    LogSize(u32),
    /// Phase 1 does not serve the largest shape.
    #[error(
        "a phase 1 of 2^{found} points, the circuit for {entries} entries needs 2^{needed}; choose a larger size"
    )]
    TooSmall {
        /// The size's logarithm.
        found: u32,
        /// The logarithm that is needed.
        needed: u32,
        /// Entries of the shape.
        entries: usize,
    },
    /// The shapes are none, or not ascending.
    #[error("shapes are listed once each, ascending, and at least one")]
    Shapes,
    /// Fewer than two have to contribute, or more than there can be.
    #[error("{found} contributors asked for; choose {CONTRIBUTORS_MIN} to {max}")]
    Contributors {
        /// What is asked for.
        found: u32,
        /// The most that there can be.
        max: usize,
    },
    /// A contribution would be larger than payloads may be; holds its bytes.
    #[error(
        "a contribution of {0} bytes, payloads have at most {PAYLOAD_BYTES_MAX}; choose a smaller size"
    )]
    Bytes(u64),
    /// A ceremony is all that its federation does.
    #[error("a ceremony seals nothing, proves nothing and is not private; leave these out")]
    Mixed,
}

/// Why a bundle is no contribution that is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContributionRefusal {
    /// The federation is no ceremony.
    #[error("the federation is no ceremony")]
    NoCeremony,
    /// It is something else: nobody publishes updates here.
    #[error("not a contribution, and nothing else travels in a ceremony: {0}")]
    Malformed(#[from] CodecError),
    /// Who signed it is no member.
    #[error("{0} is no member of this ceremony")]
    NotAMember(PeerId),
    /// It is for another federation; holds that.
    #[error("the contribution is for federation {0}")]
    ForeignFederation(ContentHash),
    /// It is to another part, or phase 1 of another size.
    #[error("the contribution is to something that this ceremony does not make")]
    Part,
    /// It is larger than contributions to its part are.
    #[error("a contribution of {found} bytes, {max} are the most here")]
    Size {
        /// Its bytes.
        found: u64,
        /// The most.
        max: u64,
    },
    /// The payload is not what the bundle says: another hash, ceremony or contributor.
    #[error("the payload is not what the bundle says of it: {0}")]
    Payload(&'static str),
    /// Its maker has made as many as are taken.
    #[error("{CONTRIBUTIONS_MAX} contributions of this member to this part were taken already")]
    TooMany,
}

impl ContributionRefusal {
    /// The stable code that a refusal records.
    pub const fn code(&self) -> u16 {
        match self {
            Self::NoCeremony => 210,
            Self::Malformed(_) => 211,
            Self::NotAMember(_) => 212,
            Self::ForeignFederation(_) => 213,
            Self::Part => 214,
            Self::Size { .. } => 215,
            Self::Payload(_) => 216,
            Self::TooMany => 217,
        }
    }
}

/// What follows from a plan: worked out once, since it takes circuits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lengths {
    /// The name of phase 1.
    phase_one: ContentHash,
    /// Most bytes of a contribution to each part.
    bytes_max: Vec<(Part, u64)>,
}

impl Lengths {
    /// Most bytes of any contribution.
    pub fn largest(&self) -> u64 {
        self.bytes_max.iter().map(|it| it.1).max().unwrap_or(0)
    }

    fn of(&self, part: Part) -> Option<u64> {
        self.bytes_max.iter().find(|it| it.0 == part).map(|it| it.1)
    }
}

impl Part {
    /// The number that headers have.
    pub const fn number(self) -> u64 {
        match self {
            Self::Powers => 0,
            Self::Circuit(shape) => shape.entries() as u64,
        }
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Powers => f.write_str("phase 1"),
            Self::Circuit(shape) => write!(f, "phase 2 of {} entries", shape.entries()),
        }
    }
}

impl CeremonyPlan {
    /// The parts, phase 1 first.
    pub fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        std::iter::once(Part::Powers).chain(self.shapes.iter().map(|shape| Part::Circuit(*shape)))
    }

    /// The size of the smallest phase 1 that serves these shapes; `None` for none of them.
    pub fn size_for(shapes: &[Shape]) -> Option<LogSize> {
        // The circuit's size does not depend on the curve.
        LogSize::fitting(&circuit::<Scalar<Bn254>>(*shapes.last()?))
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.map(4).unsigned(1).text(self.curve.name());
        writer.unsigned(2).unsigned(self.log_size.into());
        writer.unsigned(3).array(self.shapes.len());
        for shape in &self.shapes {
            writer.unsigned(shape.entries() as u64);
        }
        writer.unsigned(4).unsigned(self.contributors_min.into());
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.map(4)?;
        reader.key(1)?;
        let curve = read_curve(reader)?;
        let number = |reader: &mut Reader<'_>| {
            let above = reader.invalid("a number of 32 bits");
            u32::try_from(reader.unsigned(u32::MAX.into())?).map_err(|_| above)
        };
        reader.key(2)?;
        let log_size = number(reader)?;
        reader.key(3)?;
        let count = reader.array(Shape::STANDARD.len())?;
        let shapes = (0..count).map(|_| read_shape(reader)).collect::<Result<_, _>>()?;
        reader.key(4)?;
        Ok(Self { curve, log_size, shapes, contributors_min: number(reader)? })
    }

    fn lengths(&self) -> Result<Lengths, CeremonyPlanError> {
        match self.curve {
            ProofCurve::Bn254 => self.lengths_on::<Bn254>(),
            ProofCurve::Bls12381 => self.lengths_on::<Bls12_381>(),
        }
    }

    fn lengths_on<E: Curve>(&self) -> Result<Lengths, CeremonyPlanError> {
        let found = self.log_size;
        let size = LogSize::new(found).ok_or(CeremonyPlanError::LogSize(found))?;
        let mut bytes_max = vec![(Part::Powers, size.contribution_bytes::<E>() as u64)];
        for &shape in &self.shapes {
            let (system, entries) = (circuit::<Scalar<E>>(shape), shape.entries());
            let needed = LogSize::fitting(&system).map_or(LOG_SIZE_MAX + 1, LogSize::log);
            if needed > found {
                return Err(CeremonyPlanError::TooSmall { found, needed, entries });
            }
            let bytes = circuit_contribution_bytes_max::<E>(&system) as u64;
            bytes_max.push((Part::Circuit(shape), bytes));
        }
        let lengths = Lengths { phase_one: size.ceremony::<E>(), bytes_max };
        let largest = lengths.largest();
        let fits = largest <= PAYLOAD_BYTES_MAX.into();
        if fits { Ok(lengths) } else { Err(CeremonyPlanError::Bytes(largest)) }
    }

    /// What its contributions may take of a member's disk, where so many members make all that are taken.
    pub(crate) fn room_bytes(&self, members: usize) -> u64 {
        let each = self.lengths().map_or(0, |it| it.bytes_max.iter().map(|it| it.1).sum());
        each.saturating_mul((members * CONTRIBUTIONS_MAX) as u64)
    }
}

impl std::fmt::Display for CeremonyPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shapes: Vec<_> = self.shapes.iter().map(|it| it.entries().to_string()).collect();
        let Self { curve, log_size, contributors_min, .. } = self;
        write!(f, "on {curve}, phase 1 of 2^{log_size} points, keys for chunks of ")?;
        write!(f, "{} entries, at least {contributors_min} contributors", shapes.join(", "))
    }
}

impl ContributionHeader {
    /// The header's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(5).text(TAG).bytes(self.federation.as_bytes()).unsigned(self.part.number());
        writer.bytes(self.ceremony.as_bytes()).bytes(self.payload.as_bytes());
        writer.into_bytes()
    }

    /// Reads them strictly.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        reader.tuple(5)?;
        let other = reader.invalid("the word ceremony");
        if reader.text(TAG.len())? != TAG {
            return Err(other);
        }
        let federation = ContentHash::from_bytes(reader.fixed()?);
        let part = match reader.clone().unsigned(u64::MAX)? {
            0 => reader.unsigned(0).map(|_| Part::Powers)?,
            _ => Part::Circuit(read_shape(&mut reader)?),
        };
        let ceremony = ContentHash::from_bytes(reader.fixed()?);
        let payload = ContentHash::from_bytes(reader.fixed()?);
        reader.finish()?;
        Ok(Self { federation, part, ceremony, payload })
    }
}

impl Manifest {
    /// True where keys are made and nothing is trained.
    pub const fn is_ceremony(&self) -> bool {
        self.ceremony.is_some()
    }

    /// That a ceremony is sound, and alone; gives what follows from it.
    pub(crate) fn check_ceremony(&self) -> Result<Option<Lengths>, CeremonyPlanError> {
        let Some(plan) = &self.ceremony else { return Ok(None) };
        if self.seal.is_some() || self.proofs.is_some() || self.is_private() {
            return Err(CeremonyPlanError::Mixed);
        }
        if plan.shapes.is_empty() || plan.shapes.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(CeremonyPlanError::Shapes);
        }
        let (found, max) = (plan.contributors_min, self.members.len().min(CHAIN_MAX));
        // One contributor alone would know all secrets.
        if found < CONTRIBUTORS_MIN || found as usize > max {
            return Err(CeremonyPlanError::Contributors { found, max });
        }
        plan.lengths().map(Some)
    }
}

impl SignedManifest {
    /// Most bytes of a contribution; zero where there is no ceremony.
    pub fn contribution_bytes_max(&self) -> u64 {
        self.lengths.as_ref().map_or(0, Lengths::largest)
    }

    /// The bundle in which a member sends a contribution; `tries` is how many it has made to this part.
    ///
    /// # Errors
    /// If the federation is no ceremony, `key` is no member's, or the contribution names another maker or ceremony.
    pub fn contribution(
        &self,
        key: &SecretKey,
        (part, tries): (Part, usize),
        payload: &[u8],
        now: Timestamp,
    ) -> Result<BundleHead, MakeContributionError> {
        let refused = || ContributionRefusal::NoCeremony;
        let plan = self.manifest().ceremony.as_ref().ok_or_else(refused)?;
        let (ceremony, _) = peek(plan.curve, payload)?;
        let (federation, hash) = (self.id().hash(), ContentHash::of(payload));
        let header = ContributionHeader { federation, part, ceremony, payload: hash };
        let number = SEQUENCE_FIRST | part.number() << 16 | tries as u64;
        let draft = self.draft((now, number), header.encode(), payload)?;
        let head = BundleHead::seal(draft, key)?;
        self.check_terms(&head)?;
        self.admit_contribution(&head, payload)?;
        Ok(head)
    }

    /// Judges a contribution but for its points: a pure function of the manifest and the bundle.
    pub fn admit_contribution(
        &self,
        head: &BundleHead,
        payload: &[u8],
    ) -> Result<ContributionHeader, ContributionRefusal> {
        let header = self.screen_contribution(head)?;
        if ContentHash::of(payload) != header.payload {
            return Err(ContributionRefusal::Payload("it has another hash"));
        }
        let plan = self.manifest().ceremony.as_ref().ok_or(ContributionRefusal::NoCeremony)?;
        let (ceremony, contributor) = peek(plan.curve, payload)?;
        if ceremony != header.ceremony {
            return Err(ContributionRefusal::Payload("it is to another ceremony"));
        }
        if contributor != head.author() {
            return Err(ContributionRefusal::Payload("somebody else made it"));
        }
        Ok(header)
    }

    /// The same from the head alone.
    pub fn screen_contribution(
        &self,
        head: &BundleHead,
    ) -> Result<ContributionHeader, ContributionRefusal> {
        let lengths = self.lengths.as_ref().ok_or(ContributionRefusal::NoCeremony)?;
        let author = head.author();
        if self.manifest().member_index(&author).is_none() {
            return Err(ContributionRefusal::NotAMember(author));
        }
        let header = ContributionHeader::decode(head.header())?;
        if header.federation != self.id().hash() {
            return Err(ContributionRefusal::ForeignFederation(header.federation));
        }
        let max = lengths.of(header.part).ok_or(ContributionRefusal::Part)?;
        if header.part == Part::Powers && header.ceremony != lengths.phase_one {
            return Err(ContributionRefusal::Part);
        }
        let found = head.payload_len();
        if found > max {
            return Err(ContributionRefusal::Size { found, max });
        }
        Ok(header)
    }
}

/// The ceremony that a contribution names, and who made it by its own word.
fn peek(curve: ProofCurve, payload: &[u8]) -> Result<(ContentHash, PeerId), ContributionRefusal> {
    let header = match curve {
        ProofCurve::Bn254 => ceremony::Header::peek::<Bn254>(payload),
        ProofCurve::Bls12381 => ceremony::Header::peek::<Bls12_381>(payload),
    };
    let header = header.map_err(|_| ContributionRefusal::Payload("it is no contribution"))?;
    Ok((header.ceremony, header.contributor))
}

/// Why a contribution can't be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MakeContributionError {
    /// No such bundle can be made.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// It would not travel on the federation's terms.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// Nobody would accept it.
    #[error(transparent)]
    Refused(#[from] ContributionRefusal),
}
