//! The fuzz bodies of `tests/fuzz/src/dtn.rs` and `agent.rs` on a stable toolchain.
//!
//! Inputs are good ones that are mutated: flipped bits, other bytes, parts cut, copied or put in from
//! others; in one of two the CRC-32Cs of bundles are made anew, so that mutants reach beyond them. The
//! runs below are short; the long ones are
//!
//! `cargo test --release -p longhaul-dtn --test fuzz -- --ignored --nocapture`
//!
//! for as many seconds each as `FUZZ_SECONDS` says (60), from the seed `FUZZ_SEED`; `FUZZ_TARGET` names
//! one of them. A finding is a panic
//! behind a line with the input's bytes.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![expect(
    clippy::disallowed_methods,
    reason = "a fuzzer runs for a time, which the environment says"
)]

mod common;

#[path = "../../tests/fuzz/src/dtn.rs"]
mod body;

#[path = "../../tests/fuzz/src/agent.rs"]
mod attack;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use common::{Dice, bundle as update, key};
use longhaul_dtn::bpsec::{AadScope, sign};
use longhaul_dtn::bpv7::{
    AdminRecord, BlockFlags, BlockType, BundleFlags, BundleKey, CrcType, CreationTimestamp, Draft,
    EndpointId, Extension, Fragment, NewBlock, PrimaryBlock, ReportReason, StatusReport,
};
use longhaul_dtn::bundle::{BundleHead, BundleId, Encryption, Prepared};
use longhaul_dtn::frame::{Frame, Page, PageStart};
use longhaul_dtn::groups::{GroupIndex, GroupProof};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::keyring::{FederationKey, Keyring};
use longhaul_dtn::routing::custody::{CustodySignal, Disposition};
use longhaul_dtn::sketch::{CellCount, Encoder, KeyedIds, SketchKey, Symbol};
use longhaul_dtn::tcpcl::{Input, Output, Session, SessionConfig, TlsPolicy};
use longhaul_dtn::time::{Span, Timestamp};

/// Inputs that mutations start from.
const CORPUS: usize = 1024;
/// Longest input.
const BYTES_MAX: usize = 8192;

