//! A simulated virtual machine: partition, operating system, drivers.

use std::sync::Arc;
use std::time::Duration;

use component_runtime::random::stream;
use component_runtime::{Address, ComponentId, Context};
use dm_vsc::{DriverVersion, Faults, VscConfig};
use guest_memory_manager::agent::{Agent, AgentConfig};
use guest_memory_manager::{
    Counters, DmVersion, Guest, GuestConfig, GuestProfile, IntegrationServices, Kernel, PageFileSize,
};
use machine_contract::{
    ChannelDevice, HostPartition, PartitionError, PartitionFactory, PartitionRequest, RunningPartition,
    VmFactory,
};
use model_sync::Mutex;
use page_range::{GuestRange, PageCount};
use partition::{GuestMemory as _, GuestSynic as _, SimulatedPartition};
use vmbus::control::client::ClientConfig;
use vmbus::control::{VMBUS_SINT, Version};

use crate::agent::AgentDriver;
use crate::bus::GuestBus;
use crate::components::{BusCommand, BusComponent, GuestCommand, GuestComponent};
use crate::dm::{DmDriver, FaultSwitch};
use crate::driver::ChannelDriver;
use crate::storage::StorageDriver;

/// What a simulated VM is made of.
#[derive(Clone, Debug)]
pub struct MachineConfig {
    /// Its operating system.
    pub profile: GuestProfile,
    /// The integration services in it.
    pub services: IntegrationServices,
    /// Its page file.
    pub page_file: PageFileSize,
    /// Virtual processors.
    pub vcpus: u32,
    /// The VMBus versions that its bus driver tries, in this order; default: 4.0 and older, which the simulated host offers.
    pub bus_versions: Vec<Version>,
    /// Its DM VSC; `None`: that of the profile.
    pub driver: Option<VscConfig>,
    /// Disks that the host offers it: its files lie on the first, its page file on the last. Without any, the guest pages as fast as its
    /// model says.
    pub disks: u8,
    /// What an agent in the guest measures, for a host that asks for it; nothing: there is no agent.
    pub agent: AgentConfig,
    /// Seed of its random numbers; the VM's name is mixed in.
    pub seed: u64,
}

/// Makes drivers besides the DM VSC, at every boot.
pub type MoreDrivers = dyn Fn() -> Vec<Box<dyn ChannelDriver>> + Send + Sync;

/// Makes the host's halves of devices besides Dynamic Memory, at every start.
pub type MoreDevices = dyn Fn() -> Vec<Box<dyn ChannelDevice>> + Send + Sync;

/// What stays the same over the boots of a VM, for the user at its console and for monitoring.
#[derive(Clone, Debug, Default)]
pub struct Console {
    inner: Arc<Mutex<ConsoleState>>,
}

#[derive(Debug, Default)]
struct ConsoleState {
    guest: Option<Arc<Mutex<Guest>>>,
    commands: Option<(Address<GuestCommand>, Address<BusCommand>)>,
    faults: Arc<Mutex<FaultSwitch>>,
    boots: u64,
}

impl Console {
    /// Gives a command to the guest. `false`: no guest is switched on.
    pub fn command(&self, ctx: &mut Context<'_>, command: GuestCommand) -> bool {
        let commands = self.inner.lock().commands.clone();
        commands.is_some_and(|(guest, _)| ctx.send(&guest, command))
    }

    /// Gives a command to the guest's bus driver. `false`: no guest is switched on.
    pub fn bus_command(&self, ctx: &mut Context<'_>, command: BusCommand) -> bool {
        let commands = self.inner.lock().commands.clone();
        commands.is_some_and(|(_, bus)| ctx.send(&bus, command))
    }

    /// The guest's own counters, while it is switched on.
    #[must_use]
    pub fn counters(&self) -> Option<Counters> {
        let guest = self.inner.lock().guest.clone();
        guest.map(|guest| guest.lock().counters())
    }

    /// Looks into the guest, while it is switched on. The guest waits meanwhile.
    pub fn look<R>(&self, look: impl FnOnce(&Guest) -> R) -> Option<R> {
        let guest = self.inner.lock().guest.clone();
        guest.map(|guest| look(&guest.lock()))
    }

