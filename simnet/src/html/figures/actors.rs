//! Who worked against the run: tables of adversaries and faults.

use crate::html::data::{Adversary, FaultLine};
use crate::html::document::{Cell, Column, table};
use crate::html::number;

/// The table of adversaries, or a sentence.
pub fn adversaries(adversaries: &[Adversary]) -> String {
    let columns = [
        ("Adversary", Column::Text),
        ("Peers", Column::Text),
        ("n", Column::Number),
        ("Acted", Column::Number),
    ];
    let row = |it: &Adversary| {
        vec![
            Cell::text(&it.kind),
            Cell::text(number::ranges(&it.peers)),
            Cell::text(number::count(it.peers.len() as u64)),
            acted(it.acted),
        ]
    };
    let rows: Vec<_> = adversaries.iter().map(row).collect();
    section("adversaries", "Adversaries", "All peers were honest.", &columns, &rows)
}

/// The table of faults, or a sentence.
pub fn faults(faults: &[FaultLine]) -> String {
    let columns = [
        ("Fault", Column::Text),
        ("Peers", Column::Text),
        ("From", Column::Number),
        ("To", Column::Number),
        ("Acted", Column::Number),
    ];
    let row = |it: &FaultLine| {
        let peers = if it.peers.is_empty() { "all".to_owned() } else { number::ranges(&it.peers) };
        let to = it.to_s.map_or_else(|| number::NOTHING.to_owned(), number::duration);
        vec![
            Cell::text(&it.kind),
            Cell::text(peers),
            Cell::text(number::duration(it.from_s)),
            Cell::text(to),
            acted(it.acted),
        ]
    };
    let rows: Vec<_> = faults.iter().map(row).collect();
    section("faults", "Faults", "No faults were declared.", &columns, &rows)
}

/// What was declared and never happened shows nothing, and says so.
fn acted(times: u64) -> Cell {
    match times {
        0 => Cell::Verdict(false, "never"),
        times => Cell::text(number::counted(times, "time", "times")),
    }
}

fn section(
    id: &str,
    title: &str,
    nothing: &str,
    columns: &[(&str, Column)],
    rows: &[Vec<Cell>],
) -> String {
    let (class, content) = if rows.is_empty() {
        ("card nothing", format!("<p>{nothing}</p>"))
    } else {
        ("card", table(columns, rows))
    };
    format!("<section class=\"{class}\" id=\"{id}\"><h3>{title}</h3>\n{content}</section>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_acted_is_marked() {
        let kind = "sign flip".to_owned();
        let html = adversaries(&[Adversary { kind, peers: vec![1, 2, 3], acted: 0 }]);
        assert!(html.contains("1–3") && html.contains("class=\"bad\""), "{html}");
    }

    #[test]
    fn nobody_is_a_sentence() {
        assert!(adversaries(&[]).contains("All peers were honest."));
        assert!(faults(&[]).contains("No faults were declared."));
    }

    #[test]
    fn a_fault_of_a_moment_has_no_end() {
        let fault =
            FaultLine { kind: "crash".into(), peers: vec![], from_s: 60.0, to_s: None, acted: 1 };
        let html = faults(&[fault]);
        assert!(html.contains(">60.0 s<") && html.contains(">–<") && html.contains(">all<"));
    }
}
