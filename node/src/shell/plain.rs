//! Plain: words of strangers, as they are safe to print.
//!
//! Names of files, nodes and certificates are written by whoever likes to. What moves a cursor, clears a
//! screen, changes colours or turns the direction of writing is shown as an escape instead, so that a
//! name cannot pass for words of ours.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

/// Most characters of a name in a log.
const BRIEF_CHARS: usize = 80;

/// A text with nothing in it that a terminal obeys.
pub(in crate::shell) fn text(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match is_hostile(char) {
            true => out.extend(char.escape_default()),
            false => out.push(char),
        }
    }
    Cow::Owned(out)
}

/// A path, as [`text`].
pub(in crate::shell) fn path(path: &Path) -> String {
    text(&path.to_string_lossy()).into_owned()
}

/// The beginning of a text, as [`text`]: what goes into a log for each stranger.
pub(in crate::shell) fn brief(long: &str) -> String {
    let Some((at, _)) = long.char_indices().nth(BRIEF_CHARS) else {
        return text(long).into_owned();
    };
    let mut out = text(&long[..at]).into_owned();
    let _ = write!(out, "... ({} bytes)", long.len());
    out
}

/// Lines as they are, and all else as [`text`].
#[cfg(feature = "train")]
pub(in crate::shell) fn lines(lines: &str) -> Cow<'_, str> {
    if !lines.chars().any(|char| is_hostile(char) && char != '\n') {
        return Cow::Borrowed(lines);
    }
    Cow::Owned(lines.split('\n').map(text).collect::<Vec<_>>().join("\n"))
}

/// True for what is not shown, or changes how others are.
fn is_hostile(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_and_not_done() {
        assert_eq!(text("dtn://ü/in box"), "dtn://ü/in box");
        assert_eq!(text("\x1b[2Ja\r\nb\u{202e}c\u{9b}"), "\\u{1b}[2Ja\\r\\nb\\u{202e}c\\u{9b}");
    }

    #[cfg(feature = "train")]
    #[test]
    fn a_name_of_a_file_is_one_line() {
        assert_eq!(path(Path::new("a/\x07\n.bundle")), "a/\\u{7}\\n.bundle");
        assert_eq!(lines("a\nb"), "a\nb");
        assert_eq!(lines("a\x1bb\nc"), "a\\u{1b}b\nc");
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(brief(&"ü".repeat(80)), "ü".repeat(80));
        let cut = brief(&"ü".repeat(81));
        assert_eq!(cut, format!("{}... (162 bytes)", "ü".repeat(80)));
    }
}
