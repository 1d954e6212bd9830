//! What a guest finds with CPUID: the processor as KVM offers it, and Hyper-V as the only hypervisor.
//!
//! KVM's own leaves are dropped. Linux picks the hypervisor with the highest leaf that it knows; with a KVM signature in
//! place `hv_vmbus` finds no Hyper-V, and the calibration of the clock takes KVM's way and hangs.

use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2};
use kvm_ioctls::Kvm;

/// Leaves of hypervisors.
const HYPERVISOR_LEAVES: std::ops::Range<u32> = 0x4000_0000..0x5000_0000;

/// `0x40000003` EAX (documented, TLFS: partition privileges): runtime, reference counter, SynIC, APIC registers, hypercall page,
/// VP index, reference TSC, frequency registers. No synthetic timers: the local APIC's timer serves, and the message
/// slot stays VMBus' alone.
const PRIVILEGES: u32 = 1 | 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 9 | 1 << 11;
/// `0x40000003` EBX: may post messages, may signal events. Bit 1 (partition id) would make Linux ask and stop when it is refused;
/// bit 12 would make it a root partition.
const PRIVILEGES_HIGH: u32 = 1 << 4 | 1 << 5;
/// The same register: may make extended hypercalls (documented, TLFS: EnableExtendedHypercalls). KVM says by the same bit of what it supports
/// that it hands them to user space (documented, `Documentation/virt/kvm/x86`; since Linux 6.3).
const EXTENDED_HYPERCALLS: u32 = 1 << 20;
/// `0x40000003` EDX: frequency registers are there (bit 8), crash registers are there (bit 10).
const FEATURES: u32 = 1 << 8 | 1 << 10;
/// `0x40000004` EAX: relaxed timing (bit 5), no automatic end of interrupt (bit 9).
const RECOMMENDATIONS: u32 = 1 << 5 | 1 << 9;

fn leaf(function: u32, [eax, ebx, ecx, edx]: [u32; 4]) -> kvm_cpuid_entry2 {
    kvm_cpuid_entry2 { function, eax, ebx, ecx, edx, ..Default::default() }
}

fn hyperv_leaves(vps: u32, page_reporting: bool) -> [kvm_cpuid_entry2; 7] {
    let text = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
    let privileges_high = PRIVILEGES_HIGH | if page_reporting { EXTENDED_HYPERCALLS } else { 0 };
    [
        leaf(0x4000_0000, [0x4000_0006, text(b"Micr"), text(b"osof"), text(b"t Hv")]),
        // KVM's emulation is switched on by this signature.
        leaf(0x4000_0001, [text(b"Hv#1"), 0, 0, 0]),
        leaf(0x4000_0002, [0x3839, 0x000a_0000, 0, 0]),
        leaf(0x4000_0003, [PRIVILEGES, privileges_high, 0, FEATURES]),
        leaf(0x4000_0004, [RECOMMENDATIONS, 0xffff_ffff, 0, 0]),
        leaf(0x4000_0005, [vps, 64, 0, 0]),
        leaf(0x4000_0006, [0, 0, 0, 0]),
    ]
}

/// Whether KVM hands extended hypercalls to user space, by the Hyper-V leaves that it supports.
pub(crate) fn extended_hypercalls(supported: &[kvm_cpuid_entry2]) -> bool {
    supported.iter().any(|entry| entry.function == 0x4000_0003 && entry.ebx & EXTENDED_HYPERCALLS != 0)
}

/// The leaves of virtual processor `vp` of `vps`, which is offered free page reporting or not.
pub(crate) fn for_vp(kvm: &Kvm, vp: u32, vps: u32, page_reporting: bool) -> Result<CpuId, kvm_ioctls::Error> {
    let supported = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)?;
    let entries = adapt(supported.as_slice(), vp, vps, page_reporting);
    CpuId::from_entries(&entries).map_err(|_| kvm_ioctls::Error::new(libc::E2BIG))
}

