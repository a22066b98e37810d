//! Encodings: every payload has one form, reads as the update it was written from, and
//! no bytes make a reader panic or allocate more than the schema says.

mod common;

use std::collections::BTreeSet;

use common::{payload, schema};
use longhaul_aggregation::compress::{CodedError, EncodingError, Levels, MaskKey, Share};
use longhaul_aggregation::{
    Clip, Compressor, Encoding, Epoch, Init, Mix, NormBound, Parameters, PoolSpan, Recipe, Rule,
    Schema, TensorSpec, Trim, Update, UpdateError,
};
use longhaul_dtn::codec::{Reader, Writer};
use proptest::prelude::*;

const UNBOUNDED: NormBound = NormBound::from_units(u64::MAX);
const INT8_PLAIN: &str = include_str!("../../tests/vectors/update.hex");
const ENCODINGS: &str = include_str!("../../tests/vectors/encodings.hex");

/// A schema of tensors with these shapes.
fn shaped(shapes: &[&[u32]]) -> Schema {
    let tensors = (0..).zip(shapes).map(|(number, shape)| {
        TensorSpec::new(format!("t{number}"), shape.to_vec(), Init::Zero).expect("a sound tensor")
    });
    Schema::new(tensors.collect()).expect("a sound schema")
}

fn share(ten_thousandths: u16) -> Share {
    Share::new(ten_thousandths).expect("a sound share")
}

fn key() -> MaskKey {
    MaskKey::new(&[9; 32], Epoch::new(4))
}

fn all() -> Vec<Encoding> {
    let mut all = vec![
        Encoding::Int8,
        Encoding::Int8Coded,
        Encoding::Int4,
        Encoding::Ternary { share: share(3300) },
        Encoding::Ternary { share: Share::ALL },
    ];
    for levels in [Levels::One, Levels::Seven, Levels::Full] {
        for share in [share(1), share(700), Share::ALL] {
            all.extend([Encoding::RandK { share, levels }, Encoding::TopK { share, levels }]);
        }
    }
    all
}

/// Values that fit no shape in particular, mostly small.
fn delta(length: usize, seed: u64) -> Parameters {
    let mut state = seed;
    let units = (0..length).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let bits = 64 - 1 - (state >> 33) % 24;
        (state.rotate_left(31).cast_signed() >> bits) * ((state >> 60) as i64 & 1)
    });
    Parameters::from_units(units.collect())
}

fn compressed(encoding: Encoding, schema: &Schema, delta: &Parameters) -> Update {
    Compressor::with(schema, encoding).compress_in(&key(), delta, UNBOUNDED)
}

fn chunks(update: &Update) -> Vec<(u8, Vec<i8>)> {
    update.values().map(|chunk| (chunk.exponent, chunk.quantised().collect())).collect()
}

fn squared(entries: &[i64]) -> u128 {
    entries.iter().map(|entry| u128::from(entry.unsigned_abs()).pow(2)).sum()
}

fn read(encoding: Encoding, schema: &Schema, bytes: &[u8]) -> Result<Update, UpdateError> {
    encoding.read(bytes.into(), schema, &key())
}

/// `[exponents, body]`.
fn coded(exponents: &[u8], body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(2).bytes(exponents).bytes(body);
    writer.into_bytes()
}

#[test]
fn every_encoding_reads_as_it_was_written() {
    let schema = shaped(&[&[10, 2, 15], &[1], &[700, 100], &[5, 1]]);
    for encoding in all() {
        let update = compressed(encoding, &schema, &delta(70_306, 5));
        let again = read(encoding, &schema, update.payload()).unwrap();
        assert_eq!(chunks(&again), chunks(&update), "{encoding:?}");
        assert_eq!(again.squared_norm(), update.squared_norm());
        assert!(update.payload().len() <= schema.payload_bytes_max());
        let written = encoding.write(&again, &schema, &key()).unwrap();
        assert_eq!(written.payload(), update.payload(), "{encoding:?}");
        let most = encoding.levels().largest();
        assert!(chunks(&update).iter().flat_map(|it| &it.1).all(|it| it.unsigned_abs() <= most));
    }
}

