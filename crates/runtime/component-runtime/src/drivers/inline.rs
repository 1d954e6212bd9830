//! Everything on one thread.
use std::sync::Arc;

use model_sync::Mutex;

use super::look_ahead::LookAhead;
use crate::run::Run;
use crate::schedule::{Decision, Finished, Scheduler};
use crate::{Component, NextWake};

/// Runs until the scheduler says that it is over.
pub(crate) fn drive(run: &Arc<Run>, scheduler: &Mutex<Scheduler>) {
    let mut components: Vec<Option<Box<dyn Component>>> = Vec::new();
    let mut look_ahead = LookAhead::default();
    let mut woken = None;
    loop {
        let interrupted = run.is_interrupted();
        let (decision, upcoming) = {
            let mut scheduler = scheduler.lock();
            let decision = scheduler.step(woken.take(), interrupted);
            let upcoming = match decision {
                Decision::Wake { id, wake, .. } if LookAhead::is_worthwhile(&components) => {
                    Some(scheduler.upcoming(id, wake))
                }
                _ => None,
            };
            (decision, upcoming)
        };
        match decision {
            Decision::Wake { id, now, wake, cause, fresh } => {
                let index = id.index();
                if fresh.is_some() {
                    if index >= components.len() {
                        components.resize_with(index + 1, || None);
                    }
                    components[index] = fresh;
                }
                if let Some(upcoming) = upcoming {
                    look_ahead.wakes(index, upcoming, &components);
                }
                woken = Some(match components.get_mut(index).and_then(Option::as_mut) {
                    Some(component) => run.wake_watched(id, component.as_mut(), now, wake, cause),
                    None => Finished { id, next: NextWake::Stopped, more: false, cause, panic: None },
                });
            }
            Decision::Drop { id, now, cause, why, fresh } => {
                let component = fresh.or_else(|| components.get_mut(id.index()).and_then(Option::take));
                run.bury(id, component, now, cause, why);
            }
            Decision::End => return,
        }
    }
}
