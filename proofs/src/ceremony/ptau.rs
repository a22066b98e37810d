//! Ptau: powers of tau from a ceremony that others held, as snarkjs writes them, over BN254.
//!
//! A `.ptau` file is `"ptau"`, a version and sections, each with a type and a length, all little-endian. Section 1 is the
//! header (bytes of a coordinate, the prime, the power, the ceremony's power); 2 to 6 are `[tau^i]` in G1 and in G2,
//! `[alpha tau^i]`, `[beta tau^i]` and `[beta]` in G2: affine points, coordinates in Montgomery form. Others (its contributions, its
//! Lagrange bases) are skipped. What is taken is checked as strictly as points of ours, and so is that they are powers. Who took part is
//! not, so a key begins with them only once [`Powers::pinned`] was told their hash.

use ark_bn254::{Bn254, Fq, Fq2, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ff::{BigInt, BigInteger, PrimeField};
use longhaul_dtn::hash::ContentHash;
use rayon::prelude::*;

use super::powers::{LogSize, Powers};
use super::ratio::Coefficients;
use super::refusal::Refusal;
use super::stage::{Points, Stage};
use crate::cp::PointError;
use crate::seed::Seed;

const MAGIC: &[u8; 4] = b"ptau";
const VERSION: u32 = 1;
/// More sections than any such file has.
const SECTIONS_MAX: u32 = 32;
/// The sections that are read: 1 to 6.
const READ: usize = 6;
/// The greatest power there are roots of unity for.
const POWER_MAX: u32 = 28;
const COORDINATE: usize = 32;
const ONE: usize = 2 * COORDINATE;
const TWO: usize = 4 * COORDINATE;

/// Why a file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PtauError {
    /// Not such a file, or one that ends early or late.
    #[error("not a well-formed ptau file: {0}")]
    Malformed(&'static str),
    /// The file is for another curve.
    #[error("the file's prime is not that of bn254")]
    Curve,
    /// The file has fewer powers than are asked for.
    #[error("the file has powers for 2^{0}, which is too few")]
    Size(u32),
    /// A point is not one, or the points are not powers of one tau.
    #[error("the file's points: {0}")]
    Powers(#[from] Refusal),
}

/// Takes bytes off a file.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: u64) -> Result<&'a [u8], PtauError> {
        let short = PtauError::Malformed("it ends early");
        let len = usize::try_from(len).map_err(|_| short.clone())?;
        let (head, rest) = self.0.split_at_checked(len).ok_or(short)?;
        self.0 = rest;
        Ok(head)
    }

    fn word(&mut self) -> Result<u32, PtauError> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes were taken")))
    }

    fn long(&mut self) -> Result<u64, PtauError> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes were taken")))
    }

    fn end(&self) -> Result<(), PtauError> {
        if self.0.is_empty() { Ok(()) } else { Err(PtauError::Malformed("bytes are left over")) }
    }
}

impl Powers<Bn254> {
    /// Takes the powers for domains of up to `size` out of a file, each checked as a stranger's.
    ///
    /// # Errors
    /// What is wrong with the file. No more is allocated than `size` has points.
    pub fn from_ptau(bytes: &[u8], size: LogSize, seed: &Seed) -> Result<Self, PtauError> {
        let [header, tau, tau_two, alpha, beta, beta_two] = sections(bytes)?;
        let power = power(header)?;
        let (count, all) = (size.points(), 1_usize << power);
        if all < count {
            return Err(PtauError::Size(power));
        }
        let lens = [tau, tau_two, alpha, beta, beta_two].map(<[u8]>::len);
        if lens != [(2 * all - 1) * ONE, all * TWO, all * ONE, all * ONE, TWO] {
            return Err(PtauError::Malformed("a section has not its power's length"));
        }
        let mut ones = read(&tau[..(2 * count - 1) * ONE], one)?;
        let mut twos = read(&tau_two[..count * TWO], two)?;
        if (ones.remove(0), twos.remove(0)) != (G1Affine::generator(), G2Affine::generator()) {
            return Err(PtauError::Malformed("the powers do not begin at the generators"));
        }
        ones.extend(read(&alpha[..count * ONE], one)?);
        ones.extend(read(&beta[..count * ONE], one)?);
        twos.extend(read(beta_two, two)?);
        let start = Self::start(size);
        let powers = start.with_points(Points { ones, twos });
        let mut coefficients = Coefficients::new(seed, ContentHash::of(bytes));
        start.check(&powers, &mut coefficients)?;
        Ok(powers)
    }
}

