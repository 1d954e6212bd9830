//! `cargo xtask vhd`: virtual hard disks made, looked at, checked, converted and compared.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Result;
use page_range::PageCount;
use serde::Serialize;
use vhd::files::{self, Opening, RawImage};
use vhd::{FooterRule, Identity, Image, NewDisk, ReadSectors, TableAccess, Uuid, VhdError, VhdTime};

use super::bad_input;
use crate::output::{say, tell};

/// What to do.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Make a disk; with a parent, one that differs from it
    Create {
        /// The new file
        file: PathBuf,
        /// Size of the disk, such as 40GB
        #[arg(long, value_name = "SIZE", value_parser = size, required_unless_present = "parent",
              conflicts_with = "parent")]
        size: Option<PageCount>,
        /// Dynamic: grows as it is written. Fixed: has all of its space from the beginning
        #[arg(long, value_name = "TYPE", default_value = "dynamic", conflicts_with = "parent")]
        r#type: Kind,
        /// The disk that the new one differs from; it must not be written any more
        #[arg(long, value_name = "FILE")]
        parent: Option<PathBuf>,
    },
    /// Tell what a disk is
    Info {
        /// The disk
        file: PathBuf,
        /// Print JSON and nothing else
        #[arg(long)]
        json: bool,
    },
    /// Check a disk and its parents
    Check {
        /// The disk
        file: PathBuf,
        /// Write a damaged footer again, if the other one is good and no block is missing
        #[arg(long)]
        repair: bool,
    },
    /// Write a disk, with all its parents, into a new file of another type
    Convert {
        /// What to convert: a VHD, or a raw image
        from: PathBuf,
        /// The new file
        to: PathBuf,
        /// What FROM is
        #[arg(long, value_name = "FORMAT", default_value = "vhd")]
        from_format: Format,
        /// What TO is to be
        #[arg(long, value_name = "TYPE", default_value = "dynamic")]
        to_type: ToType,
    },
    /// Compare what two disks have in their sectors; exit code 1 if they differ
    Diff {
        /// One
        one: PathBuf,
        /// The other
        other: PathBuf,
        /// What the first is
        #[arg(long, value_name = "FORMAT", default_value = "vhd")]
        one_format: Format,
        /// What the second is
        #[arg(long, value_name = "FORMAT", default_value = "vhd")]
        other_format: Format,
    },
    /// Make a differencing disk name its parent anew, after that was moved or copied
    Reconnect {
        /// The differencing disk
        child: PathBuf,
        /// Its parent, where it is now
        parent: PathBuf,
    },
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Dynamic,
    Fixed,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Vhd,
    Raw,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum ToType {
    Dynamic,
    Fixed,
    Raw,
}

fn size(text: &str) -> Result<PageCount, String> {
    quantities::parse_size(text).map_err(|error| error.to_string())
}

/// A disk or a file that is wrong is the user's; a host that cannot read or write is not.
fn told(error: VhdError) -> anyhow::Error {
    if error.is_of_the_host() { error.into() } else { bad_input(error) }
}

