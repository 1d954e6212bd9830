//! `cargo xtask import`: a scenario and a trace of what other programs wrote.

mod server;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use input_file::CodePageName;
use load_import::{CounterName, Demand, Input, Load, Options, UnitOf, Written};

use super::{all_bad_input, bad_input, shell_word};
use crate::output::{note, say, tell};

pub(crate) use server::Server;

/// What is read, and what the user says about it.
#[derive(clap::Args, Debug)]
pub(crate) struct Files {
    /// Files of any kinds, in any number: perfmon logs (PDH-CSV, PDH-TSV), Get-VM | Export-Csv, Prometheus' JSON, RVTools (.csv, .xlsx), traces,
    /// a run's counters.csv
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Ask a Prometheus server for windows_exporter's hyperv metrics, such as http://monitoring:9090
    #[arg(long, value_name = "URL", requires_all = ["from", "to"])]
    pub(crate) prometheus: Option<Server>,
    /// With --prometheus: from this time on, such as 2026-09-14T00:00:00Z
    #[arg(long, value_name = "TIME", requires = "prometheus")]
    pub(crate) from: Option<String>,
    /// With --prometheus: up to this time
    #[arg(long, value_name = "TIME", requires = "prometheus")]
    pub(crate) to: Option<String>,
    /// With --prometheus: time between two values
    #[arg(long, value_name = "DUR", default_value = "60s", value_parser = super::arguments::positive_duration)]
    pub(crate) resolution: std::time::Duration,
    /// The unit of a column, where its numbers cannot be right as they are, such as MemoryMaximum=GB. Can be given several times
    #[arg(long, value_name = "COLUMN=UNIT")]
    pub(crate) unit: Vec<UnitOf>,
    /// What a counter or counter set is called in the log, such as "Physical Memory=Physischer Speicher". Can be given several times
    #[arg(long, value_name = "ENGLISH=LOCAL")]
    pub(crate) counter: Vec<CounterName>,
    /// The code page of text files that are not Unicode, such as 932 (Japanese) or 1252
    #[arg(long, value_name = "CODEPAGE")]
    pub(crate) code_page: Option<CodePageName>,
}

/// Which files, and where to.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    what: Files,
    /// The scenario file to write; its trace is written beside it
    #[arg(long, value_name = "FILE.toml")]
    out: PathBuf,
    /// Overwrite what is there
    #[arg(long)]
    force: bool,
}

impl Files {
    /// What says the same on a command line again.
    pub(crate) fn words(&self) -> Vec<String> {
        let files = self.files.iter().map(|file| shell_word(&file.display().to_string()));
        let mut words: Vec<String> = files.collect();
        let mut option = |name: &str, value: String| words.push(format!("--{name} {}", shell_word(&value)));
        if let Some(server) = &self.prometheus {
            option("prometheus", server.to_string());
            for (name, time) in [("from", &self.from), ("to", &self.to)] {
                time.iter().for_each(|time| option(name, time.clone()));
            }
            option("resolution", quantities::format_duration(self.resolution));
        }
        for unit in &self.unit {
            option("unit", format!("{}={}", unit.column, unit.unit.name()));
        }
        for counter in &self.counter {
            option("counter", counter.to_string());
        }
        if let Some(page) = self.code_page {
            option("code-page", page.to_string());
        }
        words
    }

    /// Reads all of it.
    pub(crate) fn read(&self) -> Result<Load> {
        if self.files.is_empty() && self.prometheus.is_none() {
            return Err(bad_input("name at least one file, or a server with --prometheus, --from and --to"));
        }
        let options =
            Options { code_page: self.code_page, units: self.unit.clone(), counters: self.counter.clone() };
        let mut inputs = Vec::new();
        let mut wrong = Vec::new();
        for path in &self.files {
            match Input::open(path) {
                Ok(input) => inputs.push(input),
                Err(error) => wrong.push(error.to_string()),
            }
        }
        if !wrong.is_empty() {
            return Err(all_bad_input(&wrong));
        }
        if let (Some(server), Some(from), Some(to)) = (&self.prometheus, &self.from, &self.to) {
            inputs.push(server.ask(from, to, self.resolution)?);
        }
        load_import::read_inputs(&inputs, &options).map_err(bad_input)
    }
}

