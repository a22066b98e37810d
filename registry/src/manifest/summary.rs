//! The manifest for people and programs: every value under a stable name.

use longhaul_aggregation::{Buckets, Clip, Cohorts, Minimum, Mix, Samples, Small};
use serde::Serialize;

use super::SignedManifest;

/// A manifest as reports show it; serialises to JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ManifestSummary {
    /// The federation id, 64 hexadecimal digits.
    pub federation: String,
    /// What people call the federation.
    pub name: String,
    /// Peer id of the creator.
    pub creator: String,
    /// The federation that this one follows.
    pub parent: Option<String>,
    /// The model that is trained.
    pub model: String,
    /// The kind of data.
    pub data: String,
    /// Number of parameters of the model.
    pub parameters: u64,
    /// Names and shapes of the tensors, such as `dense.weight [10, 32]`.
    pub tensors: Vec<String>,
    /// Begin of epoch 0, in milliseconds since 1970.
    pub start_unix_ms: u64,
    /// Length of an epoch.
    pub epoch_length_ms: u64,
    /// Number of epochs.
    pub epochs: u32,
    /// Local steps per epoch.
    pub steps: u32,
    /// Samples per step.
    pub batch: u32,
    /// Learning rate in millionths.
    pub rate_micro: u32,
    /// How the rate falls over the epochs.
    pub schedule: String,
    /// The weight of own updates without a term in what a peer trains from, in thousandths.
    pub pending_permille: u16,
    /// The weight of the proximal term, in thousandths.
    pub proximal_milli: u32,
    /// Momentum of local steps, in thousandths.
    pub momentum_permille: u16,
    /// The rate of the step that the model takes by a term, in thousandths.
    pub outer_rate_milli: u32,
    /// Nesterov momentum of these steps, in thousandths.
    pub outer_momentum_permille: u16,
    /// The rule by which updates become a term, such as `mean`, `trimmed-mean:K` or
    /// `diversity`.
    pub rule: String,
    /// How updates weigh by their staleness, such as `constant` or `hinge:10:1`.
    pub staleness: String,
    /// Samples up to which updates weigh in proportion; none weighs all alike.
    pub samples_max: Option<u32>,
    /// What replaces updates before the rule: `none` or `nearest-neighbours`.
    pub mix: String,
    /// How updates are parted by their bases: `none`, or for example
    /// `threshold 500/1000, minimum auto, small wait`.
    pub cohorts: String,
    /// What each update is clipped to before: `none`, `median` or `adaptive`.
    pub clip: String,
    /// How authors are gathered so that the rule sees fewer vectors: `none`, `16 by lot` or
    /// `2 of each trust root`.
    pub buckets: String,
    /// The trust root of each member, by index, zero for none; empty where nobody has any.
    pub trust_roots: Vec<u16>,
    /// Most epochs that are pooled where they are below the quorum; 1 is none.
    pub pooled_epochs_max: u32,
    /// How updates are quantised and written, such as `int8` or `ternary:33`.
    pub encoding: String,
    /// Authors that a term needs.
    pub quorum: u16,
    /// Members who publish in an epoch on average; none stands for all.
    pub committee: Option<u16>,
    /// Share of attackers assumed, in thousandths.
    pub attacker_share_permille: u16,
    /// Peer ids of the members; a member's index is its place here.
    pub members: Vec<String>,
    /// Largest norm of an update.
    pub norm_max: String,
    /// Most bytes of a payload.
    pub payload_bytes_max: u32,
    /// Epochs that a base summary speaks of.
    pub summary_window: u8,
    /// How long a bundle may travel.
    pub bundle_lifetime_ms: u64,
    /// Epochs after which an epoch may be sealed; none keeps all open.
    pub seal_window_epochs: Option<u32>,
    /// Epochs from one attempt to seal to the next.
    pub seal_every_epochs: Option<u32>,
    /// Id of the first key of a private federation; none where updates are in clear.
    pub key: Option<String>,
    /// Peer ids of those who may carry what they can't read.
    pub couriers: Vec<String>,
    /// The curve of the proofs about updates; none where there are none.
    pub proofs: Option<String>,
    /// The hashes of the proving keys.
    pub proving_keys: Vec<String>,
    /// True if one party made the keys and could forge proofs.
    pub development_keys: bool,
    /// What keys its members make together, in words; none where they train.
    pub ceremony: Option<String>,
    /// For how many epochs an update travels beyond its bucket in sums alone; none where there are no sums.
    pub aggregates: Option<u32>,
}

