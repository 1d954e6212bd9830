//! What is measured: streams and round trips.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::ends::{MESSAGE_BYTES, Message, Receiver, Sender};
use crate::placement::{Placement, pin};
use crate::{channels, peers, ring};

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Packets one by one, committed together.
    Ring {
        per_commit: usize,
    },
    /// Packets in batches.
    Batch {
        packets: usize,
    },
    /// In chunks, one by one if there is one message in each.
    Rtrb {
        per_chunk: usize,
    },
    Heapless,
    Crossbeam,
    Std,
}

impl Subject {
    pub(crate) const STREAMS: [Self; 11] = [
        Self::Ring { per_commit: 1 },
        Self::Ring { per_commit: 8 },
        Self::Ring { per_commit: 32 },
        Self::Batch { packets: 8 },
        Self::Batch { packets: 32 },
        Self::Rtrb { per_chunk: 1 },
        Self::Rtrb { per_chunk: 8 },
        Self::Rtrb { per_chunk: 32 },
        Self::Heapless,
        Self::Crossbeam,
        Self::Std,
    ];
    pub(crate) const ROUND_TRIPS: [Self; 5] = [
        Self::Ring { per_commit: 1 },
        Self::Rtrb { per_chunk: 1 },
        Self::Heapless,
        Self::Crossbeam,
        Self::Std,
    ];

    pub(crate) fn name(self) -> String {
        match self {
            Self::Ring { per_commit } => format!("ring/{per_commit}"),
            Self::Batch { packets } => format!("ring, batch/{packets}"),
            Self::Rtrb { per_chunk } => format!("rtrb/{per_chunk}"),
            Self::Heapless => "heapless-spsc".to_owned(),
            Self::Crossbeam => "crossbeam-channel".to_owned(),
            Self::Std => "std-sync-channel".to_owned(),
        }
    }
}

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) repetitions: usize,
    pub(crate) messages: u64,
    pub(crate) round_trips: u64,
}

impl Plan {
    pub(crate) fn from_args(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut plan = Self { repetitions: 11, messages: 400_000, round_trips: 20_000 };
        while let Some(arg) = args.next() {
            let value = args.next().and_then(|value| value.parse::<u64>().ok()).filter(|&value| value > 0);
            let value = value.ok_or_else(|| format!("{arg} needs a number above 0"))?;
            match arg.as_str() {
                "--repetitions" => {
                    plan.repetitions = usize::try_from(value).map_err(|error| error.to_string())?;
                }
                "--messages" => plan.messages = value,
                "--round-trips" => plan.round_trips = value,
                _ => {
                    return Err(format!(
                        "unknown argument {arg}: --repetitions, --messages or --round-trips"
                    ));
                }
            }
        }
        Ok(plan)
    }
}

/// All repetitions of one subject in one placement.
pub(crate) struct Measured<T> {
    pub(crate) placement: Placement,
    pub(crate) subject: Subject,
    pub(crate) repetitions: Vec<T>,
}

/// One subject with both ends on one thread.
pub(crate) struct Alone {
    pub(crate) subject: Subject,
    /// Nanoseconds for each message: the quickest of many short samples.
    pub(crate) nanoseconds: f64,
}

