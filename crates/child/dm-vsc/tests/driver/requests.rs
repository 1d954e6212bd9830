//! What the driver does for the host.

use super::*;
use dm_protocol::{BalloonRequest, BalloonResponse, HotAddRequest, HotAddResponse, UnballoonRequest};
use dm_vsc::{Faults, Floor, HotAddFault, Ignored, UnballoonCheck};

fn balloon(pages: u32) -> Message<'static> {
    Message::BalloonRequest(BalloonRequest { num_pages: pages })
}

fn hot_add(start: u64, count: u64) -> Message<'static> {
    let range = wire(start, count);
    Message::HotAddRequest(HotAddRequest { range, region: Some(range) })
}

fn given(outputs: &[Output]) -> Vec<(bool, Vec<(u64, u64)>)> {
    let answers = messages(outputs).into_iter().filter_map(|message| match message {
        Message::BalloonResponse(response) => {
            let ranges = response.ranges.iter().map(|range| (range.start(), range.count()));
            Some((response.more_pages, ranges.collect()))
        }
        _ => None,
    });
    answers.collect()
}

#[test]
fn pages_are_given_when_the_time_has_passed() {
    let mut guest = running(VscConfig::windows(DriverVersion::V2_0));
    assert_eq!(guest.message(balloon(8 * 256)), []);
    assert!(guest.vsc.is_busy());
    assert_eq!(guest.run_until(Duration::from_millis(65)), []);
    assert_eq!(guest.memory.ballooned.pages(), PageCount::ZERO);
    let out = guest.run_until(Duration::from_millis(66));
    assert_eq!(
        sent(&out[0].1).unwrap().message,
        Message::BalloonResponse(BalloonResponse { more_pages: false, ranges: &[wire(56 * 256, 8 * 256)] })
    );
    let (requested, given) = (PageCount::from_mib(8), PageCount::from_mib(8));
    assert_eq!(out[1].1, Output::Ballooned { requested, given });
    assert!(guest.memory.ballooned == *guest.vsc.ballooned() && !guest.vsc.is_busy());
}

#[test]
fn what_is_ballooned_counts_as_committed() {
    let config = quick().with(|c| c.faults = Faults::default());
    let mut guest = running(config);
    guest.message(balloon(8 * 256));
    let committed = |guest: &mut Guest, at| {
        let out = guest.run_until(seconds(at));
        let Message::StatusReport(report) = sent(&out.last().unwrap().1).unwrap().message else { panic!() };
        report.committed / 256
    };
    assert_eq!(committed(&mut guest, 1), 16 + 8);
    let back = [wire(60 * 256, 256)];
    guest.message(Message::UnballoonRequest(UnballoonRequest { more_pages: false, ranges: &back }));
    assert_eq!(committed(&mut guest, 2), 16 + 7);
}

#[test]
fn a_guest_at_its_minimum_answers_with_nothing() {
    let mut guest = running(quick());
    let out = guest.message(balloon(100 * 256));
    assert_eq!(given(&out), [(false, vec![(16 * 256, 48 * 256)])]);
    let out = guest.message(balloon(1));
    assert_eq!(given(&out), [(false, vec![])]);
}

#[test]
fn a_floor_is_left() {
    let floor = Floor::Available(PageCount::from_mib(40));
    let mut guest = running(quick().with(|c| c.floor = floor));
    let out = guest.message(balloon(100 * 256));
    assert!(
        out.contains(&Output::Ballooned {
            requested: PageCount::from_mib(100),
            given: PageCount::from_mib(8)
        })
    );
    let mut guest = running(quick().with(|c| c.floor = Floor::Linux));
    guest.message(balloon(100 * 256));
    assert_eq!(guest.memory.ballooned.pages(), PageCount::from_mib(8), "48 available, floor of 64 is 40");
}

