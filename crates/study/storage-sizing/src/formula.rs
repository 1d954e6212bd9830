//! The formulas of \[C\]: Y, T and S of A, B, C, D, N, M and X.
//!
//! In the text of the paper that this project has, the formulas themselves are pictures and are lost; what is left are the variables, the words
//! around them, and that Y and T each have two cases of two fractions. So their form here is *inferred*.

/// The load of one VM: A, B and C.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VmLoad {
    /// A: accesses a second that the array's memory answers.
    pub memory: f64,
    /// B: accesses a second that reach its disks.
    pub disk: f64,
    /// C: bytes that are allocated for what the VM writes anew.
    pub new_bytes: f64,
}

/// An array: N, M and X.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array {
    /// N: accesses a second that its processors serve, wherever the data are.
    pub processor: f64,
    /// M: accesses a second that one disk serves.
    pub disk: f64,
    /// X: disks.
    pub disks: u32,
}

/// What an array has too little of first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Its processors: N.
    Processor,
    /// Its disks: M · X.
    Disks,
}

impl Array {
    /// Y: accesses a second that the array serves of VMs with this load, and what limits them. Every access costs the processors one, and
    /// B of A + B cost the disks one: Y = N, or M · X · (A + B) / B if that is less.
    #[must_use]
    pub fn rate(&self, vm: &VmLoad) -> (f64, Limit) {
        let by_disks = self.disk * f64::from(self.disks) * (vm.memory + vm.disk) / vm.disk;
        // Without any load on disks there is no such limit, and the quotient is no number.
        if by_disks < self.processor { (by_disks, Limit::Disks) } else { (self.processor, Limit::Processor) }
    }

    /// T: VMs that the array serves: N / (A + B), or M · X / B if that is less.
    #[must_use]
    pub fn machines(&self, vm: &VmLoad) -> (u64, Limit) {
        let (rate, limit) = self.rate(vm);
        let each = vm.memory + vm.disk;
        let machines = if each > 0.0 { rate / each } else { f64::MAX };
        // A half more than what rounding can cost.
        ((machines + 1e-9) as u64, limit)
    }
}

/// S: bytes that `machines` VMs take with golden images of `images` bytes in all: T · C + D.
#[must_use]
pub fn capacity(vm: &VmLoad, machines: u64, images: f64) -> f64 {
    machines as f64 * vm.new_bytes + images
}

/// Golden images that are needed so that the disks of none has more than it can do: of all accesses to disks `shared` go to the image, and
/// each image lies on `disks_of_image` disks. At least one.
#[must_use]
pub fn images_needed(array: &Array, vm: &VmLoad, machines: u64, shared: f64, disks_of_image: f64) -> u64 {
    let wanted = machines as f64 * vm.disk * shared;
    ((wanted / (array.disk * disks_of_image)).ceil() as u64).max(1)
}

/// C: bytes that are allocated for `places` runs of `bytes` each that are written anew, if `unit` bytes are allocated at once: a run that
/// begins anywhere touches bytes / unit + 1 units on average.
#[must_use]
pub fn allocated(places: f64, bytes: f64, unit: f64) -> f64 {
    places * (bytes + unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRAY: Array = Array { processor: 1000.0, disk: 100.0, disks: 2 };

    fn vm(memory: f64, disk: f64) -> VmLoad {
        VmLoad { memory, disk, new_bytes: 5.0 }
    }

    #[test]
    fn processors_or_disks_limit() {
        assert_eq!(ARRAY.rate(&vm(9.0, 1.0)), (1000.0, Limit::Processor));
        assert_eq!(ARRAY.machines(&vm(9.0, 1.0)), (100, Limit::Processor));
        assert_eq!(ARRAY.rate(&vm(5.0, 5.0)), (400.0, Limit::Disks));
        assert_eq!(ARRAY.machines(&vm(5.0, 5.0)), (40, Limit::Disks));
        assert_eq!(ARRAY.machines(&vm(10.0, 0.0)), (100, Limit::Processor));
        // Where both are the same: N / (A + B) = M · X / B.
        assert_eq!(ARRAY.machines(&vm(8.0, 2.0)), (100, Limit::Processor));
    }

    #[test]
    fn space_grows_with_machines_and_images() {
        assert_eq!(capacity(&vm(1.0, 1.0), 1000, 100.0), 5100.0);
        assert_eq!(images_needed(&ARRAY, &vm(1.0, 1.0), 1000, 0.5, 2.0), 3);
        assert_eq!(images_needed(&ARRAY, &vm(1.0, 1.0), 1000, 0.0, 2.0), 1);
    }

    #[test]
    fn a_run_takes_a_unit_more_than_its_bytes() {
        assert_eq!(allocated(3.0, 4.0, 8.0), 36.0);
    }
}
