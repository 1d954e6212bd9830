//! What the parts of a run with the wall clock share: its clock, and who lives in it.
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use model_sync::Mutex;
use model_sync::thread::JoinHandle;

use crate::runtime::{ComponentPanic, EndReason};
use crate::seat::{ExitHook, Unborn};
use crate::sync::{Port, Signals};
use crate::trace::{Cause, Label};
use crate::watchdog::Pulse;
use crate::{Component, ComponentId, SimTime};

#[cfg_attr(shuttle, path = "wall/model_clock.rs")]
mod clock;
use clock::Clock;

/// A run with the wall clock.
#[derive(Debug)]
pub(crate) struct Wall {
    pub(crate) clock: Clock,
    pub(crate) wakes: AtomicU64,
    /// Where the thread that called `run` waits: `HALT` when the run is to end, `MESSAGE` when there may be nobody left.
    pub(crate) main: Arc<Port>,
    pub(crate) people: Mutex<People>,
}

/// Who lives in a run with the wall clock.
#[derive(Default)]
pub(crate) struct People {
    places: Vec<Place>,
    free: Vec<u32>,
    next_serial: u64,
    alive: usize,
    stage: Stage,
    end: Option<EndReason>,
    panics: Vec<ComponentPanic>,
    /// Threads that have nothing left to do, to be joined when there is an occasion.
    finished: Vec<JoinHandle<()>>,
}

impl core::fmt::Debug for People {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("People")
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
struct Place {
    generation: u32,
    person: Option<Person>,
}

struct Person {
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
pub(crate) struct Birth {
    pub(crate) id: ComponentId,
    pub(crate) label: Arc<Label>,
    pub(crate) port: Arc<Port>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) cause: Cause,
    pub(crate) component: Box<dyn Component>,
}

/// What becomes of a component that is to be started.
pub(crate) enum Started {
    /// It waits for the run to begin.
    Kept,
    /// Start its thread.
    Now(Birth),
    /// The run ends: drop it.
    Refused(Box<dyn Component>, Vec<ExitHook>),
}

impl Wall {
    pub(crate) fn new(speed: f64) -> Self {
        Wall {
            clock: Clock::new(speed),
            wakes: AtomicU64::new(0),
            main: Arc::default(),
            people: Mutex::new(People::default()),
        }
    }

    pub(crate) fn now(&self) -> SimTime {
        self.clock.now()
    }

    pub(crate) fn end(&self, reason: EndReason) {
        self.people.lock().end.get_or_insert(reason);
        self.main.raise(Signals::HALT);
    }

    pub(crate) fn count_wake(&self) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
    }
}

impl People {
    fn person(&mut self, id: ComponentId) -> Option<&mut Person> {
        let place = self.places.get_mut(id.index()).filter(|place| place.generation == id.generation())?;
        place.person.as_mut()
    }

