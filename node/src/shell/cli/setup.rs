//! `longhaul init`, `manifest` and `join`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand, value_parser};
use longhaul_aggregation::{Buckets, Clip, Encoding, Rule, SealPolicy, Staleness};
use longhaul_dtn::identity::PeerId;
use longhaul_dtn::time::Span;
use longhaul_registry::{Schedule, SignedManifest};

use super::DEFAULT_DIR;
use super::plan::{ManifestPlan, make_manifest};
use crate::shell::cli::say;
use crate::shell::clock;
use crate::shell::config::Config;
use crate::shell::fresh::{self, Readers};
use crate::shell::room::Room;
use crate::shell::size::Size;
use crate::shell::store::Store;
use crate::shell::when::Standing;
use crate::shell::{entropy, proving_keys, task};

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The data directory to make.
    #[arg(value_name = "DIR", default_value = DEFAULT_DIR)]
    place: PathBuf,
    /// The same, as the other commands take it.
    #[arg(long, value_name = "DIR", conflicts_with = "place")]
    dir: Option<PathBuf>,
    /// Most room on the disk, such as '2 GiB'; written into longhaul.toml.
    #[arg(long, value_name = "SIZE")]
    quota: Option<Size>,
    /// Print the peer id as JSON.
    #[arg(long)]
    json: bool,
}

/// Makes a data directory with a fresh key and the default configuration.
pub(in crate::shell) fn create_data_dir(dir: &std::path::Path) -> anyhow::Result<PeerId> {
    let key = longhaul_dtn::identity::SecretKey::from_seed(&entropy::nonce()?);
    Store::create(dir, &key)
        .with_context(|| format!("make the data directory {}", dir.display()))?;
    Config::save_example(dir)?;
    Ok(key.peer_id())
}

pub(super) fn init(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let dir = args.dir.as_ref().unwrap_or(&args.place);
    let id = create_data_dir(dir)?;
    if let Some(quota) = args.quota {
        Config::set_quota(dir, quota)?;
    }
    if args.json {
        say!("{}", serde_json::json!({ "peer_id": id.to_string(), "dir": dir }));
        return Ok(ExitCode::SUCCESS);
    }
    say!("{id}");
    eprintln!(
        "Made {} with a fresh key (mode 0600; back it up, it cannot be made again).",
        dir.display()
    );
    eprintln!(
        "Note: updates travel signed, and encrypted where the manifest was made with --private; \
         otherwise whoever carries them can read them."
    );
    eprintln!("Next: give the id above to the creator of the federation, then");
    eprintln!("  longhaul forecast FILE (what it takes of links and disk) and");
    eprintln!("  longhaul join FILE --dir {0} && longhaul up --dir {0}", dir.display());
    Ok(ExitCode::SUCCESS)
}

/// The `manifest` commands.
#[derive(Debug, Subcommand)]
pub(super) enum ManifestCommand {
    /// Make and sign the manifest of a new federation.
    #[command(after_help = NEW_EXAMPLES)]
    New(Box<NewArgs>),
    /// Show what a manifest file says.
    #[command(after_help = "Example:\n  longhaul manifest show team.manifest")]
    Show {
        /// The manifest file.
        file: PathBuf,
    },
}

const NEW_EXAMPLES: &str = "\
Examples:
  longhaul manifest new --member ID --member ID --member ID --out team.manifest
  longhaul manifest new --member ID --member ID --data idx --model mlp:784-32-10 \\
      --epochs 200 --epoch-ms 3600000 --rule trimmed-mean:1 --out digits.manifest
  longhaul manifest new --member ID … --attacker-share 0.25 --rule diversity --out safe.manifest
  longhaul manifest new --member ID … --encoding ternary --out narrow.manifest
  longhaul manifest new --member ID … --private --courier ID --out secret.manifest
  longhaul manifest new --member ID … --private --proofs keys --out proved.manifest
  longhaul manifest new --member ID@1 --member ID@2 … --root-buckets 1 --proofs keys \\
      --aggregates 2 --out islands.manifest";

