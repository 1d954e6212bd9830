//! The account of one guest's pages.

use alloc::collections::BTreeMap;

use dm_protocol::WireRange;
use page_range::{GuestPage, GuestRange, LARGE_PAGE_PAGES, PageCount, PageNumber, RangeSet};

use crate::{GuestLayout, Violation};

/// Runs of a balloon that are searched for whole blocks, so that a guest that shreds its balloon does not cost its host
/// time in proportion (invented).
const SCANNED_RUNS: usize = 1 << 16;

/// Which guest pages are the VM's memory, and which of them it has given away.
///
/// At any time the pages that are mapped are `ram` without `ballooned`, `stranded` and `forgotten`: the same set that the
/// caller's memory map has, once every map and release asked for has been answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GuestPages {
    /// Boot RAM and hot-added memory, the latter from the moment it is mapped.
    pub(crate) ram: RangeSet<GuestPage>,
    /// Boot RAM.
    boot: PageCount,
    /// The most memory that the VM can have.
    total: PageCount,
    /// Hot-added memory is placed from here on.
    next_hot_add: GuestPage,
    /// Given away, unmapped, and to be given back first when the VM grows.
    pub(crate) ballooned: RangeSet<GuestPage>,
    /// Given away before the channel was closed without a reset: neither given back nor asked for again.
    pub(crate) stranded: RangeSet<GuestPage>,
    /// Given away by an operating system that no longer runs in the VM: the one that does takes these pages for its own,
    /// and its reports do not count them.
    pub(crate) forgotten: RangeSet<GuestPage>,
    /// Given away while a release was asked for and not answered: to be released next.
    pub(crate) waiting: Option<Releasing>,
    /// Releases asked for and not answered, by ticket: at most one of what the guest gave away, and one of what it was not
    /// offered or refused.
    pub(crate) releasing: BTreeMap<u64, Releasing>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Releasing {
    pub(crate) ranges: RangeSet<GuestPage>,
    pub(crate) fate: Fate,
}

/// What pages are once they are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Fate {
    Ballooned,
    Stranded,
    Forgotten,
    /// New memory that the guest refused: no longer the VM's, and its addresses are never offered again until the VM is
    /// reset. Linux' driver keeps its record of a region that it could not add, and cuts a later request that begins there
    /// to the length of the earlier one (documented: `hv_balloon`'s list of regions).
    Refused,
    /// New memory that the guest was never offered: no longer the VM's, and its place may be used.
    NotOffered,
}

