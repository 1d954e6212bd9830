use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use balancing_policy::MemorySettings;
use component_runtime::{Driver, SimTime};
use page_range::PageCount;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use run_journal::{EVENTS_FILE, EventsLevel, FieldValue, Record, Severity};
use scenario::file::{self, LoadOptions};
use scenario::run::{self, Choices, Hand, Plan, Point, RunOptions, build};

use crate::draw::{SMALLEST, draw};
use crate::hand::{Deed, FAULTS, HandFault, with_entries};
use crate::keys::{Key, Keys, Seek, Wish};
use crate::recording::{Player, RecordedVm, Recording};
use crate::view::{Kind, View};

const SCENARIO: &str = r#"until = "4m"
[host]
memory = "4GB"
[[vm]]
name = "VM{n}"
numbers = "1..2"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "2GB"
[[timeline]]
at = "0s"
action = "start"
vm = "VM1"
"#;

fn plan(text: &str) -> Plan {
    let file = file::parse("small.toml", text, &LoadOptions::default()).unwrap_or_else(|bad| panic!("{bad}"));
    build::plan_alone(&file, &Choices::default()).unwrap()
}

fn events(folder: &Path) -> String {
    std::fs::read_to_string(folder.join(EVENTS_FILE)).unwrap()
}

/// Runs a plan into a folder; at each of these seconds something is done by hand. Gives the entries that repeat it.
fn run_by_hand(plan: &Plan, folder: &Path, deeds: &[(u64, Deed)]) -> String {
    let hand = Hand::default();
    let mut settings: Vec<MemorySettings> = plan.vms.iter().map(|vm| vm.settings).collect();
    let mut left = Vec::from(deeds).into_iter().peekable();
    let giving = hand.clone();
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::All,
        directory: Some(folder.to_owned()),
        hand: Some(hand.clone()),
        observer: Some(Box::new(move |point: &Point| {
            while let Some((_, deed)) = left.next_if(|(second, _)| Duration::from_secs(*second) <= point.time)
            {
                deed.actions(&mut settings).into_iter().for_each(|action| giving.act(action));
            }
            ControlFlow::Continue(())
        })),
        ..RunOptions::default()
    };
    run::run(plan.clone(), options).unwrap();
    let done = hand.done();
    assert_eq!(done.len(), deeds.len(), "each deed here is one action");
    done.iter().zip(deeds).map(|(step, (_, deed))| deed.entry(step.at, plan)).collect()
}

#[test]
fn what_was_done_by_hand_is_repeated_by_its_timeline() {
    let folder = tempfile::tempdir().unwrap();
    let (by_hand, again) = (folder.path().join("by-hand"), folder.path().join("again"));
    for folder in [&by_hand, &again] {
        std::fs::create_dir(folder).unwrap();
    }
    let mib = PageCount::from_mib;
    let deeds = vec![
        (20, Deed::Start { vm: 1 }),
        (70, Deed::Load { vm: 0, size: mib(900) }),
        (75, Deed::Priority { vm: 1, priority: 90 }),
        (80, Deed::Load { vm: 1, size: mib(1200) }),
        (100, Deed::Reserve(mib(1024))),
        (120, Deed::Fault { vm: 0, fault: HandFault::Silent }),
        (150, Deed::Unload { vm: 1 }),
        (200, Deed::Stop { vm: 1 }),
    ];
    let plan_by_hand = plan(SCENARIO);
    let entries = run_by_hand(&plan_by_hand, &by_hand, &deeds);
    let text = with_entries(SCENARIO, &entries);
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::All,
        directory: Some(again.clone()),
        ..RunOptions::default()
    };
    run::run(plan(&text), options).unwrap();
    assert!(events(&by_hand).contains("\"inject_fault\""));
    assert!(events(&by_hand) == events(&again), "the timeline does not repeat the run:\n{text}");
}

#[test]
fn every_fault_is_one_that_scenario_files_know() {
    for fault in FAULTS {
        let deed = Deed::Fault { vm: 0, fault };
        let text = with_entries(SCENARIO, &deed.entry(Duration::from_secs(60), &plan(SCENARIO)));
        assert_eq!(plan(&text).timeline.len(), 2, "{text}");
    }
}

