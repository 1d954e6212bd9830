//! What a measurement of storage needs beside the pieces of a guest, in one flat folder: the program that loads a disk in guests, and a QEMU with
//! its libraries and firmware, which runs wherever the folder is, also inside an emulated machine that has nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::pieces::{Pieces, Qemu};
use crate::speed::{LINKER, PROGRAM};

/// The program that loads a disk.
pub const DISK_LOAD: &str = "disk-load";
/// Firmware that a machine of type q35 takes when it boots a kernel directly.
const FIRMWARE: [&str; 3] = ["bios-256k.bin", "linuxboot_dma.bin", "kvmvapic.bin"];
/// Where firmware is when QEMU is installed.
const FIRMWARE_FOLDERS: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];

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
    for (name, path) in libraries(qemu)? {
        copy(&path, &folder.join(name))?;
    }
    if !has_qemu(folder) {
        bail!(
            "{} is not linked as on other Linux systems: no {LINKER} is among its libraries",
            qemu.program.display()
        );
    }
    let root = qemu.unpacked_in.as_deref().unwrap_or(Path::new("/"));
    for name in FIRMWARE {
        // What one version of QEMU has apart, another has within.
        let found =
            FIRMWARE_FOLDERS.map(|at| root.join(at).join(name)).into_iter().find(|path| path.is_file());
        if let Some(path) = found {
            copy(&path, &folder.join(name))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// The shared libraries of QEMU, and the dynamic linker, each by the name that it is asked for.
fn libraries(qemu: &Qemu) -> Result<Vec<(String, PathBuf)>> {
    // The dynamic linker says what it would load, and runs nothing (documented, ld.so(8)).
    let mut command: Command = qemu.command();
    let output = command
        .env("LD_TRACE_LOADED_OBJECTS", "1")
        .output()
        .with_context(|| format!("cannot ask {} for its libraries", qemu.program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found = loaded(&text);
    if let Some(missing) = text.lines().find(|line| line.contains("not found")) {
        bail!("{}: {}", qemu.program.display(), missing.trim());
    }
    Ok(found)
}

/// Reads lines such as `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f…)` and `/lib64/ld-linux-x86-64.so.2 (0x7f…)`.
fn loaded(text: &str) -> Vec<(String, PathBuf)> {
    let path_of = |rest: &str| {
        let path = rest.trim().rsplit_once(" (").map_or(rest.trim(), |(path, _)| path);
        path.starts_with('/').then(|| PathBuf::from(path))
    };
    text.lines()
        .filter_map(|line| {
            let (name, path) = match line.split_once("=>") {
                Some((name, rest)) => (name.trim(), path_of(rest)?),
                None => ("", path_of(line)?),
            };
            // The linker is named by its path.
            let name =
                if name.is_empty() || name.starts_with('/') { path.file_name()?.to_str()? } else { name };
            Some((name.to_owned(), path.clone()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_that_the_linker_names_are_read() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                    \tlibx.so.1 => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected = [
            ("libc.so.6".to_owned(), PathBuf::from("/lib/x86_64-linux-gnu/libc.so.6")),
            (LINKER.to_owned(), PathBuf::from("/lib64/ld-linux-x86-64.so.2")),
        ];
        assert_eq!(loaded(text), expected);
    }
}
