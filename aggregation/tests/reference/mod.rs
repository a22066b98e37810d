//! The fold once more, written from the rules' text alone: it keeps the whole set,
//! compares all pairs of an author's headers, finds cohorts without any cache, and
//! computes every term from scratch with wide integers and sorted columns.

use std::collections::BTreeSet;

use longhaul_aggregation::{
    Admitted, Clip, Cohorts, Minimum, Mix, ModelId, Parameters, Previous, Recipe, Rule, Schema,
    Setting, Small, Trim,
};

use crate::common::SEED;
use crate::plans::EPOCHS;

/// A recipe and the setting that it is used in.
pub type Rules = (Recipe, Setting);

/// An update as the reference sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    epoch: u32,
    member: u16,
    hash: [u8; 32],
    previous: Option<(u32, [u8; 32])>,
    /// The slots named.
    known: BTreeSet<(u32, u16)>,
    /// The epochs in which slots may be named.
    window: BTreeSet<u32>,
    vouch: bool,
    units: Vec<i64>,
}

impl Fact {
    pub fn of(update: &Admitted) -> Self {
        let mut units = Parameters::zeros(5);
        update.update.add_to(&mut units);
        let named =
            |previous: Previous| (previous.epoch.get(), *previous.header.as_hash().as_bytes());
        let header = &update.header;
        let rows = || header.base.summary.epochs(header.epoch);
        let row = |(epoch, row): (longhaul_aggregation::Epoch, &[_])| {
            let member = |member: &longhaul_aggregation::MemberIndex| (epoch.get(), member.get());
            row.iter().map(member).collect::<Vec<_>>()
        };
        Self {
            epoch: header.epoch.get(),
            member: update.author.get(),
            hash: *update.header_hash.as_hash().as_bytes(),
            previous: header.previous.map(named),
            known: rows().flat_map(row).collect(),
            window: rows().map(|(epoch, _)| epoch.get()).collect(),
            vouch: header.vouch,
            units: units.as_slice().to_vec(),
        }
    }
}

/// What the set says: its model, and the slots that some term counts.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub model: ModelId,
    pub counted: BTreeSet<(u32, u16)>,
}

pub fn outcome(schema: &Schema, rules: Rules, set: &BTreeSet<Fact>) -> Outcome {
    let mut model = Parameters::initial(schema, &SEED).as_slice().to_vec();
    let mut counted = BTreeSet::new();
    for epoch in 0..EPOCHS {
        let Some(cohorts) = cohorts_of(rules, set, epoch) else { continue };
        counted.extend(cohorts.iter().flatten().map(|fact| (fact.epoch, fact.member)));
        let voids = voids(set, epoch);
        if !cohorts.is_empty() {
            let term = term(rules, &cohorts, voids);
            model.iter_mut().zip(term).for_each(|(sum, entry)| *sum += entry);
        }
    }
    Outcome { model: Parameters::from_units(model).model_id(schema), counted }
}

fn slots(set: &BTreeSet<Fact>, epoch: u32) -> BTreeSet<u16> {
    set.iter().filter(|fact| fact.epoch == epoch).map(|fact| fact.member).collect()
}

fn sound(set: &BTreeSet<Fact>, epoch: u32) -> Vec<&Fact> {
    set.iter().filter(|fact| fact.epoch == epoch && !is_void(set, fact)).collect()
}

fn voids(set: &BTreeSet<Fact>, epoch: u32) -> usize {
    slots(set, epoch).len() - sound(set, epoch).len()
}

/// The cohorts that count; none below the quorum.
fn cohorts_of<'a>(
    (recipe, setting): Rules,
    set: &'a BTreeSet<Fact>,
    epoch: u32,
) -> Option<Vec<Vec<&'a Fact>>> {
    if slots(set, epoch).len() < usize::from(recipe.quorum) {
        return None;
    }
    let sound = sound(set, epoch);
    let Some(cohorts) = recipe.cohorts else {
        return Some(if sound.is_empty() { vec![] } else { vec![sound] });
    };
    let voids = voids(set, epoch);
    let attackers = attackers(setting).saturating_sub(voids);
    let least = match cohorts.minimum {
        Minimum::Auto => 2 * attackers + 1,
        Minimum::Fixed(least) => usize::from(least).saturating_sub(voids).max(1),
    };
    let mut clusters = clusters(&sound, cohorts);
    match cohorts.small {
        Small::Join => clusters = joined(&clusters, least),
        Small::Wait => clusters.retain(|cluster| cluster.len() >= least),
        Small::Vouch => {
            let least = if cohorts.minimum == Minimum::Auto { attackers + 1 } else { least };
            for cluster in &mut clusters {
                if cluster.len() < 2 * attackers + 1 {
                    cluster.retain(|fact| is_vouched(setting, set, fact));
                    if cluster.len() < least {
                        cluster.clear();
                    }
                }
            }
            clusters.retain(|cluster| !cluster.is_empty());
        }
    }
    Some(clusters)
}

