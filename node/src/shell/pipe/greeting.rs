//! Greeting: how two peers at the ends of a pipe know that they are there and who they are.
//!
//! A pipe has no carrier that authenticates, and its other end may come later or
//! be started anew. So each side says, as lines of text:
//!
//! ```text
//! longhaul pipe 1 hello <peer id> <nonce>     every two seconds, until it hears one
//! longhaul pipe 1 proof <signature>           once it has heard one
//! ```
//!
//! The signature is over both ids and both nonces, the signer's first, under
//! [`Domain::Hello`]. Behind a valid proof follow frames, each behind its length.
//! Nothing is encrypted: who holds the cable can read along, and break off, but
//! not speak for another.

use longhaul_dtn::frame::{FrameError, FrameReader};
use longhaul_dtn::identity::{Domain, PeerId, SIGNATURE_BYTES, SecretKey, Signature};

/// How every line begins; no length of a frame does.
const PREFIX: &str = "longhaul pipe 1 ";
/// The longest line, and how much of what is no line is kept while one is looked for.
const LINE_BYTES_MAX: usize = 256;

/// What came out of the bytes of a pipe.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PipeInput {
    /// Write this line.
    Say(String),
    /// The other side has shown who it is.
    Up(PeerId),
    /// A frame of it.
    Frame(Vec<u8>),
}

/// Why a pipe cannot go on; it begins anew.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PipeError {
    /// The proof is not of the peer that said hello.
    #[error("the other end has not shown that it is {0}")]
    Proof(PeerId),
    /// The other end is this peer.
    #[error("the other end is this peer itself")]
    Myself,
    /// What came is no frame: the other end began anew, or the line is disturbed.
    #[error("{0}")]
    Frame(#[from] FrameError),
}

/// One attempt to talk over a pipe.
#[derive(Debug)]
pub(super) struct Greeting {
    key: SecretKey,
    nonce: [u8; 32],
    other: Option<(PeerId, [u8; 32])>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Lines are read; holds what is no whole line yet.
    Lines(Vec<u8>),
    /// Frames are read.
    Frames(FrameReader),
}

impl Greeting {
    /// An attempt with a nonce that nobody can foretell.
    pub fn new(key: SecretKey, nonce: [u8; 32]) -> Self {
        Self { key, nonce, other: None, stage: Stage::Lines(vec![]) }
    }

    /// The line to say every two seconds; none once the other side was heard.
    pub fn hello(&self) -> Option<String> {
        let hello = || format!("{PREFIX}hello {} {}\n", self.key.peer_id(), hex(&self.nonce));
        self.other.is_none().then(hello)
    }

    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<PipeInput>, PipeError> {
        let mut inputs = vec![];
        let mut rest = bytes;
        while let Stage::Lines(line) = &mut self.stage {
            let Some((&byte, after)) = rest.split_first() else { return Ok(inputs) };
            rest = after;
            if byte != b'\n' {
                // What is no line of ours is noise, however long.
                if line.len() < LINE_BYTES_MAX {
                    line.push(byte);
                }
                continue;
            }
            let line = std::mem::take(line);
            self.line(&line, &mut inputs)?;
        }
        if let Stage::Frames(reader) = &mut self.stage {
            reader.push(rest);
            while let Some(frame) = reader.next_frame()? {
                inputs.push(PipeInput::Frame(frame));
            }
        }
        Ok(inputs)
    }

