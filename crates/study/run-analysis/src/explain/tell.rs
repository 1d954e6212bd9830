//! An explanation as text.

use std::fmt;
use std::time::Duration;

use page_range::PageCount;
use run_journal::Record;

use super::{Decided, Explanation, Found, Lacked, Life, VmThen, words};

/// How old the numbers of the host's state may be and still be told as those of the time asked for: as long as a report may
/// take to change a decision. Invented.
const FRESH: Duration = Duration::from_secs(2);
/// Other VMs that are told of.
const OTHERS: usize = 12;
/// Columns of a VM's name in the table of the others, at most: what is left of 80 beside the other columns.
const NAMES: usize = 20;

fn time(at: Duration) -> String {
    // To the millisecond: what is finer says nothing to a reader.
    let at = Duration::from_millis(at.as_millis() as u64);
    quantities::format_duration(at)
}

fn tell_lacked(f: &mut fmt::Formatter<'_>, lacked: Lacked) -> fmt::Result {
    writeln!(f, "  It needed {} MB, and {} MB were available.", lacked.required_mb, lacked.available_mb)
}

pub(super) fn mb(pages: PageCount) -> String {
    let mib = pages.mib();
    if mib.fract() == 0.0 { format!("{mib} MB") } else { format!("{mib:.1} MB") }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what_it_had(f)?;
        let running = matches!(self.then.life, Life::Running { .. });
        writeln!(f, "\nThe host")?;
        match &self.host {
            Some(host) => {
                let meaning = words::state(&self.policy, &host.rule).map_or_else(
                    || format!("policy {} calls it `{}`", self.policy, host.rule),
                    str::to_owned,
                );
                writeln!(f, "  Since {}: {meaning} (`{}`).", time(host.at), host.rule)?;
                self.now(f, host)?;
            }
            None => writeln!(f, "  There had been no round.")?,
        }
        if self.policy_failures > 0 {
            writeln!(
                f,
                "  The policy had failed in {} rounds by then; in each the targets before it stayed.",
                self.policy_failures
            )?;
        }
        if running {
            self.decision(f)?;
        }
        self.candidates(f)?;
        if running {
            self.effects(f)?;
        }
        Ok(())
    }
}

impl Explanation {
    fn what_it_had(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (vm, at) = (&self.vm, time(self.at));
        match &self.then.life {
            Life::NeverStarted => writeln!(f, "{vm} had no memory at {at}: it had not been started."),
            Life::Off { since } => {
                writeln!(f, "{vm} had no memory at {at}: it has been off since {}.", time(*since))
            }
            Life::Waiting { since, lacked } => {
                writeln!(
                    f,
                    "{vm} had no memory at {at}: it has been waiting to start since {}.",
                    time(*since)
                )?;
                (*lacked).map_or(Ok(()), |lacked| tell_lacked(f, lacked))
            }
            Life::Refused { at: refused, lacked, reserved_until } => {
                writeln!(f, "{vm} had no memory at {at}: its start was refused at {}.", time(*refused))?;
                tell_lacked(f, *lacked)?;
                match reserved_until {
                    Some(until) => writeln!(
                        f,
                        "  From then until {} memory was collected for it, in case that it was asked to start again.",
                        time(*until)
                    ),
                    None => writeln!(
                        f,
                        "  The others could not have given that much, so nothing was taken from them."
                    ),
                }
            }
            Life::Running { since } => {
                writeln!(f, "{vm} had {} at {at}. It runs since {}.", mb(self.then.has), time(*since))?;
                let Some(report) = self.then.report else {
                    return if self.has_reports {
                        writeln!(f, "  Its guest had not reported.")
                    } else {
                        writeln!(f, "  What its guest reported is not among the events.")
                    };
                };
                let pressure = balancing_policy::pressure(report.demand, self.then.has);
                writeln!(
                    f,
                    "  Its guest's last report, {}: it needs {}, {} are available in it; pressure {pressure:.1} %.",
                    time(report.at),
                    mb(report.demand),
                    mb(report.available)
                )
            }
        }
    }

