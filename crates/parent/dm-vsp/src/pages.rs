//! The account of one guest's pages.

use std::collections::BTreeMap;

use dm_protocol::WireRange;
use page_range::{GuestPage, GuestRange, LARGE_PAGE_PAGES, PageCount, PageNumber, RangeSet};
use serde::{Deserialize, Serialize};

use crate::{GuestLayout, Violation};

/// Runs of a balloon that are searched for whole blocks, so that a guest that shreds its balloon does not cost its host
/// time in proportion (invented).
const SCANNED_RUNS: usize = 1 << 16;

/// Which guest pages are the VM's memory, and which of them it has given away.
///
/// At any time the pages that are mapped are `ram` without `ballooned` and `stranded`: the same set that the caller's
/// memory map has, once every map and release asked for has been answered.
///
/// In this order: every status report needs what was given away, and mostly nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct GuestPages {
    /// Boot RAM and hot-added memory, the latter from the moment it is mapped.
    pub(crate) ram: RangeSet<GuestPage>,
    /// Boot RAM.
    boot: PageCount,
    /// Hot-added memory is placed from here on.
    next_hot_add: GuestPage,
    /// Given away, unmapped, and to be given back first when the VM grows.
    pub(crate) ballooned: RangeSet<GuestPage>,
    /// Given away before the channel was closed without a reset: neither given back nor asked for again.
    pub(crate) stranded: RangeSet<GuestPage>,
    /// Releases asked for and not answered, by ticket.
    pub(crate) releasing: BTreeMap<u64, Releasing>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Releasing {
    pub(crate) ranges: RangeSet<GuestPage>,
    pub(crate) fate: Fate,
}

/// What pages are once they are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fate {
    Ballooned,
    Stranded,
    /// No longer the VM's memory.
    Gone,
}

impl GuestPages {
    pub(crate) fn new(layout: &GuestLayout) -> Self {
        Self {
            ram: layout.boot.clone(),
            ballooned: RangeSet::new(),
            stranded: RangeSet::new(),
            releasing: BTreeMap::new(),
            boot: layout.boot.pages(),
            next_hot_add: GuestPage(0),
        }
    }

    /// Boot RAM and hot-added memory, including what was given away since.
    #[must_use]
    pub fn ram(&self) -> &RangeSet<GuestPage> {
        &self.ram
    }

    /// What the guest gave away and can be given back.
    #[must_use]
    pub fn ballooned(&self) -> &RangeSet<GuestPage> {
        &self.ballooned
    }

    /// What the guest gave away and cannot be given back, because the channel was closed in between.
    #[must_use]
    pub fn stranded(&self) -> &RangeSet<GuestPage> {
        &self.stranded
    }

    /// Memory added since the last start or reset.
    #[must_use]
    pub fn hot_added(&self) -> PageCount {
        self.ram.pages().saturating_sub(self.boot)
    }

    /// What is mapped, and so charged to the VM.
    #[must_use]
    pub fn mapped(&self) -> PageCount {
        self.ram.pages().saturating_sub(self.ballooned.pages() + self.stranded.pages())
    }

    /// The pages of a balloon answer, if every one of them is the guest's to give and comes once.
    pub(crate) fn check_answer(&self, ranges: &[WireRange]) -> Result<RangeSet<GuestPage>, Violation> {
        let mut given = RangeSet::new();
        for wire in ranges {
            let Some(range) = GuestRange::new(GuestPage(wire.start()), PageCount(wire.count())) else {
                return Err(Violation::EmptyRange);
            };
            if !self.ram.contains_range(range) {
                return Err(Violation::OutsideMemory { range });
            }
            let away = [&self.ballooned, &self.stranded].into_iter();
            let mut away = away.chain(self.releasing.values().map(|releasing| &releasing.ranges));
            if away.any(|set| set.intersects(range)) {
                return Err(Violation::NotOwned { range });
            }
            if given.insert_new(range).is_err() {
                return Err(Violation::Twice { range });
            }
        }
        Ok(given)
    }

    /// The guest's driver is gone, and with it the knowledge of what it gave away.
    pub(crate) fn strand(&mut self) {
        self.stranded.insert_all(core::mem::take(&mut self.ballooned));
        for releasing in self.releasing.values_mut() {
            if releasing.fate == Fate::Ballooned {
                releasing.fate = Fate::Stranded;
            }
        }
    }

    /// Pages that a guest's own report still counts as committed although it has given them away.
    pub(crate) fn known_ballooned(&self) -> PageCount {
        let releasing = self.releasing.values().filter(|releasing| releasing.fate != Fate::Gone);
        let releasing: PageCount = releasing.map(|releasing| releasing.ranges.pages()).sum();
        self.ballooned.pages() + self.stranded.pages() + releasing
    }

