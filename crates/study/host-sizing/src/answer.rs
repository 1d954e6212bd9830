//! The answer, as it is written as JSON.

use serde::Serialize;

use crate::advise::Advice;
use crate::confidence::Confidence;
use crate::job::Engine;
use crate::measure::Series;
use crate::question::{Growth, Risk, Sought};

/// Version of the JSON.
pub const SCHEMA: u32 = 1;

/// The answer. All sizes are MB (MiB), all times seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// Version of this schema.
    pub schema: u32,
    /// What was sized for.
    pub title: String,
    /// The balancing policy.
    pub policy: String,
    /// The risk that was to be kept.
    pub risk: Risk,
    /// Hosts that may be down.
    pub spare: u32,
    /// How demand was grown.
    pub growth: Option<Growth>,
    /// VMs.
    pub vms: usize,
    /// Length of the load.
    pub length_s: f64,
    /// Seconds at the beginning of each run in which shortages do not count.
    pub warm_up_s: f64,
    /// Time 0, milliseconds since 1970, if the load has dates.
    pub begins_ms: Option<i64>,
    /// Seeds that the load was drawn with.
    pub seeds: usize,
    /// What was asked for.
    pub sought: Sought,
    /// The answers: one, or one for each size of host that was asked for.
    pub found: Vec<Found>,
    /// What was tried, by hosts and memory.
    pub evaluated: Vec<Evaluated>,
    /// VMs that are short on any host, and what they were held against instead of the risk.
    pub on_any_host: Vec<Shortage>,
    /// What all VMs would take with static memory: their maximum, and their peak.
    pub static_maximum_mb: f64,
    /// Σ peak demand.
    pub static_peak_mb: f64,
    /// The largest demand of all VMs together.
    pub peak_of_sum_mb: f64,
    /// What is advised for each VM.
    pub advice: Vec<Advice>,
    /// The same with the advised settings, simulated: of as many hosts the memory of each, or how many hosts of the first size that is enough with those
    /// of today. `None` if nothing is to be changed.
    pub with_advice: Option<Found>,
    /// Demand and memory of all VMs together, on the host of the answer that had the least left.
    pub series: Series,
    /// How far to trust it.
    pub confidence: Confidence,
    /// How often the promise was kept on what was not looked at.
    pub back_test: Option<BackTest>,
    /// The command that gives this answer again.
    pub command: String,
}

/// An answer for hosts of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// Hosts in all, spare ones among them.
    pub hosts: u32,
    /// Memory of each.
    pub memory_mb: f64,
    /// Whether the risk is kept.
    pub kept: bool,
    /// The least that was left of a host's memory.
    pub least_available_mb: f64,
    /// What happens there with the spare hosts down: all that is short, the worst first.
    pub shortages: Vec<Shortage>,
    /// What happens there when a host fails at the worst moment of the load; `None` if none may be down, or the load is not recorded.
    pub failover: Option<Failover>,
    /// Why less is not enough: what happens one step below.
    pub why_not_less: Option<Box<Verdict>>,
    /// What the fast model said before full runs corrected it, MB or hosts as was [asked for](Answer::sought); `None` if it was not used.
    pub fast_said: Option<f64>,
    /// What confirmed it.
    pub confirmed_by: String,
}

/// A host fails in the middle, at the worst moment of the load, and its VMs restart on the others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failover {
    /// When.
    pub at_s: f64,
    /// VMs that were on it: the host that had the most.
    pub restarted: usize,
    /// Those that no other host takes within the time in which a cluster goes on asking.
    pub not_started: usize,
    /// From the failure until the last of the others has its memory again.
    pub slowest_start_s: f64,
    /// The worst that happened to one that restarted: none is more than it would be on a host with memory for all, or the risk is broken.
    pub worst: Option<Shortage>,
}

/// What a try showed.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Hosts in all.
    pub hosts: u32,
    /// Memory of each.
    pub memory_mb: f64,
    /// Where the risk was not kept, the worst first.
    pub violations: Vec<Shortage>,
}

/// What was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluated {
    /// Hosts in all.
    pub hosts: u32,
    /// Memory of each.
    pub memory_mb: f64,
    /// With what.
    pub engine: Engine,
    /// Whether the risk was kept.
    pub kept: bool,
    /// The longest time that a VM was short in one piece; of this and the next those that restart after a failure are left out.
    pub longest_s: f64,
    /// The largest share of its time that a VM was short.
    pub share: f64,
    /// Allocations refused, of all VMs.
    pub refused: u64,
    /// VMs that never started.
    pub not_started: usize,
    /// VMs that broke the risk.
    pub vms_broken: usize,
    /// Whether runs were ended when a VM had been short for ten times what is allowed: then all of this is at least so.
    pub ended_early: bool,
}

/// A VM that was short, or did not start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shortage {
    /// Which VM.
    pub vm: String,
    /// Whether it started.
    pub started: bool,
    /// The longest time in one piece.
    pub longest_s: f64,
    /// When that began.
    pub at_s: f64,
    /// The share of its time.
    pub share: f64,
    /// Allocations that its guest refused.
    pub refused: u64,
    /// The most that it lacked.
    pub most_lacking_mb: f64,
    /// Whether a host had failed in the middle of the load before.
    pub after_failure: bool,
}

/// How a promise from the first half held in the second.
#[derive(Clone, Debug, Serialize)]
pub struct BackTest {
    /// Hosts.
    pub hosts: u32,
    /// Memory for each that the first half said.
    pub memory_mb: f64,
    /// VMs in the second half.
    pub vms: usize,
    /// Those for which the promised risk was kept.
    pub kept: usize,
    /// The others.
    pub broken: Vec<Shortage>,
    /// Whether runs were ended when a VM had been short for ten times what is allowed: then the others were short for at least so long.
    pub ended_early: bool,
    /// Memory for each host that the second half alone would have said.
    pub second_half_mb: f64,
    /// Length of a half.
    pub half_s: f64,
}
