//! Private federations: who gets which key, what an auditor sees with keys and without, and what
//! announces a further key.

use std::sync::Arc;

use longhaul_aggregation::SealPolicy;
use longhaul_dtn::bundle::{BundleDraft, BundleHead};
use longhaul_dtn::codec::Writer;
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_dtn::keyring::{FederationKey, Keyring};
use longhaul_dtn::time::Span;
use longhaul_registry::audit::{AuditReport, Check, Expected, Verdict, audit};
use longhaul_registry::{
    InvalidManifest, KeyGrant, KeyHeader, KeyRefusal, Manifest, Privacy, Record, SignedManifest,
    TermsError,
};

use crate::world::{World, key, manifest, private, replay_file, shared, verify_file};

const MEMBERS: u8 = 5;

fn signed() -> SignedManifest {
    private().sign(&key(1)).unwrap()
}

fn ring(keys: impl IntoIterator<Item = FederationKey>) -> Keyring {
    let mut ring = Keyring::default();
    keys.into_iter().for_each(|key| _ = ring.add(key));
    ring
}

fn with_keys(bytes: &[u8], check: Check, keys: Keyring) -> AuditReport {
    audit(bytes, check, &Expected { federation: None, keys })
}

/// A world whose updates are encrypted.
fn world() -> World {
    World::of(private(), MEMBERS)
}

/// What the creator sends to announce a key.
fn announced(by: &SecretKey, generation: u32, federation: ContentHash) -> (BundleHead, Arc<[u8]>) {
    let members = private().members;
    let excluded = key(3).peer_id();
    let next = FederationKey::from_bytes([78; 32]);
    let grant = KeyGrant::wrap(&next, &key(201), &members, |it| *it != excluded);
    let mut writer = Writer::new();
    grant.encode(&mut writer);
    let payload: Arc<[u8]> = writer.into_bytes().into();
    let header = KeyHeader { federation, generation, payload: ContentHash::of(&payload) };
    let draft = BundleDraft {
        destination: Eid::dtn(&signed().id().to_string(), "updates").unwrap(),
        created: manifest().start,
        sequence: 1,
        lifetime: Span::from_ms(3_600_000),
        hop_limit: 9,
        header: header.encode(),
        payload: &payload,
    };
    (BundleHead::seal(draft, by).unwrap(), payload)
}

#[test]
fn a_private_manifest_reads_back_and_says_what_it_is() {
    let signed = signed();
    assert_eq!(SignedManifest::decode(signed.as_bytes()), Ok(signed.clone()));
    assert!(signed.manifest().is_private() && !manifest().is_private());
    assert!(signed.manifest().is_courier(&key(100).peer_id()));
    assert!(!signed.manifest().is_courier(&key(1).peer_id()));
    let shown = signed.describe();
    assert_eq!(shown.key, Some(shared().id().to_string()));
    assert_eq!(shown.couriers, [key(100).peer_id().to_string()]);
    assert!(shown.to_string().contains("privacy     members alone read updates"));
    let plain = manifest().sign(&key(1)).unwrap();
    assert!(plain.describe().to_string().contains("privacy     none"));
}