#[test]
fn encodings_of_the_same_values_are_the_same_update() {
    let schema = schema(&[5000]);
    let ternary = Encoding::Ternary { share: share(2000) };
    let update = compressed(ternary, &schema, &delta(5000, 1));
    for encoding in [
        Encoding::Int8,
        Encoding::Int8Coded,
        Encoding::Int4,
        Encoding::TopK { share: share(2000), levels: Levels::One },
        Encoding::RandK { share: Share::ALL, levels: Levels::Full },
    ] {
        let other = encoding.write(&update, &schema, &key()).unwrap();
        assert_eq!(chunks(&other), chunks(&update), "{encoding:?}");
        assert_eq!(other.squared_norm(), update.squared_norm());
        let back = ternary.write(&other, &schema, &key()).unwrap();
        assert_eq!(back.payload(), update.payload());
    }
}

#[test]
fn an_encoding_refuses_to_write_what_it_cannot_say() {
    let schema = schema(&[20]);
    let mut values = [0_i8; 20];
    values[..4].copy_from_slice(&[1, -2, 1, 8]);
    let update = Update::decode(payload(&[(3, &values)]), &schema).unwrap();
    let outside = (0..20).find(|at| !key().positions(20, share(5000)).contains(at)).unwrap();
    let mut elsewhere = [0_i8; 20];
    elsewhere[outside] = 1;
    let elsewhere = Update::decode(payload(&[(0, &elsewhere)]), &schema).unwrap();
    let half = share(5000);
    for (encoding, update, expected) in [
        (Encoding::Int4, &update, CodedError::AboveLevels { levels: 7 }),
        (Encoding::TERNARY, &update, CodedError::AboveLevels { levels: 1 }),
        (
            Encoding::TopK { share: share(1500), levels: Levels::Full },
            &update,
            CodedError::TooMany { most: 3 },
        ),
        (
            Encoding::RandK { share: half, levels: Levels::One },
            &elsewhere,
            CodedError::Unmasked(outside),
        ),
    ] {
        assert_eq!(encoding.write(update, &schema, &key()).unwrap_err(), expected);
    }
}

#[test]
fn each_of_all_small_updates_has_its_own_payload() {
    let schema = shaped(&[&[4, 2]]);
    let plain = (0..3_u32.pow(8)).map(|number| {
        let values: Vec<i8> = (0..8).map(|at| (number / 3_u32.pow(at) % 3) as i8 - 1).collect();
        Update::decode(payload(&[(5, &values)]), &schema).unwrap()
    });
    for encoding in [
        Encoding::Ternary { share: Share::ALL },
        Encoding::TopK { share: Share::ALL, levels: Levels::One },
        Encoding::Int8Coded,
    ] {
        let mut payloads = BTreeSet::new();
        let mut streams = 0;
        for update in plain.clone() {
            let written = encoding.write(&update, &schema, &key()).unwrap();
            let read = read(encoding, &schema, written.payload()).unwrap();
            assert_eq!(chunks(&read), chunks(&update));
            streams += usize::from(written.payload().len() < 1 + 2 + 1 + 8);
            payloads.insert(written.payload().clone());
        }
        assert_eq!(payloads.len(), 3_usize.pow(8));
        assert!(streams > 100, "{encoding:?}: {streams} are coded");
    }
}

#[test]
fn values_above_make_values_cheaper() {
    // Columns that have one sign each, as weights of one output do.
    let columns: Vec<i64> = (0..64)
        .map(|at: i64| if at * at % 7 == 2 { 0 } else { 1 - 2 * ((at * at % 5) & 1) })
        .collect();
    let delta = Parameters::from_units(columns.repeat(64));
    let bytes = |shape: &[u32]| {
        let encoding = Encoding::Ternary { share: Share::ALL };
        compressed(encoding, &shaped(&[shape]), &delta).payload().len()
    };
    let (rows, flat) = (bytes(&[64, 64]), bytes(&[64 * 64]));
    assert!(3 * rows < flat, "{rows} {flat}");
}

