//! A step's circuit against honest and dishonest numbers, and its integers against floats.

use std::sync::LazyLock;

use ark_bn254::{Bn254, Fr};
use ark_ff::Zero;
use longhaul_aggregation::Epoch;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;

use super::circuit::{circuit, weave};
use super::data::{DataSet, LeafIndex, Member};
use super::gradient::{Statement, StepProver};
use super::layout::{LABELS, SAMPLES, layout};
use super::poseidon::Poseidon;
use super::rows::{Rows, Sum};
use super::sample::{Batch, Label, Sample};
use super::scale::{BATCH, CLASSES, INPUTS, WEIGHTS, exponentials};
use super::step::{Base, Rate, StepError, Trace, gradient_step, least_exponent};
use super::witness::Step;
use crate::cp::{ProveError, R1cs, development_key};
use crate::s1::{Exponent, Subject};
use crate::seed::Seed;

static SYSTEM: LazyLock<R1cs<Fr>> = LazyLock::new(circuit);
static POSEIDON: LazyLock<Poseidon<Fr>> = LazyLock::new(Poseidon::new);
static DATA: LazyLock<DataSet<Fr>> = LazyLock::new(|| data(9));

/// Numbers that look random, the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn around_zero(&mut self, most: i64) -> i64 {
        i64::try_from(self.below(2 * most.unsigned_abs() + 1)).unwrap() - most
    }
}

fn batch(salt: u64) -> Batch {
    let mut draw = Draw(salt);
    let sample = |_| {
        let label = Label::new(u8::try_from(draw.below(10)).unwrap()).unwrap();
        let mut inputs = [0; INPUTS];
        inputs.iter_mut().for_each(|it| *it = i8::try_from(draw.around_zero(64)).unwrap());
        inputs[0] = 32;
        Sample::new(inputs, label).unwrap()
    };
    Batch::new((0..BATCH).map(sample).collect()).unwrap()
}

fn data(batches: u64) -> DataSet<Fr> {
    DataSet::commit((0..batches).map(batch).collect(), Seed::from_bytes([4; 32])).unwrap()
}

/// Weights up to `most` units of 2^-19.
fn base(salt: u64, most: i64) -> Base {
    let mut draw = Draw(salt + 1_000);
    Base::new((0..WEIGHTS).map(|_| i32::try_from(draw.around_zero(most)).unwrap()).collect())
        .unwrap()
}

fn rate() -> Rate {
    Rate::new(6_554).unwrap()
}

fn exponent(base: &Base, batch: &Batch) -> Exponent {
    least_exponent(base, batch, rate()).unwrap()
}

fn honest<'a>(base: &'a Base, member: &'a Member<Fr>) -> Step<'a, Fr> {
    let half = rate().half_divisor(exponent(base, &member.batch)).unwrap();
    let trace = Trace::new(base, &member.batch, half).unwrap();
    Step { trace, base, batch: &member.batch, member, half }
}

fn member(leaf: u64) -> Member<Fr> {
    let root = DATA.root();
    let drawn = (0..=u8::MAX).map(|byte| root.draw([byte; 16]));
    let leaf = drawn.into_iter().find(|it| u64::from(it.get()) == leaf);
    DATA.member(leaf.expect("256 draws reach nine leaves"))
}

fn public(step: &Step<'_, Fr>) -> Vec<Fr> {
    let leaf: LeafIndex = step.member.leaf;
    vec![DATA.root().node(), Fr::from(leaf.get()), Fr::from(step.half.get())]
}

fn witness(step: &Step<'_, Fr>, public: &[Fr]) -> Vec<Fr> {
    step.witness(&POSEIDON, public, Fr::from(1_000_003)).unwrap()
}

fn holds(step: &Step<'_, Fr>, public: &[Fr]) -> bool {
    SYSTEM.check(&witness(step, public)).is_ok()
}

#[test]
fn constraint_counts_are_pinned() {
    let layout = SYSTEM.layout();
    assert_eq!((SYSTEM.rows(), SYSTEM.size()), (21_131, 21_136));
    assert_eq!((layout.blocks.clone(), layout.free), (vec![640, 10_514, 640], 20_096));
    assert!(SYSTEM.size() <= 25_000, "the bound of the statement");
}

