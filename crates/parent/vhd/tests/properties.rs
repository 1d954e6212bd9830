//! Random use of disks of all types and of their children, beside a plain vector of bytes.

use proptest::prelude::*;
use vhd::test_support::{FuzzReach, MemoryStorage, fuzz_file};
use vhd::{Disk, Image, ParentLink, TableAccess, check, compare, copy};

use super::{SECTORS, all, dynamic, new_disk};

#[derive(Clone, Debug)]
enum Action {
    Write {
        from: u64,
        count: u64,
        fill: u8,
    },
    Discard {
        from: u64,
        count: u64,
    },
    Flush,
    /// Closed and opened again, with the table in memory or in the file.
    Reopen(bool),
    /// The disk becomes the parent of a new one.
    Snapshot,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let sectors = || (0..SECTORS).prop_flat_map(|from| (Just(from), 0..=SECTORS - from));
    let action = prop_oneof![
        8 => (sectors(), any::<u8>()).prop_map(|((from, count), fill)| Action::Write { from, count, fill }),
        3 => sectors().prop_map(|(from, count)| Action::Discard { from, count }),
        1 => Just(Action::Flush),
        1 => any::<bool>().prop_map(Action::Reopen),
        1 => Just(Action::Snapshot),
    ];
    prop::collection::vec(action, 0..40)
}

fn link(parent: &Image<MemoryStorage>) -> ParentLink {
    ParentLink {
        identity: parent.footer().identity,
        name: "parent.vhd".to_owned(),
        relative: Some(".\\parent.vhd".to_owned()),
        absolute: None,
    }
}

/// The same files, opened again.
fn reopened(disk: Disk<MemoryStorage>, access: TableAccess) -> Disk<MemoryStorage> {
    let mut images = disk.into_images().into_iter().enumerate().map(|(index, image)| {
        let name = image.name().to_owned();
        Image::open(image.into_storage(), &name, access, index == 0).unwrap()
    });
    let image = images.next().unwrap();
    Disk::new(image, images.collect()).unwrap()
}

fn child_of(disk: Disk<MemoryStorage>, number: u128) -> Disk<MemoryStorage> {
    let parents = disk.into_images();
    let link = link(&parents[0]);
    let storage = MemoryStorage::new();
    let image = Image::create_differencing(storage, "child", &new_disk(number), &link, TableAccess::InMemory)
        .unwrap();
    Disk::new(image, parents).unwrap()
}

fn run(mut disk: Disk<MemoryStorage>, actions: Vec<Action>) {
    let mut model = vec![0; (SECTORS * 512) as usize];
    let bytes = |from: u64, count: u64| (from * 512) as usize..((from + count) * 512) as usize;
    for (action, number) in actions.into_iter().zip(100..) {
        match action {
            Action::Write { from, count, fill } => {
                disk.write(from, &vec![fill; (count * 512) as usize]).unwrap();
                model[bytes(from, count)].fill(fill);
            }
            Action::Discard { from, count } => {
                assert_eq!(disk.discard(from, count).is_ok(), disk.can_discard());
                if disk.can_discard() {
                    model[bytes(from, count)].fill(0);
                }
            }
            Action::Flush => disk.flush().unwrap(),
            Action::Reopen(in_memory) => {
                disk.flush().unwrap();
                let access = if in_memory { TableAccess::InMemory } else { TableAccess::PerAccess };
                disk = reopened(disk, access);
            }
            Action::Snapshot => {
                disk.flush().unwrap();
                disk = child_of(disk, number);
            }
        }
        assert_eq!(all(&mut disk), model);
    }
    disk.flush().unwrap();
    let report = check(disk.image_mut()).unwrap();
    assert_eq!(report.blocks_with_stale_bytes, 0);
    // Written into a disk of each type, it is the same disk.
    let fixed = Image::create_fixed(MemoryStorage::new(), "fixed", &new_disk(2)).unwrap();
    let mut fixed = Disk::new(fixed, Vec::new()).unwrap();
    copy(&mut disk, &mut fixed).unwrap();
    let (mut flat, _) = dynamic(TableAccess::InMemory);
    copy(&mut fixed, &mut flat).unwrap();
    assert!(compare(&mut disk, &mut flat, 9).unwrap().is_same());
    assert_eq!(all(&mut flat), model);
    // What is said to be absent is zeros.
    for sector in 0..SECTORS {
        if disk.are_absent(sector, 1).unwrap() {
            assert_eq!(model[bytes(sector, 1)], [0; 512]);
        }
    }
}

proptest! {
    #[test]
    fn disks_are_what_was_written(actions in actions(), in_memory: bool) {
        let access = if in_memory { TableAccess::InMemory } else { TableAccess::PerAccess };
        run(dynamic(access).0, actions);
    }

    #[test]
    fn fixed_disks_are_what_was_written(actions in actions()) {
        let fixed = Image::create_fixed(MemoryStorage::new(), "fixed", &new_disk(1)).unwrap();
        run(Disk::new(fixed, Vec::new()).unwrap(), actions);
    }

    #[test]
    fn any_bytes_as_a_file_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz_file(&bytes);
    }
}

#[test]
fn fuzz_inputs_reach_open_files_and_mended_ones() {
    let mut rng =
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let (mut opened, mut mended, mut requests) = (0, 0, 0);
    for _ in 0..4000 {
        let bytes: Vec<u8> = (0..400).map(|_| rng.next_u32() as u8).collect();
        let FuzzReach { opened: open, mended: mend, requests: done } = fuzz_file(&bytes);
        opened += u32::from(open);
        mended += u32::from(mend);
        requests += done;
    }
    assert!(opened > 200 && mended > 20 && requests > 2000, "{opened} {mended} {requests}");
}

#[test]
fn a_comparison_says_where_disks_differ() {
    let (mut one, _) = dynamic(TableAccess::InMemory);
    let (mut other, _) = dynamic(TableAccess::InMemory);
    one.write(7, &[1; 1024]).unwrap();
    one.write(20, &[1; 512]).unwrap();
    other.write(30, &[1; 512]).unwrap();
    let found = compare(&mut one, &mut other, 2).unwrap();
    assert_eq!((found.different, found.runs.as_slice()), (4, &[(7, 2), (20, 1)][..]));
    assert!(!found.is_same());
}

#[test]
fn blocks_that_were_discarded_are_used_again() {
    let (mut disk, storage) = dynamic(TableAccess::InMemory);
    disk.write(0, &[1; 3 * 4096]).unwrap();
    disk.flush().unwrap();
    let full = storage.bytes().len();
    disk.discard(8, 8).unwrap();
    // The table in the file still names the place.
    disk.write(24, &[2; 512]).unwrap();
    assert!(storage.bytes().len() > full);
    disk.flush().unwrap();
    let grown = storage.bytes().len();
    disk.write(32, &[3; 512]).unwrap();
    assert_eq!(storage.bytes().len(), grown);
    let mut back = [0; 1024];
    disk.read(32, &mut back).unwrap();
    assert_eq!((back[0], back[512]), (3, 0));
}
