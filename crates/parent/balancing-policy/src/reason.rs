//! Why a target is what it is, for programs to read.

use core::fmt;

/// How many inputs a [`Reason`] can name.
pub const MAX_INPUTS: usize = 6;

/// The rule that decided, and the numbers it decided by.
///
/// Names are in `kebab-case` for rules, and in `snake_case` with the unit at their end for inputs (`demand_mib`,
/// `pressure_percent`, `waited_seconds`). A reason is made without allocating.
#[derive(Clone, Copy, PartialEq)]
pub struct Reason {
    rule: &'static str,
    inputs: [(&'static str, f64); MAX_INPUTS],
    count: usize,
}

impl Reason {
    /// A rule without inputs.
    #[must_use]
    pub const fn new(rule: &'static str) -> Self {
        Self { rule, inputs: [("", 0.0); MAX_INPUTS], count: 0 }
    }

    /// The same with one more input. Beyond [`MAX_INPUTS`] inputs it is left out.
    #[must_use]
    pub const fn with(mut self, name: &'static str, value: f64) -> Self {
        if self.count < MAX_INPUTS {
            self.inputs[self.count] = (name, value);
            self.count += 1;
        }
        self
    }

    /// The rule that decided.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        self.rule
    }

    /// What it decided by, in the order given.
    #[must_use]
    pub fn inputs(&self) -> &[(&'static str, f64)] {
        &self.inputs[..self.count]
    }

    /// The value of one input.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<f64> {
        self.inputs().iter().find_map(|&(input, value)| (input == name).then_some(value))
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `surplus: demand_mib=414, pressure_percent=80.9`
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule)?;
        for (n, (name, value)) in self.inputs().iter().enumerate() {
            write!(f, "{}{name}=", if n == 0 { ": " } else { ", " })?;
            // At most three decimals, and none that says nothing.
            let digits = format!("{value:.3}");
            let digits = if digits.contains('.') {
                digits.trim_end_matches('0').trim_end_matches('.')
            } else {
                &digits
            };
            f.write_str(digits)?;
        }
        Ok(())
    }
}

/// As a map: `{"rule": "surplus", "demand_mib": 414.0, …}`.
#[cfg(feature = "serde")]
impl serde::Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;

        let mut map = serializer.serialize_map(Some(self.count + 1))?;
        map.serialize_entry("rule", self.rule)?;
        for (name, value) in self.inputs() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_serializes() {
        let reason = Reason::new("surplus").with("demand_mib", 414.0).with("pressure_percent", 80.859_375);
        assert_eq!(reason.to_string(), "surplus: demand_mib=414, pressure_percent=80.859");
        assert_eq!(reason.input("demand_mib"), Some(414.0));
        assert_eq!(reason.input("weight"), None);
        assert_eq!(
            serde_json::to_string(&reason).unwrap(),
            r#"{"rule":"surplus","demand_mib":414.0,"pressure_percent":80.859375}"#
        );
        assert_eq!(Reason::new("hold").to_string(), "hold");
    }

    #[test]
    fn too_many_inputs_are_left_out() {
        let reason = (0..9).fold(Reason::new("rule"), |reason, n| reason.with("input", f64::from(n)));
        assert_eq!(reason.inputs().len(), MAX_INPUTS);
        assert_eq!(reason.inputs().last(), Some(&("input", 5.0)));
    }
}
