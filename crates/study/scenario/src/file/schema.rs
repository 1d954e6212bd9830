//! What may stand in a scenario file: the one table that the reader obeys and the reference page is made from.

/// One table of the file and its keys.
#[derive(Debug)]
pub struct TableDoc {
    /// As messages and the reference call it, such as `[host]`.
    pub name: &'static str,
    /// What it is for.
    pub summary: &'static str,
    /// Its keys; several tables share some.
    pub groups: &'static [&'static [KeyDoc]],
}

/// One key.
#[derive(Debug)]
pub struct KeyDoc {
    /// The key.
    pub name: &'static str,
    /// What its value looks like.
    pub form: Form,
    /// What holds if the key is not there.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Any text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A whole number, in a unit.
    Integer(&'static str),
    /// A number, in a unit.
    Number(&'static str),
    /// A size such as `"512MB"`.
    Size,
    /// A size, or two to draw one between.
    SizeDraw,
    /// A time such as `"12m30s"`.
    Time,
    /// A time, or two to draw one between.
    TimeDraw,
    /// Date and time in UTC.
    DateTime,
    /// One of some words.
    Word(&'static [&'static str]),
    /// Text or a list of texts.
    Texts,
    /// Two numbers in brackets.
    Pair(&'static str),
    /// A table of its own.
    Table,
    /// Any number of tables of their own.
    Tables,
    /// Keys that another module defines.
    Free,
}

impl Form {
    /// In words.
    pub fn describe(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::Integer(unit) => join("whole number", unit),
            Self::Number(unit) => join("number", unit),
            Self::Size => "size, such as \"512MB\"".to_owned(),
            Self::SizeDraw => "size, or [least, most] to draw from".to_owned(),
            Self::Time => "time, such as \"12m30s\"".to_owned(),
            Self::TimeDraw => "time, or [earliest, latest] to draw from".to_owned(),
            Self::DateTime => "date and time, such as 2011-02-22T09:00:00Z".to_owned(),
            Self::Word(words) => quoted(words),
            Self::Texts => "text, or list of texts".to_owned(),
            Self::Pair(unit) => join("[number, number]", unit),
            Self::Table => "table".to_owned(),
            Self::Tables => "tables".to_owned(),
            Self::Free => "table".to_owned(),
        }
    }
}

/// `"a", "b"`.
pub(super) fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

fn join(what: &str, unit: &str) -> String {
    if unit.is_empty() { what.to_owned() } else { format!("{what}, {unit}") }
}

impl TableDoc {
    /// Its keys.
    pub fn keys(&self) -> impl Iterator<Item = &'static KeyDoc> + use<> {
        self.groups.iter().copied().flatten()
    }

    /// One of its keys.
    pub fn key(&self, name: &str) -> Option<&'static KeyDoc> {
        self.keys().find(|key| key.name == name)
    }

    /// What to say about a word that other tools use for one of its keys.
    pub(super) fn renamed(&self, name: &str) -> Option<&'static str> {
        RENAMED
            .iter()
            .find(|(word, key, _)| *word == name && self.key(key).is_some())
            .map(|(_, _, help)| *help)
    }
}

/// Words that people know from elsewhere, the key they mean, and what to write.
const RENAMED: [(&str, &str, &str); 12] = [
    ("era", "release", "write `release`, such as \"2022\": the Windows Server of the host"),
    ("version", "release", "write `release`, such as \"2022\": the Windows Server of the host"),
    ("weight", "priority", "write `priority`, from 0 to 100 as in Set-VMMemory: the weight divided by 100"),
    ("ram", "startup_bytes", "write `startup_bytes`"),
    (
        "memory",
        "startup_bytes",
        "write `startup_bytes` (and `dynamic_memory_enabled = false` for static memory)",
    ),
    ("cpus", "vcpus", "write `vcpus`"),
    ("os", "guest", "write `guest`"),
    ("reserve", "memory_reserve", "write `memory_reserve`"),
    ("ram", "memory", "write `memory`"),
    ("time", "at", "write `at`"),
    ("duration", "until", "write `until`"),
    ("vms", "vm", "write `vm`"),
];

macro_rules! keys {
    ($($name:literal, $form:expr, $default:literal, $meaning:literal;)*) => {
        &[$(KeyDoc { name: $name, form: $form, default: $default, meaning: $meaning },)*]
    };
}

