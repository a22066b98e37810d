//! Pair: two different peers, whoever is named first.

/// Two peers, the smaller index first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    first: u16,
    second: u16,
}

impl Pair {
    /// The pair of `a` and `b`; nobody meets itself.
    pub fn new(a: u16, b: u16) -> Option<Self> {
        (a != b).then(|| Self { first: a.min(b), second: a.max(b) })
    }

    /// Both peers, the smaller index first.
    pub const fn peers(self) -> [u16; 2] {
        [self.first, self.second]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_meets_itself() {
        assert_eq!(Pair::new(3, 3), None);
        assert_eq!(Pair::new(3, 1), Pair::new(1, 3));
    }
}
