//! QEMU's tools read what this crate writes, and the other way round; bit by bit. Left out, with a word, where they are not installed.

use std::path::Path;
use std::process::Command;

use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use vhd::files::{Opening, RawImage, create_differencing, create_dynamic, create_fixed, open};
use vhd::{Identity, NewDisk, TableAccess, Uuid, VhdTime, WriteSectors, check, compare, copy};

/// Whether the tools are there.
fn qemu_img() -> bool {
    let found = Command::new("qemu-img").arg("--version").output().is_ok();
    if !found {
        eprintln!("left out: qemu-img is not installed (Debian: qemu-utils)");
    }
    found
}

fn run(args: &[&str], folder: &Path) -> String {
    let output = Command::new("qemu-img").args(args).current_dir(folder).output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "qemu-img {args:?}: {text}");
    text
}

fn identity(number: u128) -> Identity {
    Identity { uuid: Uuid::from_u128(number), time: VhdTime(1) }
}

/// Random writes here and there; `sectors` are the disk's.
fn scribble(disk: &mut impl WriteSectors, rng: &mut TestRng) {
    let sectors = disk.sectors();
    for _ in 0..30 {
        let count = 1 + u64::from(rng.next_u32()) % 300;
        let from = rng.next_u64() % (sectors - count);
        let mut bytes = vec![0; (count * 512) as usize];
        rng.fill_bytes(&mut bytes);
        disk.write(from, &bytes).unwrap();
    }
    // The last sector, too.
    disk.write(sectors - 1, &[0xaa; 512]).unwrap();
    disk.flush().unwrap();
}

/// Sizes in MiB and sectors more: whole blocks, part of a block, and one that no geometry has.
const SIZES: [(u64, u64); 3] = [(64, 0), (37, 3), (1, 17)];

#[test]
fn qemu_reads_what_is_written_here() {
    if !qemu_img() {
        return;
    }
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for (mib, more) in SIZES {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let new = NewDisk::new((mib << 20) + more * 512, identity(1));
        let mut dynamic = create_dynamic(&path("dynamic.vhd"), &new, TableAccess::InMemory).unwrap();
        scribble(&mut dynamic, &mut rng);
        dynamic.discard(5, 4000.min(dynamic.sectors() - 5)).unwrap();
        dynamic.flush().unwrap();
        let mut fixed = create_fixed(&path("fixed.vhd"), &new).unwrap();
        copy(&mut dynamic, &mut fixed).unwrap();
        drop((dynamic, fixed));
        for name in ["dynamic.vhd", "fixed.vhd"] {
            let info = run(&["info", "-f", "vpc", name], folder.path());
            assert!(info.contains(&format!("({} bytes)", new.bytes)), "{info}");
            let raw = format!("{name}.raw");
            run(&["convert", "-f", "vpc", "-O", "raw", name, &raw], folder.path());
            let mut ours = open(&path(name), Opening::read()).unwrap();
            let found = compare(&mut ours, &mut RawImage::open(&path(&raw)).unwrap(), 5).unwrap();
            assert!(found.is_same(), "{name}: {found:?}");
        }
        run(&["compare", "-f", "vpc", "-F", "vpc", "dynamic.vhd", "fixed.vhd"], folder.path());
        let info = run(&["info", "-f", "vpc", "--output", "json", "dynamic.vhd"], folder.path());
        assert!(info.contains("\"format\": \"vpc\""), "{info}");
    }
}

#[test]
fn what_qemu_writes_is_read_here_written_on_and_read_by_qemu_again() {
    if !qemu_img() {
        return;
    }
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for subformat in ["dynamic", "fixed"] {
        for (mib, more) in SIZES {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name);
            let sectors = mib * 2048 + more;
            let mut raw = RawImage::create(&path("a.raw"), sectors).unwrap();
            scribble(&mut raw, &mut rng);
            let options = format!("subformat={subformat},force_size=on");
            run(&["convert", "-f", "raw", "-O", "vpc", "-o", &options, "a.raw", "a.vhd"], folder.path());
            let mut disk = open(&path("a.vhd"), Opening::write()).unwrap();
            assert!(compare(&mut disk, &mut raw, 5).unwrap().is_same());
            check(disk.image_mut()).unwrap();
            scribble(&mut disk, &mut rng);
            copy(&mut disk, &mut raw).unwrap();
            drop((disk, raw));
            run(&["compare", "-f", "vpc", "-F", "raw", "a.vhd", "a.raw"], folder.path());
        }
    }
}

/// QEMU does not read parents, so a chain is held against QEMU by way of one disk.
#[test]
fn a_chain_written_into_one_disk_is_read_by_qemu() {
    if !qemu_img() {
        return;
    }
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let new = NewDisk::new(64 << 20, identity(1));
    let mut raw = RawImage::create(&path("a.raw"), new.bytes / 512).unwrap();
    scribble(&mut raw, &mut rng);
    run(&["convert", "-f", "raw", "-O", "vpc", "-o", "force_size=on", "a.raw", "golden.vhd"], folder.path());
    for (name, parent, number) in [("one.vhd", "golden.vhd", 2), ("two.vhd", "one.vhd", 3)] {
        let mut child = create_differencing(&path(name), &path(parent), identity(number)).unwrap();
        let mut same = rng.clone();
        scribble(&mut child, &mut rng);
        scribble(&mut raw, &mut same);
    }
    let mut chain = open(&path("two.vhd"), Opening::read()).unwrap();
    assert_eq!(chain.parents().len(), 2);
    let mut flat = create_dynamic(&path("flat.vhd"), &new, TableAccess::InMemory).unwrap();
    copy(&mut chain, &mut flat).unwrap();
    drop(flat);
    run(&["compare", "-f", "vpc", "-F", "raw", "flat.vhd", "a.raw"], folder.path());
}
