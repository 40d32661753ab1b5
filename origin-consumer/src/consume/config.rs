//! `[consumer]`

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use spillway_proto::otlp::DecompressLimits;

use super::decode::Decoder;
use crate::config::{ConfigError, in_range};
use crate::queue::ClaimLimits;

/// `[consumer]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsumerConfig {
    /// Batches that are worked on side by side: fetched, decoded, inserted.
    pub workers: usize,
    /// Batches of those that are inserted side by side. While they are, other workers fetch and decode the next ones.
    pub inserts: usize,
    /// Bytes of payload, decompressed, of the batches that are worked on. A batch waits until there is room for it; one that
    /// is larger by itself is worked on alone.
    pub memory_bytes: u64,
    /// Objects that a worker fetches side by side.
    pub fetches: usize,
    /// How objects are decoded: `wire` or, as a reference, `prost`.
    pub decoder: Decoder,
    /// The most objects of a batch.
    pub batch_objects: u32,
    /// The most spans of a batch; one object alone may hold more.
    pub batch_spans: u64,
    /// The most bytes of payload of a batch, decompressed; one object alone may hold more.
    pub batch_bytes: u64,
    /// How long objects that do not fill a batch wait for others, in milliseconds. 0: not at all.
    pub batch_delay_ms: u64,
    /// The most bytes of one payload after decompression.
    pub max_decompressed_bytes: usize,
    /// How long a batch stays with a consumer that does not renew its lease, in seconds. A consumer that died is
    /// replaced after that.
    pub lease_seconds: u64,
    /// How long ClickHouse may take to confirm an insert, in seconds.
    pub insert_timeout_seconds: u64,
    /// How long a batch in hand may take after SIGTERM, in seconds.
    pub drain_seconds: u64,
    /// Tries of an object that fail by its own fault (its digest is wrong, its content cannot be read, ClickHouse refuses
    /// its rows) before it is dead.
    pub poison_tries: u32,
    /// Consumers that may die over one object before it is dead.
    pub deaths: u32,
    /// Where `consume` answers `/metrics`, `/healthz` and `/api/meter`; nowhere by default. `serve` answers them where it
    /// listens.
    pub listen: Option<SocketAddr>,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            workers: 3,
            inserts: 2,
            memory_bytes: 320 << 20,
            fetches: 32,
            decoder: Decoder::Wire,
            batch_objects: 10_000,
            batch_spans: 100_000,
            batch_bytes: 96 << 20,
            batch_delay_ms: 2_000,
            max_decompressed_bytes: 100 << 20,
            lease_seconds: 30,
            insert_timeout_seconds: 120,
            drain_seconds: 30,
            poison_tries: 5,
            deaths: 10,
            listen: None,
        }
    }
}

impl ConsumerConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        in_range("consumer.workers", self.workers, 1..=64)?;
        in_range("consumer.inserts", self.inserts, 1..=64)?;
        in_range("consumer.memory_bytes", self.memory_bytes, 1 << 20..=1 << 40)?;
        in_range("consumer.fetches", self.fetches, 1..=256)?;
        in_range("consumer.batch_objects", self.batch_objects, 1..=100_000)?;
        in_range("consumer.batch_spans", self.batch_spans, 1..=1_000_000)?;
        in_range("consumer.batch_bytes", self.batch_bytes, 1..=1 << 30)?;
        in_range("consumer.batch_delay_ms", self.batch_delay_ms, 0..=60_000)?;
        in_range("consumer.max_decompressed_bytes", self.max_decompressed_bytes, 1 << 20..=1 << 30)?;
        in_range("consumer.lease_seconds", self.lease_seconds, 3..=3600)?;
        in_range("consumer.insert_timeout_seconds", self.insert_timeout_seconds, 1..=3600)?;
        in_range("consumer.drain_seconds", self.drain_seconds, 0..=3600)?;
        in_range("consumer.poison_tries", self.poison_tries, 1..=100)?;
        in_range("consumer.deaths", self.deaths, 2..=1000)
    }

    /// How long ClickHouse may take to confirm an insert.
    pub fn insert_timeout(&self) -> Duration {
        Duration::from_secs(self.insert_timeout_seconds)
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    pub(crate) fn claim_limits(&self) -> ClaimLimits {
        ClaimLimits {
            objects: self.batch_objects,
            spans: self.batch_spans,
            bytes: self.batch_bytes,
            delay: Duration::from_millis(self.batch_delay_ms),
            lease: self.lease(),
        }
    }

    /// How long batches in hand may take at the end.
    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }

    pub(super) fn decompress_limits(&self) -> DecompressLimits {
        DecompressLimits { max_bytes: self.max_decompressed_bytes }
    }
}
