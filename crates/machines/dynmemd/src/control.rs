//! The control socket: one line asks, the answer is a text. `dynmemctl` is its client.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use qemu_host::Snapshot;

use crate::config::Said;
use crate::tell;

/// Where the socket is if nothing is said.
pub const USUAL_PLACE: &str = "/run/dynmemd/control";
/// The longest question. Invented.
const LONGEST: u64 = 4096;
/// How long somebody who has connected may say nothing. Invented.
const PATIENCE: Duration = Duration::from_secs(2);

/// What somebody wants changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Another setting of a VM.
    Set(String, Said),
    /// Nothing is moved any more, or again.
    Pause(bool),
    /// The file is read again.
    Reload,
}

/// What the socket's side and the daemon's share.
pub(crate) struct Shared {
    /// How everything is at this moment; `None`: nothing runs yet.
    pub(crate) look: Box<dyn Fn() -> Option<Arc<Snapshot>> + Send + Sync>,
    pub(crate) dry_run: bool,
    /// Makes a change; what comes back is said to whoever asked.
    pub(crate) change: Box<dyn Fn(Change) -> Result<String, String> + Send + Sync>,
}

/// The socket, while this value lives.
#[derive(Debug)]
pub(crate) struct Control {
    place: PathBuf,
}

impl Control {
    /// Begins to listen.
    pub(crate) fn open(place: &Path, shared: Arc<Shared>) -> Result<Self> {
        // One that nobody listens at was left behind.
        if UnixStream::connect(place).is_ok() {
            bail!("another dynmemd listens at {}", place.display());
        }
        let _none = std::fs::remove_file(place);
        let listener = UnixListener::bind(place).with_context(|| {
            format!("cannot listen at {}: choose another place with --control", place.display())
        })?;
        // Whoever may connect may move memory.
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o660))?;
        thread::Builder::new().name("control".to_owned()).spawn(move || {
            for stream in listener.incoming().flatten() {
                // One after the other: each has its time.
                let _gone: io::Result<()> = attend(&stream, &shared);
            }
        })?;
        Ok(Self { place: place.to_owned() })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.place);
    }
}

fn attend(stream: &UnixStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut question = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut question)?;
    let answer = match answer(question.trim(), shared) {
        Ok(text) => format!("ok\n{text}"),
        Err(text) => format!("error\n{text}\n"),
    };
    let mut stream = stream;
    stream.write_all(answer.as_bytes())
}

/// The commands, for whoever asks for another.
const COMMANDS: &str = "status, explain VM, set VM.KEY VALUE, pause, resume, reload";

/// What a question is answered; `Err`: why it is not.
pub(crate) fn answer(question: &str, shared: &Shared) -> Result<String, String> {
    let look = || (shared.look)().ok_or_else(|| "the daemon has only just begun; ask again".to_owned());
    let (command, rest) = question.split_once(' ').unwrap_or((question, ""));
    match command {
        "status" => Ok(tell::state(&*look()?, shared.dry_run)),
        "explain" => {
            let snapshot = look()?;
            let vm =
                snapshot.vms.iter().find(|vm| *vm.name == *rest).ok_or_else(|| no_vm(rest, &snapshot))?;
            Ok(tell::explain(&snapshot, vm, shared.dry_run))
        }
        "set" => {
            let (vm, said) = setting(rest)?;
            let snapshot = look()?;
            if !snapshot.vms.iter().any(|known| *known.name == *vm) {
                return Err(no_vm(&vm, &snapshot));
            }
            (shared.change)(Change::Set(vm, said))
        }
        "pause" => (shared.change)(Change::Pause(true)),
        "resume" => (shared.change)(Change::Pause(false)),
        "reload" => (shared.change)(Change::Reload),
        other => {
            let near = quantities::nearest(other, ["status", "explain", "set", "pause", "resume", "reload"]);
            let near = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            Err(format!("{other:?} is no command; there are {COMMANDS}{near}"))
        }
    }
}

fn no_vm(name: &str, snapshot: &Snapshot) -> String {
    let names: Vec<&str> = snapshot.vms.iter().map(|vm| &*vm.name).collect();
    let near = quantities::nearest(name, names.iter().copied());
    let near = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
    format!("there is no VM {name:?}; there are {}{near}", names.join(", "))
}

