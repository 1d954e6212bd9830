//! libvirt's domains by `virsh`: one that tells of all domains each second, one that tells of reboots, and one for each change. Nothing of libvirt is
//! linked with.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use component_runtime::Doorbell;
use qemu_host::Place;
use qemu_host::libvirt::{Translator, Wish, domains, rebooted, version};
use qemu_host::link::{Connect, Link};

/// Between two times that libvirt is asked of all domains.
const ASK: Duration = Duration::from_secs(1);
/// What libvirt said is what holds for this time. Invented.
const FRESH: Duration = Duration::from_secs(3);
/// Places of domains begin with this.
const SCHEME: &str = "libvirt:/";

/// Where the domain of this name is.
fn place(name: &str) -> Place {
    PathBuf::from(format!("{SCHEME}{name}"))
}

/// A connection to a domain.
struct Line {
    translator: Translator,
    /// For the session.
    out: Vec<u8>,
    /// From the session, not heard yet: what libvirt said is too old to answer by.
    waiting: Vec<u8>,
    gone: bool,
    bell: Doorbell,
}

#[derive(Default)]
struct State {
    /// Domains that run, and when libvirt told so.
    domains: Vec<String>,
    told: Option<Instant>,
    lines: BTreeMap<String, Weak<Mutex<Line>>>,
}

/// Whether libvirt is to be asked no more.
#[derive(Default)]
struct Over {
    is: Mutex<bool>,
    rings: Condvar,
}

impl Over {
    fn end(&self) {
        *lock(&self.is) = true;
        self.rings.notify_all();
    }

    /// Waits for a time, or until it is over, and says whether it is.
    fn wait(&self, time: Duration) -> bool {
        let is = self.rings.wait_timeout_while(lock(&self.is), time, |over| !*over);
        *is.unwrap_or_else(PoisonError::into_inner).0
    }
}

struct Shared {
    uri: String,
    version: String,
    state: Mutex<State>,
    over: Over,
    /// What tells of reboots.
    events: Mutex<Option<Child>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "how old is what libvirt has said")]
fn clock() -> Instant {
    Instant::now()
}

/// The domains of a libvirt, while this value lives.
pub(crate) struct Libvirt {
    shared: Arc<Shared>,
}

impl Shared {
    fn virsh(&self) -> Command {
        let mut command = Command::new("virsh");
        command.args(["-q", "-c", &self.uri]).stdin(Stdio::null()).env("LC_ALL", "C");
        command
    }

    fn run(&self, words: &[&str]) -> Result<String> {
        let output = self.virsh().args(words).output().context(
            "cannot run virsh, which libvirt's domains are asked by (Debian: `apt-get install libvirt-clients`)",
        )?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{}", said.trim().trim_start_matches("error: ").replace("\nerror: ", ": "));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Asks of all domains. `false`: libvirt does not say.
    fn ask(&self) -> Result<()> {
        // A domain whose QEMU hangs is left out, instead of waited for.
        let text =
            self.run(&["domstats", "--state", "--balloon", "--list-running", "--list-paused", "--nowait"])?;
        let found = domains(&text);
        let lines: Vec<(String, Arc<Mutex<Line>>)> = {
            let mut state = lock(&self.state);
            state.domains = found.iter().map(|domain| domain.name.clone()).collect();
            state.told = Some(clock());
            state.lines.retain(|_, line| line.strong_count() > 0);
            state.lines.iter().filter_map(|(name, line)| Some((name.clone(), line.upgrade()?))).collect()
        };
        for (name, line) in lines {
            let domain = found.iter().find(|domain| domain.name == name);
            let mut line = lock(&line);
            match domain {
                None => line.gone = true,
                // Without these, its QEMU has not answered libvirt.
                Some(domain) if !domain.tells_of_memory() => continue,
                Some(domain) => {
                    let said = line.translator.seen(domain.clone());
                    line.out.extend(said);
                    let waiting = std::mem::take(&mut line.waiting);
                    self.hear(&name, &mut line, &waiting);
                }
            }
            line.bell.ring();
        }
        Ok(())
    }

    /// Hears a session's bytes; what libvirt has to be asked for is asked on a thread of its own, one at a time for each domain.
    fn hear(&self, name: &str, line: &mut Line, bytes: &[u8]) {
        let (said, wish) = line.translator.hear(bytes);
        line.out.extend(said);
        if let Some(wish) = wish {
            let Some(own) = lock(&self.state).lines.get(name).and_then(Weak::upgrade) else { return };
            let (uri, name) = (self.uri.clone(), name.to_owned());
            let carry_out = move || {
                let result = carry_out(&uri, &name, &wish);
                let mut line = lock(&own);
                let said = line.translator.carried_out(result.as_ref().map(|_| ()).map_err(String::as_str));
                line.out.extend(said);
                line.bell.ring();
            };
            if thread::Builder::new().name("virsh".to_owned()).spawn(carry_out).is_err() {
                line.gone = true;
            }
        }
    }

    fn reset(&self, name: &str) {
        let line = lock(&self.state).lines.get(name).and_then(Weak::upgrade);
        if let Some(line) = line {
            let mut line = lock(&line);
            line.out.extend(Translator::reset());
            line.bell.ring();
        }
    }
}

fn carry_out(uri: &str, name: &str, wish: &Wish) -> Result<(), String> {
    let number = match wish {
        Wish::SetMemory(number) | Wish::SetPeriod(number) => number.to_string(),
    };
    let mut command = Command::new("virsh");
    command.args(["-q", "-c", uri]).stdin(Stdio::null()).env("LC_ALL", "C");
    match wish {
        Wish::SetMemory(_) => command.args(["setmem", "--live", "--domain", name, "--size", &number]),
        Wish::SetPeriod(_) => command.args(["dommemstat", "--live", "--domain", name, "--period", &number]),
    };
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().trim_start_matches("error: ").to_owned())
}

