//! `cargo xtask size`: the smallest hosts for VMs, and their settings.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use host_sizing::{Answer, Fleet, Growth, Hosts, Question, Risk, SizingError};
use load_import::LoadHost;
use page_range::PageCount;
use scenario::file::{self, LoadOptions};

use super::import::{self, Files};
use super::results::{Results, progress_bar};
use super::{arguments, bad_input, shell_word};
use crate::output::{look, note, print, say, tell};

/// For what, and on which hosts.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    what: Files,
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
    #[arg(long, value_name = "RATE")]
    growth: Option<Growth>,
    /// Add a burst to recorded demand every hour: of this size, or SIZE/LENGTH; 60s unless said
    #[arg(long, value_name = "SIZE", value_parser = burst)]
    burst: Option<Burst>,
    /// Balancing policy of the hosts, in place of the file's
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// Step of the answer; default: 1 GB, 2 GB above 64 GB, 8 GB above 256 GB, 32 GB above 1 TB
    #[arg(long, value_name = "SIZE", value_parser = arguments::host_memory)]
    step: Option<PageCount>,
    /// How many seeds, where the load is drawn at random
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: u32,
    /// Size from the first half of what was recorded as well, and say how well that held in the second
    #[arg(long)]
    back_test: bool,
    /// Search with full runs however long that takes, not with the fast model
    #[arg(long)]
    full: bool,
    /// Threads to run on; default: one for each processor
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Folder for the page, the JSON and the scripts; default: the next free runs/size-001
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Overwrite the sizing in --out
    #[arg(long, requires = "out")]
    force: bool,
    /// Print size.json and nothing else
    #[arg(long)]
    json: bool,
}

/// A burst: how much, for how long.
type Burst = (PageCount, Duration);

fn burst(text: &str) -> Result<Burst, String> {
    let (size, length) = text.split_once('/').unwrap_or((text, "60s"));
    let size =
        quantities::parse_size(size).map_err(|error| format!("{error}; such as 512MB, or 512MB/2m"))?;
    let length = arguments::positive_duration(length)?;
    Ok((size, length))
}

/// What a sizing leaves.
const FILES: [&str; 6] =
    ["size.html", "size.json", "set-memory.ps1", "undo-memory.ps1", "load.toml", "load.trace.csv"];

const RESULTS: Results = Results { what: "sizing", kind: "size", files: &FILES };

