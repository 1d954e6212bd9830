//! `cargo xtask replay`: the recorded inputs of a component, fed to it again; or the whole run, shown in the terminal.

#[cfg(feature = "live")]
mod live;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use dm_vsp::{DmVsp, Output};
use run_journal::{JOURNAL_FILE, file_in, journal};
use vmms_host::RecordedVspInput;

use super::arguments::duration;
use super::bad_input;
use crate::output::{note, tell};

/// Which component of which run.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder of a run
    dir: PathBuf,
    /// The component, such as dm-vsp/VM8
    #[arg(long, required_unless_present = "live")]
    component: Option<String>,
    /// Show the run in the terminal as it happened: at any speed, step by step, wound to any time
    #[arg(long, conflicts_with = "component")]
    live: bool,
    /// With --live: virtual seconds for each second
    #[arg(long, requires = "live", value_name = "X", default_value_t = 20.0)]
    speed: f64,
    /// With --live: where to begin, such as 19m
    #[arg(long, requires = "live", value_name = "TIME", value_parser = duration)]
    at: Option<Duration>,
}

/// What is not in a journal.
#[derive(Default)]
struct LeftOut {
    times: u64,
    inputs: u64,
}

/// Replays it. Exit code 1 if an output differs.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.live {
        if !(args.speed.is_finite() && args.speed > 0.0) {
            return Err(bad_input("--speed must be greater than 0"));
        }
        #[cfg(feature = "live")]
        live::run(&args.dir, args.at.unwrap_or_default(), args.speed)?;
        return Ok(ExitCode::SUCCESS);
    }
    let component = args.component.as_deref().context("--component is missing")?;
    let path = file_in(&args.dir, JOURNAL_FILE);
    let journal =
        journal::Reader::open(&path).map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    let mut machine: Option<DmVsp> = None;
    let mut refused = None;
    let mut left_out = LeftOut::default();
    let replay = run_journal::replay(journal, component, |now, input: RecordedVspInput| {
        let mut out: Vec<Output> = Vec::new();
        match input {
            RecordedVspInput::Started(config) => match DmVsp::new(*config) {
                Ok(vsp) => machine = Some(vsp),
                Err(error) => refused = Some(error.to_string()),
            },
            RecordedVspInput::Input(input) => {
                if let Some(vsp) = &mut machine {
                    vsp.handle(now.into(), input, &mut out);
                }
            }
            RecordedVspInput::LeftOut { inputs, state } => {
                left_out.times += 1;
                left_out.inputs += inputs;
                // `None`: the VM ended before recording went on.
                if let (Some(state), Some(vsp)) = (state, &mut machine) {
                    match DmVsp::restore(vsp.config().clone(), *state, now.into()) {
                        Ok(restored) => *vsp = restored,
                        Err(error) => refused = Some(error.to_string()),
                    }
                }
            }
        }
        out
    })
    .map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    if let Some(why) = refused {
        return Err(bad_input(format!("{component}: a recorded configuration or state is refused: {why}")));
    }
    if left_out.times > 0 {
        tell!(
            "{}: the guest caused more than is recorded of it: {} inputs are not in the journal, in {} {}. After each, the \
             replay goes on from the state that was recorded there; what happened in it is not checked.",
            component,
            left_out.inputs,
            left_out.times,
            if left_out.times == 1 { "gap" } else { "gaps" }
        );
    }
    if let Some(offset) = replay.cut_off {
        note!(
            "{}: the journal is cut off at byte {offset}: what is before it is replayed, what was after it is missing",
            path.display()
        );
    }
    if replay.last_incomplete {
        note!("{}: the journal ends within the outputs of the last input", path.display());
    }
    if replay.is_equal() {
        tell!("{}: {} inputs, {} outputs, all equal", component, replay.inputs, replay.outputs);
        return Ok(ExitCode::SUCCESS);
    }
    tell!(
        "{}: {} inputs, {} outputs; the outputs of {} inputs differ",
        component,
        replay.inputs,
        replay.outputs,
        replay.different
    );
    for difference in &replay.differences {
        tell!("input {} at {}:", difference.input, difference.t);
        tell!("  recorded {}", difference.recorded.join("\n           "));
        tell!("  replayed {}", difference.replayed.join("\n           "));
    }
    Ok(ExitCode::FAILURE)
}
