//! Telling the guest the time.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use integration_protocol::{self as protocol, Service, TimeSyncFlags, Version};

use crate::constants as c;
use crate::session::{Heard, Session};
use crate::{IntegrationService, Output};

/// The partition's reference time at this moment, in units of 100 ns: what the guest reads from `HV_X64_MSR_TIME_REF_COUNT`.
pub type ReferenceClock = Box<dyn FnMut() -> u64 + Send>;

/// The host's end of the time synchronization service.
///
/// With a reference clock the service speaks version 4.0, which lets the guest take away the time that a message was under way; without one
/// it offers no more than 3.0.
pub struct TimeSync {
    session: Session,
    /// The host's time when the caller's clock stood at zero, in units of 100 ns since 1601.
    at_zero: u64,
    reference: Option<ReferenceClock>,
    /// When the guest is told next.
    due: Option<Duration>,
}

impl core::fmt::Debug for TimeSync {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { session, at_zero, reference, due } = self;
        f.debug_struct("TimeSync")
            .field("session", session)
            .field("at_zero", at_zero)
            .field("reference", &reference.is_some())
            .field("due", due)
            .finish()
    }
}

impl TimeSync {
    /// A service whose channel is not open. `at_zero` is the host's time when the clock that callers hand in stood at zero, in units of
    /// 100 ns since the beginning of 1601 (UTC).
    #[must_use]
    pub fn new(at_zero: u64, reference: Option<ReferenceClock>) -> Self {
        let all = Service::TimeSync.versions();
        let spoken: Vec<Version> =
            all.iter().copied().filter(|version| reference.is_some() || version.major < 4).collect();
        Self { session: Session::new(Service::TimeSync, &spoken), at_zero, reference, due: None }
    }

    fn tell(&mut self, now: Duration, flags: TimeSyncFlags, out: &mut Vec<Output>) {
        let Some(version) = self.session.version() else { return };
        let since = u64::try_from(now.as_nanos() / 100).unwrap_or(u64::MAX);
        let host_time = self.at_zero.saturating_add(since);
        let reference_time = self.reference.as_mut().map(|read| read());
        let time = protocol::TimeSync { host_time, reference_time, flags };
        self.session.ask(&time.encode(version), out);
        self.due = Some(now + c::TIME_SAMPLE.duration());
    }
}

impl IntegrationService for TimeSync {
    fn service(&self) -> Service {
        Service::TimeSync
    }

    fn opened(&mut self, _now: Duration, out: &mut Vec<Output>) {
        self.session.opened(out);
    }

    fn packet(&mut self, now: Duration, payload: &[u8], out: &mut Vec<Output>) {
        match self.session.packet(payload, out) {
            Heard::Agreed => self.tell(now, TimeSyncFlags::SYNC, out),
            // That the guest has heard is all that an answer says.
            Heard::Answer(_) | Heard::Nothing => {}
        }
    }

    fn closed(&mut self, _out: &mut Vec<Output>) {
        self.session.closed();
        self.due = None;
    }

    fn timer(&mut self, now: Duration, out: &mut Vec<Output>) {
        if self.due.take_if(|due| *due <= now).is_some() {
            self.tell(now, TimeSyncFlags::SAMPLE, out);
        }
    }

    fn next_timeout(&self) -> Option<Duration> {
        self.due
    }
}
