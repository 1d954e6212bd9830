//! For tests, examples and fuzzing: known bytes of messages, and what must hold for any bytes.

pub mod vectors;

use crate::Packet;

/// Decodes any bytes; what decodes must encode again and then say the same.
///
/// # Panics
/// If it does not: that is a bug of this crate.
pub fn fuzz_decode(bytes: &[u8]) {
    let Ok(packet) = Packet::decode(bytes) else { return };
    assert!(packet.size() <= bytes.len());
    let mut buffer = [0; crate::MAX_GUEST_PAYLOAD];
    let Ok(encoded) = packet.encode(&mut buffer) else {
        // The only messages that can be read but not written are those longer than anybody may send.
        assert!(packet.size() > crate::MAX_HOST_PAYLOAD);
        return;
    };
    assert_eq!(Packet::decode(encoded), Ok(packet));
}
