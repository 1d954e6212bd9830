//! Putting files together: a VM that several files tell of is one VM, and where they disagree both are shown.

use core::time::Duration;

use jiff::Timestamp;
use page_range::PageCount;

use crate::error::ImportError;
use crate::groups::{Entry, Groups, key};
use crate::kind::Kind;
use crate::load::{Demand, Load, LoadHost, LoadVm, Release, Settings, Source, Today};
use crate::part::{HostPart, Part, Sample};
use crate::perfmon::AVAILABLE;
use crate::{lost_letters, names, twins};

/// The Windows Server of hosts where no file says it: VMs' versions do, in lists of Get-VM. Invented.
const RELEASE: &str = "2022";
/// Startup RAM where no file says it: the source's for Windows Server 2008 R2 (Table 3-3).
const STARTUP: PageCount = PageCount::from_mib(512);
/// Memory buffer where no file says it, percent: the product's default.
const BUFFER: u32 = 20;
/// Memory priority where no file says it: the product's default.
const PRIORITY: u32 = 50;
/// Why these two are assumed: `Get-VM` does not have them.
const NOT_LISTED: &str = "no file says it (Get-VMMemory | Export-Csv does); the product's default";
/// What a maximum that no file says lies above the largest demand: the buffer of 20 % that is the product's default.
const ABOVE_PEAK: f64 = 1.2;
/// What memory settings are multiples of: the product refuses others (as scenario files do).
const ALIGNMENT: PageCount = PageCount::from_mib(2);
/// Intervals, beyond the median, that make a gap: as in traces.
const GAP: f64 = 1.5;
/// Demands that differ by less than this share are of clocks that are not the same. Invented.
const SAME: f64 = 0.05;
/// Demands that differ by less than this are the same. Invented.
const SAME_MIB: f64 = 64.0;
/// Gaps of one VM that are told one by one. Invented.
const GAPS_TOLD: usize = 3;

