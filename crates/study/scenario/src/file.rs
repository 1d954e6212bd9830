//! Scenario files: TOML that anyone can write, read with a compiler's care.
//!
//! A file says which host, which VMs, what happens when, and what must be seen ([`reference()`] lists every key).
//! [`load`] reads one into a [`Scenario`], or refuses it with everything that is wrong with it. [`Scenario::plan`] draws what the
//! file leaves to chance. Nothing here runs anything.

mod built_in;
mod checks;
mod contents;
mod diagnostic;
mod disks;
mod draw;
mod host;
mod hosts;
mod length;
mod names;
mod plan;
mod policy;
mod reader;
mod reference;
mod schema;
mod selection;
mod set_option;
mod timeline;
mod vm;
mod vm_settings;
mod vms;
mod workload;

use core::{cell::RefCell, time::Duration};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use guest_memory_manager::trace::{Gaps, ReadOptions, Trace, TraceErrors, TraceProblem, TraceWindow};
use toml::de::DeTable;

pub use built_in::{BUILT_IN, LOADS, SHOWN};
pub use checks::{CHECKS, Check, CheckDoc, Expectation};
pub use contents::{LoadOptions, Parameter, Policy, Scenario};
pub use diagnostic::{BadScenario, Diagnostic, Place, SourceText, Span};
pub use disks::{Device, Disk, DiskKind};
pub use draw::Draw;
pub use host::{
    Balancer, DynamicMemoryVersion, Edition, Host, HostLimits, Operations, ParentOs, Release, VmGeneration,
};
pub use hosts::seed_of_host;
pub use length::{BadLength, LONGEST_RUN, MANY_SAMPLES, MOST_SAMPLES, check_length, usual_interval};
pub use plan::Planned;
pub use policy::read as read_policy;
pub use reader::{Located, Reader, Table};
pub use reference::{reference, reference_markdown};
pub use schema::{Form, KeyDoc, TableDoc};
pub use set_option::{BadSetting, Setting};
pub use timeline::{Action, Fault, HostUse, Patience, Step, VmComponent};
pub use vm::Vm;
pub use workload::Workload;

/// Loads a scenario by the name of one that comes with the project, or by the path of a file (it ends in `.toml` or has a
/// folder in it).
///
/// # Errors
/// No scenario of that name, a file that cannot be read, or everything that is wrong with it.
pub fn find(name_or_path: &str, options: &LoadOptions) -> Result<Scenario, BadScenario> {
    let path = Path::new(name_or_path);
    if is_path(path) {
        return load(path, options);
    }
    if let Some((name, text)) = BUILT_IN.iter().chain(SHOWN).find(|(name, _)| *name == name_or_path) {
        return parse(format!("scenarios/{name}.toml"), *text, options);
    }
    if let Some((name, text)) = LOADS.iter().find(|(name, _)| *name == name_or_path) {
        return parse(format!("{}/{name}.toml", built_in::LOADS_FOLDER), *text, options);
    }
    Err(no_scenario(name_or_path).into())
}

/// A name of a scenario has no ending and no folder.
fn is_path(name: &Path) -> bool {
    name.extension().is_some_and(|ending| ending == "toml") || name.components().count() > 1
}

/// What is wrong with the name of a scenario: that there is none, or nothing; what is wrong with the scenario is another matter.
fn unknown_scenario(name_or_path: &str) -> Option<Diagnostic> {
    let known = BUILT_IN.iter().chain(SHOWN).chain(LOADS).any(|(name, _)| *name == name_or_path);
    (!known && !Path::new(name_or_path).is_file()).then(|| no_scenario(name_or_path))
}

fn no_scenario(name: &str) -> Diagnostic {
    let names = BUILT_IN.iter().chain(SHOWN).chain(LOADS).map(|(name, _)| *name);
    let diagnostic = Diagnostic::of_file(name, format!("there is no scenario {name:?}"))
        .value(name)
        .allowed(format!("{}; or a file that ends in .toml", names.clone().collect::<Vec<_>>().join(", ")));
    diagnostic.nearest(name, names)
}

/// Bytes that are read of a scenario file: a thousand times the longest that comes with the project. Invented.
const MOST_BYTES: u64 = 4 << 20;

