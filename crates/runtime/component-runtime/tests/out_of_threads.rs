//! A run whose threads the system refuses ends with a reason of its own, and its components are dropped.
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use component_runtime::{ClockMode, Driver, EndReason, NextWake, RunConfig, Runtime, from_fn};

/// What std reads once for the size of new threads' stacks: no system has so much memory.
const STACK: (&str, &str) = ("RUST_MIN_STACK", "140000000000000000");

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
#[ignore = "run by the test below, in a process that is refused threads"]
fn in_a_process_without_threads() {
    for clock in [ClockMode::Virtual, ClockMode::Wall { speed: 1000.0 }] {
        let config = RunConfig { clock, watchdog: None, ..RunConfig::virtual_time(Driver::Threads) };
        let mut runtime = Runtime::new(config).unwrap();
        let living = Arc::new(AtomicUsize::new(2));
        for name in ["first", "second"] {
            let counted = Counted(living.clone());
            runtime.seat(name, Some("VM1")).start(from_fn(move |_, _, _| {
                let _owned = &counted;
                NextWake::Idle
            }));
        }
        let end = runtime.run();
        let EndReason::OutOfThreads { component, .. } = &end.reason else { panic!("{end:?}") };
        assert_eq!(component, "first/VM1");
        assert!(end.reason.to_string().starts_with("the system gives no more threads"), "{}", end.reason);
        assert_eq!(living.load(Ordering::Relaxed), 0, "all components are dropped");
    }
}

#[test]
fn a_refused_thread_is_no_defect() {
    // One thread for the tests: the harness then runs the test on its main thread and needs no other.
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "out_of_threads::in_a_process_without_threads",
            "--test-threads=1",
            "--nocapture",
        ])
        .env(STACK.0, STACK.1)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