    fn look_in(&self, change: impl FnOnce(&mut Guest)) {
        let guest = self.inner.lock().guest.clone();
        if let Some(guest) = guest {
            change(&mut guest.lock());
        }
    }

    /// Gives the guest's DM VSC these faults; they last until it is given others, over reboots too.
    pub fn set_faults(&self, faults: Faults) {
        self.inner.lock().faults.lock().set(faults);
    }

    fn switched_on(&self, guest: Arc<Mutex<Guest>>, commands: (Address<GuestCommand>, Address<BusCommand>)) {
        let mut state = self.inner.lock();
        state.guest = Some(guest);
        state.commands = Some(commands);
    }

    fn switched_off(&self) {
        let mut state = self.inner.lock();
        state.guest = None;
        state.commands = None;
    }
}

/// A simulated VM: what it is made of, and its console. As a factory it makes the machine at each start.
#[derive(Clone)]
pub struct SimulatedVm {
    /// What it is made of.
    pub config: MachineConfig,
    /// The console, the same over all starts.
    pub console: Console,
    /// Drivers besides the DM VSC.
    pub drivers: Arc<MoreDrivers>,
    /// The host's halves of devices besides Dynamic Memory.
    pub devices: Arc<MoreDevices>,
}

impl SimulatedVm {
    /// A VM with no devices but Dynamic Memory.
    #[must_use]
    pub fn new(config: MachineConfig) -> Self {
        Self { config, console: Console::default(), drivers: Arc::new(Vec::new), devices: Arc::new(Vec::new) }
    }
}

impl VmFactory for SimulatedVm {
    fn partition(&mut self) -> Box<dyn PartitionFactory> {
        Box::new(self.clone())
    }

    fn devices(&mut self) -> Vec<Box<dyn ChannelDevice>> {
        (self.devices)()
    }
}

impl PartitionFactory for SimulatedVm {
    fn start(
        &mut self,
        ctx: &mut Context<'_>,
        request: &PartitionRequest<'_>,
    ) -> Result<Box<dyn RunningPartition>, PartitionError> {
        let mut machine = SimulatedMachine {
            config: self.config.clone(),
            drivers: Arc::clone(&self.drivers),
            console: self.console.clone(),
            partition: SimulatedPartition::new(self.config.vcpus.max(1)),
            components: Vec::new(),
        };
        machine.boot(ctx, request)?;
        Ok(Box::new(machine))
    }
}

/// A simulated VM that is switched on.
struct SimulatedMachine {
    config: MachineConfig,
    drivers: Arc<MoreDrivers>,
    console: Console,
    partition: SimulatedPartition,
    components: Vec<ComponentId>,
}

impl RunningPartition for SimulatedMachine {
    fn host(&self) -> Arc<dyn HostPartition> {
        Arc::new(self.partition.host())
    }

    fn reset(&mut self, ctx: &mut Context<'_>, request: &PartitionRequest<'_>) -> Result<(), PartitionError> {
        self.stop(ctx);
        self.partition.host().reset();
        self.boot(ctx, request)
    }

    fn paged_by_host(&mut self, ctx: &mut Context<'_>, pages: PageCount) {
        let now: Duration = ctx.now().into();
        self.console.look_in(|guest| guest.paged_by_host(now, pages));
    }

    fn shut_down(&mut self, ctx: &mut Context<'_>) {
        self.console.command(ctx, GuestCommand::ShutDown);
    }

    fn stop(&mut self, ctx: &mut Context<'_>) {
        self.console.switched_off();
        for component in self.components.drain(..) {
            ctx.kill(component);
        }
    }
}

