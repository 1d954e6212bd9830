//! Both ends of a bus joined, one step at a time.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::monitor::{Monitor, Question};
use crate::control::client::{Client, ClientConfig, Output};
use crate::control::message::Payload;
use crate::control::queue::MessageQueue;
use crate::control::server::{self, Server, ServerConfig, Violation};
use crate::control::{CONTACT_CONNECTION_ID, CONTACT_CONNECTION_ID_V5, PostStatus, Status};

/// A client and a server with what lies between them: the host's port with its buffers, the host's queue and the guest's
/// slot. Time stands still unless [`Step::Timer`] moves it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pair {
    /// The guest's side.
    pub client: Client,
    /// The host's side.
    pub server: Server,
    /// The rules, and the owner's bookkeeping.
    pub monitor: Monitor,
    /// What the client told its drivers, oldest first.
    pub events: Vec<Output>,
    /// What the server blamed the guest for.
    pub violations: Vec<Violation>,
    /// The time both ends are told.
    pub now: Duration,
    buffers: usize,
    up: VecDeque<(u32, Payload)>,
    down: MessageQueue,
    slot: Option<Payload>,
}

/// One thing that happens between, or at, the two ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Step {
    /// The host takes a message from its port.
    Up,
    /// The guest takes the message in its slot.
    Down,
    /// The host's owner answers a question.
    Answer(Question, bool),
    /// The client's next timeout comes.
    Timer,
}

/// The two ends did not come to rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("still busy after {0} steps")]
pub struct Unsettled(pub usize);

impl Pair {
    /// Both ends without contact; `buffers` messages fit in the host's port (16 with Hyper-V).
    pub fn new(client: ClientConfig, server: ServerConfig, buffers: usize) -> Self {
        Self {
            client: Client::new(client),
            server: Server::new(server),
            monitor: Monitor::new(),
            events: Vec::new(),
            violations: Vec::new(),
            now: Duration::ZERO,
            buffers,
            up: VecDeque::new(),
            down: MessageQueue::default(),
            slot: None,
        }
    }

    /// Something the guest does: what comes of it is posted, and told in [`Self::events`].
    pub fn guest<R>(&mut self, act: impl FnOnce(&mut Client, Duration, &mut Vec<Output>) -> R) -> R {
        let mut out = Vec::new();
        let result = act(&mut self.client, self.now, &mut out);
        let mut todo = VecDeque::from(out);
        while let Some(output) = todo.pop_front() {
            match output {
                Output::Post { connection_id, payload } => {
                    let status = self.post(connection_id, payload);
                    let mut more = Vec::new();
                    self.client.post_result(self.now, status, &mut more);
                    todo.extend(more);
                }
                event => self.events.push(event),
            }
        }
        result
    }

    fn post(&mut self, connection_id: u32, payload: Payload) -> PostStatus {
        if !self.server.connection_ids().contains(&connection_id) {
            return PostStatus::InvalidConnectionId;
        }
        if self.up.len() >= self.buffers {
            return PostStatus::InsufficientBuffers;
        }
        self.up.push_back((connection_id, payload));
        PostStatus::Success
    }

    /// Something the host does.
    pub fn host<R>(&mut self, act: impl FnOnce(&mut Server, &mut Vec<server::Output>) -> R) -> R {
        let mut out = Vec::new();
        let result = act(&mut self.server, &mut out);
        for output in out {
            self.monitor.output(&output);
            match output {
                server::Output::Post(message) => {
                    let pushed = self.down.push(message);
                    assert!(pushed.is_ok(), "the host's queue is full though its guest had to wait");
                }
                server::Output::Reset => self.down.clear(),
                server::Output::Violation(violation) => self.violations.push(violation),
                _ => {}
            }
        }
        self.monitor.at_rest();
        self.fill_slot();
        result
    }

    fn fill_slot(&mut self) {
        if self.slot.is_none() {
            self.slot = self.down.pop().map(|message| message.payload);
        }
    }

    /// What can happen next.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.up.is_empty() && !self.down.is_congested() {
            steps.push(Step::Up);
        }
        if self.slot.is_some() {
            steps.push(Step::Down);
        }
        for question in self.monitor.questions() {
            steps.push(Step::Answer(question, true));
            steps.push(Step::Answer(question, false));
        }
        if self.client.next_timeout().is_some() && self.up.len() < self.buffers {
            steps.push(Step::Timer);
        }
        steps
    }

    /// Lets one thing happen. Nothing, if it is none of [`Self::steps`].
    pub fn step(&mut self, step: Step) {
        match step {
            Step::Up => {
                if let Some((connection_id, payload)) = self.up.pop_front() {
                    self.guest_message(connection_id, &payload);
                }
            }
            Step::Down => {
                if let Some(payload) = self.slot.take() {
                    self.fill_slot();
                    self.guest(|client, now, out| client.message(now, &payload, out));
                }
            }
            Step::Answer(question, ok) => {
                self.monitor.answer(question, ok);
                self.host(|server, out| match question {
                    Question::Gpadl(request) => server.gpadl_result(request, ok, out),
                    Question::Open(request) => server.open_result(request, Status::from_ok(ok), out),
                });
            }
            Step::Timer => {
                if let Some(at) = self.client.next_timeout() {
                    self.now = self.now.max(at);
                    self.guest(Client::timer);
                }
            }
        }
    }

    /// These bytes reach the host as if the guest had posted them.
    pub fn guest_message(&mut self, connection_id: u32, bytes: &[u8]) {
        let expected = self.server.version().map(|version| {
            if version.names_its_connection() { CONTACT_CONNECTION_ID_V5 } else { CONTACT_CONNECTION_ID }
        });
        self.monitor.guest_message(expected == Some(connection_id), bytes);
        self.host(|server, out| server.message(connection_id, bytes, out));
    }

    /// Whether nothing is under way: no message, no question, no wait.
    pub fn is_settled(&self) -> bool {
        self.steps().is_empty()
    }

    /// Lets things happen, every question answered with yes, until nothing is under way. At most `most` steps.
    ///
    /// # Errors
    /// Something is still under way after `most` steps.
    pub fn settle(&mut self, most: usize) -> Result<usize, Unsettled> {
        for taken in 0..most {
            let Some(&step) = self.steps().first() else { return Ok(taken) };
            self.step(step);
        }
        if self.is_settled() { Ok(most) } else { Err(Unsettled(most)) }
    }

    /// The guest takes its messages and looks at none of them.
    pub fn drop_messages_to_guest(&mut self) {
        self.slot = None;
        self.down.clear();
    }

    /// Takes the events so far.
    pub fn take_events(&mut self) -> Vec<Output> {
        core::mem::take(&mut self.events)
    }
}
