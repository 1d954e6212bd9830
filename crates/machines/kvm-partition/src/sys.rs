//! Everything that Rust cannot check: mappings, memory slots, and what KVM leaves in the shared page of a vCPU.
#![expect(unsafe_code, reason = "mmap, KVM's ioctls without a safe wrapper, and the union in kvm_run")]

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use kvm_bindings::{
    CpuId, KVM_EXIT_HYPERV_HCALL, KVM_EXIT_HYPERV_SYNIC, KVM_EXIT_IO, KVM_HYPERV_EVENTFD_DEASSIGN,
    kvm_cpuid2, kvm_hyperv_eventfd, kvm_run, kvm_userspace_memory_region,
};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use rustix::fs::{FallocateFlags, MemfdFlags};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
use shared_memory::{PAGE_BYTES, Region};
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::{ioctl_iow_nr, ioctl_iowr_nr};

/// KVM's ioctl group (documented, `KVMIO`).
const KVMIO: u32 = 0xae;
ioctl_iow_nr!(KVM_HYPERV_EVENTFD, KVMIO, 0xbd, kvm_hyperv_eventfd);
ioctl_iowr_nr!(KVM_GET_SUPPORTED_HV_CPUID, KVMIO, 0xc1, kvm_cpuid2);
/// More Hyper-V leaves than there are (Linux 6.12: nine).
const HV_CPUID_ENTRIES: usize = 64;

/// Make pages fault for whoever touches them, without a mapping of their own (documented, linux/mman.h; Linux 6.13, for files
/// 6.15).
const MADV_GUARD_INSTALL: libc::c_int = 102;
/// The opposite of [`MADV_GUARD_INSTALL`].
const MADV_GUARD_REMOVE: libc::c_int = 103;

/// How pages are kept from everybody who has the mapping: this process, and virtual processors, for which KVM follows the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Guard markers in the page tables: any number of them.
    Markers,
    /// Access rights of the mapping (`PROT_NONE`): each run of pages becomes a mapping of its own.
    Mappings,
}

impl Guard {
    /// The best that this kernel has for anonymous memory, or for files.
    pub(crate) fn best(file: bool) -> Self {
        static BEST: [OnceLock<Guard>; 2] = [const { OnceLock::new() }; 2];
        *BEST[usize::from(file)].get_or_init(|| {
            let probe = if file { Mapping::memfd(1) } else { Mapping::anonymous(1) };
            let marked = probe.is_ok_and(|probe| {
                probe.region.withdraw(std::slice::from_ref(&(0..1))).is_ok()
                    && probe.guard(Self::Markers, &(0..1)).is_ok()
            });
            if marked { Self::Markers } else { Self::Mappings }
        })
    }
}

/// Zeroed pages of the host: what a memory slot is made of.
pub(crate) struct Mapping {
    /// The only region of these pages: all Rust accesses go through it.
    region: Arc<Region>,
    /// `None`: memory of this process, for tests, which no VM can have.
    host: Option<Arc<HostMapping>>,
}

/// An address range that is unmapped on drop.
struct HostMapping {
    base: NonNull<u8>,
    bytes: usize,
    file: Option<OwnedFd>,
}

// SAFETY: an address range that stays mapped until drop; the bytes are reached through `Region`'s atomics only, and the
// methods here are system calls that may be made from any thread.
unsafe impl Send for HostMapping {}
// SAFETY: as above.
unsafe impl Sync for HostMapping {}

