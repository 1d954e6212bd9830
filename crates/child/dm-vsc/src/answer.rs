//! Carrying out what the host asked for, and telling it.

use alloc::vec::Vec;
use core::time::Duration;

use dm_protocol::{
    BalloonResponse, HotAddResponse, MAX_BALLOON_RESPONSE_RANGES, Message, StatusReport, WireRange,
};
use page_range::{GuestRange, LARGE_PAGE_PAGES, PageCount, PageNumber};

use crate::machine::{Back, DmVsc, Job};
use crate::{
    BalloonAllocation, Floor, HotAddFault, HotAddRefusal, MemoryServices, Output, RangeStyle, StatusFields,
};

impl DmVsc {
    pub(crate) fn carry_out(
        &mut self,
        now: Duration,
        job: Job,
        memory: &mut dyn MemoryServices,
        out: &mut Vec<Output>,
    ) {
        match job {
            Job::Balloon { requested, .. } => self.allocate(now, requested, memory),
            Job::BalloonAnswer { requested, ranges, complete, .. } => {
                self.answer_balloon(requested, &ranges, complete, out);
            }
            Job::Unballoon { back, .. } => {
                let left_alone = back.left_alone;
                let pages = self.take_back(&back, memory);
                self.answer(&[Message::UnballoonResponse], out);
                out.push(Output::Unballooned { pages, left_alone });
            }
            Job::HotAdd { range, region, .. } => self.hot_add(range, region, memory, out),
            Job::UnballoonMore { .. } => self.job = Some(job),
        }
    }

    /// Pages are taken at the end of the operation's time, when they are told to the host, so that the guest's reports and
    /// the host's account of them do not drift apart meanwhile.
    fn allocate(&mut self, now: Duration, requested: PageCount, memory: &mut dyn MemoryServices) {
        let status = memory.status();
        let mut want = requested;
        if self.config.floor != Floor::MemoryManager {
            want = want.min(status.available.saturating_sub(self.config.floor.pages(status.total)));
        }
        if let Some(percent) = self.faults().balloon_percent {
            want = want.min(share(requested, percent));
        }
        let BalloonAllocation { ranges, delay } = match want.is_zero() {
            true => BalloonAllocation::default(),
            false => memory.allocate_balloon(want),
        };
        let complete = pages_of(&ranges) >= want;
        let due = now.saturating_add(delay);
        self.job = Some(Job::BalloonAnswer { requested, ranges, complete, due });
    }

    fn answer_balloon(
        &mut self,
        requested: PageCount,
        ranges: &[GuestRange],
        complete: bool,
        out: &mut Vec<Output>,
    ) {
        for &range in ranges {
            self.held.insert(range);
        }
        let given = pages_of(ranges);
        self.counted = self.counted.saturating_add(given);
        let foreign = &self.faults().foreign_ranges;
        let mut parts: Vec<Vec<WireRange>> = match self.config.range_style {
            RangeStyle::Merged => vec![ranges.iter().copied().flat_map(to_wire).collect()],
            RangeStyle::LinuxBlocks => linux_blocks(ranges),
        };
        parts.push(foreign.iter().copied().flat_map(to_wire).collect());
        let mut messages: Vec<&[WireRange]> =
            parts.iter().flat_map(|part| part.chunks(MAX_BALLOON_RESPONSE_RANGES)).collect();
        // The Linux driver ends with an empty message when it ran out of pages before the end.
        let out_of_pages = self.config.range_style == RangeStyle::LinuxBlocks && !complete;
        if messages.is_empty() || out_of_pages {
            messages.push(&[]);
        }
        let last = messages.len() - 1;
        let messages: Vec<Message<'_>> = messages
            .into_iter()
            .enumerate()
            .map(|(i, ranges)| Message::BalloonResponse(BalloonResponse { more_pages: i < last, ranges }))
            .collect();
        self.answer(&messages, out);
        out.push(Output::Ballooned { requested, given });
    }

    /// Pages that the host returns while something else is carried out.
    pub(crate) fn take_back_at_once(
        &mut self,
        back: &Back,
        more_pages: bool,
        memory: &mut dyn MemoryServices,
        out: &mut Vec<Output>,
    ) {
        let left_alone = back.left_alone;
        if let Some(Job::Unballoon { back: under_way, .. }) = &mut self.job {
            under_way.later.remove_all(&back.later);
        }
        let pages = self.take_back(back, memory);
        if !more_pages {
            self.answer(&[Message::UnballoonResponse], out);
        }
        out.push(Output::Unballooned { pages, left_alone });
    }

    /// Returns how many pages are back in use.
    pub(crate) fn take_back(&mut self, back: &Back, memory: &mut dyn MemoryServices) -> PageCount {
        let ranges: Vec<GuestRange> = back.later.runs().collect();
        self.held.remove_all(&back.later);
        let freed = if ranges.is_empty() { PageCount::ZERO } else { memory.free_balloon(&ranges) };
        self.counted = self.counted.saturating_sub(back.later.pages().saturating_add(back.done));
        freed.saturating_add(back.done)
    }

