//! SCSI commands: those that a disk needs (documented: SPC-4, SBC-3).

use crate::CDB_BYTES;

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Whether the disk is there.
    TestUnitReady,
    /// Why the command before failed; with sense data in every answer there is never anything.
    RequestSense {
        /// Bytes that the guest takes.
        length: u8,
    },
    /// What the device is; or a page of vital product data.
    Inquiry {
        /// The page, if it is asked for.
        page: Option<u8>,
        /// Bytes that the guest takes.
        length: u16,
    },
    /// How the disk is set.
    ModeSense {
        /// The page; 0x3f is all.
        page: u8,
        /// Whether block descriptors may be left out.
        no_descriptors: bool,
        /// Bytes that the guest takes.
        length: u16,
        /// The command of 10 bytes, whose answer has a longer header.
        long: bool,
    },
    /// Start, stop, load, eject: nothing happens.
    StartStop,
    /// Keep the medium in: it never leaves by itself.
    PreventRemoval,
    /// How large the disk is, in 32 bits.
    ReadCapacity10,
    /// How large the disk is.
    ReadCapacity16 {
        /// Bytes that the guest takes.
        length: u32,
    },
    /// Read blocks.
    Read {
        /// The first.
        block: u64,
        /// How many.
        count: u32,
    },
    /// Write blocks.
    Write {
        /// The first.
        block: u64,
        /// How many.
        count: u32,
        /// They must be durable before the answer.
        force: bool,
    },
    /// Make durable what was written.
    SynchronizeCache,
    /// Forget the blocks that the parameters list.
    Unmap {
        /// Bytes of the parameters.
        length: u16,
    },
    /// Which logical units there are.
    ReportLuns {
        /// Bytes that the guest takes.
        length: u32,
    },
    /// Any other.
    Unknown {
        /// Its code.
        opcode: u8,
    },
}

/// A command that is shorter than its code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SCSI command {opcode:#04x} has {length} bytes of {needed}")]
pub struct TooShort {
    /// Its code.
    pub opcode: u8,
    /// Its bytes.
    pub length: u8,
    /// How many it needs.
    pub needed: u8,
}

fn be16(cdb: &[u8; CDB_BYTES], at: usize) -> u16 {
    u16::from_be_bytes([cdb[at], cdb[at + 1]])
}

fn be32(cdb: &[u8; CDB_BYTES], at: usize) -> u32 {
    u32::from(be16(cdb, at)) << 16 | u32::from(be16(cdb, at + 2))
}

fn be64(cdb: &[u8; CDB_BYTES], at: usize) -> u64 {
    u64::from(be32(cdb, at)) << 32 | u64::from(be32(cdb, at + 4))
}

/// Bytes of a command by the group of its code.
fn length_of(opcode: u8) -> u8 {
    match opcode >> 5 {
        0 => 6,
        1 | 2 => 10,
        4 => 16,
        5 => 12,
        _ => 1,
    }
}

impl Command {
    /// Reads a command.
    ///
    /// # Errors
    /// It has fewer bytes than its code says.
    pub fn decode(cdb: &[u8; CDB_BYTES], length: u8) -> Result<Self, TooShort> {
        let opcode = cdb[0];
        let needed = length_of(opcode);
        if length < needed {
            return Err(TooShort { opcode, length, needed });
        }
        // Of the short commands 0 blocks means 256; of the others, none.
        let short = || (u64::from(be32(cdb, 0) & 0x1f_ffff), u32::from(cdb[4]).wrapping_sub(1) % 256 + 1);
        let force = cdb[1] & 8 != 0;
        Ok(match opcode {
            0x00 => Self::TestUnitReady,
            0x03 => Self::RequestSense { length: cdb[4] },
            0x08 => {
                let (block, count) = short();
                Self::Read { block, count }
            }
            0x0a => {
                let (block, count) = short();
                Self::Write { block, count, force: false }
            }
            0x12 => Self::Inquiry { page: (cdb[1] & 1 != 0).then_some(cdb[2]), length: be16(cdb, 3) },
            0x1a => Self::ModeSense {
                page: cdb[2] & 0x3f,
                no_descriptors: cdb[1] & 8 != 0,
                length: u16::from(cdb[4]),
                long: false,
            },
            0x1b => Self::StartStop,
            0x1e => Self::PreventRemoval,
            0x25 => Self::ReadCapacity10,
            0x28 => Self::Read { block: u64::from(be32(cdb, 2)), count: u32::from(be16(cdb, 7)) },
            0x2a => Self::Write { block: u64::from(be32(cdb, 2)), count: u32::from(be16(cdb, 7)), force },
            0x35 | 0x91 => Self::SynchronizeCache,
            0x42 => Self::Unmap { length: be16(cdb, 7) },
            0x5a => Self::ModeSense {
                page: cdb[2] & 0x3f,
                no_descriptors: cdb[1] & 8 != 0,
                length: be16(cdb, 7),
                long: true,
            },
            0x88 => Self::Read { block: be64(cdb, 2), count: be32(cdb, 10) },
            0x8a => Self::Write { block: be64(cdb, 2), count: be32(cdb, 10), force },
            0x9e if cdb[1] & 0x1f == 0x10 => Self::ReadCapacity16 { length: be32(cdb, 10) },
            0xa0 => Self::ReportLuns { length: be32(cdb, 6) },
            0xa8 => Self::Read { block: u64::from(be32(cdb, 2)), count: be32(cdb, 6) },
            0xaa => Self::Write { block: u64::from(be32(cdb, 2)), count: be32(cdb, 6), force },
            opcode => Self::Unknown { opcode },
        })
    }