#[test]
fn a_private_manifest_has_one_form() {
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
fn every_member_gets_the_key_and_nobody_else() {
    let signed = signed();
    for member in 1..=MEMBERS {
        let ring = signed.keyring(&key(member)).unwrap();
        assert_eq!(ring.keys().collect::<Vec<_>>(), [&shared()], "{member}");
    }
    assert!(signed.keyring(&key(100)).unwrap().is_empty(), "a courier has no key");
    assert!(manifest().sign(&key(1)).unwrap().keyring(&key(1)).unwrap().is_empty());
    // A creator that wraps it for others than the members listed is found out by each of them.
    let mut members = private().members;
    members.rotate_left(1);
    let grant = KeyGrant::wrap(&shared(), &key(200), &members, |_| true);
    let wrong = Manifest { privacy: Some(Privacy { couriers: vec![], grant }), ..manifest() };
    assert!(wrong.sign(&key(1)).unwrap().keyring(&key(1)).is_err());
}

#[test]
fn couriers_and_grants_that_fit_nothing_are_refused() {
    let privacy = |couriers: Vec<u8>, gets: u8| {
        let mut couriers: Vec<_> = couriers.into_iter().map(|it| key(it).peer_id()).collect();
        couriers.sort_unstable();
        let limit = key(gets).peer_id();
        let grant = KeyGrant::wrap(&shared(), &key(200), &manifest().members, |it| *it != limit);
        Manifest { privacy: Some(Privacy { couriers, grant }), ..manifest() }.sign(&key(1))
    };
    assert!(privacy(vec![100, 101], 0).is_ok());
    let twice = privacy(vec![100, 100], 0).unwrap_err().to_string();
    assert!(twice.contains("is listed twice"), "{twice}");
    let member = privacy(vec![2], 0).unwrap_err().to_string();
    assert!(member.contains("a member already"), "{member}");
    let few = privacy(vec![], 3).unwrap_err().to_string();
    assert!(few.contains("4 of 5 members"), "{few}");
    let mut unsorted = private();
    if let Some(privacy) = &mut unsorted.privacy {
        privacy.couriers = vec![key(100).peer_id(), key(101).peer_id()];
        privacy.couriers.sort_unstable_by(|a, b| b.cmp(a));
    }
    assert!(matches!(unsorted.validate(), Err(InvalidManifest::Courier(_))));
    let seal = Some(SealPolicy { window_epochs: 12, every_epochs: 4 });
    let sealed = Manifest { seal, epochs: 100, ..private() };
    assert_eq!(sealed.validate(), Err(InvalidManifest::PrivateSeal));
}

#[test]
fn an_auditor_with_the_keys_derives_every_version() {
    let mut world = world();
    let bytes = world.file();
    let report = with_keys(&bytes, Check::Replay, ring([shared()]));
    assert_eq!(report.verdict, Verdict::Verified, "{report}");
    assert_eq!(report.model_id(), Some(world.fold.model_id().to_string().as_str()));
    assert_eq!(report.closed_count, 0);
    assert_eq!(report.contributors.len(), usize::from(MEMBERS));
}

#[test]
fn an_update_as_large_as_may_be_is_audited_as_well() {
    let mut manifest = private();
    let least = manifest.schema.payload_bytes_max();
    manifest.bounds.payload_bytes_max = u32::try_from(least).unwrap();
    let largest = world().payloads.values().map(|payload| payload.len()).max();
    assert!(largest > Some(least), "longer as it travels than in clear");
    let report = with_keys(&World::of(manifest, MEMBERS).file(), Check::Replay, ring([shared()]));
    assert_eq!(report.verdict, Verdict::Verified, "{report}");
}

#[test]
fn an_auditor_without_the_keys_checks_what_can_be_seen_and_says_so() {
    let bytes = world().file();
    for report in [verify_file(&bytes, None), replay_file(&bytes, None)] {
        assert_eq!(report.verdict, Verdict::Incomplete, "{report}");
        assert!(report.closed_count > 30 && report.missing_count == 0, "{report}");
        assert_eq!(report.closed_keys, [shared().id().to_string()]);
        assert_eq!(report.model_id(), None);
        assert!(report.contributors.is_empty(), "pseudonyms are nobody's");
        assert!(report.to_string().contains("--keys FILE") && report.summary().contains("keys"));
    }
    let other = ring([FederationKey::from_bytes([1; 32])]);
    let report = with_keys(&bytes, Check::Replay, other);
    assert_eq!(report.verdict, Verdict::Incomplete);
}

#[test]
fn what_is_changed_in_a_private_file_is_found_without_keys_too() {
    let good = world().file();
    let mut found = 0;
    for at in (0..good.len()).step_by(211) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        let report = verify_file(&bytes, None);
        assert_ne!(report.verdict, Verdict::Verified, "byte {at}");
        found += usize::from(report.verdict == Verdict::Failed);
        let report = with_keys(&bytes, Check::Verify, ring([shared()]));
        assert_eq!(report.verdict, Verdict::Failed, "byte {at}");
    }
    assert_eq!(found, good.len().div_ceil(211));
}

#[test]
fn updates_in_clear_and_encrypted_ones_do_not_mix() {
    let clear = World::new();
    let heads = |world: &World| -> Vec<BundleHead> {
        let limits = world.manifest.bundle_limits();
        let heads = world.records.iter().filter_map(|(_, record)| record.head());
        heads.map(|head| BundleHead::decode(head, &limits).unwrap()).collect()
    };
    let private = world();
    for head in heads(&clear) {
        assert_eq!(private.manifest.check_terms(&head), Err(TermsError::InClear));
        assert_eq!(clear.manifest.check_terms(&head), Ok(()));
    }
    for head in heads(&private) {
        assert_eq!(clear.manifest.check_terms(&head), Err(TermsError::Encrypted));
        assert_eq!(private.manifest.check_terms(&head), Ok(()));
    }
}