/// Whoever changes what a step is changes what old proofs say: these change with it.
#[test]
fn circuit_step_and_root_are_pinned() {
    let hex = |hash: ContentHash| hash.to_string()[..16].to_owned();
    let base = base(2, 1 << 20);
    let batch = batch(3);
    let entries = gradient_step(&base, &batch, rate(), exponent(&base, &batch)).unwrap();
    let entries: Vec<u8> = entries.into_iter().map(i8::cast_unsigned).collect();
    let found =
        [SYSTEM.id().hash(), ContentHash::of(&entries), ContentHash::of(&DATA.root().bytes())];
    assert_eq!(found.map(hex), ["c89e28802f8cdd49", "0d8063080f3e912a", "32ff76883699f6fd"]);
}

#[test]
fn a_poisoned_step_has_no_proof() {
    let prover =
        StepProver::<Bn254>::new(development_key(&SYSTEM, &Seed::from_bytes([1; 32]))).unwrap();
    let zero = ContentHash::from_bytes([0; 32]);
    let author = SecretKey::from_seed(&[1; 32]).peer_id();
    let subject =
        Subject { federation: zero, author, epoch: Epoch::new(1), base: zero, payload: zero };
    let exponent = Exponent::new(16).unwrap();
    let mut statement = Statement { subject, chunk: 0, exponent, rate: rate(), data: DATA.root() };
    let (base, member) = (base(2, 1 << 15), DATA.member(statement.leaf()));
    statement.exponent = self::exponent(&base, &member.batch);
    let mut step = honest(&base, &member);
    let attempt = |step: &Step<'_, Fr>| {
        prover.prove_step(&statement, step, Seed::from_bytes([2; 32])).map(drop)
    };
    assert_eq!(attempt(&step), Ok(()));
    step.trace.update.iter_mut().for_each(|entry| *entry = 127 - *entry);
    let refused = attempt(&step);
    assert!(matches!(refused, Err(ProveError::Unsatisfied(_))), "{refused:?}");
}

#[test]
fn honest_steps_have_a_witness() {
    let member = member(3);
    for (salt, most) in [(1, 0), (2, 1 << 15), (3, 1 << 17), (4, 1 << 20)] {
        let base = base(salt, most);
        let step = honest(&base, &member);
        assert!(holds(&step, &public(&step)), "weights up to {most}");
        let beyond = step.trace.excess.iter().any(|&it| it > 0);
        assert_eq!(beyond, most > 1 << 17, "weights up to {most}: logits beyond the table");
    }
}

/// Changes numbers of an honest step, as a cheat would.
type Cheat = fn(&mut Trace, i64);

#[test]
fn dishonest_numbers_have_no_witness() {
    let (base, member) = (base(2, 1 << 15), member(3));
    let cheats: [(&str, Cheat); 12] = [
        ("a poisoned entry", |trace, _| trace.update[77] += 1),
        ("a poisoned entry and its rest", |trace, divisor| {
            trace.update[77] += 1;
            trace.step_rests[77] -= divisor;
        }),
        ("a poisoned gradient", |trace, _| trace.step_rests[5] ^= 1),
        ("the opposite update", |trace, _| trace.update.iter_mut().for_each(|it| *it = -*it)),
        ("a changed probability", |trace, _| trace.probabilities[14] += 1),
        ("a changed probability and its rest", |trace, _| {
            let sum: i64 = trace.exponentials[10..20].iter().sum();
            trace.probabilities[14] += 1;
            trace.division_rests[14] -= 2 * sum;
        }),
        ("a changed exponential", |trace, _| trace.exponentials[30] += 1),
        ("a gap of another logit", |trace, _| {
            trace.gaps[41] += 1;
            trace.exponentials[41] = exponentials()[usize::try_from(trace.gaps[41]).unwrap()];
        }),
        ("a largest logit that is none", |trace, _| {
            let (row, table) = (50..60, exponentials());
            trace.largest[5] += 1;
            trace.gaps[row.clone()].iter_mut().for_each(|it| *it += 1);
            let value = |gap: &i64| table[usize::try_from(*gap).unwrap()];
            let values: Vec<_> = trace.gaps[row.clone()].iter().map(value).collect();
            trace.exponentials[row.clone()].copy_from_slice(&values);
            let sum: i64 = values.iter().sum();
            for index in row {
                let scaled = 4_096 * trace.exponentials[index] + sum;
                trace.probabilities[index] = scaled / (2 * sum);
                trace.division_rests[index] = scaled % (2 * sum);
            }
        }),
        ("excess before the end of the table", |trace, _| {
            trace.excess[3] += 1;
            trace.gaps[3] -= 1;
        }),
        ("a changed rest of a logit", |trace, _| trace.logit_rests[9] ^= 1),
        ("another rounding of a logit", |trace, _| {
            trace.gaps[8] += 1;
            trace.logit_rests[8] += 1 << 16;
        }),
    ];
    let mut step = honest(&base, &member);
    let (public, divisor, trace) = (public(&step), 2 * step.half.get(), step.trace.clone());
    assert!(holds(&step, &public));
    for (name, cheat) in cheats {
        step.trace = trace.clone();
        cheat(&mut step.trace, divisor);
        assert!(!holds(&step, &public), "{name}");
    }
}

