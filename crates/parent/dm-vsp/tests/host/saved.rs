//! Saving and restoring, in every state.

use super::*;

/// A host in every state that can be told apart, with its name.
fn states() -> Vec<(&'static str, Host)> {
    let slow = || config().with(|c| c.quiet_period = seconds(50));
    let mut states = vec![("closed", host(config()))];
    let mut host = host(slow());
    host.input(Input::ChannelOpened);
    states.push(("version", host.clone()));
    let mut refused = host.clone();
    refused.message(Message::VersionRequest(dm_protocol::VersionRequest {
        version: dm_protocol::Version(9),
        is_last_attempt: true,
    }));
    states.push(("refused", refused));
    host.vector("DM1");
    states.push(("capabilities", host.clone()));
    host.vector("DM3");
    states.push(("quiet", host));
    let mut host = ready();
    states.push(("ready", host.clone()));
    host.balloon(&[(0, 100)]);
    states.push(("ballooned", host.clone()));
    let with_op = |change: &dyn Fn(&mut Host)| {
        let mut changed = host.clone();
        changed.held_back = Some(Vec::new());
        change(&mut changed);
        changed
    };
    states.push(("ballooning", with_op(&|host| drop(host.shrink(PageCount(10))))));
    states.push((
        "releasing",
        with_op(&|host| {
            host.shrink(PageCount(10));
            host.gives(true, &[(200, 5)]);
        }),
    ));
    states.push((
        "answered and releasing",
        with_op(&|host| {
            host.shrink(PageCount(10));
            host.gives(false, &[(200, 5)]);
        }),
    ));
    states.push(("mapping to return", with_op(&|host| drop(host.grow(PageCount(10))))));
    states.push((
        "undoing a map",
        with_op(&|host| {
            host.grow(PageCount(10));
            host.input(Input::ChannelClosed);
        }),
    ));
    let map_answered = |host: &mut Host| {
        let answer = host.held_back.as_mut().unwrap().remove(0);
        host.input(answer);
    };
    states.push((
        "returning",
        with_op(&|host| {
            host.grow(PageCount(10));
            map_answered(host);
        }),
    ));
    let mut empty = ready();
    empty.held_back = Some(Vec::new());
    empty.grow(mib(8));
    states.push(("mapping to add", empty.clone()));
    map_answered(&mut empty);
    states.push(("adding", empty.clone()));
    let mut late = empty.clone();
    late.wait(seconds(100));
    assert!(late.vsp.is_unresponsive());
    states.push(("late", late));
    let mut refusing = empty.clone();
    refusing.added(0, 0);
    states.push(("taking refused memory back", refusing.clone()));
    map_answered(&mut refusing);
    states.push(("refused for now", refusing));
    let mut over = empty.clone();
    over.added(5, 1);
    map_answered(&mut over);
    states.push(("hot-add over", over));
    let mut failed = host.clone();
    failed.shrink(PageCount(1));
    failed.gives(false, &[(0, 1)]);
    states.push(("failed", failed.clone()));
    failed.input(Input::ChannelClosed);
    states.push(("stranded", failed));
    states
}

fn text(saved: &SavedState) -> serde_json::Value {
    serde_json::to_value(saved).unwrap()
}

#[test]
fn every_state_survives_the_round_trip() {
    let mut seen = Vec::new();
    for (name, host) in states() {
        let saved = host.vsp.save(host.now);
        assert!(!seen.contains(&saved), "{name} is like another");
        seen.push(saved.clone());
        let read: SavedState = serde_json::from_value(text(&saved)).unwrap();
        assert_eq!(read, saved, "{name}");
        let restored = DmVsp::restore(host.vsp.config().clone(), read, host.now).unwrap();
        assert_eq!(restored, host.vsp, "{name}");
    }
}

