//! What the edge knows of an API key: a record in JSON, in KV under the key's hash, or from an external authority.

use std::num::{NonZeroU32, NonZeroU64};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{KeyId, ProjectId, TenantId, UnixMillis};
use crate::otlp::SpanLimits;

/// A key's record. Only `tenant` and `key_id` must be there; an unknown field is an error, since a misspelt limit would be
/// none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Whose key it is. Limits and quotas are the tenant's: its keys share them, so they should say the same.
    pub tenant: TenantId,
    /// Which of the tenant's projects its spans belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// What the key is called in logs.
    pub key_id: KeyId,
    /// Whether it may be used.
    #[serde(default)]
    pub status: KeyStatus,
    /// From when on it may be used, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
    /// From when on it may not be used any more, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// The web origins (`https://app.example.com`) whose pages may use it; `*` is any. Unset means any, an empty list none.
    /// Requests without an `Origin`, which no browser sends, are not bound by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_origins: Option<Vec<String>>,
    /// How much may come in a second.
    #[serde(default)]
    pub limits: RateLimits,
    /// How much may be stored in a UTC month.
    #[serde(default, skip_serializing_if = "is_default")]
    pub quotas: Quotas,
    /// What a span may hold. Defaults are not written, so that a record does not keep those of the day on which it was made.
    #[serde(default, skip_serializing_if = "is_default")]
    pub span_limits: SpanLimits,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Whether a key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// It may.
    #[default]
    Active,
    /// It was taken back.
    Revoked,
}

/// What a tenant may send in a second, over all isolates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimits {
    /// Requests. Default: 100 a second.
    pub requests: Rate,
    /// Spans that are stored. Unset means no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spans: Option<Rate>,
    /// Bytes of request bodies, as they were sent. Unset means no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Rate>,
    /// By how many Durable Objects the limits are kept; each has its part of them. One is enough for hundreds of busy
    /// isolates. Default: 1.
    pub shards: Shards,
}

impl Default for RateLimits {
    fn default() -> Self {
        const HUNDRED: NonZeroU32 = NonZeroU32::new(100).unwrap();
        Self {
            requests: Rate { per_second: HUNDRED, burst: None },
            spans: None,
            bytes: None,
            shards: Shards::default(),
        }
    }
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// What refills it.
    pub per_second: NonZeroU32,
    /// What it holds. Default: twice the rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
}

impl Rate {
    /// What the bucket holds.
    pub fn burst(&self) -> NonZeroU32 {
        self.burst.unwrap_or_else(|| self.per_second.saturating_mul(const { NonZeroU32::new(2).unwrap() }))
    }
}

/// 1 to 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Shards(u8);

impl Shards {
    /// The most shards that a tenant may have.
    pub const MAX: u8 = 16;

    /// How many there are.
    pub fn count(self) -> u8 {
        self.0
    }
}

impl Default for Shards {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u8> for Shards {
    type Error = String;

    fn try_from(count: u8) -> Result<Self, String> {
        if (1..=Self::MAX).contains(&count) {
            Ok(Self(count))
        } else {
            Err(format!("shards must be 1 to {}, not {count}", Self::MAX))
        }
    }
}

impl From<Shards> for u8 {
    fn from(shards: Shards) -> Self {
        shards.0
    }
}

/// What a tenant may store in a UTC month; unset means no quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quotas {
    /// Spans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spans_per_month: Option<NonZeroU64>,
    /// Bytes of request bodies, as they were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_month: Option<NonZeroU64>,
}

/// Why a known key may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRefusal {
    /// It was taken back.
    Revoked,
    /// `not_before` is still to come.
    NotYetValid,
    /// `expires_at` has passed.
    Expired,
}

impl KeyRecord {
    /// Whether the key may be used at `now`.
    pub fn check(&self, now: UnixMillis) -> Result<(), KeyRefusal> {
        let millis = |time: DateTime<Utc>| u64::try_from(time.timestamp_millis()).unwrap_or(0);
        match self.status {
            KeyStatus::Revoked => Err(KeyRefusal::Revoked),
            KeyStatus::Active if self.not_before.is_some_and(|time| now.0 < millis(time)) => {
                Err(KeyRefusal::NotYetValid)
            }
            KeyStatus::Active if self.expires_at.is_some_and(|time| now.0 >= millis(time)) => {
                Err(KeyRefusal::Expired)
            }
            KeyStatus::Active => Ok(()),
        }
    }

    /// Whether a page of the web origin `origin` may use the key.
    pub fn allows_origin(&self, origin: &str) -> bool {
        match &self.allowed_origins {
            None => true,
            Some(allowed) => {
                allowed.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: &str) -> Result<KeyRecord, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_record_needs_only_tenant_and_id() {
        let record = record(r#"{"tenant":"acme","key_id":"k1"}"#).unwrap();
        assert_eq!(record.status, KeyStatus::Active);
        assert_eq!(
            (record.limits.requests.per_second.get(), record.limits.requests.burst().get()),
            (100, 200)
        );
        assert_eq!(record.quotas, Quotas::default());
        assert!(record.allows_origin("https://anywhere.example"));
        assert_eq!(
            serde_json::from_str::<KeyRecord>(&serde_json::to_string(&record).unwrap()).unwrap(),
            record
        );
    }

    #[test]
    fn a_misspelt_field_is_an_error_and_not_an_unlimited_key() {
        for wrong in [
            r#""quota":{}"#,
            r#""quotas":{"span_per_month":5}"#,
            r#""limits":{"span":{"per_second":1}}"#,
            r#""limits":{"requests":{"per_second":0}}"#,
            r#""limits":{"shards":17}"#,
            r#""span_limits":{"max_event":1}"#,
            r#""expires_at":"tomorrow""#,
        ] {
            assert!(record(&format!(r#"{{"tenant":"acme","key_id":"k1",{wrong}}}"#)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_has_its_time() {
        let json = r#"{"tenant":"acme","key_id":"k1","not_before":"2026-11-01T00:00:00Z","expires_at":"2026-12-01T00:00:00Z"}"#;
        let record = record(json).unwrap();
        let on = |text: &str| UnixMillis(text.parse::<DateTime<Utc>>().unwrap().timestamp_millis() as u64);
        assert_eq!(record.check(on("2026-10-31T23:59:59.999Z")), Err(KeyRefusal::NotYetValid));
        assert_eq!(record.check(on("2026-11-01T00:00:00Z")), Ok(()));
        assert_eq!(record.check(on("2026-12-01T00:00:00Z")), Err(KeyRefusal::Expired));
    }

    #[test]
    fn origins_are_named_or_none() {
        let json = r#"{"tenant":"acme","key_id":"k1","allowed_origins":["https://app.example.com"]}"#;
        let mut record = record(json).unwrap();
        assert!(
            record.allows_origin("https://APP.example.com") && !record.allows_origin("https://example.com")
        );
        record.allowed_origins = Some(Vec::new());
        assert!(!record.allows_origin("https://app.example.com"));
    }
}
