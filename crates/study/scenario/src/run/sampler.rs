//! Looks at all counters at fixed times, as a performance monitor does.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use balancing_policy::{Phase, VmId, VmView};
use component_runtime::{Component, Context, NextWake, SimTime, WakeCause};
use guest_partition::Console;
use memory_balancer::SystemCounters;
use page_range::PageCount;
use parking_lot::Mutex;
use perf_counters::{
    BalancerCounters, BusCounters, GuestCounters, Layout, MapCounters, Memory, ModelCounters,
    ModelGuestCounters, ModelVmCounters, ParentCounters, Percent, Rate, Sample, Seconds, StorageCounters,
    VmCounters, VmSample, balance,
};
use vmms_host::storage::StorageHandle;
use vmms_host::{ParentStatus, SharedBalancer, SharedStatus, SharedVmStatistics, VmState, VmStatistics};

use super::kept::Points;
use super::options::{CounterWatch, Observer};
use super::outputs::CounterLog;
use super::points::{HostPoint, Point, VmPoint};

/// What the sampler has collected.
pub(crate) struct Collected {
    pub(crate) points: Points,
    /// Where the counters go, if they are written.
    pub(crate) log: Option<CounterLog>,
    /// The first thing that went wrong: a sum that did not hold, or a file that could not be written.
    pub(crate) trouble: Option<String>,
}

pub(crate) struct Sampler {
    pub(crate) interval: Duration,
    pub(crate) next: Duration,
    pub(crate) layout: Arc<Layout>,
    pub(crate) balancer: SharedBalancer,
    pub(crate) status: SharedStatus,
    pub(crate) consoles: Vec<Console>,
    pub(crate) statistics: Vec<SharedVmStatistics>,
    pub(crate) host_memory: PageCount,
    pub(crate) sample: Sample,
    /// Of each VM: its virtual hard disks.
    pub(crate) storage: Vec<StorageHandle>,
    /// What they had done at the sample before.
    pub(crate) disk_use: Vec<DiskUse>,
    /// Page reads and writes of each guest at the sample before.
    pub(crate) paging: Vec<(u64, u64)>,
    pub(crate) collected: Arc<Mutex<Collected>>,
    /// Each sample is in the file at once, for whoever watches a run of the real time.
    pub(crate) write_out: bool,
    /// Also checks every guest's books: slow, for exploring.
    pub(crate) check_guests: bool,
    /// Told of the time at every sample.
    pub(crate) progress: Option<Arc<dyn Fn(Duration) + Send + Sync>>,
    /// Shown every sample.
    pub(crate) observer: Option<Observer>,
    /// Shown the counters of every sample.
    pub(crate) watch_counters: Option<CounterWatch>,
}

/// What the disks of a VM have done together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DiskUse {
    reads: u64,
    writes: u64,
    bytes_read: u64,
    bytes_written: u64,
    failed: u64,
    queue: u64,
    read_time: Duration,
    write_time: Duration,
}

impl DiskUse {
    fn of(handle: &StorageHandle) -> Self {
        handle.statistics().values().fold(Self::default(), |all, disk| Self {
            reads: all.reads + disk.reads,
            writes: all.writes + disk.writes,
            bytes_read: all.bytes_read + disk.bytes_read,
            bytes_written: all.bytes_written + disk.bytes_written,
            failed: all.failed + disk.failed,
            queue: all.queue + disk.queue,
            read_time: all.read_time + disk.read_time,
            write_time: all.write_time + disk.write_time,
        })
    }

