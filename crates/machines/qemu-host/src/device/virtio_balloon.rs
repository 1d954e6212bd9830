//! `virtio-balloon`: the guest's driver takes pages out of the guest's use; QEMU gives them back to the host.
//!
//! Documented: `balloon` sets what the VM is to have, `query-balloon` says what it has, and the guest's statistics are in the QOM property
//! `guest-stats`, once `guest-stats-polling-interval` is set. A value that the guest does not give is 2^64 − 1.

use core::time::Duration;
use std::collections::VecDeque;

use serde_json::{Value, json};

use super::{Ask, Command, Device, Heard, Kind, Limits, Now, Report};
use crate::qmp::{Event, Refusal};

/// How often the guest is asked for its statistics, in seconds.
const INTERVAL: u64 = 1;
/// What the property has for a value that the guest does not give (documented: −1).
const MISSING: u64 = u64::MAX;
/// How many values of `actual` are kept, to know what the VM had when the guest took its statistics. Invented.
const HISTORY: usize = 64;
/// A page of the balloon, on every architecture (documented: `VIRTIO_BALLOON_PFN_SHIFT`).
const PAGE: u64 = 4096;
/// How often both are asked, what the VM has and what its guest needs, in polls. Of every change of the first QEMU tells by itself. Invented.
const ASK_BOTH: u32 = 5;
/// A guest that has less than this part of what it has available does not show what it needs. Invented: above what Linux keeps free for itself.
const SATURATED: u64 = 20;

/// The device.
#[derive(Debug)]
pub struct VirtioBalloon {
    path: String,
    /// The question for the guest's statistics.
    ask_statistics: Command,
    /// What the VM has without a balloon.
    whole: u64,
    actual: Option<u64>,
    /// What the VM had, and since when (Unix time), the newest last.
    history: VecDeque<(Duration, u64)>,
    /// `last-update` of the newest statistics heard.
    last_update: Option<u64>,
    /// What the guest was last seen to need.
    needed: u64,
    /// The guest is asked by nobody yet.
    set_interval: bool,
    /// Polls since QEMU was asked what the VM has.
    polls: u32,
    /// Only tells of memory: another device moves it, and says here what the VM has.
    tells_only: bool,
}

impl VirtioBalloon {
    /// The device at a QOM path, in a VM with `whole` bytes.
    #[must_use]
    pub fn new(path: String, whole: u64) -> Self {
        let statistics = json!({ "path": path, "property": "guest-stats" });
        Self {
            ask_statistics: Command::new(Ask::Report, "qom-get", &statistics),
            path,
            whole,
            actual: None,
            history: VecDeque::new(),
            last_update: None,
            needed: 0,
            set_interval: false,
            polls: 0,
            tells_only: false,
        }
    }

    /// The device only tells what the guest says; another one moves memory.
    #[must_use]
    pub fn telling_only(mut self) -> Self {
        self.tells_only = true;
        self
    }

    /// The VM has this from now on.
    fn keep(&mut self, now: Now, bytes: u64) {
        self.actual = Some(bytes);
        if self.history.back().is_none_or(|&(_, last)| last != bytes) {
            if self.history.len() >= HISTORY {
                self.history.pop_front();
            }
            self.history.push_back((now.unix, bytes));
        }
    }

    /// The most that the VM had in the second of a time stamp: a sample of that second may be of any moment of it.
    fn had_at(&self, second: u64) -> Option<u64> {
        let (from, to) = (Duration::from_secs(second), Duration::from_secs(second.saturating_add(1)));
        let within = self.history.iter().filter(|&&(since, _)| since > from && since < to);
        let before = self.history.iter().rev().find(|&&(since, _)| since <= from);
        within
            .chain(before)
            .map(|&(_, bytes)| bytes)
            .max()
            .or_else(|| self.history.front().map(|&(_, bytes)| bytes))
    }

    fn statistics(&mut self, now: Now, answer: &Value) -> Heard {
        let Some(last_update) = answer.get("last-update").and_then(Value::as_u64) else {
            return Heard::Nonsense("the guest's statistics");
        };
        // 0: the guest's driver has never answered.
        if last_update == 0 || self.last_update == Some(last_update) {
            return Heard::NothingNew;
        }
        let value = |name: &str| {
            let value = answer.get("stats").and_then(|stats| stats.get(name)).and_then(Value::as_u64);
            value.filter(|&value| value != MISSING)
        };
        let first = self.last_update.replace(last_update).is_none();
        let age = now.unix.saturating_sub(Duration::from_secs(last_update));
        if first && age > Duration::from_secs(5) {
            // Left over from before: the guest will be asked anew.
            return Heard::NothingNew;
        }
        let Some(had) = self.had_at(last_update) else { return Heard::NothingNew };
        let free = value("stat-free-memory");
        // A driver of before Linux 4.6 does not say what is available: what is free, and the caches where it says so, is less.
        let available = value("stat-available-memory")
            .or_else(|| Some(free?.saturating_add(value("stat-disk-caches").unwrap_or(0))));
        let Some(available) = available else {
            return Heard::NoReport(
                "the guest's balloon driver says neither what is available nor what is free",
            );
        };
        // Not of `stat-total-memory`: Linux counts what is ballooned out of its total and Windows does not, and neither counts what
        // its kernel took when it booted. Of what the VM has, all that is not available is needed.
        let available = available.min(had);
        let demand = had - available;
        // A guest that has nothing left cannot show that it needs more than it has: what it needed before, it still does. Otherwise it would
        // seem to need the less, the more is taken from it.
        self.needed = if available < had / SATURATED { demand.max(self.needed) } else { demand };
        Heard::Report(Report {
            demand: self.needed,
            available,
            free: free.unwrap_or(0).min(had),
            swapped_out: value("stat-swap-out"),
            age,
        })
    }
}

