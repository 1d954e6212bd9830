//! `cargo xtask guest --live`: real guests in the terminal, as they run.
//!
//! The guests run in a process of their own, the same program without `--live`: it has their consoles, and leaves the folder of a run. That folder is
//! followed as it grows, and what is done by hand is typed into that process. So the view is that of any record, whether the guests run on this
//! computer's KVM or inside an emulated machine, from which events and counters come out while they are written.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use live_view::hand::{Deed, HandFault};
use live_view::keys::Wish;
use live_view::recording::Recording;
use live_view::view::Kind;
use live_view::{LiveError, Source};
use page_range::PageCount;
use real_guest::nested;
use real_guest::task::Task;

use super::left::{Left, ONE_GUEST, words};
use super::perform::ready;
use crate::commands::guest_place::{REAL_LINUX, Where};
use crate::commands::recording::{MOST_READ_AGAIN, read, size};
use crate::commands::{bad_input, tools};
use crate::output::{look, note, say, tell};

/// Lines of the guests' process that are kept, to say why it failed. Invented.
const KEPT_LINES: usize = 20;
/// How long the process of the guests may take to end them and to leave its files: an emulated machine takes seconds. Invented.
const PATIENCE: Duration = Duration::from_secs(120);

/// Shows what a task does.
pub(super) fn run(place: &Where, task: &Task, left: &Left) -> Result<()> {
    if !std::io::stdout().is_terminal() {
        return Err(bad_input(LiveError::NoTerminal));
    }
    ready(place, task)?;
    if place.nested {
        // Before the terminal is taken: what cargo says is to be read.
        note!("{}", nested::EXPLANATION);
        nested::build_program(&tools::workspace_root(), nested::PROGRAM)?;
    }
    let by_hand = matches!(task, Task::Guest(_));
    let folder = left.folder(if by_hand { ONE_GUEST } else { REAL_LINUX })?;
    let mut guests = Guests::start(&arguments(place, task, &folder), by_hand, folder.clone())?;
    let watched = live_view::play(guests.nothing_yet(), Duration::ZERO, 1.0, look().colours, &mut guests);
    let ended = guests.end();
    watched?;
    if !ended? {
        note!(
            "The guests were switched off before their scenario was over. To draw what they left: cargo xtask report {}",
            folder.display()
        );
    }
    say!(
        "Files: {0}\nAgain: cargo xtask replay {0} --live\nEvents: cargo xtask events {0}",
        folder.display()
    );
    Ok(())
}

/// The command line of the process that runs the guests.
fn arguments(place: &Where, task: &Task, folder: &Path) -> Vec<OsString> {
    let mut line: Vec<OsString> = words(place, task).into_iter().map(OsString::from).collect();
    let mut option = |name: &str, value: Option<&Path>| {
        if let Some(value) = value {
            line.extend([name.into(), value.into()]);
        }
    };
    option("--out", Some(folder));
    option("--kernel", place.kernel.as_deref());
    option("--modules", place.modules.as_deref());
    option("--busybox", place.busybox.as_deref());
    option("--qemu", place.qemu.as_deref());
    if let Task::Guest(task) = task {
        option("--capture", task.capture.as_deref());
        // If this process is killed, so is the guest.
        line.push("--until-input-ends".into());
    }
    line
}

/// Guests in a process of their own.
struct Guests {
    process: Child,
    /// What is typed into it, of one guest.
    typed: Option<ChildStdin>,
    lines: Receiver<String>,
    /// The last of them.
    kept: VecDeque<String>,
    folder: PathBuf,
    /// Bytes that the folder had when it was read.
    seen: u64,
}

