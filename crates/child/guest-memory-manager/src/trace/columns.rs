//! The first line of a trace file: which format it is, and where its columns are.

use std::borrow::Cow;

/// The columns of the project's own format.
pub(super) const OWN: [&str; 5] = ["vm", "t", "mem_provisioned_kb", "mem_used_kb", "cpu_pct"];
/// The time column of the archive: GWA-T-12 calls it so, and writes seconds since 1970 into it.
const TIMES: [&str; 2] = ["Timestamp [ms]", "Timestamp"];
const PROVISIONED: &str = "Memory capacity provisioned [KB]";
const USED: &str = "Memory usage [KB]";
const CPU: &str = "CPU usage [%]";

/// Where a number stands in a row, and what its column is called.
pub(super) type Column = (usize, &'static str);

/// Where the four numbers of a row are, and what the columns are called.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) separator: char,
    pub(super) count: usize,
    /// The VM's name; a file of the archive is of one VM, which has the file's name.
    pub(super) vm: Option<usize>,
    pub(super) time: Column,
    /// Whether the time column says it is in milliseconds.
    pub(super) milliseconds: bool,
    pub(super) provisioned: Column,
    pub(super) used: Column,
    pub(super) cpu: Column,
}

impl Columns {
    /// What a first line says; `None` if it is that of no format.
    pub(super) fn of_header(header: &str) -> Option<Self> {
        [',', ';', '\t'].into_iter().find_map(|separator| Self::separated(header.trim(), separator))
    }

    fn separated(header: &str, separator: char) -> Option<Self> {
        let names: Vec<Cow<'_, str>> = fields(header, separator)?;
        let find = |name: &'static str| Some((names.iter().position(|found| *found == name)?, name));
        let own = || {
            let [vm, time, provisioned, used, cpu] = OWN;
            let (vm, _) = find(vm)?;
            Some((Some(vm), find(time)?, false, find(provisioned)?, find(used)?, find(cpu)?))
        };
        let archive = || {
            let time = TIMES.into_iter().find_map(find)?;
            Some((None, time, time.1 == TIMES[0], find(PROVISIONED)?, find(USED)?, find(CPU)?))
        };
        let (vm, time, milliseconds, provisioned, used, cpu) = own().or_else(archive)?;
        Some(Self { separator, count: names.len(), vm, time, milliseconds, provisioned, used, cpu })
    }
}

/// The fields of a line, trimmed and without their quotes; `None` if a quote does not match. Some copies of GWA-T-12 write tabs
/// around the separators.
pub(super) fn fields(line: &str, separator: char) -> Option<Vec<Cow<'_, str>>> {
    if !line.contains('"') {
        // Room for all columns of GWA-T-12, so that a row is one allocation.
        let mut fields = Vec::with_capacity(16);
        fields.extend(line.split(separator).map(|field| Cow::from(field.trim())));
        return Some(fields);
    }
    let mut fields = Vec::new();
    let mut rest = Some(line);
    while let Some(line) = rest {
        let Some(quoted) = line.trim_start_matches([' ', '\t']).strip_prefix('"') else {
            let (field, after) = line.split_once(separator).map_or((line, None), |(a, b)| (a, Some(b)));
            if field.contains('"') {
                return None;
            }
            fields.push(field.trim().into());
            rest = after;
            continue;
        };
        let mut from = 0;
        let end = loop {
            let end = from + quoted[from..].find('"')?;
            if !quoted[end + 1..].starts_with('"') {
                break end;
            }
            from = end + 2;
        };
        let field = quoted[..end].trim();
        fields.push(if from == 0 { field.into() } else { field.replace("\"\"", "\"").into() });
        let after = quoted[end + 1..].trim_start_matches(|c: char| c.is_whitespace() && c != separator);
        rest = if after.is_empty() { None } else { Some(after.strip_prefix(separator)?) };
    }
    Some(fields)
}
