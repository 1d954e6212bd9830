//! One connection to one QEMU: greeting, discovery, questions and answers. Bytes and time in, bytes and happenings out.
//!
//! All that is to be asked at a time is sent as one, and answered before anything else is sent. What QEMU can do is found by asking, never
//! configured.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::calm::{self, Calm};
use crate::device::hv_balloon::HvBalloon;
use crate::device::virtio_balloon::VirtioBalloon;
use crate::device::virtio_mem::VirtioMem;
use crate::device::{Ask, Command, Device, Heard, Kind, Limits, Now, Report};
use crate::qmp::{self, Broken, Event, Message, Reader, Refusal};

/// Until when QEMU must have greeted, and answered a command after the one before. Invented: it answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two rounds of questions while memory is under way; while none is, [`Calm`] says. Invented.
const POLL_MOVING: Duration = Duration::from_millis(200);
/// Time between two questions whether the VM runs, and migrates. Invented: whether it runs, events say too, and whether it migrates is asked anew
/// as soon as memory is to be moved.
const POLL_STATE: Duration = Duration::from_secs(5);
/// The same for a VM whose guest is calm. Invented.
const POLL_STATE_CALM: Duration = Duration::from_secs(15);
/// Polls are at multiples of this: many VMs are asked together, for which the daemon wakes once. Invented.
const STEP: Duration = Duration::from_millis(125);
/// Devices that are looked at. Invented: a VM has some dozen.
const MOST_DEVICES: usize = 4096;
/// Where QEMU has the devices that were given an id, and those that were not (documented).
const PLACES: [&str; 2] = ["/machine/peripheral", "/machine/peripheral-anon"];

/// What was found out about a VM.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// QEMU's version.
    pub version: String,
    /// The VM's name, if it has one.
    pub name: Option<String>,
    /// What moves its memory.
    pub device: Kind,
    /// What can be done with it.
    pub limits: Limits,
    /// What it has, in bytes.
    pub actual: u64,
}

/// What has come of the connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// All of it is known, and the VM can be looked after.
    Ready(Facts),
    /// What the VM has was heard (again), in bytes.
    Actual(u64),
    /// The guest has reported.
    Report(Report),
    /// The guest will not report: why. Told once.
    NoReport(&'static str),
    /// QEMU has taken the last request.
    Accepted,
    /// QEMU has refused the last request.
    Refused(Refusal),
    /// Whether the VM's processors run: QEMU's word for the state.
    State {
        /// Whether they do.
        running: bool,
        /// QEMU's word.
        word: String,
    },
    /// Whether the VM is being migrated.
    Migrating(bool),
    /// The guest was reset: it boots anew.
    Reset,
    /// QEMU has not answered for a while.
    Hung,
    /// QEMU answers again.
    Answers,
    /// The VM cannot be looked after; the connection is of no use.
    Useless(Useless),
}

/// Why a connection is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Useless {
    /// No greeting.
    #[error(
        "QEMU does not greet: another program holds its QMP socket; give the VM a second one (-qmp unix:PATH,server=on,wait=off)"
    )]
    NoGreeting,
    /// Bytes that are no QMP.
    #[error("what answers does not speak QMP: {0}")]
    Broken(Broken),
    /// A command without which nothing can be done.
    #[error("QEMU refuses `{command}`: {refusal}")]
    Refused {
        /// The command.
        command: &'static str,
        /// What QEMU says.
        refusal: Refusal,
    },
    /// An answer without what is needed.
    #[error("QEMU's answer to `{0}` makes no sense")]
    Nonsense(&'static str),
    /// Nothing to move memory with.
    #[error(
        "the VM has none of the devices virtio-balloon, virtio-mem and hv-balloon: add `-device virtio-balloon-pci`"
    )]
    NoDevice,
}

/// What a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Negotiate,
    Name,
    State,
    Migration,
    Sizes,
    List(usize),
    MemoryDevices,
    Mover(Ask),
    Teller(Ask),
}

#[derive(Debug)]
struct Queued {
    purpose: Purpose,
    execute: &'static str,
    arguments: Arc<str>,
}

