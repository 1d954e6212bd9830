//! Predictive-band against Hyper-V's policy on varied loads.
//!
//! `cargo run -p balancer-predictive-band --example evaluate [-- [--seeds N] [--trace FILE [--host-memory GB] [--hours A..B]]]`

mod loads;
mod measure;
mod random;
mod recorded;

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use balancer_predictive_band::PredictiveBand;
use balancing_policy::Policy;
use loads::Scenario;
use measure::Measures;
use memory_balancer::hyperv::PressureBandPolicy;

type Make = fn() -> Box<dyn Policy>;

const POLICIES: [(&str, Make); 2] = [
    (PressureBandPolicy::NAME, || Box::new(PressureBandPolicy::default())),
    (PredictiveBand::NAME, || Box::new(PredictiveBand::default())),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mut seeds, mut trace, mut memory, mut hours, mut only) = (3, None, 150, (0, 6), None);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{argument}: a value is missing"))?;
        match argument.as_str() {
            "--seeds" => seeds = value.parse()?,
            "--trace" => trace = Some(PathBuf::from(value)),
            "--host-memory" => memory = value.parse()?,
            "--only" => only = Some(value),
            "--hours" => {
                let (from, to) = value.split_once("..").ok_or("--hours: A..B is needed")?;
                hours = (from.parse()?, to.parse()?);
            }
            other => return Err(format!("{other}: not known").into()),
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:28} {:16} {:>11} {:>11} {:>10} {:>7} {:>7} {:>7} {:>7} {:>6} {:>7} {:>6} {:>5}",
        "load",
        "policy",
        "unmet MB·s",
        "unavoidable",
        "moved MB",
        "ops",
        "Jain",
        "J need",
        "invers",
        "refus",
        "waited",
        "slow",
        "corr"
    )?;
    if let Some(path) = trace {
        let scenario = recorded::recorded(&path, memory, hours.0, hours.1)?;
        return Ok(compare(&mut out, &[scenario])?);
    }
    let drawn: Vec<Vec<Scenario>> = (1..=seeds).map(loads::built_in).collect();
    for n in 0..drawn.first().map_or(0, Vec::len) {
        if only.as_ref().is_some_and(|only| *only != drawn[0][n].name) {
            continue;
        }
        let same: Vec<&Scenario> = drawn.iter().map(|scenarios| &scenarios[n]).collect();
        compare(&mut out, &same)?;
    }
    Ok(())
}

fn compare<S: std::borrow::Borrow<Scenario>>(out: &mut impl Write, scenarios: &[S]) -> std::io::Result<()> {
    for (name, make) in POLICIES {
        let runs: Vec<Measures> =
            scenarios.iter().map(|scenario| measure::run(scenario.borrow(), make())).collect();
        let mean = |of: fn(&Measures) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
        writeln!(
            out,
            "{:28} {:16} {:>11.0} {:>11.0} {:>10.0} {:>7.0} {:>7.4} {:>7.4} {:>7.4} {:>6.1} {:>7.0} {:>6.2} {:>5.0}",
            scenarios[0].borrow().name,
            name,
            mean(|run| run.unmet),
            mean(|run| run.unavoidable),
            mean(|run| run.moved),
            mean(|run| run.operations as f64),
            mean(|run| run.fairness),
            mean(|run| run.fairness_of_need),
            mean(|run| run.inversions),
            mean(|run| run.refused as f64),
            mean(|run| run.waited),
            mean(|run| run.slowdown),
            mean(|run| run.corrections as f64),
        )?;
    }
    Ok(())
}
