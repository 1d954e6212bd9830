//! The comparison for people: tables, figures, the page of the book.

use std::fmt::Write as _;

use run_analysis::figures::{self, Views};

use crate::curves::{Curve, Curves, VmCurves};
use crate::judge::{CurveError, Judgement, VmJudgement};
use crate::load::{Load, Purpose};

/// What is aimed at, percent.
const GOAL: f64 = 10.0;

/// What is known of the differences. Causes, in words: how large they are is in the tables.
const WHAT_DIFFERS: &str = "\n\
## What differs, and why\n\n\
- **Moments.** Programs of the simulated guest have their memory in the second in which they want it, and its driver answers after a set time. The real guest's\n\
  wait for a processor, here an emulated one which shares its computer with others. Where a curve rises or falls the two are a few seconds apart at\n\
  times, and the 95th percentile, which is made of such seconds, is large; median and final values are not touched by it.\n\
- **Available memory after hot-add.** A real guest keeps 16 MB of descriptors for each GB that it is given, and holds back more for its emergencies the more it\n\
  has (`MemAvailable` is without both). The model counts neither.\n\
- **Reports while memory is added.** The simulated driver counts what it is adding as committed until it has added it, for a report or two (the peaks of the\n\
  dotted curve). The real one did not: its kernel has put the memory to use by the time that it counts it. The host takes what is being added off the commit, so\n\
  the demand of the real guest is 128 MB too low for one report then, as `ramp.csv` has it in its 26th second.\n\
- **Blocks.** Both take hot-added memory in blocks of 128 MB, and both give back single pages, so assigned memory is the same to the page, or differs\n\
  by whole blocks where a decision fell a second earlier.\n\
- **Not compared**: file cache, swap and page-ins. These guests have no disk. What storage does to a simulated guest is in [Storage](storage.md).\n";

/// One figure of a load: a panel for each guest, with each quantity of the real and of the simulated one.
#[must_use]
pub fn figure(load: &Load, real: &Curves, simulated: &Curves) -> Option<String> {
    let seconds = real.seconds().min(simulated.seconds());
    let points = |vm: &VmCurves, curve: Curve| -> Vec<(f64, f64)> {
        (0u32..).zip(&vm.get(curve)[..seconds]).map(|(second, &value)| (f64::from(second), value)).collect()
    };
    let panels: Vec<Views> = real
        .vms
        .iter()
        .zip(&simulated.vms)
        .enumerate()
        .map(|(place, (real, simulated))| {
            let shown = [Curve::Assigned, Curve::Committed, Curve::Available];
            let curves = shown.into_iter().flat_map(|curve| {
                [
                    (format!("{}, real", curve.name()), points(real, curve)),
                    (format!("{}, simulated", curve.name()), points(simulated, curve)),
                ]
            });
            Views { title: String::new(), axis: format!("VM{} (MB)", place + 1), curves: curves.collect() }
        })
        .collect();
    let note = format!("host {} MB, policy hyperv", load.host);
    figures::draw_views(&format!("Load `{}`: a real guest and a simulated one", load.name), &note, &panels)
}

/// The tables of a load.
#[must_use]
pub fn table(judged: &Judgement) -> String {
    let mut text = String::from(
        "| | median | 95th percentile | the same, within a second | at the end |\n|---|---:|---:|---:|---:|\n",
    );
    // Writing to a String does not fail, here and below.
    for (place, vm) in judged.vms.iter().enumerate() {
        for error in &vm.curves {
            let CurveError { curve, median, p95, p95_within_a_second, end } = *error;
            let _: std::fmt::Result = writeln!(
                text,
                "| VM{} {} | {} | {} | {} | {} |",
                place + 1,
                curve.name(),
                percent(median),
                percent(p95),
                percent(p95_within_a_second),
                percent(end)
            );
        }
    }
    text.push_str("\n| | real | simulated |\n|---|---:|---:|\n");
    for (place, vm) in judged.vms.iter().enumerate() {
        let second = |at: Option<usize>| at.map_or_else(|| "–".to_owned(), |at| format!("{at} s"));
        for reaction in &vm.reactions {
            let _: std::fmt::Result = writeln!(
                text,
                "| VM{} {} | {} | {} |",
                place + 1,
                reaction.what,
                second(reaction.real),
                second(reaction.simulated)
            );
        }
        let _: std::fmt::Result = writeln!(text, "{}", hot_adds(place, vm));
    }
    text
}

