//! The same 200 points on engines that exist, with a worker killed in the middle of each: the same bytes as on one machine.
//!
//! `cargo xtask test` runs these where the engines are installed, and says which are left out.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::program::{output, stand};
use crate::sweep::assert_the_same;

const WHAT: [&str; 8] =
    ["--policies", "hyperv,mom,esx", "--scenarios", "churn,multi-vm", "--seeds", "25", "--until", "6m"];
const POINTS: usize = 200;
const TASKS: usize = 20;

/// A folder with 200 points submitted to an engine, in 20 tasks. What one machine makes of them is in `local`. Its name is one that shells would
/// read as something else.
fn submitted(engine: &str, options: &[&str]) -> PathBuf {
    let folder = stand(&format!("engines/on {engine}, 100% $HOME's"));
    let did = |words: &[&str]| {
        let done = output(&folder, words);
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{words:?}: {text}{}", String::from_utf8_lossy(&done.stderr));
        text
    };
    did(&[&["compare", "--out", "local"][..], &WHAT].concat());
    did(&[&["sweep", "plan", "compare", "--out", "plan"][..], &WHAT].concat());
    let engine = engine.split(' ').next().unwrap();
    let submit = ["sweep", "submit", "--plan", "plan", "--points-per-task", "10", "--engine", engine];
    let said = did(&[&submit[..], options].concat());
    assert!(said.contains(&format!("{POINTS} points in {TASKS} tasks")), "{said}");
    folder
}

/// Waits until something holds, for minutes at most.
#[expect(clippy::disallowed_methods, reason = "other processes are waited for, and nothing is measured")]
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..3000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{what}: never in five minutes");
}

fn count_rows(folder: &Path) -> usize {
    let shards = fs::read_dir(folder.join("plan/rows"))
        .unwrap()
        .filter_map(|entry| fs::read_dir(entry.unwrap().path()).ok());
    let names = shards.flatten().map(|entry| entry.unwrap().file_name());
    names.filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "row")).count()
}

/// A process that runs a task of this folder's plan.
fn worker(folder: &Path) -> Option<String> {
    let plan = folder.join("plan");
    let is_worker = |pid: &str| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
        words.first().is_some_and(|program| *program == env!("CARGO_BIN_EXE_xtask").as_bytes())
            && words.contains(&plan.as_os_str().as_encoded_bytes())
    };
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    pids.filter(|pid| pid.parse::<u32>().is_ok()).find(|pid| is_worker(pid))
}

/// Kills a worker when some rows are there and most are not.
fn kill_one(folder: &Path) {
    wait_until("rows come", || count_rows(folder) >= 15);
    wait_until("a worker is killed", || {
        worker(folder).is_some_and(|pid| Command::new("kill").args(["-9", &pid]).status().unwrap().success())
    });
    assert!(count_rows(folder) < POINTS, "the worker was killed too late to show anything");
}

fn collected(folder: &Path) {
    let done = output(folder, &["sweep", "collect", "--plan", "plan"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(count_rows(folder), POINTS);
    assert_the_same(folder, "plan/result");
}

#[test]
#[ignore = "needs GNU parallel; `cargo xtask test` runs it where that is installed"]
fn gnu_parallel() {
    let folder = submitted("parallel", &[]);
    let mut run = Command::new(folder.join("plan/submit-001/submit.sh"))
        .args(["--jobs", "3"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    kill_one(&folder);
    assert!(run.wait().unwrap().success());
    collected(&folder);
}

/// What is ended when a test ends, however it ends.
struct Ended<F: FnMut()>(F);

impl<F: FnMut()> Drop for Ended<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Two hosts, reached by ssh, that share a file system: both are this machine, at two ports.
#[test]
#[ignore = "needs GNU parallel and an ssh server; `cargo xtask test` runs it where these are installed"]
fn ssh() {
    let place = stand("engines-ssh");
    let key = |name: &str| {
        let path = place.join(name);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        path
    };
    let (host, user) = (key("host"), key("user"));
    let _there_already = fs::create_dir_all("/run/sshd");
    let mut servers = Vec::new();
    let mut hosts = Vec::new();
    for port in free_ports() {
        let configuration = place.join(format!("sshd-{port}"));
        let mut file = fs::File::create(&configuration).unwrap();
        writeln!(
            file,
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}.pub\nStrictModes no\nUsePAM no\nPidFile none\n\
             PasswordAuthentication no\nMaxStartups 100",
            host.display(),
            user.display()
        )
        .unwrap();
        servers.push(Command::new("/usr/sbin/sshd").args(["-D", "-f"]).arg(&configuration).spawn().unwrap());
        hosts.push(format!(
            "ssh -q -p {port} -i {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null 127.0.0.1",
            user.display()
        ));
    }
    let _ended = Ended(|| {
        for server in &mut servers {
            let _it_is_gone = server.kill();
            let _ended = server.wait();
        }
    });
    let folder = submitted("parallel over ssh", &["--hosts", &hosts.join(",")]);
    let mut run = Command::new(folder.join("plan/submit-001/submit.sh"))
        .args(["--jobs", "2"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    kill_one(&folder);
    assert!(run.wait().unwrap().success());
    let log = fs::read_to_string(folder.join("plan/submit-001/joblog.tsv")).unwrap();
    for host in &hosts {
        assert!(log.contains(host.split(" -i ").next().unwrap()), "both hosts have run tasks: {log}");
    }
    collected(&folder);
}

/// Two ports that nothing listens on.
fn free_ports() -> Vec<u16> {
    let open = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    open.iter().map(|one| one.local_addr().unwrap().port()).collect()
}

/// Arrays of this cluster have eight places at most, so 20 tasks are three arrays.
#[test]
#[ignore = "needs root, and Slurm; `cargo xtask test` runs it where these are"]
fn slurm() {
    let cluster = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines/slurm.sh");
    let cluster_does = |words: &[&str]| {
        let done =
            Command::new(&script).arg(words[0]).arg(cluster.path()).args(&words[1..]).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    cluster_does(&["start", "3"]);
    let _stopped = Ended(|| cluster_does(&["stop"]));
    let configuration = cluster.path().join("slurm.conf");
    let folder = submitted("slurm", &[]);
    let done = Command::new(folder.join("plan/submit-001/submit.sh"))
        .env("SLURM_CONF", &configuration)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(String::from_utf8_lossy(&done.stdout).lines().count(), 3);
    kill_one(&folder);
    wait_until("all tasks have ended", || {
        let queue =
            Command::new("squeue").arg("--noheader").env("SLURM_CONF", &configuration).output().unwrap();
        queue.status.success() && queue.stdout.is_empty()
    });
    collected(&folder);
}

/// HyperQueue's server and a worker of two cores, by its Python package.
#[test]
#[ignore = "needs HyperQueue's Python package; `cargo xtask test` runs it where that is installed"]
fn hyperqueue() {
    let folder = submitted("hyperqueue", &[]);
    let python = std::env::var("HYPERQUEUE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut run = Command::new(python)
        .arg(folder.join("plan/submit-001/submit.py"))
        .args(["--local", "2"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    kill_one(&folder);
    assert!(run.wait().unwrap().success());
    collected(&folder);
}
