//! A guest that does as much as it can: what the host records of it is limited, says what was left out, and can be replayed;
//! the guest beside it is recorded as ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use balancing_policy::VmId;
use component_runtime::Context;
use dm_vsp::{DmVsp, Output};
use model_sync::Mutex;
use partition::PowerEvent;
use run_journal::{EventsLevel, Recorder, journal};
use vmbus::control::message::Message;
use vmms_host::{RecordedVspInput, VmmsCommand};
use whole_stack_tests::bare_guest::{self, BareGuest, BareVm, Play};
use whole_stack_tests::world::{self, World};

/// What is done without pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flood {
    /// Nothing: to compare with.
    Nothing,
    StatusReports,
    UnknownMessages,
    Reopenings,
    Contacts,
    OfferRequests,
    Logins,
    Resets,
    BrokenRules,
}

const ALL: [Flood; 9] = [
    Flood::Nothing,
    Flood::StatusReports,
    Flood::UnknownMessages,
    Flood::Reopenings,
    Flood::Contacts,
    Flood::OfferRequests,
    Flood::Logins,
    Flood::Resets,
    Flood::BrokenRules,
];

/// The time of the flood: the good guest has booted, and reports.
const FLOOD: std::ops::Range<Duration> = Duration::from_millis(60_000)..Duration::from_millis(60_050);
const UNTIL: Duration = Duration::from_secs(80);
/// What the guest reports as committed, pages: much less than the 512 MB that it boots with.
const COMMITTED: u64 = 10_000;
/// As many that the balancer gives a VM with dynamic memory more.
const WANTED: u64 = 200_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Contact,
    Open,
    Handshake,
    Run,
}

#[derive(Clone)]
struct Flooding {
    flood: Flood,
    committed: u64,
    /// How often the guest did what it does.
    done: Arc<Mutex<u64>>,
    step: Step,
}

impl Play for Flooding {
    fn act(&mut self, guest: &mut BareGuest, now: Duration, ctx: &mut Context<'_>) -> Duration {
        match self.step {
            Step::Contact => {
                guest.contact();
                self.step = Step::Open;
            }
            Step::Open if guest.relid.is_some() => {
                guest.open();
                self.step = Step::Handshake;
            }
            Step::Handshake if guest.opened => {
                guest.handshake();
                self.step = Step::Run;
            }
            Step::Run if FLOOD.contains(&now) && self.flood != Flood::Nothing => {
                let done = self.flood(guest, ctx);
                *self.done.lock() += done;
                return Duration::from_micros(50);
            }
            Step::Run => {
                guest.report(self.committed);
                let until = FLOOD.start.checked_sub(now).filter(|until| !until.is_zero());
                return Duration::from_secs(1).min(until.unwrap_or(Duration::MAX));
            }
            Step::Open | Step::Handshake => {}
        }
        if FLOOD.contains(&now) { Duration::from_micros(50) } else { Duration::from_millis(1) }
    }
}

impl Flooding {
    fn flood(&mut self, guest: &mut BareGuest, ctx: &mut Context<'_>) -> u64 {
        match self.flood {
            Flood::Nothing => 0,
            Flood::StatusReports => {
                std::iter::from_fn(|| guest.report(self.committed).then_some(())).count() as u64
            }
            Flood::UnknownMessages => {
                let message = [0xee, 0xee, 8, 0, 0, 0, 0, 0];
                std::iter::from_fn(|| guest.write(&message).then_some(())).count() as u64
            }
            Flood::Reopenings => {
                if !guest.opened {
                    return 0;
                }
                guest.close();
                guest.open();
                self.step = Step::Handshake;
                1
            }
            Flood::Contacts => guest.post_at_once(&bare_guest::contact()),
            Flood::OfferRequests => guest.post_at_once(&Message::RequestOffers.to_payload()),
            Flood::BrokenRules => guest.post_at_once(&[99, 0, 0, 0]),
            Flood::Logins => guest.power(ctx, &PowerEvent::Login, 16),
            Flood::Resets => guest.power(ctx, &PowerEvent::Reset, 1),
        }
    }
}

