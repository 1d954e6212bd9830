//! Guests that break rules.

use super::*;

#[test]
fn answers_that_claim_what_is_not_the_guests_close_the_channel() {
    let cases: [(&[(u64, u64)], Violation); 7] = [
        (&[(100, 0)], Violation::EmptyRange),
        (&[(64 * 256, 1)], Violation::OutsideMemory { range: range(64 * 256, 1) }),
        (&[(64 * 256 - 1, 2)], Violation::OutsideMemory { range: range(64 * 256 - 1, 2) }),
        (
            &[(WireRange::MAX_START, WireRange::MAX_COUNT)],
            Violation::OutsideMemory { range: range(WireRange::MAX_START, WireRange::MAX_COUNT) },
        ),
        (&[(0, 10), (5, 1)], Violation::Twice { range: range(5, 1) }),
        (&[(1010, 1)], Violation::NotOwned { range: range(1010, 1) }),
        (&[(990, 20)], Violation::NotOwned { range: range(990, 20) }),
    ];
    for (ranges, expected) in cases {
        let mut host = ready();
        host.balloon(&[(1000, 100)]);
        let mapped = host.map.mapped.clone();
        host.shrink(PageCount(10));
        let out = host.gives(true, ranges);
        assert_eq!(violation(&out), Some(&expected));
        assert_eq!(finished(&out), Some((PageCount::ZERO, Outcome::ProtocolError)));
        assert_eq!(host.map.mapped, mapped, "refused as a whole");
        assert_eq!(host.vsp.pages().stranded().pages(), PageCount(100));
        assert_eq!(
            host.gives(false, &[(0, 1)]),
            [Output::Ignored { message_type: None, why: Ignored::Closed }]
        );
        assert!(!host.vsp.is_ready() && !host.vsp.is_busy());
        assert!(matches!(host.grow(mib(2))[..], [Output::Rejected { why: Rejection::NotReady, .. }]));
        assert_eq!(host.input(Input::ChannelClosed), []);
        host.handshake(1);
        assert!(host.vsp.is_ready(), "a new channel starts anew");
    }
}

#[test]
fn a_guest_that_gives_away_its_own_ring_loses_its_channel() {
    let mut host = ready();
    host.map.pinned = range(50, 10).into();
    host.shrink(PageCount(100));
    host.gives(true, &[(0, 50)]);
    let out = host.gives(false, &[(50, 50)]);
    assert_eq!(violation(&out), Some(&Violation::ReleaseRefused { why: ReleaseRefused::Pinned }));
    assert_eq!(finished(&out), Some((PageCount(50), Outcome::ProtocolError)));
    assert_eq!(host.vsp.pages().stranded().pages(), PageCount(50));
}

#[test]
fn a_guest_that_uses_new_memory_and_refuses_it_loses_its_channel() {
    let mut host = ready();
    host.grow(mib(8));
    host.map.pinned = range(64 * 256 + 5, 1).into();
    let out = host.added(0, 0);
    assert_eq!(violation(&out), Some(&Violation::ReleaseRefused { why: ReleaseRefused::Pinned }));
    let finished = out.iter().find(|output| matches!(output, Output::Finished { .. }));
    let Some(Output::Finished { unconfirmed, .. }) = finished else { panic!("{out:?}") };
    assert_eq!(*unconfirmed, mib(8), "it stays mapped and charged");
    assert_eq!(host.vsp.pages().mapped(), mib(72));
}

#[test]
fn messages_that_claim_more_than_they_have_close_the_channel() {
    let mut beyond_packet = vectors::bytes("DM7").to_vec();
    beyond_packet[2] = 200;
    let mut beyond_message = vectors::bytes("DM7").to_vec();
    beyond_message[12] = 200;
    for bytes in [beyond_packet, beyond_message] {
        let mut host = ready();
        let out = host.input(Input::Packet(bytes));
        assert!(matches!(violation(&out), Some(Violation::Malformed { .. })), "{out:?}");
        assert_eq!(host.vsp.statistics().protocol_errors, 1);
    }
}

#[test]
fn answers_that_come_twice_are_dropped_or_found_out() {
    let mut host = ready();
    host.balloon(&[(0, 100)]);
    let unexpected = Output::Ignored { message_type: Some(7), why: Ignored::Unexpected };
    assert_eq!(host.gives(false, &[(0, 100)]), [unexpected], "nothing was asked");
    host.shrink(PageCount(100));
    let out = host.gives(false, &[(0, 100)]);
    assert_eq!(violation(&out), Some(&Violation::NotOwned { range: range(0, 100) }));

    let mut host = ready();
    host.grow(mib(2));
    host.added(512, 1);
    let unexpected = Output::Ignored { message_type: Some(11), why: Ignored::Unexpected };
    assert_eq!(host.added(512, 1), [unexpected]);
}

#[test]
fn a_flood_of_empty_answers_neither_ends_nor_extends_the_wait() {
    let mut host = ready();
    host.shrink(PageCount(10));
    for _ in 0..1000 {
        assert_eq!(host.gives(true, &[]), []);
    }
    assert_eq!(host.vsp.next_timeout(), Some(seconds(30)));
}

