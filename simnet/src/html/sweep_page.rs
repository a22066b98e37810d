//! The page of a sweep: a figure for each metric, and the numbers below it.

use super::document::{Cell, Column, Figures, Provenance, document, facts, slug, table};
use super::figures::{heat, sweep_line};
use super::number;
use super::page::{foot, section, title};
use super::student::Interval;
use super::svg::{escape, shortened};
use super::sweep_data::{FailedCheck, SweepData, SweepHeader, SweepMetric, Swept};

/// Most metrics on a page.
const METRICS_MAX: usize = 24;

/// The whole page of a sweep as HTML.
pub fn sweep_page(data: &SweepData) -> String {
    let provenance = provenance(&data.header);
    let mut figures = Figures::new(&provenance);
    let metrics: Vec<_> = data.metrics.iter().take(METRICS_MAX).enumerate().collect();
    let mut cards: Vec<String> = Vec::new();
    for (index, metric) in &metrics {
        let figure = heat::figure(data, metric, *index);
        let figure = figure.or_else(|| sweep_line::figure(data, metric, *index));
        cards.extend(figure.map(|figure| figures.html(&figure)));
    }
    let tables: Vec<_> = metrics.iter().map(|(index, it)| numbers(data, it, *index)).collect();
    let mut body = head(data);
    body += "<main>\n";
    body += &failures(data);
    if metrics.is_empty() {
        body += "<p class=\"nothing\">The sweep measured nothing.</p>\n";
    } else {
        if cards.is_empty() {
            cards.push(too_many(data.parameters.len()));
        }
        let beside = if metrics.len() == 1 { tables.as_slice() } else { &[] };
        cards.extend_from_slice(beside);
        body += &section("results", "Results", &cards);
        if beside.is_empty() {
            body += &section("numbers", "Numbers", &tables);
        }
    }
    body += "</main>\n";
    body += &foot(&provenance);
    document(&format!("{} – Longhaul sweep", shortened(&data.header.name, 100)), &body)
}

fn too_many(parameters: usize) -> String {
    format!(
        "<section class=\"card nothing broad\"><p>Figures are drawn for one or two swept \
         parameters; this sweep has {parameters}. All means are in the tables.</p></section>\n"
    )
}

fn provenance(header: &SweepHeader) -> Provenance {
    let seeds = seeds(header);
    Provenance {
        slug: format!("{}-sweep", slug(&header.name)),
        seeds: format!("Seeds {seeds}."),
        line: format!(
            "longhaul-simnet {}; sweep of scenario {} ({}); seeds {seeds}",
            shortened(&header.version, 60),
            shortened(&header.name, 300),
            shortened(&header.scenario_hash, 128)
        ),
    }
}

fn seeds(header: &SweepHeader) -> String {
    let small: Option<Vec<u32>> = header.seeds.iter().map(|&it| it.try_into().ok()).collect();
    let text = small.map_or_else(
        || header.seeds.iter().take(12).map(u64::to_string).collect::<Vec<_>>().join(", "),
        |seeds| number::ranges(&seeds),
    );
    if text.is_empty() { "not known".to_owned() } else { text }
}

fn head(data: &SweepData) -> String {
    let header = &data.header;
    let mut html = "<header>\n<p class=\"kicker\">Longhaul parameter sweep</p>\n".to_owned();
    html += &title(&header.name, &header.about);
    let swept = |parameter: &Swept| {
        let values = shortened(&parameter.values.join(", "), 160);
        ("Swept", format!("{}: {values}", shortened(&parameter.title(), 120)))
    };
    html += &facts("lines", &data.parameters.iter().map(swept).collect::<Vec<_>>());
    let mut rows = vec![("Seeds", seeds(header))];
    for (name, count) in [("Peers", header.peers), ("Epochs", header.epochs)] {
        if count > 0 {
            rows.push((name, number::count(u64::from(count))));
        }
    }
    if let Some(wall_s) = header.wall_s.filter(|it| it.is_finite() && *it > 0.0) {
        rows.push(("Took", number::duration(wall_s)));
    }
    rows.push(("Version", header.version.clone()));
    html += &facts("facts", &rows);
    html += &facts("lines code", &[("Scenario hash", header.scenario_hash.clone())]);
    html + "</header>\n"
}

/// The checks that failed; empty when none did.
fn failures(data: &SweepData) -> String {
    if data.failures.is_empty() {
        return String::new();
    }
    let columns =
        [("Failed check", Column::Text), ("Runs", Column::Number), ("Seeds", Column::Text)];
    let row = |check: &FailedCheck| {
        let runs = Cell::text(number::count(check.runs));
        vec![Cell::text(&check.name), runs, Cell::text(&check.seeds)]
    };
    let rows: Vec<_> = data.failures.iter().map(row).collect();
    let card = format!(
        "<section class=\"card broad\" id=\"failures\"><h3>Checks that failed</h3>\n{}</section>\n",
        table(&columns, &rows)
    );
    section("checks", "Checks", &[card])
}

