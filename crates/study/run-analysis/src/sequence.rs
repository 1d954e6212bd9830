//! Sequence diagrams: which component sent what to which, and what came of it.
//!
//! [`Sequence::of`] takes a chain of causes and effects from a run's events. An effect in another component than its cause is an arrow: the
//! message that crossed, or the event that led to it. Everything else is a note beside the component's line. The same diagram comes as
//! [text](Sequence::text), as [Mermaid](Sequence::mermaid) and as a [picture](Sequence::picture).

mod picture;
mod text;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use component_runtime::SimTime;
use run_journal::query::Chain;
use run_journal::{FieldValue, Record, pages};

/// A line of the diagram: a component, of a VM or of the host.
pub type Lane = String;

/// One step of the diagram.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// When.
    pub at: SimTime,
    /// Number of the event.
    pub seq: u64,
    /// The line that the step starts from, if it crosses from another component, and what crossed.
    pub from: Option<(usize, String)>,
    /// The line that the step happens in.
    pub lane: usize,
    /// What happened, with its fields.
    pub what: String,
    /// Whether the diagram was asked for because of this event.
    pub asked_for: bool,
}

/// A sequence diagram.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// Its lines, from the guest's side to the host's.
    pub lanes: Vec<Lane>,
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// Effects that are further away than asked for.
    pub left_out: usize,
}

/// Components from the guest's side to the host's, in the order of Figure 2-3.
const ORDER: [&str; 7] =
    ["operator", "guest", "dm-vsc", "dm-vsp", "gmo-memory-manager", "memory-balancer", "vmms"];

/// The event that says that a Dynamic Memory message was sent; the message's effect is what the other side made of it.
const SENT: &str = "dm_send";

impl Sequence {
    /// The diagram of a chain, with effects up to `depth` steps away.
    #[must_use]
    pub fn of(chain: &Chain<'_>, depth: usize) -> Self {
        let near = chain.effects.iter().filter(|(distance, _)| *distance <= depth).map(|(_, record)| *record);
        let mut records: Vec<&Record> =
            chain.causes.iter().map(|(_, record)| *record).chain([chain.event]).chain(near).collect();
        let left_out = 1 + chain.causes.len() + chain.effects.len() - records.len();
        records.sort_by_key(|record| record.seq);
        let by_seq: BTreeMap<u64, &Record> = records.iter().map(|record| (record.seq, *record)).collect();
        let mut lanes: Vec<Lane> = records.iter().map(|record| record.place()).collect();
        lanes.sort_by_key(|lane| (rank(lane), lane.clone()));
        lanes.dedup();
        let lane = |record: &Record| {
            let place = record.place();
            lanes.iter().position(|lane| *lane == place).unwrap_or_default()
        };
        // A message that arrived in the diagram is told by its arrow.
        let arrived = |sent: &Record| {
            &*sent.event == SENT
                && records.iter().any(|record| record.cause == sent.seq && record.place() != sent.place())
        };
        let answers = |record: &Record| {
            by_seq
                .get(&record.cause)
                .is_some_and(|cause| &*cause.event == SENT && cause.place() != record.place())
        };
        let steps = records
            .iter()
            // Where a message is the answer to one, the other's arrow ends at it.
            .filter(|record| record.seq == chain.event.seq || !arrived(record) || answers(record))
            .map(|record| {
                let cause = by_seq.get(&record.cause).filter(|cause| cause.place() != record.place());
                Step {
                    at: record.t,
                    seq: record.seq,
                    from: cause.map(|cause| (lane(cause), carried(cause))),
                    lane: lane(record),
                    what: what(record),
                    asked_for: record.seq == chain.event.seq,
                }
            })
            .collect();
        Self { lanes, steps, left_out }
    }

