//! OpenMetrics text with timestamps: a finished run for Prometheus (`promtool tsdb create-blocks-from openmetrics`).
//!
//! Families have the names that `windows_exporter` gives them, in Prometheus' base units: bytes, ratios, seconds. Time 0 of the run is the
//! scenario's epoch. The format: <https://prometheus.io/docs/specs/om/open_metrics_spec/> (documented).

use std::io::Write;

use perf_counters::Unit;
use perf_counters::prometheus::{self, Format, escape_label};
use perf_counters::schema::{BALANCER_INSTANCE, BalancerCounters};

use crate::{Counters, ExportError, Run, Scope, Series};

/// Writes the counters of a run.
///
/// # Errors
/// The run has no counters, or the output cannot be written.
pub fn write(run: &Run, mut out: impl Write) -> Result<(), ExportError> {
    let counters = run.counters()?;
    let mut written: Vec<&str> = Vec::new();
    for first in &counters.series {
        let name = first.definition.prometheus;
        if written.contains(&name) {
            continue;
        }
        written.push(name);
        let mut family = Vec::new();
        prometheus::header(&mut family, first.definition, Format::OpenMetrics);
        out.write_all(&family)?;
        for series in counters.series.iter().filter(|series| series.definition.prometheus == name) {
            samples(&mut out, &counters, series)?;
        }
    }
    out.write_all(prometheus::END)?;
    out.flush()?;
    Ok(())
}

/// A number as Performance Monitor shows it, in base units.
fn base(unit: Unit, value: f64) -> f64 {
    match unit {
        Unit::Megabytes => value * 1_048_576.0,
        Unit::Percent => value / 100.0,
        Unit::PerSecond | Unit::Operations | Unit::Bytes | Unit::Count | Unit::Seconds => value,
    }
}

fn samples(out: &mut impl Write, counters: &Counters, series: &Series) -> Result<(), ExportError> {
    let definition = series.definition;
    let labels = match &series.scope {
        Scope::Vm(vm) => format!("{{vm=\"{}\"}}", escape_label(vm)),
        Scope::Host if definition.object == BalancerCounters::DEFINITIONS[0].object => {
            format!("{{balancer=\"{BALANCER_INSTANCE}\"}}")
        }
        Scope::Host => String::new(),
    };
    let epoch = counters.epoch.unix_nanos();
    for (at, value) in counters.times.iter().zip(&series.values) {
        let Some(value) = value else { continue };
        let time = u128::from(epoch) + at.as_nanos();
        let (whole, rest) = (time / 1_000_000_000, time % 1_000_000_000 / 1_000_000);
        writeln!(
            out,
            "{}{labels} {} {whole}.{rest:03}",
            definition.prometheus,
            base(definition.unit, *value)
        )?;
    }
    Ok(())
}
