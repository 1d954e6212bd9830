//! Writing `events.jsonl` and the journal while a run goes on.

use core::{fmt, str::FromStr};
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use component_runtime::{MachineRecorder, MachineValue, SimTime};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracing::{Level, Metadata};

use crate::{
    codec, context,
    events::{self, Head},
    files::{EVENTS_FILE, JOURNAL_FILE},
    names::Numbering,
    output::{Flusher, Output, Sink},
    packed::Form,
    record::{Severity, ValueRef},
};

/// How much is recorded (`--events`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventsLevel {
    /// Nothing.
    None,
    /// INFO and above: decisions, operations, lifecycle.
    Decisions,
    /// DEBUG and above: the traffic of every second too, and the inputs and outputs of state machines, for replay.
    #[default]
    All,
}

impl EventsLevel {
    /// Every level, from least to most.
    pub const EACH: [Self; 3] = [Self::None, Self::Decisions, Self::All];

    /// Its word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Decisions => "decisions",
            Self::All => "all",
        }
    }

    /// The most detailed level of tracing that is recorded.
    pub(crate) const fn max_level(self) -> Option<Level> {
        match self {
            Self::None => None,
            Self::Decisions => Some(Level::INFO),
            Self::All => Some(Level::DEBUG),
        }
    }
}

impl fmt::Display for EventsLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that is no [`EventsLevel`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of all, decisions, none")]
pub struct UnknownEventsLevel(String);

impl FromStr for EventsLevel {
    type Err = UnknownEventsLevel;

    fn from_str(text: &str) -> Result<Self, UnknownEventsLevel> {
        Self::EACH
            .into_iter()
            .find(|level| level.name() == text)
            .ok_or_else(|| UnknownEventsLevel(text.to_owned()))
    }
}

/// Records a run. Clones record to the same files, from many threads if need be.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    level: EventsLevel,
    machines: bool,
    state: Arc<Mutex<State>>,
    /// Of files: writes out once a second what is buffered.
    _flusher: Option<Flusher>,
}

/// What has been recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// Number of events.
    pub events: u64,
    /// Number of inputs and outputs of state machines.
    pub machine_values: u64,
    /// Size of `events.jsonl` in bytes, before it is packed.
    pub events_bytes: u64,
    /// Size of the journal in bytes, before it is packed.
    pub journal_bytes: u64,
}

impl Recorder {
    /// Records into `events.jsonl` and the journal in `directory`, which must exist. What is recorded is in the files a second later,
    /// so that a run that is killed leaves all but about its last second. In packed form ([`Form::Packed`]) it is in the files when a frame
    /// is full, which is after 256 KiB.
    ///
    /// # Errors
    /// If a file cannot be made; an existing one is never overwritten.
    pub fn create(directory: &Path, level: EventsLevel, form: Form) -> io::Result<Self> {
        let open = |name: &str| -> io::Result<Output> {
            let path = directory.join(form.name(name));
            let file = OpenOptions::new().write(true).create_new(true).open(path)?;
            Ok(Output::buffered(Box::new(file), form))
        };
        let state = State::new(Some(open(EVENTS_FILE)?), Some(open(JOURNAL_FILE)?))?;
        let state = Arc::new(Mutex::new(state));
        let flusher = Flusher::start(&state, |state: &mut State| {
            if !state.stopped
                && let Err(error) = state.flush_in_time()
            {
                state.stop(error);
            }
        });
        Ok(Self::new(state, level, flusher))
    }

    /// Records into `events` and `journal`, each if given: each event and each value by one write.
    ///
    /// # Errors
    /// If the journal's first bytes cannot be written.
    pub fn to_writers(events: Option<Sink>, journal: Option<Sink>, level: EventsLevel) -> io::Result<Self> {
        let state = State::new(events.map(Output::direct), journal.map(Output::direct))?;
        Ok(Self::new(Arc::new(Mutex::new(state)), level, None))
    }

    /// Writes each event to `tap` as well, as a line of `events.jsonl`, at once: for whoever watches. A tap that fails is given up.
    pub fn tap(&self, tap: Box<dyn Write + Send>) {
        self.shared.state.lock().tap = Some(tap);
    }

    fn new(state: Arc<Mutex<State>>, level: EventsLevel, flusher: Option<Flusher>) -> Self {
        let machines = state.lock().journal.is_some() && level == EventsLevel::All;
        Self { shared: Arc::new(Shared { level, machines, state, _flusher: flusher }) }
    }

