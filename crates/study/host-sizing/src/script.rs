//! Scripts for PowerShell that set what is advised and take it back, and a check of such scripts.

mod check;
mod quote;

use std::fmt::Write as _;

use crate::advise::{Advice, Setting};
use crate::answer::Answer;

pub use check::{Complaint, check};
pub use quote::quoted;

impl Answer {
    /// The script that sets what is advised.
    #[must_use]
    pub fn script(&self) -> String {
        let mut text =
            head("sets the memory settings that cargo xtask size advises", &self.title, &self.command);
        let mut nothing = true;
        for advice in &self.advice {
            if !advice.changes() {
                continue;
            }
            nothing = false;
            text.push('\n');
            remark(&mut text, &format!("{}:", advice.vm));
            for reason in &advice.reasons {
                remark(&mut text, &format!("  {reason}"));
            }
            let unknown = unknown(advice);
            if !unknown.is_empty() {
                remark(
                    &mut text,
                    &format!(
                        "  No file said its {}: what it has today is assumed, so that the VM may have to be off for a line that does not say so. \
                         Note what Get-VMMemory says before.",
                        unknown.join(", ")
                    ),
                );
            }
            lines(&mut text, advice, &advice.now, &advice.advised);
        }
        if nothing {
            text.push_str("\n# Nothing is to be changed.\n");
        }
        for advice in self.advice.iter().filter(|advice| advice.keep_static) {
            if let Some(reason) = advice.reasons.iter().find(|reason| reason.contains("static")) {
                remark(&mut text, &format!("{}: {reason}", advice.vm));
            }
        }
        text
    }

    /// The script that goes back to the settings of today, as far as the files said them.
    #[must_use]
    pub fn undo_script(&self) -> String {
        let mut text =
            head("goes back to the memory settings before cargo xtask size", &self.title, &self.command);
        for advice in self.advice.iter().filter(|advice| advice.changes()) {
            text.push('\n');
            remark(&mut text, &format!("{}:", advice.vm));
            let unknown = unknown(advice);
            if !unknown.is_empty() {
                remark(
                    &mut text,
                    &format!(
                        "  No file said its {}: what was assumed is set. Compare with Get-VMMemory before.",
                        unknown.join(", ")
                    ),
                );
            }
            lines(&mut text, advice, &advice.advised, &advice.now);
        }
        text
    }
}

/// Settings that the scripts change, and of which no file said what they are today.
fn unknown(advice: &Advice) -> Vec<&'static str> {
    let (today, now, advised) = (&advice.today, &advice.now, &advice.advised);
    let turned = now.dynamic != advised.dynamic;
    let differ = |now: f64, advised: f64| turned || (now - advised).abs() > 0.5;
    let dynamic = now.dynamic || advised.dynamic;
    let all = [
        ("Dynamic Memory", turned && today.dynamic.is_none()),
        ("startup RAM", differ(now.startup_mb, advised.startup_mb) && today.startup.is_none()),
        ("minimum RAM", dynamic && differ(now.minimum_mb, advised.minimum_mb) && today.minimum.is_none()),
        ("maximum RAM", dynamic && differ(now.maximum_mb, advised.maximum_mb) && today.maximum.is_none()),
        ("memory buffer", dynamic && (turned || now.buffer != advised.buffer) && today.buffer.is_none()),
    ];
    all.into_iter().filter(|(_, unknown)| *unknown).map(|(what, _)| what).collect()
}

fn head(what: &str, title: &str, command: &str) -> String {
    let mut text = String::new();
    remark(&mut text, &format!("This script {what}."));
    remark(&mut text, &format!("For: {title}"));
    remark(&mut text, &format!("Made by: {command}"));
    remark(&mut text, "Without -Apply it only tells what it would do (-WhatIf).");
    text.push_str("param([switch]$Apply)\n$WhatIf = -not $Apply\n");
    text
}

/// A line of a comment: what others wrote must not end it.
fn remark(text: &mut String, line: &str) {
    let line: String = line
        .chars()
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{85}') { ' ' } else { c })
        .collect();
    let _ = writeln!(text, "# {line}");
}

fn size(mb: f64) -> String {
    format!("{mb:.0}MB")
}

