//! The boot processor as the 64-bit boot protocol wants it: long mode, flat segments, identity-mapped, RSI on the zero page.

use kvm_bindings::{Msrs, kvm_fpu, kvm_msr_entry, kvm_regs, kvm_segment};
use kvm_ioctls::VcpuFd;
use partition::MemoryError;

use crate::ram::Ram;

/// Where the descriptor table is.
const GDT: u64 = 0x500;
/// Where the kernel finds what the boot protocol tells it: RSI points here.
pub(crate) const ZERO_PAGE: u64 = 0x7000;
/// Where the page tables are: one page of each of the upper two levels, and one of 2 MiB pages.
const PAGE_TABLES: u64 = 0x9000;
const CODE: u16 = 0x10;
const DATA: u16 = 0x18;
/// MTRRdefType (documented, Intel SDM): MTRRs on, write-back.
const MSR_MTRR_DEF_TYPE: u32 = 0x2ff;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
const CR0_PE: u64 = 1;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;

fn segment(selector: u16, code: bool) -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector,
        type_: if code { 0xb } else { 0x3 },
        present: 1,
        dpl: 0,
        db: u8::from(!code),
        s: 1,
        l: u8::from(code),
        g: 1,
        ..Default::default()
    }
}

/// The descriptor of a flat 4 GiB segment with these access bits.
const fn descriptor(access: u64, flags: u64) -> u64 {
    0x0000_ffff | access << 40 | 0xf << 48 | flags << 52
}

/// Writes descriptor table and page tables: 1 GiB, identity-mapped in 2 MiB pages.
pub(crate) fn write_tables(ram: &Ram) -> Result<(), MemoryError> {
    for (index, entry) in [0, 0, descriptor(0x9b, 0xa), descriptor(0x93, 0xc)].into_iter().enumerate() {
        ram.write(GDT + index as u64 * 8, &entry.to_le_bytes())?;
    }
    const PRESENT_WRITABLE: u64 = 3;
    const LARGE: u64 = 1 << 7;
    let directory = PAGE_TABLES + 0x1000;
    let tables = PAGE_TABLES + 0x2000;
    ram.write(PAGE_TABLES, &(directory | PRESENT_WRITABLE).to_le_bytes())?;
    ram.write(directory, &(tables | PRESENT_WRITABLE).to_le_bytes())?;
    for index in 0..512u64 {
        ram.write(tables + index * 8, &(index << 21 | PRESENT_WRITABLE | LARGE).to_le_bytes())?;
    }
    Ok(())
}

/// Sets the registers of the boot processor; the others wait for their start-up interrupt.
pub(crate) fn set(vcpu: &VcpuFd, entry: u64) -> Result<(), kvm_ioctls::Error> {
    let mut sregs = vcpu.get_sregs()?;
    (sregs.gdt.base, sregs.gdt.limit) = (GDT, 4 * 8 - 1);
    (sregs.idt.base, sregs.idt.limit) = (0, 0);
    sregs.cs = segment(CODE, true);
    let data = segment(DATA, false);
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    sregs.cr0 |= CR0_PE | CR0_PG;
    sregs.cr3 = PAGE_TABLES;
    sregs.cr4 |= CR4_PAE;
    sregs.efer |= EFER_LME | EFER_LMA;
    vcpu.set_sregs(&sregs)?;
    vcpu.set_regs(&kvm_regs { rip: entry, rsi: ZERO_PAGE, rflags: 2, ..Default::default() })?;
    vcpu.set_fpu(&kvm_fpu { fcw: 0x37f, mxcsr: 0x1f80, ..Default::default() })?;
    let msrs = [kvm_msr_entry { index: MSR_MTRR_DEF_TYPE, data: 0x806, ..Default::default() }];
    let msrs = Msrs::from_entries(&msrs).map_err(|_| kvm_ioctls::Error::new(libc::EINVAL))?;
    vcpu.set_msrs(&msrs)?;
    Ok(())
}
