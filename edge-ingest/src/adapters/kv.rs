//! Key records, in Workers KV. Reads may be up to a minute old, misses included.

use spillway_proto::api_key::{KeyHash, KeyRecord};
use worker::KvStore;

use super::fault;
use crate::ports::{KeyStore, PortError};

pub(super) struct KvKeys(KvStore);

impl KvKeys {
    pub(super) fn new(store: KvStore) -> Self {
        Self(store)
    }
}

impl KeyStore for KvKeys {
    async fn find(&self, hash: &KeyHash) -> Result<Option<KeyRecord>, PortError> {
        self.0.get(&hash.kv_name()).json().await.map_err(fault("key store"))
    }
}
