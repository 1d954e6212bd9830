//! Hand-written synchronisation, all of it, each with its loom models.
mod baton;
mod port;

pub(crate) use baton::Baton;
pub(crate) use port::{Port, Signals};

#[cfg(all(test, loom))]
mod loom_baton;
#[cfg(all(test, loom))]
mod loom_port;

/// Asserts that loom finds what is wrong with a model, and that it is what it says.
#[cfg(all(test, loom))]
fn finds(what: &str, model: impl Fn() + Send + Sync + std::panic::UnwindSafe + 'static) {
    let found = std::panic::catch_unwind(|| loom::model(model)).map_err(crate::exit::panic_message);
    assert!(found.as_ref().is_err_and(|found| found.contains(what)), "{found:?}");
}
