//! What a guest, and the emulated machine around it, find when they start.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cpio::Archive;
use crate::modules::{GUEST_MODULES, SERVICE_MODULES, STORAGE_MODULES};
use crate::pieces::Pieces;

/// Modules of the emulated machine; what its kernel has built in has no file.
const LEVEL1_MODULES: [&str; 9] = [
    "virtio",
    "virtio_ring",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_console",
    "irqbypass",
    "kvm",
    "kvm-amd",
];

const GUEST_INIT: &str = include_str!("init/guest.sh");
const QEMU_INIT: &str = include_str!("init/qemu.sh");

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Whether a file may be run.
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

fn base(pieces: &Pieces, init: &str) -> Result<Archive> {
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "modules"] {
        archive.directory(folder);
    }
    archive
        .file("bin/busybox", &read(&pieces.busybox)?, true)
        .device("dev/console", 5, 1)
        .device("dev/null", 1, 3)
        .file("init", init.as_bytes(), true);
    Ok(archive)
}

fn add_module(archive: &mut Archive, path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    archive.file(&format!("modules/{name}"), &read(path)?, false);
    Ok(())
}

/// The guest's: busybox, Hyper-V's drivers, and an init that answers on the second serial port.
///
/// # Errors
/// If a piece is missing.
pub fn guest(pieces: &Pieces) -> Result<Vec<u8>> {
    Ok(guest_archive(pieces)?.finish())
}

/// The same with the drivers of virtual hard disks, which can mount its root from one.
///
/// # Errors
/// If a piece is missing.
pub fn guest_with_disks(pieces: &Pieces) -> Result<Vec<u8>> {
    let mut archive = guest_archive(pieces)?;
    for path in storage_modules(pieces) {
        add_module(&mut archive, &path)?;
    }
    Ok(archive.finish())
}

/// Files that a guest finds on its disk when its root lies there: path, content, whether it is a program.
///
/// # Errors
/// If a piece is missing.
pub fn root_files(pieces: &Pieces) -> Result<Vec<(String, Vec<u8>, bool)>> {
    let mut files = vec![
        ("bin/busybox".to_owned(), read(&pieces.busybox)?, true),
        ("init".to_owned(), GUEST_INIT.as_bytes().to_vec(), true),
    ];
    let needed = GUEST_MODULES.into_iter().map(|(module, why)| pieces.module(module, why));
    for path in needed.collect::<Result<Vec<_>, _>>()?.into_iter().chain(service_modules(pieces)) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((format!("modules/{name}"), read(&path)?, false));
    }
    Ok(files)
}

/// The guest with disks, and the program that loads a disk.
///
/// # Errors
/// If a piece is missing.
pub fn measured_guest(pieces: &Pieces, disk_load: &Path) -> Result<Vec<u8>> {
    let mut archive = guest_archive(pieces)?;
    for path in storage_modules(pieces) {
        add_module(&mut archive, &path)?;
    }
    archive.file("bin/disk-load", &read(disk_load)?, true);
    Ok(archive.finish())
}

/// The guest of QEMU's with the driver of virtio-blk, and the program that loads a disk.
///
/// # Errors
/// If a piece is missing.
pub fn measured_qemu_guest(pieces: &Pieces, disk_load: &Path) -> Result<Vec<u8>> {
    let mut archive = base(pieces, QEMU_INIT)?;
    for path in VIRTIO_MODULES.into_iter().filter_map(|module| pieces.optional_module(module)) {
        add_module(&mut archive, &path)?;
    }
    // A kernel that has it built in has no file. The storage of level 1's guests is measured, so level 1 has it among theirs.
    if let Some(path) = pieces.optional_module("virtio_blk") {
        add_module(&mut archive, &path)?;
    }
    archive.file("bin/disk-load", &read(disk_load)?, true);
    Ok(archive.finish())
}

fn guest_archive(pieces: &Pieces) -> Result<Archive> {
    let mut archive = base(pieces, GUEST_INIT)?;
    for (module, why) in GUEST_MODULES {
        add_module(&mut archive, &pieces.module(module, why)?)?;
    }
    for path in service_modules(pieces) {
        add_module(&mut archive, &path)?;
    }
    Ok(archive)
}

/// Files of the storage drivers' modules, where there are.
fn storage_modules(pieces: &Pieces) -> impl Iterator<Item = PathBuf> {
    STORAGE_MODULES.into_iter().filter_map(|module| pieces.module(module, "virtual hard disks").ok())
}

/// Files of the integration services' modules, where there are.
fn service_modules(pieces: &Pieces) -> impl Iterator<Item = PathBuf> {
    SERVICE_MODULES.into_iter().filter_map(|module| pieces.module(module, "integration services").ok())
}

/// Modules of a guest of QEMU's, in the order in which they need each other; what its kernel has built in has no file.
const VIRTIO_MODULES: [&str; 9] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_mem",
    "virtio_balloon",
    "hv_vmbus",
    "hv_balloon",
];

