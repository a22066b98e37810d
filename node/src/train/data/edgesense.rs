//! `edgesense`: the built-in data set of worn sensors, generated from a seed.
//!
//! A federation needs data before its users have brought any, for the
//! demonstration, the simulator and tests. Each device records windows of a
//! three-axis accelerometer while its wearer does one of eight activities. As
//! with real devices, no two agree: each is worn at its own angle, has its own
//! gain, offset, drift and noise, and its wearer mostly does three of the
//! activities. So one device's data does not suffice and everybody's together
//! does, which is the point of a federation.
//!
//! A device's windows are a pure function of (seed, device), and bit for bit
//! the same on every machine: basic arithmetic and ChaCha20 only. The signals
//! are invented; they resemble activity recognition data but stand for none.

use crate::train::draw::{Draw, Purpose};
use crate::train::portable::{cosine_of_turns, sine_of_turns};

use super::{Dataset, Samples};

/// Axes of the sensor.
pub const AXES: usize = 3;

/// Readings per axis in a window: two seconds.
pub const WINDOW: usize = 32;

/// Readings per second and axis.
const READINGS_PER_SECOND: f64 = 16.0;

/// Numbers per window; all readings of the first axis come first.
pub const FEATURES: usize = AXES * WINDOW;

/// Activities, and so classes.
pub const CLASSES: usize = ACTIVITIES.len();

/// Windows that a device records for training.
pub const WINDOWS_PER_DEVICE: usize = 240;

/// Most devices one federation can have.
pub const DEVICES_MAX: u32 = 65_536;

/// Devices that only record test windows: nobody trains on their data.
const TEST_DEVICES: u32 = 48;

/// Test windows per test device, the same number of each activity.
const TEST_WINDOWS_PER_DEVICE: usize = 3 * CLASSES;

/// The first test device; far from the devices that train.
const TEST_DEVICE_FIRST: u32 = 1 << 31;

/// Share of a device's windows that show one of its wearer's three favourites.
const FAVOURITES_SHARE: f64 = 0.96;

/// Largest angle between a device's axes and the wearer's, in turns.
const ANGLE_MAX_TURNS: f64 = 0.03;

/// What an activity looks like to a sensor worn straight, in units of gravity.
#[derive(Debug)]
struct Activity {
    name: &'static str,
    /// Where gravity points.
    gravity: [f64; AXES],
    /// Slowest and fastest rhythm in movements per second.
    rhythm: [f64; 2],
    /// Swing of each axis in the rhythm.
    swing: [f64; AXES],
    /// Swing of each axis at twice the rhythm.
    second: [f64; AXES],
    /// How far each axis lags behind the first, in turns.
    lag: [f64; AXES],
    /// Deviation of the shaking that has no rhythm.
    shaking: f64,
}

/// The activities in the order of their labels.
static ACTIVITIES: [Activity; 8] = [
    Activity {
        name: "sitting",
        gravity: [0.45, 0.0, 0.89],
        rhythm: [0.2, 0.4],
        swing: [0.02, 0.02, 0.02],
        second: [0.0, 0.0, 0.0],
        lag: [0.0, 0.0, 0.0],
        shaking: 0.03,
    },
    Activity {
        name: "standing",
        gravity: [-0.05, 0.05, 1.0],
        rhythm: [0.3, 0.6],
        swing: [0.04, 0.05, 0.02],
        second: [0.0, 0.0, 0.0],
        lag: [0.0, 0.25, 0.0],
        shaking: 0.03,
    },
    Activity {
        name: "walking",
        gravity: [0.0, 0.0, 1.0],
        rhythm: [1.7, 2.1],
        swing: [0.2, 0.15, 0.38],
        second: [0.05, 0.03, 0.1],
        lag: [0.0, 0.25, 0.1],
        shaking: 0.06,
    },
    Activity {
        name: "climbing",
        gravity: [0.1, 0.0, 1.0],
        rhythm: [1.0, 1.3],
        swing: [0.28, 0.12, 0.28],
        second: [0.1, 0.05, 0.26],
        lag: [0.0, 0.5, 0.3],
        shaking: 0.06,
    },
    Activity {
        name: "running",
        gravity: [0.0, 0.0, 1.0],
        rhythm: [2.6, 3.2],
        swing: [0.45, 0.25, 0.85],
        second: [0.1, 0.05, 0.2],
        lag: [0.0, 0.25, 0.1],
        shaking: 0.12,
    },
    Activity {
        name: "cycling",
        gravity: [0.4, 0.0, 0.92],
        rhythm: [1.2, 1.6],
        swing: [0.3, 0.08, 0.22],
        second: [0.02, 0.02, 0.02],
        lag: [0.0, 0.0, 0.25],
        shaking: 0.08,
    },
    Activity {
        name: "driving",
        gravity: [0.4, 0.0, 0.92],
        rhythm: [0.2, 0.5],
        swing: [0.05, 0.1, 0.04],
        second: [0.0, 0.0, 0.0],
        lag: [0.0, 0.0, 0.0],
        shaking: 0.17,
    },
    Activity {
        name: "rowing",
        gravity: [0.3, 0.0, 0.95],
        rhythm: [0.5, 0.7],
        swing: [0.6, 0.1, 0.12],
        second: [0.16, 0.03, 0.08],
        lag: [0.0, 0.5, 0.6],
        shaking: 0.06,
    },
];

