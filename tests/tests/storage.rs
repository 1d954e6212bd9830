//! Virtual hard disks of simulated guests: what they page goes through driver, ring, controller and VHD to a device that they share.

use std::time::Duration;

use scenario::run::{Outcome, Point};
use whole_stack_tests::journey::{self, s};

const SHARED: &str = include_str!("../../scenarios/shared-disk.toml");

fn run(text: &str) -> Outcome {
    journey::run(journey::plan(text, 1), None).unwrap()
}

/// Pages that a guest read from its page file in a second, from one time to another.
fn reads(outcome: &Outcome, vm: usize, from: u64, to: u64) -> f64 {
    let at = |time: u64| -> &Point { outcome.points.all().iter().find(|point| point.time >= s(time)).unwrap() };
    let (first, last) = (at(from), at(to));
    let seconds = (last.time - first.time).as_secs_f64();
    (last.vms[vm].guest_page_reads - first.vms[vm].guest_page_reads) as f64 / seconds
}

/// How long the applications of a guest stood still between two times.
fn stall(outcome: &Outcome, vm: usize, from: u64, to: u64) -> Duration {
    let at = |time: u64| -> &Point { outcome.points.all().iter().find(|point| point.time >= s(time)).unwrap() };
    at(to).vms[vm].guest_stall - at(from).vms[vm].guest_stall
}

#[test]
fn guests_that_page_share_what_the_disk_does() {
    let outcome = run(SHARED);
    let alone = reads(&outcome, 0, 480, 700);
    let together: Vec<f64> = (0..4).map(|vm| reads(&outcome, vm, 840, 1060)).collect();
    let again = reads(&outcome, 0, 1200, 1420);
    assert!(alone > 100.0, "VM1 pages: {alone}");
    let sum: f64 = together.iter().sum();
    assert!(together.iter().all(|one| *one < alone / 2.5), "{alone}, then {together:?}");
    assert!((0.6..1.4).contains(&(sum / alone)), "the disk does what it did: {alone}, then {together:?}");
    assert!(again > alone * 0.7, "{alone}, in the end {again}");
    assert!(stall(&outcome, 0, 840, 1060) > s(100), "it stands still most of the time");
}
