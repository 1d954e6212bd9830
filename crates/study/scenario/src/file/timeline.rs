//! `[[timeline]]`: what happens when.

use core::time::Duration;
use std::collections::BTreeSet;

use balancing_policy::MemorySettings;
use page_range::PageCount;

use super::{
    diagnostic::{Diagnostic, Span},
    draw::Draw,
    host::{Host, allowed_since, positive_time},
    reader::{Located, Table},
    schema::{ACTIONS, quoted},
    selection::{Unselected, select},
    vm::{Named, Vm},
    vm_settings::read_workload,
    vms::Configured,
    workload::Workload,
};

/// One entry of the timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// When, in virtual time.
    pub at: Draw<Duration>,
    /// Again and again at this distance.
    pub repeat_every: Option<Duration>,
    /// Which VMs, by their place in the list of VMs and in this order; none for what happens to the host.
    pub vms: Vec<usize>,
    /// Time from one VM to the next.
    pub every: Duration,
    /// What.
    pub action: Action<Workload>,
    /// Where it stands in the file.
    pub span: Span,
    /// Where its time stands.
    pub at_span: Span,
    /// Where its VMs stand; where it stands itself if it has none.
    pub vm_span: Span,
}

/// What happens; `W` is how a workload is said.
#[derive(Clone, Debug, PartialEq)]
pub enum Action<W> {
    /// The VM is started.
    Start {
        /// Only while the host has less than this in use.
        while_host_used_below: Option<HostUse>,
        /// Whether, and how often, the operator asks again.
        patience: Patience,
    },
    /// The VM is stopped.
    Stop {
        /// At once, in place of shutting the guest down.
        turn_off: bool,
    },
    /// The guest is rebooted.
    Reboot,
    /// What runs in the guest ends, and this runs.
    SetWorkload(W),
    /// What runs in the guest gives its memory back in its own way.
    Unload,
    /// The VM's memory settings change; what is `None` stays.
    SetVmMemory {
        /// Memory buffer, percent.
        buffer: Option<u32>,
        /// Memory weight: the priority times 100.
        weight: Option<u32>,
    },
    /// The registry value `MemoryReserve` is set.
    SetMemoryReserve(PageCount),
    /// Something goes wrong.
    InjectFault {
        /// What.
        fault: Fault,
        /// How long; for ever if `None`.
        duration: Option<Duration>,
    },
    /// A line in the story.
    Mark(String),
}

impl<W> Action<W> {
    /// Its word in scenario files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Reboot => "reboot",
            Self::SetWorkload(_) => "set_workload",
            Self::Unload => "unload",
            Self::SetVmMemory { .. } => "set_vm_memory",
            Self::SetMemoryReserve(_) => "set_registry",
            Self::InjectFault { .. } => "inject_fault",
            Self::Mark(_) => "mark",
        }
    }
}

/// What the operator does about a start that is refused. Hyper-V refuses at once; to ask again is up to whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How often the operator asks, at most: at least once.
    pub tries: u32,
    /// How long after a refusal the operator asks again.
    pub retry_after: Duration,
}

impl Patience {
    /// The operator takes the first answer.
    pub const NONE: Self = Self { tries: 1, retry_after: RETRY_AFTER };
}

/// Time from a refusal to the next try, if the file says that there are several and not when: as in Microsoft's Dynamic Memory tests of
/// Linux guests. Invented for everything else.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// An amount of host memory in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostUse {
    /// This much.
    Memory(PageCount),
    /// As much as at most in the scenario of this name.
    AsIn(Located<String>),
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The DM VSC answers nothing and reports nothing.
    GuestSilent,
    /// The DM VSC refuses hot-adds.
    GuestRefusesHotAdd,
    /// The DM VSC sends bytes at random.
    GuestSendsGarbage,
    /// The DM VSC closes its channel.
    GuestClosesChannel,
    /// The guest's kernel crashes.
    GuestCrash,
    /// A component of the stack panics.
    ComponentPanic(VmComponent),
}

/// A component of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmComponent {
    /// The DM VSC.
    DmVsc,
    /// The guest: applications and memory manager.
    Guest,
    /// The worker: DM VSP and GMO memory manager.
    Worker,
}

#[derive(Clone, Copy)]
enum FaultWord {
    Simple(Fault),
    ComponentPanic,
}

