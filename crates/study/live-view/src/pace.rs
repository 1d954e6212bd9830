//! How fast a run goes on: virtual time follows the watcher's clock, times a speed, unless it stands still.

use std::time::Duration;

use component_runtime::SimTime;
use parking_lot::{Condvar, Mutex};

/// Speeds that keys step through: virtual seconds for each second.
pub const SPEEDS: [f64; 9] = [0.01, 0.1, 1.0, 5.0, 20.0, 60.0, 200.0, 600.0, 3600.0];

/// The gate that a run's driver passes before each wake ([`Gate::pass`]), and the watcher opens.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Wakes up to this time may happen.
    open_until: Duration,
    /// The time that the run has come to.
    reached: Duration,
    /// The run goes on until another event is recorded.
    step: bool,
    /// Nobody watches any more: the run goes on as fast as it can, or ends.
    open: bool,
}

impl Gate {
    /// Waits until a wake at `now` may happen. Called by the driver of the run.
    pub fn pass(&self, now: SimTime) {
        let now = Duration::from(now);
        let mut state = self.state.lock();
        state.reached = state.reached.max(now);
        while !(state.open || state.step || now <= state.open_until) {
            self.opened.wait(&mut state);
        }
    }

    /// An event was recorded: a step is over.
    pub fn event_recorded(&self) {
        let mut state = self.state.lock();
        if state.step {
            state.step = false;
            // What happens at the same instant waits for the next step, too.
            state.open_until = state.open_until.min(state.reached.saturating_sub(Duration::from_nanos(1)));
        }
    }

    /// Lets wakes up to this time happen; never takes back what was allowed.
    pub fn open_until(&self, time: Duration) {
        let mut state = self.state.lock();
        state.open_until = state.open_until.max(time);
        self.opened.notify_all();
    }

    /// Stops the run where it is.
    pub fn hold(&self) {
        let mut state = self.state.lock();
        state.open_until = state.reached;
    }

    /// Lets the run go on until another event is recorded.
    pub fn step(&self) {
        self.state.lock().step = true;
        self.opened.notify_all();
    }

    /// Lets everything happen: the watcher leaves.
    pub fn open(&self) {
        self.state.lock().open = true;
        self.opened.notify_all();
    }

    /// The time that the run has come to.
    pub fn reached(&self) -> Duration {
        self.state.lock().reached
    }
}

/// The watcher's clock: how far the run may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Virtual time that the run may have come to.
    time: Duration,
    speed: usize,
    paused: bool,
}

impl Pace {
    /// A clock at the beginning of a run, at the nearest of [`SPEEDS`].
    #[must_use]
    pub fn new(speed: f64) -> Self {
        // How many times faster or slower.
        let apart = |place: &usize| (SPEEDS[*place] / speed).max(speed / SPEEDS[*place]);
        let nearest = (0..SPEEDS.len()).min_by(|a, b| apart(a).total_cmp(&apart(b))).unwrap_or(0);
        Self { time: Duration::ZERO, speed: nearest, paused: false }
    }

    /// Virtual seconds for each second.
    #[must_use]
    pub fn speed(&self) -> f64 {
        SPEEDS[self.speed]
    }

    /// Whether time stands still.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Goes on, or stands still.
    pub fn toggle(&mut self) {
        self.paused = !self.paused;
    }

    /// Stands still.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Goes to a time.
    pub fn go(&mut self, time: Duration) {
        self.time = time;
    }

    /// One speed faster (`true`) or slower.
    pub fn change(&mut self, faster: bool) {
        self.speed =
            if faster { (self.speed + 1).min(SPEEDS.len() - 1) } else { self.speed.saturating_sub(1) };
    }

    /// So much real time has passed, and the run has come to `reached`: how far it may go now. A run that cannot keep up is not hurried:
    /// time that it was behind is not made up for.
    pub fn advance(&mut self, real: Duration, reached: Duration) -> Duration {
        let step = real.mul_f64(self.speed());
        if self.paused {
            self.time = reached;
        } else {
            self.time = (self.time + step).min(reached.max(self.time) + step.max(LEAP));
        }
        self.time
    }
}

/// A run whose next wake is far away may be this far behind the clock before the clock waits. Invented.
const LEAP: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn time_follows_the_clock_times_the_speed_and_stands_still_when_told() {
        let mut pace = Pace::new(60.0);
        assert_eq!(pace.speed(), 60.0);
        assert_eq!(pace.advance(SECOND, Duration::ZERO), Duration::from_secs(60));
        assert_eq!(pace.advance(SECOND, Duration::from_secs(60)), Duration::from_secs(120));
        pace.toggle();
        assert_eq!(pace.advance(SECOND, Duration::from_secs(100)), Duration::from_secs(100));
        pace.toggle();
        pace.change(false);
        assert_eq!(pace.advance(SECOND, Duration::from_secs(100)), Duration::from_secs(120));
        for _ in 0..20 {
            pace.change(true);
        }
        assert_eq!(pace.speed(), 3600.0);
    }

    #[test]
    fn the_gate_lets_a_run_pass_up_to_the_time_and_one_event_at_a_step() {
        let gate = Arc::new(Gate::default());
        let (passed, wakes) = mpsc::channel();
        let run = std::thread::spawn({
            let gate = gate.clone();
            move || {
                for second in 1..=4 {
                    gate.pass(SimTime::from(SECOND * second));
                    passed.send(second).unwrap();
                    gate.event_recorded();
                }
            }
        });
        gate.open_until(SECOND * 2);
        assert_eq!([wakes.recv().unwrap(), wakes.recv().unwrap()], [1, 2]);
        assert_eq!(wakes.recv_timeout(Duration::from_millis(20)), Err(mpsc::RecvTimeoutError::Timeout));
        gate.step();
        assert_eq!(wakes.recv().unwrap(), 3);
        assert_eq!(wakes.recv_timeout(Duration::from_millis(20)), Err(mpsc::RecvTimeoutError::Timeout));
        assert_eq!(gate.reached(), SECOND * 4);
        gate.open();
        assert_eq!(wakes.recv().unwrap(), 4);
        run.join().unwrap();
    }
}