/// Arguments of `manifest new`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(super) struct NewArgs {
    /// Data directory whose key signs the manifest.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    dir: PathBuf,
    /// Where to write the manifest.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Peer id of a member; repeat for each, the creator's own included. ID@ROOT lists it under
    /// a trust root, such as an organisation: a number from 1 (see --root-buckets).
    #[arg(long, value_name = "ID", required = true)]
    member: Vec<Member>,
    /// Name of the federation, for people.
    #[arg(long, default_value = "longhaul", value_name = "NAME")]
    name: String,
    /// Model: edgesense-cnn, image-cnn, or mlp:INPUTS-…-CLASSES.
    #[arg(long, default_value = "edgesense-cnn", value_name = "MODEL")]
    model: String,
    /// Kind of data: edgesense (built in) or idx (gzipped IDX files).
    #[arg(long, default_value = "edgesense", value_name = "KIND")]
    data: String,
    /// Number of epochs.
    #[arg(long, default_value_t = 100, value_name = "N")]
    epochs: u32,
    /// Length of an epoch in milliseconds.
    #[arg(long, default_value_t = 60_000, value_name = "MS")]
    epoch_ms: u64,
    /// Time until the first epoch begins, in milliseconds: as long as the manifest takes to reach the
    /// members.
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    start_in_ms: u64,
    /// Distinct authors that an epoch needs before it counts; default: a third of the
    /// members, at least 2, and a majority over the assumed attackers where the rule asks for it.
    #[arg(long, value_name = "N")]
    quorum: Option<u16>,
    /// Aggregation rule: mean, median, trimmed-mean:K, trimmed-mean:auto, mean-around-median,
    /// krum, multi-krum, geometric-median:ITERATIONS, centered-clipping:RADIUS:ITERATIONS,
    /// centered-trimmed, covariance-filter (at most 128 authors), diversity, minimum-diameter (at
    /// most 32), smallest-eigenvalue (some 16) or bulyan. Those from krum on need a quorum of
    /// twice the assumed attackers and one more, bulyan of four times as many and three. Default: diversity if the attacker share is
    /// that of a member or more, else mean.
    #[arg(long, value_name = "RULE")]
    rule: Option<Rule>,
    /// Mix each update with its nearest neighbours before the rule.
    #[arg(long)]
    mix_neighbours: bool,
    /// Draw authors into so many buckets, whose means the rule compares instead of updates: for
    /// many members. More than twice the assumed attackers.
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(2..))]
    buckets: Option<u16>,
    /// Let the members of one trust root fill at most so many buckets, each of which the rule
    /// sees as one update: however many members a root brings, it has no more votes.
    #[arg(long, value_name = "N", conflicts_with = "buckets", value_parser = value_parser!(u16).range(1..))]
    root_buckets: Option<u16>,
    /// How updates weigh by how far their base is behind: constant, polynomial:QUARTERS,
    /// hinge:AFTER:SLOPE or exponential:HALF-LIFE, in epochs.
    #[arg(long, default_value = "constant", value_name = "WEIGHT")]
    staleness: Staleness,
    /// Let updates weigh in proportion to the samples behind them, up to this number, which
    /// counts as one; default: all alike.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    samples_max: Option<u32>,
    /// Scale every update down to the median norm of its epoch.
    #[arg(long)]
    clip_to_median: bool,
    /// Scale the longest updates down to the longest of the others, the more of them the more
    /// attackers are assumed (ARC).
    #[arg(long, conflicts_with = "clip_to_median")]
    clip_adaptive: bool,
    /// How updates are quantised and written: int8, int8-coded, int4, ternary:PERCENT,
    /// rand-k:PERCENT:LEVELS or top-k:PERCENT:LEVELS, with the share of the entries that is
    /// not zero and levels of 1, 7 or 127. Ternary is 33 percent and levels are 1 where they
    /// are not said. Top-k is for plain means.
    #[arg(long, default_value = "int8", value_name = "ENCODING")]
    encoding: Encoding,
    /// Local steps per epoch.
    #[arg(long, default_value_t = 10, value_name = "N")]
    steps: u32,
    /// Samples per step.
    #[arg(long, default_value_t = 16, value_name = "N")]
    batch: u32,
    /// Learning rate.
    #[arg(long, default_value_t = 0.1, value_name = "RATE")]
    rate: f64,
    /// How the learning rate falls over the epochs: constant or cosine, which ends near zero.
    /// With peers who are late, cosine and --pending 0.5 are best where there are hundreds of
    /// epochs.
    #[arg(long, default_value = "constant", value_name = "SCHEDULE")]
    schedule: Schedule,
    /// The weight that a peer gives to its own updates that no term counts yet when it trains.
    #[arg(long, default_value_t = 1.0, value_name = "WEIGHT")]
    pending: f64,
    /// The weight of a proximal term (FedProx): holds local steps near where they began.
    #[arg(long, default_value_t = 0.0, value_name = "WEIGHT")]
    proximal: f64,
    /// Momentum of the local steps of an epoch.
    #[arg(long, default_value_t = 0.0, value_name = "MOMENTUM")]
    momentum: f64,
    /// The rate of the step that the model takes by an epoch's term.
    #[arg(long, default_value_t = 1.0, value_name = "RATE")]
    outer_rate: f64,
    /// Nesterov momentum of these steps, as in DiLoCo (rate 0.7 and momentum 0.9 there). Needs a
    /// quorum of twice the assumed attackers and one more, and no seals.
    #[arg(long, default_value_t = 0.0, value_name = "MOMENTUM")]
    outer_momentum: f64,
    /// Largest L2 norm of one update.
    #[arg(long, default_value_t = 16.0, value_name = "NORM")]
    norm_max: f64,
    /// Assumed share of attackers among the members, 0 to 0.49.
    #[arg(long, default_value_t = 0.25, value_name = "SHARE")]
    attacker_share: f64,
    /// Seal epochs this far back for good, by a vote of the members: older updates leave
    /// memory and disk, later ones are refused. At least 12; default: nothing is sealed.
    #[arg(long, value_name = "EPOCHS", requires = "seal_every", value_parser = value_parser!(u32).range(12..))]
    seal_window: Option<u32>,
    /// Epochs from one attempt to seal to the next: at least twice the time that news take
    /// to reach most members.
    #[arg(long, value_name = "EPOCHS", requires = "seal_window", value_parser = value_parser!(u32).range(1..))]
    seal_every: Option<u32>,
    /// Encrypt updates so that members alone read them: a key is made and wrapped for each member.
    /// Not together with seals.
    #[arg(long, conflicts_with = "seal_window")]
    private: bool,
    /// Peer id of a courier of a private federation, who carries updates without reading them; repeat
    /// for each.
    #[arg(long, value_name = "ID", requires = "private")]
    courier: Vec<PeerId>,
    /// Let members prove that their updates are within the norm bound, so that couriers and auditors can tell without
    /// reading them: the folder holds the proving keys (see `longhaul proofs`).
    #[arg(long, value_name = "DIR")]
    proofs: Option<PathBuf>,
    /// Send the updates of a bucket beyond it as one sum, and whole only where none came for so many epochs: for islands
    /// behind thin links. Each island is a trust root with --root-buckets 1.
    #[arg(long, value_name = "EPOCHS", requires = "proofs", value_parser = value_parser!(u32).range(1..))]
    aggregates: Option<u32>,
    /// Accept proving keys that one party made, who could forge proofs: to try things out.
    #[arg(long, requires = "proofs")]
    development_keys: bool,
}

