//! What a VSP counts.

use page_range::PageCount;

/// Counters since the VSP was made. Counters only grow; a reset of the VM does not clear them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Statistics {
    /// Messages received, of any kind.
    pub messages_received: u64,
    /// Messages handed out to be sent.
    pub messages_sent: u64,
    /// Handshakes completed.
    pub handshakes: u64,
    /// Status reports accepted.
    pub status_reports: u64,
    /// Status reports with values beyond what can be true.
    pub absurd_status_reports: u64,
    /// Messages that were dropped.
    pub ignored: u64,
    /// Balloon requests sent.
    pub balloon_requests: u64,
    /// Pages that balloon requests brought.
    pub ballooned: PageCount,
    /// Unballoon transactions begun.
    pub unballoon_requests: u64,
    /// Pages that guests took back.
    pub unballooned: PageCount,
    /// Hot-add requests sent.
    pub hot_add_requests: u64,
    /// Pages that guests accepted as hot-added.
    pub hot_added: PageCount,
    /// Operations that the guest carried out in part or not at all.
    pub short_operations: u64,
    /// Waits that exceeded their time.
    pub timeouts: u64,
    /// Answers that came after their time.
    pub late_answers: u64,
    /// Rules broken by the guest; each closed the channel.
    pub protocol_errors: u64,
}
