//! Rate limiting rules: <https://developers.cloudflare.com/waf/rate-limiting-rules/request-rate/>
//!
//! What is documented: counters by the values of the characteristics; counted is what the counting expression holds for, whether
//! the rule's own does or not; the request that goes over the limit is the first one to meet the action; for `mitigation_timeout`
//! seconds the action then holds for all requests with these values; with 0, for those over the limit only. What is not: whether
//! the period slides (here it does), and whether what is refused counts (here it does not, and a counter begins anew after a
//! mitigation). Counters are exact and at once here; Cloudflare's may lag by seconds, and are one set a data centre.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::expression::{Expression, ExpressionError};
use crate::request::{Answer, Request};
use crate::ruleset::RateLimit;

/// A limit and its counters.
#[derive(Debug)]
pub struct Limiter {
    matching: Expression,
    counting: Expression,
    characteristics: Vec<Characteristic>,
    period: Duration,
    most: u64,
    timeout: Duration,
    counters: HashMap<Vec<Option<Vec<u8>>>, Counter>,
}

#[derive(Debug, Default)]
struct Counter {
    counted: VecDeque<Instant>,
    mitigated_until: Option<Instant>,
}

/// A limit that cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// Its expression, or its counting expression.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// Cloudflare refuses it as well.
    #[error("{0}")]
    Refused(&'static str),
    /// It may be right, and is not simulated.
    #[error("{0} is not simulated")]
    NotSimulated(String),
}

#[derive(Debug)]
enum Characteristic {
    DataCentre,
    Address,
    Host,
    Path,
    Country,
    Network,
    Header(String),
    Cookie(String),
    Parameter(String),
}

impl Limiter {
    /// The limit of a rule that matches `expression`.
    ///
    /// # Errors
    ///
    /// It is none that Cloudflare takes, or one that is not simulated.
    pub fn new(expression: &str, limit: &RateLimit) -> Result<Self, LimitError> {
        let matching = Expression::parse(expression)?;
        let counting = match limit.counting_expression.as_deref() {
            None | Some("") => matching.clone(),
            Some(counting) => Expression::parse_counting(counting)?,
        };
        let characteristics: Vec<_> =
            limit.characteristics.iter().map(|name| Characteristic::named(name)).collect::<Result<_, _>>()?;
        if !characteristics.iter().any(|characteristic| matches!(characteristic, Characteristic::DataCentre))
        {
            return Err(LimitError::Refused(
                "ratelimit.characteristics lacks cf.colo.id, which Cloudflare asks for",
            ));
        }
        if limit.score_per_period.is_some() || limit.score_response_header_name.is_some() {
            return Err(LimitError::NotSimulated("ratelimit.score_per_period".to_owned()));
        }
        let Some(most) = limit.requests_per_period else {
            return Err(LimitError::NotSimulated("ratelimit without requests_per_period".to_owned()));
        };
        if limit.period == 0 {
            return Err(LimitError::Refused("ratelimit.period is 0"));
        }
        Ok(Self {
            matching,
            counting,
            characteristics,
            period: Duration::from_secs(limit.period.into()),
            most,
            timeout: Duration::from_secs(limit.mitigation_timeout.unwrap_or(0).into()),
            counters: HashMap::new(),
        })
    }

    /// Counts a request; whether the rule's action is for it.
    pub fn request(&mut self, request: &Request, now: Instant) -> bool {
        let matches = self.matching.matches(request, None);
        let counts = !self.counting.looks_at_answer() && self.counting.matches(request, None);
        if !matches && !counts {
            return false;
        }
        let values = self.values(request);
        let counter = self.counters.entry(values).or_default();
        if counter.mitigated_until.is_some_and(|until| now < until) {
            return matches;
        }
        if counter.mitigated_until.take().is_some() {
            counter.counted.clear();
        }
        while counter.counted.front().is_some_and(|first| now.duration_since(*first) >= self.period) {
            counter.counted.pop_front();
        }
        if counts {
            counter.counted.push_back(now);
        }
        let over = counter.counted.len() as u64 > self.most;
        if !matches || !over {
            return false;
        }
        if self.timeout.is_zero() {
            if counts {
                counter.counted.pop_back();
            }
        } else {
            counter.mitigated_until = Some(now + self.timeout);
        }
        true
    }

