//! The loads: hosts, VMs, and what they need over time. They follow the project's built-in set of loads; guests are lines,
//! not operating systems.

use core::time::Duration;

use balancing_policy::{MemorySettings, PageCount};
use policy_conformance::Load;

use crate::random::Random;

/// What a Windows Server 2008 R2 commits by itself, in MB.
const IDLE: f64 = 414.0;

/// A VM of a load.
pub(crate) struct Vm {
    pub(crate) settings: MemorySettings,
    /// What it needs; a greedy server needs at least that.
    pub(crate) load: Load,
    pub(crate) greedy: bool,
    /// When it starts and stops, in seconds.
    pub(crate) runs: Vec<(f64, Option<f64>)>,
}

/// A load.
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) memory: u64,
    pub(crate) seconds: u64,
    pub(crate) vms: Vec<Vm>,
}

const fn mib(mib: u64) -> PageCount {
    PageCount::from_mib(mib)
}

/// A load by its amount in MB at every second, with the noise of a guest's commit.
fn noisy(seconds: u64, random: &mut Random, mut amount: impl FnMut(f64) -> f64) -> Load {
    let mut noise = 0.0;
    let points = (0..=seconds)
        .map(|second| {
            if second % 5 == 0 {
                noise = 0.9 * noise + 3.0 * (1.0_f64 - 0.81).sqrt() * random.normal();
            }
            let pages = (amount(second as f64) + noise).max(1.0) * 256.0;
            (Duration::from_secs(second), PageCount(pages as u64))
        })
        .collect();
    Load::through(points)
}

fn vm(settings: MemorySettings, load: Load, start: f64) -> Vm {
    Vm { settings, load, greedy: false, runs: vec![(start, None)] }
}

/// Between low and high, up in `rise` and down in `fall` seconds.
fn sawtooth(at: f64, low: f64, high: f64, rise: f64, fall: f64) -> f64 {
    if at < 0.0 {
        return 0.0;
    }
    let at = at % (rise + fall);
    let part = if at < rise { at / rise } else { 1.0 - (at - rise) / fall };
    low + (high - low) * part
}

/// VM1 to VM7 at their maximum, then VM8 wants memory, and lets it go again.
fn contention(random: &mut Random) -> Scenario {
    let seconds = 35 * 60;
    let vms = (1..=8)
        .map(|n| {
            let odd = n % 2 == 1;
            let idle = if odd { 104.0 } else { IDLE };
            let settings = MemorySettings::dynamic(mib(if odd { 128 } else { 512 }), mib(4096));
            if n < 8 {
                let (top, from) = (random.between(3500.0, 3750.0), random.between(240.0, 270.0));
                let load = noisy(seconds, random, |at| (idle + (at - from).max(0.0) * 10.0).min(top));
                return vm(settings, load, 20.0 * f64::from(n));
            }
            let (mut next, mut step, mut amount) = (random.between(960.0, 970.0), 0.0, idle);
            let (mut full, mut steps) = (None, Random::new(random.unit().to_bits(), "steps"));
            let load = noisy(seconds, random, |at| {
                while at >= next && full.is_none() {
                    amount += step;
                    step = 32.0 * (1.0 + 0.3 * steps.normal()).max(0.1);
                    next += 3.0 * (1.0 + 0.3 * steps.normal()).max(0.1);
                    if amount >= 3700.0 {
                        (amount, full) = (3700.0, Some(at));
                    }
                }
                match full {
                    Some(full) if at > full + 6.0 => (3700.0 - (at - full - 6.0) * 330.0).max(idle),
                    _ => amount,
                }
            });
            vm(settings, load, 720.0)
        })
        .collect();
    Scenario { name: "contention".to_owned(), memory: 32, seconds, vms }
}

fn staggered_peaks(random: &mut Random) -> Scenario {
    let seconds = 50 * 60;
    let settings = MemorySettings::dynamic(mib(512), mib(4096));
    let vms = (0..8_u32)
        .map(|n| {
            let from = random.between(180.0, 190.0) + 120.0 * f64::from(n);
            let (low, high) = (random.between(200.0, 300.0), random.between(2200.0, 2600.0));
            let load = noisy(seconds, random, |at| IDLE + sawtooth(at - from, low, high, 480.0, 480.0));
            vm(settings, load, 15.0 * f64::from(n))
        })
        .collect();
    Scenario { name: "staggered-peaks".to_owned(), memory: 16, seconds, vms }
}

