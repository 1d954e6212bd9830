//! Hyper-V since Windows Server 2012: the same pressure band, with VMs that may fall below what they start with.
//!
//! # What is different from Service Pack 1
//!
//! * **Minimum RAM** is a setting of its own: a VM starts with its startup RAM, and gives what it does not need of it, down to its minimum (documented:
//!   Microsoft, *Hyper-V Dynamic Memory Overview*, Windows Server 2012). In Service Pack 1 the startup RAM was the minimum.
//! * **Smart Paging**: a VM that restarts when there is not enough memory for its startup RAM, and none that others could give, gets the rest as
//!   a file of the host, for as long as it takes (documented there). The host has that if its `release` is 2012 or later.
//!
//! How memory is balanced between VMs is not documented to have changed, so that this is the policy `hyperv` under another name: all
//! that differs is in the host and in the settings of its VMs. What the name is for: in a comparison its VMs have a [minimum](MINIMUM_SHARE)
//! below their startup RAM and its host is a Windows Server 2012, as the policy `static` has VMs with static memory there. In a
//! single run VMs and host are as the scenario says.
#![forbid(unsafe_code)]

use core::time::Duration;

use balancing_policy::{HostView, Policy, PressureBand, Proposal, VmView};
use memory_balancer::hyperv::{HyperVConfig, PressureBandPolicy};

/// Parameters of the policy: those of `hyperv`.
pub type Config = HyperVConfig;

/// In a comparison, the minimum of a VM as a part of its startup RAM, if the scenario says no lower one. Invented: by default both are the same, and
/// Microsoft advises no ratio; Windows of the time started with 512 MB and ran idle with about 300.
pub const MINIMUM_SHARE: f64 = 0.5;

/// Hyper-V since Windows Server 2012: see the [crate's documentation](crate).
#[derive(Clone, Debug, Default)]
pub struct HyperV2012(PressureBandPolicy);

impl HyperV2012 {
    /// Its name in `--policy`.
    pub const NAME: &'static str = "hyperv-2012";

    /// The policy with these parameters.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self(PressureBandPolicy::new(config))
    }
}

impl Policy for HyperV2012 {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn uses_priority(&self) -> bool {
        self.0.uses_priority()
    }

    fn interval(&self) -> Duration {
        self.0.interval()
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        self.0.round(host, vms, proposal);
    }

    fn band(&self, vm: &VmView) -> PressureBand {
        self.0.band(vm)
    }
}

#[cfg(test)]
mod tests {
    use balancing_policy::{MemorySettings, PageCount, VmId};
    use memory_balancer::BalancerConfig;
    use policy_conformance::{Guest, Load, TestHost};

    use super::*;

    #[test]
    fn conforms() {
        policy_conformance::assert_conforms(HyperV2012::default);
    }

    #[test]
    fn an_idle_vm_falls_below_its_startup_ram_to_need_and_buffer() {
        let mib = PageCount::from_mib;
        let config = BalancerConfig { reserve: PageCount::ZERO, ..BalancerConfig::for_host(mib(8192)) };
        let mut host = TestHost::new(mib(8192), config, Box::new(HyperV2012::default()));
        let settings = MemorySettings::dynamic(mib(512), mib(2048));
        for (id, minimum) in [(1, 512), (2, 256)] {
            host.add(VmId(id), settings.with_minimum(mib(minimum)), Guest::new(Load::constant(mib(240))))
                .unwrap();
            host.start_at(Duration::ZERO, VmId(id));
        }
        // The hold of 300 s, and what follows it.
        host.run_until(Duration::from_secs(600));
        assert_eq!(host.assigned(VmId(1)), mib(512), "Service Pack 1: the startup RAM is the minimum");
        // 240 MB and the buffer of 20 % are 288; moves are whole large pages.
        assert_eq!(host.assigned(VmId(2)), mib(288));
    }
}