/// A body, its name and the good inputs that it starts from.
type Target = (&'static str, fn(&[u8]), Vec<Vec<u8>>);

fn draft() -> Draft {
    let source = EndpointId::dtn("node", "app").unwrap();
    let created = CreationTimestamp { time: Timestamp::from_dtn_ms(840_000_000_000), sequence: 3 };
    let lifetime = Span::from_ms(3_600_000);
    let mut draft = Draft::new(PrimaryBlock::new(source, EndpointId::ipn(7, 1), created, lifetime));
    draft.set(&Extension::HopCount { limit: 30, count: 3 });
    draft.set(&Extension::BundleAge(Span::from_ms(500)));
    draft.set(&Extension::PreviousNode(EndpointId::ipn(9, 0)));
    draft
}

/// Bundles of every kind.
fn bundles() -> Vec<Vec<u8>> {
    let plain = draft();
    let mut signed = draft();
    let (kind, flags) = (BlockType::from_code(193), BlockFlags::REPLICATE);
    let data = b"a private block".to_vec();
    signed.blocks.push(NewBlock { kind, number: 9, flags, crc: CrcType::Crc16, data });
    let source = plain.primary.source.clone();
    sign(&mut signed, b"payload", &source, &key(1), &[9, 1], &AadScope::default()).unwrap();
    let mut fragment = draft();
    fragment.primary.fragment = Some(Fragment { offset: 5, total: 500 });
    let mut clockless = draft();
    clockless.primary.created.time = Timestamp::default();
    clockless.payload_crc = CrcType::None;
    let mut record = draft();
    record.primary.flags = BundleFlags::ADMIN_RECORD;
    let subject = BundleKey { source, created: plain.primary.created, fragment: None };
    let report = StatusReport::about(&subject, ReportReason::NO_ROUTE);
    let report = AdminRecord::StatusReport(report).encode();
    let held = [ContentHash::of(b"one"), ContentHash::of(b"two")].map(BundleId::from_hash);
    let signal = CustodySignal::new(Disposition::Holds, held).unwrap().to_record().encode();
    [(plain, &b"payload"[..]), (signed, b"payload"), (fragment, b"payload"), (clockless, b"")]
        .into_iter()
        .chain([(record.clone(), &report[..]), (record, &signal[..])])
        .map(|(draft, payload)| draft.encode(payload).unwrap())
        .chain([update(1, 1, 40).head.to_bundle(&update(1, 1, 40).payload)])
        .collect()
}

/// Heads, bundles of updates, and frames.
fn frames() -> Vec<Vec<u8>> {
    let held = update(1, 2, 100);
    let id = held.head.id();
    let head = held.head.encode();
    let frames = [
        Frame::Have { ids: vec![id; 5], page: Page::Continued },
        Frame::More { from: PageStart::AfterLast },
        Frame::WantGroup { id, index: GroupIndex::new(70_000).unwrap() },
        Frame::Head { id, head: head.clone() },
        Frame::Group {
            id,
            index: GroupIndex::new(2).unwrap(),
            proof: GroupProof::new(vec![[3; 32]; 2]).unwrap(),
            bytes: vec![7; 50],
        },
        Frame::MoreCells(CellCount::new(40).unwrap()),
        Frame::Resolve { symbols: vec![Symbol::from_bytes([5; 8]); 3], page: Page::Last },
        Frame::List,
        Frame::Refused { id, code: 300 },
        Frame::Bye { code: 2 },
    ];
    let frames = frames.iter().map(Frame::encode);
    let proved = Prepared::clear(common::draft(b"header", b"payload"), &key(1)).unwrap();
    let proved = proved.sign(Some(b"a proof about the payload")).unwrap();
    frames
        .chain([head, held.head.to_bundle(&held.payload)])
        .chain([proved.encode(), proved.to_bundle(b"payload")])
        .collect()
}

/// Encrypted bundles, under the key that the body has and under another, one in clear, and keyrings.
fn confidentials() -> Vec<Vec<u8>> {
    let bundle = |federation_key: [u8; 32], payload: &[u8]| {
        let (author, shared) = (key(1), FederationKey::from_bytes(federation_key));
        let pseudonym = author.pseudonym(&ContentHash::of(b"federation"), 7);
        let encryption = Encryption { author: &author, pseudonym: &pseudonym, key: &shared };
        let draft = common::draft(b"header", payload);
        let (prepared, ciphertext) = Prepared::encrypted(draft, &encryption).unwrap();
        prepared.sign(payload.is_empty().then_some(b"a proof")).unwrap().to_bundle(&ciphertext)
    };
    let mut ring = Keyring::default();
    (1..4).for_each(|byte| _ = ring.add(FederationKey::from_bytes([byte; 32])));
    let texts = [ring.to_text().as_bytes().to_vec(), b"# nothing\n\n".to_vec()];
    let plain = update(1, 1, 40);
    [body::FEDERATION_KEY, [8; 32]]
        .into_iter()
        .flat_map(|it| [bundle(it, b"payload"), bundle(it, b"")])
        .chain([plain.head.to_bundle(&plain.payload)])
        .chain(texts)
        .collect()
}

/// Some batches behind one another, each behind its length.
fn sketches() -> Vec<Vec<u8>> {
    let key = SketchKey::between(&[1; 32], &[2; 32]);
    let ids = |range: std::ops::Range<u8>| {
        range.map(|it| BundleId::from_hash(ContentHash::of(&[it]))).collect::<Vec<_>>()
    };
    let sketch = |range| {
        let mut encoder = Encoder::new(KeyedIds::new(key, ids(range)).unwrap());
        let mut bytes = Vec::new();
        for cells in [8, 12, 20] {
            let mut batch = encoder.batch(CellCount::new(cells).unwrap()).unwrap().encode();
            batch.resize(batch.len().next_multiple_of(4), 0);
            bytes.push((batch.len() / 4) as u8);
            bytes.extend(batch);
        }
        bytes
    };
    vec![sketch(0..40), sketch(5..50), sketch(0..0), sketch(30..35)]
}

/// Scripts of an attack: links, hellos, offers and answers in good order, and nothing.
fn attacks() -> Vec<Vec<u8>> {
    let link = |it: u8| [it, 0, 3];
    let hello = |it: u8, held: u8| [it, 6, 0, 1, held, 9];
    let have = |it: u8| [it, 6, 0, 2, 0, 0];
    let head = |it: u8, bundle: u8| [it, 6, bundle, 7, 255, bundle];
    let group = |it: u8, bundle: u8, index: u8| [it, 6, bundle, 8, index, 1, 255];
    let mut listed = [&link(0)[..], &hello(0, 0), &have(0)].concat();
    for bundle in [0, 12, 13, 15] {
        listed.extend([head(0, bundle).as_slice(), &group(0, bundle, 0)].concat());
        listed.extend(group(0, bundle, 1));
        listed.extend([0, 3, 1]);
    }
    let sketched = [&link(1)[..], &hello(1, 200), &[1, 6, 0, 11, 9, 4, 1, 50, 7, 1]].concat();
    let carried = [[0, 4, 14, 255], [0, 4, 17, 255], [0, 5, 200, 0]].concat();
    let late = [&link(2)[..], &[0, 2, 255, 0, 2, 255, 0, 5, 99]].concat();
    vec![vec![], [listed.clone(), carried.clone()].concat(), listed, sketched, carried, late]
}

/// Plans in both forms.
fn plans() -> Vec<Vec<u8>> {
    let ion = "@ 2026/11/27-03:00:00\n# a comment\na contact +0 +3600 1 2 100000\n\
               a contact +60 2026/11/27-04:30:00 2 dtn://hub/ 5000 0.8 # the hub\n\
               a contact +0 +90.5 1 4294967298 20\na range +0 +3600 1 2 1.25\nd contact +0 1 2\n\
               a contact -1 -1 1 1 0\na contact +0 0 1 2 0\n^ 2\n";
    let json = r#"{"reference": "2026/11/27-03:00:00", "contacts": [
        {"from": 1, "to": 2, "start": "+0", "end": "+3600", "rate_bytes_per_s": 100000},
        {"from": 2, "to": "dtn://hub/", "start": "+60", "end": "2026/11/27-04:30:00",
         "rate_bytes_per_s": 5000, "confidence": 0.8}],
        "ranges": [{"from": 1, "to": 2, "start": "+0", "end": "+3600", "light_time_s": 1.25}]}"#;
    [ion, json, "{}", ""].map(|it| it.as_bytes().to_vec()).into()
}

