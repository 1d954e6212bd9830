//! The virtual hard disks of a run, on its modelled devices.

use std::collections::BTreeMap;
use std::sync::Arc;

use machine_contract::ChannelDevice;
use storage_device::{Device, FileId, ModelledDisk, SharedDevice};
use storage_vsp::VspConfig;
use vhd::{Identity, NewDisk, Uuid, VhdError, VhdTime};
use vmms_host::storage::{ScsiController, StorageHandle};

use super::plan::{Plan, PlannedVm};
use crate::file::{Disk, DiskKind};

/// The instance of the one controller of a VM (invented).
const CONTROLLER: Uuid = Uuid::from_u128(0x5e4c_7a51_8a4e_4b0c_9d6a_1d5f_0c1d_15c1);

/// Golden images by device, name and size.
type Images = BTreeMap<(usize, String, u64), Arc<ModelledDisk>>;

/// What the disks of a run lie on.
pub(super) struct Storage {
    devices: Vec<SharedDevice>,
    images: Images,
    /// Of each VM: where its disks are plugged in, and what was counted.
    pub(super) handles: Vec<StorageHandle>,
}

fn identity(number: u64) -> Identity {
    Identity { uuid: Uuid::from_u128(u128::from(number) + 1), time: VhdTime(0) }
}

fn new_disk(bytes: u64, number: u64) -> NewDisk {
    NewDisk::new(bytes, identity(number))
}

/// Bytes of the files that a guest has on its disk from the beginning.
fn files(vm: &PlannedVm) -> u64 {
    vm.profile.family().footprint.file_cache.pages().bytes()
}

impl Storage {
    /// Devices at rest, and golden images.
    ///
    /// # Errors
    /// No VHD is like that; sizes were checked when the scenario was read.
    pub(super) fn new(plan: &Plan) -> Result<Self, VhdError> {
        let devices: Vec<SharedDevice> =
            plan.devices.iter().map(|device| Device::shared(device.config)).collect();
        let mut images = Images::new();
        for vm in &plan.vms {
            for disk in &vm.disks {
                let (DiskKind::Differencing { parent }, Some(device)) =
                    (&disk.kind, devices.get(disk.device))
                else {
                    continue;
                };
                let key = (disk.device, parent.clone(), disk.size.bytes());
                if images.contains_key(&key) {
                    continue;
                }
                // Of all VMs that share it, the one with the most files says what is in it: the first is enough where they are alike.
                let sharing =
                    plan.vms.iter().filter(|vm| vm.disks.iter().any(|other| other.kind == disk.kind));
                let filled = sharing.map(files).max().unwrap_or(0);
                let number = IMAGES + images.len() as u64;
                let new = new_disk(disk.size.bytes(), number);
                let image = ModelledDisk::dynamic(device.clone(), FileId(number), &new, filled)?;
                images.insert(key, Arc::new(image));
            }
        }
        let handles = plan.vms.iter().map(|_| StorageHandle::default()).collect();
        Ok(Self { devices, images, handles })
    }

    /// The controller of a VM with its disks, as they are when the VM is started: made anew each time, since what a guest pages is
    /// void when it restarts.
    pub(super) fn controller(
        &self,
        at: usize,
        vm: &PlannedVm,
    ) -> impl Fn() -> Vec<Box<dyn ChannelDevice>> + Send + Sync + use<> {
        let (vm, handle) = (vm.clone(), self.handles.get(at).cloned().unwrap_or_default());
        let (devices, images) = (self.devices.clone(), self.images.clone());
        move || {
            for (lun, disk) in (0u8..).zip(&vm.disks) {
                let Some(device) = devices.get(disk.device) else { continue };
                // Two for each VM.
                let number = 2 * at as u64 + u64::from(lun);
                let filled = if lun == 0 { files(&vm) } else { 0 };
                match make(disk, device, &images, number, filled) {
                    Ok(disk) => handle.attach(lun, Box::new(disk)),
                    Err(why) => tracing::error!(event = "disk_not_made", lun, why = %why),
                }
            }
            vec![Box::new(ScsiController::new(CONTROLLER, VspConfig::default(), handle.clone()))]
        }
    }
}

/// Numbers of golden images begin here: no run has as many disks.
const IMAGES: u64 = 1 << 32;

fn make(
    disk: &Disk,
    device: &SharedDevice,
    images: &Images,
    number: u64,
    filled: u64,
) -> Result<ModelledDisk, VhdError> {
    let (bytes, file) = (disk.size.bytes(), FileId(number));
    match &disk.kind {
        DiskKind::Fixed => ModelledDisk::fixed(device.clone(), file, &new_disk(bytes, number)),
        DiskKind::Dynamic => ModelledDisk::dynamic(device.clone(), file, &new_disk(bytes, number), filled),
        DiskKind::Differencing { parent } => {
            match images.get(&(disk.device, parent.clone(), bytes)) {
                Some(golden) => ModelledDisk::differencing(golden, file, identity(number)),
                // All that the plan names are there.
                None => ModelledDisk::dynamic(device.clone(), file, &new_disk(bytes, number), filled),
            }
        }
    }
}
