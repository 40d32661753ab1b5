//! Where keys lie: the records of a KV namespace, over Cloudflare's API.
//!
//! <https://developers.cloudflare.com/api/resources/kv/subresources/namespaces/>

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spillway_proto::api_key::KeyHash;
use spillway_proto::key_record::{KeyRecord, KeyRefusal, KeyStatus, Quotas, RateLimits};
use spillway_proto::otlp::SpanLimits;
use spillway_proto::{KeyId, ProjectId, TenantId, UnixMillis};

use crate::cloudflare::{self, Answer, ApiError, Cloudflare, CloudflareConfig};
use crate::retry;

/// The largest answer that is read, in bytes: a page of 1,000 names, each with the 1,024 bytes of metadata that it may have,
/// takes a third of it.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// Names a page: the most that Cloudflare gives out.
const PAGE: &str = "1000";
/// Records fetched side by side, where a listing does not tell enough.
const FETCHES: usize = 8;
/// Cloudflare's code for a name without a value.
const KEY_NOT_FOUND: u64 = 10009;

/// The store could not be asked, or does not hold what it should.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The API failed.
    #[error("cannot {doing}, by Cloudflare's API at {url}: {source}{}", hint(.source))]
    Api {
        /// What was tried.
        doing: &'static str,
        /// Whom it was asked of.
        url: String,
        /// Why it failed.
        source: ApiError,
    },
    /// A value is not a record.
    #[error("the record {name} cannot be read: {source}")]
    Record {
        /// Its name in KV.
        name: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

fn hint(error: &ApiError) -> &'static str {
    if error.is_denied() {
        "; is cloudflare.api_token good for cloudflare.account_id, with Workers KV Storage: Edit?"
    } else {
        ""
    }
}

/// What a listing tells of a key: KV keeps it beside the record, in at most 1,024 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// As the record's.
    pub tenant: TenantId,
    /// As the record's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// As the record's.
    pub key_id: KeyId,
    /// As the record's.
    pub status: KeyStatus,
    /// As the record's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
    /// As the record's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

impl From<&KeyRecord> for Summary {
    fn from(record: &KeyRecord) -> Self {
        Self {
            tenant: record.tenant.clone(),
            project: record.project.clone(),
            key_id: record.key_id.clone(),
            status: record.status,
            not_before: record.not_before,
            expires_at: record.expires_at,
        }
    }
}

impl Summary {
    /// What the edge makes of the key at `now`.
    pub fn state(&self, now: UnixMillis) -> State {
        let record = KeyRecord {
            tenant: self.tenant.clone(),
            project: self.project.clone(),
            key_id: self.key_id.clone(),
            status: self.status,
            not_before: self.not_before,
            expires_at: self.expires_at,
            allowed_origins: None,
            limits: RateLimits::default(),
            quotas: Quotas::default(),
            span_limits: SpanLimits::default(),
        };
        match record.check(now) {
            Ok(()) => State::Active,
            Err(KeyRefusal::NotYetValid) => State::NotYetValid,
            Err(KeyRefusal::Expired) => State::Expired,
            Err(KeyRefusal::Revoked) => State::Revoked,
        }
    }
}

/// What a key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It may be used.
    Active,
    /// It may be used later.
    NotYetValid,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

impl State {
    /// Whether it may be used, now or later.
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Active | Self::NotYetValid)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::NotYetValid => "not yet valid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        })
    }
}

/// A key of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in KV.
    pub name: String,
    /// What is told of it.
    pub summary: Summary,
}

/// All keys of the namespace.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those that could be read.
    pub entries: Vec<Entry>,
    /// The names of those that could not.
    pub unreadable: Vec<String>,
}

