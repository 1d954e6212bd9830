//! Running a load with a policy, and measuring.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use balancing_policy::{PageCount, ParentState, Policy, VmId};
use memory_balancer::{BalancerConfig, Ledger, Output};
use policy_conformance::{Guest, Load, TestHost};

use crate::loads::Scenario;

/// What came of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measures {
    /// Memory that was demanded and not there, in MB·s.
    pub(crate) unmet: f64,
    /// Of that, what no policy could have met: what all needed together beyond the host's capacity.
    pub(crate) unavoidable: f64,
    /// Memory added and removed, in MB.
    pub(crate) moved: f64,
    /// Operations.
    pub(crate) operations: u64,
    /// Jain's index of assigned / demand among VMs of the same weight, averaged over time.
    pub(crate) fairness: f64,
    /// The same with what is above demand and buffer left out.
    pub(crate) fairness_of_need: f64,
    /// Part of the pairs of VMs, over time, in which the one of higher weight lacks more of its demand.
    pub(crate) inversions: f64,
    /// Starts that were refused, and how long VMs waited for their start in all, in s.
    pub(crate) refused: u64,
    pub(crate) waited: f64,
    /// Targets that the engine had to correct.
    pub(crate) corrections: u64,
    /// Mean slowdown of the parent.
    pub(crate) slowdown: f64,
}

/// Samples a second.
const SAMPLES: u64 = 4;

/// The parent OS of the calibration: what is left to it, what it uses of that, and how much it pages.
struct Parent {
    in_use: f64,
    slowdown: Arc<Mutex<f64>>,
}

impl Parent {
    fn next(&mut self, ledger: &Ledger) -> ParentState {
        let left = (ledger.total - ledger.assigned - ledger.overhead - ledger.in_transit()).mib();
        let idle = 2258.0;
        let goal = if left - idle >= 810.0 {
            idle
        } else {
            let (mut low, mut high) = (0.0, idle);
            for _ in 0..50 {
                let middle = f64::midpoint(low, high);
                if (810.0 - (left - middle)) / 360.0 > libm::exp(-(middle - 1002.0) / 96.0) {
                    high = middle;
                } else {
                    low = middle;
                }
            }
            low
        };
        self.in_use += (1.0 - libm::exp(-0.25 / 2.0)) * (goal - self.in_use);
        let page_reads = 0.1 + 56.0 * libm::exp(-(self.in_use - 1002.0) / 96.0);
        let slowdown = (1.0 + 0.06 * page_reads).min(8.0);
        if let Ok(mut shared) = self.slowdown.lock() {
            *shared = slowdown;
        }
        ParentState::new(page_reads, slowdown)
    }
}

fn jain(ratios: &[f64]) -> f64 {
    let sum: f64 = ratios.iter().sum();
    let squares: f64 = ratios.iter().map(|ratio| ratio * ratio).sum();
    if squares > 0.0 { sum * sum / (ratios.len() as f64 * squares) } else { 1.0 }
}

