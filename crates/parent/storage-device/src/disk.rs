//! Virtual hard disks on a modelled device.

use std::collections::BTreeMap;
use std::time::Duration;

use storage_vsp::{DiskConfig, carry_out};
use vhd::{Disk, Identity, Image, NewDisk, ParentLink, TableAccess, VhdError};
use vmms_host::storage::{DiskRequest, DiskResult, VirtualDisk};

use crate::device::{FileId, SharedDevice};
use crate::file::{AccessLog, ModelFile};

/// A disk whose requests take the time that its device needs for the accesses of its files.
pub struct ModelledDisk {
    disk: Disk<ModelFile>,
    log: AccessLog,
    device: SharedDevice,
    /// What is under way, by when it is over.
    pending: BTreeMap<(Duration, u64), DiskResult>,
    next: u64,
}

impl std::fmt::Debug for ModelledDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelledDisk").field("disk", &self.disk).finish_non_exhaustive()
    }
}

/// Bytes that are written at once to fill a disk.
const PIECE: usize = 1 << 20;

impl ModelledDisk {
    /// A fixed disk, all zeros, in a file of its own.
    ///
    /// # Errors
    /// No VHD has this size.
    pub fn fixed(device: SharedDevice, file: FileId, new: &NewDisk) -> Result<Self, VhdError> {
        let log = AccessLog::default();
        let image = Image::create_fixed(ModelFile::new(file, log.clone()), "modelled disk", new)?;
        Self::of(device, log, image, Vec::new())
    }

    /// A dynamic disk whose first `filled` bytes were written before: so much of it is in its file.
    ///
    /// # Errors
    /// No VHD has this size, or `filled` is more than it has.
    pub fn dynamic(device: SharedDevice, file: FileId, new: &NewDisk, filled: u64) -> Result<Self, VhdError> {
        let log = AccessLog::default();
        let storage = ModelFile::new(file, log.clone());
        let image = Image::create_dynamic(storage, "modelled disk", new, TableAccess::InMemory)?;
        let mut disk = Self::of(device, log, image, Vec::new())?;
        disk.fill(filled)?;
        Ok(disk)
    }

    /// A disk that differs from `golden`, in a file of its own. The golden image is read by all disks that were made of it, and never
    /// written again.
    ///
    /// # Errors
    /// The golden image differs from another itself.
    pub fn differencing(golden: &Self, file: FileId, identity: Identity) -> Result<Self, VhdError> {
        let layout = golden.disk.image().layout();
        let block_bytes = layout.map_or(vhd::limits::DEFAULT_BLOCK_BYTES, |layout| layout.block_bytes);
        Self::differencing_in_blocks(golden, file, identity, block_bytes)
    }

    /// The same with blocks of another size than the golden image's.
    ///
    /// # Errors
    /// As [`differencing`](Self::differencing); or no VHD has such blocks.
    pub fn differencing_in_blocks(
        golden: &Self,
        file: FileId,
        identity: Identity,
        block_bytes: u32,
    ) -> Result<Self, VhdError> {
        let log = AccessLog::default();
        let parent = golden.disk.image();
        let new = NewDisk { bytes: parent.footer().bytes, block_bytes, identity };
        let link = ParentLink {
            identity: parent.footer().identity,
            name: parent.name().to_owned(),
            relative: None,
            absolute: None,
        };
        let own = ModelFile::new(file, log.clone());
        let image = Image::create_differencing(own, "modelled disk", &new, &link, TableAccess::InMemory)?;
        let shared = parent.storage().noted_in(log.clone());
        let (parent, _) = Image::open_with(
            shared,
            "golden image",
            TableAccess::InMemory,
            false,
            vhd::FooterRule::default(),
        )?;
        Self::of(golden.device.clone(), log, image, vec![parent])
    }

    fn of(
        device: SharedDevice,
        log: AccessLog,
        image: Image<ModelFile>,
        parents: Vec<Image<ModelFile>>,
    ) -> Result<Self, VhdError> {
        let disk = Disk::new(image, parents)?;
        // Making a disk is not part of a run.
        let _made = log.take();
        Ok(Self { disk, log, device, pending: BTreeMap::new(), next: 0 })
    }

    fn fill(&mut self, bytes: u64) -> Result<(), VhdError> {
        let piece = vec![0; PIECE];
        let mut at = 0;
        while at < bytes {
            let len = (bytes - at).min(PIECE as u64) as usize;
            self.disk.write(at / 512, &piece[..len - len % 512])?;
            at += PIECE as u64;
        }
        self.disk.flush()?;
        let _made = self.log.take();
        Ok(())
    }

