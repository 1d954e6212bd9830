//! Kernel images: a bzImage as distributions ship it, or a vmlinux.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use linux_loader::loader::bootparam::setup_header;
use vm_memory::ByteValued;

/// Why a file is no kernel that can be booted here.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The file cannot be read.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The file is neither a bzImage nor an ELF file.
    #[error("this is neither a Linux bzImage nor an ELF kernel for x86-64")]
    NotAKernel,
    /// A bzImage that cannot be entered in 64-bit mode.
    #[error(
        "this kernel has boot protocol {major}.{minor}: 2.12 or later with a 64-bit entry point is needed"
    )]
    TooOld {
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// A length in the image points outside it.
    #[error("the kernel image is cut short")]
    CutShort,
}

/// Offset of the setup header (documented, boot protocol).
const SETUP_HEADER: usize = 0x1f1;
const BOOT_FLAG: u16 = 0xaa55;
const HEADER_MAGIC: u32 = 0x5372_6448;
/// `xloadflags`: there is a 64-bit entry point at 0x200 of the payload.
const XLF_KERNEL_64: u16 = 1;
const ENTRY_64: u64 = 0x200;
/// Bytes read at a time.
const PIECE: usize = 1 << 18;
/// Where a vmlinux may lie at most: below what the boot page tables map.
const MAPPED: u64 = 1 << 30;

/// Guest address, and where the bytes are in the file.
type Segment = (u64, Range<usize>);

/// Where the bytes of a kernel come from, whenever a machine starts.
enum Source {
    Memory(Vec<u8>),
    /// Not kept in memory: the kernel would be several times what the rest of a virtual machine monitor takes.
    File(File),
}

/// A kernel, checked.
pub struct KernelImage {
    source: Source,
    /// The setup header; a vmlinux has none.
    pub(crate) header: Option<setup_header>,
    /// What goes where: guest address, bytes of the file.
    pub(crate) segments: Vec<Segment>,
    pub(crate) entry: u64,
    /// First address behind what the kernel needs to start.
    pub(crate) end: u64,
}

impl std::fmt::Debug for KernelImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelImage").field("entry", &self.entry).finish_non_exhaustive()
    }
}

fn le<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

impl KernelImage {
    /// Reads a kernel from a file.
    ///
    /// # Errors
    /// See [`KernelError`].
    pub fn open(path: &std::path::Path) -> Result<Self, KernelError> {
        let io = |cause| KernelError::Io { path: path.to_owned(), cause };
        let kernel = Self::new(std::fs::read(path).map_err(io)?)?;
        Ok(Self { source: Source::File(File::open(path).map_err(io)?), ..kernel })
    }

