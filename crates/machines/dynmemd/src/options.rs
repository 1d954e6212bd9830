//! What the daemon is told on its command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use page_range::PageCount;

fn size(text: &str) -> Result<PageCount, String> {
    quantities::parse_size(text).map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    quantities::parse_duration(text).map_err(|error| error.to_string())
}

/// The command line. What it says comes before what the file says.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Options {
    /// A QMP socket, or a pattern such as '/run/vms/*.qmp'; may be given several times. A VM gets one with
    /// `-qmp unix:/run/vms/NAME.qmp,server=on,wait=off`
    #[arg(long, value_name = "PATTERN")]
    pub qmp: Vec<String>,
    /// All domains of a libvirt, such as qemu:///system, by its program virsh
    #[arg(long, value_name = "URI")]
    pub libvirt: Option<String>,
    /// Move nothing, and say once a minute what would be done and why. Guests are asked for statistics
    #[arg(long)]
    pub dry_run: bool,
    /// A file with all of this, and with settings of VMs; read again at SIGHUP
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The balancing policy; default: hyperv
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// Memory of the host that its VMs may have together, with the reserve; default: all of it
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory: Option<PageCount>,
    /// Memory that stays with the host; default: 384 MB and 30 MB for each GB of the host
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub reserve: Option<PageCount>,
    /// How often the state of all VMs is printed; 0s: never
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    pub every: Duration,
    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub for_time: Option<Duration>,
    /// Leave records in this folder, to study as runs are: `cargo xtask events`, `explain`, `report`
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
    /// Serve the counters to Prometheus at http://ADDRESS:PORT/metrics
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub metrics: Option<SocketAddr>,
    /// The socket of dynmemctl
    #[arg(long, value_name = "SOCKET")]
    pub control: Option<PathBuf>,
    /// Print what happens to standard error, such as info, or debug for the traffic of every second
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
}
