//! The key of a request, and what is wrong with one that arrives in another form than those that are taken.

use std::borrow::Cow;

use http::header::AUTHORIZATION;
use spillway_proto::api_key::{ApiKey, PREFIX};

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
    /// `Authorization: Bearer<TAB>KEY`, `Authorization: Bearer: KEY`
    #[error(
        "`Authorization` has something other than one space behind its scheme: send `Authorization: Bearer KEY`, or the key alone in the header `x-api-key`"
    )]
    NotASpace,
    /// `Authorization: Bearer%20KEY`, `x-api-key: %22KEY%22`. The specification has the values of `OTEL_EXPORTER_OTLP_HEADERS`
    /// URL-encoded, and not every exporter decodes them:
    /// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables>.
    #[error(
        "the key arrives percent-encoded (`%20` where a space should be, or `%22` for a quotation mark): this exporter does not decode OTEL_EXPORTER_OTLP_HEADERS; write the characters themselves there, or set `x-api-key=KEY`, which needs none of them"
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
    /// `Authorization: Bearer Bearer KEY`
    #[error(
        "`Authorization` has a scheme twice: send `Authorization: Bearer KEY`; does the exporter add `Bearer` by itself?"
    )]
    SchemeTwice,
    /// `x-api-key: Bearer KEY`
    #[error(
        "there is a scheme before the key where the key stands alone (`x-api-key`, `x-api-token`, `?key=`): only `Authorization` has a scheme"
    )]
    SchemeBeforeLoneKey,
    /// `x-api-key: "KEY"`, `Authorization: Bearer 'KEY'`
    #[error(
        "the key arrives in quotes: leave them out where the header is set (a `.env` file or a container's settings keep quotes that a shell would remove)"
    )]
    Quoted,
    /// `Authorization: Bearer <KEY>`, `x-api-key: ${KEY}`
    #[error(
        "the key arrives in brackets: those of an example are to be left out, and those of a variable mean that nothing has put its value there"
    )]
    Bracketed,
    /// `x-api-key: KEY, KEY`, `x-api-key: x-api-key=KEY`
    #[error("there is something beside the key, or another key, in the same place: send one key alone")]
    NotAlone,
    /// Quotation marks of a word processor, no-break spaces.
    #[error(
        "the key arrives with characters outside of ASCII, such as curly quotes or a space that is none: type them anew, and leave quotes out"
    )]
    NotAscii,
}

/// A key in one of the places where it may be; none where nothing is there.
type Found<'a> = Result<Option<Cow<'a, str>>, MalformedKey>;

/// The key that the request presents: `Authorization: Bearer`, `x-api-key`, `x-api-token`, and, where that is allowed,
/// `?key=`, in this order. A place that holds none is passed over where another one does.
pub fn presented<'a>(head: &'a Head, allow_in_query: bool) -> Result<ApiKey, Rejection> {
    let in_query = || if allow_in_query { in_query(head) } else { Ok(None) };
    let places: [&dyn Fn() -> Found<'a>; 4] =
        [&|| bearer(head), &|| alone(head, "x-api-key"), &|| alone(head, "x-api-token"), &in_query];
    let mut malformed = None;
    for place in places {
        match place() {
            Ok(Some(key)) => return Ok(ApiKey::presented(&key)?),
            Ok(None) => {}
            Err(wrong) => malformed = malformed.or(Some(wrong)),
        }
    }
    Err(malformed.map_or(Rejection::MissingKey, Rejection::from))
}

/// The key behind `Authorization: Bearer`.
fn bearer(head: &Head) -> Found<'_> {
    let Some(value) = value(head, AUTHORIZATION.as_str())? else { return Ok(None) };
    let (scheme, key) = value.split_once(' ').unwrap_or((value, ""));
    match (scheme.to_ascii_lowercase().as_str(), key.trim()) {
        ("bearer", "") => Err(MalformedKey::NothingAfterBearer),
        ("bearer", key) => checked(key, MalformedKey::SchemeTwice).map(|()| Some(key.into())),
        ("basic", _) => Err(MalformedKey::Basic),
        (_, key) => Err(without_bearer(value, key.is_empty())),
    }
}

/// What is wrong with a value of `Authorization` that begins with neither `Bearer` nor `Basic` and a space.
fn without_bearer(value: &str, is_one_word: bool) -> MalformedKey {
    let decoded = percent_decoded(value);
    if decoded != value && (enclosed(&decoded).is_some() || has_scheme(&decoded) || is_spillways(&decoded)) {
        MalformedKey::PercentEncoded
    } else if let Some(enclosed) = enclosed(value) {
        enclosed
    } else if has_scheme(value) {
        MalformedKey::NotASpace
    } else if is_one_word || is_spillways(value) {
        MalformedKey::NoScheme
    } else {
        MalformedKey::OtherScheme
    }
}

