//! The command lines of both programs: for the programs, and for their manual pages.

use std::path::PathBuf;

use crate::control::USUAL_PLACE;
use crate::options::Options;

/// Moves memory between the QEMU guests of this host, as Hyper-V's Dynamic Memory does.
///
/// The daemon asks each guest what it needs, through its balloon device, and gives memory to those that lack it out of what others can spare. VMs
/// that are started or ended are followed. When the daemon ends, every VM keeps what it has.
#[derive(clap::Parser, Debug)]
#[command(name = "dynmemd", version)]
#[command(
    after_help = "Exit codes: 0 ended by a signal, or after --for; 2 what was given is wrong, or the host lacks something. \
                        SIGHUP: the file of --config is read again."
)]
pub struct Dynmemd {
    /// All of it.
    #[command(flatten)]
    pub options: Options,
}

/// Looks at a running dynmemd, and tells it things.
#[derive(clap::Parser, Debug)]
#[command(name = "dynmemctl", version)]
pub struct Dynmemctl {
    /// Where the daemon listens
    #[arg(long, value_name = "SOCKET", default_value = USUAL_PLACE)]
    pub socket: PathBuf,
    /// What is asked.
    #[command(subcommand)]
    pub command: Ask,
}

/// What is asked of the daemon.
#[derive(clap::Subcommand, Debug)]
pub enum Ask {
    /// What every VM has and is to have, and why
    Status,
    /// All about one VM
    Explain {
        /// Its name
        vm: String,
    },
    /// Change a setting until the daemon ends: `set web.priority 80`
    Set {
        /// VM.KEY, where KEY is priority, buffer, minimum_bytes, maximum_bytes or dynamic_memory_enabled
        setting: String,
        /// The value
        value: String,
    },
    /// Move nothing from now on
    Pause,
    /// Move memory again
    Resume,
    /// Read the daemon's file again
    Reload,
}

impl Ask {
    /// As a line for the control socket.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Self::Status => "status".to_owned(),
            Self::Explain { vm } => format!("explain {vm}"),
            Self::Set { setting, value } => format!("set {setting} {value}"),
            Self::Pause => "pause".to_owned(),
            Self::Resume => "resume".to_owned(),
            Self::Reload => "reload".to_owned(),
        }
    }
}