    /// Checks an image.
    ///
    /// # Errors
    /// See [`KernelError`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, KernelError> {
        if bytes.starts_with(b"\x7fELF\x02\x01") { Self::elf(bytes) } else { Self::bz_image(bytes) }
    }

    /// Gives the bytes of a segment piece by piece, each with its offset in the segment.
    pub(crate) fn read<E: From<std::io::Error>>(
        &self,
        range: &Range<usize>,
        mut take: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.source {
            Source::Memory(bytes) => take(0, bytes.get(range.clone()).unwrap_or_default()),
            Source::File(file) => {
                let mut buffer = vec![0; PIECE];
                for start in range.clone().step_by(PIECE) {
                    let piece = &mut buffer[..PIECE.min(range.end - start)];
                    file.read_exact_at(piece, start as u64)?;
                    take((start - range.start) as u64, piece)?;
                }
                Ok(())
            }
        }
    }

    fn bz_image(bytes: Vec<u8>) -> Result<Self, KernelError> {
        let header = bytes
            .get(SETUP_HEADER..SETUP_HEADER + size_of::<setup_header>())
            .and_then(setup_header::from_slice)
            .copied()
            .ok_or(KernelError::NotAKernel)?;
        let (flag, magic, version) = (header.boot_flag, header.header, header.version);
        if flag != BOOT_FLAG || magic != HEADER_MAGIC {
            return Err(KernelError::NotAKernel);
        }
        if version < 0x20c || header.xloadflags & XLF_KERNEL_64 == 0 {
            return Err(KernelError::TooOld { major: version >> 8, minor: version & 0xff });
        }
        // 0 means 4, for historical reasons (documented, boot protocol).
        let sectors = if header.setup_sects == 0 { 4 } else { usize::from(header.setup_sects) };
        let start = (sectors + 1) * 512;
        if start >= bytes.len() {
            return Err(KernelError::CutShort);
        }
        let (load, init_size) = (header.pref_address, header.init_size);
        let payload = start..bytes.len();
        let size = u64::from(init_size).max(payload.len() as u64);
        let end = load.checked_add(size).filter(|&end| end <= MAPPED).ok_or(KernelError::CutShort)?;
        Ok(Self {
            header: Some(header),
            segments: vec![(load, payload)],
            entry: load + ENTRY_64,
            end,
            source: Source::Memory(bytes),
        })
    }

    fn elf(bytes: Vec<u8>) -> Result<Self, KernelError> {
        /// Machine number of x86-64, and of a segment that is loaded (documented, ELF-64).
        const X86_64: u16 = 62;
        const LOAD: u32 = 1;
        let read = || -> Option<(Vec<Segment>, u64, u64)> {
            if u16::from_le_bytes(le(&bytes, 18)?) != X86_64 {
                return None;
            }
            let entry = u64::from_le_bytes(le(&bytes, 24)?);
            let table = usize::try_from(u64::from_le_bytes(le(&bytes, 32)?)).ok()?;
            let size = usize::from(u16::from_le_bytes(le(&bytes, 54)?));
            let count = usize::from(u16::from_le_bytes(le(&bytes, 56)?));
            let mut segments = Vec::new();
            let mut end = 0;
            for index in 0..count {
                let at = table.checked_add(index.checked_mul(size)?)?;
                if u32::from_le_bytes(le(&bytes, at)?) != LOAD {
                    continue;
                }
                let word = |field: usize| Some(u64::from_le_bytes(le(&bytes, at.checked_add(field)?)?));
                let (offset, address) = (usize::try_from(word(8)?).ok()?, word(24)?);
                let (in_file, in_memory) = (usize::try_from(word(32)?).ok()?, word(40)?);
                let range = offset..offset.checked_add(in_file)?;
                bytes.get(range.clone())?;
                end = end.max(address.checked_add(in_memory.max(in_file as u64))?);
                segments.push((address, range));
            }
            (!segments.is_empty() && end <= MAPPED && entry < end).then_some((segments, entry, end))
        };
        let (segments, entry, end) = read().ok_or(KernelError::NotAKernel)?;
        Ok(Self { header: None, segments, entry, end, source: Source::Memory(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn image() -> Vec<u8> {
        let mut bytes = vec![0; 0x2000];
        bytes[0x1f1] = 1;
        bytes[0x1fe..0x200].copy_from_slice(&BOOT_FLAG.to_le_bytes());
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
        bytes[0x236] = 1;
        bytes[0x258..0x260].copy_from_slice(&0x100_0000u64.to_le_bytes());
        bytes[0x260..0x264].copy_from_slice(&0x30_0000u32.to_le_bytes());
        bytes
    }

    #[test]
    fn a_bz_image_is_loaded_where_it_prefers() {
        let kernel = KernelImage::new(image()).unwrap();
        assert_eq!((kernel.entry, kernel.end), (0x100_0200, 0x130_0000));
        assert_eq!(kernel.segments, [(0x100_0000, 1024..0x2000)]);
    }

    #[test]
    fn what_is_no_kernel_is_said_so() {
        let mut old = image();
        old[0x206] = 0x0b;
        assert!(matches!(KernelImage::new(old), Err(KernelError::TooOld { major: 2, minor: 11 })));
        assert!(matches!(KernelImage::new(Vec::new()), Err(KernelError::NotAKernel)));
        assert!(matches!(KernelImage::new(image()[..900].to_vec()), Err(KernelError::CutShort)));
        let mut far = image();
        far[0x25f] = 0xff;
        assert!(matches!(KernelImage::new(far), Err(KernelError::CutShort)));
    }

    proptest! {
        #[test]
        fn no_file_can_do_harm(mut bytes: Vec<u8>, elf: bool, patches: Vec<(usize, u8)>) {
            if elf {
                bytes.splice(0..0, *b"\x7fELF\x02\x01");
            } else {
                let mut image = image();
                for (at, byte) in patches {
                    let len = image.len();
                    image[at % len] = byte;
                }
                bytes = image;
            }
            let _ = KernelImage::new(bytes);
        }
    }
}
