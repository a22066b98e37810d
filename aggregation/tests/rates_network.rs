//! Rates of the changes that training gives: a network of 256 inputs, 128 hidden units and 10
//! outputs on made-up pictures, trained through its own compressed updates.
//!
//! `cargo test -p longhaul-aggregation --test rates_network -- --nocapture` prints the table
//! of docs/compression.md. One peer, pictures of blobs: it says how many bits changes of
//! such a shape take, not what compression costs in accuracy.

use longhaul_aggregation::compress::{MaskKey, Share};
use longhaul_aggregation::{
    Compressor, Encoding, Epoch, Init, NormBound, Parameters, Schema, TensorSpec,
};

const SIDE: usize = 16;
const INPUTS: usize = SIDE * SIDE;
const HIDDEN: usize = 128;
const CLASSES: usize = 10;
/// Where each tensor begins: weights, biases, weights, biases, and the end.
const PARTS: [usize; 5] = {
    let (first, second) = (INPUTS * HIDDEN, HIDDEN * CLASSES);
    let (bias, weights) = (first, first + HIDDEN);
    [0, bias, weights, weights + second, weights + second + CLASSES]
};
const ONE: f64 = (1_u64 << 24) as f64;

struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
        ((self.0 >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    fn gaussian(&mut self) -> f64 {
        (-2.0 * self.next().ln()).sqrt() * (std::f64::consts::TAU * self.next()).cos()
    }
}

/// A class: where its four blobs are, and how wide.
type Blobs = [(f64, f64, f64); 4];

fn picture(blobs: &Blobs, uniform: &mut Uniform) -> Vec<f64> {
    let (right, down) = (uniform.gaussian() * 0.8, uniform.gaussian() * 0.8);
    let pixel = |at: usize| -> f64 {
        let (x, y) = ((at % SIDE) as f64 - right, (at / SIDE) as f64 - down);
        let light = |&(left, top, wide): &(f64, f64, f64)| {
            let light = (-((x - left).powi(2) + (y - top).powi(2)) / (2.0 * wide * wide)).exp();
            if light > 0.05 { light } else { 0.0 }
        };
        blobs.iter().map(light).sum()
    };
    let noisy = |light: f64| (light + 0.1 * uniform.gaussian()).max(0.0);
    (0..INPUTS).map(pixel).map(|it| if it > 0.0 { it } else { 0.0 }).map(noisy).collect()
}

/// Adds the gradient of one picture's cross entropy.
fn backward(model: &[f64], input: &[f64], class: usize, gradient: &mut [f64]) {
    let [_, bias, weights, last, end] = PARTS;
    let mut hidden = model[bias..weights].to_vec();
    for (value, row) in input.iter().zip(model[..bias].chunks(HIDDEN)) {
        hidden.iter_mut().zip(row).for_each(|(sum, weight)| *sum += value * weight);
    }
    hidden.iter_mut().for_each(|it| *it = it.max(0.0));
    let mut outputs = model[last..end].to_vec();
    for (value, row) in hidden.iter().zip(model[weights..last].chunks(CLASSES)) {
        outputs.iter_mut().zip(row).for_each(|(sum, weight)| *sum += value * weight);
    }
    let largest = outputs.iter().copied().fold(f64::MIN, f64::max);
    let whole: f64 = outputs.iter().map(|it| (it - largest).exp()).sum();
    let error: Vec<f64> = (0..CLASSES)
        .map(|it| (outputs[it] - largest).exp() / whole - f64::from(u8::from(it == class)))
        .collect();
    let mut behind = vec![0.0; HIDDEN];
    for unit in (0..HIDDEN).filter(|&unit| hidden[unit] > 0.0) {
        for (output, error) in error.iter().enumerate() {
            let at = weights + unit * CLASSES + output;
            behind[unit] += error * model[at];
            gradient[at] += hidden[unit] * error;
        }
    }
    gradient[last..].iter_mut().zip(&error).for_each(|(sum, it)| *sum += it);
    gradient[bias..weights].iter_mut().zip(&behind).for_each(|(sum, it)| *sum += it);
    for (value, row) in input.iter().zip(gradient[..bias].chunks_mut(HIDDEN)) {
        row.iter_mut().zip(&behind).for_each(|(sum, it)| *sum += value * it);
    }
}

/// What 20 steps of 32 pictures change.
fn trained(model: &[f64], classes: &[Blobs], uniform: &mut Uniform) -> Parameters {
    let mut local = model.to_vec();
    for _ in 0..20 {
        let mut gradient = vec![0.0; local.len()];
        for _ in 0..32 {
            let class = (uniform.next() * CLASSES as f64) as usize;
            let input = picture(&classes[class], uniform);
            backward(&local, &input, class, &mut gradient);
        }
        local.iter_mut().zip(&gradient).for_each(|(it, by)| *it -= 0.15 * by / 32.0);
    }
    let changes = local.iter().zip(model).map(|(after, before)| ((after - before) * ONE) as i64);
    Parameters::from_units(changes.collect())
}

/// The network's tensors, or the same without their rows.
fn schema(flat: bool) -> Schema {
    let (inputs, hidden, classes) = (INPUTS as u32, HIDDEN as u32, CLASSES as u32);
    let shapes = [vec![inputs, hidden], vec![hidden], vec![hidden, classes], vec![classes]];
    let tensors = ["w1", "b1", "w2", "b2"].into_iter().zip(shapes).map(|(name, shape)| {
        let shape = if flat { vec![shape.iter().product()] } else { shape };
        TensorSpec::new(name, shape, Init::Zero).expect("a sound tensor")
    });
    Schema::new(tensors.collect()).expect("a sound schema")
}

/// Mean bits an entry over twelve epochs, with rows and without.
fn rates(encoding: Encoding) -> [f64; 2] {
    let mut uniform = Uniform(5);
    let mut place =
        || (3.0 + uniform.next() * 9.0, 3.0 + uniform.next() * 9.0, 0.9 + uniform.next());
    let classes: Vec<Blobs> = (0..CLASSES).map(|_| [0; 4].map(|_| place())).collect();
    let mut model: Vec<f64> = (0..PARTS[4]).map(|_| uniform.gaussian() * 0.08).collect();
    let (rows, flat) = (schema(false), schema(true));
    let mut compressor = Compressor::with(&rows, encoding);
    let mut bytes = [0, 0];
    for epoch in 0..12 {
        let delta = trained(&model, &classes, &mut uniform);
        let key = MaskKey::new(&[1; 32], Epoch::new(epoch));
        let update = compressor.compress_in(&key, &delta, NormBound::from_units(u64::MAX));
        let flattened = encoding.write(&update, &flat, &key).expect("the same values");
        bytes[0] += update.payload().len();
        bytes[1] += flattened.payload().len();
        let mut sum = Parameters::zeros(PARTS[4]);
        update.add_to(&mut sum);
        model.iter_mut().zip(sum.as_slice()).for_each(|(it, &by)| *it += by as f64 / ONE);
    }
    bytes.map(|bytes| bytes as f64 * 8.0 / 12.0 / PARTS[4] as f64)
}

#[test]
fn changes_of_a_network_cost_less_than_made_up_ones() {
    println!("| bits an entry | with rows | without | of f32 |");
    for (name, encoding, most) in [
        ("int8 coded", Encoding::Int8Coded, 6.0),
        ("int4", Encoding::Int4, 3.0),
        ("ternary, all", Encoding::Ternary { share: Share::ALL }, 1.5),
        ("ternary, 33 %", Encoding::TERNARY, 1.28),
        ("rand-k 12 %, ternary", Encoding::RAND_K, 32.0 / 150.0),
        ("top-k 2.5 %, ternary", Encoding::TOP_K, 32.0 / 150.0),
    ] {
        let [rows, flat] = rates(encoding);
        println!("| {name} | {rows:.4} | {flat:.4} | 1/{:.1} |", 32.0 / rows);
        assert!(rows <= most && rows <= flat, "{name}: {rows} {flat}");
    }
}
