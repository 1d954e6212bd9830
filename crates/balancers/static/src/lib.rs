//! Static memory: everyone keeps the startup RAM.
//!
//! The baseline of the verification guideline (runs (1) of its "most VMs" scenario), and the smallest policy there is:
//! a model for new ones.
//!
//! It reads no demand, and never takes memory from anyone for a VM that is to start.
#![forbid(unsafe_code)]

use balancing_policy::{HostView, Policy, Proposal, Reason, VmView};

/// Everyone keeps the startup RAM.
#[derive(Clone, Copy, Debug, Default)]
pub struct Static;

impl Static {
    /// Its name in `--policy`.
    pub const NAME: &'static str = "static";
}

impl Policy for Static {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn round(&mut self, _host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        for (index, vm) in vms.iter().enumerate() {
            // The VM got its startup RAM when it started, and keeps exactly that.
            let kept = vm.reachable(vm.expected());
            proposal.set(index, kept, Reason::new("keeps-startup").with("kept_mib", kept.mib()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Static;

    #[test]
    fn conforms() {
        policy_conformance::assert_conforms(|| Static);
    }
}
