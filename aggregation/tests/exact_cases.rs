//! 10,000 cases of the fold whose results are the same everywhere, bit for bit.
//!
//! A case is a recipe and a set of updates, voids and equivocations among them, made from its
//! number by a generator of this file. Each is folded in order; in another order with
//! duplicates; in a third one with the model asked for in between; and with its tensors cut into
//! other chunks. All must give the same terms. All cases are folded by one thread and again by
//! two that share a memo. The hash over all terms of a rule's cases stands in [`RULES`], so that debug
//! and release, and machines of any kind, must agree too:
//!
//! `cargo test -p longhaul-aggregation --test exact_cases` and the same with `--release`;
//! `tests/aarch64.sh` does it for aarch64 under qemu, where both are installed.
//!
//! A new rule is a new line of [`RULES`]; the lines of others stay as they are.

mod common;

use std::sync::{Arc, Mutex};

use common::{Memo, SEED, named, payload, unknown_header};
use longhaul_aggregation::{
    AdmissionPolicy, Admitted, BaseSummary, Buckets, Clip, Cohorts, Epoch, Fold, MemberIndex,
    Minimum, Mix, PoolSpan, Previous, Recipe, Rule, Schema, Setting, Small, TermMemo, TermStatus,
    Trim, Weighting, admit,
};
use longhaul_dtn::hash::ContentHash;

/// Cases of each rule.
const CASES: u64 = 3_400;

/// A family of rules: its name, one of it, and the hash over its cases.
struct Family {
    name: &'static str,
    rule: fn(&mut Random) -> Rule,
    /// The buckets of a case, by its number.
    buckets: fn(u64) -> Buckets,
    digest: &'static str,
}

/// No buckets.
fn alone(_: u64) -> Buckets {
    Buckets::None
}

/// The trust roots of members, by index.
const TRUST_ROOTS: [u16; MEMBERS as usize] = [1, 0, 2, 1, 1, 2, 0, 1];

const RULES: [Family; 10] = [
    Family {
        name: "mean",
        rule: |_| Rule::Mean,
        buckets: alone,
        digest: "590f3a06d483210276e7b7e984088aad2b6a069738981f8e0d46eb897f1e9723",
    },
    Family {
        name: "trimmed mean, by attackers",
        rule: |_| Rule::TrimmedMean { trim: Trim::Auto },
        buckets: alone,
        digest: "6329bf259ab8743bcc07e25fe258f6d425f19172ca30cd6f41500fe01a248032",
    },
    Family {
        name: "trimmed mean, by number",
        rule: |random| Rule::TrimmedMean { trim: Trim::Fixed(random.below(4) as u16) },
        buckets: alone,
        digest: "735fb7baf57a096f4ee2c4809c991f4dfc6c8a866423d6a17101eec455f4337a",
    },
    Family {
        name: "median",
        rule: |_| Rule::Median,
        buckets: alone,
        digest: "61577188fe429807991abce760749d2c1bd50e53ffa1629763ffe08cc868b8af",
    },
    Family {
        name: "mean around the median",
        rule: |_| Rule::MeanAroundMedian,
        buckets: alone,
        digest: "c33c0d68553bb3358d5eac620bcf284230309503d88b946d4766e1c73268dcc8",
    },
    Family {
        name: "Krum and its kin",
        rule: |random| {
            let all = [Weighting::Krum, Weighting::MultiKrum, Weighting::CenteredTrimmed];
            Rule::Weighted(all[random.below(3) as usize])
        },
        buckets: alone,
        digest: "d1ce2ddbf74d92ccd78951d339883350badb5233a5f4d6d26b5c3f6057ca3440",
    },
    Family {
        name: "geometric median and centered clipping",
        rule: |random| {
            let iterations = 1 + random.below(9) as u8;
            let radius_milli = 1 + random.below(200_000) as u32;
            Rule::Weighted(match random.once(2) {
                true => Weighting::GeometricMedian { iterations },
                false => Weighting::CenteredClipping { radius_milli, iterations },
            })
        },
        buckets: alone,
        digest: "ab49450c0889923873a3835c2fc0f6a373b4756439bb5acd764a5abba8e84440",
    },
    Family {
        name: "covariance filter and diversity",
        rule: |random| {
            Rule::Weighted(match random.once(2) {
                true => Weighting::CovarianceFilter,
                false => Weighting::Diversity,
            })
        },
        buckets: alone,
        digest: "2621057265553d5d58f1fd8c7f92d0f155d4ccc2f607361277330ca71e29805e",
    },
    Family {
        name: "Bulyan",
        rule: |_| Rule::Bulyan,
        buckets: alone,
        digest: "363b06846bfdd9313e9a200a6273762dbbb77ec599771af15ecad928d0cee5a7",
    },
    Family {
        name: "buckets",
        rule: |random| {
            let trim = Trim::Auto;
            let all =
                [Rule::Mean, Rule::TrimmedMean { trim }, Rule::Weighted(Weighting::Diversity)];
            all[random.below(3) as usize]
        },
        buckets: |number| match number % 4 {
            0 => Buckets::ByRoot(1 + number as u16 % 3),
            _ => Buckets::Drawn(2 + number as u16 % 5),
        },
        digest: "1e80c28ec363087f00cde19ffa471f288b05313f2e439c44dab7a48ff77bdef6",
    },
];