    /// Counts what a request was answered, where the counting expression asks for that.
    pub fn answer(&mut self, request: &Request, answer: &Answer, now: Instant) {
        if self.counting.looks_at_answer() && self.counting.matches(request, Some(answer)) {
            let values = self.values(request);
            self.counters.entry(values).or_default().counted.push_back(now);
        }
    }

    /// A header that is missing is another value than an empty one.
    fn values(&self, request: &Request) -> Vec<Option<Vec<u8>>> {
        self.characteristics.iter().map(|characteristic| characteristic.value(request)).collect()
    }
}

impl Characteristic {
    fn named(name: &str) -> Result<Self, LimitError> {
        let key_of = |map: &str| {
            let key = name.strip_prefix(map)?.strip_prefix("[\"")?.strip_suffix("\"]")?;
            Some(key.to_owned())
        };
        Ok(match name {
            "cf.colo.id" => Self::DataCentre,
            // Which visitors share an address is Cloudflare's secret.
            "ip.src" | "cf.unique_visitor_id" => Self::Address,
            "http.host" => Self::Host,
            "http.request.uri.path" => Self::Path,
            "ip.src.country" | "ip.geoip.country" => Self::Country,
            "ip.src.asnum" | "ip.geoip.asnum" => Self::Network,
            _ => {
                if let Some(header) = key_of("http.request.headers") {
                    Self::Header(header)
                } else if let Some(cookie) = key_of("http.request.cookies") {
                    Self::Cookie(cookie)
                } else if let Some(parameter) = key_of("http.request.uri.args") {
                    Self::Parameter(parameter)
                } else {
                    return Err(LimitError::NotSimulated(format!("the characteristic `{name}`")));
                }
            }
        })
    }

