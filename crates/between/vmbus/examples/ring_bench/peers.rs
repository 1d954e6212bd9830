//! Queues for one producer and one consumer to compare with: they carry values, not bytes that a peer may have forged, and
//! nobody sleeps on them.

use std::hint::spin_loop;
use std::thread::{self, Thread};

use crate::ends::{CAPACITY, Message, Receiver, Sender};

/// Looks before a side gives way to other threads, with so many pauses before each: as often as the ring's sides look.
const LOOKS: u32 = 4;
const PAUSES: u32 = 6;

/// Waits a little; the longer it has been waiting, the more.
fn pause(looks: &mut u32) {
    *looks += 1;
    if *looks <= LOOKS {
        (0..PAUSES).for_each(|_| spin_loop());
    } else {
        thread::yield_now();
    }
}

/// `rtrb`, written and read in chunks of so many messages; one message at a time if it is one.
pub(crate) struct RtrbSender {
    producer: rtrb::Producer<Message>,
    per_chunk: usize,
}

pub(crate) struct RtrbReceiver(rtrb::Consumer<Message>, usize);

pub(crate) fn rtrb(per_chunk: usize) -> (RtrbSender, RtrbReceiver) {
    let (producer, consumer) = rtrb::RingBuffer::new(CAPACITY);
    (RtrbSender { producer, per_chunk }, RtrbReceiver(consumer, per_chunk))
}

impl Sender for RtrbSender {
    fn meet(&mut self, _: Thread) {}

    #[inline]
    fn send(&mut self, message: &Message) {
        let mut looks = 0;
        while self.producer.push(*message).is_err() {
            pause(&mut looks);
        }
    }

    #[inline]
    fn send_all(&mut self, messages: &[Message]) {
        if self.per_chunk == 1 {
            return messages.iter().for_each(|message| self.send(message));
        }
        for messages in messages.chunks(self.per_chunk) {
            let mut looks = 0;
            loop {
                match self.producer.write_chunk_uninit(messages.len()) {
                    Ok(chunk) => {
                        chunk.fill_from_iter(messages.iter().copied());
                        break;
                    }
                    Err(_) => pause(&mut looks),
                }
            }
        }
    }

    fn flush(&mut self) {}
}

impl Receiver for RtrbReceiver {
    fn meet(&mut self, _: Thread) {}

    #[inline]
    fn receive(&mut self, mut take: impl FnMut(&Message)) {
        let mut looks = 0;
        loop {
            if self.1 == 1 {
                if let Ok(message) = self.0.pop() {
                    return take(&message);
                }
            } else if let Ok(chunk) = self.0.read_chunk(self.0.slots())
                && !chunk.is_empty()
            {
                let (first, second) = chunk.as_slices();
                first.iter().chain(second).for_each(&mut take);
                return chunk.commit_all();
            }
            pause(&mut looks);
        }
    }
}

/// Elements of the queue of `heapless`, of which one stays free.
const HEAPLESS: usize = CAPACITY.next_power_of_two();

pub(crate) struct HeaplessSender(heapless::spsc::Producer<'static, Message>);

pub(crate) struct HeaplessReceiver(heapless::spsc::Consumer<'static, Message>);

/// The queue is never freed: its ends borrow it, on two threads.
pub(crate) fn heapless() -> (HeaplessSender, HeaplessReceiver) {
    let queue: &'static mut heapless::spsc::Queue<Message, HEAPLESS> =
        Box::leak(Box::new(heapless::spsc::Queue::new()));
    let (producer, consumer) = queue.split();
    (HeaplessSender(producer), HeaplessReceiver(consumer))
}

impl Sender for HeaplessSender {
    fn meet(&mut self, _: Thread) {}

    #[inline]
    fn send(&mut self, message: &Message) {
        let mut looks = 0;
        while self.0.enqueue(*message).is_err() {
            pause(&mut looks);
        }
    }

    fn flush(&mut self) {}
}

impl Receiver for HeaplessReceiver {
    fn meet(&mut self, _: Thread) {}

    #[inline]
    fn receive(&mut self, mut take: impl FnMut(&Message)) {
        let mut looks = 0;
        loop {
            match self.0.dequeue() {
                Some(message) => return take(&message),
                None => pause(&mut looks),
            }
        }
    }
}