impl NewArgs {
    fn clip(&self) -> Clip {
        match (self.clip_to_median, self.clip_adaptive) {
            (true, _) => Clip::Median,
            (_, true) => Clip::Adaptive,
            _ => Clip::None,
        }
    }

    fn buckets(&self) -> Buckets {
        match (self.buckets, self.root_buckets) {
            (Some(number), _) => Buckets::Drawn(number),
            (_, Some(number)) => Buckets::ByRoot(number),
            _ => Buckets::None,
        }
    }
}

/// A member as the command line names it.
#[derive(Debug, Clone, Copy)]
struct Member {
    peer: PeerId,
    /// The number of its trust root, or zero.
    trust_root: u16,
}

impl std::str::FromStr for Member {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, root) = text.split_once('@').unwrap_or((text, ""));
        let trust_root = match root.parse() {
            _ if id.len() == text.len() => 0,
            Ok(root @ 1..) => root,
            _ => return Err(format!("trust root {root:?}: use a number from 1 to 65535")),
        };
        let peer = id.parse::<PeerId>().map_err(|why| why.to_string())?;
        Ok(Self { peer, trust_root })
    }
}

pub(super) fn manifest(command: &ManifestCommand) -> anyhow::Result<ExitCode> {
    match command {
        ManifestCommand::New(args) => new(args),
        ManifestCommand::Show { file } => show(file),
    }
}

