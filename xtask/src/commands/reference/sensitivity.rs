//! What was chosen, turned: the page, and the numbers that it is made from.
//!
//! The numbers take minutes, so they are [kept] in a file beside the page. They are made again when a knob, a scenario, or the
//! bytes of a run have changed.

use std::fmt::Write as _;
use std::num::NonZero;

use anyhow::Result;
use run_analysis::verify;
use run_analysis::verify::sensitivity::{Moved, Seen, Sensitivity, Turned, sensitivity};
use run_journal::manifest::sha256_hex;

use super::{cell, kept};

/// Where the numbers are, below `docs/src`.
pub(super) const NUMBERS: &str = "reference/sensitivity.json";

/// The seeds that they are made with.
const SEEDS: [u64; 2] = [1, 2];

/// A hash of everything that the numbers follow from.
fn made_from() -> Result<String> {
    let mut text = format!("{SEEDS:?}\n{}\n", kept::SAME_BITS);
    for scenario in super::super::verify::load(verify::SOURCE)? {
        text.push_str(scenario.source.text());
    }
    for knob in verify::knob::all() {
        let _: std::fmt::Result = writeln!(
            text,
            "{} {:?} {} {:?} {}",
            knob.name,
            knob.value(None),
            knob.unit,
            knob.chosen_with,
            knob.free
        );
    }
    Ok(sha256_hex(text.as_bytes()))
}

/// The numbers as the file has them, made again if they are of something else.
pub(super) fn numbers() -> Result<String> {
    kept::text(NUMBERS, made_from()?, "what was chosen is turned, in some hundred runs", || {
        let scenarios = super::super::verify::load(verify::SOURCE)?;
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        Ok(sensitivity(&scenarios, &SEEDS, threads))
    })
}

/// The page.
pub(super) fn page() -> Result<String> {
    Ok(render(&kept::result(NUMBERS, &numbers()?)?))
}

fn render(result: &Sensitivity) -> String {
    let seeds: Vec<String> = result.seeds.iter().map(u64::to_string).collect();
    let mut text = format!(
        "# What was chosen, turned\n\n\
         Everything that was chosen with a check in view, or could have been, at half and at twice its value: constants of the models, loads of the\n\
         scenarios, windows of the checks themselves. `cargo xtask verify --sensitivity` makes such a table with fresh seeds; this one is made with\n\
         the seeds {}{}.\n\n\
         A check *moves* if its median differs by more than 5 %, or if it is as expected with another number of seeds. ✗ marks what is not as the\n\
         check expects; with how many of the seeds, if not with all, stands in brackets. **Bold** are checks that the knob was chosen with in view:\n\
         that they are as expected at once its value is no evidence for the model.\n",
        seeds.join(", "),
        match result.first_seed_only.as_slice() {
            [] => String::new(),
            names => format!(" ({} with the first only)", names.join(", ")),
        }
    );
    strongest(&mut text, result);
    for (group, heading, what) in [
        ("constant", "Constants", "Their sources are on the page [Constants of the models](constants.md)."),
        (
            "load",
            "Loads",
            "The guideline says in words how its VMs were loaded. The numbers are those of the files in `scenarios/`; where a file gives two to draw\n\
             from, the value is what seed 1 draws.",
        ),
        ("window", "Windows of the checks", "What a check looks at is chosen as well."),
    ] {
        let _: std::fmt::Result = write!(text, "\n## {heading}\n\n{what}\n");
        for knob in result.knobs.iter().filter(|knob| knob.group == group) {
            section(&mut text, knob);
        }
    }
    let unmoved: Vec<String> =
        result.unmoved.iter().filter(|id| !id.ends_with("/invariants")).map(|id| format!("`{id}`")).collect();
    let _: std::fmt::Result = write!(
        text,
        "\n## What nothing moves\n\n{} checks are moved by none of these: {}. And the invariants hold in every run.\n",
        unmoved.len(),
        unmoved.join(", ")
    );
    text
}

