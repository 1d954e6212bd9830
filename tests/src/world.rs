//! A host and its VMs, put together piece by piece.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use balancing_policy::{MemorySettings, VmId};
use component_runtime::random::stream;
use component_runtime::{
    Component, Context, Driver, EndReason, NextWake, RunConfig, RunEnd, Runtime, SimTime, WakeCause,
};
use guest_memory_manager::agent::AgentConfig;
use guest_memory_manager::workload::{SawtoothConfig, WorkloadConfig};
use guest_memory_manager::{IntegrationServices, PageFileSize, find_profile};
use guest_partition::{Console, GuestCommand, MachineConfig, SimulatedVm, default_bus_versions};
use machine_contract::VmFactory;
use memory_balancer::hyperv::PressureBandPolicy;
use model_sync::Mutex;
use page_range::PageCount;
use vmms_host::{
    Host, HostConfig, HostEdition, SharedBalancer, SharedStatus, VmConfig, VmStatus, VmmsCommand, VmmsMessage,
};

/// A VM with this guest profile and no devices but Dynamic Memory.
///
/// # Panics
/// If there is no such profile.
#[must_use]
pub fn ordinary(profile: &str, seed: u64) -> SimulatedVm {
    let Some(profile) = find_profile(profile).ok().copied() else { panic!("no profile {profile}") };
    SimulatedVm::new(MachineConfig {
        profile,
        services: IntegrationServices::Current,
        page_file: PageFileSize::Fixed(PageCount::from_mib(1024)),
        vcpus: 1,
        bus_versions: default_bus_versions(),
        driver: None,
        disks: 0,
        agent: AgentConfig::default(),
        seed,
    })
}

/// Memory settings in MiB, with the usual buffer and weight.
#[must_use]
pub fn settings(startup: u64, minimum: u64, maximum: u64) -> MemorySettings {
    MemorySettings::dynamic(PageCount::from_mib(startup), PageCount::from_mib(maximum))
        .with_minimum(PageCount::from_mib(minimum))
}

/// A VM for [`World::new`].
#[must_use]
pub fn vm(name: &str, settings: MemorySettings, factory: impl VmFactory + 'static) -> VmConfig {
    VmConfig { name: Arc::from(name), settings, factory: Box::new(factory) }
}