fn new(args: &NewArgs) -> anyhow::Result<ExitCode> {
    let plan = ManifestPlan {
        name: args.name.clone(),
        model: args.model.clone(),
        data: args.data.clone(),
        members: args.member.iter().map(|it| it.peer).collect(),
        trust_roots: args.member.iter().map(|it| it.trust_root).collect(),
        buckets: args.buckets(),
        start: clock::now().plus(Span::from_ms(args.start_in_ms)),
        epochs: args.epochs,
        epoch_length: Span::from_ms(args.epoch_ms),
        quorum: args.quorum,
        rule: args.rule,
        clip: args.clip(),
        encoding: args.encoding,
        mix_neighbours: args.mix_neighbours,
        staleness: args.staleness,
        samples_max: args.samples_max,
        steps: args.steps,
        batch: args.batch,
        rate: args.rate,
        schedule: args.schedule,
        pending: args.pending,
        proximal: args.proximal,
        momentum: args.momentum,
        outer_rate: args.outer_rate,
        outer_momentum: args.outer_momentum,
        norm_max: args.norm_max,
        attacker_share: args.attacker_share,
        seal: args
            .seal_window
            .zip(args.seal_every)
            .map(|(window_epochs, every_epochs)| SealPolicy { window_epochs, every_epochs }),
        private: args.private,
        proofs: args.proofs.clone(),
        aggregates: args.aggregates,
        development_keys: args.development_keys,
        couriers: args.courier.clone(),
        default_seconds: 0,
    };
    let manifest = make_manifest(&args.dir, &plan)?;
    let creator = manifest.manifest().creator;
    if manifest.manifest().member_index(&creator).is_none() {
        eprintln!("warning: your own id {creator} is not among the members");
    }
    fresh::write_new(&args.out, manifest.as_bytes(), Readers::Any)
        .context("a federation's manifest is made once")?;
    say!("{}", manifest.id());
    let recipe = &manifest.manifest().recipe;
    let attackers = plan.attackers();
    eprintln!(
        "Rule {}, {attackers} attackers assumed, {} authors make an epoch count",
        recipe.rule, recipe.quorum
    );
    if attackers == 0 && (recipe.rule != Rule::Mean || recipe.clip == Clip::Adaptive) {
        eprintln!(
            "warning: --attacker-share {} of {} members is less than one: the rule bears no attacker",
            args.attacker_share,
            manifest.manifest().members.len()
        );
    }
    eprintln!("Time: {}", Standing::of(manifest.manifest(), clock::now()));
    eprintln!("Wrote {}; give it to every member: longhaul join {0}", args.out.display());
    Ok(ExitCode::SUCCESS)
}

fn show(file: &std::path::Path) -> anyhow::Result<ExitCode> {
    let manifest = task::read_manifest(file)?;
    say!("{}", serde_json::to_string_pretty(&manifest.describe())?);
    eprintln!("Time: {}", Standing::of(manifest.manifest(), clock::now()));
    Ok(ExitCode::SUCCESS)
}

