//! Carriers on loopback: real connections, and raw ones that misbehave.

use longhaul_dtn::identity::SecretKey;
use longhaul_dtn::tcpcl::{NodeId, TransferId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::Receiver;

use super::*;
use crate::shell::courier::tls::Identity;

const MRU: u64 = 1 << 20;

fn config(name: &str) -> CarrierConfig {
    let node_id = NodeId::new(&format!("dtn://{name}/")).expect("a node id");
    let first = Duration::from_millis(5);
    let redial = RedialPolicy { first, longest: first };
    let trust = Trust { everyone: true, ..Trust::default() };
    CarrierConfig { redial, trust, ..CarrierConfig::new(node_id, MRU) }
}

fn parcel(bytes: Vec<u8>) -> Parcel {
    Parcel::whole(Arc::new(bytes))
}

fn key(n: u8) -> BundleKey {
    BundleKey::from_bytes([n; 32])
}

async fn up(events: &mut Receiver<Event>) -> (LinkId, Option<EndpointId>, LinkSender) {
    loop {
        match events.recv().await.expect("it runs") {
            Event::Up { link, node, sender, .. } => return (link, node, sender),
            Event::Missed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The next event, other than that a dial failed.
async fn next(events: &mut Receiver<Event>) -> Event {
    loop {
        match events.recv().await.expect("it runs") {
            Event::Missed { .. } => {}
            event => return event,
        }
    }
}

struct Pair {
    a: Receiver<Event>,
    b: Receiver<Event>,
    to_b: LinkSender,
    to_a: LinkSender,
    /// Kept so that the carriers live.
    _carriers: (Carrier, Carrier),
}

/// Carrier a dials carrier b.
async fn pair(config_a: CarrierConfig, config_b: CarrierConfig) -> Pair {
    let (carrier_b, mut b) = Carrier::new(config_b);
    let address = carrier_b.listen("127.0.0.1:0").await.expect("a free port").to_string();
    let (carrier_a, mut a) = Carrier::new(config_a);
    carrier_a.dial(PeerAddress { address, node: None }, [1; 32]);
    let (_, node, to_b) = up(&mut a).await;
    assert_eq!(node.map(|node| node.to_string()), Some("dtn://b/".to_owned()));
    let (_, node, to_a) = up(&mut b).await;
    assert_eq!(node.map(|node| node.to_string()), Some("dtn://a/".to_owned()));
    Pair { a, b, to_b, to_a, _carriers: (carrier_a, carrier_b) }
}

#[tokio::test]
async fn acknowledges_when_told_and_not_before() {
    let mut pair = pair(config("a"), config("b")).await;
    pair.to_b.tell(Command::Send { key: key(1), parcel: parcel(vec![1; 300]) });
    pair.to_b.tell(Command::Send { key: key(2), parcel: parcel(vec![2; 300]) });
    let mut arrivals = Vec::new();
    for n in 1..=2 {
        let Event::Received { arrival, bytes } = next(&mut pair.b).await else { panic!("{n}") };
        assert_eq!(bytes, vec![n; 300]);
        arrivals.push(arrival.transfer);
    }
    // The second is durable first: answers keep the order of the bundles, so nothing is said.
    pair.to_a.tell(Command::Accept(arrivals[1]));
    let quiet = tokio::time::timeout(Duration::from_millis(50), pair.a.recv()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    pair.to_a.tell(Command::Accept(arrivals[0]));
    for n in 1..=2 {
        let event = next(&mut pair.a).await;
        let expected = SendOutcome::Acknowledged;
        assert!(
            matches!(event, Event::Sent { key: found, outcome, .. } if found == key(n) && outcome == expected),
            "{event:?}"
        );
    }
}

#[tokio::test]
async fn carries_bundles_of_all_sizes_in_both_directions_at_once() {
    let mut pair = pair(config("a"), config("b")).await;
    let sizes = [1_usize, 64 << 10, (64 << 10) + 1, 1 << 20, 5, 300_000];
    for (n, &size) in sizes.iter().enumerate() {
        let n = u8::try_from(n).expect("few");
        pair.to_b.tell(Command::Send { key: key(n), parcel: parcel(vec![n; size]) });
        pair.to_a.tell(Command::Send { key: key(n), parcel: parcel(vec![n + 100; size]) });
    }
    for (events, back, first) in [(&mut pair.b, &pair.to_a, 0_u8), (&mut pair.a, &pair.to_b, 100)] {
        let mut found = Vec::new();
        while found.len() < sizes.len() {
            if let Event::Received { arrival, bytes } = next(events).await {
                assert!(bytes.iter().all(|&byte| usize::from(byte - first) == found.len()));
                found.push(bytes.len());
                back.tell(Command::Accept(arrival.transfer));
            }
        }
        assert_eq!(found, sizes);
    }
}

#[tokio::test]
async fn passes_refusals_on() {
    let mut pair = pair(config("a"), config("b")).await;
    pair.to_b.tell(Command::Send { key: key(1), parcel: parcel(vec![1; 3]) });
    // Longer than b says that it takes.
    pair.to_b.tell(Command::Send { key: key(2), parcel: parcel(vec![0; 1 + (1 << 20)]) });
    let Event::Received { arrival, .. } = next(&mut pair.b).await else { panic!("no bundle") };
    let reason = RefuseReason::NO_RESOURCES;
    pair.to_a.tell(Command::Refuse { transfer: arrival.transfer, reason });
    let mut outcomes = std::collections::BTreeMap::new();
    while outcomes.len() < 2 {
        let Event::Sent { key, outcome, .. } = next(&mut pair.a).await else { panic!("no answer") };
        outcomes.insert(key, outcome);
    }
    assert_eq!(outcomes[&key(1)], SendOutcome::Refused(RefuseReason::NO_RESOURCES));
    assert_eq!(outcomes[&key(2)], SendOutcome::Refused(RefuseReason::NOT_ACCEPTABLE));
}

#[tokio::test]
async fn dials_again_after_a_session_ended() {
    let mut pair = pair(config("a"), config("b")).await;
    pair.to_a.tell(Command::End);
    assert!(matches!(next(&mut pair.a).await, Event::Down(_)));
    assert!(matches!(next(&mut pair.b).await, Event::Down(_)));
    up(&mut pair.a).await;
    up(&mut pair.b).await;
}

#[tokio::test]
async fn talks_to_no_other_node_than_the_one_that_was_named() {
    let (carrier_b, mut b) = Carrier::new(config("b"));
    let address = carrier_b.listen("127.0.0.1:0").await.expect("a free port").to_string();
    let (carrier_a, mut a) = Carrier::new(config("a"));
    let node = Some("dtn://c/".parse().expect("a node id"));
    carrier_a.dial(PeerAddress { address, node }, [1; 32]);
    let Some(Event::Missed { why, .. }) = a.recv().await else { panic!("no attempt ended") };
    assert!(why.contains("dtn://b/"), "{why}");
    let (link, ..) = up(&mut b).await;
    assert!(matches!(b.recv().await, Some(Event::Down(down)) if down == link));
}

#[tokio::test]
async fn who_connects_is_a_node_only_where_it_is_believed() {
    for (allowed, is_believed) in
        [(None, false), (Some("127.0.0.1=dtn://a/"), true), (Some("127.0.0.1=dtn://c/"), false)]
    {
        let allowed = allowed.map(|text| text.parse().expect("well-formed")).into_iter().collect();
        let trust = Trust { allowed, ..Trust::default() };
        let (carrier_b, mut b) = Carrier::new(CarrierConfig { trust, ..config("b") });
        let address = carrier_b.listen("127.0.0.1:0").await.expect("a free port").to_string();
        let (carrier_a, mut a) = Carrier::new(config("a"));
        carrier_a.dial(PeerAddress { address, node: None }, [1; 32]);
        let (_, answers, to_b) = up(&mut a).await;
        assert_eq!(answers, "dtn://b/".parse().ok(), "it is where it was looked for");
        let (_, node, _to_a) = up(&mut b).await;
        assert_eq!(node.is_some(), is_believed, "{node:?}");
        // It may give all the same.
        to_b.tell(Command::Send { key: key(1), parcel: parcel(vec![1; 3]) });
        assert!(matches!(next(&mut b).await, Event::Received { .. }));
    }
}

fn key_of(name: u8) -> SecretKey {
    SecretKey::from_seed(&[name; 32])
}

/// The configuration of a node with TLS that knows the keys of others.
fn secret(name: &str, tls: fn(Identity) -> Tls, knows: &[&str]) -> CarrierConfig {
    let plain = config(name);
    let identity = Identity::new(&key_of(name.as_bytes()[0]), &plain.node_id);
    let allowed = knows.iter().map(|other| {
        let key = key_of(other.as_bytes()[0]).peer_id();
        format!("{key}=dtn://{other}/").parse().expect("well-formed")
    });
    let trust = Trust { allowed: allowed.collect(), ..Trust::default() };
    CarrierConfig { tls: tls(identity.expect("a certificate")), trust, ..plain }
}

#[tokio::test]
async fn sessions_within_tls_know_who_is_there_and_carry_all_sizes() {
    for tls in [Tls::Offered, Tls::Required] {
        let mut pair = pair(secret("a", tls, &["b"]), secret("b", tls, &["a"])).await;
        let sizes = [1_usize, 64 << 10, 1 << 20, 300_000];
        for (n, &size) in sizes.iter().enumerate() {
            let n = u8::try_from(n).expect("few");
            pair.to_b.tell(Command::Send { key: key(n), parcel: parcel(vec![n; size]) });
            pair.to_a.tell(Command::Send { key: key(n), parcel: parcel(vec![n; size]) });
        }
        for (events, back) in [(&mut pair.b, &pair.to_a), (&mut pair.a, &pair.to_b)] {
            let mut found = Vec::new();
            while found.len() < sizes.len() {
                if let Event::Received { arrival, bytes } = next(events).await {
                    assert!(bytes.iter().all(|&byte| usize::from(byte) == found.len()));
                    found.push(bytes.len());
                    back.tell(Command::Accept(arrival.transfer));
                }
            }
            assert_eq!(found, sizes);
        }
        pair.to_b.tell(Command::End);
        while !matches!(next(&mut pair.b).await, Event::Down(_)) {}
    }
}

/// Why the first dial of `a` to `b` failed.
async fn missed(config_a: CarrierConfig, config_b: CarrierConfig) -> String {
    let (carrier_b, _b) = Carrier::new(config_b);
    let address = carrier_b.listen("127.0.0.1:0").await.expect("a free port").to_string();
    let (carrier_a, mut a) = Carrier::new(config_a);
    carrier_a.dial(PeerAddress { address, node: None }, [1; 32]);
    match a.recv().await {
        Some(Event::Missed { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_node_without_the_key_that_is_known_is_not_that_node() {
    // It has a key, and another one; or none, as if somebody between had taken TLS away.
    let stranger = CarrierConfig { tls: secret("x", Tls::Offered, &[]).tls, ..config("b") };
    let why = missed(secret("a", Tls::Offered, &["b"]), stranger).await;
    assert_eq!(why, "the certificate is that of dtn://x/");
    let why = missed(secret("a", Tls::Offered, &["b"]), config("b")).await;
    assert!(why.starts_with("nothing proves that the other side is dtn://b/"), "{why}");
    // Whoever connects with another key is heard, and given nothing.
    let (carrier_b, mut b) = Carrier::new(secret("b", Tls::Offered, &["a"]));
    let address = carrier_b.listen("127.0.0.1:0").await.expect("a free port").to_string();
    let (carrier_a, _a) = Carrier::new(config("a"));
    carrier_a.dial(PeerAddress { address, node: None }, [1; 32]);
    assert_eq!(up(&mut b).await.1, None);
}

#[tokio::test]
async fn who_insists_on_tls_talks_to_nobody_without_it() {
    let why = missed(secret("a", Tls::Required, &["b"]), config("b")).await;
    assert!(why.contains("does not speak TLS"), "{why}");
    let why = missed(secret("a", Tls::Required, &[]), secret("b", Tls::Offered, &[])).await;
    assert!(why.contains("name its key with --allow"), "{why}");
}

/// A raw connection that has said hello to b, and what b answered.
async fn raw(config_b: CarrierConfig) -> (TcpStream, Receiver<Event>, LinkSender, Carrier) {
    let (carrier, mut events) = Carrier::new(config_b);
    let address = carrier.listen("127.0.0.1:0").await.expect("a free port");
    // Small, so that it is full soon.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(64 << 10).expect("any size will do");
    let mut stream = socket.connect(address).await.expect("it listens");
    stream.write_all(b"dtn!\x04\x00").await.expect("open");
    let mut header = [0; 6];
    stream.read_exact(&mut header).await.expect("open");
    // Version 4, and no TLS.
    assert_eq!(&header, b"dtn!\x04\x00");
    let mut init = vec![7, 0, 30];
    init.extend((1_u64 << 16).to_be_bytes());
    init.extend((1_u64 << 20).to_be_bytes());
    init.extend(b"\x00\x08dtn://a/\x00\x00\x00\x00");
    stream.write_all(&init).await.expect("open");
    let mut answer = vec![0; init.len()];
    stream.read_exact(&mut answer).await.expect("open");
    assert_eq!(answer[0], 7);
    let (_, _, sender) = up(&mut events).await;
    (stream, events, sender, carrier)
}

/// The head of a first segment of `len` bytes of a bundle of `whole`; it is the last, too, if all
/// is in it.
fn segment(id: u64, whole: u64, len: u64) -> Vec<u8> {
    let mut bytes = vec![1, if whole == len { 3 } else { 2 }];
    bytes.extend(id.to_be_bytes());
    bytes.extend(13_u32.to_be_bytes());
    bytes.extend([0, 0, 1, 0, 8]);
    bytes.extend(whole.to_be_bytes());
    bytes.extend(len.to_be_bytes());
    bytes
}

#[tokio::test]
async fn stops_reading_while_too_many_bundles_wait() {
    let few = CarrierConfig { session_bundles_max: 3, ..config("b") };
    let (mut stream, mut events, sender, _carrier) = raw(few).await;
    let mut sent = 0;
    // Until the connection takes no more: b does not read.
    let bundle = [&segment(0, 60_000, 60_000)[..], &[0; 60_000]].concat();
    loop {
        let mut bundle = bundle.clone();
        bundle[2..10].copy_from_slice(&u64::to_be_bytes(sent));
        let write = stream.write_all(&bundle);
        if tokio::time::timeout(Duration::from_millis(300), write).await.is_err() {
            break;
        }
        sent += 1;
        assert!(sent < 2_000, "b takes whatever comes");
    }
    let mut waiting = Vec::new();
    while let Ok(event) = events.try_recv() {
        let Event::Received { arrival, .. } = event else { panic!("{event:?}") };
        waiting.push(arrival.transfer);
    }
    // One read may hold some more than the limit.
    assert!((3..=8).contains(&waiting.len()), "{}", waiting.len());
    // It reads on once they are answered for.
    waiting.into_iter().for_each(|id| sender.tell(Command::Accept(id)));
    assert!(matches!(events.recv().await, Some(Event::Received { .. })));
}

#[tokio::test]
async fn ends_a_session_in_which_a_bundle_stands_still() {
    let hasty = CarrierConfig { stall_max: Duration::from_millis(50), ..config("b") };
    let (mut stream, mut events, _sender, _carrier) = raw(hasty).await;
    stream.write_all(&segment(0, 1_000, 500)).await.expect("open");
    stream.write_all(&[0; 10]).await.expect("open");
    assert!(matches!(events.recv().await, Some(Event::Down(_))));
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("closed in good order");
    // SESS_TERM, idle timeout.
    assert_eq!(rest, [5, 0, 1]);
}

#[tokio::test]
async fn ends_a_session_that_takes_nothing() {
    let hasty = CarrierConfig { stall_max: Duration::from_millis(100), ..config("b") };
    let (stream, mut events, sender, _carrier) = raw(hasty).await;
    // More than the connection holds; nobody reads it.
    for n in 0..40 {
        sender.tell(Command::Send { key: key(n), parcel: parcel(vec![n; 1 << 20]) });
    }
    assert!(matches!(events.recv().await, Some(Event::Down(_))));
    drop(stream);
}

#[tokio::test]
async fn a_bundle_that_finds_no_room_for_long_is_refused() {
    let poor = CarrierConfig {
        in_flight_bytes_max: 64 << 10,
        stall_max: Duration::from_millis(100),
        ..config("b")
    };
    let (mut stream, mut events, sender, _carrier) = raw(poor).await;
    // The first bundle takes nearly all and is not answered; the second one begins.
    stream.write_all(&segment(0, 60_000, 60_000)).await.expect("open");
    stream.write_all(&[0; 60_000]).await.expect("open");
    let Some(Event::Received { arrival, .. }) = events.recv().await else { panic!("no bundle") };
    stream.write_all(&segment(1, 60_000, 30_000)).await.expect("open");
    stream.write_all(&[0; 30_000]).await.expect("open");
    tokio::time::sleep(Duration::from_millis(300)).await;
    sender.tell(Command::Accept(arrival.transfer));
    // The acknowledgements of the first bundle and of a segment of the second one.
    let mut answer = [0; 2 * 18 + 10];
    stream.read_exact(&mut answer).await.expect("open");
    assert_eq!(answer[..10], [2, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(answer[18..28], [2, 2, 0, 0, 0, 0, 0, 0, 0, 1]);
    // XFER_REFUSE, no resources, transfer 1.
    assert_eq!(answer[36..], [3, 2, 0, 0, 0, 0, 0, 0, 0, 1]);
}

/// Says who a raw stranger is; gives the bytes that the carrier, whose name is as long, answers with.
async fn greet(stream: &mut TcpStream) -> usize {
    stream.write_all(b"dtn!\x04\x00").await.expect("open");
    let mut init = vec![7, 0, 0];
    init.extend((1_u64 << 16).to_be_bytes());
    init.extend((1_u64 << 20).to_be_bytes());
    init.extend(b"\x00\x08dtn://s/\x00\x00\x00\x00");
    stream.write_all(&init).await.expect("open");
    6 + init.len()
}

/// A raw stranger that begins a bundle of a mebibyte and has sent all but a byte of it.
async fn holder(address: std::net::SocketAddr, from: &str, whole: u64) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("{from}:0").parse().expect("an address")).expect("a free port");
    let mut stream = socket.connect(address).await.expect("it listens");
    let said = greet(&mut stream).await;
    stream.read_exact(&mut vec![0; said]).await.expect("it answers");
    let piece = 60_000.min(whole - 1);
    let mut left = whole - 1;
    let mut head = segment(0, whole, piece);
    while left > 0 {
        let len = piece.min(left);
        let at = head.len() - 8;
        head[at..].copy_from_slice(&len.to_be_bytes());
        let bytes = [&head[..], &vec![0; usize::try_from(len).expect("small")]].concat();
        // What is not read waits in the connection.
        let write = stream.write_all(&bytes);
        if tokio::time::timeout(Duration::from_millis(200), write).await.is_err() {
            break;
        }
        left -= len;
        // A middle segment has no extensions and no length of the whole.
        head = vec![1, 0];
        head.extend(0_u64.to_be_bytes());
        head.extend([0; 8]);
    }
    stream
}

#[tokio::test]
async fn strangers_that_hold_what_they_can_do_not_keep_others_from_giving() {
    let poor = CarrierConfig {
        in_flight_bytes_max: 1 << 20,
        // Long, so that a busy machine is no stranger that stalls.
        stall_max: Duration::from_secs(40),
        trust: Trust::default(),
        ..config("b")
    };
    let (carrier, mut events) = Carrier::new(poor);
    let address = carrier.listen("0.0.0.0:0").await.expect("a free port");
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], address.port()));
    let mut senders = Vec::new();
    let mut held = Vec::new();
    for from in ["127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6"] {
        held.push(holder(address, from, 900_000).await);
        senders.push(up(&mut events).await.2);
    }
    // Somebody honest gives 100 kB, well before the others stall.
    let (honest, mut a) = Carrier::new(config("a"));
    honest.dial(PeerAddress { address: address.to_string(), node: None }, [1; 32]);
    let (_, _, to_b) = up(&mut a).await;
    to_b.tell(Command::Send { key: key(1), parcel: parcel(vec![7; 100_000]) });
    let came = async {
        // All are kept: a session ends with its sender.
        let mut happened = Vec::new();
        loop {
            match next(&mut events).await {
                Event::Received { bytes, .. } => return bytes,
                other => happened.push(other),
            }
        }
    };
    let bytes = tokio::time::timeout(Duration::from_secs(30), came).await.expect("it gets through");
    assert_eq!(bytes, vec![7; 100_000]);
}

#[tokio::test]
async fn ends_a_session_in_which_a_bundle_trickles() {
    let hasty = CarrierConfig {
        stall_max: Duration::from_millis(400),
        rate_min_bytes_per_s: 1_000,
        ..config("b")
    };
    let (mut stream, mut events, _sender, _carrier) = raw(hasty).await;
    stream.write_all(&segment(0, 1_000_000, 100_000)).await.expect("open");
    let trickle = async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if stream.write_all(&[0]).await.is_err() {
                return std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = trickle => {}
        over = tokio::time::timeout(Duration::from_secs(20), events.recv()) => {
            assert!(matches!(over, Ok(Some(Event::Down(_)))), "{over:?}");
        }
    }
}

#[tokio::test]
async fn ends_a_session_in_which_a_stranger_idles_and_none_with_a_neighbour() {
    let idle_max = Duration::from_millis(200);
    let strict = CarrierConfig { idle_max, trust: Trust::default(), ..config("b") };
    let (mut stream, mut events, _sender, _carrier) = raw(strict).await;
    let mut rest = [0; 3];
    stream.read_exact(&mut rest).await.expect("a farewell");
    // SESS_TERM, idle timeout.
    assert_eq!(rest, [5, 0, 1]);
    stream.write_all(&[5, 1, 1]).await.expect("open");
    assert!(matches!(events.recv().await, Some(Event::Down(_))));
    let patient = CarrierConfig { idle_max, ..config("b") };
    let (mut stream, _events, _sender, _carrier) = raw(patient).await;
    let read = stream.read_exact(&mut rest);
    assert!(tokio::time::timeout(4 * idle_max, read).await.is_err(), "it is believed");
}

#[tokio::test]
async fn keeps_places_for_nodes_that_are_named() {
    let mut crowded = secret("b", Tls::Offered, &["a"]);
    crowded.sessions_max = 4;
    let (carrier, mut events) = Carrier::new(crowded);
    let address = carrier.listen("127.0.0.1:0").await.expect("a free port");
    let mut strangers = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        greet(&mut stream).await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let is_over = tokio::time::timeout(Duration::from_millis(500), read).await.is_ok();
        strangers.push((stream, is_over));
    }
    let over: Vec<bool> = strangers.iter().map(|(_, is_over)| *is_over).collect();
    assert_eq!(over, [false, false, false, true], "the last place is kept");
    // A session ends with its sender.
    let mut kept = Vec::new();
    for _ in 0..3 {
        kept.push(up(&mut events).await);
    }
    assert!(kept.iter().all(|(_, node, _)| node.is_none()));
    let (named, mut a) = Carrier::new(secret("a", Tls::Offered, &["b"]));
    named.dial(PeerAddress { address: address.to_string(), node: None }, [1; 32]);
    kept.push(up(&mut a).await);
    assert_eq!(up(&mut events).await.1, "dtn://a/".parse().ok());
}

#[tokio::test]
async fn a_fresh_key_is_itself_where_all_has_to_be_proven() {
    let own_name = |byte: u8| {
        let key = SecretKey::from_seed(&[byte; 32]);
        let node_id = NodeId::new(&format!("dtn://{}/", key.peer_id())).expect("a node id");
        let tls = Tls::Offered(Identity::new(&key, &node_id).expect("a certificate"));
        CarrierConfig { node_id, tls, trust: Trust::default(), ..config("a") }
    };
    let (carrier_b, mut b) = Carrier::new(secret("b", Tls::Required, &[]));
    let address = carrier_b.listen("127.0.0.1:0").await.expect("a free port").to_string();
    let fresh = own_name(7);
    let name = fresh.node_id.to_string();
    let (carrier_a, _a) = Carrier::new(fresh);
    carrier_a.dial(PeerAddress { address, node: None }, [1; 32]);
    let Some(Event::Up { node, standing, .. }) = b.recv().await else { panic!("no session") };
    assert_eq!((node, standing), (name.parse().ok(), Standing::Itself));
    // Nor is it whom we dialled, if we insist and named nobody there.
    let why = missed(secret("a", Tls::Required, &[]), own_name(7)).await;
    assert!(why.contains("name its key with --allow"), "{why}");
}

#[tokio::test]
async fn drops_connections_beyond_the_limit_and_takes_others_later() {
    let lonely = CarrierConfig { sessions_max: 1, ..config("b") };
    let (stream, mut events, _sender, carrier) = raw(lonely).await;
    let address = carrier.listen("127.0.0.1:0").await.expect("a free port");
    let mut second = TcpStream::connect(address).await.expect("it listens");
    let mut rest = Vec::new();
    second.read_to_end(&mut rest).await.expect("closed");
    assert_eq!(rest, b"");
    drop(stream);
    assert!(matches!(events.recv().await, Some(Event::Down(_))));
    let mut third = TcpStream::connect(address).await.expect("it listens");
    third.write_all(b"dtn!\x04\x00").await.expect("open");
    third.read_exact(&mut [0; 6]).await.expect("answered");
}

#[tokio::test]
async fn one_address_does_not_take_every_place() {
    let (stream, mut events, _sender, carrier) = raw(config("b")).await;
    let address = carrier.listen("127.0.0.1:0").await.expect("a free port");
    // The first of them is the raw one; each that is taken is answered.
    let mut taken = vec![stream];
    let refused = loop {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        // Whoever is dropped may not even be able to say hello.
        let hello = stream.write_all(b"dtn!\x04\x00").await;
        match hello.is_ok() && stream.read_exact(&mut [0; 6]).await.is_ok() {
            true => taken.push(stream),
            false => break stream,
        }
        assert!(taken.len() < 64, "one address has every place");
    };
    assert_eq!(taken.len(), config("b").sessions_per_address_max);
    // Another address, here of the same machine, finds a place.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.2:0".parse().expect("an address")).expect("a free port");
    let mut other = socket.connect(address).await.expect("it listens");
    other.write_all(b"dtn!\x04\x00").await.expect("open");
    other.read_exact(&mut [0; 6]).await.expect("answered");
    drop((refused, taken));
    assert!(matches!(events.recv().await, Some(Event::Down(_))));
}

#[tokio::test]
async fn what_a_broken_connection_had_under_way_is_over_with_it() {
    let (mut stream, mut events, sender, _carrier) = raw(config("b")).await;
    sender.tell(Command::Send { key: key(1), parcel: parcel(vec![1; 10]) });
    stream.read_exact(&mut [0; 10]).await.expect("it is sent");
    drop(stream);
    loop {
        match events.recv().await.expect("it runs") {
            Event::Sent { outcome, .. } => assert_eq!(outcome, SendOutcome::Lost),
            Event::Down(_) => break,
            other => panic!("{other:?}"),
        }
    }
    sender.tell(Command::Accept(TransferId::FIRST));
}
