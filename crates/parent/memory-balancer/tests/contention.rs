//! The source's contention (7.3 and 7.4) as far as balancer and policy make it, with a parent OS of a few lines.
//!
//! No result of the source is used here: the project's scenarios hold the whole stack against those. What is checked is
//! that the mechanisms make what is observed, and that without one of them it is not there.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use balancing_policy::{MemorySettings, PageCount, ParentState, VmId};
use memory_balancer::hyperv::{HyperVConfig, PressureBandPolicy};
use memory_balancer::{BalancerConfig, Ledger, Output};
use policy_conformance::{Guest, Load, Parent, TestHost};

const fn mib(mib: u64) -> PageCount {
    PageCount::from_mib(mib)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The parent OS of the calibration: what is left for it, how far it is trimmed, what it pages, and how slow it gets.
fn parent(slowdown_per_read: f64, free: Arc<Mutex<f64>>) -> Parent {
    let mut in_use = 2258.0_f64;
    Box::new(move |_, ledger: &Ledger| {
        let left =
            (ledger.total - ledger.assigned - ledger.overhead - ledger.granted - ledger.coming_home).mib();
        let target = if left - 2258.0 >= 810.0 { 2258.0 } else { trimmed(left) };
        // A lag of 2 s, asked every 250 ms.
        in_use += (1.0 - libm::exp(-0.125)) * (target - in_use);
        let page_reads = 0.1 + 56.0 * libm::exp(-(in_use - 1002.0) / 96.0);
        *free.lock().unwrap() = left - in_use;
        ParentState::new(page_reads, (1.0 + slowdown_per_read * page_reads).min(8.0))
    })
}

/// W of (810 − free) / (810 − 450) = exp(−(W − 1002) / 96), free = left − W.
fn trimmed(left: f64) -> f64 {
    let (mut low, mut high) = (0.0, 2258.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        let too_much = (810.0 - (left - middle)) / 360.0 > libm::exp(-(middle - 1002.0) / 96.0);
        (low, high) = if too_much { (low, middle) } else { (middle, high) };
    }
    low
}

struct Seen {
    /// What VM8 had grown by when the others first lost more than 8 MB in all.
    undisturbed: PageCount,
    /// Available Memory and the parent's free memory, in MB, for every second of the contention.
    contention: Vec<(f64, f64)>,
    /// What all have in the end.
    at_last: Vec<PageCount>,
}

impl Seen {
    fn mean_available(&self) -> f64 {
        self.contention.iter().map(|(available, _)| available).sum::<f64>() / self.contention.len() as f64
    }
}

/// VM1–VM7 loaded to their maximum; then VM8 in steps of 30 MB every 3 s, and down again.
fn contention(reserve: Option<u64>, slowdown_per_read: f64, policy: HyperVConfig) -> Seen {
    let total = mib(32 * 1024);
    let mut config = BalancerConfig::for_host(total);
    if let Some(reserve) = reserve {
        config.reserve = mib(reserve);
    }
    let free = Arc::new(Mutex::new(0.0));
    let mut host = TestHost::new(total, config, Box::new(PressureBandPolicy::new(policy)))
        .with_parent(parent(slowdown_per_read, free.clone()));
    for id in 1..=8_u32 {
        let (startup, idle) = if id % 2 == 1 { (128, 104) } else { (512, 414) };
        let mut points = vec![(secs(60), mib(idle))];
        if id < 8 {
            points.push((secs(360), mib(3500 + 35 * u64::from(id))));
        } else {
            let steps = (3700 - idle) / 30;
            for step in 0..=steps {
                let at = secs(900 + 3 * step);
                points.push((at, mib(idle + 30 * step)));
                points.push((at, mib(idle + 30 * (step + 1))));
            }
            let end = 900 + 3 * steps + 20;
            points.push((secs(end), mib(3700)));
            points.push((secs(end + 10), mib(idle)));
        }
        let settings = MemorySettings::dynamic(mib(startup), mib(4096));
        host.add(VmId(id), settings, Guest::new(Load::through(points))).unwrap();
        host.start_at(secs(if id < 8 { u64::from(id) } else { 700 }), VmId(id));
    }
    host.run_until(secs(899));
    let all = |host: &TestHost| -> Vec<PageCount> { (1..=8).map(|id| host.assigned(VmId(id))).collect() };
    let before = all(&host);
    let (mut undisturbed, mut peak, mut over) = (None, PageCount::ZERO, false);
    let mut samples = Vec::new();
    for second in 900..2000 {
        host.run_until(secs(second));
        let now = all(&host);
        let lost: PageCount = (0..7).map(|vm| before[vm].saturating_sub(now[vm])).sum();
        if lost > mib(8) {
            undisturbed.get_or_insert(now[7] - before[7]);
        }
        peak = peak.max(now[7]);
        over |= undisturbed.is_some() && now[7] + mib(64) < peak;
        if undisturbed.is_some() && !over {
            samples.push((host.balancer.ledger().available.mib(), *free.lock().unwrap()));
        }
        assert!(host.balancer.ledger().balances());
    }
    let bad = |output: &&Output| matches!(output, Output::Fault(_) | Output::PolicyFailed { .. });
    assert!(host.record.iter().find(bad).is_none());
    assert!(over, "VM8 never gave anything back");
    Seen { undisturbed: undisturbed.unwrap(), contention: samples, at_last: all(&host) }
}

#[test]
fn vm8_takes_what_is_free_then_what_others_have_and_gives_it_back() {
    let seen = contention(None, 0.06, HyperVConfig::default());
    // What the host still had: capacity − overhead − 7 · 4096 − 512.
    let had = mib(31_424 - 64 - 7 * 4096 - 512);
    let ratio = seen.undisturbed.mib() / had.mib();
    assert!((0.95..=1.05).contains(&ratio), "{} of {had}", seen.undisturbed);
    assert!(seen.contention.len() > 100, "{}", seen.contention.len());
    assert!(seen.at_last[..7].iter().all(|&assigned| assigned + mib(4) >= mib(4096)), "{:?}", seen.at_last);
    assert!(seen.at_last[7] < mib(600), "{:?}", seen.at_last);
}

#[test]
fn a_paging_parent_makes_the_difference_between_two_reserves() {
    let run = |reserve, slowdown| contention(reserve, slowdown, HyperVConfig::default()).mean_available();
    let (small, large) = (run(None, 0.06), run(Some(2048), 0.06));
    assert!(small > 2.0 * large, "{small} {large}");
    let (small, large) = (run(None, 0.0), run(Some(2048), 0.0));
    assert!((small / large - 1.0).abs() < 0.15, "{small} {large}");
}

#[test]
fn a_larger_reserve_leaves_the_parent_more_and_vm8_less_step_by_step() {
    let seen: Vec<Seen> = [1344, 1600, 1824, 2048]
        .into_iter()
        .map(|reserve| contention(Some(reserve), 0.06, HyperVConfig::default()))
        .collect();
    let free = |seen: &Seen| {
        seen.contention.iter().map(|(_, free)| free).sum::<f64>() / seen.contention.len() as f64
    };
    for pair in seen.windows(2) {
        assert!(free(&pair[0]) < free(&pair[1]), "{} {}", free(&pair[0]), free(&pair[1]));
        assert!(pair[0].undisturbed > pair[1].undisturbed);
        assert!(pair[0].mean_available() > pair[1].mean_available());
    }
}

#[test]
fn without_the_stock_growth_waits_for_what_others_give() {
    let with = contention(None, 0.06, HyperVConfig::default()).mean_available();
    let without = contention(None, 0.06, HyperVConfig { stock_factor: 0.0, ..HyperVConfig::default() })
        .mean_available();
    assert!(without < with / 2.0, "{without} {with}");
}
