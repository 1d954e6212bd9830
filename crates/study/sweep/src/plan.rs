//! A plan: the folder that workers share.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use input_file as input;
use scenario::file::{BadScenario, Scenario};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::files::{UNFINISHED, folder_of, shared, write_whole};
use super::{Hash, Kept, Kind, Point, version};

/// What the points are for, and which scenarios they are of.
pub const PLAN_FILE: &str = "plan.json";
/// The points: a JSON array.
pub const POINTS_FILE: &str = "points.json";
/// Where rows are, if nothing else is said.
pub const ROWS_FOLDER: &str = "rows";
const SCENARIOS: &str = "scenarios";
const TRACES: &str = "traces";

/// Version of the form of a plan's files.
const SCHEMA: u32 = 1;

/// Bytes that are read of a file of a plan. Invented; a million points are 300 MB.
const MOST_BYTES: u64 = 4 << 30;

/// What is planned, before it is written.
#[derive(Clone, Debug)]
pub struct Sketch {
    /// What the points are run for.
    pub kind: Kind,
    /// The command that does the same on one machine.
    pub command: String,
    /// What whoever collects the rows must know: a matter of the kind.
    pub about: Value,
    /// The scenarios, with the text of their recorded loads.
    pub scenarios: Vec<(Kept, Arc<Scenario>, Option<String>)>,
    /// The points, in their order.
    pub points: Vec<Point>,
}

/// A plan that was read.
#[derive(Clone, Debug)]
pub struct Plan {
    folder: PathBuf,
    head: Head,
    points: Vec<Point>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    schema: u32,
    kind: Kind,
    version: String,
    command: String,
    about: Value,
    scenarios: Vec<Kept>,
    points: usize,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum BadPlan {
    /// The folder is there already.
    #[error("{} exists already: a plan is written once; name another folder with --out", .0.display())]
    Exists(PathBuf),
    /// The folder, if it is there at all, has no plan.
    #[error("there is no plan in {folder}: `sweep plan … --out {folder}` makes one, and --plan names its folder", folder = .0.display())]
    Missing(PathBuf),
    /// A file that cannot be read.
    #[error("{} cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// A file that cannot be written.
    #[error("{} cannot be written: {error}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file that is not what its name says, or no JSON.
    #[error("{} is damaged: {why}; plan the sweep again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another version of the model.
    #[error(
        "the plan in {} is of version {planned}, and this program is {own}: their rows would not be of one model. Run it with the \
         program that planned it, or plan the sweep again", folder.display()
    )]
    Version {
        /// The plan.
        folder: PathBuf,
        /// The version that it was planned with.
        planned: String,
        /// The version of this program.
        own: &'static str,
    },
    /// The plan names a scenario that this program does not take.
    #[error("a scenario of the plan: {0}")]
    Scenario(#[from] BadScenario),
    /// The plan is of another kind.
    #[error("the plan in {} is of the kind {found}, not {wanted}", folder.display())]
    Kind {
        /// The plan.
        folder: PathBuf,
        /// Its kind.
        found: Kind,
        /// The kind that was asked for.
        wanted: Kind,
    },
}

impl Plan {
    /// Writes a plan: the folder is there whole, or not at all.
    ///
    /// # Errors
    /// A folder that is there already, or the system's.
    pub fn write(folder: &Path, sketch: &Sketch) -> Result<Self, BadPlan> {
        if folder.exists() {
            return Err(BadPlan::Exists(folder.to_owned()));
        }
        let beside = folder_of(folder);
        let unwritable = |path: &Path| {
            let path = path.to_owned();
            move |error| BadPlan::Unwritable { path, error }
        };
        std::fs::create_dir_all(&beside).map_err(unwritable(&beside))?;
        let made = shared(tempfile::Builder::new().prefix(UNFINISHED), 0o777).tempdir_in(&beside);
        let made = made.map_err(unwritable(&beside))?;
        let head = Head {
            schema: SCHEMA,
            kind: sketch.kind,
            version: version().to_owned(),
            command: sketch.command.clone(),
            about: sketch.about.clone(),
            scenarios: sketch.scenarios.iter().map(|(kept, ..)| kept.clone()).collect(),
            points: sketch.points.len(),
        };
        let write = |path: PathBuf, text: &str| -> Result<(), BadPlan> {
            let parent = folder_of(&path);
            std::fs::create_dir_all(&parent).map_err(unwritable(&parent))?;
            write_whole(&path, text.as_bytes()).map_err(unwritable(&path))
        };
        for (kept, scenario, trace) in &sketch.scenarios {
            write(scenario_path(made.path(), kept), scenario.source.text())?;
            if let (Some(file), Some(text)) = (trace_path(made.path(), kept), trace) {
                write(file, text)?;
            }
        }
        write(made.path().join(POINTS_FILE), &array(&sketch.points))?;
        let rows = made.path().join(ROWS_FOLDER);
        std::fs::create_dir(&rows).map_err(unwritable(&rows))?;
        // Last, so that a folder with this file is a whole plan.
        write(made.path().join(PLAN_FILE), &pretty(&head))?;
        // If another has taken the name meanwhile, what was made here goes.
        std::fs::rename(made.path(), folder).map_err(unwritable(folder))?;
        let _its_name_is_another_now = made.keep();
        Ok(Self { folder: folder.to_owned(), head, points: sketch.points.clone() })
    }

