//! The load of a disk that is measured inside a guest: requests of one size, one after the other, past the guest's page cache.
//!
//! The program `disk-load` carries it out in guests of this project and of QEMU alike, so that what is measured differs in nothing but
//! how the request gets to the host.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use component_runtime::random;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// Reads.
    Read,
    /// Writes.
    Write,
}

/// Where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// Each request begins where the last one ended; after the disk's end at its beginning.
    Sequential,
    /// Each at a multiple of its size, by a seed that is always the same.
    Random,
}

/// Requests of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// What is done.
    pub direction: Direction,
    /// Where.
    pub order: Order,
    /// Bytes of each request: a multiple of [`ALIGNMENT`].
    pub bytes: usize,
    /// How many requests.
    pub count: u64,
}

/// What buffers and sizes have to be a multiple of, bytes: a page, the most that O_DIRECT asks for here.
pub const ALIGNMENT: usize = 4096;
/// The most bytes of a request (invented): what a controller takes at once is less.
pub const MOST_BYTES: usize = 1 << 20;
/// Seed of the places of requests in [`Order::Random`] (invented).
const SEED: u64 = 1;
/// How the line begins that says how it went.
pub const ANSWER: &str = "took";

impl Load {
    /// The program's arguments for it.
    #[must_use]
    pub fn words(&self, device: &str) -> String {
        let name = |value: Option<clap::builder::PossibleValue>| {
            value.map(|value| value.get_name().to_owned()).unwrap_or_default()
        };
        let (direction, order) =
            (name(self.direction.to_possible_value()), name(self.order.to_possible_value()));
        format!("{device} {direction} {order} {} {}", self.bytes, self.count)
    }

    /// Opens a disk for it, past the page cache.
    ///
    /// # Errors
    /// The disk cannot be opened so.
    pub fn open(&self, disk: &Path) -> io::Result<File> {
        let direct = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).unwrap_or_default();
        let write = self.direction == Direction::Write;
        OpenOptions::new().read(!write).write(write).custom_flags(direct).open(disk)
    }

    /// Does it, and says how long that took.
    ///
    /// # Errors
    /// The size is none that is possible, the disk is smaller than a request, or a request failed.
    #[expect(clippy::disallowed_methods, reason = "measures a real device")]
    pub fn run(&self, disk: &mut File) -> io::Result<Duration> {
        if self.bytes == 0 || !self.bytes.is_multiple_of(ALIGNMENT) || self.bytes > MOST_BYTES {
            let text = format!(
                "a request of {} bytes: a multiple of {ALIGNMENT} up to {MOST_BYTES} is possible",
                self.bytes
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let places = disk.seek(SeekFrom::End(0))? / self.bytes as u64;
        if places == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the disk is smaller than a request"));
        }
        // An aligned part of a larger buffer: the kernel takes no other for O_DIRECT.
        let mut memory = vec![0x5a; self.bytes + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        let buffer = &mut memory[start..start + self.bytes];
        let mut random = random::stream(SEED, "disk-load");
        let begun = Instant::now();
        for number in 0..self.count {
            let place = match self.order {
                Order::Sequential => number % places,
                Order::Random => random::below(&mut random, places),
            };
            let offset = place * self.bytes as u64;
            match self.direction {
                Direction::Read => disk.read_exact_at(buffer, offset)?,
                Direction::Write => disk.write_all_at(buffer, offset)?,
            }
        }
        Ok(begun.elapsed())
    }
}

/// Reads the line that the program printed: how long all requests took.
#[must_use]
pub fn read_answer(line: &str) -> Option<Duration> {
    let nanoseconds = line.trim().strip_prefix(ANSWER)?.trim().strip_suffix("ns")?.trim().parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: Load =
        Load { direction: Direction::Write, order: Order::Sequential, bytes: ALIGNMENT, count: 3 };

    fn disk(pages: usize) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![0; pages * ALIGNMENT], 0).unwrap();
        file
    }

    fn written(disk: &File) -> Vec<bool> {
        let mut bytes = vec![0; usize::try_from(disk.metadata().unwrap().len()).unwrap()];
        disk.read_exact_at(&mut bytes, 0).unwrap();
        bytes.chunks(ALIGNMENT).map(|page| page.iter().all(|&byte| byte == 0x5a)).collect()
    }

    #[test]
    fn requests_go_where_their_order_says_and_stay_on_the_disk() {
        let mut file = disk(5);
        LOAD.run(&mut file).unwrap();
        assert_eq!(written(&file), [true, true, true, false, false]);
        Load { count: 7, ..LOAD }.run(&mut file).unwrap();
        assert_eq!(written(&file), [true; 5], "begins anew at the end");
        let mut file = disk(64);
        Load { order: Order::Random, count: 20, ..LOAD }.run(&mut file).unwrap();
        let places: Vec<usize> =
            written(&file).iter().enumerate().filter_map(|(at, &done)| done.then_some(at)).collect();
        assert!((10..=20).contains(&places.len()) && places != (0..places.len()).collect::<Vec<_>>());
        assert_eq!(file.metadata().unwrap().len(), 64 * ALIGNMENT as u64);
    }

    #[test]
    fn what_cannot_be_measured_is_said() {
        for bytes in [0, 512, MOST_BYTES + ALIGNMENT] {
            let error = Load { bytes, ..LOAD }.run(&mut disk(1)).unwrap_err().to_string();
            assert!(error.contains("a multiple of 4096"), "{error}");
        }
        let error = Load { bytes: 2 * ALIGNMENT, ..LOAD }.run(&mut disk(1)).unwrap_err().to_string();
        assert!(error.contains("smaller than a request"), "{error}");
    }

    #[test]
    fn what_the_program_prints_is_read() {
        assert_eq!(read_answer("took 1500 ns\r"), Some(Duration::from_nanos(1500)));
        for other in ["", "took", "took 1 s", "took -3 ns", "sh: disk-load: not found"] {
            assert_eq!(read_answer(other), None, "{other}");
        }
        assert_eq!(LOAD.words("/dev/sda"), "/dev/sda write sequential 4096 3");
    }
}
