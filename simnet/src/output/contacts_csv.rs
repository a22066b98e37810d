//! Contacts as CSV: who could talk with whom, when, and what came across.
//!
//! Times are seconds, as the contact traces of the field (CRAWDAD, SocioPatterns)
//! have them.

use std::io::{self, BufWriter, Write};

use super::csv::{BUFFER_BYTES, Seconds, Text};

/// The first line.
const HEAD: &str = "from_s,to_s,a,b,bytes_ab,bytes_ba,frames,ended_by";

/// One contact, as it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContactRow<'a> {
    /// When its link came up, in microseconds since the start of the run.
    pub from_us: u64,
    /// When the link went down.
    pub to_us: u64,
    /// The peer with the lower index.
    pub a: u16,
    /// The peer with the higher index.
    pub b: u16,
    /// Bytes that came across from `a` to `b`.
    pub bytes_ab: u64,
    /// Bytes that came across from `b` to `a`.
    pub bytes_ba: u64,
    /// Frames that came across, both directions together.
    pub frames: u64,
    /// What ended it: the plan, a fault, a peer, or the end of the run.
    pub ended_by: &'a str,
}

/// Writes `rows` below a line of column names and flushes `out`; gives their number.
pub fn write_contacts_csv<'a, W: Write>(
    out: W,
    rows: impl IntoIterator<Item = ContactRow<'a>>,
) -> io::Result<u64> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
    writeln!(out, "{HEAD}")?;
    let mut count = 0;
    for row in rows {
        let [from_s, to_s] = [row.from_us, row.to_us].map(Seconds);
        let ContactRow { a, b, bytes_ab, bytes_ba, frames, .. } = row;
        let ended_by = Text(row.ended_by);
        writeln!(out, "{from_s},{to_s},{a},{b},{bytes_ab},{bytes_ba},{frames},{ended_by}")?;
        count += 1;
    }
    out.flush()?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(rows: &[ContactRow<'_>]) -> String {
        let mut bytes = Vec::new();
        let count = write_contacts_csv(&mut bytes, rows.iter().copied());
        assert_eq!(count.expect("memory can be written"), rows.len() as u64);
        String::from_utf8(bytes).expect("CSV is text")
    }

    #[test]
    fn writes_one_contact_a_line() {
        let row = ContactRow {
            from_us: 1_500_000,
            to_us: 62_000_001,
            a: 0,
            b: 7,
            bytes_ab: 1_000,
            bytes_ba: 20,
            frames: 12,
            ended_by: "plan",
        };
        let quoted = ContactRow { ended_by: "partition \"north\", 2", ..row };
        assert_eq!(
            csv(&[row, quoted]),
            "from_s,to_s,a,b,bytes_ab,bytes_ba,frames,ended_by\n\
             1.5,62.000001,0,7,1000,20,12,plan\n\
             1.5,62.000001,0,7,1000,20,12,\"partition \"\"north\"\", 2\"\n"
        );
    }

    #[test]
    fn no_contacts_leave_the_names() {
        assert_eq!(csv(&[]).lines().count(), 1);
    }
}
