//! ACPI tables: processors, IO-APIC, serial ports, and the VMBus device.
//!
//! Hardware-reduced ACPI 6: no power-management timer, no SCI. `_S5` and the sleep registers let the guest power off; there is no
//! `_S4`. The VMBus device stands under a parent with a memory window, as OpenVMM does: kernels before 6.6 walk up to the
//! first ancestor that has one, and oops if there is none.

use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, Device, EISAName, IO, Interrupt, Name, Package, Path,
    ResourceTemplate, Scope,
};
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace as GasSpace, GAS};
use acpi_tables::madt::{EnabledStatus, IoApic, LocalInterruptController, MADT, ProcessorLocalApic};
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, aml};
use page_range::{GuestPage, GuestRange, PageCount};
use partition::MemoryError;
use shared_memory::PAGE_BYTES;

use crate::devices::{RESET_PORT, RESET_VALUE, SLEEP_CONTROL_PORT, SLEEP_STATUS_PORT};
use crate::ram::Ram;
use crate::serial::{self, SERIAL_PORTS};

const OEM: [u8; 6] = *b"DYNMEM";
const OEM_TABLE: [u8; 8] = *b"KVMPART ";
/// In the area between 640 KiB and 1 MiB that the memory map reserves.
const TABLES: u64 = 0xe_0000;
const LOCAL_APIC: u32 = 0xfee0_0000;
const IO_APIC: u32 = 0xfec0_0000;
/// The window that VMBus devices could take their MMIO space from. Nothing does, but it has to be there.
pub(crate) const MMIO_WINDOW: std::ops::Range<u64> = 0xf000_0000..0xf800_0000;

/// Addresses that memory must not take: devices and interrupt controllers below 4 GiB.
pub(crate) fn reserved() -> Option<GuestRange> {
    let start = MMIO_WINDOW.start / PAGE_BYTES as u64;
    GuestRange::new(GuestPage(start), PageCount((1 << 20) - start))
}

fn port(address: u16) -> GAS {
    GAS::new(GasSpace::SystemIo, 8, 0, AccessSize::ByteAccess, u64::from(address))
}

fn bytes(table: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.to_aml_bytes(&mut bytes);
    bytes
}

fn dsdt() -> Vec<u8> {
    let mut body = Vec::new();
    for (index, base, irq) in SERIAL_PORTS {
        let name = format!("_SB_.COM{index}");
        Device::new(
            name.as_str().into(),
            vec![
                &Name::new("_HID".into(), &EISAName::new("PNP0501")),
                &Name::new("_UID".into(), &index),
                &Name::new("_STA".into(), &0xfu8),
                &Name::new(
                    "_CRS".into(),
                    &ResourceTemplate::new(vec![
                        &IO::new(base, base, 1, serial::PORTS as u8),
                        &Interrupt::new(true, true, false, false, irq),
                    ]),
                ),
            ],
        )
        .to_aml_bytes(&mut body);
    }
    let window = AddressSpace::new_memory(
        AddressSpaceCacheable::NotCacheable,
        true,
        MMIO_WINDOW.start,
        MMIO_WINDOW.end - 1,
        None,
    );
    Scope::new(
        Path::new("_SB_"),
        vec![&Device::new(
            "VMOD".into(),
            vec![
                &Name::new("_HID".into(), &"ACPI0004"),
                &Name::new("_UID".into(), &aml::ZERO),
                &Name::new("_STA".into(), &0xfu8),
                &Name::new("_CRS".into(), &ResourceTemplate::new(vec![&window])),
                &Device::new(
                    "VMBS".into(),
                    vec![
                        &Name::new("_HID".into(), &"VMBus"),
                        &Name::new("_UID".into(), &aml::ZERO),
                        &Name::new("_STA".into(), &0xfu8),
                        &Name::new("_CRS".into(), &ResourceTemplate::new(vec![])),
                    ],
                ),
            ],
        )],
    )
    .to_aml_bytes(&mut body);
    Name::new("_S5_".into(), &Package::new(vec![&5u8, &aml::ZERO])).to_aml_bytes(&mut body);

    let mut table = Sdt::new(*b"DSDT", 36, 6, OEM, OEM_TABLE, 1);
    table.append_slice(&body);
    bytes(&table)
}

fn fadt(dsdt: u64) -> Vec<u8> {
    let mut builder = FADTBuilder::new(OEM, OEM_TABLE, 1)
        .dsdt_64(dsdt)
        .flag(Flags::Wbinvd)
        .flag(Flags::ResetRegSup)
        .flag(Flags::HwReducedAcpi);
    builder.reset_reg = port(RESET_PORT);
    builder.reset_value = RESET_VALUE;
    builder.sleep_control_reg = port(SLEEP_CONTROL_PORT);
    builder.sleep_status_reg = port(SLEEP_STATUS_PORT);
    bytes(&builder.finalize())
}

fn madt(vps: u32) -> Vec<u8> {
    let mut table = MADT::new(OEM, OEM_TABLE, 1, LocalInterruptController::Address(LOCAL_APIC));
    for vp in 0..vps {
        // At most `MAX_VPS`, far below 255.
        table.add_structure(ProcessorLocalApic::new(vp as u8, vp as u8, EnabledStatus::Enabled));
    }
    table.add_structure(IoApic::new(0, IO_APIC, 0));
    bytes(&table)
}

/// Writes the tables; returns the address of the root pointer.
pub(crate) fn write(ram: &Ram, vps: u32) -> Result<u64, MemoryError> {
    let mut next = TABLES + 0x100;
    let mut place = |table: Vec<u8>| -> Result<u64, MemoryError> {
        let at = next;
        ram.write(at, &table)?;
        next = (at + table.len() as u64).next_multiple_of(64);
        Ok(at)
    };
    let dsdt = place(dsdt())?;
    let fadt = place(fadt(dsdt))?;
    let madt = place(madt(vps))?;
    let mut xsdt = XSDT::new(OEM, OEM_TABLE, 1);
    xsdt.add_entry(fadt);
    xsdt.add_entry(madt);
    let xsdt = place(bytes(&xsdt))?;
    ram.write(TABLES, &bytes(&Rsdp::new(OEM, xsdt)))?;
    Ok(TABLES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_right_checksums_and_what_the_driver_looks_for() {
        for table in [dsdt(), fadt(0x1000), madt(2)] {
            let length = u32::from_le_bytes([table[4], table[5], table[6], table[7]]);
            assert_eq!(length as usize, table.len());
            assert_eq!(table.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte)), 0);
        }
        let dsdt = dsdt();
        let has = |text: &[u8]| dsdt.windows(text.len()).any(|window| window == text);
        assert!(has(b"VMBus") && has(b"ACPI0004") && has(b"_S5_"));
        assert!(!has(b"_S4_"), "with it the Linux driver ignores balloon requests");
    }
}
