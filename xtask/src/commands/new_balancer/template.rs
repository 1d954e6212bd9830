//! What a new policy begins with.

/// Type names that would hide one that the crate uses, or are no type names at all.
const TAKEN: [&str; 16] = [
    "Config",
    "Default",
    "HostView",
    "Option",
    "PageCount",
    "Policy",
    "Proposal",
    "Reason",
    "Result",
    "Self",
    "Serialize",
    "Deserialize",
    "Send",
    "Some",
    "None",
    "VmView",
];

/// The name of the policy's type: `my-idea` is `MyIdea`.
fn type_name(name: &str) -> String {
    let capital = |part: &str| {
        let mut chars = part.chars();
        chars.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
    };
    let plain: String = name.split('-').map(capital).collect();
    if TAKEN.contains(&plain.as_str()) { plain + "Balancer" } else { plain }
}

/// `Cargo.toml`.
pub(super) fn manifest(name: &str) -> String {
    MANIFEST.replace("@NAME@", name)
}

/// `src/lib.rs`.
pub(super) fn library(name: &str) -> String {
    LIBRARY.replace("my-idea", name).replace("MyIdea", &type_name(name))
}

/// The entry of the registry.
pub(super) fn entry(name: &str) -> String {
    ENTRY
        .replace("@CRATE@", &format!("balancer_{}", name.replace('-', "_")))
        .replace("@TYPE@", &type_name(name))
}

const MANIFEST: &str = r#"[package]
name = "balancer-@NAME@"
description = "A balancing policy of my own"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
publish.workspace = true

[lints]
workspace = true

[dependencies]
balancing-policy.workspace = true
serde.workspace = true

[dev-dependencies]
policy-conformance.workspace = true
"#;

const ENTRY: &str = r"    PolicyEntry {
        name: @CRATE@::@TYPE@::NAME,
        summary: @CRATE@::@TYPE@::SUMMARY,
        make: |parameters| made(parameters, @CRATE@::@TYPE@::new),
    },
";

/// As the book shows it, for a policy called `my-idea`.
const LIBRARY: &str = include_str!("library.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_after_their_policy() {
        for (name, expected) in
            [("my-idea", "MyIdea"), ("v2", "V2"), ("policy", "PolicyBalancer"), ("self", "SelfBalancer")]
        {
            assert_eq!(type_name(name), expected);
        }
    }

    #[test]
    fn nothing_is_left_open() {
        for text in [manifest("other"), library("other"), entry("other")] {
            assert!(!text.contains('@') && !text.contains("my-idea") && !text.contains("MyIdea"), "{text}");
            assert!(text.contains("other"), "{text}");
        }
    }
}