impl Mapping {
    /// Anonymous memory.
    pub(crate) fn anonymous(pages: usize) -> io::Result<Self> {
        let bytes = bytes_of(pages)?;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice cannot disturb another one.
        let base = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), bytes, prot, flags) }?;
        Self::of(base, bytes, None)
    }

    /// Memory of a file that has no name.
    pub(crate) fn memfd(pages: usize) -> io::Result<Self> {
        let bytes = bytes_of(pages)?;
        let file = rustix::fs::memfd_create("guest-ram", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&file, bytes as u64)?;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice cannot disturb another one.
        let base =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, prot, MapFlags::SHARED, &file, 0) }?;
        Self::of(base, bytes, Some(file))
    }

    /// Memory of this process.
    pub(crate) fn process(pages: usize) -> io::Result<Self> {
        bytes_of(pages)?;
        let region = Region::process(pages).map_err(io::Error::other)?;
        Ok(Self { region, host: None })
    }

    /// Takes over a mapping that was just made.
    fn of(base: *mut std::ffi::c_void, bytes: usize, file: Option<OwnedFd>) -> io::Result<Self> {
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mmap gave address 0"))?;
        let host = Arc::new(HostMapping { base, bytes, file });
        // SAFETY: page-aligned, mapped readable and writable until the owner given here is dropped, and a memfd of ours that
        // nobody else can truncate (the descriptor never leaves `HostMapping`). No other Rust code of this process has the
        // address: this is the one place that makes a region, from a mapping that is given away here. Pages become inaccessible
        // in `guard` only, which sees to it that they are withdrawn.
        let region = unsafe { Region::from_raw(base, bytes / PAGE_BYTES, Box::new(Arc::clone(&host))) };
        Ok(Self { region: region.map_err(io::Error::other)?, host: Some(host) })
    }

    /// The pages, as this process may access them.
    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// Offset and length in bytes of pages that the mapping has.
    fn bytes(&self, pages: &Range<usize>) -> io::Result<(usize, usize)> {
        if pages.start > pages.end || pages.end > self.region.pages() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok((pages.start * PAGE_BYTES, pages.len() * PAGE_BYTES))
    }

    /// Makes withdrawn pages inaccessible, for virtual processors as well.
    pub(crate) fn guard(&self, guard: Guard, pages: &Range<usize>) -> io::Result<()> {
        let (offset, len) = self.bytes(pages)?;
        let Some(host) = &self.host else { return Ok(()) };
        // Also under a panic in a caller nothing of this process must fault on them.
        let withdrawn: usize =
            self.region.withdrawn_of(std::slice::from_ref(pages)).iter().map(Range::len).sum();
        if withdrawn != pages.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match guard {
            Guard::Markers => host.advise(offset, len, MADV_GUARD_INSTALL),
            Guard::Mappings => host.protect(offset, len, MprotectFlags::empty()),
        }
    }

    /// Makes pages accessible again.
    pub(crate) fn unguard(&self, guard: Guard, pages: &Range<usize>) -> io::Result<()> {
        let (offset, len) = self.bytes(pages)?;
        match (&self.host, guard) {
            (Some(host), Guard::Markers) => host.advise(offset, len, MADV_GUARD_REMOVE)?,
            (Some(host), Guard::Mappings) => {
                host.protect(offset, len, MprotectFlags::READ | MprotectFlags::WRITE)?;
            }
            (None, _) => {}
        }
        // SAFETY: memory of this process always is accessible; other pages are since the call above has succeeded.
        unsafe { self.region.reinstate(std::slice::from_ref(pages)) };
        if self.host.is_none() {
            // Where nothing is freed, the bytes are still there.
            for page in pages.clone().filter_map(|index| self.region.page(index)) {
                let _in_page = page.write(0, &[0; PAGE_BYTES]);
            }
        }
        Ok(())
    }

    /// Frees the bytes of some pages; they read as zeros afterwards.
    pub(crate) fn free(&self, pages: &Range<usize>) -> io::Result<()> {
        let (offset, len) = self.bytes(pages)?;
        let Some(host) = &self.host else { return Ok(()) };
        if let Some(file) = &host.file {
            // The hole takes the pages out of every mapping as well. Dropping them from the mapping alone would leave them
            // allocated in the file.
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            rustix::fs::fallocate(file.as_fd(), flags, offset as u64, len as u64)?;
            return Ok(());
        }
        host.advise(offset, len, libc::MADV_DONTNEED)
    }

    /// Bytes of host memory that the pages take now.
    pub(crate) fn resident(&self) -> io::Result<u64> {
        let Some(host) = &self.host else {
            let pages = self.region.pages().saturating_sub(self.region.withdrawn_pages());
            return Ok((pages * PAGE_BYTES) as u64);
        };
        if let Some(file) = &host.file {
            // Blocks of a file are 512 bytes, whatever its file system (documented, stat(3type)).
            let blocks = rustix::fs::fstat(file)?.st_blocks;
            return Ok(u64::try_from(blocks).unwrap_or(0) * 512);
        }
        let mut present = vec![0u8; self.region.pages()];
        // SAFETY: the range is this mapping, and the vector has a byte for each of its pages.
        let result = unsafe { libc::mincore(host.base.as_ptr().cast(), host.bytes, present.as_mut_ptr()) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(present.iter().filter(|&&page| page & 1 != 0).count() as u64 * PAGE_BYTES as u64)
    }
}

