//! File: how the configuration is laid out in TOML, and what each value may be.
//!
//! Unknown keys and wrong types are found by the TOML reader, which knows the
//! line; values without meaning are found here and named by their key.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::reach::{self, AutonatSection, RelaySection, RendezvousSection};
use super::{Config, ConfigError, DataConfig, IdxConfig};
use crate::shell::net::{NetLimits, NetTiming, RedialPolicy};
use crate::shell::pipe::PipeAddress;
use crate::shell::size::Size;

/// What stands for a quota where there is none.
const NO_QUOTA: &str = "none";

/// The file as it is written; what is left out has its default.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    listen: Vec<String>,
    peers: Vec<String>,
    announce: Vec<String>,
    mdns: bool,
    folders: Vec<PathBuf>,
    pipes: Vec<String>,
    quota: String,
    device: String,
    log: String,
    data: DataSection,
    limits: LimitsSection,
    contacts: ContactsSection,
    relay: RelaySection,
    rendezvous: RendezvousSection,
    autonat: AutonatSection,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DataSection {
    kind: DataKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    dir: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum DataKind {
    Edgesense,
    Idx,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsSection {
    connections: u32,
    memory_mib: usize,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct ContactsSection {
    alive_every_ms: u64,
    silent_max_ms: u64,
    redial_first_ms: u64,
    redial_longest_ms: u64,
}

impl Default for File {
    fn default() -> Self {
        Self::of(&Config::default())
    }
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self::of(&NetLimits::default())
    }
}

impl Default for ContactsSection {
    fn default() -> Self {
        Self::of(&NetTiming::default())
    }
}

impl File {
    pub(super) fn of(config: &Config) -> Self {
        let (relay, rendezvous, autonat) = reach::of(&config.reach);
        Self {
            listen: config.listen.clone(),
            peers: config.peers.clone(),
            announce: config.announce.clone(),
            mdns: config.mdns,
            folders: config.folders.clone(),
            pipes: config.pipes.clone(),
            quota: config.quota.map_or_else(|| NO_QUOTA.to_owned(), |quota| quota.to_string()),
            device: config.device.to_string(),
            log: config.log.clone(),
            data: DataSection::of(&config.data),
            limits: LimitsSection::of(&config.limits),
            contacts: ContactsSection::of(&config.timing),
            relay,
            rendezvous,
            autonat,
        }
    }

    pub(super) fn check(self, dir: &Path) -> Result<Config, ConfigError> {
        let levels = ["error", "warn", "info", "debug", "trace"];
        if !levels.contains(&self.log.as_str()) {
            return Err(value("log", format!("`{}` is none of {}", self.log, levels.join(", "))));
        }
        let config = Config {
            listen: self.listen,
            peers: self.peers,
            announce: self.announce,
            mdns: self.mdns,
            folders: self.folders.into_iter().map(|folder| dir.join(folder)).collect(),
            pipes: self.pipes.into_iter().map(|pipe| in_file(&pipe)).collect::<Result<_, _>>()?,
            quota: quota(&self.quota)?,
            device: parse("device", &self.device)?,
            log: self.log,
            data: self.data.check(dir)?,
            limits: self.limits.check()?,
            timing: self.contacts.check()?,
            reach: reach::check((self.relay, self.rendezvous, self.autonat))?,
        };
        Ok(config)
    }
}

impl DataSection {
    fn of(data: &DataConfig) -> Self {
        let kind = DataKind::Edgesense;
        let none = Self { kind, dir: None, partition: None, peers: None, index: None, seed: None };
        match data {
            DataConfig::Edgesense => none,
            DataConfig::Idx(idx) => Self {
                kind: DataKind::Idx,
                dir: Some(idx.dir.clone()),
                partition: Some(idx.partition.to_string()),
                peers: Some(idx.peers),
                index: Some(idx.index),
                seed: Some(idx.split_seed),
            },
        }
    }

    fn check(self, dir: &Path) -> Result<DataConfig, ConfigError> {
        let Self { kind, dir: files, partition, peers, index, seed } = self;
        if kind == DataKind::Edgesense {
            let given = files.is_some() || partition.is_some() || peers.is_some();
            if given || index.is_some() || seed.is_some() {
                let why = "dir, partition, peers, index and seed need kind = \"idx\"".to_owned();
                return Err(value("data.kind", why));
            }
            return Ok(DataConfig::Edgesense);
        }
        let peers = given("data.peers", peers)?;
        let index = given("data.index", index)?;
        if index >= peers {
            return Err(value("data.index", format!("{index} is not below data.peers = {peers}")));
        }
        Ok(DataConfig::Idx(IdxConfig {
            dir: dir.join(given("data.dir", files)?),
            partition: parse("data.partition", &given("data.partition", partition)?)?,
            peers,
            index,
            split_seed: seed.unwrap_or(1),
        }))
    }
}

impl LimitsSection {
    fn of(limits: &NetLimits) -> Self {
        Self { connections: limits.connections_max, memory_mib: limits.memory_bytes_max >> 20 }
    }

    fn check(self) -> Result<NetLimits, ConfigError> {
        Ok(NetLimits {
            connections_max: within("limits.connections", self.connections, 1..=65_536)?,
            memory_bytes_max: within("limits.memory_mib", self.memory_mib, 64..=1 << 20)? << 20,
            ..NetLimits::default()
        })
    }
}

impl ContactsSection {
    fn of(timing: &NetTiming) -> Self {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self {
            alive_every_ms: ms(timing.alive_every),
            silent_max_ms: ms(timing.silent_max),
            redial_first_ms: ms(timing.redial.first),
            redial_longest_ms: ms(timing.redial.longest),
        }
    }

    fn check(self) -> Result<NetTiming, ConfigError> {
        let span = |key, ms| within(key, ms, 10..=3_600_000).map(Duration::from_millis);
        let first = span("contacts.redial_first_ms", self.redial_first_ms)?;
        let longest = span("contacts.redial_longest_ms", self.redial_longest_ms)?;
        if longest < first {
            let why = "is below contacts.redial_first_ms".to_owned();
            return Err(value("contacts.redial_longest_ms", why));
        }
        Ok(NetTiming {
            alive_every: span("contacts.alive_every_ms", self.alive_every_ms)?,
            silent_max: span("contacts.silent_max_ms", self.silent_max_ms)?,
            redial: RedialPolicy { first, longest },
            ..NetTiming::default()
        })
    }
}

/// A pipe of the file; the standard input and output can only be named on the command line.
fn in_file(pipe: &str) -> Result<String, ConfigError> {
    match parse::<PipeAddress>("pipes", pipe)? {
        PipeAddress::Standard => {
            Err(value("pipes", "`-` is for the command line: longhaul up --pipe -".to_owned()))
        }
        PipeAddress::Path(_) | PipeAddress::Command(_) => Ok(pipe.to_owned()),
    }
}

fn quota(text: &str) -> Result<Option<Size>, ConfigError> {
    if text == NO_QUOTA { Ok(None) } else { parse("quota", text).map(Some) }
}

pub(super) fn value(key: &'static str, why: String) -> ConfigError {
    ConfigError::Value { key, why }
}

fn given<T>(key: &'static str, found: Option<T>) -> Result<T, ConfigError> {
    found.ok_or_else(|| value(key, "is needed with data.kind = \"idx\"".to_owned()))
}

pub(super) fn parse<T: FromStr<Err: Display>>(
    key: &'static str,
    text: &str,
) -> Result<T, ConfigError> {
    text.parse().map_err(|why| value(key, format!("{text}: {why}")))
}

pub(super) fn within<T>(
    key: &'static str,
    found: T,
    range: RangeInclusive<T>,
) -> Result<T, ConfigError>
where
    T: PartialOrd + Display + Copy,
{
    if range.contains(&found) {
        return Ok(found);
    }
    let (least, most) = (range.start(), range.end());
    Err(value(key, format!("{found} is not within {least} to {most}")))
}
