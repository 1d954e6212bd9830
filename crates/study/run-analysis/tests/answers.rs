//! The model answers to its inputs: a changed setting moves the results as the sources say it should. So nothing in the checks
//! of the source's scenarios can come out right for having been written down.
//!
//! Every test takes a scenario of the project and changes a line of its file.

use page_range::PageCount;
use run_analysis::verify::mutate::{MUTATIONS, Mutation};
use run_analysis::verify::{self, Change, Knob, Observation, Options, host_used, suite};
use scenario::file::{self, BUILT_IN, LoadOptions, Scenario};
use scenario::run::phases::Phases;
use scenario::run::{Cycle, Plan, Point};

const SEED: u64 = 20_110_419;

/// A scenario of the project with pieces of its text replaced. Each must be there.
fn changed(name: &str, changes: &[(&str, &str)]) -> Scenario {
    let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == name).unwrap();
    let mut text = (*text).to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{name} does not say {from:?}");
        text = text.replace(from, to);
    }
    file::parse(format!("{name}-changed.toml"), text, &LoadOptions::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

fn observe(scenario: &Scenario) -> Observation {
    suite::observe_with_references(scenario, SEED, Change::None)
        .unwrap_or_else(|error| panic!("{}: {error}", scenario.name))
}

fn run(name: &str, changes: &[(&str, &str)]) -> Observation {
    observe(&changed(name, changes))
}

/// The samples of ③.
fn contention(run: &Observation) -> (&Phases, Vec<&Point>) {
    let phases = run.summary.phases.as_ref().expect("there is contention");
    let in_it = |point: &&Point| (phases.contention_s..=phases.falls_s).contains(&point.time.as_secs_f64());
    (phases, run.points.iter().filter(in_it).collect())
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.into_iter().collect();
    assert!(!values.is_empty());
    values.iter().sum::<f64>() / values.len() as f64
}

fn started(run: &Observation) -> usize {
    run.summary.vms.iter().filter(|vm| vm.login_s.is_some()).count()
}

fn peak_mib(run: &Observation, vm: usize) -> f64 {
    run.points.iter().map(|point| point.vms[vm].physical.mib()).fold(0.0, f64::max)
}

/// VMs are started until the host refuses; all of them, so that none that started can be counted on to fit later.
fn full_host(memory: &str, vms: usize, kind: &str) -> Observation {
    let (name, cut) = match kind {
        "static" => ("max-vms-static", "vm = \"VM1..VM8\""),
        _ => ("max-vms-dynamic", "vm = \"VM1..VM96\"\nwhile_host_used_below_that_of = \"max-vms-static\""),
    };
    let numbers = if kind == "static" { "numbers = \"1..8\"" } else { "numbers = \"1..96\"" };
    let until = if kind == "static" { "until = \"12m\"" } else { "until = \"1h45m\"" };
    // All have been started six to the minute, and the last one has had the time to be refused or to settle.
    let minutes = vms.div_ceil(6) + 15;
    let mut scenario = changed(
        name,
        &[
            (
                "memory = \"32GB\"\nedition = \"enterprise\"",
                &format!("memory = \"{memory}\"\nedition = \"unlimited\""),
            ),
            (numbers, &format!("numbers = \"1..{vms}\"")),
            (cut, "vm = \"all\""),
            (until, &format!("until = \"{minutes}m\"")),
            ("every = \"1m\"", "every = \"10s\""),
        ],
    );
    scenario.checks.clear();
    observe(&scenario)
}

#[test]
fn a_larger_host_takes_proportionally_more_vms() {
    for (kind, of_32, of_64, of_128) in [("dynamic", 95, 192, 386), ("static", 7, 15, 30)] {
        let runs = [("32GB", of_32), ("64GB", of_64), ("128GB", of_128)].map(|(memory, expected)| {
            let vms = expected + 3;
            let run = full_host(memory, vms, kind);
            // What the arithmetic of startup RAM, overhead and reserve says, and no VM more.
            assert!(
                started(&run).abs_diff(expected) <= 1,
                "{kind} {memory}: {}, not {expected}",
                started(&run)
            );
            run
        });
        let count = |run: &Observation| started(run) as f64;
        let ratios = [count(&runs[1]) / count(&runs[0]), count(&runs[2]) / count(&runs[1])];
        assert!(ratios.iter().all(|ratio| (1.9..=2.2).contains(ratio)), "{kind}: {ratios:?}");
    }
}

#[test]
fn no_start_succeeds_by_overcommit() {
    for (kind, vms) in [("dynamic", 110), ("static", 12)] {
        let run = full_host("32GB", vms, kind);
        assert!(started(&run) < vms);
        let memory = PageCount::from_mib(32 * 1024);
        for point in &run.points {
            let host = &point.host;
            let given = host.assigned + host.in_transit + host.overhead;
            assert!(given + host.reserve <= memory, "{kind} at {:?}: {given} given away", point.time);
            assert_eq!(given + host.reserve + host.available, memory, "{kind} at {:?}", point.time);
        }
        // Who was refused has nothing, and is told why.
        let last = run.points.last().unwrap();
        for (vm, summary) in last.vms.iter().zip(&run.summary.vms) {
            if summary.login_s.is_none() {
                assert!(vm.physical.is_zero() && summary.failed_starts > 0, "{}", summary.name);
            }
        }
    }
}

#[test]
fn more_vms_use_more_memory() {
    let used = |vms: &str| {
        let run = run(
            "max-vms-dynamic-7",
            &[
                ("numbers = \"1..7\"", &format!("numbers = \"1..{vms}\"")),
                ("VM1..VM7", "all"),
                ("\"12m\"", "\"40m\""),
            ],
        );
        run.points.iter().map(host_used).max().unwrap().mib()
    };
    let (four, seven, twenty) = (used("4"), used("7"), used("20"));
    // Startup RAM of 128 and 512 MB in turn, and 8 MB for each.
    assert!((seven - four - (512.0 + 2.0 * 128.0 + 3.0 * 8.0)).abs() < 1.0, "{four} {seven}");
    assert!((twenty - seven - (7.0 * 512.0 + 6.0 * 128.0 + 13.0 * 8.0)).abs() < 1.0, "{seven} {twenty}");
}

const LOAD: &str = "guest_commit = [\"3300MB\", \"3400MB\"]";
const SMALLER: &str = "guest_commit = \"2200MB\"";

#[test]
fn the_buffer_is_kept_free_while_memory_suffices() {
    let mut last = 0.0;
    for (buffer, share) in [("5", 1.05), ("20", 1.2), ("50", 1.5)] {
        let run =
            run("single-vm-ws2008r2", &[("buffer = 20", &format!("buffer = {buffer}")), (LOAD, SMALLER)]);
        let peak = peak_mib(&run, 0);
        // The band is 2 % wide to either side of 100 / (1 + buffer).
        assert!((peak / (2200.0 * share) - 1.0).abs() < 0.04, "buffer {buffer}: {peak}");
        assert!(peak > last);
        last = peak;
    }
}

#[test]
fn the_maximum_is_the_limit_of_growth() {
    for maximum in [1024_u32, 2048, 3072] {
        let change = format!("maximum_bytes = \"{maximum}MB\"");
        let run = run("single-vm-ws2008r2", &[("maximum_bytes = \"4096MB\"", &change)]);
        assert!((peak_mib(&run, 0) - f64::from(maximum)).abs() < 0.01, "{maximum}: {}", peak_mib(&run, 0));
    }
}

#[test]
fn the_hold_time_is_how_long_memory_is_kept() {
    for hold in [60_u32, 300, 600] {
        let policy = format!("[policy]\nparameters = {{ hold = {hold} }}\n[host]");
        let run = run("single-vm-ws2008r2", &[("[host]", &policy), ("\"30m\"", "\"40m\"")]);
        let cycle = Cycle::find(&run.points, 0).unwrap();
        let kept = (run.points[cycle.reclaims].time - run.points[cycle.unloaded].time).as_secs_f64();
        assert!((kept - f64::from(hold)).abs() < 25.0, "hold {hold} s: kept for {kept} s");
    }
}

#[test]
fn the_buffer_gives_way_first() {
    let run = run("multi-vm", &[]);
    let (_, points) = contention(&run);
    let last = points.last().unwrap();
    for (vm, name) in last.vms[..7].iter().zip(&run.vms) {
        let pressure = vm.pressure.unwrap();
        // Satisfied is 83.3: the buffer has shrunk, the demand is met.
        assert!((86.0..100.0).contains(&pressure), "{}: {pressure}", name.name);
    }
}

#[test]
fn priority_decides_in_shortage() {
    let groups = |odd: u32, even: u32| {
        let run = run(
            "multi-vm",
            &[
                ("[vm.odd]\n", &format!("[vm.odd]\npriority = {odd}\n")),
                ("[vm.even]\n", &format!("[vm.even]\npriority = {even}\n")),
            ],
        );
        let (_, points) = contention(&run);
        let last = points.last().unwrap();
        let of = |first: usize| mean((first..7).step_by(2).map(|vm| last.vms[vm].pressure.unwrap()));
        (of(0), of(1))
    };
    let (odd, even) = groups(50, 50);
    assert!((odd - even).abs() < 2.0, "equal priorities: {odd} {even}");
    let (odd, even) = groups(100, 0);
    assert!(odd + 2.0 < even, "the odd ones first: {odd} {even}");
    let (odd, even) = groups(0, 100);
    assert!(even + 2.0 < odd, "the even ones first: {odd} {even}");
}

#[test]
fn priority_is_without_effect_while_memory_suffices() {
    let amounts = |odd: u32, even: u32| -> Vec<Vec<PageCount>> {
        let run = run(
            "multi-vm",
            &[
                ("memory = \"32GB\"", "memory = \"64GB\""),
                ("[vm.odd]\n", &format!("[vm.odd]\npriority = {odd}\n")),
                ("[vm.even]\n", &format!("[vm.even]\npriority = {even}\n")),
            ],
        );
        assert_eq!(run.summary.phases, None, "64 GB are enough for all");
        run.points.iter().map(|point| point.vms.iter().map(|vm| vm.physical).collect()).collect()
    };
    assert_eq!(amounts(100, 0), amounts(0, 100));
}

/// Available, free, page reads and undisturbed growth of a run.
fn exhausted(changes: &[(&str, &str)]) -> [f64; 4] {
    let run = run("exhaustion", changes);
    let (phases, points) = contention(&run);
    [
        mean(points.iter().map(|point| point.host.available.mib())),
        mean(points.iter().map(|point| point.host.parent_free_mib)),
        mean(points.iter().map(|point| point.host.parent_reads_per_second)),
        phases.undisturbed_growth_mb,
    ]
}

#[test]
fn a_larger_reserve_gives_the_parent_more_and_the_vms_less_step_by_step() {
    let steps: Vec<[f64; 4]> = [1344_u32, 1520, 1696, 1872, 2048]
        .iter()
        .map(|reserve| {
            exhausted(&[("# memory_reserve = \"2048MB\"", &format!("memory_reserve = \"{reserve}MB\""))])
        })
        .collect();
    for (index, [before, after]) in steps.array_windows().enumerate() {
        let [available, free, reads, growth] = [0, 1, 2, 3].map(|which| after[which] - before[which]);
        assert!(available < 0.0 && free > 0.0 && reads < 0.0 && growth < 0.0, "step {index}: {steps:?}");
    }
}

#[test]
fn a_faster_load_makes_the_lead_time_stock_larger() {
    let available: Vec<f64> = ["24MB", "32MB", "40MB"]
        .iter()
        .map(|step| exhausted(&[("step = \"32MB\"", &format!("step = \"{step}\""))])[0])
        .collect();
    assert!(available.is_sorted_by(|slow, fast| slow * 1.05 < *fast), "{available:?}");
}

fn mutation(name: &str) -> &'static Mutation {
    MUTATIONS.iter().find(|mutation| mutation.name == name).unwrap()
}

