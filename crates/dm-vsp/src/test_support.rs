//! For tests and fuzzing: a memory map that is only an account of pages, and what must hold for any guest.

use core::time::Duration;

use dm_protocol::test_support::vectors;
use page_range::{GuestPage, PageCount, RangeSet};

use crate::{
    DmVsp, GuestLayout, HotAddForm, Input, MapRefused, Output, ProtocolVersion, ReleaseRefused, VspConfig,
};

/// The caller's side of [`Output::Map`] and [`Output::Release`]: which guest pages are mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainMap {
    /// Mapped.
    pub mapped: RangeSet<GuestPage>,
    /// Never released.
    pub pinned: RangeSet<GuestPage>,
    /// Host frames that are left.
    pub frames: PageCount,
}

impl PlainMap {
    /// Boot RAM, and so many more frames.
    #[must_use]
    pub fn new(layout: &GuestLayout, frames: PageCount) -> Self {
        Self { mapped: layout.boot.clone(), pinned: RangeSet::new(), frames }
    }

    /// The answer to a map or a release; nothing for other outputs.
    ///
    /// # Panics
    /// If pages are to be mapped that are, which a VSP must never ask for.
    pub fn carry_out(&mut self, output: &Output) -> Option<Input> {
        match output {
            Output::Map { ticket, ranges, .. } => {
                assert!(!self.mapped.intersects_any(ranges), "{ranges:?} is mapped already");
                let left = self.frames.checked_sub(ranges.pages());
                let result = left.map(|left| {
                    self.frames = left;
                    self.mapped.extend(ranges);
                });
                Some(Input::Mapped { ticket: *ticket, result: result.ok_or(MapRefused::NoFrames) })
            }
            Output::Release { ticket, ranges, .. } => {
                assert!(self.mapped.contains_all(ranges), "{ranges:?} is not mapped");
                let result = if self.pinned.intersects_any(ranges) {
                    Err(ReleaseRefused::Pinned)
                } else {
                    self.frames += self.mapped.remove_all(ranges);
                    Ok(())
                };
                Some(Input::Released { ticket: *ticket, result })
            }
            _ => None,
        }
    }

    /// The VM starts anew.
    pub fn reset(&mut self, layout: &GuestLayout) {
        self.frames += self.mapped.pages();
        self.mapped = layout.boot.clone();
        self.frames = self.frames.saturating_sub(self.mapped.pages());
    }
}

/// A VSP against a guest that says and does anything: `bytes` are what it does, and what the host asks meanwhile. The VSP
/// must not panic, must never map what is mapped or release what is not, must send only messages that decode, must answer
/// every operation once, and its account must agree with the memory map whenever nothing is asked of the map.
///
/// # Panics
/// If it does otherwise: that is a bug of this crate.
pub fn fuzz_guest(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let mut next = move || bytes.next();
    let Ok(layout) = GuestLayout::flat(PageCount::from_mib(64), PageCount::from_mib(512)) else { return };
    let mut config = VspConfig::new(layout.clone());
    let setting = next().unwrap_or_default();
    config.versions = vec![ProtocolVersion::V0_3, ProtocolVersion::V2_0];
    config.quiet_period = Duration::from_millis(u64::from(setting >> 4) * 100);
    config.maximum = (setting & 1 != 0).then_some(PageCount::from_mib(512));
    config.hot_add_form = if setting & 2 != 0 { HotAddForm::RangeOnly } else { HotAddForm::RangeAndRegion };
    let Ok(mut vsp) = DmVsp::new(config) else { return };
    let mut map = PlainMap::new(&layout, PageCount::from_mib(300));
    map.pinned = layout.boot.clone().take_lowest(PageCount(10));
    let all = map.frames + map.mapped.pages();
    // Answers of the map that the VSP has not been given yet.
    let mut answers = Vec::new();
    let (mut now, mut out) = (Duration::ZERO, Vec::new());
    let (mut begun, mut ended) = (0, 0);
    while let Some(action) = next() {
        let mut argument = || u64::from(next().unwrap_or_default());
        let input = match action % 16 {
            0 => Input::ChannelOpened,
            1 => Input::ChannelClosed,
            2 if action > 200 => {
                answers.clear();
                map.reset(&layout);
                Input::Reset
            }
            2 => Input::Timer,
            3 => Input::Packet((0..action).map(|_| argument() as u8).collect()),
            4 => {
                now = vsp.next_timeout().unwrap_or(now).max(now);
                Input::Timer
            }
            5 | 6 => Input::Grow { pages: PageCount(argument() * 64) },
            7 | 8 => Input::Shrink { pages: PageCount(argument() * 64) },
            9 | 10 if !answers.is_empty() => answers.remove(0),
            _ => {
                let index = argument() as usize % vectors::MESSAGES.len();
                let mut message = vectors::MESSAGES.get(index).map_or(Vec::new(), |vector| vector.1.to_vec());
                for _ in 0..action >> 6 {
                    let (at, value) = (argument() as usize % message.len().max(1), argument() as u8);
                    if let Some(byte) = message.get_mut(at) {
                        *byte = value;
                    }
                }
                Input::Packet(message)
            }
        };
        now = now.saturating_add(Duration::from_millis(u64::from(action)));
        begun += u32::from(matches!(input, Input::Grow { .. } | Input::Shrink { .. }));
        vsp.handle(now, input, &mut out);
        for output in out.drain(..) {
            match &output {
                Output::Send(bytes) => {
                    assert!(dm_protocol::Packet::decode(bytes).is_ok(), "a message that does not decode");
                    assert!(bytes.len() <= dm_protocol::MAX_HOST_PAYLOAD);
                }
                Output::Finished { .. } | Output::Rejected { .. } => ended += 1,
                other => answers.extend(map.carry_out(other)),
            }
        }
        let pages = vsp.pages();
        if answers.is_empty() {
            let mapped = pages.ram().difference(pages.ballooned()).difference(pages.stranded());
            assert_eq!(mapped, map.mapped, "the account and the memory map disagree");
            assert_eq!(pages.mapped(), mapped.pages());
        }
        assert_eq!(map.frames + map.mapped.pages(), all, "host frames are lost or made up");
        assert_eq!(begun - ended, u32::from(vsp.is_busy()), "an operation is not answered, or twice");
        assert!(vsp.next_timeout().is_none_or(|next| next > now), "time does not go on");
    }
}