/// Reads a scenario file.
///
/// # Errors
/// A file that cannot be read, or everything that is wrong with it.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Scenario, BadScenario> {
    parse(path, read_text(path)?, options)
}

fn read_text(path: &Path) -> Result<String, BadScenario> {
    let unreadable =
        |why: String| Diagnostic::of_file(path, format!("the scenario file cannot be read: {why}"));
    let bytes = input_file::read(path, MOST_BYTES).map_err(|error| unreadable(error.to_string()))?;
    Ok(input_file::decode(bytes).map_err(|error| unreadable(error.to_string()))?)
}

/// Reads the text of a scenario file. Files that it names are looked for beside `file`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(
    file: impl Into<PathBuf>,
    text: impl Into<Arc<str>>,
    options: &LoadOptions,
) -> Result<Scenario, BadScenario> {
    let source = source_of(file, text, options)?;
    match hosts::of(&source)? {
        None => parse_one(&source, options, &RecordedLoads::default()),
        Some(hosts) => match hosts.as_slice() {
            [host] => one_of_several(host, options, &RecordedLoads::default()),
            several => Err(Diagnostic::of_file(
                source.file(),
                format!("this file has {} hosts, and this command runs one", several.len()),
            )
            .help("`cargo xtask scenario FILE` runs all of them, and leaves a file for each in its folder")
            .into()),
        },
    }
}

/// Reads the text of a scenario file of any number of hosts: a scenario for each, in the order of the file. Hosts are independent runs.
///
/// # Errors
/// As [`parse`].
pub fn parse_all(
    file: impl Into<PathBuf>,
    text: impl Into<Arc<str>>,
    options: &LoadOptions,
) -> Result<Vec<Scenario>, BadScenario> {
    let source = source_of(file, text, options)?;
    let recorded = RecordedLoads::default();
    let Some(hosts) = hosts::of(&source)? else { return Ok(vec![parse_one(&source, options, &recorded)?]) };
    let mut scenarios = Vec::new();
    let mut wrong: BTreeMap<String, Diagnostic> = BTreeMap::new();
    let mut hidden = 0;
    for host in &hosts {
        match one_of_several(host, options, &recorded) {
            Ok(scenario) => scenarios.push(scenario),
            Err(bad) => {
                // What is wrong with many hosts is told once.
                for diagnostic in bad.diagnostics {
                    let place = diagnostic.place.as_ref().map(|place| (place.line, place.column));
                    wrong.entry(format!("{place:?} {}", diagnostic.message)).or_insert(diagnostic);
                }
                hidden = hidden.max(bad.hidden);
            }
        }
    }
    if wrong.is_empty() {
        return Ok(scenarios);
    }
    Err(BadScenario::new(wrong.into_values().collect()).and_more(hidden))
}

/// Loads a scenario of any number of hosts, by the name of one that comes with the project, or by the path of a file: a scenario for each host.
///
/// # Errors
/// As [`find`].
pub fn find_all(name_or_path: &str, options: &LoadOptions) -> Result<Vec<Scenario>, BadScenario> {
    let path = Path::new(name_or_path);
    if is_path(path) {
        return parse_all(path, read_text(path)?, options);
    }
    Ok(vec![find(name_or_path, options)?])
}

fn source_of(
    file: impl Into<PathBuf>,
    text: impl Into<Arc<str>>,
    options: &LoadOptions,
) -> Result<SourceText, BadScenario> {
    let source = SourceText::new(file, text);
    if options.settings.is_empty() {
        return Ok(source);
    }
    let changed = set_option::apply(&source, &options.settings)?;
    Ok(source.changed(changed, "as changed by --set"))
}

/// A host of several draws by its name.
fn one_of_several(
    host: &hosts::HostText,
    options: &LoadOptions,
    recorded: &RecordedLoads,
) -> Result<Scenario, BadScenario> {
    let scenario = parse_one(&host.source, options, recorded)?;
    let (seed, of_file) = (seed_of_host(scenario.seed, &host.name), Some(scenario.seed));
    Ok(Scenario { seed, seed_of_file: of_file, ..scenario })
}

fn parse_one(
    source: &SourceText,
    options: &LoadOptions,
    recorded: &RecordedLoads,
) -> Result<Scenario, BadScenario> {
    read_document(source, &schema::ROOT, |root| read(root, options, recorded))
}

