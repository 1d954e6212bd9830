//! What a comparison comes to.

use std::collections::BTreeMap;

use balancing_policy::{InsightKind, KeyInput};
use scenario::file::Scenario;
use serde::Serialize;

use super::catalogue::{COUNT, Kind, MEASURES, Measure, MeasureId, Values};
use super::collector::Series;
use super::measured::{Measured, Pair};
use super::regret::Regret;
use super::statistics::{Interval, confidence, geometric_mean, rounded};
use super::{Better, Contestant, Settings};

/// Version of the schema of `compare.json`.
pub const SCHEMA: u32 = 2;

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
    /// All loads together: for each seed the geometric mean, over the loads, of the ratios to the first policy, see [`Measure::shift`].
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
    /// Whether the values are ratios to the first policy: of all loads together.
    pub ratios: bool,
    /// By policy: which VMs its differences to the first policy are of.
    pub compared: Vec<Compared>,
    /// Policies that go by something which not all guests of the load say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without_key_input: Vec<WithoutKeyInput>,
    /// What could still be gained, if that was asked for; of a single load.
    pub regret: Option<Regret>,
    /// By policy, of the first seed.
    pub series: Vec<Series>,
}

/// A policy that goes by something which not all guests say: what its numbers are worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WithoutKeyInput {
    /// The policy.
    pub policy: String,
    /// What it goes by: `stalls`, `active` or `curve`, as `agent` of a scenario's VM has it.
    pub input: &'static str,
    /// The same, in words.
    pub what: &'static str,
    /// What the policy does with a guest that does not say it.
    pub otherwise: &'static str,
    /// VMs whose guests say it.
    pub vms_with: usize,
    /// All VMs.
    pub vms: usize,
}

impl WithoutKeyInput {
    fn of(contestant: &Contestant, load: &Scenario) -> Option<Self> {
        let KeyInput { kind, otherwise } = contestant.make().key_input()?;
        let says = |vm: &&scenario::file::Vm| match kind {
            InsightKind::Stalls => vm.agent.stalls,
            InsightKind::Active => vm.agent.active,
            InsightKind::Curve => vm.agent.curve,
        };
        let (vms_with, vms) = (load.vms.iter().filter(says).count(), load.vms.len());
        (vms_with < vms).then(|| Self {
            policy: contestant.name().to_owned(),
            input: kind.key(),
            what: kind.name(),
            otherwise,
            vms_with,
            vms,
        })
    }

    /// As it stands beside the policy's numbers.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { policy, what, otherwise, vms_with, vms, .. } = self;
        let who =
            if *vms_with == 0 { "no guest".to_owned() } else { format!("only {vms_with} of {vms} guests") };
        let says = if *vms_with > 1 { "say" } else { "says" };
        format!("{policy} goes by {what}, which {who} here {says}: without, {otherwise}.")
    }
}

/// Which VMs a policy's differences to the first policy are of: those that both served as often. What is of the whole host (how many
/// VMs started, fairness, the spread among equals) is of all VMs in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// By seed: the VMs that either served.
    pub vms: Vec<usize>,
    /// By seed: of these, the VMs that both served as often.
    pub both: Vec<usize>,
    /// By seed: the VMs that the policy served less often than the first one.
    pub fewer: Vec<usize>,
    /// By seed: the VMs that it served more often.
    pub more: Vec<usize>,
    /// Whether as many steps in need were seen as with the first policy, with every seed. If not, reaction times are of other steps.
    pub same_steps: bool,
}

impl Compared {
    fn of(pairs: &[Vec<Pair>], policy: usize) -> Self {
        let of = || pairs.iter().filter_map(|seed| seed.get(policy));
        Self {
            vms: of().map(|pair| pair.vms).collect(),
            both: of().map(|pair| pair.both).collect(),
            fewer: of().map(|pair| pair.fewer).collect(),
            more: of().map(|pair| pair.more).collect(),
            same_steps: of().all(|pair| pair.steps.0 == pair.steps.1),
        }
    }

    /// Of several loads.
    fn together(loads: &[LoadResult], policy: usize) -> Self {
        let sum = |of: fn(&Self) -> &Vec<usize>| -> Vec<usize> {
            let seeds = loads.first().map_or(0, |load| of(&load.compared[policy]).len());
            (0..seeds).map(|seed| loads.iter().map(|load| of(&load.compared[policy])[seed]).sum()).collect()
        };
        Self {
            vms: sum(|compared| &compared.vms),
            both: sum(|compared| &compared.both),
            fewer: sum(|compared| &compared.fewer),
            more: sum(|compared| &compared.more),
            same_steps: loads.iter().all(|load| load.compared[policy].same_steps),
        }
    }