    /// As counters, with what was done since `before`: disks that were attached anew count from 0 again.
    fn counters(&self, before: &Self, interval: Duration) -> StorageCounters {
        let since = |total: u64, before: u64| total.checked_sub(before).unwrap_or(total);
        let mean = |time: Duration, before: Duration, count: u64| {
            let spent = time.checked_sub(before).unwrap_or(time);
            let count = u32::try_from(count).ok().filter(|&count| count > 0)?;
            Some(Seconds::from_duration(spent / count))
        };
        StorageCounters {
            read_count: Some(self.reads),
            write_count: Some(self.writes),
            read_bytes: Rate::from_events(since(self.bytes_read, before.bytes_read), interval),
            write_bytes: Rate::from_events(since(self.bytes_written, before.bytes_written), interval),
            error_count: Some(self.failed),
            queue_length: Some(self.queue),
            read_latency: mean(self.read_time, before.read_time, since(self.reads, before.reads)),
            write_latency: mean(self.write_time, before.write_time, since(self.writes, before.writes)),
        }
    }
}

fn memory(pages: PageCount) -> Option<Memory> {
    Some(Memory::from_pages(pages.get()))
}

/// A count for a point, which has no room for more.
fn count(count: u64) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}

/// Model memory in MiB as whole pages.
fn mib(mib: f64) -> Option<Memory> {
    Some(Memory::from_pages((mib.max(0.0) * 256.0) as u64))
}

impl Sampler {
    fn take(&mut self, now: Duration) -> Result<ControlFlow<String>, String> {
        let mut point = Point { time: now, ..Point::default() };
        self.sample.reset(now);
        let parent = self.look_at_vmms(&mut point);
        self.look_at_balancer(&mut point, &parent)?;
        self.look_into_guests(&mut point)?;
        self.look_at_disks();
        balance::check(&self.layout, &self.sample).map_err(|imbalance| imbalance.to_string())?;
        if let Some(watch) = &mut self.watch_counters {
            watch(&self.layout, &self.sample);
        }
        let seen = self.observer.as_mut().map_or(ControlFlow::Continue(()), |observer| observer(&point));
        let mut collected = self.collected.lock();
        if let Some(log) = &mut collected.log {
            let written = log.write(&self.sample);
            let written = written.and_then(|()| if self.write_out { log.flush() } else { Ok(()) });
            written.map_err(|error| format!("cannot write the counters: {error}"))?;
        }
        collected.points.push(point);
        Ok(seen)
    }

    /// The VMs' states, and the parent OS.
    fn look_at_vmms(&mut self, point: &mut Point) -> ParentStatus {
        let status = self.status.look();
        point.vms = self
            .layout
            .vms()
            .iter()
            .enumerate()
            .map(|(index, _)| VmPoint {
                state: status.vms.get(index).map_or(VmState::Off, |vm| vm.state),
                ..VmPoint::default()
            })
            .collect();
        self.sample.parent = ParentCounters {
            available: mib(status.parent.free_mib),
            page_reads: Rate::from_f64(status.parent.reads_per_second),
        };
        status.parent
    }

    /// The balancer's counters: its own, and those of each VM.
    fn look_at_balancer(&mut self, point: &mut Point, parent: &ParentStatus) -> Result<(), String> {
        let engine = self.balancer.look();
        let system = engine.system_counters();
        (self.sample.balancer, self.sample.model) = host_counters(&system, self.host_memory);
        point.host = HostPoint {
            available: system.available,
            assigned: system.assigned,
            in_transit: system.in_transit,
            overhead: system.overhead,
            reserve: system.reserve,
            average_pressure: system.average_pressure,
            parent_free_mib: parent.free_mib,
            parent_reads_per_second: parent.reads_per_second,
            parent_reads_total: parent.reads_total,
            slowdown: parent.slowdown,
            available_runs: count(engine.available_runs() as u64),
        };
        if !engine.books_in_order() {
            return Err(format!("the balancer's books are not in order: {:?}", engine.ledger()));
        }
        let views = engine.vms();
        let vms = self.sample.vms.iter_mut().zip(&mut point.vms).zip(&self.statistics);
        for (id, ((sample, point), statistics)) in (0..).zip(vms) {
            // At the very beginning the balancer has not heard of the VM.
            let Some(counters) = engine.counters_of(VmId(id)) else { continue };
            let view = views.binary_search_by_key(&counters.vm, |view| view.id).ok().map(|at| &views[at]);
            // The startup RAM is on the way to the VM until the VM's worker has mapped it: nothing to add up yet, no more than
            // for a VM that is off.
            let running = view.filter(|view| view.phase != Phase::Starting);
            *sample = VmSample {
                bus: running.map_or_else(BusCounters::default, |_| bus_counters_of(&statistics.look())),
                map: running.map_or_else(MapCounters::default, |_| map_counters_of(&statistics.look())),
                ..vm_counters(&counters, view)
            };
            let (map, paged) = running
                .map(|_| {
                    let seen = statistics.look();
                    (seen.map, seen.paged)
                })
                .unwrap_or_default();
            *point = VmPoint {
                state: point.state,
                large_pages: count(map.large_pages),
                small_pages: count(map.small_pages),
                map_runs: count(map.runs as u64),
                running: running.is_some(),
                physical: counters.physical,
                paged,
                visible: counters.guest_visible,
                target: counters.target,
                demand: counters.demand,
                pressure: counters.current_pressure,
                added: counters.added,
                removed: counters.removed,
                operations: counters.add_operations + counters.remove_operations,
                ..VmPoint::default()
            };
        }
        Ok(())
    }

