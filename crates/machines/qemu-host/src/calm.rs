//! How often a guest is asked what it needs: every second while its need moves, and less often the longer that has stood still. A state machine
//! without a clock.
//!
//! Most guests of a host idle, or do the same for hours, and what a question costs is the same for all. A calm guest whose need rises is heard
//! [`SELDOM`] later at most, or [`RARELY`] if it had plenty, and from then on it is asked [`OFTEN`] again.

use core::time::Duration;

/// Time between two questions to a guest whose need moves. Inferred: QEMU asks guests for their statistics in whole seconds
/// (`guest-stats-polling-interval`, documented), so one a second is all that there is to hear.
pub const OFTEN: Duration = Duration::from_secs(1);
/// The same for a calm guest. Invented: the least that takes most of the questions away; a third of the age at which a report is none.
pub const SELDOM: Duration = Duration::from_secs(3);
/// The same for a guest that has been calm for long, and has plenty. Invented: half of the age at which a report is none.
pub const RARELY: Duration = Duration::from_secs(5);
/// So long a guest's need has stood still before the guest is calm. Invented: ten reports.
pub const REST: Duration = Duration::from_secs(10);
/// So long it has stood still before the guest has been calm for long. Invented.
pub const LONG_REST: Duration = Duration::from_secs(60);
/// A need stands still while it differs by less than this part of what the VM has from what it was. Invented, from what was seen: idle guests
/// stay within a hundredth (`docs/records/qemu`), and a buffer is a fifth.
const BAND: u64 = 32;
/// A guest that has less than this part of what the VM has available is never calm: it may come to its end between two questions. Invented: half
/// of what the usual buffer leaves a guest.
const LITTLE: u64 = 10;
/// A guest that has this part of what the VM has available has plenty. Invented: more than the usual buffer leaves a guest.
const PLENTY: u64 = 4;

/// What is known of one guest's calm.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calm {
    /// The need that it has stood still at, in bytes, and since when.
    still: Option<(u64, Duration)>,
    /// When it last said something, and whether it had plenty.
    latest: Duration,
    plenty: bool,
}

impl Calm {
    /// The guest of a VM that `has` so many bytes has said that it needs `demand` and has `available` left.
    pub fn reported(&mut self, now: Duration, demand: u64, available: u64, has: u64) {
        (self.latest, self.plenty) = (now, available >= has / PLENTY);
        let stands = |&(at, _): &(u64, Duration)| at.abs_diff(demand) < has / BAND;
        if available < has / LITTLE {
            self.still = None;
        } else if self.still.as_ref().is_none_or(|still| !stands(still)) {
            self.still = Some((demand, now));
        }
    }

    /// Something happens to the VM that its need may follow: memory is moved, its guest was reset, its processors go on.
    pub fn disturbed(&mut self) {
        self.still = None;
    }