/// A view with something in all of its parts.
fn view() -> View {
    let mut view = View::new(&plan(SCENARIO));
    let vm = |physical, demand: Option<u64>| run::points::VmPoint {
        state: vmms_host::VmState::Running,
        running: true,
        physical: PageCount::from_mib(physical),
        demand: demand.map(PageCount::from_mib),
        pressure: demand.map(|demand| 100.0 * demand as f64 / physical as f64),
        target: PageCount::from_mib(1100),
        ..run::points::VmPoint::default()
    };
    let host = run::points::HostPoint {
        available: PageCount::from_mib(1500),
        assigned: PageCount::from_mib(1536),
        in_transit: PageCount::from_mib(128),
        parent_free_mib: 820.0,
        slowdown: 1.0,
        ..run::points::HostPoint::default()
    };
    let mut second = vm(512, None);
    second.state = vmms_host::VmState::Starting;
    view.sample(&Point { time: Duration::from_secs(90), host, vms: vec![vm(1024, Some(1200)), second] });
    let record =
        |seq, component: &str, vm: Option<&str>, event: &str, severity, fields: &[(&str, FieldValue)]| {
            Record {
                t: SimTime::from(Duration::from_millis(90_000 + seq)),
                seq,
                component: component.into(),
                vm: vm.map(Into::into),
                event: event.into(),
                cause: 0,
                severity,
                fields: fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
            }
        };
    let pages = FieldValue::Unsigned(256 * 76);
    view.event(&record(1, "dm-vsc", Some("VM1"), "balloon_status", Severity::Normal, &[]));
    view.event(&record(
        2,
        "memory-balancer",
        Some("VM1"),
        "add_memory",
        Severity::Normal,
        &[("pages", pages)],
    ));
    view.event(&record(3, "dm-vsp", Some("VM2"), "status_report", Severity::Normal, &[]));
    view.event(&record(4, "dm-vsp", Some("VM1"), "guest_unresponsive", Severity::Warning, &[]));
    view
}

fn drawn(view: &View, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(view, frame)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn the_view_at_80_columns() {
    insta::assert_snapshot!("80-columns", drawn(&view(), (80, 30)));
}

#[test]
fn any_terminal_gets_a_view_or_a_sentence() {
    for width in (1..=200).step_by(33) {
        for height in [1, 2, 8, 15, 16, 17, 24, 27, 28, 60] {
            let text = drawn(&view(), (width, height));
            if width >= SMALLEST.0 && height >= SMALLEST.1 {
                assert!(text.contains("VM1"), "{width} by {height}:\n{text}");
            }
        }
    }
    assert!(drawn(&view(), (50, 10)).contains("this view"));
}

/// What is longer than a line is broken between words, or says that something is missing.
#[test]
fn nothing_is_lost_at_the_edge_of_a_small_terminal() {
    let mut view = view();
    let inputs =
        "demand_mib=475.297,expected_mib=512.000,pressure_percent=92.831,minimum_pressure_percent=81.333";
    let decision = Record {
        t: SimTime::from(Duration::from_secs(90)),
        seq: 5,
        component: "memory-balancer".into(),
        vm: Some("VM1".into()),
        event: "decision".into(),
        cause: 0,
        severity: Severity::Normal,
        fields: vec![("inputs".into(), FieldValue::Text(inputs.to_owned()))],
    };
    view.event(&decision);
    view.vms[0].name = "Frontend-Web-01".into();
    view.vms[1].name = "Frontend-Web-02".into();
    view.host.available = PageCount::from_mib(1_234_567);
    for (width, height) in [SMALLEST, (80, 24), (80, 30)] {
        let text = drawn(&view, (width, height));
        for whole in ["…nd-Web-01", "…nd-Web-02", "1234567", " takes 1.00 times", "prio"] {
            assert!(text.contains(whole), "{width} by {height}: {whole}:\n{text}");
        }
        // A decision of three lines: in one with an ellipsis where there are few.
        let decision =
            if height < 30 { "decision inputs=\"demand_" } else { "minimum_pressure_percent=81.333" };
        assert!(text.contains(decision) && text.contains('…'), "{width} by {height}:\n{text}");
    }
    assert!(drawn(&view, (80, 30)).contains("…│"), "a line in the box says that it goes on");
}

/// <https://no-color.org>: the words stay, the colours go.
#[test]
fn without_colours_there_are_none_and_severity_is_said() {
    let mut view = view();
    let colours = |view: &View| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(view, frame)).unwrap();
        let buffer = terminal.backend().buffer();
        buffer.content.iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert!(colours(&view) > 0);
    view.colours = false;
    assert_eq!(colours(&view), 0);
    assert!(drawn(&view, (80, 24)).contains("[warning] guest_unresponsive"));
}