    fn hot_add(
        &mut self,
        range: GuestRange,
        region: Option<GuestRange>,
        memory: &mut dyn MemoryServices,
        out: &mut Vec<Output>,
    ) {
        let mut offer = Ok(range);
        if self.config.hibernation || !self.config.hot_add {
            offer = Err(HotAddRefusal::ForGood);
        }
        match self.faults().hot_add {
            Some(HotAddFault::RefuseForNow) => offer = Err(HotAddRefusal::ForNow),
            Some(HotAddFault::RefuseForGood) => offer = Err(HotAddRefusal::ForGood),
            Some(HotAddFault::Percent(percent)) => {
                let part = GuestRange::new(range.start(), share(range.pages(), percent));
                offer = offer.and(part.ok_or(HotAddRefusal::ForNow));
            }
            None => {}
        }
        let taken =
            offer.and_then(|range| memory.hot_add(range, region).map(|pages| pages.min(range.pages())));
        let (accepted, result) = match taken {
            Ok(pages) => (pages, u32::from(!pages.is_zero())),
            Err(HotAddRefusal::ForNow) => (PageCount::ZERO, 0),
            Err(HotAddRefusal::ForGood) => (PageCount::ZERO, 1),
        };
        // A range on the wire has at most 24 bits of pages.
        let page_count = u32::try_from(accepted.get()).unwrap_or(u32::MAX);
        self.answer(&[Message::HotAddResponse(HotAddResponse { page_count, result })], out);
        out.push(Output::HotAdded { offered: range.pages(), accepted });
    }

    /// Every message takes a transaction number of its own.
    fn answer(&mut self, messages: &[Message<'_>], out: &mut Vec<Output>) {
        let times = if self.faults().answer_twice { 2 } else { 1 };
        for _ in 0..times {
            for &message in messages {
                self.send(message, out);
            }
        }
    }

    /// Commit includes what is ballooned, so that a host which knows of it can tell it from what the guest needs, and what is hot-added
    /// and not yet online, so that no host takes it away again. New memory that is just being added is not among it (documented: Linux,
    /// whose driver counts what it has added when that is done; inferred for Windows).
    pub(crate) fn report_status(&mut self, memory: &mut dyn MemoryServices, out: &mut Vec<Output>) {
        if self.faults().no_status {
            return;
        }
        let status = memory.status();
        let mut committed = status.committed.saturating_add(self.counted).saturating_add(status.not_online);
        if self.config.floor == Floor::Linux {
            committed = committed.saturating_add(self.config.floor.pages(status.total));
        }
        let claim = self.faults().claim;
        let told = StatusReport {
            available: claim.map_or(status.available.get(), |claim| claim.available),
            committed: claim.map_or(committed.get(), |claim| claim.committed),
            ..StatusReport::default()
        };
        let report = match self.config.status_fields {
            StatusFields::AvailableAndCommitted => told,
            StatusFields::All => StatusReport {
                page_file_size: status.page_file_size.get(),
                zero_free: status.zero_free.get(),
                page_file_writes: status.page_file_writes.low_bits(),
                io_diff: status.io_balance.low_bits(),
                ..told
            },
        };
        out.push(Output::Reported {
            available: PageCount(report.available),
            committed: PageCount(report.committed),
            own_commit: status.committed,
            ballooned: self.counted,
        });
        self.send(Message::StatusReport(report), out);
    }
}

fn share(pages: PageCount, percent: u8) -> PageCount {
    PageCount(u64::try_from(u128::from(pages.get()) * u128::from(percent.min(100)) / 100).unwrap_or(u64::MAX))
}

fn pages_of(ranges: &[GuestRange]) -> PageCount {
    ranges.iter().map(|range| range.pages()).fold(PageCount::ZERO, PageCount::saturating_add)
}

/// A run as ranges of at most 24 bits of pages. Pages that the protocol cannot number are left out: no guest has them.
fn to_wire(run: GuestRange) -> impl Iterator<Item = WireRange> {
    let mut start = run.start().number();
    core::iter::from_fn(move || {
        let count = (run.end() - start).min(WireRange::MAX_COUNT);
        let range = (count > 0).then(|| WireRange::new(start, count)).flatten();
        start += count;
        range
    })
}

/// Whole 2 MiB blocks, and the single pages that are left.
fn linux_blocks(ranges: &[GuestRange]) -> Vec<Vec<WireRange>> {
    let (mut blocks, mut pages) = (Vec::new(), Vec::new());
    for range in ranges {
        let mut at = range.start().number();
        while at < range.end() {
            let is_block = at.is_multiple_of(LARGE_PAGE_PAGES) && range.end() - at >= LARGE_PAGE_PAGES;
            let (list, count) = if is_block { (&mut blocks, LARGE_PAGE_PAGES) } else { (&mut pages, 1) };
            list.extend(WireRange::new(at, count));
            at += count;
        }
    }
    vec![blocks, pages]
}
