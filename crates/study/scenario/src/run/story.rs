//! A run told to a newcomer: what happened when, and what each VM had.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use quantities::format_duration;
use terminal_text::{Ink, Look, escape, width, wrap, wrap_after};

use super::kept::Points;
use super::plan::{Action, Plan};
use super::summary::{Summary, VmSummary};

/// VMs beyond which the table shows only those that differ most.
const ROWS: usize = 24;

/// Refused starts of which every entry of the event log is told. More would bury what else happened.
const REFUSED_STARTS: usize = 3;

/// The entries of a start that was refused, the last of them last: Hyper-V's event ids.
const REFUSED_START: [u32; 4] = [3122, 3050, 19544, 12030];

/// Columns before what happened: its time, and some room.
const TIMES: usize = 11;

/// Tells the run. What a file wrote (titles, marks, names) is escaped where it is not text. `look` says how wide lines are, and whether
/// VMs whose guests refused allocations are shown in red.
#[must_use]
pub fn tell(title: &str, plan: &Plan, summary: &Summary, points: &Points, look: Look) -> String {
    let mut text = String::new();
    let mut line = |words: &str| {
        text.push_str(words);
        text.push('\n');
    };
    let wrapped = |words: &str| wrap(words, look.columns);
    line(&wrapped(&format!("{}: {}", escape(&summary.scenario), escape(title))));
    let host = &summary.host;
    line(&wrapped(&format!(
        "Host with {} GB, {} MB of it reserved for the parent OS{}; policy {}, seed {}.",
        number(host.memory_mb / 1024.0),
        number(host.reserve_at_start_mb),
        if host.reserve_at_start_mb == host.reserve_mb {
            String::new()
        } else {
            format!(" ({} MB at the end)", number(host.reserve_mb))
        },
        summary.policy,
        summary.seed
    )));
    line("");
    let marks = plan.timeline.iter().filter_map(|step| match &step.action {
        Action::Mark(text) => Some((step.at.as_secs_f64(), text.clone())),
        _ => None,
    });
    let lowest = |from: f64, to: f64| {
        let between = points.all().iter().filter(|point| (from..=to).contains(&point.time.as_secs_f64()));
        between.map(|point| point.host.available.mib()).reduce(f64::min)
    };
    for (time, words) in happenings(marks.chain(tries(plan, summary)), summary, lowest) {
        let head = format!("{:>9}  ", clock(time));
        line(&wrap_after(&head, &escape(&words), look.columns, TIMES));
    }
    line("");
    line(&table(summary, look));
    let off: Vec<&str> = summary
        .vms
        .iter()
        .filter(|vm| vm.started_s.is_none() && vm.failed_starts == 0)
        .map(|vm| vm.name.as_str())
        .collect();
    if !off.is_empty() {
        line(&wrapped(&format!("Never started: {}.", escape(&listed(&off)))));
    }
    let hidden = summary.vms.len().saturating_sub(ROWS);
    if hidden > 0 {
        let vms = if hidden == 1 { "VM" } else { "VMs" };
        line(&wrapped(&format!(
            "({hidden} more {vms}, which lacked no more and changed no more than these: see summary.json)"
        )));
    }
    if let Some(words) = shortage(&summary.vms) {
        line("");
        line(&wrapped(&words));
    }
    if let (Some(available), Some(free)) = (host.available_memory_mb, host.parent_free_mb) {
        line("");
        line(&wrapped(&format!(
            "Balancer: Available Memory {} to {} MB, {} MB added in {} operations, {} MB removed in {}. Parent OS: {} to {} MB free, \
             {} page reads.",
            number(available.minimum),
            number(available.maximum),
            number(host.added_memory_mb),
            host.memory_add_operations,
            number(host.removed_memory_mb),
            host.memory_remove_operations,
            number(free.minimum),
            number(free.maximum),
            host.parent_page_reads
        )));
    }
    text
}

fn clock(seconds: f64) -> String {
    format_duration(Duration::from_secs_f64(seconds.max(0.0).round()))
}

