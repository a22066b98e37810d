//! One Rust source file as the rules see it: its text, its masked code, and
//! which of its lines are tests.
//!
//! A line is test code if it lies in an item under `#[cfg(test)]`, in a module
//! file that such an item declares, or in a `tests/` or `benches/` folder.

use std::ops::Range;

use super::mask::{is_word, mask};

/// A Rust source file of the workspace.
#[derive(Debug, Clone)]
pub struct SourceFile {
    path: String,
    text: String,
    code: String,
    tests: Vec<Range<usize>>,
}

impl SourceFile {
    /// Takes the text of the file at `path`, relative to the workspace root.
    pub fn new(path: &str, text: &str) -> Self {
        let code = mask(text);
        let whole_file = path.split('/').rev().skip(1).any(is_test_folder);
        let tests = if whole_file { whole(text) } else { test_items(&code) };
        Self { path: path.to_owned(), text: text.to_owned(), code, tests }
    }

    /// The path, relative to the workspace root, with `/` between its parts.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The text as it was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The code: the text with comments and literals blanked.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The folder of the workspace that the file belongs to, such as `dtn`.
    pub fn top_folder(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// The number of the line that holds byte `offset`, counted from 1.
    pub fn line_of(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count() + 1
    }

    /// Whether byte `offset` is test code.
    pub fn is_test(&self, offset: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&offset))
    }

    /// Says that the whole file is test code, because its parent says so.
    pub fn mark_as_test(&mut self) {
        self.tests = whole(&self.text);
    }

    /// Number of lines outside test code.
    pub fn lines_of_product(&self) -> usize {
        let starts = std::iter::once(0).chain(self.text.match_indices('\n').map(|(at, _)| at + 1));
        starts.filter(|&at| at < self.text.len() && !self.is_test(at)).count()
    }

    /// Offsets at which `word` stands as a whole identifier in the code.
    pub fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        words(&self.code, word)
    }

    /// Paths of the module files that this file declares under `#[cfg(test)]`.
    pub fn test_module_files(&self) -> Vec<String> {
        let declared = self.tests.iter().filter_map(|range| {
            let item = &self.code[range.clone()];
            if !item.ends_with(';') {
                return None;
            }
            let at = words(item, "mod").next()?;
            Some((self.explicit_path(range), item[at + 3..item.len() - 1].trim().to_owned()))
        });
        declared.flat_map(|(path, module)| self.candidates(path, &module)).collect()
    }

    fn candidates(&self, explicit: Option<String>, module: &str) -> Vec<String> {
        let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        if let Some(explicit) = explicit {
            return vec![format!("{folder}/{explicit}")];
        }
        let stem = file.trim_end_matches(".rs");
        let base = match stem {
            "mod" | "lib" | "main" => folder.to_owned(),
            _ => format!("{folder}/{stem}"),
        };
        vec![format!("{base}/{module}.rs"), format!("{base}/{module}/mod.rs")]
    }

    /// The value of a `#[path = "…"]` attribute inside `range`.
    fn explicit_path(&self, range: &Range<usize>) -> Option<String> {
        let at = self.code[range.clone()].find("[path")? + range.start;
        self.text[at..range.end].split('"').nth(1).map(str::to_owned)
    }
}

/// All of `text`, as the one range of a list.
fn whole(text: &str) -> Vec<Range<usize>> {
    std::iter::once(0..text.len()).collect()
}

fn is_test_folder(folder: &str) -> bool {
    matches!(folder, "tests" | "benches")
}

/// Offsets at which `word` stands as a whole identifier in `code`.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let bytes = code.as_bytes();
        let before = at.checked_sub(1).map(|before| bytes[before]);
        let after = bytes.get(at + word.len()).copied();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// The offset just after the block or `;` that ends the item at `start`.
///
/// Braces inside parentheses and brackets belong to the signature.
pub fn item_end(code: &str, start: usize) -> Option<usize> {
    let mut nesting = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => nesting += 1,
            b')' | b']' => nesting = nesting.checked_sub(1)?,
            b';' if nesting == 0 => return Some(at + 1),
            b'{' if nesting == 0 => return block_end(code, at),
            _ => {}
        }
    }
    None
}

/// The offset just after the brace that closes the one at `open`.
fn block_end(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at + 1),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Byte ranges of the items under `#[cfg(test)]`, attribute included.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let inner = code.match_indices("#![cfg(").filter(|(at, _)| asks_for_test(code, at + 1));
    if inner.count() > 0 {
        return whole(code);
    }
    code.match_indices("#[cfg(")
        .filter(|(at, _)| asks_for_test(code, *at))
        .filter_map(|(at, _)| Some(at..item_end(code, at)?))
        .collect()
}

/// Whether the attribute whose `[` follows `at` holds in tests only.
fn asks_for_test(code: &str, at: usize) -> bool {
    let attribute = code[at..].split(']').next().unwrap_or_default();
    let compact: String = attribute.split_whitespace().collect();
    words(&compact, "test").next().is_some()
        && !compact.contains("not(test")
        && words(&compact, "any").next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_which_lines_are_tests() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        let file = SourceFile::new("dtn/src/x.rs", text);
        assert!(!file.is_test(text.find("fn a").unwrap()));
        assert!(file.is_test(text.find("fn b").unwrap()));
        assert!(!file.is_test(text.find("fn c").unwrap()));
        assert_eq!(file.lines_of_product(), 2);
        assert_eq!(file.line_of(text.find("fn b").unwrap()), 4);
    }

    #[test]
    fn a_file_in_a_tests_folder_is_a_test() {
        assert!(SourceFile::new("dtn/tests/x.rs", "fn a() {}").is_test(0));
        assert!(!SourceFile::new("dtn/src/tests.rs", "fn a() {}").is_test(0));
    }

    #[test]
    fn other_conditions_are_not_tests() {
        for condition in ["not(test)", "any(test, feature = \"x\")", "feature = \"test\"", "unix"] {
            let file =
                SourceFile::new("dtn/src/x.rs", &format!("#[cfg({condition})]\nfn a() {{}}"));
            assert!(!file.is_test(0), "{condition}");
        }
        let file = SourceFile::new("dtn/src/x.rs", "#[cfg(all(test, unix))]\nfn a() {}");
        assert!(file.is_test(0));
    }

    #[test]
    fn finds_the_files_of_test_modules() {
        let declared = |path, text| SourceFile::new(path, text).test_module_files();
        let text = "#[cfg(test)]\nmod case;";
        assert_eq!(declared("a/src/x.rs", text), ["a/src/x/case.rs", "a/src/x/case/mod.rs"]);
        assert_eq!(declared("a/src/x/mod.rs", text), ["a/src/x/case.rs", "a/src/x/case/mod.rs"]);
        let text = "#[cfg(test)]\n#[path = \"y.rs\"]\nmod case;";
        assert_eq!(declared("a/src/x.rs", text), ["a/src/y.rs"]);
        assert!(declared("a/src/x.rs", "#[cfg(test)]\nmod case { fn f(); }").is_empty());
    }

    #[test]
    fn a_word_is_a_whole_identifier() {
        let found: Vec<_> = words("led sled sledge _sled sled::x", "sled").collect();
        assert_eq!(found, [4, 22]);
    }

    #[test]
    fn an_item_ends_with_its_own_brace() {
        let code = "fn f(x: [u8; 3]) { { } } fn g() {}";
        assert_eq!(item_end(code, 0), code.find("} fn").map(|at| at + 1));
        assert_eq!(item_end("mod x; fn", 0), Some(6));
        assert_eq!(item_end("fn f() {", 0), None);
    }
}
