//! Stock: the same statement as one would first write it with ark-groth16, to be compared with.
//!
//! Each entry is decomposed into eight bits, the squares are added and compared with the bound in bits, and
//! a Poseidon sponge over packed entries (31 to a field element) binds the entries to a public hash.

use ark_bn254::{Bn254, Fr};
use ark_crypto_primitives::sponge::constraints::CryptographicSpongeVar;
use ark_crypto_primitives::sponge::poseidon::constraints::PoseidonSpongeVar;
use ark_crypto_primitives::sponge::poseidon::{
    PoseidonConfig, PoseidonSponge, find_poseidon_ark_and_mds,
};
use ark_crypto_primitives::sponge::{CryptographicSponge, FieldBasedCryptographicSponge};
use ark_ff::{Field, One, Zero};
use ark_groth16::{Groth16, Proof, ProvingKey};
use ark_r1cs_std::alloc::AllocVar;
use ark_r1cs_std::boolean::Boolean;
use ark_r1cs_std::eq::EqGadget;
use ark_r1cs_std::fields::FieldVar;
use ark_r1cs_std::fields::fp::FpVar;
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystem, ConstraintSystemRef, OptimizationGoal, Result,
};
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;

/// Entries of eight bits in one field element.
const PACKED: usize = 31;
const BOUND_BITS: usize = 30;

pub struct Stock {
    config: PoseidonConfig<Fr>,
    key: ProvingKey<Bn254>,
    entries: usize,
}

#[derive(Clone)]
struct Circuit<'a> {
    entries: &'a [i8],
    hash: Fr,
    config: &'a PoseidonConfig<Fr>,
}

fn offset(entry: i8) -> u8 {
    entry.wrapping_sub(i8::MIN).cast_unsigned()
}

fn packed(entries: &[i8]) -> Vec<Fr> {
    let pack = |chunk: &[i8]| {
        chunk
            .iter()
            .rev()
            .fold(Fr::zero(), |sum, &entry| sum * Fr::from(256) + Fr::from(offset(entry)))
    };
    entries.chunks(PACKED).map(pack).collect()
}

impl ConstraintSynthesizer<Fr> for Circuit<'_> {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Result<()> {
        let hash = FpVar::new_input(cs.clone(), || Ok(self.hash))?;
        let bound = FpVar::new_input(cs.clone(), || Ok(Fr::from(1_u64 << 28)))?;
        let mut squares = FpVar::zero();
        let mut sponge = PoseidonSpongeVar::new(cs.clone(), self.config);
        for chunk in self.entries.chunks(PACKED) {
            let mut packed = FpVar::zero();
            let mut weight = Fr::one();
            for &entry in chunk {
                let value = number(cs.clone(), u64::from(offset(entry)), 8)?;
                packed += &value * weight;
                weight *= Fr::from(256);
                let signed = value - FpVar::constant(Fr::from(128));
                squares += signed.square()?;
            }
            sponge.absorb(&packed)?;
        }
        sponge.squeeze_field_elements(1)?[0].enforce_equal(&hash)?;
        let sum: u64 = self.entries.iter().map(|&it| u64::from(it.unsigned_abs()).pow(2)).sum();
        number(cs, (1_u64 << 28).saturating_sub(sum), BOUND_BITS)?.enforce_equal(&(bound - squares))
    }
}

/// A number as its bits.
fn number(cs: ConstraintSystemRef<Fr>, value: u64, bits: usize) -> Result<FpVar<Fr>> {
    let mut sum = FpVar::zero();
    for bit in 0..bits {
        let wire = Boolean::new_witness(cs.clone(), || Ok(value >> bit & 1 == 1))?;
        sum += FpVar::from(wire) * Fr::from(2).pow([bit as u64]);
    }
    Ok(sum)
}

impl Stock {
    pub fn new(entries: usize) -> Self {
        let (ark, mds) = find_poseidon_ark_and_mds::<Fr>(254, 2, 8, 57, 0);
        let config = PoseidonConfig::new(8, 57, 5, mds, ark, 2, 1);
        let zeros = vec![0; entries];
        let circuit = Circuit { entries: &zeros, hash: Fr::zero(), config: &config };
        let mut rng = StdRng::seed_from_u64(1);
        let key = Groth16::<Bn254>::generate_random_parameters_with_reduction(circuit, &mut rng);
        Self { key: key.expect("a key"), config, entries }
    }

    pub fn constraints(&self) -> usize {
        let cs = ConstraintSystem::new_ref();
        cs.set_optimization_goal(OptimizationGoal::Constraints);
        let zeros = vec![0; self.entries];
        let circuit = Circuit { entries: &zeros, hash: Fr::zero(), config: &self.config };
        circuit.generate_constraints(cs.clone()).expect("constraints");
        cs.num_constraints()
    }

    pub fn prove(&self, entries: &[i8]) -> Proof<Bn254> {
        let mut sponge = PoseidonSponge::new(&self.config);
        packed(entries).iter().for_each(|element| sponge.absorb(element));
        let hash = sponge.squeeze_native_field_elements(1)[0];
        let circuit = Circuit { entries, hash, config: &self.config };
        let mut rng = StdRng::seed_from_u64(2);
        Groth16::<Bn254>::create_random_proof_with_reduction(circuit, &self.key, &mut rng)
            .expect("a proof")
    }
}
