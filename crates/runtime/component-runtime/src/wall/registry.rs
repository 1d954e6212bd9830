//! The components of a run with the wall clock.
use std::sync::Arc;

use model_sync::thread::JoinHandle;

use crate::component::Component;
use crate::end::{ComponentPanic, EndReason};
use crate::exit::ExitHook;
use crate::id::ComponentId;
use crate::pulse::Pulse;
use crate::sync::Port;
use crate::time::SimTime;
use crate::trace::{Cause, Label};

/// The components of a run with the wall clock.
#[derive(Default)]
pub(crate) struct Registry {
    slots: Vec<Slot>,
    free: Vec<u32>,
    next_serial: u64,
    alive: usize,
    stage: Stage,
    end: Option<EndReason>,
    panics: Vec<ComponentPanic>,
    /// Threads that have nothing left to do, to be joined when there is an occasion.
    finished: Vec<JoinHandle<()>>,
}

impl core::fmt::Debug for Registry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Registry")
            .field("alive", &self.alive)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Components are kept until the run begins.
    #[default]
    Building,
    Running,
    Ending,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    registered: Option<Registered>,
}

struct Registered {
    label: Arc<Label>,
    port: Arc<Port>,
    pulse: Arc<Pulse>,
    alive: bool,
    serial: u64,
    exits: Vec<ExitHook>,
    start_cause: Cause,
    /// Until the run begins.
    waiting: Option<Box<dyn Component>>,
    thread: Option<JoinHandle<()>>,
}

/// A component whose thread is to be started.
pub(crate) struct Launch {
    pub(crate) id: ComponentId,
    pub(crate) label: Arc<Label>,
    pub(crate) port: Arc<Port>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) cause: Cause,
    pub(crate) component: Box<dyn Component>,
}

/// What becomes of a component that is to be started.
pub(crate) enum Started {
    /// The component waits for the run to begin.
    Kept,
    /// Start its thread.
    Now(Launch),
    /// The run ends: drop it.
    Refused(Box<dyn Component>, Vec<ExitHook>),
}

/// A component that has never been awake, and who wanted to know of its end.
pub(crate) type NeverAwake = (Option<Box<dyn Component>>, Vec<ExitHook>);

impl Registry {
    fn find(&mut self, id: ComponentId) -> Option<&mut Registered> {
        let slot = self.slots.get_mut(id.index()).filter(|slot| slot.generation == id.generation())?;
        slot.registered.as_mut()
    }

