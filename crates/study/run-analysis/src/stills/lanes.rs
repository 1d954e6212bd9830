//! One growth of a VM over time, component by component, and the VM that gave memory for it.

use std::collections::BTreeMap;
use std::time::Duration;

use charts::{Anchor, BLACK, BLUE, GREY, LIGHT, ORANGE, PALE, Picture, Stroke, shortened};
use run_journal::query::Causality;
use run_journal::{FieldValue, Record};

use super::{Growth, ancestor, mb, pages, tenths};
use crate::figures::Recorded;

/// Points.
const WIDTH: f64 = 1060.0;
const LEFT: f64 = 128.0;
const RIGHT: f64 = 165.0;
const TOP: f64 = 66.0;
const LANE: f64 = 40.0;
const BAR: f64 = 17.0;
/// Of a letter, on average.
const LETTER: f64 = 6.1;

/// Who works for a VM, from the guest to the balancer. Those of the VM that gets memory stand above, those of the VM that gives mirror them.
const LANES: [&str; 4] = ["VSC", "VSP", "map (GMO)", "balancer"];

/// Draws a growth.
#[must_use]
pub fn lanes(run: &Recorded, causality: &Causality<'_>, growth: &Growth<'_>) -> String {
    let mut parts = vec![Part::of(causality, growth.added)];
    parts.extend(growth.removed.map(|removed| Part::of(causality, removed)));
    let times = || parts.iter().flat_map(|part| &part.events).map(|record| seconds(record));
    let (first, last) =
        times().fold((f64::INFINITY, 0.0_f64), |(first, last), time| (first.min(time), last.max(time)));
    let margin = 0.02 * (last - first).max(1e-4);
    let count = LANES.len() * parts.len();
    let drawing = Drawing { from: first - margin, to: last + margin, count };
    let giver = growth.removed.and_then(|removed| removed.vm.as_deref());
    let title = format!("{}: {} gets {}", run.title(), growth.vm, mb(pages(growth.added)));
    let mut picture = Picture::new(WIDTH, TOP + LANE * count as f64 + 34.0, &title);
    picture.styled((12.0, 20.0), Anchor::Start, " font-weight=\"600\" font-size=\"12\"", &title);
    picture.text((12.0, 38.0), Anchor::Start, &came_from(growth));
    drawing.ground(&mut picture, growth.vm, giver);
    for (number, part) in parts.iter().enumerate() {
        drawing.part(&mut picture, causality, part, number == 0);
    }
    picture.finish()
}

fn came_from(growth: &Growth<'_>) -> String {
    let mut sources: BTreeMap<Option<&str>, page_range::PageCount> = BTreeMap::new();
    for (donor, given) in &growth.sources {
        *sources.entry(*donor).or_default() += *given;
    }
    if sources.is_empty() {
        return "Whose the memory was is not recorded.".to_owned();
    }
    let words: Vec<String> = sources
        .iter()
        .map(|(donor, given)| {
            format!(
                "{} {}",
                mb(*given),
                donor.map_or("that was free".to_owned(), |vm| format!("of {}", shortened(vm, 16)))
            )
        })
        .collect();
    format!(
        "Of this memory: {}. Bars: what took time. Marks: events. Arrows: from cause to effect.",
        words.join(", ")
    )
}

fn seconds(record: &Record) -> f64 {
    Duration::from(record.t).as_secs_f64()
}

/// The events of one operation: what led to it, and what came of it, all about one VM.
struct Part<'a> {
    events: Vec<&'a Record>,
}

impl<'a> Part<'a> {
    fn of(causality: &Causality<'a>, order: &'a Record) -> Self {
        let mut events = vec![order];
        if let Ok(chain) = causality.chain(order.seq) {
            let near =
                |record: &&Record| record.vm == order.vm && order.t.since(record.t) < Duration::from_secs(5);
            // Causes further back are of other operations.
            events.extend(chain.causes.iter().map(|(_, record)| *record).filter(near));
            let finished = chain
                .effects
                .iter()
                .find(|(_, record)| &*record.event == "operation_finished")
                .map(|(_, record)| record.seq);
            let of_this = |record: &&Record| {
                record.vm == order.vm
                    && finished.is_none_or(|finished| record.seq <= finished || record.cause == finished)
            };
            events.extend(chain.effects.iter().map(|(_, record)| *record).filter(of_this));
        }
        events.sort_by_key(|record| record.seq);
        events.dedup_by_key(|record| record.seq);
        Self { events }
    }
}

