//! Virtual hard disks of simulated guests: what they page goes through driver, ring, controller and VHD to a device that they share.

use std::sync::Arc;
use std::time::Duration;

use balancing_policy::{MemorySettings, VmId};
use component_runtime::Driver;
use page_range::PageCount;
use scenario::run::plan::Action;
use scenario::run::{Outcome, Point};
use storage_device::{Device, DeviceConfig, FileId, ModelledDisk};
use storage_vsp::VspConfig;
use vhd::{Identity, NewDisk, Uuid, VhdTime};
use vmms_host::VmmsCommand;
use vmms_host::storage::{ScsiController, StorageHandle, VirtualDisk};
use whole_stack_tests::journey::{self, s};
use whole_stack_tests::world::{self, World};

const SHARED: &str = include_str!("../../scenarios/shared-disk.toml");

fn run(text: &str) -> Outcome {
    journey::run(journey::plan(text, 1), None).unwrap()
}

/// Pages that a guest read from its page file in a second, from one time to another.
fn reads(outcome: &Outcome, vm: usize, from: u64, to: u64) -> f64 {
    let at =
        |time: u64| -> &Point { outcome.points.all().iter().find(|point| point.time >= s(time)).unwrap() };
    let (first, last) = (at(from), at(to));
    let seconds = (last.time - first.time).as_secs_f64();
    (last.vms[vm].guest_page_reads - first.vms[vm].guest_page_reads) as f64 / seconds
}

/// How long the applications of a guest stood still between two times.
fn stall(outcome: &Outcome, vm: usize, from: u64, to: u64) -> Duration {
    let at =
        |time: u64| -> &Point { outcome.points.all().iter().find(|point| point.time >= s(time)).unwrap() };
    at(to).vms[vm].guest_stall - at(from).vms[vm].guest_stall
}

#[test]
fn guests_that_page_share_what_the_disk_does() {
    let outcome = run(SHARED);
    let alone = reads(&outcome, 0, 360, 470);
    let together: Vec<f64> = (0..4).map(|vm| reads(&outcome, vm, 540, 650)).collect();
    let again = reads(&outcome, 0, 720, 830);
    assert!(alone > 100.0, "VM1 pages: {alone}");
    let sum: f64 = together.iter().sum();
    assert!(together.iter().all(|one| *one < alone / 2.5), "{alone}, then {together:?}");
    assert!((0.6..1.4).contains(&(sum / alone)), "the disk does what it did: {alone}, then {together:?}");
    assert!(again > alone * 0.7, "{alone}, in the end {again}");
    assert!(stall(&outcome, 0, 540, 650) > s(55), "it stands still most of the time");
}

/// The same guests, each pair of them on a device of its own: who pages on the other one is not noticed.
#[test]
fn guests_on_another_device_are_not_noticed() {
    let other = "[[host.disk]]\nname = \"disk2\"\niops = 190\ncache = \"0MB\"\n\n[[vm]]\n";
    let text = SHARED.replacen("[[vm]]\n", other, 1).replace("numbers = \"1..4\"", "numbers = \"1..1\"").replacen(
        "[workloads.too-large]",
        "[[vm]]\nname = \"VM{n}\"\nnumbers = \"2..4\"\nguest = \"ws2008-r2-sp1-enterprise\"\ndynamic_memory_enabled = false\n\
         startup_bytes = \"512MB\"\npage_file = \"2GB\"\ndisk = [{ device = \"disk2\", kind = \"fixed\" }]\n\n[workloads.too-large]",
        1,
    );
    let outcome = run(&text);
    let (alone, together) = (reads(&outcome, 0, 360, 470), reads(&outcome, 0, 540, 650));
    assert!((0.9..1.1).contains(&(together / alone)), "{alone}, then {together}");
    assert!(reads(&outcome, 1, 540, 650) < alone / 2.0, "the others share theirs");
}

/// A thread for each component, or one thread: the same bytes, disks and all.
#[test]
fn a_run_with_disks_is_the_same_with_threads_and_without() {
    let text =
        SHARED.replace("until = \"14m\"", "until = \"7m\"").replace("8m", "6m").replace("11m", "6m30s");
    let left = [Driver::Inline, Driver::Threads]
        .map(|driver| journey::run_with_files(journey::plan(&text, 7), driver, None).unwrap());
    for file in ["counters.csv", "events.jsonl", "summary.json"] {
        assert!(left[0].bytes(file) == left[1].bytes(file), "{file}");
    }
    let counters = String::from_utf8(left[0].bytes("counters.csv")).unwrap();
    assert!(counters.lines().next().unwrap().contains(r"Hyper-V Virtual Storage Device(VM1)\Read Count"));
    let events = String::from_utf8(left[0].bytes("events.jsonl")).unwrap();
    assert!(events.contains("\"storage\"") && events.contains("storage_ready"), "disks are in the record");
}

