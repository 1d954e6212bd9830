//! What a measurement of storage needs beside the pieces of a guest, in one flat folder: the program that loads a disk in guests, and a QEMU with
//! its libraries and firmware, which runs wherever the folder is, also inside an emulated machine that has nothing else.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::pieces::Pieces;
use crate::qemu_files::{self, LINKER, PROGRAM};

/// The program that loads a disk.
pub const DISK_LOAD: &str = "disk-load";

/// Whether the folder has a QEMU.
#[must_use]
pub fn has_qemu(folder: &Path) -> bool {
    [PROGRAM, LINKER].iter().all(|name| folder.join(name).is_file())
}

/// Fills `folder`: `disk_load` is that program, QEMU is what `pieces` have, if they have one.
///
/// # Errors
/// A file cannot be found or copied.
pub fn prepare(pieces: &Pieces, disk_load: &Path, folder: &Path) -> Result<()> {
    copy(disk_load, &folder.join(DISK_LOAD))?;
    let Some(qemu) = &pieces.qemu else { return Ok(()) };
    copy(&qemu.program, &folder.join(PROGRAM))?;
    for (name, path) in qemu_files::libraries(qemu)? {
        copy(&path, &folder.join(name))?;
    }
    if !has_qemu(folder) {
        bail!(
            "{} is not linked as on other Linux systems: no {LINKER} is among its libraries",
            qemu.program.display()
        );
    }
    for (name, path) in qemu_files::firmware(qemu) {
        copy(&path, &folder.join(name))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