/// The medians of Available Memory in ③, without and with the reserve.
fn available_means(change: Change) -> [f64; 2] {
    ["exhaustion", "exhaustion-reserve-2048"].map(|name| {
        let options = Options { seeds: vec![SEED, 2, 3], change, threads: 2 };
        let report = verify::verify(&[changed(name, &[])], &options);
        let row = report.rows.iter().find(|row| row.check == "available_mean").unwrap();
        row.measured.unwrap().median
    })
}

#[test]
fn without_the_slowed_parent_the_two_runs_of_table_4_1_are_alike() {
    let [unset, set] = available_means(Change::None);
    assert!(unset > 2.0 * set, "{unset} {set}");
    let [unset, set] = available_means(Change::Without(mutation("stall")));
    assert!((unset / set - 1.0).abs() < 0.15, "with c = 0: {unset} {set}");
}

/// The knob that is called so.
fn knob(name: &str) -> Knob {
    verify::knob::all().find(|knob| knob.name == name).unwrap()
}

#[test]
fn a_shorter_window_shows_a_higher_maximum_of_page_reads() {
    let window = knob("window of page_reads_peak");
    let peak = |factor: f64| {
        let options = Options { seeds: vec![SEED], change: Change::Turned(window, factor), threads: 1 };
        let report = verify::verify(&[changed("exhaustion", &[])], &options);
        report.rows.iter().find(|row| row.check == "page_reads_peak").unwrap().measured.unwrap().median
    };
    let (second, quarter, minutes) = (peak(1.0 / 15.0), peak(1.0), peak(8.0));
    assert!(second > 1.02 * quarter && quarter > 1.02 * minutes, "{second} {quarter} {minutes}");
}