    /// The diagram in the language of Mermaid, which many tools for Markdown draw.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut text = String::from("sequenceDiagram\n");
        for (number, lane) in self.lanes.iter().enumerate() {
            let _infallible = writeln!(text, "    participant L{number} as {}", plain(lane));
        }
        for step in &self.steps {
            let _infallible = match &step.from {
                Some((from, carried)) => {
                    writeln!(text, "    L{from}->>L{}: {} {}", step.lane, step.at, plain(carried))
                        .and_then(|()| writeln!(text, "    Note over L{}: {}", step.lane, plain(&step.what)))
                }
                None => writeln!(text, "    Note over L{}: {} {}", step.lane, step.at, plain(&step.what)),
            };
        }
        text
    }
}

fn rank(lane: &str) -> usize {
    let component = lane.split('/').next().unwrap_or(lane);
    ORDER.iter().position(|known| *known == component).unwrap_or(ORDER.len())
}

/// What crossed from the component of `cause` to another.
fn carried(cause: &Record) -> String {
    let message = cause.field("message").and_then(FieldValue::as_str);
    let bytes = cause.field("bytes").and_then(FieldValue::as_u64);
    match (&*cause.event, message, bytes) {
        (SENT, Some(message), Some(bytes)) => format!("{message}, {bytes} bytes"),
        (SENT, Some(message), None) => message.to_owned(),
        (event, ..) => event.to_owned(),
    }
}

/// An event with its fields; pages as MB, too.
fn what(record: &Record) -> String {
    let mut text = record.event.to_string();
    for (name, value) in &record.fields {
        let _infallible = write!(text, " {name}={value}");
        if let Some(mb) = pages::mb(name, value) {
            let _infallible = write!(text, " ({mb} MB)");
        }
    }
    text
}

