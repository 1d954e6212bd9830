//! What the book shows of the daemon is what the daemon prints: blocks of `docs/src/qemu.md` after `<!-- dynmemd NAME -->`, made with guests that are none,
//! by a clock of their own. `DYNMEMD_WRITE_BOOK=1` writes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use component_runtime::{NextWake, from_fn};
use qemu_host::pressure::HostMemoryState;
use qemu_host::test_support::{FakeQemu, FakeQemus, Knobs, peer};
use qemu_host::{Place, Surroundings};

use super::*;
use crate::command_line::{Dynmemctl, Dynmemd};
use crate::control::answer;
use crate::tell;

const MIB: u64 = 1 << 20;
/// What both guests of the page have, MB, …
const HAS: u64 = 512;
/// … what they need while they idle: as the two Debian guests of `docs/records/qemu` …
const IDLE: u64 = 72;
/// … and what `db` needs in the end, and when it begins to.
const BUSY: (u64, u64) = (60, 285);
/// By so much its need grows each second, as in that record.
const GROWS: u64 = 4;
/// When the state is asked for.
const ASKED: Duration = Duration::from_secs(130);

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/src/qemu.md")
}

/// The block after a line of the page, without its fences.
fn block<'a>(page: &'a str, marker: &str) -> &'a str {
    let rest =
        page.split_once(&format!("{marker}\n```")).unwrap_or_else(|| panic!("no {marker} in the page")).1;
    let rest = rest.split_once('\n').unwrap().1;
    &rest[..rest.find("```").unwrap()]
}

struct Virtual {
    qemus: FakeQemus,
    seen: Arc<Mutex<Vec<Arc<Snapshot>>>>,
}

impl Surroundings for Virtual {
    fn places(&mut self) -> Option<Vec<Place>> {
        Some(self.qemus.places())
    }

    fn memory(&mut self) -> Option<HostMemoryState> {
        None
    }

