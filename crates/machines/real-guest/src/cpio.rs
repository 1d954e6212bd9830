//! Archives for an initramfs: the `newc` format of cpio (documented: `Documentation/driver-api/early-userspace/buffer-format.rst`).

/// An archive that is being written.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const LINK: u32 = 0o120_000;

impl Archive {
    /// A directory; its parents must have been added before.
    pub fn directory(&mut self, path: &str) -> &mut Self {
        self.entry(path, DIRECTORY | 0o755, (0, 0), &[])
    }

    /// A file.
    pub fn file(&mut self, path: &str, content: &[u8], executable: bool) -> &mut Self {
        self.entry(path, REGULAR | if executable { 0o755 } else { 0o644 }, (0, 0), content)
    }

    /// A symbolic link.
    pub fn link(&mut self, path: &str, target: &str) -> &mut Self {
        self.entry(path, LINK | 0o777, (0, 0), target.as_bytes())
    }

    /// A character device.
    pub fn device(&mut self, path: &str, major: u32, minor: u32) -> &mut Self {
        self.entry(path, CHARACTER_DEVICE | 0o600, (major, minor), &[])
    }

    /// The archive, complete.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.inode = 0;
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, (major, minor): (u32, u32), content: &[u8]) -> &mut Self {
        self.inode += 1;
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let name_size = path.len() as u32 + 1;
        // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        let fields = [self.inode, mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(&content[..size as usize]);
        self.pad();
        self
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_the_layout_that_the_kernel_reads() {
        let mut archive = Archive::default();
        archive.directory("bin").file("bin/x", b"hello", true);
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let second = &bytes[116..];
        assert_eq!(&second[..6], b"070701");
        assert_eq!(&second[14..22], b"000081ed", "a regular file, 0755");
        assert_eq!(&second[54..62], b"00000005", "five bytes");
        assert_eq!(&second[110..116], b"bin/x\0");
        assert_eq!(&second[116..124], b"hello\0\0\0");
        assert!(bytes.windows(10).any(|window| window == b"TRAILER!!!"));
    }
}
