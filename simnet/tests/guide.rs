//! Every TOML example of the guide is a scenario, or fits into the one that the guide
//! makes at its beginning.

use longhaul_simnet::scenario::cells;
use longhaul_simnet::{Scenario, builtin, check_federation};
use toml::{Table, Value};

const GUIDE: &str = include_str!("../../docs/simulator.md");

/// The blocks marked as TOML, each with the line on which it begins.
fn blocks() -> Vec<(usize, String)> {
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(GUIDE.lines()) {
        match line {
            "```toml" => {
                inside = true;
                blocks.push((number, String::new()));
            }
            "```" => inside = false,
            _ if inside => {
                let (_, block) = blocks.last_mut().expect("a block was begun");
                *block += line;
                *block += "\n";
            }
            _ => {}
        }
    }
    assert!(!inside, "the last block has no end");
    blocks
}

/// A block for each alternative: a key that stands several times in one table is meant
/// to be written once.
fn alternatives(block: &str) -> Vec<String> {
    let key = |line: &str| {
        let is_entry = line.starts_with(|first: char| first.is_ascii_lowercase());
        line.split_once(" = ").filter(|_| is_entry).map(|(key, _)| key.to_owned())
    };
    let mut table = 0;
    let mut entries: Vec<(usize, Option<String>, &str)> = Vec::new();
    for line in block.lines() {
        table += usize::from(line.starts_with('['));
        entries.push((table, key(line), line));
    }
    let same = |at: usize| {
        let (table, key, _) = &entries[at];
        let others = entries.iter().enumerate().filter(|(_, it)| key.is_some() && it.1 == *key);
        others.filter(|(_, it)| it.0 == *table).map(|(at, _)| at).collect::<Vec<_>>()
    };
    let chosen = (0..entries.len()).filter(|&at| same(at).len() != 1 && entries[at].1.is_some());
    let without_twins = |chosen: usize| {
        let stays = |at: &usize| match same(*at).as_slice() {
            [] | [_] => true,
            twins if twins.contains(&chosen) => *at == chosen,
            twins => *at == twins[0],
        };
        (0..entries.len()).filter(stays).map(|at| entries[at].2).collect::<Vec<_>>().join("\n")
    };
    let all: Vec<_> = chosen.map(without_twins).collect();
    if all.is_empty() { vec![block.to_owned()] } else { all }
}

/// Writes the entries of `from` over those of `into`, tables entry by entry.
fn overlay(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => overlay(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// What `check smoke > my.toml` writes.
fn mine() -> Table {
    let smoke = builtin::text("smoke").expect("a built-in scenario");
    let smoke = Scenario::from_toml(smoke).expect("a scenario").to_toml();
    toml::from_str(&smoke).expect("TOML")
}

#[test]
fn every_example_can_be_used() {
    let blocks = blocks();
    let mut tried = 0;
    for (line, block) in &blocks {
        for example in alternatives(block) {
            let table: Table = toml::from_str(&example)
                .unwrap_or_else(|error| panic!("line {line}: {error}\n{example}"));
            let mut whole = mine();
            // Where nobody trains, nothing is learnt that a check could look at.
            if table.contains_key("transport") {
                whole.remove("checks");
            }
            overlay(&mut whole, table);
            let scenario = Scenario::from_toml(&whole.to_string())
                .unwrap_or_else(|error| panic!("line {line}: {error}\n{example}"));
            check_federation(&scenario)
                .unwrap_or_else(|error| panic!("line {line}: {error}\n{example}"));
            if scenario.sweep.is_some() {
                cells(&whole.to_string()).unwrap_or_else(|error| panic!("line {line}: {error}"));
            }
            tried += 1;
        }
    }
    assert!(blocks.len() > 8 && tried > 40, "{} blocks, {tried} examples", blocks.len());
}

#[test]
fn alternatives_are_tried_one_by_one() {
    let block = "[a]\n# one of\nx = 1\nx = 2\ny = 3\n[b]\nx = 4\n";
    assert_eq!(
        alternatives(block),
        ["[a]\n# one of\nx = 1\ny = 3\n[b]\nx = 4", "[a]\n# one of\nx = 2\ny = 3\n[b]\nx = 4"]
    );
    assert_eq!(alternatives("x = 1\n"), ["x = 1\n"]);
}
