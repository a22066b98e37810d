//! A virtual network of pure peers: one clock, memory for disks, frames in
//! order per link, training that is a cheap function of its seed.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock};

use longhaul_aggregation::{
    Clip, Encoding, Init, ModelId, NormBound, Recipe, Rule, Schema, TensorSpec, UpdateHeader,
};
use longhaul_dtn::agent::{Held, LinkId};
use longhaul_dtn::bundle::BundleHead;
use longhaul_dtn::frame::Frame;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_dtn::time::{Span, Timestamp};
use longhaul_node::peer::{
    Event, Input, Output, Peer, PeerConfig, PersistRequest, Restored, TrainRequest, TrainedModel,
    VerifyRequest,
};
use longhaul_proofs::s1::Shape;
use longhaul_proofs::seed::Seed;
use longhaul_proofs::update::ProveUpdates;
use longhaul_proofs::update::keys::development_keys;
use longhaul_registry::audit;
use longhaul_registry::{
    Bounds, Manifest, ProofCurve, ProofKey, ProofPolicy, Record, SignedEntry, SignedManifest, Task,
    TrainingPlan,
};

/// Length of an epoch in the test federation.
const EPOCH_LENGTH: Span = Span::from_ms(1_000);
/// Start of the first epoch.
const START: Timestamp = Timestamp::from_dtn_ms(1_000_000);
/// More deliveries than any test needs before it must be quiet.
const DELIVERIES_MAX: usize = 200_000;

/// The key of a test peer.
pub fn key(index: u8) -> SecretKey {
    SecretKey::from_seed(&[index + 1; 32])
}

/// The key of a test courier.
pub fn courier(index: u8) -> SecretKey {
    key(100 + index)
}

struct Node {
    key: SecretKey,
    peer: Peer,
    entries: Vec<SignedEntry>,
    payloads: BTreeMap<ContentHash, Arc<[u8]>>,
    events: Vec<Event>,
    requests: Vec<TrainRequest>,
    unstored: VecDeque<PersistRequest>,
    disk_works: bool,
    /// Requests for verdicts that were not answered yet.
    unverified: VecDeque<VerifyRequest>,
    verifier_works: bool,
    /// Sizes of the batches that were verified.
    batches: Vec<usize>,
}

struct Link {
    ends: [usize; 2],
    /// Frames on their way, by receiving end.
    queues: [VecDeque<Vec<u8>>; 2],
}

/// Peers, links and the clock.
pub struct World {
    manifest: Arc<SignedManifest>,
    nodes: Vec<Node>,
    links: BTreeMap<LinkId, Link>,
    next_link: u64,
    now: Timestamp,
    epochs: u32,
    /// The loss of the shared model that a peer measures in an epoch.
    shared_loss: fn(usize, u32) -> f32,
}

impl World {
    /// `count` peers that have just started, without contacts.
    pub fn new(count: u8, epochs: u32) -> Self {
        Self::with(count, epochs, |_| {})
    }

    /// The same under another manifest.
    pub fn with(count: u8, epochs: u32, change: impl FnOnce(&mut Manifest)) -> Self {
        let mut manifest = manifest(count, epochs);
        change(&mut manifest);
        let manifest = Arc::new(manifest.sign(&key(0)).expect("test values are valid"));
        let mut nodes: Vec<Node> =
            (0..count).map(|index| Node::new(&manifest, key(index))).collect();
        nodes.sort_by_key(|node| node.key.peer_id());
        // Couriers stand behind the members.
        let couriers = (0..manifest.manifest().couriers().len()).map(|index| courier(index as u8));
        nodes.extend(couriers.map(|key| Node::new(&manifest, key)));
        let (links, shared_loss) = (BTreeMap::new(), |_, _| 1.0);
        let mut world =
            Self { manifest, nodes, links, next_link: 0, now: START, epochs, shared_loss };
        (0..world.nodes.len()).for_each(|index| world.give(index, Input::Start));
        world
    }

    pub fn manifest(&self) -> Arc<SignedManifest> {
        self.manifest.clone()
    }

    pub fn key(&self, index: usize) -> SecretKey {
        self.nodes[index].key.clone()
    }

    pub fn peer(&mut self, index: usize) -> &mut Peer {
        &mut self.nodes[index].peer
    }

