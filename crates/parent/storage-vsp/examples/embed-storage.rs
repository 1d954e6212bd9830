//! A second device class in a host of one's own: a SCSI controller without a runtime, VMBus or files of this project. The guest is a
//! script, the disk a vector of bytes. Run it with `cargo run -p storage-vsp --example embed-storage`.
#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;

use storage_protocol::cdb::Command;
use storage_protocol::{Address, Direction, Message, PACKET_BYTES, Packet, ScsiRequest, Version};
use storage_vsp::{DiskConfig, DiskOperation, Fault, Input, Output, StorageVsp, VspConfig};

type Outcome = Result<(), Box<dyn Error>>;

/// What a host has around the controller: a disk, and the buffers of requests, which are pages of the guest in a real one.
struct Host {
    vsp: StorageVsp,
    disk: Vec<u8>,
    buffers: BTreeMap<u64, Vec<u8>>,
    last: Vec<u8>,
}

impl Host {
    fn input(&mut self, input: Input) -> Outcome {
        let (mut inputs, mut out) = (VecDeque::from([input]), Vec::new());
        while let Some(input) = inputs.pop_front() {
            self.vsp.handle(input, &mut out);
            for output in out.drain(..) {
                match output {
                    // A real host writes it to the channel's ring.
                    Output::Complete { request, payload, data } => {
                        self.last = self.buffers.remove(&request).unwrap_or_default();
                        self.last.splice(..data.len(), data);
                        match Packet::decode_scsi_completion(&payload)?.message {
                            Message::ScsiCompletion(answer) if answer.srb_status.0 != 0 => {
                                println!("host  > {}", answer.scsi_status);
                            }
                            _ => println!("host  > {:?}", Packet::decode(&payload)?.message),
                        }
                    }
                    // A real host gives it to the disk's thread, and goes on.
                    Output::Start { request, operation, .. } => {
                        let result = self.carry_out(request, &operation);
                        inputs.push_back(Input::Finished { request, result });
                    }
                    event => println!("event   {event:?}"),
                }
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, request: u64, operation: &DiskOperation) -> Result<(), Fault> {
        let bytes = |from: u64, count: u32| from as usize * 512..(from + u64::from(count)) as usize * 512;
        let buffer = self.buffers.get_mut(&request).ok_or(Fault::Read)?;
        // Checked by the controller: sectors are the disk's, and fit the buffer.
        match operation {
            DiskOperation::Read { sector, count } => {
                buffer.copy_from_slice(&self.disk[bytes(*sector, *count)]);
            }
            DiskOperation::Write { sector, count, .. } => {
                self.disk[bytes(*sector, *count)].copy_from_slice(buffer);
            }
            DiskOperation::Flush | DiskOperation::Discard { .. } => {}
        }
        Ok(())
    }

    fn guest_sends(&mut self, message: Message, buffer: Vec<u8>) -> Outcome {
        println!("guest > {}", message.operation());
        let payload = Packet::request(message).encode(Version::WINDOWS_8_1, &mut [0; PACKET_BYTES]).to_vec();
        let (request, bytes) = (0, buffer.len() as u64);
        self.buffers.insert(request, buffer);
        self.input(Input::Packet { request, payload, buffer: bytes })
    }

    fn scsi(&mut self, command: Command, direction: Direction, buffer: Vec<u8>) -> Outcome {
        println!("guest   {command:?}");
        let ((cdb, cdb_length), address) = (command.encode(), Address::lun(0));
        let transfer_length = u32::try_from(buffer.len())?;
        let request = ScsiRequest { address, cdb, cdb_length, sense_length: 20, direction, transfer_length };
        self.guest_sends(Message::ExecuteSrb(request), buffer)
    }
}

pub(crate) fn main() -> Outcome {
    let vsp = StorageVsp::new(VspConfig::default());
    let mut host = Host { vsp, disk: vec![0; 64 * 512], buffers: BTreeMap::new(), last: Vec::new() };
    let disk = DiskConfig { sectors: 64, writable: true, can_discard: false, id: [1; 16] };
    host.input(Input::Attach { lun: 0, disk })?;
    host.input(Input::ChannelOpened)?;
    host.guest_sends(Message::BeginInitialization, Vec::new())?;
    let hello = Message::QueryProtocolVersion { version: Version::WINDOWS_8_1, revision: 0 };
    host.guest_sends(hello, Vec::new())?;
    host.guest_sends(Message::EndInitialization, Vec::new())?;
    host.scsi(Command::Write { block: 7, count: 1, force: false }, Direction::Write, vec![0x5a; 512])?;
    host.scsi(Command::Read { block: 6, count: 2 }, Direction::Read, vec![0; 1024])?;
    assert_eq!((host.last[0], host.last[512]), (0, 0x5a));
    Ok(())
}
