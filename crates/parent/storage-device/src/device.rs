//! The device: when an access is over.

use std::sync::Arc;
use std::time::Duration;

use model_sync::Mutex;

use crate::cache::Cache;
use crate::constants as c;

/// How a device is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceConfig {
    /// Disks with an arm each; at least one.
    pub spindles: u32,
    /// Accesses at random that one of them does in a second; more than 0.
    pub iops: f64,
    /// What one of them transfers in a second, in bytes; more than 0.
    pub bytes_per_second: f64,
    /// The controller's memory, in bytes; 0: none.
    pub cache_bytes: u64,
    /// What an access takes that needs no spindle.
    pub latency: Duration,
    /// Accesses that the controller's processors serve in a second, wherever the data are; infinite: as many as come.
    pub accesses_per_second: f64,
}

impl Default for DeviceConfig {
    fn default() -> Self {
        Self {
            spindles: c::SPINDLES.whole() as u32,
            iops: c::IOPS.value,
            bytes_per_second: c::THROUGHPUT.value * MIB,
            cache_bytes: (c::CACHE.value * MIB) as u64,
            latency: Duration::from_secs_f64(c::LATENCY.value / 1e3),
            accesses_per_second: f64::INFINITY,
        }
    }
}

const MIB: f64 = 1_048_576.0;

/// Names a file on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(pub u64);

/// Bytes of a file that are read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Which file.
    pub file: FileId,
    /// Where in it.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
    /// Written, else read.
    pub write: bool,
}

/// What was counted of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceStatistics {
    /// Reads.
    pub reads: u64,
    /// Those of them that the cache had.
    pub cached_reads: u64,
    /// Writes.
    pub writes: u64,
    /// Those of them that found no room in the cache, and waited for a spindle.
    pub uncached_writes: u64,
    /// Time in which spindles worked, all of them together.
    pub busy: Duration,
}

/// One disk.
#[derive(Clone, Copy, Debug, Default)]
struct Spindle {
    /// When it has done what somebody waits for.
    free_at: Duration,
    /// Up to when the backlog was worked off.
    worked_until: Duration,
    /// Work that waits in the cache: done while nobody waits for the spindle.
    backlog: Duration,
    /// Bytes of that.
    dirty: u64,
    /// Where its arm is: the end of the last access.
    at: Option<(FileId, u64)>,
}

/// Spindles behind a cache.
#[derive(Clone, Debug)]
pub struct Device {
    config: DeviceConfig,
    access_time: Duration,
    processor_time: Duration,
    processor_free_at: Duration,
    spindles: Vec<Spindle>,
    cache: Cache,
    statistics: DeviceStatistics,
}

/// A device that several disks lie on.
pub type SharedDevice = Arc<Mutex<Device>>;

const STRIPE: u64 = (c::STRIPE.value * 1024.0) as u64;

/// What lies on one spindle.
#[derive(Clone, Copy)]
struct Piece {
    spindle: usize,
    file: FileId,
    offset: u64,
    bytes: u64,
}

impl Device {
    /// A device at rest, with an empty cache.
    #[must_use]
    pub fn new(config: DeviceConfig) -> Self {
        let spindles = config.spindles.max(1) as usize;
        Self {
            access_time: Duration::from_secs_f64(1.0 / config.iops.max(1e-6)),
            processor_time: Duration::from_secs_f64(1.0 / config.accesses_per_second.max(1e-6)),
            processor_free_at: Duration::ZERO,
            spindles: vec![Spindle::default(); spindles],
            cache: Cache::new(usize::try_from(config.cache_bytes / STRIPE).unwrap_or(usize::MAX)),
            statistics: DeviceStatistics::default(),
            config,
        }
    }

    /// A device for several disks.
    #[must_use]
    pub fn shared(config: DeviceConfig) -> SharedDevice {
        Arc::new(Mutex::new(Self::new(config)))
    }

    /// How it is made.
    #[must_use]
    pub fn config(&self) -> &DeviceConfig {
        &self.config
    }

    /// What was counted.
    #[must_use]
    pub fn statistics(&self) -> DeviceStatistics {
        self.statistics
    }

