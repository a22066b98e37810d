//! Federations whose updates are proved: policies that are sound, and bundles that are refused.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use longhaul_aggregation::{BaseClaim, BaseSummary};
use longhaul_aggregation::{Compressor, Epoch, Parameters, Update, UpdateHeader};
use longhaul_dtn::bundle::{BundleDraft, BundleHead, Encryption, Prepared};
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::ContentHash;
use longhaul_proofs::s1::Shape;
use longhaul_proofs::seed::Seed;
use longhaul_proofs::update::keys::development_keys;
use longhaul_proofs::update::{ProveUpdates, subject};
use longhaul_registry::proving::{check_commitments, seed_of};
use longhaul_registry::{
    FederationId, Manifest, ProofCurve, ProofKey, ProofPolicy, ProofPolicyError, ProofRefusal,
    SignedManifest,
};

use crate::world::{key, manifest, private, shared};

/// The bytes of a verifying and a proving key for the smallest shape.
type Pair = (Vec<u8>, Vec<u8>);

pub static BN254: LazyLock<Pair> = LazyLock::new(|| pair(ProofCurve::Bn254, 3));
static BLS12_381: LazyLock<Pair> = LazyLock::new(|| pair(ProofCurve::Bls12381, 3));

fn pair(curve: ProofCurve, seed: u8) -> Pair {
    development_keys(curve, Shape::STANDARD[0], &Seed::from_bytes([seed; 32]))
}

fn policy(curve: ProofCurve) -> ProofPolicy {
    let (verifying, proving) = match curve {
        ProofCurve::Bn254 => &*BN254,
        ProofCurve::Bls12381 => &*BLS12_381,
    };
    let (shape, proving) = (Shape::STANDARD[0], ContentHash::of(proving));
    let keys = vec![ProofKey { shape, verifying: verifying.clone(), proving }];
    ProofPolicy { curve, keys, development: true }
}

/// The same federation, whose updates are proved.
pub fn proven(manifest: Manifest, curve: ProofCurve) -> Manifest {
    Manifest { proofs: Some(policy(curve)), ..manifest }
}

fn signed(manifest: Manifest) -> SignedManifest {
    manifest.sign(&key(1)).unwrap()
}

/// What makes the proofs of a federation; its keys are read once.
pub fn prover(manifest: &SignedManifest) -> Arc<dyn ProveUpdates> {
    static PROVERS: Mutex<BTreeMap<FederationId, Arc<dyn ProveUpdates>>> =
        Mutex::new(BTreeMap::new());
    let find = |hash: &ContentHash| {
        let keys = [&BN254.1, &BLS12_381.1];
        keys.into_iter().find(|bytes| ContentHash::of(bytes) == *hash).cloned()
    };
    let mut provers = PROVERS.lock().unwrap();
    let prover = provers.entry(manifest.id());
    prover.or_insert_with(|| manifest.proof_prover(find).unwrap().unwrap()).clone()
}

/// Signs a bundle around a proof that some update is within bounds.
pub fn prove(
    manifest: &SignedManifest,
    prepared: Prepared,
    clear: &[u8],
    about: &Update,
) -> BundleHead {
    let unsigned = prepared.clone().sign(None).unwrap();
    let hashes = [prepared.header_hash(), prepared.payload_hash()];
    let (federation, signer) = (manifest.id().hash(), prepared.signer());
    let subject = subject(federation, signer, unsigned.sequence(), hashes).unwrap();
    let proof = prover(manifest).prove(&subject, about, &seed_of(&unsigned, clear)).unwrap();
    prepared.sign(Some(&proof)).unwrap()
}

/// An update of the federation, and a bundle around it that is not signed yet.
fn prepared(manifest: &SignedManifest, salt: i64) -> (Update, Prepared) {
    let terms = manifest.manifest();
    let values = (0..terms.schema.parameter_count() as i64).map(|k| (k * 37 + salt) % 4_000);
    let delta = Parameters::from_units(values.map(|value| value << 8).collect());
    let update = Compressor::new(&terms.schema).compress(&delta, terms.bounds.norm_max);
    let mut fold = manifest.fold();
    let header = UpdateHeader {
        federation: manifest.id().hash(),
        epoch: Epoch::new(0),
        previous: None,
        base: BaseClaim { model: fold.model_id(), summary: BaseSummary::default() },
        vouch: false,
        payload: ContentHash::of(update.payload()),
        samples: 1,
        steps: 1,
    };
    let draft = BundleDraft {
        destination: Eid::dtn(&manifest.id().to_string(), "updates").unwrap(),
        created: terms.start,
        sequence: 0,
        lifetime: terms.bounds.bundle_lifetime,
        hop_limit: 9,
        header: header.encode(),
        payload: update.payload(),
    };
    let author = key(2);
    if !terms.is_private() {
        return (update.clone(), Prepared::clear(draft, &author).unwrap());
    }
    let (pseudonym, shared) = (key(50), shared());
    let encryption = Encryption { author: &author, pseudonym: &pseudonym, key: &shared };
    let (prepared, _) = Prepared::encrypted(draft, &encryption).unwrap();
    (update, prepared)
}

