//! How the counters of a run went: how high and how low, when, and over time.

use std::path::Path;
use std::time::Duration;

use charts::{Figure, GREY, Panel, STROKES, Stroke};
use perf_counters::pdh::{CounterLog, CounterPath, Remark};
use perf_counters::schema;
use scenario::run::COUNTERS_FILE;
use serde::Serialize;

use crate::figures::FiguresError;

/// Bytes that are read of a counter file: about those of a thousand VMs for a day, once a second. Invented.
const MOST_COUNTERS: u64 = 1 << 34;

/// The counters of a run.
#[derive(Debug)]
pub struct Counters {
    log: CounterLog,
    times: Vec<Duration>,
}

/// One counter of the host or of one VM.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Counter set and counter, such as `Dynamic Memory Model VMBus\Upstream Ring Used`.
    pub counter: String,
    /// The VM, or the host or its part.
    pub of: String,
    /// Whether a guest itself counts, not its host.
    pub in_guest: bool,
    /// The unit's sign; empty for a counter that this project does not know.
    pub unit: &'static str,
    /// The value at each time; `None` where there is none, such as while the VM is off.
    pub values: Vec<Option<f64>>,
}

/// A value, and when the counter had it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct At {
    /// The value.
    pub value: f64,
    /// The time of the run in seconds.
    pub at_s: f64,
}

/// How far a counter went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Extent {
    /// Its highest value, where it first was.
    pub highest: At,
    /// Its lowest value, where it first was.
    pub lowest: At,
    /// Its last value.
    pub last: f64,
}

impl Counters {
    /// Reads the counters in a run's folder.
    ///
    /// # Errors
    /// A file that cannot be read, or has no row.
    pub fn read(directory: &Path) -> Result<Self, FiguresError> {
        let path = directory.join(COUNTERS_FILE);
        let file = input_file::open(&path, MOST_COUNTERS)
            .map_err(|error| FiguresError::File { path: path.clone(), error })?;
        let log =
            CounterLog::read(file).map_err(|error| FiguresError::Counters { path: path.clone(), error })?;
        if log.is_empty() {
            return Err(FiguresError::Empty { path });
        }
        Ok(Self { times: log.times(), log })
    }

    /// Times of the samples.
    #[must_use]
    pub fn times(&self) -> &[Duration] {
        &self.times
    }

    /// What whoever reads the counters should be told.
    #[must_use]
    pub fn remarks(&self) -> &[Remark] {
        self.log.remarks()
    }

    /// The counters that are called so; if none is, those with the words in their name, `set\counter`. Letters may be of either case. With
    /// `vm` only those of the VM, and of its guest.
    #[must_use]
    pub fn named(&self, words: &str, vm: Option<&str>) -> Vec<Curve> {
        let words = words.to_lowercase();
        let whole =
            |path: &CounterPath| path.counter.to_lowercase() == words || name(path).to_lowercase() == words;
        let part = |path: &CounterPath| name(path).to_lowercase().contains(&words);
        let exact = self.all(vm, &whole);
        if exact.is_empty() { self.all(vm, &part) } else { exact }
    }

    /// Those that a rule picks, of one VM or of all and the host.
    #[must_use]
    pub fn all(&self, vm: Option<&str>, rule: &dyn Fn(&CounterPath) -> bool) -> Vec<Curve> {
        let paths = self.log.paths().iter().enumerate();
        paths
            .filter(|(_, path)| rule(path))
            .filter(|(_, path)| vm.is_none_or(|vm| of(path).eq_ignore_ascii_case(vm)))
            .map(|(index, path)| Curve {
                counter: name(path),
                of: of(path).to_owned(),
                in_guest: self.host().is_some_and(|host| path.instance.is_none() && path.machine != host),
                unit: unit(path),
                values: self.log.values(index).collect(),
            })
            .collect()
    }

    /// The machine that has counters of virtual machines.
    fn host(&self) -> Option<&str> {
        self.log.paths().iter().find(|path| path.instance.is_some()).map(|path| &*path.machine)
    }

    /// How far a counter went between two times, both included; `None` if it has no value there.
    #[must_use]
    pub fn extent(&self, curve: &Curve, from: Duration, until: Duration) -> Option<Extent> {
        let values = self.times.iter().zip(&curve.values);
        let mut points = values
            .filter(|(time, _)| (from..=until).contains(*time))
            .filter_map(|(time, value)| value.map(|value| At { value, at_s: time.as_secs_f64() }));
        let first = points.next()?;
        let start = Extent { highest: first, lowest: first, last: first.value };
        Some(points.fold(start, |extent, point| Extent {
            highest: if point.value > extent.highest.value { point } else { extent.highest },
            lowest: if point.value < extent.lowest.value { point } else { extent.lowest },
            last: point.value,
        }))
    }
}

