//! The configuration: a TOML file, over it the environment, checked before anything starts.
//!
//! `SPILLWAY_CLICKHOUSE__URL` is `url` of `[clickhouse]`: the prefix, then the path with two underscores between its
//! parts. An unknown name is an error, in the file and, behind a known section, in the environment.

use std::path::Path;

use figment::Figment;
use figment::error::Kind;
use figment::providers::{Env, Format, Toml};
use serde::Deserialize;

use crate::audit::AuditConfig;
use crate::clickhouse::ClickHouseConfig;
use crate::cloudflare::CloudflareConfig;
use crate::consume::ConsumerConfig;
use crate::http::HttpConfig;
use crate::intake::NotifyConfig;
use crate::keys::EdgeConfig;
use crate::objects::S3Config;
use crate::queue::QueueConfig;
use crate::queue_pull::QueuePullConfig;
use crate::sweep::SweepConfig;
use crate::telemetry::TelemetryConfig;

/// What the names of the environment's variables begin with.
const PREFIX: &str = "SPILLWAY_";

/// Everything that the commands are told. Each part lives beside what it configures.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `[http]`
    pub http: HttpConfig,
    /// `[notify]`
    pub notify: NotifyConfig,
    /// `[queue_pull]`
    pub queue_pull: QueuePullConfig,
    /// `[queue]`
    pub queue: QueueConfig,
    /// `[s3]`
    pub s3: S3Config,
    /// `[clickhouse]`
    pub clickhouse: ClickHouseConfig,
    /// `[sweep]`
    pub sweep: SweepConfig,
    /// `[consumer]`
    pub consumer: ConsumerConfig,
    /// `[audit]`
    pub audit: AuditConfig,
    /// `[telemetry]`
    pub telemetry: TelemetryConfig,
    /// `[cloudflare]`
    pub cloudflare: CloudflareConfig,
    /// `[edge]`
    pub edge: EdgeConfig,
}

/// The configuration is missing something, or holds something wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read the configuration file {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no TOML.
    #[error("{path}, line {line}: {problem}")]
    Syntax {
        /// Which file.
        path: String,
        /// Where, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// Not what the fields are: of another type, or of an unknown name.
    #[error("{field}: {problem}")]
    Shape {
        /// Its path; that of its section where the name is unknown.
        field: String,
        /// What would be right.
        problem: String,
    },
    /// A field's value cannot be right.
    #[error("{field} must be {expected}, and is {found}")]
    Value {
        /// Its path, such as `clickhouse.url`.
        field: &'static str,
        /// What would be right.
        expected: String,
        /// What it is; secrets are not shown.
        found: String,
    },
}

/// What is wrong, without the value: it may be a secret.
fn shape(error: &figment::Error) -> ConfigError {
    let problem = match &error.kind {
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => format!("must be {expected}"),
        Kind::InvalidLength(_, expected) => format!("must have {expected}"),
        Kind::UnknownField(_, known) => format!("there is no such field; there are {}", known.join(", ")),
        other => other.to_string(),
    };
    ConfigError::Shape { field: error.path.join(".").to_lowercase(), problem }
}

/// The file's text, if it is TOML. The error shows no line of it.
fn read(path: &Path) -> Result<String, ConfigError> {
    let shown = || path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: shown(), source })?;
    match toml::from_str::<toml::Table>(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Err(ConfigError::Syntax { path: shown(), line, problem: error.message().to_owned() })
        }
    }
}

/// Names of fields that hold text: their values in the environment are taken as they are, where others are read as numbers
/// or lists.
const TEXTS: [&str; 23] = [
    "access_key_id",
    "account_id",
    "api_key",
    "api_token",
    "api_url",
    "bucket",
    "database",
    "doctor_token",
    "endpoint",
    "kv_namespace_id",
    "listen",
    "notify_url",
    "own_tenant",
    "password",
    "queue_id",
    "region",
    "secret_access_key",
    "table",
    "url",
    "user",
    "worker",
    "zone_id",
    "zone_name",
];

