//! Dialling: keeps a session to a node, with a pause that grows while it fails.
//!
//! The pause doubles from the first to the longest and is spread by a quarter in both directions,
//! so that two nodes that lost each other do not dial in step (RFC 9174 section 4.1 asks for a
//! back-off); it is the one of peers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::session::Conversation;
use super::{Event, PeerAddress, Shared, connect};
use crate::shell::net::spread;

/// How long a connection may take to open.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// A session that ends sooner counts as a failed dial: a node that accepts and hangs up is not
/// dialled in a tight loop.
const SESSION_MIN: Duration = Duration::from_secs(5);

/// Dials for ever.
pub(super) async fn keep(shared: Arc<Shared>, peer: PeerAddress, seed: [u8; 32]) {
    let mut failures = 0;
    loop {
        let began = Instant::now();
        let why = once(&shared, &peer).await;
        if began.elapsed() >= SESSION_MIN {
            failures = 0;
        }
        tracing::info!(address = peer.address, why, failures, "no session");
        let missed = Event::Missed { address: peer.address.clone(), why };
        if shared.events.send(missed).await.is_err() {
            return;
        }
        let spread = spread(&seed, peer.address.as_bytes(), failures);
        sleep(shared.config.redial.pause(failures, spread)).await;
        failures = failures.saturating_add(1);
    }
}

/// One session, to its end; says how it ended.
async fn once(shared: &Arc<Shared>, peer: &PeerAddress) -> String {
    match timeout(CONNECT_MAX, connect(&peer.address)).await {
        Err(_) => "the connection took too long".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Ok(Ok(stream)) => {
            let mut talk = Conversation::active(shared, stream, peer.node.clone());
            talk.run().await.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use longhaul_dtn::tcpcl::NodeId;

    use super::super::CarrierConfig;
    use super::*;

    #[test]
    fn pauses_longer_up_to_a_limit() {
        let config = CarrierConfig::new(NodeId::new("dtn://a/").expect("a node id"), 1);
        let pauses: Vec<u128> =
            [0, 1, 2, 5, 6, 40].map(|it| config.redial.pause(it, 1.0).as_millis()).to_vec();
        assert_eq!(pauses, [500, 1_000, 2_000, 16_000, 30_000, 30_000]);
    }

    #[test]
    fn spreads_pauses_by_a_quarter() {
        let found: Vec<f64> = (0..200).map(|n| spread(&[7; 32], b"h:1", n)).collect();
        assert!(found.iter().all(|factor| (0.75..=1.25).contains(factor)));
        assert!(found.iter().any(|&factor| factor > 1.1));
        assert!(found.iter().any(|&factor| factor < 0.9));
        assert!((spread(&[7; 32], b"h:1", 0) - spread(&[8; 32], b"h:1", 0)).abs() > 1e-9);
    }
}
