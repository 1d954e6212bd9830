//! `cargo xtask scenario`: runs a scenario.

mod fleet;
mod list;
#[cfg(feature = "live")]
mod live;

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use component_runtime::{ClockMode, Driver};
use guest_memory_manager::trace::TraceWindow;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use page_range::PageCount;
use perf_counters::serve::Endpoint;
use run_analysis::figures::{self, Recorded};
use run_journal::manifest::{self, Manifest, ScenarioIdentity, Seeds};
use run_journal::{EventsLevel, Form, HumanLog};
use scenario::file::{self, LoadOptions, Scenario, Setting};
use scenario::run::{self, Choices, CounterWatch, Plan, Point, RunOptions, directory, story};

use super::arguments::{host_memory, positive_duration, window};
use super::{all_bad_input, bad_input, plans, shell_word, tools};
use crate::output::{look, note, print, print_coloured, say};

/// What to run, and how.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A scenario of the project or a scenario file; `list`, or nothing, shows those of the project
    name: Option<String>,
    /// Balancing policy, in place of the file's
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// Seed of everything that is drawn at random, in place of the file's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Explore another order of what may happen at the same instant
    #[arg(long, value_name = "N")]
    schedule_seed: Option<u64>,
    /// `threads`: each component on a thread of its own; `inline`: one thread, for speed, and always so with several hosts. The results are the
    /// same
    #[arg(long, value_enum, default_value_t = DriverName::Threads)]
    driver: DriverName,
    /// `virtual`: as fast as it goes, and repeatable; `wall`: truly concurrent, in real time
    #[arg(long, value_enum, default_value_t = ClockName::Virtual)]
    clock: ClockName,
    /// With `--clock wall`, `--metrics` or `--live`: virtual seconds for each second; default 1, with `--live` 20
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    speed: Option<f64>,
    /// End of the run in virtual time (such as 12m30s), in place of the file's
    #[arg(long, value_name = "DUR", value_parser = positive_duration, allow_hyphen_values = true)]
    until: Option<Duration>,
    /// Folder for what the run leaves behind; default: the next free runs/NAME-001
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Overwrite the run in --out
    #[arg(long, requires = "out")]
    force: bool,
    /// How much to record of what happens; default: all, above 100 VM-hours decisions
    #[arg(long, value_parser = events_level, value_name = "all|decisions|none")]
    events: Option<EventsLevel>,
    /// Whether events and journal are compressed while they are written (events.jsonl.zst); `auto`: above 1000 VM-hours. All commands read
    /// them as they read others, and so does zstdcat
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Compress::Auto, conflicts_with = "live")]
    compress_events: Compress,
    /// Virtual time between two samples of the counters; default 1s, more for many VMs over a long time (a day of 100 VMs: 10s)
    #[arg(long, value_name = "DUR", value_parser = positive_duration, allow_hyphen_values = true)]
    sample_interval: Option<Duration>,
    /// Recorded loads, in place of those that the file names
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Which part of them is played, such as 0h..24h
    #[arg(long, value_name = "FROM..TO", value_parser = window)]
    trace_window: Option<TraceWindow>,
    /// Fill in missing rows of recorded loads by straight lines, and leave out rows of VMs that are off and of times that come twice; without
    /// this they are refused
    #[arg(long)]
    fill_gaps: bool,
    /// Memory of the host, in place of the file's, such as 150GB
    #[arg(long, value_name = "SIZE", value_parser = host_memory)]
    host_memory: Option<PageCount>,
    /// Set a key of the file by its path, such as vm.VM3.priority=80, host.memory=48GB or timeline.2.at=5m. Can be given several times
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    set: Vec<Setting>,
    /// With several hosts in the file: the only one to run, as a run of one host
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// With several hosts in the file: how many run at the same time; default: one for each processor. The results are the same
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Show the run in the terminal as it happens, with a hand in what happens; --speed says how fast it begins
    #[arg(long, conflicts_with_all = ["json", "quiet", "log", "clock"])]
    live: bool,
    /// Run on the wall clock and serve the counters to Prometheus while the run lasts, at http://ADDRESS:PORT/metrics: an address of this
    /// machine, such as 127.0.0.1:9182; port 0 takes one that is free
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = local_address, conflicts_with = "live")]
    metrics: Option<SocketAddr>,
    /// Log to standard error: a level (error, warn, info, debug), or a list of levels and component=level such as
    /// `warn,dm-vsp=debug,dm-vsc/VM8=debug`
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Leave out report.html, the page that shows the run; `cargo xtask report DIR` makes it later
    #[arg(long)]
    no_report: bool,
    /// Print summary.json to standard output and nothing else; with `list`, the list as JSON
    #[arg(long)]
    json: bool,
    /// Print nothing
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
    #[command(flatten)]
    guests: super::guest_place::Where,
}