/// A bundle whose proof is about `update`.
fn proved(manifest: &SignedManifest, prepared: Prepared, update: &Update) -> BundleHead {
    prove(manifest, prepared, update.payload(), update)
}

fn federations() -> [SignedManifest; 3] {
    [
        proven(manifest(), ProofCurve::Bn254),
        proven(private(), ProofCurve::Bn254),
        proven(manifest(), ProofCurve::Bls12381),
    ]
    .map(signed)
}

#[test]
fn a_manifest_with_proofs_travels_and_is_another_federation() {
    for signed in federations() {
        let read = SignedManifest::decode(signed.as_bytes()).unwrap();
        assert_eq!(read, signed);
        assert!(read.proof_verifier().is_some());
        assert_ne!(
            read.id(),
            Manifest { proofs: None, ..read.manifest().clone() }.sign(&key(1)).unwrap().id()
        );
        let described = signed.describe();
        assert!(described.development_keys);
        assert_eq!(described.proving_keys.len(), 1);
        assert!(described.to_string().contains("WARNING: for development"), "{described}");
        assert!(signed.bundle_limits().proof_bytes_max > 800);
    }
    assert_eq!(signed(manifest()).bundle_limits().proof_bytes_max, 0);
}

/// A policy that is refused, with words that say why.
fn not_sound(policy: ProofPolicy, says: &str) {
    let manifest = Manifest { proofs: Some(policy), ..manifest() };
    let found = manifest.sign(&key(1)).unwrap_err().to_string();
    assert!(found.contains(says), "{found:?} does not say {says:?}");
}

/// The policy with its key twice.
fn twice() -> ProofPolicy {
    let mut policy = policy(ProofCurve::Bn254);
    policy.keys.push(policy.keys[0].clone());
    policy
}

/// The policy with another key in the place of its own.
fn with_key(change: impl FnOnce(&mut ProofKey)) -> ProofPolicy {
    let mut policy = policy(ProofCurve::Bn254);
    change(&mut policy.keys[0]);
    policy
}

#[test]
fn development_keys_need_to_be_asked_for() {
    not_sound(
        ProofPolicy { development: false, ..policy(ProofCurve::Bn254) },
        "the key is for development only",
    );
}

#[test]
fn a_policy_without_keys_is_refused() {
    not_sound(
        ProofPolicy { keys: vec![], ..policy(ProofCurve::Bn254) },
        "keys for chunks of up to [1000] entries",
    );
}

#[test]
fn a_key_stands_in_a_policy_once() {
    not_sound(twice(), "each once");
}

#[test]
fn a_key_of_another_shape_is_refused() {
    not_sound(with_key(|key| key.shape = Shape::STANDARD[1]), "keys for chunks of up to [1000]");
}

#[test]
fn a_key_on_another_curve_is_refused() {
    not_sound(with_key(|key| key.verifying = BLS12_381.0.clone()), "the key is not on bn254");
}

#[test]
fn a_policy_on_another_curve_than_its_key_is_refused() {
    not_sound(
        ProofPolicy { curve: ProofCurve::Bls12381, ..policy(ProofCurve::Bn254) },
        "not on bls12-381",
    );
}

#[test]
fn a_changed_verifying_key_is_refused() {
    let changed = with_key(|key| *key.verifying.last_mut().unwrap() ^= 1);
    not_sound(changed, "a point of the key");
}

