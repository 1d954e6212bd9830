//! One interrupt source of one virtual processor: message slot and event flags.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use model_sync::Mutex;

use crate::notify::NotifySlot;
use crate::synic::{EVENT_FLAGS, EventFlags, Message, PostError};

#[derive(Debug, Default)]
pub(super) struct Sint {
    slot: Mutex<Slot>,
    /// Made at first use: of 16 sources a guest uses one or two.
    flags: OnceLock<Box<Flags>>,
    pub(super) interrupt: NotifySlot,
    pub(super) slot_free: NotifySlot,
}

type Flags = [AtomicU64; EVENT_FLAGS as usize / 64];

#[derive(Debug, Default)]
struct Slot {
    message: Option<Box<Message>>,
    /// The `msg_pending` bit of the slot: the host has found it busy and waits for EOM.
    host_waits: bool,
}

impl Sint {
    pub(super) fn try_post(&self, message: Message) -> Result<(), PostError> {
        {
            let mut slot = self.slot.lock();
            if slot.message.is_some() {
                slot.host_waits = true;
                return Err(PostError::Busy);
            }
            slot.message = Some(Box::new(message));
        }
        self.interrupt.call();
        Ok(())
    }

    pub(super) fn take_message(&self) -> Option<Message> {
        let (message, host_waits) = {
            let mut slot = self.slot.lock();
            (slot.message.take()?, std::mem::take(&mut slot.host_waits))
        };
        if host_waits {
            self.slot_free.call();
        }
        Some(*message)
    }

    pub(super) fn set_event(&self, flag: u16) {
        if flag >= EVENT_FLAGS {
            return;
        }
        let flags = self.flags.get_or_init(|| Box::new([const { AtomicU64::new(0) }; _]));
        let bit = 1u64 << (flag % 64);
        // Release: the side that takes the flag sees what was done before the signal.
        let before = flags[usize::from(flag / 64)].fetch_or(bit, Ordering::AcqRel);
        if before & bit == 0 {
            self.interrupt.call();
        }
    }

    pub(super) fn take_events(&self) -> EventFlags {
        let mut taken = EventFlags::default();
        if let Some(flags) = self.flags.get() {
            for (word, taken) in flags.iter().zip(&mut taken.words) {
                // Nearly all words are clear: a swap of each would cost more than a load.
                if word.load(Ordering::Relaxed) != 0 {
                    *taken = word.swap(0, Ordering::AcqRel);
                }
            }
        }
        taken
    }

    pub(super) fn reset(&self) {
        let slot = std::mem::take(&mut *self.slot.lock());
        if slot.host_waits {
            self.slot_free.call();
        }
        if let Some(flags) = self.flags.get() {
            flags.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
    }
}
