//! `[queue]`

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::QueueError;
use crate::config::{ConfigError, in_range, wrong};

const SQLITE: &str = "sqlite:";
const MEMORY: &str = "sqlite::memory:";

/// Where the queue lies and what it takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// `sqlite:PATH` for a file of this machine, which is made where it is missing; or
    /// `postgres://USER:PASSWORD@HOST/DATABASE` for a database that several machines share. Add `?sslmode=require` where
    /// the way there is not trusted.
    pub url: SecretString,
    /// Connections that write side by side; SQLite has one.
    pub connections: usize,
    /// Two objects with the same body and tenant that were received within this many seconds are one: an exporter's
    /// resend after a lost answer. 0 stores both.
    pub resend_window_seconds: u64,
    /// Objects that may wait. While there are more, notifications are answered 503, and the sweep waits; they lie in R2.
    pub max_pending: u64,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            url: "sqlite:spillway-queue.sqlite".into(),
            connections: 4,
            resend_window_seconds: 24 * 60 * 60,
            max_pending: 1_000_000,
        }
    }
}

/// What a URL names.
pub(super) enum Place<'u> {
    File(PathBuf),
    Memory,
    Postgres(&'u str),
}

impl QueueConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.place().is_err() {
            let expected = "sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE";
            return Err(wrong("queue.url", expected, "something else"));
        }
        in_range("queue.connections", self.connections, 1..=64)?;
        in_range("queue.resend_window_seconds", self.resend_window_seconds, 0..=31 * 86_400)?;
        in_range("queue.max_pending", self.max_pending, 1..=100_000_000)
    }

    pub(super) fn in_memory(resend_window_seconds: u64) -> Self {
        Self { url: MEMORY.into(), resend_window_seconds, max_pending: u64::MAX, ..Self::default() }
    }

    /// The configured store in words for people, without the password.
    pub fn shown(&self) -> String {
        match self.place() {
            Ok(Place::File(path)) => path.display().to_string(),
            Ok(Place::Memory) => "memory".to_owned(),
            Ok(Place::Postgres(url)) => {
                let (_, rest) = url.split_once("://").unwrap_or_default();
                let host = rest.rsplit('@').next().unwrap_or_default();
                format!("postgres://{}", host.split('?').next().unwrap_or_default())
            }
            Err(_) => "an unreadable URL".to_owned(),
        }
    }

    /// Whether it is to be a file, and there is none.
    pub fn is_missing_file(&self) -> bool {
        matches!(self.place(), Ok(Place::File(path)) if !path.exists())
    }

    pub(super) fn place(&self) -> Result<Place<'_>, QueueError> {
        let url = self.url.expose_secret();
        if url == MEMORY {
            return Ok(Place::Memory);
        }
        if let Some(path) = url.strip_prefix(SQLITE) {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err(QueueError::Url)
            } else {
                Ok(Place::File(Path::new(path).into()))
            };
        }
        let known = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        if known && url.parse::<postgres::Config>().is_ok() {
            Ok(Place::Postgres(url))
        } else {
            Err(QueueError::Url)
        }
    }
}
