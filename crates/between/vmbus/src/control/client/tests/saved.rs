//! Saved states of a guest's side, each with one thing in it that cannot be, and next to it what just can.

use alloc::string::{String, ToString};

use serde_json::{Value, json};

use super::*;

/// The list that the channel of the saved guest is open on.
const OPEN_LIST: &str = "925200";

/// Restores the state of a guest with one channel, open on its list, after a change of what is in it.
fn changed(change: impl FnOnce(&mut Value)) -> Result<(), String> {
    let guest = Guest::opened(Version::WS2022);
    let mut saved = serde_json::to_value(guest.client.save()).unwrap();
    change(&mut saved["state"]);
    let saved = serde_json::from_value(saved).map_err(|error| error.to_string())?;
    Client::restore(guest.client.config().clone(), saved).map(|_| ()).map_err(|error| error.to_string())
}

fn contradicts(what: &str) -> Result<(), String> {
    Err(alloc::format!("saved VMBus state contradicts itself: {what}"))
}

/// A state without channels, in this connection.
fn in_connection(connection: &Value, change: impl FnOnce(&mut Value)) -> Result<(), String> {
    changed(|saved| {
        saved["channels"] = json!({});
        saved["gpadls"] = json!({});
        saved["connection"] = connection.clone();
        change(saved);
    })
}

#[test]
fn contact_is_made_with_a_version_that_is_configured_and_spoken() {
    let versions = Guest::opened(Version::WS2022).client.config().versions.len();
    let contacting = |attempt: usize| in_connection(&json!({ "Contacting": { "attempt": attempt } }), |_| ());
    assert_eq!(contacting(0), Ok(()));
    assert_eq!(contacting(versions - 1), Ok(()));
    assert_eq!(contacting(versions), contradicts("a contact for a version that is not configured"));
    assert_eq!(
        changed(|saved| saved["connection"]["Connected"]["version"] = 7.into()),
        contradicts("contact in a version nobody speaks")
    );
}

#[test]
fn only_what_is_unanswered_is_waited_for() {
    let (disconnected, unloading) = (json!("Disconnected"), json!("Unloading"));
    let contacting = json!({ "Contacting": { "attempt": 0 } });
    let wish = |saved: &mut Value| saved["wish"] = "Connect".into();
    assert_eq!(in_connection(&unloading, wish), Ok(()));
    assert_eq!(in_connection(&contacting, wish), Ok(()));
    assert_eq!(in_connection(&disconnected, wish), contradicts("a wish that waits for nothing"));
    assert_eq!(in_connection(&disconnected, |_| ()), Ok(()));
    let waits = |saved: &mut Value| saved["reply_by"] = json!({ "secs": 1, "nanos": 0 });
    assert_eq!(in_connection(&contacting, waits), Ok(()));
    assert_eq!(changed(waits), contradicts("a wait for contact that has been made"));
}

#[test]
fn channels_and_lists_need_contact() {
    let without = contradicts("channels without contact");
    let disconnected = |saved: &mut Value| saved["connection"] = "Disconnected".into();
    assert_eq!(changed(disconnected), without);
    assert_eq!(
        changed(|saved| {
            disconnected(saved);
            saved["channels"] = json!({});
        }),
        without,
        "a list alone"
    );
    assert_eq!(
        changed(|saved| {
            disconnected(saved);
            saved["gpadls"] = json!({});
            saved["channels"]["1"]["ring"] = "Closed".into();
        }),
        without,
        "a channel alone"
    );
}

#[test]
fn a_channel_is_open_on_a_created_list_of_its_own() {
    assert_eq!(changed(|_| ()), Ok(()));
    let none = contradicts("a channel open on no GPADL of its own");
    for state in ["Creating", "TearingDown"] {
        assert_eq!(changed(|saved| saved["gpadls"][OPEN_LIST]["state"] = state.into()), none, "{state}");
    }
    let others = changed(|saved| {
        let mut other = saved["channels"]["1"].clone();
        (other["offer"]["relid"], other["ring"]) = (2.into(), "Closed".into());
        saved["channels"]["2"] = other;
        saved["gpadls"][OPEN_LIST]["relid"] = 2.into();
    });
    assert_eq!(others, none);
    let closed = changed(|saved| {
        saved["channels"]["1"]["ring"] = "Closed".into();
        saved["gpadls"][OPEN_LIST]["relid"] = 2.into();
    });
    assert_eq!(closed, contradicts("a GPADL of no channel"));
    let renamed = changed(|saved| saved["channels"]["1"]["offer"]["relid"] = 2.into());
    assert_eq!(renamed, contradicts("a channel under another's id"));
}

#[test]
fn what_waits_to_be_posted_are_messages_of_a_guest() {
    let waiting = |payload: &[u8]| {
        changed(|saved| {
            let message = json!({ "connection_id": 1, "payload": payload, "attempts": 0 });
            saved["outbox"]["waiting"] = json!([message]);
        })
    };
    assert_eq!(waiting(&Message::RequestOffers.to_payload()), Ok(()));
    assert_eq!(waiting(&[1, 2, 3]), contradicts("a message that is none"));
}