impl Listing {
    /// The keys of a tenant that have an id: several, where one was made anew after another had ended.
    pub fn named<'l>(&'l self, tenant: &'l TenantId, key_id: &'l KeyId) -> impl Iterator<Item = &'l Entry> {
        self.of(tenant).filter(move |entry| entry.summary.key_id == *key_id)
    }

    /// The keys of a tenant.
    pub fn of<'l>(&'l self, tenant: &'l TenantId) -> impl Iterator<Item = &'l Entry> {
        self.entries.iter().filter(move |entry| entry.summary.tenant == *tenant)
    }
}

/// A name of a page, as Cloudflare lists it.
#[derive(Deserialize)]
struct Listed {
    name: String,
    metadata: Option<Value>,
}

/// The keys of one namespace.
pub struct KeyStore {
    cloudflare: Cloudflare,
    api_url: String,
    namespace: String,
}

impl KeyStore {
    /// The keys of the configured namespace.
    pub fn new(config: &CloudflareConfig) -> Result<Self, StoreError> {
        let api_url = config.api_url.clone();
        let timeout = Duration::from_secs(config.timeout_seconds);
        let cloudflare = Cloudflare::new(config, &config.api_token, timeout).map_err(|error| {
            StoreError::Api { doing: "make a client", url: api_url.clone(), source: error.into() }
        })?;
        Ok(Self { cloudflare, api_url, namespace: config.kv_namespace_id.clone() })
    }

    /// All keys, in no particular order. What lies there without metadata, because another tool wrote it, is fetched.
    pub async fn list(&self) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        let mut cursor = None;
        loop {
            let (page, next) = self.page(cursor.as_deref()).await?;
            let looked_up = stream::iter(page).map(|listed| self.look_up(listed)).buffered(FETCHES);
            let looked_up: Vec<_> = looked_up.try_collect().await?;
            for entry in looked_up.into_iter().flatten() {
                match entry {
                    Ok(entry) => listing.entries.push(entry),
                    Err(name) => listing.unreadable.push(name),
                }
            }
            match next {
                Some(next) => cursor = Some(next),
                None => return Ok(listing),
            }
        }
    }

    async fn page(&self, cursor: Option<&str>) -> Result<(Vec<Listed>, Option<String>), StoreError> {
        let mut url = self.url(&["keys"]);
        url.query_pairs_mut().append_pair("prefix", KeyHash::KV_PREFIX).append_pair("limit", PAGE);
        if let Some(cursor) = cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let answer = call::<Vec<Listed>>(|| self.cloudflare.request(Method::GET, &url)).await;
        let answer = answer.map_err(|source| self.failed("list the keys", source))?;
        let next = answer.info.cursor.filter(|cursor| !cursor.is_empty());
        Ok((answer.result.unwrap_or_default(), next))
    }

    /// An error is the name of a value that is no record; there is nothing where it was deleted a moment ago.
    async fn look_up(&self, listed: Listed) -> Result<Option<Result<Entry, String>>, StoreError> {
        let Listed { name, metadata } = listed;
        let summary = metadata.and_then(|metadata| serde_json::from_value(metadata).ok());
        if let Some(summary) = summary {
            return Ok(Some(Ok(Entry { name, summary })));
        }
        match self.get(&name).await {
            Ok(Some(record)) => Ok(Some(Ok(Entry { name, summary: Summary::from(&record) }))),
            Ok(None) => Ok(None),
            Err(StoreError::Record { name, .. }) => Ok(Some(Err(name))),
            Err(error @ StoreError::Api { .. }) => Err(error),
        }
    }

    /// The record under a name.
    pub async fn get(&self, name: &str) -> Result<Option<KeyRecord>, StoreError> {
        let url = self.url(&["values", name]);
        match value(|| self.cloudflare.request(Method::GET, &url)).await {
            Ok(value) => serde_json::from_slice(&value)
                .map(Some)
                .map_err(|source| StoreError::Record { name: name.to_owned(), source }),
            Err(error) if error.has_code(KEY_NOT_FOUND) => Ok(None),
            Err(source) => Err(self.failed("read a key's record", source)),
        }
    }

    /// Puts a record under a name, and what listings tell of it beside it.
    pub async fn put(&self, name: &str, record: &KeyRecord) -> Result<(), StoreError> {
        let unreadable = |source| StoreError::Record { name: name.to_owned(), source };
        let value = serde_json::to_string(record).map_err(unreadable)?;
        let metadata = serde_json::to_string(&Summary::from(record)).map_err(unreadable)?;
        let (content_type, body) = form(&[("value", &value), ("metadata", &metadata)]);
        let url = self.url(&["values", name]);
        let request = || {
            let request = self.cloudflare.request(Method::PUT, &url);
            request.header(CONTENT_TYPE, &content_type).body(body.clone())
        };
        let answer = call::<Value>(request).await;
        answer.map(|_| ()).map_err(|source| self.failed("write a key's record", source))
    }

    fn url(&self, path: &[&str]) -> Url {
        let namespace = ["storage", "kv", "namespaces", &self.namespace];
        self.cloudflare.url(&[&namespace, path].concat())
    }

    fn failed(&self, doing: &'static str, source: ApiError) -> StoreError {
        StoreError::Api { doing, url: self.api_url.clone(), source }
    }
}