#[test]
fn refuses_payloads_that_no_encoder_writes() {
    let schema = schema(&[40, 2]);
    let ternary = Encoding::Ternary { share: share(5000) };
    let mut delta = vec![0; 42];
    delta[7] = 5000;
    let good = compressed(ternary, &schema, &Parameters::from_units(delta)).payload().to_vec();
    let body = good[good.len() - 4 - usize::from(good.len() > 9)..].to_vec();
    let refused = |encoding: Encoding, bytes: &[u8]| read(encoding, &schema, bytes).unwrap_err();
    let error = |bytes: &[u8]| refused(ternary, bytes);
    assert!(matches!(error(&[]), UpdateError::Malformed(_)));
    assert!(matches!(error(&[&good[..], &[0]].concat()), UpdateError::Malformed(_)));
    assert!(matches!(error(&coded(&[0, 0], &[0; 43])), UpdateError::Malformed(_)));
    let count = UpdateError::ChunkCount { found: 1, expected: 2 };
    assert_eq!(error(&coded(&[0], &body)), count);
    let exponent = UpdateError::Exponent { chunk: 1, exponent: 25 };
    assert_eq!(error(&coded(&[0, 25], &body)), exponent);
    for (body, expected) in [
        (&[][..], CodedError::Ended),
        (&[0, 0, 0], CodedError::Ended),
        (&[255; 20], CodedError::Inexact),
        (&[0; 12], CodedError::Inexact),
        (&[0; 42], CodedError::NotShortest),
        (&[2; 42], CodedError::AboveLevels { levels: 1 }),
        (&[0x80; 42], CodedError::AboveLevels { levels: 1 }),
    ] {
        assert_eq!(error(&coded(&[0, 0], body)), expected.into(), "{body:?}");
    }
    // 21 of 42 are allowed, but 20 of the first 40 only.
    let mut many = [0_i8; 42];
    many[..21].fill(1);
    let many = Update::decode(payload(&[(0, &many[..40]), (0, &many[40..])]), &schema).unwrap();
    let free = Encoding::Ternary { share: Share::ALL }.write(&many, &schema, &key()).unwrap();
    assert_eq!(error(free.payload()), CodedError::TooMany { most: 20 }.into());
    let top = |share| Encoding::TopK { share, levels: Levels::One };
    let many = top(Share::ALL).write(&many, &schema, &key()).unwrap();
    let found = refused(top(share(4000)), many.payload());
    assert_eq!(found, CodedError::TooMany { most: 17 }.into());
}

#[test]
fn a_few_bytes_never_become_more_than_the_schema_has() {
    // The longest model a schema can have would be 64 MiB; this one is 4.
    let large = schema(&[1 << 22]);
    let chunks = large.chunks().len();
    let nothing = Parameters::zeros(1 << 22);
    for encoding in [Encoding::TERNARY, Encoding::TOP_K, Encoding::RAND_K, Encoding::Int8Coded] {
        let update = compressed(encoding, &large, &nothing);
        let bytes = update.payload().len();
        assert!(bytes < 3500, "{encoding:?}: {bytes} bytes say zero 4194304 times");
        assert_eq!(update.parameter_count(), 1 << 22);
        // The same stream for a smaller model is refused, never longer.
        let small = schema(&[65]);
        assert!(read(encoding, &small, update.payload()).is_err());
        for claim in [1_u64 << 32, 1 << 40, u64::MAX] {
            // A body that claims a length that it does not have.
            let head = coded(&vec![0; chunks], &[]);
            let head = &head[..head.len() - 1];
            let bytes = [head, &[0x5b], &claim.to_be_bytes()].concat();
            assert!(matches!(read(encoding, &large, &bytes), Err(UpdateError::Malformed(_))));
        }
    }
}

