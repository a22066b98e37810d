//! Refused updates by reason, told apart by whose they were.

use super::bars::{self, Row};
use crate::html::axis::Axis;
use crate::html::chart::n_of;
use crate::html::data::{Rejection, ReportData};
use crate::html::document::{Content, Figure};
use crate::html::number;
use crate::html::paint::Paint;

/// Most reasons; the rest share a row.
const REASONS_MAX: usize = 14;
/// Whose updates are refused, with their colours.
const SOURCES: [(&str, Paint); 3] = [
    ("by adversaries", Paint::Series(1)),
    ("by honest peers", Paint::Series(0)),
    ("author unknown", Paint::Series(6)),
];

/// The figure.
pub fn figure(data: &ReportData) -> Figure {
    let all = data.rejections.iter().fold(0_u64, |sum, it| sum.saturating_add(total(it)));
    let content = if all == 0 {
        Content::Nothing("No update was refused.".to_owned())
    } else {
        Content::Column(draw(&data.rejections))
    };
    let caption = format!(
        "Refused updates by reason and author; each peer that refuses an update counts once. {}.",
        n_of(all, "refusal", "refusals")
    );
    let (id, title) = ("rejections".to_owned(), "Refused updates".to_owned());
    Figure { id, title, caption, content }
}

/// All refusals for one reason.
pub fn total(rejection: &Rejection) -> u64 {
    let Rejection { from_adversaries, from_honest, from_unknown, .. } = *rejection;
    from_adversaries.saturating_add(from_honest).saturating_add(from_unknown)
}

fn draw(rejections: &[Rejection]) -> crate::html::svg::Drawing {
    let rows = ranked(rejections);
    let most = rows.iter().map(total).max().unwrap_or(0) as f64;
    let seen = |source: usize| rows.iter().any(|it| parts(it)[source] > 0);
    let keys: Vec<_> = (0..3).filter(|&it| seen(it)).map(|it| SOURCES[it]).collect();
    let rows: Vec<_> = rows.iter().map(row).collect();
    bars::draw(&rows, Axis::of_counts("Refusals", most, 5), &keys)
}

/// Most refusals first; beyond the limit the rest together.
fn ranked(rejections: &[Rejection]) -> Vec<Rejection> {
    let mut rows: Vec<_> = rejections.iter().filter(|it| total(it) > 0).cloned().collect();
    rows.sort_by(|a, b| total(b).cmp(&total(a)).then_with(|| a.reason.cmp(&b.reason)));
    if rows.len() > REASONS_MAX {
        let rest = rows.split_off(REASONS_MAX - 1);
        let sum = |value: fn(&Rejection) -> u64| {
            rest.iter().fold(0_u64, |sum, it| sum.saturating_add(value(it)))
        };
        rows.push(Rejection {
            reason: format!("{} other reasons", rest.len()),
            from_adversaries: sum(|it| it.from_adversaries),
            from_honest: sum(|it| it.from_honest),
            from_unknown: sum(|it| it.from_unknown),
        });
    }
    rows
}

const fn parts(rejection: &Rejection) -> [u64; 3] {
    [rejection.from_adversaries, rejection.from_honest, rejection.from_unknown]
}

fn row(rejection: &Rejection) -> Row {
    let part = |(count, (name, paint)): (u64, (&str, Paint))| {
        (paint, count as f64, format!("{}, {name}: {}", rejection.reason, number::count(count)))
    };
    Row {
        name: rejection.reason.clone(),
        parts: parts(rejection).into_iter().zip(SOURCES).map(part).collect(),
        value: number::count(total(rejection)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::testing;

    fn rejection(reason: usize, count: u64) -> Rejection {
        let reason = format!("reason {reason}");
        Rejection { reason, from_adversaries: count, from_honest: 1, from_unknown: 0 }
    }

    #[test]
    fn nothing_refused_is_a_sentence() {
        let mut data = testing::report();
        data.rejections.clear();
        assert!(matches!(figure(&data).content, Content::Nothing(_)));
    }

    #[test]
    fn rare_reasons_share_a_row() {
        let rejections: Vec<_> = (0..40).map(|it| rejection(it, it as u64)).collect();
        let rows = ranked(&rejections);
        assert_eq!(rows.len(), REASONS_MAX);
        assert_eq!(rows[0].reason, "reason 39");
        assert_eq!(rows[REASONS_MAX - 1].reason, "27 other reasons");
        let sum = |rows: &[Rejection]| rows.iter().map(total).sum::<u64>();
        assert_eq!(sum(&rows), sum(&rejections));
    }

    #[test]
    fn only_authors_that_occur_have_a_key() {
        let body = draw(&[rejection(1, 5)]).body;
        assert!(body.contains("by adversaries") && body.contains("by honest peers"));
        assert!(!body.contains("author unknown"));
    }
}
