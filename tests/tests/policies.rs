//! Every policy once on the whole stack, held against what its own documentation says that it does: real guests' drivers report,
//! the wire carries, the worker and the engine pass on. A policy that misreads what arrives is seen here and not in its own
//! tests, whose host is simpler.

use page_range::PageCount;
use policy_catalogue as policies;
use scenario::run::Outcome;
use scenario::run::points::{Point, VmPoint};
use whole_stack_tests::journey;

/// One guest that needs 600 MB for a minute and then rests for 28, on a host with plenty of memory.
const REST: &str = r#"
title = "A guest pages for a minute, then rests for 28"
until = "30m"

[host]
memory = "8GB"

[[vm]]
name = "A"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "2GB"

[[timeline]]
at = "0s"
action = "start"
vm = "all"

[[timeline]]
at = "2m"
action = "set_workload"
vm = "A"
workload = { kind = "step", to = "600MB", hold = "60s" }
"#;

/// One that needs little and one that needs much, on a host that has not enough for both.
const SHORT: &str = r#"
title = "One needs little, one needs much, and there is not enough"
until = "15m"

[host]
memory = "4GB"
memory_reserve = "512MB"

[[vm]]
name = "Idle"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "1536MB"
minimum_bytes = "512MB"
maximum_bytes = "3GB"

[[vm]]
name = "Busy"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "1GB"
minimum_bytes = "512MB"
maximum_bytes = "2GB"

[[timeline]]
at = "0s"
action = "start"
vm = "all"

[[timeline]]
at = "2m"
action = "set_workload"
vm = "Busy"
workload = { kind = "step", to = "1400MB", hold = "1h" }
"#;

struct Run(Outcome);

impl Run {
    fn of(text: &str, policy: &str) -> Self {
        let mut plan = journey::plan(text, 1);
        policy.clone_into(&mut plan.policy);
        Self(journey::run(plan, None).unwrap())
    }

    fn points(&self) -> &[Point] {
        self.0.points.all()
    }

    fn last(&self, vm: usize) -> &VmPoint {
        &self.0.points.last().unwrap().vms[vm]
    }

    /// The most that a VM had.
    fn most(&self, vm: usize) -> PageCount {
        self.points().iter().map(|point| point.vms[vm].physical).max().unwrap()
    }
}

const fn mib(mib: u64) -> PageCount {
    PageCount::from_mib(mib)
}

/// A policy that is new has to be looked at here, too.
#[test]
fn all_policies_are_here() {
    let mut names: Vec<&str> = policies::names().collect();
    names.sort_unstable();
    let here = [
        "auto-ballooning",
        "clairvoyant",
        "deflation",
        "esx",
        "hyperv",
        "hyperv-2012",
        "meb",
        "mom",
        "predictive-band",
        "proxmox",
        "qmemman",
        "self-ballooning",
        "senpai",
        "squeezed",
        "static",
    ];
    assert_eq!(names, here);
}

/// Demand and buffer are met where memory suffices; in a shortage, whoever has more than that gives.
#[test]
fn hyperv_meets_demand_and_buffer() {
    let rest = Run::of(REST, "hyperv");
    let most = rest.most(0);
    let peak = rest.points().iter().filter_map(|point| point.vms[0].demand).max().unwrap();
    assert!(most.mib() >= 1.2 * peak.mib() * 0.95, "{most} for a demand of {peak}");
    let short = Run::of(SHORT, "hyperv");
    assert!(short.last(0).removed > PageCount::ZERO, "the idle VM gives");
    assert!(short.last(1).pressure.unwrap() < 100.0, "the busy VM has what it demands");
}

