//! The parts of a page: document, figures with captions, tables.

use super::number;
use super::svg::{Drawing, escape, px, shortened};

/// Most rows of a table.
pub const ROWS_MAX: usize = 1_000;
/// Most characters of a text in a table or caption.
pub const TEXT_CHARS_MAX: usize = 300;

/// A figure before it stands on a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Names it in links and file names: small letters and hyphens.
    pub id: String,
    /// What it shows, as a heading.
    pub title: String,
    /// What, units, n; one or more sentences, not escaped.
    pub caption: String,
    /// What is drawn.
    pub content: Content,
}

/// What a figure draws.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A drawing for one of two columns.
    Column(Drawing),
    /// A drawing over the whole width, and the same for narrow screens, print
    /// and the column of a paper.
    Wide {
        /// Over the whole width.
        wide: Drawing,
        /// For a column.
        column: Drawing,
    },
    /// A sentence in place of a drawing that would be empty; not escaped.
    Nothing(String),
}

/// Which run a figure comes from; goes into every saved file.
#[derive(Debug, Clone, PartialEq)]
pub struct Provenance {
    /// Begins the names of saved files.
    pub slug: String,
    /// Ends every caption, such as `Seed 1.`
    pub seeds: String,
    /// Version, scenario hash, seeds and digest in one line, not escaped.
    pub line: String,
}

/// `name` as a part of a file name: small letters, digits and hyphens.
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().take(60) {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9') => slug.push(c),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "run".to_owned() } else { slug.to_owned() }
}

/// A whole document with the given title, not escaped, and body.
pub fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n{body}\
         <div id=\"readout\" hidden></div>\n<script>\n{}</script>\n</body>\n</html>\n",
        escape(title),
        include_str!("style.css"),
        include_str!("script.js"),
    )
}

/// Writes figures and numbers them.
#[derive(Debug)]
pub struct Figures<'a> {
    provenance: &'a Provenance,
    written: u32,
}

impl<'a> Figures<'a> {
    /// Begins with figure 1.
    pub const fn new(provenance: &'a Provenance) -> Self {
        Self { provenance, written: 0 }
    }

    /// The HTML of `figure`. One without a drawing has no number.
    pub fn html(&mut self, figure: &Figure) -> String {
        let Figure { id, title, caption, content } = figure;
        let (class, drawings) = match content {
            Content::Nothing(sentence) => {
                let (title, sentence) = (escape(title), escape(sentence));
                return format!(
                    "<section class=\"card nothing\" id=\"{id}\"><h3>{title}</h3>\
                     <p>{sentence}</p></section>\n"
                );
            }
            Content::Column(drawing) => ("card", vec![("only", drawing)]),
            Content::Wide { wide, column } => {
                ("card broad", vec![("wide", wide), ("column", column)])
            }
        };
        self.written += 1;
        let mut html =
            format!("<figure class=\"{class}\" id=\"{id}\"><h3>{}</h3>\n", escape(title));
        for (variant, drawing) in &drawings {
            html += &self.svg(figure, variant, drawing);
        }
        html += &format!(
            "<figcaption><b>Figure {}.</b> {} {}</figcaption>\n<p class=\"save\">",
            self.written,
            escape(caption),
            escape(&self.provenance.seeds),
        );
        for (variant, _) in &drawings {
            html += &self.button(id, variant);
        }
        html + "</p></figure>\n"
    }

    fn svg(&self, figure: &Figure, variant: &str, drawing: &Drawing) -> String {
        let (width, height) = (px(drawing.width), px(drawing.height));
        let Provenance { line, seeds, .. } = self.provenance;
        format!(
            "<svg id=\"{}-{variant}\" class=\"{variant}\" xmlns=\"http://www.w3.org/2000/svg\" \
             viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
             aria-label=\"{}\" \
             font-family=\"Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif\">\
             <desc>{}. {} {}</desc><metadata>{}</metadata>{}</svg>\n",
            figure.id,
            escape(&figure.title),
            escape(&figure.title),
            escape(&figure.caption),
            escape(seeds),
            escape(line),
            drawing.body,
        )
    }

