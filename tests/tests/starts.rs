//! Which VMs start, and which take part in Dynamic Memory.

use balancing_policy::{MemorySettings, VmId};
use page_range::PageCount;
use scenario::file::Patience;
use scenario::run::Outcome;
use scenario::run::plan::Action;
use vmms_host::{VmState, VmmsCommand};
use whole_stack_tests::journey::{self, s};
use whole_stack_tests::world::{self, World};

fn run(text: &str) -> Outcome {
    journey::run(journey::plan(text, 1), None).unwrap()
}

/// A host runs as many VMs as its release supports. The next is refused, and starts when another has stopped.
#[test]
fn one_running_vm_too_many_is_refused() {
    for (release, most) in [("2008-r2-sp1", 384), ("2008", 128)] {
        let text = format!(
            r#"
until = "90s"
sample_interval = "5s"
[host]
memory = "64GB"
edition = "enterprise"
release = "{release}"
[[vm]]
name = "VM{{n}}"
numbers = "1..{}"
guest = "linux"
startup_bytes = "128MB"
dynamic_memory_enabled = false
[[timeline]]
at = "0s"
action = "start"
vm = "VM1..VM{most}"
every = "50ms"
[[timeline]]
at = "40s"
action = "stop"
vm = "VM7"
"#,
            most + 1
        );
        let mut plan = journey::plan(&text, 1);
        // The file's check counts, too; so this is an administrator who tries.
        for at in [25, 80] {
            let action = Action::Start { vm: most, while_host_used_below: None, patience: Patience::NONE };
            journey::insert(&mut plan, s(at), action);
        }
        let outcome = journey::run(plan, None).unwrap();
        let refusal = format!("'VM{}' failed to start.", most + 1);
        let refused: Vec<_> =
            outcome.summary.event_log.iter().filter(|event| event.text.starts_with(&refusal)).collect();
        assert_eq!(refused.len(), 1, "{:?}", outcome.summary.event_log);
        assert!(refused[0].text.contains(&format!("{most} virtual machines run")), "{}", refused[0].text);
        let vms = &outcome.summary.vms;
        let last = &vms[most];
        assert_eq!((last.failed_starts, last.starts, last.state), (1, 1, VmState::Running));
        assert_eq!(vms[6].state, VmState::Off);
        assert_eq!(vms.iter().filter(|vm| vm.state == VmState::Running).count(), most);
    }
}

/// Static memory, and guests that cannot take part, stay at what they start with, whatever they need.
#[test]
fn who_does_not_take_part_keeps_the_startup_ram() {
    let text = r#"
until = "8m"
[host]
memory = "8GB"
[[vm]]
name = "dynamic"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "2GB"
[[vm]]
name = "static"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
dynamic_memory_enabled = false
[[vm]]
name = "without"
guest = "ws2008-sp2-enterprise"
integration_services = "none"
startup_bytes = "512MB"
maximum_bytes = "2GB"
[[vm]]
name = "outdated"
guest = "ws2008-sp2-enterprise"
integration_services = "outdated"
startup_bytes = "512MB"
maximum_bytes = "2GB"
[[timeline]]
at = "0s"
action = "start"
vm = "all"
[[timeline]]
at = "100s"
action = "set_workload"
vm = "all"
workload = { kind = "step", to = "700MB" }
"#;
    let outcome = run(text);
    for vm in &outcome.summary.vms {
        assert_eq!((vm.state, vm.failures), (VmState::Running, 0), "{}", vm.name);
        let physical = vm.physical_memory_mb.unwrap();
        if vm.name == "dynamic" {
            assert!(physical.last > 700.0, "{physical:?}");
        } else {
            assert_eq!((physical.minimum, physical.maximum), (512.0, 512.0), "{}", vm.name);
            assert_eq!(vm.memory_add_operations + vm.memory_remove_operations, 0, "{}", vm.name);
        }
    }
    let end = outcome.points.last().unwrap();
    assert_eq!(end.vms.iter().filter(|vm| vm.demand.is_some()).count(), 1, "one takes part");
}

/// A VM that does not fit is refused when it is asked for, in Hyper-V's words, and the memory is there for the others.
#[test]
fn a_vm_that_does_not_fit_is_refused_and_costs_nothing() {
    let text = r#"
until = "6m"
[host]
memory = "2GB"
memory_reserve = "512MB"
[[vm]]
name = "small"
guest = "linux"
startup_bytes = "256MB"
maximum_bytes = "1GB"
[[vm]]
name = "large"
guest = "linux"
startup_bytes = "4GB"
dynamic_memory_enabled = false
[[timeline]]
at = "0s"
action = "start"
vm = "all"
"#;
    let outcome = run(text);
    assert_eq!(outcome.summary.vms[1].failed_starts, 1);
    assert_eq!(outcome.summary.vms[1].state, VmState::Off);
    assert!(outcome.summary.event_log.iter().any(|event| event.id == 3122));
    let end = outcome.points.last().unwrap();
    assert_eq!(end.host.in_transit, PageCount::ZERO);
    assert_eq!(outcome.summary.vms[0].state, VmState::Running);
}