/// The recorded loads that the hosts of one file play: what several of them play is read once, and is in memory once.
#[derive(Default)]
struct RecordedLoads(RefCell<Vec<(Recording, Arc<Trace>)>>);

/// Which part of which files, and how it was read.
#[derive(PartialEq)]
struct Recording {
    path: PathBuf,
    read: ReadOptions,
    window: TraceWindow,
    from: Duration,
}

impl RecordedLoads {
    fn find(&self, recording: &Recording) -> Option<Arc<Trace>> {
        let known = self.0.borrow();
        known.iter().find(|(known, _)| known == recording).map(|(_, trace)| Arc::clone(trace))
    }
}

/// Reads a TOML file that has these keys at its top, with the same care and the same complaints as a scenario file.
///
/// # Errors
/// Everything that is wrong with it; also if `read` gives nothing.
pub fn read_document<T>(
    source: &SourceText,
    doc: &'static TableDoc,
    read: impl FnOnce(&Table<'_, '_>) -> Option<T>,
) -> Result<T, BadScenario> {
    let reader = Reader::new(source);
    let (document, errors) = DeTable::parse_recoverable(source.text());
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        reader.add(reader.complain(&span, format!("this is not TOML: {}", error.message())));
    }
    let found =
        if errors.is_empty() { read(&Table::new(&reader, doc, document.get_ref(), &(0..0))) } else { None };
    match found {
        Some(found) if !reader.has_complaints() => Ok(found),
        _ => Err(reader.into_bad()),
    }
}

fn read(root: &Table<'_, '_>, options: &LoadOptions, recorded: &RecordedLoads) -> Option<Scenario> {
    let (reader, source) = (root.reader, root.reader.source);
    let until = read_until(root);
    let sample_interval =
        root.duration("sample_interval").filter(|time| host::positive_time(root, "sample_interval", time));
    let host = host::read(root, options.host_memory);
    let policy = policy::read(root, options);
    let balancer = host::read_balancer(root);
    let trace = read_trace(root, options, recorded);
    let until = until.and_then(|until| until.of(root, trace.as_deref()));
    let workloads = read_workloads(root);
    let around = vm::Surroundings { host: host.as_ref(), workloads: &workloads, trace: trace.as_deref() };
    let configured = vms::read(root, &around);
    let around =
        timeline::Surroundings { configured: &configured, host: host.as_ref(), workloads: &workloads };
    let (timeline, unread) = timeline::read(root, &around);
    if let Some(until) = &until {
        timeline::check(root, &timeline, &unread, &around, until.value);
    }
    let checks = read_checks(root, &configured);
    let seed = root.integer("seed", 0, u64::MAX).map_or(1, |seed| seed.value);
    let never_started = timeline::never_started(&timeline, &configured.vms);
    let name = source.file().file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let text = |key| root.text(key).map(|text| text.value);
    let (title, description, origin) = (text("title"), text("description"), text("source"));
    // Everything has been read by now, so that what is wrong with it is told beside what is missing.
    let scenario = Scenario {
        title: title.unwrap_or_else(|| name.clone()),
        name,
        description: description.unwrap_or_default(),
        origin,
        until: until?.value,
        seed,
        sample_interval: sample_interval.map(|time| time.value),
        host: host?,
        policy,
        balancer,
        vms: configured.vms,
        never_started,
        seed_of_file: None,
        timeline,
        checks,
        trace,
        source: source.clone(),
    };
    check_run_length(root, &scenario, options);
    if !reader.has_complaints() {
        check_layout(root, &scenario);
        check_trace_is_played(root, options);
    }
    Some(scenario)
}

/// Complains about a run that would never end or never fit, at whatever says so: the command line or the file.
fn check_run_length(root: &Table<'_, '_>, scenario: &Scenario, options: &LoadOptions) {
    let until = options.until.unwrap_or(scenario.until);
    let interval = options.sample_interval.unwrap_or_else(|| scenario.sample_interval(until));
    let Err(error) = check_length(until, interval) else { return };
    let many = matches!(error, BadLength::TooManySamples { .. });
    let option = match (many, options.sample_interval, options.until) {
        (true, Some(interval), _) => Some(("--sample-interval", interval)),
        (_, _, Some(until)) => Some(("--until", until)),
        _ => None,
    };
    if let Some((option, time)) = option {
        let complaint = Diagnostic::of_file(root.reader.source.file(), format!("{option}: {error}"));
        return root.reader.add(complaint.key(option).value(quantities::format_duration(time)));
    }
    let key = if many { "sample_interval" } else { "until" };
    root.reader.add(root.bad_value(key, &root.span_of(key), error.to_string()));
}

