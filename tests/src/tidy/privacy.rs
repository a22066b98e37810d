//! Privacy: no text names the machine or the network that it was written on.

use super::Violation;
use super::workspace::TextFile;

/// Folders that exist on somebody's machine only. Written in two parts, so that
/// this file does not break its own rule.
const FOLDERS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/tmp/", "spec"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Endings of host names that only a private network resolves.
const PRIVATE_ENDINGS: [&str; 5] = [".internal", ".corp", ".lan", ".intranet", ".local"];

/// The one place that packages come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks a text for machine paths and private hosts.
pub fn check_text(file: &TextFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let mut report = |what| violations.push(Violation::new(&file.path, index + 1, what));
        for folder in FOLDERS.iter().filter(|folder| names_folder(line, folder)) {
            report(format!("names `{folder}`, a folder of one machine"));
        }
        for host in hosts(line).filter(|host| is_private(host)) {
            report(format!("names `{host}`, a host of a private network"));
        }
    }
    violations
}

/// Checks that each package of `Cargo.lock` comes from the public registry.
pub fn check_lock(lock: &TextFile) -> Vec<Violation> {
    let sources = lock.text.lines().enumerate().filter(|(_, line)| line.starts_with("source = "));
    sources
        .filter(|(_, line)| line.trim_start_matches("source = ").trim_matches('"') != REGISTRY)
        .map(|(index, _)| Violation::new(&lock.path, index + 1, "a package from elsewhere"))
        .collect()
}

/// Whether `folder` begins a path in `line`; inside a longer path it does not.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '}'))
    })
}

/// Host names of the web addresses in `line`.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    ["http://", "https://"].into_iter().flat_map(move |scheme| {
        line.split(scheme).skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '.' | '-'));
            rest[..end.unwrap_or(rest.len())].trim_end_matches('.')
        })
    })
}

fn is_private(host: &str) -> bool {
    let is_bare = !host.is_empty() && !host.contains('.') && host != "localhost";
    is_bare || PRIVATE_ENDINGS.iter().any(|ending| host.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        check_text(&TextFile { path: "docs/x.md".to_owned(), text: text.to_owned() }).len()
    }

    #[test]
    fn finds_folders_of_one_machine() {
        for folder in FOLDERS {
            assert_eq!(found(&format!("see {folder}x")), 1, "{folder}");
        }
        for text in
            ["crates/work/x", "homework/", "https://example.org/home/", "./home/x", "target/tmp/x"]
        {
            assert_eq!(found(text), 0, "{text}");
        }
    }

    #[test]
    fn finds_private_hosts() {
        for host in ["git", "mirror.internal", "x.corp:8080", "nas.lan/a"] {
            assert_eq!(found(&format!("see https://{host}")), 1, "{host}");
        }
        for host in ["localhost:80", "example.org", "{host}", "127.0.0.1:1"] {
            assert_eq!(found(&format!("see http://{host}")), 0, "{host}");
        }
    }

    #[test]
    fn packages_come_from_the_public_registry() {
        let check =
            |text: String| check_lock(&TextFile { path: "Cargo.lock".to_owned(), text }).len();
        assert_eq!(check(format!("name = \"a\"\nsource = \"{REGISTRY}\"\n")), 0);
        assert_eq!(check("source = \"registry+https://mirror.example.org/index\"\n".to_owned()), 1);
        assert_eq!(check("source = \"git+https://github.com/a/b\"\n".to_owned()), 1);
    }
}
