//! QEMU's virtual machines under this project's memory balancer.
//!
//! The source documents describe Hyper-V. Here the same balancer, with the same engine, ledger and policies, decides over VMs that QEMU
//! runs and somebody else starts and stops.
//!
//! # What it owns
//!
//! * [`qmp`]: QEMU's machine protocol as bytes in and messages out; [`session`]: one connection, with what a QEMU can do found by asking.
//! * [`device`]: virtio-balloon, virtio-mem and hv-balloon, each a state machine without I/O behind one trait.
//! * [`calm`]: how often a guest is asked what it needs.
//! * [`account`]: what a VM is charged with. Its frames are at least as many as the pages that its guest can have.
//! * [`libvirt`]: domains of libvirt, whose monitors it holds, asked in the same words.
//! * A worker for each VM, and the management ([`host`]) that finds VMs, brings them to the balancer and follows them.
//! * [`pressure`]: what a host that is short of memory itself does to the reserve.
//!
//! # What it never does
//!
//! The crate starts and stops no VM, decides nothing about amounts of memory, and believes neither QEMU nor guest: an answer that makes no sense
//! changes nothing, a VM that does not answer keeps what it has.
#![forbid(unsafe_code)]

pub mod account;
pub mod calm;
pub mod device;
pub mod host;
pub mod libvirt;
pub mod link;
mod message;
pub mod pressure;
pub mod qmp;
mod rules;
pub mod session;
mod snapshot;
#[cfg(feature = "test-support")]
pub mod test_support;
mod worker;

pub use host::{QemuHost, QemuHostConfig, Surroundings};
pub use message::{HostCommand, HostMessage};
pub use rules::{NoRules, Rules, VmRules};
pub use snapshot::{Place, Seen, Snapshot, VmSnapshot};
