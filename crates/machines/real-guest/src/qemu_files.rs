//! What a QEMU needs beside its program to run where nothing is installed, such as inside an emulated machine: its libraries and firmware.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::pieces::{Qemu, firmware_folders};

/// Its program in a folder of [`storage_pieces`](crate::storage_pieces).
pub(crate) const PROGRAM: &str = "qemu-system-x86_64";
/// The dynamic linker beside it, by which it finds the libraries that were brought along.
pub(crate) const LINKER: &str = "ld-linux-x86-64.so.2";
/// Firmware that a PC takes when it boots a kernel directly. What one version of QEMU has apart, another has within.
const FIRMWARE: [&str; 3] = ["bios-256k.bin", "linuxboot_dma.bin", "kvmvapic.bin"];

/// The firmware that is there, by name.
pub(crate) fn firmware(qemu: &Qemu) -> Vec<(&'static str, PathBuf)> {
    let system = Path::new("/");
    let folders = firmware_folders(&[qemu.unpacked_in.as_deref().unwrap_or(system), system]);
    let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    FIRMWARE.into_iter().filter_map(|name| Some((name, find(name)?))).collect()
}

/// The shared libraries of QEMU, and the dynamic linker, each by the name that it is asked for.
///
/// # Errors
/// QEMU's program does not run, or a library is not there.
pub(crate) fn libraries(qemu: &Qemu) -> Result<Vec<(String, PathBuf)>> {
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
            ("ld-linux-x86-64.so.2".to_owned(), PathBuf::from("/lib64/ld-linux-x86-64.so.2")),
        ];
        assert_eq!(loaded(text), expected);
    }
}
