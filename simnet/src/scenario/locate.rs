//! Where in the file a value is, for errors that are found after reading.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The line, counted from 1, of the value at `key` (`faults.partition[0].groups`),
/// or of the deepest table on the way to it that the file has.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table: &DeTable<'_> = document.get_ref();
    let mut start = None;
    for part in key.split('.') {
        let (name, index) = split_index(part);
        let Some((found, value)) = entry(table, name) else {
            break;
        };
        start = Some(found);
        let Some(value) = element(value, index) else {
            break;
        };
        start = if index.is_some() { Some(value.span().start) } else { start };
        let Some(next) = value.get_ref().as_table() else {
            break;
        };
        table = next;
    }
    start.map(|start| 1 + text.bytes().take(start).filter(|&byte| byte == b'\n').count())
}

fn split_index(part: &str) -> (&str, Option<usize>) {
    let Some((name, rest)) = part.split_once('[') else {
        return (part, None);
    };
    (name, rest.trim_end_matches(']').parse().ok())
}

fn entry<'a, 'i>(table: &'a DeTable<'i>, name: &str) -> Option<(usize, &'a Spanned<DeValue<'i>>)> {
    let (key, value) = table.iter().find(|(key, _)| key.get_ref().as_ref() == name)?;
    Some((key.span().start, value))
}

fn element<'a, 'i>(
    value: &'a Spanned<DeValue<'i>>,
    index: Option<usize>,
) -> Option<&'a Spanned<DeValue<'i>>> {
    match index {
        None => Some(value),
        Some(index) => value.get_ref().as_array()?.get(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a = 1\n[b]\nc = 2\n[[d.e]]\nf = 3\n[[d.e]]\nf = 4\n";

    #[test]
    fn finds_the_line_or_the_nearest_table() {
        for (key, line) in [
            ("a", Some(1)),
            ("b.c", Some(3)),
            ("b.missing", Some(2)),
            ("d.e[0].f", Some(5)),
            ("d.e[1].f", Some(7)),
            ("d.e[1].missing", Some(6)),
            ("missing", None),
        ] {
            assert_eq!(line_of(TEXT, key), line, "{key}");
        }
    }
}
