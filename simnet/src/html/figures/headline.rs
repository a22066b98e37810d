//! The head of a page: what run it was, whether it passed, and the handful of
//! numbers that a reader looks for first.

use super::{delivery, rejections, traffic};
use crate::html::data::{CheckLine, GroupSeries, Header, Rejection, ReportData};
use crate::html::document::{Cell, Column, facts, table, verdict};
use crate::html::number;
use crate::html::svg::{escape, shortened};
use crate::html::thin;

/// A number with its name and a remark.
struct Tile {
    name: &'static str,
    value: String,
    remark: String,
}

/// The facts about a run.
pub fn run_facts(header: &Header) -> String {
    let simulated_s = header.simulated_ms as f64 / 1_000.0;
    let mut rows = vec![
        ("Seed", header.seed.to_string()),
        ("Peers", number::count(u64::from(header.peers))),
        ("Epochs", epochs(header)),
        ("Simulated", format!("{} h", number::significant(simulated_s / 3_600.0))),
    ];
    if let Some(wall_s) = header.wall_s.filter(|it| it.is_finite() && *it > 0.0) {
        let speed = number::significant(simulated_s / wall_s);
        rows.push(("Took", number::duration(wall_s)));
        rows.push(("Against real time", format!("{speed}×")));
    }
    rows.push(("Events", number::count(header.events)));
    rows.push(("Workers", number::count(u64::from(header.workers))));
    rows.push(("Version", header.version.clone()));
    let hashes = [
        ("Scenario hash", header.scenario_hash.clone()),
        ("Trace digest", header.trace_digest.clone()),
    ];
    facts("facts", &rows) + &facts("lines code", &hashes)
}

fn epochs(header: &Header) -> String {
    let epochs = number::count(u64::from(header.epochs));
    match header.epoch_ms {
        0 => epochs,
        epoch_ms => format!("{epochs} × {}", number::period(epoch_ms as f64 / 1_000.0)),
    }
}

/// Whether the run passed, in one line.
pub fn banner(checks: &[CheckLine]) -> String {
    let failed: Vec<_> = checks.iter().filter(|check| !check.passed).collect();
    let (class, words) = match (checks.len(), failed.len()) {
        (0, _) => ("none", "<b>No checks.</b> The scenario demands nothing.".to_owned()),
        (1, 0) => ("good", verdict(true, "Passed: the one check holds")),
        (all, 0) => ("good", verdict(true, &format!("Passed: all {all} checks hold"))),
        (all, bad) => {
            let first = failed.first().map_or("", |check| check.name.as_str());
            let others = if bad > 1 { format!(" and {} more", bad - 1) } else { String::new() };
            let words = format!("Failed: {bad} of {all} checks");
            let rest = format!(" — {}{others}", escape(&shortened(first, 120)));
            ("bad", verdict(false, &words) + &rest)
        }
    };
    format!("<p class=\"banner {class}\">{words}</p>\n")
}

/// The table of checks; empty when there are none.
pub fn checks(checks: &[CheckLine]) -> String {
    if checks.is_empty() {
        return String::new();
    }
    let columns = [("Verdict", Column::Short), ("Check", Column::Text), ("Found", Column::Text)];
    let row = |check: &CheckLine| {
        let words = if check.passed { "holds" } else { "fails" };
        vec![Cell::Verdict(check.passed, words), Cell::text(&check.name), Cell::text(&check.found)]
    };
    let rows: Vec<_> = checks.iter().map(row).collect();
    format!(
        "<section class=\"card broad\" id=\"checks\"><h3>Checks</h3>\n{}</section>\n",
        table(&columns, &rows)
    )
}

/// The numbers that a reader looks for first; empty when none was measured.
pub fn tiles(data: &ReportData) -> String {
    let tiles = [accuracy, models, delay, delivered, bytes, refused, sealed].map(|tile| tile(data));
    let mut html = String::new();
    for Tile { name, value, remark } in tiles.into_iter().flatten() {
        html += &format!(
            "<div><dt>{name}</dt><dd>{}</dd><dd class=\"remark\">{}</dd></div>\n",
            escape(&value),
            escape(&remark)
        );
    }
    if html.is_empty() { html } else { format!("<dl class=\"tiles\">\n{html}</dl>\n") }
}

fn accuracy(data: &ReportData) -> Option<Tile> {
    let last = |group: &GroupSeries| Some((group.peers, *thin::finite(&group.points).last()?));
    let lasts: Vec<_> = data.accuracy.groups.iter().filter_map(last).collect();
    let peers: f64 = lasts.iter().map(|(peers, _)| f64::from((*peers).max(1))).sum();
    let sum: f64 = lasts.iter().map(|(peers, it)| f64::from((*peers).max(1)) * it.mean).sum();
    let worst = lasts.iter().map(|(_, it)| it.min).reduce(f64::min)?;
    Some(Tile {
        name: "Accuracy at the end",
        value: number::significant(sum / peers),
        remark: format!("worst peer {}", number::significant(worst)),
    })
}

