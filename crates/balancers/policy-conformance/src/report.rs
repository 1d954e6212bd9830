//! What came of the checks.

use core::fmt;

use crate::check::Check;

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The check held in all cases.
    Held {
        /// How many.
        cases: u32,
    },
    /// The check does not apply.
    NotApplicable {
        /// Why.
        why: &'static str,
    },
    /// The check does not hold.
    Failed {
        /// What was wrong.
        what: String,
        /// The shortest case that was found in which it was.
        case: String,
    },
}

/// One check and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which check.
    pub check: Check,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of all checks of one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The policy.
    pub policy: String,
    /// In the order in which they ran.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// Whether no check failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Failed { .. }))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "policy {}: {}",
            self.policy,
            if self.passed() { "conforms" } else { "does not conform" }
        )?;
        for Outcome { check, verdict } in &self.outcomes {
            let name = check.name();
            match verdict {
                Verdict::Held { cases: 1 } => writeln!(f, "  {name:18} held")?,
                Verdict::Held { cases } => writeln!(f, "  {name:18} held in {cases} cases")?,
                Verdict::NotApplicable { why } => writeln!(f, "  {name:18} not applicable: {why}")?,
                Verdict::Failed { what, case } => {
                    writeln!(f, "  {name:18} FAILED: {what}")?;
                    writeln!(f, "  the shortest case that was found:")?;
                    for line in case.lines() {
                        writeln!(f, "    {line}")?;
                    }
                }
            }
        }
        Ok(())
    }
}
