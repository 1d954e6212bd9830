//! A file looked at whole.

use crate::format::Bitmap;
use crate::limits::SECTOR;
use crate::{DiskType, Image, Storage, VhdError};

/// What a check found. What is wrong with footers, header or table is found when the file is opened: an image that is open has none of that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Blocks that the disk consists of; 0 in a fixed disk.
    pub blocks: u64,
    /// Blocks that are in the file.
    pub present: u64,
    /// Sectors of them that are the disk's own.
    pub own_sectors: u64,
    /// Places of blocks that no table entry names: left by an interrupted write or by discarding. They are used again.
    pub unused_places: u64,
    /// Blocks of a dynamic disk with other bytes than zeros where its bitmap says that nothing was written. Readers that do not look at bitmaps,
    /// such as QEMU, see these bytes.
    pub blocks_with_stale_bytes: u64,
}

/// Checks a file: reads every bitmap, and of a dynamic disk every sector that was not written.
///
/// # Errors
/// The host cannot read.
pub fn check<S: Storage>(image: &mut Image<S>) -> Result<CheckReport, VhdError> {
    image.flush()?;
    let Some(layout) = image.layout().copied() else { return Ok(CheckReport::default()) };
    let (sectors, block_sectors) = (image.sectors(), layout.block_sectors());
    let mut report = CheckReport {
        blocks: sectors.div_ceil(block_sectors),
        unused_places: image.unused_places(),
        ..CheckReport::default()
    };
    let look_inside = image.disk_type() == DiskType::Dynamic;
    for block in 0..report.blocks {
        let Some(place) = image.place(block as u32)? else { continue };
        report.present += 1;
        let of_disk = block_sectors.min(sectors - block * block_sectors);
        let mut bitmap = Bitmap::empty(layout.block_bytes);
        image.read_file(place, bitmap.as_mut_bytes())?;
        let (mut at, mut stale) = (0, false);
        while at < of_disk {
            let (present, run) = bitmap.run(at, of_disk - at);
            if present {
                report.own_sectors += run;
            } else if look_inside && !stale {
                stale = !image.is_zero(place + layout.bitmap_bytes + at * SECTOR, run * SECTOR)?;
            }
            at += run;
        }
        report.blocks_with_stale_bytes += u64::from(stale);
    }
    Ok(report)
}