/// The file itself.
pub(super) static ROOT: TableDoc = TableDoc {
    name: "the scenario",
    summary: "What the run is and how long it lasts.",
    groups: &[keys! {
        "title", Form::Text, "the file's name", "One line for lists.";
        "description", Form::Text, "", "What the scenario is for.";
        "source", Form::Text, "", "Where it comes from.";
        "until", Form::Time, "required", "Virtual time at which the run ends (`--until`); \"trace\": when the recorded loads end.";
        "seed", Form::Integer(""), "1", "Seed of everything that is drawn (`--seed`).";
        "sample_interval", Form::Time, "1s; more for many VMs over a long time", "Virtual time between two samples of the counters (`--sample-interval`).";
        "host", Form::Table, "required", "The host; or [[host]] for each of several, which are independent runs.";
        "policy", Form::Table, "hyperv", "The balancing policy.";
        "balancer", Form::Table, "", "The balancer around the policy.";
        "trace", Form::Table, "none", "Recorded loads.";
        "workloads", Form::Free, "", "Workloads with names, [workloads.NAME], to be used by VMs and timeline.";
        "vm", Form::Tables, "required", "VMs, or groups of VMs.";
        "timeline", Form::Tables, "", "What happens when.";
        "check", Form::Tables, "", "What must be seen in the run.";
    }],
};

/// `[host]`.
pub(super) static HOST: TableDoc = TableDoc {
    name: "[host]",
    summary: "The host: its memory, its parent OS, and what its work costs.",
    groups: &[keys! {
        "name", Form::Text, "HOST", "The host's name in counter paths; `{n}` in it is the number.";
        "numbers", Form::Text, "one host", "Numbers of hosts alike: \"1..20\" is 1 to 20. Each is a run of its own, with what is drawn drawn for itself, on one core; all cores are busy.";
        "memory", Form::Size, "required", "All of its memory.";
        "edition", Form::Word(&["enterprise", "datacenter", "standard", "hyper-v-server", "unlimited"]), "enterprise",
            "Edition of the parent OS. With the release it sets the limits. In 2008-r2-sp1: 384 running VMs, 1 TB of host memory, 64 GB for a VM, 64 logical and 512 virtual processors, 8 virtual for each logical (12 if all guests are Windows 7); standard 192 running VMs, 32 GB of host memory and for a VM, 32 logical processors. unlimited (invented) has none. Since 2012 there is no enterprise, the editions do not differ, and datacenter is the default.";
        "release", Form::Word(&["2008", "2008-kb956710", "2008-r2-sp1", "2012", "2012-r2", "2016", "2019", "2022", "2025"]), "2008-r2-sp1",
            "Release of the parent OS: its limits, the versions of Dynamic Memory that it speaks, and its rules. Dynamic Memory came with 2008-r2-sp1; Minimum RAM as a setting and Smart Paging with 2012 (a VM that restarts may get what the host lacks of its startup RAM from a file); VMs of generation 2 with 2012-r2. A VM may have 1 TB and 64 virtual processors in 2012 and 2012-r2; of generation 2 12 TB and 240 in 2016 and 2019, 240 TB and 1024 in 2022, 240 TB and 2048 in 2025; a host 4 TB, 24 TB and 4 PB, and in all of these 1024 running VMs. 2008-kb956710 and 2008 (Windows Server 2008 with that update and without): 192 or 128 running and 512 configured VMs, 24 or 16 logical processors, 1 TB and 64 GB for a VM, with standard and hyper-v-server 32 GB and 31.5 GB.";
        "logical_processors", Form::Integer(""), "as many as the edition takes", "Logical processors of the host: how many virtual processors may run. What they do is not modelled.";
        "memory_reserve", Form::Size, "unset: 384 MB + 30 MB per GB of host memory (calibrated)",
            "Registry value MemoryReserve (DWORD, MB, in HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Virtualization): what the parent OS keeps for itself.";
        "epoch", Form::DateTime, "2011-02-22T09:00:00Z", "Date and time of virtual time 0, for timestamps.";
        "overhead_per_vm", Form::Size, "8MB (calibrated)", "What a running VM costs the host beyond its memory.";
        "dynamic_memory_versions", Form::Texts, "those of the release: [\"0.3\"] in 2008-r2-sp1",
            "Versions of the Dynamic Memory protocol that the host speaks: 0.3 (2008 R2 SP1), 1.0 (2012), 2.0 (2016); a release speaks the older ones as well.";
        "vmbus_version", Form::Word(&["2.4", "3.0", "4.0", "4.1", "5.0", "5.1", "5.2", "5.3"]), "4.0",
            "Newest VMBus version that the host accepts.";
        "parent_os", Form::Table, "", "Constants of the parent OS's memory.";
        "operations", Form::Table, "", "How long operations take.";
        "disk", Form::Tables, "none", "Storage devices, for the VMs' virtual hard disks.";
    }],
};

