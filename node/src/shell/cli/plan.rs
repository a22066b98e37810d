//! From what a person asks for to a signed manifest.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail, ensure};
use longhaul_aggregation::{
    Buckets, Clip, Encoding, Mix, NormBound, Outer, Recipe, Rule, Samples, SealPolicy, Staleness,
    Weighting,
};
use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_dtn::keyring::FederationKey;
use longhaul_dtn::time::{Span, Timestamp};
use longhaul_proofs::cp::KeyError;
use longhaul_proofs::update::UpdateShape;
use longhaul_registry::{
    Bounds, InvalidManifest, KeyGrant, Manifest, ManifestError, Privacy, ProofPolicyError,
    Schedule, SignedManifest, Task, TrainingPlan,
};

use crate::shell::store::Store;
use crate::shell::{entropy, proving_keys};
use crate::train::ModelKind;
use crate::train::data::edgesense;

/// Epochs that a header's base summary covers (design section 2).
const SUMMARY_WINDOW: u8 = 12;
/// How long after the last epoch bundles still travel, at least.
const LIFETIME_SLACK: Span = Span::from_ms(30 * 24 * 3_600 * 1_000);

/// What a manifest is made from; amounts as a person says them.
#[derive(Debug, Clone)]
pub(in crate::shell) struct ManifestPlan {
    /// Name of the federation.
    pub name: String,
    /// Model, see [`ModelKind`].
    pub model: String,
    /// Kind of data: edgesense or idx.
    pub data: String,
    /// The members' ids, in any order.
    pub members: Vec<PeerId>,
    /// The trust root of each of these, zero for none; empty where nobody has any.
    pub trust_roots: Vec<u16>,
    /// Whether members alone read updates.
    pub private: bool,
    /// Folder of the proving keys, where updates are proved.
    pub proofs: Option<PathBuf>,
    /// For how many epochs an update leaves its bucket in a sum alone; none makes no sums.
    pub aggregates: Option<u32>,
    /// Whether keys of one party are accepted.
    pub development_keys: bool,
    /// Who carries them beside the members.
    pub couriers: Vec<PeerId>,
    /// How authors are gathered so that the rule sees fewer vectors.
    pub buckets: Buckets,
    /// Start of the first epoch.
    pub start: Timestamp,
    /// Number of epochs.
    pub epochs: u32,
    /// Length of an epoch.
    pub epoch_length: Span,
    /// Distinct authors that an epoch needs; none takes a third of the members.
    pub quorum: Option<u16>,
    /// The rule; none takes the safest for the attackers assumed.
    pub rule: Option<Rule>,
    /// How updates are clipped first.
    pub clip: Clip,
    /// Whether each update is mixed with its nearest neighbours before the rule.
    pub mix_neighbours: bool,
    /// How updates weigh by their staleness.
    pub staleness: Staleness,
    /// Samples up to which updates weigh in proportion; none weighs all alike.
    pub samples_max: Option<u32>,
    /// How updates are quantised and written.
    pub encoding: Encoding,
    /// Local steps per epoch.
    pub steps: u32,
    /// Samples per step.
    pub batch: u32,
    /// Learning rate.
    pub rate: f64,
    /// How the rate falls over the epochs.
    pub schedule: Schedule,
    /// The weight of own updates without a term in what a peer trains from, 0 to 1.
    pub pending: f64,
    /// The weight of the proximal term.
    pub proximal: f64,
    /// Momentum of local steps, 0 to 0.99.
    pub momentum: f64,
    /// The rate of the steps that terms make.
    pub outer_rate: f64,
    /// Their momentum, 0 to 0.95.
    pub outer_momentum: f64,
    /// Largest L2 norm of one update.
    pub norm_max: f64,
    /// Assumed share of attackers, 0 to 0.49.
    pub attacker_share: f64,
    /// When old epochs are sealed; none keeps all of them open.
    pub seal: Option<SealPolicy>,
    /// Seconds of training that the demo gives this workload.
    pub default_seconds: u32,
}

impl ManifestPlan {
    /// The demo's workload without data: the built-in sensor windows.
    pub(in crate::shell) fn demo_sensors() -> Self {
        Self {
            name: "demo".to_owned(),
            model: "edgesense-cnn".to_owned(),
            data: "edgesense".to_owned(),
            members: Vec::new(),
            trust_roots: Vec::new(),
            private: false,
            proofs: None,
            aggregates: None,
            development_keys: false,
            couriers: Vec::new(),
            buckets: Buckets::None,
            start: Timestamp::default(),
            epochs: 0,
            epoch_length: Span::from_ms(500),
            quorum: Some(2),
            rule: Some(Rule::Mean),
            mix_neighbours: false,
            staleness: Staleness::Constant,
            samples_max: None,
            clip: Clip::None,
            encoding: Encoding::Int8,
            steps: 20,
            batch: 16,
            rate: 0.2,
            schedule: Schedule::Constant,
            pending: 1.0,
            proximal: 0.0,
            momentum: 0.0,
            outer_rate: 1.0,
            outer_momentum: 0.0,
            norm_max: 16.0,
            attacker_share: 0.2,
            seal: None,
            default_seconds: 36,
        }
    }

