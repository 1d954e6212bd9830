//! What a file says reaches a person's terminal as text.

use component_runtime::Driver;
use run_journal::EventsLevel;
use scenario::file::{self, LoadOptions};
use scenario::run::{self, Choices, RunOptions, Summary, story};

/// Sets the window's title, writes the clipboard, clears the screen.
const HOSTILE: &str = r"\u001b]0;pwned\u0007\u001b]52;c;ZWNobyBwd25lZA==\u0007\u001b[2J";

/// What is told of a run of this scenario, without colours and in long lines, and its summary.
fn story_of(text: String) -> (String, Summary) {
    let scenario = file::parse("told.toml", text, &LoadOptions::default()).unwrap();
    let plan = run::build::plan(&scenario, &Choices::default(), &mut |_| unreachable!()).unwrap();
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::None,
        keep_points: true,
        ..RunOptions::default()
    };
    let outcome = run::run(plan.clone(), options).unwrap();
    let look = terminal_text::Look { columns: 400, colours: false };
    let told = story::tell(&scenario.title, &plan, &outcome.summary, &outcome.points, look);
    (told, outcome.summary)
}

#[test]
fn a_title_and_a_mark_with_sequences_for_the_terminal_are_shown_escaped() {
    let text = format!(
        r#"
title = "{HOSTILE}\nanother line"
until = "1m"
[host]
memory = "8GB"
[[vm]]
name = "A"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "2GB"
[[timeline]]
at = "0s"
action = "start"
vm = "all"
[[timeline]]
at = "1s"
action = "mark"
text = "{HOSTILE}"
"#
    );
    let (told, _) = story_of(text);
    assert_eq!(told.matches(HOSTILE).count(), 2, "{told}");
    assert!(told.contains(r"\u000aanother line"), "a title is one line: {told}");
    assert!(!told.contains(|c: char| c != '\n' && c.is_control()), "{told:?}");
}

/// Twelve VMs whose needs rise and fall, on a host with so many GB: the story, and how many starts were refused.
fn many(host: u32) -> (String, u64) {
    let text = format!(
        r#"
title = "Many"
until = "12m"
[host]
memory = "{host}GB"
[workloads.work]
kind = "sawtooth"
low = "100MB"
high = ["700MB", "1200MB"]
rise = ["1m", "3m"]
fall = "20s"
phase = ["0s", "3m"]
[[vm]]
name = "VM{{n}}"
numbers = "1..12"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "2GB"
workload = "work"
[[timeline]]
at = "0s"
action = "start"
vm = "all"
every = "2s"
"#
    );
    let (told, summary) = story_of(text);
    (told, summary.vms.iter().map(|vm| u64::from(vm.failed_starts)).sum())
}

#[test]
fn refused_starts_in_numbers_do_not_bury_the_rest() {
    let (told, refused) = many(4);
    assert!(refused > 4, "{told}");
    assert_eq!(told.matches("failed to start.").count(), 3, "{told}");
    assert!(told.contains(&format!("{} more starts fail like these until", refused - 3)), "{told}");
}

#[test]
fn a_story_says_who_was_short_of_memory_and_blames_no_newcomer_where_all_grow() {
    // With 16 GB the memory of the others falls at the moment when that of the last to start has grown.
    let (told, refused) = many(16);
    assert_eq!(refused, 0, "{told}");
    assert!(told.contains("Short of memory at some time: ") && told.contains(" without a break."), "{told}");
    assert!(!told.contains('①'), "{told}");
}
