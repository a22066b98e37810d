//! Privacy: the keys that a peer has, and the bundles that it carries without reading them.
//!
//! In a private federation whoever holds the key that a bundle names reads it; who doesn't carries it
//! for those who do. A member that has not met a further key yet and a courier that never gets one do the
//! same: the bundle is checked from outside, stored, recorded and offered. When the key comes, what it opens is
//! judged as if it had just arrived. What is carried is bounded ([`super::carried`]), and its end is recorded.
//! Nothing that the peer has read ever gives way: a payload is forgotten once no bundle needs it.

use std::sync::Arc;

use longhaul_aggregation::{HeaderKind, MemberIndex};
use longhaul_dtn::agent::{self, Held};
use longhaul_dtn::bundle::{BundleDraft, BundleError, BundleHead, Encryption, Prepared, TAG_BYTES};
use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_dtn::keyring::{FederationKey, KeyId, Keyring};
use longhaul_registry::privacy::{NO_ROOM_CODE, UNREADABLE_CODE};
use longhaul_registry::{KeyGeneration, KeyGrant, KeyRefusal, Manifest, Record, SignedManifest};

use super::carried::Carried;
use super::{Event, InStore, Peer};

/// Bundles beyond twice the slots that are carried for one neighbour over the whole life of a
/// federation: what was dropped may come again.
const GIVEN_SLACK: u64 = 100;

/// The keys that a peer has.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    /// What opens bundles.
    pub ring: Keyring,
    /// The key that own updates are encrypted with: the greatest generation that the peer has.
    newest: Option<(u32, KeyId)>,
    /// The greatest generation that was announced.
    seen: Option<KeyGeneration>,
}

/// Why a bundle is not read.
pub(super) enum Unread {
    /// Its key is not there.
    NoKey,
    /// What is inside is not what it must be.
    Wrong(BundleError),
}

impl Keys {
    /// What the manifest grants to the owner of `key`.
    pub fn of(manifest: &SignedManifest, key: &SecretKey) -> Result<Self, String> {
        let ring = manifest.keyring(key).map_err(|error| error.to_string())?;
        let newest = ring.keys().next().map(|key| (0, key.id()));
        Ok(Self { ring, newest, seen: None })
    }

    /// Takes a further key, if it was granted to the member `me`, the owner of `key`; gives its id.
    pub fn learn(
        &mut self,
        generation: &KeyGeneration,
        me: Option<MemberIndex>,
        key: &SecretKey,
    ) -> Option<KeyId> {
        // Of two with one number the one with the greater id counts, whichever came first.
        let order = |it: &KeyGeneration| (it.generation, it.grant.id);
        if self.seen.as_ref().is_none_or(|seen| order(seen) < order(generation)) {
            self.seen = Some(generation.clone());
        }
        let granted = generation.grant.key_for(me?.index(), key)?;
        let id = granted.id();
        self.newest = self.newest.max(Some((generation.generation, id)));
        self.ring.add(granted);
        Some(id)
    }

    /// The key that own bundles are encrypted with; none in a federation that is not private.
    pub fn newest(&self) -> Option<&FederationKey> {
        self.ring.get(&self.newest?.1)
    }

    /// A bundle with its header opened.
    pub fn open(&self, head: &BundleHead) -> Result<BundleHead, Unread> {
        self.ring.open(head.clone()).map_err(|error| match error {
            BundleError::ForeignKey(_) => Unread::NoKey,
            error => Unread::Wrong(error),
        })
    }

    /// A bundle opened, and its payload in clear.
    pub fn reveal(&self, held: &Held) -> Result<(Held, Arc<[u8]>), Unread> {
        if held.head.confidential().is_none() {
            return Ok((held.clone(), held.payload.clone()));
        }
        let head = self.open(&held.head)?;
        let clear = self.ring.open_payload(&head, &held.payload).map_err(Unread::Wrong)?;
        Ok((Held { head: Arc::new(head), payload: held.payload.clone() }, clear))
    }
}

impl Peer {
    /// Bounds what is carried for others, in bytes; each bundle counts some for its head, too.
    pub fn set_carried_bytes_max(&mut self, bytes: u64) {
        self.carried.bytes_max = bytes;
        self.drop_surplus();
    }

    /// Number of bundles that the peer carries unread, and the bytes that they count.
    pub fn carried(&self) -> (usize, u64) {
        (self.carried.len(), self.carried.bytes())
    }

    /// Id of the key that own updates are encrypted with.
    pub fn newest_key(&self) -> Option<KeyId> {
        self.keys.newest().map(FederationKey::id)
    }

    /// The greatest number of a key that the peer has seen, whether it was granted or not.
    pub fn key_generation(&self) -> u32 {
        self.keys.seen.as_ref().map_or(0, |seen| seen.generation)
    }

    /// Who got that key, and how; none where the federation is not private.
    pub fn newest_grant(&self) -> Option<&KeyGrant> {
        let first = self.manifest().privacy.as_ref().map(|privacy| &privacy.grant);
        self.keys.seen.as_ref().map(|seen| &seen.grant).or(first)
    }

    /// True for a member that did not get the newest key, and can't read what is encrypted with it.
    pub fn is_left_out(&self) -> bool {
        let newest = self.newest_grant().map(|grant| grant.id);
        self.me.is_some() && newest.is_some_and(|id| self.keys.ring.get(&id).is_none())
    }

    /// The federation keys that the peer has; secret.
    pub const fn keyring(&self) -> &Keyring {
        &self.keys.ring
    }

