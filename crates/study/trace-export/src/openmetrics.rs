//! OpenMetrics text with timestamps: a finished run for Prometheus (`promtool tsdb create-blocks-from openmetrics`).
//!
//! Families have the names that `windows_exporter` gives them, in Prometheus' base units: bytes, ratios, seconds. Time 0 of the run is the
//! scenario's epoch. The format: <https://prometheus.io/docs/specs/om/open_metrics_spec/> (documented).

use std::io::Write;

use perf_counters::schema::{BALANCER_INSTANCE, BalancerCounters};
use perf_counters::{CounterDefinition, Kind, Unit};

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
        family(&mut out, first.definition)?;
        for series in counters.series.iter().filter(|series| series.definition.prometheus == name) {
            samples(&mut out, &counters, series)?;
        }
    }
    out.write_all(b"# EOF\n")?;
    out.flush()?;
    Ok(())
}

/// The name of a family: that of a counter is without the ending that its samples have.
fn family_name(definition: &CounterDefinition) -> &'static str {
    let name = definition.prometheus;
    match definition.kind {
        Kind::Counter => name.strip_suffix("_total").unwrap_or(name),
        Kind::Gauge => name,
    }
}

fn family(out: &mut impl Write, definition: &CounterDefinition) -> Result<(), ExportError> {
    let name = family_name(definition);
    let kind = match definition.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    writeln!(out, "# TYPE {name} {kind}")?;
    writeln!(out, "# HELP {name} {}", definition.help)?;
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
        Scope::Vm(vm) => format!("{{vm=\"{}\"}}", escaped(vm)),
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

fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}
