//! Memory settings from measured demand.

use balancing_policy::MemorySettings;
use load_import::Today;
use page_range::PageCount;
use serde::Serialize;

use crate::clock::gb;
use crate::fleet::Fleet;
use crate::measure::HostOutcome;

/// Least minimum that is advised, MB: the Best Practices Analyzer's floor for Windows Server 2012 (documented).
const LEAST_MINIMUM_MB: f64 = 256.0;
/// Least startup and maximum that are advised, MB: the same analyzer's (documented).
const LEAST_STARTUP_MB: f64 = 512.0;
/// Least buffer that is advised, percent: the product's default (documented).
const LEAST_BUFFER: f64 = 20.0;
/// A minimum that differs by less, MB, is left as it is. Invented.
const WORTH_MB: f64 = 128.0;
/// Sizes are advised in multiples of this, MB. Invented; Hyper-V wants 2.
const GRANULE_MB: f64 = 64.0;
/// Memory from need to arrival, s: rises within this are what a buffer is for. Inferred of full runs.
const REACTION_S: f64 = 10.0;
/// Samples that are further apart, s, tell nothing of such rises. Invented, as for the confidence.
const COARSE_S: f64 = 30.0;
/// A maximum above so many times what is needed is not one that anybody chose. Invented.
const FAR_ABOVE: f64 = 4.0;
/// Above the largest demand and its buffer, where a maximum is lowered. Invented.
const HEADROOM: f64 = 1.25;
/// Demand that is always above this share of all that the VM can have: it takes what it gets. Invented.
const FULL: f64 = 0.93;
/// Demand of static memory that varies by less than this share of its mean. Invented.
const FLAT: f64 = 0.03;
/// Names of what takes the memory that it is given for its caches. The source's advice is static memory for such (documented for SQL
/// Server and Exchange; the others inferred).
const TAKERS: [&str; 9] =
    ["sql", "oracle", "exch", "postgres", "mongo", "redis", "database", "saphana", "hana"];

/// What a VM demanded, MB.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DemandFigures {
    /// Values that these are of; 0: nothing is known.
    pub values: usize,
    /// Whether only one moment is known: no percentiles then.
    pub snapshot: bool,
    /// The smallest.
    pub minimum_mb: f64,
    /// The mean.
    pub mean_mb: f64,
    /// Half of the time it is below this.
    pub p50_mb: f64,
    /// 95 % of the time.
    pub p95_mb: f64,
    /// 99 % of the time.
    pub p99_mb: f64,
    /// The largest.
    pub maximum_mb: f64,
    /// The rise within some seconds that is exceeded once in a hundred times, share of its demand; `None` if values are too far apart.
    pub rise: Option<f64>,
}

impl DemandFigures {
    /// Of what was recorded; else of what it demanded on a host with memory for all.
    pub(crate) fn of(fleet: &Fleet, vm: usize, outcomes: &[HostOutcome]) -> Self {
        if let Some(curve) = &fleet.curves[vm] {
            let samples = curve.samples();
            let values: Vec<f64> = samples.iter().map(|sample| sample.used.mib()).collect();
            let steps = samples.windows(2).map(|pair| (pair[1].time - pair[0].time).as_secs_f64());
            let mean_step = steps.sum::<f64>() / (samples.len().saturating_sub(1)).max(1) as f64;
            let snapshot = fleet.evidence.snapshots.contains(&fleet.vms[vm].name);
            return Self { snapshot, ..Self::of_values(&values, mean_step) };
        }
        // What a guest demands while it boots is not what its applications do.
        let interval = fleet.plans[0].sample_interval.as_secs_f64();
        let boot = (120.0 / interval.max(0.001)) as usize;
        let mut values = Vec::new();
        for outcome in outcomes {
            let demand = outcome.demand.get(vm).map_or(&[][..], Vec::as_slice);
            values.extend(demand.get(boot..).unwrap_or(demand).iter().map(|mb| f64::from(*mb)));
        }
        Self::of_values(&values, interval)
    }

    fn of_values(values: &[f64], step_s: f64) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
        let stride = (REACTION_S / step_s.max(0.001)).ceil().max(1.0) as usize;
        let rise = (step_s <= COARSE_S && values.len() > 4 * stride).then(|| {
            let mut rises: Vec<f64> = values
                .windows(stride + 1)
                .map(|window| (window[stride] / window[0].max(1.0) - 1.0).max(0.0))
                .collect();
            rises.sort_by(f64::total_cmp);
            rises[((rises.len() - 1) as f64 * 0.99).round() as usize]
        });
        Self {
            values: values.len(),
            snapshot: false,
            minimum_mb: sorted[0],
            mean_mb: values.iter().sum::<f64>() / values.len() as f64,
            p50_mb: at(0.50),
            p95_mb: at(0.95),
            p99_mb: at(0.99),
            maximum_mb: at(1.0),
            rise,
        }
    }

    fn range(&self) -> String {
        format!(
            "demand {} to {}, 95 % of the time below {}",
            gb(self.minimum_mb),
            gb(self.maximum_mb),
            gb(self.p95_mb)
        )
    }
}

