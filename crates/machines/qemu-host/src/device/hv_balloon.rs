//! `hv-balloon`: Hyper-V's Dynamic Memory protocol as QEMU (8.2 and later) speaks it to Windows guests.
//!
//! Documented (QEMU's `docs/system/i386/hyperv.rst` and the device's source): `balloon` and `query-balloon` as for virtio-balloon, but for
//! the event, which this device does not emit; guests report through `HV_BALLOON_STATUS_REPORT` where `status-report=on`; memory beyond what the VM boots
//! with is hot-added out of `memdev`; for 50 s after the guest's driver has come nothing is done.

use core::time::Duration;

use serde_json::{Value, json};

use super::{Ask, Command, Device, Heard, Kind, Limits, Now, Report};
use crate::qmp::{Event, Refusal};

/// Memory is hot-added in multiples of what the guest names, which QEMU does not tell. Linux names a memory block, 128 MiB (seen: of less than that
/// nothing is added, and nothing is said); what Windows names divides it.
const GRANULE: u64 = 128 << 20;
/// Wait of the device after the guest's driver has come (documented, `HV_BALLOON_POST_INIT_WAIT`).
const WAIT: Duration = Duration::from_secs(50);

/// The device.
#[derive(Debug)]
pub struct HvBalloon {
    /// What the VM boots with.
    base: u64,
    /// What can be hot-added.
    more: u64,
    actual: Option<u64>,
    /// The most that the VM was seen to have since its guest booted: what was hot-added stays with it.
    had: u64,
}

impl HvBalloon {
    /// The device of a VM that boots with `base` bytes, and can be given `more`.
    #[must_use]
    pub const fn new(base: u64, more: u64) -> Self {
        Self { base, more, actual: None, had: base }
    }

    fn most(&self) -> u64 {
        self.base.saturating_add(self.more)
    }

    fn report(&self, data: Option<(u64, u64)>) -> Heard {
        let Some((committed, available)) = data else { return Heard::Nonsense("a status report") };
        // A guest counts what its balloon has taken as committed (seen with Linux 6.1; Hyper-V's host reckons the same way).
        let ballooned = self.had.saturating_sub(self.actual.unwrap_or(self.had));
        Heard::Report(Report {
            demand: committed.saturating_sub(ballooned),
            available: available.min(self.had),
            free: 0,
            swapped_out: None,
            age: Duration::ZERO,
        })
    }
}

impl Device for HvBalloon {
    fn kind(&self) -> Kind {
        Kind::HvBalloon
    }

    fn begin(&mut self) -> Vec<Command> {
        // Its answer says whether reports are on; reports themselves come as events, which are never old.
        vec![Command::plain(Ask::Interval, "query-hv-balloon-status-report")]
    }

    fn poll(&mut self, _moving: bool) -> Vec<Command> {
        vec![Command::plain(Ask::Actual, "query-balloon")]
    }

    fn request(&mut self, _now: Now, bytes: u64) -> Option<Command> {
        Some(Command::new(Ask::Request, "balloon", &json!({ "value": bytes.min(self.most()) })))
    }

    fn answered(&mut self, _now: Now, ask: Ask, answer: Result<&Value, &Refusal>) -> Heard {
        match (ask, answer) {
            (Ask::Actual, Ok(answer)) => match answer.get("actual").and_then(Value::as_u64) {
                Some(actual) if actual <= self.most() => {
                    self.actual = Some(actual);
                    self.had = self.had.max(actual);
                    Heard::Actual
                }
                _ => Heard::Nonsense("what the VM has"),
            },
            (Ask::Actual, Err(_)) => Heard::Nonsense("what the VM has"),
            // The description tells "not enabled" from "none received yet"; the class is the same.
            (Ask::Interval, Err(refusal)) if refusal.description.contains("not enabled") => {
                Heard::NoReport("the device hv-balloon was made without status-report=on")
            }
            (Ask::Request, Ok(_)) => Heard::Accepted,
            (Ask::Request, Err(refusal)) => Heard::Refused(refusal.clone()),
            _ => Heard::NothingNew,
        }
    }

    fn event(&mut self, _now: Now, event: &Event) -> Option<Heard> {
        let number = |name: &str| event.data.get(name).and_then(Value::as_u64);
        (event.name == "HV_BALLOON_STATUS_REPORT")
            .then(|| self.report(number("committed").zip(number("available"))))
    }

    fn guest_reset(&mut self) {
        self.had = self.base;
    }

    fn actual(&self) -> Option<u64> {
        self.actual
    }

    fn limits(&self) -> Limits {
        Limits {
            least: 4096,
            most: self.most(),
            granule: GRANULE,
            hot_add: self.more > 0,
            returnable: self.had,
        }
    }

    fn patience(&self) -> Duration {
        WAIT + Duration::from_secs(25)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_come_as_events_and_without_them_it_is_said_why() {
        let mut device = HvBalloon::new(4 << 30, 8 << 30);
        let event = |data: Value| Event {
            name: "HV_BALLOON_STATUS_REPORT".to_owned(),
            data: data.as_object().unwrap().clone(),
        };
        let heard = device
            .event(Now::default(), &event(json!({ "committed": 3_u64 << 30, "available": 1_u64 << 30 })));
        let Some(Heard::Report(report)) = heard else { panic!("{heard:?}") };
        assert_eq!((report.demand, report.available), (3 << 30, 1 << 30));
        assert!(matches!(device.event(Now::default(), &event(json!({}))), Some(Heard::Nonsense(_))));
        let refusal = |description: &str| Refusal {
            class: "GenericError".to_owned(),
            description: description.to_owned(),
        };
        let off = refusal("Hyper-V Dynamic Memory Protocol status reporting not enabled");
        assert!(matches!(device.answered(Now::default(), Ask::Interval, Err(&off)), Heard::NoReport(_)));
        let early = refusal("Hyper-V Dynamic Memory Protocol guest has not sent any status report yet");
        assert_eq!(device.answered(Now::default(), Ask::Interval, Err(&early)), Heard::NothingNew);
    }

    #[test]
    fn what_it_has_may_be_more_than_what_it_boots_with() {
        let mut device = HvBalloon::new(4 << 30, 8 << 30);
        for (actual, heard) in [(12_u64 << 30, Heard::Actual), (u64::MAX, Heard::Nonsense("what the VM has"))]
        {
            assert_eq!(device.answered(Now::default(), Ask::Actual, Ok(&json!({ "actual": actual }))), heard);
        }
        assert_eq!(device.actual(), Some(12 << 30));
        let command = device.request(Now::default(), u64::MAX).unwrap();
        assert_eq!(&*command.arguments, format!("{{\"value\":{}}}", 12_u64 << 30));
    }
}
