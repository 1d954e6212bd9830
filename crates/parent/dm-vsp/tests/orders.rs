//! Every order in which things can happen between a VSP, its memory map and an honest guest: operations, answers whole, in
//! part, refused or late, closures and resets, with map and messages taking their time.
//!
//! States that differ only in counters are visited once. In each it is checked that the guest uses nothing that is not
//! mapped, that no frame is lost or made up and that every operation is answered once; and that, left alone, everything
//! comes to rest with the account and the memory map in agreement. Three variants of a wrong host show that this would be
//! noticed.

use dm_protocol::{
    BalloonResponse, Capabilities, CapabilitiesReport, HotAddResponse, Message, Packet, Version,
    VersionRequest, WireRange,
};
use dm_vsp::test_support::PlainMap;
use dm_vsp::*;
use page_range::{GuestPage, GuestRange, PageCount, RangeSet};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// What a wrong host does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    No,
    /// It takes back what a guest has not answered for in time (which the guest may be using).
    UnmapsAfterTimeout,
    /// It sends a request for pages and maps them after that.
    MapsTooLate,
    /// It takes back what was added when the guest closes its channel in the middle of an operation (the guest may be using it).
    UnmapsAtClose,
}

#[derive(Clone)]
struct World {
    vsp: DmVsp,
    map: PlainMap,
    frames: PageCount,
    now: Duration,
    open: bool,
    /// The map's answers that the VSP has not been given.
    from_map: VecDeque<Input>,
    /// What the guest has been sent and has not dealt with.
    inbox: VecDeque<Request>,
    /// What it has answered and the host has not received.
    outbox: VecDeque<Vec<u8>>,
    uses: RangeSet<GuestPage>,
    held: RangeSet<GuestPage>,
    begun: u32,
    ended: u32,
    wrong: Wrong,
    /// Maps that a wrong host has still to carry out.
    late_maps: Vec<RangeSet<GuestPage>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Request {
    Balloon(u64),
    Unballoon(Vec<GuestRange>),
    HotAdd(GuestRange),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Grow(u64),
    Shrink(u64),
    MapAnswers,
    /// A wrong host does what it should have done before.
    MapsLate,
    GuestDoes(How),
    HostReceives,
    TimeRunsOut,
    Close,
    Open,
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Whole,
    /// Half, or the first of two answers.
    Part,
    Nothing,
    Never,
}

/// Two granules of boot RAM and room for two more.
fn config() -> VspConfig {
    let mut layout = GuestLayout::flat(PageCount(2 * GRANULE), PageCount(4 * GRANULE)).unwrap();
    // Room for one refusal: a place that was refused is never offered again, and there are only so many states then.
    layout.hot_add = layout.hot_add.clone().take_lowest(PageCount(3 * GRANULE));
    VspConfig::new(layout).with(|c| c.quiet_period = Duration::ZERO)
}

const GRANULE: u64 = 256;
/// Events in a row.
const DEPTH: usize = 14;
const UNMAPPED: &str = "the guest uses what is not mapped";

fn encode(message: Message<'_>) -> Vec<u8> {
    let mut buffer = [0; 4096];
    Packet { trans_id: 0, message }.encode(&mut buffer).unwrap().to_vec()
}

impl World {
    fn new(wrong: Wrong) -> Self {
        let config = config();
        let map = PlainMap::new(&config.layout, PageCount(2 * GRANULE));
        Self {
            frames: map.frames + map.mapped.pages(),
            uses: config.layout.boot.clone(),
            map,
            vsp: DmVsp::new(config).unwrap(),
            now: Duration::ZERO,
            open: false,
            from_map: VecDeque::new(),
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
            held: RangeSet::new(),
            begun: 0,
            ended: 0,
            wrong,
            late_maps: Vec::new(),
        }
    }

    fn possible(&self) -> Vec<Event> {
        let mut events = vec![Event::Reset];
        events.push(if self.open { Event::Close } else { Event::Open });
        if self.vsp.is_ready() && !self.vsp.is_busy() {
            // Less than a granule, and more than was ever given away.
            events.extend([3, GRANULE + 10].map(Event::Grow));
            events.extend([2, 20].map(Event::Shrink));
        }
        if !self.from_map.is_empty() {
            events.push(Event::MapAnswers);
        }
        if !self.late_maps.is_empty() {
            events.push(Event::MapsLate);
        }
        if !self.inbox.is_empty() {
            events.extend([How::Whole, How::Part, How::Nothing, How::Never].map(Event::GuestDoes));
        }
        if !self.outbox.is_empty() {
            events.push(Event::HostReceives);
        }
        if self.vsp.next_timeout().is_some() {
            events.push(Event::TimeRunsOut);
        }
        events
    }

