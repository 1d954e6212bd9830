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
    /// What [`Contestant::named`] makes the same of; `None` for a policy that it does not know.
    text: Option<String>,
    make: Arc<Make>,
    bounds: Bounds,
}

/// What VMs and host are set to where a policy of this kind runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bounds {
    /// As the load says.
    AsTheyAre,
    /// Static memory, startup = maximum.
    Static,
    /// A host of Windows Server 2012, with minimums below startup RAM.
    Server2012,
}

impl Contestant {
    /// A policy of the project by its name, with its default parameters; or with others behind its name, such as
    /// `hyperv:half_width=4:hold=100s`. So one policy can take part several times, and all of the text is the contestant's name, unless it says
    /// another: `hyperv:as=hyperv, quick:hold=100s`.
    ///
    /// The policy `static` gets VMs with static memory, startup = maximum: the baseline as it is in the source; `hyperv-2012` gets VMs with
    /// minimums below their startup RAM on a host of Windows Server 2012.
    ///
    /// # Errors
    /// There is no policy of this name, or it does not take the parameters.
    pub fn named(name: &str) -> Result<Self, PolicyError> {
        let TakenApart { policy, label, parameters } = taken_apart(name)?;
        let contestant = Self::with_parameters(policy, label.unwrap_or(name), parameters)?;
        Ok(Self { text: Some(name.to_owned()), ..contestant })
    }

    /// The text that [`named`](Self::named) makes a policy of the project with these parameters of, called `label`.
    #[must_use]
    pub fn text_of(policy: &str, label: &str, parameters: &toml::Table) -> String {
        let value = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let parts = parameters.iter().map(|(name, of)| format!(":{name}={}", value(of)));
        format!("{policy}:{LABEL}={label}{}", parts.collect::<String>())
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
        let bounds = match name {
            policy_catalogue::STATIC => Bounds::Static,
            policy_catalogue::SERVER_2012 => Bounds::Server2012,
            _ => Bounds::AsTheyAre,
        };
        Ok(Self { name: label.to_owned(), text: None, make: Arc::new(make), bounds })
    }

    /// A policy that this crate has never heard of. `make` is called once for every run, on any thread.
    pub fn own<P: Policy + 'static>(make: impl Fn() -> P + Send + Sync + 'static) -> Self {
        let name = make().name().to_owned();
        Self { name, text: None, make: Arc::new(move || Box::new(make())), bounds: Bounds::AsTheyAre }
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

    /// What [`named`](Self::named) makes the same of: for what is written down. Its name, of a policy that it does not know.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or(&self.name)
    }

    pub(crate) fn make(&self) -> Box<dyn Policy> {
        (self.make)()
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }
}

/// What a contestant's name says.
struct TakenApart<'a> {
    policy: &'a str,
    label: Option<&'a str>,
    parameters: toml::Table,
}

/// The key of what a contestant is called. No policy has a parameter of this name.
const LABEL: &str = "as";

/// The policy, the label and the parameters of a contestant's name. A value is TOML's, or else a text.
fn taken_apart(name: &str) -> Result<TakenApart<'_>, PolicyError> {
    let mut parts = name.split(':');
    let policy = parts.next().unwrap_or_default();
    let wrong = |why: String| PolicyError::Parameters { name: policy.to_owned(), why };
    let (mut label, mut parameters) = (None, toml::Table::new());
    for part in parts {
        let (key, value) = part.split_once('=').map_or(("", ""), |(key, value)| (key.trim(), value.trim()));
        if key.is_empty() || value.is_empty() {
            return Err(wrong(format!("{part:?} is none: write POLICY:NAME=VALUE:NAME=VALUE")));
        }
        let read = toml::from_str::<toml::Table>(&format!("value = {value}")).ok();
        let read = read.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
        let is_twice = if key == LABEL {
            label.replace(value).is_some()
        } else {
            let value = read.unwrap_or_else(|| toml::Value::String(value.to_owned()));
            parameters.insert(key.to_owned(), value).is_some()
        };
        if is_twice {
            return Err(wrong(format!("{key} is there twice")));
        }
    }
    Ok(TakenApart { policy, label, parameters })
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
        let TakenApart { policy, label, parameters } =
            taken_apart("hyperv:half_width=4.5:hold=100s:weights=false").unwrap();
        assert_eq!((policy, label), ("hyperv", None));
        let expected = toml::from_str("half_width = 4.5\nhold = \"100s\"\nweights = false").unwrap();
        assert_eq!(parameters, expected);
        let contestant = Contestant::named("static:").map(drop);
        assert!(contestant.unwrap_err().to_string().contains("\"\" is none: write POLICY:NAME=VALUE"));
        for (name, bounds) in [
            ("static", Bounds::Static),
            ("hyperv-2012:hold=10s", Bounds::Server2012),
            ("hyperv", Bounds::AsTheyAre),
        ] {
            assert_eq!(Contestant::named(name).unwrap().bounds(), bounds);
        }
        let why = |name: &str| Contestant::named(name).unwrap_err().to_string();
        assert!(why("hyper:hold=1s").contains("did you mean \"hyperv\"?"), "{}", why("hyper:hold=1s"));
        assert!(why("hyperv:hold=1s:hold=2s").contains("hold is there twice"));
        assert!(why("hyperv:hold").contains("\"hold\" is none"));
        assert!(why("hyperv:holt=1s").contains("holt"), "{}", why("hyperv:holt=1s"));
        assert_eq!(Contestant::named("hyperv:half_width=4").unwrap().name(), "hyperv:half_width=4");
    }

    #[test]
    fn a_contestant_may_be_called_otherwise_and_is_made_again_of_its_text() {
        let parameters = toml::from_str("half_width = 4.5\nhold = \"100s\"").unwrap();
        let text = Contestant::text_of("hyperv", "hyperv tuned", &parameters);
        assert_eq!(text, "hyperv:as=hyperv tuned:half_width=4.5:hold=100s");
        let contestant = Contestant::named(&text).unwrap();
        assert_eq!((contestant.name(), contestant.text()), ("hyperv tuned", text.as_str()));
        assert_eq!(taken_apart(&text).unwrap().parameters, parameters);
        assert_eq!(Contestant::named("mom").unwrap().text(), "mom");
    }
}
