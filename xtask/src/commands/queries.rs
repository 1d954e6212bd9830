//! The queries that the book shows of exported tables, and what DuckDB answers.
//!
//! A block of SQL with `<!-- query -->` before it is a query; the block of text that follows is DuckDB's answer, over the tables of
//! `multi-vm`. DuckDB is on few machines: where a Python with the package `duckdb` is found, all queries are run, over the Parquet files and
//! over the CSV files, whose answers must be the same; elsewhere this is said, and what the page shows is left as it is.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::elsewhere;
use super::tools::workspace_root;
use crate::output::note;

/// The page, from the root of the project.
const PAGE: &str = "docs/src/exporting.md";
/// What stands before a query.
const MARK: &str = "<!-- query -->";
/// Names another Python than `python3`, such as that of a virtual environment.
const PYTHON: &str = "DUCKDB_PYTHON";

/// Answers a list of queries that it is given as JSON with a list of texts. A query names the Parquet files.
const ANSWER: &str = r#"
import contextlib, io, json, re, sys
import duckdb
duckdb.sql("SET threads = 1")
answers = []
for query in json.load(sys.stdin):
    # Where a column is empty for long, its type is seen in the rest.
    of_csv = re.sub(r"'([^']*)\.parquet'", r"read_csv('\1.csv', sample_size = -1)", query)
    answer = duckdb.sql(query)
    if answer.fetchall() != duckdb.sql(of_csv).fetchall():
        sys.exit("CSV and Parquet have different answers to:\n" + query)
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        answer.show(max_width = 110, max_rows = 16)
    answers.append(text.getvalue())
json.dump(answers, sys.stdout)
"#;

/// Makes the answers again, and writes the page if they have changed.
pub(crate) fn write() -> Result<()> {
    if let Some((_, new)) = changed()? {
        std::fs::write(workspace_root().join(PAGE), new).with_context(|| format!("cannot write {PAGE}"))?;
        note!("wrote the answers of {PAGE}");
    }
    Ok(())
}

/// Says whether the page shows other answers than DuckDB gives.
pub(crate) fn check() -> Result<()> {
    let Some((old, new)) = changed()? else { return Ok(()) };
    let difference = old.lines().zip(new.lines()).find(|(old, new)| old != new);
    let (old, new) = difference.unwrap_or(("(fewer or more lines)", ""));
    bail!(
        "{PAGE} shows other answers than DuckDB gives; run `cargo xtask docs`. The first:\n  is     {old}\n  should {new}"
    )
}

/// The page as it is and as it should be, if these differ.
fn changed() -> Result<Option<(String, String)>> {
    let python = std::env::var_os(PYTHON).unwrap_or_else(|| "python3".into());
    let there = Command::new(&python)
        .args(["-c", "import duckdb"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !there {
        note!(
            "note: the queries of {PAGE} are not run, since {} has no package duckdb (`pip install duckdb` gets it; {PYTHON} names another Python)",
            python.display()
        );
        return Ok(None);
    }
    let path = workspace_root().join(PAGE);
    let old = std::fs::read_to_string(&path).with_context(|| format!("cannot read {PAGE}"))?;
    let folder = tempfile::tempdir()?;
    export(folder.path())?;
    let new = with_answers(&old, &answers(&python, folder.path(), &queries(&old))?);
    Ok((old != new).then_some((old, new)))
}

/// Leaves the tables of `multi-vm` in the folder `m-tables`.
fn export(folder: &Path) -> Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let run = Command::new(program)
        .args(["scenario", "multi-vm", "--driver", "inline", "--no-report", "--quiet", "--out", "m"])
        .current_dir(folder)
        .status()
        .context("cannot run this program")?;
    anyhow::ensure!(run.success(), "the run for the queries failed ({run})");
    let path = |name: &str| folder.join(name).display().to_string();
    for format in ["csv", "parquet"] {
        let (run, tables) = (path("m"), path("m-tables"));
        let words = ["export", &run, "--format", format, "--out", &tables, "--force"];
        elsewhere::step(&format!("tables as {format}"), elsewhere::PARQUET, &words)?;
    }
    Ok(())
}

fn answers(python: &std::ffi::OsStr, folder: &Path, queries: &[&str]) -> Result<Vec<String>> {
    let mut command = Command::new(python);
    command.args(["-c", ANSWER]).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = command.spawn().context("cannot run Python")?;
    if let Some(mut input) = running.stdin.take() {
        input
            .write_all(serde_json::to_string(queries)?.as_bytes())
            .context("Python does not read the queries")?;
    }
    let done = running.wait_with_output().context("Python did not end")?;
    anyhow::ensure!(done.status.success(), "a query of {PAGE} fails; the reason is above");
    serde_json::from_slice(&done.stdout).context("Python's answer is not to be understood")
}

/// A page in parts: what comes before an answer, and the answer. The last part has no answer.
fn parts(page: &str) -> Vec<(&str, Option<&str>)> {
    let mut parts = Vec::new();
    let mut rest = page;
    while let Some(mark) = rest.find(MARK) {
        let Some(answer) = rest[mark..].find("\n```text\n").map(|begins| mark + begins + "\n```text\n".len())
        else {
            break;
        };
        let Some(end) = rest[answer..].find("```\n").map(|length| answer + length) else { break };
        parts.push((&rest[..answer], Some(&rest[answer..end])));
        rest = &rest[end..];
    }
    parts.push((rest, None));
    parts
}

/// The queries of a page.
fn queries(page: &str) -> Vec<&str> {
    let asked = parts(page).into_iter().filter(|(_, answer)| answer.is_some());
    asked
        .filter_map(|(before, _)| before.rsplit_once("\n```sql\n")?.1.split_once("\n```\n"))
        .map(|(query, _)| query)
        .collect()
}

/// The page with these answers to its queries.
fn with_answers(page: &str, answers: &[String]) -> String {
    let mut answers = answers.iter();
    let mut new = String::new();
    for (before, answer) in parts(page) {
        new.push_str(before);
        if let Some(old) = answer {
            match answers.next() {
                // DuckDB fills lines up with spaces, and ends with an empty line.
                Some(answer) => answer.trim_end().lines().for_each(|line| {
                    new.push_str(line.trim_end());
                    new.push('\n');
                }),
                None => new.push_str(old),
            }
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_stand_below_their_queries() {
        let page = "A\n<!-- query -->\n```sql\nSELECT 1;\n```\n```text\nold\n```\nB\n```text\nkept\n```\n<!-- query -->\n```sql\nSELECT\n 2;\n```\n```text\n```\nZ\n";
        assert_eq!(queries(page), ["SELECT 1;", "SELECT\n 2;"]);
        let answers = ["one  \n\n".to_owned(), "two\n".to_owned()];
        assert_eq!(
            with_answers(page, &answers),
            page.replace("old\n", "one\n").replace("```text\n```\nZ", "```text\ntwo\n```\nZ")
        );
    }

    /// The page in the book has its ten questions, and each names tables that the export writes.
    #[test]
    fn the_page_has_ten_queries_of_tables_that_there_are() {
        let page = std::fs::read_to_string(workspace_root().join(PAGE)).unwrap();
        let queries = queries(&page);
        assert_eq!(queries.len(), 10);
        for query in queries {
            let tables: Vec<_> =
                query.split("'m-tables/").skip(1).filter_map(|rest| rest.split('\'').next()).collect();
            assert!(!tables.is_empty(), "{query}");
            for table in tables {
                let known = ["events", "vm_counters", "host_counters", "frames"];
                assert!(known.iter().any(|known| table == format!("{known}.parquet")), "{table}");
            }
        }
    }
}
