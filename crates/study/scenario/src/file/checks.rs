//! `[[check]]`: what must be seen in a run.

use page_range::PageCount;

use super::{
    diagnostic::Span,
    reader::{Located, Table, number},
};

/// A check that the runner knows.
#[derive(Debug, PartialEq, Eq)]
pub struct CheckDoc {
    /// Its name in scenario files.
    pub name: &'static str,
    /// Unit of the number that it measures; `None` for one that holds or does not.
    pub unit: Option<&'static str>,
    /// What it measures, or what must hold.
    pub meaning: &'static str,
}

macro_rules! checks {
    ($($name:literal, $unit:expr, $meaning:literal;)*) => {
        /// All checks. Phases ① to ④ (in scenarios of one VM ① to ⑥) are found in the counters, not in the timeline.
        pub static CHECKS: &[CheckDoc] = &[$(CheckDoc { name: $name, unit: $unit, meaning: $meaning },)*];
    };
}

checks! {
    "vms_started", Some("VMs"), "VMs that reached their login screen.";
    "vms_started_ratio", Some("ratio"), "VMs that reached their login screen, over those of the scenario `against`.";
    "host_memory_used", Some("GB"), "Most memory of the host in use: VMs, overhead and parent OS.";
    "no_failed_start", None, "No start of a VM failed.";
    "start_refused", None, "The start of `vm` is refused in Hyper-V's words, and the other VMs are not disturbed.";
    "idle_at_startup", None, "In ① the VM stays at its startup RAM.";
    "idle_available", Some("MB"), "In ① the guest's available memory, mean.";
    "follows_demand", None, "In ② Physical Memory rises with demand and buffer.";
    "available_trend", Some("MB/min"), "In ② the linear trend of the guest's available memory.";
    "available_sawtooth", None, "In ② the guest's available memory drops after load steps and rises after grants.";
    "unload_is_unseen", None, "In ③ the guest's available memory rises; the parent's amounts and operation counts do not change.";
    "hold", Some("s"), "Length of ④: from the end of unloading until memory is taken back.";
    "reclaim", None, "In ⑤ Physical Memory and the guest's available memory fall, Guest Visible Physical Memory does not.";
    "idle_after_reclaim", None, "In ⑥ nothing changes any more.";
    "undisturbed_growth", Some("MB"), "Growth of `vm` until the others first lose more than 8 MB in all.";
    "others_undisturbed", None, "In ② the other VMs' amounts do not change.";
    "contention", None, "In ③ the other VMs lose memory while `vm` gains.";
    "available_single_digits", None, "In ③ at least one 1 s sample of Available Memory is below 10 MB.";
    "available_single_digit_share", Some("share"), "In ③ the share of 1 s samples of Available Memory below 10 MB.";
    "back_at_maximum", Some("MB"), "In ④ the largest distance of the other VMs from their maximum, at the end.";
    "parent_free", Some("MB"), "In ③ the parent's free memory, each 1 s sample.";
    "available_mean", Some("MB"), "In ③ Available Memory, mean.";
    "page_reads_peak", Some("reads/s"), "In ③ the parent's page reads, maximum of 15 s averages.";
    "page_reads_quiet", Some("reads/s"), "In ② the parent's page reads, median of 1 s samples.";
    "curves_cross", None, "Available Memory is above the parent's free memory when ② begins and below it when ② ends.";
    "memory_assigned", Some("GB"), "Most memory that the VMs had at one time: the sum of Physical Memory.";
    "host_memory_used_ratio", Some("ratio"), "Most memory of the host in use, over that of the scenario `against`.";
    "flat_while_idle", Some("MB"), "In ① how far apart the highest and lowest samples are, of Available Memory or the parent's free memory, whichever is further.";
    "page_reads_idle", Some("reads/s"), "In ① the parent's page reads, largest 1 s sample.";
    "unsteady", None, "In ③ Available Memory and the parent's free memory move up and down all the time.";
    "assigned_difference", Some("MB"), "Physical Memory of `vm` less that of `than`, at `at`.";
    "holds_more", Some("share"), "Share of the samples from `from` to `at` in which `vm` has more Physical Memory than `than`.";
    "assigned_change", Some("MB"), "Change of Physical Memory of `vm` from `from` to `at`.";
    "demand_change", Some("MB"), "Change of the demand of `vm` from `from` to `at`.";
    "start_time", Some("s"), "From the first request to start `vm` until it has its startup RAM.";
    "reclaim_time", Some("s"), "From `from` until Physical Memory of `vm` first falls.";
    "assigned", Some("MB"), "Physical Memory of `vm`, at `at`.";
    "guest_visible", Some("MB"), "Guest Visible Physical Memory of `vm`, at `at`.";
    "overhead_per_vm", Some("MB"), "Host memory that a running VM costs beside its own, at `at`.";
    "pressure_difference", Some("percent"), "Current Pressure of `vm` less that of `than`, at `at`.";
    "high_pressure_time", Some("s"), "Longest time in a row with a Current Pressure of `vm` above 85 percent, from `from` to `at`.";
    "within_bounds", None, "No VM with Dynamic Memory ever has less than its minimum or more than its maximum.";
    "bounds_reached", None, "Some VM with Dynamic Memory has all of its maximum at a time, and some VM no more than its minimum.";
}

