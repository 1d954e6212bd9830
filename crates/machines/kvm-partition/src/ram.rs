//! Guest RAM: mappings of the host behind memory slots of the VM, by guest page.
//!
//! Every range that is added (boot RAM, each hot-add) is a mapping and a slot of its own. What the guest gives back is freed inside the
//! mapping and *guarded*: nothing in this process can touch it, and a virtual processor that does leaves the guest with an error, upon
//! which the guest is ended. So memory that the host has given to another VM cannot be taken back. Restored pages are zero.

pub(crate) mod budget;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use kvm_ioctls::VmFd;
use page_range::{GuestPage, GuestRange, RangeSet};
use parking_lot::RwLock;
use partition::{MappedPages, MemoryError, Page, PagePiece, page_pieces};
use shared_memory::{PAGE_BYTES, RegionError, WithdrawError};

use self::budget::Budget;
use crate::sys::{self, Guard, Mapping};

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

struct Slot {
    id: u32,
    range: GuestRange,
    mapping: Mapping,
}

#[derive(Default)]
struct Slots {
    /// By first page.
    by_start: BTreeMap<u64, Slot>,
    next_id: u32,
    /// Runs taken from the budget.
    guarded_runs: usize,
}

/// Pages of a slot, as indices in its mapping.
type Pieces<'a> = Vec<(&'a Slot, Vec<Range<usize>>)>;

/// The RAM of one guest.
pub(crate) struct Ram {
    backing: Backing,
    guard: Guard,
    budget: Arc<Budget>,
    slots: RwLock<Slots>,
}

fn no_memory(error: &io::Error, pages: usize) -> MemoryError {
    MemoryError::Backing(match error.kind() {
        io::ErrorKind::InvalidInput => RegionError::TooLarge { pages },
        _ => RegionError::OutOfMemory { pages },
    })
}

impl Slot {
    fn page_at(&self, index: usize) -> GuestPage {
        GuestPage(self.range.start().0 + index as u64)
    }

    /// No view of the pages, and no copy, from now on. Gives those of which this is new.
    fn withdraw(&self, pages: &[Range<usize>]) -> Result<Vec<Range<usize>>, MemoryError> {
        self.mapping.region().withdraw(pages).map_err(|error| match error {
            WithdrawError::InUse { page } => MemoryError::InUse { page: self.page_at(page) },
            WithdrawError::Beyond { have, .. } => MemoryError::NotMemory { page: self.page_at(have) },
        })
    }

    /// What a system call says of pages of this slot.
    fn each(
        pages: &[Range<usize>],
        mut call: impl FnMut(&Range<usize>) -> io::Result<()>,
    ) -> Result<(), MemoryError> {
        pages.iter().try_for_each(|range| call(range).map_err(|error| no_memory(&error, range.len())))
    }

    /// The pages are accessible again, and zero.
    fn unguard(&self, guard: Guard, pages: &[Range<usize>]) -> Result<(), MemoryError> {
        Self::each(pages, |range| self.mapping.unguard(guard, range))
    }
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
        let region = slot.mapping.region();
        region.page(index).filter(|_| !region.is_withdrawn(index)).ok_or(missing)
    }

    /// The parts of `ranges` in each slot. Merged: a guest gives a balloon back in pieces of 2 MiB or 4 KiB, and each piece would be a
    /// system call.
    fn pieces(&self, ranges: &[GuestRange]) -> Result<Pieces<'_>, MemoryError> {
        let wanted: RangeSet<GuestPage> = ranges.iter().copied().collect();
        let mut pieces = Pieces::new();
        for run in wanted.runs() {
            let mut next = run.start().0;
            while next < run.end() {
                let slot = self.of(next).ok_or(MemoryError::NotMemory { page: GuestPage(next) })?;
                let end = run.end().min(slot.range.end());
                // Inside the mapping's size, which is a usize.
                let index = |page: u64| (page - slot.range.start().0) as usize;
                let part = index(next)..index(end);
                match pieces.last_mut() {
                    Some((last, parts)) if last.id == slot.id => parts.push(part),
                    _ => pieces.push((slot, vec![part])),
                }
                next = end;
            }
        }
        Ok(pieces)
    }

    fn withdrawn_runs(&self) -> usize {
        self.by_start.values().map(|slot| slot.mapping.region().withdrawn_runs()).sum()
    }

    fn withdrawn_pages(&self) -> usize {
        self.by_start.values().map(|slot| slot.mapping.region().withdrawn_pages()).sum()
    }
}

