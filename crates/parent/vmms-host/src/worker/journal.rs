//! What the journal has of a VM's DM VSP: enough to feed the same to another one.

use std::sync::Arc;
use std::time::Duration;

use component_runtime::Context;
use dm_vsp::{DmVsp, Input, Output, SavedState, VspConfig};
use serde::{Deserialize, Serialize};

use super::restraint::Recording;

/// What the journal has of a DM VSP's inputs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum RecordedVspInput {
    /// A new VSP with this configuration: the VM was started.
    Started(Box<VspConfig>),
    /// An input.
    Input(Input),
    /// Inputs that were left out here, since the guest caused more of them than are recorded; nor are their outputs recorded.
    LeftOut {
        /// How many.
        inputs: u64,
        /// The VSP's state after them, at this moment: a replay goes on from here. `None`: the VM ended before recording went
        /// on.
        state: Option<Box<SavedState>>,
    },
}

/// A state with more separate ranges of ballooned pages than these is not recorded: recording goes on when there are
/// fewer. (Invented: such a state takes less than 64 KiB.)
const RANGES: usize = 4096;

/// Records one VSP.
pub(super) struct VspJournal {
    machine: Arc<str>,
    /// Inputs that were left out, and the second in which the first of them was.
    left_out: Option<(u64, u64)>,
}

impl VspJournal {
    pub(super) fn new(vm: &str) -> Self {
        Self { machine: format!("dm-vsp/{vm}").into(), left_out: None }
    }

    /// A VSP begins.
    pub(super) fn started(&self, ctx: &Context<'_>, config: &VspConfig) {
        self.write(ctx, &RecordedVspInput::Started(Box::new(config.clone())));
    }

    /// Records an input that the VSP is given next. `false`: it is left out, and so are its outputs to be.
    ///
    /// Once inputs were left out, the others of the same second are too, whatever caused them: recording goes on from a state
    /// of the VSP, which is written at most once a second.
    pub(super) fn input(
        &mut self,
        ctx: &Context<'_>,
        recording: Recording,
        vsp: &DmVsp,
        input: &Input,
    ) -> bool {
        if ctx.recorder().is_none() {
            return false;
        }
        let now = Duration::from(ctx.now());
        match &mut self.left_out {
            None if recording == Recording::Nothing => {
                self.left_out = Some((1, now.as_secs()));
                return false;
            }
            None => {}
            Some((inputs, since)) => {
                let few = || vsp.pages().ballooned().runs().take(RANGES + 1).count() <= RANGES;
                if recording == Recording::Nothing || now.as_secs() == *since || !few() {
                    *inputs += 1;
                    return false;
                }
                let state = Some(Box::new(vsp.save(now)));
                let left_out = RecordedVspInput::LeftOut { inputs: *inputs, state };
                self.write(ctx, &left_out);
                self.left_out = None;
            }
        }
        self.write(ctx, &RecordedVspInput::Input(input.clone()));
        true
    }

    /// Records what came of the input that was recorded last.
    pub(super) fn outputs(&self, ctx: &Context<'_>, outputs: &[Output]) {
        let Some(recorder) = ctx.recorder() else { return };
        for output in outputs {
            recorder.output(&self.machine, ctx.now(), output);
        }
    }

    /// The VM is over.
    pub(super) fn ends(&mut self, ctx: &Context<'_>) {
        if let Some((inputs, _)) = self.left_out.take() {
            self.write(ctx, &RecordedVspInput::LeftOut { inputs, state: None });
        }
    }

    fn write(&self, ctx: &Context<'_>, input: &RecordedVspInput) {
        if let Some(recorder) = ctx.recorder() {
            recorder.input(&self.machine, ctx.now(), input);
        }
    }
}
