//! The driver: the handshake, the search for disks, the requests under way.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use storage_protocol::cdb::Command;
use storage_protocol::sense::Sense;
use storage_protocol::{
    Address, Direction, Message, NtStatus, PACKET_BYTES, Packet, Properties, SECTOR, SENSE_BYTES,
    ScsiRequest, ScsiResponse, ScsiStatus, SrbStatus, Version,
};

use crate::constants::HANDSHAKE;
use crate::probe::{Next, Probe};
use crate::{BufferUse, DiskInfo, Failure, Input, IoError, Operation, Output, VscConfig};

/// Where the conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Handshake { step: Step, request: u64, deadline: Duration },
    Ready { version: Version, properties: Properties },
    Failed,
}

/// What was asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Begin,
    /// The version with this index.
    Version(usize),
    Properties(Version),
    End(Version, Properties),
}

/// For whom a request is under way.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Caller { tag: u64, lun: u8 },
    Probe,
}

/// A driver of a SCSI controller. See the crate's description.
#[derive(Clone, Debug)]
pub struct StorageVsc {
    config: VscConfig,
    phase: Phase,
    disks: BTreeMap<u8, DiskInfo>,
    under_way: BTreeMap<u64, Purpose>,
    probe: Option<Probe>,
    /// Disks came or went while a search was under way.
    probe_again: bool,
    requests: u64,
}

impl StorageVsc {
    /// A driver without a channel.
    #[must_use]
    pub fn new(config: VscConfig) -> Self {
        Self {
            config,
            phase: Phase::Closed,
            disks: BTreeMap::new(),
            under_way: BTreeMap::new(),
            probe: None,
            probe_again: false,
            requests: 0,
        }
    }

    /// The disks that were found.
    #[must_use]
    pub fn disks(&self) -> &BTreeMap<u8, DiskInfo> {
        &self.disks
    }