    /// Makes a bundle of this federation, encrypted where it is private; gives what travels as its
    /// payload too.
    pub(super) fn prepare_draft(
        &self,
        draft: BundleDraft<'_>,
    ) -> Result<(Prepared, Arc<[u8]>), BundleError> {
        let Some(key) = self.keys.newest() else {
            let payload = draft.payload.into();
            return Prepared::clear(draft, &self.key).map(|prepared| (prepared, payload));
        };
        // One for each bundle: its number is never used twice.
        let pseudonym = self.key.pseudonym(&self.manifest.id().hash(), draft.sequence);
        let encryption = Encryption { author: &self.key, pseudonym: &pseudonym, key };
        let (prepared, ciphertext) = Prepared::encrypted(draft, &encryption)?;
        Ok((prepared, ciphertext.into()))
    }

    /// Keeps a bundle that this peer can't read for those who can.
    pub(super) fn carry(&mut self, held: Held, from: PeerId) {
        let id = held.head.id();
        if let Some((code, reason)) = self.not_carried(&held, from) {
            return self.reject(id, (from, None), code, reason);
        }
        let payload = (held.head.payload_hash(), held.payload.clone());
        let record = Record::Carry { head: held.head.encode(), from };
        self.missing.remove(&id);
        self.needed.add(payload.0, id);
        self.carried.keep(held, from);
        self.persist(Some(payload), vec![record], InStore::Carried { bundle: id });
        self.drop_surplus();
    }

    /// Why a bundle that this peer can't read is not carried, as a code and in words.
    fn not_carried(&self, held: &Held, from: PeerId) -> Option<(u16, String)> {
        let (len, max) = (held.head.payload_len(), self.carried.bytes_max);
        if len < TAG_BYTES as u64 {
            let reason = format!("nothing encrypted has {len} bytes, {TAG_BYTES} are the least");
            return Some((UNREADABLE_CODE, reason));
        }
        if Carried::cost(&held.head) > max {
            return Some((NO_ROOM_CODE, format!("it is larger than the {max} bytes carried")));
        }
        let given_max = given_max(self.manifest());
        if self.carried.given(&from) >= given_max && !self.missing.contains_key(&held.head.id()) {
            let reason = format!("{given_max} bundles that were carried came from there already");
            return Some((NO_ROOM_CODE, reason));
        }
        None
    }

    /// Ends what is carried beyond the bound, or beyond its time.
    pub(super) fn drop_surplus(&mut self) {
        while let Some(held) = self.carried.take_surplus(self.now) {
            self.carry_no_more(&held, NO_ROOM_CODE);
        }
    }

    /// Forgets a bundle that was carried, everywhere; its payload, if no other bundle has the same:
    /// whoever passes bundles on can sign another one around a payload that is needed here.
    fn carry_no_more(&mut self, held: &Held, code: u16) {
        let (bundle, payload) = (held.head.id(), held.head.payload_hash());
        self.agent.handle(self.now, agent::Input::Retire { ids: vec![bundle], code });
        let forget = self.needed.remove(payload, bundle).then_some(payload).into_iter().collect();
        self.persist_and_forget(None, vec![Record::Drop { bundle }], InStore::Entries, forget);
    }

    /// Judges a bundle that announces a further key.
    pub(super) fn judge_key(&mut self, held: Held, from: PeerId) {
        let id = held.head.id();
        match self.manifest.admit_key(&held.head, &held.payload) {
            Err(refusal) => {
                let code = KeyRefusal::CODE;
                self.reject(id, (from, None), code, refusal.to_string());
            }
            Ok(generation) => {
                let payload = (held.head.payload_hash(), held.payload.clone());
                let giver = (from != self.key.peer_id()).then_some(from);
                let record = Record::Keys { head: held.head.encode(), from: giver };
                self.missing.remove(&id);
                self.needed.add(payload.0, id);
                self.persist(Some(payload), vec![record], InStore::Carried { bundle: id });
                let learnt = self.keys.learn(&generation, self.me, &self.key);
                let granted = learnt.is_some();
                self.event(Event::Key { generation: generation.generation, granted });
                learnt.into_iter().for_each(|key| self.read_carried(key));
            }
        }
    }

    /// Reads what was carried for want of this key.
    fn read_carried(&mut self, key: KeyId) {
        for id in self.carried.under(key) {
            let Some((held, from)) = self.carried.take(&id) else { continue };
            if let Err((code, reason)) = self.accept_carried(&held, from) {
                self.refuse((from, None), Some(id), code, reason);
                self.carry_no_more(&held, code);
            }
        }
    }

    /// Judges an update that was carried until its key came; it is on offer already.
    fn accept_carried(&mut self, held: &Held, from: PeerId) -> Result<(), (u16, String)> {
        let unreadable = |why: String| (UNREADABLE_CODE, why);
        let (held, clear) = self.keys.reveal(held).map_err(|unread| match unread {
            Unread::NoKey => unreadable("its key is not there".to_owned()),
            Unread::Wrong(error) => unreadable(error.to_string()),
        })?;
        if HeaderKind::of(held.head.header()) != HeaderKind::Update {
            return Err(unreadable("it is no update".to_owned()));
        }
        let author = self.manifest().member_index(&held.head.author());
        let admitted = match self.admit_read(&held, author, clear.clone()) {
            Ok(admitted) => admitted,
            Err((code, reason)) => {
                self.report_fraud(&held, author, (&clear, code));
                return Err((code, reason));
            }
        };
        let (epoch, author) = (admitted.header.epoch, admitted.author);
        self.accept(held, admitted, from, InStore::Read { epoch, author, from });
        Ok(())
    }
}

/// Most bundles that one neighbour hands over to be carried, each of which the log names for good: no
/// federation has more updates than slots.
fn given_max(manifest: &Manifest) -> u64 {
    let slots = u64::from(manifest.epochs).saturating_mul(manifest.members.len() as u64);
    slots.saturating_mul(2).saturating_add(GIVEN_SLACK)
}
