//! The headers that tell of a way, reduced to what of them does not differ from one request to the next.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use spillway_proto::Sha256Digest;
use spillway_proto::probe::{FRONT_DOOR, Route};

/// Headers of which it tells whether they are there. Cloudflare sets the first ones; the last one is set by a rule of the zone,
/// if its operator has made it (deploy/WAF.md).
const PRESENT: [&str; 7] =
    ["cf-worker", "cf-ray", "cf-visitor", "cf-ipcountry", "cf-ew-via", "cf-mitigated", FRONT_DOOR];
const CONNECTING_IP: &str = "cf-connecting-ip";
const LOOP: &str = "cdn-loop";
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The one address that the requests of other zones' Workers come from:
/// <https://developers.cloudflare.com/fundamentals/reference/http-headers/#cf-connecting-ip-in-worker-subrequests>
const WORKERS_ADDRESS: &str = "2a06:98c0:3600::103";
/// Hex digits of the hash that a route's name ends with.
const HASH_DIGITS: usize = 8;

/// The way that a request with these headers came. It holds no address, no ray and no secret.
pub fn of(headers: &HeaderMap) -> Route {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let mut told = BTreeMap::new();
    for name in PRESENT {
        told.insert(name.to_owned(), if headers.contains_key(name) { "present" } else { "absent" });
    }
    told.insert(
        CONNECTING_IP.to_owned(),
        match text(CONNECTING_IP) {
            None => "absent",
            Some(WORKERS_ADDRESS) => "of another zone's Worker",
            Some(_) => "present",
        },
    );
    told.insert(LOOP.to_owned(), text(LOOP).map_or("absent", passes));
    told.insert(
        FORWARDED_FOR.to_owned(),
        match headers
            .get_all(FORWARDED_FOR)
            .iter()
            .map(|value| value.as_bytes().split(|byte| *byte == b',').count())
            .sum()
        {
            0 => "absent",
            1 => "one",
            _ => "several",
        },
    );
    let headers: BTreeMap<String, String> =
        told.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    let name = format!("{}-{}", reading(&headers), hash(&headers));
    Route { name, headers }
}

/// How often Cloudflare has been passed; how often exactly may differ from request to request.
fn passes(value: &str) -> &'static str {
    let of_cloudflare = value.split(',').filter(|part| part.trim_start().starts_with("cloudflare")).count();
    match (of_cloudflare, value.contains("subreqs=")) {
        (0, _) => "of others",
        (1, false) => "once",
        (1, true) => "once, as a subrequest",
        _ => "several times",
    }
}

/// What people make of it. It decides nothing: the hash is what is compared.
fn reading(headers: &BTreeMap<String, String>) -> &'static str {
    let is_there = |name: &str| headers.get(name).is_some_and(|value| value != "absent");
    match (is_there("cf-worker"), is_there(FRONT_DOOR), is_there("cf-ray")) {
        (true, true, _) => "worker-by-the-front-door",
        (true, false, _) => "worker",
        (false, true, _) | (false, false, true) => "front-door",
        (false, false, false) => "unmarked",
    }
}

fn hash(headers: &BTreeMap<String, String>) -> String {
    let text: String = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let mut digest = Sha256Digest::of(text.as_bytes()).to_string();
    digest.truncate(HASH_DIGITS);
    digest
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn route(headers: &[(&'static str, &'static str)]) -> Route {
        of(&headers
            .iter()
            .map(|(name, value)| ((*name).parse().unwrap(), HeaderValue::from_static(value)))
            .collect())
    }

    const WORKER: [(&str, &str); 5] = [
        ("cf-worker", "example.com"),
        ("cf-ray", "9a1b2c3d4e5f6a7b-FRA"),
        ("cf-connecting-ip", "203.0.113.7"),
        ("cdn-loop", "cloudflare; loops=1; subreqs=1"),
        ("x-forwarded-for", "203.0.113.7"),
    ];

    #[test]
    fn what_differs_from_request_to_request_does_not_count() {
        let mut other = WORKER;
        other[1].1 = "8888888888888888-AMS";
        other[2].1 = "2001:db8::1";
        other[3].1 = "cloudflare; loops=1; subreqs=3";
        other[4].1 = "2001:db8::1";
        assert_eq!(route(&WORKER), route(&other));
        assert!(route(&WORKER).name.starts_with("worker-"));
        let shown = format!("{:?}", route(&WORKER));
        assert!(!shown.contains("203.0.113.7") && !shown.contains("9a1b2c3d"), "{shown}");
    }

    #[test]
    fn every_sign_of_another_way_is_another_route() {
        let mut names = vec![route(&WORKER).name, route(&[]).name, route(&WORKER[..1]).name];
        for changed in [
            vec![(FRONT_DOOR, "1")],
            vec![("cf-ew-via", "15")],
            vec![("cdn-loop", "cloudflare; loops=1")],
            vec![("cdn-loop", "cloudflare; loops=2, cloudflare")],
            vec![("cf-connecting-ip", "2a06:98c0:3600::103")],
            vec![("x-forwarded-for", "203.0.113.7, 198.51.100.1")],
        ] {
            let replaced = changed[0].0;
            let kept = WORKER.into_iter().filter(|(name, _)| *name != replaced);
            names.push(route(&kept.chain(changed).collect::<Vec<_>>()).name);
        }
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all, "{names:?}");
        assert!(names.iter().any(|name| name.starts_with("unmarked-")), "{names:?}");
        assert!(names.iter().any(|name| name.starts_with("worker-by-the-front-door-")), "{names:?}");
    }
}
