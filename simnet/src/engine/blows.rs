//! Blows: what a fault does when it begins and when it ends.

use std::collections::BTreeSet;

use longhaul_node::peer::Input;

use super::{Engine, Event};
use crate::clock::SimTime;
use crate::faults::{Blow, FaultCount, FaultKind, select};
use crate::scenario::{Loss, Select};
use crate::seeds::{self, Node, Purpose};
use crate::trace::Kind;

impl Engine<'_> {
    /// A fault begins or ends.
    pub(super) fn blow(&mut self, now: SimTime, blow: Blow) {
        let kind = if blow.on { Kind::FaultOn } else { Kind::FaultOff };
        self.trace.event(now, kind, 0, blow.kind as u64, u64::from(blow.index));
        match blow.kind {
            FaultKind::Partition => {
                let changes = self.network.switch(now, self.scenario, blow);
                self.schedule_changes(now, changes);
            }
            FaultKind::Crash => self.crash_fault(now, blow),
            FaultKind::Clock => self.step_clocks(now, blow),
            FaultKind::Clog => self.clog(blow),
            FaultKind::Churn => {}
        }
    }

    fn crash_fault(&mut self, now: SimTime, blow: Blow) {
        let Some(fault) = self.scenario.faults.crash.get(usize::from(blow.index)) else { return };
        let lose = fault.lose;
        for peer in self.struck(&fault.peers, blow) {
            if blow.on {
                self.count_fault(blow.kind, blow.index);
                self.take_down(now, peer, lose);
            } else {
                self.bring_up(now, peer);
            }
        }
    }

    /// A peer's process ends; several faults may hold it down.
    fn take_down(&mut self, now: SimTime, peer: u16, lose: Loss) {
        *self.held_down.entry(peer).or_default() += 1;
        let mut stream =
            seeds::fast_stream(self.scenario.seed ^ now.us(), Node::Peer(peer), Purpose::Disk);
        let host = self.host(peer);
        let up = host.is_up();
        if up {
            host.end();
        }
        // What the disk loses while it is down already is lost as well.
        let torn = host.disk.crash(lose, &mut stream);
        if up {
            self.torn.insert(peer, torn);
            self.trace.event(now, Kind::Crash, peer, u64::from(torn), 0);
        }
        let changes = self.network.set_down(now, peer, true);
        self.schedule_changes(now, changes);
    }

    /// A peer's process starts from its disk, unless another fault holds it down.
    fn bring_up(&mut self, now: SimTime, peer: u16) {
        let holds = self.held_down.entry(peer).or_default();
        *holds = holds.saturating_sub(1);
        if *holds > 0 || self.host(peer).is_up() {
            return;
        }
        let torn = self.torn.remove(&peer).unwrap_or_default();
        if self.plant_bug {
            self.host(peer).disk.forget_newest_update();
        }
        let host = self.host(peer);
        let start = (host.life, host.disk.restored(torn));
        let machine =
            super::setup::machine(self.scenario, &self.federation, peer, self.memo.clone(), start);
        match machine {
            Ok(machine) => self.host(peer).machine = Some(machine),
            // A disk that lost too much: the peer stays down, which checks show.
            Err(_) => return,
        }
        self.trace.event(now, Kind::Start, peer, 1, 0);
        self.give(now, peer, Input::Start);
        let changes = self.network.set_down(now, peer, false);
        self.schedule_changes(now, changes);
    }

    /// A peer with churn is switched off or on.
    pub(super) fn churn(&mut self, now: SimTime, peer: u16, down: bool) {
        if down {
            let group = self.group_of[usize::from(peer)];
            self.count_fault(FaultKind::Churn, u16::try_from(group).unwrap_or(u16::MAX));
            self.take_down(now, peer, Loss::Nothing);
        } else {
            self.bring_up(now, peer);
        }
    }

    fn step_clocks(&mut self, now: SimTime, blow: Blow) {
        let Some(fault) = self.scenario.faults.clock.get(usize::from(blow.index)) else { return };
        // Without a length the step is for good, and its end does nothing.
        let back = fault.for_epochs.get() > 0.0;
        let step_ms = match blow.on {
            true => fault.step_ms,
            false if back => -fault.step_ms,
            false => return,
        };
        for peer in self.struck(&fault.peers, blow) {
            self.host(peer).clock.step(step_ms);
            self.count_fault(blow.kind, blow.index);
            // Whatever the machine waits for is due at another true time now.
            self.host(peer).disarm();
            self.give(now, peer, Input::Wake);
        }
    }

    fn clog(&mut self, blow: Blow) {
        let Some(fault) = self.scenario.faults.clog.get(usize::from(blow.index)) else { return };
        let peers: BTreeSet<u16> = self.struck(&fault.peers, blow).into_iter().collect();
        let rate = u64::from(fault.rate_bytes_per_s.get());
        self.network.set_clog(blow.index, blow.on.then_some((peers, rate)));
    }

    /// All radios go on or off.
    pub(super) fn switch_radios(&mut self, now: SimTime, on: bool) {
        let changes = self.network.set_radios(now, on);
        self.schedule_changes(now, changes);
        let Some(cycle) = self.scenario.link.duty_cycle else { return };
        let (period_ms, on_ms) = (u64::from(cycle.period_ms.get()), u64::from(cycle.on_ms.get()));
        let wait_ms = if on { on_ms } else { period_ms.saturating_sub(on_ms) };
        self.queue.push(now.plus_ms(wait_ms.max(1)), Event::Radios { on: !on });
    }

    /// The peers that a fault takes in this round; the same when it ends.
    fn struck(&self, peers: &Select, blow: Blow) -> Vec<u16> {
        let salt = (blow.kind as u64) << 48 | u64::from(blow.index) << 32 | u64::from(blow.round);
        select(self.scenario, peers, salt)
    }

    fn count_fault(&mut self, kind: FaultKind, index: u16) {
        *self.fault_counts.entry((kind, index)).or_default() += 1;
    }

    /// How often each declared fault and adversary did anything.
    pub(super) fn fault_counts(&self) -> Vec<FaultCount> {
        let counted = |kind, index: usize| {
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            self.fault_counts.get(&(kind, index)).copied().unwrap_or_default()
        };
        let entry = |table: &str, index: usize, did, count| FaultCount {
            name: format!("{table}[{index}]"),
            did,
            count,
        };
        let faults = &self.scenario.faults;
        let mut counts = Vec::new();
        for (index, hits) in self.network.partitions.hits().into_iter().enumerate() {
            counts.push(entry("faults.partition", index, "cut or prevented contacts", hits));
        }
        for index in 0..faults.crash.len() {
            let count = counted(FaultKind::Crash, index);
            counts.push(entry("faults.crash", index, "ended processes", count));
        }
        for index in 0..faults.clock.len() {
            let count = counted(FaultKind::Clock, index);
            counts.push(entry("faults.clock", index, "set clocks", count));
        }
        for (index, &hits) in self.network.clog_hits.iter().enumerate() {
            counts.push(entry("faults.clog", index, "slowed frames", hits));
        }
        for (index, group) in self.scenario.group.iter().enumerate() {
            if group.churn.is_some() {
                let count = counted(FaultKind::Churn, index);
                counts.push(entry("group.churn", index, "switched peers off", count));
            }
        }
        for index in 0..self.scenario.adversary.len() {
            let hostile = self.hosts.iter().filter_map(|host| host.adversary.as_ref());
            let acted = hostile.filter(|it| it.index == index).map(|it| it.acted).sum();
            counts.push(entry("adversary", index, "signed hostile updates", acted));
        }
        counts
    }
}
