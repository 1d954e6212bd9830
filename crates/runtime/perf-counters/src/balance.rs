//! The two sums that hold at every sample, checked to the page.

use crate::{Layout, Memory, Sample};

/// A sum that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Imbalance {
    /// Physical = Startup + Added − Removed since the VM's last start.
    #[error(
        "{vm}: physical {} pages, but startup {} + added {} - removed {}",
        physical.pages(), startup.pages(), added.pages(), removed.pages()
    )]
    Vm {
        /// The VM.
        vm: String,
        /// Physical Memory.
        physical: Memory,
        /// Startup Memory.
        startup: Memory,
        /// Added Memory.
        added: Memory,
        /// Removed Memory.
        removed: Memory,
    },
    /// Σ Physical + In Transit + Overhead + Reserve + Available = Host Memory.
    #[error(
        "host {} pages, but assigned {} + in transit {} + overhead {} + reserve {} + available {}",
        host.pages(), assigned.pages(), in_transit.pages(), overhead.pages(), reserve.pages(), available.pages()
    )]
    Host {
        /// Host Memory.
        host: Memory,
        /// Physical Memory of all VMs.
        assigned: Memory,
        /// Memory In Transit.
        in_transit: Memory,
        /// Overhead Memory.
        overhead: Memory,
        /// Reserve Memory.
        reserve: Memory,
        /// Available Memory of the balancer.
        available: Memory,
    },
}

/// Checks that the counters of `sample` add up, exactly. A sum with a missing part is not checked.
///
/// # Errors
/// The first sum that does not hold.
pub fn check(layout: &Layout, sample: &Sample) -> Result<(), Imbalance> {
    for (name, vm) in layout.vms().iter().zip(&sample.vms) {
        if let (Some(physical), Some(startup), Some(added), Some(removed)) =
            (vm.vm.physical_memory, vm.model.startup_memory, vm.vm.added_memory, vm.vm.removed_memory)
            && u128::from(physical.pages()) + u128::from(removed.pages())
                != u128::from(startup.pages()) + u128::from(added.pages())
        {
            return Err(Imbalance::Vm { vm: name.clone(), physical, startup, added, removed });
        }
    }
    let model = &sample.model;
    if let (Some(host), Some(in_transit), Some(overhead), Some(reserve), Some(available)) =
        (model.host_memory, model.in_transit, model.overhead, model.reserve, sample.balancer.available_memory)
    {
        let assigned: u128 = sample
            .vms
            .iter()
            .filter_map(|vm| vm.vm.physical_memory)
            .map(|memory| u128::from(memory.pages()))
            .sum();
        let parts = [in_transit, overhead, reserve, available];
        let sum = assigned + parts.iter().map(|memory| u128::from(memory.pages())).sum::<u128>();
        if sum != u128::from(host.pages()) {
            let assigned = Memory::from_pages(u64::try_from(assigned).unwrap_or(u64::MAX));
            return Err(Imbalance::Host { host, assigned, in_transit, overhead, reserve, available });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;

    fn balanced() -> (Layout, Sample) {
        let layout = Layout::new("HOST", Epoch::DEFAULT, ["VM1", "VM2"]).unwrap();
        let mut sample = Sample::new(&layout);
        let mib = |mib| Some(Memory::from_mib(mib));
        sample.model.host_memory = mib(32_768);
        sample.model.in_transit = mib(64);
        sample.model.overhead = mib(8);
        sample.model.reserve = mib(1_344);
        sample.balancer.available_memory = mib(30_776);
        sample.vms[0].vm.physical_memory = mib(576);
        sample.vms[0].vm.added_memory = mib(128);
        sample.vms[0].vm.removed_memory = mib(64);
        sample.vms[0].model.startup_memory = mib(512);
        (layout, sample)
    }

    #[test]
    fn a_balanced_sample_passes() {
        let (layout, sample) = balanced();
        assert_eq!(check(&layout, &sample), Ok(()));
    }

    #[test]
    fn one_page_too_many_is_found() {
        let (layout, mut sample) = balanced();
        sample.vms[0].vm.added_memory = Some(Memory::from_pages(128 * 256 + 1));
        let error = check(&layout, &sample).unwrap_err().to_string();
        assert_eq!(error, "VM1: physical 147456 pages, but startup 131072 + added 32769 - removed 16384");

        let (layout, mut sample) = balanced();
        sample.balancer.available_memory = Some(Memory::from_pages(30_776 * 256 - 1));
        let error = check(&layout, &sample).unwrap_err().to_string();
        assert!(error.starts_with("host 8388608 pages, but assigned 147456 + in transit 16384"), "{error}");
    }

    #[test]
    fn a_missing_part_leaves_its_sum_unchecked() {
        let (layout, mut sample) = balanced();
        sample.vms[0].vm.added_memory = None;
        sample.model.in_transit = None;
        assert_eq!(check(&layout, &sample), Ok(()));
    }
}
