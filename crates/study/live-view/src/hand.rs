//! What the watcher does by hand: as actions of the run's operator, and as entries of a timeline that do the same again.

use std::fmt::Write as _;
use std::time::Duration;

use balancing_policy::MemorySettings;
use guest_memory_manager::workload::{StepConfig, WorkloadConfig};
use page_range::PageCount;
use scenario::file;
use scenario::run::build;
use scenario::run::plan::{Action, Plan};

/// A fault that can be injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandFault {
    /// The guest's driver answers nothing and reports nothing.
    Silent,
    /// It refuses hot-adds.
    RefusesHotAdd,
    /// It sends bytes at random.
    SendsGarbage,
    /// It closes its channel.
    ClosesChannel,
    /// The guest's kernel crashes.
    Crash,
}

/// All of them, in the order in which they are offered.
pub const FAULTS: [HandFault; 5] = [
    HandFault::Silent,
    HandFault::RefusesHotAdd,
    HandFault::SendsGarbage,
    HandFault::ClosesChannel,
    HandFault::Crash,
];

/// Those that an unmodified Linux guest can be brought to.
pub const REAL_FAULTS: [HandFault; 2] = [HandFault::ClosesChannel, HandFault::Crash];

impl HandFault {
    /// Its word in scenario files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Silent => "guest_silent",
            Self::RefusesHotAdd => "guest_refuses_hot_add",
            Self::SendsGarbage => "guest_sends_garbage",
            Self::ClosesChannel => "guest_closes_channel",
            Self::Crash => "guest_crash",
        }
    }

    fn meaning(self) -> file::Fault {
        match self {
            Self::Silent => file::Fault::GuestSilent,
            Self::RefusesHotAdd => file::Fault::GuestRefusesHotAdd,
            Self::SendsGarbage => file::Fault::GuestSendsGarbage,
            Self::ClosesChannel => file::Fault::GuestClosesChannel,
            Self::Crash => file::Fault::GuestCrash,
        }
    }
}

/// Something done by hand. VMs are named by their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Start a VM.
    Start {
        /// Which.
        vm: usize,
    },
    /// Shut a VM's guest down.
    Stop {
        /// Which.
        vm: usize,
    },
    /// Run an application that takes this much at once, in place of what ran before.
    Load {
        /// In which VM.
        vm: usize,
        /// How much.
        size: PageCount,
    },
    /// Have what runs in a guest give its memory back.
    Unload {
        /// In which VM.
        vm: usize,
    },
    /// Set a VM's memory priority, 0 to 100.
    Priority {
        /// Of which VM.
        vm: usize,
        /// The priority.
        priority: u32,
    },
    /// Set the registry value `MemoryReserve`.
    Reserve(PageCount),
    /// Inject a fault, for as long as the run lasts.
    Fault {
        /// In which VM.
        vm: usize,
        /// Which.
        fault: HandFault,
    },
}

impl Deed {
    /// An entry of a scenario's timeline that does this at `at`.
    #[must_use]
    pub fn entry(&self, at: Duration, plan: &Plan) -> String {
        let name = |vm: &usize| plan.vms.get(*vm).map_or("", |vm| &*vm.name).to_owned();
        let mut entry = format!("\n[[timeline]]\nat = \"{}\"\n", quantities::format_duration(at));
        let vm = |vm: &usize| format!("vm = {:?}\n", name(vm));
        let _infallible = match self {
            Self::Start { vm: which } => write!(entry, "action = \"start\"\n{}", vm(which)),
            Self::Stop { vm: which } => write!(entry, "action = \"stop\"\n{}", vm(which)),
            Self::Load { vm: which, size } => write!(
                entry,
                "action = \"set_workload\"\n{}workload = {{ kind = \"step\", to = \"{}\" }}\n",
                vm(which),
                quantities::format_size(*size)
            ),
            Self::Unload { vm: which } => write!(entry, "action = \"unload\"\n{}", vm(which)),
            Self::Priority { vm: which, priority } => {
                write!(entry, "action = \"set_vm_memory\"\n{}priority = {priority}\n", vm(which))
            }
            Self::Reserve(size) => write!(
                entry,
                "action = \"set_registry\"\nname = \"MemoryReserve\"\nvalue = {}\n",
                size.get() / PageCount::from_mib(1).get()
            ),
            Self::Fault { vm: which, fault } => {
                write!(entry, "action = \"inject_fault\"\n{}fault = {:?}\n", vm(which), fault.word())
            }
        };
        entry
    }

    /// What is told of it.
    #[must_use]
    pub fn told(&self, plan: &Plan) -> String {
        let name = |vm: &usize| plan.vms.get(*vm).map_or("", |vm| &*vm.name).to_owned();
        match self {
            Self::Start { vm } => format!("{} is started", name(vm)),
            Self::Stop { vm } => format!("{} is shut down", name(vm)),
            Self::Load { vm, size } => {
                format!("an application in {} takes {}", name(vm), quantities::format_size(*size))
            }
            Self::Unload { vm } => format!("what runs in {} gives its memory back", name(vm)),
            Self::Priority { vm, priority } => format!("{} has priority {priority}", name(vm)),
            Self::Reserve(size) => format!("MemoryReserve is {}", quantities::format_size(*size)),
            Self::Fault { vm, fault } => format!("{} in {}", fault.word(), name(vm)),
        }
    }

    /// The operator's actions, those that an [entry](Self::entry) of the timeline would come to; `settings` are what the VMs' have become.
    #[must_use]
    pub fn actions(&self, settings: &mut [MemorySettings]) -> Vec<Action> {
        let (vm, action) = match *self {
            Self::Start { vm } => (
                Some(vm),
                file::Action::Start { while_host_used_below: None, patience: file::Patience::NONE },
            ),
            Self::Stop { vm } => (Some(vm), file::Action::Stop { turn_off: false }),
            Self::Load { vm, size } => (Some(vm), file::Action::SetWorkload(load(size))),
            Self::Unload { vm } => (Some(vm), file::Action::Unload),
            Self::Reserve(size) => (None, file::Action::SetMemoryReserve(size)),
            Self::Fault { vm, fault } => {
                (Some(vm), file::Action::InjectFault { fault: fault.meaning(), duration: None })
            }
            Self::Priority { vm, priority } => {
                let Some(settings) = settings.get_mut(vm) else { return Vec::new() };
                *settings = settings.with_weight(priority * MemorySettings::WEIGHT_PER_PRIORITY);
                return vec![Action::Configure { vm, settings: *settings }];
            }
        };
        build::by_hand(vm, action)
    }
}

/// An application that takes so much at once, and holds it: a scenario file's workload of kind "step".
fn load(to: PageCount) -> WorkloadConfig {
    WorkloadConfig::Step(StepConfig {
        from: PageCount::ZERO,
        to,
        after: Duration::ZERO,
        hold: None,
        active_share: 1.0,
    })
}

/// A scenario's text with further entries of the timeline.
#[must_use]
pub fn with_entries(text: &str, entries: &str) -> String {
    format!("{}\n{entries}", text.trim_end())
}
