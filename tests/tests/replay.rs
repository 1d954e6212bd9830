//! What a journal recorded of a DM VSP, fed to another one, comes out the same.

use component_runtime::{Driver, MachineValue};
use dm_protocol::{Capabilities, MessageType};
use dm_vsp::{
    DmVsp, GuestCapabilities, GuestLayout, HostRelease, Ignored, Input, MapKind, MapRefused, OperationKind,
    Outcome, Output, ProtocolVersion, Rejection, ReleaseKind, ReleaseRefused, SavedState, StatusReport,
    Violation, VspConfig, Waiting,
};
use page_range::{GuestPage, GuestRange, PageBalance, PageCount, PageCounter, RangeSet};
use run_journal::{Replay, journal, replay};
use vmms_host::RecordedVspInput;
use whole_stack_tests::journey::{self, Left, s};

const TEXT: &str = r#"
until = "8m"
[host]
memory = "3GB"
memory_reserve = "512MB"
[[vm]]
name = "VM{n}"
numbers = "1..3"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "2GB"
[[timeline]]
at = "0s"
action = "start"
vm = "all"
[[timeline]]
at = "70s"
action = "set_workload"
vm = "all"
workload = { kind = "bursts", base = "300MB", size = "400MB", pause = "20s", length = "20s" }
[[timeline]]
at = "120s"
action = "inject_fault"
fault = "guest_closes_channel"
vm = "VM1"
duration = "10s"
[[timeline]]
at = "200s"
action = "reboot"
vm = "VM2"
[[timeline]]
at = "200s"
action = "inject_fault"
fault = "guest_silent"
vm = "VM3"
duration = "60s"
[[timeline]]
at = "300s"
action = "stop"
vm = "VM2"
[[timeline]]
at = "360s"
action = "start"
vm = "VM2"
"#;

/// Feeds a machine its inputs again. `spoil` may change an input first.
fn again(left: &Left, component: &str, mut spoil: impl FnMut(u64, &mut Input)) -> Replay {
    let reader = journal::Reader::open(&left.folder.path().join(run_journal::JOURNAL_FILE)).unwrap();
    let mut machine: Option<DmVsp> = None;
    let mut number = 0;
    replay(reader, component, |now, input: RecordedVspInput| {
        let mut out: Vec<Output> = Vec::new();
        match input {
            RecordedVspInput::Started(config) => machine = Some(DmVsp::new(*config).unwrap()),
            RecordedVspInput::Input(mut input) => {
                spoil(number, &mut input);
                machine.as_mut().unwrap().handle(now.into(), input, &mut out);
            }
            RecordedVspInput::LeftOut { .. } => panic!("nothing of an orderly guest is left out"),
        }
        number += 1;
        out
    })
    .unwrap()
}

#[test]
fn every_vsp_does_the_same_again() {
    let mut plan = journey::plan(TEXT, 3);
    journey::insert(&mut plan, s(400), scenario::run::plan::Action::Reset(0));
    let left = journey::run_with_files(plan, Driver::Inline, None).unwrap();
    for vm in ["dm-vsp/VM1", "dm-vsp/VM2", "dm-vsp/VM3"] {
        let replay = again(&left, vm, |_, _| {});
        assert!(replay.is_equal(), "{vm}: {:?}", replay.differences);
        assert!(replay.inputs > 300 && replay.outputs > 300, "{vm}: {} inputs", replay.inputs);
    }
}

/// A replay that could not tell one run from another would prove nothing.
#[test]
fn one_changed_input_is_noticed() {
    let left = journey::run_with_files(journey::plan(TEXT, 3), Driver::Inline, None).unwrap();
    let mut spoiled = false;
    let replay = again(&left, "dm-vsp/VM1", |number, input| {
        if let Input::Packet(bytes) = input
            && number > 100
            && !spoiled
        {
            bytes[16] ^= 1;
            spoiled = true;
        }
    });
    assert!(spoiled && !replay.is_equal());
}

fn pages(start: u64, count: u64) -> RangeSet<GuestPage> {
    GuestRange::new(GuestPage(start), PageCount(count)).into_iter().collect()
}

/// A VSP that waits for an answer, with pages in every account.
fn state() -> SavedState {
    let mut vsp = DmVsp::new(configuration()).unwrap();
    let mut said = |input: Input| {
        let mut out = Vec::new();
        vsp.handle(s(1), input, &mut out);
    };
    said(Input::ChannelOpened);
    // VERSION_REQUEST 2.0, CAPABILITIES_REPORT.
    said(Input::Packet(vec![1, 0, 16, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0]));
    let mut report = vec![3, 0, 32, 0, 2, 0, 0, 0, 0x1f, 0, 0, 0, 0, 0, 0, 0];
    report.extend([0; 8]);
    report.extend([0xff; 8]);
    said(Input::Packet(report));
    said(Input::Shrink { pages: PageCount(512) });
    vsp.save(s(2))
}

fn configuration() -> VspConfig {
    let mib = PageCount::from_mib;
    let mut config = VspConfig::new(GuestLayout::flat(mib(512), mib(1024)).unwrap());
    config.versions = HostRelease::Server2016.versions();
    config.quiet_period = s(0);
    config.maximum = Some(mib(1024));
    config
}

