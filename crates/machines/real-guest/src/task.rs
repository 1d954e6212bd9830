//! What is done with guests, as arguments of a command line: the same whether it happens in this process or inside the emulated
//! machine.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use balancing_policy::MemorySettings;
use clap::{Args, Subcommand, ValueEnum};
use kvm_partition::Backing;
use page_range::PageCount;
use run_journal::EVENTS_FILE;
use scenario::run::{COUNTERS_FILE, story};

use crate::contention::Contention;
use crate::guest_disks::{Brought, DiskOption, GuestDisks};
use crate::interactive::{self, Interactive};
use crate::pieces::Pieces;
use crate::record::{self, Part};
use crate::{speed, validation};

/// What guest RAM is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum BackingName {
    /// Anonymous memory, given back with MADV_DONTNEED
    #[default]
    Anonymous,
    /// A file without a name, given back by punching holes
    Memfd,
}

impl From<BackingName> for Backing {
    fn from(name: BackingName) -> Self {
        match name {
            BackingName::Anonymous => Self::Anonymous,
            BackingName::Memfd => Self::Memfd,
        }
    }
}

impl BackingName {
    fn word(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Memfd => "memfd",
        }
    }
}

/// One guest to watch.
#[derive(Args, Clone, Debug)]
pub struct GuestTask {
    /// Memory that the guest boots with (a multiple of 128 MB)
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "512MB")]
    startup: PageCount,
    /// Least memory that it is left
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "128MB")]
    minimum: PageCount,
    /// Most memory that it gets
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "1280MB")]
    maximum: PageCount,
    /// Memory buffer, percent
    #[arg(long, value_name = "PERCENT", default_value_t = MemorySettings::DEFAULT_BUFFER)]
    buffer: u32,
    /// Virtual processors
    #[arg(long, value_name = "N", default_value_t = 1)]
    vcpus: u32,
    /// What its RAM is made of
    #[arg(long, value_enum, default_value_t)]
    memory: BackingName,
    /// Offer the guest to report free pages, which then leave this computer's memory without a balloon
    #[arg(long)]
    page_reporting: bool,
    /// Further words for its kernel's command line, separated by commas
    #[arg(long, value_name = "WORDS")]
    append: Option<String>,
    /// Virtual hard disk (VHD) on its SCSI controller; FILE,ro: the guest may not write it; FILE,spare: at hand for `plug FILE`. May be repeated
    #[arg(long = "disk", value_name = "FILE[,ro][,spare]")]
    disks: Vec<DiskOption>,
    /// Run the guest from this VHD, which is made if it is not there
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// Log to standard error: a level, or filters such as `warn,dm_vsp=debug`
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Show the guest's console as the guest sends it: it can clear the screen, or write the clipboard
    #[arg(long)]
    raw_console: bool,
    /// End when standard input does
    #[arg(long)]
    until_input_ends: bool,
    /// When the guest has ended, write all VMBus messages and packets that crossed, in both directions, to this file, for Wireshark with
    /// crates/study/trace-export/wireshark/vmbus.lua
    #[arg(long, value_name = "FILE.pcapng")]
    pub capture: Option<PathBuf>,
    /// Keep what the run leaves behind; whoever starts the program says where
    #[arg(long, hide = true)]
    pub keep: bool,
}

/// Several guests that contend.
#[derive(Args, Clone, Debug)]
pub struct ContentionTask {
    /// Guests
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub guests: usize,
    /// Memory of the host in all
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "1456MB")]
    pub host: PageCount,
    /// Balancing policy
    #[arg(long, value_name = "POLICY", default_value = "hyperv")]
    pub policy: String,
    /// What guest RAM is made of
    #[arg(long, value_enum, default_value_t)]
    pub memory: BackingName,
    /// Log to standard error: a level, or filters such as `warn,dm_vsp=debug`
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
}