fn hot_adds(place: usize, vm: &VmJudgement) -> String {
    let one = |(count, median): (usize, Option<f64>)| match median {
        Some(median) => format!("{count}, median {median:.2} s"),
        None => "none".to_owned(),
    };
    let [real, simulated] = vm.hot_adds.map(one);
    format!("| VM{} hot-adds | {real} | {simulated} |", place + 1)
}

/// Bold is what is beyond the goal.
fn percent(value: f64) -> String {
    if value > GOAL { format!("**{value:.1} %**") } else { format!("{value:.1} %") }
}

/// The page of the book, of loads with both halves. `figure` names the file of a load's figure.
#[must_use]
pub fn page(halves: &[(&Load, Curves, Curves)], figure: impl Fn(&Load) -> String) -> String {
    let mut text = String::from(
        "# Validation: a real guest beside the simulated one\n\n\
         The same load, on the same host, with the same policy: in an unmodified Linux guest, and in the simulated guest `linux-measured`. Every\n\
         second the host notes what the guest is assigned, what its driver reports (committed and available memory), and the demand that follows\n\
         from it. This page holds one against the other.\n\n\
         `cargo xtask guest validate` runs both halves and leaves such tables and figures (`--nested` where the computer's KVM is not enough). The real\n\
         halves of this page are recorded (`tests/recorded/validation`), so that it can be made, and is tested, without a guest; the simulated halves\n\
         are run anew. The goal is an error of at most 10 %; **bold** is what is beyond it.\n\n\
         Five constants of the profile ([Constants](reference/constants.md#measured-linux-guest)) were chosen with the load `steps` in view. Nothing was\n\
         chosen with the others.\n\n\
         | load | for | worst median | worst 95th percentile | the same, within a second | worst at the end |\n|---|---|---:|---:|---:|---:|\n",
    );
    let judged: Vec<Judgement> =
        halves.iter().map(|(_, real, simulated)| Judgement::of(real, simulated)).collect();
    for ((load, ..), judged) in halves.iter().zip(&judged) {
        let _: std::fmt::Result = writeln!(
            text,
            "| [`{0}`](#{0}) | {1} | {2} | {3} | {4} | {5} |",
            load.name,
            purpose(load),
            percent(judged.worst(|error| error.median)),
            percent(judged.worst(|error| error.p95)),
            percent(judged.worst(|error| error.p95_within_a_second)),
            percent(judged.worst(|error| error.end))
        );
    }
    text.push_str(
        "\n*Within a second*: report and sample come once a second on each side, at moments that have nothing to do with each other, so a curve that\n\
         rises by 20 MB in a second differs from itself by as much. Here each simulated value is held against what the real curve passes through\n\
         within a second of it.\n",
    );
    text.push_str(WHAT_DIFFERS);
    for ((load, real, _), judged) in halves.iter().zip(&judged) {
        let about: Vec<String> = real.about.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let _: std::fmt::Result = write!(
            text,
            "\n## {}\n\n{} {}\n\n![{}]({})\n\n{}",
            load.name,
            load.what,
            match about.as_slice() {
                [] => String::new(),
                about => format!("Real half: {}.", about.join(", ")),
            },
            load.what,
            figure(load),
            table(judged)
        );
    }
    text
}

fn purpose(load: &Load) -> &'static str {
    match load.purpose {
        Purpose::Calibration => "calibration",
        Purpose::Judgement => "judgement",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;

    #[test]
    fn the_page_names_every_load_and_what_is_beyond_the_goal() {
        let curves = |demand: f64| {
            let mut vm = VmCurves::default();
            vm.hot_adds.push(0.5);
            (0..70).for_each(|_| vm.push([demand, 300.0, demand, 512.0]));
            Curves { about: vec![("kernel".to_owned(), "6.1".to_owned())], vms: vec![vm] }
        };
        let load = load::find("steps").unwrap();
        let halves = [(load, curves(200.0), curves(230.0))];
        let page = page(&halves, |load| format!("{}.svg", load.name));
        for text in [
            "| [`steps`](#steps) | calibration | **15.0 %**",
            "kernel 6.1",
            "(steps.svg)",
            "| VM1 assigned | 0.0 % |",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
        let figure = figure(load, &halves[0].1, &halves[0].2).unwrap();
        assert!(figure.contains("committed, real") && figure.contains("assigned, simulated"));
    }
}
