//! Answers from events: a sequence diagram, who paid for a VM's memory, and where the time went from need to memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use run_analysis::growth::{self, MEANINGS, STAGES, Span};
use run_analysis::sequence::Sequence;
use run_journal::query::Causality;
use run_journal::{FieldValue, JOURNAL_FILE, Record, events};
use run_report::messages::{self, Told};
use terminal_text::{cut_name, width, wrap_after};

use crate::commands::bad_input;
use crate::output::{Lines, Reader, look, note, print, say, tell};

/// How a sequence diagram is written.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum As {
    /// Lines of text.
    Text,
    /// Mermaid, for Markdown.
    Mermaid,
    /// A picture.
    Svg,
}

fn records(path: &Path) -> Result<Vec<Record>> {
    let whole =
        events::read_whole(path).map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    if let Some(error) = &whole.missing {
        note!("{}: {error}", path.display());
    }
    Ok(whole.records)
}

/// The chain of an event as a sequence diagram.
pub(super) fn sequence(path: &Path, seq: u64, depth: usize, written: As) -> Result<()> {
    let records = records(path)?;
    let causality = Causality::new(&records);
    let sequence = Sequence::of(&causality.chain(seq).map_err(bad_input)?, depth);
    match written {
        As::Text => print(format_args!("{}", sequence.text(look().columns))),
        As::Mermaid => print(format_args!("{}", sequence.mermaid())),
        As::Svg => print(format_args!("{}", sequence.picture())),
    }
}

/// The bytes of the messages in a chain.
pub(super) fn bytes(dir: &Path, path: &Path, seq: u64, depth: usize) -> Result<()> {
    let records = records(path)?;
    let mut sent: BTreeMap<Arc<str>, Vec<Told>> = BTreeMap::new();
    for (vm, told) in records.iter().filter_map(Told::of) {
        sent.entry(vm).or_default().push(told);
    }
    let mut recorded = messages::Recorded::read(dir, &(0..=u64::MAX));
    if let Some(trouble) = recorded.trouble.take() {
        note!("{}: {trouble}", dir.join(JOURNAL_FILE).display());
    }
    let messages = recorded.told(&sent);
    let causality = Causality::new(&records);
    let chain = causality.chain(seq).map_err(bad_input)?;
    let near = chain.effects.iter().filter(|(steps, _)| *steps <= depth).map(|(_, record)| *record);
    let mut all: Vec<&Record> =
        chain.causes.iter().map(|(_, record)| *record).chain([chain.event]).chain(near).collect();
    all.sort_by_key(|record| record.seq);
    let mut out = Lines::new();
    for record in all {
        let Some(bytes) = messages.bytes(record.seq) else { continue };
        let name = record.field("message").and_then(FieldValue::as_str).unwrap_or("STATUS_REPORT");
        let mut reader = out.line(format_args!(
            "\n{:>14}  {} sends {name}, {} bytes",
            record.t,
            record.place(),
            bytes.len()
        ))?;
        for (place, row) in bytes.chunks(16).enumerate() {
            if reader == Reader::Gone {
                return Ok(());
            }
            let words: Vec<String> = row
                .chunks(4)
                .map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "))
                .collect();
            reader = out.line(format_args!("{:>16}  {}", format!("+{}", place * 16), words.join("  ")))?;
        }
        if reader == Reader::Gone {
            return Ok(());
        }
    }
    out.finish()
}

/// The VMs that paid for a VM's memory: in order, and in sum.
pub(super) fn who_paid(path: &Path, vm: &str, json: bool) -> Result<()> {
    let records = records(path)?;
    known(&records, vm)?;
    let paid = growth::who_paid(&records, vm);
    if json {
        say!("{}", serde_json::to_string_pretty(&paid)?);
        return Ok(());
    }
    if paid.is_empty() {
        tell!("{vm} was given no memory, or the run is of a version that did not record whose it had been.");
        return Ok(());
    }
    let mut out = Lines::new();
    let mut line = |text: String| out.line(format_args!("{text}"));
    let mut reader = line(format!("{:>12}  {:>10}  from", "time", "MB"))?;
    for paid in &paid {
        if reader == Reader::Gone {
            return Ok(());
        }
        reader = line(format!(
            "{:>12}  {:>10.1}  {}",
            time(paid.at_s),
            paid.mb,
            giver(paid.donor.as_deref(), &paid.source)
        ))?;
    }
    let all: f64 = paid.iter().map(|paid| paid.mb).sum();
    if line(format!("\n{vm} was given {all:.1} MB:"))? == Reader::Gone {
        return Ok(());
    }
    for (name, mb) in growth::sums(&paid) {
        let name = if matches!(name.as_str(), "free" | "ended") { giver(None, &name) } else { name };
        if line(format!("{mb:>10.1} MB  {:>3.0} %  {name}", 100.0 * mb / all))? == Reader::Gone {
            return Ok(());
        }
    }
    out.finish()
}

fn giver(donor: Option<&str>, source: &str) -> String {
    match (donor, source) {
        (Some(donor), _) => donor.to_owned(),
        (None, "free") => "memory that was free".to_owned(),
        (None, "ended") => "VMs that had ended".to_owned(),
        (None, other) => other.to_owned(),
    }
}

