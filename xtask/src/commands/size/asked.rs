//! What is asked of a sizing: for what VMs, on which hosts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use host_sizing::{Fleet, Growth, Hosts, Question, Risk, SizingError};
use load_import::LoadHost;
use page_range::PageCount;
#[cfg(feature = "study")]
use scenario::file::Scenario;
use scenario::file::{self, LoadOptions};

use super::super::import::{self, Files};
use super::super::{arguments, bad_input, plans, shell_word};
use crate::output::{note, say};

/// For what, and on which hosts.
#[derive(clap::Args, Debug)]
pub(crate) struct What {
    #[command(flatten)]
    files: Files,
    /// Sizes of hosts to choose from, separated by commas, such as 256GB,384GB,512GB: how many of each are enough?
    #[arg(long, value_name = "SIZES", value_delimiter = ',', value_parser = arguments::host_memory, conflicts_with_all = ["hosts", "host_memory"])]
    host: Vec<PageCount>,
    /// Number of hosts, all alike: how much memory does each need? [default: those that files list (Get-VMHost), else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    hosts: Option<u32>,
    /// Memory of each of them: is it enough?
    #[arg(long, value_name = "SIZE", value_parser = arguments::host_memory)]
    host_memory: Option<PageCount>,
    /// Hosts that may be down at a time [default: 1, of one host 0]
    #[arg(long, value_name = "N")]
    spare: Option<u32>,
    /// What may happen: the longest time that a VM may be short in one piece, the share of its time, refused allocations
    #[arg(long, value_name = "RISK", default_value = "longest=30s,share=0.1%,refused=0")]
    risk: Risk,
    /// How recorded demand grows, such as 20%/y, or 20%/y:3y for three years
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub(crate) growth: Option<Growth>,
    /// Add a burst to recorded demand every hour: of this size, or SIZE/LENGTH; 60s unless said
    #[arg(long, value_name = "SIZE", value_parser = burst, allow_hyphen_values = true)]
    pub(crate) burst: Option<Burst>,
    /// Balancing policy of the hosts, in place of the file's
    #[arg(long, value_name = "POLICY")]
    pub(crate) policy: Option<String>,
    /// Step of the answer; default: 1 GB, 2 GB above 64 GB, 8 GB above 256 GB, 32 GB above 1 TB
    #[arg(long, value_name = "SIZE", value_parser = arguments::host_memory)]
    step: Option<PageCount>,
    /// How many seeds, where the load is drawn at random
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: u32,
    /// Search with full runs however long that takes, not with the fast model
    #[arg(long)]
    full: bool,
}

/// A burst: how much, for how long.
pub(crate) type Burst = (PageCount, Duration);

fn burst(text: &str) -> Result<Burst, String> {
    let (size, length) = text.split_once('/').unwrap_or((text, "60s"));
    let size =
        quantities::parse_size(size).map_err(|error| format!("{error}; such as 512MB, or 512MB/2m"))?;
    let length = arguments::positive_duration(length)?;
    Ok((size, length))
}

/// What is asked. Where nothing is said of hosts, it is whether those that the files list are enough.
pub(crate) fn question(args: &What, listed: &[LoadHost], threads: usize) -> Question {
    let smallest = listed.iter().map(|host| host.memory).min();
    let hosts = match (&args.host[..], args.hosts, args.host_memory, smallest) {
        ([], None, None, Some(smallest)) => {
            if listed.iter().any(|host| host.memory != smallest) {
                note!(
                    "note: the hosts that the files list have not the same memory; all are taken to have {}, the least",
                    quantities::format_size(smallest)
                );
            }
            Hosts::Given(u32::try_from(listed.len()).unwrap_or(u32::MAX), smallest)
        }
        ([], hosts, None, _) => Hosts::Number(hosts.unwrap_or(1)),
        ([], hosts, Some(memory), _) => Hosts::Given(hosts.unwrap_or(1), memory),
        (sizes, ..) => Hosts::Sizes(sizes.to_vec()),
    };
    let one = matches!(hosts, Hosts::Number(1) | Hosts::Given(1, _));
    Question {
        hosts,
        spare: args.spare.unwrap_or(u32::from(!one)),
        risk: args.risk,
        seeds: args.seeds,
        threads,
        step: args.step,
        full: args.full,
    }
}

