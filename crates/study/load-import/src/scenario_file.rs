//! A load as a scenario file and a trace.

use core::fmt::Write as _;
use core::time::Duration;
use std::collections::BTreeSet;

use guest_memory_manager::trace::{Sample, Trace, VmTrace};
use guest_memory_manager::{GuestProfile, find_profile};
use jiff::Timestamp;
use page_range::PageCount;

use crate::load::{Demand, Load, LoadHost, LoadVm, Release};
use crate::names::some;

/// How long a demand that is known at one moment only is played. Invented: long enough for everything to settle.
const SNAPSHOT_LENGTH: Duration = Duration::from_secs(3600);
/// Host memory that no file says is rounded up to this: modules of memory. Invented.
const MODULE: PageCount = PageCount::from_mib(8 << 10);
/// The longest name of a VM that scenario files take.
const LONGEST_NAME: usize = 100;
/// Samples of a run at most: each row of a run's counters costs as much as a second of its VMs. Invented.
const MOST_SAMPLES: u64 = 20_000;

/// What a load comes to.
#[derive(Clone, Debug)]
pub struct Written {
    /// The scenario file.
    pub toml: String,
    /// The trace that it plays; `None` if no demand is known at all.
    pub trace: Option<Trace>,
    /// The VMs, in the load's order.
    pub vms: Vec<WrittenVm>,
    /// Memory of the host in the scenario file.
    pub host_memory: PageCount,
}

/// A VM and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenVm {
    /// In the files.
    pub name: String,
    /// In the scenario: without what counter paths and event names cannot hold.
    pub scenario: String,
}

impl Load {
    /// Writes the load as a scenario. `trace_file` is the trace's name in it, seen from the scenario's folder.
    #[must_use]
    pub fn scenario(&self, trace_file: &str) -> Written {
        let vms = self.names();
        let trace = self.trace(&vms);
        let (memory, known) = self.memory();
        let length = trace.as_ref().map_or(SNAPSHOT_LENGTH, Trace::length);
        let mut toml = String::new();
        self.head(&mut toml);
        let files = self.sources.iter().map(|source| file_name(&source.file)).collect::<Vec<_>>().join(", ");
        let _ = writeln!(toml, "title = {}", quoted(&format!("VMs of {}", shortened(&files))));
        let sources = self
            .sources
            .iter()
            .map(|source| format!("{}: {}", source.file, source.kind.what()))
            .collect::<Vec<_>>()
            .join("; ");
        let _ = writeln!(toml, "source = {}", quoted(&sources));
        let _ = writeln!(toml, "until = {}", if trace.is_some() { quoted("trace") } else { quoted("1h") });
        let _ = writeln!(toml, "sample_interval = {}\n", quoted(&format!("{}s", interval(length).as_secs())));
        toml.push_str("[host]\n");
        let host = self
            .host
            .as_ref()
            .map(|host| legal(host))
            .filter(|host| !vms.iter().any(|vm| vm.scenario.eq_ignore_ascii_case(host)));
        if let Some(host) = host {
            let _ = writeln!(toml, "name = {}", quoted(&host));
        }
        if !known {
            toml.push_str("# No file says the host's memory: this holds all of these VMs at their maximum. `cargo xtask size` finds how much less will do.\n");
        }
        let _ = writeln!(toml, "memory = {}", quoted(&quantities::format_size(memory)));
        self.release(&mut toml);
        if let Some(begins) = self.begins.and_then(|at| Timestamp::from_millisecond(at).ok()) {
            let _ = writeln!(toml, "epoch = {}", begins.strftime("%Y-%m-%dT%H:%M:%SZ"));
        }
        if trace.is_some() {
            let _ = writeln!(
                toml,
                "\n[trace]\nfile = {}\nwindow = \"0s..{}s\"\n# Gaps are named above.\ngaps = \"fill\"",
                quoted(trace_file),
                length.as_secs() + 1
            );
        }
        for (vm, written) in self.vms.iter().zip(&vms) {
            table(&mut toml, vm, written);
        }
        let started: Vec<String> = self
            .vms
            .iter()
            .zip(&vms)
            .filter(|(vm, _)| vm.running)
            .map(|(_, written)| quoted(&written.scenario))
            .collect();
        if !started.is_empty() {
            let all = started.len() == self.vms.len();
            let which = if all { "\"all\"".to_owned() } else { format!("[{}]", started.join(", ")) };
            if !all {
                toml.push_str("\n# VMs that were off stay off.");
            }
            let _ = writeln!(
                toml,
                "\n[[timeline]]\nat = \"0s\"\naction = \"start\"\nvm = {which}\nevery = {}",
                quoted(if started.len() > FEW { "100ms" } else { "1s" })
            );
        }
        Written { toml, trace, vms, host_memory: memory }
    }