    pub fn model_id(&mut self, index: usize) -> ModelId {
        self.peer(index).fold().model_id()
    }

    pub fn entries(&self, index: usize) -> &[SignedEntry] {
        &self.nodes[index].entries
    }

    pub fn events(&self, index: usize) -> &[Event] {
        &self.nodes[index].events
    }

    /// From now on peers measure this loss of the shared model, by peer and epoch.
    pub fn set_shared_loss(&mut self, shared_loss: fn(usize, u32) -> f32) {
        self.shared_loss = shared_loss;
    }

    /// The newest update header in a peer's log for each epoch.
    pub fn own_headers(&self, index: usize) -> Vec<UpdateHeader> {
        let limits = self.manifest.bundle_limits();
        let header_limits = self.manifest.admission_policy().header_limits();
        let header = |entry: &SignedEntry| {
            let Record::Update { head } = entry.record() else { return None };
            let head = BundleHead::decode(head, &limits).ok()?;
            UpdateHeader::decode(head.header(), &header_limits).ok()
        };
        self.entries(index).iter().filter_map(header).collect()
    }

    /// What a peer asked to train, oldest first.
    pub fn requests(&self, index: usize) -> &[TrainRequest] {
        &self.nodes[index].requests
    }

    /// All peers hold one set and one model.
    pub fn assert_equal(&mut self) {
        let first = (self.model_id(0), self.peer(0).fold().set_root());
        for index in 1..self.nodes.len() {
            let here = (self.model_id(index), self.peer(index).fold().set_root());
            assert_eq!(here, first, "peer {index} differs from peer 0");
        }
    }

    /// The audit file of a peer's log.
    pub fn audit_file(&self, index: usize) -> Vec<u8> {
        let node = &self.nodes[index];
        let mut file = Vec::new();
        let payload = |hash: &ContentHash| Ok(node.payloads.get(hash).cloned());
        audit::export(&self.manifest, &node.entries, payload, &mut file)
            .expect("test values are valid");
        file
    }

    /// The same with a version of now.
    pub fn audit_file_of_now(&mut self, index: usize) -> Vec<u8> {
        self.peer(index).record_version();
        self.give(index, Input::Wake);
        self.audit_file(index)
    }

    /// A peer takes a bundle that came as a file, as its own contributions do.
    pub fn take(&mut self, index: usize, held: &Held) {
        self.give(index, Input::Bundle { bytes: held.head.to_bundle(&held.payload) });
    }

    /// The newest own bundle of a peer, as it travels.
    pub fn own_wire(&self, index: usize) -> (BundleHead, Arc<[u8]>) {
        let node = &self.nodes[index];
        let limits = self.manifest.bundle_limits();
        let own = |entry: &SignedEntry| match entry.record() {
            Record::Update { head } => BundleHead::decode(head, &limits).ok(),
            _ => None,
        };
        let head = node.entries.iter().rev().find_map(own).expect("an own update");
        let payload = node.payloads[&head.payload_hash()].clone();
        (head, payload)
    }

    /// An auditor derives every version of a peer's log.
    pub fn assert_replays(&mut self, index: usize) {
        let file = self.audit_file(index);
        let report = audit::audit(&file, audit::Check::Replay, &audit::Expected::default());
        let model = self.model_id(index).to_string();
        assert_eq!(report.model_id(), Some(model.as_str()), "{report}");
    }

    /// Brings a contact up, unless it is.
    pub fn connect(&mut self, a: usize, b: usize) {
        if a == b || self.links.values().any(|link| link.ends == [a.min(b), a.max(b)]) {
            return;
        }
        let link = LinkId(self.next_link);
        self.next_link += 1;
        let ends = [a.min(b), a.max(b)];
        self.links.insert(link, Link { ends, queues: Default::default() });
        for (end, other) in [(ends[0], ends[1]), (ends[1], ends[0])] {
            let peer = self.nodes[other].key.peer_id();
            self.give(end, Input::LinkUp { link, peer });
        }
    }

    pub fn connect_all(&mut self) {
        for a in 0..self.nodes.len() {
            (0..a).for_each(|b| self.connect(a, b));
        }
    }

