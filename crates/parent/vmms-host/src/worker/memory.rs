//! The worker's memory work: mapping, unmapping, and handing frames back to the balancer.

use std::time::Duration;

use component_runtime::{Context, trace};
use dm_vsp::{Input, MapKind, MapRefused, OperationKind, ReleaseRefused};
use gmo_memory_manager::UnmapRefusal;
use memory_balancer::{Done, Input as BalancerInput};
use page_range::{GuestPage, GuestRange, HostFrames, PageCount, RangeSet};
use partition::MemoryError;

use super::restraint::Recording;
use super::{Work, Worker};
use crate::statistics::MapStatistics;

impl Worker {
    pub(super) fn map(&mut self, ranges: &RangeSet<GuestPage>, kind: MapKind) -> Result<(), MapRefused> {
        let frames = self.granted.take(ranges.pages()).ok_or(MapRefused::NoFrames)?;
        let runs: Vec<GuestRange> = ranges.runs().collect();
        if let Err(error) = self.memory.map_ranges(&runs, frames) {
            merge(&mut self.granted, error.frames);
            return Err(MapRefused::NotPossible);
        }
        if let Err(error) = self.give_to_partition(ranges, kind) {
            tracing::error!(event = "add_memory_failed", why = %error);
            if let Ok(frames) = self.memory.unmap(&runs) {
                merge(&mut self.granted, frames);
            }
            return Err(MapRefused::NotPossible);
        }
        Ok(())
    }

    /// The guest can use these pages: those where it had memory before are restored, the others are added.
    fn give_to_partition(&mut self, ranges: &RangeSet<GuestPage>, kind: MapKind) -> Result<(), MemoryError> {
        let Some(partition) = self.partition.clone() else { return Ok(()) };
        let known: Vec<GuestRange> = ranges.intersection(&self.present).runs().collect();
        if !known.is_empty() {
            partition.restore(&known)?;
        }
        if kind == MapKind::HotAdd {
            for run in ranges.difference(&self.present).runs() {
                if let Err(error) = partition.add(run) {
                    let given: Vec<GuestRange> = ranges.intersection(&self.present).runs().collect();
                    if partition.discard(&given).is_err() {
                        self.fail("memory that was not given to the guest cannot be kept from it".to_owned());
                    }
                    return Err(error);
                }
                self.present.insert(run);
            }
        }
        Ok(())
    }

    /// Takes pages from the guest. Their frames are free only once the partition keeps the guest from them; if it cannot, the guest
    /// keeps both.
    pub(super) fn unmap(
        &mut self,
        ranges: &RangeSet<GuestPage>,
    ) -> (Result<(), ReleaseRefused>, Option<HostFrames>) {
        let runs: Vec<GuestRange> = ranges.runs().collect();
        match self.memory.unmap(&runs) {
            Ok(frames) => {
                let Some(partition) = &self.partition else { return (Ok(()), Some(frames)) };
                let Err(error) = partition.discard(&runs) else { return (Ok(()), Some(frames)) };
                tracing::error!(event = "discard_failed", why = %error);
                // The pages were mapped until `unmap` above, so mapping them again is not refused.
                if let Err(error) = self.memory.map_ranges(&runs, frames) {
                    merge(&mut self.granted, error.frames);
                    self.fail(format!("pages that the guest keeps cannot be mapped: {}", error.refusal));
                }
                (Err(ReleaseRefused::NotPossible), None)
            }
            Err(error) => {
                let refused = match error.refusal {
                    UnmapRefusal::Pinned { .. } => ReleaseRefused::Pinned,
                    _ => ReleaseRefused::NotMapped,
                };
                tracing::warn!(event = "unmap_refused", why = %error);
                (Err(refused), None)
            }
        }
    }

