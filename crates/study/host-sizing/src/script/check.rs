//! A check of scripts for PowerShell, where no PowerShell is.

use super::PATTERN;
use super::quote::{DOUBLE_QUOTES, QUOTES};

/// A thing that is wrong with a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Complaint {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// What a parameter of `Set-VMMemory` takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Text,
    Boolean,
    Bytes,
    Number(i64, i64),
    Switch,
    /// What no text is: it would have to be made by other commands.
    Object,
}

/// Parameters of the other sets, which do not go with -VMName (documented).
const OF_OTHER_SETS: [&str; 2] = ["VM", "VMMemory"];

/// Parameters of the set that names VMs: they do not go with VMs from a pipeline (documented).
const BY_NAME: [&str; 4] = ["VMName", "ComputerName", "CimSession", "Credential"];

/// What changes something.
const SETTING: [&str; 8] = [
    "DynamicMemoryEnabled",
    "MinimumBytes",
    "StartupBytes",
    "MaximumBytes",
    "Buffer",
    "Priority",
    "MaximumAmountPerNumaNodeBytes",
    "ResourcePoolName",
];

/// What a VM without Dynamic Memory has not.
const DYNAMIC: [&str; 3] = ["MinimumBytes", "MaximumBytes", "Buffer"];

/// The parameters of the script, which must be its first statement (documented: about_Scripts).
const PARAM: &str = "param([switch]$Apply)";
/// Without this, `$WhatIf` would be nothing, and the script would do at once what it is to tell.
const ASSIGNMENT: &str = "$WhatIf = -not $Apply";

/// The documented parameters of `Set-VMMemory` (Microsoft Learn, module Hyper-V) in the set that names VMs by -VMName, which is mandatory in it; ranges:
/// -Buffer 5 to 2000, -Priority 0 to 100.
const PARAMETERS: [(&str, Takes); 15] = [
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
    ("Passthru", Takes::Switch),
    ("CimSession", Takes::Object),
    ("Credential", Takes::Object),
];

/// Least startup and minimum, bytes: 32 MB (documented).
const LEAST: i64 = 32 << 20;
/// Most memory of a VM, bytes: 240 TB, generation 2 in Windows Server 2025 (documented).
const MOST: i64 = 240 << 40;

/// Holds a script against the documented parameters of `Set-VMMemory`, and against what PowerShell's grammar says of the few forms that
/// scripts of this crate have: comments, `param`, one assignment, and calls of that cmdlet, alone or behind Get-VM and a comparison of
/// names. Anything else is a complaint.
#[must_use]
pub fn check(script: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let (mut has_parameters, mut assigned, mut statements) = (false, false, 0);
    for (number, line) in script.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        let mut complain = |what: String| complaints.push(Complaint { line: number + 1, what });
        if line.is_empty() {
            continue;
        }
        if let Some(comment) = line.strip_prefix('#') {
            // Documented: about_Requires.
            if comment.to_ascii_lowercase().starts_with("requires") {
                complain("#Requires is no comment".to_owned());
            }
            continue;
        }
        statements += 1;
        if line == PARAM {
            if statements > 1 {
                complain("param must be the first statement".to_owned());
            }
            has_parameters = true;
        } else if line == ASSIGNMENT {
            if !has_parameters {
                complain("$Apply is used before param says what it is".to_owned());
            }
            assigned = true;
        } else {
            let what = check_line(line);
            if what.is_empty() && !assigned {
                complain("$WhatIf is used before it is set".to_owned());
            }
            what.into_iter().for_each(complain);
        }
    }
    complaints
}

/// A word of a command, and whether it stands in quotes.
type Word = (String, bool);

/// The words of each command of a pipeline; an error for what is not a plain one.
fn commands(line: &str) -> Result<Vec<Vec<Word>>, String> {
    let mut commands = Vec::new();
    let mut words = Vec::new();
    let mut letters = line.chars().peekable();
    while let Some(&letter) = letters.peek() {
        if letter.is_whitespace() {
            letters.next();
            continue;
        }
        if letter == '|' {
            letters.next();
            commands.push(core::mem::take(&mut words));
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
                    ';' | '|' | '&' | '`' | '(' | ')' | '{' | '}' | '<' | '>' | ',' | '@' | '#'
                )
                || DOUBLE_QUOTES.contains(&letter)
            {
                return Err(format!("{letter:?} means something to PowerShell outside of quotes"));
            }
            text.push(letter);
        }
        words.push((text, false));
    }
    commands.push(words);
    Ok(commands)
}

