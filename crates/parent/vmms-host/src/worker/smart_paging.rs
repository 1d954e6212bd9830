//! Smart Paging: a VM that restarts on a host without its startup RAM has the rest in a file of the host for a while.
//!
//! Hosts since 2012 have it (documented: Microsoft, *Hyper-V Dynamic Memory Overview*, TechNet hh831766). What is in the file shrinks in three
//! ways: memory that the balancer grants goes under it first; of what the guest balloons, pages of the file need no memory, and memory of
//! other pages goes under the file; and for as long as there is a file the guest is asked to balloon, which is how Hyper-V gets rid of it
//! (documented). An empty file is gone for good: nothing of a running VM is ever put into one. Which page of the guest is in the file and
//! which has memory changes as pages are needed; the host itself needs those that it shares with the guest.

use std::time::Duration;

use component_runtime::Context;
use dm_vsp::{Input, OperationKind};
use page_range::{GuestPage, GuestRange, HostFrames, PageCount, RangeSet};

use super::Worker;
use super::memory::merge;
use crate::constants as c;
use crate::message::WorkerMessage;
use crate::statistics::MapStatistics;

/// What of a VM is in a file of the host.
#[derive(Debug, Default)]
pub(super) struct PagingFile {
    /// Guest pages without memory of the host.
    pages: RangeSet<GuestPage>,
    /// The guest has been asked to balloon for it, beside what the balancer asks for.
    asking: bool,
    /// When it is asked again.
    ask_at: Duration,
    /// Orders of the balancer that came meanwhile: there is one operation at a time.
    deferred: Vec<WorkerMessage>,
    /// What of the operation under way the balancer hears nothing of: pages that came out of the file.
    out_of_file: PageCount,
    /// Of the grant under way, what went under the file.
    filled: PageCount,
}

impl PagingFile {
    pub(super) fn pages(&self) -> PageCount {
        self.pages.pages()
    }

    pub(super) fn is_asking(&self) -> bool {
        self.asking
    }

    /// An order of the balancer waits until the guest has answered.
    pub(super) fn defer(&mut self, order: WorkerMessage) {
        self.deferred.push(order);
    }

    /// What the balancer hears nothing of in the operation that ends.
    pub(super) fn take_out_of_file(&mut self) -> PageCount {
        core::mem::take(&mut self.out_of_file)
    }

    /// What of the grant that ends went under the file.
    pub(super) fn take_filled(&mut self) -> PageCount {
        core::mem::take(&mut self.filled)
    }

    /// When the guest is to be asked to balloon.
    pub(super) fn due(&self) -> Option<Duration> {
        (!self.pages.is_empty() && !self.asking).then_some(self.ask_at)
    }
}

impl Worker {
    /// The pages of the startup RAM that are mapped to `frames`; the rest is in the file.
    pub(super) fn page_out_beyond(&mut self, frames: PageCount) -> Vec<GuestRange> {
        let mut rest = self.boot.clone();
        let mapped = rest.take_lowest(frames);
        self.file = PagingFile { pages: rest, ..PagingFile::default() };
        if !self.file.pages.is_empty() {
            tracing::warn!(
                event = "smart_paging_begins",
                pages = self.file.pages().get(),
                startup_mb = self.boot.pages().whole_mib()
            );
        }
        mapped.runs().collect()
    }

    /// Tells the machine how much of its memory is in the file: it is slow as long as it needs that.
    pub(super) fn tell_machine_of_file(&mut self, ctx: &mut Context<'_>) {
        let pages = self.file.pages();
        if let Some(running) = self.running.as_mut() {
            running.paged_by_host(ctx, pages);
        }
    }

    /// Puts frames under pages of the file; what is left of them is returned.
    fn under_the_file(&mut self, ctx: &mut Context<'_>, mut frames: HostFrames) -> HostFrames {
        let pages = frames.pages().min(self.file.pages());
        if pages.is_zero() {
            return frames;
        }
        let ranges = self.file.pages.take_lowest(pages);
        let runs: Vec<GuestRange> = ranges.runs().collect();
        let under = frames.take_up_to(pages);
        if let Err(error) = self.memory.map_ranges(&runs, under) {
            self.file.pages = self.file.pages.union(&ranges);
            merge(&mut frames, error.frames);
            self.fail(format!("cannot map what was in the paging file: {}", error.refusal));
            return frames;
        }
        self.file_has_changed(ctx, pages);
        frames
    }

    fn file_has_changed(&mut self, ctx: &mut Context<'_>, less: PageCount) {
        let left = self.file.pages();
        tracing::info!(event = "smart_paging", pages = less.get(), left = left.get());
        if left.is_zero() {
            tracing::info!(event = "smart_paging_ends");
        }
        self.tell_machine_of_file(ctx);
    }

    /// Of a grant, what goes under the file. Returns what is left to be given to the guest.
    pub(super) fn grant_under_the_file(&mut self, ctx: &mut Context<'_>, pages: PageCount) -> PageCount {
        let wanted = pages.min(self.file.pages());
        if wanted.is_zero() {
            return pages;
        }
        let frames = self.granted.take_up_to(wanted);
        let had = frames.pages();
        let left = self.under_the_file(ctx, frames);
        let filled = had - left.pages();
        self.file.filled += filled;
        merge(&mut self.granted, left);
        let now = MapStatistics::of(&self.memory);
        tracing::info!(
            event = "pages_mapped",
            pages = filled.get(),
            kind = "smart_paging",
            ok = true,
            large_pages = now.large_pages,
            small_pages = now.small_pages
        );
        pages.saturating_sub(filled)
    }

