//! What a run's story and summary say.

use std::sync::Arc;
use std::time::Duration;

use balancing_policy::{Future, HostView, Policy, Proposal, VmFuture, VmView};
use component_runtime::Driver;
use guest_partition::Console;
use parking_lot::Mutex;
use terminal_text::Look;

use super::disks::Storage;
use super::execute::vm_config;
use super::{Choices, Outcome, Plan, RunOptions, build, run, run_with_policy, story};
use crate::file::{self, LoadOptions};

fn ran(text: &str) -> (Plan, Outcome) {
    let scenario = file::parse("test.toml", text, &LoadOptions::default()).unwrap();
    let plan = build::plan_alone(&scenario, &Choices::default()).unwrap();
    let options = RunOptions { driver: Driver::Inline, keep_points: true, ..RunOptions::default() };
    let outcome = run(plan.clone(), options).unwrap();
    (plan, outcome)
}

fn told(plan: &Plan, outcome: &Outcome, colour: bool) -> String {
    story::tell("test", plan, &outcome.summary, &outcome.points, Look { columns: 400, colours: colour })
}

/// Keeps what it is told of the future.
struct Told(Arc<Mutex<Option<Arc<Future>>>>);

impl Policy for Told {
    fn name(&self) -> &str {
        "told"
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn round(&mut self, _: &HostView<'_>, _: &[VmView], _: &mut Proposal) {}

    fn foresees(&self) -> bool {
        true
    }

    fn foresee(&mut self, future: &Arc<Future>) {
        *self.0.lock() = Some(Arc::clone(future));
    }
}

/// What simulated guests will need can be found out; what a caller's own machines will need cannot, only when they are started.
#[test]
fn the_future_is_known_of_simulated_guests_only() {
    let text = RESERVE.replace("14m", "7m");
    let scenario = file::parse("test.toml", text, &LoadOptions::default()).unwrap();
    let plan = build::plan_alone(&scenario, &Choices::default()).unwrap();
    let future_of = |own_machines: bool| {
        let told = Arc::default();
        let mut options = RunOptions { driver: Driver::Inline, ..RunOptions::default() };
        if own_machines {
            let plan = plan.clone();
            let storage = Storage::new(&plan).unwrap();
            options.machines = Some(Box::new(move |at, vm| {
                vm_config(&plan, (at, vm), &Console::default(), &storage).factory
            }));
        }
        run_with_policy(plan.clone(), options, Box::new(Told(Arc::clone(&told)))).unwrap();
        told.lock().take().unwrap()
    };
    for (own_machines, known, mib) in [(false, true, 2600), (true, false, 0)] {
        let future = future_of(own_machines);
        assert_eq!(future.vms().len(), 4);
        let need = |vm: &VmFuture| vm.need_at(Duration::from_secs(400)).whole_mib();
        assert!(
            future
                .vms()
                .iter()
                .all(|vm| vm.is_known() == known && need(vm) >= mib && (known || need(vm) == 0))
        );
        assert!(future.vms().iter().all(|vm| vm.starts_from(Duration::ZERO).count() == 1));
    }
}

/// VMs that have all of the host and use half of it; then the parent OS is to have three gigabytes more.
const RESERVE: &str = r#"
    until = "14m"
    host = { memory = "16GB" }
    [[vm]]
    name = "VM{n}"
    numbers = "1..4"
    guest = "ws2008-r2-sp1-enterprise"
    startup_bytes = "512MB"
    maximum_bytes = "8GB"
    workload = { kind = "step", to = "2600MB", after = "1m", active_share = 0.5 }
    [[timeline]]
    at = "0s"
    action = "start"
    vm = "all"
    [[timeline]]
    at = "6m"
    action = "set_registry"
    name = "MemoryReserve"
    value = 4096
"#;

/// A policy that goes by what is free alone would never give up what VMs have of a reserve that was raised.
#[test]
fn a_reserve_that_is_raised_is_there_before_any_guest_restarts_whatever_the_policy() {
    for policy in policy_catalogue::names() {
        let scenario = file::parse("test.toml", RESERVE, &LoadOptions::default()).unwrap();
        let choices = Choices { policy: Some(policy.to_owned()), ..Choices::default() };
        let plan = build::plan_alone(&scenario, &choices).unwrap();
        let options = RunOptions { driver: Driver::Inline, ..RunOptions::default() };
        let host = run(plan, options).unwrap().summary.host;
        assert_eq!((host.reserve_at_start_mb, host.reserve_mb), (864.0, 4096.0), "{policy}");
    }
}

/// A guest that stays at 512 MB and has no page file, and whose application wants 6 GB.
const REFUSED: &str = r#"
    until = "8m"
    host = { memory = "16GB" }
    [[vm]]
    name = "Quiet"
    guest = "ws2008-r2-sp1-enterprise"
    startup_bytes = "512MB"
    [[vm]]
    name = "Greedy"
    guest = "ws2008-r2-sp1-enterprise"
    startup_bytes = "512MB"
    maximum_bytes = "512MB"
    page_file = "0MB"
    workload = { kind = "step", to = "6GB", after = "1m" }
    [[timeline]]
    at = "0s"
    action = "start"
    vm = "all"
"#;

#[test]
fn what_a_guest_refuses_its_applications_is_unmet_demand_and_is_told() {
    let (plan, outcome) = ran(REFUSED);
    let [quiet, greedy] = &outcome.summary.vms[..] else { panic!("two VMs") };
    assert_eq!((quiet.in_guest.commit_failures, quiet.in_guest.first_commit_failure_s), (0, None));
    assert!(greedy.in_guest.commit_failures > 100);
    let refused = greedy.in_guest.refused_commit_mb.unwrap();
    // The VM gets a piece of 64 MB, of the 98 MB that are available.
    assert_eq!(refused.last, 6144.0 - 64.0);
    let lacked = refused.last * (480.0 - greedy.in_guest.first_commit_failure_s.unwrap());
    assert!(
        (greedy.unmet_demand_mb_s - lacked).abs() < 0.02 * lacked,
        "{} of {lacked}",
        greedy.unmet_demand_mb_s
    );
    assert!(greedy.longest_shortage_s > 200.0 && quiet.longest_shortage_s == 0.0);
    let plain = told(&plan, &outcome, false);
    let line = plain.lines().find(|line| line.contains("refuses its applications memory")).unwrap();
    assert!(line.contains("Greedy") && line.contains("up to 6080 MB"), "{line}");
    let row = |name: &str| plain.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row("Greedy").contains(&greedy.in_guest.commit_failures.to_string()), "{plain}");
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    let coloured = told(&plan, &outcome, true);
    let red: Vec<&str> = coloured.lines().filter(|line| line.contains('\u{1b}')).collect();
    assert!(matches!(red[..], [line] if line.starts_with("\u{1b}[31mGreedy")), "{coloured:?}");
}

#[test]
fn the_reserve_of_the_beginning_is_told_as_that_of_the_beginning() {
    let (plan, outcome) = ran(r#"
        until = "4m"
        host = { memory = "8GB" }
        [[vm]]
        name = "A{n}"
        numbers = "1..2"
        guest = "ws2008-r2-sp1-enterprise"
        startup_bytes = "512MB"
        [[timeline]]
        at = "0s"
        action = "start"
        vm = "A1"
        [[timeline]]
        at = "2m"
        action = "set_registry"
        name = "MemoryReserve"
        value = 0
    "#);
    let host = &outcome.summary.host;
    assert!((host.reserve_at_start_mb - 624.0).abs() < 0.5 && host.reserve_mb == 0.0);
    let story = told(&plan, &outcome, false);
    assert!(story.contains("624 MB of it reserved for the parent OS (0 MB at the end)"), "{story}");
    assert!(story.contains("\nNever started: A2.\n"), "{story}");
}

#[test]
fn a_single_vm_is_not_counted() {
    let (plan, outcome) = ran(r#"
        until = "2m"
        host = { memory = "8GB" }
        [[vm]]
        name = "Alone"
        guest = "ws2008-r2-sp1-enterprise"
        startup_bytes = "512MB"
        [[timeline]]
        at = "0s"
        action = "start"
        vm = "Alone"
    "#);
    let story = told(&plan, &outcome, false);
    assert!(story.contains("  The VM has shown its login screen.\n"), "{story}");
}

/// At 80 columns nothing is too long and no word is broken: guests are listed below the table, long names have a line of their own.
#[test]
fn a_story_fits_a_terminal() {
    let text = REFUSED.replace("\"Quiet\"", "\"a-name-that-somebody-found-good-in-2011\"");
    let (plan, outcome) = ran(&text);
    let tell = |columns| {
        story::tell("test", &plan, &outcome.summary, &outcome.points, Look { columns, colours: false })
    };
    for columns in [80, 64] {
        let told = tell(columns);
        let wide: Vec<&str> = told.lines().filter(|line| line.chars().count() > columns).collect();
        assert!(columns < 80 || wide.is_empty(), "{wide:?}");
        assert!(told.contains("\na-name-that-somebody-found-good-in-2011\n "), "{told}");
        assert!(told.contains("\nWindows Server 2008 R2 SP1 Enterprise x64:"), "{told}");
    }
    // Where there is room, all is in one row.
    let told = tell(200);
    let row = told.lines().find(|line| line.starts_with("a-name")).unwrap();
    assert!(row.ends_with("Windows Server 2008 R2 SP1 Enterprise x64") && row.contains(" 512 "), "{told}");
}

/// Of more VMs than the table has rows, the one that matters is among those that it shows.
#[test]
fn a_table_of_many_vms_has_the_hot_one() {
    let (plan, outcome) = ran(r#"
        until = "3m"
        host = { memory = "64GB" }
        [[vm]]
        name = "Idle{n}"
        numbers = "1..30"
        guest = "ws2008-r2-sp1-enterprise"
        startup_bytes = "512MB"
        [[vm]]
        name = "Hot"
        guest = "ws2008-r2-sp1-enterprise"
        startup_bytes = "512MB"
        maximum_bytes = "4GB"
        workload = { kind = "step", to = "2GB", after = "10s" }
        [[timeline]]
        at = "0s"
        action = "start"
        vm = "all"
    "#);
    let story = told(&plan, &outcome, false);
    let rows = story.lines().filter(|line| line.starts_with("Idle") || line.starts_with("Hot")).count();
    assert!(story.contains("\nHot ") && rows == 24, "{story}");
    assert!(story.contains("(7 more VMs, which lacked no more"), "{story}");
}

/// Such a VM stays at its startup RAM whatever its settings say, which a table of numbers does not tell.
#[test]
fn guests_without_dynamic_memory_are_told_and_no_others() {
    let (plan, outcome) = ran(r#"
        until = "3m"
        host = { memory = "8GB" }
        [[vm]]
        name = "Able"
        guest = "ws2008-r2-sp1-standard"
        startup_bytes = "512MB"
        [[vm]]
        name = "Old{n}"
        numbers = "1..2"
        guest = "ws2008-r2-standard"
        startup_bytes = "512MB"
        [[vm]]
        name = "Bare"
        guest = "ws2008-r2-sp1-enterprise"
        integration_services = "none"
        startup_bytes = "512MB"
        [[vm]]
        name = "Static"
        guest = "ws2008-r2-standard"
        startup_bytes = "512MB"
        dynamic_memory_enabled = false
        [[vm]]
        name = "Off"
        guest = "ws2008-r2-standard"
        startup_bytes = "512MB"
        [[timeline]]
        at = "5s"
        action = "start"
        vm = ["Able", "Old1", "Old2", "Bare", "Static"]
    "#);
    let why: Vec<(&str, f64)> = outcome
        .summary
        .vms
        .iter()
        .filter_map(|vm| Some((&*vm.name, vm.dynamic_memory_refused.as_ref()?.time_s)))
        .collect();
    assert_eq!(why.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["Old1", "Old2", "Bare"]);
    assert!(why.iter().all(|(_, time)| (5.0..6.0).contains(time)), "{why:?}");
    let text = told(&plan, &outcome, false);
    for line in [
        "Old1, Old2: Dynamic Memory needs Service Pack 1 in the guest; the guest runs at its startup RAM.",
        "Bare: the guest has no integration services; the guest runs at its startup RAM.",
    ] {
        assert_eq!(text.matches(line).count(), 1, "{line}: {text}");
    }
}

/// The summary's startup and maximum RAM are those of the whole run: what a timeline can change of a VM that exists is buffer and priority.
#[test]
fn a_timeline_changes_buffer_and_priority_only() {
    let (plan, outcome) = ran(r#"
        until = "2m"
        host = { memory = "8GB" }
        [[vm]]
        name = "VM1"
        guest = "ws2008-r2-sp1-enterprise"
        startup_bytes = "512MB"
        maximum_bytes = "2GB"
        [[timeline]]
        at = "0s"
        action = "start"
        vm = "all"
        [[timeline]]
        at = "1m"
        action = "set_vm_memory"
        vm = "VM1"
        buffer = 100
        priority = 90
    "#);
    let before = plan.vms[0].settings;
    let after = plan.timeline.iter().find_map(|step| match &step.action {
        super::plan::Action::Configure { settings, .. } => Some(*settings),
        _ => None,
    });
    let after = after.unwrap();
    assert_ne!((before.buffer, before.weight), (after.buffer, after.weight));
    assert_eq!(before.with_buffer(after.buffer).with_weight(after.weight), after);
    let vm = &outcome.summary.vms[0];
    assert_eq!((vm.startup_mb, vm.maximum_mb), (after.startup.mib(), after.maximum.mib()));
}