/// `[[host.disk]]`.
pub(super) static HOST_DISK: TableDoc = TableDoc {
    name: "[[host.disk]]",
    summary: "A storage device of the host, which the virtual hard disks on it share: what one VM reads and writes, others wait for.",
    groups: &[keys! {
        "name", Form::Text, "required", "What [[vm.disk]] calls it.";
        "spindles", Form::Integer("1 to 4096"), "1 (invented)", "Disks with an arm each; files are striped over all of them.";
        "iops", Form::Number("accesses per second"), "190 (inferred)", "Accesses at random that one spindle does in a second. What follows the last access needs no movement of the arm.";
        "throughput", Form::Size, "100MB (invented)", "What one spindle transfers in a second.";
        "cache", Form::Size, "256MB (invented)", "Memory of the device's controller: what was read last, and what is still to be written; 0MB: none.";
        "latency", Form::Time, "100us (invented)", "What an access takes that needs no spindle.";
    }],
};

/// `[host.parent_os]`.
pub(super) static PARENT_OS: TableDoc = TableDoc {
    name: "[host.parent_os]",
    summary: "Constants of the model of the parent OS's own memory. Leave them alone unless you study them.",
    groups: &[keys! {
        "in_use_idle", Form::Size, "2258MB (calibrated)", "In use when idle.";
        "comfortable_free", Form::Size, "810MB (calibrated)", "Free memory below which working sets are trimmed.";
        "working_set_knee", Form::Size, "1002MB (calibrated)", "Working set at which trimming bites.";
        "free_at_knee", Form::Size, "450MB (calibrated)", "Free memory that trimming defends there.";
        "need_scale", Form::Size, "96MB (calibrated)", "How fast the need for trimmed pages falls with the working set.";
        "reads_at_knee", Form::Number("reads per second"), "56 (calibrated)", "Page-file reads at the knee.";
        "reads_idle", Form::Number("reads per second"), "0.1 (inferred)", "Page-file reads that are always there.";
        "lag", Form::Time, "2s (invented)", "How fast the working set follows.";
        "slowdown_per_read", Form::Number("per read per second"), "0.06 (calibrated)", "How much a paging parent slows the host's own work; 0: not at all.";
        "disk_reads", Form::Number("reads per second"), "190 (invented)", "What the parent OS's disk serves at most; more reads wait.";
        "waiting_threads", Form::Integer(""), "64 (invented)", "Threads that can wait for the disk at a time: the length of its queue.";
        "trimming", Form::Boolean, "true", "Whether working sets are trimmed at all.";
    }],
};

/// `[host.operations]`.
pub(super) static OPERATIONS: TableDoc = TableDoc {
    name: "[host.operations]",
    summary: "How long adding and removing memory takes, on both sides.",
    groups: &[keys! {
        "host_fixed", Form::Time, "100ms (invented)", "Host: each operation.";
        "host_per_mb", Form::Time, "1ms (invented)", "Host: for each MB.";
        "guest_fixed", Form::Time, "50ms (invented)", "Guest: each operation.";
        "guest_balloon_per_mb", Form::Time, "2ms (invented)", "Guest: for each MB that is ballooned.";
        "guest_add_per_mb", Form::Time, "1ms (invented)", "Guest: for each MB that is added.";
    }],
};

/// `[policy]`.
pub(super) static POLICY: TableDoc = TableDoc {
    name: "[policy]",
    summary: "The balancing policy.",
    groups: &[keys! {
        "name", Form::Text, "hyperv", "Which one (`--policy`).";
        "parameters", Form::Free, "", "The policy's own parameters; its documentation names them.";
    }],
};