    /// When an access that begins at `now` is over.
    pub fn access(&mut self, now: Duration, access: Access) -> Duration {
        self.request(now, [access])
    }

    /// When accesses are over that begin at `now`, each as soon as the one before is over. Requests come in the order of their times. A
    /// request has its place on each spindle from when it comes, also where it needs the spindle later: what comes after it waits.
    pub fn request(&mut self, now: Duration, accesses: impl IntoIterator<Item = Access>) -> Duration {
        let mut at = now;
        for access in accesses {
            // The processors' work for all of it is charged when the request comes.
            self.processor_free_at = self.processor_free_at.max(now) + self.processor_time;
            let ready = self.processor_free_at.max(at) + self.config.latency;
            at = match access {
                Access { bytes: 0, .. } => ready,
                Access { write: true, .. } => self.write(ready, access),
                Access { write: false, .. } => self.read(ready, access),
            };
        }
        at
    }

    fn pieces(&self, access: Access) -> impl Iterator<Item = Piece> + use<> {
        let (spindles, mut done) = (self.spindles.len() as u64, 0);
        // Files do not all begin on the same spindle.
        let shift = access.file.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        std::iter::from_fn(move || {
            (done < access.bytes).then(|| {
                let offset = access.offset + done;
                let bytes = (STRIPE - offset % STRIPE).min(access.bytes - done);
                done += bytes;
                let spindle = ((offset / STRIPE).wrapping_add(shift) % spindles) as usize;
                Piece { spindle, file: access.file, offset, bytes }
            })
        })
    }

    fn read(&mut self, now: Duration, access: Access) -> Duration {
        self.statistics.reads += 1;
        let (mut end, mut all_cached) = (now, true);
        for piece in self.pieces(access) {
            let block = (piece.file.0, piece.offset / STRIPE);
            if !self.cache.has(block) {
                all_cached = false;
                end = end.max(self.foreground(now, piece));
            }
            self.cache.used(block);
        }
        self.statistics.cached_reads += u64::from(all_cached);
        end
    }

    fn write(&mut self, now: Duration, access: Access) -> Duration {
        self.statistics.writes += 1;
        let (mut end, mut all_cached) = (now, true);
        for piece in self.pieces(access) {
            self.work_off(piece.spindle, now);
            let dirty: u64 = self.spindles.iter().map(|spindle| spindle.dirty).sum();
            if dirty + piece.bytes <= self.config.cache_bytes {
                let took = self.service(piece);
                let spindle = &mut self.spindles[piece.spindle];
                spindle.backlog += took;
                spindle.dirty += piece.bytes;
            } else {
                all_cached = false;
                end = end.max(self.foreground(now, piece));
            }
            self.cache.used((piece.file.0, piece.offset / STRIPE));
        }
        self.statistics.uncached_writes += u64::from(!all_cached);
        end
    }

    /// Somebody waits for this: it comes before everything that waits in the cache, and after what somebody else waits for.
    fn foreground(&mut self, now: Duration, piece: Piece) -> Duration {
        self.work_off(piece.spindle, now);
        let took = self.service(piece);
        let spindle = &mut self.spindles[piece.spindle];
        spindle.free_at = spindle.free_at.max(now) + took;
        spindle.worked_until = spindle.worked_until.max(spindle.free_at);
        spindle.free_at
    }

    /// What waits in the cache is written while the spindle is free.
    fn work_off(&mut self, spindle: usize, now: Duration) {
        let spindle = &mut self.spindles[spindle];
        let from = spindle.worked_until.max(spindle.free_at);
        let idle = now.saturating_sub(from);
        spindle.worked_until = spindle.worked_until.max(now);
        if spindle.backlog <= idle {
            (spindle.backlog, spindle.dirty) = (Duration::ZERO, 0);
        } else {
            let left = spindle.backlog - idle;
            let share = left.as_secs_f64() / spindle.backlog.as_secs_f64();
            spindle.dirty = (spindle.dirty as f64 * share) as u64;
            spindle.backlog = left;
        }
    }

