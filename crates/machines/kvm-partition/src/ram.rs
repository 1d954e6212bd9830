//! Guest RAM: mappings of the host behind memory slots of the VM, by guest page.
//!
//! Every range that is added (boot RAM, each hot-add) is a mapping and a slot of its own. What the guest gives back is
//! discarded inside the mapping; the slot stays, so that the page reads as zeros when it is used again.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use kvm_ioctls::VmFd;
use page_range::{GuestPage, GuestRange, RangeSet};
use parking_lot::{Mutex, RwLock};
use partition::{MappedPages, MemoryError, Page};
use shared_memory::{PAGE_BYTES, Region, RegionError};

use crate::sys::{self, Mapping};

/// What guest RAM is made of on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backing {
    /// Anonymous memory, given back with `MADV_DONTNEED`. The fastest.
    #[default]
    Anonymous,
    /// A file without a name, given back by punching holes. Other processes could share it.
    Memfd,
    /// Memory of this process that no VM can run in, for tests: nothing is given back, but it is recorded what would be.
    Mock,
}

enum Memory {
    Mapped(Arc<Mapping>),
    Mock(Mutex<RangeSet<GuestPage>>),
}

struct Slot {
    id: u32,
    range: GuestRange,
    region: Arc<Region>,
    memory: Memory,
}

#[derive(Default)]
struct Slots {
    /// By first page.
    by_start: BTreeMap<u64, Slot>,
    next_id: u32,
}

/// The RAM of one guest.
pub(crate) struct Ram {
    backing: Backing,
    slots: RwLock<Slots>,
}

fn no_memory(error: &io::Error, pages: usize) -> MemoryError {
    MemoryError::Backing(match error.kind() {
        io::ErrorKind::InvalidInput => RegionError::TooLarge { pages },
        _ => RegionError::OutOfMemory { pages },
    })
}

impl Slots {
    fn of(&self, page: u64) -> Option<&Slot> {
        let (_, slot) = self.by_start.range(..=page).next_back()?;
        slot.range.contains(GuestPage(page)).then_some(slot)
    }

    fn page(&self, number: u64) -> Result<Page, MemoryError> {
        let missing = MemoryError::NotMemory { page: GuestPage(number) };
        let slot = self.of(number).ok_or(missing)?;
        let index = usize::try_from(number - slot.range.start().0).map_err(|_| missing)?;
        slot.region.page(index).ok_or(missing)
    }
}

impl Ram {
    pub(crate) fn new(backing: Backing) -> Self {
        Self { backing, slots: RwLock::default() }
    }

    /// Adds memory, to the VM as well if there is one.
    pub(crate) fn add(&self, range: GuestRange, vm: Option<&VmFd>) -> Result<(), MemoryError> {
        let mut slots = self.slots.write();
        if slots.by_start.values().any(|slot| slot.range.intersects(range)) {
            return Err(MemoryError::Overlap { range });
        }
        let gpa = range
            .start()
            .0
            .checked_mul(PAGE_BYTES as u64)
            .ok_or(MemoryError::BeyondAddressSpace { gpa: u64::MAX, len: 0 })?;
        let pages = usize::try_from(range.pages().get())
            .map_err(|_| MemoryError::Backing(RegionError::TooLarge { pages: usize::MAX }))?;
        let (region, memory) = match self.backing {
            Backing::Mock => (Region::process(pages)?, Memory::Mock(Mutex::default())),
            kind => {
                let made =
                    if kind == Backing::Memfd { Mapping::memfd(pages) } else { Mapping::anonymous(pages) };
                let mapping = made.map_err(|error| no_memory(&error, pages))?;
                (mapping.region()?, Memory::Mapped(mapping))
            }
        };
        let id = slots.next_id;
        if let (Some(vm), Memory::Mapped(mapping)) = (vm, &memory) {
            sys::set_slot(vm, id, gpa, mapping).map_err(|error| no_memory(&error.into(), pages))?;
        }
        slots.next_id += 1;
        slots.by_start.insert(range.start().0, Slot { id, range, region, memory });
        Ok(())
    }

