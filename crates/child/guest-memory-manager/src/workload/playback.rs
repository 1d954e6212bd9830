//! Following a recorded VM.

use core::time::Duration;
use std::sync::Arc;

use page_range::PageCount;
use serde::{Deserialize, Serialize};

use super::config::{BadWorkload, bad, positive_time, seconds, share};
use super::{Application, NextStep, Standing, Workload};
use crate::constants::PLAYBACK_STEP;
use crate::trace::VmTrace;

/// How a recording is played.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaybackConfig {
    /// Which VM of the trace.
    pub vm: String,
    /// Factor on the recorded size.
    #[serde(default = "one")]
    pub scale: f64,
    /// Time between two changes: recorded sizes are joined by straight lines.
    #[serde(default = "default_step", with = "seconds")]
    pub step: Duration,
    /// Whether the recorded size is that of the whole guest, so that the application makes up the rest; otherwise it is
    /// the application's.
    #[serde(default = "yes")]
    pub whole_guest: bool,
    /// Share of the commit that it keeps touching.
    #[serde(default = "one")]
    pub active_share: f64,
}

const fn one() -> f64 {
    1.0
}
const fn yes() -> bool {
    true
}
fn default_step() -> Duration {
    PLAYBACK_STEP.duration()
}

impl PlaybackConfig {
    /// Play this VM as it was recorded.
    #[must_use]
    pub fn new(vm: impl Into<String>) -> Self {
        Self { vm: vm.into(), scale: one(), step: default_step(), whole_guest: yes(), active_share: one() }
    }

    /// What `recording` says, played so, at a time since the beginning of the run.
    #[must_use]
    pub fn recorded(&self, recording: &VmTrace, now: Duration) -> PageCount {
        PageCount((recording.used_at(now).get() as f64 * self.scale) as u64)
    }

    pub(super) fn validate(&self) -> Result<(), BadWorkload> {
        if !(self.scale > 0.0 && self.scale.is_finite()) {
            return Err(bad("scale", format!("{}: a number above 0 is allowed", self.scale)));
        }
        positive_time("step", self.step)?;
        share("active_share", self.active_share)
    }
}

/// See [`PlaybackConfig`]. A recording plays on the host's clock: its first moment is the beginning of the run, whenever the
/// application begins, and an application that begins late joins it where the host's time is. So VMs that were recorded together
/// stay together, and what they need does not depend on when each of them could start. After the last recorded moment the
/// last size stays.
#[derive(Debug)]
pub struct Playback {
    config: PlaybackConfig,
    recording: Arc<VmTrace>,
    unloaded: bool,
}

impl Playback {
    /// A recording that has not begun to play.
    #[must_use]
    pub const fn new(config: PlaybackConfig, recording: Arc<VmTrace>) -> Self {
        Self { config, recording, unloaded: false }
    }

    /// What the application is to have committed, with so much committed by the rest of the guest.
    fn goal(&self, now: Duration, others_committed: PageCount) -> PageCount {
        let recorded = self.config.recorded(&self.recording, now);
        if self.config.whole_guest { recorded.saturating_sub(others_committed) } else { recorded }
    }
}

impl Workload for Playback {
    fn name(&self) -> &'static str {
        "trace"
    }

    fn run(&mut self, now: Duration, application: &mut Application<'_>) -> NextStep {
        if self.unloaded {
            application.release(PageCount::MAX);
            return NextStep::Finished;
        }
        let goal = self.goal(now, application.others_committed());
        let granted = application.resize(goal).is_ok();
        application.set_active_share(self.config.active_share);
        if granted && now >= self.recording.length() {
            return NextStep::Finished;
        }
        NextStep::At(now + self.config.step)
    }

    fn unload(&mut self, _now: Duration) {
        self.unloaded = true;
    }

    fn wanted(&self, now: Duration, standing: Standing) -> PageCount {
        if self.unloaded { standing.commit } else { self.goal(now, standing.others_committed) }
    }
}