impl Libvirt {
    /// Begins to ask.
    ///
    /// # Errors
    /// There is no virsh, or no libvirt at `uri`.
    pub(crate) fn open(uri: &str) -> Result<Self> {
        let mut shared = Shared {
            uri: uri.to_owned(),
            version: String::new(),
            state: Mutex::default(),
            over: Over::default(),
            events: Mutex::new(None),
        };
        let told = shared.run(&["version"]).with_context(|| format!("--libvirt {uri}"))?;
        shared.version = version(&told).to_owned();
        let shared = Arc::new(shared);
        shared.ask().with_context(|| format!("--libvirt {uri}"))?;
        let asking = Arc::clone(&shared);
        thread::Builder::new().name("libvirt".to_owned()).spawn(move || {
            while !asking.over.wait(ASK) {
                // A libvirt that does not say is one whose domains are held until it does.
                let _unsaid = asking.ask();
            }
        })?;
        let hearing = Arc::clone(&shared);
        thread::Builder::new().name("libvirt-events".to_owned()).spawn(move || hear_of_reboots(&hearing))?;
        Ok(Self { shared })
    }

    /// Where its domains are.
    pub(crate) fn places(&self) -> Vec<Place> {
        lock(&self.shared.state).domains.iter().map(|name| place(name)).collect()
    }

    /// The name of the domain at a place, if it is one.
    pub(crate) fn is_at(place: &Path) -> bool {
        place.to_str().is_some_and(|place| place.starts_with(SCHEME))
    }
}

/// Tells of reboots for as long as libvirt does, and again when it comes back.
fn hear_of_reboots(shared: &Shared) {
    loop {
        let child = shared
            .virsh()
            .args(["event", "--event", "reboot", "--loop"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        if let Ok(mut child) = child {
            let out = child.stdout.take();
            *lock(&shared.events) = Some(child);
            // Whoever has ended it meanwhile has seen no program to end.
            if shared.over.wait(Duration::ZERO)
                && let Some(child) = &mut *lock(&shared.events)
            {
                let _gone = child.kill();
            }
            for line in out.into_iter().flat_map(|out| BufReader::new(out).lines().map_while(io::Result::ok))
            {
                if let Some(name) = rebooted(&line) {
                    shared.reset(name);
                }
            }
            if let Some(mut child) = lock(&shared.events).take() {
                let _gone = child.kill();
                let _gone = child.wait();
            }
        }
        if shared.over.wait(ASK) {
            return;
        }
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        self.shared.over.end();
        if let Some(child) = &mut *lock(&self.shared.events) {
            let _gone = child.kill();
            let _gone = child.wait();
        }
    }
}

struct DomainLink {
    name: String,
    line: Arc<Mutex<Line>>,
    shared: Arc<Shared>,
}

impl Link for DomainLink {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut line = lock(&self.line);
        if line.out.is_empty() {
            return if line.gone { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let length = line.out.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(line.out.drain(..length)) {
            *to = from;
        }
        Ok(length)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fresh = lock(&self.shared.state).told.is_some_and(|told| told.elapsed() < FRESH);
        let mut line = lock(&self.line);
        if line.gone {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if fresh && line.translator.knows() {
            self.shared.hear(&self.name, &mut line, bytes);
            line.bell.ring();
        } else {
            line.waiting.extend_from_slice(bytes);
        }
        Ok(())
    }
}

impl Connect for Libvirt {
    fn connect(&self, place: &Path, bell: Doorbell) -> io::Result<Box<dyn Link>> {
        let name =
            place.to_str().and_then(|place| place.strip_prefix(SCHEME)).ok_or(io::ErrorKind::NotFound)?;
        let mut state = lock(&self.shared.state);
        if !state.domains.iter().any(|domain| domain == name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let translator = Translator::new(&self.shared.version);
        let out = translator.greeting();
        bell.ring();
        // Nothing is known of it yet: what is asked waits until libvirt has told of it.
        let line = Line { translator, out, waiting: Vec::new(), gone: false, bell };
        let line = Arc::new(Mutex::new(line));
        state.lines.insert(name.to_owned(), Arc::downgrade(&line));
        Ok(Box::new(DomainLink { name: name.to_owned(), line, shared: Arc::clone(&self.shared) }))
    }
}

/// QEMUs by their sockets, and libvirt's domains where there is one.
pub(crate) struct Anywhere<S> {
    pub(crate) sockets: S,
    pub(crate) libvirt: Option<Arc<Libvirt>>,
}

impl<S: Connect> Connect for Anywhere<S> {
    fn connect(&self, place: &Path, bell: Doorbell) -> io::Result<Box<dyn Link>> {
        match &self.libvirt {
            Some(libvirt) if Libvirt::is_at(place) => libvirt.connect(place, bell),
            _ => self.sockets.connect(place, bell),
        }
    }
}