    fn step(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Grow(pages) => self.operation(Input::Grow { pages: PageCount(pages) }),
            Event::Shrink(pages) => self.operation(Input::Shrink { pages: PageCount(pages) }),
            Event::MapAnswers => {
                let answer = self.from_map.pop_front().unwrap();
                self.host(answer);
            }
            Event::MapsLate => self.map_late(),
            Event::GuestDoes(how) => self.guest_does(how),
            Event::HostReceives => {
                let bytes = self.outbox.pop_front().unwrap();
                self.host(Input::Packet(bytes));
            }
            Event::TimeRunsOut => {
                self.now = self.vsp.next_timeout().unwrap();
                self.host(Input::Timer);
            }
            Event::Close => self.close(),
            Event::Open => self.open(),
            Event::Reset => {
                self.close();
                self.from_map.clear();
                self.late_maps.clear();
                self.map.reset(&config().layout);
                self.uses = config().layout.boot;
                self.held = RangeSet::new();
                self.host(Input::Reset);
            }
        }
        self.check()
    }

    fn map_late(&mut self) {
        let ranges = self.late_maps.remove(0);
        self.map.frames -= ranges.pages();
        self.map.mapped.extend(&ranges);
    }

    fn operation(&mut self, input: Input) {
        self.begun += 1;
        self.host(input);
    }

    fn open(&mut self) {
        self.open = true;
        self.host(Input::ChannelOpened);
        let request = VersionRequest { version: Version::V0_3, is_last_attempt: true };
        self.host(Input::Packet(encode(Message::VersionRequest(request))));
        let report = CapabilitiesReport {
            capabilities: Capabilities::new(true, true, 0),
            min_page_count: 0,
            max_page_number: 0,
        };
        self.host(Input::Packet(encode(Message::CapabilitiesReport(report))));
    }

    fn close(&mut self) {
        self.open = false;
        let busy = self.vsp.is_busy() && self.from_map.is_empty();
        self.inbox.clear();
        self.outbox.clear();
        self.host(Input::ChannelClosed);
        if self.wrong == Wrong::UnmapsAtClose && busy {
            self.take_back_what_was_added();
        }
    }

    fn take_back_what_was_added(&mut self) {
        let added = self.map.mapped.difference(&config().layout.boot);
        self.map.frames += self.map.mapped.remove_all(&added);
    }

    fn host(&mut self, input: Input) {
        let mut out = Vec::new();
        self.vsp.handle(self.now, input, &mut out);
        for output in out {
            match &output {
                Output::Map { ticket, ranges, .. } if self.wrong == Wrong::MapsTooLate => {
                    self.late_maps.push(ranges.clone());
                    self.from_map.push_back(Input::Mapped { ticket: *ticket, result: Ok(()) });
                }
                Output::Map { .. } | Output::Release { .. } => {
                    while !self.late_maps.is_empty() {
                        self.map_late();
                    }
                    self.from_map.extend(self.map.carry_out(&output));
                }
                Output::Send { bytes, .. } => self.inbox.extend(request(bytes)),
                Output::Finished { .. } | Output::Rejected { .. } => self.ended += 1,
                Output::Unresponsive { waiting_for: Waiting::HotAdd }
                    if self.wrong == Wrong::UnmapsAfterTimeout =>
                {
                    self.take_back_what_was_added();
                }
                _ => {}
            }
        }
    }

