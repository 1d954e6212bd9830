use page_range::{GuestPage, GuestRange};
use rand_pcg::Pcg64;

use super::*;
use crate::constants::{PAINT_INTERVAL, PAINT_STEP};
use crate::trace::{GeneratorConfig, Sample, Trace, VmTrace, generate};
use crate::{PageFileSize, find_profile};

const SECOND: Duration = Duration::from_secs(1);

fn mib(n: u64) -> PageCount {
    PageCount::from_mib(n)
}

/// A workload alone in a guest, and its commit after every call.
struct Bench {
    memory: MemoryManager,
    process: ProcessId,
    workload: Box<dyn Workload>,
    next: NextStep,
    failures: Vec<CommitFailed>,
    /// Time and commit in MiB after each run.
    seen: Vec<(f64, f64)>,
}

impl Bench {
    fn new(config: &WorkloadConfig, ram: u64, page_file: u64, seed: u64, trace: Option<&Trace>) -> Self {
        let profile = *find_profile("ws2008-r2-sp1").unwrap();
        let range = GuestRange::new(GuestPage(0), mib(ram)).unwrap();
        let mut memory =
            MemoryManager::new(profile, &[range], PageFileSize::Fixed(mib(page_file)), Duration::ZERO);
        let process = memory.start_process(true);
        let workload = config.build(Pcg64::new(seed.into(), 5), trace).unwrap();
        let next = NextStep::At(Duration::ZERO);
        Self { memory, process, workload, next, failures: Vec::new(), seen: Vec::new() }
    }

    fn run_until(&mut self, until: Duration) {
        while let NextStep::At(time) = self.next {
            if time > until {
                break;
            }
            self.memory.advance(time);
            let mut failed = None;
            let mut application = Application::new(&mut self.memory, self.process, &mut failed);
            self.next = self.workload.run(time, &mut application);
            assert!(self.next != NextStep::At(time));
            self.failures.extend(failed);
            self.memory.check().unwrap();
            self.seen.push((time.as_secs_f64(), self.commit().mib()));
        }
        self.memory.advance(until);
    }

    fn commit(&self) -> PageCount {
        self.memory.process(self.process).unwrap().commit
    }

    fn unload(&mut self, now: Duration) {
        self.memory.advance(now);
        self.workload.unload(now);
        self.next = NextStep::At(now);
    }
}

fn paint(goal: PaintGoal) -> WorkloadConfig {
    WorkloadConfig::Paint(PaintConfig::new(goal))
}

#[test]
fn paint_grows_as_a_person_does() {
    let (mut steps, mut pauses) = (Vec::new(), Vec::new());
    for seed in 0..20 {
        let mut bench = Bench::new(&paint(PaintGoal::Commit(mib(3300))), 4096, 0, seed, None);
        bench.run_until(SECOND * 2000);
        assert_eq!(bench.next, NextStep::Finished);
        assert!(mib(3300) - bench.commit() < mib(1) && bench.commit() <= mib(3300), "{}", bench.commit());
        assert!(bench.failures.is_empty());
        for pair in bench.seen.windows(2) {
            pauses.push(pair[1].0 - pair[0].0);
            steps.push(pair[1].1 - pair[0].1);
        }
        // The last step only goes to the end of the canvas.
        steps.pop();
    }
    let moments = |of: &[f64]| {
        let mean = of.iter().sum::<f64>() / of.len() as f64;
        let variance = of.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / of.len() as f64;
        (mean, variance.sqrt() / mean)
    };
    let (step, step_variation) = moments(&steps);
    let (pause, pause_variation) = moments(&pauses);
    assert!(
        (step - PAINT_STEP.value).abs() < 1.0 && (step_variation - 0.3).abs() < 0.03,
        "{step} {step_variation}"
    );
    assert!((pause - PAINT_INTERVAL.value).abs() < 0.1, "{pause}");
    assert!((pause_variation - 0.3).abs() < 0.03, "{pause_variation}");
}