/// VM1 has nearly all and needs little; VM2 needs what VM1 has too much.
const COMPETITORS: &str = r#"
until = "6m"
[host]
memory = "6GB"
memory_reserve = "1GB"
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1"
startup_bytes = "4GB"
minimum_bytes = "512MB"
maximum_bytes = "4GB"
[[vm]]
name = "VM2"
guest = "ws2008-r2-sp1"
startup_bytes = "3GB"
minimum_bytes = "512MB"
maximum_bytes = "3GB"
workload = { kind = "step", to = "700MB" }
[[timeline]]
at = "0s"
action = "start"
vm = "VM1"
[[timeline]]
at = "3m"
action = "start"
vm = "VM2"
"#;

/// Hyper-V refuses a start while memory is still being removed from others. Who takes that answer has no VM, and what was taken from
/// the others goes back.
#[test]
fn a_refused_start_is_not_tried_again_by_itself() {
    let outcome = run(COMPETITORS);
    let vm = &outcome.summary.vms[1];
    assert_eq!((vm.failed_starts, vm.starts, vm.state), (1, 0, VmState::Off));
    let taken = outcome.points.all().iter().map(|point| point.vms[0].physical).min().unwrap();
    assert!(outcome.summary.vms[0].memory_remove_operations > 0, "memory is collected for another request");
    assert!(taken < PageCount::from_mib(3000), "{taken}");
    // Whatever was collected is no VM's and not set aside.
    let end = outcome.points.last().unwrap();
    let capacity = PageCount::from_mib(5 * 1024 - 8);
    assert_eq!(end.host.available + end.vms[0].physical, capacity);
}

/// An operator who asks again finds what was collected meanwhile, and what was to run in the guest runs then.
#[test]
fn an_operator_who_asks_again_gets_the_vm() {
    let patient = COMPETITORS.replace("vm = \"VM2\"\n", "vm = \"VM2\"\ntries = 3\nretry_after = \"30s\"\n");
    let outcome = run(&patient);
    let vm = &outcome.summary.vms[1];
    assert_eq!((vm.failed_starts, vm.starts, vm.state), (1, 1, VmState::Running));
    let started = vm.started_s.unwrap();
    assert!((210.0..211.0).contains(&started), "{started}");
    assert!(vm.demand_mb.unwrap().maximum > 1000.0, "its workload runs: {:?}", vm.demand_mb);
    // With no memory collected it would be refused each time.
    let alone = patient
        .replace("[[vm]]\nname = \"VM1\"", "[balancer]\nstart_reservation = \"0s\"\n[[vm]]\nname = \"VM1\"");
    let outcome = run(&alone);
    let vm = &outcome.summary.vms[1];
    assert_eq!((vm.failed_starts, vm.starts), (3, 0));
}

/// What it takes to start this many VMs on one host and to let them boot for ten seconds: wakes of components, allocations, and
/// bytes allocated. All of these are counted, not timed.
fn work_of_starting(vms: u32) -> [(&'static str, u64); 3] {
    let configs = (0..vms).map(|n| {
        let memory = MemorySettings::fixed(PageCount::from_mib(128));
        world::vm(&format!("VM{n}"), memory, world::ordinary("linux", u64::from(n)))
    });
    let config = world::host_config(160 * u64::from(vms) + 1024);
    let mut world = World::new(world::run_config(s(11), None), config, configs.collect());
    for vm in 0..vms {
        world.command_at(s(1), VmmsCommand::Start(VmId(vm)));
    }
    let mut wakes = 0;
    // Without threads, all components run on this one, whose allocations are counted.
    let allocated = allocation_counter::measure(|| {
        let ended = world.run();
        ended.assert_well();
        assert!((0..vms).all(|vm| ended.hands.vm(vm).starts == 1), "every VM starts");
        wakes = ended.end.wakes;
    });
    [("wakes", wakes), ("allocations", allocated.count_total), ("bytes", allocated.bytes_total)]
}

/// Starting thousands of VMs takes work in proportion to their number.
#[test]
fn twice_as_many_vms_are_twice_the_work_to_start() {
    let (some, twice) = (work_of_starting(300), work_of_starting(600));
    for ((what, some), (_, twice)) in some.into_iter().zip(twice) {
        // A part in proportion to the square, were it a quarter of the work at 300 VMs, would make this 2.5.
        assert!(twice * 10 <= some * 22, "{what}: {some} for 300 VMs, {twice} for 600");
    }
}
