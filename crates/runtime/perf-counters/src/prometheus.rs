//! Prometheus text exposition, with the names of `windows_exporter`'s `hyperv` and `memory` collectors where it
//! has them, so that dashboards made for Hyper-V work unchanged. MB become bytes, percent become ratios.

use crate::{
    layout::Layout,
    sample::{Sample, VmSample},
    schema::{
        BALANCER_INSTANCE, BalancerCounters, BusCounters, CounterDefinition, GuestCounters, Kind,
        MapCounters, ModelCounters, ModelGuestCounters, ModelVmCounters, ParentCounters, StorageCounters,
        VmCounters,
    },
    value::Value,
};

/// One of the two forms of the text, which every Prometheus reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format 0.0.4: <https://prometheus.io/docs/instrumenting/exposition_formats/> (documented).
    Text,
    /// OpenMetrics 1.0: <https://prometheus.io/docs/specs/om/open_metrics_spec/> (documented). The family of a counter is named without
    /// the `_total` of its samples, and the text has an end of its own.
    OpenMetrics,
}

impl Format {
    /// What whoever asks gets, by the `Accept` of the request: OpenMetrics, if that is among the media types that are accepted.
    #[must_use]
    pub fn accepted(accept: Option<&str>) -> Self {
        let mut types = accept
            .into_iter()
            .flat_map(|accept| accept.split(','))
            .filter_map(|range| range.split(';').next());
        if types.any(|media| media.trim().eq_ignore_ascii_case("application/openmetrics-text")) {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// Content type of the text, for an HTTP answer.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Appends `sample` to `out`, one family after the other. A missing value leaves out its own line and nothing else.
pub fn write(out: &mut Vec<u8>, layout: &Layout, sample: &Sample, format: Format) {
    let balancer = format!("{{balancer=\"{BALANCER_INSTANCE}\"}}");
    let mut writer = Writer { out, layout, sample, format };
    writer.host_set(&ParentCounters::DEFINITIONS, &sample.parent.values(), "");
    writer.host_set(&BalancerCounters::DEFINITIONS, &sample.balancer.values(), &balancer);
    writer.host_set(&ModelCounters::DEFINITIONS, &sample.model.values(), "");
    writer.vm_set(&VmCounters::DEFINITIONS, |vm, index| vm.vm.values()[index]);
    writer.vm_set(&GuestCounters::DEFINITIONS, |vm, index| vm.guest.values()[index]);
    writer.vm_set(&ModelGuestCounters::DEFINITIONS, |vm, index| vm.model_guest.values()[index]);
    writer.vm_set(&ModelVmCounters::DEFINITIONS, |vm, index| vm.model.values()[index]);
    writer.vm_set(&BusCounters::DEFINITIONS, |vm, index| vm.bus.values()[index]);
    writer.vm_set(&MapCounters::DEFINITIONS, |vm, index| vm.map.values()[index]);
    writer.set(&StorageCounters::DEFINITIONS, &sample.storage, |disks, index| disks.values()[index]);
    if format == Format::OpenMetrics {
        out.extend_from_slice(END);
    }
}

/// How OpenMetrics ends.
pub const END: &[u8] = b"# EOF\n";

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    layout: &'a Layout,
    sample: &'a Sample,
    format: Format,
}

impl Writer<'_> {
    fn host_set(&mut self, set: &[CounterDefinition], values: &[Option<Value>], labels: &str) {
        for (counter, value) in set.iter().zip(values) {
            let Some(value) = value else { continue };
            header(self.out, counter, self.format);
            line(self.out, counter, labels, *value);
        }
    }

    fn vm_set(&mut self, set: &[CounterDefinition], value_of: impl Fn(&VmSample, usize) -> Option<Value>) {
        self.set(set, &self.sample.vms, value_of);
    }

    /// A set of which each VM has one, in the layout's order.
    fn set<T>(
        &mut self,
        set: &[CounterDefinition],
        of_vms: &[T],
        value_of: impl Fn(&T, usize) -> Option<Value>,
    ) {
        for (index, counter) in set.iter().enumerate() {
            let mut opened = false;
            for (name, vm) in self.layout.vms().iter().zip(of_vms) {
                let Some(value) = value_of(vm, index) else { continue };
                if !opened {
                    header(self.out, counter, self.format);
                    opened = true;
                }
                line(self.out, counter, &format!("{{vm=\"{}\"}}", escape_label(name)), value);
            }
        }
    }
}

/// Appends what comes before the samples of a family: its meaning and its type.
pub fn header(out: &mut Vec<u8>, counter: &CounterDefinition, format: Format) {
    let (kind, name) = match (counter.kind, format) {
        (Kind::Gauge, _) => ("gauge", counter.prometheus),
        (Kind::Counter, Format::Text) => ("counter", counter.prometheus),
        (Kind::Counter, Format::OpenMetrics) => {
            ("counter", counter.prometheus.strip_suffix("_total").unwrap_or(counter.prometheus))
        }
    };
    for part in ["# HELP ", name, " ", counter.help, "\n# TYPE ", name, " ", kind, "\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn line(out: &mut Vec<u8>, counter: &CounterDefinition, labels: &str, value: Value) {
    out.extend_from_slice(counter.prometheus.as_bytes());
    out.extend_from_slice(labels.as_bytes());
    out.push(b' ');
    value.append_base_units(out);
    out.push(b'\n');
}

/// Text as the value of a label.
#[must_use]
pub fn escape_label(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, Memory, Percent};

    fn text(sample: &Sample, layout: &Layout) -> String {
        let mut out = Vec::new();
        write(&mut out, layout, sample, Format::Text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_and_units_are_those_of_windows_exporter() {
        let layout = Layout::new("HOST", Epoch::DEFAULT, ["VM1", "VM2"]).unwrap();
        let mut sample = Sample::new(&layout);
        sample.balancer.available_memory = Some(Memory::from_mib(108));
        sample.vms[0].vm.current_pressure = Percent::from_ratio(414, 512);
        sample.vms[1].vm.current_pressure = Percent::from_ratio(1, 1);
        sample.vms[1].vm.memory_add_operations = Some(3);
        assert_eq!(
            text(&sample, &layout),
            "\
# HELP windows_hyperv_dynamic_memory_balancer_available_memory_bytes Memory left in the balancer.
# TYPE windows_hyperv_dynamic_memory_balancer_available_memory_bytes gauge
windows_hyperv_dynamic_memory_balancer_available_memory_bytes{balancer=\"System Balancer\"} 113246208
# HELP windows_hyperv_dynamic_memory_vm_pressure_current_ratio The VM's present pressure: demand over assigned memory; above 100 the VM is short.
# TYPE windows_hyperv_dynamic_memory_vm_pressure_current_ratio gauge
windows_hyperv_dynamic_memory_vm_pressure_current_ratio{vm=\"VM1\"} 0.80859375
windows_hyperv_dynamic_memory_vm_pressure_current_ratio{vm=\"VM2\"} 1
# HELP windows_hyperv_dynamic_memory_vm_add_operations_total Operations that added memory to the VM since its last start.
# TYPE windows_hyperv_dynamic_memory_vm_add_operations_total counter
windows_hyperv_dynamic_memory_vm_add_operations_total{vm=\"VM2\"} 3
"
        );
    }

    #[test]
    fn a_missing_counter_drops_nothing_else() {
        let layout = Layout::new("HOST", Epoch::DEFAULT, ["VM1"]).unwrap();
        let mut sample = Sample::new(&layout);
        sample.vms[0].vm = VmCounters {
            physical_memory: Some(Memory::from_mib(512)),
            removed_memory: Some(Memory::ZERO),
            ..VmCounters::default()
        };
        let written = text(&sample, &layout);
        assert_eq!(written.lines().filter(|line| !line.starts_with('#')).count(), 2, "{written}");
        assert!(written.contains("windows_hyperv_dynamic_memory_vm_physical_bytes{vm=\"VM1\"} 536870912\n"));
        assert!(written.contains("windows_hyperv_dynamic_memory_vm_removed_bytes_total{vm=\"VM1\"} 0\n"));
    }

    #[test]
    fn every_family_is_opened_once() {
        let layout = Layout::new("HOST", Epoch::DEFAULT, ["VM1", "VM2"]).unwrap();
        let mut sample = Sample::new(&layout);
        for vm in &mut sample.vms {
            vm.vm.physical_memory = Some(Memory::ZERO);
            vm.guest.available = Some(Memory::ZERO);
            vm.model.demand = Some(Memory::ZERO);
        }
        let written = text(&sample, &layout);
        let mut types: Vec<_> = written.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let all = types.len();
        types.dedup();
        assert_eq!((types.len(), all), (3, 3));
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escape_label("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
    }

    #[test]
    fn openmetrics_names_families_of_counters_without_total_and_has_an_end() {
        let layout = Layout::new("HOST", Epoch::DEFAULT, ["VM1"]).unwrap();
        let mut sample = Sample::new(&layout);
        sample.vms[0].vm.memory_add_operations = Some(3);
        let mut out = Vec::new();
        write(&mut out, &layout, &sample, Format::OpenMetrics);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\
# HELP windows_hyperv_dynamic_memory_vm_add_operations Operations that added memory to the VM since its last start.
# TYPE windows_hyperv_dynamic_memory_vm_add_operations counter
windows_hyperv_dynamic_memory_vm_add_operations_total{vm=\"VM1\"} 3
# EOF
"
        );
    }

    #[test]
    fn whoever_takes_openmetrics_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;q=0.5";
        assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
        for other in [None, Some(""), Some("*/*"), Some("text/html, application/xml;q=0.9"), Some(",;,")] {
            assert_eq!(Format::accepted(other), Format::Text, "{other:?}");
        }
    }
}
