//! What is handed to an engine: the points that lack their row, in tasks of several points.

use super::{Hash, Point};

/// Name of the file of tasks: a JSON array whose elements are arrays of points.
pub const TASKS_FILE: &str = "tasks.json";

/// Tasks that a submission has where nothing else is said, as far as the bounds of a task allow: enough for the cores of some machines. Invented.
const TASKS: u64 = 64;
/// VM seconds of virtual time that such a task has at least: two seconds of a core (half a million in a second were measured), so that starting a
/// task costs little beside it. Invented.
const LEAST_VM_SECONDS: u64 = 1_000_000;
/// And at most: most of a minute of a core, so that little is lost with a task. Invented.
const MOST_VM_SECONDS: u64 = 20_000_000;

/// Points of a task at most: the environment of a process, in which HyperQueue hands a task over, takes 128 KiB for one variable, and a hash is
/// 35 bytes there.
pub const MOST_POINTS: usize = 2000;

/// How points become tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// So many points in each.
    Points(usize),
    /// As many as have so many VM seconds of virtual time.
    VmSeconds(u64),
}

impl Size {
    /// What is usual for these points.
    #[must_use]
    pub fn usual<'p>(points: impl IntoIterator<Item = &'p Point>) -> Self {
        let all = points.into_iter().fold(0_u64, |sum, point| sum.saturating_add(point.settings.vm_seconds));
        Self::VmSeconds((all / TASKS).clamp(LEAST_VM_SECONDS, MOST_VM_SECONDS))
    }
}

/// Puts points together to tasks, in their order.
#[must_use]
pub fn tasks<'p>(points: impl IntoIterator<Item = &'p Point>, size: Size) -> Vec<Vec<Hash>> {
    let mut tasks: Vec<Vec<Hash>> = Vec::new();
    let (mut task, mut cost) = (Vec::new(), 0_u64);
    for point in points {
        let next = point.settings.vm_seconds;
        let full = match size {
            Size::Points(most) => task.len() >= most.clamp(1, MOST_POINTS),
            Size::VmSeconds(most) => {
                !task.is_empty() && (cost.saturating_add(next) > most || task.len() >= MOST_POINTS)
            }
        };
        if full {
            tasks.push(std::mem::take(&mut task));
            cost = 0;
        }
        task.push(point.point.clone());
        cost = cost.saturating_add(next);
    }
    if !task.is_empty() {
        tasks.push(task);
    }
    tasks
}

/// The text of the file of tasks: one on each line.
#[must_use]
pub fn text(tasks: &[Vec<Hash>]) -> String {
    let lines: Vec<String> =
        tasks.iter().map(|task| serde_json::to_string(task).unwrap_or_default()).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Kind, Settings};

    fn points(costs: &[u64]) -> Vec<Point> {
        let point = |(seed, vm_seconds): (usize, &u64)| {
            Point::new(Settings {
                kind: Kind::Explore,
                version: String::new(),
                scenario: Hash::of(b""),
                name: String::new(),
                policy: None,
                parameters: BTreeMap::new(),
                seed: seed as u64,
                until: None,
                vm_seconds: *vm_seconds,
            })
        };
        costs.iter().enumerate().map(point).collect()
    }

    fn sizes(costs: &[u64], size: Size) -> Vec<usize> {
        let points = points(costs);
        let tasks = tasks(&points, size);
        let all: Vec<&Hash> = tasks.iter().flatten().collect();
        assert_eq!(all, points.iter().map(|point| &point.point).collect::<Vec<_>>(), "each once, in order");
        let again: Vec<Vec<Hash>> = serde_json::from_str(&text(&tasks)).unwrap();
        assert_eq!(again, tasks);
        tasks.iter().map(Vec::len).collect()
    }

    #[test]
    fn short_points_share_a_task_and_a_long_one_has_its_own() {
        assert_eq!(sizes(&[10, 10, 10, 100, 10, 10], Size::VmSeconds(30)), [3, 1, 2]);
        assert_eq!(sizes(&[1; 7], Size::Points(3)), [3, 3, 1]);
        assert_eq!(sizes(&[1; 3], Size::Points(0)), [1, 1, 1]);
        assert_eq!(sizes(&[], Size::Points(3)), [0; 0]);
        assert_eq!(sizes(&[0; 2 * MOST_POINTS + 1], Size::VmSeconds(1)), [MOST_POINTS, MOST_POINTS, 1]);
        assert_eq!(sizes(&[u64::MAX; 3], Size::VmSeconds(7)), [1, 1, 1]);
    }

    #[test]
    fn a_plan_is_divided_for_many_cores_unless_its_tasks_would_be_too_short() {
        let tasks = |costs: &[u64]| sizes(costs, Size::usual(&points(costs))).len();
        // A tenth of a second each: one task takes 20 of them.
        assert_eq!(tasks(&[50_000; 20]), 1);
        assert_eq!(tasks(&[50_000; 480]), 24);
        assert_eq!(tasks(&[50_000; 6400]), 64);
        // 40 s each: no more than one of them in a task.
        assert_eq!(tasks(&[20_000_000; 100]), 100);
        assert_eq!(tasks(&[5_000_000; 2560]), 640);
        assert_eq!(tasks(&[u64::MAX; 3]), 3);
        assert_eq!(tasks(&[]), 0);
    }
}
