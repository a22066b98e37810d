//! Bare: one libp2p stream with nothing on it but bytes, to measure against.
//!
//! The same TCP, Noise and Yamux as contacts have, opened by the same behaviour;
//! no frames, no agent, no disk.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{Swarm, SwarmEvent};
use libp2p::{Multiaddr, Stream};
use longhaul_dtn::identity::{PeerId, SecretKey};

use super::address::{keypair, to_libp2p};
use super::behaviour::{Links, STREAMS_MAX, direct};
use super::stream::{ContactEvent, Contacts, Opened};
use super::{NetError, NetTiming, PeerAddress};

/// Bytes of one write or read.
const CHUNK: usize = 64 * 1024;

fn swarm(key: &SecretKey, with: PeerId) -> Result<Swarm<Contacts>, NetError> {
    let keypair = keypair(key);
    let me = keypair.public().to_peer_id();
    let settings = libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(Duration::from_secs(600));
    let links = Links { alive_every: NetTiming::default().alive_every, streams_max: STREAMS_MAX };
    let transport = direct(&links, &keypair)?;
    Ok(Swarm::new(transport, Contacts::new(BTreeSet::from([to_libp2p(&with)])), me, settings))
}

/// Listens, says where, and sends `bytes` bytes to `to` when it comes; ends when the other
/// side has closed.
pub async fn send(
    key: &SecretKey,
    to: PeerId,
    listen: Multiaddr,
    bytes: u64,
    mut listening: impl FnMut(&Multiaddr),
) -> Result<(), NetError> {
    let failed = |error: &dyn ToString| NetError::Transport(error.to_string());
    let mut swarm = swarm(key, to)?;
    swarm.listen_on(listen).map_err(|error| failed(&error))?;
    let mut stream = loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => listening(&address),
            SwarmEvent::Behaviour(ContactEvent::Opened(Opened { stream, .. })) => break stream,
            _ => {}
        }
    };
    let pump = async {
        let chunk = vec![0x5a; CHUNK];
        stream.write_all(&bytes.to_be_bytes()).await?;
        let mut left = bytes;
        while left > 0 {
            let some = chunk.len().min(usize::try_from(left).unwrap_or(CHUNK));
            stream.write_all(&chunk[..some]).await?;
            left -= some as u64;
        }
        stream.flush().await?;
        stream.read(&mut [0]).await
    };
    drive(&mut swarm, pump).await.map_err(|error| failed(&error)).map(|_| ())
}

/// Dials a sender and reads all that it sends; says how long that took and how many bytes came.
pub async fn receive<T>(
    key: &SecretKey,
    from: &PeerAddress,
    mut clock: impl FnMut() -> T,
) -> Result<(u64, T, T), NetError> {
    let failed = |error: &dyn ToString| NetError::Transport(error.to_string());
    let mut swarm = swarm(key, from.peer())?;
    let options =
        DialOpts::peer_id(to_libp2p(&from.peer())).addresses(vec![from.address().clone()]);
    swarm.dial(options.build()).map_err(|error| failed(&error))?;
    let mut stream: Stream = loop {
        if let SwarmEvent::Behaviour(ContactEvent::Opened(Opened { stream, .. })) =
            swarm.select_next_some().await
        {
            break stream;
        }
    };
    let start = clock();
    let pump = async {
        let mut head = [0; 8];
        stream.read_exact(&mut head).await?;
        let (mut come, mut buffer) = (0, vec![0; CHUNK]);
        while come < u64::from_be_bytes(head) {
            match stream.read(&mut buffer).await? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => come += read as u64,
            }
        }
        stream.close().await?;
        Ok::<u64, std::io::Error>(come)
    };
    let come = drive(&mut swarm, pump).await.map_err(|error| failed(&error))?;
    Ok((come, start, clock()))
}

/// Runs `work` while the swarm goes on.
async fn drive<T>(swarm: &mut Swarm<Contacts>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = swarm.select_next_some() => {}
        }
    }
}
