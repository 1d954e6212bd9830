//! What a disk file is read from and written to.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::SystemTime;

/// A file, as a disk needs it: places in it are read and written, in any order, whole or with an error.
///
/// What is written is seen by whoever reads at once; after a crash it is there if a [`sync`](Self::sync) came after it, and may or may not
/// be there otherwise. A sector of 512 bytes is written whole or not at all.
pub trait Storage {
    /// Bytes of the file.
    ///
    /// # Errors
    /// The host's.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// The host's.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file off, or lengthens it by zeros that may take no space.
    ///
    /// # Errors
    /// The host's.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes an empty file `len` bytes long, all zeros, with space on the host for all of them.
    ///
    /// # Errors
    /// The host's: that it is full, for one.
    fn reserve(&self, len: u64) -> io::Result<()>;

    /// Fills `out` from `offset` on.
    ///
    /// # Errors
    /// The host's, also if the file ends before.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`; the file grows if they end beyond it.
    ///
    /// # Errors
    /// The host's: that it is full, for one. Some of the bytes may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes durable what was written before.
    ///
    /// # Errors
    /// The host's. What of it is durable then is not known.
    fn sync(&self) -> io::Result<()>;

    /// When the file was written last.
    ///
    /// # Errors
    /// The host's.
    fn modified(&self) -> io::Result<SystemTime>;
}

impl Storage for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self, rustix::fs::FallocateFlags::empty(), 0, len) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        // A file system that cannot reserve: zeros take space.
        let zeros = vec![0; 1 << 20];
        let mut at = 0;
        while at < len {
            let piece = (len - at).min(zeros.len() as u64);
            self.write_all_at(&zeros[..piece as usize], at)?;
            at += piece;
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(out, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn modified(&self) -> io::Result<SystemTime> {
        self.metadata()?.modified()
    }
}

impl<S: Storage + ?Sized> Storage for &S {
    fn len(&self) -> io::Result<u64> {
        (**self).len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        (**self).set_len(len)
    }
    fn reserve(&self, len: u64) -> io::Result<()> {
        (**self).reserve(len)
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, out)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, bytes)
    }
    fn sync(&self) -> io::Result<()> {
        (**self).sync()
    }
    fn modified(&self) -> io::Result<SystemTime> {
        (**self).modified()
    }
}
