//! Steps a and b, whatever brought the notification: believe it, and enqueue it durably before anybody is told so.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use spillway_proto::UnixMillis;
use spillway_proto::notification::Notification;
use spillway_proto::signature::{self, MIN_KEY_BYTES, SignatureError};

use crate::config::{ConfigError, in_range, wrong};
use crate::metrics::NotificationOutcome;
use crate::queue::{Enqueued, Queue};
use crate::route::{Canaries, Routes};
use crate::telemetry::{Telemetry, hop};
use crate::time::now;

/// `[notify]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyConfig {
    /// The secrets that the edge may sign with; two while one replaces the other. Required, 32 bytes or more each.
    pub signing_keys: Vec<SecretString>,
    /// How far a signature's time may be from this clock, in seconds, where the edge itself has called.
    pub max_age_seconds: u64,
}

impl Default for NotifyConfig {
    fn default() -> Self {
        Self { signing_keys: Vec::new(), max_age_seconds: 300 }
    }
}

impl NotifyConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let expected = || format!("a list of one or more secrets of {MIN_KEY_BYTES} bytes or more");
        if self.signing_keys.is_empty() {
            return Err(wrong("notify.signing_keys", expected(), "missing or empty"));
        }
        if let Some(short) = self.signing_keys.iter().find(|key| key.expose_secret().len() < MIN_KEY_BYTES) {
            let found = format!("one of {} bytes", short.expose_secret().len());
            return Err(wrong("notify.signing_keys", expected(), found));
        }
        in_range("notify.max_age_seconds", self.max_age_seconds, 1..=86_400)
    }
}

/// A notification as a transport has brought it.
pub(crate) struct Signed<'a> {
    /// What was signed.
    pub(crate) body: &'a [u8],
    /// The value of [`signature::HEADER`].
    pub(crate) signature: &'a str,
    /// How old the signature may be: the transport knows how long it can have been on its way.
    pub(crate) max_age_seconds: u64,
}

/// Where the transports bring notifications.
pub struct Intake {
    /// How they are believed.
    pub notify: NotifyConfig,
    /// Where they go.
    pub queue: Arc<Queue>,
    /// Where the origin's own spans go.
    pub telemetry: Telemetry,
    /// By which ways they have come.
    pub routes: Arc<Routes>,
    /// The edge's canaries.
    pub canaries: Arc<Canaries>,
}

impl Intake {
    /// Takes a notification that came at `began`. Where it was taken, it is durable.
    pub(crate) async fn take(&self, signed: Signed<'_>, began: UnixMillis) -> NotificationOutcome {
        // a
        let notification: Notification = match self.believe(signed, began) {
            Ok(notification) => notification,
            Err(refused) => return refused,
        };
        // b
        let hops = hop::enqueued(&notification, began);
        match self.queue.enqueue(notification, began).await {
            Ok(Enqueued::New) => {
                self.telemetry.record(hops.ended(now()));
                NotificationOutcome::Enqueued
            }
            Ok(Enqueued::Known) => NotificationOutcome::Known,
            Ok(Enqueued::Resend) => NotificationOutcome::Resend,
            Ok(Enqueued::Full) => NotificationOutcome::QueueFull,
            Err(error) => {
                tracing::error!(%error, "the queue did not take a notification");
                NotificationOutcome::QueueUnavailable
            }
        }
    }

    /// Reads what was signed with one of the keys.
    pub(crate) fn believe<T: DeserializeOwned>(
        &self,
        signed: Signed<'_>,
        now: UnixMillis,
    ) -> Result<T, NotificationOutcome> {
        let Signed { body, signature, max_age_seconds } = signed;
        let keys = self.notify.signing_keys.iter().map(|key| key.expose_secret().as_bytes());
        signature::verify(keys, now, max_age_seconds, signature, body).map_err(|error| match error {
            SignatureError::Expired => NotificationOutcome::Expired,
            SignatureError::Malformed | SignatureError::Mismatch => NotificationOutcome::BadSignature,
        })?;
        serde_json::from_slice(body).map_err(|error| {
            // The error's own words may repeat what it has read.
            let (problem, column) = (error.classify(), error.column());
            tracing::error!(
                ?problem,
                column,
                "a signed notification that cannot be read; is the edge of another version?"
            );
            NotificationOutcome::Malformed
        })
    }
}
