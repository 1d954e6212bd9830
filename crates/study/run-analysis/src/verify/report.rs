//! What came of a verification: rows for people and for programs.

use comfy_table::CellAlignment;
use serde::Serialize;
use terminal_text::{Ink, Look, escape, wrap_after};

use super::judge::{Verdict, expected, number};
use super::kind::{INVARIANTS, Kind};
use super::table::unbroken;
use scenario::file::{Check, Scenario};

/// All rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The mechanism that was switched off.
    pub mutation: Option<&'static str>,
    /// What must be known of these tests to judge their outcome, if anything.
    pub evidence: Option<&'static str>,
    /// One for each check of each scenario.
    pub rows: Vec<Row>,
    /// The same of [what others measured](super::OUTSIDE): one that does not come out is no failure.
    pub outside: Vec<Row>,
}

/// One check, over all seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The scenario.
    pub scenario: String,
    /// The check's name.
    pub check: String,
    /// What it is worth that it is as expected; `None` in a scenario that does not come with the project.
    pub kind: Option<Kind>,
    /// The VM that it is about.
    pub vm: Option<String>,
    /// What is measured, or must hold.
    pub meaning: String,
    /// Where the source says so, and what.
    pub source: Option<String>,
    /// What is expected, with its tolerance.
    pub expected: String,
    /// Unit of the numbers.
    pub unit: Option<&'static str>,
    /// The numbers that were measured: smallest, median, largest over the seeds.
    pub measured: Option<Range>,
    /// The smallest share of samples that were as expected, where there are many.
    pub share: Option<f64>,
    /// Whether it passed with every seed.
    pub passed: bool,
    /// With how many seeds it passed.
    pub seeds_passed: usize,
    /// The seeds with which it failed, and why.
    pub failed: Vec<Failure>,
}

/// Numbers over all seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// Smallest.
    pub least: f64,
    /// Median.
    pub median: f64,
    /// Largest.
    pub most: f64,
}

/// A seed with which a check failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What was seen.
    pub why: String,
}

/// The kind of a check, if its scenario comes with the project.
fn kind(scenario: &Scenario, check: &str) -> Option<Kind> {
    if scenario.is_built_in() { Kind::of(&scenario.name, check) } else { None }
}

impl Row {
    pub(crate) fn new(scenario: &Scenario, check: &Check, verdicts: &[(u64, Verdict)]) -> Self {
        Self {
            check: check.check.name.to_owned(),
            kind: kind(scenario, check.check.name),
            vm: check.vm.as_ref().map(|vm| vm.value.clone()),
            meaning: check.check.meaning.to_owned(),
            source: check.source.clone(),
            expected: expected(check),
            unit: check.check.unit,
            ..Self::of(scenario, verdicts)
        }
    }

    pub(crate) fn invariants(scenario: &Scenario, verdicts: &[(u64, Verdict)]) -> Self {
        Self {
            check: INVARIANTS.to_owned(),
            kind: kind(scenario, INVARIANTS),
            meaning: "At every sample all host memory is accounted for, at the end all of it is home, and no component panicked."
                .to_owned(),
            expected: "holds".to_owned(),
            ..Self::of(scenario, verdicts)
        }
    }

    fn of(scenario: &Scenario, verdicts: &[(u64, Verdict)]) -> Self {
        let mut values: Vec<f64> = verdicts.iter().filter_map(|(_, verdict)| verdict.value).collect();
        values.sort_by(f64::total_cmp);
        let measured = match (values.first(), values.last(), scenario::run::statistics::median(&values)) {
            (Some(&least), Some(&most), Some(median)) => Some(Range { least, median, most }),
            _ => None,
        };
        let failed: Vec<Failure> = verdicts
            .iter()
            .filter(|(_, verdict)| !verdict.passed)
            .map(|(seed, verdict)| Failure { seed: *seed, why: verdict.why.clone().unwrap_or_default() })
            .collect();
        Self {
            scenario: scenario.name.clone(),
            check: String::new(),
            kind: None,
            vm: None,
            meaning: String::new(),
            source: None,
            expected: String::new(),
            unit: None,
            measured,
            share: verdicts.iter().filter_map(|(_, verdict)| verdict.share).reduce(f64::min),
            passed: failed.is_empty() && !verdicts.is_empty(),
            seeds_passed: verdicts.len() - failed.len(),
            failed,
        }
    }

    /// The check as it is named where kinds and knobs name it: `scenario/check`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.scenario, self.check)
    }

    /// The check, and the VM that it is about.
    fn name(&self) -> String {
        match &self.vm {
            Some(vm) => format!("{} {vm}", self.check),
            None => self.check.clone(),
        }
    }

    /// With how many of all seeds it passed, and with which it did not.
    fn seeds(&self, all: usize) -> String {
        if self.passed {
            return format!("{} of {all}", self.seeds_passed);
        }
        let failed: Vec<String> = self.failed.iter().map(|failure| failure.seed.to_string()).collect();
        format!("{} of {all}; not {}", self.seeds_passed, failed.join(", "))
    }

    /// What was measured, in words.
    #[must_use]
    pub fn seen(&self) -> String {
        let unit = self.unit.unwrap_or("");
        let mut text = match self.measured {
            Some(range) if number(range.least) == number(range.most) => {
                format!("{} {unit}", number(range.median))
            }
            Some(range) => {
                format!("{} ({} to {}) {unit}", number(range.median), number(range.least), number(range.most))
            }
            None if self.passed => "holds".to_owned(),
            None => self.failed.first().map_or_else(String::new, |failure| failure.why.clone()),
        };
        if let Some(share) = self.share {
            text.push_str(&format!("; at least {:.0} % of samples", 100.0 * share));
        }
        text.trim_end().to_owned()
    }
}

