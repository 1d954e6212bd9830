//! The reference of scenario files: every table with every key, and every check.

use core::fmt::Write as _;

use super::{
    checks::CHECKS,
    schema::{
        ACTIONS, BALANCER, CHECK, HOST, HOST_DISK, OPERATIONS, PARENT_OS, POLICY, ROOT, TRACE, TableDoc, VM,
        VM_DISK, VM_VARIANT,
    },
    workload,
};

/// Every table, in the order of the reference page.
pub fn reference() -> Vec<&'static TableDoc> {
    let mut tables = vec![
        &ROOT,
        &HOST,
        &PARENT_OS,
        &OPERATIONS,
        &HOST_DISK,
        &POLICY,
        &BALANCER,
        &TRACE,
        &VM,
        &VM_DISK,
        &VM_VARIANT,
    ];
    tables.extend(workload::KINDS.iter().map(|(_, doc)| *doc));
    tables.extend(ACTIONS.iter().map(|(_, doc)| *doc));
    tables.push(&CHECK);
    tables
}

/// The reference page of scenario files, in Markdown.
pub fn reference_markdown() -> String {
    let mut page = String::new();
    for table in reference() {
        let mut name = table.name.to_owned();
        name[..1].make_ascii_uppercase();
        let title = if table.name.starts_with('[') { format!("`{}`", table.name) } else { name };
        // Writing to a String does not fail.
        let _: core::fmt::Result = writeln!(page, "## {title}\n\n{}\n", table.summary);
        let _: core::fmt::Result = writeln!(page, "| key | value | default | meaning |\n|---|---|---|---|");
        for key in table.keys() {
            let cells = [&key.form.describe(), key.default, key.meaning].map(|cell| cell.replace('|', "\\|"));
            let _: core::fmt::Result = writeln!(page, "| `{}` | {} |", key.name, cells.join(" | "));
        }
        page.push('\n');
    }
    let _: core::fmt::Result = writeln!(page, "## Checks\n\n| name | unit | meaning |\n|---|---|---|");
    for check in CHECKS {
        let _: core::fmt::Result =
            writeln!(page, "| `{}` | {} | {} |", check.name, check.unit.unwrap_or("–"), check.meaning);
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_is_there_once_and_explained() {
        for table in reference() {
            let names: Vec<_> = table.keys().map(|key| key.name).collect();
            let unique: BTreeSet<_> = names.iter().collect();
            assert_eq!(names.len(), unique.len(), "{}", table.name);
            for key in table.keys() {
                assert!(
                    key.meaning.ends_with('.') || key.meaning.ends_with(')'),
                    "{} {}",
                    table.name,
                    key.name
                );
            }
        }
        let names: BTreeSet<_> = reference().iter().map(|table| table.name).collect();
        assert_eq!(names.len(), reference().len());
    }

    #[test]
    fn the_page_names_everything() {
        let page = reference_markdown();
        for table in reference() {
            for key in table.keys() {
                assert!(page.contains(&format!("| `{}` |", key.name)), "{}", key.name);
            }
        }
        assert!(page.contains("## `[host]`\n"));
        assert!(page.contains("## A workload of kind \"paint\"\n"));
        assert!(page.contains("| `parent_free` | MB |"));
    }
}
