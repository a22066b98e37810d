//! Encrypted bundles: whoever has the federation key reads them, and nobody else; what any tool that
//! knows COSE in security blocks decrypts is what we decrypt; nothing can be changed or stolen.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use common::{LIMITS, START, draft, key, sealed};
use hardy_bpv7::bpsec::key::KeySet;
use hardy_bpv7::bundle::ParsedBundle;
use longhaul_dtn::bpsec;
use longhaul_dtn::bpv7::{Bundle, Limits};
use longhaul_dtn::bundle::{
    BlockKind, BundleDraft, BundleError, BundleHead, BundleLimits, CONFIDENTIAL_HEADER_BYTES,
    Encryption, TAG_BYTES, salted_root,
};
use longhaul_dtn::codec::Writer;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_dtn::keyring::FederationKey;
use proptest::prelude::*;

fn shared() -> FederationKey {
    FederationKey::from_bytes([7; 32])
}

fn pseudonym(author: u8, epoch: u64) -> SecretKey {
    key(author).pseudonym(&ContentHash::of(b"federation"), epoch)
}

fn encrypted(draft: BundleDraft<'_>, author: u8, epoch: u64) -> (BundleHead, Vec<u8>) {
    let (author, pseudonym, shared) = (key(author), pseudonym(author, epoch), shared());
    let encryption = Encryption { author: &author, pseudonym: &pseudonym, key: &shared };
    BundleHead::seal_encrypted(draft, &encryption).unwrap()
}

fn sample() -> (BundleHead, Vec<u8>) {
    encrypted(draft(b"header", b"payload"), 1, 4)
}

/// The bundle as somebody reads it who met it on the way.
fn met(head: &BundleHead) -> BundleHead {
    BundleHead::decode(&head.encode(), &LIMITS).unwrap()
}

/// The same bundle with the data of one block changed, and its checksum made good again.
fn patched(bytes: &[u8], block: BlockKind, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let bundle = Bundle::decode(bytes, &Limits::default()).unwrap();
    let mut draft = bundle.to_draft();
    let mut payload = bundle.payload().to_vec();
    match block {
        BlockKind::Payload => change(&mut payload),
        _ => draft
            .blocks
            .iter_mut()
            .filter(|it| it.number == block.number())
            .for_each(|it| change(&mut it.data)),
    }
    draft.encode(&payload).unwrap()
}

#[test]
fn members_read_what_couriers_carry() {
    let (made, ciphertext) = sample();
    let carried = met(&made);
    assert!(!carried.is_readable());
    assert_eq!((carried.id(), carried.signer()), (made.id(), pseudonym(1, 4).peer_id()));
    assert_eq!(carried.author(), carried.signer(), "a courier sees a pseudonym");
    assert_ne!(carried.header(), b"header");
    assert_ne!(ciphertext, b"payload");
    assert_eq!(carried.check_payload(&ciphertext), Ok(()), "a courier can check what it carries");
    assert_eq!(
        carried.open_payload(&ciphertext, &shared()),
        Err(BundleError::NotConfidential),
        "it has to be opened first"
    );
    let opened = carried.open(&shared()).unwrap();
    assert!(opened.is_readable());
    assert_eq!((opened.author(), opened.header()), (key(1).peer_id(), &b"header"[..]));
    assert_eq!(opened.open_payload(&ciphertext, &shared()), Ok(b"payload".to_vec()));
    assert_eq!(opened, made);
    assert_eq!(opened.encode(), met(&made).encode(), "what travels is the same");
}

#[test]
fn the_whole_bundle_travels_in_a_file_as_well() {
    let (made, ciphertext) = sample();
    let bytes = made.to_bundle(&ciphertext);
    let (head, range) = BundleHead::from_bundle(&bytes, &LIMITS).unwrap();
    assert_eq!(&bytes[range], ciphertext);
    assert_eq!(head.open(&shared()).unwrap(), made);
    let next = made.encode_for_next_hop(START).unwrap();
    let next = BundleHead::decode(&next, &LIMITS).unwrap().open(&shared()).unwrap();
    assert_eq!((next.hop_count(), next.header(), next.id()), (1, &b"header"[..], made.id()));
}

#[test]
fn neither_author_nor_header_nor_payload_shows_in_the_bytes() {
    let (head, ciphertext) = encrypted(draft(b"a header of many", b"a payload of many"), 1, 4);
    let bytes = head.to_bundle(&ciphertext);
    let author = key(1).peer_id();
    let text = author.to_string();
    for secret in [
        &b"a header of many"[..],
        b"a payload of many",
        author.as_bytes(),
        text.as_bytes(),
        &[7; 32],
    ] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{secret:x?}");
    }
}

