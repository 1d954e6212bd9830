use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use balancing_policy::{HostView, Policy, Proposal, Reason, VmView};

use super::*;

/// A terminal with room for everything.
const WIDE: Look = Look { columns: 400, colours: false };

/// A load of four minutes and three VMs.
fn load(name: &str) -> Scenario {
    let text = r#"
        title = "Three VMs"
        until = "4m"
        sample_interval = "1s"
        [host]
        memory = "4GB"
        [[vm]]
        name = "VM{n}"
        numbers = "1..3"
        guest = "ws2008-r2-sp1-enterprise"
        startup_bytes = "512MB"
        maximum_bytes = "1536MB"
        workload = { kind = "step", from = "100MB", to = ["600MB", "900MB"], after = ["10s", "20s"] }
        [[timeline]]
        at = ["0s", "3s"]
        action = "start"
        vm = "all"
        every = "1s"
    "#;
    scenario::file::parse(format!("{name}.toml"), text, &scenario::file::LoadOptions::default()).unwrap()
}

fn named(names: &[&str]) -> Vec<Contestant> {
    names.iter().map(|name| Contestant::named(name).unwrap()).collect()
}

fn settings(contestants: Vec<Contestant>) -> Settings {
    Settings {
        seeds: vec![1, 2, 3],
        threads: 2,
        ..Settings::new(contestants, vec![load("three"), load("again")])
    }
}

#[test]
fn the_same_numbers_whatever_the_number_of_threads() {
    let contestants = || named(&["hyperv", "static", "mom"]);
    let one = compare(&Settings { threads: 1, ..settings(contestants()) }, &mut |_| ()).unwrap();
    let three = compare(&Settings { threads: 3, ..settings(contestants()) }, &mut |_| ()).unwrap();
    assert_eq!(one.json().unwrap(), three.json().unwrap());
    assert_eq!(one.csv(), three.csv());
    assert_eq!(one.page("repeat"), three.page("repeat"));
    // Two loads of the same text give the same numbers, and other seeds others.
    assert_eq!(one.loads[0].results, one.loads[1].results);
    let moved = one.loads[0].cell(0, MeasureId::Moved).unwrap();
    assert_ne!(moved.values[0], moved.values[1]);
}

#[test]
fn static_memory_moves_nothing_and_a_policy_that_gives_none_is_worse_off() {
    let comparison = compare(&settings(named(&["hyperv", "static"])), &mut |_| ()).unwrap();
    let load = &comparison.loads[0];
    let median = |policy, id| load.cell(policy, id).unwrap().median.unwrap().median;
    assert_eq!(median(1, MeasureId::Moved), 0.0);
    assert_eq!(median(1, MeasureId::Operations), 0.0);
    assert!(median(0, MeasureId::Moved) > 0.0 && median(0, MeasureId::Unmet) > 0.0);
    // Three times 1.5 GB and the parent's reserve is more than there is.
    assert!((median(1, MeasureId::Started) - 200.0 / 3.0).abs() < 1e-6);
    assert_eq!(median(1, MeasureId::Unmet), 0.0);
    assert!(load.cell(0, MeasureId::Moved).unwrap().difference.is_none());
    assert!(load.cell(1, MeasureId::Moved).unwrap().difference.unwrap().median < 0.0);
    // It leaves nothing unmet and moves nothing, and wins neither load: it serves a VM less.
    assert_eq!(comparison.won(1), Won::default());
    // Two equal loads have the ratio of one.
    let ratio = comparison.overall.cell(1, MeasureId::Started).unwrap().median.unwrap().median;
    assert!((ratio - 2.0 / 3.0).abs() < 1e-6, "{ratio}");
}