    /// The demo's workload on IDX images: a perceptron.
    pub(in crate::shell) fn demo_images() -> Self {
        Self {
            model: "mlp:784-32-10".to_owned(),
            data: "idx".to_owned(),
            rate: 0.1,
            epoch_length: Span::from_ms(1_000),
            default_seconds: 120,
            ..Self::demo_sensors()
        }
    }

    fn training(&self) -> TrainingPlan {
        TrainingPlan {
            schedule: self.schedule,
            pending_permille: milli(self.pending) as u16,
            proximal_milli: milli(self.proximal),
            momentum_permille: milli(self.momentum) as u16,
            ..TrainingPlan::plain(self.steps, self.batch, (self.rate * 1e6).round() as u32)
        }
    }

    fn outer(&self) -> Outer {
        let (rate_milli, momentum) = (milli(self.outer_rate), milli(self.outer_momentum));
        Outer { rate_milli, momentum_permille: momentum as u16 }
    }

    /// Checks the numbers that are rounded to thousandths, by their options.
    fn check_numbers(&self) -> anyhow::Result<()> {
        for (option, found, least, most) in [
            ("--pending", self.pending, 0.0, 1.0),
            ("--proximal", self.proximal, 0.0, 100.0),
            ("--momentum", self.momentum, 0.0, 0.99),
            ("--outer-rate", self.outer_rate, 0.001, 10.0),
            ("--outer-momentum", self.outer_momentum, 0.0, 0.95),
        ] {
            let sound = (least..=most).contains(&found);
            ensure!(sound, "{option} {found}: choose {least} to {most}");
            let thousandths = found * 1e3;
            let whole = (thousandths - thousandths.round()).abs() < 1e-6;
            ensure!(whole, "{option} {found}: choose a number with at most three decimal places");
        }
        Ok(())
    }

    /// The members in the manifest's order, with their trust roots if somebody has any.
    fn sorted_members(&self) -> anyhow::Result<(Vec<PeerId>, Vec<u16>)> {
        let roots = self.trust_roots.iter().copied().chain(std::iter::repeat(0));
        let mut all: Vec<(PeerId, u16)> = self.members.iter().copied().zip(roots).collect();
        all.sort_unstable();
        all.dedup();
        let twice = all.windows(2).find(|pair| pair[0].0 == pair[1].0);
        if let Some([(member, one), (_, other)]) = twice {
            bail!("--member {member} is under trust root {one} and {other}; name one of them");
        }
        let (members, mut roots): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        if roots.iter().all(|&root| root == 0) {
            roots.clear();
        }
        Ok((members, roots))
    }

    fn attackers_permille(&self) -> u16 {
        (self.attacker_share * 1e3).round() as u16
    }

    /// F: how many members are assumed to attack.
    pub(in crate::shell) fn attackers(&self) -> usize {
        self.members.len() * usize::from(self.attackers_permille()) / 1000
    }

    fn rule(&self) -> Rule {
        self.rule.unwrap_or(match self.attackers() {
            0 => Rule::Mean,
            _ => Rule::Weighted(Weighting::Diversity),
        })
    }

    fn recipe(&self) -> anyhow::Result<Recipe> {
        let third = u16::try_from(self.members.len().div_ceil(3)).context("too many members")?;
        // A rule by weights counts a majority; the others may be available instead.
        let rule = self.rule();
        let majority = match rule {
            Rule::Bulyan | Rule::Weighted(_) => {
                Recipe::plain(rule, self.clip, 1).least_vectors(self.attackers())
            }
            _ => 2,
        };
        let least = u16::try_from(majority).context("too many members")?;
        let members = self.members.len();
        ensure!(
            self.quorum.is_some() || usize::from(least) <= members.max(2),
            "--rule {rule} with {} assumed attackers needs {least} members, here {members}; \
             lower --attacker-share {}, list more members or choose another rule",
            self.attackers(),
            self.attacker_share
        );
        let quorum = self.quorum.unwrap_or(third.max(2).max(least));
        let mix = if self.mix_neighbours { Mix::NearestNeighbours } else { Mix::None };
        let samples = self.samples_max.map_or(Samples::Alike, Samples::UpTo);
        let staleness = self.staleness;
        let outer = self.outer();
        let (plain, buckets) = (Recipe::plain(rule, self.clip, quorum), self.buckets);
        Ok(Recipe { buckets, mix, staleness, samples, outer, ..plain })
    }

