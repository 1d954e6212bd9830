//! Files that are there whole or not at all, also for readers on other machines.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// How names of files that are being written begin. Whoever was killed leaves them; they are no files of a sweep.
pub const UNFINISHED: &str = ".unfinished-";

/// Writes a file at once: whoever reads it finds what was there before, or all of this.
///
/// The content is written beside the file under a name of its own, brought to the disk, and given the file's name. So a disk that is full, or a
/// process that is killed, leaves the file as it was. If two write the same file, one of them comes last.
///
/// # Errors
/// The system's.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let prefix = format!("{UNFINISHED}{name}-");
    let mut unfinished = shared(tempfile::Builder::new().prefix(&prefix), 0o666).tempfile_in(&folder)?;
    unfinished.write_all(content)?;
    unfinished.as_file().sync_all()?;
    unfinished.persist(path).map_err(|failed| failed.error)?;
    settle(&folder);
    Ok(())
}

/// What `tempfile` makes is for its owner only; what a sweep writes is for whoever shares the folder, as far as the user's mask goes.
pub(crate) fn shared<'b, 'n, 's>(
    builder: &'b mut tempfile::Builder<'n, 's>,
    mode: u32,
) -> &'b mut tempfile::Builder<'n, 's> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

/// Where a file stands.
#[must_use]
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Brings a folder's names to the disk, where the system can.
fn settle(folder: &Path) {
    #[cfg(unix)]
    if let Ok(folder) = std::fs::File::open(folder) {
        let _where_it_can = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_at_once_and_nothing_stays_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("row");
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write_whole(&folder.path().join("no/such/folder/row"), b"one").is_err());
        let path = folder.path().join("row");
        write_whole(&path, b"one").unwrap();
        // A folder of that name cannot be replaced by a file.
        std::fs::create_dir(folder.path().join("taken")).unwrap();
        assert!(write_whole(&folder.path().join("taken"), b"two").is_err());
        let names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}
