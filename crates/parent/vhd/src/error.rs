//! What can go wrong with a disk.

use std::io;
use std::path::PathBuf;

use crate::format::FormatError;
use crate::limits::MAX_CHAIN;

/// Why something with a disk did not work. Every text names the file, the place and the mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VhdError {
    /// The file is no VHD, or is damaged.
    #[error("{name}: {error}")]
    Format {
        /// The file.
        name: String,
        /// What is wrong with it.
        error: FormatError,
    },
    /// The host's disk is full, or the file reaches a limit of the host. Nothing that was flushed is lost; the disk can be read, and
    /// written again once there is room.
    #[error(
        "{name}: the host has no room for it ({source}): free some space there, what the disk has is kept"
    )]
    HostFull {
        /// The file.
        name: String,
        /// What the host said.
        source: io::Error,
    },
    /// The host could not read or write.
    #[error("{name}: cannot {doing} at byte {offset}: {source}")]
    Io {
        /// The file.
        name: String,
        /// What was tried.
        doing: &'static str,
        /// Where.
        offset: u64,
        /// What the host said.
        source: io::Error,
    },
    /// The file cannot be opened or made.
    #[error("cannot {doing} {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the host said.
        source: io::Error,
    },
    /// A new file was to be made where one is.
    #[error("{} is there already: name another file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The path is a folder, a pipe or a device.
    #[error("{} is no file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Another program, or another disk of this one, has the file.
    #[error("{} is in use: another run has it open{}", path.display(), if *write { "" } else { " for writing" })]
    Locked {
        /// The file.
        path: PathBuf,
        /// Whether this program wanted to write it.
        write: bool,
    },
    /// The disk was opened for reading.
    #[error("{name} is open for reading only")]
    ReadOnly {
        /// The file.
        name: String,
    },
    /// Sectors beyond the disk.
    #[error("sectors {sector} to {}: the disk has {sectors}", sector.saturating_add(*count))]
    OutOfDisk {
        /// The first sector.
        sector: u64,
        /// How many.
        count: u64,
        /// Sectors of the disk.
        sectors: u64,
    },
    /// A length that is not in whole sectors.
    #[error("{bytes} bytes are no whole number of sectors of 512 bytes")]
    NotSectors {
        /// The length.
        bytes: usize,
    },
    /// Only dynamic disks can forget sectors: a fixed disk has all of its space always, and what a differencing disk does not have is
    /// its parent's.
    #[error("{name} is a {disk_type} disk: only a dynamic disk can discard sectors")]
    CannotDiscard {
        /// The file.
        name: String,
        /// Its type.
        disk_type: crate::DiskType,
    },
    /// The parent's file is at none of the places that the child names.
    #[error(
        "{child}: its parent {parent_name:?} is not there; looked for {}. Move it there, or make the child name another place \
         (`reconnect`)",
        listed(tried)
    )]
    ParentMissing {
        /// The child.
        child: String,
        /// The parent's name in the child.
        parent_name: String,
        /// Where was looked.
        tried: Vec<PathBuf>,
    },
    /// The file that the child names is another disk.
    #[error(
        "{child}: {parent} is not its parent: the child names the disk {expected}, and this one is {found}"
    )]
    ParentIsAnother {
        /// The child.
        child: String,
        /// The file.
        parent: String,
        /// The UUID in the child.
        expected: uuid::Uuid,
        /// The UUID of the file.
        found: uuid::Uuid,
    },
    /// The parent was written since the child was made of it.
    #[error(
        "{child}: its parent {parent} was written after the child was made (then {expected} s, now {found} s of Unix time): together they may be no \
         disk that ever was. If only the file's time changed (a copy), `reconnect` takes the parent as it is"
    )]
    ParentChanged {
        /// The child.
        child: String,
        /// The parent.
        parent: String,
        /// When the parent had been written, by the child.
        expected: u64,
        /// When it was written.
        found: u64,
    },
    /// The parent has another size.
    #[error(
        "{child} has {bytes} bytes, and its parent {parent} has {parent_bytes}: a child is as large as its parent"
    )]
    ParentSize {
        /// The child.
        child: String,
        /// Its size.
        bytes: u64,
        /// The parent.
        parent: String,
        /// Its size.
        parent_bytes: u64,
    },
    /// The parents lead back to a disk that they began with.
    #[error("{name} is a parent of itself: {}", chain.join(" → "))]
    ParentLoop {
        /// The file that comes twice.
        name: String,
        /// From the child on.
        chain: Vec<String>,
    },
    /// More parents than are opened.
    #[error("{name} has more than {MAX_CHAIN} parents: merge some of them (convert the chain into one disk)")]
    ChainTooLong {
        /// The child.
        name: String,
    },
    /// A differencing disk without its parent, or a parent of a disk that has none.
    #[error("{name} is a {disk_type} disk with {parents} parents given")]
    WrongParents {
        /// The file.
        name: String,
        /// Its type.
        disk_type: crate::DiskType,
        /// How many parents were given.
        parents: usize,
    },
    /// The file would grow beyond what the table can name.
    #[error(
        "{name} has reached 2 TB, the most that a table of 32 bits can name: convert it (unused blocks are left out)"
    )]
    FileTooLong {
        /// The file.
        name: String,
    },
}

fn listed(paths: &[PathBuf]) -> String {
    let all: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    if all.is_empty() { "nothing: the child names no path".to_owned() } else { all.join(", ") }
}

impl VhdError {
    /// Of the host's error while `doing` something at `offset` of a file.
    pub(crate) fn io(name: &str, doing: &'static str, offset: u64, source: io::Error) -> Self {
        let name = name.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::HostFull { name, source }
            }
            _ => Self::Io { name, doing, offset, source },
        }
    }

    /// Whether the host, and not the disk or the caller, is at fault.
    #[must_use]
    pub fn is_of_the_host(&self) -> bool {
        matches!(self, Self::HostFull { .. } | Self::Io { .. })
    }
}