/// The same band, which reaches below the startup RAM where the minimum does.
#[test]
fn hyperv_2012_falls_to_the_minimum_where_that_is_less_than_the_startup_ram() {
    let text = REST
        .replace("memory = \"8GB\"", "memory = \"8GB\"\nrelease = \"2012\"")
        .replace("maximum_bytes", "minimum_bytes = \"256MB\"\nmaximum_bytes");
    let (old, new) = (Run::of(REST, "hyperv-2012"), Run::of(&text, "hyperv-2012"));
    assert_eq!(old.last(0).physical, mib(512));
    let vm = new.last(0);
    let wanted = 1.2 * vm.demand.unwrap().mib();
    assert!((vm.physical.mib() - wanted).abs() < 25.0 && vm.physical < mib(512), "{vm:?}");
}

/// Free memory is everyone's, up to the maximum, and nobody looks at what is needed.
#[test]
fn deflation_gives_all_there_is() {
    assert_eq!(Run::of(REST, "deflation").last(0).physical, mib(2048));
    let short = Run::of(SHORT, "deflation");
    let host = &short.points().last().unwrap().host;
    assert!(host.available < mib(8) && short.last(1).pressure.unwrap() > 100.0, "{}", host.available);
    // A third VM has its startup RAM of the two, each in proportion to what it has beyond its minimum.
    let third = SHORT.replace(
        "[[timeline]]\nat = \"0s\"\naction = \"start\"\nvm = \"all\"",
        "[[vm]]\nname = \"Third\"\nguest = \"ws2008-r2-sp1-enterprise\"\nstartup_bytes = \"512MB\"\n\n\
         [[timeline]]\nat = \"0s\"\naction = \"start\"\nvm = \"Idle\"\n\n\
         [[timeline]]\nat = \"0s\"\naction = \"start\"\nvm = \"Busy\"\n\n\
         [[timeline]]\nat = \"5m\"\naction = \"start\"\nvm = \"Third\"\ntries = 3\nretry_after = \"30s\"",
    );
    let third = Run::of(&third, "deflation");
    assert!(third.last(0).removed > PageCount::ZERO && third.last(2).physical >= mib(512));
}

/// Pressure on the host fills balloons; without it nothing is taken.
#[test]
fn auto_ballooning_takes_under_pressure_of_the_host_only() {
    assert_eq!(Run::of(REST, "auto-ballooning").last(0).removed, PageCount::ZERO);
    let short = Run::of(SHORT, "auto-ballooning");
    let total = mib(4096).mib();
    let least = short.points().iter().map(|point| point.host.available.mib()).fold(total, f64::min);
    assert!(least < 0.1 * total && short.last(0).removed > PageCount::ZERO, "{least} MB available");
}

/// Working sets first, and what is beyond them in proportion; in a shortage the idle VM gives.
#[test]
fn meb_meets_working_sets() {
    assert_eq!(Run::of(REST, "meb").last(0).physical, mib(2048));
    let short = Run::of(SHORT, "meb");
    assert!(short.last(0).removed > mib(128) && short.last(1).pressure.unwrap() < 105.0);
}

/// What a step needs is there before the step, and nothing is taken from a VM unless another lacks it.
#[test]
fn clairvoyant_is_there_before_the_need() {
    let rest = Run::of(REST, "clairvoyant");
    let had =
        |second| rest.points().iter().find(|point| point.time.as_secs() >= second).unwrap().vms[0].physical;
    let peak = rest.points().iter().map(|point| point.vms[0].guest_wanted).max().unwrap();
    assert!(had(60) < mib(640) && had(119) >= peak, "{} a second before a need of {peak}", had(119));
    assert!(rest.last(0).removed.is_zero());
    // Without a buffer for anybody there is enough for both.
    let short = Run::of(SHORT, "clairvoyant");
    assert!(short.last(0).removed.is_zero() && short.last(1).pressure.unwrap() < 100.0);
}

/// What all prefer is there, so all that is left is shared as well.
#[test]
fn qmemman_shares_all_there_is() {
    assert_eq!(Run::of(REST, "qmemman").last(0).physical, mib(2048));
    let short = Run::of(SHORT, "qmemman");
    let host = &short.points().last().unwrap().host;
    // 50 MB are given to nobody, and changes of less than 150 MB together are not made.
    assert!(host.available < mib(50 + 150) && short.last(1).pressure.unwrap() < 100.0, "{}", host.available);
}

