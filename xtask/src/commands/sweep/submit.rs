//! `cargo xtask sweep submit`.

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use scenario::run::directory::create_next;
use sweep::engines::{Engine, Job, Options};
use sweep::files::write_whole;
use sweep::rows::Found;
use sweep::submission::{MOST_POINTS, Size, TASKS_FILE, tasks, text};

use super::super::{arguments, bad_input};
use super::{Which, absolute, refused};
use crate::output::{say, tell};

/// What to submit, and to what.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// What runs the tasks: parallel, slurm, hyperqueue or kubernetes
    #[arg(long, value_name = "ENGINE")]
    engine: Engine,
    /// Points of a task; default: a 64th of all, between two seconds and a minute of a core
    #[arg(long, value_name = "N", value_parser = arguments::at_least_one::<NonZero<usize>>)]
    points_per_task: Option<NonZero<usize>>,
    /// The program that runs a task, where the machines see it; default: this one
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// How long a task may take at most
    #[arg(long, value_name = "DUR", default_value = "4h", value_parser = arguments::positive_duration)]
    time_limit: Duration,
    /// For parallel: hosts reached by ssh, as its --sshlogin takes them, separated by commas; `:` is this machine
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    hosts: Vec<String>,
    /// For kubernetes: the image
    #[arg(long, value_name = "IMAGE", default_value = "registry.example/hyperv-dynamic-memory:latest")]
    image: String,
    /// For kubernetes: the claim of the volume that holds the plan
    #[arg(long, value_name = "NAME", default_value = "sweep")]
    claim: String,
    /// For kubernetes: pods that run at the same time
    #[arg(long, value_name = "N", default_value = "16", value_parser = arguments::at_least_one::<NonZero<usize>>)]
    parallelism: NonZero<usize>,
}

/// Writes a submission.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let (plan, rows) = args.which.read()?;
    plan.check_version().map_err(refused)?;
    if !args.hosts.is_empty() && args.engine != Engine::Parallel {
        return Err(bad_input(format!(
            "--hosts is for GNU parallel; {} has its own list of machines",
            args.engine
        )));
    }
    if let Some(points) = args.points_per_task.filter(|points| points.get() > MOST_POINTS) {
        return Err(bad_input(format!(
            "--points-per-task {points}: a task takes {MOST_POINTS} points at most"
        )));
    }
    let due: Vec<_> =
        plan.points().iter().filter(|point| !matches!(rows.look(point), Found::Row(_))).collect();
    if due.is_empty() {
        tell!("All {} points have their row: there is nothing to submit", plan.points().len());
        return Ok(ExitCode::SUCCESS);
    }
    let program = match &args.program {
        Some(program) => absolute(program),
        None => std::env::current_exe()
            .context("this program does not know where it is; name it with --program")?,
    };
    let size = args
        .points_per_task
        .map_or_else(|| Size::usual(due.iter().copied()), |points| Size::Points(points.get()));
    let tasks = tasks(due.iter().copied(), size);
    let folder = absolute(&create_next(plan.folder(), "submit").map_err(bad_input)?);
    let log = folder.join("log");
    std::fs::create_dir(&log).with_context(|| format!("cannot make {}", log.display()))?;
    let job = Job {
        name: format!("sweep-{}", plan.kind()),
        program,
        plan: absolute(plan.folder()),
        rows: absolute(rows.folder()),
        folder: folder.clone(),
        tasks: tasks.len(),
        points: due.len(),
        time_limit: args.time_limit,
        options: Options {
            hosts: args.hosts.clone(),
            image: args.image.clone(),
            claim: args.claim.clone(),
            parallelism: args.parallelism.get(),
        },
    };
    let generated = args.engine.generate(&job);
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        write_whole(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        anyhow::Ok(path)
    };
    write(TASKS_FILE, &text(&tasks))?;
    for file in &generated.files {
        let path = write(file.name, &file.text)?;
        if file.executable {
            make_executable(&path)?;
        }
    }
    tell!("{}, in {}", job.contents(), folder.display());
    if cfg!(debug_assertions) && args.program.is_none() {
        tell!(
            "This program is a development build. A release build runs about six times as many points in the same time: cargo install --path xtask \
             --features bound, and plan and submit with what was installed."
        );
    }
    for (command, what) in &generated.commands {
        say!("\n{command}");
        tell!("    {what}");
    }
    let plan = super::super::shell_word(&plan.folder().display().to_string());
    say!("\ncargo xtask sweep status --plan {plan}");
    tell!("    shows how many points have their row, whatever ran them");
    say!("\ncargo xtask sweep collect --plan {plan}");
    tell!("    makes tables, files and pages of the rows");
    Ok(ExitCode::SUCCESS)
}

#[cfg(unix)]
fn make_executable(path: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path)?.permissions().mode();
    // Whoever may read it may run it.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode | (mode & 0o444) >> 2))?;
    Ok(())
}

#[cfg(not(unix))]
fn make_executable(_: &std::path::Path) -> Result<()> {
    Ok(())
}
