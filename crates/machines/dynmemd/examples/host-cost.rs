//! What the daemon costs a host of many VMs: real sockets, QEMUs that are none in one process, the daemon in another.
//!
//! ```text
//! cargo run --release -p dynmemd --example host-cost -- [VMS] [SECONDS] [WOBBLE] [OPTION OF THE DAEMON…]
//! ```
//! Processor time and memory are the daemon's process' alone, as the kernel counts them; what the QEMUs take is told beside it. Half of the VMs want
//! more than an even share, so memory moves until they have it. What a guest needs is another amount each second, within `WOBBLE` thousandths of its
//! usual need (10 if nothing is said). `PREFIX` in the environment, such as `valgrind --tool=callgrind`, is put before the daemon.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser as _;
use qemu_host::test_support::{FakeQemu, Knobs};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How often a QEMU's guest moves its balloon.
const STEP: Duration = Duration::from_millis(200);
/// Time in which the daemon finds the VMs, memory goes where it is wanted, and guests come to rest and have rested for long.
const SETTLING: Duration = Duration::from_secs(150);
/// What a guest's need differs by, in thousandths, if nothing is said: as that of idle guests was seen to.
const WOBBLE: u64 = 10;
/// Kernel ticks in a second, of which processor times are counted.
const TICKS: f64 = 100.0;

#[derive(clap::Parser)]
struct Daemon {
    #[command(flatten)]
    options: dynmemd::Options,
}

#[expect(clippy::disallowed_methods, reason = "measures the daemon, not a run")]
fn clock() -> Instant {
    Instant::now()
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|word| word == "daemon") {
        dynmemd::run(&Daemon::parse_from(&args[1..]).options)?;
        return Ok(());
    }
    let number = |at: usize, usual: u64| args.get(at).map_or(Ok(usual), |word| word.parse());
    let (vms, seconds, wobble) = (number(1, 1000)?, number(2, 60)?, number(3, WOBBLE)?);
    raise_limit()?;
    let folder = tempfile::tempdir()?;
    let mut host = Host::new(folder.path(), vms, wobble)?;
    let mut daemon = daemon(folder.path(), vms, args.get(4..).unwrap_or_default())?;
    let result = measure(&mut host, &daemon, seconds);
    // Fails if it has ended by itself.
    let _gone = rustix::process::kill_process(
        rustix::process::Pid::from_child(&daemon),
        rustix::process::Signal::TERM,
    );
    daemon.wait()?;
    result
}

fn measure(host: &mut Host, daemon: &Child, seconds: u64) -> Result<()> {
    host.serve(SETTLING)?;
    println!("{} of {} VMs are asked for their guests' needs", host.asked(), host.peers.len());
    let (before, others_before) = (Used::of(daemon.id())?, Used::of(std::process::id())?);
    let (answers, questions, moved) = (host.answers, host.questions, host.moves());
    let began = clock();
    host.serve(Duration::from_secs(seconds))?;
    let took = began.elapsed().as_secs_f64();
    let (after, others) = (Used::of(daemon.id())?, Used::of(std::process::id())?);
    let percent = |ticks: u64| ticks as f64 / TICKS / took * 100.0;
    println!(
        "the daemon: {:.2} % of one core ({:.2} in its own code, {:.2} in the kernel), {} MB resident, {} threads",
        percent(after.user + after.system - before.user - before.system),
        percent(after.user - before.user),
        percent(after.system - before.system),
        after.resident_mib,
        after.threads
    );
    println!(
        "the QEMUs: {:.2} % of one core, {:.0} bytes of questions a second",
        percent(others.user + others.system - others_before.user - others_before.system),
        (host.answers - answers) as f64 / took
    );
    println!(
        "in that time {:.2} questions to each VM a second, and memory was moved {} times",
        (host.questions - questions) as f64 / took / host.peers.len() as f64,
        host.moves() - moved
    );
    Ok(())
}

/// Two files for each VM: a socket, and its connection.
fn raise_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}

fn daemon(folder: &Path, vms: u64, more: &[String]) -> Result<Child> {
    let own = std::env::current_exe()?.display().to_string();
    let prefix = std::env::var("PREFIX").unwrap_or_default();
    let words: Vec<&str> = prefix.split_whitespace().chain([own.as_str(), "daemon"]).collect();
    let (program, before) = words.split_first().ok_or("no program")?;
    let memory = format!("{}MB", vms * 600 + 1024);
    Ok(Command::new(program)
        .args(before)
        .arg("--qmp")
        .arg(folder.join("*.qmp"))
        .args(["--memory", &memory, "--reserve", "1GB", "--every", "0s"])
        .args(more)
        .stdout(Stdio::null())
        .spawn()?)
}

