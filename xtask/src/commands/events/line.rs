//! A line for an event: when, how much later, its number, where, and what.

use std::time::Duration;

use component_runtime::SimTime;
use run_journal::{Record, Severity, pages};
use terminal_text::{Ink, Look, escape, wrap_after};

/// Columns of a time up to its decimal point, and from there on.
const WHOLE: usize = 8;
const DECIMALS: usize = 11;
/// Columns of the time since another event.
const DELTA: usize = 9;
/// Where the second line of an event begins.
const INDENT: usize = WHOLE + DECIMALS + 2;
/// Columns that a tree leaves for the events themselves.
const LEAST: usize = 56;
/// Keeps a number of pages and its MB together while lines are broken.
const TOGETHER: char = '\u{a0}';

/// The heads of the columns. `since` says of what the times between are.
pub(super) fn header(since: &str) -> String {
    format!(
        "{:<time$} {:>DELTA$} event  (Δ: time {since})",
        format!("{:>1$}", "time", WHOLE),
        "Δ",
        time = WHOLE + DECIMALS
    )
}

/// An event as it is to be printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) record: &'a Record,
    /// Stands first in the line.
    pub(super) mark: &'a str,
    /// How much later it is than another event.
    pub(super) delta: Option<Duration>,
    /// How deep it is in a tree.
    pub(super) depth: usize,
    /// The time of its cause, where that is to be told.
    pub(super) cause: Option<SimTime>,
}

impl Line<'_> {
    /// The line, in as many as it takes, with what is not text escaped.
    pub(super) fn text(&self, look: Look) -> String {
        let Line { record, mark, delta, depth, cause } = *self;
        let depth = (depth * 2).min(look.columns.saturating_sub(LEAST));
        let delta = delta.map_or_else(String::new, since);
        let head = format!("{mark}{} {delta:>DELTA$} #{:<6} {:depth$}", clock(record.t), record.seq, "");
        let mut text = format!("{} {}", record.place(), record.event);
        for (name, value) in &record.fields {
            text.push_str(&format!(" {name}={value}"));
            if let Some(mb) = pages::mb(name, value) {
                text.push_str(&format!("{TOGETHER}({mb}{TOGETHER}MB)"));
            }
        }
        let tag = format!("[{}]", record.severity.name());
        if record.severity != Severity::Normal {
            text.push_str(&format!(" {tag}"));
        }
        if record.cause != 0
            && let Some(at) = cause
        {
            text.push_str(&format!(
                " (because of #{}, {} before)",
                record.cause,
                since(record.t.since(at)).trim_start_matches('+')
            ));
        } else if record.cause != 0 && mark.is_empty() {
            text.push_str(&format!(" (because of #{})", record.cause));
        }
        let text = wrap_after(&head, &escape(&text), look.columns, INDENT + depth).replace(TOGETHER, " ");
        match record.severity {
            Severity::Normal => text,
            Severity::Warning => text.replace(&tag, &look.paint(Ink::Odd, &tag)),
            Severity::Error => text.replace(&tag, &look.paint(Ink::Bad, &tag)),
        }
    }
}

/// A time whose decimal point is below that of every other, and which options take as it is: `16m02.742679572s`.
fn clock(time: SimTime) -> String {
    let time = Duration::from(time);
    let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let whole = match (hours, minutes) {
        (0, 0) => seconds.to_string(),
        (0, _) => format!("{minutes}m{seconds:02}"),
        _ => format!("{hours}h{minutes:02}m{seconds:02}"),
    };
    let decimals = match nanos {
        0 => "s".to_owned(),
        _ if nanos.is_multiple_of(1_000_000) => format!(".{:03}s", nanos / 1_000_000),
        _ if nanos.is_multiple_of(1_000) => format!(".{:06}s", nanos / 1_000),
        _ => format!(".{nanos:09}s"),
    };
    format!("{whole:>WHOLE$}{decimals:<DECIMALS$}")
}