/// The sections 1 to 6, each once.
fn sections(bytes: &[u8]) -> Result<[&[u8]; READ], PtauError> {
    let mut cursor = Cursor(bytes);
    if cursor.take(4)? != MAGIC {
        return Err(PtauError::Malformed("it does not begin with ptau"));
    }
    if cursor.word()? != VERSION {
        return Err(PtauError::Malformed("its version is not 1"));
    }
    let count = cursor.word()?;
    if count > SECTIONS_MAX {
        return Err(PtauError::Malformed("it has too many sections"));
    }
    let mut found = [None; READ];
    for _ in 0..count {
        let (kind, len) = (cursor.word()?, cursor.long()?);
        let section = cursor.take(len)?;
        let place = usize::try_from(kind).ok().and_then(|kind| kind.checked_sub(1));
        if let Some(slot) = place.and_then(|place| found.get_mut(place))
            && slot.replace(section).is_some()
        {
            return Err(PtauError::Malformed("a section is there twice"));
        }
    }
    cursor.end()?;
    let mut read = [&[][..]; READ];
    for (section, found) in read.iter_mut().zip(found) {
        *section = found.ok_or(PtauError::Malformed("a section is missing"))?;
    }
    Ok(read)
}

/// The power that the header gives.
fn power(header: &[u8]) -> Result<u32, PtauError> {
    let mut cursor = Cursor(header);
    let expected = COORDINATE as u64;
    if u64::from(cursor.word()?) != expected || cursor.take(expected)? != Fq::MODULUS.to_bytes_le()
    {
        return Err(PtauError::Curve);
    }
    let (power, _of_the_ceremony) = (cursor.word()?, cursor.word()?);
    cursor.end()?;
    if (1..=POWER_MAX).contains(&power) { Ok(power) } else { Err(PtauError::Size(power)) }
}

/// Both coordinates of a point, if they are below the prime.
type Coordinates<F> = Option<(F, F)>;

/// Points of one size, on all threads of the pool; the first fault counts.
fn read<P: SWCurveConfig>(
    bytes: &[u8],
    coordinates: fn(&[u8]) -> Coordinates<P::BaseField>,
) -> Result<Vec<Affine<P>>, PtauError> {
    let size = 2 * COORDINATE * <P::BaseField as ark_ff::Field>::extension_degree() as usize;
    let point = |bytes: &[u8]| {
        let (x, y) = coordinates(bytes).ok_or(PointError::NotCanonical)?;
        if x == P::BaseField::default() && y == P::BaseField::default() {
            return Err(PointError::Identity);
        }
        let point = Affine::<P>::new_unchecked(x, y);
        let inside = point.is_on_curve() && point.is_in_correct_subgroup_assuming_on_curve();
        if inside { Ok(point) } else { Err(PointError::NotInGroup) }
    };
    let points: Vec<_> = bytes.par_chunks_exact(size).map(point).collect();
    Ok(points.into_iter().collect::<Result<_, _>>().map_err(Refusal::from)?)
}

/// A coordinate below the prime, in Montgomery form.
fn coordinate(bytes: &[u8]) -> Option<Fq> {
    let (limbs, _) = bytes.as_chunks::<8>();
    let limbs: [u64; 4] =
        limbs.iter().map(|limb| u64::from_le_bytes(*limb)).collect::<Vec<_>>().try_into().ok()?;
    let value = BigInt(limbs);
    (value < Fq::MODULUS).then(|| Fq::new_unchecked(value))
}

fn one(bytes: &[u8]) -> Option<(Fq, Fq)> {
    Some((coordinate(&bytes[..COORDINATE])?, coordinate(&bytes[COORDINATE..])?))
}

