//! For tests and fuzzing: a memory map that is only an account of pages, and what must hold for any guest.

use alloc::vec::Vec;
use core::time::Duration;

use dm_protocol::test_support::vectors;
use dm_protocol::{
    BalloonResponse, Capabilities, CapabilitiesReport, HotAddResponse, MAX_GUEST_PAYLOAD, MAX_HOST_PAYLOAD,
    Message, Packet, StatusReport, Version, VersionRequest, WireRange,
};
use page_range::{GuestPage, GuestRange, PageCount, RangeSet};

use crate::{
    DmVsp, GuestLayout, HotAddForm, Input, MapRefused, Output, ProtocolVersion, ReleaseRefused, Statistics,
    VspConfig,
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
/// Returns what was counted, so that a test can tell whether its inputs got anywhere.
///
/// # Panics
/// If the VSP does otherwise: that is a bug of this crate.
pub fn fuzz_guest(bytes: &[u8]) -> Statistics {
    let mut bytes = Bytes(bytes.iter());
    let config = any_config(&mut bytes);
    let Ok(mut vsp) = DmVsp::new(config.clone()) else { return Statistics::default() };
    let mut map = PlainMap::new(&config.layout, PageCount::from_mib(300));
    map.pinned = config.layout.boot.clone().take_lowest(PageCount(10));
    let all = map.frames + map.mapped.pages();
    // Answers of the map that the VSP has not been given yet.
    let mut answers = Vec::new();
    let (mut now, mut out) = (Duration::ZERO, Vec::new());
    let (mut begun, mut ended) = (0, 0);
    while let Some(action) = bytes.next() {
        let input = match action % 32 {
            0 => Input::ChannelOpened,
            1 if action > 192 => Input::GuestReplaced,
            1 if action > 128 => Input::ChannelClosed,
            2 if action > 224 => {
                answers.clear();
                map.reset(&config.layout);
                Input::Reset
            }
            3..6 => {
                now = vsp.next_timeout().unwrap_or(now).max(now);
                Input::Timer
            }
            6..10 => Input::Grow { pages: PageCount(bytes.number(60)) },
            10..14 => Input::Shrink { pages: PageCount(bytes.number(60)) },
            14..20 if !answers.is_empty() => answers.remove(0),
            _ => Input::Packet(any_message(&mut bytes)),
        };
        now = now.saturating_add(Duration::from_millis(u64::from(action)));
        begun += u32::from(matches!(input, Input::Grow { .. } | Input::Shrink { .. }));
        vsp.handle(now, input, &mut out);
        for output in out.drain(..) {
            match &output {
                Output::Send { bytes, .. } => {
                    assert!(Packet::decode(bytes).is_ok(), "a message that does not decode");
                    assert!(bytes.len() <= MAX_HOST_PAYLOAD);
                }
                Output::Finished { .. } | Output::Rejected { .. } => ended += 1,
                other => answers.extend(map.carry_out(other)),
            }
        }
        let pages = vsp.pages();
        if answers.is_empty() {
            let mapped = pages.mapped_ranges();
            assert_eq!(mapped, map.mapped, "the account and the memory map disagree");
            assert_eq!(pages.mapped(), mapped.pages());
        }
        assert_eq!(map.frames + map.mapped.pages(), all, "host frames are lost or made up");
        assert_eq!(begun - ended, u32::from(vsp.is_busy()), "an operation is not answered, or twice");
        assert!(vsp.next_timeout().is_none_or(|next| next > now), "time does not go on");
    }
    vsp.statistics().clone()
}

struct Bytes<'a>(core::slice::Iter<'a, u8>);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        self.0.next().copied()
    }

    /// A number of up to 255 units, and a little more or less than a multiple of the unit now and then.
    fn number(&mut self, unit: u64) -> u64 {
        let byte = u64::from(self.next().unwrap_or_default());
        (byte * unit).saturating_sub(u64::from(byte % 7 == 0))
    }
}

fn any_config(bytes: &mut Bytes<'_>) -> VspConfig {
    let boot = RangeSet::from_iter(GuestRange::new(GuestPage(0), PageCount::from_mib(64)));
    let hot_add = RangeSet::from_iter(GuestRange::between(boot.pages().get(), 512 * 256));
    let mut config = VspConfig::new(GuestLayout { boot, hot_add, total: PageCount::from_mib(400) });
    let setting = bytes.next().unwrap_or_default();
    config.versions = vec![ProtocolVersion::V0_3, ProtocolVersion::V2_0];
    config.quiet_period = Duration::from_millis(u64::from(setting >> 6) * 100);
    config.maximum = (setting & 1 != 0).then_some(PageCount::from_mib(512));
    config.hot_add_form = if setting & 2 != 0 { HotAddForm::RangeOnly } else { HotAddForm::ByVersion };
    config.balloon_request_pages = PageCount(if setting & 4 != 0 { 1000 } else { 585_728 });
    config
}

/// Something that a guest might send; or bytes.
fn any_message(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let kind = bytes.next().unwrap_or_default();
    let count = usize::from(bytes.next().unwrap_or_default());
    let ranges: Vec<WireRange> = match kind % 16 {
        6..12 => (0..count % 5)
            .filter_map(|_| WireRange::new(bytes.number(64), bytes.number(2) % WireRange::MAX_COUNT))
            .collect(),
        _ => Vec::new(),
    };
    let message = match kind % 16 {
        0 | 1 => {
            Message::VersionRequest(VersionRequest { version: Version::V2_0, is_last_attempt: kind == 1 })
        }
        2 | 3 => Message::CapabilitiesReport(CapabilitiesReport {
            capabilities: Capabilities::new(kind != 2, true, u32::from(kind >> 5)),
            min_page_count: 0,
            max_page_number: u64::MAX,
        }),
        4 => Message::StatusReport(StatusReport {
            committed: bytes.number(1 << 34),
            ..StatusReport::default()
        }),
        5 => Message::UnballoonResponse,
        6..12 => Message::BalloonResponse(BalloonResponse { more_pages: kind > 128, ranges: &ranges }),
        12 | 13 => Message::HotAddResponse(HotAddResponse {
            page_count: bytes.number(256) as u32,
            result: u32::from(kind >> 6),
        }),
        14 => return (0..count).map_while(|_| bytes.next()).collect(),
        // A known message, with some of its bytes changed.
        _ => {
            let vector = vectors::MESSAGES.get(count % vectors::MESSAGES.len());
            let mut message = vector.map_or(Vec::new(), |vector| vector.1.to_vec());
            for _ in 0..kind >> 6 {
                let (at, value) = (bytes.number(1) as usize, bytes.next().unwrap_or_default());
                let at = at % message.len().max(1);
                if let Some(byte) = message.get_mut(at) {
                    *byte = value;
                }
            }
            return message;
        }
    };
    let mut buffer = [0; MAX_GUEST_PAYLOAD];
    let encoded = Packet { trans_id: u32::from(kind), message }.encode(&mut buffer);
    encoded.map(<[u8]>::to_vec).unwrap_or_default()
}
