//! Contact plans: who can exchange with whom, and when.
//!
//! A scenario names a kind of plan ([`Contacts`]): drawn at random, moved about
//! on a map or around the Earth, written down as a graph, or imported from a
//! recorded trace or a mission's plan. Whatever the kind, [`plan`] gives the
//! whole run's contacts as one sorted list. The same specification, seed and
//! peers give the same list on every machine: randomness comes from the run's
//! ChaCha streams, and the geometry uses only arithmetic that IEEE 754 rounds
//! exactly.
//!
//! Nothing here knows links, frames or faults; a contact says when two peers
//! can exchange, and at most how fast.

mod check;
mod copresence;
mod graph;
mod grid;
mod import;
mod islands;
mod maths;
mod orbit;
mod pairwise;
mod spans;
mod spec;
mod stats;
mod values;
mod walker;
mod waypoint;
mod working_day;

pub use check::check;
pub use graph::{Carrier, Graph, Shape};
pub use import::{
    ImportError, ImportedContacts, LINES_MAX, NAMES_MAX, PlanFile, PlanFormat, TEXT_BYTES_MAX,
    TimeUnit, TraceFile, TraceFormat, import,
};
pub use islands::{Ferry, Inside, Islands};
pub use spans::CONTACTS_MAX;
pub use spec::Contacts;
pub use stats::ContactStats;
pub use values::{
    AltitudeKm, Elevation, Hour, Inclination, Kilometres, Latitude, Longitude, MeanSeconds, Metres,
    MetresPerSecond, PerHour, Places, Seconds, ShiftSeconds,
};
pub use walker::{GroundStation, Pattern, Walker};
pub use waypoint::RandomWaypoint;
pub use working_day::WorkingDay;

use spans::Spans;

/// A contact: peers `a` < `b` can exchange in [`from_us`, `to_us`), counted in
/// microseconds from the start of the run.
///
/// In a plan contacts are sorted by (`from_us`, `a`, `b`, `to_us`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contact {
    /// The lower peer.
    pub a: u16,
    /// The higher peer.
    pub b: u16,
    /// When it begins.
    pub from_us: u64,
    /// When it has ended; later than `from_us`.
    pub to_us: u64,
    /// Bytes per second from `a` to `b`, and back unless `rate_back_bps` says
    /// otherwise; the scenario's link when absent.
    pub rate_bps: Option<u64>,
    /// Bytes per second from `b` to `a`.
    pub rate_back_bps: Option<u64>,
    /// Propagation delay; the scenario's link when absent.
    pub latency_us: Option<u64>,
    /// Only one of the two can send: `a` when `rate_bps` is there, `b` when
    /// `rate_back_bps` is; one-way contacts have exactly one of them.
    pub one_way: bool,
}

/// Who can send in a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Both peers.
    Both,
    /// The lower peer only.
    Forth,
    /// The higher peer only.
    Back,
}

impl Contact {
    /// Who can send.
    pub const fn direction(&self) -> Direction {
        match (self.one_way, self.rate_back_bps.is_some()) {
            (false, _) => Direction::Both,
            (true, false) => Direction::Forth,
            (true, true) => Direction::Back,
        }
    }

    /// Bytes per second from `a` to `b`, and back; absent where the scenario's
    /// link decides (see [`Contact::direction`] for who may send at all).
    pub fn rates_bps(&self) -> [Option<u64>; 2] {
        let back = if self.one_way { None } else { self.rate_bps };
        [self.rate_bps, self.rate_back_bps.or(back)]
    }

    /// How long it lasts.
    pub const fn duration_us(&self) -> u64 {
        self.to_us - self.from_us
    }
}

/// What a plan depends on besides its specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanInput<'a> {
    /// Number of peers.
    pub peers: u16,
    /// Number of epochs, draining included.
    pub epochs_total: u32,
    /// Length of an epoch.
    pub epoch_us: u64,
    /// Seed of every random stream.
    pub seed: u64,
    /// From then on everybody is in contact with everybody until the end, and
    /// the plan's own contacts are over; never when absent.
    pub drain_from_us: Option<u64>,
    /// The unpacked bytes of the file that the specification names, if any.
    pub file: Option<&'a [u8]>,
}