/// The table of one metric.
fn numbers(data: &SweepData, metric: &SweepMetric, index: usize) -> String {
    let parameters = data.parameters.iter().map(|it| (it.name.as_str(), Column::Text));
    let rest = ["n", "Mean", "± 95 %", "Least", "Most"].map(|name| (name, Column::Number));
    let columns: Vec<_> = parameters.chain(rest).collect();
    let rows: Vec<_> = combinations(data).iter().map(|at| row(data, metric, at)).collect();
    let heading = escape(&format!("{}{}", shortened(&metric.name, 120), heat::unit_of(metric)));
    let table = if rows.is_empty() {
        "<p>No parameter has a value.</p>".to_owned()
    } else {
        table(&columns, &rows)
    };
    format!(
        "<section class=\"card\" id=\"numbers-{index}\"><h3>{heading}</h3>\n{table}</section>\n"
    )
}

fn row(data: &SweepData, metric: &SweepMetric, at: &[usize]) -> Vec<Cell> {
    let names = data.parameters.iter().zip(at).map(|(it, &index)| Cell::text(&it.values[index]));
    let values = metric.values_at(at);
    let interval = Interval::of(&values);
    let nothing = || number::NOTHING.to_owned();
    let half_width = interval.and_then(|it| it.half_width);
    let extreme = |f: fn(f64, f64) -> f64| values.iter().copied().reduce(f);
    let number = |value: Option<f64>| Cell::text(value.map_or_else(nothing, number::significant));
    let rest = [
        Cell::text(match metric.not_reached_at(at) {
            0 => values.len().to_string(),
            runs => format!("{} of {}", values.len(), values.len() + runs as usize),
        }),
        match metric.not_reached_at(at) {
            runs if runs > 0 && values.is_empty() => Cell::text("not reached"),
            _ => number(interval.map(|it| it.mean)),
        },
        number(half_width),
        number(extreme(f64::min)),
        number(extreme(f64::max)),
    ];
    names.chain(rest).collect()
}

/// Most combinations that are listed.
const COMBINATIONS_MAX: usize = 10_000;

/// All combinations of values, the first parameter slowest.
fn combinations(data: &SweepData) -> Vec<Vec<usize>> {
    if data.parameters.is_empty() {
        return Vec::new();
    }
    let mut all = vec![Vec::new()];
    for parameter in &data.parameters {
        let extended = all.iter().flat_map(|start: &Vec<usize>| {
            (0..parameter.values.len()).map(move |index| [start.as_slice(), &[index]].concat())
        });
        all = extended.take(COMBINATIONS_MAX).collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::testing::{self, assert_sound};
    use proptest::prelude::*;

    #[test]
    fn pages_of_one_two_and_three_parameters_are_well_formed() {
        for parameters in 0..=3 {
            let html = sweep_page(&testing::sweep(parameters));
            assert_sound(&html);
            assert_eq!(html.contains("<svg"), (1..=2).contains(&parameters), "{parameters}");
        }
    }

    #[test]
    fn the_same_sweep_gives_the_same_page() {
        let data = testing::sweep(2);
        let again = SweepData::from_json(&data.to_json().unwrap()).unwrap();
        assert_eq!(sweep_page(&again), sweep_page(&data));
    }

    #[test]
    fn an_empty_sweep_is_a_sentence() {
        let html = sweep_page(&SweepData::default());
        assert_sound(&html);
        assert!(html.contains("The sweep measured nothing.") && !html.contains("<svg"));
    }

    #[test]
    fn hostile_parameters_stay_text() {
        let mut data = testing::sweep(2);
        data.parameters[0].name = "<script>".into();
        data.parameters[1].values[0] = "'\"><img src=x onerror=alert(1)>".into();
        data.metrics[0].name = "</title><svg/onload=alert(2)>".into();
        data.header.name = "</style><script>x</script>".into();
        let html = sweep_page(&data);
        assert_sound(&html);
        assert!(!html.contains("<img") && !html.contains("<svg/"));
        assert_eq!(html.matches("<script>").count(), 1);
    }

    #[test]
    fn combinations_are_all_there_and_limited() {
        let data = testing::sweep(2);
        let all = combinations(&data);
        assert_eq!(all.len(), data.parameters[0].values.len() * data.parameters[1].values.len());
        let many = Swept { values: vec![String::new(); 1_000], ..Swept::default() };
        let data = SweepData { parameters: vec![many; 3], ..SweepData::default() };
        assert_eq!(combinations(&data).len(), COMBINATIONS_MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_results_give_a_sound_page(
            values in prop::collection::vec(any::<f64>(), 1..30),
            parameters in 1..3_usize,
        ) {
            let mut data = testing::sweep(parameters);
            let results = data.metrics[0].cells.iter_mut().flat_map(|it| &mut it.results);
            for (result, value) in results.zip(values) {
                result.value = value;
            }
            assert_sound(&sweep_page(&data));
        }
    }
}
