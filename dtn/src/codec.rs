//! Codec: deterministic CBOR, written and read by hand.
//!
//! The encoding is RFC 8949 section 4.2.1 restricted to what Longhaul needs:
//! unsigned and negative integers, byte and text strings, booleans, null,
//! definite arrays and maps with ascending unsigned keys, and the one
//! indefinite array that RFC 9171 requires around a bundle. The reader accepts
//! exactly what the writer can produce: shortest heads only, no tags, no
//! floats, no other indefinite lengths. It never panics and never allocates
//! more than its input is long.

/// Builds a canonical byte string; methods chain.
#[derive(Debug, Default, Clone)]
pub struct Writer(Vec<u8>);

/// Reads canonical bytes front to back, strictly.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

/// Why bytes are not what was expected, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {position}: {kind}")]
pub struct CodecError {
    /// Offset of the item that could not be read.
    pub position: usize,
    /// What was wrong with it.
    pub kind: CodecErrorKind,
}

/// What can be wrong with canonical bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecErrorKind {
    /// The bytes end inside an item.
    #[error("the bytes end too early")]
    Truncated,
    /// Another kind of item stands here; holds what was expected.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A number or length is not in its shortest form, or a map out of order.
    #[error("not in canonical form")]
    NotCanonical,
    /// A number or length is above the limit; holds the limit.
    #[error("above the limit of {0}")]
    AboveLimit(u64),
    /// Bytes follow the last item.
    #[error("bytes follow the end")]
    Trailing,
    /// The value is well-formed but has no meaning here; holds what it should be.
    #[error("invalid value: {0}")]
    Invalid(&'static str),
}

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const SIMPLE: u8 = 7;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;
const INDEFINITE_ARRAY: u8 = 0x9f;
const BREAK: u8 = 0xff;

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// The bytes written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Number of bytes written so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True before anything is written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes an unsigned integer.
    pub fn unsigned(&mut self, value: u64) -> &mut Self {
        self.head(UNSIGNED, value)
    }

    /// Writes a signed integer.
    pub fn signed(&mut self, value: i64) -> &mut Self {
        match u64::try_from(value) {
            Ok(value) => self.head(UNSIGNED, value),
            Err(_) => self.head(NEGATIVE, value.unsigned_abs() - 1),
        }
    }

    /// Writes a byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(BYTES, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Writes the head of a byte string whose `len` bytes follow later.
    pub fn bytes_head(&mut self, len: u64) -> &mut Self {
        self.head(BYTES, len)
    }

    /// Writes a text string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.head(TEXT, value.len() as u64);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    /// Writes a boolean.
    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.raw(&[if value { TRUE } else { FALSE }])
    }

    /// Writes null.
    pub fn null(&mut self) -> &mut Self {
        self.raw(&[NULL])
    }

    /// Opens an array of `count` items, which follow.
    pub fn array(&mut self, count: usize) -> &mut Self {
        self.head(ARRAY, count as u64)
    }

    /// Opens a map of `count` pairs, which follow with ascending keys.
    pub fn map(&mut self, count: usize) -> &mut Self {
        self.head(MAP, count as u64)
    }

    /// Opens the indefinite array around a bundle (RFC 9171 section 4.1).
    pub fn open_indefinite(&mut self) -> &mut Self {
        self.raw(&[INDEFINITE_ARRAY])
    }

    /// Closes the indefinite array.
    pub fn close_indefinite(&mut self) -> &mut Self {
        self.raw(&[BREAK])
    }

    /// Appends bytes that are canonical already.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn head(&mut self, major: u8, value: u64) -> &mut Self {
        let major = major << 5;
        let wide = value.to_be_bytes();
        match value {
            0..24 => self.raw(&[major | wide[7]]),
            24..=0xff => self.raw(&[major | 24, wide[7]]),
            0x100..=0xffff => self.raw(&[major | 25]).raw(&wide[6..]),
            0x1_0000..=0xffff_ffff => self.raw(&[major | 26]).raw(&wide[4..]),
            _ => self.raw(&[major | 27]).raw(&wide),
        }
    }
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from the start.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Offset of the next item.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// The bytes from offset `start` up to here, as received.
    pub fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.position).unwrap_or_default()
    }

    /// The bytes that have not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// An error of `kind` at the next item.
    pub const fn error(&self, kind: CodecErrorKind) -> CodecError {
        CodecError { position: self.position, kind }
    }

    /// An error that says what the value at the next item should have been.
    pub const fn invalid(&self, should_be: &'static str) -> CodecError {
        self.error(CodecErrorKind::Invalid(should_be))
    }

    /// Ends reading; bytes that follow are an error.
    pub fn finish(self) -> Result<(), CodecError> {
        if self.position < self.bytes.len() {
            return Err(self.error(CodecErrorKind::Trailing));
        }
        Ok(())
    }

    /// True when every byte has been read.
    pub const fn is_at_end(&self) -> bool {
        self.position >= self.bytes.len()
    }

    /// Reads an unsigned integer of at most `max`.
    pub fn unsigned(&mut self, max: u64) -> Result<u64, CodecError> {
        self.limited(UNSIGNED, "an unsigned integer", max)
    }

    /// Reads a signed integer of 64 bits.
    pub fn signed(&mut self) -> Result<i64, CodecError> {
        let mut ahead = self.clone();
        let value = match ahead.peek_major()? {
            NEGATIVE => {
                let magnitude = ahead.limited(NEGATIVE, "an integer", i64::MAX as u64)?;
                -1 - i64::try_from(magnitude).map_err(|_| self.invalid("an i64"))?
            }
            _ => {
                let value = ahead.limited(UNSIGNED, "an integer", i64::MAX as u64)?;
                i64::try_from(value).map_err(|_| self.invalid("an i64"))?
            }
        };
        *self = ahead;
        Ok(value)
    }

    /// Reads a byte string of at most `max_len` bytes.
    pub fn bytes(&mut self, max_len: usize) -> Result<&'a [u8], CodecError> {
        self.string(BYTES, "a byte string", max_len)
    }

    /// Reads the head of a byte string of at most `max` bytes, which need not be there; returns
    /// its length.
    pub fn bytes_head(&mut self, max: u64) -> Result<u64, CodecError> {
        self.limited(BYTES, "a byte string", max)
    }

    /// Reads a byte string of exactly `N` bytes.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let at = self.invalid("a byte string of the fixed length");
        self.bytes(N)?.try_into().map_err(|_| at)
    }

    /// Reads a text string of at most `max_len` bytes.
    pub fn text(&mut self, max_len: usize) -> Result<&'a str, CodecError> {
        let at = self.invalid("UTF-8");
        std::str::from_utf8(self.string(TEXT, "a text string", max_len)?).map_err(|_| at)
    }

    /// Reads a boolean.
    pub fn boolean(&mut self) -> Result<bool, CodecError> {
        let value = match self.peek()? {
            FALSE => false,
            TRUE => true,
            _ => return Err(self.error(CodecErrorKind::Expected("a boolean"))),
        };
        self.position += 1;
        Ok(value)
    }

    /// Reads null if it stands here; says whether it did.
    pub fn null(&mut self) -> Result<bool, CodecError> {
        let found = self.peek()? == NULL;
        self.position += usize::from(found);
        Ok(found)
    }

    /// Opens an array of at most `max` items; returns their number.
    pub fn array(&mut self, max: usize) -> Result<usize, CodecError> {
        self.count(ARRAY, "an array", max)
    }

    /// Opens an array of exactly `count` items.
    pub fn tuple(&mut self, count: usize) -> Result<(), CodecError> {
        let at = self.invalid("an array of the fixed length");
        if self.array(count)? != count {
            return Err(at);
        }
        Ok(())
    }

    /// Opens a map of exactly `count` pairs.
    pub fn map(&mut self, count: usize) -> Result<(), CodecError> {
        let at = self.invalid("a map of the fixed size");
        if self.count(MAP, "a map", count)? != count {
            return Err(at);
        }
        Ok(())
    }

    /// Opens a map of at most `max` pairs, whose keys are the caller's to check; returns their number.
    pub fn pairs(&mut self, max: usize) -> Result<usize, CodecError> {
        self.count(MAP, "a map", max)
    }

    /// Reads the map key `key`.
    pub fn key(&mut self, key: u64) -> Result<(), CodecError> {
        let at = self.invalid("the next key of the map");
        if self.unsigned(u64::MAX)? != key {
            return Err(at);
        }
        Ok(())
    }

    /// Reads an item of any kind with all that is in it, at most `depth_max` deep; returns its
    /// bytes. Keys of maps may be anything and in any order here.
    pub fn any(&mut self, depth_max: usize) -> Result<&'a [u8], CodecError> {
        let mut ahead = self.clone();
        ahead.skip(depth_max)?;
        let found = ahead.since(self.position);
        *self = ahead;
        Ok(found)
    }

    fn skip(&mut self, depth_left: usize) -> Result<(), CodecError> {
        let deep = self.error(CodecErrorKind::AboveLimit(depth_left as u64));
        let items = match self.peek_major()? {
            major @ (UNSIGNED | NEGATIVE) => return self.head(major, "an integer").map(|_| ()),
            major @ (BYTES | TEXT) => {
                let text = major == TEXT;
                return if text {
                    self.text(usize::MAX).map(|_| ())
                } else {
                    self.bytes(usize::MAX).map(|_| ())
                };
            }
            ARRAY => self.limited(ARRAY, "an array", u64::MAX)?,
            MAP => self.limited(MAP, "a map", u64::MAX / 2)? * 2,
            _ if self.null()? => return Ok(()),
            _ => return self.boolean().map(|_| ()),
        };
        let depth_left = depth_left.checked_sub(1).ok_or(deep)?;
        // Each item takes a byte at least, so a count beyond them ends in an error.
        (0..items).try_for_each(|_| self.skip(depth_left))
    }

    /// Opens the indefinite array around a bundle.
    pub fn open_indefinite(&mut self) -> Result<(), CodecError> {
        self.literal(INDEFINITE_ARRAY, "an indefinite array")
    }

    /// Closes the indefinite array if it ends here; says whether it did.
    pub fn at_break(&mut self) -> Result<bool, CodecError> {
        let found = self.peek()? == BREAK;
        self.position += usize::from(found);
        Ok(found)
    }

    fn literal(&mut self, byte: u8, expected: &'static str) -> Result<(), CodecError> {
        if self.peek()? != byte {
            return Err(self.error(CodecErrorKind::Expected(expected)));
        }
        self.position += 1;
        Ok(())
    }

    fn peek(&self) -> Result<u8, CodecError> {
        let truncated = self.error(CodecErrorKind::Truncated);
        self.bytes.get(self.position).copied().ok_or(truncated)
    }

    fn peek_major(&self) -> Result<u8, CodecError> {
        Ok(self.peek()? >> 5)
    }

    fn string(
        &mut self,
        major: u8,
        expected: &'static str,
        max_len: usize,
    ) -> Result<&'a [u8], CodecError> {
        let mut ahead = self.clone();
        let len = ahead.count(major, expected, max_len)?;
        let truncated = self.error(CodecErrorKind::Truncated);
        let end = ahead.position.checked_add(len).ok_or(truncated.clone())?;
        let found = self.bytes.get(ahead.position..end).ok_or(truncated)?;
        self.position = end;
        Ok(found)
    }

    fn count(
        &mut self,
        major: u8,
        expected: &'static str,
        max: usize,
    ) -> Result<usize, CodecError> {
        let above = self.error(CodecErrorKind::AboveLimit(max as u64));
        let value = self.limited(major, expected, max as u64)?;
        usize::try_from(value).map_err(|_| above)
    }

    fn limited(&mut self, major: u8, expected: &'static str, max: u64) -> Result<u64, CodecError> {
        let mut ahead = self.clone();
        let value = ahead.head(major, expected)?;
        if value > max {
            return Err(self.error(CodecErrorKind::AboveLimit(max)));
        }
        *self = ahead;
        Ok(value)
    }

    fn head(&mut self, major: u8, expected: &'static str) -> Result<u64, CodecError> {
        let first = self.peek()?;
        if first >> 5 != major || first >> 5 == SIMPLE {
            return Err(self.error(CodecErrorKind::Expected(expected)));
        }
        let (width, least) = match first & 31 {
            value @ 0..24 => {
                self.position += 1;
                return Ok(u64::from(value));
            }
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return Err(self.error(CodecErrorKind::NotCanonical)),
        };
        let start = self.position + 1;
        let wide = self.bytes.get(start..start + width);
        let wide = wide.ok_or(self.error(CodecErrorKind::Truncated))?;
        let value = wide.iter().fold(0, |value, &byte| value << 8 | u64::from(byte));
        if value < least {
            return Err(self.error(CodecErrorKind::NotCanonical));
        }
        self.position = start + width;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl Fn(&mut Writer) -> &mut Writer) -> Vec<u8> {
        let mut writer = Writer::new();
        write(&mut writer);
        writer.into_bytes()
    }

    #[test]
    fn encodes_the_rfc_8949_appendix_a_examples() {
        for (value, hex) in [
            (0, &[0x00][..]),
            (23, &[0x17]),
            (24, &[0x18, 0x18]),
            (1000, &[0x19, 0x03, 0xe8]),
            (1_000_000, &[0x1a, 0x00, 0x0f, 0x42, 0x40]),
            (u64::MAX, &[0x1b, 255, 255, 255, 255, 255, 255, 255, 255]),
        ] {
            assert_eq!(written(|w| w.unsigned(value)), hex);
        }
        assert_eq!(written(|w| w.signed(-1000)), [0x39, 0x03, 0xe7]);
        assert_eq!(written(|w| w.text("IETF")), [0x64, 0x49, 0x45, 0x54, 0x46]);
    }

    #[test]
    fn takes_any_item_whole_and_none_that_is_cut_deep_or_not_canonical() {
        let item = [0x83, 0xa1, 0x20, 0x41, 7, 0x82, 0xf6, 0xf5, 0x61, b'x'];
        let mut reader = Reader::new(&item);
        assert_eq!((reader.any(2), reader.is_at_end()), (Ok(&item[..]), true));
        for end in 0..item.len() {
            assert!(Reader::new(&item[..end]).any(2).is_err(), "cut at {end}");
        }
        assert!(Reader::new(&item).any(1).is_err(), "an array in an array is two deep");
        // Too many items for the bytes, a long head, a tag, a float, an indefinite array.
        for bytes in [
            &[0x9b, 255, 255, 255, 255, 255, 255, 255, 255, 0][..],
            &[0xbb, 255, 255, 255, 255, 255, 255, 255, 255, 0],
            &[0x18, 7],
            &[0xc1, 0],
            &[0xf9, 0, 0],
            &[0x9f, 0xff],
            &[0x61, 0xff],
        ] {
            assert!(Reader::new(bytes).any(9).is_err(), "{bytes:02x?}");
        }
        assert!(Reader::new(&vec![0x81; 1 << 20]).any(9).is_err());
    }

    #[test]
    fn refuses_heads_that_are_not_shortest() {
        for bytes in [
            &[0x18, 23][..],
            &[0x19, 0, 255],
            &[0x1a, 0, 0, 255, 255],
            &[0x1b, 0, 0, 0, 0, 255, 255, 255, 255],
        ] {
            let found = Reader::new(bytes).unsigned(u64::MAX).unwrap_err();
            assert_eq!(found.kind, CodecErrorKind::NotCanonical);
        }
    }

    #[test]
    fn refuses_tags_floats_and_indefinite_strings() {
        for bytes in [&[0xc0, 0x00][..], &[0xf9, 0x3c, 0x00], &[0x5f, 0xff], &[0xbf, 0xff]] {
            assert!(Reader::new(bytes).unsigned(9).is_err());
            assert!(Reader::new(bytes).bytes(9).is_err());
            assert!(Reader::new(bytes).map(0).is_err());
        }
    }

    #[test]
    fn refuses_lengths_beyond_the_input_or_limit() {
        let huge = [0x5b, 255, 255, 255, 255, 255, 255, 255, 255];
        assert!(Reader::new(&huge).bytes(usize::MAX).is_err());
        let found = Reader::new(&[0x43, 1, 2, 3]).bytes(2).unwrap_err();
        assert_eq!(found.kind, CodecErrorKind::AboveLimit(2));
    }

    #[test]
    fn refuses_trailing_bytes() {
        let mut reader = Reader::new(&[0x00, 0x00]);
        assert_eq!(reader.unsigned(0), Ok(0));
        assert_eq!(reader.finish().unwrap_err().kind, CodecErrorKind::Trailing);
    }

    #[test]
    fn keeps_its_place_after_an_error() {
        let mut reader = Reader::new(&[0x19, 0x03, 0xe8]);
        assert!(reader.unsigned(999).is_err());
        assert!(reader.bytes(9).is_err());
        assert_eq!(reader.unsigned(1000), Ok(1000));
    }

    #[test]
    fn keeps_the_range_of_what_it_read() {
        let mut reader = Reader::new(&[0x01, 0x41, 0xaa, 0x02]);
        assert_eq!(reader.unsigned(9), Ok(1));
        let start = reader.position();
        assert_eq!(reader.bytes(1), Ok(&[0xaa][..]));
        assert_eq!(reader.since(start), [0x41, 0xaa]);
    }

    proptest! {
        #[test]
        fn reads_back_integers_and_strings(a: u64, b: i64, c: Vec<u8>, d: String, e: bool) {
            let bytes = written(|w| w.unsigned(a).signed(b).bytes(&c).text(&d).boolean(e).null());
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.unsigned(u64::MAX), Ok(a));
            prop_assert_eq!(reader.signed(), Ok(b));
            prop_assert_eq!(reader.bytes(c.len()), Ok(&c[..]));
            prop_assert_eq!(reader.text(d.len()), Ok(&d[..]));
            prop_assert_eq!(reader.boolean(), Ok(e));
            prop_assert_eq!(reader.null(), Ok(true));
            prop_assert!(reader.finish().is_ok());
        }

        #[test]
        fn never_panics_on_noise(noise: Vec<u8>) {
            let mut reader = Reader::new(&noise);
            while !reader.is_at_end() {
                let progress = reader.unsigned(u64::MAX).is_ok()
                    || reader.signed().is_ok()
                    || reader.bytes(1 << 20).is_ok()
                    || reader.text(1 << 20).is_ok()
                    || reader.array(1 << 20).is_ok()
                    || reader.map(3).is_ok()
                    || reader.boolean().is_ok()
                    || reader.at_break() == Ok(true)
                    || reader.null() == Ok(true);
                if !progress {
                    break;
                }
            }
        }
    }
}
