//! What is written to the event log when a guest breaks a rule.

use core::fmt;

use page_range::GuestRange;
use serde::{Deserialize, Serialize};

use crate::ReleaseRefused;

/// Event id of the protocol error in the Worker-Admin log (documented: Hyper-V).
pub const PROTOCOL_ERROR_EVENT: u32 = 12540;

/// A rule that a guest broke. Its channel is closed for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

#[cfg(test)]
mod tests {
    use super::*;

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
