//! Whether the values of a contact specification fit together.
//!
//! What one value may be is checked where it is read; here are the rules that
//! need two, or the number of peers.

use super::{Carrier, Contacts, Graph, Inside, Islands, RandomWaypoint, Shape, TraceFile};
use super::{TimeUnit, TraceFormat, Walker, WorkingDay};
use crate::scenario::Millis;

/// A key with its tables, and what is wrong with it.
type Checked = Result<(), (String, String)>;

/// Shortest mean length of contacts whose length is drawn.
const MEAN_MS_MIN: u32 = 1_000;

/// Checks `spec` for a scenario of `peers` and epochs of `epoch_us`.
///
/// The error names the key as in the file, `contacts.walker.planes`, and says
/// what does not fit.
pub fn check(spec: &Contacts, peers: u16, epoch_us: u64) -> Checked {
    require(peers >= 2, "peers", || format!("{peers} cannot meet anybody"))?;
    match spec {
        Contacts::AllPairs | Contacts::Plan(_) => Ok(()),
        Contacts::RandomPairwise { duration_ms, .. } => random_pairwise(*duration_ms, epoch_us),
        Contacts::PoissonPairwise { duration_ms, .. } => {
            mean_length(*duration_ms, "contacts.poisson-pairwise.duration_ms")
        }
        Contacts::RandomWaypoint(spec) => random_waypoint(spec),
        Contacts::WorkingDay(spec) => working_day(spec),
        Contacts::Islands(spec) => islands(spec, peers),
        Contacts::Walker(spec) => walker(spec, peers),
        Contacts::Graph(spec) => graph(spec, peers, epoch_us),
        Contacts::Trace(spec) => trace(spec),
    }
}

fn random_pairwise(duration_ms: Millis, epoch_us: u64) -> Checked {
    let fits = u64::from(duration_ms.get()) * 1_000 <= epoch_us;
    require(fits, "contacts.random-pairwise.duration_ms", || {
        format!("{} is longer than an epoch", duration_ms.get())
    })
}

fn mean_length(duration_ms: Millis, key: &str) -> Checked {
    require(duration_ms.get() >= MEAN_MS_MIN, key, || {
        format!("{} is below the shortest contact, {MEAN_MS_MIN}", duration_ms.get())
    })
}

fn random_waypoint(spec: &RandomWaypoint) -> Checked {
    let [slow, fast] = spec.speed_mps.map(|it| it.get());
    ordered(slow, fast, "contacts.random-waypoint.speed_mps")?;
    let [short, long] = spec.pause_s.map(|it| it.get());
    ordered(short, long, "contacts.random-waypoint.pause_s")
}

fn ordered(least: f64, most: f64, key: &str) -> Checked {
    require(least <= most, key, || format!("{least} is above {most}"))
}

fn working_day(spec: &WorkingDay) -> Checked {
    let [begins, ends] = spec.office_hours.map(|it| it.get());
    let spread = spec.spread_h.get();
    require(begins + spread <= ends - spread, "contacts.working-day.office_hours", || {
        format!("with {spread} h earlier or later nothing is left from {begins} to {ends}")
    })?;
    require(begins >= spread, "contacts.working-day.spread_h", || {
        format!("{spread} h before {begins} is the day before")
    })?;
    require(spec.night_h() >= 0.0, "contacts.working-day.travel_mps", || {
        format!("{} m/s is too slow to be home between two days", spec.travel_mps.get())
    })
}

fn islands(spec: &Islands, peers: u16) -> Checked {
    let ferries = spec.ferries.len();
    let members = usize::from(peers).saturating_sub(ferries);
    let enough = usize::try_from(spec.islands.get()).is_ok_and(|islands| islands <= members);
    require(enough, "contacts.islands.islands", || {
        format!("{} islands for {members} peers ({ferries} are ferries)", spec.islands.get())
    })?;
    if let Inside::Poisson { duration_ms, .. } = spec.inside {
        mean_length(duration_ms, "contacts.islands.inside.poisson.duration_ms")?;
    }
    for (index, ferry) in spec.ferries.iter().enumerate() {
        let key = format!("contacts.islands.ferries[{index}].route");
        require(!ferry.route.is_empty(), &key, || "at least one island is needed".to_owned())?;
        let lost = ferry.route.iter().find(|&&island| u32::from(island) >= spec.islands.get());
        require(lost.is_none(), &key, || format!("there is no island {}", lost.unwrap_or(&0)))?;
    }
    Ok(())
}

