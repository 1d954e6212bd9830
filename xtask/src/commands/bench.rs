//! `cargo xtask bench`: how fast it is, as ratios within one run.

mod ring;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use component_runtime::Driver;
use run_journal::EventsLevel;
use scenario::file::{self, LoadOptions};
use scenario::run::{self, Choices, RunOptions};

use super::bad_input;
use super::tools::{Tool, step};
use crate::output::{say, tell};

/// What to measure.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only these: stack, ring, wake, message, round, guest, qemu
    only: Vec<String>,
    /// How often each figure of the stack is measured; the median is shown, with the smallest and the largest
    #[arg(long, value_name = "N", default_value_t = 5)]
    repeat: usize,
    /// Measure one fleet in this process (used by the command itself, which measures each in a process of its own)
    #[arg(long, value_name = "VMS", hide = true)]
    fleet: Option<usize>,
}

/// Benchmarks of single crates: the word for `only`, the package, the example.
const EXAMPLES: [(&str, &str, &str); 5] = [
    ("wake", "component-runtime", "wake_cost"),
    ("message", "dm-protocol", "message-speed"),
    ("round", "scenario", "balancing-rounds"),
    ("round", "memory-balancer", "round-time"),
    ("qemu", "dynmemd", "host-cost"),
];

/// Virtual time that a fleet of 1024 VMs runs for; a smaller one runs longer, so that all do as much and are measured as exactly.
const FLEET_TIME: Duration = Duration::from_secs(600);
/// Virtual time before which a fleet is still starting.
const FLEET_START: Duration = Duration::from_secs(300);

/// Real guests are booted at most this often: inside an emulated machine each takes a quarter of a minute.
const MOST_GUESTS: usize = 3;

/// Measures.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if let Some(vms) = args.fleet {
        print_fleet(vms)?;
        return Ok(ExitCode::SUCCESS);
    }
    let known = ["stack", "ring", "wake", "message", "round", "guest", "qemu"];
    if let Some(unknown) = args.only.iter().find(|word| !known.contains(&word.as_str())) {
        return Err(bad_input(format!("there is no benchmark {unknown:?}; there are {}", known.join(", "))));
    }
    let wanted = |word: &str| args.only.is_empty() || args.only.iter().any(|only| only == word);
    tell!("{}", machine());
    if wanted("stack") {
        stack(args.repeat.max(1))?;
    }
    if wanted("ring") {
        ring::run()?;
    }
    for (word, package, example) in EXAMPLES {
        if wanted(word) {
            let tool = Tool::cargo(["run", "--quiet", "--release", "--locked", "--all-features"]).args([
                "-p",
                package,
                "--example",
                example,
            ]);
            step(&format!("{package}: {example}"), tool)?;
        }
    }
    if wanted("qemu") {
        // How fast a guest has its memory is a matter of seconds: nothing of it need be optimised.
        let test = Tool::cargo(["test", "--quiet", "--package", "dynmemd", "--all-features", "--locked"]);
        let only = ["--test", "all", "reaction::", "--", "--ignored", "--nocapture"];
        step("dynmemd and a script on the same guests", test.args(only))?;
    }
    if wanted("guest") {
        super::guest::bench(args.repeat.clamp(1, MOST_GUESTS))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn machine() -> String {
    let model = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            text.lines()
                .find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim().to_owned()))
        })
        .unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cores} cores, {} {}", std::env::consts::OS, std::env::consts::ARCH)
}

/// Median, smallest and largest.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

