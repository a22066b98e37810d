//! Security blocks with COSE: the examples of draft-ietf-dtn-bpsec-cose-16 (appendix A) verify here
//! and decrypt, and what we sign holds for whoever holds it, and for nobody who changed it.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use common::key;
use hmac::{Hmac, KeyInit, Mac};
use longhaul_dtn::bpsec::{
    AadScope, Covered, MessageKind, ScopeKey, SecurityError, operation, sign, verify,
};
use longhaul_dtn::bpv7::{
    BlockFlags, BlockType, Bundle, BundleError, CrcType, CreationTimestamp, Draft, EndpointId,
    Extension, Limits, NewBlock, PrimaryBlock,
};
use longhaul_dtn::time::{Span, Timestamp};

/// The bundle of appendix A without security.
const PLAIN: &str = "9f890700028201692f2f6473742f7376638201692f2f7372632f7376638201662f2f\
    7372632f821b000000bd51281400001a000f42404482a081c98601010002466568656c6c6f444ec359d2ff";

/// Appendix A.1: a MAC by a key of 384 bits.
const MAC0: &str = "9f890700028201692f2f6473742f7376638201692f2f7372632f7376638201662f2f\
    7372632f821b000000bd51281400001a000f42404482a081c9850b03000058608101\
    03018201662f2f7372632f818205a2000120018181821158458443a10106a1044a45\
    78616d706c65412e31f65830ec8260a38a1a00fef2cd4aae063f50f01c5645e84c6c\
    4893ca895eed44ef60a5f50f9adf5cc5654499b881e5896378058601010002466568\
    656c6c6f444ec359d2ff";

/// The same with a scope of three blocks, over the previous node block.
const MAC0_WIDE: &str = "9f890700028201692f2f6473742f7376638201692f2f7372632f7376638201662f2f\
    7372632f821b000000bd51281400001a000f42404482a081c9850b03000058628102\
    03018201662f2f7372632f818205a30001010320018181821158458443a10106a104\
    4a4578616d706c65412e31f65830d0218bcc266210d32be089950e733ef3ff8b502d\
    f628710c7085b72a29eb0867d2deaa71c2cab26a9efba0465e9b5521850602000049\
    8201662f2f7372632f8601010002466568656c6c6f444ec359d2ff";

/// The same with an additional protected header.
const MAC0_ADDITIONAL: &str = "9f890700028201692f2f6473742f7376638201692f2f7372632f7376638201662f2f\
    7372632f821b000000bd51281400001a000f42404482a081c9850b03000058648101\
    03018201662f2f7372632f8282034da1044a4578616d706c65412e318205a2000120\
    018181821158398443a10106a0f6583073d54e469fcc5e66f4a3dd81a1486012f08c\
    4d662a15eaba7516d1aa2ed6d23785659682317543ba5fc7e7dd19d46d9886010100\
    02466568656c6c6f444ec359d2ff";

/// A signature by a P-384 key.
const SIGN1_P384: &str = "9f890700028201692f2f6473742f7376638201692f2f7372632f7376638201662f2f\
    7372632f821b000000bd51281400001a000f42404482a081c9850b03000058918101\
    03018201662f2f7372632f818205a2000120018181821258768444a1013832a1044a\
    4578616d706c65412e32f658609c64328dfe9570262f5be687c35cc51ced48b8682d\
    2a61d8baadfd3410233634251c2c1862b0a194b8503985931051a77731a74a1514b8\
    3092d7c662e6dbcda2629af72b24bf1cc3c5e2552f54ddfcc1762e6bc46fd5e6c213\
    7e4a695e563eae8601010002466568656c6c6f444ec359d2ff";

/// A payload encrypted with AES-256-GCM.
const ENCRYPT0: &str = "9f890700028201692f2f6473742f7376638201692f2f7372632f7376638201662f2f\
    7372632f821b000000bd51281400001a000f42404482a081c9850c03000058318101\
    03018201662f2f7372632f818205a20001200181818210578343a10103a2044a4578\
    616d706c65412e340642484af68601010002561fd25f64a2eee2ff1a1ab29812ba22\
    1874380974c13b442086c017ff";

const MAC_KEY: &str = "3a5c74e32ab4558a99581ec3a816576812aabe895db04494cda2\
    5b711d7b5ed4077466e677860648412f1bf8c91d0624";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let value = |it: u8| (it as char).to_digit(16).unwrap() as u8;
    digits.chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
}

fn read(bytes: &[u8]) -> Bundle<'_> {
    Bundle::decode(bytes, &Limits::default()).unwrap()
}

