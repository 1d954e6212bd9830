//! The management of a host of QEMU guests: finds them, brings them to the balancer, follows them as they come and go. What `vmms.exe` is to
//! Hyper-V, without the VMs' lives, which are somebody else's.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use balancing_policy::{MemorySettings, PageCount, ParentState, Policy, VmId};
use component_runtime::{
    Address, Component, ComponentId, Context, Mailbox, NextWake, Runtime, SimTime, WakeCause,
};
use memory_balancer::{BalancerConfig, Input};
use page_range::HostMemory;
use vmms_host::{BalancerMessage, SharedBalancer, VmmsMessage};

use crate::link::Connect;
use crate::message::{HostCommand, HostMessage, QemuMessage, WorkerId};
use crate::pressure::{Growth, HostMemoryState};
use crate::rules::Rules;
use crate::session::Facts;
use crate::snapshot::{Place, SharedSeen, Snapshot, VmSnapshot};
use crate::worker::{OLDEST_REPORT, Worker, WorkerSpec};

/// How often is looked at the host.
const TICK: Duration = Duration::from_secs(1);
/// Every so many times is looked for VMs. Invented.
const TICKS_TO_LOOK: u64 = 2;
/// How often a VM is brought to the balancer again for which there is not enough memory. Documented for Hyper-V's starts.
const RETRY_ADMISSION: Duration = Duration::from_secs(30);
/// How long a socket is left alone behind which there is nothing. Invented.
const RETRY_PLACE: Duration = Duration::from_secs(10);
/// The VMs are short if what they need and a part of this size more is not there. Invented: less than any buffer.
const SHORTAGE_SHARE: u64 = 20;
/// VMs that run already may together have so many times the host's memory beyond it, and are looked after all the same. Invented.
const BEYOND: u64 = 7;

/// Where VMs are looked for, and what the host says of its memory: everything that comes from outside, beside the connections.
pub trait Surroundings: Send {
    /// Where there may be QEMUs; `None`: where there were the last time.
    fn places(&mut self) -> Option<Vec<Place>>;
    /// What the host says of its memory, if it does.
    fn memory(&mut self) -> Option<HostMemoryState>;
    /// Whether [`watch`](Self::watch) wants to be shown everything in this second. Of a thousand VMs that is much.
    fn watches(&mut self, _now: Duration) -> bool {
        true
    }
    /// Is shown everything, once in each second in which it wants to be.
    fn watch(&mut self, _snapshot: &Arc<Snapshot>) {}
}

/// How a host is made.
pub struct QemuHostConfig {
    /// All memory of the host.
    pub memory: PageCount,
    /// Nothing is asked of QEMU that moves memory.
    pub dry_run: bool,
    /// Time since 1970 when the run begins.
    pub began: Duration,
    /// The balancer's configuration; its reserve is that of the rules.
    pub balancer: BalancerConfig,
    /// The policy.
    pub policy: Box<dyn Policy>,
    /// What is said about VMs and host.
    pub rules: Arc<dyn Rules>,
    /// How QEMUs are reached.
    pub connect: Arc<dyn Connect>,
    /// Everything else from outside.
    pub surroundings: Box<dyn Surroundings>,
}

impl QemuHostConfig {
    /// The balancer's configuration for a host with this memory: as for any other host, but that nothing is done on reports that are old, and VMs
    /// have no overhead of their own (it is in the reserve).
    #[must_use]
    pub fn balancer_for(memory: PageCount) -> BalancerConfig {
        BalancerConfig {
            overhead_per_vm: PageCount::ZERO,
            report_timeout: OLDEST_REPORT,
            ..BalancerConfig::for_host(memory)
        }
    }
}

/// A host that is seated.
pub struct QemuHost {
    /// Where commands go.
    pub host: Address<HostMessage>,
    /// The balancer's books and counters.
    pub balancer: SharedBalancer,
    /// The home of all frames.
    pub memory: Arc<HostMemory>,
}