#[test]
fn other_tools_that_know_the_context_decrypt_the_same() {
    let (head, ciphertext) = sample();
    let bytes = head.to_bundle(&ciphertext);
    let bundle = Bundle::decode(&bytes, &Limits::default()).unwrap();
    let number = BlockKind::Confidentiality.number();
    let content = shared().content_key();
    let payload = bpsec::decrypt(&bundle, number, BlockKind::Payload.number(), &content);
    assert_eq!(payload, Ok(b"payload".to_vec()));
    let header = bpsec::decrypt(&bundle, number, BlockKind::UpdateHeader.number(), &content);
    assert!(header.unwrap().ends_with(b"header"));
    let signed = bpsec::verify(&bundle, BlockKind::Security.number()).unwrap();
    assert_eq!(signed.len(), 1);
    let found = ParsedBundle::parse_with_keys(&bytes, &KeySet::EMPTY).unwrap();
    assert!(!found.non_canonical);
    assert_eq!(found.bundle.blocks.len(), 8);
    let mut found = bp7::Bundle::try_from(bytes.as_slice()).unwrap();
    assert!(found.validate().is_ok() && found.crc_valid());
}

#[test]
fn the_integrity_block_says_what_the_wire_document_says() {
    let (head, ciphertext) = sample();
    let bytes = head.to_bundle(&ciphertext);
    let bundle = Bundle::decode(&bytes, &Limits::default()).unwrap();
    let block = bundle.block(BlockKind::Integrity.number()).unwrap();
    let mut expected = Writer::new();
    let header = bundle.block(BlockKind::UpdateHeader.number()).unwrap();
    expected.array(6).unsigned(3);
    expected.bytes(ContentHash::of(bundle.data(header)).as_bytes());
    expected.bytes(ContentHash::of(&ciphertext).as_bytes()).unsigned(ciphertext.len() as u64);
    expected.bytes(shared().id().as_bytes());
    expected.bytes(salted_root(&head.salt().unwrap(), b"payload").as_bytes());
    assert_eq!(bundle.data(block), expected.into_bytes());
}

#[test]
fn whoever_is_given_the_salt_can_check_the_payload_without_the_key() {
    let (head, _) = sample();
    let claim = met(&head).confidential().unwrap();
    let salt = head.salt().unwrap();
    assert_eq!(salted_root(&salt, b"payload"), claim.root);
    assert_ne!(salted_root(&salt, b"Payload"), claim.root);
    assert_ne!(ContentHash::of(b"payload"), claim.root, "without the salt nothing can be tried");
    assert_eq!(met(&head).salt(), None);
}

#[test]
fn another_key_opens_nothing() {
    let (head, _) = sample();
    let other = FederationKey::from_bytes([8; 32]);
    let found = met(&head).open(&other);
    assert_eq!(found, Err(BundleError::ForeignKey(shared().id())));
    let clear = sealed(1, draft(b"header", b"payload")).head;
    assert_eq!(clear.confidential(), None);
    assert_eq!((*clear).clone().open(&other).as_ref(), Ok(&*clear), "nothing to open");
    assert_eq!(clear.open_payload(b"payload", &other), Err(BundleError::NotConfidential));
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let (head, ciphertext) = sample();
    let good = head.to_bundle(&ciphertext);
    assert!(BundleHead::from_bundle(&good, &LIMITS).is_ok());
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(BundleHead::from_bundle(&bytes, &LIMITS).is_err(), "bit {bit}");
    }
    for end in 0..good.len() {
        assert!(BundleHead::from_bundle(&good[..end], &LIMITS).is_err(), "cut at {end}");
    }
}

#[test]
fn a_confidentiality_block_other_than_the_one_that_follows_is_refused() {
    let (head, ciphertext) = sample();
    let good = head.to_bundle(&ciphertext);
    let refusal = |bytes: &[u8]| BundleHead::from_bundle(bytes, &LIMITS).unwrap_err();
    for byte in [1, 12, 20] {
        let bytes = patched(&good, BlockKind::Confidentiality, |data| {
            let at = data.len() - 1 - byte;
            data[at] ^= 1;
        });
        assert_eq!(refusal(&bytes), BundleError::ConfidentialityForm, "{byte} from the end");
    }
    let without = |bytes: &[u8]| {
        let bundle = Bundle::decode(bytes, &Limits::default()).unwrap();
        let mut draft = bundle.to_draft();
        draft.blocks.retain(|block| block.number != BlockKind::Confidentiality.number());
        draft.encode(bundle.payload()).unwrap()
    };
    assert_eq!(refusal(&without(&good)), BundleError::ConfidentialityForm);
    // One around a bundle in clear, as a courier might add it.
    let clear = sealed(1, draft(b"header", b"payload")).head.to_bundle(b"payload");
    let theirs = Bundle::decode(&good, &Limits::default()).unwrap();
    let block = theirs.to_draft().blocks.into_iter().find(|block| block.number == 7).unwrap();
    let bundle = Bundle::decode(&clear, &Limits::default()).unwrap();
    let mut added = bundle.to_draft();
    added.blocks.insert(3, block);
    let bytes = added.encode(bundle.payload()).unwrap();
    assert_eq!(refusal(&bytes), BundleError::ConfidentialityForm);
}

