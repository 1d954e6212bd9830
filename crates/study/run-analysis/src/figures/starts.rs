//! Figures 4-1 and 4-3 of \[A\]: how much memory VMs take that only run, and how many of them there can be.

use crate::verify::host_used;
use charts::{
    Anchor, BAR, BLACK, BLUE, Curve, Figure, GREY, HALO, LIGHT, LIGHT_BAR, Mark, ORANGE, Panel, Picture,
    Stroke, divisions, tick,
};
use scenario::run::Point;

/// What of a run the two figures show.
#[derive(Clone, Debug)]
pub(super) struct Starts {
    /// Memory of the host in use and number of VMs with memory, at every sample; GB.
    curve: Vec<(f64, f64)>,
    /// At the sample of the highest use: what VMs have, and what the host needs besides; GB.
    vms_gb: f64,
    rest_gb: f64,
}

impl Starts {
    /// Of a run's samples.
    pub(super) fn of(points: &[Point]) -> Self {
        let running = |point: &Point| point.vms.iter().filter(|vm| !vm.physical.is_zero()).count() as f64;
        let used = |point: &Point| host_used(point).mib() / 1024.0;
        let mut curve: Vec<(f64, f64)> = Vec::new();
        for point in points {
            let now = (used(point), running(point));
            // A start takes its memory at once: one step of the stairs.
            if curve.last().is_none_or(|last| last.1 != now.1) {
                if let Some(&(_, before)) = curve.last() {
                    curve.push((now.0, before));
                }
                curve.push(now);
            }
        }
        let most = points.iter().max_by(|a, b| host_used(a).cmp(&host_used(b)));
        let vms_gb = most.map_or(0.0, |point| point.host.assigned.mib() / 1024.0);
        Self { vms_gb, rest_gb: most.map_or(0.0, used) - vms_gb, curve }
    }

    fn used(&self) -> f64 {
        self.vms_gb + self.rest_gb
    }

    fn vms(&self) -> f64 {
        self.curve.last().map_or(0.0, |(_, vms)| *vms)
    }
}

/// Figure 4-1: the same VMs with static memory and with Dynamic Memory.
pub(super) fn figure_4_1(fixed: &Starts, dynamic: &Starts, note: &str) -> String {
    const WIDTH: f64 = 640.0;
    const LEFT: f64 = 62.0;
    const TOP: f64 = 56.0;
    const HEIGHT: f64 = 250.0;
    const WIDE: f64 = 92.0;
    let mut picture = Picture::new(WIDTH, TOP + HEIGHT + 46.0, "Figure 4-1: memory in use with seven VMs");
    let bottom = TOP + HEIGHT;
    picture.styled(
        (LEFT, 19.0),
        Anchor::Start,
        " font-size=\"13\" font-weight=\"bold\"",
        "Figure 4-1  Memory of the host in use, the same VMs running",
    );
    picture.styled((LEFT, 35.0), Anchor::Start, &format!(" fill=\"{GREY}\""), note);
    let (step, top) = divisions(fixed.used().max(dynamic.used()).max(30.31) * 1.08, 7.0);
    let y = |value: f64| bottom - HEIGHT * value / top;
    let mut value = 0.0;
    while value <= top * 1.0001 {
        picture.line((LEFT, y(value)), (620.0, y(value)), Stroke::solid(LIGHT, 0.6));
        picture.text((LEFT - 7.0, y(value) + 4.0), Anchor::End, &tick(value, step));
        value += step;
    }
    picture.upright((15.0, 0.5 * (TOP + bottom)), "memory in use (GB)");
    let bars = [(fixed, 120.0, "(1) static memory", 30.31), (dynamic, 360.0, "(2) Dynamic Memory", 4.26)];
    for (run, x, name, source) in bars {
        let (vms, used) = (y(run.vms_gb), y(run.used()));
        picture.rectangle((x, vms), (WIDE, bottom - vms), BAR, Some(Stroke::solid(BLACK, 0.8)));
        picture.rectangle((x, used), (WIDE, vms - used), LIGHT_BAR, Some(Stroke::solid(BLACK, 0.8)));
        // What the source measured: a line across the bar, and its number beside it.
        let given = y(source);
        picture.line((x - 12.0, given), (x + WIDE + 12.0, given), Stroke::dashed(BLACK, 1.2, "1.5 2"));
        let beside = x + WIDE + 18.0;
        picture.styled(
            (beside, used + 4.0),
            Anchor::Start,
            &format!(" font-weight=\"bold\"{HALO}"),
            &format!("{:.2} GB", run.used()),
        );
        picture.styled((beside, used + 18.0), Anchor::Start, HALO, &format!("source: {source} GB"));
        let inside = |picture: &mut Picture, from: f64, to: f64, fill: &str, words: &str| {
            if to - from > 13.0 {
                let style = format!(" fill=\"{fill}\"");
                picture.styled((x + 0.5 * WIDE, 0.5 * (from + to) + 4.0), Anchor::Middle, &style, words);
            }
        };
        inside(&mut picture, vms, bottom, "#FFFFFF", &format!("VMs {:.1}", run.vms_gb));
        inside(&mut picture, used, vms, BLACK, &format!("host {:.1}", run.rest_gb));
        picture.text((x + 0.5 * WIDE, bottom + 17.0), Anchor::Middle, name);
        picture.text((x + 0.5 * WIDE, bottom + 31.0), Anchor::Middle, &format!("{:.0} VMs", run.vms()));
    }
    picture.line((LEFT, TOP), (LEFT, bottom), Stroke::solid(BLACK, 0.8));
    picture.line((LEFT, bottom), (620.0, bottom), Stroke::solid(BLACK, 0.8));
    picture.finish()
}

/// Figure 4-3: VMs over the memory that they and the host have in use.
pub(super) fn figure_4_3(fixed: &Starts, dynamic: &Starts, note: &str) -> String {
    let curve = |run: &Starts, name: &str, stroke| Curve {
        label: format!("{name}:\n{:.0} VMs", run.vms()),
        stroke,
        points: run.curve.clone(),
    };
    let most = fixed.used().max(dynamic.used()).max(30.31);
    let panel = Panel {
        title: String::new(),
        axis: "VMs running".to_owned(),
        height: 280.0,
        top: None,
        curves: vec![
            curve(dynamic, "Dynamic Memory", Stroke::solid(BLUE, 2.2)),
            curve(fixed, "static memory", Stroke::dashed(ORANGE, 2.2, "7 3")),
        ],
        given: Vec::new(),
        marks: vec![
            Mark { at: (dynamic.used(), 88.0), label: "source: 88 VMs, more than 30 GB".to_owned() },
            Mark { at: (30.31, 7.0), label: "source: 7 VMs, 30.31 GB".to_owned() },
        ],
    };
    Figure {
        title: "Figure 4-3  VMs that run at once, over the memory of the host in use".to_owned(),
        note: note.to_owned(),
        axis: "memory of the host in use (GB)",
        from: 0.0,
        to: (most * 1.04).ceil(),
        phases: Vec::new(),
        panels: vec![panel],
    }
    .draw()
}
