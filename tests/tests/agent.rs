//! What an agent in a guest measures, from the guest's model over its key-value daemon, the bus and the worker to the policy.

use std::sync::Arc;
use std::time::Duration;

use balancing_policy::{GuestInsight, HostView, Policy, Proposal, VmView};
use component_runtime::Driver;
use memory_balancer::hyperv::PressureBandPolicy;
use model_sync::Mutex;
use run_journal::EventsLevel;
use scenario::run::{self, RunOptions};
use whole_stack_tests::journey::{self, s};

/// A Linux guest that cannot have what its application touches.
const THRASHES: &str = r#"
title = "A guest that thrashes"
until = "5m"

[host]
memory = "8GB"
dynamic_memory_versions = ["2.0"]

[[vm]]
name = "A"
guest = "linux"
startup_bytes = "512MB"
maximum_bytes = "512MB"
minimum_bytes = "512MB"

[[timeline]]
at = "0s"
action = "start"
vm = "all"

[[timeline]]
at = "1m"
action = "set_workload"
vm = "A"
workload = { kind = "step", to = "900MB", hold = "1h" }

[[timeline]]
at = "3m"
action = "reboot"
vm = "A"
"#;

type Seen = Arc<Mutex<Vec<(Duration, Option<GuestInsight>)>>>;

/// Hyper-V's policy, with somebody who looks over its shoulder.
struct Watched(PressureBandPolicy, Seen);

impl Policy for Watched {
    fn name(&self) -> &str {
        "watched"
    }
    fn uses_priority(&self) -> bool {
        true
    }
    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        let seen = vms.iter().map(|vm| (host.now, vm.measured().cloned()));
        self.1.lock().extend(seen);
        self.0.round(host, vms, proposal);
    }
}

/// What the policy saw of the guest's agent, with `agent` in the VM's table.
fn seen(agent: &str) -> Vec<(Duration, Option<GuestInsight>)> {
    let text = THRASHES.replace("guest = \"linux\"", &format!("guest = \"linux\"\n{agent}"));
    let seen = Seen::default();
    let policy = Watched(PressureBandPolicy::default(), Arc::clone(&seen));
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::None,
        check_guests: true,
        ..RunOptions::default()
    };
    run::run_with_policy(journey::plan(&text, 1), options, Box::new(policy)).unwrap();
    std::mem::take(&mut *seen.lock())
}

#[test]
fn what_a_guest_measures_comes_to_the_policy_and_begins_anew_with_a_boot() {
    let seen = seen("agent = [\"stalls\", \"active\", \"curve\"]");
    let at = |time: Duration| {
        let insight = seen.iter().rfind(|(at, _)| *at <= time).and_then(|(_, insight)| insight.clone());
        insight.unwrap_or_default()
    };
    let idle = at(s(59));
    assert!(idle.stalls.unwrap().some.total.is_zero() && idle.active.is_some() && idle.curve.is_some());
    // It wants 900 MB and has 512.
    let thrashing = at(s(175));
    let stalls = thrashing.stalls.unwrap();
    assert!(stalls.some.avg10 > 50.0 && stalls.some.total > s(60), "{stalls:?}");
    assert!(thrashing.active.unwrap() > idle.active.unwrap());
    let set = thrashing.curve.unwrap().size_for(0.0).mib();
    assert!(set > 900.0, "{set} MB are touched");
    // While it boots nobody says anything; then it counts from 0.
    let boots: Vec<u64> = seen
        .iter()
        .filter(|(at, insight)| *at > s(180) && insight.is_none())
        .map(|(at, _)| at.as_secs())
        .collect();
    assert!(boots.len() > 2, "{boots:?}");
    assert!(at(s(290)).stalls.unwrap().some.total < s(1), "{:?}", at(s(290)));
}

#[test]
fn a_guest_says_what_it_was_asked_to_measure_and_without_an_agent_nothing() {
    let last = |agent: &str| seen(agent).pop().unwrap().1;
    assert_eq!(last(""), None);
    assert_eq!(last("agent = []"), None);
    let active = last("agent = \"active\"").unwrap();
    assert!(active.active.is_some() && active.stalls.is_none() && active.curve.is_none());
}
