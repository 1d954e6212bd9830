//! The host's side of one guest: the part that Hyper-V's VMBus provider has in the parent partition.
//!
//! Its answers were compared with the sources of OpenVMM's server and of QEMU, with what Linux' `drivers/hv` waits for, and
//! with unmodified Linux guests; not with Hyper-V itself, of which no trace is public.
//!
//! # How to drive it
//! - What the guest posts goes to [`Server::message`], with the connection id it was posted to.
//! - Every call appends [`Output`]s; the owner carries them out **in order**.
//! - [`Output::EstablishGpadl`] and [`Output::Open`] are questions with a [`RequestId`]. The owner answers, at once or
//!   later, with [`Server::gpadl_result`] and [`Server::open_result`]. Answers to a question that has been overtaken
//!   (closed, torn down, contact renewed) are ignored: ids of channels and GPADLs come back, request ids never do.
//! - [`Output::Close`] and [`Output::ReleaseGpadl`] are orders, effective at once, and also withdraw a question not yet
//!   answered. Every `Open` is followed by one `Close` unless it was answered with a failure; `EstablishGpadl` and
//!   `ReleaseGpadl` likewise. Whatever the guest does, no GPADL is released while a channel is open on it.
//! - [`Output::Reset`] voids everything agreed: messages still queued for the guest are dropped.
//!
//! ```
//! use vmbus::control::message::{Body, InitiateContact, MessageType};
//! use vmbus::control::server::{Output, Offer, Server, ServerConfig};
//! use vmbus::control::{DYNAMIC_MEMORY_CLASS, DYNAMIC_MEMORY_INSTANCE, Uuid, PostStatus, Version};
//!
//! let mut server = Server::new(ServerConfig::default());
//! let mut outputs = Vec::new();
//! let relid = server.offer(Offer::new(DYNAMIC_MEMORY_CLASS, DYNAMIC_MEMORY_INSTANCE), &mut outputs)?;
//! assert_eq!(relid.get(), 1);
//! let contact = InitiateContact::with_interrupt_page(Version::WIN10, 0, 0, [0, 0]).to_payload();
//! assert_eq!(server.message(4, &contact, &mut outputs), PostStatus::InvalidConnectionId);
//! assert_eq!(server.message(1, &contact, &mut outputs), PostStatus::Success);
//! assert_eq!(server.version(), Some(Version::WIN10));
//! assert!(matches!(outputs[..], [Output::Reset, Output::Contact { .. }, Output::Post(_)]));
//! # Ok::<(), vmbus::control::server::OfferError>(())
//! ```

mod channels;
mod contact;
mod gpadls;
mod saved;
#[cfg(test)]
mod tests;
mod violation;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use super::message::{Body, Message, MessageType, Payload, TlConnectResult, UserData};
pub use super::queue::{HostMessage, MessageTarget};
use super::{CONTACT_CONNECTION_ID, CONTACT_CONNECTION_ID_V5, GpadlId, PostStatus, Relid, Uuid, Version};
pub use channels::OfferError;
pub use saved::{RestoreError, SAVED_FORMAT, SavedState};
pub use violation::Violation;

/// How a host treats one guest.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ServerConfig {
    /// The newest version agreed to. 4.0 unless said otherwise; beyond 5.3 counts as 5.3.
    pub max_version: Version,
    /// How channels get their connection ids.
    pub connection_ids: ConnectionIds,
    /// What a guest may make the host remember.
    pub limits: Limits,
    /// Virtual processors of the guest; None if they are not known. A guest that names another one for its messages, or in
    /// MODIFYCHANNEL, is refused.
    pub processors: Option<u32>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_version: Version::WIN10,
            connection_ids: ConnectionIds::default(),
            limits: Limits::default(),
            processors: None,
        }
    }
}

impl ServerConfig {
    /// This configuration with some fields changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Whether the guest may have this processor.
    fn has_processor(&self, vp: u32) -> bool {
        vp != super::NO_INTERRUPT_VP && self.processors.is_none_or(|processors| vp < processors)
    }
}

/// Bounds on what one guest may make the host remember (invented: far above what the devices here need).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Limits {
    /// GPADLs at a time.
    pub gpadls: usize,
    /// Pages of all GPADLs together.
    pub gpadl_pages: usize,
}

impl Limits {
    /// These limits with some fields changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { gpadls: 256, gpadl_pages: 65_536 }
    }
}