fn inputs() -> Vec<RecordedVspInput> {
    let refused = [ReleaseRefused::Pinned, ReleaseRefused::NotMapped, ReleaseRefused::NotPossible];
    let mapped = [Ok(()), Err(MapRefused::NoFrames), Err(MapRefused::NotPossible)];
    let released = [Ok(())].into_iter().chain(refused.map(Err));
    let inputs = [
        Input::ChannelOpened,
        Input::ChannelClosed,
        Input::Packet(vec![1, 2, 3]),
        Input::Grow { pages: PageCount(300) },
        Input::Shrink { pages: PageCount(70_000) },
        Input::Reset,
        Input::GuestReplaced,
        Input::Timer,
    ]
    .into_iter()
    .chain(mapped.map(|result| Input::Mapped { ticket: 5, result }))
    .chain(released.map(|result| Input::Released { ticket: 6, result }));
    let mut all = vec![
        RecordedVspInput::Started(Box::new(configuration())),
        RecordedVspInput::LeftOut { inputs: 1000, state: None },
        RecordedVspInput::LeftOut { inputs: 1000, state: Some(Box::new(state())) },
    ];
    all.extend(inputs.map(RecordedVspInput::Input));
    all
}

fn outputs() -> Vec<Output> {
    let capabilities = GuestCapabilities::from(Capabilities::new(true, true, 7));
    let mut reported = StatusReport::default();
    (reported.available, reported.committed) = (PageCount(1), PageCount(2));
    (reported.page_file_size, reported.zero_free) = (PageCount(3), PageCount(4));
    (reported.page_file_writes, reported.io_balance) = (PageCounter::at(5), PageBalance::of(6, 13));
    let range = GuestRange::new(GuestPage(7), PageCount(9)).unwrap();
    let mut all = vec![
        Output::Send { message: MessageType::VERSION_RESPONSE, bytes: vec![2, 0, 16, 0] },
        Output::VersionAnswered { version: 0x20000, is_last_attempt: true, accepted: false },
        Output::CapabilitiesAnswered { capabilities, accepted: true },
        Output::Status { reported, demand: PageCount(8), absurd: false },
        Output::Responsive,
        Output::CloseChannel,
    ];
    let versions = [ProtocolVersion::V0_3, ProtocolVersion::V1_0, ProtocolVersion::V2_0];
    all.extend(versions.map(|version| Output::Ready { version, capabilities }));
    for kind in [MapKind::Unballoon, MapKind::HotAdd] {
        all.push(Output::Map { ticket: 1, ranges: pages(10, 20), kind });
    }
    for kind in [ReleaseKind::Ballooned, ReleaseKind::HotAddRefused, ReleaseKind::NotSent] {
        all.push(Output::Release { ticket: 2, ranges: pages(30, 40), kind });
    }
    for why in [Rejection::NotReady, Rejection::Busy, Rejection::NoPages] {
        all.push(Output::Rejected { kind: OperationKind::Grow, requested: PageCount(3), why });
    }
    let outcomes = [
        Outcome::Complete,
        Outcome::GuestAtMinimum,
        Outcome::NotCapable,
        Outcome::BelowGranule,
        Outcome::NoRoom,
        Outcome::HotAddLater { not_before: s(4) },
        Outcome::HotAddOver,
        Outcome::NotMapped(MapRefused::NoFrames),
        Outcome::ChannelClosed,
        Outcome::ProtocolError,
        Outcome::Reset,
    ];
    all.extend(outcomes.map(|outcome| Output::Finished {
        kind: OperationKind::Shrink,
        requested: PageCount(1),
        done: PageCount(2),
        unballooned: PageCount(3),
        hot_added: PageCount(4),
        unconfirmed: PageCount(5),
        outcome,
    }));
    for why in [Ignored::UnknownType, Ignored::Unexpected, Ignored::TooShort, Ignored::Closed] {
        all.push(Output::Ignored { message_type: Some(9), why });
    }
    let waiting =
        [Waiting::Version, Waiting::Capabilities, Waiting::Balloon, Waiting::Unballoon, Waiting::HotAdd];
    all.extend(waiting.map(|waiting_for| Output::Unresponsive { waiting_for }));
    let violations = [
        Violation::Malformed { error: "short".to_owned() },
        Violation::EmptyRange,
        Violation::OutsideMemory { range },
        Violation::Twice { range },
        Violation::NotOwned { range },
        Violation::MoreThanAsked { asked: PageCount(1), given: PageCount(2) },
        Violation::ReleaseRefused { why: ReleaseRefused::Pinned },
    ];
    all.extend(violations.map(|violation| Output::ProtocolError { violation }));
    all
}

/// A type that is recorded and changes makes older journals unreadable, and must say so: by the format version. If this fails because
/// a recorded type has changed, raise `VERSION` in `run-journal`'s `codec.rs` and write the new pair here.
#[test]
fn the_layout_of_recorded_values_belongs_to_the_version_of_the_journal() {
    let mut bytes = Vec::new();
    for input in inputs() {
        MachineValue::encode(&input, &mut bytes).unwrap();
    }
    for output in outputs() {
        MachineValue::encode(&output, &mut bytes).unwrap();
    }
    let layout = run_journal::manifest::sha256_hex(&bytes);
    assert_eq!(
        (journal::FORMAT_VERSION, layout.as_str()),
        (2, "708e4504f6aee1822ad189d36cd324629dd68b60cd898e8948d49965784518c0"),
        "a recorded type has changed"
    );
}
