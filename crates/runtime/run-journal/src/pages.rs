//! Which fields of events are numbers of pages.

use crate::record::FieldValue;

/// Fields that are pages of 4 KiB wherever they occur as whole numbers. What is in other units says so in its name (`_mb`, `_ms`), or is
/// a number of something else (`operation`, `bytes`, `page_file_writes`).
const PAGES: [&str; 24] = [
    "accepted",
    "assigned",
    "available",
    "commit",
    "committed",
    "demand",
    "done",
    "given",
    "hot_added",
    "left",
    "left_alone",
    "offered",
    "page_file_size",
    "pages",
    "pages_added",
    "pages_ballooned",
    "pages_onlined",
    "proposed",
    "requested",
    "target",
    "unballooned",
    "unconfirmed",
    "vm_memory_committed",
    "zero_free",
];

/// Whether an event's field of this name is a number of pages of 4 KiB where it is a whole number.
#[must_use]
pub fn is_pages(name: &str) -> bool {
    PAGES.contains(&name)
}

/// The MB (MiB) of an event's field that is a number of pages, with one decimal where there is a fraction; `None` for any other field.
#[must_use]
pub fn mb(name: &str, value: &FieldValue) -> Option<String> {
    let pages = value.as_u64().filter(|_| is_pages(name))?;
    let mib = pages as f64 / 256.0;
    Some(if mib.fract() == 0.0 { format!("{mib}") } else { format!("{mib:.1}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_their_mb_and_nothing_else_has() {
        assert_eq!(mb("pages", &FieldValue::Unsigned(15_360)).as_deref(), Some("60"));
        assert_eq!(mb("available", &FieldValue::Unsigned(9396)).as_deref(), Some("36.7"));
        assert_eq!(mb("operation", &FieldValue::Unsigned(600)), None);
        // Of capabilities: yes or no.
        assert_eq!(mb("accepted", &FieldValue::Bool(true)), None);
    }
}
