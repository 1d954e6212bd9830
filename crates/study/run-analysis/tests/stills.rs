//! Stills show what the events say.

use std::path::Path;
use std::time::Duration;

use component_runtime::Driver;
use run_analysis::figures::Recorded;
use run_analysis::stills::{Growth, components, lanes};
use run_journal::query::Causality;
use run_journal::{EVENTS_FILE, EventsLevel, FieldValue, Record, events};
use scenario::file::{self, LoadOptions};
use scenario::run::{self, Choices, RunOptions, build};

fn run(folder: &Path, until: Duration) -> (Recorded, Vec<Record>) {
    let file = file::find("multi-vm", &LoadOptions::default()).unwrap();
    let plan = build::plan_alone(&file, &Choices { until: Some(until), ..Choices::default() }).unwrap();
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::All,
        directory: Some(folder.to_owned()),
        keep_points: true,
        ..RunOptions::default()
    };
    let outcome = run::run(plan.clone(), options).unwrap();
    let records = events::read_whole(&folder.join(EVENTS_FILE)).unwrap().records;
    (Recorded::of(&plan, outcome.points.all()), records)
}

#[test]
fn the_growth_that_is_shown_is_one_that_another_vm_gave_memory_for_before() {
    let folder = tempfile::tempdir().unwrap();
    let (run, records) = run(folder.path(), Duration::from_secs(19 * 60 + 20));
    let causality = Causality::new(&records);
    let growth = Growth::telling(&causality, &records, None).unwrap();
    assert_eq!(growth.vm, "VM8");
    let given: u64 = growth.sources.iter().map(|(_, pages)| pages.get()).sum();
    assert_eq!(growth.finished.field("done").and_then(FieldValue::as_u64), Some(given));
    let removed = growth.removed.unwrap();
    let donor = removed.vm.as_deref().unwrap();
    assert!(growth.sources.iter().any(|(vm, _)| *vm == Some(donor)));
    // It had come home before it was granted.
    let home = causality.chain(removed.seq).unwrap().effects;
    let home = home.iter().find(|(_, record)| &*record.event == "operation_finished").unwrap().1;
    assert!(home.t <= growth.granted.t && growth.granted.t < growth.mapped.t);
    let svg = lanes(&run, &causality, &growth);
    for words in [
        "VM8 VSC",
        "balancer, VM8",
        &format!("{donor} map (GMO)"),
        "grows by",
        "shrinks by",
        "fills its balloon",
    ] {
        assert!(svg.contains(words), "{words}");
    }

    let svg = components(&run, &records, growth.moment(), growth.vm);
    for name in &run.vms {
        assert!(svg.contains(&format!(">{name} ")), "{name}");
    }
    // Each VM has reported in the last second and a half, and the memory for VM8 is on its way.
    assert!(svg.matches("r=\"2.6\"").count() > run.vms.len(), "{svg}");
    assert!(svg.contains("width=\"9\" height=\"9\" fill=\"#e0a100\"") && svg.matches("#e0a100").count() > 2);
    // Before the first sample there is nothing, and said to be.
    let empty = Recorded { points: Vec::new(), ..run.clone() };
    assert!(components(&empty, &records, Duration::ZERO, "VM8").contains("No sample"));
}

#[test]
fn a_run_in_which_nobody_paid_shows_the_largest_growth() {
    let folder = tempfile::tempdir().unwrap();
    let (run, records) = run(folder.path(), Duration::from_secs(6 * 60));
    let causality = Causality::new(&records);
    let growth = Growth::telling(&causality, &records, Some("vm3")).unwrap();
    assert_eq!((growth.vm, growth.removed), ("VM3", None));
    let largest = records
        .iter()
        .filter(|record| &*record.event == "add_memory" && record.vm.as_deref() == Some("VM3"))
        .filter_map(|record| record.field("pages").and_then(FieldValue::as_u64))
        .max();
    assert_eq!(growth.added.field("pages").and_then(FieldValue::as_u64), largest);
    assert!(!lanes(&run, &causality, &growth).contains("shrinks"));
    assert_eq!(Growth::telling(&causality, &records, Some("VM8")), None);
}

#[test]
fn more_vms_than_have_room_for_words_are_drawn_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (run, records) = run(folder.path(), Duration::from_secs(60));
    let mut many = run.clone();
    for number in 9..=200 {
        many.vms.push(format!("VM{number}"));
        many.maximum.push(Some(4096.0));
        for point in &mut many.points {
            let first = point.vms[0];
            point.vms.push(first);
        }
    }
    let svg = components(&many, &records, Duration::from_secs(50), "VM1");
    assert!(svg.matches("<rect").count() >= 200 && !svg.contains("NaN") && !svg.contains("inf"));
}
