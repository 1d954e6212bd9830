//! Files that are none, are cut off, damaged or contradict themselves; hosts that are full or fail.

use vhd::test_support::MemoryStorage;
use vhd::{Disk, FooterRule, FormatError, Image, ParentLink, TableAccess, VhdError, check};

use super::{SECTORS, all, dynamic, new_disk};

/// A disk with three blocks; 6 sectors of table and headers, then 9 for each block, then the footer.
fn file() -> Vec<u8> {
    let (mut disk, storage) = dynamic(TableAccess::InMemory);
    disk.write(0, &[1; 3 * 4096]).unwrap();
    disk.flush().unwrap();
    storage.bytes()
}

fn open(bytes: Vec<u8>) -> Result<Image<MemoryStorage>, FormatError> {
    match Image::open(MemoryStorage::of(bytes), "file", TableAccess::InMemory, true) {
        Ok(image) => Ok(image),
        Err(VhdError::Format { name, error }) => {
            assert_eq!(name, "file");
            Err(error)
        }
        Err(error) => panic!("{error}"),
    }
}

fn refused(change: impl FnOnce(&mut Vec<u8>)) -> FormatError {
    let mut bytes = file();
    change(&mut bytes);
    open(bytes).expect_err("a bad file")
}

#[test]
fn files_that_are_no_vhd() {
    assert_eq!(open(Vec::new()).unwrap_err(), FormatError::TooShort { len: 0 });
    assert_eq!(open(vec![0; 511]).unwrap_err(), FormatError::TooShort { len: 511 });
    assert_eq!(open(vec![0; 4096]).unwrap_err(), FormatError::NotVhd);
    let mut vhdx = vec![0; 4096];
    vhdx[..8].copy_from_slice(b"vhdxfile");
    assert_eq!(open(vhdx).unwrap_err(), FormatError::Vhdx);
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_told() {
    let bytes = file();
    for len in 0..bytes.len() {
        let error = open(bytes[..len].to_vec()).unwrap_err();
        // Only where no block is missing can it be mended.
        let mended = Image::open_with(
            MemoryStorage::of(bytes[..len].to_vec()),
            "file",
            TableAccess::InMemory,
            true,
            FooterRule::Repair,
        );
        assert_eq!(mended.is_ok(), len >= bytes.len() - 512, "{len}: {error}");
    }
}

#[test]
fn a_cut_off_block_is_named_with_what_is_missing() {
    let bytes = file();
    let cut = bytes[..bytes.len() - 512 - 1000].to_vec();
    let open =
        Image::open_with(MemoryStorage::of(cut), "a.vhd", TableAccess::InMemory, true, FooterRule::Repair);
    let text = open.unwrap_err().to_string();
    assert!(text.contains("a.vhd: block 2 is at bytes") && text.ends_with("cut off by 1000 bytes"), "{text}");
}

#[test]
fn damaged_footers_are_told_and_mended_from_each_other() {
    type Change<'a> = &'a dyn Fn(&mut Vec<u8>);
    let last = file().len() - 512;
    let cases: [(Change<'_>, bool); 3] = [
        (&|bytes| bytes[last + 30] ^= 1, true),
        (&|bytes| bytes[30] ^= 1, true),
        (&|bytes| [30, last + 30].into_iter().for_each(|at| bytes[at] ^= 1), false),
    ];
    for (change, repairable) in cases {
        let error = refused(change);
        assert_eq!(error.is_repairable(), repairable, "{error}");
        let mut bytes = file();
        change(&mut bytes);
        let storage = MemoryStorage::of(bytes);
        let open = |rule| Image::open_with(storage.clone(), "file", TableAccess::InMemory, true, rule);
        assert_eq!(open(FooterRule::Repair).is_ok(), repairable);
        assert_eq!(open(FooterRule::Refuse).is_ok(), repairable);
        if repairable {
            assert_eq!(storage.bytes(), file());
        }
    }
}

#[test]
fn a_footer_that_disagrees_with_its_copy_is_told() {
    let other =
        Image::create_dynamic(MemoryStorage::new(), "other", &new_disk(9), TableAccess::InMemory).unwrap();
    let error = refused(|bytes| {
        let last = bytes.len() - 512;
        bytes[last..].copy_from_slice(&other.footer().to_bytes());
    });
    assert_eq!(error, FormatError::FootersDisagree { field: "who the disk is (UUID and time)" });
}

#[test]
fn tables_that_lie_are_told() {
    let entry = |block: usize, value: u32| {
        refused(move |bytes| bytes[1536 + block * 4..][..4].copy_from_slice(&value.to_be_bytes()))
    };
    assert!(matches!(entry(1, 2), FormatError::BlockInMetadata { block: 1, offset: 1024, .. }));
    assert!(matches!(entry(1, 5), FormatError::BlocksOverlap { .. }));
    assert!(matches!(entry(4, 1 << 30), FormatError::BlockBeyondFile { block: 4, .. }));
    // Over the footer.
    let last = (file().len() / 512 - 1) as u32;
    assert!(matches!(entry(4, last), FormatError::BlockBeyondFile { block: 4, .. }));
}

#[test]
fn files_that_are_not_in_whole_sectors_or_whose_table_is_in_the_footer_are_told() {
    let error = refused(|bytes| {
        let at = bytes.len() - 512;
        bytes.splice(at..at, [0; 100]);
    });
    assert!(matches!(error, FormatError::Length { .. }), "{error}");
    // The table where the footer is.
    let (_, storage) = dynamic(TableAccess::InMemory);
    let mut bytes = storage.bytes();
    let last = (bytes.len() - 512) as u64;
    let image = open(bytes.clone()).unwrap();
    let header = vhd::format::Header { table_offset: last, ..image.header().unwrap().clone() };
    bytes[512..1536].copy_from_slice(&header.to_bytes());
    // Its bytes are no good table either.
    assert!(open(bytes).is_err());
}

#[test]
fn a_fixed_disk_that_was_cut_off_or_joined_is_told() {
    let storage = MemoryStorage::new();
    Image::create_fixed(storage.clone(), "fixed", &new_disk(1)).unwrap();
    let bytes = storage.bytes();
    let disk = SECTORS * 512;
    let joined = [&[0; 512][..], &bytes].concat();
    assert_eq!(open(joined).unwrap_err(), FormatError::FixedLength { disk, data: disk + 512 });
    assert_eq!(open(bytes[512..].to_vec()).unwrap_err(), FormatError::FixedLength { disk, data: disk - 512 });
    assert_eq!(open(bytes[..bytes.len() - 512].to_vec()).unwrap_err(), FormatError::NotVhd);
    // What a guest writes to its first sector is its own business: here, a footer.
    let inside = [&new_footer()[..], &bytes[512..]].concat();
    assert!(open(inside).is_ok());
}

fn new_footer() -> Vec<u8> {
    file()[..512].to_vec()
}

#[test]
fn requests_that_no_disk_has_are_refused() {
    let (mut disk, _) = dynamic(TableAccess::InMemory);
    for (sector, count) in [(SECTORS, 1), (0, SECTORS + 1), (u64::MAX, 1), (u64::MAX, 2)] {
        let mut bytes = vec![0; (count * 512) as usize];
        assert!(matches!(disk.read(sector, &mut bytes), Err(VhdError::OutOfDisk { .. })));
        assert!(matches!(disk.write(sector, &bytes), Err(VhdError::OutOfDisk { .. })));
        assert!(matches!(disk.discard(sector, count), Err(VhdError::OutOfDisk { .. })));
    }
    assert!(matches!(disk.write(0, &[0; 100]), Err(VhdError::NotSectors { bytes: 100 })));
}

#[test]
fn parents_that_do_not_fit_are_refused() {
    let parent = |number, sectors: u64| {
        let mut new = new_disk(number);
        new.bytes = sectors * 512;
        Image::create_dynamic(MemoryStorage::new(), "parent", &new, TableAccess::InMemory).unwrap()
    };
    let child = || {
        let link = ParentLink {
            identity: new_disk(7).identity,
            name: "parent".to_owned(),
            relative: None,
            absolute: None,
        };
        Image::create_differencing(MemoryStorage::new(), "child", &new_disk(8), &link, TableAccess::InMemory)
            .unwrap()
    };
    assert!(Disk::new(child(), vec![parent(7, SECTORS)]).is_ok());
    assert!(matches!(Disk::new(child(), vec![parent(6, SECTORS)]), Err(VhdError::ParentIsAnother { .. })));
    assert!(matches!(Disk::new(child(), vec![parent(7, 9)]), Err(VhdError::ParentSize { .. })));
    assert!(matches!(Disk::new(child(), Vec::new()), Err(VhdError::WrongParents { parents: 0, .. })));
    assert!(matches!(
        Disk::new(parent(7, 9), vec![parent(7, 9)]),
        Err(VhdError::WrongParents { parents: 1, .. })
    ));
}

#[test]
fn a_host_that_is_full_costs_only_what_did_not_fit() {
    let data = vec![5; (SECTORS * 512) as usize];
    let pages = |room: usize| {
        let (mut disk, storage) = dynamic(TableAccess::InMemory);
        disk.write(3, &[9; 2048]).unwrap();
        disk.flush().unwrap();
        storage.set_room(Some(room));
        let result = disk.write(0, &data);
        if let Err(error) = &result {
            assert!(matches!(error, VhdError::HostFull { .. }), "{error}");
        }
        // The disk goes on: each sector is old or new, it can be flushed, opened again, and written once there is room.
        let now = all(&mut disk);
        for (sector, bytes) in now.chunks(512).enumerate() {
            let old = if (3..7).contains(&sector) { 9 } else { 0 };
            assert!(bytes == [5; 512] || bytes == [old; 512], "sector {sector}");
        }
        disk.flush().unwrap();
        drop(disk.into_images());
        let image = open(storage.bytes()).unwrap();
        let mut again = Disk::new(image, Vec::new()).unwrap();
        assert_eq!(all(&mut again), now);
        again.write(0, &data).unwrap();
        assert_eq!(all(&mut again), data);
        check(again.image_mut()).unwrap();
        result.is_ok()
    };
    let enough = (0..40).find(|&room| pages(room)).unwrap();
    assert!(enough > 4, "{enough}");
}

#[test]
fn a_device_that_fails_at_any_write_loses_nothing_that_was_flushed() {
    for working in 0..40 {
        let (mut disk, storage) = dynamic(TableAccess::InMemory);
        disk.write(3, &[9; 2048]).unwrap();
        disk.flush().unwrap();
        storage.fail_after(Some(working));
        let written = disk.write(0, &vec![5; (SECTORS * 512) as usize]).and_then(|()| disk.flush());
        storage.fail_after(None);
        let now = all(&mut disk);
        // The flush is tried again, and what is on the disk is what was said.
        disk.flush().unwrap();
        drop(disk.into_images());
        let mut again = Disk::new(open(storage.bytes()).unwrap(), Vec::new()).unwrap();
        assert_eq!(all(&mut again), now, "{working}");
        if written.is_ok() {
            return;
        }
        assert!(matches!(written, Err(VhdError::Io { .. })));
    }
    panic!("the write never succeeded");
}
