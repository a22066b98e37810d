//! The kinds of contact plans, as a scenario writes them.
//!
//! A kind without options is a word, `contacts = "all-pairs"`; one with options
//! is a table, `[contacts.random-pairwise]`. Unknown keys are refused.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Graph, Islands, PerHour, PlanFile, RandomWaypoint, TraceFile, Walker, WorkingDay};
use crate::scenario::{Millis, Probability};

/// Who meets whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Contacts {
    /// Everybody is in contact with everybody all the time.
    AllPairs,
    /// In each epoch a peer may meet one other, drawn at random.
    RandomPairwise {
        /// Chance that a peer starts a contact in an epoch.
        probability: Probability,
        /// Length of a contact.
        duration_ms: Millis,
    },
    /// Two peers, drawn at random, meet at random times: the memoryless plan to
    /// begin with where thousands of contacts are wanted and no place matters.
    PoissonPairwise {
        /// Contacts in an hour in the whole network, on average.
        contacts_per_hour: PerHour,
        /// Mean length of a contact, at least 1,000; a contact lasts one second
        /// and an exponentially distributed time that makes up the mean.
        duration_ms: Millis,
    },
    /// Peers walk from point to point; who is within range is in contact.
    RandomWaypoint(RandomWaypoint),
    /// Homes by night, offices by day, and some evenings in town.
    WorkingDay(WorkingDay),
    /// Islands of peers with ferries between them.
    Islands(Islands),
    /// A Walker constellation of satellites and its ground stations.
    Walker(Walker),
    /// Permanent links.
    Graph(Graph),
    /// A recorded trace of contacts.
    Trace(TraceFile),
    /// A mission's contact plan.
    Plan(PlanFile),
}

impl Contacts {
    /// The file whose bytes [`super::PlanInput::file`] must hold, if any.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Trace(spec) => Some(&spec.file),
            Self::Plan(spec) => Some(&spec.file),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Document {
        contacts: Contacts,
    }

    const KINDS: [&str; 14] = [
        "contacts = \"all-pairs\"",
        "[contacts.random-pairwise]\nprobability = 0.25\nduration_ms = 10000",
        "[contacts.poisson-pairwise]\ncontacts_per_hour = 4000\nduration_ms = 60000",
        "[contacts.random-waypoint]\narea_m = [1000, 500.5]\nspeed_mps = [0.5, 2]\n\
         pause_s = [0, 60]\nrange_m = 50",
        "[contacts.working-day]\nhomes = 100\noffices = 5\nspots = 3\narea_m = [5000, 5000]\n\
         office_hours = [8, 17]\nevening_probability = 0.5\nrange_m = 10",
        "[contacts.islands]\nislands = 3\ninside = \"always\"\n\
         ferries = [{ route = [0, 1, 2], dwell_ms = 60000, travel_ms = 600000 }]",
        "[contacts.islands]\nislands = 2\n[contacts.islands.inside.poisson]\n\
         contacts_per_hour = 5\nduration_ms = 60000",
        "[contacts.walker]\nsatellites = 66\nplanes = 6\nphasing = 2\ninclination_deg = 86.4\n\
         altitude_km = 780\npattern = \"star\"\nmin_elevation_deg = 8\ninter_satellite_km = 4000\n\
         [[contacts.walker.ground_stations]]\nlatitude_deg = 52.5\nlongitude_deg = 13.4",
        "[contacts.graph]\nedges = [[0, 1], [1, 2]]",
        "[contacts.graph]\nshape = \"ring\"",
        "[contacts.graph]\nshape = \"dumbbell\"\n\
         carrier = { period_epochs = 4, visit_ms = 60000 }",
        "[contacts.trace]\nfile = \"a.dat\"\nformat = \"tij\"\noffset_s = -3600",
        "[contacts.trace]\nfile = \"b.txt\"\nformat = \"one\"\ntime_unit = \"ms\"\n\
         keep_time = true",
        "[contacts.plan]\nfile = \"c.ionrc\"\nformat = \"ion\"",
    ];

    fn read(text: &str) -> Document {
        toml::from_str(text).unwrap_or_else(|error| panic!("{text}\n{error}"))
    }

    #[test]
    fn every_kind_is_read_and_written_back() {
        for text in KINDS {
            let document = read(text);
            let again = toml::to_string(&document).expect("every value has a TOML form");
            assert_eq!(read(&again), document, "{again}");
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        for text in KINDS.into_iter().skip(1) {
            let (first, rest) = text.split_once('\n').expect("a table");
            let misspelt = format!("{first}\nlatency = 1\n{rest}");
            let error = toml::from_str::<Document>(&misspelt).expect_err(text).to_string();
            assert!(error.contains("line 2") && error.contains("latency"), "{error}");
        }
        assert!(toml::from_str::<Document>("contacts = \"nobody\"").is_err());
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for (text, from, to) in [
            (KINDS[1], "0.25", "1.25"),
            (KINDS[3], "[0.5, 2]", "[0, 2]"),
            (KINDS[3], "[0.5, 2]", "[1]"),
            (KINDS[7], "780", "80"),
            (KINDS[7], "52.5", "95"),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(toml::from_str::<Document>(&text.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn imports_name_their_file() {
        let names_one = KINDS.map(|text| read(text).contacts.file().is_some());
        assert_eq!(names_one.iter().filter(|&&it| it).count(), 3);
        assert!(names_one[11..].iter().all(|&it| it));
    }
}