    /// Cuts a contact; what is on its way is lost.
    pub fn cut(&mut self, a: usize, b: usize) {
        let ends = [a.min(b), a.max(b)];
        let Some(link) =
            self.links.iter().find_map(|(id, link)| (link.ends == ends).then_some(*id))
        else {
            return;
        };
        self.drop_link(link);
    }

    fn drop_link(&mut self, link: LinkId) {
        if let Some(Link { ends, .. }) = self.links.remove(&link) {
            ends.into_iter().for_each(|end| self.give(end, Input::LinkDown { link }));
        }
    }

    /// Delivers up to `count` frames.
    pub fn deliver(&mut self, count: usize) {
        for _ in 0..count {
            let ready = self.links.iter_mut().find_map(|(id, link)| {
                let side = (0..2).find(|side| !link.queues[*side].is_empty())?;
                let frame = link.queues[side].pop_front()?;
                Some((*id, link.ends[side], frame))
            });
            let Some((link, end, bytes)) = ready else { return };
            self.give(end, Input::Frame { link, bytes });
        }
    }

    /// A frame that `to` never sent arrives at `at` over their contact.
    pub fn inject(&mut self, at: usize, to: usize, bytes: Vec<u8>) {
        let ends = [at.min(to), at.max(to)];
        let link = self.links.iter().find(|(_, link)| link.ends == ends).map(|(id, _)| *id);
        self.give(at, Input::Frame { link: link.expect("a contact"), bytes });
    }

    /// Delivers everything, with wake-ups, until all is quiet.
    pub fn settle(&mut self) {
        for _ in 0..10 {
            self.deliver(DELIVERIES_MAX);
            self.skip(Span::from_ms(3_000));
        }
        self.deliver(DELIVERIES_MAX);
        assert!(self.links.values().all(|link| link.queues.iter().all(VecDeque::is_empty)));
    }

    /// Lets time pass and wakes everybody.
    pub fn skip(&mut self, span: Span) {
        self.now = self.now.plus(span);
        (0..self.nodes.len()).for_each(|index| self.give(index, Input::Wake));
    }

    /// On to the next epoch.
    pub fn advance(&mut self) {
        self.skip(EPOCH_LENGTH);
    }

    /// Runs until epoch `epoch` has been trained, delivering everything.
    pub fn run_until(&mut self, epoch: u32) {
        while self.manifest.manifest().epoch_at(self.now).is_some_and(|now| now.get() < epoch) {
            self.deliver(DELIVERIES_MAX);
            self.advance();
        }
        self.deliver(DELIVERIES_MAX);
    }

    /// Runs until the federation is over and nothing is on its way.
    pub fn run_to_end(&mut self) {
        self.run_until(self.epochs);
        self.settle();
    }

    /// The payloads that a peer's disk holds.
    pub fn payload_files(&self, index: usize) -> BTreeMap<ContentHash, Arc<[u8]>> {
        self.nodes[index].payloads.clone()
    }

    /// Number of payloads that a peer's disk holds.
    pub fn payloads(&self, index: usize) -> usize {
        self.nodes[index].payloads.len()
    }

    pub fn stop_disk(&mut self, index: usize) {
        self.nodes[index].disk_works = false;
    }

    /// From now on proofs that this peer is asked about get no verdict.
    pub fn stop_verifier(&mut self, index: usize) {
        self.nodes[index].verifier_works = false;
    }

    /// Gives the verdicts that were kept back, and goes on.
    pub fn start_verifier(&mut self, index: usize) {
        self.nodes[index].verifier_works = true;
        while let Some(request) = self.nodes[index].unverified.pop_front() {
            self.nodes[index].batches.push(request.len());
            self.give(index, request.carry_out());
        }
    }

    /// Sizes of the batches of proofs that a peer verified.
    pub fn batches(&self, index: usize) -> &[usize] {
        &self.nodes[index].batches
    }

    pub fn start_disk(&mut self, index: usize) {
        self.nodes[index].disk_works = true;
        while let Some(request) = self.nodes[index].unstored.pop_front() {
            self.store(index, request);
        }
    }

