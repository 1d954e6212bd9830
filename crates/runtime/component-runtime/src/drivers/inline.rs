//! Everything on one thread.
use crate::component::Component;
use crate::run::Run;
use crate::schedule::{Decision, Finished};
use crate::virtual_time::VirtualTime;
use crate::wake::NextWake;

/// Runs until the scheduler says that it is over.
pub(crate) fn drive(run: &Run, time: &VirtualTime) {
    let mut components: Vec<Option<Box<dyn Component>>> = Vec::new();
    let mut woken = None;
    loop {
        let interrupted = run.is_interrupted();
        let decision = time.scheduler.lock().step(woken.take(), interrupted);
        match decision {
            Decision::Wake { id, now, wake, cause } => {
                if let Some(before_wake) = &run.config.before_wake {
                    before_wake(now);
                }
                let index = id.index();
                if wake.started {
                    if index >= components.len() {
                        components.resize_with(index + 1, || None);
                    }
                    components[index] = time.take_waiting(id);
                }
                woken = Some(match components.get_mut(index).and_then(Option::as_mut) {
                    Some(component) => run.wake(&time.pulse, id, component.as_mut(), now, wake, cause),
                    None => Finished { id, next: NextWake::Stopped, more: false, cause, panic: None },
                });
            }
            Decision::Drop { id, now, cause, why } => {
                let component = components.get_mut(id.index()).and_then(Option::take);
                let component = component.or_else(|| time.take_waiting(id));
                run.retire(id, component, now, cause, why);
            }
            Decision::End => return,
        }
    }
}
