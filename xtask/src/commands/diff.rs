//! `cargo xtask diff`: two runs side by side.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use charts::page::{Curve, Drawn, Page, Panel};
use run_diff::curves::Chart;
use run_diff::{Difference, Pair};

use super::bad_input;
use crate::output::{laid_out, look, print, say};

/// Which runs.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder of a run
    first: PathBuf,
    /// Folder of the run to compare with it
    #[arg(required_unless_present = "set")]
    second: Option<PathBuf>,
    /// What if: in place of a second run's folder, run the scenario of the first again with this key of its file set, such as
    /// vm.VM3.priority=80. Can be given several times
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "second", allow_hyphen_values = true)]
    set: Vec<String>,
    /// With --set: folder of the new run; default: the next free runs/NAME-001
    #[arg(long, value_name = "DIR", requires = "set")]
    out: Option<PathBuf>,
    /// Print the difference as JSON and nothing else
    #[arg(long)]
    json: bool,
    /// Write a page with the curves of both runs over each other; a file that exists is not overwritten
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
}

/// Tells how two runs differ.
pub(crate) fn run(args: &Args) -> Result<()> {
    let second = match &args.second {
        Some(second) => second.clone(),
        None => super::scenario::again(&args.first, &args.set, args.out.clone())?,
    };
    let folders = Pair::new(&args.first, &second);
    let read = |folder: &PathBuf| run_diff::read(folder).map_err(bad_input);
    let runs = Pair::new(read(folders.first)?, read(folders.second)?);
    let difference = run_diff::compare(&runs);
    if let Some(path) = &args.html {
        ensure!(!path.exists(), bad_input(format!("{} exists already; name another file", path.display())));
        std::fs::write(path, page(&difference, &folders))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.json {
        say!("{}", serde_json::to_string_pretty(&difference)?);
        return Ok(());
    }
    print(format_args!("{}", laid_out(&difference.text(look().columns))))?;
    if let Some(path) = &args.html {
        say!("\nCurves: {}", path.display());
    }
    Ok(())
}

/// Columns of the text on the page, which may be scrolled. Invented.
const PAGE_COLUMNS: usize = 160;

/// The curves of both runs over each other, and the text of the difference.
fn page(difference: &Difference, folders: &Pair<&PathBuf>) -> Vec<u8> {
    let mut page = Page::new(&format!("{} and {}", difference.folders.first, difference.folders.second));
    page.paragraph("faint", &format!("A: {}", difference.folders.first));
    page.paragraph("faint", &format!("B: {}", difference.folders.second));
    match run_diff::curves::charts(difference, folders) {
        Ok(charts) => charts.into_iter().for_each(|chart| page.curves(panel(chart))),
        Err(error) => page.paragraph("note", &format!("There are no curves: {error}")),
    }
    page.preformatted(&difference.text(PAGE_COLUMNS));
    page.finish()
}

fn panel(Chart { title, times, curves }: Chart) -> Panel {
    let curve = |(name, place, values)| Curve { name, place, drawn: Drawn::Line, values };
    Panel::new(&title, "MB", times, curves.into_iter().map(curve).collect())
}