#[test]
fn runs_that_did_not_serve_the_same_vms_are_compared_on_those_that_both_served() {
    let settings = Settings { seeds: (1..=6).collect(), ..settings(named(&["hyperv", "static", "mom"])) };
    let comparison = compare(&settings, &mut |_| ()).unwrap();
    for load in comparison.loads.iter().chain([&comparison.overall]) {
        let same: Vec<bool> = load.compared.iter().map(Compared::same_vms).collect();
        assert_eq!(same, [true, false, true]);
        let judged = |id: MeasureId| load.judgement(1, id.measure());
        assert_eq!(judged(MeasureId::Started), Judgement::Worse);
        // Those that static memory serves lack nothing, and nothing is moved. That is no merit: another it does not serve at all.
        assert_eq!(judged(MeasureId::Unmet), Judgement::ServesLess);
        assert_eq!(judged(MeasureId::Moved), Judgement::ServesLess);
        assert_eq!(judged(MeasureId::Waiting), Judgement::Undecided);
        // The two policies that served all VMs are judged.
        assert!(
            MEASURES.iter().any(|measure| {
                matches!(load.judgement(2, measure), Judgement::Better | Judgement::Worse)
            })
        );
    }
    assert_eq!(comparison.loads[0].compared[1].both, [2; 6]);
    // What is of two VMs is not held against what is of three.
    let cell = comparison.loads[0].cell(1, MeasureId::PageIns).unwrap();
    let of_three = comparison.loads[0].cell(0, MeasureId::PageIns).unwrap().median.unwrap();
    assert!(cell.compared_with.unwrap() < of_three.median);
    // It is said before anything else is.
    let said = "static started 1 VM less often than hyperv did (medians over the seeds): its differences are on the 2 of 3 VMs";
    let table = comparison.table(WIDE);
    let load = &table[table.find("Three VMs (three)").unwrap()..];
    assert!(load.find(said).unwrap() < load.find('│').unwrap(), "{table}");
    assert!(comparison.page("repeat").contains(said));

    // With few seeds only: a median would be of no VM.
    let mut comparison = comparison;
    for load in &mut comparison.loads {
        load.compared[1].fewer = vec![0, 2, 0, 0, 1, 0];
    }
    let said = "static started up to 2 VMs less often with 2 of 6 seeds than hyperv did";
    assert!(comparison.table(WIDE).contains(said), "{}", comparison.table(WIDE));
}

/// Loads are counted, whatever their sizes.
#[test]
fn loads_that_a_policy_wins_are_counted() {
    let mut comparison = compare(&settings(named(&["hyperv", "mom", "proxmox"])), &mut |_| ()).unwrap();
    let all_alike = comparison.loads.iter().all(|load| load.compared.iter().all(Compared::same_vms));
    assert!(all_alike, "or the test is of nothing");
    // Of three loads the second policy wins the first on both and the second on one.
    comparison.loads.push(comparison.loads[0].clone());
    let set = |load: &mut LoadResult, policy: usize, id: MeasureId, value: f64, difference: f64| {
        let cell = load.results[policy].get_mut(id.measure().key).unwrap();
        let interval = |value| Some(Interval { median: value, low: value, high: value });
        (cell.median, cell.difference) = (interval(value), interval(difference));
    };
    // Of what is unmet 500 is unmet whatever a policy does.
    for (place, [unmet, moved]) in [[-1.0, -1.0], [-100.0, 1.0], [3.0, 0.0]].into_iter().enumerate() {
        let load = &mut comparison.loads[place];
        for policy in 0..3 {
            set(load, policy, MeasureId::UnmetWaiting, 500.0, 0.0);
            set(load, policy, MeasureId::Unmet, 600.0, 0.0);
            set(load, policy, MeasureId::Moved, 100.0, 0.0);
        }
        set(load, 1, MeasureId::Unmet, 600.0 + unmet, unmet);
        set(load, 1, MeasureId::Moved, 100.0 + moved, moved);
    }
    assert_eq!(comparison.won(1), Won { unmet: 2, moved: 1, both: 1, near_least: 2 });
    // Of the second load all is met that can be: nobody else is near that.
    assert_eq!(comparison.won(2), Won { near_least: 2, ..Won::default() });
    assert_eq!(comparison.won(0).near_least, 2);
    let table = comparison.table(WIDE);
    for row in ["on how many of 3 loads", "within 2 % of least unmet, of 3"] {
        assert!(table.contains(row) && comparison.page("repeat").contains(row), "{table}");
    }
}

