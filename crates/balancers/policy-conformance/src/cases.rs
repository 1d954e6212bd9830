//! Hosts, VMs and loads, drawn and shrunk by proptest.

use core::fmt;
use core::time::Duration;

use balancing_policy::{
    GuestStatus, MemorySettings, PageBalance, PageCount, PageCounter, PendingKind, PendingOperation, Policy,
    Reservation, VmId, VmView,
};
use memory_balancer::BalancerConfig;
use proptest::prelude::*;

use crate::guest::{Guest, Load, Manners};
use crate::host::TestHost;

/// A VM of a running host. MB and seconds.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct VmCase {
    pub(crate) minimum: u64,
    pub(crate) startup: u64,
    pub(crate) maximum: u64,
    pub(crate) buffer: u32,
    pub(crate) weight: u32,
    pub(crate) load: Vec<(u64, u64)>,
}

/// A host and its VMs.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HostCase {
    pub(crate) reserve: u64,
    /// What is left when all have started.
    pub(crate) spare: u64,
    pub(crate) vms: Vec<VmCase>,
}

impl fmt::Debug for VmCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { minimum, startup, maximum, buffer, weight, load } = self;
        write!(
            f,
            "{minimum}/{startup}/{maximum} MB (minimum/startup/maximum), buffer {buffer} %, weight {weight}, load"
        )?;
        for (at, demand) in load {
            write!(f, " {demand} MB at {at} s")?;
        }
        Ok(())
    }
}

impl fmt::Debug for HostCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "host of {} MB, reserve {} MB, {} MB left when all have started",
            self.total(),
            self.reserve,
            self.spare
        )?;
        for (n, vm) in self.vms.iter().enumerate() {
            write!(f, "\nVM{}: {vm:?}", n + 1)?;
        }
        Ok(())
    }
}

impl VmCase {
    pub(crate) fn settings(&self) -> MemorySettings {
        let mib = PageCount::from_mib;
        MemorySettings::dynamic(mib(self.startup), mib(self.maximum))
            .with_minimum(mib(self.minimum))
            .with_buffer(self.buffer)
            .with_weight(self.weight)
    }

    pub(crate) fn guest(&self) -> Guest {
        let point = |&(at, demand): &(u64, u64)| (Duration::from_secs(at), PageCount::from_mib(demand));
        Guest::new(Load::through(self.load.iter().map(point).collect()))
    }
}

impl HostCase {
    /// In MB. The overhead of a VM is 8.
    fn total(&self) -> u64 {
        self.reserve + self.spare + self.vms.iter().map(|vm| vm.startup + 8).sum::<u64>()
    }

    /// The host with its VMs started, and with whatever else is to be different about the first one.
    pub(crate) fn build(&self, policy: Box<dyn Policy>, first: First) -> TestHost {
        let total = PageCount::from_mib(self.total());
        let reserve = PageCount::from_mib(self.reserve);
        let config = BalancerConfig { reserve, ..BalancerConfig::for_host(total) };
        let mut host = TestHost::new(total, config, policy);
        for (id, vm) in (1..).zip(&self.vms) {
            let (mut settings, mut guest) = (vm.settings(), vm.guest());
            match first {
                First::NeverAnswers if id == 1 => guest = guest.with_manners(Manners::NeverAnswers),
                First::Static if id == 1 => settings = MemorySettings::fixed(settings.startup),
                _ => {}
            }
            let added = host.add(VmId(id), settings, guest);
            debug_assert!(added.is_ok(), "cases have valid settings");
            host.start_at(Duration::ZERO, VmId(id));
        }
        host
    }
}

/// What is different about the first VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    LikeTheOthers,
    NeverAnswers,
    Static,
}