    fn bounds(&self, payload_bytes: usize) -> anyhow::Result<Bounds> {
        ensure!(
            self.norm_max > 0.0 && self.norm_max <= 1e6,
            "--norm-max {}: choose a number above 0 and up to 1000000",
            self.norm_max
        );
        Ok(Bounds {
            norm_max: NormBound::from_milli((self.norm_max * 1e3).round() as u64),
            payload_bytes_max: u32::try_from(payload_bytes).context("the model is too large")?,
            summary_window: SUMMARY_WINDOW,
            bundle_lifetime: Span::from_ms(
                self.epoch_length
                    .times(u64::from(self.epochs))
                    .ms()
                    .saturating_add(LIFETIME_SLACK.ms()),
            ),
        })
    }
}

/// Makes the manifest of `plan`, signed with the key in `dir`.
pub(in crate::shell) fn make_manifest(
    dir: &Path,
    plan: &ManifestPlan,
) -> anyhow::Result<SignedManifest> {
    let key = Store::open(dir)?.load_key()?;
    ensure!(
        (0.0..0.5).contains(&plan.attacker_share),
        "--attacker-share {}: choose 0 to 0.49",
        plan.attacker_share
    );
    plan.check_numbers()?;
    ensure!(plan.rate > 0.0 && plan.rate <= 100.0, "--rate {}: choose above 0 to 100", plan.rate);
    let kind: ModelKind = plan.model.parse()?;
    check_data(&kind, &plan.data)?;
    let schema = Arc::new(kind.schema());
    let (members, trust_roots) = plan.sorted_members()?;
    let privacy = plan.private.then(|| privacy(plan, &members)).transpose()?;
    let bounds = plan.bounds(schema.payload_bytes_max())?;
    let shapes = UpdateShape::shapes_of(&schema);
    let policy = |dir: &PathBuf| proving_keys::policy(dir, shapes, plan.development_keys);
    let proofs = plan.proofs.as_ref().map(policy).transpose()?;
    let manifest = Manifest {
        name: plan.name.clone(),
        creator: key.peer_id(),
        parent: None,
        seed: entropy::nonce()?,
        task: Task { model: plan.model.clone(), data: plan.data.clone() },
        start: plan.start,
        epoch_length: plan.epoch_length,
        epochs: plan.epochs,
        training: plan.training(),
        recipe: plan.recipe()?,
        attacker_share_permille: plan.attackers_permille(),
        bounds,
        members,
        trust_roots,
        committee: None,
        seal: plan.seal,
        encoding: plan.encoding,
        privacy,
        proofs,
        ceremony: None,
        aggregates: plan.aggregates,
        schema,
    };
    manifest.validate().map_err(|error| by_option(plan, error))?;
    manifest.sign(&key).map_err(|error| match error {
        ManifestError::Invalid(invalid) => by_option(plan, invalid),
        error => error.into(),
    })
}

/// A fresh key for every member.
fn privacy(plan: &ManifestPlan, members: &[PeerId]) -> anyhow::Result<Privacy> {
    let key = FederationKey::from_bytes(entropy::nonce()?);
    let once = SecretKey::from_seed(&entropy::nonce()?);
    let mut couriers = plan.couriers.clone();
    couriers.sort_unstable();
    Ok(Privacy { couriers, grant: KeyGrant::wrap(&key, &once, members, |_| true) })
}