#[test]
fn keys_ask_and_answer() {
    let (mut keys, mut view) = (Keys::default(), view());
    let mut typed = |view: &mut View, text: &str| {
        let keys = &mut keys;
        let mut wish = None;
        for sign in text.chars() {
            let key = match sign {
                '\n' => Key::Enter,
                '<' => Key::Backspace,
                '~' => Key::Escape,
                sign => Key::Char(sign),
            };
            wish = keys.press(key, view);
        }
        wish
    };
    assert_eq!(typed(&mut view, " "), Some(Wish::Pause));
    assert_eq!(
        typed(&mut view, "l2GB<B\n"),
        Some(Wish::Do(Deed::Load { vm: 0, size: PageCount::from_mib(2048) }))
    );
    assert_eq!(typed(&mut view, "w101\n"), None);
    assert_eq!(view.message, "\"101\" is no priority from 0 to 100");
    assert_eq!(view.prompt.as_deref(), Some("Memory priority of VM1, 0 to 100: 101▁"));
    let shown = drawn(&view, (80, 24));
    assert!(shown.contains("is no priority from 0 to 100 (Esc leaves). Memory priority of VM1"), "{shown}");
    assert_eq!(typed(&mut view, "<\n"), Some(Wish::Do(Deed::Priority { vm: 0, priority: 10 })));
    assert_eq!(typed(&mut view, "jx1\n"), Some(Wish::Do(Deed::Fault { vm: 1, fault: HandFault::Silent })));
    assert_eq!(typed(&mut view, "r~q"), Some(Wish::Quit));
    view.vms[1].state = vmms_host::VmState::Off;
    assert_eq!(typed(&mut view, "s"), Some(Wish::Do(Deed::Start { vm: 1 })));
    assert_eq!(typed(&mut view, "u"), None);
    assert_eq!(view.message, "this VM does not run; s starts it");
}

/// A view of one real guest, under the watcher's hand.
fn real_guest() -> View {
    View {
        kind: Kind::RealGuests { by_hand: true },
        follows: true,
        heard: vec!["[    2.0] hv_balloon: Max. dynamic memory size: 1280 MB".to_owned()],
        ..view()
    }
}

#[test]
fn a_real_guest_takes_what_can_be_done_to_it_and_says_why_not_else() {
    let (mut keys, mut view) = (Keys::default(), real_guest());
    let mut typed = |text: &str, view: &mut View| {
        let signs = text.chars().map(|sign| if sign == '\n' { Key::Enter } else { Key::Char(sign) });
        signs.fold(None, |_, key| keys.press(key, view))
    };
    let mib = PageCount::from_mib;
    assert_eq!(typed("t320MB\n", &mut view), Some(Wish::Target(Some(mib(320)))));
    assert_eq!(typed("a", &mut view), Some(Wish::Target(None)));
    assert_eq!(typed("l100MB\n", &mut view), Some(Wish::Do(Deed::Load { vm: 0, size: mib(100) })));
    let crash = Deed::Fault { vm: 0, fault: HandFault::Crash };
    assert_eq!(typed("x2\n", &mut view), Some(Wish::Do(crash)));
    assert_eq!(typed("x3\n", &mut view), None);
    assert_eq!(view.message, "\"3\" is none of 1 to 2");
    keys.press(Key::Escape, &mut view);
    for (key, why) in [('w', "alone on its host"), ('r', "alone on its host")] {
        assert_eq!(keys.press(Key::Char(key), &mut view), None);
        assert!(view.message.contains(why), "{key}: {}", view.message);
    }
    assert_eq!(keys.press(Key::Char('}'), &mut view), Some(Wish::Seek(Seek::To(view.until))));
    view.kind = Kind::RealGuests { by_hand: false };
    for key in ['l', 'u', 's', 'w', 'r', 'x', 't', 'a'] {
        assert_eq!(keys.press(Key::Char(key), &mut view), None);
        assert!(view.message.contains("obey their scenario"), "{key}");
    }
    view.kind = Kind::Simulated;
    assert_eq!(keys.press(Key::Char('t'), &mut view), None);
    assert!(view.message.contains("w changes a weight"));
}

#[test]
fn a_real_guest_at_80_columns_and_before_it_is_there() {
    let mut view = real_guest();
    insta::assert_snapshot!("real-guest-at-80-columns", drawn(&view, (80, 24)));
    view.vms.clear();
    let text = drawn(&view, (80, 24));
    assert!(text.contains("Before there is a guest") && text.contains("hv_balloon: Max."), "{text}");
}

/// A run of the small scenario, as its folder would be read.
fn recording() -> Recording {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(SCENARIO);
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::All,
        directory: Some(folder.path().to_owned()),
        keep_points: true,
        ..RunOptions::default()
    };
    let outcome = run::run(plan.clone(), options).unwrap();
    Recording {
        title: "small · recorded".to_owned(),
        until: plan.until,
        host_memory: plan.host.memory,
        vms: plan
            .vms
            .iter()
            .map(|vm| RecordedVm { name: vm.name.clone(), maximum: vm.settings.maximum, priority: None })
            .collect(),
        points: outcome.points.all().to_vec(),
        records: run_journal::events::read_whole(&folder.path().join(EVENTS_FILE)).unwrap().records,
        missing: Vec::new(),
    }
}