/// Imports.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.out.extension().is_none_or(|ending| ending != "toml") {
        return Err(bad_input(format!("--out {}: a scenario file ends in .toml", args.out.display())));
    }
    let trace = trace_of(&args.out);
    for path in [&args.out, &trace] {
        if path.exists() && !args.force {
            return Err(bad_input(format!("{} exists already; --force overwrites it", path.display())));
        }
    }
    if let Some(own) = args.what.files.iter().find(|file| **file == trace || **file == args.out) {
        return Err(bad_input(format!(
            "{} would be overwritten by what is made of it: name another --out",
            own.display()
        )));
    }
    let load = args.what.read()?;
    let written = write(&load, &args.out)?;
    tell_load(&load)?;
    say!("\nScenario: {}", args.out.display());
    if written.trace.is_some() {
        say!("Trace:    {}", trace.display());
    }
    say!("Run it:   cargo xtask scenario {}", shell_word(&args.out.display().to_string()));
    // Of the files: a scenario has no names that counters cannot hold, and not what is unknown of today's settings.
    say!("Size it:  cargo xtask size {}", args.what.words().join(" "));
    Ok(())
}

/// The trace beside a scenario file. Not NAME.csv: that is what the file is often called that it is made of.
fn trace_of(scenario: &Path) -> PathBuf {
    scenario.with_extension("trace.csv")
}

/// Writes scenario and trace.
pub(crate) fn write(load: &Load, out: &Path) -> Result<Written> {
    let trace = trace_of(out);
    let name = trace
        .file_name()
        .map_or_else(|| "load.trace.csv".to_owned(), |name| name.to_string_lossy().into_owned());
    let written = load.scenario(&name);
    if let Some(folder) = out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    if let Some(recorded) = &written.trace {
        let file =
            std::fs::File::create(&trace).with_context(|| format!("cannot write {}", trace.display()))?;
        let mut file = std::io::BufWriter::new(file);
        recorded
            .write(&mut file)
            .and_then(|()| std::io::Write::flush(&mut file))
            .with_context(|| format!("cannot write {}", trace.display()))?;
    }
    std::fs::write(out, &written.toml).with_context(|| format!("cannot write {}", out.display()))?;
    Ok(written)
}

/// Lines of remarks that are printed; the file has them all. Invented.
const REMARKS: usize = 12;

/// Says what was read.
pub(crate) fn tell_load(load: &Load) -> Result<()> {
    for source in &load.sources {
        tell!("{}: {}", source.file, source.kind.what());
    }
    let evidence = load.evidence();
    let off = load.vms.len() - evidence.running;
    let off = if off > 0 { format!(", {off} off") } else { String::new() };
    let mut known = Vec::new();
    if evidence.recorded > 0 {
        let length = quantities::format_duration(std::time::Duration::from_secs(evidence.length_s as u64));
        let interval = evidence
            .interval_s
            .map_or_else(String::new, |seconds| format!(", a value every {} s", rounded(seconds)));
        known.push(format!("demand of {} over {length}{interval}", evidence.recorded));
    }
    if !evidence.snapshots.is_empty() {
        known.push(format!("demand of {} at one moment", evidence.snapshots.len()));
    }
    if !evidence.unknown.is_empty() {
        known.push(format!("no demand of {}", evidence.unknown.len()));
    }
    let known = if known.is_empty() { String::new() } else { format!(": {}", known.join("; ")) };
    let plural = if evidence.running == 1 { "" } else { "s" };
    tell!("\n{} VM{plural} on{off}{known}", evidence.running);
    let peak: f64 = load
        .vms
        .iter()
        .filter(|vm| vm.running)
        .filter_map(|vm| vm.demand.peak())
        .map(page_range::PageCount::mib)
        .fold(0.0, |sum, mib| sum + mib);
    let most = load
        .vms
        .iter()
        .filter(|vm| vm.running)
        .map(|vm| vm.settings.maximum.mib())
        .fold(0.0, |sum, mib| sum + mib);
    tell!("Sum of their maximum RAM {:.1} GB, of their peaks {:.1} GB", most / 1024.0, peak / 1024.0);
    for remark in load.remarks.iter().take(REMARKS) {
        note!("note: {remark}");
    }
    if load.remarks.len() > REMARKS {
        note!("note: {} more remarks are in the scenario file", load.remarks.len() - REMARKS);
    }
    let assumed = load.vms.iter().filter(|vm| !vm.assumed.is_empty()).count();
    if assumed > 0 {
        note!(
            "note: something had to be assumed about VMs ({assumed}); the scenario file says what, and why"
        );
    }
    if load.vms.iter().all(|vm| vm.demand == Demand::Unknown) {
        note!("note: no file says what VMs demand: add a perfmon log, or a list with MemoryDemand");
    }
    Ok(())
}

/// Logs are not written to the millisecond: seconds, whole above one.
fn rounded(seconds: f64) -> f64 {
    if seconds < 1.0 { seconds } else { seconds.round() }
}
