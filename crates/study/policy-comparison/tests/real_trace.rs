//! A check on a recorded load of a real data centre. Such records do not come with the project, so the test runs only when asked for.

use std::path::PathBuf;

use component_runtime::Driver;
use page_range::PageCount;
use policy_comparison::loads;
use run_journal::EventsLevel;
use scenario::file::LoadOptions;
use scenario::run::{self, Choices, RunOptions};

#[test]
#[ignore = "needs a recorded trace: DYNAMIC_MEMORY_TRACE=FILE.csv cargo test -p policy-comparison --test real_trace -- --ignored"]
fn a_recorded_load_is_served_and_its_counters_add_up() {
    let path = std::env::var_os("DYNAMIC_MEMORY_TRACE")
        .map(PathBuf::from)
        .expect("DYNAMIC_MEMORY_TRACE=FILE.csv names the trace");
    let window = "0h..4h".parse().unwrap();
    let scenario = {
        let options = LoadOptions { trace_window: Some(window), ..LoadOptions::default() };
        loads::trace(&path, LoadOptions { host_memory: Some(PageCount::from_mib(150 * 1024)), ..options })
            .unwrap()
    };
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