/// A command that was sent.
#[derive(Debug)]
struct InFlight {
    id: u64,
    purpose: Purpose,
    execute: &'static str,
}

/// What was found, until all of it is.
#[derive(Debug, Default)]
struct Found {
    version: String,
    name: Option<String>,
    base: u64,
    plugged: u64,
    devices: Vec<(Kind, String)>,
    /// Most that an hv-balloon can hot-add.
    hv_more: u64,
}

/// The connection.
#[derive(Debug)]
pub struct Session {
    reader: Reader,
    greeted: bool,
    began: Duration,
    found: Found,
    ready: bool,
    useless: bool,
    mover: Option<Box<dyn Device>>,
    teller: Option<Box<dyn Device>>,
    queue: VecDeque<Queued>,
    /// What was sent and is not answered.
    in_flight: VecDeque<InFlight>,
    /// Until when something of that is to be answered, and whether it was told that nothing was.
    until: Duration,
    told_hung: bool,
    next_id: u64,
    next_poll: Duration,
    next_state: Duration,
    moving: bool,
    calm: Calm,
    /// The host is short: no guest is asked less often than every second.
    hurry: bool,
    told_no_report: bool,
    out: Vec<u8>,
    happened: VecDeque<Happening>,
}

impl Session {
    /// A connection that has just been made.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self {
            reader: Reader::default(),
            greeted: false,
            began: now.run,
            found: Found::default(),
            ready: false,
            useless: false,
            mover: None,
            teller: None,
            queue: VecDeque::new(),
            in_flight: VecDeque::new(),
            until: now.run,
            told_hung: false,
            next_id: 1,
            next_poll: now.run,
            next_state: now.run + POLL_STATE,
            moving: false,
            calm: Calm::default(),
            hurry: false,
            told_no_report: false,
            out: Vec::new(),
            happened: VecDeque::new(),
        }
    }

    /// Bytes that have come. Ask [`next_happening`](Self::next_happening) for all that came of them before there are more.
    pub fn received(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
    }

    /// The next thing that came of what was received.
    pub fn next_happening(&mut self, now: Now) -> Option<Happening> {
        loop {
            if let Some(happening) = self.happened.pop_front() {
                return Some(happening);
            }
            if self.useless {
                return None;
            }
            match self.reader.message() {
                Ok(None) => break,
                Ok(Some(message)) => self.message(now, message),
                Err(broken) => self.give_up(Useless::Broken(broken)),
            }
        }
        self.send_next(now);
        None
    }

    /// Time has passed.
    pub fn timer(&mut self, now: Now) {
        if self.useless {
            return;
        }
        if !self.greeted {
            if now.run >= self.began + PATIENCE {
                self.give_up(Useless::NoGreeting);
            }
            return;
        }
        if !self.in_flight.is_empty() && !self.told_hung && now.run >= self.until {
            self.told_hung = true;
            self.happened.push_back(Happening::Hung);
        }
        self.poll(now);
        self.send_next(now);
    }

    /// When [`timer`](Self::timer) is to be called.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        if self.useless {
            return None;
        }
        if !self.greeted {
            return Some(self.began + PATIENCE);
        }
        if !self.in_flight.is_empty() {
            return (!self.told_hung).then_some(self.until);
        }
        self.mover.is_some().then_some(self.next_poll)
    }

    /// What is to be sent to QEMU.
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.out)
    }

    /// Asks that the VM have `bytes`. `false`: not now. [`Happening::Accepted`] or [`Happening::Refused`] follows.
    pub fn request(&mut self, now: Now, bytes: u64) -> bool {
        let Some(command) = self.mover.as_mut().and_then(|mover| mover.request(now, bytes)) else {
            return false;
        };
        self.queue.push_front(queued(Purpose::Mover, command));
        self.send_next(now);
        true
    }

    /// Whether memory is under way, and is to be looked at more often.
    pub fn set_moving(&mut self, now: Now, moving: bool) {
        if moving && !self.moving {
            self.next_poll = self.next_poll.min(now.run + POLL_MOVING);
            self.next_state = now.run;
        }
        if moving != self.moving {
            self.calm.disturbed();
        }
        self.moving = moving;
    }

    /// Whether the host is short, so that every guest is asked every second.
    pub fn set_hurry(&mut self, now: Now, hurry: bool) {
        if hurry && !self.hurry {
            self.next_poll = self.next_poll.min(in_step(now.run + calm::OFTEN));
        }
        self.hurry = hurry;
    }

    /// Time between two questions to the guest while no memory is under way.
    #[must_use]
    pub fn interval(&self) -> Duration {
        if self.hurry { calm::OFTEN } else { self.calm.interval() }
    }

    /// What can be done with the VM; `None` until it is known.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.mover.as_ref().map(|mover| mover.limits())
    }

    /// How long a guest may make no progress.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.mover.as_ref().map_or(PATIENCE, |mover| mover.patience())
    }

    fn give_up(&mut self, why: Useless) {
        self.useless = true;
        self.queue.clear();
        self.happened.push_back(Happening::Useless(why));
    }

    fn ask(&mut self, purpose: Purpose, execute: &'static str) {
        self.queue.push_back(Queued { purpose, execute, arguments: Arc::default() });
    }

    /// Sends what is to be asked, if all that was asked before is answered.
    fn send_next(&mut self, now: Now) {
        if !self.in_flight.is_empty() || self.useless {
            return;
        }
        let most = self.queue.len().min(qmp::MOST_AT_ONCE);
        for Queued { purpose, execute, arguments } in self.queue.drain(..most) {
            let id = self.next_id;
            self.next_id += 1;
            qmp::line(&mut self.out, id, execute, &arguments);
            self.in_flight.push_back(InFlight { id, purpose, execute });
        }
        self.until = now.run + PATIENCE;
    }

    fn poll(&mut self, now: Now) {
        if now.run < self.next_poll || !self.queue.is_empty() || !self.in_flight.is_empty() {
            return;
        }
        let Some(mover) = &mut self.mover else { return };
        let moving = self.moving;
        self.queue.extend(mover.poll(moving).into_iter().map(|command| queued(Purpose::Mover, command)));
        if let Some(teller) = &mut self.teller {
            self.queue
                .extend(teller.poll(moving).into_iter().map(|command| queued(Purpose::Teller, command)));
        }
        let interval = self.interval();
        self.next_poll = if moving { now.run + POLL_MOVING } else { in_step(now.run + interval) };
        if now.run >= self.next_state {
            let calm = !moving && interval > calm::OFTEN;
            self.next_state = now.run + if calm { POLL_STATE_CALM } else { POLL_STATE };
            self.ask(Purpose::State, "query-status");
            self.ask(Purpose::Migration, "query-migrate");
        }
    }

    fn message(&mut self, now: Now, message: Message) {
        match message {
            Message::Greeting { version } if !self.greeted => {
                self.greeted = true;
                self.found.version = version;
                self.ask(Purpose::Negotiate, "qmp_capabilities");
                self.ask(Purpose::Name, "query-name");
                self.ask(Purpose::State, "query-status");
                self.ask(Purpose::Migration, "query-migrate");
                self.ask(Purpose::Sizes, "query-memory-size-summary");
                for (place, path) in PLACES.iter().enumerate() {
                    let arguments = json!({ "path": path }).to_string().into();
                    self.queue.push_back(Queued {
                        purpose: Purpose::List(place),
                        execute: "qom-list",
                        arguments,
                    });
                }
                self.ask(Purpose::MemoryDevices, "query-memory-devices");
            }
            Message::Greeting { .. } => {}
            Message::Answer { id, answer } => {
                // An answer to nothing that was asked says nothing.
                let asked = self.in_flight.iter().position(|asked| Some(asked.id) == id);
                if let Some(asked) = asked.and_then(|at| self.in_flight.remove(at)) {
                    self.until = now.run + PATIENCE;
                    if core::mem::take(&mut self.told_hung) {
                        self.happened.push_back(Happening::Answers);
                    }
                    self.answered(now, asked.purpose, asked.execute, answer);
                    self.send_next(now);
                }
            }
            Message::Event(event) => self.event(now, &event),
        }
    }

    fn answered(
        &mut self,
        now: Now,
        purpose: Purpose,
        command: &'static str,
        answer: Result<Value, Refusal>,
    ) {
        let needed =
            matches!(purpose, Purpose::Negotiate | Purpose::Sizes | Purpose::List(0) | Purpose::State);
        let answer = match (purpose, answer) {
            (Purpose::Mover(ask), answer) => return self.heard_by_mover(now, ask, answer.as_ref()),
            (Purpose::Teller(ask), answer) => {
                if let Some(teller) = &mut self.teller {
                    let heard = teller.answered(now, ask, answer.as_ref());
                    if let Some(command) = teller.follow_up() {
                        self.queue.push_back(queued(Purpose::Teller, command));
                    }
                    self.heard(now, heard);
                }
                return;
            }
            (_, Ok(answer)) => answer,
            (_, Err(refusal)) if needed => return self.give_up(Useless::Refused { command, refusal }),
            // Of an older QEMU, or of one without that place.
            (_, Err(_)) => Value::Null,
        };
        match purpose {
            Purpose::Name => {
                self.found.name = answer
                    .get("name")
                    .and_then(Value::as_str)
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned);
            }
            Purpose::State => self.state(&answer),
            Purpose::Migration => {
                let word = answer.get("status").and_then(Value::as_str).unwrap_or_default();
                let over = matches!(word, "" | "none" | "completed" | "failed" | "cancelled");
                self.happened.push_back(Happening::Migrating(!over));
            }
            Purpose::Sizes => {
                let number = |name: &str| answer.get(name).and_then(Value::as_u64);
                match number("base-memory") {
                    Some(base) if base > 0 => self.found.base = base,
                    _ => return self.give_up(Useless::Nonsense(command)),
                }
                self.found.plugged = number("plugged-memory").unwrap_or(0);
            }
            Purpose::List(place) => self.list(place, &answer),
            Purpose::MemoryDevices => {
                let devices = answer.as_array().into_iter().flatten();
                let hv =
                    devices.filter(|device| device.get("type").and_then(Value::as_str) == Some("hv-balloon"));
                self.found.hv_more =
                    hv.filter_map(|device| device.pointer("/data/max-size")?.as_u64()).max().unwrap_or(0);
                self.choose(now);
            }
            Purpose::Negotiate | Purpose::Mover(_) | Purpose::Teller(_) => {}
        }
    }

    fn state(&mut self, answer: &Value) {
        let word =
            answer.get("status").and_then(Value::as_str).unwrap_or("unknown").chars().take(40).collect();
        let running = answer.get("running").and_then(Value::as_bool).unwrap_or(false);
        self.happened.push_back(Happening::State { running, word });
    }

    fn list(&mut self, place: usize, answer: &Value) {
        let path = PLACES.get(place).copied().unwrap_or_default();
        for child in answer.as_array().into_iter().flatten().take(MOST_DEVICES) {
            let text = |name: &str| child.get(name).and_then(Value::as_str);
            if let (Some(name), Some(kind)) = (text("name"), text("type").and_then(Kind::of_type)) {
                self.found.devices.push((kind, format!("{path}/{name}")));
            }
        }
    }

    /// What moves the VM's memory, and what tells of it.
    fn choose(&mut self, now: Now) {
        let of = |kind: Kind| {
            self.found.devices.iter().find(|(other, _)| *other == kind).map(|(_, path)| path.clone())
        };
        let (base, whole) = (self.found.base, self.found.base.saturating_add(self.found.plugged));
        if let Some(path) = of(Kind::VirtioMem) {
            self.mover = Some(Box::new(VirtioMem::new(path, base)));
            if let Some(path) = of(Kind::VirtioBalloon) {
                self.teller = Some(Box::new(VirtioBalloon::new(path, whole).telling_only()));
            }
        } else if of(Kind::HvBalloon).is_some() {
            self.mover = Some(Box::new(HvBalloon::new(base, self.found.hv_more)));
        } else if let Some(path) = of(Kind::VirtioBalloon) {
            self.mover = Some(Box::new(VirtioBalloon::new(path, whole)));
        } else {
            return self.give_up(Useless::NoDevice);
        }
        for command in self.mover.iter_mut().flat_map(|mover| mover.begin()) {
            self.queue.push_back(queued(Purpose::Mover, command));
        }
        for command in self.teller.iter_mut().flat_map(|teller| teller.begin()) {
            self.queue.push_back(queued(Purpose::Teller, command));
        }
        for command in self.mover.iter_mut().flat_map(|mover| mover.poll(true)) {
            self.queue.push_back(queued(Purpose::Mover, command));
        }
        self.next_poll = now.run + calm::OFTEN;
    }

    fn heard_by_mover(&mut self, now: Now, ask: Ask, answer: Result<&Value, &Refusal>) {
        let Some(mover) = &mut self.mover else { return };
        let heard = mover.answered(now, ask, answer);
        if let Some(command) = mover.follow_up() {
            self.queue.push_back(queued(Purpose::Mover, command));
        }
        self.actual_heard(now, &heard);
        self.heard(now, heard);
    }

    /// The device that tells of memory is told what the VM has, and the first time all is known.
    fn actual_heard(&mut self, now: Now, heard: &Heard) {
        let Some(mover) = self.mover.as_ref().filter(|_| *heard == Heard::Actual) else { return };
        let Some(actual) = mover.actual() else { return };
        if let Some(teller) = &mut self.teller {
            teller.has(now, actual);
        }
        if !core::mem::replace(&mut self.ready, true) {
            self.happened.push_back(Happening::Ready(Facts {
                version: self.found.version.clone(),
                name: self.found.name.clone(),
                device: mover.kind(),
                limits: mover.limits(),
                actual,
            }));
        }
    }

    fn heard(&mut self, now: Now, heard: Heard) {
        let happening = match heard {
            Heard::Actual => self.mover.as_ref().and_then(|mover| mover.actual()).map(Happening::Actual),
            Heard::Report(report) => {
                let has = self.mover.as_ref().and_then(|mover| mover.actual()).unwrap_or(0);
                self.calm.reported(now.run, report.demand, report.available, has);
                // It was set before this was heard.
                self.next_poll = self.next_poll.min(in_step(now.run + self.interval()));
                Some(Happening::Report(report))
            }
            Heard::NothingNew => {
                // What it said last grows old meanwhile.
                self.next_poll = self.next_poll.min(in_step(now.run + calm::OFTEN));
                None
            }
            Heard::NoReport(why) => {
                (!core::mem::replace(&mut self.told_no_report, true)).then_some(Happening::NoReport(why))
            }
            Heard::Accepted => Some(Happening::Accepted),
            Heard::Refused(refusal) => Some(Happening::Refused(refusal)),
            Heard::Nonsense(what) if !self.ready => return self.give_up(Useless::Nonsense(what)),
            // What was known still holds.
            Heard::Nonsense(_) => None,
        };
        self.happened.extend(happening);
    }

    fn event(&mut self, now: Now, event: &Event) {
        match &*event.name {
            "STOP" => self.happened.push_back(Happening::State { running: false, word: "paused".to_owned() }),
            "RESUME" => {
                self.calm.disturbed();
                self.happened.push_back(Happening::State { running: true, word: "running".to_owned() });
            }
            "RESET" => {
                for device in self.mover.iter_mut().chain(&mut self.teller) {
                    device.guest_reset();
                }
                self.calm.disturbed();
                self.happened.push_back(Happening::Reset);
            }
            "MIGRATION" => self.next_state = now.run,
            _ => {
                if let Some(heard) = self.mover.as_mut().and_then(|mover| mover.event(now, event)) {
                    self.actual_heard(now, &heard);
                    self.heard(now, heard);
                } else if let Some(heard) = self.teller.as_mut().and_then(|teller| teller.event(now, event)) {
                    self.heard(now, heard);
                }
            }
        }
    }
}

/// The last step that is not later.
fn in_step(time: Duration) -> Duration {
    let step = STEP.as_nanos();
    let nanos = time.as_nanos() / step * step;
    u64::try_from(nanos).map_or(time, Duration::from_nanos)
}

fn queued(purpose: fn(Ask) -> Purpose, command: Command) -> Queued {
    Queued { purpose: purpose(command.ask), execute: command.execute, arguments: command.arguments }
}