const FAULTS: [(&str, FaultWord); 6] = [
    ("guest_silent", FaultWord::Simple(Fault::GuestSilent)),
    ("guest_refuses_hot_add", FaultWord::Simple(Fault::GuestRefusesHotAdd)),
    ("guest_sends_garbage", FaultWord::Simple(Fault::GuestSendsGarbage)),
    ("guest_closes_channel", FaultWord::Simple(Fault::GuestClosesChannel)),
    ("guest_crash", FaultWord::Simple(Fault::GuestCrash)),
    ("component_panic", FaultWord::ComponentPanic),
];

const COMPONENTS: [(&str, VmComponent); 3] =
    [("dm-vsc", VmComponent::DmVsc), ("guest", VmComponent::Guest), ("worker", VmComponent::Worker)];

/// What the rest of the file says that the timeline is checked against.
pub(super) struct Surroundings<'a> {
    pub(super) configured: &'a Configured,
    pub(super) host: Option<&'a Host>,
    pub(super) workloads: &'a Named,
}

/// VMs that something is said of which cannot be read: what else happens to them cannot be judged.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// Their places in the list of VMs.
    vms: BTreeSet<usize>,
    /// Any VM may be meant.
    any: bool,
}

impl Unread {
    fn note(&mut self, vms: Option<Vec<usize>>) {
        match vms {
            Some(vms) => self.vms.extend(vms),
            None => self.any = true,
        }
    }

    fn is(&self, vm: usize) -> bool {
        self.any || self.vms.contains(&vm)
    }
}

/// Reads all `[[timeline]]`, and says of which VMs not everything could be read.
pub(super) fn read(root: &Table<'_, '_>, around: &Surroundings<'_>) -> (Vec<Step>, Unread) {
    let (mut steps, mut unread) = (Vec::new(), Unread::default());
    for (entries, span) in root.tables("timeline") {
        match read_step(root, entries, &span, around) {
            Ok(step) => steps.push(step),
            Err(vms) => unread.note(vms),
        }
    }
    (steps, unread)
}

/// Reads an entry; the error is which VMs it is about, as far as that is known.
fn read_step(
    root: &Table<'_, '_>,
    entries: &toml::de::DeTable<'_>,
    span: &Span,
    around: &Surroundings<'_>,
) -> Result<Step, Option<Vec<usize>>> {
    let reader = root.reader;
    let names = ACTIONS.map(|(name, _)| name);
    // Which keys an entry has depends on its action, so that is looked at first.
    let action = entries.get("action");
    let written = action.and_then(|action| action.get_ref().as_str());
    let Some(&(name, doc)) = ACTIONS.iter().find(|(name, _)| Some(*name) == written) else {
        let diagnostic = match action {
            Some(action) => {
                let span = action.span();
                reader
                    .complain(&span, format!("there is no action {}", reader.text(&span)))
                    .value(reader.text(&span))
                    .nearest(written.unwrap_or(""), names)
            }
            None => {
                let header = span.start..span.start + "[[timeline]]".len();
                reader.complain(&header, "`action` is missing in [[timeline]]")
            }
        };
        reader.add(diagnostic.key("action").allowed(quoted(&names)));
        return Err(None);
    };
    let table = Table::new(reader, doc, entries, span);
    table.word("action", &ACTIONS.map(|(name, _)| (name, ())));
    let at = table.draw_duration("at");
    let at = table.required("at", at);
    let repeat_every =
        table.duration("repeat_every").filter(|time| positive_time(&table, "repeat_every", time));
    let on_vms = doc.key("vm").is_some();
    let vms = if on_vms { read_vms(&table, around) } else { Some(Vec::new()) };
    let every = if on_vms {
        table.duration("every").map_or(Duration::ZERO, |time| time.value)
    } else {
        Duration::ZERO
    };
    let action = read_action(&table, name, around);
    let (Some(at), Some(vms), Some(action)) = (at, vms.clone(), action) else { return Err(vms) };
    Ok(Step {
        at: at.value,
        repeat_every: repeat_every.map(|time| time.value),
        vms,
        every,
        action,
        span: table.start(),
        at_span: table.span_of("at"),
        vm_span: if on_vms { table.span_of("vm") } else { table.start() },
    })
}