/// `[balancer]`.
pub(super) static BALANCER: TableDoc = TableDoc {
    name: "[balancer]",
    summary: "The balancer around the policy.",
    groups: &[keys! {
        "operation_limit", Form::Size, "64MB (invented)", "Most memory per operation.";
        "minimum_move", Form::Size, "4MB (invented)", "Least memory per operation, but for the last step to the maximum.";
        "start_reservation", Form::Time, "60s (invented)", "How long memory is collected for a VM after its start was refused, in case that it is asked to start again. 0s: none.";
        "rate_window", Form::Time, "20s (invented)", "Window of the grant rate and operation times in the lead time.";
        "average_pressure_window", Form::Time, "60s (invented)", "Window of a VM's Average Pressure.";
        "report_timeout", Form::Time, "30s (invented)", "Silence after which a VM is set aside.";
    }],
};

/// `[trace]`.
pub(super) static TRACE: TableDoc = TableDoc {
    name: "[trace]",
    summary: "Recorded loads, for workloads of kind \"trace\" and groups with numbers = \"trace\". They play on the host's clock: a VM that begins late joins its recording where the host's time is.",
    groups: &[keys! {
        "file", Form::Text, "given by `--trace`", "The file, or folder of files and folders, seen from the scenario file's folder: columns vm, t (seconds, or dates with times), mem_provisioned_kb, mem_used_kb, cpu_pct; or GWA-T-12 or GWA-T-13 as published.";
        "window", Form::Text, "0h..24h", "The part of it that is played (`--trace-window`).";
        "gaps", Form::Word(&["refuse", "fill"]), "refuse", "What to do about missing rows: refuse the file; or join what is there by straight lines, and leave out rows of VMs that are off and of times that come twice.";
    }],
};

const VM_SETTINGS: &[KeyDoc] = keys! {
    "guest", Form::Text, "required", "Guest operating system: a profile's key such as \"ws2008-r2-sp1-enterprise-x64\", or its full name.";
    "integration_services", Form::Word(&["current", "outdated", "none"]), "current", "State of the guest's integration services. Without current ones most guests run at their startup RAM.";
    "vcpus", Form::Integer("as many as guest and host support"), "1", "Virtual processors.";
    "generation", Form::Integer("1 or 2"), "the one that may have more", "Generation of the VM; 2 since release 2012-r2, for 64-bit guests since Windows 8 and Server 2012 and for Linux. What it changes here is how much memory and how many processors the VM may have.";
    "dynamic_memory_enabled", Form::Boolean, "true", "Dynamic Memory; false: static memory of startup_bytes.";
    "startup_bytes", Form::Size, "required", "Startup RAM (Set-VMMemory -StartupBytes).";
    "minimum_bytes", Form::Size, "startup_bytes, as in SP1", "Minimum RAM (-MinimumBytes; a setting of its own since 2012, before that in WMI alone).";
    "maximum_bytes", Form::Size, "what the host's edition allows: 64GB, on standard 32GB; since 2012 1TB", "Maximum RAM (-MaximumBytes); may exceed host memory. With numbers = \"trace\" also \"provisioned\": what the recorded VM had.";
    "buffer", Form::Integer("percent, 5 to 2000"), "20", "Memory buffer (-Buffer): what the VM should have on top of what it needs.";
    "priority", Form::Integer("0 to 100"), "50", "Memory priority (-Priority); the WMI weight divided by 100.";
    "page_file", Form::Size, "system-managed; Linux guests 4096MB (invented)", "The guest's page file, or a Linux guest's swap: a size that stays; or \"system-managed\", as Windows has by default: the page file grows with commit and RAM, up to three times the RAM or 4 GB, whichever is larger.";
    "workload", Form::Text, "none", "What runs in the guest from its login on: a name from [workloads], or a table.";
    "agent", Form::Texts, "none", "What an agent in the guest measures and the host reads as a key-value pair, for policies that go by it: \"active\" (pages touched in half a minute), \"curve\" (how many touches would miss with less memory), and with Linux \"stalls\" (pressure stall information). The guest bears what it costs.";
    "disk", Form::Tables, "none: page file and files are as fast as the guest's model says", "Virtual hard disks. Files and page file lie on the first; with a second one, the page file lies there.";
};

