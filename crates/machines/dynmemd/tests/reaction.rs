//! From a guest's need to memory that it can use: the daemon, and a script as people write them, on the same guests. `cargo xtask bench qemu` runs
//! this; it holds nothing, since times are those of a machine.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use crate::guests::{BALLOON, Guest, Rig, now, pause, rig};
use crate::qmp_client::Client;

/// What both guests may have together, MiB.
const TOGETHER: u64 = 640;
/// How often it is measured.
const TIMES: usize = 3;
/// What a guest loads each second, MiB, …
const LOAD: u64 = 20;
/// … and how often.
const LOADS: u64 = 12;
/// What its VM has when there is memory for that: 312 MB of need, and a buffer.
const ENOUGH: u64 = 350;
/// The longest that is waited for memory.
const LONGEST: Duration = Duration::from_secs(180);

/// A script of the common kind: at a fixed interval a VM with less than a part available is given a step, one with more than another part gives
/// a step, within what there is. The parts and intervals are those of scripts and programs that people use (15 to 20 % and 40 %; 5 to 15 s).
struct Script {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What is asked of a guest at a time, MiB.
const STEP: u64 = 64;
/// Percent of what it has that a guest has available, below which it is given more …
const TOO_LITTLE: u64 = 20;
/// … and above which it gives.
const PLENTY: u64 = 40;

impl Script {
    fn start(rig: &Rig, vms: &[(&str, u64)], interval: Duration) -> Self {
        let mut clients: Vec<(Client, u64)> = vms
            .iter()
            .map(|(name, most)| (Client::connect(&rig.path(&format!("{name}.qmp"))), *most))
            .collect();
        for (client, _) in &mut clients {
            let period = json!({ "path": "/machine/peripheral/balloon0", "property": "guest-stats-polling-interval", "value": 1 });
            client.ask("qom-set", &period);
        }
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                Self::round(&mut clients);
                pause(interval);
            }
        });
        Self { over, thread: Some(thread) }
    }

    fn round(clients: &mut [(Client, u64)]) {
        let mut has: Vec<u64> = clients.iter_mut().map(|(client, _)| client.has()).collect();
        for at in 0..clients.len() {
            let sum: u64 = has.iter().sum();
            let (client, most) = &mut clients[at];
            let stats = json!({ "path": "/machine/peripheral/balloon0", "property": "guest-stats" });
            let available =
                client.ask("qom-get", &stats)["stats"]["stat-available-memory"].as_u64().unwrap_or(u64::MAX);
            let percent = (available >> 20) * 100 / has[at].max(1);
            let wanted = if percent < TOO_LITTLE {
                (has[at] + STEP.min(TOGETHER.saturating_sub(sum))).min(*most)
            } else if percent > PLENTY && available != u64::MAX {
                has[at].saturating_sub(STEP).max(160)
            } else {
                has[at]
            };
            if wanted != has[at] {
                client.ask("balloon", &json!({ "value": wanted << 20 }));
                has[at] = wanted;
            }
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// What came of a guest's need.
struct Came {
    /// From the first megabyte to a VM with enough.
    took: Option<Duration>,
    /// The guest's program, or its kernel, came to its end for want of memory.
    killed: bool,
}

/// A guest needs more and more, and its VM is looked at until it has enough.
fn need(guest: &mut Guest, watch: &mut Client) -> Came {
    let began = now();
    let mut killed = false;
    for _ in 0..LOADS {
        guest.tell(&format!("more {LOAD}"));
        match guest.hears_either(&["added", "ready"]).as_deref().map(str::trim) {
            Ok(said) if said.starts_with("added") => killed |= !said.ends_with(" 0"),
            // Nothing was left to kill: the kernel has started anew.
            Ok(_) => return Came { took: None, killed: true },
            // Or it looks for memory and finds none, and does nothing else.
            Err(_) => {
                watch.ask("system_reset", &json!({}));
                guest.hears("ready");
                return Came { took: None, killed: true };
            }
        }
        pause(Duration::from_secs(1));
    }
    while watch.has() < ENOUGH && began.elapsed() < LONGEST && !killed {
        pause(Duration::from_millis(50));
    }
    let took = (!killed && watch.has() >= ENOUGH).then(|| began.elapsed());
    guest.tell("idle");
    guest.hears("idle");
    Came { took, killed }
}

fn tell(name: &str, came: &[Came]) {
    let mut seconds: Vec<f64> =
        came.iter().filter_map(|came| came.took).map(|took| took.as_secs_f64()).collect();
    seconds.sort_by(f64::total_cmp);
    let killed = came.iter().filter(|came| came.killed).count();
    match seconds.as_slice() {
        [] => println!("{name:<24} never   its program was killed {killed} times of {}", came.len()),
        all => println!(
            "{name:<24} {:>5.1} s   ({:.1} to {:.1})   its program was killed {killed} times of {}",
            all[all.len() / 2],
            all[0],
            all[all.len() - 1],
            came.len()
        ),
    }
}

#[test]
#[ignore = "measures, for minutes: cargo xtask bench qemu"]
fn from_need_to_memory() {
    let Some(rig) = rig() else { return };
    let second = |name: &str| {
        let place = rig.path(&format!("{name}.watch"));
        ["-qmp".to_owned(), format!("unix:{},server=on,wait=off", place.display())]
    };
    let mut guests: Vec<Guest> = ["web", "db"]
        .into_iter()
        .map(|name| {
            let own = second(name);
            let words: Vec<&str> = BALLOON.iter().copied().chain(own.iter().map(String::as_str)).collect();
            rig.guest(name, "384M", &words, "")
        })
        .collect();
    let mut watches: Vec<Client> =
        ["web", "db"].into_iter().map(|name| Client::connect(&rig.path(&format!("{name}.watch")))).collect();
    let mut measure = |rest: Duration| -> Vec<Came> {
        let one = |time| {
            // All idle.
            pause(rest);
            need(&mut guests[time % 2], &mut watches[time % 2])
        };
        (0..TIMES).map(one).collect()
    };
    println!(
        "two guests of 384 MB that may have {TOGETHER} MB together. One idles; the other loads {} MB within {LOADS} s and wants {ENOUGH} MB",
        LOAD * LOADS
    );
    println!("from its first megabyte to a VM that has them: median, smallest and largest of {TIMES}");
    for interval in [15, 5] {
        let interval = Duration::from_secs(interval);
        let script = Script::start(&rig, &[("web", 384), ("db", 384)], interval);
        tell(&format!("a script, every {} s", interval.as_secs()), &measure(interval * 4));
        drop(script);
    }
    let file = format!(
        "[host]\nmemory = \"{}MB\"\nmemory_reserve = \"64MB\"\n[default]\nminimum_bytes = \"160MB\"\n",
        TOGETHER + 64
    );
    let daemon = rig.daemon(&file, 1);
    tell("dynmemd", &measure(Duration::from_secs(20)));
    drop(daemon);
}
