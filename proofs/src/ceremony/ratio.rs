//! Ratio: are all points of one list the same multiple of those of another, as a pair in G2 says?
//!
//! With random `r_i`, `e(sum r_i new_i, left) = e(sum r_i old_i, right)` holds for lists that differ in any other way with a
//! chance of 2^-128 (small exponents, Bellare, Garay and Rabin, "Fast batch verification", EUROCRYPT 1998). The `r_i` are
//! drawn from the contribution's hash and from the verifier's own seed, so who made the points could not know them.

use ark_ec::CurveGroup;
use ark_ec::pairing::Pairing;
use ark_ff::Zero;
use longhaul_dtn::hash::ContentHash;

use crate::cp::sum_wide;
use crate::curve::{Curve, PointOne, PointTwo, Scalar};
use crate::seed::{Draw, Seed};

/// Random coefficients of one check.
#[derive(Debug)]
pub struct Coefficients(Draw);

impl Coefficients {
    /// Coefficients for the contribution with this hash.
    pub(super) fn new(seed: &Seed, hash: ContentHash) -> Self {
        Self(seed.derive(&format!("ceremony check of {hash}"), 0).draw())
    }

    fn draw<E: Curve>(&mut self, count: usize) -> Vec<Scalar<E>> {
        (0..count).map(|_| Scalar::<E>::from(self.0.half())).collect()
    }

    /// Whether `old_i` and `new_i` are as `left` and `right` are: `e(new_i, left) = e(old_i, right)` for all `i`.
    pub(super) fn same_ratio<E: Curve>(
        &mut self,
        [old, new]: [&[PointOne<E>]; 2],
        [left, right]: [PointTwo<E>; 2],
    ) -> bool {
        if old.len() != new.len() {
            return false;
        }
        let factors = self.draw::<E>(old.len());
        let (old, new) = rayon::join(|| sum_wide(old, &factors), || sum_wide(new, &factors));
        equal::<E>([new, old], [left.into(), right.into()])
    }

    /// The same for lists in G2 and a pair in G1.
    pub(super) fn same_ratio_two<E: Curve>(
        &mut self,
        [old, new]: [&[PointTwo<E>]; 2],
        [left, right]: [PointOne<E>; 2],
    ) -> bool {
        if old.len() != new.len() {
            return false;
        }
        let factors = self.draw::<E>(old.len());
        let (old, new) = rayon::join(|| sum_wide(old, &factors), || sum_wide(new, &factors));
        equal::<E>([left.into(), right.into()], [new, old])
    }
}

/// `e(ones[0], twos[0]) = e(ones[1], twos[1])`.
fn equal<E: Curve>(ones: [E::G1; 2], twos: [E::G2; 2]) -> bool {
    let [first, second] = ones.map(CurveGroup::into_affine);
    let pairs = [first, -second].map(Into::<E::G1Prepared>::into);
    let twos = twos.map(|point| E::G2Prepared::from(point.into_affine()));
    <E as Pairing>::multi_pairing(pairs, twos).is_zero()
}

#[cfg(test)]
mod tests {
    use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
    use ark_ec::AffineRepr;

    use super::*;
    use crate::ceremony::multiply::scale_all;

    #[test]
    fn one_wrong_point_of_many_is_seen() {
        let (one, two) = (G1Affine::generator(), G2Affine::generator());
        let factor = Fr::from(77);
        let old: Vec<G1Affine> = (1..60_u64).map(|k| (one * Fr::from(k * k)).into()).collect();
        let mut new = scale_all(&old, &factor);
        let pair = [two, (two * factor).into()];
        let seed = Seed::from_bytes([1; 32]);
        let mut draw = Coefficients::new(&seed, ContentHash::of(b"test"));
        assert!(draw.same_ratio::<Bn254>([&old, &new], pair));
        assert!(!draw.same_ratio::<Bn254>([&old, &new[1..]], pair));
        new.swap(3, 4);
        assert!(!draw.same_ratio::<Bn254>([&old, &new], pair));
        let old = vec![two; 9];
        let new = scale_all(&old, &factor);
        let pair = [one, (one * factor).into()];
        assert!(draw.same_ratio_two::<Bn254>([&old, &new], pair));
        assert!(!draw.same_ratio_two::<Bn254>([&new, &old], pair));
    }
}
