//! One guest under a person's hand: its console, a line that says how it fares, and a few commands.

use std::borrow::Cow;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use balancing_policy::{MemorySettings, VmId};
use component_runtime::{ClockMode, Driver};
use crossbeam_channel::{RecvTimeoutError, unbounded};
use kvm_partition::{Backing, KernelImage, MachineEvent};
use memory_balancer::hyperv::PressureBandPolicy;
use page_range::PageCount;
use parking_lot::Mutex;
use run_journal::{EventsLevel, HumanLog};
use scenario::run::points::VmPoint;
use scenario::run::{Point, RunOptions};
use vmms_host::VmState;

use crate::contention;
use crate::events::EventLog;
use crate::factory::{GuestHandle, RealGuest, Reported};
use crate::guest_disks::GuestDisks;
use crate::host::{GuestConfig, spec};
use crate::initramfs;
use crate::manual::{Manual, Targets};
use crate::pieces::Pieces;
use crate::plugging::Plugging;
use crate::record::own_resident;
use crate::units::bytes_mib;

/// What one guest is started with.
#[derive(Clone, Debug)]
pub struct Interactive {
    /// Its memory settings.
    pub settings: MemorySettings,
    /// Virtual processors.
    pub vps: u32,
    /// What its RAM is made of.
    pub backing: Backing,
    /// Whether it is offered to report free pages.
    pub page_reporting: bool,
    /// Further words of its kernel's command line.
    pub kernel_words: String,
    /// Its virtual hard disks.
    pub disks: GuestDisks,
    /// How much is logged for a person.
    pub log: Option<String>,
    /// The guest's console is shown as the guest sends it, with all that a terminal obeys.
    pub raw_console: bool,
    /// The folder for what the run leaves behind: counters, events, journal and summary; nothing is kept without.
    pub directory: Option<PathBuf>,
    /// Ends when the input does (or not: the guest goes on until it is switched off).
    pub end_with_input: bool,
}

const VM: VmId = VmId(0);

/// A guest that has not reported for this long is worth a word (invented: many times the second between two reports, and longer
/// than an emulated machine takes to boot).
const SILENT: Duration = Duration::from_secs(60);

/// Notices when a guest stops reporting.
#[derive(Debug, Default)]
struct Silence {
    looked: usize,
    reported: Duration,
    told: bool,
}

impl Silence {
    /// Whether the guest has fallen silent: `true` once for each silence.
    fn begins(&mut self, events: &EventLog) -> bool {
        let (new, next) = events.since(self.looked);
        self.looked = next;
        for event in &new {
            if event.name() == "status_report" {
                (self.reported, self.told) = (event.time(), false);
            }
        }
        let silent = new.last().is_some_and(|newest| newest.time().saturating_sub(self.reported) >= SILENT);
        silent && !std::mem::replace(&mut self.told, true)
    }
}

/// What can be typed.
pub const HELP: &str = "\
target 320MB   bring the guest to this much memory    auto    let the balancer decide again
status         say everything that is known           eat 100 have the guest use 100 MB (0: give them back)
disks          say what host and guest see of its disks
plug FILE[,ro] plug a disk in                         unplug 1  take the disk with this number out
close, open    have its driver close its channel, and open it again
crash          have its kernel crash                  type TEXT  type a line into its console
quit           switch it off and end";

/// What a person typed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Command {
    Target(PageCount),
    Auto,
    Status,
    Eat(u64),
    Close,
    Open,
    Crash,
    Disks,
    Plug(String),
    Unplug(u8),
    Type(String),
    Help,
    Quit,
    Nothing,
    Unknown(String),
}

