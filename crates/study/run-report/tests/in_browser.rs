//! Pages in a browser, opened as files, with nothing else in reach.

use std::path::Path;
use std::time::Duration;

use charts::page::{self, Curve, Drawn, Panel};
use run_analysis::explain::explain;
use run_journal::events::EventsError;
use run_journal::{EVENTS_FILE, EventsLevel, Record, events};
use run_report::{Options, write};
use serde_json::{Value, json};

use crate::browser::Page;
use crate::runs;

fn open(directory: &Path, width: u32) -> Option<Page> {
    let written = write(directory, &Options::default()).unwrap();
    Page::open(&written.path, width)
}

fn records(directory: &Path) -> Vec<Record> {
    events::read_whole(&directory.join(EVENTS_FILE)).unwrap().records
}

#[test]
fn a_run_can_be_studied() {
    let folder = tempfile::tempdir().unwrap();
    runs::contention(folder.path());
    let Some(mut page) = open(folder.path(), 1300) else { return };
    let records = records(folder.path());

    // The model is the run: every event with its fields, its cause and its effects.
    assert_eq!(page.value("Report.events.length"), records.len());
    for record in records.iter().step_by(997) {
        let found = page.value(&format!(
            "(() => {{ const place = Report.events.find({}); const {{events}} = Report; \
             return [events.where(place), events.name(place), events.time[place], events.cause(place), events.fields(place)]; }})()",
            record.seq
        ));
        let mut line = Vec::new();
        events::append(&mut line, record);
        let line: Value = serde_json::from_slice(&line).unwrap();
        let fields: Vec<Value> =
            record.fields.iter().map(|(name, _)| json!([&**name, line[&**name]])).collect();
        assert_eq!(found, json!([record.place(), &*record.event, record.t.0, record.cause, fields]));
    }
    let causality = run_journal::query::Causality::new(&records);
    let operation = records.iter().rfind(|record| &*record.event == "add_memory").unwrap();
    let chain = causality.chain(operation.seq).unwrap();
    let numbers = |list: &[(usize, &Record)]| list.iter().map(|(_, record)| record.seq).collect::<Vec<_>>();
    let found = page.value(&format!(
        "(() => {{ const {{causes, effects}} = Report.causality.chain(Report.events.find({})); \
         const seqs = (list) => list.map(([, place]) => Report.events.seq[place]); return [seqs(causes).sort((a, b) => a - b), seqs(effects)]; }})()",
        operation.seq
    ));
    assert_eq!(found, json!([numbers(&chain.causes), numbers(&chain.effects)]));

    // The story leads to its moments.
    page.value("document.querySelectorAll('#story-list button')[1].click()");
    page.until("document.querySelector('#story-list li.current').textContent.includes('②')");

    // The slider moves, and the picture with it.
    let pool = "document.querySelector('#living-picture').textContent.match(/Available: (\\d+)/)[1]";
    page.value("document.querySelector('#living').scrollIntoView()");
    page.until("document.querySelector('#living-picture svg') !== null");
    let at_the_beginning = "(() => { const slider = document.querySelector('#slider'); slider.value = 0; \
                            slider.dispatchEvent(new Event('input')); })()";
    page.value(at_the_beginning);
    page.until(&format!("Number({pool}) > 31000"));
    page.value(&at_the_beginning.replace("slider.value = 0", "slider.value = 900000"));
    page.until(&format!("Number({pool}) < 1000"));

    // It plays, and stops.
    page.value(at_the_beginning);
    page.value("document.querySelector('#play').click()");
    page.until("Report.state.get().playing && Report.state.get().now > 20e9");
    page.value("document.querySelector('#play').click()");
    page.until("!Report.state.get().playing");

    // A click on a lane opens an event with its chain.
    page.value("document.querySelector('#line-operation').click(); document.querySelector('#timeline').scrollIntoView()");
    page.until("document.querySelectorAll('#event .chain li').length > 3");
    let chosen = page.value("Report.state.get().seq").as_u64().unwrap();
    let clicked = "(() => { const canvas = document.querySelector('#lanes'); const box = canvas.getBoundingClientRect(); \
                   for (let y = box.top; y < box.bottom; y += 4) for (let x = box.left + 120; x < box.right; x += 6) { \
                   for (const type of ['pointerdown', 'pointerup']) canvas.dispatchEvent(new PointerEvent(type, {clientX: x, clientY: y, pointerId: 1, bubbles: true})); \
                   Report.state.settle(); if (Report.state.get().seq !== CHOSEN) return Report.state.get().seq; } return 0; })()";
    // Pointers that no finger moves cannot be captured.
    page.value("Element.prototype.setPointerCapture = () => {}");
    let other = page.value(&clicked.replace("CHOSEN", &chosen.to_string())).as_u64().unwrap();
    assert!(other != 0 && other != chosen);
    page.until(&format!("document.querySelector('#event h3').textContent.startsWith('#{other} ')"));

    // Zoom: to 10 µs and no further, and back to the whole run.
    page.value("for (let times = 0; times < 60; times++) document.querySelector('#line-in').click()");
    page.until("Report.state.get().lineTo - Report.state.get().lineFrom === 10000");
    page.value("Report.interval.zoom(60e9, 120e9)");
    page.until("document.querySelector('#interval').textContent === '1m to 2m'");
    page.value("document.querySelector('#whole').click()");
    page.until("document.querySelector('#interval').textContent === ''");

    // A moment is written, and the VM's memory then is explained.
    page.value(
        "const moment = document.querySelector('#moment'); moment.value = '19m30s'; moment.dispatchEvent(new Event('change')); \
         Report.state.set({vm: 'VM3'}); document.querySelector('#why').scrollIntoView()",
    );
    page.until("document.querySelector('#why').textContent.startsWith('VM3 had ')");
    assert_eq!(page.value("Report.state.get().now"), 1_170_000_000_000_u64);
    page.value("moment.value = 'soon'; moment.dispatchEvent(new Event('change'))");
    page.until("document.querySelector('#moment').getAttribute('aria-invalid') === 'true'");

    // The highest pressure is where the counters have it.
    page.value("document.querySelector('#any-counter').scrollIntoView()");
    page.value("document.querySelector('#highest').click()");
    let highest = "(() => { let best = 0; for (const {name} of Report.vms) { \
                   const {list} = Report.counters.find('Hyper-V Dynamic Memory VM', name, 'Current Pressure'); \
                   for (const value of list) if (value > best) best = value; } return best; })()";
    let shown = "(() => { const {vm, now} = Report.state.get(); \
                 return Report.counters.find('Hyper-V Dynamic Memory VM', vm, 'Current Pressure').list[Report.counters.at(now)]; })()";
    page.until("Report.state.get().now !== 1170e9");
    assert_eq!(page.value(shown), page.value(highest));

    // Events are searched and chosen from; of all only those in view are elements.
    page.value("document.querySelector('#events').scrollIntoView()");
    page.until("document.querySelectorAll('#table .row').length > 5");
    assert!(page.value("document.querySelectorAll('#table .row').length").as_u64().unwrap() < 100);
    page.value("document.querySelector('#search').value = 'vm8 remove_memory'; document.querySelector('#search').dispatchEvent(new Event('input'))");
    let wanted = records
        .iter()
        .filter(|record| &*record.event == "remove_memory" && record.vm.as_deref() == Some("VM8"))
        .count();
    assert!(wanted > 0);
    page.until(&format!("document.querySelector('#found').textContent.startsWith('{wanted} of')"));
    page.value("document.querySelector('#table .row').click()");
    page.until("Report.events.name(Report.events.find(Report.state.get().seq)) === 'remove_memory'");

    // A handshake as a diagram, with the bytes of its messages.
    page.value("document.querySelector('#sequence').scrollIntoView()");
    // The diagram of the chosen event is drawn first: what is chosen before that would give way to the event.
    page.until(
        "document.querySelector('#exchange').selectedOptions[0]?.textContent.includes('remove_memory')",
    );
    page.until(
        "[...document.querySelector('#exchange').options].some((option) => option.value === 'handshake')",
    );
    page.value("document.querySelector('#exchange').value = 'handshake'; document.querySelector('#exchange').dispatchEvent(new Event('change'))");
    page.until("document.querySelector('#diagram').textContent.includes('CAPABILITIES_RESPONSE')");
    let bytes = page.value("document.querySelector('#messages table').textContent");
    assert!(bytes.as_str().unwrap().contains("VERSION_REQUEST, 16 bytes"), "{bytes}");

    // Pictures are whole files.
    for part in ["#living-picture svg", "#diagram svg"] {
        let picture = page.value(&format!("Report.picture(document.querySelector({part:?}))"));
        let picture = picture.as_str().unwrap();
        assert!(
            picture.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"")
                || picture.contains("xmlns=\"http://www.w3.org/2000/svg\"")
        );
        assert!(!picture.contains("var(") && !picture.contains("class="), "{part} depends on the page");
        let wrong = "new DOMParser().parseFromString(PICTURE, 'image/svg+xml').querySelector('parsererror')?.textContent ?? null";
        assert_eq!(page.value(&wrong.replace("PICTURE", &json!(picture).to_string())), Value::Null);
    }

    // Other keys: another VM, the other theme.
    let vm = page.value("Report.state.get().vm");
    page.value("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'v'}))");
    page.until(&format!("Report.state.get().vm !== {vm}"));
    let theme = page.value("document.documentElement.dataset.theme");
    page.value("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'd'}))");
    page.until(&format!("document.documentElement.dataset.theme !== {theme}"));

    // Help opens; and nowhere does the page show what only a program understands.
    page.value("document.querySelector('#help-button').click()");
    let shown = page.value("document.body.innerText");
    let shown = shown.as_str().unwrap();
    assert!(shown.contains("an event back or on"), "{shown}");
    for word in ["[object", "undefined", "NaN", "Infinity"] {
        assert!(!shown.contains(word), "{word}");
    }

    assert_eq!(page.complaints, [""; 0]);
}

