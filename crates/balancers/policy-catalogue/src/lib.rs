//! The balancing policies by name: what `--policy` and a scenario file's `[policy]` choose from.

use std::time::Duration;

use balancing_policy::Policy;
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};

/// A policy that can be chosen.
#[derive(Clone, Copy)]
pub struct PolicyEntry {
    /// Its name.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Makes it with these parameters.
    make: fn(&toml::Table) -> Result<Made, toml::de::Error>,
}

/// A policy, and all parameters that it was made with.
struct Made {
    policy: Box<dyn Policy>,
    parameters: toml::Table,
}

/// Every policy there is, the default first. `cargo xtask new-balancer` adds its line before the last one.
pub const POLICIES: &[PolicyEntry] = &[
    PolicyEntry {
        name: memory_balancer::hyperv::PressureBandPolicy::NAME,
        summary: "Hyper-V's pressure band: demand and buffer, weights in shortage (the default)",
        make: |parameters| made(parameters, memory_balancer::hyperv::PressureBandPolicy::new),
    },
    PolicyEntry {
        name: balancer_auto_ballooning::AutoBallooning::NAME,
        summary: "QEMU automatic ballooning (proposed): pressure on the host fills balloons, in a guest empties its own",
        make: |parameters| made(parameters, balancer_auto_ballooning::AutoBallooning::new),
    },
    PolicyEntry {
        name: balancer_deflation::Deflation::NAME,
        summary: "VM deflation: all give to a start in proportion to their size above their minimum, and grow back",
        make: |parameters| made(parameters, balancer_deflation::Deflation::new),
    },
    PolicyEntry {
        name: balancer_esx::Esx::NAME,
        summary: "VMware ESX: shares, an idle memory tax, revocation from whoever pays least",
        make: |parameters| made(parameters, balancer_esx::Esx::new),
    },
    PolicyEntry {
        name: balancer_hyperv_2012::HyperV2012::NAME,
        summary: "Hyper-V since Windows Server 2012: the same band; in comparisons with minimums below startup RAM",
        make: |parameters| made(parameters, balancer_hyperv_2012::HyperV2012::new),
    },
    PolicyEntry {
        name: balancer_meb::Meb::NAME,
        summary: "MEB: working sets by miss curves, and memory where it saves most misses",
        make: |parameters| made(parameters, balancer_meb::Meb::new),
    },
    PolicyEntry {
        name: balancer_mom::Mom::NAME,
        summary: "oVirt MOM: shrinks everyone by 5 % below 20 % of free host memory, else grows everyone",
        make: |parameters| made(parameters, balancer_mom::Mom::new),
    },
    PolicyEntry {
        name: balancer_predictive_band::PredictiveBand::NAME,
        summary: "our own: the band, with a forecast in place of a flat buffer",
        make: |parameters| made(parameters, balancer_predictive_band::PredictiveBand::new),
    },
    PolicyEntry {
        name: balancer_proxmox::Proxmox::NAME,
        summary: "Proxmox VE: aims at 80 % of host memory in use, by shares",
        make: |parameters| made(parameters, balancer_proxmox::Proxmox::new),
    },
    PolicyEntry {
        name: balancer_qmemman::Qmemman::NAME,
        summary: "Qubes OS qmemman: what guests prefer (1.3 times what they use), the rest in proportion to it",
        make: |parameters| made(parameters, balancer_qmemman::Qmemman::new),
    },
    PolicyEntry {
        name: balancer_self_ballooning::SelfBallooning::NAME,
        summary: "Xen self-ballooning: every guest goes to its commit, up at once, down by an eighth every 5 s",
        make: |parameters| made(parameters, balancer_self_ballooning::SelfBallooning::new),
    },
    PolicyEntry {
        name: balancer_senpai::Senpai::NAME,
        summary: "senpai: shrinks everyone until it just does not stall",
        make: |parameters| made(parameters, balancer_senpai::Senpai::new),
    },
    PolicyEntry {
        name: balancer_squeezed::Squeezed::NAME,
        summary: "XenServer squeezed: everyone the same share of minimum to maximum, whatever the demand",
        make: |parameters| made(parameters, balancer_squeezed::Squeezed::new),
    },
    PolicyEntry {
        name: STATIC,
        summary: "static memory: everyone keeps the startup RAM",
        make: |parameters| {
            nothing(parameters)?;
            Ok(Made { policy: Box::new(balancer_static::Static), parameters: toml::Table::new() })
        },
    },
    PolicyEntry {
        name: CLAIRVOYANT,
        summary: "no design but a mark: it is told what every VM will need, and shows what knowing could gain",
        make: |parameters| made(parameters, balancer_clairvoyant::Clairvoyant::new),
    },
    // New ones go above this line.
];

