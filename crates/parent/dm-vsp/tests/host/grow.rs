//! Giving pages: back, or new.

use super::*;
use dm_protocol::{HotAddRequest, UnballoonRequest};

fn hot_add(outputs: &[Output]) -> Option<(u64, u64)> {
    sent(outputs).iter().find_map(|packet| match packet.message {
        Message::HotAddRequest(HotAddRequest { range, region }) => {
            assert_eq!(region, Some(range));
            Some((range.start(), range.count()))
        }
        _ => None,
    })
}

fn returned(outputs: &[Output]) -> Vec<(bool, Vec<(u64, u64)>)> {
    let requests = sent(outputs).into_iter().filter_map(|packet| match packet.message {
        Message::UnballoonRequest(UnballoonRequest { more_pages, ranges }) => {
            Some((more_pages, ranges.iter().map(|range| (range.start(), range.count())).collect()))
        }
        _ => None,
    });
    requests.collect()
}

#[test]
fn what_was_given_comes_back_first_and_exactly() {
    let mut host = ready();
    host.balloon(&[(512, 1024), (5000, 7)]);
    let out = host.grow(PageCount(512 + 3));
    assert_eq!(returned(&out), [(false, vec![(512, 512), (5000, 3)])]);
    let out = host.took();
    assert_eq!(finished(&out), Some((PageCount(515), Outcome::Complete)));
    assert_eq!(host.vsp.pages().ballooned().runs().collect::<Vec<_>>(), [range(1024, 512), range(5003, 4)]);
}

#[test]
fn the_rest_is_added_in_whole_granules() {
    let mut host = ready();
    host.balloon(&[(0, 100)]);
    let out = host.grow(PageCount(100 + 2 * 512 + 7));
    assert_eq!(returned(&out), [(false, vec![(0, 100)])]);
    let out = host.took();
    assert_eq!(hot_add(&out), Some((64 * 256, 1024)));
    let out = host.added(1024, 1);
    let expected = Output::Finished {
        kind: OperationKind::Grow,
        requested: PageCount(1131),
        done: PageCount(1124),
        unballooned: PageCount(100),
        hot_added: PageCount(1024),
        unconfirmed: PageCount::ZERO,
        outcome: Outcome::BelowGranule,
    };
    assert_eq!(out, [expected]);
    assert_eq!(host.vsp.pages().hot_added(), PageCount(1024));
    assert_eq!(host.vsp.statistics().hot_add_requests, 1);
    // Hot-added memory can be given away like any other.
    host.balloon(&[(64 * 256 - 1, 513)]);
}

#[test]
fn linux_gets_multiples_of_its_memory_block() {
    let mut host = ready_with(config(), 7);
    let out = host.grow(mib(200));
    assert_eq!(hot_add(&out), Some((128 * 256, 128 * 256)), "aligned, one block");
    assert_eq!(finished(&host.added(128 * 256, 1)), Some((mib(128), Outcome::BelowGranule)));
    let out = host.grow(mib(256));
    assert_eq!(hot_add(&out), Some((256 * 256, 256 * 256)));
}

#[test]
fn large_hot_adds_are_cut_and_the_window_ends() {
    let mut host = ready_with(config().with(|c| c.hot_add_request_pages = mib(512)), 7);
    host.map.frames = mib(10_000);
    let mut out = host.grow(mib(5000));
    let mut starts = Vec::new();
    while let Some((start, count)) = hot_add(&out) {
        starts.push((start / 256, count / 256));
        out = host.added(count, 1);
    }
    let expected: Vec<_> = (0..7).map(|i| (128 + i * 512, 512)).chain([(3712, 384)]).collect();
    assert_eq!(starts, expected);
    assert_eq!(finished(&out), Some((mib(3968), Outcome::NoRoom)));
}

#[test]
fn the_published_form_of_0_3_has_no_region() {
    for (version, bytes) in [("DM1d", 16), ("DM1", 24)] {
        let mut host = host(config());
        host.input(Input::ChannelOpened);
        host.vector(version);
        host.vector("DM3");
        let out = host.grow(mib(128));
        let [Packet { message: Message::HotAddRequest(request), .. }] = sent(&out)[..] else { panic!() };
        assert_eq!(request.region.is_some(), bytes == 24);
        let sizes: Vec<usize> = out.iter().filter_map(payload).collect();
        assert_eq!(sizes, [bytes]);
    }
}

fn payload(output: &Output) -> Option<usize> {
    match output {
        Output::Send { bytes, .. } => Some(bytes.len()),
        _ => None,
    }
}

#[test]
fn the_short_form_has_no_region() {
    let mut host = ready_with(config().with(|c| c.hot_add_form = HotAddForm::RangeOnly), 1);
    let out = host.grow(mib(2));
    let [Packet { message: Message::HotAddRequest(request), .. }] = sent(&out)[..] else { panic!() };
    assert_eq!(request.region, None);
}

