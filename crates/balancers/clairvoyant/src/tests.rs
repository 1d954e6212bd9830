use balancing_policy::{GuestStatus, MemorySettings, VmId};

use super::*;

fn mib(mib: u64) -> PageCount {
    PageCount::from_mib(mib)
}

fn second(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A VM that has so much, whose guest has reported nothing.
fn vm(id: u32, has: u64) -> VmView {
    let settings = MemorySettings::dynamic(mib(512), mib(8192));
    VmView::new(VmId(id), settings).with(|vm| vm.assigned = mib(has))
}

/// One that reports so much as its demand, and the rest as available.
fn reporting(id: u32, has: u64, demand: u64) -> VmView {
    vm(id, has).with(|vm| {
        let available = mib(has.saturating_sub(demand));
        vm.history.push(
            second(0),
            GuestStatus::default()
                .with(|status| (status.demand, status.available) = (mib(demand), available)),
        );
    })
}

fn future(vms: &[(u32, &[(u64, u64)])]) -> Arc<Future> {
    let of = |(id, needs): &(u32, &[(u64, u64)])| {
        VmFuture::known(VmId(*id), needs.iter().map(|&(at, need)| (second(at), mib(need))).collect())
    };
    Arc::new(Future::new(vms.iter().map(of).collect()))
}

/// Targets in MiB at a time, on a host whose VMs can have so much together.
fn targets(future: &Arc<Future>, now: u64, capacity: u64, vms: &[VmView]) -> Vec<f64> {
    let held: u64 = vms.iter().map(|vm| vm.assigned.get()).sum();
    let host = HostView::new(mib(capacity), mib(capacity).saturating_sub(PageCount(held)))
        .with(|host| host.now = second(now));
    let mut policy = Clairvoyant::new(Config { stock: 0.0, ..Config::default() });
    assert!(policy.foresees());
    policy.foresee(future);
    let mut proposal = Proposal::default();
    proposal.begin(
        vms.iter().map(|vm| balancing_policy::Target { pages: vm.assigned, reason: Reason::new("started") }),
    );
    policy.round(&host, vms, &mut proposal);
    proposal.targets().iter().map(|target| target.pages.mib()).collect()
}

#[test]
fn conforms() {
    policy_conformance::assert_conforms(Clairvoyant::default);
}

#[test]
fn a_vm_grows_before_it_needs_to_and_no_earlier() {
    // 2512 MB at 200 s: 2000 more at 24 MB/s take 83 s, and all is to be there 4 s before.
    let future = future(&[(0, &[(0, 500), (200, 2512)])]);
    let at = |now| targets(&future, now, 8192, &[reporting(0, 512, 500)])[0];
    assert_eq!(at(100), 512.0);
    let early = at(150);
    assert!((2512.0 - 46.0 * 24.0 + 15.0..2512.0 - 46.0 * 24.0 + 17.0).contains(&early), "{early}");
    assert_eq!(at(197), 2512.0 + 16.0);
}

#[test]
fn what_is_needed_last_is_taken_first_and_only_if_somebody_lacks_it() {
    // A needs 2000 now. B needs its memory again in 1 min, C in 10 min, D never.
    let future = future(&[
        (0, &[(0, 2000)]),
        (1, &[(0, 500), (60, 1500)]),
        (2, &[(0, 500), (600, 1500)]),
        (3, &[(0, 500)]),
    ]);
    let others = [reporting(1, 1500, 500), reporting(2, 1500, 500), reporting(3, 1500, 500)];
    let vms = |a| [&[reporting(0, a, a)][..], &others].concat();
    let enough = targets(&future, 10, 8192, &vms(1000));
    assert_eq!(enough[1..], [1500.0; 3], "nobody lacks anything");
    // 500 of D's; it keeps its need and its floor (1500 / 32 MB).
    let taken = targets(&future, 10, 6000, &vms(1500));
    assert_eq!(taken, [2000.0, 1500.0, 1500.0, 1000.0]);
    // 1000: all that D can give, and the rest from C.
    let taken = targets(&future, 10, 5500, &vms(1000));
    let kept = 500.0 + 1500.0 / 32.0;
    assert!((taken[3] - kept).abs() < 0.01 && (taken[2] - (1500.0 - (1000.0 - 1500.0 + kept))).abs() < 0.01);
    assert_eq!((taken[0], taken[1]), (2000.0, 1500.0));
}

#[test]
fn nothing_is_taken_from_a_vm_that_needs_it_itself() {
    let future = future(&[(0, &[(0, 4000)]), (1, &[(0, 3000)])]);
    let short = targets(&future, 10, 5000, &[reporting(0, 2000, 2000), reporting(1, 3000, 3000)]);
    assert_eq!(short, [2000.0, 3000.0], "what is lacking is the same however it is shared");
}

#[test]
fn memory_for_a_start_is_there_when_it_is_asked_for() {
    let later = VmFuture::known(VmId(1), Vec::new()).starting(vec![(second(100), mib(1000))]);
    let now = VmFuture::known(VmId(0), vec![(second(0), mib(500))]);
    let future = Arc::new(Future::new(vec![now, later]));
    let at = |now| targets(&future, now, 2100, &[reporting(0, 2000, 500)])[0];
    assert_eq!((at(50), at(95)), (1100.0, 1100.0));
    // Not while that is long to come, nor where another VM ends before.
    let later = VmFuture::known(VmId(1), Vec::new()).starting(vec![(second(1000), mib(1000))]);
    let ends = VmFuture::known(VmId(0), vec![(second(0), mib(500)), (second(80), mib(0))]);
    let future = Arc::new(Future::new(vec![ends, later]));
    let at = |now| targets(&future, now, 2100, &[reporting(0, 2000, 500)])[0];
    assert_eq!((at(50), at(790)), (2000.0, 1100.0));
}

#[test]
fn the_parent_os_keeps_its_stock() {
    // The VM has all: what it does not need is taken until the parent has 160 MB.
    let vm = reporting(0, 4096, 500);
    let mut policy = Clairvoyant::default();
    policy.foresee(&future(&[(0, &[(0, 500)])]));
    let mut proposal = Proposal::default();
    proposal.begin(core::iter::once(balancing_policy::Target {
        pages: vm.assigned,
        reason: Reason::new("started"),
    }));
    policy.round(&HostView::new(mib(4096), mib(0)), &[vm], &mut proposal);
    assert_eq!(proposal.target(0).pages, mib(4096 - 160));
}

#[test]
fn without_a_future_a_vm_is_given_its_demand_and_buffer() {
    let nothing = Arc::new(Future::default());
    let given = targets(&nothing, 10, 8192, &[reporting(0, 600, 1000)]);
    assert_eq!(given, [1200.0 + 16.0]);
}

#[test]
fn no_number_in_a_file_makes_it_panic() {
    let future = future(&[(0, &[(0, 500), (50, 2000)])]);
    for extreme in [0.0, -1.0, 1e19, f64::MAX, f64::INFINITY, f64::NAN] {
        let config =
            Config { lead: extreme, rate: extreme, horizon: extreme, start_lead: extreme, stock: extreme };
        let mut policy = Clairvoyant::new(config);
        policy.foresee(&future);
        let vm = reporting(0, 1000, 500);
        let mut proposal = Proposal::default();
        let target = balancing_policy::Target { pages: vm.assigned, reason: Reason::new("started") };
        proposal.begin(core::iter::once(target));
        policy.round(
            &HostView::new(mib(4096), mib(3096)).with(|host| host.now = second(9)),
            &[vm],
            &mut proposal,
        );
        assert!(proposal.target(0).pages <= mib(4096));
    }
}