fn read_action(table: &Table<'_, '_>, name: &str, around: &Surroundings<'_>) -> Option<Action<Workload>> {
    Some(match name {
        "start" => {
            let size = table.size("while_host_used_below");
            let other = table.text("while_host_used_below_that_of");
            if let (Some(_), Some(other)) = (&size, &other) {
                table.reader.add(
                    table
                        .bad_value("while_host_used_below_that_of", &other.span, "two limits for one start")
                        .allowed("one of while_host_used_below, while_host_used_below_that_of"),
                );
            }
            if let Some(other) = &other
                && let Some(complaint) = super::unknown_scenario(&other.value)
            {
                table.reader.add(
                    Diagnostic {
                        help: complaint.help,
                        ..table.bad_value("while_host_used_below_that_of", &other.span, complaint.message)
                    }
                    .allowed(complaint.allowed.unwrap_or_default()),
                );
            }
            let size = size.map(|size| HostUse::Memory(size.value));
            let while_host_used_below = size.or(other.map(HostUse::AsIn));
            Action::Start { while_host_used_below, patience: read_patience(table) }
        }
        "stop" => Action::Stop { turn_off: table.boolean("turn_off").is_some_and(|flag| flag.value) },
        "reboot" => Action::Reboot,
        "set_workload" => {
            let workload = read_workload(table, around.workloads);
            Action::SetWorkload(table.required("workload", workload)?.value)
        }
        "unload" => Action::Unload,
        "set_vm_memory" => read_vm_memory(table)?,
        "set_registry" => read_registry(table, around)?,
        "inject_fault" => read_fault(table)?,
        _ => {
            let text = table.text("text");
            Action::Mark(table.required("text", text)?.value)
        }
    })
}

fn read_vm_memory(table: &Table<'_, '_>) -> Option<Action<Workload>> {
    let buffer = table.buffer("buffer");
    let priority = table.integer("priority", 0, 100);
    if !table.has("buffer") && !table.has("priority") {
        table.reader.add(
            table
                .reader
                .complain(&table.start(), "this changes nothing: `buffer` and `priority` are missing")
                .key("priority")
                .allowed("at least one of buffer, priority"),
        );
        return None;
    }
    let number = |value: &Located<u64>| u32::try_from(value.value).unwrap_or(u32::MAX);
    let weight = |value: &Located<u64>| number(value) * MemorySettings::WEIGHT_PER_PRIORITY;
    Some(Action::SetVmMemory { buffer: buffer.as_ref().map(number), weight: priority.as_ref().map(weight) })
}

fn read_patience(table: &Table<'_, '_>) -> Patience {
    let tries = table.integer("tries", 1, 100).and_then(|tries| u32::try_from(tries.value).ok());
    let retry_after = table.duration("retry_after").filter(|time| positive_time(table, "retry_after", time));
    if let Some(retry_after) = &retry_after
        && tries.is_none_or(|tries| tries == 1)
    {
        table.reader.add(
            table
                .bad_value(
                    "retry_after",
                    &retry_after.span,
                    "`retry_after` means nothing for a start that is asked for once",
                )
                .allowed("with `tries`, from 2"),
        );
    }
    Patience {
        tries: tries.unwrap_or(Patience::NONE.tries),
        retry_after: retry_after.map_or(RETRY_AFTER, |time| time.value),
    }
}

fn read_registry(table: &Table<'_, '_>, around: &Surroundings<'_>) -> Option<Action<Workload>> {
    let name = table.word("name", &[("MemoryReserve", ())]);
    let value = table.integer("value", 0, u32::MAX.into());
    let name = table.required("name", name);
    let value = table.required("value", value)?;
    name?;
    let reserve = PageCount::from_mib(value.value);
    if let Some(host) = around.host
        && !host.memory.is_zero()
        && reserve >= host.memory
    {
        table.reader.add(
            table
                .bad_value("value", &value.span, "MemoryReserve leaves nothing for VMs")
                .label(format!("the host has {}", quantities::format_size(host.memory)))
                .allowed("MB, less than the host's `memory`"),
        );
        return None;
    }
    Some(Action::SetMemoryReserve(reserve))
}