impl QemuHost {
    /// Seats management and balancer. Nothing runs before the runtime does.
    pub fn build(runtime: &mut Runtime, config: QemuHostConfig) -> Self {
        let seat = runtime.seat("dynmemd", None);
        let (host, inbox) = seat.mailbox::<HostMessage>();
        let (vmms, from_balancer) = seat.mailbox::<VmmsMessage>();
        let reserve = config.rules.reserve(config.memory).min(config.memory);
        let beyond = PageCount(config.memory.get().saturating_mul(BEYOND));
        let balancer = BalancerConfig { reserve, beyond, ..config.balancer };
        let minted = config.memory.saturating_add(beyond);
        let balancer = vmms_host::seat_balancer(runtime, minted, balancer, config.policy, vmms);
        let component = Management {
            inbox,
            from_balancer,
            own: host.clone(),
            to_balancer: balancer.address,
            balancer: balancer.shared.clone(),
            total: config.memory,
            dry_run: config.dry_run,
            began: config.began,
            rules: config.rules,
            connect: config.connect,
            surroundings: config.surroundings,
            workers: BTreeMap::new(),
            names: BTreeMap::new(),
            left_alone: BTreeMap::new(),
            places: Vec::new(),
            look_anew: false,
            next_worker: 0,
            next_tick: Duration::ZERO,
            ticks: 0,
            paused: false,
            shortage: Arc::default(),
            hurry: false,
            growth: Growth::default(),
            host_state: None,
            reserve,
            parent: ParentState::default(),
        };
        seat.start(Box::new(component));
        Self { host, balancer: balancer.shared, memory: balancer.memory }
    }
}

struct Entry {
    place: Place,
    component: ComponentId,
    address: Address<QemuMessage>,
    orders: Address<vmms_host::WorkerMessage>,
    found: Option<Found>,
    seen: SharedSeen,
    overrun: PageCount,
    trouble: Option<Arc<str>>,
}

struct Found {
    name: Arc<str>,
    facts: Arc<Facts>,
    settings: MemorySettings,
    vm: VmId,
    admitted: bool,
    /// When the balancer is asked again.
    ask_at: Duration,
    told_to_wait: bool,
}

struct Management {
    inbox: Mailbox<HostMessage>,
    from_balancer: Mailbox<VmmsMessage>,
    own: Address<HostMessage>,
    to_balancer: Address<BalancerMessage>,
    balancer: SharedBalancer,
    total: PageCount,
    dry_run: bool,
    began: Duration,
    rules: Arc<dyn Rules>,
    connect: Arc<dyn Connect>,
    surroundings: Box<dyn Surroundings>,
    workers: BTreeMap<WorkerId, Entry>,
    /// The balancer's numbers of all VMs that were ever here, by name: a VM that comes again is the same.
    names: BTreeMap<Arc<str>, VmId>,
    /// Where there was nothing, and until when that is believed.
    left_alone: BTreeMap<Place, (Duration, Arc<str>)>,
    /// Where was looked last, and whether a worker has gone since: otherwise the same places have nothing new.
    places: Vec<Place>,
    look_anew: bool,
    next_worker: u64,
    next_tick: Duration,
    ticks: u64,
    paused: bool,
    shortage: Arc<AtomicBool>,
    /// The host is short of memory itself, or its VMs are.
    hurry: bool,
    growth: Growth,
    host_state: Option<HostMemoryState>,
    reserve: PageCount,
    parent: ParentState,
}

impl Management {
    fn tell_balancer(&self, ctx: &mut Context<'_>, input: Input) {
        ctx.send(&self.to_balancer, BalancerMessage::Input(input));
    }

    fn tick(&mut self, ctx: &mut Context<'_>, now: Duration) {
        if self.ticks.is_multiple_of(TICKS_TO_LOOK) {
            self.look_for_vms(ctx, now);
        }
        self.ticks += 1;
        self.look_at_the_host(ctx, now);
        let waiting: Vec<WorkerId> = self
            .workers
            .iter()
            .filter(|(_, entry)| {
                entry.found.as_ref().is_some_and(|found| !found.admitted && now >= found.ask_at)
            })
            .map(|(&id, _)| id)
            .collect();
        for worker in waiting {
            self.admit(ctx, now, worker);
        }
        if self.surroundings.watches(now) {
            let snapshot = Arc::new(self.snapshot(now));
            self.surroundings.watch(&snapshot);
        }
    }