impl Counters {
    /// Draws counters over time, a panel for each; where there are more than eight curves in one, the eight that went highest are named.
    #[must_use]
    pub fn draw(&self, curves: &[Curve], from: Duration, until: Duration) -> String {
        let mut kinds: Vec<(&str, Vec<&Curve>)> = Vec::new();
        for curve in curves {
            match kinds
                .iter_mut()
                .find(|(name, of)| *name == curve.counter && of[0].in_guest == curve.in_guest)
            {
                Some((_, of)) => of.push(curve),
                None => kinds.push((&curve.counter, vec![curve])),
            }
        }
        let minutes = |time: Duration| time.as_secs_f64() / 60.0;
        let last = self.times.last().copied().unwrap_or_default();
        let panel = |(name, mut of): (&str, Vec<&Curve>)| {
            let highest =
                |curve: &&Curve| self.extent(curve, from, until).map_or(0.0, |extent| extent.highest.value);
            // The highest lie above the others, and are named.
            of.sort_by(|a, b| highest(b).total_cmp(&highest(a)));
            let drawn = of.iter().enumerate().rev().map(|(place, curve)| charts::Curve {
                label: if place < STROKES.len() { curve.of.clone() } else { String::new() },
                stroke: STROKES.get(place).copied().unwrap_or(Stroke::solid(GREY, 0.6)),
                points: self
                    .times
                    .iter()
                    .zip(&curve.values)
                    .filter(|(time, _)| (from..=until).contains(*time))
                    .map(|(time, value)| (minutes(*time), value.unwrap_or(f64::NAN)))
                    .collect(),
            });
            Panel {
                title: name.rsplit('\\').next().unwrap_or(name).to_owned(),
                axis: of.first().map_or("", |curve| curve.unit).to_owned(),
                height: 150.0,
                top: None,
                curves: drawn.collect(),
                given: Vec::new(),
                marks: Vec::new(),
            }
        };
        let one = curves.iter().all(|curve| curve.of == curves[0].of);
        Figure {
            title: if one {
                curves.first().map_or_else(String::new, |curve| curve.of.clone())
            } else {
                "Counters".to_owned()
            },
            note: String::new(),
            axis: "time (min)",
            from: minutes(from),
            to: minutes(until.min(last)),
            phases: Vec::new(),
            panels: kinds.into_iter().map(panel).collect(),
        }
        .draw()
    }
}

/// Counter set and counter.
fn name(path: &CounterPath) -> String {
    format!("{}\\{}", path.object, path.counter)
}

/// Whose counter it is: a VM by its name, also where the guest itself counts.
fn of(path: &CounterPath) -> &str {
    path.instance.as_deref().unwrap_or(&path.machine)
}

fn unit(path: &CounterPath) -> &'static str {
    let known = |counter: &&schema::CounterDefinition| {
        counter.object.eq_ignore_ascii_case(&path.object) && counter.name.eq_ignore_ascii_case(&path.counter)
    };
    schema::all().find(known).map_or("", |counter| counter.unit.symbol())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(rows: &str) -> Counters {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "\"(PDH-CSV 4.0) (UTC)(0)\",\"\\\\HOST\\Dynamic Memory Model VMBus(VM1)\\Upstream Ring Used\",\
             \"\\\\HOST\\Dynamic Memory Model VMBus(VM2)\\Upstream Ring Used\",\"\\\\VM1\\Memory\\Available MBytes\"\n{rows}"
        );
        std::fs::write(folder.path().join(COUNTERS_FILE), text).unwrap();
        Counters::read(folder.path()).unwrap()
    }

    #[test]
    fn the_highest_is_where_the_counter_first_was_so_high() {
        let counters = counters(
            "\"02/22/2011 09:00:00.000\",\"8\",\"1\",\"5\"\n\"02/22/2011 09:00:01.000\",\"40\",\" \",\"6\"\n\
             \"02/22/2011 09:00:02.000\",\"40\",\"3\",\"7\"\n",
        );
        let curves = counters.named("upstream ring used", None);
        assert!(!curves[0].in_guest && counters.named("Available MBytes", None)[0].in_guest);
        let names: Vec<(&str, &str)> = curves.iter().map(|curve| (&*curve.of, curve.unit)).collect();
        assert_eq!(names, [("VM1", "bytes"), ("VM2", "bytes")]);
        let all = |curve: &Curve| counters.extent(curve, Duration::ZERO, Duration::MAX).unwrap();
        let (first, second) = (all(&curves[0]), all(&curves[1]));
        assert_eq!((first.highest.value, first.highest.at_s, first.last), (40.0, 1.0, 40.0));
        assert_eq!((second.lowest.value, second.highest.at_s), (1.0, 2.0));
        // While VM2 was off there is nothing.
        let second = Duration::from_secs(1);
        assert_eq!(counters.extent(&curves[1], second, second), None);
    }

    #[test]
    fn a_picture_has_a_panel_for_each_counter_and_a_curve_for_each_vm() {
        let counters = counters(
            "\"02/22/2011 09:00:00.000\",\"8\",\"1\",\"5\"\n\"02/22/2011 09:00:01.000\",\"9\",\"1\",\"7\"\n",
        );
        let svg = counters.draw(&counters.all(None, &|_| true), Duration::ZERO, Duration::MAX);
        for words in ["Upstream Ring Used", "Available MBytes", ">VM1<", ">VM2<"] {
            assert!(svg.contains(words), "{words}");
        }
        assert!(!counters.draw(&[], Duration::ZERO, Duration::MAX).contains("NaN"));
    }

    #[test]
    fn a_counter_is_found_by_its_name_or_by_a_part_of_it_and_a_guests_by_its_vm() {
        let counters = counters("\"02/22/2011 09:00:00.000\",\"8\",\"1\",\"5\"\n");
        assert_eq!(counters.named("ring", Some("vm2")).len(), 1);
        assert_eq!(counters.named("Memory\\Available MBytes", Some("VM1")).len(), 1);
        assert!(counters.named("no such", None).is_empty());
    }
}
