//! Any balancing policy, run through hosts, VMs and loads that it has not seen.
//!
//! The source documents know one memory balancer; here anyone may write another, and this crate is what every one of
//! them is held against. In one line:
//!
//! ```
//! # use balancing_policy::{HostView, Policy, Proposal, VmView};
//! # #[derive(Default)]
//! # struct MyPolicy;
//! # impl Policy for MyPolicy {
//! #     fn name(&self) -> &str { "mine" }
//! #     fn uses_priority(&self) -> bool { false }
//! #     fn round(&mut self, _: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
//! #         for (index, vm) in vms.iter().enumerate() {
//! #             proposal.set(index, vm.reachable(vm.expected()), balancing_policy::Reason::new("keep"));
//! #         }
//! #     }
//! # }
//! policy_conformance::assert_conforms(MyPolicy::default);
//! ```
//!
//! # What is checked
//!
//! | check | what must hold |
//! |---|---|
//! | [`Check::SaneProposals`] | on views of any kind, no panic; every target within what the VM can be brought to; all together within capacity, or no more than before |
//! | [`Check::Extremes`] | the same with no VM, with 1024, without demand, and with more than any host has |
//! | [`Check::Deterministic`] | the same calls give the same answers |
//! | [`Check::Bounds`] | on a running host with any load, no VM below its minimum or above its maximum, the books in order, and nothing for the engine to correct |
//! | [`Check::Converges`] | with constant loads, everyone comes to rest within the time promised |
//! | [`Check::Oscillation`] | at rest, no VM's memory turns back more often than promised |
//! | [`Check::Priority`] | of two VMs that differ in weight only, the higher does not have less in a shortage (if the policy claims to use priority) |
//! | [`Check::Unresponsive`] | a VM that does not answer costs the others no more than one with static memory |
//!
//! What a design promises ([`Promises`]) is stated, not assumed: one that always probes comes to rest within a wider
//! range than one with a band.
//!
//! # What this crate never does
//!
//! The suite judges no policy's results: which policy is better is a matter of comparison on real loads. The suite
//! reads no clock
//! and draws no random numbers but from a fixed seed: a policy passes always or never.
#![forbid(unsafe_code)]

mod cases;
mod check;
mod checks;
mod guest;
mod host;
mod population;
mod report;

pub use check::Check;
pub use checks::{Conformance, Promises};
pub use guest::{Guest, Load, Manners};
pub use host::{Parent, TestHost};
pub use population::{Memory, Population};
pub use report::{Outcome, Report, Verdict};

use balancing_policy::Policy;

/// Run the policy through every check with the default promises.
///
/// # Panics
/// If a check fails: with the whole report, which names the shortest failing case.
pub fn assert_conforms<P: Policy + 'static>(make: impl Fn() -> P + 'static) {
    Conformance::new(make).assert();
}