/// Everything that was measured.
pub(crate) struct Results {
    pub(crate) alone: Vec<Alone>,
    /// Nanoseconds for each message.
    pub(crate) streams: Vec<Measured<f64>>,
    /// Nanoseconds of every round trip, ascending.
    pub(crate) round_trips: Vec<Measured<Vec<u64>>>,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// Subjects take turns within each repetition, so that what disturbs the machine disturbs them alike.
fn interleaved<T>(
    plan: &Plan,
    subjects: &[Subject],
    mut measure: impl FnMut(Subject, [usize; 2]) -> T,
) -> Vec<Measured<T>> {
    let mut all = Vec::new();
    for placement in Placement::ALL {
        let Some(cores) = placement.cores() else {
            eprintln!("{} left out: this process may use one core only", placement.name());
            continue;
        };
        let mut measured: Vec<_> = subjects
            .iter()
            .map(|&subject| Measured { placement, subject, repetitions: Vec::new() })
            .collect();
        for _ in 0..plan.repetitions {
            for of_subject in &mut measured {
                of_subject.repetitions.push(measure(of_subject.subject, cores));
            }
        }
        all.extend(measured);
    }
    all
}

pub(crate) fn run(plan: &Plan) -> Results {
    let alone = alone();
    let streams = interleaved(plan, &Subject::STREAMS, |subject, cores| {
        let elapsed = match subject {
            Subject::Ring { per_commit } => stream(ring::ring(per_commit), plan.messages, cores),
            Subject::Batch { packets } => stream(ring::batches(packets), plan.messages, cores),
            Subject::Rtrb { per_chunk } => stream(peers::rtrb(per_chunk), plan.messages, cores),
            Subject::Heapless => stream(peers::heapless(), plan.messages, cores),
            Subject::Crossbeam => stream(channels::crossbeam(), plan.messages, cores),
            Subject::Std => stream(channels::std_channel(), plan.messages, cores),
        };
        elapsed.as_nanos() as f64 / plan.messages as f64
    });
    let round_trips = interleaved(plan, &Subject::ROUND_TRIPS, |subject, cores| match subject {
        Subject::Ring { .. } | Subject::Batch { .. } => round_trip(|| ring::ring(1), plan.round_trips, cores),
        Subject::Rtrb { .. } => round_trip(|| peers::rtrb(1), plan.round_trips, cores),
        Subject::Heapless => round_trip(peers::heapless, plan.round_trips, cores),
        Subject::Crossbeam => round_trip(channels::crossbeam, plan.round_trips, cores),
        Subject::Std => round_trip(channels::std_channel, plan.round_trips, cores),
    });
    Results { alone, streams, round_trips }
}

/// Messages that a sender has at hand at a time.
const PIECE: u64 = 32;
/// Pieces in a sample: some 20 µs, so that most samples are left alone by whatever else the machine does.
const PIECES: u64 = 32;
const SAMPLES: u32 = 2_000;

/// What a message costs without a second processor: the subjects take turns, and the quickest sample of each counts.
fn alone() -> Vec<Alone> {
    let mut quickest = [f64::INFINITY; Subject::STREAMS.len()];
    for _ in 0..SAMPLES / 100 {
        for (subject, quickest) in Subject::STREAMS.into_iter().zip(&mut quickest) {
            let sampled = match subject {
                Subject::Ring { per_commit } => sample(ring::ring(per_commit)),
                Subject::Batch { packets } => sample(ring::batches(packets)),
                Subject::Rtrb { per_chunk } => sample(peers::rtrb(per_chunk)),
                Subject::Heapless => sample(peers::heapless()),
                Subject::Crossbeam => sample(channels::crossbeam()),
                Subject::Std => sample(channels::std_channel()),
            };
            *quickest = quickest.min(sampled);
        }
    }
    let subjects = Subject::STREAMS.into_iter().zip(quickest);
    subjects.map(|(subject, nanoseconds)| Alone { subject, nanoseconds }).collect()
}

/// Nanoseconds for each message, the quickest of a hundred samples.
fn sample<S: Sender, R: Receiver>((mut sender, mut receiver): (S, R)) -> f64 {
    sender.meet(thread::current());
    receiver.meet(thread::current());
    let mut expected = 0;
    let mut piece = Vec::new();
    let quickest = (0..100).map(|_| {
        let begin = now();
        for _ in 0..PIECES {
            let end = expected + PIECE;
            piece.clear();
            piece.extend((expected..end).map(message));
            sender.send_all(black_box(&piece));
            sender.flush();
            while expected < end {
                receiver.receive(|message| {
                    assert_eq!(number(black_box(message)), expected, "in order, none lost");
                    expected += 1;
                });
            }
        }
        begin.elapsed()
    });
    let quickest = quickest.min().unwrap_or_default();
    quickest.as_nanos() as f64 / (PIECE * PIECES) as f64
}

fn message(number: u64) -> Message {
    let mut message = [0x42; MESSAGE_BYTES];
    message[..8].copy_from_slice(&number.to_le_bytes());
    message
}

fn number(message: &Message) -> u64 {
    u64::from_le_bytes(*message.first_chunk().expect("64 bytes have 8"))
}

/// Two threads that know each other, each on its core, starting together. Returns what the first one returns.
fn together<A, B, T: Send + 'static>(
    cores: [usize; 2],
    mut first: A,
    mut second: B,
    meet_first: fn(&mut A, Thread),
    meet_second: fn(&mut B, Thread),
    run_first: impl FnOnce(A) -> T + Send + 'static,
    run_second: impl FnOnce(B) + Send + 'static,
) -> T
where
    A: Send + 'static,
    B: Send + 'static,
{
    let start = Arc::new(Barrier::new(2));
    let (to_first, of_second) = std::sync::mpsc::channel();
    let (to_second, of_first) = std::sync::mpsc::channel();
    let second = {
        let start = Arc::clone(&start);
        thread::spawn(move || {
            pin(cores[1]);
            to_first.send(thread::current()).expect("both start");
            meet_second(&mut second, of_first.recv().expect("both start"));
            start.wait();
            run_second(second);
        })
    };
    let first = thread::spawn(move || {
        pin(cores[0]);
        to_second.send(thread::current()).expect("both start");
        meet_first(&mut first, of_second.recv().expect("both start"));
        start.wait();
        run_first(first)
    });
    second.join().expect("no side fails");
    first.join().expect("no side fails")
}

/// Time for the receiver to get all messages.
fn stream<S: Sender, R: Receiver>((sender, receiver): (S, R), messages: u64, cores: [usize; 2]) -> Duration {
    together(
        cores,
        receiver,
        sender,
        R::meet,
        S::meet,
        move |mut receiver| {
            let begin = now();
            let mut expected = 0;
            while expected < messages {
                receiver.receive(|message| {
                    assert_eq!(number(black_box(message)), expected, "in order, none lost");
                    expected += 1;
                });
            }
            begin.elapsed()
        },
        move |mut sender| {
            let mut piece = Vec::new();
            for first in (0..messages).step_by(PIECE as usize) {
                piece.clear();
                piece.extend((first..messages.min(first + PIECE)).map(message));
                sender.send_all(black_box(&piece));
            }
            sender.flush();
        },
    )
}

/// Nanoseconds of each round trip, ascending.
fn round_trip<S: Sender, R: Receiver>(make: impl Fn() -> (S, R), count: u64, cores: [usize; 2]) -> Vec<u64> {
    let (there, other_end) = make();
    let (back, end) = make();
    let meet = |both: &mut (S, R), other: Thread| {
        both.0.meet(other.clone());
        both.1.meet(other);
    };
    together(
        cores,
        (there, end),
        (back, other_end),
        meet,
        meet,
        move |(mut there, mut back)| {
            let mut times: Vec<u64> = (0..count)
                .map(|index| {
                    let begin = now();
                    there.send(&message(index));
                    back.receive(|message| assert_eq!(number(message), index));
                    u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX)
                })
                .collect();
            times.sort_unstable();
            times
        },
        move |(mut back, mut there)| {
            for _ in 0..count {
                let mut answer = [0; MESSAGE_BYTES];
                there.receive(|message| answer = *message);
                back.send(&answer);
            }
        },
    )
}
