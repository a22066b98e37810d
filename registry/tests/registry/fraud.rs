//! Frauds that are shown, and honest authors who cannot be framed.

use std::sync::{Arc, LazyLock};

use longhaul_dtn::bundle::{BundleHead, salted_root};
use longhaul_dtn::codec::Writer;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::keyring::Keyring;
use longhaul_registry::{
    Finding, Fraud, FraudProof, Manifest, NoFraud, ProofCurve, ProofRefusal, SignedManifest,
    TermsError,
};
use proptest::prelude::*;

use crate::audit_proofs::{around, clear, draft, encrypted, member};
use crate::proving::{prove, proven, prover};
use crate::world::{World, key, manifest, seal};

/// A bundle whose proof is about another update.
pub fn cheat(world: &World) -> (BundleHead, Arc<[u8]>) {
    let ((prepared, payload, _), (_, _, other)) = (draft(world, 9), draft(world, 8));
    (prove(&world.manifest, prepared, &payload, &other), payload)
}

fn honest(world: &World) -> (BundleHead, Arc<[u8]>) {
    let (prepared, payload, update) = draft(world, 9);
    (prove(&world.manifest, prepared, &payload, &update), payload)
}

/// What a stranger finds, who has the file, the manifest and the proving keys.
fn check(manifest: &SignedManifest, proof: &FraudProof) -> Result<Fraud, NoFraud> {
    let bytes = proof.encode();
    assert!(bytes.len() as u64 <= FraudProof::bytes_max(manifest));
    let read = FraudProof::decode(&bytes, manifest)?;
    assert_eq!((&read, read.encode()), (proof, bytes));
    read.check(manifest, &*prover(manifest))
}

#[test]
fn a_false_proof_is_shown_without_any_key_of_the_federation() {
    for world in [clear(), encrypted()] {
        let (head, payload) = cheat(&world);
        let proof = FraudProof::of(&world.manifest, &head, &payload);
        let fraud = check(&world.manifest, &proof).unwrap();
        assert_eq!((fraud.signer, fraud.epoch.get()), (head.signer(), 7));
        assert_eq!(fraud.finding, Finding::Commitment(0));
        assert!(fraud.to_string().contains("a false proof in epoch 7: what chunk 0 of the proof"));
        assert_eq!(proof.salt.is_some(), world.manifest.manifest().is_private());
    }
}

#[test]
fn a_proof_about_what_is_no_update_is_shown() {
    for world in [clear(), encrypted()] {
        for garbage in [&b""[..], b"garbage", &[0x80]] {
            let payload: Arc<[u8]> = garbage.into();
            let (prepared, _) = around(&world, &payload);
            let head = prove(&world.manifest, prepared, &payload, &draft(&world, 8).2);
            let proof = FraudProof::of(&world.manifest, &head, &payload);
            let fraud = check(&world.manifest, &proof).unwrap();
            assert!(matches!(fraud.finding, Finding::NoUpdate(_)), "{fraud}");
        }
    }
}

#[test]
fn a_pseudonym_is_named_and_the_author_to_whoever_has_the_key() {
    let world = encrypted();
    let (head, payload) = cheat(&world);
    let proof = FraudProof::of(&world.manifest, &head, &payload);
    let author = key(5).peer_id();
    assert_ne!(check(&world.manifest, &proof).unwrap().signer, author);
    assert_eq!(proof.author(&world.manifest, &Keyring::default()), None);
    assert_eq!(proof.author(&world.manifest, &member().keys), Some(author));
    let world = clear();
    let (head, payload) = cheat(&world);
    let proof = FraudProof::of(&world.manifest, &head, &payload);
    assert_eq!(proof.author(&world.manifest, &Keyring::default()), Some(author));
}

#[test]
fn an_honest_author_is_not_framed() {
    for world in [clear(), encrypted()] {
        let (head, payload) = honest(&world);
        let good = FraudProof::of(&world.manifest, &head, &payload);
        assert_eq!(check(&world.manifest, &good), Err(NoFraud::Honest));
        let (_, other, _) = draft(&world, 8);
        let changed = FraudProof { payload: other.to_vec(), ..good.clone() };
        assert_eq!(check(&world.manifest, &changed), Err(NoFraud::Payload));
        let salt = match good.salt {
            Some(_) => None,
            None => Some([0; 32]),
        };
        for salt in [salt, Some([1; 32])] {
            let salted = FraudProof { salt, ..good.clone() };
            assert_eq!(check(&world.manifest, &salted), Err(NoFraud::Payload));
        }
    }
    // Not even with a payload and a salt that have nothing but the root.
    let world = encrypted();
    let (head, payload) = honest(&world);
    let root = head.confidential().unwrap().root;
    assert_eq!(salted_root(&head.salt().unwrap(), &payload), root);
}

#[test]
fn a_bundle_that_nobody_accepts_is_no_fraud() {
    for world in [clear(), encrypted()] {
        let payload = draft(&world, 9).1;
        let unproved = |proof: Option<&[u8]>| {
            let head = draft(&world, 9).0.sign(proof).unwrap();
            check(&world.manifest, &FraudProof::of(&world.manifest, &head, &payload))
        };
        assert_eq!(unproved(None), Err(NoFraud::Proof(ProofRefusal::Missing)));
        let (other, _) = cheat(&world);
        for proof in [&b"garbage"[..], &other.proof().unwrap()[1..]] {
            let found = unproved(Some(proof)).unwrap_err();
            assert!(
                found.to_string().starts_with("nobody accepts the bundle: the proof"),
                "{found}"
            );
        }
        let stolen = draft(&world, 7).0.sign(other.proof()).unwrap();
        let stolen = FraudProof::of(&world.manifest, &stolen, &draft(&world, 7).1);
        let found = check(&world.manifest, &stolen).unwrap_err();
        assert!(found.to_string().contains("does not hold for this update"), "{found}");
    }
}