/// Sizes. Exit code 1 where hosts that were given are not enough.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let folder = RESULTS.folder(args.out.as_deref(), args.force)?;
    let made = args.out.is_none();
    let answer = fleet(args, &folder)
        .and_then(|(fleet, listed)| answer(args, &question(args, &listed), &fleet, &folder));
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            if made {
                // Nothing was found: a folder that was made for this goes again.
                let _kept = std::fs::remove_dir_all(&folder);
            }
            return Err(error);
        }
    };
    write(&folder, &answer)?;
    if args.json {
        print(format_args!("{}\n", serde_json::to_string_pretty(&answer)?))?;
    } else {
        told(&answer, &folder)?;
    }
    let enough = answer.found.first().is_none_or(|found| found.kept);
    Ok(if enough { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is asked. Where nothing is said of hosts, it is whether those that the files list are enough.
fn question(args: &Args, listed: &[LoadHost]) -> Question {
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
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Question {
        hosts,
        spare: args.spare.unwrap_or(u32::from(!one)),
        risk: args.risk,
        seeds: args.seeds,
        threads: args.threads.map_or(threads, usize::from),
        step: args.step,
        full: args.full,
    }
}

/// The VMs: of a scenario file, or of what other programs wrote.
fn fleet(args: &Args, folder: &Path) -> Result<(Fleet, Vec<LoadHost>)> {
    let mut listed = Vec::new();
    let options = LoadOptions {
        policies: policy_catalogue::names().map(str::to_owned).collect(),
        policy: args.policy.clone(),
        ..LoadOptions::default()
    };
    let is_scenario = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "toml");
    let mut fleet = match &args.what.files[..] {
        [only] if is_scenario(only) || (only.components().count() == 1 && !only.exists()) => {
            let scenario = file::find(&only.display().to_string(), &options).map_err(bad_input)?;
            super::plans::tell_remarks(&scenario);
            let seeds = if scenario.trace.is_some() { 1 } else { args.seeds };
            Fleet::of_scenario(&scenario, args.policy.as_deref(), seeds).map_err(wrong)?
        }
        several if several.iter().any(is_scenario) => {
            return Err(bad_input(
                "a scenario file is sized alone: leave out the other files, or import them together first",
            ));
        }
        _ => {
            let load = args.what.read()?;
            if !args.json {
                import::tell_load(&load)?;
                say!("");
            }
            let path = folder.join("load.toml");
            let written = import::write(&load, &path)?;
            let scenario = file::load(&path, &options).map_err(bad_input)?;
            let mut fleet = Fleet::of_scenario(&scenario, args.policy.as_deref(), 1).map_err(wrong)?;
            fleet.tell(&load, &written);
            listed = load.hosts;
            fleet
        }
    };
    if let Some(growth) = args.growth {
        fleet.grow(growth).map_err(wrong)?;
    }
    if let Some((size, length)) = args.burst {
        fleet.burst(size, length).map_err(wrong)?;
    }
    Ok((fleet, listed))
}

fn answer(args: &Args, question: &Question, fleet: &Fleet, folder: &Path) -> Result<Answer> {
    let bar = progress_bar(!args.json && std::io::stderr().is_terminal(), "{msg} {bar:30} about {eta} left");
    let done = AtomicU64::new(0);
    // How many runs a search takes shows only when it is over.
    let vm_seconds = fleet.length().as_secs() * fleet.vms.len() as u64;
    bar.set_length(vm_seconds.saturating_mul(RUNS * if args.back_test { 2 } else { 1 }).max(1));
    let progress = |more: u64| {
        let seconds = done.fetch_add(more, Ordering::Relaxed) + more;
        bar.set_message(format!("{:.0} VM hours of virtual time", seconds as f64 / 3600.0));
        bar.set_position(seconds);
    };
    let command = command(args);
    let answer = host_sizing::size(fleet, question, args.growth, args.burst.is_some(), &command, &progress);
    let mut answer = answer.map_err(wrong)?;
    if args.back_test {
        answer.back_test = Some(host_sizing::back_test(fleet, question, &progress).map_err(wrong)?);
    }
    bar.finish_and_clear();
    for (what, script) in [("set-memory.ps1", answer.script()), ("undo-memory.ps1", answer.undo_script())] {
        let complaints = host_sizing::script::check(&script);
        if let Some(complaint) = complaints.first() {
            anyhow::bail!("{}: {complaint}, which is a defect of this program", folder.join(what).display());
        }
    }
    Ok(answer)
}

fn wrong(error: SizingError) -> anyhow::Error {
    match error {
        SizingError::Run { .. } => error.into(),
        _ => bad_input(error),
    }
}

fn told(answer: &Answer, folder: &Path) -> Result<()> {
    for sentence in answer.sentences() {
        tell!("{sentence}");
    }
    let columns = look().columns;
    say!("\nTried:\n{}", answer.tries(columns));
    say!(
        "\nSettings (today → advised; the reasons are on the page and in the script):\n{}",
        answer.settings(columns)
    );
    let file = |name: &str| folder.join(name).display().to_string();
    say!("\nPage:    {}", file("size.html"));
    say!("JSON:    {}", file("size.json"));
    if answer.advice.iter().any(host_sizing::Advice::changes) {
        say!("Set:     {}   (without -Apply it only tells what it would do)", file("set-memory.ps1"));
        say!("Undo:    {}", file("undo-memory.ps1"));
    } else {
        note!("note: nothing is to be changed, so that the scripts have nothing to do");
    }
    say!("Repeat:  {}", answer.command);
    Ok(())
}

fn write(folder: &Path, answer: &Answer) -> Result<()> {
    let json = serde_json::to_string_pretty(answer)? + "\n";
    // PowerShell 5 reads a script without a mark in a code page.
    let script = |text: String| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let texts = [answer.page(), json, script(answer.script()), script(answer.undo_script())];
    for (name, text) in FILES.iter().zip(texts) {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Runs of all VMs that a search takes, about: with today's settings and with those that are advised. Invented.
const RUNS: u64 = 16;

/// The command that gives the answer again.
fn command(args: &Args) -> String {
    let mut words = vec!["cargo xtask size".to_owned()];
    words.extend(args.what.files.iter().map(|file| shell_word(&file.display().to_string())));
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
    for unit in &args.what.unit {
        option("unit", Some(format!("{}={}", unit.column, unit.unit.name())));
    }
    for counter in &args.what.counter {
        option("counter", Some(counter.to_string()));
    }
    option("code-page", args.what.code_page.map(|page| page.to_string()));
    for (flag, set) in [("--back-test", args.back_test), ("--full", args.full)] {
        if set {
            words.push(flag.to_owned());
        }
    }
    words.join(" ")
}