/// The lane of an event among [`LANES`].
fn lane(record: &Record) -> usize {
    match (&*record.component, &*record.event) {
        (_, "pages_mapped" | "pages_unmapped") => 2,
        ("dm-vsp", _) => 1,
        ("memory-balancer", _) => 3,
        _ => 0,
    }
}

/// What took time and ended with this event: since which event, in the lane of whom, and what it was.
fn took<'a>(causality: &Causality<'a>, record: &'a Record) -> Vec<(&'a Record, usize, String)> {
    let cause = || causality.get(record.cause);
    let amount = |record: &Record, name: &str| {
        mb(page_range::PageCount(record.field(name).and_then(FieldValue::as_u64).unwrap_or(0)))
    };
    let of =
        |since: Option<&'a Record>, lane, words: String| since.map(|since| (since, lane, words)).into_iter();
    match &*record.event {
        "pages_mapped" => of(cause(), 2, format!("maps {}", amount(record, "pages"))).collect(),
        "pages_unmapped" => of(cause(), 2, format!("unmaps {}", amount(record, "pages"))).collect(),
        "hot_added" => of(cause(), 0, format!("adds {}", amount(record, "accepted"))).collect(),
        "ballooned" => {
            of(cause(), 0, format!("fills its balloon with {}", amount(record, "given"))).collect()
        }
        "unballooned" => {
            of(cause(), 0, format!("empties its balloon of {}", amount(record, "pages"))).collect()
        }
        "operation_finished" => {
            let kind = record.field("kind").and_then(FieldValue::as_str).unwrap_or("operation");
            let done = amount(record, "requested");
            let words = if kind == "grow" { "grants" } else { "asks for" };
            of(ancestor(causality, record, &["grant", "shrink"]), 1, format!("{kind}s by {done}"))
                .chain(of(
                    ancestor(causality, record, &["add_memory", "remove_memory"]),
                    3,
                    format!("{words} {done}"),
                ))
                .collect()
        }
        _ => Vec::new(),
    }
}

struct Drawing {
    from: f64,
    to: f64,
    count: usize,
}

