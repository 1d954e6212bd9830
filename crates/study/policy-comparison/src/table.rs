//! A comparison for the terminal.

use std::fmt::Write as _;

use charts::number;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::{Deserialize, Serialize};
use terminal_text::{Ink, Look, escape, escape_lines, wrap, wrap_after};

use super::catalogue::{MEASURES, Measure, MeasureId};
use super::regret::{PolicyRegret, Regret};
use super::result::{Cell, Compared, Comparison, Judgement, LoadResult};
use super::statistics::Interval;

/// A load's results as rows of text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// An empty text, then the policies.
    pub header: Vec<String>,
    /// The measure with its unit, then what was measured of each policy: median, interval if it was asked for, in parentheses the
    /// difference to the first policy, and a mark where there is evidence.
    pub rows: Vec<Vec<String>>,
    /// Measures in which all policies are equal, each with its value.
    pub same: Vec<String>,
}

impl Comparison {
    /// All of it as text: all loads together first, then each load, then what the rounds cost on this machine. Tables that are
    /// wider than a line are cut into several with some of the policies each. Intervals are shown where there is room for all of
    /// them. What files wrote (names, titles) is escaped where it is not text.
    #[must_use]
    pub fn table(&self, look: Look) -> String {
        let mut text = String::new();
        if self.loads.len() > 1 {
            self.load_tables(&self.overall, look.columns, &mut text);
            self.won_tables(look.columns, &mut text);
        }
        for load in &self.loads {
            self.load_tables(load, look.columns, &mut text);
        }
        let mut after = String::new();
        self.explanation(&mut after);
        self.costs_table(&mut after);
        text.push_str(&wrap(&escape_lines(&after), look.columns));
        // Marks are single characters of their own: they can be coloured when all is in its place.
        for (mark, ink) in [('✓', Ink::Good), ('✗', Ink::Bad)] {
            let mark = mark.to_string();
            text = text.replace(&mark, &look.paint(ink, &mark));
        }
        text
    }

    /// How many loads each policy won.
    fn won_tables(&self, width: usize, text: &mut String) {
        let Some(rows) = self.won_rows() else { return };
        for columns in parts(&widths(&rows), width) {
            let _ = writeln!(text, "{}", part(&rows, &columns));
        }
        text.push('\n');
    }

    fn load_tables(&self, load: &LoadResult, width: usize, text: &mut String) {
        let hours = load.until_s / 3600.0;
        let heading = format!(
            "{}\n{} VMs, {} GB, {hours:.1} h, {} seed{}",
            escape(&self.heading(load)),
            load.vms,
            (load.host_memory_mb / 1024.0).round(),
            self.seeds.len(),
            if self.seeds.len() == 1 { "" } else { "s" }
        );
        let _ = writeln!(text, "{}", wrap(&heading, width));
        for line in self.other_vms(load) {
            let _ = writeln!(text, "{}", wrap_after("", &escape(&line), width, 2));
        }
        let all: Vec<usize> = (0..self.policies.len()).collect();
        let (mut rows, same) = self.rows(load, &all, self.seeds.len() > 1);
        if widths(&rows).iter().sum::<usize>() >= width {
            (rows, _) = self.rows(load, &all, false);
        }
        // A header alone says nothing.
        let differ = rows.len() > 1;
        if differ {
            for columns in parts(&widths(&rows), width) {
                let _ = writeln!(text, "{}", part(&rows, &columns));
            }
        }
        if let Some(line) = not_known(load) {
            let _ = writeln!(text, "{}", wrap_after("", &escape(&line), width, 2));
        }
        for without in &load.without_key_input {
            let _ = writeln!(text, "{}", wrap_after("", &escape(&without.sentence()), width, 2));
        }
        if !same.is_empty() {
            let all = if differ { "all".to_owned() } else { self.policies.join(", ") };
            let same = format!("the same for {}: {}", escape(&all), same.join("; "));
            let _ = writeln!(text, "{}", wrap_after("", &same, width, 2));
        }
        text.push('\n');
    }