    fn button(&self, id: &str, variant: &str) -> String {
        let (label, ending) = match variant {
            "wide" => ("Save SVG, full width", "-wide"),
            "column" => ("Save SVG, one column", "-column"),
            _ => ("Save SVG", ""),
        };
        let slug = &self.provenance.slug;
        format!(
            "<button type=\"button\" data-save=\"{id}-{variant}\" \
             data-file=\"{slug}-{id}{ending}.svg\" hidden>{label}</button>"
        )
    }
}

/// How the cells of a column are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Text.
    Text,
    /// A word, in a column as narrow as it can be.
    Short,
    /// Numbers, to the right.
    Number,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Text from outside: escaped, and cut when very long.
    Text(String),
    /// A verdict: whether it is good, and its words.
    Verdict(bool, &'static str),
}

impl Cell {
    /// A text cell.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn html(&self) -> String {
        match self {
            Self::Text(text) => escape(&shortened(text, TEXT_CHARS_MAX)),
            Self::Verdict(is_good, words) => verdict(*is_good, words),
        }
    }
}

/// A verdict in words, with a sign and a colour that say the same.
pub fn verdict(is_good: bool, words: &str) -> String {
    let (class, sign) = if is_good { ("good", "✓") } else { ("bad", "✗") };
    format!("<span class=\"{class}\">{sign} {}</span>", escape(words))
}

/// A table; rows beyond [`ROWS_MAX`] are counted below it.
pub fn table(columns: &[(&str, Column)], rows: &[Vec<Cell>]) -> String {
    let class = |column: Column| match column {
        Column::Text => "",
        Column::Short => " class=\"short\"",
        Column::Number => " class=\"number\"",
    };
    let mut html = "<div class=\"table\"><table>\n<thead><tr>".to_owned();
    for (name, column) in columns {
        html += &format!("<th scope=\"col\"{}>{}</th>", class(*column), escape(name));
    }
    html += "</tr></thead>\n<tbody>\n";
    for row in rows.iter().take(ROWS_MAX) {
        html += "<tr>";
        for (cell, (_, column)) in row.iter().zip(columns) {
            html += &format!("<td{}>{}</td>", class(*column), cell.html());
        }
        html += "</tr>\n";
    }
    html += "</tbody></table></div>\n";
    if rows.len() > ROWS_MAX {
        let more = number::count((rows.len() - ROWS_MAX) as u64);
        html += &format!("<p class=\"more\">{more} more rows are in the run's JSON.</p>\n");
    }
    html
}

/// A list of names with values, which are escaped here. Classes are `facts`, for
/// short values side by side, and `lines`, for long ones below each other.
pub fn facts(class: &str, facts: &[(&str, String)]) -> String {
    let mut html = format!("<dl class=\"{class}\">\n");
    for (name, value) in facts {
        let value = if value.trim().is_empty() { number::NOTHING } else { value };
        html += &format!(
            "<div><dt>{}</dt><dd>{}</dd></div>\n",
            escape(name),
            escape(&shortened(value, TEXT_CHARS_MAX))
        );
    }
    html + "</dl>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_hold_nothing_but_letters_digits_and_hyphens() {
        for (name, expected) in [
            ("rare contacts (v2)", "rare-contacts-v2"),
            ("../../etc/passwd", "etc-passwd"),
            ("<script>", "script"),
            ("東京", "run"),
            ("", "run"),
        ] {
            assert_eq!(slug(name), expected);
        }
    }

    #[test]
    fn a_figure_with_nothing_to_draw_is_a_sentence() {
        let provenance =
            Provenance { slug: String::new(), seeds: String::new(), line: String::new() };
        let figure = Figure {
            id: "x".into(),
            title: "X".into(),
            caption: String::new(),
            content: Content::Nothing("No contacts.".into()),
        };
        let mut figures = Figures::new(&provenance);
        let html = figures.html(&figure);
        assert!(html.contains("<p>No contacts.</p>") && !html.contains("<svg"), "{html}");
        let drawing = Drawing { width: 1.0, height: 1.0, body: String::new() };
        let figure = Figure { content: Content::Column(drawing), ..figure };
        assert!(figures.html(&figure).contains("Figure 1."));
    }

    #[test]
    fn a_long_table_ends_with_a_count() {
        let rows = vec![vec![Cell::text("<b>")]; ROWS_MAX + 2];
        let html = table(&[("a", Column::Text)], &rows);
        assert!(html.contains("2 more rows") && !html.contains("<b>"));
        assert_eq!(html.matches("<tr>").count(), ROWS_MAX + 1);
    }
}