/// Makes one load of what files say.
pub(crate) fn merge(parts: Vec<Part>) -> Result<Load, ImportError> {
    let mut remarks: Vec<String> = Vec::new();
    let mut sources: Vec<Source> = Vec::new();
    let mut hosts: Vec<String> = Vec::new();
    let mut host_memory = None;
    let mut listed: Vec<HostPart> = Vec::new();
    let mut release: Option<&'static str> = None;
    let mut groups = Groups::new();
    let mut guests: Vec<Entry> = Vec::new();
    for part in parts {
        remarks.extend(part.remarks.iter().map(|remark| format!("{}: {remark}", part.file)));
        sources.push(Source { file: part.file.clone(), kind: part.kind });
        hosts.extend(part.host.clone());
        host_memory = part.host_memory.or(host_memory);
        for host in part.hosts {
            same_host(&part.file, host, &mut listed, &mut remarks);
        }
        for vm in part.vms {
            // Releases are years, and what comes behind them is later.
            release = vm.release.max(release);
            hosts.extend(vm.host.clone());
            let entry = (part.file.clone(), part.kind, vm);
            if entry.2.of_guest {
                guests.push(entry);
            } else {
                groups.entry(key(&entry.2.name)).or_default().push(entry);
            }
        }
    }
    lost_letters::restore(&mut groups, &mut remarks)?;
    twins::part(&mut groups, &mut remarks);
    let alone = groups.is_empty();
    for (file, kind, vm) in guests {
        let whole = key(&vm.name);
        let first = key(vm.name.split('.').next().unwrap_or(&vm.name));
        let known = [whole.clone(), first].into_iter().flat_map(|key| [twins::first(&key), key]);
        let found = known.into_iter().find(|key| groups.contains_key(key));
        if found.is_none() && !alone {
            remarks.push(format!(
                "{file}: the computer {:?} has counters of its own, and no other file has a VM of that name: it is taken as one more VM",
                vm.name
            ));
        }
        groups.entry(found.unwrap_or(whole)).or_default().push((file, kind, vm));
    }
    if groups.is_empty() {
        let files = sources.iter().map(|source| source.file.as_str()).collect::<Vec<_>>().join(", ");
        let why = "give a list of VMs, or a log of what they demand".to_owned();
        return Err(ImportError::NoVms { files, why });
    }
    hosts.sort_by_key(|host| host.to_lowercase());
    hosts.dedup_by_key(|host| host.to_lowercase());
    let mut merged: Vec<(LoadVm, Vec<Sample>)> = Vec::new();
    let undated = groups.values().flatten().any(|(_, _, vm)| !vm.samples.is_empty() && !vm.dated);
    let first_dated = groups
        .values()
        .flatten()
        .filter(|(_, _, vm)| vm.dated)
        .filter_map(|(_, _, vm)| vm.samples.first())
        .map(|sample| sample.at)
        .min();
    if let (true, Some(_)) = (undated, first_dated) {
        remarks.push("some files have dates and some count from their beginning: these are taken to begin when the first of those does".to_owned());
    }
    // VMs of which host and guest measured, and the file of the guest.
    let mut ballooned: Vec<(String, String)> = Vec::new();
    for (_, mut group) in groups {
        for (_, _, vm) in &mut group {
            if let (false, Some(first)) = (vm.dated, first_dated) {
                vm.samples.iter_mut().for_each(|sample| sample.at += first);
            }
        }
        merged.push(one(group, first_dated.is_some(), &mut remarks, &mut ballooned));
    }
    if let Some((_, file)) = ballooned.first() {
        let names: Vec<&str> = ballooned.iter().map(|(name, _)| name.as_str()).collect();
        remarks.push(format!(
            "{}: what the host measured is taken; the guests' own counters (in {file}) have their balloons in them",
            names::some(&names)
        ));
    }
    merged.sort_by_key(|(vm, _)| order(&vm.name));
    let begin = merged.iter().filter_map(|(_, samples)| samples.first()).map(|sample| sample.at).min();
    let vms = merged.into_iter().map(|(mut vm, samples)| {
        if let (Some(begin), false) = (begin, samples.is_empty()) {
            let since = |at: i64| Duration::from_millis(at.saturating_sub(begin).unsigned_abs());
            vm.demand =
                Demand::Recorded(samples.iter().map(|sample| (since(sample.at), sample.demand)).collect());
        }
        vm
    });
    let vms: Vec<LoadVm> = vms.collect();
    // A list of one host names it for a load that has no other name.
    if let ([], [only]) = (&hosts[..], &listed[..]) {
        hosts.extend(Some(only.name.clone()).filter(|name| !name.is_empty()));
    }
    let host = match &hosts[..] {
        [only] => Some(only.clone()),
        [] => None,
        several => {
            remarks.push(format!("the VMs were on {} hosts: {}", several.len(), several.join(", ")));
            None
        }
    };
    let listed = told_of_hosts(listed, &vms, &mut remarks);
    if let [only] = &listed[..] {
        host_memory = Some(only.memory);
    } else if !listed.is_empty() {
        host_memory = None;
    }
    let release = release.map_or(Release::Assumed(RELEASE), Release::OfVersions);
    let begins = begin.filter(|_| first_dated.is_some());
    Ok(Load { host, host_memory, hosts: listed, release, begins, vms, sources, remarks })
}

/// Adds what a list says of a host to what others said: Get-VMHost and Get-VMHostNumaNode tell of the same.
fn same_host(file: &str, host: HostPart, listed: &mut Vec<HostPart>, remarks: &mut Vec<String>) {
    let Some(known) = listed.iter_mut().find(|known| known.name.eq_ignore_ascii_case(&host.name)) else {
        listed.push(host);
        return;
    };
    // Nodes are rounded, and one of them has what the firmware keeps.
    if known.nodes.is_empty() == host.nodes.is_empty() && known.memory != host.memory {
        remarks.push(format!(
            "{file}: the host {:?} has {} here and {} before: the larger is taken",
            host.name,
            size(host.memory),
            size(known.memory)
        ));
    }
    known.memory = known.memory.max(host.memory);
    known.logical_processors = known.logical_processors.or(host.logical_processors);
    known.numa_spanning = known.numa_spanning.or(host.numa_spanning);
    if known.nodes.is_empty() {
        known.nodes = host.nodes;
    }
}

