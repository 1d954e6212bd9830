//! State that a policy keeps per VM.

use core::time::Duration;

use crate::{VmId, VmView};

/// A policy's own state per VM, kept in step with the VMs it is shown.
///
/// ```
/// # use balancing_policy::{PerVm, VmView};
/// #[derive(Default)]
/// struct Mine {
///     rounds: u32,
/// }
/// fn count(states: &mut PerVm<Mine>, vms: &[VmView]) {
///     for (vm, mine) in vms.iter().zip(states.align(vms)) {
///         mine.rounds += 1;
///         println!("{}: {}", vm.name, mine.rounds);
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct PerVm<T> {
    keys: Vec<(VmId, Duration)>,
    states: Vec<T>,
}

impl<T> Default for PerVm<T> {
    fn default() -> Self {
        Self { keys: Vec::new(), states: Vec::new() }
    }
}

impl<T: Default> PerVm<T> {
    /// The states in the order of `vms`. A VM that is new, or was started anew, has a default one; that of a VM which is
    /// gone is dropped. Allocates only when the VMs are not the same as before.
    pub fn align(&mut self, vms: &[VmView]) -> &mut [T] {
        let key = |vm: &VmView| (vm.id, vm.started_at);
        let same = self.keys.len() == vms.len() && self.keys.iter().zip(vms).all(|(old, vm)| *old == key(vm));
        if !same {
            let keys = core::mem::take(&mut self.keys);
            let states = core::mem::take(&mut self.states);
            // Both are in ascending order of VM.
            let mut old = keys.into_iter().zip(states).peekable();
            for vm in vms {
                while old.next_if(|(old, _)| *old < key(vm)).is_some() {}
                let kept = old.next_if(|(old, _)| *old == key(vm)).map(|(_, state)| state);
                self.keys.push(key(vm));
                self.states.push(kept.unwrap_or_default());
            }
        }
        &mut self.states
    }
}

impl<T> PerVm<T> {
    /// The state of the VM at `index` of those last given to [`align`](Self::align).
    #[must_use]
    pub fn at(&self, index: usize) -> Option<&T> {
        self.states.get(index)
    }

    /// The state of one VM, as of the last [`align`](Self::align).
    #[must_use]
    pub fn get(&self, vm: VmId) -> Option<&T> {
        let index = self.keys.binary_search_by_key(&vm, |&(id, _)| id).ok()?;
        self.states.get(index)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{MemorySettings, PageCount, Phase, StatusHistory};

    fn vm(id: u32, started: u64) -> VmView {
        VmView {
            id: VmId(id),
            name: Arc::from(format!("VM{id}")),
            settings: MemorySettings::fixed(PageCount(1)),
            phase: Phase::Running,
            started_at: Duration::from_secs(started),
            assigned: PageCount(1),
            lowest: PageCount(1),
            highest: PageCount(1),
            granule: PageCount(512),
            returnable: PageCount::ZERO,
            responsive: true,
            pending: None,
            history: StatusHistory::default(),
            insight: None,
        }
    }

    #[test]
    fn states_follow_their_vms() {
        let mut states = PerVm::<u32>::default();
        for (n, state) in states.align(&[vm(1, 0), vm(3, 0), vm(5, 0)]).iter_mut().enumerate() {
            *state = n as u32 + 10;
        }
        assert_eq!(states.align(&[vm(1, 0), vm(3, 0), vm(5, 0)]), [10, 11, 12]);
        assert_eq!(states.align(&[vm(1, 0), vm(2, 0), vm(5, 0), vm(6, 0)]), [10, 0, 12, 0]);
        assert_eq!(states.get(VmId(5)), Some(&12));
        assert_eq!(states.get(VmId(3)), None);
        // Started anew: nothing of the old run is known of it.
        assert_eq!(states.align(&[vm(1, 7), vm(5, 0)]), [0, 12]);
        assert!(states.align(&[]).is_empty());
    }
}
