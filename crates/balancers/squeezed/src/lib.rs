//! XenServer's `squeezed`: every VM is the same part of the way from its minimum to its maximum.
//!
//! # The algorithm
//!
//! target = minimum + γ · (maximum − minimum), with one γ in 0..1 for all, such that what is left free is what the host needs
//! ([`gamma`], [`Domain`]). Every 10 s, and as soon as a VM waits to start, there is a *run*: first only what shrinks is
//! asked for, and when all that is done, what grows. A VM that makes no progress for 5 s is *stuck*: it is left out of γ
//! (others make up for it), is asked for no more than it has, and is called *uncooperative* after 20 s. That is remembered
//! from run to run: forgotten, every run would count on its memory again, and everyone would go up and down.
//!
//! The policy asks no VM how much it needs: there is no demand, no priority and no hysteresis but a slack of 4 KiB.
//!
//! Source: `squeezed` of the XenServer toolstack (`xapi-project/xen-api`, `ocaml/squeezed`), its design document.
//!
//! # Where this host differs
//!
//! * **A VM that starts** joins `squeezed`'s domains with a reservation. Here what it waits for is kept free for it, which
//!   changes γ by the same amount.
//! * **Xen moves pages one by one**; here they move in operations. What is granted counts as had.
//! * **Slack**: less than the host's least move is never moved, so a target nearer than that is reached. Everyone comes to
//!   rest a little apart from γ.
//! * A VM that cannot be moved now keeps what it has and counts as if it were no domain; so it is for `squeezed` with a
//!   domain without balloon driver.
//! * A VM that could not be *given* memory is asked for no more than it has, which it reaches at once; the VM is forgiven
//!   after a minute, so that it is tried again at all.
#![forbid(unsafe_code)]

mod constants;
mod proportion;

pub use constants::constants;
pub use proportion::{Domain, gamma};

use core::time::Duration;

use balancing_policy::{HostView, PageCount, PendingKind, PerVm, Policy, Proposal, Reason, VmView};
use serde::{Deserialize, Serialize};

use constants as c;

/// Parameters of the policy. The defaults are `squeezed`'s.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between the beginnings of runs.
    pub run_interval: Duration,
    /// Time between looks at a run that is under way.
    pub poll: Duration,
    /// What is kept free on the host.
    pub host_free: PageCount,
    /// Without progress for so long, a VM is stuck.
    pub stuck_after: Duration,
    /// Without progress for so long, a VM is uncooperative.
    pub uncooperative_after: Duration,
    /// A VM that could not be given memory is tried again after this.
    pub forgiven_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            run_interval: c::INTERVAL.duration(),
            poll: c::POLL.duration(),
            host_free: c::HOST_FREE.pages(),
            stuck_after: c::STUCK_AFTER.duration(),
            uncooperative_after: c::UNCOOPERATIVE_AFTER.duration(),
            forgiven_after: c::FORGIVEN_AFTER.duration(),
        }
    }
}

/// What is known of a VM from run to run.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    actual: PageCount,
    target: PageCount,
    /// The VM is away from what it is asked for, and has not moved since then.
    still_since: Option<Duration>,
    stuck: bool,
}

/// How a VM stands to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Distance {
    Above,
    At,
    Below,
}

/// How far a run has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Run {
    /// None is under way.
    #[default]
    Over,
    Shrinking,
    Growing,
}

/// XenServer's `squeezed`: see the [crate's documentation](crate).
#[derive(Clone, Debug, Default)]
pub struct Squeezed {
    config: Config,
    states: PerVm<State>,
    run: Run,
    next_run: Duration,
}

/// What the VM has, with what is granted to it.
fn actual(vm: &VmView) -> PageCount {
    match vm.pending {
        Some(pending) if pending.kind == PendingKind::Grow => vm.expected(),
        _ => vm.assigned,
    }
}

fn domain(vm: &VmView) -> Domain {
    Domain {
        minimum: vm.settings.minimum.get(),
        maximum: vm.settings.maximum.get(),
        actual: actual(vm).get(),
    }
}

fn distance(actual: PageCount, target: PageCount, slack: PageCount) -> Distance {
    if actual > target.saturating_add(slack) {
        Distance::Above
    } else if target > actual.saturating_add(slack) {
        Distance::Below
    } else {
        Distance::At
    }
}

impl Squeezed {
    /// Its name in `--policy`.
    pub const NAME: &'static str = "squeezed";

    /// The policy with these parameters.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Finds the VMs that have moved, those that are stuck, and those that are forgiven.
    fn watch(&mut self, now: Duration, vms: &[VmView]) {
        let config = self.config;
        for (vm, state) in vms.iter().zip(self.states.align(vms)) {
            let actual = actual(vm);
            if actual != state.actual || !vm.can_move() {
                // The VM moves, so it is not stuck; or it is no domain now.
                state.actual = actual;
                state.still_since = None;
                state.stuck = false;
                continue;
            }
            let Some(since) = state.still_since else { continue };
            let still = now.saturating_sub(since);
            state.stuck |= still >= config.stuck_after;
            if still >= config.forgiven_after && state.target > actual {
                state.still_since = None;
                state.stuck = false;
            }
        }
    }

