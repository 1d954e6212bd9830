//! What the scheduler knows of a component.
use std::collections::VecDeque;
use std::sync::Arc;

use super::heap::Key;
use crate::exit::ExitHook;
use crate::trace::{Cause, Label};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// No component has the slot.
    #[default]
    Vacant,
    /// The component has a slot and addresses, but has not been started.
    Seated,
    Alive,
    /// The component is to be dropped, or is being dropped.
    Dying,
}

/// What each wake of a component reads and writes. What most wakes have no use for is in [`Rest`], and only looked at where a flag here
/// says that there is something.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) timer: Key,
    pub(super) bell: Key,
    /// When the first of the messages arrives that are on their way.
    pub(super) arrival: Key,
    pub(super) last_wake: u64,
    pub(super) generation: u32,
    pub(super) state: State,
    /// Something is pending in the rest: its start, `Again`, or further arrivals.
    pub(super) more: bool,
    /// There are causes in the rest; otherwise all are [`Cause::NONE`].
    pub(super) caused: bool,
    /// The rest counts a streak.
    pub(super) streaking: bool,
}

impl Default for Entry {
    fn default() -> Self {
        Entry {
            timer: Key::NEVER,
            bell: Key::NEVER,
            arrival: Key::NEVER,
            last_wake: 0,
            generation: 0,
            state: State::Vacant,
            more: false,
            caused: false,
            streaking: false,
        }
    }
}

/// What is rarely needed of a component.
#[derive(Default)]
pub(super) struct Rest {
    pub(super) label: Option<Arc<Label>>,
    /// How many were started before it.
    pub(super) serial: u64,
    pub(super) start: Key,
    pub(super) again: Key,
    /// When messages arrive after the first, in order; those of one instant once.
    pub(super) arrivals: VecDeque<Key>,
    pub(super) start_cause: Cause,
    pub(super) bell_cause: Cause,
    /// What the last wake began with: what `Again` goes on with.
    pub(super) wake_cause: Cause,
    /// Wakes in a row with no gap between them.
    pub(super) streak: u32,
    /// How often it was woken in this window, since wakes of the window are counted.
    pub(super) window: u64,
    pub(super) window_wakes: u32,
    pub(super) exits: Vec<ExitHook>,
}

impl Rest {
    /// Its name, as `name/VM`.
    pub(super) fn name(&self) -> String {
        self.label.as_ref().map_or_else(String::new, ToString::to_string)
    }
}

impl Entry {
    /// The earliest of what is pending beside the timer.
    pub(super) fn soonest(&self, rest: &Rest) -> Key {
        let key = self.bell.min(self.arrival);
        match self.more {
            false => key,
            // What is sent to it before its first wake waits for that.
            true if !rest.start.is_never() => rest.start,
            true => key.min(rest.again),
        }
    }

    /// A message arrives at `key.time`. Says whether that is earlier than all others.
    pub(super) fn arrive(&mut self, rest: &mut Rest, key: Key) -> bool {
        let time = key.time;
        if self.arrival.is_never() {
            self.arrival = key;
            return true;
        }
        if self.arrival.time > time {
            rest.arrivals.push_front(core::mem::replace(&mut self.arrival, key));
            self.more = true;
            return true;
        }
        let mut at = rest.arrivals.len();
        // Nearly always the last.
        while at > 0 && rest.arrivals[at - 1].time > time {
            at -= 1;
        }
        let before = if at > 0 { rest.arrivals[at - 1] } else { self.arrival };
        if before.time != time {
            rest.arrivals.insert(at, key);
            self.more = true;
        }
        false
    }

    /// Takes out what has arrived; says whether anything has.
    pub(super) fn take_arrived(&mut self, rest: &mut Rest, now: u64) -> bool {
        if self.arrival.time > now {
            return false;
        }
        self.arrival = Key::NEVER;
        if self.more {
            let arrived = rest.arrivals.partition_point(|arrival| arrival.time <= now);
            rest.arrivals.drain(..arrived);
            self.arrival = rest.arrivals.pop_front().unwrap_or(Key::NEVER);
        }
        true
    }
}