    pub fn lose_payloads(&mut self, index: usize) {
        self.nodes[index].payloads.clear();
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The epochs of a peer's update records.
    pub fn own_slots(&self, index: usize) -> Vec<u32> {
        self.own_headers(index).iter().map(|header| header.epoch.get()).collect()
    }

    /// The newest update record and what follows it is torn off the log; then
    /// the peer starts again.
    pub fn tear_log(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let own = |entry: &SignedEntry| matches!(entry.record(), Record::Update { .. });
        let last = node.entries.iter().rposition(own).expect("an own update");
        node.entries.truncate(last);
        self.start_again(index, true);
    }

    /// Ends a peer's process and starts it from its disk.
    pub fn restart(&mut self, index: usize) {
        self.start_again(index, false);
    }

    fn start_again(&mut self, index: usize, torn: bool) {
        let links: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, it)| it.ends.contains(&index))
            .map(|(id, _)| *id)
            .collect();
        links.into_iter().for_each(|link| self.drop_link(link));
        let node = &mut self.nodes[index];
        let restored =
            Restored { entries: node.entries.clone(), payloads: node.payloads.clone(), torn };
        node.peer = peer(&self.manifest, &node.key, restored);
        self.give(index, Input::Start);
    }

    /// The newest own bundle of a peer, from its log and payloads.
    pub fn own_bundle(&mut self, index: usize) -> (BundleHead, Arc<[u8]>) {
        let member = usize::from(
            self.manifest
                .manifest()
                .member_index(&key(index as u8).peer_id())
                .expect("test values are valid")
                .get(),
        );
        self.own_wire(member)
    }

    /// A contact in which `from` offers `bundle` to `to`, played by hand with a
    /// second agent, as a hostile neighbour would.
    pub fn hand_over(&mut self, to: usize, from: usize, bundle: Held) {
        self.cut(to, from);
        let mut neighbour = longhaul_dtn::agent::Agent::new(longhaul_dtn::agent::AgentConfig::new(
            self.nodes[from].key.peer_id(),
            self.manifest.id().hash(),
            self.manifest.bundle_limits(),
            [7; 32],
        ));
        use longhaul_dtn::agent::{Input as AgentInput, Output as AgentOutput};
        let link = LinkId(self.next_link);
        self.next_link += 1;
        // The neighbour's own clock stands still: it offers what is expired.
        let early = START;
        neighbour.handle(early, AgentInput::Publish(bundle));
        neighbour.handle(early, AgentInput::LinkUp { link, peer: self.nodes[to].key.peer_id() });
        self.links.insert(link, Link { ends: [to, usize::MAX], queues: Default::default() });
        self.give(to, Input::LinkUp { link, peer: self.nodes[from].key.peer_id() });
        loop {
            let mut quiet = true;
            while let Some(output) = neighbour.poll() {
                if let AgentOutput::Transmit { frame, .. } = output {
                    quiet = false;
                    self.give(to, Input::Frame { link, bytes: frame });
                }
            }
            let back = self.links.get_mut(&link).and_then(|link| link.queues[1].pop_front());
            if let Some(bytes) = back {
                quiet = false;
                neighbour.handle(early, AgentInput::Frame { link, bytes });
            }
            if quiet {
                break;
            }
        }
        self.links.remove(&link);
        self.give(to, Input::LinkDown { link });
    }

    fn give(&mut self, index: usize, input: Input) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        node.peer.handle(self.now, input);
        while let Some(output) = self.nodes[index].peer.poll() {
            self.carry_out(index, output);
        }
    }

    fn carry_out(&mut self, index: usize, output: Output) {
        match output {
            Output::Transmit { link, frame } => {
                assert!(Frame::decode(&frame).is_ok(), "own frames are well-formed");
                if let Some(link) = self.links.get_mut(&link) {
                    let side = usize::from(link.ends[0] == index);
                    link.queues[side].push_back(frame);
                }
            }
            Output::Close { link, .. } => self.drop_link(link),
            Output::Train(request) => {
                let mut trained = trained(&request);
                trained.shared_loss = (self.shared_loss)(index, request.epoch.get());
                self.nodes[index].requests.push(request);
                self.give(index, Input::Trained(trained));
            }
            Output::Prove(request) => self.give(index, request.carry_out()),
            Output::Sum(request) => self.give(index, request.carry_out()),
            Output::CheckSum(request) => self.give(index, request.carry_out()),
            Output::Verify(request) if self.nodes[index].verifier_works => {
                self.nodes[index].batches.push(request.len());
                self.give(index, request.carry_out());
            }
            Output::Verify(request) => self.nodes[index].unverified.push_back(request),
            Output::Persist(request) if self.nodes[index].disk_works => self.store(index, request),
            Output::Persist(request) => self.nodes[index].unstored.push_back(request),
            Output::Event(event) => self.nodes[index].events.push(event),
        }
    }

    fn store(&mut self, index: usize, request: PersistRequest) {
        let node = &mut self.nodes[index];
        node.payloads.extend(request.payload);
        node.entries.extend(request.entries);
        for hash in &request.forget {
            node.payloads.remove(hash);
        }
        self.give(index, Input::Persisted { ticket: request.ticket });
    }
}