/// Reads a size: `320`, `320MB`, `1GB` (binary units, as the source uses them).
pub(crate) fn size(text: &str) -> Option<PageCount> {
    let text = text.trim().to_ascii_uppercase();
    let (digits, factor) = match text.strip_suffix("GB").or_else(|| text.strip_suffix('G')) {
        Some(digits) => (digits, 1024),
        None => (text.strip_suffix("MB").or_else(|| text.strip_suffix('M')).unwrap_or(&text), 1),
    };
    let number: u64 = digits.trim().parse().ok()?;
    number.checked_mul(factor).filter(|&mib| mib > 0 && mib < 1 << 24).map(PageCount::from_mib)
}

fn parse(line: &str) -> Command {
    let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    match word {
        "" => Command::Nothing,
        "target" | "t" => {
            size(rest).map_or_else(|| Command::Unknown(line.trim().to_owned()), Command::Target)
        }
        "auto" | "a" => Command::Auto,
        "status" | "s" => Command::Status,
        "eat" => rest.trim().parse().map_or_else(|_| Command::Unknown(line.trim().to_owned()), Command::Eat),
        "close" => Command::Close,
        "open" => Command::Open,
        "crash" => Command::Crash,
        "disks" => Command::Disks,
        "plug" if !rest.trim().is_empty() => Command::Plug(rest.trim().to_owned()),
        "unplug" => {
            rest.trim().parse().map_or_else(|_| Command::Unknown(line.trim().to_owned()), Command::Unplug)
        }
        "type" => Command::Type(rest.to_owned()),
        "help" | "?" => Command::Help,
        "quit" | "q" | "exit" => Command::Quit,
        _ => Command::Unknown(line.trim().to_owned()),
    }
}

/// To the line's beginning, and clears it (documented, ECMA-48).
const CLEAR: &str = "\r\x1b[2K";

/// What is shown of a line that a guest printed.
fn console_line(line: &str, raw: bool) -> Cow<'_, str> {
    if raw { Cow::Borrowed(line) } else { terminal_text::escape_lines(line) }
}

/// Standard output with a last line that is drawn anew.
#[derive(Clone)]
struct Screen(Arc<Mutex<Option<String>>>);

impl Screen {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// A line that stays. What is not text in it is escaped: it may be what the guest said.
    fn line(&self, text: &str) {
        self.put(&terminal_text::escape_lines(text));
    }

    /// A line of the guest's console: its text, or (`raw`) whatever it sent.
    fn console(&self, line: &str, raw: bool) {
        self.put(&console_line(line, raw));
    }

    fn put(&self, text: &str) {
        let mut drawn = self.0.lock();
        let clear = if drawn.take().is_some() { CLEAR } else { "" };
        let _closed = writeln!(std::io::stdout(), "{clear}{text}");
    }

    /// The line that says how the guest fares; without a terminal it is not drawn.
    fn status(&self, text: &str) {
        let mut drawn = self.0.lock();
        // Drawn only when it says something else: each character costs time on an emulated machine.
        if std::io::stdout().is_terminal() && drawn.as_deref() != Some(text) {
            let mut out = std::io::stdout().lock();
            let _closed = write!(out, "{CLEAR}{text}").and_then(|()| out.flush());
            *drawn = Some(text.to_owned());
        }
    }
}

/// The longest that a guest runs. Invented; whoever watches one ends it.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);
/// Why the run ends, if nothing went wrong.
const BY_HAND: &str = "whoever watched the guest has ended it";

/// A guest that runs, as whoever attends to it sees it.
struct Running {
    guest: GuestHandle,
    targets: Targets,
    events: EventLog,
    /// The last sample.
    latest: Arc<Mutex<Point>>,
    /// Why the run is to end, once it is.
    ending: Arc<Mutex<Option<String>>>,
}