/// An error about seals, the encoding or trust roots, led by the options that they come from.
fn by_option(plan: &ManifestPlan, error: InvalidManifest) -> anyhow::Error {
    use InvalidManifest::{SealEvery, SealMomentum, SealNever, SealWindow, SnapshotBytes};
    match error {
        InvalidManifest::TrustRootsUnused => {
            return match plan.buckets {
                Buckets::ByRoot(_) => anyhow!(
                    "--root-buckets asks for trust roots, and no --member has one: --member ID@ROOT"
                ),
                _ => anyhow!(
                    "--member ID@ROOT lists trust roots that nothing asks for: add --root-buckets"
                ),
            };
        }
        InvalidManifest::Proofs(ProofPolicyError::Key { error: KeyError::Development, .. }) => {
            return anyhow!(error).context(
                "--proofs holds a key whose maker can forge proofs; to try it out: --development-keys",
            );
        }
        InvalidManifest::Aggregates(_) => {
            let epochs = plan.aggregates.unwrap_or_default();
            return anyhow!(error).context(format!("--aggregates {epochs}"));
        }
        InvalidManifest::Recipe(_) => {
            let of_rule =
                format!("--rule {} --attacker-share {}", plan.rule(), plan.attacker_share);
            return anyhow!(error).context(match plan.buckets {
                Buckets::Drawn(number) => format!("{of_rule} --buckets {number}"),
                _ => of_rule,
            });
        }
        _ => {}
    }
    if matches!(error, InvalidManifest::Encoding(_)) {
        return anyhow!(error).context(format!(
            "--encoding {} with --rule {}{}",
            plan.encoding,
            plan.rule(),
            if plan.mix_neighbours { " --mix-neighbours" } else { "" }
        ));
    }
    let of_seals = matches!(
        error,
        SealEvery(_) | SealNever { .. } | SealWindow { .. } | SnapshotBytes(_) | SealMomentum
    );
    match plan.seal.filter(|_| of_seals) {
        Some(SealPolicy { window_epochs, every_epochs }) => anyhow!(error).context(format!(
            "--seal-window {window_epochs} --seal-every {every_epochs} with --epochs {}",
            plan.epochs
        )),
        None => error.into(),
    }
}

/// A number in thousandths.
fn milli(number: f64) -> u32 {
    (number * 1e3).round() as u32
}

/// Refuses kinds of data that do not exist or that the model cannot read.
fn check_data(kind: &ModelKind, data: &str) -> anyhow::Result<()> {
    let sensors = (kind.inputs(), kind.outputs()) == (edgesense::FEATURES, edgesense::CLASSES);
    match data {
        "edgesense" => ensure!(
            sensors,
            "--model {kind} cannot read edgesense data ({} inputs, {} classes); use --model \
             edgesense-cnn, or --data idx",
            edgesense::FEATURES,
            edgesense::CLASSES
        ),
        "idx" => ensure!(
            *kind != ModelKind::EdgesenseCnn,
            "--model edgesense-cnn reads only edgesense data; with --data idx use --model \
             mlp:784-32-10 or image-cnn"
        ),
        other => bail!("--data {other}: there is no such data; use edgesense or idx"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use longhaul_dtn::identity::SecretKey;

    use super::*;

    #[test]
    fn numbers_become_thousandths_and_say_their_option() {
        let plan = ManifestPlan {
            schedule: Schedule::Cosine,
            pending: 0.5,
            proximal: 0.01,
            momentum: 0.9,
            outer_rate: 0.7,
            outer_momentum: 0.95,
            ..ManifestPlan::demo_sensors()
        };
        let training = plan.training();
        let found =
            (training.pending_permille, training.proximal_milli, training.momentum_permille);
        assert_eq!((training.schedule, found), (Schedule::Cosine, (500, 10, 900)));
        assert_eq!(plan.outer(), Outer { rate_milli: 700, momentum_permille: 950 });
        plan.check_numbers().expect("all are in range");
        for (option, wrong) in [
            ("--pending 1.5:", ManifestPlan { pending: 1.5, ..plan.clone() }),
            ("--proximal -1:", ManifestPlan { proximal: -1.0, ..plan.clone() }),
            ("--momentum 1:", ManifestPlan { momentum: 1.0, ..plan.clone() }),
            ("--outer-rate 0:", ManifestPlan { outer_rate: 0.0, ..plan.clone() }),
            ("--momentum 0.0004:", ManifestPlan { momentum: 0.000_4, ..plan.clone() }),
            ("--outer-momentum NaN:", ManifestPlan { outer_momentum: f64::NAN, ..plan }),
        ] {
            let error = wrong.check_numbers().expect_err("out of range").to_string();
            assert!(error.starts_with(option) && error.contains("choose"), "{error}");
        }
    }

    #[test]
    fn a_rule_by_weights_has_a_majority_by_default() {
        let members: Vec<PeerId> =
            (0..12).map(|seed| SecretKey::from_seed(&[seed; 32]).peer_id()).collect();
        let plan = ManifestPlan { members, quorum: None, ..ManifestPlan::demo_sensors() };
        let quorum = |rule: &str, attacker_share| {
            let rule = (!rule.is_empty()).then(|| rule.parse().expect("a rule"));
            let plan = ManifestPlan { rule, attacker_share, ..plan.clone() };
            plan.recipe().expect("a recipe").quorum
        };
        // Without a name: diversity where attackers are assumed, else the mean.
        assert_eq!((quorum("", 0.25), quorum("", 0.05)), (7, 4));
        assert_eq!((quorum("mean", 0.25), quorum("diversity", 0.25)), (4, 7));
        assert_eq!((quorum("trimmed-mean:1", 0.4), quorum("krum", 0.4)), (4, 9));
    }
}
