//! Points: canonical bytes of curve points, read strictly.
//!
//! arkworks accepts some points in more than one form (a coordinate with spare bits set, an identity with
//! a coordinate). Here a point is read only if writing it gives the same bytes again, it lies in the group of
//! prime order, and it is not the identity, which no honest key, commitment or proof contains.

use ark_ec::AffineRepr;
use ark_serialize::{Compress, Validate};
use rayon::prelude::*;

/// Fewer points than this are read on one thread.
const PARALLEL_POINTS_MIN: usize = 256;

/// Why bytes are not a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PointError {
    /// There are too few bytes, or too many.
    #[error("the number of bytes is not that of the points")]
    Length,
    /// Not a point of the curve, or not of its group of prime order.
    #[error("the bytes are no point of the group")]
    NotInGroup,
    /// A point, but not as it is written.
    #[error("the point is not in its canonical form")]
    NotCanonical,
    /// The identity.
    #[error("the point is the identity")]
    Identity,
}

/// How a point is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One coordinate and a sign: for what travels.
    Compressed,
    /// Both coordinates: for keys, which are large and read often.
    Uncompressed,
}

/// Which checks a point from bytes still needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// All of them.
    Stranger,
    /// None: a hash says that these bytes are the ones that were checked.
    Pinned,
}

impl Form {
    const fn compress(self) -> Compress {
        match self {
            Self::Compressed => Compress::Yes,
            Self::Uncompressed => Compress::No,
        }
    }

    /// The bytes of one point.
    pub(crate) fn size<G: AffineRepr>(self) -> usize {
        G::zero().serialized_size(self.compress())
    }
}

/// Appends the bytes of each point.
pub(crate) fn write<G: AffineRepr>(points: &[G], form: Form, bytes: &mut Vec<u8>) {
    bytes.reserve(points.len() * form.size::<G>());
    for point in points {
        point.serialize_with_mode(&mut *bytes, form.compress()).expect("a vector takes all bytes");
    }
}

/// Takes the first `count` points off `bytes`.
///
/// # Errors
/// The first point that is not one; nothing is allocated before the length is known to be there.
pub(crate) fn read<G: AffineRepr>(
    bytes: &mut &[u8],
    count: usize,
    form: Form,
    trust: Trust,
) -> Result<Vec<G>, PointError> {
    let size = form.size::<G>();
    let len = count.checked_mul(size).ok_or(PointError::Length)?;
    let (head, rest) = bytes.split_at_checked(len).ok_or(PointError::Length)?;
    *bytes = rest;
    let one = |bytes| read_one(bytes, form, trust);
    if count < PARALLEL_POINTS_MIN {
        return head.chunks_exact(size).map(one).collect();
    }
    let read: Vec<Result<G, PointError>> = head.par_chunks_exact(size).map(one).collect();
    read.into_iter().collect()
}

fn read_one<G: AffineRepr>(bytes: &[u8], form: Form, trust: Trust) -> Result<G, PointError> {
    let validate = if trust == Trust::Pinned { Validate::No } else { Validate::Yes };
    let point = G::deserialize_with_mode(bytes, form.compress(), validate)
        .map_err(|_| PointError::NotInGroup)?;
    if trust == Trust::Pinned {
        return Ok(point);
    }
    if point.is_zero() {
        return Err(PointError::Identity);
    }
    // BLS12-381 reads two coordinates without asking whether they are of a point of the curve.
    if form == Form::Uncompressed {
        point.check().map_err(|_| PointError::NotInGroup)?;
    }
    let mut again = Vec::with_capacity(bytes.len());
    write(&[point], form, &mut again);
    if again == bytes { Ok(point) } else { Err(PointError::NotCanonical) }
}

#[cfg(test)]
mod tests {
    use ark_bls12_381::{Fq as WideFq, G1Affine as WideAffine};
    use ark_bn254::{Fq, G1Affine, G2Affine};
    use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
    use ark_ff::{BigInteger, Field, PrimeField};
    use ark_serialize::CanonicalDeserialize;

    use super::*;

    fn compressed<G: AffineRepr>(bytes: &[u8]) -> Result<Vec<G>, PointError> {
        read(&mut &bytes[..], 1, Form::Compressed, Trust::Stranger)
    }

    #[test]
    fn reads_what_it_wrote() {
        for form in [Form::Compressed, Form::Uncompressed] {
            let mut bytes = Vec::new();
            write(&[G2Affine::generator(), -G2Affine::generator()], form, &mut bytes);
            let read = read(&mut &bytes[..], 2, form, Trust::Stranger);
            assert_eq!(read, Ok(vec![G2Affine::generator(), -G2Affine::generator()]));
        }
    }

    #[test]
    fn refuses_what_is_no_canonical_point() {
        let mut identity = vec![0; 32];
        identity[31] = 0x40;
        let mut dirty_identity = identity.clone();
        dirty_identity[0] = 5;
        let above_modulus = Fq::MODULUS.to_bytes_le();
        for (bytes, error) in [
            (identity, PointError::Identity),
            (dirty_identity, PointError::Identity),
            (above_modulus, PointError::NotInGroup),
            (vec![0; 31], PointError::Length),
        ] {
            assert_eq!(compressed::<G1Affine>(&bytes), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn refuses_a_point_outside_of_the_prime_order_group() {
        let outside = (0..64_u8)
            .map(|x| [&[0x80][..], &[0; 46], &[x]].concat())
            .filter(|bytes| compressed::<WideAffine>(bytes) == Err(PointError::NotInGroup))
            .filter(|bytes| {
                WideAffine::deserialize_with_mode(&bytes[..], Compress::Yes, Validate::No).is_ok()
            });
        assert!(outside.count() > 10, "half of the coordinates have a point, none in the group");
    }

    #[test]
    fn refuses_coordinates_of_another_curve_that_pass_the_test_of_the_group() {
        fn scaled<P: SWCurveConfig>(by: P::BaseField) -> Vec<u8> {
            let Affine { x, y, .. } = Affine::<P>::generator();
            let outside = Affine::<P>::new_unchecked(x * by.square(), y * by.square() * by);
            assert!(!outside.is_on_curve());
            let mut bytes = Vec::new();
            write(&[outside], Form::Uncompressed, &mut bytes);
            bytes
        }
        let uncompressed = |bytes: &[u8]| {
            let mut bytes = bytes;
            read::<WideAffine>(&mut bytes, 1, Form::Uncompressed, Trust::Stranger)
        };
        let one = scaled::<ark_bls12_381::g1::Config>(WideFq::from(2));
        assert_eq!(uncompressed(&one), Err(PointError::NotInGroup));
        let two = scaled::<ark_bls12_381::g2::Config>(ark_bls12_381::Fq2::from(2));
        let read =
            read::<ark_bls12_381::G2Affine>(&mut &two[..], 1, Form::Uncompressed, Trust::Stranger);
        assert_eq!(read, Err(PointError::NotInGroup));
    }

    #[test]
    fn a_huge_count_is_an_error() {
        let read = read::<G1Affine>(&mut &[][..], usize::MAX, Form::Compressed, Trust::Stranger);
        assert_eq!(read, Err(PointError::Length));
    }
}