impl HostMapping {
    /// `offset` and `len` are of pages of the mapping; the advice is one that frees pages or guards them.
    fn advise(&self, offset: usize, len: usize, advice: libc::c_int) -> io::Result<()> {
        // SAFETY: inside the mapping (checked by the callers). The advice changes content to zeros, which a `Region` allows at any
        // time, or makes withdrawn pages inaccessible.
        let result = unsafe { libc::madvise(self.base.as_ptr().add(offset).cast(), len, advice) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// As above; access is taken from withdrawn pages only.
    fn protect(&self, offset: usize, len: usize, access: MprotectFlags) -> io::Result<()> {
        // SAFETY: inside the mapping (checked by the callers), whose bytes nobody has references to but views of pages that are not
        // withdrawn.
        unsafe { rustix::mm::mprotect(self.base.as_ptr().add(offset).cast(), len, access) }?;
        Ok(())
    }
}

impl Drop for HostMapping {
    fn drop(&mut self) {
        // SAFETY: made with this size; nothing refers to the mapping any more. A failure would leave it mapped, which is
        // harmless.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

fn bytes_of(pages: usize) -> io::Result<usize> {
    pages
        .checked_mul(PAGE_BYTES)
        .filter(|&bytes| bytes > 0 && isize::try_from(bytes).is_ok())
        .ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Gives a VM memory at `gpa`. The slot must be taken back with [`remove_slot`], or the VM be gone, before the mapping is
/// dropped: [`crate::ram::Ram`] holds both.
pub(crate) fn set_slot(vm: &VmFd, slot: u32, gpa: u64, mapping: &Mapping) -> io::Result<()> {
    let host = mapping.host.as_ref().ok_or(io::ErrorKind::InvalidInput)?;
    let region = kvm_userspace_memory_region {
        slot,
        flags: 0,
        guest_phys_addr: gpa,
        memory_size: host.bytes as u64,
        userspace_addr: host.base.as_ptr() as u64,
    };
    // SAFETY: the range is one mapping of this process. KVM follows changes of the mapping (MMU notifiers), so even an
    // early munmap would cost the guest its memory and nobody else theirs.
    unsafe { vm.set_user_memory_region(region) }?;
    Ok(())
}

/// Takes a slot from a VM.
pub(crate) fn remove_slot(vm: &VmFd, slot: u32) -> Result<(), kvm_ioctls::Error> {
    let region = kvm_userspace_memory_region { slot, ..Default::default() };
    // SAFETY: a slot of size 0 is a deletion; no memory is named.
    unsafe { vm.set_user_memory_region(region) }
}

/// The Hyper-V leaves that KVM supports.
pub(crate) fn supported_hv_cpuid(kvm: &Kvm) -> io::Result<CpuId> {
    let mut leaves = CpuId::new(HV_CPUID_ENTRIES).map_err(|_| io::ErrorKind::InvalidInput)?;
    let structure = leaves.as_mut_fam_struct_ptr();
    // SAFETY: the structure says how many entries have room behind it, and KVM writes no more than these; it says how many it wrote.
    let result =
        unsafe { vmm_sys_util::ioctl::ioctl_with_mut_ptr(kvm, KVM_GET_SUPPORTED_HV_CPUID(), structure) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(leaves) }
}

/// Has KVM signal `fd` when the guest signals `connection_id`, without an exit; or no longer.
pub(crate) fn connection_eventfd(
    vm: &VmFd,
    connection_id: u32,
    fd: &EventFd,
    assign: bool,
) -> io::Result<()> {
    let request = kvm_hyperv_eventfd {
        conn_id: connection_id,
        fd: fd.as_raw_fd(),
        flags: if assign { 0 } else { KVM_HYPERV_EVENTFD_DEASSIGN },
        padding: [0; 3],
    };
    // SAFETY: the ioctl reads one structure of this type; KVM takes its own reference of the eventfd.
    let result = unsafe { vmm_sys_util::ioctl::ioctl_with_ref(vm, KVM_HYPERV_EVENTFD(), &request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Where the bytes of an access to an I/O port are: in the pages that KVM shares with us.
pub(crate) struct PortData {
    start: *mut u8,
    len: usize,
}

impl PortData {
    /// Of the data that an exit came with.
    pub(crate) fn new(data: &mut [u8]) -> Self {
        Self { start: data.as_mut_ptr(), len: data.len() }
    }

    /// The bytes again, and how many of them each access has: a string instruction makes several accesses to one port, a wide one
    /// reaches the next ports as well. `None` if they are not those of the exit that this processor has just made.
    pub(crate) fn accesses(self, vcpu: &mut VcpuFd) -> Option<(usize, &mut [u8])> {
        let run: *mut kvm_run = vcpu.get_kvm_run();
        // SAFETY: the page is mapped as long as the vCPU, is written by KVM only while the vCPU runs, and all members of the union
        // are plain integers.
        let (reason, io) = unsafe { ((*run).exit_reason, (*run).__bindgen_anon_1.io) };
        let (width, count) = (usize::from(io.size), usize::try_from(io.count).ok()?);
        let offset = usize::try_from(io.data_offset).ok()?;
        let same = reason == KVM_EXIT_IO
            && self.start.addr() == run.addr().checked_add(offset)?
            && Some(self.len) == width.checked_mul(count)
            && width > 0;
        // SAFETY: the place where KVM put the data of this exit, as kvm-ioctls gave it to us (same start and length); the shared
        // pages stay mapped as long as the vCPU, which is borrowed.
        same.then(|| (width, unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }))
    }
}

/// Bytes of each access of an exit for port I/O; 1 after any other exit.
pub(crate) fn port_width(vcpu: &mut VcpuFd) -> usize {
    let run = vcpu.get_kvm_run();
    // SAFETY: as in `PortData::accesses`.
    let io = unsafe { run.__bindgen_anon_1.io };
    if run.exit_reason == KVM_EXIT_IO { usize::from(io.size).max(1) } else { 1 }
}

/// Why KVM hands a Hyper-V matter to user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HypervExit {
    /// The guest wrote a SynIC register: all of them as they are now.
    Synic { control: u64, event_page: u64, message_page: u64 },
    /// A hypercall that KVM leaves to us. The result is to be set before the vCPU goes on.
    Hypercall { control: u64, parameters: [u64; 2] },
    /// Something else, such as the synthetic debugger.
    Other(u32),
}

/// What the exit is about. To be called after `VcpuExit::Hyperv` only; any other time gives nonsense, but only that.
pub(crate) fn hyperv_exit(vcpu: &mut VcpuFd) -> HypervExit {
    let run = vcpu.get_kvm_run();
    // SAFETY: all members of the union are plain integers, for which every bit pattern is valid; the page is mapped as long
    // as the vCPU, and KVM writes it only while the vCPU runs, which needs `&mut`.
    unsafe {
        let exit = run.__bindgen_anon_1.hyperv;
        match exit.type_ {
            KVM_EXIT_HYPERV_SYNIC => HypervExit::Synic {
                control: exit.u.synic.control,
                event_page: exit.u.synic.evt_page,
                message_page: exit.u.synic.msg_page,
            },
            KVM_EXIT_HYPERV_HCALL => {
                HypervExit::Hypercall { control: exit.u.hcall.input, parameters: exit.u.hcall.params }
            }
            other => HypervExit::Other(other),
        }
    }
}

/// Sets what a hypercall returns.
pub(crate) fn set_hypercall_result(vcpu: &mut VcpuFd, result: u64) {
    let run = vcpu.get_kvm_run();
    run.__bindgen_anon_1.hyperv.u.hcall.result = result;
}
