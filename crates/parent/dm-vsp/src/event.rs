//! What is written to the event log when a guest breaks a rule.

use alloc::string::String;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;

use page_range::{GuestRange, PageCount};

use crate::{ProtocolVersion, ReleaseRefused};

/// Event id of the protocol error in the Worker-Admin log (documented: Hyper-V).
pub const PROTOCOL_ERROR_EVENT: u32 = 12540;

/// A rule that a guest broke. Its channel is closed for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Violation {
    /// A message claims more bytes, ranges or data than it has.
    Malformed {
        /// The decoder's words.
        error: String,
    },
    /// A balloon answer has a range without pages.
    EmptyRange,
    /// A balloon answer has pages that are not the VM's memory.
    OutsideMemory {
        /// The range.
        range: GuestRange,
    },
    /// A balloon answer has pages twice.
    Twice {
        /// The range whose pages came before in the same answer.
        range: GuestRange,
    },
    /// A balloon answer has pages that the guest gave away before.
    NotOwned {
        /// The range.
        range: GuestRange,
    },
    /// The balloon answers to a request have more pages than were asked for, rounded up to whole blocks of 2 MiB.
    MoreThanAsked {
        /// Pages asked for.
        asked: PageCount,
        /// Pages given, those of the answer that broke the rule among them.
        given: PageCount,
    },
    /// The memory map refused to release what the guest gave away.
    ReleaseRefused {
        /// Why.
        why: ReleaseRefused,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { error } => write!(f, "malformed message: {error}"),
            Self::EmptyRange => f.write_str("a balloon answer has a range without pages"),
            Self::OutsideMemory { range } => {
                write!(f, "a balloon answer has {range}, which is not its memory")
            }
            Self::Twice { range } => write!(f, "a balloon answer has {range} twice"),
            Self::NotOwned { range } => {
                write!(f, "a balloon answer has {range}, which was given away before")
            }
            Self::MoreThanAsked { asked, given } => {
                write!(f, "balloon answers have {given} where {asked} were asked for")
            }
            Self::ReleaseRefused { why } => write!(f, "pages that were given away cannot be released: {why}"),
        }
    }
}

impl Violation {
    /// The entry for the event log, in Hyper-V's words (id [`PROTOCOL_ERROR_EVENT`]), with the rule that was broken.
    #[must_use]
    pub fn event_text(&self, vm: &str, device: &str) -> String {
        format!(
            "'{vm}' device {device} experienced a protocol error indicative of a deep system problem. ({self})"
        )
    }
}

/// In words: a guest's last proposal was refused by a host that accepts these versions. Newer Linux drivers propose 2.0 alone.
#[must_use]
pub fn version_refusal(proposed: u32, accepted: &[ProtocolVersion]) -> String {
    let (major, minor) = (proposed >> 16, proposed & 0xffff);
    let accepted: Vec<String> = accepted.iter().map(|version| version.on_wire().to_string()).collect();
    format!(
        "the guest's driver proposes version {major}.{minor} of Dynamic Memory as its last, and this host speaks {}: the VM \
         keeps its startup RAM. Let the host speak {major}.{minor} too (`dynamic_memory_versions` in a scenario file), or take a \
         guest whose driver speaks an older version",
        accepted.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_both_sides_and_the_mend() {
        let text = version_refusal(0x20000, &[ProtocolVersion::V0_3]);
        assert!(text.contains("proposes version 2.0") && text.contains("this host speaks 0.3:"), "{text}");
        assert!(text.contains("Let the host speak 2.0 too"), "{text}");
    }

    #[test]
    fn the_wording_is_hyper_vs() {
        let text = Violation::EmptyRange.event_text("VM1", "Dynamic Memory");
        assert_eq!(
            text,
            "'VM1' device Dynamic Memory experienced a protocol error indicative of a deep system problem. \
             (a balloon answer has a range without pages)"
        );
    }
}