/// `[[vm.disk]]`.
pub(super) static VM_DISK: TableDoc = TableDoc {
    name: "[[vm.disk]]",
    summary: "A virtual hard disk (VHD) of a VM, or of each VM of a group. What the guest pages and what its files bring into the cache goes through its storage driver, the SCSI controller of its worker, and the layers of the VHD, to the device.",
    groups: &[keys! {
        "device", Form::Text, "the host's only one", "The [[host.disk]] that it lies on.";
        "size", Form::Size, "40GB (invented)", "Its size, up to 2040GB.";
        "kind", Form::Word(&["fixed", "dynamic", "differencing"]), "dynamic", "Fixed: all of its space is there. Dynamic: it grows as it is written; the guest's files are there already. Differencing: it has what differs from its parent.";
        "parent", Form::Text, "required by differencing", "The golden image that it differs from: disks with the same parent, size and device share one.";
    }],
};

/// `[[vm]]`.
pub(super) static VM: TableDoc = TableDoc {
    name: "[[vm]]",
    summary: "A VM, or a group of VMs that are numbered.",
    groups: &[
        keys! {
            "name", Form::Text, "required", "The VM's name; `{n}` in it is the number.";
            "host", Form::Texts, "all hosts", "With several hosts: the host that it belongs to, or a list of them.";
            "numbers", Form::Text, "one VM", "Numbers of a group, as in PowerShell: \"1..8\" is 1 to 8; or \"trace\": one VM for each of the trace.";
        },
        VM_SETTINGS,
        keys! {
            "odd", Form::Table, "", "Settings of a group's odd numbers, in place of the group's.";
            "even", Form::Table, "", "Settings of a group's even numbers, in place of the group's.";
            "only", Form::Free, "", "Settings of single VMs of a group, [vm.only.NAME], in place of all others.";
        },
    ],
};

/// `[vm.odd]`, `[vm.even]` and `[vm.only.NAME]`.
pub(super) static VM_VARIANT: TableDoc = TableDoc {
    name: "[vm.odd], [vm.even] or [vm.only.NAME]",
    summary: "Settings of every other VM of a group, or of one of its VMs. The keys are those of [[vm]].",
    groups: &[VM_SETTINGS],
};

const KIND: &[KeyDoc] = keys! {
    "kind", Form::Word(&["idle", "paint", "step", "ramp", "sawtooth", "leak", "server", "bursts", "trace"]), "required", "Which kind.";
};

const ACTIVE: &[KeyDoc] = keys! {
    "active_share", Form::Number("0 to 1"), "1; paint 0.5, server 0.6", "Share of its commit that it keeps touching; the rest may be paged out unnoticed.";
};

const INTERVAL: &[KeyDoc] = keys! {
    "interval", Form::TimeDraw, "1s; paint 3s, leak 10s", "Time between two changes.";
};

macro_rules! workload {
    ($item:ident, $name:literal, $summary:literal, [$($shared:ident),*], $($key:tt)*) => {
        #[doc = concat!("Workload ", $name, ".")]
        pub(super) static $item: TableDoc = TableDoc {
            name: concat!("a workload of kind \"", $name, "\""),
            summary: $summary,
            groups: &[KIND, keys! { $($key)* }, $($shared),*],
        };
    };
}

