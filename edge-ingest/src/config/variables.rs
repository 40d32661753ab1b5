//! Reading variables and secrets, with errors that name them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use spillway_proto::signature::MIN_KEY_BYTES;

use super::SigningKey;

/// A variable is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} must be {expected}, and is {found}")]
pub struct ConfigError {
    /// Which.
    pub variable: &'static str,
    /// What would be right.
    pub expected: String,
    /// What it is; a secret is not shown.
    pub found: String,
}

/// Looks variables up by their names.
pub(super) struct Variables<F>(pub(super) F);

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    /// What the variable holds; an empty one is as good as none.
    pub(super) fn text(&self, variable: &'static str) -> Option<String> {
        (self.0)(variable).filter(|text| !text.is_empty())
    }

    pub(super) fn number<N>(
        &self,
        variable: &'static str,
        default: N,
        min: N,
        max: N,
    ) -> Result<N, ConfigError>
    where
        N: FromStr + PartialOrd + fmt::Display,
    {
        let Some(found) = self.text(variable) else { return Ok(default) };
        match found.parse() {
            Ok(number) if (&min..=&max).contains(&&number) => Ok(number),
            _ => Err(wrong(variable, format!("a number from {min} to {max}"), &found)),
        }
    }

    pub(super) fn millis(
        &self,
        variable: &'static str,
        default: u64,
        min: u64,
        max: u64,
    ) -> Result<Duration, ConfigError> {
        self.number(variable, default, min, max).map(Duration::from_millis)
    }

    pub(super) fn seconds(
        &self,
        variable: &'static str,
        default: u64,
        min: u64,
        max: u64,
    ) -> Result<Duration, ConfigError> {
        self.number(variable, default, min, max).map(Duration::from_secs)
    }

    /// One of `choices`; the first one where the variable is not there.
    pub(super) fn choice<T: Copy>(
        &self,
        variable: &'static str,
        choices: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        let found = self.text(variable);
        let name = found.as_deref().unwrap_or(choices[0].0);
        let chosen = choices.iter().find(|(known, _)| *known == name).map(|(_, choice)| *choice);
        chosen.ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            wrong(variable, names.join(" or "), name)
        })
    }

    pub(super) fn boolean(&self, variable: &'static str) -> Result<bool, ConfigError> {
        self.choice(variable, &[("false", false), ("true", true)])
    }

    pub(super) fn url(&self, variable: &'static str) -> Result<String, ConfigError> {
        match self.text(variable) {
            Some(url) if is_http_url(&url) => Ok(url),
            Some(found) => Err(wrong(variable, "an http or https URL".to_owned(), &found)),
            None => Err(missing(variable, "an http or https URL".to_owned())),
        }
    }

    pub(super) fn signing_key(&self, variable: &'static str) -> Result<SigningKey, ConfigError> {
        let expected = || format!("a secret of {MIN_KEY_BYTES} bytes or more");
        match self.text(variable) {
            Some(key) if key.len() >= MIN_KEY_BYTES => Ok(SigningKey::new(key)),
            Some(key) => {
                let found = format!("{} bytes long", key.len());
                Err(ConfigError { variable, expected: expected(), found })
            }
            None => Err(missing(variable, expected())),
        }
    }
}

/// The variable holds something that cannot be right.
pub(super) fn wrong(variable: &'static str, expected: String, found: &str) -> ConfigError {
    ConfigError { variable, expected, found: format!("`{found}`") }
}

fn missing(variable: &'static str, expected: String) -> ConfigError {
    ConfigError { variable, expected, found: "missing".to_owned() }
}

fn is_http_url(url: &str) -> bool {
    url.parse::<http::Uri>()
        .is_ok_and(|uri| uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")))
}