/// Answers of one page each that say that more follow, while the host has not unmapped the first yet: what the host is asked to
/// do does not grow with their number, and neither does what one of them costs.
#[test]
fn single_pages_pile_up_as_pages_and_not_as_work() {
    let layout = GuestLayout::flat(mib(1024), mib(1024)).unwrap();
    let mut host = ready_with(config().with(|c| c.layout = layout), 1);
    host.held_back = Some(Vec::new());
    host.shrink(PageCount(50_000));
    for n in 0..50_000 {
        host.gives(true, &[(n * 2, 1)]);
        assert_eq!(host.held_back.as_ref().unwrap().len(), 1, "one release at a time");
    }
    let out = host.gives(true, &[(200_000, 1000)]);
    assert!(matches!(violation(&out), Some(Violation::MoreThanAsked { .. })));
    // What waits is released in one go, and all of it is accounted for.
    let first = host.held_back.replace(Vec::new()).unwrap().remove(0);
    host.input(first);
    let rest = host.held_back.take().unwrap();
    assert_eq!(rest.len(), 1);
    let out = host.input(rest[0].clone());
    assert_eq!(finished(&out), Some((PageCount(50_000), Outcome::ProtocolError)));
    assert_eq!(host.vsp.pages().stranded().pages(), PageCount(50_000));
}

/// A guest whose memory is holes of one page, more of them than are searched for whole blocks: what a grow sends at once, and what closing the
/// channel does, is the same for any number of holes, and every page is accounted for.
#[test]
fn a_shredded_balloon_is_given_back_in_pieces_of_one_size() {
    let grown = |holes: u64| {
        let layout = GuestLayout::flat(mib(2048), mib(2048)).unwrap();
        let mut host = ready_with(config().with(|c| c.layout = layout), 1);
        // The whole map is not compared after each of a thousand messages.
        host.held_back = Some(Vec::new());
        let answered = |host: &mut Host, mut out: Vec<Output>| {
            while let Some(answer) = host.held_back.as_mut().and_then(Vec::pop) {
                out.extend(host.input(answer));
            }
            out
        };
        host.shrink(PageCount(holes));
        let all: Vec<(u64, u64)> = (0..holes).map(|n| (n * 2, 1)).collect();
        let mut answers = all.chunks(500).peekable();
        let mut out = Vec::new();
        while let Some(answer) = answers.next() {
            let given = host.gives(answers.peek().is_some(), answer);
            out = answered(&mut host, given);
        }
        assert_eq!(finished(&out), Some((PageCount(holes), Outcome::Complete)));
        assert_eq!(host.vsp.pages().ballooned().run_count() as u64, holes);
        let sizes = |out: &[Output]| {
            let messages = sent(out).into_iter().filter_map(|packet| match packet.message {
                Message::UnballoonRequest(request) => Some(request.ranges.len()),
                _ => None,
            });
            messages.collect::<Vec<_>>()
        };
        let out = host.grow(PageCount(50_000));
        let out = answered(&mut host, out);
        let mut transactions = vec![sizes(&out)];
        let done = loop {
            let out = host.took();
            let out = answered(&mut host, out);
            if let Some(done) = finished(&out) {
                break done;
            }
            transactions.push(sizes(&out));
        };
        assert_eq!(done, (PageCount(50_000), Outcome::Complete));
        let out = host.input(Input::ChannelClosed);
        assert_eq!(host.vsp.pages().stranded().pages(), PageCount(holes - 50_000));
        assert_eq!(host.vsp.pages().mapped(), mib(2048) - PageCount(holes - 50_000));
        (transactions, out.len())
    };
    let (transactions, outputs) = grown(60_000);
    // 16 messages of 506 ranges are what the ring takes; the last has what is left of 50 000 pages.
    assert_eq!(transactions.len(), 7);
    assert!(transactions[..6].iter().all(|sizes| *sizes == [506; 16]), "{transactions:?}");
    assert_eq!(transactions[6].iter().sum::<usize>(), 50_000 - 6 * 16 * 506);
    assert_eq!(grown(100_000), (transactions, outputs));
}

/// A request for 1000 pages, and 2000 blocks of 2 MiB in answer.
#[test]
fn no_more_is_given_than_asked() {
    let layout = GuestLayout::flat(mib(4096), mib(4096)).unwrap();
    let mut host = ready_with(config().with(|c| c.layout = layout), 1);
    host.shrink(PageCount(1000));
    let answers = (0..2000).take_while(|n| violation(&host.gives(true, &[(n * 512, 512)])).is_none());
    assert_eq!(answers.count(), 2);
    assert_eq!(host.vsp.pages().mapped(), mib(4092));
}

#[test]
fn pages_under_release_cannot_be_given_again() {
    let mut host = ready();
    host.held_back = Some(Vec::new());
    host.shrink(PageCount(20));
    host.gives(true, &[(0, 10)]);
    let out = host.gives(true, &[(9, 1)]);
    assert_eq!(violation(&out), Some(&Violation::NotOwned { range: range(9, 1) }));
    // The release that is on its way is still waited for.
    assert!(host.vsp.is_busy());
    let answer = host.held_back.take().unwrap().remove(0);
    assert_eq!(finished(&host.input(answer)), Some((PageCount(10), Outcome::ProtocolError)));
}
