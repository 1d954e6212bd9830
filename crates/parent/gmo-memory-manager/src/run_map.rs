//! The map itself: runs of guest pages on runs of frames.

use core::ops::Bound;
use std::collections::BTreeMap;

use page_range::{GuestPage, GuestRange, HostPage, HostRange, LARGE_PAGE_PAGES, PageCount, RangeSet};

/// Consecutive guest pages on consecutive frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The guest pages.
    pub guest: GuestRange,
    /// Their frames; as many.
    pub host: HostRange,
}

/// How many entries of which size a map consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MappingCounts {
    /// Large pages, of 2 MiB.
    pub large: u64,
    /// Pages of 4 KiB.
    pub small: u64,
}

/// How often entries have changed their size since the map was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SizeChanges {
    /// Large pages of which a part was unmapped: the rest is mapped with pages of 4 KiB.
    pub splits: u64,
    /// Large pages that came of joining pages of 4 KiB with what was mapped beside them.
    pub merges: u64,
}

/// A run: the first guest page's number is its key.
#[derive(Clone, Copy, Debug)]
struct Run {
    host: u64,
    pages: u64,
}

/// Guest pages → frames, as runs that are as long as they can be.
///
/// Which entries are large follows from the runs: every aligned 2 MiB of guest memory inside a run whose frames have the
/// same alignment is one. As runs are split only where pages leave and joined whenever they meet, so are large pages.
#[derive(Debug, Default)]
pub(crate) struct RunMap {
    runs: BTreeMap<u64, Run>,
    pages: u64,
    large: u64,
    changes: SizeChanges,
}

impl RunMap {
    pub(crate) fn counts(&self) -> MappingCounts {
        MappingCounts { large: self.large, small: self.pages - self.large * LARGE_PAGE_PAGES }
    }

    pub(crate) fn size_changes(&self) -> SizeChanges {
        self.changes
    }

    pub(crate) fn run_count(&self) -> usize {
        self.runs.len()
    }

    pub(crate) fn mappings(&self) -> impl DoubleEndedIterator<Item = Mapping> {
        self.runs.iter().filter_map(|(&guest, &run)| mapping(guest, run))
    }

    /// The run that the page is in.
    pub(crate) fn run_of(&self, page: GuestPage) -> Option<Mapping> {
        let (&guest, &run) = self.runs.range(..=page.0).next_back()?;
        mapping(guest, run).filter(|mapping| mapping.guest.contains(page))
    }

    pub(crate) fn translate(&self, page: GuestPage) -> Option<HostPage> {
        let mapping = self.run_of(page)?;
        Some(HostPage(mapping.host.start().0 + (page.0 - mapping.guest.start().0)))
    }

    /// Whether the page is part of a large entry.
    pub(crate) fn is_large(&self, page: GuestPage) -> bool {
        let Some(Mapping { guest, host }) = self.run_of(page) else { return false };
        aligned_alike(guest.start().0, host.start().0)
            && guest.large_part().is_some_and(|large| large.contains(page))
    }

    /// What of the range is mapped, lowest first.
    pub(crate) fn within(&self, range: GuestRange) -> impl Iterator<Item = Mapping> {
        let (start, end) = (range.start().0, range.end());
        let before = self.runs.range(..start).next_back();
        before
            .into_iter()
            .chain(self.runs.range(start..end))
            .filter_map(move |(&guest, &run)| part(mapping(guest, run)?, range))
    }

    /// The lowest run of pages of the range that are mapped.
    pub(crate) fn first_mapped(&self, range: GuestRange) -> Option<GuestRange> {
        // Neighbours whose frames are not neighbours are two runs.
        leading_run(self.within(range).map(|part| part.guest))
    }

    /// The lowest run of pages of the range that are not mapped.
    pub(crate) fn first_unmapped(&self, range: GuestRange) -> Option<GuestRange> {
        let mut from = range.start().0;
        for part in self.within(range) {
            if let Some(gap) = GuestRange::between(from, part.guest.start().0) {
                return Some(gap);
            }
            from = part.guest.end();
        }
        GuestRange::between(from, range.end())
    }

