//! What a mailbox holds: messages in the order in which they were sent, until the mailbox is gone.
use std::collections::VecDeque;

use model_sync::Mutex;

/// Messages on their way to one reader, from any number of senders. One buffer, which stays: who gets as many messages every second
/// needs no new memory for them.
pub(crate) struct Queue<M>(Mutex<Option<VecDeque<M>>>);

impl<M> Queue<M> {
    pub(crate) fn new() -> Self {
        Queue(Mutex::new(Some(VecDeque::new())))
    }

    /// Puts a message at the end; gives it back if the reader is gone.
    pub(crate) fn push(&self, message: M) -> Result<(), M> {
        match &mut *self.0.lock() {
            Some(messages) => {
                messages.push_back(message);
                Ok(())
            }
            None => Err(message),
        }
    }

    /// Takes the first message out.
    pub(crate) fn pop(&self) -> Option<M> {
        self.0.lock().as_mut().and_then(VecDeque::pop_front)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().as_ref().map_or(0, VecDeque::len)
    }

    /// The reader is gone. Gives what it has not read, to be dropped outside of the lock: what messages own may send.
    pub(crate) fn close(&self) -> Option<VecDeque<M>> {
        self.0.lock().take()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn messages_come_in_order_until_the_reader_is_gone() {
        let queue = Queue::new();
        assert_eq!((0..3).try_for_each(|message| queue.push(message)), Ok(()));
        assert_eq!((queue.pop(), queue.pop(), queue.len()), (Some(0), Some(1), 1));
        assert_eq!(queue.close(), Some(VecDeque::from([2])));
        assert_eq!((queue.push(9), queue.pop(), queue.len()), (Err(9), None, 0));
    }
}
