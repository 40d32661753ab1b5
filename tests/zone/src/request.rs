//! What a rule can see of a request.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, Method, Uri, Version};

/// Who sends a request, as far as Cloudflare knows of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub ip: IpAddr,
    /// Two letters; `XX` is unknown.
    pub country: String,
    /// Of its network.
    pub asn: i32,
    /// 1 is certainly a program, 99 certainly a person.
    pub bot_score: i32,
}

impl Default for Client {
    fn default() -> Self {
        Self { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), country: "XX".to_owned(), asn: 64496, bot_score: 30 }
    }
}

/// A request as rules see it: before Cloudflare adds headers of its own.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// In lower case, without a port.
    pub host: String,
    /// With the query.
    pub uri: Uri,
    /// Of the protocol.
    pub version: Version,
    /// As they came.
    pub headers: HeaderMap,
    /// The body's length, in bytes.
    pub body_bytes: usize,
    /// Who sends it. Of a Worker's request to its own zone: whoever has asked the Worker.
    pub client: Client,
    /// The zone of the Worker that sends it; empty where none does.
    pub upstream_zone: String,
    /// The zone that it comes to.
    pub zone: String,
    /// `CF-Ray` of its answer.
    pub ray: String,
}

/// What it was answered, for the counting expressions of rate limits.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
}

impl Request {
    /// A GET of `http://host/path` by the default client, with nothing else.
    pub fn get(host: &str, uri: Uri) -> Self {
        Self {
            method: Method::GET,
            host: host.to_owned(),
            uri,
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            body_bytes: 0,
            client: Client::default(),
            upstream_zone: String::new(),
            zone: String::new(),
            ray: String::new(),
        }
    }

    /// All values of a header.
    pub fn header(&self, name: &str) -> Vec<Vec<u8>> {
        self.headers.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect()
    }

    /// The first value of a header, or nothing.
    pub fn first(&self, name: &str) -> Vec<u8> {
        self.header(name).into_iter().next().unwrap_or_default()
    }

    /// All values of a parameter of the query, as they were sent.
    pub fn parameter(&self, name: &str) -> Vec<Vec<u8>> {
        let pairs = self.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.as_bytes().to_vec()).collect()
    }

    /// All values of a cookie.
    pub fn cookie(&self, name: &str) -> Vec<Vec<u8>> {
        let cookies = self.header("cookie");
        let cookies = cookies.iter().flat_map(|line| line.split(|byte| *byte == b';'));
        let pairs = cookies.filter_map(|cookie| {
            let cookie = cookie.trim_ascii();
            let at = cookie.iter().position(|byte| *byte == b'=')?;
            (&cookie[..at] == name.as_bytes()).then(|| cookie[at + 1..].to_vec())
        });
        pairs.collect()
    }
}

/// The seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
