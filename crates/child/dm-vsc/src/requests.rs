//! What the host asks for.

use core::time::Duration;

use dm_protocol::{
    BalloonRequest, HotAddRequest, HotAddResponse, Message, MessageType, UnballoonRequest, WireRange,
};
use page_range::{GuestPage, GuestRange, PageCount};

use crate::machine::{Back, DmVsc, Job, ignore};
use crate::{Ignored, MemoryManager, OperationTime, Output, UnballoonCheck};

impl DmVsc {
    pub(crate) fn balloon_request(&mut self, now: Duration, request: BalloonRequest, out: &mut Vec<Output>) {
        let message_type = MessageType::BALLOON_REQUEST;
        if let Some(why) = self.reason_to_drop() {
            return ignore(Some(message_type), why, out);
        }
        let requested = PageCount(request.num_pages.into());
        let due = self.due(now, self.config.balloon_time, requested);
        self.job = Some(Box::new(Job::Balloon { requested, due }));
    }

    /// Any number of requests, of which only the last is answered.
    pub(crate) fn unballoon_request(
        &mut self,
        now: Duration,
        request: UnballoonRequest<'_>,
        memory: &mut dyn MemoryManager,
        out: &mut Vec<Output>,
    ) {
        let message_type = MessageType::UNBALLOON_REQUEST;
        let mut back =
            match self.job.take_if(|job| matches!(**job, Job::UnballoonMore { .. })).map(|job| *job) {
                Some(Job::UnballoonMore { back }) => back,
                _ => match self.reason_to_drop() {
                    Some(why) => return ignore(Some(message_type), why, out),
                    None => Back::default(),
                },
            };
        for wire in request.ranges {
            let Some(range) = to_range(*wire) else { continue };
            self.name_for_return(range, &mut back, memory);
        }
        let job = if request.more_pages {
            Job::UnballoonMore { back }
        } else {
            let pages = back.later.pages().saturating_add(back.done);
            Job::Unballoon { due: self.due(now, self.config.unballoon_time, pages), back }
        };
        self.job = Some(Box::new(job));
    }

    /// What is kept here is limited by what the driver holds, whatever the host names.
    fn name_for_return(&mut self, range: GuestRange, back: &mut Back, memory: &mut dyn MemoryManager) {
        match self.config.unballoon_check {
            UnballoonCheck::OwnPagesOnly => {
                let own: Vec<GuestRange> = self.held.within(range).collect();
                let named: PageCount = own.into_iter().map(|run| back.later.insert(run)).sum();
                back.left_alone = back.left_alone.saturating_add(range.pages().saturating_sub(named));
            }
            UnballoonCheck::Trust => {
                let taken = memory.free_balloon(&[range]);
                self.held.remove(range);
                back.done = back.done.saturating_add(taken);
                back.left_alone = back.left_alone.saturating_add(range.pages().saturating_sub(taken));
            }
        }
    }

    pub(crate) fn hot_add_request(&mut self, now: Duration, request: HotAddRequest, out: &mut Vec<Output>) {
        let why = self.reason_to_drop().filter(|&why| why != Ignored::Hibernation);
        if let Some(why) = why {
            return ignore(Some(MessageType::MEM_HOT_ADD_REQUEST), why, out);
        }
        let Some(range) = to_range(request.range) else {
            // Nothing was offered; the host is told that nothing was taken.
            return self.send(Message::HotAddResponse(HotAddResponse { page_count: 0, result: 0 }), out);
        };
        let region = request.region.and_then(to_range);
        let due = self.due(now, self.config.hot_add_time, range.pages());
        self.job = Some(Box::new(Job::HotAdd { range, region, due }));
    }

    fn reason_to_drop(&self) -> Option<Ignored> {
        if self.job.is_some() {
            Some(Ignored::Busy)
        } else if self.faults().never_answer {
            Some(Ignored::Fault)
        } else if self.config.hibernation {
            Some(Ignored::Hibernation)
        } else {
            None
        }
    }

    fn due(&self, now: Duration, time: OperationTime, pages: PageCount) -> Duration {
        now.saturating_add(time.of(pages)).saturating_add(self.faults().answer_later)
    }
}

/// The range, unless it is empty.
fn to_range(wire: WireRange) -> Option<GuestRange> {
    GuestRange::new(GuestPage(wire.start()), PageCount(wire.count()))
}
