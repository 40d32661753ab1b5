//! Steps a and b for notifications that come through a Cloudflare Queue: pulled over HTTP, and acknowledged only after
//! they are durable.
//!
//! A turn pulls a batch, takes what its messages hold, and acknowledges. Whatever fails on the way, Cloudflare delivers
//! again what was not acknowledged, and the ledger knows what it has; so there is nothing to undo.

mod api;
mod message;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use spillway_proto::notification::MAX_BYTES;
use tokio_util::sync::CancellationToken;

use api::{Api, Receipt, Retry};
use message::Message;

use crate::cloudflare::{ApiError, CloudflareConfig, is_denied};
use crate::config::{ConfigError, in_range, is_id, is_set};
use crate::intake::{Intake, Signed};
use crate::metrics::{Metrics, NotificationOutcome, PullOutcome, Transport};
use crate::time::{backoff, jittered, now, random};

/// A message may wait for as long as the queue keeps it, so its signature's age says nothing.
const ANY_AGE: u64 = u64::MAX;
/// Where Cloudflare tells when to come back, no later than this: a word that is wrong must not end the pulls.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(15 * 60);
/// How long a message that was given back waits, in seconds; doubled with each delivery, since the queue drops a message
/// after so many of them.
const REDELIVERY_SECONDS: u64 = 15;
/// No message waits longer, in seconds.
const REDELIVERY_CAP_SECONDS: u64 = 15 * 60;

/// `[queue_pull]`: a Cloudflare Queue that notifications come through, besides HTTP.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueuePullConfig {
    /// The queue's id, 32 hex digits. Nothing is pulled where it is empty.
    pub queue_id: String,
    /// A token with the account permission Queues Edit (read and write), and no other: not that of `[cloudflare]`, which
    /// may write keys. Required with `queue_id`.
    pub api_token: SecretString,
    /// Messages a pull; Cloudflare gives out 100 at most.
    pub batch_size: usize,
    /// How long a pulled message is not delivered again, in seconds.
    pub visibility_timeout_seconds: u64,
    /// The wait after a pull that brought nothing, in seconds.
    pub idle_seconds: u64,
    /// For one request to the API, in seconds.
    pub timeout_seconds: u64,
}

impl Default for QueuePullConfig {
    fn default() -> Self {
        Self {
            queue_id: String::new(),
            api_token: SecretString::default(),
            batch_size: 100,
            visibility_timeout_seconds: 30,
            idle_seconds: 2,
            timeout_seconds: 10,
        }
    }
}

impl QueuePullConfig {
    fn is_on(&self) -> bool {
        !self.queue_id.is_empty()
    }

    /// The queue is in the account of `cloudflare`.
    pub(crate) fn check(&self, cloudflare: &CloudflareConfig) -> Result<(), ConfigError> {
        if self.is_on() {
            is_id("queue_pull.queue_id", &self.queue_id)?;
            cloudflare.check_account()?;
            is_set("queue_pull.api_token", self.api_token.expose_secret())?;
        }
        in_range("queue_pull.batch_size", self.batch_size, 1..=100)?;
        in_range("queue_pull.visibility_timeout_seconds", self.visibility_timeout_seconds, 1..=43_200)?;
        in_range("queue_pull.idle_seconds", self.idle_seconds, 1..=3600)?;
        // A pull under way is awaited when the process shall end.
        in_range("queue_pull.timeout_seconds", self.timeout_seconds, 1..=20)
    }
}

/// Pulls notifications.
pub struct QueuePull {
    config: QueuePullConfig,
    api: Api,
    intake: Arc<Intake>,
    metrics: Arc<Metrics>,
}

/// What a turn came to.
#[derive(Debug)]
struct Turn {
    outcome: PullOutcome,
    /// When Cloudflare wants to be asked again.
    retry_after: Option<Duration>,
}

