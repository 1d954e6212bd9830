//! Files on the host: locks, parents that move, change and loop.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use vhd::files::{Opening, create_differencing, create_dynamic, create_fixed, open, reconnect};
use vhd::{Disk, Identity, NewDisk, TableAccess, Uuid, VhdError, VhdTime};

use super::new_disk;

fn identity(number: u128) -> Identity {
    Identity { uuid: Uuid::from_u128(number), time: VhdTime(1) }
}

fn dynamic(path: &Path, number: u128) -> Disk<File> {
    create_dynamic(path, &new_disk(number), TableAccess::InMemory).unwrap()
}

#[test]
fn a_chain_is_found_again_and_every_level_gives_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    dynamic(&path("golden.vhd"), 1).write(0, &[1; 4096]).unwrap();
    fs::create_dir(path("vm")).unwrap();
    create_differencing(&path("vm/one.vhd"), &path("golden.vhd"), identity(2))
        .unwrap()
        .write(2, &[2; 512])
        .unwrap();
    create_differencing(&path("vm/two.vhd"), &path("vm/one.vhd"), identity(3))
        .unwrap()
        .write(4, &[3; 512])
        .unwrap();
    let firsts = |disk: &mut Disk<File>| {
        let mut bytes = [0; 5 * 512];
        disk.read(0, &mut bytes).unwrap();
        bytes.chunks(512).map(|sector| sector[0]).collect::<Vec<_>>()
    };
    let mut disk = open(&path("vm/two.vhd"), Opening::read()).unwrap();
    assert_eq!(firsts(&mut disk), [1, 1, 2, 1, 3]);
    drop(disk);
    // The whole folder moves: the paths from the child's folder lead there still.
    let moved = tempfile::tempdir().unwrap();
    fs::rename(folder.path(), moved.path().join("a")).unwrap();
    assert_eq!(
        firsts(&mut open(&moved.path().join("a/vm/two.vhd"), Opening::write()).unwrap()),
        [1, 1, 2, 1, 3]
    );
}

#[test]
fn a_file_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.vhd");
    let disk = dynamic(&path, 1);
    for opening in [Opening::read(), Opening::write()] {
        assert!(matches!(open(&path, opening), Err(VhdError::Locked { .. })));
    }
    drop(disk);
    let reader = open(&path, Opening::read()).unwrap();
    assert!(open(&path, Opening::read()).is_ok());
    let error = open(&path, Opening::write()).unwrap_err();
    assert!(error.to_string().ends_with("is in use: another run has it open"), "{error}");
    drop(reader);
    // A child keeps its parent from being written.
    let child = create_differencing(&folder.path().join("child.vhd"), &path, identity(2)).unwrap();
    assert!(matches!(open(&path, Opening::write()), Err(VhdError::Locked { .. })));
    drop(child);
    assert!(open(&path, Opening::write()).is_ok());
}

#[test]
fn a_parent_that_was_changed_moved_or_replaced_is_refused_and_can_be_reconnected() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (parent, child) = (path("parent.vhd"), path("child.vhd"));
    drop(dynamic(&parent, 1));
    drop(create_differencing(&child, &parent, identity(2)).unwrap());
    assert!(open(&child, Opening::read()).is_ok());

    let later = fs::metadata(&parent).unwrap().modified().unwrap() + Duration::from_secs(2);
    File::options().write(true).open(&parent).unwrap().set_modified(later).unwrap();
    assert!(matches!(open(&child, Opening::read()), Err(VhdError::ParentChanged { .. })));
    reconnect(&child, &parent).unwrap();
    assert!(open(&child, Opening::read()).is_ok());

    fs::rename(&parent, path("moved.vhd")).unwrap();
    let error = open(&child, Opening::read()).unwrap_err();
    assert!(matches!(&error, VhdError::ParentMissing { tried, .. } if !tried.is_empty()), "{error}");
    reconnect(&child, &path("moved.vhd")).unwrap();
    assert!(open(&child, Opening::read()).is_ok());

    drop(dynamic(&parent, 3));
    assert!(matches!(reconnect(&child, &parent), Err(VhdError::ParentIsAnother { .. })));
}

#[test]
fn parents_that_lead_back_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    drop(dynamic(&path("base.vhd"), 1));
    drop(create_differencing(&path("a.vhd"), &path("base.vhd"), identity(2)).unwrap());
    // The child of "a" takes the place of its grandparent, under the grandparent's name.
    drop(create_differencing(&path("b.vhd"), &path("a.vhd"), identity(1)).unwrap());
    let time = fs::metadata(path("base.vhd")).unwrap().modified().unwrap();
    fs::rename(path("b.vhd"), path("base.vhd")).unwrap();
    File::options().write(true).open(path("base.vhd")).unwrap().set_modified(time).unwrap();
    let error = open(&path("base.vhd"), Opening::read()).unwrap_err();
    assert!(matches!(&error, VhdError::ParentLoop { chain, .. } if chain.len() == 3), "{error}");
    assert!(matches!(open(&path("a.vhd"), Opening::read()), Err(VhdError::ParentLoop { .. })));
}

#[test]
fn what_is_no_file_and_what_is_there_already() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.vhd");
    assert!(matches!(open(folder.path(), Opening::read()), Err(VhdError::NotAFile { .. })));
    assert!(matches!(open(&path, Opening::read()), Err(VhdError::Open { .. })));
    fs::write(&path, "mine").unwrap();
    assert!(matches!(create_fixed(&path, &new_disk(1)), Err(VhdError::Exists { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    // What could not be finished is not left behind.
    let path = folder.path().join("other.vhd");
    let bad = NewDisk { bytes: 100, ..new_disk(1) };
    assert!(create_dynamic(&path, &bad, TableAccess::InMemory).is_err());
    assert!(!path.exists());
}

#[test]
fn a_fixed_disk_has_its_space_from_the_beginning() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.vhd");
    let new = NewDisk::new(4 << 20, identity(1));
    drop(create_fixed(&path, &new).unwrap());
    assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 4 << 20);
    assert!(fs::metadata(&path).unwrap().modified().unwrap() > SystemTime::UNIX_EPOCH);
}
