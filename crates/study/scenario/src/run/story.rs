//! A run told to a newcomer: what happened when, and what each VM had.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use quantities::format_duration;
use terminal_text::{escape, escape_lines};

use super::kept::Points;
use super::plan::{Action, Plan};
use super::summary::{Summary, VmSummary};

/// VMs beyond which the table shows only those that differ most.
const ROWS: usize = 24;

/// Tells the run. What a file wrote (titles, marks, names) is escaped where it is not text.
#[must_use]
pub fn tell(title: &str, plan: &Plan, summary: &Summary, points: &Points) -> String {
    let mut text = String::new();
    let mut line = |words: String| {
        text.push_str(&words);
        text.push('\n');
    };
    line(format!("{}: {}", escape(&summary.scenario), escape(title)));
    let host = &summary.host;
    line(format!(
        "Host with {} GB, {} MB of it reserved for the parent OS; policy {}, seed {}.",
        number(host.memory_mb / 1024.0),
        number(host.reserve_mb),
        summary.policy,
        summary.seed
    ));
    line(String::new());
    for (time, words) in happenings(plan, summary, points) {
        line(format!("{:>9}  {}", clock(time), escape(&words)));
    }
    line(String::new());
    line(escape_lines(&table(summary)).into_owned());
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

/// What happened, in order of time.
fn happenings(plan: &Plan, summary: &Summary, points: &Points) -> Vec<(f64, String)> {
    let mut all: Vec<(f64, String)> = Vec::new();
    for step in &plan.timeline {
        if let Action::Mark(text) = &step.action {
            all.push((step.at.as_secs_f64(), text.clone()));
        }
    }
    if let Some(phases) = &summary.phases {
        let vm = &phases.newcomer;
        all.push((phases.idle_s, format!("① {vm} has started and idles; the others keep what they have.")));
        all.push((
            phases.grows_s,
            format!("② {vm} is loaded and grows from what the host still has; the others are not affected."),
        ));
        let lowest = points
            .all()
            .iter()
            .filter(|point| (phases.contention_s..=phases.falls_s).contains(&point.time.as_secs_f64()))
            .map(|point| point.host.available.mib())
            .fold(f64::INFINITY, f64::min);
        all.push((
            phases.contention_s,
            format!(
                "③ {vm} has grown by {} MB and the host has nothing left: the others lose memory to {vm}. Available Memory falls \
                 to {} MB.",
                number(phases.undisturbed_growth_mb),
                number(lowest)
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

fn assigned(summary: &Summary) -> f64 {
    let running = summary.vms.iter().filter(|vm| vm.state == vmms_host::VmState::Running);
    running.filter_map(|vm| vm.physical_memory_mb).map(|physical| physical.last).sum()
}

fn table(summary: &Summary) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header([
        "VM", "startup", "minimum", "peak", "final", "visible", "pressure", "peak", "added", "removed",
        "guest",
    ]);
    for (index, column) in table.column_iter_mut().enumerate() {
        if index != 0 && index != 10 {
            column.set_cell_alignment(CellAlignment::Right);
        }
        column.set_padding((0, 2));
    }
    for vm in summary.vms.iter().take(ROWS) {
        table.add_row(row(vm));
    }
    let mut text = String::new();
    let _infallible = writeln!(
        text,
        "Physical Memory in MB, pressure in percent (final and peak), operations that added and removed memory:"
    );
    text.push_str(&table.trim_fmt());
    text
}

fn row(vm: &VmSummary) -> Vec<String> {
    let missing = || "–".to_owned();
    let of = |spread: Option<super::summary::Spread>, pick: fn(&super::summary::Spread) -> f64| {
        spread.as_ref().map_or_else(missing, |spread| number(pick(spread)))
    };
    vec![
        vm.name.clone(),
        number(vm.startup_mb),
        of(vm.physical_memory_mb, |spread| spread.minimum),
        of(vm.physical_memory_mb, |spread| spread.maximum),
        of(vm.physical_memory_mb, |spread| spread.last),
        of(vm.guest_visible_mb, |spread| spread.last),
        of(vm.current_pressure, |spread| spread.last),
        of(vm.current_pressure, |spread| spread.maximum),
        vm.memory_add_operations.to_string(),
        vm.memory_remove_operations.to_string(),
        vm.guest.clone(),
    ]
}