fn vm_case(load: impl Strategy<Value = Vec<(u64, u64)>>) -> impl Strategy<Value = VmCase> {
    (64..=1024_u64, 0..=100_u64, 0..=4096_u64, 5..=100_u32, 0..=100_u32, load).prop_map(
        |(startup, minimum_percent, above, buffer, priority, load)| VmCase {
            minimum: (startup * minimum_percent / 100).max(64),
            startup,
            maximum: startup + above,
            buffer,
            weight: priority * MemorySettings::WEIGHT_PER_PRIORITY,
            load,
        },
    )
}

fn host_case(
    load: impl Strategy<Value = Vec<(u64, u64)>>,
    vms: core::ops::RangeInclusive<usize>,
) -> impl Strategy<Value = HostCase> {
    (0..=2048_u64, 0..=8192_u64, prop::collection::vec(vm_case(load), vms))
        .prop_map(|(reserve, spare, vms)| HostCase { reserve, spare, vms })
}

/// Constant loads.
pub(crate) fn constant(vms: core::ops::RangeInclusive<usize>) -> impl Strategy<Value = HostCase> {
    host_case((0..6000_u64).prop_map(|demand| vec![(0, demand)]), vms)
}

/// Loads that take a step after two minutes: long after a VM that never answers was found out.
pub(crate) fn rising() -> impl Strategy<Value = HostCase> {
    let load =
        (0..1000_u64, 0..4000_u64).prop_map(|(from, by)| vec![(0, from), (120, from), (125, from + by)]);
    host_case(load, 2..=4)
}

/// Loads that rise and fall.
pub(crate) fn varying() -> impl Strategy<Value = HostCase> {
    host_case(prop::collection::vec((0..900_u64, 0..6000_u64), 1..5), 1..=5)
}

/// Two VMs that differ in weight only, on a host too small for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rivals {
    pub(crate) host: HostCase,
}

pub(crate) fn rivals() -> impl Strategy<Value = Rivals> {
    let vm = (128..=512_u64, 1024..=4096_u64, 5..=50_u32, 50..=100_u64);
    (vm, 0..=40_u32, 60..=100_u32, 1..=60_u64).prop_map(
        |((startup, maximum, buffer, load), low, high, spare_percent)| {
            let demand = maximum * load / 100;
            let of = |priority: u32| VmCase {
                minimum: 64,
                startup,
                maximum,
                buffer,
                weight: priority * MemorySettings::WEIGHT_PER_PRIORITY,
                load: vec![(0, demand)],
            };
            // Enough for less than both demands.
            let spare = (2 * demand.saturating_sub(startup)) * spare_percent / 100;
            Rivals { host: HostCase { reserve: 512, spare, vms: vec![of(low), of(high)] } }
        },
    )
}

/// VMs as views, with nothing behind them: any state that the engine could show, and what guests may claim.
#[derive(Clone)]
pub(crate) struct ViewCase {
    pub(crate) capacity: u64,
    pub(crate) grant_rate: u32,
    pub(crate) slowdown: u32,
    pub(crate) reservations: Vec<(u32, u64)>,
    pub(crate) vms: Vec<VmState>,
    pub(crate) rounds: usize,
}

impl fmt::Debug for ViewCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { capacity, grant_rate, slowdown, reservations, vms, rounds } = self;
        write!(
            f,
            "{rounds} rounds, capacity {capacity} pages, {grant_rate} pages/s granted, slowdown {slowdown}"
        )?;
        for (weight, pages) in reservations {
            write!(f, "\na VM of weight {weight} waits for {pages} pages to start")?;
        }
        for (n, vm) in vms.iter().enumerate() {
            write!(f, "\nVM{}: {vm:?}", n + 1)?;
        }
        Ok(())
    }
}

/// A VM in pages.
#[derive(Clone, Debug)]
pub(crate) struct VmState {
    pub(crate) minimum: u64,
    pub(crate) maximum: u64,
    pub(crate) assigned: u64,
    pub(crate) demand: Option<u64>,
    pub(crate) available: u64,
    pub(crate) page_file_writes: u64,
    pub(crate) stalled_milliseconds: Option<u64>,
    pub(crate) buffer: u32,
    pub(crate) weight: u32,
    pub(crate) responsive: bool,
    pub(crate) pending: Option<(bool, u64)>,
}

