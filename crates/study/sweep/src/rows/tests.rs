use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{Kind, Settings};

fn point(seed: u64) -> Point {
    Point::new(Settings {
        kind: Kind::Explore,
        version: "0.1.0+0000".to_owned(),
        scenario: Hash::of(b"text"),
        name: "churn".to_owned(),
        policy: None,
        parameters: BTreeMap::new(),
        seed,
        until: None,
        vm_seconds: 60,
    })
}

#[test]
fn a_row_is_found_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let rows = Rows::new(folder.path());
    let point = point(1);
    assert_eq!(rows.look(&point), Found::Missing);
    rows.write_failure(&point, "no \"memory\"\nat all").unwrap();
    assert_eq!(rows.look(&point), Found::Failed("no \"memory\"\nat all".to_owned()));
    rows.write(&point, "{\"held\":true}").unwrap();
    assert_eq!(rows.look(&point), Found::Row("{\"held\":true}".to_owned()));
    // What failed before is gone with the row that came.
    std::fs::remove_file(rows.path(&point.point)).unwrap();
    assert_eq!(rows.look(&point), Found::Missing);
}

#[test]
fn another_point_s_row_and_another_version_s_are_no_rows() {
    let folder = tempfile::tempdir().unwrap();
    let rows = Rows::new(folder.path());
    rows.write(&point(1), "1").unwrap();
    let there = rows.path(&point(2).point);
    std::fs::create_dir_all(there.parent().unwrap()).unwrap();
    std::fs::copy(rows.path(&point(1).point), &there).unwrap();
    let Found::Corrupt(path, why) = rows.look(&point(2)) else { panic!() };
    assert!(path == there && why.contains(point(1).point.as_str()), "{why}");
    let row = rows.path(&point(1).point);
    let other = std::fs::read_to_string(&row).unwrap().replace("0.1.0+0000", "0.2.0+1111");
    std::fs::write(&row, other).unwrap();
    let Found::Corrupt(_, why) = rows.look(&point(1)) else { panic!() };
    assert_eq!(why, "it is of version 0.2.0+1111, and its point of 0.1.0+0000");
}

/// What a worker that was killed had begun goes when its row is there, and stays while somebody may still be writing it.
#[test]
fn only_what_was_begun_of_rows_that_are_there_is_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let rows = Rows::new(folder.path());
    rows.write(&point(1), "1").unwrap();
    let begun = |point: &Point| {
        let row = rows.path(&point.point);
        std::fs::create_dir_all(row.parent().unwrap()).unwrap();
        row.with_file_name(format!("{UNFINISHED}{}.row-abcdef", point.point))
    };
    std::fs::write(begun(&point(1)), "{\"poi").unwrap();
    std::fs::write(begun(&point(2)), "{\"poi").unwrap();
    rows.tidy(&[point(1), point(2)]);
    assert!(!begun(&point(1)).exists() && begun(&point(2)).exists());
    assert_eq!(rows.look(&point(1)), Found::Row("1".to_owned()));
    assert_eq!(rows.look(&point(2)), Found::Missing);
}

#[test]
fn notes_are_read_as_far_as_they_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let rows = Rows::new(folder.path());
    let note = |seed, seconds| Note { point: point(seed).point, seconds, vm_seconds: 60 };
    for seed in [1, 3] {
        let mut log = rows.log().unwrap();
        io::Write::write_all(
            &mut log,
            format!("{}\n{{\"poi", serde_json::to_string(&note(seed, 0.5)).unwrap()).as_bytes(),
        )
        .unwrap();
    }
    assert_eq!(rows.notes(&[point(1), point(2)]), [note(1, 0.5)]);
}

proptest! {
    // Each case brings a file to the disk.
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However a row is damaged, it is not taken for a row.
    #[test]
    fn a_damaged_row_is_none(at in 0_usize..400, with in any::<u8>(), cut in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let rows = Rows::new(folder.path());
        let point = point(1);
        let row = "{\"values\":{\"unmet_demand\":12.5,\"moved\":3.25},\"progress\":[1.0,0.5,null]}";
        rows.write(&point, row).unwrap();
        let path = rows.path(&point.point);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at % bytes.len();
        let before = bytes.clone();
        if cut { bytes.truncate(at) } else { bytes[at] = with }
        prop_assume!(bytes != before);
        std::fs::write(&path, &bytes).unwrap();
        prop_assert!(matches!(rows.look(&point), Found::Corrupt(..)), "{:?}", rows.look(&point));
    }
}
