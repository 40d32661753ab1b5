//! What a client has sent, as far as an answer repeats it.

use std::fmt;

/// The most characters that are repeated.
const MAX_CHARS: usize = 100;

/// The beginning of a header's value, in printable ASCII. Never made of a header that may hold a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// Keeps as much of `value` as may be repeated.
    pub fn of(value: &str) -> Self {
        let is_fit = |char: char| char == ' ' || (char.is_ascii_graphic() && char != '`');
        let mut shown: String =
            value.chars().take(MAX_CHARS).map(|char| if is_fit(char) { char } else { '?' }).collect();
        if value.chars().nth(MAX_CHARS).is_some() {
            shown.push_str("...");
        }
        Self(shown)
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            "" => f.write_str("missing"),
            shown => write!(f, "`{shown}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_beginning_is_repeated_in_printable_ascii() {
        assert_eq!(Shown::of("").to_string(), "missing");
        assert_eq!(Shown::of("text/plain").to_string(), "`text/plain`");
        assert_eq!(Shown::of("a\u{7f}`\tü").to_string(), "`a????`");
        assert_eq!(Shown::of(&"x".repeat(100)).to_string().len(), 102);
        assert_eq!(Shown::of(&"x".repeat(50_000)).to_string(), format!("`{}...`", "x".repeat(100)));
    }
}
