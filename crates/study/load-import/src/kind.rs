//! Kinds of files.

use core::fmt;

use serde::{Serialize, Serializer};

/// A kind of file that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A log of Performance Monitor, `typeperf` or `relog` (PDH-CSV or PDH-TSV), or a run's `counters.csv`.
    Perfmon,
    /// `Get-VM` or `Get-VMMemory`, exported.
    VmList,
    /// The answer of a Prometheus server.
    Prometheus,
    /// A sheet of RVTools.
    RvTools,
    /// A trace: this project's own, GWA-T-12 or GWA-T-13.
    Trace,
}

impl Kind {
    /// What a file of this kind is, for people.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::Perfmon => "a counter log (perfmon, typeperf, relog, or a run's counters.csv)",
            Self::VmList => "a list of Get-VM or Get-VMMemory",
            Self::Prometheus => "an answer of Prometheus",
            Self::RvTools => "a list of RVTools",
            Self::Trace => "a trace (this project's, GWA-T-12 or GWA-T-13)",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Perfmon => "perfmon",
            Self::VmList => "vm_list",
            Self::Prometheus => "prometheus",
            Self::RvTools => "rvtools",
            Self::Trace => "trace",
        })
    }
}

/// What speaks against a file being of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The kind.
    pub kind: Kind,
    /// What speaks against it.
    pub why: String,
}