/// One check of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Which.
    pub check: &'static CheckDoc,
    /// What its number must be.
    pub expectation: Expectation,
    /// Share of the samples of which it must hold, 0 to 1.
    pub share: f64,
    /// Name of the VM that it is about.
    pub vm: Option<Located<String>>,
    /// The scenario that the run is measured against.
    pub against: Option<Located<String>>,
    /// Name of the VM that `vm` is compared with.
    pub than: Option<Located<String>>,
    /// The virtual time from which the check measures; the beginning if `None`.
    pub from: Option<core::time::Duration>,
    /// The virtual time at which, or up to which, the check measures; the end if `None`.
    pub at: Option<core::time::Duration>,
    /// The check belongs to runs with this `memory_reserve` only (`Some(None)`: unset).
    pub when_memory_reserve: Option<Option<PageCount>>,
    /// Where the source says so.
    pub source: Option<String>,
    /// Where it stands in the file.
    pub span: Span,
}

/// What a check's number must be, in its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expectation {
    /// The check has no number: it holds or not.
    Holds,
    /// This, or no further off than the tolerance.
    Near {
        /// What is expected.
        expected: f64,
        /// How far off it may be.
        tolerance: f64,
    },
    /// From the first to the second.
    Between(f64, f64),
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Expectation {
    /// Whether a measured number is as expected. An expectation without a number is always met.
    pub fn met_by(self, measured: f64) -> bool {
        match self {
            Self::Holds => true,
            Self::Near { expected, tolerance } => (measured - expected).abs() <= tolerance,
            Self::Between(low, high) => (low..=high).contains(&measured),
            Self::AtLeast(low) => measured >= low,
            Self::AtMost(high) => measured <= high,
        }
    }
}