    /// A load's results as rows of text, these policies (by their places) in columns: what the terminal shows, for a page of another
    /// kind. Names that files wrote are in them as they are: the page escapes them.
    #[must_use]
    pub fn rows_of(&self, load: &LoadResult, policies: &[usize], intervals: bool) -> Rows {
        let (mut rows, same) = self.rows(load, policies, intervals);
        let header = rows.remove(0);
        Rows { header, rows, same }
    }

    /// The rows of a load's table, the header first, and what is the same for all of these policies.
    fn rows(
        &self,
        load: &LoadResult,
        policies: &[usize],
        intervals: bool,
    ) -> (Vec<Vec<String>>, Vec<String>) {
        let names = policies.iter().map(|&policy| self.policies[policy].clone());
        let mut rows: Vec<Vec<String>> = vec![[String::new()].into_iter().chain(names).collect()];
        let mut same = Vec::new();
        for measure in MEASURES {
            let cells: Vec<&Cell> = policies
                .iter()
                .filter_map(|&policy| load.results.get(policy).and_then(|results| results.get(measure.key)))
                .collect();
            if cells.len() != policies.len() {
                continue;
            }
            if cells.iter().all(|cell| cell.values == cells[0].values) && cells.len() > 1 {
                same.push(format!("{} {}", measure.title, median(load, measure, cells[0])));
                continue;
            }
            let unit = load.unit(measure);
            let unit = if unit.is_empty() { String::new() } else { format!(", {unit}") };
            let row = policies.iter().zip(&cells).map(|(&policy, cell)| {
                let same_vms = load.ratios || load.compared.get(policy).is_some_and(Compared::same_vms);
                written(load, measure, cell, (load.judgement(policy, measure), same_vms), intervals)
            });
            rows.push([format!("{}{unit}", measure.title)].into_iter().chain(row).collect());
        }
        if let Some(regret) = &load.regret {
            rows.extend(regret_rows(regret, policies));
        }
        (rows, same)
    }

    fn explanation(&self, text: &mut String) {
        for line in self.legend() {
            let _ = writeln!(text, "{line}");
        }
        for (policy, lost) in self.policies.iter().zip(&self.lost_rounds) {
            if *lost > 0 {
                let _ = writeln!(
                    text,
                    "{policy} panicked in {lost} rounds; in each the targets of the round before stayed."
                );
            }
        }
    }

    /// How the numbers are to be read.
    pub(super) fn legend(&self) -> Vec<String> {
        let mut legend = self.legend_of_differences();
        if self.loads.iter().any(|load| load.regret.is_some()) {
            legend.push(
                "Regret: unmet demand beyond what clairvoyant leaves, which is told the future and bound by all that binds the others \
                 (so much could be gained at least), and beyond what is left where memory flows at once (no more could be gained). In \
                 parentheses the part of the policy's own unmet demand. –: it did not start the same VMs as soon as clairvoyant, or not all at once."
                    .to_owned(),
            );
        }
        legend
    }

    fn legend_of_differences(&self) -> Vec<String> {
        let (first, seeds) = (&self.policies[0], self.seeds.len());
        let confidence = 100.0 * self.confidence;
        match (self.policies.len(), seeds) {
            (0 | 1, _) => Vec::new(),
            (_, 1) => vec![format!(
                "In parentheses the difference to {first}. One seed shows no intervals and allows no verdict; six or more do (--seeds)."
            )],
            _ => vec![
                format!(
                    "Medians over the seeds; in parentheses the median of the differences to {first}, seed by seed."
                ),
                if self.has_evidence() {
                    format!(
                        "✓ better, ✗ worse: the interval of the difference excludes 0. Intervals cover the true median with \
                         {confidence:.1} %, so chance alone marks up to {:.1} % of the measures in which nothing differs. Intervals \
                         not shown here are in the files.",
                        100.0 - confidence
                    )
                } else {
                    format!(
                        "No verdicts: intervals of {seeds} seeds cover the true median with {confidence:.1} % only. Six or more \
                         seeds allow verdicts (--seeds)."
                    )
                },
                "○ better for serving less: fewer VMs start, or it costs less and more demand is unmet. ≠: no verdict, because the two saw other \
                 numbers of steps to react to. Where policies served other VMs, differences are on the VMs that both served (both:); what \
                 is of the whole host (VMs started, fairness, spread among equals) is of all VMs."
                    .to_owned(),
            ],
        }
    }

