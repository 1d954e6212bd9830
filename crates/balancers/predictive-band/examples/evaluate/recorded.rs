//! A recorded load.

use core::time::Duration;
use std::path::Path;

use balancing_policy::{MemorySettings, PageCount};
use policy_conformance::Load;

use crate::loads::{Scenario, Vm};

/// A recorded trace in the columns `vm,t,mem_provisioned_kb,mem_used_kb,…`, from one hour to another.
///
/// # Errors
/// In words, with the line.
pub(crate) fn recorded(path: &Path, memory: u64, from_hour: u64, to_hour: u64) -> Result<Scenario, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut rows: Vec<(u32, u64, f64, f64)> = Vec::new();
    for (number, line) in (2..).zip(text.lines().skip(1)) {
        let mut columns = line.split(',');
        let mut next = || columns.next().and_then(|column| column.trim().parse::<f64>().ok());
        let (Some(vm), Some(at), Some(provisioned), Some(used)) = (next(), next(), next(), next()) else {
            return Err(format!("{}:{number}: four numbers are needed", path.display()));
        };
        let at = at as u64;
        if (from_hour * 3600..=to_hour * 3600).contains(&at) {
            rows.push((vm as u32, at - from_hour * 3600, provisioned / 1024.0, used / 1024.0));
        }
    }
    rows.sort_by_key(|&(vm, at, ..)| (vm, at));
    let vms = rows
        .chunk_by(|a, b| a.0 == b.0)
        .zip(0_u32..)
        .map(|(rows, n)| {
            let provisioned = rows.iter().map(|&(_, _, provisioned, _)| provisioned).fold(512.0, f64::max);
            let points = rows
                .iter()
                .map(|&(_, at, _, used)| (Duration::from_secs(at), PageCount((used * 256.0) as u64)))
                .collect();
            let settings =
                MemorySettings::dynamic(PageCount::from_mib(512), PageCount::from_mib(provisioned as u64));
            let runs = vec![(2.0 * f64::from(n), None)];
            Vm { settings, load: Load::through(points), greedy: false, runs }
        })
        .collect();
    let name = format!("recorded {from_hour}h..{to_hour}h, {memory} GB");
    Ok(Scenario { name, memory, seconds: (to_hour - from_hour) * 3600, vms })
}
