//! Messages by meaning.

use crate::{MessageType, Version, WireRange};

/// One DM message with its transaction number: the payload of one VMBus packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Number of the transaction. Answers to VERSION_REQUEST and CAPABILITIES_REPORT echo it; the Linux driver never
    /// echoes a host's, so requests are matched to answers by type and state.
    pub trans_id: u32,
    /// What is said.
    pub message: Message<'a>,
}

/// What a message says. Reserved bits are ignored when read and zero when written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// ERROR: the bytes after the header, whose layout is not known.
    Error(&'a [u8]),
    /// VERSION_REQUEST.
    VersionRequest(VersionRequest),
    /// VERSION_RESPONSE.
    VersionResponse(VersionResponse),
    /// CAPABILITIES_REPORT.
    CapabilitiesReport(CapabilitiesReport),
    /// CAPABILITIES_RESPONSE.
    CapabilitiesResponse(CapabilitiesResponse),
    /// STATUS_REPORT.
    StatusReport(StatusReport),
    /// BALLOON_REQUEST.
    BalloonRequest(BalloonRequest),
    /// BALLOON_RESPONSE.
    BalloonResponse(BalloonResponse<'a>),
    /// UNBALLOON_REQUEST.
    UnballoonRequest(UnballoonRequest<'a>),
    /// UNBALLOON_RESPONSE: the header says it all.
    UnballoonResponse,
    /// MEM_HOT_ADD_REQUEST.
    HotAddRequest(HotAddRequest),
    /// MEM_HOT_ADD_RESPONSE.
    HotAddResponse(HotAddResponse),
    /// INFO_MESSAGE.
    InfoMessage(InfoMessage<'a>),
    /// MEM_HOT_REMOVE_REQUEST.
    HotRemoveRequest(HotRemoveRequest),
    /// MEM_HOT_REMOVE_RESPONSE.
    HotRemoveResponse(HotRemoveResponse<'a>),
    /// A type that is not known, as it came.
    Unknown(UnknownMessage<'a>),
}

impl Message<'_> {
    /// The type that is on the wire for it.
    #[inline]
    #[must_use]
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::Error(_) => MessageType::ERROR,
            Self::VersionRequest(_) => MessageType::VERSION_REQUEST,
            Self::VersionResponse(_) => MessageType::VERSION_RESPONSE,
            Self::CapabilitiesReport(_) => MessageType::CAPABILITIES_REPORT,
            Self::CapabilitiesResponse(_) => MessageType::CAPABILITIES_RESPONSE,
            Self::StatusReport(_) => MessageType::STATUS_REPORT,
            Self::BalloonRequest(_) => MessageType::BALLOON_REQUEST,
            Self::BalloonResponse(_) => MessageType::BALLOON_RESPONSE,
            Self::UnballoonRequest(_) => MessageType::UNBALLOON_REQUEST,
            Self::UnballoonResponse => MessageType::UNBALLOON_RESPONSE,
            Self::HotAddRequest(_) => MessageType::MEM_HOT_ADD_REQUEST,
            Self::HotAddResponse(_) => MessageType::MEM_HOT_ADD_RESPONSE,
            Self::InfoMessage(_) => MessageType::INFO_MESSAGE,
            Self::HotRemoveRequest(_) => MessageType::MEM_HOT_REMOVE_REQUEST,
            Self::HotRemoveResponse(_) => MessageType::MEM_HOT_REMOVE_RESPONSE,
            Self::Unknown(unknown) => unknown.message_type,
        }
    }
}

/// A guest proposes a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRequest {
    /// The version proposed.
    pub version: Version,
    /// The guest gives up if this one is refused.
    pub is_last_attempt: bool,
}

/// A host's answer to [`VersionRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionResponse {
    /// The version is spoken from now on.
    pub is_accepted: bool,
}

