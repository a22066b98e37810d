//! Places: which names may stand where.
//!
//! Files, sockets and async belong to the shell; a library that we may have to
//! replace is named in one file; a panic is never the answer to bad input.
//! Clippy bans the calls that it can ban (clocks, entropy, environment); this
//! file says who may lift such a ban.

use super::Violation;
use super::source::{SourceFile, words};

/// Where the whole world may be touched, besides the binaries.
const SHELL: &str = "node/src/shell/";

/// The other files that may name `std::fs`: the data reader, and the command line of
/// the simulator, which reads scenarios and writes run folders.
const FILE_READERS: [&str; 2] = ["node/src/train/data/idx.rs", "simnet/src/cli/"];

/// Dependencies that only one file may name, so that they can be replaced.
pub const WRAPPED: [&str; 1] = ["sled"];

/// Checks that at most one file names the dependency `name`.
pub fn check_wrapped(files: &[SourceFile], name: &str) -> Vec<Violation> {
    let users = files.iter().filter_map(|file| Some((file, file.words(name).next()?)));
    let users: Vec<_> = users.collect();
    if users.len() <= 1 {
        return Vec::new();
    }
    let what = format!("`{name}` is named in {} files; one wrapper is the limit", users.len());
    let violation =
        |&(file, at): &(&SourceFile, usize)| Violation::new(file.path(), file.line_of(at), &*what);
    users.iter().map(violation).collect()
}

/// Checks that product code reads and writes files only where it may.
pub fn check_files(file: &SourceFile) -> Vec<Violation> {
    if may_touch_the_world(file) || FILE_READERS.iter().any(|place| file.path().starts_with(place))
    {
        return Vec::new();
    }
    violations(
        file,
        std_module(file.code(), "fs"),
        "`std::fs` below the shell: take bytes as input",
    )
}

/// Checks that nothing below the shell is async or opens a socket.
pub fn check_async(file: &SourceFile) -> Vec<Violation> {
    if may_touch_the_world(file) {
        return Vec::new();
    }
    let code = file.code();
    let mut found = Vec::new();
    for (offsets, name) in [
        (words(code, "async").collect(), "`async`"),
        (words(code, "await").collect(), "`.await`"),
        (words(code, "tokio").collect(), "`tokio`"),
        (std_module(code, "net"), "`std::net`"),
    ] {
        found.extend(violations(file, offsets, &format!("{name} below the shell")));
    }
    found
}

/// Checks that product code never unwraps.
pub fn check_unwrap(file: &SourceFile) -> Vec<Violation> {
    let code = file.code();
    let is_call = |&at: &usize| {
        code[..at].trim_end().ends_with('.')
            && code[at + "unwrap".len()..].trim_start().starts_with('(')
    };
    let calls = words(code, "unwrap").filter(is_call).collect();
    violations(file, calls, "`.unwrap()`: return an error, or `expect` an invariant in words")
}

/// Checks that nothing unfinished is left, tests included.
pub fn check_unfinished(file: &SourceFile) -> Vec<Violation> {
    let mut found = Vec::new();
    for name in ["todo", "unimplemented", "dbg"] {
        let uses =
            words(file.code(), name).filter(|at| file.code()[at + name.len()..].starts_with('!'));
        found.extend(
            uses.map(|at| {
                Violation::new(file.path(), file.line_of(at), format!("`{name}!` is left"))
            }),
        );
    }
    found
}

/// Checks that a lint is lifted with a reason, and a ban only where it may be.
pub fn check_lifted_lints(file: &SourceFile) -> Vec<Violation> {
    let code = file.code();
    let attributes =
        code.match_indices("#[").chain(code.match_indices("#![")).filter_map(|(at, _)| {
            let attribute = code[at..].split(']').next()?;
            let lifts = ["allow(", "expect("].iter().any(|lift| attribute.contains(lift));
            lifts.then_some((at, attribute))
        });
    let mut found = Vec::new();
    for (at, attribute) in attributes {
        let mut report = |what| found.push(Violation::new(file.path(), file.line_of(at), what));
        if words(attribute, "reason").next().is_none() {
            report("a lint is lifted without a reason");
        }
        if attribute.contains("disallowed") && !may_touch_the_world(file) && !file.is_test(at) {
            report("a banned call below the shell: time, entropy and environment are inputs");
        }
    }
    found
}

/// The shell, the binaries, and the tests beside the line.
fn may_touch_the_world(file: &SourceFile) -> bool {
    let path = file.path();
    path.starts_with(SHELL)
        || path.ends_with("/src/main.rs")
        || path.contains("/src/bin/")
        || file.top_folder() == "tests"
}

