//! What the runtime calls: a request comes in, an answer goes out, and the background follows it.

use std::cell::{OnceCell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use http::{Method, Response as HttpResponse};
use serde_json::json;
use spillway_proto::otlp::Encoding;
use worker::js_sys::{Object, Promise};
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::web_sys::{Request, Response};
use worker::{Context, Env, ScheduleContext, ScheduledEvent, Url, console_error, console_log, event};

use super::body::{Rest, WorkerBody};
use super::bridge::{self, HeadReader};
use super::durable_object::DurableAllowances;
use super::keys::Keys;
use super::log::{log, log_background};
use super::metrics::MetricsBinding;
use super::notifier::Notifiers;
use super::r2::R2Objects;
use super::runtime::WorkerRuntime;
use super::{binding, fault};
use crate::body_budget::BodyBudget;
use crate::config::Config;
use crate::guard::guarded;
use crate::ingest::{Edge, Outcome, ingest_own};
use crate::isolate::Isolate;
use crate::mesh::router::{Route, route};
use crate::notify::notify;
use crate::ports::{PortError, Runtime};
use crate::reject::Rejection;
use crate::request::Head;
use crate::store::Bucket;
use crate::telemetry::Batch;
use crate::{canary, cors, grpc, operator, probe, request, response, usage};

thread_local! {
    static ISOLATE: Rc<Isolate> = Rc::default();
    static KEPT: RefCell<Option<Rc<Kept>>> = const { RefCell::new(None) };
    static HEADS: HeadReader = HeadReader::new(&request::HEADERS.join("\n"));
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, ctx: Context) -> worker::Result<Response> {
    let head = match head(&request) {
        Ok(head) => head,
        Err(error) => {
            let answer = refuse(&Rejection::Fault(fault("request")(error)), Encoding::Json);
            return to_worker(answer, None).await;
        }
    };
    let (served, rest) = match guarded(serve(&head, request, env, &ctx)).await {
        Ok(served) => served,
        Err(panic) => (Err(Rejection::Fault(panic)), None),
    };
    let mut answer = served.unwrap_or_else(|rejection| refuse(&rejection, head.answer_encoding()));
    cors::allow(&mut answer, &head);
    to_worker(answer, rest).await
}

/// The canary; wrangler.jsonc says how often.
#[event(scheduled)]
async fn scheduled(_: ScheduledEvent, env: Env, _: ScheduleContext) {
    let error = match guarded(send_canary(&env)).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic.to_string(),
    };
    console_error!("{}", json!({ "outcome": "canary", "error": error }));
}

async fn send_canary(env: &Env) -> Result<(), PortError> {
    let (config, isolate) = (config(env)?, ISOLATE.with(Rc::clone));
    let notifier = Notifiers { env, timeout: config.notify.link.timeout };
    let sent = canary::run(&config, &isolate, &objects(env)?, &notifier, &WorkerRuntime).await;
    let faults = sent.notified.iter().flat_map(|notified| &notified.faults).map(ToString::to_string);
    let line = json!({
        "outcome": "canary",
        "stored": sent.rejection.is_none(),
        "notified_by": sent.notified.as_ref().and_then(|notified| notified.by),
        "faults": faults.collect::<Vec<_>>(),
        "probe": sent.probed,
    });
    console_log!("{line}");
    match sent.rejection {
        Some(Rejection::Fault(fault)) => Err(fault),
        Some(rejection) => Err(PortError { what: "canary", detail: rejection.code().to_owned() }),
        None => Ok(()),
    }
}

/// The answer, and what settles once the rest of the body was read, where the handler has left some.
async fn serve(
    head: &Head,
    request: Request,
    env: Env,
    ctx: &Context,
) -> (Result<HttpResponse<Vec<u8>>, Rejection>, Option<Promise>) {
    let config = match config(&env) {
        Ok(config) => config,
        Err(fault) => return (Err(Rejection::Fault(fault)), None),
    };
    let mut body = WorkerBody::of(request, head, &config);
    let served = handle(head, &mut body, Rc::clone(&config), env, ctx).await;
    (served, body.rest().and_then(|rest| discard(rest, config)))
}

