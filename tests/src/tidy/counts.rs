//! How many tests there are for how many lines.

use super::mask::is_word;
use super::source::SourceFile;

/// Fewest tests for each 1,000 lines of Rust, over the whole workspace.
pub const TESTS_PER_1000_LINES_MIN: usize = 15;

/// Lines and tests of some Rust code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Lines, comments and tests included.
    pub lines: usize,
    /// Functions under `#[test]` or another `…::test` attribute, properties included.
    pub tests: usize,
}

impl Count {
    /// Counts one file.
    pub fn of(file: &SourceFile) -> Self {
        Self { lines: file.text().lines().count(), tests: tests_in(file.code()) }
    }

    /// Adds up the counts of many files.
    pub fn sum(counts: impl Iterator<Item = Self>) -> Self {
        counts.fold(Self::default(), |sum, count| Self {
            lines: sum.lines + count.lines,
            tests: sum.tests + count.tests,
        })
    }

    /// Whether there are enough tests for the lines.
    pub fn is_enough(self) -> bool {
        self.tests * 1_000 >= self.lines * TESTS_PER_1000_LINES_MIN
    }
}

/// Counts `#[test]`, `#[tokio::test]` and `#[tokio::test(…)]`.
fn tests_in(code: &str) -> usize {
    code.match_indices("#[")
        .filter(|(at, open)| is_test_attribute(&code[at + open.len()..]))
        .count()
}

fn is_test_attribute(rest: &str) -> bool {
    let path = rest.bytes().take_while(|&byte| is_word(byte) || byte == b':').count();
    let (path, after) = rest.split_at(path);
    (path == "test" || path.ends_with("::test")) && after.starts_with([']', '('])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_every_kind_of_test() {
        let text = "#[test]\nfn a() {}\n#[tokio::test]\nasync fn b() {}\n\
                    proptest! {\n    #[test]\n    fn c(x in 0..1) {}\n}\n\
                    #[tokio::test(start_paused = true)]\nasync fn d() {}\n";
        let count = Count::of(&SourceFile::new("dtn/src/x.rs", text));
        assert_eq!(count, Count { lines: 10, tests: 4 });
    }

    #[test]
    fn other_attributes_are_not_tests() {
        let text =
            "// #[test]\n#[cfg(test)]\n#[testing]\n#[test_case]\nconst S: &str = \"#[test]\";";
        assert_eq!(Count::of(&SourceFile::new("dtn/src/x.rs", text)).tests, 0);
    }

    #[test]
    fn the_share_is_taken_over_the_sum() {
        let enough = Count { lines: 1_000, tests: TESTS_PER_1000_LINES_MIN };
        let one_less = Count { tests: enough.tests - 1, ..enough };
        assert!(enough.is_enough());
        assert!(!one_less.is_enough());
        let plus_one = Count { lines: 0, tests: 1 };
        assert!(Count::sum([one_less, plus_one].into_iter()).is_enough());
        assert!(Count::default().is_enough(), "nothing needs no test");
    }
}