    pub(crate) fn seat(&mut self, label: Arc<Label>) -> (ComponentId, Arc<Port>) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let slot = &mut self.slots[index as usize];
        let port = Arc::new(Port::default());
        slot.registered = Some(Registered {
            label,
            port: port.clone(),
            pulse: Arc::default(),
            alive: false,
            serial: 0,
            exits: Vec::new(),
            start_cause: Cause::NONE,
            waiting: None,
            thread: None,
        });
        (ComponentId::new(index, slot.generation), port)
    }

    pub(crate) fn start(
        &mut self,
        id: ComponentId,
        component: Box<dyn Component>,
        exits: Vec<ExitHook>,
        cause: Cause,
    ) -> Started {
        let (stage, serial) = (self.stage, self.next_serial);
        let Some(registered) = self.find(id).filter(|_| stage != Stage::Ending) else {
            return Started::Refused(component, exits);
        };
        registered.alive = true;
        registered.serial = serial;
        registered.exits = exits;
        registered.start_cause = cause;
        let started = if stage == Stage::Building {
            registered.waiting = Some(component);
            Started::Kept
        } else {
            Started::Now(Launch {
                id,
                label: registered.label.clone(),
                port: registered.port.clone(),
                pulse: registered.pulse.clone(),
                cause,
                component,
            })
        };
        self.next_serial += 1;
        self.alive += 1;
        started
    }

    /// The run begins: whose threads are to be started, in the order in which the components were started.
    pub(crate) fn begin(&mut self) -> Vec<Launch> {
        self.stage = Stage::Running;
        let mut launches: Vec<(u64, Launch)> = (0u32..)
            .zip(&mut self.slots)
            .filter_map(|(index, slot)| {
                let id = ComponentId::new(index, slot.generation);
                let registered = slot.registered.as_mut()?;
                let component = registered.waiting.take()?;
                let (label, port, pulse) =
                    (registered.label.clone(), registered.port.clone(), registered.pulse.clone());
                Some((
                    registered.serial,
                    Launch { id, label, port, pulse, cause: registered.start_cause, component },
                ))
            })
            .collect();
        launches.sort_unstable_by_key(|(serial, _)| *serial);
        launches.into_iter().map(|(_, launch)| launch).collect()
    }

    pub(crate) fn keep_thread(&mut self, id: ComponentId, thread: JoinHandle<()>) {
        match self.find(id) {
            Some(registered) => registered.thread = Some(thread),
            None => self.finished.push(thread),
        }
    }

    /// Threads that have ended.
    pub(crate) fn ended_threads(&mut self) -> Vec<JoinHandle<()>> {
        core::mem::take(&mut self.finished)
    }

    pub(crate) fn abandon(&mut self, id: ComponentId) {
        if self.find(id).is_some_and(|registered| !registered.alive) {
            self.vacate(id);
        }
    }

    fn vacate(&mut self, id: ComponentId) -> Option<Registered> {
        let slot = self.slots.get_mut(id.index()).filter(|slot| slot.generation == id.generation())?;
        let mut registered = slot.registered.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.slot());
        if registered.alive {
            self.alive -= 1;
        }
        self.finished.extend(registered.thread.take());
        Some(registered)
    }

    /// Where to tell a component that it has been killed.
    pub(crate) fn port_of_living(&mut self, id: ComponentId) -> Option<Arc<Port>> {
        self.find(id).filter(|registered| registered.alive).map(|registered| registered.port.clone())
    }

    /// The component has been dropped: its slot is free. Gives back who wanted to know, and its label; notes what it said when it
    /// panicked.
    pub(crate) fn dropped(
        &mut self,
        id: ComponentId,
        now: SimTime,
        panics: Vec<String>,
    ) -> (Vec<ExitHook>, Option<Arc<Label>>) {
        let Some(Registered { exits, label, .. }) = self.vacate(id) else { return (Vec::new(), None) };
        let panics = panics.into_iter().map(|message| ComponentPanic::new(&label, message, now));
        self.panics.extend(panics);
        (exits, Some(label))
    }

    /// Ends the run; the first reason counts.
    pub(crate) fn end(&mut self, reason: EndReason) {
        self.end.get_or_insert(reason);
    }

    /// Why the run has to end now, if it has to.
    pub(crate) fn reason_to_end(&self) -> Option<EndReason> {
        self.end.clone().or_else(|| (self.alive == 0).then_some(EndReason::Idle))
    }

    /// Takes no more components from now on. Returns those that live, the last started first.
    pub(crate) fn close(&mut self) -> Vec<(Arc<Port>, Option<JoinHandle<()>>)> {
        self.stage = Stage::Ending;
        let mut living: Vec<_> = self
            .slots
            .iter_mut()
            .filter_map(|slot| slot.registered.as_mut())
            .filter(|registered| registered.alive)
            .collect();
        living.sort_unstable_by_key(|registered| core::cmp::Reverse(registered.serial));
        living.into_iter().map(|registered| (registered.port.clone(), registered.thread.take())).collect()
    }

    pub(crate) fn has_living(&self) -> bool {
        self.alive > 0
    }

    pub(crate) fn panics(&mut self) -> Vec<ComponentPanic> {
        core::mem::take(&mut self.panics)
    }

    /// What is awake, for the watchdog.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn pulses(&self) -> Vec<Arc<Pulse>> {
        self.slots
            .iter()
            .filter_map(|slot| slot.registered.as_ref())
            .map(|registered| registered.pulse.clone())
            .collect()
    }

    /// Everything that a run that never began holds, so that it can be dropped outside of the lock.
    pub(crate) fn clear(&mut self) -> Vec<NeverAwake> {
        self.stage = Stage::Ending;
        self.slots
            .iter_mut()
            .filter_map(|slot| {
                slot.generation = slot.generation.wrapping_add(1);
                slot.registered.take()
            })
            .map(|registered| (registered.waiting, registered.exits))
            .collect()
    }
}