#[test]
fn the_examples_are_bundles_and_differ_in_their_security_blocks_alone() {
    let plain = hex(PLAIN);
    let plain = read(&plain);
    assert_eq!(plain.payload(), hex("6568656c6c6f"));
    assert_eq!(plain.primary().source, "dtn://src/svc".parse().unwrap());
    for example in [MAC0, MAC0_WIDE, MAC0_ADDITIONAL, SIGN1_P384] {
        let bytes = hex(example);
        let bundle = read(&bytes);
        assert_eq!(bundle.primary_bytes(), plain.primary_bytes());
        assert_eq!(bundle.payload(), plain.payload());
        assert_eq!(bundle.blocks()[0].kind, BlockType::INTEGRITY);
        assert_eq!(bundle.to_draft().encode(bundle.payload()).unwrap(), bytes);
    }
}

#[test]
fn the_tags_of_the_examples_hold_over_our_structures() {
    for (example, target, key_id) in [
        (MAC0, 1, Some(&b"ExampleA.1"[..])),
        (MAC0_WIDE, 2, Some(b"ExampleA.1")),
        (MAC0_ADDITIONAL, 1, Some(b"ExampleA.1")),
    ] {
        let bytes = hex(example);
        let found = operation(&read(&bytes), 3, target).unwrap();
        assert_eq!((found.message.kind, found.message.algorithm), (MessageKind::Mac0, 6));
        assert_eq!(found.message.key_id.as_deref(), key_id);
        assert_eq!(found.source, "dtn://src/".parse().unwrap());
        let mut mac = Hmac::<sha2::Sha384>::new_from_slice(&hex(MAC_KEY)).unwrap();
        mac.update(&found.structure);
        mac.verify_slice(&found.message.proof).unwrap();
        let mut other = Hmac::<sha2::Sha384>::new_from_slice(&hex(MAC_KEY)).unwrap();
        other.update(&found.structure[1..]);
        assert!(other.verify_slice(&found.message.proof).is_err());
        // It is none of ours.
        assert_eq!(verify(&read(&bytes), 3), Err(SecurityError::Algorithm(6)));
    }
}

#[test]
fn the_signature_of_the_example_holds_over_our_structure() {
    use ring::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
    let bytes = hex(SIGN1_P384);
    let found = operation(&read(&bytes), 3, 1).unwrap();
    assert_eq!((found.message.kind, found.message.algorithm), (MessageKind::Sign1, -51));
    let public = hex(
        "0402dfc49747f5d3d219fe6185744729fa1672ef7d11cb57ca0320c632be06ca3fdcc118e63140ba3ec57ea7b85d41956\
         84526e81bf0d9ea0924f05a3453ad75b92806671511544c993f6bd908a7a4239d476cfdfd74d6c68836488ad1e60b0e7d",
    );
    let public = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, public);
    public.verify(&found.structure, &found.message.proof).unwrap();
    assert!(public.verify(&found.structure[1..], &found.message.proof).is_err());
}

#[test]
fn the_ciphertext_of_the_example_opens() {
    use longhaul_dtn::bpsec::{ContentKey, decrypt};
    let secret: [u8; 32] =
        hex("13bf9cead057c0aca2c9e52471ca4b19ddfaf4c0784e3f3e8e3999dbae4ce45c").try_into().unwrap();
    let base: [u8; 12] = hex("6f3093eba5d85143c3dc0000").try_into().unwrap();
    // The example's block is not in every fragment, as RFC 9172 section 3.8 demands; its flags are not
    // authenticated.
    let refused = hex(ENCRYPT0);
    let refused = Bundle::decode(&refused, &Limits::default());
    assert!(matches!(refused, Err(BundleError::BlockFlags { number: 3, .. })));
    let bytes = hex(&ENCRYPT0.replace("850c030000", "850c030100"));
    let bundle = read(&bytes);
    let key = ContentKey::new(b"ExampleA.4", secret).with_base_iv(base);
    assert_eq!(decrypt(&bundle, 3, 1, &key), Ok(hex("6568656c6c6f")));
    let other = ContentKey::new(b"ExampleA.4", [1; 32]).with_base_iv(base);
    assert_eq!(decrypt(&bundle, 3, 1, &other), Err(SecurityError::Decryption(1)));
    let unknown = ContentKey::new(b"ExampleA.5", secret).with_base_iv(base);
    assert_eq!(decrypt(&bundle, 3, 1, &unknown), Err(SecurityError::Key));
}

fn source() -> EndpointId {
    EndpointId::dtn(&key(1).peer_id().to_string(), "").unwrap()
}

