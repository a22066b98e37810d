//! Room: what a federation takes of a member's disk, against what there is.
//!
//! A member never evicts the payload of an open slot, whatever its quota; so a quota that the
//! manifest's bounds do not fit in is refused before the peer joins, and again whenever
//! it comes up. A disk with less room than that is only warned of: it may be made larger.

use std::fs;
use std::path::Path;

use longhaul_dtn::routing::forecast::{Federation, Forecast, Traffic};
use longhaul_registry::{Manifest, SignedManifest};
use serde_json::{Value, json};

use super::size::Size;

/// The unit in which file systems give room to files.
const BLOCK_BYTES: u64 = 4_096;
/// How deep the files of a data directory lie.
const DEPTH_MAX: u32 = 4;

/// What a federation takes, and what there is for it.
#[derive(Debug, Clone)]
pub(in crate::shell) struct Room {
    federation: Federation,
    forecast: Forecast,
    id: String,
    seal_window: Option<u32>,
    quota: Option<Size>,
    /// Free for this user on the file system of the data directory; none where that is not known.
    free: Option<u64>,
    /// What the data directory takes already.
    taken: u64,
}

/// A quota that a federation does not fit in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a quota of {quota} is too small: this federation takes up to {} on the disk in its {epochs} \
     epochs, and a member may not evict what is open; give a quota of {} or more{advice}",
    needed.rounded_up(), needed.rounded_up()
)]
pub(in crate::shell) struct TooSmall {
    quota: Size,
    needed: Size,
    epochs: u32,
    /// What else may be done.
    advice: &'static str,
}

impl Room {
    /// Reckons for a member with its data in `dir`.
    pub fn of(manifest: &SignedManifest, dir: Option<&Path>, quota: Option<Size>) -> Self {
        let Manifest { seal, .. } = manifest.manifest();
        let federation = manifest.manifest().traffic(None);
        Self {
            forecast: federation.forecast(),
            federation,
            id: manifest.id().to_string(),
            seal_window: seal.map(|it| it.window_epochs),
            quota,
            free: dir.and_then(free_bytes),
            taken: dir.map_or(0, |dir| taken(dir, DEPTH_MAX)),
        }
    }

    /// Refuses a quota that is too small.
    pub fn check(&self) -> Result<(), TooSmall> {
        let Some(quota) = self.quota else { return Ok(()) };
        self.forecast.check(quota.bytes()).map_err(|error| TooSmall {
            quota,
            needed: Size::from_bytes(error.needed),
            epochs: error.epochs,
            advice: match self.seal_window {
                Some(_) => "",
                None => ", or ask its creator for one that seals old epochs (--seal-window)",
            },
        })
    }

    /// What to say of a disk with less room than it takes.
    pub fn warning(&self) -> Option<String> {
        let (needed, free) = (self.forecast.disk().saturating_sub(self.taken), self.free?);
        let [needed, free] = [needed, free].map(|it| Size::from_bytes(it).rounded_up());
        (self.forecast.disk() > self.free?.saturating_add(self.taken)).then(|| {
            format!(
                "the disk has {free} free, and this federation may take {needed} more: make room, \
                 or put the data directory elsewhere (--dir)"
            )
        })
    }

    /// One object, for programs.
    pub fn to_json(&self) -> Value {
        let Self { federation, forecast, .. } = self;
        let traffic = |it: &Traffic| {
            json!({
                "bytes_per_epoch": it.per_epoch,
                "bytes_per_day": it.per_day,
                "bytes_total": it.total,
            })
        };
        json!({
            "federation": self.id,
            "members": federation.members,
            "epochs": federation.epochs,
            "epoch_ms": federation.epoch.ms(),
            "seal_window": self.seal_window,
            "updates_per_epoch": federation.updates_per_epoch(),
            "update_bytes": federation.head_bytes + federation.payload_bytes,
            "received": traffic(&forecast.received),
            "sent": traffic(&forecast.sent),
            "sent_max": traffic(&forecast.sent_max),
            "disk_bytes": forecast.disk(),
            "disk_open_bytes": forecast.open(),
            "quota_bytes": self.quota.map(Size::bytes),
            "quota_suffices": self.check().is_ok(),
            "disk_free_bytes": self.free,
            "disk_suffices": self.warning().is_none(),
        })
    }

