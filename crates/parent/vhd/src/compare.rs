//! Whole disks: copied and compared.

use crate::limits::SECTOR;
use crate::{Disk, Storage, VhdError};

/// What has sectors to be read: a disk, or a raw image.
pub trait ReadSectors {
    /// Sectors of 512 bytes.
    fn sectors(&self) -> u64;

    /// Fills `out` with the sectors from `sector` on.
    ///
    /// # Errors
    /// See [`Disk::read`].
    fn read(&mut self, sector: u64, out: &mut [u8]) -> Result<(), VhdError>;

    /// Whether sectors are known to be zeros without reading them. That they are not says nothing.
    ///
    /// # Errors
    /// The host cannot read.
    fn are_absent(&mut self, _sector: u64, _count: u64) -> Result<bool, VhdError> {
        Ok(false)
    }
}

/// What has sectors to be written.
pub trait WriteSectors: ReadSectors {
    /// Writes whole sectors.
    ///
    /// # Errors
    /// See [`Disk::write`].
    fn write(&mut self, sector: u64, data: &[u8]) -> Result<(), VhdError>;

    /// Makes durable what was written.
    ///
    /// # Errors
    /// See [`Disk::flush`].
    fn flush(&mut self) -> Result<(), VhdError>;
}

impl<S: Storage> ReadSectors for Disk<S> {
    fn sectors(&self) -> u64 {
        Self::sectors(self)
    }
    fn read(&mut self, sector: u64, out: &mut [u8]) -> Result<(), VhdError> {
        Self::read(self, sector, out)
    }
    fn are_absent(&mut self, sector: u64, count: u64) -> Result<bool, VhdError> {
        Self::are_absent(self, sector, count)
    }
}

impl<S: Storage> WriteSectors for Disk<S> {
    fn write(&mut self, sector: u64, data: &[u8]) -> Result<(), VhdError> {
        Self::write(self, sector, data)
    }
    fn flush(&mut self) -> Result<(), VhdError> {
        Self::flush(self)
    }
}

/// Sectors that are read at once: a block of the usual size.
const AT_ONCE: u64 = (2 << 20) / SECTOR;
/// A run of zeros shorter than this is written like data: more, smaller writes would cost more than they save.
const ZERO_RUN: usize = 64 << 10;
static ZEROS: [u8; ZERO_RUN] = [0; ZERO_RUN];

/// Copies all sectors. What is zeros is not written, so `to` must read as zeros there: a new disk. It may be larger.
///
/// Returns the bytes that were written.
///
/// # Errors
/// `to` is smaller, or one of the two cannot be read or written.
pub fn copy(from: &mut impl ReadSectors, to: &mut impl WriteSectors) -> Result<u64, VhdError> {
    let sectors = from.sectors();
    if sectors > to.sectors() {
        return Err(VhdError::OutOfDisk { sector: 0, count: sectors, sectors: to.sectors() });
    }
    let mut written = 0;
    each(sectors, |sector, bytes| {
        if from.are_absent(sector, bytes.len() as u64 / SECTOR)? {
            return Ok(());
        }
        from.read(sector, bytes)?;
        for (index, run) in bytes.chunks(ZERO_RUN).enumerate() {
            if run != &ZEROS[..run.len()] {
                to.write(sector + (index * ZERO_RUN) as u64 / SECTOR, run)?;
                written += run.len() as u64;
            }
        }
        Ok(())
    })?;
    to.flush()?;
    Ok(written)
}

/// How two disks compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Sectors of the first.
    pub sectors: u64,
    /// Sectors of the second.
    pub other_sectors: u64,
    /// Sectors that differ, of those that both have.
    pub different: u64,
    /// The first runs of them: where each begins, and how many sectors it is.
    pub runs: Vec<(u64, u64)>,
}

impl Comparison {
    /// Whether both have the same sectors, and as many.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.different == 0 && self.sectors == self.other_sectors
    }
}

/// Compares all sectors; at most `most_runs` runs that differ are listed.
///
/// # Errors
/// One of the two cannot be read.
pub fn compare(
    one: &mut impl ReadSectors,
    other: &mut impl ReadSectors,
    most_runs: usize,
) -> Result<Comparison, VhdError> {
    let mut found =
        Comparison { sectors: one.sectors(), other_sectors: other.sectors(), ..Comparison::default() };
    let mut bytes_of_other = vec![0; (AT_ONCE * SECTOR) as usize];
    // Where the run that is listed last ends, and whether it still can grow.
    let mut open_run = None;
    each(one.sectors().min(other.sectors()), |sector, bytes| {
        let count = bytes.len() as u64 / SECTOR;
        if one.are_absent(sector, count)? && other.are_absent(sector, count)? {
            return Ok(());
        }
        let theirs = &mut bytes_of_other[..bytes.len()];
        one.read(sector, bytes)?;
        other.read(sector, theirs)?;
        if bytes == theirs {
            return Ok(());
        }
        let sectors = bytes.chunks(SECTOR as usize).zip(theirs.chunks(SECTOR as usize));
        for (at, _) in (sector..).zip(sectors).filter(|(_, (one, other))| one != other) {
            found.different += 1;
            if open_run == Some(at) {
                if let Some(run) = found.runs.last_mut() {
                    run.1 += 1;
                }
                open_run = Some(at + 1);
            } else if found.runs.len() < most_runs {
                found.runs.push((at, 1));
                open_run = Some(at + 1);
            } else {
                open_run = None;
            }
        }
        Ok(())
    })?;
    Ok(found)
}

fn each(sectors: u64, mut act: impl FnMut(u64, &mut [u8]) -> Result<(), VhdError>) -> Result<(), VhdError> {
    let mut bytes = vec![0; (AT_ONCE.min(sectors) * SECTOR) as usize];
    let mut at = 0;
    while at < sectors {
        let count = AT_ONCE.min(sectors - at);
        act(at, &mut bytes[..(count * SECTOR) as usize])?;
        at += count;
    }
    Ok(())
}
