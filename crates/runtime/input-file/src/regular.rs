//! Opening: only what is a file, and only up to a limit.

use std::fs::{File, FileType};
use std::io::{self, Read};
use std::path::Path;

/// A file that ends in an error when more than the limit is read from it.
#[derive(Debug)]
pub struct LimitedFile {
    file: File,
    limit: u64,
    left: u64,
}

/// Opens a file that a user named, of which at most `limit` bytes may be read.
///
/// # Errors
/// What the system says; [`io::ErrorKind::IsADirectory`] for a folder, [`io::ErrorKind::InvalidInput`] for a pipe, a device or a
/// socket, [`io::ErrorKind::FileTooLarge`] for a file above the limit. The messages say what it is and what to do.
pub fn open(path: &Path, limit: u64) -> io::Result<LimitedFile> {
    // Asked before opening: opening a pipe would wait for its writer.
    let metadata = path.metadata()?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder, not a file"));
    }
    if !kind.is_file() {
        let what = describe(kind);
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("it is {what}, not a file: write what comes from it into a file, and give that"),
        ));
    }
    if metadata.len() > limit {
        return Err(too_large(limit));
    }
    Ok(LimitedFile { file: File::open(path)?, limit, left: limit })
}

/// Reads all of a file that a user named, if it has at most `limit` bytes.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path, limit)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Read for LimitedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        // A file may grow while it is read, and some of /proc have no length.
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| too_large(self.limit))?;
        Ok(read)
    }
}

fn too_large(limit: u64) -> io::Error {
    let (number, unit) = match limit {
        0..1024 => (limit, "bytes"),
        1024..0x10_0000 => (limit >> 10, "KB"),
        0x10_0000..0x4000_0000 => (limit >> 20, "MB"),
        _ => (limit >> 30, "GB"),
    };
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("it is larger than the {number} {unit} that are read of such a file"),
    )
}

#[cfg(unix)]
fn describe(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    if kind.is_fifo() {
        "a pipe (FIFO)"
    } else if kind.is_char_device() {
        "a character device"
    } else if kind.is_block_device() {
        "a block device"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "something else"
    }
}

#[cfg(not(unix))]
fn describe(_: FileType) -> &'static str {
    "a device"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| open(path, 10).unwrap_err().to_string();
        assert_eq!(said(folder.path()), "it is a folder, not a file");
        assert!(said(Path::new("/dev/zero")).starts_with("it is a character device, not a file: write what"));
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
        // That this returns is the test: no process writes into the pipe.
        assert!(said(&pipe).starts_with("it is a pipe (FIFO), not a file"));
        let socket = folder.path().join("socket");
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(said(&socket).starts_with("it is a socket"));
        assert_eq!(open(&folder.path().join("none"), 10).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, vec![7; 2048]).unwrap();
        assert_eq!(read(&path, 2048).unwrap().len(), 2048);
        let error = read(&path, 2047).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "it is larger than the 1 KB that are read of such a file");
        // One that grows after it was opened.
        let mut open = open(&path, 2048).unwrap();
        std::fs::write(&path, vec![7; 4096]).unwrap();
        assert_eq!(open.read_to_end(&mut Vec::new()).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
