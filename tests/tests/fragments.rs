//! Memory that moves for long stays in large pages, and what it costs to keep account of it does not grow with time.

use page_range::{LARGE_PAGE_PAGES, PageCount};
use scenario::run::Point;
use scenario::run::points::VmPoint;
use whole_stack_tests::journey;

/// Guests of this kind, each with a load that rises and falls at a pace of its own, on a host that has not enough for all of them.
fn fleet(guest: &str, host: &str, until: &str) -> Vec<Point> {
    let text = format!(
        r#"
until = "{until}"
sample_interval = "10s"
[host]
memory = "{host}"
edition = "unlimited"
[workloads.work]
kind = "sawtooth"
low = "100MB"
high = ["700MB", "1200MB"]
rise = ["3m", "8m"]
fall = "1m"
phase = ["0s", "8m"]
[[vm]]
name = "V{{n}}"
numbers = "1..12"
guest = "{guest}"
startup_bytes = "512MB"
maximum_bytes = "4GB"
workload = "work"
[[timeline]]
at = "0s"
action = "start"
vm = "all"
"#
    );
    journey::run(journey::plan(&text, 1), None).unwrap().points.all().to_vec()
}

/// The mean over the samples of these minutes.
fn mean(points: &[Point], minutes: std::ops::Range<u64>, of: impl Fn(&Point) -> f64) -> f64 {
    let within = |point: &&Point| minutes.contains(&(point.time.as_secs() / 60));
    let values: Vec<f64> = points.iter().filter(within).map(of).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

fn sum(point: &Point, of: impl Fn(&VmPoint) -> u32) -> f64 {
    f64::from(point.vms.iter().map(of).sum::<u32>())
}

/// Percent of the VMs' memory that is mapped with pages of 4 KiB.
fn small_percent(point: &Point) -> f64 {
    let assigned: PageCount = point.vms.iter().map(|vm| vm.physical).sum();
    100.0 * sum(point, |vm| vm.small_pages) / assigned.get().max(1) as f64
}

/// A load that moves memory all the time, over 80 minutes on a host that has not enough.
fn check(guest: &str) {
    let points = fleet(guest, "14GB", "80m");
    let moved: u64 = points.last().unwrap().vms.iter().map(|vm| vm.operations).sum();
    assert!(moved > 3000, "memory moves all the time: {moved}");
    let lacking = points.iter().filter(|point| point.host.available < PageCount::from_mib(128)).count();
    assert!(lacking > 20, "the host has not enough: {lacking} of {}", points.len());

    // Nearly all memory is in large pages, so a map and the pool have no more runs than that many.
    for point in &points {
        let (small, large) = (small_percent(point), sum(point, |vm| vm.large_pages));
        assert!(small < 0.5, "{small} % in small pages at {:?}", point.time);
        let runs = sum(point, |vm| vm.map_runs);
        assert!(
            runs <= large + sum(point, |vm| vm.small_pages),
            "{runs} runs of {large} at {:?}",
            point.time
        );
        let most = point.host.available.get() / LARGE_PAGE_PAGES + 20;
        assert!(
            u64::from(point.host.available_runs) <= most,
            "{} at {:?}",
            point.host.available_runs,
            point.time
        );
    }
    // And what the guests' own books cost is what it was.
    let runs = |minutes| mean(&points, minutes, |point| sum(point, |vm| vm.guest_runs));
    let (then, now) = (runs(20..40), runs(60..80));
    assert!(now < 1.25 * then, "{then} runs of pages in guests, later {now}");
}

#[test]
fn twice_the_time_makes_no_more_fragments() {
    check("ws2008-r2-sp1-enterprise");
}

/// A driver that gives blocks, and single pages only if there are no more; new memory comes in blocks of 128 MB.
#[test]
fn nor_in_linux_guests() {
    check("linux");
}
