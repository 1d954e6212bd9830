//! A disk as a guest sees it: a file, and the parents that it differs from.

use crate::limits::{MAX_CHAIN, SECTOR};
use crate::{DiskType, Image, Storage, VhdError};

/// A disk. Only its own file is ever written, never a parent's.
#[derive(Debug)]
pub struct Disk<S: Storage> {
    /// The disk's own file, then its parents, nearest first. Never empty before the value is taken apart.
    images: Vec<Image<S>>,
}

impl<S: Storage> Disk<S> {
    /// A disk of its own file and all its parents, nearest first.
    ///
    /// # Errors
    /// Parents are missing, or too many; one is another disk than its child names, or has another size.
    pub fn new(image: Image<S>, parents: Vec<Image<S>>) -> Result<Self, VhdError> {
        if parents.len() > MAX_CHAIN {
            return Err(VhdError::ChainTooLong { name: image.name().to_owned() });
        }
        for (index, child) in std::iter::once(&image).chain(&parents).enumerate() {
            let differs = child.disk_type() == DiskType::Differencing;
            match parents.get(index) {
                Some(parent) if differs => check_parent(child, parent)?,
                None if !differs => {}
                _ => {
                    return Err(VhdError::WrongParents {
                        name: child.name().to_owned(),
                        disk_type: child.disk_type(),
                        parents: parents.len() - index,
                    });
                }
            }
        }
        Ok(Self { images: std::iter::once(image).chain(parents).collect() })
    }

    /// The disk's own file.
    #[must_use]
    pub fn image(&self) -> &Image<S> {
        &self.images[0]
    }

    /// The disk's own file, to be checked.
    pub fn image_mut(&mut self) -> &mut Image<S> {
        &mut self.images[0]
    }

    /// The parents, nearest first.
    #[must_use]
    pub fn parents(&self) -> &[Image<S>] {
        &self.images[1..]
    }

    /// The files, the disk's own first. What was not flushed is lost.
    #[must_use]
    pub fn into_images(mut self) -> Vec<Image<S>> {
        std::mem::take(&mut self.images)
    }

    /// Sectors of 512 bytes.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        self.image().sectors()
    }

    /// Fills `out` with the sectors from `sector` on. What neither the disk nor a parent has is zeros.
    ///
    /// # Errors
    /// The sectors are not of this disk, `out` is not in whole sectors, or the host cannot read.
    pub fn read(&mut self, sector: u64, out: &mut [u8]) -> Result<(), VhdError> {
        let mut missing = vec![(0, out.len())];
        for image in &mut self.images {
            let mut still = Vec::new();
            for (begin, len) in missing {
                let from = sector + begin as u64 / SECTOR;
                image.read(from, &mut out[begin..begin + len], |inside, len| {
                    still.push((begin + inside, len));
                })?;
            }
            missing = still;
        }
        for (begin, len) in missing {
            out[begin..begin + len].fill(0);
        }
        Ok(())
    }

    /// Whether neither the disk nor a parent has a block with one of these sectors: then they are zeros.
    ///
    /// # Errors
    /// The sectors are not of this disk, or the host cannot read.
    pub fn are_absent(&mut self, sector: u64, count: u64) -> Result<bool, VhdError> {
        for image in &mut self.images {
            if !image.are_absent(sector, count)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// See [`Image::write`].
    ///
    /// # Errors
    /// As there.
    pub fn write(&mut self, sector: u64, data: &[u8]) -> Result<(), VhdError> {
        self.image_mut().write(sector, data)
    }

    /// See [`Image::flush`].
    ///
    /// # Errors
    /// As there.
    pub fn flush(&mut self) -> Result<(), VhdError> {
        self.image_mut().flush()
    }

    /// Whether [`Self::discard`] is possible.
    #[must_use]
    pub fn can_discard(&self) -> bool {
        self.image().is_writable() && self.image().can_discard()
    }

    /// See [`Image::discard`].
    ///
    /// # Errors
    /// As there.
    pub fn discard(&mut self, sector: u64, count: u64) -> Result<(), VhdError> {
        self.image_mut().discard(sector, count)
    }
}

impl<S: Storage> Drop for Disk<S> {
    /// What was not flushed is, if the host lets it. A caller that has to know flushes before.
    fn drop(&mut self) {
        let _nobody_to_tell = self.images.first_mut().map(Image::flush);
    }
}

/// Whether a file is the parent that its child names, as far as the files themselves tell.
fn check_parent<S: Storage>(child: &Image<S>, parent: &Image<S>) -> Result<(), VhdError> {
    let expected = child.header().map_or_else(uuid::Uuid::nil, |header| header.parent.uuid);
    let found = parent.footer().identity.uuid;
    let (child_name, parent_name) = (child.name().to_owned(), parent.name().to_owned());
    if expected != found {
        return Err(VhdError::ParentIsAnother { child: child_name, parent: parent_name, expected, found });
    }
    let (bytes, parent_bytes) = (child.footer().bytes, parent.footer().bytes);
    if bytes != parent_bytes {
        return Err(VhdError::ParentSize { child: child_name, bytes, parent: parent_name, parent_bytes });
    }
    Ok(())
}
