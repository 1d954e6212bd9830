//! The guest's side: the part that `hv_vmbus` has in Linux, for the drivers above it.
//!
//! Its order of versions, its retries and its waits are those of Linux' `drivers/hv`, read in its source; that a channel's id
//! is given back only when all its answers have come is OpenVMM's client.
//!
//! # How to drive it
//! - What the host put into the message slot goes to [`Client::message`].
//! - Every call appends [`Output`]s, to be carried out in order. [`Output::Post`] is an HvPostMessage: its status goes to
//!   [`Client::post_result`], and only then comes the next post. "No buffers" is retried by [`Client::timer`] at
//!   [`Client::next_timeout`].
//! - A driver waits for the [`Output::Offer`] of its class, describes its ring with [`Client::establish_gpadl`], opens
//!   the channel when [`Output::GpadlCreated`] says so, and may use the rings from [`Output::Opened`] on.
//! - After [`Output::Rescinded`] nothing further is reported of a channel but the [`Output::GpadlTorndown`] of each of its
//!   lists. Its driver stops using the rings and calls [`Client::release`]. When the host has answered everything that it
//!   was asked of the channel, the channel's id is given back, and the host may use the id for another offer. Channels
//!   without a driver are released by the code that drives the client.
//!
//! The host is not believed: results that this guest does not wait for, impossible ids and repeated offers are reported as
//! [`Output::HostViolation`] and change nothing.

mod channels;
mod connection;
mod outbox;
mod saved;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::message::{Message, MessageError, MessageType, Payload, UserData};
use super::{GpadlId, Relid, Status, Uuid, VMBUS_SINT, Version};
pub use channels::ClientError;
use outbox::Outbox;
pub use saved::{RestoreError, SAVED_FORMAT, SavedState};

/// How a guest uses the bus.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ClientConfig {
    /// The versions to try, in this order. Those this crate does not speak are tried and not used if agreed to.
    pub versions: Vec<Version>,
    /// The VP whose message slot the host shall use.
    pub target_vp: u32,
    /// The slot (told to hosts from 5.0 on).
    pub sint: u8,
    /// Address of the interrupt page (told to hosts before 5.0; unused since 2.4).
    pub interrupt_page: u64,
    /// Addresses of the two monitor pages (unused: no channel asks for a monitor bit).
    pub monitor_pages: [u64; 2],
    /// What to do when the host takes no message now.
    pub retry: Retry,
    /// How long to wait for an answer to contact or UNLOAD. None: for ever, as Linux does (documented).
    pub reply_timeout: Option<Duration>,
}

impl ClientConfig {
    /// This configuration with some fields changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            versions: Version::SPOKEN.to_vec(),
            target_vp: 0,
            sint: VMBUS_SINT,
            interrupt_page: 0,
            monitor_pages: [0; 2],
            retry: Retry::default(),
            reply_timeout: None,
        }
    }
}

/// How a post that the host does not take now is repeated: the wait doubles from `first` to `longest`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Retry {
    /// Posts of one message before giving up (documented: 100).
    pub attempts: u32,
    /// Wait before the second (invented).
    pub first: Duration,
    /// The longest wait (invented).
    pub longest: Duration,
}

impl Retry {
    /// This repetition with some fields changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 100, first: Duration::from_millis(1), longest: Duration::from_millis(256) }
    }
}

/// A channel as the host offered it. What it says is the host's claim.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Offer {
    /// The channel's id.
    pub relid: Relid,
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
    /// The connection id with which to signal the host.
    pub connection_id: u32,
    /// Whether the host uses the channel's own event flag; if not, it would use the interrupt page.
    pub dedicated_interrupt: bool,
    /// The device's own.
    pub user_defined: UserData,
}

/// How a driver opens its channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct OpenParams {
    /// The list with both rings.
    pub gpadl: GpadlId,
    /// Page of the list at which the downstream (host to guest) ring begins.
    pub downstream_offset: u32,
    /// The VP to interrupt, [`super::NO_INTERRUPT_VP`] for none.
    pub target_vp: u32,
    /// The driver's own.
    pub user_data: UserData,
}

impl OpenParams {
    /// The rings in this list, the downstream ring from that page of the list on; interrupts on VP 0, and nothing of the
    /// driver's own.
    pub const fn new(gpadl: GpadlId, downstream_offset: u32) -> Self {
        Self { gpadl, downstream_offset, target_vp: 0, user_data: UserData::ZERO }
    }
}

