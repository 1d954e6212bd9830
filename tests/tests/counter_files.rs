//! A run's counters as other tools rewrite them: the figures stay the same, or an error says what is wrong.

use std::path::Path;

use component_runtime::Driver;
use run_analysis::figures::{self, Recorded};
use scenario::run::COUNTERS_FILE;
use whole_stack_tests::journey::{self, Left};

const TEXT: &str = r#"
until = "3m"
[host]
memory = "4GB"
memory_reserve = "512MB"
[[vm]]
name = "Büro"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "2GB"
workload = { kind = "step", from = "300MB", to = "1GB", after = "20s" }
[[vm]]
name = "web-2 old"
guest = "ws2003-r2-sp2-enterprise"
startup_bytes = "128MB"
maximum_bytes = "2GB"
[[timeline]]
at = "0s"
action = "start"
vm = "all"
"#;

/// A run, and its figures.
fn left() -> (Left, Vec<figures::Drawn>) {
    let left = journey::run_with_files(journey::plan(TEXT, 1), Driver::Inline, None).unwrap();
    let drawn = figures::draw(&Recorded::read(left.folder.path()).unwrap());
    assert!(!drawn.is_empty() && drawn.iter().all(|(_, text)| text.contains("web-2 old")));
    (left, drawn)
}

/// Reads the run of a folder with other counters in it.
fn with(folder: &Path, counters: &[u8]) -> Result<Recorded, String> {
    std::fs::write(folder.join(COUNTERS_FILE), counters).unwrap();
    Recorded::read(folder).map_err(|error| error.to_string())
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
}

/// The same file with its columns in another order; PDH quotes every field.
fn reordered(text: &str, order: impl Fn(usize, usize) -> usize) -> String {
    let rows = text.lines().map(|line| {
        let fields: Vec<&str> = line.trim_matches('"').split("\",\"").collect();
        let moved = (1..fields.len()).map(|at| fields[1 + order(at - 1, fields.len() - 1)]);
        let fields: Vec<&str> = [fields[0]].into_iter().chain(moved).collect();
        format!("\"{}\"\r\n", fields.join("\",\""))
    });
    rows.collect()
}

