//! Sampling: the peers at the end of an epoch, what bare carriers publish, and
//! what a peer would have learnt alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_aggregation::{Epoch, MemberIndex, Parameters};
use longhaul_dtn::hash::ContentHash;
use longhaul_node::peer::TrainRequest;
use rand_chacha::rand_core::Rng;

use super::{Engine, Event};
use crate::clock::SimTime;
use crate::host::Host;
use crate::learner::Outcome;
use crate::machine::Look;
use crate::metrics::Sample;
use crate::pool::{Pending, WorkerLost};
use crate::seeds::{self, Node, Purpose};
use crate::trace::Kind;

/// Peers that also train on their own, without anybody's updates.
#[derive(Debug)]
pub(super) struct Alone {
    peers: BTreeMap<u16, Lonely>,
}

#[derive(Debug)]
struct Lonely {
    parameters: Arc<Vec<f32>>,
    pending: Option<Pending<Outcome>>,
}

impl Alone {
    /// Everybody in `peers` begins with the initial model.
    pub fn new(peers: &[u16], initial: &Parameters) -> Self {
        let initial = Arc::new(initial.to_f32());
        let lonely = |&peer: &u16| (peer, Lonely { parameters: initial.clone(), pending: None });
        Self { peers: peers.iter().map(lonely).collect() }
    }
}

impl Lonely {
    /// Waits for the epoch under way.
    fn join(&mut self) -> Result<(), WorkerLost> {
        if let Some(pending) = self.pending.take()
            && let Ok(trained) = pending.join()?.result
        {
            self.parameters = Arc::new(trained.parameters);
        }
        Ok(())
    }
}

impl Engine<'_> {
    /// Looks at every peer at the end of `epoch`.
    pub(super) fn sample(&mut self, now: SimTime, epoch: u32) -> Result<(), WorkerLost> {
        // While draining, nothing newer than the last training epoch can come.
        let last = self.scenario.epochs.get() - 1;
        for (peer, host) in (0..).zip(&mut self.hosts) {
            let Some(machine) = &mut host.machine else { continue };
            let look = machine.look();
            let sample = Sample {
                at: now,
                epoch,
                peer,
                honest: host.adversary.is_none(),
                lag: lag(epoch.min(last), look.term_newest.map(Epoch::get)),
                updates: look.updates,
                held: look.held,
                bytes_sent: host.counts.bytes_sent,
                set: look.set,
                model: look.model,
                due: false,
                score: None,
                alone: None,
            };
            let numbers = [u64::from(epoch), look.updates as u64];
            self.trace.event_named(now, Kind::Sample, peer, numbers, look.model.as_hash());
            self.recorder.record(sample, &self.pool, || {
                machine.peer().map(|peer| peer.model().to_f32()).unwrap_or_default()
            });
        }
        self.sample_alone(epoch)
    }

    /// What every peer looks like in the middle of a run, and its lag; none of those that
    /// are down.
    pub(super) fn looks(&mut self, now: SimTime) -> Vec<Option<(Look, u32)>> {
        let last = self.scenario.epochs.get() - 1;
        let epoch = u32::try_from(now.us() / self.scenario.epoch_us()).unwrap_or(u32::MAX);
        let look = |host: &mut Host| {
            let look = host.machine.as_mut()?.look();
            Some((look, lag(epoch.min(last), look.term_newest.map(Epoch::get))))
        };
        self.hosts.iter_mut().map(look).collect()
    }

    fn sample_alone(&mut self, epoch: u32) -> Result<(), WorkerLost> {
        let Some(alone) = &mut self.alone else { return Ok(()) };
        if !self.recorder.is_due(epoch) {
            return Ok(());
        }
        for (&peer, lonely) in &mut alone.peers {
            lonely.join()?;
            self.recorder.record_alone(epoch, peer, &self.pool, lonely.parameters.clone());
        }
        Ok(())
    }

    /// Starts the epoch of everybody who trains alone.
    pub(super) fn train_alone(&mut self, epoch: u32) -> Result<(), WorkerLost> {
        let Some(alone) = &mut self.alone else { return Ok(()) };
        if epoch >= self.scenario.epochs.get() {
            return Ok(());
        }
        for (&peer, lonely) in &mut alone.peers {
            lonely.join()?;
            let base = lonely.parameters.clone();
            let nonce = seeds::bytes(self.scenario.seed, Node::Peer(peer), Purpose::Nonce);
            let seed = [&nonce[..], b"alone", &epoch.to_be_bytes()].concat();
            let request = TrainRequest {
                epoch: Epoch::new(epoch),
                shared: base.clone(),
                trial: None,
                base,
                plan: self.federation.manifest.manifest().training,
                seed: *ContentHash::of(&seed).as_bytes(),
            };
            let learner = self.learner.clone();
            lonely.pending = Some(self.pool.submit(move || Outcome::of(&*learner, peer, &request)));
        }
        Ok(())
    }

    /// In transport mode: which carriers publish in `epoch`, and when.
    pub(super) fn schedule_carriers(&mut self, now: SimTime, epoch: u32) {
        let Some(transport) = &self.scenario.transport else { return };
        if epoch >= self.scenario.epochs.get() {
            return;
        }
        let salt = u64::from(epoch) << 16;
        let mut stream = seeds::fast_stream(self.scenario.seed ^ salt, Node::World, Purpose::Data);
        let peers = u64::from(self.scenario.peers.get());
        for _ in 0..transport.bundles_per_epoch.get() {
            let peer = u16::try_from(seeds::below(&mut stream, peers)).unwrap_or_default();
            let after_us = seeds::below(&mut stream, self.scenario.epoch_us());
            self.queue.push(now.plus_us(after_us), Event::Carry { peer, epoch });
        }
    }

    /// A bare carrier publishes a bundle of random bytes.
    pub(super) fn carry(&mut self, now: SimTime, peer: u16, epoch: u32) {
        let Some(transport) = &self.scenario.transport else { return };
        let size = usize::try_from(transport.payload_bytes.get()).unwrap_or(usize::MAX);
        let salt = u64::from(epoch) << 32 | u64::from(peer);
        let mut payload = vec![0; size];
        seeds::fast_stream(self.scenario.seed ^ salt, Node::Peer(peer), Purpose::Data)
            .fill_bytes(&mut payload);
        let member = MemberIndex::new(self.member_of(peer));
        let host = self.host(peer);
        let shown = host.clock.shows(now).timestamp();
        if let Some(carrier) = host.machine.as_mut().and_then(|machine| machine.carrier()) {
            carrier.publish(shown, Epoch::new(epoch), member, &payload);
        }
        self.drain(now, peer);
    }
}

/// How many epochs the newest non-empty term lies behind the end of `epoch`.
const fn lag(epoch: u32, newest: Option<u32>) -> u32 {
    match newest {
        Some(newest) => epoch.saturating_sub(newest),
        None => epoch + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_counts_from_the_newest_term() {
        for (epoch, newest, expected) in
            [(0, None, 1), (4, None, 5), (4, Some(4), 0), (4, Some(1), 3)]
        {
            assert_eq!(lag(epoch, newest), expected);
        }
    }
}
