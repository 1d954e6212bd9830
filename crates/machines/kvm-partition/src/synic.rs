//! The part of the synthetic interrupt controller that KVM leaves to user space: message and event pages.
//!
//! KVM keeps the registers and injects the interrupt; the content of the two pages that the guest gave is ours to write.
//! A message slot is 256 bytes: type (32 bits), payload size (8), flags (8; bit 0 `msg_pending`), 16 bits of zero, sender
//! (64), payload. A source's event flags are 256 bytes (documented, TLFS).

use std::sync::atomic::{Ordering, fence};

use parking_lot::Mutex;
use partition::{EVENT_FLAGS, Message, NoSuchSint, PostError, VMBUS_SINT};
use shared_memory::{DataPages, PAGE_BYTES};

use crate::ram::Ram;

/// Type of a VMBus message (documented).
const MESSAGE_TYPE: u64 = 1;
/// The bits of a slot's first word that hold the type; 0 = the slot is free.
const TYPE_MASK: u64 = 0xffff_ffff;
const SIZE_SHIFT: u32 = 32;
/// `msg_pending`: the host waits for the slot; the guest writes EOM when it has freed it.
const PENDING: u64 = 1 << 40;
const WORDS_PER_SOURCE: usize = 256 / 8;
/// SIMP, SIEFP and SCONTROL: enabled (documented).
const ENABLED: u64 = 1;

/// The registers of one virtual processor, as KVM reported them last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// SCONTROL.
    pub control: u64,
    /// SIEFP.
    pub event_page: u64,
    /// SIMP.
    pub message_page: u64,
}

impl Registers {
    fn page(self, register: u64) -> Option<u64> {
        (self.control & ENABLED != 0 && register & ENABLED != 0).then_some(register / PAGE_BYTES as u64)
    }
}

/// SynIC registers of all virtual processors.
pub(crate) struct Synic {
    registers: Mutex<Vec<Registers>>,
    /// Serialises the host's writers of message slots: the guest is the only other one.
    posting: Mutex<()>,
}

impl Synic {
    pub(crate) fn new(vps: u32) -> Self {
        Self { registers: Mutex::new(vec![Registers::default(); vps as usize]), posting: Mutex::default() }
    }

    pub(crate) fn set(&self, vp: u32, registers: Registers) {
        if let Some(known) = self.registers.lock().get_mut(vp as usize) {
            *known = registers;
        }
    }

    pub(crate) fn reset(&self) {
        self.registers.lock().fill(Registers::default());
    }

    /// The page of `which` register, if the guest has given one. Only the VMBus source is connected to an interrupt.
    fn page(
        &self,
        ram: &Ram,
        vp: u32,
        sint: u8,
        which: impl Fn(Registers) -> u64,
    ) -> Result<DataPages, NoSuchSint> {
        let missing = NoSuchSint { vp, sint };
        let registers = self.registers.lock().get(vp as usize).copied().ok_or(missing)?;
        if sint != VMBUS_SINT {
            return Err(missing);
        }
        let number = registers.page(which(registers)).ok_or(missing)?;
        // A guest that named a page of a ring, or no page of its own, has no interrupt controller.
        ram.page(number).ok().and_then(|page| page.data().ok()).ok_or(missing)
    }

    /// Puts a message into the slot. On success the guest is to be interrupted.
    pub(crate) fn post(&self, ram: &Ram, vp: u32, sint: u8, message: &[u8]) -> Result<(), PostError> {
        let message = Message::new(message)?;
        let page = self.page(ram, vp, sint, |registers| registers.message_page)?;
        let slot = &page.run(usize::from(sint) * WORDS_PER_SOURCE)[..WORDS_PER_SOURCE];
        let _one_at_a_time = self.posting.lock();
        if slot[0].load(Ordering::Acquire) & TYPE_MASK != 0 {
            slot[0].fetch_or(PENDING, Ordering::Relaxed);
            // The guest clears the type, then looks at `msg_pending`; the host sets it, then looks at the type. With a full
            // fence on each side one of the two sees the other.
            fence(Ordering::SeqCst);
            if slot[0].load(Ordering::Acquire) & TYPE_MASK != 0 {
                return Err(PostError::Busy);
            }
        }
        slot[1].store(0, Ordering::Relaxed);
        for (word, bytes) in slot[2..].iter().zip(message.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(whole), Ordering::Relaxed);
        }
        // A receiver may take the size in units of 8 bytes; QEMU rounds up as well.
        let size = (message.len().next_multiple_of(8) as u64) << SIZE_SHIFT;
        slot[0].store(MESSAGE_TYPE | size, Ordering::Release);
        Ok(())
    }

    /// Sets an event flag; `true`: it was clear, so the guest is to be interrupted.
    pub(crate) fn set_event(&self, ram: &Ram, vp: u32, sint: u8, flag: u16) -> Result<bool, NoSuchSint> {
        let page = self.page(ram, vp, sint, |registers| registers.event_page)?;
        if flag >= EVENT_FLAGS {
            return Ok(false);
        }
        let word = usize::from(sint) * WORDS_PER_SOURCE + usize::from(flag / 64);
        let bit = 1u64 << (flag % 64);
        Ok(page.run(word)[0].fetch_or(bit, Ordering::AcqRel) & bit == 0)
    }
}

