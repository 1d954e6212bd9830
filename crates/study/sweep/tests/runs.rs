//! Points that fail, panic or never end, and what of it is left to be seen.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use scenario::file::{LoadOptions, Scenario};
use sweep::rows::{Found, Rows};
use sweep::standing::Standing;
use sweep::{BadPlan, Kept, Kind, Plan, Point, Runner, Settings, Sketch, Stuck, Told};

fn sketch(version: &str) -> Sketch {
    let scenario = scenario::file::find("churn", &LoadOptions::default()).unwrap();
    let (kept, trace) = Kept::new(&scenario).unwrap();
    let point = |seed| {
        Point::new(Settings {
            kind: Kind::Explore,
            version: version.to_owned(),
            scenario: kept.hash.clone(),
            name: kept.name.clone(),
            policy: None,
            parameters: BTreeMap::new(),
            seed,
            until: None,
            vm_seconds: 60,
        })
    };
    let points = (0..6).map(point).collect();
    Sketch {
        kind: Kind::Explore,
        command: "cargo xtask explore".to_owned(),
        about: serde_json::json!({ "anything": [1, 2] }),
        scenarios: vec![(kept, Arc::new(scenario), trace)],
        points,
    }
}

fn plan(folder: &Path) -> (Plan, Rows) {
    let plan = Plan::write(&folder.join("plan"), &sketch(sweep::version())).unwrap();
    let rows = Rows::new(folder.join("rows"));
    (plan, rows)
}

/// Fails with seed 1, panics with seed 2, never ends with seed 3 until it is told to.
#[derive(Default)]
struct Faulty {
    mended: bool,
    hangs: bool,
    hanging: AtomicBool,
    release: Arc<AtomicBool>,
    order: Arc<parking_lot::Mutex<Vec<u64>>>,
    ran: AtomicUsize,
}

impl Runner for Faulty {
    fn run(&self, _: usize, point: &Point, scenario: &Scenario) -> Result<String, String> {
        assert_eq!(scenario.name, "churn");
        self.order.lock().push(point.settings.seed);
        self.ran.fetch_add(1, Ordering::Relaxed);
        match point.settings.seed {
            1 if !self.mended => Err("there is no memory".to_owned()),
            // A panic without its message on standard error.
            2 if !self.mended => std::panic::resume_unwind(Box::new("gone astray")),
            3 if self.hangs => {
                self.hanging.store(true, Ordering::Relaxed);
                while !self.release.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                Err("released".to_owned())
            }
            seed => Ok(seed.to_string()),
        }
    }

    fn stuck(&self) -> Option<Stuck> {
        self.hanging.load(Ordering::Relaxed).then(|| Stuck { lane: 0, why: "it never ends".to_owned() })
    }
}

const ALL: [usize; 6] = [0, 1, 2, 3, 4, 5];

#[test]
fn a_point_that_fails_costs_its_row_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, rows) = plan(folder.path());
    let mut told = Vec::new();
    let mut tell = |news: Told<'_>| {
        if let Told::Failed(point, why) = news {
            told.push((point.settings.seed, why));
        }
    };
    let done = sweep::run(&plan, &rows, &ALL, 1, &(Arc::new(Faulty::default()) as _), &mut tell).unwrap();
    assert_eq!((done.already, done.ran, done.failed, done.ended), (0, 4, 2, None));
    assert_eq!(told, [(1, "there is no memory".to_owned()), (2, "panicked: gone astray".to_owned())]);
    let standing = Standing::of(&plan, &rows, &mut |_, point, row| {
        assert_eq!(row, point.settings.seed.to_string());
        Ok(())
    });
    assert_eq!((standing.rows, standing.missing.len(), standing.failed.len()), (4, 0, 2));
    assert_eq!((standing.noted.0, standing.noted_vm_seconds), (4, 240));
    let said = standing.told();
    assert!(
        said.starts_with("4 of 6 points have their row, 2 failed\n") && said.contains("gone astray"),
        "{said}"
    );
    // Once more, only those: and what was mended is mended.
    let runner = Arc::new(Faulty { mended: true, ..Faulty::default() });
    let done = sweep::run(&plan, &rows, &ALL, 3, &(Arc::clone(&runner) as _), &mut |_| ()).unwrap();
    assert_eq!((done.already, done.ran, done.failed), (4, 2, 0));
    assert_eq!(runner.ran.load(Ordering::Relaxed), 2);
    assert!(Standing::of(&plan, &rows, &mut |_, _, _| Ok(())).is_complete());
}

