use page_range::{GuestPage, GuestRange};
use rand_pcg::Pcg64;

use super::*;
use crate::workload::{StepConfig, WorkloadConfig};
use crate::{GuestConfig, IntegrationServices, PageFileSize, find_profile};

const SECOND: Duration = Duration::from_secs(1);
const ALL: AgentConfig = AgentConfig { stalls: true, active: true, curve: true };

/// A guest that is switched on with so much memory, in MiB.
fn guest(profile: &str, ram: u64) -> Guest {
    let config = GuestConfig {
        profile: *find_profile(profile).unwrap(),
        services: IntegrationServices::Current,
        ram: vec![GuestRange::new(GuestPage(0), PageCount::from_mib(ram)).unwrap()],
        page_file: PageFileSize::Fixed(PageCount::from_mib(4096)),
    };
    Guest::new(&config, Duration::ZERO, Pcg64::new(1, 1))
}

/// An application that wants so much at once, from the login on, and keeps touching this part of it.
fn wants(guest: &mut Guest, mib: u64, active_share: f64) {
    let size = PageCount::from_mib(mib);
    let step = StepConfig { from: size, to: size, after: Duration::ZERO, hold: None, active_share };
    let workload = WorkloadConfig::Step(step).build(Pcg64::new(1, 1), None).unwrap();
    guest.start_application(guest.memory().now(), workload);
}

/// Lets the guest run, and the agent measure every second from its login on; returned is what it measured last.
fn measured(agent: &mut Agent, guest: &mut Guest, seconds: u64) -> GuestInsight {
    let login = guest.memory().profile().boot_to_login();
    let mut insight = GuestInsight::default();
    for second in 0..=seconds {
        let now = login + SECOND * second as u32;
        guest.tick(now, &mut Vec::new());
        insight = agent.measure(now, guest);
        guest.check().unwrap();
    }
    insight
}

#[test]
fn averages_decay_as_the_kernels_do() {
    let mut averages = Averages::default();
    averages.advance(Duration::ZERO, Duration::ZERO, Duration::ZERO);
    // Half of two seconds, by one task alone.
    averages.advance(2 * SECOND, SECOND, Duration::ZERO);
    let expected = 50.0 * (1.0 - libm::exp(-0.2));
    assert!((averages.some[0] - expected).abs() < 1e-9 && averages.full == [0.0; 3], "{averages:?}");
    // No sooner than every two seconds.
    averages.advance(3 * SECOND, 2 * SECOND, SECOND);
    assert!((averages.some[0] - expected).abs() < 1e-9);
    // A minute without any: the average over ten seconds is gone, that over 300 s is not.
    let before = averages.some[2];
    averages.advance(62 * SECOND, SECOND, Duration::ZERO);
    assert!(averages.some[0] < 0.1 && averages.some[2] > 0.8 * before, "{averages:?}");
}

#[test]
fn a_guest_that_has_what_it_needs_does_not_stall() {
    let (mut guest, mut agent) = (guest("linux", 2048), Agent::new(ALL, 1));
    wants(&mut guest, 500, 0.5);
    let insight = measured(&mut agent, &mut guest, 120);
    assert_eq!(insight.stalls.unwrap(), StallPressure::default());
    // What the application touches, and what the system does.
    let active = insight.active.unwrap().mib();
    let all = (guest.memory().touched().mib(), guest.memory().in_use().mib());
    assert!(active >= 250.0 && active <= all.0 + 1.0 && all.0 < all.1, "{active}, {all:?}");
    let curve = insight.curve.unwrap();
    let set = guest.memory().nonpaged() + guest.memory().active();
    assert_eq!((curve.ratio_at(set), curve.ratio_at(guest.memory().nonpaged())), (0.0, 1.0));
    assert!((curve.touches() - guest.memory().active().get() as f64 / 30.0).abs() < 1e-6);
}

#[test]
fn one_application_that_thrashes_stands_still_and_with_it_all_of_them() {
    let (mut guest, mut agent) = (guest("linux", 512), Agent::new(ALL, 1));
    wants(&mut guest, 900, 1.0);
    let insight = measured(&mut agent, &mut guest, 120);
    let StallPressure { some, full } = insight.stalls.unwrap();
    assert!(some.avg10 > 90.0 && some.total > 100 * SECOND, "{some:?}");
    assert_eq!(full, some, "there is no other that could go on");
    // Beside one that needs nothing of the disk, some stand still, and not all.
    let (mut guest, mut agent) = (self::guest("linux", 512), Agent::new(ALL, 1));
    wants(&mut guest, 900, 1.0);
    wants(&mut guest, 20, 1.0);
    let StallPressure { some, full } = measured(&mut agent, &mut guest, 120).stalls.unwrap();
    assert!(some.total > 100 * SECOND && full.total < some.total, "{some:?}, {full:?}");
}

#[test]
fn windows_does_not_say_how_long_its_tasks_stand_still() {
    let (mut guest, mut agent) = (guest("ws2008-r2-sp1", 1024), Agent::new(ALL, 1));
    let insight = measured(&mut agent, &mut guest, 40);
    assert_eq!(insight.stalls, None);
    assert!(insight.active.is_some() && insight.curve.is_some());
}

#[test]
fn active_pages_are_known_from_the_second_scan_on() {
    let (mut guest, mut agent) = (guest("linux", 1024), Agent::new(ALL, 1));
    assert_eq!(measured(&mut agent, &mut guest, 29).active, None);
    let (mut guest, mut agent) = (self::guest("linux", 1024), Agent::new(ALL, 1));
    assert!(measured(&mut agent, &mut guest, 30).active.is_some());
}

#[test]
fn measuring_costs_applications_their_time_and_less_with_more_processors() {
    let cost = |config: AgentConfig, processors: u32| {
        let (mut guest, mut agent) = (guest("linux", 2048), Agent::new(config, processors));
        wants(&mut guest, 1024, 1.0);
        measured(&mut agent, &mut guest, 300);
        guest.counters().stall.as_secs_f64()
    };
    let only = |change: fn(&mut AgentConfig)| {
        let mut config = AgentConfig::default();
        change(&mut config);
        config
    };
    assert_eq!(cost(only(|config| config.stalls = true), 1), 0.0);
    // 2 % of 300 s.
    assert!((cost(only(|config| config.curve = true), 1) - 6.0).abs() < 0.1);
    // Eleven scans of more than a gigabyte: 262 144 pages and the system's, 0.2 µs each.
    let scans = cost(only(|config| config.active = true), 1);
    assert!((0.5..1.2).contains(&scans), "{scans}");
    let half = cost(only(|config| config.active = true), 2);
    assert!((half - scans / 2.0).abs() < 1e-6, "{half}");
}
