//! Config: `longhaul.toml` in the data directory, read strictly.
//!
//! Every key is in [`EXAMPLE`] with its default, which a test compares with
//! [`Config::default`]. An unknown key is an error that names its line: a typing
//! mistake must not silently mean the default. What the members agree on is in
//! the manifest, not here. How the file is laid out is in [`file`].

mod edit;
mod file;
mod reach;

use std::io;
use std::path::{Path, PathBuf};

use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_registry::SignedManifest;

use super::net::{NetConfig, NetLimits, NetTiming, parse_address};
use super::size::Size;
use crate::train::{DeviceChoice, Partition};
use file::{File, parse, value};

pub use reach::ReachOptions;

/// The configuration file in a data directory.
const FILE_NAME: &str = "longhaul.toml";

/// Every key with its default and what it means; `init` writes this file.
pub const EXAMPLE: &str = r#"# Configuration of one Longhaul peer. Every key may be left out; the values
# below are the defaults. An unknown key is an error.

# Where to listen. Port 0 lets the system choose one; `longhaul up` prints it.
listen = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"]

# Peers to dial, as "<peer id>@<address>". Only members are ever dialled.
peers = []

# Addresses at which others reach this peer from outside, such as a port that a
# router forwards. They are told to rendezvous points.
announce = []

# Find members on the local network by multicast DNS.
mdns = true

# Folders whose bundles are exchanged with this peer, on a disk that somebody
# carries for one; relative to this file. They need not be there all the time.
folders = []

# Contacts over pipes: a device such as "/dev/ttyUSB0", or "exec:COMMAND" for a
# command that is spoken to over its standard input and output.
pipes = []

# Most room on the disk, such as "2 GiB", or "none". What a federation may take follows from its
# manifest (`longhaul forecast`): `join` and `up` refuse a quota below that, since a
# peer never deletes an update that others still need of it.
quota = "none"

# Where to train: "auto" (a GPU if there is one), "cpu", "vulkan" or "cuda".
device = "auto"

# How much to log: "error", "warn", "info", "debug" or "trace".
log = "info"

[data]
# "edgesense": the built-in sensor data, different on each device.
# "idx": gzipped IDX files (the format of MNIST) in the folder `dir`, relative to
# this file. Their training samples are split over `peers` peers in the way of
# `partition` ("iid", "dirichlet:ALPHA" or "shards:PER_PEER"), the same on every
# peer that has the same `seed`; this peer takes the part with number `index`,
# counted from 0:
#   kind = "idx"
#   dir = "mnist"
#   partition = "dirichlet:0.5"
#   peers = 5
#   index = 0
#   seed = 1
kind = "edgesense"

[limits]
# Most connections at a time.
connections = 128
# While the process uses more memory than this no connection is opened.
memory_mib = 2048

[contacts]
# Time between signs of life on a connection.
alive_every_ms = 2000
# A contact ends when a sign of life is not answered for so long. Raise it on
# links so slow that one takes longer to get through what is queued before it.
silent_max_ms = 6000
# Pause before a peer is dialled again; it doubles up to the longest.
redial_first_ms = 500
redial_longest_ms = 5000

[relay]
# Behind a NAT: relays through which others reach this peer, each as the address
# that `longhaul relay` prints, "/ip4/ADDRESS/tcp/PORT/p2p/ID". What passes through
# is encrypted from end to end; the relay sees who talks to whom and how much. If
# both NATs allow it, a direct connection takes the relayed one's place.
via = []
# Relay circuits for other members (nobody else can connect).
serve = false
# Bounds of that: peers that can be reached through this one, circuits at a time,
# circuits with one peer at an end, and what one circuit may move and last. A
# circuit that ends is made anew, and transfers go on where they stopped.
reservations = 128
circuits = 128
circuits_per_peer = 16
circuit_mib = 256
circuit_s = 3600

[rendezvous]
# Where to register under the federation's id and to look for members, as in
# relay.via. Without one, members are looked for at the relays in relay.via.
at = []
# Be a rendezvous point for other members.
serve = false

[autonat]
# Dial other members back that ask whether they can be reached.
answer = false
"#;

/// The configuration of a peer. Addresses are texts that [`Config::net`] checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where to listen.
    pub listen: Vec<String>,
    /// Peers to dial, `<peer id>@<address>`.
    pub peers: Vec<String>,
    /// Addresses at which others reach this peer from outside.
    pub announce: Vec<String>,
    /// Find members on the local network.
    pub mdns: bool,
    /// Folders whose bundles are exchanged.
    pub folders: Vec<PathBuf>,
    /// Pipes that lead to peers: a path, or `exec:COMMAND`.
    pub pipes: Vec<String>,
    /// Most room on the disk; none for as much as there is.
    pub quota: Option<Size>,
    /// Where to train.
    pub device: DeviceChoice,
    /// How much to log: error, warn, info, debug or trace.
    pub log: String,
    /// What to train on.
    pub data: DataConfig,
    /// Bounds on connections and memory.
    pub limits: NetLimits,
    /// How fast silence is noticed and peers are dialled again.
    pub timing: NetTiming,
    /// How the peer gets through NATs.
    pub reach: ReachOptions,
}