#[test]
fn what_is_not_of_this_federation_is_refused() {
    let (open, closed) = (clear(), encrypted());
    let (head, payload) = cheat(&open);
    let proof = FraudProof::of(&open.manifest, &head, &payload);
    let found = FraudProof::decode(&proof.encode(), &closed.manifest).unwrap_err();
    assert_eq!(found, NoFraud::Foreign(open.manifest.id()));
    let found = proof.check(&closed.manifest, &*prover(&closed.manifest));
    assert_eq!(found, Err(NoFraud::Foreign(open.manifest.id())));
    // One that only says that it is.
    let claimed = FraudProof { federation: closed.manifest.id(), ..proof.clone() };
    assert_eq!(check(&closed.manifest, &claimed), Err(NoFraud::Terms(TermsError::InClear)));
    let twin = Manifest { name: "another".to_owned(), ..proven(manifest(), ProofCurve::Bn254) };
    let twin = twin.sign(&key(1)).unwrap();
    let claimed = FraudProof { federation: twin.id(), ..proof };
    assert!(matches!(check(&twin, &claimed), Err(NoFraud::Proof(ProofRefusal::Invalid(_)))));
}

#[test]
fn strangers_and_bundles_that_need_no_proof_are_refused() {
    let world = clear();
    let header = crate::world::Author::new(2).header(
        &world.manifest,
        &mut world.manifest.fold(),
        longhaul_aggregation::Epoch::new(0),
        &draft(&world, 9).1,
    );
    let made = seal(&world.manifest, &key(9), &header, &draft(&world, 9).1);
    let proof = FraudProof::of(&world.manifest, &made.head, &made.clear);
    assert_eq!(check(&world.manifest, &proof), Err(NoFraud::NotAMember(key(9).peer_id())));
    let plain = World::new();
    let made = seal(&plain.manifest, &key(2), &header, &draft(&world, 9).1);
    let proof = FraudProof::of(&plain.manifest, &made.head, &made.clear);
    assert_eq!(proof.check(&plain.manifest, &*prover(&world.manifest)), Err(NoFraud::NotAsked));
    let rotten =
        FraudProof { head: vec![0x9f], ..FraudProof::of(&world.manifest, &made.head, b"") };
    assert!(matches!(check(&world.manifest, &rotten), Err(NoFraud::Head(_))));
}

#[test]
fn a_fraud_proof_has_one_form_and_its_limits() {
    let world = encrypted();
    let (head, payload) = cheat(&world);
    let good = FraudProof::of(&world.manifest, &head, &payload);
    let mut writer = Writer::new();
    writer.array(6).text("fraud").unsigned(1);
    writer.bytes(world.manifest.id().as_hash().as_bytes()).bytes(&head.encode());
    writer.bytes(&head.salt().unwrap()).bytes(&payload);
    let bytes = writer.into_bytes();
    assert_eq!(good.encode(), bytes, "what the documentation says");
    for end in 0..bytes.len() {
        let cut = FraudProof::decode(&bytes[..end], &world.manifest);
        assert!(matches!(cut, Err(NoFraud::Malformed(_))), "cut at {end}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(FraudProof::decode(&longer, &world.manifest).is_err());
    let most = usize::try_from(world.manifest.bundle_limits().payload_bytes_max).unwrap();
    for (payload, head) in [(most + 1, 1), (1, longhaul_registry::HEAD_BYTES_MAX + 1)] {
        let large = FraudProof { payload: vec![0; payload], head: vec![0; head], ..good.clone() };
        let found = FraudProof::decode(&large.encode(), &world.manifest).unwrap_err();
        assert!(found.to_string().contains("above the limit"), "{found}");
    }
    let other = FraudProof {
        federation: longhaul_registry::FederationId::from_hash(ContentHash::of(b"x")),
        ..good
    };
    assert!(matches!(
        FraudProof::decode(&other.encode(), &world.manifest),
        Err(NoFraud::Foreign(_))
    ));
}

/// The bytes of a fraud of each kind of federation.
static FRAUDS: LazyLock<Vec<(SignedManifest, Vec<u8>)>> = LazyLock::new(|| {
    let shown = |world: World| {
        let (head, payload) = cheat(&world);
        let bytes = FraudProof::of(&world.manifest, &head, &payload).encode();
        (world.manifest, bytes)
    };
    vec![shown(clear()), shown(encrypted())]
});

fn is_shown(manifest: &SignedManifest, bytes: &[u8]) -> bool {
    let Ok(read) = FraudProof::decode(bytes, manifest) else { return false };
    assert_eq!(read.encode(), bytes, "one form");
    read.check(manifest, &*prover(manifest)).is_ok()
}

#[test]
fn no_byte_of_a_fraud_proof_can_be_another() {
    for (manifest, good) in &*FRAUDS {
        assert!(is_shown(manifest, good));
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            assert!(!is_shown(manifest, &bytes), "byte {at}");
        }
    }
}

proptest! {
    #[test]
    fn mutants_of_a_fraud_proof_show_nothing(
        which in 0_usize..2,
        at in any::<prop::sample::Index>(),
        removed in 0_usize..40,
        put in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let (manifest, good) = &FRAUDS[which];
        let (from, mut bad) = (at.index(good.len()), good.clone());
        bad.splice(from..good.len().min(from + removed), put);
        prop_assert!(bad == *good || !is_shown(manifest, &bad));
    }

    #[test]
    fn noise_is_no_fraud_proof(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(FRAUDS.iter().all(|(manifest, _)| !is_shown(manifest, &bytes)));
    }
}