fn bursts_together(random: &mut Random) -> Scenario {
    let seconds = 45 * 60;
    let vms = (0..10_u32)
        .map(|n| {
            let weight = [5000, 9000, 1000][usize::from(n >= 4) + usize::from(n >= 7)];
            let settings = MemorySettings::dynamic(mib(512), mib(4096)).with_weight(weight);
            let set = random.between(180.0, 210.0);
            let bursts: Vec<_> =
                (0..6).map(|_| (set + random.between(20.0, 25.0), random.between(900.0, 1600.0))).collect();
            let load = noisy(seconds, random, |at| {
                let set_to = if at < set { 0.0 } else { 250.0 };
                let burst = bursts.iter().zip(0..).find(|&(&(from, _), n)| {
                    let from = from + 480.0 * f64::from(n);
                    at >= from && at < from + 120.0
                });
                IDLE + burst.map_or(set_to, |(&(_, to), _)| to)
            });
            vm(settings, load, 5.0 * f64::from(n))
        })
        .collect();
    Scenario { name: "bursts-together".to_owned(), memory: 16, seconds, vms }
}

fn slow_leak(random: &mut Random) -> Scenario {
    let seconds = 60 * 60;
    let vms = (0..8_u32)
        .map(|n| {
            let start = 10.0 * f64::from(n);
            if n < 2 {
                let per_hour = random.between(3.0, 5.0) * 1024.0;
                let load = noisy(seconds, random, |at| {
                    IDLE + 300.0 + (((at - start) / 10.0).floor() * 10.0).max(0.0) * per_hour / 3600.0
                });
                return vm(MemorySettings::dynamic(mib(512), mib(6144)), load, start);
            }
            let size = random.between(500.0, 900.0);
            let mut until = random.between(60.0, 300.0);
            let mut burst = None;
            let mut own = Random::new(random.unit().to_bits(), "bursts");
            let load = noisy(seconds, random, |at| {
                if at >= until {
                    let vary = (1.0 + 0.3 * own.normal()).clamp(0.2, 2.0);
                    // Pauses are exponential with a mean of four minutes.
                    let pause = -240.0 * libm::log(1.0 - own.unit());
                    (burst, until) = match burst {
                        None => (Some(size * vary), at + 120.0 * vary),
                        Some(_) => (None, at + pause),
                    };
                }
                IDLE + 300.0 + burst.unwrap_or(0.0)
            });
            vm(MemorySettings::dynamic(mib(512), mib(3072)), load, start)
        })
        .collect();
    Scenario { name: "slow-leak".to_owned(), memory: 12, seconds, vms }
}

fn greedy_server(random: &mut Random) -> Scenario {
    let seconds = 45 * 60;
    let vms = (0..8_u32)
        .map(|n| {
            let start = 15.0 * f64::from(n);
            if n == 0 {
                let load = noisy(seconds, random, |_| IDLE + 512.0);
                let settings = MemorySettings::dynamic(mib(1024), mib(12 * 1024));
                return Vm { greedy: true, ..vm(settings, load, start) };
            }
            let (low, high) = (random.between(200.0, 300.0), random.between(1400.0, 1800.0));
            let (rise, fall) = (random.between(240.0, 360.0), random.between(180.0, 300.0));
            let phase = random.between(0.0, 540.0);
            let load = noisy(seconds, random, |at| {
                if at < start + 60.0 { IDLE } else { IDLE + sawtooth(at + phase, low, high, rise, fall) }
            });
            vm(MemorySettings::dynamic(mib(512), mib(3072)), load, start)
        })
        .collect();
    Scenario { name: "greedy-server".to_owned(), memory: 16, seconds, vms }
}