/// What to train on.
#[derive(Debug, Clone, PartialEq)]
pub enum DataConfig {
    /// The built-in sensor data.
    Edgesense,
    /// A part of the IDX files in a folder.
    Idx(IdxConfig),
}

impl DataConfig {
    /// The kind, as manifests name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Edgesense => "edgesense",
            Self::Idx(_) => "idx",
        }
    }
}

/// Which part of which IDX files is this peer's.
#[derive(Debug, Clone, PartialEq)]
pub struct IdxConfig {
    /// The folder with the files.
    pub dir: PathBuf,
    /// How the samples are split.
    pub partition: Partition,
    /// Number of parts.
    pub peers: usize,
    /// The part of this peer, from 0.
    pub index: usize,
    /// Number that all peers share; decides the split.
    pub split_seed: u64,
}

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file is not TOML, has an unknown key, or a value of another type.
    #[error("{}: {why}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column and what is wrong there.
        why: Box<toml::de::Error>,
    },
    /// A value has no meaning.
    #[error("longhaul.toml: {key}: {why}")]
    Value {
        /// The key, with its section.
        key: &'static str,
        /// What is wrong with its value.
        why: String,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec!["/ip4/0.0.0.0/tcp/0".to_owned(), "/ip4/0.0.0.0/udp/0/quic-v1".to_owned()],
            peers: Vec::new(),
            announce: Vec::new(),
            mdns: true,
            folders: Vec::new(),
            pipes: Vec::new(),
            quota: None,
            device: DeviceChoice::Auto,
            log: "info".to_owned(),
            data: DataConfig::Edgesense,
            limits: NetLimits::default(),
            timing: NetTiming::default(),
            reach: ReachOptions::default(),
        }
    }
}

impl IdxConfig {
    /// The seed of the split.
    pub fn seed(&self) -> [u8; 32] {
        let context = "longhaul 2026 data split seed v1";
        *ContentHash::derive(context, &self.split_seed.to_be_bytes()).as_bytes()
    }
}

impl Config {
    /// The defaults with IDX files in `dir`, split over `peers` by Dirichlet
    /// 0.5; this peer takes part 0 (see [`Config::with_part`]).
    pub fn for_images(dir: PathBuf, peers: usize) -> Self {
        let partition = Partition::Dirichlet { alpha: 0.5 };
        let idx = IdxConfig { dir, partition, peers, index: 0, split_seed: 1 };
        Self { data: DataConfig::Idx(idx), ..Self::default() }
    }

    /// The same configuration for the peer that takes part `index` of the data.
    pub fn with_part(mut self, index: usize) -> Self {
        if let DataConfig::Idx(idx) = &mut self.data {
            idx.index = index;
        }
        self
    }

    /// Reads the configuration in the data directory `dir`; the defaults if
    /// there is none.
    pub fn load(dir: &Path) -> Result<Self, ConfigError> {
        let path = dir.join(FILE_NAME);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ConfigError::Io { action: "read", path, source }),
            Ok(text) => text,
        };
        let file: File =
            toml::from_str(&text).map_err(|why| ConfigError::Parse { path, why: Box::new(why) })?;
        file.check(dir)
    }

    /// Writes [`EXAMPLE`] into `dir` unless there is a configuration already.
    pub fn save_example(dir: &Path) -> Result<(), ConfigError> {
        match dir.join(FILE_NAME) {
            path if path.exists() => Ok(()),
            path => write(path, EXAMPLE),
        }
    }

    /// Writes the configuration into the data directory `dir`.
    pub fn save(&self, dir: &Path) -> Result<(), ConfigError> {
        let text = toml::to_string(&File::of(self)).expect("the file is texts, numbers and flags");
        write(dir.join(FILE_NAME), &text)
    }

    /// What the network has to know, for a member of the federation.
    pub fn net(
        &self,
        key: &SecretKey,
        manifest: &SignedManifest,
    ) -> Result<NetConfig, ConfigError> {
        let listen = self.listen.iter().map(|text| {
            parse_address(text).map_err(|why| value("listen", format!("{text}: {why}")))
        });
        let peers = self.peers.iter().map(|text| parse("peers", text));
        Ok(NetConfig {
            key: key.clone(),
            listen: listen.collect::<Result<_, _>>()?,
            peers: peers.collect::<Result<_, _>>()?,
            members: manifest.manifest().welcome().copied().collect(),
            mdns: self.mdns,
            reach: self.reach.net(manifest.id(), &self.announce)?,
            limits: self.limits,
            timing: self.timing,
            spread_seed: *key.peer_id().as_bytes(),
        })
    }
}

