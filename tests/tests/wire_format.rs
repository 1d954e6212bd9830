//! The worked example of the book's page on the wire format is what a run of ours really puts on the wire.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use balancing_policy::VmId;
use dm_protocol::{MessageType, Sender};
use model_sync::Mutex;
use vmbus::control::message::Message as Channel;
use vmms_host::VmmsCommand;
use whole_stack_tests::journey::s;
use whole_stack_tests::tapped::{Tap, Tapped};
use whole_stack_tests::world::{self, World};

/// What a VM of Windows Server 2008 R2 SP1 says from its first contact to its first status report.
fn example() -> String {
    let tap = Arc::new(Mutex::new(Tap::default()));
    let vm = Tapped::new(world::ordinary("ws2008-r2-sp1-enterprise", 1), Arc::clone(&tap));
    let vms = vec![world::vm("VM1", world::settings(512, 512, 1024), vm)];
    let mut world = World::new(world::run_config(s(60), None), world::host_config(2048), vms);
    world.command_at(s(0), VmmsCommand::Start(VmId(0)));
    let rings = Arc::new(Mutex::new(Vec::new()));
    let (taken, from) = (Arc::clone(&rings), Arc::clone(&tap));
    // Late enough for a status report, and before the ring begins again at its start.
    world.at(s(45) + Duration::from_millis(500), move |_, _| *taken.lock() = ring_pages(&from.lock()));
    world.run().assert_well();

    let mut text = String::from("Channel messages, each as the payload of one SynIC message:\n\n```text\n");
    for (from_guest, bytes) in &tap.lock().messages {
        let kind = Channel::decode(bytes).unwrap().kind();
        let direction = if *from_guest { "guest → host" } else { "host → guest" };
        writeln!(text, "{direction}  {kind} ({} bytes)", bytes.len()).unwrap();
        hex(&mut text, bytes);
    }
    text.push_str("```\n\nThen the data areas of the two rings, from their first byte:\n\n");
    for (name, bytes) in rings.lock().iter() {
        writeln!(text, "{name}:\n\n```text").unwrap();
        packets(&mut text, bytes);
        text.push_str("```\n\n");
    }
    text
}

/// The control page's words that matter, and the data area, of both rings: where the guest's GPADL_HEADER says that they are.
fn ring_pages(tap: &Tap) -> Vec<(String, Vec<u8>)> {
    let header = tap.messages.iter().find_map(|(_, bytes)| match Channel::decode(bytes) {
        Ok(Channel::GpadlHeader(header)) => Some(header.page_numbers().collect::<Vec<u64>>()),
        _ => None,
    });
    let (pages, host) = (header.unwrap(), tap.host.as_ref().unwrap());
    let half = pages.len() / 2;
    [("Upstream, guest to host", 0), ("Downstream, host to guest", half)]
        .map(|(name, first)| {
            let mut control = [0; 68];
            host.read(pages[first] * 4096, &mut control).unwrap();
            let word = |at: usize| u32::from_le_bytes(control[at..at + 4].try_into().unwrap());
            let mut data = vec![0; word(0) as usize];
            host.read(pages[first + 1] * 4096, &mut data).unwrap();
            let indices = format!(
                "write index {:#x}, read index {:#x}, feature bits {:#x}",
                word(0),
                word(4),
                word(64)
            );
            (format!("{name} ({indices})"), data)
        })
        .to_vec()
}

fn packets(text: &mut String, mut bytes: &[u8]) {
    let mut offset = 0;
    // After the first status report the others look alike.
    for _ in 0..3 {
        if bytes.is_empty() {
            return;
        }
        let length = usize::from(u16::from_le_bytes([bytes[4], bytes[5]])) * 8 + 8;
        let (packet, rest) = bytes.split_at(length);
        let message = dm_protocol::Packet::decode(&packet[16..length - 8]).unwrap().message.message_type();
        writeln!(text, "at {offset:#06x}  {message}: descriptor, payload, trailer").unwrap();
        hex(text, &packet[..16]);
        hex(text, &packet[16..length - 8]);
        hex(text, &packet[length - 8..]);
        (bytes, offset) = (rest, offset + length);
    }
}

fn hex(text: &mut String, bytes: &[u8]) {
    for line in bytes.chunks(32) {
        text.push_str("   ");
        for group in line.chunks(8) {
            text.push(' ');
            for byte in group {
                write!(text, "{byte:02x}").unwrap();
            }
        }
        text.push('\n');
    }
}

const BEGIN: &str =
    "<!-- From a run: begin. Written by UPDATE_DOCS=1 cargo test -p whole-stack-tests wire_format -->\n";
const END: &str = "<!-- From a run: end. -->\n";

#[test]
fn the_worked_example_is_from_a_run() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/wire-format.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    let example = example();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}\n{example}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(shown.trim(), example.trim(), "the page shows another run: UPDATE_DOCS=1 writes it anew");
}

/// The page's table of Dynamic Memory messages names every type, and says of it what the crate knows.
#[test]
fn the_messages_of_the_page_are_those_of_the_crate() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/wire-format.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, table) = page.split_once("| type | message |").unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let known = (0..).map(MessageType).take_while(|kind| kind.is_known());
    let expected: Vec<(String, &str, &str, String, String)> = known
        .map(|kind| {
            let from = match kind.sender() {
                Some(Sender::Guest) => "guest",
                Some(Sender::Host) => "host",
                None => "–",
            };
            let since = kind.since().unwrap().to_string();
            (kind.0.to_string(), kind.name().unwrap(), from, since, kind.minimum_size().to_string())
        })
        .collect();
    // The shortest length stands first, as in `16 + 8n`.
    let shown: Vec<(String, &str, &str, String, String)> = rows
        .iter()
        .map(|row| {
            let bytes = row[4].split(' ').next().unwrap();
            (row[0].to_owned(), row[1], row[2], row[3].to_owned(), bytes.to_owned())
        })
        .collect();
    assert_eq!(shown, expected);
}