/// What one side of a session says, in pieces of its outputs, each behind its length.
fn sessions() -> Vec<Vec<u8>> {
    [false, true].map(scripted).into()
}

fn scripted(listens: bool) -> Vec<u8> {
    let config = SessionConfig { tls: TlsPolicy::Never, ..SessionConfig::default() };
    let mut sides = [Session::active(config.clone()), Session::passive(config)];
    let now = Timestamp::from_dtn_ms(1);
    sides.iter_mut().for_each(|side| side.handle(now, Input::Connected).unwrap());
    let recorded = usize::from(!listens);
    let mut bytes = vec![u8::from(listens)];
    for round in 0..12 {
        for side in 0..2 {
            while let Some(output) = sides[side].poll() {
                match output {
                    Output::Transmit(said) => {
                        if side == recorded {
                            for piece in said.chunks(200) {
                                bytes.push(piece.len() as u8);
                                bytes.extend_from_slice(piece);
                            }
                        }
                        let _ = sides[1 - side].handle(now, Input::Received(&said));
                    }
                    Output::Offered { id } => {
                        let _ = sides[side].handle(now, Input::Data { id, bytes: &[7; 90] });
                        let _ = sides[side].handle(now, Input::Data { id, bytes: &[8; 10] });
                    }
                    Output::TransferFinished { id, .. } => {
                        let _ = sides[side].handle(now, Input::Stored { id });
                    }
                    _ => {}
                }
            }
        }
        if round == 3 {
            sides.iter_mut().for_each(|side| _ = side.handle(now, Input::Offer { length: 100 }));
        }
    }
    bytes
}

/// Writes the CRC-32Cs of what still looks like blocks anew.
fn repair(bytes: &mut [u8]) {
    let mut start = 1;
    let heads =
        (1..bytes.len().saturating_sub(4)).filter(|&at| bytes[at] == 0x44).collect::<Vec<_>>();
    for at in heads {
        let end = at + 5;
        if end > bytes.len()
            || !matches!(bytes.get(end), None | Some(0x86 | 0x85 | 0x89 | 0x8b | 0xff))
        {
            continue;
        }
        bytes[at + 1..end].fill(0);
        let crc = crc32c::crc32c(&bytes[start..end]).to_be_bytes();
        bytes[at + 1..end].copy_from_slice(&crc);
        start = end;
    }
}

fn mutate(dice: &mut Dice, input: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=dice.below(5) {
        if input.is_empty() {
            input.push(dice.below(256) as u8);
        }
        let at = dice.below(input.len());
        match dice.below(7) {
            0 | 1 => input[at] ^= 1 << dice.below(8),
            2 => input[at] = dice.below(256) as u8,
            3 => input[at] = [0, 1, 23, 24, 0x7f, 0x80, 0xfe, 0xff][dice.below(8)],
            4 => drop(input.drain(at..(at + 1 + dice.below(8)).min(input.len()))),
            5 if !other.is_empty() => {
                let from = dice.below(other.len());
                let piece = other[from..other.len().min(from + 1 + dice.below(60))].to_vec();
                input.splice(at..at, piece);
            }
            _ => input.insert(at, dice.below(256) as u8),
        }
    }
    input.truncate(BYTES_MAX);
}