    fn guest_does(&mut self, how: How) {
        let request = self.inbox.pop_front().unwrap();
        if how == How::Never {
            return;
        }
        match request {
            Request::Balloon(pages) => {
                let pages = match how {
                    How::Whole => pages,
                    How::Part => pages / 2,
                    _ => 0,
                };
                // The first half comes with the promise of more, which is then kept or not.
                let given = self.uses.take_highest(PageCount(pages));
                self.held.extend(&given);
                let wire: Vec<_> =
                    given.runs().filter_map(|run| WireRange::new(run.start().0, run.pages().get())).collect();
                let more_pages = how == How::Part;
                let response = BalloonResponse { more_pages, ranges: &wire };
                self.outbox.push_back(encode(Message::BalloonResponse(response)));
                if more_pages {
                    self.inbox.push_front(Request::Balloon(pages));
                }
            }
            Request::Unballoon(ranges) => {
                for range in ranges {
                    self.held.remove(range);
                    self.uses.insert(range);
                }
                self.outbox.push_back(encode(Message::UnballoonResponse));
            }
            Request::HotAdd(range) => {
                let (pages, result) = match how {
                    How::Whole => (range.pages(), 1),
                    How::Part => (PageCount(range.pages().get() / 2), 1),
                    _ => (PageCount::ZERO, 0),
                };
                self.uses.extend(GuestRange::new(range.start(), pages));
                let response = HotAddResponse { page_count: pages.get() as u32, result };
                self.outbox.push_back(encode(Message::HotAddResponse(response)));
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        must(self.map.mapped.contains_all(&self.uses), UNMAPPED)?;
        must(self.map.frames + self.map.mapped.pages() == self.frames, "frames are lost or made up")?;
        must(self.begun - self.ended == u32::from(self.vsp.is_busy()), "an operation is not answered once")?;
        must(self.vsp.statistics().protocol_errors == 0, "an honest guest is accused")?;
        // A wrong host's map does not do what the VSP is told: what matters there is whether the guest comes to harm.
        if self.from_map.is_empty() && self.wrong == Wrong::No {
            let pages = self.vsp.pages();
            let mapped = pages.mapped_ranges();
            must(mapped == self.map.mapped, "account and map disagree")?;
            let away = pages.ballooned().union(pages.stranded());
            must(self.held.contains_all(&away), "the guest uses what the host thinks was given away")?;
        }
        Ok(())
    }

    /// The guest does what it is asked, the map answers, and every message arrives.
    fn left_alone(mut self) -> Result<(), String> {
        for _ in 0..100 {
            let next =
                [Event::MapsLate, Event::MapAnswers, Event::GuestDoes(How::Whole), Event::HostReceives];
            let possible = self.possible();
            let Some(event) = next.into_iter().find(|event| possible.contains(event)) else {
                // A guest that let a request fall never answers it: closing ends that.
                if self.vsp.is_busy() && self.open {
                    self.step(Event::Close)?;
                    continue;
                }
                return if self.vsp.is_busy() { Err("it never ends".to_owned()) } else { self.check() };
            };
            self.step(event)?;
        }
        Err("it never ends".to_owned())
    }

    /// All that matters for what can happen next.
    fn key(&self) -> String {
        let mut saved = serde_json::to_value(self.vsp.save(self.now)).unwrap();
        let state = &mut saved["state"];
        state["statistics"].take();
        state["trans_id"].take();
        let text = format!(
            "{state}{:?}{:?}{:?}{:?}{:?}{:?}{:?}{}",
            self.map.mapped,
            self.late_maps,
            self.from_map,
            self.inbox,
            self.outbox,
            self.uses,
            self.held,
            self.open,
        );
        // Tickets only have to be different: count them from the next one.
        let next = state["next_ticket"].as_u64().unwrap();
        (0..=next).rev().fold(text, |text, ticket| {
            let back = next - ticket;
            text.replace(&format!("ticket: {ticket},"), &format!("ticket: -{back},"))
                .replace(&format!("\"ticket\":{ticket}}}"), &format!("\"ticket\":-{back}}}"))
                .replace(&format!("\"ticket\":{ticket},"), &format!("\"ticket\":-{back},"))
                .replace(&format!("\"{ticket}\":{{"), &format!("\"-{back}\":{{"))
                .replace(&format!("\"next_ticket\":{ticket},"), "")
        })
    }
}

fn request(bytes: &[u8]) -> Option<Request> {
    let guest_range =
        |range: &WireRange| GuestRange::new(GuestPage(range.start()), PageCount(range.count())).unwrap();
    match Packet::decode(bytes).unwrap().message {
        Message::BalloonRequest(request) => Some(Request::Balloon(request.num_pages.into())),
        Message::UnballoonRequest(request) => {
            assert!(!request.more_pages, "too few ranges for that");
            Some(Request::Unballoon(request.ranges.iter().map(guest_range).collect()))
        }
        Message::HotAddRequest(request) => Some(Request::HotAdd(guest_range(&request.range))),
        _ => None,
    }
}

/// Breadth first: the shortest way to a mistake is found first.
fn explore(wrong: Wrong, depth: usize) -> (usize, Option<(Vec<Event>, String)>) {
    let mut seen = BTreeSet::new();
    let mut level = vec![(World::new(wrong), Vec::new())];
    for _ in 0..depth {
        let mut next = Vec::new();
        for (world, way) in &level {
            for event in world.possible() {
                let mut world: World = world.clone();
                let mut way: Vec<Event> = way.clone();
                way.push(event);
                let result = world.step(event);
                if let Err(mistake) = result.and_then(|()| world.clone().left_alone()) {
                    return (seen.len(), Some((way, mistake)));
                }
                if seen.insert(world.key()) {
                    next.push((world, way));
                }
            }
        }
        level = next;
    }
    (seen.len(), None)
}

#[test]
fn every_order_is_safe() {
    let (states, mistake) = explore(Wrong::No, DEPTH);
    assert_eq!(mistake, None);
    assert!(states > 1000, "{states} states are too few to prove anything");
}

#[test]
fn unmapping_after_a_timeout_would_be_noticed() {
    let (_, mistake) = explore(Wrong::UnmapsAfterTimeout, DEPTH);
    let (way, mistake) = mistake.unwrap();
    assert!(mistake == UNMAPPED && way.contains(&Event::TimeRunsOut), "{way:?}: {mistake}");
}

#[test]
fn unmapping_at_a_closure_would_be_noticed() {
    let (_, mistake) = explore(Wrong::UnmapsAtClose, DEPTH);
    let (way, mistake) = mistake.unwrap();
    assert!(mistake == UNMAPPED && way.contains(&Event::Close), "{way:?}: {mistake}");
}

#[test]
fn mapping_after_sending_would_be_noticed() {
    let (_, mistake) = explore(Wrong::MapsTooLate, DEPTH);
    assert_eq!(mistake.unwrap().1, UNMAPPED);
}