fn write(path: PathBuf, text: &str) -> Result<(), ConfigError> {
    std::fs::write(&path, text).map_err(|source| ConfigError::Io { action: "write", path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let file: File = toml::from_str(text)
            .map_err(|why| ConfigError::Parse { path: FILE_NAME.into(), why: Box::new(why) })?;
        file.check(Path::new("/data"))
    }

    const IDX: &str = "[data]\nkind = \"idx\"\ndir = \"mnist\"\npartition = \"iid\"\n";

    #[test]
    fn the_example_is_the_default() {
        assert_eq!(read(EXAMPLE).expect("well-formed"), Config::default());
        assert_eq!(read("").expect("all left out"), Config::default());
    }

    #[test]
    fn the_example_names_every_key() {
        let example: toml::Table = EXAMPLE.parse().expect("well-formed");
        let all: toml::Table =
            toml::to_string(&File::default()).expect("writable").parse().expect("well-formed");
        assert_eq!(example, all);
    }

    #[test]
    fn reads_back_what_it_saves() {
        let dir = std::env::temp_dir().join(format!("longhaul-config-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a temporary directory");
        let images = Config {
            listen: vec!["/ip4/127.0.0.1/tcp/1".to_owned()],
            mdns: false,
            folders: vec![dir.join("disk")],
            pipes: vec!["exec:socat - /dev/ttyS0".to_owned()],
            quota: Some(Size::from_bytes(3 << 29)),
            device: DeviceChoice::Cpu,
            reach: ReachOptions {
                via: vec!["a relay".to_owned()],
                serves_relay: true,
                serves_rendezvous: true,
                answers_probes: true,
                ..ReachOptions::default()
            },
            ..Config::for_images("/files".into(), 5).with_part(3)
        };
        for config in [images, Config::default()] {
            config.save(&dir).expect("our own folder");
            assert_eq!(Config::load(&dir).expect("well-formed"), config);
        }
        Config::save_example(&dir).expect("it is there already");
        std::fs::remove_dir_all(&dir).expect("our own folder");
        assert_eq!(Config::load(&dir).expect("absent"), Config::default());
    }

    #[test]
    fn names_the_line_of_an_unknown_key() {
        for (text, line) in [
            ("mdns = true\n\nmdsn = true\n", "line 3"),
            ("[data]\nkind = \"edgesense\"\nfolder = \"x\"\n", "line 3"),
            ("[limits]\nconections = 1\n", "line 2"),
            ("[contacts]\nsilent = 1\n", "line 2"),
            ("[relay]\nserves = true\n", "line 2"),
            ("[rendezvous]\nvia = []\n", "line 2"),
            ("[autonat]\nanswer = 1\n", "line 2"),
            ("mdns = \"yes\"\n", "line 1"),
            ("[data]\nkind = \"mnist\"\n", "line 2"),
            ("listen = [\n", "line 1"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(line) && error.contains(FILE_NAME), "{text}: {error}");
        }
    }

    #[test]
    fn names_the_key_of_a_value_without_meaning() {
        for (text, key) in [
            ("device = \"npu\"".to_owned(), "device"),
            ("quota = \"much\"".to_owned(), "quota"),
            ("log = \"loud\"".to_owned(), "log"),
            ("[limits]\nconnections = 0".to_owned(), "limits.connections"),
            ("[limits]\nmemory_mib = 1".to_owned(), "limits.memory_mib"),
            ("[contacts]\nredial_longest_ms = 20".to_owned(), "contacts.redial_longest_ms"),
            ("[relay]\nreservations = 0".to_owned(), "relay.reservations"),
            ("[relay]\ncircuits = 0".to_owned(), "relay.circuits"),
            ("[relay]\ncircuits_per_peer = 99999".to_owned(), "relay.circuits_per_peer"),
            ("[relay]\ncircuit_mib = 0".to_owned(), "relay.circuit_mib"),
            ("[relay]\ncircuit_s = 9999999999".to_owned(), "relay.circuit_s"),
            ("[data]\nkind = \"edgesense\"\nseed = 1".to_owned(), "data.kind"),
            (format!("{IDX}index = 0"), "data.peers"),
            (format!("{IDX}peers = 5"), "data.index"),
            (format!("{IDX}peers = 5\nindex = 5"), "data.index"),
            (format!("{IDX}peers = 5\nindex = 0").replace("iid", "even"), "data.partition"),
        ] {
            let error = read(&text).expect_err(&text).to_string();
            assert!(error.contains(&format!("{key}: ")), "{text}: {error}");
        }
    }

    #[test]
    fn takes_a_data_folder_relative_to_the_file() {
        let config = read(&format!("{IDX}peers = 5\nindex = 4")).expect("well-formed");
        let DataConfig::Idx(idx) = config.data else { panic!("idx was asked for") };
        assert_eq!((idx.dir, idx.split_seed), (PathBuf::from("/data/mnist"), 1));
    }

    #[test]
    fn a_split_depends_on_its_seed() {
        let Config { data: DataConfig::Idx(one), .. } = Config::for_images("x".into(), 2) else {
            panic!("images are idx files")
        };
        let two = IdxConfig { split_seed: 2, ..one.clone() };
        assert_ne!(one.seed(), two.seed());
    }
}
