//! What a file says reaches a person's terminal as text.

use component_runtime::Driver;
use run_journal::EventsLevel;
use scenario::file::{self, LoadOptions};
use scenario::run::{self, Choices, RunOptions, story};

/// Sets the window's title, writes the clipboard, clears the screen.
const HOSTILE: &str = r"\u001b]0;pwned\u0007\u001b]52;c;ZWNobyBwd25lZA==\u0007\u001b[2J";

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
    let scenario = file::parse("hostile.toml", text, &LoadOptions::default()).unwrap();
    let plan = run::build::plan(&scenario, &Choices::default(), &mut |_| unreachable!()).unwrap();
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::None,
        keep_points: true,
        ..RunOptions::default()
    };
    let outcome = run::run(plan.clone(), options).unwrap();
    let told = story::tell(
        &scenario.title,
        &plan,
        &outcome.summary,
        &outcome.points,
        terminal_text::Look { columns: 400, colours: false },
    );
    assert_eq!(told.matches(HOSTILE).count(), 2, "{told}");
    assert!(told.contains(r"\u000aanother line"), "a title is one line: {told}");
    assert!(!told.contains(|c: char| c != '\n' && c.is_control()), "{told:?}");
}