/// Reads the rest of a body, unless enough others are being read.
fn discard(rest: Rest, config: Rc<Config>) -> Option<Promise> {
    let place = ISOLATE.with(|isolate| isolate.discards.begin(&config.discard, WorkerRuntime.now()))?;
    let discarding = async move {
        rest.discard(&config.discard).await;
        drop(place);
        Ok(JsValue::UNDEFINED)
    };
    // What a panic would leave behind is a place that is free again after its time.
    Some(future_to_promise(AssertUnwindSafe(discarding)))
}

async fn handle(
    head: &Head,
    body: &mut WorkerBody,
    config: Rc<Config>,
    env: Env,
    ctx: &Context,
) -> Result<HttpResponse<Vec<u8>>, Rejection> {
    if let Some(answer) = grpc::answer(head) {
        console_log!("{}", json!({ "outcome": grpc::CODE }));
        return Ok(answer);
    }
    match route(config.role, &head.method, &head.path)? {
        Route::Traces => traces(head, body, &env, ctx).await.map_err(Rejection::Fault),
        Route::Preflight => Ok(cors::preflight(head)),
        Route::Usage => {
            let allowances = allowances(&env).map_err(Rejection::Fault)?;
            usage::report(head, body, &config, &allowances, &WorkerRuntime).await.map(response::json)
        }
        Route::Probe => {
            let notifier = Notifiers { env: &env, timeout: config.notify.link.timeout };
            probe::report(head, body, &config, &notifier, &WorkerRuntime).await.map(response::json)
        }
        Route::Telemetry => telemetry(body, config, env, ctx).await,
        Route::Health if head.method == Method::HEAD => Ok(response::json(Vec::new())),
        Route::Health => Ok(response::json(br#"{"status":"ok"}"#.to_vec())),
    }
}

/// What an isolate keeps for requests with the same variables and bindings. Cloudflare may change those of a Worker whose isolates
/// live on, <https://developers.cloudflare.com/workers/runtime-apis/bindings/#making-changes-to-bindings>.
struct Kept {
    env: Env,
    config: Rc<Config>,
    world: OnceCell<Rc<World>>,
}

impl Kept {
    fn of(env: &Env) -> Result<Rc<Self>, PortError> {
        if let Some(kept) = KEPT.with_borrow(Option::clone)
            && Object::is(kept.env.as_ref(), env.as_ref())
        {
            return Ok(kept);
        }
        let config = Config::read(|name| env.var(name).ok().map(|value| value.to_string()));
        let config = Rc::new(config.map_err(fault("configuration"))?);
        let kept = Rc::new(Self { env: env.clone(), config, world: OnceCell::new() });
        KEPT.set(Some(Rc::clone(&kept)));
        Ok(kept)
    }

    fn world(&self) -> Result<Rc<World>, PortError> {
        if let Some(world) = self.world.get() {
            return Ok(Rc::clone(world));
        }
        let world = World::new(Rc::clone(&self.config), self.env.clone())?;
        Ok(Rc::clone(self.world.get_or_init(|| Rc::new(world))))
    }
}

/// All that an export is taken in with.
struct World {
    config: Rc<Config>,
    isolate: Rc<Isolate>,
    keys: Keys,
    allowances: DurableAllowances,
    objects: R2Objects,
    metrics: Option<MetricsBinding>,
    env: Env,
}

impl World {
    fn new(config: Rc<Config>, env: Env) -> Result<Self, PortError> {
        Ok(Self {
            config,
            isolate: ISOLATE.with(Rc::clone),
            keys: Keys::of(&env)?,
            allowances: allowances(&env)?,
            objects: objects(&env)?,
            metrics: MetricsBinding::of(&env),
            env,
        })
    }

    fn edge(&self) -> Edge<'_, Keys, DurableAllowances, R2Objects, WorkerRuntime> {
        Edge {
            config: &self.config,
            isolate: &self.isolate,
            keys: &self.keys,
            allowances: &self.allowances,
            objects: &self.objects,
            runtime: &WorkerRuntime,
            reports_spans: self.metrics.is_some(),
        }
    }

    async fn follow(&self, mut outcome: Outcome) {
        let notifier = Notifiers { env: &self.env, timeout: self.config.notify.link.timeout };
        let report = self.edge().background(&notifier, self.metrics.as_ref()).run(&mut outcome).await;
        log_background(&outcome, &report);
    }
}

/// Runs the pipeline, and leaves the background to run after the answer.
async fn traces(
    head: &Head,
    body: &mut WorkerBody,
    env: &Env,
    ctx: &Context,
) -> Result<HttpResponse<Vec<u8>>, PortError> {
    let world = Kept::of(env)?.world()?;
    let mut outcome = world.edge().ingest(head, body).await;
    log(&outcome.summary);
    let answer = std::mem::take(&mut outcome.response);
    ctx.wait_until(async move {
        if let Err(panic) = guarded(world.follow(outcome)).await {
            console_error!("{}", json!({ "outcome": "background", "error": panic.to_string() }));
        }
    });
    Ok(answer)
}

/// Stores what an ingress tells of itself, and leaves the notification to run after the answer.
async fn telemetry(
    body: &mut WorkerBody,
    config: Rc<Config>,
    env: Env,
    ctx: &Context,
) -> Result<HttpResponse<Vec<u8>>, Rejection> {
    let isolate = ISOLATE.with(Rc::clone);
    let body = request::read(
        body,
        None,
        &mut isolate.bodies.begin(&BodyBudget::default()),
        &config.body,
        &WorkerRuntime,
    )
    .await?;
    let batch: Batch = serde_json::from_slice(&body)
        .map_err(|error| Rejection::BodyUnreadable(fault("telemetry")(error)))?;
    let export = operator::export_of(batch);
    let key =
        operator::record(&config.telemetry.operator).map_err(fault("operator")).map_err(Rejection::Fault)?;
    let objects = objects(&env).map_err(Rejection::Fault)?;
    let bucket = Bucket { objects: &objects, link: &isolate.bucket_link, config: &config };
    if let Some(notification) = ingest_own(export, &key, &config, &bucket, &WorkerRuntime).await? {
        let (config, isolate) = (Rc::clone(&config), Rc::clone(&isolate));
        ctx.wait_until(async move {
            let notifier = Notifiers { env: &env, timeout: config.notify.link.timeout };
            let links = &isolate.notify_links;
            let notified = notify(&notification, &config.notify, links, &notifier, &WorkerRuntime).await;
            for fault in &notified.faults {
                console_error!("{}", json!({ "outcome": "not_notified", "error": fault.to_string() }));
            }
        });
    }
    Ok(response::json(b"{}".to_vec()))
}

fn allowances(env: &Env) -> Result<DurableAllowances, PortError> {
    env.durable_object(binding::ALLOWANCE).map(DurableAllowances::new).map_err(fault("allowance"))
}

fn objects(env: &Env) -> Result<R2Objects, PortError> {
    env.bucket(binding::OBJECTS).map(R2Objects::new).map_err(fault("object store"))
}

fn config(env: &Env) -> Result<Rc<Config>, PortError> {
    Ok(Rc::clone(&Kept::of(env)?.config))
}

/// The answer where the pipeline was not reached.
fn refuse(rejection: &Rejection, encoding: Encoding) -> HttpResponse<Vec<u8>> {
    let error = rejection.fault().map(ToString::to_string);
    let line = json!({ "outcome": rejection.code(), "error": error });
    if error.is_some() {
        console_error!("{line}");
    } else {
        console_log!("{line}");
    }
    response::rejected(rejection, encoding)
}

fn head(request: &Request) -> worker::Result<Head> {
    let head = HEADS.with(|heads| heads.read(request))?;
    let mut lines = head.split('\n');
    let method = lines.next().unwrap_or_default();
    let url: Url = lines.next().unwrap_or_default().parse()?;
    Ok(Head {
        method: method.parse().map_err(|_| worker::Error::RustError("unreadable method".to_owned()))?,
        path: url.path().to_owned(),
        query: url.query().map(str::to_owned),
        headers: bridge::headers(lines),
    })
}

/// The answer, which is not at its end before `rest` is. One without a body has to be told from one whose body is still to come, for
/// gRPC above all; so it waits.
async fn to_worker(response: HttpResponse<Vec<u8>>, mut rest: Option<Promise>) -> worker::Result<Response> {
    let (parts, body) = response.into_parts();
    if let Some(rest) = rest.take_if(|_| body.is_empty()) {
        JsFuture::from(rest).await?;
    }
    let headers = parts.headers.iter();
    let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let headers = bridge::lines(headers);
    let status = parts.status.as_u16();
    Ok(match rest {
        Some(rest) => bridge::respond_while(status, &headers, &body, &rest)?,
        None => bridge::respond(status, &headers, &body)?,
    })
}
