//! libvirt's domains, asked as QEMUs are. libvirt holds the monitor of its QEMUs, and tells of them by `virsh`: [`domains`] reads what it says, and a
//! [`Translator`] answers the questions of a [`Session`](crate::session::Session) with it. Text and bytes in, bytes and wishes out; nothing here
//! runs a program.
//!
//! Documented (`virsh(1)`): `domstats --state --balloon` has `balloon.current`, `balloon.maximum` and what the guest's balloon driver reports, in KiB,
//! of the names of `dommemstat`; `setmem --live` sets the balloon; `dommemstat --period` sets how often the guest is asked.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The path of the only device that is told of.
const DEVICE: &str = "/machine/peripheral/balloon0";
/// Domains of which is read. Invented: as sockets.
const MOST_DOMAINS: usize = 4096;
/// A line that is longer is of no use.
const LONGEST_LINE: usize = 64 << 10;
/// The fields of a domain that are kept.
const FIELDS: [&str; 8] = [
    "state.state",
    "balloon.current",
    "balloon.maximum",
    "balloon.available",
    "balloon.usable",
    "balloon.unused",
    "balloon.disk_caches",
    "balloon.swap_out",
];
/// When the guest has last reported, seconds since 1970.
const LAST_UPDATE: &str = "balloon.last-update";

/// The version of QEMU that `virsh version` tells of, such as `10.0.2`; empty if it tells of none.
#[must_use]
pub fn version(text: &str) -> &str {
    let running = text.lines().find_map(|line| line.trim().strip_prefix("Running hypervisor: "));
    running.and_then(|line| line.split(' ').nth(1)).unwrap_or_default()
}

/// The domain of which a line of `virsh event --event reboot --loop` tells that its guest was reset.
#[must_use]
pub fn rebooted(line: &str) -> Option<&str> {
    line.trim_end().strip_prefix("event 'reboot' for domain '")?.strip_suffix('\'')
}

/// A domain, as `virsh domstats` tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Its fields, such as `balloon.current`.
    fields: BTreeMap<&'static str, u64>,
}

impl Domain {
    fn field(&self, name: &str) -> Option<u64> {
        self.fields.get(name).copied()
    }

    fn bytes(&self, name: &str) -> Option<u64> {
        self.field(name)?.checked_mul(1024)
    }

    /// Whether libvirt tells what the domain has: not of one whose QEMU does not answer it.
    #[must_use]
    pub fn tells_of_memory(&self) -> bool {
        self.fields.contains_key("balloon.current")
    }

    /// Whether its processors run, and the word for its state (documented: `virDomainState`).
    fn state(&self) -> (bool, &'static str) {
        match self.field("state.state") {
            Some(1 | 2) => (true, "running"),
            Some(3) => (false, "paused"),
            Some(7) => (false, "suspended"),
            _ => (false, "shutdown"),
        }
    }
}

/// Reads the answer to `virsh domstats --state --balloon`.
#[must_use]
pub fn domains(text: &str) -> Vec<Domain> {
    let mut found: Vec<Domain> = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("Domain: '").and_then(|rest| rest.strip_suffix('\'')) {
            if found.len() >= MOST_DOMAINS {
                break;
            }
            found.push(Domain { name: name.to_owned(), ..Domain::default() });
        } else if let (Some(domain), Some((name, value))) = (found.last_mut(), line.split_once('='))
            && let Some(name) = FIELDS.into_iter().chain([LAST_UPDATE]).find(|known| *known == name)
            && let Ok(value) = value.parse()
        {
            domain.fields.insert(name, value);
        }
    }
    found
}

/// What is to be asked of libvirt. [`Translator::carried_out`] takes what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// `virsh setmem --live`, KiB.
    SetMemory(u64),
    /// `virsh dommemstat --live --period`, seconds.
    SetPeriod(u64),
}

/// Answers for one domain.
#[derive(Debug, Default)]
pub struct Translator {
    version: String,
    domain: Option<Domain>,
    period: u64,
    line: Vec<u8>,
    /// The command that a wish is for.
    wishes: Option<(Value, Wish)>,
}

impl Translator {
    /// For a domain of a libvirt whose QEMUs have this version.
    #[must_use]
    pub fn new(version: &str) -> Self {
        Self { version: version.to_owned(), ..Self::default() }
    }

    /// Whether libvirt has told of the domain yet: what is asked before has to wait for that.
    #[must_use]
    pub const fn knows(&self) -> bool {
        self.domain.is_some()
    }

    /// What a session is greeted with.
    #[must_use]
    pub fn greeting(&self) -> Vec<u8> {
        let mut parts = self.version.split('.').map(|part| part.parse::<u64>().unwrap_or(0));
        let mut part = || parts.next().unwrap_or(0);
        let (major, minor, micro) = (part(), part(), part());
        let version =
            json!({ "qemu": { "major": major, "minor": minor, "micro": micro }, "package": "libvirt" });
        said(&json!({ "QMP": { "version": version, "capabilities": [] } }))
    }

