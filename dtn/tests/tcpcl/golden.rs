//! The golden session: what two nodes say to one another, turn by turn, in the form that text2pcap
//! reads (`tests/interop/tshark.sh`).
//!
//! O is what the node says that opened the connection, I what the other one says.

use longhaul_dtn::tcpcl::{Input, SessionConfig, TerminateReason};

use crate::wire::{ACTIVE, PASSIVE, Wire, plain};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/tcpcl_session.txt");

const HEAD: &str = "\
# A session of TCPCL (RFC 9174), to the byte: contact headers, SESS_INIT, the bundles of bundle.hex
# (in segments of at most 256 bytes, one way) and bundle_bib.hex (in one, the other way), SESS_TERM.
# A hex dump as text2pcap -D reads it; O: from the node that opened the connection, I: to it.
";

/// The bundle of a vector.
fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/../tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Goes on until nothing happens; notes each turn.
fn go_on(wire: &mut Wire, turns: &mut Vec<(usize, Vec<u8>)>) {
    let mut moved = true;
    while moved {
        let before = [ACTIVE, PASSIVE].map(|at| wire.ends[at].said.len());
        moved = wire.step();
        for at in [ACTIVE, PASSIVE] {
            let said = &wire.ends[at].said[before[at]..];
            if !said.is_empty() {
                turns.push((at, said.to_vec()));
            }
        }
    }
}

fn session() -> Vec<(usize, Vec<u8>)> {
    let passive = SessionConfig { segment_mru: 256, ..plain("passive") };
    let mut wire = Wire::new(plain("active"), passive);
    let mut turns = vec![];
    go_on(&mut wire, &mut turns);
    let [there, back] = ["bundle.hex", "bundle_bib.hex"].map(vector);
    for (from, bundle) in [(ACTIVE, &there), (PASSIVE, &back)] {
        wire.send(from, bundle.clone());
        go_on(&mut wire, &mut turns);
        assert_eq!(wire.ends[1 - from].finished.last().map(|it| &it.1), Some(bundle));
    }
    wire.input(ACTIVE, Input::Terminate(TerminateReason::UNKNOWN)).unwrap();
    go_on(&mut wire, &mut turns);
    assert!(wire.ends.iter().all(|end| end.session.is_closed()));
    turns
}

fn dump() -> String {
    let mut text = HEAD.to_owned();
    for (from, bytes) in session() {
        text.push_str(if from == ACTIVE { "O\n" } else { "I\n" });
        for (line, row) in bytes.chunks(32).enumerate() {
            let row: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
            text.push_str(&format!("{:06x} {}\n", line * 32, row.join(" ")));
        }
    }
    text
}

#[test]
fn a_session_says_the_golden_bytes() {
    assert_eq!(dump(), std::fs::read_to_string(PATH).unwrap());
}

#[test]
#[ignore = "writes the vector instead of checking it"]
fn write_the_golden_session() {
    std::fs::write(PATH, dump()).unwrap();
}
