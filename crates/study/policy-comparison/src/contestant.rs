//! The policies that are compared.

use std::fmt;
use std::sync::Arc;

use balancing_policy::Policy;

use policy_catalogue::PolicyError;

type Make = dyn Fn() -> Box<dyn Policy> + Send + Sync;

/// A policy that takes part in a comparison: a policy of the project by its name, or a policy of your own.
#[derive(Clone)]
pub struct Contestant {
    name: String,
    make: Arc<Make>,
    static_memory: bool,
}

impl Contestant {
    /// A policy of the project by its name, with its default parameters; or with others behind its name, such as
    /// `hyperv:half_width=4:hold=100s`. So one policy can take part several times, and all of the text is the contestant's name.
    ///
    /// The policy `static` gets VMs with static memory, startup = maximum: the baseline as it is in the source.
    ///
    /// # Errors
    /// There is no policy of this name, or it does not take the parameters.
    pub fn named(name: &str) -> Result<Self, PolicyError> {
        let (policy, parameters) = taken_apart(name)?;
        Self::with_parameters(policy, name, parameters)
    }

    /// A policy of the project with these parameters, called `label` in what is compared.
    ///
    /// # Errors
    /// There is no policy `name`, or it does not take these parameters.
    pub fn with_parameters(name: &str, label: &str, parameters: toml::Table) -> Result<Self, PolicyError> {
        policy_catalogue::make(name, &parameters)?;
        let known = name.to_owned();
        let make = move || match policy_catalogue::make(&known, &parameters) {
            Ok(policy) => policy,
            // The policy was made above with the same parameters.
            Err(error) => unreachable!("{error}"),
        };
        let static_memory = name == policy_catalogue::STATIC;
        Ok(Self { name: label.to_owned(), make: Arc::new(make), static_memory })
    }

    /// A policy that this crate has never heard of. `make` is called once for every run, on any thread.
    pub fn own<P: Policy + 'static>(make: impl Fn() -> P + Send + Sync + 'static) -> Self {
        let name = make().name().to_owned();
        Self { name, make: Arc::new(move || Box::new(make())), static_memory: false }
    }

    /// All policies of the project, the default first, but the one that is told the future: that is a mark, not a design.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let designs = policy_catalogue::names().filter(|name| *name != policy_catalogue::CLAIRVOYANT);
        designs.filter_map(|name| Self::named(name).ok()).collect()
    }

    /// What it is called in what is compared.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn make(&self) -> Box<dyn Policy> {
        (self.make)()
    }

    pub(crate) fn has_static_memory(&self) -> bool {
        self.static_memory
    }
}

/// The policy and the parameters of a contestant's name. A value is TOML's, or else a text.
fn taken_apart(name: &str) -> Result<(&str, toml::Table), PolicyError> {
    let mut parts = name.split(':');
    let policy = parts.next().unwrap_or_default();
    let wrong = |why: String| PolicyError::Parameters { name: policy.to_owned(), why };
    let mut parameters = toml::Table::new();
    for part in parts {
        let (key, value) = part.split_once('=').map_or(("", ""), |(key, value)| (key.trim(), value.trim()));
        if key.is_empty() || value.is_empty() {
            return Err(wrong(format!("{part:?} is none: write POLICY:NAME=VALUE:NAME=VALUE")));
        }
        let read = toml::from_str::<toml::Table>(&format!("value = {value}")).ok();
        let read = read.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
        let value = read.unwrap_or_else(|| toml::Value::String(value.to_owned()));
        if parameters.insert(key.to_owned(), value).is_some() {
            return Err(wrong(format!("{key} is there twice")));
        }
    }
    Ok((policy, parameters))
}

impl fmt::Debug for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Contestant").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_follow_the_name_of_a_policy() {
        let (policy, parameters) = taken_apart("hyperv:half_width=4.5:hold=100s:weights=false").unwrap();
        assert_eq!(policy, "hyperv");
        let expected = toml::from_str("half_width = 4.5\nhold = \"100s\"\nweights = false").unwrap();
        assert_eq!(parameters, expected);
        let contestant = Contestant::named("static:").map(drop);
        assert!(contestant.unwrap_err().to_string().contains("\"\" is none: write POLICY:NAME=VALUE"));
        assert!(Contestant::named("static").unwrap().has_static_memory());
        let why = |name: &str| Contestant::named(name).unwrap_err().to_string();
        assert!(why("hyper:hold=1s").contains("did you mean \"hyperv\"?"), "{}", why("hyper:hold=1s"));
        assert!(why("hyperv:hold=1s:hold=2s").contains("hold is there twice"));
        assert!(why("hyperv:hold").contains("\"hold\" is none"));
        assert!(why("hyperv:holt=1s").contains("holt"), "{}", why("hyperv:holt=1s"));
        assert_eq!(Contestant::named("hyperv:half_width=4").unwrap().name(), "hyperv:half_width=4");
    }
}
