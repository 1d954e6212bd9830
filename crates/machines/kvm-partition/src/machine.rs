//! A virtual machine: made, started, reset and stopped.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use kvm_bindings::{
    KVM_IRQ_ROUTING_HV_SINT, KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER,
    KVM_IRQCHIP_PIC_SLAVE, KvmIrqRouting, kvm_enable_cap, kvm_irq_routing_entry,
    kvm_irq_routing_entry__bindgen_ty_1, kvm_irq_routing_hv_sint, kvm_irq_routing_irqchip,
};
use kvm_ioctls::{Cap, Kvm, VcpuFd, VmFd};
use parking_lot::{Mutex, RwLock};
use partition::VMBUS_SINT;
use shared_memory::PAGE_BYTES;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::boot::{self, Boot};
use crate::capabilities::Capabilities;
use crate::config::{MAX_VPS, MachineConfig};
use crate::devices::Devices;
use crate::error::{MachineError, kvm};
use crate::event::{MachineEvent, MachineObserver};
use crate::kvm_partition::{Connected, KvmPartition};
use crate::serial::SERIAL_PORTS;
use crate::vcpu::{Counters, ExitCounts, Pause, Shared, VpThread};
use crate::{acpi, cpuid, registers};

/// Pins of KVM's IO-APIC; the SynIC's interrupts come behind them.
const IOAPIC_PINS: u32 = 24;
/// `KVM_CAP_HYPERV_SYNIC2` on a vCPU, which leaves the content of its pages alone.
const NO_FLAGS: u32 = 0;
/// Where KVM may put three pages of its own that real mode needs on Intel processors (documented, KVM_SET_TSS_ADDR): above all
/// memory and devices.
const TSS: usize = 0xfffb_d000;

/// A virtual machine with its guest.
pub struct Machine {
    kvm: Kvm,
    config: MachineConfig,
    observer: Arc<dyn MachineObserver>,
    partition: Arc<KvmPartition>,
    counters: Arc<Counters>,
    /// While it is on.
    running: Arc<RwLock<Option<Arc<Shared>>>>,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("name", &self.config.name).finish_non_exhaustive()
    }
}

/// A handle to a machine for code that does not own the machine. The handle follows resets, and does nothing to a
/// machine that is off.
#[derive(Clone)]
pub struct MachineControl(Arc<RwLock<Option<Arc<Shared>>>>);

impl std::fmt::Debug for MachineControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MachineControl").finish_non_exhaustive()
    }
}

impl MachineControl {
    fn shared(&self) -> Option<Arc<Shared>> {
        self.0.read().clone()
    }

    /// Types into serial port `port` (from 1). What the guest does not read is dropped beyond 4 KiB.
    pub fn type_in(&self, port: u8, bytes: &[u8]) {
        if let Some(shared) = self.shared() {
            shared.devices.input(port, bytes);
        }
    }

    /// Stops the clock of the guest: no processor runs until [`resume`](Self::resume). To be called from outside of the
    /// machine's own threads.
    pub fn pause(&self) {
        if let Some(shared) = self.shared() {
            shared.pause();
        }
    }

    /// Lets the guest run again.
    pub fn resume(&self) {
        if let Some(shared) = self.shared() {
            shared.resume();
        }
    }
}

impl Machine {
    /// Makes a machine and switches it on.
    ///
    /// # Errors
    /// See [`MachineError`].
    pub fn start(config: MachineConfig, observer: Arc<dyn MachineObserver>) -> Result<Self, MachineError> {
        if !(1..=MAX_VPS).contains(&config.vps) {
            return Err(MachineError::Processors(config.vps));
        }
        let window = acpi::MMIO_WINDOW.start / PAGE_BYTES as u64;
        if config.memory.last_run().is_some_and(|run| run.end() > window) {
            return Err(MachineError::TooLarge);
        }
        let capabilities = Capabilities::probe()?;
        capabilities.suffice()?;
        let failed = {
            let observer = Arc::clone(&observer);
            Box::new(move |why| observer.event(MachineEvent::Failed(why)))
        };
        let partition =
            KvmPartition::new(&config.name, config.vps, config.backing, failed).map_err(kvm("epoll"))?;
        if config.page_reporting && capabilities.page_reporting {
            partition.offer_page_reporting();
        }
        let mut machine = Self {
            kvm: Kvm::new().map_err(kvm("/dev/kvm"))?,
            partition: Arc::new(partition),
            config,
            observer,
            counters: Arc::default(),
            running: Arc::default(),
        };
        machine.switch_on()?;
        Ok(machine)
    }

    /// What the host sees of the guest.
    pub fn partition(&self) -> Arc<KvmPartition> {
        Arc::clone(&self.partition)
    }

    /// A hand on it for others.
    pub fn control(&self) -> MachineControl {
        MachineControl(Arc::clone(&self.running))
    }

    /// Exits of all processors since the machine was made.
    pub fn exits(&self) -> ExitCounts {
        self.counters.read()
    }

    /// A way to read the exits while other code owns the machine.
    pub fn exit_reader(&self) -> impl Fn() -> ExitCounts + Send + Sync + use<> {
        let counters = Arc::clone(&self.counters);
        move || counters.read()
    }

    /// Resets the machine: memory is boot RAM again and zero, the guest boots anew. Open ports stay open.
    ///
    /// # Errors
    /// See [`MachineError`]. The machine is off then.
    pub fn reset(&mut self) -> Result<(), MachineError> {
        self.stop();
        self.switch_on()
    }

    /// Switches the machine off. All its threads have ended when this returns.
    pub fn stop(&mut self) {
        let running = self.running.write().take();
        if let Some(shared) = running {
            shared.stop();
            self.partition.disconnect();
        }
    }

