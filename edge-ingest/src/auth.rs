//! Step 2: find the key, and whose it is.

use std::rc::Rc;

use http::header::AUTHORIZATION;
use spillway_proto::api_key::{ApiKey, KeyHash};
use spillway_proto::key_record::KeyRecord;

use crate::config::KeyConfig;
use crate::key_cache::{KeyCache, Remembered};
use crate::mesh::link::Link;
use crate::ports::{KeyStore, PortError, Runtime};
use crate::reject::Rejection;
use crate::request::Head;

/// The key that the request presents: `Authorization: Bearer`, `x-api-key`, `x-api-token`, and, where that is allowed,
/// `?key=`, in this order.
pub fn presented(head: &Head, allow_in_query: bool) -> Result<ApiKey, Rejection> {
    let header =
        |name: &str| head.header(name).map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned);
    let key = bearer(head)
        .or_else(|| header("x-api-key"))
        .or_else(|| header("x-api-token"))
        .or_else(|| if allow_in_query { in_query(head) } else { None })
        .ok_or(Rejection::MissingKey)?;
    Ok(ApiKey::presented(&key)?)
}

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

fn bearer(head: &Head) -> Option<String> {
    let (scheme, key) = head.header(AUTHORIZATION.as_str())?.trim().split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then(|| key.to_owned())
}

fn in_query(head: &Head) -> Option<String> {
    let query = head.query.as_deref()?;
    let (_, key) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "key")?;
    (!key.is_empty()).then(|| key.into_owned())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;

    fn found(
        headers: &[(&'static str, &'static str)],
        query: Option<&str>,
        allow_in_query: bool,
    ) -> Option<String> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        let head =
            Head { method: Method::POST, path: "/".to_owned(), query: query.map(str::to_owned), headers };
        presented(&head, allow_in_query).ok().map(|key| key.expose().to_owned())
    }

    #[test]
    fn all_four_ways_are_looked_at_in_their_order() {
        let all = [("authorization", "Bearer a"), ("x-api-key", "b"), ("x-api-token", "c")];
        for (skip, expected) in [(0, "a"), (1, "b"), (2, "c"), (3, "d")] {
            assert_eq!(found(&all[skip..], Some("x=1&key=d"), true).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_key_in_the_query_counts_only_where_it_is_allowed() {
        assert_eq!(found(&[], Some("key=d"), false), None);
        assert_eq!(found(&[], Some("key=a%2Bb"), true).as_deref(), Some("a+b"));
    }

    #[test]
    fn a_mistyped_key_is_told_from_a_missing_one() {
        let head = |key: &'static str| {
            let headers = [(http::HeaderName::from_static("x-api-key"), HeaderValue::from_static(key))];
            Head {
                method: Method::POST,
                path: "/".to_owned(),
                query: None,
                headers: HeaderMap::from_iter(headers),
            }
        };
        let refused = |key| presented(&head(key), false).unwrap_err().code();
        assert_eq!(refused("spw_live_ab_00000000"), "mistyped_key");
        assert_eq!(refused(""), "missing_key");
    }

    #[test]
    fn empty_ones_and_other_schemes_are_no_keys() {
        assert_eq!(found(&[("authorization", "Bearer ")], None, true), None);
        assert_eq!(found(&[("authorization", "Basic abc"), ("x-api-key", " ")], Some("key="), true), None);
        assert_eq!(found(&[("authorization", "bearer  a ")], None, true).as_deref(), Some("a"));
    }
}
