//! Where the whole large pages of a set of frames are.

use crate::{HostPage, HostRange, LARGE_PAGE_PAGES, PageCount, RangeSet};

/// The pages of a set of frames, apart: those in whole large pages (2 MiB, aligned), and the rest.
///
/// With it, choosing frames takes time for what is chosen and for the runs of large pages there are to choose among, however many
/// fragments there are to overlook.
#[derive(Debug, Default)]
pub(super) struct LargePageIndex {
    large: RangeSet<HostPage>,
    fragments: RangeSet<HostPage>,
}

impl LargePageIndex {
    pub(super) fn of(frames: &RangeSet<HostPage>) -> Self {
        let mut index = Self::default();
        for run in frames {
            index.sort_in(run);
        }
        index
    }

    /// The range has been added to `frames`.
    pub(super) fn added(&mut self, range: HostRange, frames: &RangeSet<HostPage>) {
        if let Some(run) = frames.run_of(range.start()) {
            self.update(run, range, frames);
        }
    }

    /// The range, which was in the run, has been removed from `frames`.
    pub(super) fn removed(&mut self, range: HostRange, run: HostRange, frames: &RangeSet<HostPage>) {
        self.update(run, range, frames);
    }

    /// Sort in anew what a change of the range can have changed: the part of the run around it that shares a large page
    /// with it.
    fn update(&mut self, run: HostRange, range: HostRange, frames: &RangeSet<HostPage>) {
        let start = range.start().0 - range.start().0 % LARGE_PAGE_PAGES;
        let end = range.end().checked_next_multiple_of(LARGE_PAGE_PAGES).unwrap_or(u64::MAX);
        let Some(affected) = HostRange::between(start.max(run.start().0), end.min(run.end())) else { return };
        self.large.remove(affected);
        self.fragments.remove(affected);
        for part in frames.within(affected) {
            self.sort_in(part);
        }
    }

    fn sort_in(&mut self, run: HostRange) {
        let Some(large) = run.large_part() else {
            self.fragments.insert(run);
            return;
        };
        self.large.insert(large);
        self.fragments.extend(HostRange::between(run.start().0, large.start().0));
        self.fragments.extend(HostRange::between(large.end(), run.end()));
    }

    /// Which `pages` pages to take, of a set that has as many: see [`HostFrames::take`](super::HostFrames::take).
    pub(super) fn choose(&self, pages: PageCount) -> RangeSet<HostPage> {
        let mut chosen = RangeSet::new();
        choose_best_fit(&self.large, pages.round_down_to(PageCount::LARGE_PAGE), &mut chosen);
        let rest = pages.saturating_sub(chosen.pages());
        choose_of(&self.fragments, rest, &mut chosen);
        // Every fragment is taken: what is left of the large pages has to give the rest.
        for run in &self.large {
            let rest = pages.saturating_sub(chosen.pages());
            if rest.is_zero() {
                break;
            }
            chosen.extend(chosen.first_missing(run).and_then(|left| left.first(rest)));
        }
        chosen
    }
}

/// Choose `pages` pages, or all if there are no more: of the shortest run that has as many; if none has, the lowest.
fn choose_best_fit(from: &RangeSet<HostPage>, pages: PageCount, chosen: &mut RangeSet<HostPage>) {
    let fits = from.runs().filter(|run| run.pages() >= pages).min_by_key(|run| (run.pages(), run.start()));
    match fits {
        Some(run) => chosen.extend(run.first(pages)),
        None => choose_of(from, pages, chosen),
    }
}

/// Choose the lowest `pages` pages, or all if there are no more.
fn choose_of(from: &RangeSet<HostPage>, pages: PageCount, chosen: &mut RangeSet<HostPage>) {
    let mut rest = pages;
    for run in from {
        let Some(part) = run.first(rest) else { break };
        rest -= part.pages();
        chosen.insert(part);
    }
}
