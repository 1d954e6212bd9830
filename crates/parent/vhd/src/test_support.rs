//! Storage in memory that counts, fills up, and crashes; and what must hold for any file.

mod fuzz;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use std::time::SystemTime;

pub use fuzz::{FuzzReach, fuzz_file};

use crate::Storage;
use crate::limits::SECTOR;

/// What was done to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bytes were written.
    Write {
        /// Where.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// The file was cut off, or lengthened.
    SetLen(u64),
    /// What came before was made durable.
    Sync,
}

#[derive(Debug, Default)]
struct Inner {
    bytes: Vec<u8>,
    log: Vec<Operation>,
    reads: u64,
    /// Pages of the host that the file takes.
    pages: BTreeSet<u64>,
    /// How many it may take.
    room: Option<usize>,
    /// How many operations still work.
    working: Option<usize>,
}

/// A file in memory. Clones are the same file.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage(Rc<RefCell<Inner>>);

/// Bytes of a page of the host's disk.
const HOST_PAGE: u64 = 4096;

impl MemoryStorage {
    /// An empty file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A file with these bytes.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        Self(Rc::new(RefCell::new(Inner { bytes, ..Inner::default() })))
    }

    /// A copy of the bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.0.borrow().bytes.clone()
    }

    /// Changes the bytes behind the back of whoever has the file.
    pub fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.0.borrow_mut().bytes);
    }

    /// What was done so far, in order.
    #[must_use]
    pub fn log(&self) -> Vec<Operation> {
        self.0.borrow().log.clone()
    }

    /// Reads, and writes, so far.
    #[must_use]
    pub fn accesses(&self) -> (u64, u64) {
        let inner = self.0.borrow();
        let writes =
            inner.log.iter().filter(|operation| matches!(operation, Operation::Write { .. })).count();
        (inner.reads, writes as u64)
    }

    /// Lets the file take so many pages of 4 KiB more than now, or as many as it likes. A write that has no page fails where the
    /// page begins, as on a full disk.
    pub fn set_room(&self, pages: Option<usize>) {
        let mut inner = self.0.borrow_mut();
        inner.room = pages.map(|pages| inner.pages.len() + pages);
    }

    /// Lets so many writes more work; all after them fail with an error of the device.
    pub fn fail_after(&self, writes: Option<usize>) {
        self.0.borrow_mut().working = writes;
    }

    /// The file as a crash after the first `operations` of the log may leave it: all that was made durable, and of the rest
    /// each sector that `keep` chooses.
    #[must_use]
    pub fn after_crash(before: &[u8], log: &[Operation], mut keep: impl FnMut() -> bool) -> Self {
        let durable = log.iter().rposition(|operation| *operation == Operation::Sync).unwrap_or(0);
        let mut bytes = before.to_vec();
        for (index, operation) in log.iter().enumerate() {
            match operation {
                Operation::Sync => {}
                Operation::SetLen(len) => {
                    if index < durable || keep() {
                        bytes.resize(*len as usize, 0);
                    }
                }
                Operation::Write { offset, bytes: written } => {
                    for (piece, sector) in (0..).zip(written.chunks(SECTOR as usize)) {
                        if index < durable || keep() {
                            put(&mut bytes, offset + piece * SECTOR, sector);
                        }
                    }
                }
            }
        }
        Self::of(bytes)
    }
}

fn put(bytes: &mut Vec<u8>, offset: u64, written: &[u8]) {
    let (from, to) = (offset as usize, offset as usize + written.len());
    if bytes.len() < to {
        bytes.resize(to, 0);
    }
    bytes[from..to].copy_from_slice(written);
}

impl Storage for MemoryStorage {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.borrow().bytes.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.bytes.resize(len as usize, 0);
        inner.log.push(Operation::SetLen(len));
        Ok(())
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.reads += 1;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = inner.bytes.get(from..from.saturating_add(out.len()));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        if let Some(working) = &mut inner.working {
            *working = working.checked_sub(1).ok_or_else(|| io::Error::other("the device failed"))?;
        }
        let mut at = 0;
        while at < bytes.len() {
            let page = (offset + at as u64) / HOST_PAGE;
            if !inner.pages.contains(&page) {
                if inner.room.is_some_and(|room| inner.pages.len() >= room) {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                inner.pages.insert(page);
            }
            let end = bytes.len().min(((page + 1) * HOST_PAGE - offset) as usize);
            let piece = bytes[at..end].to_vec();
            put(&mut inner.bytes, offset + at as u64, &piece);
            at = end;
        }
        inner.log.push(Operation::Write { offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.borrow_mut().log.push(Operation::Sync);
        Ok(())
    }

    fn modified(&self) -> io::Result<SystemTime> {
        Ok(SystemTime::UNIX_EPOCH)
    }
}