impl SignedManifest {
    /// Every value of the manifest in the form that reports show.
    pub fn describe(&self) -> ManifestSummary {
        let manifest = self.manifest();
        let tensors = manifest.schema.tensors();
        let proofs = manifest.proofs.as_ref();
        let keys = proofs.map_or(&[][..], |proofs| &proofs.keys);
        ManifestSummary {
            federation: self.id().to_string(),
            name: manifest.name.clone(),
            creator: manifest.creator.to_string(),
            parent: manifest.parent.map(|parent| parent.to_string()),
            model: manifest.task.model.clone(),
            data: manifest.task.data.clone(),
            parameters: manifest.schema.parameter_count() as u64,
            tensors: tensors.iter().map(|it| format!("{} {:?}", it.name(), it.shape())).collect(),
            start_unix_ms: manifest.start.unix_ms(),
            epoch_length_ms: manifest.epoch_length.ms(),
            epochs: manifest.epochs,
            steps: manifest.training.steps,
            batch: manifest.training.batch,
            rate_micro: manifest.training.rate_micro,
            schedule: manifest.training.schedule.to_string(),
            pending_permille: manifest.training.pending_permille,
            proximal_milli: manifest.training.proximal_milli,
            momentum_permille: manifest.training.momentum_permille,
            rule: manifest.recipe.rule.to_string(),
            outer_rate_milli: manifest.recipe.outer.rate_milli,
            outer_momentum_permille: manifest.recipe.outer.momentum_permille,
            staleness: manifest.recipe.staleness.to_string(),
            samples_max: match manifest.recipe.samples {
                Samples::Alike => None,
                Samples::UpTo(most) => Some(most),
            },
            mix: mix_text(manifest.recipe.mix).to_owned(),
            cohorts: manifest.recipe.cohorts.map_or_else(|| "none".to_owned(), cohorts_text),
            buckets: buckets_text(manifest.recipe.buckets),
            trust_roots: manifest.trust_roots.clone(),
            pooled_epochs_max: manifest.recipe.pool.epochs(),
            clip: clip_text(manifest.recipe.clip).to_owned(),
            encoding: manifest.encoding.to_string(),
            quorum: manifest.recipe.quorum,
            committee: manifest.committee.map(|committee| committee.size),
            attacker_share_permille: manifest.attacker_share_permille,
            members: manifest.members.iter().map(ToString::to_string).collect(),
            norm_max: manifest.bounds.norm_max.to_string(),
            payload_bytes_max: manifest.bounds.payload_bytes_max,
            summary_window: manifest.bounds.summary_window,
            bundle_lifetime_ms: manifest.bounds.bundle_lifetime.ms(),
            seal_window_epochs: manifest.seal.map(|seal| seal.window_epochs),
            seal_every_epochs: manifest.seal.map(|seal| seal.every_epochs),
            key: manifest.privacy.as_ref().map(|privacy| privacy.grant.id.to_string()),
            couriers: manifest.couriers().iter().map(ToString::to_string).collect(),
            proofs: proofs.map(|proofs| proofs.curve.to_string()),
            proving_keys: keys.iter().map(|key| key.proving.to_string()).collect(),
            development_keys: proofs.is_some_and(|proofs| proofs.development),
            ceremony: manifest.ceremony.as_ref().map(ToString::to_string),
            aggregates: manifest.aggregates,
        }
    }
}

const fn mix_text(mix: Mix) -> &'static str {
    match mix {
        Mix::None => "none",
        Mix::NearestNeighbours => "nearest-neighbours",
    }
}

fn buckets_text(buckets: Buckets) -> String {
    match buckets {
        Buckets::None => "none".to_owned(),
        Buckets::Drawn(number) => format!("{number} by lot"),
        Buckets::ByRoot(most) => format!("{most} of each trust root"),
    }
}

fn cohorts_text(cohorts: Cohorts) -> String {
    let minimum = match cohorts.minimum {
        Minimum::Auto => "auto".to_owned(),
        Minimum::Fixed(least) => least.to_string(),
    };
    let small = match cohorts.small {
        Small::Join => "join",
        Small::Wait => "wait",
        Small::Vouch => "vouch",
    };
    format!("threshold {}/1000, minimum {minimum}, small {small}", cohorts.threshold_permille)
}