/// The page's explanations are those of the command, at each of these times (VM, milliseconds).
fn explains_alike(page: &mut Page, folder: &Path, times: &[(&str, u64)]) {
    let records = records(folder);
    for (vm, milliseconds) in times {
        let at = Duration::from_millis(*milliseconds);
        let said = explain(records.iter().cloned().map(Ok::<_, EventsError>), "hyperv", vm, at, None)
            .unwrap()
            .to_string();
        let shown = page.value(&format!("Report.explain({vm:?}, {})", at.as_nanos()));
        assert_eq!(shown.as_str().unwrap(), said, "{vm} at {at:?}");
    }
}

#[test]
fn the_page_explains_as_the_command_does() {
    let folder = tempfile::tempdir().unwrap();
    runs::contention(folder.path());
    let Some(mut page) = open(folder.path(), 1300) else { return };
    let times = [
        ("VM8", 962_742),
        ("VM8", 1_290_000),
        ("VM3", 1_290_000),
        ("VM1", 500),
        ("VM1", 16_100),
        ("VM8", 700_000),
        ("VM2", 1_322_222),
        ("VM6", 263_900),
        ("VM5", 1_141_000),
        ("VM7", 1_378_999),
        ("VM4", 300_001),
    ];
    explains_alike(&mut page, folder.path(), &times);
}

