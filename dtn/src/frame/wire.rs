//! The bytes of a frame: `[kind, …]`, canonical in both directions.

use super::{
    FRAME_BYTES_MAX, Frame, FrameError, HAVE_IDS_MAX, HEAD_BYTES_MAX, Page, PageStart,
    RANGE_BYTES_MAX, Versions,
};
use crate::bundle::BundleId;
use crate::codec::{CodecError, Reader, Writer};
use crate::hash::ContentHash;

const HELLO: u64 = 0;
const HAVE: u64 = 1;
const MORE: u64 = 2;
const WANT_HEAD: u64 = 3;
const WANT_RANGE: u64 = 4;
const HEAD: u64 = 5;
const RANGE: u64 = 6;
const GONE: u64 = 7;
const ACK: u64 = 8;
const REFUSED: u64 = 9;
const BYE: u64 = 10;

impl Frame {
    /// The frame's bytes, without a length prefix.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match self {
            Self::Hello { versions, scope, nonce } => {
                writer.array(5).unsigned(HELLO);
                writer.unsigned(versions.min.into()).unsigned(versions.max.into());
                writer.bytes(scope.as_bytes()).bytes(nonce);
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
            Self::WantRange { id, offset, len } => {
                write_about(&mut writer, 4, WANT_RANGE, id);
                writer.unsigned(*offset).unsigned((*len).into());
            }
            Self::Head { id, head } => {
                write_about(&mut writer, 3, HEAD, id);
                writer.bytes(head);
            }
            Self::Range { id, offset, bytes } => {
                write_about(&mut writer, 4, RANGE, id);
                writer.unsigned(*offset).bytes(bytes);
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

    /// The kind of an encoded frame in a word, for statistics; the rest of the
    /// bytes is not looked at.
    pub fn kind_of(bytes: &[u8]) -> &'static str {
        match bytes.get(1).copied().map(u64::from) {
            Some(HELLO) => "hello",
            Some(HAVE | MORE) => "ids",
            Some(WANT_HEAD | WANT_RANGE) => "want",
            Some(HEAD) => "head",
            Some(RANGE) => "payload",
            Some(GONE | ACK | REFUSED) => "answer",
            Some(BYE) => "bye",
            _ => "other",
        }
    }

    /// Reads a frame, strictly.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong(bytes.len() as u64));
        }
        let mut reader = Reader::new(bytes);
        let items = reader.array(5)?;
        let kind = reader.unsigned(u64::MAX)?;
        let expected = match kind {
            MORE | WANT_HEAD | GONE | ACK | BYE => 2,
            HAVE | HEAD | REFUSED => 3,
            WANT_RANGE | RANGE => 4,
            HELLO => 5,
            _ => return Err(FrameError::Kind(kind)),
        };
        if items != expected {
            return Err(reader.invalid("the number of items of this kind of frame").into());
        }
        let frame = Self::read(kind, &mut reader)?;
        reader.finish()?;
        Ok(frame)
    }

    fn read(kind: u64, reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match kind {
            HELLO => Self::Hello {
                versions: read_versions(reader)?,
                scope: ContentHash::from_bytes(reader.fixed()?),
                nonce: reader.fixed()?,
            },
            HAVE => Self::Have { ids: read_ids(reader)?, page: read_page(reader)? },
            MORE => {
                let continued = reader.boolean()?;
                Self::More {
                    from: if continued { PageStart::AfterLast } else { PageStart::Newest },
                }
            }
            WANT_HEAD => Self::WantHead(read_id(reader)?),
            WANT_RANGE => Self::WantRange {
                id: read_id(reader)?,
                offset: read_offset(reader)?,
                len: read_len(reader)?,
            },
            HEAD => {
                Self::Head { id: read_id(reader)?, head: reader.bytes(HEAD_BYTES_MAX)?.to_vec() }
            }
            RANGE => Self::Range {
                id: read_id(reader)?,
                offset: read_offset(reader)?,
                bytes: reader.bytes(RANGE_BYTES_MAX)?.to_vec(),
            },
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

fn read_offset(reader: &mut Reader<'_>) -> Result<u64, CodecError> {
    reader.unsigned(u64::MAX)
}

fn read_len(reader: &mut Reader<'_>) -> Result<u32, CodecError> {
    let at = reader.invalid("a length of at most one range");
    u32::try_from(reader.unsigned(RANGE_BYTES_MAX as u64)?).map_err(|_| at)
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

    fn arb_frame() -> impl Strategy<Value = Frame> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..300);
        prop_oneof![
            any::<(u16, u16, [u8; 32], [u8; 32])>().prop_map(|(a, b, scope, nonce)| {
                let versions = Versions { min: a.min(b), max: a.max(b) };
                Frame::Hello { versions, scope: ContentHash::from_bytes(scope), nonce }
            }),
            (prop::collection::vec(arb_id(), 0..40), any::<bool>()).prop_map(|(ids, more)| {
                Frame::Have { ids, page: if more { Page::Continued } else { Page::Last } }
            }),
            Just(Frame::More { from: PageStart::Newest }),
            Just(Frame::More { from: PageStart::AfterLast }),
            arb_id().prop_map(Frame::WantHead),
            (arb_id(), any::<u64>(), 0..=RANGE_BYTES_MAX as u32)
                .prop_map(|(id, offset, len)| Frame::WantRange { id, offset, len }),
            (arb_id(), bytes()).prop_map(|(id, head)| Frame::Head { id, head }),
            (arb_id(), any::<u64>(), bytes()).prop_map(|(id, offset, bytes)| Frame::Range {
                id,
                offset,
                bytes
            }),
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
            Frame::Range { id, offset: u64::MAX, bytes: vec![0; RANGE_BYTES_MAX] },
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

    #[test]
    fn refuses_lengths_above_one_range() {
        let id = BundleId::from_hash(ContentHash::of(b"x"));
        let len = RANGE_BYTES_MAX as u32 + 1;
        assert!(Frame::decode(&Frame::WantRange { id, offset: 0, len }.encode()).is_err());
    }

    proptest! {
        #[test]
        fn reads_back_frames(frame in arb_frame()) {
            prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }

        #[test]
        fn never_panics_on_noise_and_accepts_only_what_it_writes(noise: Vec<u8>) {
            if let Ok(frame) = Frame::decode(&noise) {
                prop_assert_eq!(frame.encode(), noise);
            }
        }
    }
}
