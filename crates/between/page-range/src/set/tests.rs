use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{GuestPage, GuestRange};

type Set = RangeSet<GuestPage>;
type Model = BTreeSet<u64>;

fn range(start: u64, end: u64) -> GuestRange {
    GuestRange::between(start, end).unwrap()
}

fn set<const N: usize>(runs: [(u64, u64); N]) -> Set {
    runs.into_iter().map(|(start, end)| range(start, end)).collect()
}

#[test]
fn touching_runs_become_one() {
    let mut pages = set([(0, 2), (4, 6)]);
    assert_eq!(pages.insert(range(2, 4)), PageCount(2));
    assert_eq!(pages, set([(0, 6)]));
    assert_eq!(pages.run_count(), 1);
}

#[test]
fn runs_are_counted_from_both_ends() {
    let pages = set([(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]);
    let mut runs = pages.runs();
    assert_eq!(runs.len(), 5);
    assert_eq!((runs.next(), runs.next()), (Some(range(0, 1)), Some(range(2, 3))));
    assert_eq!(runs.len(), 3);
    assert_eq!((runs.next_back(), runs.next_back()), (Some(range(8, 9)), Some(range(6, 7))));
    assert_eq!(runs.len(), 1);
}

#[test]
fn an_insertion_swallows_what_it_covers() {
    let mut pages = set([(2, 4), (6, 8), (10, 12)]);
    assert_eq!(pages.insert(range(3, 11)), PageCount(4));
    assert_eq!(pages, set([(2, 12)]));
    assert_eq!(pages.insert(range(5, 7)), PageCount::ZERO);
}

#[test]
fn a_removal_splits() {
    let mut pages = set([(0, 10), (20, 30)]);
    assert_eq!(pages.remove(range(5, 25)), PageCount(10));
    assert_eq!(pages, set([(0, 5), (25, 30)]));
    assert_eq!(pages.remove(range(1, 2)), PageCount(1));
    assert_eq!(pages, set([(0, 1), (2, 5), (25, 30)]));
}

#[test]
fn all_or_nothing_names_the_lowest_offence() {
    let mut pages = set([(4, 6), (8, 9)]);
    assert_eq!(pages.insert_new(range(0, 20)), Err(Overlap { overlap: range(4, 6) }));
    assert_eq!(pages.remove_exact(range(5, 9)), Err(NotContained { missing: range(6, 8) }));
    assert_eq!(pages, set([(4, 6), (8, 9)]));
    assert_eq!(pages.remove_exact(range(4, 6)), Ok(()));
    assert_eq!(pages.insert_new(range(5, 8)), Ok(()));
    assert_eq!(pages, set([(5, 9)]));
}

#[test]
fn a_claim_of_all_pages_costs_nothing() {
    let mut pages = Set::new();
    let everything = range(0, u64::MAX);
    assert_eq!(pages.insert(everything), PageCount::MAX);
    assert_eq!(pages.remove(range(1 << 40, (1 << 40) + 1)), PageCount(1));
    assert_eq!(pages.run_count(), 2);
    assert_eq!(pages.pages_within(everything), PageCount(u64::MAX - 1));
    assert_eq!(pages.take_highest(PageCount(3)), set([(u64::MAX - 3, u64::MAX)]));
    assert_eq!(pages.insert(everything), PageCount(4));
}

#[test]
fn the_smaller_set_moves_into_the_larger() {
    let mut few = set([(100, 101)]);
    let many: Set = (0..50).map(|n| range(2 * n, 2 * n + 1)).collect();
    assert_eq!(few.insert_all(many), PageCount(50));
    assert_eq!(few.pages(), PageCount(51));
    assert_eq!(few.insert_all(set([(0, 2)])), PageCount(1));
}

#[test]
fn only_the_canonical_form_is_read() {
    let pages = set([(0, 2), (4, 6)]);
    let json = serde_json::to_string(&pages).unwrap();
    assert_eq!(json, r#"[{"start":0,"pages":2},{"start":4,"pages":2}]"#);
    assert_eq!(serde_json::from_str::<Set>(&json).unwrap(), pages);
    for bad in [
        r#"[{"start":4,"pages":2},{"start":0,"pages":2}]"#,
        r#"[{"start":0,"pages":2},{"start":1,"pages":2}]"#,
        r#"[{"start":0,"pages":2},{"start":2,"pages":2}]"#,
    ] {
        let error = serde_json::from_str::<Set>(bad).unwrap_err().to_string();
        assert!(error.contains("must begin beyond the end of 0x"), "{error}");
    }
    let error = serde_json::from_str::<Set>("7").unwrap_err().to_string();
    assert!(error.contains("expected page ranges, lowest first"), "{error}");
}

/// The universe of the property tests: this many pages from some origin.
const PAGES: u64 = 48;

#[derive(Clone, Debug)]
enum Action {
    Insert(GuestRange),
    InsertNew(GuestRange),
    InsertAll(Vec<GuestRange>),
    Remove(GuestRange),
    RemoveExact(GuestRange),
    RemoveAll(Vec<GuestRange>),
    TakeLowest(u64),
    TakeHighest(u64),
}

fn ranges(origin: u64) -> impl Strategy<Value = GuestRange> {
    (0..PAGES)
        .prop_flat_map(|start| (Just(start), start + 1..=PAGES))
        .prop_map(move |(start, end)| range(origin + start, origin + end))
}

fn short_ranges(origin: u64) -> impl Strategy<Value = GuestRange> {
    (0..PAGES, 1..5u64)
        .prop_map(move |(start, pages)| range(origin + start, origin + (start + pages).min(PAGES)))
}

fn actions(origin: u64) -> impl Strategy<Value = Action> {
    let range = || prop_oneof![1 => ranges(origin), 4 => short_ranges(origin)];
    let some = || prop::collection::vec(short_ranges(origin), 0..8);
    prop_oneof![
        4 => range().prop_map(Action::Insert),
        2 => range().prop_map(Action::InsertNew),
        1 => some().prop_map(Action::InsertAll),
        3 => range().prop_map(Action::Remove),
        2 => range().prop_map(Action::RemoveExact),
        1 => some().prop_map(Action::RemoveAll),
        1 => (0..PAGES + 5).prop_map(Action::TakeLowest),
        1 => (0..PAGES + 5).prop_map(Action::TakeHighest),
    ]
}

fn numbers(range: GuestRange) -> impl DoubleEndedIterator<Item = u64> {
    range.start().number()..range.end()
}

fn model_of(ranges: &[GuestRange]) -> Model {
    ranges.iter().flat_map(|&range| numbers(range)).collect()
}

/// The runs of a set of numbers, found the slow way.
fn runs_of(numbers: impl IntoIterator<Item = u64>) -> Vec<GuestRange> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, end)) if *end == number => *end += 1,
            _ => runs.push((number, number + 1)),
        }
    }
    runs.into_iter().map(|(start, end)| range(start, end)).collect()
}