    /// Lines for people.
    pub fn lines(&self) -> Vec<String> {
        let Self { federation, forecast, .. } = self;
        let size = |bytes| Size::from_bytes(bytes).rounded_up();
        let row = |name: &str, it: &Traffic, note: &str| {
            let [epoch, day, total] = [it.per_epoch, it.per_day, it.total].map(size);
            format!("{name:<12}{epoch:>12}{day:>12}{total:>12}   {note}").trim_end().to_owned()
        };
        let seals = match self.seal_window {
            Some(window) => format!("sealed {window} epochs back"),
            None => "never sealed".to_owned(),
        };
        let mut lines = vec![
            format!("federation  {}", self.id),
            format!(
                "epochs      {} of {}, {} members, {seals}",
                federation.epochs, federation.epoch, federation.members
            ),
            format!(
                "updates     {} in an epoch, of about {}",
                federation.updates_per_epoch(),
                size(federation.head_bytes + federation.payload_bytes)
            ),
            format!("{:<12}{:>12}{:>12}{:>12}", "traffic", "epoch", "day", "in all"),
            row("  received", &forecast.received, ""),
            row("  sent", &forecast.sent, "on average over the members"),
            row("  sent", &forecast.sent_max, "if this one alone serves all others"),
            format!(
                "disk        up to {}, of which {} for open slots",
                size(forecast.disk()),
                size(forecast.open())
            ),
        ];
        lines.extend(self.quota.map(|quota| {
            let verdict = if self.check().is_ok() { "enough" } else { "too small" };
            format!("quota       {quota}: {verdict}")
        }));
        lines.extend(self.free.map(|free| format!("free        {}", size(free))));
        lines
    }
}

/// Bytes that are free for this user on the file system of a directory.
fn free_bytes(dir: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(dir).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

/// The room that the files in a directory take; what cannot be read takes none.
fn taken(dir: &Path, depth: u32) -> u64 {
    let Some(left) = depth.checked_sub(1) else { return 0 };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let room = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => taken(&entry.path(), left),
        Ok(meta) => meta.len().next_multiple_of(BLOCK_BYTES),
        Err(_) => 0,
    });
    room.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::store::testing;

    fn room(quota: Option<u64>) -> Room {
        Room::of(&testing::manifest("test"), None, quota.map(Size::from_bytes))
    }

    #[test]
    fn a_quota_of_what_is_needed_is_enough_and_a_byte_less_is_not() {
        let needed = room(None).forecast.disk();
        assert_eq!((room(None).check(), room(Some(needed)).check()), (Ok(()), Ok(())));
        let error = room(Some(needed - 1)).check().expect_err("a byte less").to_string();
        assert!(error.contains("too small") && error.contains("--seal-window"), "{error}");
    }

    #[test]
    fn warns_of_a_disk_with_too_little_room() {
        let needed = room(None).forecast.disk();
        let with = |free, taken| Room { free, taken, ..room(None) }.warning();
        assert_eq!((with(None, 0), with(Some(needed), 0)), (None, None));
        assert_eq!(with(Some(needed - 100), 100), None, "what is there already counts");
        assert!(with(Some(1_024), 0).expect("too little").contains("1.0 KiB free"));
    }

    #[test]
    fn lines_and_object_say_the_same() {
        let room = room(Some(1));
        let object = room.to_json();
        assert_eq!(object["disk_bytes"], room.forecast.disk());
        assert_eq!(object["quota_suffices"], false);
        let lines = room.lines().join("\n");
        for word in ["received", "on average", "up to", "quota       1 B: too small"] {
            assert!(lines.contains(word), "{word} in\n{lines}");
        }
    }

    #[test]
    fn measures_what_a_directory_takes() {
        let dir = std::env::temp_dir().join(format!("longhaul-room-{}", std::process::id()));
        fs::create_dir_all(dir.join("a/b")).expect("a temporary directory");
        fs::write(dir.join("a/b/x"), [0; 5_000]).expect("our own directory");
        fs::write(dir.join("y"), b"y").expect("our own directory");
        assert_eq!(taken(&dir, DEPTH_MAX), 3 * BLOCK_BYTES);
        assert_eq!(taken(&dir, 1), BLOCK_BYTES, "no deeper");
        assert!(free_bytes(&dir).is_some_and(|it| it > 0));
        assert_eq!((taken(&dir.join("none"), 9), free_bytes(&dir.join("none"))), (0, None));
        fs::remove_dir_all(dir).expect("our own directory");
    }
}
