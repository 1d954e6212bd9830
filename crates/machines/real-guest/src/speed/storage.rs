//! Storage, measured beside QEMU's virtio-blk: the same kernel, the same program in the guest, the same bytes in the same kind of file.
//!
//! Both guests have one processor and 512 MB, and one after the other the KVM to themselves. This project's guest has `hv_storvsc` over a
//! fixed VHD, QEMU's has `virtio_blk` over a copy of it, of which all but the footer are a plain image.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use balancing_policy::MemorySettings;
use kvm_partition::{ExitCounts, KernelImage};
use serde::Serialize;
use vhd::files;

use super::kvm_statistics::KvmStatistics;
use super::qemu_guest::QemuGuest;
use super::series::Series;
use crate::disk::DiskFile;
use crate::disk_images::new_disk;
use crate::disk_load::{ANSWER, Direction, Load, Order, read_answer};
use crate::host::RealHost;
use crate::initramfs;
use crate::pieces::Pieces;
use crate::record::{BOOT, OPERATION, Stage, VM, boot_seen, mib, stage_config};
use crate::storage_pieces;

/// Size of the disk, MiB (invented): in memory, and gone through often enough.
const DISK_MIB: u64 = 64;
/// Sectors of 512 bytes in a MiB.
const SECTORS_PER_MIB: u64 = (1 << 20) / 512;
/// Memory of both guests, MiB.
const MEMORY_MIB: u64 = 512;

/// What is measured (sizes invented; those of a copy and of a data base): a few seconds of an emulated processor each.
const LOADS: [(&str, Load); 4] = [
    (
        "read 256 KB, in order",
        Load { direction: Direction::Read, order: Order::Sequential, bytes: 256 << 10, count: 512 },
    ),
    (
        "write 256 KB, in order",
        Load { direction: Direction::Write, order: Order::Sequential, bytes: 256 << 10, count: 512 },
    ),
    (
        "read 4 KB, at random",
        Load { direction: Direction::Read, order: Order::Random, bytes: 4 << 10, count: 2000 },
    ),
    (
        "write 4 KB, at random",
        Load { direction: Direction::Write, order: Order::Random, bytes: 4 << 10, count: 2000 },
    ),
];

/// What requests of one kind cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// From a request to its end, as the guest measures it, µs; the measurements in order.
    pub microseconds: Series,
    /// Exits for each request, as the kernel under the guest counts them; empty where it says nothing.
    pub exits: Series,
    /// Of these: a processor with nothing to do.
    pub halts: Series,
    /// Of these: port I/O and addresses that are not memory.
    pub io: Series,
    /// Exits for each request that reached this project's program; of QEMU nobody counts them.
    pub to_program: Series,
}

/// One kind of load.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// What it is.
    pub load: String,
    /// Bytes of each request.
    pub bytes: usize,
    /// StorVSP of this project.
    pub storvsp: Cost,
    /// virtio-blk of QEMU, where there is a QEMU.
    pub virtio_blk: Option<Cost>,
}

/// What was measured of storage.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StorageSpeed {
    /// Load by load.
    pub rows: Vec<Row>,
}

impl std::fmt::Display for StorageSpeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "storage, µs for each request, one at a time (median, smallest, largest), and exits for each"
        )?;
        for row in &self.rows {
            writeln!(f, "  {}", row.load)?;
            for (name, cost) in [("StorVSP", Some(&row.storvsp)), ("virtio-blk", row.virtio_blk.as_ref())] {
                let Some(cost) = cost else { continue };
                let (median, low, high) = cost.microseconds.spread();
                write!(
                    f,
                    "    {name:<11} {median:>7.0} ({low:.0} to {high:.0}), {:.1} MB/s",
                    row.bytes as f64 / median * 1e6 / f64::from(1u32 << 20)
                )?;
                if !cost.exits.0.is_empty() {
                    write!(
                        f,
                        "; {:.1} exits, of them {:.1} halts, {:.1} I/O",
                        cost.exits.median(),
                        cost.halts.median(),
                        cost.io.median()
                    )?;
                }
                if !cost.to_program.0.is_empty() {
                    write!(f, "; {:.2} to the program", cost.to_program.median())?;
                }
                writeln!(f)?;
            }
            if let Some(other) = &row.virtio_blk {
                writeln!(
                    f,
                    "    StorVSP takes {:.2} of virtio-blk's time",
                    row.storvsp.microseconds.median() / other.microseconds.median()
                )?;
            }
        }
        Ok(())
    }
}

