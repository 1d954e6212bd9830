//! `cargo xtask counters`: how far the counters of a run went, and what they were over time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use perf_counters::schema::BALANCER_INSTANCE;
use run_analysis::counters::{At, Counters, Curve, Extent};
use scenario::run::COUNTERS_FILE;
use serde::Serialize;

use super::arguments::{duration, positive_duration};
use super::bad_input;
use crate::output::{Lines, Reader, look, note, say};

/// Which counters of which run.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder of a run
    dir: PathBuf,
    /// Names of counters, or parts of names, such as "Upstream Ring". Without any, all counters are listed
    #[arg(value_name = "COUNTER")]
    counters: Vec<String>,
    /// Only counters of this VM, and of its guest
    #[arg(long, value_name = "VM8")]
    vm: Option<String>,
    /// Tell what the counters came to for each one of this counter, such as signals for each packet
    #[arg(long, value_name = "COUNTER", requires = "counters", conflicts_with = "every")]
    per: Option<String>,
    /// Print the values over time, so far apart; without it, how high and how low each counter went, and when
    #[arg(long, value_name = "TIME", value_parser = positive_duration, requires = "counters")]
    every: Option<Duration>,
    /// Only from this time of the run on, such as 12m30s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    from: Option<Duration>,
    /// Only up to this time of the run
    #[arg(long, value_name = "TIME", value_parser = duration)]
    until: Option<Duration>,
    /// Draw the counters over time into a file of their own, a panel for each; a file that exists is not overwritten
    #[arg(long, value_name = "FILE.svg", requires = "counters")]
    svg: Option<PathBuf>,
    /// Print JSON and nothing else
    #[arg(long, conflicts_with = "every")]
    json: bool,
}

/// How far a counter went.
#[derive(Serialize)]
struct Row<'a> {
    counter: &'a str,
    of: &'a str,
    /// Whether a guest itself counts, not its host.
    in_guest: bool,
    unit: &'static str,
    #[serde(flatten)]
    extent: Extent,
    /// Its last value for each one of the counter of `--per`.
    #[serde(skip_serializing_if = "Option::is_none")]
    per: Option<f64>,
}