    /// The host's numbers at the time asked for. Those that a round found are told only if they are fresh: the state of the host is
    /// recorded when it begins, and may be an hour old.
    fn now(&self, f: &mut fmt::Formatter<'_>, host: &Found) -> fmt::Result {
        let running = self.others.values().chain([&self.then]);
        let running: Vec<&VmThen> =
            running.filter(|then| matches!(then.life, Life::Running { .. })).collect();
        let has: PageCount = running.iter().map(|then| then.has).sum();
        let need: PageCount = running.iter().filter_map(|then| then.report).map(|report| report.demand).sum();
        // What a guest needs is known from its reports only.
        let silent = running.iter().filter(|then| then.report.is_none()).count();
        let who = match (running.len(), silent) {
            (0, _) => "no VM was running".to_owned(),
            (1, _) if !self.has_reports => format!("1 VM was running; it had {}", mb(has)),
            (count, _) if !self.has_reports => {
                format!("{count} VMs were running; together they had {}", mb(has))
            }
            (1, 0) => format!("1 VM was running; it had {} and needed {}", mb(has), mb(need)),
            (1, _) => format!("1 VM was running; it had {}, and its guest had not reported", mb(has)),
            (count, 0) => {
                format!("{count} VMs were running; together they had {} and needed {}", mb(has), mb(need))
            }
            (count, _) => format!(
                "{count} VMs were running; together they had {} and needed {}, without {silent} whose guests had not reported",
                mb(has),
                mb(need)
            ),
        };
        writeln!(f, "  At {}, {who}.", time(self.at))?;
        if let Some(measured) = &self.measured {
            writeln!(
                f,
                "  Available Memory was {}, and {:.0} MB of the parent OS were free (counters of {}).",
                mb(measured.available),
                measured.parent_free_mib,
                time(measured.at)
            )?;
        }
        if self.at.saturating_sub(host.at) < FRESH {
            writeln!(f, "  The round of {} found: {}.", time(host.at), words::inputs(&host.inputs))
        } else {
            writeln!(f, "  What the round of {} found is event {}.", time(host.at), host.seq)
        }
    }

    fn decision(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nThe decision")?;
        let Some(decision) = &self.then.decision else {
            return writeln!(f, "  There had been none: it has what it started with.");
        };
        let Decided { rule, target, proposed, .. } = decision;
        let meaning = words::rule(&self.policy, rule)
            .map_or_else(|| format!("Policy {} names its rule `{rule}`.", self.policy), str::to_owned);
        writeln!(f, "  {}, round {}, by {}: `{rule}`.", time(decision.at), decision.round, self.policy)?;
        writeln!(f, "  {meaning}")?;
        if !decision.inputs.is_empty() {
            writeln!(f, "  {}", words::inputs(&decision.inputs))?;
        }
        writeln!(f, "  It had {} then, and was to have {}.", mb(decision.assigned), mb(*target))?;
        if let Some(correction) = &decision.correction {
            let why = match correction.as_str() {
                "below_lowest" => "less than it can be brought to",
                "above_highest" => "more than it can be brought to",
                "over_capacity" => "with all others more than the host has",
                other => other,
            };
            writeln!(f, "  The policy had proposed {}, {why}; the balancer corrected it.", mb(*proposed))?;
        }
        match &self.next {
            Some(next) => writeln!(
                f,
                "  It stood until {}, round {}: then `{}`, {}.",
                time(next.at),
                next.round,
                next.rule,
                mb(next.target)
            ),
            None => writeln!(f, "  It stood until the end of the run."),
        }
    }