/// Measures. `folder` has what [`storage_pieces`] brought; without a QEMU there this project's guest is measured alone. Disks are made in
/// `scratch`.
///
/// # Errors
/// If a guest does not boot, or a load fails in it.
pub(super) fn measure(pieces: &Pieces, repeat: usize, folder: &Path, scratch: &Path) -> Result<StorageSpeed> {
    let disk = scratch.join("measured.vhd");
    // Full of bytes: what was never written would be read from nowhere.
    {
        let mut disk = files::create_fixed(&disk, &new_disk(DISK_MIB, 9))?;
        let piece = vec![0xa5; 1 << 20];
        for number in 0..DISK_MIB {
            disk.write(number * SECTORS_PER_MIB, &piece)?;
        }
        disk.flush()?;
    }
    let mut speed = StorageSpeed::default();
    for (name, load) in LOADS {
        speed.rows.push(Row { load: name.to_owned(), bytes: load.bytes, ..Row::default() });
    }
    let ours = ours(pieces, repeat, folder, &disk)?;
    for (row, cost) in speed.rows.iter_mut().zip(ours) {
        row.storvsp = cost;
    }
    if storage_pieces::has_qemu(folder) {
        let theirs = qemu(pieces, repeat, folder, &disk, scratch)?;
        for (row, cost) in speed.rows.iter_mut().zip(theirs) {
            row.virtio_blk = Some(cost);
        }
    }
    std::fs::remove_file(&disk).context("cannot remove the disk that was measured")?;
    Ok(speed)
}

/// A guest that is measured: what it is asked, and what its exits are.
trait Measured {
    /// Gives the guest's shell a line, and waits for the line that says how it went.
    fn shell(&mut self, line: &str) -> Result<String>;
    /// The disk's name in the guest.
    fn device(&self) -> &str;
    /// Exits that reached the program, where somebody counts them.
    fn to_program(&self) -> Option<u64>;
}

fn all_loads(guest: &mut dyn Measured, repeat: usize) -> Result<Vec<Cost>> {
    let mut costs = vec![Cost::default(); LOADS.len()];
    // Once unmeasured: program and disk are in memory then.
    for (_, load) in LOADS {
        once(guest, Load { count: load.count.min(DISK_MIB * 4), ..load })?;
    }
    for _ in 0..repeat {
        for (cost, (_, load)) in costs.iter_mut().zip(LOADS) {
            // What asking and answering cost is taken off.
            let (_, idle) = once(guest, Load { count: 0, ..load })?;
            let (took, busy) = once(guest, load)?;
            let each = |counted: Option<u64>, idle: Option<u64>| {
                Some(counted?.saturating_sub(idle?) as f64 / load.count as f64)
            };
            cost.microseconds.0.push(took.as_secs_f64() * 1e6 / load.count as f64);
            let of = |exits: &Exits, which: fn(KvmStatistics) -> u64| exits.kernel.map(which);
            let keep = |series: &mut Series, which: fn(KvmStatistics) -> u64| {
                series.0.extend(each(of(&busy, which), of(&idle, which)));
            };
            keep(&mut cost.exits, |counted| counted.exits);
            keep(&mut cost.halts, |counted| counted.halt);
            keep(&mut cost.io, |counted| counted.io + counted.mmio);
            cost.to_program.0.extend(each(busy.program, idle.program));
        }
    }
    Ok(costs)
}

/// Exits while something was done.
struct Exits {
    kernel: Option<KvmStatistics>,
    program: Option<u64>,
}

fn once(guest: &mut dyn Measured, load: Load) -> Result<(Duration, Exits)> {
    let (kernel, program) = (KvmStatistics::read(), guest.to_program());
    let answer = guest.shell(&format!("disk-load {}", load.words(guest.device())))?;
    let took = read_answer(&answer).with_context(|| format!("the load failed in the guest: {answer}"))?;
    let kernel = Option::zip(KvmStatistics::read(), kernel).map(|(now, before)| now.since(before));
    let program = Option::zip(guest.to_program(), program).map(|(now, before)| now.saturating_sub(before));
    Ok((took, Exits { kernel, program }))
}

/// This project's guest.
struct Ours {
    stage: Stage,
    device: String,
}

impl Measured for Ours {
    fn shell(&mut self, line: &str) -> Result<String> {
        self.stage.ask(&format!("sh {line}"), ANSWER).context("the guest does not answer")
    }

    fn device(&self) -> &str {
        &self.device
    }

    fn to_program(&self) -> Option<u64> {
        let exits = self.stage.guest().exits();
        let ExitCounts { io, mmio, synic, post_message, signal_event, extended, other } = exits;
        Some(io + mmio + synic + post_message + signal_event + extended + other)
    }
}

