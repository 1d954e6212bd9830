//! The page put together: its frame, its styles, its scripts and its data.

use crate::columns::json;
use crate::facts::Facts;

/// What stands where in the frame.
const FRAME: &str = include_str!("../page/index.html");

/// Styles, in the order in which they count.
const STYLES: [&str; 2] = [include_str!("../page/vendor/uPlot.min.css"), include_str!("../page/report.css")];

/// The library that draws curves, with its licence.
const PLOT: &str = concat!(
    "/*! uPlot. ",
    include_str!("../page/vendor/uPlot-LICENSE"),
    "*/\n",
    include_str!("../page/vendor/uPlot.iife.min.js")
);
const BASE: &str = include_str!("../page/base.js");
const WORDS: &str = include_str!("../page/words.js");
const CHARTS: &str = include_str!("../page/charts.js");

/// Scripts, each after those that it uses.
const SCRIPTS: [&str; 18] = [
    PLOT,
    BASE,
    WORDS,
    include_str!("../page/model.js"),
    include_str!("../page/messages.js"),
    include_str!("../page/explain.js"),
    include_str!("../page/host.js"),
    include_str!("../page/clock.js"),
    CHARTS,
    include_str!("../page/story.js"),
    include_str!("../page/living.js"),
    include_str!("../page/memory.js"),
    include_str!("../page/lanes.js"),
    include_str!("../page/timeline.js"),
    include_str!("../page/event.js"),
    include_str!("../page/sequence.js"),
    include_str!("../page/tables.js"),
    include_str!("../page/main.js"),
];

/// The frame and the scripts of a page of curves.
const CURVES_FRAME: &str = include_str!("../page/curves.html");
const CURVES_SCRIPTS: [&str; 6] =
    [PLOT, BASE, WORDS, include_str!("../page/sheet.js"), CHARTS, include_str!("../page/curves.js")];

/// The page of a run as bytes of UTF-8.
pub(crate) fn assemble(facts: &mut Facts) -> Vec<u8> {
    fill(FRAME, &SCRIPTS, |out| data(facts, out))
}

/// A page of curves; `write` writes their JSON.
pub(crate) fn curves(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    fill(CURVES_FRAME, &CURVES_SCRIPTS, |out| piece("data-curves", out, write))
}

fn fill(frame: &str, scripts: &[&str], data: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 << 20);
    let mut data = Some(data);
    for (index, piece) in frame.split("<!--").enumerate() {
        let Some((name, rest)) = piece.split_once("-->").filter(|_| index > 0) else {
            out.extend_from_slice(piece.as_bytes());
            continue;
        };
        match name.trim() {
            "styles" => STYLES.iter().for_each(|style| element("style", style, &mut out)),
            "data" => {
                if let Some(data) = data.take() {
                    data(&mut out);
                }
            }
            "scripts" => scripts.iter().for_each(|script| element("script", script, &mut out)),
            _ => {}
        }
        out.extend_from_slice(rest.as_bytes());
    }
    out
}

fn element(name: &str, text: &str, out: &mut Vec<u8>) {
    for part in ["<", name, ">\n", text.trim_end(), "\n</", name, ">\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// A piece of data, for `Report.data(id)`.
fn piece(id: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"<script type=\"application/json\" id=\"");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b"\">");
    write(out);
    out.extend_from_slice(b"</script>\n");
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
        for text in STYLES.iter().chain(&SCRIPTS).chain(&CURVES_SCRIPTS) {
            let text = text.to_ascii_lowercase();
            assert!(!text.contains("</script") && !text.contains("</style") && !text.contains("<!--"));
        }
    }

    #[test]
    fn the_frame_names_every_part_once_and_nothing_from_elsewhere() {
        for frame in [FRAME, CURVES_FRAME] {
            for part in ["<!-- styles -->", "<!-- data -->", "<!-- scripts -->"] {
                assert_eq!(frame.matches(part).count(), 1, "{part}");
            }
            assert!(!frame.contains("src=") && !frame.contains("href=\"http"));
        }
    }
}
