//! Building whole large pages out of broken ones.
//!
//! A driver that asks Windows for blocks of 2 MiB gets those that there are; if these do not suffice, the memory manager tries to build more
//! (*documented*: Microsoft, `MmAllocatePagesForMdlEx`, `MM_ALLOCATE_FAST_LARGE_PAGES`, which is the flag not to; and seen from outside by the
//! author of QEMU's `hv-balloon`, whose Windows guests compact their memory for a balloon request). Linux compacts for such a block once
//! before it gives up (*inferred* from the flags of `hv_balloon`: `__GFP_NORETRY`, and direct reclaim allowed). In which order blocks are chosen, and that moving
//! pages takes no time, is *invented*.

use std::collections::BTreeMap;

use page_range::{GuestPage, GuestRange, LARGE_PAGE_PAGES, PageCount};

use super::MemoryManager;
use super::lists::{End, Pages, take_pieces};

impl MemoryManager {
    /// Takes up to `want` pages in whole large pages that are built for it: what is in use in those with the most available pages is moved
    /// to available pages of others. Pages of drivers and of the kernel stay where they are.
    pub(super) fn build_large_pages(&mut self, want: PageCount) -> Pages {
        let mut room = self.lists.pieces();
        let mut built = Pages::new();
        if want < PageCount::LARGE_PAGE || room.pages() < PageCount::LARGE_PAGE {
            return built;
        }
        let mut blocks: Vec<(PageCount, GuestRange)> = available_by_block(&room)
            .into_iter()
            .filter_map(|(block, pages)| Some((pages, of_number(block)?)))
            .collect();
        blocks.sort_by_key(|&(available, block)| (core::cmp::Reverse(available), block.start()));
        for (_, block) in blocks {
            if want - built.pages() < PageCount::LARGE_PAGE || room.pages() < PageCount::LARGE_PAGE {
                break;
            }
            let there: Pages = room.within(block).collect();
            let in_use = PageCount::LARGE_PAGE - there.pages();
            if room.pages() - there.pages() < in_use || !self.is_movable(block, there.pages()) {
                continue;
            }
            room.remove(block);
            let places = take_pieces(&mut room, in_use, End::Low);
            self.lists.remove(&there);
            self.lists.remove(&places);
            self.move_pages(block, places);
            built.insert(block);
        }
        built
    }

    /// Whether all of a large page that is not available belongs to processes that can be moved.
    fn is_movable(&self, block: GuestRange, available: PageCount) -> bool {
        let movable = self.processes.iter().filter(|process| process.nonpaged.is_zero());
        let of_processes: PageCount = movable
            .flat_map(|process| [&process.resident, &process.modified, &process.standby])
            .map(|pages| pages.pages_within(block))
            .sum();
        of_processes + available == PageCount::LARGE_PAGE
    }

    /// Moves what processes have in the range to these places, which are as many.
    fn move_pages(&mut self, range: GuestRange, mut places: Pages) {
        for at in 0..self.processes.len() {
            self.processes.change(at, |process| {
                for pages in [&mut process.resident, &mut process.modified, &mut process.standby] {
                    let moved = pages.remove(range);
                    pages.insert_all(places.take_lowest(moved));
                }
            });
        }
        debug_assert!(places.is_empty(), "a place for each page");
    }
}

/// How many pages of each large page there are, by its number.
fn available_by_block(pieces: &Pages) -> BTreeMap<u64, PageCount> {
    let mut blocks = BTreeMap::new();
    for run in pieces {
        for block in run.start().0 / LARGE_PAGE_PAGES..run.end().div_ceil(LARGE_PAGE_PAGES) {
            let within = of_number(block).and_then(|block| block.intersection(run));
            *blocks.entry(block).or_default() += within.map_or(PageCount::ZERO, GuestRange::pages);
        }
    }
    blocks
}

fn of_number(block: u64) -> Option<GuestRange> {
    GuestRange::new(GuestPage(block * LARGE_PAGE_PAGES), PageCount::LARGE_PAGE)
}
