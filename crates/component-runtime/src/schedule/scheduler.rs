//! What runs next.
use std::collections::VecDeque;
use std::sync::Arc;

use super::heap::{Heap, Key};
use crate::random::{GOLDEN, finalise};
use crate::runtime::{ComponentPanic, EndReason};
use crate::seat::{ExitHook, Unborn};
use crate::time::nanos;
use crate::trace::{Cause, Label};
use crate::{Component, ComponentId, ExitReason, NextWake, RunConfig, SimTime, WakeCause};

/// Within this much virtual time, `runaway_wakes` wakes are too many (see [`EndReason::Runaway`]).
const STALL_WINDOW_NANOS: u64 = 1_000_000;
/// Many components may be woken within that time: so many wakes for each that lives are allowed in any case.
const STALL_WAKES_PER_COMPONENT: u64 = 1_000;

/// What the driver has to do now.
pub(crate) enum Decision {
    /// Wake a component. `fresh`: it has not been awake before; this is it.
    Wake { id: ComponentId, now: SimTime, wake: WakeCause, cause: Cause, fresh: Option<Box<dyn Component>> },
    /// Drop a component; then say so with `Scheduler::dropped`.
    Drop { id: ComponentId, now: SimTime, cause: Cause, why: Exit, fresh: Option<Box<dyn Component>> },
    /// The run is over and no component is left.
    End,
}

/// Why a component has to be dropped.
#[derive(Clone, Debug)]
pub(crate) enum Exit {
    Gone(ExitReason),
    /// The run ends; nobody is told.
    RunEnds,
}

/// How a wake went.
pub(crate) struct Finished {
    pub(crate) id: ComponentId,
    pub(crate) next: NextWake,
    /// The budget ended with messages left.
    pub(crate) more: bool,
    /// What the last thing that it did was because of.
    pub(crate) cause: Cause,
    /// What it said, if it panicked; `next` does not count then.
    pub(crate) panic: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has a place and addresses, but has not been started.
    Seated,
    Alive,
    /// It is to be dropped, or is being dropped.
    Dying,
}

struct Entry {
    id: ComponentId,
    label: Arc<Label>,
    state: State,
    /// How many were started before it.
    serial: u64,
    fresh: Option<Box<dyn Component>>,
    start: Key,
    timer: Key,
    again: Key,
    bell: Key,
    /// When messages that are on their way arrive, in order; those of one instant once.
    arrivals: VecDeque<Key>,
    start_cause: Cause,
    bell_cause: Cause,
    /// What the last wake began with: what `Again` goes on with.
    wake_cause: Cause,
    last_wake: u64,
    /// Wakes in a row with no gap between them.
    streak: u32,
    window: u64,
    window_wakes: u32,
    exits: Vec<ExitHook>,
}

impl Entry {
    fn key(&self) -> Key {
        if !self.start.is_never() {
            return self.start;
        }
        let mut key = self.timer.min(self.again).min(self.bell);
        if let Some(arrival) = self.arrivals.front() {
            key = key.min(*arrival);
        }
        key
    }
}

struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

enum Phase {
    Running,
    /// Dropping what lives, last started first.
    Ending(Vec<ComponentId>),
}

struct Doomed {
    id: ComponentId,
    cause: Cause,
    why: ExitReason,
}

pub(crate) struct Scheduler {
    now: u64,
    next_rank: u64,
    next_serial: u64,
    seed: Option<u64>,
    latency: u64,
    requeue_delay: u64,
    until: u64,
    runaway_wakes: u32,
    slots: Vec<Slot>,
    free: Vec<u32>,
    alive: usize,
    heap: Heap,
    /// Who is to be dropped at the next scheduling point.
    doomed: VecDeque<Doomed>,
    phase: Phase,
    end: Option<EndReason>,
    wakes: u64,
    window: u64,
    window_began: u64,
    window_wakes: u64,
    panics: Vec<ComponentPanic>,
}

