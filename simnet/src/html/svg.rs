//! A small writer of SVG: shapes with a stroke or a fill, and text.
//!
//! Everything that comes from outside goes through [`escape`]; every coordinate
//! through [`px`], so that no drawing holds anything but finite numbers with one
//! decimal.

use std::fmt::Write;

use super::paint::Paint;

/// Escapes `text` for HTML and XML, in content and in attributes.
///
/// Characters that XML 1.0 forbids, and those that turn the direction of the
/// text around them, become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

/// A coordinate: at most one decimal; what is not finite becomes 0.
pub fn px(value: f64) -> String {
    let tenths = if value.is_finite() { (value * 10.0).round() } else { 0.0 };
    let text = format!("{:.1}", tenths / 10.0 + 0.0);
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// The start of `text`, with `…` when it has more than `chars_max` characters.
pub fn shortened(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

/// About how wide `text` is in pixels in a sans-serif face of `size` pixels;
/// rather too wide than too narrow.
pub fn text_width(text: &str, size: f64) -> f64 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' | 'I' => 0.30,
        'f' | 't' | 'r' | '(' | ')' | '-' | '/' => 0.38,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.90,
        'A'..='Z' | '<' | '>' | '=' | '+' | '−' => 0.70,
        '\0'..='\u{24f}' => 0.57,
        _ => 1.0,
    };
    text.chars().map(em).sum::<f64>() * size
}

/// A place in a drawing, in pixels from its top left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Downwards.
    pub y: f64,
}

/// A rectangle in a drawing, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Left edge.
    pub x: f64,
    /// Top edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl Area {
    /// Right edge.
    pub const fn right(&self) -> f64 {
        self.x + self.width
    }

    /// Bottom edge.
    pub const fn bottom(&self) -> f64 {
        self.y + self.height
    }
}

/// How a line is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dash {
    /// Not at all.
    Solid,
    /// Into dashes.
    Dashed,
    /// Into dots.
    Dotted,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stroke {
    /// Its colour.
    pub paint: Paint,
    /// Its width in pixels.
    pub width: f64,
    /// How it is broken.
    pub dash: Dash,
}

impl Stroke {
    /// A solid line.
    pub const fn solid(paint: Paint, width: f64) -> Self {
        Self { paint, width, dash: Dash::Solid }
    }

    fn attributes(self) -> String {
        let dash = match self.dash {
            Dash::Solid => "",
            Dash::Dashed => " stroke-dasharray=\"7 4\"",
            Dash::Dotted => " stroke-dasharray=\"1.5 4\" stroke-linecap=\"round\"",
        };
        format!(
            "class=\"k-{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" \
             stroke-linejoin=\"round\"{dash}",
            self.paint.class(),
            self.paint.on_paper(),
            px(self.width)
        )
    }
}

/// How a shape is filled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fill {
    /// Its colour.
    pub paint: Paint,
    /// How much it covers, 0 to 1.
    pub opacity: f64,
}

impl Fill {
    /// A fill that covers what lies below.
    pub const fn solid(paint: Paint) -> Self {
        Self { paint, opacity: 1.0 }
    }

    fn attributes(self) -> String {
        let (class, colour) = (self.paint.class(), self.paint.on_paper());
        let opacity = if self.opacity < 1.0 {
            format!(" fill-opacity=\"{:.2}\"", self.opacity.max(0.0))
        } else {
            String::new()
        };
        format!("class=\"f-{class}\" fill=\"{colour}\"{opacity}")
    }
}

/// Which end of a text stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Its start.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// How a text is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextStyle {
    /// Height of the face in pixels.
    pub size: f64,
    /// Its colour.
    pub paint: Paint,
    /// Which end stands at the place.
    pub anchor: Anchor,
}

impl TextStyle {
    /// Text that helps, 12 pixels high.
    pub const fn muted(anchor: Anchor) -> Self {
        Self { size: 12.0, paint: Paint::Muted, anchor }
    }

