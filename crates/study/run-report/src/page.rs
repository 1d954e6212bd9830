//! The page put together: its frame, its styles, its scripts and its data. What all pages have is of `charts`.

use charts::page::{self, data as piece, json};

use crate::facts::Facts;

/// What stands where in the frame.
const FRAME: &str = include_str!("../page/index.html");

/// What only this page's style sheet has, after that of all pages.
const STYLE: &str = include_str!("../page/report.css");

/// Scripts, each after those that it uses.
const SCRIPTS: [&str; 21] = [
    page::PLOT,
    page::BASE,
    page::NUMBERS,
    include_str!("../page/words.js"),
    include_str!("../page/model.js"),
    include_str!("../page/messages.js"),
    include_str!("../page/explain.js"),
    include_str!("../page/host.js"),
    include_str!("../page/clock.js"),
    page::CURVES,
    include_str!("../page/interval.js"),
    include_str!("../page/story.js"),
    include_str!("../page/living.js"),
    include_str!("../page/memory.js"),
    include_str!("../page/lanes.js"),
    include_str!("../page/timeline.js"),
    include_str!("../page/event.js"),
    include_str!("../page/sequence.js"),
    include_str!("../page/tables.js"),
    page::THEME,
    include_str!("../page/main.js"),
];

/// The page of a run as bytes of UTF-8.
pub(crate) fn assemble(facts: &mut Facts) -> Vec<u8> {
    let styles = [&page::STYLE[..], &[STYLE]].concat();
    page::assemble(FRAME, &styles, &SCRIPTS, |name, out| {
        if name == "data" {
            data(facts, out);
        }
    })
}

fn data(facts: &mut Facts, out: &mut Vec<u8>) {
    let Facts { manifest, summary, story, rules, states, missing, .. } = facts;
    piece("data-run", out, |out| {
        let parts = [
            ("manifest", manifest.clone()),
            ("summary", summary.clone()),
            ("story", serde_json::json!(story)),
            ("rules", serde_json::json!(rules)),
            ("states", serde_json::json!(states)),
            ("missing", serde_json::json!(missing)),
            ("last", facts.last.into()),
        ];
        for (index, (name, value)) in parts.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"{" } else { b",\n" });
            json(name, out);
            out.push(b':');
            json(value, out);
        }
        out.push(b'}');
    });
    piece("data-events", out, |out| {
        out.extend_from_slice(b"{\"groups\":");
        let texts = facts.events.pack(out);
        out.extend_from_slice(b",\n\"texts\":");
        json(&texts, out);
        out.push(b'}');
    });
    piece("data-counters", out, |out| match &facts.counters {
        Some(counters) => counters.pack(out),
        None => out.extend_from_slice(b"null"),
    });
    piece("data-messages", out, |out| facts.messages.pack(out));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_script_or_style_ends_the_element_that_it_is_in() {
        for text in [STYLE].iter().chain(&SCRIPTS) {
            let text = text.to_ascii_lowercase();
            assert!(!text.contains("</script") && !text.contains("</style") && !text.contains("<!--"));
        }
    }

    #[test]
    fn the_frame_names_every_part_once_and_nothing_from_elsewhere() {
        for part in ["<!-- styles -->", "<!-- data -->", "<!-- scripts -->"] {
            assert_eq!(FRAME.matches(part).count(), 1, "{part}");
        }
        assert!(!FRAME.contains("src=") && !FRAME.contains("href=\"http"));
    }
}
