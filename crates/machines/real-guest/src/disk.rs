//! Virtual hard disks in files, for real guests: a thread for each disk reads and writes.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;
use parking_lot::Mutex;
use partition::NotifyFn;
use storage_vsp::{DiskConfig, Fault, carry_out};
use vhd::files::{self, Opening};
use vhd::{Disk, VhdError};
use vmms_host::storage::{DiskRequest, DiskResult, VirtualDisk};

/// A disk that a VM has when it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFile {
    /// Its number on the VM's controller.
    pub lun: u8,
    /// A VHD.
    pub path: PathBuf,
    /// The guest may not write it, and others may read it meanwhile.
    pub read_only: bool,
}

#[derive(Default)]
struct Done {
    results: VecDeque<DiskResult>,
    doorbell: Option<NotifyFn>,
}

/// A disk in a file, and its thread. The file is locked as long as the value exists; dropping it waits until everything that was begun is
/// done and durable.
pub struct FileDisk {
    config: DiskConfig,
    /// What the thread is to do; `None` once it is to end.
    requests: Option<Sender<DiskRequest>>,
    done: Arc<Mutex<Done>>,
    thread: Option<JoinHandle<()>>,
}

impl FileDisk {
    /// Opens a disk to be written, with its parents.
    ///
    /// # Errors
    /// The file is not there, is no VHD, is damaged, or in use; or the host has no thread for it.
    pub fn open(path: &Path) -> Result<Self, VhdError> {
        Self::start(files::open(path, Opening::write())?, path)
    }

    /// Opens a disk that is only read, with its parents: the guest is told that it is protected.
    ///
    /// # Errors
    /// As of [`open`](Self::open).
    pub fn open_read_only(path: &Path) -> Result<Self, VhdError> {
        Self::start(files::open(path, Opening::read())?, path)
    }

    fn start(disk: Disk<File>, path: &Path) -> Result<Self, VhdError> {
        let config = DiskConfig {
            sectors: disk.sectors(),
            writable: disk.image().is_writable(),
            can_discard: disk.can_discard(),
            id: disk.image().footer().identity.uuid.into_bytes(),
        };
        let done = Arc::new(Mutex::new(Done::default()));
        // A controller bounds what is under way.
        let (send, receive) = crossbeam_channel::unbounded::<DiskRequest>();
        let shared = Arc::clone(&done);
        let mut disk = disk;
        let work = move || {
            for DiskRequest { number, operation, buffer } in receive {
                let result = carry_out(&operation, &mut disk, buffer.as_deref());
                // Before the completion: the guest may give its pages away then.
                drop(buffer);
                let doorbell = {
                    let mut done = shared.lock();
                    done.results.push_back(DiskResult { number, result });
                    done.doorbell.clone()
                };
                if let Some(doorbell) = doorbell {
                    doorbell();
                }
            }
            // The disk is flushed when it is dropped; a guest that wants to know has asked for it before.
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let thread =
            std::thread::Builder::new().name(format!("disk {name}")).spawn(work).map_err(|source| {
                VhdError::Open { path: path.to_owned(), doing: "start a thread for", source }
            })?;
        Ok(Self { config, requests: Some(send), done, thread: Some(thread) })
    }
}

impl VirtualDisk for FileDisk {
    fn config(&self) -> DiskConfig {
        self.config.clone()
    }

    fn connect(&mut self, doorbell: &NotifyFn) {
        self.done.lock().doorbell = Some(Arc::clone(doorbell));
    }

    fn start(&mut self, _now: Duration, request: DiskRequest) {
        let number = request.number;
        let taken = self.requests.as_ref().is_some_and(|requests| requests.send(request).is_ok());
        if !taken {
            // The thread has panicked: a fault of this program, which costs this disk.
            let result = Err((Fault::Read, "the disk's thread is gone".to_owned()));
            self.done.lock().results.push_back(DiskResult { number, result });
        }
    }

    fn finished(&mut self, _now: Duration) -> Option<DiskResult> {
        self.done.lock().results.pop_front()
    }
}

impl Drop for FileDisk {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said with what.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use storage_vsp::DiskOperation;
    use vhd::{Identity, NewDisk, TableAccess, Uuid, VhdTime};

    use super::*;

    fn new_disk(path: &Path) {
        let identity = Identity { uuid: Uuid::from_u128(1), time: VhdTime(0) };
        files::create_dynamic(path, &NewDisk::new(4 << 20, identity), TableAccess::InMemory).unwrap();
    }

    #[test]
    fn a_disk_is_locked_while_it_is_open_and_rings_when_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.vhd");
        new_disk(&path);
        let mut disk = FileDisk::open(&path).unwrap();
        assert!(matches!(FileDisk::open(&path), Err(VhdError::Locked { .. })));
        let (rang, rings) = crossbeam_channel::unbounded();
        let bell: NotifyFn = Arc::new(move || rang.send(()).unwrap());
        disk.connect(&bell);
        disk.start(Duration::ZERO, DiskRequest { number: 7, operation: DiskOperation::Flush, buffer: None });
        rings.recv().unwrap();
        assert_eq!(disk.finished(Duration::ZERO), Some(DiskResult { number: 7, result: Ok(()) }));
        assert_eq!(disk.finished(Duration::ZERO), None);
        drop(disk);
        assert!(FileDisk::open(&path).is_ok());
    }

    #[test]
    fn a_disk_that_is_only_read_says_so_and_may_be_read_by_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.vhd");
        new_disk(&path);
        let disk = FileDisk::open_read_only(&path).unwrap();
        assert!(!disk.config().writable);
        assert!(FileDisk::open_read_only(&path).is_ok());
        assert!(matches!(FileDisk::open(&path), Err(VhdError::Locked { .. })));
    }

    #[test]
    fn what_was_begun_is_done_before_the_disk_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.vhd");
        new_disk(&path);
        let mut disk = FileDisk::open(&path).unwrap();
        for number in 0..100 {
            disk.start(Duration::ZERO, DiskRequest { number, operation: DiskOperation::Flush, buffer: None });
        }
        let done = Arc::clone(&disk.done);
        drop(disk);
        assert_eq!(done.lock().results.len(), 100);
    }
}