    /// Takes all memory away. The VM that had it must be gone, or be given here.
    pub(crate) fn clear(&self, vm: Option<&VmFd>) {
        let slots = std::mem::take(&mut *self.slots.write());
        if let Some(vm) = vm {
            for slot in slots.by_start.values() {
                // Fails only if the slot is gone.
                let _ = sys::remove_slot(vm, slot.id);
            }
        }
    }

    /// See [`partition::GuestMemory::discard`].
    pub(crate) fn discard(&self, ranges: &[GuestRange]) -> Result<(), MemoryError> {
        let slots = self.slots.read();
        // Merged: a guest gives a balloon back in pieces of 2 MiB or 4 KiB, and each piece would be a system call.
        let wanted: RangeSet<GuestPage> = ranges.iter().copied().collect();
        let mut pieces = Vec::new();
        for run in wanted.runs() {
            let mut next = run.start().0;
            while next < run.end() {
                let slot = slots.of(next).ok_or(MemoryError::NotMemory { page: GuestPage(next) })?;
                let end = run.end().min(slot.range.end());
                pieces.push((slot, next - slot.range.start().0, end - next));
                next = end;
            }
        }
        for (slot, first, pages) in pieces {
            match &slot.memory {
                Memory::Mapped(mapping) => {
                    // Inside the mapping's size, which is a usize.
                    let (first, pages) = (first as usize, pages as usize);
                    mapping.discard(first, pages).map_err(|error| no_memory(&error, pages))?;
                }
                Memory::Mock(discarded) => {
                    let start = GuestPage(slot.range.start().0 + first);
                    if let Some(range) = GuestRange::new(start, page_range::PageCount(pages)) {
                        discarded.lock().insert(range);
                    }
                    for index in first..first + pages {
                        if let Some(page) = slot.region.page(index as usize) {
                            let _in_page = page.write(0, &[0; PAGE_BYTES]);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Bytes of host memory in use. With [`Backing::Mock`] all that was not discarded.
    pub(crate) fn resident(&self) -> u64 {
        let slots = self.slots.read();
        let of = |slot: &Slot| match &slot.memory {
            Memory::Mapped(mapping) => mapping.resident().unwrap_or(0),
            Memory::Mock(discarded) => {
                slot.range.pages().saturating_sub(discarded.lock().pages()).get() * PAGE_BYTES as u64
            }
        };
        slots.by_start.values().map(of).sum()
    }

    pub(crate) fn page(&self, number: u64) -> Result<Page, MemoryError> {
        self.slots.read().page(number)
    }

    pub(crate) fn pages(&self, numbers: &[u64]) -> Result<MappedPages, MemoryError> {
        let slots = self.slots.read();
        numbers.iter().map(|&number| slots.page(number)).collect()
    }

    pub(crate) fn read(&self, gpa: u64, out: &mut [u8]) -> Result<(), MemoryError> {
        let slots = self.slots.read();
        for (number, offset, done, piece) in pieces(gpa, out.len())? {
            let _in_page = slots.page(number)?.read(offset, &mut out[done..done + piece]);
        }
        Ok(())
    }

    pub(crate) fn write(&self, gpa: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let slots = self.slots.read();
        for (number, offset, done, piece) in pieces(gpa, bytes.len())? {
            let _in_page = slots.page(number)?.write(offset, &bytes[done..done + piece]);
        }
        Ok(())
    }
}

/// Splits a copy into pieces inside one page each: (page number, offset in the page, bytes done, bytes of the piece).
fn pieces(gpa: u64, len: usize) -> Result<impl Iterator<Item = (u64, usize, usize, usize)>, MemoryError> {
    let page_bytes = PAGE_BYTES as u64;
    if u64::try_from(len).ok().and_then(|len| gpa.checked_add(len)).is_none() {
        return Err(MemoryError::BeyondAddressSpace { gpa, len });
    }
    let mut done = 0;
    Ok(std::iter::from_fn(move || {
        (done < len).then(|| {
            let at = gpa + done as u64;
            let offset = (at % page_bytes) as usize;
            let piece = (PAGE_BYTES - offset).min(len - done);
            let before = done;
            done += piece;
            (at / page_bytes, offset, before, piece)
        })
    }))
}
