//! The fold once more, written from the rules' text alone: it keeps the whole set,
//! compares all pairs of an author's headers, finds cohorts without any cache, and
//! computes every term from scratch with wide integers and sorted columns.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeSet;
use std::ops::Range;

use longhaul_aggregation::robust::Gram;
use longhaul_aggregation::{
    Admitted, Buckets, Clip, Cohorts, Minimum, Mix, ModelId, Parameters, Previous, Recipe, Rule,
    Samples, Schema, Setting, Small, Staleness, Trim, Weighting,
};

use longhaul_dtn::hash::ContentHash;

use crate::common::SEED;
use crate::plans::{EPOCHS, MEMBERS};

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
    samples: u32,
    federation: [u8; 32],
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
            samples: header.samples,
            federation: *header.federation.as_bytes(),
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

/// What an author contributes to a term: some of its facts, by epoch.
type Part<'a> = Vec<&'a Fact>;

pub fn outcome(schema: &Schema, rules: Rules, set: &BTreeSet<Fact>) -> Outcome {
    outcome_of_epochs(schema, rules, set, &Parameters::initial(schema, &SEED), 0..EPOCHS)
}

/// `base` and the terms of some epochs alone, which do not cut a pooled block.
pub fn outcome_of_epochs(
    schema: &Schema,
    rules: Rules,
    set: &BTreeSet<Fact>,
    base: &Parameters,
    within: Range<u32>,
) -> Outcome {
    let mut model = base.as_slice().to_vec();
    let mut counted = BTreeSet::new();
    let groups = groups(rules.0, set).into_iter();
    let mut terms: Vec<(u32, Vec<i64>)> = Vec::new();
    for epochs in groups.filter(|epochs| within.contains(&epochs[0])) {
        let (cohorts, bearing) = cohorts_of(rules, set, &epochs);
        let facts = cohorts.iter().flatten().flatten();
        counted.extend(facts.map(|fact| (fact.epoch, fact.member)));
        if !cohorts.is_empty() {
            let term = term(rules.0, &cohorts, bearing);
            terms.push((epochs[epochs.len() - 1], term));
        }
    }
    let newest = terms.iter().map(|(epoch, _)| *epoch).max().unwrap_or(0);
    for (epoch, term) in terms {
        let held = held_back(rules.0, newest - epoch);
        for (sum, entry) in model.iter_mut().zip(term) {
            *sum += entry - nearest(i128::from(entry) * held, 1 << 16);
        }
    }
    Outcome { model: Parameters::from_units(model).model_id(schema), counted }
}

/// The epochs that have a term of their own or share one: of all aligned runs, from
/// the shortest on, those whose epochs without a term so far have a quorum together.
fn groups(recipe: Recipe, set: &BTreeSet<Fact>) -> Vec<Vec<u32>> {
    let mut groups: Vec<Vec<u32>> = Vec::new();
    let mut length = 1;
    while length <= recipe.pool.epochs() {
        for start in (0..EPOCHS).step_by(length as usize) {
            let done = |epoch: &u32| groups.iter().flatten().any(|done| done == epoch);
            let epochs: Vec<u32> = (start..start + length)
                .filter(|&epoch| !authors(set, &[epoch]).is_empty())
                .filter(|epoch| !done(epoch))
                .collect();
            if authors(set, &epochs).len() >= usize::from(recipe.quorum) {
                groups.push(epochs);
            }
        }
        length *= 2;
    }
    groups
}

fn authors(set: &BTreeSet<Fact>, epochs: &[u32]) -> BTreeSet<u16> {
    set.iter().filter(|fact| epochs.contains(&fact.epoch)).map(|fact| fact.member).collect()
}

/// Attackers that may be in a term, authors who contribute nothing to it, and its first epoch.
type Bearing = (usize, usize, u32);

/// The cohorts that count.
fn cohorts_of<'a>(
    rules: Rules,
    set: &'a BTreeSet<Fact>,
    epochs: &[u32],
) -> (Vec<Vec<Part<'a>>>, Bearing) {
    let (mut cohorts, bearing) = all_cohorts_of(rules, set, epochs);
    if matches!(rules.0.buckets, Buckets::ByRoot(_)) {
        let least = least_vectors(rules.0, bearing.0);
        // Who has no sound update at all in these epochs votes everywhere.
        let within = |fact: &&Fact| epochs.contains(&fact.epoch);
        let sound = |fact: &&Fact| {
            let own = set.iter().filter(within).filter(|it| it.member == fact.member);
            own.clone().any(|it| !is_void(set, it))
        };
        let void: Vec<&Fact> = set.iter().filter(within).filter(|it| !sound(it)).collect();
        let votes = |parts: &Vec<Part<'a>>| {
            let buckets = parts.iter().map(|part| part[part.len() - 1]).chain(void.iter().copied());
            let buckets = buckets.map(|fact| bucket(rules.0, fact, bearing.2));
            buckets.collect::<BTreeSet<_>>().len()
        };
        cohorts.retain(|parts| votes(parts) >= least);
    }
    (cohorts, bearing)
}