/// Reads one `[[check]]`.
pub(super) fn read(table: &Table<'_, '_>) -> Option<Check> {
    let vm = table.text("vm");
    let against = table.text("against");
    let than = table.text("than");
    let from = table.duration("from").map(|from| from.value);
    let at = table.duration("at").map(|at| at.value);
    let source = table.text("source").map(|source| source.value);
    let share = table.number("share", 0.0, 1.0).map_or(1.0, |share| share.value);
    let when_memory_reserve = read_condition(table);
    let expectation = read_expectation(table);
    let name = table.text("name");
    let name = table.required("name", name)?;
    let Some(check) = CHECKS.iter().find(|check| check.name == name.value) else {
        let names = CHECKS.iter().map(|check| check.name);
        let near = quantities::nearest(&name.value, names.clone());
        let diagnostic = table
            .bad_value("name", &name.span, format!("there is no check {:?}", name.value))
            .allowed(names.collect::<Vec<_>>().join(", "));
        table.reader.add(match near {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic,
        });
        return None;
    };
    let expectation = expectation?;
    let has_number = expectation != Expectation::Holds;
    if has_number != check.unit.is_some() {
        let message = match check.unit {
            Some(unit) => {
                format!("check {:?} measures a number ({unit}) and needs to know which is right", check.name)
            }
            None => format!("check {:?} measures no number", check.name),
        };
        let allowed = match check.unit {
            Some(_) => "one of expect with tolerance, between, at_least, at_most",
            None => "none of expect, between, at_least, at_most",
        };
        table.reader.add(table.bad_value("name", &name.span, message).allowed(allowed));
        return None;
    }
    Some(Check {
        check,
        expectation,
        share,
        vm,
        against,
        than,
        from,
        at,
        when_memory_reserve,
        source,
        span: table.start(),
    })
}

fn read_condition(table: &Table<'_, '_>) -> Option<Option<PageCount>> {
    let (value, _) = table.value("when_memory_reserve")?;
    if value.as_str() == Some("unset") {
        return Some(None);
    }
    table.size("when_memory_reserve").map(|size| Some(size.value))
}

fn read_expectation(table: &Table<'_, '_>) -> Option<Expectation> {
    let expect = table.number("expect", f64::MIN, f64::MAX);
    let tolerance = table.value("tolerance");
    let between = table.value("between");
    let at_least = table.number("at_least", f64::MIN, f64::MAX);
    let at_most = table.number("at_most", f64::MIN, f64::MAX);
    let given: Vec<_> =
        ["expect", "between", "at_least", "at_most"].into_iter().filter(|key| table.has(key)).collect();
    if let [_, second, ..] = given[..] {
        let span = table.span_of(second);
        table.reader.add(
            table
                .bad_value(second, &span, format!("a check has either `{}` or `{second}`", given[0]))
                .allowed("one of expect, between, at_least, at_most"),
        );
        return None;
    }
    if let Some((value, span)) = between {
        let numbers: Option<Vec<f64>> =
            value.as_array().map(|array| array.iter().filter_map(|n| number(n.get_ref())).collect());
        return match numbers.as_deref() {
            Some(&[low, high]) if low <= high => Some(Expectation::Between(low, high)),
            _ => {
                table.reader.add(
                    table
                        .bad_value("between", &span, "`between` must be two numbers, the smaller first")
                        .allowed("[least, most]"),
                );
                None
            }
        };
    }
    if let Some(low) = at_least {
        return Some(Expectation::AtLeast(low.value));
    }
    if let Some(high) = at_most {
        return Some(Expectation::AtMost(high.value));
    }
    let Some(expect) = expect else { return if given.is_empty() { Some(Expectation::Holds) } else { None } };
    let Some((value, span)) = tolerance else {
        table.reader.add(
            table
                .bad_value(
                    "expect",
                    &expect.span,
                    "`expect` needs `tolerance`: measured numbers are never exact",
                )
                .allowed("tolerance = \"5%\", or a number in the check's unit"),
        );
        return None;
    };
    let relative = value
        .as_str()
        .and_then(|text| text.strip_suffix('%'))
        .and_then(|text| text.trim().parse::<f64>().ok());
    let tolerance = match relative {
        Some(percent) => Some(expect.value.abs() * percent / 100.0),
        None => number(value),
    };
    match tolerance.filter(|tolerance| tolerance.is_finite() && *tolerance >= 0.0) {
        Some(tolerance) => Some(Expectation::Near { expected: expect.value, tolerance }),
        None => {
            table.reader.add(
                table
                    .bad_value(
                        "tolerance",
                        &span,
                        format!("`tolerance` cannot be {}", table.reader.text(&span)),
                    )
                    .allowed("\"5%\", or a number in the check's unit"),
            );
            None
        }
    }
}
