//! Keys of a scenario file that are set beside the file: `vm.VM3.priority=80` (`--set`).
//!
//! A setting changes the file's text, as a person with an editor would, and the changed text is what is read: the same checks and the same
//! diagnostics apply, and the text that a run keeps is the text that was run. `vm.all` stands for every `[[vm]]`, unless a VM has that name.

use core::{fmt, str::FromStr};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::diagnostic::{BadScenario, Diagnostic, SourceText};

/// A key of the file by its path, and the value that the key is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As the user wrote the setting.
    written: String,
    path: Vec<String>,
    /// The value as TOML.
    value: String,
}

/// A text that is no setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no setting: write the path of a key and its value, such as vm.VM3.priority=80 or host.memory=48GB"
)]
pub struct BadSetting(String);

impl FromStr for Setting {
    type Err = BadSetting;

    fn from_str(text: &str) -> Result<Self, BadSetting> {
        let bad = || BadSetting(text.to_owned());
        // Names in quotes may have an equals sign in them, so the first sign before which the text is a path counts.
        let (path, value) = text
            .match_indices('=')
            .find_map(|(at, _)| Some((path_of(&text[..at])?, text[at + 1..].trim())))
            .ok_or_else(bad)?;
        if value.is_empty() {
            return Err(bad());
        }
        let is_toml =
            DeTable::parse(&format!("value = {value}")).is_ok_and(|table| table.get_ref().len() == 1);
        let value = if is_toml { value.to_owned() } else { quoted(value) };
        Ok(Self { written: text.to_owned(), path, value })
    }
}

impl Setting {
    /// The first part of the path: a table or a key of the file itself.
    #[must_use]
    pub fn root(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// The parts of a path, as TOML writes dotted keys.
fn path_of(text: &str) -> Option<Vec<String>> {
    let line = format!("{text} = 0");
    let table = DeTable::parse(&line).ok()?;
    let mut path = Vec::new();
    let mut inner = table.get_ref();
    loop {
        let mut entries = inner.iter();
        let (key, value) = entries.next()?;
        if entries.next().is_some() {
            return None;
        }
        path.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(deeper) => inner = deeper,
            _ => return Some(path),
        }
    }
}

/// A text as TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// One step of the way to a key.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    /// An entry of a list of tables, from 0.
    Entry(usize),
}

/// The text of `source` with all settings in it, in their order. A text that is no TOML stays as it is: the reader says what is wrong.
///
/// # Errors
/// A setting of something that is not there.
pub(super) fn apply(source: &SourceText, settings: &[Setting]) -> Result<String, BadScenario> {
    let mut text = source.text().to_owned();
    for setting in settings {
        let Ok(document) = DeTable::parse(&text) else { return Ok(text) };
        // Ways go by names and numbers, which no edit changes.
        let ways = setting.ways(document.get_ref()).map_err(|why| setting.complain(source, why))?;
        for way in ways {
            let Ok(document) = DeTable::parse(&text) else { return Ok(text) };
            let changed = setting.candidates(&text, document.get_ref(), &way).into_iter().find(|changed| {
                // Where a line may be added depends on how the tables around are written; an edit counts if the key then has the value.
                let Ok(document) = DeTable::parse(changed) else { return false };
                find(document.get_ref(), &way).is_some_and(|value| changed[value.span()] == setting.value)
            });
            let Some(changed) = changed else {
                let why =
                    Refusal::new(format!("`{}` is no key whose value can be set", setting.path.join(".")))
                        .help("name a key of a table, such as host.memory");
                return Err(setting.complain(source, why));
            };
            text = changed;
        }
    }
    Ok(text)
}

/// What stands for every `[[vm]]`.
const ALL: &str = "all";

/// Why a setting is refused.
struct Refusal {
    why: String,
    allowed: Option<String>,
    help: Option<String>,
}

impl Refusal {
    fn new(why: String) -> Self {
        Self { why, allowed: None, help: None }
    }

    fn allowed(mut self, allowed: String) -> Self {
        self.allowed = Some(allowed);
        self
    }

    fn help(mut self, help: &str) -> Self {
        self.help = Some(help.to_owned());
        self
    }
}

impl Setting {
    fn complain(&self, source: &SourceText, refusal: Refusal) -> BadScenario {
        let Refusal { why, allowed, help } = refusal;
        let said = Diagnostic::of_file(source.file(), format!("--set {self}: {why}"));
        Diagnostic { allowed, help, ..said.key("--set").value(self.written.clone()) }.into()
    }

