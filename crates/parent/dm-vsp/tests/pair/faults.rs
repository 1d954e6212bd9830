//! Guests with faults.

use super::*;
use dm_vsc::{Faults, HotAddFault, StatusClaim};

fn with(faults: Faults) -> Pair {
    Pair::opened(host_config(), VscConfig::windows(DriverVersion::V2_0).with(|c| c.faults = faults))
}

fn unresponsive(pair: &Pair) -> Option<Duration> {
    pair.events.iter().find_map(|(at, event)| matches!(event, Output::Unresponsive { .. }).then_some(*at))
}

#[test]
fn a_guest_that_never_answers_costs_only_its_own_operations() {
    for grow in [false, true] {
        let mut pair = with(Faults::default().with(|c| c.never_answer = true));
        let start = pair.now;
        pair.ask(grow, mib(64));
        pair.run_for(seconds(3600));
        assert_eq!(unresponsive(&pair), Some(start + seconds(if grow { 35 } else { 30 })));
        assert_eq!(pair.finished(), None);
        assert!(pair.vsp.is_unresponsive());
        assert_eq!(pair.vsp.statistics().status_reports, 3600, "status is still heard");
        let mapped = if grow { mib(1088) } else { mib(1024) };
        assert_eq!(pair.map.mapped.pages(), mapped);
        // Reopening the channel is a new chance.
        pair.guest(dm_vsc::Input::SetFaults(Faults::default()));
        pair.close();
        let outcome = pair.finished().map(|end| (end.1, end.2));
        assert_eq!(outcome, Some((PageCount::ZERO, Outcome::ChannelClosed)));
        pair.open();
        pair.run_for(millis(1));
        pair.ask(grow, mib(64));
        pair.run_for(seconds(1));
        assert_eq!(pair.finished().map(|end| end.1), Some(mib(64)));
    }
}

#[test]
fn a_late_answer_counts() {
    for grow in [false, true] {
        let mut pair = with(Faults::default().with(|c| c.answer_later = seconds(100)));
        pair.ask(grow, mib(64));
        pair.run_for(seconds(99));
        assert!(pair.vsp.is_unresponsive());
        pair.run_for(seconds(2));
        assert!(!pair.vsp.is_unresponsive());
        assert_eq!(pair.finished().map(|end| (end.1, end.2)), Some((mib(64), Outcome::Complete)));
    }
}

#[test]
fn a_partial_answer_is_what_it_is() {
    let mut pair = with(Faults::default().with(|c| c.balloon_percent = Some(25)));
    pair.shrink(mib(64));
    pair.run_for(seconds(1));
    assert_eq!(pair.finished().map(|end| (end.1, end.2)), Some((mib(16), Outcome::GuestAtMinimum)));
    for (fault, done) in [(HotAddFault::Percent(50), mib(32)), (HotAddFault::RefuseForGood, PageCount::ZERO)]
    {
        let mut pair = with(Faults::default().with(|c| c.hot_add = Some(fault)));
        pair.grow(mib(64));
        pair.run_for(seconds(1));
        assert_eq!(pair.finished().map(|end| (end.1, end.2)), Some((done, Outcome::HotAddOver)));
        assert_eq!(pair.map.mapped.pages(), mib(1024) + done);
    }
}

#[test]
fn a_refusal_for_now_ends() {
    let fault = Some(HotAddFault::RefuseForNow);
    let mut pair = with(Faults::default().with(|c| c.hot_add = fault));
    pair.grow(mib(64));
    pair.run_for(seconds(1));
    let Some((_, PageCount::ZERO, Outcome::HotAddLater { not_before })) = pair.finished() else { panic!() };
    pair.guest(dm_vsc::Input::SetFaults(Faults::default()));
    pair.run_until(not_before);
    pair.grow(mib(64));
    pair.run_for(seconds(1));
    assert_eq!(pair.finished().map(|end| (end.1, end.2)), Some((mib(64), Outcome::Complete)));
}

