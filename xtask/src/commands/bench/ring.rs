//! The ring against channels of the same process, as a table; all repetitions are kept in a file.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::commands::tools::Tool;
use crate::output::{note, say};

#[derive(Deserialize)]
struct Report {
    repetitions: u32,
    ring_bytes: u32,
    payload_bytes: u32,
    alone: Vec<Alone>,
    ratios: Vec<Ratio>,
    streams: Vec<Stream>,
    round_trips: Vec<RoundTrip>,
}

#[derive(Deserialize)]
struct Alone {
    subject: String,
    ns_per_message: f64,
}

#[derive(Deserialize)]
struct Ratio {
    placement: String,
    subject: String,
    peer: String,
    times_as_fast: f64,
    target: Option<f64>,
}

#[derive(Deserialize)]
struct Stream {
    placement: String,
    subject: String,
    ns_per_message_median: f64,
}

#[derive(Deserialize)]
struct RoundTrip {
    placement: String,
    subject: String,
    ns_p50: Median,
    ns_p99: Median,
}

#[derive(Deserialize)]
struct Median {
    median: f64,
}

/// Runs the ring's benchmark, prints its medians, and says where everything is.
pub(super) fn run() -> Result<()> {
    note!("── vmbus: ring_bench");
    let tool = Tool::cargo(["run", "--quiet", "--release", "--locked", "--all-features", "-p", "vmbus"]);
    let text = tool.args(["--example", "ring_bench"]).output()?;
    let report: Report = serde_json::from_slice(&text).context("the ring's benchmark printed no report")?;
    say!(
        "\nring of {} KiB, payloads of {} bytes, times as fast as the better of crossbeam-channel and std's \
         sync_channel, and as the better of rtrb and heapless in pieces of the same size (medians of {} interleaved repetitions)",
        report.ring_bytes / 1024,
        report.payload_bytes,
        report.repetitions
    );
    for ratio in &report.ratios {
        let wanted = ratio.target.map_or_else(String::new, |target| format!("   (wanted {target:.1})"));
        say!(
            "  {:<10} {:<16} as {:<8} {:>5.2}{wanted}",
            ratio.placement,
            ratio.subject,
            ratio.peer,
            ratio.times_as_fast
        );
    }
    say!("  in and out on one thread, ns a message (the quickest samples):");
    for alone in &report.alone {
        say!("    {:<18} {:>8.2}", alone.subject, alone.ns_per_message);
    }
    say!("  one message, ns:");
    for stream in &report.streams {
        say!("    {:<10} {:<18} {:>8.1}", stream.placement, stream.subject, stream.ns_per_message_median);
    }
    say!("  there and back, ns (p50, p99):");
    for trip in &report.round_trips {
        say!(
            "    {:<10} {:<18} {:>8.0} {:>8.0}",
            trip.placement,
            trip.subject,
            trip.ns_p50.median,
            trip.ns_p99.median
        );
    }
    let file = keep(&text)?;
    say!("  all repetitions: {}", file.display());
    Ok(())
}

/// Keeps the report below `runs/`.
fn keep(text: &[u8]) -> Result<PathBuf> {
    let folder = PathBuf::from(crate::commands::RUNS);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join("bench-ring.json");
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}
