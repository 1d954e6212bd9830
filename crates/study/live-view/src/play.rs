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

/// Time between two looks whether a run that goes on has left more. Invented.
const LOOK: Duration = Duration::from_secs(1);

/// Plays the record of a run from `from` on. `speed` is how many virtual seconds go by in a second. While the run goes on, in another
/// terminal or on real guests, `more` gives what it has left by now, if that is more than before.
///
/// # Errors
/// [`LiveError`] of the terminal.
pub fn play(
    mut recording: Recording,
    from: Duration,
    speed: f64,
    mut more: impl FnMut() -> Option<Recording>,
) -> Result<(), LiveError> {
    if !io::stdout().is_terminal() {
        return Err(LiveError::NoTerminal);
    }
    let mut watch = Watch { keys: Keys::default(), pace: Pace::new(speed), at: from, chosen: 0 };
    watch.pace.go(from);
    let mut terminal = ratatui::try_init()?;
    let watched = loop {
        match watch.until_more(&mut terminal, &recording, &mut more) {
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
}

impl Watch {
    /// Shows a recording until there is more of it, or until the watcher leaves (`None`).
    fn until_more(
        &mut self,
        terminal: &mut DefaultTerminal,
        recording: &Recording,
        more: &mut impl FnMut() -> Option<Recording>,
    ) -> io::Result<Option<Recording>> {
        let mut view = recording.view();
        let mut player = Player::new(recording);
        player.seek(Seek::To(self.at), &mut view);
        view.chosen = self.chosen.min(view.vms.len().saturating_sub(1));
        view.message = recording.missing.join(" ");
        let (mut before, mut looked) = (now(), now());
        loop {
            let real = before.elapsed();
            before = now();
            if self.pace.is_paused() || player.is_over() {
                self.pace.go(player.at());
            } else {
                player.play_to(self.pace.advance(real, player.at()), &mut view);
            }
            view.over = player.is_over();
            view.speed = self.pace.speed();
            view.paused = self.pace.is_paused();
            terminal.draw(|frame| draw(&view, frame))?;
            (self.at, self.chosen) = (player.at(), view.chosen);
            // What is typed, or was just said, is not taken away.
            if looked.elapsed() >= LOOK && view.prompt.is_none() {
                looked = now();
                if let Some(grown) = more() {
                    return Ok(Some(grown));
                }
            }
            if !event::poll(FRAME)? {
                continue;
            }
            let Some(key) = key(&event::read()?) else { continue };
            match self.keys.press(key, &mut view) {
                Some(Wish::Quit) => return Ok(None),
                Some(Wish::Pause) => self.pace.toggle(),
                Some(Wish::Step) => {
                    self.pace.pause();
                    player.step(&mut view);
                }
                Some(Wish::Speed { faster }) => self.pace.change(faster),
                Some(Wish::Seek(seek)) => player.seek(seek, &mut view),
                // No key of a recorded run gives a deed.
                Some(Wish::Do(_)) | None => {}
            }
            self.pace.go(player.at());
        }
    }
}
