//! The guest restarts.

use component_runtime::Context;
use dm_vsp::{Input, OperationKind};
use machine_contract::PartitionRequest;
use page_range::{GuestRange, PageCount};

use super::memory::merge;
use super::{Work, Worker};
use crate::message::WorkerEnd;

impl Worker {
    /// The guest restarts with the memory that it boots with. What the VM had beyond that goes back to the balancer.
    pub(super) fn reset(&mut self, ctx: &mut Context<'_>) {
        if self.over.is_some() {
            return;
        }
        tracing::info!(event = "vm_reset");
        if let Some(bus) = &mut self.bus {
            bus.reset();
        }
        self.logged_in = false;
        self.reset_at = None;
        self.settle_bus(ctx);
        // Host work that is under way is void; a grant that the VSP has not heard of is not begun any more.
        let not_begun = self.work.drain(..).any(|due| matches!(due.work, Work::Grow { .. }));
        #[cfg(feature = "test-support")]
        let not_begun = not_begun && self.sabotage != crate::Sabotage::ForgetGrantAtReset;
        if not_begun {
            self.finished(ctx, OperationKind::Grow, PageCount::ZERO, false);
        }
        self.devices.let_go_of_pages(&mut self.memory);
        let runs: Vec<GuestRange> = self.memory.mapped().runs().collect();
        let mut frames = match self.memory.unmap(&runs) {
            Ok(frames) => frames,
            Err(error) => return self.fail(format!("cannot reset the memory map: {error}")),
        };
        let Some(startup) = frames.take(self.boot.pages()) else {
            // The VM has less memory than its startup RAM. The VM ends, and starts again when the balancer has found the rest.
            merge(&mut self.taken, frames);
            self.over = Some(WorkerEnd::Restart);
            return;
        };
        let boot: Vec<GuestRange> = self.boot.runs().collect();
        self.drop_file(ctx);
        self.joined = false;
        if let Err(error) = self.memory.map_ranges(&boot, startup) {
            return self.fail(format!("cannot map the startup RAM: {}", error.refusal));
        }
        // The VSP takes the map after a reset to be the startup RAM, which is true from here on.
        self.vsp(ctx, Input::Reset);
        merge(&mut self.taken, frames);
        self.return_taken(ctx);
        self.returned_early = PageCount::ZERO;
        self.present = self.boot.clone();
        if let Some(mut running) = self.running.take() {
            let request = PartitionRequest {
                vm: &self.name,
                boot: &self.boot,
                power: &self.power.0,
                lanes: &self.lanes,
                watch: &*self.watch,
            };
            let again = running.reset(ctx, &request);
            self.running = Some(running);
            if let Err(error) = again {
                return self.fail(error.0);
            }
        }
        self.offer_devices(ctx);
    }
}