impl Ram {
    pub(crate) fn new(backing: Backing) -> Self {
        Self::with(backing, Guard::best(backing == Backing::Memfd), Budget::of_process())
    }

    pub(crate) fn with(backing: Backing, guard: Guard, budget: Arc<Budget>) -> Self {
        Self { backing, guard, budget, slots: RwLock::default() }
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
        let made = match self.backing {
            Backing::Anonymous => Mapping::anonymous(pages),
            Backing::Memfd => Mapping::memfd(pages),
            Backing::Mock => Mapping::process(pages),
        };
        let mapping = made.map_err(|error| no_memory(&error, pages))?;
        let id = slots.next_id;
        if let Some(vm) = vm {
            sys::set_slot(vm, id, gpa, &mapping).map_err(|error| no_memory(&error, pages))?;
        }
        slots.next_id += 1;
        slots.by_start.insert(range.start().0, Slot { id, range, mapping });
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
        self.budget.give_back(slots.guarded_runs);
    }

    /// See [`partition::GuestMemory::discard`].
    pub(crate) fn discard(&self, ranges: &[GuestRange]) -> Result<(), MemoryError> {
        let mut slots = self.slots.write();
        let pieces = slots.pieces(ranges)?;
        // At most: runs that touch become one.
        let more = pieces.iter().map(|(_, parts)| parts.len()).sum();
        self.reserve(&slots, more, |own| self.budget.take(own, more))?;
        let result = self.take(&pieces);
        drop(pieces);
        self.settle(&mut slots, more);
        result
    }

