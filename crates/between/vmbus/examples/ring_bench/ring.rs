//! A ring between two threads that sleep when there is nothing to do.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};

use shared_memory::Region;
use vmbus::ring::{
    IncomingOffsets, IncomingRing, OutgoingOffsets, OutgoingPacket, OutgoingRing, PacketBuffer, ReadError,
    RingPages, Signal, Wait, WriteError,
};

use crate::ends::{MESSAGE_BYTES, Message, RING_BYTES, Receiver, Sender};

/// A drain ends, and is committed, after this much even if there is more: the writer goes on meanwhile.
const DRAIN_BYTES: u32 = RING_BYTES as u32 / 4;

/// How often a side looks for what it waits for before it gives way to other threads, and how often it gives way before
/// it sleeps.
const LOOKS: u32 = 4;
const YIELDS: u32 = 12;
/// Pauses before each look, some 100 ns. A look takes the cache line of the indices from the side that is writing it, so
/// looking all the time makes both slow.
const PAUSES: u32 = 6;
/// A reader that finds packets at each first look, and few of them, may be in a stream that is committed in small pieces. It lets
/// more gather: up to so many pauses (some 1.5 µs), until it finds so many packets.
const MOST_PAUSES: u32 = 64;
const WORTH_A_LOOK: u32 = 32;
/// If waiting twice as long brought no more packets the sender is no stream, but a thread that waits for an answer to each
/// packet. Such a sender is not tried again for so many looks.
const LOOKS_BETWEEN_TRIALS: u32 = 64;

/// Wakes a thread: what an event flag and its interrupt do.
#[derive(Default)]
struct Bell(AtomicBool);

impl Bell {
    fn ring(&self, sleeper: Option<&Thread>) {
        self.0.store(true, Ordering::Release);
        if let Some(sleeper) = sleeper {
            sleeper.unpark();
        }
    }

