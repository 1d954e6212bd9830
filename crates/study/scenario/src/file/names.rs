//! Names of hosts and VMs.

use super::reader::{Located, Table};

/// The longest name of a host or VM, characters: that of Hyper-V Manager's field for it. Inferred.
const LONGEST: usize = 100;

/// Complains about a name that counter paths, event names or ranges of VMs cannot hold.
pub(super) fn check_name(table: &Table<'_, '_>, key: &'static str, name: &Located<String>) {
    let good = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.');
    let pattern = name.value.replace("{n}", "1");
    let length = pattern.chars().count();
    if length > LONGEST {
        table.reader.add(
            table
                .bad_value(key, &name.span, format!("a name of {length} characters is too long"))
                .allowed(format!("up to {LONGEST} characters")),
        );
    } else if pattern.trim() != pattern
        || pattern.is_empty()
        || !pattern.chars().all(good)
        || pattern.contains("..")
    {
        table.reader.add(
            table.bad_value(key, &name.span, format!("{:?} cannot be a name", name.value)).allowed(
                "letters, digits, spaces inside, `-`, `_` and single `.`; `{n}` for the number of a VM",
            ),
        );
    }
}
