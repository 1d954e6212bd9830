//! Whether the fuzz functions get anywhere.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Reached, fuzz_client, fuzz_server};

/// Bytes from a seed (splitmix64).
fn bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let word = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31).to_le_bytes()
    };
    core::iter::repeat_with(word).flatten().take(count).collect()
}

fn reached(fuzz: fn(&[u8]) -> Reached) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (name, count) in (0..2_000).flat_map(|seed| fuzz(&bytes(seed, 3_000)).names) {
        *all.entry(name).or_default() += count;
    }
    all
}

/// Random bytes lead a server into every state, and break every rule.
#[test]
fn random_guests_break_every_rule() {
    let reached = reached(fuzz_server);
    let all = [
        "AlreadyOpen",
        "BadContactTarget",
        "BadRingSplit",
        "Closed",
        "ContactOnWrongConnection",
        "DuplicateGpadl",
        "GpadlInUse",
        "GpadlNotReady",
        "GpadlOfOtherChannel",
        "GpadlOverrun",
        "InterruptsOff",
        "Malformed",
        "NeedlessBody",
        "NotConnected",
        "NotInVersion",
        "NotOpen",
        "OffersRequestedTwice",
        "Open",
        "Opening",
        "ReleasedInUse",
        "Rescinded",
        "TooManyGpadlPages",
        "TooManyGpadls",
        "Unannounced",
        "UnknownChannel",
        "UnknownGpadl",
        "UnknownProcessor",
        "WrongConnection",
    ];
    let missing: Vec<_> = all.into_iter().filter(|name| !reached.contains_key(*name)).collect();
    assert!(missing.is_empty(), "never reached: {missing:?} in {reached:?}");
}

/// Random bytes lead a client through everything it can report.
#[test]
fn random_hosts_break_every_rule() {
    let reached = reached(fuzz_client);
    let all = [
        "AllOffersDelivered",
        "Connected",
        "DuplicateOffer",
        "GpadlCreated",
        "GpadlTorndown",
        "HostBusy",
        "Malformed",
        "Modified",
        "NoAnswer",
        "NoVersion",
        "NotAsked",
        "NotPosted",
        "Offer",
        "Opened",
        "Post",
        "Rescinded",
        "RescindedTwice",
        "Status",
        "UnknownChannel",
        "Unloaded",
    ];
    let missing: Vec<_> = all.into_iter().filter(|name| !reached.contains_key(*name)).collect();
    assert!(missing.is_empty(), "never reached: {missing:?} in {reached:?}");
}
