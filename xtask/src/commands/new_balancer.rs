//! `cargo xtask new-balancer`: a crate for a balancing policy of your own, ready to run.

mod template;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::{bad_input, tools};
use crate::output::{say, tell};

/// How it is called, and where it goes.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Name of the policy, such as my-idea
    name: String,
    /// The workspace, if it is not the one that this program was built from
    #[arg(long, value_name = "DIR", hide = true)]
    workspace: Option<PathBuf>,
}

/// Where policies are registered.
const REGISTRY: &str = "crates/balancers/policy-catalogue/src/lib.rs";
/// Where they are dependencies.
const MANIFEST: &str = "crates/balancers/policy-catalogue/Cargo.toml";
/// Where all crates are listed.
const MAP: &str = "ARCHITECTURE.md";
/// New rows of the map go above this one.
const ROW: &str = "| [`policy-conformance`](crates/balancers/policy-conformance) |";
/// New entries of the registry go above this line.
const MARKER: &str = "    // New ones go above this line.\n";
/// As long as a name may be: it heads columns of tables.
const LONGEST: usize = 24;

/// Makes the crate and registers it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = args.workspace.clone().unwrap_or_else(tools::workspace_root);
    let name = args.name.as_str();
    check_name(name).map_err(bad_input)?;
    let folder = root.join("crates/balancers").join(name);
    if folder.exists() || policy_catalogue::names().any(|known| known == name) {
        return Err(bad_input(format!(
            "there is a policy {name:?} already{}; choose another name",
            if folder.exists() { format!(", in {}", folder.display()) } else { String::new() }
        )));
    }
    // Everything is read and made before anything is written.
    let read = |path: &str| {
        let path = root.join(path);
        std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}: is this the workspace?", path.display()))
    };
    let (registry, manifest, map) = (read(REGISTRY)?, read(MANIFEST)?, read(MAP)?);
    let files = [
        (folder.join("Cargo.toml"), template::manifest(name)),
        (folder.join("src/lib.rs"), template::library(name)),
        (root.join(REGISTRY), registered(&registry, name)?),
        (root.join(MANIFEST), depended_on(&manifest, name)?),
        (root.join(MAP), mapped(&map, name)?),
    ];
    if let Err(error) = write(&files) {
        // Half a crate would break the workspace.
        let _gone = std::fs::remove_dir_all(&folder);
        let _back = std::fs::write(root.join(REGISTRY), registry);
        let _back = std::fs::write(root.join(MANIFEST), manifest);
        let _back = std::fs::write(root.join(MAP), map);
        return Err(error);
    }
    tell!(
        "crates/balancers/{name}/src/lib.rs is the policy, with its conformance test: start there.\nIt is registered in {REGISTRY} \
         and {MANIFEST}, and has a row in {MAP}.\n"
    );
    say!(
        "  cargo test -p balancer-{name}\n  cargo xtask scenario multi-vm --policy {name}\n  cargo xtask compare --policies hyperv,{name}"
    );
    Ok(())
}

fn write(files: &[(PathBuf, String)]) -> Result<()> {
    for (path, text) in files {
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(path, text))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Whether a name can be that of a crate and of a policy; if not, why not, and what could be meant.
fn check_name(name: &str) -> Result<(), String> {
    let good = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.split('-').all(|part| {
                !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            })
    };
    let wrong = if name.len() > LONGEST {
        format!("longer than {LONGEST} characters")
    } else if !good(name) {
        "not of the form".to_owned()
    } else {
        return Ok(());
    };
    let near = suggestion(name);
    let near = if good(&near) { format!("; how about {near:?}?") } else { String::new() };
    Err(format!(
        "{name:?} cannot be the name of a policy ({wrong}): it must be small letters, digits and single hyphens, begin with a letter, \
         and have no more than {LONGEST} characters, such as \"my-idea\"{near}"
    ))
}

/// The nearest good name.
fn suggestion(name: &str) -> String {
    let mut near = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase()
            && near.ends_with(|last: char| last.is_ascii_lowercase() || last.is_ascii_digit())
        {
            near.push('-');
        }
        near.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    }
    let parts: Vec<&str> = near.split('-').filter(|part| !part.is_empty()).collect();
    let near: String = parts.join("-").chars().take(LONGEST).collect();
    near.trim_end_matches('-').trim_start_matches(|c: char| !c.is_ascii_lowercase()).to_owned()
}

