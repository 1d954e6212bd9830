//! A DM VSP in a host of one's own: no runtime, no balancer, no VMBus of this project. The guest is a script: the
//! messages that Linux' driver sends by its published source. Run it with `cargo run -p dm-vsp --example embed-vsp`.
#![expect(clippy::print_stdout, reason = "a program for the command line")]

use dm_protocol::{Packet, test_support::vectors};
use dm_vsp::{DmVsp, GuestLayout, Input, Output, ProtocolVersion, VspConfig};
use page_range::{GuestPage, PageCount, RangeSet};
use std::{collections::VecDeque, error::Error, time::Duration};

/// What a host has around the VSP: a memory map, and a way to the guest.
struct Host {
    vsp: DmVsp,
    mapped: RangeSet<GuestPage>,
    now: Duration,
}

impl Host {
    fn input(&mut self, input: Input) -> Result<(), Box<dyn Error>> {
        let (mut inputs, mut out) = (VecDeque::from([input]), Vec::new());
        while let Some(input) = inputs.pop_front() {
            self.vsp.handle(self.now, input, &mut out);
            for output in out.drain(..) {
                match output {
                    // A real host writes it to the channel's ring.
                    Output::Send { bytes, .. } => println!("host  > {:?}", Packet::decode(&bytes)?.message),
                    // A real host maps frames, and fails if it has none.
                    Output::Map { ticket, ranges, .. } => {
                        self.mapped.extend(&ranges);
                        inputs.push_back(Input::Mapped { ticket, result: Ok(()) });
                    }
                    // A real host unmaps them, and refuses if one is pinned.
                    Output::Release { ticket, ranges, .. } => {
                        self.mapped.remove_all(&ranges);
                        inputs.push_back(Input::Released { ticket, result: Ok(()) });
                    }
                    event => println!("event   {event:?}"),
                }
            }
        }
        Ok(())
    }

    fn guest_sends(&mut self, vector: &str) -> Result<(), Box<dyn Error>> {
        let bytes = vectors::bytes(vector);
        println!("guest > {:?}", Packet::decode(bytes)?.message);
        self.now += Duration::from_millis(1);
        self.input(Input::Packet(bytes.to_vec()))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let layout = GuestLayout::flat(PageCount::from_mib(2048), PageCount::from_mib(4096))?;
    let (mapped, boot) = (layout.boot.clone(), layout.boot.pages());
    let mut config = VspConfig::new(layout);
    config.versions = vec![ProtocolVersion::V0_3, ProtocolVersion::V2_0];
    config.quiet_period = Duration::from_secs(50);
    config.maximum = Some(PageCount::from_mib(2048));
    let mut host = Host { vsp: DmVsp::new(config)?, mapped, now: Duration::ZERO };

    host.input(Input::ChannelOpened)?;
    for vector in ["DM1", "DM3", "DM5"] {
        host.guest_sends(vector)?;
    }
    // Nothing may be asked before the quiet period is over.
    host.now = host.vsp.next_timeout().ok_or("no quiet period")?;
    host.input(Input::Timer)?;

    host.input(Input::Shrink { pages: PageCount::from_mib(256) })?;
    host.guest_sends("DM7")?; // a block of 2 MiB and a single page, more to come
    host.guest_sends("DM7b")?; // nothing more: the guest is at its minimum
    assert_eq!(host.mapped.pages(), boot - PageCount(513));

    host.input(Input::Grow { pages: PageCount(513) })?;
    host.guest_sends("DM9")?;
    assert_eq!(host.mapped.pages(), boot);
    Ok(())
}
