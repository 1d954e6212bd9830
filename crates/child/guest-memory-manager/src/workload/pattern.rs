//! Workloads whose size is a function of time: idle, step, ramp, sawtooth, leak, bursts.
//!
//! All of them give everything back at once when they are unloaded. A workload that is refused memory keeps what it has
//! got and tries again at its next step (the leak: never again).

use core::time::Duration;

use page_range::PageCount;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::config::{BadWorkload, positive_time, seconds, share, variation};
use super::{Application, NextStep, Standing, Workload};
use crate::constants::{BURSTS_VARIATION, LEAK_INTERVAL, PATTERN_INTERVAL};
use crate::sampling;

const fn whole() -> f64 {
    1.0
}

/// A pattern that changes all the time does so this often; a refused step is tried again after it.
fn interval() -> Duration {
    PATTERN_INTERVAL.duration()
}

/// When a pattern began, and whether it is over.
#[derive(Debug, Default)]
struct Progress {
    began: Option<Duration>,
    unloaded: bool,
}

impl Progress {
    /// Time since the beginning; `None` once unloaded.
    fn elapsed(&mut self, now: Duration, application: &mut Application<'_>) -> Option<Duration> {
        if self.unloaded {
            application.release(PageCount::MAX);
            return None;
        }
        Some(now.saturating_sub(*self.began.get_or_insert(now)))
    }

    /// Time since the beginning, if it has begun and is not over.
    fn so_far(&self, now: Duration) -> Option<Duration> {
        self.began.filter(|_| !self.unloaded).map(|began| now.saturating_sub(began))
    }
}

fn between(from: PageCount, to: PageCount, progress: f64) -> PageCount {
    let (from, to) = (from.get() as f64, to.get() as f64);
    PageCount((from + (to - from) * progress.clamp(0.0, 1.0)) as u64)
}

/// Bring the commit to `goal`; a refusal has been noted where the application reports it.
fn follow(application: &mut Application<'_>, goal: PageCount, active_share: f64) -> bool {
    let granted = application.resize(goal).is_ok();
    application.set_active_share(active_share);
    granted
}

/// Does nothing.
#[derive(Debug, Default)]
pub struct Idle {
    progress: Progress,
}

impl Workload for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn run(&mut self, now: Duration, application: &mut Application<'_>) -> NextStep {
        let _ = self.progress.elapsed(now, application);
        NextStep::Finished
    }

    fn unload(&mut self, _now: Duration) {
        self.progress.unloaded = true;
    }
}

/// A size, and from some time on another size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepConfig {
    /// Commit at first.
    #[serde(default)]
    pub from: PageCount,
    /// Commit after the step.
    pub to: PageCount,
    /// Time of the step, after the start.
    #[serde(default, with = "seconds")]
    pub after: Duration,
    /// Back to the first size this long after the step; otherwise never.
    #[serde(default, with = "seconds::option")]
    pub hold: Option<Duration>,
    /// Share of the commit that it keeps touching.
    #[serde(default = "whole")]
    pub active_share: f64,
}

/// See [`StepConfig`].
#[derive(Debug)]
pub struct Step {
    config: StepConfig,
    progress: Progress,
}

impl Step {
    /// A step that has not begun.
    #[must_use]
    pub fn new(config: StepConfig) -> Self {
        Self { config, progress: Progress::default() }
    }

    /// Commit at a time after the start.
    fn at(&self, elapsed: Duration) -> PageCount {
        let StepConfig { from, to, after, hold, .. } = self.config;
        let back = hold.map(|hold| after.saturating_add(hold));
        if elapsed >= after && back.is_none_or(|back| elapsed < back) { to } else { from }
    }
}

impl Workload for Step {
    fn name(&self) -> &'static str {
        "step"
    }

    fn run(&mut self, now: Duration, application: &mut Application<'_>) -> NextStep {
        let Some(elapsed) = self.progress.elapsed(now, application) else { return NextStep::Finished };
        let StepConfig { after, hold, active_share, .. } = self.config;
        let back = hold.map(|hold| after.saturating_add(hold));
        if !follow(application, self.at(elapsed), active_share) {
            return NextStep::At(now + interval());
        }
        let next = if elapsed < after { Some(after) } else { back.filter(|&back| elapsed < back) };
        next.map_or(NextStep::Finished, |next| NextStep::At(now + (next - elapsed)))
    }

    fn unload(&mut self, _now: Duration) {
        self.progress.unloaded = true;
    }

    fn wanted(&self, now: Duration, standing: Standing) -> PageCount {
        self.progress.so_far(now).map_or(standing.commit, |elapsed| self.at(elapsed))
    }
}

/// From one size evenly to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RampConfig {
    /// Commit at first.
    #[serde(default)]
    pub from: PageCount,
    /// Commit at the end.
    pub to: PageCount,
    /// How long it takes.
    #[serde(with = "seconds")]
    pub duration: Duration,
    /// Time between two changes.
    #[serde(default = "interval", with = "seconds")]
    pub interval: Duration,
    /// Share of the commit that it keeps touching.
    #[serde(default = "whole")]
    pub active_share: f64,
}

