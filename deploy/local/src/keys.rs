//! Development keys.

use anyhow::Result;
use serde_json::{Value, json};
use spillway_proto::api_key::{KeyHash, KeyRecord};

/// An API key and what the edge knows of it.
#[derive(Clone)]
pub struct Key {
    /// What exporters send.
    pub secret: String,
    /// What lies in KV.
    pub record: KeyRecord,
}

impl Key {
    /// A new key of `tenant`; `fields` is merged into its record.
    pub fn new(tenant: &str, fields: &Value) -> Result<Self> {
        Self::with_secret(tenant, &random_secret("spw_dev_")?, fields)
    }

    /// A key with a given secret.
    pub fn with_secret(tenant: &str, secret: &str, fields: &Value) -> Result<Self> {
        let mut record = json!({ "tenant": tenant, "key_id": format!("{tenant}-key") });
        for (name, value) in fields.as_object().into_iter().flatten() {
            record[name] = value.clone();
        }
        Ok(Self { secret: secret.to_owned(), record: serde_json::from_value(record)? })
    }

    /// The name of its record in KV.
    pub fn kv_name(&self) -> String {
        KeyHash::of(&self.secret).kv_name()
    }
}

/// `prefix` and 32 random hex digits.
pub fn random_secret(prefix: &str) -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(format!("{prefix}{}", hex::encode(bytes)))
}