/// The character of one device and its wearer.
#[derive(Debug)]
struct Device {
    /// Turns the wearer's axes into the sensor's.
    rotation: [[f64; AXES]; AXES],
    gain: [f64; AXES],
    offset: [f64; AXES],
    /// Change of the offset from the first window to the last.
    drift: [f64; AXES],
    /// Deviation of the sensor's own noise.
    noise: f64,
    /// The wearer's vigour: scales all movement.
    vigour: f64,
    favourites: [usize; 3],
}

/// The name of the activity that a label stands for, if it stands for one.
pub fn activity_name(label: u8) -> Option<&'static str> {
    ACTIVITIES.get(usize::from(label)).map(|activity| activity.name)
}

/// The training windows of one device.
///
/// A pure function of its arguments; device 0 of one seed has nothing in common
/// with device 0 of another.
pub fn device(seed: &[u8; 32], device: u32) -> Samples {
    device_start(seed, device, WINDOWS_PER_DEVICE)
}

/// The first `windows` of [`device`], from one to all, without making the others.
pub fn device_start(seed: &[u8; 32], device: u32, windows: usize) -> Samples {
    let character = Device::draw(seed, device);
    let mut draw = Draw::new(seed, Purpose::Windows, device);
    let labels = character.training_labels(&mut draw);
    character.record(&labels, windows.clamp(1, WINDOWS_PER_DEVICE), &mut draw)
}

/// The labels of [`device`], without its windows: a thousandth of the work.
pub fn device_labels(seed: &[u8; 32], device: u32) -> Vec<u8> {
    let character = Device::draw(seed, device);
    let labels = character.training_labels(&mut Draw::new(seed, Purpose::Windows, device));
    labels.into_iter().map(narrow).collect()
}

/// The test windows: every activity equally often, on devices that nobody trains on.
///
/// A pure function of the seed, so that all peers measure with the same windows.
pub fn test(seed: &[u8; 32]) -> Samples {
    let record = |device: u32| {
        let character = Device::draw(seed, device);
        let mut draw = Draw::new(seed, Purpose::Windows, device);
        let mut labels: Vec<usize> =
            (0..TEST_WINDOWS_PER_DEVICE).map(|window| window % CLASSES).collect();
        draw.shuffle(&mut labels);
        character.record(&labels, labels.len(), &mut draw)
    };
    let first = record(TEST_DEVICE_FIRST);
    (1..TEST_DEVICES).fold(first, |all, device| {
        all.join(&record(TEST_DEVICE_FIRST + device)).expect("all devices record the same shape")
    })
}

/// The data of one device: its own windows to train on, everybody's to test with.
pub fn of_device(seed: &[u8; 32], index: u32) -> Dataset {
    Dataset::new(device(seed, index), test(seed)).expect("all devices record the same shape")
}

/// The data of the first `devices` devices in one set, and who holds what.
///
/// For the simulator and for comparisons; device `i` holds the indices in entry
/// `i`. The number is limited to 1 to [`DEVICES_MAX`].
pub fn of_devices(seed: &[u8; 32], devices: u32) -> (Dataset, Vec<Vec<u32>>) {
    let devices = devices.clamp(1, DEVICES_MAX);
    let mut inputs = Vec::new();
    let mut labels = Vec::new();
    let mut parts = Vec::new();
    let mut next = 0;
    for index in 0..devices {
        let windows = device(seed, index);
        inputs.extend_from_slice(windows.inputs());
        labels.extend_from_slice(windows.labels());
        let end = next + u32::try_from(windows.len()).expect("a device records few windows");
        parts.push((next..end).collect());
        next = end;
    }
    let train =
        Samples::new(FEATURES, CLASSES, inputs, labels).expect("generated windows are well-formed");
    let data = Dataset::new(train, test(seed)).expect("all devices record the same shape");
    (data, parts)
}