fn idle_fleet(random: &mut Random) -> Scenario {
    let seconds = 45 * 60;
    let mut vms: Vec<_> = (0..24_u32)
        .map(|n| {
            let start = 10.0 * f64::from(n);
            let from = start + 45.0 + random.between(20.0, 60.0);
            let (to, hold) = (random.between(300.0, 700.0), random.between(120.0, 240.0));
            let load =
                noisy(seconds, random, |at| IDLE + if at >= from && at < from + hold { to } else { 50.0 });
            vm(MemorySettings::dynamic(mib(512), mib(2048)), load, start)
        })
        .collect();
    let (from, high) = (random.between(600.0, 660.0), random.between(7500.0, 8500.0));
    let load = noisy(seconds, random, |at| IDLE + sawtooth(at - from, 300.0, high, 300.0, 600.0));
    vms.push(vm(MemorySettings::dynamic(mib(512), mib(12 * 1024)), load, 240.0));
    Scenario { name: "idle-fleet".to_owned(), memory: 24, seconds, vms }
}

fn churn(random: &mut Random) -> Scenario {
    let seconds = 72 * 60;
    let vms = (0..12_u32)
        .map(|n| {
            let first = random.between(0.0, 5.0) + 120.0 * f64::from(n);
            let stop = random.between(840.0, 845.0) + 120.0 * f64::from(n);
            let (to, duration) = (random.between(900.0, 1700.0), random.between(240.0, 480.0));
            let load = noisy(seconds, random, |at| {
                let since = if at < first { 0.0 } else { (at - first) % 1440.0 - 45.0 };
                IDLE + if since < 0.0 { 0.0 } else { 200.0 + (to - 200.0) * (since / duration).min(1.0) }
            });
            let settings = MemorySettings::dynamic(mib(768), mib(3072)).with_minimum(mib(512));
            let runs = (0..3)
                .map(|turn| f64::from(turn) * 1440.0)
                .map(|turn| (first + turn, Some(stop + turn)))
                .collect();
            Vm { settings, load, greedy: false, runs }
        })
        .collect();
    Scenario { name: "churn".to_owned(), memory: 12, seconds, vms }
}

/// Days and nights, slow drifts and bursts, in rows of five minutes joined by lines.
fn generated_trace(random: &mut Random) -> Scenario {
    let seconds = 6 * 3600;
    let vms = (0..16_u32)
        .map(|n| {
            let provisioned = [2048.0, 4096.0, 4096.0, 8192.0, 16384.0][(random.unit() * 5.0) as usize];
            let base = (provisioned * random.between(0.03, 0.15)).max(IDLE);
            let day = provisioned * random.between(0.0, 0.15);
            let mut burst: Option<(f64, u64)> = None;
            let mut drift = 0.0;
            let points = (0..=72_u64)
                .map(|row| {
                    drift = 0.95 * drift + 0.01 * provisioned * random.normal();
                    burst = burst.filter(|&(_, until)| row < until);
                    if burst.is_none() && random.unit() < 4.0 / 288.0 * 2.0 {
                        let length = 1 + (random.between(0.0, 8.0)) as u64;
                        burst = Some((provisioned * random.between(0.15, 0.55), row + length));
                    }
                    let hour = 8.0 + row as f64 / 12.0;
                    let light = libm::sin((hour - 8.0) / 12.0 * core::f64::consts::PI).max(0.0);
                    let used = base + day * light + drift + burst.map_or(0.0, |(size, _)| size);
                    let used = used.clamp(0.6 * IDLE, 0.95 * provisioned);
                    (Duration::from_secs(300 * row), PageCount((used * 256.0) as u64))
                })
                .collect();
            let settings = MemorySettings::dynamic(mib(512), mib(provisioned as u64));
            vm(settings, Load::through(points), 2.0 * f64::from(n))
        })
        .collect();
    Scenario { name: "generated-trace".to_owned(), memory: 24, seconds, vms }
}

/// The built-in loads, drawn with a seed.
pub(crate) fn built_in(seed: u64) -> Vec<Scenario> {
    let random = |name: &str| Random::new(seed, name);
    vec![
        contention(&mut random("contention")),
        staggered_peaks(&mut random("staggered-peaks")),
        bursts_together(&mut random("bursts-together")),
        slow_leak(&mut random("slow-leak")),
        greedy_server(&mut random("greedy-server")),
        idle_fleet(&mut random("idle-fleet")),
        churn(&mut random("churn")),
        generated_trace(&mut random("generated-trace")),
    ]
}
