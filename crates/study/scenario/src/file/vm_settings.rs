//! Settings of VMs: what `[[vm]]`, `[vm.odd]`, `[vm.even]` and `[vm.only.NAME]` have in common.

use balancing_policy::MemorySettings;
use guest_memory_manager::agent::AgentConfig;
use guest_memory_manager::{GuestProfile, IntegrationServices, Kernel, PageFileSize, find_profile, profiles};
use page_range::PageCount;

use super::{
    diagnostic::Span,
    disks::{self, Disk},
    host::{HostLimits, Release, VmGeneration, allowed_since, since},
    reader::{Located, Table},
    schema,
    vm::{Named, Surroundings, Vm},
    workload::{self, Workload},
};

/// Swap of a Linux guest unless the file says otherwise. Invented.
const DEFAULT_SWAP: PageCount = PageCount::from_mib(4096);

/// The page file of a guest unless the file says otherwise: Windows manages its own, and Linux has the swap that was configured.
const fn default_page_file(guest: &GuestProfile) -> PageFileSize {
    match guest.family().kernel {
        Kernel::Windows => PageFileSize::SystemManaged,
        Kernel::Linux => PageFileSize::Fixed(DEFAULT_SWAP),
    }
}

/// Settings as a table says them; a group's variant says some of them.
pub(super) struct VmSettings<'r, 't> {
    table: Table<'r, 't>,
    guest: Option<Located<&'static GuestProfile>>,
    integration_services: Option<Located<IntegrationServices>>,
    vcpus: Option<Located<u64>>,
    generation: Option<Located<VmGeneration>>,
    dynamic: Option<Located<bool>>,
    startup: Option<Located<PageCount>>,
    minimum: Option<Located<PageCount>>,
    maximum: Option<Located<Maximum>>,
    buffer: Option<Located<u64>>,
    priority: Option<Located<u64>>,
    page_file: Option<Located<PageFileSize>>,
    workload: Option<Located<Workload>>,
    disks: Option<Located<Vec<Disk>>>,
    agent: Option<Located<AgentConfig>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Maximum {
    Size(PageCount),
    Provisioned,
}

impl<'r, 't> VmSettings<'r, 't> {
    pub(super) fn read(table: Table<'r, 't>, around: &Surroundings<'_>) -> Self {
        Self {
            table,
            guest: read_guest(&table),
            integration_services: table.word(
                "integration_services",
                &[
                    ("current", IntegrationServices::Current),
                    ("outdated", IntegrationServices::Outdated),
                    ("none", IntegrationServices::Missing),
                ],
            ),
            vcpus: table.integer("vcpus", 1, 2048),
            generation: table.integer("generation", 1, 2).map(|number| {
                number.map(|number| if number == 1 { VmGeneration::One } else { VmGeneration::Two })
            }),
            dynamic: table.boolean("dynamic_memory_enabled"),
            startup: table.size("startup_bytes").filter(|size| aligned(&table, "startup_bytes", size)),
            minimum: table.size("minimum_bytes").filter(|size| aligned(&table, "minimum_bytes", size)),
            maximum: read_maximum(&table, around),
            buffer: table.buffer("buffer"),
            priority: table.integer("priority", 0, 100),
            page_file: read_page_file(&table),
            workload: read_workload(&table, around.workloads),
            disks: disks::read_disks(&table, around.host.map(|host| &host.devices[..])),
            agent: read_agent(&table),
        }
    }

    /// Where the table of these settings begins.
    pub(super) fn span(&self) -> Span {
        self.table.start()
    }

    /// These settings, with those of `variant` in their place where it has some.
    pub(super) fn with(&self, variant: Option<&Self>) -> Self {
        fn pick<T: Clone>(own: &Option<T>, other: Option<&Option<T>>) -> Option<T> {
            other.and_then(Clone::clone).or_else(|| own.clone())
        }
        Self {
            // What is missing is missing in the variant's table, if there is one.
            table: variant.map_or(self.table, |variant| variant.table),
            guest: pick(&self.guest, variant.map(|v| &v.guest)),
            integration_services: pick(&self.integration_services, variant.map(|v| &v.integration_services)),
            vcpus: pick(&self.vcpus, variant.map(|v| &v.vcpus)),
            generation: pick(&self.generation, variant.map(|v| &v.generation)),
            dynamic: pick(&self.dynamic, variant.map(|v| &v.dynamic)),
            startup: pick(&self.startup, variant.map(|v| &v.startup)),
            minimum: pick(&self.minimum, variant.map(|v| &v.minimum)),
            maximum: pick(&self.maximum, variant.map(|v| &v.maximum)),
            buffer: pick(&self.buffer, variant.map(|v| &v.buffer)),
            priority: pick(&self.priority, variant.map(|v| &v.priority)),
            page_file: pick(&self.page_file, variant.map(|v| &v.page_file)),
            workload: pick(&self.workload, variant.map(|v| &v.workload)),
            disks: pick(&self.disks, variant.map(|v| &v.disks)),
            agent: pick(&self.agent, variant.map(|v| &v.agent)),
        }
    }

