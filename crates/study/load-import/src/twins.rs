//! VMs of one name: hosts do not mind, and a cluster's list or log may have them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::groups::{Entry, Groups, key};
use crate::kind::Kind;
use crate::names;

/// Values that both hosts may have of a VM while it moves from one to the other. Invented.
const MOVES: usize = 2;

/// Gives each of several VMs of one name a group of its own. A VM that moves from host to host is one VM: it is on one host at a time.
pub(crate) fn part(groups: &mut Groups, remarks: &mut Vec<String>) {
    let keys: Vec<String> = groups.keys().cloned().collect();
    for name in keys {
        let hosts = groups.get(&name).map(|entries| twins(entries)).unwrap_or_default();
        if hosts.len() < 2 {
            continue;
        }
        let entries = groups.remove(&name).unwrap_or_default();
        let called = entries.first().map_or_else(|| name.clone(), |(_, _, vm)| vm.name.clone());
        let told: Vec<&str> = hosts.iter().map(String::as_str).filter(|host| !host.is_empty()).collect();
        let on = if told.is_empty() { String::new() } else { format!(", on {}", names::some(&told)) };
        remarks.push(format!("there are {} VMs called {called}{on}", hosts.len()));
        // What one file says is of as many VMs; where it does not say which, of the first that is left.
        let mut taken: BTreeSet<(String, usize)> = BTreeSet::new();
        for entry in entries {
            let on = entry.2.host.as_deref().map(host).unwrap_or_default();
            let free = |place: &usize| !taken.contains(&(entry.0.clone(), *place));
            let there = (0..hosts.len()).filter(|place| hosts[*place] == on).find(free);
            let place = there.or_else(|| (0..hosts.len()).find(free)).unwrap_or(0);
            taken.insert((entry.0.clone(), place));
            groups.entry(nth(&name, place)).or_default().push(entry);
        }
    }
}

/// The key of the first of several VMs of a name.
pub(crate) fn first(name: &str) -> String {
    nth(name, 0)
}

fn nth(name: &str, place: usize) -> String {
    // No name has such a sign.
    format!("{name}\0{place}")
}

/// Hosts of the VMs that one file tells apart; nothing known of a host is an empty text.
fn twins(entries: &[Entry]) -> Vec<String> {
    let mut most: Vec<String> = Vec::new();
    for (file, kind, _) in entries {
        let of_file: Vec<&Entry> = entries.iter().filter(|(other, ..)| other == file).collect();
        if of_file.len() < 2 || of_file.len() <= most.len() {
            continue;
        }
        let told_apart = match kind {
            // A row is a VM.
            Kind::VmList | Kind::RvTools => true,
            _ => of_file.windows(2).all(|pair| at_once(pair[0], pair[1])),
        };
        if told_apart {
            most =
                of_file.iter().map(|(_, _, vm)| vm.host.as_deref().map(host).unwrap_or_default()).collect();
        }
    }
    most
}

/// Whether two columns of a log have values of most times that either has: one VM is not on two hosts.
fn at_once((_, _, a): &Entry, (_, _, b): &Entry) -> bool {
    let (a, b) = if a.samples.len() < b.samples.len() { (a, b) } else { (b, a) };
    let known = |at: i64| b.samples.binary_search_by_key(&at, |sample| sample.at).is_ok();
    let both = a.samples.iter().filter(|sample| known(sample.at)).count();
    both > MOVES && both * 2 > a.samples.len()
}

/// What a host is found by: files have its name with its domain or without.
fn host(name: &str) -> String {
    let short = name.split('.').next().filter(|_| name.parse::<IpAddr>().is_err());
    key(short.unwrap_or(name))
}
