//! The controller against guests that speak by hand, and against any.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};
use storage_protocol::cdb::Command;
use storage_protocol::sense::Sense;
use storage_protocol::test_support::PACKETS;
use storage_protocol::{
    Address, Direction, Message, NtStatus, Operation, PACKET_BYTES, Packet, Properties, ScsiRequest,
    ScsiStatus, SrbStatus, Version,
};
use storage_vsp::test_support::fuzz_guest;
use storage_vsp::{
    AttachRefused, DiskConfig, DiskOperation, Fault, Input, Output, StorageVsp, Violation, VspConfig,
};

fn disk() -> DiskConfig {
    DiskConfig { sectors: 1000, writable: true, can_discard: true, id: [3; 16] }
}

struct Host {
    vsp: StorageVsp,
    out: Vec<Output>,
    requests: u64,
}

impl Host {
    fn opened() -> Self {
        let mut host = Self { vsp: StorageVsp::new(VspConfig::default()), out: Vec::new(), requests: 0 };
        host.input(Input::Attach { lun: 0, disk: disk() });
        host.input(Input::ChannelOpened);
        host
    }

    fn ready(version: Version) -> Self {
        let mut host = Self::opened();
        for message in [
            Message::BeginInitialization,
            Message::QueryProtocolVersion { version, revision: 0 },
            Message::EndInitialization,
        ] {
            assert_eq!(host.status(message), NtStatus::SUCCESS);
        }
        assert_eq!(host.vsp.version(), Some(version));
        host.out.clear();
        host
    }

    fn input(&mut self, input: Input) {
        self.vsp.handle(input, &mut self.out);
    }

    fn send(&mut self, message: Message, buffer: u64) -> u64 {
        self.requests += 1;
        let payload = Packet::request(message).encode(Version::WINDOWS_8_1, &mut [0; PACKET_BYTES]).to_vec();
        self.input(Input::Packet { request: self.requests, payload, buffer });
        self.requests
    }

    /// The status that a message of the handshake is answered with.
    fn status(&mut self, message: Message) -> NtStatus {
        self.send(message, 0);
        let Some(Output::Complete { payload, .. }) = self.out.last() else { panic!("{:?}", self.out) };
        match Packet::decode(payload).unwrap().message {
            Message::Completion(status) => status,
            other => panic!("{other:?}"),
        }
    }

    fn scsi(&mut self, lun: u8, command: Command, direction: Direction, bytes: u32, buffer: u64) -> u64 {
        let (cdb, cdb_length) = command.encode();
        let address = Address::lun(lun);
        let request =
            ScsiRequest { address, cdb, cdb_length, sense_length: 20, direction, transfer_length: bytes };
        self.send(Message::ExecuteSrb(request), buffer)
    }

    fn read(&mut self, lun: u8) -> u64 {
        self.scsi(lun, Command::Read { block: 1, count: 2 }, Direction::Read, 1024, 1024)
    }