    /// Time between two questions.
    #[must_use]
    pub fn interval(&self) -> Duration {
        let rest = self.still.map_or(Duration::ZERO, |(_, since)| self.latest.saturating_sub(since));
        match rest {
            _ if rest >= LONG_REST && self.plenty => RARELY,
            _ if rest >= REST => SELDOM,
            _ => OFTEN,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn second(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    /// A guest that needs 400 MiB of 512 for `seconds`, asked every second.
    fn at_rest(seconds: u64) -> Calm {
        let mut calm = Calm::default();
        for now in 0..=seconds {
            calm.reported(second(now), 400 * MIB, 112 * MIB, 512 * MIB);
        }
        calm
    }

    #[test]
    fn a_need_that_has_stood_still_for_ten_seconds_is_asked_for_less_often() {
        assert_eq!(Calm::default().interval(), OFTEN);
        assert_eq!((at_rest(9).interval(), at_rest(10).interval()), (OFTEN, SELDOM));
        let mut calm = at_rest(10);
        calm.reported(second(13), 415 * MIB, 97 * MIB, 512 * MIB);
        assert_eq!(calm.interval(), SELDOM);
    }

    #[test]
    fn a_need_that_moves_is_asked_for_every_second_at_once_and_for_ten_seconds() {
        let mut calm = at_rest(30);
        calm.reported(second(33), 416 * MIB, 96 * MIB, 512 * MIB);
        assert_eq!(calm.interval(), OFTEN);
        for now in 34..43 {
            calm.reported(second(now), 416 * MIB, 96 * MIB, 512 * MIB);
            assert_eq!(calm.interval(), OFTEN, "{now}");
        }
        calm.reported(second(43), 416 * MIB, 96 * MIB, 512 * MIB);
        assert_eq!(calm.interval(), SELDOM);
    }

    #[test]
    fn a_need_that_creeps_is_no_calm_one() {
        let mut calm = Calm::default();
        // 2 MiB a second: within ten seconds it is out of the band each time.
        for now in 0..50 {
            calm.reported(second(now), (200 + 2 * now) * MIB, (312 - 2 * now) * MIB, 512 * MIB);
            assert_eq!(calm.interval(), OFTEN, "{now}");
        }
    }

    #[test]
    fn whoever_has_plenty_for_a_minute_is_asked_still_less_often() {
        let mut calm = Calm::default();
        let mut say = |at: u64, available: u64| {
            calm.reported(second(at), (512 - available) * MIB, available * MIB, 512 * MIB);
            calm.interval()
        };
        let said: Vec<Duration> = (0..=60).map(|now| say(now, 300)).collect();
        assert_eq!((said[59], said[60]), (SELDOM, RARELY));
        // A rise, and however still it stands then, there is no more than the usual buffer.
        assert_eq!(say(65, 112), OFTEN);
        let said: Vec<Duration> = (66..300).map(|now| say(now, 112)).collect();
        assert!(said[..9].iter().all(|interval| *interval == OFTEN), "{said:?}");
        assert!(said[9..].iter().all(|interval| *interval == SELDOM), "{said:?}");
    }

    #[test]
    fn whoever_has_little_left_is_never_calm() {
        let mut calm = Calm::default();
        for now in 0..100 {
            calm.reported(second(now), 470 * MIB, 42 * MIB, 512 * MIB);
            assert_eq!(calm.interval(), OFTEN);
        }
        // And begins anew when there is more.
        calm.reported(second(100), 470 * MIB, 130 * MIB, 600 * MIB);
        assert_eq!(calm.interval(), OFTEN);
    }

    #[test]
    fn what_happens_to_the_vm_ends_the_calm() {
        let mut calm = at_rest(60);
        calm.disturbed();
        assert_eq!(calm.interval(), OFTEN);
        calm.reported(second(61), 400 * MIB, 112 * MIB, 512 * MIB);
        assert_eq!(calm.interval(), OFTEN);
    }

    proptest! {
        /// Whatever a guest says: as long as it is called calm, all that it said for ten seconds lay within twice the band, and it had something left;
        /// when it is called so for long, for a minute, and it has plenty.
        #[test]
        fn calm_means_that_nothing_has_moved(
            usual in 100_u64..400,
            steps in prop::collection::vec((1_u64..4, 0_u64..700), 1..80),
        ) {
            let mut calm = Calm::default();
            let (mut now, mut said) = (0, Vec::new());
            for (passed, demand) in steps {
                now += passed;
                // Mostly near one value, so that there is calm.
                let demand = if demand < 690 { usual + demand % 14 } else { demand };
                let available = 512_u64.saturating_sub(demand);
                calm.reported(second(now), demand * MIB, available * MIB, 512 * MIB);
                said.push((now, demand, available));
                let rest = match calm.interval() {
                    RARELY => 60,
                    SELDOM => 10,
                    _ => 0,
                };
                prop_assert!(rest < 60 || available >= 128);
                if rest > 0 {
                    let late: Vec<_> = said.iter().filter(|(at, ..)| at + rest >= now).collect();
                    let most = late.iter().map(|(_, demand, _)| *demand).max().unwrap();
                    let least = late.iter().map(|(_, demand, _)| *demand).min().unwrap();
                    prop_assert!(most - least <= 32, "{late:?}");
                    prop_assert!(late.iter().all(|(.., available)| *available >= 51));
                }
            }
        }

        /// Numbers as large as they come are no reason to panic.
        #[test]
        fn any_number_is_taken(said in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()), 0..20)) {
            let mut calm = Calm::default();
            for (now, demand, available, has) in said {
                calm.reported(second(now), demand, available, has);
                let interval = calm.interval();
                prop_assert!([OFTEN, SELDOM, RARELY].contains(&interval));
            }
        }
    }
}
