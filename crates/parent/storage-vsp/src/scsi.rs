//! What a disk answers to a SCSI command, as far as no sector is needed for it (documented: SPC-4, SBC-3).

use alloc::vec;
use alloc::vec::Vec;

use storage_protocol::cdb::Command;
use storage_protocol::sense::{FIXED_BYTES, Sense};
use storage_protocol::{Direction, SECTOR, ScsiRequest};

use crate::constants::{UNMAP_GRANULE, UNMAP_RANGES};
use crate::{DiskConfig, DiskOperation};

/// What a command leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Done, with these data.
    Data(Vec<u8>),
    /// It failed.
    Sense(Sense),
    /// The disk has to do something.
    Start(DiskOperation),
    /// Parameters are needed first.
    Parameters(u16),
}

/// What a request's buffer allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    pub(crate) direction: Direction,
    pub(crate) bytes: u32,
    pub(crate) most: u32,
}

impl Transfer {
    pub(crate) fn of(request: &ScsiRequest, most: u32) -> Self {
        Self { direction: request.direction, bytes: request.transfer_length, most }
    }
}

/// Pages of vital product data that there are.
const VPD_PAGES: [u8; 6] = [0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2];

/// What `disk` answers; `luns` are the numbers of all disks of the controller.
pub(crate) fn answer(command: Command, disk: &DiskConfig, luns: &[u8], transfer: Transfer) -> Answer {
    match command {
        Command::TestUnitReady | Command::StartStop | Command::PreventRemoval => Answer::Data(Vec::new()),
        Command::RequestSense { length } => {
            cut(Sense::NONE.to_bytes()[..usize::from(FIXED_BYTES)].to_vec(), u32::from(length))
        }
        Command::Inquiry { page: None, length } => cut(inquiry(0).to_vec(), u32::from(length)),
        Command::Inquiry { page: Some(page), length } => {
            match vital_product_data(page, disk, transfer.most) {
                Some(data) => cut(data, u32::from(length)),
                None => Answer::Sense(Sense::INVALID_FIELD),
            }
        }
        Command::ModeSense { page, length, long, .. } => mode_sense(page, long, disk, u32::from(length)),
        Command::ReadCapacity10 => {
            let last = u32::try_from(disk.sectors.saturating_sub(1)).unwrap_or(u32::MAX);
            Answer::Data([last.to_be_bytes(), SECTOR.to_be_bytes()].concat())
        }
        Command::ReadCapacity16 { length } => {
            let mut data = vec![0; 32];
            data[..8].copy_from_slice(&disk.sectors.saturating_sub(1).to_be_bytes());
            data[8..12].copy_from_slice(&SECTOR.to_be_bytes());
            // LBPME and LBPRZ.
            data[14] = if disk.can_discard { 0xc0 } else { 0 };
            cut(data, length)
        }
        Command::ReportLuns { length } => report_luns(luns, length),
        Command::Read { block, count } => blocks(
            disk,
            transfer,
            Direction::Read,
            block,
            count,
            DiskOperation::Read { sector: block, count },
        ),
        Command::Write { block, count, force } => {
            if !disk.writable {
                return Answer::Sense(Sense::WRITE_PROTECTED);
            }
            let operation = DiskOperation::Write { sector: block, count, force };
            blocks(disk, transfer, Direction::Write, block, count, operation)
        }
        Command::SynchronizeCache => Answer::Start(DiskOperation::Flush),
        Command::Unmap { length } => {
            if !disk.can_discard {
                return Answer::Sense(Sense::INVALID_OPCODE);
            }
            if !disk.writable {
                return Answer::Sense(Sense::WRITE_PROTECTED);
            }
            let fits = transfer.direction == Direction::Write && u32::from(length) <= transfer.bytes;
            match length {
                0 => Answer::Data(Vec::new()),
                8.. if fits => Answer::Parameters(length),
                _ => Answer::Sense(Sense::INVALID_FIELD),
            }
        }
        _ => Answer::Sense(Sense::INVALID_OPCODE),
    }
}

/// What is answered where there is no disk; `None`: that there is none. A guest looks for disks at every path and target that a controller could
/// have, and takes whatever an INQUIRY does not deny for a disk: Linux' driver even takes an INQUIRY that failed for one that went well
/// (documented), and a refused REPORT LUNS for a disk that went. `of_target` are the numbers of the target's disks.
pub(crate) fn answer_without_disk(command: Command, lun: u8, of_target: &[u8]) -> Option<Answer> {
    match command {
        // Peripheral qualifier 3, type 1f: no device, and none can be here.
        Command::Inquiry { page: None, length } => Some(cut(inquiry(0x7f).to_vec(), u32::from(length))),
        Command::ReportLuns { length } if lun == 0 => Some(report_luns(of_target, length)),
        _ => None,
    }
}

