//! Each knob at half, once and twice its value: which checks move, and which are no longer as expected.
//!
//! A check that something was chosen with in view says little by itself. This says how much of it was the choice.

use serde::{Deserialize, Serialize};
use terminal_text::{Ink, Look, wrap, wrap_after};

use super::change::Change;
use super::judge::number;
use super::kind::Kind;
use super::knob::{self, Group, Knob};
use super::report::Row;
use super::suite::{self, Job};
use super::table::unbroken;
use scenario::file::Scenario;
use scenario::run::{Choices, build};

/// What the knobs are turned to, beside once.
pub const FACTORS: [f64; 2] = [0.5, 2.0];

/// A median moves if it differs by more than this share of what it is at once the knob's value.
const MOVES: f64 = 0.05;

/// Stands behind what is not as expected.
const CROSS: &str = "✗";

/// Scenarios with more VMs than this run with the first seed only: their numbers are sums over so many VMs that they are the same with all.
const MANY_VMS: usize = 50;

/// All knobs, turned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The scenarios that ran with the first of them only.
    pub first_seed_only: Vec<String>,
    /// The knobs.
    pub knobs: Vec<Turned>,
    /// Checks, as `scenario/check`, that none of these knobs moves.
    pub unmoved: Vec<String>,
}

/// One knob, turned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turned {
    /// The knob.
    pub name: String,
    /// What kind of thing it is: constant, load or window.
    pub group: String,
    /// How well founded it is, if it is a constant.
    pub label: Option<String>,
    /// Its value.
    pub value: f64,
    /// The value's unit.
    pub unit: String,
    /// The checks that it was chosen with in view.
    pub chosen_with: Vec<String>,
    /// What these leave free.
    pub free: String,
    /// What moves.
    pub moved: Vec<Moved>,
}

/// A check that a knob moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// The check, as `scenario/check`.
    pub check: String,
    /// What is expected.
    pub expected: String,
    /// What it is worth that it is as expected.
    pub kind: Option<String>,
    /// What is seen with half of the knob's value.
    pub half: Seen,
    /// With its value.
    pub once: Seen,
    /// With twice its value.
    pub twice: Seen,
}

/// What was seen of a check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The median over the seeds, if the check has a number and it could be measured.
    pub median: Option<f64>,
    /// With how many seeds it was as expected.
    pub passed: usize,
    /// Of how many.
    pub of: usize,
    /// Why not, with the first seed with which it was not.
    pub why: Option<String>,
}

impl Seen {
    fn new(row: &Row) -> Self {
        Self {
            median: row.measured.map(|range| range.median),
            passed: row.seeds_passed,
            of: row.seeds_passed + row.failed.len(),
            why: row.failed.first().map(|failure| failure.why.clone()),
        }
    }

    /// Whether it was as expected with every seed.
    #[must_use]
    pub fn as_expected(&self) -> bool {
        self.passed == self.of
    }

    /// In a word or two: the number or `holds`, and a cross if it is not as expected.
    #[must_use]
    pub fn words(&self) -> String {
        let what = match (self.median, self.as_expected()) {
            (Some(median), _) => number(median),
            (None, true) => "holds".to_owned(),
            (None, false) => "fails".to_owned(),
        };
        match self.passed {
            passed if passed == self.of => what,
            0 => format!("{what} {CROSS}"),
            passed => format!("{what} {CROSS} ({} of {})", self.of - passed, self.of),
        }
    }

    fn differs_from(&self, other: &Self) -> bool {
        self.passed != other.passed
            || match (self.median, other.median) {
                (Some(a), Some(b)) => (a - b).abs() > MOVES * b.abs(),
                (a, b) => a.is_some() != b.is_some(),
            }
    }
}

