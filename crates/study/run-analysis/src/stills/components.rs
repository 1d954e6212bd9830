//! Figure 2-3 of \[A\] at one moment of a run.

use std::time::Duration;

use charts::{
    Anchor, BENEATH, BLACK, BLUE, FITS, GREY, HIGH, LIGHT, LOW, ORANGE, OVER, PALE, Picture, Stroke,
    shortened,
};
use page_range::PageCount;
use run_journal::{FieldValue, Record};
use scenario::run::Point;

use super::{mb, pages, tenths};
use crate::figures::Recorded;

/// Points; and where the parts stand.
const WIDTH: f64 = 1060.0;
const TOP: f64 = 58.0;
const POOL: f64 = 170.0;
const BALANCER: f64 = 200.0;
const SPINE: f64 = 386.0;
const WORKER: f64 = 404.0;
const PARENT: f64 = 506.0;
const CHILD: f64 = 616.0;
const VSC: f64 = 624.0;
const BAR: f64 = 674.0;
/// Most height of a VM's row. A bar is at most so thick.
const ROW: f64 = 48.0;
const THICK: f64 = 18.0;
/// A row that is lower than this has no words.
const NAMED: f64 = 26.0;
/// A message is drawn for so long after it was sent, and memory that came home: a ring is passed in 10 µs. Invented.
const SEEN: Duration = Duration::from_millis(1500);

/// The components at one moment: `vm` is marked.
#[must_use]
pub fn components(run: &Recorded, records: &[Record], at: Duration, vm: &str) -> String {
    let upto = run.points.partition_point(|point| point.time <= at);
    let Some(point) = upto.checked_sub(1).and_then(|last| run.points.get(last)) else {
        return Picture::new(WIDTH, TOP, "No sample of the run's counters is so early").finish();
    };
    let known = &records[..records.partition_point(|record| Duration::from(record.t) <= at)];
    Still { run, point, known, at, vm, layout: Layout::of(run) }.draw()
}

/// Where things stand, which depends on how many VMs there are.
struct Layout {
    height: f64,
    row: f64,
    floor: f64,
    /// Points² for each MB: the same for the host and all VMs.
    scale: f64,
    bar: f64,
}

impl Layout {
    fn of(run: &Recorded) -> Self {
        let count = run.vms.len().max(1) as f64;
        let row = ROW.min((720.0 / count).floor().max(5.0));
        let height = (TOP + count * row + 16.0).max(TOP + 330.0);
        let floor = height - 66.0;
        let most = run.maximum.iter().flatten().copied().fold(1.0, f64::max);
        let thick = if row >= NAMED { THICK.min(row - 20.0) } else { row - 2.0 };
        let room = WIDTH - BAR - 12.0;
        let host = run.host_mb.max(most);
        let scale = (room * thick / most).min((floor - TOP) * POOL / host);
        Self {
            height,
            row,
            floor,
            scale,
            bar: (most * scale / room).clamp(if row >= NAMED { 9.0 } else { 2.0 }, thick),
        }
    }

    fn named(&self) -> bool {
        self.row >= NAMED
    }

    /// The middle of a VM's bar and rings.
    fn middle(&self, place: usize) -> f64 {
        TOP + place as f64 * self.row + 0.5 * self.row + if self.named() { 6.0 } else { 0.0 }
    }

    /// Where in a VM's bar so much memory ends.
    fn x(&self, mib: f64) -> f64 {
        BAR + mib * self.scale / self.bar
    }
}

struct Still<'a> {
    run: &'a Recorded,
    point: &'a Point,
    /// Events up to the moment.
    known: &'a [Record],
    at: Duration,
    vm: &'a str,
    layout: Layout,
}

fn whole(colour: &'static str, width: f64) -> Stroke {
    Stroke::solid(colour, width)
}

fn bold(picture: &mut Picture, at: (f64, f64), words: &str) {
    picture.styled(at, Anchor::Start, " font-weight=\"600\" font-size=\"12\"", words);
}

