//! Control lines on stdin, for the demo and for tests.

use longhaul_dtn::identity::PeerId;
use tokio::sync::mpsc::{Receiver, channel};

/// Lines read ahead.
const QUEUE: usize = 16;

/// One control line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Refuse and drop contacts with these members.
    Cut(Vec<PeerId>),
    /// Talk to every member again.
    Heal,
    /// End the peer.
    Stop,
    /// Anything else.
    Unknown(String),
}

/// The stream of control lines.
#[derive(Debug)]
pub(super) struct Control(Option<Receiver<Line>>);

impl Control {
    /// Reads stdin on a thread of its own, if `enabled`.
    pub(super) fn start(enabled: bool) -> Self {
        if !enabled {
            return Self(None);
        }
        let (lines, receiver) = channel(QUEUE);
        std::thread::spawn(move || {
            for line in std::io::stdin().lines().map_while(Result::ok) {
                if lines.blocking_send(parse(&line)).is_err() {
                    return;
                }
            }
        });
        Self(Some(receiver))
    }

    /// The next line; the end of stdin is [`Line::Stop`].
    pub(super) async fn next(&mut self) -> Line {
        match &mut self.0 {
            Some(receiver) => receiver.recv().await.unwrap_or(Line::Stop),
            None => std::future::pending().await,
        }
    }
}

fn parse(line: &str) -> Line {
    let mut words = line.split_whitespace();
    let unknown = || Line::Unknown(line.to_owned());
    match words.next() {
        Some("cut") => {
            words.map(str::parse).collect::<Result<_, _>>().map_or_else(|_| unknown(), Line::Cut)
        }
        Some("heal") => Line::Heal,
        Some("stop") => Line::Stop,
        _ => unknown(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_dtn::identity::SecretKey;

    #[test]
    fn understands_its_three_commands() {
        let id = SecretKey::from_seed(&[1; 32]).peer_id();
        assert_eq!(parse(&format!("cut {id}")), Line::Cut(vec![id]));
        assert_eq!(parse(" heal "), Line::Heal);
        assert_eq!(parse("stop"), Line::Stop);
    }

    #[test]
    fn keeps_what_it_does_not_understand() {
        for line in ["", "cut nobody", "burn"] {
            assert_eq!(parse(line), Line::Unknown(line.to_owned()));
        }
    }
}