/// Complains about recorded loads given on the command line that nothing in the file plays.
fn check_trace_is_played(root: &Table<'_, '_>, options: &LoadOptions) {
    let reader = root.reader;
    let (key, value) = match (&options.trace, options.trace_window) {
        (Some(path), _) => ("--trace", path.display().to_string()),
        (None, Some(window)) => ("--trace-window", window.to_string()),
        (None, None) => return,
    };
    if !reader.plays_trace.get() {
        let message = format!("{key} {value} would change nothing: this scenario plays no recorded loads");
        reader.add(
            Diagnostic::of_file(reader.source.file(), message)
                .key(key)
                .value(value)
                .help("the scenario `trace` does; in one of your own, give VMs numbers = \"trace\" or a workload of kind \"trace\""),
        );
    }
}

/// When the run ends, as it is written.
enum Until {
    At(Located<Duration>),
    /// With the recorded loads.
    Trace(Span),
}

fn read_until(root: &Table<'_, '_>) -> Option<Until> {
    if let Some((value, span)) = root.value("until")
        && value.as_str() == Some("trace")
    {
        root.reader.plays_trace.set(true);
        return Some(Until::Trace(span));
    }
    let until = root.duration("until").filter(|time| host::positive_time(root, "until", time));
    root.required("until", until).map(Until::At)
}

impl Until {
    fn of(self, root: &Table<'_, '_>, trace: Option<&Trace>) -> Option<Located<Duration>> {
        match (self, trace) {
            (Self::At(until), _) => Some(until),
            // One row is one moment, which is played for a second.
            (Self::Trace(span), Some(trace)) => {
                Some(Located { value: trace.length().max(Duration::from_secs(1)), span })
            }
            (Self::Trace(span), None) => {
                if !root.has("trace") {
                    root.reader.add_unless_trace_failed(
                        root.bad_value("until", &span, "the run is to end with the trace, but there is none")
                            .allowed("a time, such as \"35m\"")
                            .help("add a table [trace] with the `file`"),
                    );
                }
                None
            }
        }
    }
}

/// Names have been checked one by one; the counters' own check is the last word.
fn check_layout(root: &Table<'_, '_>, scenario: &Scenario) {
    let names = scenario.vms.iter().map(|vm| vm.name.as_str());
    if let Err(error) = perf_counters::Layout::new(scenario.host.name.as_str(), scenario.host.epoch, names) {
        root.reader.add(root.reader.complain(&root.span_of("vm"), error.to_string()).key("name"));
    }
}

fn read_workloads(root: &Table<'_, '_>) -> vm::Named {
    let entries = root.raw_table("workloads").map(|(entries, _)| entries);
    let mut named = BTreeMap::new();
    for (key, value) in entries.into_iter().flatten() {
        match value.get_ref().as_table() {
            Some(entries) => {
                let workload = workload::read(root, entries, &value.span());
                named.insert(key.get_ref().to_string(), workload);
            }
            None => {
                named.insert(key.get_ref().to_string(), None);
                root.reader.add(
                    root.bad_value(key.get_ref(), &value.span(), "a workload is a table")
                        .label(format!("this is {}", reader::type_name(value.get_ref())))
                        .allowed("{ kind = … }"),
                );
            }
        }
    }
    named
}

fn read_checks(root: &Table<'_, '_>, configured: &vms::Configured) -> Vec<Check> {
    let mut checks = Vec::new();
    for (entries, span) in root.tables("check") {
        let table = Table::new(root.reader, &schema::CHECK, entries, &span);
        if let Some(check) = checks::read(&table) {
            for vm in [&check.vm, &check.than].into_iter().flatten() {
                timeline::check_vm(&table, vm, configured);
            }
            checks.push(check);
        }
    }
    checks
}

