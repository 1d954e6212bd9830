//! For tests and fuzzing: known bytes of packets, and what must hold for any bytes.

use crate::{Message, Packet, Version, cdb::Command};

/// Bytes of packets by name, laid out by the layouts that the header of Linux' driver documents; not recorded from a product.
#[rustfmt::skip]
pub const PACKETS: &[(&str, Version, &[u8])] = &[
    // BEGIN_INITIALIZATION
    ("begin", Version::WINDOWS_8_1, &[
        7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]),
    // QUERY_PROTOCOL_VERSION 6.2, the first that Linux tries
    ("version 6.2", Version::WINDOWS_8_1, &[
        9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]),
    // Its completion: REVISION_MISMATCH
    ("version refused", Version::WINDOWS_8_1, &[
        1, 0, 0, 0, 0, 0, 0, 0, 0x59, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]),
    // The completion of QUERY_PROPERTIES: no sub-channels, 256 KiB at once
    ("properties", Version::WINDOWS_8_1, &[
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]),
    // EXECUTE_SRB: READ(10) of 8 blocks at 0x01020304 of LUN 2, 4096 bytes
    ("read", Version::WINDOWS_8_1, &[
        3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x34, 0, 0, 0, 0, 0, 0, 2, 10, 20, 1, 0, 0, 0x10, 0, 0,
        0x28, 0, 1, 2, 3, 4, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]),
    // The same of a guest of 4.2
    ("read 4.2", Version::WINDOWS_7, &[
        3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x24, 0, 0, 0, 0, 0, 0, 2, 10, 20, 1, 0, 0, 0x10, 0, 0,
        0x28, 0, 1, 2, 3, 4, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]),
    // The completion of a write that failed: MEDIUM ERROR, WRITE ERROR
    ("write failed", Version::WINDOWS_8_1, &[
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x34, 0, 0x84, 2, 0, 0, 0, 2, 0, 18, 0, 0, 0, 0, 0, 0,
        0x70, 0, 3, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x0c, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]),
    // ENUMERATE_BUS
    ("enumerate", Version::WINDOWS_7, &[
        11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]),
];

/// Decodes any bytes in every way; what decodes is encoded, and says the same again.
///
/// # Panics
/// If it does not: that is a bug of this crate.
pub fn fuzz_decode(bytes: &[u8]) {
    let ways = [Packet::decode, Packet::decode_scsi_completion, Packet::decode_properties_completion];
    for decode in ways {
        let Ok(packet) = decode(bytes) else { continue };
        if let Message::ExecuteSrb(request) = packet.message
            && let Ok(command) = Command::decode(&request.cdb, request.cdb_length)
        {
            let (cdb, length) = command.encode();
            assert_eq!(Command::decode(&cdb, length), Ok(command));
        }
        for version in Version::SPOKEN {
            let mut buffer = [0xaa; crate::PACKET_BYTES];
            let encoded = packet.encode(version, &mut buffer);
            assert_eq!(encoded.len(), version.packet_bytes());
            assert_eq!(decode(encoded), Ok(packet));
        }
    }
}
