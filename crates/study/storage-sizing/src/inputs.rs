//! The four cases of the paper's Figure 4: servers and desktops, with snapshots and with thin volumes.

use crate::constants::{
    DESKTOP_ACCESSES, DESKTOP_PLACE, DESKTOP_PLACES, DISK, DISKS, IMAGE, IMAGE_DISKS, PROCESSOR,
    SERVER_ACCESSES, SERVER_PLACE, SERVER_PLACES, SNAPSHOT_HIT, SNAPSHOT_SHARED, SNAPSHOT_UNIT, THIN_HIT,
    THIN_UNIT, VMS,
};
use crate::formula::{Array, Limit, VmLoad, allocated, capacity, images_needed};

/// What VMs are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Windows Server 2008 in the paper.
    Servers,
    /// Windows 7 in the paper.
    Desktops,
}

/// How clones are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Clones share the image.
    Snapshot,
    /// Each clone is a mirror of its own.
    Thin,
}

impl Use {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Servers, Self::Desktops];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Servers => "servers",
            Self::Desktops => "desktops",
        }
    }
}

impl Function {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Snapshot, Self::Thin];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Thin => "thin",
        }
    }
}

/// All that a case is computed from. Rates are accesses a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inputs {
    /// VMs that are to run.
    pub vms: u64,
    /// Bytes of a golden image.
    pub image_bytes: f64,
    /// The array.
    pub array: Array,
    /// Accesses of a VM, A + B.
    pub accesses: f64,
    /// A / (A + B).
    pub hit: f64,
    /// Part of the accesses to disks that go to the image.
    pub shared: f64,
    /// Disks on which an image lies.
    pub image_disks: f64,
    /// Places at which a VM writes anew.
    pub places: f64,
    /// Bytes that it writes at each.
    pub place_bytes: f64,
    /// Bytes that are allocated at once.
    pub unit_bytes: f64,
}

/// What comes of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizing {
    /// A, B and C.
    pub vm: VmLoad,
    /// Y, and what limits it.
    pub rate: (f64, Limit),
    /// T.
    pub machines: u64,
    /// Golden images that are needed.
    pub images: u64,
    /// D.
    pub image_bytes: f64,
    /// S for the VMs that are to run.
    pub bytes: f64,
    /// Bytes without any function: an image for each VM.
    pub normal_bytes: f64,
}

const MB: f64 = 1e6;

impl Inputs {
    /// The case of the paper, with the numbers of [`constants`](crate::constants()).
    #[must_use]
    pub fn of(purpose: Use, function: Function) -> Self {
        let (accesses, places, place) = match purpose {
            Use::Servers => (SERVER_ACCESSES, SERVER_PLACES, SERVER_PLACE),
            Use::Desktops => (DESKTOP_ACCESSES, DESKTOP_PLACES, DESKTOP_PLACE),
        };
        let (hit, shared, unit) = match function {
            Function::Snapshot => (SNAPSHOT_HIT, SNAPSHOT_SHARED.value, SNAPSHOT_UNIT.value * 1e3),
            Function::Thin => (THIN_HIT, 0.0, THIN_UNIT.value * MB),
        };
        Self {
            vms: VMS.whole(),
            image_bytes: IMAGE.value * 1e9,
            array: Array { processor: PROCESSOR.value, disk: DISK.value, disks: DISKS.whole() as u32 },
            accesses: accesses.value,
            hit: hit.value,
            shared,
            image_disks: IMAGE_DISKS.value,
            places: places.value,
            place_bytes: place.value * MB,
            unit_bytes: unit,
        }
    }

    /// What comes of them by the formulas.
    #[must_use]
    pub fn sizing(&self) -> Sizing {
        let vm = VmLoad {
            memory: self.accesses * self.hit,
            disk: self.accesses * (1.0 - self.hit),
            new_bytes: allocated(self.places, self.place_bytes, self.unit_bytes),
        };
        let image_disks = self.image_disks.min(f64::from(self.array.disks));
        let images = images_needed(&self.array, &vm, self.vms, self.shared, image_disks);
        let image_bytes = images as f64 * self.image_bytes;
        Sizing {
            vm,
            rate: self.array.rate(&vm),
            machines: self.array.machines(&vm).0,
            images,
            image_bytes,
            bytes: capacity(&vm, self.vms, image_bytes),
            normal_bytes: self.vms as f64 * self.image_bytes,
        }
    }
}

impl Sizing {
    /// S as part of what it would be without any function.
    #[must_use]
    pub fn of_normal(&self) -> f64 {
        self.bytes / self.normal_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_normal(purpose: Use, function: Function) -> f64 {
        Inputs::of(purpose, function).sizing().of_normal()
    }

    /// \[C\], section 5: servers take 1 % or less with both functions.
    #[test]
    fn figure_4_servers() {
        for function in Function::ALL {
            assert!(of_normal(Use::Servers, function) <= 0.01, "{function:?}");
        }
    }

    /// \[C\], section 5: desktops take 2 % or less, and with snapshots a fifth of what they take with thin volumes.
    #[test]
    fn figure_4_desktops() {
        let [snapshot, thin] = Function::ALL.map(|function| of_normal(Use::Desktops, function));
        assert!(thin <= 0.02 && snapshot <= 0.02);
        assert!((snapshot / thin - 0.2).abs() < 0.005, "{}", snapshot / thin);
    }

    /// \[C\], section 4: the configurations that are compared meet the needs of 1000 VMs.
    #[test]
    fn a_thousand_vms_run_in_every_case() {
        for purpose in Use::ALL {
            for function in Function::ALL {
                let sizing = Inputs::of(purpose, function).sizing();
                assert!(sizing.machines >= 1000, "{purpose:?} {function:?}: {}", sizing.machines);
            }
        }
    }

    /// What decides between the functions is the unit in which space is allocated, not how much is written.
    #[test]
    fn with_the_same_unit_both_functions_take_the_same() {
        let thin = Inputs { unit_bytes: 64e3, ..Inputs::of(Use::Desktops, Function::Thin) };
        let snapshot = Inputs::of(Use::Desktops, Function::Snapshot);
        assert_eq!(thin.sizing().vm.new_bytes, snapshot.sizing().vm.new_bytes);
    }
}