const fn clip_text(clip: Clip) -> &'static str {
    match clip {
        Clip::Adaptive => "adaptive",
        Clip::None => "none",
        Clip::Median => "median",
    }
}

impl std::fmt::Display for ManifestSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "federation  {}", self.federation)?;
        writeln!(f, "name        {}", self.name)?;
        writeln!(f, "creator     {}", self.creator)?;
        writeln!(f, "parent      {}", self.parent.as_deref().unwrap_or("none"))?;
        writeln!(f, "task        {} on {}", self.model, self.data)?;
        writeln!(f, "parameters  {} in {} tensors", self.parameters, self.tensors.len())?;
        writeln!(f, "epochs      {} of {} ms", self.epochs, self.epoch_length_ms)?;
        writeln!(f, "start       {} ms after 1970", self.start_unix_ms)?;
        let rate = f64::from(self.rate_micro) / 1e6;
        write!(f, "training    {} steps of {} samples at {rate}", self.steps, self.batch)?;
        writeln!(f, ", {}", self.schedule)?;
        let milli = |milli: u32| f64::from(milli) / 1e3;
        write!(f, "            own pending updates at {}", milli(self.pending_permille.into()))?;
        write!(f, ", proximal {}", milli(self.proximal_milli))?;
        writeln!(f, ", momentum {}", milli(self.momentum_permille.into()))?;
        writeln!(f, "recipe      {}, clip {}, quorum {}", self.rule, self.clip, self.quorum)?;
        writeln!(f, "            mix {}, cohorts {}", self.mix, self.cohorts)?;
        writeln!(f, "            buckets {}", self.buckets)?;
        write!(f, "            terms at rate {}", milli(self.outer_rate_milli))?;
        writeln!(f, ", momentum {}", milli(self.outer_momentum_permille.into()))?;
        writeln!(f, "            up to {} epochs pooled", self.pooled_epochs_max)?;
        write!(f, "            weights by staleness {}", self.staleness)?;
        match self.samples_max {
            Some(most) => writeln!(f, ", by samples up to {most}")?,
            None => writeln!(f)?,
        }
        if let Some(size) = self.committee {
            writeln!(f, "committee   {size} authors in an epoch, drawn by lot")?;
        }
        if let (Some(window), Some(every)) = (self.seal_window_epochs, self.seal_every_epochs) {
            writeln!(f, "seals       epochs {window} back, an attempt every {every}")?;
        }
        writeln!(f, "attackers   {} in a thousand assumed", self.attacker_share_permille)?;
        writeln!(f, "norm        at most {} per update", self.norm_max)?;
        writeln!(f, "updates     {}, at most {} bytes", self.encoding, self.payload_bytes_max)?;
        match &self.key {
            Some(key) => writeln!(f, "privacy     members alone read updates, first key {key}")?,
            None => writeln!(f, "privacy     none, updates travel in clear")?,
        }
        if !self.couriers.is_empty() {
            writeln!(f, "couriers    {}", self.couriers.len())?;
            self.couriers.iter().try_for_each(|courier| writeln!(f, "            {courier}"))?;
        }
        self.write_proofs(f)?;
        writeln!(f, "members     {}", self.members.len())?;
        self.members.iter().enumerate().try_for_each(|(index, member)| {
            match self.trust_roots.get(index) {
                Some(root @ 1..) => writeln!(f, "  {index:>8}  {member}  trust root {root}"),
                _ => writeln!(f, "  {index:>8}  {member}"),
            }
        })
    }
}

impl ManifestSummary {
    fn write_proofs(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.proofs {
            None => writeln!(f, "proofs      none")?,
            Some(curve) => {
                writeln!(f, "proofs      updates are proved to be within the norm, on {curve}")?;
                self.proving_keys
                    .iter()
                    .try_for_each(|key| writeln!(f, "            key {key}"))?;
                if self.development_keys {
                    writeln!(
                        f,
                        "            WARNING: for development, who made the keys can forge proofs"
                    )?;
                }
            }
        }
        if let Some(epochs) = self.aggregates {
            writeln!(
                f,
                "aggregates  a bucket travels as a sum, whole after {epochs} epochs without one"
            )?;
        }
        match &self.ceremony {
            None => Ok(()),
            Some(plan) => writeln!(f, "ceremony    nothing is trained; keys are made {plan}"),
        }
    }
}