/// Settings as `Set-VMMemory` has them, MB.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// Dynamic Memory.
    pub dynamic: bool,
    /// Startup RAM.
    pub startup_mb: f64,
    /// Minimum RAM.
    pub minimum_mb: f64,
    /// Maximum RAM.
    pub maximum_mb: f64,
    /// Buffer, percent.
    pub buffer: u32,
    /// Priority, 0 to 100.
    pub priority: u32,
}

impl Setting {
    fn of(settings: &MemorySettings) -> Self {
        Self {
            dynamic: settings.dynamic,
            startup_mb: settings.startup.mib(),
            minimum_mb: settings.minimum.mib(),
            maximum_mb: settings.maximum.mib(),
            buffer: settings.buffer,
            priority: settings.weight / MemorySettings::WEIGHT_PER_PRIORITY,
        }
    }
}

/// What is advised for a VM.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// Its name.
    pub vm: String,
    /// The host that it is on, as far as files say.
    pub host: Option<String>,
    /// What it demanded.
    pub demand: DemandFigures,
    /// Its settings in the runs: today's, and what had to be assumed.
    pub now: Setting,
    /// Its settings as far as files say them: an undo script goes back to these.
    #[serde(skip)]
    pub today: Today,
    /// What is advised.
    pub advised: Setting,
    /// Whether it should have static memory.
    pub keep_static: bool,
    /// Why.
    pub reasons: Vec<String>,
    /// What its maximum lies above what it ever demanded with its buffer: what it never took of what static memory of that size would
    /// cost.
    pub never_taken_mb: f64,
}

impl Advice {
    /// Whether anything is to be changed.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.now != self.advised
    }

    /// The settings of a run with what is advised.
    #[must_use]
    pub(crate) fn settings(&self, now: &MemorySettings) -> MemorySettings {
        let pages = |mb: f64| PageCount((mb * 256.0) as u64);
        let advised = &self.advised;
        let mut settings = if advised.dynamic {
            MemorySettings::dynamic(pages(advised.startup_mb), pages(advised.maximum_mb))
                .with_minimum(pages(advised.minimum_mb))
        } else {
            MemorySettings::fixed(pages(advised.startup_mb))
        };
        settings = settings.with_buffer(advised.buffer).with_weight(now.weight);
        settings
    }
}

/// Advises.
pub(crate) fn advise(fleet: &Fleet, figures: &[DemandFigures], short_anyway: &[bool]) -> Vec<Advice> {
    fleet
        .vms
        .iter()
        .zip(figures)
        .zip(short_anyway)
        .map(|((vm, figures), short)| {
            let now = Setting::of(&vm.settings);
            let words = format!("{} {}", vm.name, vm.guest).to_lowercase();
            let taker = TAKERS.iter().find(|word| words.contains(*word)).copied();
            let (advised, keep_static, reasons) = one(&now, figures, taker, *short);
            let wanted = figures.maximum_mb * (1.0 + f64::from(now.buffer) / 100.0);
            Advice {
                vm: vm.name.clone(),
                host: vm.host.clone(),
                demand: figures.clone(),
                now,
                today: vm.today,
                advised,
                keep_static,
                reasons,
                never_taken_mb: if figures.values == 0 { 0.0 } else { (now.maximum_mb - wanted).max(0.0) },
            }
        })
        .collect()
}

fn up(mb: f64) -> f64 {
    (mb / GRANULE_MB).ceil() * GRANULE_MB
}

fn down(mb: f64) -> f64 {
    (mb / GRANULE_MB).floor() * GRANULE_MB
}