/// Whoever reads many verdicts is told how many of them chance makes.
#[test]
fn the_legend_says_how_often_chance_alone_marks_a_measure() {
    for (seeds, expected) in [(6, "up to 3.1 % of the measures"), (8, "up to 0.8 % of the measures")] {
        let settings = Settings { seeds: (1..=seeds).collect(), ..settings(named(&["hyperv", "mom"])) };
        let comparison = compare(&settings, &mut |_| ()).unwrap();
        for text in [comparison.table(WIDE), comparison.page("repeat")] {
            assert!(text.contains(expected), "{seeds} seeds: {text}");
            assert!(text.contains("○ better for serving less"), "{seeds} seeds: {text}");
        }
    }
}

/// As a terminal of 80 columns, and a narrower one, shows it: no line is too long, and what is coloured is what is judged.
#[test]
fn a_table_fits_its_terminal() {
    let settings = Settings { seeds: (1..=6).collect(), ..settings(named(&["hyperv", "static", "mom"])) };
    let comparison = compare(&settings, &mut |_| ()).unwrap();
    for columns in [80, 64] {
        let table = comparison.table(Look { columns, colours: false });
        let wide: Vec<&str> = table.lines().filter(|line| terminal_text::width(line) > columns).collect();
        assert!(wide.is_empty(), "{wide:?}");
    }
    let plain = comparison.table(Look::default());
    let coloured = comparison.table(Look { colours: true, ..Look::default() });
    assert!(coloured.contains("\u{1b}[31m✗\u{1b}[39m") && !plain.contains('\u{1b}'));
    assert_eq!(coloured.replace("\u{1b}[31m", "").replace("\u{1b}[32m", "").replace("\u{1b}[39m", ""), plain);
}

#[test]
fn regret_is_said_everywhere_and_nobody_is_below_the_bound() {
    let comparison = compare(&settings(named(&["hyperv", "static", "mom"])), &mut |_| ()).unwrap();
    for load in &comparison.loads {
        let regret = load.regret.as_ref().unwrap();
        assert!(regret.not_known.is_empty());
        let bound = regret.bound_mb_s.iter();
        let fluid = |mark: &Mark| mark.unmet_mb_s.iter().zip(bound.clone()).all(|(own, bound)| own >= bound);
        assert!(
            fluid(&regret.clairvoyant)
                && regret.policies.iter().all(|policy| fluid(&policy.mark) || policy.over_bound.is_none())
        );
        let [hyperv, of_static, mom] = &regret.policies[..] else { panic!("three policies") };
        // Static memory does not start the third VM, so nothing is said of its regret.
        assert_eq!((of_static.over_clairvoyant, of_static.could_gain_percent), (None, [None; 2]));
        // Steps of 500 to 800 MB that nobody announced: knowing of them is worth something.
        assert!(hyperv.over_clairvoyant.unwrap().low > 0.0 && mom.over_clairvoyant.unwrap().low > 0.0);
        let [least, most] = hyperv.could_gain_percent.map(Option::unwrap);
        assert!(least > 0.0 && least < most && most <= 100.0, "{hyperv:?}");
        assert_eq!(regret.front.is_empty(), !cfg!(feature = "bound"));
    }
    for text in [comparison.table(WIDE), comparison.page("repeat")] {
        assert!(text.contains("clairvoyant") && text.contains("could be gained"), "{text}");
    }
    assert!(comparison.table(WIDE).contains("regret to the bound, MB·s"));
    let json: serde_json::Value = serde_json::from_str(&comparison.json().unwrap()).unwrap();
    assert!(json["loads"][0]["regret"]["policies"][0]["over_clairvoyant"]["median"].is_number());
    // It can be left out.
    let settings = Settings { regret: false, ..settings(named(&["hyperv"])) };
    let comparison = compare(&settings, &mut |_| ()).unwrap();
    assert!(comparison.loads[0].regret.is_none() && !comparison.table(WIDE).contains("egret"));
}