/// Virtual seconds per second beyond which a wall clock means nothing: each wake would come minutes late.
const FASTEST: f64 = 100_000.0;

/// Crates whose events can be named in a log filter, beside the components.
const TRACING_CRATES: [&str; 4] = ["vmms-host", "guest-partition", "scenario", "component-runtime"];

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum DriverName {
    Threads,
    Inline,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum ClockName {
    Virtual,
    Wall,
}

/// When events and journal are compressed.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Compress {
    Auto,
    Always,
    Never,
}

impl Compress {
    const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    fn form(self, plan: &Plan) -> Form {
        match self {
            Self::Auto if vm_hours(plan) > MOST_PLAIN => Form::Packed,
            Self::Always => Form::Packed,
            Self::Auto | Self::Never => Form::Plain,
        }
    }
}

/// An address of this machine only, and a port.
fn local_address(text: &str) -> Result<SocketAddr, String> {
    let address = text.replacen("localhost:", "127.0.0.1:", 1);
    let address: SocketAddr = address
        .parse()
        .map_err(|_no_address| "an address and a port are wanted, such as 127.0.0.1:9182".to_owned())?;
    if !address.ip().is_loopback() {
        return Err(format!(
            "{} can be reached from other machines, and nobody is asked who they are; 127.0.0.1:{} is for this machine only",
            address.ip(),
            address.port()
        ));
    }
    Ok(address)
}

fn events_level(text: &str) -> Result<EventsLevel, String> {
    text.parse().map_err(|error: run_journal::UnknownEventsLevel| error.to_string())
}

/// That a policy which is told the future cannot be told that of some VMs, and what it does instead.
fn not_known(plan: &Plan) -> Option<String> {
    let not_known = run::future::not_known(plan);
    if plan.policy != policy_catalogue::CLAIRVOYANT || not_known.is_empty() {
        return None;
    }
    let names: Vec<&str> = not_known.iter().filter_map(|&vm| plan.vms.get(vm)).map(|vm| &*vm.name).collect();
    Some(format!(
        "what {} will need depends on what is given, so nobody can know it in advance: {} is told the needs of the other VMs, and gives \
         what these do not need by reports",
        names.join(", "),
        plan.policy
    ))
}

/// Real guests run in real time, with loads of their own: what else could be chosen is refused, not left unheard.
fn not_for_real_guests(args: &Args) -> Result<()> {
    let given = [
        ("--seed", args.seed.is_some()),
        ("--schedule-seed", args.schedule_seed.is_some()),
        ("--driver inline", args.driver == DriverName::Inline),
        ("--clock", args.clock != ClockName::Virtual),
        ("--until", args.until.is_some()),
        ("--events", args.events.is_some()),
        ("--compress-events", args.compress_events != Compress::Auto),
        ("--sample-interval", args.sample_interval.is_some()),
        ("--trace", args.trace.is_some()),
        ("--trace-window", args.trace_window.is_some()),
        ("--fill-gaps", args.fill_gaps),
        ("--host-memory", args.host_memory.is_some()),
        ("--set", !args.set.is_empty()),
        ("--host", args.host.is_some()),
        ("--threads", args.threads.is_some()),
        ("--metrics", args.metrics.is_some()),
        ("--log", args.log.is_some()),
        ("--no-report", args.no_report),
        ("--json", args.json),
        ("--quiet", args.quiet),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(bad_input(format!(
            "{option} is not for real guests; of the options, {} takes --policy, --out, --force and those of real guests",
            super::guest_place::REAL_LINUX
        ))),
        None => Ok(()),
    }
}

