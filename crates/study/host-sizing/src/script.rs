//! Scripts for PowerShell that set what is advised and take it back, and a check of such scripts.

use std::fmt::Write as _;

use crate::advise::{Advice, Setting};
use crate::answer::Answer;

/// A thing that is wrong with a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Complaint {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// Signs that PowerShell takes for a single quote (documented: about_Quoting_Rules, and the language specification).
const QUOTES: [char; 5] = ['\'', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}'];

/// A text as PowerShell reads it as it stands.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("'");
    for letter in text.chars() {
        quoted.push(letter);
        if QUOTES.contains(&letter) {
            quoted.push(letter);
        }
    }
    quoted.push('\'');
    quoted
}

impl Answer {
    /// The script that sets what is advised.
    #[must_use]
    pub fn script(&self) -> String {
        let mut text =
            head("sets the memory settings that cargo xtask size advises", &self.title, &self.command);
        let mut nothing = true;
        for advice in &self.advice {
            if !advice.changes() {
                continue;
            }
            nothing = false;
            text.push('\n');
            remark(&mut text, &format!("{}:", advice.vm));
            for reason in &advice.reasons {
                remark(&mut text, &format!("  {reason}"));
            }
            lines(&mut text, advice, &advice.now, &advice.advised);
        }
        if nothing {
            text.push_str("\n# Nothing is to be changed.\n");
        }
        for advice in self.advice.iter().filter(|advice| advice.keep_static) {
            if let Some(reason) = advice.reasons.iter().find(|reason| reason.contains("static")) {
                remark(&mut text, &format!("{}: {reason}", advice.vm));
            }
        }
        text
    }

    /// The script that goes back to the settings of today, as far as the files said them.
    #[must_use]
    pub fn undo_script(&self) -> String {
        let mut text =
            head("goes back to the memory settings before cargo xtask size", &self.title, &self.command);
        for advice in self.advice.iter().filter(|advice| advice.changes()) {
            text.push('\n');
            remark(&mut text, &format!("{}:", advice.vm));
            let today = &advice.today;
            let unknown = [
                ("startup RAM", today.startup.is_none()),
                ("minimum RAM", today.minimum.is_none() && advice.now.dynamic),
                ("maximum RAM", today.maximum.is_none() && advice.now.dynamic),
                ("Dynamic Memory", today.dynamic.is_none()),
            ];
            let unknown: Vec<&str> =
                unknown.into_iter().filter(|(_, unknown)| *unknown).map(|(what, _)| what).collect();
            if !unknown.is_empty() {
                remark(
                    &mut text,
                    &format!(
                        "  No file said its {}: what was assumed is set. Compare with Get-VMMemory before.",
                        unknown.join(", ")
                    ),
                );
            }
            lines(&mut text, advice, &advice.advised, &advice.now);
        }
        text
    }
}

fn head(what: &str, title: &str, command: &str) -> String {
    let mut text = String::new();
    remark(&mut text, &format!("This script {what}."));
    remark(&mut text, &format!("For: {title}"));
    remark(&mut text, &format!("Made by: {command}"));
    remark(&mut text, "Without -Apply it only tells what it would do (-WhatIf).");
    text.push_str("param([switch]$Apply)\n$WhatIf = -not $Apply\n");
    text
}

/// A line of a comment: what others wrote must not end it.
fn remark(text: &mut String, line: &str) {
    let line: String = line
        .chars()
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{85}') { ' ' } else { c })
        .collect();
    let _ = writeln!(text, "# {line}");
}

fn size(mb: f64) -> String {
    format!("{mb:.0}MB")
}

