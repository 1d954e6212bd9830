//! The thread of one virtual processor.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use kvm_bindings::{KVM_SYSTEM_EVENT_CRASH, KVM_SYSTEM_EVENT_RESET, Msrs, kvm_msr_entry};
use kvm_ioctls::{VcpuExit, VcpuFd};
use page_range::GuestPage;
use parking_lot::{Condvar, Mutex};
use partition::HvStatus;
use shared_memory::PAGE_BYTES;
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

use crate::devices::Devices;
use crate::event::{MachineEvent, MachineObserver};
use crate::hypercall::{self, Hypercall};
use crate::kvm_partition::KvmPartition;
use crate::panics::ended_by;
use crate::synic::Registers;
use crate::sys::{self, HypervExit, PortData};

/// HV_X64_MSR_CRASH_P0 to P4 (documented, TLFS).
const CRASH_PARAMETERS: u32 = 0x4000_0100;

macro_rules! exit_counts {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// How often virtual processors left the guest, by reason. Interrupts of this process are not counted.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct ExitCounts { $($(#[$doc])* pub $name: u64),+ }

        #[derive(Default)]
        pub(crate) struct Counters { $($name: AtomicU64),+ }

        impl Counters {
            pub(crate) fn read(&self) -> ExitCounts {
                ExitCounts { $($name: self.$name.load(Ordering::Relaxed)),+ }
            }
        }
    };
}
exit_counts! {
    /// Port I/O: the serial ports, above all.
    io,
    /// Addresses that are not memory.
    mmio,
    /// Writes of SynIC registers.
    synic,
    /// HvPostMessage.
    post_message,
    /// HvSignalEvent that KVM did not handle.
    signal_event,
    /// Extended hypercalls: free page reporting.
    extended,
    /// Everything else.
    other,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What the processors of a machine share.
pub(crate) struct Shared {
    pub(crate) partition: Arc<KvmPartition>,
    pub(crate) devices: Arc<Devices>,
    pub(crate) observer: Arc<dyn MachineObserver>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stop: AtomicBool,
    pub(crate) pause: Pause,
    pub(crate) threads: Mutex<Vec<VpThread>>,
}

/// Whether processors may run, and how many stand still.
#[derive(Default)]
pub(crate) struct Pause {
    wanted: AtomicBool,
    standing: Mutex<usize>,
    changed: Condvar,
}

/// A running virtual processor.
pub(crate) struct VpThread(JoinHandle<()>);

extern "C" fn interrupted(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

/// The signal that makes KVM_RUN return. Its handler does nothing.
fn kick() -> io::Result<libc::c_int> {
    static REGISTERED: OnceLock<Result<(), i32>> = OnceLock::new();
    let signal = SIGRTMIN();
    REGISTERED
        .get_or_init(|| {
            register_signal_handler(signal, interrupted).map_err(vmm_sys_util::errno::Error::errno)
        })
        .map_err(io::Error::from_raw_os_error)?;
    Ok(signal)
}

impl VpThread {
    pub(crate) fn start(name: &str, vp: u32, vcpu: VcpuFd, shared: Arc<Shared>) -> io::Result<Self> {
        kick()?;
        let thread = std::thread::Builder::new().name(format!("{name}/vp{vp}")).spawn(move || {
            let panicked = ended_by(|| {
                run(vp, vcpu, &shared);
                None
            });
            if let Some(why) = panicked {
                shared.observer.event(MachineEvent::Failed(format!("virtual processor {vp} {why}")));
            }
        })?;
        Ok(Self(thread))
    }
}

/// How long a signal gets to have its effect before it is sent again: a signal that comes just before KVM_RUN is lost.
const AGAIN: Duration = Duration::from_millis(2);

fn kick_all(threads: &[VpThread]) {
    if let Ok(signal) = kick() {
        for VpThread(thread) in threads.iter().filter(|thread| !thread.0.is_finished()) {
            let _gone_already = thread.kill(signal);
        }
    }
}

impl Shared {
    /// Stops all processors and waits for them.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.resume();
        let threads = std::mem::take(&mut *self.threads.lock());
        while threads.iter().any(|thread| !thread.0.is_finished()) {
            kick_all(&threads);
            std::thread::park_timeout(AGAIN);
        }
        for VpThread(thread) in threads {
            // A thread that panicked has said with what.
            let _ = thread.join();
        }
    }

    /// Keeps all processors from running, and waits until none does.
    pub(crate) fn pause(&self) {
        self.pause.wanted.store(true, Ordering::SeqCst);
        loop {
            {
                let threads = self.threads.lock();
                let running = threads.iter().filter(|thread| !thread.0.is_finished()).count();
                if *self.pause.standing.lock() >= running {
                    return;
                }
                kick_all(&threads);
            }
            let mut standing = self.pause.standing.lock();
            self.pause.changed.wait_for(&mut standing, AGAIN);
        }
    }

    /// Lets them run again.
    pub(crate) fn resume(&self) {
        let _standing = self.pause.standing.lock();
        self.pause.wanted.store(false, Ordering::SeqCst);
        self.pause.changed.notify_all();
    }

    fn stand_still(&self) {
        let mut standing = self.pause.standing.lock();
        *standing += 1;
        self.pause.changed.notify_all();
        while self.pause.wanted.load(Ordering::SeqCst) && !self.stop.load(Ordering::SeqCst) {
            self.pause.changed.wait(&mut standing);
        }
        *standing -= 1;
    }
}

fn run(vp: u32, mut vcpu: VcpuFd, shared: &Shared) {
    while !shared.stop.load(Ordering::SeqCst) {
        if shared.pause.wanted.load(Ordering::SeqCst) {
            shared.stand_still();
            continue;
        }
        if let Some(event) = step(vp, &mut vcpu, shared) {
            shared.observer.event(event);
            return;
        }
    }
}

/// Runs the guest until it leaves once.
fn step(vp: u32, vcpu: &mut VcpuFd, shared: &Shared) -> Option<MachineEvent> {
    let Shared { partition, devices, counters, .. } = shared;
    match vcpu.run() {
        Ok(VcpuExit::IoIn(port, data)) => {
            count(&counters.io);
            if let Some((width, data)) = PortData::new(data).accesses(vcpu) {
                devices.read_all(port, width, data);
            }
            None
        }
        Ok(VcpuExit::IoOut(port, data)) => {
            count(&counters.io);
            // The width says where an access ends.
            let data = data.to_vec();
            let width = sys::port_width(vcpu);
            devices.write_all(port, width, &data)
        }
        Ok(VcpuExit::MmioRead(address, data)) => {
            count(&counters.mmio);
            data.fill(0xff);
            no_memory(partition, address)
        }
        Ok(VcpuExit::MmioWrite(address, _)) => {
            count(&counters.mmio);
            no_memory(partition, address)
        }
        Ok(VcpuExit::Hyperv) => {
            match sys::hyperv_exit(vcpu) {
                HypervExit::Synic { control, event_page, message_page } => {
                    count(&counters.synic);
                    partition.set_registers(vp, Registers { control, event_page, message_page });
                }
                HypervExit::Hypercall { control, parameters } => {
                    let result = hypercall(partition, shared, control, parameters);
                    sys::set_hypercall_result(vcpu, result);
                }
                HypervExit::Other(_) => count(&counters.other),
            }
            None
        }
        Ok(VcpuExit::SystemEvent(KVM_SYSTEM_EVENT_CRASH, _)) => {
            Some(MachineEvent::Crashed { parameters: crash_parameters(vcpu) })
        }
        Ok(VcpuExit::SystemEvent(KVM_SYSTEM_EVENT_RESET, _)) => Some(MachineEvent::Reset),
        Ok(VcpuExit::SystemEvent(..)) => Some(MachineEvent::PoweredOff),
        // A processor that faults in its fault handlers is reset on real hardware. Here it would boot again and again.
        Ok(VcpuExit::Shutdown) => Some(MachineEvent::Failed("triple fault".to_owned())),
        Ok(VcpuExit::FailEntry(reason, _)) => Some(MachineEvent::Failed(format!(
            "the processor refuses to enter the guest: reason {reason:#x}"
        ))),
        // With an interrupt controller inside KVM a processor that halts stays there.
        Ok(VcpuExit::Hlt) => {
            Some(MachineEvent::Failed("the processor halts, and nothing can wake it".to_owned()))
        }
        Ok(VcpuExit::InternalError) => {
            Some(MachineEvent::Failed("KVM cannot go on with this guest (internal error)".to_owned()))
        }
        // The guest's memory is mapped here, so what cannot be reached is guarded, or the host has no memory left for it.
        Ok(VcpuExit::MemoryFault { gpa, .. }) => {
            Some(trespassed(partition, Some(GuestPage(gpa / PAGE_BYTES as u64))))
        }
        Ok(_) => {
            count(&counters.other);
            None
        }
        Err(error) if error.errno() == libc::EFAULT => Some(trespassed(partition, None)),
        // Interrupted by a signal; EAGAIN: a secondary processor that waits for its start-up interrupt.
        Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => None,
        Err(error) => Some(MachineEvent::Failed(format!("KVM_RUN: {error}"))),
    }
}

/// Where KVM emulates an instruction (and where it has no second-level page tables, always) a guarded page is no memory to it.
fn no_memory(partition: &KvmPartition, address: u64) -> Option<MachineEvent> {
    let page = GuestPage(address / PAGE_BYTES as u64);
    partition.ram().is_guarded(page).then(|| trespassed(partition, Some(page)))
}

fn trespassed(partition: &KvmPartition, page: Option<GuestPage>) -> MachineEvent {
    MachineEvent::Trespassed { page, guarded: partition.ram().guarded_pages() }
}

fn hypercall(partition: &KvmPartition, shared: &Shared, control: u64, parameters: [u64; 2]) -> u64 {
    match hypercall::decode(partition.ram(), partition.reports_pages(), control, parameters) {
        Ok(Hypercall::PostMessage { connection_id, payload }) => {
            count(&shared.counters.post_message);
            hypercall::status(partition.post_message(connection_id, &payload))
        }
        Ok(Hypercall::SignalEvent { connection_id, flag }) => {
            count(&shared.counters.signal_event);
            hypercall::status(partition.signal_event(connection_id, flag))
        }
        Ok(Hypercall::QueryCapabilities { output }) => {
            count(&shared.counters.extended);
            hypercall::status(partition.tell_capabilities(output))
        }
        Ok(Hypercall::ReportFree { ranges }) => {
            count(&shared.counters.extended);
            match partition.free_reported(&ranges) {
                HvStatus::Success => hypercall::done(ranges.len()),
                refused => hypercall::status(refused),
            }
        }
        Err(status) => {
            count(&shared.counters.other);
            status
        }
    }
}

fn crash_parameters(vcpu: &VcpuFd) -> [u64; 5] {
    let mut parameters = [0; 5];
    let wanted: Vec<_> = (CRASH_PARAMETERS..)
        .take(parameters.len())
        .map(|index| kvm_msr_entry { index, ..Default::default() })
        .collect();
    if let Ok(mut msrs) = Msrs::from_entries(&wanted)
        && vcpu.get_msrs(&mut msrs).is_ok_and(|read| read == parameters.len())
    {
        for (parameter, msr) in parameters.iter_mut().zip(msrs.as_slice()) {
            *parameter = msr.data;
        }
    }
    parameters
}

#[cfg(test)]
mod tests;