    /// The VM of these settings, if nothing is wrong with them.
    pub(super) fn vm(&self, number: &str, around: &Surroundings<'_>) -> Option<Vm> {
        let table = &self.table;
        let guest = table.required("guest", self.guest.clone());
        let startup = table.required("startup_bytes", self.startup.clone());
        let mut good = true;
        let workload = self.workload.clone();
        if let Some(workload) = &workload {
            good &= workload::check_trace(table, workload, number, around.trace);
        }
        if let (Some(guest), Some(vcpus)) = (&guest, &self.vcpus) {
            good &= self.check_vcpus(guest, vcpus, around);
        }
        if let Some(guest) = &guest {
            good &= self.check_generation(guest, around);
        }
        let memory = startup.and_then(|startup| self.memory(&startup, number, around));
        let (guest, memory) = (guest?, memory?);
        good &= self.check_page_file(guest.value);
        good &= self.check_agent(guest.value);
        good.then(|| Vm {
            name: String::new(),
            number: number.to_owned(),
            guest: guest.value,
            integration_services: self
                .integration_services
                .as_ref()
                .map_or_else(Default::default, |s| s.value),
            vcpus: self.vcpus.as_ref().and_then(|vcpus| u32::try_from(vcpus.value).ok()).unwrap_or(1),
            generation: self.generation.as_ref().map(|generation| generation.value),
            memory,
            page_file: self
                .page_file
                .as_ref()
                .map_or_else(|| default_page_file(guest.value), |size| size.value),
            disks: self.disks.as_ref().map_or_else(Vec::new, |disks| disks.value.clone()),
            agent: self.agent.as_ref().map_or_else(AgentConfig::default, |agent| agent.value),
            workload: workload.map(|workload| workload.value),
            span: 0..0,
        })
    }

    /// Only Windows manages the size of its page file.
    fn check_page_file(&self, guest: &GuestProfile) -> bool {
        let Some(Located { value: PageFileSize::SystemManaged, span }) = &self.page_file else { return true };
        let windows = guest.family().kernel == Kernel::Windows;
        if !windows {
            self.table.reader.add(
                self.table
                    .bad_value("page_file", span, format!("{guest} does not manage the size of its swap"))
                    .allowed("a size, such as \"4096MB\""),
            );
        }
        windows
    }

    /// Only Linux says how long its tasks stand still for want of memory; and whoever measures anything does it with the services.
    fn check_agent(&self, guest: &GuestProfile) -> bool {
        let Some(Located { value: agent, span }) = &self.agent else { return true };
        let services = self.integration_services.as_ref().map_or_else(Default::default, |s| s.value);
        let why = if agent.stalls && guest.family().kernel != Kernel::Linux {
            format!("{guest} does not count how long its tasks stand still for want of memory")
        } else if agent.measures() && services == IntegrationServices::Missing {
            "without integration services an agent has no way to the host".to_owned()
        } else {
            return true;
        };
        let allowed = if services == IntegrationServices::Missing {
            "[]"
        } else {
            "\"active\" and \"curve\"; \"stalls\" for guests with Linux"
        };
        self.table.reader.add(self.table.bad_value("agent", span, why).allowed(allowed));
        false
    }