/// The registry with the policy in it.
fn registered(registry: &str, name: &str) -> Result<String> {
    let place = registry.find(MARKER).with_context(|| {
        format!("{REGISTRY} has no line `{}`: it shows where new policies go", MARKER.trim())
    })?;
    let mut text = registry.to_owned();
    text.insert_str(place, &template::entry(name));
    Ok(text)
}

/// The code map with a row for the policy.
fn mapped(map: &str, name: &str) -> Result<String> {
    let place = map.find(ROW).with_context(|| {
        format!("{MAP} has no row for policy-conformance: it shows where rows of new policies go")
    })?;
    let mut text = map.to_owned();
    text.insert_str(
        place,
        &format!("| [`{name}`](crates/balancers/{name}) | a policy of one's own | `lib.rs` |\n"),
    );
    Ok(text)
}

/// The manifest with the dependency in it, where it belongs in the order.
fn depended_on(manifest: &str, name: &str) -> Result<String> {
    let line = format!("balancer-{name} = {{ path = \"../{name}\" }}\n");
    let lines: Vec<&str> = manifest.split_inclusive('\n').collect();
    let is_balancer = |line: &&str| line.starts_with("balancer-");
    let after = lines
        .iter()
        .rposition(|other| is_balancer(other) && *other < line.as_str())
        .map(|at| at + 1)
        .or_else(|| lines.iter().position(is_balancer))
        .with_context(|| format!("{MANIFEST} has no dependency on a balancer: it shows where new ones go"))?;
    let (before, behind) = lines.split_at(after);
    Ok(before.concat() + &line + &behind.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_workspace(path: &str) -> String {
        std::fs::read_to_string(tools::workspace_root().join(path)).unwrap()
    }

    #[test]
    fn names() {
        for good in ["mine", "my-idea", "v2", "a-1-b"] {
            assert_eq!(check_name(good), Ok(()));
        }
        for (bad, near) in [
            ("MyIdea", Some("my-idea")),
            ("my_idea", Some("my-idea")),
            ("my idea!", Some("my-idea")),
            ("2fast", Some("fast")),
            ("a--b", Some("a-b")),
            ("../evil", Some("evil")),
            ("", None),
            ("über", Some("ber")),
        ] {
            let said = check_name(bad).unwrap_err();
            match near {
                Some(near) => assert!(said.contains(&format!("how about {near:?}?")), "{said}"),
                None => assert!(!said.contains("how about"), "{said}"),
            }
        }
        assert!(check_name("a-name-that-is-far-too-long").unwrap_err().contains("longer than 24"));
    }

    #[test]
    fn the_registry_and_the_manifest_take_a_new_one() {
        let registry = registered(&of_workspace(REGISTRY), "my-idea").unwrap();
        let entry = registry.find("balancer_my_idea::MyIdea::NAME").unwrap();
        assert!(entry < registry.find(MARKER).unwrap());
        let manifest = depended_on(&of_workspace(MANIFEST), "my-idea").unwrap();
        let balancers: Vec<&str> = manifest.lines().filter(|line| line.starts_with("balancer-")).collect();
        assert!(balancers.contains(&"balancer-my-idea = { path = \"../my-idea\" }"));
        assert!(balancers.is_sorted(), "{balancers:?}");
        assert!(depended_on("[dependencies]\n", "my-idea").is_err());
        assert!(registered("", "my-idea").is_err());
        let map = mapped(&of_workspace(MAP), "my-idea").unwrap();
        assert!(map.contains("\n| [`my-idea`](crates/balancers/my-idea) |"), "{map}");
        assert!(mapped("", "my-idea").is_err());
    }

    #[test]
    fn what_exists_is_not_touched() {
        for name in ["static", "hyperv"] {
            let error = run(&Args { name: name.to_owned(), workspace: None }).unwrap_err();
            assert!(
                error.is::<crate::commands::BadInput>() && error.to_string().contains("already"),
                "{error}"
            );
        }
    }
}
