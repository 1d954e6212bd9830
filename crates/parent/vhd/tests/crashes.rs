//! The host stops between any two writes, or in the midst of one: what was flushed is there, and of the rest each sector is old or new.

use std::collections::BTreeSet;

use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use vhd::test_support::{MemoryStorage, Operation};
use vhd::{Disk, FooterRule, Image, ParentLink, TableAccess, VhdError, check};

use super::{SECTORS, dynamic, new_disk};

/// What a sector may have after a crash.
#[derive(Clone, Debug)]
struct Allowed {
    /// Since the last flush that was over; the flushed content is among them.
    contents: Vec<BTreeSet<u8>>,
}

/// A disk, its log, and after each operation of the log what may be found.
struct Story {
    log: Vec<Operation>,
    allowed: Vec<Allowed>,
    /// The file before the first operation of the log.
    before: Vec<u8>,
}

/// Random writes, discards and flushes of a disk on `storage`, whose sectors are all `initial`.
fn story(rng: &mut TestRng, mut disk: Disk<MemoryStorage>, storage: &MemoryStorage, initial: u8) -> Story {
    let skip = storage.log().len();
    let before = storage.bytes();
    let mut current = vec![initial; SECTORS as usize];
    let mut allowed = Allowed { contents: vec![BTreeSet::from([initial]); SECTORS as usize] };
    let mut after_each = vec![allowed.clone()];
    for step in 1..30u8 {
        let from = u64::from(rng.next_u32()) % SECTORS;
        let count = u64::from(rng.next_u32()) % (SECTORS - from + 1);
        let fill = match rng.next_u32() % 8 {
            0 if disk.can_discard() => Some(0),
            0 | 1 => None,
            _ => Some(step),
        };
        if let Some(fill) = fill {
            for sector in from..from + count {
                current[sector as usize] = fill;
                allowed.contents[sector as usize].insert(fill);
            }
        }
        match fill {
            None => disk.flush().unwrap(),
            Some(0) => disk.discard(from, count).unwrap(),
            Some(fill) => disk.write(from, &vec![fill; (count * 512) as usize]).unwrap(),
        }
        // While it is under way the new content is allowed already.
        after_each.resize(storage.log().len() - skip + 1, allowed.clone());
        if fill.is_none() {
            for (contents, &now) in allowed.contents.iter_mut().zip(&current) {
                *contents = BTreeSet::from([now]);
            }
            // The flush is over with its last operation.
            if let Some(last) = after_each.last_mut() {
                *last = allowed.clone();
            }
        }
    }
    drop(disk.into_images());
    Story { log: storage.log().split_off(skip), allowed: after_each, before }
}

/// Crashes at every point of a story; the first thing that is not allowed, if there is one.
fn crash_everywhere(rng: &mut TestRng, story: &Story, parent: Option<&MemoryStorage>) -> Result<u32, String> {
    let mut repaired = 0;
    for end in 0..=story.log.len() {
        for attempt in 0..4 {
            // All of it, none of it, some of it.
            let keep: &mut dyn FnMut() -> bool = match attempt {
                0 => &mut || true,
                1 => &mut || false,
                _ => &mut || rng.next_u32().is_multiple_of(2),
            };
            let storage = MemoryStorage::after_crash(&story.before, &story.log[..end], keep);
            let open = |rule| Image::open_with(storage.clone(), "crashed", TableAccess::InMemory, true, rule);
            let image = match open(FooterRule::Refuse) {
                Ok((image, _)) => image,
                Err(VhdError::Format { error, .. }) if error.is_repairable() => {
                    repaired += 1;
                    open(FooterRule::Repair).map_err(|error| format!("{end}: not repaired: {error}"))?.0
                }
                Err(error) => return Err(format!("{end}: {error}")),
            };
            let parents = parent
                .map(|parent| Image::open(parent.clone(), "parent", TableAccess::InMemory, false).unwrap());
            let mut disk = Disk::new(image, parents.into_iter().collect()).unwrap();
            check(disk.image_mut()).map_err(|error| format!("{end}: {error}"))?;
            for (sector, contents) in (0..).zip(&story.allowed[end].contents) {
                let mut bytes = [0; 512];
                disk.read(sector, &mut bytes).unwrap();
                let found = bytes[0];
                if bytes != [found; 512] || !contents.contains(&found) {
                    return Err(format!(
                        "after {end} operations sector {sector} has {found}, not one of {contents:?}"
                    ));
                }
            }
        }
    }
    Ok(repaired)
}