impl RampConfig {
    pub(super) fn validate(&self) -> Result<(), BadWorkload> {
        positive_time("duration", self.duration)?;
        positive_time("interval", self.interval)?;
        share("active_share", self.active_share)
    }
}

/// See [`RampConfig`].
#[derive(Debug)]
pub struct Ramp {
    config: RampConfig,
    progress: Progress,
}

impl Ramp {
    /// A ramp that has not begun.
    #[must_use]
    pub fn new(config: RampConfig) -> Self {
        Self { config, progress: Progress::default() }
    }

    /// Commit at a time after the start.
    fn at(&self, elapsed: Duration) -> PageCount {
        let RampConfig { from, to, duration, .. } = self.config;
        between(from, to, elapsed.as_secs_f64() / duration.as_secs_f64())
    }
}

impl Workload for Ramp {
    fn name(&self) -> &'static str {
        "ramp"
    }

    fn run(&mut self, now: Duration, application: &mut Application<'_>) -> NextStep {
        let Some(elapsed) = self.progress.elapsed(now, application) else { return NextStep::Finished };
        let config = &self.config;
        let granted = follow(application, self.at(elapsed), config.active_share);
        if granted && elapsed >= config.duration {
            return NextStep::Finished;
        }
        NextStep::At(now + config.interval)
    }

    fn unload(&mut self, _now: Duration) {
        self.progress.unloaded = true;
    }

    fn wanted(&self, now: Duration, standing: Standing) -> PageCount {
        self.progress.so_far(now).map_or(standing.commit, |elapsed| self.at(elapsed))
    }
}

/// Up and down for ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SawtoothConfig {
    /// Smallest commit.
    #[serde(default)]
    pub low: PageCount,
    /// Largest commit.
    pub high: PageCount,
    /// How long it rises.
    #[serde(with = "seconds")]
    pub rise: Duration,
    /// How long it falls; 0: at once.
    #[serde(default, with = "seconds")]
    pub fall: Duration,
    /// How far into its cycle it begins, so that several do not move together.
    #[serde(default, with = "seconds")]
    pub phase: Duration,
    /// Time between two changes.
    #[serde(default = "interval", with = "seconds")]
    pub interval: Duration,
    /// Share of the commit that it keeps touching.
    #[serde(default = "whole")]
    pub active_share: f64,
}

impl SawtoothConfig {
    pub(super) fn validate(&self) -> Result<(), BadWorkload> {
        positive_time("rise", self.rise)?;
        positive_time("interval", self.interval)?;
        share("active_share", self.active_share)
    }

    /// Commit at a time after the start.
    fn at(&self, elapsed: Duration) -> PageCount {
        let (rise, fall) = (self.rise.as_secs_f64(), self.fall.as_secs_f64());
        let within = (elapsed.as_secs_f64() + self.phase.as_secs_f64()) % (rise + fall);
        if within < rise {
            between(self.low, self.high, within / rise)
        } else {
            between(self.high, self.low, (within - rise) / fall)
        }
    }
}

/// See [`SawtoothConfig`].
#[derive(Debug)]
pub struct Sawtooth {
    config: SawtoothConfig,
    progress: Progress,
}

impl Sawtooth {
    /// A sawtooth that has not begun.
    #[must_use]
    pub fn new(config: SawtoothConfig) -> Self {
        Self { config, progress: Progress::default() }
    }
}

impl Workload for Sawtooth {
    fn name(&self) -> &'static str {
        "sawtooth"
    }

    fn run(&mut self, now: Duration, application: &mut Application<'_>) -> NextStep {
        let Some(elapsed) = self.progress.elapsed(now, application) else { return NextStep::Finished };
        follow(application, self.config.at(elapsed), self.config.active_share);
        NextStep::At(now + self.config.interval)
    }

    fn unload(&mut self, _now: Duration) {
        self.progress.unloaded = true;
    }

    fn wanted(&self, now: Duration, standing: Standing) -> PageCount {
        self.progress.so_far(now).map_or(standing.commit, |elapsed| self.config.at(elapsed))
    }
}

/// Allocates and never gives back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeakConfig {
    /// Commit at first: what the program really uses.
    #[serde(default)]
    pub base: PageCount,
    /// What the program loses in an hour.
    pub per_hour: PageCount,
    /// The commit at which the leak ends; without a limit it ends where the guest refuses more.
    #[serde(default)]
    pub limit: Option<PageCount>,
    /// Time between two losses.
    #[serde(default = "leak_interval", with = "seconds")]
    pub interval: Duration,
}

fn leak_interval() -> Duration {
    LEAK_INTERVAL.duration()
}

impl LeakConfig {
    pub(super) fn validate(&self) -> Result<(), BadWorkload> {
        positive_time("interval", self.interval)
    }
}

