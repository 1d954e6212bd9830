//! Everything on one thread, by the wall clock: a wake when something has come, or when a timer is due.
use core::time::Duration;

use crate::component::Component;
use crate::end::{EndReason, RunEnd};
use crate::paced::Paced;
use crate::run::Run;
use crate::schedule::{Decision, Finished};
use crate::time::SimTime;
use crate::wake::NextWake;

/// The longest sleep: a time that never comes needs a bound for some systems. Invented.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Runs until the time is up, the run is ended, or no component is left.
pub(crate) fn drive(run: &Run, paced: &Paced) -> RunEnd {
    let main = &paced.pace.main;
    main.settle();
    paced.pace.clock.enter(main);
    paced.pace.clock.begin();
    let mut components: Vec<Option<Box<dyn Component>>> = Vec::new();
    let mut woken: Option<Finished> = None;
    loop {
        let decision = {
            let mut scheduler = paced.pace.scheduler.lock();
            if let Some(finished) = woken.take() {
                scheduler.finish(finished);
            }
            let interrupted = run.is_interrupted();
            let now = paced.pace.clock.now();
            scheduler.advance(now);
            if now >= run.config.until {
                scheduler.end(EndReason::Until);
            }
            match scheduler.nothing_until().filter(|_| !interrupted) {
                Some(time) => Err(time),
                None => Ok(scheduler.step(None, interrupted)),
            }
        };
        let decision = match decision {
            Ok(decision) => decision,
            Err(time) => {
                let latest = paced.pace.clock.now().saturating_add(LONGEST_SLEEP);
                let time = time.min(run.config.until).min(latest);
                paced.pace.clock.sleep(main, time);
                continue;
            }
        };
        match decision {
            Decision::Wake { id, now, wake, cause } => {
                let index = id.index();
                if wake.started {
                    if index >= components.len() {
                        components.resize_with(index + 1, || None);
                    }
                    components[index] = paced.components.take_waiting(id);
                }
                woken = Some(match components.get_mut(index).and_then(Option::as_mut) {
                    Some(component) => {
                        run.wake(&paced.components.pulse, id, component.as_mut(), now, wake, cause)
                    }
                    None => Finished { id, next: NextWake::Stopped, more: false, cause, panic: None },
                });
            }
            Decision::Drop { id, now, cause, why } => {
                let component = components.get_mut(id.index()).and_then(Option::take);
                let component = component.or_else(|| paced.components.take_waiting(id));
                run.retire(id, component, now, cause, why);
            }
            Decision::End => break,
        }
    }
    paced.pace.clock.leave(main);
    paced.pace.clock.end();
    let (reason, time, wakes, panics) = paced.pace.scheduler.lock().outcome();
    RunEnd { reason: reason.unwrap_or(EndReason::Idle), time: time.max(SimTime::ZERO), wakes, panics }
}
