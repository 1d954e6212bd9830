//! Whether the guest lives.

use alloc::vec::Vec;
use core::time::Duration;

use integration_protocol::{self as protocol, ApplicationState, Service};

use crate::constants as c;
use crate::session::{Heard, Session};
use crate::{Event, Ignored, IntegrationService, Output};

/// How the guest is seen (documented: the states that Hyper-V's management shows, `Msvm_HeartbeatComponent.OperationalStatus`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HeartbeatStatus {
    /// The guest's driver is not there, or has not answered yet.
    #[default]
    NoContact,
    /// The guest answers, and says this of itself.
    Ok(ApplicationState),
    /// The guest has answered, and no longer does.
    LostCommunication,
}

/// The host's end of the heartbeat service.
#[derive(Debug)]
pub struct Heartbeat {
    session: Session,
    status: HeartbeatStatus,
    /// The number of the last question.
    sequence: u64,
    /// When the next question is due.
    due: Option<Duration>,
    /// Questions without an answer, one after the other.
    missed: u32,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self::new()
    }
}

impl Heartbeat {
    /// A service whose channel is not open.
    #[must_use]
    pub fn new() -> Self {
        Self {
            session: Session::new(Service::Heartbeat, Service::Heartbeat.versions()),
            status: HeartbeatStatus::NoContact,
            sequence: 0,
            due: None,
            missed: 0,
        }
    }

    /// How the guest is seen.
    #[must_use]
    pub fn status(&self) -> HeartbeatStatus {
        self.status
    }

    fn see(&mut self, status: HeartbeatStatus, out: &mut Vec<Output>) {
        if self.status != status {
            self.status = status;
            out.push(Output::Event(Event::Heartbeat(status)));
        }
    }

    fn beat(&mut self, now: Duration, out: &mut Vec<Output>) {
        let question = protocol::Heartbeat { sequence: self.sequence, state: ApplicationState::UNKNOWN };
        if self.session.ask(&question.encode(), out) {
            self.due = Some(now + c::HEARTBEAT_INTERVAL.duration());
        }
    }
}

impl IntegrationService for Heartbeat {
    fn service(&self) -> Service {
        Service::Heartbeat
    }

    fn opened(&mut self, _now: Duration, out: &mut Vec<Output>) {
        self.session.opened(out);
    }

    fn packet(&mut self, now: Duration, payload: &[u8], out: &mut Vec<Output>) {
        match self.session.packet(payload, out) {
            Heard::Agreed => self.beat(now, out),
            Heard::Answer(message) => {
                match protocol::Heartbeat::decode(message.body) {
                    // Drivers answer with the next number (documented: Linux, hv_util.c).
                    Ok(beat) if beat.sequence == self.sequence.wrapping_add(1) => {
                        self.missed = 0;
                        self.sequence = beat.sequence;
                        self.see(HeartbeatStatus::Ok(beat.state), out);
                    }
                    Ok(_) => out.push(Output::Event(Event::Ignored(Ignored::NotAsked))),
                    Err(error) => out.push(Output::Event(Event::Ignored(Ignored::NotAMessage(error)))),
                }
            }
            Heard::Nothing => {}
        }
    }

    fn closed(&mut self, out: &mut Vec<Output>) {
        self.session.closed();
        (self.due, self.missed) = (None, 0);
        self.see(HeartbeatStatus::NoContact, out);
    }

    fn timer(&mut self, now: Duration, out: &mut Vec<Output>) {
        if self.due.take_if(|due| *due <= now).is_none() {
            return;
        }
        if self.session.is_asking() {
            self.missed = self.missed.saturating_add(1);
            let answered_before = self.status != HeartbeatStatus::NoContact;
            if answered_before && f64::from(self.missed) >= c::HEARTBEAT_MISSED.value {
                self.see(HeartbeatStatus::LostCommunication, out);
            }
        }
        self.beat(now, out);
    }

    fn next_timeout(&self) -> Option<Duration> {
        self.due
    }
}
