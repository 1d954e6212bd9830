use super::*;
use crate::find_profile;
use crate::manager::ProcessReport;
use crate::workload::{PaintConfig, PaintGoal, StepConfig, WorkloadConfig};

const SECOND: Duration = Duration::from_secs(1);

fn mib(n: u64) -> PageCount {
    PageCount::from_mib(n)
}

fn switched_on(profile: &str, ram: u64, page_file: u64, seed: u64) -> Guest {
    let ram = GuestRange::new(GuestPage(0), mib(ram)).unwrap();
    let config = GuestConfig {
        profile: *find_profile(profile).unwrap(),
        services: IntegrationServices::Current,
        ram: vec![ram],
        page_file: PageFileSize::Fixed(mib(page_file)),
    };
    Guest::new(&config, Duration::ZERO, Pcg64::new(seed.into(), 1))
}

/// Let it run as a component would: woken only when it asked for it.
fn run_until(guest: &mut Guest, until: Duration) -> Vec<GuestEvent> {
    let mut events = Vec::new();
    while let Some(next) = guest.next_timeout().filter(|&next| next <= until) {
        let asked_again = guest.tick(next, &mut events);
        assert!(asked_again.is_none_or(|again| again > next), "woken at {next:?}, again at {asked_again:?}");
        guest.check().unwrap();
    }
    guest.tick(until, &mut events);
    guest.check().unwrap();
    events
}

#[test]
fn a_guest_boots_to_its_login_screen() {
    let mut guest = switched_on("ws2008-r2-sp1", 512, 512, 1);
    assert_eq!(guest.phase(), BootPhase::Loading);
    assert!(!guest.integration_services_run());
    let profile = *guest.memory().profile();
    let events = run_until(&mut guest, profile.boot_to_services());
    assert_eq!(events, [GuestEvent::IntegrationServicesReady]);
    assert!(guest.integration_services_run());
    let events = run_until(&mut guest, profile.boot_to_login());
    assert_eq!(events, [GuestEvent::Login]);
    assert_eq!(guest.counters().committed, profile.idle_commit());
}

/// A check, not an input: the footprint of the profile gives what Figure 4-4 of \[A\] shows.
#[test]
fn windows_server_2008_r2_has_about_98_mb_available_at_512() {
    for seed in 0..20 {
        let mut guest = switched_on("ws2008-r2-sp1", 512, 512, seed);
        run_until(&mut guest, SECOND * 60);
        for minute in 1..30 {
            run_until(&mut guest, SECOND * 60 * minute);
            let available = guest.counters().available.mib();
            assert!((available - 98.0).abs() < 10.0, "seed {seed}: {available}");
        }
        assert_eq!(guest.counters().page_reads, 0);
    }
}

/// At 128 MB with a buffer of 20 % the guest stays at its startup RAM: \[A\] 4.1.
#[test]
fn windows_server_2003_r2_has_at_most_106_in_use_at_128() {
    for seed in 0..20 {
        let mut guest = switched_on("ws2003-r2-sp2", 128, 256, seed);
        for second in 1..600 {
            run_until(&mut guest, SECOND * second);
            let committed = guest.counters().committed.mib();
            assert!(committed <= 106.0, "seed {seed}: {committed}");
        }
        assert_eq!(guest.counters().page_writes, 0);
    }
}

#[test]
fn idle_commit_fluctuates_and_its_deviation_is_the_constants() {
    let mut guest = switched_on("ws2008-r2-sp1", 512, 512, 7);
    run_until(&mut guest, SECOND * 60);
    let mut seen = Vec::new();
    for step in 0..4000 {
        run_until(&mut guest, SECOND * (60 + 5 * step));
        seen.push(guest.counters().committed.mib());
    }
    let mean = seen.iter().sum::<f64>() / seen.len() as f64;
    let deviation = (seen.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / seen.len() as f64).sqrt();
    assert!((mean - 414.0).abs() < 1.0, "{mean}");
    assert!((deviation - 3.0).abs() < 0.5, "{deviation}");
}

#[test]
fn same_random_numbers_same_guest() {
    let run = |seed| {
        let mut guest = switched_on("ws2008-r2-sp1", 1024, 1024, seed);
        let config = WorkloadConfig::Paint(PaintConfig::new(PaintGoal::GuestCommit(mib(900))));
        guest.start_application(Duration::ZERO, config.build(Pcg64::new(seed.into(), 2), None).unwrap());
        let events = run_until(&mut guest, SECOND * 300);
        (guest.counters(), events)
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3).0, run(4).0);
}