    /// At most `pages` ballooned pages in at most `ranges` ranges, to be given back. Whole 2 MiB blocks come first, so
    /// that the memory map can use large pages again; then what does not make up a block, so that blocks stay whole;
    /// then parts of a block. Higher pages come before lower ones throughout.
    pub(crate) fn choose_unballoon(&self, pages: PageCount, ranges: usize) -> RangeSet<GuestPage> {
        let mut chosen = RangeSet::new();
        let mut left = Left { pages: pages.get(), ranges };
        for run in self.ballooned.runs().rev().take(SCANNED_RUNS) {
            if left.pages < LARGE_PAGE_PAGES || left.ranges == 0 {
                break;
            }
            if let Some(blocks) = whole_blocks(run) {
                let fit = left.pages - left.pages % LARGE_PAGE_PAGES;
                left.take(blocks, fit, &mut chosen);
            }
        }
        for run in self.ballooned.runs().rev() {
            let blocks = whole_blocks(run);
            let (head, tail) = match blocks {
                Some(blocks) => (
                    GuestRange::between(run.start().number(), blocks.start().number()),
                    GuestRange::between(blocks.end(), run.end()),
                ),
                None => (Some(run), None),
            };
            for part in [tail, head].into_iter().flatten() {
                left.take(part, left.pages, &mut chosen);
            }
            if left.is_none() {
                return chosen;
            }
        }
        if !left.is_none() {
            let rest = self.ballooned.difference(&chosen);
            for run in rest.runs().rev() {
                left.take(run, left.pages, &mut chosen);
                if left.is_none() {
                    break;
                }
            }
        }
        chosen
    }

    /// Where at most `pages` pages can be hot-added: the next free place that begins at a multiple of `granule`, and as
    /// many granules there as fit.
    pub(crate) fn place_hot_add(
        &self,
        window: &RangeSet<GuestPage>,
        pages: PageCount,
        granule: PageCount,
    ) -> Option<GuestRange> {
        window.runs().find_map(|run| {
            let from =
                PageCount(run.start().number().max(self.next_hot_add.number())).round_up_to(granule).get();
            let room = PageCount(run.end().checked_sub(from)?);
            GuestRange::new(GuestPage(from), room.min(pages).round_down_to(granule))
        })
    }

    /// New memory has been mapped.
    pub(crate) fn add(&mut self, range: GuestRange) {
        self.ram.insert(range);
        self.next_hot_add = GuestPage(range.end());
    }

    /// Ballooned or stranded pages have been mapped again.
    pub(crate) fn give_back(&mut self, ranges: &RangeSet<GuestPage>) {
        self.ballooned.remove_all(ranges);
        self.stranded.remove_all(ranges);
    }

    /// Pages have been unmapped.
    pub(crate) fn released(&mut self, Releasing { ranges, fate }: Releasing) {
        match fate {
            Fate::Ballooned => drop(self.ballooned.insert_all(ranges)),
            Fate::Stranded => drop(self.stranded.insert_all(ranges)),
            Fate::Gone => {
                self.ram.remove_all(&ranges);
                // A place that was refused for now may be tried again.
                if let Some(run) = ranges.last_run().filter(|run| run.end() == self.next_hot_add.number()) {
                    self.next_hot_add = run.start();
                }
            }
        }
    }

    /// Whether the account is one that a run can lead to.
    pub(crate) fn is_consistent(&self, layout: &GuestLayout) -> bool {
        let added = self.ram.difference(&layout.boot);
        self.boot == layout.boot.pages()
            && self.ram.contains_all(&layout.boot)
            && layout.hot_add.contains_all(&added)
            && added.last_run().is_none_or(|run| run.end() <= self.next_hot_add.number())
            && self.ram.contains_all(&self.ballooned)
            && self.ram.contains_all(&self.stranded)
            && !self.ballooned.intersects_any(&self.stranded)
            && self.releasing.values().all(|releasing| {
                self.ram.contains_all(&releasing.ranges)
                    && !self.ballooned.intersects_any(&releasing.ranges)
                    && !self.stranded.intersects_any(&releasing.ranges)
            })
    }
}

struct Left {
    pages: u64,
    ranges: usize,
}

impl Left {
    fn is_none(&self) -> bool {
        self.pages == 0 || self.ranges == 0
    }

    /// Takes up to `most` pages from the high end of `range`.
    fn take(&mut self, range: GuestRange, most: u64, chosen: &mut RangeSet<GuestPage>) {
        // One message range has 24 bits for its count; whole blocks keep what follows aligned.
        const LONGEST: u64 = WireRange::MAX_COUNT - WireRange::MAX_COUNT % LARGE_PAGE_PAGES;
        let (mut end, mut most) = (range.end(), most.min(self.pages));
        while self.ranges > 0 {
            let start = range.start().number().max(end.saturating_sub(most.min(LONGEST)));
            let Some(piece) = GuestRange::between(start, end) else { return };
            chosen.insert(piece);
            self.pages -= piece.pages().get();
            most -= piece.pages().get();
            self.ranges -= 1;
            end = start;
        }
    }
}

/// The part of a run that consists of whole, aligned 2 MiB blocks.
fn whole_blocks(run: GuestRange) -> Option<GuestRange> {
    let first = run.start().number().checked_next_multiple_of(LARGE_PAGE_PAGES)?;
    GuestRange::between(first, run.end() - run.end() % LARGE_PAGE_PAGES)
}

#[cfg(test)]
mod tests;