    /// Text that must be read, 13 pixels high.
    pub const fn ink(anchor: Anchor) -> Self {
        Self { size: 13.0, paint: Paint::Ink, anchor }
    }

    fn attributes(self) -> String {
        let anchor = match self.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        format!(
            "class=\"f-{}\" fill=\"{}\" font-size=\"{}\"{anchor}",
            self.paint.class(),
            self.paint.on_paper(),
            px(self.size)
        )
    }
}

/// A finished drawing: what stands between the tags of an `svg` element.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
    /// The elements.
    pub body: String,
}

/// Collects the elements of a drawing.
#[derive(Debug, Default)]
pub struct Svg {
    out: String,
    open: usize,
}

impl Svg {
    /// Ends the drawing.
    pub fn finish(self, width: f64, height: f64) -> Drawing {
        assert_eq!(self.open, 0, "every group that was opened is closed");
        Drawing { width, height, body: self.out }
    }

    /// Opens a group; the attributes' values are escaped.
    pub fn open_group(&mut self, attributes: &[(&str, &str)]) {
        self.open += 1;
        self.out.push_str("<g");
        self.attributes(attributes);
        self.out.push('>');
    }

    /// Closes the group that was opened last.
    pub fn close_group(&mut self) {
        self.open = self.open.checked_sub(1).expect("a group is open");
        self.out.push_str("</g>");
    }

    /// Draws a straight line.
    pub fn line(&mut self, from: Point, to: Point, stroke: Stroke) {
        let d = format!("M{} {}L{} {}", px(from.x), px(from.y), px(to.x), px(to.y));
        self.stroke_path(&d, stroke, &[]);
    }

    /// Draws the line of a path, with further attributes.
    pub fn stroke_path(&mut self, d: &str, stroke: Stroke, attributes: &[(&str, &str)]) {
        self.put(format_args!("<path d=\"{d}\" {}", stroke.attributes()));
        self.attributes(attributes);
        self.out.push_str("/>");
    }

    /// Fills a path.
    pub fn fill_path(&mut self, d: &str, fill: Fill) {
        self.put(format_args!("<path d=\"{d}\" {}/>", fill.attributes()));
    }

    /// Fills a path and shows `title` under the pointer.
    pub fn titled_path(&mut self, d: &str, fill: Fill, title: &str) {
        let (fill, title) = (fill.attributes(), escape(title));
        self.put(format_args!("<path d=\"{d}\" {fill}><title>{title}</title></path>"));
    }

    /// Fills a rectangle.
    pub fn rect(&mut self, area: Area, fill: Fill) {
        let (shape, fill) = (rect_attributes(area), fill.attributes());
        self.put(format_args!("<rect {shape} {fill}/>"));
    }

    /// Fills a rectangle and shows `title` under the pointer.
    pub fn titled_rect(&mut self, area: Area, fill: Fill, title: &str) {
        let (shape, fill, title) = (rect_attributes(area), fill.attributes(), escape(title));
        self.put(format_args!("<rect {shape} {fill}><title>{title}</title></rect>"));
    }

    /// Fills a rectangle with a colour that is the same on every background.
    pub fn coloured_rect(&mut self, area: Area, colour: &str, title: &str) {
        let (shape, colour, title) = (rect_attributes(area), escape(colour), escape(title));
        self.put(format_args!("<rect {shape} fill=\"{colour}\"><title>{title}</title></rect>"));
    }