impl Device {
    fn draw(seed: &[u8; 32], device: u32) -> Self {
        let mut draw = Draw::new(seed, Purpose::Device, device);
        let rotation = rotation(&mut draw);
        let mut axes = |low, high| [(); AXES].map(|()| draw.between(low, high));
        let (gain, offset, drift) = (axes(0.9, 1.1), axes(-0.05, 0.05), axes(-0.06, 0.06));
        let (noise, vigour) = (draw.between(0.02, 0.08), draw.between(0.85, 1.15));
        // Three in a row, three further on each next device: any three devices
        // that follow each other know all eight activities.
        let first = usize::try_from(device % 8).expect("less than eight") * 3;
        let favourites = [0, 1, 2].map(|next| (first + next) % CLASSES);
        Self { rotation, gain, offset, drift, noise, vigour, favourites }
    }

    fn training_labels(&self, draw: &mut Draw) -> Vec<usize> {
        let label = |_| {
            if draw.unit() < FAVOURITES_SHARE {
                self.favourites[draw.index(self.favourites.len())]
            } else {
                draw.index(CLASSES)
            }
        };
        (0..WINDOWS_PER_DEVICE).map(label).collect()
    }

    /// Records a window for each of the first `count` labels of a recording.
    fn record(&self, labels: &[usize], count: usize, draw: &mut Draw) -> Samples {
        let (all, labels) = (labels.len() as f64, &labels[..count]);
        let mut inputs = Vec::with_capacity(count * FEATURES);
        for (window, label) in labels.iter().enumerate() {
            let age = window as f64 / all;
            inputs.extend(self.window(&ACTIVITIES[*label], age, draw));
        }
        let labels = labels.iter().copied().map(narrow).collect();
        Samples::new(FEATURES, CLASSES, inputs, labels).expect("generated windows are well-formed")
    }

    /// One window of an activity; `age` runs from 0 to 1 over the recording.
    fn window(&self, activity: &Activity, age: f64, draw: &mut Draw) -> [f32; FEATURES] {
        let rhythm = draw.between(activity.rhythm[0], activity.rhythm[1]) / READINGS_PER_SECOND;
        let start = draw.unit();
        let vigour = self.vigour * draw.between(0.85, 1.15);
        let posture = [(); AXES].map(|()| draw.between(-0.06, 0.06));
        let mut readings = [0.0; FEATURES];
        for moment in 0..WINDOW {
            let turns = start + rhythm * moment as f64;
            let mut worn = [0.0; AXES];
            for (axis, reading) in worn.iter_mut().enumerate() {
                let phase = turns + activity.lag[axis];
                let movement = activity.swing[axis] * sine_of_turns(phase)
                    + activity.second[axis] * sine_of_turns(2.0 * phase)
                    + activity.shaking * draw.noise();
                *reading = activity.gravity[axis] + posture[axis] + vigour * movement;
            }
            for axis in 0..AXES {
                let row = &self.rotation[axis];
                let turned = row[0] * worn[0] + row[1] * worn[1] + row[2] * worn[2];
                let sensed = self.gain[axis] * turned
                    + self.offset[axis]
                    + age * self.drift[axis]
                    + self.noise * draw.noise();
                readings[axis * WINDOW + moment] = sensed as f32;
            }
        }
        readings
    }
}

fn narrow(label: usize) -> u8 {
    u8::try_from(label).expect("eight labels")
}