    fn value(&self, request: &Request) -> Option<Vec<u8>> {
        match self {
            // The simulator is one data centre.
            Self::DataCentre => Some(Vec::new()),
            Self::Address => Some(request.client.ip.to_string().into_bytes()),
            Self::Host => Some(request.host.clone().into_bytes()),
            Self::Path => Some(request.uri.path().as_bytes().to_vec()),
            Self::Country => Some(request.client.country.clone().into_bytes()),
            Self::Network => Some(request.client.asn.to_be_bytes().to_vec()),
            Self::Header(name) => request.header(name).into_iter().next(),
            Self::Cookie(name) => request.cookie(name).into_iter().next(),
            Self::Parameter(name) => request.parameter(name).into_iter().next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn limit(most: u64, timeout: u32, characteristics: &[&str]) -> RateLimit {
        RateLimit {
            characteristics: ["cf.colo.id"]
                .iter()
                .chain(characteristics)
                .map(|name| (*name).to_owned())
                .collect(),
            period: 10,
            requests_per_period: Some(most),
            mitigation_timeout: Some(timeout),
            counting_expression: None,
            requests_to_origin: None,
            score_per_period: None,
            score_response_header_name: None,
        }
    }

    fn from(address: &str) -> Request {
        let mut request = Request::get("example.com", "/form".parse().expect("a URI"));
        request.client.ip = address.parse().expect("an address");
        request
    }

    struct Times(Instant);

    impl Times {
        fn at(&self, millis: u64) -> Instant {
            self.0 + Duration::from_millis(millis)
        }
    }

    fn limiter(limit: &RateLimit) -> (Limiter, Times) {
        (Limiter::new("http.request.uri.path eq \"/form\"", limit).expect("a limit"), Times(Instant::now()))
    }

    #[test]
    fn the_first_one_over_the_limit_begins_the_mitigation() {
        let (mut limiter, times) = limiter(&limit(2, 60, &["ip.src"]));
        let request = from("192.0.2.1");
        let refused = [0, 1, 2, 3, 59_000].map(|millis| limiter.request(&request, times.at(millis)));
        assert_eq!(refused, [false, false, true, true, true]);
        let refused = [60_002, 60_003, 60_004].map(|millis| limiter.request(&request, times.at(millis)));
        assert_eq!(refused, [false, false, true], "and then all anew");
    }

    #[test]
    fn the_period_slides() {
        let (mut limiter, times) = limiter(&limit(2, 10, &["ip.src"]));
        let request = from("192.0.2.1");
        let refused = [0, 9_000, 10_000, 18_999].map(|millis| limiter.request(&request, times.at(millis)));
        assert_eq!(refused, [false, false, false, true]);
    }

    #[test]
    fn just_over_the_limit_half_is_refused() {
        let (mut limiter, times) = limiter(&limit(100, 10, &["ip.src"]));
        let request = from("192.0.2.1");
        let refused = (0..2_000).filter(|n| limiter.request(&request, times.at(n * 95))).count();
        assert!((950..1_100).contains(&refused), "{refused}");
    }

    #[test]
    fn without_a_timeout_only_those_over_the_limit_are_refused() {
        let (mut limiter, times) = limiter(&limit(2, 0, &["ip.src"]));
        let request = from("192.0.2.1");
        let refused = [0, 1_000, 2_000, 10_000, 10_500, 11_000]
            .map(|millis| limiter.request(&request, times.at(millis)));
        assert_eq!(refused, [false, false, true, false, true, false]);
    }

    #[test]
    fn each_combination_of_values_has_its_counter() {
        let (mut limiter, times) = limiter(&limit(1, 60, &["ip.src", "http.request.headers[\"x-api-key\"]"]));
        let with_key = |address: &str, key: Option<&'static str>| {
            let mut request = from(address);
            if let Some(key) = key {
                request.headers.insert("x-api-key", HeaderValue::from_static(key));
            }
            request
        };
        for (address, key) in [
            ("192.0.2.1", Some("a")),
            ("192.0.2.1", Some("b")),
            ("192.0.2.2", Some("a")),
            ("192.0.2.1", None),
            ("192.0.2.1", Some("")),
        ] {
            let refused = [0, 1].map(|millis| limiter.request(&with_key(address, key), times.at(millis)));
            assert_eq!(refused, [false, true], "{address} {key:?}");
        }
    }

    #[test]
    fn what_the_rule_does_not_match_is_neither_counted_nor_refused() {
        let (mut limiter, times) = limiter(&limit(1, 60, &["ip.src"]));
        let other = Request { uri: "/other".parse().expect("a URI"), ..from("192.0.2.1") };
        assert_eq!([0, 1, 2].map(|millis| limiter.request(&other, times.at(millis))), [false; 3]);
        assert_eq!([3, 4].map(|millis| limiter.request(&from("192.0.2.1"), times.at(millis))), [false, true]);
        assert!(!limiter.request(&other, times.at(5)), "nor while the rule mitigates");
    }

    #[test]
    fn a_counting_expression_counts_for_itself() {
        let counting = Some("http.request.uri.path eq \"/other\"".to_owned());
        let (mut limiter, times) =
            limiter(&RateLimit { counting_expression: counting, ..limit(1, 60, &["ip.src"]) });
        let other = Request { uri: "/other".parse().expect("a URI"), ..from("192.0.2.1") };
        assert_eq!([0, 1].map(|millis| limiter.request(&other, times.at(millis))), [false, false]);
        assert!(limiter.request(&from("192.0.2.1"), times.at(2)));
    }

    /// Example B of the documentation.
    #[test]
    fn answers_are_counted_after_they_were_given() {
        let counting = Some("http.request.uri.path eq \"/form\" and http.response.code eq 400".to_owned());
        let (mut limiter, times) =
            limiter(&RateLimit { counting_expression: counting, ..limit(1, 600, &["ip.src"]) });
        let request = from("192.0.2.1");
        for (n, status) in [400, 200, 400].into_iter().enumerate() {
            assert!(!limiter.request(&request, times.at(n as u64)), "request {n}");
            limiter.answer(&request, &Answer { status, headers: Default::default() }, times.at(n as u64));
        }
        assert!(limiter.request(&request, times.at(4)));
    }

    #[test]
    fn what_cloudflare_refuses_is_refused() {
        let without_colo = RateLimit { characteristics: vec!["ip.src".to_owned()], ..limit(1, 1, &[]) };
        for (limit, named) in [
            (without_colo, "cf.colo.id"),
            (limit(1, 1, &["cf.bot_management.ja3_hash"]), "cf.bot_management.ja3_hash"),
            (RateLimit { requests_per_period: None, ..limit(1, 1, &[]) }, "requests_per_period"),
        ] {
            let error = Limiter::new("true", &limit).expect_err(named).to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