impl Interactive {
    /// Runs the guest until it ends, or a person ends it.
    ///
    /// # Errors
    /// If the guest cannot be started, or ends in another way than by being switched off.
    pub fn run(&self, pieces: &Pieces) -> Result<()> {
        let kernel = KernelImage::open(&pieces.kernel)
            .with_context(|| format!("the kernel {}", pieces.kernel.display()))?;
        let initramfs = if self.disks.is_empty() { initramfs::guest } else { initramfs::guest_with_disks };
        let initramfs: Arc<[u8]> = initramfs(pieces)?.into();
        let mut guest = GuestConfig::new("VM1", self.settings);
        (guest.vps, guest.backing) = (self.vps, self.backing);
        guest.page_reporting = self.page_reporting;
        guest.kernel_words.clone_from(&self.kernel_words);
        guest.memory_interval = Duration::from_secs(5);
        guest.disks = self.disks.plugged();
        if self.disks.root.is_some() {
            guest.kernel_words.push_str(" root_disk=0");
        }
        let mut spec = spec(&guest, &Arc::new(kernel), &initramfs);
        spec.controller = !self.disks.is_empty();
        let memory = self.settings.maximum + PageCount::from_mib(256);
        let plan = contention::plan("guest", memory, &[guest], LONGEST)?;
        let log = self.log.as_deref().map(HumanLog::stderr).transpose()?;
        let running = Running {
            guest: GuestHandle::default(),
            targets: Targets::default(),
            events: EventLog::default(),
            latest: Arc::default(),
            ending: Arc::default(),
        };
        let screen = Screen::new();
        {
            let (screen, raw) = (screen.clone(), self.raw_console);
            running.guest.voice().show(Box::new(move |line| screen.console(line, raw)));
        }
        screen.line(&format!("-- VM1: {}. Type `help` for what can be typed.", amounts(&self.settings)));
        if self.raw_console {
            screen.line("-- the guest's console is shown raw: what it prints can do to this terminal whatever it likes");
        }
        let (send, typed) = unbounded();
        std::thread::Builder::new().name("keyboard".to_owned()).spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if send.send(parse(&line)).is_err() {
                    return;
                }
            }
        })?;
        let policy = Manual::new(Box::new(PressureBandPolicy::default()), running.targets.clone());
        let run = std::thread::Builder::new().name("host".to_owned()).spawn({
            let (events, handle) = (running.events.tee(Box::new(std::io::sink())), running.guest.clone());
            let (latest, ending) = (running.latest.clone(), running.ending.clone());
            let directory = self.directory.clone();
            move || {
                let options = RunOptions {
                    driver: Driver::Threads,
                    clock: ClockMode::Wall { speed: 1.0 },
                    directory,
                    events: EventsLevel::All,
                    log,
                    tap: Some(events),
                    observer: Some(Box::new(move |point| {
                        latest.lock().clone_from(point);
                        ending.lock().clone().map_or(ControlFlow::Continue(()), ControlFlow::Break)
                    })),
                    machines: Some(Box::new(move |_, _| {
                        Box::new(RealGuest::new(spec.clone(), handle.clone()))
                    })),
                    ..RunOptions::default()
                };
                scenario::run::run_with_policy(plan, options, Box::new(policy))
            }
        })?;
        let ended = self.attend(&running, &screen, &typed, || run.is_finished());
        running.ending.lock().get_or_insert_with(|| {
            ended.as_ref().map_or_else(|_| "the guest has ended".to_owned(), |()| BY_HAND.to_owned())
        });
        let outcome = run.join().map_err(|_| anyhow!("the host's thread panicked"))?;
        // What went wrong with the guest says more than that the run is not whole.
        ended.and(outcome.map(|_| ()).context("the run failed"))
    }

    fn attend(
        &self,
        running: &Running,
        screen: &Screen,
        typed: &crossbeam_channel::Receiver<Command>,
        is_over: impl Fn() -> bool,
    ) -> Result<()> {
        let guest = &running.guest;
        let mut told_missing = false;
        let mut silence = Silence::default();
        let mut plugging = Plugging::new(&self.disks);
        let said = |what: Result<String, String>| format!("-- {}", what.unwrap_or_else(|error| error));
        while !is_over() {
            let command = match typed.recv_timeout(Duration::from_secs(1)) {
                Ok(command) => command,
                Err(RecvTimeoutError::Timeout) => Command::Nothing,
                Err(RecvTimeoutError::Disconnected) if self.end_with_input => Command::Quit,
                Err(RecvTimeoutError::Disconnected) => {
                    std::thread::park_timeout(Duration::from_secs(1));
                    Command::Nothing
                }
            };
            match command {
                Command::Nothing => {}
                Command::Target(pages) => {
                    running.targets.set(VM, Some(pages));
                    screen.line(&format!("-- target {pages}"));
                }
                Command::Auto => {
                    running.targets.set(VM, None);
                    screen.line("-- the balancer decides");
                }
                Command::Status => screen.line(&full_status(running)),
                Command::Eat(mib) => guest.command(&format!("eat {mib}")),
                Command::Close => guest.command("unbind"),
                Command::Open => guest.command("bind"),
                Command::Crash => guest.command("panic"),
                Command::Disks => screen.line(&plugging.tell(guest)),
                Command::Plug(text) => screen.line(&said(plugging.plug(guest.storage(), &text))),
                Command::Unplug(lun) => screen.line(&said(plugging.unplug(guest.storage(), lun))),
                Command::Type(text) => guest.type_line(crate::agent::CONSOLE, &text),
                Command::Help => screen.line(HELP),
                Command::Quit => return Ok(()),
                Command::Unknown(text) => screen.line(&format!("-- {text:?} is no command\n{HELP}")),
            }
            if let (Some(missing), false) = (guest.voice().missing(), told_missing) {
                told_missing = true;
                screen.line(&format!(
                    "-- the guest's kernel could not load {missing}: without it there is no Dynamic Memory (see --modules)"
                ));
            }
            if silence.begins(&running.events) {
                screen.line(&format!(
                    "-- the guest has not reported for {} s: it hangs, or its driver is not loaded. `quit` switches it off",
                    SILENT.as_secs()
                ));
            }
            match running.vm().state {
                VmState::Failed => bail!("{}", why_failed(running)),
                VmState::Off if guest.ended() == Some(MachineEvent::PoweredOff) => {
                    screen.line("-- the guest has switched itself off");
                    return Ok(());
                }
                VmState::Off if !running.events.find(0, |event| event.name() == "event_log").is_empty() => {
                    bail!("{}", why_failed(running))
                }
                _ => {}
            }
            screen.status(&status_line(running));
        }
        Ok(())
    }
}

