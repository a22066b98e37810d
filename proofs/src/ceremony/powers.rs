//! Powers: phase 1, the powers of tau, with those times alpha and beta.
//!
//! BGM17 (eprint 2017/1050, section 4) without its beacon, which "Snarky ceremonies" (Kohlweiss, Maller, Siim and Volkhov,
//! 2021/219) shows not to be needed. For a domain of `n = 2^k` points: `[tau^i]` in G1 for `i < 2n - 1` (the quotient's query needs
//! that many), in G2 for `i < n`, `[alpha tau^i]` and `[beta tau^i]` in G1 for `i < n`, `[beta]` in G2. It serves every circuit
//! whose domain is not larger. Generators are not sent.

use ark_ec::AffineRepr;
use ark_ff::{One, PrimeField};
use longhaul_dtn::hash::ContentHash;
use zeroize::Zeroize;

use super::assemble::BeginError;
use super::contribution;
use super::lagrange::powers;
use super::multiply::{scale_all, scale_each};
use super::ratio::Coefficients;
use super::refusal::{Part, Refusal};
use super::stage::{PointCounts, Points, Stage};
use crate::cp::points::{self, Form, Trust};
use crate::cp::{PointError, R1cs};
use crate::curve::{Curve, PointOne, PointTwo, Scalar};
use crate::seed::{Secret, Seed};

/// Largest domain, as a power of two: 65,000 entries take 2^16, and twice that is room to grow.
pub const LOG_SIZE_MAX: u32 = 20;

/// Tau, alpha and beta.
const SEPARATORS: usize = 3;

/// The size of a phase 1: the logarithm of the largest domain it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogSize(u32);

/// The powers of tau.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Powers<E: Curve> {
    size: LogSize,
    /// `[tau^i]`, `i < 2n - 1`.
    pub(super) tau: Vec<PointOne<E>>,
    /// `[alpha tau^i]`, `i < n`.
    pub(super) alpha: Vec<PointOne<E>>,
    /// `[beta tau^i]`, `i < n`.
    pub(super) beta: Vec<PointOne<E>>,
    /// `[tau^i]` in G2, `i < n`.
    pub(super) tau_two: Vec<PointTwo<E>>,
    /// `[beta]` in G2.
    pub(super) beta_two: PointTwo<E>,
}

/// Powers that somebody vouches for, which a key can begin with: a chain of enough members, or who pinned their hash.
///
/// Whoever made all of the powers alone knows tau, and forges under every key that begins with them, however many take part in
/// its second phase. That is not to be seen in the points, so nothing that was merely read is of this type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedPowers<E: Curve>(pub(super) Powers<E>);

impl<E: Curve> FinishedPowers<E> {
    /// The powers, to send them or to pin their hash.
    pub const fn powers(&self) -> &Powers<E> {
        &self.0
    }
}

impl LogSize {
    /// A domain of `2^log` points: `None` for less than two or more than 2^20.
    pub fn new(log: u32) -> Option<Self> {
        (1..=LOG_SIZE_MAX).contains(&log).then_some(Self(log))
    }

    /// The smallest that serves a circuit; `None` for one that is too large for all.
    pub fn fitting<F: PrimeField>(system: &R1cs<F>) -> Option<Self> {
        Self::new(system.size().next_power_of_two().max(2).ilog2())
    }

    /// The logarithm itself.
    pub const fn log(self) -> u32 {
        self.0
    }

    /// The number of points of the domain.
    pub const fn points(self) -> usize {
        1 << self.0
    }

    /// Names phase 1 of this size on a curve.
    pub fn ceremony<E: Curve>(self) -> ContentHash {
        let mut hasher = blake3::Hasher::new_derive_key("longhaul 2026 ceremony phase 1 v1");
        hasher.update(E::NAME.as_bytes()).update(&self.0.to_be_bytes());
        ContentHash::from_bytes(*hasher.finalize().as_bytes())
    }

    /// The length of every contribution to phase 1 of this size.
    pub fn contribution_bytes<E: Curve>(self) -> usize {
        contribution::len::<E>(self.point_counts(), SEPARATORS)
    }

    const fn point_counts(self) -> PointCounts {
        let count = self.points();
        PointCounts { ones: (2 * count - 2) + 2 * count, twos: count }
    }
}

impl<E: Curve> Powers<E> {
    /// Where phase 1 begins: tau, alpha and beta are one.
    pub(super) fn start(size: LogSize) -> Self {
        let (one, two) = (PointOne::<E>::generator(), PointTwo::<E>::generator());
        let count = size.points();
        Self {
            size,
            tau: vec![one; 2 * count - 1],
            alpha: vec![one; count],
            beta: vec![one; count],
            tau_two: vec![two; count],
            beta_two: two,
        }
    }

    /// The size of the largest domain that it serves.
    pub const fn size(&self) -> LogSize {
        self.size
    }

    /// The bytes: all points but the generators, compressed, G1 before G2.
    pub fn encode(&self) -> Vec<u8> {
        let points = self.points();
        let mut bytes = Vec::new();
        points::write(&points.ones, Form::Compressed, &mut bytes);
        points::write(&points.twos, Form::Compressed, &mut bytes);
        bytes
    }

    /// Names these powers: a hash of curve, size and all points.
    pub fn hash(&self) -> ContentHash {
        let mut hasher = blake3::Hasher::new_derive_key("longhaul 2026 ceremony powers v1");
        hasher.update(E::NAME.as_bytes()).update(&self.size.0.to_be_bytes());
        hasher.update(&self.encode());
        ContentHash::from_bytes(*hasher.finalize().as_bytes())
    }