#[test]
fn the_creator_announces_further_keys() {
    let signed = signed();
    let (head, payload) = announced(&key(1), 4, signed.id().hash());
    assert_eq!(signed.check_terms(&head), Ok(()), "a key may travel in clear");
    let found = signed.admit_key(&head, &payload).unwrap();
    assert_eq!((found.generation, found.grant.granted()), (4, usize::from(MEMBERS) - 1));
    for member in 1..=MEMBERS {
        let index = signed.manifest().member_index(&key(member).peer_id()).unwrap();
        let granted = found.grant.key_for(index.index(), &key(member));
        assert_eq!(granted.is_some(), member != 3, "{member}");
        let stolen = found.grant.key_for(index.index(), &key(3));
        assert!(stolen.is_none(), "{member}");
    }
}

#[test]
fn nobody_else_announces_keys_nor_for_another_federation() {
    let signed = signed();
    let federation = signed.id().hash();
    let (head, payload) = announced(&key(2), 1, federation);
    let refused = signed.admit_key(&head, &payload);
    assert_eq!(refused, Err(KeyRefusal::NotTheCreator(key(2).peer_id())));
    let other = ContentHash::of(b"another");
    let (head, payload) = announced(&key(1), 1, other);
    assert_eq!(signed.admit_key(&head, &payload), Err(KeyRefusal::ForeignFederation(other)));
    let (head, _) = announced(&key(1), 1, federation);
    assert_eq!(signed.admit_key(&head, &(*b"else").into()), Err(KeyRefusal::Payload));
    let (head, payload) = announced(&key(1), 0, federation);
    assert!(matches!(signed.admit_key(&head, &payload), Err(KeyRefusal::Malformed(_))));
    let plain = manifest().sign(&key(1)).unwrap();
    assert_eq!(plain.admit_key(&head, &payload), Err(KeyRefusal::NotPrivate));
}

#[test]
fn a_key_header_has_one_form() {
    let federation = ContentHash::of(b"federation");
    let header = KeyHeader { federation, generation: 7, payload: ContentHash::of(b"grant") };
    let good = header.encode();
    assert!(KeyHeader::is_one(&good));
    assert_eq!(KeyHeader::decode(&good), Ok(header));
    for end in 0..good.len() {
        assert!(KeyHeader::decode(&good[..end]).is_err(), "cut at {end}");
    }
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(KeyHeader::decode(&bytes), Ok(header), "bit {bit}");
    }
    assert!(!KeyHeader::is_one(b"") && !KeyHeader::is_one(&[0x84, 0x64, b'v', b'o', b't', b'e']));
}

#[test]
fn a_grant_has_one_form() {
    let grant =
        KeyGrant::wrap(&shared(), &key(200), &manifest().members, |it| *it != key(2).peer_id());
    let mut writer = Writer::new();
    grant.encode(&mut writer);
    let good = writer.into_bytes();
    assert!(good.len() as u64 <= KeyGrant::bytes_max(manifest().members.len()));
    let read = |bytes: &[u8]| {
        let mut reader = longhaul_dtn::codec::Reader::new(bytes);
        let grant = KeyGrant::decode(&mut reader).ok()?;
        reader.finish().ok().map(|()| grant)
    };
    assert_eq!(read(&good), Some(grant.clone()));
    for end in 0..good.len() {
        assert_eq!(read(&good[..end]), None, "cut at {end}");
    }
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(read(&bytes), Some(grant.clone()), "bit {bit}");
    }
}

#[test]
fn keys_and_what_was_carried_are_counted() {
    let mut world = world();
    let (head, payload) = announced(&key(1), 1, world.manifest.id().hash());
    world.payloads.insert(head.payload_hash(), payload);
    world.insert_before_tip(Record::Keys { head: head.encode(), from: Some(key(2).peer_id()) });
    let carried = world.records.iter().find_map(|(_, record)| record.head()).unwrap().to_vec();
    let from = key(2).peer_id();
    world.insert_before_tip(Record::Carry { head: carried, from });
    world.insert_before_tip(Record::Drop { bundle: head.id() });
    let report = with_keys(&world.file(), Check::Replay, ring([shared()]));
    assert_eq!(report.verdict, Verdict::Verified, "{report}");
    assert_eq!((report.keys, report.carried), (1, 1));
    assert!(report.to_string().contains("keys        1 beside the manifest's"));
    let (head, payload) = announced(&key(2), 1, world.manifest.id().hash());
    world.payloads.insert(head.payload_hash(), payload);
    world.insert_before_tip(Record::Keys { head: head.encode(), from: None });
    let report = with_keys(&world.file(), Check::Replay, ring([shared()]));
    assert_eq!(report.verdict, Verdict::Failed);
    assert!(report.summary().contains("made by the creator"), "{report}");
}