/// VM-hours beyond which the traffic of every second fills disks: an hour of one VM takes about 2 MB.
const MOST_RECORDED: f64 = 100.0;

/// VM-hours beyond which what is recorded is compressed: of those, decisions alone are hundreds of megabytes. Invented.
const MOST_PLAIN: f64 = 1000.0;

fn vm_hours(plan: &Plan) -> f64 {
    plan.vms.len() as f64 * plan.until.as_secs_f64() / 3600.0
}

/// How much is recorded, if nothing is said.
fn usual_events(plan: &Plan) -> EventsLevel {
    if vm_hours(plan) > MOST_RECORDED { EventsLevel::Decisions } else { EventsLevel::All }
}

/// Unmodified guests, in a build that has them.
fn real_linux(args: &Args) -> Result<ExitCode> {
    #[cfg(feature = "guest")]
    super::guest::real_linux(&args.guests, args.policy.as_deref(), args.out.clone(), args.force, args.live)?;
    #[cfg(not(feature = "guest"))]
    anyhow::ensure!(args.name.is_none(), "this build has no real guests");
    Ok(ExitCode::SUCCESS)
}

/// Runs a scenario.
pub(crate) fn run(mut args: Args) -> Result<ExitCode> {
    let Some(name) = args.name.clone().filter(|name| name != "list") else {
        list::print(args.json)?;
        return Ok(ExitCode::SUCCESS);
    };
    if name == super::guest_place::REAL_LINUX {
        not_for_real_guests(&args)?;
        return real_linux(&args);
    }
    if args.metrics.is_some() {
        // A run in virtual time would be over before anybody asks.
        args.clock = ClockName::Wall;
    }
    if args.speed.is_some() && args.clock == ClockName::Virtual && !args.live {
        return Err(bad_input(
            "--speed is for --clock wall, --metrics and --live: in virtual time a run goes as fast as it can",
        ));
    }
    if args.live && !std::io::stdout().is_terminal() {
        return Err(bad_input("--live needs a terminal; standard output is none"));
    }
    let speed = args.speed.unwrap_or(if args.live { 20.0 } else { 1.0 });
    let clock = match args.clock {
        ClockName::Virtual => ClockMode::Virtual,
        ClockName::Wall => ClockMode::Wall { speed },
    };
    let driver = match args.driver {
        DriverName::Threads => Driver::Threads,
        DriverName::Inline => Driver::Inline,
    };
    // What is wrong with the options is told beside what is wrong with the file.
    let mut wrong = Vec::new();
    if driver == Driver::Inline && args.clock == ClockName::Wall {
        let why = if args.metrics.is_some() { "the clock of --metrics" } else { "--clock wall" };
        wrong.push(format!(
            "--driver inline has one thread for all components and cannot follow {why}: use --driver threads, or --clock virtual"
        ));
    }
    if !(speed > 0.0 && speed <= FASTEST) {
        wrong.push(format!(
            "--speed {speed:?} must be a positive number up to {FASTEST}, for example 60; to run as fast as it goes, leave out --clock wall"
        ));
    }
    if let Some(Err(error)) = args.log.as_deref().map(HumanLog::stderr) {
        wrong.push(format!("--log: {error}"));
    }
    let metrics = args.metrics.map(Endpoint::open).transpose().unwrap_or_else(|error| {
        wrong.push(format!("--metrics: {error}"));
        None
    });
    let load_options = LoadOptions {
        policies: policy_catalogue::names().map(str::to_owned).collect(),
        policy: args.policy.clone(),
        trace: args.trace.clone(),
        trace_window: args.trace_window,
        fill_gaps: args.fill_gaps,
        settings: args.set.clone(),
        host_memory: args.host_memory,
        until: args.until,
        sample_interval: args.sample_interval,
        ..LoadOptions::default()
    };
    let hosts = match file::find_all(&name, &load_options) {
        Ok(hosts) if wrong.is_empty() => hosts,
        found => {
            wrong.extend(found.err().map(|error| error.to_string()));
            return Err(all_bad_input(&wrong));
        }
    };
    if let Some(file) = hosts.first() {
        plans::tell_remarks(file);
    }
    let mut hosts = fleet::chosen(&args, hosts)?;
    let file = match hosts.pop() {
        Some(file) if hosts.is_empty() => file,
        last => {
            hosts.extend(last);
            args.driver = DriverName::Inline;
            return fleet::run(&args, &name, hosts);
        }
    };
    let choices = Choices {
        policy: args.policy.clone(),
        seed: args.seed.map(|seed| file.seed_for(seed)),
        until: args.until,
        sample_interval: args.sample_interval,
    };
    let plan = plans::plan(&file, &choices)?;
    if let Some(remark) = not_known(&plan) {
        note!("note: {remark}");
    }
    let log = args.log.as_deref().map(|filter| open_log(filter, &plan)).transpose()?;
    let folder = match &args.out {
        Some(out) => {
            directory::create(out, args.force).map_err(bad_input)?;
            out.clone()
        }
        None => directory::create_next(Path::new(super::RUNS), &file.name)?,
    };
    let folder = shorter(&folder);
    let events = args.events.unwrap_or_else(|| usual_events(&plan));
    if let Some(remark) = file.remark() {
        note!("warning: {remark}");
    }
    if args.events.is_none() && events != EventsLevel::All && !args.quiet && !args.json {
        note!(
            "a long run of many VMs: decisions are recorded, not the traffic of every second (--events all records it)"
        );
    }
    if args.sample_interval.is_none()
        && file.sample_interval.is_none()
        && plan.sample_interval > Duration::from_secs(1)
        && !args.quiet
        && !args.json
    {
        note!(
            "a long run of many VMs: the counters are sampled every {} (--sample-interval 1s: every second)",
            quantities::format_duration(plan.sample_interval)
        );
    }
    let command = command(&args, &name, &file, &plan, args.host.as_deref());
    write_manifest(&args, &name, events, &file, &plan, &folder, &command)?;

    let show = !args.quiet && !args.json && !args.live && std::io::stderr().is_terminal();
    let bar = progress_bar(show, &plan);
    if let Some(metrics) = metrics.as_ref().filter(|_| !args.quiet) {
        note!("metrics: {}", metrics.url());
    }
    let options = RunOptions {
        driver,
        clock,
        schedule_seed: args.schedule_seed,
        directory: Some(folder.clone()),
        watch_counters: metrics.as_ref().map(|metrics| Box::new(metrics.watch()) as CounterWatch),
        events,
        form: args.compress_events.form(&plan),
        log,
        progress: show.then(|| progress(bar.clone(), &plan)),
        on_start: Some(Box::new(|stop| {
            // A second Ctrl-C ends the program at once. Where no handler can be set, Ctrl-C ends it anyway.
            let mut asked = false;
            let _unavailable = ctrlc::set_handler(move || {
                if std::mem::replace(&mut asked, true) {
                    std::process::exit(130);
                }
                note!("\ninterrupted: ending the run (again: at once)");
                stop.stop();
            });
        })),
        ..RunOptions::default()
    };
    #[cfg(feature = "live")]
    let mut by_hand = None;
    #[cfg(feature = "live")]
    let outcome = if args.live {
        live::run(&file, &plan, events, &folder, speed).map(|(outcome, done)| {
            by_hand = done;
            outcome
        })
    } else {
        run::run(plan.clone(), options).map_err(anyhow::Error::from)
    };
    #[cfg(not(feature = "live"))]
    let outcome = run::run(plan.clone(), options);
    let outcome = outcome
        .with_context(|| format!("the run failed; what was recorded until then is in {}", folder.display()));
    bar.finish_and_clear();
    drop(metrics);
    let outcome = outcome?;
    #[cfg(feature = "live")]
    let command = match by_hand {
        Some(live::ByHand { path, text }) => {
            let command = self::command(&args, &path.display().to_string(), &file, &plan, None);
            became(&folder, &path, &text, &command)?;
            command
        }
        None => command,
    };
    draw_figures(&folder, &plan, outcome.points.all());
    let report = if args.no_report { None } else { super::report::write_after_run(&folder) };
    let interrupted = !outcome.summary.end.complete;
    if args.json {
        let summary = std::fs::read_to_string(folder.join(run::SUMMARY_FILE))?;
        print(format_args!("{summary}"))?;
    } else if !args.quiet {
        let story = story::tell(&file.title, &plan, &outcome.summary, &outcome.points, look());
        // The story has been escaped, and may have colours.
        print_coloured(&story)?;
        // Commands stay in one line each, to be copied.
        let report = report.map_or_else(String::new, |path| format!("Report: {}\n", path.display()));
        let folder = folder.display();
        say!("\nFiles:  {folder}\n{report}Events: cargo xtask events {folder}\nRepeat: {command}");
    }
    Ok(if interrupted { ExitCode::from(130) } else { ExitCode::SUCCESS })
}

