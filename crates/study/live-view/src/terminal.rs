//! The terminal: draws, takes keys, and lets the run go on.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use balancing_policy::MemorySettings;
use component_runtime::StopHandle;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use run_journal::{EventsLevel, Record};
use scenario::run::{Hand, Outcome, Plan, Point, RunError, RunOptions};

use crate::draw::draw;
use crate::hand::Deed;
use crate::keys::{Key, Keys, Wish};
use crate::pace::{Gate, Pace};
use crate::view::View;

/// Time between two pictures. Invented.
pub(crate) const FRAME: Duration = Duration::from_millis(50);

/// Why there was nothing to watch.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// Standard output is no terminal.
    #[error("--live needs a terminal; standard output is none")]
    NoTerminal,
    /// The terminal.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] io::Error),
    /// The run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The run's thread panicked, which the panic's own message tells.
    #[error("the run ended by a panic")]
    Panicked,
}

/// What came of a run that was watched.
#[derive(Debug)]
pub struct Ended {
    /// What came of the run.
    pub outcome: Outcome,
    /// Entries of a timeline that repeat what was done by hand; empty if nothing was.
    pub by_hand: String,
}

/// What the run tells the watcher.
enum News {
    Sample(Point),
    Event(Record),
    Stop(StopHandle),
}

/// Runs a plan into a folder, and shows it, with colours or without. `speed` is how many virtual seconds go by in a second.
///
/// # Errors
/// [`LiveError`]; what was recorded until then stays.
pub fn run(
    plan: &Plan,
    events: EventsLevel,
    folder: &Path,
    speed: f64,
    colours: bool,
) -> Result<Ended, LiveError> {
    if !io::stdout().is_terminal() {
        return Err(LiveError::NoTerminal);
    }
    let gate = Arc::new(Gate::default());
    let hand = Hand::default();
    let (tell, news) = channel();
    let run = std::thread::Builder::new().name("run".to_owned()).spawn({
        let (plan, folder, gate, hand) = (plan.clone(), folder.to_owned(), gate.clone(), hand.clone());
        move || scenario::run::run(plan, watched(events, folder, &gate, &hand, &tell))
    })?;
    let mut watcher = Watcher::new(plan, gate.clone(), hand, news, speed);
    watcher.view.colours = colours;
    let mut terminal = ratatui::try_init()?;
    let watched = watcher.watch(&mut terminal, || run.is_finished());
    // Whatever happened, the run is not left waiting and the terminal is given back.
    ratatui::restore();
    watcher.leave();
    gate.open();
    let outcome = run.join().map_err(|_| LiveError::Panicked)?;
    watched?;
    watcher.collect_deeds();
    Ok(Ended { outcome: outcome?, by_hand: watcher.by_hand })
}

/// The options of a run that is watched.
fn watched(
    events: EventsLevel,
    folder: PathBuf,
    gate: &Arc<Gate>,
    hand: &Hand,
    tell: &Sender<News>,
) -> RunOptions {
    let (sample, stop) = (tell.clone(), tell.clone());
    RunOptions {
        driver: component_runtime::Driver::Inline,
        directory: Some(folder),
        events,
        keep_points: true,
        before_wake: Some(Arc::new({
            let gate = gate.clone();
            move |now| gate.pass(now)
        })),
        // A watcher that is gone hears nothing; the run goes on without.
        observer: Some(Box::new(move |point| {
            let _gone = sample.send(News::Sample(point.clone()));
            std::ops::ControlFlow::Continue(())
        })),
        tap: Some(Box::new(Tap { tell: tell.clone(), gate: gate.clone() })),
        hand: Some(hand.clone()),
        on_start: Some(Box::new(move |handle| {
            let _gone = stop.send(News::Stop(handle));
        })),
        ..RunOptions::default()
    }
}

/// Takes lines of `events.jsonl`, and tells the events.
struct Tap {
    tell: Sender<News>,
    gate: Arc<Gate>,
}