fn check_line(line: &str) -> Vec<String> {
    match commands(line).as_deref() {
        Err(what) => vec![what.clone()],
        Ok([set]) => check_set(set, false),
        Ok([get, filter, set]) => {
            let mut complaints = check_set(set, true);
            complaints.extend(check_get(get));
            complaints.extend(check_filter(filter));
            complaints
        }
        Ok(_) => vec!["a pipeline must be Get-VM, Where-Object and Set-VMMemory".to_owned()],
    }
}

/// Whether a word stands out of quotes and is this, without regard to case.
fn is((word, quoted): &Word, wanted: &str) -> bool {
    !quoted && word.eq_ignore_ascii_case(wanted)
}

/// `Get-VM`, of a host or of this one. Its -Name takes patterns (documented), and is not used.
fn check_get(words: &[Word]) -> Option<String> {
    let good = match words {
        [get] => is(get, "Get-VM"),
        [get, computer, (host, quoted)] => {
            is(get, "Get-VM") && is(computer, "-ComputerName") && *quoted && !host.is_empty()
        }
        _ => false,
    };
    (!good).then(|| "a pipeline begins with Get-VM, or with Get-VM -ComputerName 'HOST'".to_owned())
}

/// `Where-Object Name -EQ 'NAME'` (documented: the comparison statement of that cmdlet).
fn check_filter(words: &[Word]) -> Option<String> {
    let good = matches!(words, [filter, property, equal, (name, quoted)]
        if is(filter, "Where-Object") && is(property, "Name") && is(equal, "-EQ") && *quoted && !name.is_empty());
    (!good).then(|| "Get-VM is followed by Where-Object Name -EQ 'NAME'".to_owned())
}

