//! Random waypoint: peers walk straight to a point drawn at random, pause, and
//! walk on; who is within range is in contact.
//!
//! The model of Johnson and Maltz (Dynamic Source Routing, 1996). Its first
//! hour is unlike the rest, because peers gather in the middle and the slow ones
//! are seen longer (Navidi and Camp, IEEE TMC 3(1), 2004); so everybody has
//! walked for [`WARM_UP_S`] when the run begins.
//!
//! Cost: every step moves every peer and looks at those who are close to each
//! other; who is close is found with a grid, every few steps.
//! A contact shorter than a step may be missed, and its ends are known to a
//! step. Measured on one core: 1,000 peers on 2 km x 2 km with 50 m range for
//! 24 h, who have 1.7 million contacts, take 6.3 s at 1 s steps and 1.9 s at 10 s.

use rand_chacha::ChaCha20Rng;
use serde::{Deserialize, Serialize};

use super::grid::Grid;
use super::maths::US_PER_SECOND;
use super::pairwise::between;
use super::spans::Spans;
use super::{Metres, MetresPerSecond, PlanError, PlanInput, Seconds};
use crate::scenario::Millis;
use crate::seeds::{self, Node, Purpose};

/// How long everybody has walked when the run begins.
const WARM_UP_S: f64 = 3_600.0;
/// Most positions that are computed, peers times steps; a minute or two.
const POSITIONS_MAX: u64 = 1_000_000_000;

/// Peers walk from point to point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomWaypoint {
    /// Width and height of the area.
    pub area_m: [Metres; 2],
    /// Slowest and fastest walk; drawn evenly for each.
    pub speed_mps: [MetresPerSecond; 2],
    /// Shortest and longest pause; drawn evenly for each.
    pub pause_s: [Seconds; 2],
    /// Distance up to which two peers are in contact.
    pub range_m: Metres,
    /// How often positions are compared.
    #[serde(default = "default_step_ms")]
    pub step_ms: Millis,
}

fn default_step_ms() -> Millis {
    Millis::try_from(1_000).expect("a second is within a day")
}

/// A peer on its way, or pausing at its end; times in seconds of the run.
#[derive(Debug)]
struct Roamer {
    stream: ChaCha20Rng,
    from: [f64; 2],
    to: [f64; 2],
    velocity: [f64; 2],
    sets_out_s: f64,
    arrives_s: f64,
    leaves_s: f64,
}

/// Two peers that are or may soon be within range, the lower first.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    pair: [u16; 2],
    /// Since when they are within range; [`APART`] when they are not.
    since_us: u64,
}

/// Stands for no time at all.
const APART: u64 = u64::MAX;

/// Who may come within range before the list is made anew (Verlet's neighbour
/// list): nobody else can, however fast all of them go.
#[derive(Debug)]
struct Neighbourhood {
    grid: Grid,
    range_squared: f64,
    /// For how many steps a list holds.
    steps: u64,
    listed: Vec<Candidate>,
    pairs: Vec<[u16; 2]>,
}

pub(super) fn generate(
    spec: &RandomWaypoint,
    input: &PlanInput<'_>,
    spans: &mut Spans,
) -> Result<(), PlanError> {
    let step_us = u64::from(spec.step_ms.get()) * 1_000;
    affordable(input.peers, spans.until_us(), step_us)?;
    let mut roamers: Vec<_> =
        (0..input.peers).map(|peer| Roamer::new(spec, input.seed, peer)).collect();
    let mut places = vec![[0.0; 2]; roamers.len()];
    let mut neighbourhood = Neighbourhood::new(spec);
    let (mut now_us, mut step) = (0, 0_u64);
    while now_us < spans.until_us() {
        let now_s = now_us as f64 / US_PER_SECOND as f64;
        for (place, roamer) in places.iter_mut().zip(&mut roamers) {
            *place = roamer.at(spec, now_s);
        }
        if step.is_multiple_of(neighbourhood.steps) {
            neighbourhood.renew(&places, now_us, spans)?;
        }
        neighbourhood.look(&places, now_us, spans)?;
        now_us = now_us.saturating_add(step_us);
        step += 1;
    }
    let until_us = spans.until_us();
    let together = neighbourhood.listed.iter().filter(|it| it.since_us != APART);
    together.copied().try_for_each(|it| spans.meet(it.pair, it.since_us, until_us))
}

