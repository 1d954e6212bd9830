//! GUIDs in messages.

use uuid::Uuid;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A GUID as the 16 bytes of a message: the first three fields little-endian, the last eight bytes as printed (documented:
/// MS-DTYP, 2.3.4.2 "GUID--Packet Representation").
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(transparent)]
pub struct WireGuid([u8; 16]);

impl WireGuid {
    /// The bytes of `id` as they go into a message.
    pub const fn new(id: Uuid) -> Self {
        Self(id.to_bytes_le())
    }

    /// The identifier that these bytes are.
    pub const fn get(self) -> Uuid {
        Uuid::from_bytes_le(self.0)
    }
}

impl From<Uuid> for WireGuid {
    fn from(id: Uuid) -> Self {
        Self::new(id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::control::DYNAMIC_MEMORY_CLASS;

    #[test]
    fn the_wire_form_is_mixed_endian() {
        let wire =
            [0xdc, 0x74, 0x50, 0x52, 0x85, 0x89, 0xe2, 0x46, 0x80, 0x57, 0xa3, 0x07, 0xdc, 0x18, 0xa5, 0x02];
        assert_eq!(WireGuid::new(DYNAMIC_MEMORY_CLASS).as_bytes(), wire);
    }

    proptest! {
        #[test]
        fn all_bytes_are_an_identifier(bytes: [u8; 16]) {
            let guid = WireGuid::read_from_bytes(&bytes).unwrap();
            prop_assert_eq!(WireGuid::from(guid.get()), guid);
        }
    }
}