/// Advice for one VM: settings, whether they are static, and why. `short` is whether it lacks memory even where there is memory for all.
fn one(
    now: &Setting,
    demand: &DemandFigures,
    taker: Option<&str>,
    short: bool,
) -> (Setting, bool, Vec<String>) {
    let mut advised = *now;
    let mut why = Vec::new();
    let all = if now.dynamic { now.maximum_mb } else { now.startup_mb };
    if demand.values == 0 {
        why.push("No file says what it demands: nothing is changed.".to_owned());
        return (advised, !now.dynamic, why);
    }
    if demand.snapshot {
        why.push(format!(
            "One moment is known ({}): too little to change settings by.",
            gb(demand.maximum_mb)
        ));
        return (advised, !now.dynamic, why);
    }
    why.push(format!("{}.", capital(&demand.range())));
    let flat = demand.p99_mb - demand.minimum_mb < FLAT * demand.mean_mb;
    let full = demand.p50_mb >= FULL * all;
    if let Some(word) = taker.filter(|_| !now.dynamic) {
        why.push(format!(
            "It stays static: by its name (\"{word}\") it is one of those that take for their caches what they get; set its own limit of memory below its RAM."
        ));
        return (advised, true, why);
    }
    if full && (flat || now.dynamic) {
        if now.dynamic {
            let memory = up(all);
            advised = Setting {
                dynamic: false,
                startup_mb: memory,
                minimum_mb: memory,
                maximum_mb: memory,
                ..advised
            };
            why.push(format!(
                "Static memory of {}: half of the time or more it demands all that it may have. It takes what it gets, so that the balancer can gain nothing from it.",
                gb(memory)
            ));
        } else {
            why.push("It stays static: it demands nearly all of its memory, always.".to_owned());
        }
        return (advised, true, why);
    }
    advised.dynamic = true;
    if let Some(rise) = demand.rise {
        let percent = ((rise * 100.0 / 5.0).ceil() * 5.0).clamp(LEAST_BUFFER, 200.0) as u32;
        // The buffer is the guest's file cache as well: it is lowered only where it is far above, and never of a VM that is short.
        if percent > now.buffer || (percent + 20 < now.buffer && !short) {
            advised.buffer = percent;
            let than = if percent > now.buffer { "more than" } else { "less than" };
            why.push(format!(
                "Buffer {percent} %, {than} {} %: within the seconds that memory takes to come, it rises by {:.0} % once in a hundred times.",
                now.buffer,
                rise * 100.0
            ));
        }
    } else {
        why.push(format!("Buffer {} % stays: values too far apart tell nothing of quick rises.", now.buffer));
    }
    let buffered = 1.0 + f64::from(advised.buffer) / 100.0;
    let needed = up(demand.maximum_mb * buffered).max(LEAST_STARTUP_MB);
    if now.maximum_mb < needed && now.dynamic {
        advised.maximum_mb = needed;
        why.push(format!(
            "Maximum {}, above {}: its peak of {} and the buffer did not fit.",
            gb(needed),
            gb(now.maximum_mb),
            gb(demand.maximum_mb)
        ));
    } else if !now.dynamic {
        advised.maximum_mb = up(now.startup_mb);
        why.push(format!(
            "Dynamic Memory up to the {} that it has today: it has never demanded more than {}.",
            gb(now.startup_mb),
            gb(demand.maximum_mb)
        ));
    } else if now.maximum_mb > FAR_ABOVE * needed {
        let lower = up(needed * HEADROOM);
        advised.maximum_mb = lower;
        why.push(format!(
            "Maximum {}, below {}: a quarter above its peak and the buffer, so that a leak takes no more.",
            gb(lower),
            gb(now.maximum_mb)
        ));
    }
    let minimum = down(demand.minimum_mb).max(LEAST_MINIMUM_MB).min(advised.maximum_mb);
    if now.minimum_mb - minimum >= WORTH_MB || !now.dynamic {
        advised.minimum_mb = minimum;
        why.push(format!(
            "Minimum {}, below {}: what it demands when it demands least, so that others can have the rest.",
            gb(minimum),
            gb(now.minimum_mb)
        ));
    }
    let typical = up(demand.p50_mb * buffered).max(LEAST_STARTUP_MB);
    if !now.dynamic || now.startup_mb > demand.maximum_mb * buffered && now.startup_mb > typical {
        advised.startup_mb = typical;
        why.push(format!("Startup {}: what it has half of the time; a host must find all of it at once, so more only keeps it from starting.", gb(typical)));
    }
    advised.startup_mb = advised.startup_mb.max(advised.minimum_mb).min(advised.maximum_mb);
    if advised != *now {
        why.push(format!("Priority {} stays: how important a VM is, no measurement tells.", now.priority));
    }
    (advised, false, why)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now(dynamic: bool, minimum: f64, startup: f64, maximum: f64) -> Setting {
        Setting {
            dynamic,
            minimum_mb: minimum,
            startup_mb: startup,
            maximum_mb: maximum,
            buffer: 20,
            priority: 50,
        }
    }

    fn demand(values: &[f64], step: f64) -> DemandFigures {
        DemandFigures::of_values(values, step)
    }

    #[test]
    fn percentiles_are_of_the_values() {
        let figures = demand(&(1..=100).map(f64::from).collect::<Vec<_>>(), 300.0);
        assert_eq!(
            (figures.minimum_mb, figures.p50_mb, figures.p95_mb, figures.maximum_mb),
            (1.0, 51.0, 95.0, 100.0)
        );
        assert_eq!(figures.rise, None);
        let quick: Vec<f64> = (0..400).map(|second| if second % 40 < 20 { 1000.0 } else { 1500.0 }).collect();
        assert_eq!(demand(&quick, 1.0).rise, Some(0.5));
    }

    #[test]
    fn a_maximum_that_was_reached_is_raised_and_one_that_nobody_chose_is_lowered() {
        let values: Vec<f64> = (0..100).map(|n| 1000.0 + 10.0 * f64::from(n)).collect();
        let (advised, _, why) = one(&now(true, 512.0, 1024.0, 2048.0), &demand(&values, 300.0), None, false);
        assert!(
            (advised.maximum_mb - 2432.0).abs() < 1.0 && advised.minimum_mb == 512.0,
            "{advised:?} {why:?}"
        );
        let (advised, _, why) = one(&now(true, 2048.0, 2048.0, 4096.0), &demand(&values, 300.0), None, false);
        assert!(
            advised.minimum_mb == 960.0
                && why.iter().any(|why| why.starts_with("Minimum 960 MB, below 2 GB")),
            "{why:?}"
        );
        let (advised, ..) = one(&now(true, 960.0, 1024.0, 1_048_576.0), &demand(&values, 300.0), None, false);
        assert!((advised.maximum_mb - 3072.0).abs() < 65.0, "{advised:?}");
        // What is right stays.
        let (advised, ..) = one(&now(true, 960.0, 1024.0, 4096.0), &demand(&values, 300.0), None, false);
        assert_eq!(advised, now(true, 960.0, 1024.0, 4096.0));
    }

    #[test]
    fn what_takes_all_that_it_gets_is_static() {
        let flat = demand(&[15_800.0; 50], 60.0);
        let (advised, is_static, why) = one(&now(false, 16_384.0, 16_384.0, 16_384.0), &flat, None, false);
        assert!(is_static && !advised.dynamic, "{why:?}");
        let (advised, is_static, _) = one(&now(true, 512.0, 1024.0, 16_384.0), &flat, None, false);
        assert!(is_static && !advised.dynamic && advised.startup_mb == 16_384.0);
        let varied: Vec<f64> = (0..50).map(|n| 2000.0 + 50.0 * f64::from(n)).collect();
        let (_, is_static, why) =
            one(&now(false, 16_384.0, 16_384.0, 16_384.0), &demand(&varied, 60.0), Some("sql"), false);
        assert!(is_static && why[1].contains("by its name"), "{why:?}");
        let (advised, is_static, _) =
            one(&now(false, 16_384.0, 16_384.0, 16_384.0), &demand(&varied, 60.0), None, false);
        assert!(
            !is_static && advised.dynamic && advised.maximum_mb == 16_384.0 && advised.minimum_mb < 2001.0
        );
    }

    #[test]
    fn nothing_is_changed_by_what_is_not_known() {
        let before = now(true, 512.0, 1024.0, 4096.0);
        assert_eq!(one(&before, &DemandFigures::default(), None, false).0, before);
        let snapshot = DemandFigures { snapshot: true, ..demand(&[100.0], 0.0) };
        assert_eq!(one(&before, &snapshot, None, false).0, before);
    }

    proptest! {
        /// Whatever was measured, Hyper-V takes what is advised.
        #[test]
        fn advice_is_in_order(
            values in prop::collection::vec(1.0_f64..100_000.0, 1..60),
            step in 1.0_f64..600.0,
            minimum in 16_u32..2000, startup in 0_u32..2000, maximum in 0_u32..20_000, dynamic in any::<bool>(),
        ) {
            let minimum = f64::from(minimum) * 2.0;
            let startup = minimum + f64::from(startup) * 2.0;
            let maximum = startup + f64::from(maximum) * 2.0;
            let before = if dynamic { now(true, minimum, startup, maximum) } else { now(false, startup, startup, startup) };
            let (advised, _, _) = one(&before, &demand(&values, step), None, false);
            prop_assert!(advised.minimum_mb <= advised.startup_mb && advised.startup_mb <= advised.maximum_mb, "{:?}", advised);
            prop_assert!([advised.minimum_mb, advised.startup_mb, advised.maximum_mb].iter().all(|mb| mb % 2.0 == 0.0), "{:?}", advised);
            prop_assert!((5..=2000).contains(&advised.buffer));
        }
    }
}