/// A bundle with an extension block and a private one.
fn draft() -> Draft {
    let created = CreationTimestamp { time: Timestamp::from_dtn_ms(840_000_000_000), sequence: 3 };
    let destination = EndpointId::ipn(7, 1);
    let mut draft =
        Draft::new(PrimaryBlock::new(source(), destination, created, Span::from_ms(3_600_000)));
    draft.set(&Extension::HopCount { limit: 30, count: 3 });
    let (kind, flags) = (BlockType::from_code(193), BlockFlags::REPLICATE);
    let data = b"the root of what is carried".to_vec();
    draft.blocks.push(NewBlock { kind, number: 9, flags, crc: CrcType::Crc32c, data });
    draft
}

const PAYLOAD: &[u8] = b"the payload";

fn signed(targets: &[u64], scope: &AadScope) -> Vec<u8> {
    let mut draft = draft();
    sign(&mut draft, PAYLOAD, &source(), &key(1), targets, scope).unwrap();
    draft.encode(PAYLOAD).unwrap()
}

#[test]
fn what_we_sign_holds_and_says_who_signed() {
    let wide = AadScope::new([
        (ScopeKey::Block(0), Covered::Metadata),
        (ScopeKey::Block(9), Covered::Both),
        (ScopeKey::Target, Covered::Metadata),
    ]);
    for (targets, scope) in
        [(&[9][..], AadScope::default()), (&[0, 1, 9], AadScope::default()), (&[1], wide)]
    {
        let bytes = signed(targets, &scope);
        let bundle = read(&bytes);
        let number = bundle.blocks()[0].number;
        let found = verify(&bundle, number).unwrap();
        assert_eq!(found.iter().map(|it| it.target).collect::<Vec<_>>(), targets);
        assert!(found.iter().all(|it| it.signer == key(1).peer_id() && it.source == source()));
    }
}

/// The bundle with every CRC made anew.
fn repaired(draft: &Draft, payload: &[u8]) -> Vec<u8> {
    draft.encode(payload).unwrap()
}

