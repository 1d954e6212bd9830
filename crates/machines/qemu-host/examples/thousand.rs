//! A host of many VMs, with QEMUs that are none: what a second of it costs, and what a round of the balancer does.
//!
//! ```text
//! cargo run --release -p qemu-host --features test-support --example thousand -- [VMS] [SECONDS]
//! ```
//! Virtual time, one thread: processor time is that of all of it. What the QEMUs take to answer is in it too, so the daemon takes less.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use balancing_policy::PageCount;
use component_runtime::{Driver, RunConfig, Runtime, SimTime};
use memory_balancer::Input;
use qemu_host::pressure::HostMemoryState;
use qemu_host::test_support::{FakeQemu, FakeQemus, Knobs, peer};
use qemu_host::{NoRules, Place, QemuHost, QemuHostConfig, Surroundings};

struct Virtual(FakeQemus);

impl Surroundings for Virtual {
    fn places(&mut self) -> Option<Vec<Place>> {
        Some(self.0.places())
    }

    fn memory(&mut self) -> Option<HostMemoryState> {
        None
    }
}

#[expect(clippy::disallowed_methods, reason = "measures the daemon, not a run")]
fn clock() -> Instant {
    Instant::now()
}

/// Memory of this process, MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// A run with nothing but QEMUs in it.
fn qemus(vms: u64, seconds: u64) -> Result<(Runtime, FakeQemus), component_runtime::ConfigError> {
    let config = RunConfig { until: SimTime::from_secs(seconds), ..RunConfig::virtual_time(Driver::Inline) };
    let mut runtime = Runtime::new(config)?;
    let qemus = FakeQemus::default();
    for vm in 0..vms {
        // Half of them want more than an even share.
        let used = (if vm % 2 == 0 { 700 } else { 100 }) << 20;
        peer(&mut runtime, &qemus, FakeQemu::new(Knobs { used, ..Knobs::new(&format!("vm{vm:04}"), 1024) }));
    }
    Ok((runtime, qemus))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let vms: u64 = args.next().map_or(Ok(1000), |vms| vms.parse())?;
    let seconds: u64 = args.next().map_or(Ok(60), |seconds| seconds.parse())?;
    // The QEMUs alone, whose guests move twenty times a second.
    let (alone, _) = qemus(vms, seconds)?;
    let began = clock();
    let _end = alone.run();
    let others = began.elapsed();
    let (mut runtime, qemus) = qemus(vms, seconds)?;
    let before = resident();
    let memory = PageCount::from_mib(vms * 600 + 1024);
    let host = QemuHost::build(
        &mut runtime,
        QemuHostConfig {
            memory,
            dry_run: false,
            began: FakeQemus::BEGAN,
            balancer: QemuHostConfig::balancer_for(memory),
            policy: policy_catalogue::make("hyperv", &toml::Table::new())?,
            rules: Arc::new(NoRules),
            connect: Arc::new(qemus.clone()),
            surroundings: Box::new(Virtual(qemus)),
        },
    );
    let began = clock();
    let end = runtime.run();
    let took = began.elapsed();
    println!("{vms} VMs, {seconds} s of virtual time: {took:.2?}, {} wakes", end.wakes);
    let percent = |time: Duration| time.as_secs_f64() / seconds as f64 * 100.0;
    println!(
        "a second: {:.2} % of one processor, of which {:.2} for QEMUs that nobody asks anything",
        percent(took),
        percent(others)
    );
    println!("memory: {} MB more than before", resident().saturating_sub(before));
    // Rounds alone, of the engine as the run has left it.
    let mut engine = host.balancer.look();
    let mut out = Vec::new();
    let mut now = Duration::from(end.time);
    let (mut rounds, began) = (0_u32, clock());
    while rounds < 200 {
        now += Duration::from_secs(1);
        engine.handle(now, Input::Timer, &mut out);
        out.clear();
        rounds += 1;
    }
    println!("a round of the balancer: {:.3?}", began.elapsed() / rounds);
    Ok(())
}