    /// Draws a dot.
    pub fn dot(&mut self, at: Point, radius: f64, fill: Fill) {
        let (x, y, radius, fill) = (px(at.x), px(at.y), px(radius), fill.attributes());
        self.put(format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" {fill}/>"));
    }

    /// Writes a text with its base line at `at`.
    pub fn text(&mut self, at: Point, style: TextStyle, text: &str) {
        let (x, y, style, text) = (px(at.x), px(at.y), style.attributes(), escape(text));
        self.put(format_args!("<text x=\"{x}\" y=\"{y}\" {style}>{text}</text>"));
    }

    /// Writes a text in a colour that is the same on every background, with
    /// `size` pixels, its middle at `at`.
    pub fn coloured_text(&mut self, at: Point, size: f64, colour: &str, text: &str) {
        let (x, y, size) = (px(at.x), px(at.y), px(size));
        let (colour, text) = (escape(colour), escape(text));
        self.put(format_args!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{colour}\" \
             text-anchor=\"middle\" pointer-events=\"none\">{text}</text>"
        ));
    }

    /// Writes a text that reads upwards, its middle at `at`.
    pub fn text_upwards(&mut self, at: Point, style: TextStyle, text: &str) {
        let (x, y, style, text) = (px(at.x), px(at.y), style.attributes(), escape(text));
        self.put(format_args!(
            "<text transform=\"translate({x} {y}) rotate(-90)\" {style}>{text}</text>"
        ));
    }

    fn attributes(&mut self, attributes: &[(&str, &str)]) {
        for (name, value) in attributes {
            self.put(format_args!(" {name}=\"{}\"", escape(value)));
        }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("writing to a string does not fail");
    }
}

fn rect_attributes(area: Area) -> String {
    let Area { x, y, width, height } = area;
    let (width, height) = (width.max(0.0), height.max(0.0));
    format!("x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"", px(x), px(y), px(width), px(height))
}

/// A path through `points`.
pub fn polyline(points: &[Point]) -> String {
    let mut d = String::new();
    for (index, point) in points.iter().enumerate() {
        d.push(if index == 0 { 'M' } else { 'L' });
        d.push_str(&format!("{} {}", px(point.x), px(point.y)));
    }
    d
}

/// A path that keeps each point's height until the next.
pub fn steps(points: &[Point]) -> String {
    let mut d = String::new();
    for (index, point) in points.iter().enumerate() {
        let (x, y) = (px(point.x), px(point.y));
        d.push_str(&if index == 0 { format!("M{x} {y}") } else { format!("H{x}V{y}") });
    }
    d
}

/// A closed path along `upper` and back along `lower`.
pub fn ribbon(upper: &[Point], lower: &[Point]) -> String {
    let back = lower.iter().rev();
    let outline: Vec<_> = upper.iter().chain(back).copied().collect();
    if outline.is_empty() { String::new() } else { polyline(&outline) + "Z" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_what_would_be_markup() {
        assert_eq!(
            escape("<script>alert(\"1\")</script> & 'x'"),
            "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;"
        );
    }

    #[test]
    fn replaces_what_xml_forbids_and_what_turns_text_around() {
        assert_eq!(escape("a\0b\x1bc\u{202e}d\u{ffff}"), "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}");
        assert_eq!(escape("a\tb\nc"), "a b c");
        assert_eq!(escape("größe ≥ 5 µs 東"), "größe ≥ 5 µs 東");
    }

    #[test]
    fn coordinates_are_short_and_finite() {
        for (value, text) in [
            (1.0, "1"),
            (1.25, "1.3"),
            (-0.01, "0"),
            (12.34, "12.3"),
            (f64::NAN, "0"),
            (f64::INFINITY, "0"),
        ] {
            assert_eq!(px(value), text);
        }
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(shortened("größer", 4), "grö…");
        assert_eq!(shortened("kurz", 4), "kurz");
        assert_eq!(shortened("x", 0), "…");
    }

    #[test]
    fn paths_go_through_their_points() {
        let points = [Point { x: 0.0, y: 1.0 }, Point { x: 2.0, y: 3.0 }];
        assert_eq!(polyline(&points), "M0 1L2 3");
        assert_eq!(steps(&points), "M0 1H2V3");
        assert_eq!(ribbon(&points, &points[..1]), "M0 1L2 3L0 1Z");
        assert_eq!(ribbon(&[], &[]), "");
    }

    proptest! {
        #[test]
        fn escaped_text_holds_no_markup(text in "\\PC*|.*") {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            let entities = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
            for (at, _) in escaped.match_indices('&') {
                prop_assert!(entities.iter().any(|entity| escaped[at..].starts_with(entity)));
            }
        }
    }
}
