use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{AUTHORIZATION, LOCATION};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::*;

const TIMEOUT: Duration = Duration::from_millis(300);

type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// Answers by the object's key.
async fn answer(State(seen): State<Seen>, Path(key): Path<String>, request: Request) -> Response {
    let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let asked = (request.uri().path().to_owned(), authorization.unwrap_or("none").to_owned());
    seen.lock().await.push(asked);
    match key.as_str() {
        "v1/whole" => "some bytes".into_response(),
        "v1/in-parts" => {
            Body::from_stream(stream::iter(["some ", "bytes"].map(Ok::<_, std::io::Error>))).into_response()
        }
        "v1/broken-off" => Body::from_stream(stream::iter([
            Ok("some "),
            Err(std::io::Error::other("the rest is not to be had")),
        ]))
        .into_response(),
        "v1/elsewhere" => (StatusCode::FOUND, [(LOCATION, "/bucket/v1/whole")]).into_response(),
        "v1/slow" => {
            tokio::time::sleep(10 * TIMEOUT).await;
            "late".into_response()
        }
        "v1/busy" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn bucket() -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let router =
        Router::new().route("/bucket/{*key}", axum::routing::get(answer)).with_state(Arc::clone(&seen));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, seen)
}

fn getter(address: SocketAddr) -> Getter {
    let credentials = Credentials::new("id", "a very secret value", None, None, "configuration");
    Getter::new(&format!("http://{address}/"), "bucket", "auto", credentials, TIMEOUT).unwrap()
}

#[tokio::test]
async fn what_is_there_is_had_at_once_and_all_else_is_left_to_the_sdk() {
    let (address, _) = bucket().await;
    let getter = getter(address);
    for key in ["v1/whole", "v1/in-parts"] {
        assert_eq!(getter.get(key, 10).await.unwrap().unwrap(), "some bytes", "{key}");
        assert!(matches!(getter.get(key, 9).await, Err(ObjectError::Poison(_))), "{key}");
    }
    for key in ["v1/broken-off", "v1/elsewhere", "v1/none"] {
        assert_eq!(getter.get(key, 10).await.unwrap(), None, "{key}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_busy_or_does_not_answer_is_not_asked_again_at_once() {
    for key in ["v1/slow", "v1/busy"] {
        let (address, seen) = bucket().await;
        assert!(matches!(getter(address).get(key, 10).await, Err(ObjectError::Transient(_))), "{key}");
        assert_eq!(seen.lock().await.len(), 1, "{key}");
    }
}

#[tokio::test]
async fn nobody_there_is_left_to_the_sdk() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(getter(address).get("v1/whole", 10).await.unwrap(), None);
}

#[tokio::test]
async fn a_get_is_signed_and_its_secret_stays_here() {
    let (address, seen) = bucket().await;
    getter(address).get("v1/whole", 10).await.unwrap();
    let seen = seen.lock().await;
    let [(path, authorization)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(path, "/bucket/v1/whole");
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=id/"), "{authorization}");
    assert!(authorization.contains("/auto/s3/aws4_request"), "{authorization}");
    assert!(authorization.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date"), "{authorization}");
    assert!(!authorization.contains("secret"), "{authorization}");
}
