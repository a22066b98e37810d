//! Golden vectors: the bytes of an update and a header and the id of a model
//! never change by accident. The files are in `tests/vectors` of the workspace.

mod common;

use std::sync::Arc;

use common::{header, payload, unknown_header};
use longhaul_aggregation::{
    Attempt, BaseSummary, Compressor, Epoch, HeaderLimits, Init, MemberIndex, ModelId, NormBound,
    Parameters, Phase, PoolSpan, Previous, Schema, SealPolicy, SealRules, SealValue, Setting,
    SnapshotHeader, TensorSpec, Update, UpdateHeader, Vote,
};
use longhaul_dtn::hash::ContentHash;

const UPDATE: &str = include_str!("../../tests/vectors/update.hex");
const HEADER: &str = include_str!("../../tests/vectors/header.hex");
const VOTE: &str = include_str!("../../tests/vectors/vote.hex");
const SNAPSHOT_HEADER: &str = include_str!("../../tests/vectors/snapshot_header.hex");
const MODEL_ID: &str = include_str!("../../tests/vectors/model_id.hex");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The vector of a file: its lines without comments, joined.
fn vector(file: &str) -> String {
    file.lines().filter(|line| !line.starts_with('#')).map(str::trim).collect()
}

fn schema() -> Schema {
    let tensors = vec![
        TensorSpec::new("kernel", vec![2, 3], Init::Uniform { bound: 1 << 22 })
            .expect("a sound tensor"),
        TensorSpec::new("bias", vec![3], Init::Zero).expect("a sound tensor"),
        TensorSpec::new("wide", vec![4], Init::Uniform { bound: u32::MAX })
            .expect("a sound tensor"),
    ];
    Schema::new(tensors).expect("a sound schema")
}

#[test]
fn the_compressor_writes_the_golden_update() {
    let delta = vec![1, -2, 3, -1000, 500, 0, 127, -127, 5, 1 << 40, -(1 << 24), 0, 0];
    let update = Compressor::new(&schema())
        .compress(&Parameters::from_units(delta), NormBound::from_units(u64::MAX));
    assert_eq!(hex(update.payload()), vector(UPDATE));
}

#[test]
fn the_golden_update_reads_as_its_values() {
    let expected: [(u64, &[i8]); 3] =
        [(3, &[0, 0, 0, -125, 62, 0]), (0, &[127, -127, 5]), (24, &[127, -1, 0, 0])];
    let payload: Arc<[u8]> = payload(&expected);
    assert_eq!(hex(&payload), vector(UPDATE));
    let update = Update::decode(payload, &schema()).unwrap();
    for (chunk, (exponent, values)) in update.values().zip(expected) {
        assert_eq!(u64::from(chunk.exponent), exponent);
        assert_eq!(chunk.quantised().collect::<Vec<_>>(), values);
    }
}

#[test]
fn writes_and_reads_the_golden_header() {
    let previous = Previous { epoch: Epoch::new(300), header: unknown_header(9) };
    let mut written = header(70_000, Some(previous), b"payload");
    let row = |members: &[u16]| members.iter().copied().map(MemberIndex::new).collect();
    written.base.summary =
        BaseSummary::new(vec![row(&[0, 1, 2, 40]), row(&[]), row(&[299])]).unwrap();
    assert_eq!(hex(&written.encode()), vector(HEADER));
    let limits = HeaderLimits { members: 300, summary_window: 3 };
    assert_eq!(UpdateHeader::decode(&written.encode(), &limits), Ok(written));
}

#[test]
fn writes_and_reads_the_golden_vote_and_snapshot_header() {
    let of = |byte: u8| ContentHash::from_bytes([byte; 32]);
    let value =
        SealValue { end: Epoch::new(300), root: of(0x22), model: ModelId::from_hash(of(0x33)) };
    let attempt = Attempt::new(70_000);
    let vote = Vote { federation: of(0x11), attempt, phase: Phase::Commit, value };
    assert_eq!(hex(&vote.encode()), vector(VOTE));
    assert_eq!(Vote::decode(&vote.encode()), Ok(vote));
    let header = SnapshotHeader { federation: of(0x11), attempt, value, payload: of(0x44) };
    assert_eq!(hex(&header.encode()), vector(SNAPSHOT_HEADER));
    let policy = SealPolicy { window_epochs: 12, every_epochs: 1 };
    let rules = SealRules::new(policy, &Setting::trusting(4), PoolSpan::ONE, 100_000);
    assert_eq!(SnapshotHeader::decode(&header.encode(), &rules), Ok(header));
}

#[test]
fn derives_the_golden_model_from_the_seed() {
    let model = Parameters::initial(&schema(), &[42; 32]);
    assert_eq!(model.model_id(&schema()).to_string(), vector(MODEL_ID));
}