fn read_fault(table: &Table<'_, '_>) -> Option<Action<Workload>> {
    let duration = table.duration("duration").filter(|time| positive_time(table, "duration", time));
    let component = table.word("component", &COMPONENTS);
    let fault = table.word("fault", &FAULTS);
    let fault = match table.required("fault", fault)?.value {
        FaultWord::Simple(fault) => {
            if table.has("component") {
                let span = table.span_of("component");
                table.reader.add(
                    table
                        .bad_value("component", &span, "`component` is for component_panic only")
                        .allowed("with fault = \"component_panic\""),
                );
            }
            fault
        }
        FaultWord::ComponentPanic => {
            if component.is_none() && !table.has("component") {
                let words: Vec<_> = COMPONENTS.iter().map(|(word, _)| *word).collect();
                table.reader.add(
                    table
                        .reader
                        .complain(&table.span_of("fault"), "component_panic needs to know which component")
                        .key("component")
                        .allowed(quoted(&words)),
                );
            }
            Fault::ComponentPanic(component?.value)
        }
    };
    let lasting = !matches!(fault, Fault::GuestCrash | Fault::ComponentPanic(_) | Fault::GuestSendsGarbage);
    if let Some(duration) = &duration
        && !lasting
    {
        table.reader.add(
            table
                .bad_value("duration", &duration.span, "this fault happens at once and does not last")
                .allowed("`duration` with guest_silent, guest_refuses_hot_add, guest_closes_channel"),
        );
    }
    Some(Action::InjectFault { fault, duration: duration.map(|time| time.value) })
}

fn read_vms(table: &Table<'_, '_>, around: &Surroundings<'_>) -> Option<Vec<usize>> {
    let texts = table.texts("vm");
    let texts = table.required("vm", texts)?;
    let mut chosen = Vec::new();
    let mut seen = BTreeSet::new();
    let mut good = true;
    for text in &texts.value {
        match select(&text.value, &around.configured.vms) {
            Ok(vms) => chosen.extend(vms.into_iter().filter(|vm| seen.insert(*vm))),
            Err(Unselected::NoVm(unknown)) => {
                good = false;
                complain_of_vm(table, text, &unknown, around.configured);
            }
            Err(Unselected::NoRange { first, last }) => {
                good = false;
                table.reader.add(
                    table
                        .bad_value("vm", &text.span, format!("from {first:?} to {last:?} is no range of VMs"))
                        .allowed("names that differ only in a number, such as \"VM1..VM7\"; a list of names"),
                );
            }
        }
    }
    if texts.value.is_empty() {
        table.reader.add(table.bad_value("vm", &texts.span, "no VM is named").allowed("at least one"));
        return None;
    }
    good.then_some(chosen)
}

/// Complains about a name that no VM has; not if all that is wrong is the VM's own configuration.
fn complain_of_vm(table: &Table<'_, '_>, text: &Located<String>, unknown: &str, configured: &Configured) {
    if configured.nameless || configured.refused.iter().any(|name| name.eq_ignore_ascii_case(unknown)) {
        return;
    }
    let good = configured.vms.iter().map(|vm| vm.name.as_str());
    let names: Vec<_> = good.chain(configured.refused.iter().map(String::as_str)).collect();
    let some = names.iter().take(12).copied().collect::<Vec<_>>().join(", ");
    let more = if names.len() > 12 { format!(" and {} others", names.len() - 12) } else { String::new() };
    let diagnostic = table
        .bad_value("vm", &text.span, format!("no VM is named {unknown:?}"))
        .allowed(format!("{some}{more}; ranges such as \"VM1..VM7\"; \"all\""))
        .nearest(unknown, names);
    table.reader.add(diagnostic);
}

/// Complains about a VM that another part of the file names, if there is none.
pub(super) fn check_vm(table: &Table<'_, '_>, name: &Located<String>, configured: &Configured) {
    if !configured.vms.iter().any(|vm| vm.name.eq_ignore_ascii_case(&name.value)) {
        complain_of_vm(table, name, &name.value, configured);
    }
}

/// The VMs that no entry starts.
pub(super) fn never_started(steps: &[Step], vms: &[Vm]) -> Vec<String> {
    let started: BTreeSet<usize> = steps
        .iter()
        .filter(|step| matches!(step.action, Action::Start { .. }))
        .flat_map(|step| step.vms.iter().copied())
        .collect();
    let off = vms.iter().enumerate().filter(|(place, _)| !started.contains(place));
    off.map(|(_, vm)| vm.name.clone()).collect()
}