fn walker(spec: &Walker, peers: u16) -> Checked {
    let [satellites, planes] = [spec.satellites, spec.planes].map(|it| it.get());
    require(satellites % planes == 0, "contacts.walker.planes", || {
        format!("{satellites} satellites cannot be dealt out to {planes} planes")
    })?;
    require(spec.phasing < planes, "contacts.walker.phasing", || {
        format!("{} is not below the number of planes, {planes}", spec.phasing)
    })?;
    let stations = spec.ground_stations.len();
    let bodies = u64::from(satellites).saturating_add(u64::try_from(stations).unwrap_or(u64::MAX));
    require(bodies == u64::from(peers), "contacts.walker.satellites", || {
        format!("{satellites} satellites and {stations} ground stations are not {peers} peers")
    })
}

fn graph(spec: &Graph, peers: u16, epoch_us: u64) -> Checked {
    let one = spec.edges.is_some() != spec.shape.is_some();
    require(one, "contacts.graph", || "either edges or a shape is needed".to_owned())?;
    const EDGES: &str = "contacts.graph.edges";
    for &[a, b] in spec.edges.iter().flatten() {
        require(a.max(b) < peers, EDGES, || format!("there is no peer {}", a.max(b)))?;
        require(a != b, EDGES, || format!("peer {a} cannot meet itself"))?;
    }
    spec.carrier.iter().try_for_each(|it| carrier(it, spec.shape, peers, epoch_us))
}

fn carrier(spec: &Carrier, shape: Option<Shape>, peers: u16, epoch_us: u64) -> Checked {
    const KEY: &str = "contacts.graph.carrier";
    require(shape == Some(Shape::Dumbbell), KEY, || "only a dumbbell has one".to_owned())?;
    require(peers >= 3, KEY, || format!("of {peers} peers none are left for two halves"))?;
    let half_us = u64::from(spec.period_epochs.get()).saturating_mul(epoch_us) / 2;
    let visit_us = u64::from(spec.visit_ms.get()) * 1_000;
    require(visit_us <= half_us, "contacts.graph.carrier.visit_ms", || {
        format!("{} is longer than half a period, {}", spec.visit_ms.get(), half_us / 1_000)
    })
}

fn trace(spec: &TraceFile) -> Checked {
    let named = spec.format == TraceFormat::Csv && spec.time_unit != TimeUnit::S;
    require(!named, "contacts.trace.time_unit", || "a csv file says s in its header".to_owned())?;
    let slotted = spec.slot_s.is_none() || spec.format == TraceFormat::Tij;
    require(slotted, "contacts.trace.slot_s", || "only the format tij has slots".to_owned())
}

