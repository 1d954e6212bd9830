//! Disks for the record, made before a guest is started. What other people's tools say of the disks afterwards is in
//! [`disk_examination`](crate::disk_examination).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use vhd::files::{self, RawImage};
use vhd::{Identity, NewDisk, TableAccess, Uuid, VhdTime};

use crate::initramfs;
use crate::pieces::Pieces;

/// The disk with the guest's root.
pub const ROOT: &str = "root.vhd";
/// The disk that it swaps on.
pub const SWAP: &str = "swap.vhd";
/// The disk that is plugged in.
pub const DATA: &str = "data.vhd";
/// A file that the guest writes on its root, and what it says of that file's bytes.
pub const STAMP: &str = "stamp";
/// Check sum of [`STAMP`] as the guest has it, left beside the record.
pub const STAMP_SUM: &str = "stamp.sha256";

/// Sizes (invented): small enough for an emulated machine.
const ROOT_MIB: u64 = 64;
/// The guest has 256 MiB and is to use more.
const SWAP_MIB: u64 = 512;
const DATA_MIB: u64 = 64;

/// A program of e2fsprogs or QEMU that is installed here.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps the former where only root looks.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

pub(crate) fn run(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("{} {}: {}: {}", program.display(), arguments.join(" "), output.status, said.trim());
    }
    Ok(said)
}

/// Why there are no disks: the tool that makes file systems is not installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mke2fs is not here (it belongs to e2fsprogs), which makes the file system of the guest's root")]
pub struct NoMke2fs;

/// Makes the disks in `folder`: dynamic VHDs by this project's `vhd`, the first with a root as of [`prepare_root`]. Returned are the files.
///
/// # Errors
/// [`NoMke2fs`]; or a file cannot be written.
pub fn prepare(pieces: &Pieces, folder: &Path) -> Result<Vec<PathBuf>> {
    let paths = [ROOT, SWAP, DATA].map(|name| folder.join(name));
    let [root, swap, data] = &paths;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    prepare_root(pieces, root)?;
    files::create_dynamic(swap, &new_disk(SWAP_MIB, 2), TableAccess::InMemory)?.flush()?;
    files::create_dynamic(data, &new_disk(DATA_MIB, 3), TableAccess::InMemory)?.flush()?;
    Ok(paths.to_vec())
}

/// Makes a disk with the root of a guest: a dynamic VHD with a file system that mke2fs makes of the guest's files.
///
/// # Errors
/// [`NoMke2fs`]; or a file cannot be written.
pub fn prepare_root(pieces: &Pieces, root: &Path) -> Result<()> {
    let mke2fs = program("mke2fs").ok_or(NoMke2fs)?;
    let scratch = tempfile::tempdir().context("no temporary folder")?;
    let tree = scratch.path().join("tree");
    for folder in ["bin", "dev", "eat", "modules", "proc", "sys", "tmp"] {
        std::fs::create_dir_all(tree.join(folder)).context("cannot make a temporary folder")?;
    }
    for (path, content, is_program) in initramfs::root_files(pieces)? {
        let path = tree.join(path);
        std::fs::write(&path, content).context("cannot write a temporary file")?;
        if is_program {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        }
    }
    let raw = scratch.path().join("root.img");
    let (tree, raw_name) = (tree.display().to_string(), raw.display().to_string());
    run(
        &mke2fs,
        &["-q", "-t", "ext4", "-d", &tree, "-E", "root_owner=0:0", &raw_name, &format!("{ROOT_MIB}M")],
    )?;
    let mut disk = files::create_dynamic(root, &new_disk(ROOT_MIB, 1), TableAccess::InMemory)?;
    vhd::copy(&mut RawImage::open(&raw)?, &mut disk)?;
    disk.flush()?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a file of the real world says when it was made")]
pub(crate) fn new_disk(mib: u64, number: u128) -> NewDisk {
    let now = SystemTime::now();
    // Made for this run alone: unique enough, and different from each other.
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let identity = Identity { uuid: Uuid::from_u128((since << 8) | number), time: VhdTime::from_system(now) };
    NewDisk::new(mib << 20, identity)
}

/// Copies the disks that were made to where a guest may write them.
///
/// # Errors
/// A file cannot be copied.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<[PathBuf; 3]> {
    let paths = [ROOT, SWAP, DATA].map(|name| to.join(name));
    for path in &paths {
        let name = path.file_name().unwrap_or_default();
        std::fs::copy(from.join(name), path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    Ok(paths)
}