const MEMBERS: u16 = 8;
const EPOCHS: u32 = 6;
/// Epochs that a base summary looks back.
const WINDOW: u32 = 3;

/// Entries of the tensors, and the same cut finer; the second pair goes beyond a block.
const CUTS: [[&[u32]; 2]; 2] = [[&[3, 2], &[1, 2, 1, 1]], [&[300, 5], &[100, 200, 2, 3]]];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// True once in `out_of`.
    fn once(&mut self, out_of: u64) -> bool {
        self.below(out_of) == 0
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end as u64 + 1) as usize);
        }
    }
}

/// What an author puts into a slot.
struct Plan {
    member: u16,
    epoch: u32,
    /// Which earlier update it names: the last, none, one that nobody made, or the first.
    naming: u64,
    known: [u64; WINDOW as usize],
    vouch: bool,
    exponents: [u64; 2],
    values: Vec<i8>,
    /// Whether it signs a second header for the slot.
    twin: bool,
}

struct Case {
    recipe: Recipe,
    setting: Setting,
    cuts: [&'static [u32]; 2],
    plans: Vec<Plan>,
}

impl Case {
    fn new(family: &Family, number: u64) -> Self {
        let mut random = Random(number);
        let random = &mut random;
        let buckets = (family.buckets)(number);
        let recipe = Recipe { buckets, ..recipe((family.rule)(random), random) };
        let setting = Setting {
            attacker_share_permille: random.below(500) as u16,
            committee: random.once(3).then(|| 1 + random.below(u64::from(MEMBERS)) as u16),
            summary_window: WINDOW,
            ..Setting::trusting(usize::from(MEMBERS))
        };
        let cuts = CUTS[usize::from(random.once(50))];
        let entries: u32 = cuts[0].iter().sum();
        let kind = random.below(4);
        let liars = random.once(2);
        let mut plans = Vec::new();
        for member in 0..MEMBERS {
            for epoch in 0..EPOCHS {
                if !random.once(3) {
                    let mut plan = Plan::new(random, member, epoch, entries, kind);
                    plan.naming *= u64::from(liars);
                    plan.twin &= liars;
                    plans.push(plan);
                }
            }
        }
        Self { recipe, setting, cuts, plans }
    }

    /// The updates, with tensors of these lengths.
    fn set(&self, cut: usize) -> (Arc<Schema>, Vec<Arc<Admitted>>) {
        let lengths = self.cuts[cut];
        let schema = common::schema(lengths);
        let policy = AdmissionPolicy { summary_window: WINDOW, ..common::policy(&schema) };
        let mut set: Vec<Arc<Admitted>> = Vec::new();
        for plan in &self.plans {
            let previous = plan.previous(&set);
            let payload = plan.payload(lengths, self.cuts[0][0]);
            for samples in 0..=u32::from(plan.twin) {
                let mut header = common::header(plan.epoch, previous, &payload);
                header.base.summary = plan.summary();
                header.vouch = plan.vouch;
                header.samples = samples;
                let author = Some(MemberIndex::new(plan.member));
                let made = admit(&policy, author, &header.encode(), Arc::clone(&payload));
                set.push(Arc::new(made.expect("a sound update")));
            }
        }
        (schema, set)
    }

