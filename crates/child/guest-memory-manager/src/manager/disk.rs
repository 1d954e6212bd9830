//! A disk of the guest's own: page file and files are read and written by requests, and what depends on them waits until they are over.
//!
//! Without a disk the model moves pages at rates that assume one: see [`PAGE_READ_RATE`](crate::constants::PAGE_READ_RATE). With one, rates are
//! whatever the disk gives. Not by requests, even so: what a balloon takes of cold pages, and an exchange of pages where memory and page file are both
//! full. Their writes are counted, and take no time of the disk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use core::time::Duration;

use page_range::PageCount;

use super::MemoryManager;
use super::lists::{End, take_pieces};
use crate::constants as c;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskUse {
    /// Pages come from the page file.
    PageFileRead,
    /// Pages go to the page file.
    PageFileWrite,
    /// Files come into the cache.
    FileRead,
}

/// Something for the guest's disk to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskIo {
    /// Names it, in this guest.
    pub id: u64,
    /// What it is for.
    pub purpose: DiskUse,
    /// The first page, counted from the beginning of the page file, or of the files.
    pub page: u64,
    /// How many.
    pub pages: PageCount,
}

/// The disk as the memory manager sees it.
#[derive(Debug, Default)]
pub(super) struct DiskQueue {
    next: u64,
    /// Not fetched by the driver yet.
    queued: VecDeque<DiskIo>,
    under_way: BTreeMap<u64, DiskIo>,
    /// What has been read and written, and not been used yet.
    read: PageCount,
    written: PageCount,
    next_write: u64,
    next_file_page: u64,
    /// Requests for files that programs read; those of the background are not among them.
    for_programs: BTreeSet<u64>,
}

impl DiskQueue {
    fn count(&self, purpose: DiskUse) -> (u64, PageCount) {
        let all = self.under_way.values().filter(|io| io.purpose == purpose);
        all.fold((0, PageCount::ZERO), |(count, pages), io| (count + 1, pages + io.pages))
    }

    /// Pages of files that are read in the background.
    fn background(&self) -> PageCount {
        let reads = self.under_way.values().filter(|io| io.purpose == DiskUse::FileRead);
        reads.filter(|io| !self.for_programs.contains(&io.id)).map(|io| io.pages).sum()
    }

    /// Asks for the next pages of files, at most one request's; `files` is their size in pages. Returns how many.
    fn request_file(&mut self, most: PageCount, files: u64) -> PageCount {
        let pages = most.min(PageCount(c::FILE_READ_CLUSTER.whole()));
        let page = self.next_file_page;
        self.next_file_page = (page + pages.get()) % files;
        self.request(DiskUse::FileRead, page, pages);
        pages
    }

    fn request(&mut self, purpose: DiskUse, page: u64, pages: PageCount) {
        let io = DiskIo { id: self.next, purpose, page, pages };
        self.next += 1;
        self.under_way.insert(io.id, io);
        self.queued.push_back(io);
    }
}

impl MemoryManager {
    /// The guest has a disk from now on: a driver fetches requests with [`MemoryManager::next_disk_io`] and says when each is over with
    /// [`MemoryManager::disk_io_done`]. Without a driver, nothing that needs the disk goes on.
    pub fn use_disk(&mut self) {
        self.disk = Some(DiskQueue::default());
    }

    /// Something that the disk is to do, if there is anything; it is under way from now on.
    pub fn next_disk_io(&mut self) -> Option<DiskIo> {
        self.disk.as_mut()?.queued.pop_front()
    }