/// A command line of this command alone.
#[cfg(feature = "study")]
#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// Runs what a folder is the run of again, with keys of its file set, and as much recorded of it; gives the new folder.
#[cfg(feature = "study")]
pub(super) fn again(first: &Path, settings: &[String], out: Option<PathBuf>) -> Result<PathBuf> {
    let manifest = Manifest::read(first)
        .map_err(|error| bad_input(format!("{error}. Is {} the folder of a run?", first.display())))?;
    let file = first.join(run::SCENARIO_FILE);
    if !file.is_file() {
        return Err(bad_input(format!(
            "there is no {}: the scenario of this run is not known",
            file.display()
        )));
    }
    let policy = plans::load(&file.display().to_string(), &LoadOptions::default())
        .and_then(|file| plans::plan(&file, &Choices::default()))
        .map(|plan| plan.policy)?;
    let out = match out {
        Some(out) => out,
        None => directory::create_next(Path::new(super::RUNS), &manifest.scenario.name)?,
    };
    // A scenario of the project has its name there, and not in its folder.
    let built_in = file::BUILT_IN.iter().chain(file::SHOWN).find(|(known, text)| {
        *known == manifest.scenario.name && manifest::sha256_hex(text.as_bytes()) == manifest.scenario.sha256
    });
    let file = built_in.map_or_else(|| file.display().to_string(), |(known, _)| (*known).to_owned());
    let mut words = vec!["scenario".to_owned(), file, "--quiet".to_owned()];
    let mut option = |name: &str, value: Option<String>| {
        words.extend(value.map(|value| format!("--{name}={value}")));
    };
    // The file's own policy has its parameters there.
    option("policy", Some(manifest.policy).filter(|of_run| *of_run != policy));
    option("seed", Some(manifest.seeds.seed.to_string()));
    option("schedule-seed", manifest.seeds.schedule_seed.map(|seed| seed.to_string()));
    option("until", Some(manifest.until));
    option("sample-interval", Some(manifest.sample_interval));
    option("events", Some(manifest.events.to_string()));
    option("out", Some(out.display().to_string()));
    for setting in settings {
        option("set", Some(setting.clone()));
    }
    let line = <Line as clap::Parser>::try_parse_from(words).map_err(bad_input)?;
    if let Err(error) = run(line.args) {
        // Nothing was started: the folder is empty, and goes. Any other stays as it is.
        let _other: std::io::Result<()> = std::fs::remove_dir(&out);
        return Err(error);
    }
    Ok(out)
}