    /// Whether the handshake is over.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. })
    }

    /// When [`Input::Timer`] is due next, if no other input comes before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        match self.phase {
            Phase::Handshake { deadline, .. } => Some(deadline),
            _ => None,
        }
    }

    /// Something happened at `now`; what is to be done about it is added to `out`, in order.
    pub fn handle(&mut self, now: Duration, input: Input, out: &mut Vec<Output>) {
        if let Phase::Handshake { deadline, .. } = self.phase
            && deadline <= now
        {
            self.fail(Failure::NoAnswer, out);
        }
        match input {
            Input::ChannelOpened => {
                self.close(out);
                self.ask(now, Step::Begin, out);
            }
            Input::ChannelClosed => {
                self.close(out);
                self.phase = Phase::Closed;
            }
            Input::Notice { payload } => self.notice(&payload, out),
            Input::Completion { request, payload, data } => {
                self.completion(now, request, &payload, &data, out);
            }
            Input::Submit { tag, lun, operation } => self.submit(tag, lun, &operation, out),
            Input::Timer => {}
        }
    }

    fn fail(&mut self, why: Failure, out: &mut Vec<Output>) {
        self.phase = Phase::Failed;
        out.push(Output::Failed { why });
    }

    /// Nothing that was asked will be answered, and no disk is there.
    fn close(&mut self, out: &mut Vec<Output>) {
        (self.probe, self.probe_again) = (None, false);
        for purpose in core::mem::take(&mut self.under_way).into_values() {
            if let Purpose::Caller { tag, .. } = purpose {
                out.push(Output::Done { tag, result: Err(IoError::ChannelClosed) });
            }
        }
        for lun in core::mem::take(&mut self.disks).into_keys() {
            out.push(Output::DiskGone { lun });
        }
    }

    fn send(&mut self, version: Version, message: Message, buffer: BufferUse, out: &mut Vec<Output>) -> u64 {
        self.requests += 1;
        let request = self.requests;
        let payload = Packet::request(message).encode(version, &mut [0; PACKET_BYTES]).to_vec();
        out.push(Output::Send { request, payload, buffer });
        request
    }

    /// A step of the handshake.
    fn ask(&mut self, now: Duration, step: Step, out: &mut Vec<Output>) {
        let message = match step {
            Step::Begin => Message::BeginInitialization,
            Step::Version(index) => match self.config.versions.get(index) {
                Some(&version) => Message::QueryProtocolVersion { version, revision: 0 },
                None => return self.fail(Failure::VersionsRefused, out),
            },
            Step::Properties(_) => Message::QueryProperties,
            Step::End(..) => Message::EndInitialization,
        };
        let version = match step {
            Step::Properties(version) | Step::End(version, _) => version,
            Step::Begin | Step::Version(_) => Version::WINDOWS_8_1,
        };
        let request = self.send(version, message, BufferUse::None, out);
        let deadline = now.saturating_add(HANDSHAKE.duration());
        self.phase = Phase::Handshake { step, request, deadline };
    }

    fn completion(
        &mut self,
        now: Duration,
        request: u64,
        payload: &[u8],
        data: &[u8],
        out: &mut Vec<Output>,
    ) {
        match self.phase {
            Phase::Handshake { step, request: asked, .. } if asked == request => {
                self.answered(now, step, payload, out);
            }
            Phase::Ready { .. } => match self.under_way.remove(&request) {
                Some(purpose) => self.scsi_answered(purpose, payload, data, out),
                None => out.push(Output::Ignored),
            },
            _ => out.push(Output::Ignored),
        }
    }

    fn answered(&mut self, now: Duration, step: Step, payload: &[u8], out: &mut Vec<Output>) {
        let decoded = match step {
            Step::Properties(_) => Packet::decode_properties_completion(payload),
            _ => Packet::decode(payload),
        };
        let message = decoded.map(|packet| packet.message);
        let next = match (step, message) {
            (Step::Begin, Ok(Message::Completion(NtStatus::SUCCESS))) => Step::Version(0),
            (Step::Version(index), Ok(Message::Completion(status))) => {
                match self.config.versions.get(index) {
                    Some(&version) if status == NtStatus::SUCCESS => Step::Properties(version),
                    _ => Step::Version(index + 1),
                }
            }
            (Step::Properties(version), Ok(Message::PropertiesCompletion(properties))) => {
                Step::End(version, properties)
            }
            (Step::End(version, properties), Ok(Message::Completion(NtStatus::SUCCESS))) => {
                self.phase = Phase::Ready { version, properties };
                out.push(Output::Ready { version, properties });
                return self.look_for_disks(out);
            }
            (_, Ok(Message::Completion(status))) => return self.fail(Failure::Refused(status), out),
            _ => return self.fail(Failure::Refused(NtStatus::INVALID_PARAMETER), out),
        };
        self.ask(now, next, out);
    }

    fn notice(&mut self, payload: &[u8], out: &mut Vec<Output>) {
        match Packet::decode(payload).map(|packet| packet.message) {
            Ok(Message::EnumerateBus | Message::RemoveDevice) if self.is_ready() => self.look_for_disks(out),
            _ => out.push(Output::Ignored),
        }
    }

    fn look_for_disks(&mut self, out: &mut Vec<Output>) {
        if self.probe.is_some() {
            self.probe_again = true;
            return;
        }
        let (probe, next) = Probe::begin();
        self.probe = Some(probe);
        self.go_on_probing(next, out);
    }

    fn go_on_probing(&mut self, next: Next, out: &mut Vec<Output>) {
        match next {
            Next::Ask { lun, command, bytes } => {
                self.command(
                    Purpose::Probe,
                    lun,
                    command,
                    Direction::Read,
                    bytes,
                    BufferUse::Own { bytes },
                    out,
                );
            }
            Next::Over(listed) => {
                let gone: Vec<u8> = self.disks.keys().copied().filter(|lun| !listed.contains(lun)).collect();
                for lun in gone {
                    self.forget(lun, out);
                }
                self.probe = None;
                if core::mem::take(&mut self.probe_again) {
                    self.look_for_disks(out);
                }
            }
        }
    }

    fn forget(&mut self, lun: u8, out: &mut Vec<Output>) {
        if self.disks.remove(&lun).is_some() {
            out.push(Output::DiskGone { lun });
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a command has that many parts")]
    fn command(
        &mut self,
        purpose: Purpose,
        lun: u8,
        command: Command,
        direction: Direction,
        transfer_length: u32,
        buffer: BufferUse,
        out: &mut Vec<Output>,
    ) {
        let Phase::Ready { version, .. } = self.phase else { return };
        let (cdb, cdb_length) = command.encode();
        let (address, sense_length) = (Address::lun(lun), SENSE_BYTES as u8);
        let request = ScsiRequest { address, cdb, cdb_length, sense_length, direction, transfer_length };
        let request = self.send(version, Message::ExecuteSrb(request), buffer, out);
        self.under_way.insert(request, purpose);
    }

    fn submit(&mut self, tag: u64, lun: u8, operation: &Operation, out: &mut Vec<Output>) {
        let Phase::Ready { properties, .. } = self.phase else {
            return out.push(Output::Done { tag, result: Err(IoError::ChannelClosed) });
        };
        if !self.disks.contains_key(&lun) {
            return out.push(Output::Done { tag, result: Err(IoError::NoDisk) });
        }
        let too_large = Output::Done { tag, result: Err(IoError::TooLarge) };
        let bytes_of =
            |count: u32| count.checked_mul(SECTOR).filter(|&bytes| bytes <= properties.max_transfer_bytes);
        let callers = |bytes| if bytes == 0 { BufferUse::None } else { BufferUse::Callers { tag, bytes } };
        let (command, direction, bytes, buffer) = match *operation {
            Operation::Read { sector, count } => {
                let Some(bytes) = bytes_of(count) else { return out.push(too_large) };
                (Command::Read { block: sector, count }, Direction::Read, bytes, callers(bytes))
            }
            Operation::Write { sector, count, force } => {
                let Some(bytes) = bytes_of(count) else { return out.push(too_large) };
                (Command::Write { block: sector, count, force }, Direction::Write, bytes, callers(bytes))
            }
            Operation::Flush => (Command::SynchronizeCache, Direction::None, 0, BufferUse::None),
            Operation::Discard { ref ranges } => {
                let parameters = unmap_parameters(ranges);
                let Ok(length) = u16::try_from(parameters.len()) else { return out.push(too_large) };
                let buffer = BufferUse::Parameters(parameters);
                (Command::Unmap { length }, Direction::Write, u32::from(length), buffer)
            }
        };
        self.command(Purpose::Caller { tag, lun }, lun, command, direction, bytes, buffer, out);
    }

    fn scsi_answered(&mut self, purpose: Purpose, payload: &[u8], data: &[u8], out: &mut Vec<Output>) {
        let response = match Packet::decode_scsi_completion(payload).map(|packet| packet.message) {
            Ok(Message::ScsiCompletion(response)) => Some(response),
            _ => None,
        };
        match purpose {
            Purpose::Probe => {
                let good = response.filter(is_good);
                let length = good.map(|good| (good.transfer_length as usize).min(data.len()));
                let Some(probe) = &mut self.probe else { return out.push(Output::Ignored) };
                let mut found = BTreeMap::new();
                let next = probe.answer(length.map(|length| &data[..length]), &mut found);
                for (lun, disk) in found {
                    // One that changed is another one.
                    if self.disks.get(&lun).is_some_and(|known| *known != disk) {
                        self.forget(lun, out);
                    }
                    if self.disks.insert(lun, disk).is_none() {
                        out.push(Output::DiskFound { lun, disk });
                    }
                }
                self.go_on_probing(next, out);
            }
            Purpose::Caller { tag, lun } => {
                let result = response.ok_or(IoError::BadAnswer).and_then(outcome);
                out.push(Output::Done { tag, result });
                // The driver of Linux, too, takes this as the end of the disk (documented).
                if result == Err(IoError::Controller(SrbStatus::INVALID_LUN)) {
                    self.forget(lun, out);
                }
            }
        }
    }
}

fn is_good(response: &ScsiResponse) -> bool {
    response.srb_status == SrbStatus::SUCCESS && response.scsi_status == ScsiStatus::GOOD
}

fn outcome(response: ScsiResponse) -> Result<(), IoError> {
    if is_good(&response) {
        return Ok(());
    }
    if response.scsi_status == ScsiStatus::CHECK_CONDITION
        && let Some(sense) = Sense::parse(&response.sense[..usize::from(response.sense_length)])
    {
        return Err(IoError::Sense(sense));
    }
    Err(IoError::Controller(response.srb_status))
}

fn unmap_parameters(ranges: &[(u64, u32)]) -> Vec<u8> {
    let bytes = u16::try_from(ranges.len() * 16).unwrap_or(u16::MAX);
    let mut parameters = Vec::with_capacity(8 + ranges.len() * 16);
    parameters.extend_from_slice(&bytes.saturating_add(6).to_be_bytes());
    parameters.extend_from_slice(&bytes.to_be_bytes());
    parameters.extend_from_slice(&[0; 4]);
    for (sector, count) in ranges {
        parameters.extend_from_slice(&sector.to_be_bytes());
        parameters.extend_from_slice(&count.to_be_bytes());
        parameters.extend_from_slice(&[0; 4]);
    }
    parameters
}