/// Turns every knob that these scenarios have. A run that cannot be made is told where its checks are.
#[must_use]
pub fn sensitivity(scenarios: &[Scenario], seeds: &[u64], threads: usize) -> Sensitivity {
    let knobs: Vec<Knob> = knob::all()
        .filter(Knob::can_be_turned)
        .filter(|knob| scenarios.iter().any(|scenario| knob.is_in(&scenario.name)))
        .collect();
    let mut changes = vec![Change::None];
    changes.extend(knobs.iter().flat_map(|knob| FACTORS.map(|factor| Change::Turned(*knob, factor))));
    // What is run: every change in every scenario that has it, with the seeds of the scenario.
    let mut jobs: Vec<Job<'_>> = Vec::new();
    for &change in &changes {
        for scenario in scenarios.iter().filter(|scenario| concerns(&change, scenario)) {
            jobs.extend(seeds_of(scenario, seeds).iter().map(|&seed| Job { scenario, seed, change }));
        }
    }
    let mut verdicts = suite::run_all(&jobs, threads).into_iter();
    let mut rows_of = |change: &Change| -> Vec<(String, Vec<Row>)> {
        let concerned = scenarios.iter().filter(|scenario| concerns(change, scenario));
        concerned
            .map(|scenario| {
                let seeds = seeds_of(scenario, seeds);
                let of_seeds: Vec<_> = seeds.iter().copied().zip(verdicts.by_ref()).collect();
                (scenario.name.clone(), suite::rows(scenario, &of_seeds))
            })
            .collect()
    };
    let base = rows_of(&Change::None);
    let turned: Vec<Turned> = knobs
        .iter()
        .map(|knob| {
            let [half, twice] = FACTORS.map(|factor| rows_of(&Change::Turned(*knob, factor)));
            turned(knob, scenarios, moved(&base, &half, &twice))
        })
        .collect();
    let moves = |id: &str| turned.iter().any(|knob| knob.moved.iter().any(|moved| moved.check == id));
    let unmoved = base.iter().flat_map(|(_, rows)| rows).map(Row::id).filter(|id| !moves(id)).collect();
    let many = scenarios.iter().filter(|scenario| scenario.vms.len() > MANY_VMS);
    Sensitivity {
        seeds: seeds.to_vec(),
        first_seed_only: many.map(|scenario| scenario.name.clone()).collect(),
        knobs: turned,
        unmoved,
    }
}

fn concerns(change: &Change, scenario: &Scenario) -> bool {
    match change {
        Change::Turned(knob, _) => knob.is_in(&scenario.name),
        Change::None | Change::Without(_) | Change::By(_) => true,
    }
}

fn seeds_of<'a>(scenario: &Scenario, seeds: &'a [u64]) -> &'a [u64] {
    if scenario.vms.len() > MANY_VMS { &seeds[..seeds.len().min(1)] } else { seeds }
}

fn turned(knob: &Knob, scenarios: &[Scenario], moved: Vec<Moved>) -> Turned {
    let of_plan = knob.read_from().and_then(|name| {
        let scenario = scenarios.iter().find(|scenario| scenario.name == name)?;
        build::plan_alone(scenario, &Choices { seed: Some(1), ..Choices::default() }).ok()
    });
    let group = match knob.group {
        Group::Constant => "constant",
        Group::Load => "load",
        Group::Window => "window",
        Group::Design => "design",
    };
    Turned {
        name: knob.name.to_owned(),
        group: group.to_owned(),
        label: knob.label.map(|label| label.to_string()),
        value: knob.value(of_plan.as_ref()).unwrap_or(f64::NAN),
        unit: knob.unit.to_owned(),
        chosen_with: knob.chosen_with.iter().map(|&check| check.to_owned()).collect(),
        free: knob.free.to_owned(),
        moved,
    }
}

/// The checks that differ at half or twice from once.
fn moved(
    base: &[(String, Vec<Row>)],
    half: &[(String, Vec<Row>)],
    twice: &[(String, Vec<Row>)],
) -> Vec<Moved> {
    let mut moved = Vec::new();
    for ((name, half), (_, twice)) in half.iter().zip(twice) {
        let Some((_, base)) = base.iter().find(|(known, _)| known == name) else { continue };
        for ((once, half), twice) in base.iter().zip(half).zip(twice) {
            let [seen_half, seen_once, seen_twice] = [half, once, twice].map(Seen::new);
            if seen_half.differs_from(&seen_once) || seen_twice.differs_from(&seen_once) {
                moved.push(Moved {
                    check: once.id(),
                    expected: once.expected.clone(),
                    kind: once.kind.as_ref().map(|kind| Kind::name(kind).to_owned()),
                    half: seen_half,
                    once: seen_once,
                    twice: seen_twice,
                });
            }
        }
    }
    moved
}

impl Sensitivity {
    /// As text: a table where there is room for one, else a paragraph for each knob. What is not as expected is red where there are colours.
    #[must_use]
    pub fn table(&self, look: Look) -> String {
        let text = unbroken(self.rows(), look.columns)
            .map_or_else(|| self.paragraphs(look.columns), |table| table.to_string());
        text.replace(CROSS, &look.paint(Ink::Bad, CROSS))
    }

