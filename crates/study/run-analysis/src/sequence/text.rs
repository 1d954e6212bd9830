//! A sequence diagram as text.

use std::fmt::Write as _;

use super::{Sequence, Step};

/// Columns of the time, and between two lines.
const TIME: usize = 14;
const APART: usize = 7;
/// Columns that a step's text has at least, however narrow the terminal.
const LEAST_TEXT: usize = 24;

impl Sequence {
    /// The diagram as text of at most `width` columns, if that leaves room for its lines.
    #[must_use]
    pub fn text(&self, width: usize) -> String {
        let mut text = String::new();
        let names = self.lanes.iter().enumerate().map(|(number, lane)| format!("{} {lane}", number + 1));
        for line in wrapped(&names.collect::<Vec<_>>(), "   ", width) {
            let _infallible = writeln!(text, "{line}");
        }
        let apart = self.apart(width);
        let numbers: String = (1..=self.lanes.len()).map(|number| format!("{number:<apart$}")).collect();
        let _infallible = writeln!(text, "\n{:1$}{2}", "", TIME + 4, numbers.trim_end());
        let room = width.saturating_sub(TIME + 4 + self.lanes_width(apart) + 3).max(LEAST_TEXT);
        for step in &self.steps {
            let mark = if step.asked_for { '>' } else { ' ' };
            let words: Vec<String> = self.words(step);
            let lines = wrapped(&words, " ", room);
            for (number, line) in lines.iter().enumerate() {
                let at = if number == 0 { time(step.at) } else { String::new() };
                let mark = if number == 0 { mark } else { ' ' };
                let lanes = if number == 0 { self.drawn(step, apart) } else { self.plain(apart) };
                let _infallible = writeln!(text, "{mark}{at:>TIME$}   {lanes}   {line}");
            }
        }
        if self.left_out > 0 {
            let _infallible = writeln!(text, "… and {} more, further away (--depth)", self.left_out);
        }
        text
    }

    /// Columns from one line to the next: less where there are many.
    fn apart(&self, width: usize) -> usize {
        let room = width.saturating_sub(TIME + 4 + LEAST_TEXT);
        (room / self.lanes.len().max(1)).clamp(3, APART)
    }

    fn lanes_width(&self, apart: usize) -> usize {
        self.lanes.len().saturating_sub(1) * apart + 1
    }

    fn words(&self, step: &Step) -> Vec<String> {
        let carried = step.from.as_ref().map_or_else(String::new, |(_, carried)| format!("{carried}: "));
        format!("{carried}{}", step.what).split(' ').map(str::to_owned).collect()
    }

    /// The lines alone.
    fn plain(&self, apart: usize) -> String {
        let lines = vec!["│"; self.lanes.len()];
        lines.join(&" ".repeat(apart - 1))
    }

    /// The lines with a step in them.
    fn drawn(&self, step: &Step, apart: usize) -> String {
        let mut signs: Vec<char> = self.plain(apart).chars().collect();
        let at = |lane: usize| lane * apart;
        match &step.from {
            None => signs[at(step.lane)] = '●',
            Some((from, _)) => {
                let (low, high) = (at(*from.min(&step.lane)), at(*from.max(&step.lane)));
                for sign in &mut signs[low + 1..high] {
                    *sign = if *sign == '│' { '┼' } else { '─' };
                }
                if *from < step.lane {
                    signs[low] = '├';
                    signs[high - 1] = '▶';
                } else {
                    signs[low + 1] = '◀';
                    signs[high] = '┤';
                }
            }
        }
        signs.into_iter().collect()
    }
}

/// Time to the microsecond, minutes and hours before.
fn time(at: component_runtime::SimTime) -> String {
    let micros = at.0 / 1000;
    let (minutes, rest) = (micros / 60_000_000, micros % 60_000_000);
    let seconds = format!("{}.{:06}s", rest / 1_000_000, rest % 1_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

/// Words in lines of at most `width` characters; a word that is longer has a line of its own.
fn wrapped(words: &[String], between: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + between.chars().count() + word.chars().count() <= width => {
                line.push_str(between);
                line.push_str(word);
            }
            _ => lines.push(word.clone()),
        }
    }
    lines
}
