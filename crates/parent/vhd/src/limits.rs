//! What a VHD, and a VM's storage, can be at most.

/// Bytes of a sector (documented: the format counts in sectors of 512 bytes).
pub const SECTOR: u64 = 512;
/// Bytes of the largest disk: 2040 GiB (documented: Microsoft's limit for VHD, which QEMU's writer keeps as well; the source's table of
/// limits, \[D\], rounds it to 2 TB).
pub const MAX_DISK_BYTES: u64 = 2040 << 30;
/// Bytes of a block unless another size is asked for (documented: the specification's default).
pub const DEFAULT_BLOCK_BYTES: u32 = 2 << 20;
/// Bytes of the smallest block that is read (invented: a bitmap is never smaller than a sector, so smaller blocks are all bitmap).
pub const MIN_BLOCK_BYTES: u32 = 4 << 10;
/// Bytes of the largest block that is read (invented: 256 MiB, as in VHDX).
pub const MAX_BLOCK_BYTES: u32 = 256 << 20;
/// Entries of the largest table that is read: a disk of 2040 GiB in blocks of 512 KiB, the smallest that Virtual PC writes, has fewer
/// (invented; bounds the memory that a file can ask for to 16 MiB).
pub const MAX_TABLE_ENTRIES: u32 = 4 << 20;
/// Files in a chain of differencing disks (invented: each is an open file, and every read may have to look into each).
pub const MAX_CHAIN: usize = 64;

/// IDE devices of a VM (documented, \[D\]: "IDE 4", two controllers with two devices each).
pub const IDE_DEVICES: usize = 4;
/// SCSI controllers of a VM (documented, \[D\]: "SCSI 4").
pub const SCSI_CONTROLLERS: usize = 4;
/// Disks of a SCSI controller (documented: Microsoft's limits for Hyper-V, 64; with 4 controllers of 64 disks of 2 TB, the 512 TB of \[D\]).
pub const DISKS_PER_SCSI_CONTROLLER: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_the_source_agree_with_each_other() {
        // [D]: "as VHD 2 TB (512 TB in all)".
        assert_eq!(SCSI_CONTROLLERS * DISKS_PER_SCSI_CONTROLLER * 2, 512);
        let blocks = MAX_DISK_BYTES / (512 << 10);
        assert!(blocks <= u64::from(MAX_TABLE_ENTRIES));
        // Every sector of the largest disk, with its bitmaps, can be named by the 32 bits of a table entry.
        let with_bitmaps = MAX_DISK_BYTES + MAX_DISK_BYTES / u64::from(DEFAULT_BLOCK_BYTES) * SECTOR;
        assert!(with_bitmaps / SECTOR < u64::from(u32::MAX));
    }
}