#[test]
fn paint_takes_what_its_canvas_needs() {
    let mut bench = Bench::new(&paint(PaintGoal::Canvas { width: 8192, height: 8192 }), 4096, 0, 1, None);
    bench.run_until(SECOND * 2000);
    // 64 Mi pixels of 4 bytes, 4 copies, and the program.
    assert_eq!(bench.commit(), mib(64 * 4 * 4) + crate::constants::PAINT_BASE.pages());
}

#[test]
fn paint_unloads_within_its_time_when_told() {
    let mut bench = Bench::new(&paint(PaintGoal::Commit(mib(1000))), 4096, 0, 1, None);
    bench.run_until(SECOND * 500);
    bench.unload(SECOND * 500);
    bench.run_until(SECOND * 504);
    assert!(bench.commit() < mib(800) && bench.commit() > mib(200));
    bench.run_until(SECOND * 510);
    assert_eq!((bench.commit(), bench.next), (PageCount::ZERO, NextStep::Finished));
    bench.unload(SECOND * 600);
    bench.run_until(SECOND * 700);
    assert_eq!(bench.commit(), PageCount::ZERO);
}

#[test]
fn paint_unloads_by_itself_after_its_hold() {
    let config = PaintConfig { hold: Some(SECOND * 60), ..PaintConfig::new(PaintGoal::Commit(mib(300))) };
    let mut bench = Bench::new(&WorkloadConfig::Paint(config), 4096, 0, 1, None);
    bench.run_until(SECOND * 300);
    assert_eq!(bench.commit(), PageCount::ZERO);
    let reached = bench.seen.iter().position(|(_, commit)| *commit > 299.0).unwrap();
    assert_eq!(bench.seen[reached + 1].0 - bench.seen[reached].0, 60.0);
}

#[test]
fn paint_notices_that_memory_is_refused_and_stops() {
    let mut bench = Bench::new(&paint(PaintGoal::Commit(mib(2000))), 512, 512, 1, None);
    bench.run_until(SECOND * 3000);
    assert_eq!(bench.failures.len(), 1);
    assert_eq!(bench.next, NextStep::Finished);
    assert!(bench.commit() <= mib(1024) && bench.commit() > mib(900), "{}", bench.commit());
}

#[test]
fn paint_loads_the_whole_guest_to_a_commit() {
    let mut bench = Bench::new(&paint(PaintGoal::GuestCommit(mib(1000))), 2048, 0, 1, None);
    let other = bench.memory.start_process(false);
    bench.memory.allocate(other, mib(414)).unwrap();
    bench.memory.allocate_balloon(mib(200), PageCount::ZERO);
    bench.run_until(SECOND * 1000);
    let reached = bench.memory.committed() - mib(200);
    assert!(mib(1000) - reached < mib(1), "{reached}");
}

#[test]
fn idle_holds_nothing() {
    let mut bench = Bench::new(&WorkloadConfig::Idle, 64, 0, 1, None);
    bench.run_until(SECOND);
    assert_eq!((bench.next, bench.commit()), (NextStep::Finished, PageCount::ZERO));
}

#[test]
fn step_goes_up_and_back() {
    let config = StepConfig {
        from: mib(10),
        to: mib(100),
        after: SECOND * 5,
        hold: Some(SECOND * 20),
        active_share: 0.5,
    };
    let mut bench = Bench::new(&WorkloadConfig::Step(config), 512, 0, 1, None);
    bench.run_until(SECOND * 100);
    assert_eq!(bench.seen, [(0.0, 10.0), (5.0, 100.0), (25.0, 10.0)]);
    assert_eq!(bench.next, NextStep::Finished);
}

