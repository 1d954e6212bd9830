//! What an honest guest and host do together.

use super::*;

#[test]
fn every_driver_finds_the_newest_version_that_both_speak() {
    use dm_vsp::ProtocolVersion::*;
    for (host, guest, spoken) in [
        (vec![V0_3], DriverVersion::V2_0, Some(V0_3)),
        (vec![V0_3, V1_0], DriverVersion::V2_0, Some(V1_0)),
        (vec![V0_3, V1_0, V2_0], DriverVersion::V2_0, Some(V2_0)),
        (vec![V0_3, V1_0, V2_0], DriverVersion::V1_0, Some(V1_0)),
        (vec![V0_3, V1_0, V2_0], DriverVersion::V0_3, Some(V0_3)),
        (vec![V2_0], DriverVersion::V1_0, None),
    ] {
        let host = host_config().with(|c| c.versions = host);
        let pair = Pair::opened(host, VscConfig::windows(guest));
        assert_eq!(pair.vsp.agreed().map(|agreed| agreed.0), spoken);
        assert_eq!(pair.vsc.version().map(DriverVersion::on_wire), spoken.map(ProtocolVersion::on_wire));
        let told = spoken.is_some_and(|version| version >= V1_0);
        assert_eq!(pair.vsc.maximum(), told.then_some(mib(4096)));
    }
}

#[test]
fn a_guest_that_is_refused_closes() {
    let host = host_config().with(|c| c.versions = vec![ProtocolVersion::V0_3]);
    let guest = VscConfig::linux().with(|c| c.proposals = vec![DriverVersion::V2_0]);
    let pair = Pair::opened(host, guest);
    assert!(pair.vsp.agreed().is_none() && pair.vsp.next_timeout().is_none());
}

#[test]
fn status_comes_once_a_second_also_in_the_quiet_period() {
    let host = host_config().with(|c| c.quiet_period = seconds(50));
    let mut pair = Pair::opened(host, VscConfig::windows(DriverVersion::V2_0));
    pair.run_until(millis(49_990));
    assert_eq!((pair.vsp.statistics().status_reports, pair.vsp.is_ready()), (49, false));
    pair.run_until(seconds(51));
    assert!(pair.vsp.is_ready());
}

#[test]
fn operations_take_the_guests_time() {
    let mut pair = Pair::windows();
    let start = pair.now;
    let way = LATENCY * 2;
    pair.shrink(mib(64));
    pair.run_for(millis(900));
    assert_eq!(pair.finished(), Some((start + millis(50 + 128) + way, mib(64), Outcome::Complete)));
    assert_eq!(pair.given_away().pages(), mib(64));
    let start = pair.now;
    pair.grow(mib(32));
    pair.run_for(millis(900));
    assert_eq!(pair.finished(), Some((start + millis(50 + 32) + way, mib(32), Outcome::Complete)));
    let start = pair.now;
    pair.grow(mib(64));
    pair.run_for(millis(900));
    let both = millis(50 + 32) + millis(50 + 32) + way * 2;
    assert_eq!(pair.finished(), Some((start + both, mib(64), Outcome::Complete)));
    assert!(pair.given_away().is_empty());
    assert_eq!(pair.vsp.pages().hot_added(), mib(32));
}

#[test]
fn demand_does_not_move_while_memory_does() {
    // The floor of a Linux guest is part of what it reports, and moves with its memory: left out here.
    let linux = VscConfig::linux().with(|c| c.floor = dm_vsc::Floor::MemoryManager);
    for mut pair in [Pair::windows(), Pair::opened(host_config(), linux)] {
        pair.host_time = millis(150);
        pair.run_until(seconds(60));
        let mut demands = Vec::new();
        for step in 0..40 {
            match step % 4 {
                0 | 1 => pair.shrink(mib(128)),
                2 => pair.grow(mib(200)),
                _ => pair.grow(mib(184)),
            }
            // Not a multiple of the reports' second, so that they come at any moment of an operation.
            pair.run_for(millis(2130));
            demands.extend(pair.events.drain(..).filter_map(|(_, event)| match event {
                Output::Status { demand, .. } => Some(demand),
                _ => None,
            }));
        }
        assert!(demands.len() > 80 && demands.iter().all(|&demand| demand == mib(256)), "{demands:?}");
        assert_eq!(pair.vsp.pages().hot_added(), mib(1280));
    }
}

