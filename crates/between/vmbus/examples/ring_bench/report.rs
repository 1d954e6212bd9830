//! The figures as JSON.

use std::io::Write;

use serde_json::{Value, json};

use crate::ends::MESSAGE_BYTES;
use crate::measure::{Measured, Plan, Results, Subject};
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
        results.streams.iter().flat_map(|stream| ratios(stream, &results.streams)).collect();
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
    let alone: Vec<Value> = results
        .alone
        .iter()
        .map(|alone| json!({ "subject": alone.subject.name(), "ns_per_message": alone.nanoseconds }))
        .collect();
    json!({
        "alone": alone,
        "payload_bytes": MESSAGE_BYTES,
        "ring_bytes": crate::ends::RING_BYTES,
        "channel_capacity": crate::ends::CAPACITY,
        "messages": plan.messages,
        "repetitions": plan.repetitions,
        "streams": streams,
        "ratios": ratios,
        "round_trips": round_trips,
    })
}

/// How many times as fast a ring is as each of its peers in the same placement: the better of the two channels, and the queue
/// that is written in pieces of the same size.
fn ratios<'a>(stream: &'a Measured<f64>, all: &'a [Measured<f64>]) -> impl Iterator<Item = Value> {
    let (pieces, batches) = match stream.subject {
        Subject::Ring { per_commit } => (per_commit, false),
        Subject::Batch { packets } => (packets, true),
        _ => (0, false),
    };
    let best = move |is_peer: fn(Subject, usize) -> bool| {
        all.iter()
            .filter(move |other| other.placement == stream.placement && is_peer(other.subject, pieces))
            .map(|other| median(&other.repetitions))
            .min_by(f64::total_cmp)
    };
    let channel = best(|subject, _| matches!(subject, Subject::Crossbeam | Subject::Std));
    let queue = best(|subject, pieces| match subject {
        Subject::Rtrb { per_chunk } => per_chunk == pieces,
        Subject::Heapless => pieces == 1,
        _ => false,
    });
    let target = target(stream.placement, pieces).filter(|_| !batches);
    let peers = [("channel", channel, target), ("queue", queue, None)];
    peers.into_iter().filter(move |_| pieces > 0).filter_map(move |(peer, best, target)| {
        let ratio = best? / median(&stream.repetitions);
        Some(json!({
            "placement": stream.placement.name(),
            "subject": stream.subject.name(),
            "peer": peer,
            "times_as_fast": ratio,
            "target": target,
            "met": target.map(|target| ratio >= target),
        }))
    })
}

pub(crate) fn print(report: &Value) {
    let mut out = std::io::stdout().lock();
    // A reader that has gone away (`| head`) is no error.
    let _ = writeln!(out, "{report:#}");
}
