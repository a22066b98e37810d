//! Contribution: the message with which a contributor moves a ceremony on by one step.
//!
//! It names the ceremony, its predecessor and its contributor, and holds what it changes and the proofs of
//! knowledge: a deterministic CBOR array `[version, curve, ceremony, predecessor, contributor, points of G1, points of G2,
//! commitments, responses]`, points with both coordinates, commitments compressed. Its length follows from the stage, so a reader knows it before it
//! reads. It carries no signature: it travels in something signed (a bundle, a record), and
//! [`Chain::extend`](super::Chain::extend) compares that author with [`Header::contributor`].
//!
//! It is read in two steps. The proofs of knowledge need the separators alone, so junk costs a hash and a few points; every
//! other point is looked at only for who has shown that it multiplied something.

use longhaul_dtn::codec::{Reader, Writer};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;

use super::knowledge::{Knowledge, SCALAR_BYTES};
use super::refusal::Refusal;
use super::stage::{PointCounts, Points, Stage};
use crate::cp::PointError;
use crate::cp::points::{self, Form, Trust};
use crate::curve::{Curve, PointOne, PointTwo};
use crate::seed::{Secret, Seed};

const VERSION: u64 = 2;
/// Both coordinates travel: a contribution is made once and checked by everybody, often more than once, and a square root for each
/// point is four fifths of a check.
const FORM: Form = Form::Uncompressed;
const FIELDS: usize = 9;
const CURVE_NAME_BYTES_MAX: usize = 16;

/// What a contribution says of its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The ceremony that it is to.
    pub ceremony: ContentHash,
    /// The hash of the contribution before it, or the ceremony for the first.
    pub predecessor: ContentHash,
    /// Who made it.
    pub contributor: PeerId,
}

/// A contribution whose points are not read yet.
pub(super) struct Unread<'a> {
    /// All but the proofs of knowledge.
    statement: &'a [u8],
    ones: &'a [u8],
    twos: &'a [u8],
    commitments: &'a [u8],
    responses: &'a [u8],
}

impl Header {
    /// Reads the place of a contribution on this curve, as one does with many to find which follows which.
    ///
    /// # Errors
    /// Bytes that do not begin like a contribution, or one on another curve.
    pub fn peek<E: Curve>(bytes: &[u8]) -> Result<Self, Refusal> {
        Self::read::<E>(&mut Reader::new(bytes))
    }

    fn read<E: Curve>(reader: &mut Reader<'_>) -> Result<Self, Refusal> {
        reader.tuple(FIELDS)?;
        if reader.unsigned(u64::MAX)? != VERSION {
            return Err(reader.invalid("version 2").into());
        }
        if reader.text(CURVE_NAME_BYTES_MAX)? != E::NAME {
            return Err(Refusal::Curve(E::NAME));
        }
        Ok(Self {
            ceremony: ContentHash::from_bytes(reader.fixed()?),
            predecessor: ContentHash::from_bytes(reader.fixed()?),
            contributor: PeerId::from_bytes(reader.fixed()?)?,
        })
    }

    fn write<E: Curve>(&self) -> Writer {
        let mut writer = Writer::new();
        writer.array(FIELDS).unsigned(VERSION).text(E::NAME).bytes(self.ceremony.as_bytes());
        writer.bytes(self.predecessor.as_bytes()).bytes(self.contributor.as_bytes());
        writer
    }
}

/// Names a contribution: what the next one calls its predecessor.
pub fn hash(bytes: &[u8]) -> ContentHash {
    ContentHash::derive("longhaul 2026 ceremony contribution v1", bytes)
}

/// Bytes of each part after the header: points of both groups, commitments, responses.
fn part_bytes<E: Curve>(counts: PointCounts, secrets: usize) -> [usize; 4] {
    let (one, two) = (FORM.size::<PointOne<E>>(), FORM.size::<PointTwo<E>>());
    let commitment = Form::Compressed.size::<PointOne<E>>();
    [counts.ones * one, counts.twos * two, secrets * commitment, secrets * SCALAR_BYTES]
}