    /// How long a spindle works for this: the arm moves, unless it is there.
    fn service(&mut self, piece: Piece) -> Duration {
        let transfer = Duration::from_secs_f64(piece.bytes as f64 / self.config.bytes_per_second);
        let stripes = self.spindles.len() as u64;
        let spindle = &mut self.spindles[piece.spindle];
        // The next stripe of a file on the same spindle follows the last one there.
        let is_there = spindle.at.is_some_and(|(file, end)| {
            let next = if end.is_multiple_of(STRIPE) { end + (stripes - 1) * STRIPE } else { end };
            file == piece.file && (piece.offset == end || piece.offset == next)
        });
        spindle.at = Some((piece.file, piece.offset + piece.bytes));
        let took = if is_there { transfer } else { self.access_time.max(transfer) };
        self.statistics.busy += took;
        took
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn device(spindles: u32, cache_bytes: u64) -> Device {
        let latency = Duration::ZERO;
        let accesses_per_second = f64::INFINITY;
        let bytes_per_second = 6_553_600.0;
        Device::new(DeviceConfig {
            spindles,
            iops: 100.0,
            bytes_per_second,
            cache_bytes,
            latency,
            accesses_per_second,
        })
    }

    fn access(file: u64, offset: u64, write: bool) -> Access {
        Access { file: FileId(file), offset, bytes: 4096, write }
    }

    #[test]
    fn one_spindle_does_one_thing_at_a_time_and_so_many_in_a_second() {
        let mut device = device(1, 0);
        let mut end = Duration::ZERO;
        for n in 0..100 {
            end = device.access(Duration::ZERO, access(n, (n * 7919) << 16, n % 2 == 0));
        }
        assert_eq!(end, Duration::from_secs(1));
        assert_eq!(device.statistics().busy, end);
    }

    #[test]
    fn several_spindles_work_at_a_time() {
        let mut device = device(8, 0);
        let ends: Vec<_> =
            (0..800).map(|n| device.access(Duration::ZERO, access(0, (n * 7919) << 16, false))).collect();
        let last = ends.into_iter().max().unwrap();
        assert!(last < Duration::from_millis(1100), "{last:?}");
    }

    #[test]
    fn processors_serve_one_access_after_the_other() {
        let config =
            DeviceConfig { accesses_per_second: 1000.0, latency: Duration::ZERO, ..DeviceConfig::default() };
        let mut device = Device::new(config);
        // Taken by the cache, all of them.
        let ends: Vec<_> = (0..10).map(|n| device.access(Duration::ZERO, access(0, n << 20, true))).collect();
        assert_eq!(ends.last(), Some(&(10 * MS)));
    }

    #[test]
    fn what_follows_needs_no_movement() {
        let mut device = device(1, 0);
        let first = device.access(Duration::ZERO, Access { bytes: 1 << 20, ..access(0, 0, false) });
        // 16 stripes of 10 ms transfer each.
        assert_eq!(first, 160 * MS);
        let next = device.access(first, Access { bytes: 65536, ..access(0, 1 << 20, false) });
        assert_eq!(next, first + 10 * MS);
    }

    #[test]
    fn what_was_read_is_read_again_without_a_spindle() {
        let mut device = device(1, 1 << 20);
        assert_eq!(device.access(Duration::ZERO, access(0, 0, false)), 10 * MS);
        assert_eq!(device.access(100 * MS, access(0, 4096, false)), 100 * MS);
        // Another file at the same place is another block.
        assert_eq!(device.access(100 * MS, access(1, 0, false)), 110 * MS);
    }

    #[test]
    fn writes_are_taken_at_once_until_the_cache_is_full_of_them() {
        let mut device = device(1, 16 * 4096);
        for n in 0..16 {
            assert_eq!(device.access(Duration::ZERO, access(0, n << 20, true)), Duration::ZERO);
        }
        assert_eq!(device.access(Duration::ZERO, access(0, 99 << 20, true)), 10 * MS, "there is no room");
        // Reads come first; what waits in the cache is written in idle time: half a second later it is empty.
        assert_eq!(device.access(10 * MS, access(1, 0, false)), 20 * MS);
        assert_eq!(device.access(500 * MS, access(0, 200 << 20, true)), 500 * MS);
        assert_eq!(device.statistics().uncached_writes, 1);
    }
}