    fn memory(
        &self,
        startup: &Located<PageCount>,
        number: &str,
        around: &Surroundings<'_>,
    ) -> Option<MemorySettings> {
        let table = &self.table;
        let edition = around.edition();
        let limit = self.memory_limit(&around.limits());
        let dynamic = self.dynamic.as_ref().is_none_or(|dynamic| dynamic.value);
        let mut good = !startup.value.is_zero();
        if !good {
            table.reader.add(
                table
                    .bad_value("startup_bytes", &startup.span, "a VM without memory cannot start")
                    .allowed("more than 0MB"),
            );
        }
        let maximum = match &self.maximum {
            Some(Located { value: Maximum::Size(size), span }) => {
                Located { value: *size, span: span.clone() }
            }
            Some(Located { value: Maximum::Provisioned, span }) => {
                let recorded = around
                    .trace
                    .and_then(|trace| trace.vm(number))
                    .map_or(PageCount::ZERO, |vm| vm.provisioned());
                // A recording may have had less than the scenario starts a VM with, or more than it may have.
                // Hypervisors of recordings are not all as strict about alignment.
                let recorded = PageCount(recorded.get().next_multiple_of(ALIGNMENT.get()));
                let size = limit.map_or(recorded, |limit| recorded.min(limit)).max(startup.value);
                Located { value: size, span: span.clone() }
            }
            None => Located {
                value: limit.unwrap_or(PageCount::from_mib(64 << 10)).min(USUAL_MAXIMUM).max(startup.value),
                span: startup.span.clone(),
            },
        };
        for (key, size) in [("startup_bytes", startup), ("maximum_bytes", &maximum)] {
            let given = key == "startup_bytes" || self.maximum.is_some();
            if let Some(limit) = limit
                && size.value > limit
                && given
            {
                good = false;
                let most_then = PageCount::from_mib(64 << 10);
                let help = if limit < most_then && size.value <= most_then {
                    "64GB with edition \"enterprise\" or \"datacenter\"".to_owned()
                } else {
                    let what = format!("a VM of {}", quantities::format_size(size.value));
                    allowed_since(&what, |_, limits| {
                        self.memory_limit(limits).is_some_and(|most| most >= size.value)
                    })
                };
                table.reader.add(
                    table
                        .bad_value(
                            key,
                            &size.span,
                            format!("a VM cannot have {}", quantities::format_size(size.value)),
                        )
                        .allowed(format!(
                            "up to {} with edition {:?}",
                            quantities::format_size(limit),
                            edition.key()
                        ))
                        .help(help),
                );
            }
        }
        if !dynamic {
            return (self.static_has_no_bounds() && good)
                .then(|| MemorySettings::fixed(startup.value).with_weight(self.weight()));
        }
        if !around.has_dynamic_memory() {
            good = false;
            let span =
                self.dynamic.as_ref().map_or_else(|| startup.span.clone(), |dynamic| dynamic.span.clone());
            table.reader.add(
                table
                    .bad_value("dynamic_memory_enabled", &span, "Windows Server 2008 has no Dynamic Memory")
                    .allowed("false, or a host of release \"2008-r2-sp1\""),
            );
        }
        if maximum.value < startup.value {
            good = false;
            table.reader.add(self.below(("maximum_bytes", &maximum), ("startup_bytes", startup)));
        }
        if let Some(minimum) = &self.minimum
            && startup.value < minimum.value
        {
            good = false;
            table.reader.add(self.below(("startup_bytes", startup), ("minimum_bytes", minimum)));
        }
        let minimum = self.minimum.as_ref().map_or(startup.value, |minimum| minimum.value);
        let buffer = self.buffer.as_ref().and_then(|buffer| u32::try_from(buffer.value).ok());
        good.then(|| {
            MemorySettings::dynamic(startup.value, maximum.value)
                .with_minimum(minimum)
                .with_buffer(buffer.unwrap_or(MemorySettings::DEFAULT_BUFFER))
                .with_weight(self.weight())
        })
    }

    /// Most memory that the VM may have, by its generation.
    fn memory_limit(&self, limits: &HostLimits) -> Option<PageCount> {
        let first = self.generation.as_ref().is_some_and(|generation| generation.value == VmGeneration::One);
        limits.first_generation_memory.filter(|_| first).or(limits.vm_memory)
    }

    /// Most virtual processors that the VM may have, by its generation.
    fn processor_limit(&self, limits: &HostLimits) -> Option<u32> {
        let first = self.generation.as_ref().is_some_and(|generation| generation.value == VmGeneration::One);
        limits.first_generation_processors.filter(|_| first).or(limits.vm_processors)
    }

    /// Whether host and guest have VMs of the generation that is asked for.
    fn check_generation(&self, guest: &Located<&'static GuestProfile>, around: &Surroundings<'_>) -> bool {
        let Some(Located { value: VmGeneration::Two, span }) = &self.generation else { return true };
        let release = around.release();
        let (problem, allowed) = if !release.has_second_generation() {
            (
                format!("a host of release {:?} has no VMs of generation 2", release.key()),
                "1, or a host with release = \"2012-r2\" or later".to_owned(),
            )
        } else if !guest.value.second_generation() {
            (format!("{} does not boot in a VM of generation 2", guest.value), "1".to_owned())
        } else {
            return true;
        };
        self.table.reader.add(self.table.bad_value("generation", span, problem).allowed(allowed));
        false
    }

