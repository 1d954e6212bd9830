//! Policies on the built-in loads: the page, and the numbers that it is made from.
//!
//! The numbers take minutes, so they are [kept] in a file beside the page. They are made again when a load has changed, or what
//! any policy does on a short run.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use policy_comparison::{Comparison, Contestant, LoadResult, Rows, Settings, compare, loads};
use run_journal::manifest::sha256_hex;
use scenario::file::{self, LoadOptions, Scenario};
use serde::{Deserialize, Serialize};

use super::{cell, constants, kept};

/// Where the numbers are, below `docs/src`.
pub(super) const NUMBERS: &str = "reference/comparison.json";

/// The default, to which differences are, and the project's own design.
const TWO: [&str; 2] = ["hyperv", "predictive-band"];

/// The first seed of the last tables: none of these was looked at while the project's own design was tuned.
const LATER_SEED: u64 = 1001;

/// For so long every policy runs every load to see whether anything has changed.
const SKETCH: Duration = Duration::from_mins(4);

/// What is shown.
#[derive(Debug, Serialize, Deserialize)]
struct Results {
    /// With what probability an interval covers the true median, percent.
    confidence: f64,
    /// All policies, all loads together first.
    all: Vec<Shown>,
    /// The default and the project's own design, with intervals.
    two: Vec<Shown>,
    /// The same with seeds that nothing was tuned with.
    later: Vec<Shown>,
}

/// One load.
#[derive(Debug, Serialize, Deserialize)]
struct Shown {
    name: String,
    title: String,
    vms: usize,
    host_gb: f64,
    hours: f64,
    rows: Rows,
}

fn built_in() -> Result<Vec<Scenario>> {
    loads::built_in().map(|name| Ok(file::find(name, &LoadOptions::default())?)).collect()
}

/// A hash of what the numbers follow from: the loads' files, what every policy does on each of them in its first minutes, and the constants of
/// all policies, some of which show later.
fn made_from(loads: &[Scenario]) -> Result<String> {
    let mut settings = Settings::new(Contestant::all(), loads.to_vec());
    settings.seeds.truncate(1);
    settings.choices.until = Some(SKETCH);
    settings.regret = false;
    let mut text = compare(&settings, &mut |_| ())?.json()?;
    for load in loads {
        text.push_str(load.source.text());
    }
    for (heading, table) in constants::sections().into_iter().filter(|(name, _)| name.starts_with("Policy "))
    {
        for constant in table {
            // Writing to a String does not fail.
            let _: std::fmt::Result = writeln!(text, "{heading}: {} {}", constant.name, constant.value);
        }
    }
    Ok(sha256_hex(text.as_bytes()))
}

/// The numbers as the file has them, made again if they are of something else.
pub(super) fn numbers() -> Result<String> {
    let loads = built_in()?;
    let what = "all policies run all built-in loads with ten seeds";
    kept::text(NUMBERS, made_from(&loads)?, what, || make(loads))
}

fn make(loads: Vec<Scenario>) -> Result<Results> {
    let all = compare(&Settings::new(Contestant::all(), loads.clone()), &mut |_| ())?;
    let settings =
        Settings::new(TWO.iter().map(|name| Contestant::named(name)).collect::<Result<_, _>>()?, loads);
    let seeds = settings.seeds.iter().map(|seed| seed - 1 + LATER_SEED).collect();
    let later = compare(&Settings { seeds, ..settings }, &mut |_| ())?;
    Ok(Results {
        confidence: 100.0 * all.confidence,
        all: shown(&all, &all.policies, false),
        two: shown(&all, &TWO, true),
        later: shown(&later, &TWO, true),
    })
}

fn shown(comparison: &Comparison, policies: &[impl AsRef<str>], intervals: bool) -> Vec<Shown> {
    let place = |name: &str| comparison.policies.iter().position(|policy| policy == name);
    let policies: Vec<usize> = policies.iter().filter_map(|name| place(name.as_ref())).collect();
    let of = |load: &LoadResult| Shown {
        name: load.name.clone(),
        title: load.title.clone(),
        vms: load.vms,
        host_gb: (load.host_memory_mb / 1024.0).round(),
        hours: load.until_s / 3600.0,
        rows: comparison.rows_of(load, &policies, intervals),
    };
    [&comparison.overall].into_iter().chain(&comparison.loads).map(of).collect()
}

/// The page.
pub(super) fn page() -> Result<String> {
    Ok(render(&kept::result(NUMBERS, &numbers()?)?))
}

/// How many cells of these tables are a policy's difference to the first one that can be judged, and how many of them are marked.
fn verdicts(loads: &[Shown]) -> (usize, usize) {
    let rows = loads.iter().flat_map(|load| &load.rows.rows);
    // Regret is no difference to the first policy.
    let measures = rows.filter(|row| !row.first().is_some_and(|title| title.starts_with("regret")));
    let cells = measures.flat_map(|row| row.iter().skip(2));
    let judged: Vec<&String> =
        cells.filter(|cell| cell.contains('(') && !cell.ends_with(['≠', '○'])).collect();
    (judged.len(), judged.iter().filter(|cell| cell.ends_with(['✓', '✗'])).count())
}