#[test]
fn deadlines_move_with_the_clock() {
    for (name, host) in states() {
        let saved = host.vsp.save(host.now);
        let restored = DmVsp::restore(host.vsp.config().clone(), saved.clone(), seconds(5000)).unwrap();
        let left = host.vsp.next_timeout().map(|at| at - host.now);
        assert_eq!(restored.next_timeout(), left.map(|left| seconds(5000) + left), "{name}");
        assert_eq!(restored.save(seconds(5000)), saved, "{name}");
    }
}

#[test]
fn a_restored_vsp_goes_on() {
    let (_, mut host) = states().into_iter().find(|(name, _)| *name == "releasing").unwrap();
    let saved = host.vsp.save(host.now);
    host.vsp = DmVsp::restore(host.vsp.config().clone(), saved, host.now).unwrap();
    for answer in host.held_back.take().unwrap() {
        host.input(answer);
    }
    let out = host.gives(false, &[(300, 5)]);
    assert_eq!(finished(&out), Some((PageCount(10), Outcome::Complete)));
}

#[test]
fn what_cannot_be_is_refused() {
    let find = |wanted: &str| states().into_iter().find(|(name, _)| *name == wanted).unwrap().1;
    let restore = |host: &Host, value: serde_json::Value| {
        let saved: SavedState = serde_json::from_value(value).unwrap();
        DmVsp::restore(host.vsp.config().clone(), saved, host.now).map(|_| ())
    };
    let host = find("ballooned");
    let good = text(&host.vsp.save(host.now));
    assert_eq!(restore(&host, good.clone()), Ok(()));
    let mut value = good.clone();
    value["format"] = 7.into();
    assert_eq!(restore(&host, value), Err(RestoreError::Format { found: 7 }));
    let mut value = good.clone();
    value["state"]["pages"]["ballooned"] = serde_json::json!([{ "start": 16380, "pages": 10 }]);
    assert_eq!(restore(&host, value), Err(RestoreError::Pages), "ballooned beyond RAM");
    let mut value = good.clone();
    value["state"]["pages"]["stranded"] = value["state"]["pages"]["ballooned"].clone();
    assert_eq!(restore(&host, value), Err(RestoreError::Pages), "ballooned and stranded");
    let mut value = good.clone();
    value["state"]["pages"]["boot"] = 1.into();
    assert_eq!(restore(&host, value), Err(RestoreError::Pages), "another boot RAM");
    let busy = find("mapping to return");
    let mut value = text(&busy.vsp.save(busy.now));
    value["state"]["phase"] = "Closed".into();
    assert_eq!(restore(&busy, value), Err(RestoreError::Operation), "an operation without a channel");
    let mut value = text(&busy.vsp.save(busy.now));
    let ticket = value["state"]["operation"]["step"]["MapUnballoon"]["ticket"].as_u64().unwrap();
    value["state"]["next_ticket"] = ticket.into();
    assert_eq!(restore(&busy, value), Err(RestoreError::Operation), "a ticket that will be given again");
    let returning = find("returning");
    for (start, why) in [(16_380, "returned beyond RAM"), (0, "returned and ballooned")] {
        let mut value = text(&returning.vsp.save(returning.now));
        value["state"]["pages"]["ballooned"] = serde_json::json!([{ "start": 0, "pages": 10 }]);
        value["state"]["operation"]["step"]["Unballoon"]["ranges"] =
            serde_json::json!([{ "start": start, "pages": 10 }]);
        assert_eq!(restore(&returning, value), Err(RestoreError::Operation), "{why}");
    }
    let refusing = find("taking refused memory back");
    let mut value = text(&refusing.vsp.save(refusing.now));
    assert_eq!(restore(&refusing, value.clone()), Ok(()));
    value["state"]["operation"] = serde_json::Value::Null;
    assert_eq!(
        restore(&refusing, value),
        Err(RestoreError::Operation),
        "a release that no operation waits for"
    );
    let mut layout = host.vsp.config().layout.clone();
    layout.boot = range(0, 100).into();
    let config = host.vsp.config().clone().with(|c| c.layout = layout);
    let saved = host.vsp.save(host.now);
    assert_eq!(DmVsp::restore(config, saved, host.now), Err(RestoreError::Pages));
}
