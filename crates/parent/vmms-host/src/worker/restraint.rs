//! What a guest can cause on the host by sending: no more than so much of it goes further.

use std::time::Duration;

use balancing_policy::GuestStatus;
use component_runtime::Context;
use component_runtime::trace::Cause;
use page_range::PageCount;

use super::Worker;
use crate::constants as c;
use crate::event_log;
use crate::message::VmmsMessage;

/// A status report, with what the host adds.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) status: GuestStatus,
    /// What the VM could be given back.
    pub(super) returnable: PageCount,
    /// What led to it: a report that waits is passed on because of itself, not of what ended the wait.
    pub(super) cause: Cause,
}

/// A guest's status reports on their way to the balancer, which serves all VMs: whoever reports without pause must not fill
/// its mailbox.
#[derive(Debug, Default)]
pub(super) struct Reports {
    waiting: Option<Report>,
    not_before: Duration,
}

impl Reports {
    /// A report came.
    pub(super) fn came(&mut self, report: Report) {
        self.waiting = Some(report);
    }

    /// The report to be passed on now, if there is one.
    pub(super) fn due(&mut self, now: Duration) -> Option<Report> {
        if now < self.not_before {
            return None;
        }
        let report = self.waiting.take()?;
        self.not_before = now + c::REPORT_INTERVAL.duration();
        Some(report)
    }

    /// When the next report is due, if one waits.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.waiting.as_ref().map(|_| self.not_before)
    }

    /// Nothing of what waits is true any more.
    pub(super) fn forget(&mut self) {
        self.waiting = None;
    }
}

impl Worker {
    /// Whether an event that the guest can cause at will may be recorded now.
    pub(super) fn may_record(&mut self, ctx: &Context<'_>) -> bool {
        let Some(left_out) = self.noise.admit(Self::now(ctx)) else { return false };
        if let Some(left_out) = left_out {
            tracing::warn!(event = "events_left_out", count = left_out);
        }
        true
    }

    /// The guest broke a rule: recorded, and the first times in the host's event log too.
    pub(super) fn protocol_error(
        &mut self,
        ctx: &mut Context<'_>,
        device: &str,
        rule: &dyn std::fmt::Display,
    ) {
        let entry = event_log::protocol_error(&self.name, device, rule);
        tracing::error!(event = "protocol_error", id = entry.id, text = entry.text.as_str());
        if self.logged < c::LOGGED_ERRORS.whole() {
            self.logged += 1;
            ctx.send(&self.vmms, VmmsMessage::Log { vm: self.vm, entry });
        }
    }
}

/// Keeps a guest from filling the host's log.
#[derive(Debug, Default)]
pub(super) struct Noise {
    second: u64,
    recorded: u32,
    left_out: u64,
}

impl Noise {
    /// Whether one more event may be recorded; and how many were left out before it, if it is the first after some were.
    pub(super) fn admit(&mut self, now: Duration) -> Option<Option<u64>> {
        let mut before = None;
        if now.as_secs() != self.second {
            self.second = now.as_secs();
            self.recorded = 0;
            before = Some(std::mem::take(&mut self.left_out)).filter(|&left_out| left_out > 0);
        }
        if u64::from(self.recorded) < c::NOISE.whole() {
            self.recorded += 1;
            Some(before)
        } else {
            self.left_out += 1;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(pages: u64) -> Report {
        let demand = PageCount(pages);
        let status = GuestStatus { demand, commit: demand, ..GuestStatus::default() };
        Report { status, returnable: PageCount::ZERO, cause: Cause(pages) }
    }

    #[test]
    fn a_report_a_second_is_passed_on_at_once_and_a_flood_as_its_last() {
        let mut reports = Reports::default();
        for second in 0..3 {
            reports.came(report(second));
            let passed = reports.due(Duration::from_secs(second));
            assert_eq!(passed.map(|passed| passed.status.demand), Some(PageCount(second)));
            assert_eq!(reports.next_timeout(), None);
        }
        let mut passed = Vec::new();
        for ms in 0..1000 {
            let now = Duration::from_secs(10) + Duration::from_millis(ms);
            reports.came(report(ms));
            passed.extend(reports.due(now).map(|passed| (passed.status.demand.get(), passed.cause.0)));
        }
        assert_eq!(passed, [0, 100, 200, 300, 400, 500, 600, 700, 800, 900].map(|ms| (ms, ms)));
        assert_eq!(reports.next_timeout(), Some(Duration::from_secs(11)));
        reports.forget();
        assert!(reports.due(Duration::from_secs(12)).is_none());
    }

    #[test]
    fn a_flood_of_events_is_counted_instead() {
        let mut noise = Noise::default();
        let admitted = (0..1000).filter(|_| noise.admit(Duration::from_millis(5)).is_some()).count();
        assert_eq!(admitted as u64, c::NOISE.whole());
        assert_eq!(noise.admit(Duration::from_secs(1)), Some(Some(1000 - c::NOISE.whole())));
        assert_eq!(noise.admit(Duration::from_secs(1)), Some(None));
    }
}
