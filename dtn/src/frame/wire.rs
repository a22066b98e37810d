//! The bytes of a frame: `[kind, …]`, canonical in both directions.

use super::{
    FRAME_BYTES_MAX, Frame, FrameError, GROUP_BEYOND_BYTES_MAX, HAVE_IDS_MAX, HEAD_BYTES_MAX, Page,
    PageStart, RESOLVE_SYMBOLS_MAX, Terms, Versions,
};
use crate::bundle::BundleId;
use crate::codec::{CodecError, Reader, Writer};
use crate::groups::{GROUP_BYTES, GROUPS_MAX, GroupIndex, GroupProof, PROOF_HASHES_MAX};
use crate::hash::{ContentHash, HASH_BYTES};
use crate::sketch::{CellCount, SYMBOL_BYTES, SketchBatch, Symbol};
use crate::time::Span;

const HELLO: u64 = 0;
const HAVE: u64 = 1;
const MORE: u64 = 2;
const WANT_HEAD: u64 = 3;
const WANT_GROUP: u64 = 4;
const HEAD: u64 = 5;
const GROUP: u64 = 6;
const GONE: u64 = 7;
const ACK: u64 = 8;
const REFUSED: u64 = 9;
const BYE: u64 = 10;
const CELLS: u64 = 11;
const MORE_CELLS: u64 = 12;
const RESOLVE: u64 = 13;
const LIST: u64 = 14;
/// Items of a hello of version 1, which is read to say that no version is common.
const HELLO_ITEMS_1: usize = 5;
const HELLO_ITEMS: usize = 8;

impl Frame {
    /// The frame's bytes, without a length prefix.
    pub fn encode(&self) -> Vec<u8> {
        self.written()
    }

    /// Reads a frame, strictly.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        Self::read(bytes)
    }

    /// The kind of an encoded frame in a word, for statistics; the rest of the
    /// bytes is not looked at.
    pub fn kind_of(bytes: &[u8]) -> &'static str {
        match bytes.get(1).copied().map(u64::from) {
            Some(HELLO) => "hello",
            Some(HAVE | MORE | LIST) => "ids",
            Some(CELLS | MORE_CELLS | RESOLVE) => "sketch",
            Some(WANT_HEAD | WANT_GROUP) => "want",
            Some(HEAD) => "head",
            Some(GROUP) => "payload",
            Some(GONE | ACK | REFUSED) => "answer",
            Some(BYE) => "bye",
            _ => "other",
        }
    }
}

impl<'a> Frame<&'a [u8]> {
    /// The frame's bytes, as [`Frame::encode`] gives them; the payload is copied once.
    pub fn encode_view(&self) -> Vec<u8> {
        self.written()
    }

    /// Reads a frame as strictly as [`Frame::decode`]; the bytes of a group stay where they are.
    pub fn view(bytes: &'a [u8]) -> Result<Self, FrameError> {
        Self::read(bytes)
    }
}

