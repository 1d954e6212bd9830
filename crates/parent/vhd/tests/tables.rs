//! What the table in memory is good for, counted.

use vhd::test_support::MemoryStorage;
use vhd::{Disk, Image, TableAccess};

use super::{SECTORS, dynamic, new_disk};

/// Reads and writes of the file for each of 1000 sectors written over what is there.
fn accesses(mut disk: Disk<MemoryStorage>, storage: &MemoryStorage) -> f64 {
    disk.write(0, &vec![1; (SECTORS * 512) as usize]).unwrap();
    disk.flush().unwrap();
    let before = storage.accesses();
    for n in 0..1000 {
        disk.write(n * 7 % SECTORS, &[2; 512]).unwrap();
    }
    let after = storage.accesses();
    ((after.0 + after.1) - (before.0 + before.1)) as f64 / 1000.0
}

/// \[B\]: a dynamic disk of Hyper-V 2.0 writes as fast as a fixed one, since part of its table is in memory.
#[test]
fn a_dynamic_disk_with_its_table_in_memory_accesses_its_file_as_often_as_a_fixed_one() {
    let storage = MemoryStorage::new();
    let image = Image::create_fixed(storage.clone(), "fixed", &new_disk(1)).unwrap();
    let fixed = accesses(Disk::new(image, Vec::new()).unwrap(), &storage);
    let of = |access| {
        let (disk, storage) = dynamic(access);
        accesses(disk, &storage)
    };
    assert_eq!(fixed, 1.0);
    assert_eq!(of(TableAccess::InMemory), fixed);
    // Table entry, bitmap, data.
    assert_eq!(of(TableAccess::PerAccess), 3.0 * fixed);
}