/// What the owner shall do, or know, in the order given.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Output {
    /// HvPostMessage of this to that connection id; answer with [`Client::post_result`].
    Post {
        /// The connection id.
        connection_id: u32,
        /// The message.
        payload: Payload,
    },
    /// A version was agreed; offers have been requested.
    Connected(Version),
    /// There is no contact (any more). Channels and GPADLs are gone; [`Client::connect`] tries again.
    Failed(Failure),
    /// There is a channel.
    Offer(Offer),
    /// All channels there are at present have been offered.
    AllOffersDelivered,
    /// The host has the pages, or not: then the list is forgotten.
    GpadlCreated {
        /// The channel.
        relid: Relid,
        /// The list.
        gpadl: GpadlId,
        /// Success if it has them.
        status: Status,
    },
    /// The pages are the guest's again.
    GpadlTorndown(GpadlId),
    /// The channel is open, or not: then it may be opened again.
    Opened {
        /// The channel.
        relid: Relid,
        /// Success if it is open.
        status: Status,
    },
    /// The host answered [`Client::modify`] (5.3 and later).
    Modified {
        /// The channel.
        relid: Relid,
        /// Success if another VP is interrupted now.
        status: Status,
    },
    /// The channel goes away: stop using it, then call [`Client::release`].
    Rescinded(Offer),
    /// The host has forgotten us.
    Unloaded,
    /// A message could not be posted, and there is still contact: the request that it carried has failed. Its driver is told
    /// of a list, an open and a modify as if the host had refused; what a close, a teardown or a release would have given
    /// back stays the host's.
    NotPosted(PostFailure),
    /// The host broke a rule. What it sent changed nothing.
    HostViolation(HostViolation),
}

/// Why a message was not posted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum PostFailure {
    /// The host took no message however often this one was posted.
    #[error("{kind} could not be posted in {attempts} attempts: the host takes no messages")]
    HostBusy {
        /// The message.
        kind: MessageType,
        /// How often it was tried.
        attempts: u32,
    },
    /// The hypercall failed for good.
    #[error("posting {kind} failed with status {status:#x}")]
    Status {
        /// The message.
        kind: MessageType,
        /// The hypercall's status.
        status: u16,
    },
}

/// Why there is no contact.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Failure {
    /// The host refused every version.
    #[error("the host agreed to none of the versions tried")]
    NoVersion,
    /// Contact, the request for offers, or UNLOAD could not be posted.
    #[error(transparent)]
    NotPosted(#[from] PostFailure),
    /// The configured time has passed.
    #[error("the host did not answer {0}")]
    NoAnswer(MessageType),
}

