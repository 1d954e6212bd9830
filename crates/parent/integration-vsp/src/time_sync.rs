//! Telling the guest the time.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use integration_protocol::{self as protocol, Service, TimeSyncFlags, Version};

use crate::constants as c;
use crate::session::{Heard, Session};
use crate::{IntegrationService, Output};

/// The host's time in units of 100 ns since the beginning of 1601 (UTC), at this time of the caller's own clock. A caller in virtual time
/// computes the host's time; one on a computer's clock reads it.
pub type HostClock = Box<dyn FnMut(Duration) -> u64 + Send>;

/// The partition's reference time at this moment, in units of 100 ns: what the guest reads from `HV_X64_MSR_TIME_REF_COUNT`.
pub type ReferenceClock = Box<dyn FnMut() -> u64 + Send>;

/// The host's end of the time synchronization service.
///
/// With a reference clock the service speaks version 4.0, which lets the guest take away the time that a message was under way; without one
/// it offers no more than 3.0.
pub struct TimeSync {
    session: Session,
    host: HostClock,
    reference: Option<ReferenceClock>,
    /// When the guest is told next.
    due: Option<Duration>,
}

impl core::fmt::Debug for TimeSync {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { session, host: _, reference, due } = self;
        f.debug_struct("TimeSync")
            .field("session", session)
            .field("reference", &reference.is_some())
            .field("due", due)
            .finish_non_exhaustive()
    }
}

impl TimeSync {
    /// A service whose channel is not open.
    #[must_use]
    pub fn new(host: HostClock, reference: Option<ReferenceClock>) -> Self {
        let all = Service::TimeSync.versions();
        let spoken: Vec<Version> =
            all.iter().copied().filter(|version| reference.is_some() || version.major < 4).collect();
        Self { session: Session::new(Service::TimeSync, &spoken), host, reference, due: None }
    }

    fn tell(&mut self, now: Duration, flags: TimeSyncFlags, out: &mut Vec<Output>) {
        let Some(version) = self.session.version() else { return };
        let host_time = (self.host)(now);
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
