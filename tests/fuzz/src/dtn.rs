//! Fuzz bodies of `dtn`: any bytes go into one decoder or machine, whose promises are then checked.
//!
//! A body panics if a promise is broken and does nothing else. It is run by libFuzzer (`fuzz_targets/`)
//! and, on a stable toolchain, by `dtn/tests/fuzz.rs`.

use std::sync::Arc;

use longhaul_dtn::bpsec;
use longhaul_dtn::bpv7::{
    AdminRecord, BlockType, Bundle, BundleFlags, Draft, Limits, Reassembly, SecurityBlock,
    StreamEvent, StreamReader, fragments,
};
use longhaul_dtn::bundle::{BundleHead, BundleId, BundleLimits};
use longhaul_dtn::frame::Frame;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::keyring::{FederationKey, Keyring};
use longhaul_dtn::routing::custody::CustodySignal;
use longhaul_dtn::routing::graph::{Graph, GraphConfig, Request};
use longhaul_dtn::routing::plan::{Place, Plan, PlanError, PlanLimits};
use longhaul_dtn::sketch::{CellCount, Decoder, KeyedIds, SketchBatch, SketchKey};
use longhaul_dtn::tcpcl::{Input, Output, Session, SessionConfig, TlsPolicy};
use longhaul_dtn::time::{Span, Timestamp};

const LIMITS: Limits = Limits {
    blocks_max: 16,
    block_bytes_max: 4096,
    head_bytes_max: 16 * 1024,
    payload_bytes_max: 64 * 1024,
};

const HEAD_LIMITS: BundleLimits = BundleLimits {
    header_bytes_max: 4096,
    proof_bytes_max: 4096,
    payload_bytes_max: 1 << 20,
    lifetime_max: Span::from_ms(u64::MAX),
};

/// A bundle of RFC 9171, whole and as a stream whose pieces the bytes say.
///
/// Promised: the bytes of a bundle that is accepted are the only ones of what they say; a stream
/// accepts what the whole does, and gives the same; fragments make it again; security blocks and
/// records are read or refused.
pub fn bundle(data: &[u8]) {
    let streamed = stream(data);
    let Ok(bundle) = Bundle::decode(data, &LIMITS) else {
        assert!(streamed.is_none(), "a stream accepts what the whole refuses");
        return;
    };
    let draft = bundle.to_draft();
    assert_eq!(draft.encode(bundle.payload()).as_deref(), Ok(data), "another encoding");
    assert_eq!(streamed, Some((draft, bundle.payload().to_vec())), "the stream differs");
    for block in bundle.blocks() {
        if matches!(block.kind, BlockType::INTEGRITY | BlockType::CONFIDENTIALITY) {
            let read = SecurityBlock::decode(block.number, bundle.data(block));
            let read = read.expect("it was read with the bundle");
            assert_eq!(read.encode(), bundle.data(block), "another security block");
            let _ = bpsec::verify(&bundle, block.number);
        }
    }
    if bundle.primary().flags.has(BundleFlags::ADMIN_RECORD)
        && let Ok(record) = AdminRecord::decode(bundle.payload())
    {
        assert_eq!(record.encode(), bundle.payload(), "another record");
        if let Some(Ok(signal)) = CustodySignal::from_record(&record) {
            assert_eq!(signal.to_record(), record, "another custody signal");
        }
    }
    reassemble(&bundle, usize::from(data[data.len() / 2]).max(1));
}

/// Head and payload of a bundle that comes in pieces.
fn stream(data: &[u8]) -> Option<(Draft, Vec<u8>)> {
    let mut reader = StreamReader::new(LIMITS);
    let (mut head, mut payload, mut rest) = (None, Vec::new(), data);
    while let Some(&first) = rest.first() {
        let (piece, more) = rest.split_at(rest.len().min(1 + usize::from(first)));
        rest = more;
        for event in reader.push(piece).ok()? {
            match event {
                StreamEvent::Head { head: found, .. } => head = Some(*found),
                StreamEvent::Payload(piece) => payload.extend_from_slice(piece),
                StreamEvent::End => {}
            }
        }
    }
    head.filter(|_| reader.is_ended()).map(|head| (head, payload))
}

