//! How a run is driven.
use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use crate::recording::MachineRecorder;
use crate::time::SimTime;

/// On which threads components run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// Each component on a thread of its own.
    #[default]
    Threads,
    /// All on the thread that calls `run`.
    Inline,
}

/// What time is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ClockMode {
    /// Time jumps from wake to wake: as fast as the machine can, and the same for the same seeds.
    #[default]
    Virtual,
    /// Time since the run began, times `speed`: 1.0 is real time, 60.0 a minute per second. With [`Driver::Threads`] all components run
    /// at once; with [`Driver::Inline`] one after the other, as each has something to do.
    Wall {
        /// Simulated seconds per second.
        speed: f64,
    },
}

/// Called before each wake with its time, on the thread that drives the run. While the call lasts, the run stands still.
pub type BeforeWake = Arc<dyn Fn(SimTime) + Send + Sync>;

/// How a run is driven.
#[derive(Clone)]
pub struct RunConfig {
    /// On which threads components run.
    pub driver: Driver,
    /// What time is.
    pub clock: ClockMode,
    /// Explores another schedule under the virtual clock: permutes what is runnable at the same instant, and draws each
    /// latency from 1 to 2 times [`latency`](RunConfig::latency), both as a function of this seed alone.
    pub schedule_seed: Option<u64>,
    /// When the run ends at the latest; wakes at this very time still happen. [`SimTime::MAX`]: no such end.
    pub until: SimTime,
    /// What a message or a doorbell takes under the virtual clock, at least 1 ns. Default 10 µs (invented). The wall clock
    /// adds none to what the machine itself takes.
    pub latency: Duration,
    /// How much later a component is woken that has more to do than its budget, at least 1 ns. Default 1 µs (invented).
    pub requeue_delay: Duration,
    /// How many inputs one wake may handle, at least 1. Default 64 (invented).
    pub budget: u32,
    /// How many wakes without progress end a virtual run ([`EndReason::Runaway`](crate::EndReason::Runaway) says what counts).
    /// Default 1,000,000.
    pub runaway_wakes: u32,
    /// After how long inside one wake (wall-clock time) the watchdog names a component on standard error. Default 10 s; `None`
    /// for no watchdog.
    pub watchdog: Option<Duration>,
    /// Whether the threads of a virtual run share one CPU, where the system allows it: only one of them runs at a time, and
    /// handing over within a CPU is cheapest. Default true.
    pub pin_threads: bool,
    /// Given to components by `ctx.recorder()`.
    pub recorder: Option<Arc<dyn MachineRecorder>>,
    /// For whoever wants to watch a run at a pace of their own, or step by step. Only with [`Driver::Inline`] and the virtual clock: the
    /// others have no one thread that could wait.
    pub before_wake: Option<BeforeWake>,
}

impl Default for RunConfig {
    fn default() -> Self {
        RunConfig {
            driver: Driver::default(),
            clock: ClockMode::default(),
            schedule_seed: None,
            until: SimTime::MAX,
            latency: Duration::from_micros(10),
            requeue_delay: Duration::from_micros(1),
            budget: 64,
            runaway_wakes: 1_000_000,
            watchdog: Some(Duration::from_secs(10)),
            pin_threads: true,
            recorder: None,
            before_wake: None,
        }
    }
}

impl RunConfig {
    /// The default configuration with this driver and the virtual clock.
    #[must_use]
    pub fn virtual_time(driver: Driver) -> Self {
        RunConfig { driver, ..RunConfig::default() }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if let ClockMode::Wall { speed } = self.clock
            && !(speed.is_finite() && speed > 0.0)
        {
            return Err(ConfigError::Speed(speed));
        }
        let paced = matches!(self.clock, ClockMode::Wall { .. });
        if self.before_wake.is_some() && (self.driver != Driver::Inline || paced) {
            return Err(ConfigError::BeforeWake);
        }
        if self.latency.is_zero() {
            return Err(ConfigError::NoDelay("latency"));
        }
        if self.requeue_delay.is_zero() {
            return Err(ConfigError::NoDelay("requeue_delay"));
        }
        if self.budget == 0 {
            return Err(ConfigError::AtLeastOne("budget"));
        }
        if self.runaway_wakes == 0 {
            return Err(ConfigError::AtLeastOne("runaway_wakes"));
        }
        Ok(())
    }
}

impl fmt::Debug for RunConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunConfig")
            .field("driver", &self.driver)
            .field("clock", &self.clock)
            .field("schedule_seed", &self.schedule_seed)
            .field("until", &self.until)
            .field("latency", &self.latency)
            .field("requeue_delay", &self.requeue_delay)
            .field("budget", &self.budget)
            .field("runaway_wakes", &self.runaway_wakes)
            .field("watchdog", &self.watchdog)
            .field("pin_threads", &self.pin_threads)
            .field("recorder", &self.recorder.is_some())
            .field("before_wake", &self.before_wake.is_some())
            .finish()
    }
}

/// A configuration that cannot be driven.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// Only the inline driver has one thread that can wait before each wake.
    #[error("`before_wake` is for the inline driver with the virtual clock")]
    BeforeWake,
    /// The speed of the wall clock is not a positive number.
    #[error("the speed of the wall clock must be a positive number, for example 60; it is {0}")]
    Speed(f64),
    /// A modelled delay is zero, so virtual time could stand still.
    #[error("`{0}` must be at least 1 ns, or virtual time could stand still")]
    NoDelay(&'static str),
    /// A count is zero, so nothing could happen.
    #[error("`{0}` must be at least 1")]
    AtLeastOne(&'static str),
}