/// Arguments of `join`.
#[derive(Debug, Args)]
pub(super) struct JoinArgs {
    /// The manifest file.
    file: PathBuf,
    #[command(flatten)]
    dir: super::DirArg,
    /// Most room on the disk, such as '2 GiB'; written into longhaul.toml. Less than the
    /// federation may take is refused.
    #[arg(long, value_name = "SIZE")]
    quota: Option<Size>,
    /// Where updates are proved: the folder with the proving keys that the manifest names; they are copied into the
    /// data directory.
    #[arg(long, value_name = "DIR")]
    proving_keys: Option<PathBuf>,
    /// Print the forecast as JSON.
    #[arg(long)]
    json: bool,
}

/// Takes the manifest in `file` into the data directory, if `accept` has nothing against it; true if
/// the peer is a courier there.
pub(in crate::shell) fn join_data_dir(
    dir: &std::path::Path,
    file: &std::path::Path,
    proving: Option<&std::path::Path>,
    accept: impl FnOnce(&SignedManifest, bool) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let manifest = task::read_manifest(file)?;
    let mut store = Store::open(dir)?;
    let key = store.load_key()?;
    let me = key.peer_id();
    anyhow::ensure!(
        manifest.manifest().is_welcome(&me),
        "{me} is not a member of this federation; ask its creator for a manifest that lists this id"
    );
    manifest.keyring(&key)?;
    task::check_model(manifest.manifest())?;
    let courier = manifest.manifest().is_courier(&me);
    accept(&manifest, courier)?;
    if !courier {
        proving_keys::install(dir, manifest.manifest(), proving)?;
        // Keys that are not what they are named are found now, and not when the peer starts.
        proving_keys::prover(dir, &manifest, manifest.manifest().member_index(&me))?;
    }
    store.join(&manifest)?;
    Ok(courier)
}

pub(super) fn join(args: &JoinArgs) -> anyhow::Result<ExitCode> {
    let dir = &args.dir.dir;
    let config = Config::load(dir)?;
    let quota = args.quota.or(config.quota);
    let proving = args.proving_keys.as_deref();
    let mut next = "look at";
    let courier = join_data_dir(dir, &args.file, proving, |manifest, courier| {
        if manifest.manifest().is_ceremony() {
            next = "longhaul ceremony contribute; look at";
        }
        let standing = Standing::of(manifest.manifest(), clock::now());
        if let Standing::Over { .. } = standing {
            eprintln!(
                "warning: {standing}: nothing more is trained; is this device's clock right?"
            );
        } else {
            eprintln!("Time: {standing}");
        }
        if let Some(proofs) = &manifest.manifest().proofs {
            eprintln!("Updates are proved to be within the norm bound, on {}.", proofs.curve);
            if proofs.development {
                eprintln!(
                    "warning: the keys are for development: whoever made them can forge proofs"
                );
            }
        }
        // A courier keeps what it likes, within its quota.
        if courier {
            return Ok(());
        }
        let (wanted, set) = (&manifest.manifest().task.data, config.data.kind());
        if wanted != set && !manifest.manifest().is_ceremony() {
            eprintln!(
                "warning: the federation trains on {wanted} data, and {} says {set}: set [data] before `up`",
                dir.join("longhaul.toml").display()
            );
        }
        let room = Room::of(manifest, Some(dir), quota);
        if args.json {
            say!("{}", room.to_json());
        } else {
            room.lines().iter().for_each(|line| eprintln!("{line}"));
        }
        if let Some(warning) = room.warning() {
            eprintln!("warning: {warning}");
        }
        Ok(room.check()?)
    })?;
    if courier {
        eprintln!("You carry updates for this federation, and can't read them.");
    }
    if let Some(quota) = args.quota {
        Config::set_quota(dir, quota)?;
    }
    eprintln!(
        "Joined. Next: {next} {}, then longhaul up --dir {}",
        dir.join("longhaul.toml").display(),
        dir.display()
    );
    Ok(ExitCode::SUCCESS)
}
