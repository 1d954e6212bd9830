//! How long it takes to write and to read a DM message, on one thread. Run it with `--release`.
//!
//! Prints one line per measurement: name, nanoseconds per message, nanoseconds per byte (medians of many repetitions).
#![expect(clippy::print_stdout, reason = "a program for the command line")]

use dm_protocol::*;
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 10_000;
const REPETITIONS: usize = 51;

#[expect(clippy::disallowed_methods, reason = "measuring real time is what this program is for")]
fn median_ns(mut run: impl FnMut()) -> f64 {
    let mut samples: Vec<f64> = (0..REPETITIONS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..ROUNDS {
                run();
            }
            start.elapsed().as_nanos() as f64 / ROUNDS as f64
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    samples[REPETITIONS / 2]
}

fn measure(name: &str, message: Message<'_>) {
    let packet = Packet { trans_id: 7, message };
    let mut buffer = [0; MAX_GUEST_PAYLOAD];
    let bytes = packet.encode(&mut buffer).map(<[u8]>::to_vec).unwrap_or_default();
    let write = median_ns(|| {
        let _ = black_box(black_box(&packet).encode(black_box(&mut buffer)));
    });
    // Reading includes every range: a decoder that only looks at the header would prove nothing.
    let read = median_ns(|| {
        if let Ok(Packet { message: Message::BalloonResponse(response), .. }) =
            black_box(Packet::decode(black_box(&bytes)))
        {
            black_box(response.ranges.iter().fold(0, |sum: u64, r| sum.wrapping_add(r.start() ^ r.count())));
        }
    });
    for (what, ns) in [("encode", write), ("decode", read)] {
        println!("{what} {name} {ns:.2} ns {:.3} ns/byte", ns / bytes.len() as f64);
    }
}

fn main() {
    let ranges: Vec<WireRange> = (0..510).filter_map(|i| WireRange::new(0x40000 + i * 512, 512)).collect();
    measure(
        "VERSION_REQUEST",
        Message::VersionRequest(VersionRequest { version: Version::V2_0, is_last_attempt: false }),
    );
    measure(
        "STATUS_REPORT",
        Message::StatusReport(StatusReport { available: 1, committed: 2, ..Default::default() }),
    );
    measure("BALLOON_REQUEST", Message::BalloonRequest(BalloonRequest { num_pages: 0x10000 }));
    measure("MEM_HOT_ADD_RESPONSE", Message::HotAddResponse(HotAddResponse { page_count: 1, result: 1 }));
    measure(
        "BALLOON_RESPONSE-510",
        Message::BalloonResponse(BalloonResponse { more_pages: false, ranges: &ranges }),
    );
}