/// Every guest goes to its commit: at once if that is more, by an eighth every 5 s if it is less.
#[test]
fn self_ballooning_leaves_every_guest_its_commit() {
    let rest = Run::of(REST, "self-ballooning");
    let vm = rest.last(0);
    assert!(rest.most(0) > mib(700) && vm.removed > mib(128) && vm.physical < mib(560), "{vm:?}");
    let short = Run::of(SHORT, "self-ballooning");
    assert!(short.last(0).physical < mib(640) && short.last(1).pressure.unwrap() < 100.0);
}

/// In the state *high* nothing is reclaimed; in a shortage the idle VM, which pays the tax, gives.
#[test]
fn esx_taxes_idle_memory_in_a_shortage_only() {
    assert_eq!(Run::of(REST, "esx").last(0).removed, PageCount::ZERO);
    let short = Run::of(SHORT, "esx");
    assert!(short.last(0).removed > mib(128) && short.last(1).removed.is_zero());
    assert!(short.last(1).pressure.unwrap() < 100.0);
}

/// With more than 20 % of the host free everyone grows and nobody shrinks; below that everyone shrinks.
#[test]
fn mom_shrinks_everyone_below_a_fifth_of_the_host() {
    let rest = Run::of(REST, "mom");
    assert!(rest.last(0).removed.is_zero() && rest.last(0).added > mib(1024));
    let short = Run::of(SHORT, "mom");
    assert!(short.last(0).removed > mib(512) && short.last(1).removed > PageCount::ZERO);
}

/// Nobody is asked what is needed: below 80 % of the host in use every VM grows to its maximum, and at 80 % all stops.
#[test]
fn proxmox_aims_at_four_fifths_of_the_host() {
    assert_eq!(Run::of(REST, "proxmox").last(0).physical, mib(2048));
    let short = Run::of(SHORT, "proxmox");
    let host = &short.points().last().unwrap().host;
    let used = 4096.0 - host.available.mib();
    assert!((used - 0.8 * 4096.0).abs() <= 110.0, "{used} MB used; a step is 100 MB");
    assert!(short.last(1).pressure.unwrap() > 100.0, "whatever the demand");
}

/// What nobody misses is taken, slowly; what is missed is given back quickly.
#[test]
fn senpai_takes_back_what_nobody_misses() {
    let rest = Run::of(REST, "senpai");
    let vm = rest.last(0);
    assert!(rest.most(0) > mib(1024), "what was missed was given");
    assert!(vm.removed > mib(512), "{} taken back", vm.removed);
    assert!(vm.physical < mib(640), "{} left of a need of 512 MB", vm.physical);
    // At most 1 % every six seconds, but for what is too little to be moved alone.
    let after = |minutes: u64| {
        let at = journey::s(60 * minutes);
        rest.points().iter().find(|point| point.time >= at).unwrap().vms[0].physical.mib()
    };
    let slowest = after(10) * 0.99_f64.powi(100);
    assert!(after(20) >= slowest - 16.0, "{} MB ten minutes after {} MB", after(20), after(10));
    // The idle VM is probed in a shortage, too.
    assert!(Run::of(SHORT, "senpai").last(0).removed > mib(128));
}

/// Everyone is the same part of the way from minimum to maximum, but for what is too little to be moved.
#[test]
fn squeezed_brings_everyone_equally_far() {
    let short = Run::of(SHORT, "squeezed");
    let part = |vm: usize, minimum: f64, maximum: f64| {
        (short.last(vm).physical.mib() - minimum) / (maximum - minimum)
    };
    let (idle, busy) = (part(0, 512.0, 3072.0), part(1, 512.0, 2048.0));
    assert!((idle - busy).abs() < 0.03, "{idle} and {busy}");
    assert_eq!(Run::of(REST, "squeezed").last(0).physical, mib(2048), "there is enough for γ = 1");
}