fn require(holds: bool, key: &str, why: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err((key.to_owned(), why())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::{PlanError, PlanInput, plan};

    const DAY: &str = "[working-day]\nhomes = 1\noffices = 1\nspots = 1\narea_m = [9, 9]\n\
        evening_probability = 0\nrange_m = 1\n";
    const WALKER: &str = "[walker]\ninclination_deg = 50\naltitude_km = 500\n\
        pattern = \"delta\"\nmin_elevation_deg = 10\n";
    const AREA: &str = "[random-waypoint]\narea_m = [9, 9]\nrange_m = 1\n";

    fn refused(text: &str) -> Option<String> {
        let spec: Contacts = toml::from_str(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        let refused = check(&spec, 4, 1_000_000).err();
        let input = PlanInput {
            peers: 4,
            epochs_total: 0,
            epoch_us: 1_000_000,
            seed: 0,
            drain_from_us: None,
            file: Some(b"1 2 3\n"),
        };
        let planned = plan(&spec, &input);
        assert_eq!(refused.is_some(), matches!(planned, Err(PlanError::Misfit { .. })), "{text}");
        refused.map(|(key, _)| key.strip_prefix("contacts.").expect("a key of contacts").to_owned())
    }

    fn expect_refused(cases: &[(&str, &str, &str)]) {
        for (table, rest, key) in cases {
            let text = format!("{table}{rest}");
            assert_eq!(refused(&text).as_deref(), Some(*key), "{text}");
        }
    }

    #[test]
    fn times_that_do_not_fit_name_their_key() {
        const RANDOM: &str = "[random-pairwise]\nprobability = 1\n";
        const POISSON: &str = "[poisson-pairwise]\ncontacts_per_hour = 1\n";
        expect_refused(&[
            (RANDOM, "duration_ms = 1001", "random-pairwise.duration_ms"),
            (POISSON, "duration_ms = 999", "poisson-pairwise.duration_ms"),
            (AREA, "speed_mps = [2, 1]\npause_s = [0, 0]", "random-waypoint.speed_mps"),
            (AREA, "speed_mps = [1, 1]\npause_s = [2, 1]", "random-waypoint.pause_s"),
            (DAY, "office_hours = [8, 9]", "working-day.office_hours"),
            (DAY, "office_hours = [0.5, 9]", "working-day.spread_h"),
            (DAY, "office_hours = [2, 23]", "working-day.travel_mps"),
        ]);
    }

    #[test]
    fn numbers_that_do_not_fit_name_their_key() {
        const TWO: &str = "[islands]\nislands = 2\ninside = \"always\"\n\
            ferries = [{ dwell_ms = 1, travel_ms = 1, ";
        expect_refused(&[
            ("[islands]\nislands = 5\n", "inside = \"always\"", "islands.islands"),
            (TWO, "route = [2] }]", "islands.ferries[0].route"),
            (TWO, "route = [] }]", "islands.ferries[0].route"),
            (WALKER, "satellites = 4\nplanes = 3\nphasing = 0", "walker.planes"),
            (WALKER, "satellites = 4\nplanes = 2\nphasing = 2", "walker.phasing"),
            (WALKER, "satellites = 6\nplanes = 2\nphasing = 1", "walker.satellites"),
        ]);
    }

    #[test]
    fn options_that_do_not_fit_name_their_key() {
        const TRACE: &str = "[trace]\nfile = \"x\"\nformat = ";
        const DUMBBELL: &str = "[graph]\nshape = \"dumbbell\"\ncarrier = ";
        const RING: &str = "[graph]\nshape = \"ring\"\n";
        expect_refused(&[
            ("[graph]\n", "", "graph"),
            (RING, "edges = []", "graph"),
            ("[graph]\n", "edges = [[0, 4]]", "graph.edges"),
            ("[graph]\n", "edges = [[1, 1]]", "graph.edges"),
            (RING, "carrier = { period_epochs = 2, visit_ms = 1 }", "graph.carrier"),
            (DUMBBELL, "{ period_epochs = 1, visit_ms = 501 }", "graph.carrier.visit_ms"),
            (TRACE, "\"csv\"\ntime_unit = \"ms\"", "trace.time_unit"),
            (TRACE, "\"one\"\nslot_s = 20", "trace.slot_s"),
        ]);
    }

    #[test]
    fn values_that_fit_pass() {
        for text in [
            format!("{AREA}speed_mps = [1, 1]\npause_s = [0, 0]"),
            format!("{DAY}office_hours = [8, 17]"),
            format!("{WALKER}satellites = 4\nplanes = 2\nphasing = 1"),
            "[islands]\nislands = 4\ninside = \"always\"".to_owned(),
            "[graph]\nedges = [[0, 3]]".to_owned(),
            "[trace]\nfile = \"x\"\nformat = \"tij\"\nslot_s = 20".to_owned(),
        ] {
            assert_eq!(refused(&text), None, "{text}");
        }
    }

    #[test]
    fn one_peer_alone_has_no_contacts() {
        let (key, _) = check(&Contacts::AllPairs, 1, 1).expect_err("one peer");
        assert_eq!(key, "peers");
    }
}