workload! { IDLE, "idle", "Does nothing.", [], }
workload! { PAINT, "paint", "MS Paint: a canvas that a person enlarges step by step. Needs one of canvas, commit, guest_commit.", [INTERVAL, ACTIVE],
    "canvas", Form::Pair("pixels"), "", "Enlarge to this many columns and rows.";
    "commit", Form::SizeDraw, "", "Enlarge until Paint has committed this much.";
    "guest_commit", Form::SizeDraw, "", "Enlarge until the whole guest has committed this much.";
    "step", Form::SizeDraw, "30MB", "Mean growth of one step.";
    "variation", Form::Number("0 to 1"), "0.3", "Coefficient of variation of step and interval.";
    "hold", Form::TimeDraw, "until told", "Unload by itself so long after the goal is reached.";
    "unload_time", Form::TimeDraw, "10s", "How long unloading takes.";
    "bytes_per_pixel", Form::Integer("bytes"), "4", "Bytes per pixel of a canvas.";
    "buffers", Form::Integer(""), "4", "Copies of the canvas: the picture and its undo steps.";
}
workload! { STEP, "step", "One size, then another.", [ACTIVE],
    "from", Form::SizeDraw, "0MB", "Commit at first.";
    "to", Form::SizeDraw, "required", "Commit after the step.";
    "after", Form::TimeDraw, "0s", "When, after the workload's start.";
    "hold", Form::TimeDraw, "for ever", "Back to the first size so long after the step.";
}
workload! { RAMP, "ramp", "From one size evenly to another.", [INTERVAL, ACTIVE],
    "from", Form::SizeDraw, "0MB", "Commit at first.";
    "to", Form::SizeDraw, "required", "Commit at the end.";
    "duration", Form::TimeDraw, "required", "How long it takes.";
}
workload! { SAWTOOTH, "sawtooth", "Up and down for ever.", [INTERVAL, ACTIVE],
    "low", Form::SizeDraw, "0MB", "Smallest commit.";
    "high", Form::SizeDraw, "required", "Largest commit.";
    "rise", Form::TimeDraw, "required", "How long it rises.";
    "fall", Form::TimeDraw, "0s", "How long it falls.";
    "phase", Form::TimeDraw, "0s", "How far into its cycle it begins.";
}
workload! { LEAK, "leak", "Allocates and never gives back.", [INTERVAL],
    "base", Form::SizeDraw, "0MB", "Commit at first: what it really uses.";
    "per_hour", Form::SizeDraw, "required", "What it loses in an hour.";
    "limit", Form::SizeDraw, "none", "It ends at this commit.";
}
workload! { SERVER, "server", "A server application that manages its memory itself and takes all it can get.", [INTERVAL, ACTIVE],
    "minimum", Form::SizeDraw, "0MB", "Commit below which it does not go.";
    "share", Form::Number("0 to 1"), "0.9", "Share of the visible memory that it takes at most.";
    "leave", Form::SizeDraw, "64MB", "Available memory that it leaves to the guest.";
    "growth", Form::SizeDraw, "20MB", "How fast it grows, in a second.";
}
workload! { BURSTS, "bursts", "Short needs of random size at random times.", [ACTIVE],
    "base", Form::SizeDraw, "0MB", "Commit between bursts.";
    "size", Form::SizeDraw, "required", "Mean size of a burst, on top.";
    "pause", Form::TimeDraw, "required", "Mean time between bursts.";
    "length", Form::TimeDraw, "required", "Mean length of a burst.";
    "variation", Form::Number("0 to 1"), "0.3", "Coefficient of variation of size and length.";
    "first", Form::TimeDraw, "at random", "When the first burst comes, so that several VMs can burst together.";
}
workload! { PLAYBACK, "trace", "A recorded VM's load. Needs [trace].", [ACTIVE],
    "vm", Form::Text, "{n}", "Which VM of the trace; `{n}` is the VM's number.";
    "scale", Form::Number("factor"), "1", "Factor on the recorded size.";
    "step", Form::TimeDraw, "30s", "Time between two changes.";
    "whole_guest", Form::Boolean, "true", "Whether the recorded size is that of the whole guest, not of the application.";
}

/// Actions of the timeline.
pub(super) const ACTIONS: [(&str, &TableDoc); 9] = [
    ("start", &ACTION_START),
    ("stop", &ACTION_STOP),
    ("reboot", &ACTION_REBOOT),
    ("set_workload", &ACTION_SET_WORKLOAD),
    ("unload", &ACTION_UNLOAD),
    ("set_vm_memory", &ACTION_SET_VM_MEMORY),
    ("set_registry", &ACTION_SET_REGISTRY),
    ("inject_fault", &ACTION_INJECT_FAULT),
    ("mark", &ACTION_MARK),
];

const WHEN: &[KeyDoc] = keys! {
    "at", Form::TimeDraw, "required", "When, in virtual time.";
    "host", Form::Texts, "all hosts", "With several hosts: the host on which it happens, or a list of them.";
    "action", Form::Word(&["start", "stop", "reboot", "set_workload", "unload", "set_vm_memory", "set_registry", "inject_fault", "mark"]), "required", "What happens.";
    "repeat_every", Form::Time, "once", "Again and again at this distance, until the run ends.";
};
const WHICH: &[KeyDoc] = keys! {
    "vm", Form::Texts, "required", "Which VMs: a name, a range such as \"VM1..VM7\" (both included), \"all\", or a list of these.";
    "every", Form::Time, "all at once", "Time from one VM to the next.";
};

macro_rules! action {
    ($item:ident, $name:literal, $summary:literal, [$($shared:ident),*], $($key:tt)*) => {
        #[doc = concat!("Action ", $name, " of the timeline.")]
        pub(super) static $item: TableDoc = TableDoc {
            name: concat!("action \"", $name, "\" of [[timeline]]"),
            summary: $summary,
            groups: &[WHEN, $($shared,)* keys! { $($key)* }],
        };
    };
}