/// Bytes of counters that are read again to draw a run whose samples were too many to keep in memory. Beyond it, the figures are
/// drawn only when asked for.
const MOST_DRAWN: u64 = 64 << 20;

/// Draws the figures of a run that has ended. A run without its figures is a run all the same.
fn draw_figures(folder: &Path, plan: &Plan, points: &[Point]) {
    // What disks do only counters hold.
    let has_disks = plan.vms.iter().any(|vm| !vm.disks.is_empty());
    let drawn = if points.is_empty() || has_disks {
        let size = std::fs::metadata(folder.join(run::COUNTERS_FILE)).map_or(0, |counters| counters.len());
        if size > MOST_DRAWN {
            note!(
                "no figures: {} MB of counters; cargo xtask figures {} draws them",
                size >> 20,
                folder.display()
            );
            return;
        }
        figures::write_for_run(folder)
    } else {
        figures::write_all(folder, &figures::draw(&Recorded::of(plan, points)))
    };
    if let Err(error) = drawn {
        note!("warning: the figures could not be drawn: {error}");
    }
}

/// A path as a user in the working folder would write it.
fn shorter(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned)).unwrap_or_else(|| path.to_owned())
}

/// A log for people. A component that no run has would show nothing, without a word.
fn open_log(filter: &str, plan: &Plan) -> Result<HumanLog> {
    let log = HumanLog::stderr(filter).map_err(bad_input)?;
    for name in log.names() {
        let (component, vm) =
            name.split_once('/').map_or((name, None), |(component, vm)| (component, Some(vm)));
        let component = component.split("::").next().unwrap_or(component).replace('_', "-");
        let known = run::COMPONENTS.into_iter().chain(TRACING_CRATES);
        if !known.clone().any(|known| known == component) {
            let near = quantities::nearest(&component, known)
                .map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            return Err(bad_input(format!(
                "--log: no component is called {name:?}; there are {}{near}",
                run::COMPONENTS.join(", ")
            )));
        }
        if let Some(vm) = vm
            && !plan.vms.iter().any(|known| known.name.eq_ignore_ascii_case(vm))
        {
            return Err(bad_input(format!("--log: the scenario {} has no VM {vm:?}", plan.name)));
        }
    }
    Ok(log)
}

