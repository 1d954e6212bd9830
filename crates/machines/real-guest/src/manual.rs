//! A policy with a hand on it: a person's target for a VM, or whatever another policy says.

use std::collections::BTreeMap;
use std::sync::Arc;

use balancing_policy::{HostView, Policy, PressureBand, Proposal, Reason, VmId, VmView};
use page_range::PageCount;
use parking_lot::Mutex;

/// Targets that a person has set; a VM without one is the policy's.
#[derive(Clone, Debug, Default)]
pub struct Targets(Arc<Mutex<BTreeMap<VmId, PageCount>>>);

impl Targets {
    /// Sets a target, or (`None`) leaves the VM to the policy again.
    pub fn set(&self, vm: VmId, target: Option<PageCount>) {
        let mut targets = self.0.lock();
        match target {
            Some(target) => targets.insert(vm, target),
            None => targets.remove(&vm),
        };
    }

    /// A VM's target, if a person has set one.
    #[must_use]
    pub fn get(&self, vm: VmId) -> Option<PageCount> {
        self.0.lock().get(&vm).copied()
    }
}

/// A policy under a person's hand.
pub struct Manual {
    inner: Box<dyn Policy>,
    targets: Targets,
}

impl Manual {
    /// Puts `targets` above `inner`.
    #[must_use]
    pub fn new(inner: Box<dyn Policy>, targets: Targets) -> Self {
        Self { inner, targets }
    }
}

impl Policy for Manual {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn uses_priority(&self) -> bool {
        self.inner.uses_priority()
    }

    fn interval(&self) -> std::time::Duration {
        self.inner.interval()
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        self.inner.round(host, vms, proposal);
        for (index, vm) in vms.iter().enumerate() {
            if let Some(target) = self.targets.get(vm.id) {
                proposal.set(index, vm.reachable(target), Reason::new("manual"));
            }
        }
    }

    fn band(&self, vm: &VmView) -> PressureBand {
        self.inner.band(vm)
    }
}

/// Leaves every VM with what it has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep;

impl Policy for Keep {
    fn name(&self) -> &str {
        "keep"
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn round(&mut self, _host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        for (index, vm) in vms.iter().enumerate() {
            proposal.set(index, vm.expected(), Reason::new("keep"));
        }
    }
}
