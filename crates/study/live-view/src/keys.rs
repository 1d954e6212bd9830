//! What keys mean.

use page_range::PageCount;
use vmms_host::VmState;

use crate::hand::{Deed, FAULTS};
use crate::view::View;

/// A key, as far as this view knows keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A letter, digit or sign.
    Char(char),
    /// Upwards.
    Up,
    /// Downwards.
    Down,
    /// Done with typing.
    Enter,
    /// Take the last letter back.
    Backspace,
    /// Away from what is typed.
    Escape,
}

/// What a key asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// Go on, or stand still.
    Pause,
    /// Go on until another event is recorded.
    Step,
    /// Faster or slower.
    Speed {
        /// Faster.
        faster: bool,
    },
    /// Something is to be done by hand.
    Do(Deed),
    /// Leave.
    Quit,
}

/// What is being typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Load,
    Priority,
    Reserve,
    Fault,
}

/// Keys, one after the other: what is typed is kept until it is whole.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    typing: Option<(Question, String)>,
}

/// The line of help.
pub const HELP: &str = "space pause  . step  +/- speed  ↑↓ VM  l load  u unload  s start/stop  w weight  r reserve  x fault  q quit";

impl Keys {
    /// A key was pressed. Changes what is shown, and says what is wished.
    pub fn press(&mut self, key: Key, view: &mut View) -> Option<Wish> {
        view.message.clear();
        let wish = match self.typing.take() {
            Some((question, text)) => self.typed(question, text, key, view),
            None => self.pressed(key, view),
        };
        view.prompt = self.typing.as_ref().map(|(question, text)| format!("{}{text}▁", ask(*question, view)));
        wish
    }

    fn pressed(&mut self, key: Key, view: &mut View) -> Option<Wish> {
        let mut ask = |question| {
            self.typing = Some((question, String::new()));
            None
        };
        let vm = view.chosen;
        match key {
            Key::Char(' ') => Some(Wish::Pause),
            Key::Char('.') => Some(Wish::Step),
            Key::Char('+' | '=') => Some(Wish::Speed { faster: true }),
            Key::Char('-') => Some(Wish::Speed { faster: false }),
            Key::Char('q') => Some(Wish::Quit),
            Key::Up | Key::Char('k') => {
                view.choose(false);
                None
            }
            Key::Down | Key::Char('j') => {
                view.choose(true);
                None
            }
            Key::Char('l') => ask(Question::Load),
            Key::Char('w') => ask(Question::Priority),
            Key::Char('r') => ask(Question::Reserve),
            Key::Char('x') if running(view) => ask(Question::Fault),
            Key::Char('u') if running(view) => Some(Wish::Do(Deed::Unload { vm })),
            Key::Char('s') if running(view) => Some(Wish::Do(Deed::Stop { vm })),
            Key::Char('s') => Some(Wish::Do(Deed::Start { vm })),
            Key::Char('u' | 'x') => {
                view.message = "this VM does not run; s starts it".to_owned();
                None
            }
            _ => None,
        }
    }

    fn typed(&mut self, question: Question, mut text: String, key: Key, view: &mut View) -> Option<Wish> {
        match key {
            Key::Escape => return None,
            Key::Backspace => {
                text.pop();
            }
            Key::Char(sign) if text.len() < 16 => text.push(sign),
            Key::Enter => match answer(question, text.trim(), view.chosen) {
                Ok(deed) => return Some(Wish::Do(deed)),
                Err(why) => view.message = why,
            },
            _ => {}
        }
        self.typing = Some((question, text));
        None
    }
}

/// Whether the chosen VM runs.
fn running(view: &View) -> bool {
    view.chosen().is_some_and(|row| !matches!(row.state, VmState::Off | VmState::Failed))
}

fn ask(question: Question, view: &View) -> String {
    let vm = view.chosen().map_or("", |row| &*row.name);
    match question {
        Question::Load => format!("Memory that an application takes in {vm} (such as 1GB): "),
        Question::Priority => format!("Memory priority of {vm}, 0 to 100: "),
        Question::Reserve => "Registry value MemoryReserve (such as 2GB): ".to_owned(),
        Question::Fault => {
            let faults =
                FAULTS.iter().enumerate().map(|(number, fault)| format!("{} {}", number + 1, fault.word()));
            format!("Fault in {vm}: {}: ", faults.collect::<Vec<_>>().join(", "))
        }
    }
}

/// What was typed as a deed.
fn answer(question: Question, text: &str, vm: usize) -> Result<Deed, String> {
    let size = || -> Result<PageCount, String> {
        let size = quantities::parse_size(text).map_err(|_| format!("{text:?} is no size, such as 1GB"))?;
        if size.is_zero() { Err("0 changes nothing".to_owned()) } else { Ok(size) }
    };
    match question {
        Question::Load => Ok(Deed::Load { vm, size: size()? }),
        Question::Reserve => Ok(Deed::Reserve(size()?)),
        Question::Priority => match text.parse() {
            Ok(priority @ 0..=100) => Ok(Deed::Priority { vm, priority }),
            _ => Err(format!("{text:?} is no priority from 0 to 100")),
        },
        Question::Fault => {
            let number = text.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            match number.and_then(|number| FAULTS.get(number)) {
                Some(fault) => Ok(Deed::Fault { vm, fault: *fault }),
                None => Err(format!("{text:?} is none of 1 to {}", FAULTS.len())),
            }
        }
    }
}
