//! Everything that Rust cannot check: mappings, memory slots, and what KVM leaves in the shared page of a vCPU.
#![expect(unsafe_code, reason = "mmap, KVM's ioctls without a safe wrapper, and the union in kvm_run")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;

use kvm_bindings::{
    KVM_EXIT_HYPERV_HCALL, KVM_EXIT_HYPERV_SYNIC, KVM_HYPERV_EVENTFD_DEASSIGN, kvm_hyperv_eventfd,
    kvm_userspace_memory_region,
};
use kvm_ioctls::{VcpuFd, VmFd};
use rustix::fs::{FallocateFlags, MemfdFlags};
use rustix::mm::{Advice, MapFlags, ProtFlags};
use shared_memory::{PAGE_BYTES, Region, RegionError};
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::ioctl_iow_nr;

/// KVM's ioctl group (documented, `KVMIO`).
const KVMIO: u32 = 0xae;
ioctl_iow_nr!(KVM_HYPERV_EVENTFD, KVMIO, 0xbd, kvm_hyperv_eventfd);

/// Zeroed pages of the host, mapped: what a memory slot is made of.
pub(crate) struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
    file: Option<OwnedFd>,
}

// SAFETY: an address range that stays mapped until drop; the bytes are reached through `Region`'s atomics only, and the
// methods here are system calls that may be made from any thread.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Anonymous memory.
    pub(crate) fn anonymous(pages: usize) -> io::Result<Arc<Self>> {
        let bytes = bytes_of(pages)?;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice cannot disturb another one.
        let base = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), bytes, prot, flags) }?;
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mmap gave address 0"))?;
        Ok(Arc::new(Self { base, bytes, file: None }))
    }

    /// Memory of a file that has no name.
    pub(crate) fn memfd(pages: usize) -> io::Result<Arc<Self>> {
        let bytes = bytes_of(pages)?;
        let file = rustix::fs::memfd_create("guest-ram", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&file, bytes as u64)?;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice cannot disturb another one.
        let base =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, prot, MapFlags::SHARED, &file, 0) }?;
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mmap gave address 0"))?;
        Ok(Arc::new(Self { base, bytes, file: Some(file) }))
    }

    /// Pages of the mapping.
    pub(crate) fn pages(&self) -> usize {
        self.bytes / PAGE_BYTES
    }

    /// Frees the bytes of some pages; they read as zeros afterwards.
    pub(crate) fn discard(&self, first: usize, pages: usize) -> io::Result<()> {
        let end = first.checked_add(pages).filter(|&end| end <= self.pages());
        if end.is_none() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (offset, len) = (first * PAGE_BYTES, pages * PAGE_BYTES);
        if let Some(file) = &self.file {
            // The hole takes the pages out of every mapping as well. Dropping them from the mapping alone would leave them
            // allocated in the file.
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            rustix::fs::fallocate(file.as_fd(), flags, offset as u64, len as u64)?;
            return Ok(());
        }
        // SAFETY: inside the mapping (just checked). The content is replaced by zeros, which a `Region` allows at any time.
        unsafe { rustix::mm::madvise(self.base.as_ptr().add(offset).cast(), len, Advice::LinuxDontNeed) }?;
        Ok(())
    }

    /// Bytes of host memory that the mapping takes now.
    pub(crate) fn resident(&self) -> io::Result<u64> {
        if let Some(file) = &self.file {
            // Blocks of a file are 512 bytes, whatever its file system (documented, stat(3type)).
            let blocks = rustix::fs::fstat(file)?.st_blocks;
            return Ok(u64::try_from(blocks).unwrap_or(0) * 512);
        }
        let mut present = vec![0u8; self.pages()];
        // SAFETY: the range is this mapping, and the vector has a byte for each of its pages.
        let result = unsafe { libc::mincore(self.base.as_ptr().cast(), self.bytes, present.as_mut_ptr()) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(present.iter().filter(|&&page| page & 1 != 0).count() as u64 * PAGE_BYTES as u64)
    }

    /// The mapping as pages of atomics. To be called once: all Rust accesses go through that one region.
    pub(crate) fn region(self: &Arc<Self>) -> Result<Arc<Region>, RegionError> {
        // SAFETY: page-aligned, mapped readable and writable until the owner given here is dropped, and a memfd of ours that
        // nobody else can truncate (the descriptor never leaves this struct). No other Rust code of this process has the
        // address: this method is called once, right after the mapping was made.
        unsafe { Region::from_raw(self.base, self.pages(), Box::new(Arc::clone(self))) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made with this size; nobody refers to it any more. A failure would leave it mapped, which is harmless.
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
pub(crate) fn set_slot(vm: &VmFd, slot: u32, gpa: u64, mapping: &Mapping) -> Result<(), kvm_ioctls::Error> {
    let region = kvm_userspace_memory_region {
        slot,
        flags: 0,
        guest_phys_addr: gpa,
        memory_size: mapping.bytes as u64,
        userspace_addr: mapping.base.as_ptr() as u64,
    };
    // SAFETY: the range is one mapping of this process. KVM follows changes of the mapping (MMU notifiers), so even an
    // early munmap would cost the guest its memory and nobody else theirs.
    unsafe { vm.set_user_memory_region(region) }
}

/// Takes a slot from a VM.
pub(crate) fn remove_slot(vm: &VmFd, slot: u32) -> Result<(), kvm_ioctls::Error> {
    let region = kvm_userspace_memory_region { slot, ..Default::default() };
    // SAFETY: a slot of size 0 is a deletion; no memory is named.
    unsafe { vm.set_user_memory_region(region) }
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
