//! Restraint: how much of what a guest does reaches the balancer, the record and the event log.

use std::sync::Arc;
use std::time::Duration;

use balancing_policy::GuestStatus;
use component_runtime::Context;
use component_runtime::trace::{self, Cause};
use model_sync::Mutex;
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

/// A guest's status reports on their way to the balancer, which serves all VMs: a guest that reports without pause must not
/// fill the balancer's mailbox.
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

/// For whom what happens now is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recording {
    /// For the host: an order, a time that has come.
    Host,
    /// For the guest, which has caused it, out of what may be recorded of the guest.
    Guest,
    /// Not recorded: the guest causes more than is recorded of it.
    Nothing,
}

/// How much is recorded of what one VM's guest does: over all workers that the VM has, so that a guest which restarts does not
/// begin anew. In each second of what the guest does at will, as much as `worker.events_per_second` says; and for each operation
/// that the balancer has asked the VM for, as much more as `worker.events_per_operation` says.
#[derive(Debug, Default)]
pub(crate) struct Restraint {
    second: u64,
    /// Events, or things that the guest did without causing an event, recorded in that second.
    recorded: u64,
    /// What may be recorded besides.
    for_operation: u64,
    /// Things that the guest did and that were not recorded, since that was last said.
    left_out: u64,
    /// Before this the guest is not reset again.
    reset_not_before: Duration,
    /// Protocol errors that are in the event log.
    logged: u64,
}

/// The [`Restraint`] of one VM.
pub(crate) type SharedRestraint = Arc<Mutex<Restraint>>;

impl Restraint {
    /// An administrator has asked for the VM to start: what is told in the event log of this VM begins anew.
    pub(crate) fn started(&mut self) {
        self.logged = 0;
    }

    pub(super) fn operation_begins(&mut self) {
        self.for_operation = c::EVENTS_PER_OPERATION.whole();
    }

    /// The guest did something. Whether it is recorded.
    pub(super) fn admit(&mut self, now: Duration) -> bool {
        if now.as_secs() != self.second {
            self.second = now.as_secs();
            self.recorded = 0;
        }
        let admitted = self.recorded < c::EVENTS_PER_SECOND.whole() || self.for_operation > 0;
        self.left_out += u64::from(!admitted);
        admitted
    }

    /// How many things that the guest did were left out since this was last called.
    fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    /// The guest wants to be reset. An error: not before that time.
    pub(super) fn may_reset(&mut self, now: Duration) -> Result<(), Duration> {
        if now < self.reset_not_before {
            return Err(self.reset_not_before);
        }
        self.reset_not_before = now + c::RESET_INTERVAL.duration();
        Ok(())
    }

    /// What was admitted led to so many events; without any it counts as one, for the journal has it.
    pub(super) fn spent(&mut self, events: u64) {
        let events = events.max(1);
        let at_will = events.min(c::EVENTS_PER_SECOND.whole().saturating_sub(self.recorded));
        self.recorded += at_will;
        self.for_operation = self.for_operation.saturating_sub(events - at_will);
    }

    /// Whether one more protocol error goes to the event log.
    fn may_log(&mut self) -> bool {
        let may = self.logged < c::LOGGED_ERRORS.whole();
        self.logged += u64::from(may);
        may
    }
}