/// Whatever lets a point hang: the others of its task come to their rows when the task is tried again.
#[test]
fn a_point_that_never_ends_is_named_and_tried_last() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, rows) = plan(folder.path());
    let release = Arc::new(AtomicBool::new(false));
    let runner = || {
        let release = Arc::clone(&release);
        Arc::new(Faulty { mended: true, hangs: true, release, ..Faulty::default() })
    };
    let first = runner();
    let done = sweep::run(&plan, &rows, &ALL, 1, &(Arc::clone(&first) as _), &mut |_| ()).unwrap();
    assert_eq!((done.ran, done.failed, done.ended.as_deref()), (3, 1, Some("it never ends")));
    assert_eq!(rows.look(&plan.points()[3]), Found::Failed("it never ends".to_owned()));
    assert_eq!(rows.look(&plan.points()[4]), Found::Missing);
    let second = runner();
    let done = sweep::run(&plan, &rows, &ALL, 1, &(Arc::clone(&second) as _), &mut |_| ()).unwrap();
    assert_eq!((done.already, done.ran, done.failed), (3, 2, 1));
    assert_eq!(*second.order.lock(), [4, 5, 3]);
    release.store(true, Ordering::Relaxed);
}

/// A row that cannot be written ends the run, and the program exits soon. Other threads may be about to write theirs at that moment.
#[test]
fn nothing_is_written_after_the_end() {
    struct AllAtOnce(std::sync::Barrier);
    impl Runner for AllAtOnce {
        fn run(&self, _: usize, point: &Point, _: &Scenario) -> Result<String, String> {
            self.0.wait();
            // Rows that take long to write, but for the first.
            Ok("7".repeat(if point.settings.seed == 0 { 1 } else { 8 << 20 }))
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (plan, rows) = plan(folder.path());
    let first = rows.path(&plan.points()[0].point);
    // A file where its folder should be: the first row cannot be written.
    std::fs::create_dir_all(rows.folder()).unwrap();
    std::fs::write(first.parent().unwrap(), "").unwrap();
    let files = || {
        let folders = std::fs::read_dir(rows.folder()).unwrap().map(|folder| folder.unwrap().path());
        let files = folders.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
        files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect::<std::collections::BTreeSet<_>>()
    };
    let runner: Arc<dyn Runner> = Arc::new(AllAtOnce(std::sync::Barrier::new(ALL.len())));
    let done = sweep::run(&plan, &rows, &ALL, ALL.len(), &runner, &mut |_| ()).unwrap();
    let at_the_end = files();
    assert!(done.ended.unwrap().contains("cannot be written"));
    assert!(!at_the_end.iter().any(|file| file.starts_with(sweep::files::UNFINISHED)), "{at_the_end:?}");
    // The threads have a share of it until they end.
    while Arc::strong_count(&runner) > 1 {
        std::thread::yield_now();
    }
    assert_eq!(files(), at_the_end);
}

#[test]
fn a_row_that_its_reader_refuses_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, rows) = plan(folder.path());
    sweep::run(
        &plan,
        &rows,
        &ALL,
        2,
        &(Arc::new(Faulty { mended: true, ..Faulty::default() }) as _),
        &mut |_| (),
    )
    .unwrap();
    let standing = Standing::of(&plan, &rows, &mut |place, _, _| match place {
        3 => Err("it is no measure".to_owned()),
        _ => Ok(()),
    });
    assert_eq!((standing.rows, standing.corrupt.len()), (5, 1));
    let row = rows.path(&plan.points()[3].point);
    assert_eq!(standing.corrupt[0].1, row);
    assert!(
        standing
            .told()
            .contains(&format!("{}: it is no measure; the point is to be run again", row.display()))
    );
}

#[test]
fn a_plan_is_read_as_it_was_written_and_refused_where_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, _) = plan(folder.path());
    let again = Plan::read(plan.folder()).unwrap();
    assert_eq!(again.points(), plan.points());
    assert_eq!((again.about(), again.command(), again.kind()), (plan.about(), plan.command(), Kind::Explore));
    assert!(matches!(Plan::write(plan.folder(), &sketch(sweep::version())), Err(BadPlan::Exists(_))));
    // Nothing is left beside it.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let other = folder.path().join("other");
    let other = Plan::write(&other, &sketch("0.0.9+old")).unwrap();
    let error = other.check_version().unwrap_err().to_string();
    assert!(error.contains("0.0.9+old") && error.contains(sweep::version()), "{error}");
    let points = plan.folder().join(sweep::POINTS_FILE);
    let text = std::fs::read_to_string(&points).unwrap();
    for damaged in
        [text.replacen("\"seed\":2", "\"seed\":9", 1), text[..text.len() / 2].to_owned(), "[]".to_owned()]
    {
        std::fs::write(&points, damaged).unwrap();
        assert!(matches!(Plan::read(plan.folder()), Err(BadPlan::Damaged { .. })));
    }
}