/// Does it.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Create { file, size, r#type, parent } => create(file, *size, *r#type, parent.as_deref())?,
        What::Info { file, json } => info(file, *json)?,
        What::Check { file, repair } => check(file, *repair)?,
        What::Convert { from, to, from_format, to_type } => convert(from, to, *from_format, *to_type)?,
        What::Diff { one, other, one_format, other_format } => {
            return diff(one, other, *one_format, *other_format);
        }
        What::Reconnect { child, parent } => {
            let link = files::reconnect(child, parent).map_err(told)?;
            tell!("{} now differs from {} ({}).", child.display(), parent.display(), link.identity.uuid);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A UUID that no other disk has, and the time.
#[expect(clippy::disallowed_methods, reason = "when a disk was made is a time of the world")]
fn identity() -> Identity {
    // The standard library's only source of chance: each state is another.
    let number = || u128::from(RandomState::new().build_hasher().finish());
    // Version 4, as every other program's.
    let random = number() << 64 | number();
    let uuid = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    Identity { uuid: Uuid::from_u128(uuid), time: VhdTime::from_system(SystemTime::now()) }
}

fn create(file: &Path, size: Option<PageCount>, kind: Kind, parent: Option<&Path>) -> Result<()> {
    let disk = match (parent, size) {
        (Some(parent), _) => files::create_differencing(file, parent, identity()),
        (None, Some(size)) => {
            let new = NewDisk::new(size.get().saturating_mul(page_range::PAGE_SIZE), identity());
            match kind {
                Kind::Dynamic => files::create_dynamic(file, &new, TableAccess::InMemory),
                Kind::Fixed => files::create_fixed(file, &new),
            }
        }
        (None, None) => anyhow::bail!(bad_input("a disk needs a --size, or a --parent")),
    };
    let disk = disk.map_err(told)?;
    let image = disk.image();
    tell!("{}: a {} disk of {}.", file.display(), image.disk_type(), human(image.footer().bytes));
    Ok(())
}

#[derive(Serialize)]
struct Info {
    file: String,
    r#type: String,
    bytes: u64,
    file_bytes: u64,
    uuid: String,
    created_unix: u64,
    creator: String,
    geometry: String,
    block_bytes: Option<u32>,
    blocks: u64,
    blocks_present: u64,
    own_sectors: u64,
    unused_places: u64,
    blocks_with_stale_bytes: u64,
}

fn describe(image: &mut Image<std::fs::File>) -> Result<Info> {
    let report = vhd::check(image).map_err(told)?;
    let footer = image.footer();
    Ok(Info {
        file: image.name().to_owned(),
        r#type: footer.disk_type.to_string(),
        bytes: footer.bytes,
        file_bytes: vhd::Storage::len(image.storage())?,
        uuid: footer.identity.uuid.to_string(),
        created_unix: footer.identity.time.unix_seconds(),
        creator: String::from_utf8_lossy(&footer.creator).trim().to_owned(),
        geometry: footer.geometry.to_string(),
        block_bytes: image.header().map(|header| header.block_bytes),
        blocks: report.blocks,
        blocks_present: report.present,
        own_sectors: report.own_sectors,
        unused_places: report.unused_places,
        blocks_with_stale_bytes: report.blocks_with_stale_bytes,
    })
}

/// The disk and its parents, nearest first.
fn chain(file: &Path) -> Result<Vec<Info>> {
    let disk = files::open(file, Opening::read()).map_err(told)?;
    disk.into_images().iter_mut().map(describe).collect()
}

fn info(file: &Path, json: bool) -> Result<()> {
    let chain = chain(file)?;
    if json {
        say!("{}", serde_json::to_string_pretty(&chain)?);
        return Ok(());
    }
    for (index, info) in chain.iter().enumerate() {
        say!("{}{}", if index == 0 { "" } else { "differs from " }, info.file);
        say!("  type      {}, {}", info.r#type, human(info.bytes));
        say!("  file      {}", human(info.file_bytes));
        if let Some(block) = info.block_bytes {
            let own = human(info.own_sectors * 512);
            say!(
                "  blocks    {} of {}, {} each; {own} written",
                info.blocks_present,
                info.blocks,
                human(block.into())
            );
        }
        say!("  uuid      {}", info.uuid);
        say!("  made by   {:?}, CHS {}", info.creator, info.geometry);
    }
    Ok(())
}

fn check(file: &Path, repair: bool) -> Result<()> {
    if repair {
        let opening = Opening { footers: FooterRule::Repair, ..Opening::write() };
        let (_, mended) = files::open_image(file, opening).map_err(told)?;
        match mended {
            Some(fault) => tell!("{}: mended. It was: {fault}.", file.display()),
            None => tell!("{}: there was nothing to mend.", file.display()),
        }
    }
    for info in chain(file)? {
        tell!(
            "{}: good. {} disk, {} of {} blocks.",
            info.file,
            info.r#type,
            info.blocks_present,
            info.blocks
        );
        if info.unused_places > 0 {
            tell!(
                "  {} places of blocks are not used; they are used again when the disk grows.",
                info.unused_places
            );
        }
        if info.blocks_with_stale_bytes > 0 {
            tell!(
                "  {} blocks have bytes where nothing was written: programs that do not look at bitmaps (QEMU) see them. Converting the \
                 disk leaves them out.",
                info.blocks_with_stale_bytes
            );
        }
    }
    Ok(())
}

/// A disk, or a raw image, to be read.
enum Source {
    Disk(vhd::Disk<std::fs::File>),
    Raw(RawImage),
}

impl Source {
    fn open(path: &Path, format: Format) -> Result<Self> {
        match format {
            Format::Vhd => files::open(path, Opening::read()).map(Self::Disk),
            Format::Raw => RawImage::open(path).map(Self::Raw),
        }
        .map_err(told)
    }
}

impl ReadSectors for Source {
    fn sectors(&self) -> u64 {
        match self {
            Self::Disk(disk) => disk.sectors(),
            Self::Raw(raw) => raw.sectors(),
        }
    }
    fn read(&mut self, sector: u64, out: &mut [u8]) -> Result<(), VhdError> {
        match self {
            Self::Disk(disk) => disk.read(sector, out),
            Self::Raw(raw) => raw.read(sector, out),
        }
    }
}

fn convert(from: &Path, to: &Path, format: Format, to_type: ToType) -> Result<()> {
    let mut source = Source::open(from, format)?;
    let new = NewDisk::new(source.sectors() * 512, identity());
    let written = match to_type {
        ToType::Raw => {
            RawImage::create(to, source.sectors()).and_then(|mut to| vhd::copy(&mut source, &mut to))
        }
        ToType::Dynamic => files::create_dynamic(to, &new, TableAccess::InMemory)
            .and_then(|mut to| vhd::copy(&mut source, &mut to)),
        ToType::Fixed => files::create_fixed(to, &new).and_then(|mut to| vhd::copy(&mut source, &mut to)),
    };
    let written = match written {
        Ok(written) => written,
        Err(error) => {
            // One that was there before was not made, so nothing was begun.
            if !matches!(&error, VhdError::Open { .. } | VhdError::Exists { .. }) {
                let _what_is_told_is_why = std::fs::remove_file(to);
            }
            return Err(told(error));
        }
    };
    tell!("{}: {} of {} are not zeros.", to.display(), human(written), human(source.sectors() * 512));
    Ok(())
}

fn diff(one: &Path, other: &Path, one_format: Format, other_format: Format) -> Result<ExitCode> {
    let (mut a, mut b) = (Source::open(one, one_format)?, Source::open(other, other_format)?);
    let found = vhd::compare(&mut a, &mut b, 10).map_err(told)?;
    if found.is_same() {
        tell!("The same in all {} sectors.", found.sectors);
        return Ok(ExitCode::SUCCESS);
    }
    if found.sectors != found.other_sectors {
        tell!(
            "{} has {} sectors, {} has {}.",
            one.display(),
            found.sectors,
            other.display(),
            found.other_sectors
        );
    }
    if found.different > 0 {
        tell!("{} sectors differ:", found.different);
        for (from, count) in &found.runs {
            say!("  {from} to {}", from + count - 1);
        }
        let listed: u64 = found.runs.iter().map(|run| run.1).sum();
        if listed < found.different {
            say!("  and {} more", found.different - listed);
        }
    }
    Ok(ExitCode::from(1))
}

/// Bytes for people.
fn human(bytes: u64) -> String {
    let units = [("GB", 1u64 << 30), ("MB", 1 << 20), ("KB", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) if bytes.is_multiple_of(*unit) => format!("{} {name}", bytes / unit),
        Some((name, unit)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_disk_is_another_one() {
        let (one, other) = (identity(), identity());
        assert_ne!(one.uuid, other.uuid);
        assert_eq!(one.uuid.get_version_num(), 4);
        assert_eq!(one.uuid.get_variant(), other.uuid.get_variant());
        // Made after this was written: 2026.
        assert!(one.time.unix_seconds() > 1_767_225_600);
    }

    #[test]
    fn bytes_for_people() {
        let sizes = [511, 512, 2048, 1536 << 10, 40 << 30].map(human);
        assert_eq!(sizes, ["511 bytes", "512 bytes", "2 KB", "1.5 MB", "40 GB"]);
    }
}
