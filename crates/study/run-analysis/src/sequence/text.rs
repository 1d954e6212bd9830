//! A sequence diagram as text.

use std::fmt::Write as _;

use terminal_text::{width, wrap_after};

use super::{Sequence, Step};

/// Columns of the time, and between two lines.
const TIME: usize = 14;
const APART: usize = 7;
/// Columns between two lines where there are many.
const NARROW: usize = 2;
/// Columns before the lines: a mark, the time, and what is between.
const LEFT: usize = TIME + 4;
/// Columns that a step's text has at least beside the lines; where there are fewer, the text stands below.
const LEAST_TEXT: usize = 24;
/// Where text below the lines begins.
const BELOW: usize = 4;
/// Keeps pages and their MB together while lines are broken.
const TOGETHER: &str = "\u{a0}(";

impl Sequence {
    /// The diagram as text in lines of at most `columns`; only the components' own lines, two columns each, may take more.
    #[must_use]
    pub fn text(&self, columns: usize) -> String {
        let mut text = String::new();
        let names = self.lanes.iter().enumerate().map(|(number, lane)| format!("{} {lane}", number + 1));
        for line in rows(names, columns) {
            let _infallible = writeln!(text, "{line}");
        }
        let apart = self.apart(columns);
        let beside = LEFT + self.lanes_width(apart) + 3;
        let _infallible = writeln!(text);
        for line in self.numbers(apart) {
            let _infallible = writeln!(text, "{:LEFT$}{line}", "");
        }
        for step in &self.steps {
            let mark = if step.asked_for { '>' } else { ' ' };
            let head = format!("{mark}{:>TIME$}   {}", time(step.at), self.drawn(step, apart));
            let words = self.words(step);
            let room = columns.saturating_sub(beside);
            let lines = broken("", &fitted(&words, room), room, 0);
            // A word that has no room beside the lines has it below them.
            if room < LEAST_TEXT || lines.lines().any(|line| width(line) > room) {
                let _infallible = writeln!(text, "{head}");
                let below = " ".repeat(BELOW);
                let _infallible = writeln!(text, "{}", broken(&below, &words, columns, BELOW));
                continue;
            }
            for (number, line) in lines.lines().enumerate() {
                let head = if number == 0 { &head } else { &format!("{:LEFT$}{}", "", self.plain(apart)) };
                let _infallible = writeln!(text, "{head}   {line}");
            }
        }
        if self.left_out > 0 {
            let _infallible = writeln!(text, "… and {} more, further away (--depth)", self.left_out);
        }
        text
    }

    /// Columns from one line to the next: less where there are many.
    fn apart(&self, columns: usize) -> usize {
        let room = columns.saturating_sub(LEFT + 4 + LEAST_TEXT);
        let between = self.lanes.len().saturating_sub(1).max(1);
        if room / between > NARROW {
            return (room / between).min(APART);
        }
        // The text stands below, so that the lines have all the width.
        (columns.saturating_sub(LEFT + 1) / between).clamp(NARROW, APART)
    }

    fn lanes_width(&self, apart: usize) -> usize {
        self.lanes.len().saturating_sub(1) * apart + 1
    }

    fn words(&self, step: &Step) -> String {
        let carried = step.from.as_ref().map_or_else(String::new, |(_, carried)| format!("{carried}: "));
        format!("{carried}{}", step.what)
    }

    /// The numbers of the lines: in one row, or their tens and their ones in two.
    fn numbers(&self, apart: usize) -> Vec<String> {
        let row = |sign: &dyn Fn(usize) -> String| {
            let row: String =
                (1..=self.lanes.len()).map(|number| format!("{:<apart$}", sign(number))).collect();
            row.trim_end().to_owned()
        };
        if apart > NARROW || self.lanes.len() < 10 {
            return vec![row(&|number| number.to_string())];
        }
        let tens = |number: usize| if number < 10 { String::new() } else { (number / 10).to_string() };
        vec![row(&tens), row(&|number| (number % 10).to_string())]
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

/// A step's text in lines; no word is broken, but a list is after its commas.
fn broken(head: &str, words: &str, width: usize, indent: usize) -> String {
    wrap_after(head, &words.replace(" (", TOGETHER), width, indent).replace(TOGETHER, " (")
}

/// The same words; a field that is wider than there is room for is broken between its name and its value, if both fit then.
fn fitted(words: &str, room: usize) -> String {
    let word = |word: &str| match word.split_once('=') {
        Some((name, value)) if width(word) > room && name.len() < room && width(value) <= room => {
            format!("{name}= {value}")
        }
        _ => word.to_owned(),
    };
    words.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Names of components in rows; a name is never broken.
fn rows(names: impl Iterator<Item = String>, columns: usize) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for name in names {
        match rows.last_mut() {
            Some(row) if width(row) + 3 + width(&name) <= columns => {
                row.push_str("   ");
                row.push_str(&name);
            }
            _ => rows.push(name),
        }
    }
    rows
}
