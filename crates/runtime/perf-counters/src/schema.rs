//! The one table of all counters: name, unit, kind, meaning and where it comes from. The structs of a
//! [`Sample`](crate::Sample), the CSV header, the Prometheus families and the reference page are made from it.

use serde::Serialize;

use crate::value::{Memory, Percent, Rate, Seconds, Value};

/// Unit of a counter as Performance Monitor shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// Megabytes of 2^20 bytes.
    #[serde(rename = "MB")]
    Megabytes,
    /// Percent.
    #[serde(rename = "%")]
    Percent,
    /// Events per second.
    #[serde(rename = "1/s")]
    PerSecond,
    /// A number of operations.
    #[serde(rename = "operations")]
    Operations,
    /// Bytes.
    #[serde(rename = "bytes")]
    Bytes,
    /// A number of things, which the counter's name says.
    #[serde(rename = "count")]
    Count,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
}

impl Unit {
    /// The unit's sign, for axes and tables.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Megabytes => "MB",
            Self::Percent => "%",
            Self::PerSecond => "1/s",
            Self::Operations => "operations",
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::Seconds => "s",
        }
    }
}

/// Whether a value goes up and down or only accumulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A present amount.
    Gauge,
    /// A total since the VM's (or the balancer's) last start.
    Counter,
}

/// Where a counter is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Origin {
    /// Table 3-6 of the verification guideline.
    #[serde(rename = "Table 3-6")]
    Table36,
    /// Table 3-7 of the verification guideline.
    #[serde(rename = "Table 3-7")]
    Table37,
    /// A counter that Windows has under this name; the guideline observes it.
    Windows,
    /// A counter of this model; Windows has none.
    Model,
}

/// One counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CounterDefinition {
    /// Counter set ("object") as PDH paths name it.
    pub object: &'static str,
    /// Counter name as PDH paths name it.
    pub name: &'static str,
    /// Unit.
    pub unit: Unit,
    /// Gauge or counter.
    pub kind: Kind,
    /// Meaning, one sentence.
    pub help: &'static str,
    /// Where it is defined.
    pub origin: Origin,
    /// Name of the Prometheus family; `windows_…` where `windows_exporter` or Windows has the quantity.
    pub prometheus: &'static str,
}

/// Ties a unit of the table to the type of the struct's field.
macro_rules! field_type {
    (Megabytes) => {
        Memory
    };
    (Percent) => {
        Percent
    };
    (PerSecond) => {
        Rate
    };
    (Operations) => {
        u64
    };
    (Bytes) => {
        u64
    };
    (Count) => {
        u64
    };
    (Seconds) => {
        Seconds
    };
}