#[test]
fn so_it_does_of_a_run_without_status_reports() {
    let folder = tempfile::tempdir().unwrap();
    runs::run("multi-vm", Duration::from_secs(300), EventsLevel::Decisions, folder.path());
    let Some(mut page) = open(folder.path(), 1300) else { return };
    explains_alike(&mut page, folder.path(), &[("VM1", 5_000), ("VM1", 290_000), ("VM3", 200_000)]);
}

#[test]
fn a_narrow_screen_needs_no_sideways_scrolling() {
    let folder = tempfile::tempdir().unwrap();
    runs::run("multi-vm", Duration::from_secs(300), EventsLevel::All, folder.path());
    let Some(mut page) = open(folder.path(), 390) else { return };
    for section in ["story", "living", "memory", "timeline", "sequence", "events", "sums"] {
        page.value(&format!("document.getElementById('{section}').scrollIntoView()"));
        page.until("document.scrollingElement.scrollWidth <= 390");
    }
    assert_eq!(page.complaints, [""; 0]);
}

/// Parts out of sight are drawn when somebody scrolls to them, or prints.
#[test]
fn what_nobody_has_scrolled_to_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    runs::contention(folder.path());
    let Some(mut page) = open(folder.path(), 1300) else { return };
    let drawn = "[document.querySelectorAll('#memory .cell canvas').length, document.querySelector('#why').textContent.length, \
                 document.querySelectorAll('#sums tr').length]";
    // The components are in the window, each VM's curves far below. The browser tells the page of that when it has laid
    // the page out.
    page.until("document.querySelector('#living-picture svg') !== null");
    assert_eq!(page.value(drawn), json!([0, 0, 0]));
    page.value("window.dispatchEvent(new Event('beforeprint'))");
    let [curves, why, rows]: [u64; 3] = serde_json::from_value(page.value(drawn)).unwrap();
    assert!(curves == 8 && why > 500 && rows > 20, "{curves} {why} {rows}");
    // Nothing is wider than the paper.
    assert_eq!(
        page.value(
            "Math.max(...[...document.querySelectorAll('canvas')].map((canvas) => canvas.clientWidth)) <= 700"
        ),
        true
    );
    assert_eq!(page.value("document.documentElement.dataset.theme"), "light");
    page.value("window.dispatchEvent(new Event('afterprint'))");
    page.until("document.querySelector('#stack canvas').clientWidth > 1000");
    assert_eq!(page.complaints, [""; 0]);
}