    /// The ways to the key: one, or for `vm.all` one for each `[[vm]]`.
    fn ways(&self, root: &DeTable<'_>) -> Result<Vec<Vec<Step>>, Refusal> {
        let tables = || {
            let list = root.get("vm").and_then(|list| list.get_ref().as_array());
            list.into_iter().flatten().filter_map(|entry| entry.get_ref().as_table())
        };
        match &self.path[..] {
            [vm, all, rest @ ..] if vm == "vm" && all == ALL && !rest.is_empty() => {
                let named = tables()
                    .any(|table| table.get("name").is_some_and(|name| name.get_ref().as_str() == Some(ALL)));
                if named || tables().next().is_none() {
                    return Ok(vec![self.way(root)?]);
                }
                let way = |(entry, _)| {
                    let keys = rest.iter().map(|key| Step::Key(key.clone()));
                    [Step::Key(vm.clone()), Step::Entry(entry)].into_iter().chain(keys).collect()
                };
                Ok(tables().enumerate().map(way).collect())
            }
            _ => Ok(vec![self.way(root)?]),
        }
    }

    /// The way to the key: VMs go by their names, entries of other lists by their number.
    fn way(&self, root: &DeTable<'_>) -> Result<Vec<Step>, Refusal> {
        let mut way = Vec::new();
        let mut parts = self.path.iter();
        let mut here = Some(root);
        let mut ends_at_a_table = false;
        while let Some(part) = parts.next() {
            ends_at_a_table = false;
            way.push(Step::Key(part.clone()));
            let value = here.and_then(|table| table.get(part.as_str())).map(Spanned::get_ref);
            let list = value
                .and_then(DeValue::as_array)
                .filter(|list| list.iter().any(|entry| entry.get_ref().is_table()));
            let Some(list) = list else {
                here = value.and_then(DeValue::as_table);
                continue;
            };
            let tables: Vec<&DeTable<'_>> =
                list.iter().filter_map(|entry| entry.get_ref().as_table()).collect();
            let Some(which) = parts.next() else {
                let example = if part == "vm" { "vm.VM3.priority" } else { "timeline.2.at" };
                let why = format!("`{part}` is a list of tables");
                return Err(
                    Refusal::new(why).help(&format!("say which, and which of its keys, such as {example}"))
                );
            };
            ends_at_a_table = true;
            let entry = if part == "vm" {
                let (entry, in_group) = find_vm(&tables, which)?;
                way.push(Step::Entry(entry));
                if in_group {
                    way.extend([Step::Key("only".to_owned()), Step::Key(which.clone())]);
                }
                // What a group's `only` says already is found by the way, not by this walk.
                here = if in_group { None } else { tables.get(entry).copied() };
                continue;
            } else {
                which
                    .parse::<usize>()
                    .ok()
                    .and_then(|number| number.checked_sub(1))
                    .filter(|at| *at < tables.len())
            };
            let Some(entry) = entry else {
                let why = format!("there is no entry {which:?} of [[{part}]]");
                return Err(
                    Refusal::new(why).allowed(format!("1 to {}, in the order of the file", tables.len()))
                );
            };
            way.push(Step::Entry(entry));
            here = tables.get(entry).copied();
        }
        if ends_at_a_table {
            let why = format!("`{}` is a table", self.path.join("."));
            return Err(Refusal::new(why).help("name one of its keys as well"));
        }
        Ok(way)
    }

    /// Texts in which the key may have its value, the plainest first.
    fn candidates(&self, text: &str, root: &DeTable<'_>, way: &[Step]) -> Vec<String> {
        if let Some(value) = find(root, way) {
            let is_list_of_tables = value
                .get_ref()
                .as_array()
                .is_some_and(|list| list.iter().any(|entry| entry.get_ref().is_table()));
            if value.get_ref().is_table() || is_list_of_tables {
                return Vec::new();
            }
            return vec![replaced(text, value.span(), &self.value)];
        }
        let mut candidates = Vec::new();
        // Into the deepest table that is there, or into one around it.
        for depth in (0..way.len()).rev() {
            let Some(line) = dotted(&way[depth..]).map(|key| format!("{key} = {}", self.value)) else {
                break;
            };
            if depth == 0 {
                candidates.push(format!("{line}\n{text}"));
                break;
            }
            let Some(table) = find(root, &way[..depth]) else { continue };
            let Some(entries) = table.get_ref().as_table() else { continue };
            let start = table.span().start;
            let Some(written) = text.get(start..) else { continue };
            if written.starts_with('[') {
                let end = written.find('\n').map_or(text.len(), |length| start + length);
                candidates.push(replaced(text, end..end, &format!("\n{line}")));
            } else if written.starts_with('{') {
                let comma = if entries.is_empty() { "" } else { "," };
                candidates.push(replaced(text, start + 1..start + 1, &format!(" {line}{comma}")));
            }
        }
        // A table of its own, behind all others.
        if let Some((last, table)) = way.split_last()
            && let (Some(table), Some(key)) = (dotted(table), dotted(core::slice::from_ref(last)))
        {
            candidates.push(format!("{text}\n[{table}]\n{key} = {}\n", self.value));
        }
        candidates
    }
}