/// Whether a variable's name, less its prefix, is that of a field. Names without the double underscore belong to somebody
/// else, such as the local stack's exports.
fn is_field(name: &str) -> bool {
    name.contains("__")
}

fn is_text(name: &str) -> bool {
    let field = name.rsplit("__").next().unwrap_or_default().to_lowercase();
    TEXTS.contains(&field.as_str())
}

/// For a field whose value cannot be right.
pub(crate) fn wrong(
    field: &'static str,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> ConfigError {
    ConfigError::Value { field, expected: expected.into(), found: found.into() }
}

/// For a number outside of its range.
pub(crate) fn in_range<N>(
    field: &'static str,
    value: N,
    range: std::ops::RangeInclusive<N>,
) -> Result<(), ConfigError>
where
    N: PartialOrd + std::fmt::Display,
{
    if range.contains(&value) {
        return Ok(());
    }
    Err(wrong(field, format!("between {} and {}", range.start(), range.end()), value.to_string()))
}

/// For a URL of http or https with a host.
pub(crate) fn is_url(field: &'static str, value: &str) -> Result<(), ConfigError> {
    if value.contains('@') {
        // Logs show URLs.
        return Err(wrong(
            field,
            "an http or https URL without a user and a password",
            "one that holds them",
        ));
    }
    let uri = value.parse::<axum::http::Uri>().ok();
    let good =
        uri.is_some_and(|uri| uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")));
    if good { Ok(()) } else { Err(wrong(field, "an http or https URL", shown(value))) }
}

/// A value as an error may show it.
fn shown(value: &str) -> String {
    if value.is_empty() { "missing".to_owned() } else { format!("`{value}`") }
}

/// For a text that must be there.
pub(crate) fn is_set(field: &'static str, value: &str) -> Result<(), ConfigError> {
    if value.is_empty() { Err(wrong(field, "set", "missing")) } else { Ok(()) }
}

/// For an id as Cloudflare gives them out; a name is none.
pub(crate) fn is_id(field: &'static str, value: &str) -> Result<(), ConfigError> {
    if value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(wrong(field, "an id of 32 hex digits", shown(value)))
}

impl Config {
    /// Reads the file, if there is one, and the environment.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some(path) = file {
            figment = figment.merge(Toml::string(&read(path)?));
        }
        let environment =
            Env::prefixed(PREFIX).filter(|name| is_field(name.as_str()) && !is_text(name.as_str()));
        figment = figment.merge(environment.split("__"));
        for (name, value) in std::env::vars() {
            let Some(name) = name.strip_prefix(PREFIX).filter(|name| is_field(name) && is_text(name)) else {
                continue;
            };
            figment = figment.merge((name.to_lowercase().replace("__", "."), value));
        }
        figment.extract().map_err(|error| shape(&error))
    }

    /// Whether ClickHouse can be reached with it, as far as the values tell.
    pub fn check_clickhouse(&self) -> Result<(), ConfigError> {
        self.clickhouse.check()
    }

    /// Whether the consumer can run with it.
    pub fn check_consumer(&self) -> Result<(), ConfigError> {
        self.clickhouse.check()?;
        self.s3.check()?;
        self.consumer.check()?;
        self.check_ledger()?;
        self.audit.check(&self.sweep)?;
        self.telemetry.check()
    }

    /// Whether the ledger can be read with it.
    pub fn check_ledger(&self) -> Result<(), ConfigError> {
        self.queue.check()?;
        self.sweep.check()
    }

    /// Whether the bucket can be reached with it, as far as the values tell.
    pub fn check_bucket(&self) -> Result<(), ConfigError> {
        self.s3.check()
    }

    /// Whether the origin can run with it.
    pub fn check_origin(&self) -> Result<(), ConfigError> {
        self.http.check()?;
        self.notify.check()?;
        self.queue_pull.check(&self.cloudflare)?;
        self.telemetry.check()
    }

    /// Whether keys can be managed with it.
    pub fn check_keys(&self) -> Result<(), ConfigError> {
        self.cloudflare.check_kv()
    }

    /// Whether the edge can be asked for usage with it.
    pub fn check_usage(&self) -> Result<(), ConfigError> {
        self.edge.check()?;
        self.notify.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(toml: &str) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), toml).unwrap();
        let config = Config::load(Some(file.path()))?;
        config.check_origin()?;
        config.check_consumer()?;
        Ok(config)
    }

    const GOOD: &str = r#"
        [notify]
        signing_keys = ["0123456789abcdef0123456789abcdef"]
        [s3]
        endpoint = "https://account.example"
        access_key_id = "id"
        secret_access_key = "a very secret value"
        [clickhouse]
        url = "http://localhost:8123"
        password = "another secret"
    "#;

    #[test]
    fn a_few_fields_suffice() {
        let config = load(GOOD).unwrap();
        assert_eq!(config.clickhouse.database, "spillway");
        assert_eq!(config.http.listen.port(), 8080);
    }

    #[test]
    fn errors_name_the_field() {
        for (from, to, named) in [
            ("[clickhouse]", "[clickhose]", "clickhose"),
            ("url =", "urll =", "urll"),
            ("url = \"http://localhost:8123\"", "url = 5", "clickhouse.url"),
            ("http://localhost:8123", "localhost", "clickhouse.url"),
            ("signing_keys = [\"0123456789abcdef0123456789abcdef\"]", "", "notify.signing_keys"),
            ("0123456789abcdef0123456789abcdef", "short", "notify.signing_keys"),
            ("access_key_id = \"id\"", "", "s3.access_key_id"),
            ("http://localhost:8123", "http://user:hunter2@localhost", "clickhouse.url"),
            ("\"another secret\"", "12345678", "clickhouse.password"),
            ("\"another secret\"", "\"hunter2", "line "),
            ("[\"0123456789abcdef0123456789abcdef\"]", "\"hunter2\"", "notify.signing_keys"),
            ("[clickhouse]", "[http]\nnotify_paths = [\"notify\"]\n[clickhouse]", "http.notify_paths"),
            ("[clickhouse]", "[http]\nnotify_paths = [\"/metrics\"]\n[clickhouse]", "http.notify_paths"),
            ("[clickhouse]", "[http]\nnotify_paths = [\"/a\", \"/a\"]\n[clickhouse]", "http.notify_paths"),
            ("[clickhouse]", "[consumer]\nworkers = 0\n[clickhouse]", "consumer.workers"),
            ("[clickhouse]", "[consumer]\nworkers = \"many\"\n[clickhouse]", "consumer.workers"),
        ] {
            let error = load(&GOOD.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(named), "{named}: {error}");
            for secret in ["hunter2", "12345678", "another secret", "0123456789abcdef"] {
                assert!(!error.contains(secret), "{secret}: {error}");
            }
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let shown = format!("{:?}", load(GOOD).unwrap());
        for secret in ["0123456789abcdef", "a very secret value", "another secret"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let error = load(&GOOD.replace("0123456789abcdef0123456789abcdef", "short-secret")).unwrap_err();
        assert!(!error.to_string().contains("short-secret"), "{error}");
    }

    #[test]
    fn the_example_names_every_field_with_its_default() {
        let example = include_str!("../../deploy/spillway.example.toml");
        let given: Config = Figment::from(Toml::string(example)).extract().unwrap();
        assert_eq!(format!("{given:?}"), format!("{:?}", Config::default()));
        let sections = [
            "http",
            "notify",
            "queue_pull",
            "queue",
            "s3",
            "sweep",
            "clickhouse",
            "consumer",
            "audit",
            "telemetry",
            "cloudflare",
            "edge",
        ];
        for section in sections {
            assert!(example.contains(&format!("[{section}]")), "{section}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let error = Config::load(Some(Path::new("/nowhere/spillway.toml"))).unwrap_err().to_string();
        assert!(error.contains("/nowhere/spillway.toml"), "{error}");
    }
}