    /// Takes powers that were read for finished, if their hash is the pinned one.
    ///
    /// The hash is the caller's word for who made them: it comes from a manifest, or from a chain that a trusted party checked.
    ///
    /// # Errors
    /// [`BeginError::Pinned`].
    pub fn pinned(self, pinned: ContentHash) -> Result<FinishedPowers<E>, BeginError> {
        let found = self.hash();
        if found == pinned {
            Ok(FinishedPowers(self))
        } else {
            Err(BeginError::Pinned { found, pinned })
        }
    }

    /// Reads powers of this size from a stranger: a square root for each point, and for those of G2 a check of its group.
    ///
    /// That they are powers is checked; who made them is not known from them, so no key begins with them before they are
    /// [`pinned`](Self::pinned).
    ///
    /// # Errors
    /// Points that are not strictly encoded, or that are not powers of one tau.
    pub fn decode(size: LogSize, mut bytes: &[u8], seed: &Seed) -> Result<Self, Refusal> {
        let (start, hash) = (Self::start(size), ContentHash::of(bytes));
        let counts = start.point_counts();
        let form = Form::Compressed;
        let bytes_of_ones = counts.ones * form.size::<PointOne<E>>();
        if bytes.len() != bytes_of_ones + counts.twos * form.size::<PointTwo<E>>() {
            return Err(PointError::Length.into());
        }
        let ones = points::read(&mut bytes, counts.ones, form, Trust::Stranger)?;
        let twos = points::read(&mut bytes, counts.twos, form, Trust::Stranger)?;
        let read = start.with_points(Points { ones, twos });
        start.check(&read, &mut Coefficients::new(seed, hash))?;
        Ok(read)
    }

    /// Whether the points are powers of one tau, times one alpha and one beta.
    pub(super) fn check_powers(&self, coefficients: &mut Coefficients) -> Result<(), Refusal> {
        let (one, two) = (PointOne::<E>::generator(), PointTwo::<E>::generator());
        let step = [two, self.tau_two[1]];
        for (part, list) in
            [(Part::Tau, &self.tau), (Part::Alpha, &self.alpha), (Part::Beta, &self.beta)]
        {
            let lists = [&list[..list.len() - 1], &list[1..]];
            if !coefficients.same_ratio::<E>(lists, step) {
                return Err(Refusal::Ratio(part));
            }
        }
        let lists = [&self.tau_two[..self.tau_two.len() - 1], &self.tau_two[1..]];
        if !coefficients.same_ratio_two::<E>(lists, [one, self.tau[1]]) {
            return Err(Refusal::Ratio(Part::TauTwo));
        }
        if !coefficients.same_ratio::<E>([&[one], &self.beta[..1]], [two, self.beta_two]) {
            return Err(Refusal::Ratio(Part::Beta));
        }
        Ok(())
    }
}

impl<E: Curve> Stage for Powers<E> {
    type Curve = E;

    fn ceremony(&self) -> ContentHash {
        self.size.ceremony::<E>()
    }

    fn point_counts(&self) -> PointCounts {
        self.size.point_counts()
    }

    fn separators(&self) -> Vec<PointOne<E>> {
        vec![self.tau[1], self.alpha[0], self.beta[0]]
    }

    fn separator_places(&self) -> Vec<usize> {
        let count = self.size.points();
        vec![0, 2 * count - 2, 3 * count - 2]
    }

    fn scaled(&self, secrets: &[Secret<Scalar<E>>]) -> Self {
        let [tau, alpha, beta] = secrets else { panic!("a secret for tau, alpha and beta") };
        let (tau, one) = (tau.reveal(), Scalar::<E>::one());
        let count = self.size.points();
        let mut all = powers(one, tau, self.tau.len());
        let times = |points: &[PointOne<E>], first: &Secret<Scalar<E>>| {
            let mut factors = powers(*first.reveal(), tau, count);
            let scaled = scale_each(points, &factors);
            factors.zeroize();
            scaled
        };
        let next = Self {
            size: self.size,
            tau: scale_each(&self.tau, &all),
            alpha: times(&self.alpha, alpha),
            beta: times(&self.beta, beta),
            tau_two: scale_each(&self.tau_two, &all[..count]),
            beta_two: scale_all(&[self.beta_two], beta.reveal())[0],
        };
        all.zeroize();
        next
    }

    fn points(&self) -> Points<E> {
        let ones = [&self.tau[1..], &self.alpha, &self.beta].concat();
        Points { ones, twos: [&self.tau_two[1..], &[self.beta_two]].concat() }
    }

    fn with_points(&self, Points { mut ones, mut twos }: Points<E>) -> Self {
        let count = self.size.points();
        let beta = ones.split_off(3 * count - 2);
        let alpha = ones.split_off(2 * count - 2);
        let beta_two = twos.pop().expect("as many as the counts say");
        ones.insert(0, PointOne::<E>::generator());
        twos.insert(0, PointTwo::<E>::generator());
        Self { size: self.size, tau: ones, alpha, beta, tau_two: twos, beta_two }
    }

    fn check(&self, next: &Self, coefficients: &mut Coefficients) -> Result<(), Refusal> {
        let parts = [Part::Tau, Part::Alpha, Part::Beta];
        let generator = PointOne::<E>::generator();
        for ((part, old), new) in parts.into_iter().zip(self.separators()).zip(next.separators()) {
            if new == old || new == generator {
                return Err(Refusal::Unchanged(part));
            }
        }
        next.check_powers(coefficients)
    }
}
