//! Disks for the record, made before a guest is started and looked at after it has ended, by tools of this computer: what they say of our
//! files was not said by us.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use run_journal::manifest::sha256_hex;
use vhd::files::{self, Opening, RawImage};
use vhd::{Identity, NewDisk, TableAccess, Uuid, VhdTime};

use crate::initramfs;
use crate::pieces::Pieces;
use crate::record::Record;

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
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps the former where only root looks.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

fn run(program: &Path, arguments: &[&str]) -> Result<String> {
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

/// Makes the disks in `folder`: dynamic VHDs by this project's `vhd`, the first with a file system that mke2fs makes of the guest's files.
/// Returned are the files.
///
/// # Errors
/// [`NoMke2fs`]; or a file cannot be written.
pub fn prepare(pieces: &Pieces, folder: &Path) -> Result<Vec<PathBuf>> {
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
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let paths = [ROOT, SWAP, DATA].map(|name| folder.join(name));
    let [root, swap, data] = &paths;
    let mut disk = files::create_dynamic(root, &new_disk(ROOT_MIB, 1), TableAccess::InMemory)?;
    vhd::copy(&mut RawImage::open(&raw)?, &mut disk)?;
    disk.flush()?;
    files::create_dynamic(swap, &new_disk(SWAP_MIB, 2), TableAccess::InMemory)?.flush()?;
    files::create_dynamic(data, &new_disk(DATA_MIB, 3), TableAccess::InMemory)?.flush()?;
    Ok(paths.to_vec())
}

#[expect(clippy::disallowed_methods, reason = "a file of the real world says when it was made")]
fn new_disk(mib: u64, number: u128) -> NewDisk {
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
