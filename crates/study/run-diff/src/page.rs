//! The curves of both runs over each other, as a page that stands alone.

use std::fmt::Write as _;
use std::path::Path;

use charts::{Curve, Figure, Panel, STROKES, escape};
use run_analysis::figures::{FiguresError, Recorded};
use scenario::run::Point;

use crate::{Difference, Pair};

/// VMs that have a panel: those whose memory differs most. Invented.
const PANELS: usize = 8;

/// Points of a curve: more than a screen has columns. Invented.
const POINTS: usize = 2000;

/// Columns of the text, which may be scrolled. Invented.
const PAGE: usize = 160;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:66rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
    pre{overflow-x:auto;font-size:.85rem;line-height:1.35;padding:1rem;border:1px solid #ccc}figure{margin:2rem 0;background:#fff}\
    svg{width:100%;height:auto}@media(prefers-color-scheme:dark){body{color:#ddd;background:#16181c}pre{border-color:#444}}";

/// Makes the page from the text of a difference and the counters in both folders. Runs without counters have no curves, and the page says so.
#[must_use]
pub fn page(difference: &Difference, folders: &Pair<impl AsRef<Path>>) -> String {
    let title = format!("{} and {}", difference.folders.first, difference.folders.second);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\"><title>{0}</title><style>{STYLE}</style></head><body><h1>{0}</h1>\n",
        escape(&title)
    );
    match curves(difference, folders) {
        Ok(svg) => {
            let _infallible = writeln!(page, "<figure>{svg}</figure>");
        }
        Err(error) => {
            let _infallible = writeln!(page, "<p>There are no curves: {}</p>", escape(&error.to_string()));
        }
    }
    let _infallible = writeln!(page, "<pre>{}</pre>\n</body></html>", escape(&difference.text(PAGE)));
    page
}

fn curves(difference: &Difference, folders: &Pair<impl AsRef<Path>>) -> Result<String, FiguresError> {
    let read = |folder: &Path| Recorded::read(folder);
    let runs = Pair::new(read(folders.first.as_ref())?, read(folders.second.as_ref())?);
    let mut chosen: Vec<_> = difference.vms.iter().collect();
    // Those whose memory moved most differently first; then as the runs list them.
    let moved = |vm: &crate::VmSums| {
        let apart = |pair: Pair<Option<f64>>| (pair.first.unwrap_or(0.0) - pair.second.unwrap_or(0.0)).abs();
        vm.all().into_iter().take(4).map(apart).fold(0.0, f64::max)
    };
    chosen.sort_by(|a, b| moved(b).total_cmp(&moved(a)));
    let chosen: Vec<&str> = chosen.into_iter().take(PANELS).map(|vm| vm.name.as_str()).collect();
    let memory = |place: usize, point: &Point| {
        point.vms.get(place).filter(|vm| vm.running).map(|vm| vm.physical.mib())
    };
    let mut panels = vec![
        apart("Physical Memory that a VM has more in B than in A", 1.0, &runs, &chosen, memory),
        apart("Physical Memory that a VM has less in B than in A", -1.0, &runs, &chosen, memory),
    ];
    let available = |_: usize, point: &Point| Some(point.host.available.mib());
    panels.push(panel("Available Memory of the host: A whole, B broken", &runs, None, available));
    for name in chosen {
        panels.push(panel(&format!("Physical Memory of {name}"), &runs, Some(name), memory));
    }
    let last = |run: &Recorded| run.points.last().map_or(0.0, |point| point.time.as_secs_f64() / 60.0);
    let ends = runs.as_ref().map(last);
    let figure = Figure {
        title: "Both runs over each other".to_owned(),
        note: String::new(),
        axis: "time (min)",
        from: 0.0,
        to: ends.first.max(ends.second).max(1.0 / 60.0),
        phases: Vec::new(),
        panels,
    };
    Ok(figure.draw())
}

/// Place of a VM among those of a run.
fn place(run: &Recorded, vm: &str) -> Option<usize> {
    run.vms.iter().position(|name| name == vm)
}

/// Every how many points one is drawn.
fn step(run: &Recorded) -> usize {
    run.points.len().div_ceil(POINTS).max(1)
}

fn minutes(point: &Point) -> f64 {
    point.time.as_secs_f64() / 60.0
}

/// A panel with what B has more than A (`sign` 1), or less (-1), for each of some VMs.
fn apart(
    title: &str,
    sign: f64,
    runs: &Pair<Recorded>,
    vms: &[&str],
    value: impl Fn(usize, &Point) -> Option<f64>,
) -> Panel {
    let curve = |(number, vm): (usize, &&str)| {
        let places = runs.as_ref().map(|run| place(run, vm));
        let points = match places {
            Pair { first: Some(first), second: Some(second) } => {
                let mut others = runs.second.points.iter().peekable();
                let at_the_same_time = |point: &Point| {
                    while others.next_if(|other| other.time < point.time).is_some() {}
                    let other = others.peek().filter(|other| other.time == point.time)?;
                    let more = value(second, other)? - value(first, point)?;
                    Some((minutes(point), (sign * more).max(0.0)))
                };
                runs.first.points.iter().step_by(step(&runs.first)).filter_map(at_the_same_time).collect()
            }
            _ => Vec::new(),
        };
        Curve { label: (*vm).to_owned(), stroke: STROKES[number % STROKES.len()], points }
    };
    Panel {
        title: title.to_owned(),
        axis: "MB".to_owned(),
        height: 180.0,
        top: None,
        curves: vms.iter().enumerate().map(curve).collect(),
        given: Vec::new(),
        marks: Vec::new(),
    }
}

/// A panel with the curve of each run, of the host or of a VM.
fn panel(
    title: &str,
    runs: &Pair<Recorded>,
    vm: Option<&str>,
    value: impl Fn(usize, &Point) -> Option<f64>,
) -> Panel {
    let points = |run: &Recorded| -> Vec<(f64, f64)> {
        let Some(place) = vm.map_or(Some(0), |vm| place(run, vm)) else { return Vec::new() };
        run.points
            .iter()
            .step_by(step(run))
            .map(|point| (minutes(point), value(place, point).unwrap_or(f64::NAN)))
            .collect()
    };
    Panel {
        title: title.to_owned(),
        axis: "MB".to_owned(),
        height: 150.0,
        top: None,
        curves: vec![
            Curve { label: "A".to_owned(), stroke: STROKES[0], points: points(&runs.first) },
            Curve { label: "B".to_owned(), stroke: STROKES[1], points: points(&runs.second) },
        ],
        given: Vec::new(),
        marks: Vec::new(),
    }
}