/// The virtual processors of these VMs and how many may run, if they are more.
fn too_many_processors(running: &BTreeSet<usize>, around: &Surroundings<'_>) -> Option<(u32, u32)> {
    let vms = || running.iter().filter_map(|&vm| around.configured.vms.get(vm));
    let processors: u32 = vms().map(|vm| vm.vcpus).sum();
    let windows_7 = vms().all(|vm| vm.guest.family().key.starts_with("windows-7"));
    let limit = around.host?.virtual_processors(windows_7)?;
    (processors > limit).then_some((processors, limit))
}

/// Follows the timeline at its earliest times: starts and stops that cannot be, and more running VMs than the host may have. VMs of which
/// something could not be read are left out: whether they run is not known.
pub(super) fn check(
    root: &Table<'_, '_>,
    steps: &[Step],
    unread: &Unread,
    around: &Surroundings<'_>,
    until: Duration,
) {
    let reader = root.reader;
    let mut events: Vec<(Duration, usize, usize, bool)> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        if step.at.low() > until {
            reader.add(
                reader
                    .complain(&step.at_span, "this happens after the run has ended")
                    .key("at")
                    .label(format!(
                        "at {}, but the run ends at {}",
                        quantities::format_duration(step.at.low()),
                        quantities::format_duration(until)
                    ))
                    .help("make `until` later, or `at` earlier"),
            );
            continue;
        }
        // A repeated step is followed once: its start and stop repeat together.
        for (place, vm) in step.vms.iter().enumerate().filter(|(_, vm)| !unread.is(**vm)) {
            let at = step.at.low() + step.every.saturating_mul(u32::try_from(place).unwrap_or(u32::MAX));
            events.push((at, index, *vm, step.repeat_every.is_some()));
        }
    }
    events.sort_by_key(|(at, index, ..)| (*at, *index));
    let limit = around.host.and_then(|host| host.limits().running_vms);
    let mut running = BTreeSet::new();
    let mut reported = BTreeSet::new();
    for (at, index, vm, repeated) in events {
        let step = &steps[index];
        let name = around.configured.vms.get(vm).map_or("", |vm| vm.name.as_str());
        let message = match &step.action {
            Action::Start { .. } if running.insert(vm) => {
                let (edition, release) =
                    around.host.map_or(("", ""), |host| (host.edition.key(), host.release.key()));
                let beyond = if let Some(limit) = limit.filter(|limit| running.len() > *limit) {
                    let number = running.len();
                    Some((
                        format!("{number} VMs would run at once"),
                        format!("{name:?} would be number {number}"),
                        format!("{limit} running VMs on a host of edition {edition:?}, release {release:?}"),
                        allowed_since(&format!("a host with {number} running VMs"), |_, limits| {
                            limits.running_vms.is_some_and(|most| most >= number)
                        }),
                    ))
                } else {
                    too_many_processors(&running, around).map(|(processors, limit)| {
                        (
                            format!("{processors} virtual processors would run at once"),
                            format!("with {name:?}"),
                            format!("{limit} on this host, by its edition and its logical processors"),
                            allowed_since(&format!("a host with {processors} of them"), |release, limits| {
                                release.is_2012_or_later()
                                    && limits.virtual_processors.is_some_and(|most| most >= processors)
                            }),
                        )
                    })
                };
                if let Some((problem, label, allowed, help)) = beyond
                    && reported.insert(index)
                {
                    reader.add(
                        reader
                            .complain(&step.vm_span, problem)
                            .key("vm")
                            .value(name)
                            .label(label)
                            .allowed(allowed)
                            .help(help),
                    );
                }
                continue;
            }
            Action::Start { .. } if !repeated => format!("{name:?} runs already"),
            Action::Stop { .. } if running.remove(&vm) => continue,
            Action::Stop { .. } | Action::Reboot | Action::Unload | Action::InjectFault { .. }
                if !running.contains(&vm) && !repeated =>
            {
                format!("{name:?} does not run")
            }
            _ => continue,
        };
        if reported.insert(index) {
            reader.add(
                reader
                    .complain(&step.vm_span, format!("{message} at {}", quantities::format_duration(at)))
                    .key("vm")
                    .value(name)
                    .label(format!("action \"{}\"", step.action.name()))
                    .help(match step.action {
                        Action::Start { .. } => "stop it before, or start it once",
                        _ => "start it before",
                    }),
            );
        }
    }
}
