//! A run from its building to its end.
use core::fmt;
use std::sync::Arc;

use crate::config::ConfigError;
use crate::run::{Alarm, Engine, Run};
use crate::trace::{self, Label};
#[cfg(not(any(loom, shuttle)))]
use crate::watchdog::Watchdog;
use crate::{Address, Driver, RunConfig, Seat, SimTime, drivers};

/// A run that is being built: seat components, start them, then [`run`](Runtime::run).
pub struct Runtime {
    run: Arc<Run>,
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// Why it is over.
    pub reason: EndReason,
    /// The time at its end.
    pub time: SimTime,
    /// How many times components were woken.
    pub wakes: u64,
    /// Which components panicked, in order.
    pub panics: Vec<ComponentPanic>,
}

/// Why a run is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Nothing is left to do: no timer, no message and no doorbell is pending. With the wall clock, where other threads may
    /// still ring: no component is left.
    Idle,
    /// `RunConfig::until` has been reached.
    Until,
    /// A component ended it with `ctx.stop_run`; its reason.
    Stopped(String),
    /// A [`StopHandle`] ended it.
    Interrupted,
    /// Virtual time does not get on, because of this component. Either it was woken `RunConfig::runaway_wakes` times in a row,
    /// each wake at most `RunConfig::requeue_delay` after the one before (it asks again and again); or all components
    /// together were woken that often (and more than 1000 times for each that lives) within one millisecond, and this one most
    /// often in the second half of that.
    Runaway {
        /// The component, as `name/VM`.
        component: String,
    },
    /// The driver could not go on: what happened.
    Failed(String),
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndReason::Idle => f.pad("nothing is left to do"),
            EndReason::Until => f.pad("the time is up"),
            EndReason::Stopped(reason) => f.pad(reason),
            EndReason::Interrupted => f.pad("interrupted"),
            EndReason::Runaway { component } => {
                write!(f, "component {component} is woken again and again while time stands still")
            }
            EndReason::Failed(what) => f.pad(what),
        }
    }
}

/// A component that panicked. The others went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentPanic {
    /// Its name.
    pub component: String,
    /// Its VM.
    pub vm: Option<String>,
    /// What it said.
    pub message: String,
    /// When it was woken for the last time.
    pub time: SimTime,
}

impl ComponentPanic {
    pub(crate) fn new(label: &Label, message: String, time: SimTime) -> Self {
        ComponentPanic {
            component: label.name.to_string(),
            vm: label.vm.as_deref().map(str::to_owned),
            message,
            time,
        }
    }
}

/// Ends a run from outside, for example on Ctrl-C: at the next scheduling point, with every component dropped.
#[derive(Clone)]
pub struct StopHandle {
    run: Arc<Run>,
}

impl StopHandle {
    /// Ends the run. It may be called at any time and from any thread (a signal handler has to leave it to a thread).
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
        Ok(Runtime { run: Run::new(config, alarm) })
    }

    /// Makes a place for a component.
    #[must_use]
    pub fn seat(&mut self, name: &str, vm: Option<&str>) -> Seat {
        Seat::new(&self.run, name, vm)
    }

    /// Sends a message before the run begins; it arrives one latency after the beginning. `false`: nobody is there.
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
        match &run.engine {
            Engine::Wall(wall) => drivers::wall::drive(run, wall),
            Engine::Virtual(scheduler) => {
                match run.config.driver {
                    Driver::Inline => drivers::inline::drive(run, scheduler),
                    Driver::Threads => drivers::threads::drive(run, scheduler),
                }
                let (reason, time, wakes, panics) = scheduler.lock().outcome();
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
