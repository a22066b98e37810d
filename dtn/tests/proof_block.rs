//! Bundles with a proof about their payload: what is signed, what is refused, and their bytes.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use common::{LIMITS, draft, key};
use longhaul_dtn::bundle::{
    BlockKind, BundleError, BundleHead, BundleLimits, Encryption, HEADER_BYTES_MAX, Prepared,
    salted_root,
};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::keyring::{FederationKey, Keyring};

const PROVEN: BundleLimits = BundleLimits { proof_bytes_max: 64, ..LIMITS };
const PROOF: &[u8] = b"a proof about the payload";

fn clear() -> Prepared {
    Prepared::clear(draft(b"header", b"payload"), &key(1)).unwrap()
}

fn encrypted() -> (Prepared, Vec<u8>) {
    let shared = FederationKey::from_bytes([7; 32]);
    let (author, pseudonym) = (key(1), key(2));
    let encryption = Encryption { author: &author, pseudonym: &pseudonym, key: &shared };
    Prepared::encrypted(draft(b"header", b"payload"), &encryption).unwrap()
}

fn heads() -> [BundleHead; 2] {
    [clear(), encrypted().0].map(|it| it.sign(Some(PROOF)).unwrap())
}

#[test]
fn a_proof_travels_in_the_head_and_names_another_bundle() {
    for (head, without) in heads().iter().zip([clear(), encrypted().0]) {
        let read = BundleHead::decode(&head.encode(), &PROVEN).unwrap();
        assert_eq!((read.proof(), read.id()), (Some(PROOF), head.id()));
        let without = without.sign(None).unwrap();
        assert_eq!(without.proof(), None);
        assert_ne!(without.id(), head.id());
        // What the proof is about is the same.
        assert_eq!(without.header_hash(), head.header_hash());
        assert_eq!(without.payload_hash(), head.payload_hash());
    }
}

#[test]
fn what_a_proof_is_about_is_known_before_the_signature() {
    let (prepared, ciphertext) = encrypted();
    assert_eq!(prepared.payload_hash(), ContentHash::of(&ciphertext));
    assert_eq!(prepared.signer(), key(2).peer_id());
    let (signer, header) = (prepared.signer(), prepared.header_hash());
    let salt = prepared.salt().unwrap();
    let head = prepared.sign(Some(PROOF)).unwrap();
    assert_eq!((head.signer(), head.header_hash()), (signer, header));
    // The head is an opened one, as if it had come and been read.
    assert_eq!((head.author(), head.header()), (key(1).peer_id(), &b"header"[..]));
    assert_eq!(head.salt(), Some(salt));
    let mut ring = Keyring::default();
    ring.add(FederationKey::from_bytes([7; 32]));
    let came = ring.open(BundleHead::decode(&head.encode(), &PROVEN).unwrap()).unwrap();
    assert_eq!(came, head);
    assert_eq!(salted_root(&salt, b"payload"), head.confidential().unwrap().root);
    assert_eq!(clear().salt(), None);
}

fn goes_through_whole(head: &BundleHead, payload: &[u8]) {
    let bytes = head.to_bundle(payload);
    let (read, place) = BundleHead::from_bundle(&bytes, &PROVEN).unwrap();
    assert_eq!((read.proof(), &bytes[place]), (Some(PROOF), payload));
    // Any node of a DTN reads it.
    longhaul_dtn::bpv7::Bundle::decode(&bytes, &longhaul_dtn::bpv7::Limits::default()).unwrap();
}

#[test]
fn a_bundle_in_clear_goes_through_whole_with_its_proof() {
    goes_through_whole(&heads()[0], b"payload");
}

#[test]
fn an_encrypted_bundle_goes_through_whole_with_its_proof() {
    goes_through_whole(&heads()[1], &encrypted().1);
}

fn no_bit_can_be_changed(head: &BundleHead) {
    let good = head.encode();
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(BundleHead::decode(&bytes, &PROVEN).is_err(), "bit {bit}");
    }
    for end in 0..good.len() {
        assert!(BundleHead::decode(&good[..end], &PROVEN).is_err(), "cut at {end}");
    }
}

#[test]
fn no_bit_of_a_head_in_clear_with_a_proof_can_be_changed() {
    no_bit_can_be_changed(&heads()[0]);
}

#[test]
fn no_bit_of_an_encrypted_head_with_a_proof_can_be_changed() {
    no_bit_can_be_changed(&heads()[1]);
}

/// Where the block of this type begins in a head: an array of six, its type and number.
fn block_at(bytes: &[u8], type_code: u8, number: u8) -> usize {
    let start = [0x86, 0x18, type_code, number];
    bytes.windows(start.len()).position(|it| it == start).unwrap()
}

#[test]
fn a_proof_can_neither_be_taken_away_nor_be_added_nor_be_swapped() {
    let with = clear().sign(Some(PROOF)).unwrap().encode();
    let (from, to) = (block_at(&with, 194, 8), block_at(&with, 193, 3));
    let block = with[from..to].to_vec();
    let taken = [&with[..from], &with[to..]].concat();
    let presence = BundleError::Presence(BlockKind::Proof);
    assert_eq!(BundleHead::decode(&taken, &PROVEN).unwrap_err(), presence);
    let without = clear().sign(None).unwrap().encode();
    let at = block_at(&without, 193, 3);
    let added = [&without[..at], &block, &without[at..]].concat();
    assert_eq!(BundleHead::decode(&added, &PROVEN).unwrap_err(), presence);
    let other = clear().sign(Some(b"another about the payload")).unwrap().encode();
    let swapped = [&with[..from], &other[from..to], &with[to..]].concat();
    let hash = BundleError::Hash(BlockKind::Proof);
    assert_eq!(BundleHead::decode(&swapped, &PROVEN).unwrap_err(), hash);
}

#[test]
fn a_proof_has_a_limit_alone_and_beside_the_header() {
    let sized = |len| clear().sign(Some(&vec![0; len]));
    let at_limit = sized(64).unwrap().encode();
    assert!(BundleHead::decode(&at_limit, &PROVEN).is_ok());
    assert!(BundleHead::decode(&sized(65).unwrap().encode(), &PROVEN).is_err());
    // A federation without proofs takes none.
    assert!(BundleHead::decode(&at_limit, &LIMITS).is_err());
    assert_eq!(sized(0).unwrap_err(), BundleError::Presence(BlockKind::Proof));
    let room = HEADER_BYTES_MAX - b"header".len();
    assert!(sized(room).is_ok());
    let len = room + 1;
    assert_eq!(sized(len).unwrap_err(), BundleError::ProofTooLarge { len, max: room });
}

const VECTOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/bundle_proof.hex");

/// The golden vector: any change of these bytes is a change of the format.
#[test]
fn encodes_the_golden_vector() {
    assert_eq!(std::fs::read_to_string(VECTOR).unwrap(), vector());
}

#[test]
#[ignore = "writes the vector instead of checking it"]
fn write_the_golden_vector() {
    std::fs::write(VECTOR, vector()).unwrap();
}

fn vector() -> String {
    let digits = |head: &BundleHead| -> String {
        head.encode().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let [clear, encrypted] = heads();
    format!(
        "# Heads with a proof block, to the byte: a change here is a change of the format.\n\
         # As bundle.hex, with the proof \"{}\": in clear, and encrypted with federation key 07 x 32,\n\
         # signed by the seed 02 x 32 as pseudonym.\n{}\n{}\n",
        String::from_utf8_lossy(PROOF),
        digits(&clear),
        digits(&encrypted),
    )
}
