//! What is printed of the state of all VMs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use page_range::PageCount;
use qemu_host::{Snapshot, VmSnapshot, calm};
use run_analysis::explain::words;
use terminal_text::escape;

/// Prints. Whoever has closed standard output does not want to read, and the daemon goes on.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The state of host and VMs as a text of several lines.
pub(crate) fn state(snapshot: &Snapshot, dry_run: bool) -> String {
    let mut text = String::new();
    let ledger = &snapshot.ledger;
    let budget = snapshot.total.saturating_sub(snapshot.reserve);
    let _ = writeln!(
        text,
        "{}  VMs {} of {} MB ({} MB available, {} MB reserve), policy {}{}{}",
        quantities::format_duration(Duration::from_secs(snapshot.now.as_secs())),
        (ledger.assigned + ledger.granted).whole_mib(),
        budget.whole_mib(),
        ledger.available.whole_mib(),
        snapshot.reserve.whole_mib(),
        snapshot.policy,
        if snapshot.shortage { ", SHORTAGE" } else { "" },
        if dry_run { ", dry run: nothing is moved" } else { "" },
    );
    if snapshot.vms.is_empty() {
        text.push_str("  no VM found\n");
        tell_troubles(&mut text, snapshot);
        return text;
    }
    let width = snapshot.vms.iter().map(|vm| vm.name.chars().count()).max().unwrap_or(0).max(4);
    let would = if dry_run { "would have" } else { "target" };
    let _ = writeln!(
        text,
        "  {:width$}  {:>7}  {:>7}  {:>8}  {:>10}  why",
        "VM", "has", "demand", "pressure", would
    );
    for vm in &snapshot.vms {
        let _ = writeln!(text, "  {}", line(vm, snapshot, width, dry_run));
    }
    tell_troubles(&mut text, snapshot);
    text
}

/// Sockets behind which there is no VM that could be looked after.
fn tell_troubles(text: &mut String, snapshot: &Snapshot) {
    for (place, why) in &snapshot.troubles {
        let _ = writeln!(text, "  {}: {}", escape(&place.display().to_string()), escape(why));
    }
}

fn mb(pages: PageCount) -> String {
    format!("{} MB", pages.whole_mib())
}

fn line(vm: &VmSnapshot, snapshot: &Snapshot, width: usize, dry_run: bool) -> String {
    let demand = vm.seen.report.as_ref().map(|(_, status)| status.demand);
    let has = vm.seen.actual;
    let pressure = demand
        .map_or_else(|| "-".to_owned(), |demand| format!("{:.0} %", balancing_policy::pressure(demand, has)));
    let aim = if dry_run { vm.assigned } else { vm.target.map(|target| target.pages) };
    format!(
        "{:width$}  {:>7}  {:>7}  {:>8}  {:>10}  {}",
        escape(&vm.name),
        mb(has),
        demand.map_or_else(|| "-".to_owned(), mb),
        pressure,
        aim.map_or_else(|| "-".to_owned(), mb),
        why(vm, snapshot.now, &snapshot.policy)
    )
}

/// Why the VM has, or is to have, what it does.
fn why(vm: &VmSnapshot, now: Duration, policy: &str) -> String {
    if let Some(held) = &vm.seen.held {
        return format!("held: {held}");
    }
    if vm.waits {
        return "waits: the VMs have more memory than there is for them".to_owned();
    }
    match vm.seen.report {
        None => return "its guest has not reported (is its balloon driver loaded?)".to_owned(),
        Some((at, _)) if now.saturating_sub(at) >= Duration::from_secs(10) => {
            return format!("held: its guest last reported {} s ago", now.saturating_sub(at).as_secs());
        }
        Some(_) => {}
    }
    let Some(target) = &vm.target else { return String::new() };
    rule(policy, target.reason.rule())
}

/// A rule in plain words, if it is known.
fn rule(policy: &str, rule: &str) -> String {
    words::rule(policy, rule).map_or_else(|| rule.to_owned(), |words| format!("{rule}: {words}"))
}

/// All about one VM: what it has, what is said about it, what decided.
pub(crate) fn explain(snapshot: &Snapshot, vm: &VmSnapshot, dry_run: bool) -> String {
    let mut text = String::new();
    let mut say = |what: &str, value: String| {
        let _ = writeln!(text, "  {what:14}  {value}");
    };
    say("has", mb(vm.seen.actual));
    if let Some(assigned) = vm.assigned {
        say(if dry_run { "would have" } else { "charged" }, mb(assigned));
    }
    say("device", format!("{} of QEMU {}", vm.facts.device, escape(&vm.facts.version)));
    let settings = &vm.settings;
    say("bounds", format!("{} to {}", mb(settings.minimum), mb(settings.maximum)));
    say("buffer", format!("{} % of what its guest needs", settings.buffer));
    say("weight", format!("{} of 10000", settings.weight));
    match &vm.seen.report {
        Some((at, status)) => {
            let age = snapshot.now.saturating_sub(*at).as_secs();
            let (demand, available) = (mb(status.demand), mb(status.available));
            say("its guest", format!("needs {demand}, has {available} available ({age} s ago)"));
            let every = vm.seen.asked_every;
            say(
                "is asked",
                if every > calm::OFTEN {
                    format!("every {} s: its need stands still", every.as_secs())
                } else {
                    "every second".to_owned()
                },
            );
        }
        None => say("its guest", "has not reported".to_owned()),
    }
    say("why", why(vm, snapshot.now, &snapshot.policy));
    if let Some(target) = &vm.target {
        let inputs: Vec<String> =
            target.reason.inputs().iter().map(|(name, value)| format!("{name}={value:.3}")).collect();
        say("target", mb(target.pages));
        if !inputs.is_empty() {
            say("by", words::inputs(&inputs.join(",")));
        }
    }
    if snapshot.shortage {
        say("host", "the VMs together need more than there is for them".to_owned());
    }
    format!("{}\n{text}", escape(&vm.name))
}