/// Name of the policy that is no balancing: in a comparison its VMs have static memory.
pub const STATIC: &str = balancer_static::Static::NAME;

/// Name of the policy whose VMs have a minimum below their startup RAM in a comparison.
pub const SERVER_2012: &str = balancer_hyperv_2012::HyperV2012::NAME;

/// That minimum, as a part of the startup RAM.
pub const SERVER_2012_MINIMUM: f64 = balancer_hyperv_2012::MINIMUM_SHARE;

/// Name of the policy that is told the future: a mark for the others, which takes part in no comparison unless it is asked for.
pub const CLAIRVOYANT: &str = balancer_clairvoyant::Clairvoyant::NAME;

/// Why there is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No policy has this name.
    #[error("there is no policy {name:?}; there are {known}{nearest}")]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
        /// The nearest of them, as a question.
        nearest: String,
    },
    /// The policy does not take these parameters.
    #[error("policy {name:?} does not take these parameters: {why}")]
    Parameters {
        /// The policy.
        name: String,
        /// What is wrong.
        why: String,
    },
}

/// The constants of the policies that are no part of the balancer, by the policy's name.
pub fn constants() -> impl Iterator<Item = (&'static str, &'static [model_constants::Constant])> {
    [
        (balancer_auto_ballooning::AutoBallooning::NAME, balancer_auto_ballooning::constants()),
        (balancer_clairvoyant::Clairvoyant::NAME, balancer_clairvoyant::constants()),
        (balancer_deflation::Deflation::NAME, balancer_deflation::constants()),
        (balancer_esx::Esx::NAME, balancer_esx::constants()),
        (balancer_meb::Meb::NAME, balancer_meb::constants()),
        (balancer_mom::Mom::NAME, balancer_mom::constants()),
        (balancer_predictive_band::PredictiveBand::NAME, balancer_predictive_band::constants()),
        (balancer_proxmox::Proxmox::NAME, balancer_proxmox::constants()),
        (balancer_qmemman::Qmemman::NAME, balancer_qmemman::constants()),
        (balancer_self_ballooning::SelfBallooning::NAME, balancer_self_ballooning::constants()),
        (balancer_senpai::Senpai::NAME, balancer_senpai::constants()),
        (balancer_squeezed::Squeezed::NAME, balancer_squeezed::constants()),
    ]
    .into_iter()
}

/// The names of all policies, the default first.
pub fn names() -> impl Iterator<Item = &'static str> {
    POLICIES.iter().map(|entry| entry.name)
}

/// Makes a policy.
///
/// # Errors
/// No policy of this name, or parameters that it does not have.
pub fn make(name: &str, parameters: &toml::Table) -> Result<Box<dyn Policy>, PolicyError> {
    made_by_name(name, parameters).map(|made| made.policy)
}

/// All parameters of a policy as a user would write them, with their defaults: numbers, `true` or `false`, and times as texts.
///
/// # Errors
/// No policy of this name.
pub fn defaults(name: &str) -> Result<toml::Table, PolicyError> {
    let written = |value: toml::Value| match value {
        toml::Value::Table(parts) => {
            let part = |name: &str| parts.get(name).and_then(toml::Value::as_integer).unwrap_or_default();
            let (secs, nanos) = (u64::try_from(part("secs")), u32::try_from(part("nanos")));
            let time = Duration::new(secs.unwrap_or_default(), nanos.unwrap_or_default());
            toml::Value::String(quantities::format_duration(time))
        }
        other => other,
    };
    let made = made_by_name(name, &toml::Table::new())?;
    Ok(made.parameters.into_iter().map(|(name, value)| (name, written(value))).collect())
}

