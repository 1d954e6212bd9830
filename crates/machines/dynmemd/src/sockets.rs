//! Where sockets of VMs are looked for: patterns, and whether there can be other ones than the last time.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Every so many times all is looked at, whatever folders say. Invented: a folder that says nothing of a change would be a surprise.
const LOOK_AT_ALL: u32 = 5;
/// A folder that was changed so short a time before it was looked at may be changed again without saying so: times of files are as coarse as a
/// kernel's tick, or a second. Invented.
const COARSE: Duration = Duration::from_secs(2);

/// Finds what patterns name.
#[derive(Debug)]
pub(crate) struct Sockets {
    patterns: Vec<Pattern>,
    looks: u32,
}

#[derive(Debug)]
struct Pattern {
    text: String,
    /// The folder of all that it can name; `None`: that may be several.
    folder: Option<PathBuf>,
    /// When that was changed, before the last look; `None`: there may be something new in it.
    changed: Option<SystemTime>,
}

impl Pattern {
    fn new(text: &str) -> Self {
        let folder =
            Path::new(text).parent().filter(|folder| !folder.to_string_lossy().contains(['*', '?', '[']));
        Self { text: text.to_owned(), folder: folder.map(Path::to_owned), changed: None }
    }

    /// Whether there can be something new, when it is `now`.
    fn has_news(&mut self, now: SystemTime) -> bool {
        let changed = self.folder.as_ref().and_then(|folder| {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            folder.metadata().ok()?.modified().ok()
        });
        // Of the future, or as good as now: it may be changed again in that time.
        let changed = changed.filter(|changed| now.duration_since(*changed).is_ok_and(|age| age >= COARSE));
        changed.is_none() || std::mem::replace(&mut self.changed, changed) != changed
    }
}

impl Sockets {
    pub(crate) fn new(patterns: &[String]) -> Self {
        Self { patterns: patterns.iter().map(|text| Pattern::new(text)).collect(), looks: 0 }
    }

    /// What there is when it is `now`; `None`: what there was the last time.
    pub(crate) fn look(&mut self, now: SystemTime) -> Option<Vec<PathBuf>> {
        let mut news = self.looks.is_multiple_of(LOOK_AT_ALL);
        self.looks = self.looks.wrapping_add(1);
        for pattern in &mut self.patterns {
            news |= pattern.has_news(now);
        }
        news.then(|| {
            let found = self.patterns.iter().filter_map(|pattern| glob::glob(&pattern.text).ok());
            // What cannot be read now may be readable next time.
            found.flat_map(|paths| paths.filter_map(Result::ok)).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, create_dir, remove_file, rename};

    use super::*;

    /// A pattern below a folder, looked at after the first look, long after the folder was changed.
    struct Looked {
        folder: tempfile::TempDir,
        sockets: Sockets,
        now: SystemTime,
    }

    impl Looked {
        fn new(pattern: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            create_dir(folder.path().join("a")).unwrap();
            File::create(folder.path().join("1.qmp")).unwrap();
            let sockets = Sockets::new(&[folder.path().join(pattern).display().to_string()]);
            let now = folder.path().metadata().unwrap().modified().unwrap();
            Self { folder, sockets, now }
        }

        /// Names of what is found `seconds` later.
        fn look(&mut self, seconds: u64) -> Option<Vec<String>> {
            self.now += Duration::from_secs(seconds);
            let found = self.sockets.look(self.now)?;
            Some(
                found
                    .iter()
                    .map(|path| path.strip_prefix(self.folder.path()).unwrap().display().to_string())
                    .collect(),
            )
        }

        fn names(names: &[&str]) -> Option<Vec<String>> {
            Some(names.iter().map(|name| (*name).to_owned()).collect())
        }
    }

    #[test]
    fn a_folder_that_was_not_changed_is_not_looked_through() {
        let mut looked = Looked::new("*.qmp");
        // Just changed, and then for the first time seen as it will stay.
        assert_eq!(looked.look(0), Looked::names(&["1.qmp"]));
        assert_eq!(looked.look(2), Looked::names(&["1.qmp"]));
        assert_eq!((looked.look(2), looked.look(2)), (None, None));
    }

    #[test]
    fn whatever_comes_goes_or_is_replaced_is_looked_for() {
        let mut looked = Looked::new("*.qmp");
        looked.look(0);
        looked.look(10);
        assert_eq!(looked.look(2), None);
        let path = looked.folder.path().to_owned();
        let later = |seconds: u64| {
            let folder = File::open(&path).unwrap();
            folder
                .set_modified(folder.metadata().unwrap().modified().unwrap() + Duration::from_secs(seconds))
                .unwrap();
        };
        File::create(path.join("2.qmp")).unwrap();
        later(3);
        assert_eq!(looked.look(2), Looked::names(&["1.qmp", "2.qmp"]));
        File::create(path.join("new")).unwrap();
        rename(path.join("new"), path.join("2.qmp")).unwrap();
        later(5);
        assert!(looked.look(2).is_some());
        remove_file(path.join("1.qmp")).unwrap();
        later(9);
        assert_eq!(looked.look(10), Looked::names(&["2.qmp"]));
    }

    #[test]
    fn of_several_folders_all_is_looked_at_each_time() {
        let mut looked = Looked::new("*/*.qmp");
        assert_eq!(looked.look(10), Looked::names(&[]));
        // The upper folder is as it was.
        File::create(looked.folder.path().join("a/3.qmp")).unwrap();
        assert_eq!(looked.look(2), Looked::names(&["a/3.qmp"]));
        assert_eq!(looked.look(2), Looked::names(&["a/3.qmp"]));
    }

    #[test]
    fn now_and_then_all_is_looked_at_whatever_folders_say() {
        let mut looked = Looked::new("*.qmp");
        let found: Vec<bool> = (0..12).map(|_| looked.look(10).is_some()).collect();
        // The first, and every fifth from then on.
        let expected = [0, 5, 10];
        assert!(found.iter().enumerate().all(|(at, found)| *found == expected.contains(&at)), "{found:?}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_looked_for() {
        let mut sockets = Sockets::new(&["/nowhere/at/all/*.qmp".to_owned(), "relative*.qmp".to_owned()]);
        assert_eq!(sockets.look(SystemTime::UNIX_EPOCH), Some(Vec::new()));
        assert_eq!(sockets.look(SystemTime::UNIX_EPOCH), Some(Vec::new()));
    }
}