/// What is left of a run.
struct Left {
    /// How often the guest did what it does.
    done: u64,
    /// What the record has of each VM in each second.
    events: BTreeMap<(String, u64), u64>,
    /// What the record says was left out.
    left_out: u64,
    /// Inputs of the bad guest's VSP in the journal, in each second.
    inputs: BTreeMap<u64, u64>,
    /// Inputs of its VSP that the journal says were left out, and in how many places.
    inputs_left_out: (u64, u64),
    is_equal: bool,
    logged: usize,
    /// Operations that the balancer asked of the bad guest's worker, in each second.
    operations: BTreeMap<u64, u64>,
}

/// The bad guest has so many MiB, so many at most, and reports so many committed pages.
fn run(flood: Flood, maximum: u64, committed: u64) -> Left {
    let (events, event_bytes) = run_journal::buffer();
    let (journal, journal_bytes) = run_journal::buffer();
    let recorder = Recorder::to_writers(Some(events), Some(journal), EventsLevel::All).unwrap();
    let mut config = world::host_config(4000);
    config.dynamic_memory.quiet_period = Duration::ZERO;
    config.dynamic_memory.versions = vec![dm_vsp::ProtocolVersion::V2_0];
    let play = Flooding { flood, committed, done: Arc::default(), step: Step::Contact };
    let done = Arc::clone(&play.done);
    let vms = vec![
        world::vm("good", world::settings(256, 256, 768), world::ordinary("linux", 1)),
        world::vm("bad", world::settings(512, 512, maximum), BareVm::new(move || play.clone())),
    ];
    let mut run = world::run_config(UNTIL, None);
    run.recorder = recorder.machine_recorder();
    let ended = tracing::dispatcher::with_default(&run_journal::dispatch(Some(&recorder), None), || {
        let mut world = World::new(run, config, vms);
        for vm in 0..2 {
            world.command_at(Duration::ZERO, VmmsCommand::Start(VmId(vm)));
        }
        world.run()
    });
    ended.assert_well();
    recorder.finish().unwrap();

    let (mut events, mut left_out, mut operations) = (BTreeMap::new(), 0, BTreeMap::new());
    for record in run_journal::events::Reader::new(&event_bytes.contents()[..]) {
        let record = record.unwrap();
        let Some(vm) = &record.vm else { continue };
        let second = Duration::from(record.t).as_secs();
        *events.entry((vm.to_string(), second)).or_default() += 1;
        if &**vm == "bad" && matches!(&*record.event, "add_memory" | "remove_memory") {
            *operations.entry(second).or_default() += 1;
        }
        if &*record.event == "events_left_out" {
            left_out += record.field("count").and_then(run_journal::FieldValue::as_u64).unwrap();
        }
    }
    let (mut inputs, mut inputs_left_out) = (BTreeMap::new(), (0, 0));
    let mut machine: Option<DmVsp> = None;
    let journal_bytes = journal_bytes.contents();
    let reader = journal::Reader::new(&journal_bytes[..]).unwrap();
    let replay = run_journal::replay(reader, "dm-vsp/bad", |now, input: RecordedVspInput| {
        *inputs.entry(Duration::from(now).as_secs()).or_default() += 1;
        let mut out: Vec<Output> = Vec::new();
        match input {
            RecordedVspInput::Started(config) => machine = Some(DmVsp::new(*config).unwrap()),
            RecordedVspInput::Input(input) => machine.as_mut().unwrap().handle(now.into(), input, &mut out),
            RecordedVspInput::LeftOut { inputs, state } => {
                inputs_left_out = (inputs_left_out.0 + inputs, inputs_left_out.1 + 1);
                let config = machine.as_ref().unwrap().config().clone();
                machine = Some(DmVsp::restore(config, *state.unwrap(), now.into()).unwrap());
            }
        }
        out
    });
    Left {
        done: *done.lock(),
        events,
        left_out,
        inputs,
        inputs_left_out,
        is_equal: replay.unwrap().is_equal(),
        logged: ended.hands.status.look().event_log.len(),
        operations,
    }
}

/// Events of a VM in a second, at most: 20 that it may cause, what the last of its doings leads to (a reset with all its
/// channels, say), and one that says what was left out.
const MOST: u64 = 20 + 10 + 1;

/// And this many more for each operation that the balancer asks of it.
const MOST_EACH: u64 = 100;

fn check(flood: Flood, at_least: u64) -> Left {
    let left = run(flood, 512, COMMITTED);
    assert!(left.done >= at_least, "{flood:?} was done {} times", left.done);
    assert_eq!(left.operations, BTreeMap::new());
    assert_restrained(flood, &left);
    left
}

