//! What the host asks for.

use alloc::vec::Vec;
use core::time::Duration;

use dm_protocol::{
    BalloonRequest, HotAddRequest, HotAddResponse, Message, MessageType, UnballoonRequest, WireRange,
};
use page_range::{GuestPage, GuestRange, PageCount};

use crate::machine::{Back, DmVsc, Job, ignore};
use crate::{BusyRequests, Ignored, MemoryServices, OperationTime, Output, UnballoonCheck};

impl DmVsc {
    pub(crate) fn balloon_request(&mut self, now: Duration, request: BalloonRequest, out: &mut Vec<Output>) {
        let message_type = MessageType::BALLOON_REQUEST;
        if let Some(why) = self.reason_to_drop() {
            return ignore(Some(message_type), why, out);
        }
        self.next.balloon = Some(PageCount(request.num_pages.into()));
        self.start_next(now);
    }

    /// Begins with what is to be done next, if nothing is being done.
    pub(crate) fn start_next(&mut self, now: Duration) {
        if self.job.is_some() {
            return;
        }
        if let Some(requested) = self.next.balloon.take() {
            let due = self.due(now, self.config.balloon_time, requested);
            self.job = Some(Job::Balloon { requested, due });
        } else if let Some((range, region)) = self.next.hot_add.take() {
            let due = self.due(now, self.config.hot_add_time, range.pages());
            self.job = Some(Job::HotAdd { range, region, due });
        }
    }

    /// Any number of requests, of which only the last is answered.
    pub(crate) fn unballoon_request(
        &mut self,
        now: Duration,
        request: UnballoonRequest<'_>,
        memory: &mut dyn MemoryServices,
        out: &mut Vec<Output>,
    ) {
        let message_type = MessageType::UNBALLOON_REQUEST;
        let mut back = match self.job.take_if(|job| matches!(job, Job::UnballoonMore { .. })) {
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
        if self.job.is_some() {
            // A driver that takes pages back beside what it is doing.
            return self.take_back_at_once(&back, request.more_pages, memory, out);
        }
        self.job = Some(if request.more_pages {
            Job::UnballoonMore { back }
        } else {
            let pages = back.later.pages().saturating_add(back.done);
            Job::Unballoon { due: self.due(now, self.config.unballoon_time, pages), back }
        });
    }

    /// What is kept here is limited by what the driver holds, whatever the host names.
    fn name_for_return(&mut self, range: GuestRange, back: &mut Back, memory: &mut dyn MemoryServices) {
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
        self.next.hot_add = Some((range, request.region.and_then(to_range)));
        self.start_next(now);
    }

    fn reason_to_drop(&self) -> Option<Ignored> {
        if self.job.is_some() && self.config.busy_requests == BusyRequests::Drop {
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
