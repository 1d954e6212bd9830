//! What columns and counters are called, in the languages in which that is published.

use perf_counters::pdh::CounterPath;

use crate::number::Unit;
use crate::options::Options;

/// What a column of a list of VMs is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    Name,
    Host,
    State,
    Assigned,
    Demand,
    Startup,
    Minimum,
    Maximum,
    Buffer,
    Priority,
    Weight,
    Dynamic,
    Cpus,
    Guest,
    Template,
    /// RVTools: what the VM is configured with.
    Size,
    /// RVTools: host memory behind it.
    Consumed,
    /// RVTools: what was touched lately.
    Active,
    /// Get-VMHost: memory of the host.
    HostMemory,
    /// Get-VM: generation of the VM.
    Generation,
    /// Get-VM: version of the VM's configuration.
    Version,
    /// Get-VMHost: logical processors.
    LogicalProcessors,
    /// Get-VMHost: whether a VM may have memory of several NUMA nodes.
    NumaSpanning,
    /// Get-VMHostNumaNode: which node.
    NumaNode,
    /// Get-VMHostNumaNode: memory of the node.
    NodeMemory,
}

use Column::{
    Active, Assigned, Buffer, Consumed, Cpus, Demand, Dynamic, Generation, Guest, Host, HostMemory,
    LogicalProcessors, Maximum, Minimum, Name, NodeMemory, NumaNode, NumaSpanning, Priority, Size, Startup,
    State, Template, Version, Weight,
};

/// Names of columns, without signs, spaces and unit. The properties of Get-VM and Get-VMMemory (documented: the cmdlets' output types),
/// of Msvm_MemorySettingData (documented), of RVTools (documented by its files), and what published scripts make of them with
/// `Select-Object`. German and Japanese: what Hyper-V Manager's list calls its columns (inferred from published screens).
const COLUMNS: &[(&str, Column)] = &[
    ("name", Name),
    ("vmname", Name),
    ("vm", Name),
    ("virtualmachine", Name),
    ("virtualmachinename", Name),
    ("elementname", Name),
    ("virtuellercomputer", Name),
    ("vmid", Template),
    ("名前", Name),
    ("仮想マシン", Name),
    ("仮想マシン名", Name),
    ("computername", Host),
    ("host", Host),
    ("hostname", Host),
    ("vmhost", Host),
    ("hypervhost", Host),
    ("ホスト", Host),
    ("state", State),
    ("vmstate", State),
    ("powerstate", State),
    ("zustand", State),
    ("状態", State),
    ("memoryassigned", Assigned),
    ("assignedmemory", Assigned),
    ("memassigned", Assigned),
    ("assignmem", Assigned),
    ("assignram", Assigned),
    ("assignedram", Assigned),
    ("assigned", Assigned),
    ("currentmemory", Assigned),
    ("zugewiesenerarbeitsspeicher", Assigned),
    ("zugewiesenerspeicher", Assigned),
    ("zugewiesenerram", Assigned),
    ("メモリの割り当て", Assigned),
    ("割り当てメモリ", Assigned),
    ("memorydemand", Demand),
    ("memdemand", Demand),
    ("demandmemory", Demand),
    ("demand", Demand),
    ("ramdemand", Demand),
    ("demandram", Demand),
    ("arbeitsspeicherbedarf", Demand),
    ("speicherbedarf", Demand),
    ("メモリの需要", Demand),
    ("メモリ要求", Demand),
    ("memorystartup", Startup),
    ("startupmemory", Startup),
    ("memstartup", Startup),
    ("startup", Startup),
    ("startupram", Startup),
    ("ramstartup", Startup),
    ("virtualquantity", Startup),
    ("startarbeitsspeicher", Startup),
    ("arbeitsspeicherbeimstart", Startup),
    ("起動メモリ", Startup),
    ("スタートアップram", Startup),
    ("memoryminimum", Minimum),
    ("minimummemory", Minimum),
    ("memminimum", Minimum),
    ("memmin", Minimum),
    ("minmemory", Minimum),
    ("minimum", Minimum),
    ("minimumram", Minimum),
    ("minram", Minimum),
    ("reservation", Minimum),
    ("minimalerarbeitsspeicher", Minimum),
    ("最小メモリ", Minimum),
    ("最小ram", Minimum),
    ("memorymaximum", Maximum),
    ("maximummemory", Maximum),
    ("memmaximum", Maximum),
    ("memmax", Maximum),
    ("maxmemory", Maximum),
    ("maximum", Maximum),
    ("maximumram", Maximum),
    ("maxram", Maximum),
    ("limit", Maximum),
    ("maximalerarbeitsspeicher", Maximum),
    ("最大メモリ", Maximum),
    ("最大ram", Maximum),
    ("buffer", Buffer),
    ("memorybuffer", Buffer),
    ("targetmemorybuffer", Buffer),
    ("arbeitsspeicherpuffer", Buffer),
    ("メモリバッファー", Buffer),
    ("priority", Priority),
    ("memorypriority", Priority),
    ("arbeitsspeicherpriorität", Priority),
    ("weight", Weight),
    ("memoryweight", Weight),
    ("dynamicmemoryenabled", Dynamic),
    ("dynamicmemory", Dynamic),
    ("dynamicmem", Dynamic),
    ("dynamischerarbeitsspeicher", Dynamic),
    ("動的メモリ", Dynamic),
    ("processorcount", Cpus),
    ("cpus", Cpus),
    ("vcpu", Cpus),
    ("vcpus", Cpus),
    ("cpucount", Cpus),
    ("guest", Guest),
    ("guestos", Guest),
    ("operatingsystem", Guest),
    ("os", Guest),
    ("osaccordingtotheconfigurationfile", Guest),
    ("osaccordingtothevmwaretools", Guest),
    ("template", Template),
    ("srmplaceholder", Template),
    ("size", Size),
    ("memory", Size),
    ("consumed", Consumed),
    ("active", Active),
    ("activememory", Active),
    ("memorycapacity", HostMemory),
    ("totalphysicalmemory", HostMemory),
    ("generation", Generation),
    ("version", Version),
    ("logicalprocessorcount", LogicalProcessors),
    ("numaspanningenabled", NumaSpanning),
    ("nodeid", NumaNode),
    ("memorytotal", NodeMemory),
];

