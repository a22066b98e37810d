//! Golden vectors: the bytes of an update and a header and the id of a model
//! never change by accident. The files are in `tests/vectors` of the workspace.

mod common;

use std::sync::Arc;

use common::{header, payload, unknown_header};
use longhaul_aggregation::{
    BaseSummary, Compressor, Epoch, HeaderLimits, Init, MemberIndex, NormBound, Parameters,
    Previous, Schema, TensorSpec, Update, UpdateHeader,
};

const UPDATE: &str = include_str!("../../tests/vectors/update.hex");
const HEADER: &str = include_str!("../../tests/vectors/header.hex");
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
fn derives_the_golden_model_from_the_seed() {
    let model = Parameters::initial(&schema(), &[42; 32]);
    assert_eq!(model.model_id(&schema()).to_string(), vector(MODEL_ID));
}
