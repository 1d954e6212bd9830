//! `[host]` and what belongs to it.

use core::time::Duration;

use page_range::PageCount;
use perf_counters::Epoch;
pub use vmms_host::{HostEdition as Edition, HostLimits, HostRelease as Release, VmGeneration};

use super::{
    diagnostic::Diagnostic,
    disks::{self, Device},
    names::check_name,
    reader::{Located, Table},
    schema,
};

/// The host of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Its name in counter paths.
    pub name: String,
    /// All of its memory.
    pub memory: PageCount,
    /// Release of the parent OS.
    pub release: Release,
    /// Edition of the parent OS.
    pub edition: Edition,
    /// Logical processors; `None`: as many as the edition takes.
    pub logical_processors: Option<u32>,
    /// Registry value `MemoryReserve`; `None` if it is unset.
    pub memory_reserve: Option<PageCount>,
    /// Date and time of virtual time 0.
    pub epoch: Epoch,
    /// What a running VM costs beyond its memory, if not as usual.
    pub overhead_per_vm: Option<PageCount>,
    /// Versions of the Dynamic Memory protocol that the host speaks.
    pub dynamic_memory_versions: Vec<DynamicMemoryVersion>,
    /// Newest VMBus version that the host accepts: major, minor.
    pub vmbus_version: (u16, u16),
    /// Constants of the parent OS that are not as usual.
    pub parent_os: ParentOs,
    /// Times of operations that are not as usual.
    pub operations: Operations,
    /// Its storage devices.
    pub devices: Vec<Device>,
}

const EDITIONS: [(&str, Edition); 5] = [
    (Edition::Enterprise.key(), Edition::Enterprise),
    (Edition::Datacenter.key(), Edition::Datacenter),
    (Edition::Standard.key(), Edition::Standard),
    (Edition::HyperVServer.key(), Edition::HyperVServer),
    (Edition::Unlimited.key(), Edition::Unlimited),
];

const RELEASES: [(&str, Release); 9] = {
    let mut words = [("", Release::R2Sp1); 9];
    let mut at = 0;
    while at < words.len() {
        words[at] = (Release::ALL[at].key(), Release::ALL[at]);
        at += 1;
    }
    words
};

/// Which is the first release that allows something, if one does.
pub(super) fn since(what: &str, fits: impl Fn(Release, &HostLimits) -> bool) -> Option<String> {
    Release::oldest(fits).map(|release| {
        let later = if release == Release::Server2025 { "" } else { " or later" };
        format!("{what} needs release = {:?}{later}", release.key())
    })
}

/// What to say of a limit of a host: which release allows it, and what has no limits.
pub(super) fn allowed_since(what: &str, fits: impl Fn(Release, &HostLimits) -> bool) -> String {
    let since = since(what, fits).map(|since| format!("{since}; ")).unwrap_or_default();
    format!("{since}edition \"unlimited\" has no limits")
}

/// A version of the Dynamic Memory protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DynamicMemoryVersion {
    /// 0.3: Windows Server 2008 R2 SP1.
    V0_3,
    /// 1.0: Windows Server 2012.
    V1_0,
    /// 2.0: Windows Server 2016.
    V2_0,
}

const DYNAMIC_MEMORY_VERSIONS: [(&str, DynamicMemoryVersion); 3] = [
    ("0.3", DynamicMemoryVersion::V0_3),
    ("1.0", DynamicMemoryVersion::V1_0),
    ("2.0", DynamicMemoryVersion::V2_0),
];

const VMBUS_VERSIONS: [(&str, (u16, u16)); 8] = [
    ("2.4", (2, 4)),
    ("3.0", (3, 0)),
    ("4.0", (4, 0)),
    ("4.1", (4, 1)),
    ("5.0", (5, 0)),
    ("5.1", (5, 1)),
    ("5.2", (5, 2)),
    ("5.3", (5, 3)),
];

/// Constants of the parent OS's memory that the file changes; `None` is as usual. See the model of the parent OS for what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ParentOs {
    /// In use when idle.
    pub in_use_idle: Option<PageCount>,
    /// Free memory below which working sets are trimmed.
    pub comfortable_free: Option<PageCount>,
    /// Working set at which trimming bites.
    pub working_set_knee: Option<PageCount>,
    /// Free memory that trimming defends there.
    pub free_at_knee: Option<PageCount>,
    /// How fast the need falls with the working set.
    pub need_scale: Option<PageCount>,
    /// Page reads per second at the knee.
    pub reads_at_knee: Option<f64>,
    /// Page reads per second that are always there.
    pub reads_idle: Option<f64>,
    /// How fast the working set follows.
    pub lag: Option<Duration>,
    /// Slowdown per read and second.
    pub slowdown_per_read: Option<f64>,
    /// Reads that the disk serves in a second, at most.
    pub disk_reads: Option<f64>,
    /// Threads that can wait for the disk at a time.
    pub waiting_threads: Option<u64>,
    /// Whether working sets are trimmed at all.
    pub trimming: Option<bool>,
}