/// `web.priority 80`, or with `=`.
fn setting(text: &str) -> Result<(String, Said), String> {
    const FORM: &str = "set VM.KEY VALUE, where KEY is priority, buffer, minimum_bytes, maximum_bytes or dynamic_memory_enabled";
    let (place, value) = text.split_once(['=', ' ']).ok_or(FORM)?;
    let (vm, key) = place.trim().rsplit_once('.').ok_or(FORM)?;
    let value = value.trim();
    let number = |least: u32, most: u32| {
        let number = value.parse::<u32>().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("{key} is a whole number from {least} to {most}, not {value:?}"))
    };
    let size = || {
        quantities::parse_size(value).map_err(|error| format!("{key} is {}: {error}", quantities::SIZE_FORM))
    };
    let mut said = Said::default();
    match key {
        "priority" => said.priority = Some(number(0, 100)?),
        "buffer" => said.buffer = Some(number(5, 2000)?),
        "minimum_bytes" => said.minimum = Some(size()?),
        "maximum_bytes" => said.maximum = Some(size()?),
        "dynamic_memory_enabled" => {
            said.on = Some(value.parse().map_err(|_wrong| format!("{key} is true or false, not {value:?}"))?);
        }
        _ => return Err(FORM.to_owned()),
    }
    Ok((vm.to_owned(), said))
}

/// Asks a daemon.
///
/// # Errors
/// Nobody listens; or what the daemon answers instead.
pub fn ask(place: &Path, question: &str) -> Result<String> {
    let stream = UnixStream::connect(place).map_err(|error| {
        let what = not_reached(place, &error);
        anyhow::Error::new(error).context(what)
    })?;
    stream.set_read_timeout(Some(PATIENCE * 5))?;
    (&stream).write_all(question.replace('\n', " ").as_bytes())?;
    (&stream).write_all(b"\n")?;
    let mut answer = String::new();
    (&stream).read_to_string(&mut answer)?;
    match answer.split_once('\n') {
        Some(("ok", text)) => Ok(text.to_owned()),
        Some(("error", text)) => bail!("{}", text.trim_end()),
        _ => bail!("what listens at {} is no dynmemd", place.display()),
    }
}

/// Why the daemon's socket cannot be reached, and what to do.
fn not_reached(place: &Path, error: &io::Error) -> String {
    let place = place.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("this user may not ask the dynmemd at {place}: root may (sudo), and the socket's group")
        }
        _ => format!("no dynmemd listens at {place}; --socket names another place"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_ask_hears_who_may() {
        let place = Path::new("/run/dynmemd/control");
        let denied = not_reached(place, &io::ErrorKind::PermissionDenied.into());
        assert!(denied.contains("this user may not") && denied.contains("sudo"), "{denied}");
        let nobody = not_reached(place, &io::ErrorKind::NotFound.into());
        assert!(nobody.starts_with("no dynmemd listens at /run/dynmemd/control"), "{nobody}");
    }

    #[test]
    fn settings_are_read_as_they_are_typed() {
        let said = setting("web.priority 80").unwrap();
        assert_eq!(said, ("web".to_owned(), Said { priority: Some(80), ..Said::default() }));
        // A name may have dots.
        assert_eq!(setting("a.b.minimum_bytes=512MB").unwrap().0, "a.b");
        for wrong in [
            "web",
            "web.priority",
            "web.priority 101",
            "web.colour red",
            "web.minimum_bytes 512",
            "web.buffer -1",
        ] {
            assert!(setting(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn whoever_asks_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("control");
        let change = |change| match change {
            Change::Pause(true) => Ok("paused\n".to_owned()),
            other => Err(format!("{other:?}")),
        };
        let shared = Shared { look: Box::new(|| None), dry_run: false, change: Box::new(change) };
        let control = Control::open(&place, Arc::new(shared)).unwrap();
        assert_eq!(ask(&place, "pause").unwrap(), "paused\n");
        assert!(ask(&place, "status").unwrap_err().to_string().contains("only just begun"));
        assert!(ask(&place, "stats").unwrap_err().to_string().contains("did you mean \"status\"?"));
        assert_eq!(ask(&place, "reload").unwrap_err().to_string(), "Reload");
        drop(control);
        assert!(ask(&place, "pause").unwrap_err().to_string().contains("no dynmemd listens"));
    }
}