#[test]
fn a_load_that_nobody_can_know_is_said_to_be_one() {
    let text = r#"
        title = "A greedy one"
        until = "2m"
        [host]
        memory = "4GB"
        [[vm]]
        name = "Honest"
        guest = "ws2008-r2-sp1-enterprise"
        startup_bytes = "512MB"
        maximum_bytes = "1536MB"
        workload = { kind = "step", from = "100MB", to = "900MB", after = "10s" }
        [[vm]]
        name = "Greedy"
        guest = "ws2008-r2-sp1-enterprise"
        startup_bytes = "512MB"
        maximum_bytes = "4GB"
        workload = { kind = "server" }
        [[timeline]]
        at = "0s"
        action = "start"
        vm = "all"
    "#;
    let load = scenario::file::parse("greedy.toml".to_owned(), text, &scenario::file::LoadOptions::default());
    let settings = Settings { loads: vec![load.unwrap()], ..settings(named(&["hyperv", "mom"])) };
    let comparison = compare(&settings, &mut |_| ()).unwrap();
    let regret = comparison.loads[0].regret.as_ref().unwrap();
    assert_eq!(regret.not_known, ["Greedy"]);
    // What the greedy VM lacks is no regret of anybody.
    let all = comparison.loads[0].cell(0, MeasureId::Unmet).unwrap();
    assert!(regret.policies[0].mark.unmet_mb_s[0] <= all.values[0].unwrap() + 1.0);
    for text in [comparison.table(WIDE), comparison.page("repeat")] {
        assert!(
            text.contains("What Greedy needs depends on what it is given, so nobody can know it in advance"),
            "{text}"
        );
    }
}

/// Before any guest has booted all policies do the same.
#[test]
fn where_nothing_differs_there_is_no_empty_table() {
    let mut settings = Settings { regret: false, ..settings(named(&["hyperv", "mom"])) };
    settings.choices.until = Some(Duration::from_secs(8));
    let table = compare(&settings, &mut |_| ()).unwrap().table(WIDE);
    assert_eq!(
        table.matches("the same for hyperv, mom: slowdown, mean 1.000; slowdown, worst VM 1.00").count(),
        3,
        "{table}"
    );
    assert!(!table.contains('│'), "{table}");
}

#[test]
fn few_seeds_give_no_verdict() {
    let comparison = compare(&settings(named(&["hyperv", "mom"])), &mut |_| ()).unwrap();
    let table = comparison.table(WIDE);
    assert!(
        !table.contains('✓') && !table.contains('✗') && table.contains("No verdicts: intervals of 3 seeds"),
        "{table}"
    );
    assert!(!comparison.page("repeat").contains('✓'));
}

#[test]
fn loads_of_one_title_are_told_apart() {
    let comparison = compare(&settings(named(&["hyperv"])), &mut |_| ()).unwrap();
    let table = comparison.table(WIDE);
    assert!(table.contains("\nThree VMs (three)\n") && table.contains("\nThree VMs (again)\n"), "{table}");
}

