//! Extension items: what RFC 9174 leaves room for (sections 4.8 and 5.2.5).
//!
//! A list is kept as its bytes, whose number the decoder bounds, and read only
//! by who handles it: a list that is not one fails its message (sections 4.6
//! and 5.2.2), not the stream. Of items, only the Transfer Length (section
//! 5.2.5.1) is known; the others are skipped unless they are critical.

/// The type of the Transfer Length extension.
const TRANSFER_LENGTH: u16 = 0x0001;
/// The flag of an item that must be handled.
const CRITICAL: u8 = 0x01;
/// Flags, type and length of an item.
const ITEM_HEAD_BYTES: usize = 5;

/// The extension items of a SESS_INIT or of a transfer, as they came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtensionList(Vec<u8>);

/// One extension item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtensionItem<'a> {
    /// Whether who does not know it may skip it.
    pub criticality: Criticality,
    /// Its type; those of sessions and of transfers differ.
    pub kind: u16,
    /// Its value.
    pub value: &'a [u8],
}

/// Whether an item may be skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criticality {
    /// It may.
    Skippable,
    /// It must be handled, or what carries it fails.
    Critical,
}

/// Why a list of extension items is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    /// The last item claims more bytes than the list has.
    #[error("an extension item ends behind its list")]
    Overrun,
    /// A critical item is unknown; holds its type.
    #[error("unknown critical extension item of type {0}")]
    Critical(u16),
    /// A Transfer Length is not one number of 64 bits, or comes twice.
    #[error("malformed or repeated transfer length")]
    Length,
}

impl ExtensionList {
    /// A list of these bytes, whether or not they are items.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The list that tells the length of a transfer.
    pub fn of_length(bytes: u64) -> Self {
        let mut list = Self::default();
        let value = &bytes.to_be_bytes();
        let criticality = Criticality::Skippable;
        let pushed = list.push(ExtensionItem { criticality, kind: TRANSFER_LENGTH, value });
        debug_assert!(pushed.is_some(), "eight bytes fit into an item");
        list
    }

    /// Adds an item; none if its value has more than 65,535 bytes.
    pub fn push(&mut self, item: ExtensionItem<'_>) -> Option<()> {
        let len = u16::try_from(item.value.len()).ok()?;
        self.0.push(if item.criticality == Criticality::Critical { CRITICAL } else { 0 });
        self.0.extend(item.kind.to_be_bytes());
        self.0.extend(len.to_be_bytes());
        self.0.extend(item.value);
        Some(())
    }

    /// The bytes, as on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The items in their order; an error is the last one.
    pub fn items(&self) -> impl Iterator<Item = Result<ExtensionItem<'_>, ExtensionError>> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let item = take_item(&mut rest);
            if item.is_none() {
                rest = &[];
            }
            Some(item.ok_or(ExtensionError::Overrun))
        })
    }

    /// Checks the items of a session, of which none is known (section 4.8).
    pub fn check_session(&self) -> Result<(), ExtensionError> {
        self.items().try_for_each(|item| check_unknown(item?))
    }

    /// The length of a transfer, where the items tell it (section 5.2.5).
    pub fn transfer_length(&self) -> Result<Option<u64>, ExtensionError> {
        let mut length = None;
        for item in self.items() {
            let item = item?;
            if item.kind != TRANSFER_LENGTH {
                check_unknown(item)?;
                continue;
            }
            let value = item.value.try_into().map_err(|_| ExtensionError::Length)?;
            if length.replace(u64::from_be_bytes(value)).is_some() {
                return Err(ExtensionError::Length);
            }
        }
        Ok(length)
    }
}

/// Takes an item from the front.
fn take_item<'a>(rest: &mut &'a [u8]) -> Option<ExtensionItem<'a>> {
    let (head, tail) = rest.split_first_chunk::<ITEM_HEAD_BYTES>()?;
    let &[flags, kind_high, kind_low, len_high, len_low] = head;
    let len = usize::from(u16::from_be_bytes([len_high, len_low]));
    let (value, tail) = tail.split_at_checked(len)?;
    *rest = tail;
    let critical = flags & CRITICAL != 0;
    let criticality = if critical { Criticality::Critical } else { Criticality::Skippable };
    Some(ExtensionItem { criticality, kind: u16::from_be_bytes([kind_high, kind_low]), value })
}

fn check_unknown(item: ExtensionItem<'_>) -> Result<(), ExtensionError> {
    match item.criticality {
        Criticality::Critical => Err(ExtensionError::Critical(item.kind)),
        Criticality::Skippable => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[(Criticality, u16, &[u8])]) -> ExtensionList {
        let mut list = ExtensionList::default();
        for &(criticality, kind, value) in items {
            list.push(ExtensionItem { criticality, kind, value }).unwrap();
        }
        list
    }

    #[test]
    fn writes_the_transfer_length_of_section_5_2_5_1() {
        let list = ExtensionList::of_length(0x0102);
        assert_eq!(list.as_bytes(), [0, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(list.transfer_length(), Ok(Some(0x0102)));
        assert_eq!(ExtensionList::default().transfer_length(), Ok(None));
    }

    #[test]
    fn skips_unknown_items_unless_they_are_critical() {
        use Criticality::{Critical, Skippable};
        let length = 7_u64.to_be_bytes();
        for (items, found) in [
            (list(&[(Skippable, 9, b"any"), (Critical, 1, &length)]), Ok(Some(7))),
            (
                list(&[(Skippable, 1, &length), (Critical, 9, b"")]),
                Err(ExtensionError::Critical(9)),
            ),
            (
                list(&[(Skippable, 1, &length), (Skippable, 1, &length)]),
                Err(ExtensionError::Length),
            ),
            (list(&[(Skippable, 1, b"short")]), Err(ExtensionError::Length)),
        ] {
            assert_eq!(items.transfer_length(), found);
        }
        assert_eq!(list(&[(Skippable, 1, b"any")]).check_session(), Ok(()));
        let critical = list(&[(Critical, 1, &length)]).check_session();
        assert_eq!(critical, Err(ExtensionError::Critical(1)));
    }

    #[test]
    fn refuses_an_item_that_ends_behind_its_list() {
        for bytes in [&[0][..], &[0, 0, 9, 0], &[0, 0, 9, 0, 1], &[0, 0, 9, 0, 0, 1]] {
            let list = ExtensionList::from_bytes(bytes.to_vec());
            assert_eq!(list.transfer_length(), Err(ExtensionError::Overrun), "{bytes:?}");
            assert_eq!(list.check_session(), Err(ExtensionError::Overrun));
        }
    }

    #[test]
    fn refuses_values_that_no_item_can_have() {
        let value = vec![0; 65_536];
        let item = ExtensionItem { criticality: Criticality::Skippable, kind: 1, value: &value };
        assert_eq!(ExtensionList::default().push(item), None);
    }
}
