//! Threads that end by a panic say why: nothing else would show that a guest stands still.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work`; gives what it returns, or what it panicked with.
pub(crate) fn ended_by(work: impl FnOnce() -> Option<String>) -> Option<String> {
    // What `work` leaves half done is not used any more: its thread ends.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Some(format!("has panicked: {}", message(&*panic))))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
