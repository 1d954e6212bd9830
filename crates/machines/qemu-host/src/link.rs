//! Where a QEMU is reached: a socket that tells by a doorbell that there is something to read.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use component_runtime::Doorbell;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll as poll_files};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{PidfdFlags, pidfd_open};

/// A connection that never waits.
pub trait Link: Send {
    /// Reads what has come, as much of it as the buffer holds; 0 bytes: the other side has closed. The doorbell rings for whatever comes later.
    ///
    /// # Errors
    /// `WouldBlock`: nothing has come, and the doorbell rings when something has. Any other: the connection is lost.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Sends all of it.
    ///
    /// # Errors
    /// The connection is lost; a peer that does not read for so long that all of it does not fit has lost it too.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// What says whether the process at the other end still lives, whatever becomes of the connection; `None` where that cannot be known.
    fn life(&self) -> Option<Life> {
        None
    }
}

/// Says whether a process lives.
pub type Life = Box<dyn Fn() -> bool + Send>;

/// How connections are made.
pub trait Connect: Send + Sync {
    /// Connects to the QEMU at `place`; `bell` rings whenever there is something to read.
    ///
    /// # Errors
    /// `ConnectionRefused` and `NotFound`: nobody listens. Any other: there is one, and it does not take a connection now.
    fn connect(&self, place: &Path, bell: Doorbell) -> io::Result<Box<dyn Link>>;
}

/// Which doorbell is rung for which socket.
type Bells = Arc<Mutex<BTreeMap<u64, Doorbell>>>;

fn lock(bells: &Bells) -> MutexGuard<'_, BTreeMap<u64, Doorbell>> {
    // No code that can panic runs under it.
    bells.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Unix sockets. One thread waits for all of them.
#[derive(Debug)]
pub struct UnixSockets {
    poll: Arc<OwnedFd>,
    over: Arc<OwnedFd>,
    bells: Bells,
    next: Mutex<u64>,
    thread: Option<JoinHandle<()>>,
}

/// What ends the thread.
const OVER: u64 = 0;

impl UnixSockets {
    /// Begins to wait.
    ///
    /// # Errors
    /// The system has no more files or threads.
    pub fn new() -> io::Result<Self> {
        let poll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let over = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        epoll::add(&*poll, &*over, epoll::EventData::new_u64(OVER), epoll::EventFlags::IN)?;
        let bells = Bells::default();
        let thread = {
            let (poll, bells) = (Arc::clone(&poll), Arc::clone(&bells));
            let over = Arc::clone(&over);
            thread::Builder::new().name("sockets".to_owned()).spawn(move || wait(&poll, &over, &bells))?
        };
        Ok(Self { poll, over, bells, next: Mutex::new(OVER + 1), thread: Some(thread) })
    }
}

/// Answers that come within this time of the first are read together: many QEMUs are asked at once, and answer one after the other. Invented: what is
/// waited for here takes a fifth of a second and more.
const TOGETHER: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
/// Sockets of which is told at once.
const AT_ONCE: usize = 1024;

/// Rings until it is over.
fn wait(poll: &OwnedFd, over: &OwnedFd, bells: &Bells) {
    let mut events = Vec::with_capacity(AT_ONCE);
    let mut ringing = Vec::new();
    loop {
        // First until there is something, and then for what comes with it.
        if !ready(poll, None) {
            return;
        }
        if ready(over, Some(&TOGETHER)) {
            return;
        }
        events.clear();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        match epoll::wait(poll, spare_capacity(&mut events), Some(&at_once)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // The set is gone.
            Err(_) => return,
        }
        {
            let bells = lock(bells);
            // A socket that was closed meanwhile has none.
            ringing.extend(events.iter().filter_map(|event| bells.get(&event.data.u64()).cloned()));
        }
        for bell in ringing.drain(..) {
            bell.ring();
        }
    }
}

/// Waits until there is something to read of a file, or for a time; says whether there is.
fn ready(file: &OwnedFd, time: Option<&Timespec>) -> bool {
    loop {
        match poll_files(&mut [PollFd::new(file, PollFlags::IN)], time) {
            Ok(number) => return number > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

impl Drop for UnixSockets {
    fn drop(&mut self) {
        if rustix::io::write(&*self.over, &1_u64.to_ne_bytes()).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // The thread has no way to panic that matters now.
            let _ = thread.join();
        }
    }
}

struct Socket {
    stream: UnixStream,
    number: u64,
    bells: Bells,
}

impl Link for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn life(&self) -> Option<Life> {
        let process = socket_peercred(&self.stream).ok()?.pid;
        // Who made the socket may have been another, which QEMU got it from.
        let name = std::fs::read_to_string(format!("/proc/{}/comm", process.as_raw_nonzero())).ok()?;
        if MAKERS_OF_SOCKETS.contains(&name.trim()) {
            return None;
        }
        let process = pidfd_open(process, PidfdFlags::empty()).ok()?;
        Some(Box::new(move || {
            let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
            // Readable when the process has ended.
            matches!(poll_files(&mut [PollFd::new(&process, PollFlags::IN)], Some(&at_once)), Ok(0))
        }))
    }
}

/// Programs that make sockets for others.
const MAKERS_OF_SOCKETS: [&str; 3] = ["libvirtd", "virtqemud", "systemd"];

impl Drop for Socket {
    fn drop(&mut self) {
        lock(&self.bells).remove(&self.number);
    }
}

impl Connect for UnixSockets {
    fn connect(&self, place: &Path, bell: Doorbell) -> io::Result<Box<dyn Link>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // Refuses at once where the line of those who wait for the socket is full.
        connect(&socket, &SocketAddrUnix::new(place)?)?;
        let number = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next += 1;
            *next
        };
        lock(&self.bells).insert(number, bell.clone());
        let link = Socket { stream: UnixStream::from(socket), number, bells: Arc::clone(&self.bells) };
        let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        epoll::add(&*self.poll, link.stream.as_fd(), epoll::EventData::new_u64(number), flags)?;
        // Whatever has come before.
        bell.ring();
        Ok(Box::new(link))
    }
}
