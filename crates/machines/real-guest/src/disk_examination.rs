//! Disks of the record after its guest has ended, looked at by tools of this computer: what they say of our files was not said by us.

use std::path::Path;

use anyhow::{Context as _, Result};
use run_journal::manifest::sha256_hex;
use vhd::files::{self, Opening, RawImage};

use crate::disk_images::{DATA, ROOT, STAMP, STAMP_SUM, program, run};
use crate::record::Record;

/// Looks at the disks that a guest has left in `folder`, by other people's tools. What they found is added to the record; a tool that is not
/// installed is named by `missing`.
///
/// # Errors
/// A file cannot be read or written.
pub fn examine(record: &mut Record, folder: &Path, mut missing: impl FnMut(&str)) -> Result<()> {
    let root = folder.join(ROOT);
    let data = folder.join(DATA);
    if !root.is_file() {
        // The guest did not come as far, and the record says why.
        return Ok(());
    }
    if let Some(qemu_img) = program("qemu-img") {
        for path in [&root, &data] {
            let checked = run(&qemu_img, &["info", "-f", "vpc", &path.display().to_string()]);
            record.check(
                &format!("qemu-img reads {} as the guest left it", name_of(path)),
                checked.is_ok(),
                checked.map_or_else(|error| error.to_string(), |said| line_with(&said, "virtual size")),
            );
        }
    } else {
        missing("qemu-img is not here: that QEMU reads the disks was not looked at");
    }
    let scratch = tempfile::tempdir().context("no temporary folder")?;
    let raw = scratch.path().join("root.img");
    let mut disk = files::open(&root, Opening::read())?;
    let mut image = RawImage::create(&raw, disk.sectors())?;
    vhd::copy(&mut disk, &mut image)?;
    drop(image);
    let raw_name = raw.display().to_string();
    if let Some(qemu_img) = program("qemu-img") {
        let same =
            run(&qemu_img, &["compare", "-f", "vpc", "-F", "raw", &root.display().to_string(), &raw_name]);
        record.check(
            "qemu-img finds the same bytes in it as this project",
            same.is_ok(),
            same.map_or_else(|error| error.to_string(), |said| said.trim().to_owned()),
        );
    }
    if let Some(e2fsck) = program("e2fsck") {
        let clean = run(&e2fsck, &["-f", "-n", &raw_name]);
        record.check(
            "e2fsck finds the file system whole",
            clean.is_ok(),
            clean.map_or_else(
                |error| error.to_string(),
                |said| line_with(&said, "files").rsplit(": ").next().unwrap_or_default().to_owned(),
            ),
        );
    } else {
        missing("e2fsck is not here: the file system was not looked at");
    }
    if let Some(debugfs) = program("debugfs") {
        let stamp = scratch.path().join(STAMP);
        let said = run(&debugfs, &["-R", &format!("dump /{STAMP} {}", stamp.display()), &raw_name]);
        let found = std::fs::read(&stamp).map(|bytes| sha256_hex(&bytes)).unwrap_or_default();
        let wanted = std::fs::read_to_string(folder.join(STAMP_SUM)).unwrap_or_default();
        record.check(
            "a file that the guest wrote is on its disk, byte for byte",
            !found.is_empty() && found == wanted.trim(),
            if found.is_empty() { format!("{said:?}") } else { format!("sha256 {found}") },
        );
    } else {
        missing("debugfs is not here: the guest's file was not looked at");
    }
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn line_with(said: &str, words: &str) -> String {
    said.lines().find(|line| line.contains(words)).unwrap_or_default().to_owned()
}
