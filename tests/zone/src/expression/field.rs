//! The fields: <https://developers.cloudflare.com/ruleset-engine/rules-language/fields/reference/>

use super::operand::{Kind, Value};
use crate::request::{Answer, Request, unix_seconds};

/// What the names of fields begin with that have no value before the answer.
pub(super) const OF_ANSWER: &str = "http.response.";

/// A field with one value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    name: &'static str,
    pub(super) kind: Kind,
    value: fn(&Request, Option<&Answer>) -> Value,
}

/// A field that has values by their names, each of them several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Map {
    RequestHeaders,
    Parameters,
    Cookies,
    AnswerHeaders,
}

/// A field with several values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    RequestHeaderNames,
    RequestHeaderValues,
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Field {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.name == name)
    }

    pub(super) fn value(&self, request: &Request, answer: Option<&Answer>) -> Value {
        (self.value)(request, answer)
    }

    pub(super) fn looks_at_answer(&self) -> bool {
        self.name.starts_with(OF_ANSWER)
    }
}

impl Map {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "http.request.headers" => Self::RequestHeaders,
            "http.request.uri.args" | "raw.http.request.uri.args" => Self::Parameters,
            "http.request.cookies" => Self::Cookies,
            "http.response.headers" => Self::AnswerHeaders,
            _ => return None,
        })
    }

    pub(super) fn values(self, key: &str, request: &Request, answer: Option<&Answer>) -> Vec<Vec<u8>> {
        match self {
            Self::RequestHeaders => request.header(key),
            Self::Parameters => request.parameter(key),
            Self::Cookies => request.cookie(key),
            Self::AnswerHeaders => answer.map_or_else(Vec::new, |answer| {
                answer.headers.get_all(key).iter().map(|value| value.as_bytes().to_vec()).collect()
            }),
        }
    }
}

impl List {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "http.request.headers.names" => Self::RequestHeaderNames,
            "http.request.headers.values" => Self::RequestHeaderValues,
            _ => return None,
        })
    }

    pub(super) fn values(self, request: &Request) -> Vec<Vec<u8>> {
        match self {
            Self::RequestHeaderNames => request.headers.keys().map(|name| name.as_str().into()).collect(),
            Self::RequestHeaderValues => {
                request.headers.values().map(|value| value.as_bytes().into()).collect()
            }
        }
    }
}

const fn text(name: &'static str, value: fn(&Request, Option<&Answer>) -> Value) -> Field {
    Field { name, kind: Kind::Text, value }
}

const fn int(name: &'static str, value: fn(&Request, Option<&Answer>) -> Value) -> Field {
    Field { name, kind: Kind::Int, value }
}

const fn bool(name: &'static str, value: fn(&Request, Option<&Answer>) -> Value) -> Field {
    Field { name, kind: Kind::Bool, value }
}

fn path(request: &Request) -> &str {
    request.uri.path()
}

fn path_and_query(request: &Request) -> String {
    request.uri.path_and_query().map_or_else(|| path(request).to_owned(), ToString::to_string)
}

fn extension(request: &Request) -> &str {
    let file = path(request).rsplit('/').next().unwrap_or_default();
    file.rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn clamped(number: impl TryInto<i32>) -> Value {
    Value::Int(number.try_into().unwrap_or(i32::MAX))
}

const FIELDS: &[Field] = &[
    text("http.host", |request, _| request.host.as_str().into()),
    text("http.request.method", |request, _| request.method.as_str().into()),
    text("http.request.uri", |request, _| path_and_query(request).as_str().into()),
    text("raw.http.request.uri", |request, _| path_and_query(request).as_str().into()),
    text("http.request.uri.path", |request, _| path(request).into()),
    text("raw.http.request.uri.path", |request, _| path(request).into()),
    text("http.request.uri.path.extension", |request, _| extension(request).into()),
    text("http.request.uri.query", |request, _| request.uri.query().unwrap_or_default().into()),
    text("raw.http.request.uri.query", |request, _| request.uri.query().unwrap_or_default().into()),
    text("http.request.full_uri", |request, _| {
        format!("https://{}{}", request.host, path_and_query(request)).as_str().into()
    }),
    text("http.request.version", |request, _| format!("{:?}", request.version).as_str().into()),
    int("http.request.timestamp.sec", |_, _| clamped(unix_seconds())),
    int("http.request.body.size", |request, _| clamped(request.body_bytes)),
    text("http.user_agent", |request, _| Value::Text(request.first("user-agent"))),
    text("http.referer", |request, _| Value::Text(request.first("referer"))),
    text("http.cookie", |request, _| Value::Text(request.first("cookie"))),
    text("http.x_forwarded_for", |request, _| Value::Text(request.first("x-forwarded-for"))),
    Field { name: "ip.src", kind: Kind::Ip, value: |request, _| Value::Ip(request.client.ip) },
    text("ip.src.country", |request, _| request.client.country.as_str().into()),
    text("ip.geoip.country", |request, _| request.client.country.as_str().into()),
    int("ip.src.asnum", |request, _| Value::Int(request.client.asn)),
    int("ip.geoip.asnum", |request, _| Value::Int(request.client.asn)),
    // The way from the exporter to Cloudflare is not simulated; exporters use TLS.
    bool("ssl", |_, _| Value::Bool(true)),
    text("cf.worker.upstream_zone", |request, _| request.upstream_zone.as_str().into()),
    text("cf.zone.name", |request, _| request.zone.as_str().into()),
    text("cf.ray_id", |request, _| request.ray.as_str().into()),
    int("cf.bot_management.score", |request, _| Value::Int(request.client.bot_score)),
    bool("cf.bot_management.verified_bot", |_, _| Value::Bool(false)),
    bool("cf.client.bot", |_, _| Value::Bool(false)),
    bool("cf.tls_client_auth.cert_verified", |_, _| Value::Bool(false)),
    bool("cf.tls_client_auth.cert_presented", |_, _| Value::Bool(false)),
    // Cloudflare gives every request 0 by now.
    int("cf.threat_score", |_, _| Value::Int(0)),
    int("cf.edge.server_port", |_, _| Value::Int(443)),
    int("http.response.code", |_, answer| clamped(answer.map_or(0, |answer| answer.status))),
    text("http.response.content_type.media_type", |_, answer| {
        let header =
            answer.and_then(|answer| answer.headers.get("content-type")).map(|value| value.as_bytes());
        let media_type = header.unwrap_or_default().split(|byte| *byte == b';').next().unwrap_or_default();
        Value::Text(media_type.trim_ascii().to_ascii_lowercase())
    }),
    bool("true", |_, _| Value::Bool(true)),
    bool("false", |_, _| Value::Bool(false)),
];
