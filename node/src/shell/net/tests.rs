//! Nets on loopback: real sockets, real handshakes, no sleeps.

use std::collections::BTreeSet;
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use longhaul_dtn::agent::LinkId;
use longhaul_dtn::frame::FRAME_BYTES_MAX;
use longhaul_dtn::identity::{PeerId, SecretKey};
use tokio::sync::mpsc::Receiver;

use super::*;

/// Far above what any step takes; reached only by a defect.
const PATIENCE: Duration = Duration::from_secs(30);
const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

fn key(byte: u8) -> SecretKey {
    SecretKey::from_seed(&[byte; 32])
}

fn id(byte: u8) -> PeerId {
    key(byte).peer_id()
}

/// A running net and its events.
struct Node {
    id: PeerId,
    net: NetHandle,
    events: Receiver<NetEvent>,
    address: PeerAddress,
}

fn config(byte: u8, members: &[u8], listen: &str) -> NetConfig {
    NetConfig {
        key: key(byte),
        listen: vec![listen.parse().expect("a multiaddr")],
        peers: Vec::new(),
        members: members.iter().map(|&member| id(member)).collect(),
        mdns: false,
        reach: ReachConfig::default(),
        limits: NetLimits::default(),
        timing: NetTiming::default(),
        spread_seed: [byte; 32],
    }
}

async fn node(config: NetConfig) -> Node {
    let id = config.key.peer_id();
    let (net, mut events) = start(config).expect("loopback is there");
    let NetEvent::Listening(address) = next(&mut events).await else {
        panic!("listening comes first");
    };
    let address = PeerAddress::new(id, address).expect("an address to dial");
    Node { id, net, events, address }
}

async fn next(events: &mut Receiver<NetEvent>) -> NetEvent {
    tokio::time::timeout(PATIENCE, events.recv()).await.expect("in time").expect("the net runs")
}

impl Node {
    async fn link_up(&mut self) -> (LinkId, PeerId) {
        loop {
            if let NetEvent::LinkUp { link, peer } = next(&mut self.events).await {
                return (link, peer);
            }
        }
    }

    async fn link_down(&mut self) -> (LinkId, LinkEnd) {
        loop {
            if let NetEvent::LinkDown { link, end } = next(&mut self.events).await {
                return (link, end);
            }
        }
    }

    async fn frame(&mut self) -> Vec<u8> {
        loop {
            if let NetEvent::Frame { bytes, .. } = next(&mut self.events).await {
                return bytes;
            }
        }
    }

    async fn refused(&mut self) -> (Option<PeerId>, RefusedWhy) {
        loop {
            if let NetEvent::Refused { peer, why } = next(&mut self.events).await {
                return (peer, why);
            }
        }
    }
}

/// Two members with a link between them.
async fn pair(listen: &str) -> (Node, LinkId, Node, LinkId) {
    let mut left = node(config(1, &[1, 2], listen)).await;
    let mut right = node(config(2, &[1, 2], listen)).await;
    left.net.dial(right.address.clone()).await.expect("the net runs");
    let (left_link, peer) = left.link_up().await;
    assert_eq!(peer, right.id);
    let (right_link, peer) = right.link_up().await;
    assert_eq!(peer, left.id);
    (left, left_link, right, right_link)
}

#[tokio::test]
async fn carries_frames_both_ways_in_order() {
    for listen in [TCP, QUIC] {
        let (mut left, left_link, mut right, right_link) = pair(listen).await;
        for size in [1, 2, 1_000, FRAME_BYTES_MAX] {
            left.net.send(left_link, vec![7; size]).expect("room");
            right.net.send(right_link, vec![8; size]).expect("room");
        }
        for size in [1, 2, 1_000, FRAME_BYTES_MAX] {
            assert_eq!(right.frame().await, vec![7; size], "{listen}");
            assert_eq!(left.frame().await, vec![8; size], "{listen}");
        }
    }
}

#[tokio::test]
async fn three_peers_are_linked_pairwise() {
    let mut nodes = Vec::new();
    for byte in 1..=3 {
        let mut config = config(byte, &[1, 2, 3], TCP);
        config.peers = nodes.iter().map(|node: &Node| node.address.clone()).collect();
        nodes.push(node(config).await);
    }
    for node in &mut nodes {
        let mut met = BTreeSet::from([node.id]);
        met.insert(node.link_up().await.1);
        met.insert(node.link_up().await.1);
        assert_eq!(met, [1, 2, 3].map(id).into());
    }
}

