//! Development keys.

use anyhow::Result;
use serde_json::{Value, json};
use spillway_proto::api_key::{ApiKey, RANDOM_BYTES};
use spillway_proto::key_record::KeyRecord;

/// An API key and what the edge knows of it.
#[derive(Clone)]
pub struct Key {
    /// What exporters send.
    pub secret: ApiKey,
    /// What lies in KV.
    pub record: KeyRecord,
}

impl Key {
    /// A new key of `tenant`; `fields` is merged into its record.
    pub fn new(tenant: &str, fields: &Value) -> Result<Self> {
        Self::with_secret(tenant, random_key()?, fields)
    }

    /// A key with a given secret.
    pub fn with_secret(tenant: &str, secret: ApiKey, fields: &Value) -> Result<Self> {
        let mut record = json!({ "tenant": tenant, "key_id": format!("{tenant}-key") });
        for (name, value) in fields.as_object().into_iter().flatten() {
            record[name] = value.clone();
        }
        Ok(Self { secret, record: serde_json::from_value(record)? })
    }

    /// The name of its record in KV.
    pub fn kv_name(&self) -> String {
        self.secret.hash().kv_name()
    }
}

/// A new key of the environment `dev`.
pub fn random_key() -> Result<ApiKey> {
    Ok(ApiKey::new("dev", random_bytes::<RANDOM_BYTES>()?)?)
}

/// 32 random hex digits.
pub fn random_secret() -> Result<String> {
    Ok(hex::encode(random_bytes::<16>()?))
}

pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(bytes)
}
