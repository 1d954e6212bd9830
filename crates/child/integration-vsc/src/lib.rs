//! The guest's end of Hyper-V's integration services, as the `hv_utils` drivers of Linux behave: state machines without I/O, threads or
//! clocks. Every packet of the host is answered at once; what is to happen in the guest comes back ([`Output`]).
//!
//! **What it owns**: the versions agreed on, and of the service for key-value pairs the pools.
//!
//! **What it never does**: it asks the host nothing. What is not a message, or not for this service, is left unanswered.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use integration_protocol::{
    ApplicationState, FRAMEWORK_VERSIONS, Flags, Heartbeat, KeyValue, KeyValueOperation, Message,
    MessageType, Negotiation, Pool, Service, Shutdown, Status, TimeSync, Value, Version,
};

/// What the guest is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this as one packet.
    Send(Vec<u8>),
    /// Shut down, restart or hibernate: the host asks, and the answer is that the guest will.
    Shutdown(Shutdown),
    /// The host tells the time.
    Time(TimeSync),
}

/// The guest's driver of one service.
#[derive(Clone, Debug)]
pub struct IntegrationVsc {
    service: Service,
    /// What the driver speaks, newest first.
    versions: Vec<Version>,
    agreed: Option<(Version, Version)>,
    /// How the guest feels.
    state: ApplicationState,
    pools: BTreeMap<Pool, BTreeMap<String, Value>>,
}

impl IntegrationVsc {
    /// A driver that speaks all versions of its service.
    #[must_use]
    pub fn new(service: Service) -> Self {
        Self::speaking(service, service.versions())
    }

    /// A driver that speaks only these versions, the one that it likes most first.
    #[must_use]
    pub fn speaking(service: Service, versions: &[Version]) -> Self {
        Self {
            service,
            versions: versions.to_vec(),
            agreed: None,
            state: ApplicationState::OK,
            pools: BTreeMap::new(),
        }
    }

    /// Its service.
    #[must_use]
    pub fn service(&self) -> Service {
        self.service
    }

    /// Versions of frame and messages, once they are agreed on.
    #[must_use]
    pub fn agreed(&self) -> Option<(Version, Version)> {
        self.agreed
    }

    /// How the guest feels from now on.
    pub fn set_state(&mut self, state: ApplicationState) {
        self.state = state;
    }

    /// Remembers a value, as the guest's daemon would.
    pub fn remember(&mut self, pool: Pool, key: &str, value: Value) {
        self.pools.entry(pool).or_default().insert(key.into(), value);
    }

    /// The channel was opened anew, or closed.
    pub fn reset(&mut self) {
        self.agreed = None;
    }

    /// A packet of the host.
    pub fn packet(&mut self, payload: &[u8], out: &mut Vec<Output>) {
        let Ok(message) = Message::decode(payload) else { return };
        if message.kind == MessageType::NEGOTIATE {
            if let Ok(offer) = Negotiation::decode(message.body) {
                let body = self.choose(&offer).encode();
                out.push(answer(&message, Status::OK, &body));
            }
            return;
        }
        if message.kind != self.service.message_type() {
            return;
        }
        let (status, body, then) = self.serve(&message);
        out.push(answer(&message, status, &body));
        out.extend(then);
    }

    /// The driver's most liked versions that the host offers, or none.
    fn choose(&mut self, offer: &Negotiation) -> Negotiation {
        let framework = FRAMEWORK_VERSIONS.into_iter().find(|version| offer.frameworks.contains(version));
        let version = self.versions.iter().copied().find(|version| offer.versions.contains(version));
        self.agreed = framework.zip(version);
        let one = |version: Option<Version>| self.agreed.and(version).into_iter().collect();
        Negotiation { frameworks: one(framework), versions: one(version) }
    }

    fn serve(&mut self, message: &Message<'_>) -> (Status, Vec<u8>, Option<Output>) {
        let as_it_was = || message.body.to_vec();
        match self.service {
            Service::Heartbeat => match Heartbeat::decode(message.body) {
                Ok(beat) => {
                    let sequence = beat.sequence.wrapping_add(1);
                    (Status::OK, Heartbeat { sequence, state: self.state }.encode(), None)
                }
                Err(_) => (Status::FAILED, as_it_was(), None),
            },
            Service::Shutdown => match Shutdown::decode(message.body) {
                Ok(shutdown) => (Status::OK, as_it_was(), Some(Output::Shutdown(shutdown))),
                Err(_) => (Status::FAILED, as_it_was(), None),
            },
            Service::TimeSync => {
                let version = self.agreed.map_or(message.version, |(_, version)| version);
                let time = TimeSync::decode(message.body, version).ok();
                (Status::OK, as_it_was(), time.map(Output::Time))
            }
            Service::KeyValue => {
                let answer = KeyValue::decode(message.body).ok().and_then(|question| self.look_up(question));
                match answer.as_ref().map(KeyValue::encode) {
                    Some(Some(body)) => (Status::OK, body, None),
                    Some(None) => (Status::FAILED, as_it_was(), None),
                    None => (Status::NO_MORE_ITEMS, as_it_was(), None),
                }
            }
        }
    }

    fn look_up(&mut self, mut question: KeyValue) -> Option<KeyValue> {
        let pool = self.pools.entry(question.pool).or_default();
        match &question.operation {
            KeyValueOperation::Get => question.value = Some(pool.get(&question.key)?.clone()),
            KeyValueOperation::Set(value) => {
                pool.insert(question.key.clone(), value.clone());
            }
            KeyValueOperation::Delete => {
                pool.remove(&question.key)?;
            }
            KeyValueOperation::Enumerate(index) => {
                let (key, value) = pool.iter().nth(*index as usize)?;
                (question.key, question.value) = (key.clone(), Some(value.clone()));
            }
        }
        Some(question)
    }
}

fn answer(question: &Message<'_>, status: Status, body: &[u8]) -> Output {
    Output::Send(Message { status, flags: Flags::RESPONSE, body, ..*question }.encode())
}