impl Still<'_> {
    fn draw(&self) -> String {
        let title = format!("{}: the components at {}", self.run.title(), tenths(self.at));
        let mut picture = Picture::new(WIDTH, self.layout.height, &title);
        bold(&mut picture, (12.0, 20.0), &title);
        picture.rectangle(
            (1.0, 30.0),
            (PARENT - 1.0, self.layout.height - 32.0),
            "none",
            Some(whole(GREY, 1.0)),
        );
        bold(&mut picture, (12.0, 49.0), "Parent partition");
        bold(&mut picture, (CHILD, 49.0), "Child partitions");
        picture.text((0.5 * (PARENT + CHILD), 49.0), Anchor::Middle, "VMBus");
        picture.text((WORKER, 49.0), Anchor::Start, "workers");
        self.host(&mut picture);
        self.balancer(&mut picture);
        for place in 0..self.run.vms.len() {
            self.machine(&mut picture, place);
        }
        self.messages(&mut picture);
        self.memory(&mut picture);
        self.legend(&mut picture);
        picture.finish()
    }

    /// The host's memory from the floor: reserve, overhead, what the balancer has left.
    fn host(&self, picture: &mut Picture) {
        let (host, layout) = (&self.point.host, &self.layout);
        picture.rectangle((12.0, TOP), (POOL, layout.floor - TOP), "none", Some(whole(LIGHT, 1.0)));
        let mut y = layout.floor;
        for (size, colour) in [(host.reserve, GREY), (host.overhead, BENEATH), (host.available, LOW)] {
            let height = size.mib() * layout.scale / POOL;
            y -= height;
            picture.rectangle((12.0, y), (POOL, height), colour, None);
        }
        let words = [
            format!("Available Memory: {}", mb(host.available)),
            format!("in transit {}", mb(host.in_transit)),
            format!("reserve {}, overhead {}", mb(host.reserve), mb(host.overhead)),
        ];
        for (line, words) in words.iter().enumerate() {
            picture.text((12.0, layout.floor + 17.0 + 15.0 * line as f64), Anchor::Start, words);
        }
    }

    fn last(&self, wanted: impl Fn(&&Record) -> bool) -> Option<&Record> {
        self.known.iter().rev().find(wanted)
    }

    fn balancer(&self, picture: &mut Picture) {
        let wire = whole(GREY, 1.0);
        picture.rectangle((BALANCER, TOP), (170.0, 118.0), PALE, Some(wire));
        bold(picture, (BALANCER + 8.0, TOP + 18.0), "Memory balancer");
        let text = |record: &Record, name: &str| {
            record.field(name).and_then(FieldValue::as_str).unwrap_or("–").to_owned()
        };
        let mut words = Vec::new();
        if let Some(round) = self.last(|record| &*record.event == "round") {
            words.push(format!("state: {}", text(round, "rule")));
        }
        if let Some(decision) = self.last(|record| &*record.event == "decision") {
            words.push(format!("last change, {}:", tenths(Duration::from(decision.t))));
            words.push(format!("{} {}", decision.vm.as_deref().unwrap_or(""), text(decision, "rule")));
            let target = decision.field("target").and_then(FieldValue::as_u64).map(PageCount);
            words.extend(target.map(|target| format!("→ {}", mb(target))));
        }
        for (line, words) in words.iter().enumerate() {
            picture.text(
                (BALANCER + 8.0, TOP + 38.0 + 17.0 * line as f64),
                Anchor::Start,
                &shortened(words, 26),
            );
        }
        picture.rectangle((BALANCER, TOP + 138.0), (170.0, 44.0), PALE, Some(wire));
        bold(picture, (BALANCER + 8.0, TOP + 156.0), "VMMS");
        let with = self.point.vms.iter().filter(|vm| vm.running).count();
        picture.text(
            (BALANCER + 8.0, TOP + 173.0),
            Anchor::Start,
            &format!("{with} of {} VMs have memory", self.point.vms.len()),
        );
        // Who speaks with whom in the parent partition.
        picture.line((12.0 + POOL, TOP + 60.0), (BALANCER, TOP + 60.0), wire);
        picture.line((BALANCER + 170.0, TOP + 60.0), (SPINE, TOP + 60.0), wire);
        picture.line((BALANCER + 20.0, TOP + 118.0), (BALANCER + 20.0, TOP + 138.0), wire);
        let ends = [0, self.run.vms.len().saturating_sub(1)].map(|place| self.layout.middle(place));
        picture.line((SPINE, ends[0].min(TOP + 60.0)), (SPINE, ends[1].max(TOP + 60.0)), wire);
    }

    /// The target of the balancer's last decision about a VM.
    fn target(&self, vm: &str) -> Option<f64> {
        let about = |record: &&Record| &*record.event == "decision" && record.vm.as_deref() == Some(vm);
        let target = self.last(about)?.field("target").and_then(FieldValue::as_u64)?;
        Some(PageCount(target).mib())
    }

    fn machine(&self, picture: &mut Picture, place: usize) {
        let (layout, name) = (&self.layout, &*self.run.vms[place]);
        let (middle, vm) = (layout.middle(place), &self.point.vms[place]);
        let chosen = name.eq_ignore_ascii_case(self.vm);
        let edge = if chosen { whole(ORANGE, 2.0) } else { whole(LIGHT, 1.0) };
        if layout.named() || chosen {
            let top = TOP + place as f64 * layout.row;
            picture.rectangle(
                (CHILD, top + 1.0),
                (WIDTH - CHILD - 2.0, layout.row - 3.0),
                "none",
                Some(edge),
            );
        }
        for side in [-3.0, 3.0] {
            let side = if layout.named() { side } else { side / 3.0 };
            picture.line((PARENT - 8.0, middle + side), (VSC, middle + side), whole(GREY, 0.8));
        }
        picture.line((SPINE, middle), (WORKER, middle), whole(GREY, 0.8));
        if layout.named() {
            for (x, width, words) in [(WORKER, 92.0, "VSP · GMO"), (VSC, 40.0, "VSC")] {
                picture.rectangle((x, middle - 11.0), (width, 22.0), PALE, Some(whole(GREY, 0.8)));
                picture.text((x + 0.5 * width, middle + 4.0), Anchor::Middle, words);
            }
        }
        let (top, height) = (middle - 0.5 * layout.bar, layout.bar);
        if let Some(maximum) = self.run.maximum[place].filter(|_| layout.named()) {
            let dashed = Stroke::dashed(GREY, 0.8, "2 2");
            picture.rectangle((BAR, top), (layout.x(maximum) - BAR, height), "none", Some(dashed));
        }
        let (physical, demand) = (vm.physical.mib(), vm.demand.map(PageCount::mib));
        let pressure = demand.filter(|_| physical > 0.0).map(|demand| 100.0 * demand / physical);
        picture.rectangle((BAR, top), (layout.x(physical) - BAR, height), colour(pressure), None);
        if !vm.running {
            if layout.named() {
                picture.text((BAR, top - 5.0), Anchor::Start, &format!("{} off", shortened(name, 24)));
            }
            return;
        }
        if let Some(target) = self.target(name).filter(|_| layout.named()) {
            let x = layout.x(target);
            picture.line((x, top - 2.0), (x, top + height + 2.0), Stroke::dashed(BLACK, 1.4, "2 2"));
        }
        if let Some(demand) = demand {
            let (x, beyond) = (layout.x(demand), if layout.named() { 3.0 } else { 0.0 });
            picture.line(
                (x, top - beyond),
                (x, top + height + beyond),
                whole(BLACK, if layout.named() { 2.2 } else { 1.0 }),
            );
        }
        if layout.named() {
            let pressure =
                pressure.map_or_else(String::new, |pressure| format!(", pressure {pressure:.0} %"));
            let words = format!("{} {}{pressure}", shortened(name, 24), mb(vm.physical));
            picture.text((BAR, top - 5.0), Anchor::Start, &words);
        }
    }

    fn place(&self, record: &Record) -> Option<usize> {
        let vm = record.vm.as_deref()?;
        self.run.vms.iter().position(|name| name == vm)
    }

    /// Events since so long before the moment.
    fn since(&self, window: Duration) -> &[Record] {
        let from = self.at.saturating_sub(window);
        &self.known[self.known.partition_point(|record| Duration::from(record.t) < from)..]
    }

    /// How far on its way something is that has begun then and takes so long, 0 to 1.
    fn part(&self, begun: Duration, takes: Duration) -> f64 {
        (self.at.saturating_sub(begun).as_secs_f64() / takes.as_secs_f64().max(1e-9)).min(1.0)
    }

    /// Messages of the last moments in the rings, and the balancer's orders on their way to the workers.
    fn messages(&self, picture: &mut Picture) {
        for record in self.since(SEEN) {
            let Some(place) = self.place(record) else { continue };
            let (part, middle) = (self.part(Duration::from(record.t), SEEN), self.layout.middle(place));
            let side = if self.layout.named() { 3.0 } else { 1.0 };
            match (&*record.event, &*record.component) {
                ("balloon_status", _) => {
                    let x = VSC + (PARENT - 8.0 - VSC) * part;
                    picture.circle((x, middle + side), 2.6, BLUE, whole(BLUE, 0.5));
                }
                ("dm_send", "dm-vsp") => {
                    picture.circle(
                        (PARENT - 8.0 + (VSC - PARENT + 8.0) * part, middle - side),
                        4.5,
                        ORANGE,
                        whole(ORANGE, 0.5),
                    );
                }
                ("dm_send", _) => {
                    picture.circle(
                        (VSC + (PARENT - 8.0 - VSC) * part, middle + side),
                        4.5,
                        ORANGE,
                        whole(ORANGE, 0.5),
                    );
                }
                ("add_memory" | "remove_memory", _) => {
                    let start = TOP + 60.0;
                    let ways = [SPINE - BALANCER - 170.0, (middle - start).abs(), WORKER - SPINE];
                    let gone = part * ways.iter().sum::<f64>();
                    let right = gone.min(ways[0]) + (gone - ways[0] - ways[1]).max(0.0);
                    let down = (gone - ways[0]).clamp(0.0, ways[1]).copysign(middle - start);
                    picture.circle((BALANCER + 170.0 + right, start + down), 3.4, BLACK, whole(BLACK, 0.5));
                }
                _ => {}
            }
        }
    }

    /// Memory on its way: from the pool into a VM's map, or home. Squares have the scale of all areas.
    fn memory(&self, picture: &mut Picture) {
        let longest = Duration::from_secs(60);
        let recent = self.since(longest);
        for record in recent {
            let Some(place) = self.place(record) else { continue };
            let begun = Duration::from(record.t);
            let vm = (self.layout.x(self.point.vms[place].physical.mib()), self.layout.middle(place));
            let pool = (12.0 + 0.5 * POOL, self.layout.floor - 12.0);
            let (from, to, takes) = match &*record.event {
                // Mapping ends the grant that led to it: after the moment, or the memory is there already.
                "grant"
                    if !recent
                        .iter()
                        .any(|other| &*other.event == "pages_mapped" && other.cause == record.seq) =>
                {
                    let takes =
                        Duration::from_millis(200) + Duration::from_secs_f64(pages(record).mib() / 100.0);
                    (pool, vm, takes)
                }
                "pages_unmapped" if self.at.saturating_sub(begun) < SEEN => (vm, pool, SEEN),
                _ => continue,
            };
            let part = self.part(begun, takes).min(0.92);
            let size = (pages(record).mib() * self.layout.scale).sqrt().max(6.0);
            let (x, y) = (from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part);
            picture.rectangle((x - 0.5 * size, y - 0.5 * size), (size, size), HIGH, Some(whole(BLACK, 0.8)));
        }
    }

    fn legend(&self, picture: &mut Picture) {
        let (x, y) = (BALANCER + 50.0, self.layout.floor + 17.0);
        let lines = [(HIGH, "memory on its way"), (BLUE, "status report"), (ORANGE, "other message")];
        for (line, (colour, words)) in lines.iter().enumerate() {
            let y = y + 15.0 * line as f64;
            match line {
                0 => picture.rectangle((x, y - 9.0), (9.0, 9.0), colour, Some(whole(BLACK, 0.8))),
                _ => picture.circle(
                    (x + 4.5, y - 4.0),
                    if line == 1 { 2.6 } else { 4.5 },
                    colour,
                    whole(colour, 0.5),
                ),
            }
            picture.text((x + 16.0, y), Anchor::Start, words);
        }
        let words = ["All areas of memory: one scale", "│  demand", "┊  target of the balancer"];
        for (line, words) in words.iter().enumerate() {
            picture.text((BALANCER + 8.0, TOP + 206.0 + 16.0 * line as f64), Anchor::Start, words);
        }
    }
}

/// A VM's colour by its pressure in percent. The bounds are the live view's and the report's. Invented.
fn colour(pressure: Option<f64>) -> &'static str {
    match pressure {
        None => BENEATH,
        Some(pressure) if pressure >= 100.0 => OVER,
        Some(pressure) if pressure > 90.0 => HIGH,
        Some(pressure) if pressure < 75.0 => LOW,
        Some(_) => FITS,
    }
}