/// What to do with guests.
#[derive(Clone, Debug, Subcommand)]
pub enum Task {
    /// Boot one guest, show its console, and take commands
    Guest(GuestTask),
    /// Look at everything that must be seen, and leave `record.json`
    Record {
        /// Only these parts
        #[arg(long, value_enum, value_delimiter = ',')]
        only: Vec<Part>,
        /// Leave out what cannot be looked at here; of all parts this is so unless they are named
        #[arg(long, hide = true)]
        where_possible: bool,
        /// Folder with the disks of the part `disks`; whoever starts the program makes them
        #[arg(long, hide = true)]
        disks: Option<PathBuf>,
        /// Folder with the kernels of the part `kernels`; whoever starts the program makes it
        #[arg(long, hide = true)]
        kernels: Option<PathBuf>,
    },
    /// Let several guests contend for a small host's memory
    Contention(ContentionTask),
    /// Run loads that simulated guests run as well, and leave the curves of each
    Validate {
        /// Only these loads
        #[arg(value_name = "LOAD")]
        loads: Vec<String>,
    },
    /// Measure how fast memory moves, and leave `speed.json`
    Speed {
        /// How often each figure is measured
        #[arg(long, value_name = "N", default_value_t = 3)]
        repeat: usize,
        /// Folder with what it takes to measure storage; whoever starts the program makes it
        #[arg(long, hide = true)]
        storage: Option<PathBuf>,
    },
}

/// A task in an emulated machine.
#[derive(Debug)]
pub struct Moved {
    /// What is done there.
    pub task: Task,
    /// What it needs: paths below the folder that was named, and where the files are here.
    pub files: Vec<(String, PathBuf)>,
    /// The disks among them; those that a guest may write come back.
    pub brought: Vec<Brought>,
}

/// Where further kernels are inside the emulated machine.
const KERNELS: &str = "kernels";

/// All files below a folder, with their paths below `name`.
fn below(folder: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) -> std::io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            below(&entry.path(), &name, files)?;
        } else {
            files.push((name, entry.path()));
        }
    }
    Ok(())
}

/// Reads a size such as `512MB`.
///
/// # Errors
/// What a size looks like.
pub fn size(text: &str) -> Result<PageCount, String> {
    interactive::size(text).ok_or_else(|| "a size looks like 320MB or 1GB".to_owned())
}

impl Task {
    /// Does it in this process. What it leaves goes to `directory`.
    ///
    /// # Errors
    /// What went wrong.
    pub fn run(&self, pieces: &Pieces, directory: &Path) -> Result<()> {
        match self {
            Self::Guest(task) => {
                let mut interactive = task.interactive()?;
                interactive.directory = task.keep.then(|| directory.to_owned());
                interactive.run(pieces)
            }
            Self::Record { only, where_possible, disks, kernels } => {
                let chosen = record::Chosen { parts: only, where_possible: *where_possible };
                let record = record::make(pieces, chosen, directory, disks.as_deref(), kernels.as_deref())?;
                record.write(directory)?;
                if !record.passed() {
                    bail!("not everything is as it must be: see {RECORD_FILE}");
                }
                Ok(())
            }
            Self::Speed { repeat, storage } => {
                let measured = speed::measure(pieces, *repeat, storage.as_deref(), directory)?;
                let _closed = write!(terminal_text::Escaped::new(std::io::stdout()), "{measured}");
                std::fs::write(directory.join(SPEED_FILE), serde_json::to_string_pretty(&measured)?)?;
                Ok(())
            }
            Self::Validate { loads } => {
                for load in validation::chosen(loads)? {
                    let _closed = writeln!(std::io::stdout(), "load {}: {}", load.name, load.what);
                    validation::run(pieces, load, directory)?;
                }
                Ok(())
            }
            Self::Contention(task) => {
                let (plan, outcome) = task.contention(directory.to_owned()).run(pieces)?;
                let title = "real guests, one host, not enough memory for all";
                let told = story::tell(
                    title,
                    &plan,
                    &outcome.summary,
                    &outcome.points,
                    terminal_text::Look::default(),
                );
                let _closed = writeln!(terminal_text::Escaped::new(std::io::stdout()), "{told}");
                Ok(())
            }
        }
    }

