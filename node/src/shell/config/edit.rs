//! Edit: one key of a configuration that a person wrote, set without touching the rest.
//!
//! Comments and order are the person's. So the line of the key is replaced, or one is put
//! before the first section; nothing else changes.

use std::path::Path;

use super::{Config, ConfigError, EXAMPLE, FILE_NAME, write};
use crate::shell::size::Size;

impl Config {
    /// Sets the quota in the data directory `dir`, in [`EXAMPLE`] if there is no configuration.
    pub fn set_quota(dir: &Path, quota: Size) -> Result<(), ConfigError> {
        let path = dir.join(FILE_NAME);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => EXAMPLE.to_owned(),
            Err(source) => return Err(ConfigError::Io { action: "read", path, source }),
            Ok(text) => text,
        };
        write(path, &with_key(&text, "quota", &format!("\"{quota}\"")))
    }
}

/// `text` with the key, which is in no section, set to `value`.
fn with_key(text: &str, key: &str, value: &str) -> String {
    let line = format!("{key} = {value}");
    let lines: Vec<&str> = text.lines().collect();
    let top = lines.iter().position(|it| it.trim_start().starts_with('[')).unwrap_or(lines.len());
    let is_key = |it: &&str| it.split_once('=').is_some_and(|(name, _)| name.trim() == key);
    let (at, behind) = match lines[..top].iter().position(is_key) {
        Some(at) => (at, at + 1),
        None => (top, top),
    };
    let edited =
        lines[..at].iter().copied().chain([line.as_str()]).chain(lines[behind..].iter().copied());
    edited.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_line_and_keeps_the_rest() {
        let text = "# mine\nquota = \"1 GiB\" # old\nlog = \"warn\"\n[data]\nquota = 1\n";
        let edited = with_key(text, "quota", "\"2 GiB\"");
        assert_eq!(edited, "# mine\nquota = \"2 GiB\"\nlog = \"warn\"\n[data]\nquota = 1\n");
    }

    #[test]
    fn adds_a_line_before_the_sections() {
        assert_eq!(
            with_key("log = \"warn\"\n\n[data]\n", "quota", "1"),
            "log = \"warn\"\n\nquota = 1\n[data]\n"
        );
        assert_eq!(with_key("", "quota", "1"), "quota = 1\n");
        assert_eq!(with_key("# quota = 5", "quota", "1"), "# quota = 5\nquota = 1\n");
    }

    #[test]
    fn a_quota_that_is_set_is_read() {
        let dir = std::env::temp_dir().join(format!("longhaul-edit-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a temporary directory");
        for gib in [1, 7] {
            let quota = Size::from_bytes(gib << 30);
            Config::set_quota(&dir, quota).expect("our own directory");
            let read = Config::load(&dir).expect("well-formed");
            assert_eq!(read, Config { quota: Some(quota), ..Config::default() });
        }
        std::fs::remove_dir_all(dir).expect("our own directory");
    }
}
