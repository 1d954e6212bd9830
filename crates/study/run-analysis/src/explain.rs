//! Why a VM had the memory it had: told from the events of a run.
//!
//! The balancer records a decision when a target, its rule or its correction changes; between two decisions the earlier one
//! stands. [`explain`] finds the one that stood at a time, what it was made from, who else had a claim, and what came of it.

mod measured;
mod tell;
pub mod words;

pub use measured::Measured;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use page_range::PageCount;
use run_journal::Record;

/// How long after a decision its effects are looked for, if no other decision comes.
const AFTERWARDS: Duration = Duration::from_secs(120);
/// So many effects are told.
const EFFECTS: usize = 24;

/// A decision as it was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// When.
    pub at: Duration,
    /// Its number among the events.
    pub seq: u64,
    /// The round.
    pub round: u64,
    /// What the VM had.
    pub assigned: PageCount,
    /// What it was to have.
    pub target: PageCount,
    /// What the policy proposed.
    pub proposed: PageCount,
    /// The policy's rule.
    pub rule: String,
    /// The numbers behind it, `name=value` separated by commas.
    pub inputs: String,
    /// What the balancer corrected.
    pub correction: Option<String>,
}

/// What a guest reported last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reported {
    /// When.
    pub at: Duration,
    /// What it needs.
    pub demand: PageCount,
    /// What it has available.
    pub available: PageCount,
}

/// Where a VM was in its life.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Life {
    /// The VM has not been started.
    #[default]
    NeverStarted,
    /// The VM is asked to start, or restarts, and waits for memory; what there was for the VM, if that was not enough.
    Waiting {
        /// Since when.
        since: Duration,
        /// What it lacked, as it was recorded.
        lacked: Option<Lacked>,
    },
    /// Its start was refused.
    Refused {
        /// When.
        at: Duration,
        /// What it lacked.
        lacked: Lacked,
        /// Until when memory is collected for it, in case that it is asked to start again; `None` if none is.
        reserved_until: Option<Duration>,
    },
    /// The VM runs.
    Running {
        /// Since when.
        since: Duration,
    },
    /// The VM has ended.
    Off {
        /// Since when.
        since: Duration,
    },
}

/// Why a VM could not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lacked {
    /// What it needed, MB.
    pub required_mb: u64,
    /// What there was, MB.
    pub available_mb: u64,
}

/// A VM at the time asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VmThen {
    /// Where it was in its life.
    pub life: Life,
    /// What it had.
    pub has: PageCount,
    /// Its last report.
    pub report: Option<Reported>,
    /// The decision that stood.
    pub decision: Option<Decided>,
}

/// The state of the host that a round found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// When.
    pub at: Duration,
    /// Its number among the events.
    pub seq: u64,
    /// Its rule.
    pub rule: String,
    /// The numbers behind it.
    pub inputs: String,
}

/// An explanation, displayed as text for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The VM.
    pub vm: String,
    /// The time asked for.
    pub at: Duration,
    /// The policy.
    pub policy: String,
    /// The VM at that time.
    pub then: VmThen,
    /// The state of the host as the last round found it that differed from the one before.
    pub host: Option<Found>,
    /// What the counters say of the host at that time, if they are there.
    pub measured: Option<Measured>,
    /// The other VMs at that time.
    pub others: BTreeMap<String, VmThen>,
    /// Whether guests' reports are among the events; if not (`--events decisions`), nothing is known of what guests needed.
    pub has_reports: bool,
    /// What came of the decision, in order: events from it until the next decision.
    pub effects: Vec<Record>,
    /// How many more there were.
    pub more_effects: usize,
    /// The next decision about the VM.
    pub next: Option<Decided>,
    /// Rounds that the policy had lost by then.
    pub policy_failures: u64,
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError<E: std::error::Error + 'static> {
    /// The events cannot be read.
    #[error(transparent)]
    Events(#[from] E),
    /// No VM of this name.
    #[error("no event is about a VM {name:?}; there are {known}{nearest}")]
    UnknownVm {
        /// The name.
        name: String,
        /// Those there are.
        known: String,
        /// The nearest, as a question.
        nearest: String,
    },
    /// The run was over before.
    #[error("the run has ended by then: its last event is at {}", quantities::format_duration(*.0))]
    AfterTheEnd(Duration),
    /// The run's events were not recorded.
    #[error("the run has no decisions in its events: repeat it with --events all, or --events decisions")]
    NoDecisions,
}