impl Running {
    /// The guest at the last sample.
    fn vm(&self) -> VmPoint {
        self.latest.lock().vms.first().copied().unwrap_or_default()
    }
}

fn why_failed(running: &Running) -> String {
    let failed = running.events.find(0, |event| matches!(event.name(), "vm_failed" | "event_log"));
    let why: Vec<&str> = failed
        .iter()
        .map(|event| if event.name() == "vm_failed" { event.word("why") } else { event.word("text") })
        .collect();
    let last = running.guest.voice().last_lines(12);
    let mut text = format!("the guest has ended: {}", why.join("; "));
    if let Some(MachineEvent::Crashed { parameters }) = running.guest.ended() {
        text.push_str(&format!("\nits crash registers: {parameters:x?}"));
    }
    if !last.is_empty() {
        text.push_str(&format!("\nthe last lines of its console:\n  {}", last.join("\n  ")));
    }
    text
}

fn full_status(running: &Running) -> String {
    let guest = &running.guest;
    let exits = guest.exits();
    let mut text = format!("-- {}\n", status_line(running));
    text.push_str(&match guest.voice().view() {
        Some(view) => {
            format!(
                "   the guest says: MemTotal {} kB, MemAvailable {} kB\n",
                view.total_kb, view.available_kb
            )
        }
        None => "   the guest has not said how much memory it has\n".to_owned(),
    });
    text.push_str(&format!(
        "   resident: guest RAM {:.1} MB, this program {:.1} MB beyond\n   exits: {} I/O, {} messages, {} signals; {} \
         signals without exit",
        bytes_mib(guest.resident()),
        bytes_mib(own_resident().saturating_sub(guest.resident())),
        exits.io,
        exits.post_message,
        exits.signal_event,
        guest.signals_without_exit()
    ));
    if let Some(Reported { pages, refused }) = guest.reported() {
        text.push_str(&format!("\n   reported as free: {pages} so far, {refused} reports refused"));
    }
    text
}