    /// Plans more points, behind those that are there: for what shows only when those have their rows. What is there already is left out.
    /// Workers may go on reading the plan meanwhile.
    ///
    /// # Errors
    /// The system's. The plan is what it was then, or has all of them.
    pub fn extend(&mut self, points: Vec<Point>) -> Result<(), BadPlan> {
        let known: std::collections::BTreeSet<Hash> =
            self.points.iter().map(|point| point.point.clone()).collect();
        self.points.extend(points.into_iter().filter(|point| !known.contains(&point.point)));
        self.head.points = self.points.len();
        // The points first: a plan may have more than it says, and not less.
        for (name, text) in [(POINTS_FILE, array(&self.points)), (PLAN_FILE, pretty(&self.head))] {
            let path = self.folder.join(name);
            write_whole(&path, text.as_bytes()).map_err(|error| BadPlan::Unwritable { path, error })?;
        }
        Ok(())
    }

    /// Reads a plan of any version.
    ///
    /// # Errors
    /// There is no plan, or a file of it cannot be read or is not what was written.
    pub fn read(folder: &Path) -> Result<Self, BadPlan> {
        let path = folder.join(PLAN_FILE);
        if path.try_exists().is_ok_and(|there| !there) {
            return Err(BadPlan::Missing(folder.to_owned()));
        }
        let damaged = |path: &Path, why: String| BadPlan::Damaged { path: path.to_owned(), why };
        let head: Head =
            serde_json::from_str(&text(&path)?).map_err(|error| damaged(&path, error.to_string()))?;
        if head.schema != SCHEMA {
            return Err(damaged(
                &path,
                format!("it is of schema {}, this program reads {SCHEMA}", head.schema),
            ));
        }
        if let Some(kept) = head.scenarios.iter().find(|kept| !kept.is_whole()) {
            return Err(damaged(&path, format!("what it says of the scenario {:?} has changed", kept.name)));
        }
        let path = folder.join(POINTS_FILE);
        let points: Vec<Point> =
            serde_json::from_str(&text(&path)?).map_err(|error| damaged(&path, error.to_string()))?;
        // More than that: others are being planned as this is read.
        if points.len() < head.points {
            return Err(damaged(
                &path,
                format!("it has {} points, planned were {}", points.len(), head.points),
            ));
        }
        if let Some(point) = points.iter().find(|point| !point.is_whole()) {
            return Err(damaged(&path, format!("what it says of the point {point} has changed")));
        }
        Ok(Self { folder: folder.to_owned(), head, points })
    }

    /// Sees to it that this program is of the plan's version.
    ///
    /// # Errors
    /// It is another, with both.
    pub fn check_version(&self) -> Result<(), BadPlan> {
        let other = std::iter::once(&self.head.version)
            .chain(self.points.iter().map(|point| &point.settings.version));
        match other.into_iter().find(|planned| *planned != version()) {
            None => Ok(()),
            Some(planned) => Err(BadPlan::Version {
                folder: self.folder.clone(),
                planned: planned.clone(),
                own: version(),
            }),
        }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What its points are for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.head.kind
    }

    /// The command that does the same on one machine.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.head.command
    }

    /// What whoever collects the rows must know.
    #[must_use]
    pub fn about(&self) -> &Value {
        &self.head.about
    }

    /// Its points, in their order.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Its scenarios, in their order, by their hashes.
    pub fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.head.scenarios.iter()
    }

    /// Loads the scenarios that these hashes name.
    ///
    /// # Errors
    /// A file that is damaged or cannot be read.
    pub fn scenarios<'h>(
        &self,
        wanted: impl IntoIterator<Item = &'h Hash>,
    ) -> Result<BTreeMap<Hash, Arc<Scenario>>, BadPlan> {
        let mut loaded = BTreeMap::new();
        for hash in wanted {
            if loaded.contains_key(hash) {
                continue;
            }
            let path = self.folder.join(PLAN_FILE);
            let kept = self.head.scenarios.iter().find(|kept| kept.hash == *hash).ok_or_else(|| {
                let why = format!("a point is of the scenario {hash}, which is none of the plan's");
                BadPlan::Damaged { path, why }
            })?;
            loaded.insert(hash.clone(), Arc::new(self.load(kept)?));
        }
        Ok(loaded)
    }

    fn load(&self, kept: &Kept) -> Result<Scenario, BadPlan> {
        let changed = |path: &Path| BadPlan::Damaged {
            path: path.to_owned(),
            why: "it is not the file that was planned".to_owned(),
        };
        let path = scenario_path(&self.folder, kept);
        let scenario = text(&path)?;
        if Hash::of(scenario.as_bytes()) != kept.text {
            return Err(changed(&path));
        }
        let trace = trace_path(&self.folder, kept);
        if let (Some(path), Some(trace)) = (&trace, &kept.trace)
            && Hash::of(text(path)?.as_bytes()) != trace.file
        {
            return Err(changed(path));
        }
        Ok(kept.scenario(scenario, trace.as_deref())?)
    }
}

fn scenario_path(folder: &Path, kept: &Kept) -> PathBuf {
    folder.join(SCENARIOS).join(format!("{}.toml", kept.text))
}

fn trace_path(folder: &Path, kept: &Kept) -> Option<PathBuf> {
    Some(folder.join(TRACES).join(format!("{}.csv", kept.trace.as_ref()?.file)))
}

fn text(path: &Path) -> Result<String, BadPlan> {
    let unreadable = |why: String| BadPlan::Unreadable { path: path.to_owned(), why };
    let bytes = input::read(path, MOST_BYTES).map_err(|error| unreadable(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| unreadable(error.to_string()))
}

fn pretty(head: &Head) -> String {
    // None of its fields fails to be written.
    serde_json::to_string_pretty(head).unwrap_or_default() + "\n"
}

/// An array with a point on each line, for eyes and for `diff`.
fn array(points: &[Point]) -> String {
    let lines: Vec<String> =
        points.iter().map(|point| serde_json::to_string(point).unwrap_or_default()).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}