/// Sends what `request` makes, again where that may help.
async fn call<T: DeserializeOwned>(request: impl Fn() -> RequestBuilder) -> Result<Answer<T>, ApiError> {
    cloudflare::open(retry::send(request).await?, MAX_ANSWER_BYTES).await
}

/// As [`call`], for a value of KV, which comes as it is.
async fn value(request: impl Fn() -> RequestBuilder) -> Result<Vec<u8>, ApiError> {
    cloudflare::value(retry::send(request).await?, MAX_ANSWER_BYTES).await
}

/// A form of `multipart/form-data`, with its content type. The parts are JSON, in which no line can be the boundary.
fn form(parts: &[(&str, &str)]) -> (String, String) {
    const BOUNDARY: &str = "spillway-7d3f5c1b9a";
    let mut body = String::new();
    for (name, part) in parts {
        body += &format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{part}\r\n");
    }
    body += &format!("--{BOUNDARY}--\r\n");
    (format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(json: &str) -> Summary {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_largest_summary_fits_what_kv_keeps_beside_a_value() {
        let name = "x".repeat(spillway_proto::ids::MAX_NAME_BYTES);
        let time = "2026-11-20T10:00:00.123456789Z";
        let json = format!(
            r#"{{"tenant":"{name}","project":"{name}","key_id":"{name}","status":"revoked","not_before":"{time}","expires_at":"{time}"}}"#
        );
        assert!(serde_json::to_string(&summary(&json)).unwrap().len() <= 1024);
    }

    #[test]
    fn a_key_is_in_the_state_that_the_edge_sees() {
        let now = UnixMillis(1_795_230_245_678);
        for (fields, state) in [
            (r#""status":"active""#, State::Active),
            (r#""status":"revoked","expires_at":"2020-01-01T00:00:00Z""#, State::Revoked),
            (r#""status":"active","expires_at":"2020-01-01T00:00:00Z""#, State::Expired),
            (r#""status":"active","not_before":"2030-01-01T00:00:00Z""#, State::NotYetValid),
        ] {
            let summary = summary(&format!(r#"{{"tenant":"acme","key_id":"k",{fields}}}"#));
            assert_eq!(summary.state(now), state);
            assert_eq!(state.is_usable(), matches!(state, State::Active | State::NotYetValid));
        }
    }

    #[test]
    fn a_form_has_its_parts() {
        let (content_type, body) = form(&[("value", "{}"), ("metadata", "[]")]);
        assert_eq!(content_type, "multipart/form-data; boundary=spillway-7d3f5c1b9a");
        insta::assert_snapshot!(body.replace("\r\n", "\n"), @r#"
        --spillway-7d3f5c1b9a
        content-disposition: form-data; name="value"

        {}
        --spillway-7d3f5c1b9a
        content-disposition: form-data; name="metadata"

        []
        --spillway-7d3f5c1b9a--
        "#);
    }
}