impl<B: AsRef<[u8]>> Frame<B> {
    fn written(&self) -> Vec<u8> {
        let mut writer = match self {
            Self::Group { bytes, .. } => {
                Writer::with_capacity(bytes.as_ref().len() + GROUP_BEYOND_BYTES_MAX)
            }
            _ => Writer::new(),
        };
        match self {
            Self::Hello { versions, scope, nonce, terms } => {
                writer.array(HELLO_ITEMS).unsigned(HELLO);
                writer.unsigned(versions.min.into()).unsigned(versions.max.into());
                writer.bytes(scope.as_bytes()).bytes(nonce);
                write_terms(&mut writer, terms);
            }
            Self::Have { ids, page } => {
                writer.array(3).unsigned(HAVE).array(ids.len());
                ids.iter().for_each(|id| write_id(&mut writer, id));
                writer.boolean(*page == Page::Continued);
            }
            Self::More { from } => {
                writer.array(2).unsigned(MORE).boolean(*from == PageStart::AfterLast);
            }
            Self::WantHead(id) => write_about(&mut writer, 2, WANT_HEAD, id),
            Self::WantGroup { id, index } => {
                write_about(&mut writer, 3, WANT_GROUP, id);
                writer.unsigned(index.get().into());
            }
            Self::Head { id, head } => {
                write_about(&mut writer, 3, HEAD, id);
                writer.bytes(head);
            }
            Self::Group { id, index, proof, bytes } => {
                write_about(&mut writer, 5, GROUP, id);
                writer.unsigned(index.get().into());
                writer.bytes(proof.hashes().as_flattened()).bytes(bytes.as_ref());
            }
            Self::Cells(batch) => {
                writer.array(2).unsigned(CELLS).bytes(&batch.encode());
            }
            Self::MoreCells(count) => {
                writer.array(2).unsigned(MORE_CELLS).unsigned(count.get().into());
            }
            Self::Resolve { symbols, page } => {
                let bytes: Vec<_> = symbols.iter().map(|symbol| symbol.to_bytes()).collect();
                writer.array(3).unsigned(RESOLVE).bytes(bytes.as_flattened());
                writer.boolean(*page == Page::Continued);
            }
            Self::List => {
                writer.array(1).unsigned(LIST);
            }
            Self::Gone(id) => write_about(&mut writer, 2, GONE, id),
            Self::Ack(id) => write_about(&mut writer, 2, ACK, id),
            Self::Refused { id, code } => {
                write_about(&mut writer, 3, REFUSED, id);
                writer.unsigned((*code).into());
            }
            Self::Bye { code } => {
                writer.array(2).unsigned(BYE).unsigned((*code).into());
            }
        }
        writer.into_bytes()
    }
}

impl<'a, B: From<&'a [u8]>> Frame<B> {
    fn read(bytes: &'a [u8]) -> Result<Self, FrameError> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong(bytes.len() as u64));
        }
        let mut reader = Reader::new(bytes);
        let items = reader.array(HELLO_ITEMS)?;
        let kind = reader.unsigned(u64::MAX)?;
        let expected = match kind {
            LIST => 1,
            MORE | WANT_HEAD | GONE | ACK | BYE | CELLS | MORE_CELLS => 2,
            HAVE | HEAD | REFUSED | WANT_GROUP | RESOLVE => 3,
            GROUP => 5,
            HELLO if items == HELLO_ITEMS_1 => HELLO_ITEMS_1,
            HELLO => HELLO_ITEMS,
            _ => return Err(FrameError::Kind(kind)),
        };
        if items != expected {
            return Err(reader.invalid("the number of items of this kind of frame").into());
        }
        let frame = Self::read_items(kind, items, &mut reader)?;
        reader.finish()?;
        Ok(frame)
    }

    fn read_items(kind: u64, items: usize, reader: &mut Reader<'a>) -> Result<Self, CodecError> {
        Ok(match kind {
            HELLO => Self::Hello {
                versions: read_versions(reader)?,
                scope: ContentHash::from_bytes(reader.fixed()?),
                nonce: reader.fixed()?,
                terms: if items == HELLO_ITEMS { read_terms(reader)? } else { Terms::default() },
            },
            HAVE => Self::Have { ids: read_ids(reader)?, page: read_page(reader)? },
            MORE => {
                let continued = reader.boolean()?;
                Self::More {
                    from: if continued { PageStart::AfterLast } else { PageStart::Newest },
                }
            }
            WANT_HEAD => Self::WantHead(read_id(reader)?),
            WANT_GROUP => Self::WantGroup { id: read_id(reader)?, index: read_index(reader)? },
            HEAD => {
                Self::Head { id: read_id(reader)?, head: reader.bytes(HEAD_BYTES_MAX)?.to_vec() }
            }
            GROUP => Self::Group {
                id: read_id(reader)?,
                index: read_index(reader)?,
                proof: read_proof(reader)?,
                bytes: reader.bytes(GROUP_BYTES as usize)?.into(),
            },
            CELLS => Self::Cells(SketchBatch::decode(reader.bytes(FRAME_BYTES_MAX)?)?),
            MORE_CELLS => Self::MoreCells(read_count(reader)?),
            RESOLVE => Self::Resolve { symbols: read_symbols(reader)?, page: read_page(reader)? },
            LIST => Self::List,
            GONE => Self::Gone(read_id(reader)?),
            ACK => Self::Ack(read_id(reader)?),
            REFUSED => Self::Refused { id: read_id(reader)?, code: read_u16(reader)? },
            _ => Self::Bye { code: read_u16(reader)? },
        })
    }
}

