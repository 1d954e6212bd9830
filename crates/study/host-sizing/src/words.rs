//! The answer in words and tables, for a terminal.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::answer::{Answer, Failover, Found, Shortage};
use crate::clock::{bare, gb, length, moment};
use crate::question::Sought;

/// VMs that a text names one by one.
const NAMED: usize = 3;

impl Answer {
    /// Whether what was asked about is enough: the hosts that were given, or hosts of one of the sizes.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        match self.sought {
            // Of hosts whose memory was given, how much would do comes after them.
            Sought::Memory => self.found.first().is_none_or(|found| found.kept),
            Sought::Hosts => self.found.is_empty() || self.found.iter().any(|found| found.kept),
        }
    }

    /// The answer in sentences, one for each line.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut said = Vec::new();
        for found in &self.found {
            said.extend(self.of_found(found));
        }
        said.extend(self.growth.map(|growth| {
            format!("Demand was grown by {:.0} % before ({growth}).", (growth.factor() - 1.0) * 100.0)
        }));
        said.extend(self.with_advice.as_ref().map(|after| self.advised(after)));
        said.push(format!(
            "Static memory would take {} for all maxima, {} for all peaks; those whose demand is known never demanded more than {} together.",
            gb(self.static_maximum_mb),
            gb(self.static_peak_mb),
            gb(self.peak_of_sum_mb)
        ));
        if !self.on_any_host.is_empty() {
            let names = names(self.on_any_host.iter().map(|short| short.vm.as_str()));
            let worst = &self.on_any_host[0];
            said.push(format!(
                "On any host {names} {} short for longer than the risk allows ({}): they rise faster than memory comes, or reach their maximum. They are \
                 held against that; a larger buffer or maximum helps, not a larger host.",
                if self.on_any_host.len() == 1 { "is" } else { "are" },
                self.short(worst, false)
            ));
        }
        said.push(format!("Confidence: {}.", self.confidence.level.word()));
        said.extend(self.confidence.reasons.iter().cloned());
        if let Some(test) = &self.back_test {
            said.push(format!(
                "Back-test: the first {} said {} for each of {}; on that, the second half kept the risk for {} of {} VMs{}. The second half alone would \
                 have said {}.",
                length(test.half_s),
                gb(test.memory_mb),
                hosts(test.hosts),
                test.kept,
                test.vms,
                test.broken.first().map_or_else(String::new, |worst| format!(" (worst: {})", self.short(worst, test.ended_early))),
                gb(test.second_half_mb)
            ));
        }
        said
    }

    /// What the advised settings come to, and how that differs from those of today.
    fn advised(&self, after: &Found) -> String {
        let hosts = hosts(after.hosts);
        let of = format!("With the advised settings {hosts} of {}", gb(after.memory_mb));
        match self.sought {
            Sought::Hosts if after.hosts == 0 => {
                format!("With the advised settings no number of hosts of {} is enough.", gb(after.memory_mb))
            }
            _ if !after.kept => {
                format!(
                    "With the advised settings the risk is not kept even on {hosts} of {}.",
                    gb(after.memory_mb)
                )
            }
            Sought::Memory => {
                // Where hosts were given, the second answer is what would be enough.
                let today = self.found.last().filter(|found| found.kept && found.hosts == after.hosts);
                let change =
                    today.map_or_else(String::new, |today| match today.memory_mb - after.memory_mb {
                        less if less > 0.5 => format!(", {} less for each", gb(less)),
                        less if less < -0.5 => {
                            format!(
                                ", {} more for each: they keep what the settings of today do not",
                                gb(-less)
                            )
                        }
                        _ => ", as much as with the settings of today".to_owned(),
                    });
                format!("{of} {}{change}.", suffice(after.hosts))
            }
            Sought::Hosts => {
                let of_size = |found: &&Found| (found.memory_mb - after.memory_mb).abs() < 0.5;
                let today = self.found.iter().filter(|found| found.kept && found.hosts > 0).find(of_size);
                let change = today.map_or_else(String::new, |today| match today.hosts.cmp(&after.hosts) {
                    core::cmp::Ordering::Greater => format!(", {} fewer", today.hosts - after.hosts),
                    core::cmp::Ordering::Less => format!(
                        ", {} more: they keep what the settings of today do not",
                        after.hosts - today.hosts
                    ),
                    core::cmp::Ordering::Equal => ", as many as with the settings of today".to_owned(),
                });
                format!("{of} {}{change}.", suffice(after.hosts))
            }
        }
    }

    /// What was found of one size of hosts; its first sentence says whether they are enough.
    pub(crate) fn of_found(&self, found: &Found) -> Vec<String> {
        let mut said = Vec::new();
        let down = match self.spare {
            0 => String::new(),
            1 => ", with one of them down".to_owned(),
            spare => format!(", with {spare} of them down"),
        };
        if found.hosts == 0 {
            return vec![format!(
                "No number of hosts of {} is enough: the largest VM does not fit one.",
                gb(found.memory_mb)
            )];
        }
        let of = format!("{} of {}", hosts(found.hosts), gb(found.memory_mb));
        if found.kept {
            said.push(format!(
                "{} {} enough{down}.",
                capital(&of),
                if found.hosts == 1 { "is" } else { "are" }
            ));
            match found.shortages.first() {
                None => said.push("No VM is short there at any time.".to_owned()),
                Some(worst) => {
                    let others = found.shortages.len() - 1;
                    let others = match others {
                        0 => String::new(),
                        1 => "; one other VM is short for less".to_owned(),
                        others => format!("; {others} others are short for less"),
                    };
                    said.push(format!("There {}{others}.", self.short(worst, false)));
                }
            }
            said.extend(found.failover.as_ref().map(|failover| self.failed_over(failover)));
            if let Some(less) = &found.why_not_less {
                let what = if less.hosts < found.hosts { hosts(less.hosts) } else { gb(less.memory_mb) };
                said.push(format!(
                    "{} {} not enough: {}.",
                    capital(&what),
                    if less.hosts < found.hosts && less.hosts > 1 { "are" } else { "is" },
                    self.broken(&less.violations, less.hosts, less.memory_mb)
                ));
            }
        } else {
            said.push(format!(
                "{} {} NOT enough{down}: {}.",
                capital(&of),
                if found.hosts == 1 { "is" } else { "are" },
                self.broken(&found.shortages, found.hosts, found.memory_mb)
            ));
        }
        let fast = found.fast_said.map_or_else(String::new, |fast| {
            let (same, said) = match self.sought {
                Sought::Memory => ((fast - found.memory_mb).abs() < 0.5, gb(fast)),
                Sought::Hosts => ((fast - f64::from(found.hosts)).abs() < 0.1, hosts(fast as u32)),
            };
            if same {
                "; the fast model said the same".to_owned()
            } else {
                format!("; the fast model had said {said}")
            }
        });
        said.push(format!("Confirmed by {}{fast}.", found.confirmed_by));
        said
    }

    /// What happens when a host fails in the middle.
    fn failed_over(&self, failover: &Failover) -> String {
        let worst = failover.worst.as_ref().map_or_else(
            || "none of them is short after that".to_owned(),
            |worst| {
                format!(
                    "{} is short for {} while it boots into the middle of its load, as it would be on any host",
                    worst.vm,
                    length(worst.longest_s)
                )
            },
        );
        format!(
            "When a host fails at the worst moment ({}), its {} VMs have their memory on the others within {}; {worst}.",
            moment(self.begins_ms, failover.at_s),
            failover.restarted,
            length(failover.slowest_start_s)
        )
    }

    /// What kept the risk from being kept.
    fn broken(&self, violations: &[Shortage], hosts: u32, memory_mb: f64) -> String {
        // Of many only some are kept; how many they are was counted.
        let all = self
            .evaluated
            .iter()
            .filter(|tried| tried.hosts == hosts && (tried.memory_mb - memory_mb).abs() < 0.5);
        let full =
            all.filter(|tried| tried.engine == crate::Engine::Full).max_by_key(|tried| tried.vms_broken);
        let all = full.map_or(violations.len(), |tried| tried.vms_broken);
        let ended_early = full.is_some_and(|tried| tried.ended_early);
        let told = violations.iter().take(NAMED).map(|shortage| self.short(shortage, ended_early));
        let told: Vec<String> = told.collect();
        let more = match all.saturating_sub(violations.len().min(NAMED)) {
            0 => String::new(),
            more => format!(", and {more} more break the risk"),
        };
        if told.is_empty() { "the risk is not kept".to_owned() } else { format!("{}{more}", told.join(", ")) }
    }

    /// What happened to a VM; `ended_early` is whether its run was ended when all was clear, so that this is the least that would have happened.
    fn short(&self, shortage: &Shortage, ended_early: bool) -> String {
        let vm = &shortage.vm;
        if !shortage.started {
            return if shortage.after_failure {
                format!("{vm} does not start again when its host fails: no other has its startup RAM free")
            } else {
                format!("{vm} never starts: no host has its startup RAM free")
            };
        }
        let after = if shortage.after_failure { ", a host having failed" } else { "" };
        let refused = if shortage.refused > 0 {
            format!(", and {} of its allocations are refused", shortage.refused)
        } else {
            String::new()
        };
        let least = if ended_early { "at least " } else { "" };
        format!(
            "{vm} is short for {least}{} from {} on ({:.2} % of its time{refused}{after})",
            length(shortage.longest_s),
            moment(self.begins_ms, shortage.at_s),
            shortage.share * 100.0
        )
    }

    /// What was tried.
    #[must_use]
    pub fn tries(&self, columns: usize) -> String {
        let mut table = plain(columns);
        table.set_header(["hosts", "each", "longest", "share", "refused", "not started", "risk"]);
        for tried in &self.evaluated {
            if tried.engine == crate::Engine::Fast
                && self.evaluated.iter().any(|other| {
                    other.engine == crate::Engine::Full
                        && other.hosts == tried.hosts
                        && (other.memory_mb - tried.memory_mb).abs() < 0.5
                })
            {
                continue;
            }
            let mark = if tried.engine == crate::Engine::Fast { " (fast)" } else { "" };
            table.add_row([
                tried.hosts.to_string(),
                gb(tried.memory_mb),
                format!("{}{}", if tried.ended_early { "≥ " } else { "" }, length(tried.longest_s)),
                format!("{:.2} %", tried.share * 100.0),
                tried.refused.to_string(),
                tried.not_started.to_string(),
                format!(
                    "{}{mark}",
                    if tried.kept {
                        "kept".to_owned()
                    } else {
                        let plural = if tried.vms_broken == 1 { "" } else { "s" };
                        format!("broken by {} VM{plural}", tried.vms_broken)
                    }
                ),
            ]);
        }
        right(&mut table, 0..6);
        table.to_string()
    }

    /// What is advised for each VM.
    #[must_use]
    pub fn settings(&self, columns: usize) -> String {
        let mut table = plain(columns);
        table.set_header(["VM", "demand GB", "p95", "minimum", "startup", "maximum", "buffer %"]);
        for advice in &self.advice {
            let (now, then) = (&advice.now, &advice.advised);
            let change = |now: f64, then: f64| {
                if (now - then).abs() < 0.5 { bare(now) } else { format!("{}→{}", bare(now), bare(then)) }
            };
            let demand = &advice.demand;
            let known = demand.values > 0;
            let bound = |text: String| if then.dynamic { text } else { "static".to_owned() };
            table.add_row([
                advice.vm.clone(),
                if known {
                    format!("{}–{}", bare(demand.minimum_mb), bare(demand.maximum_mb))
                } else {
                    "unknown".to_owned()
                },
                if known && !demand.snapshot { bare(demand.p95_mb) } else { String::new() },
                bound(change(now.minimum_mb, then.minimum_mb)),
                change(now.startup_mb, then.startup_mb),
                bound(change(now.maximum_mb, then.maximum_mb)),
                match then.dynamic {
                    false => String::new(),
                    true if now.buffer == then.buffer => now.buffer.to_string(),
                    true => format!("{}→{}", now.buffer, then.buffer),
                },
            ]);
        }
        right(&mut table, 1..7);
        table.to_string()
    }
}

fn plain(columns: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(columns).unwrap_or(80));
    table
}

fn right(table: &mut Table, columns: core::ops::Range<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

fn hosts(count: u32) -> String {
    const WORDS: [&str; 13] = [
        "no host",
        "one host",
        "two hosts",
        "three hosts",
        "four hosts",
        "five hosts",
        "six hosts",
        "seven hosts",
        "eight hosts",
        "nine hosts",
        "ten hosts",
        "eleven hosts",
        "twelve hosts",
    ];
    WORDS.get(count as usize).map_or_else(|| format!("{count} hosts"), |word| (*word).to_owned())
}

fn suffice(count: u32) -> &'static str {
    if count == 1 { "suffices" } else { "suffice" }
}

fn names<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = all.collect();
    let first = all.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
