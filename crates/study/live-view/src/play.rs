//! The terminal with a run that is over.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event;

use crate::draw::draw;
use crate::keys::{Keys, Seek, Wish};
use crate::pace::Pace;
use crate::recording::{Player, Recording};
use crate::terminal::{FRAME, LiveError, key, now};
use crate::view::View;

/// Plays the record of a run from `from` on. `speed` is how many virtual seconds go by in a second.
///
/// # Errors
/// [`LiveError`] of the terminal.
pub fn play(recording: &Recording, from: Duration, speed: f64) -> Result<(), LiveError> {
    if !io::stdout().is_terminal() {
        return Err(LiveError::NoTerminal);
    }
    let mut terminal = ratatui::try_init()?;
    let watched = watch(&mut terminal, recording, from, speed);
    // Whatever happened, the terminal is given back.
    ratatui::restore();
    Ok(watched?)
}

fn watch(
    terminal: &mut DefaultTerminal,
    recording: &Recording,
    from: Duration,
    speed: f64,
) -> io::Result<()> {
    let mut view = View::recorded(recording);
    let mut player = Player::new(recording);
    let (mut keys, mut pace) = (Keys::default(), Pace::new(speed));
    player.seek(Seek::To(from), &mut view);
    pace.go(player.at());
    view.message = recording.missing.join(" ");
    let mut before = now();
    loop {
        let real = before.elapsed();
        before = now();
        if pace.is_paused() || player.is_over() {
            pace.go(player.at());
        } else {
            player.play_to(pace.advance(real, player.at()), &mut view);
        }
        view.over = player.is_over();
        view.speed = pace.speed();
        view.paused = pace.is_paused();
        terminal.draw(|frame| draw(&view, frame))?;
        if !event::poll(FRAME)? {
            continue;
        }
        let Some(key) = key(&event::read()?) else { continue };
        match keys.press(key, &mut view) {
            Some(Wish::Quit) => return Ok(()),
            Some(Wish::Pause) => pace.toggle(),
            Some(Wish::Step) => {
                pace.pause();
                player.step(&mut view);
            }
            Some(Wish::Speed { faster }) => pace.change(faster),
            Some(Wish::Seek(seek)) => player.seek(seek, &mut view),
            // No key of a recorded run gives a deed.
            Some(Wish::Do(_)) | None => {}
        }
        pace.go(player.at());
    }
}