impl Scheduler {
    pub(crate) fn new(config: &RunConfig) -> Self {
        Scheduler {
            now: 0,
            next_rank: 0,
            next_serial: 0,
            seed: config.schedule_seed.map(|seed| finalise(seed.wrapping_add(GOLDEN))),
            latency: nanos(config.latency),
            requeue_delay: nanos(config.requeue_delay),
            until: config.until.0,
            runaway_wakes: config.runaway_wakes,
            slots: Vec::new(),
            free: Vec::new(),
            alive: 0,
            heap: Heap::default(),
            doomed: VecDeque::new(),
            phase: Phase::Running,
            end: None,
            wakes: 0,
            window: 0,
            window_began: 0,
            window_wakes: 0,
            panics: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> SimTime {
        SimTime(self.now)
    }

    /// Takes the next sequence number. Under a schedule seed its rank is its image under a bijection, so the order within an
    /// instant is another one, but still a total order.
    fn rank(&mut self) -> u64 {
        let number = self.next_rank;
        self.next_rank += 1;
        self.seed.map_or(number, |seed| finalise(number ^ seed))
    }

    fn key_in(&mut self, delay: u64) -> Key {
        Key { time: self.now.saturating_add(delay), rank: self.rank() }
    }

    /// A key one latency from now; under a schedule seed 1 to 2 latencies, as the rank has it.
    fn key_after_latency(&mut self) -> Key {
        let mut key = self.key_in(self.latency);
        if self.seed.is_some() {
            let jitter =
                (u128::from(finalise(key.rank.wrapping_add(GOLDEN))) * (u128::from(self.latency) + 1)) >> 64;
            key.time = key.time.saturating_add(u64::try_from(jitter).unwrap_or(self.latency));
        }
        key
    }

    fn entry(&mut self, id: ComponentId) -> Option<&mut Entry> {
        let slot = self.slots.get_mut(id.index()).filter(|slot| slot.generation == id.generation())?;
        slot.entry.as_mut()
    }

    fn receiver(&mut self, id: ComponentId) -> Option<&mut Entry> {
        self.entry(id).filter(|entry| entry.state != State::Dying)
    }

    /// Puts the component at its earliest key, unless it has not been started or is the one that is awake.
    fn requeue(&mut self, id: ComponentId) {
        let Some(entry) = self.slots[id.index()].entry.as_ref() else { return };
        if entry.state == State::Alive {
            self.heap.set(id.slot(), entry.key());
        }
    }

    /// A place for a component.
    pub(crate) fn seat(&mut self, label: Arc<Label>) -> ComponentId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, entry: None });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let place = &mut self.slots[slot as usize];
        let id = ComponentId::new(slot, place.generation);
        place.entry = Some(Entry {
            id,
            label,
            state: State::Seated,
            serial: 0,
            fresh: None,
            start: Key::NEVER,
            timer: Key::NEVER,
            again: Key::NEVER,
            bell: Key::NEVER,
            arrivals: VecDeque::new(),
            start_cause: Cause::NONE,
            bell_cause: Cause::NONE,
            wake_cause: Cause::NONE,
            last_wake: 0,
            streak: 0,
            window: 0,
            window_wakes: 0,
            exits: Vec::new(),
        });
        id
    }

    /// The component of a seat; its first wake is one latency from now, or at once when the run has not begun.
    /// Gives back what cannot be started because the run is over.
    pub(crate) fn start(
        &mut self,
        id: ComponentId,
        component: Box<dyn Component>,
        exits: Vec<ExitHook>,
        cause: Cause,
    ) -> Result<(), (Box<dyn Component>, Vec<ExitHook>)> {
        let start = if self.wakes == 0 { self.key_in(0) } else { self.key_after_latency() };
        let serial = self.next_serial;
        let over = !matches!(self.phase, Phase::Running);
        let Some(entry) = self.receiver(id).filter(|_| !over) else {
            return Err((component, exits));
        };
        entry.state = State::Alive;
        entry.serial = serial;
        entry.fresh = Some(component);
        entry.exits = exits;
        entry.start = start;
        entry.start_cause = cause;
        self.next_serial += 1;
        self.alive += 1;
        self.requeue(id);
        Ok(())
    }

    /// Gives up a seat that was never started.
    pub(crate) fn abandon(&mut self, id: ComponentId) {
        if self.entry(id).is_some_and(|entry| entry.state == State::Seated) {
            self.vacate(id);
        }
    }

    fn vacate(&mut self, id: ComponentId) -> Option<Entry> {
        let slot = self.slots.get_mut(id.index()).filter(|slot| slot.generation == id.generation())?;
        let entry = slot.entry.take()?;
        self.heap.remove(id.slot());
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.slot());
        if entry.state != State::Seated {
            self.alive -= 1;
        }
        Some(entry)
    }

    /// A message to `id` leaves now; says when it arrives, at the earliest when the one before it in its mailbox does
    /// (`after`). `None`: the component is gone.
    pub(crate) fn post(&mut self, id: ComponentId, after: SimTime) -> Option<SimTime> {
        self.receiver(id)?;
        let mut key = self.key_after_latency();
        key.time = key.time.max(after.0);
        let entry = self.receiver(id)?;
        let mut at = entry.arrivals.len();
        // Nearly always the last.
        while at > 0 && entry.arrivals[at - 1].time > key.time {
            at -= 1;
        }
        let same = at > 0 && entry.arrivals[at - 1].time == key.time;
        if !same {
            entry.arrivals.insert(at, key);
            if at == 0 {
                self.requeue(id);
            }
        }
        Some(SimTime(key.time))
    }

    /// Rings a doorbell of `id`. Rings that are on their way are one.
    pub(crate) fn ring(&mut self, id: ComponentId, cause: Cause) {
        let Some(entry) = self.receiver(id) else { return };
        entry.bell_cause = cause;
        if entry.bell.is_never() {
            let bell = self.key_after_latency();
            if let Some(entry) = self.receiver(id) {
                entry.bell = bell;
            }
            self.requeue(id);
        }
    }

    /// Has `id` dropped at the next scheduling point. `false`: it is gone, or not started.
    pub(crate) fn kill(&mut self, id: ComponentId, cause: Cause) -> bool {
        self.doom(id, cause, ExitReason::Killed)
    }

    fn doom(&mut self, id: ComponentId, cause: Cause, why: ExitReason) -> bool {
        match self.entry(id) {
            Some(entry) if entry.state == State::Alive => entry.state = State::Dying,
            _ => return false,
        }
        self.heap.remove(id.slot());
        self.doomed.push_back(Doomed { id, cause, why });
        true
    }

    /// Ends the run at the next scheduling point; the first reason counts.
    pub(crate) fn end(&mut self, reason: EndReason) {
        self.end.get_or_insert(reason);
    }

    /// Takes note of the wake that has been done, and says what to do next. `interrupted`: somebody wants the run to end.
    pub(crate) fn step(&mut self, woken: Option<Finished>, interrupted: bool) -> Decision {
        if let Some(finished) = woken {
            self.finish(finished);
        }
        if interrupted {
            self.end(EndReason::Interrupted);
        }
        self.decide()
    }

    /// The component has been dropped: its place is free, and whoever wants to know is given back.
    pub(crate) fn dropped(&mut self, id: ComponentId) -> (Vec<ExitHook>, Option<Arc<Label>>) {
        self.vacate(id).map_or((Vec::new(), None), |entry| (entry.exits, Some(entry.label)))
    }

    pub(crate) fn record_panic(&mut self, label: &Label, message: String) {
        let time = self.now();
        self.panics.push(ComponentPanic::new(label, message, time));
    }

    fn finish(&mut self, finished: Finished) {
        let Finished { id, next, more, cause, panic } = finished;
        let now = self.now;
        if let Some(message) = panic {
            self.doom(id, cause, ExitReason::Panicked(message));
            return;
        }
        let (timer, again) = match next {
            NextWake::Stopped => {
                self.doom(id, cause, ExitReason::Stopped);
                return;
            }
            NextWake::Idle => (Key::NEVER, more),
            NextWake::Again => (Key::NEVER, true),
            NextWake::At(time) if time.0 <= now => (self.key_in(self.requeue_delay), more),
            NextWake::At(time) => {
                let kept = self.entry(id).map(|entry| entry.timer).filter(|timer| timer.time == time.0);
                (kept.unwrap_or_else(|| Key { time: time.0, rank: self.rank() }), more)
            }
        };
        let again = if again { self.key_in(self.requeue_delay) } else { Key::NEVER };
        if let Some(entry) = self.entry(id) {
            entry.timer = timer;
            entry.again = again;
            // Killed while it was awake: it stays out of the heap.
            self.requeue(id);
        }
    }

    fn decide(&mut self) -> Decision {
        loop {
            if let Phase::Ending(left) = &mut self.phase {
                let Some(id) = left.pop() else { return Decision::End };
                let now = self.now();
                let Some(entry) = self.entry(id) else { continue };
                entry.state = State::Dying;
                let fresh = entry.fresh.take();
                self.heap.remove(id.slot());
                return Decision::Drop { id, now, cause: Cause::NONE, why: Exit::RunEnds, fresh };
            }
            if let Some(Doomed { id, cause, why }) = self.doomed.pop_front() {
                let now = self.now();
                let fresh = self.entry(id).and_then(|entry| entry.fresh.take());
                return Decision::Drop { id, now, cause, why: Exit::Gone(why), fresh };
            }
            let earliest = self.heap.earliest();
            let reason = match earliest {
                _ if self.end.is_some() => None,
                None => Some(EndReason::Idle),
                Some((key, _)) if key.time > self.until => {
                    self.now = self.until;
                    Some(EndReason::Until)
                }
                Some((key, slot)) => match self.wake(key, slot) {
                    Ok(decision) => return decision,
                    Err(runaway) => Some(runaway),
                },
            };
            if let Some(reason) = reason {
                self.end(reason);
            }
            let mut left: Vec<(u64, ComponentId)> = self
                .slots
                .iter()
                .filter_map(|slot| slot.entry.as_ref())
                .filter(|entry| entry.state == State::Alive)
                .map(|entry| (entry.serial, entry.id))
                .collect();
            left.sort_unstable();
            self.phase = Phase::Ending(left.into_iter().map(|(_, id)| id).collect());
        }
    }

    fn wake(&mut self, key: Key, slot: u32) -> Result<Decision, EndReason> {
        self.now = key.time;
        self.wakes += 1;
        self.window_wakes += 1;
        if key.time - self.window_began >= STALL_WINDOW_NANOS {
            self.window_began = key.time;
            self.window_wakes = 1;
            self.window += 1;
        }
        let now = key.time;
        let (window, requeue_delay, runaway_wakes) = (self.window, self.requeue_delay, self.runaway_wakes);
        let stalled =
            self.window_wakes > u64::from(runaway_wakes).max(STALL_WAKES_PER_COMPONENT * self.alive as u64);
        let Some(entry) = self.slots[slot as usize].entry.as_mut() else {
            self.heap.remove(slot);
            return Err(EndReason::Failed("the scheduler has lost a component".to_owned()));
        };
        entry.streak =
            if now - entry.last_wake <= requeue_delay { entry.streak.saturating_add(1) } else { 0 };
        entry.last_wake = now;
        if entry.window != window {
            entry.window = window;
            entry.window_wakes = 0;
        }
        entry.window_wakes += 1;
        if entry.streak >= runaway_wakes {
            return Err(EndReason::Runaway { component: entry.label.to_string() });
        }
        if stalled {
            return Err(EndReason::Runaway { component: self.busiest() });
        }

        let due = |key: &mut Key| {
            let due = key.time <= now;
            if due {
                *key = Key::NEVER;
            }
            due
        };
        let mut wake = WakeCause {
            started: due(&mut entry.start),
            message: false,
            doorbell: due(&mut entry.bell),
            timer: due(&mut entry.timer),
            // Whatever wakes it earlier, it goes on with what it has left.
            again: !core::mem::replace(&mut entry.again, Key::NEVER).is_never(),
        };
        while entry.arrivals.front().is_some_and(|arrival| arrival.time <= now) {
            entry.arrivals.pop_front();
            wake.message = true;
        }
        let cause = if wake.doorbell {
            entry.bell_cause
        } else if wake.started {
            entry.start_cause
        } else if wake.again {
            entry.wake_cause
        } else {
            Cause::NONE
        };
        entry.wake_cause = cause;
        // It keeps its old key, the earliest of all, while it is awake: nothing new can be earlier, and afterwards it only sinks.
        Ok(Decision::Wake { id: entry.id, now: SimTime(now), wake, cause, fresh: entry.fresh.take() })
    }

    /// Who was woken most often in this window.
    fn busiest(&self) -> String {
        let window = self.window;
        self.slots
            .iter()
            .filter_map(|slot| slot.entry.as_ref())
            .filter(|entry| entry.window == window)
            .max_by_key(|entry| entry.window_wakes)
            .map_or_else(String::new, |entry| entry.label.to_string())
    }

    /// What the run came to.
    pub(crate) fn outcome(&mut self) -> (Option<EndReason>, SimTime, u64, Vec<ComponentPanic>) {
        (self.end.take(), self.now(), self.wakes, core::mem::take(&mut self.panics))
    }

    /// Everything that a run that never began holds, so that it can be dropped outside of the lock.
    pub(crate) fn clear(&mut self) -> Vec<Unborn> {
        self.phase = Phase::Ending(Vec::new());
        self.heap = Heap::default();
        self.slots
            .iter_mut()
            .filter_map(|slot| {
                slot.generation = slot.generation.wrapping_add(1);
                slot.entry.take()
            })
            .map(|entry| (entry.fresh, entry.exits))
            .collect()
    }
}
