//! How ClickHouse is spoken to: over HTTP, with the `clickhouse` crate, whatever serves it.

use clickhouse::Client;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::config::{ConfigError, is_set, is_url, wrong};

/// `[clickhouse]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClickHouseConfig {
    /// The HTTP interface, such as `http://localhost:8123`. Required.
    pub url: String,
    /// The database; `migrate` makes it where it is missing.
    pub database: String,
    /// The table that spans go to; `migrate` makes `otel_traces`.
    pub table: String,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: SecretString,
}

impl Default for ClickHouseConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            database: "spillway".to_owned(),
            table: "otel_traces".to_owned(),
            user: "default".to_owned(),
            password: SecretString::default(),
        }
    }
}

impl ClickHouseConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        is_url("clickhouse.url", &self.url)?;
        is_set("clickhouse.user", &self.user)?;
        is_identifier("clickhouse.database", &self.database)?;
        is_identifier("clickhouse.table", &self.table)
    }

    /// A client for the server, in no database.
    pub(crate) fn server(&self) -> Client {
        Client::default()
            .with_url(&self.url)
            .with_user(&self.user)
            .with_password(self.password.expose_secret())
            .with_product_info("spillway", env!("CARGO_PKG_VERSION"))
    }

    /// A client for the database.
    pub(crate) fn client(&self) -> Client {
        self.server().with_database(&self.database)
    }
}

fn is_identifier(field: &'static str, name: &str) -> Result<(), ConfigError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !name.is_empty() && name.bytes().all(legal) {
        return Ok(());
    }
    Err(wrong(field, "a name of letters, digits and underscores", format!("`{name}`")))
}
