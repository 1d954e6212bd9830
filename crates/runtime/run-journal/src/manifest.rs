//! `manifest.json`: what a run was and how to repeat it. The only file of a run directory that is not a function of
//! scenario, seeds and version alone.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{files::MANIFEST_FILE, recorder::EventsLevel};

/// Version of the manifest's format.
pub const FORMAT_VERSION: u32 = 1;

/// What a run was and how to repeat it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`].
    pub format: u32,
    /// The scenario.
    pub scenario: ScenarioIdentity,
    /// The balancing policy.
    pub policy: String,
    /// The random seeds.
    pub seeds: Seeds,
    /// `threads` or `inline`.
    pub driver: String,
    /// `virtual` or `wall`.
    pub clock: String,
    /// Virtual seconds for each second, with the wall clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    /// Virtual time at which the run was to end, such as `45m`.
    pub until: String,
    /// Date and time (UTC) of virtual time 0.
    pub epoch: String,
    /// Virtual time between two samples of the counters, such as `1s`.
    pub sample_interval: String,
    /// How much was recorded.
    pub events: EventsLevel,
    /// Version of the project.
    pub version: String,
    /// Commit of the project, if it was known when it was built; `-dirty` at its end for a changed tree.
    pub commit: Option<String>,
    /// The command that repeats the run.
    pub command: String,
    /// Pieces from outside of the project (a guest's kernel, for example), by what they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub artifacts: BTreeMap<String, Artifact>,
}

/// Which scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioIdentity {
    /// Its name.
    pub name: String,
    /// The file, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// SHA-256 of the file's text.
    pub sha256: String,
}

/// The random seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seeds {
    /// Of the loads.
    pub seed: u64,
    /// Of the schedule, if it was varied.
    pub schedule_seed: Option<u64>,
}

/// A piece from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Its version.
    pub version: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file itself.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Its text.
    #[error("{}: this is no manifest: {cause}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        cause: serde_json::Error,
    },
    /// Written by another version of this project.
    #[error("{}: the manifest has format {found}, this program reads format {FORMAT_VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
}

/// What can be said of a run whose manifest is cut off.
#[derive(Debug)]
pub struct ManifestPart {
    /// The balancing policy, if it is there.
    pub policy: Option<String>,
    /// Virtual time at which the run was to end, if it is there.
    pub until: Option<String>,
    /// Why there is no more. `None`: the manifest is whole.
    pub missing: Option<ManifestError>,
}

/// Bytes that are read of a manifest, which has about a thousand. Invented.
const MOST_BYTES: u64 = 16 << 20;

fn read_text(path: &Path) -> io::Result<String> {
    let bytes = input_file::read(path, MOST_BYTES)?;
    input_file::decode(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

impl Manifest {
    /// Reads what is whole of `manifest.json` of `directory`: all of it, or the entries before the place where it is cut off.
    ///
    /// # Errors
    /// See [`ManifestError`]; a text that merely ends too early is none.
    pub fn read_part(directory: &Path) -> Result<ManifestPart, ManifestError> {
        let error = match Self::read(directory) {
            Ok(Self { policy, until, .. }) => {
                return Ok(ManifestPart { policy: Some(policy), until: Some(until), missing: None });
            }
            Err(ManifestError::Text { path, cause }) if cause.is_eof() => ManifestError::Text { path, cause },
            Err(other) => return Err(other),
        };
        let path = directory.join(MANIFEST_FILE);
        let text = read_text(&path).map_err(|cause| ManifestError::Io { path, cause })?;
        let entry = |name: &str| {
            text.lines().find_map(|line| {
                let value = line.strip_prefix("  \"")?.strip_prefix(name)?.strip_prefix("\": ")?;
                serde_json::from_str(value.strip_suffix(',')?).ok()
            })
        };
        Ok(ManifestPart { policy: entry("policy"), until: entry("until"), missing: Some(error) })
    }

    /// Writes `manifest.json` in `directory`; never overwrites one.
    ///
    /// # Errors
    /// If the file exists or cannot be written.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        use io::Write as _;
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).open(directory.join(MANIFEST_FILE))?;
        file.write_all(text.as_bytes())
    }

    /// Reads `manifest.json` of `directory`.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn read(directory: &Path) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Format {
            format: u64,
        }
        let path = directory.join(MANIFEST_FILE);
        let text = read_text(&path).map_err(|cause| ManifestError::Io { path: path.clone(), cause })?;
        let bad = |cause| ManifestError::Text { path: path.clone(), cause };
        let Format { format } = serde_json::from_str(&text).map_err(bad)?;
        if format != u64::from(FORMAT_VERSION) {
            return Err(ManifestError::Version { path, found: format });
        }
        serde_json::from_str(&text).map_err(bad)
    }
}

/// SHA-256 of `bytes`, in hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use core::fmt::Write as _;
    let digest = hmac_sha256::Hash::hash(bytes);
    let mut text = String::with_capacity(64);
    for byte in digest {
        // Writing to a String does not fail.
        let _: core::fmt::Result = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT_VERSION,
            scenario: ScenarioIdentity {
                name: "multi-vm".to_owned(),
                file: Some("scenarios/multi-vm.toml".into()),
                sha256: sha256_hex(b"abc"),
            },
            policy: "hyperv".to_owned(),
            seeds: Seeds { seed: 1, schedule_seed: None },
            driver: "threads".to_owned(),
            clock: "virtual".to_owned(),
            speed: None,
            until: "45m".to_owned(),
            epoch: "2011-02-22T09:00:00Z".to_owned(),
            sample_interval: "1s".to_owned(),
            events: EventsLevel::All,
            version: "0.1.0".to_owned(),
            commit: None,
            command: "cargo xtask scenario multi-vm --seed 1".to_owned(),
            artifacts: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_written_is_read_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        manifest().write(directory.path()).unwrap();
        assert_eq!(Manifest::read(directory.path()).unwrap(), manifest());
        let again = manifest().write(directory.path()).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_manifest_that_is_cut_off_is_used_as_far_as_it_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(MANIFEST_FILE);
        manifest().write(directory.path()).unwrap();
        let text = read_text(&path).unwrap();
        let mut policies = 0;
        // Without the line's end alone it is whole.
        for length in 0..text.len() - 1 {
            std::fs::write(&path, &text[..length]).unwrap();
            let part = Manifest::read_part(directory.path()).unwrap();
            assert!(part.missing.is_some(), "{length}");
            assert!(part.policy.as_deref().is_none_or(|policy| policy == "hyperv"));
            assert!(part.until.as_deref().is_none_or(|until| until == "45m"));
            policies += usize::from(part.policy.is_some());
        }
        assert!(policies > 100);
        std::fs::write(&path, &text[..text.len() - 1]).unwrap();
        assert!(Manifest::read_part(directory.path()).unwrap().missing.is_none());
    }

    #[test]
    fn sha256_is_the_standard_one() {
        // FIPS 180-4, example "abc".
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(MANIFEST_FILE);
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Manifest::read(directory.path())
                .unwrap_err()
                .to_string()
                .replace(&path.display().to_string(), "M")
        };
        assert_eq!(read("{\"format\": 2}"), "M: the manifest has format 2, this program reads format 1");
        assert_eq!(read("{"), "M: this is no manifest: EOF while parsing an object at line 1 column 1");
        assert_eq!(
            read("{\"format\": 1}"),
            "M: this is no manifest: missing field `scenario` at line 1 column 13"
        );
        std::fs::remove_file(&path).unwrap();
        assert!(Manifest::read(directory.path()).unwrap_err().to_string().contains(MANIFEST_FILE));
    }
}
