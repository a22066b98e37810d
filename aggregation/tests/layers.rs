//! Layers: a coarse update and its refinement are one update, and no other pair is.

mod common;

use common::{payload, schema};
use longhaul_aggregation::compress::{
    Coarse, CodedError, LayerHashes, LayerPolicy, Layers, LayersError, MaskKey, Share,
};
use longhaul_aggregation::{
    Compressor, Encoding, Epoch, NormBound, Parameters, Schema, Update, UpdateError,
};
use longhaul_dtn::hash::ContentHash;
use proptest::prelude::*;

const UNBOUNDED: NormBound = NormBound::from_units(u64::MAX);
const VECTOR: &str = include_str!("../../tests/vectors/layers.hex");

fn both() -> [Coarse; 3] {
    let share = Share::new(3300).expect("a sound share");
    [Coarse::Ternary(share), Coarse::Ternary(Share::ALL), Coarse::Int4]
}

fn int8(schema: &Schema, delta: Vec<i64>) -> Update {
    Compressor::new(schema).compress(&Parameters::from_units(delta), UNBOUNDED)
}

fn units(update: &Update) -> Vec<i64> {
    update.values().flat_map(|chunk| chunk.units().collect::<Vec<_>>()).collect()
}

fn joined(layers: &Layers, schema: &Schema, how: Coarse) -> Result<Update, LayersError> {
    let (coarse, refinement) = (layers.coarse.payload(), layers.refinement.payload());
    Layers::join(coarse.clone(), refinement.clone(), schema, how)
}

/// An update in another encoding.
fn recoded(chunks: &[(u64, &[i8])], schema: &Schema, encoding: Encoding) -> Update {
    let plain = Update::decode(payload(chunks), schema).expect("a sound payload");
    let key = MaskKey::new(&[0; 32], Epoch::FIRST);
    encoding.write(&plain, schema, &key).expect("values that it can say")
}

#[test]
fn the_coarse_layer_is_the_update_to_the_step() {
    let schema = schema(&[6]);
    let update = int8(&schema, vec![120, -70, 60, 30, -2, 0]);
    let ternary = Layers::split(&update, &schema, Coarse::Ternary(Share::ALL));
    assert_eq!(units(&ternary.coarse), [64, -64, 64, 0, 0, 0]);
    assert_eq!(units(&ternary.refinement), [56, -6, -4, 30, -2, 0]);
    let int4 = Layers::split(&update, &schema, Coarse::Int4);
    assert_eq!(units(&int4.coarse), [112, -64, 64, 32, 0, 0]);
    assert_eq!(units(&int4.refinement), [8, -6, -4, -2, -2, 0]);
}

#[test]
fn refuses_pairs_that_are_not_the_layers_of_one_update() {
    let schema = schema(&[8]);
    let how = Coarse::Ternary(Share::ALL);
    let ternary = Encoding::Ternary { share: Share::ALL };
    let pair = |coarse: (u64, [i8; 8]), fine: (u64, [i8; 8])| {
        let coarse = recoded(&[(coarse.0, &coarse.1)], &schema, ternary);
        let refinement = recoded(&[(fine.0, &fine.1)], &schema, Encoding::Int8Coded);
        joined(&Layers { coarse, refinement }, &schema, how)
    };
    let mut one = [0; 8];
    one[0] = 1;
    let mut large = [0; 8];
    large[0] = 100;
    let exponents = |coarse, fine| LayersError::Exponents { chunk: 0, coarse, fine };
    for (coarse, fine, expected) in [
        ((2, one), (3, large), exponents(2, 3)),
        ((11, one), (3, large), exponents(11, 3)),
        ((9, one), (3, large), LayersError::Sum { chunk: 0 }),
        // 64 units and 36 of 2^3: the own layers of 100 are 128 and -28.
        ((8, one), (3, large), LayersError::Sum { chunk: 0 }),
        ((3, one), (3, large), LayersError::Foreign),
        ((7, [0; 8]), (3, large), LayersError::Foreign),
    ] {
        assert_eq!(pair(coarse, fine).unwrap_err(), expected);
    }
}

#[test]
fn says_which_layer_is_damaged() {
    let schema = schema(&[100]);
    let update = int8(&schema, (0..100).map(|at| at * at - 3000).collect());
    let layers = Layers::split(&update, &schema, Coarse::Int4);
    let (coarse, refinement) = (layers.coarse.payload(), layers.refinement.payload());
    let cut = |payload: &[u8]| payload[..payload.len() - 1].to_vec().into();
    let join = |coarse, refinement| Layers::join(coarse, refinement, &schema, Coarse::Int4);
    let malformed = |error: &UpdateError| matches!(error, UpdateError::Malformed(_));
    let found = join(cut(coarse), refinement.clone()).unwrap_err();
    assert!(matches!(&found, LayersError::Coarse(error) if malformed(error)), "{found}");
    let found = join(coarse.clone(), cut(refinement)).unwrap_err();
    assert!(matches!(&found, LayersError::Refinement(error) if malformed(error)), "{found}");
    let found = join(refinement.clone(), coarse.clone()).unwrap_err();
    let above = LayersError::Coarse(CodedError::AboveLevels { levels: 7 }.into());
    assert!(matches!(found, LayersError::Coarse(_)), "{found}, not {above}");
}