fn two(bytes: &[u8]) -> Option<(Fq2, Fq2)> {
    let half = |bytes: &[u8]| one(bytes).map(|(first, second)| Fq2::new(first, second));
    Some((half(&bytes[..ONE])?, half(&bytes[ONE..])?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ceremony::{Chain, Part};
    use longhaul_dtn::identity::SecretKey;

    fn size(log: u32) -> LogSize {
        LogSize::new(log).unwrap()
    }

    fn seed() -> Seed {
        Seed::from_bytes([1; 32])
    }

    fn powers() -> Powers<Bn254> {
        let peer = SecretKey::from_seed(&[1; 32]).peer_id();
        let mut chain = Chain::powers(size(3), [peer].into());
        let bytes = chain.contribute(peer, seed());
        chain.extend(&bytes, peer, &seed()).unwrap();
        chain.stage().clone()
    }

    fn raw(values: &[Fq]) -> Vec<u8> {
        values.iter().flat_map(|value| value.0.to_bytes_le()).collect()
    }

    fn ones(points: &[G1Affine]) -> Vec<u8> {
        points.iter().flat_map(|it| raw(&[it.x, it.y])).collect()
    }

    fn twos(points: &[G2Affine]) -> Vec<u8> {
        points.iter().flat_map(|it| raw(&[it.x.c0, it.x.c1, it.y.c0, it.y.c1])).collect()
    }

    /// The sections of a file, with one that is of no interest.
    fn parts(powers: &Powers<Bn254>) -> Vec<(u32, Vec<u8>)> {
        let number = |value: u32| value.to_le_bytes().to_vec();
        let header = [number(32), Fq::MODULUS.to_bytes_le(), number(3), number(28)].concat();
        vec![
            (1, header),
            (2, ones(&powers.tau)),
            (3, twos(&powers.tau_two)),
            (4, ones(&powers.alpha)),
            (5, ones(&powers.beta)),
            (6, twos(&[powers.beta_two])),
            (7, vec![1, 2, 3]),
        ]
    }

    fn file(parts: &[(u32, Vec<u8>)]) -> Vec<u8> {
        let count = u32::try_from(parts.len()).unwrap();
        let mut bytes = [&b"ptau"[..], &1_u32.to_le_bytes(), &count.to_le_bytes()].concat();
        for (kind, section) in parts {
            bytes.extend(kind.to_le_bytes());
            bytes.extend((section.len() as u64).to_le_bytes());
            bytes.extend(section);
        }
        bytes
    }

    fn read_file(bytes: &[u8]) -> Result<Powers<Bn254>, PtauError> {
        Powers::from_ptau(bytes, size(3), &seed())
    }

    #[test]
    fn takes_the_powers_of_a_file_and_of_a_part_of_it() {
        let powers = powers();
        let bytes = file(&parts(&powers));
        assert_eq!(read_file(&bytes), Ok(powers.clone()));
        let part = Powers::from_ptau(&bytes, size(2), &seed()).unwrap();
        assert_eq!(part.tau, powers.tau[..7]);
        assert_eq!(Powers::from_ptau(&bytes, size(4), &seed()), Err(PtauError::Size(3)));
    }

    #[test]
    fn refuses_cut_files_and_files_with_more() {
        let bytes = file(&parts(&powers()));
        for len in 0..bytes.len() {
            let error = read_file(&bytes[..len]).unwrap_err();
            assert!(matches!(error, PtauError::Malformed(_)), "{len}: {error}");
        }
        let more = [&bytes[..], &[0]].concat();
        assert_eq!(read_file(&more), Err(PtauError::Malformed("bytes are left over")));
        let mut huge = bytes;
        huge[16..24].fill(0xff);
        assert_eq!(read_file(&huge), Err(PtauError::Malformed("it ends early")));
    }

    type Change = fn(&mut Vec<(u32, Vec<u8>)>);

    #[test]
    fn refuses_what_is_not_powers_and_says_why() {
        let point = |error: PointError| PtauError::Powers(error.into());
        let ratio = |part| PtauError::Powers(Refusal::Ratio(part));
        let cases: [(Change, PtauError); 12] = [
            (|it| it[0].1[5] ^= 1, PtauError::Curve),
            (|it| it[0].1[36] = 4, PtauError::Malformed("a section has not its power's length")),
            (|it| it[0].1[36] = 200, PtauError::Size(200)),
            (|it| it[6].0 = 3, PtauError::Malformed("a section is there twice")),
            (|it| it[3].0 = 9, PtauError::Malformed("a section is missing")),
            (|it| it[1].1[64..128].fill(0), point(PointError::Identity)),
            (|it| it[1].1[64..96].fill(0xff), point(PointError::NotCanonical)),
            (|it| it[1].1[64] ^= 1, point(PointError::NotInGroup)),
            (|it| it[2].1[128] ^= 1, point(PointError::NotInGroup)),
            (|it| it[1].1[128..256].rotate_left(64), ratio(Part::Tau)),
            (|it| it[3].1[64..192].rotate_left(64), ratio(Part::Alpha)),
            (
                |it| it[1].1.rotate_left(64),
                PtauError::Malformed("the powers do not begin at the generators"),
            ),
        ];
        let good = parts(&powers());
        for (number, (change, error)) in cases.into_iter().enumerate() {
            let mut changed = good.clone();
            change(&mut changed);
            assert_eq!(read_file(&file(&changed)), Err(error), "case {number}");
        }
    }
}
