//! What the zone listens on, and the way of a request through it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use clap::ValueEnum;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::firewall::{Passage, Refusal};
use crate::request::{Answer, Client, Request};
use crate::route::Route;
use crate::ruleset::Action;
use crate::subrequests::{Mode, Way};
use crate::zone::{Fate, Kind, Report, Source, State};

/// What Cloudflare takes of a body, below Enterprise.
const MAX_BODY_BYTES: usize = 100 << 20;
/// How whatever runs the Worker tells where the Worker's request was to go.
const ZONE_URL: &str = "zone-url";
/// By these, a client of the simulator says who it shall be taken for.
const CLIENT_IP: &str = "zone-client-ip";
const CLIENT_COUNTRY: &str = "zone-client-country";
const CLIENT_ASN: &str = "zone-client-asn";
const CLIENT_BOT_SCORE: &str = "zone-client-bot-score";
/// The one address that Workers of other zones come from, in `CF-Connecting-IP`.
const WORKERS_ADDRESS: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2a06, 0x98c0, 0x3600, 0, 0, 0, 0, 0x103));
/// A Worker's request is certainly a program's.
const WORKERS_BOT_SCORE: i32 = 1;
/// Cloudflare's: the origin's port is closed.
const WEB_SERVER_IS_DOWN: u16 = 521;

type HttpClient = hyper_util::client::legacy::Client<HttpConnector, Body>;

#[derive(Clone)]
struct Front {
    state: Arc<State>,
    http: HttpClient,
}

impl Front {
    fn new(state: Arc<State>) -> Self {
        Self { state, http: hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http() }
    }
}

/// For clients: all paths are the zone's.
pub(crate) fn clients(state: Arc<State>) -> Router {
    Router::new().fallback(from_client).with_state(Front::new(state))
}

/// For the Worker's own requests, and for who runs the simulator: `GET /zone/report`, `PUT /zone/subrequests/{mode}`.
pub(crate) fn subrequests(state: Arc<State>) -> Router {
    Router::new()
        .route("/zone/report", get(report))
        .route("/zone/subrequests/{mode}", put(set_mode))
        .fallback(from_worker)
        .with_state(Front::new(state))
}

async fn report(Shared(front): Shared<Front>) -> Json<Report> {
    Json(front.state.report())
}

async fn set_mode(
    Shared(front): Shared<Front>,
    axum::extract::Path(mode): axum::extract::Path<String>,
) -> Result<Json<Report>, (StatusCode, String)> {
    let mode = Mode::from_str(&mode, true).map_err(|error| (StatusCode::BAD_REQUEST, error))?;
    front.state.lock().subrequests.set(mode);
    Ok(Json(front.state.report()))
}

async fn from_client(
    Shared(front): Shared<Front>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: axum::extract::Request,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let client = match declared_client(&mut parts.headers, peer.ip()) {
        Ok(client) => client,
        Err(refusal) => return refusal.into_response(),
    };
    let host = host_of(&parts);
    let asked = Asked { source: Source::Client, client, host, upstream_zone: String::new() };
    match to_bytes(body, MAX_BODY_BYTES).await {
        Ok(body) => front.take(asked, parts, body).await,
        Err(_) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    }
}