/// Explains, from the events of a run in their order. `until` is when the run ended, if that is known.
///
/// # Errors
/// [`ExplainError`].
pub fn explain<E: std::error::Error + 'static>(
    records: impl IntoIterator<Item = Result<Record, E>>,
    policy: &str,
    vm: &str,
    at: Duration,
    until: Option<Duration>,
) -> Result<Explanation, ExplainError<E>> {
    let mut reader = Reading::new(vm, at);
    let mut last = Duration::ZERO;
    for record in records {
        let record = record?;
        last = last.max(record.t.into());
        reader.read(record);
    }
    reader.end(policy, until.unwrap_or(last).max(last))
}

impl Explanation {
    /// The same with what the run's counters say of the host at that time: events have it only of the times at which the host's state
    /// changed.
    #[must_use]
    pub fn with(mut self, measured: Option<Measured>) -> Self {
        self.measured = measured;
        self
    }
}

struct Reading<'a> {
    vm: &'a str,
    at: Duration,
    names: BTreeSet<String>,
    then: BTreeMap<String, VmThen>,
    host: Option<Found>,
    /// Events that the standing decision led to.
    caused: BTreeSet<u64>,
    effects: Vec<Record>,
    more_effects: usize,
    next: Option<Decided>,
    policy_failures: u64,
    any_decision: bool,
    any_report: bool,
}

impl<'a> Reading<'a> {
    fn new(vm: &'a str, at: Duration) -> Self {
        Self {
            vm,
            at,
            names: BTreeSet::new(),
            then: BTreeMap::new(),
            host: None,
            caused: BTreeSet::new(),
            effects: Vec::new(),
            more_effects: 0,
            next: None,
            policy_failures: 0,
            any_decision: false,
            any_report: false,
        }
    }

    fn read(&mut self, record: Record) {
        let t: Duration = record.t.into();
        let name = record.vm.as_deref();
        if let Some(name) = name
            && !self.names.contains(name)
        {
            self.names.insert(name.to_owned());
        }
        let ours = name.is_some_and(|name| name.eq_ignore_ascii_case(self.vm));
        self.any_decision |= &*record.event == "decision";
        self.any_report |= &*record.event == "status_report";
        if t <= self.at {
            match name {
                Some(name) => {
                    let then = self.then.entry(name.to_owned()).or_default();
                    then.read(t, &record);
                }
                None if &*record.event == "round" => {
                    self.host = Some(Found {
                        at: t,
                        seq: record.seq,
                        rule: text(&record, "rule"),
                        inputs: text(&record, "inputs"),
                    });
                }
                None if &*record.event == "policy_failed" => self.policy_failures += 1,
                None => {}
            }
        }
        if ours {
            self.follow(t, record);
        }
    }

    /// What the decision that stands at the time leads to: until the next one.
    fn follow(&mut self, t: Duration, record: Record) {
        if &*record.event == "decision" {
            if t <= self.at {
                self.caused = BTreeSet::from([record.seq]);
                self.effects.clear();
                self.more_effects = 0;
            } else if self.next.is_none() {
                self.next = Some(decided(t, &record));
            }
            return;
        }
        let over =
            self.next.as_ref().is_some_and(|next| t > next.at + AFTERWARDS) || t > self.at + AFTERWARDS;
        if over || !is_an_effect(&record) {
            // The chain goes on through events that no reader wants.
            if self.caused.contains(&record.cause) && !over {
                self.caused.insert(record.seq);
            }
            return;
        }
        let operation = matches!(&*record.event, "add_memory" | "remove_memory");
        let started_here = operation && self.next.is_none();
        if started_here || self.caused.contains(&record.cause) {
            self.caused.insert(record.seq);
            if self.effects.len() < EFFECTS {
                self.effects.push(record);
            } else {
                self.more_effects += 1;
            }
        }
    }

