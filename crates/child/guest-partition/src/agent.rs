//! The agent in a simulated guest: its daemon for key-value pairs, with what the agent measures under one key.

use std::sync::Arc;
use std::time::Duration;

use guest_insight::KEY;
use guest_memory_manager::Guest;
use guest_memory_manager::agent::Agent;
use integration_protocol::{Pool, Service, Value};
use integration_vsc::{IntegrationVsc, Output};
use model_sync::Mutex;
use vmbus::control::Uuid;

use crate::driver::{ChannelDriver, DriverOutput};

/// How often the agent measures: what a host reads every second is no older than that (invented).
const INTERVAL: Duration = Duration::from_secs(1);

/// The driver of the service, and the agent behind it.
pub(crate) struct AgentDriver {
    service: IntegrationVsc,
    agent: Agent,
    guest: Arc<Mutex<Guest>>,
    /// When the agent measures next; `None` while the channel is closed.
    next: Option<Duration>,
}

impl AgentDriver {
    pub(crate) fn new(agent: Agent, guest: Arc<Mutex<Guest>>) -> Self {
        Self { service: IntegrationVsc::new(Service::KeyValue), agent, guest, next: None }
    }

    fn measure(&mut self, now: Duration) {
        self.next = Some(now + INTERVAL);
        let insight = self.agent.measure(now, &mut self.guest.lock());
        self.service.remember(Pool::Guest, KEY, Value::Text(insight.to_text()));
    }
}

impl ChannelDriver for AgentDriver {
    fn class(&self) -> Uuid {
        self.service.service().class()
    }

    fn opened(&mut self, now: Duration, _out: &mut Vec<DriverOutput>) {
        self.service.reset();
        self.measure(now);
    }

    fn packet(&mut self, _now: Duration, payload: &[u8], out: &mut Vec<DriverOutput>) {
        let mut wanted = Vec::new();
        self.service.packet(payload, &mut wanted);
        out.extend(wanted.into_iter().filter_map(|output| match output {
            Output::Send(packet) => Some(DriverOutput::Send(packet)),
            Output::Shutdown(_) | Output::Time(_) => None,
        }));
    }

    fn closed(&mut self, _now: Duration, _out: &mut Vec<DriverOutput>) {
        self.service.reset();
        self.next = None;
    }

    fn timer(&mut self, now: Duration, _out: &mut Vec<DriverOutput>) {
        if self.next.is_some_and(|next| next <= now) {
            self.measure(now);
        }
    }

    fn next_timeout(&self) -> Option<Duration> {
        self.next
    }
}