#[tokio::test]
async fn keeps_one_link_when_both_dial_at_once() {
    for _ in 0..5 {
        let mut left = node(config(1, &[1, 2], TCP)).await;
        let mut right = node(config(2, &[1, 2], TCP)).await;
        left.net.dial(right.address.clone()).await.expect("the net runs");
        right.net.dial(left.address.clone()).await.expect("the net runs");
        // Each side echoes over the link that came up last; whatever was
        // replaced before is reported down, so both converge on one link.
        let (left_link, right_link) = tokio::join!(settle(&mut left), settle(&mut right));
        left.net.send(left_link, b"left".to_vec()).expect("the link is up");
        right.net.send(right_link, b"right".to_vec()).expect("the link is up");
        assert_eq!(right.frame().await, b"left");
        assert_eq!(left.frame().await, b"right");
    }
}

/// The link that stays: no other event follows it for two seconds.
async fn settle(node: &mut Node) -> LinkId {
    let mut up = BTreeSet::new();
    loop {
        let quiet = tokio::time::timeout(Duration::from_secs(2), node.events.recv()).await;
        match quiet {
            Ok(Some(NetEvent::LinkUp { link, .. })) => assert!(up.insert(link)),
            Ok(Some(NetEvent::LinkDown { link, .. })) => assert!(up.remove(&link)),
            Ok(other) => panic!("unexpected {other:?}"),
            Err(_) => {
                let links: Vec<LinkId> = up.into_iter().collect();
                assert_eq!(links.len(), 1, "one link per peer");
                return links[0];
            }
        }
    }
}

#[tokio::test]
async fn refuses_who_is_not_a_member() {
    let mut member = node(config(1, &[1, 2], TCP)).await;
    let stranger = node(config(3, &[1, 3], TCP)).await;
    stranger.net.dial(member.address.clone()).await.expect("the net runs");
    assert_eq!(member.refused().await, (Some(id(3)), RefusedWhy::NotAMember));
}

