//! What the runtime calls: a request comes in, an answer goes out, and the notification follows it.

use std::cell::OnceCell;
use std::rc::Rc;

use futures_util::StreamExt;
use http::Response as HttpResponse;
use serde_json::json;
use spillway_proto::otlp::Encoding;
use worker::{ByteStream, Context, Env, Headers, Request, Response, console_error, console_log, event};

use super::durable_object::DurableUsage;
use super::kv::KvKeys;
use super::origin_http::HttpNotifier;
use super::r2::R2Objects;
use super::runtime::WorkerRuntime;
use super::{binding, fault};
use crate::config::Config;
use crate::guard::guarded;
use crate::ingest::{Edge, Outcome, Summary};
use crate::notify::notify;
use crate::ports::{Body, PortError};
use crate::rate_limit::RateLimiters;
use crate::reject::Rejection;
use crate::request::Head;
use crate::response;

thread_local! {
    /// A Worker's variables do not change while its isolate lives.
    static CONFIG: OnceCell<Rc<Config>> = const { OnceCell::new() };
    static LIMITERS: Rc<RateLimiters> = Rc::default();
}

#[event(fetch)]
async fn fetch(mut request: Request, env: Env, ctx: Context) -> worker::Result<Response> {
    let head = match head(&request) {
        Ok(head) => head,
        Err(error) => {
            return to_worker(response::rejected(&Rejection::Fault(fault("request")(error)), Encoding::Json));
        }
    };
    let outcome = match guarded(serve(&head, &mut request, &env, &ctx)).await.flatten() {
        Ok(outcome) => outcome,
        Err(fault) => refuse(&head, fault),
    };
    log(&outcome.summary);
    to_worker(outcome.response)
}

/// Runs the pipeline, and leaves the notification to run after the answer.
async fn serve(head: &Head, request: &mut Request, env: &Env, ctx: &Context) -> Result<Outcome, PortError> {
    let config = config(env)?;
    let edge = Edge {
        config: &config,
        limiters: &LIMITERS.with(Rc::clone),
        keys: &KvKeys::new(env.kv(binding::KEYS).map_err(fault("key store"))?),
        usage: &DurableUsage::new(env.durable_object(binding::USAGE).map_err(fault("usage counter"))?),
        objects: &R2Objects::new(env.bucket(binding::OBJECTS).map_err(fault("object store"))?),
        runtime: &WorkerRuntime,
    };
    let mut outcome = edge.ingest(head, &mut WorkerBody(request.stream().ok())).await;
    if let Some(notification) = outcome.notification.take() {
        ctx.wait_until(async move {
            let notifier = HttpNotifier::new(&config.notify);
            let notified = guarded(notify(&notification, &config.notify, &notifier, &WorkerRuntime)).await;
            if let Err(fault) = notified.flatten() {
                let line = json!({
                    "outcome": "not_notified", "object_key": notification.object_key, "error": fault.to_string(),
                });
                console_error!("{line}");
            }
        });
    }
    Ok(outcome)
}

fn config(env: &Env) -> Result<Rc<Config>, PortError> {
    if let Some(config) = CONFIG.with(|cell| cell.get().cloned()) {
        return Ok(config);
    }
    let read = Config::read(|name| env.var(name).ok().map(|value| value.to_string()));
    let config = Rc::new(read.map_err(fault("configuration"))?);
    Ok(CONFIG.with(|cell| Rc::clone(cell.get_or_init(|| config))))
}

/// The answer where not even the pipeline could be set up.
fn refuse(head: &Head, fault: PortError) -> Outcome {
    let rejection = Rejection::Fault(fault.clone());
    Outcome {
        response: response::rejected(&rejection, head.answer_encoding()),
        notification: None,
        summary: Summary { code: rejection.code(), faults: vec![fault], ..Summary::default() },
    }
}

fn log(summary: &Summary) {
    let (tenant, key_id) = summary.key.as_ref().map(|(tenant, id)| (tenant.as_str(), id.as_str())).unzip();
    let line = json!({
        "outcome": summary.code, "tenant": tenant, "key_id": key_id,
        "spans_accepted": summary.verdict.accepted, "spans_rejected": summary.verdict.rejected,
    });
    console_log!("{line}");
    for fault in &summary.faults {
        console_error!("{}", json!({ "outcome": summary.code, "error": fault.to_string() }));
    }
}

fn head(request: &Request) -> worker::Result<Head> {
    let url = request.url()?;
    let method = String::from(request.method());
    Ok(Head {
        method: method.parse().map_err(|_| worker::Error::RustError("unreadable method".to_owned()))?,
        path: url.path().to_owned(),
        query: url.query().map(str::to_owned),
        headers: request.headers().into(),
    })
}

fn to_worker(response: HttpResponse<Vec<u8>>) -> worker::Result<Response> {
    let (parts, body) = response.into_parts();
    let response = Response::from_bytes(body)?.with_status(parts.status.as_u16());
    Ok(response.with_headers(Headers::from(&parts.headers)))
}

/// A request's body; none where the request has none.
struct WorkerBody(Option<ByteStream>);

impl Body for WorkerBody {
    async fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, PortError> {
        let Some(stream) = &mut self.0 else { return Ok(None) };
        stream.next().await.transpose().map_err(fault("request body"))
    }
}
