//! How much slower than usual the host's own work is.

use std::sync::Arc;

use model_sync::Mutex;

/// The factor by which the host's own work takes longer than usual now (1 = not at all), since the parent OS pages. The management
/// service, which follows the parent OS, sets it, and each worker reads it when work begins. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct HostSlowdown(Arc<Mutex<f64>>);

impl Default for HostSlowdown {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(1.0)))
    }
}

impl HostSlowdown {
    pub(crate) fn set(&self, factor: f64) {
        *self.0.lock() = factor;
    }

    pub(crate) fn get(&self) -> f64 {
        *self.0.lock()
    }
}
