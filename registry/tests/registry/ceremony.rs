//! Ceremonies: what a plan may be, and which bundles are contributions to it.

use longhaul_aggregation::SealPolicy;
use longhaul_dtn::bundle::{BundleDraft, BundleHead};
use longhaul_dtn::codec::Writer;
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_proofs::ceremony::LogSize;
use longhaul_proofs::curve::{Bls12_381, Bn254};
use longhaul_proofs::s1::Shape;
use longhaul_registry::audit::Verdict;
use longhaul_registry::ceremony::{CONTRIBUTIONS_MAX, Part};
use longhaul_registry::{
    CeremonyPlan, CeremonyPlanError, ContributionHeader, ContributionRefusal, InvalidManifest,
    Manifest, ManifestError, ProofCurve, Record, SignedManifest,
};

use crate::world::{World, key, manifest, private, verify_file};

const SMALL: Shape = Shape::STANDARD[0];

fn plan() -> CeremonyPlan {
    CeremonyPlan {
        curve: ProofCurve::Bn254,
        log_size: 11,
        shapes: vec![SMALL],
        contributors_min: 2,
    }
}

fn ceremony(plan: CeremonyPlan) -> Manifest {
    Manifest { ceremony: Some(plan), ..manifest() }
}

fn signed() -> SignedManifest {
    ceremony(plan()).sign(&key(1)).unwrap()
}

/// The front of a contribution, with junk for points.
fn contribution(curve: &str, ceremony: ContentHash, by: u8, junk: usize) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(9).unsigned(2).text(curve).bytes(ceremony.as_bytes());
    writer.bytes(ceremony.as_bytes()).bytes(key(by).peer_id().as_bytes());
    writer.bytes(&vec![7; junk]);
    writer.into_bytes()
}

fn powers() -> ContentHash {
    LogSize::new(11).unwrap().ceremony::<Bn254>()
}

fn bundle(by: &SecretKey, header: Vec<u8>, payload: &[u8]) -> BundleHead {
    let draft = BundleDraft {
        destination: Eid::dtn(&signed().id().to_string(), "updates").unwrap(),
        created: manifest().start,
        sequence: 1,
        lifetime: manifest().bounds.bundle_lifetime,
        hop_limit: 9,
        header,
        payload,
    };
    BundleHead::seal(draft, by).unwrap()
}

/// A bundle of member 2 for a part, with a word inside for the ceremony.
fn sent(part: Part, ceremony: ContentHash, payload: &[u8]) -> BundleHead {
    let (federation, hash) = (signed().id().hash(), ContentHash::of(payload));
    let header = ContributionHeader { federation, part, ceremony, payload: hash };
    bundle(&key(2), header.encode(), payload)
}

#[test]
fn a_plan_reads_back_and_says_what_it_is() {
    let signed = signed();
    assert_eq!(SignedManifest::decode(signed.as_bytes()), Ok(signed.clone()));
    assert!(signed.manifest().is_ceremony() && !manifest().is_ceremony());
    let parts: Vec<_> = plan().parts().collect();
    assert_eq!(parts, [Part::Powers, Part::Circuit(SMALL)]);
    let shown = signed.describe();
    let plan = shown.ceremony.clone().unwrap();
    assert!(plan.contains("phase 1 of 2^11 points") && plan.contains("1000 entries"), "{plan}");
    assert!(shown.to_string().contains("ceremony    nothing is trained"));
    let plain = manifest().sign(&key(1)).unwrap();
    assert_eq!((plain.describe().ceremony, plain.contribution_bytes_max()), (None, 0));
}

