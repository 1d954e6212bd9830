//! The rings of a channel between two processes: memory in a sealed memfd, doorbells as eventfds, nothing else shared.
//!
//! The test runs itself again as the guest. Both sides sleep whenever they have nothing to do, so a lost wake-up would
//! stop the test for ever.
#![cfg(target_os = "linux")]

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use shared_memory::Region;
use vmbus::ring::{ChannelRings, OutgoingPacket, PacketBuffer, ReadError, Role, Signal, Wait, WriteError};

/// Set for the process that plays the guest.
const GUEST: &str = "VMBUS_TEST_GUEST";
/// Rings of 5 pages each: 16 KiB of data, as the Dynamic Memory channel of a Linux guest has.
const PAGES: usize = 10;
const DOWNSTREAM: u32 = 5;
const PACKETS: u64 = 20_000;

/// One side of the channel, with what it needs to sleep and to wake the other.
struct Side {
    rings: ChannelRings,
    own_bell: OwnedFd,
    other_bell: OwnedFd,
    /// Closed when the other process ends.
    link: UnixStream,
    buffer: PacketBuffer,
}

impl Side {
    fn new(region: &std::sync::Arc<Region>, role: Role, bells: [OwnedFd; 2], link: UnixStream) -> Self {
        let pages = region.all_pages();
        let rings = ChannelRings::open(&pages, DOWNSTREAM, role).unwrap();
        let [own_bell, other_bell] = bells;
        Self { rings, own_bell, other_bell, link, buffer: PacketBuffer::new() }
    }

    fn signal(&self, signal: Signal) {
        if signal.is_needed() {
            rustix::io::write(&self.other_bell, &1u64.to_ne_bytes()).unwrap();
        }
    }

    /// Writes a packet, or says how much space it needs.
    fn send(&mut self, id: u64, payload: &[u8]) -> Result<(), u32> {
        match self.rings.write(&OutgoingPacket::in_band(id, payload)) {
            Ok(_) => Ok(()),
            Err(WriteError::Full { needed }) => Err(needed),
            Err(error) => panic!("{error}"),
        }
    }

    fn receive(&mut self) -> Option<(u64, Vec<u8>)> {
        match self.rings.read(&mut self.buffer) {
            Ok(packet) => Some((packet.transaction_id, packet.payload.to_vec())),
            Err(ReadError::Empty) => None,
            Err(ReadError::Corrupt(corruption)) => panic!("{corruption}"),
        }
    }

    fn commit(&mut self) {
        let signal = self.rings.commit_write().unwrap();
        self.signal(signal);
        let signal = self.rings.commit_read().unwrap();
        self.signal(signal);
    }

    /// Sleeps until there is a packet or, if `blocked` on it, space. Returns at once if there is already. `false`: the
    /// other process has ended.
    fn sleep(&mut self, blocked: Option<u32>) -> bool {
        let mut ready = false;
        if let Some(needed) = blocked {
            let committed = self.rings.wait_for_space(needed).unwrap();
            self.signal(committed.signal);
            ready |= committed.wait == Wait::Ready;
        }
        let committed = self.rings.wait_for_packet().unwrap();
        self.signal(committed.signal);
        if ready || committed.wait == Wait::Ready {
            return true;
        }
        let mut fds = [PollFd::new(&self.own_bell, PollFlags::IN), PollFd::new(&self.link, PollFlags::IN)];
        poll(&mut fds, None).unwrap();
        if fds[0].revents().contains(PollFlags::IN) {
            rustix::io::read(&self.own_bell, &mut [0; 8]).unwrap();
            return true;
        }
        false
    }
}

/// Sizes from nothing to a good part of the ring, so that packets wrap everywhere and both rings fill up.
fn payload(id: u64) -> Vec<u8> {
    let len = (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 53) as usize / 8 * 8;
    (0..len as u64).map(|at| (at * 31 + id) as u8).collect()
}

fn answer(payload: &[u8]) -> Vec<u8> {
    payload.iter().rev().map(|byte| !byte).collect()
}

#[test]
fn twenty_thousand_packets_there_and_back() {
    let (region, memfd) = Region::memfd("vmbus-test", PAGES).unwrap();
    let [to_host, to_guest] = [(); 2].map(|()| eventfd(0, EventfdFlags::CLOEXEC).unwrap());
    let (mut link, of_guest) = UnixStream::pair().unwrap();
    let mut guest = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_other_process", "--ignored", "--nocapture"])
        .env(GUEST, "1")
        .stdin(Stdio::from(OwnedFd::from(of_guest)))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    give_fds(&link, [memfd.as_fd(), to_host.as_fd(), to_guest.as_fd()]);
    // The guest has made its rings: what OPENCHANNEL says on a real bus.
    link.read_exact(&mut [0]).unwrap();
    let mut side = Side::new(&region, Role::Host, [to_host, to_guest], link);

    let (mut sent, mut received) = (0, 0);
    while received < PACKETS {
        let before = (sent, received);
        let mut blocked = None;
        while sent < PACKETS && blocked.is_none() {
            match side.send(sent, &payload(sent)) {
                Ok(()) => sent += 1,
                Err(needed) => blocked = Some(needed),
            }
        }
        while let Some((id, bytes)) = side.receive() {
            assert_eq!(id, received);
            assert_eq!(bytes, answer(&payload(id)), "packet {id}");
            received += 1;
        }
        side.commit();
        if before == (sent, received) {
            assert!(side.sleep(blocked), "the guest process has ended at packet {received}");
        }
    }
    drop(side);
    assert!(guest.wait().unwrap().success());
}

#[test]
#[ignore = "the guest's side, started by the other test"]
fn the_other_process() {
    if std::env::var_os(GUEST).is_none() {
        return;
    }
    let mut link = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let [memfd, to_host, to_guest] = take_fds(&link);
    assert!(rustix::fs::ftruncate(&memfd, 0).is_err(), "sealed: the guest cannot pull the memory away");
    let region = Region::from_memfd(memfd.as_fd(), PAGES).unwrap();
    let mut side = Side::new(&region, Role::Guest, [to_guest, to_host], link.try_clone().unwrap());
    link.write_all(&[1]).unwrap();

    let mut waiting: Option<(u64, Vec<u8>)> = None;
    loop {
        let mut blocked = None;
        let mut progress = false;
        while let Some((id, bytes)) = waiting.take().or_else(|| side.receive()) {
            if let Err(needed) = side.send(id, &answer(&bytes)) {
                (blocked, waiting) = (Some(needed), Some((id, bytes)));
                break;
            }
            progress = true;
        }
        side.commit();
        if !progress && !side.sleep(blocked) {
            return;
        }
    }
}

fn give_fds(link: &UnixStream, fds: [BorrowedFd<'_>; 3]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(link, &[IoSlice::new(&[0])], &mut control, SendFlags::empty()).unwrap();
}

fn take_fds(link: &UnixStream) -> [OwnedFd; 3] {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(link, &mut [IoSliceMut::new(&mut [0])], &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    fds.try_into().unwrap()
}
