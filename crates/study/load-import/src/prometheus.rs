//! Answers of a Prometheus server: windows_exporter's hyperv collector.

use std::collections::BTreeMap;

use page_range::PageCount;
use serde::Deserialize;

use crate::error::{DoubtfulUnit, ImportError};
use crate::input::Input;
use crate::kind::Kind;
use crate::number::Unit;
use crate::options::Options;
use crate::part::{Part, Sample, VmPart};

/// The metrics that are read, the newer name first where there are two (documented: windows_exporter's collector.hyperv.md, and
/// its code since `physical` became `physical_bytes`). A query for all of them: `{__name__=~"A|B|…"}`.
pub const METRICS: [&str; 5] = [
    "windows_hyperv_dynamic_memory_vm_physical_bytes",
    "windows_hyperv_dynamic_memory_vm_physical",
    "windows_hyperv_dynamic_memory_vm_pressure_current_ratio",
    "windows_hyperv_dynamic_memory_vm_guest_available_bytes",
    "windows_hyperv_dynamic_memory_balancer_available_memory_bytes",
];

/// Names that stand for no VM: before and since it was renamed.
const NO_VM: [&str; 2] = ["------", "(unknown)"];

#[derive(Deserialize)]
struct Answer {
    status: Option<String>,
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType", default)]
    kind: String,
    #[serde(default)]
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    /// Of a range.
    #[serde(default)]
    values: Vec<(f64, String)>,
    /// Of a moment.
    value: Option<(f64, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Metric {
    Physical,
    Pressure,
}

/// Values of a VM by time in milliseconds.
#[derive(Default)]
struct Vm {
    values: BTreeMap<Metric, BTreeMap<i64, f64>>,
    physical_name: String,
}

/// Reads the answers in a file: one, or several one after the other.
pub(crate) fn read(input: &Input, options: &Options) -> Result<Part, ImportError> {
    let bad = |what: String| ImportError::bad(&input.name, None, what);
    let mut text = String::new();
    let mut lines = input.lines(options.code_page);
    while let Some(line) = lines.next_line().map_err(|error| bad(error.to_string()))? {
        text.push_str(line);
        text.push('\n');
    }
    // By name and host: a VM that moves has series of several.
    let mut vms: BTreeMap<(String, Option<String>), Vm> = BTreeMap::new();
    let mut others: BTreeMap<String, u64> = BTreeMap::new();
    let (mut ranges, mut moments, mut unnamed) = (0_u64, 0_u64, 0_u64);
    for answer in serde_json::Deserializer::from_str(&text).into_iter::<Answer>() {
        let answer = answer.map_err(|error| {
            bad(format!("line {}: it begins as JSON, and is no answer of Prometheus's HTTP API (status, data, result): {error}", error.line()))
        })?;
        if let Some(error) = answer.error {
            return Err(bad(format!("the server answered {}: {error}", answer.status.unwrap_or_default())));
        }
        let Some(data) = answer.data else {
            return Err(bad("it has no \"data\": it is no answer of Prometheus's HTTP API".to_owned()));
        };
        if !matches!(data.kind.as_str(), "matrix" | "vector") {
            return Err(bad(format!(
                "its resultType is {:?}: ask for a range (/api/v1/query_range), which answers with \"matrix\"",
                data.kind
            )));
        }
        for series in data.result {
            let Some(name) = series.metric.get("__name__") else {
                unnamed += 1;
                continue;
            };
            let metric = match name.as_str() {
                "windows_hyperv_dynamic_memory_vm_physical_bytes"
                | "windows_hyperv_dynamic_memory_vm_physical" => Metric::Physical,
                "windows_hyperv_dynamic_memory_vm_pressure_current_ratio" => Metric::Pressure,
                other => {
                    *others.entry(other.to_owned()).or_default() += 1;
                    continue;
                }
            };
            let Some(vm) = series.metric.get("vm").filter(|vm| !NO_VM.contains(&vm.as_str())) else {
                continue;
            };
            // host:port
            let host = series.metric.get("instance");
            let host =
                host.map(|host| host.rsplit_once(':').map_or(host.as_str(), |(host, _)| host).to_owned());
            let entry = vms.entry((vm.clone(), host)).or_default();
            if metric == Metric::Physical {
                entry.physical_name.clone_from(name);
            }
            ranges += u64::from(!series.values.is_empty());
            moments += u64::from(series.value.is_some());
            let values = entry.values.entry(metric).or_default();
            for (time, value) in series.values.into_iter().chain(series.value) {
                let number: f64 =
                    value.parse().map_err(|_| bad(format!("{value:?} of {name} is not a number")))?;
                if number.is_finite() && time.is_finite() {
                    values.insert((time * 1000.0) as i64, number);
                }
            }
        }
    }
    let mut part = Part::new(&input.name, Kind::Prometheus);
    if vms.is_empty() {
        let some = others.keys().take(4).cloned().collect::<Vec<_>>().join(", ");
        let found = match () {
            () if unnamed > 0 => {
                " Its series have no __name__: ask for the metrics themselves, not for an expression of them."
                    .to_owned()
            }
            () if some.is_empty() => {
                " It has no series at all: look at the times that were asked for.".to_owned()
            }
            () => format!(" It has {some}."),
        };
        return Err(bad(format!(
            "no series is one of windows_exporter's hyperv collector with a label vm: ask for {} and {}.{found}",
            METRICS[0], METRICS[2]
        )));
    }
    for ((name, host), vm) in vms {
        let vm = one(&input.name, &name, vm, options, &mut part.remarks)?;
        part.vms.push(VmPart { host, ..vm });
    }
    if ranges == 0 && moments > 0 {
        part.remarks.push(
            "it is of one moment (query): ask for a range (query_range) to know what VMs demand over time"
                .to_owned(),
        );
    }
    Ok(part)
}

fn one(
    file: &str,
    name: &str,
    vm: Vm,
    options: &Options,
    remarks: &mut Vec<String>,
) -> Result<VmPart, ImportError> {
    let nothing = BTreeMap::new();
    let physical = vm.values.get(&Metric::Physical).unwrap_or(&nothing);
    let pressure = vm.values.get(&Metric::Pressure).unwrap_or(&nothing);
    let unit = options.unit(&vm.physical_name).unwrap_or(Unit::Bytes);
    let mut part = VmPart {
        name: name.to_owned(),
        dated: true,
        demand_from: Some("pressure_current_ratio × physical memory"),
        ..VmPart::default()
    };
    let (mut zero, mut alone) = (0_u64, 0_u64);
    for (&at, &number) in physical {
        let pages = unit.pages(number).unwrap_or(PageCount::MAX);
        if number != 0.0 && !(PageCount::from_mib(8)..=PageCount::from_mib(240 << 20)).contains(&pages) {
            return Err(DoubtfulUnit {
                file: file.to_owned(),
                line: None,
                column: vm.physical_name,
                vm: name.to_owned(),
                value: number.to_string(),
                taken_as: unit.name(),
            }
            .into());
        }
        if pages.is_zero() {
            continue;
        }
        part.assigned = Some(pages);
        match pressure.get(&at) {
            None => alone += 1,
            Some(ratio) if *ratio <= 0.0 => zero += 1,
            Some(ratio) if *ratio > 20.0 => {
                return Err(ImportError::bad(
                    file,
                    None,
                    format!(
                        "{name}: a pressure_current_ratio of {ratio} would be {} %: it seems to be in percent already, which this exporter does not write; divide it by 100",
                        ratio * 100.0
                    ),
                ));
            }
            Some(ratio) => {
                let demand = PageCount((pages.get() as f64 * ratio) as u64);
                part.samples.push(Sample { at, demand, assigned: Some(pages) });
            }
        }
    }
    if part.samples.is_empty() {
        part.dynamic = (zero > 0).then_some(false);
        part.startup = part.assigned;
        part.running = Some(part.assigned.is_some());
        part.demand_from = None;
    }
    if alone > 0 {
        remarks.push(format!(
            "{name}: {alone} moments have physical memory and no pressure_current_ratio; they are left out (ask for both with the same start, end and step)"
        ));
    }
    if let [only] = &part.samples[..] {
        part.demand = Some(only.demand);
        part.samples.clear();
    }
    Ok(part)
}