/// The key in a header of its own.
fn alone<'a>(head: &'a Head, name: &str) -> Found<'a> {
    let Some(key) = value(head, name)? else { return Ok(None) };
    checked(key, MalformedKey::SchemeBeforeLoneKey).map(|()| Some(key.into()))
}

fn in_query(head: &Head) -> Found<'_> {
    let mut pairs = form_urlencoded::parse(head.query.as_deref().unwrap_or_default().as_bytes());
    let Some((_, key)) = pairs.find(|(name, key)| name == "key" && !key.is_empty()) else { return Ok(None) };
    checked(&key, MalformedKey::SchemeBeforeLoneKey).map(|()| Some(key))
}

/// The value of a header, without spaces around it; none where it is empty.
fn value<'a>(head: &'a Head, name: &str) -> Result<Option<&'a str>, MalformedKey> {
    match head.header(name).map(str::trim) {
        Some("") => Ok(None),
        None if head.headers.contains_key(name) => Err(MalformedKey::NotAscii),
        value => Ok(value),
    }
}

/// Finds what is certainly not a key: keys of other systems are opaque, and may hold almost anything. `scheme` is what a scheme
/// before the key means.
fn checked(key: &str, scheme: MalformedKey) -> Result<(), MalformedKey> {
    let wrong = |key: &str| {
        let scheme = || has_scheme(key).then_some(scheme);
        enclosed(key).or_else(scheme).or_else(|| holds_spillways(key).then_some(MalformedKey::NotAlone))
    };
    let decoded = percent_decoded(key);
    if decoded != key && (wrong(&decoded).is_some() || is_spillways(&decoded)) {
        return Err(MalformedKey::PercentEncoded);
    }
    wrong(key).map_or(Ok(()), Err)
}

/// What stands around it, if that is a quotation mark before or behind, or brackets. No key has them there.
fn enclosed(text: &str) -> Option<MalformedKey> {
    const QUOTES: [char; 11] = ['"', '\'', '`', '“', '”', '„', '‘', '’', '‚', '«', '»'];
    const ANGLES: [char; 2] = ['<', '>'];
    let has = |marks: &[char]| text.starts_with(marks) || text.ends_with(marks);
    let is_variable = text.trim_start_matches('$').starts_with('{') && text.ends_with('}');
    if has(&QUOTES) {
        Some(MalformedKey::Quoted)
    } else if has(&ANGLES) || is_variable {
        Some(MalformedKey::Bracketed)
    } else {
        None
    }
}

/// Whether it begins with `Bearer` or `Basic`, and something that separates those from a key.
fn has_scheme(text: &str) -> bool {
    let is_separated = |rest: &str| {
        let first = rest.chars().next();
        first.is_none_or(|char| char.is_ascii_whitespace() || matches!(char, ':' | '=' | '+' | ','))
            || is_spillways(rest)
    };
    ["bearer", "basic"].into_iter().any(|scheme| {
        let (begin, rest) = text.split_at_checked(scheme.len()).unwrap_or_default();
        begin.eq_ignore_ascii_case(scheme) && is_separated(rest)
    })
}

fn is_spillways(key: &str) -> bool {
    key.starts_with(PREFIX)
}

/// Whether a key of Spillway begins somewhere behind the beginning.
fn holds_spillways(text: &str) -> bool {
    text.rfind(PREFIX).is_some_and(|place| place > 0)
}