/// The hosts, and what is to be said of them.
fn told_of_hosts(listed: Vec<HostPart>, vms: &[LoadVm], remarks: &mut Vec<String>) -> Vec<LoadHost> {
    if listed.len() > 1 {
        let each: Vec<String> = listed
            .iter()
            .map(|host| format!("{} with {:.0} GB", host.name, host.memory.mib() / 1024.0))
            .collect();
        let each: Vec<&str> = each.iter().map(String::as_str).collect();
        remarks.push(format!(
            "the files list {} hosts: {}. A scenario has all VMs on one; `cargo xtask size --hosts {} --host-memory …` asks whether so many are enough",
            listed.len(),
            names::some(&each),
            listed.len()
        ));
    }
    for host in &listed {
        let Some(node) = host.nodes.iter().max().filter(|_| host.numa_spanning == Some(false)) else {
            continue;
        };
        let larger: Vec<&str> =
            vms.iter().filter(|vm| vm.settings.maximum > *node).map(|vm| vm.name.as_str()).collect();
        if !larger.is_empty() {
            remarks.push(format!(
                "{}: NUMA spanning is off, so that no VM can have more than a node's {:.0} GB, which is less than the maximum of {}: nodes are not modelled",
                host.name,
                node.mib() / 1024.0,
                names::some(&larger)
            ));
        }
    }
    // What the firmware keeps is missing in what Windows counts: modules are whole GB.
    let memory = |pages: PageCount| pages.round_up_to(PageCount::from_mib(1024));
    listed
        .into_iter()
        .map(|host| LoadHost {
            memory: memory(host.memory),
            name: host.name,
            logical_processors: host.logical_processors,
        })
        .collect()
}

/// Names that are numbers, or end in one, in the order of the numbers.
fn order(name: &str) -> (String, u64, String) {
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (letters.to_lowercase(), name[letters.len()..].parse().unwrap_or_default(), name.to_lowercase())
}

/// A value and the file that says it.
struct Said<T> {
    value: Option<(T, String)>,
}

impl<T: PartialEq + Copy> Said<T> {
    const NOTHING: Self = Self { value: None };

    fn add(
        &mut self,
        value: Option<T>,
        file: &str,
        what: &str,
        write: impl Fn(T) -> String,
        remarks: &mut Vec<String>,
    ) {
        let Some(value) = value else { return };
        if let Some((before, other)) = &self.value
            && *before != value
        {
            remarks.push(format!(
                "{what} is {} in {other} and {} in {file}: the latter is taken, as that file was named last",
                write(*before),
                write(value)
            ));
        }
        self.value = Some((value, file.to_owned()));
    }

    fn get(&self) -> Option<T> {
        self.value.as_ref().map(|(value, _)| *value)
    }
}

fn size(pages: PageCount) -> String {
    quantities::format_size(pages)
}