#[test]
fn many_ranges_take_many_messages_of_one_transaction_and_many_transactions() {
    let layout = GuestLayout::flat(mib(256), mib(256)).unwrap();
    let mut host = ready_with(config().with(|c| c.layout = layout), 1);
    // As many as fit a ring with one data page: 16 + 506 × 8 bytes, with descriptor and trailer less than 4096.
    let count = 17 * 506u64;
    let ranges: Vec<_> = (0..count).map(|i| (i * 2, 1)).collect();
    host.shrink(PageCount(count));
    let chunks: Vec<_> = ranges.chunks(510).collect();
    for (i, chunk) in chunks.iter().enumerate() {
        host.gives(i + 1 < chunks.len(), chunk);
    }
    let out = host.grow(PageCount(count));
    let messages = returned(&out);
    let sizes: Vec<_> = messages.iter().map(|(more, ranges)| (*more, ranges.len())).collect();
    let mut expected = vec![(true, 506); 15];
    expected.push((false, 506));
    assert_eq!(sizes, expected);
    let ids: Vec<_> = sent(&out).iter().map(|packet| packet.trans_id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    let out = host.took();
    assert_eq!(returned(&out).len(), 1);
    assert_eq!(sent(&out)[0].trans_id, ids[0] + 1);
    assert_eq!(finished(&host.took()), Some((PageCount(count), Outcome::Complete)));
}

#[test]
fn a_part_of_new_memory_stays_and_the_rest_goes_home() {
    let mut host = ready();
    let frames = host.map.frames;
    host.grow(mib(8));
    let out = host.added(700, 1);
    assert_eq!(finished(&out), Some((PageCount(700), Outcome::HotAddOver)));
    assert_eq!(host.map.frames, frames - PageCount(700));
    assert!(host.map.mapped.contains_range(range(64 * 256, 700)));
    assert_eq!(host.vsp.hot_add_state(), HotAddState::Over, "an upper barrier");
    assert_eq!(finished(&host.grow(mib(8))), Some((PageCount::ZERO, Outcome::HotAddOver)));
    host.map.reset(&host.vsp.config().layout);
    host.input(Input::Reset);
    host.handshake(1);
    assert_eq!(hot_add(&host.grow(mib(8))), Some((64 * 256, 2048)));
}

#[test]
fn pages_taken_are_taken_whatever_the_result_says() {
    let mut host = ready();
    host.grow(mib(8));
    assert_eq!(finished(&host.added(700, 0)), Some((PageCount(700), Outcome::HotAddOver)));
    let mut host = ready();
    host.grow(mib(8));
    assert_eq!(finished(&host.added(u32::MAX.into(), 0)), Some((mib(8), Outcome::Complete)));
}

#[test]
fn a_refusal_for_good_lasts_until_the_reset() {
    let mut host = ready();
    host.grow(mib(8));
    let out = host.added(0, 1);
    assert_eq!(finished(&out), Some((PageCount::ZERO, Outcome::HotAddOver)));
    assert_eq!(host.map.mapped.pages(), mib(64));
    host.input(Input::ChannelClosed);
    host.handshake(1);
    assert_eq!(finished(&host.grow(mib(8))), Some((PageCount::ZERO, Outcome::HotAddOver)));
    host.balloon(&[(0, 10)]);
    assert_eq!(returned(&host.grow(PageCount(10))).len(), 1, "what was given can still be returned");
}

#[test]
fn a_refusal_for_now_is_tried_again_later_and_less_and_less_often() {
    let mut host = ready();
    let mut waits = Vec::new();
    loop {
        let out = host.grow(mib(8));
        let place = 64 * 256 + 2048 * waits.len() as u64;
        assert_eq!(hot_add(&out), Some((place, 2048)), "never a place again that was refused");
        let Some((PageCount::ZERO, outcome)) = finished(&host.added(0, 0)) else { panic!() };
        assert_eq!(host.map.mapped.pages(), mib(64));
        let Outcome::HotAddLater { not_before } = outcome else {
            assert_eq!(outcome, Outcome::HotAddOver);
            break;
        };
        waits.push((not_before - host.now).as_secs());
        host.now = not_before - Duration::from_millis(1);
        assert_eq!(finished(&host.grow(mib(8))), Some((PageCount::ZERO, outcome)), "too early");
        host.now = not_before;
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300]);
}

#[test]
fn success_forgets_refusals() {
    let mut host = ready();
    host.grow(mib(2));
    host.added(0, 0);
    host.now += seconds(5);
    host.grow(mib(2));
    host.added(512, 1);
    assert_eq!(host.vsp.hot_add_state(), HotAddState::Available);
    host.grow(mib(2));
    assert!(matches!(host.added(0, 0)[..], [Output::Finished {
        outcome: Outcome::HotAddLater { not_before }, ..
    }] if not_before == host.now + seconds(5)));
}

#[test]
fn without_frames_nothing_is_asked() {
    let mut host = ready();
    host.map.frames = PageCount::ZERO;
    let out = host.grow(mib(8));
    let outcome = Outcome::NotMapped(MapRefused::NoFrames);
    assert_eq!((sent(&out).len(), finished(&out)), (0, Some((PageCount::ZERO, outcome))));
    host.balloon(&[(0, 100)]);
    host.map.frames = PageCount::ZERO;
    let out = host.grow(PageCount(100));
    assert_eq!((sent(&out).len(), finished(&out)), (0, Some((PageCount::ZERO, outcome))));
    assert_eq!(host.vsp.pages().ballooned().pages(), PageCount(100));
}