    /// Writes a command, reads and writes in the form of 16 bytes; also its length.
    #[must_use]
    pub fn encode(&self) -> ([u8; CDB_BYTES], u8) {
        let mut cdb = [0; CDB_BYTES];
        match *self {
            Self::TestUnitReady => {}
            Self::RequestSense { length } => (cdb[0], cdb[4]) = (0x03, length),
            Self::Inquiry { page, length } => {
                (cdb[0], cdb[1], cdb[2]) = (0x12, u8::from(page.is_some()), page.unwrap_or(0));
                cdb[3..5].copy_from_slice(&length.to_be_bytes());
            }
            Self::ModeSense { page, no_descriptors, length, long } => {
                (cdb[1], cdb[2]) = (u8::from(no_descriptors) << 3, page & 0x3f);
                if long {
                    cdb[0] = 0x5a;
                    cdb[7..9].copy_from_slice(&length.to_be_bytes());
                } else {
                    (cdb[0], cdb[4]) = (0x1a, u8::try_from(length).unwrap_or(u8::MAX));
                }
            }
            Self::StartStop => cdb[0] = 0x1b,
            Self::PreventRemoval => cdb[0] = 0x1e,
            Self::ReadCapacity10 => cdb[0] = 0x25,
            Self::ReadCapacity16 { length } => {
                (cdb[0], cdb[1]) = (0x9e, 0x10);
                cdb[10..14].copy_from_slice(&length.to_be_bytes());
            }
            Self::Read { block, count } => {
                cdb[0] = 0x88;
                cdb[2..10].copy_from_slice(&block.to_be_bytes());
                cdb[10..14].copy_from_slice(&count.to_be_bytes());
            }
            Self::Write { block, count, force } => {
                (cdb[0], cdb[1]) = (0x8a, u8::from(force) << 3);
                cdb[2..10].copy_from_slice(&block.to_be_bytes());
                cdb[10..14].copy_from_slice(&count.to_be_bytes());
            }
            Self::SynchronizeCache => cdb[0] = 0x35,
            Self::Unmap { length } => {
                cdb[0] = 0x42;
                cdb[7..9].copy_from_slice(&length.to_be_bytes());
            }
            Self::ReportLuns { length } => {
                cdb[0] = 0xa0;
                cdb[6..10].copy_from_slice(&length.to_be_bytes());
            }
            Self::Unknown { opcode } => cdb[0] = opcode,
        }
        (cdb, length_of(cdb[0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Command {
        let mut cdb = [0; CDB_BYTES];
        cdb[..bytes.len()].copy_from_slice(bytes);
        Command::decode(&cdb, bytes.len() as u8).unwrap()
    }

    #[test]
    fn the_forms_in_which_disks_are_read_and_written() {
        assert_eq!(decode(&[0x08, 0x1f, 0xff, 0xff, 0, 0]), Command::Read { block: 0x1f_ffff, count: 256 });
        assert_eq!(
            decode(&[0x0a, 0xe0, 0, 1, 255, 0]),
            Command::Write { block: 1, count: 255, force: false }
        );
        assert_eq!(
            decode(&[0x28, 0, 1, 2, 3, 4, 0, 5, 6, 0]),
            Command::Read { block: 0x0102_0304, count: 0x0506 }
        );
        assert_eq!(
            decode(&[0x2a, 8, 0, 0, 0, 1, 0, 0, 0, 0]),
            Command::Write { block: 1, count: 0, force: true }
        );
        assert_eq!(
            decode(&[0x88, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9, 0, 0]),
            Command::Read { block: 0x0102_0304_0506_0708, count: 9 }
        );
        assert_eq!(
            decode(&[0xa8, 0, 0, 0, 0, 7, 0, 1, 0, 0, 0, 0]),
            Command::Read { block: 7, count: 65536 }
        );
    }

    #[test]
    fn what_a_linux_kernel_asks_first() {
        assert_eq!(decode(&[0x12, 0, 0, 0, 36, 0]), Command::Inquiry { page: None, length: 36 });
        assert_eq!(decode(&[0x12, 1, 0xb0, 0, 64, 0]), Command::Inquiry { page: Some(0xb0), length: 64 });
        assert_eq!(
            decode(&[0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0]),
            Command::ReadCapacity16 { length: 32 }
        );
        assert_eq!(
            decode(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0x10, 8, 0, 0]),
            Command::ReportLuns { length: 0x1008 }
        );
        let mode = Command::ModeSense { page: 0x3f, no_descriptors: false, length: 4, long: false };
        assert_eq!(decode(&[0x1a, 0, 0x3f, 0, 4, 0]), mode);
        assert_eq!(decode(&[0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Command::Unknown { opcode: 0xa3 });
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        for (opcode, needed) in [(0x00, 6), (0x28, 10), (0x42, 10), (0x88, 16), (0xa0, 12)] {
            let mut cdb = [0; CDB_BYTES];
            cdb[0] = opcode;
            for length in 1..needed {
                assert_eq!(Command::decode(&cdb, length), Err(TooShort { opcode, length, needed }));
            }
            assert!(Command::decode(&cdb, needed).is_ok());
        }
    }
}