#[test]
fn what_was_changed_does_not_hold_whatever_its_crcs() {
    let bytes = signed(&[9, 1], &AadScope::default());
    let good = read(&bytes).to_draft();
    let number = good.blocks[0].number;
    let check = |draft: &Draft, payload: &[u8]| {
        let bytes = repaired(draft, payload);
        verify(&read(&bytes), number).is_ok()
    };
    assert!(check(&good, PAYLOAD));
    // Hops and flags of what is not covered may change.
    let mut hopped = good.clone();
    hopped.set(&Extension::HopCount { limit: 30, count: 4 });
    hopped.set(&Extension::PreviousNode(EndpointId::ipn(5, 0)));
    assert!(check(&hopped, PAYLOAD));
    let mut changes: Vec<(&str, Draft, &[u8])> = vec![("payload", good.clone(), b"the Payload")];
    let mut with = |name, change: fn(&mut Draft)| {
        let mut draft = good.clone();
        change(&mut draft);
        changes.push((name, draft, PAYLOAD));
    };
    with("lifetime", |it| it.primary.lifetime = Span::from_ms(1));
    with("sequence", |it| it.primary.created.sequence += 1);
    with("destination", |it| it.primary.destination = EndpointId::ipn(8, 1));
    with("data", |it| it.blocks[2].data[0] ^= 1);
    with("flags of the target", |it| it.blocks[2].flags = BlockFlags::NONE);
    with("type of the target", |it| it.blocks[2].kind = BlockType::from_code(194));
    with("flags of the payload", |it| it.payload_flags = BlockFlags::REPLICATE);
    with("flags of the security block", |it| it.blocks[0].flags = BlockFlags::REPLICATE);
    for (name, draft, payload) in changes {
        assert!(!check(&draft, payload), "{name} was changed and nobody saw it");
    }
    // Every bit of the security block: no other block says the same.
    let len = good.blocks[0].data.len();
    for bit in 0..len * 8 {
        let mut draft = good.clone();
        draft.blocks[0].data[bit / 8] ^= 1 << (bit % 8);
        if let Ok(bytes) = draft.encode(PAYLOAD)
            && let Ok(bundle) = Bundle::decode(&bytes, &Limits::default())
        {
            assert!(verify(&bundle, number).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn a_signature_over_what_cannot_be_signed_is_refused_and_leaves_no_block() {
    let whole = |key, covered| AadScope::new([(key, covered)]);
    for (targets, scope) in [
        (&[77][..], AadScope::default()),
        (&[9], whole(ScopeKey::Block(77), Covered::Metadata)),
        (&[9], whole(ScopeKey::Block(0), Covered::Data)),
        (&[9], whole(ScopeKey::Target, Covered::Both)),
        (&[9], whole(ScopeKey::Security, Covered::Data)),
    ] {
        let mut draft = draft();
        let before = draft.clone();
        assert!(sign(&mut draft, PAYLOAD, &source(), &key(1), targets, &scope).is_err());
        assert_eq!(draft, before);
    }
    let bytes = signed(&[9], &AadScope::default());
    let bundle = read(&bytes);
    assert_eq!(verify(&bundle, 77), Err(SecurityError::NoBlock(77)));
    assert_eq!(verify(&bundle, 9), Err(SecurityError::NotCose(9)));
    let number = bundle.blocks()[0].number;
    let missing = SecurityError::NotTarget { block: number, target: 2 };
    assert_eq!(operation(&bundle, number, 2), Err(missing));
}

#[test]
fn members_read_what_others_only_carry() {
    use longhaul_dtn::bpsec::{ContentKey, Nonce, decrypt, encrypt};
    let shared = ContentKey::new(b"federation, epoch 7", [9; 32]);
    let mut draft = draft();
    let nonce = Nonce::from_bytes([5; 12]);
    let scope = AadScope::default();
    let (ciphertext, number) =
        encrypt(&mut draft, PAYLOAD, &source(), &shared, nonce, &scope).unwrap();
    assert_eq!(ciphertext.len(), PAYLOAD.len() + 16);
    let bytes = draft.encode(&ciphertext).unwrap();
    let bundle = read(&bytes);
    assert_eq!(decrypt(&bundle, number, 1, &shared), Ok(PAYLOAD.to_vec()));
    assert!(!bytes.windows(PAYLOAD.len()).any(|it| it == PAYLOAD));
    assert!(!format!("{shared:?}").contains('9'));
    // What the scope covers is bound as well.
    let mut moved = bundle.to_draft();
    moved.primary.destination = EndpointId::ipn(8, 1);
    let bytes = moved.encode(&ciphertext).unwrap();
    assert_eq!(decrypt(&read(&bytes), number, 1, &shared), Err(SecurityError::Decryption(1)));
    for bit in 0..ciphertext.len() * 8 {
        let mut changed = ciphertext.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let bytes = draft.encode(&changed).unwrap();
        assert!(decrypt(&read(&bytes), number, 1, &shared).is_err(), "bit {bit}");
    }
}

/// The bundle of `tests/vectors/bundle_bib.hex`: the block 9, the payload and the primary block signed.
fn vector() -> Vec<u8> {
    signed(&[9, 1, 0], &AadScope::default())
}

#[test]
fn the_golden_bundle_is_what_we_sign() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/bundle_bib.hex");
    let stored = hex(&std::fs::read_to_string(path).unwrap());
    assert_eq!(vector(), stored);
    assert_eq!(verify(&read(&stored), 3).unwrap().len(), 3);
}

#[test]
#[ignore = "writes the vector instead of checking it"]
fn write_the_golden_bundle() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/bundle_bib.hex");
    let digits: String = vector().iter().map(|byte| format!("{byte:02x}")).collect();
    let lines: Vec<&str> =
        digits.as_bytes().chunks(96).map(|line| std::str::from_utf8(line).unwrap()).collect();
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}

#[test]
fn a_block_is_signed_once() {
    let mut draft = draft();
    for (who, target) in [(1, 9), (2, 1)] {
        sign(&mut draft, PAYLOAD, &source(), &key(who), &[target], &AadScope::default()).unwrap();
    }
    let bytes = draft.encode(PAYLOAD).unwrap();
    for (block, who) in read(&bytes).blocks().iter().zip([2, 1]) {
        assert_eq!(verify(&read(&bytes), block.number).unwrap()[0].signer, key(who).peer_id());
    }
    // RFC 9172 section 3.2.
    sign(&mut draft, PAYLOAD, &source(), &key(2), &[9], &AadScope::default()).unwrap();
    assert!(matches!(draft.encode(PAYLOAD), Err(BundleError::Target { target: 9, .. })));
}

#[test]
fn a_block_of_another_context_is_none_of_ours() {
    let bytes = signed(&[9], &AadScope::default());
    let mut draft = read(&bytes).to_draft();
    // Behind one target, its number, stands the context.
    assert_eq!(draft.blocks[0].data[2], 3);
    draft.blocks[0].data[2] = 4;
    let (number, bytes) = (draft.blocks[0].number, draft.encode(PAYLOAD).unwrap());
    assert_eq!(verify(&read(&bytes), number), Err(SecurityError::NotCose(number)));
}