/// Prints them.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (from, until) = (args.from.unwrap_or(Duration::ZERO), args.until.unwrap_or(Duration::MAX));
    ensure!(from <= until, bad_input("--from is later than --until: no sample lies between them"));
    let counters = Counters::read(&args.dir).map_err(bad_input)?;
    for remark in counters.remarks() {
        note!("note: {}: {remark}", args.dir.join(COUNTERS_FILE).display());
    }
    let vm = args.vm.as_deref();
    let curves = match &args.counters[..] {
        [] => counters.all(vm, &|_| true),
        names => names.iter().map(|name| named(&counters, name, vm)).collect::<Result<Vec<_>>>()?.concat(),
    };
    ensure!(!curves.is_empty(), bad_input(no_such_vm(&counters, vm.unwrap_or(""))));
    if let Some(path) = &args.svg {
        ensure!(!path.exists(), bad_input(format!("{} exists already; name another file", path.display())));
        std::fs::write(path, counters.draw(&curves, from, until))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(every) = args.every {
        return over_time(&counters, &curves, every, (from, until));
    }
    let per = args.per.as_deref().map(|per| named(&counters, per, vm)).transpose()?.unwrap_or_default();
    let last = |curve: &Curve| counters.extent(curve, from, until).map(|extent| extent.last);
    let divisors: BTreeMap<&str, f64> = per
        .iter()
        .filter_map(|curve| Some((&*curve.of, last(curve)?)))
        .filter(|(_, last)| *last > 0.0)
        .collect();
    let rows: Vec<Row<'_>> = curves
        .iter()
        .filter_map(|curve| {
            let extent = counters.extent(curve, from, until)?;
            let per = divisors.get(&*curve.of).map(|divisor| extent.last / divisor);
            Some(Row {
                counter: &curve.counter,
                of: &curve.of,
                in_guest: curve.in_guest,
                unit: curve.unit,
                extent,
                per,
            })
        })
        .collect();
    ensure!(!rows.is_empty(), bad_input("none of these counters has a value in that time"));
    if args.json {
        say!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    if args.counters.is_empty() { list(&rows) } else { extents(&rows, per.first()) }
}

/// The counters of a name; what is near where there are none.
fn named(counters: &Counters, name: &str, vm: Option<&str>) -> Result<Vec<Curve>> {
    let curves = counters.named(name, vm);
    if !curves.is_empty() {
        return Ok(curves);
    }
    if let Some(vm) = vm.filter(|_| !counters.named(name, None).is_empty()) {
        return Err(bad_input(no_such_vm(counters, vm)));
    }
    let all = counters.all(None, &|_| true);
    let short = |curve: &'_ Curve| curve.counter.rsplit('\\').next().unwrap_or("").to_owned();
    let names: Vec<String> = all.iter().map(short).collect();
    let near = quantities::nearest(name, names.iter().map(String::as_str));
    let near = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
    Err(bad_input(format!("the run has no counter {name:?}{near}\nWithout a name, all are listed")))
}

fn no_such_vm(counters: &Counters, vm: &str) -> String {
    let all = counters.all(None, &|_| true);
    let names: std::collections::BTreeSet<&str> = all.iter().map(|curve| &*curve.of).collect();
    let near = quantities::nearest(vm, names.iter().copied());
    let near = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
    format!("there are no such counters of {vm:?}{near}")
}

/// Rows of the same counter of different VMs, in the order in which the counters come.
fn kinds<'a, 'b>(rows: &'b [Row<'a>]) -> Vec<Vec<&'b Row<'a>>> {
    let mut kinds: Vec<Vec<&Row<'_>>> = Vec::new();
    for row in rows {
        let same = |of: &&mut Vec<&Row<'_>>| of[0].counter == row.counter && of[0].in_guest == row.in_guest;
        match kinds.iter_mut().find(same) {
            Some(of) => of.push(row),
            None => kinds.push(vec![row]),
        }
    }
    kinds
}

/// The set of a counter and its name there.
fn parts<'a>(row: &Row<'a>) -> (&'a str, &'a str) {
    row.counter.rsplit_once('\\').unwrap_or(("", row.counter))
}

