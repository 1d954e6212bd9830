//! Getting components into the processor's cache before it is their turn.

use crate::Component;
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
        let component = |index: usize| components.get(index).and_then(Option::as_deref);
        let [next, next_but_one] = upcoming.timers;
        for slot in [upcoming.rung, next_but_one].into_iter().flatten() {
            if let Some(component) = component(slot as usize) {
                component.prefetch_self();
            }
        }
        // One that was rung for comes at once: late is better than never, since all that it asks for comes together.
        if self.prepared != Some(index)
            && let Some(component) = component(index)
        {
            component.prefetch_beyond();
        }
        if let Some(next) = next.map(|slot| slot as usize)
            && let Some(component) = component(next)
        {
            component.prefetch_beyond();
            self.prepared = Some(next);
        }
    }
}