fn replaced(text: &str, span: core::ops::Range<usize>, with: &str) -> String {
    let mut changed = text.to_owned();
    changed.replace_range(span, with);
    changed
}

/// The value at the end of a way.
fn find<'r, 't>(root: &'r DeTable<'t>, way: &[Step]) -> Option<&'r Spanned<DeValue<'t>>> {
    let mut steps = way.iter();
    let Some(Step::Key(first)) = steps.next() else { return None };
    steps.try_fold(root.get(first.as_str())?, |value, step| match step {
        Step::Key(key) => value.get_ref().as_table()?.get(key.as_str()),
        Step::Entry(entry) => {
            value.get_ref().as_array()?.iter().filter(|entry| entry.get_ref().is_table()).nth(*entry)
        }
    })
}

/// A way as a dotted key, if it leads through no list.
fn dotted(way: &[Step]) -> Option<String> {
    let bare =
        |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let keys = way.iter().map(|step| match step {
        Step::Key(key) if bare(key) => Some(key.clone()),
        Step::Key(key) => Some(quoted(key)),
        Step::Entry(_) => None,
    });
    Some(keys.collect::<Option<Vec<_>>>()?.join("."))
}

/// Which `[[vm]]` has the VM, and whether the VM is one of a group.
fn find_vm(tables: &[&DeTable<'_>], wanted: &str) -> Result<(usize, bool), Refusal> {
    let text = |table: &DeTable<'_>, key: &str| Some(table.get(key)?.get_ref().as_str()?.to_owned());
    let mut names = Vec::new();
    for (entry, table) in tables.iter().enumerate() {
        let Some(pattern) = text(table, "name") else { continue };
        let Some(numbers) = text(table, "numbers") else {
            if pattern == wanted {
                return Ok((entry, false));
            }
            names.push(pattern);
            continue;
        };
        let number = pattern.split_once("{n}").and_then(|(before, after)| {
            let number = wanted.strip_prefix(before)?.strip_suffix(after)?;
            (!number.is_empty()).then_some(number)
        });
        let has = |number: &str| {
            numbers == "trace"
                || numbers.split_once("..").is_some_and(|(first, last)| {
                    let bound = |text: &str| text.trim().parse::<u64>().ok();
                    let plain = number.parse::<u64>().ok().filter(|plain| plain.to_string() == number);
                    plain.is_some_and(|number| bound(first) <= Some(number) && Some(number) <= bound(last))
                })
        };
        if number.is_some_and(has) {
            return Ok((entry, true));
        }
        let bounds = numbers.split_once("..");
        names.push(match bounds {
            Some((first, last)) => {
                format!("{}..{}", pattern.replace("{n}", first.trim()), pattern.replace("{n}", last.trim()))
            }
            None => format!("{} for each of the trace", pattern.replace("{n}", "NAME")),
        });
    }
    Err(Refusal::new(format!("no VM is called {wanted:?}")).allowed(names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "until = \"35m\"\n\n[host] # the host\nmemory = \"32GB\"\nparent_os = { trimming = true }\n\n\
        [[vm]] # eight of them\nname = \"VM{n}\"\nnumbers = \"1..8\"\nguest = \"linux\"\n\n[vm.odd]\nbuffer = 30\n\n\
        [[vm]]\nname = \"db.1\"\nguest = \"ws2008\"\n\n[workloads.paint]\nkind = \"paint\"\n\n\
        [[timeline]]\nat = [\"1m\", \"2m\"]\naction = \"start\"\n\n[[timeline]]\nat = \"4m\"\n";

    fn changed(settings: &[&str]) -> Result<String, String> {
        let settings: Vec<Setting> = settings
            .iter()
            .map(|text| text.parse().map_err(|bad: BadSetting| bad.to_string()))
            .collect::<Result<_, _>>()?;
        apply(&SourceText::new("s.toml", TEXT), &settings).map_err(|bad| bad.to_string())
    }

    /// What the changed text has that the text has not, and what is gone.
    fn difference(settings: &[&str]) -> (Vec<String>, Vec<String>) {
        let changed = changed(settings).unwrap();
        let lines = |text: &str, other: &str| {
            text.lines().filter(|line| !other.lines().any(|o| o == *line)).map(str::to_owned).collect()
        };
        (lines(&changed, TEXT), lines(TEXT, &changed))
    }

    fn added(setting: &str) -> Vec<String> {
        let (added, gone) = difference(&[setting]);
        assert_eq!(gone, Vec::<String>::new(), "{setting}");
        added
    }

    #[test]
    fn a_value_that_is_there_is_replaced() {
        let replaced = |setting| {
            let (added, gone) = difference(&[setting]);
            assert_eq!((added.len(), gone.len()), (1, 1), "{setting}");
            added.concat()
        };
        assert_eq!(replaced("host.memory=48GB"), "memory = \"48GB\"");
        assert_eq!(replaced("until=1h"), "until = \"1h\"");
        assert_eq!(replaced("timeline.1.at=5m"), "at = \"5m\"");
        assert_eq!(replaced("timeline.2.at=[\"5m\", \"6m\"]"), "at = [\"5m\", \"6m\"]");
        assert_eq!(replaced("host.parent_os.trimming=false"), "parent_os = { trimming = false }");
        assert_eq!(replaced("workloads.paint.kind=step"), "kind = \"step\"");
        assert_eq!(replaced("vm.\"db.1\".guest=windows"), "guest = \"windows\"");
    }

    #[test]
    fn a_key_that_is_missing_is_written_into_its_table() {
        assert_eq!(added("seed=7"), ["seed = 7"]);
        assert_eq!(added("host.edition=datacenter"), ["edition = \"datacenter\""]);
        assert_eq!(added("host.operations.start=3s"), ["operations.start = \"3s\""]);
        assert_eq!(added("policy.name=esx"), ["policy.name = \"esx\""]);
        assert_eq!(added("policy.parameters.step=20MB"), ["policy.parameters.step = \"20MB\""]);
        assert_eq!(added("vm.\"db.1\".priority=80"), ["priority = 80"]);
        let (inline, _) = difference(&["host.parent_os.lag=1s"]);
        assert_eq!(inline, ["parent_os = { lag = \"1s\", trimming = true }"]);
    }

    #[test]
    fn a_vm_of_a_group_is_singled_out() {
        assert_eq!(added("vm.VM3.priority=80"), ["only.VM3.priority = 80"]);
        let (both, gone) = difference(&["vm.VM3.priority=80", "vm.VM3.buffer=5", "vm.VM3.priority=90"]);
        assert!(gone.is_empty());
        assert_eq!(both, ["only.VM3.buffer = 5", "only.VM3.priority = 90"]);
    }

    #[test]
    fn all_vms_are_set_at_once() {
        let (lines, gone) = difference(&["vm.all.agent=[\"active\"]"]);
        assert!(gone.is_empty());
        assert_eq!(lines, ["agent = [\"active\"]"; 2], "once in each [[vm]]");
        let (lines, gone) = difference(&["vm.all.guest=\"windows\""]);
        assert_eq!((lines.len(), gone.len()), (2, 2));
        assert!(changed(&["vm.all=3"]).unwrap_err().contains("no VM is called \"all\""));
        // A VM of that name comes first.
        let named = TEXT.replace("db.1", "all");
        let setting = ["vm.all.buffer=9".parse().unwrap()];
        let text = apply(&SourceText::new("s.toml", named.as_str()), &setting).unwrap();
        assert_eq!(text.matches("buffer = 9").count(), 1);
    }

    #[test]
    fn what_is_not_there_is_refused_with_what_is() {
        let refused = |setting: &str| changed(&[setting]).unwrap_err();
        let said = refused("vm.VM9.priority=80");
        assert!(said.contains("--set vm.VM9.priority=80: no VM is called \"VM9\""), "{said}");
        assert!(said.contains("allowed: VM1..VM8, db.1"), "{said}");
        assert!(refused("vm.VM03.priority=80").contains("no VM is called \"VM03\""));
        assert!(refused("timeline.3.at=1m").contains("allowed: 1 to 2, in the order of the file"));
        assert!(refused("timeline.0.at=1m").contains("there is no entry \"0\" of [[timeline]]"));
        assert!(refused("vm.priority=80").contains("no VM is called \"priority\""));
        assert!(refused("vm=80").contains("`vm` is a list of tables"));
        assert!(refused("vm.VM3=80").contains("name one of its keys"));
        assert!(refused("host=3").contains("`host` is no key whose value can be set"));
        assert!(refused("until.x=3").contains("`until.x` is no key whose value can be set"));
    }

    #[test]
    fn a_text_that_is_no_setting_is_refused() {
        for text in ["", "=", "seed", "seed=", "=1", "a b=1", "[host]=1", "x\ny=1", "a.=1"] {
            assert!(text.parse::<Setting>().is_err(), "{text:?}");
        }
        let said = "seed".parse::<Setting>().unwrap_err().to_string();
        assert!(said.starts_with("\"seed\" is no setting: write the path of a key and its value"), "{said}");
        // A value cannot bring lines of its own.
        let setting: Setting = "seed=1\n[host]".parse().unwrap();
        assert_eq!(setting.value, "\"1\\u000A[host]\"");
    }
}
