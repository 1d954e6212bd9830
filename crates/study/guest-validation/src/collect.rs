//! Collecting the curves of a run while it goes on: of a simulated one and of a real one alike.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use page_range::PageCount;
use parking_lot::Mutex;
use scenario::run::Point;
use serde_json::Value;

use crate::curves::{Curve, Curves, VmCurves};
use crate::load::{Load, VmLoad};
use crate::plan::name;

/// An event's line at most: longer ones are none that is looked at.
const LINE: usize = 1 << 16;

/// Collects the curves of a run. The events come by [`tap`](Self::tap), the samples by [`sample`](Self::sample).
#[derive(Clone, Debug)]
pub struct Collector(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    names: Vec<String>,
    has_disks: Vec<bool>,
    vms: Vec<Vm>,
}

/// What a guest has moved between memory and its disks, MiB, from whatever moment on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moved {
    /// Of files.
    pub file_reads: f64,
    /// From its swap.
    pub page_ins: f64,
    /// To its swap.
    pub page_outs: f64,
}

#[derive(Clone, Debug, Default)]
struct Vm {
    curves: VmCurves,
    /// The last report: committed and available, MiB.
    report: Option<(f64, f64)>,
    /// When the host asked for the hot-add that is under way.
    asked: Option<Duration>,
    /// What had been moved when the load began.
    before: Option<Moved>,
}

impl Collector {
    /// One for a run of this load.
    #[must_use]
    pub fn new(load: &Load) -> Self {
        let names: Vec<String> = (0..load.vms.len()).map(name).collect();
        let has_disks = load.vms.iter().map(VmLoad::has_disks).collect();
        Self(Arc::new(Mutex::new(State { vms: vec![Vm::default(); names.len()], names, has_disks })))
    }

    /// Where the run's events go.
    #[must_use]
    pub fn tap(&self) -> Box<dyn Write + Send> {
        Box::new(Tap { collector: self.clone(), line: Vec::new() })
    }

    /// Whether all guests have reported.
    #[must_use]
    pub fn all_report(&self) -> bool {
        self.0.lock().vms.iter().all(|vm| vm.report.is_some())
    }

    /// Takes a sample, of the next second since the load's beginning. `moved` is what each guest has moved by now.
    pub fn sample(&self, point: &Point, moved: &[Moved]) {
        let state = &mut *self.0.lock();
        for (place, (vm, point)) in state.vms.iter_mut().zip(&point.vms).enumerate() {
            let (committed, available) = vm.report.unwrap_or_default();
            let demand = point.demand.map_or(0.0, PageCount::mib);
            let now = moved.get(place).copied().unwrap_or_default();
            let before = *vm.before.get_or_insert(now);
            let values = [
                committed,
                available,
                demand,
                point.physical.mib(),
                now.file_reads - before.file_reads,
                now.page_ins - before.page_ins,
                now.page_outs - before.page_outs,
            ];
            vm.curves.push(if state.has_disks[place] { &values } else { &values[..Curve::WITHOUT_DISKS] });
        }
    }

    /// Forgets what was before the load's beginning.
    pub fn begin(&self) {
        for vm in &mut self.0.lock().vms {
            (vm.curves, vm.before) = (VmCurves::default(), None);
        }
    }

    /// What was collected.
    #[must_use]
    pub fn curves(&self, about: Vec<(String, String)>) -> Curves {
        Curves { about, vms: self.0.lock().vms.iter().map(|vm| vm.curves.clone()).collect() }
    }

    fn event(&self, event: &Value) {
        let mut state = self.0.lock();
        let Some(place) = event["vm"].as_str().and_then(|vm| state.names.iter().position(|name| name == vm))
        else {
            return;
        };
        let vm = &mut state.vms[place];
        let fields = if event["fields"].is_null() { event } else { &event["fields"] };
        let mib = |field: &str| fields[field].as_u64().map(|pages| pages as f64 / 256.0);
        let time = Duration::from_nanos(event["t"].as_u64().unwrap_or_default());
        match event["event"].as_str() {
            Some("status_report") => {
                vm.report = mib(Curve::Committed.name()).zip(mib(Curve::Available.name()));
            }
            Some("dm_send") if fields["message"] == "MEM_HOT_ADD_REQUEST" => vm.asked = Some(time),
            Some("operation_finished") => {
                if let Some(asked) = vm.asked.take() {
                    vm.curves.hot_adds.push(time.saturating_sub(asked).as_secs_f64());
                }
            }
            _ => {}
        }
    }
}

struct Tap {
    collector: Collector,
    line: Vec<u8>,
}

impl Write for Tap {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.line.len() + piece.len() <= LINE {
                self.line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                // The recorder writes nothing but lines of JSON.
                if let Ok(event) = serde_json::from_slice(&self.line) {
                    self.collector.event(&event);
                }
                self.line.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;

    #[test]
    fn what_moves_counts_from_the_first_sample_on_and_only_where_there_are_disks() {
        let (swap, steps) = (load::find("swap").unwrap(), load::find("steps").unwrap());
        let mut point = Point::default();
        point.vms.resize(1, Default::default());
        let curves = |load| {
            let collector = Collector::new(load);
            for page_ins in [100.0, 130.0] {
                collector.sample(&point, &[Moved { page_ins, ..Moved::default() }]);
            }
            collector.curves(Vec::new())
        };
        assert_eq!(curves(swap).vms[0].get(Curve::PageIns), [0.0, 30.0]);
        assert_eq!(curves(steps).vms[0].get(Curve::PageIns), [0.0; 0]);
    }

    #[test]
    fn reports_and_hot_adds_are_taken_from_the_events_of_their_vm() {
        let collector = Collector::new(load::find("contention").unwrap());
        let mut tap = collector.tap();
        let events = [
            r#"{"t":1000000000,"event":"status_report","vm":"VM2","fields":{"committed":25600,"available":51200}}"#,
            r#"{"t":2000000000,"event":"dm_send","vm":"VM2","fields":{"message":"MEM_HOT_ADD_REQUEST"}}"#,
            "no event at all",
            r#"{"t":2250000000,"event":"operation_finished","vm":"VM2","fields":{"kind":"grow"}}"#,
            r#"{"t":2350000000,"event":"operation_finished","vm":"VM2","fields":{"kind":"shrink"}}"#,
            r#"{"t":3000000000,"event":"status_report","vm":"VM9","fields":{"committed":1,"available":1}}"#,
        ];
        // In pieces, as a buffer gives them.
        for piece in events.map(|event| format!("{event}\n")).concat().as_bytes().chunks(7) {
            tap.write_all(piece).unwrap();
        }
        assert!(!collector.all_report());
        let mut point = Point::default();
        point.vms.resize(2, Default::default());
        point.vms[1].physical = PageCount::from_mib(640);
        collector.sample(&point, &[]);
        let curves = collector.curves(Vec::new());
        assert_eq!(curves.vms[1].get(Curve::Committed), [100.0]);
        assert_eq!(
            (curves.vms[1].get(Curve::Available), curves.vms[1].get(Curve::Assigned)),
            (&[200.0][..], &[640.0][..])
        );
        assert_eq!((&curves.vms[1].hot_adds, &curves.vms[0].hot_adds), (&vec![0.25], &vec![]));
    }
}
