//! Machines: how a worker gets a partition with a guest, whatever kind it is.

use std::sync::Arc;

use component_runtime::lanes::CauseLanes;
use component_runtime::{Address, Context, Seat};
use page_range::{GuestPage, PageCount, RangeSet};
use partition::{EventPort, GuestMemory, MessagePort, PowerEvent};

use crate::ChannelDevice;

/// What a hypervisor gives the host of one VM.
pub trait HostPartition: GuestMemory + MessagePort + EventPort {}

impl<T: GuestMemory + MessagePort + EventPort> HostPartition for T {}

/// Registers who is told when a component of the VM ends. To be called for every seat of the VM.
pub type Watch = dyn Fn(&mut Seat) + Send + Sync;

/// Makes what a VM needs at each of its starts.
pub trait VmFactory: Send {
    /// Its partition and guest.
    fn partition(&mut self) -> Box<dyn PartitionFactory>;

    /// Devices besides Dynamic Memory.
    fn devices(&mut self) -> Vec<Box<dyn ChannelDevice>> {
        Vec::new()
    }
}

/// What a machine is connected to, at each boot of its guest.
pub struct PartitionRequest<'a> {
    /// The VM's name.
    pub vm: &'a Arc<str>,
    /// The pages that the guest boots with; all of them are mapped.
    pub boot: &'a RangeSet<GuestPage>,
    /// Where the guest's power events go.
    pub power: &'a Address<PowerEvent>,
    /// Notes of what led to a packet, shared with the host's end. A machine whose guest is real leaves them alone.
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

/// A partition with its guest, switched on.
pub trait RunningPartition: Send {
    /// What the hypervisor offers the host of it. Valid over resets.
    fn host(&self) -> Arc<dyn HostPartition>;

    /// Resets the machine: memory is what it boots with and reads as zeros; the guest boots anew.
    ///
    /// # Errors
    /// What could not be had. The VM is to be stopped.
    fn reset(&mut self, ctx: &mut Context<'_>, request: &PartitionRequest<'_>) -> Result<(), PartitionError>;

    /// So much of the guest's memory is in a file of the host from now on (Smart Paging), and what touches it waits for a disk. A machine
    /// whose waiting is not modelled leaves this alone.
    fn paged_by_host(&mut self, _ctx: &mut Context<'_>, _pages: PageCount) {}

    /// Asks the guest to shut down; [`PowerEvent::PoweredOff`] follows if it does.
    fn shut_down(&mut self, ctx: &mut Context<'_>);

    /// Switches the machine off at once. Its components are gone at the next scheduling point.
    fn stop(&mut self, ctx: &mut Context<'_>);
}

/// Why there is no partition, in words for the user who started the VM.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PartitionError(pub String);