/// A turn about a random axis by up to [`ANGLE_MAX_TURNS`] (Rodrigues' formula).
fn rotation(draw: &mut Draw) -> [[f64; AXES]; AXES] {
    let height = draw.between(-1.0, 1.0);
    let around = draw.unit();
    let radius = (1.0 - height * height).sqrt();
    let [x, y, z] = [radius * cosine_of_turns(around), radius * sine_of_turns(around), height];
    let angle = draw.between(0.0, ANGLE_MAX_TURNS);
    let (sine, cosine) = (sine_of_turns(angle), cosine_of_turns(angle));
    let rest = 1.0 - cosine;
    [
        [cosine + x * x * rest, x * y * rest - z * sine, x * z * rest + y * sine],
        [y * x * rest + z * sine, cosine + y * y * rest, y * z * rest - x * sine],
        [z * x * rest - y * sine, z * y * rest + x * sine, cosine + z * z * rest],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_dtn::hash::ContentHash;

    const SEED: [u8; 32] = [1; 32];

    fn hash(samples: &Samples) -> String {
        let inputs = samples.inputs().iter().flat_map(|input| input.to_le_bytes());
        let bytes: Vec<u8> = inputs.chain(samples.labels().iter().copied()).collect();
        ContentHash::of(&bytes).to_string()
    }

    #[test]
    fn generates_the_same_bits_on_every_machine_and_in_every_build() {
        let found = [device(&SEED, 0), device(&SEED, 7), test(&SEED)].map(|samples| hash(&samples));
        let golden = [
            "5eca03f9753acb619a3c9e42d1369e890c76eca4d04ad1a5a940976bc4592d15",
            "4d7b14e9ff9505fc279c667be920065f8f6b052e1a50317c834f39633acde22c",
            "ca3969dd15a6b371f54ee40c1014f3dcac096c8a8049b4468674ffd58cf481fd",
        ];
        assert_eq!(found, golden);
    }

    #[test]
    fn a_device_is_the_same_alone_and_among_others() {
        let (data, parts) = of_devices(&SEED, 3);
        for (index, part) in (0..).zip(&parts) {
            let alone = of_device(&SEED, index);
            assert_eq!(alone.test(), data.test());
            assert_eq!(alone.train().len(), part.len());
            for (window, place) in part.iter().enumerate() {
                let place = usize::try_from(*place).unwrap();
                assert_eq!(alone.train().input(window), data.train().input(place));
                assert_eq!(alone.train().labels()[window], data.train().labels()[place]);
            }
        }
    }

    #[test]
    fn labels_alone_are_those_of_the_windows() {
        for index in [0, 5, 70] {
            assert_eq!(device_labels(&SEED, index), device(&SEED, index).labels());
        }
    }

    #[test]
    fn the_start_of_a_recording_is_that_of_the_whole() {
        let whole = device(&SEED, 3);
        for (asked, made) in [(0, 1), (1, 1), (120, 120), (240, 240), (999, 240)] {
            let start = device_start(&SEED, 3, asked);
            assert_eq!(start.labels(), &whole.labels()[..made]);
            assert_eq!(start.inputs(), &whole.inputs()[..made * FEATURES]);
        }
    }

    #[test]
    fn devices_and_seeds_differ() {
        assert_ne!(device(&SEED, 0), device(&SEED, 1));
        assert_ne!(device(&SEED, 0), device(&[2; 32], 0));
    }

    #[test]
    fn a_wearer_mostly_does_three_activities() {
        for index in 0..16 {
            let mut counts = device(&SEED, index).class_counts();
            counts.sort_unstable();
            let favourites: usize = counts[CLASSES - 3..].iter().sum();
            assert!(favourites * 100 >= WINDOWS_PER_DEVICE * 88, "{index}: {counts:?}");
            assert!(counts[CLASSES - 3] >= WINDOWS_PER_DEVICE / 5, "{index}: {counts:?}");
        }
    }

    #[test]
    fn three_devices_in_a_row_know_every_activity() {
        for first in 0..8 {
            let devices = [0, 1, 2].map(|next| device(&SEED, first + next).class_counts());
            for class in 0..CLASSES {
                assert!(devices.iter().any(|counts| counts[class] >= 40), "{first}: {devices:?}");
            }
        }
    }

    #[test]
    fn the_test_has_every_activity_equally_often() {
        let counts = test(&SEED).class_counts();
        assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    }

    #[test]
    fn rotations_keep_lengths_and_stay_within_the_angle() {
        for index in 0..100 {
            let matrix = Device::draw(&SEED, index).rotation;
            for row in 0..AXES {
                for other in 0..AXES {
                    let product: f64 = (0..AXES).map(|k| matrix[row][k] * matrix[other][k]).sum();
                    let wanted = if row == other { 1.0 } else { 0.0 };
                    assert!((product - wanted).abs() < 1e-12);
                }
            }
            let trace: f64 = (0..AXES).map(|axis| matrix[axis][axis]).sum();
            assert!((trace - 1.0) / 2.0 >= cosine_of_turns(ANGLE_MAX_TURNS) - 1e-12);
        }
    }

    #[test]
    fn every_label_has_a_name() {
        let names: std::collections::BTreeSet<_> =
            (0..8).map(|label| activity_name(label).unwrap()).collect();
        assert_eq!(names.len(), CLASSES);
        assert_eq!(activity_name(8), None);
    }
}