    fn look_for_vms(&mut self, ctx: &mut Context<'_>, now: Duration) {
        let expired = self.left_alone.extract_if(.., |_, (until, _)| *until <= now);
        let before: BTreeMap<Place, Arc<str>> = expired.map(|(place, (_, why))| (place, why)).collect();
        let new = self.surroundings.places().filter(|places| *places != self.places);
        if !std::mem::take(&mut self.look_anew) && before.is_empty() && new.is_none() {
            return;
        }
        if let Some(new) = new {
            self.places = new;
        }
        // As text: a path compares its parts one by one, and there are thousands.
        let there: BTreeSet<&OsStr> = self.places.iter().map(|place| place.as_os_str()).collect();
        // Where there never was a VM, and now there is not even a place for one.
        let vanished = self
            .workers
            .extract_if(.., |_, entry| entry.found.is_none() && !there.contains(entry.place.as_os_str()));
        for (_, entry) in vanished.collect::<Vec<_>>() {
            ctx.kill(entry.component);
        }
        let known: BTreeSet<&OsStr> = self.workers.values().map(|entry| entry.place.as_os_str()).collect();
        let new: Vec<Place> = there
            .difference(&known)
            .map(Place::from)
            .filter(|place| !self.left_alone.contains_key(place))
            .collect();
        for place in new {
            // Until it is found, what was wrong with it still is.
            let trouble = before.get(&place).cloned();
            self.begin(ctx, place, trouble);
        }
    }

    fn begin(&mut self, ctx: &mut Context<'_>, place: Place, trouble: Option<Arc<str>>) {
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        let label =
            place.file_stem().map_or_else(|| "vm".to_owned(), |name| name.to_string_lossy().into_owned());
        let seat = ctx.seat("qemu-worker", Some(&label));
        let (address, inbox) = seat.mailbox();
        let (orders, orders_inbox) = seat.mailbox();
        let bell = seat.doorbell();
        let seen = SharedSeen::default();
        let spec = WorkerSpec {
            id,
            place: place.clone(),
            connect: Arc::clone(&self.connect),
            balancer: self.to_balancer.clone(),
            host: self.own.clone(),
            dry_run: self.dry_run,
            shortage: Arc::clone(&self.shortage),
            seen: seen.clone(),
            began: self.began,
        };
        let component = seat.id();
        seat.start(Box::new(Worker::new(spec, bell, orders_inbox, inbox)));
        if self.hurry {
            ctx.send(&address, QemuMessage::Hurry(true));
        }
        let entry =
            Entry { place, component, address, orders, found: None, seen, overrun: PageCount::ZERO, trouble };
        self.workers.insert(id, entry);
    }

    fn look_at_the_host(&mut self, ctx: &mut Context<'_>, now: Duration) {
        self.host_state = self.surroundings.memory();
        let configured = self.rules.reserve(self.total);
        let grown = match self.host_state {
            // In a dry run the VMs keep what the books give away.
            Some(state) if !self.dry_run => self.growth.follow(now, configured, state.available),
            _ => PageCount::ZERO,
        };
        let overrun: PageCount =
            self.workers.values().map(|entry| entry.overrun).fold(PageCount::ZERO, PageCount::saturating_add);
        let reserve = configured.saturating_add(grown).saturating_add(overrun).min(self.total);
        if std::mem::replace(&mut self.reserve, reserve) != reserve {
            tracing::info!(
                event = "memory_reserve",
                mb = reserve.whole_mib(),
                configured_mb = configured.whole_mib(),
                pressure_mb = grown.whole_mib(),
                overrun_mb = overrun.whole_mib()
            );
            self.tell_balancer(ctx, Input::SetReserve(reserve));
        }
        // The host's stalls are the parent's: policies that look at them see them, and rounds go on as ever.
        let stalled = self.host_state.map_or(0.0, |state| state.stalled_percent);
        let parent = ParentState::new(stalled, 1.0);
        if std::mem::replace(&mut self.parent, parent) != parent {
            self.tell_balancer(ctx, Input::ParentState(parent));
        }
        let demand: PageCount = self
            .workers
            .values()
            .filter(|entry| entry.found.as_ref().is_some_and(|found| found.admitted))
            .map(|entry| {
                let seen = entry.seen.look();
                seen.report.map_or(seen.actual, |(_, status)| status.demand)
            })
            .fold(PageCount::ZERO, PageCount::saturating_add);
        // A guest cannot say that it needs more than it has: where all need nearly all, there is not enough.
        let nearly = demand.saturating_add(PageCount(demand.get() / SHORTAGE_SHARE));
        let shortage = !demand.is_zero() && nearly > self.total.saturating_sub(reserve);
        let hurry = shortage || !grown.is_zero() || !overrun.is_zero();
        if std::mem::replace(&mut self.hurry, hurry) != hurry {
            for entry in self.workers.values() {
                ctx.send(&entry.address, QemuMessage::Hurry(hurry));
            }
        }
        if self.shortage.swap(shortage, Ordering::Relaxed) != shortage {
            tracing::warn!(event = "shortage", begins = shortage, demand_mb = demand.whole_mib());
        }
    }

