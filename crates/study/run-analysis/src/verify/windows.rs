//! The windows and thresholds of the checks, which are as much chosen as the constants of the models.

use std::time::Duration;

use page_range::PageCount;
use scenario::run::phases;

/// Windows and thresholds that decide what a check sees. [`Windows::default`] is what `verify` uses; its sensitivity table turns each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Windows {
    /// The parent's page reads are averaged over pieces of this length, seconds: the maxima of \[A\] cannot be those of single seconds.
    /// Calibrated.
    pub reads: f64,
    /// ③ of Figure 4-5 begins when the other VMs have lost more than this in all. Invented.
    pub loss: PageCount,
    /// What may change of a VM's memory without being a move. Invented.
    pub still: PageCount,
    /// A move up or down of a curve that shows in Figure 4-6, MB. Invented.
    pub turn: f64,
    /// How many such moves there are in a minute of an unsteady curve. Invented.
    pub turns_per_minute: f64,
    /// How long the parent may take to answer a step of a guest's load: report, round, operation. Invented.
    pub reaction: Duration,
    /// A drop of the guest's available memory is answered by a rise within so long, though not every step has a grant of its own.
    /// Invented.
    pub answer: Duration,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            reads: 15.0,
            loss: phases::LOSS,
            still: PageCount::from_mib(8),
            turn: 2.0,
            turns_per_minute: 2.0,
            reaction: Duration::from_secs(15),
            answer: Duration::from_secs(60),
        }
    }
}
