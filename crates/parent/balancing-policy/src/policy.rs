//! The one trait.

use core::time::Duration;

use std::sync::Arc;

use crate::{Future, HostView, KeyInput, PressureBand, Proposal, VmView, satisfied_pressure};

/// A design that decides how much memory each VM should have.
///
/// A policy may keep state. It must be deterministic: the same calls in the same order give the same answers. It reads no
/// clock, draws no random numbers of its own making, and takes transcendental functions from the `libm` crate, so that
/// one run is the same run on every machine.
pub trait Policy: Send {
    /// Its name in `--policy`, tables and records.
    fn name(&self) -> &str;

    /// Whether a higher weight is meant to get a VM more when memory is short. If so, growth that the pool cannot meet at
    /// once is granted in the order of weights.
    fn uses_priority(&self) -> bool;

    /// Time from one round to the next on an idle host; a paging parent makes it longer. Hyper-V's is one second (documented).
    fn interval(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Decide. `vms` are in ascending order of [`VmId`](crate::VmId); `proposal` holds the last round's targets.
    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal);

    /// What it goes by above all and only some guests say, if there is such. What its results are worth where no guest says it is for whoever
    /// compares to tell.
    fn key_input(&self) -> Option<KeyInput> {
        None
    }

    /// Whether this policy is to be told what the run will ask of the host. No policy of a product is; one that is shows how much
    /// could be gained at most.
    fn foresees(&self) -> bool {
        false
    }

    /// What the run will ask of the host: called once before the first round, and only if the policy [`foresees`](Self::foresees).
    /// Where nobody knows the future, as on a real host, it is not called.
    fn foresee(&mut self, future: &Arc<Future>) {
        let _ = future;
    }

    /// The pressures between which this policy would leave the VM alone (the counters Minimum and Maximum Pressure).
    /// Unless the policy says otherwise, both are the pressure at which demand and buffer are met.
    fn band(&self, vm: &VmView) -> PressureBand {
        PressureBand::around(satisfied_pressure(&vm.settings), 0.0)
    }
}
