//! What the guest wants to post: one at a time, retried while the host takes no messages.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Client, Connection, Failure, GpadlState, Output, PostFailure, Ring, Stage};
use crate::control::message::{Message, MessageError, MessageType, Payload};
use crate::control::{GpadlId, PostStatus, Relid, Status};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Outgoing {
    connection_id: u32,
    payload: Payload,
    attempts: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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

pub(super) fn kind_of(payload: &Payload) -> MessageType {
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
            // Nothing but INITIATE_CONTACT is posted before there is contact.
            (PostStatus::InvalidConnectionId, Connection::Contacting { attempt }) => {
                self.contact_refused(now, attempt, out);
            }
            // Linux takes "invalid connection id" of any other message for a host that is busy, too (documented).
            (
                PostStatus::InsufficientBuffers
                | PostStatus::InsufficientMemory
                | PostStatus::InvalidConnectionId,
                _,
            ) => {
                let retry = self.config.retry;
                message.attempts = message.attempts.saturating_add(1);
                if message.attempts >= retry.attempts {
                    let attempts = message.attempts;
                    return self.not_posted(&message.payload, PostFailure::HostBusy { kind, attempts }, out);
                }
                let doublings = (message.attempts - 1).min(31);
                let wait = retry.first.saturating_mul(1 << doublings).min(retry.longest);
                self.state.outbox.current = Current::Waiting { message, until: now.saturating_add(wait) };
            }
            (status, _) => {
                let status = status.to_hv_status();
                self.not_posted(&message.payload, PostFailure::Status { kind, status }, out);
            }
        }
    }

    /// A message is given up. Without contact, offers or UNLOAD there is nothing left; any other request has failed, and the
    /// connection lives on.
    fn not_posted(&mut self, payload: &Payload, failure: PostFailure, out: &mut Vec<Output>) {
        let message = match Message::decode(payload) {
            Ok(Message::InitiateContact(_) | Message::RequestOffers | Message::Unload) | Err(_) => {
                return self.fail(Failure::NotPosted(failure), out);
            }
            Ok(message) => message,
        };
        out.push(Output::NotPosted(failure));
        let status = Status::UNSUCCESSFUL;
        match message {
            Message::GpadlHeader(header) => {
                let gpadl = GpadlId(header.fixed().gpadl.get());
                self.give_up_list(gpadl, out);
            }
            Message::GpadlBody(body) => {
                let gpadl = GpadlId(body.fixed().gpadl.get());
                self.give_up_list(gpadl, out);
            }
            Message::OpenChannel(open) => {
                if let Some(channel) =
                    Relid::new(open.relid.get()).and_then(|relid| self.state.channels.get_mut(&relid))
                    && matches!(channel.ring, Ring::Opening { .. })
                {
                    channel.ring = Ring::Closed;
                    out.push(Output::Opened { relid: channel.offer.relid, status });
                }
            }
            Message::ModifyChannel(modify) => {
                let Some(channel) =
                    Relid::new(modify.relid.get()).and_then(|relid| self.state.channels.get_mut(&relid))
                else {
                    return;
                };
                let relid = channel.offer.relid;
                channel.modifying = channel.modifying.saturating_sub(1);
                if channel.stage == Stage::Offered && matches!(channel.ring, Ring::Open { .. }) {
                    out.push(Output::Modified { relid, status });
                }
                let _connected = self.leave(relid, out);
            }
            // What they would have given back stays the host's: a driver is told of no pages that the host may still use.
            _ => {}
        }
    }

    /// The rest of a list's messages is not posted: without this one the list is never complete.
    fn give_up_list(&mut self, gpadl: GpadlId, out: &mut Vec<Output>) {
        self.state.outbox.waiting.retain(|message| match Message::decode(&message.payload) {
            Ok(Message::GpadlBody(body)) => body.fixed().gpadl.get() != gpadl.0,
            _ => true,
        });
        let list = match self.state.gpadls.get(&gpadl) {
            Some(&list) if list.state == GpadlState::Creating => list,
            // A host that has confirmed a list before it had all of it: its answer stands, and a channel may be open on the list.
            _ => return,
        };
        self.state.gpadls.remove(&gpadl);
        let offered =
            self.state.channels.get(&list.relid).is_some_and(|channel| channel.stage == Stage::Offered);
        out.push(if offered {
            Output::GpadlCreated { relid: list.relid, gpadl, status: Status::UNSUCCESSFUL }
        } else {
            Output::GpadlTorndown(gpadl)
        });
        let _connected = self.leave(list.relid, out);
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
