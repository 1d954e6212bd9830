//! A pcapng file for Wireshark: every message of the control plane and every packet of a ring, of all VMs.
//!
//! The file has an interface for each VM's control plane and one for each channel of a VM; link type 252 (`WIRESHARK_UPPER_PDU`), which
//! names the dissector: `vmbus`, in `wireshark/vmbus.lua`. Before each message or packet stands a header of 28 bytes, all
//! little-endian, which says what the bytes alone do not:
//!
//! | offset | | |
//! |---|---|---|
//! | 0 | u8 | version of this header: 1 |
//! | 1 | u8 | direction: 0 host to guest, 1 guest to host |
//! | 2 | u8 | layer: 0 a SynIC message of the control plane, 1 a packet of a ring |
//! | 3 | u8 | 0 |
//! | 4 | u32 | layer 1: the channel's id; layer 0: the connection that the guest posted to, or the VP whose slot the host filled |
//! | 8 | u32 | number of the VM in the file, from 0 |
//! | 12 | 16 bytes | layer 1: class of the channel's device as the offer had it, zeros if no offer was recorded |
//!
//! A packet follows as it stood in the ring, without its trailer: descriptor (type, data offset, length, flags, transaction id), then what it
//! carries. Times are virtual, counted from the scenario's epoch. The format of the file: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html>
//! (documented); tags of upper PDUs: Wireshark's `epan/exported_pdu_tlvs.h` (documented).

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use vmbus::control::message::{Message, MessageType};
use vmms_host::bus::RecordedFrame;

use crate::{CrossedFrame, ExportError, Run};

/// `LINKTYPE_WIRESHARK_UPPER_PDU`.
const LINK_TYPE: u16 = 252;
/// Name under which the dissector is registered.
const DISSECTOR: &[u8] = b"vmbus";
/// Version of the header before each frame.
const HEADER_VERSION: u8 = 1;

/// Writes the messages and packets of a run.
///
/// # Errors
/// None were recorded, or the output cannot be written.
pub fn write(run: &Run, out: impl Write) -> Result<(), ExportError> {
    write_frames(run, &run.frames()?, out)
}

/// Writes messages and packets of a run that have been read.
///
/// # Errors
/// The output cannot be written.
pub fn write_frames(run: &Run, frames: &[CrossedFrame], mut out: impl Write) -> Result<(), ExportError> {
    let epoch_ns = run.epoch().unix_nanos();
    let mut file = Writer { out: &mut out, interfaces: BTreeMap::new(), vms: BTreeMap::new() };
    file.section()?;
    for frame in frames {
        file.frame(frame, epoch_ns)?;
    }
    out.flush()?;
    Ok(())
}

/// What is known of a VM.
#[derive(Default)]
struct Vm {
    number: u32,
    /// Class of each channel that was offered, in the order of the wire.
    classes: BTreeMap<u32, [u8; 16]>,
}

struct Writer<W> {
    out: W,
    /// The interface of each VM's control plane, and of each of its channels.
    interfaces: BTreeMap<(Arc<str>, Option<u32>), u32>,
    vms: BTreeMap<Arc<str>, Vm>,
}

/// Appends an option of a block.
fn option(block: &mut Vec<u8>, code: u16, value: &[u8]) {
    block.extend_from_slice(&code.to_le_bytes());
    // Names and flags: none is near 64 KiB.
    block.extend_from_slice(&(value.len().min(usize::from(u16::MAX)) as u16).to_le_bytes());
    block.extend_from_slice(value);
    block.resize(block.len().next_multiple_of(4), 0);
}

/// Appends a tag of an upper PDU's header.
fn tag(header: &mut Vec<u8>, tag: u16, value: &[u8]) {
    header.extend_from_slice(&tag.to_be_bytes());
    let padded = value.len().next_multiple_of(4);
    header.extend_from_slice(&(padded as u16).to_be_bytes());
    header.extend_from_slice(value);
    header.resize(header.len() + padded - value.len(), 0);
}

impl<W: Write> Writer<W> {
    /// Writes a block around its body.
    fn block(&mut self, kind: u32, body: &[u8]) -> Result<(), ExportError> {
        let length = (body.len() as u32 + 12).to_le_bytes();
        for part in [&kind.to_le_bytes()[..], &length, body, &length] {
            self.out.write_all(part)?;
        }
        Ok(())
    }

    fn section(&mut self) -> Result<(), ExportError> {
        let mut body = Vec::new();
        body.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
        body.extend_from_slice(&1_u16.to_le_bytes());
        body.extend_from_slice(&0_u16.to_le_bytes());
        // Length of the section: not given.
        body.extend_from_slice(&u64::MAX.to_le_bytes());
        // shb_userappl
        option(&mut body, 4, b"cargo xtask export");
        option(&mut body, 0, &[]);
        self.block(0x0a0d_0d0a, &body)
    }