/// `text` without percent-encoding, be it encoded once or twice (`%2520`).
fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let once = |text: &str| {
        // What stands for something else in a form stands for itself here.
        let text = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
        let decoded = form_urlencoded::parse(text.as_bytes()).next();
        decoded.map(|(name, _)| name.into_owned()).unwrap_or_default()
    };
    Cow::Owned(once(&once(text)))
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
            ("authorization", format!("{KEY} {KEY}"), "no scheme"),
            ("authorization", "Bearer".to_owned(), "no key"),
            ("authorization", format!("Bearer\t{KEY}"), "other than one space"),
            ("authorization", format!("Bearer: {KEY}"), "other than one space"),
            ("authorization", format!("bearer={KEY}"), "other than one space"),
            ("authorization", format!("Bearer+{KEY}"), "other than one space"),
            ("authorization", format!("Bearer{KEY}"), "other than one space"),
            ("authorization", format!("Bearer%20{KEY}"), "%20"),
            ("authorization", format!("bearer%20{KEY}"), "%20"),
            ("authorization", format!("Basic%20{KEY}"), "%20"),
            ("authorization", format!("Bearer%2520{KEY}"), "%20"),
            ("authorization", format!("%22Bearer {KEY}%22"), "percent-encoded"),
            ("authorization", format!("Bearer %22{KEY}%22"), "percent-encoded"),
            ("authorization", format!("Bearer %3C{KEY}%3E"), "percent-encoded"),
            ("authorization", format!("Bearer {}", KEY.replace('_', "%5F")), "percent-encoded"),
            ("authorization", format!("Bearer {KEY}%0A"), "percent-encoded"),
            ("authorization", "Bearer %22flare-key%22".to_owned(), "percent-encoded"),
            ("x-api-key", format!("Bearer%20{KEY}"), "percent-encoded"),
            ("authorization", format!("Basic {in_base64}"), "scheme Basic"),
            ("authorization", format!("Basic {KEY}"), "scheme Basic"),
            ("authorization", format!("Token {KEY}"), "another scheme"),
            ("authorization", format!("Bearer Bearer {KEY}"), "scheme twice"),
            ("authorization", format!("Bearer bearer: {KEY}"), "scheme twice"),
            ("authorization", "Bearer Basic flare-key".to_owned(), "scheme twice"),
            ("x-api-key", format!("Bearer {KEY}"), "scheme before the key"),
            ("x-api-token", "bearer\tflare-key".to_owned(), "scheme before the key"),
            ("authorization", format!("Bearer <{KEY}>"), "brackets"),
            ("authorization", format!("<Bearer {KEY}>"), "brackets"),
            ("authorization", format!("<{KEY}>"), "brackets"),
            ("x-api-key", format!("<{KEY}>"), "brackets"),
            ("x-api-key", "${SPILLWAY_KEY}".to_owned(), "brackets"),
            ("x-api-key", "{{ SPILLWAY_KEY }}".to_owned(), "brackets"),
            ("x-api-key", format!("x-api-key={KEY}"), "beside the key"),
            ("x-api-key", format!("{KEY}, {KEY}"), "beside the key"),
            ("authorization", format!("Bearer {KEY}, Bearer {KEY}"), "beside the key"),
            ("authorization", format!("Bearer \"{KEY}\""), "quotes"),
            ("authorization", format!("'Bearer {KEY}'"), "quotes"),
            ("authorization", format!("\"{KEY}\""), "quotes"),
            ("x-api-key", format!("'{KEY}'"), "quotes"),
            ("x-api-token", format!("{KEY}\""), "quotes"),
            ("authorization", format!("Bearer “{KEY}”"), "curly quotes"),
            ("authorization", format!("“Bearer {KEY}”"), "curly quotes"),
            ("authorization", format!("Bearer\u{a0}{KEY}"), "curly quotes"),
            ("x-api-key", format!("‘{KEY}’"), "curly quotes"),
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
    fn a_key_in_the_query_is_looked_at_as_one_in_a_header_is() {
        let refused = |query: &str| {
            let headers = HeaderMap::new();
            let head =
                Head { method: Method::POST, path: "/".to_owned(), query: Some(query.to_owned()), headers };
            presented(&head, true).unwrap_err().to_string()
        };
        for (query, named) in [
            ("key=%22a%22", "quotes"),
            ("key=%E2%80%9Ca%E2%80%9D", "quotes"),
            ("key=Bearer+a", "scheme before the key"),
            ("key=Bearer%2520a", "percent-encoded"),
            ("key=%3Ca%3E", "brackets"),
        ] {
            let message = refused(query);
            assert!(message.contains(named), "{query}: {message}");
        }
    }

    #[test]
    fn keys_of_other_systems_are_taken_whatever_they_hold() {
        for key in [
            "a%2Bb",
            "100%",
            "%",
            "%zz",
            "a b",
            "bearer-1",
            "bearers",
            "basic_plan",
            "a=b&c=d",
            "a+b/c==",
            "{a",
            "$a",
            "[a]",
            "spw",
            "a,b",
            "x:y",
        ] {
            assert_eq!(found(&[("x-api-key", key)], None, false).as_deref(), Some(key));
        }
    }

    #[test]
    fn empty_ones_and_other_schemes_are_no_keys_and_the_next_place_counts() {
        assert_eq!(found(&[("authorization", "Bearer ")], None, true), None);
        assert_eq!(found(&[("authorization", "Basic abc"), ("x-api-key", " ")], Some("key="), true), None);
        for malformed in ["Basic abc", "Bearer", "abc", "Bearer%20abc", "Bearer <abc>", "Bearer \"abc\""] {
            let headers = [("authorization", malformed), ("x-api-key", "b")];
            assert_eq!(found(&headers, None, true).as_deref(), Some("b"));
        }
        assert_eq!(found(&[("x-api-key", "'a'"), ("x-api-token", "b")], None, true).as_deref(), Some("b"));
        assert_eq!(found(&[("authorization", "bearer  a ")], None, true).as_deref(), Some("a"));
    }
}