    /// Whether [`MemoryManager::next_disk_io`] has something.
    #[must_use]
    pub fn wants_disk(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| !disk.queued.is_empty())
    }

    /// A request is over; one that went wrong (`false`) is as if it had never been asked for, and what it was for is asked for again.
    pub fn disk_io_done(&mut self, id: u64, is_good: bool) {
        let Some(disk) = &mut self.disk else { return };
        let Some(io) = disk.under_way.remove(&id) else { return };
        disk.queued.retain(|queued| queued.id != id);
        if is_good {
            match io.purpose {
                DiskUse::PageFileRead => disk.read += io.pages,
                DiskUse::PageFileWrite => disk.written += io.pages,
                DiskUse::FileRead if disk.for_programs.remove(&id) => self.program_files_came(io.pages),
                DiskUse::FileRead => self.cache_filled(io.pages),
            }
        } else if disk.for_programs.remove(&id) {
            self.request_files(io.pages);
        }
        self.use_what_came();
        self.ask_for_more();
    }

    /// One step of paging with a disk.
    pub(super) fn page_with_disk(&mut self, time: Duration) {
        let short = self.wait_and_fault(time);
        self.trim(short, super::paging::rate(&c::PAGE_WRITE_RATE, time));
        self.ask_for_more();
    }

    fn use_what_came(&mut self) {
        self.wait_and_fault(Duration::ZERO);
    }

    /// Those who waited have waited so long; then everyone gets what has come. Returns how many pages were short.
    fn wait_and_fault(&mut self, time: Duration) -> PageCount {
        let mut applications = Vec::new();
        for at in 0..self.processes.len() {
            if self.processes[at].waits() {
                if self.processes[at].application {
                    self.stall += time;
                    applications.push(time);
                }
                self.processes.change(at, |process| process.stall += time);
            }
        }
        self.count_stalls(&applications);
        let written = self.disk.as_mut().map_or(PageCount::ZERO, |disk| std::mem::take(&mut disk.written));
        // What is no longer there to be written was written for nothing.
        self.write_modified(written);
        let mut left = self.disk.as_mut().map_or(PageCount::ZERO, |disk| std::mem::take(&mut disk.read));
        let readers = self.processes.iter().filter(|process| !process.wants_reads().is_zero()).count().max(1);
        let share = PageCount((left.get() / readers as u64).max(1));
        let mut waiting = Vec::new();
        for at in 0..self.processes.len() {
            if self.processes[at].waits() {
                let got = self.fault_in_new(at, share.min(left));
                left -= got.reads;
                waiting.push((at, got.short));
            }
        }
        let mut short = PageCount::ZERO;
        for (at, of_new) in waiting {
            short += of_new + self.fault_in_rest(at);
        }
        let still = self.processes.iter().any(|process| !process.wants_reads().is_zero());
        if let Some(disk) = self.disk.as_mut().filter(|_| still) {
            disk.read = left;
        }
        short
    }

    /// Asks the disk for what is wanted and not asked for.
    fn ask_for_more(&mut self) {
        let wanted: PageCount = self.processes.iter().map(super::process::Process::wants_reads).sum();
        let to_write = self.processes.totals().modified.min(self.page_file_room());
        let (size, used) = (self.page_file.size.get().max(1), self.page_file.used.get().max(1));
        let Some(disk) = &mut self.disk else { return };
        let (mut count, pages) = disk.count(DiskUse::PageFileRead);
        let mut missing = wanted.saturating_sub(pages + disk.read);
        while !missing.is_zero() && count < c::PAGE_READS_UNDER_WAY.whole() {
            let pages = missing.min(PageCount(c::PAGE_READ_CLUSTER.whole()));
            // Where a page lies is not modelled: somewhere in what is used, and never twice in a row at the same place.
            let cluster = disk.next.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
            let page = cluster % used / c::PAGE_READ_CLUSTER.whole() * c::PAGE_READ_CLUSTER.whole();
            disk.request(DiskUse::PageFileRead, page, pages);
            missing -= pages;
            count += 1;
        }
        let (mut count, pages) = disk.count(DiskUse::PageFileWrite);
        let mut missing = to_write.saturating_sub(pages + disk.written);
        while !missing.is_zero() && count < c::PAGE_WRITES_UNDER_WAY.whole() {
            let pages = missing.min(PageCount(c::PAGE_WRITE_CLUSTER.whole()));
            let page = disk.next_write;
            disk.next_write = (page + pages.get()) % size;
            disk.request(DiskUse::PageFileWrite, page, pages);
            missing -= pages;
            count += 1;
        }
    }

    /// Asks the disk for so many pages of files.
    pub(super) fn ask_for_files(&mut self, pages: PageCount) {
        let files = self.profile.family().footprint.file_cache.pages().get().max(1);
        let Some(disk) = &mut self.disk else { return };
        let mut missing = pages.saturating_sub(disk.background());
        while !missing.is_zero() {
            missing -= disk.request_file(missing, files);
        }
    }

    /// Asks the disk for so many pages of files that a program reads.
    pub(super) fn request_files(&mut self, pages: PageCount) {
        let files = self.program_files().get().max(1);
        let Some(disk) = &mut self.disk else { return };
        let mut missing = pages;
        while !missing.is_zero() {
            disk.for_programs.insert(disk.next);
            missing -= disk.request_file(missing, files);
        }
    }

    /// Pages of files have come; what has no room any more is dropped.
    fn cache_filled(&mut self, pages: PageCount) {
        let room = self.lists.unused().saturating_sub(c::CACHE_LEAVES_FREE.pages());
        let pages = pages.min(room);
        let mut filled = take_pieces(&mut self.lists.free, pages, End::Low);
        filled.insert_all(take_pieces(&mut self.lists.zeroed, pages - filled.pages(), End::Low));
        self.lists.file_standby.insert_all(filled);
        self.cache_faults += pages.get();
    }
}
