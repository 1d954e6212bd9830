//! Workloads: what runs in a guest.

use component_runtime::random::Pcg64;
use guest_memory_manager::{
    trace::Trace,
    workload::{BadWorkload, WorkloadConfig},
};
use page_range::PageCount;
use serde_json::{Map, Value};

use super::{
    diagnostic::Span,
    draw::Draw,
    reader::{Located, Table, number},
    schema::{self, Form, TableDoc},
};

/// Kinds of workloads and the keys that each has.
pub(super) const KINDS: [(&str, &TableDoc); 9] = [
    ("idle", &schema::IDLE),
    ("paint", &schema::PAINT),
    ("step", &schema::STEP),
    ("ramp", &schema::RAMP),
    ("sawtooth", &schema::SAWTOOTH),
    ("leak", &schema::LEAK),
    ("server", &schema::SERVER),
    ("bursts", &schema::BURSTS),
    ("trace", &schema::PLAYBACK),
];

/// The three ways to say how far Paint goes.
const PAINT_GOALS: [&str; 3] = ["canvas", "commit", "guest_commit"];

/// A workload as a scenario file says it: amounts may still have to be drawn, and keys that are not there have the guest
/// model's defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    kind: &'static str,
    values: Vec<(&'static str, Amount)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Amount {
    Size(Draw<PageCount>),
    Time(Draw<core::time::Duration>),
    Number(f64),
    Whole(u64),
    Flag(bool),
    Text(String),
    Canvas(u64, u64),
}

impl Workload {
    /// Which kind.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The workload of one VM: what is to be drawn is drawn from `rng`, and `{n}` is `number`.
    ///
    /// # Errors
    /// A key whose value the guest model does not take.
    pub fn draw(&self, number: &str, rng: &mut Pcg64) -> Result<WorkloadConfig, BadWorkload> {
        self.config(number, &mut Choose::AtRandom(rng))
    }

    /// The guest model's configuration. The configuration goes through the model's own serde form, whose defaults fill in
    /// what the file does
    /// not say.
    fn config(&self, number: &str, choose: &mut Choose<'_>) -> Result<WorkloadConfig, BadWorkload> {
        let mut config = Map::new();
        config.insert("kind".to_owned(), self.kind.into());
        for (key, amount) in &self.values {
            let value = match amount {
                Amount::Size(draw) => choose.size(*draw).get().into(),
                Amount::Time(draw) => choose.time(*draw).as_secs_f64().into(),
                Amount::Number(number) => (*number).into(),
                Amount::Whole(number) => (*number).into(),
                Amount::Flag(flag) => (*flag).into(),
                Amount::Text(text) => text.replace("{n}", number).into(),
                Amount::Canvas(width, height) => Value::Object(
                    [("width".to_owned(), (*width).into()), ("height".to_owned(), (*height).into())]
                        .into_iter()
                        .collect(),
                ),
            };
            if PAINT_GOALS.contains(key) {
                config.insert(
                    "goal".to_owned(),
                    Value::Object([((*key).to_owned(), value)].into_iter().collect()),
                );
            } else {
                config.insert((*key).to_owned(), value);
            }
        }
        let config: WorkloadConfig = serde_json::from_value(Value::Object(config))
            .map_err(|error| BadWorkload { key: "kind", problem: error.to_string() })?;
        config.validate()?;
        Ok(config)
    }
}

/// How amounts are chosen that the file leaves open.
enum Choose<'a> {
    AtRandom(&'a mut Pcg64),
    Least,
    Most,
}

impl Choose<'_> {
    fn size(&mut self, draw: Draw<PageCount>) -> PageCount {
        match self {
            Self::AtRandom(rng) => draw.pick(rng),
            Self::Least => draw.low(),
            Self::Most => draw.high(),
        }
    }

    fn time(&mut self, draw: Draw<core::time::Duration>) -> core::time::Duration {
        match self {
            Self::AtRandom(rng) => draw.pick(rng),
            Self::Least => draw.low(),
            Self::Most => draw.high(),
        }
    }
}

