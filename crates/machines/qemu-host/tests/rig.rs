//! A host in virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use balancing_policy::PageCount;
use component_runtime::{Driver, NextWake, RunConfig, Runtime, SimTime, from_fn};
use memory_balancer::Input;
use qemu_host::pressure::HostMemoryState;
use qemu_host::test_support::{FakeQemu, FakeQemus, Knobs, peer};
use qemu_host::{Place, QemuHost, QemuHostConfig, Rules, Snapshot, Surroundings, VmRules};

pub(crate) const fn mib(mib: u64) -> PageCount {
    PageCount::from_mib(mib)
}

/// Everything at one moment, and what the QEMUs could give their guests together then.
pub(crate) struct Moment {
    pub(crate) snapshot: Snapshot,
    pub(crate) may_have: PageCount,
}

impl Moment {
    pub(crate) fn has(&self, name: &str) -> u64 {
        let vm = self.snapshot.vms.iter().find(|vm| &*vm.name == name);
        vm.unwrap_or_else(|| panic!("no {name} at {:?}", self.snapshot.now)).seen.actual.whole_mib()
    }

    pub(crate) fn held(&self, name: &str) -> Option<String> {
        self.snapshot
            .vms
            .iter()
            .find(|vm| &*vm.name == name)
            .and_then(|vm| vm.seen.held.as_deref().map(str::to_owned))
    }

    pub(crate) fn assigned(&self, name: &str) -> Option<u64> {
        let vm = self.snapshot.vms.iter().find(|vm| &*vm.name == name)?;
        Some(vm.assigned?.whole_mib())
    }
}

type Script = Vec<(u64, Box<dyn FnMut(&FakeQemus) + Send>)>;

#[derive(Debug)]
struct TestRules {
    reserve: PageCount,
    vm: fn(&str) -> VmRules,
}

impl Rules for TestRules {
    fn vm(&self, name: &str) -> VmRules {
        (self.vm)(name)
    }

    fn reserve(&self, _total: PageCount) -> PageCount {
        self.reserve
    }
}

pub(crate) struct Rig {
    pub(crate) budget: PageCount,
    pub(crate) reserve: PageCount,
    pub(crate) policy: &'static str,
    pub(crate) dry_run: bool,
    pub(crate) rules: fn(&str) -> VmRules,
    pub(crate) seconds: u64,
    pub(crate) vms: Vec<Knobs>,
    /// As QEMUs are when the run begins, in place of `vms`.
    pub(crate) qemus: Vec<FakeQemu>,
    pub(crate) script: Script,
    pub(crate) host: fn(Duration) -> Option<HostMemoryState>,
}

impl Rig {
    pub(crate) fn new(budget_mib: u64, seconds: u64, vms: Vec<Knobs>) -> Self {
        Self {
            budget: mib(budget_mib),
            reserve: mib(64),
            policy: "hyperv",
            dry_run: false,
            rules: |_| VmRules { minimum: Some(mib(64)), ..VmRules::default() },
            seconds,
            vms,
            qemus: Vec::new(),
            script: Vec::new(),
            host: |_| None,
        }
    }

    pub(crate) fn at(mut self, second: u64, act: impl FnMut(&FakeQemus) + Send + 'static) -> Self {
        self.script.push((second, Box::new(act)));
        self
    }

    /// Runs, and returns a moment for each second, and the QEMUs as they were left.
    pub(crate) fn run(mut self) -> (Vec<Moment>, FakeQemus) {
        let config =
            RunConfig { until: SimTime::from_secs(self.seconds), ..RunConfig::virtual_time(Driver::Inline) };
        let mut runtime = Runtime::new(config).unwrap();
        let qemus = FakeQemus::default();
        for qemu in self.vms.drain(..).map(FakeQemu::new).chain(self.qemus.drain(..)) {
            peer(&mut runtime, &qemus, qemu);
        }
        let moments = Arc::new(Mutex::new(Vec::new()));
        let total = self.budget + self.reserve;
        let host = QemuHost::build(
            &mut runtime,
            QemuHostConfig {
                memory: total,
                dry_run: self.dry_run,
                began: FakeQemus::BEGAN,
                balancer: QemuHostConfig::balancer_for(total),
                policy: policy_catalogue::make(self.policy, &toml::Table::new()).unwrap(),
                rules: Arc::new(TestRules { reserve: self.reserve, vm: self.rules }),
                connect: Arc::new(qemus.clone()),
                surroundings: Box::new(Virtual {
                    qemus: qemus.clone(),
                    moments: Arc::clone(&moments),
                    host: self.host,
                    now: Duration::ZERO,
                }),
            },
        );
        let mut script = self.script;
        script.sort_by_key(|(second, _)| *second);
        script.reverse();
        let turned = qemus.clone();
        runtime.seat("script", None).start(from_fn(move |now, _, _| {
            while script.last().is_some_and(|(second, _)| SimTime::from_secs(*second) <= now) {
                if let Some((_, mut act)) = script.pop() {
                    act(&turned);
                }
            }
            script.last().map_or(NextWake::Idle, |(second, _)| NextWake::At(SimTime::from_secs(*second)))
        }));
        let end = runtime.run();
        assert_eq!(end.panics, [], "{:?}", end.reason);
        // Whatever happened, all frames are home.
        let mut engine = host.balancer.look();
        let mut out = Vec::new();
        let now: Duration = end.time.into();
        let running: Vec<_> = engine.vms().iter().map(|view| view.id).collect();
        for vm in running {
            engine.handle(now, Input::VmStopped { vm }, &mut out);
        }
        out.clear();
        engine.handle(now, Input::FramesHome(host.memory.collect()), &mut out);
        let ledger = engine.ledger();
        assert!(engine.books_in_order(), "{ledger:?}");
        assert_eq!(ledger.assigned + ledger.in_transit(), PageCount::ZERO, "{ledger:?}");
        drop(engine);
        let moments = std::mem::take(&mut *moments.lock().unwrap());
        (moments, qemus)
    }
}

struct Virtual {
    qemus: FakeQemus,
    moments: Arc<Mutex<Vec<Moment>>>,
    host: fn(Duration) -> Option<HostMemoryState>,
    now: Duration,
}

impl Surroundings for Virtual {
    fn places(&mut self) -> Option<Vec<Place>> {
        Some(self.qemus.places())
    }

    fn memory(&mut self) -> Option<HostMemoryState> {
        (self.host)(self.now)
    }

    fn watch(&mut self, snapshot: &Arc<Snapshot>) {
        self.now = snapshot.now;
        let mut bytes = 0;
        self.qemus.each(|_, qemu| bytes += if qemu.knobs.there { qemu.may_have() } else { 0 });
        let moment = Moment { snapshot: (**snapshot).clone(), may_have: PageCount::from_bytes(bytes) };
        self.moments.lock().unwrap().push(moment);
    }
}
