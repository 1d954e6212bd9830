//! A thread that turns eventfds of KVM into doorbells: signals of the guest, and message slots that are free again.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use partition::NotifyFn;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::panics::ended_by;

/// What an eventfd stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The guest has signalled this connection id.
    Connection(u32),
    /// The guest has written EOM on this virtual processor: its message slot is free.
    SlotFree(u32),
}

impl Source {
    fn token(self) -> u64 {
        match self {
            Self::Connection(id) => u64::from(id),
            Self::SlotFree(vp) => 1 << 32 | u64::from(vp),
        }
    }
}

const STOP: u64 = u64::MAX;

struct Line {
    fd: EventFd,
    doorbell: NotifyFn,
}

struct Shared {
    epoll: Epoll,
    lines: Mutex<BTreeMap<u64, Line>>,
    signals: AtomicU64,
}

/// Told why no doorbell rings any more.
pub(crate) type OnFailure = Box<dyn Fn(String) + Send + Sync>;

/// The thread and what it listens to.
pub(crate) struct Doorbells {
    shared: Arc<Shared>,
    stop: EventFd,
    thread: Option<JoinHandle<()>>,
}

impl Doorbells {
    pub(crate) fn new(name: &str, failed: OnFailure) -> io::Result<Self> {
        let (epoll, stop) = (Epoll::new()?, EventFd::new(EFD_NONBLOCK)?);
        epoll.ctl(ControlOperation::Add, stop.as_raw_fd(), EpollEvent::new(EventSet::IN, STOP))?;
        let shared = Arc::new(Shared { epoll, lines: Mutex::default(), signals: AtomicU64::new(0) });
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("{name}/doorbells")).spawn(move || {
                if let Some(why) = ended_by(|| shared.listen()) {
                    failed(format!("the thread that hears the guest's signals {why}"));
                }
            })?
        };
        Ok(Self { shared, stop, thread: Some(thread) })
    }

    /// Listens to an eventfd. An eventfd that was listened to for the same source is forgotten.
    pub(crate) fn listen(&self, source: Source, fd: EventFd, doorbell: NotifyFn) -> io::Result<()> {
        self.forget(source);
        let event = EpollEvent::new(EventSet::IN, source.token());
        let number = fd.as_raw_fd();
        self.shared.lines.lock().insert(source.token(), Line { fd, doorbell });
        self.shared.epoll.ctl(ControlOperation::Add, number, event).inspect_err(|_| {
            self.shared.lines.lock().remove(&source.token());
        })
    }

    /// No longer listens; gives the eventfd back.
    pub(crate) fn forget(&self, source: Source) -> Option<EventFd> {
        let line = self.shared.lines.lock().remove(&source.token())?;
        // Fails only if it was not there.
        let _ = self.shared.epoll.ctl(
            ControlOperation::Delete,
            line.fd.as_raw_fd(),
            EpollEvent::new(EventSet::IN, source.token()),
        );
        Some(line.fd)
    }

    /// Whether something listens to this source.
    pub(crate) fn hears(&self, source: Source) -> bool {
        self.shared.lines.lock().contains_key(&source.token())
    }

    /// Signals heard so far.
    pub(crate) fn signals(&self) -> u64 {
        self.shared.signals.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Listens until it is told to stop; gives the reason of any other end.
    fn listen(&self) -> Option<String> {
        let mut events = [EpollEvent::default(); 16];
        loop {
            let ready = match self.epoll.wait(-1, &mut events) {
                Ok(ready) => ready,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The descriptor is ours and open: nothing that waiting again would mend.
                Err(error) => return Some(format!("cannot wait: {error}")),
            };
            for event in &events[..ready] {
                if event.data() == STOP {
                    return None;
                }
                let doorbell = {
                    let lines = self.lines.lock();
                    let Some(line) = lines.get(&event.data()) else { continue };
                    let _counted = line.fd.read();
                    Arc::clone(&line.doorbell)
                };
                self.signals.fetch_add(1, Ordering::Relaxed);
                // Outside the lock: what it calls may come back here.
                doorbell();
            }
        }
    }
}

impl Drop for Doorbells {
    fn drop(&mut self) {
        let _wakes_it = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _joined = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_signal_rings_until_it_is_forgotten() {
        let doorbells = Doorbells::new("test", Box::new(|why| panic!("{why}"))).unwrap();
        let (rang, heard) = mpsc::channel();
        let fd = EventFd::new(EFD_NONBLOCK).unwrap();
        let bell: NotifyFn = {
            let rang = rang.clone();
            Arc::new(move || {
                let _ = rang.send("first");
            })
        };
        doorbells.listen(Source::Connection(17), fd.try_clone().unwrap(), bell).unwrap();
        fd.write(1).unwrap();
        assert_eq!(heard.recv(), Ok("first"));
        assert!(doorbells.hears(Source::Connection(17)));
        assert!(doorbells.forget(Source::Connection(17)).is_some());
        fd.write(1).unwrap();
        let other = EventFd::new(EFD_NONBLOCK).unwrap();
        let bell: NotifyFn = Arc::new(move || {
            let _ = rang.send("second");
        });
        doorbells.listen(Source::SlotFree(17), other.try_clone().unwrap(), bell).unwrap();
        other.write(1).unwrap();
        assert_eq!(heard.recv(), Ok("second"), "the forgotten one was not heard");
    }
    /// A doorbell that panics takes the thread along: nothing of the guest would be heard any more, so it is said.
    #[test]
    fn a_doorbell_that_panics_is_told_of() {
        let (say, said) = mpsc::channel();
        let failed = Box::new(move |why| {
            let _ = say.send(why);
        });
        let doorbells = Doorbells::new("test", failed).unwrap();
        let fd = EventFd::new(EFD_NONBLOCK).unwrap();
        let bell: NotifyFn = Arc::new(|| panic!("the function panics"));
        doorbells.listen(Source::Connection(1), fd.try_clone().unwrap(), bell).unwrap();
        fd.write(1).unwrap();
        let why = said.recv().unwrap();
        assert_eq!(why, "the thread that hears the guest's signals has panicked: the function panics");
    }
}