#[test]
fn a_late_tick_catches_up() {
    let step = StepConfig {
        from: mib(10),
        to: mib(100),
        after: SECOND * 100,
        hold: Some(SECOND * 50),
        active_share: 1.0,
    };
    let run = |late: bool| {
        let mut guest = switched_on("ws2008-r2-sp1", 1024, 0, 1);
        guest.start_application(
            Duration::ZERO,
            WorkloadConfig::Step(step.clone()).build(Pcg64::new(1, 1), None).unwrap(),
        );
        let mut events = Vec::new();
        if late {
            guest.tick(SECOND * 400, &mut events);
        } else {
            events = run_until(&mut guest, SECOND * 400);
        }
        (guest.counters().committed, guest.counters().in_use, events)
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn a_kernel_that_does_not_fit_does_not_boot() {
    let mut guest = switched_on("ws2008-r2-sp1", 64, 0, 1);
    let events = run_until(&mut guest, SECOND * 100);
    assert_eq!(events, [GuestEvent::BootFailed { needed: mib(96) }]);
    assert_eq!((guest.phase(), guest.next_timeout()), (BootPhase::Failed, None));
}

#[test]
fn a_guest_with_little_memory_boots_and_pages() {
    let mut guest = switched_on("ws2008-r2-sp1", 256, 512, 1);
    run_until(&mut guest, SECOND * 300);
    assert_eq!(guest.phase(), BootPhase::Login);
    assert!(guest.counters().page_writes > 0);
}

#[test]
fn guests_without_dynamic_memory_say_so() {
    let boot = |profile: &str, services| {
        let ram = vec![GuestRange::new(GuestPage(0), mib(512)).unwrap()];
        let profile = *find_profile(profile).unwrap();
        let mut guest = Guest::new(
            &GuestConfig { profile, services, ram, page_file: PageFileSize::Fixed(mib(512)) },
            Duration::ZERO,
            Pcg64::new(1, 1),
        );
        let events = run_until(&mut guest, SECOND * 60);
        (events, guest.integration_services_run())
    };
    let said = |reason| GuestEvent::NoDynamicMemory { reason };
    let (events, run) = boot("windows-7-home", IntegrationServices::Current);
    assert!(events.contains(&said(NoDynamicMemory::EditionNotSupported)) && run);
    let (events, run) = boot("ws2003-r2-sp2", IntegrationServices::Outdated);
    assert!(events.contains(&said(NoDynamicMemory::IntegrationServicesOutdated)) && run);
    let (events, run) = boot("ws2008-r2-sp1-standard", IntegrationServices::Missing);
    assert!(events.contains(&said(NoDynamicMemory::IntegrationServicesMissing)) && !run);
    assert!(!events.contains(&GuestEvent::IntegrationServicesReady));
    let (events, _) = boot("ws2008-r2-sp1-standard", IntegrationServices::Outdated);
    assert_eq!(events, [GuestEvent::IntegrationServicesReady, GuestEvent::Login]);
}

#[test]
fn applications_start_at_the_login_screen_and_end_with_their_memory() {
    let mut guest = switched_on("ws2008-r2-sp1", 1024, 0, 1);
    let config =
        StepConfig { from: mib(50), to: mib(50), after: Duration::ZERO, hold: None, active_share: 1.0 };
    let workload = || WorkloadConfig::Step(config.clone()).build(Pcg64::new(1, 1), None).unwrap();
    let id = guest.start_application(SECOND, workload());
    let login = guest.memory().profile().boot_to_login();
    run_until(&mut guest, login - SECOND / 2);
    assert_eq!(guest.application(id).unwrap().process, ProcessReport::default());
    let events = run_until(&mut guest, login);
    assert!(events.contains(&GuestEvent::ApplicationStarted { application: id, workload: "step" }));
    let report = guest.application(id).unwrap();
    assert_eq!((report.process.commit, report.finished), (mib(50), true));
    let before = guest.counters().committed;
    assert_eq!(guest.end_application(login, id).unwrap(), report);
    assert_eq!(guest.counters().committed, before - mib(50));
    assert_eq!(guest.end_application(login, id), None);
    assert_eq!(guest.applications().count(), 0);
    let next = guest.start_application(login, workload());
    assert_ne!(next, id);
    assert_eq!(guest.next_timeout(), Some(login));
}

#[test]
fn balloon_floor_and_hot_add_of_a_running_guest() {
    let mut guest = switched_on("ws2008-r2-sp1", 512, 512, 1);
    run_until(&mut guest, SECOND * 60);
    let added = GuestRange::new(GuestPage(1 << 20), mib(3584)).unwrap();
    assert_eq!(guest.hot_add(SECOND * 61, added), Ok(mib(3584)));
    assert_eq!(guest.counters().visible, mib(4096));
    let given = guest.allocate_balloon(SECOND * 62, mib(8192));
    assert!(given.trimmed > PageCount::ZERO);
    let left = guest.counters().available - mib(128);
    assert!(left < mib(2), "in whole large pages down to the floor: {left}");
    run_until(&mut guest, SECOND * 70);
    assert_eq!(guest.free_balloon(SECOND * 71, &given.ranges), given.pages());
    assert_eq!(guest.counters().ballooned, PageCount::ZERO);
    run_until(&mut guest, SECOND * 80);
}

#[test]
fn due_earlier_is_what_a_comparison_of_timeouts_says() {
    let never = Duration::MAX;
    let (mut earlier, mut not) = (0, 0);
    let mut guest = switched_on("ws2008-r2-sp1", 512, 1024, 1);
    for step in 1..2000_u32 {
        let now = Duration::from_millis(100) * step;
        run_until(&mut guest, now);
        let (before, memory) = (guest.next_timeout(), guest.memory().next_timeout());
        // In turn what makes it page, and what ends that.
        let change = mib(u64::from(step % 7) * 40);
        if step % 64 < 32 {
            let _ = guest.memory.allocate(guest.kernel, change);
        } else {
            guest.memory.release(guest.kernel, change);
        }
        let expected = guest.next_timeout().unwrap_or(never) < before.unwrap_or(never);
        assert_eq!(guest.is_due_earlier(memory), expected);
        *(if expected { &mut earlier } else { &mut not }) += 1;
    }
    assert!(earlier > 10 && not > 10, "{earlier} {not}");
}
