//! What one run of a sweep is.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Hash;

/// What a point is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A policy on a load, or the load on a well-provisioned host: a row of measures.
    Compare,
    /// The checks of a scenario with one seed: a row of verdicts.
    Verify,
    /// Every invariant of a run: a row that says whether they held.
    Explore,
    /// A host of a sizing: a row that says what its VMs went through.
    Size,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Compare => "compare",
            Self::Verify => "verify",
            Self::Explore => "explore",
            Self::Size => "size",
        })
    }
}

/// All that a row depends on. Two points that are alike have one name, and one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What it is run for.
    pub kind: Kind,
    /// Version of the model.
    pub version: String,
    /// The scenario, by its content.
    pub scenario: Hash,
    /// The scenario's name, for readers.
    pub name: String,
    /// The balancing policy in place of the scenario's. In a comparison `None` is the well-provisioned host.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy: Option<String>,
    /// What else is set, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub parameters: BTreeMap<String, String>,
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// End of the run in place of the scenario's, such as `35m`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<String>,
    /// VM seconds of virtual time: what the point costs, beside others of its sweep.
    pub vm_seconds: u64,
}

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Its name: the hash of all the rest.
    pub point: Hash,
    /// All the rest.
    #[serde(flatten)]
    pub settings: Settings,
}

impl Point {
    /// The point of these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { point: settings.hash(), settings }
    }

    /// Whether its name is that of what it says.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.settings.hash() == self.point
    }
}

impl Settings {
    fn hash(&self) -> Hash {
        // The fields stand in the order of the struct and maps are sorted; nothing in them fails to be written.
        Hash::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { kind, name, policy, parameters, seed, .. } = &self.settings;
        write!(f, "{} ({kind} {name}", self.point)?;
        if let Some(policy) = policy {
            write!(f, ", policy {policy}")?;
        } else if *kind == Kind::Compare {
            f.write_str(", well-provisioned host")?;
        }
        // How often runs are looked at is the same for all points of a sweep, and tells none from another.
        for (key, value) in parameters.iter().filter(|(key, _)| *key != "sample_interval") {
            write!(f, ", {} {}", key.replace('_', " "), short(value))?;
        }
        write!(f, ", seed {seed})")
    }
}

/// A value for one line: of a long one its beginning.
fn short(value: &str) -> String {
    const MOST: usize = 40;
    match value.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn settings() -> Settings {
        Settings {
            kind: Kind::Compare,
            version: "0.1.0+0123456789abcdef".to_owned(),
            scenario: Hash::of(b"text"),
            name: "churn".to_owned(),
            policy: Some("hyperv".to_owned()),
            parameters: BTreeMap::new(),
            seed: 1,
            until: None,
            vm_seconds: 60,
        }
    }

    #[test]
    fn a_point_is_named_by_everything_that_it_says() {
        let point = Point::new(settings());
        let text = serde_json::to_string(&point).unwrap();
        assert_eq!(serde_json::from_str::<Point>(&text).unwrap(), point);
        assert!(point.is_whole());
        let others = [
            Settings { kind: Kind::Explore, ..settings() },
            Settings { version: "0.2.0".to_owned(), ..settings() },
            Settings { scenario: Hash::of(b"another"), ..settings() },
            Settings { name: "other".to_owned(), ..settings() },
            Settings { policy: None, ..settings() },
            Settings { parameters: [("schedule_seed".to_owned(), "1".to_owned())].into(), ..settings() },
            Settings { seed: 2, ..settings() },
            Settings { until: Some("1m".to_owned()), ..settings() },
            Settings { vm_seconds: 61, ..settings() },
        ];
        let mut names: std::collections::BTreeSet<Hash> = others.map(|other| Point::new(other).point).into();
        assert!(names.insert(point.point.clone()) && names.len() == 10);
        let changed = Point { settings: Settings { seed: 2, ..settings() }, ..point };
        assert!(!changed.is_whole());
    }

    /// The name of a point is a promise to rows on somebody's disk: whoever changes it changes the format.
    #[test]
    fn the_name_of_a_point_stays() {
        let point = Point::new(settings());
        let text = "{\"kind\":\"compare\",\"version\":\"0.1.0+0123456789abcdef\",\"scenario\":\"982d9e3eb996f559e633f4d194def376\",\
                    \"name\":\"churn\",\"policy\":\"hyperv\",\"seed\":1,\"vm_seconds\":60}";
        assert_eq!(serde_json::to_string(&point.settings).unwrap(), text);
        assert_eq!(point.point, Hash::of(text.as_bytes()));
    }

    #[test]
    fn a_point_says_what_it_is() {
        let point = Point::new(settings());
        assert_eq!(point.to_string(), format!("{} (compare churn, policy hyperv, seed 1)", point.point));
        let provisioned = Point::new(Settings { policy: None, ..settings() }).to_string();
        assert!(provisioned.ends_with("(compare churn, well-provisioned host, seed 1)"), "{provisioned}");
    }
}