/// Run a load.
///
/// # Panics
/// If the policy failed: then the numbers would not be its own.
pub(crate) fn run(scenario: &Scenario, policy: Box<dyn Policy>) -> Measures {
    let total = PageCount::from_mib(scenario.memory * 1024);
    let slowdown = Arc::new(Mutex::new(1.0));
    let mut parent = Parent { in_use: 2258.0, slowdown: slowdown.clone() };
    let mut host = TestHost::new(total, BalancerConfig::for_host(total), policy)
        .with_parent(Box::new(move |_, ledger| parent.next(ledger)));
    for (id, vm) in (1..).zip(&scenario.vms) {
        let added = host.add(VmId(id), vm.settings, Guest::new(vm.load.clone()));
        assert!(added.is_ok(), "{added:?}");
        for &(start, stop) in &vm.runs {
            host.start_at(Duration::from_secs_f64(start), VmId(id));
            if let Some(stop) = stop {
                host.stop_at(Duration::from_secs_f64(stop), VmId(id));
            }
        }
    }
    let mut measures = Measures::default();
    let mut samples = 0.0_f64;
    let mut need: Vec<PageCount> = scenario.vms.iter().map(|vm| vm.load.at(Duration::ZERO)).collect();
    let mut rows: Vec<(u32, f64, f64)> = Vec::new();
    let mut pairs = 0.0_f64;
    for sample in 1..=scenario.seconds * SAMPLES {
        let now = Duration::from_millis(1000 * sample / SAMPLES);
        host.run_until(now);
        for (id, (vm, need)) in (1..).zip(scenario.vms.iter().zip(&mut need)) {
            *need = if vm.greedy { greed(&mut host, VmId(id), *need, &vm.load) } else { vm.load.at(now) };
        }
        rows.clear();
        let mut needed = 0.0;
        for view in host.balancer.vms() {
            if view.history.is_empty() {
                continue;
            }
            let (need, assigned) = (need[view.id.0 as usize - 1].mib(), view.assigned.mib());
            let settings = &view.settings;
            needed += need.min(settings.maximum.mib()).max(settings.minimum.mib());
            measures.unmet += (need - assigned).max(0.0) / SAMPLES as f64;
            rows.push((
                view.settings.weight,
                assigned / need.max(1.0),
                1.0 + view.settings.buffer_fraction(),
            ));
        }
        let ledger = host.balancer.ledger();
        let capacity = (ledger.total - ledger.overhead).mib() - host.balancer.config().reserve.mib();
        measures.unavoidable += (needed - capacity).max(0.0) / SAMPLES as f64;
        rows.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let (mut raw, mut capped) = (0.0, 0.0);
        for class in rows.chunk_by(|a, b| a.0 == b.0) {
            let ratios: Vec<f64> = class.iter().map(|&(_, ratio, _)| ratio).collect();
            raw += jain(&ratios) * ratios.len() as f64;
            let ratios: Vec<f64> = class.iter().map(|&(_, ratio, enough)| ratio.min(enough)).collect();
            capped += jain(&ratios) * ratios.len() as f64;
        }
        if !rows.is_empty() {
            measures.fairness += raw / rows.len() as f64;
            measures.fairness_of_need += capped / rows.len() as f64;
            measures.slowdown += slowdown.lock().map_or(1.0, |slowdown| *slowdown);
            samples += 1.0;
        }
        for (n, &(weight, ratio, _)) in rows.iter().enumerate() {
            for &(other, others, _) in rows[n + 1..].iter().filter(|&&(other, ..)| other != weight) {
                let (low, high) = if weight < other { (ratio, others) } else { (others, ratio) };
                pairs += 1.0;
                measures.inversions += f64::from(u8::from(high.min(1.0) < low.min(1.0) - 0.02));
            }
        }
        for output in host.record.drain(..) {
            match output {
                Output::PolicyFailed { message, .. } => panic!("{}: {message}", scenario.name),
                Output::Decision(decision) => {
                    measures.corrections += u64::from(decision.correction.is_some());
                }
                Output::StartRefused { .. } => measures.refused += 1,
                _ => {}
            }
        }
        measures.waited += host.balancer.waiting().count() as f64 / SAMPLES as f64;
    }
    let counters = host.balancer.system_counters();
    measures.moved = (counters.added + counters.removed).mib();
    measures.operations = counters.add_operations + counters.remove_operations;
    measures.fairness /= samples.max(1.0);
    measures.fairness_of_need /= samples.max(1.0);
    measures.slowdown /= samples.max(1.0);
    measures.inversions /= pairs.max(1.0);
    measures
}

/// A server that takes 20 MB a second of what is available, and leaves 64 MB.
fn greed(host: &mut TestHost, vm: VmId, last: PageCount, least: &Load) -> PageCount {
    let least = least.at(host.now());
    let assigned = host.assigned(vm);
    let fits = assigned.saturating_sub(PageCount::from_mib(64));
    let step = PageCount(PageCount::from_mib(20).get() / SAMPLES);
    let need = fits.min(last + step).max(least);
    host.load(vm, Load::constant(need));
    need
}