/// The VMs, before growth and bursts, and what knows of them.
pub(crate) struct Loaded {
    #[cfg(feature = "study")]
    pub(crate) scenario: Scenario,
    pub(crate) fleet: Fleet,
    /// Seeds that the load is drawn with.
    #[cfg(feature = "study")]
    pub(crate) seeds: u32,
    /// Hosts that files list.
    pub(crate) listed: Vec<LoadHost>,
}

/// The VMs: of a scenario file, or of what other programs wrote, of which a scenario is left in `folder`. What was read is told unless `quiet`.
pub(crate) fn load(args: &What, folder: &Path, quiet: bool) -> Result<Loaded> {
    let options = LoadOptions {
        policies: policy_catalogue::names().map(str::to_owned).collect(),
        policy: args.policy.clone(),
        ..LoadOptions::default()
    };
    let policy = args.policy.as_deref();
    let is_scenario = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "toml");
    // Of a scenario that comes with the project: no file, and not one that is not there.
    let is_name = |path: &PathBuf| path.components().count() == 1 && path.extension().is_none();
    match &args.files.files[..] {
        [only] if is_scenario(only) || (is_name(only) && !only.exists()) => {
            let scenario = file::find(&only.display().to_string(), &options).map_err(bad_input)?;
            plans::tell_remarks(&scenario);
            let seeds = if scenario.trace.is_some() { 1 } else { args.seeds };
            let fleet = Fleet::of_scenario(&scenario, policy, seeds).map_err(wrong)?;
            Ok(Loaded {
                #[cfg(feature = "study")]
                scenario,
                fleet,
                #[cfg(feature = "study")]
                seeds,
                listed: Vec::new(),
            })
        }
        several if several.iter().any(is_scenario) => Err(bad_input(
            "a scenario file is sized alone: leave out the other files, or import them together first",
        )),
        _ => {
            let load = args.files.read()?;
            if !quiet {
                import::tell_load(&load)?;
                say!("");
            }
            let path = folder.join("load.toml");
            let written = import::write(&load, &path)?;
            let scenario = file::load(&path, &options).map_err(bad_input)?;
            let mut fleet = Fleet::of_scenario(&scenario, policy, 1).map_err(wrong)?;
            fleet.tell(&load, &written);
            Ok(Loaded {
                #[cfg(feature = "study")]
                scenario,
                fleet,
                #[cfg(feature = "study")]
                seeds: 1,
                listed: load.hosts,
            })
        }
    }
}

/// What is wrong with a question or its load is wrong input.
pub(crate) fn wrong(error: SizingError) -> anyhow::Error {
    match error {
        SizingError::Run { .. } => error.into(),
        _ => bad_input(error),
    }
}

/// The command that gives the answer again.
pub(crate) fn command(args: &What) -> String {
    let mut words = vec!["cargo xtask size".to_owned()];
    words.extend(args.files.words());
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.push(format!("--{name} {}", shell_word(&value)));
        }
    };
    let sizes = |sizes: &[PageCount]| {
        sizes.iter().map(|size| quantities::format_size(*size)).collect::<Vec<_>>().join(",")
    };
    option("host", (!args.host.is_empty()).then(|| sizes(&args.host)));
    option("hosts", args.hosts.map(|hosts| hosts.to_string()));
    option("host-memory", args.host_memory.map(quantities::format_size));
    option("spare", args.spare.map(|spare| spare.to_string()));
    option("risk", (args.risk != Risk::default()).then(|| args.risk.to_string()));
    option("growth", args.growth.map(|growth| growth.to_string()));
    option(
        "burst",
        args.burst.map(|(size, length)| {
            format!("{}/{}", quantities::format_size(size), quantities::format_duration(length))
        }),
    );
    option("policy", args.policy.clone());
    option("step", args.step.map(quantities::format_size));
    option("seeds", (args.seeds != 3).then(|| args.seeds.to_string()));
    if args.full {
        words.push("--full".to_owned());
    }
    words.join(" ")
}
