//! Frames in a byte stream: each behind its length, 32 bits big-endian.
//!
//! Pure: the carrier pushes the bytes that it read, in any chunks.

use super::{FRAME_BYTES_MAX, FrameError};

/// Length of the prefix that delimits frames in a byte stream.
pub const PREFIX_BYTES: usize = 4;

/// `frame` behind its length, for a byte stream.
pub fn delimit(frame: &[u8]) -> Result<Vec<u8>, FrameError> {
    let too_long = FrameError::TooLong(frame.len() as u64);
    let len = u32::try_from(frame.len()).map_err(|_| too_long.clone())?;
    if frame.len() > FRAME_BYTES_MAX {
        return Err(too_long);
    }
    Ok([&len.to_be_bytes(), frame].concat())
}

/// Cuts a byte stream into frames. Its memory is one frame and one chunk.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were given out already.
    taken: usize,
}

impl FrameReader {
    /// A reader at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream; call [`Self::next_frame`] until
    /// there is none before the next push.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, without its prefix; none until more bytes come.
    /// After an error the stream is beyond repair.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let rest = self.buffer.get(self.taken..).unwrap_or_default();
        let Some((prefix, rest)) = rest.split_first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes(*prefix);
        let too_long = FrameError::TooLong(len.into());
        let len = usize::try_from(len).map_err(|_| too_long.clone())?;
        if len > FRAME_BYTES_MAX {
            return Err(too_long);
        }
        let Some(frame) = rest.get(..len) else {
            return Ok(None);
        };
        let frame = frame.to_vec();
        self.taken += PREFIX_BYTES + len;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_a_prefix_above_the_limit_at_once() {
        let mut reader = FrameReader::new();
        reader.push(&[0, 1, 0, 1]);
        assert_eq!(reader.next_frame(), Err(FrameError::TooLong(65_537)));
        assert!(delimit(&[0; FRAME_BYTES_MAX + 1]).is_err());
    }

    proptest! {
        #[test]
        fn cuts_any_chunking_into_the_same_frames(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..9),
            chunk in 1_usize..40,
        ) {
            let stream: Vec<u8> = frames.iter().flat_map(|frame| delimit(frame).unwrap()).collect();
            let mut reader = FrameReader::new();
            let mut found = vec![];
            for bytes in stream.chunks(chunk) {
                reader.push(bytes);
                while let Some(frame) = reader.next_frame().unwrap() {
                    found.push(frame);
                }
            }
            prop_assert_eq!(found, frames);
        }
    }
}
