//! How the worker gets a partition and a guest, whatever kind they are.

use std::fmt;
use std::sync::Arc;

use component_runtime::lanes::CauseLanes;
use component_runtime::{Address, Context, Seat};
use page_range::{GuestPage, RangeSet};
pub use partition::PowerEvent;

use crate::bus::HostPartition;

/// Registers who is told when a component of the VM ends. To be called for every seat of the VM.
pub type Watch = dyn Fn(&mut Seat) + Send + Sync;

/// What a factory needs to start a VM.
pub struct PartitionRequest<'a> {
    /// The VM's name.
    pub vm: &'a Arc<str>,
    /// The pages that it boots with. They are mapped.
    pub boot: &'a RangeSet<GuestPage>,
    /// Where the guest's power events go.
    pub power: &'a Address<PowerEvent>,
    /// Notes of what led to a packet, shared with the host's end.
    pub lanes: &'a CauseLanes,
    /// To be called for every component that is made.
    pub watch: &'a Watch,
}

/// Makes the partition of one VM, and its guest.
pub trait PartitionFactory: Send {
    /// Makes the partition with its boot RAM, and switches the guest on.
    ///
    /// # Errors
    /// What could not be had. The VM does not start.
    fn start(
        &mut self,
        ctx: &mut Context<'_>,
        request: &PartitionRequest<'_>,
    ) -> Result<Box<dyn RunningPartition>, PartitionError>;
}

/// A partition with its guest.
pub trait RunningPartition: Send {
    /// What the hypervisor offers the host of it.
    fn host(&self) -> Arc<dyn HostPartition>;

    /// Resets the machine: memory is what it boots with and reads as zeros; the guest boots anew.
    ///
    /// # Errors
    /// What could not be had. The VM is to be stopped.
    fn reset(&mut self, ctx: &mut Context<'_>, request: &PartitionRequest<'_>) -> Result<(), PartitionError>;

    /// Asks the guest to shut down; [`PowerEvent::PoweredOff`] follows if it does.
    fn shut_down(&mut self, ctx: &mut Context<'_>);

    /// Switches the machine off at once. Its components are gone at the next scheduling point.
    fn stop(&mut self, ctx: &mut Context<'_>);
}

/// Why there is no partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionError(pub String);

impl fmt::Display for PartitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PartitionError {}
