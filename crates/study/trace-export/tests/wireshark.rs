//! What Wireshark makes of it, where `tshark` is installed.

use std::path::Path;
use std::process::Command;

use dm_protocol::{Message, Packet};
use trace_export::pcapng;
use vmms_host::bus::RecordedFrame;

use crate::fixture;

fn dissector() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("wireshark/vmbus.lua")
}

/// Runs tshark over the run's capture; `None`, with a notice, where there is none.
fn tshark(arguments: &[&str]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.pcapng");
    pcapng::write(&fixture::run(), std::fs::File::create(&file).unwrap()).unwrap();
    let script = format!("lua_script:{}", dissector().display());
    let output = Command::new("tshark")
        .env("HOME", folder.path())
        .args(["-X", &script, "-r"])
        .arg(&file)
        .args(arguments)
        .output();
    match output {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !errors.contains("Lua"), "{errors}");
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) => {
            eprintln!("notice: not tested with Wireshark, tshark cannot be run: {error}");
            None
        }
    }
}

#[test]
fn nothing_is_malformed() {
    let bad = "_ws.malformed || _ws.lua.error || vmbus.short || hv_dm.short || hv_dm.wrong_size || data";
    let Some(found) = tshark(&["-Y", bad]) else { return };
    assert_eq!(found, "");
}

/// What tshark says of each frame, and what this project's own decoders say.
#[test]
fn wireshark_sees_what_we_see() {
    let fields = [
        "vmbus.direction",
        "vmbus.msgtype",
        "vmbus.packet.trans_id",
        "hv_dm.type",
        "hv_dm.trans_id",
        "hv_dm.num_avail",
        "hv_dm.num_committed",
        "hv_dm.io_diff",
        "hv_dm.num_pages",
        "hv_dm.range.start_page",
        "hv_dm.range.page_cnt",
        "hv_dm.page_count",
    ];
    let mut arguments = vec!["-T", "fields", "-E", "separator=|", "-E", "aggregator=,"];
    arguments.extend(fields.iter().flat_map(|field| ["-e", field]));
    let Some(text) = tshark(&arguments) else { return };
    let frames = fixture::run().frames().unwrap();
    let seen: Vec<&str> = text.lines().collect();
    assert_eq!(seen.len(), frames.len());
    let mut kinds = std::collections::BTreeSet::new();
    for (line, crossed) in seen.iter().zip(&frames) {
        let mut expected = vec![String::new(); fields.len()];
        expected[0] = u8::from(crossed.from_guest).to_string();
        match &crossed.frame {
            RecordedFrame::Message { bytes, .. } => {
                expected[1] = u32::from_le_bytes(*bytes.0.first_chunk().unwrap()).to_string();
            }
            RecordedFrame::Packet { transaction_id, payload, .. } => {
                expected[2] = transaction_id.to_string();
                let packet = Packet::decode(&payload.0).unwrap();
                let kind = packet.message.message_type().0;
                kinds.insert(kind);
                (expected[3], expected[4]) = (kind.to_string(), packet.trans_id.to_string());
                describe(&packet.message, &mut expected);
            }
            RecordedFrame::LeftOut { .. } => panic!("an orderly guest"),
        }
        assert_eq!(*line, expected.join("|"), "{crossed:?}");
    }
    assert!(kinds.is_superset(&[1, 2, 3, 4, 5, 6, 7, 10, 11].into()), "{kinds:?}");
}

fn describe(message: &Message<'_>, expected: &mut [String]) {
    let mut ranges = |ranges: &mut dyn Iterator<Item = (u64, u64)>| {
        let (starts, counts): (Vec<_>, Vec<_>) =
            ranges.map(|(start, count)| (format!("0x{start:016x}"), count.to_string())).unzip();
        (expected[9], expected[10]) = (starts.join(","), counts.join(","));
    };
    match message {
        Message::StatusReport(report) => {
            expected[5] = report.available.to_string();
            expected[6] = report.committed.to_string();
            expected[7] = report.io_diff.to_string();
        }
        Message::BalloonRequest(request) => expected[8] = request.num_pages.to_string(),
        Message::BalloonResponse(response) => {
            ranges(&mut response.ranges.iter().map(|range| (range.start(), range.count())));
        }
        Message::UnballoonRequest(request) => {
            ranges(&mut request.ranges.iter().map(|range| (range.start(), range.count())));
        }
        Message::HotAddRequest(request) => {
            let all = [Some(request.range), request.region];
            ranges(&mut all.into_iter().flatten().map(|range| (range.start(), range.count())));
        }
        Message::HotAddResponse(response) => expected[11] = response.page_count.to_string(),
        _ => {}
    }
}