/// Virtual time to the second.
fn clock_text(time: Duration) -> String {
    quantities::format_duration(Duration::from_secs(time.as_secs()))
}

fn progress_bar(show: bool, plan: &Plan) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(
        Some(plan.until.as_secs()),
        if show { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
    );
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:40} {msg} of virtual time") {
        bar.set_style(style);
    }
    bar.set_prefix(terminal_text::escape(&plan.name).into_owned());
    bar.set_message(format!("0s of {}", clock_text(plan.until)));
    bar
}

/// Moves the bar on, at every sample.
fn progress(bar: ProgressBar, plan: &Plan) -> Arc<dyn Fn(Duration) + Send + Sync> {
    let until = clock_text(plan.until);
    Arc::new(move |now| {
        bar.set_position(now.as_secs());
        bar.set_message(format!("{} of {until}", clock_text(now)));
    })
}

/// The command that repeats a run.
fn command(args: &Args, name: &str, file: &Scenario, plan: &Plan, host: Option<&str>) -> String {
    let seed = file.seed_of_file.map_or(plan.seed, |of_file| args.seed.unwrap_or(of_file));
    let mut words = vec!["cargo xtask scenario".to_owned(), shell_word(name), format!("--seed {seed}")];
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.push(format!("--{name} {}", shell_word(&value)));
        }
    };
    option("host", host.map(str::to_owned));
    option("policy", args.policy.clone());
    option("schedule-seed", args.schedule_seed.map(|seed| seed.to_string()));
    // All hosts of a file run inline without being told.
    let is_chosen = file.seed_of_file.is_none() || host.is_some();
    option("driver", (is_chosen && args.driver == DriverName::Inline).then(|| "inline".to_owned()));
    option("clock", (args.clock == ClockName::Wall).then(|| "wall".to_owned()));
    option("speed", args.speed.filter(|_| args.clock == ClockName::Wall).map(|speed| speed.to_string()));
    option("until", args.until.map(quantities::format_duration));
    option("events", args.events.map(|level| level.name().to_owned()));
    let compress = Some(args.compress_events).filter(|&compress| compress != Compress::Auto);
    option("compress-events", compress.map(|compress| compress.name().to_owned()));
    option("sample-interval", args.sample_interval.map(quantities::format_duration));
    option("trace", args.trace.as_ref().map(|path| path.display().to_string()));
    option("trace-window", args.trace_window.map(|window| window.to_string()));
    option("host-memory", args.host_memory.map(quantities::format_size));
    for setting in &args.set {
        option("set", Some(setting.to_string()));
    }
    if args.fill_gaps {
        words.push("--fill-gaps".to_owned());
    }
    words.join(" ")
}