    /// Which Windows Server the host has, and why.
    fn release(&self, toml: &mut String) {
        let key = self.release.key();
        match self.release {
            Release::OfVersions(_) => {
                comment(
                    toml,
                    "The oldest release that runs VMs with the versions of configuration in the list.",
                );
            }
            Release::Assumed(_) => comment(
                toml,
                "Assumed: no file says which Windows Server the host has (the Version of VMs in a list of Get-VM would). What differs is what \
                 hosts and VMs may have, and Smart Paging at restarts, since 2012.",
            ),
        }
        let _ = writeln!(toml, "release = {}", quoted(key));
        let running = self.vms.iter().filter(|vm| vm.running).count();
        if running > RUNNING || self.processors() > PROCESSORS {
            comment(
                toml,
                &format!(
                    "All of the VMs on one host, which are more than the {RUNNING} VMs and {PROCESSORS} virtual processors that a host may run."
                ),
            );
            toml.push_str("edition = \"unlimited\"\n");
        } else if let [LoadHost { logical_processors: Some(processors), .. }] = self.hosts[..] {
            let _ = writeln!(toml, "logical_processors = {processors}");
        }
    }

    /// Virtual processors of the running VMs, as far as they are written.
    fn processors(&self) -> u64 {
        self.vms.iter().filter(|vm| vm.running).map(|vm| u64::from(processors(vm).unwrap_or(1))).sum()
    }

    /// Memory of the host, and whether a file says it.
    fn memory(&self) -> (PageCount, bool) {
        if let Some(memory) = self.host_memory {
            return (memory, true);
        }
        let most: PageCount = self
            .vms
            .iter()
            .filter(|vm| vm.running)
            .map(|vm| vm.settings.maximum + PageCount::from_mib(8))
            .sum();
        // The reserve: 384 MB, and 30 MB for each GB.
        let mib = (most.mib() + 384.0) / (1.0 - 30.0 / 1024.0);
        (PageCount::from_mib(mib as u64 + 1).round_up_to(MODULE), false)
    }

    fn head(&self, toml: &mut String) {
        toml.push_str("# Made by `cargo xtask import`. Names, settings, priorities and buffers are the files'; what they do not say is below.\n");
        for remark in &self.remarks {
            comment(toml, remark);
        }
        let assumed: Vec<(&str, &String)> = self
            .vms
            .iter()
            .flat_map(|vm| vm.assumed.iter().map(move |why| (vm.name.as_str(), why)))
            .collect();
        toml.push_str("#\n# Assumed:\n");
        // Many VMs have the same reasons.
        let mut told: BTreeSet<&String> = BTreeSet::new();
        for (_, why) in &assumed {
            if told.insert(why) {
                let names: Vec<&str> =
                    assumed.iter().filter(|(_, other)| other == why).map(|(name, _)| *name).collect();
                comment(toml, &format!("- {}: {why}", some(&names)));
            }
        }
        comment(
            toml,
            "- Guests are played as the nearest that the model has: what was recorded is the commit of the whole guest, so the guest's kind matters little.",
        );
        let snapshots: Vec<&str> = self
            .vms
            .iter()
            .filter(|vm| vm.running && matches!(vm.demand, Demand::Snapshot(_)))
            .map(|vm| vm.name.as_str())
            .collect();
        if !snapshots.is_empty() {
            comment(
                toml,
                &format!(
                    "- {}: demand is known at one moment only, and played as if it stayed so: peaks are not in it.",
                    some(&snapshots)
                ),
            );
        }
        let unknown: Vec<&str> = self
            .vms
            .iter()
            .filter(|vm| vm.running && vm.demand == Demand::Unknown)
            .map(|vm| vm.name.as_str())
            .collect();
        if !unknown.is_empty() {
            comment(toml, &format!("- {}: no file says what is demanded; the guest idles.", some(&unknown)));
        }
    }

