//! What keys mean.

use std::time::Duration;

use page_range::PageCount;
use vmms_host::VmState;

use crate::hand::{Deed, FAULTS, HandFault, REAL_FAULTS};
use crate::view::{Kind, View};

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
    /// Bring the chosen VM, a real guest, to this much memory; or (`None`) let the balancer decide again.
    Target(Option<PageCount>),
    /// Show another time of a recorded run.
    Seek(Seek),
    /// Leave.
    Quit,
}

/// Which time of a recorded run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// So much later.
    On(Duration),
    /// So much earlier.
    Back(Duration),
    /// This one; beyond the end is the end.
    To(Duration),
}

/// What is being typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Load,
    Priority,
    Reserve,
    Fault,
    Time,
    Target,
}

/// Keys, one after the other: what is typed is kept until it is whole.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    typing: Option<(Question, String)>,
}

/// What keys do.
#[must_use]
pub fn help(view: &View) -> &'static str {
    match view.kind {
        Kind::Simulated => {
            "space pause  . step  +/- speed  ↑↓ VM  l load  u unload  s start/stop  w weight  r reserve  x fault  q quit"
        }
        Kind::Recorded => {
            "space pause  . step  +/- speed  ↑↓ VM  [ ] a minute back, on  { } begin, end  g go to a time  q quit"
        }
        Kind::RealGuests { by_hand: true } => {
            "l load  u unload  t target  a automatic  x fault  s switch off  space pause the picture  . step  [ ] { } back, on, \
             begin, now  q quit"
        }
        Kind::RealGuests { by_hand: false } => {
            "space pause the picture  . step  +/- speed  ↑↓ VM  [ ] a minute back, on  { } begin, now  g go to a time  q quit"
        }
    }
}

/// What `[` and `]` move by. Invented.
const LEAP: Duration = Duration::from_secs(60);

/// Why nothing is done by hand in a recorded run, and a run that happens now is not wound.
const RECORDED: &str = "this run is over: nothing can be changed in it. scenario NAME --live runs it anew";
const NOT_RECORDED: &str = "this run happens now and cannot be wound. replay DIR --live plays it afterwards";
/// Why nothing is done by hand, or not this, with real guests.
const BY_SCENARIO: &str = "these guests obey their scenario. guest --live runs one under your hand";
const ALONE: &str = "this guest is alone on its host: neither weight nor reserve matters";
const ONLY_REAL: &str =
    "targets are for a real guest. In a simulated run the balancer decides: w changes a weight";

/// Why a key does nothing here, if it does nothing.
fn refused(key: char, view: &View) -> Option<&'static str> {
    match (view.kind, key) {
        (Kind::Simulated, '[' | ']' | '{' | '}' | 'g') => Some(NOT_RECORDED),
        (Kind::Simulated, 't' | 'a') => Some(ONLY_REAL),
        (Kind::Recorded, 'l' | 'w' | 'r' | 'x' | 'u' | 's' | 't' | 'a') => Some(RECORDED),
        (Kind::RealGuests { by_hand: false }, 'l' | 'w' | 'r' | 'x' | 'u' | 's' | 't' | 'a') => {
            Some(BY_SCENARIO)
        }
        (Kind::RealGuests { .. }, 'w' | 'r') => Some(ALONE),
        _ => None,
    }
}

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
        if let Key::Char(sign) = key
            && let Some(why) = refused(sign, view)
        {
            view.message = why.to_owned();
            return None;
        }
        let real = view.kind != Kind::Simulated;
        match key {
            Key::Char('[') => Some(Wish::Seek(Seek::Back(LEAP))),
            Key::Char(']') => Some(Wish::Seek(Seek::On(LEAP))),
            Key::Char('{') => Some(Wish::Seek(Seek::To(Duration::ZERO))),
            Key::Char('}') => Some(Wish::Seek(Seek::To(view.until))),
            Key::Char('g') => ask(Question::Time),
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
            Key::Char('t') if running(view) => ask(Question::Target),
            Key::Char('a') if running(view) => Some(Wish::Target(None)),
            Key::Char('u' | 'x' | 's' | 't' | 'a') if real => {
                view.message = "this guest does not run".to_owned();
                None
            }
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
            Key::Enter => match answer(question, text.trim(), view) {
                Ok(wish) => return Some(wish),
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
        Question::Time => "Go to (such as 21m30s): ".to_owned(),
        Question::Target => format!("Memory that {vm} is to have (such as 320MB): "),
        Question::Fault => {
            let faults = faults(view)
                .iter()
                .enumerate()
                .map(|(number, fault)| format!("{} {}", number + 1, fault.word()));
            format!("Fault in {vm}: {}: ", faults.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The faults that can be injected.
fn faults(view: &View) -> &'static [HandFault] {
    if view.kind == Kind::Simulated { &FAULTS } else { &REAL_FAULTS }
}

/// What was typed as a wish.
fn answer(question: Question, text: &str, view: &View) -> Result<Wish, String> {
    let (vm, faults) = (view.chosen, faults(view));
    let size = || -> Result<PageCount, String> {
        let size = quantities::parse_size(text).map_err(|_| format!("{text:?} is no size, such as 1GB"))?;
        if size.is_zero() { Err("0 changes nothing".to_owned()) } else { Ok(size) }
    };
    let deed = match question {
        Question::Load => Deed::Load { vm, size: size()? },
        Question::Reserve => Deed::Reserve(size()?),
        Question::Priority => match text.parse() {
            Ok(priority @ 0..=100) => Deed::Priority { vm, priority },
            _ => return Err(format!("{text:?} is no priority from 0 to 100")),
        },
        Question::Fault => {
            let number = text.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            match number.and_then(|number| faults.get(number)) {
                Some(fault) => Deed::Fault { vm, fault: *fault },
                None => return Err(format!("{text:?} is none of 1 to {}", faults.len())),
            }
        }
        Question::Target => return Ok(Wish::Target(Some(size()?))),
        Question::Time => {
            let time = quantities::parse_duration(text)
                .map_err(|_| format!("{text:?} is no time, such as 21m30s"))?;
            return Ok(Wish::Seek(Seek::To(time)));
        }
    };
    Ok(Wish::Do(deed))
}