fn made_by_name(name: &str, parameters: &toml::Table) -> Result<Made, PolicyError> {
    let Some(entry) = POLICIES.iter().find(|entry| entry.name == name) else {
        let nearest = quantities::nearest(name, names());
        return Err(PolicyError::Unknown {
            name: name.to_owned(),
            known: names().collect::<Vec<_>>().join(", "),
            nearest: nearest.map_or_else(String::new, |near| format!("; did you mean {near:?}?")),
        });
    };
    (entry.make)(parameters)
        .map_err(|error| PolicyError::Parameters { name: name.to_owned(), why: error.message().to_owned() })
}

/// A parameter that a policy does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadParameter {
    /// Its name.
    pub name: String,
    /// What is wrong with it, in one sentence.
    pub why: String,
    /// The parameters that the policy has, if it has none of this name.
    pub known: Vec<String>,
}

/// Everything that is wrong with the parameters of a policy: each is tried alone. Of a policy that does not exist nothing is wrong; that is
/// [`make`]'s to say.
#[must_use]
pub fn check(policy: &str, parameters: &toml::Table) -> Vec<BadParameter> {
    let Some(entry) = POLICIES.iter().find(|entry| entry.name == policy) else { return Vec::new() };
    let alone = |(name, value): (&String, &toml::Value)| {
        let one = [(name.clone(), value.clone())].into_iter().collect();
        let error = (entry.make)(&one).err()?;
        let said = error.message();
        // serde says which fields there are, each between backticks.
        let unknown = said.starts_with("unknown field");
        let known = said.split('`').skip(3).step_by(2).filter(|_| unknown).map(str::to_owned);
        let why =
            if unknown { format!("policy {policy:?} has no parameter `{name}`") } else { said.to_owned() };
        Some(BadParameter { name: name.clone(), why, known: known.collect() })
    };
    parameters.iter().filter_map(alone).collect()
}

/// A policy with a configuration of these parameters.
fn made<C, P>(parameters: &toml::Table, new: impl FnOnce(C) -> P) -> Result<Made, toml::de::Error>
where
    C: DeserializeOwned + Serialize + Default,
    P: Policy + 'static,
{
    let configuration: C = read(parameters)?;
    let parameters = toml::Table::try_from(&configuration).unwrap_or_default();
    Ok(Made { policy: Box::new(new(configuration)), parameters })
}

/// A policy's configuration of the parameters that a user wrote. The policy's own defaults tell what each of them is: a time is
/// a text
/// such as "300s" or a number of seconds, a size a text such as "64MB", and what is a whole number is given as one.
fn read<T: DeserializeOwned + Serialize + Default>(parameters: &toml::Table) -> Result<T, toml::de::Error> {
    let defaults = toml::Table::try_from(T::default()).unwrap_or_default();
    let typed = parameters.iter().map(|(name, value)| {
        let typed = typed(name, value, defaults.get(name))?;
        in_range(name, value, &typed, defaults.get(name))?;
        Ok((name.clone(), typed))
    });
    typed.collect::<Result<toml::Table, toml::de::Error>>()?.try_into()
}

/// Parameters that are a part of a whole, by their policies' documentation, so that 1 is the most.
const PARTS: [&str; 22] = [
    "balloon_limit",
    "critical",
    "dead_zone",
    "evenness",
    "fast_gain",
    "guest_available",
    "guest_free",
    "hard",
    "high",
    "host_goal",
    "least_change",
    "low",
    "margin",
    "medium",
    "miss_ratio",
    "most_change",
    "most_probe",
    "parent_share",
    "pressure_threshold",
    "slow_gain",
    "soft",
    "tax",
];

/// Endings of parameters that are the time between what is done again and again.
const AGAIN: [&str; 4] = ["interval", "period", "poll", "tick"];