fn affordable(peers: u16, until_us: u64, step_us: u64) -> Result<(), PlanError> {
    let needed = until_us.div_ceil(step_us).saturating_mul(u64::from(peers));
    if needed <= POSITIONS_MAX {
        return Ok(());
    }
    let steps_max = POSITIONS_MAX / u64::from(peers.max(1));
    let step_ms = until_us.div_ceil(steps_max).div_ceil(1_000);
    Err(PlanError::TooManySteps { needed, limit: POSITIONS_MAX, step_ms })
}

impl Neighbourhood {
    /// Nobody yet. A list reaches twice as far as the range, where it then holds
    /// for more than one step.
    fn new(spec: &RandomWaypoint) -> Self {
        let range_m = spec.range_m.get();
        let step_s = f64::from(spec.step_ms.get()) / 1_000.0;
        let approach_m = 2.0 * spec.speed_mps[1].get() * step_s;
        // Not negative; a list made at a step serves it and those before the next.
        let steps = (range_m / approach_m) as u64;
        let reach_m = if steps > 1 { 2.0 * range_m } else { range_m };
        Self {
            grid: Grid::new(spec.area_m.map(Metres::get), reach_m),
            range_squared: range_m * range_m,
            steps: steps.max(1),
            listed: Vec::new(),
            pairs: Vec::new(),
        }
    }

    /// Lists anew who is close; contacts of others have ended.
    fn renew(
        &mut self,
        places: &[[f64; 2]],
        now_us: u64,
        spans: &mut Spans,
    ) -> Result<(), PlanError> {
        self.pairs.clear();
        self.grid.pairs(places, |a, b| self.pairs.push([a, b]));
        self.pairs.sort_unstable();
        let before = std::mem::take(&mut self.listed);
        let mut together = before.into_iter().filter(|it| it.since_us != APART).peekable();
        for &pair in &self.pairs {
            while let Some(parted) = together.next_if(|it| it.pair < pair) {
                spans.meet(parted.pair, parted.since_us, now_us)?;
            }
            let since_us = together.next_if(|it| it.pair == pair).map_or(APART, |it| it.since_us);
            self.listed.push(Candidate { pair, since_us });
        }
        together.try_for_each(|it| spans.meet(it.pair, it.since_us, now_us))
    }

    /// Begins and ends contacts.
    fn look(
        &mut self,
        places: &[[f64; 2]],
        now_us: u64,
        spans: &mut Spans,
    ) -> Result<(), PlanError> {
        for candidate in &mut self.listed {
            let [one, other] = candidate.pair.map(|peer| places[usize::from(peer)]);
            let [dx, dy] = [one[0] - other[0], one[1] - other[1]];
            let near = dx * dx + dy * dy <= self.range_squared;
            if near && candidate.since_us == APART {
                candidate.since_us = now_us;
            } else if !near && candidate.since_us != APART {
                spans.meet(candidate.pair, candidate.since_us, now_us)?;
                candidate.since_us = APART;
            }
        }
        Ok(())
    }
}

impl Roamer {
    fn new(spec: &RandomWaypoint, seed: u64, peer: u16) -> Self {
        let mut stream = seeds::stream(seed, Node::Peer(peer), Purpose::Contacts);
        let at = point(&mut stream, spec);
        let start_s = -WARM_UP_S;
        Self {
            stream,
            from: at,
            to: at,
            velocity: [0.0; 2],
            sets_out_s: start_s,
            arrives_s: start_s,
            leaves_s: start_s,
        }
    }

    /// Where it is; ask in the order of time.
    fn at(&mut self, spec: &RandomWaypoint, now_s: f64) -> [f64; 2] {
        while now_s >= self.leaves_s {
            self.walk_on(spec);
        }
        if now_s >= self.arrives_s {
            return self.to;
        }
        let gone_s = now_s - self.sets_out_s;
        let [x, y] = self.from;
        [x + self.velocity[0] * gone_s, y + self.velocity[1] * gone_s]
    }

    /// Draws the next point, the speed and the pause there.
    fn walk_on(&mut self, spec: &RandomWaypoint) {
        let to = point(&mut self.stream, spec);
        let speed = between(&mut self.stream, spec.speed_mps.map(MetresPerSecond::get));
        let pause_s = between(&mut self.stream, spec.pause_s.map(Seconds::get));
        let [dx, dy] = [to[0] - self.to[0], to[1] - self.to[1]];
        // Never nothing, so that time goes on whatever is drawn.
        let takes_s = ((dx * dx + dy * dy).sqrt() / speed).max(1e-3);
        self.velocity = [dx / takes_s, dy / takes_s];
        self.from = self.to;
        self.to = to;
        self.sets_out_s = self.leaves_s;
        self.arrives_s = self.sets_out_s + takes_s;
        self.leaves_s = self.arrives_s + pause_s;
    }
}