/// The run in this folder has become that of another scenario: what the folder says of its scenario, and how the run is repeated, is of that one.
#[cfg(feature = "live")]
fn became(folder: &Path, path: &Path, text: &str, command: &str) -> Result<()> {
    let mut manifest = Manifest::read(folder)?;
    manifest.scenario.file = Some(path.to_owned());
    manifest.scenario.sha256 = manifest::sha256_hex(text.as_bytes());
    manifest.command = command.to_owned();
    let replaced =
        std::fs::remove_file(folder.join(run_journal::MANIFEST_FILE)).and_then(|()| manifest.write(folder));
    replaced.with_context(|| format!("cannot write the manifest in {}", folder.display()))?;
    let copy = folder.join(run::SCENARIO_FILE);
    std::fs::write(&copy, text).with_context(|| format!("cannot write {}", copy.display()))
}

fn write_manifest(
    args: &Args,
    name: &str,
    events: EventsLevel,
    file: &Scenario,
    plan: &Plan,
    folder: &Path,
    command: &str,
) -> Result<()> {
    let built_in = file::BUILT_IN.iter().chain(file::SHOWN).any(|(built_in, _)| *built_in == name);
    let manifest = Manifest {
        format: manifest::FORMAT_VERSION,
        scenario: ScenarioIdentity {
            name: file.name.clone(),
            file: (!built_in).then(|| file.source.file().to_owned()),
            sha256: manifest::sha256_hex(file.source.text().as_bytes()),
        },
        policy: plan.policy.clone(),
        seeds: Seeds { seed: plan.seed, schedule_seed: args.schedule_seed },
        driver: if args.driver == DriverName::Threads { "threads" } else { "inline" }.to_owned(),
        clock: if args.clock == ClockName::Virtual { "virtual" } else { "wall" }.to_owned(),
        speed: (args.clock == ClockName::Wall).then_some(args.speed.unwrap_or(1.0)),
        until: quantities::format_duration(plan.until),
        epoch: plan.epoch.to_string(),
        sample_interval: quantities::format_duration(plan.sample_interval),
        events,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: tools::commit(),
        command: command.to_owned(),
        artifacts: std::collections::BTreeMap::new(),
    };
    manifest.write(folder).with_context(|| format!("cannot write the manifest in {}", folder.display()))?;
    let text = folder.join(run::SCENARIO_FILE);
    std::fs::write(&text, file.source.text()).with_context(|| format!("cannot write {}", text.display()))
}
