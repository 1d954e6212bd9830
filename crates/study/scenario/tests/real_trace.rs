//! An optional check on recorded loads of a real data centre, where somebody has put some: they do not come with the project.

use std::path::{Path, PathBuf};

use component_runtime::Driver;
use page_range::PageCount;
use run_journal::EventsLevel;
use scenario::compare::loads;
use scenario::run::{self, Choices, RunOptions};

/// The first trace beside the project, or the one that `DYNAMIC_MEMORY_TRACE` names.
fn trace() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("DYNAMIC_MEMORY_TRACE") {
        return Some(named.into());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data");
    let mut files: Vec<PathBuf> =
        folder.read_dir().ok()?.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.sort();
    files.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "csv"))
}

#[test]
fn a_recorded_load_is_served_and_its_counters_add_up() {
    let Some(path) = trace() else {
        eprintln!("left out: no recorded trace here; DYNAMIC_MEMORY_TRACE=FILE.csv names one");
        return;
    };
    let window = "0h..4h".parse().unwrap();
    let scenario = loads::trace(&path, Some(window), Some(PageCount::from_mib(150 * 1024)), false).unwrap();
    let plan = run::build::plan(&scenario, &Choices::default(), &mut |_| unreachable!()).unwrap();
    let vms = plan.vms.len();
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::None,
        check_guests: true,
        ..RunOptions::default()
    };
    // The runner ends a run whose sums do not hold.
    let outcome = run::run(plan, options).unwrap();
    assert!(outcome.summary.end.complete, "{:?}", outcome.summary.end);
    let running = outcome.summary.vms.iter().filter(|vm| vm.starts == 1 && vm.failed_starts == 0).count();
    assert_eq!(running, vms, "every VM of the trace starts, once");
    assert!(outcome.summary.host.added_memory_mb > 0.0 && outcome.summary.host.removed_memory_mb > 0.0);
}
