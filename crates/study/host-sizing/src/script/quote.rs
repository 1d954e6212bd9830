//! Text in single quotes, as PowerShell reads it.

/// Signs that PowerShell takes for a single quote (documented: about_Quoting_Rules, and the language specification).
pub(super) const QUOTES: [char; 5] = ['\'', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}'];

/// Signs that it takes for a double quote.
pub(super) const DOUBLE_QUOTES: [char; 4] = ['"', '\u{201c}', '\u{201d}', '\u{201e}'];

/// A text as PowerShell reads it as it stands.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("'");
    for letter in text.chars() {
        quoted.push(letter);
        if QUOTES.contains(&letter) {
            quoted.push(letter);
        }
    }
    quoted.push('\'');
    quoted
}
