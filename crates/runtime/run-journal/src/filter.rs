//! Which events a log for people shows (`--log`).
//!
//! By component, as everything else that names events: what a reader of a log asks for is "the DM VSP of VM8", not the module in
//! which the event was written down.

use tracing::{Level, Metadata, level_filters::LevelFilter};

/// The words for levels, from least to most.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// A `--log` filter that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{filter:?} is not a log filter: {problem}; write a level (off, error, warn, info, debug, trace), or a list of levels and \
     component=level such as \"warn,dm-vsp=debug,memory-balancer=info,dm-vsc/VM8=debug\""
)]
pub struct LogFilterError {
    filter: String,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("{word:?} is not a level{}", nearest(.word))]
    Level { word: String },
    #[error("{0:?} names no component")]
    NoName(String),
    #[error("it is empty")]
    Empty,
}

fn nearest(word: &str) -> String {
    let found = quantities::nearest(word, LEVELS.iter().map(|(name, _)| *name));
    found.map_or_else(String::new, |name| format!(", did you mean {name:?}?"))
}

/// Levels for everything and for components.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFilter {
    everything: LevelFilter,
    /// Rules that name component and VM stand after those that name less.
    directives: Vec<Directive>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Directive {
    /// As it was written, for messages.
    written: String,
    subject: Subject,
    level: LevelFilter,
}

/// Whom a directive is about, the less particular first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    /// A module and all in it, such as `vmms_host::worker`.
    Module(String),
    /// A component of every VM, such as `dm-vsp`; or a crate, such as `vmms_host`.
    Component(String),
    /// The component of one VM, such as `dm-vsp/VM8`.
    OfVm(String, String),
}

/// `dm_vsp` and `dm-vsp` are the same component.
fn same_name(one: &str, other: &str) -> bool {
    one.len() == other.len()
        && one.bytes().zip(other.bytes()).all(|(a, b)| a == b || (b"-_".contains(&a) && b"-_".contains(&b)))
}

impl Subject {
    fn is(&self, module: &str, component: &str, vm: Option<&str>) -> bool {
        match self {
            Self::Module(name) => module
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::")),
            Self::Component(name) => {
                same_name(name, component)
                    || module.split("::").next().is_some_and(|root| same_name(name, root))
            }
            Self::OfVm(name, of) => {
                same_name(name, component) && vm.is_some_and(|vm| vm.eq_ignore_ascii_case(of))
            }
        }
    }
}

impl LogFilter {
    /// Reads a filter.
    pub(crate) fn parse(filter: &str) -> Result<Self, LogFilterError> {
        let refused = |problem| LogFilterError { filter: filter.to_owned(), problem };
        let level = |word: &str| {
            let known = LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
            known.map(|(_, level)| *level).ok_or_else(|| refused(Problem::Level { word: word.to_owned() }))
        };
        let mut read = Self { everything: LevelFilter::OFF, directives: Vec::new() };
        let parts: Vec<&str> = filter.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            return Err(refused(Problem::Empty));
        }
        for part in parts {
            let Some((name, word)) = part.split_once('=') else {
                read.everything = level(part)?;
                continue;
            };
            let (name, level) = (name.trim(), level(word.trim())?);
            let subject = match name.split_once('/') {
                Some((component, vm)) if !component.is_empty() && !vm.is_empty() => {
                    Subject::OfVm(component.to_owned(), vm.to_owned())
                }
                None if name.contains("::") => Subject::Module(name.to_owned()),
                None if !name.is_empty() => Subject::Component(name.to_owned()),
                _ => return Err(refused(Problem::NoName(part.to_owned()))),
            };
            read.directives.push(Directive { written: name.to_owned(), subject, level });
        }
        // The sort is stable: of two directives about the same, the later counts.
        read.directives.sort_by_key(|a| a.subject.rank());
        Ok(read)
    }

    /// The most detailed level that it lets pass anywhere.
    pub(crate) fn most(&self) -> LevelFilter {
        self.directives.iter().map(|directive| directive.level).fold(self.everything, LevelFilter::max)
    }

    /// Whether an event is shown.
    pub(crate) fn passes(&self, metadata: &Metadata<'_>, component: &str, vm: Option<&str>) -> bool {
        self.allows(*metadata.level(), metadata.target(), component, vm)
    }

    fn allows(&self, level: Level, module: &str, component: &str, vm: Option<&str>) -> bool {
        let about = |directive: &&Directive| directive.subject.is(module, component, vm);
        let limit = self.directives.iter().rev().find(about).map_or(self.everything, |found| found.level);
        level <= limit
    }

    /// The names in it, as they were written.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.directives.iter().map(|directive| directive.written.as_str())
    }
}

impl Subject {
    /// What counts more comes later; a longer module is more particular.
    fn rank(&self) -> (u8, usize) {
        match self {
            Self::Module(name) => (0, name.len()),
            Self::Component(_) => (1, 0),
            Self::OfVm(..) => (2, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(filter: &str, level: Level, component: &str, vm: Option<&str>) -> bool {
        LogFilter::parse(filter).unwrap().allows(level, "vmms_host::worker", component, vm)
    }

    #[test]
    fn a_level_alone_is_for_everything() {
        for (filter, error, info, debug) in [
            ("off", false, false, false),
            ("error", true, false, false),
            ("INFO", true, true, false),
            ("trace", true, true, true),
        ] {
            let shown =
                [Level::ERROR, Level::INFO, Level::DEBUG].map(|level| allows(filter, level, "vmms", None));
            assert_eq!(shown, [error, info, debug], "{filter}");
        }
    }

    #[test]
    fn the_most_particular_directive_counts() {
        let filter = "dm-vsp/VM8=debug, dm_vsp=info ,warn,";
        assert!(allows(filter, Level::DEBUG, "dm-vsp", Some("vm8")));
        assert!(!allows(filter, Level::DEBUG, "dm-vsp", Some("VM7")));
        assert!(allows(filter, Level::INFO, "dm-vsp", Some("VM7")));
        assert!(!allows(filter, Level::INFO, "dm-vsc", Some("VM8")));
        assert!(allows(filter, Level::WARN, "vmms", None));
        assert_eq!(LogFilter::parse(filter).unwrap().most(), LevelFilter::DEBUG);
    }

    #[test]
    fn a_crate_or_a_module_can_be_named_too() {
        assert!(allows("vmms_host=debug", Level::DEBUG, "dm-vsp", None));
        assert!(allows("vmms_host::worker=debug", Level::DEBUG, "dm-vsp", None));
        assert!(!allows("vmms_host::work=debug", Level::DEBUG, "dm-vsp", None));
        assert!(!allows("vmms_host::worker=debug,dm-vsp=info", Level::DEBUG, "dm-vsp", None));
    }

    #[test]
    fn what_is_no_filter_is_explained() {
        for (filter, problem) in [
            ("dm-vsp=loud", "\"loud\" is not a level;"),
            ("loud", "\"loud\" is not a level;"),
            ("inof", "\"inof\" is not a level, did you mean \"info\"?;"),
            ("dm-vsp", "\"dm-vsp\" is not a level;"),
            ("=info", "\"=info\" names no component;"),
            ("/VM8=info", "\"/VM8=info\" names no component;"),
            ("dm-vsp/=info", "\"dm-vsp/=info\" names no component;"),
            ("a=b=c", "\"b=c\" is not a level;"),
            (" , ", "it is empty;"),
        ] {
            let text = LogFilter::parse(filter).unwrap_err().to_string();
            assert!(
                text.starts_with(&format!("{filter:?} is not a log filter: {problem} write a level (")),
                "{text}"
            );
        }
    }
}
