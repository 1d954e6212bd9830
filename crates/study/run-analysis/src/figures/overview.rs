//! What any run can be shown as: the host's memory, the VMs' memory, and who lacked some.

use charts::{BLACK, BLUE, Curve, Figure, GREY, ORANGE, Panel, Stroke};
use page_range::PageCount;
use scenario::run::Point;
use scenario::run::points::VmPoint;

use super::over_time::{TIME, curve, minutes, of_vm, panel};
use super::recorded::Recorded;

/// VMs that can be told apart, so that each is named.
const EACH: usize = 8;
/// VMs that are named where there are more.
const HOT: usize = 4;
/// Grey lines beside those: more are one grey area.
const GREY_LINES: usize = 60;

/// What a VM wanted and did not have: demand beyond its memory, and what its guest refused its applications.
fn lacks(vm: &VmPoint) -> PageCount {
    vm.demand.map_or(PageCount::ZERO, |demand| demand.saturating_sub(vm.physical)) + vm.guest_refused
}

/// How VMs are drawn.
struct Shown {
    /// VMs with their strokes, those that are named last, so that they lie above.
    vms: Vec<(usize, Stroke, bool)>,
    /// How many of them are named because they are hot.
    hot: usize,
    /// How many are drawn in grey, and how many are not drawn.
    grey: usize,
    hidden: usize,
}

/// VMs in the order in which they are drawn where not all can be: those that lacked most and those whose memory changed most in turn, so
/// that the first ones are some of either; and how many of them lacked or changed at all.
fn by_heat(run: &Recorded) -> (Vec<usize>, usize) {
    let lacked =
        |vm: usize| run.points.iter().map(|point| lacks(&point.vms[vm]).get()).fold(0, u64::saturating_add);
    let changed = |vm: usize| {
        let has = || run.points.iter().map(|point| point.vms[vm].physical.get()).filter(|pages| *pages > 0);
        has().max().unwrap_or(0) - has().min().unwrap_or(0)
    };
    let sorted = |of: &dyn Fn(usize) -> u64| {
        let mut order: Vec<(usize, u64)> = (0..run.vms.len()).map(|vm| (vm, of(vm))).collect();
        order.sort_by(|(_, a), (_, b)| b.cmp(a));
        order
    };
    let warm = (0..run.vms.len()).filter(|vm| lacked(*vm) > 0 || changed(*vm) > 0).count();
    let (lacked, changed) = (sorted(&lacked), sorted(&changed));
    let mut order = Vec::with_capacity(run.vms.len());
    let mut known = vec![false; run.vms.len()];
    for ((lacking, amount), (changing, _)) in lacked.into_iter().zip(changed) {
        // A VM that lacked nothing is not hot for that.
        for vm in [(amount > 0).then_some(lacking), Some(changing)].into_iter().flatten() {
            if !std::mem::replace(&mut known[vm], true) {
                order.push(vm);
            }
        }
    }
    (order, warm)
}

impl Shown {
    fn of(run: &Recorded) -> Self {
        const DASHES: [&str; 4] = ["", "7 3", "2 2", "8 2 2 2"];
        const COLOURS: [&str; 2] = [BLUE, BLACK];
        if run.vms.len() <= EACH {
            let stroke = |vm: usize| Stroke::dashed(COLOURS[vm / 4 % 2], 1.4, DASHES[vm % 4]);
            let vms = (0..run.vms.len()).map(|vm| (vm, stroke(vm), true)).collect();
            return Self { vms, hot: 0, grey: 0, hidden: 0 };
        }
        const STROKES: [Stroke; HOT] = [
            Stroke::solid(BLUE, 2.2),
            Stroke::solid(ORANGE, 1.6),
            Stroke::dashed(BLACK, 1.6, "7 3"),
            Stroke::dashed(BLACK, 1.4, "2 2"),
        ];
        let (order, warm) = by_heat(run);
        let (hot, others) = order.split_at(warm.min(HOT));
        let drawn = &others[..others.len().min(GREY_LINES)];
        let grey = drawn.iter().map(|vm| (*vm, Stroke::solid(GREY, 0.7), false));
        let hot = hot.iter().zip(STROKES).map(|(vm, stroke)| (*vm, stroke, true)).rev();
        let named = hot.len();
        Self {
            vms: grey.chain(hot).collect(),
            hot: named,
            grey: drawn.len(),
            hidden: others.len() - drawn.len(),
        }
    }

    /// What is said above the panel of the VMs.
    fn title(&self) -> String {
        let others = match (self.grey, self.hidden) {
            (0, _) => return String::new(),
            (grey, 0) => format!("in grey {grey} VMs"),
            (grey, hidden) => format!("in grey {grey} VMs; {hidden} others are not drawn"),
        };
        match self.hot {
            0 => format!("nobody lacked memory, and nobody's memory changed; {others}"),
            _ => format!("named: who lacked most memory, and whose memory changed most; {others}"),
        }
    }

    fn curves(&self, run: &Recorded, of: impl Fn(&VmPoint) -> Option<PageCount> + Copy) -> Vec<Curve> {
        let label = |vm: usize, named: bool| if named { run.vms[vm].as_str() } else { "" };
        self.vms
            .iter()
            .map(|(vm, stroke, named)| curve(run, label(*vm, *named), *stroke, of_vm(*vm, of)))
            .collect()
    }
}

