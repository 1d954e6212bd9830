//! Cylinders, heads and sectors: what a BIOS and an old reader are told.

use crate::limits::SECTOR;

/// A disk's geometry. It is never larger than the disk, and often a little smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Cylinders.
    pub cylinders: u16,
    /// Heads.
    pub heads: u8,
    /// Sectors of a track.
    pub sectors: u8,
}

impl Geometry {
    /// The geometry of a disk of `bytes` (documented: the specification's appendix "CHS Calculation").
    #[must_use]
    pub fn of(bytes: u64) -> Self {
        let total = (bytes / SECTOR).min(65535 * 16 * 255);
        let (mut sectors, mut heads, mut tracks);
        if total >= 65535 * 16 * 63 {
            (sectors, heads, tracks) = (255, 16, total / 255);
        } else {
            sectors = 17;
            tracks = total / sectors;
            heads = tracks.div_ceil(1024).max(4);
            if tracks >= heads * 1024 || heads > 16 {
                (sectors, heads, tracks) = (31, 16, total / 31);
            }
            if tracks >= heads * 1024 {
                (sectors, heads, tracks) = (63, 16, total / 63);
            }
        }
        // No quotient exceeds its field: `total` was limited above.
        Self { cylinders: (tracks / heads) as u16, heads: heads as u8, sectors: sectors as u8 }
    }

    /// Bytes that the geometry covers.
    #[must_use]
    pub fn bytes(self) -> u64 {
        u64::from(self.cylinders) * u64::from(self.heads) * u64::from(self.sectors) * SECTOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometries_of_disks_that_other_programs_made() {
        let chs = |bytes| {
            let Geometry { cylinders, heads, sectors } = Geometry::of(bytes);
            (cylinders, heads, sectors)
        };
        // As `qemu-img create -f vpc` writes them; it rounds 1M, 64M and 40G up to sizes that a geometry has.
        assert_eq!(chs(0x0010_7800), (31, 4, 17));
        assert_eq!(chs(0x0400_4000), (964, 8, 17));
        assert_eq!(chs(0xa_0015_e000), (20561, 16, 255));
        // One that no geometry has.
        assert_eq!(chs(64 << 20), (963, 8, 17));
        // The end of what 28 bits of sectors say; beyond it stays so.
        assert_eq!(chs(2040 << 30), (65535, 16, 255));
        assert_eq!(chs(512), (0, 4, 17));
    }

    #[test]
    fn a_geometry_is_not_larger_than_its_disk() {
        for sectors in (1..2_000_000).step_by(997).chain((1..40).map(|n| n * 100_000_007)) {
            let bytes = sectors * SECTOR;
            assert!(Geometry::of(bytes).bytes() <= bytes, "{bytes}");
        }
    }
}
