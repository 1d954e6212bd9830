//! A server application that manages its own memory and takes all it can get: what \[A\] calls unsuitable for Dynamic
//! Memory.

use core::time::Duration;

use page_range::PageCount;
use serde::{Deserialize, Serialize};

use super::config::{BadWorkload, bad, positive_size, positive_time, seconds, share};
use super::{Application, NextStep, Standing, Workload};
use crate::constants::{SERVER_ACTIVE_SHARE, SERVER_GROWTH, SERVER_INTERVAL, SERVER_LEAVES, SERVER_SHARE};

/// How greedy the server is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Commit below which it does not go.
    #[serde(default)]
    pub minimum: PageCount,
    /// Share of the visible memory that it takes at most.
    #[serde(default = "default_share")]
    pub share: f64,
    /// Available memory that it leaves to the rest of the guest.
    #[serde(default = "default_leave")]
    pub leave: PageCount,
    /// How fast it grows, in a second.
    #[serde(default = "default_growth")]
    pub growth: PageCount,
    /// Time between two looks at what is available.
    #[serde(default = "default_interval", with = "seconds")]
    pub interval: Duration,
    /// Share of the commit that it keeps touching.
    #[serde(default = "default_active")]
    pub active_share: f64,
}

const fn default_share() -> f64 {
    SERVER_SHARE.value
}
const fn default_leave() -> PageCount {
    SERVER_LEAVES.pages()
}
const fn default_growth() -> PageCount {
    SERVER_GROWTH.pages()
}
fn default_interval() -> Duration {
    SERVER_INTERVAL.duration()
}
const fn default_active() -> f64 {
    SERVER_ACTIVE_SHARE.value
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            minimum: PageCount::ZERO,
            share: default_share(),
            leave: default_leave(),
            growth: default_growth(),
            interval: default_interval(),
            active_share: default_active(),
        }
    }
}

impl ServerConfig {
    pub(super) fn validate(&self) -> Result<(), BadWorkload> {
        if !(self.share > 0.0 && self.share <= 1.0) {
            return Err(bad("share", format!("{}: above 0 and up to 1 is allowed", self.share)));
        }
        positive_size("growth", self.growth)?;
        positive_time("interval", self.interval)?;
        share("active_share", self.active_share)
    }
}

/// See [`ServerConfig`].
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    unloaded: bool,
    /// What it last went for.
    goal: PageCount,
}

impl Server {
    /// A server that has not begun.
    #[must_use]
    pub const fn new(config: ServerConfig) -> Self {
        Self { config, unloaded: false, goal: PageCount::ZERO }
    }
}

impl Workload for Server {
    fn name(&self) -> &'static str {
        "server"
    }

    fn run(&mut self, now: Duration, application: &mut Application<'_>) -> NextStep {
        if self.unloaded {
            application.release(PageCount::MAX);
            return NextStep::Finished;
        }
        let config = &self.config;
        let report = application.report();
        let most = PageCount((application.visible().get() as f64 * config.share) as u64).max(config.minimum);
        // What it may have in memory; more would only be in the page file.
        let fits = (report.resident + application.available()).saturating_sub(config.leave);
        let step = config.growth.get() as f64 * config.interval.as_secs_f64();
        let goal = fits.min(report.commit.saturating_add(PageCount(step as u64))).max(config.minimum);
        self.goal = goal.min(most);
        // A refusal is noted where the application reports it; the next look will find less available.
        let _ = application.resize(self.goal);
        application.set_active_share(config.active_share);
        NextStep::At(now + config.interval)
    }

    fn unload(&mut self, _now: Duration) {
        self.unloaded = true;
    }

    /// What it wants depends on what its guest has: no more can be said than what it last went for.
    fn wanted(&self, _now: Duration, standing: Standing) -> PageCount {
        if self.unloaded { standing.commit } else { self.goal }
    }
}