#[test]
fn the_outputs_name_everything() {
    let comparison = compare(&settings(named(&["hyperv", "mom"])), &mut |_| ()).unwrap();
    let (table, csv, page) =
        (comparison.table(WIDE), comparison.csv(), comparison.page("cargo xtask compare <&>"));
    for name in ["hyperv", "mom"] {
        assert!(table.contains(name) && csv.contains(name) && page.contains(name));
    }
    // Where there is room, medians have their intervals.
    assert!(
        table.contains(" to ")
            && table.lines().any(|line| line.contains("unmet demand") && line.contains(" ["))
    );
    assert!(
        !comparison
            .table(Look { columns: 60, colours: false })
            .lines()
            .any(|line| line.contains("unmet demand") && line.contains(" ["))
    );
    assert_eq!(csv.lines().count(), 1 + 3 * 2 * 3 * MEASURES.len());
    assert!(page.contains("cargo xtask compare &lt;&amp;&gt;"));
    // Curves of each policy on each of two loads.
    assert_eq!(page.matches("<figure data-panel=").count(), 2 * 2);
    assert!(!page.contains("src=") && !page.contains("href=\"http"), "the page needs nothing else");
    let json: serde_json::Value = serde_json::from_str(&comparison.json().unwrap()).unwrap();
    assert_eq!(json["loads"][0]["results"][1]["unmet_demand"]["values"].as_array().unwrap().len(), 3);
    assert!(json.get("costs").is_none(), "what depends on the machine is not in it");
}

#[test]
fn progress_ends_with_everything_done() {
    let mut last = Advance::default();
    compare(&settings(named(&["hyperv"])), &mut |advance| {
        assert!(advance.done >= last.done && advance.runs >= last.runs);
        last = advance;
    })
    .unwrap();
    // Two loads, three seeds, one policy, and the well-provisioned run with that of the policy which is told of it.
    assert_eq!((last.runs, last.all_runs, last.all), (12, 12, 18 * 3 * 240));
    assert_eq!(last.done, last.all);
}

/// Rows are read from what was written, and rows of another load are none.
#[test]
fn a_row_is_what_its_text_says() {
    let measuring = jobs::Measuring {
        timing: Arc::default(),
        began: Arc::default(),
        clock: timed::Clock::start(),
        done: Arc::default(),
    };
    let choices = Choices { until: Some(Duration::from_secs(60)), ..Choices::default() };
    let best =
        jobs::run_one(&load("three"), 1, &choices, jobs::Ran::WellProvisioned { regret: true }, &measuring);
    let contestants = named(&["mom"]);
    let ran = jobs::Ran::Contestant(&contestants[0]);
    let row = jobs::run_one(&load("three"), 1, &choices, ran, &measuring).unwrap();
    let text = row.text().unwrap();
    assert!(!text.contains('\n') && text.contains("\"lost_rounds\":0"));
    let read = row::Row::read(&text, 3).unwrap();
    // Whoever reads it once has what everybody has who reads it.
    assert_eq!(row::Row::read(&read.text().unwrap(), 3).unwrap(), read);
    assert_eq!(read.collector.served(), row.collector.served());
    assert!(row::Row::read(&text, 4).unwrap_err().contains("of a run of 3 VMs, and its load has 4"));
    // The run on a host that has enough for all has with it what regret is computed from, and nothing else that takes a run.
    let read_best = row::Row::read(&best.unwrap().text().unwrap(), 3).unwrap();
    assert_eq!(row::Row::read(&read_best.text().unwrap(), 3).unwrap(), read_best);
    let none =
        jobs::run_one(&load("three"), 1, &choices, jobs::Ran::WellProvisioned { regret: false }, &measuring);
    let none = none.unwrap().text().unwrap();
    assert_eq!(row::Row { best: None, ..read_best.clone() }, row::Row::read(&none, 3).unwrap());
    let best = read_best.best.clone().unwrap();
    assert!(best.clairvoyant.started_in_time() && best.clairvoyant.memory() > page_range::PageCount::ZERO);
    assert_eq!(best.front().is_empty(), !cfg!(feature = "bound"));
    let mut fewer = read_best;
    fewer.best = Some(row::Best {
        fluid: bound::Fluid { vms: best.fluid.vms[..2].to_vec(), ..best.fluid.clone() },
        ..best
    });
    assert!(row::Row::read(&fewer.text().unwrap(), 3).unwrap_err().contains("of a run of 2 VMs"));
    for wrong in ["{}", "", &text[..text.len() - 1], &text.replace("\"lost_rounds\"", "\"lost\"")] {
        assert!(row::Row::read(wrong, 3).is_err());
    }
}

