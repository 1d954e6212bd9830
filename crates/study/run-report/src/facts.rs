//! What a run's folder holds, as far as it can be read, and what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::panic;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use run_analysis::explain::words;
use run_journal::{EVENTS_FILE, FieldValue, JOURNAL_FILE, MANIFEST_FILE, Record, events, file_in};
use scenario::run::{COUNTERS_FILE, SUMMARY_FILE, Summary, story, summary};
use serde_json::Value;

use crate::counters::Counters;
use crate::events::Events;
use crate::messages::{self, Messages, Told};
use crate::{Options, ReportError};

/// Bytes that are read of a summary: about a kilobyte for each VM. Invented.
const MOST_SUMMARY: u64 = 1 << 28;
/// Bytes that are read of a manifest, which has about a thousand. Invented.
const MOST_MANIFEST: u64 = 16 << 20;

/// All that goes into a page.
pub(crate) struct Facts {
    /// As they are in the folder; null if they cannot be read.
    pub(crate) manifest: Value,
    pub(crate) summary: Value,
    /// Seconds of virtual time, and a sentence.
    pub(crate) story: Vec<(f64, String)>,
    /// Rules of decisions and states of the host, and what they mean.
    pub(crate) rules: Vec<(String, &'static str)>,
    pub(crate) states: Vec<(String, &'static str)>,
    pub(crate) events: Events,
    /// Time of the last event, ns.
    pub(crate) last: u64,
    pub(crate) counters: Option<Counters>,
    pub(crate) messages: Messages,
    /// What could not be shown, a sentence each.
    pub(crate) missing: Vec<String>,
}

fn json_file(path: &Path, most: u64) -> Result<Value, String> {
    let bytes = input_file::read(path, most).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// Reads a run's folder.
pub(crate) fn read(directory: &Path, options: &Options) -> Result<Facts, ReportError> {
    if ![EVENTS_FILE, COUNTERS_FILE, SUMMARY_FILE].iter().any(|name| file_in(directory, name).is_file()) {
        return Err(ReportError::NotARun(directory.to_owned()));
    }
    let mut missing = Vec::new();
    let manifest = json_file(&directory.join(MANIFEST_FILE), MOST_MANIFEST).unwrap_or_else(|error| {
        missing.push(format!(
            "{MANIFEST_FILE} cannot be read ({error}): the command that repeats the run is not known."
        ));
        Value::Null
    });
    if let Some(format) =
        manifest.get("format").and_then(Value::as_u64).filter(|format| *format != known_format())
    {
        missing.push(format!(
            "{MANIFEST_FILE} has format {format}, this program knows format {}: another version of this project has recorded the run, and what \
             this version does not know of it is not shown.",
            known_format()
        ));
    }
    let summary = json_file(&directory.join(SUMMARY_FILE), MOST_SUMMARY).unwrap_or_else(|error| {
        missing.push(format!(
            "{SUMMARY_FILE} cannot be read ({error}): sums and most of the story are missing. A run that was killed has none."
        ));
        Value::Null
    });
    let window = nanos(options.from)..=nanos(options.to);
    // Three files of megabytes, read side by side.
    let mut recorded = Recorded::new(options, by_shortage(&summary));
    let mut of_events = Vec::new();
    let (counters, mut messages) = thread::scope(|scope| {
        let window = &window;
        let counters = scope.spawn(|| {
            let mut missing = Vec::new();
            (counters(directory, options, window, &mut missing), missing)
        });
        let level = manifest.get("events").and_then(Value::as_str);
        let read_messages = move || match level {
            Some("decisions" | "none") => messages::Recorded::default(),
            _ => messages::Recorded::read(directory, window),
        };
        let messages = scope.spawn(read_messages);
        recorded.read(directory, &manifest, window, &mut of_events);
        // What panics here would have without threads.
        let (counters, of_counters) = counters.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        missing.extend(of_counters);
        (counters, messages.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
    });
    missing.extend(of_events);
    let ends = [
        Duration::from_nanos(recorded.end),
        counters.as_ref().map_or(Duration::ZERO, |(_, end)| *end),
        summary["end"]["time_s"]
            .as_f64()
            .and_then(|end| Duration::try_from_secs_f64(end).ok())
            .unwrap_or_default(),
    ];
    let end = ends.into_iter().max().unwrap_or_default();
    if options.from > end {
        return Err(ReportError::AfterTheEnd { directory: directory.to_owned(), from: options.from, end });
    }
    let counters = counters.map(|(counters, _)| counters).filter(|counters| !counters.is_empty());
    if let Some(trouble) = messages.trouble.take().filter(|_| !recorded.sent.is_empty()) {
        missing.push(format!(
            "{JOURNAL_FILE}: {trouble}. Bytes of messages are shown as far as they could be read."
        ));
    }
    let messages = messages.told(&recorded.sent);
    let story = tell(&summary, recorded.marks.clone(), counters.as_ref(), &mut missing);
    let policy = [&summary, &manifest].into_iter().find_map(|of| of.get("policy")?.as_str()).unwrap_or("");
    let explained = |names: &BTreeSet<String>, words: fn(&str, &str) -> Option<&'static str>| {
        names.iter().filter_map(|name| Some((name.clone(), words(policy, name)?))).collect()
    };
    Ok(Facts {
        rules: explained(&recorded.rules, words::rule),
        states: explained(&recorded.states, words::state),
        manifest,
        summary,
        story,
        events: recorded.events,
        last: recorded.last,
        counters,
        messages,
        missing,
    })
}

/// The format of runs that this version writes.
fn known_format() -> u64 {
    u64::from(run_journal::manifest::FORMAT_VERSION)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The counters of the time that is shown, and the time of the last of all.
fn counters(
    directory: &Path,
    options: &Options,
    window: &core::ops::RangeInclusive<u64>,
    missing: &mut Vec<String>,
) -> Option<(Counters, Duration)> {
    match Counters::read(&directory.join(COUNTERS_FILE), options.most_values, window.clone()) {
        Ok(counters) => {
            missing.extend(counters.remarks().iter().map(|remark| format!("{COUNTERS_FILE}: {remark}.")));
            if counters.every > 1 {
                missing.push(format!(
                    "Of the counters one sample of every {} is here: all of them would be too much for a page. \
                     cargo xtask report DIR --from TIME --until TIME takes a part of the run.",
                    counters.every
                ));
            }
            if counters.is_empty() {
                missing.push(format!(
                    "{COUNTERS_FILE} has no row of the time that is shown: there are no curves."
                ));
            }
            let end = counters.end();
            Some((counters, end))
        }
        Err(error) => {
            missing.push(format!("{COUNTERS_FILE} cannot be read ({error}): there are no curves."));
            None
        }
    }
}

/// The VMs of a summary, those first that were short of memory for longest, then the largest: the page begins with the first.
fn by_shortage(summary: &Value) -> Vec<String> {
    let vms = summary.get("vms").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let of = |vm: &Value| {
        let number = |value: Option<&Value>| value.and_then(Value::as_f64).unwrap_or(0.0);
        let peak = vm.get("physical_memory_mb").and_then(|memory| memory.get("maximum"));
        Some((vm.get("name")?.as_str()?.to_owned(), number(vm.get("time_above_100_s")), number(peak)))
    };
    let mut vms: Vec<(String, f64, f64)> = vms.iter().filter_map(of).collect();
    vms.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.2.total_cmp(&a.2)));
    vms.into_iter().map(|(name, ..)| name).collect()
}

/// What is taken from the events while they are read.
struct Recorded {
    events: Events,
    /// Time of the last event that is shown, and of the last of all, ns.
    last: u64,
    end: u64,
    marks: Vec<(f64, String)>,
    rules: BTreeSet<String>,
    states: BTreeSet<String>,
    /// Of each VM, the events that tell of messages of its VSP.
    sent: BTreeMap<Arc<str>, Vec<Told>>,
}

impl Recorded {
    fn new(options: &Options, vms: Vec<String>) -> Self {
        Self {
            events: Events::new(options.most_events).in_order(vms),
            last: 0,
            end: 0,
            marks: Vec::new(),
            rules: BTreeSet::new(),
            states: BTreeSet::new(),
            sent: BTreeMap::new(),
        }
    }

    fn read(
        &mut self,
        directory: &Path,
        manifest: &Value,
        window: &core::ops::RangeInclusive<u64>,
        missing: &mut Vec<String>,
    ) {
        let level = manifest.get("events").and_then(Value::as_str).unwrap_or("all");
        let reader = match events::Reader::open(&directory.join(EVENTS_FILE)) {
            Ok(reader) => reader,
            Err(_) if level == "none" => {
                missing.push(
                    "No events were recorded (--events none): there is neither timeline nor sequence diagram nor explanation."
                        .to_owned(),
                );
                return;
            }
            Err(error) => {
                missing.push(format!(
                    "{EVENTS_FILE}: {error}: there is neither timeline nor sequence diagram nor explanation."
                ));
                return;
            }
        };
        for record in reader {
            match record {
                Ok(record) => {
                    self.end = self.end.max(record.t.0);
                    if window.contains(&record.t.0) {
                        self.take(&record);
                    }
                }
                Err(error) => missing.push(format!("{EVENTS_FILE}: {error}.")),
            }
        }
        if self.events.is_empty() {
            missing.push(format!("{EVENTS_FILE} has no event of the time that is shown."));
        }
        if level == "decisions" {
            missing.push(
                "Decisions were recorded, not the traffic of every second: there are no status reports and no bytes of messages \
                 (--events all records them)."
                    .to_owned(),
            );
        }
        let left_out: Vec<String> =
            self.events.left_out().iter().map(|(name, count)| format!("{count} {name}")).collect();
        if !left_out.is_empty() {
            missing.push(format!(
                "Events that would be too many for a page are left out: {}. cargo xtask report DIR --from TIME --until TIME takes a \
                 part of the run with all of them.",
                left_out.join(", ")
            ));
        }
        let vms_left_out = self.events.vms_left_out();
        if !vms_left_out.is_empty() {
            let count: u64 = vms_left_out.values().sum();
            let (gone, whole) = (vms_left_out.len(), self.whole(vms_left_out));
            missing.push(format!(
                "There are too many events for a page: {count} of the operations of {gone} VMs are left out. Those of {whole} are all here; of \
                 the others there is what the counters say. cargo xtask report DIR --from TIME --until TIME takes a part of the run."
            ));
        }
    }

    /// Names of the VMs whose operations are all there, in order; of many the first.
    fn whole(&self, left_out: &BTreeMap<Arc<str>, u64>) -> String {
        const NAMED: usize = 12;
        let mut names: Vec<&str> =
            self.events.vms().into_iter().filter(|vm| !left_out.contains_key(*vm)).collect();
        names.sort_by_key(|name| (name.len(), *name));
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        let names = names.join(", ");
        if more > 0 { format!("{names} and {more} more") } else { names }
    }

    fn take(&mut self, record: &Record) {
        let text = |name: &str| record.field(name).and_then(FieldValue::as_str);
        match &*record.event {
            "mark" => self.marks.extend(text("text").map(|text| (record.t.0 as f64 / 1e9, text.to_owned()))),
            "start_again" => {
                let count = |name: &str| record.field(name).and_then(FieldValue::as_u64).unwrap_or(0) as u32;
                let vm = record.vm.as_deref().unwrap_or("a VM");
                let words = story::start_again(vm, count("try"), count("tries"));
                self.marks.push((record.t.0 as f64 / 1e9, words));
            }
            "decision" | "round" => {
                let names = if &*record.event == "round" { &mut self.states } else { &mut self.rules };
                if let Some(rule) = text("rule").filter(|rule| !names.contains(*rule)) {
                    names.insert(rule.to_owned());
                }
            }
            "dm_send" => {
                if let Some((vm, told)) = Told::of(record) {
                    self.sent.entry(vm).or_default().push(told);
                }
            }
            _ => {}
        }
        self.events.add(record);
        self.last = self.last.max(record.t.0);
    }
}

/// The story as the run told it, as far as it can be told from its folder.
fn tell(
    value: &Value,
    marks: Vec<(f64, String)>,
    counters: Option<&Counters>,
    missing: &mut Vec<String>,
) -> Vec<(f64, String)> {
    if value.is_null() {
        return marks;
    }
    let schema = value.get("schema").and_then(Value::as_u64);
    let read: Result<Summary, _> = serde_json::from_value(value.clone());
    match read {
        Ok(summary) => {
            let least = |from, to| {
                counters.and_then(|counters| {
                    counters.least("Hyper-V Dynamic Memory Balancer", "Available Memory", from, to)
                })
            };
            story::happenings(marks, &summary, least)
        }
        Err(error) => {
            let schema = schema.map_or_else(|| "none".to_owned(), |schema| schema.to_string());
            missing.push(format!(
                "{SUMMARY_FILE} has schema {schema}, this program reads schema {}: the story is its marks only ({error}).",
                summary::SCHEMA
            ));
            marks
        }
    }
}
