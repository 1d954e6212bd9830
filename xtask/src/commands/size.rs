//! `cargo xtask size`: the smallest hosts for VMs, and their settings.

pub(super) mod asked;

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use host_sizing::{Answer, Fleet, Question};

use super::results::{Leaving, Results};
use crate::output::{look, note, print, say, tell};

use asked::{What, wrong};

/// For what, on which hosts, and where to leave the answer.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,
    /// Size from the first half of what was recorded as well, and say how well that held in the second
    #[arg(long)]
    back_test: bool,
    #[command(flatten)]
    leaving: Leaving,
}

/// What a sizing leaves.
const FILES: [&str; 6] =
    ["size.html", "size.json", "set-memory.ps1", "undo-memory.ps1", "load.toml", "load.trace.csv"];

const RESULTS: Results = Results { what: "sizing", kind: "size", files: &FILES };

/// Sizes. Exit code 1 where none of the hosts that were given are enough.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (folder, answer) = args.leaving.within(&RESULTS, |folder| {
        let mut loaded = asked::load(&args.what, folder, args.leaving.json)?;
        if let Some(growth) = args.what.growth {
            loaded.fleet.grow(growth).map_err(wrong)?;
        }
        if let Some((size, length)) = args.what.burst {
            loaded.fleet.burst(size, length).map_err(wrong)?;
        }
        let question = asked::question(&args.what, &loaded.listed, args.leaving.threads());
        let answer = answer(args, &question, &loaded.fleet)?;
        for (name, text) in files(&answer)? {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(answer)
    })?;
    if args.leaving.json {
        print(format_args!("{}\n", serde_json::to_string_pretty(&answer)?))?;
    } else {
        told(&answer, &folder)?;
    }
    Ok(exit_code(&answer))
}

/// 1 where none of the hosts that were given are enough.
pub(super) fn exit_code(answer: &Answer) -> ExitCode {
    if answer.is_enough() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn answer(args: &Args, question: &Question, fleet: &Fleet) -> Result<Answer> {
    let bar = args.leaving.bar("{msg} {bar:30} about {eta} left");
    let done = AtomicU64::new(0);
    // How many runs a search takes shows only when it is over.
    let vm_seconds = fleet.length().as_secs() * fleet.vms.len() as u64;
    bar.set_length(vm_seconds.saturating_mul(RUNS * if args.back_test { 2 } else { 1 }).max(1));
    let progress = |more: u64| {
        let seconds = done.fetch_add(more, Ordering::Relaxed) + more;
        bar.set_message(format!("{:.0} VM hours of virtual time", seconds as f64 / 3600.0));
        bar.set_position(seconds);
    };
    let mut command = asked::command(&args.what);
    if args.back_test {
        command.push_str(" --back-test");
    }
    // First, so that what speaks against it is said before anything has taken long.
    let tested = args.back_test.then(|| host_sizing::back_test(fleet, question, &progress).map_err(wrong));
    let tested = tested.transpose()?;
    let (growth, burst) = (args.what.growth, args.what.burst.is_some());
    let answer = host_sizing::size(fleet, question, growth, burst, &command, &progress);
    let mut answer = answer.map_err(wrong)?;
    answer.back_test = tested;
    bar.finish_and_clear();
    Ok(answer)
}

/// Tells an answer whose files are in `folder`.
pub(super) fn told(answer: &Answer, folder: &Path) -> Result<()> {
    for sentence in answer.sentences() {
        tell!("{sentence}");
    }
    let columns = look().columns;
    say!("\nTried:\n{}", answer.tries(columns));
    say!(
        "\nSettings (today → advised; the reasons are on the page and in the script):\n{}",
        answer.settings(columns)
    );
    let file = |name: &str| folder.join(name).display().to_string();
    say!("\nPage:    {}", file("size.html"));
    say!("JSON:    {}", file("size.json"));
    if answer.advice.iter().any(host_sizing::Advice::changes) {
        say!("Set:     {}   (without -Apply it only tells what it would do)", file("set-memory.ps1"));
        say!("Undo:    {}", file("undo-memory.ps1"));
    } else {
        note!("note: nothing is to be changed, so that the scripts have nothing to do");
    }
    say!("Repeat:  {}", answer.command);
    Ok(())
}

/// The files of an answer.
pub(super) fn files(answer: &Answer) -> Result<[(&'static str, String); 4]> {
    let json = serde_json::to_string_pretty(answer)? + "\n";
    let script = |name: &'static str, text: String| {
        if let Some(complaint) = host_sizing::script::check(&text).first() {
            anyhow::bail!("{name}: {complaint}, which is a defect of this program");
        }
        // PowerShell 5 reads a script without a mark in a code page.
        Ok((name, format!("\u{feff}{}", text.replace('\n', "\r\n"))))
    };
    Ok([
        ("size.html", answer.page()),
        ("size.json", json),
        script("set-memory.ps1", answer.script())?,
        script("undo-memory.ps1", answer.undo_script())?,
    ])
}

/// Runs of all VMs that a search takes, about: with today's settings and with those that are advised. Invented.
const RUNS: u64 = 16;
