//! Mechanisms switched off one at a time: a check that cannot fail shows nothing.

use page_range::PageCount;
use serde::Serialize;
use vmms_host::parent_os::ParentOsConfig;

use super::judge::number;
use super::parameter::parameter;
use super::report::Report;
use scenario::run::Plan;

/// A mechanism that can be switched off.
#[derive(Clone, Copy, Debug)]
pub struct Mutation {
    /// Its name.
    pub name: &'static str,
    /// What is switched off.
    pub what: &'static str,
    /// Switches it off.
    pub(crate) apply: fn(&mut Plan),
    /// What must fail then: scenario and check.
    pub must_fail: &'static [(&'static str, &'static str)],
    /// What must be alike then in two scenarios.
    pub must_agree: Option<&'static Alike>,
}

/// A check whose number the mechanism makes differ between two scenarios: without it the numbers are alike.
#[derive(Debug)]
pub struct Alike {
    /// The scenarios.
    pub scenarios: [&'static str; 2],
    /// The check.
    pub check: &'static str,
    /// How far the first may be from the second, as a share of it.
    pub tolerance: f64,
}

/// Only the paging parent OS makes the two columns of Table 4-1 differ in Available Memory.
static TABLE_4_1: Alike =
    Alike { scenarios: ["exhaustion", "exhaustion-reserve-2048"], check: "available_mean", tolerance: 0.15 };

/// All of them.
pub static MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "hold",
        what: "memory below the band is reclaimed at once",
        apply: |plan| parameter(plan, "hold", toml::Value::Float(0.0)),
        must_fail: &[("single-vm-ws2008r2", "hold"), ("single-vm-ws2003r2", "hold")],
        must_agree: None,
    },
    Mutation {
        name: "weight",
        what: "all VMs count as being of the default priority",
        apply: |plan| parameter(plan, "weights", toml::Value::Boolean(false)),
        must_fail: &[
            ("oracle-high-priority-strict", "assigned_difference"),
            ("oracle-high-priority-contended", "holds_more"),
        ],
        must_agree: None,
    },
    Mutation {
        name: "reserve",
        what: "nothing is reserved for the parent OS",
        apply: |plan| plan.host.memory_reserve = Some(PageCount::ZERO),
        must_fail: &[
            ("multi-vm", "undisturbed_growth"),
            ("exhaustion", "parent_free"),
            ("exhaustion-reserve-2048", "undisturbed_growth"),
            ("exhaustion-reserve-2048", "parent_free"),
            ("exhaustion-reserve-2048", "page_reads_peak"),
        ],
        must_agree: None,
    },
    Mutation {
        name: "trimming",
        what: "the parent OS is never trimmed, and so never pages",
        apply: |plan| plan.host.parent_os = ParentOsConfig { trimming: false, ..plan.host.parent_os.clone() },
        must_fail: &[
            ("exhaustion", "parent_free"),
            ("exhaustion", "available_mean"),
            ("exhaustion", "page_reads_peak"),
            ("exhaustion-reserve-2048", "parent_free"),
            ("exhaustion-reserve-2048", "page_reads_peak"),
        ],
        must_agree: None,
    },
    Mutation {
        name: "stall",
        what: "a paging parent OS does not slow the host's own work (c = 0)",
        apply: |plan| plan.host.parent_os.slowdown_per_read = 0.0,
        must_fail: &[("exhaustion", "available_mean")],
        must_agree: Some(&TABLE_4_1),
    },
    Mutation {
        name: "stock",
        what: "no lead-time stock is kept",
        apply: |plan| parameter(plan, "stock_factor", toml::Value::Float(0.0)),
        must_fail: &[("exhaustion", "available_mean"), ("exhaustion-reserve-2048", "available_mean")],
        must_agree: None,
    },
];

impl Mutation {
    /// The scenarios in which something must fail or agree, each once.
    #[must_use]
    pub fn scenarios(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = self.must_fail.iter().map(|(scenario, _)| *scenario).collect();
        names.extend(self.must_agree.iter().flat_map(|alike| alike.scenarios));
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// What came of switching a mechanism off.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// The mechanism.
    pub mechanism: &'static str,
    /// What was switched off.
    pub what: &'static str,
    /// What must fail: scenario and check, and whether it did.
    pub must_fail: Vec<(&'static str, &'static str, bool)>,
    /// What must be alike, and whether it is.
    pub must_agree: Option<Agreement>,
    /// What held with every seed all the same, of the same scenarios.
    pub held: Vec<(String, String)>,
    /// All rows.
    pub report: Report,
}

/// Whether two numbers are alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// The scenarios.
    pub scenarios: [&'static str; 2],
    /// The check.
    pub check: &'static str,
    /// Its medians.
    pub medians: [Option<f64>; 2],
    /// How far the first may be from the second, as a share of it.
    pub tolerance: f64,
    /// Whether it is no further.
    pub agrees: bool,
}

impl Agreement {
    fn of(alike: &Alike, report: &Report) -> Self {
        let median = |scenario: &str| {
            let row = report.rows.iter().find(|row| row.scenario == scenario && row.check == alike.check)?;
            Some(row.measured?.median)
        };
        let medians = alike.scenarios.map(median);
        let agrees = match medians {
            [Some(first), Some(second)] => (first - second).abs() <= alike.tolerance * second.abs(),
            _ => false,
        };
        Self { scenarios: alike.scenarios, check: alike.check, medians, tolerance: alike.tolerance, agrees }
    }
}

impl Shown {
    /// Holds a mutated report against what must fail.
    #[must_use]
    pub fn new(mutation: &'static Mutation, report: Report) -> Self {
        let must_fail = mutation
            .must_fail
            .iter()
            .map(|&(scenario, check)| (scenario, check, report.has_failed(scenario, check)))
            .collect();
        let held = report.rows.iter().filter(|row| row.passed && row.check != "invariants");
        let held = held.map(|row| (row.scenario.clone(), row.check.clone())).collect();
        let must_agree = mutation.must_agree.map(|alike| Agreement::of(alike, &report));
        Self { mechanism: mutation.name, what: mutation.what, must_fail, must_agree, held, report }
    }

    /// Whether everything failed that must, and is alike that must be.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.must_fail.iter().all(|(_, _, failed)| *failed)
            && self.must_agree.as_ref().is_none_or(|agreement| agreement.agrees)
    }

    /// In words.
    #[must_use]
    pub fn tell(&self) -> String {
        let mut text = format!("without {}: {}\n", self.mechanism, self.what);
        for (scenario, check, failed) in &self.must_fail {
            let row = self.report.rows.iter().find(|row| row.scenario == *scenario && row.check == *check);
            let result = if *failed { "fails, as it must" } else { "HOLDS, and must not" };
            text.push_str(&format!("  {result:<19} {scenario} {check}"));
            if let Some(row) = row {
                text.push_str(&format!(": {}; expected {}", row.seen(), row.expected));
            }
            text.push('\n');
        }
        if let Some(Agreement { scenarios: [a, b], check, medians, tolerance, agrees }) = &self.must_agree {
            let result = if *agrees { "alike, as it must" } else { "DIFFERS, and must not" };
            let [first, second] = medians.map(|median| median.map_or_else(|| "–".to_owned(), number));
            let percent = 100.0 * tolerance;
            text.push_str(&format!(
                "  {result:<19} {check}: {first} in {a}, {second} in {b}; at most {percent:.0} % apart\n"
            ));
        }
        text.push_str(&format!("  {} other checks of these scenarios hold\n", self.held.len()));
        text
    }
}