#[test]
fn a_refused_step_is_tried_again() {
    let config = StepConfig { from: mib(0), to: mib(100), after: SECOND, hold: None, active_share: 1.0 };
    let mut bench = Bench::new(&WorkloadConfig::Step(config), 64, 0, 1, None);
    bench.run_until(SECOND * 10);
    assert!(bench.failures.len() >= 9);
    let more = GuestRange::new(GuestPage(1 << 20), mib(64)).unwrap();
    bench.memory.hot_add(more).unwrap();
    bench.run_until(SECOND * 12);
    assert_eq!((bench.commit(), bench.next), (mib(100), NextStep::Finished));
}

#[test]
fn ramp_is_a_straight_line() {
    let config = RampConfig {
        from: mib(20),
        to: mib(120),
        duration: SECOND * 50,
        interval: SECOND,
        active_share: 1.0,
    };
    let mut bench = Bench::new(&WorkloadConfig::Ramp(config), 512, 0, 1, None);
    bench.run_until(SECOND * 100);
    assert_eq!(bench.seen.len(), 51);
    assert!(
        bench.seen.iter().all(|(time, commit)| (commit - 20.0 - 2.0 * time).abs() < 0.1),
        "{:?}",
        bench.seen
    );
}

#[test]
fn sawtooth_rises_slowly_and_falls_fast() {
    let config = SawtoothConfig {
        low: mib(10),
        high: mib(110),
        rise: SECOND * 40,
        fall: SECOND * 10,
        phase: SECOND * 20,
        interval: SECOND,
        active_share: 1.0,
    };
    let mut bench = Bench::new(&WorkloadConfig::Sawtooth(config), 512, 0, 1, None);
    bench.run_until(SECOND * 200);
    let at = |second: usize| bench.seen[second].1;
    assert_eq!([at(0), at(20), at(25), at(30), at(50), at(70)], [60.0, 110.0, 60.0, 10.0, 60.0, 110.0]);
    let rising = bench.seen.windows(2).filter(|pair| pair[1].1 > pair[0].1).count();
    assert_eq!(rising, 160);
}

#[test]
fn leak_only_grows_until_it_is_refused_and_what_it_lost_is_cold() {
    let config = LeakConfig { base: mib(20), per_hour: mib(360), limit: None, interval: SECOND * 10 };
    let mut bench = Bench::new(&WorkloadConfig::Leak(config), 256, 256, 1, None);
    bench.run_until(SECOND * 3600);
    assert!((bench.commit().mib() - 380.0).abs() < 1.5, "{}", bench.commit());
    assert!(bench.memory.counters().page_writes > 0);
    bench.run_until(SECOND * 3600 * 2);
    assert!(bench.seen.windows(2).all(|pair| pair[1].1 >= pair[0].1));
    assert_eq!((bench.failures.len(), bench.next), (1, NextStep::Finished));
    assert_eq!(bench.memory.counters().page_reads, 0);
    let report = bench.memory.process(bench.process).unwrap();
    assert_eq!(report.active, mib(20));
}

#[test]
fn bursts_come_and_go() {
    let config = BurstsConfig {
        base: mib(50),
        size: mib(200),
        pause: SECOND * 100,
        length: SECOND * 30,
        variation: 0.3,
        first: Some(SECOND * 7),
        active_share: 1.0,
    };
    let mut bench = Bench::new(&WorkloadConfig::Bursts(config), 1024, 0, 1, None);
    bench.run_until(SECOND * 50_000);
    assert_eq!(bench.seen[0], (0.0, 50.0));
    assert_eq!(bench.seen[1].0, 7.0);
    let (mut high, mut low, mut size) = (0.0, 0.0, 0.0);
    for pair in bench.seen[1..].windows(2) {
        let lasted = pair[1].0 - pair[0].0;
        if pair[0].1 > 50.0 {
            high += lasted;
            size += pair[0].1 - 50.0;
        } else {
            low += lasted;
        }
    }
    let bursts = (bench.seen.len() / 2) as f64;
    assert!(bursts > 300.0);
    assert!((high / bursts - 30.0).abs() < 3.0 && (low / bursts - 100.0).abs() < 20.0);
    assert!((size / bursts - 200.0).abs() < 20.0);
}