impl Device for VirtioBalloon {
    fn kind(&self) -> Kind {
        Kind::VirtioBalloon
    }

    fn begin(&mut self) -> Vec<Command> {
        (self.last_update, self.polls) = (None, 0);
        let interval = json!({ "path": self.path, "property": "guest-stats-polling-interval" });
        vec![Command::new(Ask::Interval, "qom-get", &interval)]
    }

    fn follow_up(&mut self) -> Option<Command> {
        let interval =
            json!({ "path": self.path, "property": "guest-stats-polling-interval", "value": INTERVAL });
        core::mem::take(&mut self.set_interval).then(|| Command::new(Ask::SetInterval, "qom-set", &interval))
    }

    fn poll(&mut self, moving: bool) -> Vec<Command> {
        let actual = || Command::plain(Ask::Actual, "query-balloon");
        let stats = || self.ask_statistics.clone();
        // While memory moves, what the VM has is asked each time and the guest's needs now and then, and the other way round while nothing does.
        let both = self.polls == 0;
        self.polls = (self.polls + 1) % ASK_BOTH;
        match (self.tells_only, moving) {
            (true, true) if !both => Vec::new(),
            (true, _) => vec![stats()],
            (false, _) if both => vec![actual(), stats()],
            (false, true) => vec![actual()],
            (false, false) => vec![stats()],
        }
    }

    fn request(&mut self, _now: Now, bytes: u64) -> Option<Command> {
        Some(Command::new(Ask::Request, "balloon", &json!({ "value": bytes })))
    }

    fn answered(&mut self, now: Now, ask: Ask, answer: Result<&Value, &Refusal>) -> Heard {
        match (ask, answer) {
            (Ask::Actual, Ok(answer)) => match answer.get("actual").and_then(Value::as_u64) {
                // More than it can have is no amount.
                Some(actual) if actual <= self.whole => {
                    self.keep(now, actual);
                    Heard::Actual
                }
                _ => Heard::Nonsense("what the VM has"),
            },
            (Ask::Report, Ok(answer)) => self.statistics(now, answer),
            (Ask::Request, Ok(_)) => Heard::Accepted,
            (Ask::Interval, Ok(seconds)) => {
                // Whoever asks the guest already, such as libvirt, goes on at their own pace.
                self.set_interval = seconds.as_u64() == Some(0);
                Heard::NothingNew
            }
            (_, Ok(_)) => Heard::NothingNew,
            (Ask::Request, Err(refusal)) => Heard::Refused(refusal.clone()),
            (Ask::Actual, Err(_)) => Heard::Nonsense("what the VM has"),
            (Ask::Interval | Ask::SetInterval, Err(_)) => {
                Heard::NoReport("QEMU does not let the guest be asked for statistics")
            }
            (Ask::Report, Err(_)) => Heard::NothingNew,
        }
    }

    fn event(&mut self, now: Now, event: &Event) -> Option<Heard> {
        let actual =
            (event.name == "BALLOON_CHANGE" && !self.tells_only).then(|| event.data.get("actual"))?;
        Some(match actual.and_then(Value::as_u64) {
            Some(actual) if actual <= self.whole => {
                self.keep(now, actual);
                Heard::Actual
            }
            _ => Heard::Nonsense("what the VM has"),
        })
    }

    fn has(&mut self, now: Now, bytes: u64) {
        self.keep(now, bytes);
    }

    fn guest_reset(&mut self) {
        (self.needed, self.polls) = (0, 0);
    }

    fn actual(&self) -> Option<u64> {
        self.actual
    }