    /// Names that scenario files take, all different.
    fn names(&self) -> Vec<WrittenVm> {
        let mut taken = BTreeSet::new();
        let mut names = Vec::with_capacity(self.vms.len());
        for vm in &self.vms {
            let base = legal(&vm.name);
            let mut scenario = base.clone();
            let mut number = 2;
            while !taken.insert(scenario.to_lowercase()) {
                scenario = format!("{base}-{number}");
                number += 1;
            }
            names.push(WrittenVm { name: vm.name.clone(), scenario });
        }
        names
    }

    fn trace(&self, names: &[WrittenVm]) -> Option<Trace> {
        let mut trace = Trace::default();
        let length = match self.length() {
            Duration::ZERO => SNAPSHOT_LENGTH,
            length => length,
        };
        for (vm, written) in self.vms.iter().zip(names) {
            let sample = |time: Duration, used: PageCount| Sample {
                time,
                provisioned: vm.settings.maximum,
                used,
                cpu: 0.0,
            };
            let samples = match &vm.demand {
                Demand::Unknown => continue,
                Demand::Snapshot(demand) => vec![sample(Duration::ZERO, *demand), sample(length, *demand)],
                Demand::Recorded(samples) => {
                    samples.iter().map(|(time, demand)| sample(*time, *demand)).collect()
                }
            };
            if let Some(recording) = VmTrace::new(samples) {
                trace.insert(&written.scenario, recording);
            }
        }
        (!trace.is_empty()).then_some(trace)
    }
}

/// More VMs than these are started ten times as fast, so that all run when a sizing begins to look. Invented.
const FEW: usize = 100;
/// Most VMs that run on a host since 2012 (documented: Plan for Hyper-V scalability in Windows Server).
const RUNNING: usize = 1024;
/// Most virtual processors that run on a host since 2012 (documented, as above).
const PROCESSORS: u64 = 2048;

/// Virtual processors of a VM, if a guest as it is played may have so many.
fn processors(vm: &LoadVm) -> Option<u32> {
    let most = find_profile(profile(vm.guest.as_deref())).map_or(1, GuestProfile::most_processors);
    // Of generation 1, or not known to be of generation 2: 64 (documented, as above).
    let most = most.min(if vm.generation == Some(2) { u32::MAX } else { 64 });
    vm.vcpus.filter(|count| (1..=most).contains(count))
}

/// A sentence as lines of a comment.
fn comment(toml: &mut String, sentence: &str) {
    let mut line = String::from("#");
    // A file's text may have line breaks, which would end the comment.
    for word in sentence.split_whitespace() {
        if line.chars().count() + word.chars().count() > 110 && line.len() > 3 {
            let _ = writeln!(toml, "{line}");
            line = String::from("#  ");
        }
        let word: String = word.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let _ = write!(line, " {word}");
    }
    let _ = writeln!(toml, "{line}");
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.split_whitespace().collect::<Vec<_>>().join(" ")).to_string()
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(59).chain(['…']).collect() }
}

