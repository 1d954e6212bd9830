//! The controller: the handshake, the requests under way, the disks.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use storage_protocol::cdb::Command;
use storage_protocol::sense::{FIXED_BYTES, Sense};
use storage_protocol::{
    Address, Message, NtStatus, PACKET_BYTES, Packet, Properties, SENSE_BYTES, ScsiRequest, ScsiResponse,
    ScsiStatus, SrbStatus, Version,
};

use crate::interface::is_lun;
use crate::scsi::{self, Answer, Transfer};
use crate::{
    AttachRefused, DiskConfig, DiskOperation, Fault, Input, Output, Statistics, Violation, VspConfig,
};

/// Where the conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    /// Open; BEGIN_INITIALIZATION has not come.
    Opened,
    /// The guest proposes versions.
    Negotiating,
    /// A version is agreed on; END_INITIALIZATION has not come.
    Agreed(Version),
    Ready(Version),
    /// The guest broke a rule.
    Failed,
}

/// A SCSI command under way.
#[derive(Clone, Debug)]
struct Pending {
    request: ScsiRequest,
    /// The disk, and which one of those that had its number.
    lun: u8,
    attachment: u64,
    /// The channel was closed since.
    orphan: bool,
    operation: Option<DiskOperation>,
}

#[derive(Clone, Debug)]
struct Attached {
    disk: DiskConfig,
    attachment: u64,
}

/// A SCSI controller. See the crate's description.
#[derive(Clone, Debug)]
pub struct StorageVsp {
    config: VspConfig,
    phase: Phase,
    disks: BTreeMap<u8, Attached>,
    pending: BTreeMap<u64, Pending>,
    attachments: u64,
    statistics: Statistics,
}

impl StorageVsp {
    /// A controller without disks and channel.
    #[must_use]
    pub fn new(config: VspConfig) -> Self {
        Self {
            config,
            phase: Phase::Closed,
            disks: BTreeMap::new(),
            pending: BTreeMap::new(),
            attachments: 0,
            statistics: Statistics::default(),
        }
    }

