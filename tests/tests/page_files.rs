//! Page files: what guests can commit, and what is seen of what they refuse.

use page_range::PageCount;
use scenario::run::Outcome;
use whole_stack_tests::journey;

/// A guest of 512 MB on a host of 16 GB, whose application wants 6 GB at once.
fn step_to_6_gb(page_file: &str) -> Outcome {
    let text = format!(
        r#"
until = "12m"
[host]
memory = "16GB"
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "12GB"
{page_file}
[[timeline]]
at = "0s"
action = "start"
vm = "VM1"
[[timeline]]
at = "3m"
action = "set_workload"
vm = "VM1"
workload = {{ kind = "step", to = "6GB" }}
"#
    );
    journey::run(journey::plan(&text, 1), None).unwrap()
}

/// Demand of the application and the operating system, with the buffer.
const SERVED: f64 = (6144.0 + 400.0) * 1.2;

/// The page file that Windows manages grows with commit and RAM, so the guest gets far enough to be seen, and then all of it.
#[test]
fn a_system_managed_page_file_lets_a_guest_grow_out_of_its_startup_ram() {
    let outcome = step_to_6_gb("");
    let vm = &outcome.summary.vms[0];
    assert!(vm.physical_memory_mb.unwrap().last > SERVED, "{:?}", vm.physical_memory_mb);
    let current = vm.current_pressure.unwrap();
    assert!(current.maximum > 500.0 && current.last < 86.0, "a shortage that is seen, and ends: {current:?}");
    // 512 MB and 4 GB can be committed before the first memory is added: what is more is refused until then, and is unmet demand.
    assert!((1..30).contains(&vm.in_guest.commit_failures), "{}", vm.in_guest.commit_failures);
    assert_eq!(vm.in_guest.refused_commit_mb.unwrap().last, 0.0);
    assert!(vm.unmet_demand_mb_s > 0.0);
    let end = outcome.points.last().unwrap();
    assert!(end.vms[0].demand.unwrap() > PageCount::from_mib(6144));
}

/// Without a page file no more can be committed than there is memory. What the guest refuses is unmet demand, and the little that it can
/// commit more brings it memory step by step.
#[test]
fn without_a_page_file_what_is_refused_is_unmet_demand() {
    let with = step_to_6_gb("");
    let without = step_to_6_gb("page_file = \"0MB\"");
    let (with, without) = (&with.summary.vms[0], &without.summary.vms[0]);
    assert!(without.in_guest.commit_failures > 2 * with.in_guest.commit_failures);
    assert!(without.in_guest.refused_commit_mb.unwrap().maximum > 5000.0);
    assert!(
        without.unmet_demand_mb_s > with.unmet_demand_mb_s,
        "{} {}",
        without.unmet_demand_mb_s,
        with.unmet_demand_mb_s
    );
    assert!(without.time_above_100_s < with.time_above_100_s, "pressure knows nothing of it");
    assert!(without.longest_shortage_s > 10.0, "{}", without.longest_shortage_s);
}

/// A guest whose RAM and page file cannot grow refuses for ever, and no number of the run reads as a quiet VM.
#[test]
fn a_guest_that_cannot_grow_is_not_quiet() {
    let outcome = step_to_6_gb("integration_services = \"none\"\npage_file = \"1GB\"");
    let vm = &outcome.summary.vms[0];
    assert_eq!(vm.memory_add_operations, 0, "no Dynamic Memory in this guest");
    // From 3 min to the end, once a second.
    assert!(vm.in_guest.commit_failures > 500, "{}", vm.in_guest.commit_failures);
    // 6 GB less what 512 MB and 1 GB have room for besides the operating system.
    let refused = vm.in_guest.refused_commit_mb.unwrap().last;
    assert!((4900.0..5200.0).contains(&refused), "{refused}");
    assert!(vm.unmet_demand_mb_s > 500.0 * refused, "{}", vm.unmet_demand_mb_s);
    assert!(vm.longest_shortage_s > 500.0, "{}", vm.longest_shortage_s);
}