/// Whatever is drawn late has its room from the beginning: else what is far below would come into view for a moment, and
/// be drawn or not by chance, and the page would jump under its reader.
#[test]
fn nothing_moves_when_the_pictures_come() {
    let folder = tempfile::tempdir().unwrap();
    runs::contention(folder.path());
    for width in [1300, 390] {
        let Some(mut page) = open(folder.path(), width) else { return };
        let places = "['living', 'memory', 'each-vm', 'counter', 'timeline', 'lanes-hover'].map((name) => document.getElementById(name).offsetTop)";
        let empty = page.value(places);
        for (seen, drawn) in [
            ("living", "document.querySelector('#living-picture svg') !== null"),
            ("stack", "document.querySelector('#stack canvas') !== null"),
            ("any-counter", "document.querySelector('#any-counter canvas') !== null"),
        ] {
            page.value(&format!("document.getElementById('{seen}').scrollIntoView()"));
            page.until(drawn);
        }
        page.value("for (const cell of document.querySelectorAll('.cell')) cell.scrollIntoView()");
        page.value("Report.drawAll()");
        assert_eq!(page.value("document.querySelectorAll('#memory .cell canvas').length"), 8);
        assert_eq!(page.value(places), empty, "{width} wide");
    }
}

#[test]
fn what_is_left_of_a_run_is_shown_without_a_complaint() {
    let folder = tempfile::tempdir().unwrap();
    runs::run("multi-vm", Duration::from_secs(60), EventsLevel::None, folder.path());
    for name in ["summary.json", "manifest.json", "counters.csv"] {
        if name == "counters.csv" {
            std::fs::write(folder.path().join(EVENTS_FILE), "").unwrap();
        }
        let Some(mut page) = open(folder.path(), 1300) else { return };
        for section in ["story", "living", "memory", "timeline", "sequence", "events", "sums"] {
            page.value(&format!("document.getElementById('{section}').scrollIntoView()"));
            page.until("true");
        }
        assert!(
            page.value("document.querySelector('#missing').textContent").as_str().unwrap().contains("events")
        );
        assert_eq!(page.complaints, [""; 0], "before {name} was taken away");
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
}

#[test]
fn who_paid_whom_is_told_by_the_events() {
    let folder = tempfile::tempdir().unwrap();
    let moved = |seq: u64, vm: &str, pages: u64, from: &str| {
        format!(
            "{{\"t\":{},\"seq\":{seq},\"component\":\"memory-balancer\",\"vm\":\"{vm}\",\"event\":\"memory_moved\",\"cause\":0,\"pages\":{pages},{from}}}\n",
            seq * 1_000_000_000
        )
    };
    let events = [
        moved(1, "VM1", 2560, r#""source":"free""#),
        moved(2, "VM8", 512, r#""source":"vm","donor":"VM1""#),
        moved(3, "VM8", 256, r#""source":"vm","donor":"VM1""#),
        moved(4, "VM1", 128, r#""source":"ended""#),
    ];
    std::fs::write(folder.path().join(EVENTS_FILE), events.concat()).unwrap();
    let Some(mut page) = open(folder.path(), 1300) else { return };
    page.value("document.querySelector('#paid').scrollIntoView()");
    page.until("document.querySelectorAll('#paid tbody tr').length === 3");
    let rows = page.value(
        "[...document.querySelectorAll('#paid tbody tr')].map((row) => [...row.children].map((cell) => cell.textContent).slice(0, 3))",
    );
    assert_eq!(rows, json!([["free memory", "10", ""], ["VMs that ended", "0.5", ""], ["VM1", "", "3.0"]]));
    page.value("document.querySelectorAll('#paid tbody tr')[2].children[2].click()");
    page.until("document.querySelector('#found').textContent.startsWith('2 of 4')");
    assert_eq!(page.complaints, [""; 0]);
}

#[test]
fn curves_of_one_time_are_zoomed_as_one_and_the_page_turns_dark() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curves.html");
    let curve = |name: &str, place: usize, factor: f64| Curve {
        name: name.to_owned(),
        place,
        drawn: Drawn::Line,
        values: (0..100).map(|second| (second != 50).then(|| factor * f64::from(second))).collect(),
    };
    let panel = |title: &str, time: usize| Panel {
        time,
        ..Panel::new(
            title,
            "MB",
            (0..100).map(f64::from).collect(),
            vec![curve("A", 0, 1.0), curve("B", 5, 2.0)],
        )
    };
    let made = |panels: [Panel; 2]| {
        let mut page = page::Page::new("Two runs");
        panels.into_iter().for_each(|panel| page.curves(panel));
        page.preformatted("VM1  1 → 2");
        page.finish()
    };
    std::fs::write(&path, made([panel("Memory", 0), panel("Demand", 0)])).unwrap();
    let Some(mut page) = Page::open(&path, 1000) else { return };
    page.until("document.querySelectorAll('[data-panel] canvas').length === 2");
    let shown = "[...Report.chart.all].map((chart) => [chart.scales.x.min, chart.scales.x.max])";
    assert_eq!(page.value(shown), json!([[0, 99], [0, 99]]));
    page.value("Report.interval.zoom(20e9, 30e9)");
    page.until("document.querySelector('#interval').textContent === '20s to 30s'");
    assert_eq!(page.value(shown), json!([[20, 30], [20, 30]]));
    page.value("document.dispatchEvent(new KeyboardEvent('keydown', { key: '0' }))");
    assert_eq!(page.value(shown), json!([[0, 99], [0, 99]]));
    page.value("document.dispatchEvent(new KeyboardEvent('keydown', { key: 'd' }))");
    page.until("document.documentElement.dataset.theme === 'dark'");
    assert_eq!(page.value("document.querySelector('pre').textContent"), "VM1  1 → 2");
    assert_eq!(page.value("document.querySelector('.legend').textContent"), "AB");
    assert_eq!(page.complaints, [""; 0]);

    // Of two times, each has its own interval.
    std::fs::write(&path, made([panel("Memory", 0), panel("Demand", 1)])).unwrap();
    let mut page = Page::open(&path, 1000).unwrap();
    page.until("document.querySelectorAll('[data-panel] canvas').length === 2");
    page.value("[...Report.chart.all][0].reportInterval.zoom(20e9, 30e9)");
    assert_eq!(page.value(shown), json!([[20, 30], [0, 99]]));
    assert_eq!(page.complaints, [""; 0]);
}