fn adapt(supported: &[kvm_cpuid_entry2], vp: u32, vps: u32, page_reporting: bool) -> Vec<kvm_cpuid_entry2> {
    let mut entries: Vec<_> =
        supported.iter().filter(|entry| !HYPERVISOR_LEAVES.contains(&entry.function)).copied().collect();
    for entry in &mut entries {
        match entry.function {
            1 => {
                // Bits 24-31 local APIC id, 16-23 logical processors.
                entry.ebx = entry.ebx & 0xffff | vp << 24 | vps << 16;
                // Hypervisor present, TSC deadline timer.
                entry.ecx |= 1 << 31 | 1 << 24;
                entry.edx = if vps > 1 { entry.edx | 1 << 28 } else { entry.edx & !(1 << 28) };
            }
            0xb | 0x1f => topology(entry, vp, vps),
            0x8000_0008 => entry.ecx = entry.ecx & !0xffff | apic_id_bits(vps) << 12 | (vps - 1),
            0x8000_001e => {
                entry.eax = vp;
                // One core for each processor, one thread for each core.
                entry.ebx = entry.ebx & !0xffff | vp;
                entry.ecx &= !0x7ff;
            }
            _ => {}
        }
    }
    entries.extend(hyperv_leaves(vps, page_reporting));
    entries
}

fn apic_id_bits(vps: u32) -> u32 {
    vps.next_power_of_two().trailing_zeros()
}

/// One thread in a core, all cores in one package (documented: Intel SDM, CPUID leaf 0BH).
fn topology(entry: &mut kvm_cpuid_entry2, vp: u32, vps: u32) {
    entry.edx = vp;
    let (shift, count, kind) = match entry.index {
        0 => (0, 1, 1),
        1 => (apic_id_bits(vps), vps, 2),
        _ => (0, 0, 0),
    };
    (entry.eax, entry.ebx, entry.ecx) = (shift, count, kind << 8 | entry.index & 0xff);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(entries: &[kvm_cpuid_entry2], function: u32) -> kvm_cpuid_entry2 {
        let mut found = entries.iter().filter(|entry| entry.function == function);
        let first = *found.next().unwrap();
        assert!(found.next().is_none(), "{function:#x} twice");
        first
    }

    #[test]
    fn the_guest_finds_hyper_v_and_nothing_of_kvm() {
        let kvms = [
            leaf(1, [0, 0xffff_0800, 0, 0]),
            leaf(0x4000_0000, [0x4000_0001, 0x4b4d_564b, 0x564b_4d56, 0x4d]),
            leaf(0x4000_0100, [0x4000_0101, 0x4b4d_564b, 0x564b_4d56, 0x4d]),
            leaf(0x8000_0008, [0, 0, 0, 0]),
        ];
        let entries = adapt(&kvms, 1, 2, false);
        assert_eq!(find(&entries, 0x4000_0000).ebx, 0x7263_694d, "documented: \"Micr\"");
        assert_eq!(find(&entries, 0x4000_0001).eax, 0x3123_7648, "documented: \"Hv#1\"");
        assert_eq!(find(&entries, 0x4000_0003).eax, 0xa77);
        assert_eq!(find(&entries, 0x4000_0003).ebx, 0x30);
        assert_eq!(find(&entries, 0x4000_0004).eax, 0x220);
        assert!(!entries.iter().any(|entry| entry.function == 0x4000_0100));
        let first = find(&entries, 1);
        assert_eq!((first.ebx, first.ecx >> 31), (0x0102_0800, 1));
        assert_eq!(find(&entries, 0x8000_0008).ecx, 1 << 12 | 1);
    }

    #[test]
    fn extended_hypercalls_are_offered_with_free_page_reporting_and_only_where_kvm_hands_them_over() {
        let entries = adapt(&[], 0, 1, true);
        assert_eq!(find(&entries, 0x4000_0003).ebx, 0x10_0030);
        assert!(extended_hypercalls(&entries) && !extended_hypercalls(&adapt(&[], 0, 1, false)));
    }
}
