//! A request that the firewall may meet, as far as it is known here: the Worker's notification, and what is like it but for
//! one thing.

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

/// A request's fields. One that is not among them is unknown.
#[derive(Debug, Clone)]
pub struct Request {
    fields: BTreeMap<String, Value>,
}

impl Request {
    /// A notification to `url`, as the Worker of `zone` sends it.
    pub fn notification(url: &reqwest::Url, zone: &str) -> Self {
        let mut request = Self { fields: BTreeMap::new() };
        let text = Value::text;
        let query = url.query().unwrap_or_default();
        for (name, value) in [
            ("http.request.method", text("POST")),
            ("http.request.uri.query", text(query)),
            ("http.request.full_uri", text(url.as_str())),
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
        if query.is_empty() {
            request.fields.insert("http.request.uri.args".to_owned(), Value::Map(BTreeMap::new()));
            for name in ["http.request.uri.args.names", "http.request.uri.args.values"] {
                request.fields.insert(name.to_owned(), Value::List(Vec::new()));
            }
        }
        request.from_worker_of(zone).to_host(url.host_str().unwrap_or_default()).to_path(url.path(), query)
    }

    /// The same, from a Worker of another zone; from nobody's Worker where it is empty.
    #[must_use]
    pub fn from_worker_of(self, zone: &str) -> Self {
        self.with("cf.worker.upstream_zone", Value::text(zone))
    }

    /// The same, to another host.
    #[must_use]
    pub fn to_host(self, host: &str) -> Self {
        self.with("http.host", Value::text(host))
    }

    /// The same, to another path.
    #[must_use]
    pub fn to_path(self, path: &str, query: &str) -> Self {
        let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let extension = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, last)| last);
        self.with("http.request.uri.path", Value::text(path)).with("http.request.uri", Value::text(uri)).with(
            "http.request.uri.path.extension",
            Value::text(extension.unwrap_or_default().to_lowercase()),
        )
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