/// A time between two events in a few characters: what is finer says nothing to a reader.
fn since(time: Duration) -> String {
    let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
    match (seconds, nanos) {
        (0, 0) => "0".to_owned(),
        (0, ..1_000) => format!("+{nanos}ns"),
        (0, ..1_000_000) => format!("+{}µs", decimals(f64::from(nanos) / 1e3)),
        (0, _) => format!("+{}ms", decimals(f64::from(nanos) / 1e6)),
        (..60, _) => format!("+{}s", decimals(time.as_secs_f64())),
        (..3600, _) => format!("+{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("+{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A number below 1000 to four digits.
fn decimals(value: f64) -> String {
    let decimals = if value < 10.0 { 3 } else { 1 };
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// When events happened: for the times of causes.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// Number and time, in the order of the numbers.
    known: Vec<(u64, SimTime)>,
}

impl Times {
    /// Notes an event's time.
    pub(super) fn note(&mut self, record: &Record) {
        if self.known.last().is_none_or(|(last, _)| *last < record.seq) {
            self.known.push((record.seq, record.t));
        }
    }

    /// When an event's cause was, if that is recorded.
    pub(super) fn cause(&self, record: &Record) -> Option<SimTime> {
        let place = self.known.binary_search_by_key(&record.cause, |(seq, _)| *seq).ok()?;
        self.known.get(place).map(|(_, time)| *time)
    }
}

#[cfg(test)]
mod tests {
    use run_journal::FieldValue;

    use super::*;

    fn record(t: u64, seq: u64, cause: u64, severity: Severity) -> Record {
        Record {
            t: SimTime(t),
            seq,
            component: "dm-vsp".into(),
            vm: Some("VM8".into()),
            event: "grant".into(),
            cause,
            severity,
            fields: vec![
                ("pages".into(), FieldValue::Unsigned(15_360)),
                ("operation".into(), FieldValue::Unsigned(600)),
            ],
        }
    }

    #[test]
    fn times_have_their_points_below_each_other_and_are_read_back() {
        let times = [0, 10_000, 962_742_679_572, 720_000_000_000, 45_296_500_000_000];
        let written = times.map(|t| clock(SimTime(t)));
        assert_eq!(
            written,
            [
                "       0s          ",
                "       0.000010s   ",
                "   16m02.742679572s",
                "   12m00s          ",
                "12h34m56.500s      "
            ]
        );
        for (t, text) in times.iter().zip(&written) {
            assert_eq!(text.trim().parse::<SimTime>().unwrap(), SimTime(*t));
        }
    }

    #[test]
    fn times_between_events_are_short() {
        let cases = [
            (0, "0"),
            (250, "+250ns"),
            (10_000, "+10µs"),
            (12_500_000, "+12.5ms"),
            (12_030_000_000, "+12s"),
            (2_030_000_000, "+2.03s"),
            (294_956_000, "+295ms"),
            (725_000_000_000, "+12m05s"),
            (7_380_000_000_000, "+2h03m"),
        ];
        for (nanos, text) in cases {
            assert_eq!(since(Duration::from_nanos(nanos)), text);
            assert!(text.chars().count() <= DELTA);
        }
    }

    #[test]
    fn a_line_has_its_cause_and_mb_beside_pages() {
        let record = record(20_000, 7, 3, Severity::Normal);
        let line = Line {
            record: &record,
            mark: "",
            delta: Some(Duration::ZERO),
            depth: 0,
            cause: Some(SimTime(10_000)),
        };
        assert_eq!(
            line.text(Look { columns: 140, colours: false }),
            "       0.000020s            0 #7      dm-vsp/VM8 grant pages=15360 (60 MB) operation=600 (because of #3, 10µs before)"
        );
        let narrow = line.text(Look::default());
        assert!(
            narrow.lines().all(|line| line.chars().count() <= 80) && narrow.contains("pages=15360 (60 MB)"),
            "{narrow}"
        );
    }

    #[test]
    fn what_went_wrong_is_coloured_where_there_are_colours() {
        let record = record(1, 1, 0, Severity::Error);
        let line = Line { record: &record, mark: "", delta: None, depth: 0, cause: None };
        assert!(line.text(Look::default()).ends_with(" [error]"));
        assert!(
            line.text(Look { colours: true, ..Look::default() }).ends_with(" \u{1b}[31m[error]\u{1b}[39m")
        );
    }
}
