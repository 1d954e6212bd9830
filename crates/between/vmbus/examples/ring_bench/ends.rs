//! The two ends of what carries messages, and how much it holds.

use std::thread::Thread;

/// Bytes of the data area.
pub(crate) const RING_BYTES: usize = 64 * 1024;
/// As many messages as fit in the ring: a descriptor and a trailer take 24 bytes of it for each.
pub(crate) const CAPACITY: usize = RING_BYTES / (MESSAGE_BYTES + 24);
/// Bytes of a message.
pub(crate) const MESSAGE_BYTES: usize = 64;
pub(crate) type Message = [u8; MESSAGE_BYTES];

/// The end that messages go in.
pub(crate) trait Sender: Send + 'static {
    /// Learns whom to wake.
    fn meet(&mut self, receiver: Thread);
    fn send(&mut self, message: &Message);
    /// Sends messages in the order given.
    #[inline]
    fn send_all(&mut self, messages: &[Message]) {
        messages.iter().for_each(|message| self.send(message));
    }
    /// Makes what was sent visible.
    fn flush(&mut self);
}

/// The end that messages come out.
pub(crate) trait Receiver: Send + 'static {
    /// Learns whom to wake.
    fn meet(&mut self, sender: Thread);
    /// Waits for a message and takes it.
    fn receive(&mut self, take: impl FnMut(&Message));
}