/// A rule of the channel protocol that the host broke.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum HostViolation {
    /// The bytes are no message.
    #[error("the host sent what is no channel message: {0}")]
    Malformed(MessageError),
    /// Only guests send this.
    #[error("the host sent {0}, which only a guest sends")]
    WrongDirection(MessageType),
    /// A type that is not known here.
    #[error("the host sent {0}, which is not known")]
    Unknown(MessageType),
    /// The message answers a question that this guest did not ask.
    #[error("the host sent {0}, for which nobody waits")]
    NotAsked(MessageType),
    /// The channel id is not possible, or not one that was offered.
    #[error("the host sent {kind} for channel {relid}, which it did not offer")]
    UnknownChannel {
        /// What it sent.
        kind: MessageType,
        /// The id in it.
        relid: u32,
    },
    /// The channel id is in use.
    #[error("the host offered channel {0} again before it was released")]
    DuplicateOffer(Relid),
    /// A channel is rescinded once.
    #[error("the host rescinded channel {0} again")]
    RescindedTwice(Relid),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Ring {
    Closed,
    Opening { gpadl: GpadlId },
    Open { gpadl: GpadlId },
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Stage {
    Offered,
    /// The driver has been told.
    Rescinded,
    /// The driver is done; answers of the host are awaited.
    Leaving,
    /// All is answered; RELID_RELEASED waits to be posted.
    Releasing,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Channel {
    offer: Offer,
    stage: Stage,
    ring: Ring,
    /// MODIFYCHANNELs whose answers are to come.
    modifying: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum GpadlState {
    Creating,
    Created,
    TearingDown,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Gpadl {
    relid: Relid,
    state: GpadlState,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Connection {
    #[default]
    Disconnected,
    /// INITIATE_CONTACT is on its way with the version at this place of the configuration.
    Contacting {
        attempt: usize,
    },
    Connected {
        version: Version,
        connection_id: u32,
        offers_delivered: bool,
    },
    /// UNLOAD is on its way.
    Unloading,
}

/// What to do when contact or UNLOAD has been answered.
///
/// There is never more than one of them unanswered: answers do not say to which request they belong, and the host may
/// drop one that has been overtaken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Wish {
    Connect,
    Unload,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct State {
    connection: Connection,
    wish: Option<Wish>,
    /// When the wait for the answer to contact or UNLOAD ends.
    reply_by: Option<Duration>,
    channels: BTreeMap<Relid, Channel>,
    gpadls: BTreeMap<GpadlId, Gpadl>,
    next_gpadl: u32,
    outbox: Outbox,
}

/// The first GPADL id, as in Linux (documented).
const FIRST_GPADL: u32 = 0xe1e10;

/// The guest's side.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Client {
    config: ClientConfig,
    state: State,
    /// Makes contact without awaiting the answer under way, so that tests can show that they would notice.
    #[cfg(test)]
    pub(crate) impatient: bool,
    /// Gives a channel's id back without awaiting the answers under way.
    #[cfg(test)]
    pub(crate) impatient_to_release: bool,
}

/// What a channel is doing, for who looks from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ChannelStatus {
    /// Offered, not open.
    Closed,
    /// The host has not answered.
    Opening,
    /// In use.
    Open,
    /// Rescinded, not released.
    Rescinded,
}

impl Client {
    /// A guest without contact.
    pub fn new(config: ClientConfig) -> Self {
        let state = State {
            connection: Connection::Disconnected,
            wish: None,
            reply_by: None,
            channels: BTreeMap::new(),
            gpadls: BTreeMap::new(),
            next_gpadl: FIRST_GPADL,
            outbox: Outbox::default(),
        };
        Self::with_state(config, state)
    }

    fn with_state(config: ClientConfig, state: State) -> Self {
        Self {
            config,
            state,
            #[cfg(test)]
            impatient: false,
            #[cfg(test)]
            impatient_to_release: false,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// The version agreed, while there is contact.
    pub fn version(&self) -> Option<Version> {
        match self.state.connection {
            Connection::Connected { version, .. } => Some(version),
            _ => None,
        }
    }

    /// Whether the host has offered all channels it had.
    pub fn all_offers_delivered(&self) -> bool {
        matches!(self.state.connection, Connection::Connected { offers_delivered: true, .. })
    }

    /// The channels on offer, by id; rescinded ones are not.
    pub fn offers(&self) -> impl Iterator<Item = &Offer> {
        self.state
            .channels
            .values()
            .filter(|channel| channel.stage == Stage::Offered)
            .map(|channel| &channel.offer)
    }

    /// The channels on offer whose device is of this class.
    pub fn offers_of(&self, class: Uuid) -> impl Iterator<Item = &Offer> {
        self.offers().filter(move |offer| offer.class == class)
    }

    /// What this channel is doing.
    pub fn channel_status(&self, relid: Relid) -> Option<ChannelStatus> {
        self.state.channels.get(&relid).map(|channel| match (channel.stage, channel.ring) {
            (Stage::Rescinded | Stage::Leaving | Stage::Releasing, _) => ChannelStatus::Rescinded,
            (Stage::Offered, Ring::Closed) => ChannelStatus::Closed,
            (Stage::Offered, Ring::Opening { .. }) => ChannelStatus::Opening,
            (Stage::Offered, Ring::Open { .. }) => ChannelStatus::Open,
        })
    }

    /// Whether this list is known: described, or created, or being torn down.
    pub fn has_gpadl(&self, gpadl: GpadlId) -> bool {
        self.state.gpadls.contains_key(&gpadl)
    }

    /// Whether an answer of the host is awaited: to contact or UNLOAD, for a list, or for an open.
    pub fn is_waiting(&self) -> bool {
        let State { connection, channels, gpadls, .. } = &self.state;
        matches!(connection, Connection::Contacting { .. } | Connection::Unloading)
            || gpadls.values().any(|list| list.state != GpadlState::Created)
            || channels.values().any(|channel| {
                matches!(channel.ring, Ring::Opening { .. })
                    || channel.modifying > 0
                    || channel.stage == Stage::Leaving
            })
    }

    /// When [`Self::timer`] is to be called, in the time of `now`.
    pub fn next_timeout(&self) -> Option<Duration> {
        match (self.state.outbox.retry_at(), self.state.reply_by) {
            (Some(retry), Some(reply)) => Some(retry.min(reply)),
            (retry, reply) => retry.or(reply),
        }
    }

    /// The host's message, from the slot.
    pub fn message(&mut self, now: Duration, bytes: &[u8], out: &mut Vec<Output>) {
        let handled = match Message::decode(bytes) {
            Ok(message) => self.handle(now, &message, out),
            Err(error) => Err(HostViolation::Malformed(error)),
        };
        if let Err(violation) = handled {
            out.push(Output::HostViolation(violation));
        }
        self.pump(out);
    }

    fn handle(
        &mut self,
        now: Duration,
        message: &Message<'_>,
        out: &mut Vec<Output>,
    ) -> Result<(), HostViolation> {
        let kind = message.kind();
        if kind.is_from_guest() {
            return Err(HostViolation::WrongDirection(kind));
        }
        match (self.state.connection, message) {
            (Connection::Contacting { attempt }, Message::VersionResponse(response)) => {
                self.version_response(now, attempt, response, out);
                Ok(())
            }
            (Connection::Unloading, Message::UnloadResponse) => {
                self.unloaded(now, out);
                Ok(())
            }
            // What the host sent before it saw that we begin anew, or leave.
            (Connection::Contacting { .. } | Connection::Unloading, _) => Ok(()),
            (_, Message::VersionResponse(_) | Message::UnloadResponse) | (Connection::Disconnected, _) => {
                Err(HostViolation::NotAsked(kind))
            }
            (Connection::Connected { .. }, message) => self.channel_message(message, out),
        }
    }
}
