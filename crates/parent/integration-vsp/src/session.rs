//! What all services have in common: versions are agreed on, then one question at a time is asked and answered.

use alloc::vec::Vec;

use integration_protocol::{
    FRAMEWORK_VERSIONS, Flags, Message, MessageType, Negotiation, Service, Status, Version,
};

use crate::{Event, Ignored, Output};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is no open channel, or no common version.
    Closed,
    /// The guest was told which versions the host speaks.
    Offered,
    /// Both have agreed.
    Agreed { framework: Version, version: Version },
}

/// The conversation over one channel.
#[derive(Debug)]
pub(crate) struct Session {
    service: Service,
    /// What the host speaks, newest first.
    versions: Vec<Version>,
    phase: Phase,
    /// Number of the last question.
    transaction: u8,
    /// Whether that question waits for its answer.
    asked: bool,
}

/// What a packet was.
pub(crate) enum Heard<'a> {
    /// The end of the negotiation: the service can begin.
    Agreed,
    /// The answer to the question.
    Answer(Message<'a>),
    /// Nothing to act on; what was to be said of it is said.
    Nothing,
}

impl Session {
    pub(crate) fn new(service: Service, versions: &[Version]) -> Self {
        Self { service, versions: versions.to_vec(), phase: Phase::Closed, transaction: 0, asked: false }
    }

    pub(crate) fn opened(&mut self, out: &mut Vec<Output>) {
        self.phase = Phase::Offered;
        // Oldest first, as Hyper-V's own offers are (documented: OpenVMM's lists of versions).
        let oldest_first = |versions: &[Version]| versions.iter().rev().copied().collect();
        let offer = Negotiation {
            frameworks: oldest_first(&FRAMEWORK_VERSIONS),
            versions: oldest_first(&self.versions),
        };
        self.send(MessageType::NEGOTIATE, FRAMEWORK_VERSIONS[1], Version::new(0, 0), &offer.encode(), out);
    }

    pub(crate) fn closed(&mut self) {
        self.phase = Phase::Closed;
        self.asked = false;
    }

    /// The version of the service's messages, once it is agreed on.
    pub(crate) fn version(&self) -> Option<Version> {
        match self.phase {
            Phase::Agreed { version, .. } => Some(version),
            Phase::Closed | Phase::Offered => None,
        }
    }

    /// Whether an answer is waited for.
    pub(crate) fn is_asking(&self) -> bool {
        self.asked
    }

    /// Asks a question; an answer to the one before is not waited for any more. False, and nothing is asked, before versions are agreed on.
    pub(crate) fn ask(&mut self, body: &[u8], out: &mut Vec<Output>) -> bool {
        let Phase::Agreed { framework, version } = self.phase else { return false };
        self.send(self.service.message_type(), framework, version, body, out);
        true
    }

    fn send(
        &mut self,
        kind: MessageType,
        framework: Version,
        version: Version,
        body: &[u8],
        out: &mut Vec<Output>,
    ) {
        self.transaction = self.transaction.wrapping_add(1);
        self.asked = true;
        let message = Message {
            framework,
            kind,
            version,
            status: Status::OK,
            transaction: self.transaction,
            flags: Flags::REQUEST,
            body,
        };
        out.push(Output::Send(message.encode()));
    }

    pub(crate) fn packet<'a>(&mut self, payload: &'a [u8], out: &mut Vec<Output>) -> Heard<'a> {
        match self.read(payload) {
            Ok((heard, event)) => {
                out.extend(event.map(Output::Event));
                heard
            }
            Err(ignored) => {
                out.push(Output::Event(Event::Ignored(ignored)));
                Heard::Nothing
            }
        }
    }

    fn read<'a>(&mut self, payload: &'a [u8]) -> Result<(Heard<'a>, Option<Event>), Ignored> {
        let message = Message::decode(payload).map_err(Ignored::NotAMessage)?;
        if !message.flags.is_response() {
            return Err(Ignored::OfAnotherKind);
        }
        let expected = match self.phase {
            Phase::Closed => return Err(Ignored::NotAsked),
            Phase::Offered => MessageType::NEGOTIATE,
            Phase::Agreed { .. } => self.service.message_type(),
        };
        if message.kind != expected {
            return Err(Ignored::OfAnotherKind);
        }
        if !self.asked || message.transaction != self.transaction {
            return Err(Ignored::NotAsked);
        }
        if let Phase::Agreed { .. } = self.phase {
            self.asked = false;
            return Ok((Heard::Answer(message), None));
        }
        let chosen = Negotiation::decode(message.body).map_err(Ignored::NotAMessage)?;
        let (Some(&framework), Some(&version)) = (chosen.frameworks.first(), chosen.versions.first()) else {
            self.closed();
            return Ok((Heard::Nothing, Some(Event::NoCommonVersion)));
        };
        if !FRAMEWORK_VERSIONS.contains(&framework) || !self.versions.contains(&version) {
            return Err(Ignored::NotOffered);
        }
        self.asked = false;
        self.phase = Phase::Agreed { framework, version };
        Ok((Heard::Agreed, Some(Event::Negotiated { framework, version })))
    }
}