#[test]
fn rewritten_counters_give_the_same_figures() {
    let (left, drawn) = left();
    let text = String::from_utf8(left.bytes(COUNTERS_FILE)).unwrap();
    let (header, rows) = text.split_once("\r\n").unwrap();
    let zone = |zone: &str| text.replacen("(UTC)(0)", zone, 1);
    let small = format!("{}\r\n{rows}", header.to_lowercase());
    let latin = |text: &str| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect::<Vec<u8>>();
    let files: [(&str, Vec<u8>); 10] = [
        ("west", zone("(Hawaiian Standard Time)(600)").into()),
        ("east: all rows lie before the run", zone("(Korean Standard Time)(-540)").into()),
        ("UTF-16LE", utf16(&text, u16::to_le_bytes)),
        ("UTF-16BE", utf16(&text, u16::to_be_bytes)),
        ("windows-1252", latin(&zone("(Mitteleuropäische Zeit)(-60)"))),
        ("PDH-TSV", text.replace("PDH-CSV", "PDH-TSV").replace("\",\"", "\"\t\"").into()),
        ("small letters", small.into()),
        ("guests first", reordered(&text, |at, of| (at + of - 8) % of).into()),
        ("back to front", reordered(&text, |at, of| of - 1 - at).into()),
        ("LF, and a byte-order mark", format!("\u{feff}{}", text.replace("\r\n", "\n")).into()),
    ];
    for (name, file) in files {
        let run = with(left.folder.path(), &file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(figures::draw(&run) == drawn, "{name}: another figure");
        assert_eq!(run.remarks.len(), usize::from(name == "windows-1252"), "{name}: {:?}", run.remarks);
    }
}

#[test]
fn counters_that_cannot_be_drawn_are_refused() {
    let (left, _) = left();
    let text = String::from_utf8(left.bytes(COUNTERS_FILE)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let said = |text: &str| with(left.folder.path(), text.as_bytes()).unwrap_err();
    // `relog -a` put the file behind itself.
    let twice = [&lines[..], &lines[1..]].concat().join("\r\n");
    let second = format!("line {}: 2011-02-22T09:00:00 is not after the row before", lines.len() + 1);
    assert!(said(&twice).contains(&second), "{}", said(&twice));
    let localised =
        text.replace("Available MBytes", "Verfügbare MB").replace(r"\Memory\", r"\Arbeitsspeicher\");
    assert!(said(&localised).contains("the names of its counters are not English, for example"));
    assert!(
        said(&format!("{}\r\n", lines[0])).ends_with("there is no row in it, so there is nothing to draw")
    );
}

/// A file whose letters are of a code page that nobody can tell from its bytes: named, its VMs are called as they are.
#[test]
fn a_code_page_can_be_named() {
    let (left, drawn) = left();
    let folder = left.folder.path();
    let text = std::fs::read_to_string(folder.join(COUNTERS_FILE)).unwrap();
    // 0xfc is ü in the code pages of Western and of Central Europe, and another letter in that of Russia.
    let bytes: Vec<u8> =
        text.chars().map(|c| if c == 'ü' { 0xfc } else { u8::try_from(c).unwrap() }).collect();
    std::fs::write(folder.join(COUNTERS_FILE), bytes).unwrap();
    let guessed = Recorded::read(folder).unwrap();
    assert_eq!(guessed.remarks.len(), 1);
    let named = Recorded::read_in(folder, Some("windows-1250".parse().unwrap())).unwrap();
    assert!(named.remarks.is_empty() && named.vms.contains(&"Büro".to_owned()), "{:?}", named.vms);
    assert_eq!(figures::draw(&named), drawn);
    let cyrillic = Recorded::read_in(folder, Some("windows-1251".parse().unwrap())).unwrap();
    assert!(!cyrillic.vms.contains(&"Büro".to_owned()), "{:?}", cyrillic.vms);
}

/// The values of one column of a counter file, by its path; `None` where a field is empty.
fn column(text: &str, path: &str) -> Vec<Option<f64>> {
    let rows: Vec<Vec<&str>> =
        text.lines().map(|line| line.trim_matches('"').split("\",\"").collect()).collect();
    let at = rows[0].iter().position(|name| *name == path).unwrap_or_else(|| panic!("no column {path}"));
    rows[1..].iter().map(|fields| fields[at].parse().ok()).collect()
}

/// What RAMMap would show inside a guest from which memory was taken: what the host took, and the rings of its one channel.
#[test]
fn driver_locked_is_what_was_taken_and_the_rings() {
    let text = TEXT.replace("3m", "12m").replace(
        r#"workload = { kind = "step", from = "300MB", to = "1GB", after = "20s" }"#,
        r#"workload = { kind = "step", from = "1GB", to = "100MB", after = "2m" }"#,
    );
    let left = journey::run_with_files(journey::plan(&text, 1), Driver::Inline, None).unwrap();
    let text = String::from_utf8(left.bytes(COUNTERS_FILE)).unwrap();
    let of_vm = |name: &str| column(&text, &format!(r"\\HOST\Hyper-V Dynamic Memory VM(Büro)\{name}"));
    let (visible, physical) = (of_vm("Guest Visible Physical Memory"), of_vm("Physical Memory"));
    let locked = column(&text, r"\\Büro\Dynamic Memory Model Guest\Driver Locked");
    let last = |values: &[Option<f64>]| values.last().copied().flatten().unwrap();
    let taken = last(&visible) - last(&physical);
    assert!(taken > 256.0, "nothing to see: {taken} MB were taken");
    // Before anything was taken there are only the rings; and before the guest's driver has found its channel, nothing.
    let all: Vec<f64> = locked.iter().copied().flatten().collect();
    let rings = all.iter().copied().find(|locked| *locked > 0.0).unwrap();
    assert!(all[0] == 0.0 && rings < 1.0, "{rings} MB at first");
    assert!(
        (last(&locked) - taken - rings).abs() < 1e-3,
        "{} MB, of which {taken} were taken",
        last(&locked)
    );
    assert_eq!(locked[0], None, "a guest that has not booted has no counters");
}
