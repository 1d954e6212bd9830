//! Who looks at the host as it goes on: a record, and whoever has the state of all VMs printed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use qemu_host::Snapshot;

use crate::record::Record;
use crate::tell;

/// When the state is printed for the first time: VMs are found by then, and guests have reported. Invented.
const FIRST: Duration = Duration::from_secs(5);

/// What is left when a stretch of the run is over.
pub(crate) struct Left {
    pub(crate) record: Option<Record>,
    /// When the state is to be printed next.
    pub(crate) print_at: Duration,
}

/// The onlookers of a stretch.
pub(crate) struct Watch {
    left: Arc<Mutex<Left>>,
    /// How often the state is printed; zero: never.
    every: Duration,
    dry_run: bool,
    /// Ends the stretch, which its record has come to the end of.
    end: Box<dyn Fn() + Send>,
}

impl Watch {
    /// Those of a stretch; what is left of them is in `left` when it is over.
    pub(crate) fn new(
        left: &Arc<Mutex<Left>>,
        every: Duration,
        dry_run: bool,
        end: impl Fn() + Send + 'static,
    ) -> Self {
        Self { left: Arc::clone(left), every, dry_run, end: Box::new(end) }
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prints(&self, now: Duration, left: &Left) -> bool {
        !self.every.is_zero() && now >= left.print_at.max(FIRST)
    }

    /// Whether anybody looks in this second.
    pub(crate) fn wants(&self, now: Duration) -> bool {
        let left = self.left();
        left.record.is_some() || self.prints(now, &left)
    }

    /// Looks.
    pub(crate) fn take(&self, snapshot: &Snapshot) {
        let mut left = self.left();
        match left.record.as_mut().map(|record| record.take(snapshot)) {
            Some(Ok(Some(_why))) => (self.end)(),
            Some(Err(error)) => {
                // A full disk is no reason to let VMs go hungry.
                eprintln!("the record ends: {error:#}");
                left.record = None;
            }
            Some(Ok(None)) | None => {}
        }
        if self.prints(snapshot.now, &left) {
            left.print_at = snapshot.now + self.every;
            tell::say(&tell::state(snapshot, self.dry_run));
        }
    }
}
