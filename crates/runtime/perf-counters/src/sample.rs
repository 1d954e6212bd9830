//! All counters at one instant.

use core::time::Duration;

use crate::{
    layout::Layout,
    schema::{
        BalancerCounters, BusCounters, GuestCounters, MapCounters, ModelCounters, ModelGuestCounters,
        ModelVmCounters, ParentCounters, StorageCounters, VmCounters,
    },
    value::Value,
};

/// All counters at one instant. Made once for a layout and filled again and again; what is not known stays `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Virtual time since the run started.
    pub time: Duration,
    /// The parent OS.
    pub parent: ParentCounters,
    /// The balancer.
    pub balancer: BalancerCounters,
    /// The host's memory as the model knows it.
    pub model: ModelCounters,
    /// Every configured VM, in the layout's order; all `None` while a VM is off.
    pub vms: Vec<VmSample>,
    /// Every VM's virtual hard disks, in the same order; empty in a layout without.
    pub storage: Vec<StorageCounters>,
}

/// All counters of one VM at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VmSample {
    /// `Hyper-V Dynamic Memory VM`.
    pub vm: VmCounters,
    /// What the model knows beyond it.
    pub model: ModelVmCounters,
    /// Its VMBus.
    pub bus: BusCounters,
    /// Its memory map.
    pub map: MapCounters,
    /// What a monitor inside the guest sees.
    pub guest: GuestCounters,
    /// What other tools inside the guest see.
    pub model_guest: ModelGuestCounters,
}

impl Sample {
    /// A sample of nothing, with room for every VM of `layout`.
    pub fn new(layout: &Layout) -> Self {
        let vms = layout.vms().len();
        let with_storage = if layout.has_storage() { vms } else { 0 };
        Self {
            vms: vec![VmSample::default(); vms],
            storage: vec![StorageCounters::default(); with_storage],
            ..Self::default()
        }
    }

    /// Forgets all values and sets the time; keeps the room.
    pub fn reset(&mut self, time: Duration) {
        self.time = time;
        self.parent = ParentCounters::default();
        self.balancer = BalancerCounters::default();
        self.model = ModelCounters::default();
        self.vms.fill(VmSample::default());
        self.storage.fill(StorageCounters::default());
    }

    /// Calls `each` with every value, in the order of [`Layout::paths`].
    pub fn for_each_value(&self, each: impl FnMut(Option<Value>)) {
        let mut values = Vec::new();
        self.append_values(&mut values);
        values.into_iter().for_each(each);
    }

    /// Appends every value, in the order of [`Layout::paths`].
    pub fn append_values(&self, values: &mut Vec<Option<Value>>) {
        values.extend_from_slice(&self.parent.values());
        values.extend_from_slice(&self.balancer.values());
        values.extend_from_slice(&self.model.values());
        for (index, vm) in self.vms.iter().enumerate() {
            values.extend_from_slice(&vm.vm.values());
            values.extend_from_slice(&vm.model.values());
            values.extend_from_slice(&vm.bus.values());
            values.extend_from_slice(&vm.map.values());
            values.extend_from_slice(&vm.guest.values());
            values.extend_from_slice(&vm.model_guest.values());
            if let Some(storage) = self.storage.get(index) {
                values.extend_from_slice(&storage.values());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, Memory};

    #[test]
    fn values_and_paths_go_together() {
        let layout = Layout::new("HOST", Epoch::DEFAULT, ["VM1", "VM2"]).unwrap();
        let mut sample = Sample::new(&layout);
        sample.vms[1].guest.available = Some(Memory::from_mib(98));
        let mut values = Vec::new();
        sample.for_each_value(|value| values.push(value));
        let paths = layout.paths();
        assert_eq!(paths.len(), values.len());
        let filled: Vec<_> = paths.iter().zip(values).filter(|(_, value)| value.is_some()).collect();
        assert_eq!(
            filled,
            [(&r"\\VM2\Memory\Available MBytes".to_owned(), Some(Memory::from_mib(98).into()))]
        );
        sample.reset(Duration::from_secs(1));
        assert_eq!(sample, Sample { time: Duration::from_secs(1), ..Sample::new(&layout) });
    }
}
