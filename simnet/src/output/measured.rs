//! A writer that counts and hashes what passes, for the manifest.
//!
//! Files of a run can be long; this spares reading them again.

use std::io::{self, Write};

use super::run_manifest::ManifestFile;

/// Passes bytes on to `W`, counting and hashing those that `W` took.
#[derive(Debug)]
pub struct Measured<W> {
    out: W,
    bytes: u64,
    hasher: blake3::Hasher,
}

impl<W: Write> Measured<W> {
    /// Measures what is written to `out` from now on.
    pub fn new(out: W) -> Self {
        Self { out, bytes: 0, hasher: blake3::Hasher::new() }
    }

    /// Gives `out` back, and the manifest's line about a file called `name`.
    pub fn finish(self, name: &str) -> (W, ManifestFile) {
        let Self { out, bytes, hasher } = self;
        (out, ManifestFile { name: name.to_owned(), bytes, blake3: hasher.finalize() })
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.out.write(bytes)?;
        self.hasher.update(&bytes[..taken]);
        self.bytes += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_what_was_taken() {
        let mut room = [0; 5];
        let mut out = Measured::new(&mut room[..]);
        out.write_all(b"abc").expect("room for three");
        assert!(out.write_all(b"defg").is_err(), "room for two more");
        let (_, file) = out.finish("part");
        let blake3 = blake3::hash(b"abcde");
        assert_eq!(file, ManifestFile { name: "part".to_owned(), bytes: 5, blake3 });
    }
}