#[test]
fn proving_keys_are_those_of_the_manifest() {
    let signed = signed(proven(manifest(), ProofCurve::Bn254));
    let pinned = ContentHash::of(&BN254.1);
    let found = signed.proof_prover(|_| None).unwrap_err();
    assert_eq!(found, ProofPolicyError::NoProvingKey { entries: 1_000, hash: pinned });
    let found = signed.proof_prover(|_| Some(BLS12_381.1.clone())).unwrap_err().to_string();
    assert!(found.contains("pinned is"), "{found}");
    // Sound, but of another setup than the verifying key.
    let (_, second) = pair(ProofCurve::Bn254, 4);
    let mut policy = policy(ProofCurve::Bn254);
    policy.keys[0].proving = ContentHash::of(&second);
    let signed = Manifest { proofs: Some(policy), ..manifest() }.sign(&key(1)).unwrap();
    let found = signed.proof_prover(|_| Some(second.clone())).unwrap_err();
    assert_eq!(found, ProofPolicyError::Pair(1_000));
}

#[test]
fn a_manifest_says_what_a_proving_key_is() {
    for curve in [ProofCurve::Bn254, ProofCurve::Bls12381] {
        let bytes = if curve == ProofCurve::Bn254 { &BN254.1 } else { &BLS12_381.1 };
        let (found, key) = ProofKey::of(bytes).unwrap();
        assert_eq!((found, vec![key]), (curve, policy(curve).keys));
        assert!(ProofKey::of(&bytes[..100]).is_err());
    }
    let found = ProofKey::of(b"no key").unwrap_err().to_string();
    assert!(found.starts_with("not a proving key: at byte 0"), "{found}");
}

fn judged_by_heads(manifest: SignedManifest) {
    let ((first, one), (_, two)) = (prepared(&manifest, 1), prepared(&manifest, 2));
    let missing = one.clone().sign(None).unwrap();
    let garbage = one.clone().sign(Some(b"no proof")).unwrap();
    let good = proved(&manifest, one, &first);
    let stolen = two.sign(good.proof()).unwrap();
    // As they come: nothing is opened.
    let came: Vec<_> = [&good, &missing, &garbage, &stolen, &good]
        .iter()
        .map(|head| BundleHead::decode(&head.encode(), &manifest.bundle_limits()).unwrap())
        .collect();
    let found = manifest.check_proofs(&came.iter().collect::<Vec<_>>());
    assert_eq!((&found[0], &found[4]), (&Ok(()), &Ok(())));
    assert_eq!(found[1], Err(ProofRefusal::Missing));
    let codes = [2, 3].map(|k: usize| found[k].as_ref().unwrap_err().code());
    assert_eq!(codes, [206, 206]);
}

#[test]
fn updates_are_judged_by_their_heads_alone_in_clear() {
    judged_by_heads(federations()[0].clone());
}

#[test]
fn updates_are_judged_by_their_heads_alone_that_are_encrypted() {
    judged_by_heads(federations()[1].clone());
}

#[test]
fn updates_are_judged_by_their_heads_alone_on_bls12_381() {
    judged_by_heads(federations()[2].clone());
}

#[test]
fn what_needs_no_proof_has_none() {
    let (asked, plain) = (signed(proven(manifest(), ProofCurve::Bn254)), signed(manifest()));
    let (_, prepared) = prepared(&plain, 1);
    let without = prepared.clone().sign(None).unwrap();
    let with = prepared.sign(Some(b"a proof")).unwrap();
    assert_eq!(plain.check_proofs(&[&without, &with]), [Ok(()), Err(ProofRefusal::Unasked)]);
    assert_eq!(asked.check_proofs(&[&without]), [Err(ProofRefusal::Missing)]);
}

fn a_reader_finds_it(manifest: SignedManifest) {
    let (first, one) = prepared(&manifest, 1);
    let (second, _) = prepared(&manifest, 2);
    let prover = prover(&manifest);
    let honest = proved(&manifest, one.clone(), &first);
    assert_eq!(check_commitments(&manifest, &*prover, &honest, &first), Ok(()));
    let cheat = proved(&manifest, one, &second);
    // To whoever cannot read it, all is well.
    assert_eq!(manifest.check_proofs(&[&cheat]), [Ok(())]);
    let found = check_commitments(&manifest, &*prover, &cheat, &first).unwrap_err();
    assert_eq!(found.code(), 207);
    assert_eq!(
        found.to_string(),
        "the proof is about another update: what chunk 0 commits to is not the payload"
    );
}

#[test]
fn a_reader_finds_a_proof_about_another_update_in_clear() {
    a_reader_finds_it(federations()[0].clone());
}

#[test]
fn a_reader_finds_a_proof_about_another_update_that_are_encrypted() {
    a_reader_finds_it(federations()[1].clone());
}

#[test]
fn a_reader_finds_a_proof_about_another_update_on_bls12_381() {
    a_reader_finds_it(federations()[2].clone());
}