/// How many checks each knob makes other than expected, the strongest first.
fn strongest(text: &mut String, result: &Sensitivity) {
    let mut all: Vec<(&Turned, usize)> = result
        .knobs
        .iter()
        .map(|knob| {
            let fails = |moved: &&Moved| {
                moved.once.as_expected() && !(moved.half.as_expected() && moved.twice.as_expected())
            };
            (knob, knob.moved.iter().filter(fails).count())
        })
        .collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    text.push_str(
        "\n| knob | value | checks that move | of these, no longer as expected |\n|---|---|---|---|\n",
    );
    for (knob, fail) in all {
        let _: std::fmt::Result = writeln!(
            text,
            "| {} | {} {} | {} | {fail} |",
            cell(&knob.name),
            knob.value,
            cell(&knob.unit),
            knob.moved.len()
        );
    }
}

fn section(text: &mut String, knob: &Turned) {
    let _: std::fmt::Result =
        write!(text, "\n### {}\n\n{}. Free: {}.\n", cell(&knob.name), about(knob), cell(&knob.free));
    if knob.moved.is_empty() {
        text.push_str("\nNo check moves.\n");
        return;
    }
    text.push_str("\n| check | expected | half | once | twice |\n|---|---|---|---|---|\n");
    for moved in &knob.moved {
        let check = if knob.chosen_with.contains(&moved.check) {
            format!("**`{}`**", moved.check)
        } else {
            format!("`{}`", moved.check)
        };
        let [half, once, twice] = [&moved.half, &moved.once, &moved.twice].map(Seen::words);
        let _: std::fmt::Result =
            writeln!(text, "| {check} | {} | {half} | {once} | {twice} |", cell(&moved.expected));
    }
}

fn about(knob: &Turned) -> String {
    let value = format!("{} {}", knob.value, cell(&knob.unit));
    match &knob.label {
        Some(label) => format!("{value}, {label}"),
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(median: f64, passed: usize) -> Seen {
        Seen { median: Some(median), passed, of: 2, why: None }
    }

    #[test]
    fn a_page_shows_what_moves_what_fails_and_what_was_in_view() {
        let moved = |check: &str| Moved {
            check: check.to_owned(),
            expected: "108 ± 27 MB".to_owned(),
            kind: Some("calibrated".to_owned()),
            half: seen(60.0, 0),
            once: seen(108.0, 2),
            twice: seen(150.0, 1),
        };
        let knob = Turned {
            name: "parent_os.slowdown_per_read".to_owned(),
            group: "constant".to_owned(),
            label: Some("calibrated".to_owned()),
            value: 0.06,
            unit: "s/read".to_owned(),
            chosen_with: vec!["exhaustion/available_mean".to_owned()],
            free: "with the stock factor".to_owned(),
            moved: vec![moved("exhaustion/available_mean"), moved("exhaustion/unsteady")],
        };
        let page = render(&Sensitivity {
            seeds: vec![1, 2],
            first_seed_only: vec!["max-vms-dynamic".to_owned()],
            knobs: vec![knob],
            unmoved: vec!["multi-vm/contention".to_owned(), "multi-vm/invariants".to_owned()],
        });
        for line in [
            "| parent_os.slowdown_per_read | 0.06 s/read | 2 | 2 |",
            "0.06 s/read, calibrated. Free: with the stock factor.",
            "| **`exhaustion/available_mean`** | 108 ± 27 MB | 60 ✗ | 108 | 150 ✗ (1 of 2) |",
            "| `exhaustion/unsteady` | 108 ± 27 MB | 60 ✗ | 108 | 150 ✗ (1 of 2) |",
            "1 checks are moved by none of these: `multi-vm/contention`.",
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn what_the_numbers_are_made_from_is_the_same_each_time() {
        assert_eq!(made_from().unwrap(), made_from().unwrap());
    }
}
