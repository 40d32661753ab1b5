//! Where the pipeline meets the world. Each port has an adapter for the Worker and one for the tests.
//!
//! A Worker is single threaded and its futures are not `Send`; the traits ask for no more than that.
#![expect(async_fn_in_trait, reason = "a Worker's futures are not Send, and nothing here is spawned")]

use std::time::Duration;

use spillway_proto::api_key::KeyHash;
use spillway_proto::{ObjectKey, Sha256Digest, UnixMillis};

use crate::allowance::{Ask, Grant};
use crate::config::Destination;

/// Something outside did not do what it should have. The detail is for the log, never for an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {detail}")]
pub struct PortError {
    /// The port, such as `key store`.
    pub what: &'static str,
    /// What it said.
    pub detail: String,
}

/// A request's body, in the pieces in which it arrives.
pub trait Body {
    /// The next piece; none at the end.
    async fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, PortError>;
}

/// The records of API keys.
pub trait KeyStore {
    /// The record of the key with this hash, if there is one: a [`spillway_proto::key_record::KeyRecord`] in JSON, as it is
    /// kept. One that cannot be read is the fault of that key, and not of the store.
    async fn find(&self, hash: &KeyHash) -> Result<Option<String>, PortError>;
}

/// The Durable Objects that hold what tenants may still send, and count what they have stored.
pub trait AllowanceStore {
    /// Asks the object that `ask` names.
    async fn ask(&self, ask: &Ask) -> Result<Grant, PortError>;
}

/// An object on its way into R2.
#[derive(Debug, Clone, PartialEq)]
pub struct NewObject {
    /// Where it shall lie.
    pub key: ObjectKey,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// The digest that the store must check `bytes` against.
    pub sha256: Sha256Digest,
    /// Names and values that are kept beside it; R2 keeps 8 KiB.
    pub metadata: Vec<(&'static str, String)>,
}

/// Where objects become durable.
pub trait ObjectStore {
    /// Returns once the object is durable.
    async fn put(&self, object: &NewObject) -> Result<(), PortError>;
}

/// A notification, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNotification {
    /// A [`spillway_proto::notification::Notification`] in JSON.
    pub body: Vec<u8>,
    /// The value of the [`spillway_proto::signature::HEADER`] header.
    pub signature: String,
    /// The value of the `traceparent` header.
    pub traceparent: String,
}

/// Brings a notification to the origin.
pub trait Notifier {
    /// One try. Returns once the notification was taken.
    async fn send(&self, to: &Destination, notification: &SignedNotification) -> Result<(), PortError>;
}

/// What a probe was answered with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProbeAnswer {
    /// The status.
    pub status: u16,
    /// What the zone's firewall has done instead of passing it on: the header `cf-mitigated`.
    pub mitigated: Option<String>,
    /// The body; no more than a probe's own bound.
    pub body: Vec<u8>,
}

/// Brings a probe to the origin, and its answer back.
pub trait Prober {
    /// One try. `body` is a [`spillway_proto::probe::RouteProbe`] in JSON.
    async fn probe(&self, url: &str, body: &[u8], signature: &str) -> Result<ProbeAnswer, PortError>;
}

/// Takes what the edge tells of itself.
pub trait MetricsSink {
    /// One try. `batch` is a [`crate::telemetry::Batch`] in JSON.
    async fn send(&self, batch: &[u8]) -> Result<(), PortError>;
}

/// Time and chance.
pub trait Runtime {
    /// The clock. In a Worker it stands still while code runs, and moves on with I/O.
    fn now(&self) -> UnixMillis;

    /// Fills `bytes` with randomness fit for ids.
    fn fill_random(&self, bytes: &mut [u8]);

    /// The digest of `bytes`, by whatever computes it fastest.
    async fn sha256(&self, bytes: &[u8]) -> Sha256Digest;

    /// Waits.
    async fn sleep(&self, duration: Duration);
}

/// `N` random bytes.
pub(crate) fn random<const N: usize>(runtime: &impl Runtime) -> [u8; N] {
    let mut bytes = [0; N];
    runtime.fill_random(&mut bytes);
    bytes
}