    /// The interface of a VM's control plane, or of one of its channels; described when it is first needed.
    fn interface(&mut self, vm: &Arc<str>, relid: Option<u32>) -> Result<u32, ExportError> {
        let key = (Arc::clone(vm), relid);
        if let Some(&number) = self.interfaces.get(&key) {
            return Ok(number);
        }
        let number = self.interfaces.len() as u32;
        self.interfaces.insert(key, number);
        let name = match relid {
            None => format!("{vm}: control"),
            Some(relid) => format!("{vm}: channel {relid}"),
        };
        let mut body = Vec::new();
        body.extend_from_slice(&LINK_TYPE.to_le_bytes());
        body.extend_from_slice(&0_u16.to_le_bytes());
        // No limit to the length of packets.
        body.extend_from_slice(&0_u32.to_le_bytes());
        // if_name, if_tsresol: nanoseconds.
        option(&mut body, 2, name.as_bytes());
        option(&mut body, 9, &[9]);
        option(&mut body, 0, &[]);
        self.block(1, &body)?;
        Ok(number)
    }

    fn vm(&mut self, name: &Arc<str>) -> &mut Vm {
        let number = self.vms.len() as u32;
        self.vms.entry(Arc::clone(name)).or_insert_with(|| Vm { number, ..Vm::default() })
    }

    fn frame(&mut self, crossed: &CrossedFrame, epoch_ns: u64) -> Result<(), ExportError> {
        let direction = u8::from(crossed.from_guest);
        let vm = self.vm(&crossed.vm);
        let mut data = vec![HEADER_VERSION, direction];
        let relid = match &crossed.frame {
            RecordedFrame::Message { target, bytes } => {
                if let Some((relid, class)) = offered(&bytes.0) {
                    vm.classes.insert(relid, class);
                }
                data.extend_from_slice(&[0, 0]);
                data.extend_from_slice(&target.to_le_bytes());
                data.extend_from_slice(&vm.number.to_le_bytes());
                data.extend_from_slice(&[0; 16]);
                data.extend_from_slice(&bytes.0);
                None
            }
            RecordedFrame::Packet {
                child_relid,
                kind,
                completion_requested,
                transaction_id,
                extra,
                payload,
                ..
            } => {
                data.extend_from_slice(&[1, 0]);
                data.extend_from_slice(&child_relid.to_le_bytes());
                data.extend_from_slice(&vm.number.to_le_bytes());
                data.extend_from_slice(&vm.classes.get(child_relid).copied().unwrap_or_default());
                let data_offset = 16 + extra.0.len();
                let length = data_offset + payload.0.len().next_multiple_of(8);
                data.extend_from_slice(&kind.to_le_bytes());
                data.extend_from_slice(&((data_offset / 8) as u16).to_le_bytes());
                data.extend_from_slice(&((length / 8) as u16).to_le_bytes());
                data.extend_from_slice(&u16::from(*completion_requested).to_le_bytes());
                data.extend_from_slice(&transaction_id.to_le_bytes());
                data.extend_from_slice(&extra.0);
                data.extend_from_slice(&payload.0);
                data.resize(data.len() + payload.0.len().next_multiple_of(8) - payload.0.len(), 0);
                Some(*child_relid)
            }
            // There are no bytes of it; `Run::frames` has said so.
            RecordedFrame::LeftOut { .. } => return Ok(()),
        };
        let interface = self.interface(&crossed.vm, relid)?;
        let mut packet = Vec::new();
        tag(&mut packet, 12, DISSECTOR);
        // Which way, seen from the host: 0 sent, 1 received.
        tag(&mut packet, 35, &u32::from(direction).to_be_bytes());
        tag(&mut packet, 0, &[]);
        packet.extend_from_slice(&data);
        let time = epoch_ns.saturating_add(crossed.t_ns);
        let mut body = Vec::new();
        for word in [interface, (time >> 32) as u32, time as u32, packet.len() as u32, packet.len() as u32] {
            body.extend_from_slice(&word.to_le_bytes());
        }
        body.extend_from_slice(&packet);
        body.resize(body.len().next_multiple_of(4), 0);
        // epb_flags: 1 inbound, 2 outbound.
        option(&mut body, 2, &(if crossed.from_guest { 1_u32 } else { 2 }).to_le_bytes());
        if crossed.cause != 0 {
            // opt_comment: where it is in the events.
            option(&mut body, 1, format!("because of event #{}", crossed.cause).as_bytes());
        }
        option(&mut body, 0, &[]);
        self.block(6, &body)
    }
}

/// The channel that a message offers, and the class of its device.
fn offered(bytes: &[u8]) -> Option<(u32, [u8; 16])> {
    match Message::decode(bytes) {
        Ok(Message::OfferChannel(offer)) => Some((offer.relid.get(), offer.class.get().to_bytes_le())),
        _ => None,
    }
}

/// Name of a message of the control plane, as the protocol has it.
pub(crate) fn message_name(bytes: &[u8]) -> String {
    let kind = bytes.first_chunk().map(|kind| MessageType(u32::from_le_bytes(*kind)));
    kind.map_or_else(|| "no message".to_owned(), |kind| kind.to_string())
}
