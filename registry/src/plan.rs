//! Training plan: how much local training stands behind one update.

use longhaul_dtn::codec::{CodecError, Reader, Writer};

/// Most local steps per epoch.
pub const STEPS_MAX: u32 = 100_000;
/// Most samples per step.
pub const BATCH_MAX: u32 = 4_096;
/// Highest learning rate: 100, in millionths.
pub const RATE_MICRO_MAX: u32 = 100_000_000;
/// Most samples that an update may claim to be made from. No rule weighs by
/// this claim; the limit keeps nonsense out.
pub const SAMPLES_MAX: u32 = 1 << 30;

/// A whole, in thousandths.
pub const PERMILLE: u16 = 1_000;
/// Largest weight of a proximal term: 100, in thousandths.
pub const PROXIMAL_MILLI_MAX: u32 = 100_000;
/// Largest momentum, in thousandths.
pub const MOMENTUM_PERMILLE_MAX: u16 = 990;

/// What each peer does locally in one epoch: stochastic gradient descent.
///
/// In a manifest a map of `1: steps`, `2: batch`, `3: rate`, and `4: schedule`, `5: pending`,
/// `6: proximal`, `7: momentum` where they are not as in [`TrainingPlan::plain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainingPlan {
    /// Local steps per epoch, 1 to [`STEPS_MAX`].
    pub steps: u32,
    /// Samples per step, 1 to [`BATCH_MAX`].
    pub batch: u32,
    /// Learning rate in millionths, 1 to [`RATE_MICRO_MAX`].
    pub rate_micro: u32,
    /// How the rate falls over the federation's epochs.
    pub schedule: Schedule,
    /// The weight, in thousandths, that a peer gives to its own updates that no term counts yet
    /// when it trains, 0 to [`PERMILLE`].
    pub pending_permille: u16,
    /// The weight, in thousandths, of half the squared distance from where training began, which
    /// is added to the loss (FedProx: Li et al., "Federated Optimization in Heterogeneous
    /// Networks", MLSys 2020, arXiv 1812.06127), 0 to [`PROXIMAL_MILLI_MAX`].
    pub proximal_milli: u32,
    /// Heavy-ball momentum of the local steps of an epoch, in thousandths, 0 to
    /// [`MOMENTUM_PERMILLE_MAX`]; each epoch begins at rest.
    pub momentum_permille: u16,
}

/// How the learning rate falls over a federation's epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Schedule {
    /// Not at all.
    #[default]
    Constant,
    /// Along half a cosine, to zero behind the last epoch (Loshchilov and Hutter, "SGDR", ICLR
    /// 2017, arXiv 1608.03983, without restarts).
    Cosine,
}

/// A name that is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no schedule; choose constant or cosine")]
pub struct ScheduleNameError(pub String);

impl std::str::FromStr for Schedule {
    type Err = ScheduleNameError;

    fn from_str(text: &str) -> Result<Self, ScheduleNameError> {
        match text {
            "constant" => Ok(Self::Constant),
            "cosine" => Ok(Self::Cosine),
            other => Err(ScheduleNameError(other.to_owned())),
        }
    }
}

impl std::fmt::Display for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Constant => "constant",
            Self::Cosine => "cosine",
        })
    }
}

impl Schedule {
    /// What the rate is multiplied with in `epoch` of `epochs`, 0 to 1.
    pub fn factor(self, epoch: u32, epochs: u32) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine => {
                let passed = f64::from(epoch.min(epochs)) / f64::from(epochs.max(1));
                0.5 + 0.5 * cosine(std::f64::consts::PI * passed)
            }
        }
    }
}

/// The cosine of 0 to pi, by the same operations on every machine.
fn cosine(angle: f64) -> f64 {
    // Around a right angle, by the series of the sine: 13 terms leave less than 1e-16.
    let x = std::f64::consts::FRAC_PI_2 - angle;
    let (mut term, mut sum) = (x, x);
    for n in 1..13 {
        let n = f64::from(n);
        term *= -x * x / ((2.0 * n) * (2.0 * n + 1.0));
        sum += term;
    }
    sum
}

impl TrainingPlan {
    /// Steps at one rate, with own updates at full weight and nothing besides.
    pub const fn plain(steps: u32, batch: u32, rate_micro: u32) -> Self {
        Self {
            steps,
            batch,
            rate_micro,
            schedule: Schedule::Constant,
            pending_permille: PERMILLE,
            proximal_milli: 0,
            momentum_permille: 0,
        }
    }

    /// The plan with the rate that `epoch` of `epochs` has, at least a millionth.
    pub fn in_epoch(&self, epoch: u32, epochs: u32) -> Self {
        let rate = f64::from(self.rate_micro) * self.schedule.factor(epoch, epochs);
        Self { rate_micro: (rate.round() as u32).max(1), ..*self }
    }

    /// Number of samples that a whole epoch of training draws.
    pub const fn samples_max(&self) -> u32 {
        self.steps.saturating_mul(self.batch)
    }

