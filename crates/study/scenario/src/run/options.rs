//! How a run is driven, and what comes of it.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use component_runtime::{BeforeWake, ClockMode, Driver, RunEnd, StopHandle};
use machine_contract::VmFactory;
use perf_counters::{Layout, Sample};
use run_journal::{EventsLevel, Form, HumanLog, Recorded};

use super::hand::Hand;
use super::kept::Points;
use super::plan::PlannedVm;
use super::points::Point;
use super::summary::Summary;

/// How a run is driven and what it leaves behind.
#[derive(Default)]
pub struct RunOptions {
    /// On which threads components run.
    pub driver: Driver,
    /// What time is.
    pub clock: ClockMode,
    /// Explores another schedule.
    pub schedule_seed: Option<u64>,
    /// The folder for counters, events, journal and summary, which exists. `None`: nothing is written.
    pub directory: Option<PathBuf>,
    /// How much is recorded of what happens.
    pub events: EventsLevel,
    /// How events and journal are kept.
    pub form: Form,
    /// A log for people.
    pub log: Option<HumanLog>,
    /// Keep every sample in memory. Otherwise only what the summary needs.
    pub keep_points: bool,
    /// Check the books of every guest at every sample: slow.
    pub check_guests: bool,
    /// Told of the virtual time at every sample.
    pub progress: Option<Arc<dyn Fn(Duration) + Send + Sync>>,
    /// Shown every sample as it is taken, kept or not; this observer may end the run.
    pub observer: Option<Observer>,
    /// Shown the counters of every sample.
    pub watch_counters: Option<CounterWatch>,
    /// Makes the machines of the VMs in place of simulated ones; the plan's guest profiles and workloads then mean nothing.
    pub machines: Option<Machines>,
    /// Called before each wake of a component with its time, on the thread that runs the run; only with the inline driver.
    pub before_wake: Option<BeforeWake>,
    /// Gets each event at once, as a line of `events.jsonl`, as far as events are recorded; without a folder it is all that gets them.
    pub tap: Option<Box<dyn Write + Send>>,
    /// Does by hand what the timeline does not say.
    pub hand: Option<Hand>,
    /// Given the handle that ends the run early, before it begins.
    pub on_start: Option<Box<dyn FnOnce(StopHandle)>>,
}

/// Whoever wants to see every sample. `Break` ends the run as it is meant to end, for the reason given: the summary is complete,
/// unlike that of a run that was interrupted.
pub type Observer = Box<dyn FnMut(&Point) -> ControlFlow<String> + Send>;

/// Whoever wants to see the counters as `counters.csv` has them.
pub type CounterWatch = Box<dyn FnMut(&Layout, &Sample) + Send>;

/// Makes the machine of the VM with this place in the plan.
pub type Machines = Box<dyn FnMut(usize, &PlannedVm) -> Box<dyn VmFactory>>;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The result.
    pub summary: Summary,
    /// The samples, if they were kept.
    pub points: Points,
    /// How the runtime ended.
    pub end: RunEnd,
    /// What was recorded.
    pub recorded: Option<Recorded>,
}
