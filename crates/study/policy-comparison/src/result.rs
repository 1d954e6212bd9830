//! What a comparison comes to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::catalogue::{COUNT, MEASURES, Measure, MeasureId, Pool, Values};
use super::collector::Series;
use super::jobs::Measured;
use super::statistics::{Interval, confidence, geometric_mean};
use super::{Better, Settings};

/// Version of the schema of `compare.json`.
pub const SCHEMA: u32 = 1;

/// A whole comparison. Serialised it is `compare.json`: a function of policies, loads, seeds and version, not of the machine.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Version of this schema.
    pub schema: u32,
    /// The policies; differences are to the first.
    pub policies: Vec<String>,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// With what probability an interval covers the true median, whatever the distribution.
    pub confidence: f64,
    /// The measures.
    pub measures: &'static [Measure],
    /// Rounds that each policy lost because it panicked.
    pub lost_rounds: Vec<u64>,
    /// The loads, in their order.
    pub loads: Vec<LoadResult>,
    /// All loads together: for each seed the mean over the loads (of slowdowns the geometric mean, of the worst the worst).
    pub overall: LoadResult,
    /// What the policies' rounds cost on this machine, in the order of the policies. Not serialised: the cost is another each
    /// time.
    #[serde(skip)]
    pub costs: Vec<PolicyCost>,
}

/// What a policy's rounds cost on this machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyCost {
    /// The policy.
    pub policy: String,
    /// Median time of a round per VM, ns of real time.
    pub ns_per_vm_and_round: Option<f64>,
}

/// One load.
#[derive(Clone, Debug, Serialize)]
pub struct LoadResult {
    /// Its name.
    pub name: String,
    /// What it is, in one line.
    pub title: String,
    /// Memory of the host, MB.
    pub host_memory_mb: f64,
    /// VMs.
    pub vms: usize,
    /// Virtual time of a run, seconds.
    pub until_s: f64,
    /// By policy, then by the key of the measure.
    pub results: Vec<BTreeMap<&'static str, Cell>>,
    /// By policy: whether with every seed the same VMs got their memory, as often, as with the first policy. If not, its measures
    /// are of another amount of work.
    pub same_vms_as_first: Vec<bool>,
    /// By policy, of the first seed.
    pub series: Vec<Series>,
}

/// One measure of one policy on one load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// By seed; `null`: there was nothing to measure.
    pub values: Vec<Option<f64>>,
    /// Their median.
    pub median: Option<Interval>,
    /// Median of the differences to the first policy, seed by seed; none for the first.
    pub difference: Option<Interval>,
    /// Seeds that have a difference.
    #[serde(skip)]
    pairs: usize,
}

/// With what probability an interval must cover the true median for a verdict to rest on it. Six seeds and more have such
/// intervals, see [`confidence`].
pub const CONFIDENCE: f64 = 0.95;

impl Judgement {
    /// The sign that stands behind a difference.
    #[must_use]
    pub fn mark(self) -> &'static str {
        match self {
            Self::Better => "✓",
            Self::Worse => "✗",
            Self::OtherVms => "≠",
            Self::Undecided => "",
        }
    }
}

/// How a difference is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The interval of the difference covers the true median with [`CONFIDENCE`] at least, excludes 0, lies on the better side,
    /// and the difference can be seen.
    Better,
    /// The same on the worse side.
    Worse,
    /// There is no evidence for either: the interval holds 0, or there are too few seeds for one.
    Undecided,
    /// The policy did not start the same VMs as the first policy, so the two did not have the same to do.
    OtherVms,
}

/// To nine digits: what is beyond is noise of the arithmetic.
fn rounded(value: f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let scale = libm::pow(10.0, 8.0 - libm::floor(libm::log10(value.abs())));
    (value * scale).round() / scale
}

impl Cell {
    fn new(values: Vec<Option<f64>>, first: Option<&[Option<f64>]>) -> Self {
        let there: Vec<f64> = values.iter().copied().flatten().collect();
        let pairs = values.iter().zip(first.unwrap_or_default());
        let differences: Vec<f64> =
            pairs.filter_map(|(own, first)| Some(rounded((*own)? - (*first)?))).collect();
        let difference = Interval::of(&differences);
        Self { median: Interval::of(&there), values, difference, pairs: differences.len() }
    }