    /// How the domain is now. Returns what has happened since the last time.
    pub fn seen(&mut self, domain: Domain) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(before) = &self.domain {
            if before.state().0 != domain.state().0 {
                let event = if domain.state().0 { "RESUME" } else { "STOP" };
                out.extend(said(&json!({ "event": event })));
            }
            if let Some(actual) = domain
                .bytes("balloon.current")
                .filter(|actual| Some(*actual) != before.bytes("balloon.current"))
            {
                out.extend(said(&json!({ "event": "BALLOON_CHANGE", "data": { "actual": actual } })));
            }
        }
        self.domain = Some(domain);
        out
    }

    /// The domain's guest was reset.
    #[must_use]
    pub fn reset() -> Vec<u8> {
        said(&json!({ "event": "RESET", "data": { "guest": true, "reason": "guest-reset" } }))
    }

    /// Hears a session's bytes: what it is answered, and what is to be asked of libvirt first, if that is needed for an answer.
    pub fn hear(&mut self, bytes: &[u8]) -> (Vec<u8>, Option<Wish>) {
        let mut out = Vec::new();
        let mut new = None;
        for &byte in bytes {
            if byte != b'\n' {
                if self.line.len() < LONGEST_LINE {
                    self.line.push(byte);
                }
                continue;
            }
            let line = core::mem::take(&mut self.line);
            let command: Value = serde_json::from_slice(&line).unwrap_or_default();
            match self.command(&command) {
                Answer::Now(Ok(answer)) => {
                    out.extend(said(&json!({ "return": answer, "id": command["id"] })));
                }
                Answer::Now(Err(why)) => out.extend(refused(&command["id"], &why)),
                Answer::After(_) if self.wishes.is_some() => {
                    out.extend(refused(&command["id"], "libvirt is still asked for something else"));
                }
                Answer::After(wish) => {
                    self.wishes = Some((command["id"].clone(), wish.clone()));
                    new = Some(wish);
                }
            }
        }
        (out, new)
    }

    /// libvirt has carried out what was wished, or says why not.
    pub fn carried_out(&mut self, result: Result<(), &str>) -> Vec<u8> {
        let Some((id, wish)) = self.wishes.take() else { return Vec::new() };
        match result {
            Ok(()) => {
                if let Wish::SetPeriod(seconds) = wish {
                    self.period = seconds;
                }
                said(&json!({ "return": {}, "id": id }))
            }
            Err(why) => refused(&id, why),
        }
    }

    fn command(&self, command: &Value) -> Answer {
        let argument = |name: &str| command.pointer(&format!("/arguments/{name}"));
        let text = |name: &str| argument(name).and_then(Value::as_str).unwrap_or_default();
        if command["execute"] == "qmp_capabilities" {
            return Answer::Now(Ok(json!({})));
        }
        let Some(domain) = &self.domain else {
            return Answer::Now(Err("libvirt does not tell of the domain".to_owned()));
        };
        let number = |name: &str| domain.bytes(name).ok_or_else(|| format!("libvirt does not tell {name}"));
        Answer::Now(match command["execute"].as_str().unwrap_or_default() {
            "query-name" => Ok(json!({ "name": domain.name })),
            "query-status" => {
                let (running, word) = domain.state();
                Ok(json!({ "status": word, "running": running }))
            }
            // A domain that migrates away is paused or gone when it matters; libvirt refuses `setmem` while it does.
            "query-migrate" => Ok(json!({})),
            "query-memory-size-summary" => {
                number("balloon.maximum").map(|base| json!({ "base-memory": base, "plugged-memory": 0 }))
            }
            "query-balloon" => number("balloon.current").map(|actual| json!({ "actual": actual })),
            "query-memory-devices" => Ok(json!([])),
            "qom-list" if text("path") == "/machine/peripheral" => {
                Ok(json!([{ "name": "balloon0", "type": "child<virtio-balloon-pci>" }]))
            }
            "qom-list" => Ok(json!([])),
            "qom-get" if text("path") == DEVICE && text("property") == "guest-stats" => {
                Ok(statistics(domain))
            }
            "qom-get" => Ok(json!(self.period)),
            "qom-set" => {
                return Answer::After(Wish::SetPeriod(
                    argument("value").and_then(Value::as_u64).unwrap_or(0),
                ));
            }
            "balloon" => {
                let kib = argument("value").and_then(Value::as_u64).unwrap_or(0) / 1024;
                return Answer::After(Wish::SetMemory(kib));
            }
            other => Err(format!("{other} is nothing that libvirt is asked")),
        })
    }
}

enum Answer {
    Now(Result<Value, String>),
    After(Wish),
}

/// What the guest's driver says, under QEMU's names.
fn statistics(domain: &Domain) -> Value {
    let value = |name: &str| domain.bytes(name).unwrap_or(u64::MAX);
    let stats = json!({
        "stat-available-memory": value("balloon.usable"),
        "stat-free-memory": value("balloon.unused"),
        "stat-total-memory": value("balloon.available"),
        "stat-disk-caches": value("balloon.disk_caches"),
        "stat-swap-out": value("balloon.swap_out"),
    });
    json!({ "stats": stats, "last-update": domain.field(LAST_UPDATE).unwrap_or(0) })
}

