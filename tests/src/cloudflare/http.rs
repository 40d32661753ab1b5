//! Paths, permissions, envelopes.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::account::Account;
use super::{ACCOUNT, TOKEN, ZONE};

/// `PUT /stand-in/phases/PHASE` with an array of rules; `PUT /stand-in/PATH` with a result.
const STAND_IN: &str = "/stand-in/";

type Shared = Arc<Mutex<Account>>;

pub(super) fn router(account: Shared) -> Router {
    Router::new().fallback(answer).with_state(account)
}

async fn answer(
    State(account): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(path) = uri.path().strip_prefix(STAND_IN) {
        return put(&account, &method, path, &body);
    }
    let token = headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok()).unwrap_or_default();
    if token != format!("Bearer {TOKEN}") {
        return refusal(StatusCode::UNAUTHORIZED, 10000, "Authentication error");
    }
    if method != Method::GET {
        return refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            10405,
            "Method not allowed for this authentication scheme",
        );
    }
    let path = uri.path().trim_start_matches("/client/v4/");
    let mut parts = path.splitn(3, '/');
    let (kind, id, rest) = (parts.next(), parts.next(), parts.next().unwrap_or_default());
    let account = account.lock().unwrap_or_else(PoisonError::into_inner);
    let is_ours = match (kind, id) {
        (Some("zones"), Some(ZONE)) => true,
        (Some("accounts"), Some(ACCOUNT)) => true,
        (Some("zones"), _) => {
            return refusal(StatusCode::FORBIDDEN, 9109, "Unauthorized to access requested resource");
        }
        _ => false,
    };
    let is_account = kind == Some("accounts");
    let wanted = if is_account && rest.starts_with("rulesets") {
        "Account WAF"
    } else {
        Account::permission_for(rest)
    };
    if !is_ours || !account.permissions.contains(wanted) {
        return refusal(StatusCode::FORBIDDEN, 10000, "Authentication error");
    }
    let belongs_to_account =
        ["workers/scripts", "workers/domains", "r2"].iter().any(|prefix| rest.starts_with(prefix));
    match account.resources.get(rest) {
        Some(result) if is_account == belongs_to_account => success(result, uri.query().unwrap_or_default()),
        _ if rest.starts_with("rulesets/phases") => {
            refusal(StatusCode::NOT_FOUND, 10003, "could not find entrypoint ruleset")
        }
        _ if rest.starts_with("workers/scripts") => {
            refusal(StatusCode::NOT_FOUND, 10007, "This Worker does not exist on your account.")
        }
        _ if rest.starts_with("r2") => {
            refusal(StatusCode::NOT_FOUND, 10006, "The specified bucket does not exist.")
        }
        _ => refusal(StatusCode::NOT_FOUND, 7003, "Could not route to the requested path"),
    }
}

/// Whoever plays a zone tells what the API shall tell of it. This is the stand-in's own, and not of Cloudflare's API.
fn put(account: &Shared, method: &Method, path: &str, body: &Bytes) -> Response {
    let Ok(result) = serde_json::from_slice::<Value>(body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if method != Method::PUT {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
    match path.strip_prefix("phases/") {
        Some(phase) => {
            let Value::Array(rules) = result else { return StatusCode::BAD_REQUEST.into_response() };
            account.put_phase(phase, rules);
        }
        None => drop(account.resources.insert(path.to_owned(), result)),
    }
    StatusCode::NO_CONTENT.into_response()
}

/// Lists that are asked for by page are given by page.
fn success(result: &Value, query: &str) -> Response {
    let asked = |name: &str| {
        let pairs = form_urlencoded::parse(query.as_bytes());
        pairs.into_iter().find(|(found, _)| found == name).and_then(|(_, value)| value.parse::<usize>().ok())
    };
    let (page, info) = match (result.as_array(), asked("page")) {
        (Some(all), Some(page)) => {
            let per_page = asked("per_page").unwrap_or(20);
            let shown: Vec<_> = all.iter().skip((page - 1) * per_page).take(per_page).cloned().collect();
            let info = json!({
                "page": page, "per_page": per_page, "count": shown.len(), "total_count": all.len(),
                "total_pages": all.len().div_ceil(per_page),
            });
            (Value::Array(shown), info)
        }
        _ => (result.clone(), Value::Null),
    };
    let mut envelope = json!({ "success": true, "errors": [], "messages": [], "result": page });
    if !info.is_null() {
        envelope["result_info"] = info;
    }
    Json(envelope).into_response()
}

fn refusal(status: StatusCode, code: u32, message: &str) -> Response {
    let errors = json!([{ "code": code, "message": message }]);
    (status, Json(json!({ "success": false, "errors": errors, "messages": [], "result": null })))
        .into_response()
}
