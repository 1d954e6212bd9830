//! What runs next.
use std::collections::VecDeque;
use std::sync::Arc;

use super::entry::{Entry, Rest, State};
use super::heap::{Heap, Key};
use crate::config::RunConfig;
use crate::end::{ComponentPanic, EndReason};
use crate::exit::{Exit, ExitHook, ExitReason};
use crate::id::ComponentId;
use crate::random::{GOLDEN, finalise};
use crate::time::{SimTime, nanos};
use crate::trace::{Cause, Label};
use crate::wake::{NextWake, WakeCause};

/// Within this much virtual time, `runaway_wakes` wakes are too many (see [`EndReason::Runaway`]).
const STALL_WINDOW_NANOS: u64 = 1_000_000;
/// Many components may be woken within that time: so many wakes for each that lives are allowed in any case.
const STALL_WAKES_PER_COMPONENT: u64 = 1_000;

/// What the driver has to do now.
pub(crate) enum Decision {
    /// Wake a component; for the first time if [`WakeCause::started`] is set.
    Wake { id: ComponentId, now: SimTime, wake: WakeCause, cause: Cause },
    /// Drop a component; then say so with `Scheduler::dropped`.
    Drop { id: ComponentId, now: SimTime, cause: Cause, why: Exit },
    /// The run is over and no component is left.
    End,
}

/// How a wake went.
pub(crate) struct Finished {
    pub(crate) id: ComponentId,
    pub(crate) next: NextWake,
    /// The budget ended with messages left.
    pub(crate) more: bool,
    /// The cause of the last thing that the component did.
    pub(crate) cause: Cause,
    /// What the component said, if it panicked; `next` does not count then.
    pub(crate) panic: Option<String>,
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
    entries: Vec<Entry>,
    /// What belongs to each entry.
    rests: Vec<Rest>,
    free: Vec<u32>,
    alive: usize,
    /// When each component's timer comes. Apart from the rest: a timer is mostly far away and set once for many wakes.
    timers: Heap,
    /// When each component has something else to do: nearly always within a latency.
    soon: Heap,
    /// The components that are to be dropped at the next scheduling point.
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
            entries: Vec::new(),
            rests: Vec::new(),
            free: Vec::new(),
            alive: 0,
            timers: Heap::default(),
            soon: Heap::default(),
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

    fn entry(&mut self, id: ComponentId) -> Option<(&mut Entry, &mut Rest)> {
        let entry = self.entries.get_mut(id.index())?;
        let its = entry.generation == id.generation() && entry.state != State::Vacant;
        its.then_some((entry, &mut self.rests[id.index()]))
    }

    fn receiver(&mut self, id: ComponentId) -> Option<(&mut Entry, &mut Rest)> {
        self.entry(id).filter(|(entry, _)| entry.state != State::Dying)
    }

    /// Puts the component at the earliest key beside its timer, unless it has not been started.
    fn requeue(&mut self, id: ComponentId) {
        let entry = &self.entries[id.index()];
        if entry.state == State::Alive {
            self.soon.set(id.slot(), entry.soonest(&self.rests[id.index()]));
        }
    }

    fn unqueue(&mut self, slot: u32) {
        self.timers.remove(slot);
        self.soon.remove(slot);
    }