#[test]
fn linux_gives_blocks_then_single_pages_and_ends_with_an_empty_message() {
    let config = VscConfig::linux().with(|c| c.floor = Floor::MemoryManager);
    let mut guest = running(config.with(|c| c.balloon_time = quick().balloon_time));
    guest.memory.in_use = PageCount(64 * 256 - 2 * 512 - 3);
    let answers = given(&guest.message(balloon(5 * 512)));
    let expected = [
        (true, vec![(15360, 512), (15872, 512)]),
        (true, vec![(15357, 1), (15358, 1), (15359, 1)]),
        (false, vec![]),
    ];
    assert_eq!(answers, expected);
}

#[test]
fn many_ranges_take_many_messages() {
    let config = VscConfig::linux().with(|c| c.floor = Floor::MemoryManager);
    let mut guest = running(config.with(|c| c.balloon_time = quick().balloon_time));
    guest.memory.present = (0..1200).map(|i| range(i * 2, 1)).collect();
    guest.memory.in_use = PageCount::ZERO;
    let answers = given(&guest.message(balloon(1200)));
    let sizes: Vec<_> = answers.iter().map(|(more, ranges)| (*more, ranges.len())).collect();
    assert_eq!(sizes, [(true, 510), (true, 510), (false, 180)]);
}

#[test]
fn only_own_pages_are_taken_back() {
    let mut guest = running(quick());
    guest.message(balloon(8 * 256));
    let named = [wire(0, 100), wire(60 * 256, 256), wire(1 << 39, 1 << 20), wire(60 * 256, 0)];
    let more = UnballoonRequest { more_pages: true, ranges: &named };
    assert_eq!(guest.message(Message::UnballoonRequest(more)), []);
    let named = [wire(60 * 256, 256), wire(61 * 256, 1)];
    let last = UnballoonRequest { more_pages: false, ranges: &named };
    let out = guest.message(Message::UnballoonRequest(last));
    assert_eq!(messages(&out), [Message::UnballoonResponse]);
    let left_alone = PageCount(100 + (1 << 20) + 256);
    assert_eq!(out[1], Output::Unballooned { pages: PageCount(257), left_alone });
    assert_eq!(guest.memory.freed_wrongly, PageCount::ZERO);
    assert_eq!(guest.memory.ballooned.pages(), PageCount(7 * 256 - 1));
}

#[test]
fn linux_trusts_its_host() {
    let mut guest = running(quick().with(|c| c.unballoon_check = UnballoonCheck::Trust));
    guest.message(balloon(8 * 256));
    let named = [wire(0, 100), wire(60 * 256, 256)];
    guest.message(Message::UnballoonRequest(UnballoonRequest { more_pages: false, ranges: &named }));
    assert_eq!(guest.memory.freed_wrongly, PageCount(100), "a page in use was freed");
    assert_eq!(guest.vsc.ballooned().pages(), PageCount(7 * 256));
}

#[test]
fn memory_is_added_when_the_time_has_passed() {
    let mut guest = running(VscConfig::windows(DriverVersion::V2_0));
    assert_eq!(guest.message(hot_add(64 * 256, 4 * 256)), []);
    let out = guest.run_until(Duration::from_millis(54));
    let answer = HotAddResponse { page_count: 1024, result: 1 };
    assert_eq!(sent(&out[0].1).unwrap().message, Message::HotAddResponse(answer));
    assert_eq!(guest.memory.present.pages(), PageCount::from_mib(68));
}

#[test]
fn new_memory_does_not_count_as_committed_while_it_is_added() {
    let mut config = VscConfig::windows(DriverVersion::V2_0);
    config.hot_add_time.base = Duration::from_millis(1500);
    let mut guest = running(config);
    guest.message(hot_add(64 * 256, 4 * 256));
    let out = guest.run_until(seconds(2));
    let committed: Vec<_> = out
        .iter()
        .filter_map(|(_, output)| match sent(output)?.message {
            Message::StatusReport(report) => Some(report.committed / 256),
            _ => None,
        })
        .collect();
    assert_eq!(committed, [16, 16]);
}