/// The scheme of the connection ids with which a guest signals the host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum ConnectionIds {
    /// 16 + relid, as QEMU does (documented).
    #[default]
    SixteenPlusRelid,
    /// relid, SINT and VTL packed: relid | 2 << 12, as OpenVMM does (documented).
    Packed,
}

impl ConnectionIds {
    /// The connection id for this channel.
    pub const fn for_channel(self, relid: Relid) -> u32 {
        match self {
            Self::SixteenPlusRelid => 16 + relid.get(),
            Self::Packed => relid.get() | (super::VMBUS_SINT as u32) << 12,
        }
    }
}

/// A channel to be offered.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Offer {
    /// Class of the device.
    pub class: Uuid,
    /// Which device of the class.
    pub instance: Uuid,
    /// 0 for a device's primary channel.
    pub subchannel_index: u16,
    /// Channel flags; see [`super::message::offer_flags`].
    pub flags: u16,
    /// Memory-mapped I/O space wanted, MiB.
    pub mmio_mib: u16,
    /// The device's own.
    pub user_defined: UserData,
}

impl Offer {
    /// This offer with some fields changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// A primary channel without further wishes.
    pub const fn new(class: Uuid, instance: Uuid) -> Self {
        Self { class, instance, subchannel_index: 0, flags: 0, mmio_mib: 0, user_defined: UserData::ZERO }
    }
}

/// The name of a question to the owner. Never used twice by a server, restored ones included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// How a guest opened a channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Rings {
    /// The established list with both rings.
    pub gpadl: GpadlId,
    /// Page of the list at which the downstream (host to guest) ring begins. Both rings have two pages at least.
    pub downstream_offset: u32,
    /// The VP to interrupt; not checked. [`super::NO_INTERRUPT_VP`] for none.
    pub target_vp: u32,
    /// The driver's own.
    pub user_data: UserData,
}

/// What the owner shall do, in the order given.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Output {
    /// Queue this message for the guest's slot.
    Post(HostMessage),
    /// Get hold of these guest pages; answer with [`Server::gpadl_result`].
    EstablishGpadl {
        /// Name of the question.
        request: RequestId,
        /// The channel the list is for.
        relid: Relid,
        /// The guest's name for the list.
        gpadl: GpadlId,
        /// Guest page numbers, in order; not checked against the guest's memory.
        pages: Vec<u64>,
    },
    /// Let go of the list's pages. The pages are the guest's again when the next output is carried out.
    ReleaseGpadl {
        /// The channel the list was for.
        relid: Relid,
        /// The list.
        gpadl: GpadlId,
    },
    /// Start using the rings; answer with [`Server::open_result`].
    Open {
        /// Name of the question.
        request: RequestId,
        /// The channel.
        relid: Relid,
        /// Where the rings are, and who is to be interrupted.
        rings: Rings,
    },
    /// Stop using the rings: the next outputs may give their pages back.
    Close {
        /// The channel.
        relid: Relid,
    },
    /// Interrupt another VP from now on.
    Retarget {
        /// The channel, which is open, with interrupts on.
        relid: Relid,
        /// The VP, one of [`ServerConfig::processors`].
        target_vp: u32,
    },
    /// The guest has let go of a rescinded channel: its id is free.
    Released {
        /// The channel that was.
        relid: Relid,
    },
    /// Nothing agreed before holds any more: drop the messages queued for the guest.
    Reset,
    /// A version was agreed.
    Contact {
        /// The version.
        version: Version,
        /// Where the guest's messages go.
        target: MessageTarget,
        /// What preceded it.
        origin: ContactOrigin,
    },
    /// The guest has taken its leave: what it knew is gone, and the next contact is a new guest's.
    Unloaded,
    /// The guest broke a rule. What it asked for was not done.
    Violation(Violation),
    /// The guest used a message this host does not have; the message was ignored.
    Unsupported(MessageType),
}