    /// A slot for a component.
    pub(crate) fn seat(&mut self, label: Arc<Label>) -> ComponentId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            self.rests.push(Rest::default());
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        let entry = &mut self.entries[slot as usize];
        entry.state = State::Seated;
        self.rests[slot as usize].label = Some(label);
        ComponentId::new(slot, entry.generation)
    }

    /// Starts the component of a seat; its first wake is one latency from now, or at once when the run has not begun.
    ///
    /// # Errors
    /// Gives the hooks back if the component cannot be started because the run is over.
    pub(crate) fn start(
        &mut self,
        id: ComponentId,
        exits: Vec<ExitHook>,
        cause: Cause,
    ) -> Result<(), Vec<ExitHook>> {
        let start = if self.wakes == 0 { self.key_in(0) } else { self.key_after_latency() };
        let serial = self.next_serial;
        let over = !matches!(self.phase, Phase::Running);
        let Some((entry, rest)) = self.receiver(id).filter(|_| !over) else {
            return Err(exits);
        };
        entry.state = State::Alive;
        entry.more = true;
        entry.caused |= !cause.is_none();
        rest.serial = serial;
        rest.exits = exits;
        rest.start = start;
        rest.start_cause = cause;
        self.next_serial += 1;
        self.alive += 1;
        self.requeue(id);
        Ok(())
    }

    /// Gives up a seat that was never started.
    pub(crate) fn abandon(&mut self, id: ComponentId) {
        if self.entry(id).is_some_and(|(entry, _)| entry.state == State::Seated) {
            self.vacate(id);
        }
    }

    fn vacate(&mut self, id: ComponentId) -> Option<Rest> {
        let (entry, rest) = self.entry(id)?;
        let rest = core::mem::take(rest);
        let generation = entry.generation.wrapping_add(1);
        let entry = core::mem::replace(entry, Entry { generation, ..Entry::default() });
        self.unqueue(id.slot());
        self.free.push(id.slot());
        if entry.state != State::Seated {
            self.alive -= 1;
        }
        Some(rest)
    }

    /// A message to `id` leaves now; says when it arrives, at the earliest when the one before it in its mailbox does
    /// (`after`). `None`: the component is gone.
    pub(crate) fn post(&mut self, id: ComponentId, after: SimTime) -> Option<SimTime> {
        self.receiver(id)?;
        let mut key = self.key_after_latency();
        key.time = key.time.max(after.0);
        let (entry, rest) = self.receiver(id)?;
        if entry.arrive(rest, key) {
            self.requeue(id);
        }
        Some(SimTime(key.time))
    }

    /// Rings a doorbell of `id`. Rings that are on their way are one.
    pub(crate) fn ring(&mut self, id: ComponentId, cause: Cause) {
        let Some((entry, rest)) = self.receiver(id) else { return };
        if entry.caused || !cause.is_none() {
            entry.caused = true;
            rest.bell_cause = cause;
        }
        if entry.bell.is_never() {
            let bell = self.key_after_latency();
            if let Some((entry, _)) = self.receiver(id) {
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
            Some((entry, _)) if entry.state == State::Alive => entry.state = State::Dying,
            _ => return false,
        }
        self.unqueue(id.slot());
        self.doomed.push_back(Doomed { id, cause, why });
        true
    }

    /// Ends the run at the next scheduling point; the first reason counts.
    pub(crate) fn end(&mut self, reason: EndReason) {
        self.end.get_or_insert(reason);
    }

    /// Takes note of the wake that has been done, and says what to do next. `interrupted`: the run is to end.
    pub(crate) fn step(&mut self, woken: Option<Finished>, interrupted: bool) -> Decision {
        if let Some(finished) = woken {
            self.finish(finished);
        }
        if interrupted {
            self.end(EndReason::Interrupted);
        }
        self.decide()
    }

    /// The component has been dropped: its slot is free. Gives back who wanted to know, and its label; notes what it said when it
    /// panicked.
    pub(crate) fn dropped(
        &mut self,
        id: ComponentId,
        now: SimTime,
        panics: Vec<String>,
    ) -> (Vec<ExitHook>, Option<Arc<Label>>) {
        let (exits, label) = self.vacate(id).map_or((Vec::new(), None), |rest| (rest.exits, rest.label));
        if let Some(label) = &label {
            let panics = panics.into_iter().map(|message| ComponentPanic::new(label, message, now));
            self.panics.extend(panics);
        }
        (exits, label)
    }

    /// It is `now` at the earliest, whatever comes next: for a run that goes by another clock than its own.
    pub(crate) fn advance(&mut self, now: SimTime) {
        self.now = self.now.max(now.0.min(self.until));
    }

    /// Until when nothing has to be done, in a run that goes by another clock; [`SimTime::MAX`]: until something comes from outside. `None`:
    /// [`step`](Self::step) says what is to be done.
    pub(crate) fn nothing_until(&self) -> Option<SimTime> {
        let waits = matches!(self.phase, Phase::Running)
            && self.end.is_none()
            && self.doomed.is_empty()
            && self.alive > 0;
        let time = self.earliest().map_or(u64::MAX, |(key, _)| key.time);
        (waits && time > self.now).then_some(SimTime(time))
    }

    pub(crate) fn finish(&mut self, finished: Finished) {
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
                let kept = self.entry(id).map(|(entry, _)| entry.timer).filter(|timer| timer.time == time.0);
                (kept.unwrap_or_else(|| Key { time: time.0, rank: self.rank() }), more)
            }
        };
        let again = again.then(|| self.key_in(self.requeue_delay));
        // A component that was killed while it was awake stays out of the heaps.
        let Some((entry, rest)) = self.entry(id).filter(|(entry, _)| entry.state == State::Alive) else {
            return;
        };
        if let Some(again) = again {
            rest.again = again;
            entry.more = true;
        }
        // A timer that was due is not in the entry any more.
        let kept = entry.timer == timer && !timer.is_never();
        entry.timer = timer;
        if !kept {
            self.timers.set(id.slot(), timer);
        }
        self.requeue(id);
    }

    /// What is due first, and the slot of its component.
    fn earliest(&self) -> Option<(Key, u32)> {
        match (self.timers.earliest(), self.soon.earliest()) {
            (Some(timer), Some(soon)) => Some(if timer.0 < soon.0 { timer } else { soon }),
            (timer, soon) => timer.or(soon),
        }
    }

    fn decide(&mut self) -> Decision {
        loop {
            if let Phase::Ending(left) = &mut self.phase {
                let Some(id) = left.pop() else { return Decision::End };
                let now = self.now();
                let Some((entry, _)) = self.entry(id) else { continue };
                entry.state = State::Dying;
                self.unqueue(id.slot());
                return Decision::Drop { id, now, cause: Cause::NONE, why: Exit::RunEnds };
            }
            if let Some(Doomed { id, cause, why }) = self.doomed.pop_front() {
                return Decision::Drop { id, now: self.now(), cause, why: Exit::Gone(why) };
            }
            let reason = match self.earliest() {
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
            let mut left: Vec<(u64, ComponentId)> = (0u32..)
                .zip(self.entries.iter().zip(&self.rests))
                .filter(|(_, (entry, _))| entry.state == State::Alive)
                .map(|(slot, (entry, rest))| (rest.serial, ComponentId::new(slot, entry.generation)))
                .collect();
            left.sort_unstable();
            self.phase = Phase::Ending(left.into_iter().map(|(_, id)| id).collect());
        }
    }

    fn wake(&mut self, key: Key, slot: u32) -> Result<Decision, EndReason> {
        // The same in virtual time, which is never ahead of what comes next.
        self.now = self.now.max(key.time);
        self.wakes += 1;
        self.window_wakes += 1;
        if self.now - self.window_began >= STALL_WINDOW_NANOS {
            self.window_began = self.now;
            self.window_wakes = 1;
            self.window += 1;
        }
        let now = self.now;
        let (window, requeue_delay, runaway_wakes) = (self.window, self.requeue_delay, self.runaway_wakes);
        let allowed = u64::from(runaway_wakes).max(STALL_WAKES_PER_COMPONENT * self.alive as u64);
        let index = slot as usize;
        let entry = self.entries.get_mut(index).filter(|entry| entry.state == State::Alive);
        let Some((entry, rest)) = entry.zip(self.rests.get_mut(index)) else {
            self.unqueue(slot);
            return Err(EndReason::Failed("the scheduler has lost a component".to_owned()));
        };
        let close = now - entry.last_wake <= requeue_delay;
        entry.last_wake = now;
        if close || entry.streaking {
            entry.streaking = close;
            rest.streak = if close { rest.streak.saturating_add(1) } else { 0 };
            if rest.streak >= runaway_wakes {
                return Err(EndReason::Runaway { component: rest.name() });
            }
        }
        // Wakes are only counted for each component once it looks like a stall.
        if self.window_wakes > allowed / 2 {
            if rest.window != window {
                rest.window = window;
                rest.window_wakes = 0;
            }
            rest.window_wakes += 1;
            if self.window_wakes > allowed {
                return Err(EndReason::Runaway { component: self.busiest() });
            }
        }

        let due = |key: &mut Key| {
            let due = key.time <= now;
            if due {
                *key = Key::NEVER;
            }
            due
        };
        let mut wake = WakeCause {
            started: false,
            message: entry.take_arrived(rest, now),
            doorbell: due(&mut entry.bell),
            timer: due(&mut entry.timer),
            again: false,
        };
        if entry.more {
            wake.started = due(&mut rest.start);
            // Whatever wakes the component earlier, the component goes on with what it has left.
            wake.again = !core::mem::take(&mut rest.again).is_never();
            entry.more = !rest.arrivals.is_empty();
        }
        let mut cause = Cause::NONE;
        if entry.caused {
            if wake.doorbell {
                cause = rest.bell_cause;
            } else if wake.started {
                cause = rest.start_cause;
            } else if wake.again {
                cause = rest.wake_cause;
            }
            rest.wake_cause = cause;
        }
        let id = ComponentId::new(slot, entry.generation);
        // The component keeps its keys while it is awake. Its keys are the earliest of all, and no new key can be
        // earlier.
        Ok(Decision::Wake { id, now: SimTime(now), wake, cause })
    }

    /// The components that were woken most often in this window, since the run looked stalled.
    fn busiest(&self) -> String {
        let window = self.window;
        self.entries
            .iter()
            .zip(&self.rests)
            .filter(|(entry, rest)| entry.state != State::Vacant && rest.window == window)
            .max_by_key(|(_, rest)| rest.window_wakes)
            .map_or_else(String::new, |(_, rest)| rest.name())
    }

    /// What the run came to.
    pub(crate) fn outcome(&mut self) -> (Option<EndReason>, SimTime, u64, Vec<ComponentPanic>) {
        (self.end.take(), self.now(), self.wakes, core::mem::take(&mut self.panics))
    }

    /// Everything that a run that never began holds, so that it can be dropped outside of the lock.
    pub(crate) fn clear(&mut self) -> Vec<ExitHook> {
        self.phase = Phase::Ending(Vec::new());
        self.timers = Heap::default();
        self.soon = Heap::default();
        self.entries
            .iter_mut()
            .zip(&mut self.rests)
            .filter(|(entry, _)| entry.state != State::Vacant)
            .flat_map(|(entry, rest)| {
                let generation = entry.generation.wrapping_add(1);
                *entry = Entry { generation, ..Entry::default() };
                core::mem::take(rest).exits
            })
            .collect()
    }
}
