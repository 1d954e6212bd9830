//! Saved states of a host's side, each with one thing in it that cannot be, and next to it what just can.

use alloc::string::{String, ToString};
use alloc::vec;

use serde_json::{Value, json};

use super::*;

/// The list of ten pages that the channel of [`Host::opened`] is open on.
const OPEN_LIST: &str = "925200";

/// The state of a host with one channel, open on its list.
fn saved() -> Value {
    serde_json::to_value(Host::opened(Version::WIN10).server.save()).unwrap()
}

fn restore_with(change: impl FnOnce(&mut ServerConfig), saved: Value) -> Result<Vec<Output>, String> {
    let mut config = Host::opened(Version::WIN10).server.config().clone();
    change(&mut config);
    let saved = serde_json::from_value(saved).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    Server::restore(config, saved, &mut out).map(|_| out).map_err(|error| error.to_string())
}

/// Restores the state of [`saved`] after a change of what is in it.
fn changed(change: impl FnOnce(&mut Value)) -> Result<Vec<Output>, String> {
    let mut saved = saved();
    change(&mut saved["state"]);
    restore_with(|_| (), saved)
}

fn contradicts(what: &str) -> Result<Vec<Output>, String> {
    Err(alloc::format!("saved VMBus state contradicts itself: {what}"))
}

fn pages(count: usize) -> Vec<u64> {
    (0..count as u64).collect()
}

/// A second list of the channel, with these pages and in this state.
fn with_list(pages: &[u64], state: &Value) -> Result<Vec<Output>, String> {
    changed(|saved| saved["gpadls"]["7"] = json!({ "relid": 1, "pages": pages, "state": state }))
}

#[test]
fn a_list_in_a_state_that_cannot_be_is_refused() {
    let impossible = contradicts("a GPADL of an impossible state");
    let assembling = |announced: usize| json!({ "Assembling": { "announced": announced } });
    assert_eq!(with_list(&pages(2), &assembling(3)), Ok(vec![]));
    assert_eq!(with_list(&pages(2), &assembling(2)), impossible);
    assert_eq!(with_list(&pages(2), &assembling(8190)), Ok(vec![]));
    assert_eq!(with_list(&pages(2), &assembling(8191)), impossible);

    assert_eq!(with_list(&pages(4), &json!("Ready")), Ok(vec![]));
    assert_eq!(with_list(&[], &json!("Ready")), impossible);

    let refusing = |missing: usize| json!({ "Refusing": { "missing": missing } });
    assert_eq!(with_list(&[], &refusing(1)), Ok(vec![]));
    assert_eq!(with_list(&[], &refusing(0)), impossible);
    assert_eq!(with_list(&pages(1), &refusing(1)), impossible);
    assert_eq!(with_list(&[], &refusing(8190)), Ok(vec![]));
    assert_eq!(with_list(&[], &refusing(8191)), impossible);

    // The owner is asked again; of requests that were never made there are none.
    let next = saved()["state"]["next_request"].as_u64().unwrap();
    let establishing = |request: u64| json!({ "Establishing": { "request": request } });
    let asked = with_list(&pages(4), &establishing(next - 1)).unwrap();
    assert!(
        matches!(&asked[..], [Output::EstablishGpadl { gpadl: GpadlId(7), pages, .. }] if pages.len() == 4),
        "{asked:?}"
    );
    assert_eq!(with_list(&pages(4), &establishing(next)), impossible);
    assert_eq!(with_list(&[], &establishing(0)), impossible);
}

#[test]
fn a_list_that_was_only_acknowledged_belongs_to_a_rescinded_channel() {
    let with = |state: &str, pages: &[u64]| {
        changed(|saved| {
            saved["channels"]["1"]["state"] = state.into();
            saved["gpadls"] = json!({ "7": { "relid": 1, "pages": pages, "state": "Acknowledged" } });
        })
    };
    assert_eq!(with("Rescinded", &[]), Ok(vec![]));
    assert_eq!(with("Rescinded", &[5]), contradicts("a GPADL of an impossible state"));
    assert_eq!(with("Closed", &[]), contradicts("a GPADL of an impossible state"));
    assert_eq!(with("Unannounced", &[]), contradicts("a GPADL of a channel the guest does not know"));
}

