//! Reading a file of any kind: which kind it is of, and what speaks against the others.

use std::path::Path;

use crate::error::ImportError;
use crate::input::Input;
use crate::kind::{Kind, Objection};
use crate::options::Options;
use crate::part::Part;
use crate::sheet;
use crate::{perfmon, prometheus, recorded, vm_list};

/// Bytes of a text that are shown of its beginning.
const SHOWN: usize = 40;

/// Reads a file of any kind.
pub(crate) fn read(input: &Input, options: &Options) -> Result<Vec<Part>, ImportError> {
    if input.folder {
        return recorded::read(input).map(|part| vec![part]).map_err(|error| match error {
            ImportError::Bad { file, line, what } => {
                let what = format!(
                    "{what}\nhelp: of a folder traces are read; name logs and lists one by one, such as {}",
                    Path::new(&input.name).join("*.csv").display()
                );
                ImportError::Bad { file, line, what }
            }
            other => other,
        });
    }
    if let Some(help) = other_format(&input.bytes) {
        return Err(no_kind(input, Vec::new(), Some(help)));
    }
    if input.bytes.starts_with(b"PK\x03\x04") {
        return workbook(input, options);
    }
    let mut lines = input.lines(options.code_page);
    let mut first = String::new();
    loop {
        match lines.next_line() {
            Ok(Some(line)) if line.trim().is_empty() => {}
            Ok(Some(line)) => {
                line.clone_into(&mut first);
                break;
            }
            Ok(None) => return Err(ImportError::bad(&input.name, None, "the file is empty")),
            Err(error) => {
                let line = error.line();
                return Err(ImportError::bad(&input.name, Some(line), error.to_string()));
            }
        }
    }
    let mut objections = Vec::new();
    let start: String = first.trim_start().chars().take(SHOWN).collect();
    if perfmon::is(&first) {
        return perfmon::read(input, options).map(|part| vec![part]);
    }
    objections.push(Objection {
        kind: Kind::Perfmon,
        why: format!(
            "its first line begins with {start:?}, and not with \"(PDH-CSV 4.0) (time zone)(minutes)\""
        ),
    });
    if start.starts_with(['{', '[']) {
        return prometheus::read(input, options).map(|part| vec![part]);
    }
    objections.push(Objection {
        kind: Kind::Prometheus,
        why: format!("it begins with {start:?}, and not with {{"),
    });
    let Some(header) = sheet::header(input, options.code_page)? else {
        return Err(ImportError::bad(
            &input.name,
            None,
            "the file is empty but for the line that says its type",
        ));
    };
    match vm_list::recognise(&header.names) {
        Ok(kind) => {
            let sheet = sheet::rows(input, header, options)?;
            return Ok(vec![vm_list::read(&input.name, kind, &sheet, options)?]);
        }
        Err((list, rvtools)) => {
            objections.push(Objection { kind: Kind::VmList, why: list });
            objections.push(Objection { kind: Kind::RvTools, why: rvtools });
        }
    }
    match recorded::is(input, options) {
        Ok(()) => return recorded::read(input).map(|part| vec![part]),
        Err(why) => objections.push(Objection { kind: Kind::Trace, why }),
    }
    Err(no_kind(input, objections, looks_like(&input.bytes, &first)))
}

#[cfg(feature = "xlsx")]
fn workbook(input: &Input, options: &Options) -> Result<Vec<Part>, ImportError> {
    crate::workbook::read(input, options)
}

#[cfg(not(feature = "xlsx"))]
fn workbook(input: &Input, _: &Options) -> Result<Vec<Part>, ImportError> {
    let what = "it is a workbook (.xlsx), and this build of the program reads none: save the sheets vMemory and vInfo as CSV, \
                or give the file its ending .xlsx, for which a build that reads it is made";
    Err(ImportError::bad(&input.name, None, what))
}

fn no_kind(input: &Input, objections: Vec<Objection>, help: Option<String>) -> ImportError {
    ImportError::NoKind { file: input.name.clone(), objections, help }
}

/// What to do with a format that is known by its first bytes and not read.
fn other_format(bytes: &[u8]) -> Option<String> {
    // The signature of an OLE compound file: old workbooks (documented: [MS-CFB]).
    let help = match bytes {
        [0xd0, 0xcf, 0x11, 0xe0, ..] => "it is a workbook of the old form (.xls): save it as .xlsx or CSV",
        [0x1f, 0x8b, ..] => "it is compressed (gzip): unpack it first",
        b"Rar!" | [b'R', b'a', b'r', b'!', ..] | [b'7', b'z', 0xbc, 0xaf, ..] => {
            "it is an archive: unpack it first"
        }
        [b'P', b'A', b'R', b'1', ..] => "it is a Parquet file: write its table as CSV first",
        _ => return None,
    };
    Some(help.to_owned())
}

/// What a text that is no known table looks like.
fn looks_like(bytes: &[u8], first: &str) -> Option<String> {
    let lower = first.to_lowercase();
    // Text has none of these, whatever its encoding; but for a few letters in UTF-16.
    let start = bytes.get(..4096).unwrap_or(bytes);
    let signs = start.iter().filter(|byte| matches!(byte, 1..=8 | 14..=31)).count();
    let binary = signs * 50 > start.len();
    let words = first.split_whitespace().filter(|word| crate::names::column(word).is_some()).count();
    if binary {
        return Some("it is no text; if it is a binary log of Performance Monitor (.blg), relog FILE.blg -f csv -o FILE.csv makes a text of it".to_owned());
    }
    if lower.starts_with('<') {
        return Some("it is XML or HTML; of PowerShell's lists, Export-Csv makes what is read: Get-VM | Export-Csv vms.csv".to_owned());
    }
    (words >= 2).then(|| {
        "it looks like a table for the eye (Format-Table); Get-VM | Export-Csv vms.csv writes one for programs".to_owned()
    })
}
