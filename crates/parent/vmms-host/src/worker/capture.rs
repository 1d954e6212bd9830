//! The journal of what crosses between the guest and the host.

use std::sync::Arc;

use component_runtime::Context;

use super::Worker;
use crate::bus::{Frame, RecordedFrame};
use crate::constants as c;

/// Records the frames of one VM: up to `worker.frames_per_second` of them in each second, whoever caused them.
pub(super) struct FrameJournal {
    machine: Arc<str>,
    second: u64,
    recorded: u64,
    left_out: u64,
}

impl FrameJournal {
    pub(super) fn new(vm: &str) -> Self {
        Self { machine: format!("vmbus/{vm}").into(), second: 0, recorded: 0, left_out: 0 }
    }

    fn record(&mut self, ctx: &Context<'_>, Frame { from_guest, frame }: &Frame) {
        let Some(recorder) = ctx.recorder() else { return };
        let second = ctx.now().as_nanos() / 1_000_000_000;
        if second != self.second {
            (self.second, self.recorded) = (second, 0);
        }
        if self.recorded >= c::FRAMES_PER_SECOND.whole() {
            self.left_out += 1;
            return;
        }
        self.recorded += 1;
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            recorder.input(&self.machine, ctx.now(), &RecordedFrame::LeftOut { frames: left_out });
        }
        if *from_guest {
            recorder.input(&self.machine, ctx.now(), frame);
        } else {
            recorder.output(&self.machine, ctx.now(), frame);
        }
    }
}

impl Worker {
    /// Records what has crossed since this was last called.
    pub(super) fn record_frames(&mut self, ctx: &Context<'_>) {
        if let Some(bus) = self.bus.as_mut().filter(|bus| bus.has_frames()) {
            for frame in bus.take_frames() {
                self.frames.record(ctx, &frame);
            }
        }
    }
}