#[test]
fn a_server_takes_all_it_can_get_and_gives_way_when_others_need_it() {
    let mut bench = Bench::new(&WorkloadConfig::Server(ServerConfig::default()), 1024, 1024, 1, None);
    bench.run_until(SECOND * 300);
    assert!((bench.commit().mib() - 1024.0 * 0.9).abs() < 1.0, "{}", bench.commit());
    let more = GuestRange::new(GuestPage(1 << 20), mib(1024)).unwrap();
    bench.memory.hot_add(more).unwrap();
    bench.run_until(SECOND * 600);
    assert!((bench.commit().mib() - 2048.0 * 0.9).abs() < 1.0, "{}", bench.commit());
    let other = bench.memory.start_process(true);
    bench.memory.allocate(other, mib(500)).unwrap();
    bench.memory.set_active(other, mib(500));
    bench.run_until(SECOND * 700);
    assert!((bench.commit().mib() - (2048.0 - 500.0 - 64.0)).abs() < 21.0, "{}", bench.commit());
    assert_eq!(bench.memory.process(other).unwrap().resident, mib(500));
}

#[test]
fn every_pattern_gives_all_back_when_told() {
    let trace = generate(&GeneratorConfig { vms: 1, ..GeneratorConfig::default() }, &mut Pcg64::new(1, 1));
    let configs = [
        r#"{"kind":"step","to":25600}"#,
        r#"{"kind":"ramp","to":25600,"duration":10}"#,
        r#"{"kind":"sawtooth","high":25600,"rise":7}"#,
        r#"{"kind":"leak","base":2560,"per_hour":256000}"#,
        r#"{"kind":"bursts","base":2560,"size":25600,"pause":10,"length":3}"#,
        r#"{"kind":"server"}"#,
        r#"{"kind":"trace","vm":"1"}"#,
        r#"{"kind":"paint","goal":{"commit":25600}}"#,
        r#"{"kind":"idle"}"#,
    ];
    for text in configs {
        let config: WorkloadConfig = serde_json::from_str(text).unwrap();
        assert_eq!(
            serde_json::from_str::<WorkloadConfig>(&serde_json::to_string(&config).unwrap()).unwrap(),
            config
        );
        let mut bench = Bench::new(&config, 32_768, 0, 1, Some(&trace));
        bench.run_until(SECOND * 100);
        assert!(text.contains("idle") || !bench.commit().is_zero(), "{text}");
        bench.unload(SECOND * 100);
        bench.run_until(SECOND * 120);
        assert_eq!((bench.commit(), bench.next), (PageCount::ZERO, NextStep::Finished), "{text}");
    }
}

#[test]
fn a_recording_is_followed() {
    let sample =
        |seconds, used| Sample { time: SECOND * seconds, provisioned: mib(4096), used: mib(used), cpu: 0.0 };
    let mut trace = Trace::default();
    trace.insert("a", VmTrace::new(vec![sample(0, 600), sample(300, 900), sample(600, 300)]).unwrap());
    let play = |whole_guest| {
        let config = PlaybackConfig { whole_guest, scale: 0.5, ..PlaybackConfig::new("a") };
        let mut bench = Bench::new(&WorkloadConfig::Trace(config), 1024, 0, 1, Some(&trace));
        let system = bench.memory.start_process(false);
        bench.memory.allocate(system, mib(200)).unwrap();
        bench.run_until(SECOND * 1000);
        assert_eq!(bench.next, NextStep::Finished);
        bench.seen
    };
    let seen = play(false);
    assert_eq!(
        [seen[0], seen[5], seen[10], seen[20]],
        [(0.0, 300.0), (150.0, 375.0), (300.0, 450.0), (600.0, 150.0)]
    );
    let seen = play(true);
    assert_eq!([seen[0], seen[5], seen[20]], [(0.0, 100.0), (150.0, 175.0), (600.0, 0.0)]);
}