    fn end<E: std::error::Error + 'static>(
        mut self,
        policy: &str,
        last: Duration,
    ) -> Result<Explanation, ExplainError<E>> {
        let Some(name) = self.names.iter().find(|name| name.eq_ignore_ascii_case(self.vm)).cloned() else {
            let known = self.names.iter().map(String::as_str);
            let nearest = quantities::nearest(self.vm, known.clone());
            return Err(ExplainError::UnknownVm {
                name: self.vm.to_owned(),
                known: known.collect::<Vec<_>>().join(", "),
                nearest: nearest.map_or_else(String::new, |near| format!("; did you mean {near:?}?")),
            });
        };
        if self.at > last {
            return Err(ExplainError::AfterTheEnd(last));
        }
        if !self.any_decision {
            return Err(ExplainError::NoDecisions);
        }
        let then = self.then.remove(&name).unwrap_or_default();
        Ok(Explanation {
            vm: name,
            at: self.at,
            policy: policy.to_owned(),
            then,
            host: self.host,
            measured: None,
            others: self.then,
            has_reports: self.any_report,
            effects: self.effects,
            more_effects: self.more_effects,
            next: self.next,
            policy_failures: self.policy_failures,
        })
    }
}

/// Whether an event is one that a reader wants to be told as an effect.
fn is_an_effect(record: &Record) -> bool {
    matches!(
        &*record.event,
        "add_memory"
            | "remove_memory"
            | "ballooned"
            | "unballooned"
            | "hot_added"
            | "pages_mapped"
            | "pages_unmapped"
            | "operation_finished"
            | "operation_rejected"
            | "add_memory_failed"
            | "guest_unresponsive"
            | "unmap_refused"
    )
}

impl VmThen {
    fn read(&mut self, t: Duration, record: &Record) {
        let pages = PageCount(number(record, "pages"));
        match &*record.event {
            "start_requested" => self.life = Life::Waiting { since: t, lacked: None },
            "restart_waits" => self.life = Life::Waiting { since: t, lacked: Some(lacked(record)) },
            "start_refused" => {
                let reserved = number(record, "reserved_s");
                let reserved_until = (reserved > 0).then(|| t + Duration::from_secs(reserved));
                *self = Self {
                    life: Life::Refused { at: t, lacked: lacked(record), reserved_until },
                    ..Self::default()
                };
            }
            "start_admitted" => {
                *self = Self { life: Life::Running { since: t }, has: pages, ..Self::default() };
            }
            "vm_stopped" | "vm_failed" | "start_cancelled" => {
                *self = Self { life: Life::Off { since: t }, ..Self::default() };
            }
            "pages_mapped" if flag(record, "ok") => self.has += pages,
            "pages_unmapped" if flag(record, "ok") => self.has = self.has.saturating_sub(pages),
            "status_report" => {
                self.report = Some(Reported {
                    at: t,
                    demand: PageCount(number(record, "demand")),
                    available: PageCount(number(record, "available")),
                });
            }
            "decision" => {
                let decided = decided(t, record);
                // The balancer's books are the last word.
                self.has = decided.assigned;
                if !matches!(self.life, Life::Running { .. }) {
                    self.life = Life::Running { since: t };
                }
                self.decision = Some(decided);
            }
            _ => {}
        }
    }

    /// Pressure, percent.
    fn pressure(&self) -> Option<f64> {
        self.report.map(|report| balancing_policy::pressure(report.demand, self.has))
    }
}

fn decided(at: Duration, record: &Record) -> Decided {
    let pages = |name| PageCount(number(record, name));
    Decided {
        at,
        seq: record.seq,
        round: number(record, "round"),
        assigned: pages("assigned"),
        target: pages("target"),
        proposed: pages("proposed"),
        rule: text(record, "rule"),
        inputs: text(record, "inputs"),
        correction: record.field("correction").and_then(|value| value.as_str()).map(str::to_owned),
    }
}

fn lacked(record: &Record) -> Lacked {
    Lacked { required_mb: number(record, "required_mb"), available_mb: number(record, "available_mb") }
}

fn number(record: &Record, name: &str) -> u64 {
    record.field(name).and_then(run_journal::FieldValue::as_u64).unwrap_or(0)
}

fn text(record: &Record, name: &str) -> String {
    record
        .field(name)
        .map_or_else(String::new, |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn flag(record: &Record, name: &str) -> bool {
    matches!(record.field(name), Some(run_journal::FieldValue::Bool(true)))
}

#[cfg(test)]
mod tests;