fn all_cohorts_of<'a>(
    (recipe, setting): Rules,
    set: &'a BTreeSet<Fact>,
    epochs: &[u32],
) -> (Vec<Vec<Part<'a>>>, Bearing) {
    let authors = authors(set, epochs);
    let part = |member: &u16| -> Part<'a> {
        let own = set.iter().filter(|fact| fact.member == *member);
        own.filter(|fact| epochs.contains(&fact.epoch) && !is_void(set, fact)).collect()
    };
    let parts: Vec<Part<'a>> = authors.iter().map(part).filter(|part| !part.is_empty()).collect();
    let voids = authors.len() - parts.len();
    let bearing = (attackers(setting, epochs.len()), voids, epochs[0]);
    let Some(cohorts) = recipe.cohorts else {
        return (if parts.is_empty() { vec![] } else { vec![parts] }, bearing);
    };
    let attackers = bearing.0.saturating_sub(voids);
    let least = match cohorts.minimum {
        Minimum::Auto => 2 * attackers + 1,
        Minimum::Fixed(least) => usize::from(least).saturating_sub(voids).max(1),
    };
    let mut clusters = clusters(&parts, cohorts);
    match cohorts.small {
        Small::Join => clusters = joined(&clusters, least),
        Small::Wait => clusters.retain(|cluster| cluster.len() >= least),
        Small::Vouch => {
            let least = if cohorts.minimum == Minimum::Auto { attackers + 1 } else { least };
            for cluster in &mut clusters {
                if cluster.len() < 2 * attackers + 1 {
                    let vouched = |fact: &&Fact| is_vouched(setting, set, fact);
                    cluster.iter_mut().for_each(|part| part.retain(vouched));
                    cluster.retain(|part| !part.is_empty());
                    if cluster.len() < least {
                        cluster.clear();
                    }
                }
            }
            clusters.retain(|cluster| !cluster.is_empty());
        }
    }
    (clusters, bearing)
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
    let attackers = attackers(setting, setting.summary_window as usize);
    voices.len() >= (attackers + 1).saturating_sub(liars.len()).max(1)
}

/// The overlap coefficient in units of 2^-32, rounded down.
fn similarity(one: &Fact, other: &Fact) -> u128 {
    let both = |epoch: &u32| one.window.contains(epoch) && other.window.contains(epoch);
    let left: BTreeSet<_> = one.known.iter().filter(|(epoch, _)| both(epoch)).collect();
    let right: BTreeSet<_> = other.known.iter().filter(|(epoch, _)| both(epoch)).collect();
    let smaller = left.len().min(right.len()) as u128;
    let common = left.intersection(&right).count() as u128;
    (common << 32).checked_div(smaller).unwrap_or(1 << 32)
}

/// The mean similarity of all pairs, as a sum and a number.
fn link(one: &[Part<'_>], other: &[Part<'_>]) -> (u128, u128) {
    let alike = |a: &Part<'_>, b: &Part<'_>| similarity(a[a.len() - 1], b[b.len() - 1]);
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| alike(a, b)));
    (pairs.sum(), (one.len() * other.len()) as u128)
}