/// The checks of these scenarios that are not as expected when the plan is changed like this.
fn not_as_expected(names: &[&str], change: fn(&mut Plan)) -> Vec<String> {
    let scenarios: Vec<Scenario> = names.iter().map(|name| changed(name, &[])).collect();
    let options = Options { seeds: vec![SEED], change: Change::By(change), threads: 2 };
    verify::verify(&scenarios, &options).failures().map(verify::Row::id).collect()
}

const MAX_VMS: &[&str] = &["max-vms-static", "max-vms-dynamic-7", "max-vms-dynamic"];

/// What the tables of constants say is free: other values give what the source measured, too.
#[test]
fn overhead_and_what_the_parent_uses_are_two_unknowns_of_one_equation() {
    let none: Vec<String> = Vec::new();
    let seven = |plan: &mut Plan| {
        plan.host.balancer.overhead_per_vm = PageCount::from_mib(7);
        plan.host.parent_os.in_use_idle_mib = 2265.0;
    };
    assert_eq!(not_as_expected(MAX_VMS, seven), none);
    let twelve = |plan: &mut Plan| {
        plan.host.balancer.overhead_per_vm = PageCount::from_mib(12);
        plan.host.parent_os.in_use_idle_mib = 2230.0;
    };
    assert_eq!(not_as_expected(MAX_VMS, twelve), none);
}

