//! The daemon put together.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, bail};
use component_runtime::{ClockMode, Driver, EndReason, RunConfig, Runtime, SimTime};
use memory_balancer::BalancerConfig;
use page_range::PageCount;
use qemu_host::link::UnixSockets;
use qemu_host::{QemuHost, QemuHostConfig, Rules, Snapshot, VmRules};

use crate::options::Options;
use crate::surroundings::{ThisHost, read_memory};
use crate::tell;

/// What the command line says of VMs and host.
#[derive(Debug)]
struct FromOptions {
    reserve: Option<PageCount>,
}

impl Rules for FromOptions {
    fn vm(&self, _name: &str) -> VmRules {
        VmRules::default()
    }

    fn reserve(&self, total: PageCount) -> PageCount {
        self.reserve.unwrap_or_else(|| BalancerConfig::default_reserve(total))
    }
}

/// Runs until it is told to end.
///
/// # Errors
/// What is wrong with what it was given, or with this host.
pub fn run(options: Options) -> Result<ExitCode> {
    for pattern in &options.qmp {
        glob::Pattern::new(pattern).map_err(|error| anyhow!("--qmp {pattern}: {error}"))?;
    }
    let memory = match options.memory {
        Some(memory) => memory,
        None => {
            read_memory()
                .context("/proc/meminfo does not say how much memory this host has: use --memory")?
                .total
        }
    };
    let rules = Arc::new(FromOptions { reserve: options.reserve });
    if rules.reserve(memory) >= memory {
        bail!(
            "the reserve ({} MB) leaves nothing of the {} MB for VMs",
            rules.reserve(memory).whole_mib(),
            memory.whole_mib()
        );
    }
    let name = options.policy.as_deref().unwrap_or(policy_catalogue::POLICIES[0].name);
    let policy = policy_catalogue::make(name, &toml::Table::new())?;
    if policy.foresees() {
        bail!("the policy {name:?} has to be told the future, which nobody knows of real VMs");
    }
    let (dry_run, every) = (options.dry_run, options.every);
    let mut next = Duration::ZERO;
    let watch = move |snapshot: &Snapshot| {
        // The first after some seconds, when VMs are found and guests have reported.
        if !every.is_zero() && snapshot.now >= next.max(Duration::from_secs(5)) {
            next = snapshot.now + every;
            print!("{}", tell::state(snapshot, dry_run));
        }
    };
    let sockets = UnixSockets::new().context("cannot wait for sockets")?;
    let config = QemuHostConfig {
        memory,
        dry_run,
        began: now(),
        balancer: QemuHostConfig::balancer_for(memory),
        policy,
        rules,
        connect: Arc::new(sockets),
        surroundings: Box::new(ThisHost { patterns: options.qmp.clone(), watch: Box::new(watch) }),
    };
    let mut runtime = Runtime::new(RunConfig {
        driver: Driver::Threads,
        clock: ClockMode::Wall { speed: 1.0 },
        until: options.for_time.map_or(SimTime::MAX, SimTime::from),
        ..RunConfig::default()
    })?;
    let _host = QemuHost::build(&mut runtime, config);
    let stop = runtime.stop_handle();
    ctrlc::set_handler(move || stop.stop()).context("cannot wait for signals")?;
    let end = runtime.run();
    match end.reason {
        EndReason::Interrupted | EndReason::Until => Ok(ExitCode::SUCCESS),
        reason => Err(anyhow!("{reason}")),
    }
}

/// Time since 1970.
#[expect(clippy::disallowed_methods, reason = "QEMU stamps what guests report with the host's clock")]
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