action! { ACTION_START, "start", "Starts VMs, one after the other in the order given.", [WHICH],
    "tries", Form::Integer("1 to 100"), "1", "How often the operator asks at most, if the start is refused. Hyper-V itself refuses a start at once.";
    "retry_after", Form::Time, "30s (invented)", "How long after a refusal the operator asks again.";
    "while_host_used_below", Form::Size, "", "Start a VM only while the host has less than this in use.";
    "while_host_used_below_that_of", Form::Text, "", "Start a VM only while the host has less in use than it had at most in this scenario.";
}
action! { ACTION_STOP, "stop", "Stops VMs.", [WHICH],
    "turn_off", Form::Boolean, "false", "Turn off at once, in place of shutting the guest down.";
}
action! { ACTION_REBOOT, "reboot", "Reboots guests.", [WHICH], }
action! { ACTION_SET_WORKLOAD, "set_workload", "Ends what runs in the guests, and runs this (from the login on, if they still boot).", [WHICH],
    "workload", Form::Text, "required", "A name from [workloads], or a table.";
}
action! { ACTION_UNLOAD, "unload", "Lets what runs in the guests give its memory back in its own way.", [WHICH], }
action! { ACTION_SET_VM_MEMORY, "set_vm_memory", "Changes a VM's memory settings, as Set-VMMemory does while the VM runs.", [WHICH],
    "buffer", Form::Integer("percent, 5 to 2000"), "as it is", "Memory buffer (-Buffer) from now on.";
    "priority", Form::Integer("0 to 100"), "as it is", "Memory priority (-Priority) from now on.";
}
action! { ACTION_SET_REGISTRY, "set_registry", "Sets a value in the parent OS's registry.", [],
    "name", Form::Word(&["MemoryReserve"]), "required", "Which value.";
    "value", Form::Integer("MB"), "required", "To what.";
}
action! { ACTION_INJECT_FAULT, "inject_fault", "Makes something go wrong.", [WHICH],
    "fault", Form::Word(&["guest_silent", "guest_refuses_hot_add", "guest_sends_garbage", "guest_closes_channel", "guest_crash", "component_panic"]), "required",
        "What: the DM VSC answers nothing; it refuses hot-adds; it sends bytes at random; it closes its channel; the guest's kernel crashes; a component of the stack panics.";
    "duration", Form::Time, "for ever", "How long (not for crashes, panics and garbage).";
    "component", Form::Word(&["dm-vsc", "guest", "worker"]), "required by component_panic", "Which component of the VM panics.";
}
action! { ACTION_MARK, "mark", "Writes a line into the story.", [],
    "text", Form::Text, "required", "What it says.";
}

/// `[[check]]`.
pub(super) static CHECK: TableDoc = TableDoc {
    name: "[[check]]",
    summary: "Something that must be seen in the run. A number is checked by one of expect, between, at_least, at_most.",
    groups: &[keys! {
        "name", Form::Text, "required", "Which check; the list is below.";
        "host", Form::Texts, "all hosts", "With several hosts: the host that it belongs to, or a list of them.";
        "expect", Form::Number("in the check's unit"), "", "The number that is expected; needs tolerance.";
        "tolerance", Form::Text, "", "How far off it may be: \"5%\" of it, or a number in the check's unit.";
        "between", Form::Pair("in the check's unit"), "", "The number lies between these.";
        "at_least", Form::Number("in the check's unit"), "", "The number is at least this.";
        "at_most", Form::Number("in the check's unit"), "", "The number is at most this.";
        "share", Form::Number("0 to 1"), "1", "Share of the samples of which it must hold.";
        "vm", Form::Text, "", "The VM that it is about.";
        "when_memory_reserve", Form::Text, "always", "The check belongs to runs with this memory_reserve only: a size, or \"unset\".";
        "against", Form::Text, "", "The scenario that it is measured against.";
        "than", Form::Text, "", "The VM that `vm` is compared with.";
        "from", Form::Time, "the beginning", "Virtual time from which it is measured.";
        "at", Form::Time, "the end", "Virtual time at which, or up to which, it is measured.";
        "source", Form::Text, "", "Where the source says so.";
    }],
};