/// Without disks nothing of them is in a run's files.
#[test]
fn a_run_without_disks_has_no_counters_of_them() {
    let text = "until = \"1m\"\n[host]\nmemory = \"4GB\"\n[[vm]]\nname = \"A\"\nguest = \"linux\"\nstartup_bytes = \"512MB\"\n";
    let left = journey::run_with_files(journey::plan(text, 7), Driver::Inline, None).unwrap();
    assert!(!String::from_utf8(left.bytes("counters.csv")).unwrap().contains("Storage"));
}

/// A guest sends bytes at random to its controller, another closes the channel under its requests: the one is answered, the other has no disk, and
/// nobody else notices. (It would get none by opening the channel again: without a disk there are no pages for its rings.)
#[test]
fn a_guest_that_misuses_its_controller_costs_itself_alone() {
    let faults = "[[timeline]]\nat = \"9m\"\naction = \"inject_fault\"\nvm = \"VM2\"\nfault = \"guest_sends_garbage\"\n\
                  [[timeline]]\nat = \"9m10s\"\naction = \"inject_fault\"\nvm = \"VM3\"\nfault = \"guest_closes_channel\"\n";
    let outcome = run(&format!("{SHARED}\n{faults}"));
    assert!(reads(&outcome, 1, 552, 650) > 5.0, "garbage is answered, and forgotten");
    assert_eq!(reads(&outcome, 2, 552, 588), 0.0, "no channel, no disk");
    assert!(reads(&outcome, 0, 552, 588) > 5.0 && reads(&outcome, 3, 552, 588) > 5.0);
}

/// While requests are under way their VM is reset: it boots with all of its memory, and its disk serves it again.
#[test]
fn a_vm_that_is_reset_while_its_disk_works_boots_again() {
    let mut plan = journey::plan(SHARED, 3);
    journey::insert(&mut plan, s(9 * 60), Action::Reset(0));
    let outcome = journey::run(plan, None).unwrap();
    let end = outcome.points.last().unwrap();
    assert!(end.vms[0].running && outcome.end.panics.is_empty());
    assert!(outcome.summary.end.complete);
}

/// Files lie on the first of a guest's disks, and the page file on the last: one that is taken out and one that is plugged in are used as they
/// come and go. The guest hears of each by a message that nobody asked for, however many came before.
#[test]
fn disks_are_plugged_in_and_taken_out_of_a_guest_that_pages() {
    let device = Device::shared(DeviceConfig::default());
    let make = move |number: u64| -> Box<dyn VirtualDisk> {
        let identity = Identity { uuid: Uuid::from_u128(u128::from(number) + 1), time: VhdTime(0) };
        let new = NewDisk::new(4 << 30, identity);
        Box::new(ModelledDisk::fixed(device.clone(), FileId(number), &new).unwrap())
    };
    let handle = StorageHandle::default();
    let mut vm = world::ordinary("linux", 1);
    vm.config.disks = 2;
    let (first, own) = (make.clone(), handle.clone());
    vm.devices = Arc::new(move || {
        own.attach(0, first(0));
        own.attach(1, first(1));
        let controller = ScsiController::new(Uuid::from_u128(7), VspConfig::default(), own.clone());
        vec![Box::new(controller)]
    });
    let console = vm.console.clone();
    let vms = vec![world::vm("VM", MemorySettings::fixed(PageCount::from_mib(256)), vm)];
    let mut world = World::new(world::run_config(s(100), None), world::host_config(2048), vms);
    world.command_at(s(0), VmmsCommand::Start(VmId(0)));
    world.sawtooth_at(s(20), &console, 400, s(5));
    // Numbers 1, 2, 3 one after the other: each time the guest has to look.
    for turn in 1..3u8 {
        let (time, handle, make) = (s(20 + 20 * u64::from(turn)), handle.clone(), make.clone());
        world.at(time, move |_, _| {
            handle.detach(turn);
            handle.attach(turn + 1, make(u64::from(turn) + 1));
        });
    }
    world.run().assert_well();
    let disks = handle.statistics();
    for lun in 1..4 {
        let disk = disks.get(&lun).copied().unwrap_or_default();
        assert!(disk.bytes_written > 10 << 20 && disk.failed == 0, "{lun}: {disk:?}");
    }
}
