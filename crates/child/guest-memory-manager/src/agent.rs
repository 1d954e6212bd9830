//! A program in the guest that measures what the status report of Dynamic Memory has no field for, at a cost that its applications bear.
//!
//! * **Stalls**: what `/proc/pressure/memory` says (guests with Linux alone). Of the model's applications, which wait for one disk, at least
//!   one waits as long as the one that waits longest; all wait while all that have something to do wait. Averages decay as the
//!   kernel's do. It costs nothing: the kernel keeps these anyway.
//! * **Active pages**: access bits are cleared in one scan and read in the next. What was touched is what processes keep touching of what they
//!   have in memory, what the kernel has that is never paged out, and what files brought into the cache since the last scan. A scan costs
//!   processor time for each page in use.
//! * **Miss curve**: in this model processes touch everything that they keep touching equally often, so that the share of touches that miss falls
//!   in a straight line, from all of them with nothing but what is never paged out to none with all that is touched. Following touches costs
//!   a share of a processor.
//!
//! With several processors an agent takes its share of all of them together.

use core::time::Duration;

use guest_insight::{GuestInsight, MissCurve, MissPoint, StallPressure, StallTime};
use page_range::PageCount;

use crate::constants as c;
use crate::guest::Guest;
use crate::profile::Kernel;

/// What an agent measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentConfig {
    /// How long applications stand still for want of memory; only guests with Linux can say.
    pub stalls: bool,
    /// Which pages are touched.
    pub active: bool,
    /// How many touches would miss with less memory.
    pub curve: bool,
}

impl AgentConfig {
    /// Whether there is an agent at all.
    #[must_use]
    pub const fn measures(&self) -> bool {
        self.stalls || self.active || self.curve
    }
}

/// An agent in a guest that runs.
#[derive(Clone, Debug)]
pub struct Agent {
    config: AgentConfig,
    /// Virtual processors of the guest.
    processors: u32,
    averages: Averages,
    /// When the last scan was, and what it found.
    scanned: Option<(Duration, PageCount)>,
    /// File pages that had come into the cache by then.
    cache_faults: u64,
    /// Until when following touches has been paid for.
    curve_paid: Option<Duration>,
}

impl Agent {
    /// An agent that begins to measure.
    #[must_use]
    pub fn new(config: AgentConfig, processors: u32) -> Self {
        Self {
            config,
            processors: processors.max(1),
            averages: Averages::default(),
            scanned: None,
            cache_faults: 0,
            curve_paid: None,
        }
    }

    /// What the agent has measured by `now`, at the guest's cost.
    pub fn measure(&mut self, now: Duration, guest: &mut Guest) -> GuestInsight {
        GuestInsight::default().with(|insight| {
            if self.config.stalls && guest.memory().profile().family().kernel == Kernel::Linux {
                insight.stalls = Some(self.stalls(now, guest));
            }
            if self.config.active {
                insight.active = self.active(now, guest);
            }
            if self.config.curve {
                insight.curve = self.curve(now, guest);
            }
        })
    }

    fn stalls(&mut self, now: Duration, guest: &Guest) -> StallPressure {
        let totals = guest.memory().stalls();
        self.averages.advance(now, totals.some, totals.full);
        let line = |averages: &[f64; 3], total| {
            let [avg10, avg60, avg300] = *averages;
            StallTime { avg10, avg60, avg300, total }
        };
        StallPressure {
            some: line(&self.averages.some, totals.some),
            full: line(&self.averages.full, totals.full),
        }
    }

    /// Pages that were touched between the last two scans; `None` before the second.
    fn active(&mut self, now: Duration, guest: &mut Guest) -> Option<PageCount> {
        let due = |last: Duration| now.saturating_sub(last) >= c::AGENT_SCAN_INTERVAL.duration();
        if self.scanned.is_none_or(|(last, _)| due(last)) {
            let first = self.scanned.is_none();
            let counters = guest.counters();
            let read = counters
                .cache_faults
                .saturating_sub(core::mem::replace(&mut self.cache_faults, counters.cache_faults));
            let files = if first { PageCount::ZERO } else { PageCount(read).min(counters.standby) };
            self.scanned = Some((now, guest.memory().touched() + files));
            let pages = guest.memory().in_use().get() as f64;
            self.take(now, guest, Duration::from_secs_f64(pages * c::AGENT_SCAN.value / 1e6));
            if first {
                // Bits are cleared, and have not been read yet.
                self.scanned = Some((now, PageCount::ZERO));
            }
        }
        self.scanned.map(|(_, pages)| pages).filter(|pages| !pages.is_zero())
    }

    fn curve(&mut self, now: Duration, guest: &mut Guest) -> Option<MissCurve> {
        let since = now.saturating_sub(self.curve_paid.replace(now).unwrap_or(now));
        self.take(now, guest, since.mul_f64(c::AGENT_CURVE.value));
        let (base, active) = (guest.memory().nonpaged(), guest.memory().active());
        if active.is_zero() {
            return None;
        }
        let touches = active.get() as f64 / c::HOST_PAGING_TOUCH.value;
        let points = [(base, 1.0), (base + active, 0.0)];
        let points = points.map(|(size, ratio)| MissPoint { size, ratio });
        MissCurve::new(touches, points.to_vec()).ok()
    }

    /// The agent has used a processor for so long.
    fn take(&self, now: Duration, guest: &mut Guest, time: Duration) {
        guest.taken_by_agent(now, time / self.processors);
    }
}

/// Averages of stalls over 10, 60 and 300 s, in percent, as Linux keeps them: a decaying average that is brought up to date every two
/// seconds (documented: `kernel/sched/psi.c`).
#[derive(Clone, Debug, Default)]
struct Averages {
    some: [f64; 3],
    full: [f64; 3],
    at: Option<Duration>,
    totals: (Duration, Duration),
}

const WINDOWS: [f64; 3] = [10.0, 60.0, 300.0];

impl Averages {
    fn advance(&mut self, now: Duration, some: Duration, full: Duration) {
        let Some(at) = self.at else {
            (self.at, self.totals) = (Some(now), (some, full));
            return;
        };
        let time = now.saturating_sub(at);
        if time < c::AGENT_STALL_PERIOD.duration() {
            return;
        }
        let (some_before, full_before) = core::mem::replace(&mut self.totals, (some, full));
        self.at = Some(now);
        let time = time.as_secs_f64();
        for (averages, total, before) in
            [(&mut self.some, some, some_before), (&mut self.full, full, full_before)]
        {
            let percent = (total.saturating_sub(before).as_secs_f64() / time * 100.0).min(100.0);
            for (average, window) in averages.iter_mut().zip(WINDOWS) {
                *average = percent + (*average - percent) * libm::exp(-time / window);
            }
        }
    }
}

#[cfg(test)]
mod tests;
