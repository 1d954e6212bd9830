use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Enough numbers for more runs than a buffer takes.
const NUMBERS: u64 = 100;

#[derive(Clone, Debug)]
enum Action {
    Insert(Run),
    /// Every other page of a run: makes many runs.
    InsertComb(Run),
    Remove(Run),
    TakeFirst(u64),
    TakeLast(u64),
}

fn runs(longest: u64) -> impl Strategy<Value = Run> {
    (0..NUMBERS, 1..=longest).prop_map(|(start, pages)| (start, start + pages))
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => runs(6).prop_map(Action::Insert),
        1 => runs(NUMBERS).prop_map(Action::Insert),
        2 => runs(NUMBERS).prop_map(Action::InsertComb),
        4 => runs(6).prop_map(Action::Remove),
        1 => runs(NUMBERS / 2).prop_map(Action::Remove),
        2 => (1..20_u64).prop_map(Action::TakeFirst),
        2 => (1..20_u64).prop_map(Action::TakeLast),
    ]
}

/// The naive model: a map of runs, which every change makes anew, page by page.
#[derive(Debug, Default)]
struct Model(BTreeMap<u64, u64>);

impl Model {
    fn pages(&self) -> Vec<u64> {
        self.0.iter().flat_map(|(&start, &end)| start..end).collect()
    }

    fn set(&mut self, mut pages: Vec<u64>) {
        pages.sort_unstable();
        pages.dedup();
        self.0.clear();
        for page in pages {
            match self.0.last_entry() {
                Some(mut last) if *last.get() == page => *last.get_mut() += 1,
                _ => drop(self.0.insert(page, page + 1)),
            }
        }
    }

    fn insert(&mut self, run: Run) -> u64 {
        let mut pages = self.pages();
        let before = pages.len();
        pages.extend((run.0..run.1).filter(|page| !self.has(*page)));
        let added = pages.len() - before;
        self.set(pages);
        added as u64
    }

    fn remove(&mut self, run: Run) -> u64 {
        let mut pages = self.pages();
        let before = pages.len();
        pages.retain(|page| !(run.0..run.1).contains(page));
        let removed = before - pages.len();
        self.set(pages);
        removed as u64
    }

    fn has(&self, page: u64) -> bool {
        self.of(page).is_some()
    }

    fn of(&self, page: u64) -> Option<Run> {
        self.runs().find(|run| (run.0..run.1).contains(&page))
    }

    fn runs(&self) -> impl DoubleEndedIterator<Item = Run> {
        self.0.iter().map(|(&start, &end)| (start, end))
    }
}

fn check(runs: &Runs, model: &Model) {
    assert!(runs.iter().eq(model.runs()), "{runs:?} {model:?}");
    assert!(runs.iter().rev().eq(model.runs().rev()));
    assert!(runs.clone().into_iter().eq(model.runs()));
    assert_eq!(runs.len(), model.0.len());
    assert_eq!(runs.first(), model.runs().next());
    assert_eq!(runs.last(), model.runs().next_back());
    match runs {
        Runs::One(_) => {}
        Runs::Few(few) => assert!(few.len() <= MOST_FEW),
        Runs::Many(many) => assert!(many.len() >= LEAST_MANY),
    }
    for number in (0..NUMBERS).step_by(7) {
        assert_eq!(runs.of(number), model.of(number));
        let beyond = || model.runs().filter(|run| number < run.1);
        assert!(runs.iter_beyond(number).eq(beyond()));
        assert!(runs.iter_beyond(number).rev().eq(beyond().rev()));
    }
}

fn apply(runs: &mut Runs, model: &mut Model, action: &Action) {
    match *action {
        Action::Insert(run) => assert_eq!(runs.insert(run), model.insert(run)),
        Action::InsertComb((start, end)) => {
            for page in (start..end).step_by(2) {
                assert_eq!(runs.insert((page, page + 1)), model.insert((page, page + 1)));
            }
        }
        Action::Remove(run) => assert_eq!(runs.remove(run), model.remove(run)),
        Action::TakeFirst(most) => {
            let first = model.runs().next().map(|(start, end)| (start, end.min(start + most)));
            assert_eq!(runs.take_first(most), first);
            first.map(|run| model.remove(run));
        }
        Action::TakeLast(most) => {
            let last =
                model.runs().next_back().map(|(start, end)| (start.max(end.saturating_sub(most)), end));
            assert_eq!(runs.take_last(most), last);
            last.map(|run| model.remove(run));
        }
    }
}

proptest! {
    #[test]
    fn behave_as_a_map_of_runs(history in prop::collection::vec(actions(), 1..40)) {
        let (mut runs, mut model) = (Runs::new(), Model::default());
        for action in &history {
            apply(&mut runs, &mut model, action);
            check(&runs, &model);
        }
    }
}

#[test]
fn every_form_is_used_and_left() {
    let mut runs = Runs::new();
    assert_eq!(runs.insert((0, 1)), 1);
    assert!(matches!(runs, Runs::One(_)));
    for page in 1..=MOST_FEW as u64 {
        assert!(page == 1 || matches!(runs, Runs::Few(_)));
        runs.insert((2 * page, 2 * page + 1));
    }
    assert!(matches!(runs, Runs::Many(_)));
    while runs.len() >= LEAST_MANY {
        assert!(matches!(runs, Runs::Many(_)));
        runs.take_first(1);
    }
    assert!(matches!(runs, Runs::Few(_)));
    assert_eq!(runs.last(), Some((2 * MOST_FEW as u64, 2 * MOST_FEW as u64 + 1)));
}

#[test]
fn the_form_does_not_make_a_difference() {
    let (mut inline, mut buffer) = (Runs::new(), Runs::new());
    inline.insert((0, 4));
    buffer.insert((0, 1));
    buffer.insert((3, 4));
    buffer.insert((1, 3));
    assert!(matches!((&inline, &buffer), (Runs::One(_), Runs::Few(_))));
    assert_eq!(inline, buffer);
    inline.remove((3, 4));
    assert_ne!(inline, buffer);
}

#[test]
fn a_set_is_no_larger_than_its_buffer_and_its_pages() {
    assert_eq!(size_of::<Runs>(), size_of::<Few>());
}
