//! Known packets both ways, and any bytes.

use proptest::prelude::*;
use storage_protocol::cdb::Command;
use storage_protocol::sense::{FIXED_BYTES, Sense};
use storage_protocol::test_support::{PACKETS, fuzz_decode};
use storage_protocol::{
    Address, DecodeError, Direction, Message, NtStatus, Operation, Packet, Properties, ScsiRequest,
    ScsiResponse, ScsiStatus, SrbStatus, Version,
};

fn vector(name: &str) -> (Version, &'static [u8]) {
    let found = PACKETS.iter().find(|(known, ..)| *known == name).unwrap();
    (found.1, found.2)
}

#[track_caller]
fn check(name: &str, decode: fn(&[u8]) -> Result<Packet, DecodeError>, packet: Packet) {
    let (version, bytes) = vector(name);
    assert_eq!(decode(bytes), Ok(packet), "{name} decoded");
    let mut buffer = [0xaa; 64];
    assert_eq!(packet.encode(version, &mut buffer), bytes, "{name} encoded");
}

#[test]
fn known_packets_both_ways() {
    check("begin", Packet::decode, Packet::request(Message::BeginInitialization));
    let version = Message::QueryProtocolVersion { version: Version::WINDOWS_10, revision: 0 };
    check("version 6.2", Packet::decode, Packet::request(version));
    let refused = Packet::notice(Message::Completion(NtStatus::REVISION_MISMATCH));
    check("version refused", Packet::decode, refused);
    check("version refused", Packet::decode_properties_completion, refused);
    let properties = Properties { max_sub_channels: 0, max_transfer_bytes: 0x4_0000 };
    let completion = Packet::notice(Message::PropertiesCompletion(properties));
    check("properties", Packet::decode_properties_completion, completion);
    let mut cdb = [0; 16];
    cdb[..10].copy_from_slice(&[0x28, 0, 1, 2, 3, 4, 0, 0, 8, 0]);
    let request = ScsiRequest {
        address: Address::lun(2),
        cdb,
        cdb_length: 10,
        sense_length: 20,
        direction: Direction::Read,
        transfer_length: 4096,
    };
    for name in ["read", "read 4.2"] {
        check(name, Packet::decode, Packet::request(Message::ExecuteSrb(request)));
    }
    assert_eq!(Command::decode(&cdb, 10), Ok(Command::Read { block: 0x0102_0304, count: 8 }));
    let response = ScsiResponse {
        address: Address::lun(2),
        srb_status: SrbStatus::ERROR_WITH_SENSE,
        scsi_status: ScsiStatus::CHECK_CONDITION,
        transfer_length: 0,
        sense: Sense::WRITE_ERROR.to_bytes(),
        sense_length: FIXED_BYTES,
    };
    let failed = Packet::notice(Message::ScsiCompletion(response));
    check("write failed", Packet::decode_scsi_completion, failed);
    check("enumerate", Packet::decode, Packet::notice(Message::EnumerateBus));
}

#[test]
fn what_is_cut_off_is_refused_where_it_matters() {
    for (name, needed) in [("begin", 12), ("version 6.2", 16), ("read", 48), ("read 4.2", 48)] {
        let (_, bytes) = vector(name);
        for length in 0..needed {
            let refused = Packet::decode(&bytes[..length]);
            assert!(matches!(refused, Err(DecodeError::TooShort { .. })), "{name} {length}: {refused:?}");
        }
        assert!(Packet::decode(&bytes[..needed]).is_ok(), "{name}");
    }
}

#[test]
fn commands_that_are_none_are_refused() {
    let with = |at: usize, value: u8| {
        let mut bytes = vector("read").1.to_vec();
        bytes[at] = value;
        Packet::decode(&bytes)
    };
    assert_eq!(with(20, 0), Err(DecodeError::CdbLength { length: 0 }));
    assert_eq!(with(20, 17), Err(DecodeError::CdbLength { length: 17 }));
    assert_eq!(with(22, 3), Err(DecodeError::Direction { found: 3 }));
    assert_eq!(with(0, 99).unwrap().message, Message::Unknown(Operation(99)));
}

fn nearly_a_packet() -> impl Strategy<Value = Vec<u8>> {
    let changed = (0..PACKETS.len(), prop::collection::vec((0..64usize, any::<u8>()), 0..6));
    let changed = changed.prop_map(|(which, changes)| {
        let mut bytes = PACKETS[which].2.to_vec();
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes
    });
    prop_oneof![changed, prop::collection::vec(any::<u8>(), 0..80)]
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in nearly_a_packet()) {
        fuzz_decode(&bytes);
    }
}