    /// Where policies did not serve the VMs that the first one served: who did what, which is to be read before anything else.
    pub(super) fn other_vms(&self, load: &LoadResult) -> Vec<String> {
        let of = |(name, compared): (&String, &Compared)| {
            if compared.same_vms() {
                return None;
            }
            let first = &self.policies[0];
            let count = |of: &[usize]| median_of(of);
            let plural = |count: &str| if count == "1" { "VM" } else { "VMs" };
            let mut what = Vec::new();
            for (vms, how) in [(&compared.fewer, "less"), (&compared.more, "more")] {
                let with_any = vms.iter().filter(|vms| **vms > 0).count();
                let most = vms.iter().max().map_or_else(String::new, ToString::to_string);
                match count(vms) {
                    _ if with_any == 0 => {}
                    // A median of 0 would say that nothing is.
                    vms if vms == "0" => what.push(format!(
                        "up to {most} {} {how} often with {with_any} of {} seeds",
                        plural(&most),
                        self.seeds.len()
                    )),
                    vms => what.push(format!("{vms} {} {how} often", plural(&vms))),
                }
            }
            Some(format!(
                "{name} started {} than {first} did{}: its differences are on the {} of {} VMs that both started as often.",
                what.join(" and "),
                if self.seeds.len() > 1 { " (medians over the seeds)" } else { "" },
                count(&compared.both),
                count(&compared.vms),
            ))
        };
        self.policies.iter().zip(&load.compared).filter_map(of).collect()
    }

    fn costs_table(&self, text: &mut String) {
        let costs = self.costs.iter().filter_map(|cost| Some((&cost.policy, cost.ns_per_vm_and_round?)));
        let costs: Vec<String> = costs.map(|(policy, ns)| format!("{policy} {ns:.0}")).collect();
        if costs.is_empty() {
            // Other machines have run it.
            return;
        }
        let _ = writeln!(
            text,
            "Time of a balancing round on this machine, median, ns per VM (of no other machine, and not in the files): {}.",
            costs.join(", ")
        );
    }
}

impl Comparison {
    /// The policies with which clearly fewer VMs started than with the one that started most.
    pub(super) fn starts_fewer(&self, load: &LoadResult) -> Vec<usize> {
        let started = |policy| {
            let cell = load.cell(policy, MeasureId::Started)?;
            cell.median.map(|interval| interval.median)
        };
        let most = (0..self.policies.len()).filter_map(started).fold(0.0, f64::max);
        (0..self.policies.len())
            .filter(|&policy| started(policy).is_some_and(|own| own < most - 1.0))
            .collect()
    }
}

/// That the need of some VMs cannot be known in advance, and what can be had instead.
pub(super) fn not_known(load: &LoadResult) -> Option<String> {
    let regret = load.regret.as_ref().filter(|regret| !regret.not_known.is_empty())?;
    let names = regret.not_known.join(", ");
    Some(format!(
        "What {names} need{} depends on what {} given, so nobody can know it in advance. Regret is of the other VMs: how much they could \
         still gain beside it. How well {names} {} served, the other rows say.",
        if regret.not_known.len() == 1 { "s" } else { "" },
        if regret.not_known.len() == 1 { "it is" } else { "they are" },
        if regret.not_known.len() == 1 { "is" } else { "are" },
    ))
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count() + 3).max().unwrap_or(0);
    (0..columns).map(width).collect()
}

/// A median, its interval if it is wanted, the difference to the first policy's, and what is to be thought of that.
fn written(
    load: &LoadResult,
    measure: &Measure,
    cell: &Cell,
    (judgement, same_vms): (Judgement, bool),
    intervals: bool,
) -> String {
    let mut own = median(load, measure, cell);
    if let Some(interval) = cell.median.filter(|_| intervals) {
        let [low, high] = [interval.low, interval.high].map(|end| number(end, load.digits(measure)));
        if low != high {
            let _ = write!(own, " [{low} to {high}]");
        }
    }
    let Some(difference) = cell.difference else { return own };
    let of = if same_vms { "" } else { "both: " };
    format!("{own} ({of}{}) {:1}", relative(load, measure, cell, difference.median), judgement.mark())
}