    /// Keeps guest and host from the pages, then frees them.
    fn take(&self, pieces: &Pieces<'_>) -> Result<(), MemoryError> {
        let mut fresh = Pieces::new();
        let mut result = Ok(());
        for (slot, parts) in pieces {
            match slot.withdraw(parts) {
                Ok(parts) => fresh.push((*slot, parts)),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        let guarded = |(slot, parts): &(&Slot, Vec<_>)| {
            Slot::each(parts, |range| slot.mapping.guard(self.guard, range))
        };
        let freed = |(slot, parts): &(&Slot, Vec<_>)| Slot::each(parts, |range| slot.mapping.free(range));
        let result = result
            .and_then(|()| fresh.iter().try_for_each(guarded))
            .and_then(|()| fresh.iter().try_for_each(freed));
        if result.is_err() {
            for (slot, parts) in &fresh {
                // What cannot be undone stays guarded: the guest has less than it may have, never more.
                let _ = slot.unguard(self.guard, parts);
            }
        }
        result
    }

    /// Frees what the guest reports as unused; it stays the guest's memory, and is zero when the guest touches it. All of it or nothing:
    /// pages that are not the guest's, and pages of which the host has views (rings, buffers of requests), are refused. Gives the pages.
    pub(crate) fn free_reported(&self, ranges: &[GuestRange]) -> Result<u64, MemoryError> {
        // Meanwhile no page is given back, and none comes again.
        let slots = self.slots.read();
        let pieces = slots.pieces(ranges)?;
        for (slot, parts) in &pieces {
            let region = slot.mapping.region();
            if let Some(run) = region.withdrawn_of(parts).first() {
                return Err(MemoryError::NotMemory { page: slot.page_at(run.start) });
            }
            if let Some(page) = region.viewed_of(parts) {
                return Err(MemoryError::InUse { page: slot.page_at(page) });
            }
        }
        for (slot, parts) in &pieces {
            Slot::each(parts, |range| slot.mapping.free(range))?;
        }
        Ok(pieces.iter().flat_map(|(_, parts)| parts).map(|part| part.len() as u64).sum())
    }

    /// See [`partition::GuestMemory::restore`].
    pub(crate) fn restore(&self, ranges: &[GuestRange]) -> Result<(), MemoryError> {
        let mut slots = self.slots.write();
        let pieces: Pieces<'_> = slots
            .pieces(ranges)?
            .into_iter()
            .map(|(slot, parts)| (slot, slot.mapping.region().withdrawn_of(&parts)))
            .collect();
        // At most: each piece that is in the middle of a run cuts it in two.
        let more = pieces.iter().map(|(_, parts)| parts.len()).sum();
        self.reserve(&slots, more, |_| self.budget.take_for_return(more))?;
        let unguarded = |(slot, parts): &(&Slot, Vec<_>)| slot.unguard(self.guard, parts);
        let result = pieces.iter().try_for_each(unguarded);
        if result.is_err() {
            // The other way round: what was given back is taken again. Where that fails too, the guest has pages that it was
            // given and does not know of.
            let _ = self.take(&pieces);
        }
        drop(pieces);
        self.settle(&mut slots, more);
        result
    }

    /// Takes `more` runs from the budget, where a run costs mappings.
    fn reserve(
        &self,
        slots: &Slots,
        more: usize,
        take: impl FnOnce(usize) -> bool,
    ) -> Result<(), MemoryError> {
        if !self.takes_mappings() || take(slots.guarded_runs) {
            return Ok(());
        }
        Err(MemoryError::TooManyPieces { pieces: slots.guarded_runs + more })
    }

    /// Gives back what was reserved and is not needed.
    fn settle(&self, slots: &mut Slots, reserved: usize) {
        if self.takes_mappings() {
            let now = slots.withdrawn_runs();
            self.budget.give_back((slots.guarded_runs + reserved).saturating_sub(now));
            slots.guarded_runs = now;
        }
    }

    fn takes_mappings(&self) -> bool {
        self.backing != Backing::Mock && self.guard == Guard::Mappings
    }

    /// Whether the guest has given this page back and must not touch it.
    pub(crate) fn is_guarded(&self, page: GuestPage) -> bool {
        let slots = self.slots.read();
        slots.of(page.0).is_some() && slots.page(page.0).is_err()
    }

    /// The lowest page that the guest has given back.
    pub(crate) fn first_guarded(&self) -> Option<GuestPage> {
        let slots = self.slots.read();
        slots.by_start.values().find_map(|slot| {
            let region = slot.mapping.region();
            let all = 0..region.pages();
            region.withdrawn_of(std::slice::from_ref(&all)).first().map(|run| slot.page_at(run.start))
        })
    }

    /// Pages that the guest has given back and must not touch.
    pub(crate) fn guarded_pages(&self) -> usize {
        self.slots.read().withdrawn_pages()
    }

    /// Bytes of host memory in use. With [`Backing::Mock`] all that was not discarded.
    pub(crate) fn resident(&self) -> u64 {
        let slots = self.slots.read();
        slots.by_start.values().map(|slot| slot.mapping.resident().unwrap_or(0)).sum()
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
        for PagePiece { page: number, offset, done, len } in page_pieces(gpa, out.len())? {
            let page = slots.page(number)?;
            // A piece is inside its page, and no page is guarded while the slots are read.
            page.read(offset, &mut out[done..done + len])
                .map_err(|_| MemoryError::NotMemory { page: GuestPage(number) })?;
        }
        Ok(())
    }

    pub(crate) fn write(&self, gpa: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let slots = self.slots.read();
        for PagePiece { page: number, offset, done, len } in page_pieces(gpa, bytes.len())? {
            let page = slots.page(number)?;
            page.write(offset, &bytes[done..done + len])
                .map_err(|_| MemoryError::NotMemory { page: GuestPage(number) })?;
        }
        Ok(())
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        self.clear(None);
    }
}
