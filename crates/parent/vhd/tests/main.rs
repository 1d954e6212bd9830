//! Whole disks: against a plain vector of bytes, against crashes, against QEMU, and as real files.
#![expect(clippy::print_stderr, reason = "a test says which check is left out")]

mod bad_files;
mod crashes;
mod properties;
mod qemu;
mod real_files;
mod tables;

use vhd::test_support::MemoryStorage;
use vhd::{Disk, Identity, Image, NewDisk, TableAccess, Uuid, VhdTime};

/// Sectors of the small disks of these tests; not a whole number of blocks.
const SECTORS: u64 = 45;
/// 8 sectors.
const BLOCK: u32 = 4096;

fn new_disk(number: u128) -> NewDisk {
    let identity = Identity { uuid: Uuid::from_u128(number), time: VhdTime(1) };
    NewDisk { bytes: SECTORS * 512, block_bytes: BLOCK, identity }
}

fn dynamic(access: TableAccess) -> (Disk<MemoryStorage>, MemoryStorage) {
    let storage = MemoryStorage::new();
    let image = Image::create_dynamic(storage.clone(), "dynamic", &new_disk(1), access).unwrap();
    (Disk::new(image, Vec::new()).unwrap(), storage)
}

fn all(disk: &mut Disk<MemoryStorage>) -> Vec<u8> {
    let mut bytes = vec![0; (disk.sectors() * 512) as usize];
    disk.read(0, &mut bytes).unwrap();
    bytes
}