    /// How the last SCSI command was answered.
    fn answered(&mut self) -> (SrbStatus, ScsiStatus, Option<Sense>, u32) {
        let Some(Output::Complete { payload, .. }) = self.out.pop() else { panic!("{:?}", self.out) };
        self.out.clear();
        match Packet::decode_scsi_completion(&payload).unwrap().message {
            Message::ScsiCompletion(response) => {
                let sense = Sense::parse(&response.sense[..usize::from(response.sense_length)]);
                (response.srb_status, response.scsi_status, sense, response.transfer_length)
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_handshake_has_an_order_and_versions_are_refused_with_revision_mismatch() {
    let mut host = Host::opened();
    let version = |version| Message::QueryProtocolVersion { version, revision: 0 };
    assert_eq!(host.status(version(Version::WINDOWS_8_1)), NtStatus::INVALID_DEVICE_STATE);
    assert_eq!(host.status(Message::EndInitialization), NtStatus::INVALID_DEVICE_STATE);
    assert_eq!(host.status(Message::BeginInitialization), NtStatus::SUCCESS);
    assert_eq!(host.status(Message::QueryProperties), NtStatus::INVALID_DEVICE_STATE);
    // As Linux does.
    assert_eq!(host.status(version(Version::WINDOWS_10)), NtStatus::REVISION_MISMATCH);
    assert_eq!(host.status(version(Version::WINDOWS_8_1)), NtStatus::SUCCESS);
    host.send(Message::QueryProperties, 0);
    let Some(Output::Complete { payload, .. }) = host.out.last() else { panic!() };
    let properties = Properties { max_sub_channels: 0, max_transfer_bytes: 0x4_0000 };
    let decoded = Packet::decode_properties_completion(payload).unwrap().message;
    assert_eq!(decoded, Message::PropertiesCompletion(properties));
    assert_eq!(payload, PACKETS.iter().find(|packet| packet.0 == "properties").unwrap().2);
    assert_eq!(host.status(Message::EndInitialization), NtStatus::SUCCESS);
    assert!(host.out.contains(&Output::Ready { version: Version::WINDOWS_8_1 }));
    assert_eq!(host.status(Message::CreateSubChannels { count: 4 }), NtStatus::INVALID_PARAMETER);
    assert_eq!(host.status(Message::Unknown(Operation::FC_HBA_DATA)), NtStatus::NOT_SUPPORTED);
    assert_eq!(host.status(Message::Reset(Operation::RESET_BUS)), NtStatus::SUCCESS);
}

#[test]
fn every_version_gets_completions_of_its_length() {
    for version in Version::SPOKEN {
        let mut host = Host::ready(version);
        let request = host.read(0);
        host.input(Input::Finished { request, result: Ok(()) });
        let Some(Output::Complete { payload, .. }) = host.out.last() else { panic!() };
        assert_eq!(payload.len(), version.packet_bytes());
        assert_eq!(host.answered(), (SrbStatus::SUCCESS, ScsiStatus::GOOD, None, 1024));
    }
}

#[test]
fn a_disk_that_fails_is_a_medium_error_and_the_next_request_goes_on() {
    let mut host = Host::ready(Version::WINDOWS_8_1);
    for (fault, sense) in [
        (Fault::Write, Sense::WRITE_ERROR),
        (Fault::Read, Sense::READ_ERROR),
        (Fault::WriteProtected, Sense::WRITE_PROTECTED),
    ] {
        let request = host.read(0);
        host.input(Input::Finished { request, result: Err(fault) });
        let answered = host.answered();
        assert_eq!(answered, (SrbStatus::ERROR_WITH_SENSE, ScsiStatus::CHECK_CONDITION, Some(sense), 0));
    }
    let request = host.read(0);
    host.input(Input::Finished { request, result: Ok(()) });
    assert_eq!(host.answered().0, SrbStatus::SUCCESS);
    assert_eq!((host.vsp.statistics().failed, host.vsp.statistics().sectors_read), (3, 2));
}

/// Linux' driver takes an INQUIRY that is refused for one that went well, and a command that is refused with *no such unit* for a disk that
/// went, whatever its path: an unmodified kernel found 128 disks that were not there, and lost its first.
#[test]
fn where_nothing_is_an_inquiry_says_so_and_no_target_has_units() {
    let mut host = Host::ready(Version::WINDOWS_8_1);
    let everywhere =
        (0..8).flat_map(|path| (0..2).flat_map(move |target| (0..8).map(move |lun| (path, target, lun))));
    for (path, target, lun) in everywhere.filter(|address| *address != (0, 0, 0)) {
        let address = Address { path, target, ..Address::lun(lun) };
        let mut ask = |command: Command| {
            let (cdb, cdb_length) = command.encode();
            let direction = Direction::Read;
            let request =
                ScsiRequest { address, cdb, cdb_length, sense_length: 20, direction, transfer_length: 36 };
            host.send(Message::ExecuteSrb(request), 36);
            let Some(Output::Complete { payload, data, .. }) = host.out.pop() else { panic!("no answer") };
            let Message::ScsiCompletion(answer) = Packet::decode_scsi_completion(&payload).unwrap().message
            else {
                panic!("no completion of a command")
            };
            (answer.srb_status, data)
        };
        let (status, data) = ask(Command::Inquiry { page: None, length: 36 });
        assert_eq!((status, data[0], data.len()), (SrbStatus::SUCCESS, 0x7f, 36), "{address:?}");
        if lun == 0 {
            assert_eq!(
                ask(Command::ReportLuns { length: 36 }),
                (SrbStatus::SUCCESS, vec![0; 8]),
                "{address:?}"
            );
        }
    }
}

#[test]
fn disks_come_and_go_and_one_in_use_goes_when_its_last_request_is_over() {
    let mut host = Host::ready(Version::WINDOWS_8_1);
    host.input(Input::Attach { lun: 0, disk: disk() });
    assert_eq!(host.out, [Output::AttachRefused { lun: 0, why: AttachRefused::InUse }]);
    host.input(Input::Attach { lun: 64, disk: disk() });
    assert_eq!(host.out.pop(), Some(Output::AttachRefused { lun: 64, why: AttachRefused::NoSuchLun }));
    host.out.clear();
    host.input(Input::Attach { lun: 5, disk: disk() });
    let Some(Output::Notify { payload }) = host.out.pop() else { panic!() };
    assert_eq!(Packet::decode(&payload).unwrap(), Packet::notice(Message::EnumerateBus));

    let (one, two) = (host.read(5), host.read(5));
    host.out.clear();
    host.input(Input::Detach { lun: 5 });
    assert!(matches!(host.out[..], [Output::Notify { .. }]));
    host.read(5);
    assert_eq!(host.answered().0, SrbStatus::INVALID_LUN);
    // Another one cannot come in its place before it is gone.
    host.input(Input::Attach { lun: 5, disk: disk() });
    assert!(matches!(host.out.pop(), Some(Output::AttachRefused { .. })));
    host.input(Input::Finished { request: one, result: Ok(()) });
    assert_eq!(host.answered().0, SrbStatus::INVALID_LUN);
    host.input(Input::Finished { request: two, result: Ok(()) });
    assert_eq!(host.out.pop(), Some(Output::Detached { lun: 5 }));
    host.input(Input::Attach { lun: 5, disk: disk() });
    host.read(5);
    assert!(matches!(host.out.last(), Some(Output::Start { lun: 5, .. })));
}

#[test]
fn a_buffer_smaller_than_the_transfer_is_refused() {
    let mut host = Host::ready(Version::WINDOWS_8_1);
    host.scsi(0, Command::Read { block: 0, count: 2 }, Direction::Read, 1024, 1023);
    assert_eq!(host.answered().0, SrbStatus::INVALID_REQUEST);
}

#[test]
fn requests_beyond_the_limit_are_answered_with_busy() {
    let mut host = Host::ready(Version::WINDOWS_8_1);
    for _ in 0..1024 {
        host.read(0);
    }
    assert_eq!(host.vsp.under_way(), 1024);
    let request = host.read(0);
    assert_eq!(host.answered().1, ScsiStatus::BUSY);
    // What needs no disk is answered.
    host.scsi(0, Command::TestUnitReady, Direction::None, 0, 0);
    assert_eq!(host.answered().1, ScsiStatus::GOOD);
    host.input(Input::Finished { request: request - 1, result: Ok(()) });
    host.out.clear();
    host.read(0);
    assert!(matches!(host.out[..], [Output::Start { .. }]));
}

#[test]
fn a_guest_that_breaks_the_protocol_loses_its_channel_and_nothing_else() {
    let mut host = Host::ready(Version::WINDOWS_8_1);
    let request = host.read(0);
    host.out.clear();
    host.input(Input::BadBuffer { why: "page 0x99 is not memory of this guest".to_owned() });
    let violation = Violation::BadBuffer { why: "page 0x99 is not memory of this guest".to_owned() };
    assert_eq!(host.out, [Output::ProtocolError { violation }, Output::CloseChannel]);
    host.out.clear();
    // The request under way is finished all the same: its buffer is held until then.
    host.input(Input::Finished { request, result: Ok(()) });
    assert_eq!(host.out, [Output::Forget { request }]);
    host.out.clear();
    let request = host.read(0);
    assert_eq!(host.out, [Output::Forget { request }]);
    host.out.clear();
    host.input(Input::ChannelClosed);
    host.input(Input::ChannelOpened);
    assert_eq!(host.status(Message::BeginInitialization), NtStatus::SUCCESS);

    let mut host = Host::ready(Version::WINDOWS_8_1);
    host.input(Input::Packet { request: 99, payload: vec![3, 0, 0], buffer: 0 });
    let [Output::Forget { request: 99 }, Output::ProtocolError { violation }, Output::CloseChannel] =
        &host.out[..]
    else {
        panic!("{:?}", host.out)
    };
    assert_eq!(violation.to_string(), "malformed message: a packet of 3 bytes: 0x0 needs 12");
}

#[test]
fn sectors_are_forgotten_after_their_list_was_fetched() {
    let mut host = Host::ready(Version::WINDOWS_8_1);
    let request = host.scsi(0, Command::Unmap { length: 24 }, Direction::Write, 24, 24);
    assert_eq!(host.out.pop(), Some(Output::Fetch { request, bytes: 24 }));
    let mut bytes = vec![0; 24];
    (bytes[3], bytes[15], bytes[19]) = (16, 7, 9);
    host.input(Input::Fetched { request, bytes });
    let operation = DiskOperation::Discard { ranges: vec![(7, 9)] };
    assert_eq!(host.out.pop(), Some(Output::Start { request, lun: 0, operation }));
    host.input(Input::Finished { request, result: Ok(()) });
    assert_eq!(host.answered().0, SrbStatus::SUCCESS);
}

#[test]
fn arbitrary_guests_get_everywhere() {
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut total = storage_vsp::Statistics::default();
    for _ in 0..3000 {
        let bytes: Vec<u8> = (0..600).map(|_| rng.next_u32() as u8).collect();
        let seen = fuzz_guest(&bytes);
        total.handshakes += seen.handshakes;
        total.commands += seen.commands;
        total.sectors_read += seen.sectors_read;
        total.sectors_written += seen.sectors_written;
        total.failed += seen.failed;
        total.busy += seen.busy;
        total.protocol_errors += seen.protocol_errors;
    }
    let storage_vsp::Statistics {
        handshakes,
        commands,
        sectors_read,
        sectors_written,
        failed,
        busy,
        protocol_errors,
    } = total;
    let reached = [handshakes, commands, sectors_read, sectors_written, failed, busy, protocol_errors];
    assert!(reached.iter().all(|&count| count > 20), "{total:?}");
}

proptest! {
    #[test]
    fn any_guest_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        fuzz_guest(&bytes);
    }
}