fn file_name(path: &str) -> String {
    std::path::Path::new(path)
        .file_name()
        .map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// A name as scenario files take it: letters, digits, spaces inside, `-`, `_` and single points.
fn legal(name: &str) -> String {
    let good = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.');
    let mut legal: String =
        name.trim().chars().map(|c| if good(c) { c } else { '_' }).take(LONGEST_NAME - 6).collect();
    while legal.contains("..") {
        legal = legal.replace("..", ".");
    }
    let trimmed = legal.trim();
    if trimmed.is_empty() { "VM".to_owned() } else { trimmed.to_owned() }
}

/// Time between two samples of a run over this time.
fn interval(length: Duration) -> Duration {
    let wanted = length.as_secs().div_ceil(MOST_SAMPLES);
    let usual = [1, 2, 5, 10, 30, 60, 300, 900, 3600];
    Duration::from_secs(usual.into_iter().find(|seconds| *seconds >= wanted).unwrap_or(3600))
}

/// Words in what files call guests, and the profile that is nearest; the first that is found counts.
const GUESTS: [(&str, &str); 27] = [
    ("server 2025", "ws2025"),
    ("server 2022", "ws2022"),
    ("server 2019", "ws2019"),
    ("server 2016", "ws2016"),
    ("server 2012 r2", "ws2012-r2"),
    ("server 2012", "ws2012"),
    ("server 2008 r2", "ws2008-r2-sp1-enterprise"),
    ("server 2008", "ws2008-sp2-enterprise-x64"),
    ("server 2003", "ws2003-r2-sp2-enterprise-x64"),
    ("windows 11", "windows-11"),
    ("windows 10", "windows-10"),
    ("windows 8.1", "windows-8-1"),
    ("windows 8", "windows-8"),
    ("windows 7", "windows-7-sp1-enterprise-x64"),
    ("linux", "linux"),
    ("ubuntu", "linux"),
    ("debian", "linux"),
    ("centos", "linux"),
    ("red hat", "linux"),
    ("rhel", "linux"),
    ("fedora", "linux"),
    ("suse", "linux"),
    ("sles", "linux"),
    ("rocky", "linux"),
    ("alma", "linux"),
    ("photon", "linux"),
    ("freebsd", "linux"),
];

/// A guest of which no file says what it is: that of today which commits the least by itself, so that what was recorded is played as it was.
const UNKNOWN_GUEST: &str = "ws2012-r2";

/// The profile that is nearest to a guest, by what a file calls it.
fn profile(guest: Option<&str>) -> &'static str {
    let guest = guest.unwrap_or_default().to_lowercase();
    GUESTS.iter().find(|(word, _)| guest.contains(word)).map_or(UNKNOWN_GUEST, |(_, profile)| *profile)
}

fn table(toml: &mut String, vm: &LoadVm, written: &WrittenVm) {
    let size = |pages| quoted(&quantities::format_size(pages));
    toml.push_str("\n[[vm]]\n");
    if written.name != written.scenario {
        comment(toml, &format!("In the files: {:?}", written.name));
    }
    let _ = writeln!(toml, "name = {}", quoted(&written.scenario));
    if let Some(guest) = &vm.guest {
        comment(toml, guest);
    }
    let _ = writeln!(toml, "guest = {}", quoted(profile(vm.guest.as_deref())));
    if let Some(processors) = processors(vm) {
        let _ = writeln!(toml, "vcpus = {processors}");
    }
    if vm.generation == Some(1) {
        toml.push_str("generation = 1\n");
    }
    let settings = &vm.settings;
    if settings.dynamic {
        let _ = writeln!(toml, "startup_bytes = {}", size(settings.startup));
        let _ = writeln!(toml, "minimum_bytes = {}", size(settings.minimum));
        let _ = writeln!(toml, "maximum_bytes = {}", size(settings.maximum));
        let _ = writeln!(toml, "buffer = {}", settings.buffer);
    } else {
        let _ = writeln!(toml, "dynamic_memory_enabled = false\nstartup_bytes = {}", size(settings.startup));
    }
    let _ = writeln!(toml, "priority = {}", settings.priority);
    if vm.demand != Demand::Unknown {
        let _ = writeln!(toml, "workload = {{ kind = \"trace\", vm = {} }}", quoted(&written.scenario));
    }
}