/// What a guest can do, as one word of bits; bits without a meaning are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    const BALLOON: u64 = 1;
    const HOT_ADD: u64 = 1 << 1;
    const ALIGNMENT_SHIFT: u32 = 2;
    const ALIGNMENT_MASK: u64 = 0xf;
    const HOT_REMOVE: u64 = 1 << 6;

    /// Balloon and hot-add as said, with hot-added memory aligned to `1 << hot_add_alignment` MiB (0–15; only the low
    /// four bits count).
    #[must_use]
    pub const fn new(balloon: bool, hot_add: bool, hot_add_alignment: u32) -> Self {
        let alignment = (hot_add_alignment as u64 & Self::ALIGNMENT_MASK) << Self::ALIGNMENT_SHIFT;
        Self((balloon as u64 * Self::BALLOON) | (hot_add as u64 * Self::HOT_ADD) | alignment)
    }

    /// The guest can give pages away.
    #[must_use]
    pub const fn balloon(self) -> bool {
        self.0 & Self::BALLOON != 0
    }

    /// The guest can take new memory.
    #[must_use]
    pub const fn hot_add(self) -> bool {
        self.0 & Self::HOT_ADD != 0
    }

    /// Hot-added memory must begin at, and be, a multiple of `1 << hot_add_alignment()` MiB: 0–15, so 1 MiB to 32 GiB.
    #[must_use]
    pub const fn hot_add_alignment(self) -> u32 {
        (self.0 >> Self::ALIGNMENT_SHIFT & Self::ALIGNMENT_MASK) as u32
    }

    /// The guest can take memory away again (2.0).
    #[must_use]
    pub const fn hot_remove(self) -> bool {
        self.0 & Self::HOT_REMOVE != 0
    }
}

/// A guest says what it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapabilitiesReport {
    /// What it can do.
    pub capabilities: Capabilities,
    /// Pages that it needs at least. Guests send 0, hosts ignore it (documented: Linux).
    pub min_page_count: u64,
    /// Highest page number that can be hot-added. Guests send `u64::MAX`, hosts ignore it (documented: Linux).
    pub max_page_number: u64,
}

/// A host's answer to [`CapabilitiesReport`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilitiesResponse {
    /// What the guest can do is enough; otherwise it ends its service.
    pub is_accepted: bool,
    /// The host may ask for hot-remove (2.0).
    pub hot_remove: bool,
    /// The host does not want status reports (2.0). The Linux driver sends them all the same.
    pub suppress_pressure_reports: bool,
}

/// A guest's memory pressure, all in pages. These are claims: nothing in them is to be believed without limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusReport {
    /// Available pages.
    pub available: u64,
    /// Committed pages; includes what is ballooned and what is hot-added but not online.
    pub committed: u64,
    /// Total size of all page files.
    pub page_file_size: u64,
    /// Zeroed and free pages.
    pub zero_free: u64,
    /// Pages written to page files since the guest booted, the low 32 bits.
    pub page_file_writes: u32,
    /// File-cache page faults less page reads since the guest booted, the low 32 bits.
    pub io_diff: u32,
}

/// A host asks a guest to give pages away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalloonRequest {
    /// Pages asked for; at most [`crate::MAX_BALLOON_REQUEST_PAGES`] are honoured.
    pub num_pages: u32,
}

/// The pages that a guest gives away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalloonResponse<'a> {
    /// Another response follows for the same request.
    pub more_pages: bool,
    /// The pages; the last response may have none.
    pub ranges: &'a [WireRange],
}

/// A host returns pages that the guest gave away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnballoonRequest<'a> {
    /// Another request of the same transaction follows, and the guest answers only the last.
    pub more_pages: bool,
    /// The pages.
    pub ranges: &'a [WireRange],
}

/// A host offers new memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotAddRequest {
    /// The pages to add.
    pub range: WireRange,
    /// The region that they are part of; `None` for the short form of the message.
    pub region: Option<WireRange>,
}

/// How much of the memory offered a guest took.
///
/// Fewer pages than offered is an upper barrier; 0 pages with result 1 is a refusal for good, 0 pages with result 0 one
/// for now (documented: Linux).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotAddResponse {
    /// Pages added, from the start of the range.
    pub page_count: u32,
    /// 1 success, 0 failure.
    pub result: u32,
}

/// Facts that a host tells (1.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InfoMessage<'a> {
    /// The most pages that the VM can ever have.
    MaxPageCount(u64),
    /// Something else.
    Other {
        /// What it is; not 0.
        info_type: u32,
        /// The data.
        data: &'a [u8],
    },
}

/// A host asks for memory to be removed (2.0). Known, not used by this project's host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotRemoveRequest {
    /// Virtual NUMA node to take pages from.
    pub virtual_node: u32,
    /// Pages asked for.
    pub page_count: u32,
    /// Bit 0: large pages; bit 1: local to the node.
    pub qos_flags: u32,
}

/// The memory that a guest removed (2.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotRemoveResponse<'a> {
    /// Its meaning is contradictory in the sources: any range means success whatever it says.
    pub result: u32,
    /// Another response follows for the same request.
    pub more_pages: bool,
    /// The pages removed.
    pub ranges: &'a [WireRange],
}

/// A message of a type that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownMessage<'a> {
    /// The type; not one of the known ones.
    pub message_type: MessageType,
    /// The bytes after the header.
    pub body: &'a [u8],
}