/// Reads the table of a workload and checks it at both ends of its ranges.
pub(super) fn read(outer: &Table<'_, '_>, entries: &toml::de::DeTable<'_>, span: &Span) -> Option<Workload> {
    let reader = outer.reader;
    // Which keys a workload has depends on its kind, so that is looked at first.
    let kinds: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
    let Some(kind) = entries.get("kind") else {
        reader.add(
            reader
                .complain(&(span.start..span.start + 1), "`kind` is missing in a workload")
                .key("kind")
                .allowed(schema::quoted(&kinds)),
        );
        return None;
    };
    let written = kind.get_ref().as_str();
    let Some(&(kind_name, doc)) = KINDS.iter().find(|(name, _)| Some(*name) == written) else {
        let span = kind.span();
        let diagnostic = reader
            .complain(&span, format!("there is no workload of kind {}", reader.text(&span)))
            .key("kind")
            .value(reader.text(&span))
            .allowed(schema::quoted(&kinds));
        reader.add(diagnostic.nearest(written.unwrap_or(""), kinds));
        return None;
    };
    let table = Table::new(reader, doc, entries, span);
    table.word("kind", &KINDS.map(|(name, _)| (name, ())));
    let mut values = Vec::new();
    let mut complete = true;
    for key in doc.keys().filter(|key| key.name != "kind") {
        let amount = match key.form {
            Form::SizeDraw => table.draw_size(key.name).map(|draw| Amount::Size(draw.value)),
            Form::TimeDraw => table.draw_duration(key.name).map(|draw| Amount::Time(draw.value)),
            Form::Number(_) => {
                table.number(key.name, 0.0, f64::MAX).map(|number| Amount::Number(number.value))
            }
            Form::Integer(_) => table.integer(key.name, 1, 1 << 20).map(|number| Amount::Whole(number.value)),
            Form::Boolean => table.boolean(key.name).map(|flag| Amount::Flag(flag.value)),
            Form::Pair(_) => canvas(&table, key.name),
            _ => table.text(key.name).map(|text| Amount::Text(text.value)),
        };
        let amount = if key.default == "required" { table.required(key.name, amount) } else { amount };
        match amount {
            Some(amount) => values.push((key.name, amount)),
            None => complete &= !table.has(key.name) && key.default != "required",
        }
    }
    complete &= kind_name != "paint" || paint_has_one_goal(&table);
    if kind_name == "trace" && !table.has("vm") {
        values.push(("vm", Amount::Text("{n}".to_owned())));
    }
    if !complete {
        return None;
    }
    let workload = Workload { kind: kind_name, values };
    for mut choose in [Choose::Least, Choose::Most] {
        if let Err(error) = workload.config("1", &mut choose) {
            let span = doc.key(error.key).map_or_else(|| table.start(), |key| table.span_of(key.name));
            let value = reader.text(&span).to_owned();
            reader.add(
                reader
                    .complain(&span, format!("`{}`: {}", error.key, error.problem))
                    .key(error.key)
                    .value(value),
            );
            return None;
        }
    }
    Some(workload)
}

fn canvas(table: &Table<'_, '_>, name: &'static str) -> Option<Amount> {
    let (value, span) = table.value(name)?;
    let sides: Option<Vec<f64>> =
        value.as_array().map(|array| array.iter().filter_map(|side| number(side.get_ref())).collect());
    match sides.as_deref() {
        Some(&[width, height])
            if [width, height]
                .iter()
                .all(|side| side.fract() == 0.0 && (1.0..=1_048_576.0).contains(side)) =>
        {
            Some(Amount::Canvas(width as u64, height as u64))
        }
        _ => {
            table.reader.add(
                table
                    .bad_value(name, &span, format!("`{name}` must be two numbers of pixels"))
                    .allowed("[columns, rows], each from 1 to 1048576"),
            );
            None
        }
    }
}

fn paint_has_one_goal(table: &Table<'_, '_>) -> bool {
    let given: Vec<_> = PAINT_GOALS.into_iter().filter(|key| table.has(key)).collect();
    match given[..] {
        [_] => true,
        [] => {
            table.reader.add(
                table
                    .reader
                    .complain(
                        &table.start(),
                        "a workload of kind \"paint\" must say how far the canvas grows",
                    )
                    .key("guest_commit")
                    .allowed("one of canvas, commit, guest_commit"),
            );
            false
        }
        [first, second, ..] => {
            let span = table.span_of(second);
            table.reader.add(
                table
                    .bad_value(
                        second,
                        &span,
                        format!("the canvas cannot grow to both `{first}` and `{second}`"),
                    )
                    .allowed("one of canvas, commit, guest_commit"),
            );
            false
        }
    }
}

/// Complains if a workload plays a VM that the trace does not have. `number` is the VM's.
pub(super) fn check_trace(
    table: &Table<'_, '_>,
    workload: &Located<Workload>,
    number: &str,
    trace: Option<&Trace>,
) -> bool {
    let Some(vm) = workload.value.values.iter().find_map(|(key, amount)| match amount {
        Amount::Text(text) if *key == "vm" => Some(text.replace("{n}", number)),
        _ => None,
    }) else {
        return true;
    };
    let reader = table.reader;
    reader.plays_trace.set(true);
    let complaint = match trace {
        None if reader.trace_failed.get() => return false,
        None => reader
            .complain(&workload.span, "a workload of kind \"trace\" needs recorded loads")
            .help("add a table [trace] with the `file`"),
        Some(trace) if trace.vm(&vm).is_none() => {
            let known: Vec<_> = trace.vms().map(|(name, _)| name).collect();
            let some = known.iter().take(8).copied().collect::<Vec<_>>().join(", ");
            let more =
                if known.len() > 8 { format!(" and {} others", known.len() - 8) } else { String::new() };
            reader
                .complain(&workload.span, format!("the trace has no VM {vm:?}"))
                .allowed(format!("{some}{more}"))
                .nearest(&vm, known)
        }
        Some(_) => return true,
    };
    reader.add(complaint.key("vm").value(vm));
    false
}
