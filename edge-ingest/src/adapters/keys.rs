//! Key records: in Workers KV, whose reads may be up to a minute old, misses included; or from the authority behind the binding
//! `AUTH`, which is told the key's hash and nothing else.

use serde_json::json;
use spillway_proto::api_key::KeyHash;
use worker::{Env, Fetcher, KvStore};

use super::post::{JSON, Post};
use super::{binding, fault};
use crate::ports::{KeyStore, PortError};

const WHAT: &str = "key store";

pub(super) enum Keys {
    Kv(KvStore),
    Authority(Fetcher),
}

impl Keys {
    pub(super) fn of(env: &Env) -> Result<Self, PortError> {
        match env.service(binding::AUTH) {
            Ok(authority) => Ok(Self::Authority(authority)),
            Err(_) => env.kv(binding::KEYS).map(Self::Kv).map_err(fault(WHAT)),
        }
    }
}

impl KeyStore for Keys {
    async fn find(&self, hash: &KeyHash) -> Result<Option<String>, PortError> {
        match self {
            Self::Kv(store) => store.get(&hash.kv_name()).text().await.map_err(fault(WHAT)),
            Self::Authority(authority) => ask(authority, hash).await.map_err(fault(WHAT)),
        }
    }
}

/// `POST /spillway/key` with `{"sha256": "HEX"}` is answered 200 with the record, or 404.
async fn ask(authority: &Fetcher, hash: &KeyHash) -> worker::Result<Option<String>> {
    let body = json!({ "sha256": hash.digest().to_string() }).to_string();
    let post =
        Post { url: "https://auth/spillway/key", headers: &[("content-type", JSON)], body: body.as_bytes() };
    let mut response = authority.fetch_request(post.request()?).await?;
    match response.status_code() {
        200 => response.text().await.map(Some),
        404 => Ok(None),
        status => Err(worker::Error::RustError(format!("the authority answered {status}"))),
    }
}
