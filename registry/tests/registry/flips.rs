//! No byte of an audit file can change unnoticed.

use std::collections::BTreeMap;

use longhaul_dtn::hash::ContentHash;
use longhaul_registry::audit::Verdict;

use crate::world::{World, replay_file, verify_file};

/// A reproducible number for test number `index`.
fn number(purpose: &str, index: u32) -> u64 {
    let hash = ContentHash::of(format!("{purpose} {index}").as_bytes());
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap())
}

#[test]
fn detects_each_of_1000_random_flips() {
    let good = World::new().file();
    let mut found_by = BTreeMap::new();
    for index in 0..1_000 {
        let mut bytes = good.clone();
        let at = usize::try_from(number("place", index) % good.len() as u64).unwrap();
        let xor = u8::try_from(number("value", index) % 255 + 1).unwrap();
        bytes[at] ^= xor;
        let report = verify_file(&bytes, None);
        assert_eq!(report.verdict, Verdict::Failed, "byte {at} xor {xor:#x}:\n{report}");
        *found_by.entry(report.problems[0].detected_by.to_string()).or_insert(0) += 1;
    }
    println!("1000 flips in {} bytes, found first by: {found_by:?}", good.len());
    let covered = ["signature", "content hash", "format"];
    assert!(found_by.keys().all(|by| covered.contains(&by.as_str())), "{found_by:?}");
    // Only the few bytes of framing around what is signed or hashed are left to
    // strict reading.
    assert!(found_by["format"] <= 40, "{found_by:?}");
}

#[test]
fn detects_a_flip_of_each_byte_of_the_frame() {
    let good = World::new().file();
    // Everything up to the second entry, and the last payload.
    for at in (0..1_200).chain(good.len() - 50..good.len()) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert_eq!(verify_file(&bytes, None).verdict, Verdict::Failed, "byte {at}");
    }
}

#[test]
fn never_verifies_a_truncated_file() {
    let good = World::new().file();
    for len in (0..good.len()).step_by(97) {
        let report = replay_file(&good[..len], None);
        assert_ne!(report.verdict, Verdict::Verified, "cut at {len}");
        assert!(report.replay.is_none());
    }
}

#[test]
fn never_panics_on_noise() {
    let good = World::new().file();
    for index in 0..200 {
        let mut bytes = good.clone();
        let at = usize::try_from(number("from", index) % good.len() as u64).unwrap();
        let until = (at + 1 + usize::from(index as u8)).min(bytes.len());
        for byte in &mut bytes[at..until] {
            *byte = number("noise", index * 1_000 + u32::from(*byte)) as u8;
        }
        if bytes != good {
            assert_eq!(verify_file(&bytes, None).verdict, Verdict::Failed, "noise {index}");
        }
    }
}
