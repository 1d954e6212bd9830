//! Files that applications read, through the cache.
//!
//! A program reads its files from the first to the last, and then from the first again. What comes into the cache takes memory that nobody uses,
//! and where there is none the place of other pages of files: [`FileCache`] says which. *Simplified*: no page of a program goes to the page file for
//! the sake of the cache, and nothing is read ahead of the program.

use page_range::PageCount;

use super::MemoryManager;
use super::file_cache::{FileCache, Found};
use super::lists::{End, take_pieces};
use super::process::ProcessId;
use crate::constants::{CACHE_LEAVES_FREE, FILE_READ_CLUSTER};

/// The files of one program, as one row of pages.
#[derive(Debug)]
pub(super) struct FileSet {
    process: ProcessId,
    size: u64,
    /// The page that is read next.
    next: u64,
    cache: FileCache,
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
            None => {
                let cache = FileCache::new(self.profile.family().kernel);
                FileSet { process: id, size: all.get(), next: 0, cache }
            }
        };
        self.files.retain(|files| files.process != id);
        let (mut left, mut misses) = (pages.min(all).get(), 0);
        while left > 0 {
            let (end, found) = files.cache.find(files.next, files.size.min(files.next + left));
            match found {
                Found::Cached => files.cache.use_again((files.next, end)),
                Found::Absent => {
                    self.come_in(&mut files, end);
                    misses += end - files.next;
                }
            }
            left -= end - files.next;
            files.next = end % files.size;
        }
        self.files.push(files);
        if self.disk.is_some() {
            self.request_files(PageCount(misses));
        } else {
            self.cache_faults += misses;
        }
    }

    /// The next pages of a program's files come into the cache, up to `end`, in pieces as they are read from the disk.
    fn come_in(&mut self, files: &mut FileSet, end: u64) {
        let mut from = files.next;
        while from < end {
            let until = end.min(from + FILE_READ_CLUSTER.whole());
            let room = self.lists.unused().saturating_sub(CACHE_LEAVES_FREE.pages());
            let new = PageCount(until - from).min(room);
            let mut filled = take_pieces(&mut self.lists.free, new, End::Low);
            filled.insert_all(take_pieces(&mut self.lists.zeroed, new - filled.pages(), End::Low));
            self.lists.file_standby.insert_all(filled);
            // The rest in the place of others, as far as there are any.
            let kept = (until - from).min(new.get() + files.cache.pages());
            files.cache.evict(kept - new.get());
            files.cache.insert((until - kept, until));
            from = until;
        }
    }

    /// So many pages of programs' files have come from the disk.
    pub(super) fn program_files_came(&mut self, pages: PageCount) {
        self.cache_faults += pages.get();
    }

    /// Of the cache, what programs have read.
    pub(super) fn cached_for_programs(&self) -> PageCount {
        let cached: u64 = self.files.iter().map(|files| files.cache.pages()).sum();
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
            files.cache.evict(files.cache.pages().saturating_sub(left));
            left -= files.cache.pages();
        }
    }

    /// A process has ended: its files stay in the cache, as anybody's.
    pub(super) fn close_files(&mut self, id: ProcessId) {
        self.files.retain(|files| files.process != id);
    }
}