/// The lines that bring a VM from one setting to another: what a running VM takes, and what it must be off for.
fn lines(text: &mut String, advice: &Advice, from: &Setting, to: &Setting) {
    let mut running = Vec::new();
    let mut off = Vec::new();
    let turned = from.dynamic != to.dynamic;
    if turned {
        off.push(format!("-DynamicMemoryEnabled ${}", to.dynamic));
    }
    if to.dynamic {
        // Documented for 2012 and later: a running VM's minimum can be lowered, its maximum raised.
        let bounds = [
            ("MinimumBytes", from.minimum_mb, to.minimum_mb, to.minimum_mb < from.minimum_mb),
            ("StartupBytes", from.startup_mb, to.startup_mb, false),
            ("MaximumBytes", from.maximum_mb, to.maximum_mb, to.maximum_mb > from.maximum_mb),
        ];
        for (name, before, after, while_running) in bounds {
            if turned || (before - after).abs() > 0.5 {
                let place = if while_running && !turned { &mut running } else { &mut off };
                place.push(format!("-{name} {}", size(after)));
            }
        }
        if turned || from.buffer != to.buffer {
            running.push(format!("-Buffer {}", to.buffer));
        }
    } else if turned || (from.startup_mb - to.startup_mb).abs() > 0.5 {
        off.push(format!("-StartupBytes {}", size(to.startup_mb)));
    }
    if turned {
        // Dynamic Memory must be on before it has a buffer.
        off.append(&mut running);
    }
    let host =
        advice.host.as_ref().map_or_else(String::new, |host| format!(" -ComputerName {}", quoted(host)));
    for (comment, parameters) in [("While it runs or is off:", running), ("The VM must be off:", off)] {
        if !parameters.is_empty() {
            remark(text, comment);
            let _ = writeln!(
                text,
                "Set-VMMemory -VMName {}{host} {} -WhatIf:$WhatIf",
                quoted(&advice.vm),
                parameters.join(" ")
            );
        }
    }
}

/// What a parameter of `Set-VMMemory` takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Text,
    Boolean,
    Bytes,
    Number(i64, i64),
    Switch,
}

/// The documented parameters of `Set-VMMemory` (Microsoft Learn, module Hyper-V), as far as scripts of this crate may use them; ranges: -Buffer
/// 5 to 2000, -Priority 0 to 100.
const PARAMETERS: [(&str, Takes); 12] = [
    ("VMName", Takes::Text),
    ("ComputerName", Takes::Text),
    ("DynamicMemoryEnabled", Takes::Boolean),
    ("MinimumBytes", Takes::Bytes),
    ("StartupBytes", Takes::Bytes),
    ("MaximumBytes", Takes::Bytes),
    ("Buffer", Takes::Number(5, 2000)),
    ("Priority", Takes::Number(0, 100)),
    ("MaximumAmountPerNumaNodeBytes", Takes::Bytes),
    ("ResourcePoolName", Takes::Text),
    ("WhatIf", Takes::Switch),
    ("Confirm", Takes::Switch),
];

/// Least startup and minimum, bytes: 32 MB (documented).
const LEAST: i64 = 32 << 20;

/// Holds a script against the documented parameters of `Set-VMMemory`, and against what PowerShell's grammar says of the few forms that
/// scripts of this crate have: comments, `param`, one assignment, and calls of that cmdlet. Anything else is a complaint.
#[must_use]
pub fn check(script: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (number, line) in script.lines().enumerate() {
        let line_number = number + 1;
        let line = line.trim();
        if line.is_empty()
            || line.starts_with('#')
            || matches!(line, "param([switch]$Apply)" | "$WhatIf = -not $Apply")
        {
            continue;
        }
        for what in check_line(line) {
            complaints.push(Complaint { line: line_number, what });
        }
    }
    complaints
}

/// A word of a command, and whether it stands in quotes.
type Word = (String, bool);

/// The words of a command; an error for what is not a plain one.
fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut letters = line.chars().peekable();
    while let Some(&letter) = letters.peek() {
        if letter.is_whitespace() {
            letters.next();
            continue;
        }
        if QUOTES.contains(&letter) {
            letters.next();
            let mut text = String::new();
            loop {
                match letters.next() {
                    None => return Err("a quote is never closed".to_owned()),
                    Some(quote) if QUOTES.contains(&quote) => {
                        if letters.next_if(|next| QUOTES.contains(next)).is_none() {
                            break;
                        }
                        text.push(quote);
                    }
                    Some(other) => text.push(other),
                }
            }
            if letters.peek().is_some_and(|next| !next.is_whitespace()) {
                return Err(
                    "text goes on behind a closing quote (a quote in a name must be doubled)".to_owned()
                );
            }
            words.push((text, true));
            continue;
        }
        let mut text = String::new();
        while let Some(letter) = letters.next_if(|letter| !letter.is_whitespace()) {
            if QUOTES.contains(&letter)
                || matches!(
                    letter,
                    ';' | '|' | '&' | '`' | '(' | ')' | '{' | '}' | '"' | '<' | '>' | ',' | '@' | '#'
                )
            {
                return Err(format!("{letter:?} means something to PowerShell outside of quotes"));
            }
            text.push(letter);
        }
        words.push((text, false));
    }
    Ok(words)
}

