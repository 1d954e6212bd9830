//! Files of a run as they are, or packed: `events.jsonl` or `events.jsonl.zst`, whichever is there.
//!
//! A packed file is a row of Zstandard frames (RFC 8878), as `zstd` and `zstdcat` read them. Each holds whole entries, and where one
//! ends depends on the entries alone: the same run leaves the same bytes. A run that is killed leaves all frames but the last, which was
//! not full.

use core::fmt;
use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, Chain, Cursor, ErrorKind, Read},
    path::{Path, PathBuf},
};

use input_file::LimitedFile;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

/// What the name of a packed file ends with, behind the name of the file.
const ENDING: &str = ".zst";

/// What a Zstandard frame begins with.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// How the events and the journal of a run are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    #[default]
    Plain,
    /// Compressed while they are written, under names that end with `.zst`.
    Packed,
}

impl Form {
    /// What a file of this name is called in this form.
    #[must_use]
    pub fn name(self, name: &str) -> String {
        match self {
            Self::Plain => name.to_owned(),
            Self::Packed => format!("{name}{ENDING}"),
        }
    }
}

/// How much is tried to make a frame small. Events come to a twentieth, and more effort does not make them smaller.
const LEVEL: i32 = 1;

/// One frame that holds these bytes.
pub(crate) fn frame(bytes: &[u8]) -> io::Result<Vec<u8>> {
    zrip_encode::compress(bytes, LEVEL).map_err(io::Error::other)
}

/// Where a file of this name is in a run's folder: the packed one, if only that is there.
#[must_use]
pub fn file_in(directory: &Path, name: &str) -> PathBuf {
    let plain = directory.join(name);
    let packed = packed_name(&plain);
    if !plain.exists() && packed.exists() { packed } else { plain }
}

/// About how many bytes were recorded in the file of this name in a run's folder; 0 if there is none. Of a packed one this is an estimate,
/// by how far events shrink in most runs.
#[must_use]
pub fn bytes_recorded(directory: &Path, name: &str) -> u64 {
    const SHRINKS: u64 = 20;
    let path = file_in(directory, name);
    let size = std::fs::metadata(&path).map_or(0, |file| file.len());
    if path == directory.join(name) { size } else { size.saturating_mul(SHRINKS) }
}

fn packed_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ENDING);
    name.into()
}

/// Opens a file, or the packed one that stands in its place.
pub(crate) fn open(path: &Path) -> io::Result<BufReader<RecordedFile>> {
    let mut file = match input_file::open(path, u64::MAX) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // If there is neither, it is the plain one that is missed.
            input_file::open(&packed_name(path), u64::MAX).map_err(|_missing| error)?
        }
        opened => opened?,
    };
    let mut first = Vec::new();
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut first)?;
    let is_packed = first == MAGIC;
    let file = Cursor::new(first).chain(file);
    Ok(BufReader::new(RecordedFile(if is_packed {
        Kept::Packed(Frames::of(file))
    } else {
        Kept::Plain(file)
    })))
}

/// A file of a run, read as it was recorded, whether it is packed or not.
#[derive(Debug)]
pub struct RecordedFile(Kept);

/// A file whose first bytes have been looked at.
type Whole = Chain<Cursor<Vec<u8>>, LimitedFile>;

#[derive(Debug)]
enum Kept {
    Plain(Whole),
    Packed(Box<Frames<Whole>>),
}

impl Read for RecordedFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kept::Plain(file) => file.read(out),
            Kept::Packed(frames) => frames.read(out),
        }
    }
}

/// What frames hold, one after the other.
struct Frames<R> {
    file: Watched<R>,
    decoder: FrameDecoder,
    in_frame: bool,
}

/// A reader that knows whether it has come to its end.
struct Watched<R> {
    file: BufReader<R>,
    ended: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(out)?;
        self.ended |= read == 0 && !out.is_empty();
        Ok(read)
    }
}

impl<R: Read> Frames<R> {
    fn of(file: R) -> Box<Self> {
        let file = Watched { file: BufReader::new(file), ended: false };
        Box::new(Self { file, decoder: FrameDecoder::new(), in_frame: false })
    }

