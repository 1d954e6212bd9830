//! The simulated half.

use std::ops::ControlFlow;

use page_range::PageCount;
use run_journal::EventsLevel;
use scenario::run::{RunError, RunOptions};

use crate::collect::{Collector, Moved};
use crate::curves::Curves;
use crate::load::Load;
use crate::plan::{BEGINS, plan};

/// Why there is no simulated half.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// The load cannot be planned.
    #[error("the load cannot be planned: {0}")]
    Plan(Box<dyn std::error::Error + Send + Sync>),
    /// The run failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Runs a load in simulated guests. The same bytes each time.
///
/// # Errors
/// See [`SimulationError`].
pub fn simulate(load: &Load) -> Result<Curves, SimulationError> {
    let plan = plan(load).map_err(SimulationError::Plan)?;
    let collector = Collector::new(load);
    let options = RunOptions {
        events: EventsLevel::All,
        tap: Some(collector.tap()),
        observer: Some({
            let collector = collector.clone();
            Box::new(move |point| {
                if point.time == BEGINS {
                    collector.begin();
                }
                if point.time >= BEGINS {
                    let mib = |pages: u64| PageCount(pages).mib();
                    let moved = point.vms.iter().map(|vm| Moved {
                        file_reads: mib(vm.guest_file_reads),
                        page_ins: mib(vm.guest_page_reads),
                        page_outs: mib(vm.guest_page_writes),
                    });
                    let moved: Vec<Moved> = moved.collect();
                    collector.sample(point, &moved);
                }
                ControlFlow::Continue(())
            })
        }),
        ..RunOptions::default()
    };
    scenario::run::run(plan, options)?;
    Ok(collector.curves(Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curves::Curve;
    use crate::load::LOADS;

    #[test]
    fn every_load_is_followed_to_its_end_and_leaves_the_same_each_time() {
        for load in LOADS {
            let curves = simulate(load).unwrap();
            assert!(curves.seconds() as u64 >= load.length, "{}: {}", load.name, curves.seconds());
            assert_eq!(simulate(load).unwrap(), curves);
            for (vm, curves) in load.vms.iter().zip(&curves.vms) {
                // What programs take is in what is reported, and is given back.
                let committed = curves.get(Curve::Committed);
                let most = committed.iter().copied().fold(0.0, f64::max);
                let peak = (0..load.length).map(|second| vm.at(second)).max().unwrap() as f64;
                assert!(most - committed[0] > peak * 0.9, "{}: {most} of {peak}", load.name);
            }
        }
    }
}
