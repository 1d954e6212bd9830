//! A file of several hosts: each is a run of its own, and a file of its own.
//!
//! `[[host]]` may repeat, and a host with `numbers` is so many alike. VMs, timeline entries and checks without the key `host` belong to every host,
//! those with it to the hosts that it names. What belongs to other hosts is blanked out of the text, line for line, so that what is left is a file
//! of one host whose lines are where they were: the same reader reads it, and complains about places in the file as its user wrote it.

use std::collections::BTreeSet;
use std::ops::Range;

use component_runtime::random;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{BadScenario, Diagnostic, SourceText};
use super::set_option::quoted;

/// As many hosts as a file may have, so that a slip of the finger does not take all memory. Invented.
const MOST_HOSTS: u64 = 65_536;

/// Tables of which each entry may name the hosts that it belongs to.
const OF_HOSTS: [&str; 3] = ["vm", "timeline", "check"];

/// The text of one host.
#[derive(Debug)]
pub(super) struct HostText {
    /// The host's name.
    pub(super) name: String,
    /// The text.
    pub(super) source: SourceText,
}

/// The seed of a host's run in a file of several: drawn by the host's name, so that hosts alike are not the same, and none depends on how many
/// there are. It has 53 bits, as JSON's numbers do.
#[must_use]
pub fn seed_of_host(seed: u64, host: &str) -> u64 {
    random::below(&mut random::stream(seed, &format!("host {host}")), 1 << 53)
}

/// The hosts of a file, each with its own text, in the order of the file. Nothing if the file has one host and says nothing of others: it is its own text.
///
/// # Errors
/// What is wrong with how the file names its hosts.
pub(super) fn of(source: &SourceText) -> Result<Option<Vec<HostText>>, BadScenario> {
    // What is no TOML is for the reader to say.
    let Ok(document) = DeTable::parse(source.text()) else { return Ok(None) };
    let root = document.get_ref();
    let Some(host) = root.get("host") else { return Ok(None) };
    let (groups, is_list): (Vec<&Spanned<DeValue<'_>>>, bool) = match host.get_ref() {
        DeValue::Array(hosts) => (hosts.iter().collect(), true),
        DeValue::Table(_) => (vec![host], false),
        _ => return Ok(None),
    };
    let has_numbers = |group: &&Spanned<DeValue<'_>>| {
        group.get_ref().as_table().is_some_and(|table| table.contains_key("numbers"))
    };
    let named = |table: &str| {
        entries(root, table)
            .iter()
            .any(|entry| entry.get_ref().as_table().is_some_and(|entry| entry.contains_key("host")))
    };
    if !is_list && !groups.iter().any(has_numbers) && !OF_HOSTS.into_iter().any(named) {
        return Ok(None);
    }
    let cut = Cut { source, root, is_list };
    cut.hosts(&groups).map(Some).map_err(BadScenario::new)
}

fn entries<'r, 't>(root: &'r DeTable<'t>, table: &str) -> Vec<&'r Spanned<DeValue<'t>>> {
    root.get(table).and_then(|value| value.get_ref().as_array()).into_iter().flatten().collect()
}

/// A host before its text is made: which group of the file has it, and its name.
struct Host {
    group: usize,
    name: String,
}

struct Cut<'r, 't> {
    source: &'r SourceText,
    root: &'r DeTable<'t>,
    is_list: bool,
}