fn check_line(line: &str) -> Vec<String> {
    let words = match words(line) {
        Ok(words) => words,
        Err(what) => return vec![what],
    };
    let mut words = words.into_iter().peekable();
    match words.next() {
        Some((cmdlet, false)) if cmdlet.eq_ignore_ascii_case("Set-VMMemory") => {}
        other => {
            return vec![format!(
                "{:?} is not Set-VMMemory",
                other.map(|(word, _)| word).unwrap_or_default()
            )];
        }
    }
    let mut complaints = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    let (mut minimum, mut startup, mut maximum) = (None, None, None);
    while let Some((word, quoted)) = words.next() {
        let Some(name) = word.strip_prefix('-').filter(|_| !quoted) else {
            complaints.push(format!("{word:?} stands where a parameter is expected"));
            continue;
        };
        let (name, inline) =
            name.split_once(':').map_or((name, None), |(name, value)| (name, Some(value.to_owned())));
        let Some((known, takes)) = PARAMETERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))
        else {
            complaints.push(format!("Set-VMMemory has no parameter -{name}"));
            if words.peek().is_some_and(|(next, quoted)| *quoted || !next.starts_with('-')) {
                words.next();
            }
            continue;
        };
        if seen.contains(known) {
            complaints.push(format!("-{known} stands twice"));
        }
        seen.push(known);
        if *takes == Takes::Switch {
            if inline.is_some_and(|value| {
                !matches!(value.to_ascii_lowercase().as_str(), "$true" | "$false" | "$whatif")
            }) {
                complaints.push(format!("-{known} is a switch"));
            }
            continue;
        }
        let value = inline.map(|value| (value, false)).or_else(|| words.next());
        let Some((value, quoted)) = value else {
            complaints.push(format!("-{known} has no value"));
            continue;
        };
        match takes {
            Takes::Text if value.is_empty() => complaints.push(format!("-{known} is empty")),
            Takes::Text if !quoted => {
                complaints.push(format!("-{known} {value}: a name must stand in quotes"));
            }
            Takes::Boolean
                if !matches!(value.to_ascii_lowercase().as_str(), "$true" | "$false") || quoted =>
            {
                complaints.push(format!("-{known} takes $true or $false, not {value}"));
            }
            Takes::Bytes => match bytes(&value).filter(|_| !quoted) {
                Some(bytes) if bytes >= LEAST && bytes % (2 << 20) == 0 => {
                    let place = match *known {
                        "MinimumBytes" => &mut minimum,
                        "StartupBytes" => &mut startup,
                        "MaximumBytes" => &mut maximum,
                        _ => continue,
                    };
                    *place = Some(bytes);
                }
                _ => complaints
                    .push(format!("-{known} takes a size of at least 32MB in steps of 2MB, not {value}")),
            },
            Takes::Number(least, most)
                if quoted || !value.parse::<i64>().is_ok_and(|number| (*least..=*most).contains(&number)) =>
            {
                complaints.push(format!("-{known} takes a whole number from {least} to {most}, not {value}"));
            }
            _ => {}
        }
    }
    if !seen.contains(&"VMName") {
        complaints.push("-VMName is missing".to_owned());
    }
    for (low, high, what) in [
        (minimum, startup, "-MinimumBytes is above -StartupBytes"),
        (startup, maximum, "-StartupBytes is above -MaximumBytes"),
        (minimum, maximum, "-MinimumBytes is above -MaximumBytes"),
    ] {
        if low.zip(high).is_some_and(|(low, high)| low > high) {
            complaints.push(what.to_owned());
        }
    }
    complaints
}

