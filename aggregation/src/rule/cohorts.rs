//! Cohorts, as a recipe fixes them: how near two clusters have to be to be one,
//! and which cohorts count. How they are found is in [`crate::cohort`].
//!
//! Bytes: a CBOR array `[threshold, minimum, small]`; the minimum is a number or
//! null for the one that follows from the attackers, small is 0 for joined, 1 for
//! waiting and 2 for vouched.

use longhaul_dtn::codec::{CodecError, Reader, Writer};

use super::Bearing;
use super::recipe::{RecipeError, read_u16};

/// How the updates of an epoch are parted by what their bases knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cohorts {
    /// Smallest mean similarity of two clusters that are merged, 1 to 1,000; see
    /// [`Cohorts::THRESHOLD_PERMILLE`].
    pub threshold_permille: u16,
    /// Fewest authors of a cohort that counts.
    pub minimum: Minimum,
    /// What becomes of the others.
    pub small: Small,
}

/// The fewest authors of a cohort that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Minimum {
    /// 2F + 1, so that attackers are never half of it; of vouched ones F + 1.
    Auto,
    /// This number; every void slot takes one off, but not the last.
    Fixed(u16),
}

/// What becomes of a cohort that is too small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Small {
    /// It is joined to the nearest that is not; where all are, they are one.
    Join,
    /// Its updates count once it has grown.
    Wait,
    /// It is one of fewer than 2F + 1 authors, and only its vouched slots count,
    /// if they have at least the minimum of authors; the others wait. Larger
    /// cohorts count whole.
    ///
    /// An author vouches for a slot if a later header of it has the vouch bit and
    /// names the slot, and F + 1 authors have to: one of them is honest and says
    /// that a model with the slot in it is good.
    Vouch,
}

impl Cohorts {
    /// The threshold to start from: half of what the smaller set names.
    pub const THRESHOLD_PERMILLE: u16 = 500;

    /// The fewest authors of a cohort that counts whole.
    pub(crate) fn whole(&self, bearing: Bearing) -> usize {
        match self.small {
            Small::Vouch => 2 * bearing.remaining() + 1,
            Small::Join | Small::Wait => self.least(bearing),
        }
    }

    /// The fewest authors of a cohort that counts at all.
    pub(crate) fn least(&self, bearing: Bearing) -> usize {
        match (self.minimum, self.small) {
            (Minimum::Auto, Small::Vouch) => bearing.remaining() + 1,
            (Minimum::Auto, _) => 2 * bearing.remaining() + 1,
            (Minimum::Fixed(least), _) => usize::from(least).saturating_sub(bearing.voids).max(1),
        }
    }

    /// Checks the values for an epoch of so many authors.
    pub(super) fn validate(&self, authors: usize) -> Result<(), RecipeError> {
        if !(1..=1000).contains(&self.threshold_permille) {
            return Err(RecipeError::CohortThreshold(self.threshold_permille));
        }
        match self.minimum {
            Minimum::Fixed(minimum) if minimum == 0 || usize::from(minimum) > authors => {
                Err(RecipeError::CohortMinimum { minimum, authors })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.array(3).unsigned(u64::from(self.threshold_permille));
        match self.minimum {
            Minimum::Auto => writer.null(),
            Minimum::Fixed(least) => writer.unsigned(u64::from(least)),
        };
        writer.unsigned(match self.small {
            Small::Join => 0,
            Small::Wait => 1,
            Small::Vouch => 2,
        });
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.tuple(3)?;
        let threshold_permille = read_u16(reader)?;
        let minimum = match reader.null()? {
            true => Minimum::Auto,
            false => Minimum::Fixed(read_u16(reader)?),
        };
        let small = match reader.unsigned(2)? {
            0 => Small::Join,
            1 => Small::Wait,
            _ => Small::Vouch,
        };
        Ok(Self { threshold_permille, minimum, small })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_void_makes_every_bound_one_attacker_lower() {
        let cohorts = |minimum, small| Cohorts { threshold_permille: 500, minimum, small };
        for (minimum, small, voids, whole, least) in [
            (Minimum::Auto, Small::Wait, 0, 7, 7),
            (Minimum::Auto, Small::Join, 1, 5, 5),
            (Minimum::Auto, Small::Wait, 9, 1, 1),
            (Minimum::Auto, Small::Vouch, 0, 7, 4),
            (Minimum::Auto, Small::Vouch, 2, 3, 2),
            (Minimum::Fixed(3), Small::Wait, 0, 3, 3),
            (Minimum::Fixed(3), Small::Join, 1, 2, 2),
            (Minimum::Fixed(3), Small::Vouch, 1, 5, 2),
            (Minimum::Fixed(3), Small::Vouch, 3, 1, 1),
        ] {
            let (cohorts, bearing) = (cohorts(minimum, small), Bearing { attackers: 3, voids });
            let found = (cohorts.whole(bearing), cohorts.least(bearing));
            assert_eq!(found, (whole, least), "{cohorts:?} with {voids} voids");
        }
    }

    #[test]
    fn reads_back_what_it_wrote() {
        for small in [Small::Join, Small::Wait, Small::Vouch] {
            for minimum in [Minimum::Auto, Minimum::Fixed(0), Minimum::Fixed(300)] {
                let cohorts = Cohorts { threshold_permille: 70, minimum, small };
                let mut writer = Writer::new();
                cohorts.encode(&mut writer);
                let bytes = writer.into_bytes();
                assert_eq!(Cohorts::decode(&mut Reader::new(&bytes)), Ok(cohorts));
            }
        }
    }
}