    /// Whether the two policies served the same VMs, as often, with every seed.
    #[must_use]
    pub fn same_vms(&self) -> bool {
        self.fewer.iter().chain(&self.more).all(|vms| *vms == 0)
    }
}

/// One measure of one policy on one load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// By seed; `null`: there was nothing to measure.
    pub values: Vec<Option<f64>>,
    /// Their median.
    pub median: Option<Interval>,
    /// Median of the differences to the first policy, seed by seed, on the VMs that both served; none for the first.
    pub difference: Option<Interval>,
    /// The first policy's median on these VMs: what the difference is to.
    pub compared_with: Option<f64>,
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
            Self::OtherSteps => "≠",
            Self::ServesLess => "○",
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
    /// Another number of steps was seen than with the first policy, so that reaction times are of other steps.
    OtherSteps,
    /// It is better, for serving less: fewer VMs start than with the first policy, or it costs less and more demand is unmet. Whoever
    /// does nothing costs nothing.
    ServesLess,
}

impl Cell {
    /// Of these values by seed. `pairs`: by seed, the policy's value and the first one's on the VMs that both served.
    fn new(values: Vec<Option<f64>>, pairs: &[(Option<f64>, Option<f64>)]) -> Self {
        let there: Vec<f64> = values.iter().copied().flatten().collect();
        let both: Vec<(f64, f64)> =
            pairs.iter().filter_map(|(own, first)| Some(((*own)?, (*first)?))).collect();
        let differences: Vec<f64> = both.iter().map(|(own, first)| rounded(own - first)).collect();
        let firsts: Vec<f64> = both.iter().map(|(_, first)| *first).collect();
        Self {
            median: Interval::of(&there),
            values,
            difference: Interval::of(&differences),
            compared_with: Interval::of(&firsts).map(|first| first.median),
            pairs: differences.len(),
        }
    }

    /// What the difference to the first policy says by itself. A difference that cannot be seen in `digits`, as tables show it, is
    /// none.
    fn judgement(&self, measure: &Measure, digits: usize) -> Judgement {
        let least = 0.5 * libm::pow(10.0, -(digits as f64));
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
            .zip(&measured.pairs)
            .zip(&measured.series)
            .zip(measured.regrets.iter().zip(&measured.not_known))
            .map(|((((load, values), pairs), series), (regrets, not_known))| LoadResult {
                name: load.name.clone(),
                title: load.title.clone(),
                host_memory_mb: load.host.memory.mib(),
                vms: load.vms.len(),
                until_s: settings.choices.until.unwrap_or(load.until).as_secs_f64(),
                results: cells(values, pairs),
                ratios: false,
                compared: (0..settings.contestants.len()).map(|policy| Compared::of(pairs, policy)).collect(),
                without_key_input: settings
                    .contestants
                    .iter()
                    .filter_map(|contestant| WithoutKeyInput::of(contestant, load))
                    .collect(),
                regret: (!regrets.is_empty()).then(|| {
                    let hours = settings.choices.until.unwrap_or(load.until).as_secs_f64() / 3600.0;
                    Regret::of(&names().collect::<Vec<_>>(), not_known.clone(), regrets, hours)
                }),
                series: series.clone(),
            })
            .collect();
        let pooled: Vec<Vec<Values>> = (0..settings.seeds.len())
            .map(|seed| {
                (0..settings.contestants.len()).map(|policy| pool(&measured.pairs, seed, policy)).collect()
            })
            .collect();
        let overall = LoadResult {
            name: "all loads".to_owned(),
            title: "all loads together".to_owned(),
            host_memory_mb: loads.iter().map(|load| load.host_memory_mb).sum(),
            vms: loads.iter().map(|load| load.vms).sum(),
            until_s: loads.iter().map(|load| load.until_s).sum(),
            results: ratio_cells(&pooled),
            ratios: true,
            compared: (0..settings.contestants.len())
                .map(|policy| Compared::together(&loads, policy))
                .collect(),
            without_key_input: Vec::new(),
            regret: None,
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
                            field(load.unit(measure)),
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

    /// The unit of a measure's values here.
    #[must_use]
    pub fn unit(&self, measure: &Measure) -> &'static str {
        if self.ratios { "×" } else { measure.unit }
    }

    /// Digits after the point that a measure's values are shown with here.
    pub(crate) fn digits(&self, measure: &Measure) -> usize {
        if self.ratios { RATIO_DIGITS } else { measure.digits }
    }

    /// The least and the most that a measure can be here.
    pub(crate) fn ends(&self, measure: &Measure) -> (f64, f64) {
        if self.ratios { (0.0, f64::INFINITY) } else { measure.ends() }
    }

    /// What a policy's difference to the first policy says, on the VMs that both served. Of reaction times nothing if the two saw
    /// other steps; and being better is no merit in whoever serves less.
    #[must_use]
    pub fn judgement(&self, policy: usize, measure: &Measure) -> Judgement {
        let Some(cell) = self.results.get(policy).and_then(|results| results.get(measure.key)) else {
            return Judgement::Undecided;
        };
        let alone = cell.judgement(measure, self.digits(measure));
        let of_steps = [MeasureId::Reaction, MeasureId::SlowReaction, MeasureId::Overshoot];
        if of_steps.iter().any(|id| id.measure().key == measure.key)
            && cell.difference.is_some()
            && !self.compared.get(policy).is_some_and(|compared| compared.same_steps)
        {
            return Judgement::OtherSteps;
        }
        let worse = |id: MeasureId| {
            let (measure, cell) = (id.measure(), self.cell(policy, id));
            cell.is_some_and(|cell| cell.judgement(measure, self.digits(measure)) == Judgement::Worse)
        };
        // What is not given to VMs that did not start serves the others; and who leaves more unmet has less to do.
        let serves_less = worse(MeasureId::Started) || measure.kind == Kind::Cost && worse(MeasureId::Unmet);
        if alone == Judgement::Better && serves_less { Judgement::ServesLess } else { alone }
    }
}

/// Digits of a ratio.
const RATIO_DIGITS: usize = 3;

/// Values by seed and policy, and each of them beside the first policy's, become cells by policy.
fn cells(values: &[Vec<Values>], pairs: &[Vec<Pair>]) -> Vec<BTreeMap<&'static str, Cell>> {
    let policies = values.first().map_or(0, Vec::len);
    let cell = |policy: usize, measure: usize| {
        let of_policy = values.iter().map(|seed| seed[policy][measure].map(rounded)).collect();
        let of_pair = |seed: &Vec<Pair>| {
            let Pair { own, first, .. } = &seed[policy];
            (own[measure].map(rounded), first[measure].map(rounded))
        };
        let pairs: Vec<_> = pairs.iter().filter(|_| policy > 0).map(of_pair).collect();
        (MEASURES[measure].key, Cell::new(of_policy, &pairs))
    };
    (0..policies).map(|policy| (0..COUNT).map(|measure| cell(policy, measure)).collect()).collect()
}

