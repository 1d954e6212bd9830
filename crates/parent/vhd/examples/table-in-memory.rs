//! What it costs to look the table up in the file: \[B\] gives the table in memory as the reason why a dynamic disk of Hyper-V 2.0 writes
//! as fast as a fixed one. Writes 4 KiB here and there over what is already in the file, for each kind of disk.
//!
//! ```text
//! cargo run --release -p vhd --example table-in-memory -- /dev/shm
//! ```
//! The folder is best one in memory: the times are then those of the host's page cache, and no disk's. Accesses are what a disk of the host would have to do if nothing were cached there: on one
//! that seeks, their number is the ratio.
#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::cell::Cell;
use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use vhd::{Disk, Identity, Image, NewDisk, Storage, TableAccess, Uuid, VhdTime};

/// A file whose accesses are counted.
struct Counted {
    file: File,
    accesses: Cell<u64>,
}

impl Counted {
    fn count(&self) {
        self.accesses.set(self.accesses.get() + 1);
    }
}

impl Storage for Counted {
    fn len(&self) -> io::Result<u64> {
        Storage::len(&self.file)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        Storage::set_len(&self.file, len)
    }
    fn reserve(&self, len: u64) -> io::Result<()> {
        self.file.reserve(len)
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.count();
        self.file.read_at(offset, out)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.count();
        self.file.write_at(offset, bytes)
    }
    fn sync(&self) -> io::Result<()> {
        Storage::sync(&self.file)
    }
    fn modified(&self) -> io::Result<SystemTime> {
        Storage::modified(&self.file)
    }
}

const DISK: u64 = 256 << 20;
const WRITES: u64 = 50_000;

fn new_file(folder: &Path, name: &str) -> io::Result<(Counted, PathBuf)> {
    let path = folder.join(name);
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    Ok((Counted { file, accesses: Cell::new(0) }, path))
}

/// Accesses for each write, and the shortest of five times for each write.
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn measure(disk: &mut Disk<Counted>) -> Result<(f64, Duration), Box<dyn Error>> {
    let full = vec![1; 2 << 20];
    for block in 0..DISK / (2 << 20) {
        disk.write(block * 4096, &full)?;
    }
    disk.flush()?;
    let before = disk.image().storage().accesses.get();
    let (mut shortest, mut sector, data) = (Duration::MAX, 0u64, [2; 4096]);
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..WRITES {
            // A step that is odd to the number of places comes to every one of them.
            sector = (sector + 8 * 7919) % (DISK / 512);
            disk.write(sector, &data)?;
        }
        shortest = shortest.min(start.elapsed());
    }
    let accesses = disk.image().storage().accesses.get() - before;
    Ok((accesses as f64 / (5 * WRITES) as f64, shortest / WRITES as u32))
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let new = NewDisk::new(DISK, Identity { uuid: Uuid::from_u128(1), time: VhdTime(0) });
    let mut fixed = None;
    println!("{:<42} {:>10} {:>12} {:>10}", "4 KiB written over", "accesses", "time", "of fixed");
    for (name, access) in [
        ("fixed", None),
        ("dynamic, table in memory", Some(TableAccess::InMemory)),
        ("dynamic, table looked up in the file", Some(TableAccess::PerAccess)),
    ] {
        let (storage, path) = new_file(&folder, &format!("table-in-memory-{}.vhd", std::process::id()))?;
        let image = match access {
            None => Image::create_fixed(storage, name, &new),
            Some(access) => Image::create_dynamic(storage, name, &new, access),
        };
        let measured = image.and_then(|image| Disk::new(image, Vec::new()));
        let measured = measured.map_err(Into::into).and_then(|mut disk| measure(&mut disk));
        fs::remove_file(path)?;
        let (accesses, time) = measured?;
        let of_fixed = time.as_secs_f64() / fixed.get_or_insert(time).as_secs_f64();
        println!("{name:<42} {accesses:>10.2} {:>9} ns {of_fixed:>9.2}×", time.as_nanos());
    }
    Ok(())
}