/// Linux' driver remembers the region that it could not add. A larger request at that address would be cut to its length, and
/// a part that is refused is the end of hot-add.
#[test]
fn a_region_that_linux_could_not_add_does_not_cut_later_ones() {
    let mut pair = Pair::opened(host_config(), VscConfig::linux());
    pair.memory.linux_regions = Some(dm_vsc::test_support::LinuxRegions::default());
    pair.memory.add_fails = true;
    pair.grow(mib(128));
    pair.run_for(seconds(1));
    let Some((_, PageCount::ZERO, Outcome::HotAddLater { not_before })) = pair.finished() else { panic!() };
    pair.memory.add_fails = false;
    pair.run_until(not_before);
    pair.grow(mib(256));
    pair.run_for(seconds(1));
    assert_eq!(pair.finished().map(|end| (end.1, end.2)), Some((mib(256), Outcome::Complete)));
    assert_eq!(pair.vsp.hot_add_state(), HotAddState::Available);
}

#[test]
fn an_answer_that_comes_twice_is_dropped_while_nothing_is_asked() {
    let mut pair = with(Faults::default().with(|c| c.answer_twice = true));
    pair.shrink(mib(64));
    pair.run_for(seconds(1));
    let ignored = |pair: &Pair| pair.events.iter().any(|(_, event)| matches!(event, Output::Ignored { .. }));
    assert!(ignored(&pair));
    assert_eq!(pair.finished().map(|end| (end.1, end.2)), Some((mib(64), Outcome::Complete)));
    pair.grow(mib(64));
    pair.run_for(seconds(1));
    assert_eq!(pair.finished().map(|end| (end.1, end.2)), Some((mib(64), Outcome::Complete)));
}

#[test]
fn pages_that_are_not_the_guests_cost_it_its_channel() {
    let beyond = page_range::GuestRange::new(GuestPage(1 << 30), PageCount(512));
    let mut pair = with(Faults::default().with(|c| c.foreign_ranges = beyond.into_iter().collect()));
    pair.shrink(mib(64));
    pair.run_for(seconds(1));
    let broken = pair.events.iter().find_map(|(_, event)| match event {
        Output::ProtocolError { violation } => Some(violation.event_text("VM1", "Dynamic Memory")),
        _ => None,
    });
    let text = broken.unwrap();
    assert!(text.contains("experienced a protocol error indicative of a deep system problem"), "{text}");
    // The first of its answers was true.
    assert_eq!(pair.finished().map(|end| (end.1, end.2)), Some((mib(64), Outcome::ProtocolError)));
    assert_eq!(pair.vsp.pages().stranded().pages(), mib(64));
}

#[test]
fn lies_about_pressure_are_limited() {
    let claim = Some(StatusClaim { available: u64::MAX, committed: u64::MAX });
    let mut pair = with(Faults::default().with(|c| c.claim = claim));
    pair.run_for(seconds(2));
    let (reported, demand) = pair.last_status().unwrap();
    assert_eq!((reported.committed, demand), (PageCount(1 << 40), PageCount(1 << 40)));
    assert!(pair.vsp.statistics().absurd_status_reports > 0);
}

#[test]
fn a_guest_that_could_hibernate_never_answers_and_refuses_for_good() {
    let guest = VscConfig::linux().with(|c| c.hibernation = true);
    let mut pair = Pair::opened(host_config(), guest);
    pair.grow(mib(128));
    pair.run_for(seconds(1));
    assert_eq!(pair.finished().map(|end| (end.1, end.2)), Some((PageCount::ZERO, Outcome::HotAddOver)));
    pair.shrink(mib(64));
    pair.run_for(seconds(40));
    assert!(pair.vsp.is_unresponsive());
}

#[test]
fn closing_at_any_moment_loses_nothing() {
    for grow in [false, true] {
        for step in 0..60 {
            let mut pair = Pair::windows();
            pair.host_time = millis(37);
            pair.shrink(mib(32));
            pair.run_for(millis(500));
            pair.events.clear();
            pair.ask(grow, mib(64));
            pair.run_for(millis(step * 5));
            pair.close();
            pair.open();
            pair.run_for(seconds(2));
            assert!(pair.vsp.is_ready() && !pair.vsp.is_busy());
            let Some((_, _, outcome)) = pair.finished() else { panic!("{step}") };
            assert!(matches!(outcome, Outcome::ChannelClosed | Outcome::Complete), "{step}: {outcome:?}");
            pair.shrink(mib(16));
            pair.run_for(seconds(2));
            assert_eq!(pair.finished().map(|end| end.1), Some(mib(16)), "{step}");
            assert_eq!(pair.vsp.statistics().protocol_errors, 0);
        }
    }
}
