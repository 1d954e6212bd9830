//! The same by mechanism: real differencing disks of one golden image, written by clones at random places.
//!
//! What a clone takes is what its file has grown by. The unit in which it grows is the block of its VHD, with its bitmap: blocks of 64 KiB
//! stand for an array's snapshot, blocks of 32 MiB, the power of two next to 42 MB, for its thin volumes.

use std::path::Path;

use component_runtime::random::{below, stream};
use vhd::files::{self, Opening};
use vhd::{Disk, Identity, Image, NewDisk, TableAccess, Uuid, VhdError, VhdTime};

use crate::inputs::Inputs;

/// What clones took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Clones that were made.
    pub clones: u32,
    /// Bytes of a block of their disks.
    pub block_bytes: u32,
    /// C: bytes that each has grown by, on average.
    pub new_bytes: f64,
    /// What the formula says for this unit.
    pub by_formula: f64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum MechanismError {
    /// A disk could not be made or written.
    #[error(transparent)]
    Disk(#[from] VhdError),
    /// A clone would write more than its disk has.
    #[error("{bytes} bytes at one place are more than an image of {image_bytes} bytes has")]
    TooLarge {
        /// Bytes at each place.
        bytes: u64,
        /// Bytes of the image.
        image_bytes: u64,
    },
}

/// Makes `clones` differencing disks of one golden image in a folder, lets each write what `inputs` say at places that `seed` chooses, and
/// says how much they have grown. Files are sparse: they take little of the host's disk. They stay in the folder.
///
/// # Errors
/// A file is there already, or the host cannot write it.
pub fn measure(
    inputs: &Inputs,
    block_bytes: u32,
    clones: u32,
    seed: u64,
    folder: &Path,
) -> Result<Measured, MechanismError> {
    let sectors_of = |bytes: f64| (bytes / 512.0) as u64;
    let (image, run) = (sectors_of(inputs.image_bytes), sectors_of(inputs.place_bytes));
    let Some(last) = image.checked_sub(run) else {
        return Err(MechanismError::TooLarge { bytes: run * 512, image_bytes: image * 512 });
    };
    let golden = folder.join("golden.vhd");
    let identity = |number: u128| Identity { uuid: Uuid::from_u128(number), time: VhdTime(0) };
    let new = NewDisk { bytes: image * 512, block_bytes, identity: identity(1) };
    drop(files::create_dynamic(&golden, &new, TableAccess::InMemory)?);
    let mut grown = 0.0;
    for number in 0..clones {
        let path = folder.join(format!("clone-{number}.vhd"));
        let mut clone = files::create_differencing(&path, &golden, identity(2 + u128::from(number)))?;
        let before = length(&clone)?;
        // The same places whatever the unit is.
        let mut rng = stream(seed, &format!("clone {number}"));
        for _ in 0..inputs.places as u64 {
            let from = below(&mut rng, last + 1);
            // A sector for each unit that the run touches is enough: its space is allocated with it.
            let unit = u64::from(block_bytes) / 512;
            for at in (0..run).step_by(usize::try_from(unit).unwrap_or(usize::MAX)) {
                clone.write(from + at, &[0x5a; 512])?;
            }
            clone.write(from + run.saturating_sub(1), &[0x5a; 512])?;
        }
        clone.flush()?;
        grown += (length(&clone)? - before) as f64;
    }
    // The chain is as good as it was made: it opens.
    drop(files::open(&folder.join("clone-0.vhd"), Opening::read()));
    let unit = f64::from(block_bytes);
    let by_formula = crate::formula::allocated(inputs.places, inputs.place_bytes, unit);
    Ok(Measured { clones, block_bytes, new_bytes: grown / f64::from(clones.max(1)), by_formula })
}

fn length(disk: &Disk<std::fs::File>) -> Result<u64, VhdError> {
    let image: &Image<std::fs::File> = disk.image();
    vhd::Storage::len(image.storage()).map_err(|source| VhdError::Open {
        path: image.name().into(),
        doing: "read the length of",
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::{Function, Use};

    /// With many clones the formula's average is met, less where places fall into the same unit.
    #[test]
    fn clones_take_what_the_formula_says() {
        let inputs = Inputs { image_bytes: 10e9, ..Inputs::of(Use::Desktops, Function::Thin) };
        for (block_bytes, clones, low, high) in [(256 << 10, 1, 0.97, 1.03), (32 << 20, 6, 0.85, 1.03)] {
            let folder = tempfile::tempdir().unwrap();
            let measured = measure(&inputs, block_bytes, clones, 7, folder.path()).unwrap();
            let ratio = measured.new_bytes / measured.by_formula;
            assert!((low..high).contains(&ratio), "{measured:?}");
        }
    }

    #[test]
    fn images_smaller_than_what_is_written_are_refused() {
        let inputs = Inputs { image_bytes: 1e6, ..Inputs::of(Use::Servers, Function::Thin) };
        let folder = tempfile::tempdir().unwrap();
        let refused = measure(&inputs, 1 << 20, 1, 7, folder.path());
        assert!(matches!(refused, Err(MechanismError::TooLarge { .. })));
    }
}
