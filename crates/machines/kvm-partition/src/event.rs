//! What a machine does on its own account, and who is told.

use std::fmt;

use page_range::GuestPage;

/// What a machine does on its own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineEvent {
    /// The guest has switched it off.
    PoweredOff,
    /// The guest has asked for a reset.
    Reset,
    /// The guest has crashed, and said so through Hyper-V's crash registers.
    Crashed {
        /// What it said; for Linux the registers of the moment.
        parameters: [u64; 5],
    },
    /// The guest has touched memory that it has given back, or that the host could not provide: the guest cannot go on.
    Trespassed {
        /// Where, if KVM says so (Linux 6.8 and later).
        page: Option<GuestPage>,
        /// Guest pages that are guarded: given back, and not the guest's.
        guarded: usize,
    },
    /// The machine cannot go on.
    Failed(String),
}

impl fmt::Display for MachineEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PoweredOff => f.write_str("the guest has switched the machine off"),
            Self::Reset => f.write_str("the guest has asked for a reset"),
            Self::Crashed { .. } => f.write_str("the guest has crashed"),
            Self::Trespassed { page: Some(page), guarded: 1.. } => {
                write!(f, "the guest has touched {page}, which is not its memory: it has given it back")
            }
            Self::Trespassed { page: None, guarded: guarded @ 1.. } => {
                write!(f, "the guest has touched one of the {guarded} pages that it has given back")
            }
            Self::Trespassed { page: Some(page), guarded: 0 } => {
                write!(f, "the host has no memory for {page} of the guest")
            }
            Self::Trespassed { page: None, guarded: 0 } => {
                f.write_str("the host has no memory for a page of the guest")
            }
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// Whoever is told of a machine's events. Called from the threads of the machine; must not block, and must not stop the
/// machine from inside a call.
pub trait MachineObserver: Send + Sync {
    /// Something happened; the processor that did it does not run any more.
    fn event(&self, event: MachineEvent);
    /// The guest has printed on serial port `port` (from 1).
    fn serial(&self, port: u8, bytes: &[u8]);
}
