//! Files on a modelled device: what is in them, and a note of each access.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use model_sync::Mutex;
use vhd::Storage;

use crate::device::{Access, FileId};

const PAGE: u64 = 4096;
const ZEROS: [u8; PAGE as usize] = [0; PAGE as usize];

/// What a file holds; pages of zeros take nothing.
#[derive(Debug, Default)]
struct Content {
    len: u64,
    pages: BTreeMap<u64, Box<[u8]>>,
}

/// Accesses of one disk's files, in order.
#[derive(Clone, Debug, Default)]
pub struct AccessLog(Arc<Mutex<Vec<Access>>>);

impl AccessLog {
    /// The accesses since this was last called.
    #[must_use]
    pub fn take(&self) -> Vec<Access> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// A file. Several disks may read the same one: a golden image.
#[derive(Clone, Debug)]
pub struct ModelFile {
    id: FileId,
    content: Arc<Mutex<Content>>,
    log: AccessLog,
}

impl ModelFile {
    /// An empty file of this name on its device; accesses are noted in `log`.
    #[must_use]
    pub fn new(id: FileId, log: AccessLog) -> Self {
        Self { id, content: Arc::default(), log }
    }

    /// The same file for another disk, which notes its own accesses.
    #[must_use]
    pub fn noted_in(&self, log: AccessLog) -> Self {
        Self { log, ..self.clone() }
    }

    fn note(&self, offset: u64, bytes: usize, write: bool) {
        self.log.0.lock().push(Access { file: self.id, offset, bytes: bytes as u64, write });
    }
}

/// The parts of `bytes` bytes from `offset` on, page by page: number, where in the page, where in the bytes, how many.
fn parts(offset: u64, bytes: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        (done < bytes).then(|| {
            let at = offset + done as u64;
            let inside = (at % PAGE) as usize;
            let part = (at / PAGE, inside, done, (PAGE as usize - inside).min(bytes - done));
            done += part.3;
            part
        })
    })
}

impl Storage for ModelFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content.lock().len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut content = self.content.lock();
        content.len = len;
        let _cut_off = content.pages.split_off(&len.div_ceil(PAGE));
        if let Some(last) = content.pages.get_mut(&(len / PAGE)) {
            last[(len % PAGE) as usize..].fill(0);
        }
        Ok(())
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let mut content = self.content.lock();
        content.len = content.len.max(len);
        Ok(())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.note(offset, out.len(), false);
        let content = self.content.lock();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > content.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (page, inside, done, len) in parts(offset, out.len()) {
            let out = &mut out[done..done + len];
            match content.pages.get(&page) {
                Some(bytes) => out.copy_from_slice(&bytes[inside..inside + len]),
                None => out.fill(0),
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.note(offset, bytes.len(), true);
        let mut content = self.content.lock();
        let end = offset.checked_add(bytes.len() as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        content.len = content.len.max(end);
        for (page, inside, done, len) in parts(offset, bytes.len()) {
            let part = &bytes[done..done + len];
            if let Some(kept) = content.pages.get_mut(&page) {
                kept[inside..inside + len].copy_from_slice(part);
            } else if *part != ZEROS[..len] {
                let mut kept = vec![0; PAGE as usize].into_boxed_slice();
                kept[inside..inside + len].copy_from_slice(part);
                content.pages.insert(page, kept);
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        // A controller's memory has a battery: what it took is durable.
        Ok(())
    }

    fn modified(&self) -> io::Result<SystemTime> {
        Ok(SystemTime::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zeros_take_nothing_and_accesses_are_noted() {
        let log = AccessLog::default();
        let file = ModelFile::new(FileId(3), log.clone());
        file.write_at(100, &[0; 10_000]).unwrap();
        assert!(file.content.lock().pages.is_empty());
        assert_eq!(file.len().unwrap(), 10_100);
        assert_eq!(log.take(), [Access { file: FileId(3), offset: 100, bytes: 10_000, write: true }]);
        assert!(file.read_at(10_000, &mut [0; 101]).is_err());
    }

    proptest! {
        #[test]
        fn it_holds_what_a_plain_vector_holds(
            writes in prop::collection::vec((0..20_000u64, prop::collection::vec(0..3u8, 0..9000), any::<bool>()), 1..12),
        ) {
            let (file, mut plain) = (ModelFile::new(FileId(0), AccessLog::default()), Vec::new());
            for (at, bytes, cut) in writes {
                if cut {
                    file.set_len(at).unwrap();
                    plain.resize(at as usize, 0);
                } else {
                    file.write_at(at, &bytes).unwrap();
                    let end = at as usize + bytes.len();
                    plain.resize(plain.len().max(end), 0);
                    plain[at as usize..end].copy_from_slice(&bytes);
                }
                let mut back = vec![7; plain.len()];
                prop_assert_eq!(file.len().unwrap(), plain.len() as u64);
                file.read_at(0, &mut back).unwrap();
                prop_assert_eq!(&back, &plain);
            }
        }
    }
}