/// Something that is done at some time.
pub type Deed = Box<dyn FnOnce(&mut Context<'_>, &Hands) + Send>;

/// What a script works with.
#[derive(Clone)]
pub struct Hands {
    vmms: component_runtime::Address<VmmsMessage>,
    /// The balancer's books.
    pub balancer: SharedBalancer,
    /// The states of the VMs.
    pub status: SharedStatus,
}

impl Hands {
    /// Commands the management service.
    pub fn command(&self, ctx: &mut Context<'_>, command: VmmsCommand) {
        ctx.send(&self.vmms, VmmsMessage::Command(command));
    }

    /// One VM's state.
    #[must_use]
    pub fn vm(&self, vm: u32) -> VmStatus {
        self.status.look().vms.get(vm as usize).cloned().unwrap_or_default()
    }

    /// What a running VM has.
    #[must_use]
    pub fn assigned(&self, vm: u32) -> PageCount {
        self.balancer.vm(VmId(vm)).map_or(PageCount::ZERO, |counters| counters.physical)
    }
}

/// A host with its VMs, before it runs.
pub struct World {
    runtime: Runtime,
    host: Host,
    script: Vec<(Duration, Deed)>,
    /// How often the books are checked.
    pub look: Duration,
}

/// A world at its end.
pub struct Ended {
    /// How the runtime ended.
    pub end: RunEnd,
    /// What it leaves.
    pub hands: Hands,
    /// What did not hold: nothing, if all is well.
    pub trouble: Option<String>,
}

impl Ended {
    /// Asserts that every invariant held and that no component panicked.
    ///
    /// # Panics
    /// If not.
    pub fn assert_well(&self) {
        assert_eq!(self.trouble, None);
        assert_eq!(self.end.panics, []);
        assert_eq!(self.end.reason, EndReason::Until);
    }
}

/// A run without threads, in virtual time, until then.
#[must_use]
pub fn run_config(until: Duration, schedule_seed: Option<u64>) -> RunConfig {
    RunConfig {
        schedule_seed,
        until: SimTime::from(until),
        watchdog: None,
        ..RunConfig::virtual_time(Driver::Inline)
    }
}

/// A host of this many MiB, whose guests are asked soon after they have joined.
#[must_use]
pub fn host_config(mib: u64) -> HostConfig {
    let mut config = HostConfig::new(PageCount::from_mib(mib));
    config.edition = HostEdition::Unlimited;
    config.memory_reserve = Some(PageCount::from_mib(256));
    config.dynamic_memory.quiet_period = Duration::from_secs(2);
    config.shutdown_timeout = Duration::from_secs(20);
    config
}

impl World {
    /// Builds a host with Hyper-V's policy.
    ///
    /// # Panics
    /// If the configuration cannot be driven.
    #[must_use]
    pub fn new(run: RunConfig, config: HostConfig, vms: Vec<VmConfig>) -> Self {
        let mut runtime = match Runtime::new(run) {
            Ok(runtime) => runtime,
            Err(error) => panic!("{error}"),
        };
        let policy = Box::new(PressureBandPolicy::new(memory_balancer::hyperv::HyperVConfig::default()));
        let host = Host::build(&mut runtime, config, vms, policy);
        Self { runtime, host, script: Vec::new(), look: LOOK }
    }

    /// What a script works with.
    #[must_use]
    pub fn hands(&self) -> Hands {
        Hands {
            vmms: self.host.vmms.clone(),
            balancer: self.host.balancer.clone(),
            status: self.host.status.clone(),
        }
    }

    /// Has something done at some time.
    pub fn at(&mut self, time: Duration, deed: impl FnOnce(&mut Context<'_>, &Hands) + Send + 'static) {
        self.script.push((time, Box::new(deed)));
    }

    /// Has the management service commanded at some time.
    pub fn command_at(&mut self, time: Duration, command: VmmsCommand) {
        self.at(time, move |ctx, hands| hands.command(ctx, command));
    }

    /// From some time on, a workload in an ordinary guest rises to this many MiB in this time, falls in as much, and so on.
    pub fn sawtooth_at(&mut self, time: Duration, console: &Console, high: u64, rise: Duration) {
        let config = WorkloadConfig::Sawtooth(SawtoothConfig {
            low: PageCount::ZERO,
            high: PageCount::from_mib(high),
            rise,
            fall: rise,
            phase: Duration::ZERO,
            interval: Duration::from_secs(1),
            active_share: 1.0,
        });
        let console = console.clone();
        self.at(time, move |ctx, _| {
            if let Ok(workload) = config.build(stream(1, "sawtooth"), None) {
                console.command(ctx, GuestCommand::Run { name: Arc::from("sawtooth"), workload });
            }
        });
    }

    /// Runs it to its end, with the books checked many times a second.
    #[must_use]
    pub fn run(mut self) -> Ended {
        let hands = self.hands();
        let trouble = Arc::new(Mutex::new(None));
        self.script.sort_by_key(|(time, _)| *time);
        let watcher = Watcher {
            script: self.script.into(),
            hands: hands.clone(),
            next: Duration::ZERO,
            look: self.look,
            trouble: Arc::clone(&trouble),
        };
        self.runtime.seat("watcher", None).start(Box::new(watcher));
        let end = self.runtime.run();
        let mut trouble = trouble.lock().take();
        if trouble.is_none() {
            trouble = self.host.all_home(end.time.into()).err();
        }
        Ended { end, hands, trouble }
    }
}

/// Carries the script out, and checks the books.
struct Watcher {
    script: VecDeque<(Duration, Deed)>,
    hands: Hands,
    next: Duration,
    look: Duration,
    trouble: Arc<Mutex<Option<String>>>,
}

/// How often the books are checked if nothing else is said. No divisor of a second, so that it meets every phase of what happens once a second.
const LOOK: Duration = Duration::from_millis(37);

impl Component for Watcher {
    fn wake(&mut self, now: SimTime, _cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        let now = Duration::from(now);
        while self.script.front().is_some_and(|(time, _)| *time <= now) {
            if let Some((_, deed)) = self.script.pop_front() {
                deed(ctx, &self.hands);
            }
        }
        if now >= self.next {
            let engine = self.hands.balancer.look();
            let ledger = engine.ledger();
            if !engine.books_in_order() || !ledger.balances() {
                drop(engine);
                self.trouble.lock().get_or_insert(format!("at {now:?}: {ledger:?}"));
                ctx.stop_run("the books are not in order");
            }
            self.next = now + self.look;
        }
        let deed = self.script.front().map_or(self.next, |(time, _)| *time);
        NextWake::At(SimTime::from(deed.min(self.next)))
    }
}