fn cut(mut data: Vec<u8>, length: u32) -> Answer {
    data.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    Answer::Data(data)
}

fn inquiry(peripheral: u8) -> [u8; 36] {
    let mut data = [b' '; 36];
    // SPC-3, response format 2, 31 bytes more, commands are queued.
    data[..8].copy_from_slice(&[peripheral, 0, 5, 2, 31, 0, 0, 2]);
    // Linux' driver looks at the vendor (documented).
    data[8..12].copy_from_slice(b"Msft");
    data[16..28].copy_from_slice(b"Virtual Disk");
    data[32..35].copy_from_slice(b"1.0");
    data
}

fn vital_product_data(page: u8, disk: &DiskConfig, max_transfer_bytes: u32) -> Option<Vec<u8>> {
    let body = match page {
        0x00 => VPD_PAGES.to_vec(),
        // The serial number, as characters.
        0x80 => disk.id.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).map(hex_digit).collect(),
        0x83 => {
            // NAA 6, registered extended: 16 bytes, of which the first four bits say so.
            let mut body = vec![1, 3, 0, 16];
            body.extend_from_slice(&disk.id);
            body[4] = 0x60 | body[4] & 0xf;
            body
        }
        0xb0 => {
            let mut body = vec![0; 60];
            body[4..8].copy_from_slice(&(max_transfer_bytes / SECTOR).to_be_bytes());
            if disk.can_discard {
                body[16..20].copy_from_slice(&u32::MAX.to_be_bytes());
                body[20..24].copy_from_slice(&(UNMAP_RANGES.whole() as u32).to_be_bytes());
                body[24..28].copy_from_slice(&(UNMAP_GRANULE.whole() as u32).to_be_bytes());
            }
            body
        }
        0xb1 => vec![0; 60],
        // LBPU, LBPRZ; thin.
        0xb2 => vec![0, if disk.can_discard { 0x84 } else { 0 }, if disk.can_discard { 2 } else { 0 }, 0],
        _ => return None,
    };
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    Some([&[0, page, length[0], length[1]], body.as_slice()].concat())
}

fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