impl QueuePull {
    /// None where no queue is configured. Nothing is sent yet.
    pub fn new(
        config: &QueuePullConfig,
        cloudflare: &CloudflareConfig,
        intake: &Arc<Intake>,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Self>, reqwest::Error> {
        if !config.is_on() {
            return Ok(None);
        }
        let api = Api::new(cloudflare, config)?;
        let (intake, metrics) = (Arc::clone(intake), Arc::clone(metrics));
        Ok(Some(Self { config: config.clone(), api, intake, metrics }))
    }

    /// Takes turns until `stop`; a turn that has begun is finished, so that no message is left under a lease.
    pub async fn run(self, stop: CancellationToken) {
        tracing::info!(queue_id = self.config.queue_id, "notifications are pulled from a Cloudflare Queue");
        let mut failures = 0;
        while !stop.is_cancelled() {
            let turn = self.turn().await;
            self.metrics.queue_pull(turn.outcome);
            let rest = self.rest(turn.outcome);
            let wait = rest.unwrap_or_else(|| turn.backoff(failures));
            failures = if rest.is_some() { 0 } else { failures + 1 };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn turn(&self) -> Turn {
        // 1 pull: each message is leased to us for a while
        let pulled = match self.api.pull().await {
            Ok(pulled) => pulled,
            Err(error) => {
                tracing::warn!(%error, "the Cloudflare Queue cannot be pulled from");
                return Turn::failed(outcome_of(&error), &error);
            }
        };
        if let Some(backlog) = pulled.message_backlog_count {
            self.metrics.queue_pull_backlog(backlog);
        }
        if pulled.messages.is_empty() {
            return Turn::ended(PullOutcome::Empty);
        }
        // 2 take: all side by side, so that they share a commit
        let outcomes = join_all(pulled.messages.iter().map(|message| self.take(message))).await;
        // 3 acknowledge what is durable or hopeless, and give back the rest
        let receipt = receipt(pulled.messages, &outcomes);
        if let Err(error) = self.api.acknowledge(&receipt).await {
            tracing::warn!(%error, messages = outcomes.len(), "pulled messages could not be acknowledged; they come again");
            return Turn::failed(PullOutcome::Unacknowledged, &error);
        }
        Turn::ended(if receipt.retries.is_empty() { PullOutcome::Taken } else { PullOutcome::Postponed })
    }

    async fn take(&self, message: &Message) -> NotificationOutcome {
        let began = now();
        let outcome = match message.open() {
            Some(queued) if queued.notification.len() > MAX_BYTES => NotificationOutcome::TooLarge,
            Some(queued) => {
                let (body, signature) = (queued.notification.as_bytes(), queued.signature.as_str());
                self.intake.take(Signed { body, signature, max_age_seconds: ANY_AGE }, began).await
            }
            None => NotificationOutcome::Malformed,
        };
        self.metrics.notification(Transport::Queue, outcome);
        if fate(outcome) == Fate::Hopeless {
            let (id, attempts, bytes) = (&message.id, message.attempts, message.size());
            tracing::error!(?outcome, id, attempts, bytes, "a message of the Cloudflare Queue is dropped");
        }
        outcome
    }

    /// The wait after a turn that did not fail.
    fn rest(&self, outcome: PullOutcome) -> Option<Duration> {
        match outcome {
            // There may be more.
            PullOutcome::Taken => Some(Duration::ZERO),
            PullOutcome::Empty => Some(Duration::from_secs(self.config.idle_seconds)),
            // Nor is more pulled while the own queue does not take it: each delivery counts against the message.
            PullOutcome::Postponed
            | PullOutcome::Unacknowledged
            | PullOutcome::Refused
            | PullOutcome::RateLimited
            | PullOutcome::Failed => None,
        }
    }
}

impl Turn {
    fn ended(outcome: PullOutcome) -> Self {
        Self { outcome, retry_after: None }
    }

    fn failed(outcome: PullOutcome, error: &ApiError) -> Self {
        Self { outcome, retry_after: error.retry_after() }
    }

    /// The wait after it has failed, as so many did right before it.
    fn backoff(&self, failures: u32) -> Duration {
        let own = jittered(backoff(failures), random());
        let told = self.retry_after.unwrap_or_default().min(RETRY_AFTER_CAP);
        own.max(told)
    }
}

fn outcome_of(error: &ApiError) -> PullOutcome {
    match error.status() {
        Some(status) if is_denied(status) => PullOutcome::Refused,
        Some(StatusCode::TOO_MANY_REQUESTS) => PullOutcome::RateLimited,
        _ => PullOutcome::Failed,
    }
}

/// What is to be done about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It has done its work.
    Durable,
    /// It never will; where it spoke of an object, the sweep finds that.
    Hopeless,
    /// Another delivery may do better.
    Again,
}

fn fate(outcome: NotificationOutcome) -> Fate {
    use NotificationOutcome::*;
    match outcome {
        Enqueued | Known | Resend => Fate::Durable,
        BadSignature | Expired | Malformed | TooLarge | Unreadable | NotANotification => Fate::Hopeless,
        QueueUnavailable | QueueFull => Fate::Again,
    }
}

/// Every message is in it once: acknowledged, or given back.
fn receipt(messages: Vec<Message>, outcomes: &[NotificationOutcome]) -> Receipt {
    let mut receipt = Receipt::default();
    for (message, outcome) in messages.into_iter().zip(outcomes) {
        match fate(*outcome) {
            Fate::Durable | Fate::Hopeless => receipt.acks.push(api::Ack { lease_id: message.lease_id }),
            Fate::Again => receipt.retries.push(Retry {
                lease_id: message.lease_id,
                delay_seconds: redelivery_seconds(message.attempts),
            }),
        }
    }
    receipt
}

fn redelivery_seconds(attempts: u32) -> u64 {
    REDELIVERY_SECONDS.saturating_mul(2u64.saturating_pow(attempts)).min(REDELIVERY_CAP_SECONDS)
}

#[cfg(test)]
mod tests;