/// True when enough authors of later headers say that a model with the slot in it
/// is good.
fn is_vouched(setting: Setting, set: &BTreeSet<Fact>, fact: &Fact) -> bool {
    let later =
        |it: &&Fact| it.epoch > fact.epoch && it.epoch <= fact.epoch + setting.summary_window;
    let liars: BTreeSet<u16> =
        set.iter().filter(later).filter(|it| is_void(set, it)).map(|it| it.member).collect();
    let voices: BTreeSet<u16> = set
        .iter()
        .filter(later)
        .filter(|it| !liars.contains(&it.member) && it.vouch)
        .filter(|it| it.known.contains(&(fact.epoch, fact.member)))
        .map(|it| it.member)
        .collect();
    voices.len() >= (attackers(setting) + 1).saturating_sub(liars.len()).max(1)
}

/// The overlap coefficient in units of 2^-32, rounded down.
fn similarity(one: &Fact, other: &Fact) -> u128 {
    let both = |epoch: &u32| one.window.contains(epoch) && other.window.contains(epoch);
    let left: BTreeSet<_> = one.known.iter().filter(|(epoch, _)| both(epoch)).collect();
    let right: BTreeSet<_> = other.known.iter().filter(|(epoch, _)| both(epoch)).collect();
    let smaller = left.len().min(right.len()) as u128;
    let common = left.intersection(&right).count() as u128;
    if smaller == 0 { 1 << 32 } else { (common << 32) / smaller }
}

/// The mean similarity of all pairs, as a sum and a number.
fn link(one: &[&Fact], other: &[&Fact]) -> (u128, u128) {
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| similarity(a, b)));
    (pairs.sum(), (one.len() * other.len()) as u128)
}

fn clusters<'a>(sound: &[&'a Fact], cohorts: Cohorts) -> Vec<Vec<&'a Fact>> {
    let mut clusters: Vec<Vec<&Fact>> = sound.iter().map(|fact| vec![*fact]).collect();
    loop {
        clusters.sort_by_key(|cluster| cluster.iter().map(|fact| fact.member).min());
        let mut best: Option<((u128, u128), usize, usize)> = None;
        for one in 0..clusters.len() {
            for other in one + 1..clusters.len() {
                let mean = link(&clusters[one], &clusters[other]);
                if best.is_none_or(|((sum, count), ..)| mean.0 * count > sum * mean.1) {
                    best = Some((mean, one, other));
                }
            }
        }
        match best {
            Some(((sum, count), one, other))
                if sum * 1000 >= (count << 32) * u128::from(cohorts.threshold_permille) =>
            {
                let from = clusters.remove(other);
                clusters[one].extend(from);
            }
            _ => return clusters,
        }
    }
}

fn joined<'a>(clusters: &[Vec<&'a Fact>], least: usize) -> Vec<Vec<&'a Fact>> {
    let is_big = |cluster: &&Vec<&Fact>| cluster.len() >= least;
    let big: Vec<_> = clusters.iter().filter(is_big).collect();
    if big.is_empty() {
        let all: Vec<_> = clusters.iter().flatten().copied().collect();
        return if all.is_empty() { vec![] } else { vec![all] };
    }
    let mut joined: Vec<Vec<&Fact>> = big.iter().map(|cluster| (*cluster).clone()).collect();
    for small in clusters.iter().filter(|cluster| !is_big(cluster)) {
        let mut nearest = 0;
        for other in 1..big.len() {
            let (best, next) = (link(big[nearest], small), link(big[other], small));
            if next.0 * best.1 > best.0 * next.1 {
                nearest = other;
            }
        }
        joined[nearest].extend(small);
    }
    joined
}

fn is_twin(set: &BTreeSet<Fact>, fact: &Fact) -> bool {
    let same_slot = |other: &&Fact| other.member == fact.member && other.epoch == fact.epoch;
    set.iter().filter(same_slot).count() > 1
}

fn is_void(set: &BTreeSet<Fact>, fact: &Fact) -> bool {
    let others = || set.iter().filter(|other| other.member == fact.member);
    is_twin(set, fact)
        || others().any(|other| {
            let (early, late) =
                if other.epoch < fact.epoch { (other, fact) } else { (fact, other) };
            early.epoch < late.epoch && !is_twin(set, late) && denies(set, late, early)
        })
}