/// See [`LeakConfig`]. What is lost is never touched again, so it may be trimmed.
#[derive(Debug)]
pub struct Leak {
    config: LeakConfig,
    progress: Progress,
}

impl Leak {
    /// A leak that has not begun.
    #[must_use]
    pub fn new(config: LeakConfig) -> Self {
        Self { config, progress: Progress::default() }
    }

    /// Commit at a time after the start.
    fn at(&self, elapsed: Duration) -> PageCount {
        let lost = self.config.per_hour.get() as f64 * elapsed.as_secs_f64() / 3600.0;
        let limit = self.config.limit.unwrap_or(PageCount::MAX);
        self.config.base.saturating_add(PageCount(lost as u64)).min(limit)
    }
}

impl Workload for Leak {
    fn name(&self) -> &'static str {
        "leak"
    }

    fn run(&mut self, now: Duration, application: &mut Application<'_>) -> NextStep {
        let Some(elapsed) = self.progress.elapsed(now, application) else { return NextStep::Finished };
        let config = &self.config;
        let limit = config.limit.unwrap_or(PageCount::MAX);
        let goal = self.at(elapsed);
        let granted = application.resize(goal).is_ok();
        application.set_active(config.base);
        if !granted || goal == limit { NextStep::Finished } else { NextStep::At(now + config.interval) }
    }

    fn unload(&mut self, _now: Duration) {
        self.progress.unloaded = true;
    }

    /// A program that ended at its guest's limit would have lost more by now.
    fn wanted(&self, now: Duration, standing: Standing) -> PageCount {
        self.progress.so_far(now).map_or(standing.commit, |elapsed| self.at(elapsed))
    }
}

/// Short needs of random size at random times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BurstsConfig {
    /// Commit between bursts.
    #[serde(default)]
    pub base: PageCount,
    /// Mean size of a burst, on top.
    pub size: PageCount,
    /// Mean time from the end of a burst to the next (exponential).
    #[serde(with = "seconds")]
    pub pause: Duration,
    /// Mean length of a burst.
    #[serde(with = "seconds")]
    pub length: Duration,
    /// Coefficient of variation of size and length.
    #[serde(default = "bursts_variation")]
    pub variation: f64,
    /// The first burst comes this long after the start, not at random: so that several VMs can burst together.
    #[serde(default, with = "seconds::option")]
    pub first: Option<Duration>,
    /// Share of the commit that it keeps touching.
    #[serde(default = "whole")]
    pub active_share: f64,
}

const fn bursts_variation() -> f64 {
    BURSTS_VARIATION.value
}

impl BurstsConfig {
    pub(super) fn validate(&self) -> Result<(), BadWorkload> {
        positive_time("pause", self.pause)?;
        positive_time("length", self.length)?;
        variation("variation", self.variation)?;
        share("active_share", self.active_share)
    }
}

/// See [`BurstsConfig`].
#[derive(Debug)]
pub struct Bursts {
    config: BurstsConfig,
    rng: Pcg64,
    progress: Progress,
    bursting: bool,
    until: Option<Duration>,
    /// What it wants until then.
    goal: PageCount,
}

impl Bursts {
    /// Bursts that have not begun.
    #[must_use]
    pub fn new(config: BurstsConfig, rng: Pcg64) -> Self {
        Self {
            config,
            rng,
            progress: Progress::default(),
            bursting: false,
            until: None,
            goal: PageCount::ZERO,
        }
    }

    fn pause(&mut self) -> Duration {
        Duration::from_secs_f64(sampling::exponential(&mut self.rng, self.config.pause.as_secs_f64()))
    }
}

impl Workload for Bursts {
    fn name(&self) -> &'static str {
        "bursts"
    }

    fn run(&mut self, now: Duration, application: &mut Application<'_>) -> NextStep {
        if self.progress.elapsed(now, application).is_none() {
            return NextStep::Finished;
        }
        let BurstsConfig { base, size, length, variation, first, active_share, .. } = self.config;
        let Some(until) = self.until else {
            self.goal = base;
            follow(application, base, active_share);
            let until = now + first.unwrap_or_else(|| self.pause());
            self.until = Some(until);
            return NextStep::At(until);
        };
        if now < until {
            return NextStep::At(until);
        }
        self.bursting = !self.bursting;
        let lasts = if self.bursting {
            let more = sampling::varied(&mut self.rng, size.get() as f64, variation);
            self.goal = base + PageCount(more as u64);
            sampling::varied_time(&mut self.rng, length, variation)
        } else {
            self.goal = base;
            self.pause()
        };
        follow(application, self.goal, active_share);
        self.until = Some(now + lasts);
        NextStep::At(now + lasts)
    }

    fn unload(&mut self, _now: Duration) {
        self.progress.unloaded = true;
    }

    fn wanted(&self, _now: Duration, standing: Standing) -> PageCount {
        if self.progress.unloaded { standing.commit } else { self.goal }
    }
}