fn clusters<'a>(parts: &[Part<'a>], cohorts: Cohorts) -> Vec<Vec<Part<'a>>> {
    let mut clusters: Vec<Vec<Part<'a>>> = parts.iter().map(|part| vec![part.clone()]).collect();
    loop {
        clusters.sort_by_key(|cluster| cluster.iter().map(|part| part[0].member).min());
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

fn joined<'a>(clusters: &[Vec<Part<'a>>], least: usize) -> Vec<Vec<Part<'a>>> {
    let is_big = |cluster: &&Vec<Part<'a>>| cluster.len() >= least;
    let big: Vec<_> = clusters.iter().filter(is_big).collect();
    if big.is_empty() {
        let all: Vec<Part<'a>> = clusters.iter().flatten().cloned().collect();
        return if all.is_empty() { vec![] } else { vec![all] };
    }
    let mut joined: Vec<Vec<Part<'a>>> = big.iter().map(|cluster| (*cluster).clone()).collect();
    for small in clusters.iter().filter(|cluster| !is_big(cluster)) {
        let mut nearest = 0;
        for other in 1..big.len() {
            let (best, next) = (link(big[nearest], small), link(big[other], small));
            if next.0 * best.1 > best.0 * next.1 {
                nearest = other;
            }
        }
        joined[nearest].extend(small.iter().cloned());
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

fn attackers(setting: Setting, epochs: usize) -> usize {
    let drawn = setting.committee.map_or(usize::MAX, |size| usize::from(size) * epochs);
    setting.members.min(drawn) * usize::from(setting.attacker_share_permille) / 1000
}

fn term(recipe: Recipe, cohorts: &[Vec<Part<'_>>], bearing: Bearing) -> Vec<i64> {
    let means: Vec<_> = cohorts.iter().map(|cohort| means(recipe, cohort, bearing)).collect();
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
    // A rule can give more than its longest vector; a term's entry is no longer than an update's.
    let most = 127 << 24;
    let (rate, momentum) = outer(recipe);
    let entry = |it| entry(it).clamp(-most, most);
    let scaled = |it| nearest(i128::from(entry(it)) * rate, 1_000 - momentum).clamp(-most, most);
    (0..means[0].0.len()).map(scaled).collect()
}

/// The rate and the momentum of a term's step, in thousandths.
fn outer(recipe: Recipe) -> (i128, i128) {
    (recipe.outer.rate_milli.into(), recipe.outer.momentum_permille.into())
}

/// What Nesterov's momentum has not released of a term of this age, of 2^16.
fn held_back(recipe: Recipe, age: u32) -> i128 {
    let (_, momentum) = outer(recipe);
    (0..age + 2).fold(1 << 16, |share, _| share * momentum / 1_000)
}

/// An author's sum, each entry within what one update can say.
fn units(part: &Part<'_>) -> Vec<i64> {
    let most = 127 << 24;
    let sum = |entry: usize| part.iter().map(|fact| fact.units[entry]).sum::<i64>();
    (0..part[0].units.len()).map(|entry| sum(entry).clamp(-most, most)).collect()
}

fn least_vectors(recipe: Recipe, attackers: usize) -> usize {
    let chooses = recipe.rule == Rule::Bulyan && attackers > 0;
    if chooses { 4 * attackers + 3 } else { 2 * attackers + 1 }
}

/// The trust roots of members, by index.
pub const TRUST_ROOTS: [u16; 6] = [1, 0, 2, 1, 1, 2];

/// Which bucket an author is in; who is in none stands alone.
fn bucket(recipe: Recipe, fact: &Fact, first: u32) -> (bool, u16, u64) {
    let root = TRUST_ROOTS.get(usize::from(fact.member)).copied().unwrap_or(0);
    let alike = |&other: &u16| TRUST_ROOTS.get(usize::from(other)).copied().unwrap_or(0) == root;
    match recipe.buckets {
        Buckets::ByRoot(most) if root > 0 => {
            let all: Vec<u16> = (0..MEMBERS).filter(alike).collect();
            let place = all.iter().position(|&it| it == fact.member).expect("one of them");
            (true, root, shuffled(fact, (first, root), place, all.len()) as u64 % u64::from(most))
        }
        Buckets::Drawn(among) => {
            let place = shuffled(fact, (first, 0), fact.member.into(), MEMBERS.into());
            (true, 0, place as u64 % u64::from(among))
        }
        Buckets::None | Buckets::ByRoot(_) => (false, fact.member, 0),
    }
}

/// The place of one of `count` in the shuffle of the epoch.
fn shuffled(fact: &Fact, (first, root): (u32, u16), place: usize, count: usize) -> usize {
    let mut bytes = fact.federation.to_vec();
    bytes.extend(first.to_le_bytes());
    bytes.extend(root.to_le_bytes());
    let key = ContentHash::derive("longhaul 2026 bucket v1", &bytes);
    let half = (1..).find(|half| 1_usize << (2 * half) >= count).expect("some") as u32;
    let mut halves = (place as u64 >> half, place as u64 % (1 << half));
    loop {
        for round in 0..4 {
            let bytes = &key.as_bytes()[8 * round..][..8];
            let key = bytes.iter().rev().fold(0_u64, |sum, &it| sum << 8 | u64::from(it));
            let mut word = halves.1 ^ key;
            for (shift, factor) in
                [(30, 0xbf58_476d_1ce4_e5b9), (27, 0x94d0_49bb_1331_11eb), (31, 1)]
            {
                word = (word ^ (word >> shift)).wrapping_mul(factor);
            }
            halves = (halves.1, halves.0 ^ (word % (1 << half)));
        }
        let found = (halves.0 << half | halves.1) as usize;
        if found < count {
            return found;
        }
    }
}

/// Of each bucket the mean of its weighted vectors, in the order of their first ones.
fn gathered(buckets: &[(bool, u16, u64)], sums: &[Vec<i64>], weights: &[i128]) -> Vec<Vec<i64>> {
    let is_first = |&place: &usize| !buckets[..place].contains(&buckets[place]);
    let mean = |first: usize| {
        let own: Vec<usize> =
            (first..sums.len()).filter(|&it| buckets[it] == buckets[first]).collect();
        let entry = |entry: usize| {
            let sum = own.iter().map(|&it| i128::from(sums[it][entry]) * weights[it]).sum();
            nearest(sum, 65_536 * own.len() as i128)
        };
        (0..sums[0].len()).map(entry).collect()
    };
    (0..sums.len()).filter(is_first).map(mean).collect()
}

/// The vectors of buckets, all of which weigh one.
fn in_buckets(
    recipe: Recipe,
    buckets: Vec<(bool, u16, u64)>,
    least: usize,
    (sums, weights): (&[Vec<i64>], &[i128]),
) -> (Vec<Vec<i64>>, Vec<i128>) {
    let filled: BTreeSet<_> = buckets.iter().copied().collect();
    let alone = matches!(recipe.buckets, Buckets::Drawn(_)) && filled.len() < least;
    let each = |place: usize| (true, 0, place as u64);
    let buckets = if alone { (0..sums.len()).map(each).collect() } else { buckets };
    let sums = gathered(&buckets, sums, weights);
    let weights = vec![65_536; sums.len()];
    (sums, weights)
}

/// The rule's sums over a cohort, and what they are divided by.
fn means(
    recipe: Recipe,
    cohort: &[Part<'_>],
    (attackers, voids, first): Bearing,
) -> (Vec<i128>, i128) {
    // Of equally near vectors those of smaller hashes are the nearer.
    let mut cohort = cohort.to_vec();
    cohort.sort_by_key(|part| part[part.len() - 1].hash);
    let sums: Vec<Vec<i64>> = cohort.iter().map(units).collect();
    let bearing = attackers.saturating_sub(voids).min((cohort.len() - 1) / 2);
    let weights: Vec<i128> = clip_weights(recipe.clip, &sums, bearing)
        .into_iter()
        .zip(&cohort)
        .map(|(clip, part)| (clip * claimed(recipe, part[part.len() - 1])) >> 16)
        .collect();
    let buckets: Vec<_> =
        cohort.iter().map(|part| bucket(recipe, part[part.len() - 1], first)).collect();
    let least = least_vectors(recipe, attackers.saturating_sub(voids));
    let (sums, weights) = match recipe.buckets {
        Buckets::None => (sums, weights),
        _ => in_buckets(recipe, buckets, least, (&sums, &weights)),
    };
    let weighted: Vec<Vec<i128>> = sums
        .iter()
        .zip(&weights)
        .map(|(units, weight)| units.iter().map(|&it| i128::from(it) * weight).collect())
        .collect();
    let most = (sums.len() - 1) / 2;
    let attackers = attackers.saturating_sub(voids).min(most);
    let (rows, neighbours) = match recipe.mix {
        Mix::None => (weighted.clone(), 1),
        Mix::NearestNeighbours => mixed(&weighted, sums.len() - attackers),
    };
    let trim = match recipe.rule {
        Rule::Mean => 0,
        Rule::Median => most,
        Rule::TrimmedMean { trim: Trim::Auto } => attackers,
        Rule::TrimmedMean { trim: Trim::Fixed(trim) } => {
            usize::from(trim).saturating_sub(voids).min(most)
        }
        Rule::MeanAroundMedian => {
            let kept = rows.len() - attackers;
            let column = |entry: usize| near_median(rows.iter().map(|row| row[entry]), kept);
            let sums = (0..rows[0].len()).map(column).collect();
            return (sums, 65_536 * (kept * neighbours) as i128);
        }
        Rule::Bulyan => return bulyan(&weighted, attackers),
        Rule::Weighted(rule) => {
            let shares: Vec<Vec<usize>> = match recipe.mix {
                Mix::NearestNeighbours => near(&weighted, sums.len() - attackers),
                Mix::None => (0..weighted.len()).map(|it| vec![it]).collect(),
            };
            return by_weights(rule, &sums, &weights, &shares, attackers);
        }
    };
    let column = |entry: usize| {
        let mut column: Vec<i128> = rows.iter().map(|row| row[entry]).collect();
        column.sort();
        column[trim..column.len() - trim].iter().sum()
    };
    let kept = rows.len() - 2 * trim;
    ((0..rows[0].len()).map(column).collect(), 65_536 * (kept * neighbours) as i128)
}

/// Bulyan: Krum again and again among those that it has not chosen yet, then the mean around
/// the median; among too few that alone, of all.
fn bulyan(rows: &[Vec<i128>], attackers: usize) -> (Vec<i128>, i128) {
    let product = |one: usize, other: usize| {
        let plain: i128 = rows[one].iter().zip(&rows[other]).map(|(a, b)| a * b).sum();
        plain as f64 / 2_f64.powi(80)
    };
    let apart = |one: usize, other: usize| {
        (product(one, one) + product(other, other) - 2.0 * product(one, other)).max(0.0)
    };
    let mut left: Vec<usize> = (0..rows.len()).collect();
    let mut chosen = Vec::new();
    let (most, kept) = match attackers {
        _ if rows.len() >= 4 * attackers + 3 => {
            (rows.len() - 2 * attackers, rows.len() - 4 * attackers)
        }
        _ => (rows.len(), rows.len() - attackers),
    };
    while chosen.len() < most {
        let score = |&one: &usize| {
            let others = left.iter().filter(|&&other| other != one);
            let mut apart: Vec<f64> = others.map(|&other| apart(one, other)).collect();
            apart.sort_by(f64::total_cmp);
            let near = left.len().saturating_sub(attackers + 2).max(1);
            apart.into_iter().take(near).sum::<f64>()
        };
        let scores: Vec<f64> = left.iter().map(score).collect();
        let least = scores.iter().copied().fold(f64::INFINITY, f64::min);
        chosen.push(left.remove(scores.iter().position(|&it| it == least).expect("one is least")));
    }
    let column = |entry: usize| near_median(chosen.iter().map(|&place| rows[place][entry]), kept);
    ((0..rows[0].len()).map(column).collect(), 65_536 * kept as i128)
}

/// The sum of the entries nearest to the median; of equally near ones the smaller.
fn near_median(column: impl Iterator<Item = i128>, kept: usize) -> i128 {
    let mut column: Vec<i128> = column.collect();
    column.sort();
    let twice = column[(column.len() - 1) / 2] + column[column.len() / 2];
    column.sort_by_key(|&entry| ((2 * entry - twice).abs(), entry));
    column[..kept].iter().sum()
}

/// A rule by dot products: exact products, then the published rule over floats, each of whose
/// inputs is the mean of those that `shares` names, then whole coefficients.
fn by_weights(
    rule: Weighting,
    sums: &[Vec<i64>],
    weights: &[i128],
    shares: &[Vec<usize>],
    attackers: usize,
) -> (Vec<i128>, i128) {
    let product = |one: usize, other: usize| {
        let pairs = sums[one].iter().zip(&sums[other]);
        let plain: i128 = pairs.map(|(a, b)| i128::from(*a) * i128::from(*b)).sum();
        (plain * weights[one] * weights[other]) as f64 / 2_f64.powi(80)
    };
    let all: Vec<Vec<f64>> =
        (0..sums.len()).map(|one| (0..sums.len()).map(|it| product(one, it)).collect()).collect();
    let mean = |share: &Vec<usize>| {
        let mut share = share.clone();
        share.sort_unstable();
        let weight = 1.0 / share.len() as f64;
        share.into_iter().map(|it| (it, weight)).collect::<Vec<_>>()
    };
    let shares: Vec<_> = shares.iter().map(mean).collect();
    let half: Vec<Vec<f64>> = shares
        .iter()
        .map(|share| {
            let entry =
                |other: usize| share.iter().fold(0.0, |sum, (it, by)| sum + by * all[*it][other]);
            (0..sums.len()).map(entry).collect()
        })
        .collect();
    let mixed = |one: usize, other: usize| {
        shares[other].iter().map(|&(it, by)| by * half[one][it]).sum::<f64>()
    };
    let rows: Vec<Vec<f64>> =
        (0..shares.len()).map(|one| (0..=one).map(|other| mixed(one, other)).collect()).collect();
    let gram = Gram::from_rows(&rows);
    let found = (0..=attackers).rev().find_map(|f| rule.over_floats(f).weights(&gram).ok());
    let found = found.flatten().unwrap_or_else(|| vec![1.0 / shares.len() as f64; shares.len()]);
    let mut coefficients = vec![0.0; sums.len()];
    for (share, weight) in shares.iter().zip(&found) {
        share.iter().for_each(|(it, by)| coefficients[*it] += weight * by);
    }
    let whole = |(coefficient, weight): (&f64, &i128)| {
        (coefficient * (*weight as f64 / 65_536.0) * 2_f64.powi(30)).round_ties_even() as i128
    };
    let whole: Vec<i128> = coefficients.iter().zip(weights).map(whole).collect();
    let entry = |entry: usize| {
        whole.iter().zip(sums).map(|(by, units)| by * i128::from(units[entry])).sum()
    };
    ((0..sums[0].len()).map(entry).collect(), 1 << 30)
}

/// The weight that a header's claims give.
fn claimed(recipe: Recipe, fact: &Fact) -> i128 {
    let newest = fact.known.iter().map(|(epoch, _)| *epoch).max();
    let stale = newest.map_or(fact.window.len() as i128, |it| i128::from(fact.epoch - 1 - it));
    let by_age = match recipe.staleness {
        Staleness::Constant => 65_536,
        Staleness::Polynomial { quarters } => {
            ((1_u128 << 64) / (stale as u128 + 1).pow(quarters.into())).isqrt().isqrt() as i128
        }
        Staleness::Hinge { after, slope } => {
            65_536 / (1 + i128::from(slope) * (stale - i128::from(after)).max(0))
        }
        Staleness::Exponential { half_life } => {
            let half_life = i128::from(half_life);
            let full = 65_536 >> (stale / half_life);
            full - full * (stale % half_life) / (2 * half_life)
        }
    };
    let by_samples = match recipe.samples {
        Samples::Alike => 65_536,
        Samples::UpTo(most) => i128::from(fact.samples.min(most)) * 65_536 / i128::from(most),
    };
    (by_age * by_samples) >> 16
}

fn clip_weights(clip: Clip, cohort: &[Vec<i64>], attackers: usize) -> Vec<i128> {
    let norms: Vec<u128> = cohort
        .iter()
        .map(|units| units.iter().map(|&entry| u128::from(entry.unsigned_abs()).pow(2)).sum())
        .map(|squared: u128| squared.isqrt())
        .collect();
    let mut sorted = norms.clone();
    sorted.sort();
    let count = sorted.len();
    let most = match clip {
        Clip::None => sorted[count - 1],
        Clip::Median => sorted[(count - 1) / 2],
        Clip::Adaptive => sorted[count - 1 - 2 * attackers * (count - attackers) / count],
    };
    let weight = |norm: u128| match clip {
        Clip::None => 65_536,
        _ if norm > 0 => (most * 65_536 / norm).min(65_536) as i128,
        _ => 65_536,
    };
    norms.into_iter().map(weight).collect()
}

/// Each vector's sum with its nearest ones, and how many that are.
fn mixed(rows: &[Vec<i128>], neighbours: usize) -> (Vec<Vec<i128>>, usize) {
    let sum = |near: &Vec<usize>| {
        (0..rows[0].len()).map(|entry| near.iter().map(|&other| rows[other][entry]).sum()).collect()
    };
    (near(rows, neighbours).iter().map(sum).collect(), neighbours)
}

/// For each vector itself and those nearest to it.
fn near(rows: &[Vec<i128>], neighbours: usize) -> Vec<Vec<usize>> {
    let distance = |one: &[i128], other: &[i128]| -> i128 {
        one.iter().zip(other).map(|(a, b)| (a - b).pow(2)).sum()
    };
    let near = |place: usize| {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&other| (other != place, distance(&rows[place], &rows[other]), other));
        order.truncate(neighbours);
        order
    };
    (0..rows.len()).map(near).collect()
}

/// The nearest integer to a fraction; of two, the even one.
fn nearest(numerator: i128, denominator: i128) -> i64 {
    let down = numerator.div_euclid(denominator);
    let distance = |candidate: i128| (numerator - candidate * denominator).abs();
    let best = [down, down + 1].into_iter().min_by_key(|&at| (distance(at), at % 2 != 0));
    i64::try_from(best.expect("one of two")).expect("a mean of small entries")
}