    /// What the difference to the first policy says, if both served the same VMs. A difference that cannot be seen in the
    /// digits that tables show is none.
    fn judgement(&self, measure: &Measure) -> Judgement {
        let least = 0.5 * libm::pow(10.0, -(measure.digits as f64));
        match self.difference {
            Some(difference)
                if confidence(self.pairs) >= CONFIDENCE
                    && difference.excludes_zero()
                    && difference.median.abs() >= least =>
            {
                if (difference.low > 0.0) == (measure.better == Better::Higher) {
                    Judgement::Better
                } else {
                    Judgement::Worse
                }
            }
            _ => Judgement::Undecided,
        }
    }
}

impl Comparison {
    pub(crate) fn of(settings: &Settings, measured: &Measured) -> Self {
        let names = || settings.contestants.iter().map(|contestant| contestant.name().to_owned());
        let loads: Vec<LoadResult> = settings
            .loads
            .iter()
            .zip(&measured.values)
            .zip(&measured.served)
            .zip(&measured.series)
            .map(|(((load, values), served), series)| LoadResult {
                name: load.name.clone(),
                title: load.title.clone(),
                host_memory_mb: load.host.memory.mib(),
                vms: load.vms.len(),
                until_s: settings.choices.until.unwrap_or(load.until).as_secs_f64(),
                results: cells(values),
                same_vms_as_first: same_as_first(served, settings.contestants.len()),
                series: series.clone(),
            })
            .collect();
        let pooled: Vec<Vec<Values>> = (0..settings.seeds.len())
            .map(|seed| {
                (0..settings.contestants.len()).map(|policy| pool(&measured.values, seed, policy)).collect()
            })
            .collect();
        let overall = LoadResult {
            name: "all loads".to_owned(),
            title: "all loads together".to_owned(),
            host_memory_mb: loads.iter().map(|load| load.host_memory_mb).sum(),
            vms: loads.iter().map(|load| load.vms).sum(),
            until_s: loads.iter().map(|load| load.until_s).sum(),
            results: cells(&pooled),
            same_vms_as_first: (0..settings.contestants.len())
                .map(|policy| loads.iter().all(|load| load.same_vms_as_first[policy]))
                .collect(),
            series: Vec::new(),
        };
        let timings = || measured.timings.iter();
        Self {
            schema: SCHEMA,
            policies: names().collect(),
            seeds: settings.seeds.clone(),
            confidence: confidence(settings.seeds.len()),
            measures: MEASURES,
            lost_rounds: measured.lost_rounds.clone(),
            loads,
            overall,
            costs: names()
                .zip(timings())
                .map(|(policy, timing)| PolicyCost { policy, ns_per_vm_and_round: timing.median_ns() })
                .collect(),
        }
    }

    /// What stands above a load's results: its title, and its name where another load has the same title. No two loads of a
    /// comparison have one name.
    #[must_use]
    pub fn heading(&self, load: &LoadResult) -> String {
        if self.loads.iter().filter(|other| other.title == load.title).count() > 1 {
            format!("{} ({})", load.title, load.name)
        } else {
            load.title.clone()
        }
    }

    /// Whether there are seeds enough for a verdict.
    #[must_use]
    pub fn has_evidence(&self) -> bool {
        self.confidence >= CONFIDENCE
    }

    /// `compare.json`.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// `compare.csv`: a line for every load, policy, measure and seed.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = String::from("load,policy,measure,unit,seed,value\n");
        for load in self.loads.iter().chain([&self.overall]) {
            for (policy, results) in self.policies.iter().zip(&load.results) {
                for measure in MEASURES {
                    let Some(cell) = results.get(measure.key) else { continue };
                    for (seed, value) in self.seeds.iter().zip(&cell.values) {
                        let value = value.map_or_else(String::new, |value| value.to_string());
                        let line = [
                            field(&load.name),
                            field(policy),
                            measure.key.to_owned(),
                            field(measure.unit),
                            seed.to_string(),
                            value,
                        ];
                        text.push_str(&line.join(","));
                        text.push('\n');
                    }
                }
            }
        }
        text
    }
}

/// A field of a CSV file (RFC 4180).
fn field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

impl LoadResult {
    /// What was measured of a policy.
    #[must_use]
    pub fn cell(&self, policy: usize, id: MeasureId) -> Option<&Cell> {
        self.results.get(policy)?.get(id.measure().key)
    }

