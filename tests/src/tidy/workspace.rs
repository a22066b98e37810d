//! Reading the workspace: the only file of the tidy checks that touches a disk.
//!
//! Build output, version control and editor folders are not the workspace.

use std::path::Path;
use std::{fs, io};

use super::source::SourceFile;

/// Any text file, by its path relative to the workspace root.
#[derive(Debug, Clone)]
pub struct TextFile {
    /// Path with `/` between its parts.
    pub path: String,
    /// The text as it was read.
    pub text: String,
}

/// Everything that the rules look at, in the order of the paths.
#[derive(Debug, Default)]
pub struct Workspace {
    /// The Rust sources.
    pub sources: Vec<SourceFile>,
    /// All text files, the Rust sources included.
    pub texts: Vec<TextFile>,
    /// Paths of all files and folders, for links.
    pub paths: Vec<String>,
}

impl Workspace {
    /// Reads the workspace at `root`.
    pub fn load(root: &Path) -> io::Result<Self> {
        let mut workspace = Self::default();
        workspace.read_folder(root, "")?;
        workspace.sources = sources(&workspace.texts);
        Ok(workspace)
    }

    /// The text file at `path`.
    pub fn text(&self, path: &str) -> Option<&TextFile> {
        self.texts.iter().find(|file| file.path == path)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type()?;
            let path = format!("{prefix}{name}");
            if kind.is_dir() && !is_foreign(&name) {
                self.paths.push(path.clone());
                self.read_folder(&entry.path(), &format!("{path}/"))?;
            } else if kind.is_file() {
                self.read_file(&entry.path(), path)?;
            }
        }
        Ok(())
    }

    fn read_file(&mut self, file: &Path, path: String) -> io::Result<()> {
        self.paths.push(path.clone());
        if let Ok(text) = String::from_utf8(fs::read(file)?) {
            self.texts.push(TextFile { path, text });
        }
        Ok(())
    }
}

/// Folders that are not part of the project.
fn is_foreign(name: &str) -> bool {
    name == "target" || (name.starts_with('.') && !matches!(name, ".ci" | ".cargo" | ".github"))
}

/// The Rust files among `texts`, with the files of test modules marked.
fn sources(texts: &[TextFile]) -> Vec<SourceFile> {
    let rust = texts.iter().filter(|file| file.path.ends_with(".rs"));
    let mut sources: Vec<_> = rust.map(|file| SourceFile::new(&file.path, &file.text)).collect();
    let tests: Vec<_> = sources.iter().flat_map(SourceFile::test_module_files).collect();
    sources
        .iter_mut()
        .filter(|source| tests.iter().any(|test| test == source.path()))
        .for_each(SourceFile::mark_as_test);
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str, text: &str) -> TextFile {
        TextFile { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn marks_the_files_of_test_modules() {
        let found = sources(&[
            text("a/src/x.rs", "fn f() {}\n#[cfg(test)]\nmod case;\nmod real;"),
            text("a/src/x/case.rs", "fn g() {}"),
            text("a/src/x/real.rs", "fn h() {}"),
            text("a/README.md", "fn"),
        ]);
        let marked: Vec<_> = found.iter().map(|source| source.is_test(0)).collect();
        assert_eq!(marked, [false, true, false]);
    }

    #[test]
    fn build_output_and_version_control_are_foreign() {
        for name in ["target", ".git", ".idea"] {
            assert!(is_foreign(name), "{name}");
        }
        for name in ["src", ".ci", "docs"] {
            assert!(!is_foreign(name), "{name}");
        }
    }

    #[test]
    fn finds_its_own_source() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let workspace = Workspace::load(root).unwrap();
        assert!(workspace.text("src/tidy/workspace.rs").is_some());
        assert!(workspace.paths.iter().any(|path| path == "src/tidy"));
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        assert!(Workspace::load(Path::new("no-such-folder")).is_err());
    }
}
