//! Step 2: find the key, and whose it is.

use http::header::AUTHORIZATION;
use spillway_proto::api_key::{ApiKey, KeyHash};
use spillway_proto::key_record::KeyRecord;

use crate::ports::KeyStore;
use crate::reject::Rejection;
use crate::request::Head;

/// The key as the exporter presents it. It does not print itself, and is dropped once it is hashed.
pub struct PresentedKey(String);

impl PresentedKey {
    /// Looks in the places where exporters put a key, in this order: `Authorization: Bearer`, `x-api-key`,
    /// `x-api-token`, and, where that is allowed, `?key=`.
    pub fn find(head: &Head, allow_in_query: bool) -> Option<Self> {
        let header =
            |name: &str| head.header(name).map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned);
        bearer(head)
            .or_else(|| header("x-api-key"))
            .or_else(|| header("x-api-token"))
            .or_else(|| if allow_in_query { in_query(head) } else { None })
            .map(Self)
    }
}

/// Authenticates `key`.
pub async fn authenticate(key: &PresentedKey, keys: &impl KeyStore) -> Result<KeyRecord, Rejection> {
    if key.0.len() > MAX_KEY_BYTES {
        return Err(Rejection::UnknownKey);
    }
    // Looking up by hash leaves nothing to compare: no timing tells how much of a guess was right.
    let record =
        keys.find(&KeyHash::of(&key.0)).await.map_err(Rejection::Fault)?.ok_or(Rejection::UnknownKey)?;
    match record.status {
        KeyStatus::Active => Ok(record),
        KeyStatus::Revoked => Err(Rejection::RevokedKey),
    }
}

fn bearer(head: &Head) -> Option<String> {
    let (scheme, key) = head.header(AUTHORIZATION)?.trim().split_once(' ')?;
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
        PresentedKey::find(&head, allow_in_query).map(|key| key.0)
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
    fn empty_ones_and_other_schemes_are_no_keys() {
        assert_eq!(found(&[("authorization", "Bearer ")], None, true), None);
        assert_eq!(found(&[("authorization", "Basic abc"), ("x-api-key", " ")], Some("key="), true), None);
        assert_eq!(found(&[("authorization", "bearer  a ")], None, true).as_deref(), Some("a"));
    }
}
