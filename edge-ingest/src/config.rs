//! The Worker's configuration: variables and secrets, all of them optional but the two that say whom to notify and how
//! to sign. Documented in the README.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use spillway_proto::otlp::DecompressLimits;
use spillway_proto::signature::MIN_KEY_BYTES;

use crate::mesh::retry::RetryPolicy;

/// What the edge is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// `MAX_BODY_BYTES`: the largest body as sent. Default 8 MiB: an isolate has 128 MB for all of its requests.
    pub max_body_bytes: usize,
    /// `MAX_DECOMPRESSED_BYTES` (default 16 MiB) and `MAX_DECOMPRESSION_RATIO` (default 100).
    pub decompress: DecompressLimits,
    /// `ALLOW_KEY_IN_QUERY`: whether `?key=` is looked at. Default false, since URLs are logged along the way.
    pub allow_key_in_query: bool,
    /// How the origin is notified.
    pub notify: NotifyConfig,
}

/// How the origin is notified.
#[derive(Debug, Clone)]
pub struct NotifyConfig {
    /// `NOTIFY_URL`: where the origin takes notifications. Required.
    pub url: String,
    /// `NOTIFY_SIGNING_KEY`: the secret that it verifies them with, 32 bytes or more. Required.
    pub signing_key: SigningKey,
    /// `NOTIFY_TIMEOUT_MS`: the time that one try may take. Default 5000, at most 10000.
    pub timeout: Duration,
    /// `NOTIFY_ATTEMPTS` (default 3, at most 10), `NOTIFY_BACKOFF_MS` (100), `NOTIFY_BACKOFF_CAP_MS` (2000).
    pub retry: RetryPolicy,
}

/// A secret that does not print itself.
#[derive(Clone)]
pub struct SigningKey(String);

impl SigningKey {
    /// The secret's bytes.
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

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

impl Config {
    /// Reads the configuration; `variable` looks a variable or secret up by its name.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let vars = Variables(variable);
        Ok(Self {
            max_body_bytes: vars.number("MAX_BODY_BYTES", 8 << 20, 1, 100 << 20)?,
            decompress: DecompressLimits {
                max_bytes: vars.number("MAX_DECOMPRESSED_BYTES", 16 << 20, 1, 100 << 20)?,
                max_ratio: vars.number("MAX_DECOMPRESSION_RATIO", 100, 1, 1032)?,
            },
            allow_key_in_query: vars.boolean("ALLOW_KEY_IN_QUERY", false)?,
            notify: NotifyConfig {
                url: vars.url("NOTIFY_URL")?,
                signing_key: vars.signing_key("NOTIFY_SIGNING_KEY")?,
                timeout: Duration::from_millis(vars.number("NOTIFY_TIMEOUT_MS", 5_000, 1, 10_000)?),
                retry: RetryPolicy {
                    attempts: vars.number("NOTIFY_ATTEMPTS", 3, 1, 10)?,
                    base: Duration::from_millis(vars.number("NOTIFY_BACKOFF_MS", 100, 1, 10_000)?),
                    cap: Duration::from_millis(vars.number("NOTIFY_BACKOFF_CAP_MS", 2_000, 1, 10_000)?),
                },
            },
        })
    }
}

struct Variables<F>(F);

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    fn number<N>(&self, variable: &'static str, default: N, min: N, max: N) -> Result<N, ConfigError>
    where
        N: FromStr + PartialOrd + fmt::Display,
    {
        let Some(found) = (self.0)(variable) else { return Ok(default) };
        match found.parse() {
            Ok(number) if (&min..=&max).contains(&&number) => Ok(number),
            _ => Err(ConfigError {
                variable,
                expected: format!("a number from {min} to {max}"),
                found: quoted(&found),
            }),
        }
    }

    fn boolean(&self, variable: &'static str, default: bool) -> Result<bool, ConfigError> {
        let Some(found) = (self.0)(variable) else { return Ok(default) };
        let expected = || "true or false".to_owned();
        found.parse().map_err(|_| ConfigError { variable, expected: expected(), found: quoted(&found) })
    }

    fn url(&self, variable: &'static str) -> Result<String, ConfigError> {
        let found = (self.0)(variable);
        match found {
            Some(url) if is_http_url(&url) => Ok(url),
            _ => {
                let found = found.as_deref().map_or_else(|| "missing".to_owned(), quoted);
                Err(ConfigError { variable, expected: "an http or https URL".to_owned(), found })
            }
        }
    }

    fn signing_key(&self, variable: &'static str) -> Result<SigningKey, ConfigError> {
        let found = (self.0)(variable);
        match found {
            Some(key) if key.len() >= MIN_KEY_BYTES => Ok(SigningKey(key)),
            _ => Err(ConfigError {
                variable,
                expected: format!("a secret of {MIN_KEY_BYTES} bytes or more"),
                found: found.map_or_else(|| "missing".to_owned(), |key| format!("{} bytes long", key.len())),
            }),
        }
    }
}

fn is_http_url(url: &str) -> bool {
    url.parse::<http::Uri>()
        .is_ok_and(|uri| uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")))
}

fn quoted(value: &str) -> String {
    format!("`{value}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let required = [
            ("NOTIFY_URL", "https://o.example/v1/traces"),
            ("NOTIFY_SIGNING_KEY", "0123456789abcdef0123456789abcdef"),
        ];
        Config::read(|name| {
            vars.iter()
                .chain(&required)
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn two_variables_suffice() {
        let config = read(&[]).unwrap();
        assert_eq!(config.max_body_bytes, 8 << 20);
        assert!(!config.allow_key_in_query);
    }

    #[test]
    fn errors_name_variable_and_value() {
        for (name, value) in [
            ("MAX_BODY_BYTES", "-1"),
            ("MAX_BODY_BYTES", "0"),
            ("NOTIFY_TIMEOUT_MS", "10001"),
            ("ALLOW_KEY_IN_QUERY", "yes"),
            ("NOTIFY_URL", "/v1/traces"),
            ("NOTIFY_URL", "localhost:8080"),
            ("NOTIFY_URL", "ftp://o.example"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }

    #[test]
    fn the_signing_key_is_never_shown() {
        let error = read(&[("NOTIFY_SIGNING_KEY", "too-short")]).unwrap_err().to_string();
        assert!(error.contains("9 bytes long") && !error.contains("too-short"), "{error}");
        assert!(!format!("{:?}", read(&[]).unwrap()).contains("0123456789abcdef"));
    }
}