    /// γ of those that can be moved and are not stuck.
    fn gamma(&self, host: &HostView<'_>, vms: &[VmView]) -> f64 {
        let domains = vms.iter().enumerate().filter_map(|(index, vm)| {
            let stuck = self.states.at(index).is_some_and(|state| state.stuck);
            (vm.can_move() && !stuck).then(|| domain(vm))
        });
        let waited_for = host.reservations.iter().fold(PageCount::ZERO, |sum, start| {
            sum.saturating_add(start.needed.saturating_sub(start.set_aside))
        });
        // What VMs have that is the parent OS's since its reserve was raised: not free, and to be given up as if it were.
        let held = vms.iter().fold(PageCount::ZERO, |sum, vm| sum.saturating_add(vm.expected()));
        let owed = held.saturating_sub(host.capacity);
        let keep_free = self.config.host_free.saturating_add(waited_for).saturating_add(owed);
        gamma(domains, host.available.get(), keep_free.get(), c::SLACK_PAGES)
    }
}

impl Policy for Squeezed {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn interval(&self) -> Duration {
        self.config.poll
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        self.watch(host.now, vms);
        if self.run == Run::Over && (host.now >= self.next_run || !host.reservations.is_empty()) {
            self.run = Run::Shrinking;
            self.next_run = host.now + self.config.run_interval;
        }
        let gamma = self.gamma(host, vms);
        let slack = PageCount(c::SLACK_PAGES / 2).max(host.minimum_move.saturating_sub(PageCount(1)));
        let config = self.config;
        let (mut shrinking, mut growing, mut uncooperative) = (false, false, 0);
        for (vm, state) in vms.iter().zip(self.states.align(vms)) {
            if self.run == Run::Over || !vm.can_move() {
                continue;
            }
            let domain = domain(vm);
            state.target = PageCount(domain.target(gamma));
            let distance = distance(state.actual, state.target, slack);
            shrinking |= distance == Distance::Above && !state.stuck;
            growing |= distance == Distance::Below && !state.stuck;
        }
        self.run = match (self.run, shrinking, growing) {
            (Run::Over, ..) | (_, false, false) => Run::Over,
            (_, true, _) => Run::Shrinking,
            (_, false, true) => Run::Growing,
        };
        let held: u128 = vms.iter().map(|vm| u128::from(vm.reachable(vm.expected()).get())).sum();
        let left = u128::from(host.capacity.get()).saturating_sub(held);
        let mut left = PageCount(u64::try_from(left).unwrap_or(u64::MAX));
        let run = self.run;
        for (index, (vm, state)) in vms.iter().zip(self.states.align(vms)).enumerate() {
            let has = vm.reachable(vm.expected());
            if !vm.can_move() {
                proposal.set(index, has, Reason::new("no-balloon").with("kept_mib", has.mib()));
                continue;
            }
            let distance = distance(state.actual, state.target, slack);
            let (rule, target) = match (distance, state.stuck) {
                // Stuck: min(target, actual).
                (Distance::Above, true) => ("stuck", state.target),
                (Distance::Below, true) => ("stuck", has),
                (Distance::Above, false) if run == Run::Shrinking => ("shrink", state.target),
                (Distance::Below, false) if run == Run::Growing => ("grow", state.target),
                (Distance::Below, false) if run == Run::Shrinking => ("grows-later", has),
                // The last step to the maximum is made however small it is.
                (Distance::At, false) if state.target == vm.settings.maximum => ("at-target", state.target),
                _ => ("at-target", has),
            };
            let target = vm.reachable(target);
            let target = target.min(has.saturating_add(left));
            left -= target.saturating_sub(has);
            let asked = matches!(rule, "shrink" | "grow" | "stuck");
            if !asked {
                state.still_since = None;
            } else if state.still_since.is_none() {
                state.still_since = Some(host.now);
            }
            let still = state.still_since.map_or(Duration::ZERO, |since| host.now.saturating_sub(since));
            let rule =
                if state.stuck && still >= config.uncooperative_after { "uncooperative" } else { rule };
            uncooperative += u32::from(rule == "uncooperative");
            let reason = Reason::new(rule)
                .with("gamma", gamma)
                .with("minimum_mib", vm.settings.minimum.mib())
                .with("maximum_mib", vm.settings.maximum.mib())
                .with("actual_mib", state.actual.mib())
                .with("wanted_mib", state.target.mib())
                .with("still_seconds", still.as_secs_f64());
            proposal.set(index, target, reason);
        }
        let rule = match self.run {
            Run::Over => "at-rest",
            Run::Shrinking => "shrinking",
            Run::Growing => "growing",
        };
        proposal.summarize(
            Reason::new(rule)
                .with("gamma", gamma)
                .with("available_mib", host.available.mib())
                .with("uncooperative", f64::from(uncooperative)),
        );
    }
}

#[cfg(test)]
mod tests;