/// One VM of what files say of it.
fn one(
    group: Vec<Entry>,
    dated: bool,
    remarks: &mut Vec<String>,
    ballooned: &mut Vec<(String, String)>,
) -> (LoadVm, Vec<Sample>) {
    // A list has the name as it was given; counters have some signs replaced.
    let listed =
        group.iter().find(|(_, kind, _)| matches!(kind, Kind::VmList | Kind::RvTools)).or(group.first());
    let name = listed.map_or_else(String::new, |(_, _, vm)| vm.name.trim().to_owned());
    let (mut running, mut dynamic) = (Said::NOTHING, Said::NOTHING);
    let (mut startup, mut minimum, mut maximum) = (Said::NOTHING, Said::NOTHING, Said::NOTHING);
    let (mut buffer, mut priority, mut vcpus) = (Said::NOTHING, Said::NOTHING, Said::NOTHING);
    let (mut host, mut guest, mut assigned, mut demand_now, mut generation) = (None, None, None, None, None);
    let mut kinds = Vec::new();
    for (file, kind, vm) in &group {
        let what = |setting: &str| format!("{name}: {setting}");
        running.add(
            vm.running,
            file,
            &what("its state"),
            |on| if on { "on".to_owned() } else { "off".to_owned() },
            remarks,
        );
        dynamic.add(
            vm.dynamic,
            file,
            &what("Dynamic Memory"),
            |on| if on { "on".to_owned() } else { "off".to_owned() },
            remarks,
        );
        startup.add(vm.startup, file, &what("startup RAM"), size, remarks);
        minimum.add(vm.minimum, file, &what("minimum RAM"), size, remarks);
        maximum.add(vm.maximum, file, &what("maximum RAM"), size, remarks);
        buffer.add(vm.buffer, file, &what("memory buffer"), |percent| format!("{percent} %"), remarks);
        priority.add(vm.priority, file, &what("memory priority"), |priority| priority.to_string(), remarks);
        vcpus.add(vm.vcpus, file, &what("number of virtual processors"), |count| count.to_string(), remarks);
        host = vm.host.clone().or(host);
        guest = vm.guest.clone().or(guest);
        generation = vm.generation.or(generation);
        assigned = vm.assigned.or(assigned);
        demand_now = vm.demand.map(|demand| (demand, vm.demand_note)).or(demand_now);
        kinds.push(*kind);
    }
    let mut assumed = Vec::new();
    let smallest_assigned =
        group.iter().flat_map(|(_, _, vm)| &vm.samples).filter_map(|sample| sample.assigned).min();
    let largest_assigned =
        group.iter().flat_map(|(_, _, vm)| &vm.samples).filter_map(|sample| sample.assigned).max();
    let memory = assigned.or(startup.get());
    let samples = join(&name, group, memory, dated, remarks, &mut assumed, ballooned);
    let mut on = running.get();
    if on == Some(false) && !samples.is_empty() {
        remarks.push(format!("{name} is off in a list, and was on when it was recorded: it is taken as on"));
        on = Some(true);
    }
    let running = on.unwrap_or(true);
    let today = Today {
        dynamic: dynamic.get(),
        startup: startup.get(),
        minimum: minimum.get(),
        maximum: maximum.get(),
        buffer: buffer.get(),
        priority: priority.get(),
    };
    let peak = samples.iter().map(|sample| sample.demand).max().or(demand_now.map(|(demand, _)| demand));
    let settings =
        settings(&today, smallest_assigned, largest_assigned.or(assigned), peak, &kinds, &mut assumed);
    let demand = match (demand_now, assigned) {
        _ if !samples.is_empty() => Demand::Unknown,
        (Some((demand, note)), _) => {
            assumed.extend(note.map(str::to_owned));
            Demand::Snapshot(demand)
        }
        (None, Some(assigned)) if settings.dynamic && running => {
            let demand = PageCount((assigned.get() as f64 * 100.0 / f64::from(100 + settings.buffer)) as u64);
            assumed.push(format!(
                "demand {:.0} MB: no file says it; a VM that has what it should, has its demand and the buffer of {} %",
                demand.mib(),
                settings.buffer
            ));
            Demand::Snapshot(demand)
        }
        _ => Demand::Unknown,
    };
    let vcpus = vcpus.get();
    (LoadVm { name, host, running, settings, today, vcpus, generation, guest, demand, assumed }, samples)
}

/// Settings of which every one is said or assumed.
fn settings(
    today: &Today,
    smallest: Option<PageCount>,
    largest: Option<PageCount>,
    peak: Option<PageCount>,
    kinds: &[Kind],
    assumed: &mut Vec<String>,
) -> Settings {
    let dynamic = today.dynamic.unwrap_or(true);
    let priority = today.priority.unwrap_or_else(|| {
        assumed.push(format!("memory priority {PRIORITY}: {NOT_LISTED}"));
        PRIORITY
    });
    if !dynamic {
        let startup = today.startup.or(largest).or(today.maximum).unwrap_or_else(|| {
            assumed.push(format!("startup RAM {}: no file says what its static memory is", size(STARTUP)));
            STARTUP
        });
        let startup = aligned("startup RAM", startup, assumed);
        return Settings {
            dynamic,
            startup,
            minimum: startup,
            maximum: startup,
            buffer: today.buffer.unwrap_or(BUFFER),
            priority,
        };
    }
    // A pressure that is not 0 says it.
    let measured = kinds.iter().any(|kind| matches!(kind, Kind::Perfmon | Kind::Prometheus));
    if today.dynamic.is_none() && !measured {
        let from_vmware = kinds.iter().all(|kind| *kind == Kind::RvTools);
        let why =
            if from_vmware { "it comes from VMware, and is sized for Hyper-V" } else { "no file says it" };
        assumed.push(format!("Dynamic Memory on: {why}"));
    }
    let buffer = today.buffer.unwrap_or_else(|| {
        assumed.push(format!("memory buffer {BUFFER} %: {NOT_LISTED}"));
        BUFFER
    });
    let startup = today.startup.unwrap_or_else(|| match smallest {
        Some(smallest) => {
            assumed.push(format!(
                "startup RAM {}: the least that it had while it was recorded; no file says its setting",
                size(smallest.round_up_to(ALIGNMENT))
            ));
            smallest
        }
        None => {
            let startup = STARTUP.min(today.maximum.unwrap_or(PageCount::MAX));
            let startup = startup.max(today.minimum.unwrap_or_default());
            assumed.push(format!(
                "startup RAM {}: no file says it; what the guideline gives Windows Server 2008 R2",
                size(startup)
            ));
            startup
        }
    });
    let startup = aligned("startup RAM", startup, assumed);
    let minimum = today.minimum.unwrap_or_else(|| {
        assumed
            .push("minimum RAM as startup RAM: no file says it; so it is on hosts up to 2008 R2".to_owned());
        startup
    });
    let minimum = aligned("minimum RAM", minimum, assumed);
    let maximum = today.maximum.unwrap_or_else(|| {
        let wanted = PageCount((peak.unwrap_or(startup).get() as f64 * ABOVE_PEAK) as u64)
            .max(largest.unwrap_or_default())
            .max(startup);
        let wanted = wanted.round_up_to(PageCount::from_mib(256));
        assumed.push(format!(
            "maximum RAM {}: no file says it; its largest demand and a fifth, or the most that it had",
            size(wanted)
        ));
        wanted
    });
    let mut maximum = aligned("maximum RAM", maximum, assumed);
    let mut startup = startup;
    if startup < minimum {
        assumed.push(format!(
            "startup RAM {} in place of {}: it must not be below minimum RAM",
            size(minimum),
            size(startup)
        ));
        startup = minimum;
    }
    if maximum < startup {
        assumed.push(format!(
            "maximum RAM {} in place of {}: it must not be below startup RAM",
            size(startup),
            size(maximum)
        ));
        maximum = startup;
    }
    Settings { dynamic, startup, minimum, maximum, buffer: buffer.clamp(5, 2000), priority }
}