/// The lines that bring a VM from one setting to another: what a running VM takes, and what it must be off for.
fn lines(text: &mut String, advice: &Advice, from: &Setting, to: &Setting) {
    let mut running = Vec::new();
    let mut off = Vec::new();
    let turned = from.dynamic != to.dynamic;
    if turned {
        off.push(format!("-DynamicMemoryEnabled ${}", to.dynamic));
    }
    if to.dynamic {
        // Documented for 2012 and later: a running VM's minimum can be lowered, its maximum raised.
        let bounds = [
            ("MinimumBytes", from.minimum_mb, to.minimum_mb, to.minimum_mb < from.minimum_mb),
            ("StartupBytes", from.startup_mb, to.startup_mb, false),
            ("MaximumBytes", from.maximum_mb, to.maximum_mb, to.maximum_mb > from.maximum_mb),
        ];
        for (name, before, after, while_running) in bounds {
            if turned || (before - after).abs() > 0.5 {
                let place = if while_running && !turned { &mut running } else { &mut off };
                place.push(format!("-{name} {}", size(after)));
            }
        }
        if turned || from.buffer != to.buffer {
            running.push(format!("-Buffer {}", to.buffer));
        }
    } else if turned || (from.startup_mb - to.startup_mb).abs() > 0.5 {
        off.push(format!("-StartupBytes {}", size(to.startup_mb)));
    }
    if turned {
        // Dynamic Memory must be on before it has a buffer.
        off.append(&mut running);
    }
    if running.is_empty() && off.is_empty() {
        return;
    }
    if advice.vm.contains(char::is_control) {
        remark(text, "Its name has signs that no line can have: set it by hand.");
        return;
    }
    if advice.vm.contains(['[', ']']) {
        remark(text, "Counters write [ ] for ( ): Get-VM says which of them its name has.");
    }
    let call = call(&advice.vm, advice.host.as_deref());
    for (comment, parameters) in [("While it runs or is off:", running), ("The VM must be off:", off)] {
        if !parameters.is_empty() {
            remark(text, comment);
            let _ = writeln!(text, "{call} {} -WhatIf:$WhatIf", parameters.join(" "));
        }
    }
}

/// Signs that make a name a pattern (documented: about_Wildcards).
const PATTERN: [char; 5] = ['*', '?', '[', ']', '`'];

/// The cmdlet for a VM. Names may be patterns to cmdlets (documented for Get-VM, and denied for Set-VMMemory): one that would be a pattern is compared.
fn call(vm: &str, host: Option<&str>) -> String {
    let host = host.map_or_else(String::new, |host| format!(" -ComputerName {}", quoted(host)));
    let name = quoted(vm);
    if vm.contains(PATTERN) {
        format!("Get-VM{host} | Where-Object Name -EQ {name} | Set-VMMemory")
    } else {
        format!("Set-VMMemory -VMName {name}{host}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use load_import::Today;
    use page_range::PageCount;

    #[test]
    fn scripts_say_what_they_change_and_no_file_said() {
        let now = Setting {
            dynamic: true,
            startup_mb: 512.0,
            minimum_mb: 512.0,
            maximum_mb: 4096.0,
            buffer: 20,
            priority: 50,
        };
        let mut advice = Advice {
            vm: "A".to_owned(),
            host: None,
            demand: crate::advise::DemandFigures::default(),
            now,
            today: Today { maximum: Some(PageCount::from_mib(4096)), ..Today::default() },
            advised: Setting { minimum_mb: 256.0, maximum_mb: 2048.0, buffer: 30, ..now },
            keep_static: false,
            reasons: Vec::new(),
            never_taken_mb: 0.0,
        };
        // Startup RAM is not known either, and stays.
        assert_eq!(unknown(&advice), ["minimum RAM", "memory buffer"]);
        advice.today.minimum = Some(PageCount::from_mib(512));
        advice.today.buffer = Some(20);
        assert_eq!(unknown(&advice), Vec::<&str>::new());
        advice.today = Today::default();
        advice.advised = Setting { dynamic: false, startup_mb: 2048.0, ..now };
        let all = ["Dynamic Memory", "startup RAM", "minimum RAM", "maximum RAM", "memory buffer"];
        assert_eq!(unknown(&advice), all);
    }
}
