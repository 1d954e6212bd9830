//! Which checks there are.

/// A check: see the [crate's documentation](crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Targets are within bounds and capacity, whatever the views.
    SaneProposals,
    /// No VM, 1024 VMs, no demand, more than any host has.
    Extremes,
    /// The same calls give the same answers.
    Deterministic,
    /// On a running host: bounds, books, nothing to correct.
    Bounds,
    /// Constant loads come to rest.
    Converges,
    /// At rest, memory does not go back and forth.
    Oscillation,
    /// Weight counts in a shortage.
    Priority,
    /// A VM that does not answer starves no other VM.
    Unresponsive,
}

impl Check {
    /// All checks, in the order in which they run: the quick ones first.
    pub const ALL: [Self; 8] = [
        Self::SaneProposals,
        Self::Extremes,
        Self::Deterministic,
        Self::Bounds,
        Self::Converges,
        Self::Oscillation,
        Self::Priority,
        Self::Unresponsive,
    ];

    /// Its name in a report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SaneProposals => "sane proposals",
            Self::Extremes => "extremes",
            Self::Deterministic => "deterministic",
            Self::Bounds => "bounds",
            Self::Converges => "converges",
            Self::Oscillation => "no oscillation",
            Self::Priority => "priority",
            Self::Unresponsive => "unresponsive VM",
        }
    }
}
