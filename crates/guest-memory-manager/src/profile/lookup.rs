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
/// Enterprise x64`), in any case. Architecture and edition may be left out: x64 before x86, Enterprise (the edition that
/// [A] used) before the others.
///
/// # Errors
/// If there is no such profile; the error names the nearest.
pub fn find_profile(name: &str) -> Result<&'static GuestProfile, UnknownProfile> {
    let wanted = normalised(name);
    let matches = |profile: &&GuestProfile| {
        let (key, full) = (normalised(&profile.key()), normalised(&profile.to_string()));
        let product = [normalised(profile.family.key), normalised(profile.family.product)];
        let without_architecture = |of: &str| of[..of.len() - "x64".len()] == wanted;
        key == wanted
            || full == wanted
            || without_architecture(&key)
            || without_architecture(&full)
            || product.contains(&wanted)
            || product.iter().any(|p| format!("{p}{}", profile.architecture) == wanted)
    };
    let preference = |profile: &&GuestProfile| (profile.edition != Edition::Enterprise, profile.architecture);
    profiles().iter().filter(matches).min_by_key(preference).ok_or_else(|| {
        let nearest = profiles().iter().min_by_key(|p| {
            distance(&wanted, &normalised(&p.key())).min(distance(&wanted, &normalised(&p.to_string())))
        });
        UnknownProfile { name: name.to_owned(), nearest: nearest.map_or_else(String::new, GuestProfile::key) }
    })
}

/// Letters and digits in lower case: separators and case do not distinguish names.
fn normalised(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect()
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
