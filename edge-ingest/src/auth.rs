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

/// What is wrong with a key, or with the header around it, that is sent in none of the forms that are taken. The mistakes are those
/// of real configurations. None of the messages repeats what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedKey {
    /// `Authorization: KEY`
    #[error(
        "`Authorization` has no scheme before the key: send `Authorization: Bearer KEY`, or the key alone in the header `x-api-key`"
    )]
    NoScheme,
    /// `Authorization: Bearer`
    #[error(
        "`Authorization: Bearer` is followed by no key: is the variable empty that the key is taken from?"
    )]
    NothingAfterBearer,
    /// `Authorization: Bearer%20KEY`. The specification has the values of `OTEL_EXPORTER_OTLP_HEADERS` URL-encoded, and not every
    /// exporter decodes them: <https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables>.
    #[error(
        "`Authorization` holds `%20` where a space should be: this exporter does not decode OTEL_EXPORTER_OTLP_HEADERS; write a space there, or set `x-api-key=KEY`, which needs none"
    )]
    PercentEncoded,
    /// `Authorization: Basic ...`
    #[error(
        "`Authorization` has the scheme Basic: send `Authorization: Bearer KEY`, or the key alone in the header `x-api-key`, neither of them in base64"
    )]
    Basic,
    /// `Authorization: Token KEY`
    #[error(
        "`Authorization` has another scheme than Bearer: send `Authorization: Bearer KEY`, or the key alone in the header `x-api-key`"
    )]
    OtherScheme,
    /// `x-api-key: "KEY"`, `Authorization: Bearer 'KEY'`
    #[error(
        "the key arrives in quotes: leave them out where the header is set (a `.env` file or a container's settings keep quotes that a shell would remove)"
    )]
    Quoted,
}

/// The key that the request presents: `Authorization: Bearer`, `x-api-key`, `x-api-token`, and, where that is allowed,
/// `?key=`, in this order. A header that holds none is passed over where another one does.
pub fn presented(head: &Head, allow_in_query: bool) -> Result<ApiKey, Rejection> {
    let header =
        |name: &str| head.header(name).map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned);
    let bearer = bearer(head);
    let key = bearer
        .clone()
        .unwrap_or_default()
        .or_else(|| header("x-api-key"))
        .or_else(|| header("x-api-token"))
        .or_else(|| if allow_in_query { in_query(head) } else { None });
    let Some(key) = key else { return Err(bearer.map_or_else(Rejection::from, |_| Rejection::MissingKey)) };
    if is_quoted(&key) {
        return Err(MalformedKey::Quoted.into());
    }
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

/// The key behind `Authorization: Bearer`; none where there is no such header.
fn bearer(head: &Head) -> Result<Option<String>, MalformedKey> {
    let Some(value) = head.header(AUTHORIZATION.as_str()).map(str::trim).filter(|value| !value.is_empty())
    else {
        return Ok(None);
    };
    let (scheme, key) = value.split_once(' ').unwrap_or((value, ""));
    let (scheme, key) = (scheme.to_ascii_lowercase(), key.trim());
    match (scheme.as_str(), key) {
        ("bearer", "") => Err(MalformedKey::NothingAfterBearer),
        ("bearer", key) => Ok(Some(key.to_owned())),
        ("basic", _) => Err(MalformedKey::Basic),
        (scheme, _) if scheme.starts_with("bearer%20") => Err(MalformedKey::PercentEncoded),
        _ if is_quoted(value) => Err(MalformedKey::Quoted),
        (_, "") => Err(MalformedKey::NoScheme),
        _ => Err(MalformedKey::OtherScheme),
    }
}

/// Whether a quotation mark is before or behind it. No key has one there.
fn is_quoted(value: &str) -> bool {
    const MARKS: [char; 3] = ['"', '\'', '`'];
    value.starts_with(MARKS) || value.ends_with(MARKS)
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

    fn refused(name: &'static str, value: &str) -> Rejection {
        let headers = [(http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())];
        let headers = HeaderMap::from_iter(headers);
        let head = Head { method: Method::POST, path: "/".to_owned(), query: None, headers };
        presented(&head, false).unwrap_err()
    }

    #[test]
    fn a_mistyped_key_is_told_from_a_missing_one() {
        assert_eq!(refused("x-api-key", "spw_live_ab_00000000").code(), "mistyped_key");
        assert_eq!(refused("x-api-key", "").code(), "missing_key");
        assert_eq!(refused("authorization", " ").code(), "missing_key");
    }

    #[test]
    fn a_key_in_another_form_is_refused_with_what_is_wrong_and_never_repeated() {
        const KEY: &str = "spw_live_0123456789012345678901234567890123456789_00000000";
        let in_base64 = "c3B3X2xpdmVfMDEyMzQ1Njc4OTpzcHdfbGl2ZV8w";
        for (name, value, named) in [
            ("authorization", KEY.to_owned(), "no scheme"),
            ("authorization", "Bearer".to_owned(), "no key"),
            ("authorization", format!("Bearer%20{KEY}"), "%20"),
            ("authorization", format!("bearer%20{KEY}"), "%20"),
            ("authorization", format!("Basic {in_base64}"), "scheme Basic"),
            ("authorization", format!("Basic {KEY}"), "scheme Basic"),
            ("authorization", format!("Token {KEY}"), "another scheme"),
            ("authorization", format!("Bearer \"{KEY}\""), "quotes"),
            ("authorization", format!("'Bearer {KEY}'"), "quotes"),
            ("authorization", format!("\"{KEY}\""), "quotes"),
            ("x-api-key", format!("'{KEY}'"), "quotes"),
            ("x-api-token", format!("{KEY}\""), "quotes"),
        ] {
            let rejection = refused(name, &value);
            assert_eq!((rejection.status(), rejection.code()), (401, "malformed_key"), "{value}");
            let message = rejection.to_string();
            assert!(message.contains(named) && message.is_ascii(), "{value}: {message}");
            assert!(
                ![KEY, in_base64, "0123456789"].iter().any(|secret| message.contains(secret)),
                "{message}"
            );
        }
    }

    #[test]
    fn empty_ones_and_other_schemes_are_no_keys_and_the_next_place_counts() {
        assert_eq!(found(&[("authorization", "Bearer ")], None, true), None);
        assert_eq!(found(&[("authorization", "Basic abc"), ("x-api-key", " ")], Some("key="), true), None);
        for malformed in ["Basic abc", "Bearer", "abc", "Bearer%20abc"] {
            let headers = [("authorization", malformed), ("x-api-key", "b")];
            assert_eq!(found(&headers, None, true).as_deref(), Some("b"));
        }
        assert_eq!(found(&[("authorization", "bearer  a ")], None, true).as_deref(), Some("a"));
    }
}
