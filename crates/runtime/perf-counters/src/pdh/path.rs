//! Counter paths.

use core::{fmt, str::FromStr};

use crate::{CounterDefinition, layout::instance_name};

/// `\\machine\object(instance)\counter`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CounterPath {
    /// The machine: the host, or a guest.
    pub machine: String,
    /// The counter set.
    pub object: String,
    /// The instance, where the set has instances.
    pub instance: Option<String>,
    /// The counter.
    pub counter: String,
}

impl CounterPath {
    /// Whether this is the path of a counter of a set, compared as Windows does: without regard to case, and
    /// with names of machines and instances as they are [written in a path](crate::Layout).
    pub fn is(&self, machine: &str, counter: &CounterDefinition, instance: Option<&str>) -> bool {
        same(&self.object, counter.object)
            && same(&self.counter, counter.name)
            && same(&instance_name(&self.machine), &instance_name(machine))
            && match (&self.instance, instance) {
                (None, None) => true,
                (Some(found), Some(wanted)) => same(found, &instance_name(wanted)),
                _ => false,
            }
    }
}

impl CounterPath {
    /// What all paths share that [`is`](Self::is) takes for the same, and no others.
    pub(super) fn key(&self) -> String {
        key(&self.machine, &self.object, self.instance.as_deref(), &self.counter)
    }

    /// The key of a counter of a set.
    pub(super) fn key_of(machine: &str, counter: &CounterDefinition, instance: Option<&str>) -> String {
        key(machine, counter.object, instance, counter.name)
    }
}

fn key(machine: &str, object: &str, instance: Option<&str>, counter: &str) -> String {
    // No part of a path has a backslash, and no instance a parenthesis.
    let instance = instance.map_or_else(String::new, |instance| format!("({})", instance_name(instance)));
    format!("{}\\{object}{instance}\\{counter}", instance_name(machine)).to_lowercase()
}

/// Equal but for the case of letters.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!a.is_ascii() && a.to_lowercase() == b.to_lowercase())
}

/// Not a counter path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a counter path such as \\\\HOST\\Memory\\Available MBytes")]
pub struct PathError;

impl FromStr for CounterPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let rest = text.strip_prefix(r"\\").ok_or(PathError)?;
        let (machine, rest) = rest.split_once('\\').ok_or(PathError)?;
        let (object, counter) = rest.rsplit_once('\\').ok_or(PathError)?;
        let (object, instance) = match object.strip_suffix(')') {
            Some(inner) => {
                let (object, instance) = inner.split_once('(').ok_or(PathError)?;
                (object, Some(instance.to_owned()))
            }
            None => (object, None),
        };
        if machine.is_empty() || object.is_empty() || counter.is_empty() {
            return Err(PathError);
        }
        Ok(Self {
            machine: machine.to_owned(),
            object: object.to_owned(),
            instance,
            counter: counter.to_owned(),
        })
    }
}

impl fmt::Display for CounterPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::layout::path(
            &self.machine,
            &self.object,
            self.instance.as_deref(),
            &self.counter,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_apart_and_together() {
        for text in
            [r"\\HOST\Memory\Available MBytes", r"\\HOST\Hyper-V Dynamic Memory VM(VM 1)\Physical Memory"]
        {
            assert_eq!(text.parse::<CounterPath>().unwrap().to_string(), text);
        }
        let path: CounterPath = r"\\HOST\Hyper-V Dynamic Memory VM(VM1)\Physical Memory".parse().unwrap();
        assert_eq!(path.instance.as_deref(), Some("VM1"));
        assert_eq!(path.object, "Hyper-V Dynamic Memory VM");
    }

    #[test]
    fn case_does_not_matter_and_names_are_compared_as_written() {
        let [.., physical, _removed] = crate::VmCounters::DEFINITIONS;
        let path: CounterPath =
            r"\\host\hyper-v dynamic memory vm(büro [old] _2)\physical memory".parse().unwrap();
        assert!(path.is("HOST", &physical, Some("Büro (old) #2")));
        assert!(!path.is("HOST", &physical, Some("Büro")) && !path.is("HOST", &physical, None));
        assert_eq!(path.key(), CounterPath::key_of("HOST", &physical, Some("Büro (old) #2")));
        assert_ne!(path.key(), CounterPath::key_of("HOST", &physical, Some("Büro")));
        assert_ne!(path.key(), CounterPath::key_of("HOST", &physical, None));
        let [available, ..] = crate::GuestCounters::DEFINITIONS;
        let path: CounterPath = r"\\Büro (old) #2\Memory\Available MBytes".parse().unwrap();
        assert!(path.is("BÜRO [OLD] _2", &available, None));
        assert_eq!(path.key(), CounterPath::key_of("BÜRO [OLD] _2", &available, None));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "HOST", r"\\HOST", r"\\HOST\Memory", r"\HOST\Memory\x", r"\\\Memory\x", r"\\H\a)\b"]
        {
            assert_eq!(text.parse::<CounterPath>(), Err(PathError), "{text}");
        }
    }
}