impl<'r, 't> Cut<'r, 't> {
    fn hosts(&self, groups: &[&'r Spanned<DeValue<'t>>]) -> Result<Vec<HostText>, Vec<Diagnostic>> {
        let (hosts, mut wrong) = self.named(groups);
        let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        for table in OF_HOSTS {
            for entry in entries(self.root, table) {
                wrong.extend(self.unknown_hosts(entry, &names));
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let headers = self.headers();
        Ok(hosts.iter().map(|host| self.text(host, groups, &headers)).collect())
    }

    /// All hosts with their names, and what is wrong with these.
    fn named(&self, groups: &[&'r Spanned<DeValue<'t>>]) -> (Vec<Host>, Vec<Diagnostic>) {
        let (mut hosts, mut wrong) = (Vec::new(), Vec::new());
        if groups.is_empty() {
            let place = self.root.get("host").map_or(0..0, Spanned::span);
            wrong.push(self.source.complain(place, "a list without a host").key("host").help("write [host]"));
        }
        let mut seen = BTreeSet::new();
        for (group, table) in groups.iter().enumerate() {
            let Some(entries) = table.get_ref().as_table() else {
                let complaint = self.source.complain(table.span(), "a host is a table");
                wrong.push(complaint.key("host").allowed("[host], or [[host]] for each of several"));
                continue;
            };
            if !self.has_header(table) {
                wrong.push(self.inline(table));
                continue;
            }
            let name = entries.get("name");
            let pattern = name.and_then(|name| name.get_ref().as_str()).unwrap_or("HOST");
            let place = name.map_or(table.span(), Spanned::span);
            let numbers = match entries.get("numbers").map(|numbers| self.numbers(numbers)) {
                None => None,
                Some(Ok(numbers)) => Some(numbers),
                Some(Err(complaint)) => {
                    wrong.push(*complaint);
                    continue;
                }
            };
            if numbers.is_some() != pattern.contains("{n}") {
                let complaint = match numbers {
                    Some(_) => self
                        .source
                        .complain(place, format!("all of these hosts would be named {pattern:?}"))
                        .allowed("a name with `{n}` for the number")
                        .help(format!("write name = \"{pattern}{{n}}\"")),
                    None => self
                        .source
                        .complain(place, "there are no `numbers` for `{n}`")
                        .help("add numbers = \"1..20\", or take {n} out of the name"),
                };
                wrong.push(complaint.key("name").value(pattern));
                continue;
            }
            let names = match numbers {
                Some((first, last)) => {
                    (first..=last).map(|n| pattern.replace("{n}", &n.to_string())).collect()
                }
                None => vec![pattern.to_owned()],
            };
            for name in names {
                if !seen.insert(name.to_lowercase()) {
                    let complaint =
                        self.source.complain(place.clone(), format!("two hosts are named {name:?}"));
                    wrong.push(
                        complaint
                            .key("name")
                            .value(name)
                            .allowed("names that differ, in more than upper and lower case"),
                    );
                    break;
                }
                hosts.push(Host { group, name });
            }
        }
        (hosts, wrong)
    }

    fn numbers(&self, numbers: &Spanned<DeValue<'t>>) -> Result<(u64, u64), Box<Diagnostic>> {
        let written = numbers.get_ref().as_str();
        let bound = |text: &str| text.trim().parse::<u64>().ok();
        let bounds = written
            .and_then(|text| text.split_once(".."))
            .and_then(|(first, last)| Some((bound(first)?, bound(last)?)));
        let wrong = |why: String| {
            let complaint = self.source.complain(numbers.span(), why).key("numbers");
            Box::new(complaint.allowed(format!("\"1..20\" for 1 to 20; up to {MOST_HOSTS} hosts")))
        };
        match bounds {
            Some((first, last)) if first <= last && last - first < MOST_HOSTS => Ok((first, last)),
            Some((first, last)) if first <= last => Err(wrong("these are too many hosts".to_owned())),
            Some(_) => Err(wrong("the last number is below the first".to_owned())),
            None => Err(wrong("these are no numbers of hosts".to_owned())),
        }
    }

    /// What is wrong with the hosts that an entry names.
    fn unknown_hosts(&self, entry: &Spanned<DeValue<'t>>, names: &[&str]) -> Vec<Diagnostic> {
        let named = match named_by(entry) {
            Named::Everywhere => return Vec::new(),
            Named::On(named) => named,
            Named::Wrong(place) => {
                let complaint = self.source.complain(place, "this names no host").key("host");
                return vec![complaint.allowed("the name of a host, or a list of names")];
            }
        };
        let mut wrong = Vec::new();
        if !self.has_header(entry) {
            wrong.push(self.inline(entry));
        }
        for (name, place) in named.into_iter().filter(|(name, _)| !names.contains(name)) {
            let complaint =
                self.source.complain(place, format!("there is no host {name:?}")).key("host").value(name);
            wrong.push(complaint.allowed(shown(names)).nearest(name, names.iter().copied()));
        }
        wrong
    }

    fn has_header(&self, table: &Spanned<DeValue<'t>>) -> bool {
        self.source.text().get(table.span().start..).is_some_and(|text| text.starts_with('['))
    }

    /// What is told of hosts by lines of their own cannot be told within a line.
    fn inline(&self, table: &Spanned<DeValue<'t>>) -> Diagnostic {
        self.source
            .complain(table.span(), "with several hosts, a table in braces cannot belong to some of them")
            .help("write it as a table with a header of its own, such as [[vm]], and a line for each key")
    }

    /// Where the headers of all tables begin, in the order of the file, each with the entry of the file's own tables that its table is in.
    fn headers(&self) -> Vec<(usize, (String, usize))> {
        let mut headers = Vec::new();
        for (key, value) in self.root {
            let key = key.get_ref().to_string();
            match value.get_ref() {
                DeValue::Array(list) => {
                    for (place, entry) in list.iter().enumerate() {
                        self.headers_below(entry, &(key.clone(), place), &mut headers);
                    }
                }
                _ => self.headers_below(value, &(key, 0), &mut headers),
            }
        }
        headers.sort();
        headers
    }

    fn headers_below(
        &self,
        value: &Spanned<DeValue<'t>>,
        of: &(String, usize),
        headers: &mut Vec<(usize, (String, usize))>,
    ) {
        let Some(table) = value.get_ref().as_table() else { return };
        let start = value.span().start;
        // An inline table has no header, and one that only its keys make has none either.
        if self.has_header(value) {
            headers.push((start, of.clone()));
        }
        for (_, value) in table {
            match value.get_ref() {
                DeValue::Array(list) => list.iter().for_each(|entry| self.headers_below(entry, of, headers)),
                _ => self.headers_below(value, of, headers),
            }
        }
    }

    /// The text of one host.
    fn text(
        &self,
        host: &Host,
        groups: &[&'r Spanned<DeValue<'t>>],
        headers: &[(usize, (String, usize))],
    ) -> HostText {
        let text = self.source.text();
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        let mut gone: BTreeSet<(&str, usize)> = BTreeSet::new();
        for place in (0..groups.len()).filter(|place| *place != host.group) {
            gone.insert(("host", place));
        }
        for table in OF_HOSTS {
            for (place, entry) in entries(self.root, table).into_iter().enumerate() {
                let Named::On(named) = named_by(entry) else { continue };
                if named.iter().any(|(name, _)| *name == host.name) {
                    edits.extend(self.key_of(entry, "host").map(|key| (key.clone(), blank(&text[key]))));
                } else {
                    gone.insert((table, place));
                }
            }
        }
        for (at, (start, (table, place))) in headers.iter().enumerate() {
            let end = headers.get(at + 1).map_or(text.len(), |(next, _)| *next);
            if gone.contains(&(table.as_str(), *place)) {
                edits.push((*start..end, blank(&text[*start..end])));
            }
        }
        let group = groups[host.group];
        if self.is_list {
            edits.push((group.span(), "[host]".to_owned()));
        }
        edits.extend(self.key_of(group, "numbers").map(|key| (key.clone(), blank(&text[key]))));
        if let Some(name) = group.get_ref().as_table().and_then(|table| table.get("name")) {
            edits.push((name.span(), quoted(&host.name)));
        }
        edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
        let mut own = text.to_owned();
        for (span, with) in edits {
            own.replace_range(span, &with);
        }
        let source = self.source.changed(own, &format!("for the host {}", host.name));
        HostText { name: host.name.clone(), source }
    }

    /// Where a key of a table stands, with its value.
    fn key_of(&self, table: &Spanned<DeValue<'t>>, wanted: &str) -> Option<Range<usize>> {
        let (key, value) = table.get_ref().as_table()?.iter().find(|(key, _)| key.get_ref() == wanted)?;
        Some(key.span().start..value.span().end)
    }
}

/// The hosts that an entry names.
enum Named<'r> {
    /// None: it belongs to all.
    Everywhere,
    /// These, with their places.
    On(Vec<(&'r str, Range<usize>)>),
    /// What stands here names no host.
    Wrong(Range<usize>),
}

fn named_by<'r>(entry: &'r Spanned<DeValue<'_>>) -> Named<'r> {
    let Some(value) = entry.get_ref().as_table().and_then(|entry| entry.get("host")) else {
        return Named::Everywhere;
    };
    let one = |value: &'r Spanned<DeValue<'_>>| Some((value.get_ref().as_str()?, value.span()));
    let named: Option<Vec<_>> = match value.get_ref() {
        DeValue::Array(several) => several.iter().map(one).collect(),
        _ => one(value).map(|one| vec![one]),
    };
    named.filter(|named| !named.is_empty()).map_or_else(|| Named::Wrong(value.span()), Named::On)
}

/// As many lines, and nothing in them.
fn blank(text: &str) -> String {
    text.chars().filter(|c| *c == '\n').collect()
}

/// Names to choose from; of many the first and the last.
fn shown(names: &[&str]) -> String {
    match names {
        [first, .., last] if names.len() > 12 => format!("{first} to {last}, {} hosts", names.len()),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests;
