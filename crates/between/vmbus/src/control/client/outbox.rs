//! What the guest wants to post: one at a time, retried while the host's port is full.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Client, Connection, Failure, Output, Stage};
use crate::control::message::{Message, MessageError, MessageType, Payload};
use crate::control::{PostStatus, Relid};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
struct Outgoing {
    connection_id: u32,
    payload: Payload,
    attempts: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
enum Current {
    #[default]
    None,
    /// The hypercall's status is to come.
    Posted(Outgoing),
    /// To be posted again.
    Waiting { message: Outgoing, until: Duration },
    /// The hypercall's status is to come, and matters no more.
    Discarded,
}

/// Messages to be posted, oldest first.
///
/// Bounded by what drivers ask for and by one RELID_RELEASED for each channel id: nothing else the host sends adds to
/// it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub(super) struct Outbox {
    current: Current,
    waiting: VecDeque<Outgoing>,
}

impl Outbox {
    pub(super) fn push(&mut self, connection_id: u32, payload: Payload) {
        self.waiting.push_back(Outgoing { connection_id, payload, attempts: 0 });
    }

    /// Forgets everything; the status of a post already made is not waited for, but still comes.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.current = match self.current {
            Current::Posted(_) | Current::Discarded => Current::Discarded,
            Current::None | Current::Waiting { .. } => Current::None,
        };
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn retry_at(&self) -> Option<Duration> {
        match self.current {
            Current::Waiting { until, .. } => Some(until),
            _ => None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.current == Current::None
    }

    /// Messages that are not decodable as the guest's own: none, unless a saved state was made up.
    pub(super) fn check(&self) -> Result<(), MessageError> {
        let current = match &self.current {
            Current::Posted(message) | Current::Waiting { message, .. } => Some(message),
            Current::None | Current::Discarded => None,
        };
        self.waiting
            .iter()
            .chain(current)
            .try_for_each(|message| Message::decode(&message.payload).map(|_| ()))
    }
}

fn kind_of(payload: &Payload) -> MessageType {
    Message::decode(payload).map_or(MessageType(0), |message| message.kind())
}

impl Client {
    /// Whether everything asked for has been posted.
    pub fn all_posted(&self) -> bool {
        self.state.outbox.is_empty()
    }

    /// The hypercall's status for the last [`Output::Post`]. Ignored if none is waited for.
    pub fn post_result(&mut self, now: Duration, status: PostStatus, out: &mut Vec<Output>) {
        match core::mem::take(&mut self.state.outbox.current) {
            Current::Posted(message) => self.posted(now, message, status, out),
            Current::Discarded | Current::None => {}
            waiting @ Current::Waiting { .. } => self.state.outbox.current = waiting,
        }
        self.pump(out);
    }

    fn posted(&mut self, now: Duration, mut message: Outgoing, status: PostStatus, out: &mut Vec<Output>) {
        let kind = kind_of(&message.payload);
        match (status, self.state.connection) {
            (PostStatus::Success, _) => {}
            (PostStatus::InvalidConnectionId, Connection::Contacting { attempt })
                if kind == MessageType::INITIATE_CONTACT =>
            {
                self.contact_refused(now, attempt, out);
            }
            (PostStatus::InsufficientBuffers, _) => {
                let retry = self.config.retry;
                message.attempts = message.attempts.saturating_add(1);
                if message.attempts >= retry.attempts {
                    self.fail(Failure::HostBusy { kind, attempts: message.attempts }, out);
                    return;
                }
                let doublings = (message.attempts - 1).min(31);
                let wait = retry.first.saturating_mul(1 << doublings).min(retry.longest);
                self.state.outbox.current = Current::Waiting { message, until: now.saturating_add(wait) };
            }
            (status, _) => self.fail(Failure::Post { kind, status: status.to_hv_status() }, out),
        }
    }

    /// The time of [`Self::next_timeout`] has come, or any other.
    pub fn timer(&mut self, now: Duration, out: &mut Vec<Output>) {
        if self.state.reply_by.is_some_and(|by| by <= now) {
            let kind = match self.state.connection {
                Connection::Unloading => MessageType::UNLOAD,
                _ => MessageType::INITIATE_CONTACT,
            };
            self.fail(Failure::NoAnswer(kind), out);
        }
        if let Current::Waiting { message, until } = self.state.outbox.current
            && until <= now
        {
            self.post(message, out);
        }
        self.pump(out);
    }

    /// Posts the next message, if the last is through.
    pub(super) fn pump(&mut self, out: &mut Vec<Output>) {
        if self.state.outbox.current == Current::None
            && let Some(message) = self.state.outbox.waiting.pop_front()
        {
            self.forget_released(&message.payload);
            self.post(message, out);
        }
    }

    fn post(&mut self, message: Outgoing, out: &mut Vec<Output>) {
        self.state.outbox.current = Current::Posted(message);
        out.push(Output::Post { connection_id: message.connection_id, payload: message.payload });
    }

    /// As soon as the host may know that a channel is released, it may offer another under the same id.
    fn forget_released(&mut self, payload: &Payload) {
        if let Ok(Message::RelidReleased(released)) = Message::decode(payload)
            && let Some(relid) = Relid::new(released.relid.get())
            && self.state.channels.get(&relid).is_some_and(|channel| channel.stage == Stage::Releasing)
        {
            self.state.channels.remove(&relid);
        }
    }
}