/// Times of operations that the file changes; `None` is as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// Host: each operation.
    pub host_fixed: Option<Duration>,
    /// Host: for each MB.
    pub host_per_mb: Option<Duration>,
    /// Guest: each operation.
    pub guest_fixed: Option<Duration>,
    /// Guest: for each MB that is ballooned.
    pub guest_balloon_per_mb: Option<Duration>,
    /// Guest: for each MB that is added.
    pub guest_add_per_mb: Option<Duration>,
}

/// What the file says about the balancer; `None` is as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balancer {
    /// Most memory per operation.
    pub operation_limit: Option<PageCount>,
    /// Least memory per operation.
    pub minimum_move: Option<PageCount>,
    /// How long memory is collected for a VM after its start was refused.
    pub start_reservation: Option<Duration>,
    /// Window of the grant rate and of operation times.
    pub rate_window: Option<Duration>,
    /// Window of a VM's Average Pressure.
    pub average_pressure_window: Option<Duration>,
    /// Silence after which a VM is set aside.
    pub report_timeout: Option<Duration>,
}

fn value<T>(located: Option<Located<T>>) -> Option<T> {
    located.map(|located| located.value)
}

/// Reads `[host]`. Even if something is wrong in it, the rest of the file can be checked against what is left.
///
/// `chosen` is the host's memory in place of what the file says.
pub(super) fn read(root: &Table<'_, '_>, chosen: Option<PageCount>) -> Option<Host> {
    let table = root.table("host", &schema::HOST);
    let table = root.required("host", table)?;
    // Of an edition that is written wrongly no limits are known: nothing else is refused because of it.
    let release = value(table.word("release", &RELEASES)).unwrap_or_default();
    let edition = if table.has("edition") { Edition::Unlimited } else { release.usual_edition() };
    let edition = match table.word("edition", &EDITIONS) {
        Some(edition) => check_edition(&table, &edition, release),
        None => edition,
    };
    let limits = release.limits(edition);
    let memory = table.size("memory");
    let memory = table.required("memory", memory);
    let memory_reserve = table.size("memory_reserve");
    if let Some(memory) = &memory {
        check_memory(&table, memory, edition, limits);
        if let Some(reserve) = &memory_reserve
            && reserve.value >= memory.value
        {
            table.reader.add(
                table
                    .bad_value("memory_reserve", &reserve.span, "`memory_reserve` leaves nothing for VMs")
                    .label(format!("the host has {}", quantities::format_size(memory.value)))
                    .allowed("less than the host's `memory`"),
            );
        }
    }
    if let Some(chosen) = chosen {
        check_chosen_memory(&table, chosen, (edition, limits), memory_reserve.as_ref());
    }
    Some(Host {
        name: read_name(&table),
        memory: chosen.or(value(memory)).unwrap_or_default(),
        release,
        edition,
        logical_processors: read_logical_processors(&table, edition, limits),
        memory_reserve: value(memory_reserve),
        epoch: read_epoch(&table),
        overhead_per_vm: value(table.size("overhead_per_vm")),
        dynamic_memory_versions: read_versions(&table, release),
        vmbus_version: value(table.word("vmbus_version", &VMBUS_VERSIONS)).unwrap_or((4, 0)),
        parent_os: read_parent_os(&table),
        operations: read_operations(&table),
        devices: disks::read_devices(&table),
    })
}

impl Host {
    /// What its release and edition allow.
    pub fn limits(&self) -> HostLimits {
        self.release.limits(self.edition)
    }

    /// Most virtual processors that may run at a time, by its logical processors; whether all guests are Windows 7 matters.
    pub fn virtual_processors(&self, all_windows_7: bool) -> Option<u32> {
        let limits = self.limits();
        let each =
            if all_windows_7 { limits.per_logical_processor_windows_7 } else { limits.per_logical_processor };
        let by_processors = self.logical_processors.or(limits.logical_processors).zip(each);
        let by_processors = by_processors.map(|(processors, each)| processors.saturating_mul(each));
        [limits.virtual_processors, by_processors].into_iter().flatten().min()
    }
}