/// True when `late` says that `early` is not what it is.
fn denies(set: &BTreeSet<Fact>, late: &Fact, early: &Fact) -> bool {
    match late.previous {
        None => true,
        Some((epoch, _)) if epoch < early.epoch => true,
        Some((epoch, hash)) => epoch == early.epoch && hash != early.hash && !is_twin(set, early),
    }
}

fn attackers(setting: Setting) -> usize {
    setting.members * usize::from(setting.attacker_share_permille) / 1000
}

fn term(rules: Rules, cohorts: &[Vec<&Fact>], voids: usize) -> Vec<i64> {
    let means: Vec<_> = cohorts.iter().map(|cohort| means(rules, cohort, voids)).collect();
    let entry = |entry: usize| match &means[..] {
        [(sums, divisor)] => nearest(sums[entry], *divisor),
        means => {
            let sizes = || cohorts.iter().map(|cohort| cohort.len() as i128);
            let cut =
                |(sums, divisor): &(Vec<i128>, i128)| (sums[entry] << 32).div_euclid(*divisor);
            let sum = means.iter().zip(sizes()).map(|(mean, size)| cut(mean) * size).sum();
            nearest(sum, sizes().sum::<i128>() << 32)
        }
    };
    (0..means[0].0.len()).map(entry).collect()
}

/// The rule's sums over a cohort, and what they are divided by.
fn means((recipe, setting): Rules, cohort: &[&Fact], voids: usize) -> (Vec<i128>, i128) {
    let weighted = clipped(recipe.clip, cohort);
    let most = (cohort.len() - 1) / 2;
    let attackers = attackers(setting).saturating_sub(voids).min(most);
    let trim = match recipe.rule {
        Rule::Mean => 0,
        Rule::TrimmedMean { trim: Trim::Auto } => attackers,
        Rule::TrimmedMean { trim: Trim::Fixed(trim) } => {
            usize::from(trim).saturating_sub(voids).min(most)
        }
    };
    let (rows, neighbours) = match recipe.mix {
        Mix::None => (weighted, 1),
        Mix::NearestNeighbours => mixed(&weighted, cohort.len() - attackers),
    };
    let column = |entry: usize| {
        let mut column: Vec<i128> = rows.iter().map(|row| row[entry]).collect();
        column.sort();
        column[trim..column.len() - trim].iter().sum()
    };
    let kept = rows.len() - 2 * trim;
    ((0..rows[0].len()).map(column).collect(), 65_536 * (kept * neighbours) as i128)
}

fn clipped(clip: Clip, cohort: &[&Fact]) -> Vec<Vec<i128>> {
    let norms: Vec<u128> = cohort
        .iter()
        .map(|fact| fact.units.iter().map(|&entry| u128::from(entry.unsigned_abs()).pow(2)).sum())
        .map(|squared: u128| squared.isqrt())
        .collect();
    let mut sorted = norms.clone();
    sorted.sort();
    let median = sorted[(sorted.len() - 1) / 2];
    let weight = |norm: u128| match clip {
        Clip::Median if norm > 0 => (median * 65_536 / norm).min(65_536) as i128,
        _ => 65_536,
    };
    let scale = |(fact, norm): (&&Fact, u128)| {
        fact.units.iter().map(|&entry| i128::from(entry) * weight(norm)).collect()
    };
    cohort.iter().zip(norms).map(scale).collect()
}

/// Each vector's sum with its nearest ones, and how many that are.
fn mixed(rows: &[Vec<i128>], neighbours: usize) -> (Vec<Vec<i128>>, usize) {
    let distance = |one: &[i128], other: &[i128]| -> i128 {
        one.iter().zip(other).map(|(a, b)| (a - b).pow(2)).sum()
    };
    let mix = |(place, row): (usize, &Vec<i128>)| {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&other| (other != place, distance(row, &rows[other]), other));
        let near = &order[..neighbours];
        (0..row.len()).map(|entry| near.iter().map(|&other| rows[other][entry]).sum()).collect()
    };
    (rows.iter().enumerate().map(mix).collect(), neighbours)
}

/// The nearest integer to a fraction; of two, the even one.
fn nearest(numerator: i128, denominator: i128) -> i64 {
    let down = numerator.div_euclid(denominator);
    let distance = |candidate: i128| (numerator - candidate * denominator).abs();
    let best = [down, down + 1].into_iter().min_by_key(|&at| (distance(at), at % 2 != 0));
    i64::try_from(best.expect("one of two")).expect("a mean of small entries")
}
