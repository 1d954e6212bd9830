//! Which VMs start, and which take part in Dynamic Memory.

use balancing_policy::{MemorySettings, VmId};
use page_range::PageCount;
use scenario::run::Outcome;
use scenario::run::plan::Action;
use vmms_host::{VmState, VmmsCommand};
use whole_stack_tests::journey::{self, s};
use whole_stack_tests::world::{self, World};

fn run(text: &str) -> Outcome {
    journey::run(journey::plan(text, 1), None).unwrap()
}

/// An edition of the time runs 192 VMs. The next is refused, in words, and starts when another has stopped.
#[test]
fn the_193rd_running_vm_is_refused() {
    let text = r#"
until = "90s"
sample_interval = "5s"
[host]
memory = "64GB"
edition = "enterprise"
[[vm]]
name = "VM{n}"
numbers = "1..193"
guest = "linux"
startup_bytes = "128MB"
dynamic_memory_enabled = false
[[timeline]]
at = "0s"
action = "start"
vm = "VM1..VM192"
every = "50ms"
[[timeline]]
at = "40s"
action = "stop"
vm = "VM7"
"#;
    let mut plan = journey::plan(text, 1);
    // The file's check counts, too; so this is an administrator who tries.
    for at in [20, 80] {
        journey::insert(&mut plan, s(at), Action::Start { vm: 192, while_host_used_below: None });
    }
    let outcome = journey::run(plan, None).unwrap();
    let refused: Vec<_> =
        outcome.summary.event_log.iter().filter(|event| event.text.contains("192")).collect();
    assert_eq!(refused.len(), 1, "{:?}", outcome.summary.event_log);
    assert!(refused[0].text.contains("VM193"), "{}", refused[0].text);
    let vms = &outcome.summary.vms;
    assert_eq!((vms[192].failed_starts, vms[192].starts, vms[192].state), (1, 1, VmState::Running));
    assert_eq!(vms[6].state, VmState::Off);
    assert_eq!(vms.iter().filter(|vm| vm.state == VmState::Running).count(), 192);
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

/// A VM that does not fit is refused after its tries, in Hyper-V's words, and the memory is there for the others.
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