/// What a process has used.
struct Used {
    user: u64,
    system: u64,
    resident_mib: u64,
    threads: u64,
}

impl Used {
    fn of(process: u32) -> Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // After the name, which may hold anything: field 3 is the first.
        let fields: Vec<&str> =
            stat.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default().split(' ').collect();
        let field = |number: usize| fields.get(number - 3).and_then(|word| word.parse().ok()).unwrap_or(0);
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        Ok(Self {
            user: field(14),
            system: field(15),
            resident_mib: line("VmRSS:") / 1024,
            threads: line("Threads:"),
        })
    }
}

struct Peer {
    qemu: FakeQemu,
    listener: UnixListener,
    stream: Option<UnixStream>,
}

/// All QEMUs of a host, on this thread.
struct Host {
    poll: rustix::fd::OwnedFd,
    peers: BTreeMap<u64, Peer>,
    began: Instant,
    next_step: Duration,
    /// Bytes of questions.
    answers: u64,
    questions: u64,
}

impl Host {
    fn new(folder: &Path, vms: u64, wobble: u64) -> Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut peers = BTreeMap::new();
        for vm in 0..vms {
            // Half of them want more than an even share.
            let used = (if vm % 2 == 0 { 700 } else { 100 }) << 20;
            let name = format!("vm{vm:04}");
            let listener = UnixListener::bind(folder.join(format!("{name}.qmp")))?;
            listener.set_nonblocking(true)?;
            epoll::add(&poll, listener.as_fd(), epoll::EventData::new_u64(vm), epoll::EventFlags::IN)?;
            let qemu = FakeQemu::new(Knobs { used, wobble, ..Knobs::new(&name, 1024) }).by_the_clock();
            peers.insert(vm, Peer { qemu, listener, stream: None });
        }
        Ok(Self { poll, peers, began: clock(), next_step: Duration::ZERO, answers: 0, questions: 0 })
    }

    fn asked(&self) -> usize {
        self.peers.values().filter(|peer| peer.qemu.is_asked()).count()
    }

    /// How often a VM's memory was asked to be moved.
    fn moves(&self) -> usize {
        self.peers.values().map(|peer| peer.qemu.asked.len()).sum()
    }

    fn serve(&mut self, time: Duration) -> Result<()> {
        let until = self.began.elapsed() + time;
        let mut events = Vec::with_capacity(256);
        loop {
            let now = self.began.elapsed();
            if now >= until {
                return Ok(());
            }
            if now >= self.next_step {
                self.next_step = now + STEP;
                for peer in self.peers.values_mut() {
                    let said = peer.qemu.advance(now);
                    if let Some(stream) = peer.stream.as_mut().filter(|_| !said.is_empty()) {
                        stream.write_all(&said)?;
                    }
                }
            }
            events.clear();
            let wait = Timespec::try_from(self.next_step.min(until).saturating_sub(now))?;
            match epoll::wait(&self.poll, spare_capacity(&mut events), Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                self.happened(event.data.u64(), now)?;
            }
        }
    }

    fn happened(&mut self, vm: u64, now: Duration) -> Result<()> {
        let Some(peer) = self.peers.get_mut(&vm) else { return Ok(()) };
        let Some(stream) = &mut peer.stream else {
            let (mut stream, _) = peer.listener.accept()?;
            stream.set_nonblocking(true)?;
            epoll::delete(&self.poll, peer.listener.as_fd())?;
            epoll::add(&self.poll, stream.as_fd(), epoll::EventData::new_u64(vm), epoll::EventFlags::IN)?;
            stream.write_all(&FakeQemu::greeting())?;
            peer.stream = Some(stream);
            return Ok(());
        };
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err("the daemon has closed a connection".into());
        }
        self.answers += read as u64;
        self.questions += buffer.iter().take(read).filter(|byte| **byte == b'\n').count() as u64;
        let mut said = peer.qemu.advance(now);
        said.extend(peer.qemu.hear(buffer.get(..read).unwrap_or_default()));
        stream.write_all(&said)?;
        Ok(())
    }
}