#[test]
fn a_manifest_of_a_ceremony_has_one_form() {
    let good = signed();
    let bytes = good.as_bytes();
    for at in 0..bytes.len() {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        assert!(SignedManifest::decode(&bytes).is_err(), "byte {at}");
        assert!(SignedManifest::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn plans_that_make_no_sense_are_refused() {
    let refused = |manifest: Manifest| match manifest.sign(&key(1)) {
        Err(ManifestError::Invalid(InvalidManifest::Ceremony(error))) => error,
        other => panic!("{other:?}"),
    };
    let of = |change: fn(&mut CeremonyPlan)| {
        let mut plan = plan();
        change(&mut plan);
        refused(ceremony(plan))
    };
    assert_eq!(of(|it| it.log_size = 0), CeremonyPlanError::LogSize(0));
    assert_eq!(of(|it| it.log_size = 21), CeremonyPlanError::LogSize(21));
    let small = CeremonyPlanError::TooSmall { found: 10, needed: 11, entries: 1_000 };
    assert_eq!(of(|it| it.log_size = 10), small);
    assert!(matches!(
        of(|it| it.shapes = Shape::STANDARD.to_vec()),
        CeremonyPlanError::TooSmall { needed: 13, .. }
    ));
    assert_eq!(of(|it| it.shapes.clear()), CeremonyPlanError::Shapes);
    assert_eq!(of(|it| it.shapes = vec![SMALL, SMALL]), CeremonyPlanError::Shapes);
    for found in [0, 1, 6] {
        let error = CeremonyPlanError::Contributors { found, max: 5 };
        let plan = CeremonyPlan { contributors_min: found, ..plan() };
        assert_eq!(refused(ceremony(plan)), error);
    }
    let large = CeremonyPlan { curve: ProofCurve::Bls12381, log_size: 20, ..plan() };
    assert!(matches!(refused(ceremony(large)), CeremonyPlanError::Bytes(_)));
    let mixed = CeremonyPlanError::Mixed;
    assert_eq!(refused(Manifest { ceremony: Some(plan()), ..private() }), mixed);
    let seal = Some(SealPolicy { window_epochs: 12, every_epochs: 4 });
    let epochs = 100;
    assert_eq!(refused(Manifest { seal, epochs, ..ceremony(plan()) }), mixed);
}

#[test]
fn the_smallest_size_serves_all_shapes() {
    for (shapes, log) in [(&Shape::STANDARD[..1], 11), (&Shape::STANDARD[..2], 13)] {
        assert_eq!(CeremonyPlan::size_for(shapes).map(LogSize::log), Some(log));
    }
    assert_eq!(CeremonyPlan::size_for(&[]), None);
}

#[test]
fn limits_grow_to_a_contribution_and_no_further() {
    let exact = LogSize::new(11).unwrap().contribution_bytes::<Bn254>() as u64;
    assert_eq!(signed().contribution_bytes_max(), exact);
    assert_eq!(signed().bundle_limits().payload_bytes_max, exact);
    let plain = manifest().sign(&key(1)).unwrap().bundle_limits();
    assert_eq!(plain.payload_bytes_max, u64::from(manifest().bounds.payload_bytes_max));
    let on = |curve| {
        let plan = CeremonyPlan { curve, ..plan() };
        ceremony(plan).sign(&key(1)).unwrap().contribution_bytes_max()
    };
    let bls = LogSize::new(11).unwrap().contribution_bytes::<Bls12_381>() as u64;
    assert_eq!(on(ProofCurve::Bls12381), bls);
    let (alone, all) = (manifest().traffic(None), signed().manifest().traffic(None));
    let more = all.standing_bytes - alone.standing_bytes;
    assert!(more > 5 * CONTRIBUTIONS_MAX as u64 * exact, "room for the most that is taken");
}

#[test]
fn a_header_has_one_form() {
    for part in [Part::Powers, Part::Circuit(SMALL), Part::Circuit(Shape::STANDARD[2])] {
        let [federation, ceremony, payload] = [b"f", b"c", b"p"].map(|it| ContentHash::of(it));
        let header = ContributionHeader { federation, part, ceremony, payload };
        let good = header.encode();
        assert!(good.len() <= 128);
        assert_eq!(ContributionHeader::decode(&good), Ok(header));
        for end in 0..good.len() {
            assert!(ContributionHeader::decode(&good[..end]).is_err(), "cut at {end}");
        }
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(ContributionHeader::decode(&bytes), Ok(header), "bit {bit}");
        }
    }
}

#[test]
fn members_send_contributions_and_their_length_is_bounded() {
    let signed = signed();
    let payload = contribution("bn254", powers(), 2, 100);
    let head = signed.contribution(&key(2), (Part::Powers, 3), &payload, manifest().start).unwrap();
    assert_eq!(signed.check_terms(&head), Ok(()));
    let header = signed.admit_contribution(&head, &payload).unwrap();
    assert_eq!((header.part, header.ceremony), (Part::Powers, powers()));
    // Phase 2 may name any powers.
    let other = ContentHash::of(b"powers");
    let payload = contribution("bn254", other, 2, 100);
    let part = Part::Circuit(SMALL);
    let head = sent(part, other, &payload);
    assert_eq!(signed.admit_contribution(&head, &payload).unwrap().part, part);
    let long = vec![0; signed.contribution_bytes_max() as usize + 1];
    for part in [Part::Powers, part] {
        let refused = signed.screen_contribution(&sent(part, powers(), &long)).unwrap_err();
        assert_eq!(refused.code(), 215, "{refused}");
    }
}

#[test]
fn every_other_bundle_is_refused_with_its_reason() {
    let signed = signed();
    let payload = contribution("bn254", powers(), 2, 10);
    let code = |head: &BundleHead, payload: &[u8]| {
        signed.admit_contribution(head, payload).map_err(|refusal| refusal.code())
    };
    let good = sent(Part::Powers, powers(), &payload);
    assert!(code(&good, &payload).is_ok());
    let plain = manifest().sign(&key(1)).unwrap();
    assert_eq!(plain.screen_contribution(&good), Err(ContributionRefusal::NoCeremony));
    assert_eq!(code(&bundle(&key(2), vec![0x80], &payload), &payload), Err(211), "an update, say");
    let stranger = bundle(&key(9), good.header().to_vec(), &payload);
    assert_eq!(code(&stranger, &payload), Err(212));
    let federation = ContentHash::of(b"another");
    let (ceremony, hash) = (powers(), ContentHash::of(&payload));
    let header = ContributionHeader { federation, part: Part::Powers, ceremony, payload: hash };
    assert_eq!(code(&bundle(&key(2), header.encode(), &payload), &payload), Err(213));
    let elsewhere = ContentHash::of(b"another size");
    assert_eq!(code(&sent(Part::Powers, elsewhere, &payload), &payload), Err(214));
    let shape = Part::Circuit(Shape::STANDARD[1]);
    assert_eq!(code(&sent(shape, powers(), &payload), &payload), Err(214), "not in the plan");
    assert_eq!(code(&good, b"else"), Err(216));
    for wrong in [
        contribution("bn254", elsewhere, 2, 10),
        contribution("bn254", powers(), 3, 10),
        contribution("bls12-381", powers(), 2, 10),
        b"no contribution".to_vec(),
    ] {
        assert_eq!(code(&sent(Part::Powers, powers(), &wrong), &wrong), Err(216));
    }
    // Whoever signs may not say that somebody else made it.
    let theirs = contribution("bn254", powers(), 3, 10);
    assert!(signed.contribution(&key(2), (Part::Powers, 0), &theirs, manifest().start).is_err());
}

#[test]
fn an_auditor_checks_who_contributed() {
    let mut world = World::of(ceremony(plan()), 0);
    let payload = contribution("bn254", powers(), 2, 10);
    let federation = world.manifest.id().hash();
    let (ceremony, hash) = (powers(), ContentHash::of(&payload));
    let header = ContributionHeader { federation, part: Part::Powers, ceremony, payload: hash };
    let head = bundle(&key(2), header.encode(), &payload);
    world.payloads.insert(hash, payload.clone().into());
    world.insert_before_tip(Record::Contribution { head: head.encode(), from: None });
    let report = verify_file(&world.file(), None);
    assert_eq!((report.verdict, report.contributions), (Verdict::Verified, 1), "{report}");
    let stranger = bundle(&key(9), header.encode(), &payload);
    world.insert_before_tip(Record::Contribution { head: stranger.encode(), from: None });
    let report = verify_file(&world.file(), None);
    assert_eq!(report.verdict, Verdict::Failed);
    assert!(report.summary().contains("no member of this ceremony"), "{report}");
}
