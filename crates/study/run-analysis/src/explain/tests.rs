use balancing_policy::{HostView, Policy, Proposal, Reason, VmView};
use component_runtime::Driver;
use run_journal::{EVENTS_FILE, EventsLevel, events};

use super::*;
use scenario::file::{self, LoadOptions};
use scenario::run::{self, Choices, RunOptions};

/// Two VMs on a host that is too small for both: A grows first, then B at A's cost.
const SCENARIO: &str = r#"
    until = "10m"
    [host]
    memory = "4GB"
    [[vm]]
    name = "VM{n}"
    numbers = "1..2"
    guest = "ws2008-r2-sp1-enterprise"
    startup_bytes = "512MB"
    maximum_bytes = "3GB"
    [[timeline]]
    at = "0s"
    action = "start"
    vm = "VM1"
    [[timeline]]
    at = "2m"
    action = "set_workload"
    vm = "VM1"
    workload = { kind = "step", to = "1400MB" }
    [[timeline]]
    at = "4m"
    action = "start"
    vm = "VM2"
    [[timeline]]
    at = "6m"
    action = "set_workload"
    vm = "VM2"
    workload = { kind = "ramp", to = "1400MB", duration = "1m" }
"#;

fn plan() -> run::Plan {
    let scenario = file::parse("two.toml", SCENARIO, &LoadOptions::default()).unwrap();
    run::build::plan_alone(&scenario, &Choices::default()).unwrap()
}

fn events_of(run: impl FnOnce(RunOptions)) -> Vec<Record> {
    let folder = tempfile::tempdir().unwrap();
    run(RunOptions {
        driver: Driver::Inline,
        directory: Some(folder.path().to_owned()),
        events: EventsLevel::All,
        ..RunOptions::default()
    });
    events::Reader::open(&folder.path().join(EVENTS_FILE)).unwrap().map(Result::unwrap).collect()
}

fn events() -> Vec<Record> {
    events_of(|options| {
        run::run(plan(), options).unwrap();
    })
}

type NoError = std::convert::Infallible;

fn explained(records: &[Record], vm: &str, seconds: u64) -> Result<Explanation, ExplainError<NoError>> {
    let records = records.iter().cloned().map(Ok::<_, NoError>);
    explain(records, "hyperv", vm, Duration::from_secs(seconds), Some(Duration::from_secs(600)))
}

#[test]
fn every_moment_of_a_run_has_its_explanation() {
    let records = events();
    let at = |vm: &str, seconds| explained(&records, vm, seconds).unwrap();

    let before = at("VM2", 100);
    assert_eq!(before.then.life, Life::NeverStarted);
    assert!(before.to_string().contains("VM2 had no memory at 1m40s: it had not been started."), "{before}");

    // The step comes with the guest's next report; a decision follows, and memory.
    let step = at("vm1", 124);
    assert_eq!(step.vm, "VM1");
    let decision = step.then.decision.clone().unwrap();
    assert_eq!(decision.rule, "short");
    assert!(decision.target > decision.assigned);
    assert!(step.effects.iter().any(|effect| &*effect.event == "add_memory"));
    assert!(step.effects.iter().any(|effect| &*effect.event == "pages_mapped"));
    let text = step.to_string();
    for part in [
        "The host",
        "The decision",
        "`short`",
        "left the band at the top",
        "The balancer grants it",
        "Who else",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }

    // VM2's demand is met at VM1's cost.
    let contention = at("VM1", 430);
    let text = contention.to_string();
    assert!(contention.others.contains_key("VM2"));
    assert_eq!(contention.host.as_ref().map(|host| host.rule.as_str()), Some("shortage"), "{text}");
    assert_eq!(
        contention.then.decision.as_ref().map(|decided| decided.rule.as_str()),
        Some("shortage"),
        "{text}"
    );
    assert!(text.contains("all give way together") && text.contains("VM2"), "{text}");
    // What it had is what the counters say: the sum of all that was mapped and unmapped.
    let has = contention.then.has;
    assert!(has < PageCount::from_mib(2100) && has > PageCount::from_mib(1000), "{}", mb(has));
}

fn mb(pages: PageCount) -> String {
    pages.to_string()
}

#[test]
fn what_cannot_be_explained_is_refused() {
    let records = events();
    let said = |vm: &str, seconds| explained(&records, vm, seconds).unwrap_err().to_string();
    assert_eq!(said("VM3", 10), "no event is about a VM \"VM3\"; there are VM1, VM2; did you mean \"VM1\"?");
    assert_eq!(said("VM1", 700), "the run has ended by then: its last event is at 10m");
    let without: Vec<Record> = records.into_iter().filter(|record| &*record.event != "decision").collect();
    assert!(explained(&without, "VM1", 10).unwrap_err().to_string().contains("--events all"));
}

