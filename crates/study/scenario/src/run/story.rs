//! A run told to a newcomer: what happened when, and what each VM had.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use quantities::format_duration;
use terminal_text::escape;

use super::kept::Points;
use super::plan::{Action, Plan};
use super::summary::{Summary, VmSummary};

/// VMs beyond which the table shows only those that differ most.
const ROWS: usize = 24;

/// Tells the run. What a file wrote (titles, marks, names) is escaped where it is not text. `colour`: what VMs were refused is
/// shown in red, for a terminal.
#[must_use]
pub fn tell(title: &str, plan: &Plan, summary: &Summary, points: &Points, colour: bool) -> String {
    let mut text = String::new();
    let mut line = |words: String| {
        text.push_str(&words);
        text.push('\n');
    };
    line(format!("{}: {}", escape(&summary.scenario), escape(title)));
    let host = &summary.host;
    line(format!(
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
    ));
    line(String::new());
    let marks = plan.timeline.iter().filter_map(|step| match &step.action {
        Action::Mark(text) => Some((step.at.as_secs_f64(), text.clone())),
        _ => None,
    });
    let lowest = |from: f64, to: f64| {
        let between = points.all().iter().filter(|point| (from..=to).contains(&point.time.as_secs_f64()));
        between.map(|point| point.host.available.mib()).reduce(f64::min)
    };
    for (time, words) in happenings(marks, summary, lowest) {
        line(format!("{:>9}  {}", clock(time), escape(&words)));
    }
    line(String::new());
    line(table(summary, colour));
    let off: Vec<&str> = summary
        .vms
        .iter()
        .filter(|vm| vm.started_s.is_none() && vm.failed_starts == 0)
        .map(|vm| vm.name.as_str())
        .collect();
    if !off.is_empty() {
        line(format!("Never started: {}.", escape(&listed(&off))));
    }
    if summary.vms.len() > ROWS {
        line(format!("({} more VMs: see summary.json)", summary.vms.len() - ROWS));
    }
    if let (Some(available), Some(free)) = (host.available_memory_mb, host.parent_free_mb) {
        line(String::new());
        line(format!(
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
        ));
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

/// What happened in a run, in order of time: seconds of virtual time, and a sentence. `marks` are those of its timeline;
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
    for event in &summary.event_log {
        all.push((event.time_s, format!("{} ({}, {})", event.text, event.log, event.id)));
    }
    all.extend(refusals(summary));
    for vm in &summary.vms {
        if let Some(time) = vm.in_guest.first_commit_failure_s {
            let most = vm.in_guest.refused_commit_mb.map_or(0.0, |refused| refused.maximum);
            all.push((
                time,
                format!(
                    "{}: the guest refuses its applications memory, {} times until the end and up to {} MB at once: its memory and \
                     its page file are committed.",
                    vm.name,
                    vm.in_guest.commit_failures,
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
        all.push((last, format!("{running} of {} VMs have shown their login screen.", summary.vms.len())));
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

fn table(summary: &Summary, colour: bool) -> String {
    // A column that would be empty says nothing.
    let refusals = summary.vms.iter().any(|vm| vm.in_guest.commit_failures > 0);
    let mut table = Table::new();
    table.load_style(NOTHING);
    let mut header =
        vec!["VM", "startup", "minimum", "peak", "final", "visible", "pressure", "peak", "added", "removed"];
    if refusals {
        header.push("refused");
    }
    header.push("guest");
    let last = header.len() - 1;
    table.set_header(header);
    for (index, column) in table.column_iter_mut().enumerate() {
        if index != 0 && index != last {
            column.set_cell_alignment(CellAlignment::Right);
        }
        column.set_padding((0, 2));
    }
    for vm in summary.vms.iter().take(ROWS) {
        table.add_row(row(vm, refusals));
    }
    let mut text = String::new();
    let _infallible = writeln!(
        text,
        "Physical Memory in MB, pressure in percent (final and peak), operations that added and removed memory{}:",
        if refusals { ", allocations that the guest refused" } else { "" }
    );
    // A header, then a row for each VM; cells do not have several lines.
    let table = table.trim_fmt();
    let refused = summary.vms.iter().take(ROWS).map(|vm| vm.in_guest.commit_failures > 0);
    let lines = table.lines().zip([false].into_iter().chain(refused));
    let lines =
        lines.map(|(line, red)| if red && colour { format!("{RED}{line}{PLAIN}") } else { line.to_owned() });
    text.push_str(&lines.collect::<Vec<_>>().join("\n"));
    text
}

/// Starts red letters on a terminal (ECMA-48, SGR).
const RED: &str = "\u{1b}[31m";
/// Starts letters of the usual colour.
const PLAIN: &str = "\u{1b}[39m";

fn row(vm: &VmSummary, refusals: bool) -> Vec<String> {
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
    if refusals {
        row.push(vm.in_guest.commit_failures.to_string());
    }
    row.push(escape(&vm.guest).into_owned());
    row
}