async fn from_worker(Shared(front): Shared<Front>, request: axum::extract::Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let url = parts.headers.remove(ZONE_URL);
    let Some(url) = url.as_ref().and_then(|url| url.to_str().ok()?.parse::<Uri>().ok()) else {
        return (StatusCode::BAD_REQUEST, format!("the header {ZONE_URL} is missing or is no URL"))
            .into_response();
    };
    // What the runtime has added: here, the zone does.
    let own: Vec<_> = parts.headers.keys().filter(|name| is_platforms(name)).cloned().collect();
    for name in own {
        parts.headers.remove(name);
    }
    let host = url.host().unwrap_or_default().to_ascii_lowercase();
    if !front.state.has_host(&host) {
        let kind = Kind {
            source: Source::Worker,
            way: None,
            host,
            path: url.path().to_owned(),
            fate: Fate::Elsewhere,
            status: 0,
            skipped_by: Vec::new(),
        };
        let base = format!(
            "{}://{}",
            url.scheme_str().unwrap_or("http"),
            url.authority().map_or("", |host| host.as_str())
        );
        parts.uri = url;
        parts.headers.remove(header::HOST);
        let answer = front.forward(&base, parts, body).await;
        front.state.lock().note(Kind { status: answer.status().as_u16(), ..kind });
        return answer;
    }
    if let Ok(value) = HeaderValue::from_str(&host) {
        parts.headers.insert(header::HOST, value);
    }
    parts.uri = url
        .path_and_query()
        .map_or_else(|| Uri::from_static("/"), |path| path.to_string().parse().unwrap_or_default());
    let client = trace_id(&parts.headers).and_then(|trace| front.state.lock().client_of(&trace));
    let client = client.unwrap_or_else(|| Client { ip: WORKERS_ADDRESS, ..Client::default() });
    let client = Client { bot_score: WORKERS_BOT_SCORE, ..client };
    let asked = Asked { source: Source::Worker, client, host, upstream_zone: front.state.name.clone() };
    front.take(asked, parts, body).await
}

/// Who asks for what.
struct Asked {
    source: Source,
    client: Client,
    host: String,
    upstream_zone: String,
}

impl Front {
    async fn take(&self, asked: Asked, mut parts: Parts, body: Bytes) -> Response {
        let Asked { source, client, host, upstream_zone } = asked;
        let ray = format!("{:016x}-SIM", fastrand::u64(..));
        let request = Request {
            method: parts.method.clone(),
            host,
            uri: parts.uri.clone(),
            version: parts.version,
            headers: parts.headers.clone(),
            body_bytes: body.len(),
            client,
            upstream_zone,
            zone: self.state.name.clone(),
            ray,
        };
        let mut kind = Kind {
            source,
            way: None,
            host: request.host.clone(),
            path: request.uri.path().to_owned(),
            fate: Fate::Origin,
            status: 0,
            skipped_by: Vec::new(),
        };
        let now = Instant::now();
        let (passage, base) = {
            let mut inner = self.state.lock();
            if source == Source::Worker {
                kind.way = Some(inner.subrequests.way(now));
            }
            let passage = match kind.way {
                Some(Way::Straight) => Passage::default(),
                _ => inner.firewall.request(&request, now),
            };
            // A route is no target of a fetch from the same zone: the Worker's own requests go to the origin.
            let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
            let route = Route::of(&inner.rules.routes, &request.host, path);
            let to_worker = source == Source::Client && route.is_some_and(|route| route.script.is_some());
            if to_worker {
                kind.fate = Fate::Worker;
                inner.remember(marked_trace(&mut parts.headers), request.client.clone());
            }
            (passage, if to_worker { inner.worker.clone() } else { inner.origin.clone() })
        };
        kind.skipped_by = passage.skipped_by;
        if let Some(refusal) = passage.refusal {
            kind.fate = Fate::Refused(refusal.phase.clone(), refusal.rule.clone());
            kind.status = refusal.response.status_code;
            self.state.lock().note(kind);
            return refused(&refusal, &request.ray);
        }
        mark(&mut parts.headers, &request);
        let mut answer = self.forward(&base, parts, body).await;
        kind.status = answer.status().as_u16();
        let seen = Answer { status: kind.status, headers: answer.headers().clone() };
        let mut inner = self.state.lock();
        if kind.way != Some(Way::Straight) {
            inner.firewall.answer(&request, &seen, Instant::now());
        }
        inner.note(kind);
        insert(answer.headers_mut(), "cf-ray", &request.ray);
        answer
    }

    async fn forward(&self, base: &str, mut parts: Parts, body: Bytes) -> Response {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let Ok(uri) = format!("{base}{path}").parse() else { return StatusCode::BAD_REQUEST.into_response() };
        parts.uri = uri;
        parts.version = axum::http::Version::HTTP_11;
        for hop in [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::UPGRADE] {
            parts.headers.remove(hop);
        }
        let sent = self.http.request(axum::http::Request::from_parts(parts, Body::from(body))).await;
        match sent {
            Ok(answer) => {
                let mut answer = answer.map(Body::new);
                for hop in [header::CONNECTION, header::TRANSFER_ENCODING] {
                    answer.headers_mut().remove(hop);
                }
                answer
            }
            Err(error) => {
                let status = StatusCode::from_u16(WEB_SERVER_IS_DOWN).unwrap_or(StatusCode::BAD_GATEWAY);
                (status, format!("{base}: {error}")).into_response()
            }
        }
    }
}

