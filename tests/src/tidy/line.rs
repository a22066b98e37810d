//! The line of crates: each uses only the crates to its left.
//!
//! Checked twice, in the manifests and in the paths that the code names, so
//! that neither a forgotten dependency nor a re-export blurs it.

use super::Violation;
use super::source::SourceFile;
use super::workspace::TextFile;

/// The crates from left to right, by their folders.
pub const LINE: [&str; 7] = ["dtn", "aggregation", "proofs", "registry", "node", "lab", "simnet"];

/// The files of `dtn` that hold the shared vocabulary and use nothing else of it.
pub const LEAVES: [&str; 4] =
    ["dtn/src/codec.rs", "dtn/src/hash.rs", "dtn/src/identity.rs", "dtn/src/time.rs"];

/// Checks the dependency tables of one crate's `Cargo.toml`.
pub fn check_manifest(manifest: &TextFile) -> Vec<Violation> {
    let Some(folder) = manifest.path.strip_suffix("/Cargo.toml") else {
        return Vec::new();
    };
    let Some(place) = place_of(folder) else {
        return Vec::new();
    };
    let mut in_table = false;
    let mut violations = Vec::new();
    for (index, line) in manifest.text.lines().map(str::trim).enumerate() {
        let name = if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            in_table = table.ends_with("dependencies");
            table.rsplit_once("dependencies.").map(|(_, name)| name)
        } else if in_table {
            line.split(['.', '=', ' ']).next()
        } else {
            None
        };
        let Some(crate_name) = name.and_then(|name| name.strip_prefix("longhaul-")) else {
            continue;
        };
        if place_of(crate_name).is_none_or(|used| used >= place) {
            let what = format!("`{folder}` depends on `{crate_name}`, which is not to its left");
            violations.push(Violation::new(&manifest.path, index + 1, what));
        }
    }
    violations
}

/// Checks the `longhaul_…` paths that one source file names.
pub fn check_paths(file: &SourceFile) -> Vec<Violation> {
    let Some(place) = place_of(file.top_folder()) else {
        return Vec::new();
    };
    let code = file.code();
    let named = code.match_indices("longhaul_").map(|(at, prefix)| {
        let rest = &code[at + prefix.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        (at, &rest[..end])
    });
    named
        .filter(|(_, name)| place_of(name).is_some_and(|used| used > place))
        .map(|(at, name)| {
            let what = format!("`{}` names `longhaul_{name}`, to its right", file.top_folder());
            Violation::new(file.path(), file.line_of(at), what)
        })
        .collect()
}

/// Checks that a leaf of `dtn` names nothing else of its crate.
pub fn check_leaf(file: &SourceFile) -> Vec<Violation> {
    if !LEAVES.contains(&file.path()) {
        return Vec::new();
    }
    ["crate::", "super::"]
        .into_iter()
        .flat_map(|start| file.code().match_indices(start).map(|(at, _)| at))
        .filter(|&at| !file.is_test(at))
        .map(|at| {
            Violation::new(
                file.path(),
                file.line_of(at),
                "a leaf of `dtn` names another file of it",
            )
        })
        .collect()
}

fn place_of(folder: &str) -> Option<usize> {
    LINE.iter().position(|&name| name == folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(folder: &str, text: &str) -> Vec<usize> {
        let file = TextFile { path: format!("{folder}/Cargo.toml"), text: text.to_owned() };
        check_manifest(&file).iter().map(Violation::line).collect()
    }

    fn lines(found: &[Violation]) -> Vec<usize> {
        found.iter().map(Violation::line).collect()
    }

    #[test]
    fn a_manifest_may_look_left_only() {
        let text = "[dependencies]\nlonghaul-dtn.workspace = true\nserde = \"1\"\n";
        assert!(manifest("registry", text).is_empty());
        assert_eq!(manifest("dtn", text), [2], "a crate is not to its own left");
        let text = "[dependencies]\nlonghaul-node = { path = \"x\" }\n";
        assert_eq!(manifest("registry", text), [2]);
        assert!(manifest("simnet", text).is_empty());
        assert!(manifest("tests", text).is_empty(), "the tests stand beside the line");
    }

    #[test]
    fn every_kind_of_dependency_table_counts() {
        for table in ["dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"] {
            assert_eq!(manifest("dtn", &format!("[{table}]\nlonghaul-node.workspace = true")), [2]);
        }
        assert_eq!(manifest("dtn", "[dependencies.longhaul-node]\npath = \"../node\""), [1]);
        assert!(manifest("dtn", "[features]\nlonghaul-node = []").is_empty());
    }

    #[test]
    fn code_may_name_left_only() {
        let text =
            "use longhaul_dtn::hash;\nfn f() { longhaul_node::peer::g() }\n// longhaul_node\n";
        assert_eq!(lines(&check_paths(&SourceFile::new("registry/src/x.rs", text))), [2]);
        assert!(check_paths(&SourceFile::new("node/src/main.rs", text)).is_empty());
        assert!(check_paths(&SourceFile::new("tests/tests/x.rs", text)).is_empty());
    }

    #[test]
    fn a_leaf_names_nothing_else() {
        let text = "pub(crate) fn f() {}\nuse crate::codec::Reader;\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n";
        assert_eq!(lines(&check_leaf(&SourceFile::new("dtn/src/time.rs", text))), [2]);
        assert!(check_leaf(&SourceFile::new("dtn/src/eid.rs", text)).is_empty());
    }
}
