//! What a virtual machine does on its own account.

/// What the parent partition learns of a VM without any protocol between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PowerEvent {
    /// The login screen is shown: the VM counts as started (\[A\] 3.2.1; Hyper-V learns of it by the heartbeat service).
    Login,
    /// The guest has shut down.
    PoweredOff,
    /// The guest restarts: its memory is what it boots with, and it has forgotten everything.
    Reset,
    /// The guest has crashed and does nothing any more.
    Crashed,
    /// The machine cannot go on, or must not: why, as a sentence for a person.
    Failed(String),
}
