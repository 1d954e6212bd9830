//! A raw image: the sectors of a disk and nothing else.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::{lock, not_made, open_file};
use crate::limits::SECTOR;
use crate::{ReadSectors, VhdError, WriteSectors};

/// A raw image. If its length is not in whole sectors, the last one is filled up with zeros.
#[derive(Debug)]
pub struct RawImage {
    file: File,
    name: String,
    bytes: u64,
}

impl RawImage {
    /// Opens one for reading.
    ///
    /// # Errors
    /// The file is not there, is in use, or has nothing in it.
    pub fn open(path: &Path) -> Result<Self, VhdError> {
        let file = open_file(path, false)?;
        let name = path.display().to_string();
        let bytes = file.metadata().map_err(|error| VhdError::io(&name, "read the length", 0, error))?.len();
        if bytes == 0 {
            let error = crate::FormatError::Size { bytes };
            return Err(VhdError::Format { name, error });
        }
        Ok(Self { file, name, bytes })
    }

    /// Makes one of zeros, which take no space before they are written.
    ///
    /// # Errors
    /// The file is there already, or the host cannot write it.
    pub fn create(path: &Path, sectors: u64) -> Result<Self, VhdError> {
        let failed = |source| not_made(path, source);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).map_err(failed)?;
        let bytes = sectors * SECTOR;
        let made = lock(&file, path, true).and_then(|()| file.set_len(bytes).map_err(failed));
        if let Err(error) = made {
            let _what_is_told_is_why = fs::remove_file(path);
            return Err(error);
        }
        Ok(Self { file, name: path.display().to_string(), bytes })
    }
}

impl ReadSectors for RawImage {
    fn sectors(&self) -> u64 {
        self.bytes.div_ceil(SECTOR)
    }

    fn read(&mut self, sector: u64, out: &mut [u8]) -> Result<(), VhdError> {
        let offset = sector * SECTOR;
        let there = usize::try_from(self.bytes.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let (there, rest) = out.split_at_mut(there);
        rest.fill(0);
        self.file
            .read_exact_at(there, offset)
            .map_err(|error| VhdError::io(&self.name, "read", offset, error))
    }
}

impl WriteSectors for RawImage {
    fn write(&mut self, sector: u64, data: &[u8]) -> Result<(), VhdError> {
        let offset = sector * SECTOR;
        self.file.write_all_at(data, offset).map_err(|error| VhdError::io(&self.name, "write", offset, error))
    }

    fn flush(&mut self) -> Result<(), VhdError> {
        self.file
            .sync_data()
            .map_err(|error| VhdError::io(&self.name, "make durable what was written", 0, error))
    }
}