impl Node {
    fn new(manifest: &Arc<SignedManifest>, key: SecretKey) -> Self {
        Self {
            peer: peer(manifest, &key, Restored::default()),
            key,
            entries: Vec::new(),
            payloads: BTreeMap::new(),
            events: Vec::new(),
            requests: Vec::new(),
            unstored: VecDeque::new(),
            disk_works: true,
            unverified: VecDeque::new(),
            verifier_works: true,
            batches: Vec::new(),
        }
    }
}

fn peer(manifest: &Arc<SignedManifest>, key: &SecretKey, restored: Restored) -> Peer {
    let nonce = *key.peer_id().as_bytes();
    let config = PeerConfig { manifest: manifest.clone(), key: key.clone(), nonce, memo: None };
    let mut peer = Peer::new(config, restored).expect("a valid log");
    peer.set_prover(peer.member().and(prover(manifest)));
    peer
}

/// A development key for chunks of up to 1,000 entries.
pub static PROVING_KEY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    development_keys(ProofCurve::Bn254, Shape::STANDARD[0], &Seed::from_bytes([3; 32])).1
});

/// What makes the proofs of a federation of this world, if it has any.
pub fn prover(manifest: &SignedManifest) -> Option<Arc<dyn ProveUpdates>> {
    manifest.proof_prover(|_| Some(PROVING_KEY.clone())).expect("the keys are there")
}

/// The policy of a world whose updates are proved.
pub fn proofs() -> ProofPolicy {
    let (curve, key) = ProofKey::of(&PROVING_KEY).expect("a key");
    ProofPolicy { curve, keys: vec![key], development: true }
}

/// Moves each parameter by an amount that its position and the seed give.
pub fn trained(request: &TrainRequest) -> TrainedModel {
    let push = |(index, value): (usize, &f32)| {
        value + (f32::from(request.seed[index % 32]) - 128.0) / 2_048.0
    };
    TrainedModel {
        epoch: request.epoch,
        parameters: request.base.iter().enumerate().map(push).collect(),
        samples: 4,
        shared_loss: 1.0,
        trial_loss: request.trial.as_ref().map(|_| 1.0),
    }
}

fn manifest(count: u8, epochs: u32) -> Manifest {
    let weights = TensorSpec::new("weights", vec![4, 5], Init::Uniform { bound: 1 << 20 })
        .expect("test values are valid");
    let bias = TensorSpec::new("bias", vec![5], Init::Zero).expect("test values are valid");
    let mut members: Vec<_> = (0..count).map(|index| key(index).peer_id()).collect();
    members.sort_unstable();
    Manifest {
        name: "test".to_owned(),
        creator: key(0).peer_id(),
        parent: None,
        seed: [5; 32],
        task: Task { model: "test".to_owned(), data: "test".to_owned() },
        schema: Arc::new(Schema::new(vec![weights, bias]).expect("test values are valid")),
        start: START,
        epoch_length: EPOCH_LENGTH,
        epochs,
        training: TrainingPlan::plain(1, 4, 100_000),
        recipe: Recipe::plain(Rule::Mean, Clip::None, 2),
        attacker_share_permille: 250,
        members,
        trust_roots: Vec::new(),
        committee: None,
        seal: None,
        encoding: Encoding::Int8,
        privacy: None,
        proofs: None,
        ceremony: None,
        aggregates: None,
        bounds: Bounds {
            norm_max: NormBound::from_milli(10_000),
            payload_bytes_max: 4_096,
            summary_window: 12,
            bundle_lifetime: Span::from_ms(24 * 3_600_000),
        },
    }
}