fn point(stream: &mut ChaCha20Rng, spec: &RandomWaypoint) -> [f64; 2] {
    spec.area_m.map(|side| between(stream, [0.0, side.get()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::{Contact, Contacts, plan};

    fn metres(value: f64) -> Metres {
        Metres::try_from(value).expect("a length")
    }

    fn spec(side_m: f64, range_m: f64, step_ms: u32) -> RandomWaypoint {
        let speed = |value| MetresPerSecond::try_from(value).expect("a speed");
        let pause = |value| Seconds::try_from(value).expect("a pause");
        RandomWaypoint {
            area_m: [metres(side_m); 2],
            speed_mps: [speed(0.5), speed(2.0)],
            pause_s: [pause(0.0), pause(120.0)],
            range_m: metres(range_m),
            step_ms: Millis::try_from(step_ms).expect("a step"),
        }
    }

    fn input(peers: u16, seconds: u32) -> PlanInput<'static> {
        PlanInput {
            peers,
            epochs_total: seconds,
            epoch_us: 1_000_000,
            seed: 3,
            drain_from_us: None,
            file: None,
        }
    }

    fn contacts(spec: RandomWaypoint, input: &PlanInput<'_>) -> Vec<Contact> {
        plan(&Contacts::RandomWaypoint(spec), input).expect("a plan")
    }

    #[test]
    fn peers_stay_in_the_area_and_within_their_speed() {
        let spec = spec(500.0, 10.0, 1_000);
        let mut roamer = Roamer::new(&spec, 1, 0);
        let mut before = roamer.at(&spec, 0.0);
        for second in 1..20_000 {
            let now = roamer.at(&spec, f64::from(second));
            let [dx, dy] = [now[0] - before[0], now[1] - before[1]];
            assert!((dx * dx + dy * dy).sqrt() < 2.0 + 1e-9, "at {second} s");
            assert!(now.iter().all(|side| (-1e-9..500.0 + 1e-9).contains(side)), "{now:?}");
            before = now;
        }
    }

    #[test]
    fn who_cannot_part_is_always_in_contact() {
        let all = contacts(spec(100.0, 200.0, 1_000), &input(10, 600));
        assert_eq!(all.len(), 45);
        assert!(all.iter().all(|it| (it.from_us, it.to_us) == (0, 600_000_000)));
    }

    #[test]
    fn contacts_are_when_distances_are_in_range() {
        let (spec, input) = (spec(300.0, 30.0, 2_000), input(12, 1_800));
        let found = contacts(spec.clone(), &input);
        assert!(found.len() > 20, "{} contacts", found.len());
        let mut roamers: Vec<_> = (0..12).map(|peer| Roamer::new(&spec, 3, peer)).collect();
        for step in 0..900 {
            let now_us = step * 2_000_000;
            let at: Vec<_> = roamers.iter_mut().map(|it| it.at(&spec, (step * 2) as f64)).collect();
            for (a, one) in (0..).zip(&at) {
                for (b, other) in (0..).zip(&at).skip(usize::from(a) + 1) {
                    let [dx, dy] = [one[0] - other[0], one[1] - other[1]];
                    let covers = |it: &Contact| {
                        (it.a, it.b) == (a, b) && it.from_us <= now_us && now_us < it.to_us
                    };
                    let near = dx * dx + dy * dy <= 900.0;
                    assert_eq!(found.iter().any(covers), near, "{a} {b} at {now_us}");
                }
            }
        }
    }

    #[test]
    fn a_plan_that_takes_too_long_names_the_step_that_does_not() {
        let long = PlanInput { epochs_total: 100_000, epoch_us: 86_400_000_000, ..input(1_000, 1) };
        let spec = spec(500.0, 10.0, 1_000);
        let error = plan(&Contacts::RandomWaypoint(spec.clone()), &long).expect_err("too long");
        let PlanError::TooManySteps { step_ms, .. } = error else { panic!("{error}") };
        assert!(affordable(1_000, long.end_us(), step_ms * 1_000).is_ok());
        assert!(affordable(1_000, long.end_us(), (step_ms - 1) * 1_000).is_err());
    }
}