    fn line(&mut self, line: &[u8], inputs: &mut Vec<PipeInput>) -> Result<(), PipeError> {
        // A line may follow the remains of a frame or of a login banner.
        let text = String::from_utf8_lossy(line);
        let Some(at) = text.rfind(PREFIX) else { return Ok(()) };
        let words: Vec<&str> = text[at + PREFIX.len()..].split_whitespace().collect();
        match words[..] {
            ["hello", id, nonce] => {
                let (Ok(id), Some(nonce)) = (id.parse::<PeerId>(), unhex(nonce)) else {
                    return Ok(());
                };
                if id == self.key.peer_id() {
                    return Err(PipeError::Myself);
                }
                // Each hello is answered once: a line behind the proof would be read as a frame.
                if self.other == Some((id, nonce)) {
                    return Ok(());
                }
                let is_first = self.other.is_none();
                self.other = Some((id, nonce));
                // The other end may have begun after our hello: it needs that as well.
                if is_first {
                    let hello =
                        format!("{PREFIX}hello {} {}\n", self.key.peer_id(), hex(&self.nonce));
                    inputs.push(PipeInput::Say(hello));
                }
                let message = claim((&self.key.peer_id(), &self.nonce), (&id, &nonce));
                let proof = self.key.sign(Domain::Hello, &message);
                let proof = hex(proof.as_bytes());
                inputs.push(PipeInput::Say(format!("{PREFIX}proof {proof}\n")));
                Ok(())
            }
            ["proof", proof] => {
                let Some((id, nonce)) = self.other else { return Ok(()) };
                let message = claim((&id, &nonce), (&self.key.peer_id(), &self.nonce));
                let signature = unhex(proof).map(Signature::from_bytes);
                let is_theirs = |it: Signature| id.verify(Domain::Hello, &message, &it).is_ok();
                if !signature.is_some_and(is_theirs) {
                    return Err(PipeError::Proof(id));
                }
                self.stage = Stage::Frames(FrameReader::new());
                inputs.push(PipeInput::Up(id));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

const _: () = assert!(PREFIX.len() + 8 + 2 * SIGNATURE_BYTES < LINE_BYTES_MAX);

fn claim(signer: (&PeerId, &[u8; 32]), other: (&PeerId, &[u8; 32])) -> Vec<u8> {
    let parts = [signer.0.as_bytes(), signer.1, other.0.as_bytes(), other.1];
    [b"pipe".as_slice(), parts.map(|part| *part).as_flattened()].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_dtn::frame::delimit;

    fn greeting(number: u8) -> Greeting {
        Greeting::new(SecretKey::from_seed(&[number; 32]), [number; 32])
    }

    /// Carries lines between both until neither says anything; gives who is up.
    fn meet(sides: &mut [Greeting; 2], first: usize) -> Vec<(usize, PeerId)> {
        let mut ups = vec![];
        let mut lines: Vec<(usize, Vec<u8>)> =
            vec![(1 - first, sides[first].hello().unwrap().into_bytes())];
        while let Some((to, bytes)) = lines.pop() {
            for input in sides[to].push(&bytes).unwrap() {
                match input {
                    PipeInput::Say(line) => lines.insert(0, (1 - to, line.into_bytes())),
                    PipeInput::Up(peer) => ups.push((to, peer)),
                    PipeInput::Frame(frame) => panic!("a frame {frame:?}"),
                }
            }
        }
        ups
    }

    #[test]
    fn both_ends_know_each_other_whoever_speaks_first() {
        for first in [0, 1] {
            let mut sides = [greeting(1), greeting(2)];
            let mut ups = meet(&mut sides, first);
            ups.sort_by_key(|(side, _)| *side);
            let ids = [2, 1].map(|it| SecretKey::from_seed(&[it; 32]).peer_id());
            assert_eq!(ups, [(0, ids[0]), (1, ids[1])]);
            assert!(sides.iter().all(|side| side.hello().is_none()));
            let frame = delimit(b"frame").unwrap();
            let (one, other) = frame.split_at(3);
            assert_eq!(sides[0].push(one).unwrap(), []);
            assert_eq!(sides[0].push(other).unwrap(), [PipeInput::Frame(b"frame".to_vec())]);
        }
    }

    #[test]
    fn hellos_that_cross_and_are_said_again_bring_one_proof_each() {
        let mut sides = [greeting(1), greeting(2)];
        let hellos = [0, 1].map(|it: usize| sides[it].hello().unwrap());
        let twice = |it: usize| [hellos[it].as_str(), &hellos[it]].concat();
        let mut said = [0, 1].map(|to: usize| {
            let mut lines = String::new();
            for input in sides[to].push(twice(1 - to).as_bytes()).unwrap() {
                let PipeInput::Say(line) = input else { panic!("{input:?}") };
                lines.push_str(&line);
            }
            assert_eq!(lines.matches("proof").count(), 1);
            assert!(lines.trim_end().lines().last().unwrap().contains("proof"), "it comes last");
            lines
        });
        said.reverse();
        for (side, lines) in sides.iter_mut().zip(said) {
            let inputs = side.push(lines.as_bytes()).unwrap();
            assert!(matches!(inputs[..], [PipeInput::Up(_)]), "{inputs:?}");
        }
    }

    #[test]
    fn noise_before_a_line_does_no_harm() {
        let mut side = greeting(1);
        let noise = [&[0xff_u8; 1_000][..], b"\nlogin: \nlonghaul pipe 1 hello x y\n"].concat();
        assert_eq!(side.push(&noise).unwrap(), []);
        let line = format!("\0\0{}", greeting(2).hello().unwrap());
        assert_eq!(side.push(line.as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn refuses_a_proof_of_another_contact_and_itself() {
        let mut sides = [greeting(1), greeting(2)];
        let hello = sides[1].hello().unwrap();
        sides[0].push(hello.as_bytes()).unwrap();
        let old = Greeting::new(SecretKey::from_seed(&[1; 32]), [9; 32]).hello().unwrap();
        let said = sides[1].push(old.as_bytes()).unwrap();
        let Some(PipeInput::Say(proof)) = said.last() else { panic!("a proof") };
        let peer = SecretKey::from_seed(&[2; 32]).peer_id();
        assert_eq!(sides[0].push(proof.as_bytes()), Err(PipeError::Proof(peer)));
        let own = sides[1].hello();
        assert_eq!(own, None);
        let mirror = greeting(3).hello().unwrap();
        assert_eq!(greeting(3).push(mirror.as_bytes()), Err(PipeError::Myself));
    }

    #[test]
    fn a_greeting_among_frames_ends_the_contact() {
        let mut sides = [greeting(1), greeting(2)];
        meet(&mut sides, 0);
        let anew = greeting(2).hello().unwrap();
        assert!(matches!(sides[0].push(anew.as_bytes()), Err(PipeError::Frame(_))));
    }
}