#[test]
fn table_4_1_determines_neither_the_reserve_nor_when_the_parent_is_comfortable() {
    let none: Vec<String> = Vec::new();
    let comfortable = |plan: &mut Plan| plan.host.parent_os.comfortable_free_mib = 840.0;
    assert_eq!(not_as_expected(&["exhaustion", "exhaustion-reserve-2048"], comfortable), none);
    let reserve = |plan: &mut Plan| {
        plan.host.memory_reserve.get_or_insert(PageCount::from_mib(1024));
        plan.host.parent_os.working_set_knee_mib = 682.0;
        plan.host.parent_os.need_scale_mib = 203.0;
    };
    let unset = not_as_expected(&["exhaustion", "exhaustion-reserve-2048"], reserve);
    // VM8 grows by the 320 MB more that the host has for VMs.
    assert_eq!(unset, ["exhaustion-changed/undisturbed_growth"]);
}

/// The oracle's check that bounds were reached says whether the scenario is worth anything. Its load sees to that whatever the bursts are: with
/// seeds whose bursts once left no VM at its minimum, and with bursts that make no contention at all.
#[test]
fn the_bounds_of_the_oracle_are_reached_whatever_the_bursts_are() {
    let failures = |changes: &[(&str, &str)]| -> Vec<String> {
        let options = Options { seeds: vec![166_691, 496_774], change: Change::None, threads: 2 };
        let scenarios = [changed("oracle-bounds", changes)];
        verify::verify(&scenarios, &options).failures().map(|row| row.check.clone()).collect()
    };
    let none: [&str; 0] = [];
    let quiet = ("size = \"4500MB\"", "size = \"1MB\"");
    assert_eq!(failures(&[]), none);
    assert_eq!(failures(&[quiet]), none);
    // And the check can fail: VMs that are never left alone do not come down to their minimum, and without VM1's load nobody has the maximum.
    assert_eq!(failures(&[quiet, ("at = \"15m\"", "at = \"24m\"")]), ["bounds_reached"]);
    assert_eq!(failures(&[quiet, ("to = \"4500MB\"", "to = \"1000MB\"")]), ["bounds_reached"]);
}

#[test]
fn the_two_exhaustion_files_differ_in_their_title_and_one_key() {
    let table = |name: &str| -> toml::Table {
        let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == name).unwrap();
        text.parse().unwrap()
    };
    let (mut unset, mut set) = (table("exhaustion"), table("exhaustion-reserve-2048"));
    assert_ne!(unset.remove("title"), set.remove("title"));
    let host = set.get_mut("host").and_then(toml::Value::as_table_mut).unwrap();
    assert_eq!(
        host.remove("memory_reserve").and_then(|value| value.as_str().map(str::to_owned)).as_deref(),
        Some("2048MB")
    );
    assert_eq!(unset, set);
    // And the load is that of multi-vm, word for word.
    for key in ["vm", "workloads", "timeline"] {
        assert_eq!(unset.get(key), table("multi-vm").get(key), "{key}");
    }
}