/// A number of MB for reading: whole from 10 on.
fn number(value: f64) -> String {
    if value.abs() >= 10.0 || value == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// What happened in a run, in order of time: seconds of virtual time, and a sentence. `marks` are what its operator wrote and did;
/// `lowest_available` says the least Available Memory between two times in seconds, MB, if that is known.
#[must_use]
pub fn happenings(
    marks: impl IntoIterator<Item = (f64, String)>,
    summary: &Summary,
    lowest_available: impl Fn(f64, f64) -> Option<f64>,
) -> Vec<(f64, String)> {
    let mut all: Vec<(f64, String)> = marks.into_iter().collect();
    if let Some(phases) = &summary.phases {
        let vm = &phases.newcomer;
        all.push((phases.idle_s, format!("① {vm} has started and idles; the others keep what they have.")));
        all.push((
            phases.grows_s,
            format!("② {vm} is loaded and grows from what the host still has; the others are not affected."),
        ));
        let lowest = lowest_available(phases.contention_s, phases.falls_s)
            .map_or_else(String::new, |mb| format!(" Available Memory falls to {} MB.", number(mb)));
        all.push((
            phases.contention_s,
            format!(
                "③ {vm} has grown by {} MB and the host has nothing left: the others lose memory to {vm}.{lowest}",
                number(phases.undisturbed_growth_mb),
            ),
        ));
        let restored = phases.restored_s.map_or_else(
            || "not complete when the run ended".to_owned(),
            |time| format!("complete at {}", clock(time)),
        );
        all.push((
            phases.falls_s,
            format!("④ {vm} is unloaded: the others are given their memory again, {restored}."),
        ));
    }
    all.extend(logged(summary));
    all.extend(refusals(summary));
    for vm in &summary.vms {
        if let Some(time) = vm.in_guest.first_commit_failure_s {
            let most = vm.in_guest.refused_commit_mb.map_or(0.0, |refused| refused.maximum);
            let times = match vm.in_guest.commit_failures {
                1 => "once".to_owned(),
                failures => format!("{failures} times"),
            };
            all.push((
                time,
                format!(
                    "{}: the guest refuses its applications memory, {times} until the end and up to {} MB at once: its memory and \
                     its page file are committed.",
                    vm.name,
                    number(most)
                ),
            ));
        }
    }
    for panic in &summary.end.panics {
        all.push((summary.end.time_s, format!("a component panicked: {panic}")));
    }
    let running = summary.vms.iter().filter(|vm| vm.login_s.is_some()).count();
    if let Some(last) = summary.vms.iter().filter_map(|vm| vm.login_s).reduce(f64::max)
        && summary.phases.is_none()
    {
        let used = summary.host.used_mb.map_or(0.0, |used| used.last);
        let shown = match summary.vms.len() {
            1 => "The VM has shown its login screen.".to_owned(),
            vms => format!("{running} of {vms} VMs have shown their login screen."),
        };
        all.push((last, shown));
        all.push((
            summary.end.time_s,
            format!(
                "The host has {:.2} GB in use, {} MB of it assigned to VMs.",
                used / 1024.0,
                number(assigned(summary))
            ),
        ));
    }
    all.push((summary.end.time_s, format!("The run ends: {}.", summary.end.reason)));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all
}

/// The event log; of starts that were refused in numbers the first few, and how many more.
fn logged(summary: &Summary) -> Vec<(f64, String)> {
    let mut all = Vec::new();
    let mut refused = 0;
    // When the first that is not told was refused, and when the last.
    let mut untold: Option<(f64, f64)> = None;
    for event in &summary.event_log {
        let of_refusal = REFUSED_START.contains(&event.id);
        if !of_refusal || refused < REFUSED_STARTS {
            all.push((event.time_s, format!("{} ({}, {})", event.text, event.log, event.id)));
        } else {
            untold = Some((untold.map_or(event.time_s, |(first, _)| first), event.time_s));
        }
        refused += usize::from(REFUSED_START.last() == Some(&event.id));
    }
    if let Some((first, last)) = untold {
        let more = refused.saturating_sub(REFUSED_STARTS);
        let words = if more == 1 {
            "One more start fails like these".to_owned()
        } else {
            format!("{more} more starts fail like these until {}", clock(last))
        };
        all.push((first, format!("{words}: see event_log in summary.json.")));
    }
    all
}

/// Who was short of memory, for how long and by how much; `None` if nobody was.
fn shortage(vms: &[VmSummary]) -> Option<String> {
    let short: Vec<&VmSummary> = vms.iter().filter(|vm| vm.longest_shortage_s > 0.0).collect();
    let longest = short.iter().copied().reduce(|longest, vm| {
        if vm.longest_shortage_s > longest.longest_shortage_s { vm } else { longest }
    })?;
    let unmet: f64 = vms.iter().map(|vm| vm.unmet_demand_mb_s).sum();
    Some(format!(
        "Short of memory at some time: {} of {} VMs, longest {} with {} without a break. Unmet demand of all: {} MB·s.",
        short.len(),
        vms.len(),
        escape(&longest.name),
        clock(longest.longest_shortage_s),
        number(unmet)
    ))
}

/// That the operator asks for a VM again whose start was refused.
#[must_use]
pub fn start_again(vm: &str, number: u32, tries: u32) -> String {
    format!("The operator asks {vm} to start again: try {number} of {tries}.")
}

/// Starts that the operator asked for again after a refusal.
fn tries(plan: &Plan, summary: &Summary) -> Vec<(f64, String)> {
    let mut all = Vec::new();
    for step in &plan.timeline {
        let Action::Start { vm, patience, .. } = step.action else { continue };
        let name = &plan.vms[vm].name;
        let refusal = format!("'{name}' failed to start.");
        for number in 1..patience.tries {
            let asked = step.at.saturating_add(patience.retry_after.saturating_mul(number - 1)).as_secs_f64();
            let refused = |event: &super::summary::LoggedEvent| {
                event.text.starts_with(&refusal) && (asked..asked + 1.0).contains(&event.time_s)
            };
            if !summary.event_log.iter().any(refused) {
                break;
            }
            all.push((
                asked + patience.retry_after.as_secs_f64(),
                start_again(name, number + 1, patience.tries),
            ));
        }
    }
    all.retain(|(time, _)| *time <= summary.end.time_s);
    all
}

/// Which VMs keep their startup RAM since their drivers and the host speak no common version of Dynamic Memory: one line for each
/// reason, when the first of them was refused.
fn refusals(summary: &Summary) -> Vec<(f64, String)> {
    let mut by_reason: BTreeMap<&str, (f64, Vec<&str>)> = BTreeMap::new();
    for vm in &summary.vms {
        if let Some(refusal) = &vm.dynamic_memory_refused {
            let (time, names) = by_reason.entry(&refusal.why).or_insert((refusal.time_s, Vec::new()));
            *time = time.min(refusal.time_s);
            names.push(&vm.name);
        }
    }
    by_reason.into_iter().map(|(why, (time, names))| (time, format!("{}: {why}.", listed(&names)))).collect()
}

fn assigned(summary: &Summary) -> f64 {
    let running = summary.vms.iter().filter(|vm| vm.state == vmms_host::VmState::Running);
    running.filter_map(|vm| vm.physical_memory_mb).map(|physical| physical.last).sum()
}

/// Some names, and how many more there are.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// How a table of VMs is laid out.
#[derive(Clone, Copy)]
struct Layout {
    /// Whether there is a column of refused allocations: an empty column would say nothing.
    refusals: bool,
    /// Whether each row ends with the VM's guest.
    guests: bool,
    /// Spaces between columns.
    between: u16,
    /// Columns that a name may take; a longer one has a line of its own.
    names: usize,
}

/// The table of VMs, as it fits the terminal: guests in its last column if there is room, else in a list below it.
fn table(summary: &Summary, look: Look) -> String {
    let refusals = summary.vms.iter().any(|vm| vm.in_guest.commit_failures > 0);
    let vms = &rows(&summary.vms)[..];
    let title = format!(
        "Physical Memory in MB, pressure in percent (final and peak), operations that added and removed memory{}:",
        if refusals { ", allocations that the guest refused" } else { "" }
    );
    let fits = |lines: &[String]| lines.iter().all(|line| width(line) <= look.columns);
    let whole = Layout { refusals, guests: true, between: 2, names: usize::MAX };
    let mut lines = table_lines(vms, whole);
    let guests = !fits(&lines);
    for between in [2, 1] {
        if !fits(&lines) {
            lines = table_lines(vms, Layout { guests: false, between, ..whole });
        }
    }
    if !fits(&lines) {
        let name = vms.iter().map(|vm| width(&escape(&vm.name))).max().unwrap_or(0);
        let others = lines.iter().map(|line| width(line)).max().unwrap_or(0).saturating_sub(name);
        let names = look.columns.saturating_sub(others).max(2);
        lines = table_lines(vms, Layout { guests: false, between: 1, names, ..whole });
    }
    let header = lines.first().cloned();
    let rows = lines.iter().skip(1).zip(vms).map(|(line, vm)| {
        if vm.in_guest.commit_failures > 0 { look.paint(Ink::Bad, line) } else { line.clone() }
    });
    let mut out: Vec<String> = [wrap(&title, look.columns)].into_iter().chain(header).chain(rows).collect();
    if guests {
        out.push(String::new());
        out.extend(guest_list(vms).iter().map(|line| wrap_after("", line, look.columns, 2)));
    }
    out.join("\n")
}

/// The VMs that the table shows, in their order: all, or those that lacked most and whose memory changed most.
fn rows(vms: &[VmSummary]) -> Vec<&VmSummary> {
    let changed = |vm: &VmSummary| vm.physical_memory_mb.map_or(0.0, |has| has.maximum - has.minimum);
    let mut order: Vec<(usize, &VmSummary)> = vms.iter().enumerate().collect();
    // The sort keeps the order of those that are alike.
    order.sort_by(|(_, a), (_, b)| {
        b.unmet_demand_mb_s.total_cmp(&a.unmet_demand_mb_s).then(changed(b).total_cmp(&changed(a)))
    });
    // Half of the places for either, so that one that changed much is there whoever lacked a little.
    let mut by_change = order.clone();
    by_change.sort_by(|(_, a), (_, b)| changed(b).total_cmp(&changed(a)));
    let mut chosen: Vec<usize> = Vec::new();
    for ((lacked, _), (changed, _)) in order.iter().zip(&by_change) {
        for vm in [*lacked, *changed] {
            if chosen.len() < ROWS && !chosen.contains(&vm) {
                chosen.push(vm);
            }
        }
    }
    chosen.sort_unstable();
    chosen.into_iter().filter_map(|vm| vms.get(vm)).collect()
}

/// The guests, each with the VMs that run it.
fn guest_list(vms: &[&VmSummary]) -> Vec<String> {
    let mut known: Vec<(&str, Vec<&str>)> = Vec::new();
    for vm in vms {
        match known.iter_mut().find(|(guest, _)| *guest == vm.guest) {
            Some((_, names)) => names.push(&vm.name),
            None => known.push((&vm.guest, vec![&vm.name])),
        }
    }
    let line =
        |(guest, names): &(&str, Vec<&str>)| format!("{}: {}", escape(guest), escape(&names.join(", ")));
    known.iter().map(line).collect()
}

/// The lines of the table: the header, then a row for each VM, which may have a line for its name.
fn table_lines(vms: &[&VmSummary], layout: Layout) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(NOTHING);
    let mut header =
        vec!["VM", "startup", "minimum", "peak", "final", "visible", "pressure", "peak", "added", "removed"];
    if layout.refusals {
        header.push("refused");
    }
    if layout.guests {
        header.push("guest");
    }
    let text = header.len() - usize::from(layout.guests);
    table.set_header(header);
    for (index, column) in table.column_iter_mut().enumerate() {
        if index != 0 && index != text {
            column.set_cell_alignment(CellAlignment::Right);
        }
        column.set_padding((0, layout.between));
    }
    let long = |vm: &VmSummary| width(&escape(&vm.name)) > layout.names;
    for vm in vms {
        let mut row = row(vm, layout);
        if long(vm) {
            row[0].clear();
        }
        table.add_row(row);
    }
    // A header, then a row for each VM; cells do not have several lines.
    let table = table.trim_fmt();
    let names = [None].into_iter().chain(vms.iter().map(|vm| long(vm).then(|| escape(&vm.name))));
    let lines = table.lines().zip(names);
    lines.map(|(line, name)| name.map_or_else(|| line.to_owned(), |name| format!("{name}\n{line}"))).collect()
}

fn row(vm: &VmSummary, layout: Layout) -> Vec<String> {
    let missing = || "–".to_owned();
    let of = |spread: Option<super::summary::Spread>, pick: fn(&super::summary::Spread) -> f64| {
        spread.as_ref().map_or_else(missing, |spread| number(pick(spread)))
    };
    let mut row = vec![
        escape(&vm.name).into_owned(),
        number(vm.startup_mb),
        of(vm.physical_memory_mb, |spread| spread.minimum),
        of(vm.physical_memory_mb, |spread| spread.maximum),
        of(vm.physical_memory_mb, |spread| spread.last),
        of(vm.guest_visible_mb, |spread| spread.last),
        of(vm.current_pressure, |spread| spread.last),
        of(vm.current_pressure, |spread| spread.maximum),
        vm.memory_add_operations.to_string(),
        vm.memory_remove_operations.to_string(),
    ];
    if layout.refusals {
        row.push(vm.in_guest.commit_failures.to_string());
    }
    if layout.guests {
        row.push(escape(&vm.guest).into_owned());
    }
    row
}