    /// How much is recorded.
    pub fn level(&self) -> EventsLevel {
        self.shared.level
    }

    /// This recorder as the runtime takes it, if inputs and outputs of state machines are recorded at all.
    pub fn machine_recorder(&self) -> Option<Arc<dyn MachineRecorder>> {
        self.shared.machines.then(|| Arc::new(self.clone()) as Arc<dyn MachineRecorder>)
    }

    /// Writes out what is buffered and says how much there is. Recording can go on.
    ///
    /// # Errors
    /// The error that ended the recording, once; what was recorded before it is good.
    pub fn finish(&self) -> io::Result<Recorded> {
        let mut state = self.shared.state.lock();
        let state = &mut *state;
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        if state.stopped {
            return Ok(state.recorded);
        }
        state.flush()?;
        Ok(state.recorded)
    }

    /// Whether a tracing event with this metadata is recorded.
    pub(crate) fn wants(&self, metadata: &Metadata<'_>) -> bool {
        self.shared.level.max_level().is_some_and(|max| *metadata.level() <= max)
            && metadata.is_event()
            && metadata.fields().field("event").is_some()
    }

    /// Records a tracing event that is [wanted](Self::wants).
    pub(crate) fn record(&self, event: &tracing::Event<'_>) {
        self.shared.state.lock().record(event);
    }

    fn machine(&self, output: bool, machine: &str, now: SimTime, value: &dyn MachineValue) {
        if self.shared.machines {
            self.shared.state.lock().machine(output, machine, now, value);
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("level", &self.shared.level).finish_non_exhaustive()
    }
}

impl MachineRecorder for Recorder {
    fn input(&self, machine: &str, now: SimTime, value: &dyn MachineValue) {
        self.machine(false, machine, now, value);
    }

    fn output(&self, machine: &str, now: SimTime, value: &dyn MachineValue) {
        self.machine(true, machine, now, value);
    }
}

/// What has been recorded and where it goes, and buffers that are used again for every event.
#[derive(Default)]
struct State {
    events: Option<Output>,
    journal: Option<Output>,
    /// Whoever watches: gets what the events file gets.
    tap: Option<Sink>,
    names: Numbering,
    /// The places in the code that events come from, found by the address of their metadata: only looked up, so nothing depends
    /// on the order.
    callsites: BTreeMap<usize, Callsite>,
    parts: Parts,
    value: Vec<u8>,
    recorded: Recorded,
    /// After an error nothing more is recorded.
    stopped: bool,
    error: Option<io::Error>,
}

/// The fields of a place in the code that events come from.
type Callsite = Arc<[Field]>;

#[derive(Clone, Copy)]
enum Field {
    /// Says what the event is called.
    Event,
    /// Replaces what the runtime knows of the context, if the value has the right type.
    Vm(u32),
    Component(u32),
    Cause(u32),
    /// A field of the event's own: the number of the field's name.
    Own(u32),
}

/// One event's parts, while its fields are visited.
#[derive(Default)]
struct Parts {
    event: String,
    vm: Replacement,
    component: Replacement,
    cause: Option<u64>,
    /// Number of own fields.
    count: u64,
    json: Vec<u8>,
    binary: Vec<u8>,
    text: String,
}

/// A text of an event that replaces one of the context.
#[derive(Default)]
struct Replacement {
    given: bool,
    text: String,
}

impl Replacement {
    fn set(&mut self, text: &str) {
        self.given = true;
        self.text.clear();
        self.text.push_str(text);
    }

    fn get(&self) -> Option<&str> {
        self.given.then_some(&*self.text)
    }
}

impl State {
    /// Begins the journal: its header is written out at once.
    fn new(events: Option<Output>, mut journal: Option<Output>) -> io::Result<Self> {
        let mut recorded = Recorded::default();
        if let Some(journal) = &mut journal {
            codec::append_header(journal.buffer());
            journal.flush()?;
            recorded.journal_bytes = codec::HEADER_BYTES;
        }
        Ok(Self { events, journal, recorded, ..Self::default() })
    }

    fn record(&mut self, event: &tracing::Event<'_>) {
        if self.stopped {
            return;
        }
        if let Err(error) = self.try_record(event) {
            self.stop(error);
        }
    }

