//! GUIDs, in the mixed-endian form in which Windows writes them.

#[cfg(feature = "serde")]
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

#[cfg(feature = "serde")]
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A GUID, held as its 16 wire bytes: the first three fields little-endian, the last eight bytes as they are printed.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(transparent)]
pub struct Guid([u8; 16]);

/// A text that is not a GUID of the form `525074dc-8985-46e2-8057-a307dc18a502`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a GUID: expected 8-4-4-4-12 hexadecimal digits, braces optional")]
pub struct ParseGuidError;

/// The wire position of each byte as it is printed (documented: the first three fields are little-endian integers).
const PRINTED_ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

impl Guid {
    /// All bytes zero.
    pub const NIL: Self = Self([0; 16]);
    /// The class (interface type) of the Dynamic Memory device (documented).
    pub const DYNAMIC_MEMORY: Self =
        Self::from_fields(0x5250_74dc, 0x8985, 0x46e2, [0x80, 0x57, 0xa3, 0x07, 0xdc, 0x18, 0xa5, 0x02]);
    /// The instance of the Dynamic Memory device in every VM of Hyper-V (documented by guests' device lists).
    pub const DYNAMIC_MEMORY_INSTANCE: Self =
        Self::from_fields(0x1ecc_fd72, 0x4b41, 0x45ef, [0xb7, 0x3a, 0x4a, 0x6e, 0x44, 0xc1, 0x29, 0x24]);

    /// From the fields as they are printed: `data1-data2-data3-data4[0..2]-data4[2..8]`.
    pub const fn from_fields(data1: u32, data2: u16, data3: u16, data4: [u8; 8]) -> Self {
        let a = data1.to_le_bytes();
        let b = data2.to_le_bytes();
        let c = data3.to_le_bytes();
        let d = data4;
        Self([a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]])
    }

    /// From the 16 bytes on the wire.
    pub const fn from_wire(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes on the wire.
    pub const fn to_wire(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (printed, at) in PRINTED_ORDER.into_iter().enumerate() {
            if matches!(printed, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{:02x}", self.0[at])?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

impl FromStr for Guid {
    type Err = ParseGuidError;

    fn from_str(text: &str) -> Result<Self, ParseGuidError> {
        let text = match text.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}').ok_or(ParseGuidError)?,
            None => text,
        };
        if text.len() != 36 {
            return Err(ParseGuidError);
        }
        let mut digits = [0u8; 32];
        let mut count = 0;
        for (at, c) in text.bytes().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if c != b'-' {
                    return Err(ParseGuidError);
                }
                continue;
            }
            let digit = char::from(c).to_digit(16).ok_or(ParseGuidError)?;
            *digits.get_mut(count).ok_or(ParseGuidError)? =
                u8::try_from(digit).map_err(|_| ParseGuidError)?;
            count += 1;
        }
        let mut wire = [0u8; 16];
        for (pair, at) in digits.chunks_exact(2).zip(PRINTED_ORDER) {
            wire[at] = pair[0] << 4 | pair[1];
        }
        Ok(Self(wire))
    }
}

#[cfg(feature = "serde")]
impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> Deserialize<'de> for Guid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_wire_form_is_mixed_endian() {
        let wire =
            [0xdc, 0x74, 0x50, 0x52, 0x85, 0x89, 0xe2, 0x46, 0x80, 0x57, 0xa3, 0x07, 0xdc, 0x18, 0xa5, 0x02];
        assert_eq!(Guid::DYNAMIC_MEMORY.to_wire(), wire);
        assert_eq!(Guid::DYNAMIC_MEMORY.to_string(), "525074dc-8985-46e2-8057-a307dc18a502");
        assert_eq!("{1ECCFD72-4b41-45ef-b73a-4a6e44c12924}".parse(), Ok(Guid::DYNAMIC_MEMORY_INSTANCE));
    }

    #[test]
    fn what_is_no_guid_is_refused() {
        for text in [
            "",
            "{",
            "{}",
            "525074dc-8985-46e2-8057-a307dc18a50",
            "525074dc-8985-46e2-8057-a307dc18a50g",
            "525074dc08985-46e2-8057-a307dc18a502",
            "{525074dc-8985-46e2-8057-a307dc18a502",
            "525074dc-8985-46e2-8057-a307dc18é02",
        ] {
            assert_eq!(text.parse::<Guid>(), Err(ParseGuidError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_and_serde_round_trip(wire: [u8; 16]) {
            let guid = Guid::from_wire(wire);
            prop_assert_eq!(guid.to_string().parse::<Guid>(), Ok(guid));
            let json = serde_json::to_string(&guid).unwrap();
            prop_assert_eq!(serde_json::from_str::<Guid>(&json).unwrap(), guid);
        }

        #[test]
        fn any_text_is_parsed_or_refused(text: String) {
            let _ = text.parse::<Guid>();
        }
    }
}
