//! The shape of the sources: module docs, length of functions and of files.

use super::Violation;
use super::mask::is_word;
use super::source::{SourceFile, item_end};

/// Most lines of a function, from the line of its `fn` to its closing brace.
///
/// The longest function of the code bases that we take as models has 70.
pub const FUNCTION_LINES_MAX: usize = 70;

/// Most lines of a file outside its tests; one noun fits into 400.
pub const FILE_LINES_MAX: usize = 500;

/// Checks that the file opens by saying what it is.
pub fn check_opening(file: &SourceFile) -> Vec<Violation> {
    if file.text().starts_with("//! ") {
        return Vec::new();
    }
    vec![Violation::new(file.path(), 1, "a file opens with `//!`: what it is and why it exists")]
}

/// Checks the length of each function.
pub fn check_functions(file: &SourceFile) -> Vec<Violation> {
    functions(file)
        .filter(|function| function.lines > FUNCTION_LINES_MAX)
        .map(|Function { name, line, lines }| {
            let what = format!("`{name}` has {lines} lines; {FUNCTION_LINES_MAX} are the most");
            Violation::new(file.path(), line, what)
        })
        .collect()
}

/// Checks the length of the file outside its tests.
pub fn check_length(file: &SourceFile) -> Vec<Violation> {
    let lines = file.lines_of_product();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let what =
        format!("{lines} lines outside tests; {FILE_LINES_MAX} are the most: split the noun");
    vec![Violation::new(file.path(), 1, what)]
}

/// A function with a body, closures not counted.
struct Function<'a> {
    name: &'a str,
    line: usize,
    lines: usize,
}

fn functions(file: &SourceFile) -> impl Iterator<Item = Function<'_>> {
    let code = file.code();
    file.words("fn").filter_map(move |at| {
        let name = code[at + 2..].trim_start();
        let len = name.bytes().take_while(|&byte| is_word(byte)).count();
        let end = item_end(code, at).filter(|_| len > 0)?;
        let (first, last) = (file.line_of(at), file.line_of(end - 1));
        Some(Function { name: &name[..len], line: first, lines: last - first + 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines_of_body: usize) -> String {
        let body = "    call(); // }\n".repeat(lines_of_body);
        format!("//! x\n\nfn short() {{}}\n\nfn long(\n    x: [u8; 3],\n) {{\n{body}}}\n")
    }

    #[test]
    fn a_function_has_seventy_lines_at_most() {
        let at_limit = SourceFile::new("dtn/src/x.rs", &function(FUNCTION_LINES_MAX - 4));
        assert!(check_functions(&at_limit).is_empty());
        let found =
            check_functions(&SourceFile::new("dtn/src/x.rs", &function(FUNCTION_LINES_MAX - 3)));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "dtn/src/x.rs:5: `long` has 71 lines; 70 are the most");
    }

    #[test]
    fn function_pointers_and_bare_signatures_have_no_length() {
        let text = format!("type F = fn(u8);\ntrait T {{\n    fn f();{}}}\n", "\n".repeat(100));
        assert!(check_functions(&SourceFile::new("dtn/src/x.rs", &text)).is_empty());
    }

    #[test]
    fn a_test_function_has_a_limit_too() {
        let text = format!("//! x\n#[cfg(test)]\nmod tests {{\n{}}}\n", function(80));
        assert_eq!(check_functions(&SourceFile::new("dtn/src/x.rs", &text)).len(), 1);
    }

    #[test]
    fn a_file_opens_with_its_purpose() {
        let opening = |text| check_opening(&SourceFile::new("dtn/src/x.rs", text)).len();
        assert_eq!(opening("//! A noun.\nfn f() {}"), 0);
        for text in
            ["", "fn f() {}", "// A noun.", "/// A noun.", "\n//! A noun.", "//!\nfn f() {}"]
        {
            assert_eq!(opening(text), 1, "{text:?}");
        }
    }

    #[test]
    fn a_file_has_a_limit_outside_its_tests() {
        let check = |text: &str| check_length(&SourceFile::new("dtn/src/x.rs", text)).len();
        let product = "// why\n".repeat(FILE_LINES_MAX);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "// why\n".repeat(900));
        assert_eq!(check(&format!("{product}{tests}")), 0);
        assert_eq!(check(&format!("{product}fn f() {{}}\n{tests}")), 1);
    }
}