    fn wait(&self) {
        while !self.0.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

/// Both threads' bells.
#[derive(Default)]
struct Bells {
    writer: Bell,
    reader: Bell,
}

pub(crate) struct RingSender {
    ring: OutgoingRing<RingPages>,
    offsets: OutgoingOffsets,
    bells: Arc<Bells>,
    reader: Option<Thread>,
    per_commit: usize,
    uncommitted: usize,
}

pub(crate) struct RingReceiver {
    ring: IncomingRing<RingPages>,
    offsets: IncomingOffsets,
    buffer: PacketBuffer,
    bells: Arc<Bells>,
    writer: Option<Thread>,
    /// Pauses before the first look.
    gather: u32,
    /// Packets since the last look, if it found them at once.
    at_once: Option<u32>,
    /// The pauses were doubled at the last look: what was found before that.
    doubled: Option<u32>,
    /// Looks until doubling is tried again.
    rest: u32,
}

/// A ring in pages of this process.
pub(crate) fn ring(per_commit: usize) -> (RingSender, RingReceiver) {
    let region = Region::process(RING_BYTES / 4096 + 1).expect("memory for a ring");
    let pages = || RingPages::new(&region.all_pages()).expect("fresh pages");
    let (ring, offsets) = OutgoingRing::open(pages()).expect("a fresh ring");
    let bells = Arc::new(Bells::default());
    let sender =
        RingSender { ring, offsets, bells: Arc::clone(&bells), reader: None, per_commit, uncommitted: 0 };
    let (ring, offsets) = IncomingRing::open(pages()).expect("a fresh ring");
    let buffer = PacketBuffer::with_capacity(MESSAGE_BYTES);
    let receiver = RingReceiver {
        ring,
        offsets,
        buffer,
        bells,
        writer: None,
        gather: PAUSES,
        at_once: None,
        doubled: None,
        rest: 0,
    };
    (sender, receiver)
}

impl RingSender {
    fn has_room(&mut self, needed: u32) -> bool {
        self.ring.free_bytes(&mut self.offsets).expect("our own ring") >= needed
    }

    /// The ring is full: wait until the reader has made room.
    #[cold]
    fn make_room(&mut self, needed: u32) {
        self.flush();
        for _ in 0..LOOKS {
            (0..PAUSES).for_each(|_| spin_loop());
            if self.has_room(needed) {
                return;
            }
        }
        for _ in 0..YIELDS {
            thread::yield_now();
            if self.has_room(needed) {
                return;
            }
        }
        let committed = self.ring.commit_and_wait(&mut self.offsets, needed).expect("our own ring");
        if committed.signal.is_needed() {
            self.bells.reader.ring(self.reader.as_ref());
        }
        if committed.wait == Wait::Armed {
            self.bells.writer.wait();
        }
    }
}

/// As [`ring`], written and read in batches.
pub(crate) fn batches(packets: usize) -> (BatchSender, BatchReceiver) {
    let (sender, receiver) = ring(packets);
    (BatchSender(sender), BatchReceiver(receiver))
}

/// Writes messages together.
pub(crate) struct BatchSender(RingSender);

/// Reads whatever is there at once.
pub(crate) struct BatchReceiver(RingReceiver);

/// A batch is small enough to stay in the processor's first cache from the copy to its use.
const BATCH_BYTES: u32 = 4096;

/// Bytes that a message takes in the ring.
const PACKET_BYTES: u32 = MESSAGE_BYTES as u32 + 24;

impl BatchSender {
    #[inline]
    fn send_batch(&mut self, messages: &[Message]) {
        let sender = &mut self.0;
        let needed = messages.len() as u32 * PACKET_BYTES;
        loop {
            match sender.ring.batch(&mut sender.offsets, needed) {
                Ok(mut batch) => {
                    for message in messages {
                        batch.push(&OutgoingPacket::in_band(0, message)).expect("room for all of them");
                    }
                    if batch.commit().expect("our own ring").is_needed() {
                        sender.bells.reader.ring(sender.reader.as_ref());
                    }
                    return;
                }
                Err(WriteError::Full { needed }) => sender.make_room(needed),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Sender for BatchSender {
    fn meet(&mut self, receiver: Thread) {
        self.0.meet(receiver);
    }

    #[inline]
    fn send(&mut self, message: &Message) {
        self.send_batch(std::slice::from_ref(message));
    }

    #[inline]
    fn send_all(&mut self, messages: &[Message]) {
        messages.chunks(self.0.per_commit).for_each(|batch| self.send_batch(batch));
    }

    fn flush(&mut self) {}
}

impl Receiver for BatchReceiver {
    fn meet(&mut self, sender: Thread) {
        self.0.meet(sender);
    }

    #[inline]
    fn receive(&mut self, mut take: impl FnMut(&Message)) {
        let ring = &mut self.0;
        loop {
            match ring.ring.read_batch(&mut ring.offsets, &mut ring.buffer, BATCH_BYTES) {
                Ok(batch) => {
                    let mut packets = 0;
                    for packet in batch {
                        packets += 1;
                        take(packet.payload.first_chunk().expect("the sender's messages have this size"));
                    }
                    ring.at_once = ring.at_once.map(|before| before.saturating_add(packets));
                    if ring.ring.uncommitted_bytes(&ring.offsets) >= DRAIN_BYTES {
                        ring.end_drain();
                    }
                    return;
                }
                Err(ReadError::Empty) => ring.wait(),
                Err(ReadError::Corrupt(corruption)) => panic!("{corruption}"),
            }
        }
    }
}

impl Sender for RingSender {
    fn meet(&mut self, receiver: Thread) {
        self.reader = Some(receiver);
    }

    #[inline]
    fn send(&mut self, message: &Message) {
        let packet = OutgoingPacket::in_band(0, message);
        loop {
            match self.ring.write(&mut self.offsets, &packet) {
                Ok(_) => break,
                Err(WriteError::Full { needed }) => self.make_room(needed),
                Err(error) => panic!("{error}"),
            }
        }
        self.uncommitted += 1;
        if self.uncommitted == self.per_commit {
            self.flush();
        }
    }

    #[inline]
    fn flush(&mut self) {
        self.uncommitted = 0;
        if self.ring.commit(&mut self.offsets).expect("our own ring") == Signal::Needed {
            self.bells.reader.ring(self.reader.as_ref());
        }
    }
}

impl RingReceiver {
    fn has_packet(&mut self) -> bool {
        self.ring.has_packet(&mut self.offsets).expect("our own ring")
    }

    #[inline]
    fn end_drain(&mut self) {
        if self.ring.commit(&mut self.offsets).expect("our own ring") == Signal::Needed {
            self.bells.writer.ring(self.writer.as_ref());
        }
    }

    /// How long to let packets gather before the first look.
    fn choose_pauses(&mut self) {
        let doubled = self.doubled.take();
        self.rest = self.rest.saturating_sub(1);
        match self.at_once {
            None => self.gather = PAUSES,
            Some(packets) if doubled.is_some_and(|before| packets <= before) => {
                self.gather = PAUSES;
                self.rest = LOOKS_BETWEEN_TRIALS;
            }
            Some(packets) if packets < WORTH_A_LOOK && self.gather < MOST_PAUSES && self.rest == 0 => {
                self.doubled = Some(packets);
                self.gather = (self.gather * 2).min(MOST_PAUSES);
            }
            Some(_) => {}
        }
    }

    /// There is nothing: the drain goes on if more comes in a moment, else it is committed.
    #[cold]
    fn wait(&mut self) {
        self.choose_pauses();
        (0..self.gather).for_each(|_| spin_loop());
        self.at_once = self.has_packet().then_some(0);
        if self.at_once.is_some() {
            return;
        }
        for _ in 1..LOOKS {
            (0..PAUSES).for_each(|_| spin_loop());
            if self.has_packet() {
                return;
            }
        }
        self.end_drain();
        for _ in 0..YIELDS {
            thread::yield_now();
            if self.has_packet() {
                return;
            }
        }
        let committed = self.ring.commit_and_wait(&mut self.offsets).expect("our own ring");
        if committed.signal.is_needed() {
            self.bells.writer.ring(self.writer.as_ref());
        }
        if committed.wait == Wait::Armed {
            self.bells.reader.wait();
        }
    }
}

impl Receiver for RingReceiver {
    fn meet(&mut self, sender: Thread) {
        self.writer = Some(sender);
    }

    #[inline]
    fn receive(&mut self, mut take: impl FnMut(&Message)) {
        loop {
            match self.ring.read(&mut self.offsets, &mut self.buffer) {
                Ok(packet) => {
                    self.at_once = self.at_once.map(|packets| packets + 1);
                    take(packet.payload.first_chunk().expect("the sender's messages have this size"));
                    if self.ring.uncommitted_bytes(&self.offsets) >= DRAIN_BYTES {
                        self.end_drain();
                    }
                    return;
                }
                Err(ReadError::Empty) => self.wait(),
                Err(ReadError::Corrupt(corruption)) => panic!("{corruption}"),
            }
        }
    }
}