    fn candidates(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut others: Vec<(&String, &VmThen)> =
            self.others.iter().filter(|(_, then)| matches!(then.life, Life::Running { .. })).collect();
        others.sort_by(|(_, a), (_, b)| {
            let key = |then: &VmThen| then.pressure().unwrap_or(-1.0);
            key(b).total_cmp(&key(a))
        });
        writeln!(f, "\nWho else had a claim, or something to give")?;
        if others.is_empty() {
            writeln!(f, "  Nobody: no other VM was running.")?;
        }
        let shown = &others[..others.len().min(OTHERS)];
        let names = shown.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).clamp(2, NAMES);
        if !shown.is_empty() {
            writeln!(
                f,
                "  {:<names$}  {:>9}  {:>9}  {:>8}  by its rule to have",
                "VM", "had", "needed", "pressure"
            )?;
        }
        for (name, then) in shown {
            let unknown = if self.has_reports { "no report" } else { "not known" };
            let need = then.report.map_or_else(|| unknown.to_owned(), |report| mb(report.demand));
            let pressure = then.pressure().map_or_else(String::new, |pressure| format!("{pressure:.1} %"));
            let rule = then
                .decision
                .as_ref()
                .map_or_else(String::new, |decision| format!("  {}, {}", decision.rule, mb(decision.target)));
            // A long name has a line of its own.
            let name = if name.chars().count() > NAMES {
                format!("{name}\n  {:<names$}", "")
            } else {
                format!("{name:<names$}")
            };
            writeln!(f, "  {name}  {:>9}  {need:>9}  {pressure:>8}{rule}", mb(then.has))?;
        }
        if others.len() > OTHERS {
            let under = if self.has_reports { ", under less pressure" } else { "" };
            writeln!(f, "  … and {} more{under}.", others.len() - OTHERS)?;
        }
        for (name, then) in &self.others {
            match then.life {
                Life::Waiting { .. } => writeln!(f, "  {name:<8} was waiting to start.")?,
                Life::Refused { reserved_until: Some(until), .. } if self.at <= until => {
                    writeln!(
                        f,
                        "  {name:<8} had been refused its start, and memory was being collected for it."
                    )?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn effects(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(decision) = &self.then.decision else { return Ok(()) };
        writeln!(f, "\nWhat came of it")?;
        if self.effects.is_empty() {
            let enough = decision.target == decision.assigned;
            let why = if enough {
                "Nothing was moved: it had its target."
            } else {
                "Nothing was moved: what was missing was too little to move, or there was nothing to move yet."
            };
            writeln!(f, "  {why}")?;
        }
        for effect in &self.effects {
            writeln!(f, "  {:>12}  {}", time(Duration::from(effect.t)), effect_in_words(effect))?;
        }
        if self.more_effects > 0 {
            writeln!(f, "  … and {} more events.", self.more_effects)?;
        }
        writeln!(
            f,
            "\nEvent {} is the decision. All around it:\n  cargo xtask events DIR --follow {0}",
            decision.seq
        )
    }
}

fn effect_in_words(effect: &Record) -> String {
    let pages = |name: &str| mb(PageCount(super::number(effect, name)));
    match &*effect.event {
        "add_memory" => {
            format!("The balancer grants it {}, to bring it to {}.", pages("pages"), pages("target"))
        }
        "remove_memory" => format!("The balancer asks it for {}.", pages("pages")),
        "ballooned" => {
            format!("The guest gives away {} of {} asked for.", pages("given"), pages("requested"))
        }
        "unballooned" => "The guest takes back what it had given away.".to_owned(),
        "hot_added" => "The guest takes what is added.".to_owned(),
        "pages_mapped" => format!("{} are mapped into it.", pages("pages")),
        "pages_unmapped" => format!("{} are taken out of it.", pages("pages")),
        "operation_finished" => format!(
            "Done: {} of {} ({}).",
            pages("done"),
            pages("requested"),
            super::text(effect, "outcome").to_lowercase()
        ),
        "guest_unresponsive" => "The guest does not answer.".to_owned(),
        _ => {
            let said: Vec<String> =
                effect.fields.iter().map(|(name, value)| format!("{name} {value}")).collect();
            format!("{} {}", effect.event.replace('_', " "), said.join(", "))
        }
    }
}