/// The whole buffer where memory suffices, and surplus is taken after a hold.
#[test]
fn predictive_band_meets_demand_and_takes_surplus() {
    let rest = Run::of(REST, "predictive-band");
    assert!(rest.most(0) > mib(1100));
    assert!(rest.last(0).removed > mib(512) && rest.last(0).pressure.unwrap() < 84.0);
    let short = Run::of(SHORT, "predictive-band");
    assert!(short.last(1).pressure.unwrap() < 100.0);
}

/// Everyone keeps the startup RAM.
#[test]
fn static_memory_stays() {
    let short = Run::of(SHORT, "static");
    assert!(short.points().iter().all(|point| point.vms.iter().all(|vm| vm.operations == 0)));
    assert_eq!((short.last(0).physical, short.last(1).physical), (mib(1536), mib(1024)));
}

/// With an agent a Linux guest says how long its tasks stand still, so that Senpai gives it what it misses.
#[test]
fn senpai_hears_of_stalls_from_an_agent_in_a_linux_guest() {
    let text = REST
        .replace("ws2008-r2-sp1-enterprise\"", "linux\"\nagent = [\"stalls\"]")
        .replace("memory = \"8GB\"", "memory = \"8GB\"\ndynamic_memory_versions = [\"2.0\"]")
        .replace("hold = \"60s\"", "hold = \"600s\"");
    let run = Run::of(&text, "senpai");
    assert!(run.last(0).added > mib(128), "{} added", run.last(0).added);
}

/// Two that have committed as much, of which one touches little; and one that needs more than there is.
const TOUCHED: &str = r#"
title = "Two have as much, and one of them touches little of it"
until = "15m"

[host]
memory = "5GB"
memory_reserve = "512MB"

[[vm]]
name = "VM{n}"
numbers = "1..3"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "3GB"

[[timeline]]
at = "0s"
action = "start"
vm = "all"

[[timeline]]
at = "2m"
action = "set_workload"
vm = "VM1"
workload = { kind = "step", to = "1GB", active_share = 0.05, hold = "1h" }

[[timeline]]
at = "2m"
action = "set_workload"
vm = "VM2"
workload = { kind = "step", to = "1GB", active_share = 1.0, hold = "1h" }

[[timeline]]
at = "5m"
action = "set_workload"
vm = "VM3"
workload = { kind = "step", to = "2GB", hold = "1h" }
"#;

/// Idle memory is what an agent does not see touched, and is taxed.
#[test]
fn esx_takes_what_an_agent_does_not_see_touched() {
    let with = TOUCHED.replace("startup_bytes", "agent = \"active\"\nstartup_bytes");
    let lead = |text: &str| {
        let run = Run::of(text, "esx");
        run.last(1).physical.mib() - run.last(0).physical.mib()
    };
    let (without, with) = (lead(TOUCHED), lead(&with));
    assert!(with > without + 100.0, "{with} MB more for who touches all, and {without} without an agent");
}

/// A Linux guest reports what its driver reports: nothing of free memory or page files. So Proxmox takes it to be short of
/// memory always, and Senpai sees no stall.
#[test]
fn policies_see_of_a_linux_guest_what_its_driver_tells() {
    let text = REST
        .replace("ws2008-r2-sp1-enterprise", "linux")
        .replace("memory = \"8GB\"", "memory = \"8GB\"\ndynamic_memory_versions = [\"2.0\"]");
    let proxmox = Run::of(&text, "proxmox");
    assert_eq!(proxmox.last(0).physical, mib(2048));
    let senpai = Run::of(&text, "senpai");
    assert!(senpai.last(0).added.is_zero(), "{} added although no stall is reported", senpai.last(0).added);
}