#[test]
fn windows_gives_down_to_its_minimum_and_gets_it_back() {
    let mut pair = Pair::windows();
    pair.shrink(mib(900));
    pair.run_for(seconds(10));
    let (_, done, outcome) = pair.finished().unwrap();
    assert_eq!((done, outcome), (mib(768), Outcome::GuestAtMinimum));
    pair.grow(mib(768));
    pair.run_for(seconds(10));
    assert_eq!(pair.finished().unwrap().1, mib(768));
    assert!(pair.given_away().is_empty());
}

#[test]
fn linux_keeps_its_floor_and_its_blocks_are_merged() {
    let mut pair = Pair::linux();
    pair.shrink(mib(900));
    pair.run_for(seconds(10));
    // 1024 managed, 256 in use, floor 232.
    assert_eq!(pair.finished().unwrap().1, mib(536));
    assert_eq!(pair.given_away().run_count(), 1);
    assert_eq!(pair.vsp.statistics().ballooned, mib(536));
}

#[test]
fn linux_gets_new_memory_in_blocks() {
    let mut pair = Pair::linux();
    pair.grow(mib(300));
    pair.run_for(seconds(10));
    let (_, done, outcome) = pair.finished().unwrap();
    assert_eq!((done, outcome), (mib(256), Outcome::BelowGranule));
    assert_eq!(pair.memory.present.pages(), mib(1280));
    for _ in 0..3 {
        pair.grow(mib(128));
        pair.run_for(seconds(10));
        assert_eq!(pair.finished().unwrap().1, mib(128));
    }
    assert_eq!(pair.memory.present, *pair.vsp.pages().ram());
}

#[test]
fn a_guest_takes_no_more_than_its_limit() {
    let mut pair = Pair::windows();
    pair.memory.limit = mib(1100);
    pair.grow(mib(128));
    pair.run_for(seconds(10));
    assert_eq!(pair.finished().map(|end| (end.1, end.2)), Some((mib(76), Outcome::HotAddOver)));
    pair.check();
    pair.grow(mib(128));
    assert_eq!(pair.finished().map(|end| (end.1, end.2)), Some((PageCount::ZERO, Outcome::HotAddOver)));
}

#[test]
fn a_fragmented_balloon_comes_back_in_many_messages() {
    let mut pair = Pair::linux();
    // Every other page is somewhere else.
    pair.memory.present = pair.memory.present.runs().collect();
    let scattered: RangeSet<GuestPage> =
        (0..20_000u64).filter_map(|i| page_range::GuestRange::new(GuestPage(i * 2), PageCount(1))).collect();
    let rest = pair.memory.present.difference(&scattered);
    pair.memory.ballooned = rest.clone();
    pair.memory.in_use = PageCount::ZERO;
    pair.vsc = DmVsc::new(VscConfig::linux().with(|c| c.floor = dm_vsc::Floor::MemoryManager));
    pair.diverged = true;
    pair.host(Input::ChannelClosed);
    pair.open();
    pair.run_for(millis(1));
    pair.shrink(PageCount(20_000));
    pair.run_for(seconds(10));
    assert_eq!(pair.finished().map(|end| end.1), Some(PageCount(20_000)));
    assert_eq!(pair.given_away().run_count(), 20_000);
    pair.grow(PageCount(20_000));
    pair.run_for(seconds(10));
    assert_eq!(pair.finished().map(|end| end.1), Some(PageCount(20_000)));
    assert_eq!(pair.vsp.statistics().unballoon_requests, 3);
    assert_eq!(pair.memory.ballooned, rest);
}

#[test]
fn a_reboot_brings_boot_ram_back() {
    let mut pair = Pair::windows();
    pair.shrink(mib(100));
    pair.run_for(seconds(1));
    pair.grow(mib(300));
    pair.run_for(millis(100));
    assert!(pair.vsp.is_busy());
    pair.events.clear();
    pair.reset(VscConfig::windows(DriverVersion::V2_0));
    assert!(matches!(pair.finished(), Some((_, _, Outcome::Reset))));
    pair.run_for(seconds(1));
    assert_eq!(pair.vsp.pages().mapped(), mib(1024));
    assert!(pair.vsp.is_ready());
}
