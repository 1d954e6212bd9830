//! A job as the settings of a point, and back.

use core::time::Duration;
use std::collections::BTreeMap;

use balancing_policy::MemorySettings;
use guest_memory_manager::trace::TraceWindow;
use page_range::PageCount;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sweep::{Kept, Kind, Point, Settings};

use super::Changes;
use crate::fleet::Fleet;
use crate::job::{Engine, Job};
use crate::runs::Batch;

const MEMORY: &str = "memory_pages";
const VMS: &str = "vms";
const ARRIVE: &str = "arrive";
const WINDOW: &str = "window";
const HOPELESS: &str = "hopeless_s";
const KEEP_DEMAND: &str = "keep_demand";
const ENGINE: &str = "engine";
const MEMORY_SETTINGS: &str = "settings";
const GROWTH: &str = "growth";
const BURST: &str = "burst";

/// What a point says of a run.
pub(super) struct Named {
    pub(super) job: Job,
    pub(super) engine: Engine,
    pub(super) window: Option<TraceWindow>,
    /// Settings in place of the scenario's: of places in the fleet.
    pub(super) settings: Vec<(usize, MemorySettings)>,
    pub(super) changes: Changes,
}

/// The point of a job of a batch. `base` has the settings of the scenario, the batch's fleet those of the run.
pub(super) fn point(
    kept: &Kept,
    seed: u64,
    changes: &Changes,
    base: &Fleet,
    batch: &Batch<'_>,
    job: &Job,
) -> Point {
    let Batch { fleet, window, engine, .. } = *batch;
    let mut parameters = BTreeMap::new();
    let mut say = |name: &str, value: String| {
        parameters.insert(name.to_owned(), value);
    };
    say(MEMORY, job.memory.get().to_string());
    say(VMS, ranges(&job.vms));
    if !job.arrive.is_empty() {
        say(ARRIVE, json(&job.arrive));
    }
    if let Some(window) = window {
        say(WINDOW, json(&(window.from(), window.to())));
    }
    if job.hopeless_s.is_finite() {
        say(HOPELESS, json(&job.hopeless_s));
    }
    if job.keep_demand {
        say(KEEP_DEMAND, json(&true));
    }
    if engine == Engine::Fast {
        say(ENGINE, "fast".to_owned());
    }
    let changed = job.vms.iter().filter(|vm| fleet.vms[**vm].settings != base.vms[**vm].settings);
    let changed: Vec<(usize, MemorySettings)> = changed.map(|vm| (*vm, fleet.vms[*vm].settings)).collect();
    if !changed.is_empty() {
        say(MEMORY_SETTINGS, json(&changed));
    }
    if let Some(growth) = changes.growth {
        say(GROWTH, json(&growth));
    }
    if let Some(burst) = changes.burst {
        say(BURST, json(&burst));
    }
    Point::new(Settings {
        kind: Kind::Size,
        version: sweep::version().to_owned(),
        scenario: kept.hash.clone(),
        name: kept.name.clone(),
        policy: changes.policy.clone(),
        parameters,
        seed: seed.wrapping_add(job.seed as u64),
        until: None,
        vm_seconds: fleet.cost(job),
    })
}

/// What a point says of its run. The job's seed is the point's, and so the first of its fleet.
pub(super) fn read(point: &Point) -> Result<Named, String> {
    let memory: u64 = wanted(point, MEMORY)?.parse().map_err(|_| wrong(point, MEMORY))?;
    let window: Option<(Duration, Duration)> = value(point, WINDOW)?;
    let window = window.map(|(from, to)| TraceWindow::new(from, to).ok_or_else(|| wrong(point, WINDOW)));
    let engine = match point.settings.parameters.get(ENGINE).map(String::as_str) {
        None => Engine::Full,
        Some("fast") => Engine::Fast,
        Some(_) => return Err(wrong(point, ENGINE)),
    };
    let job = Job {
        memory: PageCount(memory),
        vms: vms(point)?,
        seed: 0,
        keep_demand: value(point, KEEP_DEMAND)?.unwrap_or(false),
        hopeless_s: value(point, HOPELESS)?.unwrap_or(f64::INFINITY),
        arrive: value(point, ARRIVE)?.unwrap_or_default(),
    };
    Ok(Named {
        job,
        engine,
        window: window.transpose()?,
        settings: value(point, MEMORY_SETTINGS)?.unwrap_or_default(),
        changes: Changes {
            policy: point.settings.policy.clone(),
            growth: value(point, GROWTH)?,
            burst: value(point, BURST)?,
        },
    })
}

/// The VMs of a point's run.
pub(super) fn vms(point: &Point) -> Result<Vec<usize>, String> {
    /// More are on no host. Invented; ten times what a host may have.
    const MOST: usize = 10_240;
    let mut vms = Vec::new();
    for part in wanted(point, VMS)?.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (Ok(from), Ok(to)) = (from.parse::<usize>(), to.parse::<usize>()) else {
            return Err(wrong(point, VMS));
        };
        if to < from || to - from >= MOST - vms.len() {
            return Err(wrong(point, VMS));
        }
        vms.extend(from..=to);
    }
    Ok(vms)
}

/// Ascending numbers, such as `0-4,7`.
fn ranges(numbers: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match parts.last_mut() {
            Some((_, to)) if *to + 1 == *number => *to = *number,
            _ => parts.push((*number, *number)),
        }
    }
    let told = parts.iter().map(|(from, to)| match from == to {
        true => from.to_string(),
        false => format!("{from}-{to}"),
    });
    told.collect::<Vec<_>>().join(",")
}

fn wanted<'p>(point: &'p Point, name: &str) -> Result<&'p str, String> {
    let value = point.settings.parameters.get(name).map(String::as_str);
    value.ok_or_else(|| format!("its point does not say {}", name.replace('_', " ")))
}

fn wrong(point: &Point, name: &str) -> String {
    let value = point.settings.parameters.get(name).map_or("", String::as_str);
    let shown: String = value.chars().take(60).collect();
    format!("its point says {} {shown:?}, which cannot be read", name.replace('_', " "))
}

fn value<T: DeserializeOwned>(point: &Point, name: &str) -> Result<Option<T>, String> {
    let text = point.settings.parameters.get(name);
    text.map(|text| serde_json::from_str(text).map_err(|_| wrong(point, name))).transpose()
}

/// Numbers, times and settings: nothing in them fails to be written.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