/// The panel of what VMs lacked, if any lacked something: the sum, and those that are named in the panel of their memory.
fn lacked(run: &Recorded, shown: &Shown) -> Option<Panel> {
    let total = |point: &Point| point.vms.iter().map(lacks).sum::<PageCount>().mib();
    let any = |vm: usize| run.points.iter().any(|point| !lacks(&point.vms[vm]).is_zero());
    run.points.iter().any(|point| total(point) > 0.0).then(|| {
        let all = curve(run, "all VMs", Stroke::solid(GREY, 1.0), total);
        let named = Shown {
            vms: shown.vms.iter().copied().filter(|(vm, _, named)| *named && any(*vm)).collect(),
            ..*shown
        };
        let curves = [all].into_iter().chain(named.curves(run, |vm| Some(lacks(vm))));
        panel(
            "demand beyond the memory, and what guests refused their applications",
            "lacked (MB)",
            120.0,
            curves.collect(),
        )
    })
}

/// The panel of what large pages were lost, if any were: how much of all VMs' memory is mapped with small ones.
fn in_small_pages(run: &Recorded) -> Option<Panel> {
    let small = |point: &Point| point.vms.iter().map(|vm| u64::from(vm.small_pages)).sum::<u64>();
    let percent = |point: &Point| {
        let all: PageCount = point.vms.iter().map(|vm| vm.physical).sum();
        100.0 * small(point) as f64 / all.get().max(1) as f64
    };
    run.points.iter().any(|point| small(point) > 0).then(|| {
        let curve = curve(run, "all VMs", Stroke::solid(BLUE, 1.4), percent);
        panel(
            "memory that is mapped with pages of 4 KiB in place of 2 MiB",
            "4 KiB pages (%)",
            90.0,
            vec![curve],
        )
    })
}

/// What any run can be shown as.
pub(super) fn overview(run: &Recorded, note: &str) -> Option<String> {
    let end = run.points.last().map(minutes).filter(|end| *end > 0.0)?;
    let demand =
        |point: &Point| point.vms.iter().filter_map(|vm| vm.demand).sum::<PageCount>().mib() / 1024.0;
    let host = panel(
        "",
        "host (GB)",
        170.0,
        vec![
            curve(run, "all VMs' memory", Stroke::solid(BLUE, 2.2), |point| {
                point.host.assigned.mib() / 1024.0
            }),
            curve(run, "all VMs' demand", Stroke::dashed(ORANGE, 1.4, "3 2"), demand),
            curve(run, "Available Memory", Stroke::dashed(BLACK, 1.4, "6 2"), |point| {
                point.host.available.mib() / 1024.0
            }),
            curve(run, "parent's free\nmemory", Stroke::solid(GREY, 1.0), |point| {
                point.host.parent_free_mib / 1024.0
            }),
        ],
    );
    let shown = Shown::of(run);
    let vms = panel(&shown.title(), "Physical Memory (MB)", 190.0, shown.curves(run, |vm| Some(vm.physical)));
    let figure = Figure {
        title: "Memory of the host and of its VMs".to_owned(),
        note: note.to_owned(),
        axis: TIME,
        from: 0.0,
        to: end,
        phases: Vec::new(),
        panels: [host, vms].into_iter().chain(lacked(run, &shown)).chain(in_small_pages(run)).collect(),
    };
    Some(figure.draw())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use scenario::run::points::HostPoint;

    use super::*;

    /// So many VMs of 512 MB; VM7 wants 2 GB for half of the time, and VM3 gets 1 GB.
    fn run(vms: usize) -> Recorded {
        let point = |minute: u64| Point {
            time: Duration::from_secs(60 * minute),
            host: HostPoint::default(),
            vms: (1..=vms)
                .map(|vm| VmPoint {
                    physical: PageCount::from_mib(if vm == 3 && minute > 5 { 1024 } else { 512 }),
                    demand: Some(PageCount::from_mib(if vm == 7 && minute > 5 { 2048 } else { 400 })),
                    ..VmPoint::default()
                })
                .collect(),
        };
        Recorded {
            vms: (1..=vms).map(|vm| format!("VM{vm}")).collect(),
            points: (0..=10).map(point).collect(),
            maximum: vec![None; vms],
            host_mb: 4096.0,
            of: None,
            disks: Vec::new(),
            remarks: Vec::new(),
        }
    }

    #[test]
    fn large_pages_that_were_lost_are_shown_and_only_those() {
        let mut run = run(8);
        let shown = |run: &Recorded| overview(run, "").unwrap().contains("pages of 4 KiB");
        assert!(!shown(&run));
        run.points[7].vms[2].small_pages = 512;
        assert!(shown(&run));
    }

    #[test]
    fn of_many_vms_the_hot_one_is_named_and_what_is_not_drawn_is_said() {
        let named = |figure: &str, vm: &str| figure.contains(&format!(">{vm}<"));
        let few = overview(&run(8), "").unwrap();
        assert!((1..=8).all(|vm| named(&few, &format!("VM{vm}"))) && !few.contains("in grey"));
        let many = overview(&run(40), "").unwrap();
        assert!(named(&many, "VM7") && named(&many, "VM3") && !named(&many, "VM30"));
        assert!(many.contains("in grey 38 VMs"), "{many}");
        let too_many = overview(&run(200), "").unwrap();
        assert!(named(&too_many, "VM7"));
        assert!(too_many.contains("in grey 60 VMs; 138 others are not drawn"));
        for figure in [few, many, too_many] {
            assert!(figure.contains("lacked (MB)") && figure.contains("all VMs' demand"));
        }
    }

    #[test]
    fn the_hottest_comes_first() {
        let (order, warm) = by_heat(&run(9));
        assert_eq!((&order[..2], warm), (&[6, 2][..], 2));
        assert_eq!(order.iter().collect::<std::collections::BTreeSet<_>>().len(), 9, "each is there once");
    }
}
