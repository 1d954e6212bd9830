//! What applications do with memory.
//!
//! A [`Workload`] drives one process of a guest: it is run when the time comes that it named, allocates and releases
//! through its [`Application`], and learns at once whether the guest refused it memory. Every workload is a function of
//! its configuration, its random numbers and what the guest answers.

mod config;
mod paint;
mod pattern;
mod playback;
mod program;
mod server;

use core::fmt;
use core::time::Duration;

use page_range::PageCount;

use crate::manager::{CommitFailed, MemoryManager, ProcessId, ProcessReport};

pub use config::{BadWorkload, WorkloadConfig, seconds};
pub use paint::{Paint, PaintConfig, PaintGoal};
pub use pattern::{
    Bursts, BurstsConfig, Idle, Leak, LeakConfig, Ramp, RampConfig, Sawtooth, SawtoothConfig, Step,
    StepConfig,
};
pub use playback::{Playback, PlaybackConfig};
pub use program::{FileReads, Look, Program, ProgramConfig};
pub use server::{Server, ServerConfig};

/// When a workload wants to run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// At this time.
    At(Duration),
    /// Never by itself; it keeps what it holds.
    Finished,
}

/// The behaviour of one application.
pub trait Workload: fmt::Debug + Send {
    /// What it is called in events and reports.
    fn name(&self) -> &'static str;

    /// Do what is due at `now`. Called first when the application starts, and then when the time comes that the last call
    /// returned, or later.
    fn run(&mut self, now: Duration, application: &mut Application<'_>) -> NextStep;

    /// Begin to give back everything, in the application's own way. [`Workload::run`] is called next.
    fn unload(&mut self, now: Duration);

    /// The commit that the application would have at `now` if the guest had never refused it memory and it had never waited
    /// for pages: what it is there to do, whatever came of it. Measures of unmet demand are taken against this, so that
    /// nobody is better off for having turned a need away. Unless a workload says otherwise, what it has.
    fn wanted(&self, now: Duration, standing: Standing) -> PageCount {
        let _ = now;
        standing.commit
    }
}

/// Where an application stands in its guest, for [`Workload::wanted`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What it has committed.
    pub commit: PageCount,
    /// What the rest of the guest has committed, the balloon not counted.
    pub others_committed: PageCount,
}

/// The process of a workload, and what it can see of the guest.
#[derive(Debug)]
pub struct Application<'a> {
    memory: &'a mut MemoryManager,
    process: ProcessId,
    failed: &'a mut Option<CommitFailed>,
}

impl<'a> Application<'a> {
    pub(crate) fn new(
        memory: &'a mut MemoryManager,
        process: ProcessId,
        failed: &'a mut Option<CommitFailed>,
    ) -> Self {
        Self { memory, process, failed }
    }

    /// Allocate and touch memory.
    ///
    /// # Errors
    /// If the guest's commit limit is reached. Nothing has been allocated then.
    pub fn allocate(&mut self, pages: PageCount) -> Result<(), CommitFailed> {
        self.memory.allocate(self.process, pages).inspect_err(|error| *self.failed = Some(*error))
    }

    /// Give memory back. Returns how much that was: at most what it holds.
    pub fn release(&mut self, pages: PageCount) -> PageCount {
        self.memory.release(self.process, pages)
    }

    /// Allocate or release until the commit is `goal`. What is allocated is asked for in pieces (`allocation.piece`), as programs do.
    ///
    /// # Errors
    /// If the guest's commit limit is reached: as many whole pieces have been allocated as there was room for.
    pub fn resize(&mut self, goal: PageCount) -> Result<(), CommitFailed> {
        let commit = self.report().commit;
        if goal > commit {
            let allocated = self.memory.allocate_in_pieces(self.process, goal - commit);
            allocated.inspect_err(|error| *self.failed = Some(*error))
        } else {
            // What it was refused before, and now no longer asks for, is not lacking.
            self.memory.withdraw(self.process);
            self.release(commit - goal);
            Ok(())
        }
    }

    /// Read the next pages of its files, which are `all` in size: from the first to the last, and from the first again.
    pub fn read_files(&mut self, pages: PageCount, all: PageCount) {
        self.memory.read_files(self.process, pages, all);
    }

    /// Look once at so many of its pages, from the one on that it wrote first: see [`MemoryManager::look_at_oldest`].
    pub fn look_at_oldest(&mut self, pages: PageCount) {
        self.memory.look_at_oldest(self.process, pages);
    }

    /// Let go of memory that stays committed: see [`MemoryManager::discard`].
    pub fn discard(&mut self, pages: PageCount) -> PageCount {
        self.memory.discard(self.process, pages)
    }

    /// Say how much of its commit it keeps touching; the rest may be trimmed without being missed.
    pub fn set_active(&mut self, pages: PageCount) {
        self.memory.set_active(self.process, pages);
    }

    /// [`Application::set_active`] as a share of the present commit.
    pub fn set_active_share(&mut self, share: f64) {
        let active = self.report().commit.get() as f64 * share.clamp(0.0, 1.0);
        self.set_active(PageCount(active as u64));
    }

    /// Where its process stands.
    #[must_use]
    pub fn report(&self) -> ProcessReport {
        self.memory.process(self.process).unwrap_or_default()
    }

    /// Whether it waits for pages now.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.report().stalled
    }

    /// Available memory of the guest.
    #[must_use]
    pub fn available(&self) -> PageCount {
        self.memory.available()
    }

    /// Memory that the guest shows as installed.
    #[must_use]
    pub fn visible(&self) -> PageCount {
        self.memory.visible()
    }

    /// Commit of the guest without this process and without the balloon.
    #[must_use]
    pub fn others_committed(&self) -> PageCount {
        self.memory.committed().saturating_sub(self.report().commit).saturating_sub(self.memory.ballooned())
    }

    /// Whether the guest is low on memory, as Windows signals it to programs that ask.
    #[must_use]
    pub fn low_memory(&self) -> bool {
        self.available() < self.memory.low_memory_threshold()
    }
}

#[cfg(test)]
mod tests;