    /// Whether what was typed can be done at all: before anything is started.
    ///
    /// # Errors
    /// What is wrong, and what is possible.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Guest(task) => task.interactive()?.disks.check(),
            Self::Contention(task) if task.guests == 0 => bail!("--guests is 0: at least one is needed"),
            Self::Speed { repeat, .. } if !(1..=100).contains(repeat) => {
                bail!("--repeat is {repeat}: 1 to 100 are possible")
            }
            Self::Validate { loads } => validation::chosen(loads).map(|_| ()),
            Self::Record { .. } | Self::Contention(_) | Self::Speed { .. } => Ok(()),
        }
    }

    /// Longest time that it may take, if it ends by itself: several times what was ever seen, since the computer may be busy.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        match self {
            Self::Guest(_) => None,
            Self::Record { .. } => Some(Duration::from_secs(900)),
            Self::Contention(task) => {
                Some(Duration::from_secs(600) + task.contention(PathBuf::new()).length())
            }
            Self::Validate { .. } => Some(Duration::from_secs(1200)),
            Self::Speed { repeat, .. } => Some(Duration::from_secs(600 + 120 * *repeat as u64)),
        }
    }

    /// The same as arguments of the program inside the emulated machine.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut say = |word: &str| words.push(word.to_owned());
        match self {
            Self::Guest(task) => {
                say("guest");
                say(&format!("--startup={}", task.startup.whole_mib()));
                say(&format!("--minimum={}", task.minimum.whole_mib()));
                say(&format!("--maximum={}", task.maximum.whole_mib()));
                say(&format!("--buffer={}", task.buffer));
                say(&format!("--vcpus={}", task.vcpus));
                say(&format!("--memory={}", task.memory.word()));
                if task.page_reporting {
                    say("--page-reporting");
                }
                if let Some(append) = &task.append {
                    say(&format!("--append={append}"));
                }
                if let Some(root) = &task.root {
                    say(&format!("--root={}", root.display()));
                }
                for disk in &task.disks {
                    say(&format!("--disk={disk}"));
                }
                if let Some(log) = &task.log {
                    say(&format!("--log={log}"));
                }
                if task.raw_console {
                    say("--raw-console");
                }
                if task.until_input_ends {
                    say("--until-input-ends");
                }
                // The capture is made of what is kept, outside.
                if task.keep {
                    say("--keep");
                }
            }
            Self::Record { only, where_possible, disks, kernels } => {
                say("record");
                if *where_possible {
                    say("--where-possible");
                }
                if let Some(disks) = disks {
                    say(&format!("--disks={}", disks.display()));
                }
                if let Some(kernels) = kernels {
                    say(&format!("--kernels={}", kernels.display()));
                }
                for part in only {
                    if let Some(name) = part.to_possible_value() {
                        say(&format!("--only={}", name.get_name()));
                    }
                }
            }
            Self::Speed { repeat, storage } => {
                say("speed");
                say(&format!("--repeat={repeat}"));
                if let Some(folder) = storage {
                    say(&format!("--storage={}", folder.display()));
                }
            }
            Self::Validate { loads } => {
                say("validate");
                loads.iter().for_each(|load| say(load));
            }
            Self::Contention(task) => {
                say("contention");
                say(&format!("--guests={}", task.guests));
                say(&format!("--host={}", task.host.whole_mib()));
                say(&format!("--policy={}", task.policy));
                say(&format!("--memory={}", task.memory.word()));
                if let Some(log) = &task.log {
                    say(&format!("--log={log}"));
                }
            }
        }
        words
    }

    /// The same task with the files that it needs in the folder `there`, and these files.
    ///
    /// # Errors
    /// If the folder in which they are cannot be read, or a disk cannot be taken along.
    pub fn with_files_in(&self, there: &str) -> Result<Moved> {
        let mut task = self.clone();
        let mut files = Vec::new();
        let mut brought = Vec::new();
        if let Self::Guest(task) = &mut task {
            let moved;
            (moved, brought) = task.guest_disks().inside(there)?;
            (task.root, task.disks) = (moved.root, moved.others);
            files.extend(brought.iter().map(|disk| (disk.name.clone(), disk.path.clone())));
        }
        if let Self::Record { disks: Some(folder), .. } | Self::Speed { storage: Some(folder), .. } =
            &mut task
        {
            for entry in std::fs::read_dir(&*folder)? {
                let entry = entry?;
                files.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
            }
            files.sort();
            *folder = there.into();
        }
        if let Self::Record { kernels: Some(folder), .. } = &mut task {
            below(folder, KERNELS, &mut files)?;
            *folder = Path::new(there).join(KERNELS);
        }
        Ok(Moved { task, files, brought })
    }

    /// What it writes while it goes on, for whoever follows it.
    #[must_use]
    pub fn streams(&self) -> &'static [&'static str] {
        match self {
            Self::Guest(GuestTask { keep: true, .. }) | Self::Contention(_) => &[EVENTS_FILE, COUNTERS_FILE],
            Self::Guest(_) | Self::Record { .. } | Self::Speed { .. } | Self::Validate { .. } => &[],
        }
    }

    /// Memory of the emulated machine that it needs, MiB: the guests' at most, and half a GiB for its own kernel, the files in
    /// its memory, and this program.
    #[must_use]
    pub fn emulated_memory_mib(&self) -> u64 {
        const OWN: u64 = 512;
        OWN + match self {
            Self::Guest(task) => task.maximum.whole_mib() + 256 + task.guest_disks().memory_mib(),
            // One guest at a time, of 1280 MiB at most; while it is reset its memory is there twice for a moment.
            Self::Record { .. } | Self::Speed { .. } | Self::Validate { .. } => 2560,
            Self::Contention(task) => task.host.whole_mib(),
        }
    }
}