/// Text in which nothing means anything to Mermaid: a semicolon or a line's end closes a statement, and `#` begins an entity.
fn plain(text: &str) -> String {
    let sign = |c: char| match c {
        ';' => "#59;".to_owned(),
        '#' => "#35;".to_owned(),
        c if c.is_control() => " ".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(sign).collect()
}

#[cfg(test)]
mod tests {
    use run_journal::query::Causality;
    use run_journal::{Record, Severity};

    use super::*;

    fn record(seq: u64, component: &str, event: &str, cause: u64, fields: &[(&str, FieldValue)]) -> Record {
        Record {
            t: SimTime(1_000_000_000 + seq * 10_000),
            seq,
            component: component.into(),
            vm: Some("VM1".into()),
            event: event.into(),
            cause,
            severity: Severity::Normal,
            fields: fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
        }
    }

    /// A shrink: decided, asked for, answered.
    fn records() -> Vec<Record> {
        let text = |text: &str| FieldValue::Text(text.to_owned());
        vec![
            record(1, "memory-balancer", "decision", 0, &[("rule", text("shortage; #1"))]),
            record(2, "dm-vsp", "shrink", 1, &[("pages", FieldValue::Unsigned(512))]),
            record(
                3,
                "dm-vsp",
                "dm_send",
                2,
                &[("message", text("BALLOON_REQUEST")), ("bytes", FieldValue::Unsigned(16))],
            ),
            record(4, "dm-vsc", "ballooned", 3, &[("given", FieldValue::Unsigned(512))]),
            record(
                5,
                "dm-vsc",
                "dm_send",
                4,
                &[("message", text("BALLOON_RESPONSE")), ("bytes", FieldValue::Unsigned(32))],
            ),
            record(6, "dm-vsp", "pages_unmapped", 5, &[]),
            record(7, "guest", "application_finished", 0, &[]),
        ]
    }

    fn sequence(depth: usize) -> Sequence {
        let records = records();
        Sequence::of(&Causality::new(&records).chain(2).unwrap(), depth)
    }

    #[test]
    fn messages_are_arrows_and_what_has_nothing_to_do_with_it_is_left_out() {
        let sequence = sequence(12);
        assert_eq!(sequence.lanes, ["dm-vsc/VM1", "dm-vsp/VM1", "memory-balancer/VM1"]);
        let steps: Vec<_> =
            sequence.steps.iter().map(|step| (step.seq, step.from.clone(), step.lane)).collect();
        assert_eq!(
            steps,
            [
                (1, None, 2),
                (2, Some((2, "decision".to_owned())), 1),
                (4, Some((1, "BALLOON_REQUEST, 16 bytes".to_owned())), 0),
                (6, Some((0, "BALLOON_RESPONSE, 32 bytes".to_owned())), 1),
            ]
        );
        assert_eq!(sequence.steps[1].what, "shrink pages=512 (2 MB)");
        assert!(sequence.steps[1].asked_for);
        assert_eq!(sequence.left_out, 0);
    }

    #[test]
    fn effects_further_away_are_counted() {
        let sequence = sequence(2);
        assert_eq!(sequence.steps.iter().map(|step| step.seq).collect::<Vec<_>>(), [1, 2, 4]);
        assert_eq!(sequence.left_out, 2);
    }

    #[test]
    fn text_has_a_line_for_each_component_and_fits_its_width() {
        let text = sequence(12).text(80);
        let expected = "\
1 dm-vsc/VM1   2 dm-vsp/VM1   3 memory-balancer/VM1

                  1      2      3
      1.000010s   │      │      ●   decision rule=\"shortage; #1\"
>     1.000020s   │      │◀─────┤   decision: shrink pages=512 (2 MB)
      1.000040s   │◀─────┤      │   BALLOON_REQUEST, 16 bytes: ballooned
                  │      │      │   given=512 (2 MB)
      1.000060s   ├─────▶│      │   BALLOON_RESPONSE, 32 bytes: pages_unmapped
";
        assert_eq!(text, expected);
        for columns in [40, 60, 80] {
            let text = sequence(12).text(columns);
            assert!(text.lines().all(|line| line.chars().count() <= columns), "{text}");
        }
    }

    /// Each of many VMs grows because of one decision, and what was decided from is one long word.
    #[test]
    fn many_lines_and_long_words_fit_as_well() {
        let inputs =
            "demand_mib=475.297,expected_mib=512.000,pressure_percent=92.831,minimum_pressure_percent=81.333";
        let mut records = vec![record(
            1,
            "memory-balancer",
            "decision",
            0,
            &[("inputs", FieldValue::Text(inputs.to_owned()))],
        )];
        for number in 0..28 {
            let mut grant = record(2 + number, "dm-vsp", "grant", 1, &[("pages", FieldValue::Unsigned(512))]);
            grant.vm = Some(format!("VM{number}").into());
            records.push(grant);
        }
        for some in [1, 5, 8, 12, 20, 29] {
            let text = Sequence::of(&Causality::new(&records[..some]).chain(1).unwrap(), 12).text(80);
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{some} of {text}");
            assert!(text.contains("pressure_percent=92.831"), "{text}");
            assert_eq!(text.matches("pages=512 (2 MB)").count(), some - 1, "{text}");
        }
    }

    /// The interface of an offered channel is a field of 48 columns.
    #[test]
    fn a_wide_field_stays_beside_the_lines() {
        let text = FieldValue::Text("1eccfd72-4b41-45ef-b73a-4a6e44c12924".to_owned());
        let mut records = records();
        records[3].fields.push(("if_instance".into(), text));
        let text = Sequence::of(&Causality::new(&records).chain(2).unwrap(), 12).text(80);
        assert!(text.lines().skip(3).all(|line| line.contains('│') || line.contains('◀')), "{text}");
        assert!(text.contains(" if_instance=\n") && text.contains("│   1eccfd72-"), "{text}");
    }

    #[test]
    fn mermaid_is_not_broken_by_what_an_event_says() {
        let mermaid = sequence(12).mermaid();
        assert_eq!(mermaid.lines().next(), Some("sequenceDiagram"));
        assert!(
            mermaid.contains("    L2->>L1: 1.000020s decision\n    Note over L1: shrink pages=512 (2 MB)\n"),
            "{mermaid}"
        );
        assert!(mermaid.contains("rule=\"shortage#59; #35;1\""), "{mermaid}");
    }

    #[test]
    fn the_picture_has_all_steps() {
        let picture = sequence(12).picture();
        for text in ["dm-vsc/VM1", "memory-balancer/VM1", "BALLOON_REQUEST, 16 bytes", "pages_unmapped"] {
            assert!(picture.contains(text), "{picture}");
        }
    }
}