impl Report {
    /// Whether every check passed with every seed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.rows.iter().all(|row| row.passed)
    }

    /// The rows that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.passed)
    }

    /// Whether a check of a scenario failed with any seed.
    #[must_use]
    pub fn has_failed(&self, scenario: &str, check: &str) -> bool {
        self.failures().any(|row| row.scenario == scenario && row.check == check)
    }

    /// As text: a table where there is room for one, else a paragraph for each check. Failures are red where there are colours.
    #[must_use]
    pub fn table(&self, look: Look) -> String {
        Self::rows_as_text(&self.rows, ["pass", "FAIL"], self.seeds.len(), look)
    }

    /// What others measured, as such text.
    #[must_use]
    pub fn outside_table(&self, look: Look) -> String {
        let checks: Vec<Row> =
            self.outside.iter().filter(|row| row.check != INVARIANTS || !row.passed).cloned().collect();
        Self::rows_as_text(&checks, ["held", "not held"], self.seeds.len(), look)
    }

    fn rows_as_text(rows: &[Row], words: [&str; 2], seeds: usize, look: Look) -> String {
        wide(rows, words, seeds, look).unwrap_or_else(|| paragraphs(rows, words, seeds, look))
    }

    /// Lines that sum it up.
    #[must_use]
    pub fn conclusion(&self) -> String {
        let all = self.rows.len();
        let failed = self.failures().count();
        let seeds = self.seeds.len();
        let plural = if seeds == 1 { "seed" } else { "seeds" };
        let mut text = match failed {
            0 => format!("{all} checks, each with {seeds} {plural}: all pass"),
            _ => format!("{all} checks, each with {seeds} {plural}: {failed} fail"),
        };
        if let Some(kinds) = self.kinds() {
            text.push_str(&format!("; {kinds}"));
        }
        text
    }

    /// How many of the checks are of each kind, in words; `None` if none has a kind.
    #[must_use]
    pub fn kinds(&self) -> Option<String> {
        let count = |name: &str| {
            self.rows.iter().filter(|row| row.kind.as_ref().is_some_and(|kind| kind.name() == name)).count()
        };
        let [predicted, calibrated, construction] = ["predicted", "calibrated", "by construction"].map(count);
        (predicted + calibrated + construction > 0).then(|| {
            format!(
                "{predicted} were predicted, {calibrated} are shown by what was calibrated, {construction} hold by construction"
            )
        })
    }

    /// How many of the measurements of others the runs show, in words; `None` if none was looked at.
    #[must_use]
    pub fn outside_conclusion(&self) -> Option<String> {
        let predicted: Vec<&Row> =
            self.outside.iter().filter(|row| row.kind == Some(Kind::Predicted)).collect();
        let held = predicted.iter().filter(|row| row.passed).count();
        (!predicted.is_empty()).then(|| {
            format!("{held} of {} predictions of what others measured held, with every seed", predicted.len())
        })
    }
}

/// Rows as a table, with these words for a check that passed and one that did not; `None` if a word would have to be broken.
fn wide(rows: &[Row], [passed, failed]: [&str; 2], seeds: usize, look: Look) -> Option<String> {
    let head = ["scenario", "check", "kind", "source", "says", "measured: median (range)", "result", "seeds"];
    let mut cells = vec![head.map(str::to_owned)];
    let mut last = "";
    for row in rows {
        let scenario = if row.scenario == last { "" } else { &row.scenario };
        last = &row.scenario;
        cells.push([
            escape(scenario).into_owned(),
            escape(&row.name()).into_owned(),
            row.kind.as_ref().map_or("", Kind::name).to_owned(),
            escape(row.source.as_deref().unwrap_or("")).into_owned(),
            row.expected.clone(),
            escape(&row.seen()).into_owned(),
            if row.passed { passed } else { failed }.to_owned(),
            row.seeds(seeds),
        ]);
    }
    let mut table = unbroken(cells, look.columns)?;
    if let Some(column) = table.column_mut(6) {
        column.set_cell_alignment(CellAlignment::Center);
    }
    Some(table.to_string().replace("FAIL", &look.paint(Ink::Bad, "FAIL")))
}

/// Rows as paragraphs, for a terminal that has no room for a table.
fn paragraphs(rows: &[Row], [passed, failed]: [&str; 2], seeds: usize, look: Look) -> String {
    let mut text = String::new();
    let mut last = "";
    for row in rows {
        if row.scenario != last {
            text.push_str(&format!("{}{}\n", if last.is_empty() { "" } else { "\n" }, escape(&row.scenario)));
        }
        last = &row.scenario;
        let kind = row.kind.as_ref().map(Kind::name);
        let notes: Vec<&str> = kind.into_iter().chain(row.source.as_deref()).collect();
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
        let words = format!(
            "{}{notes}: says {}; measured {}. Seeds: {}.",
            row.name(),
            row.expected,
            row.seen(),
            row.seeds(seeds)
        );
        // Colours take no columns, so they are put on after all is in its place.
        let result = if row.passed { passed } else { failed };
        let head = format!("  {result}  ");
        let told = wrap_after(&head, &escape(&words), look.columns, 8);
        text.push_str(&if row.passed {
            told
        } else {
            told.replacen(result, &look.paint(Ink::Bad, result), 1)
        });
        text.push('\n');
    }
    text
}