impl Guests {
    fn start(arguments: &[OsString], by_hand: bool, folder: PathBuf) -> Result<Self> {
        let program = std::env::current_exe().context("this program does not know where it is")?;
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(if by_hand { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("the process that runs the guests cannot be started")?;
        let (tell, lines) = channel();
        if let Some(output) = process.stdout.take() {
            listen(output, tell.clone())?;
        }
        if let Some(output) = process.stderr.take() {
            listen(output, tell)?;
        }
        let typed = process.stdin.take();
        Ok(Self { process, typed, lines, kept: VecDeque::new(), folder, seen: 0 })
    }

    /// What is shown before there is anything.
    fn nothing_yet(&self) -> Recording {
        Recording {
            title: self.title(),
            until: Duration::ZERO,
            host_memory: PageCount::ZERO,
            vms: Vec::new(),
            points: Vec::new(),
            records: Vec::new(),
            missing: Vec::new(),
        }
    }

    fn title(&self) -> String {
        format!(
            "{} · {}",
            if self.typed.is_some() { "a real guest" } else { "real guests" },
            self.folder.display()
        )
    }

    /// Types a line; `false` if nobody reads it.
    fn enter(&mut self, line: &str) -> bool {
        self.typed
            .as_mut()
            .is_some_and(|typed| writeln!(typed, "{line}").and_then(|()| typed.flush()).is_ok())
    }

    fn hear(&mut self) {
        for line in self.lines.try_iter() {
            if self.kept.len() == KEPT_LINES {
                self.kept.pop_front();
            }
            self.kept.push_back(line);
        }
    }

    /// Ends the guests, and says whether they had come to their end.
    ///
    /// # Errors
    /// Why they ended, if that was not as it is meant to be.
    fn end(mut self) -> Result<bool> {
        let over = self.process.try_wait()?.is_some();
        let mut whole = over;
        if !over {
            // One guest ends when told to. Several have a scenario, of which nobody sees the rest.
            whole = self.enter("quit");
            drop(self.typed.take());
            if whole {
                note!("The guest is switched off, and its files are written.");
            }
            if !whole || !ends_within(&mut self.process, PATIENCE)? {
                self.process.kill()?;
            }
        }
        let status = self.process.wait()?;
        self.hear();
        if whole && !status.success() {
            for line in &self.kept {
                tell!("{line}");
            }
            bail!("the process that ran the guests has failed ({status}); what it said last is above");
        }
        Ok(whole)
    }
}

impl Source for Guests {
    fn kind(&self) -> Kind {
        Kind::RealGuests { by_hand: self.typed.is_some() }
    }

    fn more(&mut self) -> Option<Recording> {
        let now = size(&self.folder);
        if now == self.seen || now > MOST_READ_AGAIN {
            return None;
        }
        let recording = read(&self.folder).ok()?;
        self.seen = now;
        // A file that is being written ends anywhere.
        Some(Recording { title: self.title(), missing: Vec::new(), ..recording })
    }

    fn heard(&mut self) -> Vec<String> {
        self.hear();
        self.kept.iter().cloned().collect()
    }

    fn is_over(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|ended| ended.is_some())
    }

    fn grant(&mut self, wish: Wish) -> String {
        let Some((line, told)) = spoken(&wish) else { return String::new() };
        if self.enter(&line) { told } else { "the guest hears nothing any more".to_owned() }
    }
}

/// A wish as what is typed, and what is told of it.
fn spoken(wish: &Wish) -> Option<(String, String)> {
    let said = |line: &str, told: &str| Some((line.to_owned(), told.to_owned()));
    match wish {
        Wish::Target(Some(pages)) => {
            Some((format!("target {}MB", pages.whole_mib()), format!("the guest is brought to {pages}")))
        }
        Wish::Target(None) => said("auto", "the balancer decides again"),
        Wish::Do(Deed::Load { size, .. }) => {
            Some((format!("eat {}", size.whole_mib()), format!("the guest uses {size} for files in memory")))
        }
        Wish::Do(Deed::Unload { .. }) => said("eat 0", "the guest gives back what it used"),
        Wish::Do(Deed::Stop { .. }) => said("quit", "the guest is switched off"),
        Wish::Do(Deed::Fault { fault: HandFault::ClosesChannel, .. }) => {
            said("close", "the guest's driver closes its channel")
        }
        Wish::Do(Deed::Fault { fault: HandFault::Crash, .. }) => said("crash", "the guest's kernel crashes"),
        // No key gives any of these here.
        _ => None,
    }
}

/// Reads what a process says, line by line. A line that the process draws anew each second is left out.
fn listen(output: impl Read + Send + 'static, tell: Sender<String>) -> Result<()> {
    let read = move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if let Some(line) = line_of(&String::from_utf8_lossy(&line))
                && tell.send(line).is_err()
            {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("listener".to_owned())
        .spawn(read)
        .context("no thread can be started")?;
    Ok(())
}

/// What stays of a line after all that was drawn over, as text; nothing if nothing does.
fn line_of(line: &str) -> Option<String> {
    let last = line.trim_end().rsplit("\x1b[2K").next().unwrap_or_default().trim_end();
    (!last.is_empty()).then(|| terminal_text::escape_lines(last).into_owned())
}

/// Whether a process ends within this time.
fn ends_within(process: &mut Child, limit: Duration) -> Result<bool> {
    const LOOK: Duration = Duration::from_millis(100);
    let mut left = limit;
    while process.try_wait()?.is_none() {
        if left.is_zero() {
            return Ok(false);
        }
        std::thread::park_timeout(LOOK);
        left = left.saturating_sub(LOOK);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keys_wish_is_what_the_process_of_the_guest_understands() {
        let line = |wish| spoken(&wish).map(|(line, _)| line);
        let mib = PageCount::from_mib;
        assert_eq!(line(Wish::Target(Some(mib(320)))).as_deref(), Some("target 320MB"));
        assert_eq!(line(Wish::Do(Deed::Load { vm: 0, size: mib(100) })).as_deref(), Some("eat 100"));
        assert_eq!(line(Wish::Do(Deed::Fault { vm: 0, fault: HandFault::Crash })).as_deref(), Some("crash"));
        assert_eq!(line(Wish::Do(Deed::Reserve(mib(1)))), None);
    }

    #[test]
    fn a_line_that_is_drawn_anew_is_not_what_was_said() {
        let drawn = "\r\x1b[2KVM1 auto | pressure 31 %\r\x1b[2K[    2.0] hv_balloon: up\r";
        assert_eq!(line_of(drawn).as_deref(), Some("[    2.0] hv_balloon: up"));
        assert_eq!(line_of("\r\x1b[2K"), None);
        assert_eq!(line_of("\x1b]52;c;eA==\x07").as_deref(), Some("\\u001b]52;c;eA==\\u0007"));
    }

    /// The words of the process are those that were typed, with all that says where the guests come from.
    #[test]
    fn the_process_is_told_what_this_one_was_told() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: super::super::Args,
        }
        let typed =
            ["guest", "--nested", "--startup", "256MB", "--kernel", "k", "--capture", "x.pcapng", "--live"];
        let Line { args } = clap::Parser::parse_from(typed);
        let line = arguments(&args.place, &Task::Guest(args.guest.clone()), Path::new("runs/guest-001"));
        let Line { args: again } = clap::Parser::parse_from(line.clone());
        assert_eq!(format!("{:?}", again.place), format!("{:?}", args.place));
        assert_eq!(again.guest.capture, args.guest.capture);
        assert_eq!(again.left.out.as_deref(), Some(Path::new("runs/guest-001")));
        assert!(!again.left.live && line.contains(&"--startup=256".into()), "{line:?}");
    }
}