    fn watch(&mut self, snapshot: &Arc<Snapshot>) {
        lock(&self.seen).push(Arc::clone(snapshot));
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A host of the two guests under this configuration: what was seen of it, and its log.
fn host(config: &Config) -> (Vec<Arc<Snapshot>>, String) {
    let log = Log::default();
    let human = HumanLog::new(Box::new(log.clone()), "info", false).unwrap();
    let seen = Arc::default();
    tracing::dispatcher::with_default(&run_journal::dispatch(None, Some(human)), || {
        let until = SimTime::from(ASKED) + Duration::from_secs(1);
        let mut runtime =
            Runtime::new(RunConfig { until, ..RunConfig::virtual_time(Driver::Inline) }).unwrap();
        let qemus = FakeQemus::default();
        for name in ["db", "web"] {
            let knobs = Knobs { used: IDLE * MIB, ..Knobs::new(name, HAS) };
            peer(&mut runtime, &qemus, FakeQemu::new(knobs));
        }
        let memory = config.memory.unwrap();
        let _host = QemuHost::build(
            &mut runtime,
            QemuHostConfig {
                memory,
                dry_run: config.dry_run,
                began: FakeQemus::BEGAN,
                balancer: QemuHostConfig::balancer_for(memory),
                policy: policy_catalogue::make(config.policy.as_ref().unwrap(), &config.parameters).unwrap(),
                rules: Arc::new(config.clone()),
                connect: Arc::new(qemus.clone()),
                surroundings: Box::new(Virtual { qemus: qemus.clone(), seen: Arc::clone(&seen) }),
            },
        );
        runtime.seat("load", None).start(from_fn(move |now, _, _| {
            let (begins, most) = BUSY;
            let second = Duration::from(now).as_secs();
            let needs = (IDLE + GROWS * second.saturating_sub(begins)).min(most);
            qemus.with("db", |qemu| qemu.knobs.used = needs * MIB);
            NextWake::At(SimTime::from_secs(second + 1))
        }));
        let end = runtime.run();
        assert_eq!(end.panics, [], "{:?}", end.reason);
    });
    let log = String::from_utf8(lock(&log.0).clone()).unwrap();
    let seen = std::mem::take(&mut *lock(&seen));
    (seen, log)
}

/// The last thing that was seen until then.
fn at(seen: &[Arc<Snapshot>], time: Duration) -> &Arc<Snapshot> {
    seen.iter().rfind(|snapshot| snapshot.now <= time).unwrap()
}

fn options(words: &str) -> Options {
    Dynmemd::try_parse_from(words.split(' ')).unwrap().options
}

/// What the daemon answers to words at its client's command line, with those words.
fn asked(words: &str, shared: &Shared) -> String {
    let question = Dynmemctl::try_parse_from(words.split(' ')).unwrap().command.line();
    let answer = answer(&question, shared).unwrap_or_else(|why| complaint(&anyhow!(why)) + "\n");
    format!("$ {words}\n{answer}")
}

/// All blocks of the page.
fn printed(page: &str) -> BTreeMap<&'static str, String> {
    let mut blocks = BTreeMap::new();

    let config =
        load(&options("dynmemd --qmp /run/vms/*.qmp --dry-run --memory 900MB --reserve 100MB")).unwrap();
    let (seen, _) = host(&config);
    let state = tell::state(at(&seen, Duration::from_secs(5)), config.dry_run);
    blocks.insert(
        "dry-run",
        format!(
            "$ cargo xtask qemu --qmp '/run/vms/*.qmp' --dry-run --memory 900MB --reserve 100MB\n{state}"
        ),
    );

    // The file that stands in the page is the one that is in force.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dynmemd.toml");
    std::fs::write(&file, block(page, "<!-- the file of the page -->")).unwrap();
    let config = load(&Options { config: Some(file.clone()), ..Options::default() }).unwrap();
    let (seen, log) = host(&config);
    let live = Arc::new(Mutex::new(Live {
        options: Options { config: Some(file.clone()), ..Options::default() },
        config: config.clone(),
        paused: false,
        stretch: None,
        over: false,
    }));
    let shared = Shared {
        look: {
            let seen = Arc::clone(at(&seen, ASKED));
            Box::new(move || Some(Arc::clone(&seen)))
        },
        dry_run: config.dry_run,
        change: Box::new(move |change| self::change(&live, change)),
    };
    let said =
        ["dynmemctl status", "dynmemctl explain db", "dynmemctl set web.priority 20", "dynmemctl pause"]
            .map(|words| asked(words, &shared));
    blocks.insert("asked", said.concat());

    // From the first time that memory goes to the guest that needs more: what led to it, and what came of it.
    let lines: Vec<&str> = log.lines().collect();
    let first = lines.iter().position(|line| line.contains("add_memory") && line.contains("/db ")).unwrap();
    let first = lines[..first].iter().rposition(|line| line.contains("decision")).map_or(first, |before| {
        lines[..=before].iter().rposition(|line| !line.contains("decision")).map_or(0, |line| line + 1)
    });
    let mut finished = 0;
    let mut shown = String::new();
    for line in &lines[first..] {
        let _ = writeln!(shown, "{line}");
        finished += usize::from(line.contains("operation_finished"));
        if finished == 2 {
            break;
        }
    }
    blocks.insert("log", shown);

    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("priority", "prioriti")).unwrap();
    let reload = asked("dynmemctl reload", &shared);
    blocks.insert("reload", reload.replace(&file.display().to_string(), "/etc/dynmemd/dynmemd.toml"));
    blocks
}

#[test]
fn the_book_shows_what_the_daemon_prints() {
    let path = page();
    let mut text = std::fs::read_to_string(&path).unwrap();
    let printed = printed(&text);
    let write = std::env::var_os("DYNMEMD_WRITE_BOOK").is_some();
    for (name, printed) in printed {
        // The renderer leaves none at the ends of lines, and an editor would take them away.
        let printed: String = printed.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        let marker = format!("<!-- dynmemd {name} -->");
        let shown = block(&text, &marker).to_owned();
        if shown == printed {
            continue;
        }
        assert!(
            write,
            "the page shows of {name}:\n{shown}\nand the daemon prints:\n{printed}\nDYNMEMD_WRITE_BOOK=1 cargo test -p dynmemd"
        );
        let (before, after) = text.split_once(&marker).unwrap();
        text = format!("{before}{marker}{}", after.replacen(&shown, &printed, 1));
    }
    if write {
        std::fs::write(path, text).unwrap();
    }
}
