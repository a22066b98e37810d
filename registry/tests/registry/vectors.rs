//! Golden vectors: the bytes of a manifest and of a log entry never change.

use std::path::PathBuf;

use longhaul_aggregation::Encoding;
use longhaul_dtn::hash::ContentHash;
use longhaul_registry::{LogWriter, Manifest, Record, SignedEntry, SignedManifest};

use crate::world::{key, manifest};

const LINE_BYTES: usize = 32;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(name)
}

fn signed_manifest() -> SignedManifest {
    manifest().sign(&key(1)).unwrap()
}

/// The same federation with updates that are not int8.
fn with_encoding() -> SignedManifest {
    Manifest { encoding: Encoding::TERNARY, ..manifest() }.sign(&key(1)).unwrap()
}

fn entries() -> Vec<SignedEntry> {
    let mut writer = LogWriter::new(key(1));
    let start = manifest().start;
    let federation = signed_manifest().id();
    let genesis = writer.append(start, Record::Genesis { federation });
    let from = key(2).peer_id();
    let refuse = writer.append(start, Record::Refuse { bundle: None, from, code: 113 });
    vec![genesis, refuse]
}

fn read(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(path(name)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let digits: Vec<u8> = lines.flat_map(str::bytes).collect();
    let value = |digit: u8| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap();
    digits.chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
}

fn write(name: &str, about: &str, bytes: &[u8]) {
    let mut text = format!("# {about}\n");
    for line in bytes.chunks(LINE_BYTES) {
        text.extend(line.iter().map(|byte| format!("{byte:02x}")));
        text.push('\n');
    }
    std::fs::write(path(name), text).unwrap();
}

#[test]
fn the_manifest_keeps_its_bytes() {
    let bytes = read("manifest.hex");
    assert_eq!(bytes, signed_manifest().as_bytes());
    assert_eq!(SignedManifest::decode(&bytes).unwrap().id(), signed_manifest().id());
}

#[test]
fn a_manifest_with_an_encoding_keeps_its_bytes() {
    let bytes = read("manifest_encoding.hex");
    assert_eq!(bytes, with_encoding().as_bytes());
    let decoded = SignedManifest::decode(&bytes).unwrap();
    assert_eq!(decoded.manifest().encoding, Encoding::TERNARY);
}

#[test]
fn log_entries_keep_their_bytes() {
    let expected: Vec<u8> = entries().iter().flat_map(longhaul_registry::frame_entry).collect();
    let bytes = read("log_entry.hex");
    assert_eq!(bytes, expected);
    let scan = longhaul_registry::scan_log(&bytes, key(1).peer_id());
    assert_eq!(scan.entries, entries());
}

#[test]
fn ids_are_derived_as_documented() {
    let bytes = read("manifest.hex");
    let body = &bytes[1..bytes.len() - 66];
    let id = ContentHash::derive("longhaul 2026 federation id v1", body);
    assert_eq!(id, signed_manifest().id().hash());
    let entry = &entries()[0];
    let body = &entry.as_bytes()[1..entry.as_bytes().len() - 66];
    let hash = ContentHash::derive("longhaul 2026 log entry v1", body);
    assert_eq!(entry.hash().as_hash(), &hash);
    assert_eq!(entries()[1].entry().previous, Some(entry.hash()));
}

/// Run with `--ignored` after a deliberate change of format.
#[test]
#[ignore = "writes the vectors instead of checking them"]
fn write_the_vectors() {
    std::fs::create_dir_all(path("")).unwrap();
    let about = "A signed manifest: five members, creator key [1; 32], 36 parameters.";
    write("manifest.hex", about, signed_manifest().as_bytes());
    let bytes: Vec<u8> = entries().iter().flat_map(longhaul_registry::frame_entry).collect();
    let of_encoding = "The manifest of manifest.hex with ternary updates, share 33 %: key 17.";
    write("manifest_encoding.hex", of_encoding, with_encoding().as_bytes());
    let about = "A log file of two entries, genesis and refuse, signed by key [1; 32].";
    write("log_entry.hex", about, &bytes);
}