    /// What is wrong with a frame: the file ends within it, or its bytes are not what was written.
    fn wrong(&self, error: impl fmt::Display) -> io::Error {
        if self.file.ended {
            io::Error::new(ErrorKind::UnexpectedEof, "the file ends within a Zstandard frame")
        } else {
            io::Error::new(ErrorKind::InvalidData, format!("it is compressed, and damaged: {error}"))
        }
    }

    /// Goes on to the next frame; `false`: there is none.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.file.file.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.file) {
                Ok(()) => return Ok(true),
                // Other programs may put notes of their own between frames.
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut self.file.by_ref().take(length), &mut io::sink())? < length {
                        return Err(self.wrong("a note is cut off"));
                    }
                }
                Err(error) => return Err(self.wrong(error)),
            }
        }
        Ok(false)
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame && !self.next_frame()? {
                return Ok(0);
            }
            self.in_frame = true;
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let decoded =
                    self.decoder.decode_blocks(&mut self.file, BlockDecodingStrategy::UptoBlocks(1));
                decoded.map_err(|error| self.wrong(error))?;
            }
            let read = self.decoder.read(out)?;
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            self.in_frame = false;
        }
    }
}

impl<R> fmt::Debug for Frames<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").field("in_frame", &self.in_frame).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unpacked(packed: &[u8]) -> (Vec<u8>, Option<ErrorKind>) {
        let mut bytes = Vec::new();
        let read = Frames::of(packed).read_to_end(&mut bytes);
        (bytes, read.err().map(|error| error.kind()))
    }

    #[test]
    fn what_is_cut_off_is_read_as_far_as_it_goes() {
        let entries: Vec<String> =
            (0..40_000).map(|n| format!("{{\"t\":{},\"seq\":{n}}}\n", n * 7)).collect();
        let (first, second) = (entries[..30_000].concat(), entries[30_000..].concat());
        let (one, other) = (frame(first.as_bytes()).unwrap(), frame(second.as_bytes()).unwrap());
        let all = [&one[..], &other].concat();
        assert!(all.len() * 3 < first.len() + second.len(), "{} bytes", all.len());
        assert_eq!(unpacked(&all), ((first.clone() + &second).into_bytes(), None));
        assert_eq!(unpacked(&[]), (Vec::new(), None));
        // Between frames the file is whole.
        assert_eq!(unpacked(&one), (first.clone().into_bytes(), None));
        for cut in [one.len() + 2, one.len() + 9, one.len() + other.len() / 2, all.len() - 1] {
            let (bytes, error) = unpacked(&all[..cut]);
            assert!(bytes.starts_with(first.as_bytes()), "{cut}");
            assert_eq!(error, Some(ErrorKind::UnexpectedEof), "{cut}");
        }
        // Notes of other programs, RFC 8878, 3.1.2.
        let note = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        assert_eq!(unpacked(&[&note[..], &one, &note].concat()), (first.into_bytes(), None));
        assert_eq!(unpacked(&note[..9]).1, Some(ErrorKind::UnexpectedEof));
        assert_eq!(unpacked(&[&one[..], b"{}"].concat()).1, Some(ErrorKind::UnexpectedEof));
        assert_eq!(unpacked(&[&one[..], b"{\"t\":1}\n"].concat()).1, Some(ErrorKind::InvalidData));
    }

    proptest! {
        /// Whatever is recorded comes back.
        #[test]
        fn all_bytes_come_back(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..2000), 0..5)) {
            let packed: Vec<u8> = parts.iter().flat_map(|part| frame(part).unwrap()).collect();
            prop_assert_eq!(unpacked(&packed), (parts.concat(), None));
        }

        /// Whatever a file holds, reading it ends.
        #[test]
        fn damaged_bytes_are_an_error_or_other_bytes(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let text = "{\"t\":1,\"seq\":2,\"component\":\"vmms\"}\n".repeat(50);
            let mut packed = frame(text.as_bytes()).unwrap();
            let at = at.index(packed.len());
            packed[at] ^= 1 << bit;
            let (bytes, _error) = unpacked(&packed);
            prop_assert!(bytes.len() < 1 << 24);
        }
    }
}