    fn fold(&self, schema: &Arc<Schema>) -> Fold {
        let fold = Fold::new(Arc::clone(schema), &SEED, self.recipe, self.setting);
        fold.with_trust_roots(Arc::new(TRUST_ROOTS))
    }
}

fn recipe(rule: Rule, random: &mut Random) -> Recipe {
    let cohorts = (!random.once(3)).then(|| Cohorts {
        threshold_permille: 1 + random.below(1000) as u16,
        minimum: match random.once(2) {
            true => Minimum::Auto,
            false => Minimum::Fixed(random.below(5) as u16),
        },
        small: [Small::Join, Small::Wait, Small::Vouch][random.below(3) as usize],
    });
    Recipe {
        clip: if random.once(2) { Clip::None } else { Clip::Median },
        mix: if random.once(2) { Mix::None } else { Mix::NearestNeighbours },
        cohorts,
        quorum: 1 + random.below(6) as u16,
        pool: PoolSpan::new(1 << random.below(4)).expect("a span"),
        ..Recipe::plain(rule, Clip::None, 1)
    }
}

impl Plan {
    /// A plan; by `kind` all magnitudes are alike, or updates repeat one another.
    fn new(random: &mut Random, member: u16, epoch: u32, entries: u32, kind: u64) -> Self {
        let sides = [0b0000_1111, 0b1111_0000, 0b1111_1111, 0];
        let exponent = |random: &mut Random| if kind == 0 { 3 } else { random.below(25) };
        let value = |random: &mut Random| match kind {
            1 => [0, 1, -1, 127][random.below(4) as usize],
            _ => (random.below(255) as i16 - 127) as i8,
        };
        let side = sides[random.below(4) as usize];
        Self {
            member,
            epoch,
            naming: if random.once(12) { random.below(4) } else { 0 },
            known: [0; 3].map(|_| if random.once(4) { random.below(256) } else { side }),
            vouch: !random.once(5),
            exponents: [exponent(random), exponent(random)],
            values: (0..entries).map(|_| value(random)).collect(),
            twin: random.once(30),
        }
    }

    fn previous(&self, set: &[Arc<Admitted>]) -> Option<Previous> {
        let of_author = |it: &&Arc<Admitted>| {
            it.author.get() == self.member && it.header.epoch.get() < self.epoch
        };
        let mut earlier = set.iter().filter(of_author).map(|it| named(it));
        match self.naming {
            1 => None,
            2 => earlier.next_back().map(|last| Previous { header: unknown_header(1), ..last }),
            3 => earlier.next(),
            _ => earlier.next_back(),
        }
    }

    /// The values in tensors of `lengths`; those from entry `second` on have the second exponent.
    fn payload(&self, lengths: &[u32], second: u32) -> Arc<[u8]> {
        let mut from = 0;
        let mut chunks = Vec::new();
        for &length in lengths {
            let exponent = self.exponents[usize::from(from >= second as usize)];
            let to = from + length as usize;
            chunks.push((exponent, &self.values[from..to]));
            from = to;
        }
        payload(&chunks)
    }

    fn summary(&self) -> BaseSummary {
        let rows = WINDOW.min(self.epoch) as usize;
        let row = |bits: &u64| {
            let members = (0..MEMBERS).filter(|member| bits >> member & 1 == 1);
            members.map(MemberIndex::new).collect()
        };
        BaseSummary::new(self.known[..rows].iter().map(row).collect()).expect("ascending rows")
    }
}

/// What a fold computed: every vector that it would lend, in their own order.
#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<Arc<[i32]>>>);

impl TermMemo for Recorder {
    fn get(&self, _: &ContentHash) -> Option<Arc<[i32]>> {
        None
    }

    fn put(&self, _: ContentHash, term: Arc<[i32]>) {
        self.0.lock().expect("no panic inside").push(term);
    }
}

/// What must not depend on how a set is folded.
#[derive(Debug, PartialEq, Eq)]
struct Result {
    terms: Vec<Arc<[i32]>>,
    model: Vec<i64>,
    status: Vec<TermStatus>,
}

fn status(fold: &Fold) -> Vec<TermStatus> {
    (0..EPOCHS).map(|epoch| fold.term_status(Epoch::new(epoch))).collect()
}

/// Folds updates in this order, and asks for the model at the end.
fn result(case: &Case, schema: &Arc<Schema>, updates: &[Arc<Admitted>]) -> (Result, Fold) {
    let recorder = Arc::new(Recorder::default());
    let mut fold = case.fold(schema).with_memo(recorder.clone());
    updates.iter().for_each(|it| _ = fold.insert(Arc::clone(it)));
    let model = fold.model().as_slice().to_vec();
    let mut terms = recorder.0.lock().expect("no panic inside").clone();
    terms.sort();
    (Result { terms, model, status: status(&fold) }, fold)
}

/// The set in another order, with some of it twice.
fn shuffled(set: &[Arc<Admitted>], random: &mut Random) -> Vec<Arc<Admitted>> {
    let mut updates: Vec<_> = set.to_vec();
    updates.extend(set.iter().filter(|_| random.once(4)).map(Arc::clone));
    random.shuffle(&mut updates);
    updates
}

/// The hash of a result.
fn hash(result: &Result) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for term in &result.terms {
        hasher.update(&(term.len() as u64).to_le_bytes());
        term.iter().for_each(|entry| _ = hasher.update(&entry.to_le_bytes()));
    }
    result.model.iter().for_each(|entry| _ = hasher.update(&entry.to_le_bytes()));
    for it in &result.status {
        for number in [it.authors, it.voids, it.pooled, it.counted, it.largest_cohort] {
            hasher.update(&(number as u64).to_le_bytes());
        }
        hasher.update(&[u8::from(it.quorate)]);
    }
    *hasher.finalize().as_bytes()
}