/// Windows Server that came with a version of VMs' configuration (documented: Microsoft, *Upgrade virtual machine version in Hyper-V*): a host of
/// an older release does not run such a VM.
const VERSIONS: [(u32, &str); 6] =
    [(12, "2025"), (10, "2022"), (9, "2019"), (8, "2016"), (5, "2012-r2"), (4, "2012")];

/// The release of the oldest host that runs a VM of this version, as scenario files call it.
pub(crate) fn release(version: &str) -> Option<&'static str> {
    let major: u32 = version.trim().split('.').next()?.parse().ok()?;
    VERSIONS.iter().find(|(from, _)| major >= *from).map(|(_, release)| *release)
}

/// Units that a column's name may end with, longest first.
const SUFFIXES: [(&str, Unit); 13] = [
    ("inbytes", Unit::Bytes),
    ("bytes", Unit::Bytes),
    ("inkb", Unit::Kb),
    ("kib", Unit::Kb),
    ("kb", Unit::Kb),
    ("inmib", Unit::Mb),
    ("inmb", Unit::Mb),
    ("mib", Unit::Mb),
    ("mb", Unit::Mb),
    ("ingib", Unit::Gb),
    ("ingb", Unit::Gb),
    ("gib", Unit::Gb),
    ("gb", Unit::Gb),
];

/// A column's name as names are compared: letters and digits alone, small; and the unit that the name says.
fn plain(name: &str) -> (String, Option<Unit>) {
    // In brackets of any kind.
    let in_brackets = name
        .split_once(['(', '[', '（'])
        .and_then(|(before, rest)| Some((before, rest.split_once([')', ']', '）'])?)))
        .and_then(|(before, (unit, after))| Some((format!("{before}{after}"), Unit::of_word(unit)?)));
    let (name, unit) = in_brackets.map_or((name.to_owned(), None), |(name, unit)| (name, Some(unit)));
    let letters: String =
        name.chars().filter(|c| c.is_alphanumeric() || *c == 'ー').flat_map(char::to_lowercase).collect();
    (letters, unit)
}

