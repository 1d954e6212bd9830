//! The simulated guest against the recorded real ones, in numbers: what the page of the book shows holds.

use std::path::Path;

use crate::{Curve, Curves, Judgement, LOADS, Load, simulate, table};

/// How far a curve may be from the real one, percent: in the median over time, and at its end.
const GOAL: f64 = 10.0;

/// Curves that are further away, with how far at most: the page says why.
const BEYOND: [(&str, Curve, f64); 3] = [
    ("swap", Curve::PageIns, 18.0),
    ("swap-more", Curve::PageIns, 15.0),
    ("swap-large", Curve::PageIns, 15.0),
];

fn recorded(load: &Load) -> Curves {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/recorded/validation");
    let text = std::fs::read_to_string(folder.join(format!("{}.csv", load.name))).unwrap();
    Curves::from_text(&text).unwrap()
}

#[test]
fn the_simulated_guest_is_near_every_recorded_one() {
    for load in LOADS {
        let real = recorded(load);
        assert!(real.seconds() as u64 >= load.length, "{}", load.name);
        let judged = Judgement::of(&real, &simulate(load).unwrap());
        let worst = judged.worst(|error| {
            let beyond = BEYOND.iter().find(|beyond| (beyond.0, beyond.1) == (load.name, error.curve));
            error.median.max(error.end) - beyond.map_or(0.0, |beyond| beyond.2 - GOAL)
        });
        assert!(worst <= GOAL, "{}: {worst:.1} %\n{}", load.name, table(&judged));
    }
}

/// `cargo test -p guest-validation -- --ignored --nocapture`: the numbers, to look at while the profile is calibrated.
#[test]
#[ignore = "shows, and asserts nothing"]
fn what_the_numbers_are() {
    use std::io::Write as _;

    for load in LOADS {
        let (real, simulated) = (recorded(load), simulate(load).unwrap());
        let text =
            format!("{}\n{}\n{}", load.name, table(&Judgement::of(&real, &simulated)), simulated.to_text());
        writeln!(std::io::stderr(), "{text}").unwrap();
    }
}