pub use record::RECORD_FILE;
/// What was measured.
pub const SPEED_FILE: &str = "speed.json";

impl GuestTask {
    /// The disks that were named.
    #[must_use]
    pub fn guest_disks(&self) -> GuestDisks {
        GuestDisks { root: self.root.clone(), others: self.disks.clone() }
    }

    fn interactive(&self) -> Result<Interactive> {
        let settings = MemorySettings::dynamic(self.startup, self.maximum)
            .with_minimum(self.minimum)
            .with_buffer(self.buffer);
        settings.validate()?;
        if !(1..=kvm_partition::MAX_VPS).contains(&self.vcpus) {
            bail!("--vcpus is {}: 1 to {} are possible", self.vcpus, kvm_partition::MAX_VPS);
        }
        let block = PageCount::from_mib(128);
        if self.startup < block || !self.startup.get().is_multiple_of(block.get()) {
            bail!(
                "--startup is {}: it must be a multiple of 128 MB, the memory blocks of a Linux guest",
                self.startup
            );
        }
        Ok(Interactive {
            settings,
            vps: self.vcpus,
            backing: self.memory.into(),
            page_reporting: self.page_reporting,
            kernel_words: self.append.as_deref().unwrap_or_default().replace(',', " "),
            disks: self.guest_disks(),
            log: self.log.clone(),
            raw_console: self.raw_console,
            directory: None,
            end_with_input: self.until_input_ends,
        })
    }
}

impl ContentionTask {
    /// As the scenario takes it.
    #[must_use]
    pub fn contention(&self, directory: PathBuf) -> Contention {
        Contention {
            guests: self.guests,
            host_mib: self.host.whole_mib(),
            policy: self.policy.clone(),
            backing: self.memory.into(),
            log: self.log.clone(),
            directory,
            ..Contention::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        task: Task,
    }

    #[test]
    fn what_goes_into_the_emulated_machine_is_what_was_typed() {
        for typed in [
            "x guest --startup 256MB --maximum 1GB --vcpus 2 --memory memfd --page-reporting --append a=1,b --raw-console --keep",
            "x guest --root r.vhd --disk a.vhd,ro --disk b.vhd,spare",
            "x record --only life,trouble",
            "x record --only disks --disks /files",
            "x record --kernels /files/kernels",
            "x contention --guests 3 --host 2GB --policy static",
            "x speed --repeat 5",
            "x speed --repeat 5 --storage /files",
            "x validate ramp waves",
        ] {
            let line = Line::parse_from(typed.split(' '));
            let again = Line::parse_from(std::iter::once("x".to_owned()).chain(line.task.words()));
            assert_eq!(format!("{:?}", again.task), format!("{:?}", line.task));
        }
        assert!(Line::try_parse_from(["x", "guest", "--startup", "much"]).is_err());
        for wrong in [
            "x guest --startup 300MB",
            "x guest --vcpus 0",
            "x guest --minimum 2GB",
            "x contention --guests 0",
            "x speed --repeat 0",
            "x validate ramps",
            "x guest --disk /nowhere/a.vhd",
        ] {
            assert!(Line::parse_from(wrong.split(' ')).task.check().is_err(), "{wrong}");
        }
    }
}