    fn try_record(&mut self, event: &tracing::Event<'_>) -> io::Result<()> {
        let metadata = event.metadata();
        let callsite = core::ptr::from_ref(metadata).addr();
        let fields = match self.callsites.get(&callsite) {
            Some(fields) => Callsite::clone(fields),
            None => {
                let fields = self.fields(metadata)?;
                self.callsites.insert(callsite, Callsite::clone(&fields));
                fields
            }
        };
        let Self { parts, names, events, journal, .. } = self;
        parts.clear();
        event.record(&mut FieldVisitor {
            parts,
            names,
            fields: &fields,
            json: events.is_some(),
            binary: journal.is_some(),
        });
        context::with(|context| self.write(&context, Severity::of(metadata.level())))
    }

    /// What the fields of a place in the code are.
    fn fields(&mut self, metadata: &Metadata<'_>) -> io::Result<Callsite> {
        metadata
            .fields()
            .iter()
            .map(|field| {
                let number = self.name(own_name(field.name()))?;
                Ok(match field.name() {
                    "event" => Field::Event,
                    "vm" => Field::Vm(number),
                    "component" => Field::Component(number),
                    "cause" => Field::Cause(number),
                    _ => Field::Own(number),
                })
            })
            .collect()
    }

    fn write(&mut self, context: &context::Context<'_>, severity: Severity) -> io::Result<()> {
        let parts = core::mem::take(&mut self.parts);
        let written = self.write_parts(&parts, context, severity);
        self.parts = parts;
        written
    }

    fn write_parts(
        &mut self,
        parts: &Parts,
        context: &context::Context<'_>,
        severity: Severity,
    ) -> io::Result<()> {
        // Under the lock, so that numbers ascend in the file whatever the threads do.
        let seq = context::take_seq();
        let cause = parts.cause.unwrap_or(context.cause);
        let component = self.name(parts.component.get().unwrap_or(context.component))?;
        let vm = parts.vm.get().or(context.vm).map(|vm| self.name(vm)).transpose()?;
        let event = self.name(&parts.event)?;
        let t = context.now.0;
        if let Some(journal) = &mut self.journal {
            let head =
                codec::EventHead { t, seq, cause, component, vm, event, severity, fields: parts.count };
            self.recorded.journal_bytes += codec::append_frame(journal.buffer(), |payload| {
                codec::append_event(&head, &parts.binary, payload);
            })?;
            journal.entry_ends()?;
        }
        if let Some(file) = &mut self.events {
            let json = |number| self.names.json(number);
            let (component, vm, event) = (json(component), vm.map(json), json(event));
            let line = file.buffer();
            let before = line.len();
            events::append_head(line, &Head { t, seq, component, vm, event, cause, severity });
            line.extend_from_slice(&parts.json);
            events::append_end(line);
            if let Some(tap) = &mut self.tap
                && tap.write_all(&line[before..]).is_err()
            {
                self.tap = None;
            }
            self.recorded.events_bytes += (line.len() - before) as u64;
            file.entry_ends()?;
        }
        self.recorded.events += 1;
        Ok(())
    }

    /// The number of a name; a new one is written to the journal first.
    fn name(&mut self, name: &str) -> io::Result<u32> {
        let (number, new) = self.names.number(name);
        if new && let Some(journal) = &mut self.journal {
            self.recorded.journal_bytes +=
                codec::append_frame(journal.buffer(), |payload| codec::append_name(name, payload))?;
            journal.entry_ends()?;
        }
        Ok(number)
    }

    fn machine(&mut self, output: bool, machine: &str, now: SimTime, value: &dyn MachineValue) {
        if !self.stopped
            && let Err(error) = self.try_machine(output, machine, now, value)
        {
            self.stop(error);
        }
    }

    fn try_machine(
        &mut self,
        output: bool,
        machine: &str,
        now: SimTime,
        value: &dyn MachineValue,
    ) -> io::Result<()> {
        let number = self.name(machine)?;
        let Some(journal) = &mut self.journal else { return Ok(()) };
        self.value.clear();
        value.encode(&mut self.value).map_err(io::Error::other)?;
        let head = (now.0, context::cause(), number);
        self.recorded.journal_bytes += codec::append_frame(journal.buffer(), |payload| {
            codec::append_machine(output, head, &self.value, payload);
        })?;
        self.recorded.machine_values += 1;
        journal.entry_ends()
    }

