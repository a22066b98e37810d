//! The tidy rules, applied to this workspace.
//!
//! Each test is one rule and lists every place that breaks it. The rules
//! themselves, and tests which show that each can fail, are in `src/tidy`.

use std::path::Path;

use longhaul_tests::tidy::counts::{Count, TESTS_PER_1000_LINES_MIN};
use longhaul_tests::tidy::source::SourceFile;
use longhaul_tests::tidy::workspace::Workspace;
use longhaul_tests::tidy::{Violation, dependencies, line, links, listing, places, privacy, shape};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies inside the workspace")
}

fn workspace() -> Workspace {
    let workspace = Workspace::load(root()).expect("the workspace is readable");
    assert!(workspace.sources.len() > 10, "found {} sources only", workspace.sources.len());
    workspace
}

fn hold(rule: &str, violations: &[Violation]) {
    assert!(violations.is_empty(), "{rule}:\n{}", listing(violations));
}

fn hold_everywhere(rule: &str, check: fn(&SourceFile) -> Vec<Violation>) {
    hold(rule, &workspace().sources.iter().flat_map(check).collect::<Vec<_>>());
}

#[test]
fn crates_depend_on_crates_to_their_left() {
    let workspace = workspace();
    let manifests = workspace.texts.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    let violations: Vec<_> = manifests.flat_map(line::check_manifest).collect();
    hold("a crate uses only crates to its left", &violations);
}

#[test]
fn crates_name_crates_to_their_left() {
    hold_everywhere("a crate uses only crates to its left", line::check_paths);
}

#[test]
fn leaves_of_dtn_use_nothing_of_dtn() {
    let workspace = workspace();
    for leaf in line::LEAVES {
        assert!(workspace.text(leaf).is_some(), "{leaf} is missing");
    }
    hold_everywhere("the vocabulary uses nothing else of dtn", line::check_leaf);
}

#[test]
fn every_file_says_what_it_is() {
    hold_everywhere("every file opens with `//!`", shape::check_opening);
}

#[test]
fn no_function_is_long() {
    hold_everywhere("functions fit on a screen", shape::check_functions);
}

#[test]
fn no_file_is_long() {
    hold_everywhere("one noun per file", shape::check_length);
}

#[test]
fn replaceable_dependencies_have_one_wrapper() {
    let workspace = workspace();
    for name in places::WRAPPED {
        hold("one wrapper per dependency", &places::check_wrapped(&workspace.sources, name));
    }
}

#[test]
fn files_are_touched_in_the_shell() {
    hold_everywhere("only the shell and the binaries touch files", places::check_files);
}

#[test]
fn nothing_below_the_shell_is_async() {
    hold_everywhere("machines below the shell are plain functions", places::check_async);
}

#[test]
fn product_code_never_unwraps() {
    hold_everywhere("bad input is an error, never a panic", places::check_unwrap);
}

#[test]
fn nothing_unfinished_is_left() {
    hold_everywhere("what is in the tree is finished", places::check_unfinished);
}

#[test]
fn lints_are_lifted_with_a_reason() {
    hold_everywhere(
        "a lint is lifted with a reason, a ban in the shell",
        places::check_lifted_lints,
    );
}

#[test]
fn there_are_enough_tests() {
    let workspace = workspace();
    for file in &workspace.sources {
        let Count { lines, tests } = Count::of(file);
        println!("{lines:5} lines {tests:3} tests  {}", file.path());
    }
    let sum = Count::sum(workspace.sources.iter().map(Count::of));
    let Count { lines, tests } = sum;
    println!("{lines:5} lines {tests:3} tests  together");
    assert!(
        sum.is_enough(),
        "{tests} tests for {lines} lines; {TESTS_PER_1000_LINES_MIN} per 1,000 lines are the least"
    );
}

#[test]
fn binaries_carry_no_more_than_they_need() {
    for bound in dependencies::BOUNDS {
        let tree = dependencies::tree(env!("CARGO"), root(), bound.package)
            .unwrap_or_else(|error| panic!("cargo tree for {}: {error}", bound.package));
        assert!(tree.starts_with(bound.package), "not a tree of {}:\n{tree}", bound.package);
        let banned = dependencies::banned_in(&tree, &bound);
        assert!(banned.is_empty(), "{} carries {}", bound.package, banned.join(", "));
    }
}

#[test]
fn no_peer_carries_attacks() {
    let has = |package: &str| {
        let features = dependencies::features(env!("CARGO"), root(), package)
            .unwrap_or_else(|error| panic!("cargo tree for {package}: {error}"));
        features.iter().any(|it| it == dependencies::ATTACKS)
    };
    for package in ["longhaul-aggregation", "longhaul-registry", "longhaul-node"] {
        assert!(!has(package), "{package} is built with the attacks of longhaul-aggregation");
    }
    for package in ["longhaul-lab", "longhaul-simnet"] {
        assert!(has(package), "{package} attacks nobody, so this test shows nothing");
    }
}

#[test]
fn documents_exist_and_link_to_files() {
    let workspace = workspace();
    hold("a stranger finds these documents", &links::check_expected(&workspace));
    let exists = |path: &str| workspace.paths.iter().any(|known| known == path);
    let documents = workspace.texts.iter().filter(|file| file.path.ends_with(".md"));
    let violations: Vec<_> =
        documents.flat_map(|document| links::check_document(document, exists)).collect();
    hold("a relative link names a file", &violations);
}

#[test]
fn no_text_names_one_machine() {
    let violations: Vec<_> = workspace().texts.iter().flat_map(privacy::check_text).collect();
    hold("the project speaks of no machine or private network", &violations);
}

#[test]
fn packages_come_from_the_public_registry() {
    let workspace = workspace();
    let lock = workspace.text("Cargo.lock").expect("Cargo.lock is committed");
    hold("packages come from crates.io", &privacy::check_lock(lock));
}
