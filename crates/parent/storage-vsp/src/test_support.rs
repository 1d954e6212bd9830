//! What must hold for any guest.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use storage_protocol::cdb::Command;
use storage_protocol::{Address, Direction, Message, Operation, PACKET_BYTES, Packet, ScsiRequest, Version};

use crate::{DiskConfig, DiskOperation, Fault, Input, Output, Statistics, StorageVsp, VspConfig};

struct Bytes<'a>(core::slice::Iter<'a, u8>);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        self.0.next().copied()
    }
    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }
    /// One of few, usually.
    fn lun(&mut self) -> u8 {
        match self.byte() {
            byte @ 0..240 => byte % 3,
            byte => byte - 200,
        }
    }
    /// Small, or near a limit.
    fn number(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..200 => u64::from(byte),
            200..230 => u64::from(self.byte()) << 8,
            byte @ 230..240 => (1 << 32) - u64::from(byte - 230),
            byte => u64::MAX - u64::from(byte - 240),
        }
    }
}

const SECTORS: u64 = 1000;

/// A controller against a guest that says and does anything: `bytes` are what it does, and what the host does meanwhile.
///
/// Checked: no panic; every request is answered, forgotten, or known to be under way, once; a disk is asked only for sectors that it has, as
/// many as fit the buffer, and only while it is attached; a disk that goes is told of once, when nothing of it is under way.
///
/// # Panics
/// If one of these does not hold: that is a bug of this crate.
pub fn fuzz_guest(bytes: &[u8]) -> Statistics {
    let mut bytes = Bytes(bytes.iter());
    let mut vsp = StorageVsp::new(VspConfig { most_requests: 2, ..VspConfig::default() });
    let (mut number, mut out) = (0u64, Vec::new());
    // Of each request that is not over its buffer, and what is under way for it.
    let (mut buffers, mut started): (BTreeMap<u64, u64>, BTreeMap<u64, Option<u8>>) = Default::default();
    // Disks that are there, and those that are to go.
    let (mut here, mut leaving): (BTreeSet<u8>, BTreeSet<u8>) = Default::default();
    while let Some(action) = bytes.next() {
        let one_under_way = started.keys().next().copied();
        let input = match action % 32 {
            0 => Input::ChannelOpened,
            1 if action > 128 => Input::ChannelClosed,
            2..4 => {
                let (lun, writable) = (bytes.lun(), action < 200);
                let disk = DiskConfig { sectors: SECTORS, writable, can_discard: action < 100, id: [1; 16] };
                Input::Attach { lun, disk }
            }
            4 => Input::Detach { lun: bytes.lun() },
            5 if action > 200 => Input::BadBuffer { why: "fuzz".into() },
            6..14 if let Some(request) = one_under_way => match started.remove(&request) {
                Some(Some(_)) => {
                    let faults = [Ok(()), Err(Fault::Read), Err(Fault::Write), Err(Fault::WriteProtected)];
                    Input::Finished { request, result: faults[usize::from(bytes.byte() % 4)] }
                }
                _ => {
                    let count = bytes.byte() % 40;
                    Input::Fetched { request, bytes: (0..count).map(|_| bytes.byte()).collect() }
                }
            },
            _ => {
                number += 1;
                let (payload, buffer) = any_packet(&mut bytes, action);
                buffers.insert(number, buffer);
                Input::Packet { request: number, payload, buffer }
            }
        };
        let attached = match &input {
            Input::Attach { lun, .. } => Some(*lun),
            _ => None,
        };
        if let Input::Detach { lun } = &input
            && here.remove(lun)
        {
            leaving.insert(*lun);
        }
        vsp.handle(input, &mut out);
        let mut refused = false;
        for output in out.drain(..) {
            match output {
                Output::Complete { request, payload, data } => {
                    let buffer = buffers.remove(&request).expect("a request is answered once");
                    assert!(data.len() as u64 <= buffer, "more data than the buffer has room for");
                    assert!(Packet::decode(&payload).is_ok_and(|packet| !packet.completion_requested));
                    assert!(!started.contains_key(&request), "a request is answered before it is finished");
                }
                Output::Forget { request } => {
                    assert!(buffers.remove(&request).is_some() && !started.contains_key(&request));
                }
                Output::Fetch { request, bytes } => {
                    assert!(u64::from(bytes) <= buffers[&request]);
                    assert!(started.insert(request, None).is_none());
                }
                Output::Start { request, lun, operation } => {
                    assert!(here.contains(&lun), "a disk that is not there is used");
                    assert!(started.insert(request, Some(lun)).is_none());
                    check_operation(&operation, buffers[&request]);
                }
                Output::Detached { lun } => {
                    assert!(leaving.remove(&lun), "a disk is told to be gone that was not to go");
                    assert!(
                        !started.values().any(|used| *used == Some(lun)),
                        "a disk in use is told to be gone"
                    );
                }
                Output::AttachRefused { .. } => refused = true,
                Output::Notify { payload } => assert!(Packet::decode(&payload).is_ok()),
                Output::CloseChannel | Output::ProtocolError { .. } | Output::Ready { .. } => {}
            }
        }
        if let Some(lun) = attached.filter(|_| !refused) {
            assert!(here.insert(lun) && !leaving.contains(&lun), "a disk is attached over another");
        }
        assert_eq!(vsp.under_way(), started.len());
        assert_eq!(buffers.keys().collect::<Vec<_>>(), started.keys().collect::<Vec<_>>());
    }
    *vsp.statistics()
}