#[test]
fn a_coarse_layer_alone_counts_where_the_recipe_says_so() {
    let schema = schema(&[50]);
    let update = int8(&schema, (0..50).collect());
    let layers = Layers::split(&update, &schema, Coarse::Int4);
    let sum = joined(&layers, &schema, Coarse::Int4).unwrap();
    let coarse =
        Layers::read_coarse(layers.coarse.payload().clone(), &schema, Coarse::Int4).unwrap();
    let counted = |policy: LayerPolicy, coarse, sum| policy.counted(coarse, sum).map(units);
    let (coarse, sum) = (Some(&coarse), Some(&sum));
    for (policy, alone) in
        [(LayerPolicy::Whole, None), (LayerPolicy::CoarseCounts, coarse.map(units))]
    {
        assert_eq!(counted(policy, coarse, None), alone);
        assert_eq!(counted(policy, coarse, sum), sum.map(units));
        assert_eq!(counted(policy, None, None), None);
    }
}

#[test]
fn hashes_have_bytes_and_one_name() {
    let hashes =
        LayerHashes { coarse: ContentHash::of(b"coarse"), refinement: ContentHash::of(b"rest") };
    assert_eq!(LayerHashes::decode(&hashes.encode()), Ok(hashes));
    let other = LayerHashes { coarse: hashes.refinement, refinement: hashes.coarse };
    assert_ne!(hashes.id(), other.id());
    for cut in 0..hashes.encode().len() {
        assert!(LayerHashes::decode(&hashes.encode()[..cut]).is_err());
    }
    assert!(LayerHashes::decode(&[&hashes.encode()[..], &[0]].concat()).is_err());
}

#[test]
fn writes_and_reads_the_golden_layers() {
    let schema = schema(&[6, 20]);
    let mut delta = vec![1, -2, 3, -1000, 500, 0];
    delta.extend((0..20).map(|at: i64| (at % 7 - 3).pow(5) * (1 - 2 * (at % 2))));
    let update = int8(&schema, delta);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut lines = VECTOR.lines().filter(|line| !line.starts_with('#'));
    for (name, how) in [("ternary", both()[0]), ("int4", Coarse::Int4)] {
        let layers = Layers::split(&update, &schema, how);
        let id = layers.hashes().id();
        let (coarse, refinement) = (layers.coarse.payload(), layers.refinement.payload());
        let line = format!("{name} {} {} {id}", hex(coarse), hex(refinement));
        assert_eq!(lines.next(), Some(&*line));
        let sum = joined(&layers, &schema, how).unwrap();
        assert_eq!(sum.payload(), update.payload());
    }
    assert_eq!(lines.next(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn layers_add_up_to_the_update(
        chunks in prop::collection::vec((0_u64..=24, prop::collection::vec(-127_i8..=127, 12)), 2),
        shrink in 0_u32..7,
        how in prop::sample::select(both().to_vec()),
    ) {
        let schema = schema(&[12, 12]);
        let chunks: Vec<(u64, Vec<i8>)> = chunks
            .into_iter()
            .map(|(exponent, values)| (exponent, values.into_iter().map(|it| it >> shrink).collect()))
            .collect();
        let chunks: Vec<(u64, &[i8])> = chunks.iter().map(|(it, values)| (*it, &values[..])).collect();
        let update = Update::decode(payload(&chunks), &schema).unwrap();
        let layers = Layers::split(&update, &schema, how);
        let sums = units(&layers.coarse).into_iter().zip(units(&layers.refinement));
        prop_assert_eq!(sums.map(|(coarse, rest)| coarse + rest).collect::<Vec<_>>(), units(&update));
        let joined = joined(&layers, &schema, how).unwrap();
        prop_assert_eq!(joined.payload(), update.payload());
        prop_assert!(layers.coarse.squared_norm() <= update.squared_norm());
    }

    #[test]
    fn no_bytes_make_a_join_panic(
        coarse in prop::collection::vec(any::<u8>(), 0..40),
        refinement in prop::collection::vec(any::<u8>(), 0..40),
        flip in any::<prop::sample::Index>(),
    ) {
        let schema = schema(&[30]);
        let update = int8(&schema, (0..30).map(|at| at * 37 % 61 - 30).collect());
        let good = Layers::split(&update, &schema, Coarse::Int4);
        let join = |coarse: &[u8], refinement: &[u8]| {
            Layers::join(coarse.into(), refinement.into(), &schema, Coarse::Int4)
        };
        let (first, second) = (good.coarse.payload(), good.refinement.payload());
        prop_assert!(join(&coarse, second).is_err());
        prop_assert!(join(first, &refinement).is_err());
        let mut flipped = second.to_vec();
        let bit = flip.index(flipped.len() * 8);
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = join(first, &flipped) {
            let again = Layers::split(&other, &schema, Coarse::Int4);
            prop_assert_eq!(&again.refinement.payload()[..], &flipped[..]);
        }
    }
}