fn read_logical_processors(table: &Table<'_, '_>, edition: Edition, limits: HostLimits) -> Option<u32> {
    let most = limits.logical_processors.unwrap_or(1 << 16);
    let processors = table.integer("logical_processors", 1, 1 << 16)?;
    if processors.value > u64::from(most) {
        table.reader.add(
            table
                .bad_value(
                    "logical_processors",
                    &processors.span,
                    format!("edition {:?} takes no more than {most} logical processors", edition.key()),
                )
                .allowed(format!("1 to {most}"))
                .help(allowed_since(&format!("a host of {} of them", processors.value), |_, limits| {
                    limits.logical_processors.is_some_and(|most| u64::from(most) >= processors.value)
                })),
        );
    }
    u32::try_from(processors.value).ok()
}

fn check_memory(table: &Table<'_, '_>, memory: &Located<PageCount>, edition: Edition, limits: HostLimits) {
    let size = quantities::format_size;
    if memory.value.is_zero() {
        table
            .reader
            .add(table.bad_value("memory", &memory.span, "a host without memory").allowed("more than 0MB"));
    }
    if let Some(limit) = limits.host_memory
        && memory.value > limit
    {
        table.reader.add(
            table
                .bad_value(
                    "memory",
                    &memory.span,
                    format!("edition {:?} takes no more than {} of memory", edition.key(), size(limit)),
                )
                .label(format!("this is {}", size(memory.value)))
                .allowed(format!("up to {}", size(limit)))
                .help(
                    if limit < PageCount::from_mib(1 << 20) && memory.value <= PageCount::from_mib(1 << 20) {
                        "1TB with edition \"enterprise\" or \"datacenter\"".to_owned()
                    } else {
                        allowed_since(&format!("a host of {}", size(memory.value)), |_, limits| {
                            limits.host_memory.is_some_and(|most| most >= memory.value)
                        })
                    },
                ),
        );
    }
}

/// Complains about memory of the command line that the edition does not take, or that the reserve leaves nothing of.
fn check_chosen_memory(
    table: &Table<'_, '_>,
    memory: PageCount,
    (edition, limits): (Edition, HostLimits),
    reserve: Option<&Located<PageCount>>,
) {
    let size = quantities::format_size;
    let refused = |why: String| {
        let message = format!("--host-memory {}: {why}", size(memory));
        Diagnostic::of_file(table.reader.source.file(), message).key("--host-memory").value(size(memory))
    };
    if let Some(limit) = limits.host_memory
        && memory > limit
    {
        let why = format!("edition {:?} takes no more than {} of memory", edition.key(), size(limit));
        table.reader.add(refused(why).allowed(format!("up to {}", size(limit))));
    }
    if let Some(reserve) = reserve
        && reserve.value >= memory
    {
        let why = "`memory_reserve` leaves nothing for VMs".to_owned();
        table.reader.add(refused(why).allowed(format!("more than {}", size(reserve.value))));
    }
}

fn read_name(table: &Table<'_, '_>) -> String {
    let Some(name) = table.text("name") else { return "HOST".to_owned() };
    check_name(table, "name", &name);
    name.value
}

fn read_epoch(table: &Table<'_, '_>) -> Epoch {
    let Some((value, span)) = table.value("epoch") else { return Epoch::DEFAULT };
    let text = match (value.as_datetime(), value.as_str()) {
        (Some(datetime), _) => datetime.to_string(),
        (None, text) => text.unwrap_or("").to_owned(),
    };
    text.parse().unwrap_or_else(|_error| {
        table.reader.add(
            table
                .bad_value("epoch", &span, "`epoch` must be a date and time with its distance to UTC")
                .allowed("such as 2011-02-22T09:00:00Z"),
        );
        Epoch::DEFAULT
    })
}

/// The edition, if there is one of this name of the release.
fn check_edition(table: &Table<'_, '_>, edition: &Located<Edition>, release: Release) -> Edition {
    if !release.has_edition(edition.value) {
        let there: Vec<&str> =
            EDITIONS.iter().filter(|(_, other)| release.has_edition(*other)).map(|(word, _)| *word).collect();
        table.reader.add(
            table
                .bad_value(
                    "edition",
                    &edition.span,
                    format!("there is no edition {:?} of release {:?}", edition.value.key(), release.key()),
                )
                .allowed(schema::quoted(&there)),
        );
        return Edition::Unlimited;
    }
    edition.value
}