/// All counters: how high each went, of whom, and when.
fn list(rows: &[Row<'_>]) -> Result<()> {
    let mut out = Lines::new();
    let mut set = ("", false);
    for of in kinds(rows) {
        // The first of those that went as high.
        let Some(most) = of.iter().max_by(|a, b| {
            let (a, b) = (a.extent.highest, b.extent.highest);
            a.value.total_cmp(&b.value).then(b.at_s.total_cmp(&a.at_s))
        }) else {
            continue;
        };
        let (object, name) = parts(most);
        let mut reader = Reader::Listens;
        if set != (object, most.in_guest) {
            let gap = if set.0.is_empty() { "" } else { "\n" };
            let place = if most.in_guest { ", in the guests" } else { "" };
            reader = out.line(format_args!("{gap}{object}{place}\n{:>20} {:>11}  of", "highest", "at"))?;
            set = (object, most.in_guest);
        }
        if reader == Reader::Gone {
            return Ok(());
        }
        let highest = format!("{} {}", number(most.extent.highest.value), most.unit);
        let line =
            format_args!("{highest:>20} {:>11}  {:<10} {name}", time(most.extent.highest), column(most.of));
        if out.line(line)? == Reader::Gone {
            return Ok(());
        }
    }
    out.finish()
}

/// How far each went, highest first.
fn extents(rows: &[Row<'_>], per: Option<&Curve>) -> Result<()> {
    let mut out = Lines::new();
    if let Some(per) = per
        && out.line(format_args!("per: for each of {}\n", per.counter))? == Reader::Gone
    {
        return Ok(());
    }
    for (place, mut of) in kinds(rows).into_iter().enumerate() {
        of.sort_by(|a, b| b.extent.highest.value.total_cmp(&a.extent.highest.value));
        let (unit, counter) = (of[0].unit, of[0].counter);
        let (gap, guest) =
            (if place > 0 { "\n" } else { "" }, if of[0].in_guest { ", in the guests" } else { "" });
        if out.line(format_args!("{gap}{counter} ({unit}){guest}"))? == Reader::Gone {
            return Ok(());
        }
        let heading = per.map_or("", |_| "      per");
        let mut reader = out.line(format_args!(
            "{:<10} {:>10} {:>11} {:>10} {:>11} {:>10}{heading}",
            "of", "highest", "at", "lowest", "at", "last"
        ))?;
        for row in of {
            if reader == Reader::Gone {
                return Ok(());
            }
            let Extent { highest, lowest, last } = row.extent;
            let per = row.per.map_or_else(String::new, |per| format!(" {per:>8.3}"));
            reader = out.line(format_args!(
                "{:<10} {:>10} {:>11} {:>10} {:>11} {:>10}{per}",
                column(row.of),
                number(highest.value),
                time(highest),
                number(lowest.value),
                time(lowest),
                number(last)
            ))?;
        }
    }
    out.finish()
}

/// Columns of a value over time.
const COLUMN: usize = 13;

/// The values, a row for each time and a column for each counter.
fn over_time(
    counters: &Counters,
    curves: &[Curve],
    every: Duration,
    (from, until): (Duration, Duration),
) -> Result<()> {
    let room = (look().columns.saturating_sub(12)) / (COLUMN + 1);
    ensure!(
        curves.len() <= room,
        bad_input(format!(
            "{} counters have no room beside each other in a line; choose at most {room}, by their names or with --vm",
            curves.len()
        ))
    );
    let one = curves.iter().all(|curve| curve.of == curves[0].of);
    let mut heads = [String::new(), String::new()];
    for curve in curves {
        let name = curve.counter.rsplit('\\').next().unwrap_or("");
        // Where all are of one VM, the name may take two lines; else the first line says whose the counter is.
        let (above, below) =
            if one { name.rsplit_once(' ').unwrap_or(("", name)) } else { (&*curve.of, name) };
        heads[0].push_str(&format!(" {:>COLUMN$}", cut(above, COLUMN)));
        heads[1].push_str(&format!(" {:>COLUMN$}", cut(below, COLUMN)));
    }
    let mut out = Lines::new();
    let who = if one { column(&curves[0].of) } else { String::new() };
    let mut reader = out.line(format_args!("{who:<12}{}", heads[0]))?;
    if reader == Reader::Listens {
        reader = out.line(format_args!("{:>12}{}", "time", heads[1]))?;
    }
    let mut due = from;
    for (row, at) in counters.times().iter().enumerate() {
        if *at < due || *at > until {
            continue;
        }
        if reader == Reader::Gone {
            return Ok(());
        }
        due = *at + every;
        let values: String = curves
            .iter()
            .map(|curve| {
                let value = curve.values.get(row).copied().flatten();
                format!(" {:>COLUMN$}", value.map_or_else(|| "–".to_owned(), number))
            })
            .collect();
        reader = out.line(format_args!("{:>12}{values}", quantities::format_duration(*at)))?;
    }
    out.finish()
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// A name in a column of ten. What is the host's whole is the host's.
fn column(name: &str) -> String {
    if name == BALANCER_INSTANCE { "balancer".to_owned() } else { cut(name, 10) }
}

fn time(at: At) -> String {
    quantities::format_duration(Duration::from_millis((at.at_s * 1e3).round() as u64))
}

/// A value with three decimals at most.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