    /// The pairs that not every plan has: key, value and what it is where there is none.
    fn more(&self) -> [(u64, u32, u32); 4] {
        let plain = Self::plain(self.steps, self.batch, self.rate_micro);
        let pairs = |plan: &Self| {
            let schedule = u32::from(plan.schedule == Schedule::Cosine);
            let (pending, momentum) = (plan.pending_permille, plan.momentum_permille);
            [schedule, pending.into(), plan.proximal_milli, momentum.into()]
        };
        let (found, plain) = (pairs(self), pairs(&plain));
        std::array::from_fn(|it| (4 + it as u64, found[it], plain[it]))
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        let more = self.more().into_iter().filter(|(_, found, plain)| found != plain);
        writer.map(3 + more.clone().count());
        writer.unsigned(1).unsigned(u64::from(self.steps));
        writer.unsigned(2).unsigned(u64::from(self.batch));
        writer.unsigned(3).unsigned(u64::from(self.rate_micro));
        more.for_each(|(key, found, _)| {
            writer.unsigned(key).unsigned(u64::from(found));
        });
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let with = |more: usize| {
            let mut reader = reader.clone();
            reader.map(3 + more).map(|()| (more, reader))
        };
        let found = (0..4).find_map(|more| with(more).ok());
        let (mut more, rest) = found.map_or_else(|| with(4), Ok)?;
        *reader = rest;
        let mut field = |key| {
            reader.key(key)?;
            read_u32(reader)
        };
        let mut plan = Self::plain(field(1)?, field(2)?, field(3)?);
        for (key, _, plain) in plan.more() {
            if more == 0 || reader.clone().key(key).is_err() {
                continue;
            }
            reader.key(key)?;
            let wrong = reader.invalid("a value of the training plan that has a pair");
            let value = read_u32(reader)?;
            let narrow = || u16::try_from(value).map_err(|_| wrong.clone());
            match key {
                _ if value == plain => return Err(wrong),
                4 if value > 1 => return Err(wrong),
                4 => plan.schedule = Schedule::Cosine,
                5 => plan.pending_permille = narrow()?,
                6 => plan.proximal_milli = value,
                _ => plan.momentum_permille = narrow()?,
            }
            more -= 1;
        }
        // A pair of another key is left over.
        if more == 0 { Ok(plan) } else { Err(reader.invalid("the next key of the map")) }
    }
}

/// Reads an unsigned integer of 32 bits.
pub(crate) fn read_u32(reader: &mut Reader<'_>) -> Result<u32, CodecError> {
    let above = reader.invalid("an unsigned integer of 32 bits");
    u32::try_from(reader.unsigned(u64::from(u32::MAX))?).map_err(|_| above)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(plan: &TrainingPlan) -> Vec<u8> {
        let mut writer = Writer::new();
        plan.encode(&mut writer);
        writer.into_bytes()
    }

    fn read(bytes: &[u8]) -> Result<TrainingPlan, CodecError> {
        let mut reader = Reader::new(bytes);
        let plan = TrainingPlan::decode(&mut reader)?;
        reader.finish().map(|()| plan)
    }

    #[test]
    fn plans_come_back_and_plain_ones_are_as_they_were() {
        let plain = TrainingPlan::plain(10, 16, 100_000);
        assert_eq!(bytes(&plain), [0xA3, 1, 10, 2, 16, 3, 0x1A, 0, 1, 0x86, 0xA0]);
        let cosine = TrainingPlan { schedule: Schedule::Cosine, ..plain };
        let pending = TrainingPlan { pending_permille: 0, ..plain };
        let proximal = TrainingPlan { proximal_milli: 10, ..cosine };
        let all = TrainingPlan { momentum_permille: 900, pending_permille: 500, ..proximal };
        for plan in [plain, cosine, pending, proximal, all] {
            let bytes = bytes(&plan);
            assert_eq!(read(&bytes), Ok(plan));
            (0..bytes.len()).for_each(|end| assert!(read(&bytes[..end]).is_err(), "{plan:?}"));
        }
    }

    #[test]
    fn one_plan_has_one_encoding() {
        let front = [1, 10, 2, 16, 3, 5];
        for more in [
            // The value that is left out; an unknown key; a wide value; keys out of order; twice.
            &[4, 0][..],
            &[5, 0x19, 0x03, 0xE8],
            &[8, 1],
            &[4, 2],
            &[7, 0x1A, 0, 1, 0, 0],
            &[5, 1, 4, 1],
            &[5, 1, 5, 1],
        ] {
            let pairs = if more.len() == 4 && more[2] < 8 { 2 } else { 1 };
            let bytes = [&[0xA3 + pairs][..], &front, more].concat();
            assert!(read(&bytes).is_err(), "{more:?}");
        }
    }

    #[test]
    fn a_cosine_falls_from_one_to_nothing() {
        for step in 0..=1_000 {
            let angle = std::f64::consts::PI * f64::from(step) / 1_000.0;
            assert!((cosine(angle) - angle.cos()).abs() < 1e-15, "{angle}");
        }
        let plan =
            TrainingPlan { schedule: Schedule::Cosine, ..TrainingPlan::plain(1, 1, 100_000) };
        let rates = [0, 75, 150, 225, 299, 300, 900].map(|it| plan.in_epoch(it, 300).rate_micro);
        assert_eq!(rates, [100_000, 85_355, 50_000, 14_645, 3, 1, 1]);
        assert_eq!(TrainingPlan::plain(1, 1, 7).in_epoch(9, 10).rate_micro, 7);
        assert_eq!("cosine".parse(), Ok(Schedule::Cosine));
        assert!("linear".parse::<Schedule>().is_err());
    }
}