fn reassemble(bundle: &Bundle<'_>, piece: usize) {
    let Ok(pieces) = fragments(bundle, piece) else { return };
    if pieces.len() < 2 || bundle.primary().fragment.is_some() {
        return;
    }
    let mut pieces = pieces.iter().map(|it| Bundle::decode(it, &LIMITS).expect("we made it"));
    let last = pieces.next_back().expect("two or more");
    let mut whole = Reassembly::of(&last, &LIMITS).expect("a fragment");
    pieces.for_each(|piece| whole.add(&piece).expect("of one bundle"));
    let found = whole.finish().expect("all of it").expect("a bundle");
    let found = Bundle::decode(&found, &LIMITS).expect("a bundle");
    assert_eq!(found.payload(), bundle.payload(), "fragments make another payload");
}

/// A head, and a frame.
///
/// Promised: what is accepted is the only encoding of what it says.
pub fn frame(data: &[u8]) {
    if let Ok(head) = BundleHead::decode(data, &HEAD_LIMITS) {
        assert_eq!(head.encode(), data, "another head");
    }
    if let Ok((head, payload)) = BundleHead::from_bundle(data, &HEAD_LIMITS) {
        assert_eq!(head.to_bundle(&data[payload]), data, "another bundle");
    }
    if let Ok(frame) = Frame::decode(data) {
        assert_eq!(frame.encode(), data, "another frame");
    }
}

/// The key that [`confidential`] has.
pub const FEDERATION_KEY: [u8; 32] = [7; 32];

