//! Poseidon: the hash that data sets are committed with, cheap inside of a proof.
//!
//! Grassi, Khovratovich, Rechberger, Roy, Schofnegger: "Poseidon: a new hash function for zero-knowledge proof systems"
//! (eprint 2019/458), with `x^5`, nine elements of state (one of capacity), 8 full and 63 partial rounds: the paper's
//! figures for 128 bits and a field of 254 or 255 bits, security margin included. What a sponge with one element of capacity
//! can give against collisions is half of the field's bits, 127.
//!
//! Round constants and the matrix come from the Grain LFSR of the paper's appendix E, as in its authors' script. Tests hold
//! the constants against those of arkworks for both fields, and the permutation against circomlib's for BN254, whose matrix that
//! script has checked for invariant subspaces; that of BLS12-381 was drawn alike and has no such check here.

use ark_ff::{BigInteger, PrimeField};

/// Elements of the state.
pub(super) const WIDTH: usize = 9;
/// Elements that one permutation takes in.
pub(super) const RATE: usize = WIDTH - 1;
const FULL_ROUNDS: usize = 8;
const PARTIAL_ROUNDS: usize = 63;
const ROUNDS: usize = FULL_ROUNDS + PARTIAL_ROUNDS;
/// Bits of the LFSR that are thrown away before the first is used.
const WARM_UP: usize = 160;

/// A state.
pub(super) type State<F> = [F; WIDTH];

/// The constants of a field.
#[derive(Debug, Clone)]
pub(super) struct Poseidon<F> {
    constants: Vec<State<F>>,
    matrix: [State<F>; WIDTH],
}

impl<F: PrimeField> Poseidon<F> {
    /// Draws the constants: some 10 ms.
    pub(super) fn new() -> Self {
        let mut grain = Grain::new(F::MODULUS_BIT_SIZE as usize);
        let constants = (0..ROUNDS).map(|_| [(); WIDTH].map(|()| grain.below_modulus())).collect();
        let [rows, columns] = [(); 2].map(|()| [(); WIDTH].map(|()| grain.reduced::<F>()));
        let entry = |x: F, y: F| (x + y).inverse().expect("two drawn elements are not opposite");
        let matrix = rows.map(|row| columns.map(|column| entry(row, column)));
        Self { constants, matrix }
    }

    /// Which elements of the state a round raises to the fifth power.
    pub(super) fn powers(round: usize) -> std::ops::Range<usize> {
        let partial = (FULL_ROUNDS / 2..ROUNDS - FULL_ROUNDS / 2).contains(&round);
        0..if partial { 1 } else { WIDTH }
    }

    /// The constants of each round.
    pub(super) fn rounds(&self) -> impl Iterator<Item = (usize, &State<F>)> {
        self.constants.iter().enumerate()
    }

    /// The matrix, row by row.
    pub(super) const fn matrix(&self) -> &[State<F>; WIDTH] {
        &self.matrix
    }

    /// Permutes a state.
    pub(super) fn permute(&self, state: State<F>) -> State<F> {
        self.permute_seen(state, |_| ())
    }

    /// Permutes a state, and shows each element that is raised to the fifth power.
    pub(super) fn permute_seen(&self, mut state: State<F>, mut see: impl FnMut(F)) -> State<F> {
        for (round, constants) in self.rounds() {
            state.iter_mut().zip(constants).for_each(|(element, constant)| *element += constant);
            for place in Self::powers(round) {
                see(state[place]);
                state[place] *= state[place].square().square();
            }
            let mixed = |row: &State<F>| row.iter().zip(&state).map(|(m, it)| *m * it).sum();
            state = self.matrix.each_ref().map(mixed);
        }
        state
    }

    /// A sponge's first output for some elements, under a domain's capacity.
    pub(super) fn hash(&self, domain: F, elements: &[F]) -> F {
        let mut state = [F::ZERO; WIDTH];
        state[0] = domain;
        for block in elements.chunks(RATE) {
            state[1..].iter_mut().zip(block).for_each(|(place, element)| *place += element);
            state = self.permute(state);
        }
        state[1]
    }
}

/// The LFSR that constants are drawn from.
struct Grain {
    bits: [bool; 80],
    field_bits: usize,
}

