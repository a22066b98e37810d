//! Dialling: keeps a session to a node, with a pause that grows while it fails.
//!
//! The pause doubles from the first to the longest and is spread by a quarter in both directions,
//! so that two nodes that lost each other do not dial in step (RFC 9174 section 4.1 asks for a
//! back-off).

use std::sync::Arc;
use std::time::Duration;

use longhaul_dtn::hash::ContentHash;
use tokio::time::{Instant, sleep, timeout};

use super::session::Conversation;
use super::{CarrierConfig, Event, PeerAddress, Shared, connect};

/// How long a connection may take to open.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// A session that ends sooner counts as a failed dial: a node that accepts and hangs up is not
/// dialled in a tight loop.
const SESSION_MIN: Duration = Duration::from_secs(5);
/// Doublings after which the pause stays; keeps the shift in range.
const DOUBLINGS_MAX: u32 = 16;
const SPREAD_CONTEXT: &str = "longhaul 2026 node courier redial spread v1";

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
        sleep(pause(&shared.config, failures, spread(&seed, &peer.address, failures))).await;
        failures = failures.saturating_add(1);
    }
}

/// One session, to its end; says how it ended.
async fn once(shared: &Arc<Shared>, peer: &PeerAddress) -> String {
    match timeout(CONNECT_MAX, connect(&peer.address)).await {
        Err(_) => "the connection took too long".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Ok(Ok(stream)) => {
            Conversation::active(shared, stream, peer.node.clone()).run().await.to_string()
        }
    }
}

fn pause(config: &CarrierConfig, failures: u32, spread: f64) -> Duration {
    let doubled = config.redial_first.saturating_mul(1 << failures.min(DOUBLINGS_MAX));
    doubled.min(config.redial_longest).mul_f64(spread)
}

/// A factor from 0.75 to 1.25, different for each address and failure.
fn spread(seed: &[u8; 32], address: &str, failures: u32) -> f64 {
    let bytes = [&seed[..], address.as_bytes(), &failures.to_be_bytes()].concat();
    let hash = ContentHash::derive(SPREAD_CONTEXT, &bytes);
    0.75 + f64::from(hash.as_bytes()[0]) / 510.0
}

#[cfg(test)]
mod tests {
    use longhaul_dtn::tcpcl::NodeId;

    use super::*;

    #[test]
    fn pauses_longer_up_to_a_limit() {
        let config = CarrierConfig::new(NodeId::new("dtn://a/").expect("a node id"), 1);
        let pauses: Vec<u128> =
            [0, 1, 2, 5, 6, 40].map(|failures| pause(&config, failures, 1.0).as_millis()).to_vec();
        assert_eq!(pauses, [500, 1_000, 2_000, 16_000, 30_000, 30_000]);
    }

    #[test]
    fn spreads_pauses_by_a_quarter() {
        let found: Vec<f64> = (0..200).map(|n| spread(&[7; 32], "h:1", n)).collect();
        assert!(found.iter().all(|factor| (0.75..=1.25).contains(factor)));
        assert!(found.iter().any(|&factor| factor > 1.1));
        assert!(found.iter().any(|&factor| factor < 0.9));
        assert!((spread(&[7; 32], "h:1", 0) - spread(&[8; 32], "h:1", 0)).abs() > 1e-9);
    }
}