/// The cmdlet that sets; `piped` is whether VMs come to it from another.
fn check_set(words: &[Word], piped: bool) -> Vec<String> {
    let mut words = words.iter().cloned().peekable();
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
    let (mut told, mut stays_static) = (false, false);
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
            complaints.push(match OF_OTHER_SETS.iter().find(|other| other.eq_ignore_ascii_case(name)) {
                Some(other) => format!("-{other} does not go with -VMName"),
                None => format!("Set-VMMemory has no parameter -{name}"),
            });
            if words.peek().is_some_and(|(next, quoted)| *quoted || !next.starts_with('-')) {
                words.next();
            }
            continue;
        };
        if seen.contains(known) {
            complaints.push(format!("-{known} stands twice"));
        }
        if piped && BY_NAME.contains(known) {
            complaints.push(format!("-{known} does not go with VMs that come from another command"));
        }
        seen.push(known);
        if *takes == Takes::Switch {
            let value = inline.map(|value| value.to_ascii_lowercase());
            if value.as_deref().is_some_and(|value| !matches!(value, "$true" | "$false" | "$whatif")) {
                complaints.push(format!("-{known} is a switch"));
            }
            told |= *known == "WhatIf" && value.as_deref() == Some("$whatif");
            continue;
        }
        let value = inline
            .map(|value| (value, false))
            .or_else(|| words.next_if(|(next, quoted)| *quoted || !next.starts_with('-')));
        let Some((value, quoted)) = value else {
            complaints.push(format!("-{known} has no value"));
            continue;
        };
        match takes {
            Takes::Object => complaints.push(format!("-{known} takes an object, not {value}")),
            Takes::Text if *known == "VMName" && value.contains(PATTERN) => {
                complaints.push(format!("-{known} '{value}' may be taken for a pattern"));
            }
            Takes::Text if value.is_empty() => complaints.push(format!("-{known} is empty")),
            Takes::Text if !quoted => {
                complaints.push(format!("-{known} {value}: a name must stand in quotes"));
            }
            Takes::Boolean
                if !matches!(value.to_ascii_lowercase().as_str(), "$true" | "$false") || quoted =>
            {
                complaints.push(format!("-{known} takes $true or $false, not {value}"));
            }
            Takes::Boolean => stays_static = value.eq_ignore_ascii_case("$false"),
            Takes::Bytes => match bytes(&value).filter(|_| !quoted) {
                Some(bytes) if (LEAST..=MOST).contains(&bytes) && bytes % (2 << 20) == 0 => {
                    let place = match *known {
                        "MinimumBytes" => &mut minimum,
                        "StartupBytes" => &mut startup,
                        "MaximumBytes" => &mut maximum,
                        _ => continue,
                    };
                    *place = Some(bytes);
                }
                _ => complaints
                    .push(format!("-{known} takes a size from 32MB to 240TB in steps of 2MB, not {value}")),
            },
            Takes::Number(least, most)
                if quoted || !value.parse::<i64>().is_ok_and(|number| (*least..=*most).contains(&number)) =>
            {
                complaints.push(format!("-{known} takes a whole number from {least} to {most}, not {value}"));
            }
            _ => {}
        }
    }
    if !piped && !seen.contains(&"VMName") {
        complaints.push("-VMName is missing".to_owned());
    }
    if !told {
        complaints.push("-WhatIf:$WhatIf is missing".to_owned());
    }
    if complaints.is_empty() && !seen.iter().any(|name| SETTING.contains(name)) {
        complaints.push("it sets nothing".to_owned());
    }
    if stays_static && let Some(name) = DYNAMIC.iter().find(|name| seen.contains(name)) {
        complaints.push(format!("-{name} does not go with -DynamicMemoryEnabled $false"));
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

    use super::super::call;
    use super::*;

    const HEAD: &str = "param([switch]$Apply)\n$WhatIf = -not $Apply\n";

    fn said(line: &str) -> Vec<String> {
        let script = format!("{HEAD}{line} -WhatIf:$WhatIf\n");
        check(&script).into_iter().map(|complaint| complaint.what).collect()
    }

    #[test]
    fn what_the_cmdlet_takes_is_taken() {
        let good = "# a 'comment\nparam([switch]$Apply)\n$WhatIf = -not $Apply\n\
            Set-VMMemory -VMName 'it''s' -DynamicMemoryEnabled $true -MinimumBytes 512MB -StartupBytes 1GB -MaximumBytes 4096MB -Buffer 20 -Priority 50 -WhatIf:$WhatIf\n";
        assert_eq!(check(good), []);
        for line in [
            "Set-VMMemory -VMName 'pays $5; (all)' -Buffer 20",
            "Get-VM -ComputerName 'HV01' | Where-Object Name -EQ 'a`[*]?' | Set-VMMemory -MaximumBytes 240TB",
            "get-vm | where-object name -eq '‘‘a''' | set-vmmemory -buffer 5",
        ] {
            assert_eq!(said(line), Vec::<String>::new(), "{line}");
        }
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
                "-StartupBytes takes a size from 32MB to 240TB in steps of 2MB, not 513",
            ),
            (
                "Set-VMMemory -VMName 'a' -StartupBytes 1.5GB",
                "-StartupBytes takes a size from 32MB to 240TB in steps of 2MB, not 1.5GB",
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
            ("Set-VMMemory -VMName 'a' -VM $vm -Buffer 20", "-VM does not go with -VMName"),
            ("Set-VMMemory -VMName 'a' -Buffer 20 -CimSession here", "-CimSession takes an object, not here"),
            ("Set-VMMemory -VMName 'a'", "it sets nothing"),
            (
                "Set-VMMemory -VMName 'a' -DynamicMemoryEnabled $false -Buffer 20",
                "-Buffer does not go with -DynamicMemoryEnabled $false",
            ),
            ("Set-VMMemory -VMName “a” -Buffer 20", "'“' means something to PowerShell outside of quotes"),
            (
                "Set-VMMemory -VMName \"a$b\" -Buffer 20",
                "'\"' means something to PowerShell outside of quotes",
            ),
            ("Set-VMMemory -VMName 'a' -Buffer `", "'`' means something to PowerShell outside of quotes"),
            ("Set-VMMemory -VMName 'a' -Buffer $b", "-Buffer takes a whole number from 5 to 2000, not $b"),
            ("Set-VMMemory -VMName 'a' -Buffer '20'", "-Buffer takes a whole number from 5 to 2000, not 20"),
            (
                "Set-VMMemory -VMName 'a' -Buffer 20.5",
                "-Buffer takes a whole number from 5 to 2000, not 20.5",
            ),
            (
                "Set-VMMemory -VMName 'a' -Buffer 2001",
                "-Buffer takes a whole number from 5 to 2000, not 2001",
            ),
            (
                "Set-VMMemory -VMName 'a' -MaximumBytes 241TB",
                "-MaximumBytes takes a size from 32MB to 240TB in steps of 2MB, not 241TB",
            ),
            (
                "Set-VMMemory -VMName 'a' -MaximumBytes 9223372036854775807MB",
                "-MaximumBytes takes a size from 32MB to 240TB in steps of 2MB, not 9223372036854775807MB",
            ),
            (
                "Set-VMMemory -VMName 'a' -MaximumBytes 33MB",
                "-MaximumBytes takes a size from 32MB to 240TB in steps of 2MB, not 33MB",
            ),
            ("Set-VMMemory -VMName 'web*' -Buffer 20", "-VMName 'web*' may be taken for a pattern"),
            ("Set-VMMemory -VMName 'a`b' -Buffer 20", "-VMName 'a`b' may be taken for a pattern"),
            (
                "Set-VMMemory -VMName 'a' -Buffer 20 –Passthru",
                "\"–Passthru\" stands where a parameter is expected",
            ),
            ("Set-VMMemory -VMName 'a' -Priority 1 -Buf 20", "Set-VMMemory has no parameter -Buf"),
            (
                "Set-VMMemory -VMName 'a' -Buffer 20 | Stop-VM",
                "a pipeline must be Get-VM, Where-Object and Set-VMMemory",
            ),
            (
                "Get-VM | Where-Object Name -EQ 'a' | Set-VMMemory -VMName 'a' -Buffer 20",
                "-VMName does not go with VMs that come from another command",
            ),
            (
                "Get-VM -Name 'a*' | Where-Object Name -EQ 'a' | Set-VMMemory -Buffer 20",
                "a pipeline begins with Get-VM, or with Get-VM -ComputerName 'HOST'",
            ),
            (
                "Get-VM | Where-Object Name -LIKE 'a*' | Set-VMMemory -Buffer 20",
                "Get-VM is followed by Where-Object Name -EQ 'NAME'",
            ),
            (
                "Get-VM | Where-Object Name -EQ a | Set-VMMemory -Buffer 20",
                "Get-VM is followed by Where-Object Name -EQ 'NAME'",
            ),
        ] {
            assert_eq!(said(line), [expected], "{line}");
        }
    }

    #[test]
    fn it_tells_before_it_does() {
        let line = "Set-VMMemory -VMName 'a' -Buffer 20 -WhatIf:$WhatIf";
        let complaints = |script: String| {
            check(&script).into_iter().map(|complaint| complaint.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(complaints(format!("{HEAD}{line}")), Vec::<String>::new());
        assert_eq!(complaints(format!("{PARAM}\n{line}")), ["line 2: $WhatIf is used before it is set"]);
        assert_eq!(complaints(format!("{ASSIGNMENT}\n{PARAM}\n{line}")).len(), 2);
        assert_eq!(
            complaints(format!("{HEAD}Set-VMMemory -VMName 'a' -Buffer 20")),
            ["line 3: -WhatIf:$WhatIf is missing"]
        );
        assert_eq!(
            complaints(format!("{HEAD}Set-VMMemory -VMName 'a' -Buffer 20 -WhatIf:$false")),
            ["line 3: -WhatIf:$WhatIf is missing"]
        );
        assert_eq!(
            complaints(format!("#requires -Modules X\n{HEAD}{line}")),
            ["line 1: #Requires is no comment"]
        );
    }

    /// Every line with one sign too few, or two that have changed places: what is still taken sets a number to another, or names another VM.
    #[test]
    fn a_slip_of_the_pen_is_told() {
        let line = "Set-VMMemory -VMName 'it''s' -DynamicMemoryEnabled $true -MinimumBytes 512MB -StartupBytes 1024MB -MaximumBytes 4096MB -Buffer 20 -WhatIf:$WhatIf";
        let letters: Vec<char> = line.chars().collect();
        let name = line.find("'it").unwrap()..line.find(" -Dynamic").unwrap();
        for place in 0..letters.len() {
            let mut fewer = letters.clone();
            fewer.remove(place);
            let mut swapped = letters.clone();
            if place + 1 < letters.len() {
                swapped.swap(place, place + 1);
            }
            for wrong in [fewer, swapped] {
                let wrong: String = wrong.into_iter().collect();
                let spaces = wrong.split_whitespace().eq(line.split_whitespace());
                let in_name = name.contains(&place) && letters[place].is_alphabetic();
                let in_number = letters[place].is_ascii_digit();
                if spaces || in_name || in_number {
                    continue;
                }
                let complaints = check(&format!("{HEAD}{wrong}"));
                assert!(!complaints.is_empty(), "{wrong}");
            }
        }
    }

    proptest! {
        /// Whatever a VM is called, its name is one word, and the same name.
        #[test]
        fn any_name_is_one_word(name in "[ -~äöü‘’‚‛$`;|&(){}@\"'*?\\[\\]]{1,30}") {
            let line = format!("{} -Buffer 20", call(&name, Some(&name)));
            prop_assert_eq!(said(&line), Vec::<String>::new());
            let words: Vec<Word> = commands(&line).unwrap().concat();
            prop_assert_eq!(words.iter().filter(|word| **word == (name.clone(), true)).count(), 2);
        }

        #[test]
        fn any_script_can_be_checked(text in "(?s).{0,80}") {
            let _ = check(&text);
        }
    }
}
