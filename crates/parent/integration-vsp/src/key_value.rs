//! Reading and writing what a daemon in the guest keeps.

use alloc::vec::Vec;
use core::time::Duration;

use integration_protocol::{KeyValue, Service, Status};

use crate::constants as c;
use crate::session::{Heard, Session};
use crate::{Event, Ignored, IntegrationService, Output};

/// What came of a question about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyValueAnswer {
    /// The guest answers this.
    Done(KeyValue),
    /// The guest has nothing under this key or index, or will not do what it was asked.
    Refused(Status),
    /// The guest has not answered.
    NoAnswer,
}

/// The host's end of the service for key-value pairs: one question at a time.
#[derive(Debug)]
pub struct KeyValues {
    session: Session,
    /// When the answer is no longer waited for.
    deadline: Option<Duration>,
}

impl Default for KeyValues {
    fn default() -> Self {
        Self::new()
    }
}

impl KeyValues {
    /// A service whose channel is not open.
    #[must_use]
    pub fn new() -> Self {
        Self { session: Session::new(Service::KeyValue, Service::KeyValue.versions()), deadline: None }
    }

    /// Asks the guest. False, and nothing is asked, if its driver is not there, if key or value have no room, or while an answer is waited for.
    pub fn request(&mut self, now: Duration, question: &KeyValue, out: &mut Vec<Output>) -> bool {
        let Some(body) = question.encode().filter(|_| self.deadline.is_none()) else { return false };
        let asked = self.session.ask(&body, out);
        if asked {
            self.deadline = Some(now + c::KEY_VALUE_ANSWER.duration());
        }
        asked
    }

    fn answered(&mut self, answer: KeyValueAnswer, out: &mut Vec<Output>) {
        if self.deadline.take().is_some() {
            out.push(Output::Event(Event::KeyValue(answer)));
        }
    }
}

impl IntegrationService for KeyValues {
    fn service(&self) -> Service {
        Service::KeyValue
    }

    fn opened(&mut self, _now: Duration, out: &mut Vec<Output>) {
        self.session.opened(out);
    }

    fn packet(&mut self, _now: Duration, payload: &[u8], out: &mut Vec<Output>) {
        if let Heard::Answer(message) = self.session.packet(payload, out) {
            let answer = match (message.status, KeyValue::decode(message.body)) {
                (Status::OK, Ok(answer)) => KeyValueAnswer::Done(answer),
                (Status::OK, Err(error)) => {
                    out.push(Output::Event(Event::Ignored(Ignored::NotAMessage(error))));
                    KeyValueAnswer::Refused(Status::FAILED)
                }
                (status, _) => KeyValueAnswer::Refused(status),
            };
            self.answered(answer, out);
        }
    }

    fn closed(&mut self, out: &mut Vec<Output>) {
        self.session.closed();
        self.answered(KeyValueAnswer::NoAnswer, out);
    }

    fn timer(&mut self, now: Duration, out: &mut Vec<Output>) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.answered(KeyValueAnswer::NoAnswer, out);
        }
    }

    fn next_timeout(&self) -> Option<Duration> {
        self.deadline
    }
}