/// That of a guest of QEMU's, with virtio's drivers, and Hyper-V's where it finds such a bus: it says `ready` on its console, and does there what it is told (`load MIB`, `more MIB`, `idle`, `mem`,
/// `reboot`, `off`). With `nodriver` on its kernel's command line it has no balloon.
///
/// # Errors
/// If a piece is missing.
pub fn qemu_guest(pieces: &Pieces) -> Result<Vec<u8>> {
    let mut archive = base(pieces, QEMU_INIT)?;
    for path in VIRTIO_MODULES.into_iter().filter_map(|module| pieces.optional_module(module)) {
        add_module(&mut archive, &path)?;
    }
    Ok(archive.finish())
}

/// What an emulated machine has beside its modules.
#[derive(Debug)]
pub struct Inside {
    /// Its first program, a script.
    pub init: &'static str,
    /// Programs and what they need: where inside, and where here.
    pub files: Vec<(PathBuf, PathBuf)>,
}

/// Modules of an emulated machine's network.
const NETWORK_MODULES: [&str; 3] = ["failover", "net_failover", "virtio_net"];

/// That of an emulated machine with KVM, a network and these programs, which has a guest's kernel and initramfs ([`qemu_guest`]) in `/guest`.
///
/// # Errors
/// If a piece is missing.
pub fn with_programs(pieces: &Pieces, inside: &Inside) -> Result<Vec<u8>> {
    let mut archive = base(pieces, inside.init)?;
    for path in
        LEVEL1_MODULES.into_iter().chain(NETWORK_MODULES).filter_map(|module| pieces.emulated_module(module))
    {
        add_module(&mut archive, &path)?;
    }
    let mut folders = BTreeSet::from(["bin".to_owned(), "dev".to_owned(), "modules".to_owned()]);
    let mut files = vec![
        (PathBuf::from("guest/vmlinuz"), read(&pieces.kernel)?),
        (PathBuf::from("guest/initrd"), qemu_guest(pieces)?),
    ];
    for (place, path) in &inside.files {
        files.push((place.clone(), read(path)?));
    }
    for (place, content) in files {
        let parents: Vec<&Path> = place.ancestors().skip(1).collect();
        for folder in parents.into_iter().rev().map(|folder| folder.display().to_string()) {
            if !folder.is_empty() && folders.insert(folder.clone()) {
                archive.directory(&folder);
            }
        }
        archive.file(&place.display().to_string(), &content, true);
    }
    Ok(archive.finish())
}

/// The same without one module, to see what a guest without it does.
///
/// # Errors
/// If a piece is missing.
pub fn guest_without(pieces: &Pieces, without: &str) -> Result<Vec<u8>> {
    let mut archive = base(pieces, GUEST_INIT)?;
    for (module, why) in GUEST_MODULES.into_iter().filter(|(module, _)| *module != without) {
        add_module(&mut archive, &pieces.module(module, why)?)?;
    }
    Ok(archive.finish())
}

/// The emulated machine's: KVM, the program that runs guests, and what it needs to do so; `files` go to `/files`.
///
/// # Errors
/// If a piece is missing.
pub fn level1(
    pieces: &Pieces,
    program: &Path,
    arguments: &[String],
    files: &[(String, PathBuf)],
) -> Result<Vec<u8>> {
    let mut archive = base(pieces, include_str!("init/level1.sh"))?;
    for module in LEVEL1_MODULES {
        if let Some(path) = pieces.emulated_module(module) {
            add_module(&mut archive, &path)?;
        }
    }
    archive.directory("guest");
    archive.directory("guest/modules");
    archive.directory("guest/modules/kernel");
    let needed = GUEST_MODULES.into_iter().map(|(module, why)| pieces.module(module, why));
    let paths: Result<Vec<PathBuf>, _> = needed.collect();
    let virtio =
        VIRTIO_MODULES.into_iter().chain(["virtio_blk"]).filter_map(|module| pieces.optional_module(module));
    for path in paths?.into_iter().chain(service_modules(pieces)).chain(storage_modules(pieces)).chain(virtio)
    {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        archive.file(&format!("guest/modules/kernel/{name}"), &read(&path)?, false);
    }
    archive.directory("files");
    let mut folders = BTreeSet::new();
    for (name, path) in files {
        for (at, _) in name.match_indices('/') {
            if folders.insert(&name[..at]) {
                archive.directory(&format!("files/{}", &name[..at]));
            }
        }
        let content = read(path)?;
        archive.file(&format!("files/{name}"), &content, is_program(path));
    }
    let kernel = pieces.kernel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    archive.file(&format!("guest/{kernel}"), &read(&pieces.kernel)?, false).file(
        "bin/real-guest",
        &read(program)?,
        true,
    );
    let mut all = arguments.to_vec();
    all.extend([
        format!("--kernel=/guest/{kernel}"),
        "--modules=/guest/modules".to_owned(),
        "--busybox=/bin/busybox".to_owned(),
    ]);
    archive.file("arguments", all.join(" ").as_bytes(), false);
    Ok(archive.finish())
}