    fn switch_on(&mut self) -> Result<(), MachineError> {
        let made = self.build();
        if made.is_err() {
            self.partition.disconnect();
        }
        made
    }

    /// The order matters: interrupt controllers, memory, processors, their CPUID, SynIC, then routing and irqfds. Routing that
    /// names a SINT before its SynIC is on loses the notice that a message slot is free.
    fn build(&mut self) -> Result<(), MachineError> {
        let config = &self.config;
        let vm = Arc::new(self.kvm.create_vm().map_err(kvm("KVM_CREATE_VM"))?);
        vm.set_tss_address(TSS).map_err(kvm("KVM_SET_TSS_ADDR"))?;
        vm.create_irq_chip().map_err(kvm("KVM_CREATE_IRQCHIP"))?;
        for range in config.memory.runs() {
            self.partition.ram().add(range, Some(&vm))?;
        }
        let boot = Boot {
            kernel: &config.kernel,
            initramfs: &config.initramfs,
            command_line: &config.command_line,
            memory: &config.memory,
            vps: config.vps,
        };
        let entry = boot::write(self.partition.ram(), &boot)?;

        let mut vcpus = Vec::new();
        for vp in 0..config.vps {
            vcpus.push(self.vcpu(&vm, vp)?);
        }
        vm.set_gsi_routing(&routing(config.vps)?).map_err(kvm("KVM_SET_GSI_ROUTING"))?;
        let event = || EventFd::new(EFD_NONBLOCK).map_err(kvm("eventfd"));
        let (mut interrupts, mut slots_free) = (Vec::new(), Vec::new());
        for vp in 0..config.vps {
            let (line, free) = (event()?, event()?);
            vm.register_irqfd_with_resample(&line, &free, IOAPIC_PINS + vp).map_err(kvm("KVM_IRQFD"))?;
            interrupts.push(line);
            slots_free.push(free);
        }
        let mut lines = Vec::new();
        for (_, _, irq) in SERIAL_PORTS {
            let line = event()?;
            vm.register_irqfd(&line, irq).map_err(kvm("KVM_IRQFD"))?;
            lines.push(line);
        }
        let devices = Arc::new(Devices::new(lines, &self.observer));
        let connected = Connected { vm: Arc::clone(&vm), interrupts };
        self.partition.connect(connected, slots_free).map_err(kvm("epoll"))?;
        if let Some(first) = vcpus.first() {
            registers::set(first, entry).map_err(kvm("KVM_SET_SREGS"))?;
        }
        let shared = Arc::new(Shared {
            partition: Arc::clone(&self.partition),
            devices,
            observer: Arc::clone(&self.observer),
            counters: Arc::clone(&self.counters),
            stop: AtomicBool::new(false),
            pause: Pause::default(),
            threads: Mutex::default(),
        });
        *self.running.write() = Some(Arc::clone(&shared));
        for (vp, vcpu) in (0..).zip(vcpus) {
            match VpThread::start(&self.config.name, vp, vcpu, Arc::clone(&shared)) {
                Ok(thread) => shared.threads.lock().push(thread),
                Err(error) => {
                    self.stop();
                    return Err(kvm("thread of a virtual processor")(error));
                }
            }
        }
        Ok(())
    }

    fn vcpu(&self, vm: &VmFd, vp: u32) -> Result<VcpuFd, MachineError> {
        let vcpu = vm.create_vcpu(u64::from(vp)).map_err(kvm("KVM_CREATE_VCPU"))?;
        let leaves = cpuid::for_vp(&self.kvm, vp, self.config.vps, self.partition.reports_pages())
            .map_err(kvm("KVM_GET_SUPPORTED_CPUID"))?;
        vcpu.set_cpuid2(&leaves).map_err(kvm("KVM_SET_CPUID2"))?;
        let synic = kvm_enable_cap { cap: Cap::HypervSynic2 as u32, flags: NO_FLAGS, ..Default::default() };
        vcpu.enable_cap(&synic).map_err(kvm("KVM_CAP_HYPERV_SYNIC2"))?;
        Ok(vcpu)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// All lines: the request replaces the whole table, so PIC and IO-APIC are listed again.
fn routing(vps: u32) -> Result<KvmIrqRouting, MachineError> {
    let chip = |gsi: u32, irqchip: u32, pin: u32| kvm_irq_routing_entry {
        gsi,
        type_: KVM_IRQ_ROUTING_IRQCHIP,
        u: kvm_irq_routing_entry__bindgen_ty_1 { irqchip: kvm_irq_routing_irqchip { irqchip, pin } },
        ..Default::default()
    };
    let mut entries = Vec::new();
    for gsi in 0..IOAPIC_PINS {
        match gsi {
            0..8 => entries.push(chip(gsi, KVM_IRQCHIP_PIC_MASTER, gsi)),
            8..16 => entries.push(chip(gsi, KVM_IRQCHIP_PIC_SLAVE, gsi - 8)),
            _ => {}
        }
        entries.push(chip(gsi, KVM_IRQCHIP_IOAPIC, gsi));
    }
    for vp in 0..vps {
        let hv_sint = kvm_irq_routing_hv_sint { vcpu: vp, sint: u32::from(VMBUS_SINT) };
        entries.push(kvm_irq_routing_entry {
            gsi: IOAPIC_PINS + vp,
            type_: KVM_IRQ_ROUTING_HV_SINT,
            u: kvm_irq_routing_entry__bindgen_ty_1 { hv_sint },
            ..Default::default()
        });
    }
    KvmIrqRouting::from_entries(&entries).map_err(|_| MachineError::Kvm {
        call: "KVM_SET_GSI_ROUTING",
        error: io::ErrorKind::InvalidInput.into(),
    })
}