    fn limits(&self) -> Limits {
        Limits { least: PAGE, most: self.whole, granule: PAGE, hot_add: false, returnable: self.whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn at(unix: u64) -> Now {
        Now { run: Duration::ZERO, unix: Duration::from_secs(unix) }
    }

    fn device() -> VirtioBalloon {
        VirtioBalloon::new("/machine/peripheral/b".to_owned(), 512 * MIB)
    }

    fn stats(last_update: u64, available: u64, free: u64) -> Value {
        json!({ "last-update": last_update, "stats": {
            "stat-available-memory": available, "stat-free-memory": free, "stat-disk-caches": 10 * MIB,
            "stat-total-memory": 500 * MIB, "stat-swap-out": MISSING,
        }})
    }

    #[test]
    fn demand_is_what_the_vm_had_less_what_its_guest_had_available() {
        let mut device = device();
        for (unix, actual) in [(100, 512), (105, 400)] {
            let answer = json!({ "actual": actual * MIB });
            assert_eq!(device.answered(at(unix), Ask::Actual, Ok(&answer)), Heard::Actual);
        }
        // Of second 103, when the VM had 512 MiB.
        let Heard::Report(report) =
            device.answered(at(107), Ask::Report, Ok(&stats(103, 300 * MIB, 200 * MIB)))
        else {
            panic!()
        };
        assert_eq!((report.demand, report.free, report.age.as_secs()), (212 * MIB, 200 * MIB, 4));
        assert_eq!(report.swapped_out, None);
        // Of second 106, when it had 400. The same once more is no news.
        let later = stats(106, 300 * MIB, 200 * MIB);
        let Heard::Report(report) = device.answered(at(107), Ask::Report, Ok(&later)) else { panic!() };
        assert_eq!(report.demand, 100 * MIB);
        assert_eq!(device.answered(at(108), Ask::Report, Ok(&later)), Heard::NothingNew);
    }

    #[test]
    fn a_guest_that_has_nothing_left_needs_what_it_needed_before() {
        let mut device = device();
        let mut demand = |second: u64, has: u64, available: u64| {
            device.has(at(second), has * MIB);
            match device.answered(at(second + 1), Ask::Report, Ok(&stats(second + 1, available * MIB, 0))) {
                Heard::Report(report) => report.demand / MIB,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(demand(10, 512, 62), 450);
        assert_eq!(demand(20, 200, 3), 450);
        assert_eq!(demand(30, 470, 5), 465);
        // With memory to spare it shows what it needs.
        assert_eq!(demand(40, 470, 100), 370);
        assert_eq!(demand(50, 300, 1), 370);
        device.guest_reset();
        device.has(at(60), 300 * MIB);
        let Heard::Report(report) = device.answered(at(61), Ask::Report, Ok(&stats(61, MIB, 0))) else {
            panic!()
        };
        assert_eq!(report.demand, 299 * MIB);
    }

    #[test]
    fn a_driver_that_does_not_say_what_is_available_is_taken_at_what_is_free_and_one_that_says_nothing_at_nothing()
     {
        let mut device = device();
        device.has(at(1), 512 * MIB);
        let Heard::Report(report) = device.answered(at(2), Ask::Report, Ok(&stats(2, MISSING, 100 * MIB)))
        else {
            panic!()
        };
        assert_eq!(report.available, 110 * MIB);
        let silent = device.answered(at(3), Ask::Report, Ok(&stats(3, MISSING, MISSING)));
        assert!(matches!(silent, Heard::NoReport(_)));
        // A guest cannot have more available than it has.
        let Heard::Report(report) = device.answered(at(4), Ask::Report, Ok(&stats(4, u64::MAX - 1, 0)))
        else {
            panic!()
        };
        assert_eq!((report.demand, report.available), (0, 512 * MIB));
    }

    #[test]
    fn old_statistics_and_those_of_no_driver_are_no_report() {
        let mut device = device();
        device.has(at(1), 512 * MIB);
        assert_eq!(device.answered(at(100), Ask::Report, Ok(&stats(0, 1, 1))), Heard::NothingNew);
        assert_eq!(device.answered(at(100), Ask::Report, Ok(&stats(50, 1, 1))), Heard::NothingNew);
        assert_eq!(
            device.answered(at(100), Ask::Report, Ok(&json!({}))),
            Heard::Nonsense("the guest's statistics")
        );
        assert!(matches!(device.answered(at(101), Ask::Report, Ok(&stats(101, 1, 1))), Heard::Report(_)));
    }

    #[test]
    fn the_interval_is_set_only_where_nobody_has() {
        let mut device = device();
        for (seconds, set) in [(0, true), (5, false)] {
            device.answered(at(1), Ask::Interval, Ok(&json!(seconds)));
            assert_eq!(device.follow_up().is_some(), set);
        }
    }

    #[test]
    fn more_than_the_vm_can_have_is_no_amount() {
        let mut device = device();
        for answer in [json!({ "actual": u64::MAX }), json!({ "actual": -1 }), json!({}), json!([])] {
            assert_eq!(device.answered(at(1), Ask::Actual, Ok(&answer)), Heard::Nonsense("what the VM has"));
        }
        assert_eq!(device.actual(), None);
        let event = Event {
            name: "BALLOON_CHANGE".to_owned(),
            data: json!({ "actual": MIB }).as_object().unwrap().clone(),
        };
        assert_eq!(device.event(at(2), &event), Some(Heard::Actual));
        assert_eq!(device.actual(), Some(MIB));
    }
}