fn check(set: &Set, model: &Model) {
    let runs = runs_of(model.iter().copied());
    assert_eq!(set.runs().collect::<Vec<_>>(), runs);
    assert_eq!(set.runs().rev().collect::<Vec<_>>(), runs.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(set.run_count(), runs.len());
    assert_eq!(set.pages(), PageCount(model.len() as u64));
    assert_eq!(set.is_empty(), model.is_empty());
    assert_eq!(set.first_run(), runs.first().copied());
    assert_eq!(set.last_run(), runs.last().copied());
}

fn apply(set: &mut Set, model: &mut Model, action: Action) {
    match action {
        Action::Insert(range) => {
            let new = numbers(range).filter(|&number| model.insert(number)).count();
            assert_eq!(set.insert(range), PageCount(new as u64));
        }
        Action::InsertNew(range) => {
            let there = runs_of(numbers(range).filter(|number| model.contains(number)));
            match set.insert_new(range) {
                Ok(()) => assert!(there.is_empty()),
                Err(Overlap { overlap }) => assert_eq!(Some(&overlap), there.first()),
            }
            if there.is_empty() {
                model.extend(numbers(range));
            }
        }
        Action::InsertAll(ranges) => {
            let before = model.len();
            model.append(&mut model_of(&ranges));
            let added = set.insert_all(ranges.into_iter().collect());
            assert_eq!(added, PageCount((model.len() - before) as u64));
        }
        Action::Remove(range) => {
            let gone = numbers(range).filter(|number| model.remove(number)).count();
            assert_eq!(set.remove(range), PageCount(gone as u64));
        }
        Action::RemoveExact(range) => {
            let missing = runs_of(numbers(range).filter(|number| !model.contains(number)));
            match set.remove_exact(range) {
                Ok(()) => assert!(missing.is_empty()),
                Err(NotContained { missing: named }) => assert_eq!(Some(&named), missing.first()),
            }
            if missing.is_empty() {
                model.retain(|&number| !range.contains(GuestPage(number)));
            }
        }
        Action::RemoveAll(ranges) => {
            let (gone, before) = (model_of(&ranges), model.len());
            model.retain(|number| !gone.contains(number));
            let removed = set.remove_all(&ranges.into_iter().collect());
            assert_eq!(removed, PageCount((before - model.len()) as u64));
        }
        Action::TakeLowest(pages) => {
            let taken: Model = model.iter().copied().take(pages as usize).collect();
            model.retain(|number| !taken.contains(number));
            check(&set.take_lowest(PageCount(pages)), &taken);
        }
        Action::TakeHighest(pages) => {
            let taken: Model = model.iter().rev().copied().take(pages as usize).collect();
            model.retain(|number| !taken.contains(number));
            check(&set.take_highest(PageCount(pages)), &taken);
        }
    }
}

fn histories() -> impl Strategy<Value = Vec<Action>> {
    prop_oneof![Just(0), Just(u64::MAX - PAGES)]
        .prop_flat_map(|origin| prop::collection::vec(actions(origin), 1..60))
}

proptest! {
    #[test]
    fn behaves_as_a_set_of_numbers(history in histories()) {
        let (mut set, mut model) = (Set::new(), Model::new());
        for action in history {
            apply(&mut set, &mut model, action);
            check(&set, &model);
        }
    }

    #[test]
    fn questions_are_answered_as_a_set_of_numbers_would(
        runs in prop::collection::vec(short_ranges(0), 0..16),
        others in prop::collection::vec(short_ranges(0), 0..16),
        asked in ranges(0),
    ) {
        let (set, other): (Set, Set) = (runs.iter().copied().collect(), others.iter().copied().collect());
        let (model, other_model) = (model_of(&runs), model_of(&others));

        let inside = runs_of(numbers(asked).filter(|number| model.contains(number)));
        let outside = runs_of(numbers(asked).filter(|number| !model.contains(number)));
        prop_assert_eq!(set.within(asked).collect::<Vec<_>>(), inside.clone());
        prop_assert_eq!(set.gaps_within(asked).collect::<Vec<_>>(), outside.clone());
        prop_assert_eq!(set.first_within(asked), inside.first().copied());
        prop_assert_eq!(set.first_missing(asked), outside.first().copied());
        prop_assert_eq!(set.contains_range(asked), outside.is_empty());
        prop_assert_eq!(set.intersects(asked), !inside.is_empty());
        prop_assert_eq!(set.pages_within(asked), inside.iter().map(|run| run.pages()).sum());
        for number in 0..PAGES {
            prop_assert_eq!(set.contains(GuestPage(number)), model.contains(&number));
            let run = runs_of(model.iter().copied()).into_iter().find(|run| run.contains(GuestPage(number)));
            prop_assert_eq!(set.run_of(GuestPage(number)), run);
        }

        check(&set.union(&other), &(&model | &other_model));
        check(&set.intersection(&other), &(&model & &other_model));
        check(&set.difference(&other), &(&model - &other_model));
        prop_assert_eq!(set.contains_all(&other), model.is_superset(&other_model));
        prop_assert_eq!(set.intersects_any(&other), !model.is_disjoint(&other_model));
        prop_assert_eq!(set == other, model == other_model);
    }

    #[test]
    fn what_is_written_is_read_back(runs in prop::collection::vec(short_ranges(0), 0..16)) {
        let set: Set = runs.into_iter().collect();
        let json = serde_json::to_string(&set).unwrap();
        prop_assert_eq!(serde_json::from_str::<Set>(&json).unwrap(), set);
    }
}
