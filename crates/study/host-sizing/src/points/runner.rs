//! Runs points of sizings.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use scenario::file::Scenario;
use sweep::{Point, Runner};

use super::name::{self, Named};
use crate::fleet::Fleet;
use crate::simulate;

/// Fleets that are kept for the points that come next. Invented.
const KEPT: usize = 4;

/// Runs points of sizings.
#[derive(Debug, Default)]
pub struct Sizer {
    /// By what they depend on.
    fleets: Mutex<BTreeMap<String, Arc<Fleet>>>,
}

impl Sizer {
    /// The VMs of a point, in its window.
    fn fleet(&self, point: &Point, scenario: &Scenario, named: &Named) -> Result<Arc<Fleet>, String> {
        let of = &point.settings;
        let name = format!("{} {} {:?} {:?}", of.scenario, of.seed, named.changes, named.window);
        // One makes it, and the others wait for it.
        let mut fleets = self.fleets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fleet) = fleets.get(&name) {
            return Ok(Arc::clone(fleet));
        }
        let drawn = Scenario { seed: of.seed, ..scenario.clone() };
        let mut fleet = named.changes.fleet(&drawn, 1, None).map_err(|error| error.to_string())?;
        if let Some(window) = named.window {
            fleet = fleet.window(window).map_err(|error| error.to_string())?;
        }
        let fleet = Arc::new(fleet);
        if fleets.len() >= KEPT {
            fleets.clear();
        }
        fleets.insert(name, Arc::clone(&fleet));
        Ok(fleet)
    }
}

impl Runner for Sizer {
    fn run(&self, _: usize, point: &Point, scenario: &Scenario) -> Result<String, String> {
        let named = name::read(point)?;
        let mut fleet = self.fleet(point, scenario, &named)?;
        if let Some(vm) = named.job.vms.iter().find(|vm| **vm >= fleet.vms.len()) {
            return Err(format!("its point names the VM {vm}, and the scenario has {}", fleet.vms.len()));
        }
        if !named.settings.is_empty() {
            let mut settings: Vec<_> = fleet.vms.iter().map(|vm| vm.settings).collect();
            for (vm, changed) in &named.settings {
                *settings.get_mut(*vm).ok_or("its point sets a VM that the scenario has not")? = *changed;
            }
            fleet = Arc::new(fleet.with_settings(&settings));
        }
        let outcome = simulate::run_one(&fleet, named.engine, &named.job, &|_| ());
        let outcome = outcome.map_err(|error| error.to_string())?;
        serde_json::to_string(&outcome).map_err(|error| error.to_string())
    }
}
