//! The first event and the first decision in which two runs differ, and the explanations of the decision in both.

use std::convert::Infallible;
use std::time::Duration;

use run_analysis::explain::{Explanation, explain};
use run_journal::{FieldValue, Record};
use serde::{Serialize, Serializer};

use crate::{Pair, Run};

/// The first event that is not the same in both runs. `None` for a run that has no more events.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FirstEvent {
    /// How many events before are the same.
    pub same_before: usize,
    /// The events, readably.
    pub events: Pair<Option<String>>,
}

/// The first decision about a VM that is not the same in both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FirstDecision {
    /// When the earlier of the two was made, seconds.
    #[serde(serialize_with = "seconds", rename = "at_s")]
    pub at: Duration,
    /// The VM.
    pub vm: String,
    /// How many decisions before are the same.
    pub same_before: usize,
    /// What was decided at that moment, or what stood then; `None` where nothing had been decided about the VM.
    pub decisions: Pair<Option<Decision>>,
    /// What `explain` says of the VM then; `None` where a run has no decisions about it.
    #[serde(skip)]
    pub explanations: Pair<Option<Explanation>>,
}

/// A decision of the balancer about a VM. Sizes are MB.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// When, seconds.
    #[serde(serialize_with = "seconds", rename = "at_s")]
    pub at: Duration,
    /// Its number among the run's events.
    pub seq: u64,
    /// What the VM had.
    pub assigned_mb: f64,
    /// What the VM was to have.
    pub target_mb: f64,
    /// The policy's rule.
    pub rule: String,
    /// The numbers behind it.
    pub inputs: String,
    /// What the balancer's engine corrected.
    pub correction: Option<String>,
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// Fields that two decisions may differ in and still decide the same: what numbers a decision, and what it was made from.
const LEFT_OUT: [&str; 2] = ["round", "inputs"];

/// Finds the first event that differs. Runs without events have none that differ.
pub(crate) fn first_event(runs: Pair<&Run>) -> Option<FirstEvent> {
    if !(runs.first.has_events && runs.second.has_events) {
        return None;
    }
    let (first, second) = (&runs.first.events, &runs.second.events);
    let same_before = first.iter().zip(second).take_while(|(first, second)| first == second).count();
    let events = Pair::new(first.get(same_before), second.get(same_before));
    (events != Pair::default()).then(|| FirstEvent {
        same_before,
        events: events.map(|event| event.map(|event| event.to_string().trim().to_owned())),
    })
}

/// The first decision that differs in more than the numbers that it was made from: when, about which VM, and what.
pub(crate) fn first_decision(runs: Pair<&Run>) -> Option<FirstDecision> {
    let decisions =
        runs.map(|run| run.events.iter().filter(|record| is_decision(record)).collect::<Vec<_>>());
    let same_before = decisions
        .first
        .iter()
        .zip(&decisions.second)
        .take_while(|(first, second)| decide_the_same(first, second))
        .count();
    let ends = decisions.as_ref().map(|decisions| decisions.get(same_before).copied());
    // The earlier of the two is the one that the other run has not made.
    let earlier = match (ends.first, ends.second) {
        (Some(first), Some(second)) if second.t < first.t => second,
        (Some(first), _) => first,
        (None, Some(second)) => second,
        (None, None) => return None,
    };
    let (at, vm) = (Duration::from(earlier.t), earlier.vm.as_deref()?.to_owned());
    let standing = decisions.map(|decisions| {
        let about = |record: &&&Record| record.vm.as_deref() == Some(&*vm) && Duration::from(record.t) <= at;
        decisions.iter().rfind(about).map(|record| decision(record))
    });
    let explanations = runs.map(|run| {
        let policy =
            run.manifest.as_ref().map_or("(its name is missing)", |manifest| manifest.policy.as_str());
        explain(run.events.iter().cloned().map(Ok::<_, Infallible>), policy, &vm, at, None).ok()
    });
    Some(FirstDecision { at, vm, same_before, decisions: standing, explanations })
}

fn is_decision(record: &Record) -> bool {
    &*record.event == "decision"
}

fn decide_the_same(first: &Record, second: &Record) -> bool {
    let said = |record: &Record| -> Vec<(String, FieldValue)> {
        let fields = record.fields.iter().filter(|(name, _)| !LEFT_OUT.contains(&&**name));
        fields.map(|(name, value)| (name.to_string(), value.clone())).collect()
    };
    first.t == second.t && first.vm == second.vm && said(first) == said(second)
}

fn decision(record: &Record) -> Decision {
    let mb = |name| record.field(name).and_then(FieldValue::as_u64).unwrap_or(0) as f64 / 256.0;
    let text = |name| record.field(name).and_then(FieldValue::as_str).map(str::to_owned);
    Decision {
        at: record.t.into(),
        seq: record.seq,
        assigned_mb: mb("assigned"),
        target_mb: mb("target"),
        rule: text("rule").unwrap_or_default(),
        inputs: text("inputs").unwrap_or_default(),
        correction: text("correction"),
    }
}