    /// Whether guest and host support so many virtual processors.
    fn check_vcpus(
        &self,
        guest: &Located<&'static GuestProfile>,
        vcpus: &Located<u64>,
        around: &Surroundings<'_>,
    ) -> bool {
        let table = &self.table;
        let release = around.release();
        // By what a release and its guests know of each other: a list of numbers, or up to a number.
        let supports = |release: Release, limits: &HostLimits| {
            let of_host = self.processor_limit(limits).is_none_or(|most| u64::from(most) >= vcpus.value);
            let guest = guest.value;
            let of_guest = if release.is_2012_or_later() || !guest.is_of_2011() {
                u64::from(guest.most_processors()) >= vcpus.value
            } else {
                guest.virtual_processors().iter().any(|number| u64::from(*number) == vcpus.value)
            };
            of_host && of_guest
        };
        let limits = around.limits();
        if supports(release, &limits) {
            return true;
        }
        let mut numbers: Vec<String> = guest.value.virtual_processors().iter().map(u32::to_string).collect();
        if release.is_2012_or_later() || numbers.is_empty() {
            let most = self.processor_limit(&limits).unwrap_or(u32::MAX).min(guest.value.most_processors());
            numbers = vec![format!("1 to {most}")];
        }
        let numbers = match numbers.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => numbers.join(""),
        };
        let of_guest = u64::from(guest.value.most_processors()) < vcpus.value
            || (!release.is_2012_or_later() && guest.value.is_of_2011());
        let problem = if of_guest {
            format!("{} does not support {} virtual processors", guest.value, vcpus.value)
        } else {
            format!("a VM of this host cannot have {} virtual processors", vcpus.value)
        };
        let mut complaint = table
            .bad_value("vcpus", &vcpus.span, problem)
            .label(format!("the guest is said in line {}", table.reader.line(&guest.span)))
            .allowed(numbers);
        if let Some(help) =
            since(&format!("a VM of this guest with {} virtual processors", vcpus.value), supports)
        {
            complaint = complaint.help(help);
        }
        table.reader.add(complaint);
        false
    }

    fn weight(&self) -> u32 {
        self.priority
            .as_ref()
            .and_then(|priority| u32::try_from(priority.value).ok())
            .map_or(MemorySettings::DEFAULT_WEIGHT, |priority| priority * MemorySettings::WEIGHT_PER_PRIORITY)
    }