impl SimulatedMachine {
    fn boot(&mut self, ctx: &mut Context<'_>, request: &PartitionRequest<'_>) -> Result<(), PartitionError> {
        let now: Duration = ctx.now().into();
        let ram: Vec<GuestRange> = request.boot.runs().collect();
        for &range in &ram {
            self.partition.host().add(range).map_err(|error| PartitionError(error.to_string()))?;
        }
        let boots = {
            let mut state = self.console.inner.lock();
            state.boots += 1;
            state.boots
        };
        let config = GuestConfig {
            profile: self.config.profile,
            services: self.config.services,
            ram,
            page_file: self.config.page_file,
        };
        let rng = stream(self.config.seed, &format!("guest/{}/boot {boots}", request.vm));
        let mut guest = Guest::new(&config, now, rng);
        if self.config.disks > 0 {
            guest.use_disk();
        }
        let guest = Arc::new(Mutex::new(guest));

        let mut os_seat = ctx.seat("guest", Some(request.vm));
        let mut bus_seat = ctx.seat("dm-vsc", Some(request.vm));
        (request.watch)(&mut os_seat);
        (request.watch)(&mut bus_seat);
        let (commands, console_inbox) = os_seat.mailbox();
        let (to_bus, bus_inbox) = bus_seat.mailbox::<BusCommand>();

        let side = Arc::new(self.partition.guest());
        let interrupt = side.on_interrupt(0, VMBUS_SINT, bus_seat.doorbell().into_fn());
        debug_assert!(interrupt.is_ok(), "there is a VP 0: {interrupt:?}");
        let mut drivers = (self.drivers)();
        if self.config.disks > 0 {
            let (ram, kernel) = (Arc::new(self.partition.guest()), os_seat.doorbell());
            drivers.push(Box::new(StorageDriver::new(self.config.disks, Arc::clone(&guest), ram, kernel)));
        }
        if self.config.agent.measures() {
            let agent = Agent::new(self.config.agent, self.config.vcpus);
            drivers.push(Box::new(AgentDriver::new(agent, Arc::clone(&guest))));
        }
        if guest.lock().dynamic_memory().is_ok() {
            let faults = Arc::clone(&self.console.inner.lock().faults);
            let config = self.config.driver.clone().unwrap_or_else(|| driver_config(&self.config.profile));
            let driver = DmDriver::new(config, Arc::clone(&guest), faults, os_seat.doorbell());
            drivers.push(Box::new(driver));
        }
        let client = ClientConfig::default().with(|c| c.versions = self.config.bus_versions.clone());
        let bus = GuestBus::new(client, side, Arc::clone(&guest), request.lanes.clone(), drivers);

        self.console.switched_on(Arc::clone(&guest), (commands.clone(), to_bus.clone()));
        let os = GuestComponent {
            driver: (self.config.disks > 0).then(|| bus_seat.doorbell()),
            guest,
            inbox: console_inbox,
            bus: to_bus,
            power: request.power.clone(),
            applications: Vec::new(),
            events: Vec::new(),
            connected: false,
            halted: false,
        };
        let bus = BusComponent {
            bus,
            inbox: bus_inbox,
            power: request.power.clone(),
            guest: commands,
            leaving: None,
        };
        self.components.push(os_seat.start(Box::new(os)));
        self.components.push(bus_seat.start(Box::new(bus)));
        Ok(())
    }
}

/// The DM VSC that comes with a guest operating system.
#[must_use]
pub fn driver_config(profile: &GuestProfile) -> VscConfig {
    let version = |version: &DmVersion| match version {
        DmVersion::Win7 => DriverVersion::V0_3,
        DmVersion::Win8 => DriverVersion::V1_0,
        DmVersion::Win10 => DriverVersion::V2_0,
    };
    let usual = match profile.family().kernel {
        Kernel::Windows => VscConfig::windows(DriverVersion::V0_3),
        Kernel::Linux => VscConfig::linux(),
    };
    usual.with(|config| {
        config.proposals = profile.dm_versions().iter().map(version).collect();
        config.hot_add_alignment = u32::from(profile.hot_add_alignment());
    })
}

/// The VMBus versions of guests of the time: 4.0 and older.
#[must_use]
pub fn default_bus_versions() -> Vec<Version> {
    Version::SPOKEN.iter().copied().filter(|&version| version <= Version::WIN10).collect()
}
