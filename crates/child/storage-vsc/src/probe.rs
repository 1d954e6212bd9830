//! Looking for disks: which there are, and what each of them is.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use storage_protocol::SECTOR;
use storage_protocol::cdb::Command;

use crate::DiskInfo;
use crate::constants::LUN_LIST;

/// A search that is under way.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    /// Disks of the list that are still to be looked at, last one first.
    left: Vec<u8>,
    /// Those that were listed.
    listed: BTreeSet<u8>,
    step: Step,
    /// What is known of the disk that is looked at.
    disk: DiskInfo,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    List,
    Capacity(u8),
    Mode(u8),
}

/// What a search does next.
#[derive(Clone, Debug)]
pub(crate) enum Next {
    /// Ask a disk, with a buffer of so many bytes.
    Ask { lun: u8, command: Command, bytes: u32 },
    /// The search is over; disks that are not among these are gone.
    Over(BTreeSet<u8>),
}

const CAPACITY_BYTES: u32 = 32;
const MODE_BYTES: u16 = 192;

impl Probe {
    /// A search from the beginning, with its first question.
    pub(crate) fn begin() -> (Self, Next) {
        let disk = DiskInfo { sectors: 0, writable: false, can_discard: false };
        let probe = Self { left: Vec::new(), listed: BTreeSet::new(), step: Step::List, disk };
        let bytes = LUN_LIST.whole() as u32;
        (probe, Next::Ask { lun: 0, command: Command::ReportLuns { length: bytes }, bytes })
    }

    /// The answer to the last question; nothing if the disk did not answer. Puts a disk that is known now into `found`.
    pub(crate) fn answer(&mut self, data: Option<&[u8]>, found: &mut BTreeMap<u8, DiskInfo>) -> Next {
        match (self.step, data) {
            (Step::List, data) => {
                self.listed = luns(data.unwrap_or_default());
                self.left = self.listed.iter().rev().copied().collect();
                self.next_disk()
            }
            (Step::Capacity(lun), Some(data)) => {
                let Some(disk) = capacity(data) else {
                    self.listed.remove(&lun);
                    return self.next_disk();
                };
                self.disk = disk;
                self.step = Step::Mode(lun);
                let command =
                    Command::ModeSense { page: 0x3f, no_descriptors: true, length: MODE_BYTES, long: false };
                Next::Ask { lun, command, bytes: u32::from(MODE_BYTES) }
            }
            (Step::Capacity(lun), None) => {
                self.listed.remove(&lun);
                self.next_disk()
            }
            (Step::Mode(lun), data) => {
                // The write-protect bit of the device-specific parameter. A disk that does not say can be written.
                self.disk.writable = data.and_then(|data| data.get(2)).is_none_or(|byte| byte & 0x80 == 0);
                found.insert(lun, self.disk);
                self.next_disk()
            }
        }
    }

    fn next_disk(&mut self) -> Next {
        let Some(lun) = self.left.pop() else { return Next::Over(core::mem::take(&mut self.listed)) };
        self.step = Step::Capacity(lun);
        let command = Command::ReadCapacity16 { length: CAPACITY_BYTES };
        Next::Ask { lun, command, bytes: CAPACITY_BYTES }
    }
}

/// The disks of a list, as far as it has bytes.
fn luns(data: &[u8]) -> BTreeSet<u8> {
    let Some((header, list)) = data.split_at_checked(8) else { return BTreeSet::new() };
    let listed = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize / 8;
    let (entries, _) = list.as_chunks::<8>();
    // Other forms of numbers are of no controller here.
    entries.iter().take(listed).filter(|entry| entry[0] == 0).map(|entry| entry[1]).collect()
}

fn capacity(data: &[u8]) -> Option<DiskInfo> {
    let last = u64::from_be_bytes(*data.first_chunk()?);
    let block = u32::from_be_bytes(*data.get(8..)?.first_chunk()?);
    let flags = data.get(14).copied().unwrap_or(0);
    let sectors = last.checked_add(1).filter(|_| block == SECTOR)?;
    Some(DiskInfo { sectors, writable: false, can_discard: flags & 0x80 != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_sizes_that_lie_take_nothing() {
        let mut list = alloc::vec![0u8; 24];
        (list[3], list[9], list[17]) = (16, 0, 5);
        assert_eq!(luns(&list), [0, 5].into());
        list[3] = 8;
        assert_eq!(luns(&list), [0].into());
        list[..4].fill(0xff);
        assert_eq!(luns(&list), [0, 5].into());
        list[16] = 0x40;
        assert_eq!(luns(&list), [0].into());
        assert_eq!(luns(&list[..7]), [].into());
        let mut size = [0u8; 32];
        (size[7], size[10]) = (9, 2);
        assert_eq!(capacity(&size).map(|disk| disk.sectors), Some(10));
        size[10] = 16;
        assert_eq!(capacity(&size), None);
        assert_eq!(capacity(&[0xff; 32]), None);
        assert_eq!(capacity(&[0; 11]), None);
    }
}
