//! Whether there are colours, and which.

use std::ffi::OsString;

/// Whether colours are wanted, by the variables of the environment and by whether a terminal shows them: `NO_COLOR` (no-color.org) forbids
/// colours, `CLICOLOR_FORCE` wants them anywhere, `CLICOLOR=0` nowhere (bixense.com/clicolors). An empty variable says nothing.
#[must_use]
pub fn wants_colour(variable: impl Fn(&str) -> Option<OsString>, terminal: bool) -> bool {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if set("NO_COLOR").is_some() {
        return false;
    }
    if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    terminal && set("CLICOLOR").is_none_or(|value| value != "0")
}

/// What text is coloured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Something failed, or was refused: red.
    Bad,
    /// Something to look at: yellow.
    Odd,
    /// Something is as it should be: green.
    Good,
}

impl Ink {
    /// The text between the sequences of ECMA-48 (SGR) for this colour and for the usual one.
    #[must_use]
    pub fn paint(self, text: &str) -> String {
        let number = match self {
            Self::Bad => 31,
            Self::Odd => 33,
            Self::Good => 32,
        };
        format!("\u{1b}[{number}m{text}\u{1b}[39m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_whether_there_are_colours() {
        let wants = |variables: &[(&str, &str)], terminal| {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            };
            wants_colour(variable, terminal)
        };
        assert!(wants(&[], true));
        assert!(!wants(&[], false));
        assert!(!wants(&[("NO_COLOR", "1")], true));
        assert!(wants(&[("NO_COLOR", "")], true));
        assert!(wants(&[("CLICOLOR_FORCE", "1")], false));
        assert!(!wants(&[("CLICOLOR_FORCE", "0")], false));
        assert!(!wants(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], true));
        assert!(!wants(&[("CLICOLOR", "0")], true));
    }
}
