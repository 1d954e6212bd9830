//! Asking the guest to shut down.

use alloc::vec::Vec;
use core::time::Duration;

use integration_protocol::{self as protocol, Service, Status};

use crate::constants as c;
use crate::session::{Heard, Session};
use crate::{Event, IntegrationService, Output};

/// What came of a request to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownAnswer {
    /// The guest will.
    Accepted,
    /// The guest will not.
    Refused(Status),
    /// The guest has not said.
    NoAnswer,
}

/// The host's end of the shutdown service.
#[derive(Debug)]
pub struct Shutdown {
    session: Session,
    /// When the answer is no longer waited for.
    deadline: Option<Duration>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A service whose channel is not open.
    #[must_use]
    pub fn new() -> Self {
        Self { session: Session::new(Service::Shutdown, Service::Shutdown.versions()), deadline: None }
    }

    /// Asks the guest. False, and nothing is asked, if its driver is not there; [`Event::Shutdown`] says what comes of the request. A request
    /// before the last one was answered takes that one's place.
    pub fn request(&mut self, now: Duration, what: &protocol::Shutdown, out: &mut Vec<Output>) -> bool {
        let asked = self.session.ask(&what.encode(), out);
        if asked {
            self.deadline = Some(now + c::SHUTDOWN_ANSWER.duration());
        }
        asked
    }

    fn answered(&mut self, answer: ShutdownAnswer, out: &mut Vec<Output>) {
        if self.deadline.take().is_some() {
            out.push(Output::Event(Event::Shutdown(answer)));
        }
    }
}

impl IntegrationService for Shutdown {
    fn service(&self) -> Service {
        Service::Shutdown
    }

    fn opened(&mut self, _now: Duration, out: &mut Vec<Output>) {
        self.session.opened(out);
    }

    fn packet(&mut self, _now: Duration, payload: &[u8], out: &mut Vec<Output>) {
        if let Heard::Answer(message) = self.session.packet(payload, out) {
            let answer = match message.status {
                Status::OK => ShutdownAnswer::Accepted,
                status => ShutdownAnswer::Refused(status),
            };
            self.answered(answer, out);
        }
    }

    fn closed(&mut self, out: &mut Vec<Output>) {
        self.session.closed();
        self.answered(ShutdownAnswer::NoAnswer, out);
    }

    fn timer(&mut self, now: Duration, out: &mut Vec<Output>) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.answered(ShutdownAnswer::NoAnswer, out);
        }
    }

    fn next_timeout(&self) -> Option<Duration> {
        self.deadline
    }
}
