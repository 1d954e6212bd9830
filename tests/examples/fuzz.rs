//! Every fuzz function, on random input and on changed inputs of the committed corpus, for so many seconds
//! of a processor in all.
//!
//! `cargo xtask test` runs it for a minute; it needs nothing installed. With coverage to guide it: `cargo xtask fuzz`.
//!
//! ```text
//! cargo run -p whole-stack-tests --example fuzz -- [SECONDS] [SEED]
//! ```
//! An input that breaks something is left under `fuzz/artifacts/`, where cargo-fuzz leaves them.
#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::fs;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::{self, available_parallelism};
use std::time::{Duration, Instant, SystemTime};

use component_runtime::random::{Pcg64, below, stable_hash, stream};

/// Also of a worker, so it crosses threads.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Target = (&'static str, fn(&[u8]));

/// By the names of the files in `fuzz/targets/`.
const TARGETS: [Target; 15] = [
    ("channel_client", |bytes| _ = vmbus::control::test_support::fuzz_client(bytes)),
    ("channel_messages", vmbus::control::test_support::fuzz_message),
    ("channel_server", |bytes| _ = vmbus::control::test_support::fuzz_server(bytes)),
    ("dm_messages", dm_protocol::test_support::fuzz_decode),
    ("gpa_direct", |bytes| _ = vmbus::ring::test_support::fuzz_gpa_direct(bytes)),
    ("host_bad_guest", |bytes| _ = whole_stack_tests::fuzz_host_bad_guest(bytes)),
    ("libvirt_text", |bytes| _ = qemu_host::test_support::libvirt(bytes)),
    ("qmp_session", |bytes| _ = qemu_host::test_support::session(bytes)),
    ("ring_reader", |bytes| _ = vmbus::ring::test_support::fuzz_ring_reader(bytes)),
    ("ring_writer", |bytes| _ = vmbus::ring::test_support::fuzz_ring_writer(bytes)),
    ("storage_guest", |bytes| _ = storage_vsp::test_support::fuzz_guest(bytes)),
    ("storage_messages", storage_protocol::test_support::fuzz_decode),
    ("vhd_file", |bytes| _ = vhd::test_support::fuzz_file(bytes)),
    ("vsc_host", |bytes| _ = dm_vsc::test_support::fuzz_host(bytes)),
    ("vsp_guest", |bytes| _ = dm_vsp::test_support::fuzz_guest(bytes)),
];

/// The longest input: as in `cargo xtask fuzz`.
const LONGEST: u64 = 4096;

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let seconds: u64 = args.next().map_or(Ok(60), |seconds| seconds.parse())?;
    let seed = match args.next() {
        Some(seed) => seed.parse()?,
        None => fresh_seed(),
    };
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    check_targets(&fuzz.join("targets"))?;
    println!("seed {seed}");
    // Each target has the same time by itself, however many processors there are to run targets side by side.
    let each = Duration::from_secs(seconds) / TARGETS.len() as u32;
    let queue = Mutex::new(TARGETS.iter());
    let take = || queue.lock().ok()?.next();
    let work = || -> Result<usize, Error> {
        let mut failed = 0;
        while let Some(target) = take() {
            failed += usize::from(!holds(target, &fuzz, seed, each)?);
        }
        Ok(failed)
    };
    let workers = available_parallelism().map_or(1, NonZero::get);
    let failed = thread::scope(|scope| -> Result<usize, Error> {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut failed = 0;
        for worker in workers {
            failed += worker.join().map_err(|_| "a target's worker panicked")??;
        }
        Ok(failed)
    })?;
    if failed > 0 { Err(format!("{failed} of {} targets failed", TARGETS.len()).into()) } else { Ok(()) }
}

/// Whether a target holds on all inputs of the time that it has.
fn holds((name, target): &Target, fuzz: &Path, seed: u64, time: Duration) -> Result<bool, Error> {
    let corpus = corpus(&fuzz.join("corpus").join(name))?;
    let mut rng = stream(seed, name);
    let (mut runs, limit) = (0u64, deadline(time));
    let mut holds = true;
    while holds && !limit() {
        // Short ones first: what they find is easier to read.
        let input = input(&mut rng, &corpus, 16 << (runs / 64).min(8));
        runs += 1;
        if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
            let path = keep(&fuzz.join("artifacts").join(name), &input)?;
            eprintln!("{name}: run {runs} of seed {seed} broke it: {}", path.display());
            holds = false;
        }
    }
    println!("{name:<18} {runs:>10} inputs, from {} in the corpus", corpus.len());
    Ok(holds)
}

/// Another one each time: what is found can be found again, since it is printed and the input is kept.
#[expect(clippy::disallowed_methods, reason = "to search somewhere else each time")]
fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs() ^ u64::from(since.subsec_nanos()) << 32
}

#[expect(clippy::disallowed_methods, reason = "the time that may be spent, not a time that is tested")]
fn deadline(after: Duration) -> impl Fn() -> bool {
    let start = Instant::now();
    move || start.elapsed() >= after
}

/// Here and there the same targets, so that none is forgotten.
fn check_targets(folder: &Path) -> Result<(), Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.sort();
    let there: Vec<_> = files.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    let here = TARGETS.map(|(name, _)| name);
    if there == here { Ok(()) } else { Err(format!("fuzz/targets has {there:?}, this {here:?}").into()) }
}

fn corpus(folder: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let mut paths = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
    }
    // The order of a folder's entries is nobody's promise.
    paths.sort();
    Ok(paths.iter().map(fs::read).collect::<Result<_, _>>()?)
}

/// Random bytes, or an input of the corpus with a few changes.
fn input(rng: &mut Pcg64, corpus: &[Vec<u8>], longest: u64) -> Vec<u8> {
    let mut pick = |below_this: u64| below(rng, below_this.max(1)) as usize;
    if corpus.is_empty() || pick(3) == 0 {
        let length = pick(longest.min(LONGEST));
        return (0..length).map(|_| pick(256) as u8).collect();
    }
    let mut bytes = corpus[pick(corpus.len() as u64)].clone();
    for _ in 0..=pick(6) {
        let at = pick(bytes.len() as u64);
        match pick(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << pick(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][pick(5)],
            2 if !bytes.is_empty() => bytes.truncate(at),
            3 => bytes.insert(at, pick(256) as u8),
            4 => {
                let other = &corpus[pick(corpus.len() as u64)];
                bytes.extend_from_slice(&other[pick(other.len() as u64)..]);
            }
            5 if bytes.len() >= 8 => {
                let at = at / 8 * 8;
                let word = [0, 1, 7, 8, u64::from(u32::MAX), 1 << 40, u64::MAX][pick(7)].to_le_bytes();
                let end = bytes.len().min(at + 8);
                bytes[at..end].copy_from_slice(&word[..end - at]);
            }
            _ if !bytes.is_empty() => bytes[at] = pick(256) as u8,
            _ => {}
        }
    }
    bytes.truncate(LONGEST as usize);
    bytes
}

fn keep(folder: &Path, input: &[u8]) -> Result<PathBuf, Error> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("crash-{:016x}", stable_hash(input)));
    fs::write(&path, input)?;
    Ok(path)
}
