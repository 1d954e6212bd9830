//! Files that applications read, through the cache.
//!
//! A program reads its files from the first to the last, and then from the first again. What comes into the cache takes memory that nobody uses,
//! and where there is none the place of what came into it first, whether or not that was used since (inferred: in two recorded runs of the load
//! `files`, whose programs had come to different places of their files when memory became short, Linux had let go of the first ones. Its lists of
//! file pages move a page once when it is used again, and then no more). *Simplified*: no page of a program goes to the page file for the sake of the
//! cache, and nothing is read ahead of the program.

use std::collections::VecDeque;

use page_range::PageCount;

use super::MemoryManager;
use super::lists::{End, take_pieces};
use super::process::ProcessId;
use crate::constants::CACHE_LEAVES_FREE;

/// The files of one program, as one row of pages.
#[derive(Debug)]
pub(super) struct FileSet {
    process: ProcessId,
    size: u64,
    /// The page that is read next.
    next: u64,
    /// Runs of pages in the cache, first page and how many, in the order in which they came.
    cached: VecDeque<(u64, u64)>,
}

impl FileSet {
    fn cached(&self) -> u64 {
        self.cached.iter().map(|run| run.1).sum()
    }

    /// Lets go of what came first.
    fn evict(&mut self, mut pages: u64) {
        while let Some(first) = self.cached.front_mut().filter(|_| pages > 0) {
            let gone = pages.min(first.1);
            *first = (first.0 + gone, first.1 - gone);
            pages -= gone;
            if first.1 == 0 {
                self.cached.pop_front();
            }
        }
    }

    fn insert(&mut self, first: u64, pages: u64) {
        match self.cached.back_mut() {
            Some(last) if last.0 + last.1 == first => last.1 += pages,
            _ => self.cached.push_back((first, pages)),
        }
    }

    /// Reads on, at most so many pages: how many, and whether they are in the cache.
    fn read_on(&self, most: u64) -> (u64, bool) {
        let most = most.min(self.size - self.next);
        let hit = self.cached.iter().find(|run| (run.0..run.0 + run.1).contains(&self.next));
        if let Some(run) = hit {
            return (most.min(run.0 + run.1 - self.next), true);
        }
        let ahead = self.cached.iter().map(|run| run.0).filter(|&first| first > self.next).min();
        (most.min(ahead.unwrap_or(self.size) - self.next), false)
    }
}

impl MemoryManager {
    /// A process reads the next `pages` of its files, which are `all` in size: at most all of them once. What is not in the cache comes from
    /// the disk: at once if the guest has no disk of its own.
    pub fn read_files(&mut self, id: ProcessId, pages: PageCount, all: PageCount) {
        if all.is_zero() || self.index(id).is_none() {
            return;
        }
        self.forget_evicted();
        let at = self.files.iter().position(|files| files.process == id && files.size == all.get());
        let mut files = match at {
            Some(at) => self.files.swap_remove(at),
            None => FileSet { process: id, size: all.get(), next: 0, cached: VecDeque::new() },
        };
        self.files.retain(|files| files.process != id);
        let (mut left, mut misses) = (pages.min(all).get(), 0);
        while left > 0 {
            let (count, hit) = files.read_on(left);
            if !hit {
                self.come_in(&mut files, count);
                misses += count;
            }
            files.next = (files.next + count) % files.size;
            left -= count;
        }
        self.files.push(files);
        if self.disk.is_some() {
            self.request_files(PageCount(misses));
        } else {
            self.cache_faults += misses;
        }
    }

    /// The next pages of a program's files come into the cache.
    fn come_in(&mut self, files: &mut FileSet, pages: u64) {
        let room = self.lists.unused().saturating_sub(CACHE_LEAVES_FREE.pages()).get();
        let new = PageCount(pages.min(room));
        let mut filled = take_pieces(&mut self.lists.free, new, End::Low);
        filled.insert_all(take_pieces(&mut self.lists.zeroed, new - filled.pages(), End::Low));
        self.lists.file_standby.insert_all(filled);
        // The rest in the place of what came first, as far as there is any.
        let before = files.cached();
        let kept = pages.min(new.get() + before);
        files.evict(kept - new.get());
        files.insert(files.next + (pages - kept), kept);
    }

    /// So many pages of programs' files have come from the disk.
    pub(super) fn program_files_came(&mut self, pages: PageCount) {
        self.cache_faults += pages.get();
    }

    /// Of the cache, what programs have read.
    pub(super) fn cached_for_programs(&self) -> PageCount {
        let cached: u64 = self.files.iter().map(FileSet::cached).sum();
        PageCount(cached).min(self.lists.file_standby.pages())
    }

    /// Files that programs read, in all.
    pub(super) fn program_files(&self) -> PageCount {
        PageCount(self.files.iter().map(|files| files.size).fold(0, u64::saturating_add))
    }

    /// The cache has lost pages to those who needed memory: of each program's files in turn, as long as there are more in the books.
    fn forget_evicted(&mut self) {
        let mut left = self.lists.file_standby.pages().get();
        for files in &mut self.files {
            files.evict(files.cached().saturating_sub(left));
            left -= files.cached();
        }
    }

    /// A process has ended: its files stay in the cache, as anybody's.
    pub(super) fn close_files(&mut self, id: ProcessId) {
        self.files.retain(|files| files.process != id);
    }
}