fn ours(pieces: &Pieces, repeat: usize, folder: &Path, disk: &Path) -> Result<Vec<Cost>> {
    let (config, targets) = stage_config(|config| {
        let guest = &mut config.guests[0];
        guest.settings =
            MemorySettings::dynamic(mib(MEMORY_MIB), mib(MEMORY_MIB)).with_minimum(mib(MEMORY_MIB));
        guest.disks = vec![DiskFile { lun: 0, path: disk.to_owned(), read_only: false }];
    });
    let kernel = Arc::new(KernelImage::open(&pieces.kernel)?);
    let initramfs: Arc<[u8]> =
        initramfs::measured_guest(pieces, &folder.join(storage_pieces::DISK_LOAD))?.into();
    let stage = Stage { host: RealHost::start_with(&kernel, &initramfs, config)?, targets };
    if !stage.ready(0) {
        bail!("the guest did not get ready: {}", boot_seen(&stage));
    }
    stage.targets.set(VM, None);
    let attached = stage
        .wait(0, OPERATION, |event| event.name() == "storage" && event.word("what").starts_with("version"));
    attached.context("the guest's hv_storvsc has not opened its channel")?;
    let look = "i=0; while [ -z \"$(disk 0)\" ] && [ $i -lt 200 ]; do sleep 0.1; i=$((i + 1)); done";
    let disk = "disk() { ls /sys/bus/scsi/devices/*:0:0:$1/block 2>/dev/null; }";
    let found = stage.ask(&format!("sh {disk}; {look}; echo disk $(disk 0)"), "disk ").unwrap_or_default();
    let name = found.trim_start_matches("disk").trim().to_owned();
    if name.is_empty() {
        bail!("the guest does not see its disk");
    }
    let mut guest = Ours { stage, device: format!("/dev/{name}") };
    let costs = all_loads(&mut guest, repeat)?;
    guest.stage.host.end()?;
    Ok(costs)
}

impl Measured for QemuGuest {
    fn shell(&mut self, line: &str) -> Result<String> {
        self.ask(&format!("sh {line}"), ANSWER, OPERATION)
    }

    fn device(&self) -> &'static str {
        "/dev/vda"
    }

    fn to_program(&self) -> Option<u64> {
        None
    }
}

fn qemu(pieces: &Pieces, repeat: usize, folder: &Path, disk: &Path, scratch: &Path) -> Result<Vec<Cost>> {
    let path = scratch.join("qemu-guest.cpio");
    let archive = initramfs::measured_qemu_guest(pieces, &folder.join(storage_pieces::DISK_LOAD))?;
    std::fs::write(&path, archive).context("cannot write the initramfs of QEMU's guest")?;
    let mut guest = QemuGuest::start(folder, &pieces.kernel, &path, disk)?;
    if !guest.is_ready(BOOT) {
        bail!("QEMU's guest did not get ready");
    }
    let costs = all_loads(&mut guest, repeat)?;
    drop(guest);
    std::fs::remove_file(&path).context("cannot remove the initramfs of QEMU's guest")?;
    Ok(costs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A guest whose requests take 2 µs and three exits, beside ten for being asked.
    struct Played {
        exits: u64,
        fails: bool,
    }

    impl Measured for Played {
        fn shell(&mut self, line: &str) -> Result<String> {
            if self.fails {
                return Ok("took too long".to_owned());
            }
            let count: u64 =
                line.rsplit(' ').next().and_then(|word| word.parse().ok()).context("no count")?;
            self.exits += 10 + 3 * count;
            Ok(format!("took {} ns", 2000 * count))
        }

        fn device(&self) -> &'static str {
            "/dev/null"
        }

        fn to_program(&self) -> Option<u64> {
            Some(self.exits)
        }
    }

    #[test]
    fn what_asking_costs_is_no_part_of_a_request() {
        let costs = all_loads(&mut Played { exits: 0, fails: false }, 2).unwrap();
        assert_eq!(costs.len(), LOADS.len());
        for cost in costs {
            assert_eq!(cost.to_program, Series(vec![3.0; 2]));
            assert!(cost.microseconds.0.iter().all(|took| (took - 2.0).abs() < 1e-9), "{cost:?}");
        }
        let error = all_loads(&mut Played { exits: 0, fails: true }, 1).unwrap_err().to_string();
        assert!(error.contains("took too long"), "{error}");
    }

    #[test]
    fn both_are_told_side_by_side_and_one_alone() {
        let cost = |microseconds: f64| Cost {
            microseconds: Series(vec![microseconds]),
            exits: Series(vec![4.0]),
            halts: Series(vec![1.0]),
            io: Series(vec![0.5]),
            to_program: Series::default(),
        };
        let mut row = Row {
            load: "read 4 KB".to_owned(),
            bytes: 4096,
            storvsp: cost(500.0),
            virtio_blk: Some(cost(400.0)),
        };
        let text = StorageSpeed { rows: vec![row.clone()] }.to_string();
        assert!(text.contains("StorVSP takes 1.25 of virtio-blk's time"), "{text}");
        assert!(text.contains("4.0 exits, of them 1.0 halts, 0.5 I/O"), "{text}");
        assert!(text.contains("9.8 MB/s"), "4 KiB in 400 µs: {text}");
        row.virtio_blk = None;
        let text = StorageSpeed { rows: vec![row] }.to_string();
        assert!(!text.contains("virtio-blk"), "{text}");
    }
}