#[test]
fn statements_about_something_else_have_no_witness() {
    let (base, other_base, member) = (base(2, 1 << 15), base(9, 1 << 15), member(3));
    let step = honest(&base, &member);
    let good = public(&step);
    for (input, name) in ["root", "leaf", "rate"].into_iter().enumerate() {
        let mut public = good.clone();
        public[input] += Fr::from(1);
        assert!(!holds(&step, &public), "another {name}");
    }
    let half = Rate::new(6_700).unwrap().half_divisor(exponent(&base, &member.batch)).unwrap();
    let at_other_rate =
        Step { half, trace: Trace::new(&base, &member.batch, half).unwrap(), ..step };
    assert!(!holds(&at_other_rate, &good), "a step at another rate");
    let step = honest(&base, &member);
    assert!(!holds(&Step { base: &other_base, ..step }, &good), "another base beside the step");
    let step = honest(&base, &member);
    let trace = Trace::new(&other_base, &member.batch, step.half).unwrap();
    assert!(!holds(&Step { trace, ..step }, &good), "a step from another base");
}

#[test]
fn samples_outside_of_the_data_set_have_no_witness() {
    let (base, member) = (base(2, 1 << 15), member(3));
    let changed = |change: fn(&mut [i8; INPUTS], &mut Label)| {
        let mut samples = member.batch.samples().to_vec();
        let (mut inputs, mut label) = (*samples[11].inputs(), samples[11].label());
        change(&mut inputs, &mut label);
        samples[11] = Sample::new(inputs, label).unwrap();
        Batch::new(samples).unwrap()
    };
    let input = changed(|inputs, _| inputs[20] ^= 1);
    let label = changed(|_, label| {
        *label = Label::new(u8::try_from((label.class() + 1) % CLASSES).unwrap()).unwrap();
    });
    for (name, batch) in [("an input", input), ("a label", label), ("a batch", batch(100))] {
        let outside = Member { batch, ..member.clone() };
        let step = honest(&base, &outside);
        assert!(!holds(&step, &public(&step)), "another {name}");
    }
    let of_others = Member { children: self::member(8).children, ..member.clone() };
    let step = honest(&base, &of_others);
    assert!(!holds(&step, &public(&step)), "another way to the root");
    let other = self::member(4);
    let elsewhere = Member { leaf: member.leaf, ..other };
    let step = honest(&base, &elsewhere);
    assert!(!holds(&step, &public(&step)), "the batch of another leaf");
}

/// For each wire, the rows that name it.
fn rows_of_wires(rows: &[[Sum<Fr>; 3]], wires: usize) -> Vec<Vec<usize>> {
    let mut named = vec![Vec::new(); wires];
    for (index, row) in rows.iter().enumerate() {
        for (wire, _) in row.iter().flat_map(Sum::terms) {
            named[wire.index()].push(index);
        }
    }
    named
}

#[test]
fn every_wire_is_pinned_by_a_constraint() {
    let (base, member) = (base(2, 1 << 20), member(3));
    let step = honest(&base, &member);
    let mut witness = witness(&step, &public(&step));
    let layout = layout();
    let mut rows = Rows::constraints(&layout);
    weave(&mut rows, &POSEIDON);
    let rows = rows.into_constraints();
    let named = rows_of_wires(&rows, witness.len());
    for wire in 0..witness.len() {
        let honest = witness[wire];
        for change in [Fr::from(1), -Fr::from(1), -honest, Fr::from(1_u64 << 40)] {
            witness[wire] = honest + change;
            let broken = |&row: &usize| {
                let [a, b, c] = &rows[row];
                a.value(&witness) * b.value(&witness) != c.value(&witness)
            };
            assert!(change.is_zero() || named[wire].iter().any(broken), "wire {wire}");
        }
        witness[wire] = honest;
    }
}

#[test]
fn a_challenge_in_a_table_has_no_witness() {
    let (base, member) = (base(2, 1 << 15), member(3));
    let step = honest(&base, &member);
    for challenge in [0, 127, 255] {
        let witness = step.witness(&POSEIDON, &public(&step), Fr::from(challenge));
        assert_eq!(witness, None);
    }
}

