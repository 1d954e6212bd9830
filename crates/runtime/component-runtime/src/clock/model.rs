//! The wall clock in a model: time passes when the model's scheduler lets it.
//!
//! A thread of its own moves time on. While all others sleep, that is to the earliest moment that a thread sleeps for. While others
//! run, it is a little each time that this thread gets its turn, so they take time, and are late, as real threads are.
use core::time::Duration;
use std::sync::Arc;

use model_sync::Mutex;
use model_sync::thread::{self, JoinHandle};

use crate::sync::{Port, Signals};
use crate::time::SimTime;

/// Time in a model.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    shared: Arc<Shared>,
    hand: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Where the thread waits while no thread sleeps for a time.
    port: Port,
}

#[derive(Debug, Default)]
struct State {
    now: SimTime,
    living: Vec<Thread>,
}

#[derive(Debug)]
struct Thread {
    port: Arc<Port>,
    /// Until when it sleeps, if it does.
    sleeps: Option<SimTime>,
}

/// What passes at a turn while others run (invented): a wake takes a few dozen turns, so about a millisecond.
const TURN: Duration = Duration::from_micros(20);

impl Clock {
    pub(crate) fn new(_speed: f64) -> Self {
        Clock::default()
    }

    pub(crate) fn begin(&self) {
        let shared = Arc::clone(&self.shared);
        *self.hand.lock() = Some(thread::spawn(move || shared.pass()));
    }

    /// The run is over.
    pub(crate) fn end(&self) {
        self.shared.port.raise(Signals::HALT);
        if let Some(hand) = self.hand.lock().take() {
            let _ = hand.join();
        }
    }

    /// A thread is about to be started, which will sleep at this port.
    pub(crate) fn enter(&self, port: &Arc<Port>) {
        self.shared.state.lock().living.push(Thread { port: Arc::clone(port), sleeps: None });
    }

    /// The thread that sleeps at this port is over.
    pub(crate) fn leave(&self, port: &Arc<Port>) {
        self.shared.state.lock().living.retain(|thread| !Arc::ptr_eq(&thread.port, port));
    }

    pub(crate) fn now(&self) -> SimTime {
        self.shared.state.lock().now
    }

    /// Sleeps at a port until there are signals, or until it is `time`.
    pub(crate) fn sleep(&self, port: &Arc<Port>, time: SimTime) -> Signals {
        self.shared.state.lock().falls_asleep(port, time);
        self.shared.port.raise(Signals::BELL);
        // Shuttle's threads wake for no reason, again and again.
        let signals = loop {
            let signals = port.wait(None);
            if signals != Signals::NONE || self.now() >= time {
                break signals;
            }
        };
        self.shared.state.lock().is_awake(port);
        signals
    }
}

impl Shared {
    fn pass(&self) {
        self.port.settle();
        loop {
            if self.port.take().has(Signals::HALT) {
                return;
            }
            let (due, idle) = self.state.lock().go_on();
            for port in due {
                port.raise(Signals::TICK);
            }
            if idle && self.port.wait(None).has(Signals::HALT) {
                return;
            }
            thread::yield_now();
        }
    }
}

impl State {
    fn thread(&mut self, port: &Arc<Port>) -> Option<&mut Thread> {
        self.living.iter_mut().find(|thread| Arc::ptr_eq(&thread.port, port))
    }

    fn falls_asleep(&mut self, port: &Arc<Port>, until: SimTime) {
        if let Some(thread) = self.thread(port) {
            thread.sleeps = Some(until);
        }
    }

    fn is_awake(&mut self, port: &Arc<Port>) {
        if let Some(thread) = self.thread(port) {
            thread.sleeps = None;
        }
    }

    /// The threads that are to be woken now, and whether there is nothing to wait for.
    fn go_on(&mut self) -> (Vec<Arc<Port>>, bool) {
        let next = self.living.iter().filter_map(|thread| thread.sleeps).min().unwrap_or(SimTime::MAX);
        if next == SimTime::MAX {
            return (Vec::new(), true);
        }
        let asleep = |thread: &Thread| thread.sleeps.is_some() && thread.port.is_quiet();
        let all = self.living.iter().all(asleep);
        self.now = if all { self.now.max(next) } else { self.now + TURN };
        let due = |thread: &&Thread| thread.sleeps.is_some_and(|time| time <= self.now);
        (self.living.iter().filter(due).map(|thread| Arc::clone(&thread.port)).collect(), false)
    }
}
