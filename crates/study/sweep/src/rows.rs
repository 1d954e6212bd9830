//! Rows: what points have come to, on a file system that many share.
//!
//! A row is one file, named by its point, that is there whole or not at all. Workers that run the same point write the same bytes, so it does not
//! matter which of them comes last. No file is ever changed, and no lock is taken: file systems that are shared keep few promises about locks.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{UNFINISHED, write_whole};
use super::{Hash, Point};

/// Ending of a row.
const ROW: &str = "row";
/// Ending of what says why there is no row.
const FAILED: &str = "failed";
/// Where workers note what they ran and how long it took.
const LOG: &str = "log";
/// Bytes that are read of a row. Invented; a thousand times what rows have.
const MOST_BYTES: u64 = 64 << 20;

/// A folder of rows.
#[derive(Clone, Debug)]
pub struct Rows {
    folder: PathBuf,
}

/// What is there of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Its row: one line of JSON.
    Row(String),
    /// Nothing.
    Missing,
    /// It was run and failed, for this reason.
    Failed(String),
    /// A file that is no row of the point, and why not. The point is run again.
    Corrupt(PathBuf, String),
}

/// The first line of a row.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    point: Hash,
    version: String,
    /// Of the second line.
    check: Hash,
}

/// What a worker notes of a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The point.
    pub point: Hash,
    /// Seconds of one core that it took.
    pub seconds: f64,
    /// VM seconds of virtual time.
    pub vm_seconds: u64,
}

impl Rows {
    /// The rows of this folder, which need not exist yet.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the row of a point is. Rows are spread over 256 folders: one with a hundred thousand files is slow on a shared file system.
    #[must_use]
    pub fn path(&self, point: &Hash) -> PathBuf {
        self.place(point, ROW)
    }

    fn place(&self, point: &Hash, ending: &str) -> PathBuf {
        self.folder.join(&point.as_str()[..2]).join(format!("{point}.{ending}"))
    }

    /// What is there of a point.
    #[must_use]
    pub fn look(&self, point: &Point) -> Found {
        let path = self.path(&point.point);
        match read(&path, point) {
            Read::Text(row) => Found::Row(row),
            Read::Wrong(why) => Found::Corrupt(path, why),
            Read::Nothing => match read(&self.place(&point.point, FAILED), point) {
                Read::Text(why) => Found::Failed(serde_json::from_str(&why).unwrap_or(why)),
                Read::Wrong(_) | Read::Nothing => Found::Missing,
            },
        }
    }

    /// Writes the row of a point: one line of JSON. It is there whole or not at all.
    ///
    /// # Errors
    /// The system's, such as a file system that is full. Nothing has changed then.
    pub fn write(&self, point: &Point, row: &str) -> io::Result<()> {
        if let Err(error) = self.put(point, ROW, row) {
            // Another worker may have written it meanwhile, and what was begun of it been taken away.
            return if self.look(point) == Found::Row(row.to_owned()) { Ok(()) } else { Err(error) };
        }
        // What failed before has not failed.
        match std::fs::remove_file(self.place(&point.point, FAILED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Notes why a point has no row.
    ///
    /// # Errors
    /// The system's.
    pub fn write_failure(&self, point: &Point, why: &str) -> io::Result<()> {
        self.put(point, FAILED, &serde_json::to_string(why)?)
    }

    fn put(&self, point: &Point, ending: &str, line: &str) -> io::Result<()> {
        let path = self.place(&point.point, ending);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let check = Hash::of(line.as_bytes());
        let head = Head { point: point.point.clone(), version: point.settings.version.clone(), check };
        write_whole(&path, format!("{}\n{line}\n", serde_json::to_string(&head)?).as_bytes())
    }

    /// Takes away a row that is none, so that nobody stumbles over it again.
    ///
    /// # Errors
    /// The system's; another who did it first is none.
    pub fn discard(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Takes away what workers that were killed had begun to write of rows that are there.
    pub fn tidy(&self, points: &[Point]) {
        let known: BTreeSet<&str> = points.iter().map(|point| point.point.as_str()).collect();
        let folders: BTreeSet<&str> = known.iter().map(|point| &point[..2]).collect();
        for folder in folders {
            for entry in std::fs::read_dir(self.folder.join(folder)).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let Some(begun) = name.to_str().and_then(|name| name.strip_prefix(UNFINISHED)) else {
                    continue;
                };
                let Some(point) = begun.get(..32).filter(|point| known.contains(point)) else { continue };
                if point.parse().is_ok_and(|point| self.path(&point).exists()) {
                    let _another_was_first = std::fs::remove_file(entry.path());
                }
            }
        }
    }

    /// A log for a worker of its own.
    pub(crate) fn log(&self) -> Option<std::fs::File> {
        let folder = self.folder.join(LOG);
        std::fs::create_dir_all(&folder).ok()?;
        let mut builder = tempfile::Builder::new();
        builder.prefix("worker-").suffix(".jsonl");
        let file = super::files::shared(&mut builder, 0o666).tempfile_in(folder).ok()?;
        Some(file.keep().ok()?.0)
    }

    /// What workers noted, of points that are in `points`; each once, by the last who ran it.
    #[must_use]
    pub fn notes(&self, points: &[Point]) -> Vec<Note> {
        let mut notes = std::collections::BTreeMap::new();
        for entry in std::fs::read_dir(self.folder.join(LOG)).into_iter().flatten().flatten() {
            let Ok(bytes) = input_file::read(&entry.path(), MOST_BYTES) else { continue };
            for line in String::from_utf8_lossy(&bytes).lines() {
                if let Ok(note) = serde_json::from_str::<Note>(line) {
                    notes.insert(note.point.clone(), note);
                }
            }
        }
        points.iter().filter_map(|point| notes.remove(&point.point)).collect()
    }
}

enum Read {
    Text(String),
    Nothing,
    Wrong(String),
}

fn read(path: &Path, point: &Point) -> Read {
    let bytes = match input_file::read(path, MOST_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Read::Nothing,
        Err(error) => return Read::Wrong(error.to_string()),
    };
    let wrong = |why: &str| Read::Wrong(why.to_owned());
    let Ok(text) = String::from_utf8(bytes) else { return wrong("it is no text") };
    let Some((head, rest)) = text.split_once('\n') else { return wrong("it ends in its first line") };
    let Some(line) = rest.strip_suffix('\n') else { return wrong("its end is missing") };
    let Ok(head) = serde_json::from_str::<Head>(head) else {
        return wrong("its first line is not that of a row");
    };
    if head.point != point.point {
        return Read::Wrong(format!("it is the row of the point {}", head.point));
    }
    if head.version != point.settings.version {
        return Read::Wrong(format!(
            "it is of version {}, and its point of {}",
            head.version, point.settings.version
        ));
    }
    if head.check != Hash::of(line.as_bytes()) {
        return wrong("its check sum does not match");
    }
    Read::Text(line.to_owned())
}

#[cfg(test)]
mod tests;
