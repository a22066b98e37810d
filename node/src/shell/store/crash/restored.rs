//! A real peer on a store that loses power: what it signed and spoke of it never signs again.

use std::collections::BTreeSet;

use longhaul_aggregation::{Epoch, UpdateHeader};
use longhaul_dtn::bundle::BundleHead;

use super::*;
use crate::peer::{Input, Output, Peer, PeerConfig, Restored, TrainedModel};

/// A peer that is alone in its federation, with its clock.
pub(in super::super) struct Alone {
    peer: Peer,
    now: Timestamp,
}

impl Alone {
    /// Starts the peer on what was stored.
    pub fn start(restored: Restored, now: Timestamp) -> Self {
        let manifest = Arc::new(manifest("test"));
        let config = PeerConfig { manifest, key: key(), nonce: [3; 32], memo: None };
        let mut peer = Peer::new(config, restored).expect("a log of this peer");
        peer.handle(now, Input::Start);
        Self { peer, now }
    }

    /// Goes on until the peer asks to store something; its training finds what `seed` says.
    pub fn next_request(&mut self, seed: f32) -> Option<PersistRequest> {
        for _ in 0..100 {
            while let Some(output) = self.peer.poll() {
                match output {
                    Output::Persist(request) => return Some(request),
                    Output::Train(request) => {
                        let parameters = request.base.iter().map(|it| it + seed).collect();
                        let epoch = request.epoch;
                        let (samples, shared_loss, trial_loss) = (1, 1.0, None);
                        let trained =
                            TrainedModel { epoch, parameters, samples, shared_loss, trial_loss };
                        self.peer.handle(self.now, Input::Trained(trained));
                    }
                    Output::Prove(request) => self.peer.handle(self.now, request.carry_out()),
                    Output::Verify(request) => self.peer.handle(self.now, request.carry_out()),
                    Output::Sum(request) => self.peer.handle(self.now, request.carry_out()),
                    Output::CheckSum(request) => self.peer.handle(self.now, request.carry_out()),
                    Output::Transmit { .. } | Output::Close { .. } | Output::Event(_) => {}
                }
            }
            self.now = self.peer.wake_at()?.max(self.now);
            self.peer.handle(self.now, Input::Wake);
        }
        None
    }

    /// Tells the peer that a request is durable.
    pub fn persisted(&mut self, request: &PersistRequest) {
        self.peer.handle(self.now, Input::Persisted { ticket: request.ticket });
    }
}

/// When the federation of the tests begins.
pub(in super::super) fn start() -> Timestamp {
    Timestamp::from_dtn_ms(1_000_000)
}

/// What a peer alone asks to store in a life of its own.
pub(crate) fn requests(count: usize) -> Vec<PersistRequest> {
    let mut peer = Alone::start(Restored::default(), start());
    let next = |number| {
        let request = peer.next_request(0.01 * number as f32)?;
        peer.persisted(&request);
        Some(request)
    };
    (0..count).map_while(next).collect()
}

fn own_epochs(entries: &[SignedEntry]) -> Vec<Epoch> {
    let manifest = manifest("test");
    let (limits, policy) = (manifest.bundle_limits(), manifest.admission_policy());
    let epoch = |record: &Record| {
        let Record::Update { head } = record else { return None };
        let head = BundleHead::decode(head, &limits).expect("an own bundle");
        let header = UpdateHeader::decode(head.header(), &policy.header_limits());
        Some(header.expect("an own header").epoch)
    };
    entries.iter().filter_map(|entry| epoch(entry.record())).collect()
}

#[test]
fn a_restored_peer_signs_no_number_and_no_slot_twice() {
    let (folder, trace) = (Folder::new(), Trace::default());
    let dir = folder.0.join("peer");
    Store::create_on(&mut Recorder::new(&folder.0, &trace), &dir, &key()).expect("a new one");
    let recorder = Recorder::new(&folder.0, &trace);
    let mut store = Store::open_on(Box::new(recorder), &dir).expect("made just now");
    store.join(&manifest("test")).expect("no manifest yet");
    let restored = store.load().expect("nothing is wrong").restored;
    let mut peer = Alone::start(restored, start());
    let mut spoken: Vec<(usize, SignedEntry)> = Vec::new();
    let joined = trace.len();
    while let Some(request) = peer.next_request(0.5) {
        store.persist(&request).expect("room on the disk");
        peer.persisted(&request);
        spoken.extend(request.entries.into_iter().map(|entry| (trace.len(), entry)));
    }
    assert!(spoken.len() > 10, "{} entries", spoken.len());
    let ops = trace.ops();
    let mut random = Random::new(11);
    for point in 0..60 {
        let cut = joined + random.below(ops.len() - joined + 1);
        let spoken = spoken.iter().filter(|(done, _)| *done <= cut).map(|(_, entry)| entry);
        let spoken: Vec<SignedEntry> = spoken.cloned().collect();
        let again = Folder::new();
        let loss = if point % 2 == 0 { Loss::Strict } else { Loss::Blocks };
        replay(&ops[..cut]).lose(loss, &mut random).build(&again.0);
        let mut store = Store::open(&again.0.join("peer")).expect("it opens");
        let restored = store.load().expect("it loads").restored;
        assert!(
            restored.entries.starts_with(&spoken),
            "{cut} {loss:?}: what was spoken of is lost"
        );
        let begun = restored.entries.len();
        let mut epochs: BTreeSet<_> = own_epochs(&restored.entries).into_iter().collect();
        // Another result of training: a slot that is signed twice would show.
        let mut peer = Alone::start(restored, start());
        for _ in 0..6 {
            let Some(request) = peer.next_request(0.25) else { break };
            store.persist(&request).expect("room on the disk");
            peer.persisted(&request);
            for entry in &request.entries {
                assert!(entry.entry().sequence >= begun as u64, "{cut} {loss:?}");
            }
            for epoch in own_epochs(&request.entries) {
                assert!(epochs.insert(epoch), "{cut} {loss:?}: {epoch:?} is signed twice");
            }
        }
    }
}