    /// How far the frames are from their guest pages (modulo 2^64) in the runs next below and next above the range, where
    /// both are aligned alike: frames at the same distance could be joined with those runs to large pages.
    pub(crate) fn distances_beside(&self, range: GuestRange) -> impl Iterator<Item = u64> + use<> {
        let below = self.runs.range(..range.start().0).next_back();
        let above = self.runs.range((Bound::Included(range.end()), Bound::Unbounded)).next();
        let distance = |run: Option<(&u64, &Run)>| {
            run.filter(|&(&guest, run)| aligned_alike(guest, run.host))
                .map(|(&guest, run)| run.host.wrapping_sub(guest))
        };
        distance(below).into_iter().chain(distance(above))
    }

    /// Map guest pages, none of which is mapped, to as many frames.
    pub(crate) fn insert(&mut self, guest: GuestRange, host: HostPage) {
        debug_assert_eq!(self.first_mapped(guest), None, "mapped twice");
        let (mut start, mut run) = (guest.start().0, Run { host: host.0, pages: guest.pages().get() });
        let apart = self.large + large_pages(start, run);
        if let Some((&below, &before)) = self.runs.range(..start).next_back()
            && below + before.pages == start
            && before.host + before.pages == run.host
        {
            self.take_out(below);
            run = Run { host: before.host, pages: before.pages + run.pages };
            start = below;
        }
        let end = start + run.pages;
        if let Some(&after) = self.runs.get(&end)
            && after.host == run.host + run.pages
        {
            self.take_out(end);
            run.pages += after.pages;
        }
        self.put_in(start, run);
        self.changes.merges += self.large - apart;
    }

    /// Unmap what is mapped of the range; the frames that it was mapped to are added to `frames`.
    pub(crate) fn remove(&mut self, range: GuestRange, frames: &mut RangeSet<HostPage>) {
        while let Some((whole, Mapping { guest, host })) = self.first_part(range) {
            let (start, end) = (whole.guest.start().0, whole.guest.end());
            let part = Run { host: host.start().0, pages: guest.pages().get() };
            let whole_ones = self.large - large_pages(guest.start().0, part);
            self.take_out(start);
            if start < guest.start().0 {
                self.put_in(start, Run { host: whole.host.start().0, pages: guest.start().0 - start });
            }
            if guest.end() < end {
                self.put_in(guest.end(), Run { host: host.end(), pages: end - guest.end() });
            }
            self.changes.splits += whole_ones - self.large;
            frames.insert(host);
        }
    }

    /// The lowest run with a page in the range, and its part in the range.
    fn first_part(&self, range: GuestRange) -> Option<(Mapping, Mapping)> {
        let part = self.within(range).next()?;
        Some((self.run_of(part.guest.start())?, part))
    }

    fn put_in(&mut self, start: u64, run: Run) {
        self.pages += run.pages;
        self.large += large_pages(start, run);
        self.runs.insert(start, run);
    }

    fn take_out(&mut self, start: u64) {
        if let Some(run) = self.runs.remove(&start) {
            self.pages -= run.pages;
            self.large -= large_pages(start, run);
        }
    }
}

/// The first of these ranges and those that follow it without a gap.
pub(crate) fn leading_run(ranges: impl IntoIterator<Item = GuestRange>) -> Option<GuestRange> {
    let mut ranges = ranges.into_iter();
    let first = ranges.next()?;
    let mut end = first.end();
    for range in ranges {
        if range.start().0 != end {
            break;
        }
        end = range.end();
    }
    GuestRange::between(first.start().0, end)
}

fn mapping(guest: u64, run: Run) -> Option<Mapping> {
    let pages = PageCount(run.pages);
    Some(Mapping {
        guest: GuestRange::new(GuestPage(guest), pages)?,
        host: HostRange::new(HostPage(run.host), pages)?,
    })
}

/// What of the mapping is in the range.
fn part(mapping: Mapping, range: GuestRange) -> Option<Mapping> {
    let guest = mapping.guest.intersection(range)?;
    let skipped = guest.start().0 - mapping.guest.start().0;
    let host = HostRange::new(HostPage(mapping.host.start().0 + skipped), guest.pages())?;
    Some(Mapping { guest, host })
}

/// Whether the two numbers are at the same place within a large page.
fn aligned_alike(guest: u64, host: u64) -> bool {
    guest % LARGE_PAGE_PAGES == host % LARGE_PAGE_PAGES
}

/// How many large entries a run is mapped with.
fn large_pages(guest: u64, run: Run) -> u64 {
    if !aligned_alike(guest, run.host) {
        return 0;
    }
    let large = GuestRange::new(GuestPage(guest), PageCount(run.pages)).and_then(GuestRange::large_part);
    large.map_or(0, |large| large.pages().get() / LARGE_PAGE_PAGES)
}
