//! Any bytes as a QEMU, and any text as what libvirt's program prints: for property tests and for fuzzing.

use std::time::Duration;

use super::fake::FakeQemu;
use crate::device::Now;
use crate::libvirt::{Translator, domains, rebooted, version};
use crate::qmp::LONGEST_LINE;
use crate::session::{Happening, Session};

/// Bytes that a session may want to send for each message that it hears.
const MOST_SENT: usize = 4096;

/// What a session was brought to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// All of the VM was known.
    pub ready: bool,
    /// Its guest was heard.
    pub reported: bool,
    /// A request was agreed to.
    pub accepted: bool,
    /// What was said made no sense, and the connection was given up before it ended.
    pub given_up: bool,
}

/// Feeds a session what `data` says, which are pieces of a dialogue: each begins with a byte that says what the piece is.
///
/// # Panics
/// What never may be is: the session sends more than its questions, keeps more than a line, or asks for what no VM can have.
pub fn session(data: &[u8]) -> Reached {
    let mut reached = Reached::default();
    let mut now = Now { run: Duration::ZERO, unix: super::fake::BEGAN };
    let mut session = Session::new(now);
    let mut qemu = FakeQemu::new(super::Knobs::new("fuzz", 512));
    session.received(&FakeQemu::greeting());
    let mut most = None;
    let mut pending = Vec::new();
    for piece in data.chunks(24) {
        let Some((&kind, bytes)) = piece.split_first() else { continue };
        now.run += Duration::from_millis(u64::from(kind) * 4);
        now.unix += Duration::from_millis(u64::from(kind) * 4);
        qemu.advance(now.run);
        while let Some(happening) = session.next_happening(now) {
            match happening {
                Happening::Ready(facts) => {
                    reached.ready = true;
                    most = Some(facts.limits.most);
                }
                Happening::Report(_) => reached.reported = true,
                Happening::Accepted => reached.accepted = true,
                Happening::Useless(_) => reached.given_up = true,
                _ => {}
            }
        }
        session.timer(now);
        let sent = session.take_outgoing();
        assert!(sent.len() <= MOST_SENT, "{} bytes at once", sent.len());
        // QEMU hears it when it next says something.
        pending.extend(sent);
        match kind % 8 {
            // QEMU's own answer, as it is, or with bytes of it changed.
            0..=3 => session.received(&qemu.hear(&std::mem::take(&mut pending))),
            4 => {
                let mut answer = qemu.hear(&std::mem::take(&mut pending));
                for pair in bytes.chunks_exact(2) {
                    let length = answer.len().max(1);
                    if let Some(byte) = answer.get_mut(usize::from(pair[0]) % length) {
                        *byte = pair[1];
                    }
                }
                session.received(&answer);
            }
            // Anything.
            5 => session.received(bytes),
            // Numbers as large as they come, under the names that are looked for.
            6 => {
                let number = bytes
                    .iter()
                    .fold(0_u64, |sum, &byte| sum.wrapping_mul(257).wrapping_add(u64::from(byte)));
                let event =
                    ["BALLOON_CHANGE", "HV_BALLOON_STATUS_REPORT", "MEMORY_DEVICE_SIZE_CHANGE", "RESET"];
                let event = event[usize::from(kind) / 8 % 4];
                let line = format!(
                    "{{\"event\": \"{event}\", \"data\": {{\"actual\": {number}, \"size\": {number}, \"committed\": {number}, \
                     \"available\": {number}}}}}\n"
                );
                session.received(line.as_bytes());
            }
            _ => {
                let wanted = bytes.iter().fold(0_u64, |sum, &byte| (sum << 8) | u64::from(byte));
                if session.limits().is_some_and(|limits| wanted <= limits.most) {
                    session.request(now, wanted);
                }
            }
        }
    }
    while let Some(happening) = session.next_happening(now) {
        match (happening, most) {
            (Happening::Actual(actual), Some(most)) => assert!(actual <= most, "{actual} of {most}"),
            (Happening::Useless(_), _) => reached.given_up = true,
            _ => {}
        }
    }
    // Without an end of a line nothing is kept for ever.
    session.received(&vec![b' '; LONGEST_LINE + 1]);
    let mut given_up = reached.given_up;
    while let Some(happening) = session.next_happening(now) {
        given_up |= matches!(happening, Happening::Useless(_));
    }
    assert!(given_up || session.next_timeout().is_none(), "a line without an end is waited for");
    reached
}