impl PlanInput<'_> {
    /// Length of the run.
    pub fn end_us(&self) -> u64 {
        u64::from(self.epochs_total).saturating_mul(self.epoch_us)
    }

    /// Until when the plan's own contacts count: the drain, or the end.
    pub fn open_until_us(&self) -> u64 {
        self.drain_from_us.map_or(self.end_us(), |drain| drain.min(self.end_us()))
    }
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Values that do not fit together; see [`check`].
    #[error("{key}: {why}")]
    Misfit {
        /// The key, with its tables.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// More than [`CONTACTS_MAX`].
    #[error("the plan has more than {CONTACTS_MAX} contacts; make it sparser or the run shorter")]
    TooManyContacts,
    /// The movement would take too long to compute.
    #[error(
        "the plan needs {needed} positions, the limit is {limit}; raise step_ms to {step_ms} or \
         make the run shorter"
    )]
    TooManySteps {
        /// How many positions would be computed.
        needed: u64,
        /// How many may be.
        limit: u64,
        /// The least step that is within the limit.
        step_ms: u64,
    },
    /// The specification names a file and its bytes were not given.
    #[error("the bytes of {0} are needed")]
    NoFile(String),
    /// The file has more names than the scenario has peers.
    #[error("the file names {names} nodes and the scenario has {peers} peers; set peers = {names}")]
    TooFewPeers {
        /// Names in the file.
        names: usize,
        /// Peers of the scenario.
        peers: u16,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// The contacts of a whole run, sorted, merged and clipped to its length.
///
/// Checks `spec` first, so that it never panics; the order of draws inside each
/// ChaCha stream is part of a run's meaning.
pub fn plan(spec: &Contacts, input: &PlanInput<'_>) -> Result<Vec<Contact>, PlanError> {
    check(spec, input.peers, input.epoch_us)
        .map_err(|(key, why)| PlanError::Misfit { key, why })?;
    let mut spans = Spans::new(input.open_until_us());
    match spec {
        Contacts::AllPairs => pairwise::all_pairs(input.peers, 0, &mut spans)?,
        Contacts::RandomPairwise { probability, duration_ms } => {
            pairwise::random(probability.get(), duration_ms.get(), input, &mut spans)?;
        }
        Contacts::PoissonPairwise { contacts_per_hour, duration_ms } => {
            let rate = pairwise::Poisson::new(*contacts_per_hour, *duration_ms);
            pairwise::poisson(&rate, input, &mut spans)?;
        }
        Contacts::RandomWaypoint(spec) => waypoint::generate(spec, input, &mut spans)?,
        Contacts::WorkingDay(spec) => working_day::generate(spec, input, &mut spans)?,
        Contacts::Islands(spec) => islands::generate(spec, input, &mut spans)?,
        Contacts::Walker(spec) => walker::generate(spec, &mut spans)?,
        Contacts::Graph(spec) => graph::generate(spec, input, &mut spans)?,
        Contacts::Trace(_) | Contacts::Plan(_) => import::generate(spec, input, &mut spans)?,
    }
    if let Some(drain_us) = input.drain_from_us {
        spans.extend_to(input.end_us());
        pairwise::all_pairs(input.peers, drain_us, &mut spans)?;
    }
    Ok(spans.into_contacts())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Specifications of every kind that is not imported, for twelve peers.
    const SPECS: [&str; 8] = [
        "contacts = \"all-pairs\"",
        "[contacts.random-pairwise]\nprobability = 0.4\nduration_ms = 20000",
        "[contacts.poisson-pairwise]\ncontacts_per_hour = 900\nduration_ms = 30000",
        "[contacts.random-waypoint]\narea_m = [200, 200]\nspeed_mps = [1, 2]\n\
         pause_s = [0, 9]\nrange_m = 40\nstep_ms = 700",
        "[contacts.working-day]\nhomes = 8\noffices = 2\nspots = 1\narea_m = [900, 900]\n\
         office_hours = [9, 17]\nevening_probability = 0.5\nrange_m = 30\n\
         begins_at_h = 8.5\nspread_h = 0.5",
        "[contacts.islands]\nislands = 3\ninside = { poisson = { contacts_per_hour = 300, \
         duration_ms = 9000 } }\nferries = [{ route = [0, 1, 2], dwell_ms = 30000, \
         travel_ms = 45000 }]",
        "[contacts.walker]\nsatellites = 10\nplanes = 5\nphasing = 1\n\
         inclination_deg = 60\naltitude_km = 900\npattern = \"delta\"\n\
         min_elevation_deg = 5\ninter_satellite_km = 6000\nground_stations = \
         [{ latitude_deg = 50, longitude_deg = 8 }, { latitude_deg = 0, longitude_deg = 90 }]",
        "[contacts.graph]\nshape = \"dumbbell\"\n\
         carrier = { period_epochs = 3, visit_ms = 15000 }",
    ];

    fn spec(text: &str) -> Contacts {
        let table: toml::Table = text.parse().expect("TOML");
        table["contacts"].clone().try_into().expect("a specification")
    }

    fn arb_spec() -> impl Strategy<Value = Contacts> {
        prop::sample::select(SPECS.to_vec()).prop_map(spec)
    }

    fn input(seed: u64, epochs_total: u32, drain_epochs: Option<u32>) -> PlanInput<'static> {
        let epoch_us = 60_000_000;
        let drain_from_us = drain_epochs.map(|drain| u64::from(epochs_total - drain) * epoch_us);
        PlanInput { peers: 12, epochs_total, epoch_us, seed, drain_from_us, file: None }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_plan_is_sound_sorted_and_the_same_again(
            spec in arb_spec(),
            seed in any::<u64>(),
            epochs in 2_u32..40,
            drain in prop::option::of(0_u32..3),
        ) {
            let input = input(seed, epochs, drain.map(|drain| drain.min(epochs)));
            let contacts = plan(&spec, &input).expect("a plan");
            for it in &contacts {
                prop_assert!(it.a < it.b && it.b < 12 && it.from_us < it.to_us);
                prop_assert!(it.to_us <= input.end_us());
            }
            prop_assert!(contacts.is_sorted_by_key(|it| (it.from_us, it.a, it.b, it.to_us)));
            let mut by_pair: Vec<_> =
                contacts.iter().map(|it| (it.a, it.b, it.from_us, it.to_us)).collect();
            by_pair.sort_unstable();
            for pair in by_pair.windows(2) {
                let apart = (pair[0].0, pair[0].1) != (pair[1].0, pair[1].1);
                prop_assert!(apart || pair[0].3 < pair[1].2, "{pair:?}");
            }
            prop_assert_eq!(&contacts, &plan(&spec, &input).expect("the same plan"));
        }

        #[test]
        fn draining_changes_nothing_before_it_begins(spec in arb_spec(), seed in any::<u64>()) {
            let with = plan(&spec, &input(seed, 30, Some(2))).expect("a plan");
            let without = plan(&spec, &input(seed, 30, None)).expect("a plan");
            let drain_us = 28 * 60_000_000;
            let before = |contacts: &[Contact]| -> Vec<_> {
                let clipped = contacts.iter().filter(|it| it.from_us < drain_us);
                clipped.map(|it| (it.a, it.b, it.from_us, it.to_us.min(drain_us))).collect()
            };
            // Walkers and graphs may be in contact when it begins, which is one contact.
            prop_assert_eq!(before(&with), before(&without));
            let last = with.iter().filter(|it| it.to_us == 30 * 60_000_000).count();
            prop_assert_eq!(last, 66);
        }
    }

    /// FNV-1a over all that a plan says.
    fn fingerprint(contacts: &[Contact]) -> u64 {
        let text = contacts.iter().map(|it| format!("{it:?}\n")).collect::<String>();
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    #[test]
    fn plans_are_the_same_on_every_machine_and_in_every_version() {
        let found = SPECS.map(|text| {
            let contacts = plan(&spec(text), &input(1, 60, Some(2))).expect("a plan");
            (contacts.len(), fingerprint(&contacts))
        });
        let expected = [
            (66, 0x6d79_58c9_0cde_30ff),
            (332, 0x87df_251c_dc5f_07cf),
            (808, 0x925c_079e_325a_b764),
            (1014, 0x93e4_00f8_cffb_fd4a),
            (77, 0x8ffb_0a53_6ee9_4426),
            (987, 0x4fa6_090a_1cec_bdc0),
            (80, 0x9c5b_ebce_83d3_6ebe),
            (281, 0x3995_135f_ff79_5276),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_one_way_contact_tells_its_direction_by_its_rate() {
        let contact = Contact {
            a: 0,
            b: 1,
            from_us: 0,
            to_us: 1,
            rate_bps: Some(5),
            rate_back_bps: None,
            latency_us: None,
            one_way: false,
        };
        assert_eq!((contact.direction(), contact.rates_bps()), (Direction::Both, [Some(5); 2]));
        let forth = Contact { one_way: true, ..contact };
        assert_eq!((forth.direction(), forth.rates_bps()), (Direction::Forth, [Some(5), None]));
        let back = Contact { rate_bps: None, rate_back_bps: Some(6), ..forth };
        assert_eq!((back.direction(), back.rates_bps()), (Direction::Back, [None, Some(6)]));
    }
}
