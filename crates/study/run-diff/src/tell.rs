//! A difference as text.

use std::fmt;
use std::time::Duration;

use comfy_table::{CellAlignment, Table};

use crate::decisions::Decision;
use crate::{Difference, Pair, VmSums};

/// VMs that are shown; a long table hides what it says. Invented.
const ROWS: usize = 40;

fn time(at: Duration) -> String {
    quantities::format_duration(Duration::from_millis(at.as_millis() as u64))
}

/// A number, or both if they differ.
fn both(values: Pair<Option<f64>>) -> String {
    let text = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0}"));
    let texts = values.map(text);
    match texts.is_same() {
        true => texts.first,
        false => format!("{} → {}", texts.first, texts.second),
    }
}

/// The word, for one or for several.
fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// A difference, told to a reader whose lines have so many columns.
#[derive(Clone, Copy, Debug)]
struct Told<'a> {
    difference: &'a Difference,
    columns: usize,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.difference.tell(f, self.columns)
    }
}

impl Difference {
    /// The difference as text. Only the table is made for lines of so many `columns`: where it is wider, each VM has a sentence instead. Sentences
    /// are not broken into lines, which whoever prints them does.
    #[must_use]
    pub fn text(&self, columns: usize) -> String {
        Told { difference: self, columns }.to_string()
    }

    fn tell(&self, f: &mut fmt::Formatter<'_>, columns: usize) -> fmt::Result {
        writeln!(f, "A  {}{}", self.folders.first, command(self.commands.first.as_deref()))?;
        writeln!(f, "B  {}{}", self.folders.second, command(self.commands.second.as_deref()))?;
        for missing in &self.missing {
            writeln!(f, "Missing: {missing}")?;
        }
        self.settings(f)?;
        if self.is_same_run() {
            return self.same(f);
        }
        self.first_event(f)?;
        self.first_decision(f)?;
        self.sums(f, columns)
    }
}

fn command(command: Option<&str>) -> String {
    command.map_or_else(String::new, |command| format!("\n   {command}"))
}

impl Difference {
    fn settings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.settings.is_empty() {
            return writeln!(f, "\nNothing was set differently, as far as the folders say.");
        }
        writeln!(f, "\nSet differently (A → B)")?;
        for setting in &self.settings {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
            let values = setting.values.as_ref().map(value);
            writeln!(f, "  {}: {} → {}", setting.key, values.first, values.second)?;
        }
        Ok(())
    }

    fn same(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compared = match (self.events.first, &self.host) {
            (0, None) => {
                return writeln!(
                    f,
                    "\nThere is nothing in the folders by which the runs could be told apart."
                );
            }
            (0, Some(_)) => "all sums".to_owned(),
            (events, None) => format!("all {events} events"),
            (events, Some(_)) => format!("all {events} events and all sums"),
        };
        let made =
            if self.settings.is_empty() { "" } else { " What was set differently made no difference." };
        writeln!(f, "\nThe runs are the same: {compared} are equal.{made}")
    }

    fn first_event(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = &self.first_event else { return Ok(()) };
        let before = counted(first.same_before, "event is", "events are");
        writeln!(f, "\nThe first {before} the same. Then")?;
        let event = |event: &Option<String>| event.clone().unwrap_or_else(|| "(no more events)".to_owned());
        let events = first.events.as_ref().map(event);
        writeln!(f, "  A  {}\n  B  {}", events.first, events.second)
    }

    fn first_decision(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = &self.first_decision else {
            return match self.first_event {
                Some(_) => writeln!(f, "\nAll decisions about VMs are the same."),
                None => Ok(()),
            };
        };
        let before = counted(first.same_before, "decision is", "decisions are");
        writeln!(
            f,
            "\nThe first {before} the same. At {} {} is decided about differently",
            time(first.at),
            first.vm
        )?;
        for (name, decision) in [("A", &first.decisions.first), ("B", &first.decisions.second)] {
            match decision {
                Some(decision) => writeln!(f, "  {name}  {}", told(decision, first.at))?,
                None => writeln!(f, "  {name}  nothing has been decided about it")?,
            }
        }
        let explained = [
            ("A", &first.explanations.first, &self.folders.first),
            ("B", &first.explanations.second, &self.folders.second),
        ];
        for (name, explanation, folder) in explained {
            if let Some(explanation) = explanation {
                let text = explanation.to_string().replace("events DIR ", &format!("events {folder} "));
                let lines = text.trim_end().lines().map(|line| format!("  {line}").trim_end().to_owned());
                writeln!(f, "\nWhy in {name}\n{}", lines.collect::<Vec<_>>().join("\n"))?;
            }
        }
        Ok(())
    }

    fn sums(&self, f: &mut fmt::Formatter<'_>, columns: usize) -> fmt::Result {
        if let Some(host) = &self.host {
            writeln!(
                f,
                "\nThe host (A → B)\n  least Available Memory {} MB\n  {} MB added, {} MB removed, in {} operations\n  \
                 {} page reads of the parent OS",
                both(host.least_available_mb),
                both(host.added_mb),
                both(host.removed_mb),
                both(host.operations),
                both(host.parent_page_reads)
            )?;
        }
        if self.vms.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\nVMs whose sums differ (A → B): MB; the longest shortage in seconds, unmet demand in MB·s"
        )?;
        let shown = &self.vms[..self.vms.len().min(ROWS)];
        let table = table(shown);
        if table.lines().all(|line| line.chars().count() <= columns) {
            writeln!(f, "{table}")?;
        } else {
            for vm in shown {
                writeln!(f, "  {}", sentence(vm))?;
            }
        }
        let hidden = self.vms.len().saturating_sub(ROWS);
        if hidden > 0 {
            writeln!(f, "and {hidden} more (--json has all)")?;
        }
        if self.same_vms > 0 {
            let vms = if self.same_vms == 1 { "1 VM has" } else { &format!("{} VMs have", self.same_vms) };
            writeln!(f, "{vms} the same sums in both.")?;
        }
        Ok(())
    }
}

/// What there is of each VM, in the order of [`VmSums::all`].
const SUMS: [&str; 6] = ["peak", "final", "added", "removed", "shortage", "unmet"];

fn table(vms: &[VmSums]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(std::iter::once("VM").chain(SUMS));
    for (place, column) in table.column_iter_mut().enumerate() {
        if place != 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
        column.set_padding((0, 2));
    }
    for vm in vms {
        let name = std::iter::once(vm.name.clone());
        table.add_row(name.chain(vm.all().into_iter().map(both)).collect::<Vec<_>>());
    }
    table.trim_fmt()
}

/// A row of the table for whoever has no room for the table.
fn sentence(vm: &VmSums) -> String {
    let sums: Vec<String> =
        SUMS.iter().zip(vm.all()).map(|(name, values)| format!("{name} {}", both(values))).collect();
    format!("{}: {}", vm.name, sums.join(", "))
}

fn told(decision: &Decision, now: Duration) -> String {
    let when = if decision.at == now { String::new() } else { format!(", decided at {}", time(decision.at)) };
    let correction =
        decision.correction.as_ref().map_or_else(String::new, |why| format!(", corrected: {why}"));
    format!(
        "{:.0} MB → {:.0} MB, rule `{}`{when}{correction}",
        decision.assigned_mb, decision.target_mb, decision.rule
    )
}