/// Every number is an amount, so none is below 0; a part ends at 1; and what is done again and again has a time between.
fn in_range(
    name: &str,
    value: &toml::Value,
    typed: &toml::Value,
    default: Option<&toml::Value>,
) -> Result<(), toml::de::Error> {
    use toml::Value;
    let number = match typed {
        Value::Integer(number) => *number as f64,
        Value::Float(number) => *number,
        // A time, which is never below 0.
        Value::Table(parts) if parts.values().all(|part| part.as_integer() == Some(0)) => 0.0,
        _ => return Ok(()),
    };
    let what = if !number.is_finite() || number < 0.0 {
        "it is a finite number, 0 or more"
    } else if PARTS.contains(&name) && number > 1.0 {
        "it is a part, from 0 to 1"
    } else if AGAIN.iter().any(|word| name.ends_with(word)) && number == 0.0 {
        "it is a time above 0"
    } else {
        return Ok(());
    };
    let published = match default {
        Some(default @ (Value::Float(_) | Value::Integer(_))) => format!(" (published: {default})"),
        _ => String::new(),
    };
    Err(toml::de::Error::custom(format!("`{name} = {value}` is out of range: {what}{published}")))
}

fn typed(
    name: &str,
    value: &toml::Value,
    default: Option<&toml::Value>,
) -> Result<toml::Value, toml::de::Error> {
    use toml::Value;
    let wrong = |what: &str| toml::de::Error::custom(format!("`{name} = {value}` is not {what}"));
    let time = |value: &Value| match value {
        Value::String(text) => quantities::parse_duration(text).ok(),
        Value::Float(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
        Value::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
        _ => None,
    };
    match (value, default) {
        (value, Some(Value::Table(parts))) if parts.contains_key("secs") => {
            let time = time(value).ok_or_else(|| wrong("a time such as \"300s\""))?;
            let parts = [("secs", time.as_secs() as i64), ("nanos", i64::from(time.subsec_nanos()))];
            let parts = parts.map(|(part, number)| (part.to_owned(), Value::Integer(number)));
            Ok(Value::Table(parts.into_iter().collect()))
        }
        // A number in the configuration; a text that is a time means its seconds.
        (Value::String(_), Some(Value::Float(_))) => time(value)
            .map(|time| Value::Float(time.as_secs_f64()))
            .ok_or_else(|| wrong("a number, or a time such as \"300s\"")),
        (Value::String(text), Some(Value::Integer(_))) => {
            let size = quantities::parse_size(text)
                .map_err(|_| wrong("a whole number, or a size such as \"64MB\""))?;
            Ok(Value::Integer(size.get() as i64))
        }
        (Value::Float(number), Some(Value::Integer(_))) if number.fract() == 0.0 && number.abs() < 1e15 => {
            Ok(Value::Integer(*number as i64))
        }
        _ => Ok(value.clone()),
    }
}

/// For a policy without parameters.
fn nothing(parameters: &toml::Table) -> Result<(), toml::de::Error> {
    #[derive(Default, serde::Deserialize, serde::Serialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    read::<Nothing>(parameters).map(|Nothing {}| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_made_by_its_name() {
        for entry in POLICIES {
            let policy = make(entry.name, &toml::Table::new()).unwrap();
            assert_eq!(policy.name(), entry.name);
        }
    }

    #[test]
    fn an_unknown_policy_is_told_the_nearest() {
        let error = make("hyperw", &toml::Table::new()).err().unwrap().to_string();
        assert!(error.contains("did you mean \"hyperv\"?"), "{error}");
    }

    #[test]
    fn parameters_are_written_as_times_sizes_and_numbers() {
        let write = |text: &str| toml::from_str::<toml::Table>(text).unwrap();
        for text in ["hold = \"200s\"\nhalf_width = 3.0\nweights = false", "hold = 200.0"] {
            make("hyperv", &write(text)).unwrap();
        }
        make("proxmox", &write("step_limit = \"50MB\"\ninterval = \"5s\"\nsmallest_goal = 256.0")).unwrap();
        for (policy, text, complaint) in [
            ("hyperv", "hold = \"soon\"", "`hold = \"soon\"` is not a"),
            ("proxmox", "interval = \"soon\"", "`interval = \"soon\"` is not a time"),
            ("proxmox", "interval = -1.0", "`interval = -1.0` is not a time"),
            ("proxmox", "step_limit = \"much\"", "`step_limit = \"much\"` is not a whole number, or a size"),
        ] {
            let error = make(policy, &write(text)).err().unwrap().to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }

    #[test]
    fn a_parameter_out_of_range_is_refused() {
        for (policy, text, complaint) in [
            (
                "hyperv",
                "half_width = -1.0",
                "`half_width = -1.0` is out of range: it is a finite number, 0 or more (published: 2.0)",
            ),
            ("hyperv", "half_width = nan", "is out of range"),
            ("predictive-band", "comfort = inf", "is out of range"),
            (
                "proxmox",
                "step_limit = -5",
                "`step_limit = -5` is out of range: it is a finite number, 0 or more",
            ),
            ("esx", "tax = 1.5", "`tax = 1.5` is out of range: it is a part, from 0 to 1 (published: 0.75)"),
            ("senpai", "tick = 0", "`tick = 0` is out of range: it is a time above 0"),
            ("proxmox", "interval = \"0s\"", "`interval = \"0s\"` is out of range: it is a time above 0"),
        ] {
            let parameters: toml::Table = toml::from_str(text).unwrap();
            let error = make(policy, &parameters).err().unwrap().to_string();
            assert!(error.contains(complaint), "{error}");
            assert_eq!(check(policy, &parameters).len(), 1);
        }
        make("hyperv", &toml::from_str("half_width = 0.0\nhold = \"0s\"").unwrap()).unwrap();
        make("esx", &toml::from_str("tax = 1.0").unwrap()).unwrap();
    }

    #[test]
    fn what_is_called_a_part_is_a_parameter_that_is_one() {
        let all: Vec<toml::Table> = names().map(|name| defaults(name).unwrap()).collect();
        for part in PARTS {
            let mut published = all.iter().filter_map(|parameters| parameters.get(part)).peekable();
            assert!(published.peek().is_some(), "{part}");
            assert!(published.all(|value| value.as_float().is_some_and(|value| value <= 1.0)), "{part}");
        }
    }

    #[test]
    fn everything_that_is_wrong_with_parameters_is_told() {
        let parameters = toml::from_str("half_with = 3.0\nhold = \"soon\"\nweights = false").unwrap();
        let wrong = check("hyperv", &parameters);
        let [half_width, hold] = &wrong[..] else { panic!("{wrong:?}") };
        assert_eq!((half_width.name.as_str(), hold.name.as_str()), ("half_with", "hold"));
        assert_eq!(half_width.why, "policy \"hyperv\" has no parameter `half_with`");
        assert!(half_width.known.iter().any(|known| known == "half_width"), "{half_width:?}");
        assert!(hold.why.contains("is not a") && hold.known.is_empty(), "{hold:?}");
        assert_eq!(check("static", &parameters).len(), 3);
        assert_eq!(check("there-is-none", &parameters), []);
    }

    #[test]
    fn defaults_are_what_a_user_may_write() {
        for name in names() {
            let defaults = defaults(name).unwrap();
            make(name, &defaults).unwrap_or_else(|error| panic!("{error}"));
        }
        assert_eq!(defaults("predictive-band").unwrap()["hold"].as_str(), Some("1m40s"));
        assert!(defaults("static").unwrap().is_empty());
        assert!(defaults("hyperw").is_err());
    }

    #[test]
    fn a_parameter_has_its_effect() {
        let hold: memory_balancer::hyperv::HyperVConfig =
            read(&toml::from_str("hold = \"1m\"").unwrap()).unwrap();
        assert_eq!(hold.hold, Duration::from_secs(60));
    }

    #[test]
    fn an_unknown_parameter_is_refused() {
        let parameters: toml::Table = toml::from_str("half_with = 3.0").unwrap();
        for name in names() {
            let error = make(name, &parameters).err().unwrap().to_string();
            assert!(error.contains("half_with"), "{error}");
        }
    }
}