fn amounts(settings: &MemorySettings) -> String {
    format!("startup {}, minimum {}, maximum {}", settings.startup, settings.minimum, settings.maximum)
}

fn status_line(running: &Running) -> String {
    let vm = running.vm();
    if !vm.running {
        return "VM1: not yet known to the balancer".to_owned();
    }
    let pressure =
        vm.pressure.map_or_else(|| "no report yet".to_owned(), |pressure| format!("{pressure:.0} %"));
    let hand = running.targets.get(VM).map_or_else(|| "auto".to_owned(), |target| format!("target {target}"));
    format!(
        "VM1 {} | pressure {pressure} | assigned {:.0} MB | visible {:.0} MB | demand {}",
        hand,
        vm.physical.mib(),
        vm.visible.mib(),
        vm.demand.map_or_else(|| "?".to_owned(), |demand| format!("{:.0} MB", demand.mib())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_falls_silent_is_told_of_once() {
        let log = EventLog::default();
        let mut events = log.tee(Box::new(std::io::sink()));
        let mut happens = |seconds: u64, name: &str| {
            let line = format!("{{\"t\":{},\"event\":\"{name}\"}}\n", seconds * 1_000_000_000);
            events.write_all(line.as_bytes()).unwrap();
        };
        let mut silence = Silence::default();
        happens(5, "status_report");
        happens(64, "round");
        assert!(!silence.begins(&log));
        happens(65, "round");
        assert!(silence.begins(&log));
        happens(66, "round");
        assert!(!silence.begins(&log) && !silence.begins(&log));
        happens(70, "status_report");
        happens(131, "round");
        assert!(silence.begins(&log), "and once more for the next silence");
    }

    /// A guest's console may hold anything: the screen is not cleared by it, nor the clipboard written, unless that was asked for.
    #[test]
    fn a_console_is_text_unless_it_is_asked_for_raw() {
        let line = "login: \u{1b}]52;c;ZWNobyBwd25lZA==\u{7}\u{1b}[2J\r\tok";
        let shown = console_line(line, false);
        assert_eq!(shown, "login: \\u001b]52;c;ZWNobyBwd25lZA==\\u0007\\u001b[2J\\u000d\tok");
        assert_eq!(console_line(line, true), line);
    }

    #[test]
    fn what_is_typed_is_understood_or_said_not_to_be() {
        assert_eq!(parse("target 320MB"), Command::Target(PageCount::from_mib(320)));
        assert_eq!(parse(" target 1gb \r"), Command::Target(PageCount::from_mib(1024)));
        assert_eq!(parse("t 320"), Command::Target(PageCount::from_mib(320)));
        for bad in ["target", "target much", "target 0", "target 99999999999999999999", "target -3"] {
            assert_eq!(parse(bad), Command::Unknown(bad.to_owned()));
        }
        assert_eq!(parse("eat 100"), Command::Eat(100));
        assert_eq!(parse("type ls -l"), Command::Type("ls -l".to_owned()));
        assert_eq!(["close", "open", "crash"].map(parse), [Command::Close, Command::Open, Command::Crash]);
        assert_eq!(parse("plug a b.vhd,ro"), Command::Plug("a b.vhd,ro".to_owned()));
        assert_eq!(parse("unplug 3"), Command::Unplug(3));
        for bad in ["plug", "unplug", "unplug 300"] {
            assert_eq!(parse(bad), Command::Unknown(bad.to_owned()));
        }
        assert_eq!(parse(""), Command::Nothing);
        assert_eq!(parse("quit"), Command::Quit);
    }
}