    /// The version that is spoken, once the handshake is over.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        match self.phase {
            Phase::Ready(version) => Some(version),
            _ => None,
        }
    }

    /// The numbers of the disks.
    pub fn luns(&self) -> impl Iterator<Item = u8> {
        self.disks.keys().copied()
    }

    /// Requests under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.pending.len()
    }

    /// What was counted.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Something happened; what is to be done about it is added to `out`, in order.
    pub fn handle(&mut self, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::ChannelOpened => {
                self.orphan_all();
                self.phase = Phase::Opened;
            }
            Input::ChannelClosed => {
                self.orphan_all();
                self.phase = Phase::Closed;
            }
            Input::Packet { request, payload, buffer } => self.packet(request, &payload, buffer, out),
            Input::BadBuffer { why } => {
                if !matches!(self.phase, Phase::Closed | Phase::Failed) {
                    self.fail(Violation::BadBuffer { why }, out);
                }
            }
            Input::Fetched { request, bytes } => self.fetched(request, &bytes, out),
            Input::Finished { request, result } => self.finished(request, result, out),
            Input::Attach { lun, disk } => self.attach(lun, disk, out),
            Input::Detach { lun } => self.detach(lun, out),
        }
    }

    fn orphan_all(&mut self) {
        self.pending.values_mut().for_each(|pending| pending.orphan = true);
    }

    fn fail(&mut self, violation: Violation, out: &mut Vec<Output>) {
        self.statistics.protocol_errors += 1;
        self.orphan_all();
        self.phase = Phase::Failed;
        out.push(Output::ProtocolError { violation });
        out.push(Output::CloseChannel);
    }

    /// The version in whose form the guest is answered. Before one is agreed on, both forms are the same but for zeros at the end.
    fn form(&self) -> Version {
        match self.phase {
            Phase::Agreed(version) | Phase::Ready(version) => version,
            _ => Version::WINDOWS_8_1,
        }
    }

    fn complete(&self, request: u64, message: Message, data: Vec<u8>, out: &mut Vec<Output>) {
        let payload = Packet::notice(message).encode(self.form(), &mut [0; PACKET_BYTES]).to_vec();
        out.push(Output::Complete { request, payload, data });
    }

    fn packet(&mut self, request: u64, payload: &[u8], buffer: u64, out: &mut Vec<Output>) {
        if matches!(self.phase, Phase::Closed | Phase::Failed) {
            return out.push(Output::Forget { request });
        }
        let packet = match Packet::decode(payload) {
            Ok(packet) => packet,
            Err(error) => {
                out.push(Output::Forget { request });
                return self.fail(Violation::Malformed { error: error.to_string() }, out);
            }
        };
        let status = match packet.message {
            Message::ExecuteSrb(scsi) if matches!(self.phase, Phase::Ready(_)) => {
                return self.execute(request, scsi, buffer, out);
            }
            Message::QueryProperties if matches!(self.phase, Phase::Agreed(_) | Phase::Ready(_)) => {
                let max_transfer_bytes = self.config.max_transfer_bytes;
                let properties = Properties { max_sub_channels: 0, max_transfer_bytes };
                return self.complete(request, Message::PropertiesCompletion(properties), Vec::new(), out);
            }
            Message::BeginInitialization if self.phase == Phase::Opened => {
                self.phase = Phase::Negotiating;
                NtStatus::SUCCESS
            }
            Message::QueryProtocolVersion { version, .. }
                if matches!(self.phase, Phase::Negotiating | Phase::Agreed(_)) =>
            {
                if self.config.versions.contains(&version) {
                    self.phase = Phase::Agreed(version);
                    NtStatus::SUCCESS
                } else {
                    NtStatus::REVISION_MISMATCH
                }
            }
            Message::EndInitialization if let Phase::Agreed(version) = self.phase => {
                self.phase = Phase::Ready(version);
                self.statistics.handshakes += 1;
                out.push(Output::Ready { version });
                NtStatus::SUCCESS
            }
            // Requests under way end in their own time: a disk in a file has nothing to be reset.
            Message::Reset(_) if matches!(self.phase, Phase::Ready(_)) => NtStatus::SUCCESS,
            // None was offered.
            Message::CreateSubChannels { .. } => NtStatus::INVALID_PARAMETER,
            Message::Unknown(_) | Message::Completion(_) | Message::EnumerateBus | Message::RemoveDevice => {
                NtStatus::NOT_SUPPORTED
            }
            _ => NtStatus::INVALID_DEVICE_STATE,
        };
        self.complete(request, Message::Completion(status), Vec::new(), out);
    }

    /// A SCSI command.
    fn execute(&mut self, request: u64, scsi: ScsiRequest, buffer: u64, out: &mut Vec<Output>) {
        self.statistics.commands += 1;
        let Address { path, target, lun, .. } = scsi.address;
        if u64::from(scsi.transfer_length) > buffer || self.pending.contains_key(&request) {
            return self.refuse(request, &scsi, SrbStatus::INVALID_REQUEST, ScsiStatus::GOOD, out);
        }
        let Ok(command) = Command::decode(&scsi.cdb, scsi.cdb_length) else {
            return self.sense(request, &scsi, Sense::INVALID_FIELD, out);
        };
        let luns: Vec<u8> = self.luns().collect();
        let is_here = path == 0 && target == 0;
        let Some(Attached { disk, attachment }) = self.disks.get(&lun).filter(|_| is_here) else {
            // All disks are on the first target of the first path.
            let of_target = if is_here { &luns[..] } else { &[] };
            let nobody = scsi::answer_without_disk(command, lun, of_target);
            return match nobody {
                Some(answer) => self.answer(request, Pending::new(scsi, lun, 0), answer, out),
                None => self.refuse(request, &scsi, SrbStatus::INVALID_LUN, ScsiStatus::GOOD, out),
            };
        };
        let transfer = Transfer::of(&scsi, self.config.max_transfer_bytes);
        let answer = scsi::answer(command, disk, &luns, transfer);
        let pending = Pending::new(scsi, lun, *attachment);
        let waits = matches!(answer, Answer::Start(_) | Answer::Parameters(_));
        if waits && self.pending.len() >= self.config.most_requests {
            self.statistics.busy += 1;
            return self.refuse(request, &scsi, SrbStatus::BUSY, ScsiStatus::BUSY, out);
        }
        self.answer(request, pending, answer, out);
    }

    fn answer(&mut self, request: u64, mut pending: Pending, answer: Answer, out: &mut Vec<Output>) {
        match answer {
            Answer::Data(mut data) => {
                data.truncate(pending.request.transfer_length as usize);
                let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
                self.good(request, &pending.request, length, data, out);
            }
            Answer::Sense(sense) => self.sense(request, &pending.request, sense, out),
            Answer::Parameters(bytes) => {
                self.pending.insert(request, pending);
                out.push(Output::Fetch { request, bytes });
            }
            Answer::Start(operation) => {
                pending.operation = Some(operation.clone());
                let lun = pending.lun;
                self.pending.insert(request, pending);
                out.push(Output::Start { request, lun, operation });
            }
        }
    }

    fn fetched(&mut self, request: u64, parameters: &[u8], out: &mut Vec<Output>) {
        let waits = self.pending.get(&request).is_some_and(|pending| pending.operation.is_none());
        let Some(pending) = waits.then(|| self.pending.remove(&request)).flatten() else { return };
        let disk = self.disks.get(&pending.lun).filter(|now| now.attachment == pending.attachment);
        match disk {
            _ if pending.orphan => self.over(request, &pending, out),
            None => {
                self.refuse(request, &pending.request, SrbStatus::INVALID_LUN, ScsiStatus::GOOD, out);
                self.tell_if_detached(&pending, out);
            }
            Some(Attached { disk, .. }) => {
                let answer = scsi::unmap(parameters, disk);
                self.answer(request, pending, answer, out);
            }
        }
    }

    fn finished(&mut self, request: u64, result: Result<(), Fault>, out: &mut Vec<Output>) {
        let started = self.pending.get(&request).is_some_and(|pending| pending.operation.is_some());
        let Some(pending) = started.then(|| self.pending.remove(&request)).flatten() else { return };
        if pending.orphan {
            return self.over(request, &pending, out);
        }
        let here = self.disks.get(&pending.lun).is_some_and(|now| now.attachment == pending.attachment);
        let scsi = &pending.request;
        match (result, &pending.operation) {
            _ if !here => {
                // Only now: until here the buffer was in use.
                self.refuse(request, scsi, SrbStatus::INVALID_LUN, ScsiStatus::GOOD, out);
                self.tell_if_detached(&pending, out);
            }
            (Err(fault), _) => {
                let sense = match fault {
                    Fault::Read => Sense::READ_ERROR,
                    Fault::Write => Sense::WRITE_ERROR,
                    Fault::WriteProtected => Sense::WRITE_PROTECTED,
                };
                self.sense(request, scsi, sense, out);
            }
            (Ok(()), operation) => {
                let sectors = match operation {
                    Some(DiskOperation::Read { count, .. }) => {
                        self.statistics.sectors_read += u64::from(*count);
                        *count
                    }
                    Some(DiskOperation::Write { count, .. }) => {
                        self.statistics.sectors_written += u64::from(*count);
                        *count
                    }
                    _ => 0,
                };
                let length =
                    if sectors == 0 { scsi.transfer_length } else { sectors * storage_protocol::SECTOR };
                self.good(request, scsi, length, Vec::new(), out);
            }
        }
    }

    /// A request whose guest closed the channel.
    fn over(&mut self, request: u64, pending: &Pending, out: &mut Vec<Output>) {
        out.push(Output::Forget { request });
        self.tell_if_detached(pending, out);
    }

    fn good(&self, request: u64, scsi: &ScsiRequest, length: u32, data: Vec<u8>, out: &mut Vec<Output>) {
        let response = response(scsi, SrbStatus::SUCCESS, ScsiStatus::GOOD, length);
        self.complete(request, Message::ScsiCompletion(response), data, out);
    }

    fn sense(&mut self, request: u64, scsi: &ScsiRequest, sense: Sense, out: &mut Vec<Output>) {
        self.statistics.failed += 1;
        let mut response = response(scsi, SrbStatus::ERROR, ScsiStatus::CHECK_CONDITION, 0);
        let length = FIXED_BYTES.min(scsi.sense_length);
        if length > 0 {
            response.srb_status = SrbStatus::ERROR_WITH_SENSE;
            response.sense[..usize::from(length)].copy_from_slice(&sense.to_bytes()[..usize::from(length)]);
            response.sense_length = length;
        }
        self.complete(request, Message::ScsiCompletion(response), Vec::new(), out);
    }

    fn refuse(
        &mut self,
        request: u64,
        scsi: &ScsiRequest,
        srb: SrbStatus,
        status: ScsiStatus,
        out: &mut Vec<Output>,
    ) {
        self.statistics.failed += 1;
        self.complete(request, Message::ScsiCompletion(response(scsi, srb, status, 0)), Vec::new(), out);
    }

    fn attach(&mut self, lun: u8, disk: DiskConfig, out: &mut Vec<Output>) {
        let leaving = self.pending.values().any(|pending| pending.lun == lun && pending.attachment != 0);
        let why = if !is_lun(lun) {
            AttachRefused::NoSuchLun
        } else if self.disks.contains_key(&lun) || leaving {
            AttachRefused::InUse
        } else {
            self.attachments += 1;
            self.disks.insert(lun, Attached { disk, attachment: self.attachments });
            return self.notify(out);
        };
        out.push(Output::AttachRefused { lun, why });
    }

    fn detach(&mut self, lun: u8, out: &mut Vec<Output>) {
        let Some(gone) = self.disks.remove(&lun) else { return };
        self.notify(out);
        if !self.pending.values().any(|pending| pending.attachment == gone.attachment) {
            out.push(Output::Detached { lun });
        }
    }

    /// After a request is over: its disk may have waited for it to go.
    fn tell_if_detached(&self, over: &Pending, out: &mut Vec<Output>) {
        let here = self.disks.values().any(|disk| disk.attachment == over.attachment);
        if !here && !self.pending.values().any(|pending| pending.attachment == over.attachment) {
            out.push(Output::Detached { lun: over.lun });
        }
    }

    /// Disks came or went: the guest is to look.
    fn notify(&self, out: &mut Vec<Output>) {
        if let Phase::Ready(version) = self.phase {
            let packet = Packet::notice(Message::EnumerateBus);
            out.push(Output::Notify { payload: packet.encode(version, &mut [0; PACKET_BYTES]).to_vec() });
        }
    }
}

impl Pending {
    fn new(request: ScsiRequest, lun: u8, attachment: u64) -> Self {
        Self { request, lun, attachment, orphan: false, operation: None }
    }
}

fn response(scsi: &ScsiRequest, srb_status: SrbStatus, scsi_status: ScsiStatus, length: u32) -> ScsiResponse {
    ScsiResponse {
        address: scsi.address,
        srb_status,
        scsi_status,
        transfer_length: length,
        sense: [0; SENSE_BYTES],
        sense_length: 0,
    }
}
