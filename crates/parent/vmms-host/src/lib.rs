//! The parent partition: management service, workers, and the parent OS's memory.
//!
//! In the source documents this is `vmms.exe`, one `vmwp.exe` for each VM, and the parent OS around them (Figure 2-3).
//!
//! # What it owns
//!
//! * [`Host`]: the management service and the memory balancer, seated in a runtime.
//! * The worker of each VM: DM VSP and GMO memory manager over the host's end of the VM's bus ([`bus::HostBus`]).
//! * [`seat_balancer`]: the balancer alone, for VMs that somebody else looks after.
//! * The life of a VM: off, starting, running, stopping, failed; admission, limits of the host's edition, Hyper-V's wording
//!   of what fails ([`event_log`]).
//! * The parent OS's own memory ([`parent_os::ParentOs`]).
//!
//! # What it never does
//!
//! The crate decides nothing about amounts of memory (the balancer and its policy do), knows nothing of what is inside a
//! guest, and does not care what kind of machine it has: a simulated one and a real one come from a
//! [`machine_contract::VmFactory`].
#![forbid(unsafe_code)]

mod agent;
mod balancer;
pub mod bus;
mod constants;
mod devices;
pub mod event_log;
mod host;
mod host_slowdown;
mod integration;
mod limits;
mod message;
pub mod parent_os;
mod statistics;
mod status;
pub mod storage;
mod vmms;
mod worker;

pub use agent::agent_device;
pub use balancer::SharedBalancer;
pub use constants::constants;
pub use host::{Host, SeatedBalancer, seat_balancer};
pub use integration::integration_devices;
pub use limits::{HostEdition, HostLimits, HostRelease, VmGeneration};
pub use message::{BalancerMessage, VmmsCommand, VmmsMessage, WorkerEnd, WorkerMessage};
pub use statistics::{
    BusStatistics, ChannelStatistics, MapStatistics, RingStatistics, SharedVmStatistics, VmStatistics,
};
pub use status::{HostStatus, ParentStatus, SharedStatus, VmState, VmStatus};
#[cfg(feature = "test-support")]
pub use vmms::Sabotage;
pub use vmms::{DynamicMemoryConfig, HostConfig, VmConfig};
pub use worker::{HostOperationTime, RecordedVspInput};