/// Folds a case in every way; gives the hash of what all agree on.
fn check(case: &Case, number: u64) -> [u8; 32] {
    let mut random = Random(!number);
    let (schema, set) = case.set(0);
    let (expected, mut fold) = result(case, &schema, &set);
    let (found, mut other) = result(case, &schema, &shuffled(&set, &mut random));
    assert_eq!(found, expected, "case {number} in another order");
    assert_eq!(other.set_root(), fold.set_root(), "case {number}");
    assert_eq!(other.model_id(), fold.model_id(), "case {number}");
    let mut asked = case.fold(&schema);
    for update in shuffled(&set, &mut random) {
        asked.insert(update);
        if random.once(6) {
            asked.model();
        }
    }
    assert_eq!(asked.model_id(), fold.model_id(), "case {number} asked in between");
    assert_eq!(status(&asked), expected.status, "case {number} asked in between");
    // Where vectors are compared, ties go by header hash, and other chunks make other hashes.
    let compares = matches!(case.recipe.rule, Rule::Weighted(_) | Rule::Bulyan)
        || case.recipe.mix != Mix::None;
    if !compares {
        let (finer, set) = case.set(1);
        let (found, _) = result(case, &finer, &shuffled(&set, &mut random));
        assert_eq!(found, expected, "case {number} in finer chunks");
    }
    hash(&expected)
}

/// The models of every case, folded by `threads` threads that lend each other terms.
fn models(family: &Family, threads: u64) -> Vec<Vec<i64>> {
    let memo = Arc::new(Memo::default());
    let run = |thread: u64| {
        let memo = &memo;
        move || {
            let mine = (0..CASES).filter(move |number| number % threads == thread);
            let model = |number| {
                let case = Case::new(family, number);
                let (schema, set) = case.set(0);
                let mut fold = case.fold(&schema);
                if threads > 1 {
                    fold.set_memo(memo.clone());
                }
                shuffled(&set, &mut Random(number + thread))
                    .into_iter()
                    .for_each(|it| _ = fold.insert(it));
                (number, fold.model().as_slice().to_vec())
            };
            mine.map(model).collect::<Vec<_>>()
        }
    };
    let mut models: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(run(thread))).collect();
        running.into_iter().flat_map(|it| it.join().expect("no panic inside")).collect()
    });
    models.sort();
    models.into_iter().map(|(_, model)| model).collect()
}

fn digest(family: &Family, cases: u64) -> String {
    let mut hasher = blake3::Hasher::new();
    for number in 0..cases {
        hasher.update(&check(&Case::new(family, number), number));
    }
    hasher.finalize().to_hex().to_string()
}

#[test]
fn every_case_gives_the_terms_that_it_gives_anywhere() {
    let mut found = Vec::new();
    for family in &RULES {
        found.push(format!("{}: {}", family.name, digest(family, CASES)));
    }
    let expected: Vec<_> = RULES.iter().map(|it| format!("{}: {}", it.name, it.digest)).collect();
    assert_eq!(found, expected);
}

#[test]
fn two_threads_give_the_models_of_one() {
    for family in &RULES {
        assert!(models(family, 1) == models(family, 2), "{}", family.name);
    }
}

/// The cases have what they are there for, and the hash sees a change of one unit.
#[test]
fn cases_are_not_all_alike() {
    let mut counts = [0_usize; 6];
    for number in 0..300 {
        let case = Case::new(&RULES[2], number);
        let (schema, set) = case.set(0);
        let (mut result, fold) = result(&case, &schema, &set);
        let status = &result.status;
        let several = |test: fn(&TermStatus) -> bool| usize::from(status.iter().any(test));
        counts[0] += several(|it| it.voids > 0);
        counts[1] += several(|it| it.pooled > 1);
        counts[2] += several(|it| it.counted > 0 && it.counted < it.authors - it.voids);
        counts[3] += several(|it| !it.quorate && it.authors > 0);
        counts[4] += usize::from(!fold.equivocations().is_empty());
        counts[5] += several(|it| it.largest_cohort > 4);
        let before = hash(&result);
        result.model[0] += 1;
        assert_ne!(hash(&result), before);
    }
    assert!(counts.iter().all(|&count| (20..300).contains(&count)), "{counts:?}");
}
