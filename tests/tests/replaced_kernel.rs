//! Another kernel begins in a VM that was not reset (kexec, kdump): what the one before it gave away is not in its reports.

use std::sync::Arc;
use std::time::Duration;

use balancing_policy::VmId;
use component_runtime::Context;
use dm_protocol::{BalloonResponse, Message, Packet, WireRange};
use model_sync::Mutex;
use page_range::PageCount;
use vmms_host::VmmsCommand;
use whole_stack_tests::bare_guest::{BareGuest, BareVm, Play};
use whole_stack_tests::journey::s;
use whole_stack_tests::world::{self, World};

/// What the guest's applications and its kernel need, pages.
const NEEDED: u64 = 40_000;
/// The first page that it gives away; boot RAM ends at page 131,072.
const FIRST: u64 = 20_000;
/// The driver is unbound and bound again; then the kernel is replaced.
const REBOUND: Duration = Duration::from_secs(600);
const REPLACED: Duration = Duration::from_secs(700);
const UNTIL: Duration = Duration::from_secs(800);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Contact,
    Open,
    Handshake,
    Run,
}

/// A guest whose driver gives what it is asked for, and counts it as committed, as the drivers do.
#[derive(Clone)]
struct Giver {
    step: Step,
    /// What this kernel's driver gave away.
    ballooned: u64,
    /// The page that is given away next.
    next: u64,
    deeds: Vec<Duration>,
    /// What it gave away, for the test.
    seen: Arc<Mutex<u64>>,
}

impl Play for Giver {
    fn act(&mut self, guest: &mut BareGuest, now: Duration, _ctx: &mut Context<'_>) -> Duration {
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
            Step::Open | Step::Handshake => {}
            Step::Run if self.deeds.first() == Some(&REBOUND) && now >= REBOUND => {
                self.deeds.remove(0);
                guest.close();
                self.step = Step::Open;
            }
            Step::Run if self.deeds.first() == Some(&REPLACED) && now >= REPLACED => {
                self.deeds.remove(0);
                guest.unload();
                // The new kernel starts with nothing ballooned.
                self.ballooned = 0;
                self.step = Step::Contact;
            }
            Step::Run => {
                for bytes in guest.heard.clone() {
                    if let Ok(Message::BalloonRequest(request)) =
                        Packet::decode(&bytes).map(|packet| packet.message)
                    {
                        self.give(guest, u64::from(request.num_pages));
                    }
                }
                guest.report(NEEDED + self.ballooned);
                return s(1);
            }
        }
        Duration::from_millis(10)
    }
}

impl Giver {
    fn give(&mut self, guest: &mut BareGuest, pages: u64) {
        let ranges = [WireRange::new(self.next, pages).unwrap()];
        self.next += pages;
        self.ballooned += pages;
        *self.seen.lock() += pages;
        guest.send(Message::BalloonResponse(BalloonResponse { more_pages: false, ranges: &ranges }));
    }
}

#[test]
fn a_kernel_that_replaces_another_is_not_squeezed_by_what_that_one_gave_away() {
    let giver = Giver {
        step: Step::Contact,
        ballooned: 0,
        next: FIRST,
        deeds: vec![REBOUND, REPLACED],
        seen: Arc::default(),
    };
    let seen = Arc::clone(&giver.seen);
    let mut config = world::host_config(4000);
    config.dynamic_memory.quiet_period = Duration::ZERO;
    config.dynamic_memory.versions = vec![dm_vsp::ProtocolVersion::V2_0];
    let vms = vec![world::vm("VM1", world::settings(512, 64, 512), BareVm::new(move || giver.clone()))];
    let mut world = World::new(world::run_config(UNTIL, None), config, vms);
    world.command_at(s(0), VmmsCommand::Start(VmId(0)));
    // What the guest has given away, and what the balancer takes its demand to be.
    let demands = Arc::new(Mutex::new(Vec::new()));
    for second in [30, 590, 690, 790] {
        let (demands, seen) = (Arc::clone(&demands), Arc::clone(&seen));
        world.at(s(second), move |_, hands| {
            let counters = hands.balancer.vm(VmId(0)).unwrap();
            demands.lock().push((*seen.lock(), counters.demand));
        });
    }
    world.run().assert_well();

    let demands = demands.lock().clone();
    let needed = Some(PageCount(NEEDED));
    assert_eq!(demands[0], (0, needed), "nothing is ballooned");
    let given = demands[1].0;
    assert!(given > 30_000, "the balancer took back what it does not need: {given} pages");
    assert_eq!(demands[1], (given, needed), "what is ballooned is no demand");
    assert_eq!(demands[2], (given, needed), "the same driver again: it still counts what it gave");
    assert_eq!(demands[3], (given, needed), "another kernel: it knows of nothing that was given");
}
