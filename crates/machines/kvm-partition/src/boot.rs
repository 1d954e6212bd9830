//! Where things are in a guest's memory when it starts: kernel, initramfs, command line, zero page (documented: the 64-bit boot
//! protocol of Linux).

use linux_loader::loader::bootparam::{boot_e820_entry, boot_params};
use page_range::{GuestPage, RangeSet};
use partition::MemoryError;
use shared_memory::PAGE_BYTES;
use vm_memory::ByteValued;

use crate::acpi;
use crate::error::MachineError;
use crate::kernel::KernelImage;
use crate::ram::Ram;
use crate::registers::{self, ZERO_PAGE};

const COMMAND_LINE: u64 = 0x2_0000;
/// A command line has at most this many bytes (documented: `COMMAND_LINE_SIZE` of x86).
const COMMAND_LINE_BYTES: usize = 2048;
/// Below this is memory that a PC's firmware leaves alone; from here to 1 MiB it does not.
const LOW_MEMORY_END: u64 = 0x9_fc00;
const HIGH_MEMORY: u64 = 0x10_0000;
const E820_RAM: u32 = 1;
const E820_RESERVED: u32 = 2;
/// A boot loader without a number of its own.
const LOADER_UNDEFINED: u8 = 0xff;
const LOADED_HIGH: u8 = 1;

/// Where a machine without firmware is sent when it is reset: x86 starts 16 bytes below 1 MiB. `mov al, 0xfe; out 0x64, al; hlt`
/// asks the keyboard controller for the reset that is already under way.
const RESET_VECTOR: (u64, [u8; 5]) = (0xf_fff0, [0xb0, 0xfe, 0xe6, 0x64, 0xf4]);

/// What to boot.
pub(crate) struct Boot<'a> {
    pub(crate) kernel: &'a KernelImage,
    pub(crate) initramfs: &'a [u8],
    pub(crate) command_line: &'a str,
    pub(crate) memory: &'a RangeSet<GuestPage>,
    pub(crate) vps: u32,
}

/// Writes all of it into guest memory; returns where the boot processor starts.
pub(crate) fn write(ram: &Ram, boot: &Boot<'_>) -> Result<u64, MachineError> {
    let Boot { kernel, initramfs, command_line, memory, vps } = boot;
    let first = memory.runs().next().ok_or(MachineError::TooSmall { pages: memory.pages() })?;
    let end = first.end() * PAGE_BYTES as u64;
    if first.start().0 != 0 {
        return Err(MachineError::TooSmall { pages: memory.pages() });
    }
    let initramfs_at = end
        .checked_sub(initramfs.len() as u64)
        .map(|at| at / PAGE_BYTES as u64 * PAGE_BYTES as u64)
        .filter(|&at| at >= kernel.end)
        .ok_or(MachineError::TooSmall { pages: memory.pages() })?;
    if command_line.len() >= COMMAND_LINE_BYTES || command_line.contains('\0') {
        return Err(MachineError::CommandLine);
    }

    registers::write_tables(ram)?;
    for (address, range) in &kernel.segments {
        kernel.read(range, |offset, bytes| Ok::<_, MachineError>(ram.write(address + offset, bytes)?))?;
    }
    ram.write(initramfs_at, initramfs)?;
    ram.write(COMMAND_LINE, command_line.as_bytes())?;
    ram.write(COMMAND_LINE + command_line.len() as u64, &[0])?;
    ram.write(RESET_VECTOR.0, &RESET_VECTOR.1)?;
    let rsdp = acpi::write(ram, *vps)?;

    let mut params = boot_params { acpi_rsdp_addr: rsdp, ..Default::default() };
    if let Some(header) = kernel.header {
        params.hdr = header;
    } else {
        // A vmlinux has no header to copy: what a loader must say is the same.
        (params.hdr.boot_flag, params.hdr.header, params.hdr.version) = (0xaa55, 0x5372_6448, 0x20c);
    }
    params.hdr.type_of_loader = LOADER_UNDEFINED;
    params.hdr.loadflags |= LOADED_HIGH;
    params.hdr.cmd_line_ptr = COMMAND_LINE as u32;
    params.hdr.cmdline_size = command_line.len() as u32;
    // Boot RAM lies below 4 GiB (`Machine` sees to it).
    params.hdr.ramdisk_image = initramfs_at as u32;
    params.hdr.ramdisk_size = initramfs.len() as u32;
    let map = memory_map(memory);
    for (entry, (addr, size, kind)) in params.e820_table.iter_mut().zip(&map) {
        *entry = boot_e820_entry { addr: *addr, size: *size, r#type: *kind };
    }
    params.e820_entries = map.len() as u8;
    ram.write(ZERO_PAGE, params.as_slice())?;
    Ok(kernel.entry)
}

fn memory_map(memory: &RangeSet<GuestPage>) -> Vec<(u64, u64, u32)> {
    let mut map =
        vec![(0, LOW_MEMORY_END, E820_RAM), (LOW_MEMORY_END, HIGH_MEMORY - LOW_MEMORY_END, E820_RESERVED)];
    for run in memory.runs() {
        let start = (run.start().0 * PAGE_BYTES as u64).max(HIGH_MEMORY);
        map.push((start, run.end() * PAGE_BYTES as u64 - start, E820_RAM));
    }
    // The zero page has room for 128.
    map.truncate(128);
    map
}

impl From<std::io::Error> for MachineError {
    /// The one thing that is read while a machine starts.
    fn from(error: std::io::Error) -> Self {
        Self::Kvm { call: "reading the kernel", error }
    }
}

impl From<MemoryError> for MachineError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}
