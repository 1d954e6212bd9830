//! The counters of a run add up at every sample, at whatever moment it is taken: the runner checks both sums at each, and ends
//! the run where one does not hold.

use std::ops::ControlFlow;
use std::time::Duration;

use component_runtime::Driver;
use run_journal::EventsLevel;
use scenario::file::{self, LoadOptions};
use scenario::run::{self, Choices, RunOptions};

/// VMs that start, are reset, turned off and started again, a millisecond apart, on a host that does not have room for all.
const LIVES: &str = r#"
until = "5ms"
host = { memory = "4GB" }
[[vm]]
name = "VM{n}"
numbers = "1..4"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "4GB"
[[timeline]]
at = "0s"
action = "start"
vm = "all"
every = "10us"
[[timeline]]
at = "1ms"
action = "reboot"
vm = "VM1..VM3"
every = "7us"
[[timeline]]
at = "2ms"
action = "stop"
turn_off = true
vm = "all"
every = "13us"
[[timeline]]
at = "3ms"
action = "start"
vm = "all"
"#;

#[test]
fn at_every_microsecond_of_a_start_and_a_restart() {
    for schedule_seed in [None, Some(1), Some(2), Some(3)] {
        let scenario = file::parse("lives.toml", LIVES, &LoadOptions::default()).unwrap();
        let choices = Choices { sample_interval: Some(Duration::from_micros(1)), ..Choices::default() };
        let plan = run::build::plan(&scenario, &choices, &mut |_| unreachable!()).unwrap();
        let options = RunOptions {
            driver: Driver::Inline,
            schedule_seed,
            events: EventsLevel::None,
            keep_points: true,
            check_guests: true,
            ..RunOptions::default()
        };
        let outcome = run::run(plan, options).unwrap_or_else(|error| panic!("{schedule_seed:?}: {error}"));
        let points = outcome.points.all();
        assert_eq!(points.len(), 5001);
        // Each VM was seen on its way and running; and no VM was ever seen running with less than it starts with.
        for vm in 0..4 {
            assert!(points.iter().any(|point| point.vms[vm].running), "VM{}", vm + 1);
            let least =
                points.iter().filter(|point| point.vms[vm].running).map(|point| point.vms[vm].physical.mib());
            assert_eq!(least.fold(f64::INFINITY, f64::min), 512.0, "VM{}", vm + 1);
        }
        assert!(
            points.iter().any(|point| !point.host.in_transit.is_zero()),
            "a start was sampled while under way"
        );
    }
}

/// Whoever looks at the samples ends the run at the third: that run is as complete as one that came to its end.
#[test]
fn an_observer_ends_the_run_as_it_is_meant_to_end() {
    let scenario = file::parse("lives.toml", LIVES.to_owned(), &LoadOptions::default()).unwrap();
    let choices = Choices { sample_interval: Some(Duration::from_millis(1)), ..Choices::default() };
    let plan = run::build::plan(&scenario, &choices, &mut |_| unreachable!()).unwrap();
    let mut seen = 0;
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::None,
        keep_points: true,
        observer: Some(Box::new(move |_| {
            seen += 1;
            if seen < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break("seen enough".to_owned()) }
        })),
        ..RunOptions::default()
    };
    let outcome = run::run(plan, options).unwrap();
    assert_eq!(outcome.points.all().len(), 3);
    let end = outcome.summary.end;
    assert!(end.complete && end.reason.contains("seen enough") && end.time_s < 0.005, "{end:?}");
}
