//! A run from its building to its end.
use core::fmt;
use std::sync::Arc;

use crate::component::{RunServices as _, Seat};
use crate::config::{ClockMode, ConfigError, Driver, RunConfig};
use crate::drivers;
use crate::end::{EndReason, RunEnd};
use crate::mailbox::Address;
use crate::paced::Paced;
use crate::run::{Alarm, Engine, Run};
use crate::time::SimTime;
use crate::trace::{self, Label};
use crate::virtual_time::VirtualTime;
use crate::wall::Wall;
#[cfg(not(any(loom, shuttle)))]
use crate::watchdog::Watchdog;

/// A run that is being built: seat components, start them, then [`run`](Runtime::run).
pub struct Runtime {
    run: Arc<Run>,
    time: Time,
}

/// What time is in a run.
enum Time {
    Virtual(Arc<VirtualTime>),
    Wall(Arc<Wall>),
    Paced(Arc<Paced>),
}

/// Ends a run from outside, for example on Ctrl-C: at the next scheduling point, with every component dropped.
#[derive(Clone)]
pub struct StopHandle {
    run: Arc<Run>,
}

impl StopHandle {
    /// Ends the run. This method may be called at any time and from any thread (a signal handler has to leave it to a thread).
    pub fn stop(&self) {
        self.run.interrupt();
    }
}

impl fmt::Debug for StopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopHandle").finish_non_exhaustive()
    }
}

impl Runtime {
    /// A run with this configuration and no components yet.
    ///
    /// # Errors
    /// A configuration that cannot be driven.
    pub fn new(config: RunConfig) -> Result<Self, ConfigError> {
        Self::with_alarm(config, Box::new(|message| eprintln!("{message}")))
    }

    /// With another way for the watchdog to be heard.
    pub(crate) fn with_alarm(config: RunConfig, alarm: Alarm) -> Result<Self, ConfigError> {
        config.check()?;
        let (engine, time): (Box<dyn Engine>, Time) = match config.clock {
            ClockMode::Virtual => {
                let time = VirtualTime::new(&config);
                (Box::new(time.clone()), Time::Virtual(time))
            }
            ClockMode::Wall { speed } if config.driver == Driver::Inline => {
                let paced = Paced::new(&config, speed);
                (Box::new(paced.clone()), Time::Paced(paced))
            }
            ClockMode::Wall { speed } => {
                let wall = Wall::new(speed);
                (Box::new(wall.clone()), Time::Wall(wall))
            }
        };
        Ok(Runtime { run: Run::new(config, engine, alarm), time })
    }

    /// Makes a place for a component.
    #[must_use]
    pub fn seat(&mut self, name: &str, vm: Option<&str>) -> Seat {
        self.run.seat(Label::of(name, vm))
    }

    /// Sends a message before the run begins; it arrives one latency after the beginning. `false`: the component is gone.
    pub fn send<M>(&mut self, address: &Address<M>, message: M) -> bool {
        address.send(message)
    }

    /// Ends the run from outside.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle { run: self.run.clone() }
    }

    /// Calls `f` in the trace context of this run: what it records takes its sequence numbers from this run.
    pub fn in_scope<R>(&self, f: impl FnOnce() -> R) -> R {
        let _attached = trace::attach(self.run.trace.clone(), SimTime::ZERO);
        f()
    }

    /// Runs until the end. All components have been dropped when it returns: those that lived at the end in the reverse of
    /// the order in which they were started.
    #[must_use = "the end says whether components panicked"]
    pub fn run(self) -> RunEnd {
        let run = &self.run;
        let _attached = trace::attach(run.trace.clone(), SimTime::ZERO);
        // The dispatcher of events is that of this thread, for all threads of the run.
        drop(run.dispatch());
        #[cfg(not(any(loom, shuttle)))]
        let _watchdog = Watchdog::of(run);
        match &self.time {
            Time::Wall(wall) => drivers::wall::drive(run, wall),
            Time::Paced(paced) => drivers::paced::drive(run, paced),
            Time::Virtual(time) => {
                match run.config.driver {
                    Driver::Inline => drivers::inline::drive(run, time),
                    Driver::Threads => drivers::threads::drive(run, time),
                }
                let (reason, time, wakes, panics) = time.scheduler.lock().outcome();
                RunEnd { reason: reason.unwrap_or(EndReason::Idle), time, wakes, panics }
            }
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.run.clear();
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("config", &self.run.config).finish_non_exhaustive()
    }
}
