//! What the edge knows of an API key: a record in KV, under the key's hash. The key itself is stored nowhere.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};

use crate::ids::{KeyId, Sha256Digest, TenantId};

/// The longest key that is looked up, in bytes.
pub const MAX_KEY_BYTES: usize = 256;

/// The SHA-256 of a presented key, by which its record is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(Sha256Digest);

impl KeyHash {
    /// The hash of a key as an exporter presents it.
    pub fn of(key: &str) -> Self {
        Self(Sha256Digest::of(key.as_bytes()))
    }

    /// The name of the key's record in KV: `key/` and 64 hex digits.
    pub fn kv_name(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key/{}", self.0)
    }
}

/// A key's record, as JSON in KV.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Whose key it is.
    pub tenant: TenantId,
    /// What the key is called in logs.
    pub key_id: KeyId,
    /// Whether it may be used.
    #[serde(default)]
    pub status: KeyStatus,
    /// How often it may be used.
    #[serde(default)]
    pub rate: RateLimit,
    /// How many spans its tenant may store in a UTC month; unset means no quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spans_per_month: Option<NonZeroU64>,
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

/// A token bucket, per key and isolate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// What refills the bucket.
    pub requests_per_second: NonZeroU32,
    /// How many requests may come at once.
    pub burst: NonZeroU32,
}

impl Default for RateLimit {
    fn default() -> Self {
        const { Self { requests_per_second: NonZeroU32::new(100).unwrap(), burst: NonZeroU32::new(200).unwrap() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_needs_only_tenant_and_id() {
        let record: KeyRecord = serde_json::from_str(r#"{"tenant":"acme","key_id":"k1"}"#).unwrap();
        assert_eq!(record.status, KeyStatus::Active);
        assert_eq!(record.rate, RateLimit::default());
        assert_eq!(record.spans_per_month, None);
    }

    #[test]
    fn a_misspelt_field_is_an_error_and_not_an_unlimited_key() {
        let record = r#"{"tenant":"acme","key_id":"k1","span_per_month":5}"#;
        assert!(
            serde_json::from_str::<KeyRecord>(record).unwrap_err().to_string().contains("span_per_month")
        );
    }
}