    /// What the VMs' virtual hard disks have done.
    fn look_at_disks(&mut self) {
        let disks = self.sample.storage.iter_mut().zip(&self.storage).zip(&mut self.disk_use);
        for ((counters, handle), before) in disks {
            let now = DiskUse::of(handle);
            *counters = now.counters(before, self.interval);
            *before = now;
        }
    }

    /// What a monitor inside each guest sees.
    fn look_into_guests(&mut self, point: &mut Point) -> Result<(), String> {
        let vms = self.sample.vms.iter_mut().zip(&mut point.vms).zip(&mut self.paging);
        for (index, (console, ((sample, point), before))) in self.consoles.iter().zip(vms).enumerate() {
            let seen = console.look(|guest| (guest.counters(), guest.memory().run_count()));
            let Some((guest, runs)) = seen else {
                *before = (0, 0);
                continue;
            };
            // A guest that has restarted counts from 0 again.
            let since = |total: u64, before: u64| total.checked_sub(before).unwrap_or(total);
            sample.guest = GuestCounters {
                available: memory(guest.available),
                committed_bytes: Some(guest.committed.bytes()),
                page_reads: Rate::from_events(since(guest.page_reads, before.0), self.interval),
                page_writes: Rate::from_events(since(guest.page_writes, before.1), self.interval),
            };
            sample.model_guest = ModelGuestCounters { driver_locked: memory(guest.driver_locked()) };
            *before = (guest.page_reads, guest.page_writes);
            point.guest_runs = count(runs as u64);
            point.guest_available = Some(guest.available);
            point.guest_committed = guest.committed;
            point.guest_commit = guest.committed.saturating_sub(guest.ballooned);
            point.guest_page_reads = guest.page_reads;
            point.guest_file_reads = guest.cache_faults;
            point.guest_page_writes = guest.page_writes;
            sample.model.refused = memory(guest.refused);
            point.guest_refused = guest.refused;
            point.guest_commit_failures = guest.commit_failures;
            point.guest_stall = guest.stall;
            let seen = console.look(|guest| (guest.wanted(), guest.works()));
            (point.guest_wanted, point.guest_works) = seen.unwrap_or((point.guest_commit, false));
            if self.check_guests
                && let Some(Err(problem)) = console.look(guest_memory_manager::Guest::check)
            {
                return Err(format!("{}: {problem}", self.layout.vms()[index]));
            }
        }
        Ok(())
    }
}