fn aligned(what: &str, pages: PageCount, assumed: &mut Vec<String>) -> PageCount {
    let up = pages.round_up_to(ALIGNMENT);
    if up != pages {
        assumed.push(format!(
            "{what} {} in place of {:.3} MB: Hyper-V takes multiples of 2 MB",
            size(up),
            pages.mib()
        ));
    }
    up
}

/// All samples of a VM, in order of time. The host's come before the guest's: a guest that is ballooned has the balloon in its
/// Committed Bytes.
fn join(
    name: &str,
    group: Vec<Entry>,
    memory: Option<PageCount>,
    dated: bool,
    remarks: &mut Vec<String>,
    assumed: &mut Vec<String>,
    ballooned: &mut Vec<(String, String)>,
) -> Vec<Sample> {
    let mut of_host: Vec<(String, Vec<Sample>)> = Vec::new();
    let mut of_guest: Vec<(String, Vec<Sample>, Option<&'static str>)> = Vec::new();
    let mut without_value = 0;
    let files: Vec<String> = group.iter().map(|(file, ..)| file.clone()).collect();
    for (mut file, _, vm) in group {
        if vm.samples.is_empty() {
            continue;
        }
        // A log of several hosts that the VM was on.
        if let Some(host) =
            vm.host.as_ref().filter(|_| files.iter().filter(|other| **other == file).count() > 1)
        {
            file = format!("{file} ({host})");
        }
        without_value += vm.without_value;
        if vm.of_guest {
            of_guest.push((file, vm.samples, vm.demand_from));
        } else {
            of_host.push((file, vm.samples));
        }
    }
    if of_host.is_empty() {
        for (file, mut samples, from) in of_guest {
            if from == Some(AVAILABLE) {
                let Some(memory) = memory else {
                    remarks.push(format!(
                        "{file}: of {name} there is Available MBytes alone, and no file says what memory it has: its demand stays unknown \
                         (record \\Memory\\Committed Bytes, or add a list of VMs)"
                    ));
                    continue;
                };
                samples.iter_mut().for_each(|sample| sample.demand = memory.saturating_sub(sample.demand));
                assumed.push(format!("demand: {AVAILABLE}, of {}", size(memory)));
            } else {
                assumed.push(
                    "demand: the guest's Committed Bytes, which is what its driver would report".to_owned(),
                );
            }
            of_host.push((file, samples));
        }
    } else if let Some((file, ..)) = of_guest.first() {
        ballooned.push((name.to_owned(), file.clone()));
    }
    let mut joined: Vec<Sample> = Vec::new();
    let mut before = String::new();
    for (file, mut samples) in of_host {
        samples.sort_by_key(|sample| sample.at);
        samples.dedup_by_key(|sample| sample.at);
        if let (Some(first), Some(last)) =
            (samples.first().map(|sample| sample.at), samples.last().map(|sample| sample.at))
        {
            disagreement(name, (&before, &joined), (&file, &samples), dated, remarks);
            // A VM that moved to another host has no values in between: only what the new file has is replaced.
            let step = median_step(&samples).map_or(0, |step| (step as f64 * GAP) as i64);
            joined.retain(|sample| {
                sample.at < first || sample.at > last || !is_near(&samples, sample.at, step)
            });
        }
        joined.extend(samples);
        joined.sort_by_key(|sample| sample.at);
        before = file;
    }
    gaps(name, &joined, dated, without_value, remarks);
    joined
}

/// Whether there is a sample within a step of this time.
fn is_near(samples: &[Sample], at: i64, step: i64) -> bool {
    let place = samples.partition_point(|sample| sample.at < at);
    let near = |sample: Option<&Sample>| sample.is_some_and(|sample| (sample.at - at).abs() <= step);
    near(samples.get(place)) || place.checked_sub(1).is_some_and(|place| near(samples.get(place)))
}

fn median_step(samples: &[Sample]) -> Option<i64> {
    let mut steps: Vec<i64> = samples.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    steps.sort_unstable();
    // Of two, the shorter: as in traces.
    steps.get(steps.len().saturating_sub(1) / 2).copied()
}

/// Where two files have the same time, and not the same demand.
fn disagreement(
    name: &str,
    (file, known): (&str, &[Sample]),
    (other, new): (&str, &[Sample]),
    dated: bool,
    remarks: &mut Vec<String>,
) {
    let mut worst: Option<(f64, Sample, f64)> = None;
    let (mut apart, mut both) = (0_u64, 0_u64);
    let step = median_step(known).map_or(0, |step| (step as f64 * GAP) as i64);
    for sample in new {
        let after = known.partition_point(|known| known.at <= sample.at);
        let there = match (after.checked_sub(1).and_then(|place| known.get(place)), known.get(after)) {
            (Some(before), _) if before.at == sample.at => before.demand.mib(),
            (Some(before), Some(next)) if next.at - before.at <= step => {
                let share = (sample.at - before.at) as f64 / (next.at - before.at) as f64;
                before.demand.mib() + (next.demand.mib() - before.demand.mib()) * share
            }
            _ => continue,
        };
        both += 1;
        let difference = (sample.demand.mib() - there).abs();
        if difference > SAME_MIB && difference > SAME * there {
            apart += 1;
            if worst.is_none_or(|(most, ..)| difference > most) {
                worst = Some((difference, *sample, there));
            }
        }
    }
    if let Some((_, sample, there)) = worst {
        remarks.push(format!(
            "{name}: {file} and {other} disagree at {apart} of the {both} times that both have; most {}: {there:.0} MB and {:.0} MB. The latter \
             is taken, as that file was named last",
            moment(sample.at, dated),
            sample.demand.mib()
        ));
    }
}

/// Names the gaps.
fn gaps(name: &str, samples: &[Sample], dated: bool, without_value: u64, remarks: &mut Vec<String>) {
    let Some(step) = median_step(samples) else { return };
    let longest = (step as f64 * GAP) as i64;
    let found: Vec<&[Sample]> = samples.windows(2).filter(|pair| pair[1].at - pair[0].at > longest).collect();
    if found.is_empty() {
        return;
    }
    let told = found.iter().take(GAPS_TOLD).map(|pair| {
        let length = Duration::from_millis(pair[1].at.abs_diff(pair[0].at));
        let length = quantities::format_duration(Duration::from_secs(length.as_secs().max(1)));
        format!("{length} {}", moment(pair[0].at, dated))
    });
    let told = told.collect::<Vec<_>>().join(", ");
    let more = match found.len().saturating_sub(GAPS_TOLD) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let empty = if without_value > 0 {
        format!(" ({without_value} rows have no value of it)")
    } else {
        String::new()
    };
    let gaps = if found.len() == 1 { "a gap" } else { "gaps" };
    remarks.push(format!(
        "{name}: {gaps} of {told}{more}{empty}: the straight line between what is before and after is taken"
    ));
}

/// `from 2026-09-22 21:42:32`, or a time since the file's beginning.
fn moment(at: i64, dated: bool) -> String {
    match Timestamp::from_millisecond(at) {
        Ok(time) if dated => format!("at {} UTC", time.strftime("%Y-%m-%d %H:%M:%S")),
        _ => format!("at {}", quantities::format_duration(Duration::from_secs(at.unsigned_abs() / 1000))),
    }
}
