//! Sizings as sweeps.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use host_sizing::points::{self, Asked, Changes, Collected, PointsError};
use sweep::rows::Rows;
use sweep::{Plan, Sketch};

use super::super::results::{processors, progress_bar};
use super::super::size::{self, asked};
use super::super::{bad_input, shell_word};
use super::{collected as left, refused};
use crate::output::{note, print, say, tell};

pub(super) use asked::What;

/// The points of a sizing that its search needs first.
pub(super) fn sketch(what: &What) -> Result<Sketch> {
    // The plan keeps what is made of files.
    let folder = tempfile::tempdir()?;
    let loaded = asked::load(what, folder.path(), false)?;
    let asked = Asked {
        question: asked::question(what, &loaded.listed, processors()),
        seeds: loaded.seeds,
        changes: Changes { policy: what.policy.clone(), growth: what.growth, burst: what.burst },
    };
    let command = asked::command(what);
    points::sketch(&loaded.scenario, &loaded.fleet, &asked, &command, &|_| ()).map_err(wrong)
}

/// Goes on with a sizing: its answer, or the runs that it needs next. Exit code 1 while there is no answer, and where hosts that were given are not
/// enough.
pub(super) fn collect(mut plan: Plan, rows: &Rows, out: &Path, json: bool) -> Result<ExitCode> {
    let bar = progress_bar(!json && std::io::stderr().is_terminal(), "{spinner} the fast model");
    let collected = points::collect(&mut plan, rows, processors(), &|_| bar.tick());
    bar.finish_and_clear();
    let (collected, standing) = collected.map_err(wrong)?;
    match collected {
        Collected::Incomplete => Ok(left::incomplete(&standing)),
        Collected::More(more) => {
            let name = shell_word(&plan.folder().display().to_string());
            note!(
                "The search goes on. Points that have their row: {}; planned now: {more}. Run these as those before, and collect again:",
                standing.rows
            );
            note!("  cargo xtask sweep run --plan {name}       (or submit the plan again)");
            Ok(ExitCode::FAILURE)
        }
        Collected::Answer(answer) => {
            let files = size::files(&answer)?;
            left::write(out, &files)?;
            if json {
                print(format_args!("{}", files[1].1))?;
            } else {
                size::told(&answer, out)?;
                say!("");
                tell!("{}", standing.told().trim_end());
            }
            Ok(size::exit_code(&answer))
        }
    }
}

fn wrong(error: PointsError) -> anyhow::Error {
    match error {
        PointsError::Plan(error) => refused(error),
        PointsError::Sizing(error) => asked::wrong(error),
        other => bad_input(other),
    }
}
