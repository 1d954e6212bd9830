//! What there is in a run to filter by.

use std::collections::BTreeSet;

use component_runtime::SimTime;
use run_journal::Record;
use run_journal::query::Filter;

/// Names and times of the events that were read.
#[derive(Debug, Default)]
pub(super) struct Seen {
    vms: BTreeSet<String>,
    components: BTreeSet<String>,
    events: BTreeSet<String>,
    times: Option<(SimTime, SimTime)>,
}

impl Seen {
    /// Notes an event.
    pub(super) fn note(&mut self, record: &Record) {
        if let Some(vm) = &record.vm
            && !self.vms.contains(&**vm)
        {
            self.vms.insert(vm.to_string());
        }
        for (names, name) in [(&mut self.components, &record.component), (&mut self.events, &record.event)] {
            if !names.contains(&**name) {
                names.insert(name.to_string());
            }
        }
        let (first, last) = self.times.unwrap_or((record.t, record.t));
        self.times = Some((first.min(record.t), last.max(record.t)));
    }

    /// Names the filter that nothing can match, and what it could have been.
    pub(super) fn why_nothing(&self, filter: &Filter) -> String {
        let Some((first, last)) = self.times else { return "the run has no events".to_owned() };
        let component = filter.component.as_deref().map(|name| name.split('/').next().unwrap_or(name));
        for (option, given, known) in [
            ("--vm", filter.vm.as_deref(), &self.vms),
            ("--component", component, &self.components),
            ("--event", filter.event.as_deref(), &self.events),
        ] {
            if let Some(given) = given
                && !known.iter().any(|known| known.eq_ignore_ascii_case(given))
            {
                let names = known.iter().map(String::as_str);
                let near = quantities::nearest(given, names.clone())
                    .map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
                let known = names.collect::<Vec<_>>().join(", ");
                return format!("no event has {option} {given}; this run has {known}{near}");
            }
        }
        if filter.from.is_some_and(|from| from > last) || filter.until.is_some_and(|until| until < first) {
            return format!("no event is in that time; those of this run are from {first} to {last}");
        }
        "no event matches all of these filters at once".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use run_journal::Severity;

    use super::*;

    #[test]
    fn the_filter_that_picks_nothing_is_named() {
        let mut seen = Seen::default();
        assert_eq!(seen.why_nothing(&Filter::default()), "the run has no events");
        for t in [10, 20] {
            seen.note(&Record {
                t: SimTime::from(std::time::Duration::from_secs(t)),
                seq: t,
                component: "dm-vsp".into(),
                vm: Some("VM8".into()),
                event: "grant".into(),
                cause: 0,
                severity: Severity::Normal,
                fields: Vec::new(),
            });
        }
        let filter = Filter { event: Some("grants".to_owned()), ..Filter::default() };
        assert_eq!(
            seen.why_nothing(&filter),
            "no event has --event grants; this run has grant; did you mean \"grant\"?"
        );
        let filter = Filter { from: Some("30s".parse().unwrap()), ..Filter::default() };
        assert_eq!(
            seen.why_nothing(&filter),
            "no event is in that time; those of this run are from 10s to 20s"
        );
        let filter = Filter {
            from: Some("12s".parse().unwrap()),
            until: Some("13s".parse().unwrap()),
            ..Filter::default()
        };
        assert_eq!(seen.why_nothing(&filter), "no event matches all of these filters at once");
    }
}
