//! The host's queue in front of the guest's message slot.
//!
//! A guest has one slot for each SINT: the next message may only be written when the guest has taken the last.
//! An adapter pushes what [`server::Output::Post`](super::server::Output) asks for, offers the front to the slot, and
//! removes it when the slot took it; when the slot is busy it waits for "slot free" and offers again.
//!
//! A guest that sends without ever reading must not fill the host's memory: while
//! [`MessageQueue::is_congested`], the adapter takes no further message of that guest, which then runs into the 16
//! buffers of its own port (INSUFFICIENT_BUFFERS). What a single input may add on top is bounded.

use alloc::collections::VecDeque;

use super::ids::MAX_RELID;
use super::message::Payload;

/// Where the host puts a guest's messages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MessageTarget {
    /// The virtual processor whose message page is used.
    pub vp: u32,
    /// The slot in it.
    pub sint: u8,
}

/// A message of the host to its guest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HostMessage {
    /// The slot it goes to.
    pub target: MessageTarget,
    /// What it says.
    pub payload: Payload,
}

/// The queue cannot take the message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} messages wait for the guest's slot already")]
pub struct QueueFull(pub usize);

/// Messages that wait for the guest's slot, oldest first.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MessageQueue {
    messages: VecDeque<HostMessage>,
    /// Messages pushed since the slot took the last one, those forgotten since included; counted up to `congested_at`.
    untaken: usize,
    congested_at: usize,
}

/// What may come on top of a congested queue: offers of all channels (one input), an open answered and a rescind for
/// each (the host's own doing), answers to GPADLs.
const BURST: usize = 4 * MAX_RELID as usize + 1024;

/// At how many waiting messages a guest has to wait (invented; as many as its own port has buffers).
pub const DEFAULT_CONGESTION: usize = 16;

impl Default for MessageQueue {
    fn default() -> Self {
        Self::new(DEFAULT_CONGESTION)
    }
}

impl MessageQueue {
    /// An empty queue that is congested from this many messages on.
    pub fn new(congested_at: usize) -> Self {
        Self { messages: VecDeque::new(), untaken: 0, congested_at: congested_at.max(1) }
    }

    /// Appends a message. Full only if inputs were handled in spite of [`Self::is_congested`].
    ///
    /// # Errors
    /// The queue holds [`Self::bound`] messages.
    pub fn push(&mut self, message: HostMessage) -> Result<(), QueueFull> {
        if self.messages.len() >= self.bound() {
            return Err(QueueFull(self.messages.len()));
        }
        self.messages.push_back(message);
        self.untaken = self.untaken.saturating_add(1).min(self.congested_at);
        Ok(())
    }

    /// The most messages it ever holds.
    pub fn bound(&self) -> usize {
        self.congested_at.saturating_add(BURST)
    }

    /// Whether the guest has to read before its next message is handled.
    ///
    /// What [`clear`](Self::clear) forgot counts until the slot takes a message: else a guest that makes contact again and
    /// again, each time voiding the answer before, would never have to wait. With nothing queued no slot would ever say that
    /// it is free, so an empty queue is never congested.
    pub fn is_congested(&self) -> bool {
        !self.messages.is_empty() && self.untaken >= self.congested_at
    }

    /// The message for the slot next.
    pub fn front(&self) -> Option<&HostMessage> {
        self.messages.front()
    }

    /// Removes the front: the slot has taken it.
    pub fn pop(&mut self) -> Option<HostMessage> {
        let taken = self.messages.pop_front();
        self.untaken = self.messages.len().min(self.congested_at);
        taken
    }

    /// Offers messages to the slot until it is busy or none is left; `slot` says whether it took one.
    /// Returns how many were taken.
    pub fn drain_into(&mut self, mut slot: impl FnMut(&HostMessage) -> bool) -> usize {
        let mut taken = 0;
        while self.messages.front().is_some_and(&mut slot) {
            self.pop();
            taken += 1;
        }
        taken
    }

    /// Forgets everything: what was agreed with the guest is void.
    pub fn clear(&mut self) {
        self.messages.clear();
    }

    /// Messages waiting.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(byte: u8) -> HostMessage {
        HostMessage { target: MessageTarget { vp: 0, sint: 2 }, payload: Payload::new(&[byte]).unwrap() }
    }

    #[test]
    fn order_is_kept_and_a_busy_slot_waits() {
        let mut queue = MessageQueue::default();
        for byte in 0..3 {
            queue.push(message(byte)).unwrap();
        }
        let mut slot = None;
        let mut offer = |message: &HostMessage| match slot {
            None => {
                slot = Some(*message);
                true
            }
            Some(_) => false,
        };
        assert_eq!(queue.drain_into(&mut offer), 1);
        assert_eq!(queue.drain_into(&mut offer), 0);
        assert_eq!(slot, Some(message(0)));
        assert_eq!(queue.pop(), Some(message(1)));
        assert_eq!(queue.front(), Some(&message(2)));
    }

    #[test]
    fn congestion_comes_well_before_the_bound() {
        let mut queue = MessageQueue::new(2);
        queue.push(message(0)).unwrap();
        assert!(!queue.is_congested());
        queue.push(message(1)).unwrap();
        assert!(queue.is_congested());
        while queue.len() < queue.bound() {
            queue.push(message(2)).unwrap();
        }
        assert_eq!(queue.push(message(3)), Err(QueueFull(queue.bound())));
        queue.clear();
        assert!(queue.is_empty() && !queue.is_congested());
    }

    #[test]
    fn the_bound_leaves_room_for_what_one_input_adds() {
        // Four messages for each channel, and answers to lists.
        assert_eq!(MessageQueue::new(2).bound(), 2 + 4 * 2047 + 1024);
        let mut queue = MessageQueue::new(0);
        assert_eq!((queue.bound(), queue.len(), queue.is_empty()), (1 + 4 * 2047 + 1024, 0, true));
        queue.push(message(1)).unwrap();
        queue.push(message(2)).unwrap();
        assert_eq!((queue.len(), queue.is_empty(), queue.is_congested()), (2, false, true));
        assert_eq!(queue.drain_into(|_| true), 2);
        assert!(queue.is_empty() && queue.front().is_none() && queue.pop().is_none());
    }

    #[test]
    fn answers_that_were_voided_count_until_the_slot_takes_one() {
        let mut queue = MessageQueue::new(3);
        for byte in 0..3 {
            assert!(!queue.is_congested());
            queue.clear();
            queue.push(message(byte)).unwrap();
        }
        assert!(queue.is_congested() && queue.len() == 1);
        // A slot that is busy changes nothing; one that takes the message does.
        assert_eq!(queue.drain_into(|_| false), 0);
        assert!(queue.is_congested());
        assert_eq!(queue.drain_into(|_| true), 1);
        queue.push(message(9)).unwrap();
        assert!(!queue.is_congested());
    }
}