impl Grain {
    fn new(field_bits: usize) -> Self {
        let mut bits = [true; 80];
        let fields = [
            (1, 2),
            (0, 4),
            (field_bits, 12),
            (WIDTH, 12),
            (FULL_ROUNDS, 10),
            (PARTIAL_ROUNDS, 10),
        ];
        let numbers = fields
            .into_iter()
            .flat_map(|(value, width)| (0..width).rev().map(move |bit| value >> bit & 1 == 1));
        bits.iter_mut().zip(numbers).for_each(|(bit, value)| *bit = value);
        let mut grain = Self { bits, field_bits };
        for _ in 0..WARM_UP {
            grain.step();
        }
        grain
    }

    fn step(&mut self) -> bool {
        let bit = [62, 51, 38, 23, 13, 0].iter().fold(false, |sum, &tap| sum ^ self.bits[tap]);
        self.bits.rotate_left(1);
        self.bits[79] = bit;
        bit
    }

    /// The second of the first pair that begins with a one.
    fn bit(&mut self) -> bool {
        while !self.step() {
            self.step();
        }
        self.step()
    }

    /// As many bits as the field has, lowest first.
    fn number(&mut self) -> Vec<bool> {
        let mut bits: Vec<bool> = (0..self.field_bits).map(|_| self.bit()).collect();
        bits.reverse();
        bits
    }

    /// The next number that is below the modulus.
    fn below_modulus<F: PrimeField>(&mut self) -> F {
        loop {
            if let Some(element) = F::from_bigint(F::BigInt::from_bits_le(&self.number())) {
                return element;
            }
        }
    }

    /// The next number, reduced.
    fn reduced<F: PrimeField>(&mut self) -> F {
        let number = F::BigInt::from_bits_le(&self.number());
        F::from_le_bytes_mod_order(&number.to_bytes_le())
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;
    use ark_crypto_primitives::sponge::poseidon::{
        PoseidonConfig, PoseidonSponge, find_poseidon_ark_and_mds,
    };
    use ark_crypto_primitives::sponge::{CryptographicSponge, FieldBasedCryptographicSponge};
    use ark_ff::MontFp;

    use super::*;

    fn check_constants<F: PrimeField>() {
        let bits = u64::from(F::MODULUS_BIT_SIZE);
        let (ark, mds) = find_poseidon_ark_and_mds::<F>(
            bits,
            RATE,
            FULL_ROUNDS as u64,
            PARTIAL_ROUNDS as u64,
            0,
        );
        let ours = Poseidon::<F>::new();
        assert_eq!(ours.constants.iter().map(|it| it.to_vec()).collect::<Vec<_>>(), ark);
        assert_eq!(ours.matrix.map(|it| it.to_vec()).to_vec(), mds);
    }

    #[test]
    fn constants_are_those_of_arkworks() {
        check_constants::<Fr>();
        check_constants::<ark_bls12_381::Fr>();
    }

    #[test]
    fn hashes_as_the_sponge_of_arkworks() {
        let ours = Poseidon::<Fr>::new();
        let ark = ours.constants.iter().map(|it| it.to_vec()).collect();
        let mds = ours.matrix.map(|it| it.to_vec()).to_vec();
        let config = PoseidonConfig::new(FULL_ROUNDS, PARTIAL_ROUNDS, 5, mds, ark, RATE, 1);
        for count in [1_u64, 7, 8, 9, 68] {
            let elements: Vec<Fr> = (0..count).map(|k| Fr::from(k * k + 3)).collect();
            let mut sponge = PoseidonSponge::new(&config);
            sponge.absorb(&elements);
            let expected = sponge.squeeze_native_field_elements(1)[0];
            assert_eq!(ours.hash(Fr::from(0), &elements), expected, "{count} elements");
        }
    }

    #[test]
    fn permutes_as_circomlib() {
        let state = [0_u64, 1, 2, 3, 4, 5, 6, 7, 8].map(Fr::from);
        let expected: Fr = MontFp!(
            "18604317144381847857886385684060986177838410221561136253933256952257712543953"
        );
        assert_eq!(Poseidon::new().permute(state)[0], expected);
    }
}
