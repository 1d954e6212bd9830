//! `cargo xtask replay`: the recorded inputs of a component, fed to it again.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use dm_vsp::{DmVsp, Output};
use run_journal::{JOURNAL_FILE, journal};
use vmms_host::RecordedVspInput;

use super::bad_input;
use crate::output::{note, tell};

/// Which component of which run.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder of a run
    dir: PathBuf,
    /// The component, such as dm-vsp/VM8
    #[arg(long)]
    component: String,
}

/// What is not in a journal.
#[derive(Default)]
struct LeftOut {
    times: u64,
    inputs: u64,
}

/// Replays it. Exit code 1 if an output differs.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let path = args.dir.join(JOURNAL_FILE);
    let journal =
        journal::Reader::open(&path).map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    let mut machine: Option<DmVsp> = None;
    let mut refused = None;
    let mut left_out = LeftOut::default();
    let replay = run_journal::replay(journal, &args.component, |now, input: RecordedVspInput| {
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
        return Err(bad_input(format!(
            "{}: a recorded configuration or state is refused: {why}",
            args.component
        )));
    }
    if left_out.times > 0 {
        tell!(
            "{}: the guest caused more than is recorded of it: {} inputs are not in the journal, in {} {}. After each, the \
             replay goes on from the state that was recorded there; what happened in it is not checked.",
            args.component,
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
        tell!("{}: {} inputs, {} outputs, all equal", args.component, replay.inputs, replay.outputs);
        return Ok(ExitCode::SUCCESS);
    }
    tell!(
        "{}: {} inputs, {} outputs; the outputs of {} inputs differ",
        args.component,
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