fn refused(id: &Value, why: &str) -> Vec<u8> {
    said(&json!({ "error": { "class": "GenericError", "desc": why }, "id": id }))
}

fn said(value: &Value) -> Vec<u8> {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::device::Now;
    use crate::session::{Happening, Session};

    /// As libvirt 9.0 has told of a Linux guest.
    const TOLD: &str = "Domain: 'alpha'\n  state.state=1\n  state.reason=1\n  balloon.current=393216\n  balloon.maximum=393216\n  \
        balloon.swap_in=0\n  balloon.swap_out=0\n  balloon.unused=321832\n  balloon.available=351260\n  balloon.usable=323184\n  \
        balloon.last-update=1796090337\n  balloon.disk_caches=2296\n  balloon.rss=214488\n\nDomain: 'it's'\n  state.state=3\n  x=y\n\n";

    #[test]
    fn what_libvirt_tells_is_read() {
        let found = domains(TOLD);
        assert_eq!(found.iter().map(|domain| &*domain.name).collect::<Vec<_>>(), ["alpha", "it's"]);
        assert_eq!(found[0].bytes("balloon.current"), Some(384 << 20));
        assert_eq!(found[1].state(), (false, "paused"));
        assert_eq!(domains("error: failed to connect\n"), []);
    }

    #[test]
    fn versions_and_reboots_are_read() {
        let told = "Compiled against library: libvirt 9.0.0\nUsing API: QEMU 9.0.0\nRunning hypervisor: QEMU 7.2.22\n";
        assert_eq!(
            (version(told), version("error: no\n"), version("Running hypervisor: QEMU")),
            ("7.2.22", "", "")
        );
        assert_eq!(rebooted("event 'reboot' for domain 'it's'\n"), Some("it's"));
        assert_eq!(rebooted("event loop interrupted"), None);
    }

    #[test]
    fn a_session_finds_the_device_and_moves_its_memory() {
        let mut translator = Translator::new("10.0.2");
        let domain = domains(TOLD).remove(0);
        translator.seen(domain.clone());
        let now = Now { run: Duration::from_secs(1), unix: Duration::from_secs(1_796_090_338) };
        let mut session = Session::new(now);
        let mut to_session = translator.greeting();
        let (mut happened, mut wishes) = (Vec::new(), Vec::new());
        let mut talk = |session: &mut Session, translator: &mut Translator, first: Vec<u8>| {
            let mut bytes = first;
            for _ in 0..40 {
                session.received(&bytes);
                while let Some(happening) = session.next_happening(now) {
                    happened.push(happening);
                }
                let (answer, wish) = translator.hear(&session.take_outgoing());
                bytes = answer;
                if let Some(wish) = wish {
                    wishes.push(wish);
                    bytes.extend(translator.carried_out(Ok(())));
                }
            }
        };
        talk(&mut session, &mut translator, std::mem::take(&mut to_session));
        assert!(session.request(now, 300 << 20));
        talk(&mut session, &mut translator, Vec::new());
        let shrunk = Domain {
            fields: domain.fields.clone().into_iter().chain([("balloon.current", 307_200)]).collect(),
            ..domain
        };
        let changed = translator.seen(shrunk);
        talk(&mut session, &mut translator, changed);
        assert_eq!(wishes, [Wish::SetPeriod(1), Wish::SetMemory(300 << 10)]);
        let ready = happened.iter().find_map(|happening| match happening {
            Happening::Ready(facts) => Some((facts.version.clone(), facts.name.clone(), facts.actual >> 20)),
            _ => None,
        });
        assert_eq!(ready, Some(("10.0.2".to_owned(), Some("alpha".to_owned()), 384)));
        assert!(happened.contains(&Happening::Accepted));
        assert!(happened.contains(&Happening::Actual(300 << 20)), "{happened:?}");
        let report = happened.iter().find_map(|happening| match happening {
            Happening::Report(report) => Some((report.demand >> 20, report.available >> 20)),
            _ => None,
        });
        assert_eq!(report, Some((68, 315)));
    }

    #[test]
    fn what_libvirt_refuses_is_refused() {
        let mut translator = Translator::new("");
        translator.seen(domains(TOLD).remove(0));
        let (answer, wish) = translator
            .hear(b"{\"execute\": \"balloon\", \"arguments\": {\"value\": 1048576}, \"id\": 3}\nnonsense\n");
        assert!(String::from_utf8(answer).unwrap().contains("nothing that libvirt is asked"));
        assert_eq!(wish, Some(Wish::SetMemory(1024)));
        let answer = String::from_utf8(translator.carried_out(Err("domain is locked"))).unwrap();
        assert!(answer.contains("domain is locked") && answer.contains("\"id\":3"), "{answer}");
    }
}
