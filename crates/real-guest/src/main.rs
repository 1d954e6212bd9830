//! The program that runs guests, on this computer's KVM or inside the emulated machine.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use balancing_policy::MemorySettings;
use clap::{Parser, Subcommand};
use page_range::PageCount;
use real_guest::host::{GuestConfig, RealHost, RealHostConfig};
use real_guest::manual::Keep;
use real_guest::pieces::Pieces;
use real_guest::record::{self, Part};

/// Unmodified Linux guests under this project's VMBus, DM VSP and balancer.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Kernel image.
    #[arg(long, global = true)]
    kernel: Option<PathBuf>,
    /// Folder of its modules.
    #[arg(long, global = true)]
    modules: Option<PathBuf>,
    /// A static busybox.
    #[arg(long, global = true)]
    busybox: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Boot one guest and show its console.
    Boot,
    /// Look at everything that must be seen, and leave `record.json`.
    Record {
        /// Only these parts.
        #[arg(long, value_enum, value_delimiter = ',')]
        only: Vec<Part>,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let (Some(kernel), Some(modules), Some(busybox)) =
        (arguments.kernel, arguments.modules, arguments.busybox)
    else {
        bail!("--kernel, --modules and --busybox are needed");
    };
    let pieces = Pieces { kernel, modules, busybox, qemu: None };
    match arguments.what {
        What::Record { only } => {
            let record = record::make(&pieces, &only)?;
            std::fs::write("record.json", serde_json::to_string_pretty(&record)?)?;
            if !record.passed() {
                bail!("not everything is as it must be");
            }
        }
        What::Boot => {
            let settings = MemorySettings::dynamic(PageCount::from_mib(512), PageCount::from_mib(1024))
                .with_minimum(PageCount::from_mib(128));
            let mut config = RealHostConfig::new(
                PageCount::from_mib(2048),
                vec![GuestConfig::new("VM1", settings)],
                Box::new(Keep),
            );
            config.log = Some("debug".to_owned());
            let host = RealHost::start(&pieces, config)?;
            host.guests[0].voice().show(Box::new(|line| {
                let _ = writeln!(std::io::stderr(), "| {line}");
            }));
            let ready = host.guests[0].voice().wait_for("ready", Duration::from_secs(100));
            let _ = writeln!(std::io::stderr(), "ready: {ready:?}");
            host.guests[0].command("dmesg Hyper|hv_|Max");
            let mut line = String::new();
            while line != "d." {
                let Some(next) = host.guests[0].voice().wait_for("d", Duration::from_secs(10)) else { break };
                line = next;
                let _ = writeln!(std::io::stderr(), "{line}");
            }
            std::thread::park_timeout(Duration::from_secs(3));
            let _ = writeln!(std::io::stderr(), "exits {:?}", host.guests[0].exits());
            host.end()?;
        }
    }
    Ok(())
}