#[cfg(test)]
mod tests {
    use page_range::{GuestPage, GuestRange, PageCount};

    use super::*;
    use crate::ram::Backing;

    const SIM: u64 = 5;
    const SIEF: u64 = 6;

    fn synic() -> (Ram, Synic) {
        let ram = Ram::new(Backing::Mock);
        ram.add(GuestRange::new(GuestPage(0), PageCount(16)).unwrap(), None).unwrap();
        let synic = Synic::new(1);
        synic.set(0, Registers { control: 1, event_page: SIEF << 12 | 1, message_page: SIM << 12 | 1 });
        (ram, synic)
    }

    fn slot(ram: &Ram) -> [u8; 256] {
        let mut bytes = [0; 256];
        ram.read((SIM << 12) + 0x200, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_message_is_laid_out_as_the_guest_expects_it() {
        let (ram, synic) = synic();
        // ALL_OFFERS_DELIVERED.
        synic.post(&ram, 0, VMBUS_SINT, &[4, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        let found = slot(&ram);
        assert_eq!(found[..24], [1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
        assert!(found[24..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_busy_slot_is_marked_and_free_when_the_guest_clears_its_type() {
        let (ram, synic) = synic();
        synic.post(&ram, 0, VMBUS_SINT, &[7; 240]).unwrap();
        assert_eq!(synic.post(&ram, 0, VMBUS_SINT, b"second"), Err(PostError::Busy));
        assert_eq!(slot(&ram)[5], 1, "msg_pending asks the guest for EOM");
        assert_eq!(slot(&ram)[16..], [7; 240], "the message that is there stays");
        ram.write((SIM << 12) + 0x200, &[0; 4]).unwrap();
        synic.post(&ram, 0, VMBUS_SINT, b"second").unwrap();
        assert_eq!(slot(&ram)[..6], [1, 0, 0, 0, 8, 0], "and msg_pending is gone");
        assert_eq!(&slot(&ram)[16..24], b"second\0\0");
    }

    #[test]
    fn a_flag_interrupts_when_it_was_clear() {
        let (ram, synic) = synic();
        assert_eq!(synic.set_event(&ram, 0, VMBUS_SINT, 1), Ok(true));
        assert_eq!(synic.set_event(&ram, 0, VMBUS_SINT, 1), Ok(false));
        assert_eq!(synic.set_event(&ram, 0, VMBUS_SINT, EVENT_FLAGS), Ok(false));
        let mut flags = [0; 256];
        ram.read((SIEF << 12) + 0x200, &mut flags).unwrap();
        assert_eq!(flags[0], 2);
        assert!(flags[1..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn nothing_is_written_where_the_guest_has_no_controller() {
        let (ram, synic) = synic();
        let missing = |vp, sint| PostError::NoSuchSint(NoSuchSint { vp, sint });
        assert_eq!(synic.post(&ram, 1, VMBUS_SINT, b"x"), Err(missing(1, VMBUS_SINT)));
        assert_eq!(synic.post(&ram, 0, 3, b"x"), Err(missing(0, 3)));
        for registers in [
            Registers::default(),
            Registers { control: 0, event_page: SIEF << 12 | 1, message_page: SIM << 12 | 1 },
            Registers { control: 1, event_page: SIEF << 12, message_page: SIM << 12 },
            Registers { control: 1, event_page: u64::MAX, message_page: u64::MAX },
        ] {
            synic.set(0, registers);
            assert_eq!(synic.post(&ram, 0, VMBUS_SINT, b"x"), Err(missing(0, VMBUS_SINT)));
            assert!(synic.set_event(&ram, 0, VMBUS_SINT, 1).is_err());
        }
        // The guest names the control page of one of its rings.
        synic.set(0, Registers { control: 1, event_page: 0, message_page: SIM << 12 | 1 });
        let _ring = ram.page(SIM).unwrap().control().unwrap();
        assert_eq!(synic.post(&ram, 0, VMBUS_SINT, b"x"), Err(missing(0, VMBUS_SINT)));
    }
}
