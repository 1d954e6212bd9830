//! The curves of both runs over each other, as numbers: a page of charts shows them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use run_analysis::figures::{FiguresError, Recorded};
use scenario::run::Point;

use crate::{Difference, Pair};

/// VMs that have a chart: those whose memory differs most. Invented.
const CHARTS: usize = 8;

/// Points of a curve: more than a screen has columns. Invented.
const POINTS: usize = 2000;

/// A chart over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What it shows, in MB.
    pub title: String,
    /// Times in seconds, ascending.
    pub times: Vec<f64>,
    /// Names of the curves, a number by which the same curve looks the same in every chart, and a value for each time.
    pub curves: Vec<(String, usize, Vec<Option<f64>>)>,
}

/// The charts: what VMs have more and less in the second run, Available Memory, then the VMs whose memory differs most.
///
/// # Errors
/// Counters that cannot be read.
pub fn charts(difference: &Difference, folders: &Pair<impl AsRef<Path>>) -> Result<Vec<Chart>, FiguresError> {
    let read = |folder: &Path| Recorded::read(folder);
    let runs = Pair::new(read(folders.first.as_ref())?, read(folders.second.as_ref())?);
    let mut chosen: Vec<_> = difference.vms.iter().collect();
    // Those whose memory moved most differently first; then as the runs list them.
    let moved = |vm: &crate::VmSums| {
        let apart = |pair: Pair<Option<f64>>| (pair.first.unwrap_or(0.0) - pair.second.unwrap_or(0.0)).abs();
        vm.all().into_iter().take(4).map(apart).fold(0.0, f64::max)
    };
    chosen.sort_by(|a, b| moved(b).total_cmp(&moved(a)));
    let chosen: Vec<&str> = chosen.into_iter().take(CHARTS).map(|vm| vm.name.as_str()).collect();
    let both = Both::of(&runs);
    let mut charts = vec![
        both.apart("Physical Memory that a VM has more in B than in A", 1.0, &chosen),
        both.apart("Physical Memory that a VM has less in B than in A", -1.0, &chosen),
        both.over("Available Memory of the host", |_, point| Some(point.host.available.mib())),
    ];
    for name in chosen {
        charts.push(both.over(&format!("Physical Memory of {name}"), |run, point| memory(run, name, point)));
    }
    Ok(charts)
}

/// What a VM has, while it runs.
fn memory(run: &Recorded, vm: &str, point: &Point) -> Option<f64> {
    let place = run.vms.iter().position(|name| name == vm)?;
    point.vms.get(place).filter(|vm| vm.running).map(|vm| vm.physical.mib())
}

/// Both runs, sample by sample.
struct Both<'a> {
    runs: &'a Pair<Recorded>,
    /// At each time that either run has a sample of, the samples.
    samples: BTreeMap<Duration, Pair<Option<&'a Point>>>,
}

impl<'a> Both<'a> {
    fn of(runs: &'a Pair<Recorded>) -> Self {
        let mut samples: BTreeMap<Duration, Pair<Option<&Point>>> = BTreeMap::new();
        let step = runs.first.points.len().max(runs.second.points.len()).div_ceil(POINTS).max(1);
        for point in runs.first.points.iter().step_by(step) {
            samples.entry(point.time).or_insert(Pair::new(None, None)).first = Some(point);
        }
        for point in runs.second.points.iter().step_by(step) {
            samples.entry(point.time).or_insert(Pair::new(None, None)).second = Some(point);
        }
        Self { runs, samples }
    }

    fn times(&self) -> Vec<f64> {
        self.samples.keys().map(Duration::as_secs_f64).collect()
    }

    /// What B has more than A (`sign` 1), or less (-1), for each of some VMs.
    fn apart(&self, title: &str, sign: f64, vms: &[&str]) -> Chart {
        let of = |vm: &str| -> Vec<Option<f64>> {
            let more = |pair: &Pair<Option<&Point>>| {
                let second = memory(&self.runs.second, vm, pair.second?)?;
                Some((sign * (second - memory(&self.runs.first, vm, pair.first?)?)).max(0.0))
            };
            self.samples.values().map(more).collect()
        };
        let curves = vms.iter().enumerate().map(|(place, vm)| ((*vm).to_owned(), place, of(vm))).collect();
        Chart { title: title.to_owned(), times: self.times(), curves }
    }

    /// A curve of each run.
    fn over(&self, title: &str, value: impl Fn(&Recorded, &Point) -> Option<f64>) -> Chart {
        let first = self.samples.values().map(|pair| value(&self.runs.first, pair.first?)).collect();
        let second = self.samples.values().map(|pair| value(&self.runs.second, pair.second?)).collect();
        let curves = vec![("A".to_owned(), 0, first), ("B".to_owned(), 5, second)];
        Chart { title: title.to_owned(), times: self.times(), curves }
    }
}