#[test]
fn a_ciphertext_of_another_bundle_is_refused() {
    let (one, first) = encrypted(draft(b"header", b"payload"), 1, 4);
    let (_, second) = encrypted(draft(b"header", b"qayload"), 1, 4);
    assert_ne!(first, second);
    let found = one.open_payload(&second, &shared());
    assert_eq!(found, Err(BundleError::Decryption(BlockKind::Payload)));
    let bytes = patched(&one.to_bundle(&first), BlockKind::Payload, |data| *data = second.clone());
    let found = BundleHead::from_bundle(&bytes, &LIMITS);
    assert_eq!(found, Err(BundleError::Hash(BlockKind::Payload)));
}

#[test]
fn limits_are_those_of_what_is_inside() {
    let limits = BundleLimits { header_bytes_max: 10, payload_bytes_max: 20, ..LIMITS };
    let check = |header: usize, payload: usize| {
        let (header, payload) = (vec![1; header], vec![2; payload]);
        let (head, ciphertext) = encrypted(draft(&header, &payload), 1, 4);
        assert_eq!(ciphertext.len(), payload.len() + TAG_BYTES);
        BundleHead::from_bundle(&head.to_bundle(&ciphertext), &limits).map(|(head, _)| head)
    };
    assert!(check(10, 20).is_ok());
    assert!(check(10, 21).is_err());
    assert!(check(10 + CONFIDENTIAL_HEADER_BYTES, 20).is_err());
    let long = vec![1; longhaul_dtn::bundle::HEADER_BYTES_MAX];
    let (author, pseudonym, shared) = (key(1), pseudonym(1, 1), shared());
    let encryption = Encryption { author: &author, pseudonym: &pseudonym, key: &shared };
    let found = BundleHead::seal_encrypted(draft(&long, b""), &encryption);
    assert!(matches!(found, Err(BundleError::HeaderTooLarge { .. })), "{found:?}");
}

#[test]
fn bundles_in_clear_are_what_they_were() {
    let clear = sealed(1, draft(b"header", b"payload")).head;
    assert!(clear.is_readable() && clear.confidential().is_none() && clear.salt().is_none());
    assert_eq!((clear.author(), clear.signer()), (key(1).peer_id(), key(1).peer_id()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_header_and_payload_come_back(
        header in proptest::collection::vec(any::<u8>(), 0..300),
        payload in proptest::collection::vec(any::<u8>(), 0..3_000),
        author in 1u8..9,
        epoch in 0u64..9,
    ) {
        let (head, ciphertext) = encrypted(draft(&header, &payload), author, epoch);
        let (again, same) = encrypted(draft(&header, &payload), author, epoch);
        prop_assert_eq!((&head, &ciphertext), (&again, &same));
        let opened = met(&head).open(&shared()).unwrap();
        prop_assert_eq!(opened.header(), &header[..]);
        prop_assert_eq!(opened.author(), key(author).peer_id());
        prop_assert_eq!(opened.open_payload(&ciphertext, &shared()).unwrap(), payload);
        prop_assert!(head.encode().len() <= header.len() + CONFIDENTIAL_HEADER_BYTES + 1_000);
    }

    /// No two bundles share a nonce, whatever they differ in.
    #[test]
    fn whatever_differs_the_root_and_so_the_nonces_differ(
        header in any::<[u8; 4]>(), other in any::<[u8; 4]>(), sequence in 0u64..3, author in 1u8..4,
    ) {
        let of = |header: &[u8], sequence, author| {
            let draft = BundleDraft { sequence, ..draft(header, b"the same payload") };
            encrypted(draft, author, 1).0.confidential().unwrap().root
        };
        let same = header == other && sequence == 1 && author == 2;
        prop_assert_eq!(of(&header, sequence, author) == of(&other, 1, 2), same);
    }
}

const VECTOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/bundle_encrypted.hex");

/// The golden vector: any change of these bytes is a change of the format.
#[test]
fn encodes_the_golden_vector() {
    let golden = std::fs::read_to_string(VECTOR).unwrap();
    let digits: String = golden.lines().filter(|line| !line.starts_with('#')).collect();
    let (head, ciphertext) = sample();
    let found: String =
        head.to_bundle(&ciphertext).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found, digits);
}

#[test]
#[ignore = "writes the vector instead of checking it"]
fn write_the_golden_vector() {
    let (head, ciphertext) = sample();
    let bytes = head.to_bundle(&ciphertext);
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let about = "# An encrypted bundle, to the byte: a change here is a change of the format.\n\
        # As bundle.hex, with federation key 07 x 32; the author's seed is 01 x 32, its pseudonym that\n\
        # of the scope blake3(\"federation\") and period 4.\n";
    std::fs::write(VECTOR, format!("{about}{digits}\n")).unwrap();
}