impl GuestPages {
    pub(crate) fn new(layout: &GuestLayout) -> Self {
        Self {
            ram: layout.boot.clone(),
            ballooned: RangeSet::new(),
            stranded: RangeSet::new(),
            forgotten: RangeSet::new(),
            waiting: None,
            releasing: BTreeMap::new(),
            boot: layout.boot.pages(),
            total: layout.total,
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

    /// What an operating system gave away that no longer runs in the VM. The one that does may name these pages in a balloon
    /// answer, like any that are its own.
    #[must_use]
    pub fn forgotten(&self) -> &RangeSet<GuestPage> {
        &self.forgotten
    }

    /// Memory added since the last start or reset.
    #[must_use]
    pub fn hot_added(&self) -> PageCount {
        self.ram.pages().saturating_sub(self.boot)
    }

    /// What is mapped, and so charged to the VM.
    #[must_use]
    pub fn mapped(&self) -> PageCount {
        let away = self.ballooned.pages() + self.stranded.pages() + self.forgotten.pages();
        self.ram.pages().saturating_sub(away)
    }

    /// Which pages are mapped, once every map and release asked for has been answered.
    #[must_use]
    pub fn mapped_ranges(&self) -> RangeSet<GuestPage> {
        self.ram.difference(&self.ballooned).difference(&self.stranded).difference(&self.forgotten)
    }

    /// Whether no release is to be asked for or to be answered.
    pub(crate) fn is_settled(&self) -> bool {
        self.releasing.is_empty() && self.waiting.is_none()
    }

    /// The pages of a balloon answer, if every one of them is the guest's to give and comes once. Costs time for the ranges of
    /// the answer, whatever was given before.
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
            let under_way = self.releasing.values().chain(&self.waiting);
            let mut away = away.chain(under_way.map(|releasing| &releasing.ranges));
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
        self.change_fates(Fate::Ballooned, Fate::Stranded);
    }

    /// The guest's operating system is gone, and with it the knowledge of what it gave away.
    pub(crate) fn forget_stranded(&mut self) {
        self.forgotten.insert_all(core::mem::take(&mut self.stranded));
        self.change_fates(Fate::Stranded, Fate::Forgotten);
    }

    fn change_fates(&mut self, from: Fate, to: Fate) {
        let under_way = self.releasing.values_mut().chain(&mut self.waiting);
        under_way.filter(|releasing| releasing.fate == from).for_each(|releasing| releasing.fate = to);
    }

    /// Pages of a checked balloon answer: what an earlier operating system gave away is not mapped, and is ballooned as it
    /// is. Returns the rest, which is to be released.
    pub(crate) fn take_over_forgotten(&mut self, given: RangeSet<GuestPage>) -> RangeSet<GuestPage> {
        if !self.forgotten.intersects_any(&given) {
            return given;
        }
        let mapped = given.difference(&self.forgotten);
        let taken_over = given.difference(&mapped);
        self.forgotten.remove_all(&taken_over);
        self.ballooned.insert_all(taken_over);
        mapped
    }

    /// Pages that the guest gave away are to be released when nothing else is.
    pub(crate) fn wait_for_release(&mut self, given: RangeSet<GuestPage>) {
        match &mut self.waiting {
            Some(waiting) => drop(waiting.ranges.insert_all(given)),
            None => self.waiting = Some(Releasing { ranges: given, fate: Fate::Ballooned }),
        }
    }

    /// What waits, if no release is under way.
    pub(crate) fn next_to_release(&mut self) -> Option<Releasing> {
        if self.releasing.is_empty() { self.waiting.take() } else { None }
    }

    /// Pages that a guest's own report still counts as committed although it has given them away.
    pub(crate) fn known_ballooned(&self) -> PageCount {
        let under_way = self.releasing.values().chain(&self.waiting);
        let counted = under_way.filter(|it| matches!(it.fate, Fate::Ballooned | Fate::Stranded));
        let under_way: PageCount = counted.map(|releasing| releasing.ranges.pages()).sum();
        self.ballooned.pages() + self.stranded.pages() + under_way
    }

    /// At most `pages` ballooned pages in at most `ranges` ranges, to be given back. Whole 2 MiB blocks come first, so
    /// that the memory map can use large pages again; then what does not make up a block, so that blocks stay whole;
    /// then parts of a block.
    ///
    /// Lower pages come before higher ones throughout (invented; QEMU's host begins at the top). A guest whose driver takes the pages at
    /// the top of its free memory then has its balloon there in one piece, and its memory below: what is given back joins what the guest
    /// has, in the guest's lists and in the memory map.
    pub(crate) fn choose_unballoon(&self, pages: PageCount, ranges: usize) -> RangeSet<GuestPage> {
        let mut chosen = RangeSet::new();
        let mut left = Left { pages: pages.get(), ranges };
        for run in self.ballooned.runs().take(SCANNED_RUNS) {
            if left.pages < LARGE_PAGE_PAGES || left.ranges == 0 {
                break;
            }
            if let Some(blocks) = whole_blocks(run) {
                let fit = left.pages - left.pages % LARGE_PAGE_PAGES;
                left.take(blocks, fit, &mut chosen);
            }
        }
        for run in self.ballooned.runs() {
            let blocks = whole_blocks(run);
            let (head, tail) = match blocks {
                Some(blocks) => (
                    GuestRange::between(run.start().number(), blocks.start().number()),
                    GuestRange::between(blocks.end(), run.end()),
                ),
                None => (Some(run), None),
            };
            for part in [head, tail].into_iter().flatten() {
                left.take(part, left.pages, &mut chosen);
            }
            if left.is_none() {
                return chosen;
            }
        }
        if !left.is_none() {
            let rest = self.ballooned.difference(&chosen);
            for run in rest.runs() {
                left.take(run, left.pages, &mut chosen);
                if left.is_none() {
                    break;
                }
            }
        }
        chosen
    }

    /// Where at most `pages` pages can be hot-added: the next free place that begins at a multiple of `granule`, and as
    /// many granules there as fit, and as the VM may still have. Addresses that were skipped are no memory.
    pub(crate) fn place_hot_add(
        &self,
        window: &RangeSet<GuestPage>,
        pages: PageCount,
        granule: PageCount,
    ) -> Option<GuestRange> {
        let pages = pages.min(self.total.saturating_sub(self.ram.pages()));
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

    /// Pages that were given away have been mapped again. Returns what they are if they are unmapped at once, because the
    /// guest that was to get them is no longer there.
    pub(crate) fn give_back(&mut self, ranges: &RangeSet<GuestPage>) -> Fate {
        let fate = if self.forgotten.intersects_any(ranges) { Fate::Forgotten } else { Fate::Stranded };
        for set in [&mut self.ballooned, &mut self.stranded, &mut self.forgotten] {
            set.remove_all(ranges);
        }
        fate
    }

    /// Pages have been unmapped.
    pub(crate) fn released(&mut self, Releasing { ranges, fate }: Releasing) {
        match fate {
            Fate::Ballooned => drop(self.ballooned.insert_all(ranges)),
            Fate::Stranded => drop(self.stranded.insert_all(ranges)),
            Fate::Forgotten => drop(self.forgotten.insert_all(ranges)),
            Fate::Refused => drop(self.ram.remove_all(&ranges)),
            Fate::NotOffered => {
                self.ram.remove_all(&ranges);
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
            && self.total == layout.total
            && self.ram.pages() <= self.total
            && self.are_disjoint_parts()
    }

    /// Whether what was given away, in whatever way, is the VM's memory and was given away once.
    fn are_disjoint_parts(&self) -> bool {
        let under_way = self.releasing.values().chain(&self.waiting).map(|releasing| &releasing.ranges);
        let mut seen = RangeSet::new();
        [&self.ballooned, &self.stranded, &self.forgotten].into_iter().chain(under_way).all(|part| {
            let fits = self.ram.contains_all(part) && !part.intersects_any(&seen);
            seen.extend(part);
            fits
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

    /// Takes up to `most` pages from the low end of `range`.
    fn take(&mut self, range: GuestRange, most: u64, chosen: &mut RangeSet<GuestPage>) {
        // A range in a message has 24 bits for its count; whole blocks keep what follows aligned.
        const LONGEST: u64 = WireRange::MAX_COUNT - WireRange::MAX_COUNT % LARGE_PAGE_PAGES;
        let (mut start, mut most) = (range.start().number(), most.min(self.pages));
        while self.ranges > 0 {
            let end = range.end().min(start.saturating_add(most.min(LONGEST)));
            let Some(piece) = GuestRange::between(start, end) else { return };
            chosen.insert(piece);
            self.pages -= piece.pages().get();
            most -= piece.pages().get();
            self.ranges -= 1;
            start = end;
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
