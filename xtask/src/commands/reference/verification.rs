//! What the sources say beside what runs show.

use std::fmt::Write as _;

use anyhow::Result;
use run_analysis::verify::{self, Change, Kind, Options, Report, Row};

use super::cell;

/// How many seeds: 1 to this.
const SEEDS: u64 = 20;

pub(super) fn page() -> Result<String> {
    let source = report(verify::SOURCE)?;
    let outside = report(verify::OUTSIDE)?;
    let oracle = report(verify::ORACLE)?;
    let mut text = String::from("# What the sources say, and what runs show\n\n");
    summary(&mut text, &source, &outside);
    let _: std::fmt::Result = write!(
        text,
        "\n- *Predicted*: no constant, load or window was chosen with the check in view, and the check could have come out otherwise. All but the\n  \
         first of these say how curves behave, not what they come to; the mechanisms were designed from the same descriptions.\n\
         - *Calibrated*: something was chosen with the check in view, and is named. That the check is as expected shows that the choice fits. How much\n  \
         depends on it is shown by [turning it](sensitivity.md).\n\
         - *By construction*: the check follows from an invariant of the program. It tests the program, not the model.\n\n\
         Which is which is computed: a constant's table, a load and a window name the checks that they were chosen with, an invariant names the checks\n\
         that follow from it, and a test sees to it that every check is in exactly one place.\n\n\
         The tables show every check of `cargo xtask verify` and `cargo xtask verify --oracle`, with the seeds 1 to {SEEDS}: what the source says, with\n\
         the tolerance of the check, and what was measured: the median, and in brackets the smallest and the largest. `verify` itself draws its seeds\n\
         afresh. A check *holds* if what it says is seen in the counters of every run. [A] is the [verification guideline](../sources.md). A bound that\n\
         the source does not give is said to be this project's. `cargo xtask verify --mutate` switches one mechanism off at a time and shows which of\n\
         these checks fail then.\n\n\
         ## The source's scenarios\n"
    );
    tables(&mut text, verify::SOURCE, &source.rows, ["pass", "**fail**"])?;
    text.push_str(OUTSIDE);
    tables(&mut text, verify::OUTSIDE, &outside.outside, ["held", "**not held**"])?;
    text.push_str(LOOKED_AT);
    let evidence = oracle.evidence.unwrap_or_default();
    let _: std::fmt::Result = write!(text, "\n## Microsoft's own behaviour tests\n\n{evidence}\n");
    tables(&mut text, verify::ORACLE, &oracle.rows, ["pass", "**fail**"])?;
    Ok(text)
}

/// What the first paragraph says: what is predicted.
fn summary(text: &mut String, source: &Report, outside: &Report) {
    let of = |kind: &str| source.rows.iter().filter(|row| is(row, kind)).count();
    let predicted = outside.outside.iter().filter(|row| is(row, "predicted"));
    let held = predicted.clone().filter(|row| row.passed).count();
    let _: std::fmt::Result = write!(
        text,
        "Of the {} checks of `cargo xtask verify`, **{} were predicted**, {} are shown by what was *calibrated*, {} hold *by construction*. One of the\n\
         predictions is a number: seven VMs with 4 GB of static memory start on the host of 32 GB. The others say how curves behave: that a VM's\n\
         memory follows its demand, that the guest's available memory rises in a sawtooth, that VMs lose memory to one that needs it, that two curves\n\
         cross, that they do not rest. The numbers of the guideline that runs show again, 88 VMs, 30.31 and 4.26 GB and Table 4-1, were in view when\n\
         constants were chosen. Of {} predictions of [what others measured](#what-others-measured), {held} held.\n",
        source.rows.len(),
        of("predicted"),
        of("calibrated"),
        of("by construction"),
        predicted.count(),
    );
}

/// The heading of what others measured, and what is to be said of what did not hold.
const OUTSIDE: &str = "\n## What others measured\n\n\
    Nothing was chosen with these in view. They were measured on other hosts, guests and loads than the guideline's, of which their authors say\n\
    little; what is this project's is said in the files. So one that does not hold is shown, and is no failure of `verify`. What the ones that do not\n\
    hold say:\n\n\
    - **Overhead.** The model's overhead is the same for every VM, 8 MB. It was measured to grow with the VM's memory: it fits VMs of 3 and 4 GB,\n  \
      as those of the guideline, and is too much for small ones. (The same author's note, and Microsoft's later rule of thumb, differ from each other by\n  \
      more than that.)\n\
    - **What an idle VM is left with.** 640 MB means a demand of 533 MB with the default buffer. The guest is not named; the model's Windows Server\n  \
      2008 R2 SP1 needs 414 MB at idle, which was calibrated to the guideline's, so its VM is left with its minimum of 512 MB.\n\
    - **85 %.** The upper edge of the model's pressure band is 85.3 % with the default buffer, so a VM may rest between 85 and that for minutes. The\n  \
      half-width of the band, 2 %, is invented; Microsoft's threshold asks for less than 1.7.\n";