/// A number with PowerShell's suffixes.
fn bytes(text: &str) -> Option<i64> {
    let upper = text.to_ascii_uppercase();
    let (digits, shift) = [("KB", 10), ("MB", 20), ("GB", 30), ("TB", 40)]
        .into_iter()
        .find_map(|(suffix, shift)| Some((upper.strip_suffix(suffix)?, shift)))
        .unwrap_or((&upper, 0));
    digits.parse::<i64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(line: &str) -> Vec<String> {
        check(line).into_iter().map(|complaint| complaint.what).collect()
    }

    #[test]
    fn what_the_cmdlet_takes_is_taken() {
        let good = "# a 'comment\nparam([switch]$Apply)\n$WhatIf = -not $Apply\n\
            Set-VMMemory -VMName 'it''s' -DynamicMemoryEnabled $true -MinimumBytes 512MB -StartupBytes 1GB -MaximumBytes 4096MB -Buffer 20 -Priority 50 -WhatIf:$WhatIf\n";
        assert_eq!(check(good), []);
    }

    #[test]
    fn what_it_does_not_take_is_told() {
        for (line, expected) in [
            ("Remove-VM -VMName 'a'", "\"Remove-VM\" is not Set-VMMemory"),
            (
                "Set-VMMemory -VMName 'it's' -Buffer 20",
                "text goes on behind a closing quote (a quote in a name must be doubled)",
            ),
            ("Set-VMMemory -VMName 'a", "a quote is never closed"),
            ("Set-VMMemory -VMName 'a' -MemoryBytes 1GB", "Set-VMMemory has no parameter -MemoryBytes"),
            ("Set-VMMemory -VMName 'a' -Buffer 4", "-Buffer takes a whole number from 5 to 2000, not 4"),
            (
                "Set-VMMemory -VMName 'a' -Priority 101",
                "-Priority takes a whole number from 0 to 100, not 101",
            ),
            (
                "Set-VMMemory -VMName 'a' -StartupBytes 513",
                "-StartupBytes takes a size of at least 32MB in steps of 2MB, not 513",
            ),
            (
                "Set-VMMemory -VMName 'a' -StartupBytes 1.5GB",
                "-StartupBytes takes a size of at least 32MB in steps of 2MB, not 1.5GB",
            ),
            (
                "Set-VMMemory -VMName 'a' -MinimumBytes 2GB -StartupBytes 1GB",
                "-MinimumBytes is above -StartupBytes",
            ),
            (
                "Set-VMMemory -VMName 'a' -StartupBytes 2GB -MaximumBytes 1GB",
                "-StartupBytes is above -MaximumBytes",
            ),
            (
                "Set-VMMemory -VMName 'a' -DynamicMemoryEnabled true",
                "-DynamicMemoryEnabled takes $true or $false, not true",
            ),
            ("Set-VMMemory -Buffer 20", "-VMName is missing"),
            ("Set-VMMemory -VMName a -Buffer 20", "-VMName a: a name must stand in quotes"),
            (
                "Set-VMMemory -VMName 'a' -Buffer 20; Stop-VM",
                "';' means something to PowerShell outside of quotes",
            ),
            ("Set-VMMemory -VMName 'a' -Buffer 20 -Buffer 30", "-Buffer stands twice"),
            ("Set-VMMemory -VMName 'a' -Buffer", "-Buffer has no value"),
        ] {
            assert_eq!(said(line), [expected], "{line}");
        }
    }

    proptest! {
        /// Whatever a VM is called, its name is one word, and the same name.
        #[test]
        fn any_name_is_one_word(name in "[ -~äöü‘’‚‛$`;|&(){}@\"']{1,30}") {
            let line = format!("Set-VMMemory -VMName {} -Buffer 20", quoted(&name));
            prop_assert_eq!(said(&line), Vec::<String>::new());
            prop_assert_eq!(&words(&line).unwrap()[2], &(name, true));
        }

        #[test]
        fn any_script_can_be_checked(text in "(?s).{0,80}") {
            let _ = check(&text);
        }
    }
}
