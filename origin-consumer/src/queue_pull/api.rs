//! The part of Cloudflare's API that pull consumers use.
//!
//! <https://developers.cloudflare.com/api/resources/queues/subresources/messages/>

use std::collections::HashMap;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::QueuePullConfig;
use super::message::Message;
use crate::cloudflare::{ApiError, Cloudflare, CloudflareConfig, open};

/// The room of one message in an answer, in bytes: the 128,000 of the largest one, twice for its escapes in JSON (base64
/// takes less), and its lease and metadata.
const MESSAGE_BYTES: usize = 2 * 128_000 + 8192;
/// The room of everything else in an answer, in bytes.
const ENVELOPE_BYTES: usize = 64 * 1024;

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

/// A client for one queue. Each call is tried once: whoever pulls has a backoff of its own.
pub(super) struct Api {
    cloudflare: Cloudflare,
    queue_id: String,
    pull: Pull,
}

impl Api {
    pub(super) fn new(
        cloudflare: &CloudflareConfig,
        config: &QueuePullConfig,
    ) -> Result<Self, reqwest::Error> {
        let timeout = Duration::from_secs(config.timeout_seconds);
        Ok(Self {
            cloudflare: Cloudflare::new(cloudflare, &config.api_token, timeout)?,
            queue_id: config.queue_id.clone(),
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
        let body = serde_json::to_vec(request).map_err(ApiError::Unreadable)?;
        let url = self.cloudflare.url(&["queues", &self.queue_id, "messages", action]);
        let request = self.cloudflare.request(Method::POST, &url);
        let response = request.header(CONTENT_TYPE, "application/json").body(body).send().await?;
        let answer = open(response, ENVELOPE_BYTES + messages * MESSAGE_BYTES).await?;
        Ok(answer.result.unwrap_or_default())
    }
}