/// What a column is, and the unit that its name says.
pub(crate) fn column(name: &str) -> Option<(Column, Option<Unit>)> {
    let (letters, unit) = plain(name);
    let known =
        |letters: &str| COLUMNS.iter().find(|(known, _)| *known == letters).map(|(_, column)| *column);
    if let Some(column) = known(&letters) {
        return Some((column, unit));
    }
    let (short, suffix) =
        SUFFIXES.iter().find_map(|(suffix, unit)| Some((letters.strip_suffix(suffix)?, *unit)))?;
    Some((known(short)?, unit.or(Some(suffix))))
}

/// Whether a column holds memory.
pub(crate) fn is_memory(name: &str) -> bool {
    matches!(
        column(name),
        Some((
            Assigned
                | Demand
                | Startup
                | Minimum
                | Maximum
                | Size
                | Consumed
                | Active
                | HostMemory
                | NodeMemory,
            _
        ))
    )
}

/// Yes or no, in the languages of lists.
pub(crate) fn yes(cell: &str) -> Option<bool> {
    Some(match cell.trim().to_lowercase().as_str() {
        "true" | "yes" | "1" | "enabled" | "on" | "wahr" | "ja" | "aktiviert" | "はい" | "有効" => true,
        "false" | "no" | "0" | "disabled" | "off" | "falsch" | "nein" | "deaktiviert" | "いいえ" | "無効" => {
            false
        }
        _ => return None,
    })
}

/// Whether a state is one with memory.
pub(crate) fn running(state: &str) -> Option<bool> {
    Some(match state.trim().to_lowercase().as_str() {
        "running" | "poweredon" | "on" | "2" | "starting" | "paused" | "wird ausgeführt" | "ausgeführt"
        | "実行中" => true,
        "off" | "poweredoff" | "saved" | "suspended" | "3" | "stopped" | "aus" | "ausgeschaltet"
        | "gespeichert" | "オフ" | "保存完了" => false,
        _ => return None,
    })
}

/// What a counter is to the import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Counter {
    Physical,
    CurrentPressure,
    AveragePressure,
    /// A counter of the balancer: the machine is a host.
    Balancer,
    GuestAvailable,
    GuestCommitted,
    /// This project's own.
    ModelDemand,
    ModelStartup,
    ModelMaximum,
    ModelHostMemory,
}

/// Counters by set and name, in English.
const COUNTERS: &[(&str, &str, Counter)] = &[
    ("Hyper-V Dynamic Memory VM", "Physical Memory", Counter::Physical),
    ("Hyper-V Dynamic Memory VM", "Current Pressure", Counter::CurrentPressure),
    ("Hyper-V Dynamic Memory VM", "Average Pressure", Counter::AveragePressure),
    ("Hyper-V Dynamic Memory Balancer", "Available Memory", Counter::Balancer),
    ("Memory", "Available MBytes", Counter::GuestAvailable),
    ("Memory", "Committed Bytes", Counter::GuestCommitted),
    ("Dynamic Memory Model VM", "Demand", Counter::ModelDemand),
    ("Dynamic Memory Model VM", "Startup Memory", Counter::ModelStartup),
    ("Dynamic Memory Model VM", "Maximum Memory", Counter::ModelMaximum),
    ("Dynamic Memory Model", "Host Memory", Counter::ModelHostMemory),
];

/// German names of sets and counters, as published: `Arbeitsspeicher` and `Speicher` with `Verfügbare MB` in Microsoft's German pages,
/// `Zugesicherte Bytes` likewise, and `Hyper-V-Ausgleichsmodul für dynamischen Arbeitsspeicher` in a published script. The set of VMs with
/// `Aktueller Druck` is called so in Microsoft's German page on what Azure Migrate reads of a host; that page has `Sichtbarer physischer Speicher des
/// Gastcomputers` as well, from which the names of Physical Memory and Average Pressure are inferred. Where a host calls them otherwise, they are asked
/// for. Japanese Windows has these counters in English (documented: the verification guideline's figures, and Microsoft Japan's support blog).
const LOCAL: &[(&str, &str)] = &[
    ("Arbeitsspeicher", "Memory"),
    ("Speicher", "Memory"),
    ("Verfügbare MB", "Available MBytes"),
    ("Zugesicherte Bytes", "Committed Bytes"),
    ("Hyper-V-Ausgleichsmodul für dynamischen Arbeitsspeicher", "Hyper-V Dynamic Memory Balancer"),
    ("Verfügbarer Arbeitsspeicher", "Available Memory"),
    ("Hyper-V-VM mit dynamischem Arbeitsspeicher", "Hyper-V Dynamic Memory VM"),
    ("Physischer Speicher", "Physical Memory"),
    ("Aktueller Druck", "Current Pressure"),
    ("Durchschnittlicher Druck", "Average Pressure"),
];