/// The whole stack: `multi-vm` against the time it covers, and fleets of 8 and 1024 VMs.
fn stack(repeat: usize) -> Result<()> {
    tell!(
        "\nmulti-vm, everything recorded: virtual time covered per second of real time (median, smallest, largest)"
    );
    let mut medians = Vec::new();
    for (name, driver) in [("threads", Driver::Threads), ("inline", Driver::Inline)] {
        let factors = (0..repeat).map(|_| speed(driver)).collect::<Result<Vec<_>>>()?;
        let (median, low, high) = spread(factors);
        medians.push(median);
        say!("  {name:<8} {median:>8.0} ×   ({low:.0} to {high:.0})");
    }
    say!("  inline is {:.2} times as fast as threads", medians[1] / medians[0]);

    tell!(
        "\nfleets, inline, --events none: cost per VM and virtual second, and the process' peak resident memory"
    );
    let mut costs = Vec::new();
    for vms in [8, 64, 256, 1024] {
        let mut measured = Vec::new();
        let mut memory = 0.0;
        for _ in 0..repeat {
            let (cost, resident) = fleet_apart(vms)?;
            measured.push(cost);
            memory = resident;
        }
        let (median, low, high) = spread(measured);
        say!("  {vms:>5} VMs {median:>8.2} µs   ({low:.2} to {high:.2})   {memory:>6.0} MB");
        costs.push(median);
    }
    say!("  1024 VMs cost {:.2} times as much for each VM as 8", costs[3] / costs[0]);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "measures")]
fn speed(driver: Driver) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let scenario = super::plans::load("multi-vm", &LoadOptions::default())?;
    let plan = super::plans::plan(&scenario, &Choices::default())?;
    let options = RunOptions {
        driver,
        directory: Some(folder.path().to_owned()),
        events: EventsLevel::All,
        ..RunOptions::default()
    };
    let begin = Instant::now();
    let outcome = run::run(plan, options);
    let took = begin.elapsed();
    folder.close().context("cannot remove the run")?;
    Ok(outcome?.end.time.as_secs_f64() / took.as_secs_f64())
}

/// A fleet of `vms` VMs of 4 GB with a sawtooth load each. The VMs are started one after the other, as an administrator's
/// script
/// would, so that they do not all report at the same instant.
fn fleet(vms: usize, until: Duration) -> String {
    format!(
        r#"
title = "Fleet of {vms}"
description = "For the benchmark: every VM has a load that rises and falls."
until = "{}s"
sample_interval = "60s"

[host]
memory = "{}GB"
edition = "unlimited"

[[vm]]
name = "VM{{n}}"
numbers = "1..{vms}"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "4096MB"

[vm.workload]
kind = "sawtooth"
low = "100MB"
high = "2000MB"
rise = "300s"

[[timeline]]
at = "0s"
action = "start"
vm = "all"
every = "101ms"
"#,
        until.as_secs(),
        vms * 5 + 8
    )
}

#[expect(clippy::disallowed_methods, reason = "measures")]
fn print_fleet(vms: usize) -> Result<()> {
    let time = FLEET_TIME * u32::try_from(1024 / vms.max(1)).unwrap_or(1).max(1);
    let text = fleet(vms, FLEET_START + time);
    let scenario = file::parse("fleet.toml", text, &LoadOptions::default()).map_err(bad_input)?;
    // The marginal cost of a virtual second: a longer run less a shorter one.
    let mut times = Vec::new();
    for until in [FLEET_START, FLEET_START + time] {
        let choices = Choices { until: Some(until), ..Choices::default() };
        let plan = super::plans::plan(&scenario, &choices)?;
        let options =
            RunOptions { driver: Driver::Inline, events: EventsLevel::None, ..RunOptions::default() };
        let begin = Instant::now();
        run::run(plan, options)?;
        times.push(begin.elapsed());
    }
    let cost = times[1].saturating_sub(times[0]).as_secs_f64() * 1e6 / (vms as f64 * time.as_secs_f64());
    say!("{cost} {}", peak_resident_mb());
    Ok(())
}

/// Peak resident memory of this process, MB; 0 where the system does not say.
fn peak_resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// Measures a fleet in a process of its own, so that its memory is its own.
fn fleet_apart(vms: usize) -> Result<(f64, f64)> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let output = std::process::Command::new(program).args(["bench", "--fleet", &vms.to_string()]).output()?;
    if !output.status.success() {
        bail!("the fleet of {vms} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(cost), Some(memory)) => Ok((cost, memory)),
        _ => bail!("the fleet of {vms} printed {text:?}"),
    }
}