/// Cloudflare adds these after the rules have run, so no rule can see them.
fn mark(headers: &mut HeaderMap, request: &Request) {
    let ip = request.client.ip.to_string();
    let forwarded = match headers.get("x-forwarded-for").and_then(|value| value.to_str().ok()) {
        Some(before) => format!("{before},{ip}"),
        None => ip.clone(),
    };
    insert(headers, "cf-connecting-ip", &ip);
    insert(headers, "x-forwarded-for", &forwarded);
    insert(headers, "x-forwarded-proto", "https");
    insert(headers, "cf-visitor", "{\"scheme\":\"https\"}");
    insert(headers, "cf-ipcountry", &request.client.country);
    insert(headers, "cf-ray", &request.ray);
    if request.upstream_zone.is_empty() {
        insert(headers, "cdn-loop", "cloudflare; loops=1");
    } else {
        insert(headers, "cf-worker", &request.upstream_zone);
        insert(headers, "cdn-loop", "cloudflare; loops=1; subreqs=1");
    }
}

fn is_platforms(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("cf-")
        || name.starts_with("mf-")
        || name.starts_with("x-forwarded-")
        || name == "cdn-loop"
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The id of the request's trace. Cloudflare knows by itself whose request a Worker is answering when it sends one of its own; here
/// the trace tells, so a request without one is given one, not sampled.
fn marked_trace(headers: &mut HeaderMap) -> String {
    trace_id(headers).unwrap_or_else(|| {
        let id = format!("{:032x}", fastrand::u128(1..));
        insert(headers, "traceparent", &format!("00-{id}-{:016x}-00", fastrand::u64(1..)));
        id
    })
}

fn trace_id(headers: &HeaderMap) -> Option<String> {
    let traceparent = headers.get("traceparent")?.to_str().ok()?;
    let id = traceparent.split('-').nth(1)?;
    (id.len() == 32).then(|| id.to_owned())
}

fn host_of(parts: &Parts) -> String {
    let header = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = header.or_else(|| parts.uri.host()).unwrap_or_default();
    host.rsplit_once(':').map_or(host, |(host, _)| host).to_ascii_lowercase()
}

/// Who a client of the simulator wants to be taken for.
fn declared_client(headers: &mut HeaderMap, peer: IpAddr) -> Result<Client, (StatusCode, String)> {
    fn taken<T: std::str::FromStr>(
        headers: &mut HeaderMap,
        name: &'static str,
    ) -> Result<Option<T>, (StatusCode, String)> {
        let Some(value) = headers.remove(name) else { return Ok(None) };
        let parsed = value.to_str().ok().and_then(|value| value.parse().ok());
        parsed.map(Some).ok_or_else(|| (StatusCode::BAD_REQUEST, format!("the header {name} cannot be read")))
    }
    let usual = Client::default();
    Ok(Client {
        ip: taken(headers, CLIENT_IP)?.unwrap_or(peer),
        country: taken(headers, CLIENT_COUNTRY)?.unwrap_or(usual.country),
        asn: taken(headers, CLIENT_ASN)?.unwrap_or(usual.asn),
        bot_score: taken(headers, CLIENT_BOT_SCORE)?.unwrap_or(usual.bot_score),
    })
}

fn refused(refusal: &Refusal, ray: &str) -> Response {
    let status = StatusCode::from_u16(refusal.response.status_code).unwrap_or(StatusCode::FORBIDDEN);
    let mut answer = (status, refusal.response.content.clone()).into_response();
    let headers = answer.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&refusal.response.content_type) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    insert(headers, "server", "cloudflare");
    insert(headers, "cf-ray", ray);
    if matches!(refusal.action, Action::Challenge | Action::JsChallenge | Action::ManagedChallenge) {
        insert(headers, "cf-mitigated", "challenge");
    }
    if let Some(seconds) = refusal.retry_after_seconds {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}
