//! Counter paths.

use core::{fmt, str::FromStr};

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
    fn anything_else_is_refused() {
        for text in ["", "HOST", r"\\HOST", r"\\HOST\Memory", r"\HOST\Memory\x", r"\\\Memory\x", r"\\H\a)\b"]
        {
            assert_eq!(text.parse::<CounterPath>(), Err(PathError), "{text}");
        }
    }
}
