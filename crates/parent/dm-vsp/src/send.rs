//! Messages to the guest.

use alloc::vec::Vec;

use dm_protocol::{
    BalloonRequest, HotAddRequest, MAX_UNBALLOON_REQUEST_RANGES, Message, Packet, UnballoonRequest, WireRange,
};
use page_range::{GuestPage, GuestRange, PageCount, PageNumber, RangeSet};

use crate::state::DmVsp;
use crate::{HotAddForm, Output, ProtocolVersion};

/// Ranges in one UNBALLOON_REQUEST. Two less than the protocol allows: a packet with 508 of them is larger than the smallest
/// ring, of one data page, which a guest may choose (documented: a ring's data area has 4096 bytes at least, of which a packet
/// with its descriptor and trailer takes 4088 at most).
pub(crate) const RANGES_PER_UNBALLOON: usize = MAX_UNBALLOON_REQUEST_RANGES - 2;

impl DmVsp {
    pub(crate) fn send(&mut self, trans_id: u32, message: Message<'_>, out: &mut Vec<Output>) {
        let packet = Packet { trans_id, message };
        let mut bytes = vec![0; packet.size()];
        let encoded = packet.encode(&mut bytes).is_ok();
        debug_assert!(encoded, "{message:?}");
        if encoded {
            self.state.statistics.messages_sent += 1;
            out.push(Output::Send { message: message.message_type(), bytes });
        }
    }

    pub(crate) fn send_balloon(&mut self, pages: PageCount, out: &mut Vec<Output>) {
        // Limited to MAX_BALLOON_REQUEST_PAGES by the configuration.
        let num_pages = u32::try_from(pages.get()).unwrap_or(u32::MAX);
        self.state.statistics.balloon_requests += 1;
        self.send(self.state.trans_id, Message::BalloonRequest(BalloonRequest { num_pages }), out);
    }

    /// All messages of one transaction: all but the last say that more follow, and only the last is answered.
    pub(crate) fn send_unballoon(&mut self, ranges: &RangeSet<GuestPage>, out: &mut Vec<Output>) {
        let wire: Vec<WireRange> = ranges.runs().flat_map(to_wire).collect();
        self.state.statistics.unballoon_requests += 1;
        let mut chunks = wire.chunks(RANGES_PER_UNBALLOON).peekable();
        while let Some(ranges) = chunks.next() {
            let more_pages = chunks.peek().is_some();
            let message = Message::UnballoonRequest(UnballoonRequest { more_pages, ranges });
            self.send(self.state.trans_id, message, out);
        }
    }

    pub(crate) fn send_hot_add(&mut self, range: GuestRange, out: &mut Vec<Output>) {
        self.state.statistics.hot_add_requests += 1;
        // Placement limits the count to what fits one range.
        let with_region = match self.config.hot_add_form {
            HotAddForm::ByVersion => {
                self.service().is_some_and(|service| service.version >= ProtocolVersion::V1_0)
            }
            HotAddForm::RangeAndRegion => true,
            HotAddForm::RangeOnly => false,
        };
        for range in to_wire(range).take(1) {
            let region = with_region.then_some(range);
            self.send(self.state.trans_id, Message::HotAddRequest(HotAddRequest { range, region }), out);
        }
    }
}

/// A run as ranges of at most 24 bits of pages. Page numbers fit 40 bits, because the layout was checked for it.
fn to_wire(run: GuestRange) -> impl Iterator<Item = WireRange> {
    let mut start = run.start().number();
    core::iter::from_fn(move || {
        let count = (run.end() - start).min(WireRange::MAX_COUNT);
        let range = (count > 0).then(|| WireRange::new(start, count)).flatten();
        start += count;
        range
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_are_cut_to_24_bits() {
        let run = GuestRange::new(GuestPage(5), PageCount(WireRange::MAX_COUNT + 2)).unwrap();
        let wire: Vec<_> = to_wire(run).map(|range| (range.start(), range.count())).collect();
        assert_eq!(wire, [(5, WireRange::MAX_COUNT), (5 + WireRange::MAX_COUNT, 2)]);
    }
}
