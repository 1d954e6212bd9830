//! Smart Paging: a VM restarts on a host that has less than its startup RAM.

use page_range::PageCount;
use scenario::run::Outcome;
use vmms_host::VmState;
use whole_stack_tests::journey;

/// VM1 starts with 1 GB; VM2, which never gives up more than half a GB, takes all that VM1 can give up. Then VM1 restarts with its minimum: 512 MB,
/// which is enough for its guest, or 256 MB.
fn host(release: &str, minimum: u64, action: &str) -> String {
    format!(
        r#"
until = "25m"
[host]
memory = "6GB"
memory_reserve = "4080MB"
release = "{release}"
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1"
startup_bytes = "1GB"
minimum_bytes = "{minimum}MB"
maximum_bytes = "2GB"
priority = 0
[[vm]]
name = "VM2"
guest = "ws2008-r2-sp1"
startup_bytes = "1536MB"
maximum_bytes = "4GB"
priority = 100
workload = {{ kind = "step", to = "3GB" }}
[[timeline]]
at = "0s"
action = "start"
vm = "VM1"
[[timeline]]
at = "3m"
action = "start"
vm = "VM2"
tries = 5
retry_after = "30s"
{action}
"#
    )
}

const REBOOT: &str = "[[timeline]]\nat = \"10m\"\naction = \"reboot\"\nvm = \"VM1\"\n";

fn run(release: &str, minimum: u64, action: &str) -> Outcome {
    journey::run(journey::plan(&host(release, minimum, action), 1), None).unwrap()
}

/// Seconds from a time on until VM1 shows its login screen.
fn boots_in(outcome: &Outcome, from: f64) -> f64 {
    let vm = &outcome.summary.vms[0];
    vm.login_s.unwrap_or(f64::INFINITY) - from
}

#[test]
fn since_2012_a_vm_restarts_with_a_file_and_gives_it_back() {
    let outcome = run("2012", 512, REBOOT);
    let vm = &outcome.summary.vms[0];
    assert_eq!((vm.starts, vm.failed_starts, vm.state), (2, 0, VmState::Running));
    let paged = |point: &scenario::run::Point| point.vms[0].paged.whole_mib();
    let most = outcome.points.all().iter().map(paged).max().unwrap();
    assert_eq!(most, 512, "the host had 512 of 1024 MB");
    // The guest sees its startup RAM, has half of it in memory, and balloons the rest away within the ten minutes that Microsoft expects.
    let begins = outcome.points.all().iter().find(|point| paged(point) > 0).unwrap();
    assert_eq!(begins.vms[0].visible, PageCount::from_mib(1024));
    assert_eq!(begins.vms[0].physical, PageCount::from_mib(512));
    let last = outcome.points.all().iter().rfind(|point| paged(point) > 0).unwrap();
    let lasted = (last.time - begins.time).as_secs();
    assert!((60..600).contains(&lasted), "{lasted} s");
    // Nothing of a running VM is put into a file again, and the host's memory is where it was.
    let end = outcome.points.last().unwrap();
    assert_eq!((paged(end), end.vms[0].physical.whole_mib() >= 512), (0, true));
    assert!(outcome.points.all().iter().all(|point| point.host.assigned <= PageCount::from_mib(2048)));
}

#[test]
fn a_guest_whose_file_holds_what_it_needs_boots_slowly() {
    let from = 600.0;
    let slow = boots_in(&run("2022", 256, REBOOT), from);
    // The same guest with all of its memory: VM2 has gone before.
    let gone = format!("[[timeline]]\nat = \"9m\"\naction = \"stop\"\nvm = \"VM2\"\n{REBOOT}");
    let fast = boots_in(&run("2022", 256, &gone), from);
    assert!(fast < 50.0 && slow > fast + 10.0 && slow < 600.0, "{slow} s and {fast} s");
    // Half a GB is enough for this guest to boot, so that its file costs it nothing.
    assert_eq!(boots_in(&run("2022", 512, REBOOT), from), fast);
}

#[test]
fn before_2012_the_restart_fails() {
    let outcome = run("2008-r2-sp1", 512, REBOOT);
    let vm = &outcome.summary.vms[0];
    assert_eq!((vm.starts, vm.failed_starts, vm.state), (1, 1, VmState::Off));
    assert!(outcome.points.all().iter().all(|point| point.vms[0].paged.is_zero()));
    assert!(outcome.summary.event_log.iter().any(|event| event.id == 3122));
}

#[test]
fn a_vm_that_is_off_gets_no_file() {
    let stop_and_start = "[[timeline]]\nat = \"10m\"\naction = \"stop\"\nvm = \"VM1\"\n[[timeline]]\nat = \"12m\"\naction = \"start\"\nvm = \"VM1\"\n";
    let outcome = run("2022", 512, stop_and_start);
    let vm = &outcome.summary.vms[0];
    assert_eq!((vm.starts, vm.failed_starts, vm.state), (1, 1, VmState::Off));
    assert!(outcome.points.all().iter().all(|point| point.vms[0].paged.is_zero()));
}

#[test]
fn memory_that_comes_goes_under_the_file() {
    let stop = |at: &str| format!("{REBOOT}[[timeline]]\nat = \"{at}\"\naction = \"stop\"\nvm = \"VM2\"\n");
    // VM2 goes when VM1 has joined Dynamic Memory, and has a file still.
    let outcome = run("2022", 256, &stop("12m30s"));
    let vm = &outcome.summary.vms[0];
    assert_eq!((vm.starts, vm.state), (2, VmState::Running));
    let at =
        |seconds: u64| outcome.points.all().iter().find(|point| point.time.as_secs() == seconds).unwrap();
    assert!(!at(750).vms[0].paged.is_zero(), "there is a file");
    let end = outcome.points.last().unwrap();
    assert!(end.vms[0].paged.is_zero());
    // What the guest commits and its buffer, of the memory that it restarted with and what came.
    assert!(end.vms[0].physical > PageCount::from_mib(440), "{}", end.vms[0].physical);
    // The guest sees no more than its startup RAM: what came was not added to it.
    assert_eq!(end.vms[0].visible, PageCount::from_mib(1024));
}