/// An encrypted bundle for whoever has its key, and the text of a keyring.
///
/// Promised: opening changes no byte of what travels; a payload that opens is the one that its author signed,
/// and encrypting it gives the same bytes; a keyring that is read is the one that it writes.
pub fn confidential(data: &[u8]) {
    let mut ring = Keyring::default();
    ring.add(FederationKey::from_bytes(FEDERATION_KEY));
    if let Ok((head, range)) = BundleHead::from_bundle(data, &HEAD_LIMITS)
        && let Ok(opened) = ring.open(head)
    {
        let payload: Arc<[u8]> = data[range].into();
        assert_eq!(opened.to_bundle(&payload), data, "another bundle");
        if let Ok(clear) = ring.open_payload(&opened, &payload) {
            assert_eq!(opened.check_content(&clear), Ok(()), "another payload than was signed");
            let again = ring.close_payload(&opened, &clear);
            assert_eq!(again.as_deref(), Ok(&payload[..]), "another ciphertext");
        }
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(ring) = Keyring::parse(text)
    {
        let again = Keyring::parse(&ring.to_text()).expect("a keyring's own text");
        assert!(again.keys().map(FederationKey::id).eq(ring.keys().map(FederationKey::id)));
    }
}

/// Batches of a sketch, one after another, to a decoder of a few ids.
///
/// Promised: a batch has one encoding; a decoder ends within its limit and names ids of its own alone.
pub fn sketch(data: &[u8]) {
    let key = SketchKey::between(&[1; 32], &[2; 32]);
    let ids: Vec<BundleId> =
        (0..40_u8).map(|it| BundleId::from_hash(ContentHash::of(&[it]))).collect();
    let set = KeyedIds::new(key, ids.iter().copied()).expect("a few ids");
    let mut decoder = Decoder::new(set, CellCount::new(512).expect("a count"));
    let mut rest = data;
    while let Some((&len, more)) = rest.split_first() {
        let (batch, more) = more.split_at(more.len().min(4 * usize::from(len)));
        rest = more;
        let Ok(batch) = SketchBatch::decode(batch) else { continue };
        assert_eq!(SketchBatch::decode(&batch.encode()).as_ref(), Ok(&batch));
        match decoder.push(&batch) {
            Ok(longhaul_dtn::sketch::Progress::Done(found)) => {
                assert!(found.only_ours.iter().all(|id| ids.contains(id)), "an id of nobody");
                return;
            }
            Ok(longhaul_dtn::sketch::Progress::More(_)) => {}
            Err(_) => return,
        }
    }
}

/// A stranger's side of a TCPCL session, in pieces that the bytes say.
///
/// Promised: what is given out of transfers is no more than came in; what waits to be sent is bounded; after
/// its close a session says nothing.
pub fn session(data: &[u8]) {
    let config = SessionConfig { tls: TlsPolicy::Never, ..SessionConfig::default() };
    let passive = data.first().is_some_and(|first| first & 1 == 1);
    let mut session = if passive { Session::passive(config) } else { Session::active(config) };
    let mut now = Timestamp::from_dtn_ms(1);
    let (mut taken, mut given, mut closed) = (0, 0, false);
    let _ = session.handle(now, Input::Connected);
    let mut rest = data.get(1..).unwrap_or_default();
    while let Some((&first, more)) = rest.split_first() {
        let mut finished = Vec::new();
        while let Some(output) = session.poll() {
            assert!(!closed, "a closed session speaks");
            match output {
                Output::TransferData { bytes, .. } => given += bytes.len(),
                Output::TransferFinished { id, .. } => finished.push(id),
                Output::Transmit(bytes) => assert!(bytes.len() <= 1 << 20, "a flood"),
                Output::Close(_) => closed = true,
                _ => {}
            }
        }
        assert!(given <= taken, "more data than came");
        for id in finished {
            let _ = session.handle(now, Input::Stored { id });
        }
        if first == 255 {
            now = now.plus(Span::from_ms(20_000));
            let _ = session.handle(now, Input::Wake);
            rest = more;
            continue;
        }
        let (piece, more) = more.split_at(more.len().min(usize::from(first)));
        rest = more;
        taken += piece.len();
        let _ = session.handle(now, Input::Received(piece));
    }
    let _ = session.handle(now, Input::Closed);
    while session.poll().is_some() {}
}

/// A contact plan, in both forms, and a route in it.
///
/// Promised: an error names a place in the text; a plan that is accepted keeps its limits and is read back
/// from both forms that it is written in; a route arrives after the bundle set out, in the plan's contacts.
pub fn plan(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let limits = PlanLimits { bytes_max: 4096, contacts_max: 12, ranges_max: 12, nodes_max: 8 };
    let start = Timestamp::from_dtn_ms(840_000_000_000);
    let ion = Plan::read_ion(text, start, &limits).map(|file| {
        assert!(file.ignored.len() <= file.ignored_total, "more commands than there are");
        file.plan
    });
    for read in [ion, Plan::read_json(text, start, &limits)] {
        match read {
            Err(error) => is_in(text, &error),
            Ok(plan) => {
                assert!(
                    plan.contacts().len() <= 12 && plan.nodes().len() <= 8,
                    "beyond its limits"
                );
                check_plan(&plan, start);
            }
        }
    }
}

fn is_in(text: &str, error: &PlanError) {
    if let Place::Text { line, column } = error.place {
        let found = text.split('\n').nth(line - 1).expect("a line of the text");
        assert!((1..=found.len() + 1).contains(&column), "{error} in {text:?}");
    }
}

fn check_plan(plan: &Plan, start: Timestamp) {
    // Written out it may be longer than what it was read from.
    let limits = PlanLimits::default();
    let again = Plan::read_ion(&plan.to_ion(), start, &limits).map(|file| file.plan);
    assert_eq!(again.as_ref(), Ok(plan), "another plan in ION's form");
    assert_eq!(
        Plan::read_json(&plan.to_json(), start, &limits).as_ref(),
        Ok(plan),
        "another in JSON"
    );
    let graph = Graph::new(plan, GraphConfig::default());
    for from in plan.nodes() {
        for to in plan.nodes() {
            let Ok(routes) = graph.routes(start, from, &Request::new(to.clone(), 100)) else {
                continue;
            };
            for route in routes {
                let contacts: Vec<_> = route.contacts.iter().map(|&it| graph.contact(it)).collect();
                assert!(contacts[0].from == *from && contacts[contacts.len() - 1].to == *to);
                assert!(contacts.windows(2).all(|it| it[0].to == it[1].from), "a gap");
                assert!(start <= route.leaves && route.leaves < route.arrives, "before it set out");
                assert!(route.volume >= 100, "no room");
            }
        }
    }
}