    /// The disk.
    #[must_use]
    pub fn disk(&self) -> &Disk<ModelFile> {
        &self.disk
    }

    /// Does something at once, without a controller; returned is when the device has done it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn use_at(
        &mut self,
        now: Duration,
        act: impl FnOnce(&mut Disk<ModelFile>) -> Result<(), VhdError>,
    ) -> Result<Duration, VhdError> {
        act(&mut self.disk)?;
        Ok(self.over_at(now))
    }

    /// When the device has done what was just done to the files. One access waits for the one before: a bitmap is not written before its
    /// data are.
    fn over_at(&self, now: Duration) -> Duration {
        self.device.lock().request(now, self.log.take())
    }
}

impl VirtualDisk for ModelledDisk {
    fn config(&self) -> DiskConfig {
        DiskConfig {
            sectors: self.disk.sectors(),
            writable: self.disk.image().is_writable(),
            can_discard: self.disk.can_discard(),
            id: self.disk.image().footer().identity.uuid.into_bytes(),
        }
    }

    fn start(&mut self, now: Duration, DiskRequest { number, operation, buffer }: DiskRequest) {
        let result = carry_out(&operation, &mut self.disk, buffer.as_deref());
        let over = self.over_at(now);
        self.pending.insert((over, self.next), DiskResult { number, result });
        self.next += 1;
    }

    fn finished(&mut self, now: Duration) -> Option<DiskResult> {
        let first = self.pending.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    fn next_timeout(&self) -> Option<Duration> {
        self.pending.first_key_value().map(|((over, _), _)| *over)
    }
}

#[cfg(test)]
mod tests {
    use vhd::{Uuid, VhdTime};

    use super::*;
    use crate::device::{Device, DeviceConfig};

    fn new_disk(number: u128) -> NewDisk {
        NewDisk::new(64 << 20, Identity { uuid: Uuid::from_u128(number), time: VhdTime(0) })
    }

    fn device() -> SharedDevice {
        let config =
            DeviceConfig { iops: 100.0, cache_bytes: 0, latency: Duration::ZERO, ..DeviceConfig::default() };
        Device::shared(config)
    }

    #[test]
    fn disks_of_one_golden_image_read_the_same_file_and_write_their_own() {
        let golden = ModelledDisk::dynamic(device(), FileId(0), &new_disk(1), 8 << 20).unwrap();
        let mut clones: Vec<_> = (1..3u8)
            .map(|n| {
                let identity = Identity { uuid: Uuid::from_u128(u128::from(n) + 10), time: VhdTime(0) };
                ModelledDisk::differencing(&golden, FileId(u64::from(n)), identity).unwrap()
            })
            .collect();
        clones[0].use_at(Duration::ZERO, |disk| disk.write(8, &[5; 512])).unwrap();
        let mut found = [[0; 512]; 2];
        for (clone, found) in clones.iter_mut().zip(&mut found) {
            clone.use_at(Duration::from_secs(9), |disk| disk.read(8, found)).unwrap();
        }
        assert_eq!((found[0][0], found[1][0]), (5, 0));
    }

    #[test]
    fn a_request_takes_the_accesses_of_its_file() {
        let mut filled = ModelledDisk::dynamic(device(), FileId(0), &new_disk(1), 2 << 20).unwrap();
        let ms = Duration::from_millis;
        // In the file: data. The block's bitmap and table entry are known.
        assert_eq!(filled.use_at(Duration::ZERO, |disk| disk.write(0, &[1; 4096])).unwrap(), ms(10));
        assert_eq!(filled.use_at(ms(100), |disk| disk.read(2048, &mut [0; 4096])).unwrap(), ms(110));
        // Nowhere: nothing is read.
        assert_eq!(filled.use_at(ms(200), |disk| disk.read(8192, &mut [0; 4096])).unwrap(), ms(200));
        // A new block: its data, and the footer at the new end.
        assert!(filled.use_at(ms(300), |disk| disk.write(8192, &[1; 4096])).unwrap() > ms(310));
    }

    #[test]
    fn results_come_when_the_device_is_done() {
        let mut disk = ModelledDisk::fixed(device(), FileId(0), &new_disk(1)).unwrap();
        let operation = storage_vsp::DiskOperation::Flush;
        disk.start(Duration::ZERO, DiskRequest { number: 4, operation, buffer: None });
        assert_eq!(disk.next_timeout(), Some(Duration::ZERO));
        assert_eq!(disk.finished(Duration::ZERO), Some(DiskResult { number: 4, result: Ok(()) }));
        assert_eq!(disk.next_timeout(), None);
    }
}
