//! The page of one run.

use super::data::{Header, ReportData};
use super::document::{Figures, Provenance, TEXT_CHARS_MAX, document, slug};
use super::figures::{
    accuracy, actors, agreement, contacts, delivery, headline, rejections, seals, staleness,
    traffic,
};
use super::svg::{escape, shortened};

/// The whole page of a run as HTML.
pub fn page(data: &ReportData) -> String {
    let provenance = provenance(&data.header);
    let mut figures = Figures::new(&provenance);
    let mut body = head(data);
    body += "<main>\n";
    // Bare carriers learn nothing.
    if !(data.accuracy.groups.is_empty() && data.agreement.is_empty()) {
        body += &section(
            "learning",
            "Learning",
            &[
                figures.html(&accuracy::figure(data)),
                figures.html(&agreement::models(data)),
                figures.html(&agreement::lag(data)),
            ],
        );
    }
    if let Some(sealed) = &data.seals {
        body += &section(
            "seals",
            "Seals",
            &[figures.html(&seals::sealed(data, sealed)), figures.html(&seals::held(data, sealed))],
        );
    }
    body += &section(
        "network",
        "Network",
        &[
            figures.html(&contacts::strips(data)),
            figures.html(&delivery::figure(data)),
            figures.html(&staleness::figure(data)),
            figures.html(&contacts::per_epoch(data)),
            figures.html(&traffic::kinds(data)),
            figures.html(&traffic::links(data)),
            traffic::top(&data.traffic),
        ],
    );
    body += &section(
        "trouble",
        "Adversaries and faults",
        &[
            figures.html(&rejections::figure(data)),
            format!(
                "<div class=\"stack\">\n{}{}</div>\n",
                actors::adversaries(&data.adversaries),
                actors::faults(&data.faults)
            ),
        ],
    );
    body += "</main>\n";
    body += &foot(&provenance);
    document(&format!("{} – Longhaul simulation", shortened(&data.header.name, 100)), &body)
}

fn provenance(header: &Header) -> Provenance {
    let seed = header.seed;
    Provenance {
        slug: format!("{}-seed-{seed}", slug(&header.name)),
        seeds: format!("Seed {seed}."),
        line: format!(
            "longhaul-simnet {}; scenario {} ({}); seed {seed}; trace digest {}",
            shortened(&header.version, 60),
            shortened(&header.name, TEXT_CHARS_MAX),
            shortened(&header.scenario_hash, 128),
            shortened(&header.trace_digest, 128)
        ),
    }
}

fn head(data: &ReportData) -> String {
    let header = &data.header;
    let mut html = "<header>\n<p class=\"kicker\">Longhaul simulation</p>\n".to_owned();
    html += &title(&header.name, &header.about);
    html += &headline::banner(&data.checks);
    html += &headline::tiles(data);
    html += &headline::run_facts(header);
    html += &headline::checks(&data.checks);
    html + "</header>\n"
}

/// Name and line about itself of a scenario.
pub(super) fn title(name: &str, about: &str) -> String {
    let name = if name.trim().is_empty() { "Unnamed scenario" } else { name };
    let mut html = format!("<h1>{}</h1>\n", escape(&shortened(name, TEXT_CHARS_MAX)));
    if !about.trim().is_empty() {
        html += &format!("<p class=\"about\">{}</p>\n", escape(&shortened(about, TEXT_CHARS_MAX)));
    }
    html
}

/// A section with its heading.
pub(super) fn section(id: &str, title: &str, cards: &[String]) -> String {
    let cards = cards.concat();
    format!("<h2 id=\"{id}\">{title}</h2>\n<div class=\"cards\">\n{cards}</div>\n")
}

/// The end of a page: where it comes from.
pub(super) fn foot(provenance: &Provenance) -> String {
    format!("<footer><p>{}</p></footer>\n", escape(&provenance.line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::testing::{self, assert_sound};
    use proptest::prelude::*;

    #[test]
    fn a_page_is_well_formed() {
        assert_sound(&page(&testing::report()));
    }

    #[test]
    fn an_empty_run_gives_sentences_and_no_frames() {
        let html = page(&ReportData::default());
        assert_sound(&html);
        assert!(!html.contains("<svg"), "nothing was measured");
        assert!(html.contains("No update reached another peer"));
    }

    #[test]
    fn seals_are_shown_where_a_scenario_seals() {
        let mut data = testing::report();
        let html = page(&data);
        for part in ["id=\"seals\"", "id=\"sealed-only\"", "id=\"held-only\"", "Epochs sealed"] {
            assert!(html.contains(part), "{part}");
        }
        data.seals = None;
        let html = page(&data);
        assert_sound(&html);
        assert!(!html.contains("id=\"seals\"") && !html.contains("Epochs sealed"));
    }

    #[test]
    fn the_same_data_give_the_same_page() {
        let data = testing::report();
        let html = page(&data);
        assert_eq!(page(&data), html);
        let again = ReportData::from_json(&data.to_json().unwrap()).unwrap();
        assert_eq!(page(&again), html);
    }

    #[test]
    fn hostile_names_stay_text() {
        let hostile = "</svg></script><script>alert('x')</script>\"' onload=\"x\0\u{202e}";
        let html = page(&testing::named(hostile));
        assert_sound(&html);
        assert_eq!(html.matches("<script>").count(), 1, "only the page's own");
        for text in ["alert('x')", "\u{202e}", "\0", "onload=\"x"] {
            assert!(!html.contains(text), "{text:?}");
        }
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere() {
        let html = page(&testing::report());
        let without = html.replace("http://www.w3.org/2000/svg", "");
        for part in ["http:", "https:", "//cdn", "url(", "@import", "src=", "<link"] {
            assert!(!without.contains(part), "{part}");
        }
        assert!(html.contains("default-src 'none'"));
    }

    #[test]
    fn every_figure_says_which_run_it_comes_from() {
        let data = testing::report();
        let html = page(&data);
        let figures = html.matches("<svg ").count();
        assert!(figures >= 9, "{figures}");
        assert_eq!(
            html.matches(&format!("trace digest {}", data.header.trace_digest)).count(),
            figures + 1
        );
        assert_eq!(html.matches("data-save=").count(), figures);
    }

    #[test]
    fn a_thousand_peers_fit_into_two_megabytes() {
        let html = page(&testing::large(1_000, 100));
        assert_sound(&html);
        assert!(html.len() < 2_000_000, "{} bytes", html.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_name_gives_a_sound_page(name in "\\PC{0,80}|.{0,80}") {
            assert_sound(&page(&testing::named(&name)));
        }

        #[test]
        fn any_numbers_give_a_sound_page(values in prop::collection::vec(any::<u64>(), 1..40)) {
            assert_sound(&page(&testing::numbered(&values)));
        }
    }
}