    /// Host work whose time has come.
    pub(super) fn do_work(&mut self, ctx: &mut Context<'_>) {
        while self.work.front().is_some_and(|due| due.at <= Self::now(ctx)) {
            let Some(super::Due { work, cause, recording, .. }) = self.work.pop_front() else { return };
            trace::set_cause(cause);
            match work {
                Work::Grow { pages } => match self.grant_under_the_file(ctx, pages) {
                    PageCount::ZERO => self.finished(ctx, OperationKind::Grow, PageCount::ZERO, false),
                    pages => self.vsp(ctx, Input::Grow { pages }),
                },
                Work::Unmap { ticket, ranges } if recording == Recording::Guest => {
                    self.heard(ctx, |worker, ctx| worker.unmap_ballooned(ctx, ticket, &ranges));
                }
                Work::Unmap { ticket, ranges } => {
                    self.handle_as(recording, ctx, |worker, ctx| {
                        worker.unmap_ballooned(ctx, ticket, &ranges);
                    });
                }
            }
        }
    }

    fn unmap_ballooned(&mut self, ctx: &mut Context<'_>, ticket: u64, ranges: &RangeSet<GuestPage>) {
        let with_memory = self.ballooned_out_of_the_file(ctx, ranges);
        let (result, frames) = self.unmap(&with_memory);
        let kept = frames.as_ref().map_or(PageCount::ZERO, HostFrames::pages);
        let frames = frames.map(|frames| self.ballooned_memory(ctx, frames));
        // What went under the file is still the VM's.
        let kept = kept.saturating_sub(frames.as_ref().map_or(PageCount::ZERO, HostFrames::pages));
        let now = MapStatistics::of(&self.memory);
        tracing::info!(
            event = "pages_unmapped",
            pages = with_memory.pages().saturating_sub(kept).get(),
            kind = "ballooned",
            ok = result.is_ok(),
            large_pages = now.large_pages,
            small_pages = now.small_pages
        );
        if let Some(frames) = frames {
            merge(&mut self.taken, frames);
            if self.operation.is_none() {
                self.return_taken(ctx);
            }
        }
        self.vsp(ctx, Input::Released { ticket, result });
    }

    /// Has host work done at `at`. What comes of it is recorded for whoever it is now.
    pub(super) fn push_work(&mut self, at: Duration, work: Work) {
        self.work.push_back(super::Due { at, work, cause: trace::cause(), recording: self.recording });
    }

    /// What the guest gave back goes to the balancer before its operation ends, or outside of one.
    pub(super) fn return_taken(&mut self, ctx: &mut Context<'_>) {
        if !self.taken.is_empty() {
            let frames = self.taken.take_all();
            self.returned_early += frames.pages();
            self.tell_balancer(ctx, BalancerInput::Returned { vm: self.vm, frames });
        }
    }

    pub(super) fn finished(
        &mut self,
        ctx: &mut Context<'_>,
        kind: OperationKind,
        done: PageCount,
        barrier: bool,
    ) {
        let early = std::mem::take(&mut self.returned_early);
        let Some(operation) = self.operation.take() else {
            self.return_taken(ctx);
            if self.file.is_asking() && kind == OperationKind::Shrink {
                self.returned_early = PageCount::ZERO;
                self.file_answered(ctx, done);
            }
            return;
        };
        let (filled, out_of_file) = (self.file.take_filled(), self.file.take_out_of_file());
        let done = if kind == OperationKind::Grow { done + filled } else { done.saturating_sub(out_of_file) };
        let done = match kind {
            OperationKind::Grow => Done::Grown { mapped: done, returned: self.granted.take_all(), barrier },
            OperationKind::Shrink => {
                Done::Shrunk { released: done.saturating_sub(early), returned: self.taken.take_all() }
            }
        };
        let told = BalancerInput::OperationFinished {
            vm: self.vm,
            operation: operation.id,
            done,
            returnable: self.returnable(),
        };
        self.tell_balancer(ctx, told);
    }
}

/// All of a worker's frames are of one host, which is the balancer's.
pub(super) fn merge(into: &mut HostFrames, frames: HostFrames) {
    if let Err(foreign) = into.merge(frames) {
        debug_assert!(false, "frames of another host");
        foreign.frames.send_home();
    }
}