/// Offsets at which product or test code names `std::<module>`, grouped or not.
fn std_module(code: &str, module: &str) -> Vec<usize> {
    let mut found: Vec<_> =
        words(code, module).filter(|&at| code[..at].ends_with("std::")).collect();
    for (open, _) in code.match_indices("std::{") {
        let group = code[open..].split(';').next().unwrap_or_default();
        let members = words(group, module).filter(|&at| !group[..at].ends_with("::"));
        found.extend(members.map(|at| open + at));
    }
    found
}

/// Reports each of `offsets` that is not test code.
fn violations(file: &SourceFile, offsets: Vec<usize>, what: &str) -> Vec<Violation> {
    let product = offsets.into_iter().filter(|&at| !file.is_test(at));
    product.map(|at| Violation::new(file.path(), file.line_of(at), what)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Check = fn(&SourceFile) -> Vec<Violation>;

    /// The lines at which `check` finds something in `text` at `path`.
    fn found(check: Check, path: &str, text: &str) -> Vec<usize> {
        check(&SourceFile::new(path, text)).iter().map(Violation::line).collect()
    }

    #[test]
    fn a_wrapped_dependency_has_one_user() {
        let file = |path| SourceFile::new(path, "//! On sled.\nuse sled::Db;");
        let bystander =
            SourceFile::new("node/src/shell/c.rs", "// sled\nconst S: &str = \"sled\";");
        let one = [file("node/src/shell/a.rs"), bystander.clone()];
        assert!(check_wrapped(&one, "sled").is_empty());
        let two = [file("node/src/shell/a.rs"), file("node/src/shell/b.rs"), bystander];
        assert_eq!(check_wrapped(&two, "sled").len(), 2);
    }

    #[test]
    fn files_are_read_in_the_shell_and_the_binaries() {
        for text in [
            "use std::fs;",
            "fn f() { std::fs::read(x) }",
            "use std::{fs, io};",
            "use std::fs::File;",
        ] {
            assert_eq!(found(check_files, "registry/src/x.rs", text), [1], "{text}");
            for path in [
                "node/src/shell/store.rs",
                "node/src/main.rs",
                "registry/src/bin/longhaul-audit.rs",
                "node/src/train/data/idx.rs",
                "tests/tests/tidy.rs",
                "dtn/tests/vectors.rs",
            ] {
                assert!(found(check_files, path, text).is_empty(), "{path}: {text}");
            }
        }
        assert!(found(check_files, "registry/src/x.rs", "use std::{io, mem::fs};").is_empty());
    }

    #[test]
    fn nothing_below_the_shell_is_async() {
        for text in [
            "async fn f() {}",
            "fn f() { x.await }",
            "use tokio::sync::mpsc;",
            "use std::net::IpAddr;",
            "use std::{io, net::IpAddr};",
        ] {
            assert_eq!(found(check_async, "node/src/peer/mod.rs", text), [1], "{text}");
            assert!(found(check_async, "node/src/shell/net.rs", text).is_empty(), "{text}");
        }
        assert!(
            found(check_async, "dtn/src/x.rs", "/// Not async.\nfn tokio_like() {}").is_empty()
        );
    }

    #[test]
    fn product_code_never_unwraps() {
        let text = "fn f() {\n    x.unwrap();\n    x\n        .unwrap()\n}\n#[cfg(test)]\nmod tests { fn g() { x.unwrap() } }";
        assert_eq!(found(check_unwrap, "dtn/src/x.rs", text), [2, 4]);
        assert!(found(check_unwrap, "dtn/src/x.rs", "fn unwrap() { x.unwrap_or(1) }").is_empty());
    }

    #[test]
    fn nothing_unfinished_is_left() {
        let text = "fn f() {\n    todo!()\n}\n#[cfg(test)]\nmod tests {\n    fn g() { dbg!(1); unimplemented!() }\n}";
        assert_eq!(found(check_unfinished, "dtn/src/x.rs", text), [2, 6, 6]);
        assert!(found(check_unfinished, "dtn/src/x.rs", "// todo!\nfn todo() {}").is_empty());
    }

    #[test]
    fn a_lint_is_lifted_with_a_reason() {
        let bare = "#[expect(clippy::too_many_lines)]\nfn f() {}";
        assert_eq!(found(check_lifted_lints, "dtn/src/x.rs", bare), [1]);
        let reasoned =
            "#[expect(\n    clippy::type_complexity,\n    reason = \"why\"\n)]\nfn f() {}";
        assert!(found(check_lifted_lints, "dtn/src/x.rs", reasoned).is_empty());
    }

    #[test]
    fn a_ban_is_lifted_in_the_shell_only() {
        let text = "#![expect(clippy::disallowed_methods, reason = \"why\")]";
        assert_eq!(found(check_lifted_lints, "node/src/peer/mod.rs", text), [1]);
        assert!(found(check_lifted_lints, "node/src/shell/clock.rs", text).is_empty());
        assert!(found(check_lifted_lints, "node/src/main.rs", text).is_empty());
    }
}