    /// The rows of the table, its head first.
    fn rows(&self) -> Vec<[String; 6]> {
        let mut rows =
            vec![["knob", "check that moves", "expected", "half", "once", "twice"].map(str::to_owned)];
        for knob in &self.knobs {
            let mut name = knob.title();
            if knob.moved.is_empty() {
                rows.push([
                    name,
                    "none".to_owned(),
                    String::new(),
                    String::new(),
                    String::new(),
                    String::new(),
                ]);
                continue;
            }
            for moved in &knob.moved {
                rows.push([
                    std::mem::take(&mut name),
                    knob.check(moved),
                    moved.expected.clone(),
                    moved.half.words(),
                    moved.once.words(),
                    moved.twice.words(),
                ]);
            }
        }
        rows
    }

    /// For a terminal that has no room for a table.
    fn paragraphs(&self, columns: usize) -> String {
        let mut lines = Vec::new();
        for knob in &self.knobs {
            if !lines.is_empty() {
                lines.push(String::new());
            }
            lines.push(wrap(&knob.title(), columns));
            if knob.moved.is_empty() {
                lines.push("  moves no check".to_owned());
            }
            for moved in &knob.moved {
                let seen = format!(
                    "says {}; half: {}, once: {}, twice: {}",
                    moved.expected,
                    moved.half.words(),
                    moved.once.words(),
                    moved.twice.words()
                );
                lines.push(wrap_after(&format!("  {}: ", knob.check(moved)), &seen, columns, 6));
            }
        }
        lines.join("\n")
    }

    /// What the marks of the table say, and what nothing moves.
    #[must_use]
    pub fn legend(&self) -> String {
        let seeds: Vec<String> = self.seeds.iter().map(u64::to_string).collect();
        let mut text = format!(
            "Medians with the seeds {}. ✗: not as the check expects, in brackets with how many of the seeds.\n\
             *: the knob was chosen with this check in view.\n",
            seeds.join(", ")
        );
        if !self.first_seed_only.is_empty() {
            text.push_str(&format!("With the first seed only: {}.\n", self.first_seed_only.join(", ")));
        }
        let unmoved: Vec<&str> =
            self.unmoved.iter().map(String::as_str).filter(|id| !id.ends_with("/invariants")).collect();
        text.push_str(&format!("No knob moves {} checks: {}.\n", unmoved.len(), unmoved.join(", ")));
        text
    }
}

impl Turned {
    /// A check that it moves, marked if the knob was chosen with the check in view.
    fn check(&self, moved: &Moved) -> String {
        let chosen = if self.chosen_with.contains(&moved.check) { " *" } else { "" };
        format!("{}{chosen}", moved.check)
    }

    /// Its name and value.
    #[must_use]
    pub fn title(&self) -> String {
        let label = self.label.as_deref().unwrap_or(&self.group);
        format!("{} = {} {} ({label})", self.name, number(self.value), self.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(median: Option<f64>, passed: usize) -> Seen {
        Seen { median, passed, of: 3, why: None }
    }

    #[test]
    fn a_check_moves_by_its_verdict_or_by_a_twentieth() {
        let once = seen(Some(100.0), 3);
        assert!(!seen(Some(104.0), 3).differs_from(&once));
        assert!(seen(Some(106.0), 3).differs_from(&once));
        assert!(seen(Some(100.0), 2).differs_from(&once));
        assert!(seen(None, 3).differs_from(&once));
        assert!(!seen(None, 3).differs_from(&seen(None, 3)));
    }

    /// The table of the book, at the width of a terminal: nothing is broken, nothing is lost.
    #[test]
    fn the_table_has_all_at_any_width() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/src/reference/sensitivity.json");
        let kept: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let all: Sensitivity = serde_json::from_value(kept["result"].clone()).unwrap();
        for columns in [80, 120, 150, 200] {
            let text = all.table(Look { columns, colours: false });
            assert!(text.lines().all(|line| terminal_text::width(line) <= columns), "{text}");
            for knob in &all.knobs {
                for word in knob.title().split(' ').chain(knob.moved.iter().map(|moved| &*moved.check)) {
                    assert!(text.contains(word), "{columns}: {word} in {text}");
                }
            }
            let coloured = all.table(Look { columns, colours: true });
            assert_eq!(coloured.matches("\u{1b}[31m✗").count(), text.matches('✗').count());
            assert!(text.contains('✗'));
            assert_eq!(text.contains('│'), columns >= 120, "{columns}");
        }
    }

    #[test]
    fn words_tell_numbers_and_verdicts() {
        assert_eq!(seen(Some(108.04), 3).words(), "108");
        assert_eq!(seen(Some(108.04), 0).words(), "108 ✗");
        assert_eq!(seen(None, 3).words(), "holds");
        assert_eq!(seen(None, 1).words(), "fails ✗ (2 of 3)");
    }
}
