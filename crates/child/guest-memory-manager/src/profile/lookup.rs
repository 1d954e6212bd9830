//! Finding a profile by the word a configuration uses.

use super::{Edition, GuestProfile, profiles};

/// There is no profile of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown guest {name:?}; the nearest is {nearest:?}")]
pub struct UnknownProfile {
    /// What was asked for.
    pub name: String,
    /// Key of the profile whose name is most like it.
    pub nearest: String,
}

/// The profile of a name: its key (`ws2008-r2-sp1-enterprise-x64`) or its full name (`Windows Server 2008 R2 SP1
/// Enterprise x64`), in any case and with its words in any order (\[A\] writes "Windows Server 2003 R2 Enterprise SP2").
/// Architecture and edition may be left out: x64 comes before x86, Enterprise (the edition that \[A\] used) before the
/// others.
///
/// # Errors
/// If there is no such profile; the error names the nearest.
pub fn find_profile(name: &str) -> Result<&'static GuestProfile, UnknownProfile> {
    let wanted = Words::of(name);
    let matches = |profile: &&GuestProfile| {
        let optional = [profile.edition.key().to_owned(), profile.architecture.to_string()];
        [profile.family.key, profile.family.product]
            .into_iter()
            .any(|product| wanted.name(product, &optional))
    };
    let preference = |profile: &&GuestProfile| (profile.edition != Edition::Enterprise, profile.architecture);
    profiles().iter().filter(matches).min_by_key(preference).ok_or_else(|| {
        let wanted = normalised(name);
        let nearest = profiles().iter().min_by_key(|profile| {
            let (key, full) = (normalised(&profile.key()), normalised(&profile.to_string()));
            distance(&wanted, &key).min(distance(&wanted, &full))
        });
        UnknownProfile { name: name.to_owned(), nearest: nearest.map_or_else(String::new, GuestProfile::key) }
    })
}

/// The words of a name, in lower case and sorted.
#[derive(Debug, PartialEq, Eq)]
struct Words(Vec<String>);

impl Words {
    fn of(name: &str) -> Self {
        let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let mut words: Vec<String> = words.map(str::to_ascii_lowercase).collect();
        words.sort();
        words.dedup();
        Self(words)
    }

    /// Whether these are all words of the product, and beside them only optional ones.
    fn name(&self, product: &str, optional: &[String]) -> bool {
        let required = Self::of(product).0;
        required.iter().all(|word| self.0.contains(word))
            && self.0.iter().all(|word| required.contains(word) || optional.contains(word))
    }
}

/// Letters and digits in lower case: separators and case do not distinguish names.
fn normalised(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Edit distance (Levenshtein), of at most the first 80 letters.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(80).collect();
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (i, letter) in b.chars().take(80).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in a.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[a.len()]
}