/// The same of ratios, by seed and policy.
fn ratio_cells(ratios: &[Vec<Values>]) -> Vec<BTreeMap<&'static str, Cell>> {
    let policies = ratios.first().map_or(0, Vec::len);
    let cell = |policy: usize, measure: usize| {
        let own: Vec<_> = ratios.iter().map(|seed| seed[policy][measure].map(rounded)).collect();
        let pairs: Vec<_> = own.iter().filter(|_| policy > 0).map(|own| (*own, Some(1.0))).collect();
        (MEASURES[measure].key, Cell::new(own, &pairs))
    };
    (0..policies).map(|policy| (0..COUNT).map(|measure| cell(policy, measure)).collect()).collect()
}

/// One ratio of all loads: the geometric mean over those in which there was something to measure with every policy, or policies would
/// be judged by different loads. No load outweighs the others by its length or its size.
fn pool(pairs: &[Vec<Vec<Pair>>], seed: usize, policy: usize) -> Values {
    let mut pooled: Values = [None; COUNT];
    for (measure, pooled) in pooled.iter_mut().enumerate() {
        let ratio = |pair: &Pair| MEASURES[measure].ratio(pair.own[measure]?, pair.first[measure]?);
        let of_all = |load: &&Vec<Vec<Pair>>| load[seed].iter().all(|pair| ratio(pair).is_some());
        let of_loads: Vec<f64> =
            pairs.iter().filter(of_all).filter_map(|load| ratio(&load[seed][policy])).collect();
        *pooled = geometric_mean(&of_loads);
    }
    pooled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paired(own: &[Option<f64>], first: &[Option<f64>]) -> Cell {
        let pairs: Vec<_> = own.iter().copied().zip(first.iter().copied()).collect();
        Cell::new(own.to_vec(), &pairs)
    }

    fn judged(cell: &Cell, id: MeasureId) -> Judgement {
        cell.judgement(id.measure(), id.measure().digits)
    }

    #[test]
    fn differences_are_paired() {
        let first = [Some(100.0), Some(200.0), None, Some(300.0)];
        let own = [Some(90.0), Some(190.0), Some(1.0), Some(290.0)];
        let cell = paired(&own, &first);
        assert_eq!(cell.difference, Some(Interval { median: -10.0, low: -10.0, high: -10.0 }));
        assert_eq!(cell.compared_with, Some(200.0));
        // What no reader can see is no difference.
        let cell = paired(&[Some(1.0004); 8], &[Some(1.0); 8]);
        assert_eq!(judged(&cell, MeasureId::Slowdown), Judgement::Undecided);
    }

    #[test]
    fn a_verdict_needs_six_seeds_that_agree() {
        for seeds in 1..=10 {
            let cell = paired(&vec![Some(1.0); seeds], &vec![Some(2.0); seeds]);
            let (better, worse) = if seeds < 6 {
                (Judgement::Undecided, Judgement::Undecided)
            } else {
                (Judgement::Better, Judgement::Worse)
            };
            assert_eq!(judged(&cell, MeasureId::Unmet), better, "{seeds} seeds");
            assert_eq!(judged(&cell, MeasureId::Started), worse, "{seeds} seeds");
        }
        // Of eight seeds only three have something to compare.
        let some = [[Some(1.0); 3].as_slice(), &[None; 5]].concat();
        assert_eq!(judged(&paired(&some, &[Some(2.0); 8]), MeasureId::Unmet), Judgement::Undecided);
    }

    /// A load of eight seeds with a policy of these values beside a first one of 100 each.
    fn load(values: &[(MeasureId, f64)], compared: Compared) -> LoadResult {
        let result = |of: fn(f64) -> f64| {
            let cell = |(id, value): &(MeasureId, f64)| {
                (id.measure().key, paired(&[Some(of(*value)); 8], &[Some(100.0); 8]))
            };
            values.iter().map(cell).collect()
        };
        LoadResult {
            name: "load".to_owned(),
            title: String::new(),
            host_memory_mb: 1024.0,
            vms: 2,
            until_s: 60.0,
            results: vec![result(|_| 100.0), result(|value| value)],
            ratios: false,
            compared: vec![Compared::default(), compared],
            without_key_input: Vec::new(),
            regret: None,
            series: Vec::new(),
        }
    }

    #[test]
    fn nobody_wins_by_serving_less() {
        use MeasureId::{Moved, PageIns, Reaction, Started, Unmet};
        let same = Compared { same_steps: true, ..Compared::default() };
        let judged = |values: &[(MeasureId, f64)], id: MeasureId| {
            load(values, same.clone()).judgement(1, id.measure())
        };
        let cheaper = [(Moved, 0.0), (PageIns, 10.0)];
        for id in [Moved, PageIns] {
            let with = |service: &[(MeasureId, f64)]| judged(&[&cheaper, service].concat(), id);
            assert_eq!(with(&[(Unmet, 100.0), (Started, 100.0)]), Judgement::Better);
            assert_eq!(with(&[(Unmet, 200.0), (Started, 100.0)]), Judgement::ServesLess);
            assert_eq!(with(&[(Unmet, 100.0), (Started, 50.0)]), Judgement::ServesLess);
        }
        // What is dearer is worse, and how one serves is judged by itself.
        assert_eq!(judged(&[(Moved, 300.0), (Unmet, 200.0)], Moved), Judgement::Worse);
        assert_eq!(judged(&[(Reaction, 50.0), (Unmet, 200.0)], Reaction), Judgement::Better);
        assert_eq!(judged(&[(Unmet, 50.0), (Started, 50.0)], Unmet), Judgement::ServesLess);
        let other = load(&[(Reaction, 50.0), (Unmet, 50.0)], Compared::default());
        assert_eq!(other.judgement(1, Reaction.measure()), Judgement::OtherSteps);
        assert_eq!(other.judgement(1, Unmet.measure()), Judgement::Better);
    }

    #[test]
    fn loads_are_pooled_by_their_ratios() {
        let pair = |own: f64, first: f64| {
            let mut values: [Values; 2] = [[None; COUNT]; 2];
            values[0][MeasureId::Slowdown.index()] = Some(own);
            values[1][MeasureId::Slowdown.index()] = Some(first);
            let [own, first] = values;
            Pair { own, first, vms: 1, both: 1, fewer: 0, more: 0, steps: (0, 0) }
        };
        // A large load and a small one count alike: half of one and twice the other is as much as before.
        let loads = [vec![vec![pair(5000.0, 10_000.0)]], vec![vec![pair(4.0, 2.0)]]];
        let pooled = pool(&loads, 0, 0)[MeasureId::Slowdown.index()].unwrap();
        assert!((pooled - 1.0).abs() < 1e-12, "{pooled}");
        assert_eq!(pool(&loads, 0, 0)[MeasureId::Unmet.index()], None);
        // Next to nothing is not infinitely more than nothing.
        assert!((MeasureId::Unmet.measure().ratio(73.0, 0.0).unwrap() - 1.073).abs() < 1e-12);
        assert_eq!(MeasureId::Started.measure().ratio(1.0, 0.0), None);
    }

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        assert_eq!(field("plain"), "plain");
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
