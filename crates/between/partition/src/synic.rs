//! The synthetic interrupt controller: messages and event flags between host and guest.

use std::fmt;
use std::ops::Deref;

use crate::notify::NotifyFn;

/// Synthetic interrupt sources of a virtual processor (documented, TLFS).
pub const SINTS: u8 = 16;
/// The source that VMBus uses (documented: Linux `VMBUS_MESSAGE_SINT`, TLFS leaves the choice to the guest).
pub const VMBUS_SINT: u8 = 2;
/// Event flags of one source (documented, TLFS: 256 bytes).
pub const EVENT_FLAGS: u16 = 2048;
/// Payload bytes of a message at most (documented, TLFS).
pub const MESSAGE_BYTES: usize = 240;
/// Messages that a port holds before HvPostMessage answers "insufficient buffers" (documented, TLFS).
pub const POST_BUFFERS: usize = 16;

/// More bytes than a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {len} bytes: at most {MESSAGE_BYTES} fit")]
pub struct MessageTooLong {
    /// Bytes of the message.
    pub len: usize,
}

/// The payload of one SynIC message (of type 1, VMBus), at most 240 bytes.
#[derive(Clone, Copy)]
pub struct Message {
    bytes: [u8; MESSAGE_BYTES],
    len: u8,
}

impl Message {
    /// Copies a payload.
    ///
    /// # Errors
    /// The payload is longer than a message can be.
    pub fn new(payload: &[u8]) -> Result<Self, MessageTooLong> {
        let len = payload.len();
        let too_long = MessageTooLong { len };
        let mut bytes = [0; MESSAGE_BYTES];
        bytes.get_mut(..len).ok_or(too_long)?.copy_from_slice(payload);
        Ok(Self { bytes, len: u8::try_from(len).map_err(|_| too_long)? })
    }
}

impl Deref for Message {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}
impl Eq for Message {}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Message").field(&&**self).finish()
    }
}

/// A virtual processor or interrupt source that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no SINT {sint} on virtual processor {vp}")]
pub struct NoSuchSint {
    /// Index of the virtual processor.
    pub vp: u32,
    /// The interrupt source.
    pub sint: u8,
}

/// A connection id that already has a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("connection id {connection_id:#x} has a port already")]
pub struct ConnectionInUse {
    /// The connection id.
    pub connection_id: u32,
}

/// Why a message to the guest was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The guest has not taken the message before. Normal: keep the message and try again when the slot-free function
    /// is called.
    #[error("the message slot is occupied")]
    Busy,
    /// See [`MessageTooLong`].
    #[error(transparent)]
    TooLong(#[from] MessageTooLong),
    /// See [`NoSuchSint`].
    #[error(transparent)]
    NoSuchSint(#[from] NoSuchSint),
}

/// What a hypercall answers (documented, TLFS: hypercall status codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
#[must_use]
pub enum HvStatus {
    /// Done.
    Success = 0,
    /// A parameter is out of range, such as a payload longer than 240 bytes.
    InvalidParameter = 5,
    /// No port is open for this connection id. A guest takes this status as "try the next version" when it makes contact.
    InvalidConnectionId = 0x12,
    /// The port's buffers are full. Try again later.
    InsufficientBuffers = 0x13,
}

/// Messages, from the host's side.
pub trait MessagePort: Send + Sync {
    /// How many virtual processors the guest has: their indices are the numbers below.
    fn processors(&self) -> u32;

    /// Puts a message into the slot of `sint` on processor `vp` and interrupts the guest. There is one slot: `Busy` means
    /// that the message before has not been taken, and that the slot-free function will be called when it has.
    ///
    /// # Errors
    /// The slot is occupied, the message is too long, or there is no such source: see [`PostError`].
    fn try_post(&self, vp: u32, sint: u8, message: &[u8]) -> Result<(), PostError>;

    /// Sets who is told that a slot that was found busy is free (the guest has written EOM).
    ///
    /// # Errors
    /// The guest has no such processor or source.
    fn on_slot_free(&self, vp: u32, sint: u8, notify: NotifyFn) -> Result<(), NoSuchSint>;

    /// Listens to messages that the guest posts to `connection_id`; `notify` is called for each.
    ///
    /// # Errors
    /// The connection id is in use.
    fn open_message_port(&self, connection_id: u32, notify: NotifyFn) -> Result<(), ConnectionInUse>;

    /// Takes the oldest message posted to `connection_id`.
    fn take_posted(&self, connection_id: u32) -> Option<Message>;

    /// Stops listening; messages not taken are lost. An unknown id is ignored.
    fn close_message_port(&self, connection_id: u32);
}

/// Event flags, from the host's side. In the steady state this is all that VMBus uses: one call for each signal.
pub trait EventPort: Send + Sync {
    /// Sets an event flag. If it was clear the guest is interrupted; if it was set the guest has yet to look.
    /// Flags from [`EVENT_FLAGS`] on do not exist and are ignored.
    ///
    /// # Errors
    /// The guest has no such processor or source.
    fn set_event(&self, vp: u32, sint: u8, flag: u16) -> Result<(), NoSuchSint>;

    /// Calls `notify` whenever the guest signals `connection_id`.
    ///
    /// # Errors
    /// The connection id is in use.
    fn open_event_port(&self, connection_id: u32, notify: NotifyFn) -> Result<(), ConnectionInUse>;

    /// Stops listening. An unknown id is ignored.
    fn close_event_port(&self, connection_id: u32);
}

/// What the guest asks of the hypervisor.
pub trait Hypercalls: Send + Sync {
    /// HvPostMessage with a message of type 1.
    fn post_message(&self, connection_id: u32, payload: &[u8]) -> HvStatus;

    /// HvSignalEvent. A connection has one flag here, number 0, which is what VMBus channels use.
    fn signal_event(&self, connection_id: u32, flag: u16) -> HvStatus;
}

/// What the guest's interrupt handler finds.
pub trait GuestSynic: Send + Sync {
    /// Sets the interrupt handler of `sint` on processor `vp`.
    ///
    /// # Errors
    /// The guest has no such processor or source.
    fn on_interrupt(&self, vp: u32, sint: u8, handler: NotifyFn) -> Result<(), NoSuchSint>;

    /// Takes the message out of the slot, and writes EOM if the host waits for the slot.
    fn take_message(&self, vp: u32, sint: u8) -> Option<Message>;

    /// Tests and clears all event flags of a source.
    fn take_events(&self, vp: u32, sint: u8) -> EventFlags;
}

/// The event flags that were set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFlags {
    pub(crate) words: [u64; EVENT_FLAGS as usize / 64],
}

impl Default for EventFlags {
    fn default() -> Self {
        Self { words: [0; EVENT_FLAGS as usize / 64] }
    }
}

impl EventFlags {
    /// Whether none was set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// Numbers of the flags that were set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        (0u16..).zip(self.words).flat_map(|(index, mut word)| {
            std::iter::from_fn(move || {
                (word != 0).then(|| {
                    let bit = word.trailing_zeros() as u16;
                    word &= word - 1;
                    index * 64 + bit
                })
            })
        })
    }
}