/// Panics in every other round, and counts its panics together with others of its kind.
struct Panics(u32, Arc<AtomicU64>);

impl Policy for Panics {
    fn name(&self) -> &str {
        "panics"
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn round(&mut self, _host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        self.0 += 1;
        if self.0.is_multiple_of(2) {
            assert!(is_in_policy_round());
            self.1.fetch_add(1, Ordering::Relaxed);
            // A panic without its message on standard error.
            std::panic::resume_unwind(Box::new("every other round"));
        }
        for (index, vm) in vms.iter().enumerate() {
            let target = vm.reachable(vm.demand().unwrap_or(vm.expected()) * 2);
            proposal.set(index, target, Reason::new("twice"));
        }
    }
}

#[test]
fn a_policy_of_one_s_own_takes_part_and_its_panics_are_counted() {
    let mut contestants = named(&["hyperv"]);
    let panics = Arc::new(AtomicU64::new(0));
    contestants.push(Contestant::own({
        let panics = panics.clone();
        move || Panics(0, panics.clone())
    }));
    let comparison = compare(&settings(contestants), &mut |_| ()).unwrap();
    assert_eq!(comparison.policies, ["hyperv", "panics"]);
    // Six runs of 240 s; a parent OS that pages makes rounds longer.
    let panics = panics.load(Ordering::Relaxed);
    assert!((100..=720).contains(&panics), "{panics}");
    assert_eq!(comparison.lost_rounds, [0, panics]);
    let moved = comparison.loads[0].cell(1, MeasureId::Moved).unwrap().median.unwrap();
    assert!(moved.median > 0.0, "the rounds that it did not lose count");
    assert!(comparison.table(WIDE).contains("panics panicked in"));
}

#[test]
fn what_makes_no_comparison_is_refused() {
    let said = |settings: Settings| compare(&settings, &mut |_| ()).unwrap_err().to_string();
    assert_eq!(said(settings(Vec::new())), "a comparison needs at least one policy");
    assert_eq!(said(settings(named(&["hyperv", "hyperv"]))), "\"hyperv\" is named twice");
    let all = settings(named(&["hyperv"]));
    assert_eq!(said(Settings { seeds: Vec::new(), ..all.clone() }), "a comparison needs at least one seed");
    let error = Contestant::named("hyperw").unwrap_err().to_string();
    assert!(error.contains("did you mean \"hyperv\"?"), "{error}");
    let loads = vec![loads::find("max-vms-dynamic").unwrap()];
    let said = said(Settings { loads, ..all });
    assert!(said.contains("max-vms-dynamic") && said.contains("max-vms-static"), "{said}");
}

#[test]
fn an_end_given_ends_every_run() {
    let mut settings = settings(named(&["hyperv"]));
    settings.choices.until = Some(Duration::from_secs(30));
    let mut all = 0;
    let comparison = compare(&settings, &mut |advance| all = advance.all).unwrap();
    assert_eq!(all, 18 * 3 * 30);
    assert!((comparison.loads[0].until_s - 30.0).abs() < f64::EPSILON);
}

/// Does not come back from its round before it is told to.
struct Endless(Arc<AtomicBool>);

impl Policy for Endless {
    fn name(&self) -> &str {
        "endless"
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn round(&mut self, _host: &HostView<'_>, _vms: &[VmView], _proposal: &mut Proposal) {
        while !self.0.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_policy_that_does_not_come_back_is_named() {
    let enough = Arc::new(AtomicBool::new(false));
    let its = Arc::clone(&enough);
    let mut contestants = named(&["hyperv"]);
    contestants.push(Contestant::own(move || Endless(Arc::clone(&its))));
    let settings = Settings { patience: Duration::from_millis(300), ..settings(contestants) };
    let error = compare(&settings, &mut |_| ()).unwrap_err().to_string();
    enough.store(true, Ordering::Relaxed);
    assert!(error.contains("policy \"endless\" has been in one round for more than 0.300s"), "{error}");
}
