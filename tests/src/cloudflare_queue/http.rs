//! The queue's paths, and their answers and refusals.

use std::sync::{Arc, Mutex};

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::queue::{AckRequest, PullRequest, Queue};
use super::{ACCOUNT, Call, Fault, QUEUE, READ_ONLY_TOKEN, Sent, TOKEN, lock};

/// More than producers push.
const MAX_BODY_BYTES: usize = 64 << 20;

pub(super) fn router(queue: Arc<Mutex<Queue>>) -> Router {
    let messages = "/client/v4/accounts/{account}/queues/{queue}/messages";
    Router::new()
        .route(&format!("{messages}/pull"), post(pull))
        .route(&format!("{messages}/ack"), post(ack))
        .route(&format!("{messages}/batch"), post(push))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(queue)
}

type Shared = State<Arc<Mutex<Queue>>>;
type Place = Path<(String, String)>;
type Answer = Result<Json<Value>, Refusal>;

struct Refusal {
    status: u16,
    code: u32,
    message: String,
    retry_after: Option<u64>,
}

async fn pull(State(queue): Shared, place: Place, headers: HeaderMap, body: String) -> Answer {
    let done = |queue: &mut Queue| {
        let request: PullRequest = parse(&body)?;
        if !(1..=100).contains(&request.batch_size) {
            return Err(refusal(400, 10207, "batch_size is out of bounds"));
        }
        Ok(queue.pull(&request))
    };
    answer(&queue, Call::Pull, &place, &headers, done).await
}

async fn ack(State(queue): Shared, place: Place, headers: HeaderMap, body: String) -> Answer {
    let done = |queue: &mut Queue| Ok(queue.ack(&parse::<AckRequest>(&body)?));
    answer(&queue, Call::Ack, &place, &headers, done).await
}

#[derive(Deserialize)]
struct PushRequest {
    messages: Vec<Sent>,
}

/// <https://developers.cloudflare.com/api/resources/queues/subresources/messages/methods/bulk_push/>
async fn push(State(queue): Shared, place: Place, headers: HeaderMap, body: String) -> Answer {
    authorize(&place, &headers)?;
    let request: PushRequest = parse(&body)?;
    request.messages.into_iter().for_each(|sent| lock(&queue).send(sent));
    Ok(success(&json!({})))
}

async fn answer(
    queue: &Mutex<Queue>,
    call: Call,
    place: &Place,
    headers: &HeaderMap,
    done: impl FnOnce(&mut Queue) -> Result<Value, Refusal>,
) -> Answer {
    let fault = lock(queue).called(call);
    if let Some(Fault::Refuse(status, retry_after)) = fault {
        return Err(Refusal { retry_after, ..refusal(status, 10250, "Queue is overloaded") });
    }
    if let Some(Fault::Flood(bytes)) = fault {
        return Ok(success(&json!("x".repeat(bytes))));
    }
    authorize(place, headers)?;
    let result = done(&mut lock(queue))?;
    match fault {
        Some(Fault::LoseAnswer) => return Err(refusal(502, 15000, "Unknown error")),
        Some(Fault::Late(by)) => tokio::time::sleep(by).await,
        Some(Fault::Refuse(..) | Fault::Flood(_)) | None => {}
    }
    Ok(success(&result))
}

fn authorize(Path((account, queue)): &Place, headers: &HeaderMap) -> Result<(), Refusal> {
    let header = headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok()).unwrap_or_default();
    match header.strip_prefix("Bearer ") {
        Some(TOKEN) if account == ACCOUNT && queue == QUEUE => Ok(()),
        Some(TOKEN) if account == ACCOUNT => Err(refusal(404, 10104, "Queue does not exist")),
        Some(TOKEN | READ_ONLY_TOKEN) => Err(refusal(403, 10000, "Authentication error")),
        _ => Err(refusal(401, 10000, "Authentication error")),
    }
}

fn parse<T: for<'a> Deserialize<'a>>(body: &str) -> Result<T, Refusal> {
    serde_json::from_str(body).map_err(|error| refusal(400, 10207, &error.to_string()))
}

fn success(result: &Value) -> Json<Value> {
    Json(json!({ "success": true, "errors": [], "messages": [], "result": result }))
}

fn refusal(status: u16, code: u32, message: &str) -> Refusal {
    Refusal { status, code, message: message.to_owned(), retry_after: None }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let errors = json!([{ "code": self.code, "message": self.message }]);
        let body = json!({ "success": false, "errors": errors, "messages": [], "result": null });
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}