/// The counters of a balancer and the rest of its ledger, of a host with this memory.
#[must_use]
pub fn host_counters(system: &SystemCounters, host_memory: PageCount) -> (BalancerCounters, ModelCounters) {
    let balancer = BalancerCounters {
        added_memory: memory(system.added),
        available_memory: memory(system.available),
        average_pressure: Percent::from_f64(system.average_pressure),
        memory_add_operations: Some(system.add_operations),
        memory_remove_operations: Some(system.remove_operations),
        removed_memory: memory(system.removed),
    };
    let model = ModelCounters {
        host_memory: memory(host_memory),
        in_transit: memory(system.in_transit),
        granted: memory(system.granted),
        set_aside: memory(system.set_aside),
        coming_home: memory(system.coming_home),
        overhead: memory(system.overhead),
        reserve: memory(system.reserve),
    };
    (balancer, model)
}

/// What the balancer has counted of a VM, which it sees so while the VM runs.
#[must_use]
pub fn vm_counters(counters: &memory_balancer::VmCounters, view: Option<&VmView>) -> VmSample {
    let running = view.filter(|view| view.phase != Phase::Starting);
    VmSample {
        vm: counters_of(counters),
        model: ModelVmCounters {
            startup_memory: running.and_then(|_| memory(counters.at_start)),
            maximum_memory: view.and_then(|view| memory(view.settings.maximum)),
            demand: counters.demand.and_then(memory),
            refused: None,
        },
        ..VmSample::default()
    }
}

/// A VM's counters as the source names them.
fn counters_of(counters: &memory_balancer::VmCounters) -> VmCounters {
    VmCounters {
        added_memory: memory(counters.added_since_start),
        average_pressure: counters.average_pressure.and_then(Percent::from_f64),
        current_pressure: counters.current_pressure.and_then(Percent::from_f64),
        guest_visible_physical_memory: memory(counters.guest_visible),
        maximum_pressure: Percent::from_f64(counters.maximum_pressure),
        memory_add_operations: Some(counters.add_operations),
        memory_remove_operations: Some(counters.remove_operations),
        minimum_pressure: Percent::from_f64(counters.minimum_pressure),
        physical_memory: memory(counters.physical),
        removed_memory: memory(counters.removed_since_start),
    }
}

/// What a VM's worker has counted of the bus.
fn bus_counters_of(VmStatistics { bus, .. }: &VmStatistics) -> BusCounters {
    let (upstream, downstream) = (&bus.channels.upstream, &bus.channels.downstream);
    BusCounters {
        packets_from_guest: Some(upstream.packets),
        packets_to_guest: Some(downstream.packets),
        signals_from_guest: Some(upstream.signals),
        suppressed_from_guest: Some(upstream.suppressed),
        signals_to_guest: Some(downstream.signals),
        suppressed_to_guest: Some(downstream.suppressed),
        upstream_used: Some(upstream.used.into()),
        upstream_high_water: Some(upstream.high_water.into()),
        downstream_used: Some(downstream.used.into()),
        downstream_high_water: Some(downstream.high_water.into()),
        control_from_guest: Some(bus.control_from_guest),
        control_to_guest: Some(bus.control_to_guest),
        doorbell_wait: Some(Seconds::from_duration(bus.doorbell_wait)),
        doorbell_longest_wait: Some(Seconds::from_duration(bus.doorbell_longest_wait)),
    }
}

/// What a VM's worker has counted of the memory map.
fn map_counters_of(VmStatistics { map, .. }: &VmStatistics) -> MapCounters {
    MapCounters {
        large_pages: Some(map.large_pages),
        small_pages: Some(map.small_pages),
        splits: Some(map.splits),
        merges: Some(map.merges),
    }
}

impl Component for Sampler {
    fn wake(&mut self, now: SimTime, _cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        let now: Duration = now.into();
        if now >= self.next {
            match self.take(self.next) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(reason)) => ctx.stop_run(reason),
                Err(trouble) => {
                    tracing::error!(event = "invariant_violated", what = trouble.as_str());
                    ctx.stop_run(trouble.clone());
                    self.collected.lock().trouble.get_or_insert(trouble);
                }
            }
            if let Some(progress) = &self.progress {
                progress(now);
            }
            while self.next <= now {
                self.next += self.interval;
            }
        }
        NextWake::At(SimTime::from(self.next))
    }
}
