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
  wait for a processor, here an emulated one: on a computer that has other work as well, giving 44 MB away has taken eight seconds, which the model does in\n\
  one. Where a curve rises or falls the two are a few seconds apart at times, and the 95th percentile, which is made of such seconds, is large; median and\n\
  final values are not touched by it. When a guest reports between two samples is chance in a real run; in the model it is in the middle.\n\
- **What is given back** is taken apart by the kernel page by page, and leaves its account at the end: so `available` rises before `committed` falls. The model does so as\n\
  well, at a rate that is the emulated processor's.\n\
- **Available memory after hot-add.** A real guest keeps 16 MB of descriptors for each GB that it is given, and holds back more for its emergencies the more it\n\
  has (`MemAvailable` is without both). The model counts neither.\n\
- **Blocks.** Both take hot-added memory in blocks of 128 MB, and both give back single pages, so assigned memory is the same to the page, or differs\n\
  by whole blocks where a decision fell a second earlier.\n\
- **Files.** What a program reads again while it is in the cache stays there longer, in both: Linux keeps two lists, and so does the model. The files that the\n\
  guest's own programs are made of are not among those of the model.\n\
- **Swap.** How fast pages come back is a matter of the emulated processor, which takes a fault for each few of them, more than of the disk. The time that one\n\
  request takes in the model was chosen with the load `swap` in view, and is another one wherever guests run faster. So was what stays available while the guest swaps,\n\
  7.5 MB; in the real guest that is 6 to 9 MB, as its kernel comes to write pages out, and a tenth of so little is less than a megabyte. Of what was written first Linux\n\
  still has a seventh in memory when it is looked at; in the model all of it is out, so more comes back. A guest of 256 MB has fewer descriptors of pages than one of\n\
  512, whose number the profile has.\n";

/// One figure of a load: a panel for each guest, with each quantity of the real and of the simulated one.
#[must_use]
pub fn figure(load: &Load, real: &Curves, simulated: &Curves) -> Option<String> {
    let seconds = real.seconds().min(simulated.seconds());
    let points = |vm: &VmCurves, curve: Curve| -> Vec<(f64, f64)> {
        (0u32..)
            .zip(vm.get(curve).iter().take(seconds))
            .map(|(second, &value)| (f64::from(second), value))
            .collect()
    };
    let mut panels: Vec<Views> = Vec::new();
    for (place, (real, simulated)) in real.vms.iter().zip(&simulated.vms).enumerate() {
        let panel = |shown: Vec<Curve>, what: &str| {
            let curves = shown.into_iter().flat_map(|curve| {
                let name = curve.name().replace('_', " ");
                [
                    (format!("{name}, real"), points(real, curve)),
                    (format!("{name}, simulated"), points(simulated, curve)),
                ]
            });
            let axis = format!("VM{}{what} (MB)", place + 1);
            Views { title: String::new(), axis, curves: curves.collect() }
        };
        panels.push(panel(vec![Curve::Assigned, Curve::Committed, Curve::Available], ""));
        let moved: Vec<Curve> = real.there().filter(|curve| curve.adds_up() && moves(real, *curve)).collect();
        if !moved.is_empty() {
            panels.push(panel(moved, ", in all"));
        }
    }
    let note = format!("host {} MB, policy hyperv", load.host);
    figures::draw_views(&format!("Load `{}`: a real guest and a simulated one", load.name), &note, &panels)
}

/// Whether there is anything of this curve.
fn moves(vm: &VmCurves, curve: Curve) -> bool {
    vm.get(curve).iter().any(|&value| value > 0.0)
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
                curve.name().replace('_', " "),
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
         What was chosen with which load in view: five constants of the profile ([Constants](reference/constants.md#measured-linux-guest)) and how fast a\n\
         kernel takes apart what is given back with `steps`; how long a request of swap takes, and how much stays available beside it, with `swap`. All are inferred\n\
         from these recordings. That files are in two lists is documented of Linux, and is in the model since `files-more` showed that one is not enough; that pages which were\n\
         looked at go out last, since `swap-large` did. Nothing was chosen with the others. `files-late` was written down, and run for the first time, after the last change of\n\
         what it judges.\n\n\
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
            (0..70).for_each(|_| vm.push(&[demand, 300.0, demand, 512.0]));
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