/// Where the time went for each growth, and in the middle and at most.
pub(super) fn spans(path: &Path, vm: Option<&str>, json: bool) -> Result<()> {
    let records = records(path)?;
    if let Some(vm) = vm {
        known(&records, vm)?;
    }
    let spans = growth::spans(&records, vm);
    if json {
        say!("{}", serde_json::to_string_pretty(&spans)?);
        return Ok(());
    }
    if spans.is_empty() {
        say!("No memory was granted that a guest took.");
        return Ok(());
    }
    let mut out = Lines::new();
    for line in table(&spans, look().columns) {
        if out.line(format_args!("{line}"))? == Reader::Gone {
            return Ok(());
        }
    }
    out.finish()
}

/// Columns of a time, of a number of MB, and of a number of seconds.
const TIME: usize = 12;
const MB: usize = 8;
const SECONDS: usize = 7;

/// Growths as rows, the middle and the most of each stage, and what the stages are.
fn table(spans: &[Span], columns: usize) -> Vec<String> {
    let others = TIME + 1 + 1 + MB + SECONDS * (STAGES.len() + 1);
    let longest = spans.iter().map(|span| width(&span.vm)).max().unwrap_or(0);
    let name = longest.clamp(2, columns.saturating_sub(others).max(8));
    let row = |time: &str, vm: &str, mb: &str, stages: &str, all: &str| {
        let vm = cut_name(vm, name);
        let space = " ".repeat(name.saturating_sub(width(&vm)));
        format!("{time:>TIME$} {vm}{space} {mb:>MB$}{stages}{all:>SECONDS$}").trim_end().to_owned()
    };
    let head: String = STAGES.iter().map(|stage| format!("{stage:>SECONDS$}")).collect();
    let mut lines = vec!["Stages in seconds".to_owned(), row("usable at", "VM", "MB", &head, "all")];
    lines.extend(spans.iter().map(|span| {
        let stages: String = span.stages_s.iter().map(|stage| cell(*stage)).collect();
        row(&time(span.usable_s), &span.vm, &format!("{:.1}", span.mb), &stages, &cell(Some(span.total_s())))
    }));
    for (word, share) in [("median", 0.5), ("most", 1.0)] {
        let stages: String = (0..STAGES.len())
            .map(|stage| cell(quantile(spans, share, |span| span.stages_s[stage])))
            .collect();
        lines.push(row(word, "", "", &stages, &cell(quantile(spans, share, |span| Some(span.total_s())))));
    }
    for (stage, meaning) in STAGES.iter().zip(MEANINGS) {
        lines.push(wrap_after(&format!("  {stage:<7} "), meaning, columns, 10));
    }
    lines
}

/// Seconds in a cell: to the millisecond up to 100 s, and in what has room above.
fn cell(seconds: Option<f64>) -> String {
    let text = match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds < 100.0 => format!("{seconds:.3}"),
        Some(seconds) if seconds < 10_000.0 => format!("{seconds:.1}"),
        Some(seconds) => format!("{seconds:.0}"),
    };
    format!("{text:>SECONDS$}")
}

/// The value that this share of the spans does not exceed.
fn quantile(spans: &[Span], share: f64, value: impl Fn(&Span) -> Option<f64>) -> Option<f64> {
    let mut values: Vec<f64> = spans.iter().filter_map(value).collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    values.get((last as f64 * share).round() as usize).copied()
}

fn time(seconds: f64) -> String {
    quantities::format_duration(std::time::Duration::from_millis((seconds * 1e3).round() as u64))
}

/// That there is such a VM.
fn known(records: &[Record], vm: &str) -> Result<()> {
    let names: std::collections::BTreeSet<&str> =
        records.iter().filter_map(|record| record.vm.as_deref()).collect();
    if names.iter().any(|name| name.eq_ignore_ascii_case(vm)) {
        return Ok(());
    }
    let near = quantities::nearest(vm, names.iter().copied());
    let near = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    Err(bad_input(format!("no event is about a VM {vm:?}; there are {names}{near}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(vm: &str, second: f64) -> Span {
        Span {
            usable_s: 360_000.0 + second,
            seq: 1,
            vm: vm.to_owned(),
            mb: 123_456.7,
            stages_s: [Some(99.999), None, Some(123.456), Some(12_345.6), Some(0.0), Some(second)],
        }
    }

    #[test]
    fn growths_fit_eighty_columns_and_like_names_stay_apart() {
        let spans =
            [growth("Frontend-Web-01", 1.0), growth("Frontend-Web-02", 2.5), growth("数据库服务器一号", 3.0)];
        let lines = table(&spans, 80);
        for line in lines.iter().flat_map(|line| line.lines()) {
            assert!(width(line) <= 80, "{line}");
        }
        let text = lines.join("\n");
        assert!(text.contains("eb-01 ") && text.contains("eb-02 ") && text.contains("一号 "), "{text}");
        assert!(text.contains(" 99.999      –  123.5  12346  0.000  1.000  12570"), "{text}");
        assert!(text.contains("most") && text.contains("2.500"), "{text}");
        // Where there is room, names are whole.
        assert!(table(&spans, 120).join("\n").contains(" Frontend-Web-02  "));
    }
}