#[test]
fn ternary_takes_the_step_with_the_least_error_and_no_more_than_its_share() {
    let schema = schema(&[10]);
    let entries = vec![100, -90, 80, 70, 3, -3, 2, 1, 0, 0];
    let delta = Parameters::from_units(entries);
    for (ten_thousandths, exponent, values) in [
        (10_000, 6, [1, -1, 1, 1, 0, 0, 0, 0, 0, 0]),
        (3000, 6, [1, -1, 1, 0, 0, 0, 0, 0, 0, 0]),
        (1000, 7, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        let encoding = Encoding::Ternary { share: share(ten_thousandths) };
        let update = compressed(encoding, &schema, &delta);
        assert_eq!(chunks(&update), [(exponent, values.to_vec())], "{ten_thousandths}");
    }
}

#[test]
fn top_k_takes_the_largest_and_of_equal_ones_the_first() {
    let schema = schema(&[4, 6]);
    let delta = Parameters::from_units(vec![9, -50, 10, 20, 20, 0, -20, 120, 20, 7]);
    let encoding = Encoding::TopK { share: share(4000), levels: Levels::Full };
    let update = compressed(encoding, &schema, &delta);
    assert_eq!(chunks(&update), [(0, vec![0, -50, 0, 20]), (0, vec![20, 0, 0, 120, 0, 0])]);
}

#[test]
fn rand_k_sends_the_mask_and_keeps_the_rest_for_later() {
    let schema = schema(&[100]);
    let encoding = Encoding::RandK { share: share(500), levels: Levels::Full };
    let mut compressor = Compressor::with(&schema, encoding);
    let delta = Parameters::from_units(vec![40; 100]);
    let still = Parameters::zeros(100);
    let mut sent = Parameters::zeros(100);
    for epoch in 0..200 {
        let key = MaskKey::new(&[1; 32], Epoch::new(epoch));
        let change = if epoch == 0 { &delta } else { &still };
        let update = compressor.compress_in(&key, change, UNBOUNDED);
        let mask = key.positions(100, share(500));
        let values = &chunks(&update)[0].1;
        assert!(values.iter().enumerate().all(|(at, &it)| it == 0 || mask.contains(&at)));
        update.add_to(&mut sent);
    }
    assert_eq!(sent, delta, "each entry was sent once, unscaled");
}

#[test]
#[should_panic(expected = "rand-k needs the key")]
fn rand_k_needs_a_key() {
    let schema = schema(&[10]);
    Compressor::with(&schema, Encoding::RAND_K).compress(&Parameters::zeros(10), UNBOUNDED);
}

#[test]
fn a_mask_of_another_epoch_reads_as_other_entries() {
    let schema = schema(&[1000]);
    let encoding = Encoding::RandK { share: share(100), levels: Levels::One };
    let update = compressed(encoding, &schema, &Parameters::from_units(vec![1; 1000]));
    let other = MaskKey::new(&[9; 32], Epoch::new(5));
    let read = encoding.read(update.payload().clone(), &schema, &other).unwrap();
    assert_ne!(chunks(&read), chunks(&update));
}

#[test]
fn encodings_have_bytes_and_refuse_others() {
    for encoding in all() {
        let mut writer = Writer::new();
        encoding.encode(&mut writer);
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        assert_eq!(Encoding::decode(&mut reader), Ok(encoding));
        assert_eq!(reader.finish(), Ok(()));
    }
    for (encoding, expected) in [
        (Encoding::Int8, &[0x81, 0][..]),
        (Encoding::TERNARY, &[0x82, 3, 0x19, 0x0c, 0xe4]),
        (Encoding::RAND_K, &[0x83, 4, 0x19, 0x04, 0xb0, 1]),
        (Encoding::TopK { share: share(1), levels: Levels::Full }, &[0x83, 5, 1, 0x18, 0x7f]),
    ] {
        let mut writer = Writer::new();
        encoding.encode(&mut writer);
        assert_eq!(writer.into_bytes(), expected);
    }
    for bytes in [
        &[][..],
        &[0x80],
        &[0x81, 3],
        &[0x82, 0, 1],
        &[0x82, 3, 0],
        &[0x82, 3, 0x19, 0x27, 0x11],
        &[0x82, 4, 1],
        &[0x83, 4, 1, 2],
        &[0x83, 5, 1, 0x18, 0x80],
        &[0x81, 6],
    ] {
        assert!(Encoding::decode(&mut Reader::new(bytes)).is_err(), "{bytes:02x?}");
    }
}

#[test]
fn top_k_wants_a_mean() {
    let mean = Recipe::plain(Rule::Mean, Clip::Median, 3);
    let trimmed = Recipe::plain(Rule::TrimmedMean { trim: Trim::Auto }, Clip::None, 3);
    let mixed = Recipe { mix: Mix::NearestNeighbours, ..mean };
    assert_eq!(Encoding::TOP_K.validate(&mean), Ok(()));
    for recipe in [trimmed, mixed] {
        assert_eq!(Encoding::TOP_K.validate(&recipe), Err(EncodingError::TopKNeedsMean));
        assert_eq!(Encoding::RAND_K.validate(&recipe), Ok(()));
        assert_eq!(Encoding::TERNARY.validate(&recipe), Ok(()));
    }
}

#[test]
fn rand_k_wants_a_mean_where_epochs_are_pooled() {
    let pool = PoolSpan::new(2).unwrap();
    let mean = Recipe { pool, ..Recipe::plain(Rule::Mean, Clip::Median, 3) };
    let trimmed = Recipe { rule: Rule::TrimmedMean { trim: Trim::Auto }, ..mean };
    let mixed = Recipe { mix: Mix::NearestNeighbours, ..mean };
    assert_eq!(Encoding::RAND_K.validate(&mean), Ok(()));
    for recipe in [trimmed, mixed] {
        assert_eq!(Encoding::RAND_K.validate(&recipe), Err(EncodingError::RandKNeedsOneEpoch));
        assert_eq!(Encoding::Int4.validate(&recipe), Ok(()));
    }
}

/// The golden payloads: one update of each encoding, of tensors of 2 x 3, 3 and 8 x 5.
fn golden() -> Vec<(&'static str, Encoding, Update)> {
    let schema = shaped(&[&[2, 3], &[3], &[8, 5]]);
    let mut entries = vec![1, -2, 3, -1000, 500, 0, 127, -127, 5];
    entries.extend((0..40).map(|at: i64| ((at % 7 - 3).pow(5) * (1 - 2 * (at % 2))) << (at / 4)));
    let delta = Parameters::from_units(entries);
    let sparse = |levels| (share(2500), levels);
    let (rand, top) = (sparse(Levels::Full), sparse(Levels::Seven));
    [
        ("int8-coded", Encoding::Int8Coded),
        ("int4", Encoding::Int4),
        ("ternary", Encoding::TERNARY),
        ("rand-k", Encoding::RandK { share: rand.0, levels: rand.1 }),
        ("top-k", Encoding::TopK { share: top.0, levels: top.1 }),
    ]
    .into_iter()
    .map(|(name, encoding)| (name, encoding, compressed(encoding, &schema, &delta)))
    .collect()
}

#[test]
fn writes_and_reads_the_golden_payloads() {
    let schema = shaped(&[&[2, 3], &[3], &[8, 5]]);
    let mut lines = ENCODINGS.lines().filter(|line| !line.starts_with('#'));
    for (name, encoding, update) in golden() {
        let hex: String = update.payload().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(lines.next(), Some(&*format!("{name} {hex}")));
        let read = read(encoding, &schema, update.payload()).unwrap();
        assert_eq!(chunks(&read), chunks(&update));
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn int8_is_as_it_was() {
    let vector: String = INT8_PLAIN.lines().filter(|line| !line.starts_with('#')).collect();
    let schema = schema(&[6, 3, 4]);
    let delta = vec![1, -2, 3, -1000, 500, 0, 127, -127, 5, 1 << 40, -(1 << 24), 0, 0];
    let update = compressed(Encoding::Int8, &schema, &Parameters::from_units(delta));
    let hex: String = update.payload().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, vector);
    assert_eq!(Encoding::default(), Encoding::Int8);
}

fn any_encoding() -> impl Strategy<Value = Encoding> {
    prop::sample::select(all())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn deltas_equal_updates_and_residual(
        encoding in any_encoding(),
        deltas in prop::collection::vec(prop::collection::vec(-(1_i64 << 30)..1 << 30, 30), 1..5),
        shrink in 0_u32..30,
    ) {
        let schema = shaped(&[&[7, 3], &[9]]);
        let mut compressor = Compressor::with(&schema, encoding);
        let (mut sent, mut wanted) = (Parameters::zeros(30), Parameters::zeros(30));
        for (epoch, delta) in (0..).zip(deltas) {
            let delta = Parameters::from_units(delta.into_iter().map(|it| it >> shrink).collect());
            wanted.add(&delta);
            let key = MaskKey::new(&[2; 32], Epoch::new(epoch));
            let update = compressor.compress_in(&key, &delta, UNBOUNDED);
            let again = encoding.read(update.payload().clone(), &schema, &key).unwrap();
            prop_assert_eq!(chunks(&again), chunks(&update));
            update.add_to(&mut sent);
        }
        sent.add(compressor.residual());
        prop_assert_eq!(sent, wanted);
    }

    #[test]
    fn the_bound_holds_and_what_waits_is_bounded(
        encoding in any_encoding(),
        deltas in prop::collection::vec(prop::collection::vec(any::<i64>(), 12), 1..4),
        shrink in 0_u32..63,
        bound in 0_u64..1 << 36,
    ) {
        let norm_max = NormBound::from_units(bound);
        let schema = schema(&[8, 4]);
        let mut compressor = Compressor::with(&schema, encoding);
        for delta in deltas {
            let delta = Parameters::from_units(delta.into_iter().map(|it| it >> shrink).collect());
            let update = compressor.compress_in(&key(), &delta, norm_max);
            prop_assert!(norm_max.allows(update.squared_norm()));
            let entries: Vec<i64> = update.values().flat_map(|it| it.units().collect::<Vec<_>>()).collect();
            prop_assert_eq!(update.squared_norm(), squared(&entries));
            let times = 100.0 / f64::from(encoding.share().ten_thousandths()).sqrt();
            let waits = NormBound::from_units(bound * times.ceil() as u64);
            prop_assert!(waits.allows(squared(compressor.residual().as_slice())));
        }
    }

    #[test]
    fn what_is_read_is_what_would_be_written(
        encoding in any_encoding(),
        exponents in prop::collection::vec(0_u8..26, 2),
        body in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(255), any::<u8>()], 0..34),
        raw in prop::option::weighted(0.2, prop::collection::vec(any::<u8>(), 0..60)),
    ) {
        let schema = shaped(&[&[5, 5], &[2, 2, 2]]);
        let bytes = raw.unwrap_or_else(|| coded(&exponents, &body));
        if let Ok(update) = read(encoding, &schema, &bytes) {
            let written = encoding.write(&update, &schema, &key()).unwrap();
            prop_assert_eq!(&written.payload()[..], &bytes[..]);
        }
    }

    #[test]
    fn changed_payloads_are_refused_or_read_in_their_own_form(
        encoding in any_encoding(),
        seed: u64,
        flips in prop::collection::vec(any::<prop::sample::Index>(), 1..3),
        cut in any::<prop::sample::Index>(),
    ) {
        let schema = shaped(&[&[9, 10], &[33]]);
        let good = compressed(encoding, &schema, &delta(123, seed)).payload().to_vec();
        let mut flipped = good.clone();
        for flip in flips {
            let bit = flip.index(good.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
        }
        if let Ok(update) = read(encoding, &schema, &flipped) {
            let written = encoding.write(&update, &schema, &key()).unwrap();
            prop_assert_eq!(&written.payload()[..], &flipped[..]);
        }
        prop_assert!(read(encoding, &schema, &good[..cut.index(good.len())]).is_err());
    }
}
