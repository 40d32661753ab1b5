//! A request that the firewall may meet, as far as it is known here: the Worker's notification; and what is not one, of which
//! nothing is known but the one thing that tells it from a notification.

use std::collections::BTreeMap;

use spillway_proto::{notification, signature, trace_context};

use super::value::Value;

/// What the edge or the platform may add to the headers of a Worker's request.
const PERHAPS: [&str; 12] = [
    "accept",
    "accept-encoding",
    "cdn-loop",
    "cf-connecting-ip",
    "cf-ew-via",
    "cf-ipcountry",
    "cf-ray",
    "cf-visitor",
    "connection",
    "content-length",
    "x-forwarded-for",
    "x-forwarded-proto",
];

/// The field that tells a Worker's request from everybody else's; empty where no Worker has sent it.
pub const UPSTREAM_ZONE: &str = "cf.worker.upstream_zone";

/// A request's fields. One that is not among them is unknown.
#[derive(Debug, Clone)]
pub struct Request {
    fields: BTreeMap<String, Value>,
}

impl Request {
    /// A notification to `url`, as the Worker of `zone` sends it.
    pub fn notification(url: &reqwest::Url, zone: &str) -> Self {
        let mut request = Self::unknown();
        let text = Value::text;
        for (name, value) in [
            ("http.request.method", text("POST")),
            ("ssl", Value::Bool(url.scheme() == "https")),
            ("cf.zone.name", text(zone)),
            ("http.request.headers", headers(url)),
            ("http.request.headers.names", header_names()),
            ("http.request.headers.truncated", Value::Bool(false)),
            ("http.request.body.mime", text(notification::CONTENT_TYPE)),
            // A Worker's requests have none of these, unless it sets them.
            ("http.user_agent", text("")),
            ("http.referer", text("")),
            ("http.cookie", text("")),
            ("http.request.cookies", Value::Map(BTreeMap::new())),
            ("http.request.accepted_languages", Value::List(Vec::new())),
        ] {
            request.fields.insert(name.to_owned(), value);
        }
        let port = url.port_or_known_default().map_or(Value::Unknown, |port| Value::Number(port.into()));
        request.fields.insert("cf.edge.server_port".to_owned(), port);
        if url.query().unwrap_or_default().is_empty() {
            request.fields.insert("http.request.uri.args".to_owned(), Value::Map(BTreeMap::new()));
            for name in ["http.request.uri.args.names", "http.request.uri.args.values"] {
                request.fields.insert(name.to_owned(), Value::List(Vec::new()));
            }
        }
        request.with(UPSTREAM_ZONE, Value::text(zone)).addressed(url)
    }

    /// What an exporter sends to `url`, from wherever and with whatever headers it sends it.
    pub fn export(url: &reqwest::Url) -> Self {
        let port = url.port_or_known_default().map_or(Value::Unknown, |port| Value::Number(port.into()));
        Self::of_no_worker()
            .with("http.request.method", Value::text("POST"))
            .with("ssl", Value::Bool(url.scheme() == "https"))
            .with("cf.edge.server_port", port)
            .addressed(url)
    }

    /// One of which nothing is known.
    pub fn unknown() -> Self {
        Self { fields: BTreeMap::new() }
    }

    /// One that no Worker has sent. Nothing else is known of it.
    pub fn of_no_worker() -> Self {
        Self::unknown().with(UPSTREAM_ZONE, Value::text(""))
    }

    /// One from no Worker of this zone.
    pub fn of_another_zone(zone: &str) -> Self {
        Self::unknown().with(UPSTREAM_ZONE, Value::other_than(zone))
    }

    /// One from a Worker of the zone to another host than that of the `url`.
    pub fn to_another_host(url: &reqwest::Url, zone: &str) -> Self {
        let ours = Self::notification(url, zone);
        Self::unknown()
            .with(UPSTREAM_ZONE, Value::text(zone))
            .with("http.host", ours.another("http.host"))
            .with("http.request.full_uri", ours.another("http.request.full_uri"))
    }

    /// One from a Worker of the zone to another path than that of the `url`.
    pub fn to_another_path(url: &reqwest::Url, zone: &str) -> Self {
        let ours = Self::notification(url, zone);
        ["http.request.uri.path", "http.request.uri", "http.request.full_uri"]
            .into_iter()
            .fold(Self::unknown().with(UPSTREAM_ZONE, Value::text(zone)), |request, field| {
                request.with(field, ours.another(field))
            })
    }

    /// Every text but what this one holds in the field.
    fn another(&self, field: &str) -> Value {
        match self.field(field) {
            Value::Text(text) => Value::OtherThan(text),
            _ => Value::Unknown,
        }
    }

    /// With all fields that are made of its address.
    fn addressed(self, url: &reqwest::Url) -> Self {
        let (host, path) = (url.host_str().unwrap_or_default(), url.path());
        let query = url.query().unwrap_or_default();
        let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let name = path.rsplit('/').next().unwrap_or_default();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_lowercase();
        let full_uri = format!("{}://{host}{uri}", url.scheme());
        self.with("http.host", Value::text(host))
            .with("http.request.uri.path", Value::text(path))
            .with("http.request.uri.path.extension", Value::Text(extension))
            .with("http.request.uri.query", Value::text(query))
            .with("http.request.uri", Value::Text(uri))
            .with("http.request.full_uri", Value::Text(full_uri))
    }

    /// The same, with something else in a field.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.fields.insert(field.to_owned(), value);
        self
    }

    /// What the field holds. The raw fields hold the same: nothing in the path wants to be normalized.
    pub fn field(&self, name: &str) -> Value {
        let name = name.strip_prefix("raw.").unwrap_or(name);
        self.fields.get(name).cloned().unwrap_or(Value::Unknown)
    }

    /// Of `fields`, those whose content is not known.
    pub fn unknown_of<'a>(&self, fields: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        fields.into_iter().filter(|field| self.field(field) == Value::Unknown).collect()
    }
}

fn headers(url: &reqwest::Url) -> Value {
    let one = |text: &str| Value::List(vec![Value::text(text)]);
    let mut headers: BTreeMap<_, _> =
        PERHAPS.map(|name| (name.to_owned(), Value::List(vec![Value::Unknown]).perhaps())).into();
    headers.insert("host".to_owned(), one(url.host_str().unwrap_or_default()));
    headers.insert("content-type".to_owned(), one(notification::CONTENT_TYPE));
    for name in [signature::HEADER, trace_context::TRACEPARENT] {
        headers.insert(name.to_owned(), Value::List(vec![Value::Unknown]));
    }
    Value::Map(headers)
}

fn header_names() -> Value {
    let sent = ["host", "content-type", signature::HEADER, trace_context::TRACEPARENT].map(Value::text);
    Value::List(sent.into_iter().chain(PERHAPS.map(|name| Value::text(name).perhaps())).collect())
}