/// What hosts of a release speak: that of their time, and what came before it.
fn versions_of(release: Release) -> Vec<DynamicMemoryVersion> {
    use DynamicMemoryVersion::{V0_3, V1_0, V2_0};
    match release {
        Release::Server2008 | Release::Server2008Update | Release::R2Sp1 => vec![V0_3],
        Release::Server2012 | Release::Server2012R2 => vec![V0_3, V1_0],
        Release::Server2016 | Release::Server2019 | Release::Server2022 | Release::Server2025 => {
            vec![V0_3, V1_0, V2_0]
        }
    }
}

fn read_versions(table: &Table<'_, '_>, release: Release) -> Vec<DynamicMemoryVersion> {
    let Some(texts) = table.texts("dynamic_memory_versions") else { return versions_of(release) };
    let names = DYNAMIC_MEMORY_VERSIONS.map(|(name, _)| name);
    let mut versions = Vec::new();
    for text in &texts.value {
        match DYNAMIC_MEMORY_VERSIONS.iter().find(|(name, _)| *name == text.value) {
            Some((_, version)) => versions.push(*version),
            None => table.reader.add(
                table
                    .bad_value(
                        "dynamic_memory_versions",
                        &text.span,
                        format!("the protocol has no version {:?}", text.value),
                    )
                    .allowed(schema::quoted(&names)),
            ),
        }
    }
    if texts.value.is_empty() {
        table.reader.add(
            table
                .bad_value(
                    "dynamic_memory_versions",
                    &texts.span,
                    "a host that speaks no version of the protocol",
                )
                .allowed(schema::quoted(&names)),
        );
    }
    versions.sort_unstable();
    versions.dedup();
    versions
}

fn read_parent_os(host: &Table<'_, '_>) -> ParentOs {
    let Some(table) = host.table("parent_os", &schema::PARENT_OS) else { return ParentOs::default() };
    let size = |name| value(table.size(name));
    let number = |name| value(table.number(name, 0.0, f64::MAX));
    ParentOs {
        in_use_idle: size("in_use_idle"),
        comfortable_free: size("comfortable_free"),
        working_set_knee: size("working_set_knee"),
        free_at_knee: size("free_at_knee"),
        need_scale: size("need_scale"),
        reads_at_knee: number("reads_at_knee"),
        reads_idle: number("reads_idle"),
        lag: value(table.duration("lag")),
        slowdown_per_read: number("slowdown_per_read"),
        disk_reads: value(table.number("disk_reads", 1.0, 1e9)),
        waiting_threads: value(table.integer("waiting_threads", 0, 1_000_000)),
        trimming: value(table.boolean("trimming")),
    }
}

fn read_operations(host: &Table<'_, '_>) -> Operations {
    let Some(table) = host.table("operations", &schema::OPERATIONS) else { return Operations::default() };
    let time = |name| value(table.duration(name));
    Operations {
        host_fixed: time("host_fixed"),
        host_per_mb: time("host_per_mb"),
        guest_fixed: time("guest_fixed"),
        guest_balloon_per_mb: time("guest_balloon_per_mb"),
        guest_add_per_mb: time("guest_add_per_mb"),
    }
}

/// Reads `[balancer]`.
pub(super) fn read_balancer(root: &Table<'_, '_>) -> Balancer {
    let Some(table) = root.table("balancer", &schema::BALANCER) else { return Balancer::default() };
    let positive = |name| value(table.duration(name).filter(|time| positive_time(&table, name, time)));
    Balancer {
        operation_limit: value(table.size("operation_limit").filter(|size| {
            let good = !size.value.is_zero();
            if !good {
                table.reader.add(
                    table
                        .bad_value(
                            "operation_limit",
                            &size.span,
                            "an operation must be able to move something",
                        )
                        .allowed("more than 0MB"),
                );
            }
            good
        })),
        minimum_move: value(table.size("minimum_move")),
        start_reservation: value(table.duration("start_reservation")),
        rate_window: positive("rate_window"),
        average_pressure_window: positive("average_pressure_window"),
        report_timeout: positive("report_timeout"),
    }
}

/// Complains about a time of zero where that makes no sense.
pub(super) fn positive_time(table: &Table<'_, '_>, name: &str, time: &Located<Duration>) -> bool {
    if time.value.is_zero() {
        table.reader.add(
            table
                .bad_value(name, &time.span, format!("`{name}` must be longer than 0s"))
                .allowed("more than 0s"),
        );
    }
    !time.value.is_zero()
}
