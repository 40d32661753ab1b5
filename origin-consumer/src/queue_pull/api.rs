//! The part of Cloudflare's API that pull consumers use.
//!
//! <https://developers.cloudflare.com/api/resources/queues/subresources/messages/>

use std::collections::HashMap;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::QueuePullConfig;
use super::message::Message;

/// The room of one message in an answer, in bytes: the 128,000 of the largest one, twice for its escapes in JSON (base64
/// takes less), and its lease and metadata.
const MESSAGE_BYTES: usize = 2 * 128_000 + 8192;
/// The room of everything else in an answer, in bytes.
const ENVELOPE_BYTES: usize = 64 * 1024;
/// How much is shown of what the API says of an error, in characters.
const DETAIL_CHARS: usize = 300;

/// The API did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// It refused.
    #[error("the API answered {status}: {detail}")]
    Refused { status: StatusCode, retry_after: Option<Duration>, detail: String },
    /// Its answer is larger than a full batch can be.
    #[error("the API's answer is larger than {0} bytes")]
    TooLarge(usize),
    /// Its answer is not what the schema says.
    #[error("the API's answer cannot be read: {0}")]
    Unreadable(serde_json::Error),
    /// It gave no answer, or broke off.
    #[error("the API gave no answer: {}", with_causes(.0))]
    NoAnswer(reqwest::Error),
}

impl ApiError {
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(status.as_u16()),
            Self::TooLarge(_) | Self::Unreadable(_) | Self::NoAnswer(_) => None,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::TooLarge(_) | Self::Unreadable(_) | Self::NoAnswer(_) => None,
        }
    }
}

/// A batch, leased.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Pulled {
    /// What waits in the queue and is not acknowledged.
    #[serde(default)]
    pub(super) message_backlog_count: Option<u64>,
    #[serde(default)]
    pub(super) messages: Vec<Message>,
}

#[derive(Serialize)]
struct Pull {
    batch_size: usize,
    visibility_timeout_ms: u64,
}

/// What became of the messages of a batch.
#[derive(Debug, Default, Serialize)]
pub(super) struct Receipt {
    /// These are done with.
    pub(super) acks: Vec<Ack>,
    /// These shall be delivered again.
    pub(super) retries: Vec<Retry>,
}

/// One that is done with.
#[derive(Debug, Serialize)]
pub(super) struct Ack {
    pub(super) lease_id: String,
}

/// One that shall be delivered again, no sooner than after a delay.
#[derive(Debug, Serialize)]
pub(super) struct Retry {
    pub(super) lease_id: String,
    pub(super) delay_seconds: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Acknowledged {
    /// By lease, why it did not count.
    #[serde(default)]
    warnings: HashMap<String, String>,
}

/// What every answer is wrapped in.
#[derive(Deserialize)]
struct Envelope<T> {
    success: bool,
    #[serde(default = "Vec::new")]
    errors: Vec<Problem>,
    result: Option<T>,
}

#[derive(Deserialize)]
struct Problem {
    code: u64,
    message: String,
}

/// A client for one queue.
pub(super) struct Api {
    client: Client,
    /// Of the queue's messages.
    url: String,
    token: SecretString,
    pull: Pull,
}

impl Api {
    pub(super) fn new(config: &QueuePullConfig) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .timeout(Duration::from_secs(config.timeout_seconds))
            // The API has no redirects, and the token is for nobody else.
            .redirect(Policy::none())
            .user_agent(concat!("spillway/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let (api, account, queue) =
            (config.api_url.trim_end_matches('/'), &config.account_id, &config.queue_id);
        Ok(Self {
            client,
            url: format!("{api}/accounts/{account}/queues/{queue}/messages"),
            token: config.api_token.clone(),
            pull: Pull {
                batch_size: config.batch_size,
                visibility_timeout_ms: config.visibility_timeout_seconds * 1000,
            },
        })
    }

    /// Leases a batch.
    pub(super) async fn pull(&self) -> Result<Pulled, ApiError> {
        self.post("pull", &self.pull, self.pull.batch_size).await
    }

    /// Ends the leases of a batch.
    pub(super) async fn acknowledge(&self, receipt: &Receipt) -> Result<(), ApiError> {
        let leases = receipt.acks.len() + receipt.retries.len();
        let acknowledged: Acknowledged = self.post("ack", receipt, leases).await?;
        if !acknowledged.warnings.is_empty() {
            tracing::warn!(
                messages = acknowledged.warnings.len(),
                "the Cloudflare Queue did not end all leases; those messages come again"
            );
        }
        Ok(())
    }

    /// Asks for an action on messages, whose answer speaks of so many of them.
    async fn post<T>(&self, action: &str, request: &impl Serialize, messages: usize) -> Result<T, ApiError>
    where
        T: DeserializeOwned + Default,
    {
        let request = serde_json::to_vec(request).map_err(ApiError::Unreadable)?;
        let response = self
            .client
            .post(format!("{}/{action}", self.url))
            .bearer_auth(self.token.expose_secret())
            .header(CONTENT_TYPE, "application/json")
            .body(request)
            .send()
            .await
            .map_err(no_answer)?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        let refused = |detail| ApiError::Refused { status, retry_after, detail };
        let body = read(response, ENVELOPE_BYTES + messages * MESSAGE_BYTES).await?;
        if !status.is_success() {
            return Err(refused(match serde_json::from_slice::<Envelope<IgnoredAny>>(&body) {
                Ok(envelope) => detail(&envelope.errors),
                Err(_) => "not in the API's form, so something on the way to it may have answered".to_owned(),
            }));
        }
        let envelope: Envelope<T> = serde_json::from_slice(&body).map_err(ApiError::Unreadable)?;
        if !envelope.success {
            return Err(refused(detail(&envelope.errors)));
        }
        Ok(envelope.result.unwrap_or_default())
    }
}

/// Reads a body that has at most `most` bytes.
async fn read(mut response: Response, most: usize) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
        if body.len() + chunk.len() > most {
            return Err(ApiError::TooLarge(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// In seconds, as Cloudflare sends it; a date is not understood, and our own backoff takes its place.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

fn detail(errors: &[Problem]) -> String {
    let errors: Vec<_> = errors.iter().map(|error| format!("{} {}", error.code, error.message)).collect();
    let detail = if errors.is_empty() { "without a reason".to_owned() } else { errors.join("; ") };
    detail.chars().take(DETAIL_CHARS).collect()
}

fn no_answer(error: reqwest::Error) -> ApiError {
    ApiError::NoAnswer(error.without_url())
}

/// An error's own words say little without those of its causes.
fn with_causes(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |said, cause| format!("{said}: {cause}"))
}
