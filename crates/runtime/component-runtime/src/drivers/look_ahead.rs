//! Getting components into the processor's cache before it is their turn.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::component::Component;
use crate::schedule::Upcoming;

/// What fewer components look at stays in the cache by itself, and asking for it would only take time. There are three or four
/// for each VM.
const WORTHWHILE: usize = 512;

/// What has been asked for so far.
///
/// A component is first asked for when its timer is the next but one, and what it points to when it is the next: by then
/// the component itself is there to be read. Whom the present one is likely to ring for is asked for while it works.
#[derive(Debug, Default)]
pub(super) struct LookAhead {
    /// The last one whose [`prefetch_beyond`](Component::prefetch_beyond) was called before its turn.
    prepared: Option<usize>,
}

impl LookAhead {
    /// Whether there are enough components for it.
    pub(super) fn is_worthwhile(components: &[Option<Box<dyn Component>>]) -> bool {
        components.len() >= WORTHWHILE
    }

    /// Component `index` is about to be woken.
    pub(super) fn wakes(
        &mut self,
        index: usize,
        upcoming: Upcoming,
        components: &[Option<Box<dyn Component>>],
    ) {
        let [next, next_but_one] = upcoming.timers.map(|slot| slot.map(|slot| slot as usize));
        let rung = upcoming.rung.map(|slot| slot as usize);
        for soon in [rung, next_but_one].into_iter().flatten() {
            hint(components, soon, |component| component.prefetch_self());
        }
        // One that was rung for comes at once: late is better than never, since all that it asks for comes together.
        if self.prepared != Some(index) {
            hint(components, index, |component| component.prefetch_beyond());
        }
        if let Some(next) = next {
            hint(components, next, |component| component.prefetch_beyond());
            self.prepared = Some(next);
        }
    }
}

/// A component that panics here does without the hint: this is not its turn, and nobody may be harmed by it.
fn hint(components: &[Option<Box<dyn Component>>], index: usize, hint: impl FnOnce(&dyn Component)) {
    if let Some(component) = components.get(index).and_then(Option::as_deref) {
        let _panicked = catch_unwind(AssertUnwindSafe(|| hint(component)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use model_sync::Mutex;

    use super::*;
    use crate::{Context, Driver, NextWake, RunConfig, Runtime, SimTime, WakeCause};

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum What {
        Asked,
        AskedBeyond,
        Woken,
    }

    /// Writes down what is done with it.
    struct Noting {
        index: usize,
        wakes: u64,
        log: Arc<Mutex<Vec<(usize, What)>>>,
    }

    impl Component for Noting {
        fn wake(&mut self, _now: SimTime, _cause: WakeCause, _ctx: &mut Context<'_>) -> NextWake {
            self.log.lock().push((self.index, What::Woken));
            self.wakes += 1;
            if self.wakes == 4 {
                return NextWake::Stopped;
            }
            let at = Duration::from_secs(self.wakes) + Duration::from_millis(self.index as u64);
            NextWake::At(SimTime::from(at))
        }

        fn prefetch_self(&self) {
            self.log.lock().push((self.index, What::Asked));
        }

        fn prefetch_beyond(&self) {
            self.log.lock().push((self.index, What::AskedBeyond));
            assert!(self.index % 100 != 7, "of no interest to anybody");
        }
    }

    fn run(driver: Driver, count: usize) -> Vec<(usize, What)> {
        let mut runtime = Runtime::new(RunConfig::virtual_time(driver)).unwrap();
        let log = Arc::default();
        for index in 0..count {
            let noting = Noting { index, wakes: 0, log: Arc::clone(&log) };
            runtime.seat(&format!("{index}"), None).start(Box::new(noting));
        }
        let outcome = runtime.run();
        assert_eq!((outcome.wakes, outcome.panics.len()), (4 * count as u64, 0));
        std::mem::take(&mut *log.lock())
    }

    fn wakes(log: &[(usize, What)]) -> Vec<usize> {
        log.iter().filter(|(_, what)| *what == What::Woken).map(|(index, _)| *index).collect()
    }

    #[test]
    fn what_is_next_is_asked_for_before() {
        let log = run(Driver::Inline, WORTHWHILE + 100);
        let mut prepared = 0;
        let second_round =
            log.iter().position(|(index, what)| *index == 1 && *what == What::AskedBeyond).unwrap();
        for (at, (index, _)) in
            log.iter().enumerate().skip(second_round).filter(|(_, (_, what))| *what == What::Woken)
        {
            let its = log[..at].iter().rev().filter(|(other, _)| other == index).map(|(_, what)| *what);
            let before: Vec<What> = its.take_while(|what| *what != What::Woken).collect();
            assert_eq!(before.first(), Some(&What::AskedBeyond), "{index}");
            prepared += usize::from(before == [What::AskedBeyond, What::Asked]);
        }
        // The one that is next but one is not known where a page of the calendar ends, and not in the last round.
        assert!(prepared > 2 * WORTHWHILE, "{prepared} were asked for in time");
    }

    #[test]
    fn it_makes_no_difference_to_what_happens() {
        let many = WORTHWHILE + 100;
        assert_eq!(wakes(&run(Driver::Inline, many)), wakes(&run(Driver::Threads, many)));
    }

    #[test]
    fn few_components_are_left_alone() {
        assert!(run(Driver::Inline, WORTHWHILE / 2).iter().all(|(_, what)| *what == What::Woken));
    }
}
