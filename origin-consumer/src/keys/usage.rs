//! What a tenant has used, as the edge tells it ([`spillway_proto::usage`]).

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use spillway_proto::signature;
use spillway_proto::usage::{CONTENT_TYPE as USAGE, PATH, UsageReport, UsageRequest};

use crate::cloudflare::{ApiError, client, is_denied, printable, read};
use crate::config::{ConfigError, in_range, is_url};
use crate::retry;
use crate::time::now;

/// The largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// `[edge]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EdgeConfig {
    /// Where exporters send, without the path. Required by `keys show-usage`, and by the doctor's probe.
    pub url: String,
    /// For one request, in seconds.
    pub timeout_seconds: u64,
    /// The API key with which `doctor` sends its probe.
    pub api_key: SecretString,
    /// How long the doctor waits for its probe to arrive in ClickHouse, in seconds.
    pub probe_timeout_seconds: u64,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            timeout_seconds: 10,
            api_key: SecretString::default(),
            probe_timeout_seconds: 60,
        }
    }
}

impl EdgeConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        is_url("edge.url", &self.url)?;
        in_range("edge.timeout_seconds", self.timeout_seconds, 1..=120)?;
        in_range("edge.probe_timeout_seconds", self.probe_timeout_seconds, 1..=600)
    }
}

/// The edge did not tell.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// It refused.
    #[error("the edge at {url} answered {status}: {message}{}", hint(.status))]
    Refused {
        /// Whom it was asked of.
        url: String,
        /// The answer's status.
        status: StatusCode,
        /// What it says of it.
        message: String,
    },
    /// It gave no answer, or one that is too large.
    #[error("cannot ask the edge at {url}: {source}")]
    NoAnswer {
        /// Whom it was asked of.
        url: String,
        /// Why there is none.
        source: ApiError,
    },
    /// Its answer is not a report.
    #[error("what the edge at {url} answers is not what it should be: {source}")]
    Unreadable {
        /// Whom it was asked of.
        url: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

fn hint(status: &StatusCode) -> &'static str {
    match *status {
        status if is_denied(status) => {
            "; is its NOTIFY_SIGNING_KEY among notify.signing_keys, and is this machine's clock right?"
        }
        StatusCode::NOT_FOUND => "; is edge.url where exporters send?",
        _ => "",
    }
}

/// Asks the edge for a tenant's usage.
pub async fn ask(
    config: &EdgeConfig,
    signing_keys: &[SecretString],
    request: &UsageRequest,
) -> Result<UsageReport, UsageError> {
    ask_edge(config, signing_keys, PATH, USAGE, request).await
}

/// Asks the edge something, signing with the first key, and with the next where it does not believe that: one may be
/// replacing the other.
pub(crate) async fn ask_edge<T: DeserializeOwned>(
    config: &EdgeConfig,
    signing_keys: &[SecretString],
    path: &str,
    content_type: &str,
    request: &impl Serialize,
) -> Result<T, UsageError> {
    let url = format!("{}{path}", config.url.trim_end_matches('/'));
    let unreadable = |source| UsageError::Unreadable { url: url.clone(), source };
    let no_answer = |source| UsageError::NoAnswer { url: url.clone(), source };
    let client =
        client(Duration::from_secs(config.timeout_seconds)).map_err(|error| no_answer(error.into()))?;
    let body = serde_json::to_vec(request).map_err(unreadable)?;
    let mut keys = signing_keys.iter().map(|key| key.expose_secret().as_bytes());
    let mut key = keys.next().unwrap_or_default();
    loop {
        let signed = || {
            let request = client.post(&url).header(CONTENT_TYPE, content_type);
            request.header(signature::HEADER, signature::sign(key, now(), &body)).body(body.clone())
        };
        let response = retry::send(signed).await.map_err(|error| no_answer(error.into()))?;
        let status = response.status();
        let answer = read(response, MAX_ANSWER_BYTES).await.map_err(no_answer)?;
        if status.is_success() {
            return serde_json::from_slice(&answer).map_err(unreadable);
        }
        match keys.next() {
            Some(next) if is_denied(status) => key = next,
            _ => return Err(UsageError::Refused { url, status, message: message(&answer) }),
        }
    }
}

/// What a refusal says, in JSON or not.
fn message(answer: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Status {
        message: String,
    }
    match serde_json::from_slice::<Status>(answer) {
        Ok(status) => printable(&status.message),
        Err(_) if answer.is_empty() => "nothing".to_owned(),
        Err(_) => printable(&String::from_utf8_lossy(answer)),
    }
}