/// What preceded a contact: this says whether the guest may still know what it agreed with its devices.
///
/// A driver that is unbound and bound again makes no contact at all: its channel is closed and opened. UNLOAD is what Linux
/// sends when a kernel ends (kexec, panic with a crash kernel, hibernation; from 3.0 on) or the module leaves (documented).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum ContactOrigin {
    /// The first contact since the virtual machine was started or reset.
    First,
    /// The guest had sent UNLOAD: this is another kernel, which knows of nothing that the last one was told or gave away.
    AfterUnload,
    /// There was contact, and no UNLOAD: firmware has handed over to an operating system, or a kernel ended without a word.
    Renewed,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum ChannelState {
    /// The guest does not know the channel: it was not told, or has released the channel.
    Unannounced,
    /// Offered, not open.
    Closed,
    /// The owner has not answered.
    Opening { request: RequestId, open_id: u32, rings: Rings },
    /// In use.
    Open { rings: Rings },
    /// Gone on the host's side; the guest has not released it.
    Rescinded,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Channel {
    offer: Offer,
    state: ChannelState,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum GpadlState {
    /// Pages are still to come.
    Assembling { announced: usize },
    /// All came; the owner has not answered.
    Establishing { request: RequestId },
    /// The owner has the pages.
    Ready,
    /// Too large: the rest of its pages is swallowed, then it is refused.
    Refusing { missing: usize },
    /// For a rescinded channel: the guest was told that the list is created, the owner was told nothing.
    Acknowledged,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Gpadl {
    relid: Relid,
    pages: Vec<u64>,
    state: GpadlState,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Contact {
    version: Version,
    target: MessageTarget,
    offers_requested: bool,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct State {
    contact: Option<Contact>,
    /// What precedes the next contact.
    before: ContactOrigin,
    channels: BTreeMap<Relid, Channel>,
    gpadls: BTreeMap<GpadlId, Gpadl>,
    next_request: u64,
}

impl State {
    fn new() -> Self {
        Self {
            contact: None,
            before: ContactOrigin::First,
            channels: BTreeMap::new(),
            gpadls: BTreeMap::new(),
            next_request: 0,
        }
    }
}

/// What a channel is doing, for who looks from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ChannelStatus {
    /// The guest does not know of it: it has not been told, or has released the channel. The channel is offered when the
    /// guest makes contact anew.
    Unannounced,
    /// Offered, not open.
    Closed,
    /// The owner has been asked to open it.
    Opening(RequestId, Rings),
    /// Open like this (the VP as modified since).
    Open(Rings),
    /// Rescinded, not yet released by the guest.
    Rescinded,
}

/// The host's side of one guest.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Server {
    config: ServerConfig,
    state: State,
    #[cfg(test)]
    pub(crate) sabotage: Sabotage,
}

/// A check to be left out, so that tests can show that they would notice.
#[cfg(test)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Sabotage {
    #[default]
    None,
    ReleaseGpadlInUse,
    FreeRelidAtRescind,
    BelieveStaleAnswers,
    ForgetToAnswerClosedOpen,
    SilentWhenRescinded,
}

impl Server {
    /// A guest that has not made contact, without channels.
    pub fn new(config: ServerConfig) -> Self {
        Self {
            config,
            state: State::new(),
            #[cfg(test)]
            sabotage: Sabotage::None,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// The version agreed, while there is contact.
    pub fn version(&self) -> Option<Version> {
        self.state.contact.as_ref().map(|contact| contact.version)
    }

    /// Where the guest's messages go, while there is contact.
    pub fn message_target(&self) -> Option<MessageTarget> {
        self.state.contact.as_ref().map(|contact| contact.target)
    }

    /// The connection ids to register with the hypervisor: posts to any other id fail there with
    /// [`PostStatus::InvalidConnectionId`], which is what makes a guest try the next version.
    pub fn connection_ids(&self) -> &'static [u32] {
        if self.config.max_version.names_its_connection() {
            &[CONTACT_CONNECTION_ID, CONTACT_CONNECTION_ID_V5]
        } else {
            &[CONTACT_CONNECTION_ID]
        }
    }

    /// The guest posted these bytes to this connection id. The result is the hypercall's, for who can return it.
    pub fn message(&mut self, connection_id: u32, bytes: &[u8], out: &mut Vec<Output>) -> PostStatus {
        if !self.connection_ids().contains(&connection_id) {
            return PostStatus::InvalidConnectionId;
        }
        let handled = match Message::decode(bytes) {
            Ok(message) => self.handle(connection_id, &message, out),
            Err(error) => Err(Violation::Malformed(error)),
        };
        if let Err(violation) = handled {
            out.push(Output::Violation(violation));
        }
        PostStatus::Success
    }

    fn handle(
        &mut self,
        connection_id: u32,
        message: &Message<'_>,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let kind = message.kind();
        match message {
            Message::InitiateContact(contact) => return self.initiate_contact(connection_id, contact, out),
            Message::Unload => {
                self.unload(out);
                return Ok(());
            }
            _ if kind.is_from_host() => return Err(Violation::WrongDirection(kind)),
            _ => {}
        }
        let Some(contact) = &self.state.contact else { return Err(Violation::NotConnected(kind)) };
        let version = contact.version;
        let expected = contact_connection(version);
        if connection_id != expected {
            return Err(Violation::WrongConnection { kind, connection_id, expected });
        }
        match message {
            Message::RequestOffers => self.request_offers(out),
            Message::OpenChannel(open) => self.open_channel(open, out),
            Message::CloseChannel(close) => self.close_channel(close, out),
            Message::RelidReleased(released) => self.relid_released(released, out),
            Message::ModifyChannel(modify) => self.modify_channel(version, modify, out),
            Message::GpadlHeader(header) => self.gpadl_header(header, out),
            Message::GpadlBody(body) => self.gpadl_body(body, out),
            Message::GpadlTeardown(teardown) => self.gpadl_teardown(teardown, out),
            Message::TlConnectRequest(request) if version.answers_tl_connect() => {
                // There are no Hyper-V sockets here.
                self.post(&TlConnectResult::refused(request), out);
                Ok(())
            }
            _ => {
                out.push(Output::Unsupported(kind));
                Ok(())
            }
        }
    }

    /// The virtual machine was reset or is switched off: everything is closed and released, nothing is said.
    pub fn reset(&mut self, out: &mut Vec<Output>) {
        self.forget_agreed(out);
        self.state.before = ContactOrigin::First;
    }

    /// Nothing agreed holds any more.
    fn forget_agreed(&mut self, out: &mut Vec<Output>) {
        // Channels first: no list is released while a channel is open on it.
        for (&relid, channel) in &self.state.channels {
            if matches!(channel.state, ChannelState::Opening { .. } | ChannelState::Open { .. }) {
                out.push(Output::Close { relid });
            }
        }
        for (gpadl, list) in core::mem::take(&mut self.state.gpadls) {
            if list.is_with_owner() {
                out.push(Output::ReleaseGpadl { relid: list.relid, gpadl });
            }
        }
        // A guest that makes contact anew knows of no rescinded channel, and so will not release any.
        self.state.channels.retain(|_, channel| channel.state != ChannelState::Rescinded);
        for channel in self.state.channels.values_mut() {
            channel.state = ChannelState::Unannounced;
        }
        self.state.contact = None;
        out.push(Output::Reset);
    }

    fn post<B: Body>(&self, body: &B, out: &mut Vec<Output>) {
        self.post_payload(body.to_payload(), out);
    }

    fn post_payload(&self, payload: Payload, out: &mut Vec<Output>) {
        if let Some(target) = self.message_target() {
            out.push(Output::Post(HostMessage { target, payload }));
        }
    }

    fn next_request(&mut self) -> RequestId {
        let request = RequestId(self.state.next_request);
        self.state.next_request = self.state.next_request.wrapping_add(1);
        request
    }

    /// Renames questions and forgets what precedes the next contact; for explorations, which must not tell states apart by how
    /// often something was asked, or by what changes nothing but a name.
    #[cfg(test)]
    pub(crate) fn make_canonical(&mut self, next: u64, rename: impl Fn(RequestId) -> RequestId) {
        self.state.before = ContactOrigin::First;
        self.state.next_request = next;
        for channel in self.state.channels.values_mut() {
            if let ChannelState::Opening { request, .. } = &mut channel.state {
                *request = rename(*request);
            }
        }
        for list in self.state.gpadls.values_mut() {
            if let GpadlState::Establishing { request } = &mut list.state {
                *request = rename(*request);
            }
        }
    }

    /// The question to which an answer is taken to belong: its own, unless sabotaged.
    #[cfg(test)]
    fn believed(&self, answered: RequestId, open: Vec<RequestId>) -> RequestId {
        if open.contains(&answered) || !self.is_sabotaged(Sabotage::BelieveStaleAnswers) {
            return answered;
        }
        open.into_iter().next().unwrap_or(answered)
    }

    #[cfg(test)]
    fn is_sabotaged(&self, sabotage: Sabotage) -> bool {
        self.sabotage == sabotage
    }
}

/// The connection id for messages of a guest that speaks this version.
fn contact_connection(version: Version) -> u32 {
    if version.names_its_connection() { CONTACT_CONNECTION_ID_V5 } else { CONTACT_CONNECTION_ID }
}
