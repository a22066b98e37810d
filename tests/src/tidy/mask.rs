//! Masking: Rust source with comments and literals blanked out.
//!
//! The result has the same length in bytes and the same line breaks, so that an
//! offset into one is an offset into the other. Every later scanner looks at
//! masked code only and never mistakes a brace in a string for a block.

/// Blanks comments and the contents of string, byte and character literals.
///
/// Quotes stay, so that an attribute such as `reason = ""` keeps its shape.
pub fn mask(source: &str) -> String {
    let mut masker =
        Masker { bytes: source.as_bytes(), at: 0, out: Vec::with_capacity(source.len()) };
    while masker.at < masker.bytes.len() {
        masker.step();
    }
    String::from_utf8(masker.out).expect("whole characters are kept or replaced by spaces")
}

struct Masker<'a> {
    bytes: &'a [u8],
    at: usize,
    out: Vec<u8>,
}

impl Masker<'_> {
    fn step(&mut self) {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(b"//") {
            let end = find(rest, b'\n').unwrap_or(rest.len());
            self.blank(end);
        } else if rest.starts_with(b"/*") {
            self.blank(block_comment_len(rest));
        } else if let Some(prefix) = raw_string_prefix(rest).filter(|_| !self.inside_word()) {
            self.raw_string(prefix);
        } else if rest[0] == b'"' {
            self.quoted(b'"');
        } else if rest[0] == b'\'' && is_char_literal(rest) {
            self.quoted(b'\'');
        } else {
            self.keep(1);
        }
    }

    fn inside_word(&self) -> bool {
        self.at > 0 && is_word(self.bytes[self.at - 1])
    }

    fn keep(&mut self, len: usize) {
        self.out.extend_from_slice(&self.bytes[self.at..self.at + len]);
        self.at += len;
    }

    fn blank(&mut self, len: usize) {
        let hidden = &self.bytes[self.at..self.at + len];
        self.out.extend(hidden.iter().map(|&byte| if byte == b'\n' { b'\n' } else { b' ' }));
        self.at += len;
    }

    fn quoted(&mut self, quote: u8) {
        self.keep(1);
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'\\' => self.blank(2.min(self.bytes.len() - self.at)),
                _ if byte == quote => return self.keep(1),
                _ => self.blank(1),
            }
        }
    }

    fn raw_string(&mut self, prefix: RawPrefix) {
        self.keep(prefix.len);
        let closing: Vec<u8> = [vec![b'"'], vec![b'#'; prefix.hashes]].concat();
        let rest = &self.bytes[self.at..];
        let end = rest.windows(closing.len()).position(|window| window == closing);
        self.blank(end.unwrap_or(rest.len()));
        self.keep(closing.len().min(self.bytes.len() - self.at));
    }
}

/// The opening of a raw string: `r"`, `r#"`, `br##"`, `cr"`.
#[derive(Clone, Copy)]
struct RawPrefix {
    len: usize,
    hashes: usize,
}

fn raw_string_prefix(rest: &[u8]) -> Option<RawPrefix> {
    let letters =
        [&b"br"[..], b"cr", b"r"].into_iter().find(|letters| rest.starts_with(letters))?;
    let after = &rest[letters.len()..];
    let hashes = after.iter().take_while(|&&byte| byte == b'#').count();
    (after.get(hashes) == Some(&b'"'))
        .then_some(RawPrefix { len: letters.len() + hashes + 1, hashes })
}

fn block_comment_len(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
        } else {
            at += 1;
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Tells `'x'` and `'\n'` from the lifetime `'a` and the label `'outer:`.
fn is_char_literal(rest: &[u8]) -> bool {
    match rest.get(1) {
        None | Some(b'\'') => false,
        Some(b'\\') => true,
        Some(first) => rest.get(1 + char_len(*first)) == Some(&b'\''),
    }
}

fn char_len(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().position(|&byte| byte == wanted)
}

/// Whether `byte` can be part of an identifier.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn blanks_what_is_not_code() {
        let cases = [
            ("a // {\nb", "a     \nb"),
            ("a /* { /* } */ { */ b", "a                   b"),
            (r#"x("{\"}")"#, r#"x("    ")"#),
            (r##"x(r#"{"}"#)"##, r##"x(r#"   "#)"##),
            (r#"x(br"\")"#, r#"x(br" ")"#),
            ("x('{')", "x(' ')"),
            (r"x('\'', b'\\')", r"x('  ', b'  ')"),
            ("x('ß')", "x('  ')"),
        ];
        for (source, expected) in cases {
            assert_eq!(mask(source), expected, "{source}");
        }
    }

    #[test]
    fn keeps_lifetimes_labels_and_raw_names() {
        for source in
            ["fn f<'a>(x: &'a str) {}", "'outer: loop { break 'outer }", "r#type", "for_r"]
        {
            assert_eq!(mask(source), source);
        }
    }

    #[test]
    fn survives_text_that_ends_inside_a_literal() {
        for source in ["\"abc", "r#\"abc\"", "/* /* */", "'", "'\\", "\"\\"] {
            assert_eq!(mask(source).len(), source.len());
        }
    }

    proptest! {
        #[test]
        fn keeps_length_and_lines(source in "[a-z{}\"'#/*\\\\\nß ]{0,200}") {
            let masked = mask(&source);
            prop_assert_eq!(masked.len(), source.len());
            let breaks = |text: &str| -> Vec<usize> {
                text.match_indices('\n').map(|(at, _)| at).collect()
            };
            prop_assert_eq!(breaks(&masked), breaks(&source));
        }
    }
}