/// The median of counts, as text.
fn median_of(counts: &[usize]) -> String {
    let counts: Vec<f64> = counts.iter().map(|count| *count as f64).collect();
    Interval::of(&counts).map_or_else(
        || "0".to_owned(),
        |interval| number(interval.median, usize::from(interval.median.fract() > 0.0)),
    )
}

/// What each policy leaves unmet beyond the best, and which part that is of what it leaves.
fn regret_rows(regret: &Regret, policies: &[usize]) -> [Vec<String>; 2] {
    let digits = MeasureId::Unmet.measure().digits;
    let row = |title: &str, part: usize, of: fn(&PolicyRegret) -> Option<Interval>| {
        let cell = |&policy: &usize| {
            let regret = &regret.policies[policy];
            let Some(over) = of(regret) else { return "–".to_owned() };
            let of = regret.could_gain_percent[part].unwrap_or_default();
            format!("{} ({} %)", number(over.median, digits), number(of, 0))
        };
        [title.to_owned()].into_iter().chain(policies.iter().map(cell)).collect()
    };
    [
        row("regret to clairvoyant, MB·s", 0, |regret| regret.over_clairvoyant),
        row("regret to the bound, MB·s", 1, |regret| regret.over_bound),
    ]
}

/// Columns besides the first, in groups that fit beside it; at least one each.
fn parts(widths: &[usize], width: usize) -> Vec<Vec<usize>> {
    let mut parts: Vec<Vec<usize>> = Vec::new();
    let mut used = usize::MAX;
    for (column, own) in widths.iter().enumerate().skip(1) {
        match parts.last_mut() {
            Some(part) if used.saturating_add(*own) <= width => part.push(column),
            _ => {
                parts.push(vec![column]);
                used = widths[0] + 1;
            }
        }
        used = used.saturating_add(*own);
    }
    parts
}

/// A table of some of the columns.
fn part(rows: &[Vec<String>], columns: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    let pick = |row: &Vec<String>| -> Vec<String> {
        [0].iter().chain(columns).filter_map(|&column| row.get(column).cloned()).collect()
    };
    if let Some((header, rows)) = rows.split_first() {
        table.set_header(pick(header));
        table.add_rows(rows.iter().map(pick));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A cell's median.
pub(super) fn median(load: &LoadResult, measure: &Measure, cell: &Cell) -> String {
    cell.median.map_or_else(|| "–".to_owned(), |median| number(median.median, load.digits(measure)))
}

/// A difference: in percent of the first policy's median on the VMs that both served, or as a factor if it is large; as it is if that
/// median is 0.
pub(super) fn relative(load: &LoadResult, measure: &Measure, cell: &Cell, difference: f64) -> String {
    let of = cell.compared_with.unwrap_or(0.0);
    if of == 0.0 || load.unit(measure) == "%" {
        return signed(difference, load.digits(measure));
    }
    let times = (of + difference) / of;
    if times >= 10.0 {
        return format!("×{}", number(times, usize::from(times < 100.0)));
    }
    let percent = 100.0 * difference / of.abs();
    format!("{} %", signed(percent, usize::from(percent.abs() < 10.0)))
}

fn signed(value: f64, digits: usize) -> String {
    let text = number(value, digits);
    if value > 0.0 && text.chars().any(|c| c.is_ascii_digit() && c != '0') {
        format!("+{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_tables_are_cut() {
        let widths = [10, 20, 20, 30, 90];
        assert_eq!(parts(&widths, usize::MAX), [vec![1, 2, 3, 4]]);
        assert_eq!(parts(&widths, 80), [vec![1, 2], vec![3], vec![4]]);
        assert_eq!(parts(&widths, 81), [vec![1, 2, 3], vec![4]]);
    }

    #[test]
    fn differences_have_their_sign() {
        assert_eq!(signed(3.0, 0), "+3");
        assert_eq!(signed(0.01, 1), "0.0");
    }
}
