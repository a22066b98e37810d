//! Links in the documents: a relative link names a file of the workspace.

use super::Violation;
use super::workspace::{TextFile, Workspace};

/// Documents that a stranger looks for first.
pub const EXPECTED: [&str; 7] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
];

/// Checks that each document of [`EXPECTED`] is there.
pub fn check_expected(workspace: &Workspace) -> Vec<Violation> {
    let missing = EXPECTED.iter().filter(|path| workspace.text(path).is_none());
    missing.map(|path| Violation::new(path, 1, "the document is missing")).collect()
}

/// Checks the relative links of one document; `exists` knows the workspace.
pub fn check_document(document: &TextFile, exists: impl Fn(&str) -> bool) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut fenced = false;
    for (index, line) in document.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let broken = targets(line)
                .into_iter()
                .filter(|target| resolve(&document.path, target).is_none_or(|path| !exists(&path)));
            violations.extend(broken.map(|target| {
                Violation::new(&document.path, index + 1, format!("`{target}` does not exist"))
            }));
        }
    }
    violations
}

/// The relative link targets on a line of Markdown, without their anchors.
fn targets(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let inline = prose.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let defined = prose.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    let defined = defined.and_then(|(_, target)| target.split_whitespace().next());
    inline
        .chain(defined)
        .filter(|target| !target.contains(':'))
        .filter_map(|target| target.split('#').next())
        .filter(|target| !target.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `target`, seen from `document`, as a path from the root; `None` outside it.
fn resolve(document: &str, target: &str) -> Option<String> {
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 3] = ["README.md", "docs/guide.md", "docs/figures"];

    fn broken(path: &str, text: &str) -> usize {
        let document = TextFile { path: path.to_owned(), text: text.to_owned() };
        check_document(&document, |path| FILES.contains(&path)).len()
    }

    #[test]
    fn a_relative_link_names_a_file() {
        for text in [
            "[a](docs/guide.md)",
            "![a](./docs/figures/)",
            "[a](docs/guide.md#part)",
            "[a]: README.md",
        ] {
            assert_eq!(broken("README.md", text), 0, "{text}");
        }
        for text in [
            "[a](docs/gone.md)",
            "see [a](README.md) and [b](gone.md)",
            "[a]: gone.md",
            "[a](../README.md)",
        ] {
            assert_eq!(broken("README.md", text), 1, "{text}");
        }
    }

    #[test]
    fn a_link_is_read_from_its_own_folder() {
        assert_eq!(broken("docs/guide.md", "[a](../README.md) [b](guide.md)"), 0);
        assert_eq!(broken("docs/guide.md", "[a](README.md)"), 1);
    }

    #[test]
    fn addresses_anchors_and_code_are_not_files() {
        for text in
            ["[a](https://example.org/x)", "[a](#part)", "`[a](gone.md)`", "```\n[a](gone.md)\n```"]
        {
            assert_eq!(broken("README.md", text), 0, "{text}");
        }
    }

    #[test]
    fn reports_the_line() {
        let document =
            TextFile { path: "README.md".to_owned(), text: "# x\n\n[a](b.md)\n".to_owned() };
        let found = check_document(&document, |_| false);
        assert_eq!(found[0].to_string(), "README.md:3: `b.md` does not exist");
    }

    #[test]
    fn a_missing_document_is_reported() {
        assert_eq!(check_expected(&Workspace::default()).len(), EXPECTED.len());
    }
}
