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
    /// A policy of the project, with its default parameters.
    ///
    /// The policy `static` gets VMs with static memory, startup = maximum: the baseline as it is in the source.
    ///
    /// # Errors
    /// There is no policy of this name.
    pub fn named(name: &str) -> Result<Self, PolicyError> {
        Self::with_parameters(name, name, toml::Table::new())
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

impl fmt::Debug for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Contestant").field(&self.name).finish()
    }
}
