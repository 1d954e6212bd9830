//! The host's end of Hyper-V's integration services, each a state machine without I/O, threads or clocks: the caller hands in what
//! happened and the time, and carries out what comes back ([`Output`]).
//!
//! | service | what it does | what comes of it |
//! |---|---|---|
//! | [`Heartbeat`] | asks the guest every two seconds whether it lives | [`Event::Heartbeat`] whenever the answer to that changes |
//! | [`Shutdown`] | asks the guest to shut down, restart or hibernate, when told to | [`Event::Shutdown`]: it will, it will not, it does not say |
//! | [`TimeSync`] | tells the guest the time: at once, then again and again | nothing |
//! | [`KeyValues`] | reads and writes what a daemon in the guest keeps | [`Event::KeyValue`] |
//!
//! **What they own**: the conversation with the guest's driver, which begins with the versions that both speak ([`Event::Negotiated`]).
//!
//! **What they never do**: they hold no channel (the caller sends their packets and hands them those of the guest), and they believe
//! nothing a guest says that they can check: an answer to what was not asked, of another version or of another type, is
//! [`Event::Ignored`]. What a guest can make them keep is one question and its number.
//!
//! ```
//! use core::time::Duration;
//! use integration_vsp::{Heartbeat, IntegrationService, Output};
//!
//! let mut heartbeat = Heartbeat::new();
//! let mut out = Vec::new();
//! heartbeat.opened(Duration::ZERO, &mut out);
//! let [Output::Send(offer)] = &out[..] else { panic!("the versions that the host speaks") };
//! assert_eq!(offer.len(), 8 + 20 + 8 + 4 * 4);
//! // From here on: packets in, `Output::Send` out, `timer` when `next_timeout` says so.
//! ```

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, doctest))]
extern crate std;

mod constants;
mod heartbeat;
mod key_value;
mod session;
mod shutdown;
mod time_sync;

use alloc::vec::Vec;
use core::time::Duration;

use integration_protocol::{DecodeError, Service, Version};

pub use constants::constants;
pub use heartbeat::{Heartbeat, HeartbeatStatus};
pub use key_value::{KeyValueAnswer, KeyValues};
pub use shutdown::{Shutdown, ShutdownAnswer};
pub use time_sync::{HostClock, ReferenceClock, TimeSync};

/// What the caller is to do, or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this as one packet that asks for no completion.
    Send(Vec<u8>),
    /// For status, events and log.
    Event(Event),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Both sides speak these versions from now on.
    Negotiated {
        /// Version of the frame.
        framework: Version,
        /// Version of the service's messages.
        version: Version,
    },
    /// The guest's driver speaks no version that the host speaks. The service does nothing until the channel is opened anew.
    NoCommonVersion,
    /// Whether the guest lives is seen otherwise than before.
    Heartbeat(HeartbeatStatus),
    /// What came of a request to shut down.
    Shutdown(ShutdownAnswer),
    /// What came of a question about a key.
    KeyValue(KeyValueAnswer),
    /// The guest sent what answers nothing; it was left alone.
    Ignored(Ignored),
}

/// Why a packet was left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ignored {
    /// It is not a message.
    NotAMessage(DecodeError),
    /// It is not an answer, or of another service.
    OfAnotherKind,
    /// It answers what was not asked, or what was asked before.
    NotAsked,
    /// It chooses a version that was not offered.
    NotOffered,
}

/// The host's end of one service.
pub trait IntegrationService: core::fmt::Debug + Send {
    /// Which service: the caller offers a channel of its [class](Service::class) and [instance](Service::instance).
    fn service(&self) -> Service;

    /// The guest's driver opened the channel.
    fn opened(&mut self, now: Duration, out: &mut Vec<Output>);

    /// The guest's driver sent a packet: whatever bytes a guest likes.
    fn packet(&mut self, now: Duration, payload: &[u8], out: &mut Vec<Output>);

    /// The channel was closed. Nothing can be sent until it is opened again.
    fn closed(&mut self, out: &mut Vec<Output>);

    /// The time that [`next_timeout`](Self::next_timeout) named has come.
    fn timer(&mut self, now: Duration, out: &mut Vec<Output>);

    /// When the service wants to be called at the latest.
    fn next_timeout(&self) -> Option<Duration>;
}
