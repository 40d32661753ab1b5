//! Step 2: find the key, and whose it is.

mod presented;

use std::rc::Rc;

use spillway_proto::api_key::{ApiKey, KeyHash};
use spillway_proto::key_record::KeyRecord;

pub use presented::{MalformedKey, presented};

use crate::config::KeyConfig;
use crate::key_cache::{KeyCache, Remembered};
use crate::mesh::link::Link;
use crate::ports::{KeyStore, PortError, Runtime};
use crate::reject::Rejection;

/// Where key records come from.
pub struct KeySource<'a, K> {
    /// KV, or the external authority.
    pub store: &'a K,
    /// What the isolate remembers.
    pub cache: &'a KeyCache,
    /// How the store is called.
    pub link: &'a Link,
    /// How long records are good, and what a call may take.
    pub config: &'a KeyConfig,
}

impl<K: KeyStore> KeySource<'_, K> {
    /// The record of `key`, if it may be used now, from the web origin `origin`. The second value is what the store said,
    /// where it failed and an older record serves on.
    pub async fn authenticate(
        &self,
        key: &ApiKey,
        origin: Option<&str>,
        runtime: &impl Runtime,
    ) -> Result<(Rc<KeyRecord>, Option<PortError>), Rejection> {
        let (record, fault) = self.record(key, runtime).await?;
        record.check(runtime.now())?;
        match origin {
            Some(origin) if !record.allows_origin(origin) => Err(Rejection::OriginNotAllowed),
            _ => Ok((record, fault)),
        }
    }

    /// Looking up by hash leaves no secret to compare: no timing tells how much of a guess was right.
    async fn record(
        &self,
        key: &ApiKey,
        runtime: &impl Runtime,
    ) -> Result<(Rc<KeyRecord>, Option<PortError>), Rejection> {
        let hash = key.hash();
        let stale = match self.cache.find(&hash, &self.config.cache, runtime.now()) {
            Remembered::Fresh(record) => return Ok((record, None)),
            Remembered::Unknown => return Err(Rejection::UnknownKey),
            Remembered::Stale(record) => Some(record),
            Remembered::Nothing => None,
        };
        match self.link.call(&self.config.link, runtime, async || self.store.find(&hash).await).await {
            Ok(found) => {
                let found = found.as_deref().map(serde_json::from_str).transpose();
                let found = found.map_err(|error| unreadable(key_id(&hash), &error))?.map(Rc::new);
                self.cache.remember(&hash, found.clone(), runtime.now());
                found.map(|record| (record, None)).ok_or(Rejection::UnknownKey)
            }
            Err(fault) => match stale {
                Some(record) => Ok((record, Some(fault))),
                None => Err(Rejection::Fault(fault)),
            },
        }
    }
}

/// What tells the key of an unreadable record in the log: the beginning of its hash.
fn key_id(hash: &KeyHash) -> String {
    hash.digest().to_string().chars().take(8).collect()
}

fn unreadable(key: String, error: &serde_json::Error) -> Rejection {
    Rejection::Fault(PortError { what: "key record", detail: format!("{key}...: {error}") })
}
