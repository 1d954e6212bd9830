//! What a journal recorded of a DM VSP, fed to another one, comes out the same.

use component_runtime::Driver;
use dm_vsp::{DmVsp, Output};
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
fn again(left: &Left, component: &str, mut spoil: impl FnMut(u64, &mut dm_vsp::Input)) -> Replay {
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
        if let dm_vsp::Input::Packet(bytes) = input
            && number > 100
            && !spoiled
        {
            bytes[16] ^= 1;
            spoiled = true;
        }
    });
    assert!(spoiled && !replay.is_equal());
}