    /// Writes out what is buffered.
    fn flush(&mut self) -> io::Result<()> {
        [&mut self.events, &mut self.journal].into_iter().flatten().try_for_each(Output::flush)
    }

    /// Writes out what is buffered and may be written at any time.
    fn flush_in_time(&mut self) -> io::Result<()> {
        [&mut self.events, &mut self.journal].into_iter().flatten().try_for_each(Output::flush_in_time)
    }

    /// A gap in the middle would be worse than an end.
    fn stop(&mut self, error: io::Error) {
        self.stopped = true;
        self.error = Some(error);
    }
}

impl Parts {
    fn clear(&mut self) {
        self.event.clear();
        self.vm.given = false;
        self.component.given = false;
        self.cause = None;
        self.count = 0;
        self.json.clear();
        self.binary.clear();
    }
}

/// The name under which a field is kept if it does not replace the context's: that name must not pass for a part of the
/// head.
fn own_name(name: &'static str) -> &'static str {
    match name {
        "t" => "t_",
        "seq" => "seq_",
        "severity" => "severity_",
        "vm" => "vm_",
        "component" => "component_",
        "cause" => "cause_",
        "event" => "event_",
        other => other,
    }
}

/// Takes the fields of an event apart.
struct FieldVisitor<'a> {
    parts: &'a mut Parts,
    names: &'a Numbering,
    fields: &'a [Field],
    json: bool,
    binary: bool,
}

impl FieldVisitor<'_> {
    /// What a field is. All fields of an event are those of its place in the code.
    fn field(&self, field: &tracing::field::Field) -> Option<Field> {
        self.fields.get(field.index()).copied()
    }

    fn own(&mut self, name: u32, value: ValueRef<'_>) {
        if self.json {
            events::append_field(&mut self.parts.json, self.names.key(name), value);
        }
        if self.binary {
            codec::append_field(name, value, &mut self.parts.binary);
        }
        self.parts.count += 1;
    }

    /// A value that is no text and no cause.
    fn value(&mut self, field: &tracing::field::Field, value: ValueRef<'_>) {
        match self.field(field) {
            Some(Field::Vm(name) | Field::Component(name) | Field::Cause(name) | Field::Own(name)) => {
                self.own(name, value);
            }
            Some(Field::Event) | None => {}
        }
    }

    fn text(&mut self, field: &tracing::field::Field, text: &str) {
        match self.field(field) {
            Some(Field::Event) => {
                self.parts.event.clear();
                self.parts.event.push_str(text);
            }
            Some(Field::Vm(_)) => self.parts.vm.set(text),
            Some(Field::Component(_)) => self.parts.component.set(text),
            Some(Field::Cause(name) | Field::Own(name)) => self.own(name, ValueRef::Text(text)),
            None => {}
        }
    }
}

impl tracing::field::Visit for FieldVisitor<'_> {
    fn record_f64(&mut self, field: &tracing::field::Field, value: f64) {
        if value.is_finite() {
            self.value(field, ValueRef::Float(value));
        } else {
            // JSON has no such numbers.
            self.record_debug(field, &value);
        }
    }

    fn record_i64(&mut self, field: &tracing::field::Field, value: i64) {
        self.value(field, value.into());
    }

    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        if let Some(Field::Cause(_)) = self.field(field) {
            self.parts.cause = Some(value);
        } else {
            self.value(field, ValueRef::Unsigned(value));
        }
    }

    fn record_bool(&mut self, field: &tracing::field::Field, value: bool) {
        self.value(field, ValueRef::Bool(value));
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.text(field, value);
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        use fmt::Write as _;
        let mut text = core::mem::take(&mut self.parts.text);
        text.clear();
        // A value whose Debug fails is kept as far as it got.
        let _: fmt::Result = write!(text, "{value:?}");
        self.text(field, &text);
        self.parts.text = text;
    }
}

/// A buffer to record into and to look at afterwards.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Buffer {
    /// What has been written so far.
    pub fn contents(&self) -> Vec<u8> {
        self.bytes.lock().clone()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer for [`Recorder::to_writers`] that keeps everything in memory, and the buffer that it goes to.
pub fn buffer() -> (Box<dyn Write + Send>, Buffer) {
    let buffer = Buffer::default();
    (Box::new(buffer.clone()), buffer)
}

#[cfg(test)]
mod tests;
