//! Prometheus text exposition, with the names of `windows_exporter`'s `hyperv` and `memory` collectors where it
//! has them, so that dashboards made for Hyper-V work unchanged. MB become bytes, percent become ratios.

use crate::{
    layout::Layout,
    sample::{Sample, VmSample},
    schema::{
        BALANCER_INSTANCE, BalancerCounters, BusCounters, CounterDefinition, GuestCounters, Kind,
        MapCounters, ModelCounters, ModelGuestCounters, ModelVmCounters, ParentCounters, VmCounters,
    },
    value::Value,
};

/// Content type of the text, for an HTTP answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Appends `sample` to `out`, one family after the other. A missing value leaves out its own line and nothing else.
pub fn write(out: &mut Vec<u8>, layout: &Layout, sample: &Sample) {
    host_set(out, &ParentCounters::DEFINITIONS, &sample.parent.values(), "");
    host_set(
        out,
        &BalancerCounters::DEFINITIONS,
        &sample.balancer.values(),
        &format!("{{balancer=\"{BALANCER_INSTANCE}\"}}"),
    );
    host_set(out, &ModelCounters::DEFINITIONS, &sample.model.values(), "");
    vm_set(out, layout, sample, &VmCounters::DEFINITIONS, |vm, index| vm.vm.values()[index]);
    vm_set(out, layout, sample, &GuestCounters::DEFINITIONS, |vm, index| vm.guest.values()[index]);
    vm_set(out, layout, sample, &ModelGuestCounters::DEFINITIONS, |vm, index| vm.model_guest.values()[index]);
    vm_set(out, layout, sample, &ModelVmCounters::DEFINITIONS, |vm, index| vm.model.values()[index]);
    vm_set(out, layout, sample, &BusCounters::DEFINITIONS, |vm, index| vm.bus.values()[index]);
    vm_set(out, layout, sample, &MapCounters::DEFINITIONS, |vm, index| vm.map.values()[index]);
}

fn host_set(out: &mut Vec<u8>, set: &[CounterDefinition], values: &[Option<Value>], labels: &str) {
    for (counter, value) in set.iter().zip(values) {
        let Some(value) = value else { continue };
        header(out, counter);
        line(out, counter, labels, *value);
    }
}

fn vm_set(
    out: &mut Vec<u8>,
    layout: &Layout,
    sample: &Sample,
    set: &[CounterDefinition],
    value_of: impl Fn(&VmSample, usize) -> Option<Value>,
) {
    for (index, counter) in set.iter().enumerate() {
        let mut opened = false;
        for (name, vm) in layout.vms().iter().zip(&sample.vms) {
            let Some(value) = value_of(vm, index) else { continue };
            if !opened {
                header(out, counter);
                opened = true;
            }
            line(out, counter, &format!("{{vm=\"{}\"}}", escape_label(name)), value);
        }
    }
}

fn header(out: &mut Vec<u8>, counter: &CounterDefinition) {
    let kind = match counter.kind {
        Kind::Gauge => "gauge",
        Kind::Counter => "counter",
    };
    for part in
        ["# HELP ", counter.prometheus, " ", counter.help, "\n# TYPE ", counter.prometheus, " ", kind, "\n"]
    {
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

fn escape_label(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, Memory, Percent};

    fn text(sample: &Sample, layout: &Layout) -> String {
        let mut out = Vec::new();
        write(&mut out, layout, sample);
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
}