/// A VM that is late is late: what was recorded of the time before is over.
#[test]
fn a_recording_is_joined_where_the_host_s_time_is() {
    let sample =
        |seconds, used| Sample { time: SECOND * seconds, provisioned: mib(4096), used: mib(used), cpu: 0.0 };
    let mut trace = Trace::default();
    trace.insert("a", VmTrace::new(vec![sample(0, 600), sample(300, 900), sample(600, 300)]).unwrap());
    let mut bench = Bench::new(&WorkloadConfig::Trace(PlaybackConfig::new("a")), 2048, 0, 1, Some(&trace));
    bench.next = NextStep::At(SECOND * 150);
    bench.run_until(SECOND * 1000);
    assert_eq!([bench.seen[0], bench.seen[5]], [(150.0, 750.0), (300.0, 900.0)]);
    assert_eq!(bench.seen.last(), Some(&(600.0, 300.0)), "it ends when the others' recordings end");
}

#[test]
fn what_was_refused_is_wanted_all_the_same() {
    // By workload: what it has in a guest that is much too small, and what it wants at some times.
    let wanted = |config: &WorkloadConfig, ram, at: [u32; 3]| {
        let mut bench = Bench::new(config, ram, 0, 1, None);
        at.map(|second| {
            bench.run_until(SECOND * second);
            let standing = Standing { commit: bench.commit(), others_committed: PageCount::ZERO };
            assert!(ram > 512 || bench.commit() <= mib(ram));
            bench.workload.wanted(SECOND * second, standing).mib()
        })
    };
    let configs = [
        (
            r#"{"kind":"step","from":25600,"to":256000,"after":10,"hold":20}"#,
            [5, 20, 40],
            [100.0, 1000.0, 100.0],
        ),
        (r#"{"kind":"ramp","to":256000,"duration":100}"#, [10, 50, 200], [100.0, 500.0, 1000.0]),
        (
            r#"{"kind":"sawtooth","high":256000,"rise":100,"fall":100}"#,
            [50, 100, 150],
            [500.0, 1000.0, 500.0],
        ),
        // A leak gives up where its guest refuses more; what it would have lost by then does not go by that.
        (r#"{"kind":"leak","base":25600,"per_hour":921600}"#, [0, 100, 1000], [100.0, 200.0, 1100.0]),
    ];
    for (text, at, expected) in configs {
        let config: WorkloadConfig = serde_json::from_str(text).unwrap();
        assert_eq!(wanted(&config, 150, at), expected, "{text}");
        assert_eq!(wanted(&config, 4096, at), expected, "{text}: and the same where there is enough");
    }
    // A person who was refused memory would have gone on to the goal, at the mean pace.
    let paint = paint(PaintGoal::Commit(mib(600)));
    let [early, later, last] = wanted(&paint, 150, [20, 40, 3600]);
    assert!(early < later && later < last && (599.0..=600.0).contains(&last), "{early} {later} {last}");
}

#[test]
fn what_is_no_longer_asked_for_is_no_longer_refused() {
    // The step does not fit; after it, it wants what it has.
    let text = r#"{"kind":"step","from":10240,"to":256000,"after":10,"hold":20}"#;
    let mut bench = Bench::new(&serde_json::from_str(text).unwrap(), 60, 0, 1, None);
    bench.run_until(SECOND * 20);
    assert!(bench.memory.refused() > mib(900));
    bench.run_until(SECOND * 40);
    assert_eq!((bench.commit(), bench.memory.refused()), (mib(40), PageCount::ZERO));
}

#[test]
fn a_program_does_what_is_written_down_second_by_second() {
    let text = r#"{"kind":"program","keeps":[[2,0],[4,51200],[10,51200],[11,0]],"release_per_second":12800,
        "reads":[{"from":1,"until":3,"per_second":2560,"all":25600}]}"#;
    let mut bench = Bench::new(&serde_json::from_str(text).unwrap(), 1024, 0, 1, None);
    let mut at = |milliseconds: u64| {
        bench.run_until(Duration::from_millis(milliseconds));
        (bench.commit().mib(), bench.memory.available().mib(), bench.memory.counters().cache_faults / 256)
    };
    assert_eq!(at(1_500), (0.0, 1024.0, 10));
    assert_eq!(at(3_500), (100.0, 924.0, 20));
    assert_eq!(at(10_500), (200.0, 824.0, 20));
    // Its kernel takes 50 MB apart in a second, and settles the account at the end.
    assert_eq!(at(13_050), (200.0, 924.0, 20));
    assert_eq!(at(15_500), (0.0, 1024.0, 20));
    assert_eq!(bench.next, NextStep::Finished);
    let program = |text: &str| serde_json::from_str::<WorkloadConfig>(text).unwrap();
    let config = program(r#"{"kind":"program","keeps":[[0,25600],[10,51200]]}"#);
    let mut refused = Bench::new(&config, 120, 0, 1, None);
    refused.run_until(SECOND);
    let wanted = |second: u64| refused.workload.wanted(SECOND * second as u32, Standing::default()).mib();
    assert_eq!([0, 5, 20].map(wanted), [100.0, 150.0, 200.0]);
}

#[test]
fn what_cannot_be_built_names_its_key() {
    let build = |text: &str, trace: Option<&Trace>| {
        let config: WorkloadConfig = serde_json::from_str(text).unwrap();
        config.build(Pcg64::new(1, 1), trace).unwrap_err()
    };
    for (text, key) in [
        (r#"{"kind":"step","to":1,"active_share":2}"#, "active_share"),
        (r#"{"kind":"ramp","to":1,"duration":0}"#, "duration"),
        (r#"{"kind":"ramp","to":1,"duration":1,"interval":0}"#, "interval"),
        (r#"{"kind":"sawtooth","high":1,"rise":0}"#, "rise"),
        (r#"{"kind":"leak","per_hour":1,"interval":0}"#, "interval"),
        (r#"{"kind":"bursts","size":1,"pause":0,"length":1}"#, "pause"),
        (r#"{"kind":"bursts","size":1,"pause":1,"length":1,"variation":-1}"#, "variation"),
        (r#"{"kind":"server","share":0}"#, "share"),
        (r#"{"kind":"server","growth":0}"#, "growth"),
        (r#"{"kind":"trace","vm":"1","scale":0}"#, "scale"),
        (r#"{"kind":"trace","vm":"1"}"#, "trace"),
        (r#"{"kind":"program","keeps":[[5,1],[5,2]]}"#, "keeps"),
        (r#"{"kind":"program","keeps":[],"reads":[{"from":5,"until":4,"per_second":1,"all":1}]}"#, "reads"),
        (r#"{"kind":"program","keeps":[],"release_per_second":0}"#, "release_per_second"),
    ] {
        assert_eq!(build(text, None).key, key, "{text}");
    }
    let mut trace = Trace::default();
    let sample = Sample { time: Duration::ZERO, provisioned: mib(1), used: mib(1), cpu: 0.0 };
    trace.insert("7", VmTrace::new(vec![sample]).unwrap());
    let error = build(r#"{"kind":"trace","vm":"8"}"#, Some(&trace));
    assert_eq!((error.key, error.problem.contains('7')), ("vm", true));
    for text in
        [r#"{"kind":"ramp","to":1,"duration":-1}"#, r#"{"kind":"step","to":1,"from_":1}"#, r#"{"kind":"x"}"#]
    {
        assert!(serde_json::from_str::<WorkloadConfig>(text).is_err(), "{text}");
    }
}
