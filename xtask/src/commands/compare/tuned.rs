//! Sets of parameters that `cargo xtask tune` found, as contestants beside their policies.

use std::path::{Path, PathBuf};

use policy_comparison::Contestant;

/// What `tune` calls the file with what it found.
const FILE: &str = "policy.toml";

/// Bytes of such a file at most: it has a dozen lines. Invented.
const MOST_BYTES: u64 = 1 << 20;

/// A policy with parameters, and which policy it is.
pub(super) struct Tuned {
    policy: String,
    contestant: Contestant,
}

/// What the files say; or all that is wrong with them.
pub(super) fn contestants(paths: &[PathBuf]) -> Result<Vec<Tuned>, Vec<String>> {
    let (mut tuned, mut wrong) = (Vec::new(), Vec::new());
    for path in paths {
        match files(path) {
            Ok(files) => {
                for file in files {
                    match read(&file) {
                        Ok(found) => tuned.extend(found),
                        Err(why) => wrong.push(format!("{}: {why}", file.display())),
                    }
                }
            }
            Err(why) => wrong.push(format!("{}: {why}", path.display())),
        }
    }
    if wrong.is_empty() { Ok(tuned) } else { Err(wrong) }
}

/// Puts each behind the last contestant of its policy, or at the end if there is none.
pub(super) fn put_beside(contestants: &mut Vec<Contestant>, tuned: Vec<Tuned>) {
    for Tuned { policy, contestant } in tuned {
        let of_policy = |other: &Contestant| other.text().split(':').next() == Some(&policy);
        let at = contestants.iter().rposition(of_policy).map_or(contestants.len(), |at| at + 1);
        contestants.insert(at, contestant);
    }
}

/// The file itself; of a folder its own `policy.toml`, or what is in it: files of TOML, and folders of `tune`, by their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    if path.join(FILE).exists() {
        return Ok(vec![path.join(FILE)]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| error.to_string())?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?.path();
            let of_tune = entry.join(FILE);
            if of_tune.exists() {
                return Some(of_tune);
            }
            (entry.is_file() && entry.extension().is_some_and(|extension| extension == "toml"))
                .then_some(entry)
        })
        .collect();
    found.sort();
    if found.is_empty() {
        return Err(format!(
            "nothing that `cargo xtask tune` leaves is in this folder: no {FILE}, nor folders with one"
        ));
    }
    Ok(found)
}

/// What a file says; nothing where no set was better than the published parameters, which take part anyway.
fn read(path: &Path) -> Result<Option<Tuned>, String> {
    let bytes = input_file::read(path, MOST_BYTES).map_err(|error| error.to_string())?;
    let text = input_file::decode(bytes).map_err(|error| error.to_string())?;
    let mut file: toml::Table = toml::from_str(&text).map_err(|error| error.to_string())?;
    let Some(toml::Value::Table(mut policy)) = file.remove("policy") else {
        return Err(format!("there is no [policy]: this is no {FILE} of `cargo xtask tune`"));
    };
    let Some(toml::Value::String(name)) = policy.remove("name") else {
        return Err("[policy] has no name".to_owned());
    };
    let parameters = match policy.remove("parameters") {
        None => toml::Table::new(),
        Some(toml::Value::Table(parameters)) => parameters,
        Some(_) => return Err("parameters of [policy] are a table: [policy.parameters]".to_owned()),
    };
    let text = Contestant::text_of(&name, &format!("{name} tuned"), &parameters);
    let contestant = Contestant::named(&text).map_err(|error| error.to_string())?;
    Ok((!parameters.is_empty()).then_some(Tuned { policy: name, contestant }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    const MOM: &str = "[policy]\nname = \"mom\"\n";
    const HYPERV: &str =
        "[policy]\nname = \"hyperv\"\n\n[policy.parameters]\nhold = \"2m\"\nhalf_width = 3.5\n";

    #[test]
    fn each_stands_behind_its_policy() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "b/policy.toml", HYPERV);
        write(folder.path(), "a.toml", MOM);
        write(folder.path(), "notes.txt", "no matter");
        let beside = |policies: &[&str]| {
            let tuned = contestants(&[folder.path().to_owned()]).unwrap_or_else(|wrong| panic!("{wrong:?}"));
            let named = policies.iter().map(|name| Contestant::named(name).unwrap());
            let mut all: Vec<Contestant> = named.collect();
            put_beside(&mut all, tuned);
            all
        };
        let all = beside(&["hyperv", "esx"]);
        let names: Vec<&str> = all.iter().map(Contestant::name).collect();
        // Of mom nothing was found that is better.
        assert_eq!(names, ["hyperv", "hyperv tuned", "esx"]);
        assert_eq!(beside(&["esx"])[1].name(), "hyperv tuned");
        assert_eq!(all[1].text(), "hyperv:as=hyperv tuned:half_width=3.5:hold=2m");
        // A folder of `tune` itself.
        assert_eq!(contestants(&[folder.path().join("b")]).map_err(|_| ()).unwrap().len(), 1);
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [
            write(folder.path(), "load.toml", "until = \"1h\"\n"),
            write(folder.path(), "nameless.toml", "[policy]\n"),
            write(
                folder.path(),
                "typo.toml",
                "[policy]\nname = \"hyperv\"\n[policy.parameters]\nholt = \"2m\"\n",
            ),
            write(folder.path(), "broken.toml", "[policy\n"),
            folder.path().join("there-is-none.toml"),
        ];
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        let mut all = paths.to_vec();
        all.push(folder.path().join("empty"));
        let wrong = contestants(&all).map(|_| ()).unwrap_err();
        let expected =
            ["no [policy]", "has no name", "holt", "broken.toml", "there-is-none.toml", "nothing that"];
        assert_eq!(wrong.len(), expected.len(), "{wrong:?}");
        for (line, part) in wrong.iter().zip(expected) {
            assert!(line.contains(part), "{line}: {part}");
        }
    }
}