macro_rules! counter_set {
    (
        $(#[doc = $doc:literal])*
        $set:ident, $object:literal, $origin:ident, $count:literal;
        $($field:ident: $name:literal, $unit:ident, $kind:ident, $prometheus:literal, $help:literal;)*
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $set {
            $(#[doc = $help] pub $field: Option<field_type!($unit)>,)*
        }

        impl $set {
            /// The counters of the set, in the order of [`Self::values`].
            pub const DEFINITIONS: [CounterDefinition; $count] = [$(CounterDefinition {
                object: $object,
                name: $name,
                unit: Unit::$unit,
                kind: Kind::$kind,
                help: $help,
                origin: Origin::$origin,
                prometheus: $prometheus,
            },)*];

            /// The values in the order of [`Self::DEFINITIONS`]; `None` where a value is missing.
            pub fn values(&self) -> [Option<Value>; $count] {
                [$(self.$field.map(Value::from),)*]
            }
        }
    };
}

counter_set! {
    /// `Hyper-V Dynamic Memory Balancer`, instance `System Balancer` (Table 3-6).
    BalancerCounters, "Hyper-V Dynamic Memory Balancer", Table36, 6;
    added_memory: "Added Memory", Megabytes, Counter, "windows_hyperv_dynamic_memory_balancer_added_bytes_total",
        "Memory added to all VMs since the balancer started.";
    available_memory: "Available Memory", Megabytes, Gauge, "windows_hyperv_dynamic_memory_balancer_available_memory_bytes",
        "Memory left in the balancer.";
    average_pressure: "Average Pressure", Percent, Gauge, "windows_hyperv_dynamic_memory_balancer_average_pressure_ratio",
        "Average pressure over the balancer's VMs.";
    memory_add_operations: "Memory Add Operations", Operations, Counter, "windows_hyperv_dynamic_memory_balancer_add_operations_total",
        "Operations that added memory to a VM since the balancer started.";
    memory_remove_operations: "Memory Remove Operations", Operations, Counter, "windows_hyperv_dynamic_memory_balancer_remove_operations_total",
        "Operations that removed memory from a VM since the balancer started.";
    removed_memory: "Removed Memory", Megabytes, Counter, "windows_hyperv_dynamic_memory_balancer_removed_bytes_total",
        "Memory removed from all VMs since the balancer started.";
}

counter_set! {
    /// `Hyper-V Dynamic Memory VM`, instance = VM name (Table 3-7).
    VmCounters, "Hyper-V Dynamic Memory VM", Table37, 10;
    added_memory: "Added Memory", Megabytes, Counter, "windows_hyperv_dynamic_memory_vm_added_total",
        "Memory added to the VM since its last start; in bytes in Prometheus, whatever the name says.";
    average_pressure: "Average Pressure", Percent, Gauge, "windows_hyperv_dynamic_memory_vm_pressure_average_ratio",
        "The VM's pressure, averaged over a window.";
    current_pressure: "Current Pressure", Percent, Gauge, "windows_hyperv_dynamic_memory_vm_pressure_current_ratio",
        "The VM's present pressure: demand over assigned memory; above 100 the VM is short.";
    guest_visible_physical_memory: "Guest Visible Physical Memory", Megabytes, Gauge, "windows_hyperv_dynamic_memory_vm_guest_visible_physical_memory_bytes",
        "Memory the guest believes to have: the largest amount since its last start.";
    maximum_pressure: "Maximum Pressure", Percent, Gauge, "windows_hyperv_dynamic_memory_vm_pressure_maximum_ratio",
        "Upper edge of the VM's pressure band.";
    memory_add_operations: "Memory Add Operations", Operations, Counter, "windows_hyperv_dynamic_memory_vm_add_operations_total",
        "Operations that added memory to the VM since its last start.";
    memory_remove_operations: "Memory Remove Operations", Operations, Counter, "windows_hyperv_dynamic_memory_vm_remove_operations_total",
        "Operations that removed memory from the VM since its last start.";
    minimum_pressure: "Minimum Pressure", Percent, Gauge, "windows_hyperv_dynamic_memory_vm_pressure_minimum_ratio",
        "Lower edge of the VM's pressure band.";
    physical_memory: "Physical Memory", Megabytes, Gauge, "windows_hyperv_dynamic_memory_vm_physical_bytes",
        "Memory assigned to the VM at present.";
    removed_memory: "Removed Memory", Megabytes, Counter, "windows_hyperv_dynamic_memory_vm_removed_bytes_total",
        "Memory removed from the VM since its last start.";
}

counter_set! {
    /// `Memory` of the parent OS.
    ParentCounters, "Memory", Windows, 2;
    available: "Available MBytes", Megabytes, Gauge, "windows_memory_available_bytes",
        "The parent OS's free memory.";
    page_reads: "Page Reads/sec", PerSecond, Gauge, "dynamic_memory_model_parent_page_reads_per_second",
        "The parent OS's reads from its page file.";
}

counter_set! {
    /// `Memory` inside a guest: what a monitor in the guest would see.
    GuestCounters, "Memory", Windows, 4;
    available: "Available MBytes", Megabytes, Gauge, "windows_hyperv_dynamic_memory_vm_guest_available_bytes",
        "The guest's available memory: free, zeroed and standby pages.";
    committed_bytes: "Committed Bytes", Bytes, Gauge, "dynamic_memory_model_guest_committed_bytes",
        "The guest's commit charge.";
    page_reads: "Page Reads/sec", PerSecond, Gauge, "dynamic_memory_model_guest_page_reads_per_second",
        "The guest's reads from its page file.";
    page_writes: "Page Writes/sec", PerSecond, Gauge, "dynamic_memory_model_guest_page_writes_per_second",
        "The guest's writes to its page file.";
}

counter_set! {
    /// What other tools inside a guest would show, and Performance Monitor does not.
    ModelGuestCounters, "Dynamic Memory Model Guest", Model, 1;
    driver_locked: "Driver Locked", Megabytes, Gauge, "dynamic_memory_model_guest_driver_locked_bytes",
        "What drivers in the guest have locked, as RAMMap shows it: the memory that the balloon driver holds for the host, and the rings of the VMBus.";
}

counter_set! {
    /// What the model knows of the host's memory and Windows shows nowhere; with the other sets these make
    /// the sum of the host's memory complete (see [`balance`](crate::balance)).
    ModelCounters, "Dynamic Memory Model", Model, 7;
    host_memory: "Host Memory", Megabytes, Gauge, "dynamic_memory_model_host_bytes",
        "All memory of the host.";
    in_transit: "Memory In Transit", Megabytes, Gauge, "dynamic_memory_model_in_transit_bytes",
        "Memory granted and not yet mapped, or taken back and not yet returned: the next three together.";
    granted: "Granted Memory", Megabytes, Gauge, "dynamic_memory_model_granted_bytes",
        "Memory granted to VMs, for their growth or their start, and not yet mapped.";
    set_aside: "Memory Set Aside", Megabytes, Gauge, "dynamic_memory_model_set_aside_bytes",
        "Memory set aside for VMs that wait to start.";
    coming_home: "Memory Coming Home", Megabytes, Gauge, "dynamic_memory_model_coming_home_bytes",
        "Memory that VMs have given up, or that ended VMs had, and that is not back yet.";
    overhead: "Overhead Memory", Megabytes, Gauge, "dynamic_memory_model_overhead_bytes",
        "What the running VMs cost the host beyond their assigned memory.";
    reserve: "Reserve Memory", Megabytes, Gauge, "dynamic_memory_model_reserve_bytes",
        "Memory reserved for the parent OS (MemoryReserve).";
}

counter_set! {
    /// What the model knows of one VM and Windows Server 2008 R2 shows nowhere.
    ModelVmCounters, "Dynamic Memory Model VM", Model, 4;
    startup_memory: "Startup Memory", Megabytes, Gauge, "dynamic_memory_model_vm_startup_bytes",
        "What the VM was given at its last start.";
    maximum_memory: "Maximum Memory", Megabytes, Gauge, "dynamic_memory_model_vm_maximum_bytes",
        "The VM's maximum RAM.";
    demand: "Demand", Megabytes, Gauge, "dynamic_memory_model_vm_demand_bytes",
        "What the VM needs by its guest's report, without buffer.";
    refused: "Refused Commit", Megabytes, Gauge, "dynamic_memory_model_vm_refused_commit_bytes",
        "What applications in the guest have asked for, were refused for want of memory and page file, and still want.";
}

counter_set! {
    /// The VMBus of one VM, all of its channels together, as the host sees it: of simulated and of real guests alike.
    BusCounters, "Dynamic Memory Model VMBus", Model, 14;
    packets_from_guest: "Packets From Guest", Count, Counter, "dynamic_memory_model_vmbus_packets_from_guest_total",
        "Packets that the host has read from the rings.";
    packets_to_guest: "Packets To Guest", Count, Counter, "dynamic_memory_model_vmbus_packets_to_guest_total",
        "Packets that the host has written to the rings.";
    signals_from_guest: "Signals From Guest", Count, Counter, "dynamic_memory_model_vmbus_signals_from_guest_total",
        "Times that the guest has signalled the host for a channel (HvSignalEvent).";
    suppressed_from_guest: "Signals Suppressed From Guest", Count, Counter, "dynamic_memory_model_vmbus_signals_suppressed_from_guest_total",
        "Packets from the guest without a signal of their own, since the host was awake: packets less signals.";
    signals_to_guest: "Signals To Guest", Count, Counter, "dynamic_memory_model_vmbus_signals_to_guest_total",
        "Times that the host has set a channel's event flag in the guest.";
    suppressed_to_guest: "Signals Suppressed To Guest", Count, Counter, "dynamic_memory_model_vmbus_signals_suppressed_to_guest_total",
        "Times that the host wrote packets and set no event flag, since the guest was awake.";
    upstream_used: "Upstream Ring Used", Bytes, Gauge, "dynamic_memory_model_vmbus_upstream_ring_used_bytes",
        "Bytes in the ring from guest to host when the host last found packets there; of several channels the most.";
    upstream_high_water: "Upstream Ring High Water", Bytes, Gauge, "dynamic_memory_model_vmbus_upstream_ring_high_water_bytes",
        "The most bytes in the ring from guest to host that the host has found since the VM's last start.";
    downstream_used: "Downstream Ring Used", Bytes, Gauge, "dynamic_memory_model_vmbus_downstream_ring_used_bytes",
        "Bytes in the ring from host to guest when the host had last written to it; of several channels the most.";
    downstream_high_water: "Downstream Ring High Water", Bytes, Gauge, "dynamic_memory_model_vmbus_downstream_ring_high_water_bytes",
        "The most bytes in the ring from host to guest, after a write of the host, since the VM's last start.";
    control_from_guest: "Control Messages From Guest", Count, Counter, "dynamic_memory_model_vmbus_control_messages_from_guest_total",
        "Messages of the control plane that the guest has posted.";
    control_to_guest: "Control Messages To Guest", Count, Counter, "dynamic_memory_model_vmbus_control_messages_to_guest_total",
        "Messages of the control plane that the host has put into the guest's slot.";
    doorbell_wait: "Doorbell Wait", Seconds, Counter, "dynamic_memory_model_vmbus_doorbell_wait_seconds_total",
        "Time from a guest's signal to the wake of the VM's worker, summed over the wakes.";
    doorbell_longest_wait: "Doorbell Longest Wait", Seconds, Gauge, "dynamic_memory_model_vmbus_doorbell_longest_wait_seconds",
        "The longest time from a guest's signal to the wake of the VM's worker.";
}

counter_set! {
    /// The memory map of one VM: guest pages to host frames.
    MapCounters, "Dynamic Memory Model Map", Model, 4;
    large_pages: "2M Pages", Count, Gauge, "dynamic_memory_model_map_large_pages",
        "Pages of 2 MiB that the VM's memory is mapped with.";
    small_pages: "4K Pages", Count, Gauge, "dynamic_memory_model_map_small_pages",
        "Pages of 4 KiB that the VM's memory is mapped with.";
    splits: "Page Splits", Count, Counter, "dynamic_memory_model_map_page_splits_total",
        "Pages of 2 MiB that were split, since a part of them was taken from the VM.";
    merges: "Page Merges", Count, Counter, "dynamic_memory_model_map_page_merges_total",
        "Pages of 2 MiB that came of joining pages of 4 KiB.";
}

counter_set! {
    /// `Hyper-V Virtual Storage Device`: the virtual hard disks of one VM together, in runs whose VMs have some.
    StorageCounters, "Hyper-V Virtual Storage Device", Windows, 8;
    read_count: "Read Count", Count, Counter, "windows_hyperv_virtual_storage_device_operations_read_total",
        "Reads that the VM's disks have done.";
    write_count: "Write Count", Count, Counter, "windows_hyperv_virtual_storage_device_operations_written_total",
        "Writes that the VM's disks have done.";
    read_bytes: "Read Bytes/sec", PerSecond, Gauge, "windows_hyperv_virtual_storage_device_bytes_read_per_second",
        "Bytes read in a second.";
    write_bytes: "Write Bytes/sec", PerSecond, Gauge, "windows_hyperv_virtual_storage_device_bytes_written_per_second",
        "Bytes written in a second.";
    error_count: "Error Count", Count, Counter, "windows_hyperv_virtual_storage_device_error_count_total",
        "Requests that could not be done.";
    queue_length: "Queue Length", Count, Gauge, "windows_hyperv_virtual_storage_device_queue_length",
        "Requests under way.";
    read_latency: "Avg. Disk sec/Read", Seconds, Gauge, "dynamic_memory_model_storage_read_latency_seconds",
        "What a read of the last interval took on average, as PhysicalDisk has it in a guest.";
    write_latency: "Avg. Disk sec/Write", Seconds, Gauge, "dynamic_memory_model_storage_write_latency_seconds",
        "What a write of the last interval took on average, as PhysicalDisk has it in a guest.";
}

/// Instance of the balancer's counter set.
pub const BALANCER_INSTANCE: &str = "System Balancer";

/// The sets of the host, each with its instance, in the order of a file's columns.
pub const fn host_sets() -> [(Option<&'static str>, &'static [CounterDefinition]); 3] {
    [
        (None, &ParentCounters::DEFINITIONS),
        (Some(BALANCER_INSTANCE), &BalancerCounters::DEFINITIONS),
        (None, &ModelCounters::DEFINITIONS),
    ]
}

/// On which machine a set of a VM is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// On the host, with the VM as the instance.
    Host,
    /// In the VM's guest.
    Guest,
}

/// The sets of each VM, in the order of a file's columns.
pub const fn vm_sets() -> [(Machine, &'static [CounterDefinition]); 6] {
    [
        (Machine::Host, &VmCounters::DEFINITIONS),
        (Machine::Host, &ModelVmCounters::DEFINITIONS),
        (Machine::Host, &BusCounters::DEFINITIONS),
        (Machine::Host, &MapCounters::DEFINITIONS),
        (Machine::Guest, &GuestCounters::DEFINITIONS),
        (Machine::Guest, &ModelGuestCounters::DEFINITIONS),
    ]
}

/// Every counter there is, set by set.
pub fn all() -> impl Iterator<Item = &'static CounterDefinition> {
    let of_host = host_sets().into_iter().map(|(_, set)| set);
    of_host
        .chain(vm_sets().into_iter().map(|(_, set)| set))
        .chain([&StorageCounters::DEFINITIONS[..]])
        .flatten()
}

/// The reference page of the counters, in Markdown.
pub fn reference_markdown() -> String {
    use core::fmt::Write as _;
    let mut page = String::from(
        "| counter | unit | kind | meaning | defined in | Prometheus |\n|---|---|---|---|---|---|\n",
    );
    let host = host_sets().into_iter().map(|(instance, set)| {
        (r"\\HOST", instance.map_or_else(String::new, |instance| format!("({instance})")), set)
    });
    let vm = vm_sets().into_iter().map(|(machine, set)| match machine {
        Machine::Host => (r"\\HOST", "(VM1)".to_owned(), set),
        Machine::Guest => (r"\\VM1", String::new(), set),
    });
    let storage = (r"\\HOST", "(VM1)".to_owned(), &StorageCounters::DEFINITIONS[..]);
    for (machine, instance, set) in host.chain(vm).chain([storage]) {
        for counter in set {
            let kind = match counter.kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
            };
            let origin = match counter.origin {
                Origin::Table36 => "Table 3-6",
                Origin::Table37 => "Table 3-7",
                Origin::Windows => "Windows",
                Origin::Model => "this model",
            };
            // Writing to a String does not fail.
            let _: core::fmt::Result = writeln!(
                page,
                "| `{machine}\\{}{instance}\\{}` | {} | {kind} | {} | {origin} | `{}` |",
                counter.object,
                counter.name,
                counter.unit.symbol(),
                counter.help,
                counter.prometheus
            );
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_sets_of_the_source_have_its_names_in_its_order() {
        let names = |set: &[CounterDefinition]| set.iter().map(|counter| counter.name).collect::<Vec<_>>();
        assert_eq!(
            names(&BalancerCounters::DEFINITIONS),
            [
                "Added Memory",
                "Available Memory",
                "Average Pressure",
                "Memory Add Operations",
                "Memory Remove Operations",
                "Removed Memory",
            ]
        );
        assert_eq!(
            names(&VmCounters::DEFINITIONS),
            [
                "Added Memory",
                "Average Pressure",
                "Current Pressure",
                "Guest Visible Physical Memory",
                "Maximum Pressure",
                "Memory Add Operations",
                "Memory Remove Operations",
                "Minimum Pressure",
                "Physical Memory",
                "Removed Memory",
            ]
        );
    }

    #[test]
    fn prometheus_names_are_unique_and_valid() {
        let names: BTreeSet<_> = all().map(|counter| counter.prometheus).collect();
        assert_eq!(names.len(), all().count());
        for name in names {
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        }
    }

    #[test]
    fn the_page_has_every_counter() {
        let page = reference_markdown();
        assert_eq!(page.lines().count(), 2 + all().count());
        assert!(page.contains(
            r"| `\\HOST\Hyper-V Dynamic Memory VM(VM1)\Current Pressure` | % | gauge | The VM's present pressure"
        ));
        assert!(page.contains(r"| `\\VM1\Memory\Available MBytes` | MB |"));
    }

    #[test]
    fn values_follow_the_definitions() {
        let set = VmCounters {
            physical_memory: Some(Memory::from_mib(512)),
            memory_add_operations: Some(3),
            ..VmCounters::default()
        };
        for (definition, value) in VmCounters::DEFINITIONS.iter().zip(set.values()) {
            match definition.name {
                "Physical Memory" => assert_eq!(value, Some(Value::Memory(Memory::from_mib(512)))),
                "Memory Add Operations" => assert_eq!(value, Some(Value::Count(3))),
                other => assert_eq!(value, None, "{other}"),
            }
        }
    }
}