#[test]
fn a_recorded_run_shows_what_it_showed_however_its_time_is_reached() {
    let recording = recording();
    let at = Duration::from_secs(95);
    let (mut played, mut wound) = (recording.view(), recording.view());
    let mut player = Player::new(&recording);
    for tenth in 0..=950 {
        player.play_to(Duration::from_millis(100 * tenth), &mut played);
    }
    let mut player = Player::new(&recording);
    player.play_to(recording.until, &mut wound);
    assert!(player.is_over());
    player.seek(Seek::To(at), &mut wound);
    assert!(!player.is_over());
    assert_eq!(drawn(&played, (120, 40)), drawn(&wound, (120, 40)));
    assert_eq!(wound.vms[0].physical, recording.points[95].vms[0].physical);
    assert_eq!(wound.vms[0].state, vmms_host::VmState::Running);
    assert_eq!(wound.vms[1].state, vmms_host::VmState::Off);
    insta::assert_snapshot!("recorded-at-80-columns", drawn(&wound, (80, 24)));
    player.seek(Seek::Back(Duration::from_secs(600)), &mut wound);
    assert_eq!(player.at(), Duration::ZERO);
}

#[test]
fn what_is_left_of_a_run_is_shown() {
    let whole = recording();
    let at = Seek::To(Duration::from_secs(100));
    let shown = |recording: &Recording| {
        let mut view = recording.view();
        let mut player = Player::new(recording);
        player.seek(at, &mut view);
        while !player.is_over() {
            player.step(&mut view);
        }
        player.seek(at, &mut view);
        (drawn(&view, (100, 30)), view)
    };
    let (text, view) = shown(&Recording { records: Vec::new(), ..whole.clone() });
    assert_eq!(view.vms[0].physical, whole.points[100].vms[0].physical);
    assert!(text.contains("running") && view.events.is_empty(), "{text}");
    let (text, view) = shown(&Recording { points: Vec::new(), ..whole.clone() });
    assert!(text.contains("status_report") && view.vms[0].physical.is_zero(), "{text}");
    let (text, _) = shown(&Recording { vms: Vec::new(), points: Vec::new(), records: Vec::new(), ..whole });
    assert!(text.contains("no VM"), "{text}");
}

#[test]
fn a_step_shows_one_event_more() {
    let recording = recording();
    let mut view = recording.view();
    let mut player = Player::new(&recording);
    player.seek(Seek::To(Duration::from_secs(60)), &mut view);
    let next = recording
        .records
        .iter()
        .position(|record| Duration::from(record.t) > Duration::from_secs(60))
        .unwrap();
    for record in &recording.records[next..next + 40] {
        let before = view.events.len();
        player.step(&mut view);
        assert_eq!(player.at(), Duration::from(record.t));
        assert!(view.events.len() == before + 1 || before == 500);
        assert!(view.events.back().unwrap().2.contains(&*record.event));
    }
    // Beyond the last event is the end.
    player.seek(Seek::To(Duration::MAX), &mut view);
    player.step(&mut view);
    assert!(player.is_over());
}

#[test]
fn nothing_is_done_by_hand_in_a_recorded_run_and_no_live_run_is_wound() {
    let recording = recording();
    let (mut keys, mut view) = (Keys::default(), recording.view());
    for key in ['l', 'w', 'r', 'x', 'u', 's'] {
        assert_eq!(keys.press(Key::Char(key), &mut view), None);
        assert!(view.message.contains("nothing can be changed") && view.prompt.is_none(), "{key}");
    }
    assert_eq!(keys.press(Key::Char('['), &mut view), Some(Wish::Seek(Seek::Back(Duration::from_secs(60)))));
    for key in "g1m30".chars() {
        assert_eq!(keys.press(Key::Char(key), &mut view), None);
    }
    assert_eq!(keys.press(Key::Enter, &mut view), None, "a number without its unit");
    assert!(view.message.contains("is no time"), "{}", view.message);
    keys.press(Key::Char('s'), &mut view);
    assert_eq!(keys.press(Key::Enter, &mut view), Some(Wish::Seek(Seek::To(Duration::from_secs(90)))));
    let mut live = self::view();
    assert_eq!(keys.press(Key::Char(']'), &mut live), None);
    assert!(live.message.contains("cannot be wound"));
}