fn rng() -> TestRng {
    TestRng::deterministic_rng(RngAlgorithm::ChaCha)
}

#[test]
fn a_crash_at_any_moment_loses_nothing_that_was_flushed() {
    let (mut rng, mut repaired, mut operations) = (rng(), 0, 0);
    for round in 0..40 {
        let access = if round % 4 == 0 { TableAccess::PerAccess } else { TableAccess::InMemory };
        let (disk, storage) = dynamic(access);
        let story = story(&mut rng, disk, &storage, 0);
        operations += story.log.len();
        repaired += crash_everywhere(&mut rng, &story, None).unwrap();
    }
    assert!(operations > 1000 && repaired > 20, "{operations} {repaired}");
}

#[test]
fn a_crash_of_a_child_shows_its_own_sectors_or_its_parents() {
    let mut rng = rng();
    for _ in 0..20 {
        let (mut disk, parent) = dynamic(TableAccess::InMemory);
        disk.write(0, &vec![0xee; (SECTORS * 512) as usize]).unwrap();
        disk.flush().unwrap();
        let parents = disk.into_images();
        let link = ParentLink {
            identity: parents[0].footer().identity,
            name: "parent.vhd".to_owned(),
            relative: None,
            absolute: None,
        };
        let storage = MemoryStorage::new();
        let image =
            Image::create_differencing(storage.clone(), "child", &new_disk(2), &link, TableAccess::InMemory);
        let disk = Disk::new(image.unwrap(), parents).unwrap();
        let story = story(&mut rng, disk, &storage, 0xee);
        crash_everywhere(&mut rng, &story, Some(&parent)).unwrap();
    }
}

/// The negative model: a host that makes nothing durable before the next write is found out.
#[test]
fn a_disk_that_did_not_wait_for_its_data_would_be_found_out() {
    let mut rng = rng();
    let found_out = (0..40).any(|_| {
        let (disk, storage) = dynamic(TableAccess::InMemory);
        let mut story = story(&mut rng, disk, &storage, 0);
        // Only the sync that ends a flush is left: the one before metadata is taken out.
        let log = std::mem::take(&mut story.log);
        let allowed = std::mem::take(&mut story.allowed);
        let is_sync = |index: usize| log.get(index) == Some(&Operation::Sync);
        for (index, (operation, allowed)) in log.iter().zip(allowed).enumerate() {
            let ends_a_flush = is_sync(index)
                && log[index + 1..].iter().take_while(|next| **next != Operation::Sync).all(
                    |next| match next {
                        Operation::Write { offset, .. } => *offset >= 2048,
                        _ => true,
                    },
                );
            if !is_sync(index) || ends_a_flush {
                story.log.push(operation.clone());
                story.allowed.push(allowed);
            }
        }
        story.allowed.push(story.allowed.last().unwrap().clone());
        crash_everywhere(&mut rng, &story, None).is_err()
    });
    assert!(found_out);
}

#[test]
fn creation_that_was_interrupted_is_told() {
    let (_, storage) = dynamic(TableAccess::InMemory);
    let log = storage.log();
    let whole = log.len();
    for end in 0..whole - 2 {
        let storage = MemoryStorage::after_crash(&[], &log[..end], || true);
        assert!(Image::open(storage, "unfinished", TableAccess::InMemory, true).is_err(), "{end}");
    }
    let storage = MemoryStorage::after_crash(&[], &log[..whole], || true);
    assert!(Image::open(storage, "finished", TableAccess::InMemory, true).is_ok());
}