/// The caching page: the disk has a write cache, which SYNCHRONIZE CACHE empties.
const CACHING: [u8; 20] = [0x08, 0x12, 0x04, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn mode_sense(page: u8, long: bool, disk: &DiskConfig, length: u32) -> Answer {
    if page != 0x08 && page != 0x3f {
        return Answer::Sense(Sense::INVALID_FIELD);
    }
    let protected = if disk.writable { 0 } else { 0x80 };
    let pages = CACHING.len() as u8;
    let header: &[u8] =
        if long { &[0, pages + 6, 0, protected, 0, 0, 0, 0] } else { &[pages + 3, 0, protected, 0] };
    cut([header, &CACHING].concat(), length)
}

fn report_luns(luns: &[u8], length: u32) -> Answer {
    // At least so much must be asked for (SPC-4).
    if length < 16 {
        return Answer::Sense(Sense::INVALID_FIELD);
    }
    let bytes = u32::try_from(luns.len() * 8).unwrap_or(u32::MAX);
    let mut data = vec![0; 8];
    data[..4].copy_from_slice(&bytes.to_be_bytes());
    luns.iter().for_each(|&lun| data.extend_from_slice(&[0, lun, 0, 0, 0, 0, 0, 0]));
    cut(data, length)
}

fn blocks(
    disk: &DiskConfig,
    transfer: Transfer,
    direction: Direction,
    block: u64,
    count: u32,
    operation: DiskOperation,
) -> Answer {
    if block.checked_add(u64::from(count)).is_none_or(|end| end > disk.sectors) {
        return Answer::Sense(Sense::OUT_OF_RANGE);
    }
    if count == 0 {
        return Answer::Data(Vec::new());
    }
    let bytes = u64::from(count) * u64::from(SECTOR);
    let fits = bytes <= u64::from(transfer.bytes) && bytes <= u64::from(transfer.most);
    if !fits || transfer.direction != direction {
        return Answer::Sense(Sense::INVALID_FIELD);
    }
    Answer::Start(operation)
}

/// What the parameters of an UNMAP lead to.
pub(crate) fn unmap(parameters: &[u8], disk: &DiskConfig) -> Answer {
    let listed = parameters.get(2..4).map(|length| usize::from(u16::from_be_bytes([length[0], length[1]])));
    let ranges = listed.and_then(|length| parameters.get(8..)?.get(..length));
    let Some((ranges, _)) = ranges.map(<[u8]>::as_chunks::<16>) else {
        return Answer::Sense(Sense::INVALID_PARAMETER);
    };
    if ranges.len() as u64 > UNMAP_RANGES.whole() {
        return Answer::Sense(Sense::INVALID_PARAMETER);
    }
    let mut found = Vec::new();
    for range in ranges {
        let [block @ .., c3, c2, c1, c0, _, _, _, _] = *range;
        let (block, count) = (u64::from_be_bytes(block), u32::from_be_bytes([c3, c2, c1, c0]));
        if block.checked_add(u64::from(count)).is_none_or(|end| end > disk.sectors) {
            return Answer::Sense(Sense::OUT_OF_RANGE);
        }
        if count > 0 {
            found.push((block, count));
        }
    }
    if found.is_empty() {
        return Answer::Data(Vec::new());
    }
    Answer::Start(DiskOperation::Discard { ranges: found })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> DiskConfig {
        DiskConfig { sectors: 0x1_0000_0000, writable: true, can_discard: true, id: [0xab; 16] }
    }

    const READ: Transfer = Transfer { direction: Direction::Read, bytes: 4096, most: 8192 };
    const WRITE: Transfer = Transfer { direction: Direction::Write, bytes: 4096, most: 8192 };

    fn data(command: Command, disk: &DiskConfig) -> Vec<u8> {
        match answer(command, disk, &[0, 3], READ) {
            Answer::Data(data) => data,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_disk_says_of_itself() {
        let inquiry = data(Command::Inquiry { page: None, length: 255 }, &disk());
        assert_eq!(inquiry, *b"\0\0\x05\x02\x1f\0\0\x02Msft    Virtual Disk    1.0 ");
        assert_eq!(data(Command::Inquiry { page: None, length: 5 }, &disk()).len(), 5);
        let page = |page| data(Command::Inquiry { page: Some(page), length: 255 }, &disk());
        assert_eq!(page(0), [0, 0, 0, 6, 0, 0x80, 0x83, 0xb0, 0xb1, 0xb2]);
        assert_eq!(page(0x80), [&[0, 0x80, 0, 32][..], &b"ab".repeat(16)].concat());
        assert_eq!(page(0x83)[..9], [0, 0x83, 0, 20, 1, 3, 0, 16, 0x6b]);
        assert_eq!(page(0xb0)[8..12], [0, 0, 0, 16]);
        assert_eq!(page(0xb2), [0, 0xb2, 0, 4, 0, 0x84, 2, 0]);
        for page in VPD_PAGES {
            let data = data(Command::Inquiry { page: Some(page), length: 255 }, &disk());
            assert_eq!(usize::from(data[3]) + 4, data.len(), "{page:#x}");
        }
    }

    #[test]
    fn sizes_in_32_bits_and_more() {
        assert_eq!(data(Command::ReadCapacity10, &disk()), [0xff, 0xff, 0xff, 0xff, 0, 0, 2, 0]);
        let capacity = data(Command::ReadCapacity16 { length: 32 }, &disk());
        assert_eq!(capacity[..16], [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 2, 0, 0, 0, 0xc0, 0]);
        let plain = DiskConfig { can_discard: false, sectors: 9, ..disk() };
        assert_eq!(data(Command::ReadCapacity10, &plain), [0, 0, 0, 8, 0, 0, 2, 0]);
        assert_eq!(data(Command::ReadCapacity16 { length: 15 }, &plain).len(), 15);
    }

    #[test]
    fn caches_and_write_protection_are_told() {
        let mode = |long, writable| {
            let command = Command::ModeSense { page: 0x3f, no_descriptors: true, length: 255, long };
            data(command, &DiskConfig { writable, ..disk() })
        };
        assert_eq!(mode(false, true)[..7], [23, 0, 0, 0, 8, 0x12, 4]);
        assert_eq!(mode(true, false)[..11], [0, 26, 0, 0x80, 0, 0, 0, 0, 8, 0x12, 4]);
        let other = Command::ModeSense { page: 0x1c, no_descriptors: false, length: 192, long: false };
        assert_eq!(answer(other, &disk(), &[0], READ), Answer::Sense(Sense::INVALID_FIELD));
    }

    #[test]
    fn numbers_without_a_disk() {
        let inquiry = Command::Inquiry { page: None, length: 1 };
        assert_eq!(answer_without_disk(inquiry, 0, &[3]), Some(Answer::Data(vec![0x7f])));
        assert_eq!(answer_without_disk(inquiry, 1, &[3]), Some(Answer::Data(vec![0x7f])));
        assert_eq!(answer_without_disk(inquiry, 0, &[]), Some(Answer::Data(vec![0x7f])));
        assert_eq!(
            answer_without_disk(Command::ReportLuns { length: 16 }, 0, &[]),
            Some(Answer::Data(vec![0; 8]))
        );
        assert_eq!(answer_without_disk(Command::ReportLuns { length: 16 }, 1, &[0]), None);
        let page = Command::Inquiry { page: Some(0x83), length: 99 };
        assert_eq!(answer_without_disk(page, 0, &[3]), None);
        assert_eq!(answer_without_disk(Command::TestUnitReady, 0, &[3]), None);
        let luns = data(Command::ReportLuns { length: 4096 }, &disk());
        assert_eq!(luns, [0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn blocks_are_held_against_disk_and_buffer() {
        let read = |block, count, transfer| answer(Command::Read { block, count }, &disk(), &[0], transfer);
        let last = disk().sectors - 1;
        assert_eq!(read(last, 1, READ), Answer::Start(DiskOperation::Read { sector: last, count: 1 }));
        for (block, count) in [(last, 2), (last + 1, 0x1000), (u64::MAX, 1), (u64::MAX, u32::MAX)] {
            assert_eq!(read(block, count, READ), Answer::Sense(Sense::OUT_OF_RANGE));
        }
        assert_eq!(read(last + 1, 0, READ), Answer::Data(Vec::new()));
        assert_eq!(read(0, 9, READ), Answer::Sense(Sense::INVALID_FIELD));
        assert_eq!(read(0, 8, WRITE), Answer::Sense(Sense::INVALID_FIELD));
        assert_eq!(read(0, 17, Transfer { bytes: 9000, ..READ }), Answer::Sense(Sense::INVALID_FIELD));
        let protected = DiskConfig { writable: false, ..disk() };
        let write = Command::Write { block: 0, count: 1, force: false };
        assert_eq!(answer(write, &protected, &[0], WRITE), Answer::Sense(Sense::WRITE_PROTECTED));
    }

    #[test]
    fn ranges_to_forget_are_held_against_the_disk() {
        let parameters = |ranges: &[(u64, u32)], length: u16| {
            let mut bytes = vec![0; 8];
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            for (block, count) in ranges {
                bytes.extend_from_slice(&[&block.to_be_bytes()[..], &count.to_be_bytes(), &[0; 4]].concat());
            }
            bytes
        };
        let found = unmap(&parameters(&[(5, 6), (7, 0), (0, 1)], 48), &disk());
        assert_eq!(found, Answer::Start(DiskOperation::Discard { ranges: vec![(5, 6), (0, 1)] }));
        assert_eq!(unmap(&parameters(&[], 0), &disk()), Answer::Data(Vec::new()));
        assert_eq!(unmap(&parameters(&[(u64::MAX, 2)], 16), &disk()), Answer::Sense(Sense::OUT_OF_RANGE));
        assert_eq!(unmap(&parameters(&[(0, 1)], 32), &disk()), Answer::Sense(Sense::INVALID_PARAMETER));
        assert_eq!(unmap(&[0; 3], &disk()), Answer::Sense(Sense::INVALID_PARAMETER));
        assert_eq!(
            unmap(&parameters(&[(0, 1); 257], 4112), &disk()),
            Answer::Sense(Sense::INVALID_PARAMETER)
        );
        let plain = DiskConfig { can_discard: false, ..disk() };
        let command = Command::Unmap { length: 24 };
        assert_eq!(answer(command, &plain, &[0], WRITE), Answer::Sense(Sense::INVALID_OPCODE));
        assert_eq!(answer(command, &disk(), &[0], WRITE), Answer::Parameters(24));
        assert_eq!(answer(command, &disk(), &[0], READ), Answer::Sense(Sense::INVALID_FIELD));
    }
}
