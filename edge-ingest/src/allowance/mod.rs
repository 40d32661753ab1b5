//! What a tenant may still send, across all isolates: the leases behind steps 3 and 4.
//!
//! A Durable Object of the tenant ([`object`]) holds its token buckets and its monthly counts. An isolate does not ask it for
//! every request: it takes a [`Grant`], a lease of about a second's worth, and spends that ([`tenant`]). So a busy isolate
//! calls once a second, and the most that passes too much is what isolates hold when the bucket runs dry: the number of
//! isolates times a lease, and a lease is at most half of what is left, and what an isolate holds at most a second's worth.
//!
//! What was stored is settled with the object at most a second later, each settlement once ([`Settlement`]).

pub mod bucket;
pub mod isolate;
pub mod object;
pub mod tenant;

use serde::{Deserialize, Serialize};
use spillway_proto::TenantId;
use spillway_proto::key_record::RateLimits;
use spillway_proto::usage::Usage;

/// Something for each kind of limit. What is spent beyond a lease is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amounts {
    /// Requests.
    pub requests: i64,
    /// Spans that are stored.
    pub spans: i64,
    /// Bytes of bodies as sent.
    pub bytes: i64,
}

/// Which limit was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Requests a second.
    Requests,
    /// Spans a second.
    Spans,
    /// Bytes a second.
    Bytes,
}

impl Kind {
    /// All kinds, in the order in which they are looked at.
    pub const ALL: [Self; 3] = [Self::Requests, Self::Spans, Self::Bytes];

    /// Its name, as limits are named in a key's record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Spans => "spans",
            Self::Bytes => "bytes",
        }
    }
}

impl Amounts {
    /// The amount of a kind.
    pub fn of(&self, kind: Kind) -> i64 {
        match kind {
            Kind::Requests => self.requests,
            Kind::Spans => self.spans,
            Kind::Bytes => self.bytes,
        }
    }

    /// The amount of a kind, to be changed.
    pub fn of_mut(&mut self, kind: Kind) -> &mut i64 {
        match kind {
            Kind::Requests => &mut self.requests,
            Kind::Spans => &mut self.spans,
            Kind::Bytes => &mut self.bytes,
        }
    }
}

/// One of a tenant's objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Whose.
    pub tenant: TenantId,
    /// Which, from 0.
    pub index: u8,
}

impl Shard {
    /// The object's name: that of the tenant for the first, and `TENANT/INDEX` for the others.
    pub fn name(&self) -> String {
        match self.index {
            0 => self.tenant.to_string(),
            index => format!("{}/{index}", self.tenant),
        }
    }
}

/// What an isolate asks of an object; JSON on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The tenant's limits, as the key's record says.
    pub limits: RateLimits,
    /// Which object is asked.
    pub shard: Shard,
    /// What it would like to hold.
    pub want: Amounts,
    /// What it has spent beyond its leases: it is taken from the bucket first.
    #[serde(default)]
    pub owed: Amounts,
    /// The UTC month whose counts it wants to know, as `YYYY-MM`.
    pub month: String,
    /// A random name of what the isolate knows of the tenant.
    pub isolate: String,
    /// What it has stored since it last told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub settlement: Option<Settlement>,
}

/// What an isolate has stored. The object counts each once, however often it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// Counts up from 1, for each [`Ask::isolate`].
    pub sequence: u64,
    /// The UTC month that it was received in.
    pub month: String,
    /// How much.
    pub usage: Usage,
}

/// What an object answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// What the isolate may spend. Kinds without a limit are 0, and do not count.
    pub granted: Amounts,
    /// When it is worth to ask again where nothing was granted, in milliseconds.
    pub retry_after_ms: u64,
    /// The last settlement of the isolate that was counted, or 0: `usage` includes it.
    pub settled: u64,
    /// What the tenant has used in the month asked for, by all of its objects.
    pub usage: Usage,
}
