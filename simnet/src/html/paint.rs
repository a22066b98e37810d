//! Colours, by what they stand for.
//!
//! Series take the palette of Okabe and Ito (Color Universal Design, 2008),
//! which readers with any common colour vision can tell apart; its yellow is
//! left out, because it vanishes on white. An SVG states the colours for paper;
//! the style sheet replaces them by class on a dark screen, so that a saved
//! figure is always the one for paper.

/// What a colour stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// A series, by its index; indices beyond the palette begin again.
    Series(usize),
    /// Text and lines that must be read.
    Ink,
    /// Text and lines that help.
    Muted,
    /// Grid lines.
    Grid,
    /// The shade of a cut.
    Shade,
    /// What went wrong.
    Bad,
}

/// The palette for paper, in the order in which series take it: blue,
/// vermilion, bluish green, reddish purple, orange, sky blue, grey.
const SERIES: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5f5f5f"];

const SERIES_CLASSES: [&str; 7] = ["s0", "s1", "s2", "s3", "s4", "s5", "s6"];

/// Number of series that differ in colour.
pub const SERIES_COLOURS: usize = SERIES.len();

impl Paint {
    /// The colour on paper.
    pub const fn on_paper(self) -> &'static str {
        match self {
            Self::Series(index) => SERIES[index % SERIES.len()],
            Self::Ink => "#1a1f24",
            Self::Muted => "#5b6570",
            Self::Grid => "#dfe3e7",
            Self::Shade => "#8a94a0",
            Self::Bad => "#b3261e",
        }
    }

    /// The class by which the style sheet knows it.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Series(index) => SERIES_CLASSES[index % SERIES.len()],
            Self::Ink => "ink",
            Self::Muted => "muted",
            Self::Grid => "grid",
            Self::Shade => "shade",
            Self::Bad => "bad",
        }
    }
}

/// The colour of a heat map's cell, with the colour of text on it: one hue, from
/// pale to dark, so that it also prints in grey. `share` is clamped to 0 to 1.
pub fn heat(share: f64) -> (String, &'static str) {
    const STOPS: [[f64; 3]; 5] = [
        [240.0, 246.0, 250.0],
        [177.0, 212.0, 233.0],
        [92.0, 162.0, 208.0],
        [0.0, 107.0, 168.0],
        [0.0, 52.0, 92.0],
    ];
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let place = share * (STOPS.len() - 1) as f64;
    let below = (place.floor() as usize).min(STOPS.len() - 2);
    let part = place - below as f64;
    let mix = |channel: usize| {
        let (from, to) = (STOPS[below][channel], STOPS[below + 1][channel]);
        (from + (to - from) * part).round() as u8
    };
    let text = if share > 0.67 { "#ffffff" } else { "#000000" };
    (format!("#{:02x}{:02x}{:02x}", mix(0), mix(1), mix(2)), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance as WCAG 2.2 defines it.
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_can_be_read_on_every_cell_of_a_heat_map() {
        for step in 0..=100 {
            let (cell, text) = heat(f64::from(step) / 100.0);
            assert!(contrast(&cell, text) >= 4.5, "{step} %: {text} on {cell}");
        }
    }

    #[test]
    fn text_can_be_read_on_paper() {
        for paint in [Paint::Ink, Paint::Muted, Paint::Bad] {
            assert!(contrast(paint.on_paper(), "#ffffff") >= 4.5, "{paint:?}");
        }
    }

    #[test]
    fn heat_grows_darker() {
        let shades: Vec<_> = (0..=20).map(|it| luminance(&heat(f64::from(it) / 20.0).0)).collect();
        assert!(shades.is_sorted_by(|a, b| a > b));
        assert_eq!(heat(f64::NAN), heat(0.0));
    }

    #[test]
    fn neighbouring_series_differ() {
        for index in 0..SERIES_COLOURS {
            assert_ne!(Paint::Series(index).on_paper(), Paint::Series(index + 1).on_paper());
            assert_eq!(Paint::Series(index), Paint::Series(index));
        }
    }
}