/// The length of a contribution with so many points and secrets.
pub(super) fn len<E: Curve>(counts: PointCounts, secrets: usize) -> usize {
    // All that has to be there of a header has one length.
    let name = [0; 32];
    let mut writer = Writer::new();
    writer.array(FIELDS).unsigned(VERSION).text(E::NAME).bytes(&name).bytes(&name).bytes(&name);
    let parts = part_bytes::<E>(counts, secrets);
    parts.iter().for_each(|&len| {
        writer.bytes_head(len as u64);
    });
    writer.len() + parts.iter().sum::<usize>()
}

/// Multiplies the stage by fresh secrets, which are forgotten, and writes the message.
pub(super) fn make<S: Stage>(stage: &S, header: &Header, seed: &Seed) -> Vec<u8> {
    // A seed that is used at two places by mistake gives unrelated secrets.
    let place = format!("ceremony {} by {}", header.predecessor, header.contributor);
    let seed = seed.derive(&place, 0);
    let mut draw = seed.derive("factors", 0).draw();
    let separators = stage.separators();
    let secrets: Vec<Secret<_>> = separators.iter().map(|_| draw.scalar()).collect();
    let statement = statement(header, &stage.scaled(&secrets).points());
    let knowledge = Knowledge::<S::Curve>::prove(&separators, &secrets, &statement, &seed);
    seal(statement, &knowledge)
}

/// All of a message but its proofs of knowledge.
pub(super) fn statement<E: Curve>(header: &Header, points: &Points<E>) -> Vec<u8> {
    let mut writer = header.write::<E>();
    let mut bytes = Vec::new();
    points::write(&points.ones, FORM, &mut bytes);
    writer.bytes(&bytes);
    bytes.clear();
    points::write(&points.twos, FORM, &mut bytes);
    writer.bytes(&bytes);
    writer.into_bytes()
}

/// A message from its two halves.
pub(super) fn seal<E: Curve>(statement: Vec<u8>, knowledge: &Knowledge<E>) -> Vec<u8> {
    let (commitments, responses) = knowledge.write();
    let mut writer = Writer::new();
    writer.bytes(&commitments).bytes(&responses);
    [statement, writer.into_bytes()].concat()
}

impl<'a> Unread<'a> {
    /// Takes the parts of a contribution to `stage` apart; their lengths follow from it.
    pub(super) fn read<S: Stage>(stage: &S, bytes: &'a [u8]) -> Result<Self, Refusal> {
        let mut reader = Reader::new(bytes);
        Header::read::<S::Curve>(&mut reader)?;
        let lens = part_bytes::<S::Curve>(stage.point_counts(), stage.separators().len());
        let [ones, twos] = [reader.bytes(lens[0])?, reader.bytes(lens[1])?];
        let statement = &bytes[..reader.position()];
        let [commitments, responses] = [reader.bytes(lens[2])?, reader.bytes(lens[3])?];
        reader.finish()?;
        if [ones, twos, commitments, responses].map(<[u8]>::len) != lens {
            return Err(PointError::Length.into());
        }
        Ok(Self { statement, ones, twos, commitments, responses })
    }

    /// The stage with the contribution's points, if its maker shows that it knows its factors.
    ///
    /// No more is allocated than the stage has points.
    pub(super) fn points<S: Stage>(&self, stage: &S) -> Result<S, Refusal> {
        let (form, trust) = (FORM, Trust::Stranger);
        let bases = stage.separators();
        let knowledge = Knowledge::<S::Curve>::read(bases.len(), self.commitments, self.responses)?;
        let size = form.size::<PointOne<S::Curve>>();
        let separator =
            |place: usize| Ok(points::read(&mut &self.ones[place * size..], 1, form, trust)?[0]);
        let places = stage.separator_places();
        let results = places.into_iter().map(separator).collect::<Result<Vec<_>, PointError>>()?;
        if !knowledge.holds(&bases, &results, self.statement) {
            return Err(Refusal::Knowledge);
        }
        let counts = stage.point_counts();
        let (mut ones, mut twos) = (self.ones, self.twos);
        let twos = points::read(&mut twos, counts.twos, form, trust)?;
        let ones = points::read(&mut ones, counts.ones, form, trust)?;
        Ok(stage.with_points(Points { ones, twos }))
    }
}