    /// A name that no other VM has.
    fn name(&self, worker: WorkerId, facts: &Facts) -> Arc<str> {
        let entry = self.workers.get(&worker);
        let stem =
            entry.and_then(|entry| entry.place.file_stem()).map(|stem| stem.to_string_lossy().into_owned());
        let wanted = facts.name.clone().or(stem).unwrap_or_else(|| "vm".to_owned());
        // What counter paths cannot hold is no part of a name.
        let wanted: String = wanted
            .chars()
            .map(|c| if c.is_control() || "\\\"()/#".contains(c) { '_' } else { c })
            .take(80)
            .collect();
        let wanted = if wanted.is_empty() { "vm".to_owned() } else { wanted };
        let taken: BTreeSet<String> = self
            .workers
            .iter()
            .filter(|(id, _)| **id != worker)
            .filter_map(|(_, entry)| entry.found.as_ref().map(|found| found.name.to_lowercase()))
            .collect();
        let free = |name: &String| !taken.contains(&name.to_lowercase());
        let name = std::iter::once(wanted.clone())
            .chain((2_u32..).map(|number| format!("{wanted}-{number}")))
            .find(free);
        Arc::from(name.unwrap_or(wanted))
    }

    fn found(&mut self, ctx: &mut Context<'_>, now: Duration, worker: WorkerId, facts: Facts) {
        let name = self.name(worker, &facts);
        let next = VmId(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        let vm = *self.names.entry(Arc::clone(&name)).or_insert(next);
        let settings = self.starting_settings(&name, &facts);
        tracing::info!(
            event = "vm_found",
            vm = &*name,
            device = facts.device.name(),
            actual = PageCount::from_bytes(facts.actual).get(),
            maximum = PageCount::from_bytes(facts.limits.most).get()
        );
        if vm == next {
            ctx.send(&self.to_balancer, BalancerMessage::Register { vm, name: Arc::clone(&name), settings });
        }
        let Some(entry) = self.workers.get_mut(&worker) else { return };
        entry.found = Some(Found {
            name,
            facts: Arc::new(facts),
            settings,
            vm,
            admitted: false,
            ask_at: now,
            told_to_wait: false,
        });
        self.admit(ctx, now, worker);
    }

    /// Settings with which the VM enters the books: it has what it has, whatever its bounds are.
    fn starting_settings(&self, name: &str, facts: &Facts) -> MemorySettings {
        let actual = PageCount::from_bytes(facts.actual).max(PageCount(1));
        let rules = self.rules.vm(name);
        let most = PageCount::from_bytes(facts.limits.most).max(actual);
        MemorySettings::dynamic(actual, most)
            .with_minimum(PageCount(1))
            .with_buffer(rules.buffer)
            .with_weight(rules.weight)
    }

    fn settings(&self, name: &str, facts: &Facts, actual: PageCount) -> MemorySettings {
        let (least, most) =
            (PageCount::from_bytes(facts.limits.least), PageCount::from_bytes(facts.limits.most));
        self.rules.vm(name).settings(actual, least, most)
    }

    /// Brings the VM to the balancer with what it has.
    fn admit(&mut self, ctx: &mut Context<'_>, now: Duration, worker: WorkerId) {
        let Some(entry) = self.workers.get(&worker) else { return };
        let Some(found) = &entry.found else { return };
        let facts = Facts { actual: entry.seen.look().actual.bytes(), ..(*found.facts).clone() };
        let (vm, settings) = (found.vm, self.starting_settings(&found.name, &facts));
        ctx.send(&self.to_balancer, BalancerMessage::Configure { vm, settings });
        ctx.send(&self.to_balancer, BalancerMessage::Worker { vm, worker: Some(entry.orders.clone()) });
        self.tell_balancer(ctx, Input::TakeOver { vm });
        if let Some(found) = self.workers.get_mut(&worker).and_then(|entry| entry.found.as_mut()) {
            found.ask_at = now + RETRY_ADMISSION;
        }
    }

    fn of_vm(&self, vm: VmId) -> Option<WorkerId> {
        let of = |entry: &Entry| entry.found.as_ref().is_some_and(|found| found.vm == vm);
        self.workers.iter().find(|(_, entry)| of(entry)).map(|(&id, _)| id)
    }

    fn balancer_says(&mut self, ctx: &mut Context<'_>, now: Duration, message: VmmsMessage) {
        match message {
            VmmsMessage::Admitted { vm, frames } => {
                let Some(worker) = self.of_vm(vm) else {
                    // The VM went meanwhile: its frames go home, and its account is closed.
                    drop(frames);
                    self.tell_balancer(ctx, Input::VmStopped { vm });
                    return;
                };
                let hold = self.hold_of(worker);
                let Some(entry) = self.workers.get_mut(&worker) else { return };
                let actual = frames.pages();
                ctx.send(&entry.address, QemuMessage::Hold(hold));
                ctx.send(&entry.address, QemuMessage::Adopt { vm, frames });
                if let Some(found) = &mut entry.found {
                    (found.admitted, found.told_to_wait) = (true, false);
                }
                self.configure(ctx, worker, actual);
            }
            VmmsMessage::StartRefused { vm, required, available, .. } => {
                let worker = self.of_vm(vm);
                let found = worker.and_then(|worker| self.workers.get_mut(&worker)?.found.as_mut());
                if let Some(found) = found
                    && !std::mem::replace(&mut found.told_to_wait, true)
                {
                    tracing::warn!(
                        event = "start_refused",
                        vm = &*found.name,
                        required_mb = required.whole_mib(),
                        available_mb = available.whole_mib()
                    );
                    found.ask_at = now + RETRY_ADMISSION;
                }
            }
            // What a management that starts and stops VMs is told.
            _ => {}
        }
    }

    fn hold_of(&self, worker: WorkerId) -> Option<&'static str> {
        let found = self.workers.get(&worker).and_then(|entry| entry.found.as_ref())?;
        if self.paused {
            Some("the daemon is paused")
        } else {
            (!self.rules.vm(&found.name).on).then_some("it is switched off in the configuration")
        }
    }