impl Worker {
    /// Handles something that the guest did. This is the one place where it is decided whether what a guest causes is
    /// recorded: everything that the guest can cause, events and the journal's inputs, is handled in here.
    pub(super) fn heard(&mut self, ctx: &mut Context<'_>, handle: impl FnOnce(&mut Self, &mut Context<'_>)) {
        if self.recording != Recording::Host {
            // The event is part of something that the guest did.
            return handle(self, ctx);
        }
        let now = Self::now(ctx);
        let admitted = self.restraint.lock().admit(now);
        if admitted {
            let before = trace::recorded();
            self.handle_as(Recording::Guest, ctx, handle);
            let events = trace::recorded().saturating_sub(before);
            self.restraint.lock().spent(events);
        } else {
            self.handle_as(Recording::Nothing, ctx, handle);
            self.say_left_out_at.get_or_insert(Duration::from_secs(now.as_secs() + 1));
        }
    }

    /// Handles something, recorded for this one.
    pub(super) fn handle_as(
        &mut self,
        recording: Recording,
        ctx: &mut Context<'_>,
        handle: impl FnOnce(&mut Self, &mut Context<'_>),
    ) {
        let before = std::mem::replace(&mut self.recording, recording);
        if recording == Recording::Nothing {
            tracing::dispatcher::with_default(&tracing::Dispatch::none(), || handle(self, ctx));
        } else {
            handle(self, ctx);
        }
        self.recording = before;
    }

    /// Says what was left out: when the second in which it was is over, or the VM is.
    pub(super) fn say_what_was_left_out(&mut self) {
        self.say_left_out_at = None;
        let count = self.restraint.lock().take_left_out();
        if count > 0 {
            tracing::warn!(event = "events_left_out", count);
        }
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
        let mut restraint = self.restraint.lock();
        if self.recording != Recording::Nothing && restraint.may_log() {
            // The management service records it too.
            restraint.spent(1);
            drop(restraint);
            ctx.send(&self.vmms, VmmsMessage::Log { vm: self.vm, entry });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(pages: u64) -> Report {
        let demand = PageCount(pages);
        let status = GuestStatus::default().with(|c| {
            c.demand = demand;
            c.commit = demand;
        });
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

    /// Lets the guest do `many` things, each of which leads to this many events. Returns how many of them are recorded.
    fn flood(restraint: &mut Restraint, now: Duration, many: u64, events: u64) -> u64 {
        let admitted = (0..many).filter(|_| {
            let admitted = restraint.admit(now);
            if admitted {
                restraint.spent(events);
            }
            admitted
        });
        admitted.count() as u64
    }

    #[test]
    fn a_flood_of_events_is_counted_instead() {
        let most = c::EVENTS_PER_SECOND.whole();
        let mut restraint = Restraint::default();
        assert_eq!(flood(&mut restraint, Duration::from_millis(5), 1000, 1), most);
        assert_eq!((restraint.take_left_out(), restraint.take_left_out()), (1000 - most, 0));
        // What leads to no event, and is in the journal alone, counts all the same.
        assert_eq!(flood(&mut restraint, Duration::from_secs(2), 1000, 0), most);
        assert_eq!(flood(&mut restraint, Duration::from_secs(3), 1000, 5), most / 5);
    }

    #[test]
    fn what_the_host_asks_for_is_recorded_for_it() {
        let (at_will, asked_for) = (c::EVENTS_PER_SECOND.whole(), c::EVENTS_PER_OPERATION.whole());
        let mut restraint = Restraint::default();
        for second in 0..3 {
            restraint.operation_begins();
            // A second order takes the place of the first: it does not add up.
            restraint.operation_begins();
            assert_eq!(flood(&mut restraint, Duration::from_secs(second), 1000, 1), at_will + asked_for);
        }
        // What is left of an operation is good for later seconds.
        restraint.operation_begins();
        assert_eq!(flood(&mut restraint, Duration::from_secs(4), 50, 1), 50);
        assert_eq!(flood(&mut restraint, Duration::from_secs(5), 1000, 1), at_will + asked_for - 30);
    }

    #[test]
    fn resets_are_an_interval_apart() {
        let mut restraint = Restraint::default();
        let begin = Duration::from_secs(5);
        let end = begin + c::RESET_INTERVAL.duration();
        assert_eq!(restraint.may_reset(begin), Ok(()));
        assert_eq!(restraint.may_reset(begin), Err(end));
        assert_eq!(restraint.may_reset(end - Duration::from_nanos(1)), Err(end));
        assert_eq!(restraint.may_reset(end), Ok(()));
    }

    #[test]
    fn protocol_errors_in_the_event_log_are_limited_until_the_vm_is_started_again() {
        let mut restraint = Restraint::default();
        let logged = |restraint: &mut Restraint| (0..1000).filter(|_| restraint.may_log()).count() as u64;
        assert_eq!(logged(&mut restraint), c::LOGGED_ERRORS.whole());
        assert_eq!(logged(&mut restraint), 0);
        restraint.started();
        assert_eq!(logged(&mut restraint), c::LOGGED_ERRORS.whole());
    }
}