#[test]
fn values_outside_of_their_tables_are_not_counted_away() {
    let (base, member) = (base(2, 1 << 15), member(3));
    let step = honest(&base, &member);
    let honest = witness(&step, &public(&step));
    let first = SAMPLES.at::<Fr>(0).terms()[0].0.index();
    let label = LABELS.at::<Fr>(0).terms()[0].0.index();
    for (wire, value) in [(first, Fr::from(128)), (first, -Fr::from(128)), (label, Fr::from(2))] {
        let mut changed = honest.clone();
        changed[wire] = value;
        assert!(SYSTEM.check(&changed).is_err());
    }
}

/// The mean gradient of the cross entropy, in floats.
fn float_gradient(base: &Base, batch: &Batch) -> Vec<f64> {
    let mut gradient = vec![0.0; WEIGHTS];
    for sample in batch.samples() {
        let inputs = sample.inputs().map(|it| f64::from(it) / 32.0);
        let weight = |k: usize, j: usize| f64::from(base.weights()[k * CLASSES + j]) / 524_288.0;
        let logit = |j| (0..INPUTS).map(|k| inputs[k] * weight(k, j)).sum::<f64>();
        let logits: [f64; CLASSES] = std::array::from_fn(logit);
        let largest = logits.iter().copied().fold(f64::MIN, f64::max);
        let powers = logits.map(|it| (it - largest).exp());
        let sum: f64 = powers.iter().sum();
        for k in 0..INPUTS {
            for j in 0..CLASSES {
                let error = powers[j] / sum - f64::from(u8::from(sample.label().class() == j));
                gradient[k * CLASSES + j] += inputs[k] * error / BATCH as f64;
            }
        }
    }
    gradient
}

/// An entry differs from the float step by its own rounding, half a unit, and by a thousandth of the rate, which
/// covers the rounding of logits, exponentials and probabilities (seen: a sixth of that).
#[test]
fn steps_are_those_of_a_float_softmax() {
    for (salt, most) in [(1, 0), (2, 1 << 14), (3, 1 << 16), (4, 1 << 18)] {
        let (base, batch) = (base(salt, most), batch(salt));
        let exponent = exponent(&base, &batch);
        let entries = gradient_step(&base, &batch, rate(), exponent).unwrap();
        let unit = f64::from(1_u32 << exponent.get()) / 16_777_216.0;
        let rate = f64::from(rate().units()) / 65_536.0;
        let gradient = float_gradient(&base, &batch);
        let mut worst: f64 = 0.0;
        for (entry, exact) in entries.iter().zip(&gradient) {
            let difference = (f64::from(*entry) * unit + rate * exact).abs();
            worst = worst.max((difference - unit / 2.0) / rate);
        }
        println!("weights up to {most}: exponent {}, beyond rounding {worst:.5}", exponent.get());
        assert!(worst <= 0.001, "weights up to {most}: {worst}");
        assert!(entries.iter().any(|it| it.unsigned_abs() >= 63), "the exponent is the least");
    }
}

#[test]
fn steps_that_cannot_be_written_say_why() {
    let (base, member) = (base(2, 1 << 15), member(3));
    let step = |rate, exponent| {
        let exponent = Exponent::new(exponent).unwrap();
        gradient_step(&base, &member.batch, Rate::new(rate).unwrap(), exponent).map(drop)
    };
    let least = exponent(&base, &member.batch).get();
    assert_eq!(step(6_554, least), Ok(()));
    assert!(matches!(step(6_554, least - 1), Err(StepError::Entry(_))));
    assert_eq!(step(1, 24), Err(StepError::Divisor));
    assert_eq!(step(u32::MAX, 0), Err(StepError::Divisor));
    assert_eq!(Rate::new(0), None);
    let mut weights = vec![0; WEIGHTS];
    weights.iter_mut().step_by(CLASSES).for_each(|it| *it = 16 << 19);
    let steep = Base::new(weights).unwrap();
    let inputs = Sample::new([127; INPUTS], Label::new(0).unwrap()).unwrap();
    let large = Batch::new(vec![inputs; BATCH]).unwrap();
    assert_eq!(least_exponent(&steep, &large, rate()), Err(StepError::Logits(0)));
}

#[test]
fn bases_are_rounded_and_bounded() {
    let mut units = vec![0; WEIGHTS];
    (units[0], units[1], units[2], units[3]) = (15, 16, -16, -17);
    let base = Base::from_units(&units).unwrap();
    assert_eq!(base.weights()[..4], [0, 1, 0, -1]);
    units[5] = 17 << 24;
    assert!(Base::from_units(&units).is_err() && Base::from_units(&units[1..]).is_err());
}
