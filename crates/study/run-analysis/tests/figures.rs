//! The source's figures, drawn from what runs leave in their folders.

use std::path::Path;

use component_runtime::Driver;
use run_analysis::figures::{self, Recorded};
use run_analysis::verify::{Change, suite};
use run_journal::EventsLevel;
use scenario::file::{self, LoadOptions};
use scenario::run::{self, Choices, RunOptions};

/// Runs a scenario into a folder.
fn recorded(name: &str, folder: &Path) -> Recorded {
    run_into(name, folder);
    Recorded::read(folder).unwrap()
}

/// Runs a scenario into a folder, and gives what is known of it without reading the folder.
fn run_into(name: &str, folder: &Path) -> Recorded {
    let scenario = file::find(name, &LoadOptions::default()).unwrap();
    let used = &mut |other: &str| {
        let other = file::find(other, &LoadOptions::default()).unwrap();
        let observed = suite::observe_with_references(&other, 1, Change::None)?;
        Ok(observed.as_reference().host_used)
    };
    let plan = run::build::plan(&scenario, &Choices { seed: Some(1), ..Choices::default() }, used).unwrap();
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::None,
        directory: Some(folder.to_owned()),
        keep_points: true,
        ..RunOptions::default()
    };
    let outcome = run::run(plan.clone(), options).unwrap();
    Recorded::of(&plan, outcome.points.all())
}

/// The numbers in circles.
fn phases(figure: &str) -> Vec<&str> {
    let numbers = figure.lines().filter(|line| line.contains("font-size=\"10.5\""));
    numbers.filter_map(|line| line.split('>').nth(1)?.split('<').next()).collect()
}

/// A figure's file, how many phases it has, and what it says.
type Expected = (&'static str, usize, &'static [&'static str]);

#[test]
fn a_run_s_folder_gets_the_figures_that_it_shows() {
    let cases: [(&str, &[Expected]); 3] = [
        ("single-vm-ws2008r2", &[("figure-4-4.svg", 6, &["source: 98 MB", "Guest Visible", "memory (MB)"])]),
        (
            "exhaustion",
            &[
                (
                    "figure-4-5.svg",
                    4,
                    &[
                        "Figure 4-5  Contention: VM1–VM7 at their maximum, then VM8",
                        "demand of VM8",
                        "at times",
                        "a single digit",
                    ],
                ),
                ("figure-4-6.svg", 3, &["source: 400–500 MB", "source: mean 108 MB", "this run: mean"]),
                ("figure-4-7.svg", 3, &["source: at most 64.1/s", "page file reads (1/s)"]),
            ],
        ),
        (
            "exhaustion-reserve-2048",
            &[
                ("figure-4-5.svg", 4, &["reserve 2048 MB"]),
                ("figure-4-6.svg", 3, &["source: 750–850 MB", "source: mean 35 MB"]),
                ("figure-4-7.svg", 3, &["source: at most 3.4/s"]),
            ],
        ),
    ];
    for (name, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let known = run_into(name, folder.path());
        let written = figures::write_for_run(folder.path()).unwrap();
        let names: Vec<String> =
            written.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
        let mut wanted: Vec<&str> = expected.iter().map(|(figure, ..)| *figure).collect();
        wanted.push("figure-overview.svg");
        assert_eq!(names, wanted, "{name}");
        // What is drawn of a run that has just ended is what is drawn of its folder, byte for byte.
        for (path, (figure, drawn)) in written.iter().zip(figures::draw(&known)) {
            assert!(std::fs::read_to_string(path).unwrap() == drawn, "{name} {figure}");
        }
        for (figure, count, words) in expected {
            let text = std::fs::read_to_string(folder.path().join(figure)).unwrap();
            let numbers: Vec<String> = (1..=*count).map(|number| number.to_string()).collect();
            assert_eq!(phases(&text), numbers, "{name} {figure}");
            for word in *words {
                assert!(text.contains(word), "{name} {figure} does not say {word:?}");
            }
            // Who ran what is told in every figure.
            assert!(text.contains(&format!("scenario {name}, seed 1, policy hyperv")), "{name} {figure}");
            assert!(!text.contains("NaN"), "{name} {figure}");
        }
    }
}

/// The title says what the run shows: that the others are at their maximum only where they are.
#[test]
fn the_title_of_figure_4_5_is_true() {
    let folder = tempfile::tempdir().unwrap();
    let title = |run: &Recorded| {
        let drawn = figures::draw(run);
        let (_, figure) = drawn.iter().find(|(name, _)| *name == "figure-4-5.svg").unwrap();
        figure.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).unwrap().to_owned()
    };
    let mut run = run_into("multi-vm", folder.path());
    assert_eq!(title(&run), "Figure 4-5  Contention: VM1–VM7 at their maximum, then VM8");
    // The same run of VMs that could have had more.
    for maximum in run.maximum.iter_mut().flatten() {
        *maximum += 512.0;
    }
    assert_eq!(title(&run), "Figure 4-5  Contention: VM1–VM7, then VM8");
}

/// Whoever reads on dark paper sees every line: each colour that a figure has, has another one there.
#[test]
fn every_colour_of_every_figure_has_its_dark_one() {
    let folder = tempfile::tempdir().unwrap();
    let runs = ["exhaustion", "single-vm-ws2008r2"].map(|name| run_into(name, folder.path()));
    let starts = figures::draw_starts([&runs[0], &runs[1], &runs[0]]);
    for (name, figure) in runs.iter().flat_map(figures::draw).chain(starts) {
        let (style, elements) = figure.split_once("</style>").unwrap();
        for attribute in ["fill=\"", "stroke=\""] {
            for colour in elements.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
                // White words on a bar stay white.
                let known = colour == "none" || colour == "#FFFFFF";
                assert!(
                    known || style.contains(&format!("[{attribute}{colour}\"]")),
                    "{name}: {attribute}{colour}"
                );
            }
        }
    }
}

#[test]
fn three_runs_are_compared_without_being_run_again() {
    let runs = ["max-vms-static", "max-vms-dynamic-7", "max-vms-dynamic"]
        .map(|name| (tempfile::tempdir().unwrap(), name))
        .map(|(folder, name)| recorded(name, folder.path()));
    let drawn = figures::draw_starts(runs.each_ref());
    let [(bars, first), (stairs, second)] = &drawn[..] else { panic!("two figures") };
    assert_eq!((*bars, *stairs), ("figure-4-1.svg", "figure-4-3.svg"));
    for words in ["source: 30.31 GB", "source: 4.26 GB", "30.26 GB", "4.26 GB", "7 VMs"] {
        assert!(first.contains(words), "{words}");
    }
    for words in ["source: 88 VMs, more than 30 GB", "source: 7 VMs, 30.31 GB", "88 VMs"] {
        assert!(second.contains(words), "{words}");
    }
}

#[test]
fn a_folder_without_counters_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = figures::write_for_run(folder.path()).unwrap_err().to_string();
    assert!(error.contains("counters.csv"), "{error}");
    std::fs::write(folder.path().join("counters.csv"), "nothing\n").unwrap();
    let error = figures::write_for_run(folder.path()).unwrap_err().to_string();
    assert!(error.contains("counters.csv"), "{error}");
}