fn models(data: &ReportData) -> Option<Tile> {
    let last = data.agreement.last()?;
    let most = data.agreement.iter().map(|it| it.models).max()?;
    Some(Tile {
        name: "Models at the end",
        value: number::count(u64::from(last.models)),
        remark: format!("at most {} on the way", number::count(u64::from(most))),
    })
}

fn delay(data: &ReportData) -> Option<Tile> {
    let points = delivery::points(&data.delivery);
    points.first()?;
    let median = delivery::quantile(&points, 0.5);
    let late = delivery::quantile(&points, 0.99);
    let remark = match late {
        Some(late) => format!("99 % within {}", number::duration(late)),
        None => "99 % not reached".to_owned(),
    };
    Some(Tile {
        name: "Median delay",
        value: median.map_or("not reached".to_owned(), number::duration),
        remark,
    })
}

fn delivered(data: &ReportData) -> Option<Tile> {
    let points = delivery::points(&data.delivery);
    points.last()?;
    let missing = delivery::missing(&data.delivery, &points);
    Some(Tile {
        name: "Delivered",
        value: number::percent(1.0 - missing),
        remark: format!("of {} pairs", exact(data.delivery.deliverable)),
    })
}

fn bytes(data: &ReportData) -> Option<Tile> {
    let total = traffic::total_bytes(&data.traffic);
    let peers = f64::from(data.header.peers.max(1));
    (total > 0.0).then(|| Tile {
        name: "Bytes sent",
        value: number::bytes(total),
        remark: format!("{} per peer", number::bytes((total / peers).round())),
    })
}

fn refused(data: &ReportData) -> Option<Tile> {
    let sum = |value: fn(&Rejection) -> u64| {
        data.rejections.iter().fold(0_u64, |sum, it| sum.saturating_add(value(it)))
    };
    let all = sum(rejections::total);
    (all > 0).then(|| Tile {
        name: "Updates refused",
        value: exact(all),
        remark: format!("{} of honest peers", exact(sum(|it| it.from_honest))),
    })
}

fn sealed(data: &ReportData) -> Option<Tile> {
    let seals = data.seals.as_ref()?;
    let late = number::counted(seals.too_late_times(), "update", "updates");
    Some(Tile {
        name: "Epochs sealed",
        value: format!("{} of {}", seals.sealed_by_all(), data.header.epochs),
        remark: format!(
            "{late} too late, {} adopted",
            number::counted(seals.adopted_times(), "snapshot", "snapshots")
        ),
    })
}

/// A count, exactly while it is short.
fn exact(value: u64) -> String {
    if value < 100_000 { number::count(value) } else { number::short(value as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::testing;

    fn check(passed: bool) -> CheckLine {
        CheckLine { name: "end: <b>one</b> model".into(), passed, found: "2 models".into() }
    }

    #[test]
    fn the_banner_says_what_failed() {
        for (checks, class, words) in [
            (vec![], "none", "No checks"),
            (vec![check(true)], "good", "the one check holds"),
            (vec![check(true); 3], "good", "all 3 checks hold"),
            (vec![check(true), check(false)], "bad", "1 of 2 checks"),
            (vec![check(false); 3], "bad", "and 2 more"),
        ] {
            let html = banner(&checks);
            assert!(html.contains(&format!("banner {class}")) && html.contains(words), "{html}");
            assert!(!html.contains("<b>one"), "{html}");
        }
    }

    #[test]
    fn the_mean_weighs_groups_by_their_peers() {
        let mut data = testing::report();
        let ends = [(1, 1.0), (3, 0.6)];
        for (group, (peers, mean)) in data.accuracy.groups.iter_mut().zip(ends) {
            group.peers = peers;
            let last = group.points.last_mut().unwrap();
            (last.mean, last.min) = (mean, mean - 0.1);
        }
        let tile = accuracy(&data).unwrap();
        assert_eq!((tile.value.as_str(), tile.remark.as_str()), ("0.700", "worst peer 0.500"));
    }

    #[test]
    fn a_run_without_measurements_has_no_tiles() {
        assert!(tiles(&ReportData::default()).is_empty());
        assert!(checks(&[]).is_empty());
    }

    #[test]
    fn facts_leave_out_what_was_not_measured() {
        let html = run_facts(&Header { wall_s: Some(f64::NAN), epochs: 5, ..Header::default() });
        assert!(!html.contains("Took") && html.contains(">5<"), "{html}");
    }
}
