//! T by mechanism: VMs that boot all at once from one golden image, or from a mirror each, on a modelled device.
//!
//! Each VM is a virtual hard disk, and reads and writes as fast as the device lets it: one access after the other, as an operating system that
//! loads does. All read the same places of the image, since they boot the same system, and write at places of their own. What the formulas
//! take as inputs, how much of it the array's memory answers above all, comes out here: of the cache, of what clones share, and of the
//! accesses that a differencing disk's blocks, bitmaps and footer cost.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use component_runtime::random::{below, stream, unit};
use storage_device::{Device, DeviceConfig, FileId, ModelledDisk, SharedDevice};
use vhd::{Identity, NewDisk, Uuid, VhdError, VhdTime};

use crate::constants as c;
use crate::inputs::{Function, Inputs};

/// What a boot storm showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Storm {
    /// VMs that booted at once.
    pub vms: u32,
    /// How long it took until the last had done all of its accesses.
    pub time: Duration,
    /// Y: accesses of VMs that were served in a second.
    pub rate: f64,
    /// T: so many VMs have what they ask for.
    pub machines: u64,
    /// Of the accesses to the device, the part that needed no spindle at once: reads that the cache had, writes that it took.
    pub hit: f64,
    /// Accesses to the device for each of a VM's.
    pub device_accesses: f64,
    /// Part of the time in which the spindles worked.
    pub busy: f64,
}

/// Lets `vms` VMs boot at once, each with `accesses` accesses.
///
/// # Errors
/// No VHD is as large as the image.
pub fn boot(
    inputs: &Inputs,
    function: Function,
    vms: u32,
    accesses: u32,
    seed: u64,
) -> Result<Storm, VhdError> {
    let device = Device::shared(DeviceConfig {
        spindles: inputs.array.disks,
        iops: inputs.array.disk,
        cache_bytes: (c::STORM_CACHE.value * 1e9) as u64,
        accesses_per_second: inputs.array.processor,
        ..DeviceConfig::default()
    });
    let mut disks = clones(inputs, function, vms, &device)?;
    // What a boot reads, in the order in which it is read: the same in every VM.
    let size = c::STORM_READ_SIZE.whole() * 1024;
    let places = ((c::STORM_FILES.value * 1e6) as u64 / size).max(1);
    let mut order = stream(seed, "boot");
    let reads: Vec<u64> = (0..accesses).map(|_| below(&mut order, places) * size / 512).collect();
    let sectors = (inputs.image_bytes / 512.0) as u64;
    let mut of_vm: Vec<_> = (0..vms).map(|vm| stream(seed, &format!("vm {vm}"))).collect();
    // Who is next, in the order of time.
    let mut next: BinaryHeap<Reverse<(Duration, u32, u32)>> = BinaryHeap::new();
    for vm in 0..vms {
        // Not in step: an operator's script starts them within a second.
        let start = Duration::from_secs_f64(unit(&mut of_vm[vm as usize]));
        next.push(Reverse((start, vm, 0)));
    }
    let (mut buffer, mut end) = (vec![0; size as usize], Duration::ZERO);
    while let Some(Reverse((now, vm, access))) = next.pop() {
        if access == accesses {
            end = end.max(now);
            continue;
        }
        let rng = &mut of_vm[vm as usize];
        let disk = &mut disks[vm as usize];
        let over = if unit(rng) < c::STORM_READS.value {
            let sector = reads[access as usize];
            disk.use_at(now, |disk| disk.read(sector, &mut buffer))?
        } else {
            // Pages of 4 KiB, at one of the places at which a VM writes anew.
            let place = below(rng, inputs.places.max(1.0) as u64);
            let inside = below(rng, (inputs.place_bytes / 4096.0).max(1.0) as u64) * 8;
            let at = (place * (sectors / (inputs.places.max(1.0) as u64 + 1)) + inside).min(sectors - 8);
            disk.use_at(now, |disk| disk.write(at, &[0x5a; 4096]))?
        };
        next.push(Reverse((over, vm, access + 1)));
    }
    let counted = device.lock().statistics();
    let done = f64::from(vms) * f64::from(accesses);
    let rate = done / end.as_secs_f64().max(1e-9);
    let all = (counted.reads + counted.writes).max(1) as f64;
    let cached = counted.cached_reads + counted.writes - counted.uncached_writes;
    Ok(Storm {
        vms,
        time: end,
        rate,
        machines: (rate / inputs.accesses) as u64,
        hit: cached as f64 / all,
        device_accesses: all / done,
        busy: counted.busy.as_secs_f64() / (end.as_secs_f64() * f64::from(inputs.array.disks)),
    })
}

fn clones(
    inputs: &Inputs,
    function: Function,
    vms: u32,
    device: &SharedDevice,
) -> Result<Vec<ModelledDisk>, VhdError> {
    let identity = |number: u64| Identity { uuid: Uuid::from_u128(u128::from(number) + 1), time: VhdTime(0) };
    let bytes = (inputs.image_bytes / 512.0) as u64 * 512;
    let image = |number: u64| {
        let new = NewDisk { bytes, block_bytes: BLOCK, identity: identity(number) };
        ModelledDisk::fixed(device.clone(), FileId(number), &new)
    };
    match function {
        // A mirror has all that the image has.
        Function::Thin => (0..u64::from(vms)).map(image).collect(),
        Function::Snapshot => {
            let golden = image(u64::from(vms))?;
            let clone = |number| {
                ModelledDisk::differencing_in_blocks(&golden, FileId(number), identity(number), BLOCK)
            };
            (0..u64::from(vms)).map(clone).collect()
        }
    }
}

/// Bytes of a block of a clone: what an array's snapshot allocates at once (`sizing.snapshot_unit`), as a power of two.
const BLOCK: u32 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::Use;

    fn storm(function: Function, vms: u32) -> Storm {
        boot(&Inputs { image_bytes: 20e9, ..Inputs::of(Use::Desktops, function) }, function, vms, 300, 3)
            .unwrap()
    }

    /// What one clone has read of a shared image is in the array's memory for the next.
    #[test]
    fn clones_of_one_image_have_more_hits_and_boot_faster_than_mirrors() {
        let (snapshot, thin) = (storm(Function::Snapshot, 200), storm(Function::Thin, 200));
        assert!(snapshot.hit > thin.hit + 0.3, "{snapshot:?} {thin:?}");
        assert!(snapshot.rate > 1.5 * thin.rate, "{snapshot:?} {thin:?}");
        // A new block of a clone costs more than its data.
        assert!(snapshot.device_accesses > thin.device_accesses, "{snapshot:?} {thin:?}");
    }

    /// Where all is read from disks of its own, T is M · X / B as the formula says, with the hits that there were.
    #[test]
    fn with_the_hits_that_there_were_the_formula_is_met_where_disks_limit() {
        let inputs = Inputs::of(Use::Desktops, Function::Thin);
        let thin = storm(Function::Thin, 400);
        let by_disks = inputs.array.disk * f64::from(inputs.array.disks) / (1.0 - thin.hit);
        let ratio = thin.rate * thin.device_accesses / by_disks;
        assert!((0.6..1.3).contains(&ratio), "{ratio} {thin:?}");
    }
}
