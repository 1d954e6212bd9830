//! The memory balancer: who has how much of the host's memory.
//!
//! In the source documents the Memory Balancer is the part of `vmms.exe` in the parent OS that collects the VMs' memory
//! usage (and decides), box 1 of Figure 2-3. Here it is a state machine, [`Balancer`], and a policy that decides for it.
//!
//! # What it owns
//!
//! * **The host's frames that no VM has**: the pool, the parent's reserve, every running VM's overhead, and what is set
//!   aside for a VM that is to start. A grant *moves* frames out of the pool into an [`Output`]; there is no other way
//!   for a VM to get memory, so giving out more than there is cannot be written.
//! * **The ledger**: Σ assigned + in transit + overhead + reserve + available = total, at all times ([`Ledger`]).
//! * **Safety**: a policy proposes, the engine holds its targets against bounds, capacity and reservations, corrects
//!   them and records what it corrected. What shrinks comes first; growth is granted from frames that have arrived. One
//!   operation per VM, of at most 64 MB. A VM that does not answer is set aside and costs only itself.
//! * **Start reservations**: a start is admitted or refused at once, with the numbers that Hyper-V's refusals name; after a refusal
//!   memory is collected for a while, for whoever asks again.
//! * **The counters** of Tables 3-6 and 3-7 ([`SystemCounters`], [`VmCounters`]).
//! * **The pressure-band policy that stands for Hyper-V's**, [`hyperv::PressureBandPolicy`].
//!
//! # What it never does
//!
//! The balancer maps nothing, speaks to no guest, starts no thread and reads no clock: [`Input`]s and `now` go in, [`Output`]s
//! come out, [`Balancer::next_timeout`] says when to come back. The balancer believes no guest: a report is a claim that a
//! policy may weigh, and pages that a guest says to have returned count when their frames are there.
#![forbid(unsafe_code)]

mod backoff;
mod config;
mod constants;
mod counters;
mod engine;
pub mod hyperv;
mod ledger;
mod message;
mod moves;
mod origins;
mod rates;
mod round;
mod starts;
mod state;
mod vm;
mod waiting;

pub use balancing_policy::{MemorySettings, PageCount, VmId};
pub use config::{BalancerConfig, Stopwatch};
pub use constants::constants;
pub use counters::{MemoryStatus, SystemCounters, VmCounters};
pub use ledger::Ledger;
pub use message::{Correction, Decision, Done, Fault, Input, OperationId, Output};
pub use origins::{Origin, Source};
pub use state::{Balancer, RegisterError};

#[cfg(test)]
mod tests;
