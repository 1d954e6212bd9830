//! Guests that gave less than they were asked for.

use core::time::Duration;

use balancing_policy::VmView;

/// Whether it is of use to ask a guest for memory.
///
/// A guest that refuses is asked again by the balancer after a pause that doubles with every refusal, up to five minutes. To
/// ask in vain makes the next pause longer, and the guest may be paused just when it could give. So it is asked again when
/// something has changed for it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refusal {
    /// Whether the balancer's pause was on in the last round.
    pause: bool,
    /// When it refused, and what it had then beyond its demand, in pages; negative if it had less.
    refused: Option<(Duration, f64)>,
}

impl Refusal {
    /// Whether asking the guest is of no use. Asking is of use again when the guest has `enough` pages more beyond its demand
    /// than when it refused,
    /// or `longest` after that.
    pub(crate) fn follow(
        &mut self,
        vm: &VmView,
        now: Duration,
        beyond: f64,
        enough: f64,
        longest: Duration,
    ) -> bool {
        // Only what cannot be taken from now is kept above its minimum.
        let pause = vm.lowest > vm.settings.minimum;
        if pause && !self.pause {
            self.refused = Some((now, beyond));
        }
        self.pause = pause;
        let forgotten =
            |&(at, then): &(Duration, f64)| beyond >= then + enough || now.saturating_sub(at) >= longest;
        if !pause && self.refused.as_ref().is_some_and(forgotten) {
            self.refused = None;
        }
        self.refused.is_some()
    }
}

#[cfg(test)]
mod tests {

    use balancing_policy::{MemorySettings, PageCount, VmId};

    use super::*;

    const LONGEST: Duration = Duration::from_secs(300);

    fn vm(paused: bool) -> VmView {
        let (minimum, has) = (PageCount(1000), PageCount(5000));
        let settings = MemorySettings::dynamic(has, has).with_minimum(minimum);
        VmView::new(VmId(1), settings).with(|vm| vm.lowest = if paused { has } else { minimum })
    }

    /// Whether asking is of no use after these rounds: second, whether the balancer's pause is on, what the guest has beyond
    /// demand.
    fn after(rounds: &[(u64, bool, f64)]) -> bool {
        let mut refusal = Refusal::default();
        rounds.iter().fold(false, |_, &(second, paused, beyond)| {
            refusal.follow(&vm(paused), Duration::from_secs(second), beyond, 100.0, LONGEST)
        })
    }

    #[test]
    fn who_has_not_refused_is_asked() {
        assert!(!after(&[(0, false, -500.0), (400, false, 0.0)]));
    }

    #[test]
    fn who_refused_is_asked_again_when_there_is_more() {
        let refused = [(0, false, -500.0), (1, true, -500.0)];
        let then = |round| after(&[refused[0], refused[1], round]);
        assert!(then((6, false, -500.0)), "the balancer's pause is over, and nothing has changed");
        assert!(then((6, false, -401.0)));
        assert!(!then((6, false, -400.0)));
        assert!(then((6, true, 900.0)), "in the pause it is not asked whatever it has");
    }

    #[test]
    fn and_after_a_long_time_in_any_case() {
        assert!(after(&[(1, true, 0.0), (300, false, 0.0)]));
        assert!(!after(&[(1, true, 0.0), (301, false, 0.0)]));
    }

    #[test]
    fn every_refusal_counts_from_what_was_there_then() {
        let rounds = [(1, true, 0.0), (6, false, 150.0), (7, true, 150.0), (17, false, 200.0)];
        assert!(after(&rounds), "50 more than at the second refusal");
        assert!(!after(&[rounds[0], rounds[1], rounds[2], (17, false, 250.0)]));
    }
}