fn write_id(writer: &mut Writer, id: &BundleId) {
    writer.bytes(id.as_hash().as_bytes());
}

fn write_about(writer: &mut Writer, items: usize, kind: u64, id: &BundleId) {
    writer.array(items).unsigned(kind);
    write_id(writer, id);
}

fn read_id(reader: &mut Reader<'_>) -> Result<BundleId, CodecError> {
    Ok(BundleId::from_hash(ContentHash::from_bytes(reader.fixed()?)))
}

fn read_ids(reader: &mut Reader<'_>) -> Result<Vec<BundleId>, CodecError> {
    let count = reader.array(HAVE_IDS_MAX)?;
    (0..count).map(|_| read_id(reader)).collect()
}

fn read_page(reader: &mut Reader<'_>) -> Result<Page, CodecError> {
    Ok(if reader.boolean()? { Page::Continued } else { Page::Last })
}

fn write_terms(writer: &mut Writer, terms: &Terms) {
    writer.unsigned(terms.held);
    // Zero stands for what is not said.
    writer.unsigned(terms.room_bytes.map_or(0, |bytes| bytes.saturating_add(1)));
    writer.unsigned(terms.stay.map_or(0, |span| span.ms().saturating_add(1)));
}

fn read_terms(reader: &mut Reader<'_>) -> Result<Terms, CodecError> {
    let held = reader.unsigned(u64::MAX)?;
    let room_bytes = reader.unsigned(u64::MAX)?.checked_sub(1);
    let stay = reader.unsigned(u64::MAX)?.checked_sub(1).map(Span::from_ms);
    Ok(Terms { held, room_bytes, stay })
}

fn read_index(reader: &mut Reader<'_>) -> Result<GroupIndex, CodecError> {
    let at = reader.invalid("the number of a group");
    GroupIndex::new(reader.unsigned(GROUPS_MAX)?).ok_or(at)
}

fn read_proof(reader: &mut Reader<'_>) -> Result<GroupProof, CodecError> {
    let at = reader.invalid("a proof of whole hashes");
    let (hashes, []) = reader.bytes(PROOF_HASHES_MAX * HASH_BYTES)?.as_chunks() else {
        return Err(at);
    };
    GroupProof::new(hashes.to_vec()).ok_or(at)
}

fn read_count(reader: &mut Reader<'_>) -> Result<CellCount, CodecError> {
    let at = reader.invalid("a number of cells");
    let count = u32::try_from(reader.unsigned(u32::MAX.into())?).map_err(|_| at.clone())?;
    CellCount::new(count).ok_or(at)
}

fn read_symbols(reader: &mut Reader<'_>) -> Result<Vec<Symbol>, CodecError> {
    let at = reader.invalid("whole symbols");
    let (symbols, []) = reader.bytes(RESOLVE_SYMBOLS_MAX * SYMBOL_BYTES)?.as_chunks() else {
        return Err(at);
    };
    Ok(symbols.iter().map(|&bytes| Symbol::from_bytes(bytes)).collect())
}

fn read_u16(reader: &mut Reader<'_>) -> Result<u16, CodecError> {
    let at = reader.invalid("a number of 16 bits");
    u16::try_from(reader.unsigned(u16::MAX.into())?).map_err(|_| at)
}

