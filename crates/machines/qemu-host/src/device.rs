//! The devices of QEMU that move memory. Each is a state machine without I/O: it says what to ask QEMU, and makes sense of the answers.

pub mod hv_balloon;
pub mod virtio_balloon;
pub mod virtio_mem;

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use serde_json::Value;

use crate::qmp::{Event, Refusal};

/// When something happens: in the run's time, and since 1970 by the host's clock, which QEMU stamps a guest's statistics with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Time since the run began.
    pub run: Duration,
    /// Time since 1970.
    pub unix: Duration,
}

/// Which device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `virtio-balloon`: takes pages out of the guest and gives them back.
    VirtioBalloon,
    /// `virtio-mem`: plugs and unplugs blocks.
    VirtioMem,
    /// `hv-balloon`: Hyper-V's Dynamic Memory as QEMU speaks it.
    HvBalloon,
}

impl Kind {
    /// QEMU's name of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VirtioBalloon => "virtio-balloon",
            Self::VirtioMem => "virtio-mem",
            Self::HvBalloon => "hv-balloon",
        }
    }

    /// The device of a QOM type, such as `child<virtio-balloon-pci>`.
    #[must_use]
    pub fn of_type(name: &str) -> Option<Self> {
        let name = name.strip_prefix("child<").unwrap_or(name);
        [Self::VirtioBalloon, Self::VirtioMem, Self::HvBalloon]
            .into_iter()
            .find(|kind| name.starts_with(kind.name()))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a command is about, to know its answer by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// How much the VM has.
    Actual,
    /// What the guest says of its memory.
    Report,
    /// How often the guest is asked.
    Interval,
    /// That the guest be asked.
    SetInterval,
    /// That the VM have another amount.
    Request,
}

/// A command for QEMU.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// What it is about.
    pub ask: Ask,
    /// QMP's name of it.
    pub execute: &'static str,
    /// Its arguments: an object in JSON, or nothing. A question that is asked again and again is written once.
    pub arguments: Arc<str>,
}

impl Command {
    /// A command with these arguments.
    #[must_use]
    pub fn new(ask: Ask, execute: &'static str, arguments: &Value) -> Self {
        Self { ask, execute, arguments: arguments.to_string().into() }
    }

    /// A command without arguments.
    #[must_use]
    pub fn plain(ask: Ask, execute: &'static str) -> Self {
        Self { ask, execute, arguments: Arc::default() }
    }
}

/// What a guest says of its memory, in bytes. A claim, not a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the guest needs of what it has: the rest could be taken without harm.
    pub demand: u64,
    /// What the guest could use without taking it from anybody, and without swapping.
    pub available: u64,
    /// What nobody in the guest uses for anything. 0 if it does not say.
    pub free: u64,
    /// Bytes that the guest has written to its swap since it booted, if it says.
    pub swapped_out: Option<u64>,
    /// How old this was when it was heard.
    pub age: Duration,
}

/// What came of an answer or an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// How much the VM has: see [`Device::actual`].
    Actual,
    /// The guest has reported.
    Report(Report),
    /// The guest has not reported since last time.
    NothingNew,
    /// The guest's driver does not say what is needed: why.
    NoReport(&'static str),
    /// QEMU has taken the request.
    Accepted,
    /// QEMU has refused the request.
    Refused(Refusal),
    /// The answer makes no sense: what was asked.
    Nonsense(&'static str),
}

/// What can be done with a VM through a device, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The least that the VM can be brought to.
    pub least: u64,
    /// The most that the VM can be brought to.
    pub most: u64,
    /// Memory comes and goes in multiples of this.
    pub granule: u64,
    /// Whether growth beyond [`returnable`](Self::returnable) comes as new memory, in whole granules.
    pub hot_add: bool,
    /// Up to this the VM is given back, page by page, what was taken from it.
    pub returnable: u64,
}

/// A device that moves memory, or tells of it.
pub trait Device: fmt::Debug + Send {
    /// Which.
    fn kind(&self) -> Kind;

    /// What to ask once the device is found.
    fn begin(&mut self) -> Vec<Command>;

    /// What to ask because of the answer that was heard last.
    fn follow_up(&mut self) -> Option<Command> {
        None
    }

    /// What to ask now and then. `moving`: memory is under way, and only that matters.
    fn poll(&mut self, moving: bool) -> Vec<Command>;

    /// How the VM is brought to `bytes`, which is within [`limits`](Self::limits). `None`: not now; the device waits for something.
    fn request(&mut self, now: Now, bytes: u64) -> Option<Command>;

    /// Hears an answer to one of its commands.
    fn answered(&mut self, now: Now, ask: Ask, answer: Result<&Value, &Refusal>) -> Heard;

    /// Hears an event of QEMU's; `None` if it is none of the device's.
    fn event(&mut self, now: Now, event: &Event) -> Option<Heard>;

    /// How much the VM has, in bytes, when it was last heard.
    fn actual(&self) -> Option<u64>;

    /// What can be done.
    fn limits(&self) -> Limits;

    /// Another device of the VM moves memory, and the VM has this now.
    fn has(&mut self, _now: Now, _bytes: u64) {}

    /// The guest was reset: what it said before holds no more.
    fn guest_reset(&mut self) {}

    /// How long a guest may make no progress with a request before it is given up.
    fn patience(&self) -> Duration {
        Duration::from_secs(15)
    }
}