fn assert_restrained(flood: Flood, left: &Left) {
    let most = |second: u64| {
        let operations: u64 = left.operations.range(..=second).map(|(_, operations)| operations).sum();
        MOST + MOST_EACH * operations
    };
    for ((vm, second), &events) in &left.events {
        // Its boot is recorded for the host too: nothing of that can be caused at will.
        let is_bad = *second != 0 && vm == "bad";
        assert!(!is_bad || events <= most(*second), "{flood:?}: {events} in second {second}");
    }
    for (&second, &inputs) in &left.inputs {
        assert!(inputs <= most(second), "{flood:?}: {inputs} inputs in second {second}");
    }
    assert!(left.is_equal, "{flood:?}: the replay differs");
    assert!(left.logged <= 50, "{flood:?}: {} entries in the event log", left.logged);
    for second in 70..80 {
        let of_good = left.events.get(&("good".to_owned(), second)).copied().unwrap_or_default();
        assert!(of_good >= 2, "{flood:?}: the good guest is not recorded any more");
    }
}

#[test]
fn of_a_guest_that_floods_nothing_all_is_recorded() {
    let left = check(Flood::Nothing, 0);
    assert_eq!((left.done, left.left_out, left.inputs_left_out), (0, 0, (0, 0)));
    // Its report of each second is there, the VSP's and the balancer's word on it with it.
    for second in 61..79 {
        assert!(left.inputs[&second] >= 1 && left.events[&("bad".to_owned(), second)] >= 1, "{second}");
    }
}

/// The host asks something of the guest while it floods: that is recorded beside the flood, and not for ever.
#[test]
fn floods_of_a_guest_that_is_asked_for_something_stay_within_the_rate() {
    for flood in ALL {
        let left = run(flood, 1024, WANTED);
        let operations: u64 = left.operations.values().sum();
        assert!((1..20).contains(&operations), "{flood:?}: {operations} operations");
        assert_restrained(flood, &left);
        let all: u64 =
            left.events.iter().filter(|((vm, second), _)| vm == "bad" && *second != 0).map(|(_, n)| n).sum();
        let most = MOST * UNTIL.as_secs() + MOST_EACH * operations;
        assert!(all <= most, "{flood:?}: {all} events, {operations} operations");
    }
}

#[test]
fn a_flood_of_status_reports_or_of_unknown_messages_is_left_out_of_events_and_journal() {
    for flood in [Flood::StatusReports, Flood::UnknownMessages] {
        let left = check(flood, 100_000);
        // The report at the beginning of each second, and 19 more.
        assert!(left.left_out > left.done - 50, "{flood:?}: {} of {}", left.left_out, left.done);
        // Each is an input of the VSP, but for how full the two rings were, which is told for every sixteenth of a ring.
        let (inputs, times) = left.inputs_left_out;
        assert_eq!(times, 1, "{flood:?}");
        assert!(
            (inputs..=inputs + 2 * 16).contains(&left.left_out),
            "{flood:?}: {inputs} of {}",
            left.left_out
        );
    }
}

#[test]
fn a_flood_of_reopenings_is_left_out_of_events_and_journal() {
    let left = check(Flood::Reopenings, 100);
    assert!(left.left_out > left.done, "each is several things that the guest does");
    assert!(left.inputs_left_out.0 > left.done && left.inputs_left_out.1 == 1);
}

#[test]
fn a_flood_of_channel_messages_is_left_out() {
    for flood in [Flood::Contacts, Flood::OfferRequests, Flood::BrokenRules] {
        let left = check(flood, 1000);
        if flood != Flood::OfferRequests {
            assert!(left.left_out > left.done / 2, "{flood:?}: {} of {}", left.left_out, left.done);
        }
    }
}

#[test]
fn a_login_is_heard_once_and_a_guest_is_reset_once_a_second() {
    let left = check(Flood::Logins, 10_000);
    let second: u64 = left.events[&("bad".to_owned(), FLOOD.start.as_secs())];
    assert!(second <= MOST, "{second}");
    // It boots for three milliseconds, and is reset once a second.
    let left = check(Flood::Resets, 10);
    assert!(left.events[&("bad".to_owned(), FLOOD.start.as_secs() + 1)] > 0, "it is reset once more");
}