#[test]
fn new_memory_that_is_not_answered_for_stays_mapped() {
    let mut host = ready();
    host.grow(mib(8));
    assert_eq!(host.vsp.next_timeout(), Some(seconds(35)));
    assert_eq!(host.wait(seconds(35)), [Output::Unresponsive { waiting_for: Waiting::HotAdd }]);
    assert_eq!(host.map.mapped.pages(), mib(72), "the guest may use it any moment");
    assert_eq!(host.vsp.pages().mapped(), mib(72));
    assert!(matches!(host.grow(mib(2))[..], [Output::Rejected { why: Rejection::Busy, .. }]));
    let mut late = host.clone();
    let out = late.added(2048, 1);
    assert_eq!((&out[0], finished(&out)), (&Output::Responsive, Some((mib(8), Outcome::Complete))));
    let mut refused = host.clone();
    let out = refused.added(0, 0);
    assert!(matches!(finished(&out), Some((PageCount::ZERO, Outcome::HotAddLater { .. }))));
    assert_eq!(refused.map.mapped.pages(), mib(64));
    // Closed: it is still not known, and stays so until the reset; later memory comes behind it.
    let out = host.input(Input::ChannelClosed);
    assert!(
        matches!(out[..], [Output::Finished { unconfirmed, done: PageCount::ZERO, .. }] if unconfirmed == mib(8))
    );
    host.handshake(1);
    assert!(!host.vsp.is_unresponsive());
    assert_eq!(hot_add(&host.grow(mib(2))), Some((72 * 256, 512)));
    host.added(512, 1);
    host.balloon(&[(64 * 256, 2048)]);
}

#[test]
fn returned_memory_that_is_not_answered_for_stays_mapped() {
    let mut host = ready();
    host.balloon(&[(0, 100)]);
    host.grow(PageCount(40));
    assert_eq!(host.wait(seconds(10)), [Output::Unresponsive { waiting_for: Waiting::Unballoon }]);
    let mut late = host.clone();
    assert_eq!(finished(&late.took()), Some((PageCount(40), Outcome::Complete)));
    let out = host.input(Input::ChannelClosed);
    assert!(matches!(out[..], [Output::Finished { unconfirmed: PageCount(40), .. }]));
    let pages = host.vsp.pages();
    assert_eq!((pages.stranded().pages(), pages.mapped()), (PageCount(60), mib(64) - PageCount(60)));
    // The guest had taken it, and gives it away again.
    host.handshake(1);
    host.balloon(&[(0, 40)]);
}

#[test]
fn a_map_that_comes_too_late_is_undone() {
    for kind in [MapKind::Unballoon, MapKind::HotAdd] {
        for pinned in [false, true] {
            let mut host = ready();
            host.balloon(&[(0, 512)]);
            if kind == MapKind::HotAdd {
                host.map.reset(&host.vsp.config().layout);
                host.input(Input::Reset);
                host.handshake(1);
            }
            let before = host.map.mapped.clone();
            host.held_back = Some(Vec::new());
            host.grow(mib(2));
            assert_eq!(host.input(Input::ChannelClosed), []);
            if pinned {
                host.map.pinned = host.map.mapped.difference(&before);
            }
            let answer = host.held_back.take().unwrap().remove(0);
            let out = host.input(answer);
            let outcome = Some((PageCount::ZERO, Outcome::ChannelClosed));
            assert_eq!((sent(&out).len(), finished(&out)), (0, outcome), "{out:?}");
            assert_eq!(host.map.mapped == before, !pinned);
        }
    }
}

#[test]
fn a_ticket_of_before_the_reset_is_void() {
    let mut host = ready();
    host.held_back = Some(Vec::new());
    host.grow(mib(2));
    let answer = host.held_back.take().unwrap().remove(0);
    host.map.reset(&host.vsp.config().layout);
    assert!(matches!(finished(&host.input(Input::Reset)), Some((PageCount::ZERO, Outcome::Reset))));
    assert_eq!(host.input(answer), []);
}

#[test]
fn a_ticket_of_before_the_reset_is_not_taken_for_one_of_after_it() {
    for kind in [MapKind::Unballoon, MapKind::HotAdd] {
        let mut host = ready();
        let ask = |host: &mut Host| {
            if kind == MapKind::Unballoon {
                host.balloon(&[(0, 512)]);
            }
            host.held_back = Some(Vec::new());
            assert_eq!(host.grow(mib(2)), []);
            host.held_back.take().unwrap().remove(0)
        };
        let old = ask(&mut host);
        host.map.reset(&host.vsp.config().layout);
        host.input(Input::Reset);
        host.handshake(1);
        let new = ask(&mut host);
        host.held_back = Some(Vec::new());
        assert_eq!(host.input(old), [], "{kind:?}");
        assert_eq!(sent(&host.input(new)).len(), 1, "{kind:?}");
    }
}