impl Drawing {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (seconds - self.from) / (self.to - self.from)
    }

    /// The top of a lane.
    fn y(lane: usize, gets: bool) -> f64 {
        TOP + LANE * if gets { lane } else { 2 * LANES.len() - 1 - lane } as f64
    }

    fn ground(&self, picture: &mut Picture, gets: &str, gives: Option<&str>) {
        let bottom = TOP + LANE * self.count as f64;
        for lane in (0..self.count).step_by(2) {
            picture.rectangle((0.0, TOP + LANE * lane as f64), (WIDTH, LANE), PALE, None);
        }
        for (vm, gets) in [(Some(gets), true), (gives, false)] {
            for (lane, component) in LANES.iter().enumerate().filter_map(|lane| vm.map(|_| lane)) {
                let words = match component {
                    &"balancer" => format!("balancer, {}", shortened(vm.unwrap_or(""), 9)),
                    component => format!("{} {component}", shortened(vm.unwrap_or(""), 9)),
                };
                picture.text((12.0, Self::y(lane, gets) + 0.5 * LANE + 4.0), Anchor::Start, &words);
            }
        }
        let step = step(self.to - self.from);
        let mut tick = (self.from / step).ceil() * step;
        while tick <= self.to {
            let x = self.x(tick);
            picture.line((x, TOP), (x, bottom), Stroke::solid(LIGHT, 0.8));
            picture.text((x, bottom + 16.0), Anchor::Middle, &time(tick, step));
            tick += step;
        }
    }

    fn part(&self, picture: &mut Picture, causality: &Causality<'_>, part: &Part<'_>, gets: bool) {
        let colour = if gets { BLUE } else { ORANGE };
        // Where each event is marked: below its lane's bar.
        let mark = |record: &Record| (self.x(seconds(record)), Self::y(lane(record), gets) + LANE - 9.0);
        for record in &part.events {
            for (since, lane, words) in took(causality, record) {
                let (from, to) = (self.x(seconds(since)), self.x(seconds(record)));
                let y = Self::y(lane, gets) + 5.0;
                picture.rectangle((from, y), ((to - from).max(1.0), BAR), colour, None);
                let took = record.t.since(since.t).as_secs_f64();
                let words = format!("{words}, {}", length(took));
                let room = (to - from - 8.0) / LETTER;
                if room >= words.chars().count() as f64 {
                    picture.styled(
                        (from + 4.0, y + 12.5),
                        Anchor::Start,
                        " fill=\"#ffffff\" style=\"fill:#fff\"",
                        &words,
                    );
                } else if to + 6.0 + LETTER * words.chars().count() as f64 <= WIDTH {
                    picture.text((to + 5.0, y + 12.5), Anchor::Start, &words);
                } else {
                    picture.text((from - 5.0, y + 12.5), Anchor::End, &words);
                }
            }
        }
        for record in &part.events {
            let to = mark(record);
            if let Some(cause) = part.events.iter().find(|other| other.seq == record.cause) {
                let from = mark(cause);
                if (from.0 - to.0).abs() + (from.1 - to.1).abs() > 8.0 {
                    arrow(picture, from, to);
                }
            }
        }
        for record in &part.events {
            picture.circle(mark(record), 2.8, BLACK, Stroke::solid(BLACK, 0.6));
        }
        self.names(picture, part, mark);
    }

    /// Names of events beside their marks, where there is room up to the next mark of the lane.
    fn names(&self, picture: &mut Picture, part: &Part<'_>, mark: impl Fn(&Record) -> (f64, f64)) {
        for (number, record) in part.events.iter().enumerate() {
            let (x, y) = mark(record);
            let words = match (&*record.event, record.field("message").and_then(FieldValue::as_str)) {
                ("dm_send", Some(message)) => message.trim_start_matches("MEM_").to_owned(),
                (event, _) => event.to_owned(),
            };
            let next = part.events[number + 1..]
                .iter()
                .map(|other| mark(other))
                .find(|other| (other.1 - y).abs() < 1.0);
            let end = next.map_or(WIDTH - 4.0, |next| next.0 - 6.0);
            if x + 7.0 + LETTER * words.chars().count() as f64 <= end {
                let style = format!(" font-size=\"10\" {}", "fill-opacity=\"0.75\"");
                picture.styled((x + 6.0, y + 5.0), Anchor::Start, &style, &words);
            }
        }
    }
}

fn arrow(picture: &mut Picture, from: (f64, f64), to: (f64, f64)) {
    let stroke = Stroke::solid(GREY, 1.1);
    picture.line(from, to, stroke);
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = libm::hypot(dx, dy);
    let (dx, dy) = (dx / length, dy / length);
    let corner = |side: f64| (to.0 - 7.0 * dx - 3.0 * side * dy, to.1 - 7.0 * dy + 3.0 * side * dx);
    picture.path(&[vec![corner(1.0), to, corner(-1.0)]], stroke);
}

/// Seconds between the times of an axis so long: 1, 2 or 5 of some power of ten.
fn step(length: f64) -> f64 {
    let rough = length / 9.0;
    let power = libm::pow(10.0, libm::floor(libm::log10(rough)));
    [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power).find(|step| *step >= rough).unwrap_or(10.0 * power)
}

fn length(seconds: f64) -> String {
    if seconds >= 1.0 {
        format!("{seconds:.2} s")
    } else if seconds >= 1e-3 {
        format!("{:.0} ms", seconds * 1e3)
    } else {
        format!("{:.0} µs", seconds * 1e6)
    }
}

/// A time of an axis whose times are `step` apart.
fn time(seconds: f64, step: f64) -> String {
    let time = Duration::from_secs_f64(seconds.max(0.0));
    if step >= 0.1 {
        return tenths(time);
    }
    let micros = Duration::from_micros((time.as_nanos() as f64 / 1e3).round() as u64);
    quantities::format_duration(micros)
}
