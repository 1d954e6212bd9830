//! A program that does what is written down, second by second: it keeps memory, reads files, and looks at what it keeps.

use core::time::Duration;

use page_range::PageCount;
use serde::{Deserialize, Serialize};

use super::config::{BadWorkload, bad, share};
use super::{Application, NextStep, Standing, Workload};

/// Files that are read during a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileReads {
    /// From when on, seconds since the program began.
    pub from: u64,
    /// Until when.
    pub until: u64,
    /// How much in a second.
    pub per_second: PageCount,
    /// The size of all files: they are read from the first to the last, and from the first again.
    pub all: PageCount,
}

/// A look at memory that was written before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// When, seconds since the program began.
    pub at: u64,
    /// At how much of it, from what was written first on.
    pub pages: PageCount,
}

/// What a program does. Times are seconds since it began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramConfig {
    /// What it keeps: seconds and sizes, joined by straight lines; before the first and after the last as these say.
    pub keeps: Vec<(u64, PageCount)>,
    /// Share of what it keeps that it keeps touching.
    #[serde(default = "one")]
    pub active_share: f64,
    /// Files that it reads.
    #[serde(default)]
    pub reads: Vec<FileReads>,
    /// When it looks at what it keeps.
    #[serde(default)]
    pub looks: Vec<Look>,
    /// How much its kernel takes apart in a second of what it lets go of; `None`: all at once. Meanwhile pages become free, and its commit
    /// falls at the end.
    #[serde(default)]
    pub release_per_second: Option<PageCount>,
}

const fn one() -> f64 {
    1.0
}

/// It does something once in a second.
const STEP: Duration = Duration::from_secs(1);
/// How often a program that lets go of memory is looked at (invented: a part of the second in which a guest reports).
const RELEASE_STEP: Duration = Duration::from_millis(100);

impl ProgramConfig {
    /// One that keeps this, and does nothing else.
    #[must_use]
    pub fn keeping(keeps: Vec<(u64, PageCount)>) -> Self {
        Self { keeps, active_share: one(), reads: Vec::new(), looks: Vec::new(), release_per_second: None }
    }

    /// What it keeps so many seconds after it began.
    #[must_use]
    pub fn keeps_at(&self, second: u64) -> PageCount {
        let after = self.keeps.partition_point(|&(at, _)| at <= second);
        let before = after.checked_sub(1).and_then(|before| self.keeps.get(before));
        match (before, self.keeps.get(after)) {
            (Some(&(from, low)), Some(&(to, high))) => {
                let (part, whole) = (u128::from(second - from), u128::from((to - from).max(1)));
                let of = |pages: PageCount| {
                    u64::try_from(u128::from(pages.get()) * part / whole).unwrap_or(u64::MAX)
                };
                if high >= low { low + PageCount(of(high - low)) } else { low - PageCount(of(low - high)) }
            }
            (Some(&(_, kept)), None) | (None, Some(&(_, kept))) => kept,
            (None, None) => PageCount::ZERO,
        }
    }

    /// The last second in which something changes.
    fn length(&self) -> u64 {
        let kept = self.keeps.last().map(|&(at, _)| at);
        let read = self.reads.iter().map(|reads| reads.until);
        let looks = self.looks.iter().map(|look| look.at);
        kept.into_iter().chain(read).chain(looks).max().unwrap_or(0)
    }

    pub(super) fn validate(&self) -> Result<(), BadWorkload> {
        if !self.keeps.is_sorted_by(|one, next| one.0 < next.0) {
            return Err(bad("keeps", "each time must be later than the one before".to_owned()));
        }
        if self.reads.iter().any(|reads| reads.from > reads.until || reads.all.is_zero()) {
            return Err(bad("reads", "must not end before it begins, and files have a size".to_owned()));
        }
        if self.release_per_second.is_some_and(PageCount::is_zero) {
            return Err(bad("release_per_second", "must be more than 0 MB".to_owned()));
        }
        share("active_share", self.active_share)
    }
}

/// See [`ProgramConfig`].
#[derive(Debug)]
pub struct Program {
    config: ProgramConfig,
    begun: Option<Duration>,
    /// The second that is done next.
    next: u64,
    /// What the kernel is taking apart: how much of it is left, and the commit that stays in the end.
    releasing: Option<(PageCount, PageCount)>,
    released_at: Duration,
    unloaded: bool,
}

impl Program {
    /// One that has not begun.
    #[must_use]
    pub const fn new(config: ProgramConfig) -> Self {
        Self { config, begun: None, next: 0, releasing: None, released_at: Duration::ZERO, unloaded: false }
    }

    /// Brings its memory to `goal`, or begins to.
    fn keep(&mut self, now: Duration, goal: PageCount, application: &mut Application<'_>) {
        let commit = application.report().commit;
        if goal < commit && self.config.release_per_second.is_some() {
            (self.releasing, self.released_at) = (Some((commit - goal, goal)), now);
            return;
        }
        // What it is refused it asks for again in the next second.
        let _refused = application.resize(goal);
        application.set_active_share(self.config.active_share);
    }

    /// Takes apart what is let go of; returns whether that goes on.
    fn release(&mut self, now: Duration, application: &mut Application<'_>) -> bool {
        let (Some((left, goal)), Some(rate)) = (self.releasing, self.config.release_per_second) else {
            return false;
        };
        let time = now.saturating_sub(core::mem::replace(&mut self.released_at, now));
        let pages = PageCount((rate.get() as f64 * time.as_secs_f64()) as u64).min(left);
        // What it does not touch any more must not be brought back.
        application.set_active(PageCount::ZERO);
        application.discard(pages);
        let left = left - pages;
        self.releasing = (!left.is_zero()).then_some((left, goal));
        if left.is_zero() {
            let over = application.report().commit.saturating_sub(goal);
            application.release(over);
            application.set_active_share(self.config.active_share);
        }
        !left.is_zero()
    }

    fn do_second(&mut self, now: Duration, second: u64, application: &mut Application<'_>) {
        self.keep(now, self.config.keeps_at(second), application);
        for look in self.config.looks.iter().filter(|look| look.at == second) {
            application.look_at_oldest(look.pages);
        }
        for reads in self.config.reads.iter().filter(|reads| (reads.from..reads.until).contains(&second)) {
            application.read_files(reads.per_second, reads.all);
        }
    }
}

impl Workload for Program {
    fn name(&self) -> &'static str {
        "program"
    }

    fn run(&mut self, now: Duration, application: &mut Application<'_>) -> NextStep {
        if self.unloaded {
            application.release(PageCount::MAX);
            return NextStep::Finished;
        }
        let begun = *self.begun.get_or_insert(now);
        let due = |second: u64| {
            begun.saturating_add(STEP.saturating_mul(u32::try_from(second).unwrap_or(u32::MAX)))
        };
        let (this, following) = (due(self.next), due(self.next + 1));
        let busy = self.release(now, application);
        let mut next = this;
        if !busy && this <= now {
            self.do_second(now, self.next, application);
            self.next += 1;
            next = following;
        }
        if self.releasing.is_some() {
            return NextStep::At(now + RELEASE_STEP);
        }
        if self.next > self.config.length() { NextStep::Finished } else { NextStep::At(next) }
    }

    fn unload(&mut self, _now: Duration) {
        self.unloaded = true;
    }

    fn wanted(&self, now: Duration, standing: Standing) -> PageCount {
        match self.begun {
            Some(begun) if !self.unloaded => self.config.keeps_at(now.saturating_sub(begun).as_secs()),
            _ => standing.commit,
        }
    }
}