/// What was looked at for predictions and cannot be used: said once, so that no reader has to look again.
const LOOKED_AT: &str = "\n### Looked at, and not used\n\n\
    Public measurements of Dynamic Memory in Windows Server 2008 R2 SP1 with numbers are rare. These were looked at, as far as their stored copies\n\
    go, and say too little to be repeated:\n\n\
    | what | says | why it is no check |\n\
    |---|---|---|\n\
    | Microsoft (Michael Kleef), *Hyper-V Dynamic Memory test for VDI density*, November 2010, techcommunity.microsoft.com, 381783 | 40 % more virtual desktops than without Dynamic Memory; 25 to 50 % more of other servers at customers | neither the desktops' memory without it nor what the Login VSI load commits is given in what could be read; with idle desktops any gain can be had by choosing the first |\n\
    | Microsoft, TechEd 2011, session VIR311, studylib.net/doc/9431771 | 1000 users with Windows Server 2008 R2, 1440 with SP1, Login VSI medium | as above |\n\
    | ServeTheHome, *Dynamic Memory and Hyper-V Guide in Windows Server 2008 R2 SP1*, 2011 | 25 % more VMs on a host of 24 GB | no VM is described |\n\
    | Microsoft (Rob Waggoner), *What does Dynamic Memory look like to the user of a Hyper-V hosted virtual machine?*, February 2011, blogs.technet.com/uspartner_ts2team | a guest shows 1281 MB while 1118 are assigned, later 1713 while 1916 are | settings are in pictures; the second pair was not taken at one moment, or differs from what this model can show: here a guest never shows less than it has |\n\
    | Microsoft (Ben Armstrong), *Looking at Dynamic Memory Performance Counters*, September 2010, blogs.msdn.com/virtual_pc_guy | what pressure is | a definition, which the model uses |\n\
    | Microsoft, *Remote Desktop Virtualization Host Capacity Planning in Windows Server 2008 R2*, June 2010 | VMs for each host | before SP1: no Dynamic Memory |\n\
    | Lai Yoong Seng, *Hyper-V vNext Dynamic Memory*, September 2011, ericlaiys.blogspot.com | 321 MB are left of a startup RAM of 512 MB | a preview of Windows Server 2012; the guest is not named |\n\
    | Aidan Finn, *A Guide to Hyper-V Dynamic Memory*, June 2011; Microsoft, *Implementing and Configuring Dynamic Memory*, June 2010, and *Hyper-V Dynamic Memory Configuration Guide*, February 2011 | how it works | no measurements in what could be read |\n";

fn is(row: &Row, kind: &str) -> bool {
    row.kind.as_ref().is_some_and(|of| of.name() == kind)
}

fn report(names: &[&str]) -> Result<Report> {
    let options = Options {
        seeds: (1..=SEEDS).collect(),
        change: Change::None,
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    Ok(verify::verify(&super::super::verify::load(names)?, &options))
}

fn tables(text: &mut String, names: &[&str], rows: &[Row], results: [&str; 2]) -> Result<()> {
    for scenario in super::super::verify::load(names)? {
        let _: std::fmt::Result = write!(
            text,
            "\n### {}\n\n{}\n\n| what is measured | kind | source | says | runs show | |\n|---|---|---|---|---|---|\n",
            scenario.name, scenario.title
        );
        for row in rows.iter().filter(|row| row.scenario == scenario.name) {
            line(text, row, results);
        }
    }
    Ok(())
}

fn line(text: &mut String, row: &Row, [passed, failed]: [&str; 2]) {
    let vm = row.vm.as_ref().map_or_else(String::new, |vm| format!(" ({vm})"));
    let result = if row.passed {
        passed.to_owned()
    } else {
        format!("{failed} with {} of {SEEDS} seeds", row.failed.len())
    };
    let kind = match &row.kind {
        Some(Kind::Predicted) => "**predicted**".to_owned(),
        Some(Kind::Calibrated { chosen }) => format!("calibrated: {}", chosen.join("; ")),
        Some(Kind::ByConstruction { invariant, because }) if *because == "the check is the invariant" => {
            format!("by construction: {invariant}")
        }
        Some(Kind::ByConstruction { invariant, because }) => {
            format!("by construction: {invariant}; {because}")
        }
        None => String::new(),
    };
    let _: std::fmt::Result = writeln!(
        text,
        "| `{}`{vm}: {} | {} | {} | {} | {} | {result} |",
        row.check,
        cell(&row.meaning),
        cell(&kind),
        cell(row.source.as_deref().unwrap_or("")),
        cell(&row.expected),
        cell(&row.seen()),
    );
}
