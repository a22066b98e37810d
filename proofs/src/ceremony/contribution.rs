//! Contribution: the message with which a contributor moves a ceremony on by one step.
//!
//! It names the ceremony, its predecessor and its contributor, and holds what it changes and the proofs of
//! knowledge: a deterministic CBOR array `[version, curve, ceremony, predecessor, contributor, points of G1, points of G2,
//! commitments, responses]`, points compressed. Its length follows from the stage, so a reader knows it before it
//! reads. It carries no signature: it travels in something signed (a bundle, a record), and whoever takes it from there
//! compares that author with [`Header::contributor`].

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

const VERSION: u64 = 1;
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

/// A contribution that was read; nothing of it is checked but its form.
pub(super) struct Contribution<S: Stage> {
    pub(super) next: S,
    knowledge: Knowledge<S::Curve>,
    statement_bytes: usize,
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
            return Err(reader.invalid("version 1").into());
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

/// Names a contribution.
pub(super) fn hash(bytes: &[u8]) -> ContentHash {
    ContentHash::derive("longhaul 2026 ceremony contribution v1", bytes)
}

/// Bytes of each part after the header: points of both groups, commitments, responses.
fn part_bytes<S: Stage>(counts: PointCounts, secrets: usize) -> [usize; 4] {
    let one = Form::Compressed.size::<PointOne<S::Curve>>();
    let two = Form::Compressed.size::<PointTwo<S::Curve>>();
    [counts.ones * one, counts.twos * two, secrets * one, secrets * SCALAR_BYTES]
}

/// The length of every contribution to this stage.
pub(super) fn size_bytes<S: Stage>(stage: &S, header: &Header) -> usize {
    let mut writer = header.write::<S::Curve>();
    let parts = part_bytes::<S>(stage.point_counts(), stage.separators().len());
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
    points::write(&points.ones, Form::Compressed, &mut bytes);
    writer.bytes(&bytes);
    bytes.clear();
    points::write(&points.twos, Form::Compressed, &mut bytes);
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

impl<S: Stage> Contribution<S> {
    /// Reads a contribution that follows `head` in the ceremony of `stage`.
    ///
    /// Points are only read if the header fits; no more is allocated than the stage has points.
    pub(super) fn read(
        stage: &S,
        head: ContentHash,
        bytes: &[u8],
    ) -> Result<(Header, Self), Refusal> {
        let mut reader = Reader::new(bytes);
        let header = Header::read::<S::Curve>(&mut reader)?;
        let (found, expected) = (header.ceremony, stage.ceremony());
        if found != expected {
            return Err(Refusal::Ceremony { found, expected });
        }
        if header.predecessor != head {
            return Err(Refusal::Predecessor { found: header.predecessor, expected: head });
        }
        let secrets = stage.separators().len();
        let counts = stage.point_counts();
        let [ones_len, twos_len, commitments_len, responses_len] = part_bytes::<S>(counts, secrets);
        let (mut ones, mut twos) = (reader.bytes(ones_len)?, reader.bytes(twos_len)?);
        let statement_bytes = reader.position();
        let (commitments, responses) =
            (reader.bytes(commitments_len)?, reader.bytes(responses_len)?);
        reader.finish()?;
        if (ones.len(), twos.len()) != (ones_len, twos_len) {
            return Err(PointError::Length.into());
        }
        let knowledge = Knowledge::read(secrets, commitments, responses)?;
        let (form, trust) = (Form::Compressed, Trust::Stranger);
        let twos = points::read(&mut twos, counts.twos, form, trust)?;
        let ones = points::read(&mut ones, counts.ones, form, trust)?;
        let next = stage.with_points(Points { ones, twos });
        Ok((header, Self { next, knowledge, statement_bytes }))
    }

    /// Whether the contributor shows that it knows its factors.
    pub(super) fn shows_knowledge(&self, stage: &S, bytes: &[u8]) -> bool {
        let statement = &bytes[..self.statement_bytes];
        self.knowledge.holds(&stage.separators(), &self.next.separators(), statement)
    }
}