/// Runs a body on good inputs and mutants of them while `goes_on` says so.
fn run(
    body: fn(&[u8]),
    seeds: Vec<Vec<u8>>,
    seed: u64,
    mut goes_on: impl FnMut(u64) -> bool,
) -> u64 {
    let mut dice = Dice(seed);
    let mut corpus = seeds.clone();
    seeds.iter().for_each(|input| body(input));
    let mut cases = 0;
    while goes_on(cases) {
        // Half of the mutants are of good inputs: mutants of mutants get no further than their head.
        let bases = if dice.below(2) == 0 { &seeds } else { &corpus };
        let mut input = bases[dice.below(bases.len())].clone();
        let other = corpus[dice.below(corpus.len())].clone();
        mutate(&mut dice, &mut input, &other);
        if dice.below(2) == 0 {
            repair(&mut input);
        }
        if let Err(why) = catch_unwind(AssertUnwindSafe(|| body(&input))) {
            let digits: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("case {cases} of seed {seed}: {digits}");
            std::panic::resume_unwind(why);
        }
        cases += 1;
        if corpus.len() < CORPUS {
            corpus.push(input);
        } else if dice.below(16) == 0 {
            let at = corpus.len() / 2 + dice.below(CORPUS / 2);
            corpus[at] = input;
        }
    }
    cases
}

#[test]
fn bundles_keep_their_promises_on_mutants() {
    run(body::bundle, bundles(), 0x5eed_0031, |cases| cases < 20_000);
}

#[test]
fn frames_and_heads_keep_their_promises_on_mutants() {
    run(body::frame, frames(), 0x5eed_0032, |cases| cases < 20_000);
}

#[test]
fn encrypted_bundles_and_keyrings_keep_their_promises_on_mutants() {
    run(body::confidential, confidentials(), 0x5eed_0037, |cases| cases < 10_000);
}

#[test]
fn sketches_keep_their_promises_on_mutants() {
    run(body::sketch, sketches(), 0x5eed_0033, |cases| cases < 10_000);
}

#[test]
fn sessions_keep_their_promises_on_mutants() {
    run(body::session, sessions(), 0x5eed_0034, |cases| cases < 10_000);
}

#[test]
fn an_agent_under_attack_keeps_its_promises() {
    run(attack::agent_under_attack, attacks(), 0x5eed_0035, |cases| cases < 300);
}

#[test]
fn plans_keep_their_promises_on_mutants() {
    run(body::plan, plans(), 0x5eed_0036, |cases| cases < 20_000);
}

/// The seeds are what they are meant to be: they reach what the bodies check.
#[test]
fn seeds_are_good_inputs() {
    use longhaul_dtn::bpv7::{Bundle, Limits};
    assert!(bundles().iter().all(|it| Bundle::decode(it, &Limits::default()).is_ok()));
    let mut changed = bundles()[0].clone();
    let at = changed.len() - 8;
    changed[at] ^= 1;
    assert!(Bundle::decode(&changed, &Limits::default()).is_err());
    repair(&mut changed);
    assert!(Bundle::decode(&changed, &Limits::default()).is_ok(), "repaired");
    assert!(sessions().iter().all(|it| it.len() > 100), "a session with a transfer");
    let limits = longhaul_dtn::bundle::BundleLimits { proof_bytes_max: 64, ..common::LIMITS };
    assert!(confidentials()[..5].iter().all(|it| BundleHead::from_bundle(it, &limits).is_ok()));
    assert_eq!(Keyring::parse(std::str::from_utf8(&confidentials()[5]).unwrap()).unwrap().len(), 3);
    use longhaul_dtn::routing::plan::{Plan, PlanLimits};
    let (plans, start) = (plans(), Timestamp::default());
    let texts: Vec<&str> = plans.iter().map(|it| std::str::from_utf8(it).unwrap()).collect();
    let ion = Plan::read_ion(texts[0], start, &PlanLimits::default()).unwrap();
    let json = Plan::read_json(texts[1], start, &PlanLimits::default()).unwrap();
    assert_eq!((ion.plan.contacts().len(), json.contacts().len()), (3, 2));
}

#[test]
#[ignore = "a minute each: cargo test --release -p longhaul-dtn --test fuzz -- --ignored --nocapture"]
fn all_bodies_for_a_while() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (seconds, seed) = (number("FUZZ_SECONDS", 60), number("FUZZ_SEED", 1));
    let bodies: [Target; 7] = [
        ("bundle", body::bundle, bundles()),
        ("frame", body::frame, frames()),
        ("confidential", body::confidential, confidentials()),
        ("sketch", body::sketch, sketches()),
        ("session", body::session, sessions()),
        ("agent", attack::agent_under_attack, attacks()),
        ("plan", body::plan, plans()),
    ];
    let only = std::env::var("FUZZ_TARGET").ok();
    for (name, body, seeds) in bodies {
        if only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        let end = Instant::now() + Duration::from_secs(seconds);
        let cases = run(body, seeds, seed, |_| Instant::now() < end);
        println!("{name}: {cases} cases in {seconds} s, none broke a promise");
    }
}