    /// What a policy's difference to the first policy says. How many VMs started can be judged in any case; what it was like
    /// for those that did only if they were the same.
    #[must_use]
    pub fn judgement(&self, policy: usize, measure: &Measure) -> Judgement {
        let Some(cell) = self.results.get(policy).and_then(|results| results.get(measure.key)) else {
            return Judgement::Undecided;
        };
        let same = self.same_vms_as_first.get(policy).is_some_and(|same| *same);
        if same || measure.key == MeasureId::Started.measure().key || cell.difference.is_none() {
            cell.judgement(measure)
        } else {
            Judgement::OtherVms
        }
    }
}

/// By policy: whether it served the VMs that the first one served, with every seed.
fn same_as_first(served: &[Vec<Vec<u32>>], policies: usize) -> Vec<bool> {
    (0..policies).map(|policy| served.iter().all(|seed| seed[policy] == seed[0])).collect()
}

/// Values by seed and policy become cells by policy.
fn cells(values: &[Vec<Values>]) -> Vec<BTreeMap<&'static str, Cell>> {
    let policies = values.first().map_or(0, Vec::len);
    let of = |policy: usize, measure: usize| -> Vec<Option<f64>> {
        values.iter().map(|seed| seed[policy][measure].map(rounded)).collect()
    };
    (0..policies)
        .map(|policy| {
            (0..COUNT)
                .map(|measure| {
                    let first = (policy > 0).then(|| of(0, measure));
                    (MEASURES[measure].key, Cell::new(of(policy, measure), first.as_deref()))
                })
                .collect()
        })
        .collect()
}

/// One value of all loads: of those in which there was something to measure with every policy, or policies would be judged by
/// different loads.
fn pool(values: &[Vec<Vec<Values>>], seed: usize, policy: usize) -> Values {
    let mut pooled: Values = [None; COUNT];
    for (measure, pooled) in pooled.iter_mut().enumerate() {
        let of_all = |load: &&Vec<Vec<Values>>| load[seed].iter().all(|values| values[measure].is_some());
        let of_loads: Vec<f64> =
            values.iter().filter(of_all).filter_map(|load| load[seed][policy][measure]).collect();
        *pooled = match MEASURES[measure].pool {
            _ if of_loads.is_empty() => None,
            Pool::Mean => Some(of_loads.iter().sum::<f64>() / of_loads.len() as f64),
            Pool::Geometric => geometric_mean(&of_loads),
            Pool::Worst => of_loads.into_iter().reduce(f64::max),
        };
    }
    pooled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_paired() {
        let first = [Some(100.0), Some(200.0), None, Some(300.0)];
        let own = vec![Some(90.0), Some(190.0), Some(1.0), Some(290.0)];
        let cell = Cell::new(own, Some(&first));
        assert_eq!(cell.difference, Some(Interval { median: -10.0, low: -10.0, high: -10.0 }));
        // What no reader can see is no difference.
        let cell = Cell::new(vec![Some(1.0004); 8], Some(&[Some(1.0); 8]));
        assert_eq!(cell.judgement(MeasureId::Slowdown.measure()), Judgement::Undecided);
    }

    #[test]
    fn a_verdict_needs_six_seeds_that_agree() {
        for seeds in 1..=10 {
            let cell = Cell::new(vec![Some(1.0); seeds], Some(&vec![Some(2.0); seeds]));
            let (better, worse) = if seeds < 6 {
                (Judgement::Undecided, Judgement::Undecided)
            } else {
                (Judgement::Better, Judgement::Worse)
            };
            assert_eq!(cell.judgement(MeasureId::Unmet.measure()), better, "{seeds} seeds");
            assert_eq!(cell.judgement(MeasureId::Started.measure()), worse, "{seeds} seeds");
        }
        // Of eight seeds only three have something to compare.
        let some = [[Some(1.0); 3].as_slice(), &[None; 5]].concat();
        let cell = Cell::new(some, Some(&[Some(2.0); 8]));
        assert_eq!(cell.judgement(MeasureId::Unmet.measure()), Judgement::Undecided);
    }

    #[test]
    fn noise_of_the_arithmetic_is_no_difference() {
        assert_eq!(rounded(0.1 + 0.2), 0.3);
        assert_eq!(rounded(-123_456_789_012.0), -123_456_789_000.0);
        assert_eq!(rounded(0.0), 0.0);
        assert_eq!(rounded(1e-300), 1e-300);
    }

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        assert_eq!(field("plain"), "plain");
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
