//! What led to a packet, beside the ring that carries it.
//!
//! The wire has no room for causes, and must not: a real peer would not know them. In a simulated partition both sides live
//! in one process, so the sender notes the cause of a packet here, under the packet's offset in its ring, and the reader looks it
//! up. Nothing depends on it but the trace: a missing or wrong note changes what an event names as its cause, and nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use model_sync::Mutex;

use crate::trace::Cause;

/// Which ring of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Guest to host.
    Upstream,
    /// Host to guest.
    Downstream,
}

/// Notes that are not fetched are dropped beyond this many for a ring (invented: more than the packets that fit in one).
const NOTES: usize = 1024;

type Notes = BTreeMap<(Lane, u32), VecDeque<(u32, Cause)>>;

/// The notes of one VM's channels. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct CauseLanes(Arc<Mutex<Notes>>);

impl CauseLanes {
    /// Notes what led to the packet at `offset` of a channel's ring: the cause of what is being done now. Nothing is noted when
    /// there is none, which is so when no events are recorded.
    pub fn note(&self, lane: Lane, channel: u32, offset: u32) {
        let cause = crate::trace::cause();
        if cause.is_none() {
            return;
        }
        let mut notes = self.0.lock();
        let notes = notes.entry((lane, channel)).or_default();
        if notes.len() >= NOTES {
            notes.pop_front();
        }
        notes.push_back((offset, cause));
    }

    /// Makes what was noted for the packet at `offset` the current cause. Notes of packets before it are dropped.
    pub fn follow(&self, lane: Lane, channel: u32, offset: u32) {
        if !crate::trace::may_have_causes() {
            return;
        }
        let mut notes = self.0.lock();
        let Some(notes) = notes.get_mut(&(lane, channel)) else { return };
        while let Some((at, cause)) = notes.pop_front() {
            if at == offset {
                crate::trace::set_cause(cause);
                return;
            }
        }
    }

    /// Forgets a channel's notes: its rings are gone.
    pub fn forget(&self, channel: u32) {
        let mut notes = self.0.lock();
        notes.remove(&(Lane::Upstream, channel));
        notes.remove(&(Lane::Downstream, channel));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace;

    #[test]
    fn a_packet_is_followed_to_its_cause() {
        let lanes = CauseLanes::default();
        trace::with_cause(Cause(7), || lanes.note(Lane::Upstream, 1, 0));
        trace::with_cause(Cause(8), || lanes.note(Lane::Upstream, 1, 40));
        trace::with_cause(Cause(9), || lanes.note(Lane::Downstream, 1, 40));
        let followed = |lane, offset| {
            trace::with_cause(Cause::NONE, || {
                lanes.follow(lane, 1, offset);
                trace::cause()
            })
        };
        assert_eq!(followed(Lane::Upstream, 40), Cause(8), "the packet before was not looked up");
        assert_eq!(followed(Lane::Upstream, 0), Cause::NONE);
        assert_eq!(followed(Lane::Downstream, 40), Cause(9));
        trace::with_cause(Cause(7), || lanes.note(Lane::Upstream, 1, 0));
        lanes.forget(1);
        assert_eq!(followed(Lane::Upstream, 0), Cause::NONE);
    }

    #[test]
    fn notes_that_nobody_fetches_do_not_pile_up() {
        let lanes = CauseLanes::default();
        trace::with_cause(Cause(1), || (0..10_000).for_each(|offset| lanes.note(Lane::Upstream, 1, offset)));
        assert_eq!(lanes.0.lock().values().map(VecDeque::len).sum::<usize>(), NOTES);
    }
}
