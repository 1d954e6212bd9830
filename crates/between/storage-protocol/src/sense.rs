//! Sense data: why a SCSI command failed.

use core::fmt;

use crate::SENSE_BYTES;

/// Bytes of sense data in fixed format (documented: SPC-4).
pub const FIXED_BYTES: u8 = 18;

/// A reason: sense key, additional code and its qualifier.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sense {
    /// Sense key.
    pub key: u8,
    /// Additional sense code.
    pub code: u8,
    /// Its qualifier.
    pub qualifier: u8,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $key:literal, $code:literal, $qualifier:literal, $text:literal;)*) => {
        impl Sense {
            $($(#[$doc])* pub const $name: Self = Self { key: $key, code: $code, qualifier: $qualifier };)*

            /// The reason in words, if it is known.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match (self.key, self.code, self.qualifier) {
                    $(($key, $code, $qualifier) => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

reasons! {
    /// Nothing.
    NONE = 0, 0, 0, "NO SENSE";
    /// The disk could not be written.
    WRITE_ERROR = 3, 0x0c, 0, "MEDIUM ERROR, WRITE ERROR";
    /// The disk could not be read.
    READ_ERROR = 3, 0x11, 0, "MEDIUM ERROR, UNRECOVERED READ ERROR";
    /// The command is not known.
    INVALID_OPCODE = 5, 0x20, 0, "ILLEGAL REQUEST, INVALID COMMAND OPERATION CODE";
    /// Blocks beyond the disk.
    OUT_OF_RANGE = 5, 0x21, 0, "ILLEGAL REQUEST, LOGICAL BLOCK ADDRESS OUT OF RANGE";
    /// A field of the command makes no sense.
    INVALID_FIELD = 5, 0x24, 0, "ILLEGAL REQUEST, INVALID FIELD IN CDB";
    /// There is no such unit.
    NO_SUCH_UNIT = 5, 0x25, 0, "ILLEGAL REQUEST, LOGICAL UNIT NOT SUPPORTED";
    /// The parameters that came with the command make no sense.
    INVALID_PARAMETER = 5, 0x26, 0, "ILLEGAL REQUEST, INVALID FIELD IN PARAMETER LIST";
    /// Other disks are there than before.
    LUNS_CHANGED = 6, 0x3f, 0x0e, "UNIT ATTENTION, REPORTED LUNS DATA HAS CHANGED";
    /// The disk is not to be written.
    WRITE_PROTECTED = 7, 0x27, 0, "DATA PROTECT, WRITE PROTECTED";
}

impl Sense {
    /// Sense data in fixed format.
    #[must_use]
    pub fn to_bytes(self) -> [u8; SENSE_BYTES] {
        let mut bytes = [0; SENSE_BYTES];
        bytes[0] = 0x70;
        bytes[2] = self.key;
        bytes[7] = FIXED_BYTES - 8;
        bytes[12] = self.code;
        bytes[13] = self.qualifier;
        bytes
    }

    /// Reads sense data, in fixed or in descriptor format.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let at = |index: usize| bytes.get(index).copied();
        match at(0)? & 0x7f {
            0x70 | 0x71 => {
                Some(Self { key: at(2)? & 0xf, code: at(12).unwrap_or(0), qualifier: at(13).unwrap_or(0) })
            }
            0x72 | 0x73 => Some(Self { key: at(1)? & 0xf, code: at(2)?, qualifier: at(3)? }),
            _ => None,
        }
    }
}

impl fmt::Display for Sense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "sense {:x}/{:02x}/{:02x}", self.key, self.code, self.qualifier),
        }
    }
}

impl fmt::Debug for Sense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_read() {
        let written = Sense::WRITE_ERROR.to_bytes();
        assert_eq!(written[..14], [0x70, 0, 3, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x0c, 0]);
        assert_eq!(Sense::parse(&written), Some(Sense::WRITE_ERROR));
        assert_eq!(Sense::parse(&[0x72, 6, 0x3f, 0x0e]), Some(Sense::LUNS_CHANGED));
        assert_eq!(Sense::parse(&[0x72, 6]), None);
        assert_eq!(Sense::parse(&[]), None);
        assert_eq!(Sense::parse(&[0; 20]), None);
    }
}
