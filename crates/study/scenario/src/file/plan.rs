//! A scenario with everything drawn that it leaves to chance.

use core::time::Duration;

use component_runtime::random;
use guest_memory_manager::workload::{BadWorkload, WorkloadConfig};

use super::{contents::Scenario, timeline::Action};

/// Something that happens at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// When.
    pub at: Duration,
    /// Place of the VM in the scenario's list; `None` for what happens to the host.
    pub vm: Option<usize>,
    /// What.
    pub action: Action<WorkloadConfig>,
    /// Which entry of the timeline it comes from.
    pub step: usize,
}

impl Scenario {
    /// Everything that happens up to `until`, in order: times and amounts are drawn, each from a stream of random numbers of
    /// its own, so that what one entry draws does not change what another does.
    ///
    /// # Errors
    /// A workload that the guest model does not take at the amount that was drawn.
    pub fn plan(&self, seed: u64, until: Duration) -> Result<Vec<Planned>, BadWorkload> {
        let mut plan = Vec::new();
        for (index, step) in self.timeline.iter().enumerate() {
            let first = step.at.pick(&mut random::stream(seed, &format!("timeline/{index}")));
            let mut start = first;
            let mut round = 0_u64;
            while start <= until {
                if step.vms.is_empty() {
                    plan.push(Planned {
                        at: start,
                        vm: None,
                        action: without_workload(&step.action),
                        step: index,
                    });
                }
                for (place, &vm) in step.vms.iter().enumerate() {
                    let at = start + step.every.saturating_mul(u32::try_from(place).unwrap_or(u32::MAX));
                    let action = match &step.action {
                        Action::SetWorkload(workload) => {
                            let (name, number) =
                                self.vms.get(vm).map_or(("", ""), |vm| (&*vm.name, &*vm.number));
                            let mut rng = random::stream(seed, &format!("timeline/{index}/{round}/{name}"));
                            Action::SetWorkload(workload.draw(number, &mut rng)?)
                        }
                        other => without_workload(other),
                    };
                    plan.push(Planned { at, vm: Some(vm), action, step: index });
                }
                let Some(every) = step.repeat_every.filter(|every| !every.is_zero()) else { break };
                round += 1;
                start = first + every.saturating_mul(u32::try_from(round).unwrap_or(u32::MAX));
            }
        }
        plan.retain(|planned| planned.at <= until);
        plan.sort_by_key(|planned| (planned.at, planned.step));
        Ok(plan)
    }

    /// What runs in each VM from its login on, in the order of the VMs.
    ///
    /// # Errors
    /// A workload that the guest model does not take at the amount that was drawn.
    pub fn initial_workloads(&self, seed: u64) -> Result<Vec<Option<WorkloadConfig>>, BadWorkload> {
        self.vms
            .iter()
            .map(|vm| {
                let mut rng = random::stream(seed, &format!("workload/{}", vm.name));
                vm.workload.as_ref().map(|workload| workload.draw(&vm.number, &mut rng)).transpose()
            })
            .collect()
    }
}

/// The same action of another kind of workload; a workload itself does not come here.
fn without_workload<W>(action: &Action<super::Workload>) -> Action<W> {
    match action {
        Action::Start { while_host_used_below, patience } => {
            Action::Start { while_host_used_below: while_host_used_below.clone(), patience: *patience }
        }
        Action::Stop { turn_off } => Action::Stop { turn_off: *turn_off },
        Action::Reboot => Action::Reboot,
        Action::Unload | Action::SetWorkload(_) => Action::Unload,
        Action::SetVmMemory { buffer, weight } => Action::SetVmMemory { buffer: *buffer, weight: *weight },
        Action::SetMemoryReserve(reserve) => Action::SetMemoryReserve(*reserve),
        Action::InjectFault { fault, duration } => Action::InjectFault { fault: *fault, duration: *duration },
        Action::Mark(text) => Action::Mark(text.clone()),
    }
}
