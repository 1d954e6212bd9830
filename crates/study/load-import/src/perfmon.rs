//! Logs of Performance Monitor: what VMs demanded, from the host's counters or from the guests' own.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use perf_counters::pdh::{CounterLog, Remark};

use crate::error::ImportError;
use crate::input::{self, Input};
use crate::kind::Kind;
use crate::names::{self, Counter};
use crate::number::Unit;
use crate::options::Options;
use crate::part::{Part, Sample, VmPart};

/// Whether a first line is that of a counter log.
pub(crate) fn is(first: &str) -> bool {
    let first = first.trim_start().trim_start_matches('"');
    first.starts_with("(PDH-CSV") || first.starts_with("(PDH-TSV")
}

/// Columns of one VM.
#[derive(Default)]
struct Columns {
    name: String,
    machine: String,
    places: BTreeMap<Counter, usize>,
}

/// Reads a log.
pub(crate) fn read(input: &Input, options: &Options) -> Result<Part, ImportError> {
    let log = CounterLog::read_lines(input.lines(options.code_page))
        .map_err(|error| ImportError::bad(&input.name, None, error.to_string()))?;
    let mut part = Part::new(&input.name, Kind::Perfmon);
    part.remarks.extend(log.remarks().iter().map(|remark| match remark {
        Remark::CodePage(page) => input::code_page(page),
        other => other.to_string(),
    }));
    // By name and host: a log of a cluster has a column of each host that a VM was on.
    let mut by_vm: BTreeMap<(String, String), Columns> = BTreeMap::new();
    let mut by_machine: BTreeMap<(String, String), Columns> = BTreeMap::new();
    let mut hosts: Vec<String> = Vec::new();
    let mut host_memory = None;
    for (place, path) in log.paths().iter().enumerate() {
        let Some(counter) = names::counter(path, options) else { continue };
        let (columns, name) = match counter {
            Counter::Balancer | Counter::ModelHostMemory => {
                hosts.push(path.machine.clone());
                if counter == Counter::ModelHostMemory {
                    host_memory = log.values(place).flatten().next().and_then(|mib| Unit::Mb.pages(mib));
                }
                continue;
            }
            Counter::GuestAvailable | Counter::GuestCommitted => (&mut by_machine, path.machine.clone()),
            _ => {
                hosts.push(path.machine.clone());
                let Some(instance) = path.instance.clone() else { continue };
                // The sum over all VMs is no VM.
                if instance.eq_ignore_ascii_case("_total") {
                    continue;
                }
                (&mut by_vm, instance)
            }
        };
        let columns = columns.entry((name.to_lowercase(), path.machine.to_lowercase())).or_default();
        (columns.name, columns.machine) = (name, path.machine.clone());
        columns.places.entry(counter).or_insert(place);
    }
    hosts.sort_by_key(|host| host.to_lowercase());
    hosts.dedup_by_key(|host| host.to_lowercase());
    // A host's own Memory counters are not a guest's.
    by_machine.retain(|(_, machine), _| !hosts.iter().any(|host| host.to_lowercase() == *machine));
    if by_vm.is_empty() && by_machine.is_empty() {
        return Err(nothing(&input.name, &log, &hosts));
    }
    if log.is_empty() {
        let what = "it has a first line with the counters' names, and no row: nothing was recorded";
        return Err(ImportError::bad(&input.name, None, what));
    }
    if let [only] = &hosts[..] {
        part.host = Some(only.clone());
    }
    part.host_memory = host_memory;
    let begin = log.begins().and_then(milliseconds).unwrap_or_default();
    let times: Vec<i64> = log
        .times()
        .iter()
        .map(|time| begin.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
        .collect();
    // VMs, and in how many rows each had memory and no pressure.
    let mut silent = Vec::new();
    for columns in by_vm.values() {
        part.vms.push(of_host(&log, columns, &times, &mut silent));
    }
    if let Some(most) = silent.iter().map(|(_, rows)| *rows).max() {
        let names: Vec<&str> = silent.iter().map(|(name, _)| name.as_str()).collect();
        let (rows, they) = if most == 1 {
            ("one row has".to_owned(), "it is")
        } else {
            (format!("up to {most} rows have"), "they are")
        };
        part.remarks.push(format!(
            "{}: {rows} Physical Memory and no pressure (their guests had not reported yet); {they} left out",
            names::some(&names)
        ));
    }
    for columns in by_machine.values() {
        part.vms.push(of_guest(&log, columns, &times));
    }
    Ok(part)
}

fn milliseconds(time: DateTime) -> Option<i64> {
    Offset::UTC.to_timestamp(time).ok().map(jiff::Timestamp::as_millisecond)
}

/// A log without a counter that tells of VMs.
fn nothing(file: &str, log: &CounterLog, hosts: &[String]) -> ImportError {
    let wanted = "\\Hyper-V Dynamic Memory VM(*)\\Physical Memory and \\Current Pressure on the host, or \\Memory\\Committed Bytes in guests";
    let what = if let Some(path) = log.localised() {
        let sets: std::collections::BTreeSet<&str> =
            log.paths().iter().map(|path| path.object.as_str()).collect();
        let sets = sets.into_iter().take(8).map(|set| format!("{set:?}")).collect::<Vec<_>>().join(", ");
        format!(
            "its counters have the names of another language, such as {path}; say which is which: --counter \"Hyper-V Dynamic Memory VM=…\" \
             --counter \"Physical Memory=…\" --counter \"Current Pressure=…\". Its counter sets: {sets}"
        )
    } else if hosts.is_empty() {
        format!("none of its {} counters tells of VMs; record {wanted}", log.paths().len())
    } else {
        format!("it is of the host {}, and has no counter of a VM; record {wanted}", hosts.join(", "))
    };
    ImportError::bad(file, None, what)
}

/// A VM as its host sees it. One that has memory and no pressure in some rows is added to `silent`.
fn of_host(log: &CounterLog, columns: &Columns, times: &[i64], silent: &mut Vec<(String, u64)>) -> VmPart {
    let column = |counter| {
        columns.places.get(&counter).map(|place| log.values(*place).collect::<Vec<_>>()).unwrap_or_default()
    };
    let at = |column: &[Option<f64>], row: usize| column.get(row).copied().flatten();
    let mib = |value: Option<f64>| value.and_then(|mib| Unit::Mb.pages(mib)).filter(|pages| !pages.is_zero());
    let (physical, demand) = (column(Counter::Physical), column(Counter::ModelDemand));
    let (current, average) = (column(Counter::CurrentPressure), column(Counter::AveragePressure));
    let mut vm = VmPart {
        name: columns.name.clone(),
        host: Some(columns.machine.clone()),
        dated: true,
        startup: column(Counter::ModelStartup)
            .into_iter()
            .flatten()
            .next()
            .and_then(|value| mib(Some(value))),
        maximum: column(Counter::ModelMaximum)
            .into_iter()
            .flatten()
            .next()
            .and_then(|value| mib(Some(value))),
        ..VmPart::default()
    };
    vm.demand_from = Some(if demand.iter().any(Option::is_some) {
        "the model's counter of it"
    } else if current.iter().any(|pressure| pressure.is_some_and(|pressure| pressure > 0.0)) {
        "Current Pressure × Physical Memory"
    } else {
        "Average Pressure × Physical Memory"
    });
    let mut zero = 0_u64;
    for (row, &time) in times.iter().enumerate() {
        let Some(assigned) = mib(at(&physical, row)) else {
            vm.without_value += 1;
            continue;
        };
        vm.assigned = Some(assigned);
        let pressure = at(&current, row).filter(|pressure| *pressure > 0.0);
        let pressure = pressure.or_else(|| at(&average, row).filter(|pressure| *pressure > 0.0));
        let rebuilt = pressure.and_then(|percent| Unit::Mb.pages(assigned.mib() * percent / 100.0));
        let Some(demand) = mib(at(&demand, row)).or(rebuilt) else {
            zero += 1;
            continue;
        };
        vm.samples.push(Sample { at: time, demand, assigned: Some(assigned) });
    }
    if vm.samples.is_empty() && vm.assigned.is_some() {
        // Static memory: hosts up to 2012 R2 say pressure 0 (documented: 2012 R2's counters).
        vm.dynamic = (!current.is_empty() || !average.is_empty()).then_some(false);
        vm.running = Some(true);
        vm.startup = vm.startup.or(vm.assigned);
        vm.demand_from = None;
        vm.without_value = 0;
    } else if zero > 0 {
        silent.push((columns.name.clone(), zero));
    }
    vm
}

/// A VM as its own guest sees it.
fn of_guest(log: &CounterLog, columns: &Columns, times: &[i64]) -> VmPart {
    let column = |counter| {
        columns.places.get(&counter).map(|place| log.values(*place).collect::<Vec<_>>()).unwrap_or_default()
    };
    let committed = column(Counter::GuestCommitted);
    let mut vm = VmPart {
        name: columns.name.clone(),
        of_guest: true,
        dated: true,
        demand_from: Some("the guest's Committed Bytes"),
        ..VmPart::default()
    };
    for (row, &time) in times.iter().enumerate() {
        let bytes = committed.get(row).copied().flatten().and_then(|bytes| Unit::Bytes.pages(bytes));
        match bytes.filter(|pages| !pages.is_zero()) {
            Some(demand) => vm.samples.push(Sample { at: time, demand, assigned: None }),
            None => vm.without_value += 1,
        }
    }
    if vm.samples.is_empty() {
        // Available MBytes alone: what the guest has less what is available, once a list says what it has.
        let available = column(Counter::GuestAvailable);
        vm.demand_from = Some(AVAILABLE);
        vm.without_value = 0;
        for (row, &time) in times.iter().enumerate() {
            match available.get(row).copied().flatten().and_then(|mib| Unit::Mb.pages(mib)) {
                Some(free) => vm.samples.push(Sample { at: time, demand: free, assigned: None }),
                None => vm.without_value += 1,
            }
        }
    }
    vm
}

/// Marks samples that are what a guest has available, and not yet what it demands.
pub(crate) const AVAILABLE: &str = "its memory less the guest's Available MBytes";