fn check_operation(operation: &DiskOperation, buffer: u64) {
    let inside = |sector: u64, count: u32| sector + u64::from(count) <= SECTORS && count > 0;
    match operation {
        DiskOperation::Read { sector, count } | DiskOperation::Write { sector, count, .. } => {
            assert!(inside(*sector, *count) && u64::from(*count) * 512 <= buffer);
        }
        DiskOperation::Flush => {}
        DiskOperation::Discard { ranges } => {
            assert!(!ranges.is_empty() && ranges.iter().all(|&(sector, count)| inside(sector, count)));
        }
    }
}

/// A packet, usually of the handshake or a good command, and its buffer.
fn any_packet(bytes: &mut Bytes<'_>, action: u8) -> (Vec<u8>, u64) {
    let message = match action % 8 {
        0 => Message::BeginInitialization,
        1 => {
            let version = Version::SPOKEN[usize::from(bytes.byte()) % Version::SPOKEN.len()];
            Message::QueryProtocolVersion { version, revision: 0 }
        }
        2 => Message::EndInitialization,
        3 if action < 64 => Message::QueryProperties,
        3 if action < 96 => Message::Unknown(Operation(u32::from(bytes.byte()))),
        _ => Message::ExecuteSrb(any_command(bytes)),
    };
    let transfer = match message {
        Message::ExecuteSrb(request) => u64::from(request.transfer_length),
        _ => 0,
    };
    let mut payload = Packet::request(message).encode(Version::WINDOWS_8_1, &mut [0; PACKET_BYTES]).to_vec();
    if action == 255 {
        payload.truncate(usize::from(bytes.byte() % 64));
    }
    let buffer = if action.is_multiple_of(31) { bytes.number() } else { transfer };
    (payload, buffer)
}

fn any_command(bytes: &mut Bytes<'_>) -> ScsiRequest {
    let which = bytes.byte();
    let (block, count) = (bytes.number(), (bytes.number() % 300) as u32);
    let command = match which % 16 {
        0..4 => Command::Read { block, count },
        4..8 => Command::Write { block, count, force: which > 128 },
        8 => Command::SynchronizeCache,
        9 | 10 => Command::Unmap { length: 8 + 16 * (count % 3) as u16 },
        11 => Command::ReportLuns { length: count },
        12 => Command::Inquiry { page: (which > 100).then_some(0xb0 | which & 3), length: 255 },
        13 => Command::ModeSense { page: 0x3f, no_descriptors: false, length: 99, long: which > 100 },
        14 => Command::ReadCapacity16 { length: count },
        _ => Command::Unknown { opcode: bytes.byte() },
    };
    let (cdb, cdb_length) = command.encode();
    let direction = match which % 16 {
        4..8 | 9 | 10 => Direction::Write,
        8 => Direction::None,
        _ => Direction::Read,
    };
    ScsiRequest {
        address: Address { path: u8::from(which == 77), ..Address::lun(bytes.lun()) },
        cdb,
        cdb_length: if which == 99 { 1 } else { cdb_length },
        sense_length: which.min(20),
        direction,
        transfer_length: if which.is_multiple_of(29) { bytes.number() as u32 } else { count * 512 + 64 },
    }
}