/// Domains of one input that a session looks after.
const MOST_LOOKED_AFTER: usize = 4;
/// Questions and answers for one text of libvirt's.
const MOST_TALK: usize = 40;
/// Bytes of an answer to all that a session asks at once.
const MOST_ANSWERED: usize = 4096;

/// Feeds sessions with what `virsh` prints: the parts of `data` between bytes of 0 are one text after the other, a second apart. The first byte of
/// a text says what comes of a change that is asked for then.
///
/// # Panics
/// What never may be is: an answer without end, an amount that no VM of the domain's size can have, a request beyond what can be done.
pub fn libvirt(data: &[u8]) -> Reached {
    let mut reached = Reached::default();
    let mut now = Now { run: Duration::ZERO, unix: super::fake::BEGAN };
    let mut lines: Vec<(String, Translator, Session, Option<u64>)> = Vec::new();
    for text in data.split(|&byte| byte == 0) {
        let first = text.first().copied().unwrap_or(0);
        let text = String::from_utf8_lossy(text);
        let of = version(&text);
        for domain in domains(&text) {
            let known = lines.iter().position(|(name, ..)| *name == domain.name);
            let Some(at) = known.or_else(|| {
                (lines.len() < MOST_LOOKED_AFTER).then(|| {
                    let translator = Translator::new(of);
                    let mut session = Session::new(now);
                    session.received(&translator.greeting());
                    lines.push((domain.name.clone(), translator, session, None));
                    lines.len() - 1
                })
            }) else {
                continue;
            };
            let (_, translator, session, most) = &mut lines[at];
            session.received(&translator.seen(domain));
            talk(now, first, translator, session, most, &mut reached);
        }
        for (name, _, session, _) in &mut lines {
            if text.lines().any(|line| rebooted(line) == Some(name)) {
                session.received(&Translator::reset());
            }
            session.timer(now);
        }
        now.run += Duration::from_secs(1);
        now.unix += Duration::from_secs(1);
    }
    reached
}

/// A session asks, and is answered, until both are silent.
fn talk(
    now: Now,
    first: u8,
    translator: &mut Translator,
    session: &mut Session,
    most: &mut Option<u64>,
    reached: &mut Reached,
) {
    session.timer(now);
    for step in 0..=MOST_TALK {
        while let Some(happening) = session.next_happening(now) {
            match happening {
                Happening::Ready(facts) => {
                    reached.ready = true;
                    *most = Some(facts.limits.most);
                    let wanted = facts.limits.most / 256 * u64::from(first);
                    session.request(now, wanted.max(facts.limits.least));
                }
                Happening::Actual(actual) => {
                    let most = most.unwrap_or(u64::MAX);
                    assert!(actual <= most, "{actual} of {most}");
                }
                Happening::Report(_) => reached.reported = true,
                Happening::Accepted => reached.accepted = true,
                Happening::Useless(_) => reached.given_up = true,
                _ => {}
            }
        }
        let sent = session.take_outgoing();
        if sent.is_empty() {
            return;
        }
        assert!(step < MOST_TALK, "questions without end");
        let (answer, wish) = translator.hear(&sent);
        assert!(answer.len() <= MOST_ANSWERED, "{} bytes at once", answer.len());
        session.received(&answer);
        if wish.is_some() {
            let result = if first.is_multiple_of(4) { Err("domain is locked") } else { Ok(()) };
            session.received(&translator.carried_out(result));
        }
    }
}
