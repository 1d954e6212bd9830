//! The contract between the worker of a VM and whatever runs the VM.
//!
//! A worker (`vmms-host`) knows its machine by these traits alone. A simulated machine (`guest-partition`) and one on KVM
//! (`real-guest`) implement them; another host, QEMU say, is one more implementation, and a device beside Dynamic Memory,
//! such as storage, is one more [`ChannelDevice`]. The worker changes for neither.
//!
//! | trait | implemented by | what the worker does with it |
//! |---|---|---|
//! | [`VmFactory`] | a kind of VM | asks at each start for a partition factory and devices |
//! | [`PartitionFactory`] | a kind of machine | has it made and its guest switched on ([`PartitionRequest`]) |
//! | [`RunningPartition`] | a machine that runs | resets it, has it shut down, stops it |
//! | [`HostPartition`] | a machine's hypervisor | reads and writes guest pages, sends messages and signals, adds and discards memory |
//! | [`ChannelDevice`] | the host's half of a device | offers its channel, hands it packets and the time, sends what it answers |
//!
//! **What flows up** from a machine are [`PowerEvent`]s, at any time, to the address in the request; and the end of a component,
//! which [`PartitionRequest::watch`] reports.
//!
//! **Who owns what.** The worker owns the VM's memory map and tells the partition which pages it has. The machine owns its
//! guest and its own components, over any number of resets. Dropping a [`RunningPartition`] stops it.
//!
//! **What it never does.** There is no logic here, and nothing of what a channel carries.
//!
//! The crate lies above `component-runtime`, for a machine is made of components and is given mailboxes; that is why it is
//! in the group `runtime` and not with the other things that both sides share.
#![forbid(unsafe_code)]

mod device;
mod machine;

pub use device::{ChannelDevice, DeviceOutput, DeviceRequest, Heartbeat};
pub use machine::{
    HostPartition, PartitionError, PartitionFactory, PartitionRequest, RunningPartition, VmFactory, Watch,
};
pub use partition::PowerEvent;
