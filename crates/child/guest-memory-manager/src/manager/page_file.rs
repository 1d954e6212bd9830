//! The page file: on one disk, of fixed size or managed by the system.
//!
//! Windows' page file is system-managed unless somebody sets it. It then begins at a size that depends on the RAM at boot, and grows
//! as commit comes near its limit, up to a maximum that depends on the RAM that there is: so a guest whose RAM is hot-added can commit
//! more, page file included. (Microsoft, *Introduction to page files*; *Change the Size of Virtual Memory*, Windows Server 2008.)
//! Two things are simplified: the disk always has room, and a page file does not become smaller before the guest restarts.

use page_range::PageCount;
use serde::{Deserialize, Serialize};

use crate::constants::{
    PAGE_FILE_GROWS_AT, PAGE_FILE_LARGE_START, PAGE_FILE_MAX_LEAST, PAGE_FILE_MAX_RAM, PAGE_FILE_PIECE,
    PAGE_FILE_SMALL_START,
};

/// Who says how large a guest's page file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageFileSize {
    /// An administrator: this size, from boot on.
    Fixed(PageCount),
    /// Windows, which lets it grow with commit and RAM.
    SystemManaged,
}

/// The page file of a running guest.
#[derive(Clone, Debug)]
pub(super) struct PageFile {
    managed: bool,
    pub(super) size: PageCount,
    pub(super) used: PageCount,
    /// Pages read since boot.
    pub(super) reads: u64,
    /// Pages written since boot.
    pub(super) writes: u64,
}

impl PageFile {
    /// The page file of a guest that boots with this much RAM.
    pub(super) fn new(size: PageFileSize, ram: PageCount) -> Self {
        let (managed, size) = match size {
            PageFileSize::Fixed(size) => (false, size),
            PageFileSize::SystemManaged if ram < PageCount::from_mib(1024) => {
                (true, times(ram, PAGE_FILE_SMALL_START.value))
            }
            PageFileSize::SystemManaged => (true, ram.saturating_add(PAGE_FILE_LARGE_START.pages())),
        };
        Self { managed, size, used: PageCount::ZERO, reads: 0, writes: 0 }
    }

    /// What it can become while the guest has this much RAM.
    pub(super) fn largest(&self, ram: PageCount) -> PageCount {
        if self.managed {
            self.size.max(times(ram, PAGE_FILE_MAX_RAM.value)).max(PAGE_FILE_MAX_LEAST.pages())
        } else {
            self.size
        }
    }

    /// Makes it as large as this commit wants it, with this much RAM.
    pub(super) fn follow(&mut self, committed: PageCount, ram: PageCount) {
        let limit = times(ram.saturating_add(self.size), PAGE_FILE_GROWS_AT.value);
        if !self.managed || committed <= limit {
            return;
        }
        let enough = times(committed, 1.0 / PAGE_FILE_GROWS_AT.value).saturating_sub(ram);
        let wanted = enough.round_up_to(PAGE_FILE_PIECE.pages());
        self.size = self.size.max(wanted.min(self.largest(ram)));
    }

    /// What can still be written to it, while the guest has this much RAM.
    pub(super) fn room(&self, ram: PageCount) -> PageCount {
        self.largest(ram).saturating_sub(self.used)
    }

    pub(super) fn write(&mut self, pages: PageCount) {
        self.used += pages;
        self.writes += pages.get();
        // What was not foreseen by commit: a managed file grows as it is written.
        if self.managed {
            self.size = self.size.max(self.used);
        }
    }

    pub(super) fn read(&mut self, pages: PageCount) {
        self.used -= pages;
        self.reads += pages.get();
    }
}

fn times(pages: PageCount, factor: f64) -> PageCount {
    PageCount((pages.get() as f64 * factor) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn mib(mib: u64) -> PageCount {
        PageCount::from_mib(mib)
    }

    #[test]
    fn it_begins_at_what_the_ram_at_boot_asks_for() {
        let managed = |ram| PageFile::new(PageFileSize::SystemManaged, mib(ram)).size;
        assert_eq!((managed(512), managed(1024), managed(4096)), (mib(768), mib(1324), mib(4396)));
        assert_eq!(PageFile::new(PageFileSize::Fixed(mib(100)), mib(512)).size, mib(100));
    }

    #[test]
    fn it_grows_with_commit_up_to_a_limit_that_grows_with_ram() {
        let mut file = PageFile::new(PageFileSize::SystemManaged, mib(512));
        file.follow(mib(1152), mib(512));
        assert_eq!(file.size, mib(768), "90 % of 1280 MB");
        file.follow(mib(1153), mib(512));
        assert_eq!(file.size, mib(832), "in pieces of 64 MB");
        file.follow(mib(10_000), mib(512));
        assert_eq!(file.size, mib(4096));
        file.follow(mib(10_000), mib(2048));
        assert_eq!(file.size, mib(6144), "three times the RAM that there is now");
        assert_eq!(file.largest(mib(512)), mib(6144), "it does not become smaller");
    }

    #[test]
    fn a_fixed_one_stays() {
        let mut file = PageFile::new(PageFileSize::Fixed(mib(100)), mib(512));
        file.follow(mib(10_000), mib(4096));
        assert_eq!(
            (file.size, file.largest(mib(4096)), file.room(mib(4096))),
            (mib(100), mib(100), mib(100))
        );
    }
}