    fn below(
        &self,
        (key, size): (&'static str, &Located<PageCount>),
        (other, least): (&'static str, &Located<PageCount>),
    ) -> super::Diagnostic {
        let reader = self.table.reader;
        self.table
            .bad_value(key, &size.span, format!("`{key}` is below `{other}`"))
            .label(format!(
                "{}, but `{other}` is {} (line {})",
                quantities::format_size(size.value),
                quantities::format_size(least.value),
                reader.line(&least.span)
            ))
            .allowed(format!("at least {}", quantities::format_size(least.value)))
    }

    /// Static memory has one size; whatever else is said would silently mean nothing.
    fn static_has_no_bounds(&self) -> bool {
        let spans = [
            ("minimum_bytes", self.minimum.as_ref().map(|value| &value.span)),
            ("maximum_bytes", self.maximum.as_ref().map(|value| &value.span)),
            ("buffer", self.buffer.as_ref().map(|value| &value.span)),
        ];
        let mut good = true;
        for (key, span) in spans {
            let Some(span) = span else { continue };
            good = false;
            self.table.reader.add(
                self.table
                    .bad_value(key, span, format!("`{key}` means nothing without Dynamic Memory"))
                    .allowed("startup_bytes alone, with dynamic_memory_enabled = false")
                    .help(format!("remove `{key}`, or set dynamic_memory_enabled = true")),
            );
        }
        good
    }
}

/// Maximum RAM of a VM for which none is said, if the host allows as much: 1 TB (documented: what New-VM gives a VM since 2012).
const USUAL_MAXIMUM: PageCount = PageCount::from_mib(1 << 20);

/// What a VM's memory settings must be multiples of: Hyper-V refuses other values as "not properly aligned" (documented: New-VM's error
/// for 4077 MB, kubernetes/minikube issues 6964, 6973, 17242).
const ALIGNMENT: PageCount = PageCount::from_mib(2);

fn aligned(table: &Table<'_, '_>, key: &'static str, size: &Located<PageCount>) -> bool {
    let pages = size.value.get();
    let aligned = pages.is_multiple_of(ALIGNMENT.get());
    if !aligned {
        let below = pages - pages % ALIGNMENT.get();
        let nearest = [below, below + ALIGNMENT.get()].into_iter().filter(|pages| *pages > 0);
        let nearest = nearest.map(|pages| format!("{:?}", quantities::format_size(PageCount(pages))));
        table.reader.add(
            table
                .bad_value(
                    key,
                    &size.span,
                    format!("`{key}` must be a multiple of 2 MB, as Hyper-V wants it"),
                )
                .label(format!("this is {}", quantities::format_size(size.value)))
                .allowed(format!("the nearest: {}", nearest.collect::<Vec<_>>().join(" or "))),
        );
    }
    aligned
}

fn read_page_file(table: &Table<'_, '_>) -> Option<Located<PageFileSize>> {
    let (value, span) = table.value("page_file")?;
    if value.as_str() == Some("system-managed") {
        return Some(Located { value: PageFileSize::SystemManaged, span });
    }
    Some(table.size("page_file")?.map(PageFileSize::Fixed))
}

fn read_maximum(table: &Table<'_, '_>, around: &Surroundings<'_>) -> Option<Located<Maximum>> {
    let key = "maximum_bytes";
    let (value, span) = table.value(key)?;
    if value.as_str() == Some("provisioned") {
        if around.trace.is_none() {
            table.reader.add_unless_trace_failed(
                table
                    .bad_value(key, &span, "what the recorded VM had, but there is no trace")
                    .allowed("a size, such as \"4096MB\""),
            );
            return None;
        }
        return Some(Located { value: Maximum::Provisioned, span });
    }
    let size = table.size(key).filter(|size| aligned(table, key, size))?;
    Some(size.map(Maximum::Size))
}

fn read_guest(table: &Table<'_, '_>) -> Option<Located<&'static GuestProfile>> {
    let name = table.text("guest")?;
    match find_profile(&name.value) {
        Ok(profile) => Some(Located { value: profile, span: name.span }),
        Err(unknown) => {
            let mut products: Vec<_> = profiles().iter().map(|profile| profile.family().key).collect();
            products.dedup();
            table.reader.add(
                table
                    .bad_value("guest", &name.span, format!("there is no guest {:?}", name.value))
                    .allowed(format!(
                        "{}; each with edition and architecture, or without",
                        products.join(", ")
                    ))
                    .help(format!("did you mean `{}`?", unknown.nearest)),
            );
            None
        }
    }
}

/// A workload by its name, or in a table.
pub(super) fn read_workload(table: &Table<'_, '_>, named: &Named) -> Option<Located<Workload>> {
    let (value, span) = table.value("workload")?;
    if let Some(entries) = value.as_table() {
        let workload = workload::read(table, entries, &span)?;
        return Some(Located { value: workload, span });
    }
    let name = value.as_str().unwrap_or("");
    match named.get(name) {
        Some(workload) => workload.clone().map(|value| Located { value, span }),
        None => {
            let names: Vec<_> = named.keys().map(String::as_str).collect();
            let allowed = if names.is_empty() {
                "a table { kind = … }; there are no [workloads]".to_owned()
            } else {
                format!("{}; or a table {{ kind = … }}", schema::quoted(&names))
            };
            let written = table.reader.text(&span);
            table.reader.add(
                table
                    .bad_value("workload", &span, format!("there is no workload {written}"))
                    .allowed(allowed)
                    .nearest(name, names),
            );
            None
        }
    }
}

/// What an agent measures: a list of words, or one.
fn read_agent(table: &Table<'_, '_>) -> Option<Located<AgentConfig>> {
    const WORDS: [&str; 3] = ["stalls", "active", "curve"];
    let Located { value: words, span } = table.texts("agent")?;
    let mut agent = AgentConfig::default();
    for word in words {
        match word.value.as_str() {
            "stalls" => agent.stalls = true,
            "active" => agent.active = true,
            "curve" => agent.curve = true,
            other => {
                table.reader.add(
                    table
                        .bad_value("agent", &word.span, format!("no agent measures {other:?}"))
                        .allowed(schema::quoted(&WORDS))
                        .nearest(other, WORDS),
                );
                return None;
            }
        }
    }
    Some(Located { value: agent, span })
}
