//! What VMs do with their virtual hard disks: who pages, and how long a read takes.

use charts::{BLACK, BLUE, Curve, Figure, Panel, Stroke};

use super::over_time::{TIME, minutes, panel};
use super::recorded::{DiskUse, Recorded};

/// VMs that can be told apart.
const MOST: usize = 8;
/// How long a value is averaged, minutes.
const WINDOW: f64 = 0.5;

/// The mean of each half minute; a gap where there was nothing.
fn averaged(run: &Recorded, values: &[Option<f64>], factor: f64) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    let (mut begin, mut sum, mut count) = (0.0, 0.0, 0u32);
    for (point, value) in run.points.iter().zip(values) {
        let at = minutes(point);
        if at - begin >= WINDOW {
            let mean = if count == 0 { f64::NAN } else { sum / f64::from(count) };
            points.push((begin + WINDOW / 2.0, mean));
            (begin, sum, count) = (at, 0.0, 0);
        }
        if let Some(value) = value {
            sum += value * factor;
            count += 1;
        }
    }
    points
}

fn curves(run: &Recorded, factor: f64, of: impl Fn(&DiskUse) -> &[Option<f64>]) -> Vec<Curve> {
    const DASHES: [&str; 4] = ["", "7 3", "2 2", "8 2 2 2"];
    const COLOURS: [&str; 2] = [BLUE, BLACK];
    let vms = run.vms.iter().zip(&run.disks).enumerate().take(MOST);
    vms.map(|(at, (name, disks))| Curve {
        label: name.clone(),
        stroke: Stroke::dashed(COLOURS[at / 4 % 2], 1.6, DASHES[at % 4]),
        points: averaged(run, of(disks), factor),
    })
    .collect()
}

/// Reads from the page file, and what a read of a disk takes.
pub(super) fn figure_disks(run: &Recorded, note: &str) -> Option<String> {
    let end = run.points.last().map(minutes).filter(|end| *end > 0.0)?;
    if run.disks.is_empty() {
        return None;
    }
    let hidden = run.vms.len().saturating_sub(MOST);
    let title = if hidden == 0 { String::new() } else { format!("{hidden} other VMs are not drawn") };
    let reads: Panel = panel(&title, "page reads (1/s)", 170.0, curves(run, 1.0, |disks| &disks.page_reads));
    let latency: Panel = panel("", "a read takes (ms)", 150.0, curves(run, 1e3, |disks| &disks.read_latency));
    let figure = Figure {
        title: "Page files on virtual hard disks: pages read, and what a read takes".to_owned(),
        note: note.to_owned(),
        axis: TIME,
        from: 0.0,
        to: end,
        phases: Vec::new(),
        panels: vec![reads, latency],
    };
    Some(figure.draw())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use scenario::run::Point;

    use super::*;

    fn run(disks: Vec<DiskUse>) -> Recorded {
        let point = |second: u64| Point { time: Duration::from_secs(second), ..Point::default() };
        Recorded {
            vms: vec!["VM1".to_owned()],
            points: (0..120).map(point).collect(),
            maximum: vec![None],
            host_mb: 1024.0,
            of: None,
            disks,
            remarks: Vec::new(),
        }
    }

    #[test]
    fn only_runs_with_disks_have_the_figure() {
        assert_eq!(figure_disks(&run(Vec::new()), ""), None);
        let disks = DiskUse { page_reads: vec![Some(40.0); 120], read_latency: vec![Some(0.005); 120] };
        let drawn = figure_disks(&run(vec![disks]), "").unwrap();
        assert!(drawn.contains("a read takes (ms)") && drawn.contains("VM1"));
    }

    #[test]
    fn values_are_averaged_and_what_is_missing_is_a_gap() {
        let mut values = vec![Some(2.0); 120];
        values[30..60].fill(None);
        let points = averaged(&run(Vec::new()), &values, 10.0);
        assert_eq!(points[0], (0.25, 20.0));
        assert!(points[1].1.is_nan(), "{points:?}");
    }
}