fn read_versions(reader: &mut Reader<'_>) -> Result<Versions, CodecError> {
    let at = reader.invalid("a range of versions");
    Versions::new(read_u16(reader)?, read_u16(reader)?).ok_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn arb_id() -> impl Strategy<Value = BundleId> {
        any::<[u8; 32]>().prop_map(|bytes| BundleId::from_hash(ContentHash::from_bytes(bytes)))
    }

    fn arb_terms() -> impl Strategy<Value = Terms> {
        any::<(u64, Option<u32>, Option<u32>)>().prop_map(|(held, room, stay)| Terms {
            held,
            room_bytes: room.map(u64::from),
            stay: stay.map(|ms| Span::from_ms(ms.into())),
        })
    }

    fn arb_index() -> impl Strategy<Value = GroupIndex> {
        (0..GROUPS_MAX).prop_map(|index| GroupIndex::new(index).unwrap())
    }

    fn arb_proof() -> impl Strategy<Value = GroupProof> {
        prop::collection::vec(any::<[u8; 32]>(), 0..=PROOF_HASHES_MAX)
            .prop_map(|hashes| GroupProof::new(hashes).unwrap())
    }

    fn arb_frame() -> impl Strategy<Value = Frame> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..300);
        prop_oneof![
            (any::<(u16, u16, [u8; 32], [u8; 32])>(), arb_terms()).prop_map(
                |((a, b, scope, nonce), terms)| {
                    let versions = Versions { min: a.min(b), max: a.max(b) };
                    Frame::Hello { versions, scope: ContentHash::from_bytes(scope), nonce, terms }
                }
            ),
            (prop::collection::vec(arb_id(), 0..40), any::<bool>()).prop_map(|(ids, more)| {
                Frame::Have { ids, page: if more { Page::Continued } else { Page::Last } }
            }),
            Just(Frame::More { from: PageStart::Newest }),
            Just(Frame::More { from: PageStart::AfterLast }),
            arb_id().prop_map(Frame::WantHead),
            (arb_id(), arb_index()).prop_map(|(id, index)| Frame::WantGroup { id, index }),
            (arb_id(), bytes()).prop_map(|(id, head)| Frame::Head { id, head }),
            (arb_id(), arb_index(), arb_proof(), bytes())
                .prop_map(|(id, index, proof, bytes)| Frame::Group { id, index, proof, bytes }),
            (1..=CellCount::MAX.get())
                .prop_map(|count| Frame::MoreCells(CellCount::new(count).unwrap())),
            (prop::collection::vec(any::<[u8; 8]>(), 0..20), any::<bool>()).prop_map(
                |(symbols, more)| Frame::Resolve {
                    symbols: symbols.into_iter().map(Symbol::from_bytes).collect(),
                    page: if more { Page::Continued } else { Page::Last },
                }
            ),
            Just(Frame::List),
            arb_id().prop_map(Frame::Gone),
            arb_id().prop_map(Frame::Ack),
            (arb_id(), any::<u16>()).prop_map(|(id, code)| Frame::Refused { id, code }),
            any::<u16>().prop_map(|code| Frame::Bye { code }),
        ]
    }

    #[test]
    fn fits_the_largest_contents_into_a_frame() {
        let id = BundleId::from_hash(ContentHash::of(b"x"));
        for frame in [
            Frame::Have { ids: vec![id; HAVE_IDS_MAX], page: Page::Continued },
            Frame::Head { id, head: vec![0; HEAD_BYTES_MAX] },
            Frame::Group {
                id,
                index: GroupIndex::new(GROUPS_MAX - 1).unwrap(),
                proof: GroupProof::new(vec![[0; 32]; PROOF_HASHES_MAX]).unwrap(),
                bytes: vec![0; GROUP_BYTES as usize],
            },
            Frame::Resolve {
                symbols: vec![Symbol::from_bytes([1; 8]); RESOLVE_SYMBOLS_MAX],
                page: Page::Last,
            },
        ] {
            let bytes = frame.encode();
            assert!(bytes.len() <= FRAME_BYTES_MAX);
            assert_eq!(Frame::decode(&bytes), Ok(frame));
        }
    }

    #[test]
    fn refuses_frames_that_are_not_ours() {
        for (bytes, part) in [
            (vec![], "the bytes end too early"),
            (vec![0x80], "the bytes end too early"),
            (vec![0x82, 0x18, 99, 0x00], "unknown kind of frame 99"),
            (vec![0x83, 0x0a, 0x00, 0x00], "number of items"),
            (vec![0x82, 0x0a, 0x18, 0x01], "not in canonical form"),
            (vec![0x82, 0x0a, 0x00, 0x00], "bytes follow the end"),
            (vec![0x82, 0x0a, 0x1a, 0, 1, 0, 0], "above the limit"),
            (vec![0x9f, 0x0a, 0x00, 0xff], "not in canonical form"),
            (vec![0; FRAME_BYTES_MAX + 1], "at most 65536 bytes"),
        ] {
            let found = Frame::decode(&bytes).unwrap_err().to_string();
            assert!(found.contains(part), "{found}");
        }
    }

    /// One frame of each kind, as `tests/vectors/frames.hex` has them.
    fn examples() -> Vec<(&'static str, Frame)> {
        let id = BundleId::from_hash(ContentHash::from_bytes([0x11; 32]));
        let terms = Terms { held: 300, room_bytes: Some(1 << 30), stay: None };
        let scope = ContentHash::from_bytes([0x22; 32]);
        let key = crate::sketch::SketchKey::between(&[0x33; 32], &[0x44; 32]);
        let set = crate::sketch::KeyedIds::new(key, [id]).unwrap();
        let mut encoder = crate::sketch::Encoder::new(set);
        let payload = vec![0x55; 2 * GROUP_BYTES as usize + 3];
        let (index, tree) = (GroupIndex::new(2).unwrap(), crate::groups::GroupTree::of(&payload));
        let proof = tree.proof(index).unwrap();
        vec![
            ("hello", Frame::Hello { versions: Versions::SPOKEN, scope, nonce: [0x33; 32], terms }),
            ("have", Frame::Have { ids: vec![id], page: Page::Continued }),
            ("more", Frame::More { from: PageStart::AfterLast }),
            ("want head", Frame::WantHead(id)),
            ("want group", Frame::WantGroup { id, index }),
            ("head", Frame::Head { id, head: vec![0x9f, 0xff] }),
            ("group", Frame::Group { id, index, proof, bytes: vec![0x55; 3] }),
            ("gone", Frame::Gone(id)),
            ("ack", Frame::Ack(id)),
            ("refused", Frame::Refused { id, code: 105 }),
            ("bye", Frame::Bye { code: 7 }),
            ("cells", Frame::Cells(encoder.batch(CellCount::FIRST).unwrap())),
            ("more cells", Frame::MoreCells(CellCount::new(40).unwrap())),
            ("resolve", Frame::Resolve { symbols: vec![key.symbol(&id)], page: Page::Last }),
            ("list", Frame::List),
        ]
    }

    #[test]
    fn writes_the_golden_frames() {
        let vector = include_str!("../../../tests/vectors/frames.hex");
        let known: Vec<(&str, &str)> = vector
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_once(": ").unwrap())
            .collect();
        let examples = examples();
        assert_eq!(known.len(), examples.len());
        for ((name, frame), known) in examples.iter().zip(known) {
            let hex: String = frame.encode().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!((*name, hex.as_str()), known);
        }
    }

    #[test]
    fn reads_the_hello_of_version_1_to_say_so() {
        let mut writer = Writer::new();
        writer.array(5).unsigned(HELLO).unsigned(1).unsigned(1);
        writer.bytes(&[1; 32]).bytes(&[2; 32]);
        let Ok(Frame::Hello { versions, terms, .. }) = Frame::decode(&writer.into_bytes()) else {
            panic!("a hello");
        };
        assert_eq!((versions.common(Versions::SPOKEN), terms), (None, Terms::default()));
    }

    #[test]
    fn a_hello_is_small() {
        let terms =
            Terms { held: 10_000, room_bytes: Some(1 << 33), stay: Some(Span::from_ms(60_000)) };
        let scope = ContentHash::of(b"scope");
        let hello = Frame::Hello { versions: Versions::SPOKEN, scope, nonce: [0; 32], terms };
        assert_eq!(hello.encode().len(), 87);
    }

    #[test]
    fn refuses_parts_of_hashes_and_symbols() {
        let group = |proof: &[u8]| {
            let mut writer = Writer::new();
            write_about(&mut writer, 5, GROUP, &BundleId::from_hash(ContentHash::of(b"x")));
            writer.unsigned(0).bytes(proof).bytes(b"");
            Frame::decode(&writer.into_bytes())
        };
        assert!(group(&[0; 64]).is_ok());
        for bytes in [1, 63, 31 * 32] {
            assert!(group(&vec![0; bytes]).is_err(), "{bytes}");
        }
        for bytes in [1, 7, RESOLVE_SYMBOLS_MAX * SYMBOL_BYTES + 8] {
            let mut writer = Writer::new();
            writer.array(3).unsigned(RESOLVE).bytes(&vec![0; bytes]).boolean(false);
            assert!(Frame::decode(&writer.into_bytes()).is_err(), "{bytes}");
        }
    }

    #[test]
    fn says_in_a_word_what_a_frame_is_about() {
        let words = examples().into_iter().map(|(_, frame)| Frame::kind_of(&frame.encode()));
        let expected = [
            "hello", "ids", "ids", "want", "want", "head", "payload", "answer", "answer", "answer",
            "bye", "sketch", "sketch", "sketch", "ids",
        ];
        assert_eq!(words.collect::<Vec<_>>(), expected);
        assert_eq!((Frame::kind_of(&[]), Frame::kind_of(&[0x81, 15])), ("other", "other"));
    }

    #[test]
    fn a_cut_frame_is_no_frame() {
        for (name, frame) in examples() {
            let bytes = frame.encode();
            for end in 0..bytes.len() {
                assert!(Frame::decode(&bytes[..end]).is_err(), "{name} cut to {end} bytes");
            }
        }
    }

    #[test]
    fn room_and_stay_of_zero_are_said() {
        let terms = Terms { held: 0, room_bytes: Some(0), stay: Some(Span::from_ms(0)) };
        let scope = ContentHash::of(b"scope");
        let hello = Frame::Hello { versions: Versions::SPOKEN, scope, nonce: [0; 32], terms };
        assert_eq!(Frame::decode(&hello.encode()), Ok(hello));
    }

    #[test]
    fn asks_for_at_least_one_cell_and_at_most_all() {
        for (count, is_good) in [(0, false), (1, true), (1 << 20, true), ((1 << 20) + 1, false)] {
            let mut writer = Writer::new();
            writer.array(2).unsigned(MORE_CELLS).unsigned(count);
            assert_eq!(Frame::decode(&writer.into_bytes()).is_ok(), is_good, "{count}");
        }
    }

    #[test]
    fn a_group_beyond_any_payload_is_no_frame() {
        for (index, is_good) in [(GROUPS_MAX - 1, true), (GROUPS_MAX, false), (u64::MAX, false)] {
            let mut writer = Writer::new();
            write_about(&mut writer, 3, WANT_GROUP, &BundleId::from_hash(ContentHash::of(b"x")));
            writer.unsigned(index);
            assert_eq!(Frame::decode(&writer.into_bytes()).is_ok(), is_good, "{index}");
        }
    }

    /// Checks that a view of `bytes` is the frame that they are, or none for the same reason.
    fn check_view(bytes: &[u8]) {
        let view = Frame::view(bytes).map(|view| (format!("{view:?}"), view.encode_view()));
        let frame = Frame::decode(bytes).map(|frame| (format!("{frame:?}"), frame.encode()));
        assert_eq!(view, frame);
    }

    #[test]
    fn a_view_borrows_the_group_from_the_frame() {
        let (_, group) = examples().swap_remove(6);
        let bytes = group.encode();
        let Ok(Frame::Group { bytes: borrowed, .. }) = Frame::view(&bytes) else {
            panic!("a group");
        };
        assert!(bytes.as_ptr_range().contains(&borrowed.as_ptr()));
    }

    proptest! {
        #[test]
        fn reads_back_frames(frame in arb_frame()) {
            check_view(&frame.encode());
            prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }

        #[test]
        fn never_panics_on_noise_and_accepts_only_what_it_writes(noise: Vec<u8>) {
            check_view(&noise);
            match Frame::decode(&noise) {
                Ok(Frame::Hello { .. }) | Err(_) => {}
                Ok(frame) => prop_assert_eq!(frame.encode(), noise),
            }
        }
    }
}
