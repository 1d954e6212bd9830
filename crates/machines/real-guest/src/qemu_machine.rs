//! An emulated machine with a QEMU in it, whose guest has Hyper-V's devices as QEMU speaks them (`hv-balloon`): these need a KVM with Hyper-V's
//! synthetic interrupts, which the emulated machine's kernel has wherever this runs.
//!
//! Inside, QEMU's monitor is a TCP port; [`arguments`] leads a port of this computer to it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::initramfs::{self, Inside};
use crate::pieces::{Pieces, Qemu};
use crate::qemu_files;

/// The port of QEMU's monitor inside.
const PORT: u16 = 4444;

/// Whether a QEMU has the device `hv-balloon`: 8.2 and later do where they were built with it.
#[must_use]
pub fn has_hv_balloon(qemu: &Qemu) -> bool {
    let help = qemu.command().args(["-device", "help"]).output();
    help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("\"hv-balloon\""))
}

/// What the machine finds when it starts: KVM, this QEMU with all that it needs, and its guest ([`initramfs::qemu_guest`]).
///
/// # Errors
/// A piece is missing.
pub fn initramfs(pieces: &Pieces, qemu: &Qemu) -> Result<Vec<u8>> {
    let mut files = vec![(PathBuf::from("bin/qemu"), qemu.program.clone())];
    files.extend(qemu_files::libraries(qemu)?.into_iter().map(|(_, library)| {
        // Where the program's interpreter looks, wherever it was unpacked.
        let installed = library.strip_prefix(qemu.unpacked_in.as_deref().unwrap_or(Path::new("/")));
        (installed.or(library.strip_prefix("/")).unwrap_or(&library).to_owned(), library.clone())
    }));
    let firmware = qemu_files::firmware(qemu);
    if firmware.is_empty() {
        bail!("{} has no firmware: the package seabios brings it", qemu.program.display());
    }
    files.extend(firmware.into_iter().map(|(name, path)| (Path::new("firmware").join(name), path)));
    initramfs::with_programs(pieces, &Inside { init: include_str!("init/qemu-machine.sh"), files })
}

/// Arguments with which QEMU emulates the machine; `port` of this computer leads to the monitor inside, and the console is that of the guest inside.
#[must_use]
pub fn arguments(pieces: &Pieces, initramfs: &Path, port: u16) -> Vec<String> {
    let words = "-M q35 -accel tcg,thread=multi -nodefaults -display none -no-reboot -cpu EPYC-v3 -smp 1 -m 3G -serial stdio";
    let mut words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let mut add = |option: &str, value: String| words.extend([option.to_owned(), value]);
    add("-kernel", pieces.emulated_kernel().display().to_string());
    add("-initrd", initramfs.display().to_string());
    add("-append", "console=ttyS0 quiet loglevel=1 panic=-1 nokaslr mitigations=off".to_owned());
    add("-netdev", format!("user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:{PORT}"));
    add("-device", "virtio-net-pci,netdev=n,romfile=".to_owned());
    words
}