    /// Tells the balancer what is said about the VM, which has `actual`.
    fn configure(&mut self, ctx: &mut Context<'_>, worker: WorkerId, actual: PageCount) {
        let Some(entry) = self.workers.get(&worker) else { return };
        let Some(found) = entry.found.as_ref().filter(|found| found.admitted) else { return };
        let settings = self.settings(&found.name, &found.facts, actual);
        ctx.send(&self.to_balancer, BalancerMessage::Configure { vm: found.vm, settings });
        if let Some(found) = self.workers.get_mut(&worker).and_then(|entry| entry.found.as_mut()) {
            found.settings = settings;
        }
    }

    fn gone(&mut self, ctx: &mut Context<'_>, now: Duration, worker: WorkerId, why: &str) {
        let Some(entry) = self.workers.remove(&worker) else { return };
        self.look_anew = true;
        ctx.kill(entry.component);
        self.left_alone.insert(entry.place, (now + RETRY_PLACE, Arc::from(why)));
        if let Some(found) = entry.found {
            tracing::info!(event = "vm_gone", vm = &*found.name, why = why);
            ctx.send(&self.to_balancer, BalancerMessage::Worker { vm: found.vm, worker: None });
            let vm = found.vm;
            self.tell_balancer(
                ctx,
                if found.admitted { Input::VmStopped { vm } } else { Input::StartCancelled { vm } },
            );
        }
    }