#[test]
fn no_request_is_asked_twice() {
    let establishing = json!({ "relid": 1, "pages": [1, 2], "state": { "Establishing": { "request": 0 } } });
    let two = changed(|saved| {
        saved["gpadls"]["7"] = establishing.clone();
        saved["gpadls"]["8"] = establishing.clone();
    });
    assert_eq!(two, contradicts("a GPADL of an impossible state"));
    let opening = |request: u64, list: bool| {
        changed(|saved| {
            let rings = saved["channels"]["1"]["state"]["Open"]["rings"].clone();
            saved["channels"]["1"]["state"] =
                json!({ "Opening": { "request": request, "open_id": 1, "rings": rings } });
            if list {
                saved["gpadls"]["7"] = establishing.clone();
            }
        })
    };
    let next = saved()["state"]["next_request"].as_u64().unwrap();
    assert!(matches!(&opening(0, false).unwrap()[..], [Output::Open { request: RequestId(0), .. }]));
    assert_eq!(opening(next, false), contradicts("a request asked twice"));
    assert_eq!(opening(0, true), contradicts("a request asked twice"));
}

#[test]
fn lists_up_to_the_limits_are_restored_and_no_more() {
    let limits = |gpadls, gpadl_pages| {
        restore_with(|config| config.limits = Limits { gpadls, gpadl_pages }, saved()).map(|_| ())
    };
    let too_many = contradicts("more GPADLs than the limits allow").map(|_| ());
    assert_eq!(limits(1, 10), Ok(()));
    assert_eq!(limits(0, 10), too_many);
    assert_eq!(limits(1, 9), too_many);
}

#[test]
fn a_channel_is_open_on_a_list_of_its_own_that_is_ready() {
    let none = contradicts("a channel open on no GPADL of its own");
    let unready =
        changed(|saved| saved["gpadls"][OPEN_LIST]["state"] = json!({ "Assembling": { "announced": 11 } }));
    assert_eq!(unready, none);
    let others = changed(|saved| {
        let mut other = saved["channels"]["1"].clone();
        other["state"] = "Closed".into();
        saved["channels"]["2"] = other;
        saved["gpadls"][OPEN_LIST]["relid"] = 2.into();
    });
    assert_eq!(others, none);
    let of_no_channel = changed(|saved| saved["gpadls"][OPEN_LIST]["relid"] = 9.into());
    assert_eq!(of_no_channel, contradicts("a GPADL of no channel"));
}

#[test]
fn a_channel_that_the_guest_knows_needs_contact_and_offers() {
    let without = contradicts("a channel in use without contact");
    assert_eq!(changed(|saved| saved["contact"] = Value::Null), without);
    assert_eq!(changed(|saved| saved["contact"]["offers_requested"] = false.into()), without);
    let unannounced = changed(|saved| {
        saved["contact"] = Value::Null;
        saved["gpadls"] = json!({});
        saved["channels"]["1"]["state"] = "Unannounced".into();
    });
    assert_eq!(unannounced, Ok(vec![]));
}

#[test]
fn a_version_is_restored_up_to_the_newest_configured() {
    let restored = |version: Version, max: Version| {
        let mut saved = saved();
        saved["state"]["contact"]["version"] = version.0.into();
        restore_with(|config| config.max_version = max, saved).map(|_| ())
    };
    assert_eq!(restored(Version::WIN10, Version::WIN10), Ok(()));
    let refused =
        |version| Err(alloc::format!("saved VMBus state speaks version {version}, which is not configured"));
    assert_eq!(restored(Version::WIN10_RS3, Version::WIN10), refused("4.1"));
    assert_eq!(restored(Version::new(4, 2), Version::WS2022), refused("4.2"));
}
