//! A small synthetic trace in the shape of real ones: days and nights, slow drifts, bursts.

use core::time::Duration;
use std::io::{self, Write};

use page_range::{PAGE_SIZE, PageCount};
use rand_core::RngCore;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::{Sample, Trace, VmTrace};
use crate::constants::{
    GENERATED_BASE, GENERATED_BURST_LENGTH, GENERATED_BURST_SHARE, GENERATED_BURSTS, GENERATED_DAY,
    GENERATED_INTERVAL, GENERATED_LENGTH, GENERATED_PEAK_HOUR, GENERATED_VMS,
};
use crate::sampling;

/// What to generate.
///
/// The shape is that of business VMs as Shen, van Beek and Iosup describe them (Statistical Characterization of
/// Business-Critical Workloads Hosted in Cloud Datacenters, CCGrid 2015): far more is provisioned than used, use follows
/// the day in part of the VMs, and peaks are several times the mean. The numbers are invented.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GeneratorConfig {
    /// How many VMs.
    pub vms: u32,
    /// How long.
    #[serde(with = "crate::workload::seconds")]
    pub length: Duration,
    /// Time between two rows.
    #[serde(with = "crate::workload::seconds")]
    pub interval: Duration,
    /// Sizes that VMs have; each VM draws one.
    pub provisioned: Vec<PageCount>,
    /// Mean share of its memory that a VM uses at night.
    pub base_share: f64,
    /// Mean share that the day adds at noon.
    pub day_share: f64,
    /// Mean number of bursts a day, per VM.
    pub bursts_per_day: f64,
    /// Mean share that a burst adds.
    pub burst_share: f64,
    /// Mean length of a burst.
    #[serde(with = "crate::workload::seconds")]
    pub burst_length: Duration,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        Self {
            vms: GENERATED_VMS.whole() as u32,
            length: GENERATED_LENGTH.duration(),
            interval: GENERATED_INTERVAL.duration(),
            provisioned: [2048, 4096, 4096, 8192, 16384].map(PageCount::from_mib).to_vec(),
            base_share: GENERATED_BASE.value,
            day_share: GENERATED_DAY.value,
            bursts_per_day: GENERATED_BURSTS.value,
            burst_share: GENERATED_BURST_SHARE.value,
            burst_length: GENERATED_BURST_LENGTH.duration(),
        }
    }
}

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// Generate a trace. VMs are named 1, 2, 3, … The same random numbers give the same trace.
#[must_use]
pub fn generate(config: &GeneratorConfig, rng: &mut Pcg64) -> Trace {
    let mut trace = Trace::default();
    for vm in 1..=config.vms {
        if let Some(recording) = generate_vm(config, rng) {
            trace.insert(&vm.to_string(), recording);
        }
    }
    trace
}

fn generate_vm(config: &GeneratorConfig, rng: &mut Pcg64) -> Option<VmTrace> {
    let choice = (rng.next_u64() % config.provisioned.len().max(1) as u64) as usize;
    let provisioned = config.provisioned.get(choice).copied()?;
    let base = sampling::varied(rng, config.base_share, 0.5);
    // Half of the VMs follow the day.
    let day = if sampling::unit(rng) < 0.5 { sampling::varied(rng, config.day_share, 0.5) } else { 0.0 };
    let shift = sampling::normal(rng) * 1.5;
    let mut drift = 0.0;
    let mut burst = (0.0, 0.0);

    let interval = config.interval.as_secs_f64().max(1.0);
    let rows = (config.length.as_secs_f64() / interval) as u32;
    let samples = (0..rows).map(|row| {
        let time = f64::from(row) * interval;
        let hour = time % DAY / 3600.0 - GENERATED_PEAK_HOUR.value + shift;
        let daylight = 0.5 + 0.5 * libm::cos(core::f64::consts::TAU * hour / 24.0);
        drift = 0.98 * drift + 0.01 * sampling::normal(rng);
        if time >= burst.1 {
            burst = (0.0, time);
            if sampling::unit(rng) < config.bursts_per_day * interval / DAY {
                let length = sampling::exponential(rng, config.burst_length.as_secs_f64());
                burst = (sampling::varied(rng, config.burst_share, 0.5), time + length.max(interval));
            }
        }
        let share = (base + day * daylight + base * drift * 4.0 + burst.0).clamp(0.005, 0.98);
        Sample {
            time: Duration::from_secs_f64(time),
            provisioned,
            used: PageCount((provisioned.get() as f64 * share) as u64),
            // One digit after the point is what the files carry.
            cpu: libm::floor((1.0 + 60.0 * daylight * day + 80.0 * burst.0) * 10.0) / 10.0,
        }
    });
    VmTrace::new(samples.collect())
}

impl Trace {
    /// Write the trace as a file of the columns `vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct`.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        writeln!(out, "vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct")?;
        let kilobytes = |pages: PageCount| pages.get() * (PAGE_SIZE / 1024);
        for (name, vm) in self.vms() {
            for sample in vm.samples() {
                writeln!(
                    out,
                    "{name},{},{},{},{}",
                    sample.time.as_secs_f64(),
                    kilobytes(sample.provisioned),
                    kilobytes(sample.used),
                    sample.cpu
                )?;
            }
        }
        Ok(())
    }
}
