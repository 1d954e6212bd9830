//! The terminal with a run that is over, or goes on elsewhere.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event;

use crate::draw::draw;
use crate::keys::{Keys, Seek, Wish};
use crate::pace::Pace;
use crate::recording::{Player, Recording};
use crate::terminal::{FRAME, LiveError, key, now};
use crate::view::{Kind, View};

/// Time between two looks whether a run that goes on has left more. Invented.
const LOOK: Duration = Duration::from_secs(1);

/// Where a record comes from.
pub trait Source {
    /// Is it the record of a run that is over, or of real guests that run now?
    fn kind(&self) -> Kind {
        Kind::Recorded
    }

    /// What has been left by now, if that is more than when this was asked before.
    fn more(&mut self) -> Option<Recording>;

    /// The last lines of whoever runs the guests, or of a guest on its console.
    fn heard(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Whether nothing more will come.
    fn is_over(&mut self) -> bool {
        true
    }

    /// Has a real guest do something; gives what is told of it.
    fn grant(&mut self, wish: Wish) -> String {
        let _ = wish;
        String::new()
    }
}

/// Plays the record of a run from `from` on, with colours or without. `speed` is how many virtual seconds go by in a second. While the run
/// goes on, in another terminal or on real guests, `source` gives what it has left by now.
///
/// # Errors
/// [`LiveError`] of the terminal.
pub fn play(
    mut recording: Recording,
    from: Duration,
    speed: f64,
    colours: bool,
    source: &mut impl Source,
) -> Result<(), LiveError> {
    if !io::stdout().is_terminal() {
        return Err(LiveError::NoTerminal);
    }
    let follows = source.kind() != Kind::Recorded;
    let (keys, pace) = (Keys::default(), Pace::new(speed));
    let mut watch = Watch { keys, pace, at: from, chosen: 0, follows, colours, said: None };
    watch.pace.go(from);
    let mut terminal = ratatui::try_init()?;
    let watched = loop {
        match watch.until_more(&mut terminal, &recording, source) {
            Ok(Some(grown)) => recording = grown,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    // Whatever happened, the terminal is given back.
    ratatui::restore();
    Ok(watched?)
}

/// What stays when a recording has grown.
struct Watch {
    keys: Keys,
    pace: Pace,
    at: Duration,
    chosen: usize,
    /// The newest is shown as it comes.
    follows: bool,
    colours: bool,
    /// What was said last.
    said: Option<String>,
}

impl Watch {
    /// Shows a recording until there is more of it, or until the watcher leaves (`None`).
    fn until_more(
        &mut self,
        terminal: &mut DefaultTerminal,
        recording: &Recording,
        source: &mut impl Source,
    ) -> io::Result<Option<Recording>> {
        let mut view = View { kind: source.kind(), colours: self.colours, ..recording.view() };
        let mut player = Player::new(recording);
        player.seek(Seek::To(if self.follows { recording.until } else { self.at }), &mut view);
        view.chosen = self.chosen.min(view.vms.len().saturating_sub(1));
        view.message = self.said.take().unwrap_or_else(|| recording.missing.join(" "));
        let (mut before, mut looked) = (now(), now());
        loop {
            let real = before.elapsed();
            before = now();
            if self.pace.is_paused() || player.is_over() {
                self.pace.go(player.at());
            } else {
                player.play_to(self.pace.advance(real, player.at()), &mut view);
            }
            // Whoever has wound a live picture back and let it play has caught up.
            let newest = player.is_over();
            self.follows |= newest && !self.pace.is_paused() && view.kind != Kind::Recorded;
            view.over = newest && source.is_over();
            view.follows = self.follows && !view.over;
            view.speed = self.pace.speed();
            view.paused = self.pace.is_paused();
            view.heard = source.heard();
            terminal.draw(|frame| draw(&view, frame))?;
            (self.at, self.chosen) = (player.at(), view.chosen);
            // What is typed is not taken away, nor the event that somebody looks at.
            if looked.elapsed() >= LOOK && view.prompt.is_none() && !self.pace.is_paused() {
                looked = now();
                if let Some(grown) = source.more() {
                    self.said = Some(view.message);
                    return Ok(Some(grown));
                }
            }
            if !event::poll(FRAME)? {
                continue;
            }
            let Some(key) = key(&event::read()?) else { continue };
            match self.keys.press(key, &mut view) {
                Some(Wish::Quit) => return Ok(None),
                Some(Wish::Pause) => {
                    self.pace.toggle();
                    self.follows = false;
                }
                Some(Wish::Step) => {
                    self.pace.pause();
                    self.follows = false;
                    player.step(&mut view);
                }
                Some(Wish::Speed { faster }) => self.pace.change(faster),
                Some(Wish::Seek(seek)) => {
                    // Whoever wants the newest of real guests wants it as it comes.
                    self.follows = view.kind != Kind::Recorded && seek == Seek::To(view.until);
                    if self.follows && self.pace.is_paused() {
                        self.pace.toggle();
                    }
                    player.seek(seek, &mut view);
                }
                Some(wish @ (Wish::Do(_) | Wish::Target(_))) => view.message = source.grant(wish),
                None => {}
            }
            self.pace.go(player.at());
        }
    }
}
