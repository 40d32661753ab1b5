//! A message of the queue, and what it holds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use spillway_proto::notification::QueuedNotification;

/// A message as a pull brings it. What is not ours to rely on is read leniently: one odd message must not keep the
/// others of its batch from being read.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    /// By which it is acknowledged.
    pub(super) lease_id: String,
    /// Its name in Cloudflare's dashboard.
    #[serde(default)]
    pub(super) id: String,
    /// How often it was delivered, with this time.
    #[serde(default)]
    pub(super) attempts: u32,
    #[serde(default)]
    body: Value,
    #[serde(default)]
    metadata: Value,
}

impl Message {
    /// The notification, if it is one. Text is plain; the other content types come in base64.
    /// <https://developers.cloudflare.com/queues/configuration/pull-consumers/#content-types>
    pub(super) fn open(&self) -> Option<QueuedNotification> {
        let body = self.body.as_str()?;
        match self.metadata.get("CF-Content-Type").and_then(Value::as_str) {
            Some("text") | None => serde_json::from_str(body).ok(),
            Some("json" | "bytes") => serde_json::from_slice(&STANDARD.decode(body).ok()?).ok(),
            Some(_) => None,
        }
    }

    /// Its body's size as it came, in bytes.
    pub(super) fn size(&self) -> usize {
        self.body.as_str().map_or(0, str::len)
    }
}