    pub(crate) fn seat(&mut self, label: Arc<Label>) -> (ComponentId, Arc<Port>) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let place = &mut self.places[slot as usize];
        let port = Arc::new(Port::default());
        place.person = Some(Person {
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
        (ComponentId::new(slot, place.generation), port)
    }

    pub(crate) fn start(
        &mut self,
        id: ComponentId,
        component: Box<dyn Component>,
        exits: Vec<ExitHook>,
        cause: Cause,
    ) -> Started {
        let (stage, serial) = (self.stage, self.next_serial);
        let Some(person) = self.person(id).filter(|_| stage != Stage::Ending) else {
            return Started::Refused(component, exits);
        };
        person.alive = true;
        person.serial = serial;
        person.exits = exits;
        person.start_cause = cause;
        let started = if stage == Stage::Building {
            person.waiting = Some(component);
            Started::Kept
        } else {
            Started::Now(Birth {
                id,
                label: person.label.clone(),
                port: person.port.clone(),
                pulse: person.pulse.clone(),
                cause,
                component,
            })
        };
        self.next_serial += 1;
        self.alive += 1;
        started
    }

    /// The run begins: whose threads are to be started, in the order in which the components were started.
    pub(crate) fn begin(&mut self) -> Vec<Birth> {
        self.stage = Stage::Running;
        let mut births: Vec<(u64, Birth)> = (0u32..)
            .zip(&mut self.places)
            .filter_map(|(slot, place)| {
                let id = ComponentId::new(slot, place.generation);
                let person = place.person.as_mut()?;
                let component = person.waiting.take()?;
                let (label, port, pulse) = (person.label.clone(), person.port.clone(), person.pulse.clone());
                Some((person.serial, Birth { id, label, port, pulse, cause: person.start_cause, component }))
            })
            .collect();
        births.sort_unstable_by_key(|(serial, _)| *serial);
        births.into_iter().map(|(_, birth)| birth).collect()
    }

    pub(crate) fn keep_thread(&mut self, id: ComponentId, thread: JoinHandle<()>) {
        match self.person(id) {
            Some(person) => person.thread = Some(thread),
            None => self.finished.push(thread),
        }
    }

    /// Threads that have ended.
    pub(crate) fn ended_threads(&mut self) -> Vec<JoinHandle<()>> {
        core::mem::take(&mut self.finished)
    }

    pub(crate) fn abandon(&mut self, id: ComponentId) {
        if self.person(id).is_some_and(|person| !person.alive) {
            self.vacate(id);
        }
    }

    fn vacate(&mut self, id: ComponentId) -> Option<Person> {
        let place = self.places.get_mut(id.index()).filter(|place| place.generation == id.generation())?;
        let mut person = place.person.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(id.slot());
        if person.alive {
            self.alive -= 1;
        }
        self.finished.extend(person.thread.take());
        Some(person)
    }

    /// Where to tell a component that it has been killed.
    pub(crate) fn port_of_living(&mut self, id: ComponentId) -> Option<Arc<Port>> {
        self.person(id).filter(|person| person.alive).map(|person| person.port.clone())
    }

    /// The component has been dropped: its place is free, and whoever wants to know is given back.
    pub(crate) fn dropped(&mut self, id: ComponentId) -> (Vec<ExitHook>, Option<Arc<Label>>) {
        self.vacate(id).map_or((Vec::new(), None), |person| (person.exits, Some(person.label)))
    }

    pub(crate) fn record_panic(&mut self, label: &Label, message: String, time: SimTime) {
        self.panics.push(ComponentPanic::new(label, message, time));
    }

    /// Why the run has to end now, if it has to.
    pub(crate) fn reason_to_end(&self) -> Option<EndReason> {
        self.end.clone().or_else(|| (self.alive == 0).then_some(EndReason::Idle))
    }

    /// No more components from now on. Who lives, the last started first.
    pub(crate) fn close(&mut self) -> Vec<(Arc<Port>, Option<JoinHandle<()>>)> {
        self.stage = Stage::Ending;
        let mut living: Vec<_> = self
            .places
            .iter_mut()
            .filter_map(|place| place.person.as_mut())
            .filter(|person| person.alive)
            .collect();
        living.sort_unstable_by_key(|person| core::cmp::Reverse(person.serial));
        living.into_iter().map(|person| (person.port.clone(), person.thread.take())).collect()
    }

    pub(crate) fn anybody(&self) -> bool {
        self.alive > 0
    }

    pub(crate) fn panics(&mut self) -> Vec<ComponentPanic> {
        core::mem::take(&mut self.panics)
    }

    /// What is awake, for the watchdog.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn pulses(&self) -> Vec<Arc<Pulse>> {
        self.places
            .iter()
            .filter_map(|place| place.person.as_ref())
            .map(|person| person.pulse.clone())
            .collect()
    }

    /// Everything that a run that never began holds, so that it can be dropped outside of the lock.
    pub(crate) fn clear(&mut self) -> Vec<Unborn> {
        self.stage = Stage::Ending;
        self.places
            .iter_mut()
            .filter_map(|place| {
                place.generation = place.generation.wrapping_add(1);
                place.person.take()
            })
            .map(|person| (person.waiting, person.exits))
            .collect()
    }
}
