//! Connections in virtual time: bytes in shared buffers, and doorbells.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use component_runtime::{Component, Context, Doorbell, NextWake, Runtime, SimTime, WakeCause};

use super::fake::{BEGAN, FakeQemu};
use crate::link::{Connect, Life, Link};

/// How often a QEMU's guest moves its balloon.
const STEP: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Wire {
    to_qemu: Vec<u8>,
    from_qemu: Vec<u8>,
    closed: bool,
    /// Who reads.
    reader: Option<Doorbell>,
}

struct Peer {
    qemu: FakeQemu,
    bell: Doorbell,
    /// The connection that QEMU serves: one at a time.
    wire: Option<Arc<Mutex<Wire>>>,
}

/// All QEMUs of a host.
#[derive(Clone, Default)]
pub struct FakeQemus {
    peers: Arc<Mutex<BTreeMap<PathBuf, Arc<Mutex<Peer>>>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeQemus {
    /// Time since 1970 when the run begins.
    pub const BEGAN: Duration = BEGAN;

    /// Looks at a QEMU, or turns its knobs. `None`: there is none of this name.
    pub fn with<R>(&self, name: &str, look: impl FnOnce(&mut FakeQemu) -> R) -> Option<R> {
        let peer = lock(&self.peers).get(&place(name)).cloned();
        peer.map(|peer| look(&mut lock(&peer).qemu))
    }

    /// Where those are that there are.
    #[must_use]
    pub fn places(&self) -> Vec<PathBuf> {
        let peers = lock(&self.peers);
        peers.iter().filter(|(_, peer)| lock(peer).qemu.knobs.there).map(|(place, _)| place.clone()).collect()
    }

    /// All of them, by name.
    pub fn each(&self, mut look: impl FnMut(&str, &FakeQemu)) {
        for peer in lock(&self.peers).values() {
            let peer = lock(peer);
            look(&peer.qemu.knobs.name, &peer.qemu);
        }
    }
}

fn place(name: &str) -> PathBuf {
    PathBuf::from(format!("/vms/{name}.qmp"))
}

/// Seats a QEMU.
pub fn peer(runtime: &mut Runtime, qemus: &FakeQemus, qemu: FakeQemu) {
    let seat = runtime.seat("qemu", Some(&qemu.knobs.name));
    let place = place(&qemu.knobs.name);
    let peer = Arc::new(Mutex::new(Peer { qemu, bell: seat.doorbell(), wire: None }));
    lock(&qemus.peers).insert(place, Arc::clone(&peer));
    seat.start(Box::new(PeerComponent { peer, next: Duration::ZERO }));
}

struct PeerComponent {
    peer: Arc<Mutex<Peer>>,
    next: Duration,
}

impl Component for PeerComponent {
    fn wake(&mut self, now: SimTime, _cause: WakeCause, _ctx: &mut Context<'_>) -> NextWake {
        let now: Duration = now.into();
        let mut peer = lock(&self.peer);
        let mut said = peer.qemu.advance(now);
        let hang_up = std::mem::take(&mut peer.qemu.knobs.hang_up) || !peer.qemu.knobs.there;
        if let Some(wire) = peer.wire.clone() {
            let mut wire = lock(&wire);
            if peer.qemu.knobs.answers {
                let heard = std::mem::take(&mut wire.to_qemu);
                said.extend(peer.qemu.hear(&heard));
                wire.from_qemu.extend(said);
            }
            wire.closed |= hang_up;
            if let Some(reader) = wire.reader.as_ref().filter(|_| wire.closed || !wire.from_qemu.is_empty()) {
                reader.ring();
            }
            if wire.closed {
                peer.wire = None;
            }
        }
        if now >= self.next {
            self.next = now + STEP;
        }
        NextWake::At(SimTime::from(self.next))
    }
}

struct FakeLink {
    wire: Arc<Mutex<Wire>>,
    bell: Doorbell,
    qemus: FakeQemus,
    place: PathBuf,
}

impl Link for FakeLink {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wire = lock(&self.wire);
        if wire.from_qemu.is_empty() {
            return if wire.closed { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let length = wire.from_qemu.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(wire.from_qemu.drain(..length)) {
            *to = from;
        }
        Ok(length)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut wire = lock(&self.wire);
        if wire.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        wire.to_qemu.extend_from_slice(bytes);
        self.bell.ring();
        Ok(())
    }

    fn life(&self) -> Option<Life> {
        let (qemus, place) = (self.qemus.clone(), self.place.clone());
        Some(Box::new(move || qemus.lives(&place)))
    }
}

impl FakeQemus {
    fn lives(&self, place: &Path) -> bool {
        let peer = lock(&self.peers).get(place).cloned();
        peer.is_some_and(|peer| {
            let knobs = &lock(&peer).qemu.knobs;
            knobs.there || knobs.lives
        })
    }
}

impl Drop for FakeLink {
    fn drop(&mut self) {
        let mut wire = lock(&self.wire);
        (wire.closed, wire.reader) = (true, None);
    }
}

impl Connect for FakeQemus {
    fn connect(&self, place: &Path, bell: Doorbell) -> io::Result<Box<dyn Link>> {
        let peer = lock(&self.peers).get(place).cloned().ok_or(io::ErrorKind::NotFound)?;
        let mut peer = lock(&peer);
        if !peer.qemu.knobs.there {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        if !peer.qemu.knobs.permitted {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        peer.qemu.connections += 1;
        let from_qemu = if peer.qemu.knobs.answers && !peer.qemu.knobs.closes {
            FakeQemu::greeting()
        } else {
            Vec::new()
        };
        bell.ring();
        let wire = Wire { from_qemu, closed: peer.qemu.knobs.closes, reader: Some(bell), ..Wire::default() };
        let wire = Arc::new(Mutex::new(wire));
        peer.wire = Some(Arc::clone(&wire));
        let bell = peer.bell.clone();
        Ok(Box::new(FakeLink { wire, bell, qemus: self.clone(), place: place.to_owned() }))
    }
}