#[test]
fn new_memory_is_taken_in_part_or_refused() {
    let answer = |guest: &mut Guest| {
        let out = guest.message(hot_add(64 * 256, 4 * 256));
        match messages(&out)[..] {
            [Message::HotAddResponse(answer)] => (answer.page_count, answer.result),
            ref other => panic!("{other:?}"),
        }
    };
    let mut guest = running(quick());
    guest.memory.limit = PageCount::from_mib(65);
    assert_eq!(answer(&mut guest), (256, 1));
    assert_eq!(answer(&mut guest), (0, 0), "memory is there already");
    let mut guest = running(quick());
    guest.memory.limit = PageCount::from_mib(64);
    assert_eq!(answer(&mut guest), (0, 1));
    for (fault, expected) in [
        (HotAddFault::RefuseForNow, (0, 0)),
        (HotAddFault::RefuseForGood, (0, 1)),
        (HotAddFault::Percent(50), (512, 1)),
        (HotAddFault::Percent(0), (0, 0)),
    ] {
        let faults = Faults::default().with(|c| c.hot_add = Some(fault));
        assert_eq!(answer(&mut running(quick().with(|c| c.faults = faults))), expected);
    }
    assert_eq!(answer(&mut running(quick().with(|c| c.hibernation = true))), (0, 1));
    let mut guest = running(quick());
    let out = guest.message(hot_add(64 * 256, 0));
    assert_eq!(messages(&out), [Message::HotAddResponse(HotAddResponse { page_count: 0, result: 0 })]);
}

#[test]
fn a_guest_that_could_hibernate_says_nothing() {
    let mut guest = running(quick().with(|c| c.hibernation = true));
    for name in ["DM6", "DM8"] {
        let out = guest.vector(name);
        assert!(matches!(out[..], [Output::Ignored { why: Ignored::Hibernation, .. }]));
    }
}

#[test]
fn one_request_is_carried_out_at_a_time() {
    let mut guest = running(VscConfig::windows(DriverVersion::V2_0));
    guest.vector("DM6");
    for name in ["DM6", "DM8", "DM10"] {
        assert!(matches!(guest.vector(name)[..], [Output::Ignored { why: Ignored::Busy, .. }]));
    }
}

#[test]
fn faults() {
    let faults = |faults: Faults| quick().with(|c| c.faults = faults.with(|c| c.no_status = true));
    let mut guest = running(faults(Faults::default().with(|c| c.never_answer = true)));
    assert!(matches!(guest.vector("DM6")[..], [Output::Ignored { why: Ignored::Fault, .. }]));

    let mut guest = running(faults(Faults::default().with(|c| c.answer_later = seconds(100))));
    guest.message(balloon(1));
    let at = guest.run_until(seconds(200))[..].iter().find(|(_, output)| sent(output).is_some()).unwrap().0;
    assert_eq!(at, seconds(100));

    let mut guest = running(faults(Faults::default().with(|c| c.balloon_percent = Some(25))));
    assert_eq!(given(&guest.message(balloon(400)))[0].1, [(16384 - 100, 100)]);

    let mut guest = running(faults(Faults::default().with(|c| c.answer_twice = true)));
    assert_eq!(given(&guest.message(balloon(4))).len(), 2);

    let foreign_ranges = vec![range(5, 5)];
    let mut guest = running(faults(Faults::default().with(|c| c.foreign_ranges = foreign_ranges)));
    let answers = given(&guest.message(balloon(4)));
    assert_eq!(answers, [(true, vec![(16380, 4)]), (false, vec![(5, 5)])]);
    assert_eq!(guest.vsc.ballooned().pages(), PageCount(4));
}

#[test]
fn closing_in_the_middle_loses_nothing() {
    // Before the pages are taken.
    let mut guest = running(VscConfig::windows(DriverVersion::V2_0));
    guest.message(balloon(8 * 256));
    guest.input(Input::ChannelClosed);
    assert!(guest.memory.ballooned.is_empty() && guest.vsc.next_timeout().is_none());
    // While pages come back: they are the guest's from the moment the host named them.
    let mut guest = running(quick());
    guest.message(balloon(8 * 256));
    let named = [wire(60 * 256, 256)];
    guest.message(Message::UnballoonRequest(UnballoonRequest { more_pages: true, ranges: &named }));
    guest.input(Input::ChannelClosed);
    assert_eq!(guest.memory.ballooned.pages(), PageCount(7 * 256));
    assert_eq!(guest.memory.ballooned, *guest.vsc.ballooned());
}