impl Write for Tap {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        for record in run_journal::events::Reader::new(line).flatten() {
            let _gone = self.tell.send(News::Event(record));
        }
        self.gate.event_recorded();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whoever watches.
struct Watcher<'a> {
    plan: &'a Plan,
    view: View,
    keys: Keys,
    pace: Pace,
    gate: Arc<Gate>,
    hand: Hand,
    news: Receiver<News>,
    stop: Option<StopHandle>,
    settings: Vec<MemorySettings>,
    /// What the operator has been given and not yet reported as done.
    given: std::collections::VecDeque<(Deed, usize)>,
    by_hand: String,
}

impl<'a> Watcher<'a> {
    fn new(plan: &'a Plan, gate: Arc<Gate>, hand: Hand, news: Receiver<News>, speed: f64) -> Self {
        Self {
            plan,
            view: View::new(plan),
            keys: Keys::default(),
            pace: Pace::new(speed),
            gate,
            hand,
            news,
            stop: None,
            settings: plan.vms.iter().map(|vm| vm.settings).collect(),
            given: std::collections::VecDeque::new(),
            by_hand: String::new(),
        }
    }

    fn watch(&mut self, terminal: &mut DefaultTerminal, is_over: impl Fn() -> bool) -> io::Result<()> {
        let mut before = now();
        loop {
            self.hear();
            self.collect_deeds();
            let real = before.elapsed();
            before = now();
            if !self.pace.is_paused() {
                self.gate.open_until(self.pace.advance(real, self.gate.reached()));
            }
            self.view.over = is_over();
            self.view.speed = self.pace.speed();
            self.view.paused = self.pace.is_paused();
            terminal.draw(|frame| draw(&self.view, frame))?;
            if event::poll(FRAME)? {
                let Some(key) = key(&event::read()?) else { continue };
                match self.keys.press(key, &mut self.view) {
                    Some(Wish::Quit) => return Ok(()),
                    Some(wish) => self.grant(wish),
                    None => {}
                }
            }
        }
    }

    fn hear(&mut self) {
        loop {
            match self.news.try_recv() {
                Ok(News::Sample(point)) => self.view.sample(&point),
                Ok(News::Event(record)) => self.view.event(&record),
                Ok(News::Stop(handle)) => self.stop = Some(handle),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Pause => {
                self.pace.toggle();
                if self.pace.is_paused() {
                    self.gate.hold();
                }
                self.pace.advance(Duration::ZERO, self.gate.reached());
            }
            Wish::Step => {
                self.pace.pause();
                self.gate.hold();
                self.gate.step();
            }
            Wish::Speed { faster } => self.pace.change(faster),
            Wish::Do(deed) => self.deed(deed),
            // Keys give none of them: this run is simulated, and happens now.
            Wish::Seek(_) | Wish::Target(_) | Wish::Quit => {}
        }
    }

    fn deed(&mut self, deed: Deed) {
        let actions = deed.actions(&mut self.settings);
        self.view.message = deed.told(self.plan);
        if let Deed::Priority { vm, priority } = deed
            && let Some(row) = self.view.vms.get_mut(vm)
        {
            row.priority = Some(priority);
        }
        self.given.push_back((deed, actions.len()));
        for action in actions {
            self.hand.act(action);
        }
    }

    /// Writes down what the operator has done, at the time when it was done.
    fn collect_deeds(&mut self) {
        for step in self.hand.done() {
            let Some((deed, left)) = self.given.front_mut() else { return };
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.by_hand.push_str(&deed.entry(step.at, self.plan));
                self.given.pop_front();
            }
        }
    }

    /// Ends a run that is not over.
    fn leave(&mut self) {
        self.hear();
        if let Some(stop) = self.stop.take() {
            stop.stop();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the watcher's clock, not the run's")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A key that means something here.
pub(crate) fn key(event: &Event) -> Option<Key> {
    let Event::Key(key) = event else { return None };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Char('q')),
        KeyCode::Char(sign) => Some(Key::Char(sign)),
        KeyCode::Up => Some(Key::Up),
        KeyCode::Down => Some(Key::Down),
        KeyCode::Enter => Some(Key::Enter),
        KeyCode::Home => Some(Key::Char('{')),
        KeyCode::End => Some(Key::Char('}')),
        KeyCode::Left => Some(Key::Char('[')),
        KeyCode::Right => Some(Key::Char(']')),
        KeyCode::Backspace => Some(Key::Backspace),
        KeyCode::Esc => Some(Key::Escape),
        _ => None,
    }
}