    /// Takes pages that the guest has ballooned out of the file, and those that it ballooned with memory out of the map: that memory goes
    /// under what is left in the file. Returns the ranges that have memory.
    pub(super) fn ballooned_out_of_the_file(
        &mut self,
        ctx: &mut Context<'_>,
        ranges: &RangeSet<GuestPage>,
    ) -> RangeSet<GuestPage> {
        let in_file = ranges.intersection(&self.file.pages);
        if in_file.is_empty() {
            return ranges.clone();
        }
        self.file.pages = self.file.pages.difference(&in_file);
        self.file.out_of_file += in_file.pages();
        let runs: Vec<GuestRange> = in_file.runs().collect();
        if let Some(partition) = &self.partition
            && let Err(error) = partition.discard(&runs)
        {
            tracing::error!(event = "discard_failed", why = %error);
        }
        self.file_has_changed(ctx, in_file.pages());
        ranges.difference(&in_file)
    }

    /// Memory of ballooned pages goes under what is left in the file. The rest is the balancer's.
    pub(super) fn ballooned_memory(&mut self, ctx: &mut Context<'_>, frames: HostFrames) -> HostFrames {
        let had = frames.pages();
        let left = self.under_the_file(ctx, frames);
        self.file.out_of_file += had - left.pages();
        left
    }

    /// The host needs these pages in memory: those of the file change places with the highest that nobody needs.
    pub(super) fn fault_in(&mut self, pages: &[GuestPage]) {
        let wanted: RangeSet<GuestPage> = pages.iter().filter_map(|page| GuestRange::one(*page)).collect();
        let needed = wanted.intersection(&self.file.pages);
        if needed.is_empty() {
            return;
        }
        let mut victims: RangeSet<GuestPage> = RangeSet::new();
        for mapping in self.memory.mappings().rev() {
            let missing = needed.pages().saturating_sub(victims.pages());
            if missing.is_zero() {
                break;
            }
            let mut free: RangeSet<GuestPage> =
                RangeSet::<GuestPage>::from(mapping.guest).difference(&wanted);
            while let Some(pinned) = free.runs().find_map(|run| self.memory.first_pinned(run)) {
                free.remove(pinned);
            }
            for run in free.take_highest(missing).runs() {
                victims.insert(run);
            }
        }
        let runs: Vec<GuestRange> = victims.runs().collect();
        if victims.pages() < needed.pages() {
            return;
        }
        let Ok(frames) = self.memory.unmap(&runs) else { return };
        let needed_runs: Vec<GuestRange> = needed.runs().collect();
        match self.memory.map_ranges(&needed_runs, frames) {
            Ok(()) => self.file.pages = self.file.pages.difference(&needed).union(&victims),
            Err(error) => {
                merge(&mut self.granted, error.frames);
                self.fail(format!("cannot map what was in the paging file: {}", error.refusal));
            }
        }
    }

    /// Asks the guest to balloon for the file, if it is time and nothing else is asked of it.
    pub(super) fn shrink_file(&mut self, ctx: &mut Context<'_>) {
        let now = Self::now(ctx);
        let due = self.file.due().is_some_and(|due| due <= now);
        if !due || !self.joined || self.operation.is_some() || !self.work.is_empty() {
            return;
        }
        self.file.asking = true;
        let pages = self.file.pages().min(c::SMART_PAGING_REQUEST.pages());
        tracing::info!(event = "smart_paging_request", pages = pages.get());
        self.restraint.lock().operation_begins();
        self.vsp(ctx, Input::Shrink { pages });
    }

    /// What the guest was asked to balloon for the file is answered: it had so much to give.
    pub(super) fn file_answered(&mut self, ctx: &mut Context<'_>, done: PageCount) {
        self.file.asking = false;
        self.file.out_of_file = PageCount::ZERO;
        let pause = if done.is_zero() { c::SMART_PAGING_PAUSE.duration() } else { Duration::ZERO };
        self.file.ask_at = Self::now(ctx) + pause;
        for order in core::mem::take(&mut self.file.deferred) {
            self.message(ctx, order);
        }
    }

    /// The guest restarts with all of its startup RAM: there is no file any more, and orders that waited are void.
    pub(super) fn drop_file(&mut self, ctx: &mut Context<'_>) {
        for order in core::mem::take(&mut self.file).deferred {
            match order {
                WorkerMessage::Grant { operation, frames } => {
                    merge(&mut self.granted, frames);
                    self.begin(operation, true);
                    self.finished(ctx, OperationKind::Grow, PageCount::ZERO, false);
                }
                WorkerMessage::Shrink { operation, .. } => {
                    self.begin(operation, false);
                    self.finished(ctx, OperationKind::Shrink, PageCount::ZERO, false);
                }
                _ => {}
            }
        }
    }
}
