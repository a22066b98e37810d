//! The dependency trees: what a binary does not carry.
//!
//! The auditor is small enough to be read, the simulator touches no network and
//! no disk index. `cargo tree` knows what really gets compiled in.

use std::process::Command;
use std::{io, path::Path};

/// A package and what must not be in its tree.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// The package whose normal dependencies are listed.
    pub package: &'static str,
    /// Packages that must not occur; a name also stands for `name-*`.
    pub banned: &'static [&'static str],
}

/// The bounds of this workspace.
pub const BOUNDS: [Bound; 4] = [
    Bound { package: "longhaul-dtn", banned: &["tokio", "libp2p", "burn", "sled", "serde"] },
    Bound {
        package: "longhaul-aggregation",
        banned: &["tokio", "libp2p", "burn", "sled", "serde"],
    },
    Bound { package: "longhaul-registry", banned: &["tokio", "libp2p", "burn", "sled"] },
    Bound { package: "longhaul-simnet", banned: &["libp2p", "sled"] },
];

/// The feature of `longhaul-aggregation` that no peer is built with.
pub const ATTACKS: &str = "attacks";

/// Runs `cargo tree` for `package` in the workspace at `root`, offline.
pub fn tree(cargo: &str, root: &Path, package: &str) -> io::Result<String> {
    listed(cargo, root, package, "{p}")
}

/// The features that `longhaul-aggregation` is built with for `package`.
pub fn features(cargo: &str, root: &Path, package: &str) -> io::Result<Vec<String>> {
    let tree = listed(cargo, root, package, "{p}|{f}")?;
    let lines = tree.lines().filter(|line| line.starts_with("longhaul-aggregation "));
    let features = lines.filter_map(|line| line.split_once('|')).flat_map(|it| it.1.split(','));
    Ok(features.map(|it| it.trim_end_matches(" (*)").to_owned()).collect())
}

fn listed(cargo: &str, root: &Path, package: &str, format: &str) -> io::Result<String> {
    let output = Command::new(cargo)
        .args(["tree", "--package", package, "--edges", "normal"])
        .args(["--prefix", "none", "--format", format, "--offline", "--locked"])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The banned packages that occur in a tree, by name, each once.
pub fn banned_in(tree: &str, bound: &Bound) -> Vec<String> {
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    let is_banned = |name: &&str| {
        let hits = |banned: &&str| {
            name.strip_prefix(banned).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        bound.banned.iter().any(hits)
    };
    let mut found: Vec<_> = names.filter(is_banned).map(str::to_owned).collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Bound = Bound { package: "longhaul-registry", banned: &["tokio", "burn"] };

    #[test]
    fn finds_a_banned_package_and_its_family() {
        let tree =
            "longhaul-registry v0.1.0\nburn-core v0.22.1\ntokio v1.54.0\ntokio v1.54.0 (*)\n";
        assert_eq!(banned_in(tree, &BOUND), ["burn-core", "tokio"]);
    }

    #[test]
    fn other_packages_may_begin_alike() {
        assert!(
            banned_in("longhaul-registry v0.1.0\nburning v1.0.0\n\nclap v4.6.0\n", &BOUND)
                .is_empty()
        );
    }

    #[test]
    fn an_unknown_package_is_an_error() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(tree(env!("CARGO"), root, "longhaul-nobody").is_err());
    }
}