#[tokio::test]
async fn does_not_dial_who_is_not_a_member() {
    let mut config = config(1, &[1, 2], TCP);
    let stranger = PeerAddress::new(id(3), TCP.parse().expect("a multiaddr")).expect("dialable");
    config.peers = vec![stranger];
    let (_net, mut events) = start(config).expect("loopback is there");
    loop {
        match next(&mut events).await {
            NetEvent::Refused { peer, why } => {
                assert_eq!((peer, why), (Some(id(3)), RefusedWhy::NotAMember));
                return;
            }
            NetEvent::Listening(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_cut_ends_the_link_and_a_heal_brings_it_back_soon() {
    let (mut left, left_link, mut right, right_link) = pair(TCP).await;
    let (others_left, others_right) = (BTreeSet::from([right.id]), BTreeSet::from([left.id]));
    left.net.cut(others_left.clone()).await.expect("the net runs");
    right.net.cut(others_right.clone()).await.expect("the net runs");
    assert_eq!(left.link_down().await, (left_link, LinkEnd::Cut));
    assert_eq!(right.link_down().await.0, right_link);
    assert_eq!(left.net.send(left_link, vec![1]), Err(SendError::Ended));

    right.net.heal(others_right).await.expect("the net runs");
    left.net.heal(others_left).await.expect("the net runs");
    let healed = tokio::time::Instant::now();
    let (left_link, _) = left.link_up().await;
    right.link_up().await;
    assert!(healed.elapsed() < Duration::from_secs(2), "{:?}", healed.elapsed());
    left.net.send(left_link, vec![9]).expect("room");
    assert_eq!(right.frame().await, vec![9]);
}

#[tokio::test]
async fn a_cut_on_one_side_refuses_the_other() {
    let (mut left, _, mut right, right_link) = pair(TCP).await;
    right.net.dial(left.address.clone()).await.expect("the net runs");
    left.net.cut([right.id].into()).await.expect("the net runs");
    assert_eq!(right.link_down().await.0, right_link);
    assert_eq!(left.refused().await, (Some(right.id), RefusedWhy::Cut));
}

#[tokio::test]
async fn dials_again_when_the_other_side_restarts() {
    let (mut left, left_link, right, _) = pair(TCP).await;
    let listen = right.address.address().clone();
    right.net.shutdown().await.expect("the net runs");
    assert_eq!(left.link_down().await, (left_link, LinkEnd::There));
    drop(right);
    let mut again = config(2, &[1, 2], TCP);
    again.listen = vec![listen];
    let mut right = node(again).await;
    assert_eq!(left.link_up().await.1, right.id);
    assert_eq!(right.link_up().await.1, left.id);
}

#[tokio::test]
async fn sends_what_is_queued_before_it_closes() {
    let (left, left_link, mut right, right_link) = pair(TCP).await;
    for number in 0..50 {
        left.net.send(left_link, vec![number; 10_000]).expect("room");
    }
    left.net.close(left_link);
    assert_eq!(left.net.send(left_link, vec![1]), Err(SendError::Ended));
    for number in 0..50 {
        assert_eq!(right.frame().await, vec![number; 10_000]);
    }
    assert_eq!(right.link_down().await, (right_link, LinkEnd::There));
}

#[tokio::test]
async fn says_nothing_of_a_link_after_closing_it_but_its_end() {
    let (mut left, left_link, right, right_link) = pair(TCP).await;
    left.net.close(left_link);
    // May or may not be queued before the other side hears of the end.
    let _ = right.net.send(right_link, vec![1]);
    let event = next(&mut left.events).await;
    assert_eq!(event, NetEvent::LinkDown { link: left_link, end: LinkEnd::Here });
}

#[tokio::test]
async fn ends_a_link_whose_remote_does_not_read() {
    let (left, left_link, _unread, _) = pair(TCP).await;
    let mut accepted = 0;
    let refused = loop {
        match left.net.send(left_link, vec![0; FRAME_BYTES_MAX]) {
            Ok(()) => accepted += FRAME_BYTES_MAX,
            Err(error) => break error,
        }
        tokio::task::yield_now().await;
        assert!(accepted < 1 << 30, "the queue has a bound");
    };
    assert_eq!(refused, SendError::Slow);
    let mut events = left.events;
    let event = next(&mut events).await;
    assert!(matches!(event, NetEvent::LinkDown { end: LinkEnd::Slow(_), .. }), "{event:?}");
}

#[tokio::test]
async fn refuses_frames_of_impossible_length() {
    let (left, left_link, _right, _) = pair(TCP).await;
    for length in [0, FRAME_BYTES_MAX + 1] {
        let found = left.net.send(left_link, vec![0; length]);
        assert_eq!(found, Err(SendError::Length(length)));
    }
    assert_eq!(left.net.send(left_link, vec![0]), Ok(()));
}

#[tokio::test]
async fn shutdown_ends_the_events() {
    let (mut left, left_link, mut right, right_link) = pair(QUIC).await;
    left.net.shutdown().await.expect("the net runs");
    assert_eq!(left.link_down().await, (left_link, LinkEnd::Shutdown));
    let end = tokio::time::timeout(PATIENCE, left.events.recv()).await.expect("in time");
    assert_eq!(end, None);
    assert_eq!(right.link_down().await.0, right_link);
}

#[tokio::test]
async fn says_where_it_cannot_listen() {
    // An address of the reserved range is nobody's own.
    let Err(NetError::Listen { address, .. }) = start(config(1, &[1], "/ip4/240.0.0.1/tcp/1"))
    else {
        panic!("the address is not ours");
    };
    assert_eq!(address.to_string(), "/ip4/240.0.0.1/tcp/1");
}

/// Forwards TCP connections until it is told to swallow everything instead,
/// without closing anything: what a dead radio link looks like.
struct Proxy {
    address: std::net::SocketAddr,
    dead: Arc<std::sync::atomic::AtomicBool>,
}

impl Proxy {
    fn start(target: std::net::SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let dead = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let flag = dead.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = std::net::TcpStream::connect(target) else { continue };
                let pair = |stream: &std::net::TcpStream| stream.try_clone().expect("a socket");
                let (client_again, server_again) = (pair(&client), pair(&server));
                let (there, back) = (flag.clone(), flag.clone());
                std::thread::spawn(move || forward(client, server, &there));
                std::thread::spawn(move || forward(server_again, client_again, &back));
            }
        });
        Self { address, dead }
    }
}

fn forward(
    mut from: std::net::TcpStream,
    mut to: std::net::TcpStream,
    dead: &std::sync::atomic::AtomicBool,
) {
    use std::io::{Read, Write};
    let mut buffer = [0; 4096];
    // Once dead, a connection stays dead: it swallows even after the heal.
    let mut swallow = false;
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        swallow |= dead.load(std::sync::atomic::Ordering::SeqCst);
        if !swallow && to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

fn socket_address(address: &PeerAddress) -> std::net::SocketAddr {
    let parts: Vec<_> = address.address().iter().collect();
    match parts.as_slice() {
        [Protocol::Ip4(ip), Protocol::Tcp(port)] => (*ip, *port).into(),
        other => panic!("not IPv4 and TCP: {other:?}"),
    }
}

#[tokio::test]
async fn notices_a_silent_connection_and_dials_again_soon_after_the_heal() {
    let timing = NetTiming {
        alive_every: Duration::from_millis(200),
        silent_max: Duration::from_millis(500),
        ..NetTiming::default()
    };
    let mut right = node(NetConfig { timing, ..config(2, &[1, 2], TCP) }).await;
    let proxy = Proxy::start(socket_address(&right.address));
    let mut left = node(NetConfig { timing, ..config(1, &[1, 2], TCP) }).await;
    let by_proxy = format!("/ip4/127.0.0.1/tcp/{}", proxy.address.port());
    let by_proxy = PeerAddress::new(right.id, by_proxy.parse().expect("a multiaddr"));
    left.net.dial(by_proxy.expect("dialable")).await.expect("the net runs");
    let (left_link, _) = left.link_up().await;
    let (right_link, _) = right.link_up().await;

    proxy.dead.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(left.link_down().await, (left_link, LinkEnd::Silent));
    assert_eq!(right.link_down().await.0, right_link);
    proxy.dead.store(false, std::sync::atomic::Ordering::SeqCst);
    let (left_link, _) = left.link_up().await;
    right.link_up().await;
    left.net.send(left_link, vec![5]).expect("room");
    assert_eq!(right.frame().await, vec![5]);
}

/// A relay and rendezvous point on loopback that serves until the test ends.
async fn relay() -> ServiceAddress {
    let config = RelayConfig {
        key: key(100),
        listen: vec![TCP.parse().expect("a multiaddr")],
        announce: Vec::new(),
        limits: RelayLimits::default(),
        rendezvous: true,
        answers_probes: false,
        connections_max: 16,
        connections_per_address_max: 16,
        memory_bytes_max: 2 << 30,
    };
    let mut server = RelayServer::start(config).expect("loopback is there");
    let address = tokio::time::timeout(PATIENCE, server.next()).await.expect("in time");
    tokio::spawn(async move {
        loop {
            server.next().await;
        }
    });
    address
}

fn through(relay: &ServiceAddress, byte: u8, members: &[u8]) -> NetConfig {
    let reach = ReachConfig { via: vec![relay.clone()], ..ReachConfig::default() };
    NetConfig { reach, ..config(byte, members, TCP) }
}

#[tokio::test]
async fn members_meet_through_a_relay_and_go_on_directly() {
    let relay = relay().await;
    let mut right = node(through(&relay, 2, &[1, 2])).await;
    // Only the right one can be reached at the relay, so that one link comes up.
    let mut left = config(1, &[1, 2], TCP);
    left.peers = vec![PeerAddress::new(right.id, relay.circuit()).expect("dialable")];
    let mut left = node(left).await;
    let ((left_link, peer), (right_link, _)) = tokio::join!(left.link_up(), right.link_up());
    assert_eq!(peer, right.id);
    left.net.dial(right.address.clone()).await.expect("the net runs");
    // Whoever finds the link at rest first ends it; the other follows.
    let (left_end, right_end) = tokio::join!(left.link_down(), right.link_down());
    assert_eq!((left_end.0, right_end.0), (left_link, right_link));
    assert!([left_end.1, right_end.1].contains(&LinkEnd::Replaced));
    let (left_link, right_link) = tokio::join!(settle(&mut left), settle(&mut right));
    left.net.send(left_link, b"left".to_vec()).expect("the link is up");
    right.net.send(right_link, b"right".to_vec()).expect("the link is up");
    assert_eq!(right.frame().await, b"left");
    assert_eq!(left.frame().await, b"right");
}

#[tokio::test]
async fn a_rendezvous_point_introduces_members() {
    let relay = relay().await;
    let mut nodes = Vec::new();
    for byte in [1, 2] {
        let mut config = through(&relay, byte, &[1, 2]);
        config.reach.rendezvous = vec![relay.clone()];
        config.reach.namespace = "longhaul/1/test".to_owned();
        nodes.push(node(config).await);
    }
    for node in &mut nodes {
        node.link_up().await;
    }
}

#[tokio::test]
async fn refuses_a_stranger_who_comes_through_a_relay() {
    let relay = relay().await;
    let mut member = node(through(&relay, 1, &[1, 2])).await;
    let _stranger = node(through(&relay, 3, &[1, 3])).await;
    assert_eq!(member.refused().await, (Some(id(3)), RefusedWhy::NotAMember));
}

#[tokio::test]
async fn a_serving_member_relays_for_members() {
    let mut serving = config(9, &[1, 2, 9], TCP);
    serving.reach.relay = Some(RelayLimits::default());
    // On loopback it has to be told that others reach it there.
    serving.listen =
        vec![format!("/ip4/127.0.0.1/tcp/{}", free_port()).parse().expect("well-formed")];
    serving.reach.announce.clone_from(&serving.listen);
    let relay = ServiceAddress::new(address::to_libp2p(&id(9)), serving.listen[0].clone());
    let relay = relay.expect("dialable");
    let _serving = node(serving).await;
    let mut left = node(through(&relay, 1, &[1, 2, 9])).await;
    let mut right = node(through(&relay, 2, &[1, 2, 9])).await;
    for (node, other) in [(&mut left, 2), (&mut right, 1)] {
        let mut met = BTreeSet::new();
        while met.len() < 2 {
            met.insert(node.link_up().await.1);
        }
        assert_eq!(met, [other, 9].map(id).into());
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}