/// What a counter is, by its English name, a published one in another language, or what the user says.
pub(crate) fn counter(path: &CounterPath, options: &Options) -> Option<Counter> {
    let english = |name: &str| -> String {
        let lower = name.to_lowercase();
        let said = options.counters.iter().find(|said| said.local.to_lowercase() == lower);
        let known =
            || LOCAL.iter().find(|(local, _)| local.to_lowercase() == lower).map(|(_, english)| *english);
        said.map(|said| said.english.as_str()).or_else(known).map_or(lower, str::to_lowercase)
    };
    let (set, name) = (english(&path.object), english(&path.counter));
    let found = COUNTERS
        .iter()
        .find(|(known_set, known, _)| known_set.to_lowercase() == set && known.to_lowercase() == name);
    found.map(|(_, _, counter)| *counter)
}

/// The first few of some names.
pub(crate) fn some(names: &[&str]) -> String {
    let first = names.iter().take(4).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(4) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_configurations_say_how_old_the_host_is_at_most() {
        let releases = ["4.0", "5.0", "8.0", "8.3", "9.0", "10.0", "11.0", "12.0", "254.0"].map(release);
        let expected = ["2012", "2012-r2", "2016", "2016", "2019", "2022", "2022", "2025", "2025"];
        assert_eq!(releases, expected.map(Some));
        assert_eq!([release(""), release("3.0"), release("new")], [None; 3]);
    }

    #[test]
    fn columns_by_many_names() {
        for (name, column_, unit) in [
            ("MemoryAssigned", Assigned, None),
            ("Assign RAM(GB)", Assigned, Some(Unit::Gb)),
            ("MemAssignedMB", Assigned, Some(Unit::Mb)),
            ("Memory Demand [MiB]", Demand, Some(Unit::Mb)),
            ("Size MiB", Size, Some(Unit::Mb)),
            ("Size MB", Size, Some(Unit::Mb)),
            ("MinimumBytes", Minimum, Some(Unit::Bytes)),
            ("VMName", Name, None),
            ("Zugewiesener Arbeitsspeicher (MB)", Assigned, Some(Unit::Mb)),
            ("メモリの割り当て", Assigned, None),
            ("最大 RAM（GB）", Maximum, Some(Unit::Gb)),
            ("メモリ バッファー", Buffer, None),
            ("OS according to the VMware Tools", Guest, None),
            ("MemoryTotal", NodeMemory, None),
        ] {
            assert_eq!(column(name), Some((column_, unit)), "{name}");
        }
        for name in ["Notes", "Uptime", "CPUUsage", "MemoryStatus", "", "VM UUID"] {
            assert_eq!(column(name), None, "{name}");
        }
    }

    #[test]
    fn counters_in_german_and_by_what_the_user_says() {
        let path = |text: &str| text.parse::<CounterPath>().unwrap();
        let options = Options::default();
        assert_eq!(
            counter(&path(r"\\h\arbeitsspeicher\verfügbare mb"), &options),
            Some(Counter::GuestAvailable)
        );
        assert_eq!(counter(&path(r"\\h\MEMORY\committed bytes"), &options), Some(Counter::GuestCommitted));
        let unknown = path(r"\\h\Dynamischer Speicher VM(a)\Physischer Speicher");
        assert_eq!(counter(&unknown, &options), None);
        let said =
            ["Hyper-V Dynamic Memory VM=Dynamischer Speicher VM", "physical memory=Physischer Speicher"];
        let options =
            Options { counters: said.iter().map(|said| said.parse().unwrap()).collect(), ..options };
        assert_eq!(counter(&unknown, &options), Some(Counter::Physical));
        assert!("Pressure=Druck".parse::<crate::CounterName>().is_err());
    }
}
