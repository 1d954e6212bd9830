//! The figures as JSON.

use std::io::Write;

use serde_json::{Value, json};

use crate::measure::{MESSAGE_BYTES, Measured, Plan, Results, Subject};
use crate::placement::Placement;

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn percentile(sorted: &[u64], per_mille: usize) -> u64 {
    sorted.get((sorted.len() * per_mille / 1000).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}

/// What a subject must reach against the better of the two channels.
fn target(placement: Placement, per_commit: usize) -> Option<f64> {
    match (placement, per_commit) {
        (_, 1) => Some(0.8),
        (Placement::TwoCore, 8 | 32) => Some(1.5),
        (Placement::SameCore, 32) => Some(1.4),
        _ => None,
    }
}

pub(crate) fn report(plan: &Plan, results: &Results) -> Value {
    let streams: Vec<Value> = results
        .streams
        .iter()
        .map(|stream| {
            json!({
                "placement": stream.placement.name(),
                "subject": stream.subject.name(),
                "ns_per_message_median": median(&stream.repetitions),
                "ns_per_message": stream.repetitions,
            })
        })
        .collect();
    let ratios: Vec<Value> =
        results.streams.iter().filter_map(|stream| ratio(stream, &results.streams)).collect();
    let round_trips: Vec<Value> = results
        .round_trips
        .iter()
        .map(|subject| {
            let of_all = |per_mille| {
                let values: Vec<f64> =
                    subject.repetitions.iter().map(|times| percentile(times, per_mille) as f64).collect();
                json!({ "median": median(&values), "all": values })
            };
            json!({
                "placement": subject.placement.name(),
                "subject": subject.subject.name(),
                "ns_p50": of_all(500),
                "ns_p90": of_all(900),
                "ns_p99": of_all(990),
                "ns_p999": of_all(999),
            })
        })
        .collect();
    json!({
        "payload_bytes": MESSAGE_BYTES,
        "ring_bytes": crate::ring::RING_BYTES,
        "channel_capacity": crate::channels::CAPACITY,
        "messages": plan.messages,
        "repetitions": plan.repetitions,
        "streams": streams,
        "ratios": ratios,
        "round_trips": round_trips,
    })
}

/// How many times faster a ring is than the better of the two channels in the same placement.
fn ratio(stream: &Measured<f64>, all: &[Measured<f64>]) -> Option<Value> {
    let Subject::Ring { per_commit } = stream.subject else { return None };
    let best_channel = all
        .iter()
        .filter(|other| other.placement == stream.placement && !matches!(other.subject, Subject::Ring { .. }))
        .map(|other| median(&other.repetitions))
        .min_by(f64::total_cmp)?;
    let ratio = best_channel / median(&stream.repetitions);
    let target = target(stream.placement, per_commit);
    Some(json!({
        "placement": stream.placement.name(),
        "per_commit": per_commit,
        "ratio_to_better_channel": ratio,
        "target": target,
        "met": target.map(|target| ratio >= target),
    }))
}

pub(crate) fn print(report: &Value) {
    let mut out = std::io::stdout().lock();
    // A reader that has gone away (`| head`) is no error.
    let _ = writeln!(out, "{report:#}");
}