fn pages() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..4_000_000_u64, 1 => 0..100_u64, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn vm_state() -> impl Strategy<Value = VmState> {
    (
        (1..500_000_u64, 0..2_000_000_u64, 0..2_000_000_u64),
        (prop::option::of(pages()), pages(), pages()),
        prop::option::of(prop_oneof![0..1000_u64, any::<u64>()]),
        (5..=2000_u32, 0..=10_000_u32),
        prop::bool::weighted(0.8),
        prop::option::weighted(0.3, (any::<bool>(), 1..16_384_u64)),
    )
        .prop_map(
            |(
                (minimum, above, assigned),
                (demand, available, page_file_writes),
                stalled_milliseconds,
                (buffer, weight),
                responsive,
                pending,
            )| VmState {
                minimum,
                maximum: minimum + above,
                assigned,
                demand,
                available,
                page_file_writes,
                stalled_milliseconds,
                buffer,
                weight,
                responsive,
                pending,
            },
        )
}

pub(crate) fn views() -> impl Strategy<Value = ViewCase> {
    (
        0..20_000_000_u64,
        0..100_000_u32,
        1..9_u32,
        prop::collection::vec((0..=10_000_u32, 1..4_000_000_u64), 0..3),
        prop::collection::vec(vm_state(), 0..8),
        1..4_usize,
    )
        .prop_map(|(capacity, grant_rate, slowdown, reservations, vms, rounds)| ViewCase {
            capacity,
            grant_rate,
            slowdown,
            reservations,
            vms,
            rounds,
        })
}

impl ViewCase {
    pub(crate) fn vms(&self) -> Vec<VmView> {
        (1..).zip(&self.vms).map(|(id, vm)| vm.view(id)).collect()
    }

    pub(crate) fn reservations(&self) -> Vec<Reservation> {
        (1..)
            .zip(&self.reservations)
            .map(|(n, &(weight, needed))| {
                Reservation::new(VmId(1000 + n), weight, PageCount(needed), Duration::ZERO)
            })
            .collect()
    }
}

impl VmState {
    fn view(&self, id: u32) -> VmView {
        let (minimum, maximum) = (PageCount(self.minimum), PageCount(self.maximum));
        let assigned = PageCount(self.assigned);
        let settings =
            MemorySettings::dynamic(minimum, maximum).with_buffer(self.buffer).with_weight(self.weight);
        let mut vm = VmView::new(VmId(id), settings);
        (vm.assigned, vm.responsive) = (assigned, self.responsive);
        vm.pending = self.pending.map(|(grow, pages)| {
            let kind = if grow { PendingKind::Grow } else { PendingKind::Shrink };
            PendingOperation::new(kind, PageCount(pages), Duration::ZERO)
        });
        if !self.responsive {
            let held = vm.expected().max(assigned);
            (vm.lowest, vm.highest) = (held, held);
        }
        if let Some(demand) = self.demand {
            let status = |writes: u64, stalled: u64| {
                GuestStatus::default().with(|status| {
                    (status.demand, status.commit) = (PageCount(demand), PageCount(demand));
                    (status.available, status.free) = (PageCount(self.available), PageCount(self.available));
                    status.page_file = PageCount(self.page_file_writes);
                    status.page_file_writes = PageCounter::at(writes);
                    status.io_balance = PageBalance::of(writes, 0);
                    status.stalled = self.stalled_milliseconds.map(|_| Duration::from_millis(stalled));
                })
            };
            // What was written and how long something stood still, between the two.
            vm.history.push(Duration::ZERO, status(0, 0));
            let stalled = self.stalled_milliseconds.unwrap_or(0);
            vm.history.push(Duration::from_secs(1), status(self.page_file_writes, stalled));
        }
        vm
    }
}
