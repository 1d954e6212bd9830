//! Taking pages.

use super::*;
use dm_protocol::{BalloonRequest, MessageType};

fn asks(outputs: &[Output]) -> Vec<u32> {
    let asked = sent(outputs).into_iter().filter_map(|packet| match packet.message {
        Message::BalloonRequest(BalloonRequest { num_pages }) => Some(num_pages),
        _ => None,
    });
    asked.collect()
}

#[test]
fn pages_are_asked_for_released_and_kept_account_of() {
    let mut host = ready();
    let bytes = vec![6, 0, 16, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0];
    assert_eq!(host.shrink(mib(4)), [Output::Send { message: MessageType::BALLOON_REQUEST, bytes }]);
    let frames = host.map.frames;
    assert_eq!(host.gives(true, &[(0, 512)]), []);
    assert_eq!(host.map.frames, frames + mib(2), "released as it comes");
    let out = host.gives(false, &[(512, 511), (1023, 1)]);
    assert_eq!(finished(&out), Some((mib(4), Outcome::Complete)));
    let pages = host.vsp.pages();
    assert_eq!(pages.ballooned().runs().collect::<Vec<_>>(), [range(0, 1024)], "merged");
    assert_eq!((pages.mapped(), pages.ram().pages()), (mib(60), mib(64)));
    assert_eq!(host.shrink(PageCount(1)).len(), 1);
    let packet = Packet::decode(&[6, 0, 16, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(packet.trans_id, 1, "the next transaction has the next number");
}

#[test]
fn a_guest_at_its_minimum_gives_less() {
    let mut host = ready();
    host.shrink(PageCount(1000));
    host.gives(true, &[(0, 10)]);
    let out = host.gives(false, &[]);
    assert_eq!(finished(&out), Some((PageCount(10), Outcome::GuestAtMinimum)));
    host.shrink(PageCount(1000));
    assert_eq!(finished(&host.gives(false, &[])), Some((PageCount::ZERO, Outcome::GuestAtMinimum)));
    assert_eq!(host.vsp.statistics().short_operations, 2);
    host.balloon(&[(100, 10)]);
    let statistics = host.vsp.statistics();
    assert_eq!(
        (statistics.balloon_requests, statistics.short_operations),
        (3, 2),
        "one was carried out whole"
    );
}

#[test]
fn more_than_asked_is_taken_up_to_a_block() {
    let mut host = ready();
    host.shrink(PageCount(10));
    let out = host.gives(false, &[(0, 30)]);
    assert_eq!(finished(&out), Some((PageCount(30), Outcome::Complete)));
    assert_eq!(host.vsp.pages().ballooned().pages(), PageCount(30));
    // A block of 2 MiB too much is no rounding any more.
    host.shrink(PageCount(10));
    host.gives(true, &[(512, 500)]);
    let out = host.gives(true, &[(1024, 13)]);
    let violation = violation(&out).cloned();
    assert_eq!(violation, Some(Violation::MoreThanAsked { asked: PageCount(10), given: PageCount(513) }));
    assert_eq!(host.vsp.pages().stranded().pages(), PageCount(530), "what came before the answer was taken");
}

#[test]
fn large_requests_are_cut() {
    let layout = GuestLayout::flat(mib(8192), mib(8192)).unwrap();
    let mut host = ready_with(config().with(|c| c.layout = layout), 1);
    let most = 585_728;
    assert_eq!(asks(&host.shrink(PageCount(most + 100))), [most as u32]);
    assert_eq!(asks(&host.gives(false, &[(0, most)])), [100]);
    let out = host.gives(false, &[(most, 100)]);
    assert_eq!(finished(&out), Some((PageCount(most + 100), Outcome::Complete)));
    // A short answer to the first part is the end of it.
    host.shrink(PageCount(most + 100));
    let out = host.gives(false, &[(most + 100, 5)]);
    assert_eq!(finished(&out), Some((PageCount(5), Outcome::GuestAtMinimum)));
}

#[test]
fn one_operation_at_a_time() {
    let mut host = ready();
    host.shrink(PageCount(10));
    for (input, kind) in [
        (Input::Grow { pages: PageCount(1) }, OperationKind::Grow),
        (Input::Shrink { pages: PageCount(1) }, OperationKind::Shrink),
    ] {
        let requested = PageCount(1);
        assert_eq!(host.input(input), [Output::Rejected { kind, requested, why: Rejection::Busy }]);
    }
    host.gives(false, &[]);
    let why = Rejection::NoPages;
    let requested = PageCount::ZERO;
    assert_eq!(host.shrink(requested), [Output::Rejected { kind: OperationKind::Shrink, requested, why }]);
}

#[test]
fn it_is_not_over_before_all_is_released() {
    let mut host = ready();
    host.held_back = Some(Vec::new());
    host.shrink(PageCount(20));
    host.gives(true, &[(0, 10)]);
    assert_eq!(host.gives(false, &[(10, 10)]), []);
    let first = host.held_back.take().unwrap().remove(0);
    host.held_back = Some(Vec::new());
    assert_eq!(finished(&host.input(first.clone())), None);
    let second = host.held_back.take().unwrap().remove(0);
    assert_eq!(finished(&host.input(second)), Some((PageCount(20), Outcome::Complete)));
    assert_eq!(host.input(first), [], "an answer is good once");
}

#[test]
fn a_silent_guest_is_waited_for_and_may_answer_late() {
    let mut host = ready();
    host.shrink(mib(4));
    assert_eq!(host.vsp.next_timeout(), Some(seconds(30)));
    host.wait(seconds(10));
    host.gives(true, &[(0, 512)]);
    let out = host.wait(seconds(20));
    assert_eq!(out, [Output::Unresponsive { waiting_for: Waiting::Balloon }]);
    assert!(host.vsp.is_busy() && host.vsp.is_unresponsive());
    assert_eq!(host.vsp.next_timeout(), None);
    assert!(matches!(host.shrink(PageCount(1))[..], [Output::Rejected { why: Rejection::Busy, .. }]));
    host.wait(seconds(1000));
    assert_eq!(host.gives(true, &[(512, 100)]), [], "not the last answer");
    let out = host.gives(false, &[(612, 412)]);
    assert_eq!(out[0], Output::Responsive);
    assert_eq!(finished(&out), Some((mib(4), Outcome::Complete)));
    let statistics = host.vsp.statistics();
    assert_eq!((statistics.timeouts, statistics.late_answers), (1, 1));
}

#[test]
fn what_was_given_is_stranded_when_the_channel_closes() {
    let mut host = ready();
    host.balloon(&[(0, 100)]);
    host.shrink(PageCount(20));
    host.gives(true, &[(100, 10)]);
    let out = host.input(Input::ChannelClosed);
    assert_eq!(finished(&out), Some((PageCount(10), Outcome::ChannelClosed)));
    let pages = host.vsp.pages();
    assert_eq!((pages.ballooned().pages(), pages.stranded().pages()), (PageCount::ZERO, PageCount(110)));
    // Neither returned nor taken again.
    host.handshake(1);
    let out = host.grow(PageCount(110));
    assert_eq!(finished(&out), Some((PageCount::ZERO, Outcome::BelowGranule)));
    host.shrink(PageCount(1));
    let out = host.gives(false, &[(5, 1)]);
    assert_eq!(violation(&out), Some(&Violation::NotOwned { range: range(5, 1) }));
}

#[test]
fn a_release_that_is_on_its_way_when_the_channel_closes_is_waited_for() {
    let mut host = ready();
    host.held_back = Some(Vec::new());
    host.shrink(PageCount(20));
    host.gives(true, &[(100, 10)]);
    assert_eq!(host.input(Input::ChannelClosed), []);
    assert!(host.vsp.is_busy());
    host.held_back.as_mut().unwrap().reverse();
    let answer = host.held_back.as_mut().unwrap().pop().unwrap();
    host.held_back = None;
    let out = host.input(answer);
    assert_eq!(finished(&out), Some((PageCount(10), Outcome::ChannelClosed)));
    assert_eq!(host.vsp.pages().stranded().pages(), PageCount(10));
}

/// A kernel started by kexec or kdump knows nothing of what the one before it gave away; a driver that is unbound and bound
/// again does.
#[test]
fn another_operating_system_counts_nothing_of_what_was_given_before() {
    let demand = |host: &mut Host, committed: u64| {
        let report = dm_protocol::StatusReport { committed, ..dm_protocol::StatusReport::default() };
        let out = host.message(Message::StatusReport(report));
        out.iter().find_map(|output| match output {
            Output::Status { demand, .. } => Some(demand.get()),
            _ => None,
        })
    };
    let mut host = ready();
    host.balloon(&[(0, 100)]);
    assert_eq!(demand(&mut host, 1000), Some(900));
    host.input(Input::ChannelClosed);
    host.handshake(1);
    assert_eq!(demand(&mut host, 1000), Some(900), "the same driver again");
    host.input(Input::ChannelClosed);
    host.input(Input::GuestReplaced);
    host.handshake(1);
    assert_eq!(demand(&mut host, 1000), Some(1000), "another kernel");
    let pages = host.vsp.pages();
    assert_eq!((pages.mapped(), pages.forgotten().pages()), (mib(64) - PageCount(100), PageCount(100)));
    // It takes all pages for its own. Those that are not mapped are ballooned without a release, and can be given back.
    let frames = host.map.frames;
    host.shrink(PageCount(30));
    host.gives(true, &[(90, 30)]);
    assert_eq!(host.map.frames, frames + PageCount(20));
    assert_eq!(host.vsp.pages().ballooned().pages(), PageCount(30));
    assert_eq!(demand(&mut host, 1000), Some(970));
    // No frames came of those ten pages, so ten more are asked for.
    assert_eq!(asks(&host.gives(false, &[])), [10]);
    assert_eq!(finished(&host.gives(false, &[])), Some((PageCount(20), Outcome::GuestAtMinimum)));
}

#[test]
fn a_release_that_outlasts_its_kernel_is_forgotten_like_the_rest() {
    let mut host = ready();
    host.held_back = Some(Vec::new());
    host.shrink(PageCount(20));
    host.gives(true, &[(100, 10)]);
    host.gives(true, &[(110, 5)]);
    host.input(Input::ChannelClosed);
    host.input(Input::GuestReplaced);
    let first = host.held_back.replace(Vec::new()).unwrap().remove(0);
    assert_eq!(host.input(first), []);
    let second = host.held_back.take().unwrap().remove(0);
    assert_eq!(finished(&host.input(second)), Some((PageCount(15), Outcome::ChannelClosed)));
    let pages = host.vsp.pages();
    assert_eq!((pages.stranded().pages(), pages.forgotten().pages()), (PageCount::ZERO, PageCount(15)));
}

#[test]
fn a_reset_starts_anew() {
    let mut host = ready();
    host.balloon(&[(0, 100)]);
    host.shrink(PageCount(20));
    host.gives(true, &[(100, 10)]);
    host.map.reset(&host.vsp.config().layout);
    let out = host.input(Input::Reset);
    assert_eq!(finished(&out), Some((PageCount(10), Outcome::Reset)));
    assert_eq!(host.vsp.pages().mapped(), mib(64));
    host.handshake(1);
    host.balloon(&[(0, 110)]);
}