fn render(results: &Results) -> String {
    // The first is all loads together.
    let (verdicts, marked) = verdicts(results.all.get(1..).unwrap_or_default());
    let by_chance = (1.0 - results.confidence / 100.0) * verdicts as f64;
    let mut text = format!(
        "# Policies on the built-in loads\n\n\
         What `cargo xtask compare` says today: every policy on every built-in load with the seeds 1 to 10. How to read it, and what each measure\n\
         is, is told in [Comparing policies](../comparison.md). A value is the median over the seeds; in parentheses stands the median of the\n\
         differences to `hyperv`, seed by seed. ✓ better and ✗ worse stand where the interval of the difference, which covers the true median\n\
         with {:.1} %, excludes 0. Where other VMs were started than with `hyperv`, differences are on the VMs that both started (both:). ○ stands\n\
         where a policy is better for serving less: fewer VMs start, or it costs less and more demand is unmet. ≠ stands at reaction times of\n\
         other numbers of steps.\n\n\
         Of the {verdicts} places for a verdict in the tables of single loads that come first, {marked} are marked. If no policy differed from `hyperv`\n\
         in anything, chance alone would mark {by_chance:.0} of them on average, or fewer.\n\n\
         *All loads together* has the geometric means of the ratios to `hyperv`: no load outweighs the others. The last two rows of each load say how\n\
         far each policy is from the best ([regret](../comparison.md#how-far-from-the-best)), in parentheses as a part of its own unmet demand; – where\n\
         it did not do the same work.\n\n\
         `hyperv` is not Hyper-V: it does what is documented of the product, whose algorithm is not public, so a ✓ here is no finding about the\n\
         product. The designs of other systems have the parameters that these publish, and invented ones where nothing is published. `senpai` and\n\
         `esx` were made for inputs that this contract does not give them (PSI; pages touched), and work with what there is; their pages say so\n\
         ([policies](policies.md)).\n",
        results.confidence
    );
    for load in &results.all {
        table(&mut text, "##", load);
    }
    text.push_str(
        "\n## `hyperv` and `predictive-band`, with intervals\n\n\
         The two alone, the seeds 1 to 10. `predictive-band` was tuned with the seeds 101 to 106.\n",
    );
    for load in &results.two {
        table(&mut text, "###", load);
    }
    let _: std::fmt::Result = write!(
        text,
        "\n## The same with later seeds\n\n\
         `cargo xtask compare --policies hyperv,predictive-band --first-seed {LATER_SEED}`: ten seeds that nothing was tuned with.\n"
    );
    for load in &results.later {
        table(&mut text, "###", load);
    }
    text
}

fn table(text: &mut String, level: &str, load: &Shown) {
    // Writing to a String does not fail.
    let _: std::fmt::Result = (|| {
        write!(text, "\n{level} {}\n\n", cell(&load.title))?;
        if load.name != "all loads" {
            writeln!(
                text,
                "`{}`: {} VMs on {} GB, {:.1} h of virtual time.\n",
                cell(&load.name),
                load.vms,
                load.host_gb,
                load.hours
            )?;
        }
        let line = |row: &[String]| {
            format!("| {} |", row.iter().map(|text| cell(text)).collect::<Vec<_>>().join(" | "))
        };
        writeln!(text, "{}", line(&load.rows.header))?;
        writeln!(text, "|---{}|", "|---:".repeat(load.rows.header.len().saturating_sub(1)))?;
        for row in &load.rows.rows {
            writeln!(text, "{}", line(row))?;
        }
        if !load.rows.same.is_empty() {
            writeln!(text, "\nThe same with all: {}.", load.rows.same.join(", "))?;
        }
        Ok(())
    })();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(name: &str, cells: &[&str]) -> Shown {
        let row = ["unmet demand, MB·s", "7"].iter().chain(cells).map(|cell| (*cell).to_owned()).collect();
        let header = ["", "hyperv", "a", "b"].map(str::to_owned).to_vec();
        let rows = Rows { header, rows: vec![row], same: Vec::new() };
        Shown { name: name.to_owned(), title: name.to_owned(), vms: 1, host_gb: 1.0, hours: 1.0, rows }
    }

    /// Loads together are not counted, since they follow from the single ones; nor is a place where no verdict can be.
    #[test]
    fn the_page_says_how_many_verdicts_there_are_and_how_many_chance_would_make() {
        let all = vec![
            load("all loads", &["9 (+2) ✗", "9 (+2) ✗"]),
            load("one", &["9 (+2) ✗", "7 (0)  "]),
            load("two", &["8 [7 to 9] (+1) ≠", "1 (−6) ✓"]),
            load("three", &["8 (−1) ○", "–"]),
        ];
        assert_eq!(verdicts(&all[1..]), (3, 2));
        let mut regret = load("four", &["7 (80 %)", "3 (1 %)"]);
        regret.rows.rows[0][0] = "regret to the bound, MB·s".to_owned();
        assert_eq!(verdicts(&[regret]), (0, 0));
        let page = render(&Results { confidence: 50.0, all, two: Vec::new(), later: Vec::new() });
        assert!(page.contains("Of the 3 places for a verdict") && page.contains("2 are marked"), "{page}");
        assert!(page.contains("chance alone would mark 2 of them on average"), "{page}");
    }
}
