//! `cargo xtask sweep collect` and `sweep status`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use policy_comparison::points::SweepError;
use sweep::rows::Rows;
use sweep::standing::Standing;
use sweep::{Kind, Plan, Point};

use super::super::{bad_input, explore, verify};
use super::collected::{check_folder, incomplete, write};
use super::{Which, refused};
use crate::output::{look, print, print_coloured, say, tell};

/// Which sweep to collect, and where to leave what it comes to.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Folder for what the rows come to; default: `result` in the plan's folder. What an earlier collecting left there is written over
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the JSON of what the rows come to and nothing else
    #[arg(long)]
    json: bool,
}

/// Which sweep to look at.
#[derive(clap::Args, Debug)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    which: Which,
}

/// Says how far a sweep is. Exit code 1 while a row is missing.
pub(super) fn status(args: &StatusArgs) -> Result<ExitCode> {
    let (plan, rows) = args.which.read()?;
    let standing = Standing::of(&plan, &rows, &mut |_, _, _| Ok(()));
    tell!("{}", standing.told().trim_end());
    Ok(if standing.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What rows come to: files, and what is printed.
struct Collected {
    files: Vec<(&'static str, String)>,
    json: String,
    table: String,
    passed: bool,
}

/// Collects. Exit code 1 while a row is missing, or if a verification or an exploration failed.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let (plan, rows) = args.which.read()?;
    let out = args.out.clone().unwrap_or_else(|| plan.folder().join("result"));
    check_folder(&out)?;
    rows.tidy(plan.points());
    let (result, standing) = match plan.kind() {
        Kind::Compare => compared(&plan, &rows)?,
        Kind::Verify => verified(&plan, &rows)?,
        Kind::Explore => explored(&plan, &rows)?,
        #[cfg(feature = "sizing")]
        Kind::Size => return super::sized::collect(plan, &rows, &out, args.json),
        #[cfg(not(feature = "sizing"))]
        Kind::Size => return Err(super::without_sizing()),
    };
    let Some(result) = result else {
        return Ok(incomplete(&standing));
    };
    write(&out, &result.files)?;
    if args.json {
        print(format_args!("{}", result.json))?;
    } else {
        // The tables escape what files wrote, and may have colours.
        print_coloured(&result.table)?;
        say!("");
        tell!("{}", standing.told().trim_end());
        say!("Files:   {}", out.display());
        say!("Repeat:  {}", plan.command());
    }
    Ok(if result.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn compared(plan: &Plan, rows: &Rows) -> Result<(Option<Collected>, Standing)> {
    let collected = policy_comparison::points::collect(plan, rows).map_err(|error| match error {
        SweepError::Plan(error) => refused(error),
        other => bad_input(other),
    });
    let (comparison, standing) = collected?;
    let Some(comparison) = comparison else { return Ok((None, standing)) };
    let json = comparison.json()?;
    let files = vec![
        ("compare.json", json.clone()),
        ("compare.csv", comparison.csv()),
        ("compare.html", comparison.page(plan.command())),
    ];
    Ok((Some(Collected { files, json, table: comparison.table(look()), passed: true }), standing))
}

fn verified(plan: &Plan, rows: &Rows) -> Result<(Option<Collected>, Standing)> {
    let (report, standing) = run_analysis::verify::points::collect(plan, rows).map_err(refused)?;
    let Some(report) = report else { return Ok((None, standing)) };
    let json = serde_json::to_string_pretty(&report)? + "\n";
    let passed = report.passed();
    let files = vec![("verify.json", json.clone())];
    Ok((Some(Collected { files, json, table: verify::told(&report), passed }), standing))
}

fn explored(plan: &Plan, rows: &Rows) -> Result<(Option<Collected>, Standing)> {
    plan.check_version().map_err(refused)?;
    let mut broken: Vec<(Point, String)> = Vec::new();
    let standing = Standing::of(plan, rows, &mut |_, point, text| {
        let row: sweep::explore::Row = serde_json::from_str(text).map_err(|error| error.to_string())?;
        broken.extend(row.broken.map(|what| (point.clone(), what)));
        Ok(())
    });
    if !standing.is_complete() {
        return Ok((None, standing));
    }
    #[derive(serde::Serialize)]
    struct Broken<'b> {
        point: &'b Point,
        broken: &'b str,
    }
    let all: Vec<Broken<'_>> = broken.iter().map(|(point, what)| Broken { point, broken: what }).collect();
    let json = serde_json::to_string_pretty(&all)? + "\n";
    let table = explore::told(plan, &broken);
    let files = vec![("explore.json", json.clone())];
    Ok((Some(Collected { files, json, table, passed: broken.is_empty() }), standing))
}