    fn message(&mut self, ctx: &mut Context<'_>, now: Duration, message: HostMessage) {
        match message {
            HostMessage::Found { worker, facts } => self.found(ctx, now, worker, facts),
            HostMessage::Overrun { worker, pages } => {
                if let Some(entry) = self.workers.get_mut(&worker) {
                    entry.overrun = pages;
                }
                self.look_at_the_host(ctx, now);
            }
            HostMessage::Trouble { worker, why } => {
                if let Some(entry) = self.workers.get_mut(&worker) {
                    entry.trouble = Some(Arc::from(why));
                }
            }
            HostMessage::Gone { worker } => self.gone(ctx, now, worker, "its QEMU has ended"),
            HostMessage::Useless { worker, why } => self.gone(ctx, now, worker, &why.to_string()),
            HostMessage::Command(HostCommand::Rules(rules)) => {
                self.rules = rules;
                self.say_anew(ctx);
                self.look_at_the_host(ctx, now);
            }
            HostMessage::Command(HostCommand::Pause(paused)) => {
                // Every change of the rules says it again.
                if std::mem::replace(&mut self.paused, paused) != paused {
                    tracing::info!(event = "paused", paused = paused);
                    self.say_anew(ctx);
                }
            }
            HostMessage::Command(HostCommand::Look(to)) => {
                // Whoever has waited too long does not want it any more.
                let _gone = to.try_send(Arc::new(self.snapshot(now)));
            }
        }
    }

    /// The rules, or whether they are followed, have changed.
    fn say_anew(&mut self, ctx: &mut Context<'_>) {
        let workers: Vec<WorkerId> = self.workers.keys().copied().collect();
        for worker in workers {
            let hold = self.hold_of(worker);
            if let Some(entry) = self.workers.get(&worker) {
                ctx.send(&entry.address, QemuMessage::Hold(hold));
                let actual = entry.seen.look().actual;
                self.configure(ctx, worker, actual);
            }
        }
    }

    fn snapshot(&self, now: Duration) -> Snapshot {
        let engine = self.balancer.look();
        let mut vms: Vec<VmSnapshot> = self
            .workers
            .values()
            .filter_map(|entry| {
                let found = entry.found.as_ref()?;
                let views = engine.vms();
                let view = views.binary_search_by_key(&found.vm, |view| view.id).ok();
                let view = view.and_then(|at| views.get(at)).filter(|_| found.admitted);
                Some(VmSnapshot {
                    name: Arc::clone(&found.name),
                    vm: found.admitted.then_some(found.vm),
                    facts: Arc::clone(&found.facts),
                    settings: found.settings,
                    seen: entry.seen.look().clone(),
                    assigned: view.map(|view| view.assigned),
                    counted: view.map(|view| view.phase).zip(engine.counters_of(found.vm)),
                    target: engine.target(found.vm).copied().filter(|_| found.admitted),
                    waits: !found.admitted,
                })
            })
            .collect();
        vms.sort_by(|a, b| a.name.cmp(&b.name));
        let unreached = self.workers.values().filter(|entry| entry.found.is_none());
        let unreached = unreached.filter_map(|entry| Some((&entry.place, entry.trouble.as_ref()?)));
        let left_alone = self.left_alone.iter().map(|(place, (_, why))| (place, why));
        let troubles = unreached.chain(left_alone).map(|(place, why)| (place.clone(), Arc::clone(why)));
        Snapshot {
            now,
            ledger: engine.ledger(),
            policy: Arc::from(engine.policy_name()),
            host: self.host_state,
            total: self.total,
            reserve: self.reserve,
            shortage: self.shortage.load(Ordering::Relaxed),
            system: engine.system_counters(),
            troubles: troubles.collect(),
            vms,
        }
    }
}

impl Component for Management {
    fn wake(&mut self, now: SimTime, _cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        let now: Duration = now.into();
        while let Some(message) = ctx.recv(&mut self.from_balancer) {
            self.balancer_says(ctx, now, message);
        }
        while let Some(message) = ctx.recv(&mut self.inbox) {
            self.message(ctx, now, message);
        }
        if now >= self.next_tick {
            component_runtime::trace::set_cause(component_runtime::trace::Cause::NONE);
            self.tick(ctx, now);
            self.next_tick = now + TICK;
        }
        NextWake::At(SimTime::from(self.next_tick))
    }
}