#[test]
fn a_guest_that_must_write_pages_first_answers_later_and_gives_them_up_if_closed() {
    struct Slow(PlainMemory);
    impl dm_vsc::MemoryServices for Slow {
        fn status(&self) -> dm_vsc::StatusSnapshot {
            self.0.status()
        }
        fn allocate_balloon(&mut self, most: PageCount) -> dm_vsc::BalloonAllocation {
            dm_vsc::BalloonAllocation::new(self.0.allocate_balloon(most).ranges, seconds(3))
        }
        fn free_balloon(&mut self, ranges: &[GuestRange]) -> PageCount {
            self.0.free_balloon(ranges)
        }
        fn hot_add(
            &mut self,
            range: GuestRange,
            region: Option<GuestRange>,
        ) -> Result<PageCount, dm_vsc::HotAddRefusal> {
            self.0.hot_add(range, region)
        }
    }
    let Guest { mut vsc, memory, .. } = running(quick());
    let mut memory = Slow(memory);
    let mut out = Vec::new();
    let request = Packet { trans_id: 0, message: balloon(10) };
    let mut buffer = [0; 16];
    let bytes = request.encode(&mut buffer).unwrap().to_vec();
    vsc.handle(Duration::ZERO, Input::Packet(bytes), &mut memory, &mut out);
    assert_eq!((out.len(), memory.0.ballooned.pages()), (0, PageCount(10)));
    let mut closed = (vsc.clone(), Slow(memory.0.clone()));
    closed.0.handle(seconds(1), Input::ChannelClosed, &mut closed.1, &mut out);
    assert_eq!((out.len(), closed.1.0.ballooned.pages()), (0, PageCount::ZERO));
    vsc.handle(seconds(3), Input::Timer, &mut memory, &mut out);
    assert_eq!(given(&out), [(false, vec![(16374, 10)])]);
}

/// Linux' driver has one set of parameters for each kind of request, and runs its work again when a request came meanwhile.
#[test]
fn requests_that_cross_are_overwritten_and_run_by_linux() {
    let slow = dm_vsc::OperationTime::new(seconds(1), Duration::ZERO);
    let faults = Faults::default().with(|c| c.no_status = true);
    let (floor, balloon_time, hot_add_time) = (Floor::MemoryManager, slow, slow);
    let mut guest = running(VscConfig::linux().with(|c| {
        c.faults = faults;
        c.floor = floor;
        c.balloon_time = balloon_time;
        c.hot_add_time = hot_add_time;
    }));
    guest.memory.granule = PageCount(1);
    let ask = |num_pages| Message::BalloonRequest(BalloonRequest { num_pages });
    for pages in [10, 20, 30] {
        assert_eq!(guest.message(ask(pages)), []);
    }
    let request = HotAddRequest { range: wire(1 << 20, 256), region: None };
    assert_eq!(guest.message(Message::HotAddRequest(request)), []);
    let out = guest.run_until(seconds(1));
    assert!(out.iter().any(|(_, output)| matches!(output, Output::Ballooned { given: PageCount(10), .. })));
    // Pages come back in the middle of the next one, and are taken at once.
    let held = guest.vsc.ballooned().first_run().unwrap();
    let ranges = [wire(held.start().0, 1)];
    let back = UnballoonRequest { more_pages: false, ranges: &ranges };
    let out = guest.message(Message::UnballoonRequest(back));
    assert!(matches!(messages(&out)[..], [Message::UnballoonResponse]));
    assert_eq!(guest.vsc.ballooned().pages(), PageCount(9));
    let out = guest.run_until(seconds(10));
    let given = out.iter().filter_map(|(at, output)| match output {
        Output::Ballooned { given, .. } => Some((at.as_secs(), given.get())),
        Output::HotAdded { accepted, .. } => Some((at.as_secs(), accepted.get())),
        _ => None,
    });
    assert_eq!(given.collect::<Vec<_>>(), [(2, 30), (3, 256)], "20 was overwritten");
    assert!(!guest.vsc.is_busy());
}