/// Reads the recorded loads that the file or the command line names.
fn read_trace(root: &Table<'_, '_>, options: &LoadOptions, recorded: &RecordedLoads) -> Option<Arc<Trace>> {
    let table = root.table("trace", &schema::TRACE);
    let file = table.and_then(|table| table.text("file"));
    let gaps = table.and_then(|table| table.word("gaps", &[("refuse", Gaps::Refuse), ("fill", Gaps::Fill)]));
    let window = table.and_then(|table| read_window(&table));
    let folder = root.reader.source.file().parent().unwrap_or(Path::new(""));
    let path = match (&options.trace, &file) {
        (Some(path), _) => path.clone(),
        (None, Some(file)) => folder.join(&file.value),
        (None, None) => {
            // Whatever else wants them lacks them because of this.
            root.reader.trace_failed.set(root.has("trace"));
            if let Some(table) = table {
                table.required("file", None::<()>);
            }
            return None;
        }
    };
    let gaps = if options.fill_gaps { Gaps::Fill } else { gaps.map(|gaps| gaps.value).unwrap_or_default() };
    let read_options = ReadOptions { gaps };
    let window = options.trace_window.or(window).unwrap_or_default();
    let recording = Recording { path, read: read_options, window, from: options.trace_from };
    if let Some(trace) = recorded.find(&recording) {
        return Some(trace);
    }
    let path = &recording.path;
    let read = if options.trace.is_none()
        && let Some(text) = built_in::trace(path)
    {
        Trace::read(text.as_bytes(), &path.display().to_string(), "", read_options)
    } else if path.is_dir() {
        Trace::read_folder(path, read_options)
    } else {
        Trace::read_file(path, read_options)
    };
    match read {
        Ok(trace) => {
            let trace = trace.window(window).delayed(options.trace_from);
            if trace.is_empty() {
                root.reader.trace_failed.set(true);
                let span = table.map_or(0..0, |table| table.span_of("window"));
                root.reader.add(
                    root.reader
                        .complain(&span, format!("nothing of the trace lies in the window {window}"))
                        .key("window")
                        .value(window.to_string()),
                );
                return None;
            }
            let trace = Arc::new(trace);
            recorded.0.borrow_mut().push((recording, Arc::clone(&trace)));
            Some(trace)
        }
        Err(error) => {
            root.reader.trace_failed.set(true);
            for diagnostic in complain_of_trace(root, &error, options, file.as_ref(), path) {
                root.reader.add(diagnostic);
            }
            None
        }
    }
}

/// What is wrong with recorded loads, about the place that names them. What allows gaps is said once.
fn complain_of_trace(
    root: &Table<'_, '_>,
    errors: &TraceErrors,
    options: &LoadOptions,
    file: Option<&Located<String>>,
    path: &Path,
) -> Vec<Diagnostic> {
    let place = |message: String| match (&options.trace, file) {
        (None, Some(file)) => root.reader.complain(&file.span, message),
        _ => Diagnostic::of_file(path, message),
    };
    let mut said: Vec<Diagnostic> =
        errors.shown.iter().map(|error| place(format!("the trace cannot be used: {error}"))).collect();
    if errors.hidden() > 0 {
        said.push(place(format!("there is more that is wrong with the trace; {}", errors.in_all())));
    }
    let unreadable = errors.shown.iter().any(|error| {
        error.line.is_none() && matches!(error.problem, TraceProblem::Unreadable(_) | TraceProblem::NoFiles)
    });
    let in_file = options.trace.is_none() && file.is_some();
    let help = match errors.shown.iter().any(|error| error.problem.can_be_filled()) {
        true if in_file => Some("gaps = \"fill\" in the table [trace] allows it"),
        true => Some("--fill-gaps allows it"),
        false if in_file && unreadable => Some("the path is seen from the scenario file's folder"),
        false => None,
    };
    if let Some(last) = said.last_mut() {
        last.help = help.map(str::to_owned);
    }
    said.into_iter().map(|said| said.key("file").value(path.display().to_string())).collect()
}

fn read_window(table: &Table<'_, '_>) -> Option<TraceWindow> {
    let text = table.text("window")?;
    text.value
        .parse()
        .map_err(|error: guest_memory_manager::trace::BadWindow| {
            table.reader.add(
                table
                    .bad_value("window", &text.span, format!("`window` cannot be {:?}", text.value))
                    .label(error.problem)
                    .allowed("a beginning and an end, such as \"0h..24h\""),
            );
        })
        .ok()
}

#[cfg(test)]
mod tests;