/// Gives everyone twice the demand, and panics in every round after the third minute.
struct Fails;

impl Policy for Fails {
    fn name(&self) -> &str {
        "fails"
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        if host.now >= Duration::from_secs(180) {
            // A panic without its message on standard error.
            std::panic::resume_unwind(Box::new("after three minutes"));
        }
        for (index, vm) in vms.iter().enumerate() {
            let target = vm.reachable(vm.demand().unwrap_or(vm.expected()) * 2);
            proposal.set(index, target, Reason::new("twice").with("demand_mib", 1.0));
        }
    }
}

#[test]
fn a_policy_that_fails_loses_its_rounds_and_the_run_goes_on() {
    let records = events_of(|options| {
        run::run_with_policy(plan(), options, Box::new(Fails)).unwrap();
    });
    let failed: Vec<&Record> = records.iter().filter(|record| &*record.event == "policy_failed").collect();
    let first = failed.first().unwrap();
    assert_eq!(text(first, "policy"), "fails");
    assert!(text(first, "why").contains("after three minutes"));
    assert!(failed.len() > 20, "{}", failed.len());
    // The last targets hold, and say so.
    let explanation = explained(&records, "VM1", 400).unwrap();
    assert!(explanation.policy_failures > 20);
    let decision = explanation.then.decision.clone().unwrap();
    assert_eq!(decision.rule, "twice");
    assert!(decision.at < Duration::from_secs(181));
    assert!(explanation.to_string().contains("The policy had failed in"), "{explanation}");
}

#[test]
fn numbers_of_the_past_are_not_told_as_those_of_now() {
    let records = events();
    // The first state of the host was found when nothing ran, and stood for minutes.
    let explanation = explained(&records, "VM1", 100).unwrap();
    let host = explanation.host.clone().unwrap();
    assert!(host.at < Duration::from_secs(30), "{host:?}");
    let said = explanation.to_string();
    assert!(!said.contains("capacity") && !said.contains("available 3"), "{said}");
    assert!(said.contains(&format!("found is event {}.", host.seq)), "{said}");
    assert!(said.contains("At 1m40s, 1 VM was running; it had 512 MB and needed "), "{said}");
    // Before its first report nobody knows what a guest needs.
    let said = explained(&records, "VM1", 5).unwrap().to_string();
    assert!(
        said.contains("At 5s, 1 VM was running; it had 512 MB, and its guest had not reported."),
        "{said}"
    );
}

/// Without the traffic of every second nothing is known of what guests reported: that they had not is not said.
#[test]
fn reports_that_were_not_recorded_are_not_told_as_none() {
    let mut records = events();
    records.retain(|record| &*record.event != "status_report");
    let said = explained(&records, "VM1", 100).unwrap().to_string();
    assert!(said.contains("  What its guest reported is not among the events.\n"), "{said}");
    assert!(said.contains("At 1m40s, 1 VM was running; it had 512 MB."), "{said}");
    let said = explained(&records, "VM1", 300).unwrap().to_string();
    assert!(said.contains(" VMs were running; together they had ") && said.contains("not known"), "{said}");
    assert!(
        !said.contains("needed 0") && !said.contains("not reported") && !said.contains("no report"),
        "{said}"
    );
}

/// Available Memory of a time is that of this time: neither of the run's beginning, nor of its end.
#[test]
fn the_host_is_told_as_it_was_at_the_time() {
    let options = RunOptions { driver: Driver::Inline, keep_points: true, ..RunOptions::default() };
    let plan = plan();
    let outcome = run::run(plan.clone(), options).unwrap();
    let run = crate::figures::Recorded::of(&plan, outcome.points.all());
    let records = events();
    let available = |seconds: u64| {
        let sample = run.points.iter().find(|point| point.time == Duration::from_secs(seconds)).unwrap();
        sample.host.available
    };
    let (first, then, last) = (available(0), available(300), available(600));
    assert!(then != first && then != last, "{first} {then} {last}");
    let explanation = explained(&records, "VM1", 300).unwrap();
    let explanation = explanation.with(Measured::of(&run, Duration::from_secs(300)));
    let said = explanation.to_string();
    assert!(said.contains(&format!("Available Memory was {}", tell::mb(then))), "{said}");
    assert!(said.contains("(counters of 5m)"), "{said}");
    // Between two samples the one before counts.
    let between = Measured::of(&run, Duration::from_millis(300_400)).unwrap();
    assert_eq!((between.at, between.available), (Duration::from_secs(300), then));
}

#[test]
fn an_explanation_fits_a_terminal() {
    for seconds in [100, 124, 430, 599] {
        let said = explained(&events(), "VM1", seconds).unwrap().to_string();
        let wide: Vec<&str> =
            said.lines().filter(|line| line.starts_with("  VM") && line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{wide:?}");
    }
}
