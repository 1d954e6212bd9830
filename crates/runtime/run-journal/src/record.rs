//! One recorded event.

use core::fmt;
use std::sync::Arc;

use component_runtime::SimTime;
use serde::{Deserialize, Serialize};

/// One recorded event, as both `events.jsonl` and the journal hold it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Virtual time.
    pub t: SimTime,
    /// Number in the run, from 1; 0 for an event outside of the run itself.
    pub seq: u64,
    /// The component that it happened in, such as `dm-vsp`; `run` outside of all components.
    pub component: Arc<str>,
    /// The VM that it is about.
    pub vm: Option<Arc<str>>,
    /// What happened, such as `balloon_request`.
    pub event: Arc<str>,
    /// Number of the event that led to it; 0 for none (a timer, the start of the run).
    pub cause: u64,
    /// How bad it is.
    pub severity: Severity,
    /// Everything else about it, in the order in which it was said.
    pub fields: Vec<(Arc<str>, FieldValue)>,
}

/// The field that names a second cause.
pub const ALSO_BECAUSE_OF: &str = "also_because_of";

impl Record {
    /// Number of a second event without which this one would not have been: a grant is because of a decision about its VM, and
    /// also because of the memory that another VM gave back.
    pub fn also_because_of(&self) -> Option<u64> {
        self.field(ALSO_BECAUSE_OF).and_then(FieldValue::as_u64)
    }

    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&FieldValue> {
        self.fields.iter().find(|(field, _)| &**field == name).map(|(_, value)| value)
    }

    /// Component and VM as one word: `dm-vsp/VM8`, or `memory-balancer` without a VM.
    pub fn place(&self) -> String {
        match &self.vm {
            Some(vm) => format!("{}/{vm}", self.component),
            None => self.component.to_string(),
        }
    }
}

impl fmt::Display for Record {
    /// One readable line: time, number, place, event, fields, cause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>14} #{:<7} {:<24} {}", self.t, self.seq, self.place(), self.event)?;
        for (name, value) in &self.fields {
            write!(f, " {name}={value}")?;
        }
        if self.severity != Severity::Normal {
            write!(f, " [{}]", self.severity.name())?;
        }
        if self.cause != 0 {
            write!(f, " (because of #{})", self.cause)?;
        }
        Ok(())
    }
}

/// How bad an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// What is meant to happen.
    #[default]
    Normal,
    /// A refusal, a retry, something late.
    Warning,
    /// A protocol error, a crash.
    Error,
}

impl Severity {
    /// Its name in `events.jsonl`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    pub(crate) fn of(level: &tracing::Level) -> Self {
        match *level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warning,
            _ => Self::Normal,
        }
    }
}

/// Value of a field. Numbers have one form each, so that equal values are equal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FieldValue {
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A negative whole number.
    Negative(i64),
    /// A number with decimals; finite.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Anything else.
    Text(String),
}

impl FieldValue {
    /// The value as a number that is not negative and whole.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(*number),
            _ => None,
        }
    }

    /// The value as text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn borrow(&self) -> ValueRef<'_> {
        match self {
            Self::Unsigned(number) => ValueRef::Unsigned(*number),
            Self::Negative(number) => ValueRef::Negative(*number),
            Self::Float(number) => ValueRef::Float(*number),
            Self::Bool(value) => ValueRef::Bool(*value),
            Self::Text(text) => ValueRef::Text(text),
        }
    }
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(number) => number.fmt(f),
            Self::Negative(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::Text(text)
                if !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_./:".contains(c)) =>
            {
                f.write_str(text)
            }
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// [`FieldValue`], borrowed. Serialises to the same bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) enum ValueRef<'a> {
    Unsigned(u64),
    Negative(i64),
    Float(f64),
    Bool(bool),
    Text(&'a str),
}

impl From<i64> for ValueRef<'_> {
    fn from(number: i64) -> Self {
        u64::try_from(number).map_or(Self::Negative(number), Self::Unsigned)
    }
}
